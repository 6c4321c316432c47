"""What two parties agree on, as validated, and how it lies on the position grid of its zone."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import msgspec

from penstock_sdk.energy.calendars import Calendars
from penstock_sdk.energy.deal_grid import DAY_MINUTES, Priced, Segment, amounts, energy, grid_of, priced
from penstock_sdk.energy.delivery import parse_period
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.localtime import NS_PER_HOUR, NS_PER_MINUTE
from penstock_sdk.energy.money import price_currency
from penstock_sdk.energy.outside_cells import instant_ns
from penstock_sdk.energy.row_files import CellError
from penstock_sdk.energy.rules import Reference, Rules, builtin_reference
from penstock_sdk.energy.zones import MarketZone, market_zone

__all__ = ["DEAL_COLUMNS", "DealTerms", "LaidOut", "laid_out", "spans_of", "zone_named"]


class DealTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What was agreed, as validated: every number an exact decimal text, every time ISO in UTC.

    Attributes:
        deal_id: the parties' own; never used twice.
        counterparty: with whom; one of those that are known.
        book: the trading book that owns the position.
        trader: who agreed it.
        side: buy or sell, ours.
        kind: forward or swap.
        zone: where it is delivered, or whose price it floats on.
        price: of the whole deal, in ``price_unit``.
        price_unit: currency per unit of energy: EUR/MWh, GBp/therm.
        currency: the major currency that is paid.
        traded: when it was agreed.
        delivery: canonical name of the period; empty where there is a shape.
        quantity: in ``unit``; empty where there is a shape.
        unit: of the quantity or of the shape's amounts: MW; MWh for a total; MWh/d; therm/d …
        shape: (start, end, quantity) of each stretch, in order and apart.
        index: what a swap's floating leg follows.
        settlement: physical or cash, as the kind has it.
        payment: monthly: the 20th of the month after delivery.
        captured_by, confirmed_by: the two pairs of eyes, where a file tells of both.
    """

    deal_id: str
    counterparty: str
    book: str
    trader: str
    side: str
    kind: str
    zone: str
    price: str
    price_unit: str
    currency: str
    traded: str
    delivery: str = ""
    quantity: str = ""
    unit: str = ""
    shape: tuple[tuple[str, str, str], ...] = ()
    index: str = ""
    settlement: str = "physical"
    payment: str = "monthly"
    captured_by: str = ""
    confirmed_by: str = ""

    @property
    def traded_ns(self) -> int:
        """When it was agreed, ns UTC."""
        return instant_ns("traded", self.traded)

    def same_deal(self, other: DealTerms) -> bool:
        """Return whether both say the same but for who entered it."""
        nobody = {"captured_by": "", "confirmed_by": ""}
        return msgspec.structs.replace(self, **nobody) == msgspec.structs.replace(other, **nobody)


DEAL_COLUMNS = DealTerms.__struct_fields__
"""Every column of a file of deals."""


class LaidOut(NamedTuple):
    """A deal on the position grid of its zone, one lot of it.

    Attributes:
        zone: where.
        spans: [start, end) of each stretch, ns UTC.
        segments: (start_ns, intervals, amount in each), in the zone's grid unit.
        lot_kw: the deal in thousandths of ``qty_unit``; of a shape its largest amount.
        energy: all of it, in what the price is per, exactly.
        price: in ticks that keep the money whole.
        interval_ns: the grid's step; of a daily grid 24 hours, whatever the day has.
    """

    zone: MarketZone
    spans: tuple[tuple[int, int], ...]
    segments: list[Segment]
    lot_kw: int
    qty_unit: str
    energy: Fraction
    price: Priced
    interval_ns: int

    @property
    def intervals(self) -> int:
        """Grid steps from the first to the last of the delivery; days on a daily grid."""
        if self.zone.interval_minutes == DAY_MINUTES:
            first, last = self.spans[0][0], self.spans[-1][1]
            return round((last - first) / (24 * NS_PER_HOUR))  # an hour more or less is the clock's change
        return (self.spans[-1][1] - self.spans[0][0]) // self.interval_ns


def laid_out(terms: DealTerms, reference: Reference | None = None) -> LaidOut:
    """Return a deal on its zone's grid.

    Raises:
        CellError: it does not fit there; names the column.
    """
    zone = zone_named(terms.zone, reference)
    if terms.shape:
        spans, segments, lot, qty_unit = _shaped(terms, zone)
    else:
        spans = spans_of(terms, zone, reference)
        segments, lot, qty_unit = amounts(zone, spans, Decimal(terms.quantity), terms.unit)
    total = energy(zone, segments)
    price = priced(Decimal(terms.price), price_currency(terms.price_unit.partition("/")[0])[1], total, terms.price_unit)
    return LaidOut(zone, spans, segments, lot, qty_unit, total, price, zone.interval_minutes * NS_PER_MINUTE)


def zone_named(code: str, reference: Reference | None) -> MarketZone:
    """Return the zone that a deal's cell names.

    Raises:
        CellError: there is none; says which there are.
    """
    try:
        return market_zone(code, None, reference or builtin_reference())
    except EnergyError as error:
        raise CellError("zone", code, str(error), "a zone or hub that the reference data has") from None


def spans_of(terms: DealTerms, zone: MarketZone, reference: Reference | None) -> tuple[tuple[int, int], ...]:
    """Return the stretches of a deal's delivery period.

    Raises:
        CellError: its name is none of a period.
    """
    try:
        return _spans(zone, terms.delivery, (reference or builtin_reference()).rules)
    except EnergyError as error:
        wanted = "a period's canonical name, as 'M 2026-03' or 'D 2026-03-10'"
        raise CellError("delivery", terms.delivery, str(error), wanted) from None


@lru_cache(1_024)
def _spans(zone: MarketZone, name: str, rules: Rules) -> tuple[tuple[int, int], ...]:
    """Return when a period is; a desk deals the same few again and again."""
    return parse_period(zone.code, name, Reference(rules, Calendars())).spans  # by code: it must be a zone then


def _shaped(terms: DealTerms, zone: MarketZone) -> tuple[tuple[tuple[int, int], ...], list[Segment], int, str]:
    """Return (spans, segments, largest lot, quantity unit) of a shape."""
    if terms.unit not in grid_of(zone).rates:
        known = ", ".join(grid_of(zone).rates) or "none here; give delivery and quantity"
        raise CellError("unit", terms.unit, "a shape's amounts hold in every interval", f"one of {known}")
    segments: list[Segment] = []
    spans: list[tuple[int, int]] = []
    largest, qty_unit = 0, ""
    for start, end, quantity in terms.shape:
        span = instant_ns("shape", start), instant_ns("shape", end)
        found, lot, qty_unit = amounts(zone, (span,), Decimal(quantity), terms.unit, "shape")
        segments += found
        largest = max(largest, lot)
        if spans and spans[-1][1] == span[0]:
            spans[-1] = (spans[-1][0], span[1])
        else:
            spans.append(span)
    return tuple(spans), segments, largest, qty_unit
