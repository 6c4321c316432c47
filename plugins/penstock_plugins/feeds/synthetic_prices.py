"""Made-up power days: each day-ahead auction's result, an index price every five minutes, imbalance prices.

The day has the shape that solar and wind give a European zone: a morning peak, a solar dip that takes midday below zero
on sunny days, an evening peak. Around it the index wanders, spikes to several hundred or thousand and falls below zero;
every day holds at least one of each. All randomness is the context's: the same seed gives the same day.

As a quarter-hour of a delivery day ends, its imbalance price follows, around what the index was; every four hours one
of those is corrected in a second version.

Of a single delivery day the index begins when trading does, on the day before, and one shape reaches over both. Of
several, each local day has its own draws, from the seed and its date: a day is the same wherever the run began.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from penstock_plugins.feeds.session_times import DayListings, FeedError, day_listings
from penstock_sdk.energy import Days, EnergyError, TradingDays, day_contracts, delivery_day, ns_to_local
from penstock_sdk.events import AuctionResult, IdKind, Observation
from penstock_sdk.plugin import Feed
from penstock_sdk.schema import Event, Frame

__all__ = ["SyntheticPrices", "SyntheticPricesConfig"]

INTERVAL_NS = 300_000_000_000
_EXCURSION_STEPS_MAX = 4
_EXCURSION_GAP_STEPS = 24
_STEPS_PER_QUARTER = 3
_CORRECTED_EVERY = 16
"""Of so many quarter-hours one imbalance price is corrected, as the last of them ends."""
_IMBALANCE_KEY = 10_000_000
"""Beyond any date's number: imbalance prices draw from a generator of their own, so that the index does not change."""

F64 = npt.NDArray[np.float64]


class SyntheticPricesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the made-up day looks. Prices in EUR/MWh (the zone's currency)."""

    zone: str = "DE-LU"
    """Bidding zone, as the venue's."""
    delivery_day: str = "2026-03-10"
    """Local delivery date, the first one where there are several."""
    days: Days = 1
    """How many delivery days in a row, or "rolling", as the venue's."""
    index_series: str = "price.index"
    """The series that observations carry; the venue follows the one of this name."""
    unit: str = "EUR/MWh"
    """The unit that observations carry."""
    imbalance_series: str = "imbalance.price"
    """Series PREFIX.ZONE carry the imbalance prices of delivery days; empty: there are none."""
    imbalance_sd: Annotated[float, msgspec.Meta(ge=0)] = 35.0
    """Standard deviation of an imbalance price around the index of its quarter-hour."""
    base_price: float = 72.0
    """The level around which the day is shaped."""
    solar_dip_min: Annotated[float, msgspec.Meta(ge=0)] = 55.0
    """How deep the midday dip is on the dullest day …"""
    solar_dip_max: Annotated[float, msgspec.Meta(ge=0)] = 125.0
    """… and on the sunniest."""
    noise_sd: Annotated[float, msgspec.Meta(ge=0)] = 7.0
    """Standard deviation of the index around its shape, spikes aside."""
    noise_half_life_minutes: Annotated[float, msgspec.Meta(gt=0)] = 40.0
    """In how long the index goes back half of the way to its shape."""
    spike_min: Annotated[float, msgspec.Meta(gt=0)] = 320.0
    """The lowest peak of a spike."""
    spike_max: Annotated[float, msgspec.Meta(gt=0)] = 3_500.0
    """The highest peak of a spike."""
    spikes_mean: Annotated[float, msgspec.Meta(ge=0, le=50)] = 2.0
    """How many spikes come on average beside the first."""
    plunges_mean: Annotated[float, msgspec.Meta(ge=0, le=50)] = 1.5
    """How many excursions below zero come on average beside the first."""


class _Made(NamedTuple):
    """A local day's figures, in five-minute steps from its midnight."""

    shape: F64
    hour_error: F64
    prices: F64


class SyntheticPrices(Feed):
    """Each day-ahead result at its first opening, an index price every five minutes after the first of them."""

    Config = SyntheticPricesConfig
    config: SyntheticPricesConfig

    def on_start(self) -> None:
        """Give names their ids, and note where the feed begins."""
        self._ids()
        self._imbalance_id()
        # Of a single day that is entered late all is told at once, as that is all there is to know of it.
        self.ctx.state["from_ns"] = self.ctx.now_ns if self.config.days != 1 else 0

    def on_resume(self) -> None:
        """Go on from now; what the index was in the gap is not told. A day's auction result is told again."""
        self._ids()
        self._imbalance_id()
        self.ctx.state["from_ns"] = self.ctx.now_ns

    def events(self) -> Iterator[tuple[int, Event]]:
        """Yield a frame of AuctionResult at each day's first opening, and an Observation as each five minutes end.

        Endless where the days are: what comes is made a day at a time.

        Raises:
            FeedError: no listing of the zone and day stands.
        """
        return self._one_day() if self.config.days == 1 else self._many_days()

    def _one_day(self) -> Iterator[tuple[int, Event]]:
        config, random = self.config, self.ctx.random
        day = day_listings(self.ctx, config.zone, config.delivery_day)
        first_ns = _grid_start(day)
        from_ns = self.ctx.state.get("from_ns", 0)
        shape = self._shape(random, first_ns, day.day_end_ns, day.timezone)
        hour_error = self._hour_error(random, day.day_start_ns, day.day_end_ns)
        yield max(day.opens_ns, from_ns), self._auction(day, shape, first_ns, hour_error)
        index = self._index(random, shape)
        delivered = index[(day.day_start_ns - first_ns) // INTERVAL_NS :]
        ordinal = ns_to_local(day.day_start_ns, day.timezone).toordinal()
        imbalance = self._imbalance(ordinal, day.day_start_ns, delivered)
        for at_ns, event in _by_time(self._observations(first_ns, index), imbalance):
            if at_ns >= from_ns:
                yield at_ns, event

    def _many_days(self) -> Iterator[tuple[int, Event]]:
        """Merge what is told in the order of time; an auction comes before the index of its moment.

        A later day that was never listed, as while nobody was up, has no result: only the first must be there.
        """
        try:
            days = TradingDays.of(self.config.zone, self.config.delivery_day, self.config.days)
        except EnergyError:
            raise
        except ValueError as error:
            raise FeedError(str(error)) from None
        zone, from_ns = days.zone, self.ctx.state.get("from_ns", 0)
        today = ns_to_local(from_ns, zone.timezone).date()
        auctions = self._auctions(days, max(days.first, today), from_ns)
        next_auction, told = next(auctions, None), False
        while True:
            period = delivery_day(zone, today)
            prices = self._made(days, today).prices
            imbalance = self._imbalance(today.toordinal(), period.start_ns, prices) if today in days else iter(())
            for at_ns, event in _by_time(self._observations(period.start_ns, prices), imbalance):
                if at_ns < from_ns:
                    continue
                while next_auction is not None and next_auction[0] <= at_ns:
                    try:
                        yield next_auction[0], self._result(days, next_auction[1])
                        told = True
                    except FeedError:
                        if not told:
                            raise
                    next_auction = next(auctions, None)
                yield at_ns, event
            if next_auction is None and today + timedelta(days=1) not in days:
                return
            today += timedelta(days=1)

    @staticmethod
    def _auctions(days: TradingDays, day: date, from_ns: int) -> Iterator[tuple[int, date]]:
        """Yield (when, delivery day) of each result: as the market opens, or at once where it has."""
        while day in days:
            opens_ns = min(contract.opens_ns for contract in day_contracts(days.zone, day))
            yield max(opens_ns, from_ns), day
            day += timedelta(days=1)

    def _result(self, days: TradingDays, day: date) -> Frame:
        made, listings = self._made(days, day), day_listings(self.ctx, self.config.zone, day.isoformat())
        return self._auction(listings, made.shape, listings.day_start_ns, made.hour_error)

    def _made(self, days: TradingDays, day: date) -> _Made:
        """Return a local day's figures; all follow from the seed and the date."""
        random, period = self.ctx.random_for(day.toordinal()), delivery_day(days.zone, day)
        shape = self._shape(random, period.start_ns, period.end_ns, days.zone.timezone)
        hour_error = self._hour_error(random, period.start_ns, period.end_ns)
        return _Made(shape, hour_error, self._index(random, shape))

    def _observations(self, first_ns: int, index: F64) -> Iterator[tuple[int, Event]]:
        """Yield the index, each value as its five minutes end."""
        series, unit, source = self._ids()
        for at, value in enumerate(index.tolist()):
            end_ns = first_ns + (at + 1) * INTERVAL_NS
            yield (
                end_ns,
                Observation(series, unit, 0, source, 0, 0, 0, end_ns - INTERVAL_NS, end_ns, end_ns, value, end_ns),
            )

    def _imbalance(self, ordinal: int, start_ns: int, index: F64) -> Iterator[tuple[int, Event]]:
        """Yield a delivery day's imbalance prices, each as its quarter-hour ends, and some again as a second version.

        Args:
            ordinal: the day's number, ``date.toordinal()``: its draws follow from the seed and it.
            start_ns: when the day begins, ns UTC.
            index: the index of the day, in five-minute steps.
        """
        if not self.config.imbalance_series:
            return
        random = self.ctx.random_for(_IMBALANCE_KEY + ordinal)
        mean = index.reshape(-1, _STEPS_PER_QUARTER).mean(axis=1)
        first = np.round(mean + random.normal(0.0, self.config.imbalance_sd, len(mean)), 2)
        later = np.round(first + random.normal(0.0, self.config.imbalance_sd / 4, len(mean)), 2)
        _, unit, source = self._ids()
        series = self._imbalance_id()
        quarter_ns = _STEPS_PER_QUARTER * INTERVAL_NS

        def price(at: int, version: int, value: float, known_ns: int) -> tuple[int, Event]:
            from_ns = start_ns + at * quarter_ns
            return known_ns, Observation(
                series, unit, 0, source, version, 0, 0, from_ns, from_ns + quarter_ns, known_ns, value, known_ns
            )

        for at in range(len(mean)):
            end_ns = start_ns + (at + 1) * quarter_ns
            yield price(at, 1, float(first[at]), end_ns)
            if at % _CORRECTED_EVERY == _CORRECTED_EVERY - 1:
                again = at - int(random.integers(_CORRECTED_EVERY))
                yield price(again, 2, float(later[again]), end_ns)

    def _imbalance_id(self) -> int:
        """Return the id of the series of imbalance prices, 0 where there are none."""
        prefix = self.config.imbalance_series
        return self.ctx.intern(IdKind.SERIES, f"{prefix}.{self.config.zone}") if prefix else 0

    def _ids(self) -> tuple[int, int, int]:
        """Return the ids of series, unit and source."""
        ctx = self.ctx
        return (
            ctx.intern(IdKind.SERIES, self.config.index_series),
            ctx.intern(IdKind.UNIT, self.config.unit),
            ctx.intern(IdKind.SOURCE, ctx.name),
        )

    def _shape(self, random: np.random.Generator, first_ns: int, end_ns: int, timezone: str) -> F64:
        """Return the expected index of each five minutes from *first_ns* to *end_ns*."""
        config = self.config
        dip = random.uniform(config.solar_dip_min, max(config.solar_dip_min, config.solar_dip_max))
        morning, evening = random.uniform(18.0, 40.0), random.uniform(45.0, 95.0)
        noon, dusk = random.uniform(12.6, 13.6), random.uniform(18.5, 19.8)
        starts_ns = range(first_ns, end_ns, INTERVAL_NS)
        hour = np.array([_local_hour(start_ns, timezone) for start_ns in starts_ns])
        shape: F64 = (
            config.base_price
            + morning * np.exp(-(((hour - 7.8) / 1.6) ** 2))
            - dip * np.exp(-(((hour - noon) / 2.7) ** 2))
            + evening * np.exp(-(((hour - dusk) / 1.9) ** 2))
            - 12.0 * np.exp(-(((hour - 3.5) / 2.5) ** 2))
        )
        return shape

    @staticmethod
    def _hour_error(random: np.random.Generator, start_ns: int, end_ns: int) -> F64:
        """Return how far the auction is from the shape, for each hour of a day."""
        return random.normal(0.0, 2.5, (end_ns - start_ns) // (12 * INTERVAL_NS))

    @staticmethod
    def _auction(day: DayListings, shape: F64, first_ns: int, hour_error: F64) -> Frame:
        """Return the day-ahead result: the mean shape (from *first_ns* on) of each delivery and its hour's error."""
        results = []
        for listing, contract in day.pairs:
            start = (contract.delivery_start_ns - first_ns) // INTERVAL_NS
            end = (contract.delivery_end_ns - first_ns) // INTERVAL_NS
            hour = (contract.delivery_start_ns - day.day_start_ns) // (12 * INTERVAL_NS)
            price = float(shape[start:end].mean()) + float(hour_error[hour])
            ticks = round(price * 1_000_000 / listing.tick_micro)
            ticks = min(max(ticks, listing.price_min_ticks), listing.price_max_ticks)
            results.append(
                AuctionResult(
                    contract.contract_id, listing.listing_id, 0, contract.currency_id, 0, 0, ticks, 0, day.opens_ns
                )
            )
        return Frame.of(results)

    def _index(self, random: np.random.Generator, shape: F64) -> F64:
        """Return the index of each five minutes: shape, wandering, spikes and plunges; to 0.01."""
        config = self.config
        keep = 0.5 ** (5.0 / config.noise_half_life_minutes)
        shocks = random.normal(0.0, config.noise_sd * math.sqrt(1.0 - keep * keep), len(shape))
        index, noise = shape.copy(), 0.0
        for at, shock in enumerate(shocks.tolist()):
            noise = keep * noise + shock
            index[at] += noise
        spikes, plunges = 1 + int(random.poisson(config.spikes_mean)), 1 + int(random.poisson(config.plunges_mean))
        # Starts lie two hours apart, so that no excursion (20 minutes at most) hides another.
        starts = random.permutation(np.arange(3, len(index) - _EXCURSION_STEPS_MAX, _EXCURSION_GAP_STEPS))
        for number, start in enumerate(starts[: spikes + plunges].tolist()):
            fade = np.linspace(1.0, 0.45, int(random.integers(1, _EXCURSION_STEPS_MAX + 1)))
            reach = index[start : start + len(fade)]
            # The first is a spike and the second a plunge: no day is without either.
            if number == 0 or 2 <= number <= spikes:
                low = math.log(config.spike_min)
                peak = math.exp(random.uniform(low, max(low, math.log(config.spike_max))))
                np.maximum(reach, peak * fade, out=reach)
            else:
                np.minimum(reach, -random.uniform(15.0, 160.0) * fade, out=reach)
        return np.round(index, 2)


def _by_time(*streams: Iterator[tuple[int, Event]]) -> Iterator[tuple[int, Event]]:
    """Merge streams in the order of time; of equal times the first stream's come first."""
    return heapq.merge(*streams, key=lambda item: item[0])


def _grid_start(day: DayListings) -> int:
    """Return the five-minute mark at or before the first opening."""
    return day.opens_ns - day.opens_ns % INTERVAL_NS


def _local_hour(at_ns: int, timezone: str) -> float:
    local = ns_to_local(at_ns, timezone)
    return local.hour + local.minute / 60.0
