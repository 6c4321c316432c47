"""Positions, and profit and loss, of a run by any delivery period: hours, days, peak, months, quarters, years.

Positions are netted interval by interval before they are added up, so the least and the largest power of a period are
those of its intervals. The profit of a contract is spread over the periods it delivers in by energy, in whole 10⁻⁶ of
the currency with the remainder allocated: the periods add up to the contract, to the micro.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from functools import cache, partial
from typing import Any, Final, NamedTuple

import msgspec

from penstock_kernel.lake import Reader
from penstock_sdk.energy import EnergyError, MarketZone, delivery_date, ns_to_local
from penstock_sdk.energy.money import allocate
from penstock_sdk.energy.rules import Rules, builtin_rules
from penstock_sdk.energy.shapes import shape_spans

__all__ = ["BY_PERIOD", "BY_PNL", "PeriodPnl", "PeriodPosition", "period_names", "pnl_by", "positions_by"]


class PeriodPosition(msgspec.Struct, frozen=True):
    """What is held of one period: bought is positive. Power is over the period's intervals; of carbon, none."""

    zone: str
    period: str
    book: str
    strategy: str
    settlement: str
    """physical or cash, where they were asked for apart; empty: both."""
    net_mwh: float | None
    mean_mw: float | None
    least_mw: float | None
    largest_mw: float | None
    intervals: int
    amount: int
    """The sum in the grid's own unit …"""
    unit: str
    """… kW (per interval), therm/d, mMMBtu/d, kg."""


class PeriodPnl(msgspec.Struct, frozen=True):
    """Profit and loss under one heading, after fees, in 10⁻⁶ of one currency; currencies are never added."""

    of: tuple[str, ...]
    currency: str
    realised_micro: int
    unrealised_micro: int
    fees_micro: int

    @property
    def total_micro(self) -> int:
        """Realised and unrealised, less fees."""
        return self.realised_micro + self.unrealised_micro - self.fees_micro


def _hour(local: datetime) -> str:
    half = "AB"[local.fold] if local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset() else ""
    return f"H {local:%Y-%m-%d %H}{half}"


def _interval(local: datetime) -> str:
    hour = _hour(local)[2:]
    return f"{hour[:13]}:{local:%M}{hour[13:]}"


# Names as contracts have them. What is by day or longer is by the delivery day, which gas begins at six.
_CLOCK: Final[dict[str, Callable[[datetime], str]]] = {"interval": _interval, "hour": _hour}
_DAYS: Final[dict[str, Callable[[datetime], str]]] = {
    "day": lambda day: f"D {day:%Y-%m-%d}",
    "week": lambda day: f"W {day:%G}-W{day:%V}",
    "month": lambda day: f"M {day:%Y-%m}",
    "quarter": lambda day: f"Q {day:%Y}-Q{(day.month + 2) // 3}",
    "season": lambda day: f"S {day.year - (day.month < 4)}-{'SUM' if 4 <= day.month < 10 else 'WIN'}",
    "year": lambda day: f"Y {day:%Y}",
}
BY_PERIOD: Final = (*_CLOCK, "peak", *_DAYS, "all")
"""What positions and profit may be told by."""
BY_PNL: Final = ("strategy", "book", "product", "zone", "contract", *_DAYS)


class _Zone(NamedTuple):
    timezone: str
    day_starts_hour: int


def period_names(by: str, timezone: str, day_starts_hour: int) -> Callable[[int], str]:
    """Return the function from an interval's start, ns UTC, to the name of the period it belongs to."""
    if by == "all":
        return lambda _: "all"
    clock = _CLOCK.get(by)
    if clock is not None:
        return lambda at_ns: clock(ns_to_local(at_ns, timezone))
    named, early = _DAYS[by], timedelta(hours=day_starts_hour)
    return lambda at_ns: named(ns_to_local(at_ns, timezone).replace(tzinfo=None) - early)


