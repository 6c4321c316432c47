"""What the exchange trades on one delivery day, and how: its config, its listings, the tables that follow from both."""

# ruff: noqa: F403, F405 -- the tables' columns are this module's vocabulary

from __future__ import annotations

import math
from datetime import date
from typing import Annotated, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from penstock_plugins.venues.exchange_layout import *
from penstock_sdk.context import Context
from penstock_sdk.energy.contracts import Contract, ListingTerms, day_contracts, listing_terms, parse_contract
from penstock_sdk.energy.definitions import definitions, zone_definition
from penstock_sdk.energy.delivery import delivery_day
from penstock_sdk.energy.products import product_row
from penstock_sdk.energy.rules import Reference
from penstock_sdk.energy.trading_days import Days
from penstock_sdk.energy.zones import MarketZone, market_zone
from penstock_sdk.events import ContractDefinition, ListingDefinition, ZoneDefinition

__all__ = ["GRID_NS", "DayPlan", "ExchangeConfig", "ExchangeError", "parameters", "plan_day"]

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
GRID_NS = 5 * MINUTE_NS
"""Step of the index grid."""
_BLOCKS = {"BASE": "00:00-24:00", "PEAK": "08:00-20:00"}
"""Local hours of the day's blocks; peak is Monday to Friday, public holidays too."""
_SATURDAY = 5

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]
Product = Literal["QH", "H", "HH", "5M", "BASE", "PEAK"]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]


class ExchangeError(ValueError):
    """The exchange's config does not make a market; the message names the way out."""


class ExchangeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The days that are traded and the traders in the background. Prices in the zone's currency per MWh."""

    zone: str = "DE-LU"
    """Bidding zone code."""
    delivery_day: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}$", examples=["2026-03-10"])] = "2026-03-10"
    """Local delivery date, the first one where there are several."""
    days: Days = 1
    """How many delivery days in a row, or "rolling": each is announced at 14:45 the day before and trades beside the
    one that is delivered. With more than one, each day's background flow follows from the seed and its date alone."""
    products: Annotated[tuple[Product, ...], msgspec.Meta(min_length=1)] = ("QH", "H")
    """Of what the zone's rules list: quarter-hours, hours, half-hours (HH, Britain), five minutes (5M, Australia),
    and blocks whose gate is that of their first delivery: BASE, a day, and PEAK, Monday to Friday 08:00 to 20:00."""
    open_lead_hours: NotNegative = 0.0
    """When above 0, a contract opens at most so long before its gate closes; 0 keeps the market's opening hours."""
    gate_lead_minutes: Annotated[int, msgspec.Meta(ge=0, le=1440)] | None = None
    """How long before delivery trading ends; unset, the zone's own."""
    tick_micro: Annotated[int, msgspec.Meta(gt=0, le=10**9)] | None = None
    """Price step in 10⁻⁶ of the currency per MWh; unset, as the rules have it."""
    lot_kw: Annotated[int, msgspec.Meta(gt=0, le=10**9)] | None = None
    """Quantity step in kW; unset, as the rules have it."""
    price_limit: Annotated[int, msgspec.Meta(gt=0, le=1_000_000)] | None = None
    """Orders are priced within ± this; unset, within the market's limits of the delivery day."""
    qty_max_lots: Annotated[int, msgspec.Meta(gt=0, le=2**40)] = 10_000
    """The largest order taken, where the rules take no smaller one at most."""
    order_capacity: Annotated[int, msgspec.Meta(ge=1_000, le=2**22)] = 16_384
    """How many orders of a delivery day can rest at once; also how many price levels."""
    index_series: str = "price.index"
    """The observed series that the fundamental price follows."""
    price_start: Annotated[float, msgspec.Meta(ge=-1_000_000, le=1_000_000)] = 60.0
    """The fundamental before anything is known."""
    background: bool = True
    """Whether background traders act."""
    orders_per_day: Annotated[int, msgspec.Meta(ge=0, le=20_000_000)] = 300_000
    """How many orders they send on average over the market's full opening hours."""
    step_s: Annotated[float, msgspec.Meta(ge=0.05, le=600)] = 5.0
    """How often they act."""
    activity_floor: Share = 0.15
    """Activity far from the gate, as a share of that just before it."""
    activity_rise_minutes: Positive = 75.0
    """Activity rises towards the gate with this time constant."""
    informed_share: Share = 0.16
    """Share of orders by traders who know the fundamental."""
    noise_share: Share = 0.20
    """Share of orders by traders who take at any time; the rest provides liquidity."""
    makers: Annotated[int, msgspec.Meta(ge=1, le=500)] = 6
    """Liquidity providers; each holds `maker_levels` quotes on either side of every book."""
    maker_levels: Annotated[int, msgspec.Meta(ge=1, le=20)] = 2
    """Quotes of one provider on one side."""
    half_spread: Positive = 0.45
    """A provider's distance from its belief, near delivery; wider far from it."""
    relative_spread: NotNegative = 0.004
    """What is added to it, as a share of the price."""
    price_grid_ticks: Annotated[int, msgspec.Meta(ge=1, le=10**6)] = 5
    """Providers price on multiples of this."""
    belief_lag_s: Positive = 45.0
    """Providers' beliefs follow the fundamental with this time constant."""
    wander_sd: NotNegative = 0.9
    """Standard deviation of what the fundamental does of its own …"""
    wander_minutes: Positive = 25.0
    """… and the time constant in which it comes back."""
    pressure_minutes: Positive = 8.0
    """Noise traders lean to one side for about so long."""
    shock_decay_minutes: Positive = 25.0
    """A momentary deviation of the index moves contracts that deliver within about this time."""
    trend_decay_minutes: Positive = 180.0
    """A lasting deviation moves contracts that deliver within about this time."""
    trend_limit: Positive = 120.0
    """Deviations above it (spikes) add to the lasting one as if they were this large."""

    def __post_init__(self) -> None:
        """Refuse shares that leave nobody to trade with, products told twice, and days without any."""
        if len(set(self.products)) < len(self.products):
            raise ValueError(f"products met {', '.join(self.products)}, wanted each once")
        if set(self.products) == {"PEAK"} and self.days != 1:
            raise ValueError("products met PEAK alone, wanted another beside it: weekends have no peak hours")
        if self.informed_share + self.noise_share > 0.9:
            raise ValueError(
                f"informed_share met {self.informed_share}, wanted at most 0.9 together with noise_share = "
                f"{self.noise_share}; leave a share to those who provide liquidity"
            )


class DayPlan(NamedTuple):
    """The books of the day. Book *b* is row *b* of the tables, and the b-th listing."""

    zone: ZoneDefinition
    contracts: list[ContractDefinition]
    listings: list[ListingDefinition]
    terms: npt.NDArray[np.int64]
    """(books, TERM_WIDTH)."""
    params: npt.NDArray[np.float64]
    """(P_WIDTH,)."""
    grid_start_ns: int
    """Where the index grid begins: two days before delivery does."""
    grid_slots: int
    """Five-minute slots of the grid."""
    hours: int
    """Hours of the delivery day."""
    tick_micro: int
    """Price step of all books."""
    lots_min: int
    """The smallest order taken …"""
    lots_max: int
    """… and the largest."""


