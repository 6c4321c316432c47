"""The last mid of each listing and when it was seen: what prices are held against, and positions valued at.

``mids`` is an int64 array of two rows, a column for each listing: the mid in ticks, rounded down; its time in ns;
ABSENT where nothing was seen. A side that is empty leaves the mid as old as it is. A listing's column is its id, or
where `ListingSlots` are given, its slot; in column 0 is then what the other listings left, which means nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from penstock_sdk.events import Quote
from penstock_sdk.schema import ABSENT
from penstock_sdk.slots import ListingSlots

__all__ = ["keep_mid", "keep_mids"]


def keep_mid(mids: npt.NDArray[np.int64], quote: Quote, now_ns: int, slots: ListingSlots | None = None) -> None:
    """Keep the mid of one quote; a column beyond the array is passed over."""
    bid, ask = quote.bid_ticks, quote.ask_ticks
    if bid == ABSENT or ask == ABSENT:
        return
    if slots is not None:
        column = slots.slot_of.get(quote.listing_id, 0)  # whoever has slots has a column for each
    else:
        column = quote.listing_id
        if column >= mids.shape[1]:
            return
    mids[0, column] = (bid + ask) >> 1
    mids[1, column] = now_ns


def keep_mids(
    mids: npt.NDArray[np.int64], quotes: npt.NDArray[np.void], now_ns: int, slots: ListingSlots | None = None
) -> None:
    """Keep the mids of many quotes (a frame's array); of two of one listing the later stays."""
    bid, ask = quotes["bid_ticks"], quotes["ask_ticks"]
    columns = quotes["listing_id"].astype(np.int64) if slots is None else slots.of(quotes["listing_id"])
    keep = (bid != ABSENT) & (ask != ABSENT) & (columns < mids.shape[1])
    if not keep.all():
        columns, bid, ask = columns[keep], bid[keep], ask[keep]
    mids[0, columns] = (bid + ask) >> 1
    mids[1, columns] = now_ns
