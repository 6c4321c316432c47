"""What venues call contracts: dated patterns, read both ways.

>>> from datetime import date
>>> contract = parse_contract("TTF M 2027-01")
>>> aliases(contract, date(2026, 11, 2))
{'ICE': 'TFM FMF0027'}
>>> contract_by_alias("ICE", "TFM FMF0027", date(2026, 11, 2)).name
'TTF M 2027-01'
"""

from __future__ import annotations

import re
from datetime import date
from difflib import get_close_matches
from functools import lru_cache

from penstock_sdk.energy.alias_patterns import MONTH_LETTERS, PART, PARTS
from penstock_sdk.energy.contract_types import Contract
from penstock_sdk.energy.contracts import parse_contract
from penstock_sdk.energy.delivery import PRODUCT_MINUTES
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.localtime import is_repeated, ns_to_local
from penstock_sdk.energy.rule_rows import AliasRow
from penstock_sdk.energy.rules import Reference, builtin_reference
from penstock_sdk.energy.strip_names import months_of, quarter_name, shape_of

__all__ = ["MONTH_LETTERS", "PARTS", "aliases", "contract_by_alias"]


def aliases(contract: Contract, on: date | None = None, reference: Reference | None = None) -> dict[str, str]:
    """Return what venues call a contract, by venue.

    Args:
        contract: any.
        on: the delivery day whose names are asked for; by default the contract's own first one.
        reference: whose aliases; None: the built-in ones.
    """
    rules = (reference or builtin_reference()).rules
    day = on or ns_to_local(contract.delivery.start_ns, contract.delivery.timezone).date()
    values = _values(contract)
    found: dict[str, str] = {}
    for row in rules.rows("aliases", on=day, product=contract.product, shape=_shape(contract)):
        wanted = PART.findall(row.pattern)
        if contract.zone in row.zones and all(part in values for part in wanted):
            found[row.venue] = PART.sub(lambda match: values[match[1]], row.pattern)
    return found


def contract_by_alias(venue: str, alias: str, on: date, reference: Reference | None = None, zone: str = "") -> Contract:
    """Return the contract that a venue calls so.

    Args:
        venue: whose name it is: "EEX", "ICE", "NYMEX", "NORDPOOL", "SEEPEX".
        alias: the name, as the venue writes it.
        on: the day on which it is read: two-digit years are those around it.
        reference: whose aliases; None: the built-in ones.
        zone: wanted where the venue uses the same name in several.

    Raises:
        EnergyError: no such venue or name there, or one of several zones and none is given; says what there is.
    """
    known = reference or builtin_reference()
    rows: tuple[AliasRow, ...] = known.rules.rows("aliases", venue=venue)
    if not rows:
        venues = sorted({row.venue for row in known.rules.rows("aliases")})
        raise EnergyError(f"no aliases of venue {venue!r} are known; known are those of {', '.join(venues)}")
    for row in rows:
        match = _reader(row.pattern).fullmatch(alias)
        for period in _period_names(row, match.groupdict(), on) if match else ():
            tail = f" {row.shape}" if row.shape else ""
            try:
                contract = parse_contract(f"{_zone(row, alias, zone)} {period}{tail}", known)
            except EnergyError:
                if period.endswith("A"):
                    continue  # where only the second passing of an hour is marked, the first reads as any other hour
                raise
            day = ns_to_local(contract.delivery.start_ns, contract.delivery.timezone).date()
            if row.holds_on(day) and aliases(contract, day, known).get(venue) == alias:
                return contract
    close = get_close_matches(alias, [row.pattern for row in rows], n=1, cutoff=0.3)
    hint = f"; a name there is written like {_example(close[0])!r}" if close else ""
    patterns = ", ".join(sorted({row.pattern for row in rows}))
    raise EnergyError(f"{venue} has no contract {alias!r}{hint}; patterns are {patterns}")


def _zone(row: AliasRow, alias: str, zone: str) -> str:
    """Return the one zone that a name can mean."""
    if zone:
        if zone not in row.zones:
            raise EnergyError(f"{row.venue} has no {alias!r} in zone {zone!r}; it has in {', '.join(row.zones)}")
        return zone
    if len(row.zones) > 1:
        raise EnergyError(f"{alias!r} of {row.venue} is one in each of {', '.join(row.zones)}; name the zone")
    return row.zones[0]


