"""Slots: each listing in use has its own, they are used again, ids that have none find 0, and memory does not grow."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.events import ListingDefinition
from penstock_sdk.slots import ListingSlots, check_state, over_ns

IDS = st.integers(1, 2**32 - 1)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 60)), max_size=80), st.integers(0, 2**31))
def test_slots_are_what_a_plain_dict_of_lowest_free_numbers_gives(steps: list[tuple[bool, int]], first_id: int) -> None:
    slots, wanted = ListingSlots(), dict[int, int]()
    for takes, at in steps:
        listing_id = first_id + at
        if takes:
            free = next(n for n in range(1, 100) if n not in wanted.values())
            expected = wanted.setdefault(listing_id, free)
            assert slots.take(listing_id) == expected
        elif listing_id in wanted:
            assert slots.drop(listing_id) == wanted.pop(listing_id)
        assert slots.slot_of == wanted
        every = np.arange(max(first_id - 3, 0), first_id + 70, dtype=np.uint32)
        assert slots.of(every).tolist() == [wanted.get(i, 0) for i in every.tolist()]
    again = ListingSlots.restored(slots.snapshot())
    assert (again.slot_of, again.listing_at, again.next_slot) == (wanted, slots.listing_at, slots.next_slot)
    assert again.of(np.array([0, first_id + 1, 2**32 - 1])).tolist() == [0, wanted.get(first_id + 1, 0), 0]


def test_a_year_of_days_needs_no_more_room_than_a_few() -> None:
    slots = ListingSlots()
    widths, sizes = set(), set()
    for day in range(1, 365):
        for listing_id in range(day * 120, day * 120 + 120):
            slots.take(listing_id)
        if day > 2:
            for listing_id in range((day - 2) * 120, (day - 2) * 120 + 120):
                slots.drop(listing_id)
        if day > 4:
            widths.add(slots.width)
            sizes.add(slots._at.size)
    assert max(widths) <= 3 * 120 + 1
    assert max(sizes) <= 800


@pytest.mark.parametrize(
    ("state", "met"), [({"version": 1}, "version 1"), ({}, "version 1"), ([1, 2], "version a list"), (None, "a None")]
)
def test_a_state_of_another_version_is_refused_by_name(state: object, met: str) -> None:
    with pytest.raises(ValueError, match=f"^state of the mill met .*{met}.*, wanted 2; let it hear the journal again"):
        check_state(state, 2, "the mill")


def test_a_state_of_this_version_is_taken() -> None:
    check_state({"version": 2}, 2, "the mill")


def test_a_strip_is_over_when_the_last_of_its_stretches_is() -> None:
    listing = ListingDefinition(
        listing_id=1, contract_id=1, venue_id=1, name="x", tick_micro=1, lot_kw=1, price_min_ticks=-1,
        price_max_ticks=1, opens_ns=0, gate_closure_ns=50, cash_micro_per_lot_tick=1, interval_start_ns=100,
        interval_ns=10, interval_count=4,
    )  # fmt: skip
    assert over_ns(listing) == 140
    strip = msgspec.structs.replace(listing, segments=[(100, 2, 1), (900, 2, 1)])
    assert over_ns(strip) == 920
    assert over_ns(msgspec.structs.replace(strip, gate_closure_ns=1_000)) == 1_000
