"""The practice venue's books: one delivery day each, matched by the golden model, with a few made-up quotes.

The golden functions run as plain Python here, without anything to compile.
"""

# ruff: noqa: F403, F405 -- the columns of the engine's tables are this module's vocabulary

from __future__ import annotations

from datetime import date
from typing import Literal

import msgspec
import numpy as np

from penstock_plugins.venues.paper_protocol import Listed
from penstock_sdk.energy import day_contracts, listing_terms, market_zone
from penstock_sdk.golden import matching
from penstock_sdk.golden.matching_layout import *

__all__ = ["BACKGROUND_REF", "DayBooks", "MarketConfig"]

BACKGROUND_REF = 1 << 60
"""Numbers of the market's own orders begin here."""
_OUT_ROWS = 1_024


class MarketConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the practice venue trades, and how lively it is."""

    zone: str = "DE-LU"
    day: str = "rolling"
    """A delivery date, or "rolling": today, and from 14:45 on tomorrow."""
    products: tuple[Literal["QH", "H", "HH", "5M"], ...] = ("QH", "H")
    """Of what the zone's rules list on the day."""
    seed: int = 1
    requotes_per_s: float = 5.0
    """How many listings get new quotes each second; 0 leaves the books to those who trade."""
    takers_per_s: float = 0.5
    """How many orders each second deal with what they find near the middle."""
    price_ticks: int = 6_000
    """Where the middle of every listing begins."""
    half_spread_ticks: int = 60
    order_capacity: int = 8_192


class DayBooks:
    """One delivery day: a book per contract, open from the start to each gate. *first* is its first listing's number.

    Raises:
        EnergyError: no such zone or day.
    """

    def __init__(self, config: MarketConfig, day: date, first: int, now_ns: int) -> None:
        zone = market_zone(config.zone, day)
        terms = listing_terms(zone, day)
        contracts = day_contracts(zone, day, config.products)
        self.day, self.first = day, first
        self.listings = [
            Listed(
                first + book, contract.name, contract.product, zone.code, zone.timezone, zone.currency,
                contract.delivery.start_ns, contract.delivery.end_ns, min(contract.opens_ns, now_ns),
                contract.gate_closure_ns, terms.tick_micro, terms.lot_kw, terms.price_min_ticks,
                terms.price_max_ticks, terms.lot_kw * contract.delivery.minutes * terms.tick_micro // 60_000,
            )
            for book, contract in enumerate(contracts)
        ]  # fmt: skip
        self.state = matching.new_engine(len(contracts), config.order_capacity, config.order_capacity)
        self.out = matching.new_out(_OUT_ROWS)
        """What the last call did."""
        self.open = {book for book, listed in enumerate(self.listings) if listed.gate_closure_ns > now_ns}
        for book in self.open:
            matching.open_book(self.state, self.out, book)
        self._mid_ticks = [config.price_ticks] * len(contracts)
        self._quotes: dict[int, tuple[int, int]] = {}
        """The market's own bid and offer, by book."""
        self.tops: dict[int, tuple[int, int, int, int]] = {}
        """Bid, lots, offer, lots of each book that has been quoted."""

    @property
    def last_gate_ns(self) -> int:
        """When the day is over."""
        return max(listed.gate_closure_ns for listed in self.listings)

    def submit(self, book: int, ref: int, owner: int, side: int, kind: int, price_ticks: int, qty_lots: int) -> int:
        """Submit an order; return the engine's status."""
        price = 0 if kind == MARKET else price_ticks
        return matching.submit(self.state, self.out, book, ref, owner, side, kind, price, qty_lots)

    def close_due(self, now_ns: int) -> list[int]:
        """Return the books whose gate has passed; they are closed one by one with `close`."""
        return sorted(book for book in self.open if self.listings[book].gate_closure_ns <= now_ns)

    def close(self, book: int) -> bool:
        """Close a book; True when what rested there has all been let go, False: look at ``out`` and call again."""
        self.open.discard(book)
        return matching.close_book(self.state, self.out, book) != MORE

    def top_changes(self) -> list[tuple[int, tuple[int, int, int, int]]]:
        """Return (book, best bid, lots, best offer, lots) of the books that the last call changed, the last of each."""
        changed: dict[int, tuple[int, int, int, int]] = {}
        for row in matching.tops(self.out).tolist():
            changed[row[TOP_BOOK]] = (row[TOP_BID_PRICE], row[TOP_BID_QTY], row[TOP_ASK_PRICE], row[TOP_ASK_QTY])
        self.tops.update(changed)
        return list(changed.items())

    def requote(self, book: int, next_ref: int, config: MarketConfig, random: np.random.Generator) -> list[list[int]]:
        """Return the engine's commands that move the market's own quotes of a book: two cancels, two orders."""
        step = int(random.normal(0.0, config.half_spread_ticks / 3))
        listed, half = self.listings[book], config.half_spread_ticks
        low, high = listed.price_min_ticks + half, listed.price_max_ticks - half
        mid = self._mid_ticks[book] = min(max(self._mid_ticks[book] + step, low), high)
        lots = int(random.integers(5, 50))
        commands = [[OP_CANCEL, book, ref, 0, 0, 0, 0, 0] for ref in self._quotes.get(book, ())]
        self._quotes[book] = (next_ref, next_ref + 1)
        commands.append([OP_SUBMIT, book, next_ref, ANONYMOUS, BUY, LIMIT, mid - half, lots])
        commands.append([OP_SUBMIT, book, next_ref + 1, ANONYMOUS, SELL, LIMIT, mid + half, lots])
        return commands

    def take(self, book: int, next_ref: int, config: MarketConfig, random: np.random.Generator) -> list[list[int]]:
        """Return the command of one who deals at once with what stands no further than the market's own quotes."""
        side = BUY if random.random() < 0.5 else SELL
        reach = config.half_spread_ticks if side == BUY else -config.half_spread_ticks
        lots = int(random.integers(1, 10))
        return [[OP_SUBMIT, book, next_ref, ANONYMOUS, side, IOC, self._mid_ticks[book] + reach, lots]]

    def do(self, commands: list[list[int]]) -> None:
        """Do a few commands of the market's own; what came of them is in ``out``."""
        done = matching.submit_frame(self.state, self.out, np.array(commands, np.int64), 0)
        assert done == len(commands), "a handful of commands always fits"