def plan_day(ctx: Context, config: ExchangeConfig, day: date, *, told: bool = False) -> DayPlan:
    """Return a delivery day's books, with ids from *ctx*. Ids that are known stay what they are.

    Args:
        ctx: gives the ids, and the rules of the day: sessions, gates, tick, lot and limits.
        config: what is traded, and what differs from the rules.
        day: local delivery date.
        told: the day was announced before (a restart): its listings are those that were told, whatever holds now.

    Raises:
        EnergyError: an unknown zone, a product that is not listed there, a day whose price limits are not known, or
            tick and lot that do not fit.
        ExchangeError: no product, products of different ticks, or a contract that never opens.
    """
    zone = market_zone(config.zone, day, ctx.reference)
    contracts = _contracts(zone, day, config, ctx.reference)
    period = delivery_day(zone, day)
    grid_start_ns = period.start_ns - 48 * HOUR_NS
    announced: list[ContractDefinition] = []
    listings: list[ListingDefinition] = []
    table = np.zeros((len(contracts), TERM_WIDTH), np.int64)
    terms_of: dict[str, ListingTerms] = {}
    for row, contract in zip(table, contracts, strict=True):
        terms = terms_of.get(contract.product)
        if terms is None:
            terms = terms_of[contract.product] = _terms(config, zone, contract, day, ctx.reference)
        one = definitions(_hours(config, contract), terms, ctx.intern, ctx.name, ctx.plugin_id, ctx.reference)
        held = ctx.listing(one.listing.listing_id) if told else None
        announced.append(one.contract)
        listings.append(one.listing if held is None else held)
        _fill_in(row, listings[-1], contract, grid_start_ns, period.start_ns)
    ticks = {listing.tick_micro for listing in listings}
    if len(ticks) > 1:
        raise ExchangeError(
            f"products {', '.join(config.products)} have ticks of {sorted(ticks)} micro; set tick_micro"
        )
    span_ns = [contract.gate_closure_ns - contract.opens_ns for contract in contracts]
    (tick_micro,) = ticks
    return DayPlan(
        zone_definition(zone, ctx.intern), announced, listings, table, parameters(config, span_ns, tick_micro),
        grid_start_ns, (period.end_ns - grid_start_ns) // GRID_NS, (period.end_ns - period.start_ns) // HOUR_NS,
        tick_micro, max(terms.lots_min for terms in terms_of.values()),
        min(config.qty_max_lots, *(terms.lots_max or config.qty_max_lots for terms in terms_of.values())),
    )  # fmt: skip


def _contracts(zone: MarketZone, day: date, config: ExchangeConfig, reference: Reference) -> list[Contract]:
    """Return the day's contracts, product by product as the config has them.

    Raises:
        EnergyError: a product that is not listed in the zone.
        ExchangeError: there is nothing to trade on the day.
    """
    found: list[Contract] = []
    for product in config.products:
        if product not in _BLOCKS:
            found += day_contracts(zone, day, (product,), reference)
        elif product == "BASE" or day.weekday() < _SATURDAY:
            found.append(parse_contract(f"{zone.code} B {day:%Y-%m-%d} {_BLOCKS[product]}", reference))
    if not found:
        asked = f"{', '.join(config.products)} has no contract on {day:%A} {day}" if config.products else "is empty"
        raise ExchangeError(f"products {asked}, wanted some of QH, H, HH, 5M, BASE and PEAK")
    return found


