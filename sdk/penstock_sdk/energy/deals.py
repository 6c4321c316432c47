"""Bilateral deals: the terms that two parties agree on, validated cell by cell, and what they come to.

>>> from penstock_sdk.energy.row_files import read_csv
>>> sheet = read_csv("deals.csv", EXAMPLE)
>>> [(row, terms)], faults = deals_of(sheet)
>>> row, terms.deal_id, terms.side, terms.quantity, str(laid_out(terms).energy), faults
(2, 'D-1', 'buy', '5', '120', [])

A forward is delivered, a swap pays the difference between its fixed price and an index.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from penstock_sdk.energy.deal_grid import amounts, grid_of
from penstock_sdk.energy.deal_terms import DEAL_COLUMNS, DealTerms, LaidOut, laid_out, spans_of, zone_named
from penstock_sdk.energy.outside_cells import (
    choice,
    decimal,
    decimal_text,
    instant_ns,
    instant_text,
    price_unit,
    word,
)
from penstock_sdk.energy.row_files import CellError, Fault, Sheet, typed_rows
from penstock_sdk.energy.rules import Reference
from penstock_sdk.energy.zones import MarketZone

__all__ = [
    "DEAL_COLUMNS",
    "EXAMPLE",
    "DealTerms",
    "LaidOut",
    "deal_cells",
    "deal_of",
    "deal_text",
    "deals_of",
    "laid_out",
]

EXAMPLE = """\
deal_id,counterparty,book,trader,side,kind,zone,delivery,quantity,unit,price,price_unit,traded,captured_by,confirmed_by
D-1,Nordwind AG,power-de,anna,buy,forward,DE-LU,D 2026-03-10,5,MW,86.70,EUR/MWh,2026-03-02T10:15:00Z,anna,ben
"""
"""A file of one deal."""

KINDS = {"forward": "physical", "swap": "cash"}
"""How a deal of each kind is settled."""
SIDES = ("buy", "sell")
PAYMENTS = ("monthly",)
_REQUIRED = ("deal_id", "counterparty", "book", "side", "kind", "zone", "price", "price_unit", "traded")
_SHAPE_MAX = 10_000
_STRETCHES_TOLD = 100
_T = TypeVar("_T")


# -- from rows ---------------------------------------------------------------------------------------------------------


def deals_of(
    sheet: Sheet, reference: Reference | None = None, person: str = ""
) -> tuple[list[tuple[int, DealTerms]], list[Fault]]:
    """Return (row, terms) of every deal of a file, and every fault; with one fault no deal at all.

    *person* captures them where no row says who does, as `deal_of` has it.
    """
    return typed_rows(sheet, DEAL_COLUMNS, lambda cells: deal_of(cells, reference, person), "deal_id")


class _Cells:
    """The cells of one row, read one after another; what is wrong is kept, not raised."""

    def __init__(self, cells: Mapping[str, str]) -> None:
        self.cells = cells
        self.faults: list[CellError] = []

    def read(self, column: str, how: Callable[[str, str], _T], default: _T) -> _T:
        """Return a cell read by *how*, the default when it is empty or faulty."""
        text = self.cells.get(column, "")
        if not text:
            if column in _REQUIRED:
                self.faults.append(CellError(column, "", "it is missing", "a value in every row"))
            return default
        try:
            return how(column, text)
        except CellError as error:
            self.faults.append(error)
            return default

    def wrong(self, column: str, rule: str, wanted: str) -> None:
        """Note that a cell does not go together with another."""
        self.faults.append(CellError(column, self.cells.get(column, ""), rule, wanted))


def deal_of(
    cells: Mapping[str, str], reference: Reference | None = None, person: str = ""
) -> tuple[DealTerms | None, list[CellError]]:
    """Return the terms that a row's cells give, and all that is wrong with them; with a fault no terms.

    Args:
        cells: column → text; those that are left out are empty.
        reference: zones and shapes; None: the built-in ones.
        person: who captures, where the cells do not say: the trader, too, where they name none.
    """
    row = _Cells(cells)
    zone: MarketZone | None = row.read("zone", lambda _, code: zone_named(code, reference), None)
    kind = row.read("kind", lambda column, text: choice(column, text, list(KINDS)), "")
    unit, currency = _price_unit(row, zone)
    captured_by = row.read("captured_by", word, "") or person
    terms = DealTerms(
        deal_id=row.read("deal_id", word, ""), counterparty=row.read("counterparty", word, ""),
        book=row.read("book", word, ""), trader=row.read("trader", word, "") or captured_by,
        side=row.read("side", lambda column, text: choice(column, text, SIDES), ""), kind=kind,
        zone=zone.code if zone else "", price=row.read("price", _number, ""), price_unit=unit, currency=currency,
        traded=row.read("traded", lambda column, text: instant_text(instant_ns(column, text)), ""),
        delivery=row.read("delivery", lambda _, text: " ".join(text.split()), ""),
        quantity=row.read("quantity", _number, ""), unit=_unit(row, zone),
        shape=row.read("shape", lambda _, text: _shape(text, zone), ()), index=row.read("index", word, ""),
        settlement=KINDS.get(kind, "physical"),
        payment=row.read("payment", lambda column, text: choice(column, text, PAYMENTS), PAYMENTS[0]),
        captured_by=captured_by, confirmed_by=row.read("confirmed_by", word, ""),
    )  # fmt: skip
    _together(row, terms)
    _index(row, terms, reference)
    try:
        if not row.faults:
            _after(terms, laid_out(terms, reference))
        elif zone is not None and terms.delivery:  # what else is wrong with it is told at once, as far as that can be
            spans = spans_of(terms, zone, reference)
            if terms.quantity and terms.unit and not terms.shape:
                amounts(zone, spans, Decimal(terms.quantity), terms.unit)
    except CellError as error:
        row.faults.append(error)
    return (None, row.faults) if row.faults else (terms, [])


def _number(column: str, text: str) -> str:
    return decimal_text(decimal(column, text))


def _unit(row: _Cells, zone: MarketZone | None) -> str:
    if zone is None:
        return row.cells.get("unit", "")
    try:
        grid = grid_of(zone)
    except CellError as error:
        row.faults.append(error)
        return ""
    shape = "shape" in row.cells
    known = [*grid.rates] if shape and grid.rates else [*grid.rates, *grid.totals, *grid.daily]
    if not row.cells.get("unit") and (shape or "quantity" in row.cells):
        what = "a shape" if shape else f"quantity {row.cells['quantity']}"
        row.wrong("unit", f"{what} without a unit says no amount", f"one of {', '.join(known)}")
    return row.read("unit", lambda column, text: choice(column, text, known), "")


def _price_unit(row: _Cells, zone: MarketZone | None) -> tuple[str, str]:
    """Return (price unit, major currency)."""
    text = row.cells.get("price_unit", "")
    if zone is None:
        return text, ""
    unit, major, _ = row.read(
        "price_unit", lambda column, text: price_unit(column, text, grid_of(zone).per), ("", "", 1)
    )
    given = row.cells.get("currency", "")
    if given and major and given != major:
        row.wrong("currency", f"the price is in {unit}", f"{major}, or nothing")
    return unit, major


def _shape(text: str, zone: MarketZone | None) -> tuple[tuple[str, str, str], ...]:
    """Return the stretches of "START/END=QUANTITY; …"; times without an offset are the zone's."""
    stretches: list[tuple[str, str, str]] = []
    last_ns = 0
    timezone = zone.timezone if zone is not None else "Etc/UTC"
    for part in filter(None, map(str.strip, text.split(";"))):
        edges, equals, quantity = part.rpartition("=")
        start, slash, end = edges.partition("/") if edges.count("/") == 1 else _edges(edges)
        if not (equals and slash):
            wanted = "START/END=QUANTITY; …, as 2026-03-10T08:00/2026-03-10T20:00=10"
            raise CellError("shape", part, "it is no stretch", wanted)
        start_ns, end_ns = (instant_ns("shape", edge.strip(), timezone) for edge in (start, end))
        if not last_ns <= start_ns < end_ns:
            raise CellError("shape", part, "stretches are not in order and apart", "each after the one before")
        last_ns = end_ns
        stretches.append((instant_text(start_ns), instant_text(end_ns), _number("shape", quantity.strip())))
    if not 0 < len(stretches) <= _SHAPE_MAX:
        raise CellError("shape", text, f"it has {len(stretches)} stretches", f"1 to {_SHAPE_MAX}")
    return tuple(stretches)


