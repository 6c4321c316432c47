"""What a trade costs: the rows of the table ``fees`` that hold on its trading day, or else one fee per MWh.

The rows of a listing are those of its venue's name; where there are none, those of the one market that lists its
product in its zone and has some. Of rows of a kind the product's own comes before the one for ``*``; kinds add up. The
trading day is the local date, in the listing's zone, at which the trade was made.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple

from penstock_sdk.energy.localtime import day_start_ns, ns_to_local
from penstock_sdk.energy.rules import FeeRow, Rules
from penstock_sdk.events import TradeSource
from penstock_sdk.golden.positions_layout import FEE_PARTS
from penstock_sdk.instruments import Instrument

__all__ = ["Tariff", "next_day_ns", "outside_fallback", "tariff", "trading_day"]


class Tariff(NamedTuple):
    """What a fill costs."""

    parts_per_lot: int = 0
    """1/60,000 of 10⁻⁶ of the currency (`FEE_PARTS`)."""
    micro_per_trade: int = 0
    other_currencies: tuple[str, ...] = ()
    """Currencies of rows that were left out: they cannot be charged on a listing in another."""

    def given_back(self) -> Tariff:
        """Return what taking such a fill back costs: its fee the other way."""
        return Tariff(-self.parts_per_lot, -self.micro_per_trade, self.other_currencies)


def trading_day(at_ns: int, timezone: str) -> date:
    """Return the local date at a time."""
    return ns_to_local(at_ns, timezone).date()


def outside_fallback(source: int, counterparty_id: int, micro_per_mwh: int) -> int:
    """Return the fee per MWh where no row holds, of a trade from outside: none of a bilateral one or its correction.

    Args:
        source: a `TradeSource`.
        counterparty_id: 0 is a clearing house.
        micro_per_mwh: what a cleared trade costs.
    """
    bilateral = source == TradeSource.OTC or (source == TradeSource.CORRECTION and counterparty_id)
    return 0 if bilateral else micro_per_mwh


def next_day_ns(at_ns: int, timezone: str) -> int:
    """Return when the next local day begins, ns UTC."""
    return day_start_ns(trading_day(at_ns, timezone) + timedelta(days=1), timezone)


def tariff(
    rules: Rules, listed: Instrument, venue: str, currency: str, day: date, *, fallback_micro_per_mwh: int
) -> Tariff:
    """Return what trading a listing costs on a day.

    Args:
        venue: name of the plugin where it is listed.
        currency: of the listing; rows in another are left out.
        fallback_micro_per_mwh: where no row holds, of what is listed at a venue here; what is not is charged by rows
            alone, since a figure in one currency says nothing of another's markets.
    """
    rows = _rows(rules, listed, venue, day)
    if not rows:
        return Tariff(fallback_micro_per_mwh * listed.fee_parts_per_lot if listed.venue_id else 0)
    parts = trade = 0
    others = []
    for row in rows:
        if row.currency != currency:
            others.append(row.currency)
            continue
        parts += row.micro_per_mwh * listed.fee_parts_per_lot + row.micro_per_lot * FEE_PARTS
        trade += row.micro_per_trade
    return Tariff(parts, trade, tuple(others))


def _rows(rules: Rules, listed: Instrument, venue: str, day: date) -> list[FeeRow]:
    found = _rows_of(rules, venue, listed.product, day)
    if found:
        return found
    markets = {row.market for row in rules.rows("products", on=day, product=listed.product) if listed.zone in row.zones}
    charged = [rows for market in sorted(markets) if (rows := _rows_of(rules, market, listed.product, day))]
    return charged[0] if len(charged) == 1 else []


def _rows_of(rules: Rules, market: str, product: str, day: date) -> list[FeeRow]:
    """Return a market's rows, one of each kind."""
    of_kind: dict[str, FeeRow] = {}
    for row in rules.rows("fees", on=day, market=market):
        if row.product == product or (row.product == "*" and row.kind not in of_kind):
            of_kind[row.kind] = row
    return [of_kind[kind] for kind in sorted(of_kind)]
