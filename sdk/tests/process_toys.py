"""Plugins that do a bit of everything, for tests of processes; and one that stands in a kernel for a far one."""

from __future__ import annotations

import zlib
from typing import Any, ClassVar

import msgspec

from penstock_sdk.core.faults import Raised, RecordedFault
from penstock_sdk.events import (
    CheckVerdict,
    ExecutionReport,
    IdKind,
    Order,
    Quote,
    Signal,
    TaskResult,
    Timer,
    Trade,
)
from penstock_sdk.plugin import Feed, Offload, Operations, Outcome, Plugin, RiskCheck, Strategy
from penstock_sdk.process.engine import Engine
from penstock_sdk.process.envelope import Lane
from penstock_sdk.schema import ABSENT, Control, Frame, Record, schema_by_id
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES, encode_frame, encoder, padded
from penstock_sdk.wire.messages import (
    Batch,
    ConfigureRequest,
    DrainRequest,
    Instance,
    Message,
    StartRequest,
)


def packed(event: Record | Control | Frame, seq: int = 1, at_ns: int = 0, root: int = 1, producer: int = 0) -> bytes:
    """Return an event as a host sends it."""
    if isinstance(event, Frame):
        return encode_frame(event, seq, at_ns, ABSENT, root, 1, producer)
    return encoder(event.layout)(event, seq, at_ns, ABSENT, root, 1, producer)


def unpacked(frames: bytes) -> list[Any]:
    """Return the events in packed frames."""
    out: list[Any] = []
    at = 0
    while at < len(frames):
        body_bytes, schema_id, *_, count, _stride, _ = HEADER.unpack_from(frames, at)
        layout = schema_by_id(schema_id)
        body = frames[at + HEADER_BYTES : at + HEADER_BYTES + body_bytes]
        out.append(Frame.from_body(layout, body) if count > 1 else layout.unpack(body))
        at += HEADER_BYTES + padded(body_bytes)
    return out


class BusyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    every: int = 3
    name: str = "N"


class Busy(Strategy):
    """Trades, sets and forgets timers, asks for names, draws, counts, looks back, raises, and says nonsense."""

    Config = BusyConfig
    history_of = (Quote,)
    history_ns = 1_000

    def on_start(self) -> Outcome:
        self.ctx.set_timer(50, tag=1)
        return Signal(1, value=float(self.ctx.intern(IdKind.SERIES, self.config.name)))

    def on_quote(self, quote: Quote) -> Outcome:
        ctx = self.ctx
        number = ctx.state["quotes"] = ctx.state.get("quotes", 0) + 1
        ctx.cell("quotes").n += 1
        what = quote.listing_id % 8
        if what == 0:
            raise ValueError(f"quote {number} at {ctx.now_ns}")
        if what == 1:
            return self.buy(1, quote.bid_ticks, 1 + number % 3)
        if what == 2:
            timer = ctx.set_timer(ctx.now_ns + quote.bid_ticks % 100, tag=number)
            if number % self.config.every == 0:
                ctx.cancel_timer(timer)
            return None
        if what == 3:
            series = ctx.intern(IdKind.SERIES, f"{self.config.name}{quote.bid_ticks % 4}")
            return [Signal(series, value=ctx.random.random()), None]  # type: ignore[list-item]
        if what == 4:
            known = ctx.history(quote.listing_id, 100)
            return Signal(2, value=float(known["bid_ticks"].sum()))
        if what == 5:
            return [Signal(1, value=1.0), Signal(2**40, value=2.0), Signal(3, value=3.0)]
        if what == 6:
            return "a string"  # type: ignore[return-value]
        listing = ctx.listing(1)
        return ctx.alert("test.met", 1, f"{ctx.name} {ctx.seq} {ctx.correlation_seq} {listing}")  # type: ignore[arg-type]

    def on_trades(self, frame: Frame) -> Outcome:
        if frame.array["qty_lots"][0] == 13:
            raise RuntimeError("thirteen")
        return [Signal(9, value=float(len(frame))), self.cancel_all()]

    def on_order(self, order: Order) -> Outcome:
        return Signal(4, value=float(order.state + 100 * self.ctx.correlation_seq))

    def on_execution_report(self, report: ExecutionReport) -> Outcome:
        return Frame.of([Signal(5, value=1.0), Signal(6, value=2.0)])

    def on_timer(self, timer: Timer) -> Outcome:
        return Signal(7, value=float(timer.timer_id * 1_000 + timer.tag))

    def on_stop(self) -> Outcome:
        return self.cancel_all()


class Crunch(Offload):
    """Submits work; tells what came of it."""

    deterministic = False

    def on_quote(self, quote: Quote) -> Outcome:
        self.ctx.submit(crunch, quote.bid_ticks)
        return None

    def on_task_result(self, result: TaskResult) -> Outcome:
        return Signal(result.task_id, value=float(result.value) if result.ok else -1.0)


def crunch(ticks: int) -> int:
    if ticks < 0:
        raise ValueError("negative")
    return ticks * ticks


class Sender(Operations):
    """Has effects, which note what left."""

    left: ClassVar[list[int]] = []

    def on_quote(self, quote: Quote) -> Outcome:
        self.ctx.effect(self._send, quote.listing_id)
        return None

    def _send(self, listing_id: int) -> None:
        if listing_id == 13:
            raise OSError("the line is dead")
        self.left.append(listing_id)


