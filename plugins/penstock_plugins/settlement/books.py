"""Whose each fill is: the book of the order that was filled, since one strategy may trade for several."""

from __future__ import annotations

from typing import Any

from penstock_sdk.events import ExecutionReport, IntentAction, Order, OrderState, ReportKind

__all__ = ["OrderBooks"]

_ROUTED, _NEW = int(OrderState.ROUTED), int(IntentAction.NEW)
_FILL, _AMENDED = int(ReportKind.FILL), int(ReportKind.AMENDED)
_ENDED = (int(ReportKind.CANCELLED), int(ReportKind.EXPIRED), int(ReportKind.REJECTED))


class OrderBooks:
    """The book of each open order. Cost: a dictionary look-up a report."""

    def __init__(self) -> None:
        self._open: dict[int, list[int]] = {}
        """[book, lots left] by order id."""
        self._last: dict[int, int] = {}
        """The book of the last order of each strategy: for a fill that comes after its order's end."""

    def order(self, order: Order) -> None:
        """Note an order that leaves."""
        if order.state == _ROUTED and order.action == _NEW:
            self._open[order.order_id] = [order.book_id, order.qty_lots]
            self._last[order.strategy_id] = order.book_id

    def report(self, report: ExecutionReport) -> int:
        """Return the book of a report's order; forget the order where the report ends it."""
        known = self._open.get(report.order_id)
        if known is None:
            return self._last.get(report.strategy_id, 0)
        if report.kind == _FILL:
            known[1] -= report.last_lots
        elif report.kind == _AMENDED:
            known[1] = report.leaves_lots
        if known[1] <= 0 or report.kind in _ENDED:
            del self._open[report.order_id]
        return known[0]

    def snapshot(self) -> dict[str, Any]:
        """Return it as msgpack carries it."""
        return {
            "open": [[order_id, *known] for order_id, known in self._open.items()],
            "last": [list(pair) for pair in self._last.items()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned."""
        self._open = {order_id: [book_id, left] for order_id, book_id, left in state["open"]}
        self._last = dict(state["last"])
