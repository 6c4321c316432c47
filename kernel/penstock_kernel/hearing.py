"""Taking up a journal with other code than wrote it: plugins hear what was recorded, and what they say is dropped.

After an upgrade the same inputs need not give the same events, so nothing can be recomputed and compared. Instead the
kernel's own state (ids, orders, limits, alerts) is folded from the recorded events, and every plugin of the new
deployment hears them all, in order, as if it had been there; what it returns is not said again. Risk is asked about
each order that left, so that it counts it. The record is right whatever the new code would have done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from penstock_kernel.boot import attach_plugins
from penstock_kernel.deployment import Deployment
from penstock_kernel.kernel import Kernel
from penstock_sdk.core.desk import OpenOrder
from penstock_sdk.events import (
    ExecutionReport,
    IdKind,
    IntentAction,
    Interned,
    Limit,
    LimitKind,
    Order,
    OrderIntent,
    OrderState,
    PluginState,
    PluginStatus,
    RunHeader,
    SessionReady,
    TaskResult,
    Timer,
)
from penstock_sdk.golden.orders import TERMINAL
from penstock_sdk.schema import Event, Frame
from penstock_sdk.wire.segment import FrameView

__all__ = ["Hearing"]

TURN_EVERY = 1024


class Hearing:
    """A kernel that hears a journal.

    Args:
        kernel: made for this, without a journal; it never goes live.
        names: every `Interned` record behind *state*: ids were given already, and are not given twice.
        state: a snapshot to begin with, or None to hear from the first event.
        decode: returns the record or frame of a recorded frame.

    Raises:
        CarryError: a plugin cannot take up its state in *state*; hear from the beginning then.
    """

    def __init__(
        self,
        kernel: Kernel,
        deployment: Deployment,
        state: dict[str, Any] | None,
        names: Iterable[Interned],
        decode: Callable[[FrameView], Event],
    ) -> None:
        self.kernel = kernel
        self.errors: dict[str, str] = {}
        """The first thing that each plugin raised while it heard."""
        self._decode = decode
        self._unsaid: list[bytes] = []
        kernel.live = False
        kernel.hearing = True
        kernel.tape = []
        kernel.cascade.wire(kernel.cascade.slots)
        if state is not None:
            kernel.carry(state)
        known = {(name.kind, name.name) for name in names}
        for name in names:
            kernel.catalog.intern(name.kind, name.name)
        attach_plugins(kernel, deployment, state)
        # Names that the new deployment brought have no record yet: the session says them at its start.
        for slot in kernel.slots.values():
            if state is None and (IdKind.PLUGIN, slot.name) not in known:
                self._unsaid.append(_interned(IdKind.PLUGIN, slot.plugin_id, slot.name))
        kernel.timers.drop({slot.plugin_id for slot in kernel.slots.values() if slot.name in kernel.resumed})
        self._started = set(kernel.resumed)
        kernel.tape.clear()

    def play(self, frames: Iterable[FrameView]) -> dict[str, Any]:
        """Let every recorded event be heard; return the state that a session begins with."""
        kernel = self.kernel
        moment = kernel.moment
        for count, frame in enumerate(frames, 1):
            event = self._decode(frame)
            moment.now_ns, moment.seq, moment.producer = frame.at_ns, frame.seq, frame.producer
            moment.correlation_seq = frame.correlation_seq
            kernel.cascade.seq = frame.seq + frame.count - 1
            self._hear(event)
            if count % TURN_EVERY == 0:
                kernel.turn()
        for name in [name for name in kernel.slots if name not in self._started]:
            del kernel.slots[name]  # it was not there; it starts with the session
        state = kernel.snapshot()
        state["unsaid"] = self._unsaid
        return state

    def _hear(self, event: Event) -> None:
        kernel = self.kernel
        if isinstance(event, Timer):
            kernel.timers.cancel(event.plugin_id, event.timer_id)
        elif isinstance(event, Interned):
            kernel.catalog.intern(event.kind, event.name)
        fold = _FOLDS.get(type(event))
        if fold is not None:
            fold(kernel, event)
        if isinstance(event, Order) and event.action == IntentAction.NEW and event.state == OrderState.ROUTED:
            self._ask(event)
        for target in kernel.cascade.hearers(event):
            if target.slot.plugin is kernel.desk and fold is not None:
                continue
            try:
                target.call(event)
            except BaseException as error:
                self._note(target.slot.name, target.name, error)
        if isinstance(event, PluginState) and event.status == PluginStatus.RUNNING:
            self._start(event.name)
        self._drop_what_was_said()
        if isinstance(event, TaskResult):
            kernel.answered(event.plugin_id, event.task_id)

    def _start(self, name: str) -> None:
        """Let a plugin start where its instance did."""
        slot = self.kernel.slots.get(name)
        if slot is None:
            return
        again = name in self._started
        self._started.add(name)
        try:
            slot.plugin.on_resume() if again else slot.plugin.on_start()
        except BaseException as error:
            self._note(name, "on_resume" if again else "on_start", error)

    def _ask(self, order: Order) -> None:
        """Let the checks count an order that left; what they would say of it now does not matter."""
        for slot in self.kernel.desk.checks:
            try:
                slot.plugin.check_order(order)
            except BaseException as error:
                self._note(slot.name, "check_order", error)

    def _drop_what_was_said(self) -> None:
        kernel = self.kernel
        for event in kernel.cascade.take_queue():
            if isinstance(event, Interned):
                self._unsaid.append(Interned.layout.pack(event))
        kernel.forget_effects(2**62)
        assert kernel.tape is not None
        kernel.tape.clear()

    def _note(self, plugin: str, handler: str, error: BaseException) -> None:
        self.errors.setdefault(plugin, f"{handler}: {type(error).__name__}: {error}")


def _interned(kind: IdKind, number: int, name: str) -> bytes:
    return Interned.layout.pack(Interned(kind=kind, id=number, name=name))


def _fold_order(kernel: Kernel, order: Order) -> None:
    desk = kernel.desk
    if order.state == OrderState.REFUSED:
        desk.refused += 1
    elif order.action == IntentAction.NEW and order.state == OrderState.ROUTED:
        desk.orders += 1
        desk.open[order.order_id] = OpenOrder(order, OrderState.ROUTED)
    elif order.order_id in desk.open:
        desk.open[order.order_id].state = OrderState(order.state)
    desk.saw_order_id(order.order_id)


def _fold_report(kernel: Kernel, report: ExecutionReport) -> None:
    held = kernel.desk.open.get(report.order_id)
    if held is None:
        return
    kernel.desk.on_execution_report(report)
    if held.state in TERMINAL:
        kernel.desk.open.pop(report.order_id, None)


def _fold_limit(kernel: Kernel, limit: Limit) -> None:
    desk = kernel.desk
    if kernel.moment.producer and not limit.value and limit.kind in (LimitKind.KILL, LimitKind.PAUSE):
        return  # a plugin may not switch these off, and did not
    if limit.kind == LimitKind.KILL:
        desk.killed = bool(limit.value)
    elif limit.kind == LimitKind.PAUSE:
        (desk.paused.add if limit.value else desk.paused.discard)(limit.strategy_id)


def _fold_header(kernel: Kernel, header: RunHeader) -> None:
    kernel.desk.on_run_header(header)


def _fold_plugin_state(kernel: Kernel, state: PluginState) -> None:
    with suppress(KeyError):
        kernel.desk.on_plugin_state(state)


def _fold_nothing(_kernel: Kernel, _event: Event) -> None:
    """What follows from it was recorded too."""


def _fold_intent(kernel: Kernel, intent: OrderIntent) -> None:
    kernel.desk.saw_intent(intent)


_FOLDS: dict[type, Callable[[Kernel, Any], None]] = {
    Order: _fold_order,
    OrderIntent: _fold_intent,
    ExecutionReport: _fold_report,
    Limit: _fold_limit,
    RunHeader: _fold_header,
    PluginState: _fold_plugin_state,
    SessionReady: _fold_nothing,
}
"""What the desk does with a recorded event in place of its handler, which would act on it again."""

assert Frame not in _FOLDS
