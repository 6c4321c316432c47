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
from penstock_sdk.energy import Contract, Days, ListingTerms, MarketZone, day_contracts, delivery_day, market_zone
from penstock_sdk.energy import listing_terms as usual_terms
from penstock_sdk.events import ContractDefinition, IdKind, ListingDefinition, ZoneDefinition

__all__ = ["GRID_NS", "DayPlan", "ExchangeConfig", "ExchangeError", "parameters", "plan_day"]

SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
QUARTER_NS = 15 * MINUTE_NS
GRID_NS = 5 * MINUTE_NS
"""Step of the index grid."""

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]
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
    products: Annotated[tuple[Literal["QH", "H"], ...], msgspec.Meta(min_length=1)] = ("QH", "H")
    """Quarter-hours, hours, or both."""
    open_lead_hours: NotNegative = 0.0
    """When above 0, a contract opens at most so long before its gate closes; 0 keeps the market's opening hours."""
    gate_lead_minutes: Annotated[int, msgspec.Meta(ge=0, le=1440)] | None = None
    """How long before delivery trading ends; unset, the zone's own."""
    tick_micro: Annotated[int, msgspec.Meta(gt=0, le=10**9)] = 10_000
    """Price step in 10⁻⁶ of the currency per MWh."""
    lot_kw: Annotated[int, msgspec.Meta(gt=0, le=10**9)] = 100
    """Quantity step in kW."""
    price_limit: Annotated[int, msgspec.Meta(gt=0, le=1_000_000)] | None = None
    """Orders are priced within ± this; unset, within the zone's own limits."""
    qty_max_lots: Annotated[int, msgspec.Meta(gt=0, le=2**40)] = 10_000
    """The largest order taken."""
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
        """Refuse shares that leave nobody to trade with."""
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


def plan_day(ctx: Context, config: ExchangeConfig, day: date) -> DayPlan:
    """Return a delivery day's books, with ids from *ctx*. Ids that are known stay what they are.

    Raises:
        EnergyError: an unknown zone, or a day whose price limits are not known.
        ExchangeError: no product, or a contract that never opens.
    """
    zone = market_zone(config.zone)
    if not config.products:
        raise ExchangeError("products is empty, wanted QH, H or both")
    contracts = day_contracts(zone, day, config.products)
    period, terms = delivery_day(zone, day), _grid(config, zone, day)
    zone_id, currency_id = ctx.intern(IdKind.ZONE, zone.code), ctx.intern(IdKind.CURRENCY, zone.currency)
    grid_start_ns = period.start_ns - 48 * HOUR_NS
    told: list[ContractDefinition] = []
    listings: list[ListingDefinition] = []
    table = np.zeros((len(contracts), TERM_WIDTH), np.int64)
    for row, contract in zip(table, contracts, strict=True):
        told.append(_contract(ctx, contract, zone_id, currency_id))
        listing = _listing(ctx, config, contract, told[-1].contract_id, terms)
        listings.append(listing)
        start_ns, end_ns = contract.delivery.start_ns, contract.delivery.end_ns
        row[TERM_LISTING] = listing.listing_id
        row[TERM_OPENS_NS], row[TERM_GATE_NS] = listing.opens_ns, listing.gate_closure_ns
        row[TERM_START_NS] = start_ns
        row[TERM_SLOT], row[TERM_SLOTS] = (start_ns - grid_start_ns) // GRID_NS, (end_ns - start_ns) // GRID_NS
        row[TERM_DAY_HOUR] = (start_ns - period.start_ns) // HOUR_NS
        row[TERM_PRICE_MIN], row[TERM_PRICE_MAX] = listing.price_min_ticks, listing.price_max_ticks
    place = ZoneDefinition(
        zone_id=zone_id, code=zone.code, timezone=zone.timezone, currency=zone.currency, eic=zone.eic
    )
    span_ns = [contract.gate_closure_ns - contract.opens_ns for contract in contracts]
    return DayPlan(
        place, told, listings, table, parameters(config, span_ns), grid_start_ns,
        (period.end_ns - grid_start_ns) // GRID_NS, (period.end_ns - period.start_ns) // HOUR_NS,
    )  # fmt: skip


