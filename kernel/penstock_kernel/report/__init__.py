"""The report of a run: one HTML file with its charts inside, that opens without a network."""

from __future__ import annotations

from pathlib import Path

from penstock_kernel.report.charts import panels
from penstock_kernel.report.data import load
from penstock_kernel.report.page import render
from penstock_kernel.runs import RunPaths, write_atomically
from penstock_kernel.summary import Summary, summarise

__all__ = ["write_report"]


def write_report(run_dir: Path, summary: Summary | None = None) -> Path:
    """Write ``report.html`` into a run's folder and return its path.

    Args:
        run_dir: the run; it may be live, then the report shows it so far.
        summary: the run in numbers, when it is already known.

    Raises:
        LakeError: the run has no data yet.
        RunError: it has no ``run.json``.

    Cost: about a second for a day of a million events.
    """
    summary = summary or summarise(run_dir)
    data = load(run_dir)
    paths = RunPaths(run_dir)
    deployment = paths.deployment.read_text(encoding="utf-8") if paths.deployment.exists() else ""
    page = render(summary, data, panels(data, summary), deployment)
    write_atomically(paths.report, page.encode())
    return paths.report
