"""A contract as facts and as lines for people: what ``penstock contract`` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from penstock_sdk.energy.aliases import aliases
from penstock_sdk.energy.calendar_periods import CALENDAR_PERIODS
from penstock_sdk.energy.contract_types import NO_LIMIT_TICKS
from penstock_sdk.energy.contracts import Contract, ListingTerms, UnknownLimitsError, day_contracts, listing_terms
from penstock_sdk.energy.delivery import DeliveryPeriod, days, delivery_date, delivery_day
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.expiry import rule_words
from penstock_sdk.energy.generators import strip_contracts
from penstock_sdk.energy.intervals import first_instant_ns
from penstock_sdk.energy.localtime import day_start_ns, ns_to_local
from penstock_sdk.energy.money import price_currency
from penstock_sdk.energy.products import product_row, products_of
from penstock_sdk.energy.rule_rows import MarketZone
from penstock_sdk.energy.rules import Reference
from penstock_sdk.energy.segments import cash_micro_per_lot_tick, energy_wh, grid_span, segments
from penstock_sdk.energy.sessions import delivery_days, known_last_trading_day
from penstock_sdk.energy.units import lots_to_mw, ticks_to_price
from penstock_sdk.energy.zones import market_zone

__all__ = ["contract_facts", "contract_lines", "list_lines", "listed_facts"]

_SHOWN_WHOLE = 32
_HEAD = 6
_WIDTH = 16
_MICRO = 1_000_000
_PAYMENT = {
    "spot": "spot: by the clearing house, on the next business day where traded before 16:00 CET, else the one after",
    "variation": "variation: each business day's gain or loss, up to the last trading day",
    "monthly": "monthly: by invoice, on the 20th of the month after delivery",
}


def contract_facts(
    contract: Contract, on: date | None, reference: Reference, *, every_interval: bool = False
) -> dict[str, Any]:
    """Return all that is known of a contract, as plain values: names carry units, exact numbers are text.

    Args:
        contract: any.
        on: the delivery day whose limits and aliases hold; None: the contract's own first one.
        reference: whose rules and calendars.
        every_interval: all intervals of delivery, and not the first and last few of many.
    """
    zone = market_zone(contract.zone, None, reference)
    zone = market_zone(contract.zone, delivery_date(zone, contract.delivery.start_ns), reference)
    unknown = ""
    try:
        terms = listing_terms(contract, on, reference)
    except UnknownLimitsError as error:  # all else is known
        terms = listing_terms(contract, on, reference, limits=False)
        unknown = f"not known; they are {error.days}: bring a row of limits, by --rules FILE or the plugin refdata"
    energy = energy_wh(contract, terms, reference)
    facts: dict[str, Any] = {
        "name": contract.name,
        "zone": _zone_facts(zone),
        "market": contract.market,
        "product": contract.product,
        "commodity": contract.commodity,
        "settlement": contract.settlement,
        "currency": contract.currency,
        "delivery": _delivery_facts(contract, zone, reference),
        "energy_mwh_per_lot": _number(energy, _MICRO),
        "energy_mwh_per_mw": _number(contract.delivery.minutes, 60) if contract.qty_unit == "MW" else None,
        **_grid_facts(contract, terms, reference),
        "price_limits_fault": unknown,
        "opens": _moment(contract.opens_ns, zone.timezone),
        "gate": _moment(contract.gate_closure_ns, zone.timezone),
        "session": _session(contract, zone, reference),
        "last_trading_day": contract.last_trading_day,
        "last_trading_rule": _rule(contract),
        "last_trading_fault": _last_day_fault(contract, reference),
        "payment": contract.payment,
        "cascades_into": list(contract.cascades_into),
        "aliases": aliases(contract, on, reference),
    }
    rows = _grid_rows(contract, zone, terms, reference)
    if not every_interval and len(rows) > _SHOWN_WHOLE:
        rows = rows[:_HEAD] + rows[-_HEAD:]
    facts["intervals"] = [
        {"from": _moment(row[0], zone.timezone), "to": _moment(row[1], zone.timezone), "amount_per_lot": row[2]}
        for row in rows
    ]
    facts["grid_unit"] = zone.grid_unit
    return facts


def _zone_facts(zone: MarketZone) -> dict[str, Any]:
    return {"code": zone.code, "name": zone.name, "kind": zone.kind, "timezone": zone.timezone, "eic": zone.eic}


def _delivered_days(zone: MarketZone, period: DeliveryPeriod, reference: Reference) -> Iterator[DeliveryPeriod]:
    """Yield the days of a contract's delivery; of one adjusted for holidays they are not those of its name."""
    if period.name.count(" ") > 1:  # a shape: its hours of each day
        yield from days(zone, period, reference)
        return
    for start_ns, end_ns in period.spans:
        while start_ns < end_ns:
            day = delivery_day(zone, delivery_date(zone, start_ns))
            yield day
            start_ns = day.end_ns


