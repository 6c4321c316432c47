"""Small plugins for the tests of plugins in processes of their own; each is the same class in the kernel's process."""

from __future__ import annotations

import os
import signal
from typing import Any

import msgspec

from penstock_sdk.events import (
    ContractDefinition,
    ExecutionReport,
    IdKind,
    IntentAction,
    ListingDefinition,
    Order,
    Quote,
    ReportKind,
    Severity,
    TaskResult,
    Timer,
    ZoneDefinition,
)
from penstock_sdk.plugin import Model, Outcome, RiskCheck, Strategy, Venue

QUARTER_NS = 900_000_000_000


class MarketConfig(msgspec.Struct, frozen=True):
    """When it says what."""

    every_ms: int = 50


class ToyMarket(Venue):
    """Lists one contract at its start and another after its third quote.

    Fills every order at its price; one below 50 ticks rests.
    """

    Config = MarketConfig
    embedded = True

    def on_start(self) -> Outcome:
        """Announce the first contract, and begin to quote."""
        self.ctx.set_timer(self.ctx.now_ns + self.config.every_ms * 1_000_000, 1)
        zone_id = self.ctx.intern(IdKind.ZONE, "TOY")
        return [ZoneDefinition(zone_id=zone_id, code="TOY", timezone="Etc/UTC", currency="EUR"), *self._list("one")]

    def _list(self, name: str) -> list[Any]:
        ctx = self.ctx
        start_ns = (ctx.now_ns // QUARTER_NS + 100) * QUARTER_NS
        contract_id, listing_id = ctx.intern(IdKind.CONTRACT, name), ctx.intern(IdKind.LISTING, name)
        ctx.state[name] = listing_id
        return [
            ContractDefinition(
                contract_id=contract_id, name=name, zone_id=1, product="QH", delivery_start_ns=start_ns,
                delivery_end_ns=start_ns + QUARTER_NS, currency_id=ctx.intern(IdKind.CURRENCY, "EUR"),
            ),
            ListingDefinition(
                listing_id=listing_id, contract_id=contract_id, venue_id=ctx.plugin_id, name=name, tick_micro=10_000,
                lot_kw=100, price_min_ticks=-100_000, price_max_ticks=100_000, opens_ns=ctx.now_ns,
                gate_closure_ns=start_ns, cash_micro_per_lot_tick=250, interval_start_ns=start_ns,
                interval_ns=QUARTER_NS, interval_count=1,
            ),
        ]  # fmt: skip

    def on_timer(self, timer: Timer) -> Outcome:
        """Quote; at the third time announce the second contract."""
        count = timer.tag
        self.ctx.set_timer(self.ctx.now_ns + self.config.every_ms * 1_000_000, count + 1)
        said: list[Any] = self._list("two") if count == 3 else []
        said += [
            Quote(listing_id, bid_ticks=90 + count % 5, bid_lots=9, ask_ticks=110, ask_lots=9)
            for name in ("one", "two")
            if (listing_id := self.ctx.state.get(name))
        ]
        return said

    def on_order(self, order: Order) -> Outcome:
        """Fill it."""
        if order.price_ticks < 50:
            kind = ReportKind.ACCEPTED if order.action == IntentAction.NEW else ReportKind.CANCELLED
            return ExecutionReport(order.order_id, order.listing_id, kind, leaves_lots=order.qty_lots)
        if order.action != 1:
            return ExecutionReport(order.order_id, order.listing_id, ReportKind.CANCEL_REJECTED)
        return ExecutionReport(
            order.order_id, order.listing_id, ReportKind.FILL, last_ticks=order.price_ticks, last_lots=order.qty_lots
        )


class ToyBuyer(Strategy):
    """Buys a lot at every quote, up to twenty; a restart goes on counting."""

    def on_quote(self, quote: Quote) -> Outcome:
        """Buy."""
        listing = self.ctx.listing(quote.listing_id)
        bought = self.ctx.state.get("bought", 0)
        if listing is None or bought >= 20:
            return None
        self.ctx.state["bought"] = bought + 1
        return self.buy(quote.listing_id, quote.ask_ticks, 1)


class EagerConfig(msgspec.Struct, frozen=True):
    """How it fares."""

    dies: bool = False
    """At its first timer its process ends, once."""


class ToyEager(Strategy):
    """Buys what is listed as soon as it is, which may be before its start; what rests is cancelled when it stops."""

    Config = EagerConfig
    config: EagerConfig

    def on_listing_definition(self, listing: ListingDefinition) -> Outcome:
        """Buy, and look again a little later; the listing's names are known."""
        self.ctx.state["listing"] = listing.listing_id
        self.ctx.set_timer(self.ctx.now_ns + 70_000_000, tag=len(self.ctx.state["fills"]) if self._begun else -1)
        name = self.ctx.name_of(IdKind.LISTING, listing.listing_id)
        said = self.ctx.alert("toy.listed", Severity.INFO, f"{name} {self.ctx.listing(listing.listing_id).name}")
        self.ctx.effect(self.ctx.log.info, "it has been written")
        return [said, self.buy(listing.listing_id, 110, 1), self.buy(listing.listing_id, 40, 1)]

    @property
    def _begun(self) -> bool:
        return "fills" in self.ctx.state

    def on_start(self) -> Outcome:
        """Say what it heard before."""
        heard = self.ctx.state.get("early", 0)
        self.ctx.state["fills"] = []
        return self.ctx.alert("toy.started", Severity.INFO, met=f"{heard} reports before the start")

    def on_timer(self, timer: Timer) -> Outcome:
        """Say that it is time."""
        folder = self.ctx.run_dir
        if self.config.dies and folder is not None and not (folder / "died").exists():
            (folder / "died").write_text("once")
            os.kill(os.getpid(), signal.SIGKILL)
        return self.ctx.alert("toy.timer", Severity.INFO, met=f"timer {timer.timer_id} of tag {timer.tag}")

    def on_execution_report(self, report: ExecutionReport) -> Outcome:
        """Count what comes early; say what comes of the stop."""
        if self.ctx.state.get("stopping"):
            return self.ctx.alert(
                "toy.last", Severity.INFO, met=f"report {report.kind}, {self.ctx.state['early']} early"
            )
        if not self._begun:
            self.ctx.state["early"] = self.ctx.state.get("early", 0) + 1
        return None

    def on_stop(self) -> Outcome:
        """Cancel what rests."""
        self.ctx.state["stopping"] = True
        return self.cancel_all()


class ToyThief(Strategy):
    """Orders at every quote, which its manifest does not let it."""

    def on_quote(self, quote: Quote) -> Outcome:
        """Try."""
        return self.buy(quote.listing_id, quote.ask_ticks, 1)


class ToyCheck(RiskCheck):
    """Lets all pass but every fifth."""

    def check_order(self, order: Order) -> Any:
        """Count."""
        count = self.ctx.state["asked"] = self.ctx.state.get("asked", 0) + 1
        return self.refused(order, 22) if count % 5 == 0 else self.passed(order)


class ToyWorker(Model):
    """Submits work at its first quote, and says what came of it; raises at its second."""

    def on_quote(self, quote: Quote) -> Outcome:
        """Submit, or raise."""
        count = self.ctx.state["quotes"] = self.ctx.state.get("quotes", 0) + 1
        if count == 1:
            self.ctx.submit(pow, 7, 2)
        elif count == 2:
            raise ValueError("the second quote")
        return None

    def on_task_result(self, result: TaskResult) -> Outcome:
        """Say it."""
        return self.ctx.alert("toy.worked", Severity.INFO, met=str(result.value))


class ToyManyWorker(Model):
    """Submits work that takes no time at every quote: its result is there before the kernel has taken the answer."""

    def on_quote(self, quote: Quote) -> Outcome:
        """Submit."""
        self.ctx.state["asked"] = self.ctx.state.get("asked", 0) + 1
        self.ctx.submit(pow, self.ctx.state["asked"], 2)

    def on_task_result(self, result: TaskResult) -> Outcome:
        """Say it."""
        return self.ctx.alert("toy.worked", Severity.INFO, met=str(result.value))
