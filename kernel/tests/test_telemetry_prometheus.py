"""What Prometheus reads: every series once, buckets that add up, any label, and a line also when there is no kernel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from penstock_kernel.telemetry import CONTENT_TYPE, render
from penstock_kernel.telemetry.__main__ import _serve
from penstock_kernel.telemetry.cells import CellsWriter
from penstock_kernel.telemetry.histogram import Histogram
from penstock_kernel.telemetry.metrics import METRICS

LINE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def parsed(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return the samples by name and labels, as a scraper reads them; fails on a line that is none, or said twice."""
    found = {}
    for line in text.decode().splitlines():
        if line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        assert match, line
        labels = frozenset(LABEL.findall(match[2] or ""))
        assert (match[1], labels) not in found, line
        found[match[1], labels] = float(match[3])
    return found


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "desk-de"
    folder.mkdir()
    latency = Histogram()
    for value in (500, 1_500, 1_500, 2_000_000, 200_000_000_000):
        latency.record(value)
    values = {
        ("penstock_events_total", ()): 12, ("penstock_run_timestamp_seconds", ()): 1_500_000_000,
        ("penstock_plugin_faults_total", ('a"b\\c\nd',)): 3,
        ("penstock_refused_total", ("mm", "kill_switch")): 1, ("penstock_refused_total", ("mm", "paused")): 2,
        ("penstock_pnl", ("mm",)): -2_500_000,
    }  # fmt: skip
    writer = CellsWriter(folder / "cells")
    writer.write(values, {("penstock_latency_seconds", ("handling",)): latency})
    writer.close()
    return folder


def value(samples: dict, name: str, **labels: str) -> float:
    return samples[name, frozenset({"instance_name": "desk-de", **labels}.items())]


def test_every_value_stands_in_its_base_unit_with_its_labels(run_dir: Path):
    samples = parsed(render(run_dir))
    assert value(samples, "penstock_up") == 1
    assert value(samples, "penstock_events_total") == 12
    assert value(samples, "penstock_run_timestamp_seconds") == 1.5
    assert value(samples, "penstock_pnl", plugin="mm") == -2.5
    assert value(samples, "penstock_refused_total", plugin="mm", reason="paused") == 2
    assert value(samples, "penstock_plugin_faults_total", plugin='a\\"b\\\\c\\nd') == 3


def test_buckets_add_up_and_quantiles_are_finer_than_they(run_dir: Path):
    samples = parsed(render(run_dir))
    buckets = {
        float(dict(labels)["le"]): count for (name, labels), count in samples.items() if name.endswith("_bucket")
    }
    counts = [buckets[bound] for bound in sorted(buckets)]
    assert counts == sorted(counts) and counts[-1] == 5
    assert (buckets[1e-6], buckets[2e-6], buckets[0.002], buckets[100.0]) == (1, 3, 3, 4)
    assert buckets[0.005] == 4
    assert value(samples, "penstock_latency_seconds_count", stage="handling") == 5
    assert value(samples, "penstock_latency_seconds_sum", stage="handling") == pytest.approx(200.0020035)
    median = value(samples, "penstock_latency_quantile_seconds", stage="handling", quantile="0.5")
    assert median == pytest.approx(1.5e-6, rel=0.01)


def test_help_and_type_come_once_before_their_series(run_dir: Path):
    lines = render(run_dir).decode().splitlines()
    types = [line.split(" ")[2] for line in lines if line.startswith("# TYPE")]
    assert len(types) == len(set(types))
    seen = ""
    for line in lines:
        if line.startswith("# TYPE"):
            seen = line.split(" ")[2]
        elif not line.startswith("#"):
            assert LINE.fullmatch(line)[1].startswith(seen)  # type: ignore[index]


def test_a_run_without_a_kernel_is_down_and_says_why(tmp_path: Path):
    text = render(tmp_path).decode()
    assert text.splitlines()[0].startswith("# [Errno 2] No such file or directory")
    assert [v for (name, _), v in parsed(text.encode()).items() if name == "penstock_up"] == [0]
    (tmp_path / "cells").write_bytes(b"other")
    assert "was written by another version" in render(tmp_path).decode()


def test_the_last_values_of_a_kernel_that_is_gone_stand_under_down(run_dir: Path):
    asked: list[int] = []
    samples = parsed(render(run_dir, alive=lambda pid: bool(asked.append(pid))))
    assert asked == [os.getpid()]
    assert value(samples, "penstock_up") == 0 and value(samples, "penstock_events_total") == 12


def test_the_declared_names_are_what_prometheus_takes():
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names))
    for metric in METRICS:
        assert re.fullmatch(r"penstock_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert (metric.unit == "s") == ("_seconds" in metric.name), metric.name
        assert (metric.unit == "By") == ("_bytes" in metric.name), metric.name
        assert "le" not in metric.labels and "quantile" not in metric.labels and "instance_name" not in metric.labels


def test_the_endpoint_answers_over_http(run_dir: Path, capsys: pytest.CaptureFixture[str]):
    server = _serve(run_dir, "127.0.0.1:0")
    try:
        url = capsys.readouterr().out.split()[-1]
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert answer.headers["Content-Type"] == CONTENT_TYPE
            assert value(parsed(answer.read()), "penstock_events_total") == 12
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(url.replace("/metrics", "/"), timeout=10)
    finally:
        server.shutdown()
        server.server_close()
    assert all(thread.name != "metrics" or not thread.is_alive() for thread in threading.enumerate())


def test_reading_the_cells_brings_neither_opentelemetry_nor_the_kernel():
    code = "import sys, penstock_kernel.telemetry as t; print([m for m in sys.modules if m.startswith(('opentelemetry', 'hdrh', 'penstock_kernel.kernel', 'duckdb'))])"  # noqa: E501 - one program
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
