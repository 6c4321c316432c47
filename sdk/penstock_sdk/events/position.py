"""Positions, profit and loss, limits. Money in 10⁻⁶ of the currency."""

from __future__ import annotations

from typing import Annotated

from penstock_sdk.events.enums import (
    ClockKind,
    LimitKind,
)
from penstock_sdk.schema import ABSENT, I64, U8, U16, U32, Record, Wire, record

__all__ = [
    "Limit",
    "Pnl",
    "Position",
]


@record(id=60, topic="position.position")
class Position(Record, frozen=True, gc=False):
    """What a strategy holds of a listing, after a fill."""

    listing_id: U32
    strategy_id: U32 = 0
    book_id: U32 = 0
    currency_id: U16 = 0
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    flags: U8 = 0
    net_lots: I64 = 0
    """Bought less sold; a long takes delivery."""
    bought_lots: I64 = 0
    sold_lots: I64 = 0
    cash_micro: I64 = 0
    """Received less paid, in 10⁻⁶ of the currency."""
    interval_max_lots: I64 = 0
    """The largest absolute net position of the delivery intervals it touches."""
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT


@record(id=61, topic="position.pnl")
class Pnl(Record, frozen=True, gc=False):
    """Profit and loss of a strategy in a listing; listing 0 is all of them."""

    listing_id: U32
    strategy_id: U32 = 0
    book_id: U32 = 0
    currency_id: U16 = 0
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    flags: U8 = 0
    realised_micro: I64 = 0
    unrealised_micro: I64 = 0
    fees_micro: I64 = 0
    mark_ticks: I64 = ABSENT
    mark_age_ns: I64 = ABSENT
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT


@record(id=62, topic="risk.limit")
class Limit(Record, frozen=True, gc=False):
    """A limit takes a value. Journaled: it holds after a restart."""

    kind: Annotated[int, Wire("H", LimitKind)]
    flags: U16 = 0
    strategy_id: U32 = 0
    """0 is every strategy."""
    listing_id: U32 = 0
    """0 is every listing."""
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    value: I64 = 0
    previous: I64 = ABSENT
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT
