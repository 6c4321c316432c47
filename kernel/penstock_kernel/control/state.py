"""What a running kernel says of itself when asked: plain structs, the same for `status`, `top` and `--json`."""

from __future__ import annotations

import msgspec

__all__ = [
    "BookTop",
    "Cause",
    "LimitRow",
    "OpenAlert",
    "PluginRow",
    "Quarantine",
    "State",
    "Stop",
    "StrategyRow",
    "VenueRow",
]


class Cause(msgspec.Struct, frozen=True):
    """Since which event and time something is so, by whom, and why."""

    seq: int
    at_ns: int
    who: str
    why: str


class Stop(msgspec.Struct, frozen=True):
    """The kill switch, or the pause of one strategy (empty: of all)."""

    name: str
    since: Cause | None


class Quarantine(msgspec.Struct, frozen=True):
    """A plugin that hears nothing until it is released."""

    name: str
    reason: str
    since: Cause | None


class VenueRow(msgspec.Struct, frozen=True):
    """A venue."""

    name: str
    embedded: bool
    link: str
    """connecting, up, degraded, down; `inside` for an embedded one, `unknown` where none was said."""
    since: Cause | None
    reconciling: bool
    open_orders: int


class StrategyRow(msgspec.Struct, frozen=True):
    """Whoever may send orders."""

    name: str
    status: str
    paused: bool
    open_orders: int
    net_mwh: float | None
    """Energy held, bought less sold; None where no portfolio plugin says so, and so below."""
    pnl: dict[str, float] | None
    """Realised and unrealised less fees, by currency."""


class PluginRow(msgspec.Struct, frozen=True):
    """A plugin instance."""

    name: str
    kind: str
    status: str
    faults: int
    calls: int = 0
    """Of its handlers, estimated from those that were sampled; 0 where none was."""
    busy_ns: int = 0
    slowest_ns: int = 0
    slowest: str = ""
    """The handler that took that long."""


class BookTop(msgspec.Struct, frozen=True):
    """The top of one listing's book, in currency per MWh."""

    name: str
    gate_closure_ns: int
    bid: float | None
    ask: float | None
    last: float | None


class OpenAlert(msgspec.Struct, frozen=True):
    """An alert that is not over."""

    id: int
    code: str
    severity: str
    subject: str
    met: str
    wanted: str
    way_out: str
    count: int
    first_seq: int
    first_ns: int
    last_ns: int
    acked_by: str = ""
    acked_reason: str = ""


class LimitRow(msgspec.Struct, frozen=True):
    """A limit in force."""

    owner: str
    """A strategy's name, or empty for every strategy."""
    name: str
    value: int
    means: str
    """The value in the market's units, where they are known: `10.0 MW`."""
    configured: int | None
    """What the deployment says; None where it says nothing."""
    since: Cause | None


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Where a kernel stands. Times are ns UTC; `now_ns` is the run's own time, `machine_ns` the machine's."""

    instance: str
    run_id: str
    pid: int
    phase: str
    done: int
    """Of the phase, in events …"""
    wanted: int
    """… and how many there are to do; 0 where nothing is counted."""
    up_s: float
    epoch: int
    cause: str
    """Why this session was begun."""
    stopping: str
    last_stop: Cause | None
    clock: str
    timezone: str
    currency: str
    now_ns: int
    machine_ns: int
    end_ns: int
    lag_ns: int
    """How far the run's time is behind the machine's while inputs wait; 0 in simulated time."""
    waiting: int
    """Inputs that are not numbered yet."""
    seq: int
    written_seq: int
    synced_seq: int
    events_per_s: float
    orders_per_s: float
    orders: int
    fills: int
    refused: int
    open_orders: int
    in_doubt: list[int]
    """Order ids, some twenty at most."""
    in_doubt_count: int
    killed: Stop | None
    pauses: list[Stop]
    quarantines: list[Quarantine]
    venues: list[VenueRow]
    strategies: list[StrategyRow]
    plugins: list[PluginRow]
    lost: dict[str, int]
    disk_days: float | None
    disk_free_bytes: int | None
    snapshot_seq: int | None
    snapshot_age_s: float | None
    journal_error: str
    alerts: list[OpenAlert]
    alerts_open: int
    books: list[BookTop]
    """Those whose gates close next; only while somebody looks at `top`."""
    no_delivery: list[str] = []
    """Names of listings that are shown and not traded, as nobody said what they deliver; some twenty at most."""
    no_delivery_count: int = 0
