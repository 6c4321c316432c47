"""Market traffic for the chain's bench that crosses every rule's threshold often.

Prices lie near 0, orders are few, some quotes have one side, and books are cleared.
"""

from __future__ import annotations

import random
import struct

import penstock_sdk.events as events
from penstock_sdk.schema import ABSENT, Record
from sims.feed_decoder.feed_traffic import Sent, itch_message, packed_frame, spoiled
from sims.tick_to_trade.host import BASE_NS

__all__ = ["Market"]

CLEAR = 3
"""The action of a delta that says: this book is empty, and known."""


class Market:
    """Makes frames from a seed; time goes on and frames are numbered."""

    def __init__(self, rng: random.Random, listings: list[int], records_max: int) -> None:
        self.rng, self.listings, self.records_max = rng, listings, records_max
        self.seq, self.at_ns = 0, BASE_NS + 1

    def _lots(self) -> int:
        return self.rng.randint(1, 6)

    def _next(self) -> None:
        self.seq += 1
        self.at_ns += self.rng.choice([0, 1_000, 100_000, 600_000])

    def _record(self, kind: type[Record]) -> Record:
        rng = self.rng
        listing = rng.choice(self.listings)
        if kind is events.Quote:
            low = rng.randint(-9, 7)
            bid, ask = rng.choice([(low, low + rng.randint(0, 8))] * 8 + [(low, ABSENT), (ABSENT, low)])
            lots = [0 if price == ABSENT else self._lots() for price in (bid, ask)]
            return events.Quote(listing, rng.choice([1] * 9 + [0]), 0, 0, bid, lots[0], ask, lots[1])
        side, price = (1, rng.randint(-9, 0)) if rng.random() < 0.5 else (2, rng.randint(-3, 9))
        action = rng.choice([1] * 12 + [2] * 4 + [3])
        if action == CLEAR:
            side, price = 0, 0
        if kind is events.BookOrderDelta:
            return events.BookOrderDelta(
                listing_id=listing, side=side, action=action, order_ref=rng.randint(1, 12), price_ticks=price,
                qty_lots=self._lots(),
            )  # fmt: skip
        return events.BookPriceDelta(
            listing_id=listing, side=side, action=action, price_ticks=price, qty_lots=self._lots()
        )

    def packed(self, kind: type[Record] | None = None, count: int | None = None) -> Sent:
        """Return a frame of packed records."""
        rng = self.rng
        self._next()
        kinds: list[type[Record]] = [events.Quote, events.Quote, events.BookOrderDelta, events.BookPriceDelta]
        chosen = rng.choice(kinds) if kind is None else kind
        records = [self._record(chosen) for _ in range(count or rng.choice([1, 1, 1, 2, self.records_max]))]
        return packed_frame(records, self.seq, self.at_ns)

    def itch(self) -> Sent:
        """Return a message of the shape of ITCH."""
        rng = self.rng
        self._next()
        letter = rng.choice("AAAAEXDU")
        ref, buys = rng.randint(1, 30), rng.random() < 0.5
        price = rng.randint(-9, 0) if buys else rng.randint(-3, 9)
        listing = rng.choice(self.listings)
        body = struct.pack(">cHH", letter.encode(), listing, 0) + (self.at_ns - BASE_NS).to_bytes(6, "big")
        body += struct.pack(">Q", ref)
        body += {
            "A": struct.pack(">cI8si", b"B" if buys else b"S", self._lots(), bytes(8), price),
            "E": struct.pack(">IQ", self._lots(), 1), "X": struct.pack(">I", self._lots()), "D": b"",
            "U": struct.pack(">QIi", rng.randint(1, 30), self._lots(), price),
        }[letter]  # fmt: skip
        return itch_message(body)

    def frames(self, count: int, itch: bool, bad: float = 0.15) -> list[Sent]:
        """Return *count* frames, a share of them with one thing wrong."""
        made = []
        for _ in range(count):
            sent = self.itch() if itch else self.packed()
            made.append(spoiled(self.rng, sent, self.seq) if self.rng.random() < bad else sent)
        return made
