"""A trade told after delivery goes on from what its account had: last rows are true and add up to the totals."""

from __future__ import annotations

import pickle

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock_plugins.portfolio.positions import Positions, PositionsConfig
from penstock_sdk.events import Alert, ExternalTrade, PluginFault, Pnl, PnlAttribution, Position, Side, TradeSource
from penstock_sdk.plugin import Strategy
from penstock_sdk.schema import ABSENT
from plugins.tests.portfolio_market import Futures
from plugins.tests.settlement_market import berlin
from plugins.tests.test_portfolio_paid import BOOKS, Desk

BUY, SELL = int(Side.BUY), int(Side.SELL)
CASH = 250
FEE = 2_500  # 0.1 EUR/MWh on 0.1 MW for a quarter-hour
HOUR_NS = 3_600_000_000_000
QUARTER_NS = HOUR_NS // 4
DAY_NS = 24 * HOUR_NS


def build(bench, config=None, listings=3):
    made = bench(listings=listings)
    made.folio = made.add(Positions, "portfolio", config or PositionsConfig())
    made.a = made.add(Strategy, "a")
    made.news = 0
    return made.start()


def trade(made, side, price, lots, *, listing_id=1, book=1, strategy=0, number=ABSENT, source=TradeSource.SCREEN):
    made.kernel.feed(
        ExternalTrade(
            listing_id, side, 0, source, price, lots, number, strategy_id=strategy, book_id=book, traded_ns=0
        )
    )  # fmt: skip


def settle(made):
    """Announce a listing far off: what has been delivered by now is settled."""
    made.news += 1
    made.kernel.add_listing(f"NEWS {made.news}", made.venue.ctx.plugin_id, start_ns=(400 + made.news) * DAY_NS)


def last(made, kind):
    return {(row.book_id, row.strategy_id, row.listing_id): row for row in made.kernel.of(kind)}


def check_sums(made):
    """The last rows of an account's listings add up to its total, figure by figure."""
    for kind in (Pnl, PnlAttribution):
        rows = last(made, kind)
        names = [name for name in kind.__struct_fields__ if name.endswith("_micro") or name == "unpriced_fills"]
        for account in {key[:2] for key in rows}:
            parts = [row for key, row in rows.items() if key[:2] == account and key[2]]
            for name in names:
                assert getattr(rows[*account, 0], name) == sum(getattr(row, name) for row in parts), (account, name)


def test_a_sale_told_after_delivery_closes_what_was_bought_before_it(bench):
    made = build(bench)
    trade(made, BUY, 0, 100)
    made.kernel.run_until(2 * HOUR_NS)
    settle(made)
    trade(made, SELL, -1000, 100)
    for _ in range(2):  # told at once, and after it has been settled again
        position, pnl = last(made, Position)[1, 0, 1], last(made, Pnl)
        assert (position.net_lots, position.bought_lots, position.sold_lots) == (0, 100, 100)
        assert position.cash_micro == -100 * 1000 * CASH
        made.kernel.run_until(made.kernel.moment.now_ns + HOUR_NS)
        pnl = last(made, Pnl)
        assert (pnl[1, 0, 1].realised_micro, pnl[1, 0, 1].fees_micro) == (-25_000_000, 500_000)
        assert (pnl[1, 0, 0].realised_micro, pnl[1, 0, 0].fees_micro) == (-25_000_000, 500_000)
        check_sums(made)
        settle(made)
    assert made.kernel.of(PluginFault) == []


def test_what_is_still_held_is_valued_at_the_mark_it_was_settled_at(bench):
    made = build(bench)
    trade(made, BUY, 1000, 10)
    made.quote(1, (1, 1400, 1, 1600, 1))
    made.kernel.run_until(2 * HOUR_NS)
    settle(made)
    trade(made, SELL, 900, 4)
    trade(made, BUY, 800, 2, book=2)
    settle(made)
    rows = last(made, Pnl)
    assert rows[1, 0, 1].realised_micro == (-10 * 1000 + 4 * 900 + 6 * 1500) * CASH
    assert rows[2, 0, 1].realised_micro == 2 * (1500 - 800) * CASH
    assert rows[1, 0, 1].mark_ticks == rows[2, 0, 1].mark_ticks == 1500
    check_sums(made)


