"""Positions and profits are what the fills say, to the last millionth; quarter-hours net with hours."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock_plugins.portfolio.positions import Positions, PositionsConfig
from penstock_sdk.events import Alert, ExecutionReport, OrderState, PluginFault, Pnl, Position, ReportKind, Side
from penstock_sdk.plugin import Strategy
from penstock_sdk.schema import ABSENT

BUY, SELL = int(Side.BUY), int(Side.SELL)
# A lot of 100 kW and a tick of 0.01 EUR/MWh over a quarter-hour: 250 millionths of a euro per lot and tick.
CASH = 250


def build(bench, config=None, listings=2):
    made = bench(listings=listings)
    made.folio = made.add(Positions, "portfolio", config or PositionsConfig(fee_micro_per_mwh=0))
    made.a, made.b = made.add(Strategy, "a"), made.add(Strategy, "b")
    return made.start()


def trade(made, side, price_ticks, lots, *, who="a", listing_id=1):
    strategy = getattr(made, who)
    made.kernel.feed(strategy.intent(listing_id, side, price_ticks, lots), producer=who)
    made.fill(made.orders(OrderState.ROUTED)[-1], lots)


def last(made):
    p = made.kernel.of(Position)[-1]
    return (p.net_lots, p.bought_lots, p.sold_lots, p.cash_micro, p.interval_max_lots)


def told(made, since=0):
    """Return {(strategy, listing): (realised, unrealised, fees)} of what was told, later tellings over earlier."""
    names = {made.a.ctx.plugin_id: "a", made.b.ctx.plugin_id: "b"}
    return {
        (names[p.strategy_id], p.listing_id): (p.realised_micro, p.unrealised_micro, p.fees_micro)
        for p in made.kernel.of(Pnl)[since:]
    }


def test_each_fill_gives_the_position_it_leads_to(bench):
    made = build(bench)
    trade(made, BUY, -500, 10)
    assert last(made) == (10, 10, 0, 500 * 10 * CASH, 10)
    trade(made, SELL, 200, 4)
    assert last(made) == (6, 10, 4, (5000 + 800) * CASH, 6)
    assert made.kernel.of(Position)[-1].book_id == made.a.ctx.identity.book_id
    assert made.kernel.of(Position)[-1].currency_id == 1


def test_an_hour_nets_with_its_quarter_hours(bench):
    made = build(bench, listings=1)
    made.kernel.add_listing("H", made.venue.ctx.plugin_id, start_ns=3_600_000_000_000, quarter_hours=4)
    trade(made, BUY, 100, 8, listing_id=2)
    assert last(made)[4] == 8
    trade(made, SELL, 100, 5, listing_id=1)
    assert last(made) == (-5, 0, 5, 500 * CASH, 3)
    trade(made, SELL, 100, 1, listing_id=2)
    assert last(made)[4] == 7


def test_profit_is_told_at_whole_periods_with_the_mid_and_its_age(bench):
    made = build(bench)
    trade(made, BUY, 1000, 10)
    trade(made, SELL, 1100, 4)
    made.quote(840, (1, 1040, 1, 1060, 1))
    assert made.kernel.of(Pnl) == []
    made.kernel.run_until(900 * 10**9)
    assert told(made) == {("a", 1): (400 * CASH, 300 * CASH, 0), ("a", 0): (400 * CASH, 300 * CASH, 0)}
    row, total = made.kernel.of(Pnl)
    assert (row.mark_ticks, row.mark_age_ns, row.currency_id) == (1050, 60 * 10**9, 1)
    assert (total.listing_id, total.mark_ticks) == (0, ABSENT)


def test_only_what_changed_is_told_again_and_everything_in_the_end(bench):
    made = build(bench)
    trade(made, BUY, 1000, 10)
    trade(made, BUY, 500, 10, listing_id=2)
    trade(made, SELL, 500, 3, who="b", listing_id=2)
    made.kernel.run_until(900 * 10**9)
    assert set(told(made)) == {("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 2)}
    count = len(made.kernel.of(Pnl))
    made.quote(1000, (1, 1090, 1, 1110, 1))
    made.kernel.run_until(1800 * 10**9)
    assert told(made, count) == {("a", 1): (0, 1000 * CASH, 0), ("a", 0): (0, 1000 * CASH, 0)}
    count = len(made.kernel.of(Pnl))
    made.kernel.run_until(2700 * 10**9)
    assert len(made.kernel.of(Pnl)) == count
    made.kernel.stop()
    assert set(told(made, count)) == {("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 2)}


def test_the_telling_ends_with_the_last_gate(bench):
    made = build(bench)
    made.kernel.run_until(10**15)
    assert made.kernel.timers.next_ns() is None


def test_fees_are_on_the_energy_of_both_sides(bench):
    # 10 lots of 100 kW over a quarter-hour are 0.25 MWh; bought and sold, 0.5 MWh at 0.10.
    made = build(bench, PositionsConfig(fee_micro_per_mwh=100_000))
    trade(made, BUY, 1000, 10)
    trade(made, SELL, 1000, 10)
    made.kernel.stop()
    assert told(made)["a", 1] == (0, 0, 50_000)
    assert told(made)["a", 0] == (0, 0, 50_000)


def test_without_a_quote_the_last_fill_is_the_mark(bench):
    made = build(bench)
    trade(made, SELL, 1000, 10)
    trade(made, SELL, 1100, 10)
    made.kernel.stop()
    assert told(made)["a", 1] == (0, -1000 * CASH, 0)
    assert made.kernel.of(Pnl)[0].mark_age_ns == ABSENT


def test_a_fill_that_cannot_be_booked_is_said_aloud(bench):
    made = build(bench)
    held = ExecutionReport(7, 99, ReportKind.FILL, BUY, last_ticks=1, last_lots=1, strategy_id=made.a.ctx.plugin_id)
    made.kernel.feed(held)
    assert "portfolio.fill_refused" in [alert.code for alert in made.kernel.of(Alert)]
    made.kernel.stop()
    assert made.kernel.of(PluginFault) == []


def test_a_listing_beyond_the_room_is_said_aloud(bench):
    made = build(bench, PositionsConfig(listings_max=1))
    assert [alert.code for alert in made.kernel.of(Alert)] == ["portfolio.full"]


def test_a_restored_portfolio_tells_what_the_first_would_have(bench):
    straight, resumed = build(bench), build(bench)
    for made in (straight, resumed):
        trade(made, BUY, 1000, 10)
        made.quote(10, (1, 990, 1, 1010, 1))
        made.kernel.run_until(900 * 10**9)
        trade(made, SELL, 1020, 3)
    again = build(bench, listings=0)
    again.kernel.restore(resumed.kernel.snapshot())
    count = len(straight.kernel.of(Pnl))
    for made in (straight, again):
        trade(made, SELL, 1040, 3)
        made.quote(950, (1, 980, 1, 1000, 1))
        made.kernel.run_until(1800 * 10**9)
        made.kernel.stop()
    assert again.kernel.of(Pnl) == straight.kernel.of(Pnl)[count:]
    assert last(again) == last(straight)
    assert len(again.kernel.of(Pnl)) == 4


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from([BUY, SELL]), st.integers(-9000, 9000), st.integers(1, 50)), max_size=12),
    st.integers(-9000, 9000),
)
def test_realised_and_unrealised_are_together_cash_and_value(bench, fills, mid):
    made = build(bench)
    net, cash = 0, 0
    for side, price_ticks, lots in fills:
        trade(made, side, price_ticks, lots)
        signed = lots if side == BUY else -lots
        net, cash = net + signed, cash - signed * price_ticks * CASH
    made.quote(1, (1, mid, 1, mid, 1))
    made.kernel.stop()
    realised, unrealised, _ = told(made).get(("a", 1), (0, 0, 0))
    assert realised + unrealised == cash + net * mid * CASH
    assert told(made).get(("a", 0), (0, 0, 0))[:2] == (realised, unrealised)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"pnl_period_s": 0.0}, "^Expected `float` >= 1.0 - at `[$].pnl_period_s`"),
        ({"fee_micro_per_mwh": 10**12}, "^Expected `int` <= 1000000000 - at `[$].fee_micro_per_mwh`"),
        ({"listings_max": -1}, "^Expected `int` >= 1 - at `[$].listings_max`"),
    ],
)
def test_a_config_that_keeps_no_books_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        msgspec.convert(wrong, PositionsConfig)
