"""What is odd about tables of rules although nothing forbids it: names nobody else has, zones that a row leaves out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date
from difflib import get_close_matches

from penstock_sdk.energy.rule_rows import AliasRow, FeeRow, LimitRow, ProductRow, Row, ShapeRow
from penstock_sdk.energy.rule_tables import Table, days_in_words
from penstock_sdk.energy.rules import Rules

__all__ = ["rule_warnings"]

_QUARTER_MINUTES = 15


def rule_warnings(
    tables: Sequence[Table], before: Rules, calendars: Collection[str] | None = None, venues: Collection[str] = ()
) -> list[str]:
    """Return what to look at twice in *tables*, each with its file and line.

    Args:
        tables: of which no row is faulty.
        before: the rules over which they are laid.
        calendars: names of those that are there; None: not known, so none is missed.
        venues: names of plugins, which fees may be of in place of markets.
    """
    rows = [(row, table.place(number)) for table in tables for number, row in enumerate(table.typed)]
    products = [*before.rows("products"), *(row for row, _ in rows if isinstance(row, ProductRow))]
    found = []
    for row, place in rows:
        found += [f"{place}: {text}" for text in _odd(row, products, calendars, venues)]
        if isinstance(row, ProductRow):
            beside = [each for each, _ in rows if isinstance(each, ProductRow) and each.key == row.key]
            found += [f"{place}: {text}" for text in _zones_left_out(row, beside, before)]
    return found


def _odd(
    row: Row, products: Sequence[ProductRow], calendars: Collection[str] | None, venues: Collection[str]
) -> Iterator[str]:
    """Tell of names that nobody else has, and of numbers that are unusual."""
    markets = sorted({each.market for each in products})
    names = sorted({each.product for each in products})
    if isinstance(row, LimitRow) and row.market not in markets:
        yield f"market {row.market!r} lists no product, so its limits bound nothing; {_near(row.market, markets)}"
    if isinstance(row, FeeRow):
        if row.market not in {*markets, *venues}:
            near = _near(row.market, markets)
            yield f"market {row.market!r} lists no product, so the fee holds only where a venue has that name; {near}"
        if row.product not in {"*", *names}:
            yield f"no market lists product {row.product!r}; {_near(row.product, names)}"
        for column in ("micro_per_mwh", "micro_per_lot", "micro_per_trade"):
            if getattr(row, column) < 0:
                yield f"{column} is {getattr(row, column)}: money is received at each trade, as a rebate"
        if not (row.micro_per_mwh or row.micro_per_lot or row.micro_per_trade):
            yield "the fee is 0 by all of micro_per_mwh, micro_per_lot and micro_per_trade"
    if isinstance(row, AliasRow) and row.product not in names:
        yield f"no market lists product {row.product!r}; {_near(row.product, names)}"
    if isinstance(row, ProductRow) and row.calendar and calendars is not None and row.calendar not in calendars:
        near = _near(row.calendar, sorted(calendars))
        yield f"calendar {row.calendar!r} is brought by no refdata plugin here, so no last trading day is known; {near}"
    if isinstance(row, ShapeRow):
        odd = [edge for hours in row.hours for edge in hours.split("-") if int(edge[3:]) % _QUARTER_MINUTES]
        if odd:
            yield f"hours has {odd[0]!r}, which no zone can deliver whose grid is in quarter-hours"


def _near(name: str, known: Sequence[str]) -> str:
    close = get_close_matches(name, known, n=2)
    hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    return f"{hint}known are {', '.join(known)}"


def _zones_left_out(row: ProductRow, beside: Sequence[ProductRow], before: Rules) -> Iterator[str]:
    """Tell of zones in which a product is no longer listed, because this row takes the place of one that has them."""
    for old in before.rows("products", market=row.market, product=row.product):
        first, last = max(old.valid_from, row.valid_from), min(old.valid_to, row.valid_to)
        if first > last:
            continue
        kept = {code for each in beside if _share_a_day(each, first, last) for code in each.zones}
        gone = [code for code in old.zones if code not in kept]
        if gone:
            yield (
                f"takes {row.product} of {row.market} from {', '.join(gone)} ({days_in_words(first, last)}), which the "
                "row in whose place it stands has; if they are to keep it, name them among its zones"
            )


def _share_a_day(row: ProductRow, first: date, last: date) -> bool:
    return row.valid_from <= last and first <= row.valid_to
