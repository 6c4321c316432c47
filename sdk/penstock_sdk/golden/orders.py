"""The life of an order: one table of states and events. What is not in it is an error that names both states.

====================  =====================================================================================
from                  event → to
====================  =====================================================================================
NEW                   SUBMITTED → PENDING_CHECK, REFUSED → REFUSED, CANCEL_REQUESTED → CANCELLED
PENDING_CHECK         PASSED → ROUTED, REFUSED → REFUSED, CANCEL_REQUESTED → CANCELLED
ROUTED                ACCEPTED → WORKING, PARTLY_FILLED → PARTLY_FILLED, FILLED → FILLED, REJECTED → REJECTED,
                      CANCELLED → CANCELLED, EXPIRED → EXPIRED, CANCEL_REQUESTED → PENDING_CANCEL,
                      LOST → IN_DOUBT
WORKING               AMENDED → WORKING, PARTLY_FILLED → PARTLY_FILLED, FILLED → FILLED, CANCELLED → CANCELLED,
                      EXPIRED → EXPIRED, CANCEL_REQUESTED → PENDING_CANCEL, CANCEL_REJECTED → WORKING,
                      LOST → IN_DOUBT
PARTLY_FILLED         ACCEPTED, AMENDED, PARTLY_FILLED, CANCEL_REJECTED → PARTLY_FILLED, FILLED → FILLED,
                      CANCELLED → CANCELLED, EXPIRED → EXPIRED, CANCEL_REQUESTED → PENDING_CANCEL,
                      LOST → IN_DOUBT
PENDING_CANCEL        ACCEPTED, AMENDED, PARTLY_FILLED, CANCEL_REQUESTED → PENDING_CANCEL,
                      CANCEL_REJECTED → WORKING, CANCEL_REJECTED_PARTLY → PARTLY_FILLED, FILLED → FILLED,
                      CANCELLED → CANCELLED, EXPIRED → EXPIRED, REJECTED → REJECTED, LOST → IN_DOUBT
IN_DOUBT              ACCEPTED → WORKING, PARTLY_FILLED → PARTLY_FILLED, FILLED → FILLED,
                      CANCELLED → CANCELLED, EXPIRED → EXPIRED, REJECTED → REJECTED,
                      CANCEL_REQUESTED, CANCEL_REJECTED, LOST → IN_DOUBT
FILLED, CANCELLED,    CANCEL_REJECTED, CANCEL_REJECTED_PARTLY → itself: a cancel that came too late
EXPIRED, REJECTED
REFUSED               none
====================  =====================================================================================

PARTLY_FILLED may come before ACCEPTED, and a late ACCEPTED takes nothing back. In PENDING_CANCEL a part fill leaves the
cancel pending, so a rejection of the cancel must say whether anything was filled before: CANCEL_REJECTED_PARTLY if so.
In IN_DOUBT the events are the venue's answers to the question where the order stands, or the operator's word; a cancel
may always be sent.
"""

from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from penstock_sdk.events.enums import OrderState

__all__ = [
    "TABLE",
    "TERMINAL",
    "IllegalTransition",
    "OrderEvent",
    "OrderState",
    "is_open",
    "is_terminal",
    "legal_events",
    "transition",
    "transition_table",
]


class OrderEvent(IntEnum):
    """What happens to an order. Zero is always unknown; values are only ever added."""

    UNKNOWN = 0
    SUBMITTED = 1
    """Handed to the checks."""
    PASSED = 2
    """Every check passed; it goes to the venue."""
    REFUSED = 3
    """A check said no, failed, or did not answer in time."""
    ACCEPTED = 4
    PARTLY_FILLED = 5
    FILLED = 6
    CANCEL_REQUESTED = 7
    CANCELLED = 8
    CANCEL_REJECTED = 9
    """The venue would not cancel an order of which nothing is filled."""
    CANCEL_REJECTED_PARTLY = 10
    """The same for an order of which some is filled."""
    EXPIRED = 11
    REJECTED = 12
    """The venue said no, or the order could not be sent to it."""
    AMENDED = 13
    LOST = 14
    """The connection or the process went away while the order was at the venue."""


_S, _E = OrderState, OrderEvent

# Where an event leads unless the table says otherwise; an error names it as the state that was meant.
_AIM: Final = {
    _E.SUBMITTED: _S.PENDING_CHECK,
    _E.PASSED: _S.ROUTED,
    _E.REFUSED: _S.REFUSED,
    _E.ACCEPTED: _S.WORKING,
    _E.PARTLY_FILLED: _S.PARTLY_FILLED,
    _E.FILLED: _S.FILLED,
    _E.CANCEL_REQUESTED: _S.PENDING_CANCEL,
    _E.CANCELLED: _S.CANCELLED,
    _E.CANCEL_REJECTED: _S.WORKING,
    _E.CANCEL_REJECTED_PARTLY: _S.PARTLY_FILLED,
    _E.EXPIRED: _S.EXPIRED,
    _E.REJECTED: _S.REJECTED,
    _E.AMENDED: _S.WORKING,
    _E.LOST: _S.IN_DOUBT,
}

