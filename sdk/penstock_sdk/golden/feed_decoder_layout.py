"""The table of a feed decoder: what it was set to, its counters, and its map from listings to slots."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from penstock_sdk.golden.tick_layout import UPDATE_WIDTH
from penstock_sdk.schema import ABSENT

__all__ = [
    "COUNTERS",
    "COUNT_ACCEPTED",
    "COUNT_INTERLEAVED",
    "COUNT_LOST",
    "COUNT_MALFORMED",
    "COUNT_OTHER",
    "COUNT_OUT_OF_ORDER",
    "COUNT_OVERSIZED",
    "COUNT_RANGE",
    "COUNT_TRUNCATED",
    "COUNT_UNMAPPED",
    "COUNT_UPDATES",
    "DECODER_BASE_NS",
    "DECODER_LOTS_MAX",
    "DECODER_MAP_MASK",
    "DECODER_PRICE_MAX",
    "DECODER_RECORDS_MAX",
    "DECODER_SEQ",
    "DECODER_SLOTS",
    "DECODER_WIDTH",
    "MAP_LISTING",
    "MAP_ROW",
    "MAP_SLOT",
    "Table",
    "new_decoder",
    "new_updates",
]

Table = npt.NDArray[np.int64]

# row 0: settings and the state
DECODER_SEQ: Final = 0  # of the latest accepted packed frame
DECODER_PRICE_MAX: Final = 1  # ticks; the least price is -PRICE_MAX - 1
DECODER_LOTS_MAX: Final = 2
DECODER_RECORDS_MAX: Final = 3  # records of one frame
DECODER_BASE_NS: Final = 4  # midnight of ITCH timestamps, in ns since 1970 UTC
DECODER_MAP_MASK: Final = 5  # bits of a listing id that choose its row of the map
DECODER_SLOTS: Final = 6
DECODER_WIDTH: Final = 11

# row 1: counters; every frame is in exactly one of the first seven, the records of accepted frames in the others
COUNT_ACCEPTED: Final = 0
COUNT_OTHER: Final = 1  # a record or message that is none of ours: passed over
COUNT_MALFORMED: Final = 2  # version, stride, count or length is not the record's, or not the message's
COUNT_TRUNCATED: Final = 3  # shorter than it says
COUNT_OVERSIZED: Final = 4  # longer than it says, or more records than RECORDS_MAX
COUNT_INTERLEAVED: Final = 5  # beats of several streams
COUNT_OUT_OF_ORDER: Final = 6  # seq is not above the latest one accepted
COUNT_UPDATES: Final = 7
COUNT_UNMAPPED: Final = 8  # the listing has no slot: no update
COUNT_RANGE: Final = 9  # updates that became POISON since a value did not fit
COUNT_LOST: Final = 10  # frames that fell, for any reason: not a counter of the device, which pulses sts_lost
COUNTERS: Final = (
    "accepted", "other", "malformed", "truncated", "oversized", "interleaved", "out_of_order", "updates", "unmapped",
    "range",
)  # fmt: skip
"""The counters' names, in the order of their columns."""

# rows from here: the map, one row per value of the listing's low bits
MAP_ROW: Final = 2
MAP_LISTING: Final = 0
MAP_SLOT: Final = 1  # -1: empty


def new_decoder(
    *,
    slots: int = 256,
    map_bits: int = 10,
    records_max: int = 16,
    price_bits: int = 32,
    lots_bits: int = 32,
    itch_base_ns: int = 0,
) -> Table:
    """Return the table of a decoder that maps no listing and has counted nothing.

    Args:
        slots: books that there are.
        map_bits: low bits of a listing id that choose its row in the map; of two listings with the same low bits one
            can be mapped at a time.
        records_max: records that one packed frame may have.
        price_bits: of a signed price in ticks, 2 to 63.
        lots_bits: of a quantity in lots, 1 to 63.
        itch_base_ns: midnight of the day of ITCH messages, in ns since 1970 UTC, below 2**62.

    Raises:
        ValueError: a setting is outside its range.
    """
    bounds = {
        "slots": (slots, 2, 1 << 31),
        "map_bits": (map_bits, 1, 16),
        "records_max": (records_max, 1, 4096),
        "price_bits": (price_bits, 2, 63),
        "lots_bits": (lots_bits, 1, 63),
        "itch_base_ns": (itch_base_ns, 0, (1 << 62) - 1),
    }
    for name, (met, least, most) in bounds.items():
        if not least <= met <= most:
            raise ValueError(f"{name} is {met}, wanted {least} to {most}")
    decoder = np.zeros((MAP_ROW + (1 << map_bits), DECODER_WIDTH), np.int64)
    decoder[0, DECODER_SEQ] = ABSENT
    decoder[0, DECODER_PRICE_MAX] = (1 << (price_bits - 1)) - 1
    decoder[0, DECODER_LOTS_MAX] = (1 << lots_bits) - 1
    decoder[0, DECODER_RECORDS_MAX] = records_max
    decoder[0, DECODER_BASE_NS] = itch_base_ns
    decoder[0, DECODER_MAP_MASK] = (1 << map_bits) - 1
    decoder[0, DECODER_SLOTS] = slots
    decoder[MAP_ROW:, MAP_SLOT] = -1
    return decoder


def new_updates(records_max: int = 16) -> Table:
    """Return a table that takes the updates of one frame: (records_max, UPDATE_WIDTH)."""
    return np.zeros((records_max, UPDATE_WIDTH), np.int64)
