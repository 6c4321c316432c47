"""From a checked deployment to a kernel with its plugins attached and started; the same steps for run and replay."""

from __future__ import annotations

import platform
from datetime import date, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from penstock_kernel.deployment import Deployment, DeploymentError, PluginSpec, build_config, strictest
from penstock_kernel.kernel import Kernel
from penstock_kernel.market_check import run_time_ns
from penstock_kernel.own_records import save_own_records
from penstock_kernel.problems import HostError
from penstock_kernel.reference import collect_reference
from penstock_kernel.sources import SourceError
from penstock_kernel.vitals import Phase
from penstock_sdk.core.wiring import Slot, WiringError
from penstock_sdk.discovery import PluginImportError, load_class
from penstock_sdk.energy import EnergyError, MarketZone, announced_ns, delivery_day, market_zone, tzdata_version
from penstock_sdk.events import (
    Alert,
    Interned,
    Limit,
    LimitKind,
    PluginStatus,
    RunHeader,
    SessionReady,
    Severity,
)
from penstock_sdk.wire.frame import Origin

if TYPE_CHECKING:
    from penstock_kernel.hosts import Hosts

__all__ = [
    "CarryError",
    "StartError",
    "attach_plugin",
    "attach_plugins",
    "boot",
    "boot_session",
    "ruling_limits",
    "run_times",
    "versions_of",
]

_LATE_HOUR = 22
_NEVER_NS = 2**62  # in the year 2116
_SWITCHES = (LimitKind.KILL, LimitKind.PAUSE)
_SWITCH_NAMES = tuple(kind.name.lower() for kind in _SWITCHES)


class StartError(Exception):
    """A plugin that cannot be built or started; the run does not begin."""


class CarryError(StartError):
    """A plugin that cannot take up the state of its earlier session."""


