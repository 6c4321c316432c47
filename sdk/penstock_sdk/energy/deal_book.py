"""Deals and what is owed for them: who captured, confirmed, rejected or cancelled which; no event is made here."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from typing import Any

import msgspec

from penstock_sdk.energy.counterparties import CounterpartyTerms
from penstock_sdk.energy.deal_grid import DAY_MINUTES, day_begins_ns
from penstock_sdk.energy.deals import DealTerms, LaidOut, laid_out
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.localtime import NS_PER_MINUTE, day_start_ns, ns_to_local
from penstock_sdk.energy.outside_cells import decimal_text
from penstock_sdk.energy.rules import Reference
from penstock_sdk.energy.settlement import PAYMENT_DAY, monthly_value_day, target_calendar

__all__ = [
    "CANCELLED",
    "CAPTURED",
    "CONFIRMED",
    "REJECTED",
    "DealBook",
    "DealRecord",
    "Owed",
    "Payment",
    "payments",
    "record_of",
]

CAPTURED, CONFIRMED, REJECTED, CANCELLED = "captured", "confirmed", "rejected", "cancelled"
_MICRO = 1_000_000
_ONE_DAY = timedelta(days=1)

Payment = tuple[int, int]
"""(until when it is owed, ns UTC; 10⁻⁶ of the currency, received positive)."""


Owed = tuple[int, int]
"""(what they owe us, what we owe them), in 10⁻⁶ of a currency, neither below 0."""


class DealRecord(msgspec.Struct):
    """A deal and where it stands."""

    number: int
    """Counts the deals, from 1: the trade's number."""
    terms: DealTerms
    status: str
    captured_by: str
    captured_ns: int
    payments: list[Payment]
    """Of each month of delivery."""
    confirmed_by: str = ""
    told_by: str = ""
    """The file and row that tells who confirmed it; empty: who did so called."""
    energy: str = ""
    """All of it, as "3715 MWh"."""
    value: str = ""
    """Price times energy, as "322090.5 EUR"."""
    listing_id: int = 0
    price_ticks: int = 0
    why: str = ""

    def owed(self, now_ns: int) -> Owed:
        """Return what either side owes for it by now; of a swap both: what its floating leg brings may be either's."""
        open_micro = [micro for until_ns, micro in self.payments if until_ns > now_ns]
        if self.terms.kind == "swap":
            return sum(map(abs, open_micro)), sum(map(abs, open_micro))
        return sum(max(micro, 0) for micro in open_micro), sum(max(-micro, 0) for micro in open_micro)


def record_of(terms: DealTerms, number: int, captured_ns: int, reference: Reference) -> DealRecord:
    """Return the record of a deal that is captured."""
    laid = laid_out(terms, reference)
    return DealRecord(
        number=number, terms=terms, status=CAPTURED, captured_by=terms.captured_by, captured_ns=captured_ns,
        payments=payments(terms, laid, reference), price_ticks=laid.price.price_ticks,
        energy=f"{_shown(laid.energy)} {terms.price_unit.rpartition('/')[2]}",
        value=f"{_money(laid.price.cash_micro)} {terms.currency}",
    )  # fmt: skip


def _shown(energy: Fraction) -> str:
    """Return an energy as decimals, to 10⁻⁶ where they do not end."""
    return decimal_text(Fraction(round(energy * _MICRO), _MICRO))


def payments(terms: DealTerms, laid: LaidOut, reference: Reference) -> list[Payment]:
    """Return what a deal makes owed for each month of delivery, and until when, by the deal's own price.

    A part of 10⁻⁶ that a month may leave is rounded away from zero: it is held against limits, not paid.
    """
    zone = laid.zone
    sign = -1 if terms.side == "buy" else 1
    units: dict[date, int] = {}
    month, next_ns, whole = date.min, 0, 0
    for start_ns, count, amount in laid.segments:
        whole += count * amount
        while count:
            if start_ns >= next_ns:  # segments are in order: each month's end is worked out once
                month = _month_of(laid, start_ns)
                next_ns = day_begins_ns(zone, _next_month(month))
            here = min(count, _steps(laid, start_ns, next_ns))
            units[month] = units.get(month, 0) + here * amount
            count -= here
            start_ns = next_ns
    cash = Fraction(sign * laid.price.cash_micro, whole)
    return [(_owed_until_ns(month, laid, reference), _away(cash * amount)) for month, amount in sorted(units.items())]


