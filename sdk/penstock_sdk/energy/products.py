"""Which product a name means in a zone on a day: the row of reference data that says how it is listed and traded."""

from __future__ import annotations

from datetime import date
from difflib import get_close_matches
from functools import lru_cache

from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.rule_rows import MarketZone, ProductRow
from penstock_sdk.energy.rules import Reference, Rules, builtin_reference

__all__ = ["is_auction", "product_row", "products_of"]


@lru_cache(16)
def _by_zone(rules: Rules) -> dict[str, dict[str, tuple[ProductRow, ...]]]:
    """Return the rows by zone and product."""
    found: dict[str, dict[str, list[ProductRow]]] = {}
    for row in rules.rows("products"):
        for code in row.zones:
            found.setdefault(code, {}).setdefault(row.product, []).append(row)
    return {code: {product: tuple(rows) for product, rows in of.items()} for code, of in found.items()}


def products_of(
    zone: MarketZone | str, on: date | None = None, reference: Reference | None = None
) -> dict[str, ProductRow]:
    """Return the products of a zone by name, those that hold on delivery day *on*; without a day, each as it was last.

    Raises:
        EnergyError: two markets list the same product of the zone on that day.
    """
    code = zone.code if isinstance(zone, MarketZone) else zone
    rules = (reference or builtin_reference()).rules
    held: dict[str, ProductRow] = {}
    for product, rows in _by_zone(rules).get(code, {}).items():
        holding = [row for row in rows if on is None or row.holds_on(on)]
        if holding:
            held[product] = _only(code, product, holding) if on else max(holding, key=lambda row: row.valid_to)
    return held


def is_auction(zone: MarketZone, product: str, reference: Reference) -> bool:
    """Return whether a zone's product is an auction of intervals: its name stands before that of the interval."""
    return any(row.interval for row in _by_zone(reference.rules).get(zone.code, {}).get(product, ()))


def product_row(zone: MarketZone | str, product: str, on: date, reference: Reference | None = None) -> ProductRow:
    """Return how a product of a zone is listed and traded for delivery on a day.

    Raises:
        EnergyError: no market lists it there, or not for that day; the message has what is listed.
    """
    code = zone.code if isinstance(zone, MarketZone) else zone
    products = _by_zone((reference or builtin_reference()).rules).get(code, {})
    rows = products.get(product)
    if rows is None:
        close = get_close_matches(product, sorted(products), n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        known = f"known there are {', '.join(sorted(products))}" if products else "nothing is listed there"
        raise EnergyError(f"product {product!r} has no trading session in {code}; {hint}{known}")
    holding = [row for row in rows if row.holds_on(on)]
    if not holding:
        days = " and ".join(_stretch(row) for row in rows)
        raise EnergyError(f"product {product!r} has no trading session in {code} for delivery on {on}; it has {days}")
    return _only(code, product, holding)


def _stretch(row: ProductRow) -> str:
    """Return from when to when a row holds, in words."""
    first = f"from {row.valid_from} " if row.valid_from > date.min else ""
    return first + (f"to {row.valid_to}" if row.valid_to < date.max else "on")


def _only(code: str, product: str, rows: list[ProductRow]) -> ProductRow:
    if len(rows) > 1:
        markets = ", ".join(sorted(row.market for row in rows))
        raise EnergyError(
            f"product {product!r} of {code} is listed by {markets} on the same day; keep the zone in one of the rows"
        )
    return rows[0]