def _delivery_facts(contract: Contract, zone: MarketZone, reference: Reference) -> dict[str, Any]:
    """Return when a contract is delivered, and in how many intervals and hours."""
    period, span = contract.delivery, grid_span(contract, reference)
    lengths: Counter[str] = Counter()
    if period.name.partition(" ")[0] in CALENDAR_PERIODS:
        lengths.update(_hours(day.minutes) for day in _delivered_days(zone, period, reference))
    return {
        "start": _moment(period.start_ns, zone.timezone),
        "end": _moment(period.end_ns, zone.timezone),
        "hours": _hours(period.minutes),
        "intervals": span.interval_count,
        "interval_minutes": zone.interval_minutes,
        "stretches": len(period.spans),
        "days_by_hours": dict(sorted(lengths.items())),
        "day_starts_hour": zone.day_starts_hour,
    }


def _grid_facts(contract: Contract, terms: ListingTerms, reference: Reference) -> dict[str, Any]:
    """Return tick, lot, limits and what a tick is worth."""
    money = cash_micro_per_lot_tick(contract, terms, reference)
    free = abs(terms.price_min_ticks) == terms.price_max_ticks == NO_LIMIT_TICKS
    return {
        "price_unit": contract.price_unit,
        "qty_unit": contract.qty_unit,
        "tick": _price(1, contract, terms),
        "lot": str(lots_to_mw(1, terms.lot_kw).normalize().__format__("f")),
        "lots_min": terms.lots_min,
        "lots_max": terms.lots_max or None,
        "price_min": None if free else _price(terms.price_min_ticks, contract, terms),
        "price_max": None if free else _price(terms.price_max_ticks, contract, terms),
        "tick_value_per_lot": _number(money, _MICRO),
    }


def _price(ticks: int, contract: Contract, terms: ListingTerms) -> str:
    """Return a price in the contract's price unit; ticks are of the major currency, and pence are hundredths."""
    _, minor = price_currency(contract.price_unit.partition("/")[0])
    return f"{(ticks_to_price(ticks, terms.tick_micro) * minor).normalize():f}"


def _number(whole: int, parts: int) -> str:
    """Return whole ÷ parts as a decimal without trailing zeros; exact for the parts used here, or to six places."""
    return f"{whole // parts}" if whole % parts == 0 else f"{whole / parts:.6f}".rstrip("0")


def _hours(minutes: int) -> str:
    return _number(minutes, 60)


def _moment(at_ns: int, timezone: str) -> dict[str, str]:
    """Return an instant in local time and UTC."""
    local, utc = ns_to_local(at_ns, timezone), ns_to_local(at_ns, "UTC")
    return {"local": f"{local:%Y-%m-%d %H:%M %z}", "utc": f"{utc:%Y-%m-%d %H:%M}"}


def _session(contract: Contract, zone: MarketZone, reference: Reference) -> str:
    """Return the hours of a trading day, "08:00-18:00 Europe/Amsterdam"; empty where trading does not rest."""
    if contract.commodity == "carbon":
        day = (contract.last_trading_day or date.min).replace(day=1)
    else:
        day = delivery_days(zone, contract.delivery)[0]
    row = product_row(zone, contract.product, day, reference)
    return f"{row.session} {row.clock or zone.timezone}" if row.session else ""


def _rule(contract: Contract) -> str:
    rule, _, calendar = contract.last_trading_rule.rpartition(" ")
    return rule_words(rule, calendar) if rule else ""


