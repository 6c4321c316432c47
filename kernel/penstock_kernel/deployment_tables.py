"""The tables of plugins.toml as types, and the checks of values that a type alone cannot make."""

import json
from datetime import date, datetime
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from penstock_kernel.alerts.tables import AlertsTable
from penstock_kernel.strictest import LimitValue, strictness
from penstock_kernel.telemetry.settings import TelemetryTable
from penstock_kernel.warden.settings import HealthTable, WatchdogTable
from penstock_sdk.energy import DAYS_MAX, Days
from penstock_sdk.manifest import RestartPolicy
from penstock_sdk.typed import Finding, KeyPath, shown_value

__all__ = [
    "BreakerTable",
    "ClockKind",
    "DeploymentFile",
    "Durability",
    "JournalSettings",
    "PluginTable",
    "RunMode",
    "RunSettings",
    "RunTable",
    "Seed",
    "TlsTable",
    "TopicTable",
    "limit_findings",
    "process_findings",
    "run_settings",
    "schema_text",
]

Durability: TypeAlias = Literal["synced", "written", "reference", "none"]
RunMode: TypeAlias = Literal["inprocess", "process", "remote"]
ClockKind: TypeAlias = Literal["sim", "wall"]
Seed: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
EventCount: TypeAlias = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Text: TypeAlias = Annotated[str, Meta(min_length=1)]
Lane: TypeAlias = Literal["socket", "grpc"]
Address: TypeAlias = Annotated[str, Meta(pattern=r"^\S+:[0-9]{1,5}$", examples=["plugins.example.net:7443"])]
Sha256: TypeAlias = Annotated[str, Meta(pattern=r"^(sha256:)?[0-9a-fA-F]{64}$")]
Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=86_400)]


class RunSettings(Struct, frozen=True):
    """The `[run]` table. Times are local to the zone, without offset; `delivery_day` is an ISO date or "today".

    `days` delivery days are traded from `delivery_day` on; "rolling" has no last one.
    """

    seed: Seed = 1
    clock: ClockKind = "sim"
    delivery_day: str = "today"
    days: Days = 1
    zone: Text = "DE-LU"
    start: datetime | None = None
    end: datetime | None = None
    runs_dir: Text = "runs"
    max_events_per_input: EventCount = 100_000
    snapshot_every_events: EventCount | None = None
    max_faults: EventCount = 10
    files_from: str = ""


class JournalSettings(Struct, frozen=True):
    """The `[journal]` table: the size of a segment file, in MiB (2^20 bytes)."""

    segment_mb: Annotated[int, Meta(ge=1, le=4096)] = 256


class RunTable(Struct):
    """The `[run]` table as written; `run_settings` reads its day and times."""

    seed: Seed = 1
    clock: ClockKind = "sim"
    delivery_day: Any = "today"
    days: Any = 1
    zone: Text = "DE-LU"
    start: Any = None
    end: Any = None
    runs_dir: Text = "runs"
    max_events_per_input: EventCount = 100_000
    snapshot_every_events: EventCount | None = None
    max_faults: EventCount = 10
    files_from: str = ""


class TopicTable(Struct):
    """One `[topics."pattern"]` table as written."""

    durability: Durability | None = None
    limit: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None


class TlsTable(Struct, frozen=True, forbid_unknown_fields=True):
    """The `tls` of a plugin on another machine: PEM files, found from the deployment's folder."""

    ca: Text
    cert: Text
    key: Text


class BreakerTable(Struct, frozen=True, forbid_unknown_fields=True):
    """The `breaker` of a plugin out of process: when one of its circuit breakers opens, and for how long."""

    window_s: Seconds = 10.0
    answers_min: Annotated[int, Meta(ge=1, le=1000)] = 5
    failures_share: Annotated[float, Meta(gt=0, le=1)] = 0.5
    open_s: Seconds = 1.0
    open_s_max: Seconds = 30.0


class PluginTable(Struct):
    """One `[plugins.NAME]` table as written. Orders carry book, trader and account; each defaults to the instance."""

    use: Text
    run: RunMode = "inprocess"
    enabled: bool = True
    path: Text | None = None
    seed: Seed | None = None
    book: Text | None = None
    trader: Text | None = None
    account: Text | None = None
    config: dict[str, Any] = {}
    limits: dict[str, LimitValue] = {}
    lane: Lane | None = None
    address: Address | None = None
    tls: TlsTable | None = None
    python: Text | None = None
    sha256: Sha256 | None = None
    secrets: dict[str, Text] = {}
    answer_s: Seconds = 10.0
    start_s: Seconds = 60.0
    answer_ms: Annotated[int, Meta(ge=1, le=86_400_000)] | None = None
    restart: RestartPolicy | None = None
    breaker: BreakerTable | None = None


class DeploymentFile(Struct):
    """The whole file as written, without `include`."""

    run: RunTable = msgspec.field(default_factory=RunTable)
    journal: JournalSettings = JournalSettings()
    topics: dict[str, TopicTable] = {}
    limits: dict[str, LimitValue] = {}
    alerts: AlertsTable = msgspec.field(default_factory=AlertsTable)
    plugins: dict[str, PluginTable] = {}
    watchdog: WatchdogTable = WatchdogTable()
    health: HealthTable = HealthTable()
    telemetry: TelemetryTable = TelemetryTable()


