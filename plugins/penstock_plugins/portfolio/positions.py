"""Positions, profit and loss: every trade of ours, valued at its mark; all money in whole 10⁻⁶ of the currency.

An account is a book and a strategy. A fill of an order of ours, or an `ExternalTrade` that somebody else sent, gives a
`Position`; every some minutes, and when the run stops, frames of `Pnl` and of `PnlAttribution` give what has changed
per account and listing, and with listing 0 what an account has made in all, per currency. Money is kept by
`penstock_sdk.golden.positions`, compiled; energy on the grid of delivery intervals, `DeliveryGrid`, so that an hour
bought and its four quarter-hours sold are flat, and a month bought is covered by its days. What fills, fees, marks and
cascades do is said in docs/energy.md.

Once a listing has been delivered its figures are told for the last time: what was still held there counts as settled at
the last mark, all profit as realised. From then on it stands in the account's totals alone.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from penstock_plugins.portfolio.cascading import Cascading
from penstock_plugins.portfolio.externals import Externals
from penstock_plugins.portfolio.fees import Fees
from penstock_plugins.portfolio.instruments import Instrument, instrument
from penstock_plugins.portfolio.ledger import Holding, Ledger, Told
from penstock_plugins.portfolio.marks import Marks
from penstock_plugins.portfolio.one_currency import OneCurrency
from penstock_plugins.portfolio.working import Working
from penstock_sdk.compiled import compile_golden
from penstock_sdk.context import Context
from penstock_sdk.delivery_grid import DeliveryGrid
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.events import (
    Alert,
    DeliverySchedule,
    ExecutionReport,
    ExternalTrade,
    FxRate,
    IntentAction,
    ListingDefinition,
    Mark,
    Order,
    OrderState,
    Pnl,
    PnlAttribution,
    Position,
    Quote,
    ReferenceTable,
    ReportKind,
    Severity,
    Timer,
    TradeSource,
    ZoneDefinition,
)
from penstock_sdk.golden import booking
from penstock_sdk.golden import positions as golden
from penstock_sdk.golden.delivery_cells import new_cells
from penstock_sdk.plugin import Outcome, Portfolio
from penstock_sdk.schema import ABSENT, FRAME_RECORDS_MAX, Event, Frame, Record, layout_of
from penstock_sdk.slots import check_state

__all__ = ["Positions", "PositionsConfig"]

_FILL, _ROUTED, _NEW = int(ReportKind.FILL), int(OrderState.ROUTED), int(IntentAction.NEW)
_APPLIED, _NEEDS_ROWS = booking.APPLIED, booking.NEEDS_ROWS
_AMENDED = int(ReportKind.AMENDED)
_CHANGED = (int(ReportKind.CANCELLED), int(ReportKind.EXPIRED), int(ReportKind.REJECTED), _AMENDED)
_STATE_VERSION = 3
_DAY_NS = 86_400_000_000_000
_KEPT_NS = _DAY_NS
"""How long delivered intervals stay on the grid."""
_TELL, _NEW_DAY = 0, -1
"""Tags of timers; any other is the listing that ends."""


class PositionsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often profit and loss is told, and what trading costs."""

    pnl_period_s: Annotated[float, msgspec.Meta(ge=1, le=10**6)] = 900.0
    """From one telling of profit and loss to the next, in seconds."""
    fee_micro_per_mwh: Annotated[int, msgspec.Meta(ge=-(10**9), le=10**9)] = 100_000
    """The fee on each MWh bought or sold at a venue without rows in the table of fees, in 10⁻⁶ of the currency;
    negative is a rebate."""
    listings_max: Annotated[int, msgspec.Meta(ge=1, le=10**7)] = 100_000
    """Listings that are followed at once, of those that are not delivered yet; memory grows with those that are."""
    report_currency: Annotated[str, msgspec.Meta(pattern="^([A-Z]{3})?$")] = ""
    """Currency that the total of all accounts is told in, too; empty: none."""
    fx_age_h_max: Annotated[float, msgspec.Meta(gt=0, le=10**5)] = 96.0
    """How old an exchange rate may be for that: from a Friday's fixing over a long weekend."""


@cache
def _compiled() -> SimpleNamespace:
    """Return the compiled functions, those used here called once so that no fill waits for the compiler."""
    compiled = compile_golden(booking)
    table, one = golden.new_table(2), np.ones(1, np.int64)
    golden.open_row(table, 1, 1)
    cells, directory, pool = new_cells(2, 1, 1)
    segments, out = np.array([[0, 1, 1]], np.int64), np.zeros(booking.BOOKED_WIDTH, np.int64)
    compiled.book(table, 1, 1, 1, 1, ABSENT, ABSENT, cells, directory, pool, segments, 0, out)
    compiled.largest(cells, directory, segments, 0)
    compiled.figures(table, one, one, np.zeros((1, golden.FIGURE_WIDTH), np.int64))
    return compiled