def _peak_names(rules: Rules, code: str, zone: _Zone) -> Callable[[int], str]:
    """Return the function from an interval's start to its day with PEAK or OFFPEAK; where no peak is, to its day."""
    place = MarketZone(code, "", zone.timezone, "EUR", day_starts_hour=zone.day_starts_hour)  # any currency would do

    @cache
    def spans(day: date) -> list[tuple[int, int]] | None:
        try:
            return shape_spans(rules, "PEAK", place, day, day + timedelta(days=1))
        except EnergyError:
            return None

    def name(at_ns: int) -> str:
        day = delivery_date(place, at_ns)
        held = spans(day)
        if held is None:
            return f"D {day}"
        return f"D {day} {'PEAK' if any(start_ns <= at_ns < end_ns for start_ns, end_ns in held) else 'OFFPEAK'}"

    return name


def _zones(reader: Reader) -> dict[str, _Zone]:
    rows = reader.query("SELECT code, timezone, day_starts_hour FROM zone_definitions ORDER BY seq").to_pylist()
    return {row["code"]: _Zone(row["timezone"], row["day_starts_hour"] or 0) for row in rows}


def _check(by: str, known: Iterable[str]) -> None:
    if by not in known:
        raise EnergyError(f"by met {by!r}, wanted one of {', '.join(known)}")


def _narrowed(names: dict[str, str]) -> str:
    """Return a WHERE clause; an empty value narrows nothing."""
    wanted = [f"""{column} = '{value.replace("'", "''")}'""" for column, value in names.items() if value]
    return f"WHERE {' AND '.join(wanted)}" if wanted else ""


