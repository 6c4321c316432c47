"""Every metric that Penstock has, declared once: the cells file, both exporters, the dashboard and the page follow.

A name ends in its unit; a counter in ``_total``, a point in time in ``_timestamp_seconds``. Cells hold integers;
``per_unit`` of them make one of the unit.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

__all__ = ["BOUNDS_NS", "METRICS", "METRIC_BY_NAME", "QUANTILES", "Metric"]

Kind = Literal["counter", "gauge", "histogram"]


class Metric(NamedTuple):
    """One metric.

    Attributes:
        unit: in the words of UCUM, as OpenTelemetry wants it; ``1`` for a number, ``{order}`` for counted things.
        per_unit: so many in a cell are one unit.
        row: where the dashboard shows it.
    """

    name: str
    kind: Kind
    unit: str
    labels: tuple[str, ...]
    help: str
    row: str
    per_unit: int = 1


NS: Final = 1_000_000_000

METRICS: Final = (
    Metric("penstock_events_total", "counter", "{event}", (), "events numbered", "health"),
    Metric("penstock_inputs_total", "counter", "{input}", (), "inputs handled by this process", "health"),
    Metric("penstock_run_timestamp_seconds", "gauge", "s", (), "the run's own time, UTC since 1970", "health", NS),
    Metric("penstock_clock_lag_seconds", "gauge", "s", (), "how far the run's time is behind what is due by the "
           "machine's clock; 0 while nothing is, and in simulated time", "health", NS),
    Metric("penstock_published_timestamp_seconds", "gauge", "s", (), "when the kernel last wrote these, UTC since 1970",
           "health", NS),
    Metric("penstock_start_timestamp_seconds", "gauge", "s", (), "when the kernel's process began, UTC since 1970",
           "health", NS),
    Metric("penstock_epoch", "gauge", "1", (), "number of the session", "health"),
    Metric("penstock_killed", "gauge", "1", (), "1 while the kill switch is on", "health"),
    Metric("penstock_paused", "gauge", "1", (), "strategies that are paused, everything counted as one", "health"),
    Metric("penstock_reconciling", "gauge", "1", (), "venues that have not said where our orders stand", "health"),
    Metric("penstock_plugin_status", "gauge", "1", ("plugin",), "its PluginStatus: 5 runs, 9 failed, 11 quarantined",
           "health"),
    Metric("penstock_plugin_faults_total", "counter", "{fault}", ("plugin",), "handlers that raised", "health"),
    Metric("penstock_plugin_cells_total", "counter", "1", ("plugin", "cell"), "what the plugin counts itself",
           "health"),
    Metric("penstock_timers", "gauge", "{timer}", (), "timers that are to fire", "health"),
    Metric("penstock_tasks", "gauge", "{task}", (), "submitted work that has not come back", "health"),
    Metric("penstock_memory_bytes", "gauge", "By", (), "resident memory of the kernel's process", "health"),
    Metric("penstock_open_files", "gauge", "{file}", (), "file descriptors of the kernel's process", "health"),
    Metric("penstock_cpu_seconds_total", "counter", "s", (), "processor time of the kernel's process", "health", NS),
    Metric("penstock_gc_collections_total", "counter", "{collection}", ("generation",),
           "rounds of Python's garbage collector", "health"),
    Metric("penstock_series_dropped_total", "counter", "{series}", (), "series for which the cells file had no room",
           "health"),
    Metric("penstock_latency_seconds", "histogram", "s", ("stage",), "how long a stage took", "latency", NS),
    Metric("penstock_latency_max_seconds", "gauge", "s", ("stage",), "the longest since the process began", "latency",
           NS),
    Metric("penstock_orders_total", "counter", "{order}", (), "orders that passed every check", "orders"),
    Metric("penstock_fills_total", "counter", "{fill}", (), "fills of our orders", "orders"),
    Metric("penstock_refused_total", "counter", "{order}", ("plugin", "reason"), "orders that were refused", "orders"),
    Metric("penstock_open_orders", "gauge", "{order}", (), "orders that a venue may still execute", "orders"),
    Metric("penstock_in_doubt_orders", "gauge", "{order}", (), "orders sent before a crash and not answered since",
           "orders"),
    Metric("penstock_pnl", "gauge", "1", ("plugin",), "a strategy's total P&L, in units of its currency", "orders",
           1_000_000),
    Metric("penstock_lane_waiting", "gauge", "{input}", ("lane",), "inputs that wait to be numbered", "orders"),
    Metric("penstock_lost_total", "counter", "{record}", ("what",), "records that were shed before numbering",
           "orders"),
    Metric("penstock_handler_calls_total", "counter", "{call}", ("plugin", "handler"), "calls of a handler, estimated "
           "from the timed ones", "handlers"),
    Metric("penstock_handler_seconds_total", "counter", "s", ("plugin", "handler"), "time in a handler, estimated from "
           "the timed calls", "handlers", NS),
    Metric("penstock_handler_max_seconds", "gauge", "s", ("plugin", "handler"), "the longest timed call of a handler",
           "handlers", NS),
    Metric("penstock_journal_bytes_total", "counter", "By", (), "bytes written to the journal, all segments",
           "journal"),
    Metric("penstock_journal_unsynced_events", "gauge", "{event}", (), "events that a power loss would take",
           "journal"),
    Metric("penstock_journal_pending_frames", "gauge", "{frame}", (), "frames that are not written yet", "journal"),
    Metric("penstock_journal_failed", "gauge", "1", (), "1 once the journal cannot be written", "journal"),
    Metric("penstock_disk_free_bytes", "gauge", "By", (), "room where the run's folder is", "journal"),
    Metric("penstock_snapshot_timestamp_seconds", "gauge", "s", (), "when the newest snapshot was taken, UTC since "
           "1970; 0 for none", "journal", NS),
    Metric("penstock_alerts_total", "counter", "{alert}", ("severity",), "alerts told", "alerts"),
    Metric("penstock_alerts_open", "gauge", "{alert}", ("severity",), "alerts that are open", "alerts"),
)  # fmt: skip
"""All of them, in the order in which pages show them."""

METRIC_BY_NAME: Final = {metric.name: metric for metric in METRICS}

BOUNDS_NS: Final = [step * 10**power for power in range(3, 11) for step in (1, 2, 5)] + [10**11]
"""Bounds of the buckets that exporters show: 1 µs to 100 s, three to a decade."""

QUANTILES: Final = (0.5, 0.99, 0.999)
