"""Trades of ours that Penstock did not send, as a screen or a broker tells of them: rows of text, validated.

>>> from penstock_sdk.energy.row_files import read_csv
>>> [(row, terms)], faults = trades_of(read_csv("trades.csv", EXAMPLE))
>>> row, terms.reference, terms.source, terms.price, faults
(2, 'T-1', 'screen', '-1.5', [])
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

import msgspec

from penstock_sdk.energy.aliases import contract_by_alias
from penstock_sdk.energy.contract_types import Contract
from penstock_sdk.energy.contracts import listing_terms, parse_contract
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.localtime import ns_to_local
from penstock_sdk.energy.money import MICRO, price_currency
from penstock_sdk.energy.outside_cells import choice, decimal, decimal_text, instant_ns, instant_text, word
from penstock_sdk.energy.row_files import CellError, Fault, Sheet, typed_rows
from penstock_sdk.energy.rules import Reference
from penstock_sdk.energy.units import mw_to_lots, price_to_ticks

__all__ = [
    "EXAMPLE",
    "LOTS",
    "TRADE_COLUMNS",
    "TradeTerms",
    "alias_of",
    "check_trade",
    "on_grid",
    "trade_cells",
    "trade_file_faults",
    "trade_number",
    "trade_of",
    "trades_of",
]

EXAMPLE = """\
reference,source,contract,side,quantity,unit,price,traded,book,trader
T-1,screen,DE-LU H 2026-03-10 09,sell,2.5,MW,-1.50,2026-03-09T16:01:02+01:00,power-de,anna
"""
"""A file of one trade."""

SOURCES = ("screen", "broker")
SIDES = ("buy", "sell")
LOTS = "lots"
_REQUIRED = ("reference", "source", "contract", "side", "quantity", "unit", "price", "traded", "book")
_WANTED = {"unit": f"{LOTS}, or the contract's own unit, as MW"}
_NUMBER_MAX = 2**62
_T = TypeVar("_T")


class TradeTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One trade, as validated: numbers exact decimal text, times ISO in UTC.

    Attributes:
        reference: its number or name where it came from; the same source and reference twice is one trade.
        source: screen or broker.
        contract: name of a listing or a contract, or what the venue calls it.
        side: buy or sell, ours.
        quantity: above 0, in ``unit``.
        unit: lots, or the contract's own quantity unit.
        price: in the contract's price unit; negative prices are ordinary.
        traded: when.
        book: the trading book that owns it.
        venue: which of the venues where a contract is listed, or whose name for it is used.
        trader: who dealt.
        strategy: plugin instance that it counts for; empty: none.
        counterparty: empty: a clearing house.
    """

    reference: str
    source: str
    contract: str
    side: str
    quantity: str
    unit: str
    price: str
    traded: str
    book: str
    venue: str = ""
    trader: str = ""
    strategy: str = ""
    counterparty: str = ""

    @property
    def traded_ns(self) -> int:
        """When it was dealt, ns UTC."""
        return instant_ns("traded", self.traded)

    @property
    def key(self) -> str:
        """What no two trades share."""
        return f"{self.source}:{self.reference}"


TRADE_COLUMNS = TradeTerms.__struct_fields__
"""Every column of a file of trades."""


def trades_of(sheet: Sheet) -> tuple[list[tuple[int, TradeTerms]], list[Fault]]:
    """Return (row, terms) of every trade of a file, and every fault; with one fault no trade at all."""
    return typed_rows(sheet, TRADE_COLUMNS, trade_of, "reference")


def trade_of(cells: Mapping[str, str]) -> tuple[TradeTerms | None, list[CellError]]:
    """Return the trade that a row's cells give, and all that is wrong with them; with a fault no trade."""
    faults: list[CellError] = []

    def read(column: str, how: Callable[[str, str], _T], default: _T) -> _T:
        text = cells.get(column, "")
        try:
            if not text and column in _REQUIRED:
                raise CellError(column, "", "it is missing", _WANTED.get(column, "a value in every row"))
            return how(column, text) if text else default
        except CellError as error:
            faults.append(error)
            return default

    terms = TradeTerms(
        reference=read("reference", word, ""), source=read("source", lambda c, text: choice(c, text, SOURCES), ""),
        contract=read("contract", _name, ""), side=read("side", lambda c, text: choice(c, text, SIDES), ""),
        quantity=read("quantity", _above_0, ""), price=read("price", _number, ""),
        traded=read("traded", lambda c, text: instant_text(instant_ns(c, text)), ""), book=read("book", word, ""),
        unit=read("unit", _name, ""), venue=read("venue", word, ""), trader=read("trader", word, ""),
        strategy=read("strategy", word, ""), counterparty=read("counterparty", word, ""),
    )  # fmt: skip
    return (None, faults) if faults else (terms, [])


def _name(column: str, text: str) -> str:
    """Return the name of a contract or unit, its blanks single."""
    if len(text) > 120 or not text.isprintable():
        raise CellError(column, text, "it is no name", "up to 120 characters on one line")
    return " ".join(text.split())


def _number(column: str, text: str) -> str:
    return decimal_text(decimal(column, text))


def _above_0(column: str, text: str) -> str:
    value = decimal(column, text)
    if value <= 0:
        raise CellError(column, text, "it is not above 0", "a quantity above 0; side says buy or sell")
    return decimal_text(value)