def test_figures_of_delivered_listings_are_forgotten_after_a_while(bench):
    made = build(bench, PositionsConfig(late_days=3))
    closed = made.folio._ledger.closed
    trade(made, BUY, 1000, 10)
    made.kernel.run_until(DAY_NS)
    settle(made)
    empty = len(pickle.dumps(closed.snapshot())) - 150
    assert (1, 0, 1) in closed
    trade(made, SELL, 1000, 10, book=2)
    assert (1, 0, 1) in closed
    assert (2, 0, 1) not in closed
    made.kernel.run_until(3 * DAY_NS)
    settle(made)
    assert (1, 0, 1) in closed
    assert (2, 0, 1) in closed
    made.kernel.run_until(7 * DAY_NS)
    trade(made, BUY, 1, 1, listing_id=2)
    settle(made)
    settle(made)
    assert (1, 0, 1) not in closed
    assert (2, 0, 1) not in closed
    assert (1, 0, 2) in closed
    assert len(pickle.dumps(closed.snapshot())) <= empty + 400
    assert made.kernel.of(PluginFault) == []


def test_a_part_that_cascades_alone_have_made_flat_is_in_the_total(bench):
    made = build(bench, listings=0)
    futures = Futures(made)
    months = [futures.add(f"M{nth}", (40 + nth) * DAY_NS, 24) for nth in range(3)]
    wholes = [
        futures.add(name, 40 * DAY_NS, 72, into=("M0", "M1", "M2"), ends_ns=(30 + nth) * DAY_NS)
        for nth, name in enumerate(("Q", "OTHER"))
    ]
    futures.trade(wholes[0], BUY, 1000, 1)
    futures.trade(wholes[1], SELL, 1200, 1)
    made.kernel.run_until(32 * DAY_NS)
    made.kernel.stop()
    rows = last(made, Pnl)
    assert [last(made, Position)[1, 0, month].net_lots for month in months] == [0, 0, 0]
    assert rows[1, 0, 0].realised_micro == 200 * 72 * 10_000
    assert sum(rows[1, 0, month].realised_micro for month in months) == rows[1, 0, 0].realised_micro
    check_sums(made)
    assert made.kernel.of(Alert) == []


TRADES = st.tuples(
    st.just("trade"), st.integers(1, 3), st.sampled_from([(1, 0), (1, 7), (2, 0)]), st.sampled_from([BUY, SELL]),
    st.integers(-2000, 2000), st.integers(1, 30),
)  # fmt: skip
STEPS = st.lists(
    TRADES | st.tuples(st.just("settle")) | st.tuples(st.just("wait"), st.sampled_from([1, 4, 9]))
    | st.tuples(st.just("restart")),
    min_size=2, max_size=40,
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.lists(st.integers(-1500, 1500), min_size=3, max_size=3))
def test_however_trades_and_deliveries_fall_the_last_rows_are_those_of_all_trades(bench, steps, mids):
    made = build(bench)
    for listing_id, mid in enumerate(mids, 1):
        made.quote(listing_id, (listing_id, mid - 1, 1, mid + 1, 1))
        trade(made, BUY, mid, 1, listing_id=listing_id, book=9)  # so that somebody holds it when it is settled
    dealt = {(9, 0, listing_id): [(1, mid)] for listing_id, mid in enumerate(mids, 1)}
    for what, *rest in steps:
        if what == "trade":
            listing_id, (book, strategy), side, price, lots = rest
            trade(made, side, price, lots, listing_id=listing_id, book=book, strategy=strategy)
            dealt.setdefault((book, strategy, listing_id), []).append((lots if side == BUY else -lots, price))
        elif what == "settle":
            settle(made)
        elif what == "wait":
            made.kernel.run_until(made.kernel.moment.now_ns + rest[0] * QUARTER_NS)
        else:
            held = pickle.loads(pickle.dumps(made.folio.snapshot()))
            made.folio.restore(held)
    made.kernel.stop()
    assert made.kernel.of(PluginFault) == []
    assert made.kernel.of(Alert) == []
    positions, rows, parts = (last(made, kind) for kind in (Position, Pnl, PnlAttribution))
    assert set(positions) == set(dealt) == {key for key in rows if key[2]} == {key for key in parts if key[2]}
    for key, trades in dealt.items():
        net, cash = sum(lots for lots, _ in trades), -sum(lots * price for lots, price in trades) * CASH
        position, row, part = positions[key], rows[key], parts[key]
        assert (position.net_lots, position.cash_micro) == (net, cash)
        assert position.bought_lots == sum(lots for lots, _ in trades if lots > 0)
        assert position.bought_lots - position.sold_lots == net
        made_micro = cash + net * mids[key[2] - 1] * CASH
        assert row.realised_micro + row.unrealised_micro == made_micro
        assert row.fees_micro == part.fees_micro == FEE * sum(abs(lots) for lots, _ in trades)
        assert (part.market_micro, part.delay_micro, part.execution_micro) == (made_micro, 0, 0)
        assert part.unpriced_fills == len(trades)
    check_sums(made)


