"""Positions, profit and loss, limits. Money in 10⁻⁶ of the currency."""

from __future__ import annotations

from typing import Annotated

from penstock_sdk.events.enums import (
    CashKind,
    ClockKind,
    LimitKind,
)
from penstock_sdk.schema import ABSENT, I64, U8, U16, U32, Record, Wire, record

__all__ = [
    "CashFlow",
    "DeliverySchedule",
    "Limit",
    "Pnl",
    "PnlAttribution",
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


@record(id=63, topic="position.schedule")
class DeliverySchedule(Record, frozen=True, gc=False):
    """What an asset or another source delivers over a stretch: it takes the place of what its source said before."""

    zone_id: U32
    book_id: U32 = 0
    source_id: U32 = 0
    """Interned, as `asset.wind-north`."""
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    flags: U8 = 0
    version: U16 = 0
    start_ns: I64 = ABSENT
    """Delivery [start, end), on the zone's grid."""
    end_ns: I64 = ABSENT
    amount: I64 = 0
    """Per grid interval, in the zone's grid unit (kW for power); what comes to us is positive."""
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT


@record(id=64, topic="settlement.cash_flow")
class CashFlow(Record, frozen=True, gc=False):
    """Money due: exact in 10⁻⁶ of the currency; it is rounded where it is invoiced, and nowhere before."""

    book_id: U32
    strategy_id: U32 = 0
    listing_id: U32 = 0
    zone_id: U32 = 0
    """The zone or hub; of an imbalance, which has no listing."""
    counterparty_id: U32 = 0
    """Who pays or is paid; 0 is the clearing house that the settlement plugin's config names."""
    currency_id: U16 = 0
    kind: Annotated[int, Wire("B", CashKind)] = 0
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    version: U16 = 0
    """Of the prices or meter values it stands on; a later version carries the difference alone."""
    flags: U16 = 0
    value_day: U32 = 0
    """When money moves: the day's number, ``date.toordinal()``."""
    amount_micro: I64 = 0
    """Received is positive, paid negative."""
    delivery_start_ns: I64 = ABSENT
    delivery_end_ns: I64 = ABSENT
    energy_wh: I64 = 0
    """What it pays for, in Wh, bought positive; of fees what they are charged on. Of carbon: grams of CO₂."""
    traded_ns: I64 = ABSENT
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT


@record(id=65, topic="position.attribution", plural="pnl_attributions")
class PnlAttribution(Record, frozen=True, gc=False):
    """Where a strategy's profit in a listing comes from: the four parts add up to the Pnl told beside it, to the micro.

    realised + unrealised - fees = market + delay + execution - fees
    """

    listing_id: U32
    strategy_id: U32 = 0
    book_id: U32 = 0
    currency_id: U16 = 0
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    flags: U8 = 0
    market_micro: I64 = 0
    """The price's move since the decisions: mark against mid at decision, over every fill."""
    delay_micro: I64 = 0
    """Mid at decision against mid at arrival; negative is a cost."""
    execution_micro: I64 = 0
    """Mid at arrival against the price dealt; negative is a cost."""
    fees_micro: I64 = 0
    unpriced_fills: I64 = 0
    """Fills without both mids, as trades from outside: theirs is all the market's."""
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT
