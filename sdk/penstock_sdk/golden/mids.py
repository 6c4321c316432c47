"""The last mid of each listing and when it was seen: what prices are held against, and positions valued at.

``mids`` is an int64 array of two rows, a column for each listing id: the mid in ticks, rounded down; its time in ns;
ABSENT where nothing was seen. A side that is empty leaves the mid as old as it is.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from penstock_sdk.events import Quote
from penstock_sdk.schema import ABSENT

__all__ = ["keep_mid", "keep_mids"]


def keep_mid(mids: npt.NDArray[np.int64], quote: Quote, now_ns: int) -> None:
    """Keep the mid of one quote; a listing id beyond the array is passed over."""
    listing_id, bid, ask = quote.listing_id, quote.bid_ticks, quote.ask_ticks
    if bid != ABSENT and ask != ABSENT and listing_id < mids.shape[1]:
        mids[0, listing_id] = (bid + ask) >> 1
        mids[1, listing_id] = now_ns


def keep_mids(mids: npt.NDArray[np.int64], quotes: npt.NDArray[np.void], now_ns: int) -> None:
    """Keep the mids of many quotes (a frame's array); of two of one listing the later stays."""
    bid, ask = quotes["bid_ticks"], quotes["ask_ticks"]
    ids = quotes["listing_id"].astype(np.int64)
    keep = (bid != ABSENT) & (ask != ABSENT) & (ids < mids.shape[1])
    if not keep.all():
        ids, bid, ask = ids[keep], bid[keep], ask[keep]
    mids[0, ids] = (bid + ask) >> 1
    mids[1, ids] = now_ns
