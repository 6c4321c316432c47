"""Trades that Penstock did not send: each counts once, and none is lost because its listing is not known yet."""

from __future__ import annotations

from typing import Any

from penstock_sdk.events import ExternalTrade
from penstock_sdk.schema import ABSENT

__all__ = ["Externals"]

_REMEMBERED_NS = 45 * 86_400_000_000_000
"""How long after a listing is over its trades are still known by number: a month's reconciliation."""
_WAITING_MAX = 10_000
_NONE: tuple[int, frozenset[tuple[int, int]]] = (0, frozenset())


class Externals:
    """Which trades have been counted, and which wait for their listing."""

    def __init__(self) -> None:
        self._counted: dict[int, tuple[int, set[tuple[int, int]]]] = {}
        """By listing: until when it is remembered, and (source, number) of its trades."""
        self._waiting: dict[int, list[ExternalTrade]] = {}
        """By listing."""

    def counted(self, trade: ExternalTrade) -> bool:
        """Return whether a trade has been counted; one without a number never has."""
        return (trade.source, trade.trade_id) in self._counted.get(trade.listing_id, _NONE)[1]

    def count(self, trade: ExternalTrade, over_ns: int) -> None:
        """Remember that a trade has been counted.

        Args:
            over_ns: when its listing is over.
        """
        if trade.trade_id != ABSENT:
            _, numbers = self._counted.setdefault(trade.listing_id, (over_ns + _REMEMBERED_NS, set()))
            numbers.add((trade.source, trade.trade_id))

    def forget(self, now_ns: int) -> None:
        """Forget the numbers of trades in listings that have been over for long."""
        for listing_id in [key for key, (until_ns, _) in self._counted.items() if until_ns <= now_ns]:
            del self._counted[listing_id]

    def wait(self, trade: ExternalTrade) -> bool:
        """Keep a trade until its listing is known; return whether there was room."""
        if sum(map(len, self._waiting.values())) >= _WAITING_MAX:
            return False
        self._waiting.setdefault(trade.listing_id, []).append(trade)
        return True

    def arrived(self, listing_id: int) -> list[ExternalTrade]:
        """Return the trades that waited for a listing, in the order they came."""
        return self._waiting.pop(listing_id, [])

    def snapshot(self) -> dict[str, Any]:
        """Return it as msgpack carries it."""
        return {
            "counted": [
                [listing_id, until_ns, sorted(map(list, numbers))]
                for listing_id, (until_ns, numbers) in self._counted.items()
            ],
            "waiting": [ExternalTrade.layout.pack(trade) for held in self._waiting.values() for trade in held],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned."""
        self._counted = {
            listing_id: (until_ns, {(source, number) for source, number in numbers})
            for listing_id, until_ns, numbers in state["counted"]
        }
        self._waiting = {}
        for body in state["waiting"]:
            trade = ExternalTrade.layout.unpack(body)
            self._waiting.setdefault(trade.listing_id, []).append(trade)
