"""What the kernel and its plugins say of themselves: timers, definitions, alerts, states, commands."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from penstock_sdk.events.enums import (
    ClockKind,
    ConnectionStatus,
    IdKind,
    PluginStatus,
    Reason,
    Severity,
)
from penstock_sdk.schema import ABSENT, I64, U32, Control, Record, Wire, control, record

__all__ = [
    "Alert",
    "CaptureRef",
    "ClockStep",
    "ConnectionState",
    "ContractDefinition",
    "Interned",
    "ListingDefinition",
    "OperatorCommand",
    "PluginFault",
    "PluginState",
    "Reconcile",
    "Reconciled",
    "RunEnd",
    "RunHeader",
    "SessionReady",
    "TaskResult",
    "Timer",
    "ZoneDefinition",
]


@record(id=80, topic="control.connection")
class ConnectionState(Record, frozen=True, gc=False):
    """The link of a venue or a feed changes state."""

    plugin_id: U32
    status: Annotated[int, Wire("B", ConnectionStatus)] = 0
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    reason: Annotated[int, Wire("H", Reason)] = 0
    attempt: I64 = 0
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT


@record(id=81, topic="control.timer")
class Timer(Record, frozen=True, gc=False):
    """A timer of one plugin fires; only that plugin hears it."""

    plugin_id: U32
    timer_id: U32 = 0
    due_ns: I64 = ABSENT
    tag: I64 = 0
    """Whatever the plugin gave when it set the timer."""
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT


@control(id=100, topic="control.interned")
class Interned(Control, frozen=True, kw_only=True):
    """The kernel gives a name its id. Ids of a kind count from 1, are never reused, and are told to every plugin."""

    kind: IdKind
    id: int
    name: str


@control(id=101, topic="refdata.zone")
class ZoneDefinition(Control, frozen=True, kw_only=True):
    """A bidding zone."""

    zone_id: int
    code: str
    timezone: str
    currency: str
    eic: str = ""


@control(id=102, topic="refdata.contract")
class ContractDefinition(Control, frozen=True, kw_only=True):
    """What is delivered, where and when."""

    contract_id: int
    name: str
    zone_id: int
    product: str
    delivery_start_ns: int
    delivery_end_ns: int
    currency_id: int


@control(id=103, topic="refdata.listing")
class ListingDefinition(Control, frozen=True, kw_only=True):
    """A contract at a venue, with its grid. A new tick or lot is a new listing."""

    listing_id: int
    contract_id: int
    venue_id: int
    name: str
    tick_micro: int
    """The price step, in 10⁻⁶ of the currency per MWh."""
    lot_kw: int
    """The quantity step."""
    price_min_ticks: int
    price_max_ticks: int
    opens_ns: int
    gate_closure_ns: int
    cash_micro_per_lot_tick: int
    """Money of one lot moving by one tick over the whole delivery, in 10⁻⁶ of the currency."""
    interval_start_ns: int
    """Where the delivery begins on the position grid …"""
    interval_ns: int
    """… the grid's step, a quarter-hour …"""
    interval_count: int
    """… and how many steps it covers."""


@control(id=104, topic="control.alert")
class Alert(Control, frozen=True, kw_only=True):
    """Something that a person should know: what was met, what was wanted, the way out."""

    code: str
    """Stable, as `plugin.fault`."""
    severity: Severity
    subject: str
    met: str
    wanted: str = ""
    way_out: str = ""
    cleared: bool = False
    """True when what an earlier alert of this code and subject told of is over."""


@control(id=105, topic="control.plugin_state")
class PluginState(Control, frozen=True, kw_only=True):
    """A plugin changes its lifecycle state."""

    plugin_id: int
    name: str
    status: PluginStatus
    previous: PluginStatus
    reason: str = ""


@control(id=106, topic="control.command")
class OperatorCommand(Control, frozen=True, kw_only=True):
    """A command: who gave it and why."""

    command: str
    """kill, unkill, pause, resume, cancel_all, limit, limits, quarantine, release, ack, stop."""
    who: str
    why: str
    target: str = ""
    """A plugin instance's name; empty is everything."""
    argument: str = ""
    peer: str = ""
    """Whom the operating system says it came from: ``uid=1000 gid=1000 pid=4242``. Roles attach to it."""
    request: str = ""
    """The caller's own id for it: a request that comes twice is done once."""


@control(id=107, topic="control.run_header")
class RunHeader(Control, frozen=True, kw_only=True):
    """The first event of a run: all that the rest follows from. A restart that left orders in doubt says it again."""

    epoch: int
    """Counts the starts that began new order ids; the high part of every order id."""
    seed: int
    clock_kind: str
    """sim or wall."""
    started_ns: int
    deployment: str
    """SHA-256 of the deployment as run, which lies beside the journal."""
    versions: dict[str, str]
    instance: str = ""
    """The instance's name; empty for a run by itself."""
    carried_seq: int = 0
    """Above 0 a new session begins here, of the state kept as of this number: ``snapshots/NUMBER.carry``."""
    cause: str = ""
    """Why it started again, as `after a stop` or `after a crash`."""
    quarantined: dict[str, str] = msgspec.field(default_factory=dict)
    """Plugins that were kept out of it from its start, with the reason; of a later session the state tells."""


@control(id=108, topic="control.task_result")
class TaskResult(Control, frozen=True, kw_only=True):
    """The result of work that a plugin submitted; only that plugin hears it."""

    plugin_id: int
    task_id: int
    ok: bool
    value: Any = None
    """What msgpack can carry."""
    error: str = ""


@control(id=109, topic="control.plugin_fault")
class PluginFault(Control, frozen=True, kw_only=True):
    """A handler of a plugin raised, or returned what cannot be used."""

    plugin_id: int
    name: str
    handler: str
    error: str
    faults: int
    """Of this plugin in this run, this one counted."""


@control(id=110, topic="control.capture_ref")
class CaptureRef(Control, frozen=True, kw_only=True):
    """A frame that is journaled by reference: it stands in a capture file."""

    capture: str
    offset: int
    count: int
    schema_id: int
    digest: bytes
    """SHA-256 of the frame's body."""


@control(id=111, topic="control.clock_step")
class ClockStep(Control, frozen=True, kw_only=True):
    """The wall clock stepped back; the run's time stands still until it has caught up."""

    from_ns: int
    to_ns: int


@control(id=112, topic="control.run_end")
class RunEnd(Control, frozen=True, kw_only=True):
    """The last event of a complete run."""

    reason: str


@control(id=113, topic="control.session")
class SessionReady(Control, frozen=True, kw_only=True):
    """Every plugin of the session has started: what an earlier session left open is looked after now."""

    epoch: int


@control(id=114, topic="order.reconcile")
class Reconcile(Control, frozen=True, kw_only=True):
    """A venue is asked where our orders stand; until it answers with `Reconciled`, no new order goes there."""

    venue_id: int
    epoch: int
    orders: list[tuple[int, int]]
    """(order_id, filled_lots) of every order that we believe to be open there."""


@control(id=115, topic="order.reconciled")
class Reconciled(Control, frozen=True, kw_only=True):
    """A venue has told of every order that it was asked about: reports came before this."""

    venue_id: int
    epoch: int
    """That of the question; an answer to an older one opens nothing."""
    confirmed: int = 0
    """Orders that stand as we believed."""
    corrected: int = 0
    """Orders that ended or were filled meanwhile; each had its reports."""
    foreign: int = 0
    """Orders in our name at the venue that we do not know; it has cancelled them."""
