"""A market outside the process, a strategy that quotes there, and one that hangs when a file says so."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
    Reconcile,
    Reconciled,
    ReportKind,
    Side,
    Timer,
    ZoneDefinition,
)
from penstock_sdk.plugin import Outcome, RiskCheck, Strategy, Venue
from penstock_sdk.schema import Event

QUARTER_HOUR_NS = 900_000_000_000


class MarketConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the market listens: a Unix socket."""

    socket: str = ""


def connect(path: str) -> socket.socket:
    """Return a connection to the market."""
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(10)
    link.connect(path)
    return link


def ask(link: socket.socket, **message: Any) -> dict[str, Any]:
    """Say one line and return the answer."""
    link.sendall(json.dumps(message).encode() + b"\n")
    data = b""
    while not data.endswith(b"\n"):
        more = link.recv(1 << 16)
        if not more:
            raise ConnectionError("the market hung up")
        data += more
    answer: dict[str, Any] = json.loads(data)
    return answer


class HangVenue(Venue):
    """Orders rest at the market until they are cancelled. Every answer comes back by the next poll."""

    Config = MarketConfig

    def __init__(self, ctx: Any, config: Any = None) -> None:
        super().__init__(ctx, config)
        self._said: list[Event] = []
        self._link: socket.socket | None = None

    def on_start(self) -> Outcome:
        """Return the definitions."""
        ctx = self.ctx
        zone, currency = ctx.intern(IdKind.ZONE, "TEST"), ctx.intern(IdKind.CURRENCY, "EUR")
        contract, listing = ctx.intern(IdKind.CONTRACT, "QH1"), ctx.intern(IdKind.LISTING, "QH1@test")
        return [
            ZoneDefinition(zone_id=zone, code="TEST", timezone="Etc/UTC", currency="EUR"),
            ContractDefinition(
                contract_id=contract, name="QH1", zone_id=zone, product="QH", delivery_start_ns=0,
                delivery_end_ns=QUARTER_HOUR_NS, currency_id=currency,
            ),
            ListingDefinition(
                listing_id=listing, contract_id=contract, venue_id=ctx.plugin_id, name="QH1@test", tick_micro=10_000,
                lot_kw=100, price_min_ticks=-999_900, price_max_ticks=999_900, opens_ns=0, gate_closure_ns=2**62,
                cash_micro_per_lot_tick=250, interval_start_ns=0, interval_ns=QUARTER_HOUR_NS, interval_count=1,
            ),
        ]  # fmt: skip

    def on_order(self, order: Order) -> Outcome:
        """Send what is new, cancel what is to go; what is in doubt is asked for by `on_reconcile`."""
        if order.action == IntentAction.NEW and order.state == OrderState.ROUTED:
            self.ctx.effect(self._send, "new", order)
        elif order.action == IntentAction.CANCEL:
            self.ctx.effect(self._send, "cancel", order)

    def on_reconcile(self, question: Reconcile) -> Outcome:
        """Ask the market what is open there."""
        self.ctx.effect(self._reconcile, question, self.ctx.listings()[0].listing_id)

    def poll(self) -> Sequence[Event]:
        """Return what the market has said."""
        said, self._said = self._said, []
        return said

    def _market(self) -> socket.socket:
        self._link = self._link or connect(self.config.socket)
        return self._link

    def _send(self, do: str, order: Order) -> None:
        answer = ask(self._market(), do=do, id=order.order_id)
        kinds = {"resting": ReportKind.ACCEPTED, "cancelled": ReportKind.CANCELLED}
        kind = kinds.get(answer["is"], ReportKind.CANCEL_REJECTED)
        leaves = order.qty_lots if kind == ReportKind.ACCEPTED else 0
        self._said.append(ExecutionReport(order.order_id, order.listing_id, kind, order.side, leaves_lots=leaves))

    def _reconcile(self, question: Reconcile, listing_id: int) -> None:
        at_market = set(ask(self._market(), do="list")["ids"])
        gone = [order_id for order_id, _ in question.orders if order_id not in at_market]
        for order_id in gone:
            self._said.append(ExecutionReport(order_id, listing_id, ReportKind.CANCELLED, Side.BUY))
        for order_id, _ in question.orders:
            if order_id in at_market:
                self._said.append(ExecutionReport(order_id, listing_id, ReportKind.ACCEPTED, Side.BUY, leaves_lots=1))
        self._said.append(
            Reconciled(
                venue_id=self.ctx.plugin_id, epoch=question.epoch, confirmed=len(question.orders) - len(gone),
                corrected=len(gone),
            )
        )  # fmt: skip

    @staticmethod
    def cancel_all_outside(config: MarketConfig) -> int:
        """Cancel everything over a connection of its own."""
        with connect(config.socket) as link:
            return int(ask(link, do="cancel_all", who=os.getpid())["cancelled"])


class PlainVenue(HangVenue):
    """The same market, which can only be spoken to by the kernel."""

    cancel_all_outside = None


class QuoterConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many orders it leaves at the market in all."""

    orders: int = 3


class Quoter(Strategy):
    """Leaves one order at the market every 20 ms, until there are enough."""

    Config = QuoterConfig

    def on_start(self) -> Outcome:
        """Begin."""
        self.ctx.set_timer(self.ctx.now_ns + 20_000_000)

    def on_resume(self) -> Outcome:
        """Go on."""
        return self.on_start()

    def on_timer(self, _timer: Timer) -> Outcome:
        """Send one more; one that is refused, as before the market has answered, counts for nothing."""
        if self.ctx.state.get("sent", 0) >= self.config.orders:
            return None
        self.ctx.set_timer(self.ctx.now_ns + 20_000_000)
        return self.buy(self.ctx.listings()[0].listing_id, 1_000, 1)

    def on_order(self, order: Order) -> Outcome:
        """Count what has left."""
        if order.action == IntentAction.NEW and order.state == OrderState.ROUTED:
            self.ctx.state["sent"] = self.ctx.state.get("sent", 0) + 1


class StuckConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file that says how to hang, python, c, sleep, brief or crash, or when: resume, stop."""

    when: str = ""
    orders: int = 2


class Stuck(Quoter):
    """Quotes as well, and looks every 20 ms whether it is to hang."""

    Config = StuckConfig

    def on_timer(self, timer: Timer) -> Outcome:
        """Hang, when it is time."""
        out = super().on_timer(timer)
        self.ctx.set_timer(self.ctx.now_ns + 20_000_000)
        path = Path(self.config.when)
        how = path.read_text() if path.exists() else ""
        if how not in ("", "resume", "stop"):
            path.unlink()
            self.hang(how)
        return out

    def on_resume(self) -> Outcome:
        """Hang before anything is said, when it is time."""
        self._hang_if("resume")
        return super().on_resume()

    def on_stop(self) -> Outcome:
        """Hang at the end, when it is time."""
        self._hang_if("stop")

    def _hang_if(self, when: str) -> None:
        path = Path(self.config.when)
        if path.exists() and path.read_text() == when:
            path.unlink()
            self.hang("c")

    def hang(self, how: str) -> None:
        """Hang in one of several ways."""
        if how == "python":
            while True:
                pass
        elif how == "c":
            sum(itertools.repeat(0))  # no Python runs in it, ever again
        elif how == "sleep":
            time.sleep(3600)
        elif how == "brief":
            time.sleep(0.35)
        elif how == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)


class AllPass(RiskCheck):
    """Lets every order pass."""

    def check_order(self, order: Order) -> CheckVerdict:
        """Return that it may."""
        return self.passed(order)
