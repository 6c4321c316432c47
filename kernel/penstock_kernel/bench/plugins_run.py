"""Kernels with plugins in processes of their own, by the wall clock: how they start, come back, and bear a flood."""

from __future__ import annotations

import os
import signal
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, perf_counter_ns
from typing import Any

import numpy as np

from penstock_kernel.bench.order_path import START_NS, Chain
from penstock_kernel.boot import attach_plugins
from penstock_kernel.deployment import load_deployment
from penstock_kernel.journal import Journal
from penstock_kernel.kernel import Kernel
from penstock_sdk.events import ClockKind, IdKind, PluginStatus

__all__ = ["flood", "starts"]

BACK_S = 30.0
_FOLDER = Path(__file__).parent


class _RunningClock:
    """Real time that began at a moment of our choosing: the market is open whenever a bench is run."""

    kind = ClockKind.WALL

    def __init__(self, start_ns: int) -> None:
        self._start_ns = start_ns
        self._begun_ns = perf_counter_ns()

    def now_ns(self) -> int:
        """Return the time."""
        return self._start_ns + perf_counter_ns() - self._begun_ns

    def wait_until(self, due_ns: int) -> None:
        """Return at once: a bench that measures latency does not sleep."""

    def jump(self, to_ns: int) -> None:
        """Make it *to_ns*, where that is later."""
        self._start_ns += max(0, to_ns - self.now_ns())


class _Running:
    """A kernel with so many plugins of one kind in processes, and with *more* attached beside them."""

    def __init__(
        self, folder: Path, use: str, count: int, more: Callable[[Kernel], object] = lambda kernel: None
    ) -> None:
        tables = "".join(
            f'[plugins.p{number}]\nuse = "{use}"\npath = "{_FOLDER}"\nrun = "process"\n' for number in range(count)
        )
        path = folder / "bench.toml"
        path.write_text(f'[run]\nclock = "wall"\n{tables}')
        deployment = load_deployment(path)
        self.clock = _RunningClock(START_NS)
        self.kernel = kernel = Kernel(self.clock, journal=Journal.create(folder / "journal", run=1), run_dir=folder)
        kernel.moment.now_ns = START_NS
        begun = perf_counter()
        more(kernel)
        attach_plugins(kernel, deployment)
        for slot in list(kernel.slots.values()):
            kernel.start_plugin(slot)
            kernel.settle()
        self.start_s = perf_counter() - begun
        kernel.session_started()
        kernel.open_sources()

    def turn(self) -> None:
        """Do what the kernel does in a turn of wall time."""
        kernel = self.kernel
        now_ns = kernel._wall_ns()
        kernel._poll(now_ns)
        kernel._step_wall(now_ns)
        if kernel.hosts is not None:
            kernel.hosts.flush()

    def until(self, done: Callable[[], bool], what: str) -> float:
        """Turn until something is so; return seconds."""
        begun = perf_counter()
        while not done():
            self.turn()
            if perf_counter() - begun > BACK_S:
                raise TimeoutError(f"{what} took more than {BACK_S:.0f} s")
        return perf_counter() - begun

    def back_s(self, name: str) -> float:
        """Return how long a plugin that was killed just now takes to be noticed and to run again."""
        noticed = self.until(lambda: self.status(name) != PluginStatus.RUNNING, "noticing a crash")
        return noticed + self.until(lambda: self.status(name) == PluginStatus.RUNNING, "a restart")

    def status(self, name: str) -> PluginStatus:
        """Return where a plugin stands."""
        return self.kernel.lifecycle.status[self.kernel.slots[name].plugin_id]

    def pid(self, name: str) -> int:
        """Return the process that a plugin's host has started."""
        assert self.kernel.hosts is not None
        child = self.kernel.hosts.hosts[name].child
        assert child is not None
        return child.pid


def starts(many: int, rounds: int) -> list[dict[str, Any]]:
    """Return rows, medians of the rounds: start to ready, of one and of *many*; memory of each; crash to running."""
    took: dict[str, list[float]] = {}
    memory: list[float] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            one = _Running(Path(folder), "bench_echo", 1)
            try:
                took.setdefault("start to ready, 1 plugin", []).append(one.start_s)
                os.kill(one.pid("p0"), signal.SIGKILL)
                took.setdefault("crash to running again, back-off included", []).append(one.back_s("p0"))
            finally:
                one.kernel.close()
        with tempfile.TemporaryDirectory() as folder:
            all_of_them = _Running(Path(folder), "bench_echo", many)
            try:
                took.setdefault(f"start to ready, {many} plugins", []).append(all_of_them.start_s)
                memory += [_pss_mb(all_of_them.pid(f"p{number}")) for number in range(many)]
            finally:
                all_of_them.kernel.close()
    rows: list[dict[str, Any]] = [
        {"name": name, "ms": round(statistics.median(found) * 1e3, 1)} for name, found in took.items()
    ]
    return [*rows, {"name": f"memory of each of {many}", "mb": round(statistics.median(memory), 1)}]


def _pss_mb(pid: int) -> float:
    """Return what a process and those below it hold of the machine's memory; what they share is divided."""
    total_kb = 0
    waiting = [pid]
    while waiting:
        number = waiting.pop()
        try:
            lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
            total_kb += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
            for task in Path(f"/proc/{number}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return total_kb / 1024


def flood(ticks: int, rounds: int) -> list[dict[str, Any]]:
    """Return rows: from a tick that has come to its checked order at the venue, without and with a flooding plugin.

    In interleaved rounds; percentiles are over all ticks, rates are medians.
    """
    ways = {"quiet": 0, "a plugin floods": 1}
    took_us: dict[str, list[float]] = {name: [] for name in ways}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, count in ways.items():
            found, rate = _flooded(count, ticks)
            took_us[name] += found
            rates[name].append(rate)
    rows = []
    for name, found in took_us.items():
        p50, p99 = np.percentile(found, [50, 99]).tolist()
        rows.append(
            {
                "name": f"tick to checked order, {name}", "p50_us": round(p50, 1), "p99_us": round(p99, 1),
                "events_per_s": round(statistics.median(rates[name])),
            }
        )  # fmt: skip
    return rows


def _flooded(count: int, ticks: int) -> tuple[list[float], float]:
    """Return the µs of each tick, and events a second meanwhile, with so many plugins that flood."""
    with tempfile.TemporaryDirectory() as folder:
        market = Chain()
        running = _Running(Path(folder), "bench_flood", count, market.attach)
        try:
            kernel = running.kernel
            listing = kernel.definitions(IdKind.LISTING)[-1]
            running.clock.jump(listing.opens_ns + 1_000_000_000)
            running.until(lambda: kernel.moment.now_ns > listing.opens_ns, "the market's opening")
            for number in range(-ticks // 10, 0):
                market.tick(kernel, running.turn, listing.listing_id, number)
            begun_seq, begun = kernel.cascade.seq, perf_counter()
            took_us = [market.tick(kernel, running.turn, listing.listing_id, n) for n in range(ticks)]
            return took_us, (kernel.cascade.seq - begun_seq) / (perf_counter() - begun)
        finally:
            running.kernel.close()
