"""Proves that local time comes from the tzdata package alone and converts to ns UTC and back exactly, fold included."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.energy import EnergyError, day_start_ns, local_to_ns, ns_to_local, tzdata_version, zone
from penstock_sdk.energy.localtime import is_repeated

ZONES = ["Europe/Berlin", "Europe/London", "Europe/Lisbon", "Europe/Athens", "Australia/Lord_Howe", "Etc/GMT-10"]
# 2018-01-01 to 2031-01-01, whole seconds.
INSTANTS_S = st.integers(1_514_764_800, 1_924_991_999)


def test_tzdata_version_is_an_iana_release() -> None:
    assert re.fullmatch(r"20[0-9]{2}[a-z]", tzdata_version())


@pytest.mark.parametrize("name", ["Europe/Berlni", "/etc/passwd", "../zones", ""])
def test_an_unknown_zone_is_refused_by_name(name: str) -> None:
    with pytest.raises(EnergyError, match=f"^time zone {re.escape(repr(name))} is not in tzdata"):
        zone(name)


def test_a_misspelt_zone_is_answered_with_the_closest() -> None:
    with pytest.raises(EnergyError, match="did you mean 'Europe/Berlin'"):
        zone("Europe/Berlni")


def test_the_machines_own_zone_files_are_not_read() -> None:
    # A fresh process, for zones are cached; the audit hook sees every file it opens.
    code = (
        "import sys; from penstock_sdk.energy import zone\n"
        "opened = []\n"
        "sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == 'open' else None)\n"
        "zone('Europe/Berlin')\n"
        "print(*{name.split('/tzdata/')[-1] for name in opened if 'Berlin' in name or 'zoneinfo' in name})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "zoneinfo/Europe/Berlin\n"


@given(INSTANTS_S, st.sampled_from(ZONES))
def test_every_instant_comes_back_from_its_wall_time_and_fold(t_s: int, timezone: str) -> None:
    t_ns = t_s * 1_000_000_000
    local = ns_to_local(t_ns, timezone)
    assert local.astimezone(UTC) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=t_s)
    wall, first = local.replace(tzinfo=None), local.fold == 0
    assert local_to_ns(wall, timezone, passing="A" if first else "B") == t_ns
    # The other passing is another instant exactly where the clock shows the time twice.
    other = local_to_ns(wall, timezone, passing="B" if first else "A")
    assert (other != t_ns) == is_repeated(local)
    if is_repeated(local) and first:
        with pytest.raises(EnergyError, match="happens twice"):
            local_to_ns(wall, timezone)
    else:
        assert local_to_ns(wall, timezone) == t_ns


def test_nanoseconds_are_exact_where_a_float_is_not() -> None:
    wall = datetime(2025, 10, 26, 1, 45, 0, 123_457)
    assert local_to_ns(wall, "Europe/Berlin") == 1_761_435_900_123_457_000
    assert ns_to_local(1_761_435_900_123_457_999, "Europe/Berlin").microsecond == 123_457


def test_the_repeated_hour_has_two_instants_an_hour_apart() -> None:
    wall = datetime(2025, 10, 26, 2, 15)
    first, second = (local_to_ns(wall, "Europe/Berlin", passing=passing) for passing in ("A", "B"))
    assert (first, second) == (1_761_437_700_000_000_000, 1_761_441_300_000_000_000)
    assert local_to_ns(wall.replace(fold=1), "Europe/Berlin") == second
    with pytest.raises(EnergyError) as met:
        local_to_ns(wall, "Europe/Berlin")
    assert str(met.value) == (
        "2025-10-26 02:15 happens twice in Europe/Berlin: the clock goes back that day; wanted which of the two: "
        "2025-10-26T02:15:00+02:00 (passing 'A') or 2025-10-26T02:15:00+01:00 (passing 'B')"
    )


def test_the_skipped_hour_does_not_exist() -> None:
    met = "^2025-03-30 02:15 does not exist in Europe/Berlin: .* wanted a time that it shows, such as 01:15 or 03:15$"
    with pytest.raises(EnergyError, match=met):
        local_to_ns(datetime(2025, 3, 30, 2, 15), "Europe/Berlin")


def test_a_wall_time_with_a_zone_is_refused() -> None:
    with pytest.raises(EnergyError, match="carries a zone"):
        local_to_ns(datetime(2025, 3, 30, tzinfo=UTC), "Europe/Berlin")


def test_a_day_starts_at_local_midnight_or_where_the_clock_skips_it() -> None:
    assert day_start_ns(date(2025, 7, 1), "Europe/Berlin") == 1_751_320_800_000_000_000  # 2025-06-30T22:00Z
    # Cairo's clocks went from 2025-04-24 24:00 to 01:00: the 25th began at 22:00Z, the change itself.
    assert day_start_ns(date(2025, 4, 25), "Africa/Cairo") == 1_745_532_000_000_000_000


def test_a_datetime_is_no_day() -> None:
    with pytest.raises(EnergyError, match="^day is the datetime"):
        day_start_ns(datetime(2025, 7, 1), "Europe/Berlin")