def run_settings(
    tree: dict[str, Any], written: dict[str, Any], faulty: set[KeyPath]
) -> tuple[RunSettings, list[Finding]]:
    """Return the `[run]` settings and the faults of its days and times; what is faulty keeps its default."""
    table, shown = tree.get("run", {}), written.get("run", {})
    if not isinstance(table, dict):
        return RunSettings(), []
    findings: list[Finding] = []
    known = {key: value for key, value in table.items() if ("run", key) not in faulty and key in _RUN_KEYS}
    day = known.get("delivery_day", "today")
    if isinstance(day, date) and not isinstance(day, datetime):
        known["delivery_day"] = day.isoformat()
    elif not _is_day(day):
        met = shown_value(shown["delivery_day"])
        text = f'expected a date like "2026-03-10" or "today", met {met}'
        findings.append(Finding(("run", "delivery_day"), text))
        del known["delivery_day"]
    if "days" in known and not _is_days(known["days"]):
        text = f'expected a number of days >= 1 or "rolling", met {shown_value(shown["days"])}'
        findings.append(Finding(("run", "days"), text))
        del known["days"]
    for key in ("start", "end"):
        if key in known and (parsed := _run_time(known[key])) is not None:
            known[key] = parsed
        elif key in known:
            text = f'expected a time like "2026-03-10T06:00:00", met {shown_value(shown[key])}'
            way_out = 'write date and time, local to the zone, or with an offset, as "2026-03-10T06:00:00+01:00"'
            findings.append(Finding(("run", key), text, way_out))
            del known[key]
    settings = RunSettings(**known)
    if settings.start is not None and settings.end is not None and _not_before(settings.start, settings.end):
        findings.append(Finding(("run", "end"), f"{settings.end} is not after start {settings.start}", "swap them"))
    return settings, findings


_RUN_KEYS = {field.name for field in msgspec.structs.fields(RunSettings)}


def _is_day(value: object) -> bool:
    if not isinstance(value, str) or value == "today":
        return value == "today"
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _is_days(value: object) -> bool:
    return value == "rolling" or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= DAYS_MAX)


def _run_time(value: object) -> datetime | None:
    """Return *value* as a time, local to the run's zone or with an offset; None when it is none."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    return value if isinstance(value, datetime) else None


def _not_before(start: datetime, end: datetime) -> bool:
    """Return whether the end is not after the start; of a local time and one with an offset only the zone can tell."""
    return (start.tzinfo is None) == (end.tzinfo is None) and start >= end


_OF_PROCESSES = ("lane", "python", "secrets", "answer_s", "start_s", "answer_ms", "breaker")
"""Keys that only a plugin out of process has."""


def process_findings(name: str, table: dict[str, Any], *, is_command: bool) -> list[Finding]:
    """Return what of a `[plugins.NAME]` table does not go with its `run`; *is_command*: it has no class to import."""
    path, run = ("plugins", name), table.get("run", "inprocess")
    found = []
    if run == "inprocess":
        for key in (*_OF_PROCESSES, "address", "tls"):
            if key in table:
                text = f'{key} is for plugins out of process, and run is "inprocess"'
                found.append(Finding((*path, key), text, 'write run = "process", or remove it'))
    elif run == "process":
        for key in ("address", "tls"):
            if key in table:
                text = f'{key} is for plugins that run elsewhere, and run is "process"'
                found.append(Finding((*path, key), text, 'write run = "remote", or remove it'))
        if is_command and table.get("lane") == "socket":
            text = 'a command speaks gRPC, and lane is "socket"'
            found.append(Finding((*path, "lane"), text, 'write lane = "grpc", or remove it'))
    elif run == "remote":
        if "address" not in table:
            found.append(Finding((*path, "run"), 'run is "remote", and no address is given', 'address = "HOST:PORT"'))
        for key in ("lane", "python", "sha256"):
            if key in table:
                text = f'{key} is for plugins started here, and run is "remote"'
                found.append(Finding((*path, key), text, "remove it"))
    return found


def limit_findings(tree: dict[str, Any]) -> list[Finding]:
    """Return the limits that are no limit: NaN or infinite, and maxima below zero other than prices."""
    tables: dict[KeyPath, Any] = {("limits",): tree.get("limits")}
    plugins = tree.get("plugins")
    for name, table in plugins.items() if isinstance(plugins, dict) else ():
        if isinstance(table, dict):
            tables["plugins", name, "limits"] = table.get("limits")
    findings = []
    for path, table in tables.items():
        for key, value in table.items() if isinstance(table, dict) else ():
            if isinstance(value, float) and not abs(value) < float("inf"):
                findings.append(
                    Finding((*path, key), f"expected a finite number, met {value}", "leave it out for none")
                )
            elif not isinstance(value, int | float) or value >= 0 or strictness(key, value) != "smaller":
                continue
            elif "price" not in key:
                findings.append(Finding((*path, key), f"expected a number >= 0, met {value}"))
    return findings


def schema_text() -> str:
    """Return the JSON Schema of plugins.toml as text, for editors; what cross-checks find beyond it is not in it."""
    schema: dict[str, Any] = msgspec.json.schema(DeploymentFile)
    files = {"type": ["string", "array"], "items": {"type": "string"}, "description": "files that this one changes"}
    schema["$defs"]["DeploymentFile"]["properties"]["include"] = files
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Penstock plugins.toml"}
    return json.dumps(head | schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
