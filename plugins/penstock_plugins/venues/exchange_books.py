"""The exchange's books: the compiled matching engine, and the market data of what it did.

Every call to the engine leaves its outcome in one table; `publish` makes records of it and counts revisions and trades.
"""

# ruff: noqa: F403, F405 -- the columns of two tables are this module's vocabulary

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from penstock_plugins.venues import exchange_kernels
from penstock_plugins.venues.exchange_layout import *
from penstock_sdk.compiled import compile_golden
from penstock_sdk.events import BookLevel, BookPriceDelta, LevelFlag, Quote, Trade
from penstock_sdk.golden import matching
from penstock_sdk.golden.matching_layout import *
from penstock_sdk.schema import ABSENT, Event, Frame, Record, layout_of

__all__ = ["Books"]

I64 = npt.NDArray[np.int64]

_OUT_ROWS = 4_096  # no more than a frame holds
_SINGLES_MAX = 4  # so few records of one order travel one by one


class Books:
    """One book per row of *terms*, all closed and empty at first.

    Args:
        terms: (books, TERM_WIDTH).
        order_capacity: how many orders, and how many levels, can rest at once.
        first_trade_id: the number of their first trade.
    """

    def __init__(self, terms: I64, order_capacity: int, first_trade_id: int = 1) -> None:
        self.engine = compile_golden(matching)
        self._publish = compile_golden(exchange_kernels).publish
        self._terms = terms
        self.state = matching.new_engine(len(terms), order_capacity, order_capacity)
        self.out = matching.new_out(_OUT_ROWS)
        """What the engine's last call did."""
        self.market = np.zeros((len(terms), MARKET_WIDTH), np.int64)
        self.market[:, (MARKET_BID, MARKET_ASK, MARKET_BID_LOTS, MARKET_ASK_LOTS)] = ABSENT
        self._trades = np.full(1, first_trade_id, np.int64)
        self._few = [np.empty((_SINGLES_MAX, words), np.int64) for words in (DELTA_WORDS, TRADE_WORDS, QUOTE_WORDS)]
        self._own, self._counts = np.zeros(_OUT_ROWS, np.int64), np.zeros(COUNT_WIDTH, np.int64)

    def warm_up(self) -> None:
        """Compile, or load, every function that is used, before the market opens."""
        engine, commands = self.engine, np.zeros((1, CMD_WIDTH), np.int64)
        state, out = matching.new_engine(1, 8, 8), matching.new_out(8)
        engine.open_book(state, out, 0)
        engine.submit(state, out, 0, 1, 1, BUY, LIMIT, 1, 1)
        engine.submit_frame(state, out, commands, 0)
        engine.cancel(state, out, 1)
        engine.cancel_owner(state, out, 0, 1)
        engine.close_book(state, out, 0)
        engine.levels_of(state, 0, BUY, 1, np.zeros((1, 3), np.int64))
        self.publish(0)

    @property
    def next_trade_id(self) -> int:
        """The number that the first trade of the next `publish` gets."""
        return int(self._trades[0])

    def is_open(self, book: int) -> bool:
        """Return whether a book takes orders."""
        return bool(self.state[1 + book, BOOK_OPEN])

    def own_resting(self) -> list[int]:
        """Return the ids of the orders of ours that rest here. Cost: a pass over the whole table."""
        ids = self.state[int(self.state[0, HEAD_ORDER_BASE]) :, ORDER_ID]
        return sorted(ids[(ids > 0) & (ids < BACKGROUND_ID)].tolist())

    def own_fills(self) -> list[tuple[int, list[int]]]:
        """Return (trade id, FILL row) of the fills in which the last published call met a resting order of ours."""
        count = int(self._counts[COUNT_OWN])
        if not count:
            return []
        places = self._own[:count].tolist()
        rows = matching.fills(self.out)[places].tolist()
        first = self.next_trade_id - int(self.out[0, OUT_FILLS])
        return [(first + place, row) for place, row in zip(places, rows, strict=True)]

    def publish(self, now_ns: int, *, singles: bool = False) -> list[Event]:
        """Return book changes, trades and quotes of the engine's last call; call it once for each.

        Args:
            singles: give few records one by one, as one order makes them; else, and when they are many, in frames.
        """
        head = self.out[0].tolist()
        levels, fills, tops = head[OUT_LEVELS], head[OUT_FILLS], head[OUT_TOPS]
        if singles and levels <= _SINGLES_MAX and fills <= _SINGLES_MAX and tops <= _SINGLES_MAX:
            deltas, trades, quotes = self._few  # copied out below, so kept for the next call
        else:
            deltas = np.empty((levels, DELTA_WORDS), np.int64)
            trades = np.empty((fills, TRADE_WORDS), np.int64)
            quotes = np.empty((tops, QUOTE_WORDS), np.int64)
        self._publish(
            self.out, self._terms, self.market, self._trades, now_ns, deltas, trades, quotes, self._own, self._counts
        )
        events: list[Event] = []
        if levels:
            events += _records(BookPriceDelta, deltas[:levels], singles)
        if fills:
            events += _records(Trade, trades[:fills], singles)
        if tops:
            events += _records(Quote, quotes[: self._counts[COUNT_QUOTES]], singles)
        return events

    def snapshot_of(self, book: int, levels_max: int, now_ns: int) -> Frame | None:
        """Return both sides of a book as BookLevel records, buys first, best first; None when it is empty."""
        found: list[bytes] = []
        layout, listing_id = layout_of(BookLevel), int(self._terms[book, TERM_LISTING])
        revision = int(self.market[book, MARKET_REVISION])
        for side in (BUY, SELL):
            table = np.zeros((levels_max, 3), np.int64)
            count = self.engine.levels_of(self.state, book, side, levels_max, table)
            for level, (price, lots, orders) in enumerate(table[:count].tolist()):
                found.append(
                    layout.pack(BookLevel(listing_id, side, 0, 1, 0, price, lots, orders, level, revision, now_ns))
                )
        if not found:
            return None
        array = np.frombuffer(b"".join(found), layout.dtype).copy()
        array["place"][0] |= LevelFlag.FIRST
        array["place"][-1] |= LevelFlag.LAST
        return Frame(BookLevel, array)

    def tables(self) -> list[npt.NDArray[Any]]:
        """Return all state, to copy from and to."""
        return [*matching.state_arrays(self.state), self.market, self._trades]


def _records(cls: type[Record], words: I64, singles: bool) -> list[Event]:
    """Return records from their words: one by one when they are few and wanted so, else as a frame."""
    if not len(words):
        return []
    layout = layout_of(cls)
    if singles and len(words) <= _SINGLES_MAX:
        return list(layout.unpack_many(words.tobytes()))
    return [Frame(cls, words.view(layout.dtype).reshape(-1))]
