"""Proves that a run's summary adds up to what was written into its journal, and that it prints within 100 columns."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from penstock_kernel.lake import LakeError, rebuild
from penstock_kernel.runs import RunInfo
from penstock_kernel.summary import load_summary, print_summary, summarise
from penstock_sdk.events import Trade


@pytest.fixture(scope="module")
def summary(made: Any) -> Any:
    return summarise(made.run_dir)


def quarters(listing: int) -> int:
    return 1 if listing <= 96 else 4


def mwh(listing: int, lots: int) -> float:
    return lots / 10 * quarters(listing) / 4


def test_orders_fills_and_refusals_are_counted(made: Any, summary: Any) -> None:
    orders = summary.orders
    assert (orders.asked, orders.refused, orders.fills) == (made.orders, sum(made.refused.values()), len(made.fills))
    assert orders.sent == orders.asked - orders.refused
    assert orders.fill_rate == orders.filled_lots / orders.sent_lots
    assert orders.filled_lots == sum(fill[4] for fill in made.fills)
    assert orders.touched == len(made.fills)  # an order here has one fill at most
    assert orders.filled_mwh == pytest.approx(sum(mwh(fill[1], fill[4]) for fill in made.fills))
    assert summary.refusals == made.refused
    assert list(summary.refusals.values()) == sorted(made.refused.values(), reverse=True)


def test_strategies_share_the_whole(made: Any, summary: Any) -> None:
    assert [line.strategy for line in summary.strategies] == ["market_maker", "mean_reversion"]
    for name in ("asked", "refused", "sent", "touched", "fills"):
        assert sum(getattr(line.orders, name) for line in summary.strategies) == getattr(summary.orders, name)


def test_slippage_is_weighted_by_energy_and_positive_as_a_cost(made: Any, summary: Any) -> None:
    cost = energy = 0.0
    for _, listing, side, ticks, lots, half in made.fills:
        cost += (1 if side == 1 else -1) * (ticks - half / 2) / 100 * mwh(listing, lots)
        energy += mwh(listing, lots)
    assert summary.decision.cost == pytest.approx(cost)
    assert summary.decision.price == pytest.approx(cost / energy)
    assert summary.decision.ticks == pytest.approx(100 * cost / energy)
    assert summary.arrival.ticks != summary.decision.ticks


def test_pnl_by_product_adds_up_to_each_strategy(made: Any, summary: Any) -> None:
    for strategy_id, strategy in ((2, "market_maker"), (3, "mean_reversion")):
        own = [line for line in summary.pnl if line.strategy == strategy]
        whole, products = own[0], own[1:]
        assert [line.product for line in own] == ["", "H", "QH"]
        amounts = [micro for (who, _), micro in made.pnl.items() if who == strategy_id]
        assert whole.realised == pytest.approx(sum(a[0] for a in amounts) / 1e6)
        assert whole.fees == pytest.approx(sum(a[2] for a in amounts) / 1e6)
        assert whole.total == pytest.approx(whole.realised + whole.unrealised - whole.fees)
        assert whole.total == pytest.approx(sum(line.total for line in products))
    assert summary.pnl_totals == {"EUR": pytest.approx(sum(a + b - c for a, b, c in made.pnl.values()) / 1e6)}


def test_positions_are_signed_energy(made: Any, summary: Any) -> None:
    found = {(line.strategy, line.product): line.net_mwh for line in summary.positions}
    wanted: dict[tuple[str, str], float] = {}
    for (strategy, listing), lots in made.net_lots.items():
        key = ("market_maker" if strategy == 2 else "mean_reversion", "QH" if listing <= 96 else "H")
        wanted[key] = wanted.get(key, 0.0) + mwh(listing, lots)
    assert found == pytest.approx(wanted)


def test_prices_and_the_share_below_zero(made: Any, summary: Any) -> None:
    prices = summary.prices
    energy = [mwh(listing, lots) for listing, _, lots in made.trades]
    below = sum(e for e, (_, ticks, _) in zip(energy, made.trades, strict=True) if ticks < 0)
    assert prices.trades == len(made.trades)
    assert (prices.min, prices.max) == (min(t[1] for t in made.trades) / 100, max(t[1] for t in made.trades) / 100)
    assert below > 0
    assert prices.negative_share == pytest.approx(below / sum(energy))
    assert prices.index == "price.DE-LU.index"
    assert prices.index_min < 0 < prices.index_negative_share < 1


def test_events_alerts_and_latency_are_there(made: Any, summary: Any) -> None:
    assert sum(summary.events.values()) == made.events
    assert summary.events_per_s == pytest.approx(made.events / 21.4)
    assert summary.alerts == {"warning limit.near": 1}
    assert summary.faults == {}
    assert summary.tick_to_order.p99_ns == 41_800
    assert summary.currency == "EUR"


def test_summary_json_round_trips(made: Any, summary: Any) -> None:
    assert load_summary(made.run_dir) == summary
    assert msgspec.json.decode((made.run_dir / "summary.json").read_bytes())["orders"]["asked"] == made.orders


def test_a_summary_of_another_version_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text('{"orders": 3}')
    assert load_summary(tmp_path) is None


def printed(summary: Any, width: int) -> str:
    out = io.StringIO()
    print_summary(summary, Console(file=out, width=width, force_terminal=True, color_system=None))
    assert max(map(len, out.getvalue().splitlines())) <= width
    return out.getvalue()


def test_a_narrow_terminal_keeps_every_number(summary: Any) -> None:
    text = printed(summary, 80)
    assert "…" not in text.replace(" … ", "")
    assert f"{summary.decision.ticks:+.2f}" in text and f"{summary.decision.price:+.3f}" not in text


def test_it_prints_within_100_columns(summary: Any) -> None:
    text = printed(summary, 100)
    assert "+ is a cost" in text and "…" not in text.replace(" … ", "")
    for wanted in (
        "fill rate",
        "p50 14.2 µs",
        "p99 41.8 µs",
        "price_collar",
        "mean_reversion",
        "EUR/MWh",
        "unrealised",
    ):
        assert wanted in text


def test_a_run_in_which_nothing_was_ordered_has_a_summary_too(tmp_path: Path, journal_writer: Any) -> None:
    writer = journal_writer(tmp_path / "journal")
    writer.add(Trade(1, price_ticks=3, qty_lots=1), 0)
    writer.close()
    RunInfo(id="quiet", status="complete").save(tmp_path)
    rebuild(tmp_path)
    quiet = summarise(tmp_path)
    assert (quiet.orders.asked, quiet.orders.fill_rate, quiet.decision.ticks, quiet.pnl) == (0, 0.0, None, [])
    print_summary(quiet, Console(file=io.StringIO()))


def test_a_run_without_a_lake_says_what_to_do(tmp_path: Path) -> None:
    RunInfo(id="x").save(tmp_path)
    with pytest.raises(LakeError, match="rebuild its lake"):
        summarise(tmp_path)