def _edges(text: str) -> tuple[str, str, str]:
    """Return a stretch's two ends where the names of zones have slashes of their own."""
    parts = text.split("/")
    half = len(parts) // 2
    return ("/".join(parts[:half]), "/", "/".join(parts[half:])) if len(parts) % 2 == 0 else (text, "", "")


def _together(row: _Cells, terms: DealTerms) -> None:
    """Note which cells do not go together."""
    cells = row.cells
    if "shape" in cells and ("delivery" in cells or "quantity" in cells):
        row.wrong("shape", "the deal has a delivery or a quantity, too", "a shape alone, or delivery and quantity")
    elif "shape" not in cells:
        for column in ("delivery", "quantity"):
            if column not in cells:
                row.wrong(column, "it is missing", "delivery and quantity, or a shape")
    if terms.kind == "swap" and "index" not in cells:
        row.wrong("index", "a swap has a floating leg", "the name of the index that it follows")
    if terms.kind == "forward" and "index" in cells:
        row.wrong("index", "a forward has one price and no floating leg", "nothing, or kind swap")
    if cells.get("settlement", terms.settlement).lower() != terms.settlement:
        row.wrong("settlement", f"a {terms.kind} is settled otherwise", f"{terms.settlement}, or nothing")
    if terms.confirmed_by and terms.captured_by.casefold() == terms.confirmed_by.casefold():
        rule = f"{terms.confirmed_by} has captured it as well"
        row.wrong("confirmed_by", rule, f"somebody other than {terms.captured_by}, or nothing")
    if terms.confirmed_by and not terms.captured_by:
        row.wrong("captured_by", "it is confirmed by somebody and captured by nobody", "who captured it")
    if not terms.trader:
        row.wrong("trader", "it is missing, and so is captured_by", "who agreed the deal")


