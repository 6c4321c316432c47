"""Trades, futures and swaps become cash flows on their value days, currency by currency, and money is conserved."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_plugins.settlement.books import OrderBooks
from penstock_plugins.settlement.service import Settlement, SettlementConfig
from penstock_sdk.events import (
    Alert,
    Cascade,
    CashFlow,
    CashKind,
    Deal,
    ExecutionReport,
    IdKind,
    IntentAction,
    Order,
    OrderState,
    PluginFault,
    ReportKind,
    Side,
    TradeSource,
)
from penstock_sdk.plugin import Strategy
from plugins.tests.settlement_market import HOUR_NS, QUARTER_NS, Paper, berlin

EUR = 1_000_000


def day_of(flow: CashFlow) -> str:
    return date.fromordinal(flow.value_day).isoformat()


# Spot.


def test_a_fill_of_ours_is_paid_by_its_strategys_book(bench) -> None:
    made = bench()
    made.add(Settlement, "settlement", SettlementConfig())
    made.one = made.add(Strategy, "one")
    made.start()
    made.kernel.feed(made.one.intent(1, Side.BUY, -500, 10), producer="one")
    order = made.orders(OrderState.ROUTED)[-1]
    for lots in (4, 6):
        made.fill(order, lots)
    assert made.kernel.of(CashFlow) == []  # gathered until the next whole period
    made.kernel.run_until(900 * 10**9)
    first, fee, second = made.kernel.of(CashFlow)
    # 10 lots of 100 kW over a quarter-hour at -5.00: we are paid 0.25 MWh times 5.
    assert (first.amount_micro, second.amount_micro) == (500_000, 750_000)
    assert (first.energy_wh, second.energy_wh, fee.energy_wh) == (100_000, 150_000, 250_000)
    assert (fee.kind, fee.amount_micro) == (CashKind.FEE, -25_000)  # one row for both fills
    assert {(flow.strategy_id, flow.book_id, flow.currency_id) for flow in (first, fee, second)} == {
        (made.one.ctx.plugin_id, made.one.ctx.identity.book_id, 1)
    }
    assert day_of(first) == "1970-01-05"  # traded on New Year, which belongs to Friday; paid on Monday
    assert made.kernel.of(PluginFault) == []


@pytest.mark.parametrize("halt", [False, True])
def test_each_fill_is_its_orders_books_though_one_strategy_trades_for_two(bench, halt: bool) -> None:
    made = bench()
    made.add(Settlement, "settlement", SettlementConfig(fee_micro_per_mwh=1_000_000))
    made.one = made.add(Strategy, "one")
    made.start()
    ours = made.one.ctx.identity.book_id
    theirs = made.kernel.intern_input(IdKind.BOOK, "theirs")
    routed = []
    for book_id in (ours, theirs, ours, theirs):  # they rest side by side
        intent = msgspec.structs.replace(made.one.intent(1, Side.BUY, 1_000, 10), book_id=book_id)
        made.kernel.feed(intent, producer="one")
        routed.append(made.orders(OrderState.ROUTED)[-1])
    made.fill(routed[0], 4)
    if halt:  # the second half is filled for one that knows of the orders by the snapshot alone
        settlement = made.kernel.slots["settlement"].plugin
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(settlement.snapshot()))
        settlement.on_order(msgspec.structs.replace(routed[3], order_id=9, book_id=99))
        settlement.restore(state)
    for order, lots in ((routed[3], 5), (routed[0], 6), (routed[1], 10), (routed[2], 10), (routed[3], 5)):
        made.fill(order, lots)
    made.kernel.run_until(900 * 10**9)
    energy = {
        (flow.book_id, flow.kind): sum(
            each.energy_wh
            for each in made.kernel.of(CashFlow)
            if (each.book_id, each.kind) == (flow.book_id, flow.kind)
        )
        for flow in made.kernel.of(CashFlow)
    }
    assert energy == {(book, kind): 500_000 for book in (ours, theirs) for kind in (CashKind.TRADE, CashKind.FEE)}
    assert made.kernel.slots["settlement"].plugin.snapshot()["books"]["open"] == []


def test_an_order_that_ends_is_forgotten_and_one_that_is_cut_ends_earlier() -> None:
    books = OrderBooks()
    for order_id in range(1, 6):
        books.order(Order(order_id, state=OrderState.ROUTED, action=IntentAction.NEW, qty_lots=9, book_id=order_id))
    for order_id, kind in ((1, ReportKind.CANCELLED), (2, ReportKind.EXPIRED), (3, ReportKind.REJECTED)):
        assert books.report(ExecutionReport(order_id, kind=kind)) == order_id
    assert books.report(ExecutionReport(4, kind=ReportKind.AMENDED, leaves_lots=2)) == 4
    assert books.report(ExecutionReport(4, kind=ReportKind.CANCEL_REJECTED)) == 4
    assert [row[0] for row in books.snapshot()["open"]] == [4, 5]
    assert books.report(ExecutionReport(4, kind=ReportKind.FILL, last_lots=2)) == 4
    assert [row[0] for row in books.snapshot()["open"]] == [5]
    assert books.report(ExecutionReport(1, kind=ReportKind.FILL, last_lots=1)) == 5  # its strategy's last one


def test_a_trade_at_16_00_is_paid_a_day_later() -> None:
    paper = Paper().open()
    hour = paper.lists("H", "2026-03-11 12:00", "2026-03-11 13:00")
    for at in ("2026-03-09 15:59", "2026-03-09 16:00", "2026-03-07 10:00", "2026-03-06 15:00"):
        paper.trade(hour, 1, 1_000, at=at)
    days = [day_of(flow) for flow in paper.flows(CashKind.TRADE)]
    assert days == ["2026-03-10", "2026-03-11", "2026-03-10", "2026-03-09"]
    assert sorted(day_of(flow) for flow in paper.flows(CashKind.FEE)) == ["2026-03-09", "2026-03-10", "2026-03-11"]


def test_what_a_fee_rounds_off_is_kept_for_the_next_fill() -> None:
    paper = Paper(fee_micro_per_mwh=1).open()
    quarter = paper.lists("Q", "2026-03-11 12:00", "2026-03-11 12:15")
    for at in range(8):  # a quarter of a millionth each
        paper.trade(quarter, (-1) ** at, 1_000)
    assert [flow.amount_micro for flow in paper.flows(CashKind.FEE)] == [-2]


def test_negative_and_zero_prices_are_paid_as_they_are() -> None:
    paper = Paper().open()
    hour = paper.lists("H", "2026-03-11 12:00", "2026-03-11 13:00")
    for lots, ticks in ((2, -5_000), (-2, -5_000), (3, 0), (-1, 7)):
        paper.trade(hour, lots, ticks, party="Acme", source=TradeSource.OTC)
    assert [flow.amount_micro for flow in paper.flows(CashKind.TRADE)] == [100 * EUR, -100 * EUR, 0, 70_000]
    assert paper.flows(CashKind.FEE) == []


@pytest.mark.parametrize(("party", "fees"), [("", [-300_000, 200_000]), ("Acme", [])])
def test_a_trade_that_is_taken_back_has_its_fee_back(party: str, fees: list[int]) -> None:
    paper = Paper().open()
    hour = paper.lists("H", "2026-03-11 12:00", "2026-03-11 13:00")
    paper.trade(hour, 3, 5_000, party=party, source=TradeSource.OTC if party else TradeSource.SCREEN)
    told = paper.flows()
    paper.trade(hour, -2, 5_000, party=party, source=TradeSource.CORRECTION)
    assert [flow.amount_micro for flow in paper.flows(CashKind.FEE)] == fees
    assert sum(flow.energy_wh for flow in paper.flows(CashKind.FEE)) == (1_000_000 if fees else 0)
    assert [flow.amount_micro for flow in told if flow.kind == CashKind.TRADE] == [-150 * EUR]


def test_a_trade_counts_once_and_waits_for_its_listing() -> None:
    paper = Paper().open()
    hour = paper.lists("H", "2026-03-11 12:00", "2026-03-11 13:00")
    for _ in range(3):
        paper.trade(hour, 1, 1_000, number=5)
    later = paper.id(IdKind.LISTING, "later")
    paper.trade(later, 1, 2_000)
    assert [flow.amount_micro for flow in paper.flows(CashKind.TRADE)] == [-10 * EUR]
    paper.lists("later", "2026-03-11 13:00", "2026-03-11 14:00")
    assert [flow.amount_micro for flow in paper.flows(CashKind.TRADE)] == [-10 * EUR, -20 * EUR]


def test_a_bilateral_trade_has_its_counterparty_and_no_venues_fee() -> None:
    paper = Paper().open()
    hour = paper.lists("H", "2026-03-11 12:00", "2026-03-11 13:00", payment="monthly")
    paper.trade(hour, -5, 4_000, party="Acme", source=TradeSource.OTC)
    (flow,) = paper.flows()
    assert (flow.kind, flow.amount_micro, flow.energy_wh) == (CashKind.TRADE, 200 * EUR, -5_000_000)
    assert paper.kernel.name_of(IdKind.COUNTERPARTY, flow.counterparty_id) == "Acme"
    assert day_of(flow) == "2026-04-20"


def test_a_forward_is_paid_month_by_month_and_the_months_add_up() -> None:
    paper = Paper("2025-12-01 12:00").open()
    quarter = paper.lists("Q1", "2026-01-01 00:00", "2026-04-01 00:00", payment="monthly")
    paper.trade(quarter, 1, 3_333, party="Acme", source=TradeSource.OTC)
    flows = paper.flows(CashKind.TRADE)
    assert [day_of(flow) for flow in flows] == ["2026-02-20", "2026-03-20", "2026-04-20"]
    assert [flow.energy_wh // 10**6 for flow in flows] == [744, 672, 743]
    assert [flow.amount_micro for flow in flows] == [-33_330_000 * hours for hours in (744, 672, 743)]
    assert flows[1].delivery_start_ns == berlin("2026-02-01 00:00") == flows[0].delivery_end_ns


def test_euros_and_pounds_are_never_netted() -> None:
    paper = Paper().open()
    for zone, lots in (("DE-LU", 1), ("GB", -1)):
        paper.trade(paper.lists(zone, "2026-03-11 12:00", "2026-03-11 13:00", zone=zone), lots, 5_000)
    assert paper.sums() == {
        (CashKind.TRADE, "EUR"): -50 * EUR, (CashKind.FEE, "EUR"): -100_000,
        (CashKind.TRADE, "GBP"): 50 * EUR, (CashKind.FEE, "GBP"): -100_000,
    }  # fmt: skip
    paper.kernel.stop()
    assert [(name, lines) for name, _, _, lines in paper.invoices()] == [
        ("ECC 2026-03 EUR", [("trade", -5_000), ("fee", -10)]),
        ("ECC 2026-03 GBP", [("trade", 5_000), ("fee", -10)]),
    ]


def test_money_beyond_64_bits_is_refused_by_name() -> None:
    paper = Paper().open()
    year = paper.lists("Y", "2027-01-01 00:00", "2028-01-01 00:00")
    paper.trade(year, 10**9, 10**6)
    (alert,) = paper.kernel.of(Alert)
    assert alert.code == "settlement.trade_refused" and alert.met.startswith("a trade of 1000000000 lots")
    assert paper.flows() == []


# Futures.


def test_a_future_pays_its_daily_gain_at_the_settlement_mark_alone() -> None:
    paper = Paper().open()
    month = paper.lists("M", "2026-04-01 00:00", "2026-05-01 00:00", payment="variation", physical=False)
    paper.trade(month, 2, 5_000)
    paper.mark(month, 9_999, kind=0)
    assert paper.flows(CashKind.VARIATION) == []
    paper.mark(month, 5_100)
    paper.until("2026-03-10 17:30")
    paper.trade(month, -1, 5_050)
    paper.mark(month, 4_900)
    paper.mark(month, 4_900)
    flows = paper.flows(CashKind.VARIATION)
    per_tick = 720 * 10_000
    assert [flow.amount_micro for flow in flows] == [2 * 100 * per_tick, (-150 - 50 - 50 + 0) * per_tick]
    assert [day_of(flow) for flow in flows] == ["2026-03-10", "2026-03-11"]


LEGS = st.lists(st.tuples(st.integers(-9, 9).filter(bool), st.integers(-400, 400), st.integers(-400, 400)), max_size=6)


@settings(max_examples=25, deadline=None)
@given(LEGS.filter(bool), st.integers(-400, 400), LEGS)
def test_variation_over_a_life_with_a_cascade_is_the_final_profit(
    before: list[tuple[int, int, int]], price: int, after: list[tuple[int, int, int]]
) -> None:
    paper = Paper(fee_micro_per_mwh=0).open()
    quarter = paper.lists("Q2", "2026-04-01 00:00", "2026-07-01 00:00", payment="variation", physical=False)
    stretches = [("2026-04-01", "2026-05-01"), ("2026-05-01", "2026-06-01"), ("2026-06-01", "2026-07-01")]
    months = [
        paper.lists(start, f"{start} 00:00", f"{end} 00:00", payment="variation", physical=False)
        for start, end in stretches
    ]
    hours, net, cash = (720, 744, 720), 0, 0
    for lots, ticks, mark in before:
        paper.trade(quarter, lots, ticks)
        paper.mark(quarter, mark)
        net, cash = net + lots, cash - lots * ticks * sum(hours) * 10_000
    paper.kernel.feed(Cascade(listing_id=quarter, into=months, price_ticks=price))
    assert paper.sums().get((CashKind.VARIATION, "EUR"), 0) == cash + net * price * sum(hours) * 10_000
    assert paper.kernel.of(PluginFault) == []
    held = [net] * 3
    for at, (lots, ticks, _) in enumerate(after):
        paper.trade(months[at % 3], lots, ticks)
        held[at % 3] += lots
        cash -= lots * ticks * hours[at % 3] * 10_000
    marks = [mark for _, _, mark in after[:3]] + [price] * (3 - len(after[:3]))
    for month, mark in zip(months, marks, strict=True):
        paper.mark(month, mark)
    value = sum(lots * mark * of * 10_000 for lots, mark, of in zip(held, marks, hours, strict=True))
    assert paper.sums().get((CashKind.VARIATION, "EUR"), 0) == cash + value


def test_parts_with_a_smaller_lot_take_more_of_them() -> None:
    paper = Paper(fee_micro_per_mwh=0).open()
    quarter = paper.lists("Q2", "2026-04-01 00:00", "2026-07-01 00:00", payment="variation", physical=False)
    months = [
        paper.lists(start, f"{start} 00:00", f"{end} 00:00", payment="variation", physical=False, lot_kw=100)
        for start, end in (("2026-04-01", "2026-05-01"), ("2026-05-01", "2026-06-01"), ("2026-06-01", "2026-07-01"))
    ]
    paper.trade(quarter, 2, 5_000)
    paper.kernel.feed(Cascade(listing_id=quarter, into=months, price_ticks=5_100))
    for month in months:
        paper.mark(month, 5_200)
    gains = [flow.amount_micro for flow in paper.flows(CashKind.VARIATION)]
    assert gains == [2 * 100 * hours * 10_000 for hours in (2_184, 720, 744, 720)]


def test_a_physical_future_is_delivered_at_its_last_settlement_price() -> None:
    paper = Paper("2026-02-20 12:00", fee_micro_per_mwh=0).open()
    month = paper.lists("M", "2026-03-01 00:00", "2026-04-01 00:00", payment="variation")
    paper.trade(month, 3, 5_000)
    paper.mark(month, 5_500)
    paper.until("2026-03-01 00:30")
    worth = 743 * 10_000
    assert paper.sums() == {(CashKind.VARIATION, "EUR"): 1_500 * worth, (CashKind.TRADE, "EUR"): -16_500 * worth}
    # So much for the energy in all: what it was bought for. It is then sold as any that nobody took.
    paper.imbalance(100.0, "2026-03-01 00:00")
    assert paper.sums()[CashKind.IMBALANCE, "EUR"] == 75 * EUR


def test_a_physical_future_traded_while_it_delivers_is_paid_at_once() -> None:
    paper = Paper("2026-03-10 12:00", fee_micro_per_mwh=0).open()
    month = paper.lists("M", "2026-03-01 00:00", "2026-04-01 00:00", payment="variation")
    paper.trade(month, 1, 5_000)
    assert paper.sums() == {(CashKind.TRADE, "EUR"): -5_000 * 743 * 10_000}


# Swaps.


def index(paper: Paper, prices: list[float], start: str, *, version: int = 0, series: str = "price.DE-LU.da") -> None:
    for at, price in enumerate(prices):
        start_ns = berlin(start) + at * HOUR_NS
        paper.observe(series, price, start_ns, start_ns + HOUR_NS, version=version)


def test_a_swap_pays_floating_less_fixed_once_the_month_is_known() -> None:
    paper = Paper().open()
    day = paper.lists("S", "2026-03-11 00:00", "2026-03-12 00:00", payment="monthly", physical=False)
    paper.trade(day, 2, 5_000, party="Acme", source=TradeSource.OTC)
    prices = [float(hour * 10 - 100) for hour in range(24)]  # some below zero
    index(paper, prices[:-1], "2026-03-11 00:00")
    assert paper.flows(CashKind.SWAP) == []
    index(paper, prices[-1:], "2026-03-11 23:00")
    (flow,) = paper.flows(CashKind.SWAP)
    assert flow.amount_micro == round(2 * (sum(prices) - 24 * 50)) * EUR
    assert (day_of(flow), flow.energy_wh) == ("2026-04-20", 48_000_000)
    index(paper, [0.0], "2026-03-11 00:00", version=1)  # was -100
    index(paper, [0.0], "2026-03-11 00:00", version=1)
    assert [flow.amount_micro for flow in paper.flows(CashKind.SWAP)[1:]] == [200 * EUR]


def test_a_deal_names_the_index_that_it_follows() -> None:
    paper = Paper().open()
    hour = paper.lists("S", "2026-03-11 00:00", "2026-03-11 01:00", payment="monthly", physical=False)
    paper.kernel.feed(Deal(deal_id="1", status="confirmed", who="me", terms={"index": "ours"}, listing_id=hour))
    paper.trade(hour, -1, 5_000, party="Acme", source=TradeSource.OTC)
    index(paper, [1.0], "2026-03-11 00:00")
    assert paper.flows() == []
    index(paper, [-20.0], "2026-03-11 00:00", series="ours")
    assert [flow.amount_micro for flow in paper.flows()] == [70 * EUR]


# Invoices.


def test_a_month_is_invoiced_when_it_is_over_and_again_when_its_prices_are_final() -> None:
    paper = Paper().open()
    hour = paper.lists("H", "2026-03-11 12:00", "2026-03-11 13:00")
    paper.trade(hour, 1, 5_000)
    paper.until("2026-03-11 13:00")
    paper.imbalance(40.0, "2026-03-11 12:00", 4)
    paper.until("2026-03-31 23:59")
    assert paper.invoices() == []
    paper.until("2026-04-01 00:00")
    cleared = ("ECC 2026-03 EUR", 1, True, [("trade", -5_000), ("fee", -10)])
    assert paper.invoices() == [cleared, ("TSO DE-LU 2026-03 EUR", 1, False, [("imbalance", 4_000)])]
    paper.imbalance(44.0, "2026-03-11 12:00", version=1)
    paper.until("2026-04-30 23:59")
    assert len(paper.invoices()) == 2
    paper.until("2026-05-01 00:00")  # after the 20th business day of April
    assert paper.invoices()[2:] == [("TSO DE-LU 2026-03 EUR", 2, True, [("imbalance", 4_100)])]
    paper.imbalance(48.0, "2026-03-11 12:00", version=2)  # late, and still paid: the invoice is drawn up once more
    assert day_of(paper.flows()[-1]) == "2026-05-04"  # 20 April has passed, 1 May is a holiday and a Friday
    paper.until("2026-05-03 00:00")
    assert paper.invoices()[3:] == [("TSO DE-LU 2026-03 EUR", 3, True, [("imbalance", 4_200)])]
    paper.kernel.stop()
    assert len(paper.invoices()) == 4
    assert paper.kernel.of(Alert) == []


def test_a_month_without_corrections_becomes_final_all_the_same() -> None:
    paper = Paper(fee_micro_per_mwh=0).open()
    paper.trade(paper.lists("H", "2026-03-11 12:00", "2026-03-11 13:00"), 1, 0)
    paper.until("2026-03-11 13:00")
    paper.imbalance(40.0, "2026-03-11 12:00", 4)
    paper.until("2026-05-03 00:00")
    assert [bill for bill in paper.invoices() if bill[0].startswith("TSO")] == [
        ("TSO DE-LU 2026-03 EUR", 1, False, [("imbalance", 4_000)]),
        ("TSO DE-LU 2026-03 EUR", 2, True, [("imbalance", 4_000)]),
    ]


def test_a_month_that_lacks_a_price_is_not_final() -> None:
    paper = Paper().open()
    paper.trade(paper.lists("H", "2026-03-11 12:00", "2026-03-11 13:00"), 1, 5_000)
    paper.until("2026-03-11 13:00")
    paper.imbalance(40.0, "2026-03-11 12:00", 3)
    paper.until("2026-05-01 00:00")
    assert paper.invoices()[-1][1:3] == (1, False)
    (alert,) = paper.kernel.of(Alert)
    assert (alert.code, alert.met) == (
        "settlement.price_missing",
        "1 price is missing in DE-LU for 2026-03, the first of the interval from 2026-03-11 11:45 UTC",
    )
    assert "imbalance.price.DE-LU" in alert.wanted and alert.subject == "2026-03 imbalance.price.DE-LU"
    paper.imbalance(40.0, "2026-03-11 12:45")
    paper.until("2026-05-03 00:00")
    assert paper.invoices()[-1][1:] == (2, True, [("imbalance", 4_000)])


def test_a_run_that_stops_leaves_drafts_and_a_later_session_goes_on() -> None:
    paper = Paper().open()
    paper.trade(paper.lists("H", "2026-03-11 12:00", "2026-03-11 13:00"), 1, 5_000)
    paper.kernel.stop()
    assert paper.invoices() == [("ECC 2026-03 EUR", 1, False, [("trade", -5_000), ("fee", -10)])]


# A restart.


def story(paper: Paper, half: int) -> None:
    """Do the first or the second half of something of everything."""
    if half == 1:
        paper.open()
        paper.hour = paper.lists("H", "2026-03-11 12:00", "2026-03-11 13:00")
        paper.swap = paper.lists("S", "2026-03-11 00:00", "2026-03-11 02:00", payment="monthly", physical=False)
        paper.month = paper.lists("M", "2026-04-01 00:00", "2026-05-01 00:00", payment="variation")
    for listing in (paper.hour, paper.swap, paper.month):
        paper.trade(listing, 2 * half, 100 * half, number=half)
    paper.mark(paper.month, 70 * half)
    index(paper, [10.0 * half], f"2026-03-11 0{half - 1}:00")
    paper.imbalance(10.0 * half, "2026-03-11 12:00", 2 * half, version=half)
    meter_ns = berlin("2026-03-11 12:00")
    paper.observe("meter.power", 0.5 * half, meter_ns, meter_ns + QUARTER_NS, version=half, unit="MWh")


@pytest.mark.parametrize("pause", ["2026-03-09 12:01", "2026-03-12 00:00", "2026-04-02 00:00"])
def test_a_restored_settlement_goes_on_as_the_first_would_have(pause: str) -> None:
    straight, halted = Paper(), Paper()
    for paper in (straight, halted):
        story(paper, 1)
        paper.until(pause)
    resumed = Paper()
    resumed.kernel.restore(halted.kernel.snapshot())
    resumed.hour, resumed.swap, resumed.month = halted.hour, halted.swap, halted.month
    count, own = len(straight.kernel.frames), len(resumed.kernel.frames)
    for paper in (straight, resumed):
        story(paper, 2)
        paper.until("2026-05-10 00:00")
        paper.kernel.stop()
    assert resumed.kernel.frames[own:] == straight.kernel.frames[count:]
    assert straight.kernel.of(PluginFault) == []
    assert {flow.kind for flow in resumed.kernel.of(CashFlow)} >= {CashKind.IMBALANCE, CashKind.SWAP}


def test_the_state_of_another_version_is_refused() -> None:
    paper = Paper().open()
    with pytest.raises(ValueError, match="^state of settlement met version 0, wanted 2"):
        paper.plugin.restore({"version": 0})


def test_what_is_long_over_is_let_go() -> None:
    paper = Paper(keep_days=5).open()
    paper.trade(paper.lists("H", "2026-03-11 12:00", "2026-03-11 13:00"), 1, 5_000)
    paper.until("2026-03-11 13:00")
    paper.imbalance(40.0, "2026-03-11 12:00", 4)
    paper.until("2026-05-02 00:00")
    paper.trade(paper.lists("later", "2026-05-04 12:00", "2026-05-04 13:00"), 1, 5_000)
    paper.flows()
    state = paper.plugin.snapshot()
    assert len(state["terms"]) == 1 and len(state["balancing"]["net"]) == 1
    assert state["balancing"]["ledger"]["told"] == []
    paper.imbalance(50.0, "2026-03-11 12:00", version=9)
    (alert,) = paper.kernel.of(Alert)
    assert alert.code == "settlement.bad_value" and "more than 5 days ago" in alert.met