LATE = st.lists(
    st.tuples(
        st.just("trade"), st.sampled_from(["H", "Q", "SWAP"]), st.integers(-9, 9).filter(bool),
        st.integers(-900, 900), st.sampled_from(BOOKS),
    ) | st.tuples(st.just("price"), st.integers(0, 3), st.integers(-5_000, 5_000))
    | st.tuples(st.just("index"), st.integers(-5_000, 5_000)) | st.tuples(st.just("mark"), st.integers(-900, 900))
    | st.tuples(st.just("settle")) | st.tuples(st.just("restart")),
    min_size=1, max_size=25,
)  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(LATE, LATE)
def test_with_late_trades_too_profit_is_cash_once_all_is_paid(before, after):
    desk = Desk("2026-03-09 12:00", pnl_period_s=3_600.0).open()
    hours = ("2026-03-11 05:00", "2026-03-11 06:00")
    listings = {
        "H": desk.lists("H", *hours),
        "Q": desk.lists("Q", "2026-03-11 05:15", "2026-03-11 05:30"),
        "SWAP": desk.lists("SWAP", *hours, payment="monthly", physical=False),
    }
    desk.trade(listings["H"], 1, 100)
    desk.flows()  # somebody tells of money
    desk.until("2026-03-09 13:00")
    start_ns = berlin(hours[0])
    version = 0
    for at, (what, *rest) in enumerate([*before, ("over",), *after, *(("price", nth, 7) for nth in range(4))]):
        version += 1
        if what == "over":
            desk.until("2026-03-11 07:00")
        elif what == "trade":
            name, lots, ticks, book = rest
            desk.trade(listings[name], lots, ticks, book=book)
        elif what == "price" and at > len(before):
            from_ns = start_ns + rest[0] * QUARTER_NS
            desk.observe("imbalance.price.DE-LU", rest[1] / 100, from_ns, from_ns + QUARTER_NS, version=version)
        elif what == "index":
            desk.observe("price.DE-LU.da", rest[0] / 100, start_ns, start_ns + HOUR_NS, version=version)
        elif what == "mark":
            for listing_id in listings.values():
                desk.mark(listing_id, rest[0])
        elif what == "settle":
            desk.lists(f"NEWS {at}", f"2026-04-{1 + at % 28:02} 00:00", f"2026-04-{1 + at % 28:02} 01:00")
        elif what == "restart":
            desk.flows()
            desk.again()
    desk.observe("price.DE-LU.da", 55.5, start_ns, start_ns + HOUR_NS, version=version + 1)
    desk.flows()
    desk.until("2026-03-11 09:00")
    assert desk.profit() == desk.cash()
    desk.sound()
