"""The rules of the risk gate in words and in the units of a verdict: for `RiskLimits.explain_order`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from penstock_sdk.events import Reason
from penstock_sdk.explained import REASON_UNITS, Bound, Explained
from penstock_sdk.golden.risk_gate_explained import Rule
from penstock_sdk.golden.risk_gate_layout import INT64_MAX, TRADING
from penstock_sdk.schema import ABSENT

__all__ = ["Grid", "explained", "gate_rule"]


class Grid(Protocol):
    """What turns the gate's figures of a listing into a verdict's."""

    @property
    def minutes(self) -> int:
        """Length of delivery."""

    @property
    def lot_kw(self) -> int:
        """One lot in kW."""

    @property
    def cash_micro_per_lot_tick(self) -> int:
        """Money of one lot and one tick over the whole delivery, in 10⁻⁶ of the currency."""


_WORDS: dict[int, tuple[str, Bound]] = {
    Reason.KILL_SWITCH: ("kill switch off", "exactly"),
    Reason.PAUSED: ("trading not paused", "exactly"),
    Reason.UNKNOWN_LISTING: ("listing known", "none"),
    Reason.MALFORMED: ("side, price, time and intent id make sense", "none"),
    Reason.QTY_MIN: ("order size", "at least"),
    Reason.QTY_MAX: ("order size", "at most"),
    Reason.NO_REFERENCE: ("reference price", "none"),
    Reason.PRICE_BOUNDS: ("price bounds of the listing", "at most"),
    Reason.PRICE_COLLAR: ("price collar around the reference", "at most"),
    Reason.NOTIONAL: ("notional", "at most"),
    Reason.POSITION: ("position if all working orders of the side fill", "at most"),
    Reason.MESSAGE_RATE: ("orders at once", "at most"),
    Reason.STALE_MARKET: ("age of the reference price", "at most"),
    Reason.DUPLICATE: ("intent id not seen before", "none"),
    Reason.OVERFLOW: ("figures fit 64 bits", "none"),
}


def explained(rule: Rule, listing: Grid | None = None, interval_ns: int = ABSENT) -> Explained:
    """Return a rule of the gate in words.

    Args:
        rule: in the gate's units.
        listing: of the order; without it notional and position have no figures to tell.
        interval_ns: when the delivery interval begins that decided, ns UTC; ABSENT for none.
    """
    words, bound = _WORDS[rule.reason]
    met, limit = rule.met, rule.limit
    if rule.reason == Reason.PAUSED and limit == TRADING:
        words = "listing open for trading"
    if rule.reason == Reason.POSITION and listing is not None and met != ABSENT:
        met, limit = (_toward_zero(value, listing.lot_kw) for value in (met, limit))
        bound = "at least" if limit < 0 or met < 0 else "at most"
    elif rule.reason == Reason.NOTIONAL and listing is not None:
        met, limit = (value * listing.cash_micro_per_lot_tick // listing.minutes for value in (met, limit))
    elif rule.reason in (Reason.PRICE_COLLAR, Reason.PRICE_BOUNDS):
        bound = _side_of(rule)
    return Explained(
        rule=words, reason=rule.reason, passed=rule.passed, met=met, limit=_bounded(limit), bound=bound,
        unit=REASON_UNITS.get(Reason(rule.reason), "count"),
        note="" if interval_ns == ABSENT else f"decided by the delivery interval from {_utc(interval_ns)}",
    )  # fmt: skip


def gate_rule(lead_ns: int) -> Explained:
    """Return the rule that an order comes before its gate, *lead_ns* ahead of it."""
    return Explained(
        rule="time to gate closure", reason=Reason.GATE_CLOSED, passed=lead_ns > 0, met=lead_ns, limit=0, unit="ns",
        bound="above",
    )  # fmt: skip


def _toward_zero(value: int, step: int) -> int:
    return value // step if value >= 0 else -(-value // step)


def _side_of(rule: Rule) -> Bound:
    """Return which side a price limit binds on: the price lies within it when it passed, beyond it when not."""
    if rule.limit == ABSENT:
        return "none"
    return "at least" if (rule.met >= rule.limit) == rule.passed else "at most"


def _bounded(limit: int) -> int:
    """Return the limit, or ABSENT where it is so large that nothing is bound by it."""
    return ABSENT if abs(limit) >= INT64_MAX else limit


def _utc(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns // 1_000_000_000, UTC):%Y-%m-%d %H:%M} UTC"
