"""Zone, names of limits and a missing risk check are told with their line, beside every other fault, each once."""

from __future__ import annotations

from pathlib import Path

from penstock_kernel.boot import run_times
from penstock_kernel.deployment import load_deployment
from penstock_kernel.market_check import check_deployment, market_problems
from penstock_kernel.problems import Problem

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


def problems(folder: Path, text: str) -> list[Problem]:
    """Return what every check says of a deployment, by line."""
    path = folder / "plugins.toml"
    path.write_text(text)
    return check_deployment(path, {"ZONE": "hush"})[1]


def places(found: list[Problem]) -> list[tuple[int, str, str]]:
    return [(problem.line, problem.path, problem.severity) for problem in found]


EVERYTHING = """[run]
sede = 3
zone = "DE-LX"
[limits]
qty_max = 3
[plugins.exchange]
use = "exchang"
[plugins.mm]
use = "market_maker"
bok = "power"
config = { size_lots = 0, half_spread_tick = 3, trade_weight = 7 }
[plugins.mm.limits]
position_max = 5
kill = "no"
"""


def test_a_fault_of_one_sort_hides_none_of_another(tmp_path: Path) -> None:
    assert places(problems(tmp_path, EVERYTHING)) == [
        (2, "run.sede", "error"),
        (3, "run.zone", "error"),
        (5, "limits.qty_max", "error"),
        (7, "plugins.exchange.use", "error"),
        (10, "plugins.mm.bok", "error"),
        (11, "plugins.mm.config.size_lots", "error"),
        (11, "plugins.mm.config.half_spread_tick", "error"),
        (11, "plugins.mm.config.trade_weight", "error"),
        (13, "plugins.mm.limits.position_max", "error"),
        (14, "plugins.mm.limits.kill", "error"),
    ]


def test_what_is_told_twice_is_shown_once_and_a_reference_as_written(tmp_path: Path) -> None:
    assert places(problems(tmp_path, "")) == [(1, "plugins", "warning")]
    (told,) = problems(tmp_path, '[run]\nzone = "${ZONE}"\n[plugins.x]\nuse = "exchange"\n')
    assert told.message == 'unknown bidding zone "${ZONE}"'


MAKER = '[plugins.exchange]\nuse = "exchange"\n[plugins.mm]\nuse = "market_maker"\n'


def test_a_risk_check_that_is_switched_off_is_named_with_its_line(tmp_path: Path) -> None:
    off = '[plugins.risk]\nuse = "risk_limits"\nenabled = false\n'
    (told,) = problems(tmp_path, MAKER + off)
    assert str(told).endswith(
        "plugins.toml:7: warning: plugins.risk.enabled: no other plugin of kind risk is enabled, "
        "so every order will be refused; write enabled = true"
    )
    assert problems(tmp_path, MAKER + off + '[plugins.risk_2]\nuse = "risk_limits"\n') == []
    assert places(problems(tmp_path, MAKER)) == [(1, "plugins", "warning")]


def test_a_risk_check_that_cannot_be_read_is_not_called_missing(tmp_path: Path) -> None:
    assert places(problems(tmp_path, MAKER + '[plugins.risk]\nuse = "risk_limit"\n')) == [
        (6, "plugins.risk.use", "error")
    ]
    assert places(problems(tmp_path, 'include = ["risk.toml"]\n' + MAKER)) == [(1, "include", "error")]


def test_the_line_is_that_of_the_file_that_rules(tmp_path: Path) -> None:
    (tmp_path / "common.toml").write_text('\n\n[run]\nzone = "DE-LY"\n[limits]\nqty_max = 2\n')
    text = 'include = ["common.toml"]\n[run]\nzone = "DE-LX"\n[plugins.exchange]\nuse = "exchange"\n'
    told = [(Path(p.file).name, p.line, p.path) for p in problems(tmp_path, text)]
    assert told == [("plugins.toml", 3, "run.zone"), ("common.toml", 6, "limits.qty_max")]


