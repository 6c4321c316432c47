"""One by one and in a batch the same mids are kept; an empty side and a listing too far leave them alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.events import Quote
from penstock_sdk.golden.mids import keep_mid, keep_mids
from penstock_sdk.schema import ABSENT, Frame
from penstock_sdk.slots import ListingSlots

TICKS = st.integers(-1_000_000, 1_000_000) | st.just(ABSENT)
QUOTES = st.lists(st.builds(Quote, st.integers(0, 6), bid_ticks=TICKS, ask_ticks=TICKS), min_size=1, max_size=8)


@given(quotes=QUOTES)
def test_one_by_one_and_in_a_batch_the_same_is_kept(quotes: list[Quote]) -> None:
    single, batch = (np.full((2, 5), ABSENT, np.int64) for _ in range(2))
    for quote in quotes:
        keep_mid(single, quote, 7)
    keep_mids(batch, Frame.of(quotes).array, 7)
    assert (single == batch).all()


def test_mids_are_rounded_down_below_zero_too() -> None:
    mids = np.full((2, 3), ABSENT, np.int64)
    keep_mid(mids, Quote(1, bid_ticks=-6, ask_ticks=-3), 9)
    keep_mid(mids, Quote(1, bid_ticks=-6), 10)
    keep_mid(mids, Quote(3, bid_ticks=1, ask_ticks=3), 11)
    assert mids.tolist() == [[ABSENT, -5, ABSENT], [ABSENT, 9, ABSENT]]


@given(quotes=QUOTES)
def test_in_slots_the_same_is_kept_in_other_columns(quotes: list[Quote]) -> None:
    slots = ListingSlots()
    for listing_id in (5, 2):
        slots.take(listing_id)
    by_id, single, batch = np.full((2, 7), ABSENT, np.int64), *np.full((2, 2, 3), ABSENT, np.int64)
    keep_mids(by_id, Frame.of(quotes).array, 7)
    keep_mids(batch, Frame.of(quotes).array, 7, slots)
    for quote in quotes:
        keep_mid(single, quote, 7, slots)
    for mids in (single, batch):
        assert (mids[:, 1] == by_id[:, 5]).all()
        assert (mids[:, 2] == by_id[:, 2]).all()
