"""Plugins that load a kernel in real time: a market outside that floods it with quotes, a strategy that never rests.

Every order and cancel leaves as an effect, which writes the machine's monotonic clock into a file: `bench operate`
reads there when the last cancel had left.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from penstock_sdk.events import (
    CheckVerdict,
    ContractDefinition,
    ExecutionReport,
    IdKind,
    IntentAction,
    ListingDefinition,
    Order,
    OrderState,
    Quote,
    ReportKind,
    ZoneDefinition,
)
from penstock_sdk.plugin import Outcome, RiskCheck, Strategy, Venue
from penstock_sdk.schema import Event

__all__ = ["SENT", "LoadCheck", "LoadQuoter", "LoadVenue"]

SENT: Final = struct.Struct("<qq")
"""What stands in the witness's file for each effect: `IntentAction`, monotonic ns."""
QUARTER_HOUR_NS: Final = 900_000_000_000
PRICE_TICKS: Final = 5_000
ORDERS_AT_ONCE: Final = 20


class LoadVenueConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of a market there is, and where it says what has left."""

    witness: str = ""
    listings: int = 96
    quotes_per_poll: int = 64
    """Quotes at a look of the kernel; 64 are as many as it takes at a time."""
    pause_us: int = 0
    """The least time between two such looks, in microseconds; 0 keeps the kernel busy without rest."""


class LoadVenue(Venue):
    """A market outside whose orders rest until they are cancelled."""

    Config = LoadVenueConfig
    config: LoadVenueConfig

    def __init__(self, ctx: Any, config: Any = None) -> None:
        super().__init__(ctx, config)
        self._said: list[Event] = []
        self._listings: list[int] = []
        self._next = self._due_ns = 0
        self._fd = os.open(self.config.witness, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def on_start(self) -> Outcome:
        """Return the definitions."""
        ctx = self.ctx
        zone, currency = ctx.intern(IdKind.ZONE, "LOAD"), ctx.intern(IdKind.CURRENCY, "EUR")
        out: list[Event] = [ZoneDefinition(zone_id=zone, code="LOAD", timezone="Etc/UTC", currency="EUR")]
        for number in range(self.config.listings):
            name, start_ns = f"Q{number:03}", number * QUARTER_HOUR_NS
            contract, listing = ctx.intern(IdKind.CONTRACT, name), ctx.intern(IdKind.LISTING, f"{name}@load")
            self._listings.append(listing)
            out += [
                ContractDefinition(
                    contract_id=contract, name=name, zone_id=zone, product="QH", delivery_start_ns=start_ns,
                    delivery_end_ns=start_ns + QUARTER_HOUR_NS, currency_id=currency,
                ),
                ListingDefinition(
                    listing_id=listing, contract_id=contract, venue_id=ctx.plugin_id, name=f"{name}@load",
                    tick_micro=10_000, lot_kw=100, price_min_ticks=-999_900, price_max_ticks=999_900, opens_ns=0,
                    gate_closure_ns=2**62, cash_micro_per_lot_tick=250, interval_start_ns=start_ns,
                    interval_ns=QUARTER_HOUR_NS, interval_count=1,
                ),
            ]  # fmt: skip
        return out

    def on_order(self, order: Order) -> Outcome:
        """Send what is new, cancel what is to go."""
        if order.state in (OrderState.ROUTED, OrderState.PENDING_CANCEL):
            self.ctx.effect(self._send, order)
        return None

    def _send(self, order: Order) -> None:
        os.write(self._fd, SENT.pack(order.action, time.monotonic_ns()))
        new = order.action == IntentAction.NEW
        kind, left_lots = (ReportKind.ACCEPTED, order.qty_lots) if new else (ReportKind.CANCELLED, 0)
        self._said.append(ExecutionReport(order.order_id, order.listing_id, kind, order.side, leaves_lots=left_lots))

    def poll(self) -> Sequence[Event]:
        """Return what became of orders, and the next quotes."""
        said, self._said = self._said, []
        now_ns = time.monotonic_ns()
        if now_ns < self._due_ns:
            return said
        self._due_ns = now_ns + self.config.pause_us * 1_000
        for _ in range(self.config.quotes_per_poll):
            self._next = (self._next + 1) % len(self._listings)
            said.append(
                Quote(
                    self._listings[self._next], bid_ticks=PRICE_TICKS, bid_lots=10, ask_ticks=PRICE_TICKS + 10,
                    ask_lots=10,
                )
            )  # fmt: skip
        return said


class LoadQuoterConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many orders it keeps at the market, and how often it replaces one."""

    orders: int = 100
    replace_every: int = 8
    """One quote in so many replaces its oldest order."""


class LoadQuoter(Strategy):
    """Keeps so many orders at the market, and replaces the oldest again and again."""

    Config = LoadQuoterConfig
    config: LoadQuoterConfig

    def __init__(self, ctx: Any, config: Any = None) -> None:
        super().__init__(ctx, config)
        self._open: dict[int, int] = {}
        """Listing by order, oldest first; also those whose fate is not known yet."""
        self._going: set[int] = set()
        self._quotes = 0

    def on_quote(self, quote: Quote) -> Outcome:
        """Return more orders while there are too few, or one for the oldest."""
        missing = self.config.orders - len(self._open)
        if missing > 0:
            return [self.buy(quote.listing_id, quote.bid_ticks, 1) for _ in range(min(missing, ORDERS_AT_ONCE))]
        self._quotes += 1
        if self._quotes % self.config.replace_every:
            return None
        oldest = next(iter(self._open))
        if oldest in self._going:
            return None
        return self.cancel(oldest, self._open[oldest])

    def on_order(self, order: Order) -> Outcome:
        """Note what has left."""
        if order.state == OrderState.ROUTED and order.action == IntentAction.NEW:
            self._open[order.order_id] = order.listing_id
        elif order.action == IntentAction.CANCEL:
            self._going.add(order.order_id)
        return None

    def on_execution_report(self, report: ExecutionReport) -> Outcome:
        """Forget what is over."""
        if report.kind == ReportKind.CANCELLED:
            self._open.pop(report.order_id, None)
            self._going.discard(report.order_id)
        return None


class LoadCheck(RiskCheck):
    """Lets every order pass: without any check no order leaves."""

    def check_order(self, order: Order) -> CheckVerdict:
        """Return that it may."""
        return self.passed(order)
