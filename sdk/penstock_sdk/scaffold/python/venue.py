"""A venue: a market place that lists contracts, takes orders and reports on them.

As it stands the market is in here, a book in price-time priority, so that it trades at once. To reach a market outside,
replace what `_Book` does: send in `ctx.effect(send, order)`, which happens once the order is written, and return what
the market answers from `poll`.
"""

from __future__ import annotations

import msgspec

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
    Reconcile,
    Reconciled,
    ReportKind,
    SessionState,
    SessionStatus,
    Side,
    Timer,
    Trade,
)
from penstock_sdk.plugin import Outcome, Venue
from penstock_sdk.schema import ABSENT, Event

__all__ = ["Template", "TemplateConfig"]

SECOND_NS = 1_000_000_000
QUARTER_NS = 900 * SECOND_NS
PRICE_TICKS_MAX = 999_900


class TemplateConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an operator may set, in ``[plugins.NAME.config]``; the defaults must make a venue that runs."""

    gate_s: int = 300
    """How long before delivery trading ends, in seconds."""
    qty_max_lots: int = 10_000

    def __post_init__(self) -> None:
        """Raise ValueError for what makes no market; it begins with the key that is wrong."""
        if self.gate_s < 0:
            raise ValueError(f"gate_s met {self.gate_s}, wanted 0 or more")
        if self.qty_max_lots < 1:
            raise ValueError(f"qty_max_lots met {self.qty_max_lots}, wanted 1 or more")


class Template(Venue):
    """A continuous market in every contract that is announced."""

    Config = TemplateConfig
    config: TemplateConfig
    embedded = True  # the market is in this plugin: a restart restores it. A venue outside says False, or nothing.

    # `ctx.state` is kept by snapshots: text keys, values that msgpack carries. "orders" holds what rests, as
    # [listing, side, price, lots left], by the order's id; Python keeps it in the order in which they came.

    def on_contract_definition(self, contract: ContractDefinition) -> Outcome:
        """List a contract: ticks of 0.01 per MWh, lots of 0.1 MW; its gate closes before delivery."""
        gate_ns = contract.delivery_start_ns - self.config.gate_s * SECOND_NS
        name = f"{self.ctx.name} {contract.name}"
        listing_id = self.ctx.intern(IdKind.LISTING, name)  # the same name has the same id after a restart
        if gate_ns <= self.ctx.now_ns or self.ctx.listing(listing_id) is not None:
            return None
        self.ctx.set_timer(gate_ns, tag=listing_id)
        quarters = (contract.delivery_end_ns - contract.delivery_start_ns) // QUARTER_NS
        listing = ListingDefinition(
            listing_id=listing_id, contract_id=contract.contract_id, venue_id=self.ctx.plugin_id, name=name,
            tick_micro=10_000, lot_kw=100, price_min_ticks=-PRICE_TICKS_MAX, price_max_ticks=PRICE_TICKS_MAX,
            opens_ns=self.ctx.now_ns, gate_closure_ns=gate_ns,
            cash_micro_per_lot_tick=250 * quarters,  # 0.01 per MWh × 0.1 MW × a quarter of an hour
            interval_start_ns=contract.delivery_start_ns, interval_ns=QUARTER_NS, interval_count=quarters,
        )  # fmt: skip
        return [listing, self._session(listing_id, SessionStatus.OPEN)]

    def on_timer(self, timer: Timer) -> Outcome:
        """Close a listing's gate: what rests there has expired."""
        late = [int(key) for key, (listing_id, *_) in self._orders().items() if listing_id == timer.tag]
        ended = [self._end(order_id, ReportKind.EXPIRED, Reason.GATE_CLOSED) for order_id in late]
        return [*ended, self._session(timer.tag, SessionStatus.CLOSED)]

    def on_order(self, order: Order) -> Outcome:
        """Do what the order says. Only orders for this venue come here, each perhaps twice."""
        if order.action == IntentAction.NEW:
            return self._new(order)
        if order.action == IntentAction.CANCEL:
            if str(order.order_id) in self._orders():
                return self._end(order.order_id, ReportKind.CANCELLED, Reason.NONE)
            return self._report(order, ReportKind.CANCEL_REJECTED, Reason.UNKNOWN_ORDER)
        if order.action == IntentAction.CANCEL_ALL:
            return self._cancel_all(order)
        return self._report(order, ReportKind.CANCEL_REJECTED, Reason.NOT_OFFERED)

    def on_reconcile(self, question: Reconcile) -> Outcome:
        """Say where our orders stand after a crash: what we do not know has ended, what nobody asked about goes."""
        asked, here = {order_id for order_id, _ in question.orders}, set(map(int, self._orders()))
        gone = [
            ExecutionReport(order_id, kind=ReportKind.CANCELLED, reason=Reason.UNSOLICITED)
            for order_id in sorted(asked - here)
        ]
        foreign = [self._end(order_id, ReportKind.CANCELLED, Reason.UNSOLICITED) for order_id in sorted(here - asked)]
        counts = {"confirmed": len(asked & here), "corrected": len(gone), "foreign": len(foreign)}
        return [*gone, *foreign, Reconciled(venue_id=self.ctx.plugin_id, epoch=question.epoch, **counts)]

    # -- the market: replace this by a connection to yours -----------------------------------------------------------

    def _orders(self) -> dict[str, list[int]]:
        orders: dict[str, list[int]] = self.ctx.state.setdefault("orders", {})
        return orders

    def _new(self, order: Order) -> Outcome:
        if order.state == OrderState.IN_DOUBT or str(order.order_id) in self._orders():
            return None  # a question, or the same order again: never trade it twice
        reason = self._refusal(order)
        if reason:
            return self._report(order, ReportKind.REJECTED, reason)
        events: list[Event] = [self._report(order, ReportKind.ACCEPTED, leaves_lots=order.qty_lots)]
        left = order.qty_lots
        for resting_id in self._opposite(order):
            resting = self._orders()[str(resting_id)]
            lots, price_ticks = min(left, resting[3]), resting[2]
            if not lots:
                break
            left -= lots
            resting[3] -= lots
            events += self._deal(order, resting_id, price_ticks, lots, left, resting[3])
            if not resting[3]:
                del self._orders()[str(resting_id)]
        if left and order.kind == OrderKind.LIMIT:
            self._orders()[str(order.order_id)] = [order.listing_id, order.side, order.price_ticks, left]
        elif left:
            events.append(self._report(order, ReportKind.CANCELLED, Reason.NO_LIQUIDITY))
        return events

    def _refusal(self, order: Order) -> Reason:
        """Return why an order cannot be taken, or NONE."""
        listing = self.ctx.listing(order.listing_id)
        if listing is None or listing.venue_id != self.ctx.plugin_id:
            return Reason.UNKNOWN_LISTING
        if self.ctx.now_ns >= listing.gate_closure_ns:
            return Reason.GATE_CLOSED
        if order.kind not in (OrderKind.LIMIT, OrderKind.IOC):  # as [plugin.venue] in plugin.toml has it
            return Reason.NOT_OFFERED
        if order.qty_lots < 1 or order.side not in (Side.BUY, Side.SELL) or order.price_ticks == ABSENT:
            return Reason.MALFORMED
        if order.qty_lots > self.config.qty_max_lots:
            return Reason.QTY_MAX
        if not listing.price_min_ticks <= order.price_ticks <= listing.price_max_ticks:
            return Reason.PRICE_BOUNDS
        return Reason.NONE

    def _opposite(self, order: Order) -> list[int]:
        """Return the resting orders that an order meets, the best price first, of equal prices the oldest."""
        sign = 1 if order.side == Side.BUY else -1
        met = [
            (sign * price_ticks, place, int(key))
            for place, (key, (listing_id, side, price_ticks, _)) in enumerate(self._orders().items())
            if listing_id == order.listing_id and side != order.side and sign * (order.price_ticks - price_ticks) >= 0
        ]
        return [order_id for *_, order_id in sorted(met)]

    def _deal(
        self, order: Order, resting_id: int, price_ticks: int, lots: int, left: int, resting_left: int
    ) -> list[Event]:
        """Return what is told of one deal: a fill of each side, and the trade for everybody."""
        trade_id = self.ctx.state["trades"] = self.ctx.state.get("trades", 0) + 1
        other = Side.SELL if order.side == Side.BUY else Side.BUY
        deal = {"last_ticks": price_ticks, "last_lots": lots, "trade_id": trade_id}
        return [
            ExecutionReport(
                order.order_id, order.listing_id, ReportKind.FILL, order.side, Liquidity.TAKER, leaves_lots=left, **deal
            ),
            ExecutionReport(
                resting_id, order.listing_id, ReportKind.FILL, other, Liquidity.MAKER, leaves_lots=resting_left, **deal
            ),
            Trade(order.listing_id, order.side, price_ticks=price_ticks, qty_lots=lots, trade_id=trade_id),
        ]

    def _cancel_all(self, order: Order) -> list[Event]:
        """Cancel what rests in a listing; 0 stands for all of them."""
        wanted = order.listing_id
        chosen = [int(key) for key, (listing_id, *_) in self._orders().items() if wanted in (0, listing_id)]
        return [self._end(order_id, ReportKind.CANCELLED, Reason.NONE) for order_id in chosen]

    # -- reports -----------------------------------------------------------------------------------------------------

    def _end(self, order_id: int, kind: ReportKind, reason: Reason) -> ExecutionReport:
        listing_id, side, *_ = self._orders().pop(str(order_id))
        return ExecutionReport(order_id, listing_id, kind, side, reason=reason, source_ns=self.ctx.now_ns)

    def _report(
        self, order: Order, kind: ReportKind, reason: Reason = Reason.NONE, leaves_lots: int = 0
    ) -> ExecutionReport:
        return ExecutionReport(
            order.order_id, order.listing_id, kind, order.side, leaves_lots=leaves_lots, reason=reason,
            source_ns=self.ctx.now_ns,
        )  # fmt: skip

    def _session(self, listing_id: int, status: SessionStatus) -> SessionState:
        return SessionState(listing_id, self.ctx.plugin_id, status, effective_ns=self.ctx.now_ns)
