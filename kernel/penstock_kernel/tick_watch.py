"""The kernel's own stopwatch: from a quote to a checked order, in wall time, outside the journal."""

from __future__ import annotations

import time
from array import array

from penstock_sdk.context import Moment
from penstock_sdk.events import IntentAction, Order, OrderState, Quote
from penstock_sdk.schema import Frame

__all__ = ["TickWatch"]


class TickWatch:
    """Measures the wall time from a quote's numbering to a checked order at its venue, outside the journal."""

    def __init__(self, moment: Moment) -> None:
        self._moment = moment
        self._root = -1
        self._begun_ns = 0
        self.samples_ns = array("q")
        self.cancel_seqs: set[int] = set()
        """Numbers of the cancels that are not written yet."""

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
        if order.action in (IntentAction.CANCEL, IntentAction.CANCEL_ALL):
            self.cancel_seqs.add(self._moment.seq)
        elif (
            order.state == OrderState.ROUTED
            and order.action == IntentAction.NEW
            and self._root == self._moment.correlation_seq
        ):
            self.samples_ns.append(time.perf_counter_ns() - self._begun_ns)
