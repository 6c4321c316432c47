"""The table ``[telemetry]`` of a deployment: what is measured, and where it goes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from penstock_sdk.typed import Finding, shown_value

__all__ = ["TelemetryTable", "telemetry_findings", "wants_exporter"]


class TelemetryTable(Struct, frozen=True):
    """The ``[telemetry]`` table. Nothing in it changes what a run does: the digest leaves it out."""

    handlers_one_in: Annotated[int, Meta(ge=0, le=1_000_000)] = 32
    """One input in so many has its handlers timed, of short ones four times fewer; 0 none."""
    publish_ms: Annotated[int, Meta(ge=10, le=60_000)] = 200
    """How often the kernel copies its counters to the cells file."""
    log_file_mb: Annotated[int, Meta(ge=1, le=4_096)] = 64
    """A new log file begins before one grows beyond so many MiB."""
    log_files: Annotated[int, Meta(ge=0, le=1_000)] = 4
    """Full log files that are kept beside the newest."""
    spans: Literal["off", "file", "otlp"] = "off"
    """Where spans of orders and operators' actions go: nowhere, ``spans.jsonl`` in the run's folder, or a collector."""
    orders_sampled: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """Which share of the orders has a span, chosen by order id."""
    otlp_endpoint: str | None = None
    """Base address of an OpenTelemetry collector, as ``http://127.0.0.1:4318``; None sends nothing."""
    otlp_every_s: Annotated[int, Meta(ge=1, le=3_600)] = 15
    """How often metrics are sent there."""


def wants_exporter(settings: TelemetryTable) -> bool:
    """Return whether anything is to be sent or kept that the kernel's own process does not write."""
    return settings.spans != "off" or settings.otlp_endpoint is not None


def telemetry_findings(tree: dict[str, Any]) -> list[Finding]:
    """Return what is wrong with the table beyond the types of its values."""
    table = tree.get("telemetry")
    if not isinstance(table, dict):
        return []
    endpoint = table.get("otlp_endpoint")
    if isinstance(endpoint, str) and not endpoint.startswith(("http://", "https://")):
        text = f'expected an address like "http://127.0.0.1:4318", met {shown_value(endpoint)}'
        return [Finding(("telemetry", "otlp_endpoint"), text)]
    if table.get("spans") == "otlp" and endpoint is None:
        text = 'spans = "otlp" wants an otlp_endpoint, met none'
        return [Finding(("telemetry", "spans"), text, 'otlp_endpoint = "http://127.0.0.1:4318", or spans = "file"')]
    return []
