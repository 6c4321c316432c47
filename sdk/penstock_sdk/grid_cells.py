"""Room for the position grid's cells: lanes made on demand, chunks, what reaches further, what is over, its snapshot.

The arrays are those of `penstock_sdk.golden.delivery_cells`; here they grow and shrink, and its compiled functions are
called with them. A lane is whose cells they are; it has three tracks: net, working buys, working sells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from penstock_sdk.compiled import compile_golden
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.golden import delivery_cells as golden
from penstock_sdk.golden.delivery_cells import (
    CHUNK,
    CHUNK_BITS,
    LANE_NET,
    NEEDS_LANE,
    NEEDS_ROWS,
    TRACK_BASE,
    TRACK_KEPT,
    TRACK_ROWS,
)

__all__ = ["BUYS", "CHUNKS_MAX", "NET", "SELLS", "SETTLEMENTS", "GridCells", "LaneKey"]

I64 = npt.NDArray[np.int64]

NET, BUYS, SELLS = range(3)
_TRACKS: Final = 3
SETTLEMENTS: Final = ("physical", "cash")
CHUNKS_MAX: Final = 8_192
"""The most chunks from a zone's first slot to its last: eighty years of five minutes."""
_ROWS_MORE_MAX: Final = 8_192


class LaneKey(NamedTuple):
    """Whose the cells of a lane are."""

    zone_id: int
    book_id: int
    strategy_id: int
    settlement: str
    """physical or cash."""
    source_id: int = 0
    """Of a schedule; 0: what was dealt."""


@cache
def _compiled() -> SimpleNamespace:
    """Return the compiled cells, each function called once so that no fill waits for the compiler."""
    compiled = compile_golden(golden)
    cells, directory, pool = golden.new_cells(4, 1, 1)
    table, tracks, out = np.ones((1, 4), np.int64), np.array([[0, 1]], np.int64), np.zeros(2, np.int64)
    segments = np.array([[0, 1, 1]], np.int64)
    compiled.add_lots(cells, directory, pool, segments, 0, 1, 0, 1, golden.NET_MIN)
    compiled.set_amount(cells, directory, pool, 0, 0, 1, 1)
    compiled.lane_at(np.zeros((2, 4), np.int64), 0, 0, 0)
    compiled.apply_frame(cells, directory, pool, np.zeros((2, 4), np.int64), table, segments, table, 0, out)
    compiled.read(cells, directory, tracks, 0, out)
    compiled.extremes(cells, directory, segments, 0, 1, tracks, np.zeros(CHUNK, np.int64), out)
    compiled.value(cells, directory, 0, 0, np.zeros(1, np.int64), out)
    return compiled


class _Reach:
    """From where to where a zone's cells go."""

    __slots__ = ("base", "chunks", "kept")

    def __init__(self, base: int = -1, chunks: int = 0, kept: int = 0) -> None:
        self.base = base
        """The first chunk; -1 while there is none."""
        self.chunks = chunks
        """How many from there on."""
        self.kept = kept
        """The first slot that is not over."""


