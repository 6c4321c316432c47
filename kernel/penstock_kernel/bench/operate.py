"""How long an instance is away: from start to ready, from kill -9 to trading, from an operator's kill to its effect.

The processes are real ones, started and killed as in operation. The market is inside, so that only ours is measured;
in the ways of `operate_outside` it is the practice venue, which has to be asked where our orders stand.
"""

from __future__ import annotations

import os
import signal
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penstock_kernel.bench.operate_command import command_rows
from penstock_kernel.bench.operate_desk import STEPS, Desk, Start, bench_environment, process_begun_ns, steps_ms
from penstock_kernel.bench.operate_outside import outside_desks, outside_round
from penstock_kernel.bench.rounds import machine
from penstock_kernel.runs import RunInfo

__all__ = ["HISTORIES", "TINY", "bench_operate"]

HISTORIES = (1_050_000, 10_050_000)
"""Events at which the instance is killed: long histories; what comes after the last snapshot is at most 100,000."""
_DAY = """
[run]
delivery_day = "2026-03-10"
days = "rolling"
snapshot_every_events = {snapshot_every}
[plugins.exchange]
use = "exchange"
[plugins.prices]
use = "synthetic_prices"
[plugins.risk]
use = "risk_limits"
[plugins.fat_finger]
use = "fat_finger"
[plugins.mm]
use = "market_maker"
[plugins.reversion]
use = "mean_reversion"
[plugins.portfolio]
use = "portfolio"
"""
TINY: dict[str, Any] = {
    "histories": (15_000,), "snapshot_every": 5_000, "first_s": 1_500.0, "rounds": 1, "orders": (10,), "kills": 5,
    "outside_history": 8_000,
}  # fmt: skip
"""Arguments of a bench that is over in some seconds."""
_CHILD = "penstock_kernel.bench.operate_child"


