"""A lifecycle hook: leaves a line in the run's folder when the run is over."""

from __future__ import annotations

from pathlib import Path

from penstock_sdk.events import ExecutionReport, ReportKind
from penstock_sdk.hooks import hookimpl
from penstock_sdk.plugin import Operations

__all__ = ["RunHook"]


class RunHook(Operations):
    """Counts fills while the run goes on; hooks are for what is around it."""

    def on_execution_report(self, report: ExecutionReport) -> None:
        """Count a fill in the state, which a restart restores."""
        if report.kind == ReportKind.FILL:
            self.ctx.state["fills"] = self.ctx.state.get("fills", 0) + 1

    @hookimpl
    def penstock_run_ended(self, run_dir: Path, status: str) -> None:
        """Write ``ended.txt``. The journal is closed, so nothing that is done here is part of the run."""
        (run_dir / "ended.txt").write_text(f"{status}, {self.ctx.state.get('fills', 0)} fills\n", encoding="utf-8")
