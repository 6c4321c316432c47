"""What a confirmed deal is told as: its own contract and listing, and one trade of one lot."""

from __future__ import annotations

import msgspec

from penstock_sdk.context import Context
from penstock_sdk.energy.counterparties import CounterpartyTerms
from penstock_sdk.energy.deal_book import DealRecord
from penstock_sdk.energy.deals import DealTerms, LaidOut
from penstock_sdk.energy.definitions import zone_definition
from penstock_sdk.events import (
    ContractDefinition,
    CounterpartyDefinition,
    Deal,
    ExternalTrade,
    IdKind,
    ListingDefinition,
    Side,
    TradeSource,
)
from penstock_sdk.schema import Event

__all__ = ["announced", "counterparty_event", "deal_event", "deal_trade"]

_BOUND_MICRO = 10**12
"""Marks of a deal may lie a million of the currency either way."""


def counterparty_event(ctx: Context, terms: CounterpartyTerms) -> CounterpartyDefinition:
    """Return the definition of a counterparty."""
    return CounterpartyDefinition(
        counterparty_id=ctx.intern(IdKind.COUNTERPARTY, terms.name), name=terms.name, lei=terms.lei, eic=terms.eic,
        limits=dict(terms.limits), active=terms.active,
    )  # fmt: skip


def deal_event(deal: DealRecord, who: str) -> Deal:
    """Return that a deal stands where it stands."""
    terms = msgspec.to_builtins(deal.terms)
    return Deal(
        deal_id=deal.terms.deal_id, status=deal.status, who=who, terms=terms, listing_id=deal.listing_id, why=deal.why
    )


def announced(ctx: Context, terms: DealTerms, laid: LaidOut, told_zones: set[int]) -> list[Event]:
    """Return the definitions of a deal's contract and listing, and of its zone where nobody has told of it.

    Args:
        told_zones: zones that this plugin has told of, some of them in the events of this very handler; added to.
    """
    out: list[Event] = []
    zone_id = ctx.intern(IdKind.ZONE, laid.zone.code)
    if ctx.zone(zone_id) is None and zone_id not in told_zones:
        told_zones.add(zone_id)
        out.append(zone_definition(laid.zone, ctx.intern))
    name = f"{laid.zone.code} OTC {terms.deal_id}"
    contract_id, listing_id = ctx.intern(IdKind.CONTRACT, name), ctx.intern(IdKind.LISTING, f"{ctx.name} {name}")
    first_ns, last_ns = laid.spans[0][0], laid.spans[-1][1]
    out.append(
        ContractDefinition(
            contract_id=contract_id, name=name, zone_id=zone_id, product="OTC", delivery_start_ns=first_ns,
            delivery_end_ns=last_ns, currency_id=ctx.intern(IdKind.CURRENCY, terms.currency),
            commodity=laid.zone.commodity, settlement=terms.settlement, price_unit=terms.price_unit,
            qty_unit=laid.qty_unit, spans=list(laid.spans) if len(laid.spans) > 1 else [], payment=terms.payment,
        )
    )  # fmt: skip
    price = laid.price
    bound = max(_BOUND_MICRO // price.tick_micro, 10 * abs(price.price_ticks))
    out.append(
        ListingDefinition(
            listing_id=listing_id, contract_id=contract_id, venue_id=ctx.plugin_id, name=f"{ctx.name} {name}",
            tick_micro=price.tick_micro, lot_kw=laid.lot_kw, price_min_ticks=-bound, price_max_ticks=bound,
            opens_ns=terms.traded_ns, gate_closure_ns=last_ns, cash_micro_per_lot_tick=price.cash_micro_per_lot_tick,
            interval_start_ns=first_ns, interval_ns=laid.interval_ns, interval_count=laid.intervals,
            segments=list(laid.segments), reference_only=True,
        )
    )  # fmt: skip
    return out


def deal_trade(ctx: Context, deal: DealRecord, *, back: bool = False) -> ExternalTrade:
    """Return a deal's trade, one lot of its own listing; *back*: the correction that takes it back, at its price."""
    terms = deal.terms
    side = Side.BUY if (terms.side == "buy") != back else Side.SELL
    return ExternalTrade(
        deal.listing_id, side=int(side), source=int(TradeSource.CORRECTION if back else TradeSource.OTC),
        price_ticks=deal.price_ticks, qty_lots=1, trade_id=deal.number, book_id=ctx.intern(IdKind.BOOK, terms.book),
        trader_id=ctx.intern(IdKind.TRADER, terms.trader),
        counterparty_id=ctx.intern(IdKind.COUNTERPARTY, terms.counterparty), traded_ns=terms.traded_ns,
        source_ns=terms.traded_ns,
    )  # fmt: skip