def bench_operate(
    *, histories: Sequence[int] = HISTORIES, snapshot_every: int = 100_000, first_s: float = 20_000.0,
    rounds: int = 5, orders: tuple[int, ...] = (100, 1_000), kills: int = 200, outside_history: int = 1_050_000,
) -> dict[str, Any]:  # fmt: skip
    """Return each way's steps, in ms: median and worst of the rounds, and CPU.

    Args:
        histories: events after which the instance is killed, upwards.
        snapshot_every: events between its snapshots.
        first_s: seconds of the market that an instance runs before it is stopped in order.
        rounds: starts of each kind, interleaved.
        orders: open orders when an operator kills, or resting at the venue outside. kills: how often an operator does.
        outside_history: events, about, at which the instance with the venue outside is killed the first time.

    ``digest`` is over what the instance recorded before it was stopped the first time.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        deployment = folder / "plugins.toml"
        deployment.write_text(_DAY.format(snapshot_every=snapshot_every))
        env = bench_environment(folder / "bytecode")
        first = Desk(folder / "runs", "first", deployment, env)
        first.run(_CHILD, "first", str(deployment), "--runs-dir", str(first.folder), "--for", str(first_s))
        kept = [first, *_crashed(Desk(folder / "runs", "history", deployment, env), histories)]
        found: dict[str, list[tuple[int, Start]]] = {}
        with outside_desks(folder / "outside", env, orders, outside_history, snapshot_every) as outside:
            kept_outside = [{**_kept(desk.desk), "events": desk.events} for desk in outside]
            for number in range(rounds):
                _round(Desk(folder / "runs", f"fresh{number}", deployment, env), kept, number, found)
                outside_round(outside, found)
        rows = [row for way, starts in found.items() for row in _rows(way, starts)]
        rows += command_rows(folder / "commands", env, orders, kills)
        return {
            "bench": "operate", **machine(), "rounds": rounds, "rows": rows,
            "kept": [*(_kept(desk) for desk in kept), *kept_outside], "budgets": {"back_s": 2},
            "digest": RunInfo.load(first.dir).digest,
        }  # fmt: skip


def _crashed(desk: Desk, histories: Sequence[int]) -> list[Desk]:
    """Run an instance from crash to crash; return what each left."""
    out = []
    for events in histories:
        arguments = (desk.name, str(desk.deployment), "--runs-dir", str(desk.folder), "--crash-at", str(events))
        desk.run(_CHILD, *arguments, status=-signal.SIGKILL)
        out.append(desk.copy(f"after{events}"))
    return out


def _round(fresh: Desk, kept: list[Desk], number: int, found: dict[str, list[tuple[int, Start]]]) -> None:
    """Start the instance in every way once."""
    found.setdefault("fresh", []).append(_started(fresh))
    stopped, *crashed = kept
    found.setdefault("after a stop", []).append(_started(stopped.copy(f"again{number}")))
    for desk in crashed:
        events = int(desk.name.removeprefix("after"))
        alone = desk.copy(f"alone{events}-{number}")
        found.setdefault(f"after kill -9 at {events:,}", []).append(_started(alone))
        watched = desk.copy(f"watched{events}-{number}")
        found.setdefault(f"kill -9 under the watchdog at {events:,}", []).append(_killed(watched))


def _started(desk: Desk) -> tuple[int, Start]:
    """Start an instance without its watchdog; return (since when, its start)."""
    begun_ns = time.monotonic_ns()
    with desk.kernel() as process:
        pid, ready_ns = desk.wait_ready(process)
        start = desk.start(process, begun_ns, pid, ready_ns)
        process.kill()
        process.wait()
    desk.remove()
    return begun_ns, start


def _killed(desk: Desk) -> tuple[int, Start]:
    """Kill the kernel of a watchdog; return (since when, the start of the next one)."""
    with desk.kernel(watched=True) as process:
        old, _ = desk.wait_ready(process)
        begun_ns = time.monotonic_ns()
        os.kill(old, signal.SIGKILL)
        pid, ready_ns = desk.wait_ready(process, old)
        start = desk.start(process, process_begun_ns(pid), pid, ready_ns)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    desk.remove()
    return begun_ns, start


def _rows(way: str, starts: list[tuple[int, Start]]) -> list[dict[str, Any]]:
    """Return the steps of one way to start: medians, the worst, and CPU where the process tells."""
    taken = [steps_ms(start, since_ns) for since_ns, start in starts]
    used = [_cpu_ms(start) for _, start in starts]
    rows = []
    for step, words in {"spawned": "seen, waited, spawned", **STEPS, "all": "in all"}.items():
        wall_ms = [steps[step] for steps in taken if step in steps]
        if not wall_ms or max(wall_ms) <= 0:
            continue
        row: dict[str, Any] = {
            "name": f"{way}: {words}", "p50_ms": round(statistics.median(wall_ms), 2),
            "best_ms": round(min(wall_ms), 2), "worst_ms": round(max(wall_ms), 2),
        }  # fmt: skip
        if cpu_ms := [steps[step] for steps in used if step in steps]:
            row["cpu_p50_ms"] = round(statistics.median(cpu_ms), 2)
        rows.append(row)
    return rows


def _cpu_ms(start: Start) -> dict[str, float]:
    """Return the CPU time of each step that the process itself tells, and of all of them."""
    steps = list(start.cpu_ns)
    spent = np.diff([0, *start.cpu_ns.values()]) / 1e6
    return {**dict(zip(steps, spent.tolist(), strict=True)), "all": float(spent.sum())}


def _kept(desk: Desk) -> dict[str, Any]:
    """Return what an instance left, and how large it is."""
    snapshots = sorted((desk.dir / "snapshots").glob("[0-9]*.snap"))
    return {
        "instance": desk.name,
        "snapshot_seq": int(snapshots[-1].stem) if snapshots else 0,
        "snapshot_bytes": snapshots[-1].stat().st_size if snapshots else 0,
        "journal_bytes": sum(path.stat().st_size for path in (desk.dir / "journal").glob("*.pj")),
    }  # fmt: skip
