"""Fees by dated table, marks in order and with their age, where profit came from, totals by currency and in one."""

from __future__ import annotations

from fractions import Fraction

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock_plugins.portfolio.positions import Positions, PositionsConfig
from penstock_sdk.events import (
    Alert,
    FxRate,
    Mark,
    OrderState,
    PluginFault,
    Pnl,
    PnlAttribution,
    Quote,
    ReferenceTable,
    TradeSource,
)
from penstock_sdk.plugin import Strategy
from penstock_sdk.schema import ABSENT
from plugins.tests.portfolio_market import BUY, HOUR_NS, SELL, Futures

CASH = 250
DAY_NS = 24 * HOUR_NS


def build(bench, config=None, listings=2):
    made = bench(listings=listings)
    made.folio = made.add(Positions, "portfolio", config or PositionsConfig(fee_micro_per_mwh=0))
    made.a = made.add(Strategy, "a")
    return made.start()


def trade(made, side, price_ticks, lots, *, listing_id=1, seen=ABSENT, at_ticks=None):
    intent = made.a.intent(listing_id, side, price_ticks, lots, decision_half_ticks=seen)
    made.kernel.feed(intent, producer="a")
    made.fill(made.orders(OrderState.ROUTED)[-1], lots, at_ticks)


def fees(made, *rows):
    table = [{"product": "*", "kind": "exchange", "currency": "EUR", **row} for row in rows]
    made.kernel.feed(ReferenceTable(name="fees", source="test", digest="", rows=table))


def codes(made):
    return [alert.code for alert in made.kernel.of(Alert)]


def told(made):
    """Return {listing: (realised, unrealised, fees)} as last told."""
    return {p.listing_id: (p.realised_micro, p.unrealised_micro, p.fees_micro) for p in made.kernel.of(Pnl)}


def fee_of(made, listing_id=1):
    made.kernel.stop()
    return told(made)[listing_id][2]


# Fees. Ten lots of 100 kW over a quarter-hour are 0.25 MWh.


def test_fees_per_mwh_lot_and_trade_add_up_over_their_kinds(bench):
    made = build(bench, PositionsConfig(fee_micro_per_mwh=999_999))
    fees(
        made, {"market": "venue", "micro_per_mwh": 40_000}, {"market": "venue", "kind": "clearing", "micro_per_lot": 7},
        {"market": "venue", "kind": "broker", "micro_per_trade": 500}, {"market": "other", "micro_per_mwh": 10**6},
    )  # fmt: skip
    trade(made, BUY, 1000, 10)
    trade(made, SELL, 1000, 10)
    assert fee_of(made) == 2 * (10_000 + 70 + 500)


def test_a_products_own_row_comes_before_the_one_for_all(bench):
    made = build(bench)
    fees(
        made, {"market": "venue", "product": "QH", "micro_per_lot": 5}, {"market": "venue", "micro_per_lot": 1_000},
        {"market": "venue", "product": "H", "micro_per_lot": 9_999},
    )  # fmt: skip
    trade(made, BUY, 1000, 10)
    assert fee_of(made) == 50


def test_a_new_trading_day_has_its_own_fees(bench):
    made = build(bench, listings=0)
    futures = Futures(made)  # in Berlin, where the second of January 1970 begins an hour earlier than in UTC
    month = futures.add("DE-LU M", 40 * DAY_NS, 1)
    fees(
        made, {"market": "venue", "micro_per_lot": 1, "valid_to": "1970-01-01"},
        {"market": "venue", "micro_per_lot": 100, "valid_from": "1970-01-02"},
    )  # fmt: skip
    futures.trade(month, BUY, 1000, 1)
    made.kernel.run_until(23 * HOUR_NS - 1)
    futures.trade(month, BUY, 1000, 1)
    made.kernel.run_until(23 * HOUR_NS)
    futures.trade(month, BUY, 1000, 1)
    # What was agreed yesterday costs what it did yesterday.
    futures.trade(month, BUY, 1000, 1, traded_ns=22 * HOUR_NS)
    futures.trade(month, BUY, 1000, 1)
    assert fee_of(made, month) == 3 + 200


def test_a_venue_without_fees_charges_those_of_the_market_that_lists_the_product(bench):
    made = build(bench, PositionsConfig(fee_micro_per_mwh=1_000), listings=0)
    futures = Futures(made)
    fees(made, {"market": "EEX", "micro_per_lot": 5}, {"market": "ICE", "micro_per_lot": 7})
    month = futures.add("DE-LU M", 40 * DAY_NS, 10)
    futures.trade(month, BUY, 1000, 1)
    assert fee_of(made, month) == 5