def _month_of(laid: LaidOut, at_ns: int) -> date:
    day = ns_to_local(at_ns, laid.zone.timezone).date()
    if day_begins_ns(laid.zone, day) > at_ns:
        day -= _ONE_DAY
    return day.replace(day=1)


def _next_month(month: date) -> date:
    return (month + 31 * _ONE_DAY).replace(day=1)


def _steps(laid: LaidOut, start_ns: int, end_ns: int) -> int:
    """Return how many grid intervals lie between; days on a daily grid, however long they are."""
    if laid.zone.interval_minutes == DAY_MINUTES:
        return round((end_ns - start_ns) / (DAY_MINUTES * NS_PER_MINUTE))
    return (end_ns - start_ns) // laid.interval_ns


def _owed_until_ns(month: date, laid: LaidOut, reference: Reference) -> int:
    """Return the end of the day on which a month is paid."""
    calendars = reference.calendars
    calendar = calendars["TARGET"] if "TARGET" in calendars else target_calendar()
    try:
        day = monthly_value_day(month, calendar)
    except EnergyError:  # a calendar that does not reach so far: the day itself is close enough for a limit
        day = _next_month(month).replace(day=PAYMENT_DAY)
    return day_start_ns(day + _ONE_DAY, laid.zone.timezone)


def _away(value: Fraction) -> int:
    whole = -(-abs(value).numerator // value.denominator)
    return whole if value >= 0 else -whole


class DealBook:
    """All deals and counterparties that are known."""

    def __init__(self) -> None:
        self.deals: dict[str, DealRecord] = {}
        self.counterparties: dict[str, CounterpartyTerms] = {}

    # -- what may be done ------------------------------------------------------------------------------------------

    def owed(self, counterparty: str, currency: str, now_ns: int) -> Owed:
        """Return what either side owes for confirmed deals that are not paid by now."""
        to_us = by_us = 0
        for deal in self.deals.values():
            terms = deal.terms
            if deal.status == CONFIRMED and terms.counterparty == counterparty and terms.currency == currency:
                more = deal.owed(now_ns)
                to_us, by_us = to_us + more[0], by_us + more[1]
        return to_us, by_us

    def counterparty_fault(self, deal: DealRecord, now_ns: int, held: Owed | None = None) -> tuple[str, str]:
        """Return (rule, what would be accepted) where a deal's counterparty does not allow it; else two empty texts.

        Args:
            held: what is owed without this deal; by default for what is confirmed.
        """
        name, currency = deal.terms.counterparty, deal.terms.currency
        known = self.counterparties.get(name)
        if known is None:
            some = ", ".join(self.counterparties) or "none: the config names no file of them"
            return "it is not known", f"one of {some}"
        if not known.active:
            return f"{name} is not active", "another counterparty, or active = yes in its row"
        limit = known.limits.get(currency, 0)
        if not limit:
            has = ", ".join(code for code, micro in known.limits.items() if micro) or "none"
            return f"{name} has no limit in {currency}, which is no trading", f"a currency with a limit: {has}"
        before = self.owed(name, currency, now_ns) if held is None else held
        met = max(map(sum, zip(before, deal.owed(now_ns), strict=True)))
        if met > limit:
            rule = f"{_money(met)} {currency} would be owed, above the limit of {_money(limit)} {currency}"
            room = max(0, limit - max(before))
            return rule, f"a deal of at most {_money(room)} {currency}, or a higher limit in its row"
        return "", ""

    # -- state -----------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Return all of it as msgpack carries it."""
        return {
            "deals": [msgspec.to_builtins(deal) for deal in self.deals.values()],
            "counterparties": [msgspec.to_builtins(each) for each in self.counterparties.values()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned."""
        deals = msgspec.convert(state["deals"], list[DealRecord])
        counterparties = msgspec.convert(state["counterparties"], list[CounterpartyTerms])
        self.deals = {deal.terms.deal_id: deal for deal in deals}
        self.counterparties = {each.name: each for each in counterparties}


def _money(micro: int) -> str:
    return decimal_text(Fraction(micro, _MICRO))