class Positions(Portfolio):
    """Positions per book, strategy and listing, and what they have made."""

    Config = PositionsConfig
    config: PositionsConfig

    def __init__(self, ctx: Context, config: PositionsConfig | None = None) -> None:
        super().__init__(ctx, config)
        self._period_ns = round(self.config.pnl_period_s * 1e9)
        self._instruments: dict[int, Instrument] = {}
        """By listing, of those that are not over."""
        self._by_name: dict[tuple[str, int], int] = {}
        """The listing of a contract's name at a venue."""
        self._over: list[tuple[int, int]] = []
        """(when it is over, listing), a heap."""
        self._marks = Marks(self._instruments, self._by_name)
        self._grid = DeliveryGrid()
        self._working = Working()
        self._orders = self._working.orders
        self._externals = Externals()
        compiled = _compiled()
        self._book: Callable[..., int] = compiled.book
        self._largest: Callable[..., int] = compiled.largest
        self._booked: npt.NDArray[np.int64] = np.zeros(booking.BOOKED_WIDTH, np.int64)
        self._ledger = Ledger(compiled.figures, self._grid)
        self._holdings = self._ledger.holdings
        self._fees = Fees(ctx, self._instruments, self._ledger, self.config.fee_micro_per_mwh, timer_tag=_NEW_DAY)
        self._cascading = Cascading(ctx, self._instruments, self._ledger, self._marks, self._grid, self._open)
        max_age_ns = round(self.config.fx_age_h_max * 3.6e12)
        self._one_currency = (
            OneCurrency(ctx, self.config.report_currency, max_age_ns) if self.config.report_currency else None
        )
        self._due_ns = ABSENT
        """When profit and loss is told next; ABSENT while nothing is open to trading."""
        self._until_ns = 0
        """The last gate closure."""

    # What there is to hold.

    def on_start(self) -> Outcome:
        """Learn what is already listed."""
        return self._learn_all()

    def on_resume(self) -> Outcome:
        """Tell of what was delivered meanwhile, learn what was listed."""
        return [*self._settle(), *self._learn_all()]

    def on_zone_definition(self, zone: ZoneDefinition) -> Outcome:
        """Learn a zone's grid, for schedules may come before any listing."""
        try:
            self._grid.define_zone(zone)
        except EnergyError as error:
            return self._off_grid(zone.code, error)
        return None

    def on_listing_definition(self, listing: ListingDefinition) -> Outcome:
        """Make room for positions in a listing; where there is none, say so. Settle what has been delivered by now."""
        return [*self._settle(), *self._learn(listing)]

    def on_reference_table(self, table: ReferenceTable) -> Outcome:
        """Charge what a new table of fees says from now on."""
        if table.name == "fees":
            self._fees.renew()
        return None

    def _learn_all(self) -> list[Event]:
        if self._one_currency is not None:
            self._one_currency.start()
        self._fees.renew()
        return [event for listing in self.ctx.listings() for event in self._learn(listing)]

    def _learn(self, listing: ListingDefinition, *, late: bool = False) -> list[Event]:
        """Take in a listing, unless it is over; *late*: even then, for what is told of it afterwards."""
        contract = self.ctx.contract(listing.contract_id)
        zone = self.ctx.zone(contract.zone_id) if contract is not None else None
        listed = instrument(listing, contract, zone)
        if listed.listing_id in self._instruments or (listed.over_ns <= self.ctx.now_ns and not late):
            return []
        if len(self._instruments) >= self.config.listings_max:
            return [
                self.ctx.alert(
                    "portfolio.full", Severity.ERROR, f"listing {listing.name}, number {listing.listing_id}",
                    f"at most {self.config.listings_max} listings",
                    "its fills are not valued; raise listings_max",
                )
            ]  # fmt: skip
        out: list[Event] = []
        if contract is not None and zone is not None:
            try:
                self._grid.define(listing, contract, zone)
            except EnergyError as error:
                out.append(self._off_grid(listing.name, error))
        self._instruments[listed.listing_id] = listed
        self._by_name[listed.contract, listed.venue_id] = listed.listing_id
        self._marks.add(listed.listing_id)
        heapq.heappush(self._over, (listed.over_ns, listed.listing_id))
        self._cascading.expect(listed)
        if not listing.reference_only:
            self._until_ns = max(self._until_ns, listed.gate_closure_ns)
            if self.ctx.now_ns <= self._until_ns:
                self._tell_soon()
        out += self._fees.learn(listed)
        for trade in self._externals.arrived(listed.listing_id):
            out += self._count(trade, listed)
        return out + self._told_moves(*self._cascading.again())

    def _off_grid(self, subject: str, error: EnergyError) -> Alert:
        return self.ctx.alert(
            "portfolio.off_grid", Severity.ERROR, str(error), "intervals on the zone's grid",
            "its money is kept, its energy is not on the position grid; mend the definition", subject=subject,
        )  # fmt: skip

    def _settle(self) -> list[Event]:
        """Let go of listings that have been delivered; return their last figures, and the totals they are now part of.

        Cost: one comparison while there is none.
        """
        now_ns = self.ctx.now_ns
        over: list[int] = []
        while self._over and self._over[0][0] <= now_ns:
            over.append(heapq.heappop(self._over)[1])
        if not over:
            return []
        frames = _frames(self._ledger.settle(over, self._marks, now_ns))
        for listing_id in over:
            listed = self._instruments.pop(listing_id)
            if self._by_name.get((listed.contract, listed.venue_id)) == listing_id:
                del self._by_name[listed.contract, listed.venue_id]
            self._marks.drop(listing_id)
            if listing_id in self._grid:
                self._grid.drop(listing_id)
        self._grid.let_go(now_ns - _KEPT_NS)
        self._externals.forget(now_ns)
        return frames

    # What the market says.

    def on_quotes(self, frame: Frame) -> Outcome:
        """Keep the mids; a side that is empty leaves a mid as old as it is."""
        self._marks.on_quotes(frame.array, self.ctx.now_ns)
        return None

    def on_quote(self, quote: Quote) -> Outcome:
        """Keep the mid of one listing."""
        self._marks.on_quote(quote, self.ctx.now_ns)
        return None

    def on_mark(self, mark: Mark) -> Outcome:
        """Keep a settlement price, or another that somebody says."""
        self._marks.on_mark(mark, self.ctx.now_ns)
        if self._holdings:
            self._tell_soon()
        return None

    def on_fx_rate(self, rate: FxRate) -> Outcome:
        """Keep an exchange rate, where a total in one currency is wanted."""
        return self._one_currency.on_fx_rate(rate) if self._one_currency is not None else None

    def on_delivery_schedule(self, schedule: DeliverySchedule) -> Outcome:
        """Put what an asset delivers on the grid, in the place of what its source said before."""
        try:
            status = self._grid.schedule(schedule)
        except EnergyError as error:
            return self._off_grid(f"source {schedule.source_id}", error)
        if status != golden.APPLIED:
            met = EnergyError(f"amount {schedule.amount} in zone {schedule.zone_id} is refused with status {status}")
            return self._off_grid(f"source {schedule.source_id}", met)
        return None

    # What becomes of our orders, and what others traded for us.

    def on_order(self, order: Order) -> Outcome:
        """Note an order that leaves: whose it is, what it saw, and what it may yet buy or sell."""
        if order.state == _ROUTED and order.action == _NEW:
            self._orders[order.order_id] = order
        return None

    def on_execution_report(self, report: ExecutionReport) -> Outcome:
        """Return the position that a fill leads to."""
        order = self._orders.get(report.order_id)
        if report.kind != _FILL:
            if order is not None and report.kind in _CHANGED:
                self._working.change(order, report.leaves_lots if report.kind == _AMENDED else 0)
            return None
        lots = report.last_lots
        if order is not None:
            book_id, decision, arrival = order.book_id, order.decision_half_ticks, order.arrival_half_ticks
            self._working.fill(order, lots)
        else:
            book_id, decision, arrival = self._ledger.of_strategy(report.strategy_id), ABSENT, ABSENT
        holding = self._holdings.get((book_id, report.strategy_id, report.listing_id)) or self._opened(
            book_id, report.strategy_id, report.listing_id
        )
        if holding is not None:
            position = self._fill(holding, report.side, report.last_ticks, lots, decision, arrival)
            if position is not None:
                return position
        return self.ctx.alert(
            "portfolio.fill_refused", Severity.CRITICAL,
            f"fill of {lots} lots at {report.last_ticks} ticks of order {report.order_id}",
            "a known listing, and figures within 64 bits",
            "the position is not what the venue says; reconcile it by hand",
        )  # fmt: skip

    def on_external_trade(self, trade: ExternalTrade) -> Outcome:
        """Count a trade that Penstock did not send like a fill, once; keep one whose listing is not known yet."""
        listed = self._instruments.get(trade.listing_id)
        out: list[Event] = []
        if listed is None:
            definition = self.ctx.listing(trade.listing_id)
            if definition is not None:
                out += self._learn(definition, late=True)
                listed = self._instruments.get(trade.listing_id)
        if listed is not None:
            return out + self._count(trade, listed)
        kept = self._externals.wait(trade)
        return [
            *out,
            self.ctx.alert(
                "portfolio.trade_unknown_listing", Severity.ERROR,
                f"trade {trade.trade_id} of {trade.qty_lots} lots at {trade.price_ticks} ticks in listing "
                f"{trade.listing_id}", "a listing that has been announced",
                "it counts as soon as the listing is announced" if kept else
                "too many wait: it does not count; announce the listing and send it again",
            ),
        ]  # fmt: skip

    def _count(self, trade: ExternalTrade, listed: Instrument) -> list[Event]:
        """Return the position that an external trade leads to."""
        source = TradeSource._value2member_map_.get(trade.source, TradeSource.UNKNOWN)
        dealt = f"{trade.qty_lots} lots at {trade.price_ticks} ticks"
        what = f"{source.name.lower()} trade {trade.trade_id} of {dealt} in {listed.name}"
        if not self._externals.count(trade, listed.over_ns):
            return [
                self.ctx.alert(
                    "portfolio.trade_twice", Severity.WARNING, what, "each trade of a listing and source once",
                    "it counts once; a second trade has a number of its own, a correction is a trade that takes back",
                )
            ]  # fmt: skip
        holding = self._open(trade.book_id, trade.strategy_id, listed)
        self._fees.charge_external(holding, trade)
        position = self._fill(holding, trade.side, trade.price_ticks, trade.qty_lots, ABSENT, ABSENT)
        self._fees.charge_today(holding)
        if position is None:
            return [
                self.ctx.alert(
                    "portfolio.fill_refused", Severity.CRITICAL, what,
                    "a side, a price, lots, and figures within 64 bits",
                    "the position is not what was traded; correct it by hand",
                )
            ]  # fmt: skip
        out: list[Event] = [position]
        self._tell_soon()
        if self._cascading.ended(listed.listing_id):
            out += self._told_moves(*self._cascading.move(listed.listing_id))
        return out

    def _fill(
        self, holding: Holding, side: int, price_ticks: int, lots: int, decision: int, arrival: int
    ) -> Position | None:
        """Add a trade to what is held, its money and its energy; return the position, None where it is refused."""
        cells, directory, pool = self._grid.arrays
        out = self._booked
        # A plain int: compiled code takes an IntEnum too, but looks up its type for 30 µs each time.
        status = self._book(
            self._ledger.table, holding.row, int(side), price_ticks, lots, decision, arrival, cells, directory, pool,
            holding.segments, holding.track, out,
        )  # fmt: skip
        if status != _APPLIED:
            if status != _NEEDS_ROWS:
                return None
            self._grid.more_rows()
            return self._fill(holding, side, price_ticks, lots, decision, arrival)
        net, bought, sold, cash, largest = out.tolist()
        self._marks.last_ticks[holding.listing_id] = price_ticks
        return Position(
            holding.listing_id, holding.strategy_id, holding.book_id, holding.currency_id, 0, 0,
            net, bought, sold, cash, largest // holding.amount_per_lot,
        )  # fmt: skip

    def _position(self, holding: Holding) -> Position:
        """Return what is held now."""
        row = self._ledger.table[holding.row].tolist()
        cells, directory, _ = self._grid.arrays
        largest = self._largest(cells, directory, holding.segments, holding.track)
        return Position(
            holding.listing_id, holding.strategy_id, holding.book_id, holding.currency_id, 0, 0,
            row[golden.POSITION_NET], row[golden.POSITION_BOUGHT], row[golden.POSITION_SOLD], row[golden.POSITION_CASH],
            largest // holding.amount_per_lot,
        )  # fmt: skip

    def _opened(self, book_id: int, strategy_id: int, listing_id: int) -> Holding | None:
        listed = self._instruments.get(listing_id)
        return None if listed is None else self._open(book_id, strategy_id, listed)

    def _open(self, book_id: int, strategy_id: int, listed: Instrument) -> Holding:
        """Return what an account holds of a listing, with the fees of today where it is new."""
        known = self._ledger.holdings.get((book_id, strategy_id, listed.listing_id))
        if known is not None:
            return known
        holding = self._ledger.open(book_id, strategy_id, listed)
        self._fees.charge_today(holding)
        return holding

    # Profit and loss.

    def on_timer(self, timer: Timer) -> Outcome:
        """Tell what has changed, and when to tell next; or cascade a contract that ends; or charge a new day's fees."""
        if timer.tag == _NEW_DAY:
            self._fees.renew()
            return None
        if timer.tag != _TELL:
            return self._told_moves(*self._cascading.move(timer.tag))
        self._due_ns = ABSENT
        if self.ctx.now_ns <= self._until_ns:
            self._tell_soon()
        return self._tell(all_rows=False)

    def on_stop(self) -> Outcome:
        """Tell everything."""
        return self._tell(all_rows=True)

    def _tell_soon(self) -> None:
        """Ask to be woken at the next whole period, unless that is so already."""
        if self._due_ns == ABSENT:
            self._due_ns = (self.ctx.now_ns // self._period_ns + 1) * self._period_ns
            self.ctx.set_timer(self._due_ns)

    def _told_moves(self, events: list[Event], changed: list[Holding]) -> list[Event]:
        """Return what a cascade leads to: itself, the positions that changed, and what they are worth."""
        if not changed:
            return events
        out = [*events, *(self._position(holding) for holding in changed)]
        return out + self._tell(all_rows=False)

    def _tell(self, *, all_rows: bool) -> list[Event]:
        """Return frames of Pnl and PnlAttribution: per account what has changed since last told, and its totals."""
        out = _frames(self._ledger.told(self._marks, self.ctx.now_ns, all_rows=all_rows))
        if self._one_currency is not None:
            out += self._one_currency.tell(self._totals())
        return out

    def _totals(self) -> npt.NDArray[np.void]:
        """Return every account's totals as they are now; what is told next does not change by it."""
        parts = self._ledger.told(self._marks, self.ctx.now_ns, all_rows=True, remember=False)
        rows: npt.NDArray[np.void] = np.concatenate([np.empty(0, layout_of(Pnl).dtype), *(pnl for pnl, _ in parts)])
        totals: npt.NDArray[np.void] = rows[rows["listing_id"] == 0]
        return totals

    # For those who look.

    @property
    def grid(self) -> DeliveryGrid:
        """The position grid, working orders and all: ask it, do not change it."""
        self._working.put_on(self._grid)
        return self._grid

    def standing(self) -> list[Record]:
        """Return what is held and what was made, at the marks of now; what is told next does not change by it."""
        out: list[Record] = [
            self._position(holding)
            for holding in self._ledger.holdings.values()
            if self._ledger.table[holding.row, golden.POSITION_NET]
        ]
        totals = self._totals()
        return out + (list(Frame(Pnl, totals).records()) if len(totals) else [])

    def snapshot(self) -> dict[str, Any]:
        """Return everything, as msgpack carries it."""
        return {
            "version": _STATE_VERSION,
            "instruments": [list(listed) for listed in self._instruments.values()],
            "ledger": self._ledger.snapshot(),
            "marks": self._marks.snapshot(),
            "grid": self._grid.snapshot(),
            "working": self._working.snapshot(),
            "externals": self._externals.snapshot(),
            "cascading": self._cascading.snapshot(),
            "one_currency": self._one_currency.snapshot() if self._one_currency is not None else None,
            "times": [self._due_ns, self._until_ns],
            "fees": self._fees.snapshot(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned.

        Raises:
            ValueError: it is of another version.
        """
        check_state(state, _STATE_VERSION, self.ctx.name)
        for fields in state["instruments"]:
            listed = Instrument.restored(fields)
            self._instruments[listed.listing_id] = listed
            self._by_name[listed.contract, listed.venue_id] = listed.listing_id
        self._over = sorted((listed.over_ns, listed.listing_id) for listed in self._instruments.values())
        self._grid.restore(state["grid"])
        self._ledger.restore(state["ledger"], self._instruments)
        self._marks.restore(state["marks"])
        self._working.restore(state["working"])
        self._orders = self._working.orders
        self._externals.restore(state["externals"])
        self._cascading.restore(state["cascading"])
        if self._one_currency is not None and state["one_currency"] is not None:
            self._one_currency.restore(state["one_currency"])
        self._due_ns, self._until_ns = state["times"]
        self._fees.restore(state["fees"])


def _frames(parts: list[Told]) -> list[Event]:
    """Return rows of Pnl in frames, and beside each as many of PnlAttribution."""
    out: list[Event] = []
    if not parts:
        return out
    pnl, attribution = (np.concatenate(rows) for rows in zip(*parts, strict=True))
    for at in range(0, len(pnl), FRAME_RECORDS_MAX):
        end = at + FRAME_RECORDS_MAX
        out += [Frame(Pnl, pnl[at:end].copy()), Frame(PnlAttribution, attribution[at:end].copy())]
    return out
