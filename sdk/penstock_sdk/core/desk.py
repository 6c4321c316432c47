"""The order desk: makes orders of intents, asks the checks, routes, and steps each order's state.

Refusing is the default: an order leaves only when every check has said that it may. A cancel is never held back: not by
a check, a pause, the kill switch, or a journal that cannot be written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from penstock_sdk.context import Moment
from penstock_sdk.core.catalog import Catalog
from penstock_sdk.core.faults import shown
from penstock_sdk.core.late_checks import LateChecks
from penstock_sdk.core.limit_rows import limit_rows
from penstock_sdk.core.timers import Timers
from penstock_sdk.core.wiring import Slot
from penstock_sdk.events import (
    Alert,
    CheckResult,
    CheckVerdict,
    ExecutionReport,
    IdKind,
    IntentAction,
    Limit,
    LimitKind,
    ListingDefinition,
    OperatorCommand,
    Order,
    OrderIntent,
    OrderState,
    PluginState,
    PluginStatus,
    Quote,
    Reason,
    Reconcile,
    Reconciled,
    ReportKind,
    RunHeader,
    SessionReady,
    Severity,
)
from penstock_sdk.golden.orders import TABLE, TERMINAL, OrderEvent, transition
from penstock_sdk.schema import ABSENT, Event, Frame
from penstock_sdk.slots import Deliveries

__all__ = ["Desk", "OpenOrder"]

# Plain numbers for what every order comes past: to look a member up in its enum takes 80 ns.
_NEW, _CANCEL = int(IntentAction.NEW), int(IntentAction.CANCEL)
_CANCELS = (_CANCEL, int(IntentAction.CANCEL_ALL))
_PENDING_CHECK, _ROUTED, _REFUSED = int(OrderState.PENDING_CHECK), int(OrderState.ROUTED), int(OrderState.REFUSED)
_FILL, _CANCEL_REJECTED = int(ReportKind.FILL), int(ReportKind.CANCEL_REJECTED)
_FILLED, _PARTLY_FILLED = int(OrderEvent.FILLED), int(OrderEvent.PARTLY_FILLED)
_PASSED, _NO_REASON, _AT_VENUE, _LISTING = int(CheckResult.PASSED), int(Reason.NONE), OrderState.ROUTED, IdKind.LISTING
_EVENT_OF: dict[int, int] = {
    ReportKind.ACCEPTED: OrderEvent.ACCEPTED,
    ReportKind.CANCELLED: OrderEvent.CANCELLED,
    ReportKind.EXPIRED: OrderEvent.EXPIRED,
    ReportKind.REJECTED: OrderEvent.REJECTED,
    ReportKind.AMENDED: OrderEvent.AMENDED,
}
_NEXT: dict[tuple[int, int | None], OrderState] = {
    (int(state), int(event)): after for state, row in TABLE.items() for event, after in row.items()
}

_ANSWERS = (_PASSED, int(CheckResult.REFUSED))
_UNANSWERED = (OrderState.ROUTED, OrderState.PENDING_CANCEL, OrderState.IN_DOUBT)
_HALF_MAX = 2**62
"""Bid plus ask of prices below it fit 64 bits; beyond, there is no mid."""

_COMMANDS = ("kill", "unkill", "pause", "resume", "cancel_all", "limit", "limits")


def loosens(limit: Limit, moment: Moment) -> bool:
    """Return whether a plugin tries to switch the kill switch or a pause off, which only an operator may."""
    return limit.kind in (LimitKind.KILL, LimitKind.PAUSE) and not limit.value and moment.producer != 0


class OpenOrder:
    """An order that a venue may still execute."""

    __slots__ = ("cancel_asked", "filled_lots", "order", "state")

    def __init__(self, order: Order, state: OrderState, filled_lots: int = 0, cancel_asked: bool = False) -> None:
        self.order = order
        self.state = state
        self.filled_lots = filled_lots
        self.cancel_asked = cancel_asked
        """A cancel was sent and not rejected: one that met a venue which was away is sent again."""


class Desk:
    """Every order of the run. Its handlers are wired like a plugin's, before all plugins.

    Args:
        epoch: an order id is epoch ‖ counter, so that ids never repeat over restarts.
        fault: called when a check raises or gives no verdict.
        timers: the kernel's; those of the desk refuse orders whose check does not answer in time.
    """

    def __init__(
        self,
        moment: Moment,
        catalog: Catalog,
        epoch: int,
        fault: Callable[[Slot, str, BaseException], None],
        timers: Timers | None = None,
    ) -> None:
        self._moment = moment
        self._catalog = catalog
        self._fault = fault
        self._next_order_id = (epoch << 40) + 1
        self.checks: list[Slot] = []
        """Risk and compliance slots, in the order they are asked."""
        self.has_risk = False
        """A risk check runs, and no check of the run has been lost: refusing is the default."""
        self._checks_known: set[str] = set()
        self._venues: set[int] = set()
        self.traders: dict[int, Slot] = {}
        """Slots that may send orders, by plugin id."""
        self.outside: set[int] = set()
        """Venues whose state is not in the run: after a crash they know more than we do."""
        self.open: dict[int, OpenOrder] = {}
        self._last_intent: dict[int, int] = {}
        self._leaving: set[int] = set()
        self._degraded: set[int] = set()
        """Plugins that do not answer well: no order is asked of such a check or sent to such a venue."""
        self.killed = False
        self.paused: set[int] = set()
        """Strategies whose new orders are paused; 0 is all of them."""
        self.journal_failed = False
        self.reconciling: set[int] = set()
        """Venues that have not said yet where the orders of an earlier session stand: no new order goes there."""
        self._can_reconcile: set[int] = set()
        self._half_ticks: dict[int, int] = {}
        """Bid plus ask by listing id; ABSENT when a side is empty."""
        self._deliveries = Deliveries()
        """When each of these listings is over."""
        self.ask: Callable[[Slot, Order], CheckVerdict | None] = self._ask
        """Asks a check; a stopwatch puts itself before it. None: it answers later."""
        self.late = LateChecks(self, timers if timers is not None else Timers())
        """Orders that wait for the verdict of a check out of process."""
        self._may_be_late = False
        """In wall time a check out of process answers later; in simulated time it is waited for."""
        self.orders = 0
        self.fills = 0
        self.refused = 0
        self.cancels = 0
        """Cancels sent since this process began."""

    def plugin_name(self, plugin_id: int) -> str:
        """Return a plugin's name, or ``plugin#id`` for an id that none has."""
        return self._catalog.name_of(IdKind.PLUGIN, plugin_id)

    def wire(self, slots: list[Slot]) -> None:
        """Learn who checks and who trades; called whenever a plugin joins or leaves."""
        self.checks = [s for s in slots if s.kind in ("risk", "compliance")]
        self._checks_known.update(s.name for s in self.checks)
        self.has_risk = any(s.kind == "risk" for s in slots) and len(self.checks) == len(self._checks_known)
        self._venues = {s.plugin_id for s in slots if s.is_venue}
        self.traders = {s.plugin_id: s for s in slots if s.may_order}
        self.outside = {s.plugin_id for s in slots if s.is_venue and not s.plugin.embedded}
        self._can_reconcile = {s.plugin_id for s in slots if s.is_venue and hasattr(s.plugin, "on_reconcile")}

    def forget_check(self, name: str) -> None:
        """Miss a check no longer that an operator has taken out of the deployment; `wire` counts anew."""
        self._checks_known.discard(name)

    @property
    def producer(self) -> int:
        """The plugin id of whoever made the event at hand; 0 is the kernel."""
        return self._moment.producer

    def on_plugin_state(self, state: PluginState) -> list[Event] | None:
        """Take no new order from a plugin that is leaving; those that wait for a check end."""
        if state.status in (PluginStatus.DRAINING, PluginStatus.STOPPED, PluginStatus.FAILED):
            self._leaving.add(state.plugin_id)
            self._degraded.discard(state.plugin_id)
            return self.late.end(OrderState.CANCELLED, strategy_id=state.plugin_id) if self.late.waiting else None
        if state.status == PluginStatus.RUNNING:
            self._leaving.discard(state.plugin_id)
        if state.status == PluginStatus.DEGRADED:
            self._degraded.add(state.plugin_id)
        else:
            self._degraded.discard(state.plugin_id)
        return None

    # -- market ----------------------------------------------------------------------------------------------------

    def on_listing_definition(self, listing: ListingDefinition) -> None:
        """Make room for a listing's mid; those that are over by now make it."""
        for listing_id, _, _ in self._deliveries.over(self._moment.now_ns):
            self._half_ticks.pop(listing_id, None)
        if listing.listing_id not in self._half_ticks:
            self._half_ticks[listing.listing_id] = ABSENT
            self._deliveries.cover(listing)

    def on_quotes(self, frame: Frame) -> None:
        """Keep bid plus ask of each listing, the arrival mid of the orders to come."""
        array = frame.array
        bid, ask = array["bid_ticks"], array["ask_ticks"]
        known_sides = (np.abs(bid) < _HALF_MAX) & (np.abs(ask) < _HALF_MAX)
        both = np.where(known_sides & (bid != ABSENT) & (ask != ABSENT), bid + ask, ABSENT)
        known = self._half_ticks
        for listing_id, half_ticks in zip(array["listing_id"].tolist(), both.tolist(), strict=True):
            if listing_id in known:
                known[listing_id] = half_ticks

    def on_quote(self, quote: Quote) -> None:
        """As `on_quotes`, for one."""
        if quote.listing_id in self._half_ticks:
            bid, ask = quote.bid_ticks, quote.ask_ticks
            both = -_HALF_MAX < bid < _HALF_MAX and -_HALF_MAX < ask < _HALF_MAX
            self._half_ticks[quote.listing_id] = bid + ask if both else ABSENT

    # -- intents ---------------------------------------------------------------------------------------------------

    def on_order_intent(self, intent: OrderIntent) -> list[Event] | Event | None:
        """Return the verdicts and the order that come of an intent."""
        action = intent.action
        if action == _NEW:
            return self._new(intent)
        if action in _CANCELS:
            if self._moment.producer != intent.strategy_id:
                return self._foreign(intent)
            if action == _CANCEL:
                return self._cancel(intent)
            return self._cancel_all(intent.strategy_id, intent.listing_id)
        return self._refusal(intent, Reason.NOT_ALLOWED)

    def _foreign(self, intent: OrderIntent) -> Alert:
        """A plugin cancels its own orders; others' are cancelled by an operator's command, or by a kill or a pause."""
        return Alert(
            code="order.foreign_cancel", severity=Severity.WARNING, subject=str(self._moment.producer),
            met=f"a cancel for strategy {intent.strategy_id} by plugin {self._moment.producer}",
            wanted="a cancel of the plugin's own orders", way_out="emit a Limit that pauses, or ask an operator",
        )  # fmt: skip

    def _new(self, intent: OrderIntent) -> list[Event] | Event:
        reason = self._hard_reason(intent)
        if reason:
            return self._refusal(intent, reason)
        self._last_intent[intent.strategy_id] = intent.intent_id
        listing = self._catalog.definition(_LISTING, intent.listing_id)
        order_id = self._next_order_id
        self._next_order_id = order_id + 1
        arrival = self._half_ticks.get(intent.listing_id, ABSENT)
        pending = self._order(intent, order_id, _PENDING_CHECK, listing.venue_id, arrival, _NO_REASON)
        out: list[Event] = []
        for slot in self.checks:
            verdict = self.ask(slot, pending)
            if verdict is None:
                out.append(self.late.wait(pending, slot, self._moment.now_ns))
                return out
            out.append(verdict)
            if verdict.result != _PASSED:
                self.refused += 1
                out.append(self._order(intent, order_id, _REFUSED, 0, arrival, verdict.reason))
                return out
        self.orders += 1
        routed = self._order(intent, order_id, _ROUTED, listing.venue_id, arrival, _NO_REASON)
        self.open[order_id] = OpenOrder(routed, _AT_VENUE)
        out.append(routed)
        return out

    def go_on(self, order: Order, check_id: int) -> list[Event]:
        """Return what comes of an order that waited and that a check has passed: the next are asked, then it leaves.

        What has been stopped meanwhile stays here.
        """
        reason = self._stopped(order.strategy_id, order.listing_id)
        if reason:
            return [self.refuse(order, reason)]
        out: list[Event] = []
        asked = next((at for at, slot in enumerate(self.checks, 1) if slot.plugin_id == check_id), 0)
        for slot in self.checks[asked:]:
            verdict = self.ask(slot, order)
            if verdict is None:
                self.late.wait(order, slot, self._moment.now_ns)
                return out
            out.append(verdict)
            if verdict.result != _PASSED:
                out.append(self.refuse(order, verdict.reason))
                return out
        self.orders += 1
        arrival = self._half_ticks.get(order.listing_id, ABSENT)
        routed = msgspec.structs.replace(order, state=_ROUTED, arrival_half_ticks=arrival)
        self.open[order.order_id] = OpenOrder(routed, _AT_VENUE)
        out.append(routed)
        return out

    def refuse(self, order: Order, reason: int) -> Order:
        """Return an order that waited as refused."""
        self.refused += 1
        return msgspec.structs.replace(order, state=_REFUSED, venue_id=0, reason=int(reason))

    def _hard_reason(self, intent: OrderIntent) -> int:
        """Return why no check needs to be asked, or 0."""
        strategy_id = intent.strategy_id
        if self._moment.producer != strategy_id:
            return Reason.NOT_ALLOWED
        reason = self._stopped(strategy_id, intent.listing_id)
        if reason:
            return reason
        if intent.qty_lots <= 0 or intent.side not in (1, 2) or not 1 <= intent.kind <= 4:
            return Reason.MALFORMED
        if intent.intent_id <= self._last_intent.get(strategy_id, 0):
            return Reason.DUPLICATE
        return 0

    def _stopped(self, strategy_id: int, listing_id: int) -> int:
        """Return why nothing new of a strategy may go to a listing's venue as things stand, or 0."""
        if strategy_id not in self.traders or strategy_id in self._leaving:
            return Reason.NOT_ALLOWED
        if self.killed:
            return Reason.KILL_SWITCH
        if self.paused and (0 in self.paused or strategy_id in self.paused):
            return Reason.PAUSED
        if self.journal_failed:
            return Reason.JOURNAL_FULL
        if not self.has_risk or (self._degraded and any(slot.plugin_id in self._degraded for slot in self.checks)):
            return Reason.NO_CHECK
        listing = self._catalog.definition(_LISTING, listing_id)
        if listing is None:
            return Reason.UNKNOWN_LISTING
        if not listing.interval_count and not listing.segments:
            return Reason.NO_DELIVERY
        if listing.venue_id not in self._venues or listing.venue_id in self._degraded:
            return Reason.UNKNOWN_VENUE
        if self.reconciling and listing.venue_id in self.reconciling:
            return Reason.RECONCILING
        return 0

    def _ask(self, slot: Slot, order: Order) -> CheckVerdict | None:
        """Return a check's verdict, None where it answers later; one that raises or answers nonsense refuses."""
        try:
            if slot.recording is not None:
                verdict: Any = slot.recording.verdict(order.order_id)
            else:
                verdict = slot.plugin.check_order(order)
            if verdict is None and self._may_be_late and getattr(slot.plugin, "answers_later", False):
                return None
            if type(verdict) is CheckVerdict and verdict.order_id == order.order_id and verdict.result in _ANSWERS:
                CheckVerdict.layout.pack(verdict)  # one that cannot be recorded is no verdict
                return verdict
            wanted = f"a CheckVerdict on order {order.order_id}, passed or refused"
            raise TypeError(f"check_order returned {shown(verdict)}, wanted {wanted}")
        except BaseException as error:  # a plugin may raise anything; Ctrl-C is a signal of the kernel's
            self._fault(slot, "check_order", error)
        return CheckVerdict(
            order.order_id, CheckResult.REFUSED, 0, Reason.CHECK_FAILED, slot.plugin_id, ABSENT, ABSENT,
            order.listing_id, order.strategy_id,
        )  # fmt: skip

    def _order(self, intent: OrderIntent, order_id: int, state: int, venue_id: int, arrival: int, reason: int) -> Order:
        return Order(
            order_id, intent.listing_id, intent.action, intent.side, intent.kind, state, intent.price_ticks,
            intent.qty_lots, 0, intent.intent_id, intent.decision_half_ticks, arrival, venue_id, reason, 0, 0,
            intent.strategy_id, intent.book_id, intent.algo_id, intent.algo_version, intent.trader_id,
            intent.account_id,
        )  # fmt: skip

    def _refusal(self, intent: OrderIntent, reason: int) -> Order:
        self.refused += 1
        order_id = self._next_order_id
        self._next_order_id = order_id + 1
        return self._order(intent, order_id, _REFUSED, 0, ABSENT, reason)

    # -- cancels ---------------------------------------------------------------------------------------------------

    def _cancel(self, intent: OrderIntent) -> Event | None:
        held = self.open.get(intent.order_id)
        if held is None and self.late.owner_of(intent.order_id) == intent.strategy_id != 0:
            return self.late.end(OrderState.CANCELLED, order_id=intent.order_id)[0]
        if held is None or held.order.strategy_id != intent.strategy_id:
            return ExecutionReport(
                intent.order_id, intent.listing_id, ReportKind.CANCEL_REJECTED, strategy_id=intent.strategy_id,
                reason=Reason.UNKNOWN_ORDER,
            )  # fmt: skip
        return self._cancel_one(held)

    def _cancel_one(self, held: OpenOrder) -> Order:
        held.state = transition(held.state, OrderEvent.CANCEL_REQUESTED, held.order.order_id)
        held.cancel_asked = True
        self.cancels += 1
        o = held.order
        return Order(
            o.order_id, o.listing_id, int(IntentAction.CANCEL), o.side, o.kind, int(held.state),
            o.price_ticks, o.qty_lots, held.filled_lots, o.intent_id, o.decision_half_ticks, o.arrival_half_ticks,
            o.venue_id, Reason.NONE, 0, 0,
            o.strategy_id, o.book_id, o.algo_id, o.algo_version, o.trader_id, o.account_id,
        )  # fmt: skip

    def _cancel_all(self, strategy_id: int, listing_id: int = 0, *, again: bool = False) -> list[Event]:
        """Return a cancel for each open order; strategy 0 is every strategy, listing 0 every listing.

        *again* repeats cancels that were sent and not answered: a person who asks twice has a reason.
        """
        waiting = self.late.end(OrderState.CANCELLED, strategy_id=strategy_id, listing_id=listing_id)
        return waiting + [
            self._cancel_one(held)
            for held in self.open.values()
            if (not strategy_id or held.order.strategy_id == strategy_id)
            and (not listing_id or held.order.listing_id == listing_id)
            and (again or held.state != OrderState.PENDING_CANCEL)
        ]

    # -- reports ---------------------------------------------------------------------------------------------------

    def admit(self, report: ExecutionReport, venue: Slot) -> ExecutionReport | Alert:
        """Return a venue's report with the owner filled in, before it is numbered; an alert when it has none.

        A venue that was restarted may know an order by its id alone: listing and side are filled in, too.
        """
        held = self.open.get(report.order_id)
        if held is None and report.kind == ReportKind.CANCEL_REJECTED:
            return report  # a cancel that came too late
        if held is None or held.order.venue_id != venue.plugin_id:
            return self._unowned(report, venue.name)
        order = held.order
        if report.strategy_id == order.strategy_id and report.listing_id:
            return report
        return msgspec.structs.replace(
            report, strategy_id=order.strategy_id, listing_id=report.listing_id or order.listing_id,
            side=report.side or order.side,
        )  # fmt: skip

    def on_execution_report(self, report: ExecutionReport) -> Event | None:
        """Step the order's state; say what is not legal."""
        held = self.open.get(report.order_id)
        kind = report.kind
        if held is None:
            return None if kind == _CANCEL_REJECTED else self._unowned(report, "the desk")
        if kind == _CANCEL_REJECTED and not self._moment.producer:
            return None  # our own answer to one who may not cancel this order
        if kind == _FILL:
            if report.last_lots <= 0:
                return self._illegal(held, report)
            self.fills += 1
            held.filled_lots += report.last_lots
            whole = held.filled_lots >= held.order.qty_lots
            event: int | None = _FILLED if whole else _PARTLY_FILLED
        elif kind == _CANCEL_REJECTED:
            partly = held.filled_lots and held.state == OrderState.PENDING_CANCEL
            event = OrderEvent.CANCEL_REJECTED_PARTLY if partly else OrderEvent.CANCEL_REJECTED
            held.cancel_asked = False
        else:
            event = _EVENT_OF.get(kind)
        state = _NEXT.get((held.state, event))
        if state is None:
            return self._illegal(held, report)
        held.state = state
        if state in TERMINAL:
            del self.open[report.order_id]
        if held.filled_lots > held.order.qty_lots:
            return self._illegal(held, report)
        return None

    @staticmethod
    def _unowned(report: ExecutionReport, subject: str) -> Alert:
        return Alert(
            code="order.unknown_report",
            severity=Severity.ERROR,
            subject=subject,
            met=f"report {report.kind} of {report.last_lots} lots on order {report.order_id}",
            wanted="a report on an open order routed to this venue",
            way_out="reconcile with the venue; a fill that is not ours is a position that is not ours",
        )

    def _illegal(self, held: OpenOrder, report: ExecutionReport) -> Alert:
        name = ReportKind(report.kind).name if report.kind in ReportKind._value2member_map_ else str(report.kind)
        return Alert(
            code="order.illegal_transition",
            severity=Severity.ERROR,
            subject=str(report.order_id),
            met=f"{name} of {report.last_lots} lots in {OrderState(held.state).name}, "
            f"{held.filled_lots} of {held.order.qty_lots} lots filled",
            wanted="a report that the order's state allows",
            way_out="reconcile the order with its venue",
        )

    # -- operator --------------------------------------------------------------------------------------------------

    def on_limit(self, limit: Limit) -> list[Event] | Event | None:
        """Keep the kill switch and pauses, which are limits of value 1; both cancel what they stop."""
        if loosens(limit, self._moment):
            return Alert(
                code="limit.not_allowed", severity=Severity.ERROR, subject=str(self._moment.producer),
                met=f"a plugin switching {LimitKind(limit.kind).name} off", wanted="an operator's command",
                way_out="unkill or resume by command; a plugin may only switch them on",
            )  # fmt: skip
        if limit.kind == LimitKind.KILL:
            self.killed = bool(limit.value)
            if not self.killed:
                return None
            return self.late.end(OrderState.REFUSED, Reason.KILL_SWITCH) + self._cancel_all(0, again=True)
        if limit.kind == LimitKind.PAUSE:
            if limit.value:
                self.paused.add(limit.strategy_id)
                refused = self.late.end(OrderState.REFUSED, Reason.PAUSED, strategy_id=limit.strategy_id)
                return refused + self._cancel_all(limit.strategy_id)
            self.paused.discard(limit.strategy_id)
        return None

    def on_operator_command(self, command: OperatorCommand) -> list[Event] | Event | None:
        """Return what a command causes; the kernel itself does `stop` and `quarantine`."""
        name = command.command
        if name == "stop" and command.argument == "cancel":
            # What a cancel's answer moves a strategy to send would rest where nobody watches it any more.
            self._leaving.update(self.traders)
            return self._cancel_all(0, again=True)
        if name not in _COMMANDS:
            return None
        target = self._target(command.target)
        if target is None:
            return Alert(
                code="command.unknown_target", severity=Severity.WARNING, subject=command.target,
                met=f"command {name}", wanted="the name of a plugin that trades",
                way_out="see the plugins of the deployment",
            )  # fmt: skip
        if name in ("kill", "unkill"):
            return Limit(LimitKind.KILL, value=int(name == "kill"), previous=int(self.killed))
        if name in ("pause", "resume"):
            return Limit(
                LimitKind.PAUSE, strategy_id=target, value=int(name == "pause"), previous=int(target in self.paused)
            )
        if name == "limit":
            return self._set_limit(command, target)
        if name == "limits":
            return self._set_limits(command)
        return self._cancel_all(target, again=True)

    def _set_limit(self, command: OperatorCommand, target: int) -> Limit | Alert:
        """Return the limit that ``argument`` (``name=value``) sets, for the target or for all."""
        name, _, value = command.argument.partition("=")
        kind = LimitKind.__members__.get(name.strip().upper())
        if not kind or not value.strip().lstrip("-").isdigit():
            known = ", ".join(member.name.lower() for member in LimitKind if member)
            return Alert(
                code="command.bad_limit", severity=Severity.WARNING, subject=command.target, met=command.argument,
                wanted="name=value", way_out=f"limits are {known}; values are integers",
            )  # fmt: skip
        return Limit(kind, strategy_id=target, value=int(value))

    def _set_limits(self, command: OperatorCommand) -> list[Event] | Event:
        """Return every limit of ``argument``, JSON rows of [owner, name, value]; one bad row, and none is set."""
        rows, faults = limit_rows(command.argument, [slot.name for slot in self.traders.values()])
        if faults:
            return Alert(
                code="command.bad_limit", severity=Severity.WARNING, subject="limits", met="; ".join(faults),
                wanted="rows of [owner, name, value], every one of them good",
                way_out="none was set; mend the rows and give them again",
            )  # fmt: skip
        limits: list[Event] = []
        for owner, kind, value in rows:
            strategy_id = self._target(owner)
            assert strategy_id is not None
            limits.append(Limit(kind, strategy_id=strategy_id, value=value))
        return limits

    def _target(self, name: str) -> int | None:
        if not name:
            return 0
        return next((s.plugin_id for s in self.traders.values() if s.name == name), None)

    def gone(self, slot: Slot) -> list[Event]:
        """Return what comes of a plugin that is quarantined or lost.

        A trader's orders are cancelled, those at a venue are in doubt, those that wait for a check are refused.
        """
        if slot.is_venue:
            return [self._doubt(held) for held in self.open.values() if held.order.venue_id == slot.plugin_id]
        if slot.may_order:
            return self._cancel_all(slot.plugin_id)
        return self.late.end(OrderState.REFUSED, Reason.NO_CHECK, check_id=slot.plugin_id)

    def returned(self, slot: Slot) -> list[Event]:
        """Return what a venue is told that was lost and runs again: as at a session's start, cancels and the question.

        Cancels of what is stopped, or was cancelled while nobody listened there, and of orders whose owner is gone.
        """
        if not slot.is_venue:
            return []
        return [*self._cancels_owed({slot.plugin_id}), *self._questions({slot.plugin_id}, self.epoch)]

    def _doubt(self, held: OpenOrder) -> Order:
        held.state = transition(held.state, OrderEvent.LOST, held.order.order_id)
        return msgspec.structs.replace(held.order, state=int(held.state), filled_lots=held.filled_lots)

    def on_run_header(self, header: RunHeader) -> None:
        """Begin the epoch's order ids."""
        self._next_order_id = (header.epoch << 40) + 1
        self._may_be_late = header.clock_kind == "wall"

    def on_session_ready(self, ready: SessionReady) -> list[Event]:
        """Look after what an earlier session left open: doubts, cancels that may not have left, and each venue's word.

        Orders without an answer are in doubt. Orders of a strategy that is killed, paused, quarantined or gone are
        cancelled (again: the first cancel may not have left). Then every venue that can is asked where our orders are.
        """
        # Whoever was to answer an order that waited has been started anew, and was not asked.
        out = [*self.late.end(OrderState.REFUSED, Reason.CHECK_TIMEOUT), *self._lost()]
        out += self._cancels_owed(None)
        self.reconciling = set()
        return out + self._questions(self._can_reconcile, ready.epoch)

    def _cancels_owed(self, venues: set[int] | None) -> list[Event]:
        """Return cancels of what is stopped and of orders without an owner, at *venues* or (None) at all of them."""
        stopped = self.killed or 0 in self.paused
        return [
            self._cancel_one(held)
            for held in self.open.values()
            if held.state != OrderState.PENDING_CANCEL
            and (venues is None or held.order.venue_id in venues)
            and (
                stopped
                or held.order.strategy_id in self.paused
                or held.order.strategy_id not in self.traders
                or (venues is not None and held.cancel_asked)
            )
        ]

    def _questions(self, venues: set[int], epoch: int) -> list[Event]:
        """Return the question to each of *venues* that can be asked where our orders stand."""
        out: list[Event] = []
        for venue_id in sorted(venues & self._can_reconcile):
            self.reconciling.add(venue_id)
            held_there = [h for h in self.open.values() if h.order.venue_id == venue_id]
            orders = [(h.order.order_id, h.filled_lots) for h in held_there]
            out.append(Reconcile(venue_id=venue_id, epoch=epoch, orders=orders))
        return out

    def on_reconciled(self, answer: Reconciled) -> Alert | None:
        """Let new orders go to the venue again; tell of orders there that are not ours to know."""
        if answer.epoch != self.epoch or answer.venue_id not in self.reconciling:
            return None
        self.reconciling.discard(answer.venue_id)
        if not answer.foreign:
            return None
        return Alert(
            code="venue.foreign_orders", severity=Severity.ERROR, subject=str(answer.venue_id),
            met=f"{answer.foreign} orders in our name that the journal does not know, now cancelled",
            wanted="orders of this journal alone", way_out="ask who else trades on this account; check the positions",
        )  # fmt: skip

    def unanswered(self) -> bool:
        """Return whether a venue outside owes an answer to an order or a cancel."""
        return any(h.state in _UNANSWERED and h.order.venue_id in self.outside for h in self.open.values())

    def left_open(self) -> dict[int, tuple[int, int]]:
        """Return (open orders, those without an answer) at each venue that is not in this process, by its id."""
        found: dict[int, tuple[int, int]] = {}
        for held in self.open.values():
            venue_id = held.order.venue_id
            if venue_id in self.outside or venue_id not in self._venues:
                orders, owed = found.get(venue_id, (0, 0))
                found[venue_id] = (orders + 1, owed + (held.state in _UNANSWERED))
        return found

    def lost_venues(self) -> set[int]:
        """Return venues that do not run here, where orders of ours may still be executed."""
        return {held.order.venue_id for held in self.open.values()} - self._venues

    def saw_intent(self, intent: OrderIntent) -> None:
        """Keep a recorded intent's number: it is not taken twice."""
        if intent.action == IntentAction.NEW and intent.intent_id > self._last_intent.get(intent.strategy_id, 0):
            self._last_intent[intent.strategy_id] = intent.intent_id

    def saw_order_id(self, order_id: int) -> None:
        """Keep a recorded order's id: it is not given again."""
        self._next_order_id = max(self._next_order_id, order_id + 1)

    @property
    def epoch(self) -> int:
        """The epoch that order ids are of: that of the last run header."""
        return self._next_order_id >> 40

    def _lost(self) -> list[Event]:
        """Return unanswered orders as IN_DOUBT: their venue is asked, nothing is sent again."""
        # In doubt since an earlier crash: the question itself may not have left before the next.
        unanswered = (OrderState.ROUTED, OrderState.PENDING_CANCEL, OrderState.IN_DOUBT)
        return [
            self._doubt(held)
            for held in self.open.values()
            if held.state in unanswered and held.order.venue_id in self.outside
        ]

    # -- state -----------------------------------------------------------------------------------------------------

    def snapshot(self) -> Any:
        """Return the desk's state as msgpack carries it."""
        return {
            "next": self._next_order_id,
            "open": [
                [Order.layout.pack(h.order), int(h.state), h.filled_lots, h.cancel_asked] for h in self.open.values()
            ],
            "intents": [[k, v] for k, v in self._last_intent.items()],
            "killed": self.killed,
            "paused": sorted(self.paused),
            "leaving": sorted(self._leaving),
            "mids": [[k, v] for k, v in self._half_ticks.items()],
            "counts": [self.orders, self.fills, self.refused],
            "reconciling": sorted(self.reconciling),
            "late": [self._may_be_late, self.late.snapshot()],
            "degraded": sorted(self._degraded),
        }

    def restore(self, state: Any) -> None:
        """Take back what `snapshot` returned."""
        self._next_order_id = state["next"]
        self.open = {}
        for body, order_state, filled, *asked in state["open"]:  # before 0.4.0 three of them
            order = Order.layout.unpack(body)
            self.open[order.order_id] = OpenOrder(order, OrderState(order_state), filled, *asked)
        self._last_intent = dict(state["intents"])
        self.killed = state["killed"]
        self.paused = set(state["paused"])
        self._leaving = set(state["leaving"])
        self._half_ticks = dict(state["mids"])
        self._deliveries = Deliveries()
        for listing_id in self._half_ticks:
            if (listing := self._catalog.definition(IdKind.LISTING, listing_id)) is not None:
                self._deliveries.cover(listing)
        self.orders, self.fills, self.refused = state["counts"]
        self.reconciling = set(state.get("reconciling", ()))  # before 0.2.0 nothing was asked
        self._may_be_late, waiting = state.get("late", (False, ()))
        self.late.restore(waiting)
        self._degraded = set(state.get("degraded", ()))