@lru_cache(256)
def _reader(pattern: str) -> re.Pattern[str]:
    """Return the expression that reads a pattern's names."""
    pieces = PART.split(pattern)
    text = "".join(f"(?P<{piece}>{PARTS[piece]})" if at % 2 else re.escape(piece) for at, piece in enumerate(pieces))
    return re.compile(text)


def _example(pattern: str) -> str:
    """Return how a name of a pattern looks."""
    shown = {
        "letter": "H", "yy": "26", "yyyy": "2026", "last_letter": "H", "last_yy": "27", "ymd": "20260310",
        "date": "2026-03-10", "n": "3", "nn": "03", "again": "", "half": "",
    }  # fmt: skip
    return PART.sub(lambda match: shown.get(match[1], match[0]), pattern)


def _shape(contract: Contract) -> str:
    return "" if contract.commodity == "carbon" else shape_of(contract.delivery.name)


def _values(contract: Contract) -> dict[str, str]:
    """Return what the parts of patterns are for a contract."""
    period = contract.delivery
    word, _, label = period.name.partition(" ")
    if word in PRODUCT_MINUTES:
        local = ns_to_local(period.start_ns, period.timezone)
        number = (local.hour * 60 + local.minute) // PRODUCT_MINUTES[word] + 1
        twice = is_repeated(local)
        return {
            "ymd": f"{local:%Y%m%d}", "date": f"{local:%Y-%m-%d}", "n": str(number), "nn": f"{number:02}",
            "again": "X" if twice and local.fold else "", "half": "AB"[local.fold] if twice else "",
        }  # fmt: skip
    if word == "EUA":
        first = last = (int(label[:4]), int(label[5:7]))
    elif word in {"M", "Q", "S", "Y", "GY"}:
        months = months_of(period.name)
        first, last = months[0], months[-1]
    else:
        day = label.partition(" ")[0]
        return {"date": day, "ymd": day.replace("-", "")}
    return {
        "letter": MONTH_LETTERS[first[1] - 1], "yy": f"{first[0] % 100:02}", "yyyy": f"{first[0]:04}",
        "last_letter": MONTH_LETTERS[last[1] - 1], "last_yy": f"{last[0] % 100:02}",
    }  # fmt: skip


def _period_names(row: AliasRow, parts: dict[str, str], on: date) -> tuple[str, ...]:
    """Return the periods that a read alias may mean, without zone and shape; none where it means none."""
    if row.product in PRODUCT_MINUTES:
        return _interval_names(row.product, parts)
    if "date" in parts or "ymd" in parts:
        return (f"{row.product} {_date(parts)}",)
    year = int(parts["yyyy"]) if "yyyy" in parts else _century(int(parts["yy"]), on)
    first_month = 10 if row.product == "GY" else 1
    month = MONTH_LETTERS.index(parts["letter"]) + 1 if "letter" in parts else first_month
    if row.product in {"M", "EUA"}:
        return (f"{row.product} {year:04}-{month:02}",)
    if row.product == "Q":
        return (quarter_name(year, month),) if month % 3 == 1 else ()
    if row.product == "S":
        return (f"S {year:04}-{'SUM' if month == 4 else 'WIN'}",) if month in {4, 10} else ()
    return (f"{row.product} {year:04}",) if month == first_month else ()


def _century(two_digits: int, on: date) -> int:
    """Return the year that two digits mean: the one no more than 50 years off."""
    year = on.year - on.year % 100 + two_digits
    return year - 100 if year - on.year > 50 else year + 100 if on.year - year > 50 else year


def _date(parts: dict[str, str]) -> str:
    return parts.get("date") or f"{parts['ymd'][:4]}-{parts['ymd'][4:6]}-{parts['ymd'][6:]}"


def _interval_names(product: str, parts: dict[str, str]) -> tuple[str, ...]:
    """Return the names that the n-th interval of a day by the clock may have."""
    text = _date(parts)
    minutes = PRODUCT_MINUTES[product]
    at = (int(parts.get("n") or parts["nn"]) - 1) * minutes
    if not 0 <= at < 24 * 60:
        return ()
    name = f"{product} {text} {at // 60:02}" + ("" if minutes == 60 else f":{at % 60:02}")
    if parts.get("half"):
        return (name + parts["half"],)
    if parts.get("again"):
        return (name + "B",)
    return (f"{name}A", name) if "again" in parts else (name,)
