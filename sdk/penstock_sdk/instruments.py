"""What a position in a listing needs to know of it: its currency, the worth and energy of a lot, when it is over."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

from penstock_sdk.energy.units import MWH_PER_UNIT
from penstock_sdk.events import ContractDefinition, ListingDefinition, ZoneDefinition
from penstock_sdk.golden.cascade import Lot
from penstock_sdk.golden.positions_layout import FEE_PARTS
from penstock_sdk.schema import ABSENT
from penstock_sdk.slots import over_ns

__all__ = ["Instrument", "instrument"]

_MINUTE_NS = 60_000_000_000
_KW_MINUTES_PER_MWH = 60_000


class Instrument(NamedTuple):
    """A listing and its contract, as far as a position in it needs them."""

    listing_id: int
    name: str
    contract: str
    product: str
    zone_id: int
    timezone: str
    zone: str
    venue_id: int
    currency_id: int
    lot: Lot
    amount_per_lot: int
    """The most that a lot adds to an interval, in the grid unit of the zone."""
    fee_parts_per_lot: int
    """MWh of a lot in 1/60,000, rounded to even: what a fee of 10⁻⁶ per MWh comes to, in `FEE_PARTS`."""
    gate_closure_ns: int
    over_ns: int
    """When it neither trades nor delivers any more, ns UTC."""
    last_trading_ns: int
    """When it cascades; ABSENT where it does not."""
    parts: tuple[str, ...]
    """Names of the contracts that it cascades into."""

    @classmethod
    def restored(cls, fields: list[Any]) -> Instrument:
        """Return what `list` made of one, after msgpack turned its tuples into lists."""
        made = cls(*fields)
        return made._replace(lot=Lot(*made.lot), parts=tuple(made.parts))


def instrument(
    listing: ListingDefinition, contract: ContractDefinition | None, zone: ZoneDefinition | None
) -> Instrument:
    """Return what there is to know of a listing; without its contract or zone, what the listing alone tells."""
    cash = max(1, listing.cash_micro_per_lot_tick)
    ends_ns = over_ns(listing) if contract is None else max(over_ns(listing), contract.delivery_end_ns)
    cascades = contract is not None and bool(contract.cascades_into) and contract.last_trading_ns != ABSENT
    return Instrument(
        listing.listing_id,
        listing.name,
        contract.name if contract else listing.name,
        contract.product if contract else "",
        zone.zone_id if zone else 0,
        zone.timezone if zone else "Etc/UTC",
        zone.code if zone else "",
        listing.venue_id,
        contract.currency_id if contract else 0,
        Lot(cash, listing.tick_micro, listing.lot_kw),
        max(1, max((amount for _, _, amount in listing.segments), default=listing.lot_kw)),
        _fee_parts(listing, contract, zone),
        listing.gate_closure_ns,
        ends_ns,
        contract.last_trading_ns if contract and cascades else ABSENT,
        tuple(contract.cascades_into) if contract and cascades else (),
    )


def _fee_parts(listing: ListingDefinition, contract: ContractDefinition | None, zone: ZoneDefinition | None) -> int:
    """Return the MWh of a lot times `FEE_PARTS`: kilowatt-minutes, where the grid is in kW."""
    if contract is None or (contract.price_unit.endswith("/MWh") and (zone is None or zone.grid_unit == "kW")):
        minutes = listing.interval_ns // _MINUTE_NS
        spans = listing.segments or [(listing.interval_start_ns, listing.interval_count, listing.lot_kw)]
        return sum(count * amount for _, count, amount in spans) * minutes * FEE_PARTS // _KW_MINUTES_PER_MWH
    per_unit = MWH_PER_UNIT.get(contract.price_unit.rpartition("/")[2], Fraction(0))
    return round(Fraction(listing.cash_micro_per_lot_tick, listing.tick_micro) * per_unit * FEE_PARTS)