def test_our_own_fills_pay_the_new_days_fees_from_midnight_on(bench):
    made = build(bench, listings=0)
    made.kernel.add_listing("D", made.venue.ctx.plugin_id, start_ns=3 * DAY_NS)
    fees(
        made, {"market": "venue", "micro_per_lot": 1, "valid_to": "1970-01-01"},
        {"market": "venue", "micro_per_lot": 100, "valid_from": "1970-01-02"},
    )  # fmt: skip
    trade(made, BUY, 1000, 1)
    made.kernel.run_until(DAY_NS)
    trade(made, BUY, 1000, 1)
    assert fee_of(made) == 101


def test_a_bilateral_deal_pays_no_venue_and_a_correction_gives_the_fee_back(bench):
    made = build(bench, PositionsConfig(fee_micro_per_mwh=1_000_000), listings=0)
    futures = Futures(made)
    month = futures.add("DE-LU M", 40 * DAY_NS, 10)
    futures.trade(month, BUY, 1000, 1, source=TradeSource.OTC)
    futures.trade(month, BUY, 1000, 3, source=TradeSource.SCREEN)
    futures.trade(month, SELL, 1000, 2, source=TradeSource.CORRECTION)
    assert fee_of(made, month) == 10 * 1_000_000
    assert made.kernel.of(PluginFault) == []


def test_fees_in_another_currency_are_not_charged_and_said_once(bench):
    made = build(bench, listings=0)
    fees(made, {"market": "venue", "micro_per_lot": 5, "currency": "GBP"})
    for start in (1, 2):
        made.kernel.add_listing(f"L{start}", made.venue.ctx.plugin_id, start_ns=start * DAY_NS)
    trade(made, BUY, 1000, 10)
    assert codes(made) == ["portfolio.fee_currency"]
    assert fee_of(made) == 0


def test_fees_per_mwh_on_therms_are_converted(bench):
    # 1,000 therm a day over two days are 2,000 therms, 58.6142 MWh.
    made = build(bench, PositionsConfig(fee_micro_per_mwh=1_000_000), listings=0)
    gas = Futures(made, zone="NBP", timezone="Europe/London", currency="GBP")
    month = gas.add("NBP M", 40 * DAY_NS, 48, tick_micro=100, lot_kw=10**6, price_unit="GBp/therm", units=2_000)
    gas.trade(month, BUY, 8_000, 1)
    assert fee_of(made, month) == 58_614_200


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(-(10**6), 10**6), st.lists(st.integers(1, 99), min_size=1, max_size=6))
def test_fees_are_rounded_once_over_all_fills(bench, per_mwh, lots):
    made = build(bench)
    fees(made, {"market": "venue", "micro_per_mwh": per_mwh})
    for each in lots:
        trade(made, BUY, 1000, each)
    assert fee_of(made) == Fraction(per_mwh * sum(lots), 40) // 1


# Marks.


def test_the_newest_of_mid_and_settlement_price_is_the_mark_and_its_age_is_told(bench):
    made = build(bench)
    trade(made, BUY, 1000, 10)
    made.quote(100, (1, 990, 1, 1010, 1))
    made.kernel.feed(Mark(1, 2, mark_ticks=1200, observed_ns=90 * 10**9))
    made.kernel.run_until(900 * 10**9)
    row = made.kernel.of(Pnl)[0]
    assert (row.mark_ticks, row.mark_age_ns) == (1000, 800 * 10**9)
    made.kernel.feed(Mark(1, 2, mark_ticks=1200, observed_ns=500 * 10**9))
    made.kernel.run_until(1800 * 10**9)
    row = made.kernel.of(Pnl)[2]
    assert (row.mark_ticks, row.mark_age_ns, row.unrealised_micro) == (1200, 1300 * 10**9, 2000 * CASH)
    made.quote(1900, (1, 800, 1, 800, 1))
    made.kernel.run_until(2700 * 10**9)
    assert made.kernel.of(Pnl)[4].mark_ticks == 800


