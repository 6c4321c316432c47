"""Days of an instance in simulated time, with restarts between: what stays as it is, and what grows."""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from penstock_kernel.bench.operate_child import Sample
from penstock_kernel.bench.operate_desk import Desk, bench_environment
from penstock_kernel.bench.rounds import machine
from penstock_kernel.runs import RunInfo

__all__ = ["SOAKS", "TINY", "Soak", "bench_soak", "growth_a_day"]

GROWS_PERCENT = 1.0
"""What grows by more than this share of its size in a day is named; less is what an allocator does by itself."""
TYPES_NAMED = 8
DAY_H = 24
_DEPLOYMENT = """
[run]
delivery_day = "2026-03-10"
days = "rolling"
[plugins.exchange]
use = "exchange"
[plugins.exchange.config]
orders_per_day = {orders_per_day}
step_s = {step_s}
[plugins.prices]
use = "synthetic_prices"
[plugins.risk]
use = "risk_limits"
[plugins.fat_finger]
use = "fat_finger"
[plugins.mm]
use = "market_maker"
[plugins.mm.config]
requote_s_min = {requote_s}
[plugins.reversion]
use = "mean_reversion"
[plugins.portfolio]
use = "portfolio"
"""


class Soak(msgspec.Struct, frozen=True, kw_only=True):
    """One instance: how much goes on, and how long each of its sessions is.

    Attributes:
        sessions_h: hours of simulated time until it is stopped and started again, and so on.
        orders_per_day, step_s: of the background traders. requote_s: of the market maker.
    """

    name: str
    sessions_h: tuple[float, ...]
    orders_per_day: int = 300_000
    step_s: float = 1.0
    requote_s: float = 5.0


SOAKS = (
    Soak(name="a day", sessions_h=(12, 12)),
    Soak(name="days", sessions_h=(72, 24, 24), orders_per_day=20_000, step_s=60.0, requote_s=60.0),
)
TINY = (Soak(name="days", sessions_h=(3, 2), orders_per_day=2_000, step_s=120.0, requote_s=300.0),)
_MEASURES = ("rss_bytes", "objects", "fds", "open_orders")
"""What a process that does the same every day should not have more of."""


def bench_soak(soaks: Sequence[Soak] = SOAKS) -> dict[str, Any]:
    """Return samples of every simulated hour, what each session began with, growth a day, and what grows.

    ``digest`` is over what each instance recorded.
    """
    rows: list[dict[str, Any]] = []
    grows: dict[str, Any] = {}
    growth: dict[str, dict[str, float]] = {}
    hourly: dict[str, list[dict[str, Any]]] = {}
    recorded = hashlib.sha256()
    with tempfile.TemporaryDirectory() as name:
        env = bench_environment(Path(name) / "bytecode")
        for soak in soaks:
            deployment = Path(name) / f"{soak.name}.toml"
            deployment.write_text(
                _DEPLOYMENT.format(orders_per_day=soak.orders_per_day, step_s=soak.step_s, requote_s=soak.requote_s)
            )
            desk = Desk(Path(name) / "runs", soak.name.replace(" ", "-"), deployment, env)
            sessions = [_session(desk, hours) for hours in soak.sessions_h]
            rows += [_row(soak, number, *session) for number, session in enumerate(sessions, 1)]
            samples = _steady([found for found, _ in sessions])
            growth[soak.name] = {name: growth_a_day(_hourly(samples, name)) for name in _MEASURES} if samples else {}
            grows[soak.name] = _grows(samples)
            hourly[soak.name] = [_hour(sample) for found, _ in sessions for sample in found]
            recorded.update(RunInfo.load(desk.dir).digest.encode())
            desk.remove()
    return {
        "bench": "soak", **machine(), "rows": rows, "hourly": hourly, "growth_a_day": growth, "grows": grows,
        "flat": not any(grows.values()), "digest": recorded.hexdigest(),
    }  # fmt: skip


