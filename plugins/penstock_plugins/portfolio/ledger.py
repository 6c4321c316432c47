"""Who holds what: accounts, what each holds of which listing, and what has been made of it.

An account is a book and a strategy. What it holds of a listing is a row of `penstock_sdk.golden.positions`; rows are
made when first needed and free again once a listing has been delivered. What was made by then stands in the account's
totals; the closed row is kept, small, until trades that are told late can be expected no more (`closings`).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from penstock_plugins.portfolio.closings import Closed, Closings
from penstock_plugins.portfolio.marks import Marks
from penstock_plugins.portfolio.paid import Paid
from penstock_plugins.portfolio.shapes import Shapes
from penstock_plugins.portfolio.told_rows import (
    FILLS,
    NET,
    SUMS,
    UNPRICED,
    WIDTH,
    Told,
    as_rows,
    closed_figures,
    realise,
)
from penstock_sdk.delivery_grid import DeliveryGrid
from penstock_sdk.golden import positions as golden
from penstock_sdk.instruments import Instrument

__all__ = ["Account", "Holding", "Ledger", "Told"]

I64 = npt.NDArray[np.int64]
_ROWS_FIRST = 64
_NOWHERE: I64 = np.zeros((0, 3), np.int64)


class Holding:
    """What an account holds of a listing: the row of the ledger's table."""

    __slots__ = (
        "account",
        "amount_per_lot",
        "book_id",
        "currency_id",
        "listing",
        "listing_id",
        "row",
        "segments",
        "strategy_id",
        "track",
    )

    def __init__(self, account: Account, listing: Instrument, row: int, segments: I64, track: int) -> None:
        self.account = account
        self.listing = listing
        self.row = row
        self.segments = segments
        """Where it stands on the position grid; none where the listing is off it."""
        self.track = track
        # What a `Position` says of it, at hand: a fill is on the way from one tick to the next.
        self.listing_id, self.currency_id = listing.listing_id, listing.currency_id
        self.strategy_id, self.book_id = account.strategy_id, account.book_id
        self.amount_per_lot = listing.amount_per_lot


class Account:
    """A book and a strategy."""

    __slots__ = ("book_id", "extra_told", "holdings", "past", "strategy_id")

    def __init__(self, book_id: int, strategy_id: int) -> None:
        self.book_id = book_id
        self.strategy_id = strategy_id
        self.holdings: dict[int, Holding] = {}
        """By listing."""
        self.past: dict[int, list[int]] = {}
        """Sums of the figures and unpriced fills of what has been delivered, by currency."""
        self.extra_told: dict[int, int] = {}
        """What was last told to be made beside the holdings, by currency."""