def versions_of(deployment: Deployment) -> dict[str, str]:
    """Return the versions that a run's results depend on."""
    found = {"python": platform.python_version(), "tzdata": tzdata_version()}
    for name in ("penstock-sdk", "penstock-kernel", "numpy", "numba", "msgspec"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    for spec in deployment.plugins:
        found[f"plugin {spec.manifest.id}"] = spec.manifest.version
    return found


def run_times(deployment: Deployment, now_ns: int) -> tuple[Deployment, int, int]:
    """Return the deployment with its delivery day named, and start and end of the run's time.

    A simulated day begins 15 minutes before hours begin to trade, at 14:45 local time of the day before delivery, and
    ends with the last day, or where days are rolling, never; in wall time it begins now.
    """
    run = deployment.run
    zone = _zone_of(deployment)
    if run.delivery_day == "today":
        local = datetime.fromtimestamp(now_ns / 1e9, tz=zone_info(zone.timezone))
        # Late in the evening hardly anything of today is open any more; tomorrow is what people trade.
        day = local.date() + timedelta(days=int(run.clock == "wall" and local.hour >= _LATE_HOUR))
        deployment = deployment.with_run(delivery_day=day.isoformat())
    day = date.fromisoformat(deployment.run.delivery_day)
    if run.clock == "wall":
        start_ns = now_ns
    elif run.start is not None:
        start_ns = run_time_ns(run.start, zone.timezone)
    else:
        start_ns = announced_ns(zone, day)
    if run.end is not None:
        end_ns = run_time_ns(run.end, zone.timezone)
    elif run.days == "rolling":
        end_ns = _NEVER_NS
    else:
        end_ns = delivery_day(zone, day + timedelta(days=run.days - 1)).end_ns
    return deployment, start_ns, end_ns


def _zone_of(deployment: Deployment) -> MarketZone:
    try:
        return market_zone(deployment.run.zone)
    except EnergyError:
        return market_zone(deployment.run.zone, reference=collect_reference(deployment).reference)


def zone_info(name: str) -> Any:
    """Return the time zone called *name*, from the pinned database."""
    from penstock_sdk.energy import zone

    return zone(name)


def attach_plugin(kernel: Kernel, spec: PluginSpec, deployment: Deployment) -> Slot:
    """Build one plugin instance of the deployment; `kernel.wire` lets it hear.

    Raises:
        StartError: its class cannot be had, or its config or constructor raises; names the instance.
    """
    try:
        config: Any = None
        cls: Any
        if spec.run != "inprocess":
            cls = _hosts_of(kernel, deployment).proxy(spec)
        else:
            cls = load_class(spec.manifest)
            config_type = getattr(cls, "Config", None)
            if config_type is not None:
                config = build_config(_with_run_settings(spec, config_type, deployment), config_type)
        identity = kernel.identity(spec.book, spec.manifest.id, _major(spec), spec.trader, spec.account)
        return kernel.attach(
            cls, spec.name, config, seed=deployment.seed_for(spec.name), identity=identity,
            limits=spec.limits, run_dir=kernel.run_dir, folder=deployment.files_folder,
        )  # fmt: skip
    except HostError as error:
        raise StartError(str(error)) from error
    except (PluginImportError, DeploymentError) as error:
        raise StartError(f"plugin {spec.name}: {error}") from error
    except Exception as error:
        raise StartError(
            f"plugin {spec.name} ({spec.manifest.class_path}) cannot be built: {type(error).__name__}: {error}"
        ) from error


def _attach_first(kernel: Kernel, spec: PluginSpec, deployment: Deployment) -> Slot:
    """As `attach_plugin`, before anything runs; of a process that does not come up the journal tells why.

    A play-back starts no process: it fails where and as the start did.
    """
    try:
        return attach_plugin(kernel, spec, deployment)
    except StartError as error:
        if spec.run != "inprocess":
            plugin_id = next((number for number, name in kernel.names_of_plugins() if name == spec.name), 0)
            if kernel.lifecycle.status.get(plugin_id) == PluginStatus.STARTING:
                kernel.say_status(plugin_id, spec.name, PluginStatus.FAILED, str(error)[:1000])
        raise


def _hosts_of(kernel: Kernel, deployment: Deployment) -> Hosts:
    # Imported here: a tenth of a second that a deployment without a plugin out of process need not spend.
    from penstock_kernel.hosts import hosts_of

    return hosts_of(kernel, deployment)


def _spawn_all(kernel: Kernel, deployment: Deployment) -> None:
    """Start all processes of plugins beside each other, until all are met; in a play-back there are none."""
    if not kernel.live or all(spec.run == "inprocess" for spec in deployment.plugins):
        return
    hosts = _hosts_of(kernel, deployment)
    hosts.spawn_all()
    hosts.meet_all()


def attach_plugins(kernel: Kernel, deployment: Deployment, state: dict[str, Any] | None = None) -> list[Slot]:
    """Build every plugin instance of the deployment; with *state*, give each what its instance left in it.

    ``kernel.resumed`` then holds the names of those that took something up.

    Raises:
        StartError: a class cannot be had, or its config or constructor raises; names the instance.
        CarryError: an instance cannot take up what it left.
    """
    kernel.resumed = set()
    _spawn_all(kernel, deployment)
    slots = [_attach_first(kernel, spec, deployment) for spec in deployment.plugins]
    try:
        kernel.wire()
    except WiringError as error:
        raise StartError(str(error)) from error
    kernel.on_attached()
    for slot in slots if state is not None else ():
        try:
            if kernel.carry_plugin(slot, state or {}):
                kernel.resumed.add(slot.name)
        except ValueError as error:
            raise CarryError(str(error)) from error
    return slots


def _major(spec: PluginSpec) -> int:
    head = spec.manifest.version.split(".")[0]
    return int(head) if head.isdigit() else 0


def _with_run_settings(spec: PluginSpec, config_type: Any, deployment: Deployment) -> PluginSpec:
    """Give a plugin the run's zone, day and days where its config has such fields and the operator named none."""
    wanted = {field.name for field in msgspec.structs.fields(config_type)}
    settings = deployment.run
    run = {"zone": settings.zone, "delivery_day": settings.delivery_day, "days": settings.days}
    extra = {key: value for key, value in run.items() if key in wanted and key not in spec.config}
    return msgspec.structs.replace(spec, config={**spec.config, **extra}) if extra else spec


def boot(kernel: Kernel, deployment: Deployment, header: RunHeader) -> None:
    """Announce the run, build the plugins, announce limits, start the plugins in order.

    Raises:
        StartError: a plugin cannot be built, or raises in ``on_start``.
    """
    kernel.input(header, Origin.KERNEL)
    kernel.quarantined.update(header.quarantined)
    slots = attach_plugins(kernel, deployment)
    _keep_out(kernel, slots)
    if kernel.live and kernel.run_dir is not None:
        save_own_records(kernel.run_dir)
    announce_limits(kernel, deployment)
    _start_all(kernel, slots, wall=deployment.run.clock == "wall")
    if header.instance or kernel.desk.outside:
        kernel.input(SessionReady(epoch=header.epoch), Origin.KERNEL)
    _open_sources(kernel)


def boot_session(kernel: Kernel, deployment: Deployment, header: RunHeader, state: dict[str, Any]) -> None:
    """Begin a later session of an instance, of what the earlier one left: as `boot`, with what is known already.

    Ids, open orders, limits, switches and quarantines are the earlier session's. Of two limits the stricter rules. Each
    plugin that left a state is given it, and says first what `Plugin.on_resume` returns. What is still open is looked
    after at `SessionReady`, when every venue listens.

    Raises:
        StartError: a plugin cannot be built, raises at its start, or cannot take up its state.
    """
    kernel.carry(state)
    kernel.moment.now_ns = max(kernel.moment.now_ns, header.started_ns)
    kernel.input(header, Origin.KERNEL)
    for body in state.get("unsaid", ()):
        name: Any = Interned.layout.unpack(body)
        kernel.input(name, Origin.KERNEL)
    slots = attach_plugins(kernel, deployment, state)
    kernel.timers.drop({slot.plugin_id for slot in slots if slot.name in kernel.resumed})
    _keep_out(kernel, slots)
    if kernel.live and kernel.run_dir is not None:
        save_own_records(kernel.run_dir)
    ruling, alerts = ruling_limits(kernel, deployment)
    for alert in alerts:
        kernel.input(alert, Origin.KERNEL)
    for limit in ruling:
        kernel.input(limit, Origin.KERNEL)
    _start_all(kernel, slots, wall=deployment.run.clock == "wall")
    kernel.input(SessionReady(epoch=header.epoch), Origin.KERNEL)
    _open_sources(kernel, from_ns=kernel.moment.now_ns)


def _keep_out(kernel: Kernel, slots: list[Slot]) -> None:
    """Let what was quarantined stay so: it hears nothing, and its orders are cancelled once the venues listen."""
    kept_out = [slot for slot in slots if slot.name in kernel.quarantined]
    if not kept_out:
        return
    inside = [slot for slot in kernel.cascade.slots if slot not in kept_out]
    kernel.desk.wire(inside)
    kernel.cascade.wire(inside)
    for slot in kept_out:
        reason = kernel.quarantined[slot.name]
        kernel.say_status(slot.plugin_id, slot.name, PluginStatus.QUARANTINED, reason)
        kernel.input(
            Alert(
                code="plugin.quarantined", severity=Severity.ERROR, subject=slot.name, met=reason,
                wanted=_wanted_of(reason),
                way_out=f"mend it, then `penstock release {slot.name}`; it runs again "
                + ("at once" if slot.plugin.elsewhere else "from the next start"),
            ),
            Origin.KERNEL,
        )  # fmt: skip


def _wanted_of(reason: str) -> str:
    held = " held the kernel for " in reason
    return "handlers that return within [watchdog] hang_limit_ms" if held else "a plugin that was released"


def _start_all(kernel: Kernel, slots: list[Slot], *, wall: bool) -> None:
    """Start all, in order; in wall time one out of process that raises is lost, and the others start without it."""
    for number, slot in enumerate(slots, 1):
        if kernel.live:
            kernel.vitals.phase(Phase.STARTING, number, len(slots))
        kernel.start_plugin(slot, resumed=slot.name in kernel.resumed)
        kernel.settle()
        if slot.faults and slot in kernel.cascade.slots:
            if slot.plugin.elsewhere and wall:
                if kernel.live and kernel.hosts is not None:  # in a play-back what came of it is an input
                    kernel.hosts.hosts[slot.name].lose(f"raised at its start: {kernel.cascade.last_fault}")
                continue
            if kernel.lifecycle.status[slot.plugin_id] != PluginStatus.QUARANTINED:
                kernel.say_status(slot.plugin_id, slot.name, PluginStatus.FAILED, "raised in on_start")
                kernel.settle()
            raise StartError(f"plugin {slot.name} raised in on_start: {kernel.cascade.last_fault}")


def _open_sources(kernel: Kernel, from_ns: int | None = None) -> None:
    try:
        kernel.open_sources(from_ns=from_ns)
    except SourceError as error:
        raise StartError(str(error)) from error
    kernel.session_started()
    if kernel.live:
        kernel.write()  # a run that is cut in its first seconds can be resumed


def announce_limits(kernel: Kernel, deployment: Deployment) -> None:
    """Say every limit of the deployment as an event: the run's for strategy 0, an instance's for its own."""
    for kind, value in limit_values(deployment.limits):
        kernel.input(Limit(kind, value=value), Origin.KERNEL)
    for spec in deployment.plugins:
        for kind, value in limit_values(spec.limits):
            kernel.input(Limit(kind, strategy_id=kernel.slots[spec.name].plugin_id, value=value), Origin.KERNEL)


def ruling_limits(kernel: Kernel, deployment: Deployment) -> tuple[list[Limit], list[Alert]]:
    """Hold a deployment's limits against the journaled ones: return the stricter of each, and alerts that name both."""
    owners = {0: "", **{slot.plugin_id: slot.name for slot in kernel.slots.values()}}
    # A switch is stricter when on, a number when smaller.
    saved = {
        _limit_name(kind, owners[owner]): bool(value) if kind in _SWITCHES else value
        for (kind, owner, listing), value in kernel.limits.values.items()
        if not listing and owner in owners
    }
    tables = {"": deployment.limits} | {spec.name: spec.limits for spec in deployment.plugins}
    wanted = {
        _limit_name(kind, owner): bool(value) if kind in _SWITCHES else value
        for owner, table in tables.items()
        if owner in owners.values()
        for kind, value in limit_values(table)
    }
    ruling, differences = strictest(saved, wanted)
    alerts = [
        Alert(
            code="limit.differs", severity=Severity.WARNING, subject=difference.name, met=str(difference),
            wanted="one value in the journal and in plugins.toml", way_out="set the limit by an operator's command",
        )
        for difference in differences
        if difference.name.rpartition(".")[2] not in _SWITCH_NAMES  # what is stopped is told where stops are told
    ]  # fmt: skip
    limits = []
    for name, value in ruling.items():
        owner_name, _, kind_name = name.rpartition(".")
        owner = next(number for number, known in owners.items() if known == owner_name)
        limits.append(Limit(LimitKind[kind_name.upper()], strategy_id=owner, value=int(value)))
    return limits, alerts


def _limit_name(kind: int, owner: str) -> str:
    name = LimitKind(kind).name.lower()
    return f"{owner}.{name}" if owner else name


def limit_values(table: dict[str, Any]) -> list[tuple[int, int]]:
    """Return a limits table as (kind, value).

    Raises:
        StartError: a name is no limit; names those there are.
    """
    known = {kind.name.lower(): kind for kind in LimitKind if kind}
    out: list[tuple[int, int]] = []
    for name, value in table.items():
        if name not in known:
            raise StartError(f"limit {name} is not known; there are {', '.join(known)}")
        out.append((known[name], int(value)))
    return out


def save_deployment(run_dir: Path, deployment: Deployment) -> str:
    """Write the deployment as run into its folder; return the text."""
    text = deployment.as_run_toml()
    (run_dir / "deployment.toml").write_text(text)
    return text