def _last_day_fault(contract: Contract, reference: Reference) -> str:
    """Return why a last trading day is not known; empty where it is, or there is none."""
    if not contract.last_trading_rule or contract.last_trading_day:
        return ""
    try:
        known_last_trading_day(contract, reference)
    except EnergyError as error:
        return str(error)
    return ""


def _grid_rows(
    contract: Contract, zone: MarketZone, terms: ListingTerms, reference: Reference
) -> list[tuple[int, int, int]]:
    """Return start, end (ns UTC) and a lot's amount of each interval of the position grid that is delivered in."""
    step_ns = grid_span(contract, reference).interval_ns
    rows: list[tuple[int, int, int]] = []
    for start_ns, count, amount in segments(contract, terms, reference):
        if zone.interval_minutes == 1_440:
            day = delivery_date(zone, start_ns)
            edges = [first_instant_ns(zone, day + timedelta(days=at)) for at in range(count + 1)]
        else:
            edges = [start_ns + at * step_ns for at in range(count + 1)]
        rows += [(from_ns, to_ns, amount) for from_ns, to_ns in pairwise(edges)]
    return rows


def contract_lines(facts: dict[str, Any]) -> Iterator[str]:
    """Yield what `contract_facts` says, line by line."""
    zone, delivery = facts["zone"], facts["delivery"]
    yield facts["name"]
    named = f", {zone['name']}" if zone["name"] else ""
    eic = f", EIC {zone['eic']}" if zone["eic"] else ""
    yield _line("zone", f"{zone['code']}{named} ({zone['kind'].replace('_', ' ')}, {zone['timezone']}{eic})")
    yield _line("market", f"{facts['market']}, {facts['commodity']}, {facts['settlement']} settlement")
    yield _line("delivery", f"{delivery['start']['local']} to {delivery['end']['local']} local")
    yield _line("", f"{delivery['start']['utc']} to {delivery['end']['utc']} UTC")
    yield _line("", _how_long(delivery))
    yield from _energy_lines(facts)
    unit, qty = facts["price_unit"], facts["qty_unit"]
    yield _line("tick", f"{facts['tick']} {unit}; {facts['tick_value_per_lot']} {facts['currency']} a lot")
    largest = f", largest {_lots(facts['lots_max'])}" if facts["lots_max"] else ""
    yield _line("lot", f"{facts['lot']} {qty}; smallest order {_lots(facts['lots_min'])}{largest}")
    limits = "none" if facts["price_min"] is None else f"{facts['price_min']} to {facts['price_max']} {unit}"
    yield _line("price limits", facts["price_limits_fault"] or limits)
    yield _line("opens", f"{facts['opens']['local']} ({facts['opens']['utc']} UTC)")
    if facts["session"]:
        yield _line("session", facts["session"])
    if facts["last_trading_fault"]:
        yield _line("gate", "not known without the last trading day")
    else:
        yield _line("gate", f"{facts['gate']['local']} ({facts['gate']['utc']} UTC)")
    if facts["last_trading_rule"]:
        day = facts["last_trading_day"] or "not known"
        yield _line("last trading", f"{day}: {facts['last_trading_rule']}")
    if facts["last_trading_fault"]:
        yield _line("", facts["last_trading_fault"])
    yield _line("payment", _PAYMENT.get(facts["payment"], facts["payment"]))
    if facts["cascades_into"]:
        yield _line("cascades into", ", ".join(facts["cascades_into"]))
    for at, (venue, alias) in enumerate(facts["aliases"].items()):
        yield _line("" if at else "aliases", f"{venue}: {alias}")
    yield from _interval_lines(facts)


def _lots(count: int) -> str:
    return f"{count} lot{'s' if count != 1 else ''}"


def _line(label: str, text: str) -> str:
    return f"  {label:<{_WIDTH}}{text}"


