"""The journal's own account: what its events amount to, kept by a second hand that shares with the desk the
table of order states and nothing else.

It is fed every event in order, live as they are numbered and again from the files after each restart. What it holds is
compared with what the kernel holds; what an event may not say is told by the `invariants`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from penstock_sdk.events import (
    Alert,
    ExecutionReport,
    IntentAction,
    Limit,
    LimitKind,
    OperatorCommand,
    Order,
    OrderState,
    PluginState,
    PluginStatus,
    Reconcile,
    Reconciled,
    ReportKind,
    RunHeader,
    Side,
)
from penstock_sdk.golden.orders import TABLE, TERMINAL, OrderEvent

__all__ = ["Account", "Entry", "KnownOrder", "loosening"]

_SWITCHES = (LimitKind.KILL, LimitKind.PAUSE)
_EVENTS = {
    ReportKind.ACCEPTED: OrderEvent.ACCEPTED,
    ReportKind.CANCELLED: OrderEvent.CANCELLED,
    ReportKind.EXPIRED: OrderEvent.EXPIRED,
    ReportKind.REJECTED: OrderEvent.REJECTED,
    ReportKind.AMENDED: OrderEvent.AMENDED,
}


class Entry(NamedTuple):
    """One event as it was numbered. ``record`` is None where nobody asks for its type."""

    seq: int
    at_ns: int
    cause_seq: int
    origin: int
    producer: int
    schema_id: int
    records: int
    record: Any


class KnownOrder:
    """An order that left, and what became of it."""

    __slots__ = ("filled_lots", "order", "seq", "state")

    def __init__(self, order: Order, seq: int) -> None:
        self.order, self.seq = order, seq
        self.state = OrderState(order.state)
        self.filled_lots = 0

    @property
    def open(self) -> bool:
        """True while the venue may execute it."""
        return self.state not in TERMINAL


def loosening(entry: Entry) -> bool:
    """Return whether a limit is a plugin's try to switch something off, which has no effect."""
    limit = entry.record
    return limit.kind in _SWITCHES and not limit.value and entry.producer != 0


