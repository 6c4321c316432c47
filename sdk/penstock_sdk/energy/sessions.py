"""When a contract can be traded: opening, gate closure, last trading day; and whether an order comes in time."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple

from penstock_sdk.energy.calendar_periods import CALENDAR_PERIODS
from penstock_sdk.energy.calendars import Calendar
from penstock_sdk.energy.contract_types import Contract
from penstock_sdk.energy.delivery import DeliveryPeriod, delivery_date, period_days
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.expiry import calendar_of, last_trading_day, rule_words
from penstock_sdk.energy.localtime import NS_PER_MINUTE, local_to_ns, ns_to_local
from penstock_sdk.energy.products import product_row
from penstock_sdk.energy.rule_rows import MarketZone, ProductRow
from penstock_sdk.energy.rules import Reference, builtin_reference
from penstock_sdk.energy.strip_names import month_after, months_of
from penstock_sdk.energy.zones import market_zone

__all__ = [
    "TradingTimes",
    "check_order_time",
    "delivery_days",
    "known_last_trading_day",
    "moment_ns",
    "opening_day",
    "session_hours",
    "session_ns",
    "trading_times",
]

_ONE_DAY = timedelta(days=1)
_MONTHS = {"M": 1, "Q": 3, "S": 6, "Y": 12, "GY": 12}
_DAYS = {"D": 1, "WE": 7, "W": 7, "WD": 7, "BOM": 1}
_MIDNIGHT = time(0)


class TradingTimes(NamedTuple):
    """When a contract is traded."""

    opens_ns: int
    gate_closure_ns: int
    last_trading_day: date | None = None
    rule: str = ""


def trading_times(
    zone: MarketZone, row: ProductRow, day: date, period: DeliveryPeriod, reference: Reference
) -> TradingTimes:
    """Return when the contract of a product is traded.

    Args:
        zone: where it is delivered.
        row: its product.
        day: its first delivery day.
        period: its delivery.
        reference: whose calendars; without the one that a last trading day wants, that day is None.
    """
    clock = row.clock or zone.timezone
    if row.last_trading:
        return _until_last_day(zone, row, day, period, reference)
    # Where nothing is known of the opening: a day ahead.
    opens_ns = moment_ns(row.opens or "-1440", day, period.start_ns, clock)
    if row.gate:
        return TradingTimes(opens_ns, moment_ns(row.gate, day, period.start_ns, clock))
    lead_minutes = zone.gate_lead_minutes if row.gate_lead_minutes is None else row.gate_lead_minutes
    return TradingTimes(opens_ns, period.start_ns - lead_minutes * NS_PER_MINUTE)


def moment_ns(text: str, day: date, start_ns: int, clock: str) -> int:
    """Return the instant, ns UTC, that "D-1 15:00" or "-2970" means for delivery on *day* from *start_ns* on."""
    if text.startswith("-"):
        return start_ns + int(text) * NS_PER_MINUTE
    back, _, at = text.partition(" ")
    return _clock_ns(day.toordinal() + int(back[1:] or 0), time.fromisoformat(at), clock)


@lru_cache(1 << 16)
def _clock_ns(ordinal: int, at: time, timezone: str) -> int:
    """Return when a clock shows a time on a day, ns UTC; contracts share openings and gates, so it pays to remember."""
    return local_to_ns(datetime.combine(date.fromordinal(ordinal), at), timezone, passing="A")


def session_hours(row: ProductRow) -> tuple[time, time]:
    """Return when a trading day's session begins and ends, local; both midnight where trading does not rest."""
    if not row.session:
        return _MIDNIGHT, _MIDNIGHT
    begins, _, ends = row.session.removeprefix("D-1 ").partition("-")
    return time.fromisoformat(begins), time.fromisoformat(ends)


def session_ns(row: ProductRow, day: date, clock: str) -> tuple[int, int]:
    """Return when a trading day's session begins and ends, ns UTC; "D-1 18:00-17:00" begins on the evening before."""
    begins, ends = session_hours(row)
    first = day.toordinal()
    early = row.session.startswith("D-1 ")
    return _clock_ns(first - early, begins, clock), _clock_ns(first + (ends == _MIDNIGHT), ends, clock)


def opening_day(calendar: Calendar, day: date) -> date:
    """Return the first business day from *day* on, on which what is listed then opens."""
    try:
        return calendar.next_open(day)
    except EnergyError:  # listed before the calendar begins: of that time weekends alone are known
        while str(day.isoweekday()) in calendar.weekend:
            day += _ONE_DAY
        return day


def _until_last_day(
    zone: MarketZone, row: ProductRow, day: date, period: DeliveryPeriod, reference: Reference
) -> TradingTimes:
    """Return the times of a contract that has a last trading day."""
    clock = row.clock or zone.timezone
    rule = f"{row.last_trading} {row.calendar}"
    _, ends = session_hours(row)
    listed = _listed_from(row, period.name, day)
    try:
        calendar = calendar_of(reference, row.calendar)
        last = last_trading_day(row.last_trading, calendar, *delivery_days(zone, period))
    except EnergyError:
        # Without the calendar the contract still has its delivery, energy and name; whoever needs the day asks
        # `known_last_trading_day`, which says what is missing.
        return TradingTimes(session_ns(row, listed, clock)[0], period.end_ns, None, rule)
    # A day-ahead contract for Monday is listed on Friday.
    opens_ns = session_ns(row, min(opening_day(calendar, listed), last), clock)[0]
    early = calendar.early.get(last)
    at = time.fromisoformat(row.gate.partition(" ")[2]) if row.gate else ends
    if early is not None and at > early:
        at = early
    ends_on = last.toordinal() + (at == _MIDNIGHT)
    return TradingTimes(opens_ns, _clock_ns(ends_on, at, clock), last, rule)


