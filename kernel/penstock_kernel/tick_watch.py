"""The kernel's own ear: latencies and counts that only events tell, in wall time, outside the journal.

It hears what telemetry shows: how long a quote took to become a checked order, how long a venue took to answer, what
was refused and why, alerts by severity, P&L. Memory does not grow with the run.
"""

from __future__ import annotations

import time

from penstock_kernel.telemetry.histogram import Histogram
from penstock_sdk.context import Moment
from penstock_sdk.events import Alert, ExecutionReport, IntentAction, Order, OrderState, Pnl, Quote
from penstock_sdk.schema import Frame

__all__ = ["TickWatch"]

# Plain numbers: to look a member up in its enum takes 80 ns.
_NEW, _CANCELS = int(IntentAction.NEW), (int(IntentAction.CANCEL), int(IntentAction.CANCEL_ALL))
_ROUTED, _REFUSED = int(OrderState.ROUTED), int(OrderState.REFUSED)

UNANSWERED_MAX = 65_536
"""Orders whose venue has not answered that are kept in mind; beyond, the oldest is forgotten."""


class TickWatch:
    """Measures the wall time from a quote's numbering to a checked order, and the run's time to its venue's answer.

    Attributes:
        tick_to_order: wall time; venue_answer: the run's time, 0 for a market inside.
        refused: orders by (plugin id, reason).
        alerts: by severity.
        pnl_micro: total of each strategy, by plugin id.
    """

    def __init__(self, moment: Moment) -> None:
        self._moment = moment
        self._root = -1
        self._begun_ns = 0
        self.tick_to_order = Histogram()
        self.venue_answer = Histogram()
        self.refused: dict[tuple[int, int], int] = {}
        self.alerts: dict[int, int] = {}
        self.pnl_micro: dict[int, int] = {}
        self._sent_ns: dict[int, int] = {}
        """By order id, of orders that no venue has answered."""
        self.cancel_seqs: set[int] = set()
        """Numbers of the cancels that are not written yet."""

    def restart(self) -> None:
        """Forget the latencies of a play-back."""
        self.tick_to_order.clear()
        self.venue_answer.clear()

    def on_quotes(self, _frame: Frame) -> None:
        """Start the stopwatch."""
        self._root = self._moment.correlation_seq
        self._begun_ns = time.perf_counter_ns()

    def on_quote(self, _quote: Quote) -> None:
        """Start the stopwatch."""
        self._root = self._moment.correlation_seq
        self._begun_ns = time.perf_counter_ns()

    def on_order(self, order: Order) -> None:
        """Stop it, when the order follows from the quote; note a cancel, which no full disk may hold back."""
        action, state = order.action, order.state
        if state == _ROUTED and action == _NEW:
            moment, sent_ns = self._moment, self._sent_ns
            if self._root == moment.correlation_seq:
                self.tick_to_order.record(time.perf_counter_ns() - self._begun_ns)
            if len(sent_ns) >= UNANSWERED_MAX:
                del sent_ns[next(iter(sent_ns))]
            sent_ns[order.order_id] = moment.now_ns
        elif action in _CANCELS:
            self.cancel_seqs.add(self._moment.seq)
        elif state == _REFUSED:
            key = (order.strategy_id, order.reason)
            self.refused[key] = self.refused.get(key, 0) + 1

    def on_execution_report(self, report: ExecutionReport) -> None:
        """Note how long the venue took to answer an order for the first time."""
        sent_ns = self._sent_ns.pop(report.order_id, None)
        if sent_ns is not None:
            took_ns = self._moment.now_ns - sent_ns
            if took_ns:
                self.venue_answer.record(took_ns)
            else:
                self.venue_answer.counts[0] += 1  # as `record` does, for a market inside, which always answers at once

    def on_pnl(self, pnl: Pnl) -> None:
        """Keep a strategy's total."""
        if not pnl.listing_id:
            self.pnl_micro[pnl.strategy_id] = pnl.realised_micro + pnl.unrealised_micro - pnl.fees_micro

    def on_alert(self, alert: Alert) -> None:
        """Count it."""
        self.alerts[alert.severity] = self.alerts.get(alert.severity, 0) + 1
