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
    OrderKind,
    OrderState,
    Reason,
    ReportKind,
    Trade,
)
from penstock_sdk.plugin import Outcome, Venue

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
        """Fill a new order that makes sense; nothing ever rests, so there is nothing to cancel or to amend."""
        if order.state == OrderState.IN_DOUBT:
            return None  # a question: whoever was filled has been told
        if order.action != IntentAction.NEW:
            return self._no(order, Reason.UNKNOWN_ORDER, ReportKind.CANCEL_REJECTED)
        reason = self._refusal(order)
        if reason:
            return self._no(order, reason)
        trade_id = self.ctx.state["trades"] = self.ctx.state.get("trades", 0) + 1
        self.ctx.state["last_order"] = order.order_id
        return [
            ExecutionReport(
                order.order_id, order.listing_id, ReportKind.FILL, order.side, Liquidity.TAKER,
                last_ticks=order.price_ticks, last_lots=order.qty_lots, trade_id=trade_id,
            ),
            Trade(
                order.listing_id, order.side, price_ticks=order.price_ticks, qty_lots=order.qty_lots, trade_id=trade_id
            ),
        ]  # fmt: skip

    def _refusal(self, order: Order) -> Reason:
        """Return why an order is not taken. Order ids rise, so one that is no higher than the last came before."""
        if order.kind == OrderKind.MARKET:
            return Reason.NO_LIQUIDITY  # nobody else is here to say a price
        listing = self.ctx.listing(order.listing_id)
        if listing is None or listing.venue_id != self.ctx.plugin_id:
            return Reason.UNKNOWN_LISTING
        if self.ctx.now_ns >= listing.gate_closure_ns:
            return Reason.GATE_CLOSED
        if order.order_id <= self.ctx.state.get("last_order", 0):
            return Reason.DUPLICATE
        if order.kind not in (OrderKind.LIMIT, OrderKind.IOC, OrderKind.FOK):
            return Reason.NOT_OFFERED
        if order.qty_lots < 1:
            return Reason.MALFORMED
        in_bounds = listing.price_min_ticks <= order.price_ticks <= listing.price_max_ticks
        return Reason.NONE if in_bounds else Reason.PRICE_BOUNDS

    @staticmethod
    def _no(order: Order, reason: Reason, kind: ReportKind = ReportKind.REJECTED) -> ExecutionReport:
        return ExecutionReport(order.order_id, order.listing_id, kind, order.side, reason=reason)
