"""What OpenTelemetry is given: instruments that read the cells, histograms, spans; decoded from the wire."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from penstock_kernel.telemetry import otel
from penstock_kernel.telemetry.cells import CellsWriter
from penstock_kernel.telemetry.exporter import Exporter
from penstock_kernel.telemetry.histogram import Histogram
from penstock_kernel.telemetry.metrics import BOUNDS_NS, METRICS
from penstock_kernel.telemetry.settings import TelemetryTable
from penstock_kernel.telemetry.spans import Span

STARTED_NS = 1_700_000_000_000_000_000
SPAN = Span(
    name="order 17", trace_id=f"{5:032x}", span_id=f"{6:016x}", parent_id=f"{7:016x}", start_ns=STARTED_NS,
    end_ns=STARTED_NS + 9, ok=False, attributes={"qty_lots": 3, "listing": "T1"}, links=[(f"{8:032x}", f"{9:016x}")],
)  # fmt: skip


def publish(folder: Path, events: int = 12) -> None:
    latency = Histogram()
    for value in (500, 1_500, 2_000_000):
        latency.record(value)
    writer = CellsWriter(folder / "cells")
    writer.write(
        {
            ("penstock_events_total", ()): events, ("penstock_start_timestamp_seconds", ()): STARTED_NS,
            ("penstock_refused_total", ("mm", "paused")): 2, ("penstock_clock_lag_seconds", ()): 250_000_000,
        },
        {("penstock_latency_seconds", ("handling",)): latency},
    )  # fmt: skip
    writer.close()


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "desk-de"
    (folder / "journal").mkdir(parents=True)
    publish(folder)
    return folder


class Collector(ThreadingHTTPServer):
    """Takes what is posted, by path; answers with `status`."""

    daemon_threads = True

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []
        self.came = threading.Event()
        self.status = 200
        collector = self

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.got.append((self.path, body))
                collector.came.set()
                self.send_response(collector.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        super().__init__(("127.0.0.1", 0), Answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def bodies(self, path: str) -> list[bytes]:
        return [body for got, body in self.got if got == path]


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def points(data: Any) -> dict[str, dict[frozenset[tuple[str, Any]], Any]]:
    found: dict[str, dict[frozenset[tuple[str, Any]], Any]] = {}
    for of in data.resource_metrics:
        for scope in of.scope_metrics:
            for metric in scope.metrics:
                by = found.setdefault(metric.name, {})
                by.update({frozenset(point.attributes.items()): point for point in metric.data.data_points})
    return found


def test_instruments_read_the_cells_in_base_units_with_labels(run_dir: Path):
    reader, source = InMemoryMetricReader(), otel.CellsSource(run_dir)
    provider = otel.meter_provider(source, otel.resource_of(run_dir, "1.2"), [reader])
    data = reader.get_metrics_data()
    assert data is not None
    resource = dict(data.resource_metrics[0].resource.attributes)
    assert resource["service.name"] == "penstock" and resource["service.instance.id"] == "desk-de"
    assert resource["service.version"] == "1.2"
    found = points(data)
    assert found["penstock.events"][frozenset()].value == 12
    assert found["penstock.clock_lag"][frozenset()].value == 0.25
    assert found["penstock.refused"][frozenset({("plugin", "mm"), ("reason", "paused")})].value == 2
    assert "penstock.latency" not in found
    provider.shutdown()
    source.close()


def test_a_reader_follows_the_kernel_over_a_restart_and_keeps_the_last_values_between(run_dir: Path):
    now_ns = 10**12
    source = otel.CellsSource(run_dir, lambda: now_ns)

    def events() -> list[int]:
        return [one.value for one in source.series("penstock_events_total")]

    assert events() == [12]
    publish(run_dir, 99)
    assert events() == [12]  # read half a second ago at most: all instruments of one export agree
    now_ns += 10**9
    assert events() == [99]
    (run_dir / "cells").unlink()
    now_ns += 10**9
    assert events() == [99]
    publish(run_dir, 5)
    now_ns += 10**9
    assert events() == [5]
    source.close()


def test_names_are_told_apart_without_kind_and_unit():
    names = [otel.otel_name(metric) for metric in METRICS]
    assert len(names) == len(set(names))
    assert all(name.startswith("penstock.") and not name.endswith(("_total", "_seconds")) for name in names)


def test_metrics_and_histograms_come_to_a_collector(run_dir: Path, collector: Collector):
    exporter = Exporter(run_dir, TelemetryTable(otlp_endpoint=collector.url, otlp_every_s=3_600))
    exporter.close()  # sends the last state
    (body,) = collector.bodies("/v1/metrics")
    request = ExportMetricsServiceRequest.FromString(body)
    (of,) = request.resource_metrics
    assert {a.key: a.value.string_value for a in of.resource.attributes}["service.instance.id"] == "desk-de"
    metrics = {metric.name: metric for scope in of.scope_metrics for metric in scope.metrics}
    assert metrics["penstock.events"].sum.is_monotonic
    assert metrics["penstock.events"].sum.data_points[0].as_int == 12
    assert metrics["penstock.clock_lag"].gauge.data_points[0].as_double == 0.25
    (point,) = metrics["penstock.latency"].histogram.data_points
    assert (point.count, point.start_time_unix_nano) == (3, STARTED_NS)
    assert list(point.explicit_bounds) == [bound / 1e9 for bound in BOUNDS_NS]
    assert len(point.bucket_counts) == len(BOUNDS_NS) + 1 and sum(point.bucket_counts) == 3
    assert list(point.bucket_counts)[:2] == [1, 1]
    assert point.sum == pytest.approx(0.002002)


def test_a_span_comes_to_a_collector_with_its_ids_and_times(run_dir: Path, collector: Collector):
    exporter, resource = otel.otlp_span_exporter(collector.url), otel.resource_of(run_dir)
    assert otel.export_spans(exporter, resource, [SPAN])
    (body,) = collector.bodies("/v1/traces")
    (of,) = ExportTraceServiceRequest.FromString(body).resource_spans
    (span,) = of.scope_spans[0].spans
    assert (span.name, span.trace_id.hex(), span.span_id.hex()) == ("order 17", SPAN.trace_id, SPAN.span_id)
    assert span.parent_span_id.hex() == SPAN.parent_id
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (STARTED_NS, STARTED_NS + 9)
    assert {a.key: a.value.int_value or a.value.string_value for a in span.attributes} == {
        "penstock.qty_lots": 3, "penstock.listing": "T1",
    }  # fmt: skip
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in span.links] == SPAN.links
    assert span.status.code == 2
    exporter.shutdown()


def test_spans_that_a_collector_refuses_are_offered_again(run_dir: Path, collector: Collector):
    exporter, resource = otel.otlp_span_exporter(collector.url), otel.resource_of(run_dir)
    collector.status = 400
    assert not otel.export_spans(exporter, resource, [SPAN])
    collector.status = 200
    assert otel.export_spans(exporter, resource, [SPAN])
    exporter.shutdown()
