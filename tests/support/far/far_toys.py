"""A small market whose plugins run out of process, each of which kills itself when the test wants it to."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from penstock_sdk.energy import delivery_day, market_zone
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
    Reason,
    Reconcile,
    Reconciled,
    ReportKind,
    Signal,
    Timer,
    ZoneDefinition,
)
from penstock_sdk.plugin import Feed, Outcome, Portfolio, RiskCheck, Strategy, Venue
from penstock_sdk.schema import Event

STEP_NS = 1_000_000_000


class Mortal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the plugin's process dies: at its *die_at*-th call, the first *times* that it comes there."""

    die_at: int = 0
    times: int = 1
    wall: bool = False


class _Counts:
    """Counts calls in the plugin's state, and ends the process by SIGKILL."""

    def count(self: Any) -> int:
        state, config = self.ctx.state, self.config
        state["calls"] = calls = state.get("calls", 0) + 1
        if calls == config.die_at and self.ctx.run_dir is not None and "FAR_SPARED" not in os.environ:
            marks = sorted(Path(self.ctx.run_dir).glob("died-*"))
            if len(marks) < config.times:
                (Path(self.ctx.run_dir) / f"died-{len(marks)}").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return int(calls)


class FarFeed(_Counts, Feed):
    """A hundred quotes, one a second; in wall time one at each tenth poll."""

    Config = Mortal

    def __init__(self, ctx: Any, config: Any = None) -> None:
        super().__init__(ctx, config)
        self.listings: dict[str, int] = {}

    def _quote(self, number: int) -> Quote:
        name = f"F{1 + number % 2}"
        price = 100 + int(self.ctx.random_for(number + 1).integers(0, 9))
        return Quote(self.listings[name], bid_ticks=price, bid_lots=5, ask_ticks=price + 2, ask_lots=5)

    def on_start(self) -> None:
        self.on_resume()
        self.ctx.set_timer(self.ctx.now_ns + STEP_NS)

    def on_timer(self, timer: Timer) -> None:
        if self.count() < 100:
            self.ctx.set_timer(self.ctx.now_ns + STEP_NS)

    def on_resume(self) -> None:
        self.listings |= {name: self.ctx.intern(IdKind.LISTING, name) for name in ("F1", "F2")}

    def events(self) -> Iterator[tuple[int, Event]]:
        if not self.listings:
            self.on_resume()
        day = delivery_day(market_zone("DE-LU"), date(2099, 1, 2))
        for number in range(100):
            yield day.start_ns - 3_600_000_000_000 + number * STEP_NS, self._quote(number)

    def poll(self) -> list[Event]:
        number = self.count()
        return [self._quote(number)] if number % 10 == 0 else []


class Raising(Mortal, frozen=True, forbid_unknown_fields=True):
    """Calls, the first and the last of them, at which its handler raises."""

    raises: tuple[int, int] = (0, 0)


class FarVenue(_Counts, Venue):
    """Fills every second order at once, accepts the others and lets them expire after three seconds."""

    Config = Raising
    embedded = True

    def on_start(self) -> Outcome:
        ctx = self.ctx
        zone, currency = ctx.intern(IdKind.ZONE, "FAR"), ctx.intern(IdKind.CURRENCY, "EUR")
        out: list[Event] = [ZoneDefinition(zone_id=zone, code="FAR", timezone="Etc/UTC", currency="EUR")]
        for name in ("F1", "F2"):
            contract, listing = ctx.intern(IdKind.CONTRACT, name), ctx.intern(IdKind.LISTING, name)
            out.append(
                ContractDefinition(
                    contract_id=contract, name=name, zone_id=zone, product="QH", delivery_start_ns=2**61,
                    delivery_end_ns=2**61 + 900 * STEP_NS, currency_id=currency,
                )
            )  # fmt: skip
            out.append(
                ListingDefinition(
                    listing_id=listing, contract_id=contract, venue_id=ctx.plugin_id, name=name, tick_micro=10_000,
                    lot_kw=100, price_min_ticks=-999, price_max_ticks=999, opens_ns=0, gate_closure_ns=2**61,
                    cash_micro_per_lot_tick=250, interval_start_ns=2**61, interval_ns=900 * STEP_NS, interval_count=1,
                )
            )  # fmt: skip
        return out

    def on_order(self, order: Order) -> Outcome:
        number = self.count()
        if self.config.raises[0] <= number <= self.config.raises[1]:
            raise ValueError("told to fail")
        live: dict[str, int] = self.ctx.state.setdefault("live", {})
        key = str(order.order_id)
        if order.action == IntentAction.CANCEL:
            kind = ReportKind.CANCELLED if live.pop(key, None) is not None else ReportKind.CANCEL_REJECTED
            return ExecutionReport(order.order_id, order.listing_id, kind, order.side)
        if order.state == OrderState.IN_DOUBT:
            return None  # it is asked about by Reconcile
        accepted = ExecutionReport(order.order_id, order.listing_id, ReportKind.ACCEPTED, order.side)
        if number % 2:
            live[key] = order.listing_id
            self.ctx.set_timer(self.ctx.now_ns + 3 * STEP_NS, tag=order.order_id)
            return accepted
        filled = ExecutionReport(
            order.order_id, order.listing_id, ReportKind.FILL, order.side, last_ticks=order.price_ticks,
            last_lots=order.qty_lots,
        )  # fmt: skip
        return [accepted, filled]

    def on_timer(self, timer: Timer) -> Outcome:
        listing_id = self.ctx.state["live"].pop(str(timer.tag), None)
        return None if listing_id is None else ExecutionReport(timer.tag, listing_id, ReportKind.EXPIRED)

    def on_reconcile(self, question: Reconcile) -> Outcome:
        live = self.ctx.state.setdefault("live", {})
        out: list[Event] = []
        for order_id, _ in question.orders:
            kind = ReportKind.ACCEPTED if str(order_id) in live else ReportKind.CANCELLED
            out.append(ExecutionReport(order_id, 0, kind))
        return [*out, Reconciled(venue_id=question.venue_id, epoch=question.epoch)]


class FarRisk(_Counts, RiskCheck):
    """Refuses every tenth order."""

    Config = Mortal

    def check_order(self, order: Order) -> CheckVerdict:
        return self.refused(order, Reason.POSITION) if self.count() % 10 == 0 else self.passed(order)


class Failing(Mortal, frozen=True, forbid_unknown_fields=True):
    """Where a new version fails: its config hangs, its constructor raises (init), its process dies (start)."""

    fails: str = ""

    def __post_init__(self) -> None:
        while self.fails == "config":
            signal.pause()


class FarStrategy(_Counts, Strategy):
    """Buys at every quote, a lot more each time up to five."""

    Config = Failing

    def __init__(self, ctx: Any, config: Any = None) -> None:
        super().__init__(ctx, config)
        if self.config.fails == "init":
            raise ValueError("told to fail")

    def on_resume(self) -> None:
        if self.config.fails == "start":
            os.kill(os.getpid(), signal.SIGKILL)

    def on_quote(self, quote: Quote) -> Outcome:
        if quote.bid_lots == 0:
            return None  # nobody knows its price
        return self.buy(quote.listing_id, quote.bid_ticks, 1 + self.count() % 5)


class FarBook(_Counts, Portfolio):
    """Tells its lots by a timer, every ten seconds."""

    Config = Mortal

    def on_start(self) -> None:
        self.ctx.set_timer(self.ctx.now_ns + 10 * STEP_NS)

    def on_execution_report(self, report: ExecutionReport) -> None:
        self.count()
        if report.kind == ReportKind.FILL:
            lots = self.ctx.state.setdefault("lots", {})
            lots[str(report.listing_id)] = lots.get(str(report.listing_id), 0) + report.last_lots

    def on_timer(self, timer: Timer) -> Outcome:
        self.ctx.set_timer(self.ctx.now_ns + 10 * STEP_NS)
        return [
            Signal(int(listing), value=float(lots)) for listing, lots in sorted(self.ctx.state.get("lots", {}).items())
        ]
