"""Orders whose check answers later: out of process, in wall time.

The desk asks one check after the other. Where one does not answer at once, the order stays PENDING_CHECK here until its
verdict comes in as an event of that very check; then the next is asked. A timer refuses what is not answered in time,
so that a check which hangs lets nothing pass.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from penstock_sdk.core.timers import Timers
from penstock_sdk.core.wiring import Slot
from penstock_sdk.events import (
    Alert,
    CheckResult,
    CheckVerdict,
    IntentAction,
    Order,
    OrderState,
    Reason,
    Severity,
    Timer,
)
from penstock_sdk.golden.orders import OrderEvent, transition
from penstock_sdk.schema import Event

if TYPE_CHECKING:
    from penstock_sdk.core.desk import Desk

__all__ = ["ANSWER_MS", "LateChecks", "Waiting"]

ANSWER_MS = 200
"""How long an order waits for one check, unless the check's ``answer_ms`` says otherwise."""
_MS = 1_000_000
_END_OF = {OrderState.REFUSED: OrderEvent.REFUSED, OrderState.CANCELLED: OrderEvent.CANCEL_REQUESTED}
_RESULTS = {int(result): result.name.lower() for result in CheckResult}


class Waiting(NamedTuple):
    """An order that waits, the plugin id of the check that was asked last, and the timer that ends it."""

    order: Order
    check_id: int
    timer_id: int


class LateChecks:
    """The orders in PENDING_CHECK. Its handlers are wired where some check answers later.

    Attributes:
        waiting: by order id, the oldest first.
        missed, answered: how many answers did not come in time, and how many did, by plugin id.
    """

    def __init__(self, desk: Desk, timers: Timers) -> None:
        self._desk = desk
        self._timers = timers
        self.waiting: dict[int, Waiting] = {}
        self.missed: Counter[int] = Counter()
        self.answered: Counter[int] = Counter()

    def wait(self, order: Order, check: Slot, now_ns: int) -> Order:
        """Let *order* wait for a check that was asked; return the order as others hear it, which no venue does."""
        due_ns = now_ns + int(getattr(check.plugin, "answer_ms", ANSWER_MS)) * _MS
        timer_id = self._timers.set(0, due_ns, order.order_id)
        self.waiting[order.order_id] = Waiting(order, check.plugin_id, timer_id)
        return msgspec.structs.replace(order, venue_id=0)

    # -- what it hears ---------------------------------------------------------------------------------------------

    def on_check_verdict(self, verdict: CheckVerdict) -> list[Event] | Event | None:
        """Go on with the order that waits for this verdict of this check."""
        producer = self._desk.producer
        if not producer:
            return None  # the desk's own word of a check that answered at once
        held = self.waiting.get(verdict.order_id)
        if held is None or producer != held.check_id or verdict.check_id != producer:
            return self._unexpected(verdict, producer, held)
        self._take(held)
        self.answered[producer] += 1
        if verdict.result == CheckResult.PASSED:
            return self._desk.go_on(held.order, producer)
        known = verdict.result == CheckResult.REFUSED
        return self._desk.refuse(held.order, verdict.reason if known else Reason.CHECK_FAILED)

    def on_timer(self, timer: Timer) -> Event | None:
        """Refuse the order whose check has not answered in time."""
        if timer.plugin_id:
            return None
        held = self.waiting.get(timer.tag)
        if held is None or held.timer_id != timer.timer_id:
            return None
        self.missed[held.check_id] += 1
        return self._end(held, OrderState.REFUSED, Reason.CHECK_TIMEOUT)

    def _unexpected(self, verdict: CheckVerdict, producer: int, held: Waiting | None) -> Alert:
        name_of = self._desk.plugin_name
        wanted = "the verdict of an order that waits for it"
        if held is not None:
            wanted = f"the verdict of {name_of(held.check_id)}, which was asked about it"
        return Alert(
            code="check.unexpected_verdict", severity=Severity.WARNING, subject=name_of(producer),
            met=f"verdict {_RESULTS.get(verdict.result, verdict.result)} in the name of {name_of(verdict.check_id)} on "
            f"order {verdict.order_id}",
            wanted=wanted, way_out="it changes nothing; a verdict that often comes too late wants a longer answer_ms",
        )  # fmt: skip

    # -- ends ------------------------------------------------------------------------------------------------------

    def end(
        self,
        state: OrderState,
        reason: int = Reason.NONE,
        *,
        strategy_id: int = 0,
        listing_id: int = 0,
        check_id: int = 0,
        order_id: int = 0,
    ) -> list[Event]:
        """End the orders that fit all that is given, REFUSED or CANCELLED; return what is to be told."""
        found = [
            held
            for held in self.waiting.values()
            if (not strategy_id or held.order.strategy_id == strategy_id)
            and (not listing_id or held.order.listing_id == listing_id)
            and (not check_id or held.check_id == check_id)
            and (not order_id or held.order.order_id == order_id)
        ]
        return [self._end(held, state, reason) for held in found]

    def owner_of(self, order_id: int) -> int:
        """Return the strategy whose order waits, or 0."""
        held = self.waiting.get(order_id)
        return 0 if held is None else held.order.strategy_id

    def _end(self, held: Waiting, state: OrderState, reason: int) -> Order:
        order = held.order
        self._take(held)
        transition(OrderState.PENDING_CHECK, _END_OF[state], order.order_id)
        if state == OrderState.REFUSED:
            return self._desk.refuse(order, reason)
        return msgspec.structs.replace(
            order, action=int(IntentAction.CANCEL), state=int(state), venue_id=0, reason=int(reason)
        )

    def _take(self, held: Waiting) -> None:
        del self.waiting[held.order.order_id]
        self._timers.cancel(0, held.timer_id)

    # -- state -----------------------------------------------------------------------------------------------------

    def snapshot(self) -> Any:
        """Return it as msgpack carries it."""
        return [[Order.layout.pack(held.order), held.check_id, held.timer_id] for held in self.waiting.values()]

    def restore(self, state: Any) -> None:
        """Take back what `snapshot` returned; before 0.4.0 nothing waited."""
        self.waiting = {}
        for body, check_id, timer_id in state or ():
            order = Order.layout.unpack(body)
            self.waiting[order.order_id] = Waiting(order, check_id, timer_id)
