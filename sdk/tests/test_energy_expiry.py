"""Proves that last trading days follow the venues' rules on business days, also where holidays move them."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.energy import EnergyError, delivery_date, listing_terms, market_zone, ns_to_local, parse_contract
from penstock_sdk.energy.calendars import Calendar, Calendars
from penstock_sdk.energy.expiry import RULES, last_trading_day, rule_words
from penstock_sdk.energy.localtime import local_to_ns
from penstock_sdk.energy.rules import Reference
from penstock_sdk.energy.segments import energy_wh, segments
from penstock_sdk.energy.sessions import check_order_time, known_last_trading_day
from sdk.tests.market_calendars import reference

DAYS = st.dates(date(2018, 1, 1), date(2030, 12, 31))
UK = reference().calendars["UK"]


@pytest.mark.parametrize(
    ("name", "last"),
    [
        # Published: Cal-16 and Q1/2016 were last traded on 28 December 2015, with 24 and 31 December closed.
        ("DE-AT-LU Y 2016", date(2015, 12, 28)),
        ("DE-AT-LU Q 2016-Q1", date(2015, 12, 28)),
        ("DE-LU Y 2027 PEAK", date(2026, 12, 28)),
        ("DE-LU M 2026-03", date(2026, 3, 31)),
        # Two UK business days before delivery: over Easter, a bank holiday and the turn of the year.
        ("TTF M 2026-04", date(2026, 3, 30)),
        ("TTF M 2018-04", date(2018, 3, 28)),
        ("TTF M 2026-09", date(2026, 8, 27)),
        ("TTF Y 2027", date(2026, 12, 30)),
        ("NBP S 2026-SUM", date(2026, 3, 30)),
        ("NBP Q 2027-Q1", date(2026, 12, 30)),
        # Third last business day of the month before; Thanksgiving is none.
        ("HENRY-HUB M 2026-05", date(2026, 4, 28)),
        ("HENRY-HUB M 2025-12", date(2025, 11, 25)),
    ],
)
def test_last_trading_days_by_hand(name: str, last: date) -> None:
    assert parse_contract(name, reference()).last_trading_day == last


@pytest.mark.parametrize(
    ("month", "last"),
    [
        ("2026-02", date(2026, 2, 23)),  # nothing in the way: the last Monday
        ("2023-12", date(2023, 12, 18)),  # the last Monday is Christmas
        ("2022-12", date(2022, 12, 19)),  # the last Monday is Boxing Day
        ("2026-05", date(2026, 5, 18)),  # the last Monday is the spring bank holiday
        ("2026-08", date(2026, 8, 24)),  # the last Monday is the summer bank holiday
        ("2026-03", date(2026, 3, 23)),  # Good Friday is four days after the last Monday
        ("2024-03", date(2024, 3, 18)),  # Good Friday again, one week earlier in the month
        ("2024-12", date(2024, 12, 16)),  # New Year and Christmas spoil two: published, it expired on the 16th
        ("2025-12", date(2025, 12, 15)),
    ],
)
def test_emission_futures_expire_on_a_monday_without_a_bank_holiday_near(month: str, last: date) -> None:
    contract = parse_contract(f"EU-ETS EUA {month}", reference())
    assert contract.last_trading_day == last
    delivered = ns_to_local(contract.delivery.start_ns, "Europe/Brussels").date()
    assert delivered == UK.shift(last, 3)
    gate = ns_to_local(contract.gate_closure_ns, "Europe/London")
    assert (gate.date(), gate.hour) == (last, 17)


@given(st.integers(2018, 2030), st.integers(1, 12))
def test_the_emission_rule_leaves_five_business_days(year: int, month: int) -> None:
    last = parse_contract(f"EU-ETS EUA {year}-{month:02}", reference()).last_trading_day
    assert last is not None
    assert (last.year, last.month, last.isoweekday()) == (year, month, 1)
    assert all(UK.is_open(last + timedelta(days=n)) for n in range(5))
    later = last + timedelta(days=7)
    while later.month == month:
        assert not all(UK.is_open(later + timedelta(days=n)) for n in range(5))
        later += timedelta(days=7)


def test_a_daily_emission_future_is_delivered_on_the_second_business_day() -> None:
    contract = parse_contract("EU-ETS EUA-D 2026-04-02", reference())  # Maundy Thursday
    assert contract.last_trading_day == date(2026, 4, 2)
    assert ns_to_local(contract.delivery.start_ns, "Europe/Brussels").date() == date(2026, 4, 8)
    with pytest.raises(EnergyError, match="^2026-04-03 is no business day of calendar 'UK'; the next is 2026-04-07$"):
        parse_contract("EU-ETS EUA-D 2026-04-03", reference())


def test_a_missing_calendar_is_named_with_the_way_out() -> None:
    contract = parse_contract("TTF M 2026-04")
    assert contract.last_trading_day is None
    wanted = (
        r"last trading day of TTF M 2026-04 \(2 UK business days before delivery\) is not known: calendar 'UK' is not "
        "loaded; none is loaded; the refdata plugin provides calendars"
    )
    with pytest.raises(EnergyError, match=wanted):
        known_last_trading_day(contract)
    with pytest.raises(EnergyError, match="calendar 'UK' is not loaded"):
        check_order_time(contract, contract.opens_ns)
    with pytest.raises(EnergyError, match="calendar 'UK' is not loaded"):
        parse_contract("EU-ETS EUA 2026-12")


def test_a_calendar_that_ends_too_early_says_so() -> None:
    short = msgspec.structs.replace(UK, last=date(2026, 6, 30))
    known = Reference(reference().rules, Calendars([short]))
    contract = parse_contract("TTF M 2027-01", known)
    with pytest.raises(EnergyError, match="calendar 'UK' knows 2014-01-01 to 2026-06-30, not"):
        known_last_trading_day(contract, known)


def test_an_early_close_on_the_last_day_ends_trading() -> None:
    early = msgspec.structs.replace(UK, early={date(2026, 12, 30): time(12, 30)})
    contract = parse_contract("NBP M 2027-01", Reference(reference().rules, Calendars([early])))
    assert f"{ns_to_local(contract.gate_closure_ns, 'Europe/London'):%m-%d %H:%M}" == "12-30 12:30"


@given(DAYS, st.integers(-30, 30))
def test_shifting_counts_business_days(day: date, count: int) -> None:
    moved = UK.shift(day, count)
    assert UK.is_open(moved)
    if count > 0:
        assert UK.count_open(day + timedelta(days=1), moved + timedelta(days=1)) == count
    elif count < 0:
        assert UK.count_open(moved, day) == -count
    else:
        assert moved == UK.next_open(day)


@given(DAYS)
def test_last_and_next_open_days_enclose_a_day(day: date) -> None:
    before, after = UK.last_open(day), UK.next_open(day)
    assert before <= day <= after
    assert (before == after) == UK.is_open(day)
    assert UK.last_open_of_month(day.year, day.month).month == day.month


def test_a_calendar_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(EnergyError, match="^calendar 'X' begins on 2026-01-02, after its end on 2026-01-01$"):
        Calendar("X", date(2026, 1, 2), date(2026, 1, 1))
    for weekend in ("8", "1234567"):
        with pytest.raises(EnergyError, match="^calendar 'X' has the weekend"):
            Calendar("X", date(2026, 1, 1), date(2026, 1, 2), weekend=weekend)
    assert Calendars().get("UK") is None
    with pytest.raises(EnergyError, match="^calendar 'UK' is not loaded; none is loaded; the refdata plugin"):
        Calendars()["UK"]
    always = Calendar("X", date(2026, 1, 1), date(2026, 12, 31), weekend="")
    assert always.shift(date(2026, 1, 2), 2) == date(2026, 1, 4)


@pytest.mark.parametrize("rule", ["tomorrow 2", "before_delivery two", ""])
def test_an_unknown_rule_names_those_there_are(rule: str) -> None:
    with pytest.raises(EnergyError, match=f"wanted one of {', '.join(RULES)}"):
        last_trading_day(rule, UK, date(2026, 4, 1), date(2026, 5, 1))
    assert rule_words("before_delivery 1", "UK") == "1 UK business day before delivery"


# Sessions.


def order(name: str, local: str, clock: str) -> None:
    """Check an order for a contract at a local time."""
    check_order_time(parse_contract(name, reference()), local_to_ns(datetime.fromisoformat(local), clock), reference())


@pytest.mark.parametrize(
    ("name", "clock", "taken", "refused"),
    [
        (
            "TTF M 2026-09", "Europe/Amsterdam", ["2026-03-10 08:00", "2026-03-10 17:59:59", "2026-04-07 12:00"],
            # At night, at the close, on Saturday and Sunday, Good Friday and Easter Monday.
            ["2026-03-10 03:00", "2026-03-10 07:59:59", "2026-03-10 18:00", "2026-03-14 12:00", "2026-03-15 12:00",
             "2026-04-03 12:00", "2026-04-06 12:00"],
        ),
        (
            "EU-ETS EUA 2026-12", "Europe/London", ["2026-03-10 07:00", "2026-04-02 16:59"],
            ["2026-04-03 12:00", "2026-03-10 06:59", "2026-03-10 17:00", "2026-03-15 12:00"],
        ),
        ("DE-LU M 2026-04 PEAK", "Europe/Berlin", ["2026-03-10 08:00"], ["2026-03-10 18:00", "2026-04-03 12:00"]),
        (
            # The trading day of Monday begins on Sunday evening, that of Saturday never does.
            "HENRY-HUB M 2027-01", "America/New_York",
            ["2026-03-08 18:00", "2026-03-09 16:59", "2026-03-10 03:00", "2026-12-27 18:00"],
            ["2026-03-08 17:59", "2026-03-09 17:30", "2026-03-13 18:00", "2026-03-14 12:00", "2026-12-25 12:00",
             "2026-12-24 18:00"],
        ),
    ],
)  # fmt: skip
def test_orders_are_taken_in_sessions_alone(name: str, clock: str, taken: list[str], refused: list[str]) -> None:
    for local in taken:
        order(name, local, clock)
    for local in refused:
        with pytest.raises(EnergyError, match="the next session is from"):
            order(name, local, clock)


def test_an_order_out_of_session_is_told_the_next_one() -> None:
    with pytest.raises(EnergyError) as met:
        order("TTF M 2026-09", "2026-04-03 12:00", "Europe/Amsterdam")
    assert str(met.value) == (
        "an order for TTF M 2026-09 at 2026-04-03 12:00:00 Europe/Amsterdam (2026-04-03 10:00:00 UTC) comes on Friday, "
        "2026-04-03, which is no business day of calendar 'UK'; the next session is from 2026-04-07 08:00:00 Europe"
        "/Amsterdam (2026-04-07 06:00:00 UTC) up to 2026-04-07 18:00:00 Europe/Amsterdam (2026-04-07 16:00:00 UTC)"
    )
    with pytest.raises(EnergyError, match=r"comes outside of the session, 08:00-18:00 Europe/Amsterdam; the next"):
        order("TTF M 2026-09", "2026-03-10 03:00", "Europe/Amsterdam")


def test_an_early_close_ends_that_days_session() -> None:
    early = msgspec.structs.replace(UK, early={date(2026, 12, 24): time(12, 30)})
    known = Reference(reference().rules, Calendars([early]))
    contract = parse_contract("NBP M 2027-02", known)
    check_order_time(contract, local_to_ns(datetime(2026, 12, 24, 12, 29), "Europe/London"), known)
    with pytest.raises(EnergyError, match="the next session is from 2026-12-29 07:00:00"):
        check_order_time(contract, local_to_ns(datetime(2026, 12, 24, 12, 30), "Europe/London"), known)


@pytest.mark.parametrize("name", ["EU-ETS EUA 2026-12", "EU-ETS EUA-D 2026-03-10", "TTF M 2028-10", "DE-LU Y 2027"])
def test_a_contract_opens_on_a_business_day(name: str) -> None:
    contract = parse_contract(name, reference())
    check_order_time(contract, contract.opens_ns, reference())


def test_december_emissions_of_2026_opened_on_a_monday() -> None:
    contract = parse_contract("EU-ETS EUA 2026-12", reference())  # listed with Sunday, 1 December 2019
    assert f"{ns_to_local(contract.opens_ns, 'Europe/London'):%Y-%m-%d %H:%M}" == "2019-12-02 07:00"


# Working days and weekends over bank holidays.


@pytest.mark.parametrize(
    ("name", "days"),
    [
        ("TTF WD 2026-W11", ["03-09", "03-10", "03-11", "03-12", "03-13"]),
        ("TTF WE 2026-03-14", ["03-14", "03-15"]),
        ("TTF WD 2026-W14", ["03-30", "03-31", "04-01", "04-02"]),  # to Maundy Thursday
        ("TTF WE 2026-04-04", ["04-03", "04-04", "04-05", "04-06"]),  # Good Friday to Easter Monday
        ("TTF WD 2026-W15", ["04-07", "04-08", "04-09", "04-10"]),
        ("TTF WD 2024-W52", ["12-23", "12-24", "12-27"]),  # Christmas in between
        ("TTF WE 2024-12-28", ["12-28", "12-29"]),
        ("TTF WE 2026-10-24", ["10-24", "10-25"]),  # the long gas day is one
    ],
)
def test_working_days_and_weekends_are_adjusted_for_bank_holidays(name: str, days: list[str]) -> None:
    contract = parse_contract(name, reference())
    place = market_zone("TTF")
    found = [
        f"{delivery_date(place, start_ns + hour * 3_600 * 10**9):%m-%d}"
        for start_ns, end_ns in contract.delivery.spans
        for hour in range((end_ns - start_ns) // (3_600 * 10**9))
    ]
    assert list(dict.fromkeys(found)) == days
    assert contract.delivery.hours_rational == len(found) == 24 * len(days) + (name == "TTF WE 2026-10-24")
    assert contract.name == name
    terms = listing_terms(contract, None, reference())
    held = segments(contract, terms, reference())
    assert sum(count for _, count, _ in held) == len(found)
    assert energy_wh(contract, terms, reference()) == 10**6 * len(found)


def test_weekends_and_working_weeks_share_no_day_and_leave_only_holidays_within_a_week() -> None:
    place = market_zone("TTF")
    seen: dict[date, str] = {}
    for saturday in (date(2024, 1, 6) + timedelta(weeks=n) for n in range(260)):
        monday = saturday + timedelta(days=2)
        for name in (f"TTF WE {saturday}", f"TTF WD {monday:%G}-W{monday:%V}"):
            for start_ns, end_ns in parse_contract(name, reference()).delivery.spans:
                first, last = delivery_date(place, start_ns), delivery_date(place, end_ns - 1)
                for n in range((last - first).days + 1):
                    assert seen.setdefault(first + timedelta(days=n), name) == name
    days = {date(2024, 1, 8) + timedelta(days=n) for n in range(250 * 7)}
    assert all(not UK.is_open(day) and day.isoweekday() < 6 for day in days - seen.keys())


def test_without_its_calendar_a_working_week_is_monday_to_friday() -> None:
    assert parse_contract("TTF WD 2026-W15").delivery.hours_rational == 120
    short = Reference(reference().rules, Calendars([msgspec.structs.replace(UK, last=date(2026, 3, 31))]))
    assert parse_contract("TTF WD 2026-W15", short).delivery.hours_rational == 120