def _index(row: _Cells, terms: DealTerms, reference: Reference | None) -> None:
    """Note an index that is called like a price of a zone, and is none."""
    parts = terms.index.split(".")
    if parts[0] != "price" or len(parts) == 2:  # any other series, as price.index: whoever feeds it knows its name
        return
    wanted = f"price.ZONE.KIND, as price.{terms.zone or 'DE-LU'}.da"
    if len(parts) != 3 or not all(parts):
        row.wrong("index", "it is no price of a zone", wanted)
        return
    try:
        zone_named(parts[1], reference)
    except CellError as error:
        row.wrong("index", error.rule, wanted)


def _after(terms: DealTerms, laid: LaidOut) -> None:
    """Refuse a deal that was over when it was agreed."""
    if laid.spans[-1][1] <= terms.traded_ns:
        wanted = f"a time before {instant_text(laid.spans[-1][1])}, when delivery ends"
        raise CellError("traded", terms.traded, "delivery was over by then", wanted)


def deal_text(terms: DealTerms) -> str:
    """Return what was agreed in one line, a shape with the amount of each of its stretches."""
    if terms.shape:
        told = [f"{start}/{end} {quantity} {terms.unit}" for start, end, quantity in terms.shape[:_STRETCHES_TOLD]]
        more = len(terms.shape) - len(told)
        what = "; ".join(told) + (f"; and {more} more stretches, as its terms have them" if more else "")
    else:
        what = f"{terms.delivery}, {terms.quantity} {terms.unit}"
    return (
        f"{terms.side} {terms.kind} {terms.zone} {what} at {terms.price} {terms.price_unit}"
        f"{f' against {terms.index}' if terms.index else ''} with {terms.counterparty}, book {terms.book}"
    )


def deal_cells(terms: DealTerms) -> dict[str, str]:
    """Return terms as the cells of a row; `deal_of` gives them back."""
    cells: dict[str, Any] = msgspec.to_builtins(terms)
    if terms.shape:
        cells["shape"] = "; ".join(f"{start}/{end}={quantity}" for start, end, quantity in terms.shape)
    return {name: str(value) for name, value in cells.items()}
