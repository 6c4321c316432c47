"""A market of six small plugins: a feed, a strategy that never rests, a check, venues inside and outside, an acker.

What is outside is the witness, another process at the end of a Unix socket (`loop_witness`). Lines of JSON go both
ways. Everything that goes out goes as an effect, so whatever the witness gets is an acknowledgement: it is written.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, ClassVar

import msgspec

from penstock_sdk.events import (
    CheckVerdict,
    ContractDefinition,
    ExecutionReport,
    IdKind,
    IntentAction,
    Limit,
    LimitKind,
    Liquidity,
    ListingDefinition,
    Order,
    OrderState,
    Quote,
    Reason,
    ReportKind,
    Side,
    ZoneDefinition,
)
from penstock_sdk.plugin import Feed, Operations, Outcome, RiskCheck, Strategy, Venue
from penstock_sdk.schema import Event, Frame

QUARTER_HOUR_NS = 900_000_000_000
QTY_MAX_LOTS = 50


class TickerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many quotes, and how far apart."""

    count: int = 100_000
    step_us: int = 2_000


class Ticker(Feed):
    """A price that wanders, the same for the same seed."""

    Config = TickerConfig

    def events(self) -> Iterator[tuple[int, Event]]:
        """Yield a quote every step from the run's start on."""
        start_ns = self.ctx.state.setdefault("start_ns", self.ctx.now_ns)
        listing_id = self.ctx.listings()[0].listing_id
        mid_ticks = 5_000
        for at in range(1, self.config.count + 1):
            mid_ticks += int(self.ctx.random.integers(-3, 4))
            yield (
                start_ns + at * self.config.step_us * 1_000,
                Quote(listing_id, 1, 1, 0, mid_ticks - 1, 5, mid_ticks + 1, 5),
            )


class ChurnerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often it orders."""

    every: int = 3
    open_max: int = 6


class Churner(Strategy):
    """Orders at every so many quotes, cancels the oldest when too many are open, now and then asks for too much."""

    Config = ChurnerConfig

    def on_quote(self, quote: Quote) -> Outcome:
        """Return a new order, and a cancel when many are open."""
        state = self.ctx.state
        state["quotes"] = state.get("quotes", 0) + 1
        if state["quotes"] % self.config.every:
            return None
        number = state["quotes"] // self.config.every
        qty_lots = 10 * QTY_MAX_LOTS if number % 11 == 0 else 1 + number % 5
        side, price_ticks = (Side.BUY, quote.bid_ticks) if number % 2 else (Side.SELL, quote.ask_ticks)
        out: list[Event] = [self.intent(quote.listing_id, side, price_ticks, qty_lots)]
        held = state.setdefault("open", [])
        if len(held) >= self.config.open_max:
            out.append(self.cancel(held.pop(0), quote.listing_id))
        return out

    def on_order(self, order: Order) -> Outcome:
        """Note an order that has left."""
        if order.state == OrderState.ROUTED and order.action == IntentAction.NEW:
            self.ctx.state.setdefault("open", []).append(order.order_id)

    def on_execution_report(self, report: ExecutionReport) -> Outcome:
        """Forget an order that is over, add up what was dealt."""
        state = self.ctx.state
        if report.kind == ReportKind.FILL:
            sign = 1 if report.side == Side.BUY else -1
            state["net_lots"] = state.get("net_lots", 0) + sign * report.last_lots
        over = report.leaves_lots == 0 and report.kind not in (ReportKind.ACCEPTED, ReportKind.CANCEL_REJECTED)
        if over and report.order_id in state.get("open", []):
            state["open"].remove(report.order_id)

    def on_stop(self) -> Outcome:
        """Leave nothing open."""
        return self.cancel_all()


class LotCheck(RiskCheck):
    """Refuses orders larger than the announced limit."""

    def on_limit(self, limit: Limit) -> Outcome:
        """Keep the size limit."""
        if limit.kind == LimitKind.QTY_MAX_LOTS:
            self.ctx.state["qty_max_lots"] = limit.value

    def check_order(self, order: Order) -> CheckVerdict:
        """Return the verdict on one order."""
        most = self.ctx.state.get("qty_max_lots", QTY_MAX_LOTS)
        if order.qty_lots > most:
            return self.refused(order, Reason.QTY_MAX, order.qty_lots, most)
        return self.passed(order)


class _Listed(Venue):
    """A venue that lists one quarter-hour."""

    def on_start(self) -> Outcome:
        """Return the definitions."""
        ctx = self.ctx
        zone_id, currency_id = ctx.intern(IdKind.ZONE, "TEST"), ctx.intern(IdKind.CURRENCY, "EUR")
        contract_id, listing_id = ctx.intern(IdKind.CONTRACT, "QH1"), ctx.intern(IdKind.LISTING, "QH1@test")
        return [
            ZoneDefinition(zone_id=zone_id, code="TEST", timezone="Etc/UTC", currency="EUR"),
            ContractDefinition(
                contract_id=contract_id, name="QH1", zone_id=zone_id, product="QH", delivery_start_ns=0,
                delivery_end_ns=QUARTER_HOUR_NS, currency_id=currency_id,
            ),
            ListingDefinition(
                listing_id=listing_id, contract_id=contract_id, venue_id=ctx.plugin_id, name="QH1@test",
                tick_micro=10_000, lot_kw=100, price_min_ticks=-999_900, price_max_ticks=999_900, opens_ns=0,
                gate_closure_ns=2**62, cash_micro_per_lot_tick=250, interval_start_ns=0, interval_ns=QUARTER_HOUR_NS,
                interval_count=1,
            ),
        ]  # fmt: skip


class InnerVenue(_Listed):
    """A market place in the process: orders rest, and every second quote fills the oldest in parts of two lots."""

    embedded = True
    sent: ClassVar[list[int]] = []
    """Numbers of the orders whose effect has happened, in this process: a test's own witness."""

    def on_order(self, order: Order) -> Outcome:
        """Take an order or a cancel, and say so."""
        self.ctx.effect(self.sent.append, self.ctx.seq)
        book = self.ctx.state.setdefault("book", [])
        if order.action == IntentAction.NEW:
            book.append([order.order_id, int(order.side), order.price_ticks, order.qty_lots])
            return self._report(book[-1], ReportKind.ACCEPTED)
        for entry in book:
            if entry[0] == order.order_id:
                book.remove(entry)
                entry[3] = 0
                return self._report(entry, ReportKind.CANCELLED)
        return ExecutionReport(order.order_id, order.listing_id, ReportKind.CANCEL_REJECTED, order.side)

    def on_quote(self, _quote: Quote) -> Outcome:
        """Fill something of the oldest order."""
        state = self.ctx.state
        state["quotes"] = state.get("quotes", 0) + 1
        book = state.get("book", [])
        if state["quotes"] % 2 or not book:
            return None
        entry = book[0]
        lots = min(2, entry[3])
        entry[3] -= lots
        if not entry[3]:
            book.pop(0)
        return self._report(entry, ReportKind.FILL, lots)

    def _report(self, entry: list[int], kind: ReportKind, lots: int = 0) -> ExecutionReport:
        listing_id = self.ctx.listings()[0].listing_id
        return ExecutionReport(
            entry[0], listing_id, kind, entry[1], Liquidity.MAKER, last_ticks=entry[2], last_lots=lots,
            leaves_lots=entry[3],
        )  # fmt: skip


class Assassin(Operations):
    """Kills its own process -9 once as many events have been numbered as ``PENSTOCK_TEST_KILL_AT`` says.

    An environment variable, since a config is part of the deployment. At an even number it does so in the handler, amid
    a cascade; at an odd one in an effect, when the batch has just been written.
    """

    def on_quotes(self, _frame: Frame) -> Outcome:
        """Kill, when it is time."""
        at = int(os.environ.get("PENSTOCK_TEST_KILL_AT", 0))
        if at and self.ctx.seq >= at:
            if at % 2:
                self.ctx.effect(_die)
            else:
                _die()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


# -- to the witness ----------------------------------------------------------------------------------------------------