OUT_OF_RANGE = """[plugins.exchange]
use = "exchange"
[plugins.exchange.config]
half_spread = inf
price_start = nan
products = []
delivery_day = "10.3.2026"
[plugins.risk]
use = "risk_limits"
[plugins.risk.config]
qty_max_lots = -1
reference_age_s_max = 0
listings_max = 0
[plugins.fat_finger]
use = "fat_finger"
[plugins.fat_finger.config]
cross_eur_mwh_max = 0
cross_ticks_max = -1
[plugins.mm]
use = "market_maker"
[plugins.mm.config]
size_lots = 0
smoothing_s = nan
trade_weight = 1.5
[plugins.reversion]
use = "mean_reversion"
[plugins.reversion.config]
samples_min = 0
window_s = 7200
entry_sigmas = -1
[plugins.portfolio]
use = "portfolio"
[plugins.portfolio.config]
pnl_period_s = 0
fee_micro_per_mwh = -1_000_000_000_000
fx_age_h_max = 0
[plugins.audit]
use = "audit"
[plugins.audit.config]
block_lines = 0
block_minutes_max = -1
"""


def test_every_value_out_of_range_is_told_with_its_key_and_line(tmp_path: Path) -> None:
    wrong = [at for at, line in enumerate(OUT_OF_RANGE.splitlines(), 1) if line[0] != "[" and line[:4] != "use "]
    found = problems(tmp_path, OUT_OF_RANGE)
    assert [problem.line for problem in found] == wrong
    lines = OUT_OF_RANGE.splitlines()
    assert all(p.path.rpartition(".")[2] == lines[p.line - 1].split(" =")[0] for p in found)
    assert all(p.message.startswith("expected ") for p in found)
    assert [p.message for p in found if p.path.endswith((".size_lots", ".delivery_day", ".window_s"))] == [
        'expected string like "2026-03-10", met "10.3.2026"',
        "expected int >= 1, met 0",
        "expected float <= 1800.0, met 7200",
    ]


def test_two_values_that_do_not_go_together_are_told_at_one_of_them(tmp_path: Path) -> None:
    text = MAKER + 'config.size_lots = 300\n[plugins.risk]\nuse = "risk_limits"\n'
    (told,) = problems(tmp_path, text)
    assert (told.line, told.path) == (5, "plugins.mm.config.size_lots")
    assert told.message.startswith("met 300, wanted position_limit_lots = 40 or less")


def timed(tmp_path: Path, start: str, end: str = "2026-12-01T00:00:00") -> list[str]:
    """Return what a check says of a run from *start* to *end* in Germany."""
    path = tmp_path / "plugins.toml"
    path.write_text(f'[run]\nstart = {start}\nend = {end}\n[plugins.exchange]\nuse = "exchange"\n')
    return [str(problem) for problem in market_problems(load_deployment(path))]


def test_a_start_that_the_clock_shows_twice_is_refused_with_both_that_would_do(tmp_path: Path) -> None:
    (said,) = timed(tmp_path, "2026-10-25T02:30:00")
    assert said.endswith(
        "plugins.toml:2: run.start: 2026-10-25 02:30 happens twice in Europe/Berlin: the clock goes back that day; "
        "write 2026-10-25T02:30:00+02:00 or 2026-10-25T02:30:00+01:00"
    )
    starts = {}
    for offset in ("+02:00", "+01:00"):
        assert timed(tmp_path, f"2026-10-25T02:30:00{offset}") == []
        starts[offset] = run_times(load_deployment(tmp_path / "plugins.toml"), 0)[1]
    assert starts == {"+02:00": 1_792_888_200 * 10**9, "+01:00": 1_792_891_800 * 10**9}


def test_a_time_that_the_clock_skips_is_refused_by_the_check(tmp_path: Path) -> None:
    (said,) = timed(tmp_path, "2026-03-10T06:00:00", "2026-03-29T02:30:00")
    assert said.endswith(
        "plugins.toml:3: run.end: 2026-03-29 02:30 does not exist in Europe/Berlin: the clock skips it that day; "
        "write a time that it shows, such as 01:30 or 03:30"
    )


def test_an_end_with_an_offset_is_held_against_a_local_start(tmp_path: Path) -> None:
    (said,) = timed(tmp_path, "2026-10-25T06:00:00", "2026-10-25T06:30:00+02:00")
    assert "run.end: 2026-10-25 06:30:00+02:00 is not after start 2026-10-25 06:00:00; swap them" in said
    assert timed(tmp_path, "2026-10-25T06:00:00", "2026-10-25T06:30:00+01:00") == []