class Ledger:
    """The table of all rows, who owns them, and what was last told of each.

    Args:
        figures: `golden.figures`, compiled.
        grid: where the energy of what is held stands.
        shapes: what each listing delivers.
        kept_ns: for how long after delivery a row goes on where it ended.
    """

    def __init__(self, figures: Callable[..., None], grid: DeliveryGrid, shapes: Shapes, kept_ns: int) -> None:
        self._figures_of = figures
        self._grid = grid
        self._kept_ns = kept_ns
        self.table: golden.Table = golden.new_table(_ROWS_FIRST)
        self.accounts: dict[tuple[int, int], Account] = {}
        """By book and strategy, in the order they came."""
        self.holdings: dict[tuple[int, int, int], Holding] = {}
        """By book, strategy and listing."""
        self.closed = Closings()
        self.paid = Paid(shapes, self.holdings, self.closed)
        self._told: I64 = np.zeros((_ROWS_FIRST, WIDTH), np.int64)
        self._free: list[int] = []
        self._next = 1

    def open(self, book_id: int, strategy_id: int, listing: Instrument) -> Holding:
        """Return what an account holds of a listing: a flat row where that is new, or what was closed before."""
        key = (book_id, strategy_id, listing.listing_id)
        holding = self.holdings.get(key)
        if holding is None:
            account = self._account(book_id, strategy_id)
            row = heapq.heappop(self._free) if self._free else self._next
            self._next = max(self._next, row + 1)
            if row >= len(self.table):
                self.table = golden.grown(self.table)
                self._told = np.concatenate([self._told, np.zeros_like(self._told)])
            golden.open_row(self.table, row, listing.lot.cash_micro_per_lot_tick)
            holding = self._hold(account, listing, row)
            closed = self.closed.take(key)
            if closed is not None:
                self._reopen(holding, closed)
        return holding

    def _account(self, book_id: int, strategy_id: int) -> Account:
        account = self.accounts.get((book_id, strategy_id))
        if account is None:
            account = self.accounts[book_id, strategy_id] = Account(book_id, strategy_id)
        return account

    def _hold(self, account: Account, listing: Instrument, row: int) -> Holding:
        segments, track = _NOWHERE, 0
        if listing.listing_id in self._grid:
            segments, track = self._grid.place_of(listing.listing_id, account.book_id, account.strategy_id)
        holding = Holding(account, listing, row, segments, track)
        self.holdings[account.book_id, account.strategy_id, listing.listing_id] = holding
        account.holdings[listing.listing_id] = holding
        return holding

    def of_listing(self, listing_id: int) -> list[Holding]:
        """Return what each account holds of a listing."""
        return [a.holdings[listing_id] for a in self.accounts.values() if listing_id in a.holdings]

    def of_strategy(self, strategy_id: int) -> int:
        """Return the book of a strategy's first account, 0 where it has none."""
        return next((book_id for book_id, strategy in self.accounts if strategy == strategy_id), 0)

    def told(self, marks: Marks, now_ns: int, *, all_rows: bool, remember: bool = True) -> list[Told]:
        """Return per account the rows that changed since last told and its totals; none where nothing has changed.

        Args:
            all_rows: what has not changed, too.
            remember: False leaves what counts as told as it was.
        """
        parts, extras = [], self._extras(marks)
        for account in self.accounts.values():
            held = _in_order(account)
            rows = np.array([holding.row for holding in held], np.int64)
            figures, ticks, seen_ns = self._figures(held, rows, marks)
            extra = extras.get((account.book_id, account.strategy_id), {})
            changed = figures[:, FILLS] > 0 if all_rows else (figures != self._told[rows]).any(axis=1)
            changed |= all_rows & figures.any(axis=1)
            totals = all_rows or extra != account.extra_told
            if remember:
                self._told[rows] = figures
                account.extra_told = extra
            parts.append(as_rows(account, held, figures, ticks, seen_ns, now_ns, changed, extra, totals=totals))
        return parts

    def _extras(self, marks: Marks) -> dict[tuple[int, int], dict[int, int]]:
        """Return by account and currency what was made beside its holdings: paid, in place of their value."""
        extras: dict[tuple[int, int], dict[int, int]] = {}
        for (book_id, strategy_id, currency_id), micro in self.paid.sums.items():
            account = self._account(book_id, strategy_id)
            extras.setdefault((account.book_id, account.strategy_id), {})[currency_id] = micro
        if not extras:
            return extras
        held = list(self.holdings.values())
        ticks, _ = marks.frame([holding.listing_id for holding in held])
        for (book_id, strategy_id, currency_id), micro in self.paid.replaced(held, self.table, ticks):
            extra = extras[book_id, strategy_id]
            extra[currency_id] = extra.get(currency_id, 0) - micro
        return extras

    def settle(self, listing_ids: Iterable[int], marks: Marks, now_ns: int) -> list[Told]:
        """Return the last rows of listings that have been delivered, and the totals they are now part of; close them.

        What was held to the end is worth its last mark; where even that is not known, nothing more than it cost.
        """
        over, parts, extras = set(listing_ids), [], self._extras(marks)
        for account in self.accounts.values():
            held = _in_order(account)
            gone = np.array([holding.listing.listing_id in over for holding in held], bool)
            if not gone.any():
                continue
            rows = np.array([holding.row for holding in held], np.int64)
            figures, ticks, seen_ns = self._figures(held, rows, marks)
            realise(figures, gone)
            changed, extra = gone & figures.any(axis=1), extras.get((account.book_id, account.strategy_id))
            parts.append(as_rows(account, held, figures, ticks, seen_ns, now_ns, changed, extra or {}))
            for at in np.flatnonzero(gone).tolist():
                shared = self.paid.settle(held[at], self.table, int(ticks[at]))
                key, mark = (
                    (account.book_id, account.strategy_id, held[at].listing_id),
                    (int(ticks[at]), int(seen_ns[at])),
                )
                until_ns = max(held[at].listing.over_ns, now_ns) + self._kept_ns
                realised_micro = int(figures[at, golden.FIGURE_REALISED])
                self.closed.keep(key, self.table[held[at].row], mark, realised_micro, until_ns, shared=shared)
                self._close(held[at], realised_micro)
        return parts

    def _to_past(self, holding: Holding, realised_micro: int, sign: int) -> None:
        """Add what a row made, now closed, to its account's past; or with sign -1 take it out again."""
        past = holding.account.past.setdefault(holding.currency_id, [0] * len(SUMS))
        for nth, made in enumerate(closed_figures(self.table[holding.row].tolist(), realised_micro)):
            past[nth] += sign * made

    def _reopen(self, holding: Holding, closed: Closed) -> None:
        """Let a holding go on where it was closed, as if it never had been."""
        closed.put_back(self.table, holding.row)
        self._to_past(holding, closed.realised_micro, -1)
        self.paid.reopen(holding, self.table, closed.ticks, shared=closed.shared)

    def _close(self, holding: Holding, realised_micro: int) -> None:
        account, listing = holding.account, holding.listing
        self._to_past(holding, realised_micro, 1)
        golden.close_row(self.table, holding.row)
        self._told[holding.row] = 0
        heapq.heappush(self._free, holding.row)
        del account.holdings[listing.listing_id]
        del self.holdings[account.book_id, account.strategy_id, listing.listing_id]

    def _figures(self, held: list[Holding], rows: I64, marks: Marks) -> tuple[I64, I64, I64]:
        """Return (holding, WIDTH) figures, marks in ticks, and when they were seen."""
        ticks, seen_ns = marks.frame([holding.listing.listing_id for holding in held])
        figures = np.zeros((len(held), WIDTH), np.int64)
        self._figures_of(self.table, rows, ticks, figures)
        figures[:, UNPRICED] = self.table[rows, golden.POSITION_UNPRICED]
        figures[:, FILLS] = self.table[rows, golden.POSITION_FILLS]
        figures[:, NET] = self.table[rows, golden.POSITION_NET]
        self.paid.in_figures(held, figures)
        return figures, ticks, seen_ns

    def snapshot(self) -> dict[str, Any]:
        """Return it as msgpack carries it: rows by account and holding, whatever numbers they have."""
        rows = [holding.row for account in self.accounts.values() for holding in account.holdings.values()]
        return {
            "table": self.table[rows],
            "told": self._told[rows],
            "accounts": [
                [
                    *key,
                    [[currency_id, *sums] for currency_id, sums in account.past.items()],
                    list(account.holdings),
                    [list(item) for item in account.extra_told.items()],
                ]
                for key, account in self.accounts.items()
            ],
            "paid": self.paid.snapshot(),
            "closed": self.closed.snapshot(),
        }

    def restore(self, state: dict[str, Any], instruments: dict[int, Instrument]) -> None:
        """Take back what `snapshot` returned, once the grid has been restored."""
        table = np.array(state["table"], np.int64).reshape(-1, golden.POSITION_WIDTH)
        self._next = len(table) + 1
        room = _ROWS_FIRST
        while room <= self._next:
            room *= 2
        self.table, self._told = golden.new_table(room), np.zeros((room, WIDTH), np.int64)
        self.table[1 : self._next] = table
        self._told[1 : self._next] = np.array(state["told"], np.int64).reshape(-1, WIDTH)
        self._free = []
        self.accounts.clear()
        self.holdings.clear()
        rows = count(1)
        for book_id, strategy_id, past, held, extra in state["accounts"]:
            account = self._account(book_id, strategy_id)
            account.extra_told = dict(extra)
            account.past = {currency_id: list(sums) for currency_id, *sums in past}
            for listing_id in held:
                self._hold(account, instruments[listing_id], next(rows))
        self.paid.restore(state["paid"])
        self.closed.restore(state["closed"])


def _in_order(account: Account) -> list[Holding]:
    return [account.holdings[listing_id] for listing_id in sorted(account.holdings)]
