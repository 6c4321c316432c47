"""Zone, names of limits and a missing risk check are told with their line, before anything runs."""

from __future__ import annotations

from pathlib import Path

from penstock_kernel.deployment import load_deployment
from penstock_kernel.market_check import market_problems

TEXT = """[run]
zone = "DE-LX"
[limits]
qty_max = 3
[plugins.exchange]
use = "exchange"
[plugins.mm]
use = "market_maker"
[plugins.mm.limits]
position_max_lot = 5
orders_per_second_max = 10
"""


def test_each_fault_has_its_line_and_a_way_out(tmp_path: Path) -> None:
    path = tmp_path / "plugins.toml"
    path.write_text(TEXT)
    told = {(p.line, p.path, p.severity): p.message for p in market_problems(load_deployment(path))}
    assert told[2, "run.zone", "error"] == 'unknown bidding zone "DE-LX"; did you mean DE-LU?'
    assert told[4, "limits.qty_max", "error"] == "unknown limit; did you mean qty_max_lots?"
    assert told[10, "plugins.mm.limits.position_max_lot", "error"] == "unknown limit; did you mean position_max_lots?"
    assert [key[2] for key in told if key[1] == "plugins"] == ["warning"]
    assert len(told) == 4


def test_a_sound_deployment_has_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "plugins.toml"
    path.write_text('[plugins.exchange]\nuse = "exchange"\n[limits]\nqty_max_lots = 3\n')
    assert market_problems(load_deployment(path)) == []
