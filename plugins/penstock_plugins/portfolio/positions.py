"""Positions, profit and loss: every fill of ours, valued at the last mid; all money in whole 10⁻⁶ of the currency.

Each strategy has a position grid of its own, `penstock_sdk.golden.positions`, compiled. It nets on the grid of delivery
intervals, so that an hour bought and its four quarter-hours sold are flat. A fill gives a `Position`; every some
minutes, and when the run stops, a frame of `Pnl` gives what has changed per strategy and listing, and with listing 0
what a strategy has made in all, per currency. Fees are a price per MWh traded.

Once a listing has been delivered its figures are told for the last time: what was still held there counts as settled at
the last mid, all profit as realised. From then on it stands in the strategy's totals alone, and its row of the grid is
free for another, so that a portfolio of weeks is no larger than one of two days.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from penstock_sdk.compiled import compile_golden
from penstock_sdk.context import Context
from penstock_sdk.events import (
    ExecutionReport,
    ListingDefinition,
    Order,
    Pnl,
    Position,
    Quote,
    ReportKind,
    Severity,
    Timer,
)
from penstock_sdk.golden import positions as golden
from penstock_sdk.golden.mids import keep_mid, keep_mids
from penstock_sdk.grid_room import GridRoom
from penstock_sdk.plugin import Outcome, Portfolio
from penstock_sdk.schema import ABSENT, FRAME_RECORDS_MAX, Event, Frame, Record, layout_of
from penstock_sdk.slots import check_state, over_ns

__all__ = ["Positions", "PositionsConfig"]

_FILL = int(ReportKind.FILL)
_STATE_VERSION = 2
_MINUTE_NS = 60_000_000_000
_KW_MINUTES_PER_MWH = 60_000
_LINKS_PER_INTERVAL = 4
"""Listings that deliver in an interval, on average at most: a quarter-hour, its hour, and some more."""

Room = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
"""How many there is memory for, 64 bytes each and strategy."""


class PositionsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often profit and loss is told, and what trading costs."""

    pnl_period_s: Annotated[float, msgspec.Meta(ge=1, le=10**6)] = 900.0
    """From one telling of profit and loss to the next, in seconds."""
    fee_micro_per_mwh: Annotated[int, msgspec.Meta(ge=-(10**9), le=10**9)] = 100_000
    """The venue's fee on each MWh bought or sold, in 10⁻⁶ of the currency; negative is a rebate."""
    listings_max: Room = 512
    """Listings that there is room for, of those that are not delivered yet."""
    intervals_max: Room = 2_048
    """Delivery intervals that there is room for, of the same."""


class _Listing(NamedTuple):
    """What is needed to value a listing."""

    slots: list[int]
    """The grids' numbers of its delivery intervals."""
    lot_kw: int
    cash_micro_per_lot_tick: int
    kw_minutes_per_lot: int
    currency_id: int
    gate_closure_ns: int


class _Account:
    """A strategy's grid, views into it, and what was last told of it."""

    __slots__ = ("grid", "interval_kw", "past", "rows", "told")

    def __init__(self, grid: golden.Table, told: npt.NDArray[np.int64]) -> None:
        self.grid = grid
        self.past: dict[int, list[int]] = {}
        """(realised, fees) of what has been delivered, by currency."""
        self.rows: golden.Table = golden.positions(grid)[0]
        self.interval_kw: golden.Table = golden.interval_net_kw(grid)[0]
        self.told = told
        """(realised, unrealised, fees or number of fills; slot), as last told."""


@cache
def _compiled() -> SimpleNamespace:
    """Return the compiled grid, the functions used here called once so that no fill waits for the compiler."""
    compiled = compile_golden(golden)
    grid = golden.new_grid(1, 1, 1, 1)
    compiled.apply_fill(grid, 0, 0, 1, 1, 1)
    compiled.mark_frame(grid, np.zeros((1, 1), np.int64), np.zeros((1, 1), np.int64))
    return compiled


