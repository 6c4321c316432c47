"""Positions, profit and loss: every trade of ours, valued at its mark; all money in whole 10⁻⁶ of the currency.

An account is a book and a strategy. A fill of an order of ours, or an `ExternalTrade` that somebody else sent, gives a
`Position`; every some minutes, and when the run stops, frames of `Pnl` and of `PnlAttribution` give what has changed
per account and listing, and with listing 0 what an account has made in all, per currency. Money is kept by
`penstock_sdk.golden.positions`, compiled; energy on the grid of delivery intervals, `DeliveryGrid`, so that an hour
bought and its four quarter-hours sold are flat, and a month bought is covered by its days. What fills, fees, marks and
cascades do is said in docs/energy.md.

Once a listing has been delivered its figures are told for the last time: what was still held there counts as settled at
the last mark, all profit as realised. From then on it stands in the account's totals alone, where what `CashFlow`s of
imbalance and swaps paid for it takes the place of that mark. A trade that is told later goes on from these figures.
"""

from __future__ import annotations

import heapq
from typing import Annotated, Any

import msgspec
import numpy as np

from penstock_plugins.portfolio.cascading import Cascading
from penstock_plugins.portfolio.fees import Fees
from penstock_plugins.portfolio.ledger import Holding, Ledger
from penstock_plugins.portfolio.marks import Marks
from penstock_plugins.portfolio.one_currency import OneCurrency
from penstock_plugins.portfolio.shapes import Shapes
from penstock_plugins.portfolio.telling import Telling, frames
from penstock_plugins.portfolio.trading import Trading, compiled_booking
from penstock_plugins.portfolio.working import Working
from penstock_sdk.context import Context
from penstock_sdk.delivery_grid import DeliveryGrid
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.events import (
    Alert,
    CashKind,
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
    Quote,
    ReferenceTable,
    ReportKind,
    Severity,
    Timer,
    ZoneDefinition,
)
from penstock_sdk.externals import Externals
from penstock_sdk.golden import positions as golden
from penstock_sdk.instruments import Instrument, instrument
from penstock_sdk.plugin import Outcome, Portfolio
from penstock_sdk.schema import ABSENT, Event, Frame, Record
from penstock_sdk.slots import check_state

__all__ = ["Positions", "PositionsConfig"]

_FILL, _ROUTED, _NEW = int(ReportKind.FILL), int(OrderState.ROUTED), int(IntentAction.NEW)
_AMENDED = int(ReportKind.AMENDED)
_SWAP, _IMBALANCE = int(CashKind.SWAP), int(CashKind.IMBALANCE)
_CHANGED = (int(ReportKind.CANCELLED), int(ReportKind.EXPIRED), int(ReportKind.REJECTED), _AMENDED)
_STATE_VERSION = 5
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
    keep_days: Annotated[int, msgspec.Meta(ge=1, le=3660)] = 100
    """For how long after delivery cash flows may replace what it was valued at; as settlement's."""
    late_days: Annotated[int, msgspec.Meta(ge=1, le=3660)] = 45
    """For how long after delivery a trade that is told late is added to what its account had there; by default as long
    as the numbers of trades are remembered. Memory grows with it."""
    report_currency: Annotated[str, msgspec.Meta(pattern="^([A-Z]{3})?$")] = ""
    """Currency that the total of all accounts is told in, too; empty: none."""
    fx_age_h_max: Annotated[float, msgspec.Meta(gt=0, le=10**5)] = 96.0
    """How old an exchange rate may be for that: from a Friday's fixing over a long weekend."""


