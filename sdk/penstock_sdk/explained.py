"""What a check can say of an order beyond yes or no: each of its rules, the value met, the limit it is held against.

A verdict carries one value and one limit, those that decided. `Explained` is for people who ask afterwards: a play-back
brings the check to where it stood, and `penstock_sdk.plugin.Check.explain_order` answers from that state.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from penstock_sdk.events import Reason
from penstock_sdk.schema import ABSENT

__all__ = ["REASON_UNITS", "Bound", "Explained", "Unit"]

Unit = Literal["lots", "ticks", "micro", "ns", "count"]
"""What value and limit are counted in; micro is 10⁻⁶ of the currency."""
Bound = Literal["at most", "at least", "above", "below", "exactly", "none"]
"""How the limit binds; none where there is nothing to hold the value against."""

REASON_UNITS: Final[dict[Reason, Unit]] = {
    Reason.QTY_MIN: "lots",
    Reason.QTY_MAX: "lots",
    Reason.PRICE_COLLAR: "ticks",
    Reason.PRICE_BOUNDS: "ticks",
    Reason.NO_REFERENCE: "ticks",
    Reason.NOTIONAL: "micro",
    Reason.POSITION: "lots",
    Reason.STALE_MARKET: "ns",
    Reason.GATE_CLOSED: "ns",
    Reason.SELF_TRADE: "ticks",
    Reason.MARKET_ABUSE: "ticks",
}
"""What a verdict's ``met`` and ``limit`` are counted in, by its reason; count where the reason is not here."""


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of a check, as it stood for one order."""

    rule: str
    """What it is about, for people: ``order size``."""
    reason: int
    """The `penstock_sdk.events.Reason` that a refusal by this rule gives."""
    passed: bool
    met: int = ABSENT
    """The order's value, in *unit*; ABSENT when the rule counts nothing."""
    limit: int = ABSENT
    """What it is held against; ABSENT when nothing binds."""
    unit: Unit = "count"
    bound: Bound = "at most"
    note: str = ""
    """What the numbers do not say, as which delivery interval is the tightest."""