TERMINAL: Final = frozenset({_S.REFUSED, _S.FILLED, _S.CANCELLED, _S.EXPIRED, _S.REJECTED})
"""The states that no order leaves."""


def _row(state: OrderState, *events: OrderEvent, stays_on: tuple[OrderEvent, ...] = ()) -> dict[OrderEvent, OrderState]:
    return {event: _AIM[event] for event in events} | dict.fromkeys(stays_on, state)


_LATE_CANCEL: Final = (_E.CANCEL_REJECTED, _E.CANCEL_REJECTED_PARTLY)
_ENDS: Final = (_E.FILLED, _E.CANCELLED, _E.EXPIRED)

TABLE: Final[dict[OrderState, dict[OrderEvent, OrderState]]] = {
    _S.UNKNOWN: {},
    _S.NEW: _row(_S.NEW, _E.SUBMITTED, _E.REFUSED) | {_E.CANCEL_REQUESTED: _S.CANCELLED},
    _S.PENDING_CHECK: _row(_S.PENDING_CHECK, _E.PASSED, _E.REFUSED) | {_E.CANCEL_REQUESTED: _S.CANCELLED},
    _S.REFUSED: {},
    _S.ROUTED: _row(_S.ROUTED, _E.ACCEPTED, _E.PARTLY_FILLED, _E.REJECTED, *_ENDS, _E.CANCEL_REQUESTED, _E.LOST),
    _S.WORKING: _row(
        _S.WORKING, _E.PARTLY_FILLED, *_ENDS, _E.CANCEL_REQUESTED, _E.LOST, stays_on=(_E.AMENDED, _E.CANCEL_REJECTED)
    ),
    _S.PARTLY_FILLED: _row(
        _S.PARTLY_FILLED,
        *_ENDS,
        _E.CANCEL_REQUESTED,
        _E.LOST,
        stays_on=(_E.ACCEPTED, _E.AMENDED, _E.PARTLY_FILLED, _E.CANCEL_REJECTED),
    ),
    _S.PENDING_CANCEL: _row(
        _S.PENDING_CANCEL,
        *_LATE_CANCEL,
        *_ENDS,
        _E.REJECTED,
        _E.LOST,
        stays_on=(_E.ACCEPTED, _E.AMENDED, _E.PARTLY_FILLED, _E.CANCEL_REQUESTED),
    ),
    _S.IN_DOUBT: _row(
        _S.IN_DOUBT,
        _E.ACCEPTED,
        _E.PARTLY_FILLED,
        *_ENDS,
        _E.REJECTED,
        stays_on=(_E.CANCEL_REQUESTED, _E.CANCEL_REJECTED, _E.LOST),
    ),
    _S.FILLED: _row(_S.FILLED, stays_on=_LATE_CANCEL),
    _S.CANCELLED: _row(_S.CANCELLED, stays_on=_LATE_CANCEL),
    _S.EXPIRED: _row(_S.EXPIRED, stays_on=_LATE_CANCEL),
    _S.REJECTED: _row(_S.REJECTED, stays_on=_LATE_CANCEL),
}
"""For each state the legal events and where they lead."""

_OPEN: Final = frozenset({_S.ROUTED, _S.WORKING, _S.PARTLY_FILLED, _S.PENDING_CANCEL, _S.IN_DOUBT})


class IllegalTransition(Exception):  # noqa: N818 -- the thing that happened, as raised by name elsewhere
    """An event came that the order's state does not know."""

    def __init__(self, order_id: int, state: OrderState, event: OrderEvent) -> None:
        """Name the order, the state it is in, the state that the event means, and what would be legal."""
        aim = _AIM.get(event, OrderState.UNKNOWN).name
        legal = ", ".join(each.name for each in TABLE[state]) or "nothing"
        super().__init__(
            f"order {order_id} cannot go from {state.name} to {aim} on {event.name}; legal in {state.name}: {legal}"
        )
        self.order_id = order_id
        self.state = state
        self.event = event


def transition(state: OrderState, event: OrderEvent, order_id: int = 0) -> OrderState:
    """Return the state that *event* leads to.

    Raises:
        IllegalTransition: the table has no such event in this state; *order_id* is for its message.
    """
    after = TABLE[state].get(event)
    if after is None:
        raise IllegalTransition(order_id, state, event)
    return after


def is_terminal(state: OrderState) -> bool:
    """Return whether the order is over."""
    return state in TERMINAL


def is_open(state: OrderState) -> bool:
    """Return whether the order may be at the venue: it counts as working, and a kill must cancel it."""
    return state in _OPEN


def legal_events(state: OrderState) -> list[OrderEvent]:
    """Return the events that *state* knows, in their order."""
    return sorted(TABLE[state])


def transition_table() -> npt.NDArray[np.int64]:
    """Return the table as numbers, (state, event) → state, 0 where illegal: for compiled code and for hardware."""
    numbers = np.zeros((len(OrderState), len(OrderEvent)), np.int64)
    for state, row in TABLE.items():
        for event, after in row.items():
            numbers[state, event] = after
    return numbers
