"""From a checked deployment to a kernel with its plugins attached and started; the same steps for run and replay."""

from __future__ import annotations

import platform
from datetime import date, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from penstock_kernel.deployment import Deployment, DeploymentError, PluginSpec, build_config
from penstock_kernel.kernel import Kernel
from penstock_kernel.own_records import save_own_records
from penstock_kernel.sources import SourceError
from penstock_sdk.core.wiring import Slot, WiringError
from penstock_sdk.discovery import PluginImportError, load_class
from penstock_sdk.energy import bidding_zone, delivery_day, tzdata_version
from penstock_sdk.energy.localtime import local_to_ns
from penstock_sdk.events import Limit, LimitKind, PluginStatus, RunHeader
from penstock_sdk.wire.frame import Origin

__all__ = ["StartError", "attach_plugins", "boot", "run_times", "versions_of"]

_LATE_HOUR = 22


class StartError(Exception):
    """A plugin that cannot be built or started; the run does not begin."""


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
    ends with the day; in wall time it begins now.
    """
    run = deployment.run
    zone = bidding_zone(run.zone)
    if run.delivery_day == "today":
        local = datetime.fromtimestamp(now_ns / 1e9, tz=zone_info(zone.timezone))
        # Late in the evening hardly anything of today is open any more; tomorrow is what people trade.
        day = local.date() + timedelta(days=int(run.clock == "wall" and local.hour >= _LATE_HOUR))
        deployment = deployment.with_run(delivery_day=day.isoformat())
    day = date.fromisoformat(deployment.run.delivery_day)
    if run.clock == "wall":
        start_ns = now_ns
    elif run.start is not None:
        start_ns = local_to_ns(run.start, zone.timezone)
    else:
        eve = day - timedelta(days=1)
        start_ns = local_to_ns(datetime(eve.year, eve.month, eve.day, 14, 45), zone.timezone)
    end_ns = local_to_ns(run.end, zone.timezone) if run.end is not None else delivery_day(zone, day).end_ns
    return deployment, start_ns, end_ns


def zone_info(name: str) -> Any:
    """Return the time zone called *name*, from the pinned database."""
    from penstock_sdk.energy import zone

    return zone(name)


def attach_plugins(kernel: Kernel, deployment: Deployment) -> list[Slot]:
    """Build every plugin instance of the deployment.

    Raises:
        StartError: a class cannot be had, or its config or constructor raises; names the instance.
    """
    slots: list[Slot] = []
    for spec in deployment.plugins:
        try:
            cls = load_class(spec.manifest)
            config_type = getattr(cls, "Config", None)
            config = (
                None
                if config_type is None
                else build_config(_with_run_settings(spec, config_type, deployment), config_type)
            )
            identity = kernel.identity(spec.book, spec.manifest.id, _major(spec), spec.trader, spec.account)
            slots.append(
                kernel.attach(
                    cls, spec.name, config, seed=deployment.seed_for(spec.name), identity=identity,
                    limits=spec.limits, run_dir=kernel.run_dir,
                )
            )  # fmt: skip
        except (PluginImportError, DeploymentError) as error:
            raise StartError(f"plugin {spec.name}: {error}") from error
        except Exception as error:
            raise StartError(
                f"plugin {spec.name} ({spec.manifest.class_path}) cannot be built: {type(error).__name__}: {error}"
            ) from error
    try:
        kernel.wire()
    except WiringError as error:
        raise StartError(str(error)) from error
    return slots


def _major(spec: PluginSpec) -> int:
    head = spec.manifest.version.split(".")[0]
    return int(head) if head.isdigit() else 0


def _with_run_settings(spec: PluginSpec, config_type: Any, deployment: Deployment) -> PluginSpec:
    """Give a plugin the run's zone and delivery day where its config has such fields and the operator named none."""
    wanted = {field.name for field in msgspec.structs.fields(config_type)}
    run = {"zone": deployment.run.zone, "delivery_day": deployment.run.delivery_day}
    extra = {key: value for key, value in run.items() if key in wanted and key not in spec.config}
    return msgspec.structs.replace(spec, config={**spec.config, **extra}) if extra else spec


def boot(kernel: Kernel, deployment: Deployment, header: RunHeader) -> None:
    """Announce the run, build the plugins, announce limits, start the plugins in order.

    Raises:
        StartError: a plugin cannot be built, or raises in ``on_start``.
    """
    kernel.input(header, Origin.KERNEL)
    slots = attach_plugins(kernel, deployment)
    if kernel.live and kernel.run_dir is not None:
        save_own_records(kernel.run_dir)
    announce_limits(kernel, deployment)
    for slot in slots:
        kernel.start_plugin(slot)
        kernel.settle()
        if slot.faults:
            if kernel.lifecycle.status[slot.plugin_id] != PluginStatus.QUARANTINED:
                kernel.say_status(slot.plugin_id, slot.name, PluginStatus.FAILED, "raised in on_start")
                kernel.settle()
            raise StartError(f"plugin {slot.name} raised in on_start: {kernel.cascade.last_fault}")
    try:
        kernel.open_sources()
    except SourceError as error:
        raise StartError(str(error)) from error


def announce_limits(kernel: Kernel, deployment: Deployment) -> None:
    """Say every limit of the deployment as an event: the run's for strategy 0, an instance's for its own."""
    for kind, value in limit_values(deployment.limits):
        kernel.input(Limit(kind, value=value), Origin.KERNEL)
    for spec in deployment.plugins:
        for kind, value in limit_values(spec.limits):
            kernel.input(Limit(kind, strategy_id=kernel.slots[spec.name].plugin_id, value=value), Origin.KERNEL)


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