def _session(desk: Desk, hours: float) -> tuple[list[Sample], dict[str, float]]:
    """Run one session; return its samples, and what it began and ended with."""
    path = desk.folder / f"{desk.name}.samples"
    path.unlink(missing_ok=True)
    desk.folder.mkdir(exist_ok=True)
    begun_s = time.perf_counter()
    desk.run(
        "penstock_kernel.bench.operate_child", desk.name, str(desk.deployment), "--runs-dir", str(desk.folder),
        "--for", str(hours * 3_600), "--samples", str(path),
    )  # fmt: skip
    wall_s = time.perf_counter() - begun_s
    samples = [msgspec.json.decode(line, type=Sample) for line in path.read_bytes().splitlines()]
    told = desk.told()
    snapshot = max((desk.dir / "snapshots").glob("[0-9]*.snap"), key=lambda file: int(file.stem))
    return samples, {
        "wall_s": wall_s,
        "start_cpu_ms": max(told["cpu_ns"].values()) / 1e6,
        "snapshot_kib": snapshot.stat().st_size / 1024,
    }


def _row(soak: Soak, number: int, samples: list[Sample], session: dict[str, float]) -> dict[str, Any]:
    """Return a session in a line; its hours stand beside the rows."""
    first, last = samples[0], samples[-1]
    hours = max(last.hour - first.hour, 1)
    per_day = DAY_H / hours
    return {
        "name": f"{soak.name}, session {number}",
        "hours": soak.sessions_h[number - 1],
        **{key: round(value, 1) for key, value in session.items()},
        "events": last.seq - first.seq,
        "rss_mib_first": round(first.rss_bytes / 2**20, 1),
        "rss_mib_last": round(last.rss_bytes / 2**20, 1),
        "rss_mib_max": round(max(sample.rss_bytes for sample in samples) / 2**20, 1),
        "objects_last": last.objects,
        "fds_max": max(sample.fds for sample in samples),
        "journal_mib_per_day": round((last.journal_bytes - first.journal_bytes) * per_day / 2**20, 2),
        "folder_mib": round(last.folder_bytes / 2**20, 1),
    }


def _hour(sample: Sample) -> dict[str, Any]:
    return {key: value for key, value in msgspec.to_builtins(sample).items() if key != "types"}


def growth_a_day(values: Sequence[float]) -> float:
    """Return by how much hourly values grow in a day: the median difference between an hour and the same a day before.

    What comes and goes within a day is no growth then, and one odd hour neither. 0.0 for a day or less.
    """
    differences = [later - earlier for earlier, later in zip(values, values[DAY_H:], strict=False)]
    return statistics.median(differences) if differences else 0.0


def _steady(sessions: list[list[Sample]]) -> list[Sample]:
    """Return the hours of the longest session but for its first day: its market fills, tables and caches are made."""
    return max(sessions, key=len)[DAY_H:]


def _hourly(samples: list[Sample], measure: str) -> list[float]:
    return [float(getattr(sample, measure)) for sample in samples]


def _grows(samples: list[Sample]) -> dict[str, Any]:
    """Return what grew, in units a day, and the types of objects behind it. Empty: flat."""
    found: dict[str, Any] = {}
    for measure in _MEASURES:
        values = _hourly(samples, measure)
        a_day = growth_a_day(values)
        if values and a_day > GROWS_PERCENT / 100 * statistics.median(values):
            found[measure] = {"a_day": a_day, "of": statistics.median(values)}
    if found:
        found["types"] = _growing_types(samples)
    return found


def _growing_types(samples: list[Sample]) -> dict[str, float]:
    """Return the types with the most new objects a day."""
    names = {name for sample in samples for name in sample.types}
    a_day = {name: growth_a_day([sample.types.get(name, 0) for sample in samples]) for name in names}
    most = sorted(a_day.items(), key=lambda item: -item[1])[:TYPES_NAMED]
    return {name: growth for name, growth in most if growth > 0}