class Positions(Portfolio):
    """Positions per book, strategy and listing, and what they have made."""

    Config = PositionsConfig
    config: PositionsConfig

    def __init__(self, ctx: Context, config: PositionsConfig | None = None) -> None:
        super().__init__(ctx, config)
        self._instruments: dict[int, Instrument] = {}
        """By listing, of those that are not over."""
        self._by_name: dict[tuple[str, int], int] = {}
        """The listing of a contract's name at a venue."""
        self._over: list[tuple[int, int]] = []
        """(when it is over, listing), a heap."""
        self._shapes = Shapes(ctx)
        self._marks = Marks(self._instruments, self._by_name, self._shapes)
        self._grid = DeliveryGrid()
        self._working = Working()
        self._orders = self._working.orders
        self._externals = Externals()
        kept_ns = self.config.late_days * _DAY_NS
        self._ledger = Ledger(compiled_booking().figures, self._grid, self._shapes, kept_ns)
        self._paid = self._ledger.paid
        self._holdings = self._ledger.holdings
        cfg = self.config
        self._fees = Fees(ctx, self._instruments, self._ledger, cfg.fee_micro_per_mwh, timer_tag=_NEW_DAY)
        self._trading = Trading(ctx, self._grid, self._ledger, self._marks, self._fees, self._externals)
        self._fill = self._trading.fill
        self._swept_day = 0
        self._cascading = Cascading(
            ctx, self._instruments, self._ledger, self._marks, self._grid, self._trading.open
        )  # fmt: skip
        self._one_currency = (
            OneCurrency(ctx, cfg.report_currency, round(cfg.fx_age_h_max * 3.6e12)) if cfg.report_currency else None
        )
        period_ns = round(cfg.pnl_period_s * 1e9)
        self._telling = Telling(ctx, self._ledger, self._marks, period_ns, self._one_currency, timer_tag=_TELL)

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
        settled = self._ledger.closed.mark(listed.listing_id)
        if settled is not None:
            self._marks.settled_at(listed.listing_id, *settled)
        heapq.heappush(self._over, (listed.over_ns, listed.listing_id))
        self._cascading.expect(listed)
        if not listing.reference_only:
            self._telling.trades_until(listed.gate_closure_ns)
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
        told = frames(self._ledger.settle(over, self._marks, now_ns))
        for listing_id in over:
            listed = self._instruments.pop(listing_id)
            if self._by_name.get((listed.contract, listed.venue_id)) == listing_id:
                del self._by_name[listed.contract, listed.venue_id]
            self._marks.drop(listing_id)
            if listing_id in self._grid:
                self._grid.drop(listing_id)
        self._grid.let_go(now_ns - _KEPT_NS)
        self._externals.forget(now_ns)
        self._ledger.closed.forget(now_ns)
        if now_ns // _DAY_NS != self._swept_day:
            self._swept_day = now_ns // _DAY_NS
            self._paid.let_go(now_ns - self.config.keep_days * _DAY_NS)
        return told

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
            self._telling.soon()
        return None

    def on_fx_rate(self, rate: FxRate) -> Outcome:
        """Keep an exchange rate, where a total in one currency is wanted."""
        return self._one_currency.on_fx_rate(rate) if self._one_currency is not None else None

    def on_cash_flows(self, frame: Frame) -> Outcome:
        """Let what was paid for imbalance and swaps take the place of the last marks."""
        self._paid.expected = True
        rows = frame.array[np.isin(frame.array["kind"], (_SWAP, _IMBALANCE))]
        if not len(rows):
            return None
        told = self._settle()
        for row in rows:
            book_id, currency_id, amount = int(row["book_id"]), int(row["currency_id"]), int(row["amount_micro"])
            start_ns = int(row["delivery_start_ns"])
            if row["kind"] == _IMBALANCE:
                self._paid.imbalance((book_id, int(row["zone_id"])), currency_id, start_ns, amount)
            else:
                owner = (book_id, int(row["strategy_id"]), currency_id)
                self._paid.swap(owner, int(row["listing_id"]), (start_ns, int(row["delivery_end_ns"])), amount)
        self._telling.soon()
        return told

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
            if lots == order.qty_lots:
                del self._orders[order.order_id]
            else:
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
        """Return what a trade from outside leads to: a position, and where its contract has ended, a cascade."""
        booked = self._trading.external(trade, listed)
        if isinstance(booked, Alert):
            return [booked]
        self._telling.soon()
        if not self._cascading.ended(listed.listing_id):
            return [booked]
        return [booked, *self._told_moves(*self._cascading.move(listed.listing_id))]

    def _opened(self, book_id: int, strategy_id: int, listing_id: int) -> Holding | None:
        """Return a new holding; None where the listing is not known."""
        listed = self._instruments.get(listing_id)
        return None if listed is None else self._trading.open(book_id, strategy_id, listed)

    # Profit and loss.

    def on_timer(self, timer: Timer) -> Outcome:
        """Tell what has changed, and when to tell next; or cascade a contract that ends; or charge a new day's fees."""
        if timer.tag == _NEW_DAY:
            self._fees.renew()
            return None
        if timer.tag != _TELL:
            return self._told_moves(*self._cascading.move(timer.tag))
        return self._telling.due()

    def on_stop(self) -> Outcome:
        """Tell everything."""
        return self._telling.tell(all_rows=True)

    def _told_moves(self, events: list[Event], changed: list[Holding]) -> list[Event]:
        """Return what a cascade leads to: itself, the positions that changed, and what they are worth."""
        if not changed:
            return events
        positions = [self._trading.position(holding) for holding in changed]
        return [*events, *positions, *self._telling.tell(all_rows=False)]

    # For those who look.

    @property
    def grid(self) -> DeliveryGrid:
        """The position grid, working orders and all: ask it, do not change it."""
        self._working.put_on(self._grid)
        return self._grid

    def standing(self) -> list[Record]:
        """Return what is held and what was made, at the marks of now; what is told next does not change by it."""
        out: list[Record] = [
            self._trading.position(holding)
            for holding in self._ledger.holdings.values()
            if self._ledger.table[holding.row, golden.POSITION_NET]
        ]
        totals = self._telling.totals()
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
            "times": [self._telling.due_ns, self._telling.until_ns],
            "fees": self._fees.snapshot(),
            "swept_day": self._swept_day,
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
        self._telling.due_ns, self._telling.until_ns = state["times"]
        self._fees.restore(state["fees"])
        self._swept_day = state["swept_day"]