class Positions(Portfolio):
    """Positions per strategy and listing, and what they have made. Cost: about 2 µs a fill."""

    Config = PositionsConfig
    config: PositionsConfig

    def __init__(self, ctx: Context, config: PositionsConfig | None = None) -> None:
        super().__init__(ctx, config)
        self._period_ns = round(self.config.pnl_period_s * 1e9)
        cfg = self.config
        self._accounts: dict[int, _Account] = {}
        """By strategy."""
        self._books: dict[int, int] = {}
        self._listings: dict[int, _Listing] = {}
        self._room = GridRoom(cfg.listings_max, cfg.intervals_max, _LINKS_PER_INTERVAL * cfg.intervals_max)
        """The grids' number of each listing, its slot, and of each delivery interval."""
        self._mid: npt.NDArray[np.int64] = np.full((2, cfg.listings_max + 1), ABSENT, np.int64)
        """(last mid in ticks or when it was seen, slot)."""
        self._due_ns = ABSENT
        """When profit and loss is told next; ABSENT while nothing is open to trading."""
        self._until_ns = 0
        """The last gate closure."""
        compiled = _compiled()
        self._apply: Callable[..., int] = compiled.apply_fill
        self._mark_frame: Callable[..., None] = compiled.mark_frame

    # What there is to hold.

    def on_start(self) -> Outcome:
        """Learn what is already listed."""
        return [event for listing in self.ctx.listings() for event in self._learn(listing)]

    def on_resume(self) -> Outcome:
        """Tell of what was delivered meanwhile, learn what was listed."""
        return [*self._settle(), *(event for listing in self.ctx.listings() for event in self._learn(listing))]

    def on_listing_definition(self, listing: ListingDefinition) -> Outcome:
        """Make room for positions in a listing; where there is none, say so. Settle what has been delivered by now."""
        return [*self._settle(), *self._learn(listing)]

    def _learn(self, listing: ListingDefinition) -> list[Event]:
        if listing.listing_id in self._listings or over_ns(listing) <= self.ctx.now_ns:
            return []
        cfg, intervals_used = self.config, self._room.used(listing)
        slots = self._room.take(listing)
        if slots is None:
            return [
                self.ctx.alert(
                    "portfolio.full", Severity.ERROR,
                    f"listing {listing.name}, number {listing.listing_id}, with {intervals_used} delivery intervals in "
                    "all",
                    f"at most {cfg.listings_max} listings and {cfg.intervals_max} delivery intervals",
                    "its fills are not valued; raise listings_max and intervals_max",
                )
            ]  # fmt: skip
        contract = self.ctx.contract(listing.contract_id)
        minutes = listing.interval_ns * listing.interval_count // _MINUTE_NS
        self._listings[listing.listing_id] = _Listing(
            slots, listing.lot_kw, max(1, listing.cash_micro_per_lot_tick), listing.lot_kw * minutes,
            contract.currency_id if contract is not None else 0, listing.gate_closure_ns,
        )  # fmt: skip
        for account in self._accounts.values():
            self._define(account.grid, listing.listing_id)
        self._until_ns = max(self._until_ns, listing.gate_closure_ns)
        if self._due_ns == ABSENT and self.ctx.now_ns <= self._until_ns:
            self._tell_next()
        return []

    def _settle(self) -> list[Event]:
        """Let go of listings that have been delivered; return their last figures, and the totals they are now part of.

        Cost: one comparison while there is none.
        """
        over = self._room.over(self.ctx.now_ns)
        if not over:
            return []
        slot_of = self._room.slots.slot_of
        slots = np.array([slot_of[listing_id] for listing_id, _, _ in over])
        parts = [self._settled(strategy_id, account, slots) for strategy_id, account in self._accounts.items()]
        for slot, (listing_id, _, _) in zip(slots.tolist(), over, strict=True):
            for account in self._accounts.values():
                golden.drop_contract(account.grid, slot)
                account.told[:, slot] = 0
            self._room.drop(listing_id)
            del self._listings[listing_id]
            self._mid[:, slot] = ABSENT
        return _frames(parts)

    def _settled(self, strategy_id: int, account: _Account, slots: npt.NDArray[np.int64]) -> npt.NDArray[np.void]:
        """Return the rows that an account's delivered listings are last told by; keep their sums."""
        figures, marks, traded = self._figures(account)
        last = np.intersect1d(traded, slots)
        # What was held to the end is worth its last mark; where even that is not known, nothing more than it cost.
        figures[0, last] += np.where(figures[1, last] == ABSENT, 0, figures[1, last])
        figures[1, last] = 0
        rows = self._as_rows(strategy_id, account, figures, marks, traded, last)
        for slot in last.tolist():
            currency_id = self._listings[self._room.slots.listing_at[slot]].currency_id
            past = account.past.setdefault(currency_id, [0, 0])
            past[0] += figures.item(0, slot)
            past[1] += figures.item(2, slot)
        return rows

    def _define(self, grid: golden.Table, listing_id: int) -> None:
        listing = self._listings[listing_id]
        golden.define_contract(
            grid,
            self._room.slots.slot_of[listing_id],
            listing.slots,
            cash_micro_per_lot_tick=listing.cash_micro_per_lot_tick,
            kw_per_lot=listing.lot_kw,
        )

    def _account(self, strategy_id: int) -> _Account:
        """Return a strategy's account, a new one at its first fill."""
        account = self._accounts.get(strategy_id)
        if account is None:
            cfg = self.config
            width = cfg.listings_max + 1
            grid = golden.new_grid(1, width, cfg.intervals_max, _LINKS_PER_INTERVAL * cfg.intervals_max)
            for listing_id in self._listings:
                self._define(grid, listing_id)
            account = self._accounts[strategy_id] = _Account(grid, np.zeros((4, width), np.int64))
        return account

    # What the market says, and what becomes of our orders.

    def on_quotes(self, frame: Frame) -> Outcome:
        """Keep the mids; a side that is empty leaves a mid as old as it is."""
        keep_mids(self._mid, frame.array, self.ctx.now_ns, self._room.slots)
        return None

    def on_quote(self, quote: Quote) -> Outcome:
        """Keep the mid of one listing."""
        keep_mid(self._mid, quote, self.ctx.now_ns, self._room.slots)
        return None

    def on_order(self, order: Order) -> Outcome:
        """Learn which book a strategy trades for."""
        self._books[order.strategy_id] = order.book_id
        return None

    def on_execution_report(self, report: ExecutionReport) -> Outcome:
        """Return the position that a fill leads to."""
        if report.kind != _FILL:
            return None
        listing_id, strategy_id = report.listing_id, report.strategy_id
        account = self._accounts.get(strategy_id) or self._account(strategy_id)
        slot = self._room.slots.slot_of.get(listing_id, 0)  # slot 0 is no contract of the grid's
        # A plain int: compiled code takes an IntEnum too, but looks up its type for 30 µs each time.
        status = self._apply(account.grid, 0, slot, int(report.side), report.last_ticks, report.last_lots)
        listing = self._listings.get(listing_id)
        if status != golden.APPLIED or listing is None:
            return self.ctx.alert(
                "portfolio.fill_refused", Severity.CRITICAL,
                f"fill of {report.last_lots} lots at {report.last_ticks} ticks of order {report.order_id}",
                "a known listing, and figures within 64 bits",
                "the position is not what the venue says; reconcile it by hand",
            )  # fmt: skip
        row = account.rows[slot].tolist()
        item = account.interval_kw.item
        return Position(
            listing_id, strategy_id, self._books.get(strategy_id, 0), listing.currency_id, 0, 0,
            row[golden.POSITION_NET], row[golden.POSITION_BOUGHT], row[golden.POSITION_SOLD], row[golden.POSITION_CASH],
            max([abs(item(interval)) for interval in listing.slots]) // listing.lot_kw,
        )  # fmt: skip

    # Profit and loss.

    def on_timer(self, timer: Timer) -> Outcome:
        """Tell what has changed, and when to tell next."""
        self._due_ns = ABSENT
        if self.ctx.now_ns <= self._until_ns:
            self._tell_next()
        return self._tell(all_rows=False)

    def on_stop(self) -> Outcome:
        """Tell everything."""
        return self._tell(all_rows=True)

    def _tell_next(self) -> None:
        """Ask to be woken at the next whole period."""
        self._due_ns = (self.ctx.now_ns // self._period_ns + 1) * self._period_ns
        self.ctx.set_timer(self._due_ns)

    def _tell(self, *, all_rows: bool) -> list[Event]:
        """Return frames of Pnl: per strategy the rows that changed since last told, and its totals."""
        return _frames([self._rows(strategy_id, account, all_rows) for strategy_id, account in self._accounts.items()])

    def _rows(self, strategy_id: int, account: _Account, all_rows: bool) -> npt.NDArray[np.void]:
        """Return one strategy's rows, then its totals per currency; none when nothing has changed."""
        figures, marks, traded = self._figures(account)
        changed = traded if all_rows else traded[(figures != account.told)[:, traded].any(axis=0)]
        account.told = figures
        return self._as_rows(strategy_id, account, figures, marks, traded, changed, totals=all_rows)

    def _as_rows(
        self,
        strategy_id: int,
        account: _Account,
        figures: npt.NDArray[np.int64],
        marks: npt.NDArray[np.int64],
        traded: npt.NDArray[np.int64],
        changed: npt.NDArray[np.int64],
        *,
        totals: bool = False,
    ) -> npt.NDArray[np.void]:
        """Return the rows of the slots *changed*; and where any has, or *totals* are wanted, those per currency."""
        listing_at = self._room.slots.listing_at
        currency = {slot: self._listings[listing_at[slot]].currency_id for slot in traded.tolist()}
        currencies = list(dict.fromkeys((*currency.values(), *account.past))) if len(changed) or totals else []
        rows = np.zeros(len(changed) + len(currencies), layout_of(Pnl).dtype)
        rows["strategy_id"], rows["book_id"] = strategy_id, self._books.get(strategy_id, 0)
        for field in ("mark_ticks", "mark_age_ns", "source_ns", "recv_ns"):
            rows[field] = ABSENT
        top = rows[: len(changed)]
        top["listing_id"] = [listing_at[slot] for slot in changed.tolist()]
        top["currency_id"] = [currency[slot] for slot in changed.tolist()]
        top["mark_ticks"] = marks[changed]
        seen_ns = self._mid[1, changed]
        top["mark_age_ns"] = np.where(seen_ns == ABSENT, ABSENT, self.ctx.now_ns - seen_ns)
        for at, currency_id in enumerate(currencies, len(changed)):
            rows[at]["currency_id"] = currency_id
        for nth, field in enumerate(("realised_micro", "unrealised_micro", "fees_micro")):
            top[field] = figures[nth, changed]
            for at, currency_id in enumerate(currencies, len(changed)):
                past = account.past.get(currency_id, (0, 0))
                rows[at][field] = (past[0], 0, past[1])[nth] + sum(
                    figures[nth, slot].item() for slot in traded.tolist() if currency[slot] == currency_id
                )
        return rows

    def standing(self) -> list[Record]:
        """Return what is held and what was made, at the mids of now; what is told next does not change by it."""
        out: list[Record] = []
        for strategy_id, account in self._accounts.items():
            told = account.told
            rows = self._rows(strategy_id, account, all_rows=True)
            account.told = told
            for listing_id in rows["listing_id"][rows["listing_id"] > 0].tolist():
                net_lots = account.rows.item(self._room.slots.slot_of[listing_id], golden.POSITION_NET)
                if net_lots:
                    out.append(Position(listing_id, strategy_id, net_lots=net_lots))
            totals = rows[rows["listing_id"] == 0]
            out += Frame(Pnl, totals).records() if len(totals) else ()
        return out

    def _figures(self, account: _Account) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return (realised, unrealised, fees, fills; slot), marks in ticks, and the slots of listings traded.

        Where no mid was ever seen the last fill's price is the mark.
        """
        rows = account.rows
        marks = np.where(self._mid[0] == ABSENT, rows[:, golden.POSITION_LAST], self._mid[0])
        figures = np.zeros_like(account.told)
        figures[0] = golden.realised_micro(account.grid)[0]
        self._mark_frame(account.grid, marks.reshape(-1, 1), figures[1:2])
        figures[3] = rows[:, golden.POSITION_FILLS]
        traded = np.flatnonzero(figures[3])
        for slot in traded.tolist():
            lots = rows.item(slot, golden.POSITION_BOUGHT) + rows.item(slot, golden.POSITION_SOLD)
            kw_minutes = lots * self._listings[self._room.slots.listing_at[slot]].kw_minutes_per_lot
            figures[2, slot] = kw_minutes * self.config.fee_micro_per_mwh // _KW_MINUTES_PER_MWH
        return figures, marks, traded

    def snapshot(self) -> dict[str, Any]:
        """Return grids, what was told, mids and listings."""
        return {
            "version": _STATE_VERSION,
            "accounts": [
                [
                    strategy_id,
                    a.grid.copy(),
                    a.told.copy(),
                    [[currency_id, *sums] for currency_id, sums in a.past.items()],
                ]
                for strategy_id, a in self._accounts.items()
            ],
            "books": [[strategy_id, book_id] for strategy_id, book_id in self._books.items()],
            "listings": [[listing_id, *listing] for listing_id, listing in self._listings.items()],
            "room": self._room.snapshot(),
            "mid": self._mid.copy(),
            "due_ns": self._due_ns,
            "until_ns": self._until_ns,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned.

        Raises:
            ValueError: it is of another version, or of a config with other room.
        """
        check_state(state, _STATE_VERSION, self.ctx.name)
        self._room.restore(state["room"])
        self._accounts = {}
        for strategy_id, grid, told, past in state["accounts"]:
            account = self._accounts[strategy_id] = _Account(np.array(grid, np.int64), np.array(told, np.int64))
            account.past = {currency_id: list(sums) for currency_id, *sums in past}
        self._books = dict(state["books"])
        self._listings = {listing_id: _Listing(list(slots), *rest) for listing_id, slots, *rest in state["listings"]}
        self._mid = np.array(state["mid"], np.int64)
        self._due_ns, self._until_ns = state["due_ns"], state["until_ns"]


def _frames(parts: list[npt.NDArray[np.void]]) -> list[Event]:
    """Return rows of Pnl in frames."""
    rows = np.concatenate(parts) if parts else np.empty(0, layout_of(Pnl).dtype)
    return [Frame(Pnl, rows[at : at + FRAME_RECORDS_MAX].copy()) for at in range(0, len(rows), FRAME_RECORDS_MAX)]