def _how_long(delivery: dict[str, Any]) -> str:
    """Return the length of a delivery in words."""
    minutes = delivery["interval_minutes"]
    each = "delivery days" if minutes == 1_440 else f"intervals of {minutes} minutes"
    count = delivery["intervals"]
    text = f"{delivery['hours']} h in {count} {each if count != 1 else each.replace('days', 'day').replace('ls', 'l')}"
    if delivery["stretches"] > 1:
        text += f", {delivery['stretches']} stretches"
    if delivery["days_by_hours"]:
        found = ", ".join(f"{count} of {hours} h" for hours, count in delivery["days_by_hours"].items())
        text += f"; days: {found}"
    return text + (f", from {delivery['day_starts_hour']:02}:00" if delivery["day_starts_hour"] else "")


def _energy_lines(facts: dict[str, Any]) -> Iterator[str]:
    if facts["commodity"] == "carbon":
        yield _line("quantity", f"{facts['lot']} {facts['qty_unit']} a lot")
    else:
        per_mw = f", {facts['energy_mwh_per_mw']} MWh a MW" if facts["energy_mwh_per_mw"] else ""
        yield _line("energy", f"{facts['energy_mwh_per_lot']} MWh a lot{per_mw}")


def _interval_lines(facts: dict[str, Any]) -> Iterator[str]:
    """Yield the table of intervals; of many the first and the last."""
    rows, count = facts["intervals"], facts["delivery"]["intervals"]
    yield _line("intervals", f"{'local':<50}{'UTC':<38}a lot")
    for at, row in enumerate(rows):
        if len(rows) < count and at == _HEAD:
            yield _line("", f"… {count - len(rows)} more; --intervals prints all {count}")
        local, utc = (f"{row['from'][clock]} to {row['to'][clock]}" for clock in ("local", "utc"))
        yield _line("", f"{local:<50}{utc:<38}{row['amount_per_lot']} {facts['grid_unit']}")


def listed_facts(code: str, on: date, reference: Reference) -> dict[str, Any]:
    """Return what is listed in a zone on a trading day: strips by name, interval products by delivery day."""
    zone = market_zone(code, on, reference)
    strips = strip_contracts(zone, on, reference)
    day_ns = day_start_ns(on, zone.timezone), day_start_ns(on + timedelta(days=1), zone.timezone)
    intervals = []
    for product in products_of(zone, on, reference):
        for ahead in range(15):
            day = on + timedelta(days=ahead)
            try:
                found = day_contracts(zone, day, (product,), reference)
            except EnergyError:
                break  # it has no intervals of a day, or is no longer listed
            held = [each for each in found if each.opens_ns < day_ns[1] and each.gate_closure_ns > day_ns[0]]
            if held:
                intervals.append(
                    {
                        "product": product, "market": held[0].market, "delivery_day": day, "count": len(held),
                        "first": held[0].name, "last": held[-1].name,
                    }
                )  # fmt: skip
    return {
        "zone": zone.code,
        "on": on,
        "strips": [
            {
                "name": each.name, "product": each.product, "market": each.market,
                "last_trading_day": each.last_trading_day, "aliases": aliases(each, None, reference),
            }
            for each in strips
        ],
        "intervals": intervals,
    }  # fmt: skip


def list_lines(facts: dict[str, Any]) -> Iterator[str]:
    """Yield what `listed_facts` says, line by line."""
    strips, intervals = facts["strips"], facts["intervals"]
    total = len(strips) + sum(row["count"] for row in intervals)
    yield f"{facts['zone']} on {facts['on']}: {total} contracts are listed"
    for product in dict.fromkeys(row["product"] for row in intervals):
        rows = [row for row in intervals if row["product"] == product]
        days = " to ".join(dict.fromkeys(str(row["delivery_day"]) for row in (rows[0], rows[-1])))
        count = sum(row["count"] for row in rows)
        held = f"{rows[0]['market']:<12}{count} for {days}, as {rows[0]['first']}"
        yield f"  {product:<28}{held}"
    for row in strips:
        last = f"to {row['last_trading_day']}" if row["last_trading_day"] else ""
        called = ", ".join(f"{venue}: {alias}" for venue, alias in row["aliases"].items())
        yield f"  {row['name']:<28}{row['market']:<12}{last:<16}{called}".rstrip()
    if not total:
        yield "  nothing: the market is shut that day, or its products have no rows of reference data"