def delivery_days(zone: MarketZone, period: DeliveryPeriod) -> tuple[date, date]:
    """Return the first delivery day of a period and the first one after it; of a peak month those of the month."""
    if period.name.partition(" ")[0] in CALENDAR_PERIODS:
        return period_days(period)
    return delivery_date(zone, period.start_ns), delivery_date(zone, period.end_ns - 1) + _ONE_DAY


def _listed_from(row: ProductRow, name: str, day: date) -> date:
    """Return the calendar day from which so many periods ahead are listed."""
    ahead = row.listed_ahead
    if row.product in _MONTHS:
        year, month = months_of(name)[0]
        return date(*month_after(year, month, -ahead * _MONTHS[row.product]), 1)
    return day - timedelta(days=ahead * _DAYS.get(row.product, 1))


def known_last_trading_day(contract: Contract, reference: Reference | None = None) -> date:
    """Return a contract's last trading day.

    Raises:
        EnergyError: it has none by its rules, or the calendar that gives it is not loaded or too short.
    """
    if contract.last_trading_day is not None:
        return contract.last_trading_day
    rule, _, calendar = contract.last_trading_rule.rpartition(" ")
    if not rule:
        raise EnergyError(f"{contract.name} has no last trading day; it is traded up to its gate")
    known = reference or builtin_reference()
    try:
        day = ns_to_local(contract.delivery.start_ns, contract.delivery.timezone).date()
        calendar_of(known, calendar).next_open(day)
    except EnergyError as error:
        raise EnergyError(
            f"last trading day of {contract.name} ({rule_words(rule, calendar)}) is not known: {error}"
        ) from None
    raise EnergyError(f"last trading day of {contract.name} is not known; parse its name with that reference data")


def check_order_time(contract: Contract, at_ns: int, reference: Reference | None = None) -> None:
    """Raise unless an order at *at_ns* (ns UTC) comes between opening and gate closure, and in a session.

    Sessions are those of contracts with a last trading day: their product's hours on the business days of its calendar,
    up to an early close. Other trading does not rest.

    Raises:
        EnergyError: too early, too late or between two sessions, with the times in local time and UTC; or the last
            trading day is not known, or the calendar does not reach that day.
    """
    if contract.last_trading_rule:
        known_last_trading_day(contract, reference)
    if contract.opens_ns <= at_ns < contract.gate_closure_ns:
        if contract.last_trading_rule:
            _check_session(contract, at_ns, reference or builtin_reference())
        return
    zone = contract.delivery.timezone
    met, wanted = f"an order for {contract.name} at {_both(at_ns, zone)}", "trading is open from"
    fault = "comes before it opens" if at_ns < contract.opens_ns else "comes after its gate"
    raise EnergyError(
        f"{met} {fault}; {wanted} {_both(contract.opens_ns, zone)} up to {_both(contract.gate_closure_ns, zone)}"
    )


def _check_session(contract: Contract, at_ns: int, known: Reference) -> None:
    """Raise where a contract's market holds no session at that time."""
    if contract.commodity == "carbon":  # whose product is looked up in its own month
        first = known_last_trading_day(contract, known)
    else:
        first = delivery_days(market_zone(contract.zone, None, known), contract.delivery)[0]
    row = product_row(contract.zone, contract.product, first, known)
    if not row.session:
        return
    clock = row.clock or contract.delivery.timezone
    calendar = calendar_of(known, row.calendar)
    day = ns_to_local(at_ns, clock).date()
    if not calendar.is_open(day) and session_ns(row, day + _ONE_DAY, clock)[0] > at_ns:
        fault = f"comes on {day:%A}, {day}, which is no business day of calendar {calendar.name!r}"
    else:
        fault = f"comes outside of the session, {row.session} {clock}"
    # A session that begins on the evening before is the next day's.
    while True:
        if calendar.is_open(day):
            begins_ns, ends_ns = session_ns(row, day, clock)
            if early := calendar.early.get(day):
                ends_ns = min(ends_ns, _clock_ns(day.toordinal(), early, clock))
            if begins_ns <= at_ns < ends_ns:
                return
            if at_ns < begins_ns:
                break
        day += _ONE_DAY
    met = f"an order for {contract.name} at {_both(at_ns, clock)}"
    wanted = f"the next session is from {_both(begins_ns, clock)} up to {_both(ends_ns, clock)}"
    raise EnergyError(f"{met} {fault}; {wanted}")


def _both(at_ns: int, timezone: str) -> str:
    """Return an instant in local time and UTC."""
    local, utc = ns_to_local(at_ns, timezone), ns_to_local(at_ns, "UTC")
    return f"{local:%Y-%m-%d %H:%M:%S} {timezone} ({utc:%Y-%m-%d %H:%M:%S} UTC)"
