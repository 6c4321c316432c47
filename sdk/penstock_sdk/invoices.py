"""Invoices: the sums of a month's cash flows per party and currency, rounded once, as lines that add up.

An invoice has one party, one month and one currency: amounts of two currencies are never netted. Lines are per book,
kind of cash flow and zone. The total is rounded to the minor unit; what rounding leaves over is given to the lines it
came from.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from penstock_sdk.energy.money import round_lines
from penstock_sdk.energy.settlement import month_of
from penstock_sdk.events import CashKind, InvoiceLine
from penstock_sdk.schema import ABSENT

__all__ = ["InvoiceSum", "draw_up", "invoice_month", "invoice_name"]

_BY_VALUE_DAY = (CashKind.FEE, CashKind.VARIATION)
_WORDS = {
    CashKind.TRADE: "trades delivered", CashKind.FEE: "fees", CashKind.VARIATION: "variation of futures",
    CashKind.SWAP: "swaps settled", CashKind.IMBALANCE: "imbalance",
}  # fmt: skip


class InvoiceSum(NamedTuple):
    """What one line is drawn from."""

    party: str
    month: str
    currency: str
    book: str
    kind: CashKind
    zone: str
    """The zone or hub; empty where there is none."""
    unit: str
    """What is delivered there: MWh, or t of carbon."""
    amount_micro: int
    """Received positive, in 10⁻⁶ of the currency."""
    energy_wh: int
    """Wh; of carbon g."""


def invoice_name(party: str, month: str, currency: str) -> str:
    """Return an invoice's name, as "ECC 2026-03 EUR"."""
    return f"{party} {month} {currency}"


def invoice_month(kind: int, value_day: int, delivery_start_ns: int, timezone: str, day_starts_hour: int = 0) -> str:
    """Return the month in which a cash flow is invoiced, as "2026-03".

    Trades, swaps and imbalance belong to the month of their local delivery day; fees and variation to that of payment.

    Args:
        kind: a `CashKind`.
        value_day: ``date.toordinal()``.
        delivery_start_ns: ns UTC; ABSENT where nothing is delivered.
        timezone: the delivery zone's.
        day_starts_hour: local hour at which its delivery days begin: 6 of gas.
    """
    if kind in _BY_VALUE_DAY or delivery_start_ns == ABSENT:
        return f"{date.fromordinal(value_day):%Y-%m}"
    return month_of(delivery_start_ns, timezone, day_starts_hour)


def draw_up(sums: Iterable[InvoiceSum], *, version: int, final: bool) -> list[InvoiceLine]:
    """Return the lines of one invoice, by book, kind and zone.

    Args:
        sums: of one party, month and currency; one per book, kind and zone.
        version: counts the times that this invoice was drawn up.
        final: whether nothing more can change it.

    Raises:
        EnergyError: the currency is unknown.
        ValueError: the sums are not of one invoice.
    """
    rows = sorted(sums, key=lambda row: (row.book, row.kind, row.zone))
    names = {invoice_name(row.party, row.month, row.currency) for row in rows}
    if len(names) > 1:
        raise ValueError(f"one invoice met the sums of {', '.join(sorted(names))}; draw up each by itself")
    if not rows:
        return []
    minor = round_lines([row.amount_micro for row in rows], rows[0].currency)
    return [
        InvoiceLine(
            invoice=invoice_name(row.party, row.month, row.currency), line=number, counterparty=row.party,
            book=row.book, kind=row.kind.name.lower(), text=_text(row), zone=row.zone, month=row.month,
            currency=row.currency, energy_wh=row.energy_wh, exact_micro=row.amount_micro, amount_minor=amount,
            version=version, final=final,
        )
        for number, (row, amount) in enumerate(zip(rows, minor, strict=True), 1)
    ]  # fmt: skip


def _text(row: InvoiceSum) -> str:
    """Return what a line is for; a future's variation pays for no energy of its own."""
    amount = f"{row.energy_wh / 1e6:,.3f} {row.unit}" if row.energy_wh else ""
    return ", ".join(part for part in (_WORDS[row.kind], row.zone, amount) if part)
