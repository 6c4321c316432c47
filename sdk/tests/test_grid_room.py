"""Rooms in a grid: numbers are given once at a time, come free after delivery, limits are kept, zones share nothing."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.events import ListingDefinition
from penstock_sdk.grid_room import GridRoom

QUARTER_NS = 900_000_000_000


def listing(listing_id: int, first: int, count: int) -> ListingDefinition:
    return ListingDefinition(
        listing_id=listing_id, contract_id=listing_id + 1_000, venue_id=9, name=f"L{listing_id}", tick_micro=1,
        lot_kw=1, price_min_ticks=-1, price_max_ticks=1, opens_ns=0, gate_closure_ns=first * QUARTER_NS,
        cash_micro_per_lot_tick=1, interval_start_ns=first * QUARTER_NS, interval_ns=QUARTER_NS, interval_count=count,
    )  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from([1, 4]), st.integers(1, 2)), max_size=30), st.integers(0, 3)
)
def test_no_two_that_live_share_a_number_and_what_is_over_leaves_nothing(
    wanted: list[tuple[int, int, int]], lag: int
) -> None:
    room, live, now = GridRoom(6, 12, 20), dict[int, tuple[ListingDefinition, list[int]]](), 0
    for listing_id, (ahead, count, zone_id) in enumerate(wanted, 1):
        now += lag
        for gone, contract_id, venue_id in room.over(now * QUARTER_NS):
            assert (contract_id, venue_id) == (gone + 1_000, 9)
            _, numbers = live.pop(gone)
            still = {number for _, others in live.values() for number in others}
            assert sorted(room.drop(gone)) == sorted(set(numbers) - still)
        new = listing(listing_id, now + 1 + ahead, count)
        covered = {(zone_id, now + 1 + ahead + nth) for nth in range(count)}
        fits = len(live) < 6 and room.used(new, zone_id) <= 12 and sum(len(n) for _, n in live.values()) + count <= 20
        numbers = room.take(new, zone_id)
        assert (numbers is not None) == fits
        assert room.used(new, zone_id) == len(covered | set(room.intervals))
        if numbers is not None:
            live[listing_id] = (new, numbers)
        assert set(room.slots) == set(live)
        assert sorted(set(room.intervals.values())) == sorted({n for _, numbers in live.values() for n in numbers})
        assert all(0 <= number < 12 for number in room.intervals.values())
        assert all(0 < slot <= 6 for slot in room.slots.slot_of.values())
        held = msgspec.msgpack.decode(msgspec.msgpack.encode(room.snapshot()), strict=False)
        again = GridRoom(6, 12, 20)
        again.restore(held)
        assert again.snapshot() == room.snapshot()
        room = again


def test_a_state_of_another_size_is_refused() -> None:
    room = GridRoom(6, 12, 20)
    with pytest.raises(ValueError, match=r"^state holds room for \[6, 12, 20\] listings, .*wanted \[7, 12, 20\]"):
        GridRoom(7, 12, 20).restore(room.snapshot())


def test_two_zones_never_share_an_interval_and_one_zone_does() -> None:
    room = GridRoom(6, 12, 20)
    assert room.take(listing(1, 8, 4), zone_id=1) == [0, 1, 2, 3]
    assert room.take(listing(2, 8, 1), zone_id=2) == [4]
    assert room.take(listing(3, 8, 1), zone_id=1) == [0]
    assert room.drop(1) == [1, 2, 3]


def test_the_sum_over_listings_of_their_intervals_is_limited() -> None:
    room = GridRoom(6, 12, 5)
    assert room.take(listing(1, 8, 4)) == [0, 1, 2, 3]
    assert room.take(listing(2, 8, 2)) is None
    assert room.take(listing(3, 8, 1)) == [0]


def test_a_listing_in_segments_takes_their_intervals_alone() -> None:
    room = GridRoom(6, 12, 20)
    parts = [(8 * QUARTER_NS, 2, 1), (16 * QUARTER_NS, 1, 1)]
    peaks = msgspec.structs.replace(listing(1, 8, 9), segments=parts)
    assert room.used(peaks, 1) == 3
    assert room.take(peaks, 1) == [0, 1, 2]
    assert set(room.intervals) == {(1, 8), (1, 9), (1, 16)}
