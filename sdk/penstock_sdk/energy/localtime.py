"""Local time from the pinned tzdata package, and the way to integer nanoseconds UTC and back.

The machine's own zone files are never read: a run must give the same delivery periods everywhere, so the clock
changes come from the tzdata distribution, which requirements/core.txt pins and whose version each run header records.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

from penstock_sdk.energy.exact import EnergyError

__all__ = [
    "NS_PER_HOUR",
    "NS_PER_MINUTE",
    "NS_PER_SECOND",
    "Passing",
    "age_words",
    "day_start_ns",
    "is_repeated",
    "local_to_ns",
    "ns_to_local",
    "tzdata_version",
    "utc_ns",
    "utc_words",
    "zone",
]

Passing: TypeAlias = Literal["", "A", "B"]
"""Which of the two times that a clock shows alike, as names have it: the first, the second, or not said."""

NS_PER_SECOND = 1_000_000_000
NS_PER_MINUTE = 60 * NS_PER_SECOND
NS_PER_HOUR = 60 * NS_PER_MINUTE

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FOLDS = {"A": 0, "B": 1}


def tzdata_version() -> str:
    """Return the IANA release of the installed tzdata package, such as "2025b"; it belongs in the run header."""
    return str(import_module("tzdata").IANA_VERSION)


@cache
def _zone_names() -> frozenset[str]:
    """Return every zone name the tzdata package holds."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


@cache
def zone(name: str) -> ZoneInfo:
    """Return the time zone *name* ("Europe/Berlin") as the tzdata package defines it.

    Raises:
        EnergyError: tzdata has no such zone; the message names the closest.
    """
    if name not in _zone_names():
        close = get_close_matches(name, sorted(_zone_names()), n=1)
        hint = f"did you mean {close[0]!r}" if close else "wanted an IANA name such as 'Europe/Berlin'"
        raise EnergyError(f"time zone {name!r} is not in tzdata {tzdata_version()}; {hint}")
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as stream:
        return ZoneInfo.from_file(stream, key=name)


def utc_ns(moment: datetime) -> int:
    """Return an aware datetime as ns since 1970 UTC, in integers: datetime.timestamp goes through a float."""
    since = moment.astimezone(UTC) - _EPOCH
    return (since.days * 86_400 + since.seconds) * NS_PER_SECOND + since.microseconds * 1_000


def local_to_ns(wall: datetime, timezone: str, *, passing: Passing = "") -> int:
    """Return the instant, in ns UTC, at which clocks in *timezone* show *wall*.

    Args:
        wall: naive.
        timezone: IANA name.
        passing: of a time that the clock shows twice (the hour gained in autumn) "A" is the first passing, "B" the
            second. Empty: such a time is refused, unless its `fold` is 1, which is the second; `fold` 0 says nothing.

    Raises:
        EnergyError: *wall* carries a zone, clocks there never show it (the hour skipped in spring), or they show it
            twice and nothing says which is meant. The message has what would be accepted.
    """
    if wall.tzinfo is not None:
        raise EnergyError(f"wall time {wall.isoformat()} carries a zone; pass it without one, beside {timezone!r}")
    place = zone(timezone)
    moment = wall.replace(tzinfo=place, fold=_FOLDS[passing] if passing else wall.fold)
    if moment.astimezone(UTC).astimezone(place).replace(tzinfo=None) != wall:
        before, after = (wall.replace(tzinfo=place, fold=fold).astimezone(UTC).astimezone(place) for fold in (1, 0))
        raise EnergyError(
            f"{wall:%Y-%m-%d %H:%M} does not exist in {timezone}: the clock skips it that day; wanted a time that it "
            f"shows, such as {before:%H:%M} or {after:%H:%M}"
        )
    if not passing and not wall.fold and is_repeated(moment):
        first, second = (moment.replace(fold=fold).isoformat() for fold in (0, 1))
        raise EnergyError(
            f"{wall:%Y-%m-%d %H:%M} happens twice in {timezone}: the clock goes back that day; wanted which of "
            f"the two: {first} (passing 'A') or {second} (passing 'B')"
        )
    return utc_ns(moment)


def day_start_ns(day: date, timezone: str) -> int:
    """Return the instant, in ns UTC, at which local *day* begins.

    Where the clock skips midnight (some zones do, no power market here) the day begins at that change.

    Raises:
        EnergyError: *day* is a datetime, whose own zone would be lost without a word.
    """
    if isinstance(day, datetime):
        raise EnergyError(f"day is the datetime {day.isoformat()}; pass the local delivery date, as a date")
    return utc_ns(datetime(day.year, day.month, day.day, tzinfo=zone(timezone)))


def ns_to_local(t_ns: int, timezone: str) -> datetime:
    """Return the local time at *t_ns* (ns UTC), aware, `fold` set, cut down to the microsecond."""
    return (_EPOCH + timedelta(microseconds=t_ns // 1_000)).astimezone(zone(timezone))


def is_repeated(local: datetime) -> bool:
    """Return whether clocks show this local time twice: the hour gained in autumn. *local* is aware and exists."""
    return local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()


def utc_words(t_ns: int) -> str:
    """Return an instant for people: "2026-03-10 13:15:00 UTC", with its fraction of a second where it has one."""
    try:
        text = f"{ns_to_local(t_ns, 'UTC'):%Y-%m-%d %H:%M:%S}"
    except OverflowError:
        return f"{t_ns} ns"
    rest = t_ns % NS_PER_SECOND
    return f"{text}.{f'{rest:09}'.rstrip('0')} UTC" if rest else f"{text} UTC"


def age_words(length_ns: int) -> str:
    """Return a length of time for people, in its two largest units: "3 d 4 h", "-60 min", "1.5 s"."""
    sign, left = ("-" if length_ns < 0 else ""), abs(length_ns)
    days, left = divmod(left, 24 * NS_PER_HOUR)
    hours, left = divmod(left, NS_PER_HOUR)
    minutes, left = divmod(left, NS_PER_MINUTE)
    if not days and not hours and not minutes:
        return f"{sign}{left / NS_PER_SECOND:.9g} s"
    found = [(days, "d"), (hours, "h"), (minutes, "min"), (left // NS_PER_SECOND, "s")]
    first = next(at for at, (count, _) in enumerate(found) if count)
    return sign + " ".join(f"{count} {unit}" for count, unit in found[first : first + 2] if count)
