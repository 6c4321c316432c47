"""Contracts by name, by day and by cascade: what is delivered, where and when, from when until when it trades.

A contract is the thing positions are kept in; `ListingTerms` are what a venue adds (tick, lot, price limits).
Names round trip: `parse_contract(contract.name) == contract`.

>>> parse_contract("DE-LU Q 2026-Q2").cascades_into
('DE-LU M 2026-04', 'DE-LU M 2026-05', 'DE-LU M 2026-06')
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from fractions import Fraction

from penstock_sdk.energy.adjusted import adjusted
from penstock_sdk.energy.carbon import CARBON_PRODUCTS, carbon_contract, carbon_day
from penstock_sdk.energy.contract_types import NO_LIMIT_TICKS, Contract, ListingTerms, UnknownLimitsError
from penstock_sdk.energy.delivery import PRODUCT_MINUTES, DeliveryPeriod, intervals, parse_period
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.localtime import NS_PER_HOUR, ns_to_local
from penstock_sdk.energy.money import price_currency
from penstock_sdk.energy.products import is_auction, product_row
from penstock_sdk.energy.rule_rows import LimitRow, MarketZone, ProductRow
from penstock_sdk.energy.rules import Reference, builtin_reference, stretches_in_words
from penstock_sdk.energy.sessions import TradingTimes, delivery_days, trading_times
from penstock_sdk.energy.strip_names import cascade_names, shape_of
from penstock_sdk.energy.zones import market_zone

__all__ = [
    "Contract",
    "ListingTerms",
    "UnknownLimitsError",
    "cascade",
    "day_contracts",
    "listing_terms",
    "parse_contract",
    "period_contract",
]

_DAY_PRODUCTS = ("QH", "H")


def parse_contract(name: str, reference: Reference | None = None) -> Contract:
    """Return the contract of that canonical name.

    Args:
        name: zone first: "DE-LU QH 2025-10-26 02:15B", "TTF M 2026-04", "DE-LU DA QH 2026-03-10 13:15".
        reference: whose rules and calendars; None: the built-in rules, without calendars.

    Raises:
        EnergyError: no zone or no period of that name, or a product that is not listed there; the message says which.
    """
    known = reference or builtin_reference()
    code, _, rest = name.partition(" ")
    place = market_zone(code, None, known)
    product = rest.partition(" ")[0]
    if product in CARBON_PRODUCTS:
        return carbon_contract(place, product_row(place, product, carbon_day(rest), known), rest, known)
    period_name = rest.partition(" ")[2] if is_auction(place, product, known) else rest
    period = parse_period(place, period_name, known)
    day = delivery_days(place, period)[0]
    if not place.holds_on(day):  # the zone was another then, or none
        place = market_zone(code, day, known)
        period = parse_period(place, period_name, known)
        day = delivery_days(place, period)[0]
    return _of_period(place, product, period, day, known)


def period_contract(
    zone: MarketZone | str, product: str, period: DeliveryPeriod, reference: Reference | None = None
) -> Contract:
    """Return the contract of a product of a zone over a delivery period that is at hand.

    Raises:
        EnergyError: the product is not listed there, or has other periods.
    """
    known = reference or builtin_reference()
    place = market_zone(zone, None, known)
    return _of_period(place, product, period, delivery_days(place, period)[0], known)


def _of_period(zone: MarketZone, product: str, period: DeliveryPeriod, day: date, known: Reference) -> Contract:
    row = product_row(zone, product, day, known)
    _check_period(row, zone, period, day)
    period = adjusted(row, zone, period, known)
    return _contract(zone, row, period, trading_times(zone, row, day, period, known))


def _check_period(row: ProductRow, zone: MarketZone, period: DeliveryPeriod, day: date) -> None:
    """Raise unless the product has periods such as this one."""
    shape = shape_of(period.name)
    if row.interval:
        word = period.name.partition(" ")[0]
        hour = ns_to_local(period.start_ns, zone.timezone).hour
        if word != row.interval or hour < row.from_hour:
            since = f" from {row.from_hour:02}:00 on" if row.from_hour else ""
            raise EnergyError(
                f"{row.product} of {zone.code} for {day} has intervals of product {row.interval}{since}, "
                f"not {period.name!r}"
            )
    elif shape and shape not in row.shapes:
        raise EnergyError(
            f"product {row.product!r} of {zone.code} is not traded as {shape}; "
            f"wanted base load{''.join(f', {each}' for each in row.shapes)}"
        )


def _contract(zone: MarketZone, row: ProductRow, period: DeliveryPeriod, times: TradingTimes) -> Contract:
    """Return the contract of that product over that period."""
    auction = f"{row.product} " if row.interval else ""
    return Contract(
        name=f"{zone.code} {auction}{period.name}",
        zone=zone.code,
        product=row.product,
        delivery=period,
        opens_ns=times.opens_ns,
        gate_closure_ns=times.gate_closure_ns,
        currency=zone.currency,
        market=row.market,
        commodity=zone.commodity,
        price_unit=row.price_unit.replace("{currency}", zone.currency),
        qty_unit=row.qty_unit,
        settlement=row.settlement,
        payment=row.payment,
        last_trading_day=times.last_trading_day,
        last_trading_rule=times.rule,
        cascades_into=cascade_names(zone.code, period.name, row.cascade) if row.cascade else (),
    )


def day_contracts(
    zone: MarketZone | str,
    day: date,
    products: Sequence[str] = _DAY_PRODUCTS,
    reference: Reference | None = None,
) -> tuple[Contract, ...]:
    """Return every contract of a delivery day, product by product as asked, each in time order.

    Args:
        zone: a zone or its code.
        day: the local delivery date.
        products: of what has intervals ("QH", "H", "HH", "5M") and auctions of them ("DA", "IDA1"); a usual day has
            96 quarter-hours and 24 hours.
        reference: whose rules; None: the built-in ones.

    Raises:
        EnergyError: an unknown zone or one that does not exist that day, or a product that is not listed there.

    Cost: some 15 µs a contract; `generators.interval_contracts` has whole years.
    """
    known = reference or builtin_reference()
    place = zone if isinstance(zone, MarketZone) else market_zone(zone, day, known)
    listed: list[Contract] = []
    for product in products:
        row = product_row(place, product, day, known)
        minutes = PRODUCT_MINUTES.get(row.interval or product)
        if minutes is None:
            raise EnergyError(f"product {product!r} has no intervals of a day; strip_contracts has what is listed")
        periods = intervals(place, day, minutes)
        # Counted from the end of the day: clocks change before noon.
        from_ns = periods[-1].end_ns - (24 - row.from_hour) * NS_PER_HOUR if row.from_hour else periods[0].start_ns
        listed.extend(
            _contract(place, row, period, trading_times(place, row, day, period, known))
            for period in periods
            if period.start_ns >= from_ns
        )
    return tuple(listed)


def cascade(contract: Contract, reference: Reference | None = None) -> tuple[Contract, ...]:
    """Return the contracts that take a contract's place after its last trading day; none where it is delivered itself.

    A power year becomes three months and three quarters, a quarter three months; strips of gas become their months.
    The parts deliver what the whole did, interval by interval.
    """
    return tuple(parse_contract(name, reference) for name in contract.cascades_into)


def listing_terms(
    listed: Contract | MarketZone | str,
    day: date | None = None,
    reference: Reference | None = None,
    *,
    limits: bool = True,
) -> ListingTerms:
    """Return the terms on which a contract trades, or the usual ones of a zone's hours on delivery *day*.

    Args:
        listed: a contract; or a zone, for tick 0.01, lot 0.1 MW and the price limits of its continuous market.
        day: the delivery day on which limits are looked up; of a contract, by default its own first one.
        reference: whose rules; None: the built-in ones.
        limits: False: without price limits, for who does not trade by them.

    Limits are dated facts: ±9,999 in Europe; in Australia -1,000 up to a cap that changes every 1 July.

    Raises:
        UnknownLimitsError: those of a market that has some are not known on that day; says which row to bring.
        EnergyError: as `product_row`.
    """
    known = reference or builtin_reference()
    if isinstance(listed, Contract):
        place = market_zone(listed.zone, None, known)
        on = day or _day_of(listed, place)
        return _terms(product_row(place, listed.product, on, known), place, on, known, limits)
    if day is None:
        raise EnergyError(f"listing_terms of zone {listed!r} wants the delivery day")
    place = listed if isinstance(listed, MarketZone) else market_zone(listed, None, known)
    return _terms(product_row(place, "H", day, known), place, day, known, limits)


def _day_of(contract: Contract, place: MarketZone) -> date:
    """Return the day on which a contract's product is looked up."""
    if contract.product in CARBON_PRODUCTS:
        return carbon_day(contract.delivery.name)
    return delivery_days(place, contract.delivery)[0]


def _terms(row: ProductRow, place: MarketZone, day: date, known: Reference, limited: bool) -> ListingTerms:
    low, high = -NO_LIMIT_TICKS, NO_LIMIT_TICKS
    limits: tuple[LimitRow, ...] = known.rules.rows("limits", market=row.market) if limited else ()
    if limits:
        held = [limit for limit in limits if limit.holds_on(day)]
        if not held:
            raise UnknownLimitsError(row.market, day, " and ".join(stretches_in_words(limits)))
        # Limits are in the unit of the prices, pence where those are; ticks are of the major currency.
        _, minors = price_currency(held[0].price_unit.partition("/")[0])
        step = Fraction(row.tick_micro * minors, 1_000_000)
        # Inside the limits: a limit that is off the grid moves to the next tick within.
        low, high = -int(-Fraction(held[0].price_min) // step), int(Fraction(held[0].price_max) // step)
    return ListingTerms(row.tick_micro, row.lot_kw, low, high, row.lots_min, row.lots_max)