class GridCells:
    """Cells by lane and slot. Slots are numbers that a zone gives to its intervals; 0 and up."""

    def __init__(self, *, plain: bool = False) -> None:
        self.functions: Any = golden if plain else _compiled()
        """The golden functions: compiled, or as they stand."""
        self._add: Callable[..., int] = self.functions.add_lots
        self.cells, self.directory, self.pool = golden.new_cells(64, 8 * _TRACKS, 8)
        self.keys: list[LaneKey] = []
        """Whose each lane is, by its number."""
        self.lane_of: dict[LaneKey, int] = {}
        self._lanes: I64 = np.zeros((64, 4), np.int64)
        self._places: dict[tuple[int, str], int] = {}
        self._reach: dict[int, _Reach] = {}
        self._chosen: dict[tuple[Any, ...], I64] = {}
        self._listings: I64 = np.zeros((64, 3), np.int64)
        self._segments: I64 = np.zeros((64, 3), np.int64)
        self._segments_used = 0

    # Zones and lanes.

    def kept(self, zone_id: int) -> int:
        """Return the first slot of a zone that is not over."""
        reach = self._reach.get(zone_id)
        return reach.kept if reach else 0

    def extent(self, zone_id: int) -> tuple[int, int]:
        """Return [first, end) of the slots that a zone has room for."""
        reach = self._reach.get(zone_id) or _Reach(0)
        return max(reach.base, 0) << CHUNK_BITS, max(reach.base + reach.chunks, 0) << CHUNK_BITS

    def reach(self, zone_id: int, first: int, end: int) -> None:
        """Make room for a zone's slots from *first* to below *end*; what of them is over needs none.

        Raises:
            EnergyError: with them a zone would reach over more than CHUNKS_MAX chunks.
        """
        reach = self._reach.setdefault(zone_id, _Reach())
        first = max(first, reach.kept)
        if first >= end:
            return
        low, high = first >> CHUNK_BITS, ((end - 1) >> CHUNK_BITS) + 1
        if reach.base >= 0:
            low, high = min(low, reach.base), max(high, reach.base + reach.chunks)
        if high - low > CHUNKS_MAX:
            raise EnergyError(
                f"zone {zone_id} would reach from slot {low << CHUNK_BITS} to {high << CHUNK_BITS}; wanted at most "
                f"{CHUNKS_MAX * CHUNK} slots in all: let go of what is over first"
            )
        if high - low > self.directory.shape[1] - TRACK_ROWS:
            wider = np.zeros((len(self.directory), TRACK_ROWS + (high - low) * 5 // 4), np.int64)
            wider[:, : self.directory.shape[1]] = self.directory
            self.directory = wider
        if 0 <= low < reach.base:
            self._shift(zone_id, low - reach.base)
        if low != reach.base:
            self.directory[self._tracks_of(zone_id), TRACK_BASE] = low
        reach.base, reach.chunks = low, high - low

    def track(self, key: LaneKey, measure: int) -> int:
        """Return the number of a lane's track; of a new lane where nobody has dealt for it."""
        number = self.lane_of.get(key)
        return _TRACKS * (self._new_lane(key) if number is None else number) + measure

    def _new_lane(self, key: LaneKey) -> int:
        number = self.lane_of[key] = len(self.keys)
        self.keys.append(key)
        self._chosen.clear()
        if _TRACKS * len(self.keys) > len(self.directory):
            self.directory = np.concatenate((self.directory, np.zeros_like(self.directory)))
        reach = self._reach.setdefault(key.zone_id, _Reach())
        rows = self.directory[_TRACKS * number : _TRACKS * (number + 1)]
        rows[:, TRACK_BASE], rows[:, TRACK_KEPT] = max(reach.base, 0), reach.kept
        if not key.source_id:
            self._hash(number, key)
        return number

    def tracks(
        self,
        zone_id: int,
        book_id: int | None,
        strategy_id: int | None,
        settlement: str | None,
        scheduled: bool | None,
        *measures: tuple[int, int],
    ) -> I64:
        """Return (n, 2): the tracks that belong to what is given, None being any, each with a sign.

        Args:
            scheduled: True: schedules alone; False: what was dealt alone.
            measures: (NET, BUYS or SELLS; 1 or -1).
        """
        asked = (zone_id, book_id, strategy_id, settlement, scheduled, measures)
        chosen = self._chosen.get(asked)
        if chosen is None:
            if len(self._chosen) >= 4_096:  # who asks for ever other things must not fill the memory
                self._chosen.clear()
            lanes = [
                number
                for number, key in enumerate(self.keys)
                if key.zone_id == zone_id
                and book_id in (None, key.book_id)
                and strategy_id in (None, key.strategy_id)
                and settlement in (None, key.settlement)
                and scheduled in (None, key.source_id != 0)
            ]
            pairs = [(_TRACKS * lane + measure, sign) for measure, sign in measures for lane in lanes]
            chosen = self._chosen[asked] = np.array(pairs, np.int64).reshape(-1, 2)
        return chosen

    def place(self, zone_id: int, settlement: str) -> int:
        """Return the number of a zone and settlement, as the table of listings has it."""
        return self._places.setdefault((zone_id, settlement), len(self._places))

    def _hash(self, number: int, key: LaneKey) -> None:
        """Enter a lane into the table that frames look lanes up in."""
        if 2 * len(self.keys) > len(self._lanes):
            entries = self._lanes[self._lanes[:, LANE_NET] != 0]
            self._lanes = np.zeros((2 * len(self._lanes), 4), np.int64)
            for entry in entries:
                self._lanes[self.functions.lane_at(self._lanes, *entry[:LANE_NET].tolist())] = entry
        whose = (self.place(key.zone_id, key.settlement), key.book_id, key.strategy_id)
        self._lanes[self.functions.lane_at(self._lanes, *whose)] = (*whose, _TRACKS * number + 1)

    def _tracks_of(self, zone_id: int) -> I64:
        """Return every track of a zone."""
        return self.tracks(zone_id, None, None, None, None, (NET, 1), (BUYS, 1), (SELLS, 1))[:, 0]

    def _shift(self, zone_id: int, chunks: int) -> None:
        """Move a zone's columns so that its base is *chunks* later; what falls out has no rows any more."""
        tracks = self._tracks_of(zone_id)
        columns = self.directory[tracks, TRACK_ROWS:]
        moved = np.zeros_like(columns)
        if chunks > 0:
            moved[:, :-chunks] = columns[:, chunks:]
        else:
            moved[:, -chunks:] = columns[:, :chunks]
        self.directory[tracks, TRACK_ROWS:] = moved

    # Listings and their segments.

    def put_listing(self, slot: int, segments: I64, place: int) -> None:
        """Enter a listing's segments under a small number, from 1, for frames."""
        if slot >= len(self._listings):
            self._listings = np.concatenate((self._listings, np.zeros((slot, 3), np.int64)))
        if self._segments_used + len(segments) > len(self._segments):
            self._gather_segments(len(segments))
        first = self._segments_used
        self._segments[first : first + len(segments)] = segments
        self._segments_used += len(segments)
        self._listings[slot] = (first, len(segments), place)

    def drop_listing(self, slot: int) -> None:
        """Forget a listing's segments."""
        self._listings[slot] = 0

    def _gather_segments(self, more: int) -> None:
        """Close the gaps that dropped listings have left, and make room for so many more."""
        used = [slot for slot in range(len(self._listings)) if self._listings[slot, golden.LISTING_COUNT]]
        total = int(self._listings[:, golden.LISTING_COUNT].sum())
        gathered: I64 = np.zeros((max(64, 2 * (total + more)), 3), np.int64)
        self._segments_used = 0
        for slot in used:
            first, count, _ = self._listings[slot].tolist()
            gathered[self._segments_used : self._segments_used + count] = self._segments[first : first + count]
            self._listings[slot, golden.LISTING_FIRST] = self._segments_used
            self._segments_used += count
        self._segments = gathered

    # Changes.

    def add(self, segments: I64, track: int, lots: int, lowest: int) -> int:
        """Add lots to every slot of some segments, as `add_lots` does."""
        while True:
            status = self._add(
                self.cells, self.directory, self.pool, segments, 0, len(segments), track, lots, lowest
            )  # fmt: skip
            if status != NEEDS_ROWS:
                return status
            self.more_rows()

    def set_amount(self, track: int, slot: int, end: int, amount: int) -> int:
        """Write an amount into the slots [slot, end) of a track, as the golden function does."""
        while True:
            status: int = self.functions.set_amount(
                self.cells, self.directory, self.pool, track, slot, end, amount
            )  # fmt: skip
            if status != NEEDS_ROWS:
                return status
            self.more_rows()

    def frame(self, fills: I64, key_of: Callable[[int], LaneKey]) -> I64:
        """Add a frame of fills, as `apply_frame` does; return what became of each.

        Args:
            key_of: gives the key of the lane that a fill, by its number in the frame, belongs to.
        """
        status_out, at = np.zeros(len(fills), np.int64), 0
        while True:
            at = self.functions.apply_frame(
                self.cells, self.directory, self.pool, self._lanes, self._listings, self._segments, fills, at,
                status_out,
            )  # fmt: skip
            if at == len(fills):
                return status_out
            if status_out[at] == NEEDS_LANE:
                self._new_lane(key_of(at))
            else:
                self.more_rows()

    def more_rows(self) -> None:
        """Double the cells, or add the most that is added at once; memory is taken as they are written."""
        had = len(self.cells)
        more = min(had, _ROWS_MORE_MAX)
        wider = np.zeros((had + more, CHUNK), np.int64)
        wider[:had] = self.cells
        self.cells = wider
        free = int(self.pool[0])
        pool = np.zeros(1 + had + more, np.int64)
        pool[0] = free + more
        pool[1 : 1 + more] = np.arange(had + more - 1, had - 1, -1)
        pool[1 + more : 1 + more + free] = self.pool[1 : 1 + free]
        self.pool = pool

    def let_go(self, zone_id: int, slot: int) -> None:
        """Forget a zone's slots before *slot*; free chunks that hold nothing. Never goes back."""
        reach = self._reach.setdefault(zone_id, _Reach())
        if slot <= reach.kept:
            return
        tracks, base = self._tracks_of(zone_id), slot >> CHUNK_BITS
        if reach.base >= 0:
            for track in tracks.tolist():
                self._clear(track, reach, slot)
            if base > reach.base:
                self._shift(zone_id, min(base - reach.base, self.directory.shape[1] - TRACK_ROWS))
                reach.chunks = max(reach.base + reach.chunks - base, 0)
                reach.base = base
        reach.kept = slot
        self.directory[tracks, TRACK_BASE], self.directory[tracks, TRACK_KEPT] = max(reach.base, 0), slot

    def _clear(self, track: int, reach: _Reach, slot: int) -> None:
        """Write zeros before *slot*, and give back the rows that hold nothing then."""
        columns = self.directory[track, TRACK_ROWS:]
        for nth in np.flatnonzero(columns).tolist():
            row = int(columns[nth])
            over = slot - ((reach.base + nth) << CHUNK_BITS)
            if over > 0:
                self.cells[row, :over] = 0
            if not self.cells[row].any():
                columns[nth] = 0
                self.pool[0] += 1
                self.pool[self.pool[0]] = row

    # Size and state.

    @property
    def chunks(self) -> int:
        """How many chunks are in use, of 8 kB each."""
        return len(self.cells) - 1 - int(self.pool[0])

    @property
    def nbytes(self) -> int:
        """Bytes in use: chunks that are held, and the tables beside them."""
        beside = (self.directory, self.pool, self._lanes, self._listings, self._segments)
        return (self.chunks + 1) * CHUNK * 8 + sum(array.nbytes for array in beside)

    def snapshot(self) -> dict[str, Any]:
        """Return the reach of zones and what is not zero, as msgpack carries it; equal cells give equal snapshots."""
        return {
            "zones": [
                [zone_id, reach.base, reach.chunks, reach.kept] for zone_id, reach in sorted(self._reach.items())
            ],
            "cells": [
                [*key, measure, *piece]
                for key, number in sorted(self.lane_of.items())
                for measure in range(_TRACKS)
                for piece in self._pieces(_TRACKS * number + measure)
            ],
        }

    def _pieces(self, track: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield chunk, amounts (int64) and how often each stands in a row (uint16), of chunks not zero."""
        base = int(self.directory[track, TRACK_BASE])
        for nth in np.flatnonzero(self.directory[track, TRACK_ROWS:]).tolist():
            row = self.cells[self.directory[track, TRACK_ROWS + nth]]
            if row.any():
                starts = np.concatenate(([0], np.flatnonzero(np.diff(row)) + 1))
                lengths = np.diff(np.concatenate((starts, [CHUNK])))
                yield base + nth, row[starts].astype("<i8").tobytes(), lengths.astype("<u2").tobytes()

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned, into cells that are new."""
        for zone_id, base, chunks, kept in state["zones"]:
            reach = self._reach[zone_id] = _Reach(kept=kept)
            if base >= 0 and chunks:
                self.reach(zone_id, base << CHUNK_BITS, (base + chunks) << CHUNK_BITS)
            reach.base, reach.chunks = base, chunks
        for zone_id, book_id, strategy_id, settlement, source_id, measure, chunk, amounts, lengths in state["cells"]:
            track = self.track(LaneKey(zone_id, book_id, strategy_id, settlement, source_id), measure)
            if not self.pool[0]:
                self.more_rows()
            row = golden.row_of(self.directory, self.pool, track, chunk)
            self.cells[row] = np.repeat(np.frombuffer(amounts, "<i8"), np.frombuffer(lengths, "<u2"))
