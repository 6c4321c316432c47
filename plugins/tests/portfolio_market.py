"""Futures for tests of the portfolio: listings of any length, zone and currency, announced by hand."""

from __future__ import annotations

from typing import Any

from penstock_sdk.events import ContractDefinition, ExternalTrade, IdKind, ListingDefinition, Side, ZoneDefinition
from penstock_sdk.schema import ABSENT

HOUR_NS = 3_600_000_000_000
QUARTER_NS = HOUR_NS // 4
BUY, SELL = int(Side.BUY), int(Side.SELL)


class Futures:
    """Announces futures at a bench's venue; months of so many hours, and what is made of them.

    A lot is 1 MW and a tick 0.01 EUR/MWh, unless told otherwise.
    """

    def __init__(
        self, bench: Any, *, zone: str = "DE-LU", timezone: str = "Europe/Berlin", currency: str = "EUR"
    ) -> None:
        self.bench, self.kernel = bench, bench.kernel
        self.zone_id = self.kernel.intern_input(IdKind.ZONE, zone)
        self.currency_id = self.kernel.intern_input(IdKind.CURRENCY, currency)
        self.kernel.feed(ZoneDefinition(zone_id=self.zone_id, code=zone, timezone=timezone, currency=currency))
        self.trades = 0

    def add(
        self,
        name: str,
        start_ns: int,
        hours: int,
        *,
        product: str = "M",
        into: tuple[str, ...] = (),
        ends_ns: int = ABSENT,
        tick_micro: int = 10_000,
        lot_kw: int = 1_000,
        price_unit: str = "EUR/MWh",
        units: int | None = None,
        **more: Any,
    ) -> int:
        """Announce a future that delivers *hours* hours from *start_ns*; return its listing.

        Args:
            into: names of what it cascades into at *ends_ns*.
            units: of a lot, what prices are per; by default its MWh.
        """
        contract_id = self.kernel.intern_input(IdKind.CONTRACT, name)
        listing_id = self.kernel.intern_input(IdKind.LISTING, name)
        end_ns = start_ns + hours * HOUR_NS
        self.kernel.feed(
            ContractDefinition(
                contract_id=contract_id, name=name, zone_id=self.zone_id, product=product, delivery_start_ns=start_ns,
                delivery_end_ns=end_ns, currency_id=self.currency_id, settlement="cash", price_unit=price_unit,
                last_trading_ns=ends_ns, cascades_into=list(into), payment="variation",
            )
        )  # fmt: skip
        cash = tick_micro * (lot_kw * hours // 1_000 if units is None else units)
        fields = {
            "listing_id": listing_id, "contract_id": contract_id, "venue_id": self.bench.venue.ctx.plugin_id,
            "name": name, "tick_micro": tick_micro, "lot_kw": lot_kw, "price_min_ticks": -(10**6),
            "price_max_ticks": 10**6, "opens_ns": 0, "gate_closure_ns": ends_ns if ends_ns != ABSENT else end_ns,
            "cash_micro_per_lot_tick": cash, "interval_start_ns": start_ns, "interval_ns": QUARTER_NS,
            "interval_count": 4 * hours, "reference_only": True,
        }  # fmt: skip
        self.kernel.feed(ListingDefinition(**(fields | more)))
        return int(listing_id)

    def trade(
        self, listing_id: int, side: int, price: int, lots: int, *, book: int = 1, strategy: int = 0, **more: Any
    ) -> None:
        """Tell of a trade from outside."""
        self.trades += 1
        self.kernel.feed(
            ExternalTrade(
                listing_id, side, 0, more.pop("source", 1), price, lots, self.trades, strategy, book, **more
            )
        )  # fmt: skip
