"""What a plugin's process may say: the topics of its manifest, and of those only what its kind may.

A plugin in this process is trusted with what it returns; one in a process of its own is held to what it declared. What
it may not say is dropped before it is numbered; `Rights.refusal` says why, in words for the vendor.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from penstock_kernel.strictest import strictness
from penstock_sdk.alerts import is_kernels
from penstock_sdk.context import Identity
from penstock_sdk.core.faults import shown
from penstock_sdk.events import (
    Alert,
    CaptureRef,
    CheckVerdict,
    ClockStep,
    ConnectionState,
    DeploymentChange,
    ExecutionReport,
    IntentAction,
    Interned,
    Limit,
    LimitKind,
    ListingDefinition,
    OperatorCommand,
    Order,
    OrderIntent,
    PluginFault,
    PluginState,
    Reconcile,
    Reconciled,
    RunEnd,
    RunHeader,
    SessionReady,
    TaskResult,
    Timer,
)
from penstock_sdk.manifest import PluginManifest
from penstock_sdk.schema import Event, Frame, Layout

__all__ = ["ORDERS_WRITE", "REFUSALS_MAX", "Rights"]

ORDERS_WRITE = "orders.write"
REFUSALS_MAX = 10
"""After so many refusals the plugin is failed: it does not do what it declared."""

_KERNELS = (
    CaptureRef, ClockStep, DeploymentChange, Interned, OperatorCommand, Order, PluginFault, PluginState, Reconcile,
    RunEnd, RunHeader, SessionReady, Timer,
)  # fmt: skip
"""What the kernel alone says."""
_CHECKS, _TRADERS = ("risk", "compliance"), ("strategy", "execution")
_ONLY: dict[type, tuple[str, ...]] = {
    ExecutionReport: ("venue",), Reconciled: ("venue",), CheckVerdict: _CHECKS, OrderIntent: _TRADERS,
    ListingDefinition: ("venue", "refdata", "operations"),
}  # fmt: skip
_PERSONS = ("trader_id", "account_id")
_SWITCHES = (LimitKind.KILL, LimitKind.PAUSE)


class Rights:
    """The rights of one plugin instance.

    Args:
        plugin_id, identity: who its orders must be for.
        limit_value: returns the value in force of (kind, strategy, listing), or None.
        alert_opener: returns the plugin that opened the open alert (code, subject), or None.
    """

    def __init__(
        self,
        manifest: PluginManifest,
        plugin_id: int,
        identity: Identity,
        limit_value: Callable[[tuple[int, int, int]], int | None] = lambda key: None,
        alert_opener: Callable[[str, str], int | None] = lambda code, subject: None,
    ) -> None:
        self.manifest = manifest
        self.plugin_id = plugin_id
        self.identity = identity
        self.refused = 0
        """How often it said what it may not."""
        self._limit_value = limit_value
        self._alert_opener = alert_opener
        self._of_type: dict[int, str] = {}
        """Why a type may not be said at all, by schema id; empty: it may."""

    def refusal(self, event: Event) -> str:
        """Return why *event* may not be said, as "met …, wanted …"; empty when it may. Cost: 0.3 µs for most."""
        layout = event.layout
        why = self._of_type.get(layout.id)
        if why is None:
            why = self._of_type[layout.id] = self._refused_type(layout)
        if why:
            return why
        check = _VALUES.get(layout.cls)
        if check is None:
            return ""
        if type(event) is not Frame:
            return check(self, event)
        columns = _COLUMNS.get(layout.cls)
        if columns is not None:
            suspects = np.flatnonzero(columns(self, event.array))
            return check(self, layout.unpack(event.array[suspects[0]].tobytes())) if len(suspects) else ""
        records = event.records()
        return next((found for record in records if (found := check(self, record))), "")

    def _refused_type(self, layout: Layout) -> str:
        manifest = self.manifest
        if layout.cls is TaskResult or (layout.cls is CheckVerdict and manifest.kind in _CHECKS):
            return ""  # answers, of work or of a check, need no topic
        if layout.cls in _KERNELS:
            return f"met {layout.name}, wanted what plugins say: the kernel alone says that"
        kinds = _ONLY.get(layout.cls)
        if kinds is not None and manifest.kind not in kinds:
            return f"met {layout.name} of a {manifest.kind} plugin, wanted it of {' or '.join(kinds)} only"
        if not any(fnmatchcase(layout.topic, pattern) for pattern in manifest.topics_out):
            said = ", ".join(manifest.topics_out) or "nothing"
            return f"met {layout.name} on topic {layout.topic}, wanted topics_out of its manifest: {said}"
        if layout.cls is OrderIntent and ORDERS_WRITE not in manifest.capabilities:
            return f'met OrderIntent without the capability "{ORDERS_WRITE}", wanted it in the manifest\'s capabilities'
        return ""

    def _own(self, record: Any, field: str) -> str:
        met = getattr(record, field)
        if met == self.plugin_id:
            return ""
        return f"met {record.layout.name} with {field} {met}, wanted its own, {self.plugin_id}"

    def _intent(self, intent: OrderIntent) -> str:
        found = self._own(intent, "strategy_id")
        if found or intent.action != IntentAction.NEW:
            return found  # a cancel names an order, and the desk knows whose that is
        me = self.identity
        if intent.book_id != me.book_id:
            return f"met an OrderIntent for book {intent.book_id}, wanted its own, {me.book_id}"
        for field in _PERSONS:  # 0 names nobody
            met, own = getattr(intent, field), getattr(me, field)
            if met not in (0, own):
                return f"met an OrderIntent with {field} {met}, wanted its own, {own}"
        return ""

    def _foreign_intents(self, intents: Any) -> Any:
        """Return which of an array of intents `_intent` refuses."""
        me = self.identity
        foreign = intents["book_id"] != me.book_id
        for field in _PERSONS:
            foreign |= (intents[field] != 0) & (intents[field] != getattr(me, field))
        return (intents["strategy_id"] != self.plugin_id) | (foreign & (intents["action"] == int(IntentAction.NEW)))

    def _alert(self, alert: Alert) -> str:
        """A plugin speaks for itself: not as the kernel, and it closes nobody else's alerts."""
        code = alert.code
        if is_kernels(code):
            return f"met an alert {shown(code)}, wanted a code of its own: those of that word are the kernel's"
        if code.startswith("venue.") and self.manifest.kind != "venue":
            return f"met an alert {shown(code)} of a {self.manifest.kind} plugin, wanted it of venue only"
        if alert.cleared and self._alert_opener(code, alert.subject) not in (None, self.plugin_id):
            return f"met {shown(code)} of {shown(alert.subject)} cleared, wanted that of whoever raised it"
        return ""

    def _limit(self, limit: Limit) -> str:
        """A plugin may tighten a limit, never loosen one."""
        kind = limit.kind
        if kind in _SWITCHES:
            return "" if limit.value else f"met a Limit that switches {LimitKind(kind).name} off, wanted an operator"
        now = self._limit_value((kind, limit.strategy_id, limit.listing_id))
        if now is None:
            return ""
        name = LimitKind(kind).name.lower() if kind in LimitKind._value2member_map_ else str(kind)
        looser = limit.value > now if strictness(name, now) == "smaller" else limit.value < now
        return f"met a Limit {name} of {limit.value}, wanted none looser than {now}" if looser else ""

    def _listing(self, listing: ListingDefinition) -> str:
        return self._own(listing, "venue_id") if self.manifest.kind == "venue" else ""


_COLUMNS: dict[type, Callable[[Rights, Any], Any]] = {
    OrderIntent: Rights._foreign_intents,
    CheckVerdict: lambda rights, verdicts: verdicts["check_id"] != rights.plugin_id,
    ConnectionState: lambda rights, states: states["plugin_id"] != rights.plugin_id,
}
"""The same of a whole frame at once: which of its records are to be refused, of those `_VALUES` says why."""

_VALUES: dict[type, Callable[[Rights, Any], str]] = {
    Alert: Rights._alert,
    OrderIntent: Rights._intent,
    Limit: Rights._limit,
    ListingDefinition: Rights._listing,
    CheckVerdict: lambda rights, verdict: rights._own(verdict, "check_id"),
    TaskResult: lambda rights, result: rights._own(result, "plugin_id"),
    Reconciled: lambda rights, answer: rights._own(answer, "venue_id"),
    ConnectionState: lambda rights, state: rights._own(state, "plugin_id"),
}
