"""The world outside, as a rehearsal knows it: markets that live on when the kernel does not, and know what is true."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from penstock_kernel.chaos.account import Account

__all__ = ["Outside", "differences"]


class Outside(Protocol):
    """What stands behind a venue outside; a plan names the class in ``[[outside]] use``.

    It is built with keywords: ``name`` and ``account`` as the plan says, ``config`` its table, ``seed``, ``start_ns``,
    and ``trouble(topic, now_ns)``, which for each message returns what befalls it: None, ``("drop", 0)``,
    ``("delay", ns)``, ``("reorder", ns)`` or ``("duplicate", copies)``.
    """

    sent: Counter[int]
    """How often the kernel sent each new order, by id."""

    def process_gone(self) -> None:
        """Lose the connection of a kernel that was killed."""

    def standing(self) -> dict[int, tuple[bool, int]]:
        """Return (is it open, lots filled) of every order of ours that came."""


def differences(outside: Outside, account: Account) -> str:
    """Return where a market at rest and the journal part, in words; nothing when they agree."""
    twice = next((i for i, times in outside.sent.items() if times > 1), None)
    if twice is not None:
        return f"order {twice} was sent {outside.sent[twice]} times"
    for order_id, (is_open, filled_lots) in outside.standing().items():
        ours = account.orders.get(order_id)
        if ours is None:
            return f"order {order_id} is at the venue, and the journal does not know it"
        if ours.filled_lots != filled_lots:
            return f"order {order_id} has {filled_lots} lots filled at the venue, {ours.filled_lots} in the journal"
        if ours.open != is_open:
            where = ("open", "over") if is_open else ("over", "open")
            return f"order {order_id} is {where[0]} at the venue and {where[1]} in the journal"
    return ""