def _grid(config: ExchangeConfig, zone: MarketZone, day: date) -> ListingTerms:
    """Return tick, lot and price limits, the config's where it says so."""
    if config.price_limit is None:
        usual = usual_terms(zone, day)
        low_micro, high_micro = usual.price_min_ticks * usual.tick_micro, usual.price_max_ticks * usual.tick_micro
    else:
        low_micro, high_micro = -config.price_limit * 1_000_000, config.price_limit * 1_000_000
    return ListingTerms(
        config.tick_micro, config.lot_kw, -(-low_micro // config.tick_micro), high_micro // config.tick_micro
    )


def _contract(ctx: Context, contract: Contract, zone_id: int, currency_id: int) -> ContractDefinition:
    return ContractDefinition(
        contract_id=ctx.intern(IdKind.CONTRACT, contract.name),
        name=contract.name,
        zone_id=zone_id,
        product=contract.product,
        delivery_start_ns=contract.delivery.start_ns,
        delivery_end_ns=contract.delivery.end_ns,
        currency_id=currency_id,
    )


def _listing(
    ctx: Context, config: ExchangeConfig, contract: Contract, contract_id: int, terms: ListingTerms
) -> ListingDefinition:
    """Return the contract's listing here: its grid, hours and the money of a tick."""
    start_ns, end_ns = contract.delivery.start_ns, contract.delivery.end_ns
    gate_ns, opens_ns = contract.gate_closure_ns, contract.opens_ns
    if config.gate_lead_minutes is not None:
        gate_ns = start_ns - config.gate_lead_minutes * MINUTE_NS
    if config.open_lead_hours > 0:
        opens_ns = max(opens_ns, gate_ns - round(config.open_lead_hours * HOUR_NS))
    if opens_ns >= gate_ns:
        raise ExchangeError(
            f"{contract.name} would open {(opens_ns - gate_ns) // MINUTE_NS} minutes after its gate closes; "
            f"lower gate_lead_minutes, met {config.gate_lead_minutes}"
        )
    # MWh per lot times price per tick, in 10⁻⁶ of the currency: kW · minutes / 60,000 is MWh.
    money, rest = divmod(terms.lot_kw * contract.delivery.minutes * terms.tick_micro, 60_000)
    if rest:
        raise ExchangeError(
            f"one tick on one lot of {contract.name} is no whole number of 10⁻⁶ {contract.currency}; "
            f"choose tick_micro and lot_kw whose product is a multiple of 4,000, "
            f"met {terms.tick_micro} and {terms.lot_kw}"
        )
    name = f"{ctx.name} {contract.name}"
    return ListingDefinition(
        listing_id=ctx.intern(IdKind.LISTING, name), contract_id=contract_id, venue_id=ctx.plugin_id, name=name,
        tick_micro=terms.tick_micro, lot_kw=terms.lot_kw,
        price_min_ticks=terms.price_min_ticks, price_max_ticks=terms.price_max_ticks,
        opens_ns=opens_ns, gate_closure_ns=gate_ns, cash_micro_per_lot_tick=money,
        interval_start_ns=start_ns, interval_ns=QUARTER_NS, interval_count=(end_ns - start_ns) // QUARTER_NS,
    )  # fmt: skip


def parameters(config: ExchangeConfig, span_ns: list[int]) -> npt.NDArray[np.float64]:
    """Return the kernels' parameters.

    Args:
        span_ns: how long each contract trades in the market's own hours; the base rate is such that
            ``orders_per_day`` come over them, whatever `open_lead_hours` cuts away.
    """
    params = np.zeros(P_WIDTH)
    rise_ns, opening_ns, opening = config.activity_rise_minutes * MINUTE_NS, 10.0 * MINUTE_NS, 0.6
    full_ns = sum(
        config.activity_floor * span
        + rise_ns * (1.0 - math.exp(-span / rise_ns))
        + opening * opening_ns * (1.0 - math.exp(-span / opening_ns))
        for span in span_ns
    )
    step_minutes, ticks = config.step_s / 60.0, 1_000_000 / config.tick_micro
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
