"""A strategy that makes history at a venue outside, keeps orders resting there, and writes down when it trades again.

First it places and cancels, until it has sent as many orders as its config says; then it lets some rest. Whenever the
venue has told where all of them stand, it sends one more, which it cancels once the venue has acknowledged it.
"""

from __future__ import annotations

import os
import time
from enum import IntEnum
from typing import Any

import msgspec

from penstock_kernel.bench.load import SENT
from penstock_sdk.events import (
    ExecutionReport,
    IntentAction,
    ListingDefinition,
    Order,
    OrderIntent,
    OrderState,
    Reconciled,
    ReportKind,
)
from penstock_sdk.plugin import Outcome, Strategy

__all__ = ["Mark", "RestingQuoter"]

PRICE_TICKS = 5_000
AT_ONCE = 50
"""Orders that are under way while history is made."""


class Mark(IntEnum):
    """What the strategy writes into its file, each with the machine's monotonic clock, packed as `load.SENT`."""

    RECONCILED = 1
    """The venue has told where every order stands."""
    ACKNOWLEDGED = 2
    """The venue has the first order after that."""
    RESTING = 3
    """All orders that are to rest do, and nothing else is under way."""


class RestingQuoterConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much history it makes, and what is left of it."""

    witness: str = ""
    orders: int = 100
    """How many rest in the end."""
    history_orders: int = 10_000
    """How many it sends until then."""


class State(msgspec.Struct):
    """What it remembers."""

    listings: list[int] = []
    sent: int = 0
    standing: int = 0
    """Orders asked for that have not ended."""
    resting: set[int] = set()
    probe: int = 0
    """The order that shows that it trades again; -1: it is about to be sent, 0: there is none."""


class RestingQuoter(Strategy):
    """Places and cancels, then lets orders rest."""

    Config = RestingQuoterConfig
    config: RestingQuoterConfig

    def __init__(self, ctx: Any, config: Any = None) -> None:
        super().__init__(ctx, config)
        self._state = State()
        self._fd = os.open(self.config.witness, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def on_listing_definition(self, listing: ListingDefinition) -> Outcome:
        """Learn where it can trade."""
        if listing.listing_id not in self._state.listings:
            self._state.listings.append(listing.listing_id)
        return None

    def on_reconciled(self, answer: Reconciled) -> Outcome:
        """Return the first orders, or the one that shows that it trades again.

        Raises:
            ValueError: the venue does not confirm exactly what rests.
        """
        state = self._state
        if (answer.confirmed, answer.corrected, answer.foreign) != (len(state.resting), 0, 0):
            raise ValueError(f"met {answer}, wanted {len(state.resting)} orders confirmed and no other")
        self._mark(Mark.RECONCILED)
        if state.sent:
            state.probe = -1
            return self._buy()
        return [self._buy() for _ in range(min(self.config.orders, AT_ONCE))]

    def on_order(self, order: Order) -> Outcome:
        """Note the order that shows that it trades again."""
        if self._state.probe == -1 and order.action == IntentAction.NEW and order.state == OrderState.ROUTED:
            self._state.probe = order.order_id
        return None

    def on_execution_report(self, report: ExecutionReport) -> Outcome:
        """Return what comes next."""
        if report.kind == ReportKind.ACCEPTED:
            return self._accepted(report)
        state = self._state
        if report.kind == ReportKind.CANCELLED:
            state.standing -= 1
            if report.order_id == state.probe:
                state.probe = 0
                self._tell_resting()
            else:
                return self._buy()
        return None

    def _accepted(self, report: ExecutionReport) -> Outcome:
        state, config = self._state, self.config
        if report.order_id == state.probe:
            self._mark(Mark.ACKNOWLEDGED)
            return self.cancel(report.order_id, report.listing_id)
        if state.sent < config.history_orders:
            return self.cancel(report.order_id, report.listing_id)
        state.resting.add(report.order_id)
        if state.standing < config.orders:
            return self._buy()
        self._tell_resting()
        return None

    def _buy(self) -> OrderIntent:
        state = self._state
        listing_id = state.listings[state.sent % len(state.listings)]
        state.sent += 1
        state.standing += 1
        return self.buy(listing_id, PRICE_TICKS, 1)

    def _tell_resting(self) -> None:
        if len(self._state.resting) == self._state.standing == self.config.orders:
            self._mark(Mark.RESTING)

    def _mark(self, mark: Mark) -> None:
        self.ctx.effect(self._write, mark)

    def _write(self, mark: Mark) -> None:
        os.write(self._fd, SENT.pack(mark, time.monotonic_ns()))

    def snapshot(self) -> Any:
        """Return what it remembers."""
        return {"state": msgspec.msgpack.encode(self._state)}

    def restore(self, state: Any) -> None:
        """Take back what `snapshot` returned."""
        self._state = msgspec.msgpack.decode(state["state"], type=State)