def test_a_strip_without_a_price_of_its_own_is_worth_its_parts_by_energy(bench):
    made = build(bench, listings=0)
    futures = Futures(made)
    names = ("DE-LU M1", "DE-LU M2", "DE-LU M3")
    start_ns = 40 * DAY_NS
    quarter = futures.add("DE-LU Q", start_ns, 2159, product="Q", into=names, ends_ns=39 * DAY_NS)
    months, at_ns = [], start_ns
    for name, hours in zip(names, (744, 672, 743), strict=True):
        # The first one's lots are of 0.1 MW: its price weighs no less for that.
        small = {"lot_kw": 100, "cash_micro_per_lot_tick": 2_000 * hours} if name == names[0] else {}
        months.append(futures.add(name, at_ns, hours, tick_micro=20_000, **small))
        at_ns += hours * HOUR_NS
    futures.trade(quarter, BUY, 5_000, 3)
    prices = (2_600, -100, 0)  # ticks of 0.02
    for seconds, (listing_id, ticks) in enumerate(zip(months, prices, strict=True), 100):
        made.kernel.feed(Mark(listing_id, 2, mark_ticks=ticks, observed_ns=seconds * 10**9))
        made.kernel.run_until((seconds - 99) * 900 * 10**9)
        row = made.kernel.of(Pnl)[-2]
        if seconds < 102:  # one part has no price yet: our last trade is the mark
            assert (row.mark_ticks, row.mark_age_ns) == (5_000, ABSENT)
    exact = 2 * Fraction(744 * 2_600 - 672 * 100, 2159)
    assert (row.listing_id, row.mark_ticks) == (quarter, round(exact))
    assert row.mark_age_ns == (2700 - 100) * 10**9
    made.kernel.feed(Mark(quarter, 2, mark_ticks=7, observed_ns=ABSENT))
    made.kernel.run_until(3600 * 10**9)
    assert made.kernel.of(Pnl)[-2].mark_ticks == 7


def test_listings_of_a_year_need_no_room_made_for_them(bench):
    made = build(bench, PositionsConfig(fee_micro_per_mwh=0), listings=0)
    futures = Futures(made)
    year = futures.add("DE-LU Y", 40 * DAY_NS, 8760, product="Y")
    shaped = [(40 * DAY_NS + nth * DAY_NS, 48, 1_000) for nth in range(260)]
    peak = futures.add("DE-LU Y PEAK", 40 * DAY_NS, 8760, product="Y", units=260 * 12, segments=shaped)
    futures.trade(year, BUY, -5, 4)
    futures.trade(peak, SELL, 7, 4)
    net = made.folio.grid.net(futures.zone_id, 40 * DAY_NS, 41 * DAY_NS).tolist()
    assert net == [0] * 48 + [4_000] * 48
    futures.trade(peak, SELL, 7, 8)
    position = made.kernel.of(Alert), made.folio.standing()[1]
    assert position[0] == []
    assert position[1].net_lots == -12
    assert position[1].interval_max_lots == 8


# Where profit came from.


def test_attribution_stands_beside_each_row_and_adds_up(bench):
    made = build(bench, PositionsConfig(fee_micro_per_mwh=100_000))
    made.quote(1, (1, 1000, 1, 1004, 1))
    trade(made, BUY, 1010, 10, seen=2000, at_ticks=1006)  # seen at 1000, sent at 1002, dealt at 1006
    made.quote(2, (1, 1100, 1, 1100, 1))
    made.kernel.stop()
    parts, profits = made.kernel.of(PnlAttribution), made.kernel.of(Pnl)
    for part, profit in zip(parts, profits, strict=True):
        assert (part.listing_id, part.book_id, part.strategy_id) == (
            profit.listing_id,
            profit.book_id,
            profit.strategy_id,
        )
        assert (part.market_micro, part.delay_micro) == (1000 * CASH, -20 * CASH)
        assert (part.execution_micro, part.fees_micro, part.unpriced_fills) == (-40 * CASH, 25_000, 0)
        total = part.market_micro + part.delay_micro + part.execution_micro - part.fees_micro
        assert total == profit.realised_micro + profit.unrealised_micro - profit.fees_micro


FILLS = st.lists(
    st.tuples(
        st.sampled_from([BUY, SELL]), st.integers(-900, 900), st.integers(1, 50), st.integers(1, 2),
        st.one_of(st.just(ABSENT), st.integers(-2_000, 2_000)), st.booleans(),
    ),
    max_size=12,
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FILLS, st.integers(-900, 900))
def test_every_row_and_total_is_the_sum_of_its_sources_through_delivery(bench, fills, mid):
    made = build(bench, PositionsConfig(fee_micro_per_mwh=77_777))
    cash = 0
    for number, (side, price_ticks, lots, listing_id, seen, quoted) in enumerate(fills):
        if quoted:
            made.quote(number, (listing_id, price_ticks - 3, 1, price_ticks + 8, 1))
        trade(made, side, price_ticks, lots, listing_id=listing_id, seen=seen)
        cash += CASH * price_ticks * (lots if side == SELL else -lots)
    made.quote(50, (1, mid, 1, mid, 1), (2, mid, 1, mid, 1))
    made.kernel.run_until(900 * 10**9)
    made.kernel.run_until(2 * HOUR_NS)
    made.kernel.add_listing("NEXT", made.venue.ctx.plugin_id, start_ns=3 * HOUR_NS)  # the first two are settled now
    made.kernel.stop()
    parts, profits = made.kernel.of(PnlAttribution), made.kernel.of(Pnl)
    assert len(parts) == len(profits)
    for part, row in zip(parts, profits, strict=True):
        assert part.listing_id == row.listing_id
        assert part.fees_micro == row.fees_micro
        assert part.market_micro + part.delay_micro + part.execution_micro == row.realised_micro + row.unrealised_micro
    if fills:
        net = sum(lots if side == BUY else -lots for side, _, lots, *_ in fills)
        assert told(made)[0][:2] == (cash + net * mid * CASH, 0)
        assert parts[-1].unpriced_fills <= len(fills)


