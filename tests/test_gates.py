"""Every gate of three simulated delivery days fires, once and on time: 288 quarter-hours, 92 and 100 as clocks change.

A real run of the kernel, counted from the SessionState records of its journal.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, timedelta
from pathlib import Path

import pytest
from day_runs import DayRun

from penstock_kernel.run import Run, RunOptions
from penstock_sdk.energy import delivery_day, quarter_hours
from penstock_sdk.events import ListingDefinition, PluginFault, SessionState, SessionStatus

MARKET = """
[run]
seed = 7
zone = "{zone}"
delivery_day = "{first}"
days = {days}
runs_dir = "{runs}"
[plugins.exchange]
use = "exchange"
config = {{ products = ["QH"], background = false }}
[plugins.risk]
use = "risk_limits"
"""


def simulated(folder: Path, first: str, days: int, zone: str = "DE-LU") -> DayRun:
    """Run the market of some days to its end, without traders."""
    path = folder / "plugins.toml"
    path.write_text(MARKET.format(zone=zone, first=first, days=days, runs=folder / "runs"))
    run = Run.start(path, RunOptions(lake=False))
    run.go()
    assert run.close().status == "complete"
    return DayRun(run.dir)


def gates_fired(run: DayRun) -> Counter[date]:
    """Return how many gates closed by delivery day, having seen that each did so once, and at its time."""
    fired: dict[int, list[int]] = defaultdict(list)
    for entry in run.of(SessionState):
        if entry.record.status == SessionStatus.CLOSED:
            fired[entry.record.listing_id].append(entry.at_ns)
    listings = run.records(ListingDefinition)
    assert fired == {listing.listing_id: [listing.gate_closure_ns] for listing in listings}
    assert run.records(PluginFault) == []
    return Counter(date.fromisoformat(listing.name.split()[3]) for listing in listings)


@pytest.mark.parametrize(
    ("first", "counts"),
    [
        ("2026-03-10", [96, 96, 96]),
        ("2026-03-28", [96, 92, 96]),
        ("2026-10-24", [96, 100, 96]),
    ],
)
def test_three_days_fire_every_gate(tmp_path: Path, first: str, counts: list[int]) -> None:
    days = [date.fromisoformat(first) + timedelta(days=nth) for nth in range(3)]
    fired = gates_fired(simulated(tmp_path, first, 3))
    assert fired == dict(zip(days, counts, strict=True))
    assert fired.total() == {"2026-03-10": 288, "2026-03-28": 284, "2026-10-24": 292}[first]


@pytest.mark.parametrize(("zone", "lead_minutes"), [("DE-LU", 5), ("GB", 0), ("PL", 60)])
def test_gates_close_as_long_before_delivery_as_the_zone_has_it(tmp_path: Path, zone: str, lead_minutes: int) -> None:
    day = date(2026, 3, 29)
    run = simulated(tmp_path, day.isoformat(), 1, zone)
    assert gates_fired(run) == {day: 92}
    closed = sorted(entry.at_ns for entry in run.of(SessionState) if entry.record.status == SessionStatus.CLOSED)
    lead_ns = lead_minutes * 60_000_000_000
    assert closed == [quarter.start_ns - lead_ns for quarter in quarter_hours(zone, day)]
    assert run.entries[-1].at_ns == delivery_day(zone, day).end_ns
