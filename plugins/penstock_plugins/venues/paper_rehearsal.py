"""The practice venue as the outside world of a rehearsal (`penstock chaos`): a market that outlives the kernel.

It stands behind the address ``memory:NAME`` that the deployment gives. What the network does to a message is asked of
`trouble`, for each one; a kernel that is gone finds the market a few seconds on when it comes back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from penstock_plugins.venues.paper_books import MarketConfig
from penstock_plugins.venues.paper_link import MARKETS, MemoryLink
from penstock_plugins.venues.paper_market import PaperMarket
from penstock_plugins.venues.paper_protocol import Down, Up, items_of
from penstock_sdk.events import IntentAction, Order

__all__ = ["PaperRehearsal"]

_AWAY_NS = 3_000_000_000
"""How far the market is on when a kernel that was killed comes back."""

Trouble = Callable[[str, int], tuple[str, int] | None]
"""Takes a message's topic and the time; returns what befalls it, as (drop, 0), (delay, ns), (duplicate, 1)."""


class PaperRehearsal:
    """The market, its links, and what it knows to be true.

    Args:
        name: of the address ``memory:NAME``. account: whose orders are asked for.
        config: of the market (`MarketConfig`); its seed is replaced.
    """

    def __init__(
        self, name: str, account: str, config: dict[str, Any], seed: int, start_ns: int, trouble: Trouble
    ) -> None:
        market = msgspec.convert({**config, "seed": seed}, MarketConfig)
        self.market = PaperMarket(market, start_ns)
        self.account, self.trouble = account, trouble
        self.sent: Counter[int] = Counter()
        """How often each new order was handed to the network."""
        self._link: _TroubledLink | None = None
        MARKETS[name] = self._connect

    def _connect(self) -> MemoryLink:
        self._link = _TroubledLink(self)
        return self._link

    def process_gone(self) -> None:
        """Lose the connection of a kernel that was killed; the market goes on."""
        if self._link is not None:
            self._link.close()
            self._link = None
        self.market.step(self.market.now_ns + _AWAY_NS)

    def standing(self) -> dict[int, tuple[bool, int]]:
        """Return (is it open, lots filled) of every order that came."""
        account = self.market.accounts.get(self.account)
        if account is None:
            return {}
        resting = {held.order_id for held in account.open_orders()}
        return {i: (i in resting, held.filled_lots) for i, held in account.orders.items() if held.state}


class _TroubledLink(MemoryLink):
    """A link that loses, holds up, doubles and overtakes what it carries."""

    def __init__(self, world: PaperRehearsal) -> None:
        super().__init__(world.market)
        self._world = world
        self._late: list[tuple[int, bool, bytes]] = []
        """(due, towards the market, frame), in the order in which they were held up."""

    def send(self, data: bytes, now_ns: int) -> bool:
        """Hand it to the network."""
        if self._connection is None:
            return False
        for _, item, raw in items_of(data):
            topic = "paper.note"
            if isinstance(item, Order):
                topic = "order.order"
                if item.action == IntentAction.NEW:
                    self._world.sent[item.order_id] += 1
            for copy in self._fate(topic, raw, now_ns, outwards=True):
                super().send(copy, now_ns)
        self._overdue(now_ns)
        return True

    def receive(self, now_ns: int) -> bytes:
        """Return what the network has brought."""
        out = bytearray()
        said = super().receive(now_ns)
        late = self._overdue(now_ns)
        for _, item, raw in items_of(said):
            if isinstance(item, (Up, Down)):
                out += raw
                continue
            layout = getattr(item, "layout", None)
            topic = layout.topic if layout is not None else "paper.note"
            for copy in self._fate(topic, raw, now_ns, outwards=False):
                out += copy
        return bytes(out + late)

    def _fate(self, topic: str, raw: bytes, now_ns: int, *, outwards: bool) -> list[bytes]:
        trouble = self._world.trouble(topic, now_ns)
        if trouble is None:
            return [raw]
        kind, amount = trouble
        if kind == "drop":
            return []
        if kind in ("delay", "reorder"):
            self._late.append((now_ns + amount, outwards, bytes(raw)))
            return []
        return [raw] * (1 + amount)

    def _overdue(self, now_ns: int) -> bytes:
        """Bring what was held up: to the market at once, what is for the kernel is returned."""
        due = [late for late in self._late if late[0] <= now_ns]
        self._late = [late for late in self._late if late[0] > now_ns]
        for _, outwards, raw in due:
            if outwards:
                super().send(raw, now_ns)
        return b"".join(raw for _, outwards, raw in due if not outwards)