class Account:
    """What a journal says so far.

    Attributes:
        orders: every order that left, by id; ids: every id given, also to orders that were refused.
        stops: since which number no new order may leave, by why: ``killed``, ``paused 3``, ``reconciling 7``.
        limits: by (kind, strategy, listing). net_lots: by (strategy, listing).
        net_after: the same as of each fill's number, for what is told later in its cascade.
        illegal: reports that the order's state does not allow and that no alert has told yet, by number.
    """

    def __init__(self) -> None:
        self.last_seq = 0
        self.last_ns = -(2**63)
        self.orders: dict[int, KnownOrder] = {}
        self.open: dict[int, KnownOrder] = {}
        self.ids: set[int] = set()
        self.stops: dict[str, int] = {}
        self.limits: dict[tuple[int, int, int], int] = {}
        self.net_lots: Counter[tuple[int, int]] = Counter()
        self.net_after: dict[int, tuple[tuple[int, int], int]] = {}
        self.illegal: dict[int, str] = {}
        self.epoch = 0
        self.commands = 0
        """Commands of the plan that have been taken."""
        self.quarantined: set[str] = set()
        """Plugins that stay out until released."""
        self.changed = False
        """True when an order has moved since somebody looked."""

    def feed(self, entry: Entry) -> None:
        """Take one event."""
        self.last_seq = entry.seq + entry.records - 1
        self.last_ns = max(self.last_ns, entry.at_ns)
        record = entry.record
        take = _TAKE.get(type(record))
        if take is not None:
            take(self, entry, record)

    def _order(self, entry: Entry, order: Order) -> None:
        self.changed = True
        held = self.orders.get(order.order_id)
        if order.action == IntentAction.NEW and order.state in (OrderState.ROUTED, OrderState.REFUSED):
            self.ids.add(order.order_id)
            if order.state == OrderState.ROUTED:
                self.orders[order.order_id] = self.open[order.order_id] = KnownOrder(order, entry.seq)
        elif held is not None and held.open:
            in_doubt = order.action == IntentAction.NEW and order.state == OrderState.IN_DOUBT
            self._step(held, OrderEvent.LOST if in_doubt else OrderEvent.CANCEL_REQUESTED, entry.seq)

    def _report(self, entry: Entry, report: ExecutionReport) -> None:
        self.changed = True
        held = self.orders.get(report.order_id)
        if report.kind == ReportKind.CANCEL_REJECTED and not entry.producer:
            return  # the desk's own answer to one who may not cancel
        if held is None:
            if report.kind != ReportKind.CANCEL_REJECTED:
                self.illegal[entry.seq] = f"a report on order {report.order_id}, which never left"
            return
        if report.kind == ReportKind.FILL:
            self._fill(entry.seq, held, report)
            return
        if report.kind == ReportKind.CANCEL_REJECTED:
            partly = held.filled_lots and held.state == OrderState.PENDING_CANCEL
            event = OrderEvent.CANCEL_REJECTED_PARTLY if partly else OrderEvent.CANCEL_REJECTED
        else:
            event = _EVENTS.get(ReportKind(report.kind), OrderEvent.UNKNOWN)
        self._step(held, event, entry.seq)

    def _fill(self, seq: int, held: KnownOrder, report: ExecutionReport) -> None:
        key = held.order.strategy_id, held.order.listing_id
        if report.last_lots <= 0 or not held.open:
            self.illegal[seq] = f"a fill of {report.last_lots} lots on order {report.order_id} in {held.state.name}"
            return
        held.filled_lots += report.last_lots
        self.net_lots[key] += report.last_lots * (1 if held.order.side == Side.BUY else -1)
        self.net_after[seq] = key, self.net_lots[key]
        whole = held.filled_lots >= held.order.qty_lots
        self._step(held, OrderEvent.FILLED if whole else OrderEvent.PARTLY_FILLED, seq)

    def _step(self, held: KnownOrder, event: OrderEvent, seq: int) -> None:
        after = TABLE[held.state].get(event)
        if after is None:
            self.illegal[seq] = f"{event.name} on order {held.order.order_id} in {held.state.name}"
            return
        held.state = after
        if not held.open:
            self.open.pop(held.order.order_id, None)

    def _limit(self, entry: Entry, limit: Limit) -> None:
        if loosening(entry):
            return
        self.limits[limit.kind, limit.strategy_id, limit.listing_id] = limit.value
        if limit.kind in _SWITCHES:
            name = "killed" if limit.kind == LimitKind.KILL else f"paused {limit.strategy_id}"
            if limit.value:
                self.stops.setdefault(name, entry.seq)
            else:
                self.stops.pop(name, None)

    def _header(self, _entry: Entry, header: RunHeader) -> None:
        self.epoch = header.epoch

    def _reconcile(self, entry: Entry, question: Reconcile) -> None:
        self.stops[f"reconciling {question.venue_id}"] = entry.seq

    def _reconciled(self, _entry: Entry, answer: Reconciled) -> None:
        if answer.epoch == self.epoch:
            self.stops.pop(f"reconciling {answer.venue_id}", None)

    def _command(self, _entry: Entry, command: OperatorCommand) -> None:
        self.commands += command.who == "chaos" and command.why == "the plan"
        if command.command == "release":
            self.quarantined.discard(command.target)

    def _alert(self, entry: Entry, _alert: Alert) -> None:
        self.illegal.pop(entry.cause_seq, None)

    def _state(self, _entry: Entry, state: PluginState) -> None:
        if state.status == PluginStatus.QUARANTINED:
            self.quarantined.add(state.name)

    def stopped_for(self, order: Order, asked_seq: int) -> str:
        """Return why an order that was asked for at *asked_seq* may not leave, or nothing."""
        names = ("killed", "paused 0", f"paused {order.strategy_id}", f"reconciling {order.venue_id}")
        return next((name for name in names if self.stops.get(name, asked_seq) < asked_seq), "")


_TAKE: dict[type, Any] = {
    Order: Account._order, ExecutionReport: Account._report, Limit: Account._limit, RunHeader: Account._header,
    Reconcile: Account._reconcile, Reconciled: Account._reconciled, OperatorCommand: Account._command,
    Alert: Account._alert, PluginState: Account._state,
}  # fmt: skip
