"""Proves the position grid against a dict of cells: fills, orders, schedules, days let go, snapshots, in any order."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from penstock_sdk.delivery_grid import (
    APPLIED,
    REFUSED_NEGATIVE,
    REFUSED_OVERFLOW,
    REFUSED_UNKNOWN,
    DeliveryGrid,
)
from penstock_sdk.energy.localtime import NS_PER_HOUR, NS_PER_MINUTE, local_to_ns
from penstock_sdk.events import ContractDefinition, DeliverySchedule, ListingDefinition, Side, ZoneDefinition
from penstock_sdk.golden.delivery_cells import CELL_MAX, LOTS_MAX

QUARTER_NS = 15 * NS_PER_MINUTE
T0_NS = 1_774_653_600_000_000_000
"""2026-03-27 23:20 UTC rounded down to its hour; the clock changes in the night to the 29th."""
T0_NS -= T0_NS % NS_PER_HOUR
POWER = ZoneDefinition(zone_id=1, code="DE-LU", timezone="Europe/Berlin", currency="EUR")
HOURLY = ZoneDefinition(zone_id=2, code="TTF", timezone="Europe/Amsterdam", currency="EUR", interval_minutes=60)
DAILY = ZoneDefinition(
    zone_id=3, code="NBP", timezone="Europe/London", currency="GBP", commodity="gas", day_starts_hour=6,
    interval_minutes=1_440, grid_unit="therm/d",
)  # fmt: skip
ZONES = {zone.zone_id: zone for zone in (POWER, HOURLY, DAILY)}
FIRST_DAY = date(2026, 3, 26)


def gas_day_ns(nth: int) -> int:
    day = FIRST_DAY + timedelta(days=nth)
    return local_to_ns(datetime(day.year, day.month, day.day, 6), "Europe/London")


def interval_ns(zone_id: int, nth: int) -> int:
    """Return where interval *nth* of a zone begins, worked out without the grid."""
    if zone_id == 3:
        return gas_day_ns(nth)
    return T0_NS + nth * (QUARTER_NS if zone_id == 1 else NS_PER_HOUR)


# A listing of the model: (zone, settlement, [(first interval, intervals, amount)]).
TERMS: dict[int, tuple[int, str, list[tuple[int, int, int]]]] = {
    11: (1, "physical", [(0, 1, 100)]),
    12: (1, "physical", [(0, 4, 100)]),
    13: (1, "physical", [(0, 3_000, 1_000)]),
    14: (1, "cash", [(32, 48, 1_000), (128, 48, 1_000), (1_100, 96, 1_000)]),
    15: (1, "physical", [(2, 1, 2**40), (3, 2, 7)]),
    21: (2, "physical", [(0, 743, 1_000)]),
    22: (2, "physical", [(5, 24, 1_000)]),
    31: (3, "physical", [(0, 31, 1_000)]),
    32: (3, "cash", [(2, 1, 333), (3, 2, 334)]),
}
REACH = {1: 3_000, 2: 743, 3: 31}


def listing_of(listing_id: int) -> tuple[ListingDefinition, ContractDefinition, ZoneDefinition]:
    zone_id, settlement, segments = TERMS[listing_id]
    zone = ZONES[zone_id]
    starts = [(interval_ns(zone_id, first), count, amount) for first, count, amount in segments]
    contract = ContractDefinition(
        contract_id=listing_id, name=str(listing_id), zone_id=zone_id, product="x", delivery_start_ns=starts[0][0],
        delivery_end_ns=starts[0][0] + 1, currency_id=1, settlement=settlement,
    )  # fmt: skip
    listing = ListingDefinition(
        listing_id=listing_id, contract_id=listing_id, venue_id=1, name=str(listing_id), tick_micro=1, lot_kw=1,
        price_min_ticks=-1, price_max_ticks=1, opens_ns=0, gate_closure_ns=0, cash_micro_per_lot_tick=1,
        interval_start_ns=starts[0][0], interval_ns=QUARTER_NS, interval_count=1, segments=starts,
    )  # fmt: skip
    return listing, contract, zone


LISTINGS = st.sampled_from(sorted(TERMS))
BOOKS, STRATEGIES = st.integers(0, 2), st.integers(0, 2)
LOTS = st.one_of(st.integers(-40, 40), st.sampled_from([LOTS_MAX, -LOTS_MAX, LOTS_MAX + 1, 2**23]))
MEASURE = {Side.BUY: 1, Side.SELL: 2}


class Grid(RuleBasedStateMachine):
    """The model: amounts by (zone, settlement, book, strategy, source, measure, interval)."""

    plain = True

    def __init__(self) -> None:
        super().__init__()
        self.grid = DeliveryGrid(plain=self.plain)
        self.cells: Counter[tuple[Any, ...]] = Counter()
        self.kept = dict.fromkeys(ZONES, 0)
        self.defined: set[int] = set()
        for zone in ZONES.values():
            self.grid.define_zone(zone)

    def expected(self, listing_id: int, whose: tuple[int, int], measure: int, lots: int) -> int:
        """Change the model as the grid should; return what it should say."""
        if listing_id not in self.defined:
            return REFUSED_UNKNOWN
        zone_id, settlement, segments = TERMS[listing_id]
        new = {
            (zone_id, settlement, *whose, 0, measure, at): amount * lots
            for first, count, amount in segments
            for at in range(max(first, self.kept[zone_id]), first + count)
        }
        if abs(lots) > LOTS_MAX or any(abs(amount * lots) > CELL_MAX for _, _, amount in segments):
            return REFUSED_OVERFLOW
        after = {key: self.cells[key] + amount for key, amount in new.items()}
        # Segment by segment, as the grid looks: the first that does not fit says why.
        for amount in after.values():
            if abs(amount) > CELL_MAX:
                return REFUSED_OVERFLOW
            if measure and amount < 0:
                return REFUSED_NEGATIVE
        self.cells.update(new)
        return APPLIED

    @initialize(listing_ids=st.sets(LISTINGS))
    def begin(self, listing_ids: set[int]) -> None:
        for listing_id in sorted(listing_ids):
            self.define(listing_id)

    @rule(listing_id=LISTINGS)
    def define(self, listing_id: int) -> None:
        self.grid.define(*listing_of(listing_id))
        self.defined.add(listing_id)

    @rule(listing_id=LISTINGS, book=BOOKS, strategy=STRATEGIES, lots=LOTS)
    def fill(self, listing_id: int, book: int, strategy: int, lots: int) -> None:
        assert self.grid.fill(listing_id, book, strategy, lots) == self.expected(listing_id, (book, strategy), 0, lots)

    @rule(fills=st.lists(st.tuples(LISTINGS, BOOKS, STRATEGIES, LOTS), max_size=12))
    def fill_frame(self, fills: list[tuple[int, int, int, int]]) -> None:
        wanted = [self.expected(listing_id, (book, strategy), 0, lots) for listing_id, book, strategy, lots in fills]
        columns = np.array(fills, np.int64).reshape(-1, 4).T
        assert self.grid.fill_frame(*columns).tolist() == wanted

    @rule(listing_id=LISTINGS, book=BOOKS, strategy=STRATEGIES, side=st.sampled_from(Side), lots=LOTS)
    def work(self, listing_id: int, book: int, strategy: int, side: Side, lots: int) -> None:
        if side in MEASURE:
            wanted = self.expected(listing_id, (book, strategy), MEASURE[side], lots)
            # Which of the two is met first depends on where a look begins; both refuse, and change nothing.
            met = self.grid.work(listing_id, book, strategy, side, lots)
            assert met == wanted or {met, wanted} == {REFUSED_NEGATIVE, REFUSED_OVERFLOW}

    @rule(
        zone_id=st.sampled_from(sorted(ZONES)), book=BOOKS, source=st.integers(1, 2), first=st.integers(0, 30),
        count=st.integers(1, 1_500), amount=st.integers(-(10**6), 10**6),
    )  # fmt: skip
    def schedule(self, zone_id: int, book: int, source: int, first: int, count: int, amount: int) -> None:
        end = min(first + count, REACH[zone_id])
        if first >= end:
            return
        record = DeliverySchedule(
            zone_id, book_id=book, source_id=source, start_ns=interval_ns(zone_id, first),
            end_ns=interval_ns(zone_id, end), amount=amount,
        )  # fmt: skip
        assert self.grid.schedule(record) == APPLIED
        for at in range(max(first, self.kept[zone_id]), end):
            self.cells[zone_id, "physical", book, 0, source, 0, at] = amount

    @rule(hours=st.integers(0, 60), odd_ns=st.sampled_from([0, 1, QUARTER_NS - 1, NS_PER_HOUR // 2]))
    def let_go(self, hours: int, odd_ns: int) -> None:
        before_ns = T0_NS + hours * 16 * NS_PER_HOUR + odd_ns
        over = self.grid.let_go(before_ns)
        for zone_id in ZONES:
            ended = [at for at in range(REACH[zone_id] + 60) if interval_ns(zone_id, at + 1) <= before_ns]
            self.kept[zone_id] = max(self.kept[zone_id], len(ended))
        for key in [key for key in self.cells if key[6] < self.kept[key[0]]]:
            del self.cells[key]
        gone = {
            number for number in self.defined if sum(TERMS[number][2][-1][:2]) <= self.kept[TERMS[number][0]]
        }  # fmt: skip
        assert set(over) == gone
        self.defined -= gone

    @rule()
    def snapshot(self) -> None:
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(self.grid.snapshot()))
        again = DeliveryGrid(plain=self.plain)
        again.restore(state)
        assert again.snapshot() == self.grid.snapshot()
        self.grid = again

    def held(self, zone_id: int, measure: int, book: int | None, strategy: int | None) -> list[int]:
        amounts = [0] * REACH[zone_id]
        for (zone, _, its_book, its_strategy, _, its_measure, at), amount in self.cells.items():
            if (
                (zone, its_measure) == (zone_id, measure)
                and book in (None, its_book)
                and strategy in (None, its_strategy)
            ):
                amounts[at] += amount
        return amounts

    @precondition(lambda self: self.cells)
    @rule(zone_id=st.sampled_from(sorted(ZONES)), book=st.none() | BOOKS, strategy=st.none() | STRATEGIES)
    def every_cell(self, zone_id: int, book: int | None, strategy: int | None) -> None:
        first = self.kept[zone_id]
        if first >= REACH[zone_id]:
            return
        span = interval_ns(zone_id, first), interval_ns(zone_id, REACH[zone_id])
        net, buys, sells = (self.held(zone_id, measure, book, strategy)[first:] for measure in range(3))
        assert self.grid.net(zone_id, *span, book, strategy).tolist() == net
        long, short = self.grid.exposure(zone_id, *span, book, strategy)
        assert long.tolist() == [a + b for a, b in zip(net, buys, strict=True)]
        assert short.tolist() == [a - b for a, b in zip(net, sells, strict=True)]

    @precondition(lambda self: self.defined)
    @rule(data=st.data(), book=st.none() | BOOKS, strategy=st.none() | STRATEGIES)
    def worst_case(self, data: st.DataObject, book: int | None, strategy: int | None) -> None:
        listing_id = data.draw(st.sampled_from(sorted(self.defined)))
        zone_id, settlement, segments = TERMS[listing_id]
        cells = Counter[tuple[int, int]]()
        for (zone, settles, its_book, its_strategy, _, measure, at), amount in self.cells.items():
            if (
                (zone, settles) == (zone_id, settlement)
                and book in (None, its_book)
                and strategy in (None, its_strategy)
            ):
                cells[measure, at] += amount
        slots = [
            at for first, count, _ in segments for at in range(max(first, self.kept[zone_id]), first + count)
        ]  # fmt: skip
        long = max((cells[0, at] + cells[1, at] for at in slots), default=0)
        short = min((cells[0, at] - cells[2, at] for at in slots), default=0)
        assert self.grid.worst_case(listing_id, book, strategy) == (long, short)
        assert self.grid.largest(listing_id, book, strategy) == max((abs(cells[0, at]) for at in slots), default=0)

    @invariant()
    def what_is_defined_is_known(self) -> None:
        assert {number for number in TERMS if number in self.grid} == self.defined


class CompiledGrid(Grid):
    plain = False


TestGrid = Grid.TestCase
TestGrid.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
TestCompiledGrid = CompiledGrid.TestCase
TestCompiledGrid.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
