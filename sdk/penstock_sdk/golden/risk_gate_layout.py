"""Where a risk gate keeps its limits and exposures: the columns of its table, and plain Python to fill them.

The gate is one table of int64, ``gate[row, column]``, sixteen columns wide, as hardware would hold it. The rows, in
this order:

* row 0: the header (``HEAD_*``), with the switches and the message rate
* rows 1 to 3: how often each reason was given (`counts` reads them)
* one row per listing (``LISTING_*``)
* one row per delivery interval (``INTERVAL_*``)
* link cells, sixteen to a row: the intervals that a listing delivers in, found by LISTING_LINK and LISTING_LINK_COUNT
* one row per set of remembered intent ids: up to fifteen ids, and in column 0 the place of the next

A limit that was never set is 0, and 0 means no trading; UNLIMITED switches a check off.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from penstock_sdk.events.enums import CheckResult, Reason, Side

__all__ = [
    "ABSENT",
    "BUY",
    "COUNTS_ROW",
    "HEAD_INTERVALS",
    "HEAD_INTERVAL_BASE",
    "HEAD_KILL",
    "HEAD_KW_BITS",
    "HEAD_LINKS",
    "HEAD_LINK_BASE",
    "HEAD_LISTINGS",
    "HEAD_PAUSED",
    "HEAD_PRICE_BITS",
    "HEAD_QTY_BITS",
    "HEAD_RATE_BURST",
    "HEAD_RATE_EMPTY_NS",
    "HEAD_RATE_NS",
    "HEAD_SEEN_BASE",
    "HEAD_SEEN_MASK",
    "HEAD_WAYS",
    "INT64_MAX",
    "INTERVAL_LONG_MAX",
    "INTERVAL_NET",
    "INTERVAL_SHORT_MAX",
    "INTERVAL_WORKING",
    "LISTING_CAP",
    "LISTING_COLLAR",
    "LISTING_FLOOR",
    "LISTING_KW_PER_LOT",
    "LISTING_LINK",
    "LISTING_LINK_COUNT",
    "LISTING_MINUTES",
    "LISTING_NOTIONAL_MAX",
    "LISTING_QTY_MAX",
    "LISTING_QTY_MIN",
    "LISTING_REF",
    "LISTING_REF_AGE_MAX",
    "LISTING_REF_AT",
    "LISTING_REF_REQUIRED",
    "LISTING_ROW",
    "LISTING_STATE",
    "OK",
    "ORDER_AT_NS",
    "ORDER_INTENT_ID",
    "ORDER_LISTING",
    "ORDER_PRICE",
    "ORDER_QTY",
    "ORDER_SIDE",
    "ORDER_WIDTH",
    "PASSED",
    "PAUSED",
    "REASONS",
    "REASON_BOUNDS",
    "REASON_COLLAR",
    "REASON_DUPLICATE",
    "REASON_KILL",
    "REASON_LISTING",
    "REASON_MALFORMED",
    "REASON_NOTIONAL",
    "REASON_NOT_RESERVED",
    "REASON_NO_REFERENCE",
    "REASON_OVERFLOW",
    "REASON_PAUSED",
    "REASON_POSITION",
    "REASON_QTY_MAX",
    "REASON_QTY_MIN",
    "REASON_RATE",
    "REASON_STALE",
    "REFUSED",
    "SELL",
    "TRADING",
    "UNKNOWN",
    "UNLIMITED",
    "VERDICT_INTENT_ID",
    "VERDICT_INTERVAL",
    "VERDICT_LIMIT",
    "VERDICT_MET",
    "VERDICT_REASON",
    "VERDICT_RESULT",
    "VERDICT_WIDTH",
    "Table",
    "counts",
    "define_listing",
    "drop_listing",
    "exposures",
    "intervals_of",
    "new_gate",
    "new_verdicts",
    "set_position_limit",
    "set_rate",
    "set_switches",
    "set_widths",
    "state_arrays",
]

Table: TypeAlias = npt.NDArray[np.int64]

ABSENT: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
UNLIMITED: Final = INT64_MAX
BUY: Final = int(Side.BUY)
SELL: Final = int(Side.SELL)

HEAD_KILL: Final = 0
HEAD_PAUSED: Final = 1
HEAD_LISTINGS: Final = 2
HEAD_INTERVALS: Final = 3
HEAD_INTERVAL_BASE: Final = 4  # row of the first interval
HEAD_LINK_BASE: Final = 5  # row of the first link cells
HEAD_LINKS: Final = 6  # link cells in use
HEAD_SEEN_BASE: Final = 7  # row of the first set of remembered ids; links end here
HEAD_SEEN_MASK: Final = 8  # number of sets, a power of two, less one
HEAD_RATE_BURST: Final = 9
HEAD_RATE_NS: Final = 10  # one message comes free in this time
HEAD_RATE_EMPTY_NS: Final = 11  # when all messages taken so far will have come free again
# The widths of a device that this gate stands for; 0: none, the numbers are int64 and a set holds fifteen ids.
HEAD_PRICE_BITS: Final = 12  # of a signed price
HEAD_QTY_BITS: Final = 13  # of an unsigned number of lots
HEAD_KW_BITS: Final = 14  # of a signed number of kW
HEAD_WAYS: Final = 15  # ids in a set

COUNTS_ROW: Final = 1
LISTING_ROW: Final = 4

LISTING_STATE: Final = 0
LISTING_QTY_MIN: Final = 1
LISTING_QTY_MAX: Final = 2
LISTING_COLLAR: Final = 3  # ticks either side of the reference
LISTING_FLOOR: Final = 4  # ABSENT: none
LISTING_CAP: Final = 5  # ABSENT: none
LISTING_NOTIONAL_MAX: Final = 6  # |ticks| * lots * minutes
LISTING_MINUTES: Final = 7
LISTING_KW_PER_LOT: Final = 8
LISTING_REF: Final = 9  # ticks, or ABSENT
LISTING_REF_AT: Final = 10
LISTING_REF_AGE_MAX: Final = 11
LISTING_REF_REQUIRED: Final = 12
LISTING_LINK: Final = 13
LISTING_LINK_COUNT: Final = 14

UNKNOWN: Final = 0
TRADING: Final = 1
PAUSED: Final = 2

INTERVAL_LONG_MAX: Final = 0  # kW
INTERVAL_SHORT_MAX: Final = 1  # kW, a positive number
INTERVAL_NET: Final = 2  # kW, bought less sold
INTERVAL_WORKING: Final = 2  # + BUY, + SELL: kW that working orders may yet add on that side

ORDER_LISTING: Final = 0
ORDER_SIDE: Final = 1
ORDER_PRICE: Final = 2
ORDER_QTY: Final = 3
ORDER_AT_NS: Final = 4
ORDER_INTENT_ID: Final = 5
ORDER_WIDTH: Final = 6

VERDICT_RESULT: Final = 0  # a CheckResult; a row that was never written says UNKNOWN, which is not PASSED
VERDICT_REASON: Final = 1
VERDICT_MET: Final = 2  # the value that decided, or ABSENT
VERDICT_LIMIT: Final = 3  # what it was held against, or ABSENT
VERDICT_INTERVAL: Final = 4  # the interval that decided, or -1
VERDICT_INTENT_ID: Final = 5
VERDICT_WIDTH: Final = 6

PASSED: Final = int(CheckResult.PASSED)
REFUSED: Final = int(CheckResult.REFUSED)

OK: Final = int(Reason.NONE)
REASON_KILL: Final = int(Reason.KILL_SWITCH)
REASON_PAUSED: Final = int(Reason.PAUSED)
REASON_LISTING: Final = int(Reason.UNKNOWN_LISTING)
REASON_QTY_MIN: Final = int(Reason.QTY_MIN)
REASON_QTY_MAX: Final = int(Reason.QTY_MAX)
REASON_COLLAR: Final = int(Reason.PRICE_COLLAR)
REASON_BOUNDS: Final = int(Reason.PRICE_BOUNDS)
REASON_NOTIONAL: Final = int(Reason.NOTIONAL)
REASON_POSITION: Final = int(Reason.POSITION)
REASON_RATE: Final = int(Reason.MESSAGE_RATE)
REASON_STALE: Final = int(Reason.STALE_MARKET)
REASON_DUPLICATE: Final = int(Reason.DUPLICATE)
REASON_OVERFLOW: Final = int(Reason.OVERFLOW)
REASON_NO_REFERENCE: Final = int(Reason.NO_REFERENCE)
REASON_MALFORMED: Final = int(Reason.MALFORMED)
REASON_NOT_RESERVED: Final = int(Reason.UNKNOWN_ORDER)

REASONS: Final = {
    Reason.NONE: "passed",
    Reason.KILL_SWITCH: "the kill switch is on",
    Reason.PAUSED: "trading is paused, everywhere or in this listing",
    Reason.UNKNOWN_LISTING: "the gate has no limits for this listing",
    Reason.QTY_MIN: "fewer lots than the least allowed",
    Reason.QTY_MAX: "more lots than the most allowed",
    Reason.PRICE_COLLAR: "further from the reference price than the collar",
    Reason.PRICE_BOUNDS: "below the floor or above the cap",
    Reason.NOTIONAL: "price times quantity times minutes above its limit",
    Reason.POSITION: "were all working orders of the side filled, an interval would leave its limit",
    Reason.MESSAGE_RATE: "more orders than the rate allows",
    Reason.STALE_MARKET: "the reference price is too old",
    Reason.DUPLICATE: "an order with this intent id has passed before",
    Reason.OVERFLOW: "a figure does not fit 64 bits",
    Reason.NO_REFERENCE: "there is no reference price, and one is required",
    Reason.MALFORMED: "side, price, time or intent id make no sense",
    Reason.UNKNOWN_ORDER: "less is reserved than was to be taken back",
}
"""One line for each reason that the gate gives."""


def new_gate(listing_count: int, interval_count: int, link_capacity: int, remembered_ids: int = 15_360) -> Table:
    """Return a gate in which nothing may trade: no listing is known and every limit is 0.

    Args:
        listing_count: listings are numbered from 0.
        interval_count: delivery intervals (such as quarter-hours) are numbered from 0.
        link_capacity: the sum over listings of the intervals each delivers in.
        remembered_ids: rounded up to 15 times a power of two. Of consecutive ids, at least so many are remembered.

    Raises:
        ValueError: a size is below 1.
    """
    sizes = {
        "listing_count": listing_count,
        "interval_count": interval_count,
        "link_capacity": link_capacity,
        "remembered_ids": remembered_ids,
    }
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} is {size}; wanted at least 1")
    interval_base = LISTING_ROW + listing_count
    link_base = interval_base + interval_count
    seen_base = link_base + -(-link_capacity // 16)
    sets = 1 << (-(-remembered_ids // 15) - 1).bit_length()
    gate = np.zeros((seen_base + sets, 16), np.int64)
    gate[0, HEAD_LISTINGS] = listing_count
    gate[0, HEAD_INTERVALS] = interval_count
    gate[0, HEAD_INTERVAL_BASE] = interval_base
    gate[0, HEAD_LINK_BASE] = link_base
    gate[0, HEAD_SEEN_BASE] = seen_base
    gate[0, HEAD_SEEN_MASK] = sets - 1
    gate[0, HEAD_RATE_NS] = 1
    return gate


def new_verdicts(count: int) -> Table:
    """Return a table for *count* verdicts."""
    return np.zeros((count, VERDICT_WIDTH), np.int64)


def state_arrays(gate: Table) -> tuple[Table, ...]:
    """Return every array that a snapshot must hold; copying them back restores the gate."""
    return (gate,)


def define_listing(
    gate: Table,
    listing: int,
    intervals: Sequence[int],
    *,
    qty_max_lots: int,
    collar_ticks: int,
    notional_max: int,
    ref_age_max_ns: int,
    minutes: int,
    kw_per_lot: int,
    qty_min_lots: int = 1,
    floor_ticks: int = ABSENT,
    cap_ticks: int = ABSENT,
    ref_required: bool = True,
    state: int = TRADING,
) -> None:
    """Make a listing known, or give it other limits; its reference price stays as it is, absent at first.

    Args:
        intervals: the delivery intervals it adds to; four quarter-hours for an hour. They cannot be changed later, but
            by `drop_listing`.
        qty_max_lots: of one order.
        collar_ticks: how far from the reference price an order may be.
        notional_max: of one order, in ticks * lots * minutes.
        ref_age_max_ns: beyond this age of the reference price no order passes.
        minutes: the length of delivery.
        kw_per_lot: what one lot adds to each interval, in kW.
        floor_ticks, cap_ticks: prices that are never left, whatever the reference; ABSENT for none.
        ref_required: without a reference price refuse; else collar and age are not checked while there is none.

    Raises:
        ValueError: a number is out of range, the link cells are used up, or the intervals changed.
    """
    _wanted("listing", listing, 0, int(gate[0, HEAD_LISTINGS]) - 1)
    for interval in intervals:
        _wanted("interval", interval, 0, int(gate[0, HEAD_INTERVALS]) - 1)
    if not intervals or len(set(intervals)) != len(intervals):
        raise ValueError(f"intervals of listing {listing} are {list(intervals)}; wanted at least one, each once")
    for name, value in (
        ("qty_max_lots", qty_max_lots),
        ("collar_ticks", collar_ticks),
        ("notional_max", notional_max),
        ("ref_age_max_ns", ref_age_max_ns),
    ):
        _wanted(name, value, 0, UNLIMITED)
    _wanted("qty_min_lots", qty_min_lots, 1, INT64_MAX)
    _wanted("minutes", minutes, 1, INT64_MAX)
    _wanted("kw_per_lot", kw_per_lot, 1, INT64_MAX)
    _wanted("state", state, UNKNOWN, PAUSED)
    row = gate[LISTING_ROW + listing]
    if row[LISTING_LINK_COUNT] == 0:
        _link(gate, listing, intervals)
        row[LISTING_REF] = ABSENT
    elif list(intervals) != intervals_of(gate, listing):
        raise ValueError(
            f"intervals of listing {listing} are {list(intervals)}, and were {intervals_of(gate, listing)}; "
            "a listing that delivers elsewhere is another listing"
        )
    row[: LISTING_KW_PER_LOT + 1] = (
        state,
        qty_min_lots,
        qty_max_lots,
        collar_ticks,
        floor_ticks,
        cap_ticks,
        notional_max,
        minutes,
        kw_per_lot,
    )
    row[LISTING_REF_AGE_MAX] = ref_age_max_ns
    row[LISTING_REF_REQUIRED] = int(ref_required)


def drop_listing(gate: Table, listing: int) -> None:
    """Forget a listing that has been delivered, so that its number can be defined anew.

    Intervals in which nothing else delivers are flat afterwards, nothing works there, and their limits are 0 again. The
    link cells are free. What of the listing's orders still works in other intervals is to be released before.
    Cost: O(links + listings).

    Raises:
        ValueError: the gate has no limits for the listing.
    """
    _wanted("listing", listing, 0, int(gate[0, HEAD_LISTINGS]) - 1)
    rows = gate[LISTING_ROW : LISTING_ROW + int(gate[0, HEAD_LISTINGS])]
    first, count = int(rows[listing, LISTING_LINK]), int(rows[listing, LISTING_LINK_COUNT])
    if count == 0:
        raise ValueError(f"listing {listing} is not defined; only what was defined can be dropped")
    cells, used = _links(gate), int(gate[0, HEAD_LINKS])
    intervals = cells[first : first + count].copy()
    cells[first : used - count] = cells[first + count : used]
    cells[used - count : used] = 0
    gate[0, HEAD_LINKS] = used - count
    rows[listing] = 0
    rows[rows[:, LISTING_LINK] > first, LISTING_LINK] -= count
    exposures(gate)[intervals[~np.isin(intervals, cells[: used - count])]] = 0


def intervals_of(gate: Table, listing: int) -> list[int]:
    """Return the delivery intervals of a listing."""
    row = gate[LISTING_ROW + listing]
    first = int(row[LISTING_LINK])
    cells = _links(gate)[first : first + int(row[LISTING_LINK_COUNT])]
    return [int(interval) for interval in cells]


def set_position_limit(gate: Table, interval: int, long_max_kw: int, short_max_kw: int) -> None:
    """Bound an interval's position to -short_max_kw … long_max_kw; 0 stops that side, UNLIMITED frees it.

    Raises:
        ValueError: a number is out of range.
    """
    _wanted("interval", interval, 0, int(gate[0, HEAD_INTERVALS]) - 1)
    _wanted("long_max_kw", long_max_kw, 0, UNLIMITED)
    _wanted("short_max_kw", short_max_kw, 0, UNLIMITED)
    row = int(gate[0, HEAD_INTERVAL_BASE]) + interval
    gate[row, INTERVAL_LONG_MAX] = long_max_kw
    gate[row, INTERVAL_SHORT_MAX] = short_max_kw


def set_rate(gate: Table, burst: int, ns_per_message: int) -> None:
    """Allow *burst* orders at once and one more every *ns_per_message*; burst 0 stops all, UNLIMITED frees them.

    Raises:
        ValueError: a number is out of range.
    """
    _wanted("burst", burst, 0, UNLIMITED)
    _wanted("ns_per_message", ns_per_message, 1, INT64_MAX)
    gate[0, HEAD_RATE_BURST] = burst
    gate[0, HEAD_RATE_NS] = ns_per_message


def set_switches(gate: Table, *, kill: bool, paused: bool) -> None:
    """Set the kill switch and the pause of all trading."""
    gate[0, HEAD_KILL] = int(kill)
    gate[0, HEAD_PAUSED] = int(paused)


def set_widths(gate: Table, *, price_bits: int = 0, qty_bits: int = 0, kw_bits: int = 0, ways: int = 0) -> None:
    """Let the gate answer as a device of these widths does; 0 is no bound, and fifteen ids in a set.

    Set them before the first order: ids and exposures that are there already are not looked at again.

    Args:
        price_bits: of a signed price; an order beyond is refused for REASON_OVERFLOW, once its form is right.
        qty_bits: of an unsigned number of lots; more, likewise. Fewer than 0 are fewer than the least, as ever.
        kw_bits: of signed kW; REASON_OVERFLOW at 2**(kw_bits - 1) - 1, where it is said of int64 else.
        ways: ids remembered of one hash value.

    Raises:
        ValueError: a number is out of range.
    """
    for name, bits in (("price_bits", price_bits), ("qty_bits", qty_bits), ("kw_bits", kw_bits)):
        if bits != 0:
            _wanted(name, bits, 2, 63)
    _wanted("ways", ways, 0, 15)
    gate[0, HEAD_PRICE_BITS] = price_bits
    gate[0, HEAD_QTY_BITS] = qty_bits
    gate[0, HEAD_KW_BITS] = kw_bits
    gate[0, HEAD_WAYS] = ways


def exposures(gate: Table) -> Table:
    """Return a view (interval, ``INTERVAL_*``) of limits, net position and working orders, in kW."""
    base = int(gate[0, HEAD_INTERVAL_BASE])
    return gate[base : base + int(gate[0, HEAD_INTERVALS]), : INTERVAL_WORKING + SELL + 1]


def counts(gate: Table) -> dict[Reason, int]:
    """Return how often each reason was given; NONE counts the orders that passed."""
    cells = gate[COUNTS_ROW:LISTING_ROW].reshape(-1)
    return {reason: int(cells[reason]) for reason in Reason if reason < len(cells) and cells[reason]}


def _links(gate: Table) -> Table:
    return gate[int(gate[0, HEAD_LINK_BASE]) : int(gate[0, HEAD_SEEN_BASE])].reshape(-1)


def _link(gate: Table, listing: int, intervals: Sequence[int]) -> None:
    first, cells = int(gate[0, HEAD_LINKS]), _links(gate)
    if first + len(intervals) > len(cells):
        raise ValueError(
            f"listing {listing} delivers in {len(intervals)} intervals, {len(cells) - first} link cells are free; "
            "give new_gate a larger link_capacity"
        )
    cells[first : first + len(intervals)] = intervals
    gate[0, HEAD_LINKS] = first + len(intervals)
    gate[LISTING_ROW + listing, LISTING_LINK] = first
    gate[LISTING_ROW + listing, LISTING_LINK_COUNT] = len(intervals)


def _wanted(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; wanted {low} to {high}")
