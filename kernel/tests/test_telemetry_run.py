"""A kernel's counters as published: they are what the kernel has, each is declared, and none of it changes the run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from kernel.tests.toy_market import END_NS, kernel_in, start
from penstock_kernel.bench.command import BENCHES
from penstock_kernel.bench.telemetry import bench_telemetry
from penstock_kernel.clock import WallClock
from penstock_kernel.deployment import check, load_deployment
from penstock_kernel.kernel import Kernel
from penstock_kernel.stopwatch import ONE_IN, STAGES
from penstock_kernel.telemetry.cells import CellsReader
from penstock_kernel.telemetry.collect import SLOW_EVERY, Telemetry
from penstock_kernel.telemetry.exporter import settings_of
from penstock_kernel.telemetry.metrics import BOUNDS_NS, METRIC_BY_NAME, METRICS
from penstock_kernel.telemetry.settings import TelemetryTable
from penstock_sdk.events import Alert, Severity
from penstock_sdk.wire.frame import Origin

ROOT = Path(__file__).resolve().parent.parent.parent
Values = dict[tuple[str, tuple[str, ...]], int]


def read(folder: Path) -> Values:
    reader = CellsReader(folder / "cells")
    found = {}
    for one in reader.read():
        found[one.metric.name, one.labels] = one.value if one.counts is None else int(one.counts.sum())
    reader.close()
    return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Kernel, Values]:
    """Return a kernel of the toy market after its run, and what it published at the end."""
    folder = tmp_path_factory.mktemp("cells")
    kernel = start(kernel_in(folder, time_one_in=1))
    telemetry = Telemetry(lambda: kernel, folder)
    kernel.turns = (telemetry.turn,)
    kernel.run_simulated(END_NS)
    kernel.input(Alert(code="x.y", severity=Severity.ERROR, subject="s", met="m"), Origin.KERNEL)
    kernel.write()
    telemetry.close()
    telemetry.close()
    return kernel, read(folder)


def test_what_is_published_is_what_the_kernel_has(ran: tuple[Kernel, Values]):
    kernel, values = ran
    assert values["penstock_events_total", ()] == kernel.cascade.seq > 500
    assert values["penstock_orders_total", ()] == kernel.desk.orders > 0
    assert values["penstock_fills_total", ()] == kernel.desk.fills > 0
    assert values["penstock_open_orders", ()] == len(kernel.desk.open)
    assert values["penstock_plugin_cells_total", ("venue", "deals")] == kernel.slots["venue"].ctx.cells["deals"].n  # type: ignore[union-attr]
    assert values["penstock_plugin_faults_total", ("one",)] == kernel.slots["one"].faults
    assert values["penstock_plugin_status", ("venue",)] == 5
    assert values["penstock_alerts_total", ("error",)] == 1
    assert values["penstock_clock_lag_seconds", ()] == 0
    assert kernel.journal is not None
    size = sum(path.stat().st_size for path in kernel.journal.directory.glob("*.pj"))
    assert values["penstock_journal_bytes_total", ()] == size
    assert values["penstock_memory_bytes", ()] > 10_000_000
    assert values["penstock_open_files", ()] >= 3


def test_an_idle_kernel_is_not_behind_and_one_with_something_due_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    now_ns = 10**15
    monkeypatch.setattr("penstock_kernel.telemetry.collect.time.time_ns", lambda: now_ns)
    kernel = kernel_in(tmp_path)
    kernel.clock = WallClock()
    telemetry = Telemetry(lambda: kernel, tmp_path)

    def lag_ns() -> int:
        telemetry.publish()
        return read(tmp_path)["penstock_clock_lag_seconds", ()]

    kernel.moment.now_ns = now_ns - 60_000_000_000
    assert lag_ns() == 0
    kernel.timers.set(1, now_ns + 5, 0)
    assert lag_ns() == 0
    kernel.timers.set(1, now_ns - 3_000, 0)
    assert lag_ns() == 3_000
    kernel.lanes.offer(Alert(code="x.y", severity=Severity.ERROR, subject="s", met="m"), kernel.cascade.kernel_slot)
    assert lag_ns() == 60_000_000_000
    kernel.moment.now_ns = now_ns - 2_000
    assert lag_ns() == 2_000
    kernel.moment.now_ns = now_ns + 2_000  # the machine's clock stepped back
    assert lag_ns() == 0
    telemetry.close()
    kernel.close()


def test_points_in_time_are_named_as_prometheus_names_them(ran: tuple[Kernel, Values]):
    named = {name for name in METRIC_BY_NAME if name.endswith("_timestamp_seconds")}
    assert named == {f"penstock_{what}_timestamp_seconds" for what in ("run", "published", "start", "snapshot")}
    for metric in METRICS:
        assert ("since 1970" in metric.help) == (metric.name in named), metric.name


def test_refusals_are_counted_by_strategy_and_reason(ran: tuple[Kernel, Values]):
    kernel, values = ran
    refused = {labels: n for (name, labels), n in values.items() if name == "penstock_refused_total"}
    assert sum(refused.values()) == kernel.desk.refused > 0
    assert {plugin for plugin, _ in refused} == {"one", "two"}
    assert {reason for _, reason in refused} == {"qty_max"}


def test_every_stage_is_published_and_orders_are_measured_one_by_one(ran: tuple[Kernel, Values]):
    kernel, values = ran
    for stage in STAGES:
        assert ("penstock_latency_seconds", (stage,)) in values
        assert ("penstock_latency_max_seconds", (stage,)) in values
    answered = values["penstock_latency_seconds", ("venue_answer",)]
    assert answered == kernel.desk.orders
    assert values["penstock_latency_seconds", ("handling",)] == kernel.stopwatch.timed
    assert values["penstock_handler_calls_total", ("risk", "check_order")] > 0


def test_everything_published_is_declared_and_everything_declared_is_published(ran: tuple[Kernel, Values]):
    _, values = ran
    names = {name for name, _ in values}
    assert names <= set(METRIC_BY_NAME)
    only_sometimes = {"penstock_lost_total", "penstock_pnl", "penstock_alerts_open"}
    assert set(METRIC_BY_NAME) - names <= only_sometimes
    for name, labels in values:
        assert len(labels) == len(METRIC_BY_NAME[name].labels)


def test_a_turn_publishes_only_when_it_is_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    now_ns = 10**15
    monkeypatch.setattr("penstock_kernel.telemetry.collect.time.perf_counter_ns", lambda: now_ns)
    kernel = kernel_in(tmp_path)
    telemetry = Telemetry(lambda: kernel, tmp_path, every_ns=200)
    telemetry.turn()
    kernel.cascade.seq = 5
    telemetry.turn()
    assert read(tmp_path)["penstock_events_total", ()] == 0
    now_ns += 200
    telemetry.turn()
    assert read(tmp_path)["penstock_events_total", ()] == 5
    kernel.close()


def test_a_folder_that_is_gone_or_cannot_be_written_does_not_end_the_run(tmp_path: Path):
    kernel = kernel_in(tmp_path / "run")
    gone = Telemetry(lambda: kernel, tmp_path / "nowhere")
    gone.publish()
    gone.close()
    telemetry = Telemetry(lambda: kernel, tmp_path / "run")
    telemetry._dir = tmp_path / "nowhere"
    for _ in range(SLOW_EVERY + 1):
        telemetry.publish()
    telemetry.close()
    kernel.close()


def test_published_memory_and_journal_do_not_grow_with_publishing(tmp_path: Path):
    kernel = start(kernel_in(tmp_path))
    telemetry = Telemetry(lambda: kernel, tmp_path)
    before = (tmp_path / "cells").stat().st_size
    for _ in range(50):
        telemetry.publish()
    telemetry.close()
    assert (tmp_path / "cells").stat().st_size == before
    kernel.close()


DEPLOYMENT = """
[plugins.exchange]
use = "exchange"
[telemetry]
{}
"""


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("handlers_one_in = -1", "telemetry.handlers_one_in: expected"),
        ("publish_ms = 5", "telemetry.publish_ms: expected"),
        ('spans = "everywhere"', "telemetry.spans"),
        ('spans = "otlp"', 'telemetry.spans: spans = "otlp" wants an otlp_endpoint, met none'),
        ('otlp_endpoint = "collector:4318"', "telemetry.otlp_endpoint: expected an address"),
        ("orders_sampled = 1.5", "telemetry.orders_sampled: expected"),
        ("sample = 1", "telemetry.sample: unknown key"),
    ],
)
def test_a_faulty_table_is_told_with_its_line(tmp_path: Path, table: str, said: str):
    path = tmp_path / "plugins.toml"
    path.write_text(DEPLOYMENT.format(table))
    problems = [p for p in check(path) if p.path.startswith("telemetry")]
    assert [problem.line for problem in problems] == [5]
    assert f"{problems[0].path}: {problems[0].message}".startswith(said)


def test_the_table_changes_no_digest_and_is_what_the_exporter_reads(tmp_path: Path):
    path = tmp_path / "deployment.toml"
    path.write_text(DEPLOYMENT.format(""))
    plain = load_deployment(path)
    path.write_text(DEPLOYMENT.format('handlers_one_in = 7\nspans = "file"\norders_sampled = 0.5'))
    told = load_deployment(path)
    assert told.digest == plain.digest
    assert plain.telemetry == TelemetryTable() and plain.telemetry.handlers_one_in == ONE_IN
    assert told.telemetry == settings_of(tmp_path) == TelemetryTable(7, spans="file", orders_sampled=0.5)
    assert settings_of(tmp_path / "nowhere") == TelemetryTable()


def test_the_dashboard_and_the_page_are_what_the_metrics_say():
    tool = ROOT / "tools" / "dashboard.py"
    said = subprocess.run([sys.executable, str(tool), "--check"], capture_output=True, text=True)
    assert (said.returncode, said.stdout) == (0, "")


def known_names() -> set[str]:
    found = {metric.name for metric in METRICS} | {"penstock_up", "penstock_latency_quantile_seconds"}
    return found | {f"{m.name}_{end}" for m in METRICS if m.kind == "histogram" for end in ("bucket", "sum", "count")}


def test_every_query_of_the_dashboard_names_what_is_exported():
    board = json.loads((ROOT / "deploy/grafana/penstock.json").read_text())
    targets = [(p["title"], t["expr"]) for p in board["panels"] for t in p.get("targets", [])]
    assert len(targets) >= len(METRICS)
    for title, expr in targets:
        assert set(re.findall(r"penstock_\w+", expr)) <= known_names(), title
        assert expr.count("(") == expr.count(")") and '{instance_name=~"$instance"' in expr
    shown = {name for _, expr in targets for name in re.findall(r"penstock_\w+", expr)}
    assert {m.name for m in METRICS if m.kind != "histogram"} <= shown


def test_the_dashboard_has_what_grafana_wants_of_each_panel():
    board = json.loads((ROOT / "deploy/grafana/penstock.json").read_text())
    assert {"uid", "title", "schemaVersion", "panels", "templating", "time"} <= set(board)
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    taken = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        assert at["x"] >= 0 and at["x"] + at["w"] <= 24 and at["h"] > 0
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] in ("row", "stat", "timeseries", "heatmap")
        assert panel["type"] == "row" or {"datasource", "targets"} <= set(panel)
    assert [p["title"] for p in board["panels"] if p["type"] == "row"] == [
        "Health", "Latency", "Orders and refusals", "Time per handler", "Journal and disk", "Alerts",
    ]  # fmt: skip


def test_the_rules_for_prometheus_name_what_is_exported():
    rules = (ROOT / "deploy/prometheus/penstock.rules.yml").read_text()
    exprs = re.findall(r"expr: (.*)", rules)
    assert len(exprs) == rules.count("- alert:") >= 5
    for expr in exprs:
        assert set(re.findall(r"penstock_\w+", expr)) <= known_names()
        assert expr.count("(") == expr.count(")")
    assert "penstock.rules.yml" in (ROOT / "deploy/prometheus/prometheus.yml").read_text()


def rules() -> dict[str, str]:
    text = (ROOT / "deploy/prometheus/penstock.rules.yml").read_text()
    return dict(re.findall(r"- alert: (\w+)\n +expr: (.*)", text))


def test_down_is_also_what_does_not_answer_and_what_is_not_there():
    job = re.search(r"job_name: (\w+)", (ROOT / "deploy/prometheus/prometheus.yml").read_text())
    assert job
    parts = rules()["PenstockDown"].split(" or ")
    assert parts[:2] == ["penstock_up == 0", f'up{{job="{job[1]}"}} == 0']
    assert "absent(penstock_up)" in parts[2]


def test_the_rules_watch_what_ends_a_desk_in_silence():
    told = " ".join(rules().values())
    for name in ("reconciling", "journal_unsynced_events", "series_dropped_total", "disk_free_bytes", "journal_failed"):
        assert f"penstock_{name}" in told
    over = float(rules()["PenstockSlowOrders"].rpartition(" > ")[2])
    assert 0.01 <= over <= 0.1 and round(over * 1e9) in BOUNDS_NS  # between bounds a quantile is a guess


def test_the_bench_records_the_same_with_and_without():
    result = bench_telemetry(orders=64, rounds=1)
    assert [row["name"] for row in result["rows"]] == ["off", "on"]
    assert all(row["cpu_us_per_order"] > 0 for row in result["rows"])
    assert result["parts"]["publish_p50_us"] > 0


def test_the_bench_tells_no_ratio_of_one_round():
    assert not {"overhead_percent", "budgets"} & set(BENCHES["telemetry"](True))
    result = bench_telemetry(orders=16, rounds=5)
    assert abs(result["overhead_percent"]) < 1_000 and result["budgets"] == {"overhead_percent": 5}


def test_the_exporters_packages_are_pinned_with_their_licences():
    text = (ROOT / "requirements/core.in").read_text()
    for name in ("hdrhistogram", "opentelemetry-exporter-otlp-proto-http"):
        assert re.search(rf"^{name}>=\S+ +# Apache-2\.0; ", text, re.MULTILINE)
    kernel = tomllib.loads((ROOT / "kernel/pyproject.toml").read_text())["project"]
    assert any("opentelemetry-exporter-otlp" in one for one in kernel["optional-dependencies"]["telemetry"])