class Even(RiskCheck):
    """Lets orders of even quantity pass; of seven lots it has no opinion."""

    def check_order(self, order: Order) -> CheckVerdict:
        if order.qty_lots == 7:
            return "perhaps"  # type: ignore[return-value]
        if order.qty_lots == 9:
            raise ArithmeticError("nine")
        return self.refused(order, 3) if order.qty_lots % 2 else self.passed(order)


class Recorded(Feed):
    """Gives some trades, the last of them too early when it is told so."""

    class Config(msgspec.Struct, frozen=True):  # noqa: D106
        trades: int = 5
        back: bool = False

    def events(self) -> Any:
        for number in range(self.config.trades):
            yield number * 10, Trade(number + 1)
        yield 1_000, Frame.of([Trade(100), Trade(101)])
        if self.config.back:
            yield 999, Trade(1)

    def poll(self) -> list[Any]:
        polled = self.ctx.state["polled"] = self.ctx.state.get("polled", 0) + 1
        return [Quote(polled), "noise"] if polled == 2 else []


class Printer(Operations):
    """Prints wherever it can."""

    print("printed at import")

    def __init__(self, ctx: Any, config: Any = None) -> None:
        super().__init__(ctx, config)
        print("printed when built")

    def on_quote(self, quote: Quote) -> Outcome:
        print("printed in a handler", flush=True)
        return Signal(quote.listing_id)


class Far(Strategy):
    """Stands in a kernel for a `Busy` behind an engine: what `Busy` would hear goes there as steps."""

    far_cls: ClassVar[type[Plugin]] = Busy
    Config = BusyConfig
    kept: ClassVar[Any] = None
    """Set by a test: called with the engine before each step; returns the engine to go on with."""

    def __init__(self, ctx: Any, config: Any = None) -> None:
        super().__init__(ctx, config)
        self.engine = self.made()
        self.steps = 0

    def made(self) -> Engine:
        """Return a new engine, configured as this plugin is."""
        who, ctx = self.ctx.identity, self.ctx
        engine = Engine(self.far_cls, port=self)
        instance = Instance(
            name=ctx.name, plugin_id=ctx.plugin_id, run_seed=ctx._seeds[0], seed=zlib.crc32(ctx.name.encode()),
            book_id=who.book_id, algo_id=who.algo_id, algo_version=who.algo_version, trader_id=who.trader_id,
            account_id=who.account_id, simulated=True,
        )  # fmt: skip
        config = msgspec.json.encode(self.config).decode()
        reply = engine.call("Configure", ConfigureRequest(config_json=config, instance=instance))
        assert not reply.faults, reply.faults
        return engine

    def ask(self, batch: Message) -> Message:
        from penstock_sdk.events import Interned

        names = [
            Interned(kind=IdKind(each.kind), id=self.ctx.intern(IdKind(each.kind), each.name), name=each.name)
            for each in batch.asks
        ]
        return Batch(frames=b"".join(packed(name) for name in names))

    def on_start(self) -> Outcome:
        host = self.ctx._host
        known = b"".join(
            packed(definition) for kind in (IdKind.ZONE, IdKind.CONTRACT, IdKind.LISTING)
            for definition in host.definitions(kind)
        )  # fmt: skip
        names = [
            encoder(schema_by_id(100))(_interned(kind, number, name), 0, 0, ABSENT, 0, 6, 0)
            for kind, held in host.catalog._names.items()
            for number, name in enumerate(held) if name
        ]  # fmt: skip
        request = StartRequest(known=b"".join(names) + known, now_ns=self.ctx.now_ns, seq=self.ctx.seq)
        reply = self.engine.call("Start", request)
        assert not reply.timers
        return self.said(reply.said)

    def on_stop(self) -> Outcome:
        return self.said(self.engine.call("Drain", DrainRequest(now_ns=self.ctx.now_ns, seq=self.ctx.seq)).said)

    def heard(self, event: Any) -> Outcome:
        ctx = self.ctx
        if self.kept is not None:
            self.engine = type(self).kept(self)
        self.steps += 1
        frames = packed(event, ctx.seq, ctx.now_ns, ctx.correlation_seq)
        (answer,) = self.engine.batch(Lane.EVENTS, Batch(frames=frames, step=self.steps, now_ns=ctx.now_ns))
        assert answer[0] == Lane.EVENTS and answer[1].answers == self.steps
        return self.said(answer[1])

    on_quote = on_quotes = on_trade = on_trades = on_order = on_orders = heard
    on_execution_report = on_execution_reports = on_timer = on_interned = on_listing_definition = heard

    def said(self, batch: Message) -> Outcome:
        for timer in batch.timers:
            assert self.ctx.set_timer(timer.due_ns, timer.tag) == timer.timer_id
        for number in batch.timers_forgotten:
            self.ctx.cancel_timer(number)
        out: list[Any] = unpacked(batch.frames)
        if len(batch.faults) == 1 and not out and batch.faults[0].handler != "returned":
            raise RecordedFault(batch.faults[0].handler, batch.faults[0].error)
        for fault in reversed(batch.faults):
            out.insert(fault.after_frames, Raised(fault.handler, RecordedFault(fault.handler, fault.error)))
        return out


def _interned(kind: int, number: int, name: str) -> Any:
    from penstock_sdk.events import Interned

    return Interned(kind=IdKind(kind), id=number, name=name)
