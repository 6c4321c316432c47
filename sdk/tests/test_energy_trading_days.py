"""Which delivery days trade: announced at 14:45 of the day before, by the local clock, until they are over."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.energy import EnergyError, TradingDays, announced_ns, delivery_day

HOUR_NS = 3_600_000_000_000
ROLLING = TradingDays.of("DE-LU", "2026-03-27", "rolling")


def test_a_day_is_announced_at_a_quarter_to_three_whatever_the_clock_does_in_the_night() -> None:
    for day, hours in ((date(2026, 3, 28), 24), (date(2026, 3, 29), 23), (date(2026, 10, 25), 25)):
        period = delivery_day("DE-LU", day)
        assert period.end_ns - period.start_ns == hours * HOUR_NS
        assert period.start_ns - announced_ns("DE-LU", day) == 9 * HOUR_NS + HOUR_NS // 4
    # The announcement of the day after the change is an hour nearer to the one before it.
    assert announced_ns("DE-LU", date(2026, 3, 30)) - announced_ns("DE-LU", date(2026, 3, 29)) == 23 * HOUR_NS


@given(st.integers(0, 400 * 24 * 60), st.sampled_from(["DE-LU", "GB", "NSW1"]))
def test_live_days_are_those_announced_and_not_over_and_the_next_is_the_first_that_is_not(
    minutes: int, zone: str
) -> None:
    days = TradingDays.of(zone, "2026-03-27", "rolling")
    now_ns = announced_ns(zone, days.first) + minutes * 60_000_000_000
    every = [days.first + timedelta(days=at) for at in range(403)]
    announced = [day for day in every if announced_ns(zone, day) <= now_ns]
    wanted = [day for day in announced if now_ns < delivery_day(zone, day).end_ns]
    assert days.live(now_ns) == wanted
    assert 1 <= len(wanted) <= 2
    assert days.next(announced[-1], now_ns) == announced[-1] + timedelta(days=1)
    # After a gap the days that were missed are left out; what was announced ahead of its time is not told again.
    assert days.next(days.first, now_ns) == max(announced[-1], days.first) + timedelta(days=1)


def test_before_the_first_is_announced_it_is_the_one_that_trades_and_after_the_last_none_does() -> None:
    days = TradingDays.of("AT", "2026-03-27", 2)
    early_ns = announced_ns("AT", days.first) - 100 * HOUR_NS
    assert days.live(early_ns) == [days.first]
    assert days.next(days.first, early_ns) == date(2026, 3, 28)
    late_ns = delivery_day("AT", date(2026, 3, 28)).end_ns
    assert days.live(late_ns - 1) == [date(2026, 3, 28)]
    assert days.live(late_ns) == []
    assert days.next(date(2026, 3, 28), late_ns) is None
    assert date(2026, 3, 28) in days
    assert date(2026, 3, 29) not in days
    assert date(2026, 3, 26) not in ROLLING
    assert date(2126, 3, 26) in ROLLING


def test_what_is_no_zone_or_no_date_is_named() -> None:
    with pytest.raises(EnergyError, match=r"^zone 'DELU' is not known; did you mean 'DE-LU'"):
        TradingDays.of("DELU", "2026-03-27", 1)
    with pytest.raises(ValueError, match=r"^delivery_day met '27.3.', wanted a date such as '2026-03-10'"):
        TradingDays.of("DE-LU", "27.3.", 1)