# Currencies.


def two_currencies(bench, **config):
    made = build(bench, PositionsConfig(fee_micro_per_mwh=0, **config), listings=0)
    euro, pound = Futures(made), Futures(made, zone="GB", timezone="Europe/London", currency="GBP")
    for futures in (euro, pound):
        month = futures.add(f"{futures.zone_id} M", 40 * DAY_NS, 10)
        futures.trade(month, BUY, 1_000, 1)
        made.kernel.feed(Mark(month, 2, mark_ticks=1_300))
    return made, euro, pound


def test_currencies_are_never_added(bench):
    made, euro, pound = two_currencies(bench)
    made.kernel.stop()
    totals = {p.currency_id: p.unrealised_micro for p in made.kernel.of(Pnl) if not p.listing_id}
    assert totals == {euro.currency_id: 30_000_000, pound.currency_id: 30_000_000}
    assert len({p.currency_id for p in made.kernel.of(PnlAttribution) if not p.listing_id}) == 2


def test_a_total_in_one_currency_is_told_only_with_fresh_rates(bench):
    made, euro, pound = two_currencies(bench, report_currency="EUR", fx_age_h_max=1.0)
    made.kernel.run_until(900 * 10**9)
    assert [p for p in made.kernel.of(Pnl) if p.flags] == []
    assert codes(made) == ["portfolio.no_total"]
    rate = FxRate(euro.currency_id, pound.currency_id, rate_nano=800_000_000, as_of_ns=900 * 10**9)
    made.kernel.feed(rate)
    made.kernel.feed(Mark(1, 2, mark_ticks=1_301))
    made.kernel.run_until(1800 * 10**9)
    (one,) = [p for p in made.kernel.of(Pnl) if p.flags]
    assert (one.listing_id, one.strategy_id, one.book_id, one.currency_id) == (0, 0, 0, euro.currency_id)
    assert one.unrealised_micro == 30_100_000 + 37_500_000
    assert [alert.cleared for alert in made.kernel.of(Alert)] == [False, True]
    made.kernel.run_until(3 * HOUR_NS)
    made.kernel.feed(Mark(1, 2, mark_ticks=1_302))
    made.kernel.run_until(4 * HOUR_NS)
    assert [alert.cleared for alert in made.kernel.of(Alert)] == [False, True, False]
    assert "is stale" in made.kernel.of(Alert)[-1].met
    assert len([p for p in made.kernel.of(Pnl) if p.flags]) == 1


def test_a_rate_that_makes_no_sense_is_said_aloud(bench):
    made, euro, pound = two_currencies(bench, report_currency="EUR")
    made.kernel.feed(FxRate(euro.currency_id, pound.currency_id, rate_nano=0, as_of_ns=1))
    assert codes(made) == ["portfolio.fx_refused"]
    assert made.kernel.of(PluginFault) == []


def test_a_restored_portfolio_keeps_rates_fees_and_marks(bench):
    made, euro, pound = two_currencies(bench, report_currency="EUR", fx_age_h_max=99.0)
    fees(made, {"market": "venue", "micro_per_lot": 5})
    made.kernel.feed(FxRate(euro.currency_id, pound.currency_id, rate_nano=800_000_000, as_of_ns=0))
    again = build(bench, made.folio.config, listings=0)
    again.kernel.restore(made.kernel.snapshot())
    for each in (made, again):
        each.kernel.feed(Quote(1, bid_ticks=1_000, bid_lots=1, ask_ticks=1_000, ask_lots=1))
        each.kernel.run_until(DAY_NS)
        each.kernel.stop()
    assert again.kernel.of(Pnl) == made.kernel.of(Pnl)
    assert [p.unrealised_micro for p in again.kernel.of(Pnl) if p.flags] == [37_500_000]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"report_currency": "euro"}, "^Expected `str` matching regex"),
        ({"fx_age_h_max": 0.0}, "^Expected `float` > 0.0 - at `[$].fx_age_h_max`"),
        ({"intervals_max": 5}, "^Object contains unknown field `intervals_max`"),
    ],
)
def test_a_config_without_sense_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        msgspec.convert(wrong, PositionsConfig)
