"""What accounts had of listings when these were delivered, kept for a while: a trade that is told late goes on from it.

An account's position and profit in a listing are figures of their own, told last once the listing has been delivered.
A trade that comes later is added to them, at the mark they were settled at, and they are told anew: so the last rows of
an account's listings add up to its total however late a trade is told.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from penstock_sdk.golden import positions as golden

__all__ = ["Closed", "Closings"]

I64 = npt.NDArray[np.int64]
_COLUMNS = (
    golden.POSITION_NET, golden.POSITION_BOUGHT, golden.POSITION_SOLD, golden.POSITION_CASH, golden.POSITION_COST,
    golden.POSITION_FILLS, golden.POSITION_DELAY, golden.POSITION_EXECUTION, golden.POSITION_UNPRICED,
    golden.POSITION_FEES, golden.POSITION_FEE_PARTS,
)  # fmt: skip
"""Of a row, what trades have made of it; the rest follows from the listing."""
_AT = list(_COLUMNS)
_encode, _decode = msgspec.msgpack.encode, msgspec.msgpack.decode


class Closed(NamedTuple):
    """What an account had of a listing."""

    columns: tuple[int, ...]
    """Of the row, as it was."""
    ticks: int
    """The mark that it was settled at, ABSENT where there was none."""
    realised_micro: int
    """As it was told."""
    shared: bool
    """Whether money of imbalance may take the place of its value."""

    def put_back(self, table: golden.Table, row: int) -> None:
        """Make a flat row what it was."""
        table[row, _AT] = self.columns


class _Listing:
    """The closed holdings of a listing."""

    __slots__ = ("accounts", "mark", "until_ns")

    def __init__(self, until_ns: int, mark: tuple[int, int]) -> None:
        self.until_ns = until_ns
        """Until when they are kept."""
        self.mark = mark
        """(ticks, when it was seen) that it was settled at last."""
        self.accounts: dict[tuple[int, int], bytes] = {}
        """By book and strategy."""


class Closings:
    """Closed holdings, packed to some 40 bytes each, until their listings are forgotten."""

    def __init__(self) -> None:
        self._listings: dict[int, _Listing] = {}

    def __contains__(self, key: tuple[int, int, int]) -> bool:
        """Return whether something is kept of a (book, strategy, listing)."""
        listing = self._listings.get(key[2])
        return listing is not None and key[:2] in listing.accounts

    def keep(
        self, key: tuple[int, int, int], row: I64, mark: tuple[int, int], realised_micro: int, until_ns: int, *,
        shared: bool,
    ) -> None:  # fmt: skip
        """Keep what an account had, if it ever traded.

        Args:
            key: (book, strategy, listing).
            row: of the ledger's table.
            mark: (ticks, when it was seen) that it is settled at.
            until_ns: when it may be forgotten.
        """
        columns = row[_AT].tolist()
        if not any(columns):
            return
        listing = self._listings.setdefault(key[2], _Listing(until_ns, mark))
        listing.until_ns, listing.mark = max(listing.until_ns, until_ns), mark
        listing.accounts[key[:2]] = _encode([*columns, mark[0], realised_micro, shared])

    def take(self, key: tuple[int, int, int]) -> Closed | None:
        """Return what an account had, and keep it no more; None where nothing is known."""
        listing = self._listings.get(key[2])
        packed = None if listing is None else listing.accounts.pop(key[:2], None)
        if packed is None:
            return None
        *columns, ticks, realised_micro, shared = _decode(packed)
        return Closed(tuple(columns), ticks, realised_micro, shared)

    def mark(self, listing_id: int) -> tuple[int, int] | None:
        """Return (ticks, when it was seen) that a listing was settled at last; None where nobody held it."""
        listing = self._listings.get(listing_id)
        return None if listing is None else listing.mark

    def forget(self, now_ns: int) -> None:
        """Forget listings that have been over for long."""
        for listing_id in [key for key, listing in self._listings.items() if listing.until_ns <= now_ns]:
            del self._listings[listing_id]

    def snapshot(self) -> list[Any]:
        """Return it as msgpack carries it."""
        return [
            [listing_id, one.until_ns, *one.mark, [[*account, packed] for account, packed in one.accounts.items()]]
            for listing_id, one in self._listings.items()
        ]

    def restore(self, state: list[Any]) -> None:
        """Take back what `snapshot` returned."""
        self._listings = {}
        for listing_id, until_ns, ticks, seen_ns, accounts in state:
            listing = self._listings[listing_id] = _Listing(until_ns, (ticks, seen_ns))
            listing.accounts = {(book_id, strategy_id): packed for book_id, strategy_id, packed in accounts}
