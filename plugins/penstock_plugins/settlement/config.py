"""The config of settlement."""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = ["SettlementConfig"]


class SettlementConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By what calendar money moves, which series prices and meters come in, who is on the other side."""

    zone: str = "DE-LU"
    """The zone that meter series without one belong to."""
    calendar: str = "TARGET"
    """Business days: that of the refdata plugin, else the closing days of TARGET by the ECB's rule."""
    clearing_house: str = "ECC"
    """Who stands behind every trade that has no counterparty."""
    balancing_party: str = "TSO"
    """Who buys and sells imbalance; the zone's code is added."""
    imbalance_series: str = "imbalance.price"
    """Series PREFIX.ZONE hold a zone's imbalance prices, per MWh."""
    meter_series: str = "meter"
    """Series PREFIX.BOOK or PREFIX.BOOK.ZONE hold a book's metered offtake, in MW, kW, MWh, kWh; fed in is negative."""
    index_series: str = "price.{zone}.da"
    """The series that a swap settles against, where its deal names none."""
    fee_micro_per_mwh: Annotated[int, msgspec.Meta(ge=-(10**9), le=10**9)] = 100_000
    """The fee on each MWh where no table has one, as the portfolio's, in 10⁻⁶ of the currency; negative is a rebate."""
    tell_period_s: Annotated[float, msgspec.Meta(ge=1, le=10**6)] = 900.0
    """For how long cash flows are gathered before they are told, in seconds."""
    final_after_days: Annotated[int, msgspec.Meta(ge=0, le=250)] = 20
    """Business days of the following month after which a month's prices and meter values are final."""
    keep_days: Annotated[int, msgspec.Meta(ge=1, le=3660)] = 100
    """For how long after delivery later versions still count."""
