"""Names of strips: which months a quarter, a season or a year is, and what it cascades into."""

from __future__ import annotations

import re
from collections.abc import Sequence

from penstock_sdk.energy.exact import EnergyError

__all__ = ["cascade_names", "month_after", "months_of", "quarter_name", "shape_of"]

_STRIP = re.compile(
    r"(?P<product>M|Q|S|Y|GY) (?P<year>[0-9]{4})"
    r"(-((?P<month>0[1-9]|1[0-2])|Q(?P<quarter>[1-4])|(?P<season>SUM|WIN)))?(?P<shape> [A-Z][A-Z0-9_-]*)?"
)
_SHAPED = re.compile(r"[A-Z0-9]+ [0-9][0-9A-Z:-]*( [0-9][0-9:AB-]*)?( (?P<shape>[A-Z][A-Z0-9_-]*))?")


def shape_of(period_name: str) -> str:
    """Return the shape in a period's name, "PEAK" of "M 2026-03 PEAK"; empty for base load."""
    match = _SHAPED.fullmatch(period_name)
    return (match["shape"] or "") if match else ""


def month_after(year: int, month: int, count: int) -> tuple[int, int]:
    """Return the (year, month) that many months on, or back where negative."""
    years, rest = divmod(year * 12 + month - 1 + count, 12)
    return years, rest + 1


def months_of(period_name: str) -> tuple[tuple[int, int], ...]:
    """Return the (year, month) of each month of a strip, in order.

    Raises:
        EnergyError: the name is of no strip of months.
    """
    match = _STRIP.fullmatch(period_name)
    if match is None:
        raise EnergyError(
            f"{period_name!r} is no strip of months; wanted one such as 'M 2026-03', 'Q 2026-Q2', 'Y 2026'"
        )
    year = int(match["year"])
    kind = match["product"]
    first, count = {
        "M": (int(match["month"] or 0), 1),
        "Q": (int(match["quarter"] or 0) * 3 - 2, 3),
        "S": (4 if match["season"] == "SUM" else 10, 6),
        "Y": (1, 12),
        "GY": (10, 12),
    }[kind]
    return tuple(month_after(year, first, n) for n in range(count))


def quarter_name(year: int, month: int) -> str:
    """Return the name of the quarter that begins with a month: "Q 2026-Q2"."""
    return f"Q {year:04}-Q{(month + 2) // 3}"


def cascade_names(zone: str, period_name: str, products: Sequence[str]) -> tuple[str, ...]:
    """Return the names of what a strip cascades into.

    Args:
        zone: zone code.
        period_name: of the strip, shape included.
        products: ("M",) for its months; ("M", "Q") for the months of its first quarter and the other quarters.
    """
    months = months_of(period_name)
    shape = shape_of(period_name)
    tail = f" {shape}" if shape else ""
    apart = months[:3] if "Q" in products else months
    names = [f"M {year:04}-{month:02}" for year, month in apart]
    names += [quarter_name(*month) for month in months[len(apart) :: 3]]
    return tuple(f"{zone} {name}{tail}" for name in names)
