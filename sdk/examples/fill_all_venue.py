"""The smallest venue: lists every contract that is announced, and fills every order whole, at the order's own price."""

from __future__ import annotations

from penstock_sdk.events import (
    ContractDefinition,
    ExecutionReport,
    IdKind,
    IntentAction,
    Liquidity,
    ListingDefinition,
    Order,
    Reason,
    ReportKind,
    Trade,
)
from penstock_sdk.plugin import Outcome, Venue
from penstock_sdk.schema import ABSENT

__all__ = ["FillAllVenue"]

MINUTE_NS = 60_000_000_000
QUARTER_NS = 15 * MINUTE_NS


class FillAllVenue(Venue):
    """A market that always agrees. Its gates close five minutes before delivery."""

    embedded = True  # the market is in here, so a restart restores it: no order is ever in doubt

    def on_contract_definition(self, contract: ContractDefinition) -> Outcome:
        """List the contract: ticks of 0.01 per MWh, lots of 0.1 MW."""
        name = f"{self.ctx.name} {contract.name}"
        start_ns = contract.delivery_start_ns
        quarters = (contract.delivery_end_ns - start_ns) // QUARTER_NS
        return ListingDefinition(
            listing_id=self.ctx.intern(IdKind.LISTING, name), contract_id=contract.contract_id,
            venue_id=self.ctx.plugin_id, name=name, tick_micro=10_000, lot_kw=100,
            price_min_ticks=-999_900, price_max_ticks=999_900,
            opens_ns=self.ctx.now_ns, gate_closure_ns=start_ns - 5 * MINUTE_NS,
            cash_micro_per_lot_tick=250 * quarters,  # 10,000 per MWh × 0.1 MW × a quarter of an hour = 250
            interval_start_ns=start_ns, interval_ns=QUARTER_NS, interval_count=quarters,
        )  # fmt: skip

    def on_order(self, order: Order) -> Outcome:
        """Fill a new order; nothing ever rests, so there is nothing to cancel."""
        if order.action != IntentAction.NEW:
            return None
        listing_id, side, price_ticks, lots = order.listing_id, order.side, order.price_ticks, order.qty_lots
        if price_ticks == ABSENT:  # a market order: nobody else is here to say a price
            return ExecutionReport(order.order_id, listing_id, ReportKind.REJECTED, side, reason=Reason.NO_LIQUIDITY)
        trade_id = self.ctx.state["trades"] = self.ctx.state.get("trades", 0) + 1
        return [
            ExecutionReport(
                order.order_id, listing_id, ReportKind.FILL, side, Liquidity.TAKER,
                last_ticks=price_ticks, last_lots=lots, trade_id=trade_id,
            ),
            Trade(listing_id, side, price_ticks=price_ticks, qty_lots=lots, trade_id=trade_id),
        ]  # fmt: skip
