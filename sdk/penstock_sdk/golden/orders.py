"""The life of an order as one table: from a state, an event leads to a state, or is illegal.

============== ====== ====== ====== ======= ======== ==== ======= ========= ======= ======== ===== ========
from \\ event   CHECK  PASS   REFUSE ACCEPT  PARTIAL  FILL CANCEL  CANCELLED EXPIRED REJECTED LOST  NOT_DONE
============== ====== ====== ====== ======= ======== ==== ======= ========= ======= ======== ===== ========
NEW            CHECK
PENDING_CHECK         ROUTED REFUSE
ROUTED                              WORKING PARTLY   FILL PENDING CANCELLED EXPIRED REJECTED DOUBT
WORKING                             WORKING PARTLY   FILL PENDING CANCELLED EXPIRED          DOUBT
PARTLY_FILLED                       PARTLY  PARTLY   FILL PENDING CANCELLED EXPIRED          DOUBT
PENDING_CANCEL                      PENDING PENDING  FILL PENDING CANCELLED EXPIRED REJECTED DOUBT WORKING
IN_DOUBT                            WORKING PARTLY   FILL PENDING CANCELLED EXPIRED REJECTED DOUBT
============== ====== ====== ====== ======= ======== ==== ======= ========= ======= ======== ===== ========

REFUSED, FILLED, CANCELLED, EXPIRED and REJECTED are final. NOT_DONE is a venue's refusal to cancel.
"""

from __future__ import annotations

from enum import IntEnum

from penstock_sdk.events.enums import OrderState

__all__ = ["FINAL", "TRANSITIONS", "IllegalTransition", "OrderEvent", "is_final", "is_open", "transition"]


class OrderEvent(IntEnum):
    """What can happen to an order."""

    CHECK = 1
    PASS = 2
    REFUSE = 3
    ACCEPT = 4
    PARTIAL = 5
    FILL = 6
    CANCEL = 7
    CANCELLED = 8
    EXPIRED = 9
    REJECTED = 10
    LOST = 11
    NOT_DONE = 12


class IllegalTransition(ValueError):  # noqa: N818 - named as the field says it
    """An event that the order's state does not allow; names both."""


def _table() -> dict[tuple[int, int], OrderState]:
    s, e = OrderState, OrderEvent
    table: dict[tuple[int, int], OrderState] = {
        (s.NEW, e.CHECK): s.PENDING_CHECK,
        (s.PENDING_CHECK, e.PASS): s.ROUTED,
        (s.PENDING_CHECK, e.REFUSE): s.REFUSED,
        (s.PENDING_CANCEL, e.NOT_DONE): s.WORKING,
    }
    for state in (s.ROUTED, s.WORKING, s.PARTLY_FILLED, s.PENDING_CANCEL, s.IN_DOUBT):
        waiting = state is s.PENDING_CANCEL
        table[state, e.ACCEPT] = state if state in (s.PARTLY_FILLED, s.PENDING_CANCEL) else s.WORKING
        table[state, e.PARTIAL] = s.PENDING_CANCEL if waiting else s.PARTLY_FILLED
        table[state, e.FILL] = s.FILLED
        table[state, e.CANCEL] = s.PENDING_CANCEL
        table[state, e.CANCELLED] = s.CANCELLED
        table[state, e.EXPIRED] = s.EXPIRED
        table[state, e.LOST] = s.IN_DOUBT
        if state not in (s.WORKING, s.PARTLY_FILLED):
            table[state, e.REJECTED] = s.REJECTED
    return table


TRANSITIONS = _table()
"""(state, event) → state; what is not in it is illegal."""

FINAL = frozenset(
    {OrderState.REFUSED, OrderState.FILLED, OrderState.CANCELLED, OrderState.EXPIRED, OrderState.REJECTED}
)


def transition(state: int, event: int, order_id: int = 0) -> OrderState:
    """Return the state that *event* leads to.

    Raises:
        IllegalTransition: the state does not allow the event.
    """
    found = TRANSITIONS.get((state, event))
    if found is None:
        allowed = ", ".join(OrderEvent(e).name for s, e in TRANSITIONS if s == state) or "nothing, it is final"
        raise IllegalTransition(
            f"order {order_id} in {OrderState(state).name} met {OrderEvent(event).name}, wanted {allowed}"
        )
    return found


def is_final(state: int) -> bool:
    """Return whether nothing more can happen to an order."""
    return state in FINAL


def is_open(state: int) -> bool:
    """Return whether a venue may still execute an order."""
    return state in (
        OrderState.ROUTED, OrderState.WORKING, OrderState.PARTLY_FILLED, OrderState.PENDING_CANCEL, OrderState.IN_DOUBT,
    )  # fmt: skip
