"""What the practice venue's adapter knows: its orders as it believes they stand, and how that meets what is told.

Nothing here touches a connection. A fill counts by how much of its order is filled after it, so however often and in
whatever order the venue tells of it, it is reported once.
"""

from __future__ import annotations

import msgspec

from penstock_plugins.venues.paper_protocol import OrderTold
from penstock_sdk.events import ExecutionReport, Order, OrderState, Reason, ReportKind
from penstock_sdk.schema import ABSENT

__all__ = ["AdapterState", "OurOrder"]

_END_KIND = {
    OrderState.CANCELLED: ReportKind.CANCELLED,
    OrderState.EXPIRED: ReportKind.EXPIRED,
    OrderState.REJECTED: ReportKind.REJECTED,
}
ENDINGS = frozenset(_END_KIND.values())


class OurOrder(msgspec.Struct):
    """One order that may be open at the venue."""

    order_id: int
    listing_id: int = 0
    side: int = 0
    qty_lots: int = 0
    filled_lots: int = 0
    acked: bool = True
    """The venue has said that it has it."""
    in_doubt: bool = False
    cancel_wanted: bool = False
    sent_ns: int = 0
    """When the order, or the last cancel of it, was sent."""
    by_cancel: bool = False
    """We know it by its cancel alone: it has ended here, or never was."""

    @classmethod
    def of(cls, order: Order, now_ns: int) -> OurOrder:
        """Return what is known of an order that is being sent, or asked about."""
        return cls(
            order.order_id, order.listing_id, order.side, order.qty_lots, order.filled_lots, acked=False,
            in_doubt=order.state == OrderState.IN_DOUBT, sent_ns=now_ns,
        )  # fmt: skip

    def report(
        self, kind: ReportKind, reason: int = 0, venue_ref: int = ABSENT, at_ns: int = ABSENT
    ) -> ExecutionReport:
        """Return a report on it that is no fill."""
        leaves = 0 if kind in ENDINGS else max(self.qty_lots - self.filled_lots, 0)
        return ExecutionReport(
            self.order_id, self.listing_id, int(kind), self.side, leaves_lots=leaves, venue_ref=venue_ref,
            reason=reason, source_ns=at_ns,
        )  # fmt: skip


class AdapterState(msgspec.Struct):
    """All that the adapter's handlers remember; a snapshot is this."""

    server: str = ""
    """The life of the venue that the rest is about."""
    last_no: int | None = None
    """Number of the last report that was heard; None: not known any more, only a question tells."""
    listings: dict[int, int] = {}
    """Our listing ids by the venue's numbers."""
    zones: set[int] = set()
    """Zones that were defined."""
    orders: dict[int, OurOrder] = {}
    ask_id: int = 0
    question: int | None = None
    """Epoch of the kernel's question that is not answered yet."""
    changed: set[int] = set()
    """Orders of which there were reports since that question."""
    synced: bool = False
    """The venue has told where every order stands since the connection was made."""
    down: bool = False
    """People were told that the connection is gone."""
    resending: bool = False
    hello_ns: int = 0
    """When we introduced ourselves on this connection; 0: there is none."""
    timer_id: int = 0
    timer_ns: int = 0

    def heard(self, report: ExecutionReport) -> ExecutionReport | None:
        """Return the venue's report as ours, or None when it tells nothing new."""
        kind = report.kind
        held = self.orders.get(report.order_id)
        if held is None:
            # A fill of an order that we do not know is passed on: somebody has to be told of the position.
            return self._translated(report, 0, report.side) if kind == ReportKind.FILL else None
        held.listing_id = held.listing_id or self.listings.get(report.listing_id, 0)
        held.side = held.side or report.side
        if kind == ReportKind.ACCEPTED:
            if held.acked and not held.in_doubt:
                return None
            held.acked, held.in_doubt = True, False
        elif kind == ReportKind.FILL:
            if held.qty_lots and held.qty_lots - report.leaves_lots <= held.filled_lots:
                return None
            held.filled_lots += report.last_lots
            held.acked, held.in_doubt = True, False
            if not report.leaves_lots:
                del self.orders[report.order_id]
        elif kind == ReportKind.CANCEL_REJECTED:
            if held.by_cancel:
                del self.orders[report.order_id]
            elif not held.acked:
                return None  # it may never have come, or still be on its way: the question will tell
            held.cancel_wanted = False
        elif kind in ENDINGS:
            del self.orders[report.order_id]
        return self._translated(report, held.listing_id, held.side)

    def _translated(self, report: ExecutionReport, listing_id: int, side: int) -> ExecutionReport:
        listing_id = listing_id or self.listings.get(report.listing_id, 0)
        return msgspec.structs.replace(report, listing_id=listing_id, side=side, strategy_id=0)

    def told(self, told: OrderTold) -> list[ExecutionReport]:
        """Return the reports that bring an order to where the venue says it stands; empty when it stands there."""
        held = self.orders.get(told.order_id)
        if held is None:
            return []
        state = OrderState(told.state)
        if held.by_cancel and (state in _END_KIND or state in (OrderState.UNKNOWN, OrderState.FILLED)):
            del self.orders[told.order_id]
            return [held.report(ReportKind.CANCEL_REJECTED, Reason.UNKNOWN_ORDER)]
        if state == OrderState.UNKNOWN:
            del self.orders[told.order_id]
            # CANCELLED is legal of every open order; REJECTED says more of one that never was acknowledged.
            if held.acked and not held.in_doubt:
                return [held.report(ReportKind.CANCELLED, Reason.UNSOLICITED)]
            return [held.report(ReportKind.REJECTED, Reason.UNKNOWN_ORDER)]
        held.listing_id = held.listing_id or self.listings.get(told.listing, 0)
        held.side = held.side or told.side
        out: list[ExecutionReport] = []
        if (not held.acked or held.in_doubt) and state != OrderState.REJECTED:
            out.append(held.report(ReportKind.ACCEPTED, 0, told.venue_ref))
            held.acked, held.in_doubt = True, False
        out += self._missed_fills(held, told)
        if state in _END_KIND:
            out.append(held.report(_END_KIND[state], told.reason, told.venue_ref))
        if state in _END_KIND or state == OrderState.FILLED:
            del self.orders[told.order_id]
        return out

    @staticmethod
    def _missed_fills(held: OurOrder, told: OrderTold) -> list[ExecutionReport]:
        out: list[ExecutionReport] = []
        after = 0
        for trade_id, price_ticks, lots, liquidity in told.trades:
            after += lots
            missing = min(lots, after - held.filled_lots)
            if missing > 0:
                held.filled_lots = after
                out.append(
                    ExecutionReport(
                        held.order_id, held.listing_id, int(ReportKind.FILL), held.side, liquidity, 0, price_ticks,
                        missing, max(held.qty_lots - after, 0), trade_id, told.venue_ref,
                    )
                )  # fmt: skip
        return out