class Link:
    """The socket to the witness, one for all plugins of the process; connects at the first word."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._rest = b""

    @classmethod
    def to(cls, path: str) -> Link:
        """Return the process's link to the witness at *path*."""
        return _LINKS.setdefault(path, cls(path))

    @property
    def begun(self) -> bool:
        """True once it is connected."""
        return self._socket is not None

    def begin(self, last_report: int) -> None:
        """Connect, and have every report after *last_report* sent again."""
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(self._path)
            self.say(do="hello", after=last_report, pid=os.getpid())

    def say(self, **message: Any) -> None:
        """Send one line; blocks until it is taken."""
        assert self._socket is not None
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def wait(self, seq: int) -> None:
        """Wait until the witness has logged the message of that number: it may kill while we do."""
        assert self._socket is not None
        taken = b'{"taken": %d}\n' % seq
        while taken not in self._rest:
            self._rest += self._socket.recv(1 << 16)
        self._rest = self._rest.replace(taken, b"")

    def heard(self) -> list[dict[str, Any]]:
        """Return the whole lines that have come in."""
        assert self._socket is not None
        with suppress(BlockingIOError):
            self._rest += self._socket.recv(1 << 20, socket.MSG_DONTWAIT)
        *lines, self._rest = self._rest.split(b"\n")
        return [json.loads(line) for line in lines]


_LINKS: dict[str, Link] = {}


class WitnessConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the witness listens."""

    socket: str = ""


class WitnessVenue(_Listed):
    """A venue outside: orders leave as effects, reports come by polling; numbers in ``venue_ref`` let it resume."""

    Config = WitnessConfig

    def on_order(self, order: Order) -> Outcome:
        """Send, or ask where the order stands, once it is written."""
        asks = order.action == IntentAction.NEW and order.state == OrderState.IN_DOUBT
        do = "ask" if asks else "new" if order.action == IntentAction.NEW else "cancel"
        self.ctx.effect(self._send, do, order, self.ctx.seq)

    def on_execution_report(self, report: ExecutionReport) -> Outcome:
        """Keep the number of the last report that is in the journal."""
        self.ctx.state["last_report"] = max(self.ctx.state.get("last_report", 0), report.venue_ref)

    def poll(self) -> Sequence[Event]:
        """Return the reports that have come in."""
        link = self._link()
        return [
            ExecutionReport(
                said["id"], said["listing"], said["kind"], said["side"], Liquidity.MAKER, last_ticks=said["ticks"],
                last_lots=said["lots"], leaves_lots=said["leaves"], trade_id=said["n"], venue_ref=said["n"],
            )
            for said in link.heard()
        ]  # fmt: skip

    def _link(self) -> Link:
        link = Link.to(self.config.socket)
        link.begin(self.ctx.state.get("last_report", 0))
        return link

    def _send(self, do: str, order: Order, seq: int) -> None:
        self._link().say(
            do=do, seq=seq, id=order.order_id, listing=order.listing_id, side=int(order.side), qty=order.qty_lots,
            filled=order.filled_lots, ticks=order.price_ticks, body=Order.layout.pack(order).hex(),
        )  # fmt: skip
        self._link().wait(seq)


class HastyVenue(WitnessVenue):
    """The mistake that the kill loop must find: it sends in the handler, before the order is written."""

    def on_order(self, order: Order) -> Outcome:
        """Send at once."""
        self._send("new" if order.action == IntentAction.NEW else "cancel", order, self.ctx.seq)


class Acker(Operations):
    """Tells the witness what is written: every order and report, and one quote in sixteen."""

    Config = WitnessConfig

    def on_order(self, order: Order) -> Outcome:
        """Acknowledge an order."""
        self.ctx.effect(self._ack, order, self.ctx.seq)

    def on_execution_report(self, report: ExecutionReport) -> Outcome:
        """Acknowledge a report."""
        self.ctx.effect(self._ack, report, self.ctx.seq)

    def on_quote(self, quote: Quote) -> Outcome:
        """Acknowledge a quote now and then."""
        if self.ctx.seq % 16 == 0:
            self.ctx.effect(self._ack, quote, self.ctx.seq)

    def _ack(self, record: Any, seq: int) -> None:
        link = Link.to(self.config.socket)
        if link.begun:  # the venue begins it: it knows which report was the last
            link.say(do="ack", seq=seq, schema=record.layout.id, body=record.layout.pack(record).hex())
