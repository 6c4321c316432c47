"""The made-up price day: complete, in time order, negative prices and a spike on every seed, one seed one day."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from penstock_plugins.feeds.session_times import FeedError
from penstock_plugins.feeds.synthetic_prices import SyntheticPrices, SyntheticPricesConfig
from penstock_plugins.venues.exchange import Exchange, ExchangeConfig
from penstock_sdk.events import AuctionResult, IdKind, Observation
from penstock_sdk.schema import Frame
from penstock_sdk.testing import SimKernel

MINUTE_NS = 60_000_000_000


def market(seed: int = 1, day: str = "2026-03-10", **config: Any) -> tuple[SimKernel, SyntheticPrices]:
    """Return a started exchange without background traders, and a feed that has given nothing yet.

    Imbalance prices are left out where a test does not ask for them.
    """
    kernel, config = SimKernel(seed=seed), {"imbalance_series": ""} | config
    kernel.add(Exchange, "exchange", ExchangeConfig(delivery_day=day, background=False))
    feed = kernel.add(SyntheticPrices, "prices", SyntheticPricesConfig(**({"delivery_day": day} | config)))
    kernel.start()
    return kernel, feed


@pytest.mark.parametrize(("day", "quarters"), [("2026-03-29", 92), ("2026-03-10", 96), ("2026-10-25", 100)])
def test_the_first_event_is_the_auction_of_every_contract(day: str, quarters: int) -> None:
    kernel, feed = market(day=day)
    at_ns, frame = next(feed.events())
    contracts, listings = kernel.definitions(IdKind.CONTRACT), kernel.definitions(IdKind.LISTING)
    assert at_ns == min(listing.opens_ns for listing in listings)
    assert isinstance(frame, Frame)
    results: list[AuctionResult] = list(frame.records())
    assert sorted(r.contract_id for r in results) == [c.contract_id for c in contracts]
    assert len(results) == quarters + quarters // 4
    assert {r.listing_id: r.contract_id for r in results} == {x.listing_id: x.contract_id for x in listings}
    # An hour is worth the mean of its quarters, but for rounding.
    price = {r.contract_id: r.price_ticks for r in results}
    for hour in (c for c in contracts if c.product == "H"):
        inside = [
            price[c.contract_id]
            for c in contracts
            if c.product == "QH" and hour.delivery_start_ns <= c.delivery_start_ns < hour.delivery_end_ns
        ]
        assert len(inside) == 4
        assert abs(price[hour.contract_id] - np.mean(inside)) <= 1.5


def test_observations_come_every_five_minutes_when_they_can_be_known() -> None:
    kernel, feed = market()
    events = list(feed.events())
    assert [at_ns for at_ns, _ in events] == sorted(at_ns for at_ns, _ in events)
    observed = [event for _, event in events[1:] if isinstance(event, Observation)]
    assert len(observed) == len(events) - 1
    last_delivery_ns = max(c.delivery_end_ns for c in kernel.definitions(IdKind.CONTRACT))
    assert observed[-1].valid_to_ns == last_delivery_ns
    for (at_ns, _), one in zip(events[1:], observed, strict=True):
        assert (one.valid_to_ns, one.known_at_ns) == (at_ns, at_ns)
        assert one.valid_to_ns - one.valid_from_ns == 5 * MINUTE_NS
        assert kernel.name_of(IdKind.SERIES, one.series_id) == "price.index"
        assert kernel.name_of(IdKind.UNIT, one.unit_id) == "EUR/MWh"
    assert {b.valid_from_ns - a.valid_to_ns for a, b in pairwise(observed)} == {0}


@pytest.mark.parametrize("seed", range(12))
def test_every_day_goes_below_zero_and_spikes(seed: int) -> None:
    _, feed = market(seed)
    values = [event.value for _, event in feed.events() if isinstance(event, Observation)]
    assert min(values) < -10.0
    assert max(values) >= SyntheticPricesConfig().spike_min
    assert max(values) <= SyntheticPricesConfig().spike_max
    assert 20.0 < np.median(values) < 110.0
    assert all(value == round(value, 2) for value in values)


@pytest.mark.parametrize(("day", "quarters"), [("2026-03-29", 92), ("2026-03-10", 96), ("2026-10-25", 100)])
def test_each_quarter_hour_has_an_imbalance_price_as_it_ends_and_some_a_second_one(day: str, quarters: int) -> None:
    kernel, feed = market(day=day, imbalance_series="imb")
    events = list(feed.events())
    assert [at_ns for at_ns, _ in events] == sorted(at_ns for at_ns, _ in events)
    observed = [event for _, event in events if isinstance(event, Observation)]
    ours = [one for one in observed if kernel.name_of(IdKind.SERIES, one.series_id) == "imb.DE-LU"]
    first = [one for one in ours if one.version == 1]
    contracts = kernel.definitions(IdKind.CONTRACT)
    start_ns = min(contract.delivery_start_ns for contract in contracts)
    assert [one.valid_from_ns for one in first] == [start_ns + at * 15 * MINUTE_NS for at in range(quarters)]
    assert all(one.known_at_ns == one.valid_to_ns == one.valid_from_ns + 15 * MINUTE_NS for one in first)
    again = [one for one in ours if one.version == 2]
    assert len(again) == quarters // 16 and len(ours) == len(first) + len(again)
    known = {one.valid_from_ns: one.known_at_ns for one in first}
    assert all(known[one.valid_from_ns] <= one.known_at_ns for one in again)
    # The index is what it is without them.
    index = [one.value for one in observed if one not in ours]
    assert index == [event.value for _, event in market(day=day)[1].events() if isinstance(event, Observation)]


def test_imbalance_prices_follow_the_index_and_go_below_zero() -> None:
    values = []
    for seed in range(4):
        kernel, feed = market(seed, imbalance_series="imb")
        series = kernel.intern_input(IdKind.SERIES, "imb.DE-LU")
        values += [e.value for _, e in feed.events() if isinstance(e, Observation) and e.series_id == series]
    assert min(values) < 0 < max(values)
    assert all(value == round(value, 2) for value in values)
    assert 20.0 < np.median(values) < 110.0


def test_the_same_seed_gives_the_same_day() -> None:
    def day(seed: int) -> list[float]:
        return [event.value for _, event in market(seed)[1].events() if isinstance(event, Observation)]

    assert day(1) == day(1)
    assert day(1) != day(2)


def test_midday_is_cheap_and_the_evening_dear() -> None:
    kernel, feed = market(day="2026-07-01")
    _, frame = next(feed.events())
    assert isinstance(frame, Frame)
    price = {r.contract_id: r.price_ticks for r in frame.records()}
    hours = [price[c.contract_id] for c in kernel.definitions(IdKind.CONTRACT) if c.product == "H"]
    assert int(np.argmin(hours)) in range(11, 16)
    assert int(np.argmax(hours)) in range(17, 22)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"zone": "FR"}, "^no listing of zone 'FR' delivers on 2026-03-10; listings stand for DE-LU: give the feed"),
        ({"delivery_day": "2026-03-11"}, "^no listing of zone 'DE-LU' delivers on 2026-03-11"),
        ({"delivery_day": "soon"}, "^delivery_day met 'soon', wanted a date such as '2026-03-10'"),
    ],
)
def test_a_feed_without_its_market_says_what_is_missing(config: dict[str, Any], says: str) -> None:
    with pytest.raises(FeedError, match=says):
        next(market(**config)[1].events())


def test_a_feed_without_any_venue_says_so() -> None:
    feed = SimKernel().add(SyntheticPrices, "prices")
    with pytest.raises(FeedError, match="listings stand for no zone: give the feed and the venue the same zone"):
        next(feed.events())
