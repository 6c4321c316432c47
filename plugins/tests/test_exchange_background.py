"""Background traders: a day's volume and shape within stated bounds, index followed, the same seed the same bytes."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from penstock_plugins.feeds.synthetic_prices import SyntheticPrices, SyntheticPricesConfig
from penstock_plugins.venues.exchange import Exchange, ExchangeConfig, ExchangeError
from penstock_sdk.compiled import NO_JIT_ENV
from penstock_sdk.events import (
    Alert,
    AuctionResult,
    BookPriceDelta,
    ExecutionReport,
    IdKind,
    IntentAction,
    Observation,
    Order,
    OrderKind,
    OrderState,
    PluginFault,
    Quote,
    ReportKind,
    Severity,
    Side,
    Trade,
)
from penstock_sdk.schema import ABSENT, Record, layout_of
from penstock_sdk.testing import SimKernel
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES

MINUTE_NS = 60_000_000_000
HOUR_NS = 60 * MINUTE_NS


def array_of(kernel: SimKernel, cls: type[Record]) -> npt.NDArray[Any]:
    """Return every record of a type as one array: fast, for a day holds a million."""
    layout = layout_of(cls)
    bodies = [
        data[HEADER_BYTES : HEADER_BYTES + size]
        for data in kernel.frames
        for size, schema_id in (HEADER.unpack_from(data)[:2],)
        if schema_id == layout.id
    ]
    return np.frombuffer(b"".join(bodies), layout.dtype)


class Day(NamedTuple):
    kernel: SimKernel
    exchange: Exchange


def run_day(seed: int, *, until_hours: float = 48.0, feed: bool = True, **config: Any) -> Day:
    kernel = SimKernel(seed=seed)
    exchange = kernel.add(Exchange, "exchange", ExchangeConfig(**config))
    if feed:
        kernel.add(SyntheticPrices, "prices", SyntheticPricesConfig(delivery_day=exchange.config.delivery_day))
    kernel.start()
    first_ns = min(listing.opens_ns for listing in kernel.definitions(IdKind.LISTING))
    kernel.run_until(first_ns + round(until_hours * HOUR_NS))
    return Day(kernel, exchange)


@cache
def full_day() -> Day:
    """Return the default day, run once for all tests that only look."""
    return run_day(1)


def test_a_full_day_has_the_volume_that_the_config_asks_for() -> None:
    day = full_day()
    orders = day.exchange.ctx.cell("background_orders").n
    # A Poisson count of mean 300,000 (sd 550), summed over steps of the profile: two per cent is far outside chance.
    assert 294_000 <= orders <= 306_000
    records = {cls: len(array_of(day.kernel, cls)) for cls in (BookPriceDelta, Trade, Quote)}
    assert records[BookPriceDelta] >= 400_000
    assert records[Trade] >= 60_000
    assert records[Quote] >= 80_000
    assert sum(records.values()) >= 600_000
    assert not day.kernel.of(PluginFault)
    assert not day.kernel.of(Alert)


def test_quotes_are_never_crossed_and_almost_always_two_sided() -> None:
    quotes = array_of(full_day().kernel, Quote)
    both = (quotes["bid_lots"] > 0) & (quotes["ask_lots"] > 0)
    assert both.mean() > 0.97
    spread_ticks = (quotes["ask_ticks"] - quotes["bid_ticks"])[both]
    assert spread_ticks.min() > 0
    assert 20 <= np.median(spread_ticks) <= 300
    empty = quotes["bid_ticks"] == ABSENT
    assert (quotes["bid_lots"][empty] == 0).all()


def test_every_contract_trades_more_towards_its_gate() -> None:
    day = full_day()
    trades = array_of(day.kernel, Trade)
    gates = {listing.listing_id: listing.gate_closure_ns for listing in day.kernel.definitions(IdKind.LISTING)}
    lead_ns = np.array([gates[i] for i in trades["listing_id"].tolist()]) - trades["source_ns"]
    assert lead_ns.min() > 0
    assert set(trades["listing_id"].tolist()) == set(gates)
    last_hour = (lead_ns <= HOUR_NS).sum()
    an_hour_before = ((lead_ns > 5 * HOUR_NS) & (lead_ns <= 6 * HOUR_NS)).sum()
    assert last_hour > 2 * an_hour_before


def test_prices_go_negative_spike_and_follow_the_index() -> None:
    day = full_day()
    trades, index = array_of(day.kernel, Trade), array_of(day.kernel, Observation)
    index = index[index["valid_to_ns"] - index["valid_from_ns"] == 5 * MINUTE_NS]  # not the imbalance prices
    assert trades["price_ticks"].min() < 0
    assert trades["price_ticks"].max() > 20_000
    dealt, observed = [], []
    for listing in day.kernel.definitions(IdKind.LISTING):
        gate_ns = listing.gate_closure_ns
        last = (trades["listing_id"] == listing.listing_id) & (trades["source_ns"] > gate_ns - 15 * MINUTE_NS)
        known = (index["known_at_ns"] > gate_ns - 20 * MINUTE_NS) & (index["known_at_ns"] <= gate_ns)
        if last.any() and known.any():
            dealt.append(np.median(trades["price_ticks"][last]) / 100)
            observed.append(np.median(index["value"][known]))
    assert len(dealt) > 100
    assert np.corrcoef(dealt, observed)[0, 1] > 0.8


def test_the_index_moves_what_delivers_soon_and_hardly_what_delivers_late() -> None:
    def mids(jump: float) -> dict[int, float]:
        day = run_day(5, feed=False, until_hours=10.0, delivery_day="2026-06-10", orders_per_day=900_000)
        kernel, series = day.kernel, day.kernel.intern(IdKind.SERIES, "price.index")
        contracts = kernel.definitions(IdKind.CONTRACT)
        for contract in contracts:
            kernel.feed(AuctionResult(contract.contract_id, price_ticks=-1_000))
        start_ns = contracts[0].delivery_start_ns
        for end_ns in range(start_ns + 2 * HOUR_NS, start_ns + 2 * HOUR_NS + 15 * MINUTE_NS, 5 * MINUTE_NS):
            value = -10.0 + jump
            kernel.feed(
                Observation(
                    series, valid_from_ns=end_ns - 5 * MINUTE_NS, valid_to_ns=end_ns, known_at_ns=end_ns, value=value
                ),
                at_ns=end_ns,
            )
        kernel.run_until(kernel.moment.now_ns + 5 * MINUTE_NS)
        quotes = array_of(kernel, Quote)[-20_000:]
        quotes = quotes[(quotes["bid_lots"] > 0) & (quotes["ask_lots"] > 0)]
        last = {q["listing_id"]: (q["bid_ticks"] + q["ask_ticks"]) / 200 for q in quotes}
        return {number: last[listing_id] for number, listing_id in enumerate(range(1, 97)) if listing_id in last}

    calm, moved = mids(0.0), mids(300.0)
    near, late = 10, 80  # quarter-hours from 02:30, an instant away, and from 20:00
    assert abs(calm[near] - -10.0) < 6.0
    assert moved[near] - calm[near] > 100.0
    assert abs(moved[late] - calm[late]) < 6.0


def test_without_any_feed_the_day_trades_around_the_configured_price() -> None:
    day = run_day(2, feed=False, until_hours=4.0, price_start=-35.0)
    trades = array_of(day.kernel, Trade)
    assert len(trades) > 500
    assert abs(trades["price_ticks"].mean() / 100 - -35.0) < 3.0


def test_a_market_that_opens_without_any_price_to_go_by_says_so_once() -> None:
    day = run_day(2, feed=False, until_hours=1.0, price_start=-35.0)
    (alert,) = day.kernel.of(Alert)
    assert (alert.code, alert.severity, alert.subject) == (
        "exchange.no_fundamental",
        Severity.WARNING,
        "price.index",
    )
    assert alert.met == "trading opens with no observation of price.index and no auction result"
    assert "price_start, -35" in alert.wanted
    assert "add a price feed whose index_series is 'price.index'" in alert.way_out
    # Not told again after a restart, nor where nobody trades by it.
    restored = SimKernel(seed=2)
    restored.add(Exchange, "exchange", ExchangeConfig(price_start=-35.0))
    restored.restore(day.kernel.snapshot())
    restored.run_until(day.kernel.moment.now_ns + HOUR_NS)
    assert len(restored.of(Trade)) > 100
    assert not restored.of(Alert)
    assert not run_day(2, feed=False, until_hours=1.0, background=False).kernel.of(Alert)


@pytest.mark.parametrize("told", ["auction", "index", "another index", "index without a value"])
def test_one_auction_or_one_value_of_the_index_is_a_price_to_go_by(told: str) -> None:
    day = run_day(2, feed=False, until_hours=0.0)
    kernel, series = day.kernel, day.kernel.intern(IdKind.SERIES, "price.index")
    events = {
        "auction": AuctionResult(kernel.definitions(IdKind.CONTRACT)[0].contract_id, price_ticks=-1_000),
        "index": Observation(series, valid_from_ns=0, valid_to_ns=1, value=7.0),
        "another index": Observation(series + 1, valid_from_ns=0, valid_to_ns=1, value=7.0),
        "index without a value": Observation(series, valid_from_ns=0, valid_to_ns=1, value=float("nan")),
    }
    kernel.feed(events[told])
    kernel.run_until(kernel.moment.now_ns + MINUTE_NS)
    wanted = told not in ("auction", "index")
    assert ("exchange.no_fundamental" in [alert.code for alert in kernel.of(Alert)]) == wanted


def test_an_index_value_that_is_no_number_is_an_alert_and_changes_nothing() -> None:
    day = run_day(2, feed=False, until_hours=1.0)
    before = day.exchange.snapshot()["days"][0]["tables"]
    series = day.kernel.intern(IdKind.SERIES, "price.index")
    for value in (float("nan"), float("inf"), -1e12):
        day.kernel.feed(Observation(series, valid_from_ns=0, valid_to_ns=1, value=value))
    day.kernel.feed(Observation(series + 1, valid_from_ns=0, valid_to_ns=1, value=1.0))
    alerts = [alert.code for alert in day.kernel.of(Alert)]
    assert alerts == ["exchange.no_fundamental", *["exchange.index_value"] * 3]
    for was, now in zip(before, day.exchange.snapshot()["days"][0]["tables"], strict=True):
        np.testing.assert_array_equal(was, now)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    short = {"until_hours": 3.0}
    digests = [run_day(seed, **short).kernel.digest() for seed in (1, 1, 2)]
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_a_day_restored_from_a_snapshot_goes_on_identically() -> None:
    straight = run_day(9, until_hours=12.0, feed=False)
    half = run_day(9, until_hours=9.0, feed=False)
    held = half.kernel.snapshot()
    other = SimKernel(seed=9)
    other.add(Exchange, "exchange", ExchangeConfig())
    attached = len(other.frames)
    other.restore(held)
    for kernel in (half.kernel, other):
        kernel.run_until(straight.kernel.moment.now_ns)
    told = b"".join(other.frames[attached:])
    assert len(told) > 1_000_000
    assert b"".join(straight.kernel.frames).endswith(told)
    assert b"".join(half.kernel.frames) == b"".join(straight.kernel.frames)


def test_a_snapshot_of_another_config_is_refused() -> None:
    held = run_day(9, until_hours=0.1, feed=False).exchange.snapshot()
    other = run_day(9, until_hours=0.1, feed=False, order_capacity=2_000).exchange
    with pytest.raises(ExchangeError, match="^snapshot holds a table of shape .*restore with the config of the run"):
        other.restore(held)


def test_background_traders_meet_our_orders_and_get_no_reports_of_their_own() -> None:
    day = run_day(4, feed=False, until_hours=2.0)
    kernel, exchange = day.kernel, day.exchange
    kernel.cascade.admit = lambda event, venue: event  # these orders went past the desk, which would refuse reports
    listing = kernel.definitions(IdKind.LISTING)[0]
    quote = [q for q in array_of(kernel, Quote) if q["listing_id"] == listing.listing_id][-1]
    # The best bid and offer of the book by one tick: noise traders hit them first.
    sides = ((Side.BUY, int(quote["bid_ticks"]) + 1), (Side.SELL, int(quote["ask_ticks"]) - 1))
    for number, (side, price) in enumerate(sides, 1):
        exchange.on_order(
            Order(
                number, listing.listing_id, IntentAction.NEW, side, OrderKind.LIMIT, OrderState.ROUTED, price, 9,
                strategy_id=number + 20,
            )
        )  # fmt: skip
    kernel.run_until(kernel.moment.now_ns + 2 * HOUR_NS)
    fills = [r for r in kernel.of(ExecutionReport) if r.kind == ReportKind.FILL]
    assert {r.order_id for r in kernel.of(ExecutionReport)} <= {1, 2}
    assert fills
    trades = {t["trade_id"]: t for t in array_of(kernel, Trade)}
    for fill in fills:
        side, price = sides[fill.order_id - 1]
        assert (fill.side, fill.last_ticks, fill.strategy_id) == (side, price, fill.order_id + 20)
        trade = trades[fill.trade_id]
        assert (trade["price_ticks"], trade["qty_lots"], trade["listing_id"]) == (
            price,
            fill.last_lots,
            fill.listing_id,
        )
        assert trade["aggressor"] != side


def test_plain_python_and_compiled_code_make_the_same_day(monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"until_hours": 1.25, "feed": False, "orders_per_day": 60_000, "products": ("H",)}
    compiled = run_day(6, **config)
    monkeypatch.setenv(NO_JIT_ENV, "1")
    plain = run_day(6, **config)
    assert compiled.exchange.ctx.cell("background_orders").n > 200
    assert plain.kernel.digest() == compiled.kernel.digest()


def test_a_short_session_trades_as_busily_as_the_full_one() -> None:
    day = run_day(1, feed=False, open_lead_hours=0.5)
    listings = day.kernel.definitions(IdKind.LISTING)
    assert all(listing.gate_closure_ns - listing.opens_ns == HOUR_NS // 2 for listing in listings)
    assert 10_000 < day.exchange.ctx.cell("background_orders").n < 60_000


def test_a_market_entered_in_mid_session_opens_at_once_and_fills_its_books() -> None:
    whole = run_day(1, feed=False, until_hours=0.1).kernel
    noon_ns = min(contract.delivery_start_ns for contract in whole.definitions(IdKind.CONTRACT)) + 12 * HOUR_NS
    kernel = SimKernel(seed=1, start_ns=noon_ns)
    exchange = kernel.add(Exchange, "exchange")
    kernel.start()
    kernel.run_until(noon_ns + 15 * MINUTE_NS)
    listings = kernel.definitions(IdKind.LISTING)
    quoted = {quote["listing_id"] for quote in array_of(kernel, Quote)}
    assert quoted == {listing.listing_id for listing in listings if listing.gate_closure_ns > noon_ns}
    assert 40 < len(quoted) < 70
    assert exchange.ctx.cell("background_orders").n > 3_000
    assert not kernel.of(PluginFault)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"zone": "DELU"}, "^zone 'DELU' is not known; did you mean 'DE-LU'?"),
        ({"delivery_day": "10.3.2026"}, "^delivery_day met '10.3.2026', wanted a date such as '2026-03-10'"),
        ({"products": ()}, "^products is empty, wanted some of QH, H, HH, 5M, BASE and PEAK"),
        (
            {"tick_micro": 1, "lot_kw": 1},
            "^one tick on one lot of DE-LU QH .* is no whole number .* tick_micro 1 and lot_kw 1",
        ),
        (
            {"gate_lead_minutes": 1_440, "open_lead_hours": 0, "products": ("QH",)},
            "would open .* after its gate closes",
        ),
    ],
)
def test_a_config_that_makes_no_market_says_so_at_start(config: dict[str, Any], says: str) -> None:
    kernel = SimKernel()
    exchange = kernel.add(Exchange, "exchange", ExchangeConfig(**config))
    with pytest.raises(ValueError, match=says):
        exchange.on_start()


def test_shares_that_leave_nobody_to_trade_with_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^informed_share met 0.5, wanted at most 0.9 together with noise_share = 0.5"
    ):
        ExchangeConfig(informed_share=0.5, noise_share=0.5)
