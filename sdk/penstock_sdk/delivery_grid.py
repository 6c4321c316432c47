"""The position grid: what is held in every delivery interval, by zone or hub, book, strategy and kind of settlement.

Spot fills, futures exploded into their intervals, bilateral deals and the schedules of assets all stand in the same
cells, so that an hour bought and its four quarter-hours sold are flat, and a month bought is covered by its days:

    >>> from penstock_sdk.testing.toys import toy_listing
    >>> zone = ZoneDefinition(zone_id=1, code="DE-LU", timezone="Europe/Berlin", currency="EUR")
    >>> nine_ns, hour_ns = 1_773_129_600_000_000_000, 3_600_000_000_000  # 2026-03-10 08:00 UTC
    >>> grid = DeliveryGrid()
    >>> for listing_id, minutes in ((1, 60), (2, 15)):
    ...     grid.define(*toy_listing(listing_id, zone, nine_ns, minutes), zone)
    >>> grid.fill(1, book_id=1, strategy_id=7, signed_lots=5) == grid.fill(2, 1, 8, -5) == APPLIED
    True
    >>> grid.net(1, nine_ns, nine_ns + hour_ns).tolist()
    [0, 500, 500, 500]
    >>> grid.net(1, nine_ns, nine_ns + hour_ns, strategy_id=7).tolist()
    [500, 500, 500, 500]

Amounts are whole numbers of the zone's grid unit: kW; therm/d, 10⁻³ MMBtu/d, kg by the day. The integer work is done by
`penstock_sdk.golden.delivery_cells`, compiled. Where None may be given for a book, a strategy or a kind of settlement,
it stands for all of them together.

Memory: 8 kB for each 1,024 intervals in which somebody holds something, 24 bytes for each of these from the first to
the last interval of any listing, 48 a segment. `let_go` gives back what is over.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from penstock_sdk.energy.delivery import DeliveryPeriod
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.events import ContractDefinition, DeliverySchedule, ListingDefinition, Side, ZoneDefinition
from penstock_sdk.golden.delivery_cells import (
    ABSENT,
    APPLIED,
    CELL_MAX,
    CHUNK,
    INT64_MAX,
    LOTS_MAX,
    NET_MIN,
    REFUSED_NEGATIVE,
    REFUSED_OVERFLOW,
    REFUSED_PRICE,
    REFUSED_UNKNOWN,
)
from penstock_sdk.grid_cells import BUYS, CHUNKS_MAX, NET, SELLS, SETTLEMENTS, GridCells, LaneKey
from penstock_sdk.grid_periods import PeriodPosition, over_period
from penstock_sdk.grid_slots import GridSlots, segments_of
from penstock_sdk.slots import ListingSlots, check_state

__all__ = [
    "APPLIED",
    "REFUSED_NEGATIVE",
    "REFUSED_OVERFLOW",
    "REFUSED_UNKNOWN",
    "DeliveryGrid",
    "PeriodPosition",
]

I64 = npt.NDArray[np.int64]

_STATE_VERSION: Final = 1
_WH_PER_MWH: Final = 1_000_000
_LONG = ((NET, 1), (BUYS, 1))
_SHORT = ((NET, 1), (SELLS, -1))


class _Listing(NamedTuple):
    zone_id: int
    settlement: str
    segments: I64
    end_slot: int


class DeliveryGrid:
    """Positions per delivery interval. The same calls give the same grid; a snapshot gives it back.

    Args:
        plain: run the golden functions as they stand instead of compiled, some hundred times slower.
    """

    def __init__(self, *, plain: bool = False) -> None:
        self._plain = plain
        self._cells = GridCells(plain=plain)
        self._zones: dict[int, GridSlots] = {}
        self._listings: dict[int, _Listing] = {}
        self._numbers = ListingSlots()
        self._scratch: I64 = np.zeros(CHUNK, np.int64)
        self._pair: I64 = np.zeros(2, np.int64)

    # What there is.

    def __contains__(self, listing_id: int) -> bool:
        """Return whether a listing is defined, and not over."""
        return listing_id in self._listings

    def define_zone(self, zone: ZoneDefinition) -> GridSlots:
        """Learn a zone's grid; return how it numbers its intervals. Cost: little when it is known.

        Raises:
            EnergyError: the zone has another grid already, or the definition makes no sense.
        """
        slots, known = GridSlots.of(zone), self._zones.get(zone.zone_id)
        if known is not None and known != slots:
            raise EnergyError(f"zone {zone.code} has the grid {known} already, met {slots}; a new grid is a new zone")
        self._zones[zone.zone_id] = slots
        return slots

    def define(self, listing: ListingDefinition, contract: ContractDefinition, zone: ZoneDefinition) -> None:
        """Learn what a lot of a listing adds to which intervals. Again the same is no harm.

        Raises:
            EnergyError: it lies in another zone, or off the zone's grid; its segments are not in time order and apart,
                or no amounts; it was defined otherwise before; it reaches too far.
        """
        if contract.zone_id != zone.zone_id or contract.settlement not in SETTLEMENTS:
            raise EnergyError(
                f"contract {contract.name} lies in zone {contract.zone_id} and settles {contract.settlement!r}; wanted "
                f"zone {zone.zone_id} and one of {SETTLEMENTS}"
            )
        segments = segments_of(listing, self.define_zone(zone))
        known = self._listings.get(listing.listing_id)
        if known is not None:
            if known.zone_id != zone.zone_id or not np.array_equal(known.segments, segments):
                raise EnergyError(
                    f"listing {listing.name} is defined otherwise already; a new delivery is a new listing"
                )
            return
        self._cells.reach(zone.zone_id, int(segments[0, 0]), int(segments[-1, 0] + segments[-1, 1]))
        self._enter(listing.listing_id, zone.zone_id, contract.settlement, segments)

    def _enter(self, listing_id: int, zone_id: int, settlement: str, segments: I64) -> None:
        end_slot = int(segments[-1, 0] + segments[-1, 1])
        self._listings[listing_id] = _Listing(zone_id, settlement, segments, end_slot)
        place = self._cells.place(zone_id, settlement)
        self._cells.put_listing(self._numbers.take(listing_id), segments, place)

    def drop(self, listing_id: int) -> None:
        """Forget a listing; what is held in its intervals stays. KeyError when it is not known."""
        del self._listings[listing_id]
        self._cells.drop_listing(self._numbers.drop(listing_id))

    def let_go(self, before_ns: int) -> list[int]:
        """Forget intervals that end before or at an instant, in every zone; return the listings that are over.

        Cost: some 0.2 ms for each lane and year of quarter-hours; once a day does.
        """
        for zone_id, slots in self._zones.items():
            self._cells.let_go(zone_id, slots.floor(before_ns))
        kept = {zone_id: self._cells.kept(zone_id) for zone_id in self._zones}
        over = [number for number, listing in self._listings.items() if listing.end_slot <= kept[listing.zone_id]]
        for listing_id in over:
            self.drop(listing_id)
        return over

    # What happens.

    def fill(self, listing_id: int, book_id: int, strategy_id: int, signed_lots: int) -> int:
        """Add lots that were dealt, bought positive; return APPLIED, or REFUSED_… and then nothing changed.

        Cost: some 1.2 µs, and 1 ns an interval.
        """
        return self._change(listing_id, book_id, strategy_id, NET, signed_lots)

    def work(self, listing_id: int, book_id: int, strategy_id: int, side: int, delta_lots: int) -> int:
        """Add lots to the working orders of a side, or take some off (negative); return as `fill`.

        REFUSED_NEGATIVE: more would be taken off than there is.
        """
        return self._change(listing_id, book_id, strategy_id, BUYS if side == Side.BUY else SELLS, delta_lots)

    def _change(self, listing_id: int, book_id: int, strategy_id: int, measure: int, lots: int) -> int:
        listing = self._listings.get(listing_id)
        if listing is None:
            return REFUSED_UNKNOWN
        if not -LOTS_MAX <= lots <= LOTS_MAX:
            return REFUSED_OVERFLOW
        cells = self._cells
        track = cells.track(LaneKey(listing.zone_id, book_id, strategy_id, listing.settlement), measure)
        return cells.add(listing.segments, track, lots, 0 if measure else NET_MIN)

    def place_of(self, listing_id: int, book_id: int, strategy_id: int) -> tuple[I64, int]:
        """Return a listing's segments and an account's track, as `golden.booking` wants them; KeyError if unknown.

        Both stay as they are; `arrays` may be others after anything is defined or added.
        """
        listing = self._listings[listing_id]
        key = LaneKey(listing.zone_id, book_id, strategy_id, listing.settlement)
        return listing.segments, self._cells.track(key, NET)

    @property
    def arrays(self) -> tuple[I64, I64, I64]:
        """The cells, directory and pool of `golden.delivery_cells`, for `golden.booking`."""
        cells = self._cells
        return cells.cells, cells.directory, cells.pool

    def more_rows(self) -> None:
        """Make room for new cells, as NEEDS_ROWS asks."""
        self._cells.more_rows()

    def fill_frame(
        self,
        listing_ids: npt.NDArray[Any],
        book_ids: npt.NDArray[Any] | int,
        strategy_ids: npt.NDArray[Any] | int,
        signed_lots: npt.NDArray[Any],
    ) -> I64:
        """Add many fills, in their order; return (n,) APPLIED or REFUSED_… of each: what is refused leaves nothing.

        Args:
            listing_ids, book_ids, strategy_ids, signed_lots: (n,), integers; a book or a strategy may be one for all.
        """
        fills: I64 = np.empty((len(listing_ids), 4), np.int64)
        fills[:, 0], fills[:, 1] = self._numbers.of(listing_ids), book_ids
        fills[:, 2], fills[:, 3] = strategy_ids, signed_lots

        def key_of(at: int) -> LaneKey:
            listing = self._listings[int(listing_ids[at])]
            return LaneKey(listing.zone_id, int(fills[at, 1]), int(fills[at, 2]), listing.settlement)

        return self._cells.frame(fills, key_of)

    def schedule(self, schedule: DeliverySchedule) -> int:
        """Write what a source delivers over a stretch, in the place of what it said before; return as `fill`.

        It counts as physical, of its book and no strategy (0).

        Raises:
            EnergyError: the stretch is empty or off the zone's grid, or reaches too far.
        """
        slots = self._zones.get(schedule.zone_id)
        if slots is None:
            return REFUSED_UNKNOWN
        first, end = slots.slot(schedule.start_ns), slots.slot(schedule.end_ns)
        if first >= end or not schedule.source_id:
            raise EnergyError(
                f"schedule of source {schedule.source_id} goes from {schedule.start_ns} to {schedule.end_ns} ns; "
                "wanted a source, and an end after its start"
            )
        if abs(schedule.amount) > CELL_MAX:
            return REFUSED_OVERFLOW
        self._cells.reach(schedule.zone_id, first, end)
        key = LaneKey(schedule.zone_id, schedule.book_id, 0, SETTLEMENTS[0], schedule.source_id)
        return self._cells.set_amount(self._cells.track(key, NET), first, end, schedule.amount)

    # What is held.

    def net(
        self,
        zone_id: int,
        start_ns: int,
        end_ns: int,
        book_id: int | None = None,
        strategy_id: int | None = None,
        settlement: str | None = None,
        scheduled: bool | None = None,
    ) -> I64:
        """Return what is held in each interval of [start, end), in the grid unit; long is positive.

        Args:
            scheduled: True: what sources have scheduled alone; False: what was dealt alone; None: both.

        Raises:
            EnergyError: an unknown zone, an instant off its grid or already let go, a sum beyond 64 bits.
        """
        first, end = self._range(zone_id, start_ns, end_ns)
        tracks = self._cells.tracks(zone_id, book_id, strategy_id, settlement, scheduled, (NET, 1))
        return self._read(tracks, first, end)

    def exposure(
        self,
        zone_id: int,
        start_ns: int,
        end_ns: int,
        book_id: int | None = None,
        strategy_id: int | None = None,
        settlement: str | None = None,
    ) -> tuple[I64, I64]:
        """Return what is held per interval if all working buys are filled and no sell, and the other way round."""
        first, end = self._range(zone_id, start_ns, end_ns)
        asked = (zone_id, book_id, strategy_id, settlement, None)
        long, short = (self._cells.tracks(*asked, *side) for side in (_LONG, _SHORT))
        return self._read(long, first, end), self._read(short, first, end)

    def worst_case(
        self, listing_id: int, book_id: int | None = None, strategy_id: int | None = None
    ) -> tuple[int, int]:
        """Return (long, short) of a listing's intervals: the highest with all working buys, the lowest with all sells.

        Of the listing's own kind of settlement, in the grid unit, schedules counted. (0, 0) for what is not known.
        """
        return self._extremes(listing_id, book_id, strategy_id, _LONG)[1], self._extremes(
            listing_id, book_id, strategy_id, _SHORT
        )[0]

    def largest(self, listing_id: int, book_id: int | None = None, strategy_id: int | None = None) -> int:
        """Return the largest amount held in any interval of a listing, without its sign; as `worst_case` otherwise."""
        low, high = self._extremes(listing_id, book_id, strategy_id, ((NET, 1),))
        return max(-low, high)

    def by_period(
        self,
        zone_id: int,
        periods: Iterable[DeliveryPeriod],
        book_id: int | None = None,
        strategy_id: int | None = None,
        settlement: str | None = None,
        scheduled: bool | None = None,
        *,
        wh_per_unit: Fraction | None = None,
    ) -> list[PeriodPosition]:
        """Return what is held over each period: peak, a day, a month, a gas year.

        Args:
            wh_per_unit: Wh in one of what prices are per, where that is not MWh: of a therm, of an MMBtu.

        Raises:
            EnergyError: a period is no multiple of the grid; else as `net`.
        """
        slots = self._zone(zone_id)
        tracks = self._cells.tracks(zone_id, book_id, strategy_id, settlement, scheduled, (NET, 1))
        factor = Fraction(_WH_PER_MWH) if slots.grid_unit == "kW" else wh_per_unit
        return [self._over(slots, tracks, period, factor) for period in periods]

    def _over(self, slots: GridSlots, tracks: I64, period: DeliveryPeriod, factor: Fraction | None) -> PeriodPosition:
        try:
            ranges = [self._range(slots.zone_id, *span) for span in period.spans]
        except EnergyError as error:
            raise EnergyError(f"period {period.name!r}: {error}") from None
        amounts = np.concatenate([self._read(tracks, first, end) for first, end in ranges])
        return over_period(slots, period, ranges, amounts, factor)

    def value(
        self,
        zone_id: int,
        start_ns: int,
        prices_ticks: npt.NDArray[Any],
        tick_micro: int,
        book_id: int | None = None,
        strategy_id: int | None = None,
        settlement: str | None = None,
        scheduled: bool | None = None,
    ) -> Fraction:
        """Return what is held is worth at a price for each interval, in 10⁻⁶ of the currency, exactly.

        Args:
            prices_ticks: (interval,) from *start_ns* on; ABSENT where there is none, which is refused where anything is
                held. What is held outside of them does not count.
            tick_micro: the price step, in 10⁻⁶ of the currency per MWh, therm, MMBtu or t.

        Raises:
            EnergyError: a price is missing, a sum does not fit 64 bits; else as `net`.

        Cost: 1 ns an interval and lane.
        """
        slots = self._zone(zone_id)
        first = self._check_kept(slots, slots.slot(start_ns))
        prices = np.ascontiguousarray(prices_ticks, np.int64)
        per_unit = slots.energy_per_unit(first)
        if slots.varies:
            minutes = np.array([slots.minutes(first + nth) for nth in range(len(prices))], np.int64)
            if len(prices) and max(abs(int(prices.max())), abs(int(prices.min()))) > INT64_MAX // 1_500:
                raise EnergyError(
                    f"prices reach {prices.max()} ticks; wanted them below {INT64_MAX // 1_500}, and all of them"
                )
            prices, per_unit = prices * minutes, per_unit / slots.minutes(first)
        tracks = self._cells.tracks(zone_id, book_id, strategy_id, settlement, scheduled, (NET, 1))
        total = self._pair
        total[0] = 0
        for track in tracks[:, 0].tolist():
            status = self._cells.functions.value(self._cells.cells, self._cells.directory, track, first, prices, total)
            if status != APPLIED:
                raise self._no_value(slots, status, first, prices, track)
        return total.item(0) * tick_micro * per_unit

    def _no_value(self, slots: GridSlots, status: int, first: int, prices: I64, track: int) -> EnergyError:
        if status != REFUSED_PRICE:
            return EnergyError(f"value of zone {slots.code} does not fit 64 bits; ask for books or stretches apart")
        held = self._read(np.array([[track, 1]], np.int64), first, first + len(prices))
        at = int(np.flatnonzero((held != 0) & (prices == ABSENT))[0])
        return EnergyError(
            f"zone {slots.code} has no price at {slots.start_ns(first + at)} ns, where {held[at]} {slots.grid_unit} "
            "are held; wanted one wherever anything is"
        )

    # Size and state.

    @property
    def nbytes(self) -> int:
        """Bytes of cells in use and of the tables beside them."""
        return self._cells.nbytes + sum(listing.segments.nbytes for listing in self._listings.values())

    def kept_ns(self, zone_id: int) -> int:
        """Return from when on a zone's intervals are kept, ns UTC; ABSENT before anything was let go."""
        kept = self._cells.kept(zone_id)
        return self._zone(zone_id).start_ns(kept) if kept else ABSENT

    def snapshot(self) -> dict[str, Any]:
        """Return it as msgpack carries it; its size follows what is held, not the horizon."""
        return {
            "version": _STATE_VERSION,
            "zones": [msgspec.to_builtins(slots) for slots in self._zones.values()],
            "listings": [
                [listing_id, listing.zone_id, listing.settlement, listing.segments.astype("<i8").tobytes()]
                for listing_id, listing in self._listings.items()
            ],
            "cells": self._cells.snapshot(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned, in the place of everything.

        Raises:
            ValueError: it is of another version.
        """
        check_state(state, _STATE_VERSION, "the position grid")
        DeliveryGrid.__init__(self, plain=self._plain)
        for slots in state["zones"]:
            zone = msgspec.convert(slots, GridSlots)
            self._zones[zone.zone_id] = zone
        self._cells.restore(state["cells"])
        for listing_id, zone_id, settlement, segments in state["listings"]:
            self._enter(listing_id, zone_id, settlement, np.frombuffer(segments, "<i8").astype(np.int64).reshape(-1, 3))

    # Below.

    def _zone(self, zone_id: int) -> GridSlots:
        slots = self._zones.get(zone_id)
        if slots is None:
            raise EnergyError(f"zone {zone_id} is not on the position grid; known are {sorted(self._zones)}")
        return slots

    def _check_kept(self, slots: GridSlots, first: int) -> int:
        kept = self._cells.kept(slots.zone_id)
        if first < kept:
            raise EnergyError(
                f"{slots.start_ns(first)} ns is before what zone {slots.code} still keeps; wanted "
                f"{slots.start_ns(kept)} or later"
            )
        return first

    def _range(self, zone_id: int, start_ns: int, end_ns: int) -> tuple[int, int]:
        slots = self._zone(zone_id)
        first, end = self._check_kept(slots, slots.slot(start_ns)), slots.slot(end_ns)
        if not 0 < end - first <= CHUNKS_MAX * CHUNK:
            raise EnergyError(
                f"from {start_ns} to {end_ns} ns are {end - first} intervals; wanted 1 to {CHUNKS_MAX * CHUNK}"
            )
        return first, end

    def _read(self, tracks: I64, first: int, end: int) -> I64:
        out: I64 = np.empty(end - first, np.int64)
        if self._cells.functions.read(self._cells.cells, self._cells.directory, tracks, first, out) != APPLIED:
            raise EnergyError(f"what {len(tracks)} lanes hold together does not fit 64 bits; ask for books apart")
        return out

    def _extremes(
        self, listing_id: int, book_id: int | None, strategy_id: int | None, side: tuple[tuple[int, int], ...]
    ) -> tuple[int, int]:
        listing = self._listings.get(listing_id)
        if listing is None:
            return 0, 0
        cells, segments, out = self._cells, listing.segments, self._pair
        tracks = cells.tracks(listing.zone_id, book_id, strategy_id, listing.settlement, None, *side)
        status = cells.functions.extremes(
            cells.cells, cells.directory, segments, 0, len(segments), tracks, self._scratch, out
        )
        if status != APPLIED:
            raise EnergyError(f"what {len(tracks)} lanes hold together does not fit 64 bits; ask for books apart")
        return out.item(0), out.item(1)