def _terms(
    config: ExchangeConfig, zone: MarketZone, contract: Contract, day: date, reference: Reference
) -> ListingTerms:
    """Return tick, lot and limits of a product: the rules', or the config's where it says so."""
    row = product_row(zone, contract.product, day, reference)
    tick_micro, lot_kw = config.tick_micro or row.tick_micro, config.lot_kw or row.lot_kw
    if config.price_limit is None:
        usual = listing_terms(contract, day, reference)
        low_micro, high_micro = usual.price_min_ticks * usual.tick_micro, usual.price_max_ticks * usual.tick_micro
    else:
        low_micro, high_micro = -config.price_limit * 1_000_000, config.price_limit * 1_000_000
    # The rules count the smallest and the largest order in their own lots.
    lots_min, lots_max = -(-row.lots_min * row.lot_kw // lot_kw), row.lots_max * row.lot_kw // lot_kw
    return ListingTerms(
        tick_micro, lot_kw, -(-low_micro // tick_micro), high_micro // tick_micro, max(lots_min, 1), lots_max
    )


def _hours(config: ExchangeConfig, contract: Contract) -> Contract:
    """Return the contract with the hours in which it trades here."""
    gate_ns, opens_ns = contract.gate_closure_ns, contract.opens_ns
    if config.gate_lead_minutes is not None:
        gate_ns = contract.delivery.start_ns - config.gate_lead_minutes * MINUTE_NS
    if config.open_lead_hours > 0:
        opens_ns = max(opens_ns, gate_ns - round(config.open_lead_hours * HOUR_NS))
    if opens_ns >= gate_ns:
        raise ExchangeError(
            f"{contract.name} would open {(opens_ns - gate_ns) // MINUTE_NS} minutes after its gate closes; "
            f"lower gate_lead_minutes, met {config.gate_lead_minutes}"
        )
    return msgspec.structs.replace(contract, opens_ns=opens_ns, gate_closure_ns=gate_ns)


def _fill_in(
    row: npt.NDArray[np.int64], listing: ListingDefinition, contract: Contract, grid_start_ns: int, day_start_ns: int
) -> None:
    """Write a book's terms; a block's price is that of its whole stretch."""
    start_ns, end_ns = contract.delivery.start_ns, contract.delivery.end_ns
    row[TERM_LISTING] = listing.listing_id
    row[TERM_OPENS_NS], row[TERM_GATE_NS] = listing.opens_ns, listing.gate_closure_ns
    row[TERM_START_NS] = start_ns
    row[TERM_SLOT], row[TERM_SLOTS] = (start_ns - grid_start_ns) // GRID_NS, (end_ns - start_ns) // GRID_NS
    row[TERM_DAY_HOUR] = (start_ns - day_start_ns) // HOUR_NS
    row[TERM_PRICE_MIN], row[TERM_PRICE_MAX] = listing.price_min_ticks, listing.price_max_ticks


def parameters(config: ExchangeConfig, span_ns: list[int], tick_micro: int) -> npt.NDArray[np.float64]:
    """Return the kernels' parameters.

    Args:
        span_ns: how long each contract trades in the market's own hours; the base rate is such that
            ``orders_per_day`` come over them, whatever `open_lead_hours` cuts away.
        tick_micro: price step in 10⁻⁶ of the currency.
    """
    params = np.zeros(P_WIDTH)
    rise_ns, opening_ns, opening = config.activity_rise_minutes * MINUTE_NS, 10.0 * MINUTE_NS, 0.6
    full_ns = sum(
        config.activity_floor * span
        + rise_ns * (1.0 - math.exp(-span / rise_ns))
        + opening * opening_ns * (1.0 - math.exp(-span / opening_ns))
        for span in span_ns
    )
    step_minutes, ticks = config.step_s / 60.0, 1_000_000 / tick_micro
    wander_keep = math.exp(-step_minutes / config.wander_minutes)
    pressure_keep = math.exp(-step_minutes / config.pressure_minutes)
    for place, value in {
        P_BASE_RATE: config.orders_per_day / (full_ns / SECOND_NS),
        P_FLOOR: config.activity_floor,
        P_RISE_NS: rise_ns,
        P_OPENING: opening,
        P_OPENING_NS: opening_ns,
        P_STEP_S: config.step_s,
        P_SHOCK_NS: config.shock_decay_minutes * MINUTE_NS,
        P_TREND_NS: config.trend_decay_minutes * MINUTE_NS,
        P_LAG: 1.0 - math.exp(-config.step_s / config.belief_lag_s),
        P_WANDER_KEEP: wander_keep,
        P_WANDER_STEP: config.wander_sd * ticks * math.sqrt(1.0 - wander_keep * wander_keep),
        P_PRESSURE_KEEP: pressure_keep,
        P_PRESSURE_STEP: math.sqrt(1.0 - pressure_keep * pressure_keep),
        P_HALF_SPREAD: config.half_spread * ticks,
        P_RELATIVE_SPREAD: config.relative_spread,
        P_INFORMED: config.informed_share,
        P_NOISE: config.noise_share,
        P_GRID_TICKS: config.price_grid_ticks,
        P_MAKERS: config.makers,
        P_LEVELS: config.maker_levels,
    }.items():
        params[place] = value
    return params
