"""Coming back after a crash: scan the journal, rebuild through the handlers, or start from a snapshot."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from penstock_kernel.bench.rounds import machine
from penstock_kernel.run import Run, RunOptions
from penstock_sdk.wire.segment import scan

__all__ = ["bench_rebuild"]

_DEPLOYMENT = """
[run]
delivery_day = "2026-03-10"
runs_dir = "{folder}/runs"
snapshot_every_events = 20_000
[plugins.exchange]
use = "exchange"
[plugins.prices]
use = "synthetic_prices"
[plugins.risk]
use = "risk_limits"
[plugins.mm]
use = "market_maker"
[plugins.portfolio]
use = "portfolio"
"""


def bench_rebuild(*, hours: float = 10.0) -> dict[str, Any]:
    """Return seconds and events a second of each way back for a run of so many market hours; digest of the journal."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "plugins.toml"
        path.write_text(_DEPLOYMENT.format(folder=name))
        begun = time.perf_counter()
        run = Run.start(path, RunOptions(lake=False))
        rows.append(_row("start-up: build and start the plugins", 0, time.perf_counter() - begun))
        events, digest = _run_and_crash(run, hours)
        begun = time.perf_counter()
        scan(run.dir / "journal")
        rows.append(_row("scan", events, time.perf_counter() - begun))
        for kind in ("from a snapshot", "from the beginning"):
            begun = time.perf_counter()
            again = Run.resume(run.dir, RunOptions(lake=False))
            rows.append(_row(f"rebuild {kind}", events, time.perf_counter() - begun))
            assert again.kernel.cascade.seq == events
            again.close(failed="measured")
            shutil.rmtree(run.dir / "snapshots", ignore_errors=True)
    return {"bench": "rebuild", **machine(), "rows": rows, "digest": digest}


def _run_and_crash(run: Run, hours: float) -> tuple[int, str]:
    """Run so many hours of the market, then leave the journal as a crash does; return events and digest."""
    kernel = run.kernel
    kernel.run_simulated(kernel.moment.now_ns + round(hours * 3_600e9))
    kernel.write()
    assert kernel.journal is not None
    digest = kernel.journal.digest
    kernel.journal.abort()
    kernel.tasks.close()
    run._log.close()
    return kernel.cascade.seq, digest


def _row(name: str, events: int, wall_s: float) -> dict[str, Any]:
    rate = round(events / wall_s) if events else None
    return {"name": name, "events": events, "wall_s": round(wall_s, 3), "events_per_s": rate}
