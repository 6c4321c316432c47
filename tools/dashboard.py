"""Make what follows from the table of metrics: the Grafana dashboard, and the table in docs/telemetry.md.

    python tools/dashboard.py [--check]

With ``--check`` nothing is written; the exit status is 1 when a file is not what the metrics say.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penstock_kernel.telemetry.metrics import METRICS, Metric

__all__ = ["dashboard", "main", "metrics_table"]

ROOT = Path(__file__).resolve().parent.parent
DASHBOARD = ROOT / "deploy" / "grafana" / "penstock.json"
PAGE = ROOT / "docs" / "telemetry.md"
HEADING = "## Metrics\n"
ROWS = {
    "health": "Health", "latency": "Latency", "orders": "Orders and refusals", "handlers": "Time per handler",
    "journal": "Journal and disk", "alerts": "Alerts",
}  # fmt: skip
UNITS = {"s": "s", "By": "bytes"}
OF_INSTANCE = '{instance_name=~"$instance"}'
SOURCE = {"type": "prometheus", "uid": "${source}"}
WIDTH, HEIGHT, PER_LINE = 8, 7, 3


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row, title in ROWS.items():
        panels.append({"id": len(panels) + 1, "type": "row", "title": title, "collapsed": False, "panels": [],
                       "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})  # fmt: skip
        y += 1
        members = list(_panels(row))
        for place, panel in enumerate(members):
            at = {"x": place % PER_LINE * WIDTH, "y": y + place // PER_LINE * HEIGHT, "w": WIDTH, "h": HEIGHT}
            panels.append({"id": len(panels) + 1, "gridPos": at, "datasource": SOURCE, **panel})
        y += -(-len(members) // PER_LINE) * HEIGHT
    return {
        "uid": "penstock", "title": "Penstock", "tags": ["penstock"], "schemaVersion": 39, "version": 1,
        "editable": True, "graphTooltip": 1, "refresh": "10s", "timezone": "utc",
        "time": {"from": "now-1h", "to": "now"}, "annotations": {"list": []}, "templating": {"list": _variables()},
        "panels": panels,
    }  # fmt: skip


def _variables() -> list[dict[str, Any]]:
    query = {"query": "label_values(penstock_up, instance_name)", "refId": "instances"}
    return [
        {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus", "current": {}},
        {"name": "instance", "label": "Instance", "type": "query", "datasource": SOURCE, "query": query, "refresh": 2,
         "multi": True, "includeAll": True, "current": {}},
    ]  # fmt: skip


def _panels(row: str) -> Iterator[dict[str, Any]]:
    if row == "health":
        yield _panel("Up", "stat", "short", [("penstock_up" + OF_INSTANCE, "{{instance_name}}")], "1 while it runs")
    for metric in METRICS:
        if metric.row == row:
            yield from _panels_of(metric)


def _panels_of(metric: Metric) -> Iterator[dict[str, Any]]:
    name, unit = metric.name + OF_INSTANCE, UNITS.get(metric.unit, "short")
    title = metric.name.removeprefix("penstock_").removesuffix("_total").replace("_", " ")
    legend = " ".join(["{{instance_name}}", *(f"{{{{{label}}}}}" for label in metric.labels)])
    if metric.kind == "histogram":
        by = ", ".join(("le", *metric.labels))
        buckets = f"sum by ({by}) (rate({metric.name}_bucket{OF_INSTANCE}[$__rate_interval]))"
        for quantile in (0.5, 0.99, 0.999):
            expr = f"histogram_quantile({quantile}, {buckets})"
            series = " ".join(f"{{{{{label}}}}}" for label in metric.labels)
            yield _panel(f"{title}, p{100 * quantile:g}", "timeseries", unit, [(expr, series)], metric.help)
        heat = f'sum by (le) (rate({metric.name}_bucket{{instance_name=~"$instance",stage="tick_to_order"}}'
        yield _panel("tick to order, all", "heatmap", unit, [(heat + "[$__rate_interval]))", "{{le}}")], metric.help)
    elif metric.kind == "counter":
        expr = f"rate({name}[$__rate_interval])"
        expr = f"topk(15, {expr})" if len(metric.labels) > 1 else expr
        per = "percentunit" if metric.unit == "s" else "Bps" if unit == "bytes" else "cps"
        yield _panel(f"{title} a second", "timeseries", per, [(expr, legend)], metric.help)
    elif metric.name == "penstock_run_timestamp_seconds":
        yield _panel("run time", "stat", "dateTimeAsIso", [(f"1000 * {name}", legend)], metric.help)
    elif metric.name.endswith("_timestamp_seconds"):
        title = title.removesuffix(" timestamp seconds")
        yield _panel(f"{title}, ago", "stat", "s", [(f"time() - {name}", legend)], metric.help)
    else:
        yield _panel(title, "timeseries", unit, [(name, legend)], metric.help)


def _panel(title: str, kind: str, unit: str, queries: list[tuple[str, str]], said: str) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + place), "datasource": SOURCE, "expr": expr, "legendFormat": legend,
         **({"format": "heatmap"} if kind == "heatmap" else {})}
        for place, (expr, legend) in enumerate(queries)
    ]  # fmt: skip
    panel: dict[str, Any] = {"type": kind, "title": title, "description": said, "targets": targets}
    if kind == "heatmap":
        return panel | {"options": {"calculate": False, "yAxis": {"unit": unit}, "color": {"mode": "scheme"}}}
    custom = {"lineWidth": 1, "fillOpacity": 0, "showPoints": "never"} if kind == "timeseries" else {}
    options = {"legend": {"displayMode": "list", "placement": "bottom"}} if kind == "timeseries" else {}
    return panel | {"fieldConfig": {"defaults": {"unit": unit, "custom": custom}, "overrides": []}, "options": options}


def metrics_table() -> str:
    """Return the table of docs/telemetry.md: every metric with kind, labels and meaning."""
    lines = ["| Metric | Kind | Labels | Is |", "|---|---|---|---|"]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |")
    return "\n".join(lines) + "\n"


def page_with_table(page: str) -> str:
    """Return the page with the table in place of what stands under its heading Metrics."""
    before, heading, rest = page.partition(HEADING)
    if not heading:
        raise SystemExit(f"{PAGE}: has no heading {HEADING.strip()!r}, under which the table stands")
    introduction, _, behind = rest.partition("\n|")
    after = behind.partition("\n\n")[2]
    return f"{before}{heading}{introduction}\n{metrics_table()}\n{after}"


def main() -> int:
    """Write both files, or check them; return the exit status."""
    texts = {
        DASHBOARD: json.dumps(dashboard(), indent=1) + "\n",
        PAGE: page_with_table(PAGE.read_text(encoding="utf-8")),
    }
    status = 0
    for path, text in texts.items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if "--check" in sys.argv[1:]:
            print(f"{path}: is not what the metrics say; run python tools/dashboard.py")
            status = 1
        else:
            path.write_text(text, encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main())
