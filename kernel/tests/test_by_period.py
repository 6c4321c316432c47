"""Proves that positions and profit by any period and heading add up to the same, to the micro, also on long days."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from penstock_kernel.by_period import BY_PERIOD, BY_PNL, _peak_names, _Zone, pnl_by, positions_by
from penstock_kernel.cli.main import main
from penstock_kernel.lake import Reader, query
from penstock_sdk.energy import EnergyError, hours, market_zone
from penstock_sdk.energy.rules import Table, builtin_rules


@pytest.fixture(scope="module")
def reader(made: Any) -> Any:
    with Reader(made.run_dir) as opened:
        yield opened


@pytest.mark.parametrize("by", BY_PERIOD)
def test_every_period_adds_up_to_what_the_contracts_hold(reader: Any, by: str) -> None:
    held = reader.query("SELECT sum(net_mwh) AS mwh FROM positions_latest").to_pylist()[0]["mwh"]
    found = positions_by(reader, by)
    assert held != 0
    assert sum(line.net_mwh or 0 for line in found) == pytest.approx(held)
    apart = positions_by(reader, by, apart=True)
    assert sum(line.amount for line in apart) == sum(line.amount for line in found)
    for line in found:
        assert line.least_mw <= line.mean_mw + 1e-9 <= line.largest_mw + 2e-9  # type: ignore[operator]


def test_an_hour_is_its_quarter_hours(reader: Any) -> None:
    intervals = positions_by(reader, "interval")
    for line in positions_by(reader, "hour"):
        own = [each for each in intervals if each.period.startswith(line.period[2:15])]
        assert (len(own), sum(each.amount for each in own)) == (line.intervals, line.amount)
        assert line.net_mwh == pytest.approx(sum(each.net_mwh or 0 for each in own))
        assert line.largest_mw == max(each.mean_mw or 0 for each in own)


def test_one_zone_book_or_strategy_can_be_asked_for(reader: Any) -> None:
    with pytest.raises(EnergyError, match="zone met 'FR', which the run does not know; it has DE-LU"):
        positions_by(reader, "all", zone="FR")
    with pytest.raises(EnergyError, match="book met 'nope'"):
        positions_by(reader, "all", book="nope")
    assert positions_by(reader, "all", settlement="cash") == []
    assert positions_by(reader, "day", settlement="physical") == positions_by(reader, "day")
    names = {line.strategy for line in positions_by(reader, "all", apart=True)}
    alone = [positions_by(reader, "all", strategy=name)[0].amount for name in sorted(names)]
    assert sum(alone) == positions_by(reader, "all")[0].amount


@pytest.mark.parametrize("by", [*((name,) for name in BY_PNL), ("strategy", "product"), ("month", "zone", "book")])
def test_profit_by_anything_adds_up_to_the_micro(reader: Any, by: tuple[str, ...]) -> None:
    rows = reader.query(
        "SELECT sum(realised_micro)::BIGINT AS r, sum(unrealised_micro)::BIGINT AS u, sum(fees_micro)::BIGINT AS f "
        "FROM pnl_latest WHERE listing_id <> 0"
    ).to_pylist()[0]
    found = pnl_by(reader, by)
    assert sum(line.realised_micro for line in found) == rows["r"] != 0
    assert sum(line.unrealised_micro for line in found) == rows["u"]
    assert sum(line.fees_micro for line in found) == rows["f"]
    assert all(len(line.of) == len(by) for line in found)


def test_what_cannot_be_told_is_refused(reader: Any) -> None:
    with pytest.raises(EnergyError, match="by met 'fortnight', wanted one of interval, hour"):
        positions_by(reader, "fortnight")
    with pytest.raises(EnergyError, match="by met 'moon'"):
        pnl_by(reader, ("strategy", "moon"))
    with pytest.raises(EnergyError, match="one period of delivery at most"):
        pnl_by(reader, ("day", "month"))


def test_the_commands_print_it(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    runs = ["--runs-dir", str(Path(made.run_dir).parent)]
    assert main(["positions", *runs, "--by", "interval"]) == 0
    table = capsys.readouterr().out
    assert "net MWh" in table and ("more: --csv has all" in table) == (table.count("\n") > 60)
    assert main(["positions", *runs, "--by", "interval", "--csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("zone,period,book,strategy,settlement,net_mwh")
    assert len(lines) == 1 + query(made.run_dir, "SELECT DISTINCT zone, start_ns FROM positions_by_interval").num_rows
    assert main(["pnl", *runs, "--by", "day"]) == 0
    shown = capsys.readouterr().out
    assert "D 2026-03-10" in shown and "EUR" in shown and shown.splitlines()[-1].startswith("all")
    assert main(["pnl", *runs, "--by", "moon"]) == 2
    assert "by met 'moon'" in capsys.readouterr().err


def test_headings_come_in_order_of_time_within_the_others(reader: Any) -> None:
    found = [line.of for line in pnl_by(reader, ("strategy", "day"))]
    assert found == sorted(found)
    assert all(a != b for a, b in itertools.pairwise(found))


def peak_hours(code: str, day: date, rules: Any = None) -> dict[str, int]:
    """Return how many hours of a day fall under which name."""
    place = market_zone(code)
    name_of = _peak_names(rules or builtin_rules(), code, _Zone(place.timezone, place.day_starts_hour))
    return Counter(name_of(hour.start_ns) for hour in hours(place, day))


def test_peak_is_what_the_zone_calls_so() -> None:
    tuesday = date(2026, 3, 10)
    assert peak_hours("DE-LU", tuesday) == {"D 2026-03-10 OFFPEAK": 12, "D 2026-03-10 PEAK": 12}
    assert peak_hours("DE-LU", date(2026, 3, 29)) == {"D 2026-03-29 OFFPEAK": 23}
    names = _peak_names(builtin_rules(), "GB", _Zone("Europe/London", 0))
    found = [names(hour.start_ns).split()[2] for hour in hours("GB", tuesday)]
    assert found == ["OFFPEAK"] * 7 + ["PEAK"] * 12 + ["OFFPEAK"] * 5
    # Where nothing defines a peak there is none: gas is told by its gas day.
    assert peak_hours("TTF", tuesday) == {"D 2026-03-10": 24}
    row = {"code": "PEAK", "zones": ["TTF"], "weekdays": ["Tue"], "hours": ["07:00-22:00"]}
    own = builtin_rules().with_tables([Table("shapes", "own.toml", [row])])
    assert peak_hours("TTF", tuesday, own) == {"D 2026-03-10 OFFPEAK": 9, "D 2026-03-10 PEAK": 15}