def positions_by(
    reader: Reader, by: str, *, zone: str = "", book: str = "", strategy: str = "", settlement: str = "",
    apart: bool = False, rules: Rules | None = None,
) -> list[PeriodPosition]:  # fmt: skip
    """Return what is held by period, zone by zone in order of time; empty texts narrow nothing.

    Args:
        by: one of `BY_PERIOD`.
        settlement: physical (it is delivered) or cash (a price exposure); empty: both, netted.
        apart: books, strategies and kinds of settlement each for themselves; else they are netted.
        rules: whose shape PEAK; None: the built-in ones. A zone in which it is not defined is told by whole days.

    Raises:
        EnergyError: *by* is no period, or nothing of the run is called like that.
        LakeError: the run has no data yet.
    """
    _check(by, BY_PERIOD)
    names = {"zone": zone, "book": book, "strategy": strategy, "settlement": settlement}
    _check_known(reader, names)
    value = "coalesce({0}, '') AS {0}" if apart else "'' AS {0}"
    owner = ", ".join(value.format(name) for name in ("book", "strategy", "settlement"))
    rows = reader.query(
        f"""
        SELECT zone, {owner}, unit, start_ns, end_ns, sum(amount)::BIGINT AS amount, sum(mwh) AS mwh, sum(mw) AS mw
        FROM positions_by_interval {_narrowed(names)} GROUP BY ALL ORDER BY zone, book, strategy, settlement, start_ns
        """
    ).to_pylist()
    zones = _zones(reader)
    name_of = {
        code: _peak_names(rules or builtin_rules(), code, place) if by == "peak" else period_names(by, *place)
        for code, place in zones.items()
    }
    found: dict[tuple[str, str, str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        period = name_of[row["zone"]](row["start_ns"])
        found.setdefault((row["zone"], row["book"], row["strategy"], row["settlement"], period), []).append(row)
    return [_position(key, of) for key, of in found.items()]


def _check_known(reader: Reader, names: dict[str, str]) -> None:
    """Raise where a name is asked for that the run does not know: nothing held is another answer."""
    kinds = {"book": "BOOK", "strategy": "PLUGIN"}
    for column, value in names.items():
        if not value:
            continue
        if column == "settlement":
            known = {"physical", "cash"}
        elif column == "zone":
            known = {row["code"] for row in reader.query("SELECT DISTINCT code FROM zone_definitions").to_pylist()}
        else:
            rows = reader.query(f"SELECT name FROM names WHERE kind IN ('{kinds[column]}', 'SOURCE')").to_pylist()
            known = {row["name"] for row in rows}
        if value not in known:
            raise EnergyError(f"{column} met {value!r}, which the run does not know; it has {', '.join(sorted(known))}")


def _position(key: tuple[str, str, str, str, str], of: list[dict[str, Any]]) -> PeriodPosition:
    zone, book, strategy, settlement, period = key
    powers = [row["mw"] for row in of if row["mw"] is not None]
    hours = sum(row["end_ns"] - row["start_ns"] for row in of) / 3.6e12
    net = sum(row["mwh"] for row in of) if powers else None
    return PeriodPosition(
        zone, period, book, strategy, settlement, net, net / hours if net is not None else None,
        min(powers, default=None), max(powers, default=None), len(of), sum(row["amount"] for row in of), of[0]["unit"],
    )  # fmt: skip


def pnl_by(reader: Reader, by: tuple[str, ...]) -> list[PeriodPnl]:
    """Return profit and loss under every combination of *by*, of `BY_PNL`, and per currency; all adds up to the totals.

    What imbalance brought an account beyond its marks belongs to no contract: it is the product ``imbalance``.

    Raises:
        EnergyError: one of *by* is unknown.
        LakeError: the run has no data yet.
    """
    for name in by:
        _check(name, BY_PNL)
    period = next((name for name in by if name in _DAYS), None)
    if sum(name in _DAYS for name in by) > 1:
        raise EnergyError(f"by met {', '.join(by)}, wanted one period of delivery at most")
    rows = reader.query(
        """
        SELECT coalesce(strategy, '-') AS strategy, coalesce(book, '-') AS book, coalesce(product, '-') AS product,
               coalesce(zone, '-') AS zone, coalesce(contract, '-') AS contract, currency, listing_id,
               realised_micro AS realised, unrealised_micro AS unrealised, fees_micro AS fees
        FROM pnl_latest WHERE listing_id <> 0
        UNION ALL
        SELECT coalesce(strategy, '-'), coalesce(book, '-'), 'imbalance', '-', '-', currency, 0, realised_micro,
               unrealised_micro, fees_micro
        FROM pnl_beyond_marks
        ORDER BY strategy, book, zone, listing_id
        """
    ).to_pylist()
    shares = _shares(reader, period) if period else {}
    sums: dict[tuple[tuple[str, ...], str], list[int]] = {}
    for row in rows:
        figures = (row["realised"], row["unrealised"], row["fees"])
        names, weights = shares.get(row["listing_id"], (["-"], [1]))
        parts = [allocate(figure, weights) for figure in figures]
        for at, name in enumerate(names):
            heading = tuple(name if part == period else row[part] for part in by)
            held = sums.setdefault((heading, row["currency"] or ""), [0, 0, 0])
            for nth in range(3):
                held[nth] += parts[nth][at]
    ordered = sorted(sums.items()) if period is None else sorted(sums.items(), key=partial(_by_time, by.index(period)))
    return [PeriodPnl(heading, currency, *figures) for (heading, currency), figures in ordered]


def _by_time(place: int, item: tuple[tuple[tuple[str, ...], str], list[int]]) -> tuple[Any, ...]:
    heading, currency = item[0]
    return (*heading[:place], *heading[place + 1 :], currency, heading[place])


def _shares(reader: Reader, period: str) -> dict[int, tuple[list[str], list[int]]]:
    """Return of each listing the names of the periods it delivers in, and its share of energy in each."""
    zones = _zones(reader)
    name_of = {code: period_names(period, *place) for code, place in zones.items()}
    rows = reader.query(
        "SELECT listing_id, zone, start_ns, end_ns, amount, unit FROM delivery_amounts "
        "WHERE listing_id IN (SELECT listing_id FROM pnl_latest) ORDER BY listing_id, start_ns"
    ).to_pylist()
    shares: dict[int, dict[str, int]] = {}
    for row in rows:
        name = name_of[row["zone"]](row["start_ns"])
        energy = abs(row["amount"]) * ((row["end_ns"] - row["start_ns"]) if row["unit"] == "kW" else 1)
        held = shares.setdefault(row["listing_id"], {})
        held[name] = held.get(name, 0) + energy
    return {listing: (list(held), list(held.values())) for listing, held in shares.items()}
