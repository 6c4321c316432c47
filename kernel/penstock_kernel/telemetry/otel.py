"""The cells and the spans as OpenTelemetry takes them: observable instruments, histograms, finished spans.

Only the exporting process imports this. Sending over OTLP wants the package ``opentelemetry-exporter-otlp-proto-http``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from penstock_kernel.telemetry import metrics
from penstock_kernel.telemetry.cells import CellsError, CellsReader, Series
from penstock_kernel.telemetry.histogram import percentile_ns, shares_up_to
from penstock_kernel.telemetry.metrics import BOUNDS_NS, METRICS
from penstock_kernel.telemetry.spans import Span

__all__ = [
    "CellsSource",
    "WithHistograms",
    "export_spans",
    "meter_provider",
    "otel_name",
    "otlp_metric_reader",
    "otlp_span_exporter",
    "readable",
    "resource_of",
]

_FRESH_NS = 500_000_000
_SCOPE = InstrumentationScope("penstock")


def otel_name(metric: metrics.Metric) -> str:
    """Return a metric's name in OpenTelemetry's manner: dotted, without kind and unit, which it has of its own."""
    name = metric.name.removeprefix("penstock_").removesuffix("_total")
    return "penstock." + name.removesuffix("_seconds").removesuffix("_bytes")


def resource_of(run_dir: Path, version: str = "") -> Resource:
    """Return who speaks: service, instance, version of the kernel."""
    from importlib.metadata import version as version_of

    return Resource(
        {
            "service.name": "penstock", "service.instance.id": run_dir.resolve().name,
            "service.version": version or version_of("penstock-kernel"), "penstock.run_dir": str(run_dir.resolve()),
        }
    )  # fmt: skip


class CellsSource:
    """Reads a run's cells at most twice a second, so that all instruments of one export tell of one moment."""

    def __init__(self, run_dir: Path, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._path, self._clock_ns = run_dir / "cells", clock_ns
        self._reader: CellsReader | None = None
        self._read_ns = -_FRESH_NS
        self._by_name: dict[str, list[Series]] = {}

    def series(self, name: str) -> list[Series]:
        """Return a metric's series; the last ones that could be read while the kernel is away."""
        if self._clock_ns() - self._read_ns >= _FRESH_NS:
            self._read_ns = self._clock_ns()
            self._read()
        return self._by_name.get(name, [])

    def _read(self) -> None:
        try:
            if self._reader is not None and self._reader.replaced:
                self._reader.close()
                self._reader = None
            self._reader = self._reader or CellsReader(self._path)
            series = self._reader.read()
        except (OSError, CellsError):
            return
        self._by_name = {}
        for one in series:
            self._by_name.setdefault(one.metric.name, []).append(one)

    def close(self) -> None:
        """Let go of the file."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def meter_provider(source: CellsSource, resource: Resource, readers: Sequence[Any]) -> MeterProvider:
    """Return a provider whose observable instruments read the cells when a reader collects; histograms are not there.

    OpenTelemetry has no histogram that is observed: `WithHistograms` adds them on the way out.
    """
    provider = MeterProvider(readers, resource=resource, shutdown_on_exit=False)
    meter = provider.get_meter(_SCOPE.name)
    for metric in METRICS:
        if metric.kind == "counter":
            meter.create_observable_counter(otel_name(metric), [_observe(source, metric)], metric.unit, metric.help)
        elif metric.kind == "gauge":
            meter.create_observable_gauge(otel_name(metric), [_observe(source, metric)], metric.unit, metric.help)
    return provider


def _observe(source: CellsSource, metric: metrics.Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        for one in source.series(metric.name):
            value = one.value if metric.per_unit == 1 else one.value / metric.per_unit
            yield Observation(value, dict(zip(metric.labels, one.labels, strict=True)))

    return observe


class WithHistograms(MetricExporter):
    """Hands on what an exporter is given, with the cells' histograms added."""

    def __init__(
        self, exporter: MetricExporter, source: CellsSource, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        super().__init__()
        self._exporter, self._source, self._clock_ns = exporter, source, clock_ns

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **more: Any) -> MetricExportResult:
        """Send everything; return what the exporter says."""
        added = []
        for of in metrics_data.resource_metrics:
            # Of two scopes of the same name the encoder keeps one: all go into one.
            metrics = [metric for scope in of.scope_metrics for metric in scope.metrics]
            scope = ScopeMetrics(_SCOPE, [*metrics, *self._histograms()], "")
            added.append(ResourceMetrics(of.resource, [scope], of.schema_url))
        return self._exporter.export(MetricsData(added), timeout_millis=timeout_millis, **more)

    def _histograms(self) -> list[Metric]:
        found = []
        for metric in METRICS:
            if metric.kind == "histogram":
                points = [self._point(one) for one in self._source.series(metric.name)]
                data = Histogram(points, AggregationTemporality.CUMULATIVE)
                found.append(Metric(otel_name(metric), metric.help, metric.unit, data))
        return found

    def _point(self, one: Series) -> HistogramDataPoint:
        assert one.counts is not None
        per_unit = one.metric.per_unit
        below = shares_up_to(one.counts, BOUNDS_NS)
        count = int(one.counts.sum())
        buckets = [after - before for before, after in zip([0, *below], [*below, count], strict=True)]
        start = self._source.series("penstock_start_timestamp_seconds")
        return HistogramDataPoint(
            attributes=dict(zip(one.metric.labels, one.labels, strict=True)),
            start_time_unix_nano=start[0].value if start else 0, time_unix_nano=self._clock_ns(), count=count,
            sum=one.value / per_unit, bucket_counts=buckets, explicit_bounds=[bound / per_unit for bound in BOUNDS_NS],
            min=percentile_ns(one.counts, 0) / per_unit, max=percentile_ns(one.counts, 100) / per_unit,
        )  # fmt: skip

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Have the exporter send what it holds."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **more: Any) -> None:
        """End the exporter."""
        self._exporter.shutdown(timeout_millis=timeout_millis, **more)


def otlp_metric_reader(source: CellsSource, endpoint: str, every_s: float) -> PeriodicExportingMetricReader:
    """Return a reader that sends all metrics to a collector every so many seconds."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    exporter = WithHistograms(OTLPMetricExporter(endpoint.rstrip("/") + "/v1/metrics", timeout=5), source)
    return PeriodicExportingMetricReader(exporter, export_interval_millis=every_s * 1e3)


def otlp_span_exporter(endpoint: str) -> SpanExporter:
    """Return what sends spans to a collector."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint.rstrip("/") + "/v1/traces", timeout=5)


def readable(span: Span, resource: Resource) -> ReadableSpan:
    """Return a span as OpenTelemetry's exporters take it."""
    return ReadableSpan(
        span.name, _context(span.trace_id, span.span_id),
        parent=_context(span.trace_id, span.parent_id) if span.parent_id else None, resource=resource,
        attributes={f"penstock.{key}": value for key, value in span.attributes.items()},
        links=[Link(_context(*link)) for link in span.links],
        status=Status(StatusCode.OK if span.ok else StatusCode.ERROR), start_time=span.start_ns, end_time=span.end_ns,
        instrumentation_scope=_SCOPE,
    )  # fmt: skip


def _context(trace: str, span: str) -> SpanContext:
    return SpanContext(int(trace, 16), int(span, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def export_spans(exporter: SpanExporter, resource: Resource, spans: list[Span]) -> bool:
    """Send spans; return whether they were taken."""
    return exporter.export([readable(span, resource) for span in spans]) is SpanExportResult.SUCCESS
