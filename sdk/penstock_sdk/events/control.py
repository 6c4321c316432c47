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
    "CalendarDefinition",
    "CaptureRef",
    "Cascade",
    "ClockStep",
    "ConnectionState",
    "ContractDefinition",
    "CounterpartyDefinition",
    "Deal",
    "DeploymentChange",
    "Interned",
    "InvoiceLine",
    "ListingDefinition",
    "OperatorCommand",
    "PluginFault",
    "PluginState",
    "Reconcile",
    "Reconciled",
    "ReferenceTable",
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
    """Where something is delivered: a bidding zone, a gas hub, a registry of emission rights; and its position grid."""

    zone_id: int
    code: str
    timezone: str
    currency: str
    eic: str = ""
    commodity: str = "power"
    """power, gas or carbon."""
    day_starts_hour: int = 0
    """Local hour at which a delivery day begins: 6 for European gas."""
    interval_minutes: int = 15
    """The grid's step; 1,440 is a local delivery day, of 23, 24 or 25 hours."""
    grid_unit: str = "kW"
    """What an interval's amount is in: kW; or of gas by the day therm/d, mMMBtu/d (10⁻³ MMBtu a day); of carbon kg."""


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
    commodity: str = "power"
    """power, gas or carbon."""
    settlement: str = "physical"
    """physical: it is delivered; cash: only the difference to an index or a settlement price is paid."""
    price_unit: str = "EUR/MWh"
    """What prices are in: the currency or its minor unit, per unit of energy or mass."""
    qty_unit: str = "MW"
    """What quantities are in: MW, therm/d, MMBtu, t."""
    spans: list[tuple[int, int]] = msgspec.field(default_factory=list)
    """[start, end) of each stretch of delivery, ns UTC; empty: one stretch."""
    last_trading_ns: int = ABSENT
    """When a contract with a last trading day ends; it cascades then, where it cascades."""
    cascades_into: list[str] = msgspec.field(default_factory=list)
    """Names of the contracts that take its place."""
    payment: str = "spot"
    """When money moves: spot (the clearing house's next days), variation (daily gain or loss), monthly (invoice)."""


@control(id=103, topic="refdata.listing")
class ListingDefinition(Control, frozen=True, kw_only=True):
    """A contract at a venue, with its grid. A new tick or lot is a new listing."""

    listing_id: int
    contract_id: int
    venue_id: int
    name: str
    tick_micro: int
    """The price step, in 10⁻⁶ of the currency per MWh; or per therm, MMBtu, t, as the contract's price unit has it."""
    lot_kw: int
    """The quantity step, in kW; in general in thousandths of the contract's quantity unit."""
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
    segments: list[tuple[int, int, int]] = msgspec.field(default_factory=list)
    """(start_ns, intervals, amount): what one lot adds to each of so many grid intervals from start on, in the zone's
    grid unit. Empty: ``lot_kw`` in each of ``interval_count``."""
    reference_only: bool = False
    """True where no order can be sent: it is for positions, marks and deals."""


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
    """kill, unkill, pause, resume, cancel_all, limit, limits, quarantine, release, ack, stop; or a plugin's own."""
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


@control(id=116, topic="refdata.table")
class ReferenceTable(Control, frozen=True, kw_only=True):
    """Rows of dated reference data that hold beside those that Penstock brings, or in their place."""

    name: str
    """zones, products, limits, aliases, fees, shapes: `penstock_sdk.energy.rules` says which columns each has."""
    source: str
    """Where it was read, for people."""
    digest: str
    """SHA-256 of the rows: the version."""
    rows: list[dict[str, Any]]


@control(id=117, topic="refdata.calendar")
class CalendarDefinition(Control, frozen=True, kw_only=True):
    """The days on which something is closed besides Saturdays and Sundays."""

    name: str
    """TARGET, UK, US …"""
    source: str
    """The library and its version."""
    first: str
    """ISO dates: outside of first … last nothing is known."""
    last: str
    closed: list[str]
    """ISO dates, sorted; those on weekends may be left out."""
    early: dict[str, str] = msgspec.field(default_factory=dict)
    """ISO date → local time of an early close."""
    weekend: str = "67"
    """ISO numbers of the weekdays that are closed; empty where trading never rests."""


@control(id=118, topic="refdata.counterparty")
class CounterpartyDefinition(Control, frozen=True, kw_only=True):
    """Whom deals are made with, and how far."""

    counterparty_id: int
    name: str
    lei: str = ""
    eic: str = ""
    limits: dict[str, int] = msgspec.field(default_factory=dict)
    """Currency → the most that may be owed either way, in 10⁻⁶; 0, or a currency that is not there, is no trading."""
    active: bool = True


@control(id=119, topic="position.cascade")
class Cascade(Control, frozen=True, kw_only=True):
    """A future's position has moved into those of shorter contracts, at one price: MWh and profit are as before."""

    listing_id: int
    into: list[int]
    """Listings that took its place."""
    price_ticks: int
    """What the parts are valued at until they have marks of their own, in the parent's ticks."""


@control(id=120, topic="deal.deal")
class Deal(Control, frozen=True, kw_only=True):
    """A bilateral deal changes state: captured by one, confirmed or rejected by another."""

    deal_id: str
    status: str
    """captured, confirmed, rejected, cancelled."""
    who: str
    """The operating system's word for who did it, or the file and line that it was read from."""
    terms: dict[str, Any]
    """The terms as validated, exact numbers as text."""
    listing_id: int = 0
    """The deal's own listing, from confirmation on."""
    why: str = ""


@control(id=121, topic="settlement.invoice_line")
class InvoiceLine(Control, frozen=True, kw_only=True):
    """A line of a month's invoice: the only place where money is rounded to the currency's minor unit."""

    invoice: str
    """Who, month and currency, as `ECC 2026-03 EUR`; one currency each."""
    line: int
    counterparty: str
    book: str
    kind: str
    """As `CashKind` has it, lower case."""
    text: str
    month: str
    currency: str
    energy_wh: int
    exact_micro: int
    """The sum before rounding …"""
    amount_minor: int
    """… and after it, in minor units: the lines of an invoice add up to its rounded total."""
    version: int = 1
    """Counts the times that this invoice was drawn up."""
    final: bool = False
    """False while prices or meter values may still come."""
    zone: str = ""
    """The zone or hub that it is about."""


@control(id=122, topic="control.deployment_change")
class DeploymentChange(Control, frozen=True, kw_only=True):
    """The deployment changes while the run goes on: what follows are its plugins' stops and starts."""

    digest: str
    """SHA-256 of the deployment from here on, which lies under this name beside the journal."""
    who: str
    why: str
    added: list[str] = msgspec.field(default_factory=list)
    """Names of plugin instances."""
    changed: list[str] = msgspec.field(default_factory=list)
    removed: list[str] = msgspec.field(default_factory=list)
    rolled_back: bool = False
    """True when the change before could not be made, and the deployment is what it was before that."""