def on_grid(
    terms: TradeTerms,
    *,
    qty_unit: str,
    lot_kw: int,
    tick_micro: int,
    minors: int,
    limits: tuple[int, int] | None = None,
) -> tuple[int, int]:
    """Return (price in ticks, quantity in lots) on a listing's own grid.

    Args:
        qty_unit: the contract's quantity unit, as "MW".
        lot_kw: the listing's lot, in thousandths of that.
        tick_micro: its tick, in 10⁻⁶ of the major currency.
        minors: how many of the price unit's currency make one major: 100 for GBp.
        limits: the lowest and the highest price, in ticks.

    Raises:
        CellError: another unit than the contract's, a price off the tick or beyond the limits, a quantity off the lot:
            what fits is named.
    """
    try:
        price_ticks = price_to_ticks(decimal_text(Decimal(terms.price)), tick_micro * minors)
    except EnergyError as error:
        raise CellError("price", terms.price, str(error), "a price on the listing's tick") from None
    if limits is not None and not limits[0] <= price_ticks <= limits[1]:
        low, high = (decimal_text(Fraction(ticks * tick_micro * minors, MICRO)) for ticks in limits)
        raise CellError("price", terms.price, f"the limits of its market are {low} and {high}", f"{low} to {high}")
    if terms.unit == LOTS:
        if Decimal(terms.quantity) % 1:
            raise CellError("quantity", terms.quantity, "it is no whole number of lots", "whole lots")
        return price_ticks, int(Decimal(terms.quantity))
    if terms.unit != qty_unit:
        raise CellError("unit", terms.unit, f"the contract is in {qty_unit}", f"{qty_unit} or {LOTS}")
    try:
        return price_ticks, mw_to_lots(terms.quantity, lot_kw)
    except EnergyError as error:
        raise CellError("quantity", terms.quantity, str(error), "a quantity on the listing's lot") from None


def check_trade(terms: TradeTerms, *, delivery_end_ns: int, last_trading_ns: int | None) -> None:
    """Refuse a trade in what was not traded any more.

    Raises:
        CellError: it was dealt after its contract's last trading day, or when delivery was over.
    """
    traded_ns = terms.traded_ns
    if last_trading_ns is not None and traded_ns > last_trading_ns:
        last = instant_text(last_trading_ns)
        rule = f"{terms.contract} was traded until {last}, its last trading day"
        raise CellError("traded", terms.traded, rule, f"a time up to {last}, or a contract that trades then")
    if traded_ns >= delivery_end_ns:
        end = instant_text(delivery_end_ns)
        rule = f"delivery of {terms.contract} was over by {end}"
        raise CellError("traded", terms.traded, rule, f"a time before {end}, or a contract that trades then")


def alias_of(terms: TradeTerms, reference: Reference) -> str:
    """Return the name of the contract that a venue calls as the trade does; empty where it calls none so."""
    try:
        day = ns_to_local(terms.traded_ns, "Etc/UTC").date()
        return contract_by_alias(terms.venue, terms.contract, day, reference).name
    except EnergyError:
        return ""


def trade_file_faults(sheet: Sheet, reference: Reference, *, spot: bool = True) -> tuple[int, int, list[Fault]]:
    """Return (trades, those of contracts that only an instance knows, all that is wrong with them) of a file.

    A contract that the rules know has the tick, lot, unit, price limits and last trading day that they give it; a
    venue may list it on others: without *spot* only what has a last trading day is held against the rules.
    """
    made, faults = trades_of(sheet)
    unknown = 0
    for number, terms in made:
        contract = _contract(terms, reference)
        if contract is None or not (spot or contract.last_trading_rule):
            unknown += 1
            continue
        _, minors = price_currency(contract.price_unit.partition("/")[0])
        last_ns = contract.gate_closure_ns if contract.last_trading_rule else None
        try:
            grid = listing_terms(contract, reference=reference)
            on_grid(
                terms, qty_unit=contract.qty_unit, lot_kw=grid.lot_kw, tick_micro=grid.tick_micro, minors=minors,
                limits=(grid.price_min_ticks, grid.price_max_ticks),
            )  # fmt: skip
        except CellError as error:
            faults.append(Fault.of(sheet.source, number, error))
        except EnergyError as error:
            wanted = "a contract whose terms the rules give"
            faults.append(Fault.of(sheet.source, number, CellError("contract", terms.contract, str(error), wanted)))
        try:
            check_trade(terms, delivery_end_ns=contract.delivery.end_ns, last_trading_ns=last_ns)
        except CellError as error:
            faults.append(Fault.of(sheet.source, number, error))
    return len(made), unknown, faults


def _contract(terms: TradeTerms, reference: Reference) -> Contract | None:
    try:
        return parse_contract((alias_of(terms, reference) if terms.venue else "") or terms.contract, reference)
    except EnergyError:
        return None


def trade_number(source: str, reference: str) -> int:
    """Return a trade's number: its reference where that is a number below 2⁶², else one that follows from it."""
    if (
        reference.isascii()
        and reference.isdigit()
        and reference == str(int(reference))
        and int(reference) < _NUMBER_MAX
    ):
        return int(reference)
    digest = hashlib.sha256(f"{source}:{reference}".encode()).digest()
    return _NUMBER_MAX + int.from_bytes(digest[:8], "big") % _NUMBER_MAX


def trade_cells(terms: TradeTerms) -> dict[str, str]:
    """Return terms as the cells of a row; `trade_of` gives them back."""
    cells: dict[str, str] = msgspec.to_builtins(terms)
    return cells
