"""What is measured, forecast and signalled. Values are float64 in a named unit."""

from __future__ import annotations

from typing import Annotated

from penstock_sdk.events.enums import (
    ClockKind,
    LevelFlag,
)
from penstock_sdk.schema import ABSENT, F64, I64, U8, U16, U32, Record, Wire, record

__all__ = [
    "Forecast",
    "FxRate",
    "Observation",
    "Signal",
]


@record(id=20, topic="data.observation")
class Observation(Record, frozen=True, gc=False):
    """A measured value of a series: a price, a load, a temperature."""

    series_id: U32
    """Interned, as `price.DE-LU.da`."""
    unit_id: U16 = 0
    """Interned, as `EUR/MWh`."""
    quality: U16 = 0
    """0 as measured, 1 estimated, 2 substituted."""
    source_id: U32 = 0
    version: U16 = 0
    """Revisions of the same valid time count up."""
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    flags: U8 = 0
    valid_from_ns: I64 = ABSENT
    """What the value is about: [valid_from, valid_to)."""
    valid_to_ns: I64 = ABSENT
    known_at_ns: I64 = ABSENT
    """When it could first be known; never used before."""
    value: F64 = 0.0
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT


@record(id=21, topic="data.forecast")
class Forecast(Record, frozen=True, gc=False):
    """One quantile of a forecast; a frame holds the whole, its ends marked by LevelFlag."""

    series_id: U32
    unit_id: U16 = 0
    quantile_bp: U16 = 5000
    """Basis points, 1 … 9999; 0 is the mean."""
    model_id: U32 = 0
    model_version: U16 = 0
    place: Annotated[int, Wire("B", LevelFlag)] = 3
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    valid_from_ns: I64 = ABSENT
    valid_to_ns: I64 = ABSENT
    data_cut_ns: I64 = ABSENT
    """The latest known-at time of what went into it."""
    value: F64 = 0.0
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT


@record(id=22, topic="data.signal")
class Signal(Record, frozen=True, gc=False):
    """A model's or a strategy's opinion on a listing."""

    listing_id: U32
    signal_id: U32 = 0
    """Interned name."""
    value: F64 = 0.0
    """In the signal's own unit; the sign is the direction."""
    confidence: F64 = 0.0
    """0 … 1."""
    valid_until_ns: I64 = ABSENT
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT


@record(id=23, topic="data.fx_rate")
class FxRate(Record, frozen=True, gc=False):
    """An exchange rate: so many units of the quote currency for one of the base currency."""

    base_id: U16
    """Interned currency …"""
    quote_id: U16 = 0
    source_id: U32 = 0
    """Interned, as `ECB`."""
    clock: Annotated[int, Wire("B", ClockKind)] = 0
    quality: U8 = 0
    """0 as fixed, 1 estimated."""
    flags: U16 = 0
    version: U32 = 0
    """A corrected fixing of the same time counts up."""
    rate_nano: I64 = 0
    """10⁻⁹ of the quote currency for one of the base currency; above 0."""
    as_of_ns: I64 = ABSENT
    """When it was fixed: it is used from then on, until it is too old."""
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT
