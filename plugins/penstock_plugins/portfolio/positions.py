"""Positions, profit and loss: every fill of ours, valued at the last mid; all money in whole 10⁻⁶ of the currency.

Each strategy has a position grid of its own, `penstock_sdk.golden.positions`, compiled. It nets on the grid of delivery
intervals, so that an hour bought and its four quarter-hours sold are flat. A fill gives a `Position`; every some
minutes, and when the run stops, a frame of `Pnl` gives what has changed per strategy and listing, and with listing 0
what a strategy has made in all, per currency. Fees are a price per MWh traded.
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
from penstock_sdk.plugin import Outcome, Portfolio
from penstock_sdk.schema import ABSENT, FRAME_RECORDS_MAX, Event, Frame, layout_of

__all__ = ["Positions", "PositionsConfig"]

_FILL = int(ReportKind.FILL)
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
    """Listings that there is room for."""
    intervals_max: Room = 2_048
    """Delivery intervals that there is room for."""


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

    __slots__ = ("grid", "interval_kw", "rows", "told")

    def __init__(self, grid: golden.Table, told: npt.NDArray[np.int64]) -> None:
        self.grid = grid
        self.rows: golden.Table = golden.positions(grid)[0]
        self.interval_kw: golden.Table = golden.interval_net_kw(grid)[0]
        self.told = told
        """(realised, unrealised, fees or number of fills; listing id), as last told."""


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
        width = self.config.listings_max + 1
        self._accounts: dict[int, _Account] = {}
        """By strategy."""
        self._books: dict[int, int] = {}
        self._listings: dict[int, _Listing] = {}
        self._slot_of: dict[int, int] = {}
        """The grids' number of each delivery interval."""
        self._mid: npt.NDArray[np.int64] = np.full((2, width), ABSENT, np.int64)
        """(last mid in ticks or when it was seen, listing id)."""
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
        alerts = [self.on_listing_definition(listing) for listing in self.ctx.listings()]
        return [alert for alert in alerts if alert is not None]  # type: ignore[misc]

    def on_listing_definition(self, listing: ListingDefinition) -> Outcome:
        """Make room for positions in a listing; where there is none, say so."""
        if listing.listing_id in self._listings:
            return None
        cfg = self.config
        first = listing.interval_start_ns // listing.interval_ns
        intervals = range(first, first + listing.interval_count)
        slots_used = len(self._slot_of) + sum(interval not in self._slot_of for interval in intervals)
        links_used = sum(len(held.slots) for held in self._listings.values()) + len(intervals)
        links_max = _LINKS_PER_INTERVAL * cfg.intervals_max
        if listing.listing_id > cfg.listings_max or slots_used > cfg.intervals_max or links_used > links_max:
            return self.ctx.alert(
                "portfolio.full", Severity.ERROR,
                f"listing {listing.name}, number {listing.listing_id}, with {slots_used} delivery intervals in all",
                f"at most {cfg.listings_max} listings and {cfg.intervals_max} delivery intervals",
                "its fills are not valued; raise listings_max and intervals_max",
            )  # fmt: skip
        slots = [self._slot_of.setdefault(interval, len(self._slot_of)) for interval in intervals]
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
        return None

    def _define(self, grid: golden.Table, listing_id: int) -> None:
        listing = self._listings[listing_id]
        golden.define_contract(
            grid,
            listing_id,
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
        keep_mids(self._mid, frame.array, self.ctx.now_ns)
        return None

    def on_quote(self, quote: Quote) -> Outcome:
        """Keep the mid of one listing."""
        keep_mid(self._mid, quote, self.ctx.now_ns)
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
        # A plain int: compiled code takes an IntEnum too, but looks up its type for 30 µs each time.
        status = self._apply(account.grid, 0, listing_id, int(report.side), report.last_ticks, report.last_lots)
        listing = self._listings.get(listing_id)
        if status != golden.APPLIED or listing is None:
            return self.ctx.alert(
                "portfolio.fill_refused", Severity.CRITICAL,
                f"fill of {report.last_lots} lots at {report.last_ticks} ticks of order {report.order_id}",
                "a known listing, and figures within 64 bits",
                "the position is not what the venue says; reconcile it by hand",
            )  # fmt: skip
        row = account.rows[listing_id].tolist()
        item = account.interval_kw.item
        return Position(
            listing_id, strategy_id, self._books.get(strategy_id, 0), listing.currency_id, 0, 0,
            row[golden.POSITION_NET], row[golden.POSITION_BOUGHT], row[golden.POSITION_SOLD], row[golden.POSITION_CASH],
            max(abs(item(slot)) for slot in listing.slots) // listing.lot_kw,
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
        parts = [self._rows(strategy_id, account, all_rows) for strategy_id, account in self._accounts.items()]
        rows = np.concatenate(parts) if parts else np.empty(0, layout_of(Pnl).dtype)
        return [Frame(Pnl, rows[at : at + FRAME_RECORDS_MAX].copy()) for at in range(0, len(rows), FRAME_RECORDS_MAX)]

    def _rows(self, strategy_id: int, account: _Account, all_rows: bool) -> npt.NDArray[np.void]:
        """Return one strategy's rows, then its totals per currency; none when nothing has changed."""
        figures, marks, traded = self._figures(account)
        changed = traded if all_rows else traded[(figures != account.told)[:, traded].any(axis=0)]
        account.told = figures
        currency = {i: self._listings[i].currency_id for i in traded.tolist()}
        currencies = list(dict.fromkeys(currency.values())) if len(changed) else []
        rows = np.zeros(len(changed) + len(currencies), layout_of(Pnl).dtype)
        rows["strategy_id"], rows["book_id"] = strategy_id, self._books.get(strategy_id, 0)
        for field in ("mark_ticks", "mark_age_ns", "source_ns", "recv_ns"):
            rows[field] = ABSENT
        top = rows[: len(changed)]
        top["listing_id"] = changed
        top["currency_id"] = [currency[i] for i in changed.tolist()]
        top["mark_ticks"] = marks[changed]
        seen_ns = self._mid[1, changed]
        top["mark_age_ns"] = np.where(seen_ns == ABSENT, ABSENT, self.ctx.now_ns - seen_ns)
        for at, currency_id in enumerate(currencies, len(changed)):
            rows[at]["currency_id"] = currency_id
        for nth, field in enumerate(("realised_micro", "unrealised_micro", "fees_micro")):
            top[field] = figures[nth, changed]
            for at, currency_id in enumerate(currencies, len(changed)):
                rows[at][field] = sum(figures[nth, i].item() for i in traded.tolist() if currency[i] == currency_id)
        return rows

    def _figures(self, account: _Account) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return (realised, unrealised, fees, fills; listing id), marks in ticks, and the ids of listings traded.

        Where no mid was ever seen the last fill's price is the mark.
        """
        rows = account.rows
        marks = np.where(self._mid[0] == ABSENT, rows[:, golden.POSITION_LAST], self._mid[0])
        figures = np.zeros_like(account.told)
        figures[0] = golden.realised_micro(account.grid)[0]
        self._mark_frame(account.grid, marks.reshape(-1, 1), figures[1:2])
        figures[3] = rows[:, golden.POSITION_FILLS]
        traded = np.flatnonzero(figures[3])
        for listing_id in traded.tolist():
            lots = rows.item(listing_id, golden.POSITION_BOUGHT) + rows.item(listing_id, golden.POSITION_SOLD)
            kw_minutes = lots * self._listings[listing_id].kw_minutes_per_lot
            figures[2, listing_id] = kw_minutes * self.config.fee_micro_per_mwh // _KW_MINUTES_PER_MWH
        return figures, marks, traded

    def snapshot(self) -> dict[str, Any]:
        """Return grids, what was told, mids and listings."""
        return {
            "accounts": [[strategy_id, a.grid.copy(), a.told.copy()] for strategy_id, a in self._accounts.items()],
            "books": [[strategy_id, book_id] for strategy_id, book_id in self._books.items()],
            "listings": [[listing_id, *listing] for listing_id, listing in self._listings.items()],
            "slots": [[interval, slot] for interval, slot in self._slot_of.items()],
            "mid": self._mid.copy(),
            "due_ns": self._due_ns,
            "until_ns": self._until_ns,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned."""
        self._accounts = {
            strategy_id: _Account(np.array(grid, np.int64), np.array(told, np.int64))
            for strategy_id, grid, told in state["accounts"]
        }
        self._books = dict(state["books"])
        self._listings = {listing_id: _Listing(list(slots), *rest) for listing_id, slots, *rest in state["listings"]}
        self._slot_of = dict(state["slots"])
        self._mid = np.array(state["mid"], np.int64)
        self._due_ns, self._until_ns = state["due_ns"], state["until_ns"]
