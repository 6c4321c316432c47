"""What rows of several tables must agree on: names that exist, one market per product, limits in the product's unit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import combinations
from typing import Any, NamedTuple, TypeAlias

from penstock_sdk.energy.rule_rows import LimitRow, MarketZone, ProductRow, Row

__all__ = ["BUILT_IN", "Entries", "Entry", "cross_faults", "no_such_zone"]

BUILT_IN = "built-in "
"""What the places of rows that Penstock brings begin with."""


class Entry(NamedTuple):
    """A row and where it stands."""

    row: Row
    place: str


Entries: TypeAlias = Mapping[str, Mapping[tuple[str, ...], Sequence[Entry]]]
"""Rows by table and key."""


def cross_faults(tables: Entries) -> list[str]:
    """Return what rows of several tables do not agree on, each fault once."""
    found = [*_unknown_names(tables), *_listed_twice(tables), *_other_units(tables)]
    return list(dict.fromkeys(found))


def no_such_zone(code: str, known: Sequence[str]) -> str:
    """Return what to say of a zone code that no row has."""
    # "de_lu", "NO_2" and "DELU" are the usual slips: compare as the known codes are written, with and without dashes.
    bare = code.upper().replace("_", "").replace("-", "")
    same = [each for each in known if each.replace("-", "") == bare]
    close = same or get_close_matches(code.upper().replace("_", "-"), known, n=1, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    return f"zone {code!r} is not known; {hint}known are {', '.join(known)}"


def _all(tables: Entries, name: str) -> Iterator[tuple[Any, str]]:
    """Yield the rows of a table and where they stand."""
    for entries in tables.get(name, {}).values():
        yield from entries


def _unknown_names(tables: Entries) -> Iterator[str]:
    """Tell of zones and shapes that rows name and no row defines."""
    zones = sorted({row.code for row, _ in _all(tables, "zones")})
    shapes = {row.code for row, _ in _all(tables, "shapes")}
    leavings = {row.code for row, _ in _all(tables, "shapes") if row.except_of}
    for name, row, place in ((table, *entry) for table in tables for entry in _all(tables, table)):
        for code in getattr(row, "zones", ()):
            if code not in zones and not (code == "*" and name == "shapes"):
                yield f"{place}: {no_such_zone(code, zones)}"
        leaves = getattr(row, "except_of", "")
        for code in filter(None, (*getattr(row, "shapes", ()), getattr(row, "shape", ""), leaves)):
            if code not in shapes:
                yield f"{place}: shape {code!r} is not known; known are {', '.join(sorted(shapes))}"
            elif code == leaves and code in leavings:
                yield f"{place}: except_of is {code!r}, itself what others leave; wanted one with hours"


def _listed_twice(tables: Entries) -> Iterator[str]:
    """Tell of products that two markets list in a zone on the same day: a name would mean two things."""
    by_product: dict[str, list[Entry]] = {}
    for entry in (entry for entries in tables.get("products", {}).values() for entry in entries):
        by_product.setdefault(entry.row.key[1], []).append(entry)
    for product, entries in by_product.items():
        for one, other in combinations(entries, 2):
            first = max(one.row.valid_from, other.row.valid_from)
            if one.row.key == other.row.key or first > min(one.row.valid_to, other.row.valid_to):
                continue
            (row, place), (rival, beside) = sorted((one, other), key=lambda each: each.place.startswith(BUILT_IN))
            assert isinstance(row, ProductRow) and isinstance(rival, ProductRow)
            shared = [code for code in row.zones if code in rival.zones]
            if shared:
                yield (
                    f"{place} and {beside}: product {product!r} of {', '.join(shared)} is listed by {row.market} and "
                    f"{rival.market} on {first}; a name means one contract, so keep the zone in one of the rows"
                )


def _other_units(tables: Entries) -> Iterator[str]:
    """Tell of limits in another unit than the prices that they are to bound."""
    zones: dict[str, list[MarketZone]] = {}
    for zone, _ in _all(tables, "zones"):
        zones.setdefault(zone.code, []).append(zone)
    for product, place in _all(tables, "products"):
        for limit, beside in tables.get("limits", {}).get((product.market,), ()):
            assert isinstance(limit, LimitRow)
            for code in product.zones:
                unit = _unit_between(product, zones.get(code, ()), limit)
                if unit:
                    yield (
                        f"{beside}: price_unit is {limit.price_unit!r}, but {product.market} prices product "
                        f"{product.product!r} of {code} in {unit} ({place}); wanted {unit!r}"
                    )
                    break


def _unit_between(product: ProductRow, zones: Sequence[MarketZone], limit: LimitRow) -> str:
    """Return the unit of a product where a limit is in another and holds on one of its days; empty where it is fine."""
    for zone in zones:
        unit = product.price_unit.replace("{currency}", zone.currency)
        first = max(product.valid_from, zone.valid_from, limit.valid_from)
        if unit != limit.price_unit and first <= min(product.valid_to, zone.valid_to, limit.valid_to):
            return unit
    return ""
