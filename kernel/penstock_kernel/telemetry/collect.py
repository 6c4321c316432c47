"""What a kernel publishes: read from its own integers a few times a second, between inputs, into the cells file."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from penstock_kernel.kernel import Kernel
from penstock_kernel.stopwatch import STAGES
from penstock_kernel.telemetry.cells import CellsWriter, Values
from penstock_sdk.events import ClockKind, OrderState, Reason, Severity

__all__ = ["Telemetry"]

SLOW_EVERY = 25
"""What asks the operating system is read once in so many rounds."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Telemetry:
    """Publishes a kernel's counters. Add `turn` to ``kernel.turns``.

    Args:
        kernel_of: returns whose; a run may change its kernel while it is taken up.
        run_dir: the file is ``cells`` in it.
        every_ns: how often.

    Cost: 0.1 µs a turn, and some 0.1 ms when it publishes.
    """

    def __init__(self, kernel_of: Callable[[], Kernel], run_dir: Path, every_ns: int = 200_000_000) -> None:
        self._kernel_of, self._dir, self._every_ns = kernel_of, run_dir, every_ns
        self._cells: CellsWriter | None = None
        with suppress(OSError):  # no room, no telemetry: the run goes on
            self._cells = CellsWriter(run_dir / "cells")
        self._kernel = kernel_of()
        self._due_ns = 0
        self._rounds = 0
        self._slow: Values = {}
        self._segment, self._before_bytes = 0, 0
        self._start_ns = time.time_ns()

    def turn(self) -> None:
        """Publish when it is time to."""
        now_ns = time.perf_counter_ns()
        if now_ns >= self._due_ns:
            self._due_ns = now_ns + self._every_ns
            self.publish()

    def publish(self) -> None:
        """Publish now; where the disk does not let it, nothing."""
        if self._cells is None:
            return
        self._kernel = self._kernel_of()
        self._kernel.stopwatch.mend()
        with suppress(OSError):  # the run's folder is gone: the journal tells
            self._publish(self._cells)

    def _publish(self, cells: CellsWriter) -> None:
        if self._rounds % SLOW_EVERY == 0:
            self._slow = _of_the_process() | self._of_the_disk()
        self._rounds += 1
        stages = self._kernel.stopwatch.stages(self._kernel.watch)
        values = self._of_the_kernel() | self._of_orders() | self._of_plugins() | self._of_the_journal() | self._slow
        for stage in STAGES:
            values["penstock_latency_max_seconds", (stage,)] = stages[stage].max_ns
        values["penstock_series_dropped_total", ()] = cells.dropped
        cells.write(values, {("penstock_latency_seconds", (stage,)): stages[stage] for stage in STAGES})

    def close(self) -> None:
        """Publish the last state; the file stays. Again is harmless."""
        self._rounds = 0
        self.publish()
        if self._cells is not None:
            self._cells.close()
            self._cells = None

    def _of_the_kernel(self) -> Values:
        kernel = self._kernel
        now_ns, desk = time.time_ns(), kernel.desk
        return {
            ("penstock_events_total", ()): kernel.cascade.seq,
            ("penstock_inputs_total", ()): kernel.stopwatch.inputs - max(kernel.cascade.until_timed, 0),
            ("penstock_run_timestamp_seconds", ()): kernel.moment.now_ns,
            ("penstock_clock_lag_seconds", ()): self._lag_ns(now_ns),
            ("penstock_published_timestamp_seconds", ()): now_ns,
            ("penstock_start_timestamp_seconds", ()): self._start_ns,
            ("penstock_epoch", ()): kernel.header.epoch if kernel.header is not None else 0,
            ("penstock_killed", ()): int(desk.killed),
            ("penstock_paused", ()): len(desk.paused),
            ("penstock_reconciling", ()): len(desk.reconciling),
            ("penstock_timers", ()): len(kernel.timers),
            ("penstock_tasks", ()): len(kernel.tasks),
        }

    def _lag_ns(self, now_ns: int) -> int:
        """Return how far the run's time is behind what is due; the run's time stands still while nothing is."""
        kernel = self._kernel
        if kernel.clock.kind != ClockKind.WALL:
            return 0
        due_ns = [source.next_ns for source in kernel.sources if not source.ended]
        timer_ns = kernel.timers.next_ns()
        if timer_ns is not None:
            due_ns.append(timer_ns)
        if len(kernel.lanes):  # they came in before the last step
            due_ns.append(kernel.moment.now_ns)
        return max(0, now_ns - max(min(due_ns, default=now_ns), kernel.moment.now_ns))

    def _of_orders(self) -> Values:
        kernel, desk, watch = self._kernel, self._kernel.desk, self._kernel.watch
        names = {slot.plugin_id: slot.name for slot in kernel.slots.values()}
        values: Values = {
            ("penstock_orders_total", ()): desk.orders,
            ("penstock_fills_total", ()): desk.fills,
            ("penstock_open_orders", ()): len(desk.open),
        }
        for (plugin_id, reason), count in watch.refused.items():
            key = (names.get(plugin_id, str(plugin_id)), _reason(reason))
            values["penstock_refused_total", key] = values.get(("penstock_refused_total", key), 0) + count
        for plugin_id, pnl_micro in watch.pnl_micro.items():
            values["penstock_pnl", (names.get(plugin_id, str(plugin_id)),)] = pnl_micro
        for lane, waiting in kernel.lanes.waiting().items():
            values["penstock_lane_waiting", (lane,)] = waiting
        for what, count in kernel.lanes.lost.items():
            values["penstock_lost_total", (what,)] = count
        for severity in Severity:
            if severity:
                values["penstock_alerts_total", (severity.name.lower(),)] = watch.alerts.get(severity, 0)
        return values | self._open_alerts()

    def _open_alerts(self) -> Values:
        """Return the open alerts by severity, where the kernel keeps a book of them."""
        book: Any = getattr(self._kernel, "alerts", None)
        if book is None:
            return {}
        found: Values = {("penstock_alerts_open", (s.name.lower(),)): 0 for s in Severity if s}
        for alert in book.open:
            key = ("penstock_alerts_open", (Severity(alert.severity).name.lower(),))
            found[key] = found.get(key, 0) + 1
        return found

    def _of_plugins(self) -> Values:
        kernel = self._kernel
        values: Values = {}
        for name, slot in kernel.slots.items():
            values["penstock_plugin_faults_total", (name,)] = slot.faults
            values["penstock_plugin_status", (name,)] = int(kernel.lifecycle.status.get(slot.plugin_id, 0))
            for cell, counted in slot.ctx.cells.items() if slot.ctx is not None else ():
                values["penstock_plugin_cells_total", (name, cell)] = counted.n
        for row in kernel.stopwatch.rows():
            key = (row.plugin, row.handler)
            values["penstock_handler_calls_total", key] = row.calls
            values["penstock_handler_seconds_total", key] = row.total_ns
            values["penstock_handler_max_seconds", key] = row.max_ns
        return values

    def _of_the_journal(self) -> Values:
        journal = self._kernel.journal
        if journal is None:
            return {}
        segment, offset = journal.position
        if segment != self._segment:  # those before it do not change any more
            self._segment = segment
            own = journal.segment
            self._before_bytes = sum(p.stat().st_size for p in journal.directory.glob("[0-9]*.pj") if p != own)
        return {
            ("penstock_journal_bytes_total", ()): self._before_bytes + offset,
            ("penstock_journal_unsynced_events", ()): max(0, journal.written_seq - max(journal.synced_seq, 0)),
            ("penstock_journal_pending_frames", ()): len(journal.pending),
            ("penstock_journal_failed", ()): int(journal.failed),
        }

    def _of_the_disk(self) -> Values:
        room = os.statvfs(self._dir)
        taken = max((p.stat().st_mtime_ns for p in (self._dir / "snapshots").glob("[0-9]*")), default=0)
        in_doubt = sum(held.state == OrderState.IN_DOUBT for held in self._kernel.desk.open.values())
        return {
            ("penstock_disk_free_bytes", ()): room.f_bavail * room.f_frsize,
            ("penstock_snapshot_timestamp_seconds", ()): taken,
            ("penstock_in_doubt_orders", ()): in_doubt,
        }


def _reason(number: int) -> str:
    return Reason(number).name.lower() if number in Reason.__members__.values() else str(number)


def _of_the_process() -> Values:
    with open("/proc/self/statm", "rb") as file:
        pages = int(file.read().split()[1])
    values: Values = {
        ("penstock_memory_bytes", ()): pages * _PAGE_BYTES,
        ("penstock_open_files", ()): len(os.listdir("/proc/self/fd")) - 1,
        ("penstock_cpu_seconds_total", ()): time.process_time_ns(),
    }
    for generation, stats in enumerate(gc.get_stats()):
        values["penstock_gc_collections_total", (str(generation),)] = stats["collections"]
    return values
