"""For every case of the kit a plugin that fails it: a good one with exactly one thing broken."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from penstock_sdk.conform.frames import raw_frame, records_frame
from penstock_sdk.events import (
    CheckVerdict,
    ExecutionReport,
    ListingDefinition,
    Observation,
    Order,
    OrderIntent,
    OrderKind,
    PluginState,
    PluginStatus,
    Quote,
    Reason,
    ReportKind,
    SessionStatus,
    Side,
    Signal,
)
from penstock_sdk.manifest import PluginManifest
from penstock_sdk.process.peer import PeerError, PeerGone, PeerTimeout
from penstock_sdk.schema import ABSENT
from penstock_sdk.wire.messages import (
    Batch,
    ConfigureReply,
    Fault,
    Hears,
    Message,
    Name,
    RestoreReply,
    SnapshotReply,
    StartReply,
    StopReply,
    TimerSet,
)
from sdk.tests.faulty.good import (
    GOOD_MANIFEST,
    GoodCheck,
    GoodFeed,
    GoodModel,
    GoodPortfolio,
    GoodRefData,
    GoodTrader,
    GoodVenue,
)
from sdk.tests.faulty.tap import Tap, add_frame, fault, heads, records_in, tap

__all__ = ["FAULTS", "GOOD_COMMAND", "MORE_FAULTS", "Faulty"]

HOUR_NS = 3_600_000_000_000


class Faulty(NamedTuple):
    """One of them."""

    cls: type[Any]
    wrap: Callable[[Any], Any] | None = None
    command: tuple[str, ...] = ()
    manifest: PluginManifest | None = None


FAULTS: dict[str, Faulty] = {}
MORE_FAULTS: dict[str, tuple[str, Faulty]] = {}
"""Other ways to fail a case: what is broken, then the case."""
_counter = itertools.count(1)


def trader(case_id: str, **hooks: Any) -> None:
    FAULTS[case_id] = Faulty(GoodTrader, tap(**hooks))


def of_class(case_id: str, base: type[Any], **members: Any) -> None:
    FAULTS[case_id] = Faulty(type("Faulty", (base,), {**members, "__module__": __name__}))


def on_call(method: str, change: Callable[..., Message]) -> Callable[..., Message]:
    """Return a hook that changes one call: change(tap, request, forward)."""

    def call(t: Tap, met: str, request: Message) -> Message:
        if met != method:
            return t.forward(met, request)
        return change(t, request, lambda: t.forward(met, request))

    return call


def on_reply(method: str, change: Callable[[Message], Any]) -> Callable[..., Message]:
    """Return a hook that changes the reply to one call."""

    def changed(_t: Tap, _request: Message, forward: Callable[[], Message]) -> Message:
        reply = forward()
        change(reply)
        return reply

    return on_call(method, changed)


def each_answer(change: Callable[[Tap, Message], Any]) -> Callable[..., list[Message]]:
    """Return a hook that changes each batch that answers a step."""

    def received(t: Tap, _lane: Any, batch: Message) -> list[Message]:
        if batch.answers:
            t.s.count += 1
            change(t, batch)
        return [batch]

    return received


def fault_when(seen: Callable[[Tap, Message], bool]) -> dict[str, Any]:
    """Return hooks that put a fault into the answer of a batch in which something was *seen*."""

    def sending(t: Tap, _lane: Any, batch: Message) -> Message:
        if batch.step and seen(t, batch):
            t.s.held.append(batch.step)
        return batch

    def answer(t: Tap, batch: Message) -> None:
        if batch.answers in t.s.held:
            fault(batch)

    return {"sending": sending, "received": each_answer(answer)}


def gone_when(seen: Callable[[Tap, Message], bool]) -> dict[str, Any]:
    """Return hooks of a plugin that dies of a batch."""

    def sending(t: Tap, _lane: Any, batch: Message) -> Message:
        if seen(t, batch):
            raise PeerGone("the plugin's process has ended")
        return batch

    return {"sending": sending}


def records_of(batch: Message, cls: type[Any]) -> list[Any]:
    """Return the records of a type in a batch of the host's."""
    layout = cls.layout
    out: list[Any] = []
    for header, body in heads(batch.frames):
        if header.schema_id == layout.id and (not layout.packed or len(body) == header.count * layout.size):
            out += layout.unpack_many(body) if layout.packed else [layout.unpack(body)]
    return out


def a_signal(value: float = 1.0) -> bytes:
    return records_frame([Signal(1, 1, value, 0.5)], 0, 0)


def set_field(name: str, value: Any) -> Callable[[Message], None]:
    return lambda message: setattr(message, name, value)


def _raise(error: Exception) -> Any:
    raise error


# -- handshake ---------------------------------------------------------------------------------------------------------

trader("handshake.describe", call=on_reply("Describe", set_field("version", "")))
trader("handshake.kind", call=on_reply("Describe", set_field("kind", "execution")))
trader("handshake.contract", call=on_reply("Describe", set_field("contract_min", 2)))


def _another(t: Tap, request: Message, forward: Callable[[], Message]) -> Message:
    reply = forward()
    reply.version += str(t.s.called.count("Describe"))
    return reply


def _any_major(_t: Tap, request: Message, forward: Callable[[], Message]) -> Message:
    del request.majors[:]
    return forward()


trader("handshake.describe_again", call=on_call("Describe", _another))
trader("handshake.unknown_major", call=on_call("Describe", _any_major))
trader(
    "handshake.newer_host",
    call=on_call("Describe", lambda t, r, forward: _raise(PeerError("majors")) if 99 in r.majors else forward()),
)
trader(
    "handshake.later_fields",
    call=on_call(
        "Describe",
        lambda t, r, forward: _raise(PeerError("field 1023")) if b"later" in r.SerializeToString() else forward(),
    ),
)
trader(
    "handshake.hears",
    call=on_reply("Describe", lambda r: r.hears.append(Hears(schema_id=31_990, version=1, name="Nothing"))),
)
trader("handshake.healthy", healthy=lambda t: "Configure" in t.s.called)

# -- config ------------------------------------------------------------------------------------------------------------


def _refuses_defaults(_t: Tap, request: Message, forward: Callable[[], Message]) -> Message:
    if request.validate_only and request.config_json == "{}":
        return ConfigureReply(faults=["qty_lots: missing"])
    return forward()


def _no_fault(_t: Tap, request: Message, forward: Callable[[], Message]) -> Message:
    reply = forward()
    return ConfigureReply() if any("no_such_key" in each for each in reply.faults) else reply


def _nameless(_t: Tap, request: Message, forward: Callable[[], Message]) -> Message:
    reply = forward()
    if reply.faults and "no_such_key" not in request.config_json:
        return ConfigureReply(faults=["something is wrong"])
    return reply


def _takes_lists(_t: Tap, request: Message, forward: Callable[[], Message]) -> Message:
    return ConfigureReply() if request.config_json.startswith("[") else forward()


def _makes_anyway(_t: Tap, request: Message, forward: Callable[[], Message]) -> Message:
    request.validate_only = False
    return forward()


def _makes_faulty(t: Tap, request: Message, forward: Callable[[], Message]) -> Message:
    reply = forward()
    if reply.faults and not request.validate_only:
        request.config_json = "{}"
        t.forward("Configure", request)
    return reply


def _short_names(_t: Tap, request: Message, forward: Callable[[], Message]) -> Message:
    return _raise(PeerError("name too long")) if len(request.instance.name) > 64 else forward()


trader("config.sound", call=on_call("Configure", _refuses_defaults))
trader("config.schema", call=on_reply("Describe", set_field("config_schema", "{")))
trader("config.unknown_key", call=on_call("Configure", _no_fault))
trader("config.wrong_type", call=on_call("Configure", _nameless))
trader("config.every_fault", call=on_reply("Configure", lambda r: r.faults.__delitem__(slice(1, None))))
trader("config.not_json", call=on_call("Configure", _takes_lists))
trader("config.validate_only", call=on_call("Configure", _makes_anyway))
trader("config.faulty", call=on_call("Configure", _makes_faulty))
trader("config.long_names", call=on_call("Configure", _short_names))

# -- life --------------------------------------------------------------------------------------------------------------


def _starts_anyway(t: Tap, _request: Message, forward: Callable[[], Message]) -> Message:
    return forward() if "Configure" in t.s.called else StartReply()


def _start_fault(reply: Message) -> None:
    reply.said.faults.append(Fault(handler="on_start", error="KeyError: 'a'"))


def _says_when_hearing(t: Tap, _lane: Any, batch: Message) -> Message:
    if batch.hearing:
        t.s.held.append(batch.step)
    return batch


def _drained(t: Tap, request: Message, forward: Callable[[], Message]) -> Message:
    reply = forward()
    stream = t.events()
    batch = Batch(number=10_000)
    add_frame(batch, a_signal())
    stream._number += 1
    batch.number = stream._number
    stream._ready.append(batch)
    return reply


def _other_signal(self: Any, quote: Quote) -> Any:
    said = GoodTrader.on_quote(self, quote)
    return [*([said] if said is not None else []), Signal(quote.listing_id, 1, float(next(_counter)), 0.5)]


trader("life.start_unconfigured", call=on_call("Start", _starts_anyway))
trader("life.start", call=on_reply("Start", _start_fault))
trader("life.afternoon", received=each_answer(lambda t, b: fault(b) if t.s.count == 21 else None))
trader(
    "life.hearing",
    sending=_says_when_hearing,
    received=each_answer(lambda t, b: add_frame(b, a_signal()) if b.answers in t.s.held else None),
)
trader("life.drain", call=on_call("Drain", lambda t, r, forward: _raise(PeerTimeout("Drain: no answer"))))
trader("life.silent_after_drain", call=on_call("Drain", _drained))
trader(
    "life.drain_idle",
    sending=lambda t, lane, b: t.s.held.append(b.step) or b if b.step else b,
    call=on_call("Drain", lambda t, r, forward: forward() if t.s.held else _raise(PeerError("IndexError"))),
)
trader("life.stop", call=on_call("Stop", lambda t, r, forward: StopReply()))
trader(
    "life.stop_at_once",
    call=on_call("Stop", lambda t, r, forward: forward() if "Start" in t.s.called else _raise(PeerError("no plugin"))),
)
of_class("life.two_runs", GoodTrader, on_quote=_other_signal)

# -- stream ------------------------------------------------------------------------------------------------------------


def _twice(t: Tap, _lane: Any, batch: Message) -> list[Message]:
    if not batch.answers:
        return [batch]
    again = Batch(number=batch.number, answers=batch.answers)
    return [batch, again]


def _handles_again(t: Tap, _lane: Any, batch: Message) -> Message:
    """Give whatever comes a number that has not been."""
    if _lane == 2 and batch.number:
        t.s.count += 1
        batch.number = t.s.count
    return batch


def _zero_counts(t: Tap, lane: Any, batch: Message) -> Message:
    t.s.count += not batch.number
    return batch


def _strip_credit(t: Tap, lane: Any, batch: Message) -> list[Message]:
    if lane == 3:
        batch.credit_events = batch.credit_bytes = 0
    return [batch]


def _never_renews(t: Tap, lane: Any, batch: Message) -> list[Message]:
    batch.credit_events = min(batch.credit_events, 65_536)
    return [batch]


def _no_acks(t: Tap, lane: Any, batch: Message) -> list[Message]:
    batch.acked = 0
    return [batch]


def _zero_acks(t: Tap, lane: Any, batch: Message) -> list[Message]:
    if batch.acked:
        batch.acked += 50
    return [batch]


def _takes_too_much(t: Tap, lane: Any, batch: Message) -> Message:
    if records_in(batch) > 65_536:
        batch.frames = b""
    return batch


def _credit_for_ever(t: Tap, lane: Any, batch: Message) -> Message:
    batch.credit_events, batch.credit_bytes = 10**9, 10**12
    return batch


def _notes_credit(t: Tap, lane: Any, batch: Message) -> Message:
    if lane == 2:
        t.s.held.append(batch.credit_events)
    return batch


def _forgets(t: Tap, lane: Any, batch: Message) -> list[Message]:
    """Lose an answer once credit has come after there was none."""
    if lane == 2 and t.s.held and t.s.held[0] == 0 and t.s.held[-1] > 1_000 and batch.answers:
        t.s.count += 1
        if t.s.count == 3:
            return []
    return [batch]


def _odd_ask(t: Tap, lane: Any, batch: Message) -> list[Message]:
    if batch.asks:
        batch.asks.append(Name(kind=0, name=""))
    return [batch]


trader("stream.answered_once", received=_twice)
trader("stream.empty_batch", **fault_when(lambda t, b: not b.frames))
for _id in ("resent", "old_number", "gap", "reordered"):
    trader(f"stream.{_id}", sending=_handles_again)
trader("stream.number_zero", received=_zero_acks)
trader("stream.acknowledged", received=_no_acks)
trader("stream.grants", received=_strip_credit)
trader("stream.renews", received=_never_renews)
trader("stream.host_over_credit", sending=_takes_too_much)
trader("stream.over_credit", sending=_credit_for_ever)
trader("stream.slow_host", sending=_notes_credit, received=_forgets)
trader("stream.numbers", skips=lambda number: 2 if number == 5 else 1)
trader("stream.asks", received=_odd_ask)

# -- schema ------------------------------------------------------------------------------------------------------------

_WRONG_COUNT = raw_frame(Signal.layout.id, bytes(Signal.layout.size), count=2, stride=Signal.layout.size)
_STATE = records_frame(
    [PluginState(plugin_id=1, name="x", status=PluginStatus.RUNNING, previous=PluginStatus.CONFIGURED)], 0, 0
)


def _has(schema_id: int) -> Callable[[Tap, Message], bool]:
    return lambda t, batch: any(header.schema_id == schema_id for header, _ in heads(batch.frames))


def _skips_later(t: Tap, lane: Any, batch: Message) -> Message:
    """Lose frames whose records are longer than what is known."""
    kept = [
        raw_frame(h.schema_id, body, count=h.count, stride=h.stride, version=h.version, seq=h.seq, at_ns=h.at_ns)
        for h, body in heads(batch.frames)
        if h.version == 1
    ]
    batch.frames = b"".join(kept)
    return batch


def _sound_only(t: Tap, lane: Any, batch: Message) -> Message:
    """Take broken frames for nothing."""
    for header, body in heads(batch.frames):
        if header.schema_id == Quote.layout.id and (
            header.stride < Quote.layout.size or header.count * header.stride != len(body)
        ):
            batch.frames = b""
            break
    return batch


def quotes_like(test: Callable[[Quote], bool]) -> Callable[[Tap, Message], bool]:
    return lambda t, batch: any(map(test, records_of(batch, Quote)))


trader("schema.said", received=each_answer(lambda t, b: add_frame(b, _WRONG_COUNT) if t.s.count == 8 else None))
trader(
    "schema.rights",
    sending=_says_when_hearing,
    received=each_answer(lambda t, b: add_frame(b, _STATE) if t.s.count == 8 and not t.s.held else None),
)
trader("schema.unknown", **gone_when(_has(31_999)))
trader("schema.longer", sending=_skips_later)
trader("schema.shorter", sending=_sound_only)
trader("schema.count", sending=_sound_only)
trader("schema.many", **fault_when(lambda t, b: any(h.count == 4_096 for h, _ in heads(b.frames))))
trader(
    "schema.one_or_many",
    **fault_when(lambda t, b: any(h.schema_id == 1 and 2 <= h.count <= 100 for h, _ in heads(b.frames))),
)
trader("schema.unknown_enum", **fault_when(quotes_like(lambda q: q.tradability == 200)))
trader(
    "schema.absent",
    **fault_when(quotes_like(lambda q: q.tradability == 1 and q.bid_ticks == q.ask_ticks == ABSENT)),
)
trader(
    "schema.negative", **fault_when(quotes_like(lambda q: ABSENT < q.bid_ticks <= -40_000 and q.bid_ticks > -(2**62)))
)
trader("schema.extremes", **gone_when(quotes_like(lambda q: q.bid_ticks > 2**62)))
FAULTS["schema.no_number"] = Faulty(
    GoodModel, tap(**gone_when(lambda t, b: any(o.value != o.value for o in records_of(b, Observation))))
)
trader("schema.unknown_listing", **fault_when(quotes_like(lambda q: q.listing_id == 999_999)))
trader("schema.listing_again", **fault_when(_has(ListingDefinition.layout.id)))

# -- time --------------------------------------------------------------------------------------------------------------


def _jumped(t: Tap, batch: Message) -> bool:
    last, t.s.now = getattr(t.s, "now", batch.now_ns), batch.now_ns
    return bool(batch.now_ns - last > 10 * HOUR_NS)


def _went_back(t: Tap, batch: Message) -> bool:
    last, t.s.now = getattr(t.s, "now", batch.now_ns), batch.now_ns
    return bool(batch.now_ns < last)


def _crowd(t: Tap, batch: Message) -> bool:
    if sum(h.schema_id == 1 for h, _ in heads(batch.frames)) < 4:
        return False
    t.s.crowd = [*(at for at in getattr(t.s, "crowd", []) if at == batch.now_ns), batch.now_ns]
    return len(t.s.crowd) > 8


def _late(t: Tap, batch: Message) -> bool:
    from penstock_sdk.events import Timer

    return any(batch.now_ns - each.due_ns > HOUR_NS * 5 // 6 for each in records_of(batch, Timer))


def _odd_timer(t: Tap, batch: Message) -> None:
    if t.s.count == 1:
        batch.timers.append(TimerSet(timer_id=0, due_ns=-1, tag=5))


def _start_busy(self: Any) -> Any:
    self.ctx.state["busy"] = 1_200
    self.ctx.set_timer(self.ctx.now_ns, 2)
    return GoodTrader.on_start(self)


def _busy(self: Any, timer: Any) -> Any:
    if timer.tag != 2:
        return GoodTrader.on_timer(self, timer)
    self.ctx.state["busy"] -= 1
    if self.ctx.state["busy"]:
        self.ctx.set_timer(self.ctx.now_ns, 2)
    return None


trader("time.forward", **fault_when(_jumped))
trader("time.back", **fault_when(_went_back))
trader("time.same_instant", **fault_when(_crowd))
trader("time.timers", received=each_answer(_odd_timer))
trader("time.late_timers", **fault_when(_late))
of_class("time.bounded", GoodTrader, on_start=_start_busy, on_timer=_busy)

# -- snapshot ----------------------------------------------------------------------------------------------------------


def _not_yet(t: Tap, _request: Message, forward: Callable[[], Message]) -> Message:
    return forward() if t.s.held else SnapshotReply(error="nothing to keep yet")


def _note_step(t: Tap, lane: Any, batch: Message) -> Message:
    if batch.step:
        t.s.held.append(batch.step)
    return batch


def _loses(t: Tap, _request: Message, forward: Callable[[], Message]) -> Message:
    reply = forward()
    if "Restore" in t.s.called:
        reply.state = b"lost"
    return reply


def _differs_restored(t: Tap, batch: Message) -> None:
    if "Restore" in t.s.called:
        add_frame(batch, a_signal(float(next(_counter))))


def _no_timers(t: Tap, request: Message, forward: Callable[[], Message]) -> Message:
    reply = forward()
    if request.resumed:
        del reply.timers[:]
        del reply.said.timers[:]
    return reply


def _takes_rubbish(_t: Tap, request: Message, forward: Callable[[], Message]) -> Message:
    return RestoreReply() if b"rubbish" in request.state else forward()


def _takes_halves(_t: Tap, request: Message, forward: Callable[[], Message]) -> Message:
    reply = forward()
    known = b"rubbish" in request.state or len(request.state) <= 64
    return reply if known or not reply.error else RestoreReply()


def _spoilt(t: Tap, method: str, request: Message) -> Message:
    if method == "Start" and t.s.held:
        raise PeerError("state is half read")
    reply = t.forward(method, request)
    if method == "Restore" and reply.error:
        t.s.held.append(1)
    return reply


trader("snapshot.early", sending=_note_step, call=on_call("Snapshot", _not_yet))
trader("snapshot.last_seq", call=on_reply("Snapshot", set_field("last_seq", 0)))
trader(
    "snapshot.changes_nothing",
    received=each_answer(lambda t, b: add_frame(b, a_signal()) if "Snapshot" in t.s.called else None),
)
trader("snapshot.round_trip", call=on_call("Snapshot", _loses))
trader("snapshot.goes_on", received=each_answer(_differs_restored))
trader("snapshot.timers", call=on_call("Start", _no_timers))
trader("snapshot.rubbish", call=on_call("Restore", _takes_rubbish))
trader("snapshot.cut", call=on_call("Restore", _takes_halves))
trader("snapshot.after_refusal", call=_spoilt)

# -- process: what the operating system sees is a script's; the rest an object's --------------------------------------

_SCRIPT = (
    "import os, sys\n"
    "if 'PENSTOCK_PLUGIN' not in os.environ: {by_hand}\n"
    "version = {version}\n"
    "print(f'1|{{version}}|unix|/tmp/none.sock|{protocol}', flush=True)\n"
)


def script(by_hand: str = "sys.exit('run by a host')", version: str = "1", protocol: str = "grpc") -> tuple[str, ...]:
    return (sys.executable, "-ISc", _SCRIPT.format(by_hand=by_hand, version=version, protocol=protocol))


GOOD_COMMAND = script()


class _Process:
    """Stands for a process that an object has none of."""

    def __init__(self, t: ProcessTap) -> None:
        self._tap = t

    def wait(self, timeout: float) -> int:
        return self._tap.status

    def poll(self) -> int | None:
        return self._tap.ended


class ProcessTap(Tap):
    """An object that looks like a process."""

    def __init__(self, peer: Any, *, status: int = 0, ended: int | None = None, **hooks: Any) -> None:
        super().__init__(peer, **hooks)
        self.status, self.ended = status, ended
        self.process = _Process(self)

    def kill(self) -> None:
        self.peer.close()


def process(case_id: str, command: tuple[str, ...] = GOOD_COMMAND, **options: Any) -> None:
    FAULTS[case_id] = Faulty(GoodTrader, lambda peer: ProcessTap(peer, **options), command)


_locked: list[int] = []


def _lock(t: Tap, _request: Message, forward: Callable[[], Message]) -> Message:
    if _locked and "Start" not in t.s.called:
        _locked.clear()
        raise PeerError("lock file is there")
    return forward()


class LockedTap(ProcessTap):
    """A plugin that leaves its lock behind when it is killed."""

    def kill(self) -> None:
        _locked.append(1)
        super().kill()


process("handshake.incarnation", call=on_reply("Describe", set_field("incarnation", "always")))
process("process.handshake_line", script(protocol="netrpc"))
process("process.other_version", script(version="os.environ['PLUGIN_PROTOCOL_VERSIONS']"))
process("process.by_hand", script(by_hand="pass"))
FAULTS["process.kill"] = Faulty(GoodTrader, lambda peer: LockedTap(peer, call=on_call("Describe", _lock)), GOOD_COMMAND)
process("process.stop", status=-9)
process("process.noise", ended=1)

# -- venue -------------------------------------------------------------------------------------------------------------

replace = msgspec.structs.replace


def venue(case_id: str, **members: Any) -> None:
    of_class(case_id, GoodVenue, **members)


def more(what: str, case_id: str, **members: Any) -> None:
    MORE_FAULTS[what] = case_id, Faulty(type("Faulty", (GoodVenue,), {**members, "__module__": __name__}))


def _define(change: Callable[[Any, ListingDefinition], Any]) -> Callable[..., Any]:
    return lambda self, contract: change(self, GoodVenue.on_contract_definition(self, contract))


def _passes(test: Callable[[Order], bool], reason: Reason) -> Callable[..., Reason]:
    """Return a refusal that is blind for one reason."""

    def refusal(self: Any, order: Order) -> Reason:
        met = GoodVenue.refusal(self, order)
        return Reason.NONE if met == reason and test(order) else met

    return refusal


def _told(change: Callable[..., Any]) -> Callable[..., Any]:
    def told(self: Any, order_id: int, kind: ReportKind, reason: Reason, lots: int) -> Any:
        return change(self, GoodVenue.told(self, order_id, kind, reason, lots))

    return told


def _whole(self: Any, order_id: int) -> bool:
    return bool(self.ctx.state["sent"].get(str(order_id), [0, 0, 0])[2] == 10)


def _take_fok(self: Any, order: Order) -> Any:
    if order.kind != OrderKind.FOK:
        return GoodVenue.take(self, order)
    part = ExecutionReport(order.order_id, order.listing_id, 2, order.side, 2, 0, 0, 3, 7, 1)
    return [part, self.report(order, ReportKind.CANCELLED, Reason.NO_LIQUIDITY)]


def _take_ioc(self: Any, order: Order) -> Any:
    return GoodVenue.take(self, replace(order, kind=1) if order.kind == OrderKind.IOC else order)


def _take_again(self: Any, order: Order) -> Any:
    known = str(order.order_id) in self.ctx.state["sent"]
    return self.report(order, ReportKind.ACCEPTED) if known else GoodVenue.take(self, order)


def _doubt(self: Any, order: Order) -> Any:
    return GoodVenue.on_order(self, replace(order, state=4) if order.action == 1 else order)


def _heard_report(t: Tap, batch: Message) -> None:
    for order in [each for step, each in t.s.held if step == batch.answers]:
        add_frame(batch, records_frame([ExecutionReport(order.order_id, order.listing_id, 1, order.side)], 0, 0))


def _note_heard(t: Tap, lane: Any, batch: Message) -> Message:
    if batch.hearing:
        t.s.held += [(batch.step, order) for order in records_of(batch, Order)]
    return batch


def _stray(self: Any, timer: Any) -> Any:
    said = list(GoodVenue.on_timer(self, timer) or [])
    if "stray" not in self.ctx.state and self.ctx.state["sent"]:
        self.ctx.state["stray"] = 1
        said.append(ExecutionReport(5, 1, int(ReportKind.CANCELLED), 1, reason=1))
    return said or None


def _ends_twice(self: Any, timer: Any) -> Any:
    said = list(GoodVenue.on_timer(self, timer) or [])
    return said + [each for each in said if each.kind == ReportKind.CANCELLED and _whole(self, each.order_id)] or None


def _cancels_few(self: Any, order: Order) -> Any:
    return None if _whole(self, order.order_id) and not _ended(self, order) else GoodVenue.cancel_order(self, order)


def _ended(self: Any, order: Order) -> bool:
    return order.order_id in self.ctx.state["ended"]


def _unknown_cancel(self: Any, order: Order) -> Any:
    return GoodVenue.cancel_order(self, order) if str(order.order_id) in self.ctx.state["sent"] else None


def _late_cancel(self: Any, order: Order) -> Any:
    again = self.report(order, ReportKind.CANCELLED, Reason.UNSOLICITED)
    return again if _ended(self, order) else GoodVenue.cancel_order(self, order)


def _no_amend(self: Any, order: Order) -> Any:
    return None if order.action == 3 else GoodVenue.on_order(self, order)


def _fifty(self: Any, order: Order) -> Any:
    return None if len(self.ctx.state["sent"]) >= 50 else GoodVenue.take(self, order)


venue("venue.lists", on_contract_definition=_define(lambda self, d: replace(d, listing_id=d.listing_id + 5_000)))
venue("venue.sound", on_contract_definition=_define(lambda self, d: replace(d, tick_micro=0)))
more(
    "money 1000 times too high", "venue.sound",
    on_contract_definition=_define(lambda self, d: replace(d, cash_micro_per_lot_tick=1_000_000)),
)  # fmt: skip
more("a delivery of no time", "venue.sound", on_contract_definition=_define(lambda self, d: replace(d, interval_ns=0)))
venue("venue.defined_first", on_contract_definition=_define(lambda self, d: [Quote(d.listing_id), d]))
venue("venue.takes", told=_told(lambda self, r: replace(r, listing_id=0) if r and r.kind == 1 else r))
venue("venue.rejects_size", refusal=_passes(lambda order: True, Reason.MALFORMED))
venue("venue.rejects_price", refusal=_passes(lambda order: True, Reason.PRICE_BOUNDS))
venue("venue.rejects_listing", refusal=_passes(lambda order: True, Reason.UNKNOWN_LISTING))
venue("venue.rejects_kind", refusal=_passes(lambda order: order.kind == 250, Reason.NOT_OFFERED))
venue("venue.rejects_closed", refusal=_passes(lambda order: True, Reason.GATE_CLOSED))
venue("venue.cancel", cancel_order=_cancels_few)
venue("venue.cancel_unknown", cancel_order=_unknown_cancel)
venue("venue.cancel_ended", cancel_order=_late_cancel)
venue("venue.ioc", take=_take_ioc)
venue("venue.fok", take=_take_fok)
venue("venue.sent_twice", take=_take_again)
venue("venue.in_doubt", on_order=_doubt)
FAULTS["venue.heard_order"] = Faulty(GoodVenue, tap(sending=_note_heard, received=each_answer(_heard_report)))
venue("venue.own_reports", on_timer=_stray)
venue("venue.one_life", on_timer=_ends_twice)
venue("venue.amend", on_order=_no_amend)
venue("venue.many", take=_fifty)

# -- market ------------------------------------------------------------------------------------------------------------


def _deaf_hearing(t: Tap, lane: Any, batch: Message) -> Message:
    if batch.hearing and records_of(batch, Order):
        batch.hearing = False
    return batch


def _sends_again(self: Any, order: Order) -> Any:
    if str(order.order_id) in self.ctx.state["sent"]:
        self.ctx.effect(self.market.new, order)
    return GoodVenue.take(self, order)


def _sends(change: Callable[[Order], Order]) -> Callable[..., Any]:
    return lambda self, order: GoodVenue.take(self, change(order))


def _sends_at_once(self: Any, order: Order) -> Any:
    self.market.new(order)
    self.ctx.state["sent"][str(order.order_id)] = [order.listing_id, order.side, order.qty_lots]
    self._look(1)


def _again_after_a_drop(what: str) -> Callable[..., Any]:
    """Return an on_timer that sends its orders again, or tells its fills again, when the connection is back."""

    def on_timer(self: Any, timer: Any) -> Any:
        said, state = list(GoodVenue.on_timer(self, timer) or []), self.ctx.state
        dropped = any(each.reason == Reason.UNSOLICITED for each in said)
        if what == "fills":
            again = state.setdefault("fills", [])
            if dropped:
                told = [ExecutionReport(*each) for each in again]
                return [each for fill in told for each in [replace(fill, trade_id=fill.trade_id + 50)]] + said
            again += [list(msgspec.structs.astuple(each)) for each in said if each.kind == ReportKind.FILL]
        elif dropped:
            for order_id in state["sent"]:
                self.ctx.effect(self.market.new, Order(int(order_id)))
        return said or None

    return on_timer


def _makes_up(self: Any, order: Order) -> Any:
    fresh = str(order.order_id) not in self.ctx.state["sent"]
    GoodVenue.take(self, order)
    return self.report(order, ReportKind.ACCEPTED) if fresh else None


def _partly_stuck(self: Any, order: Order) -> Any:
    stuck = not _whole(self, order.order_id) and not _ended(self, order)
    return None if stuck and str(order.order_id) in self.ctx.state["sent"] else GoodVenue.cancel_order(self, order)


def _foreign_told(self: Any, order_id: int, kind: ReportKind, reason: Reason, lots: int) -> Any:
    told = GoodVenue.told(self, order_id, kind, reason, lots)
    return ExecutionReport(order_id, 1, int(kind), 1) if told is None and order_id > 990_000 else told


def _silent_if(kind: ReportKind, *reasons: Reason) -> Callable[..., Any]:
    return _told(lambda self, r: None if r and r.kind == kind and r.reason in reasons else r)


def _unless_dropped(self: Any, r: Any) -> Any:
    return None if r and r.reason == Reason.UNSOLICITED and getattr(self.market, "dropped", False) else r


venue("market.fill", told=_told(lambda self, r: replace(r, last_ticks=10**7) if r and r.kind == 2 else r))
venue("market.part_fill", told=_told(lambda self, r: replace(r, trade_id=1) if r and r.kind == 2 else r))
venue("market.part_fill_cancel", cancel_order=_partly_stuck)
venue("market.reject", told=_told(lambda self, r: replace(r, reason=0) if r and r.kind == 5 and r.reason == 33 else r))
venue("market.cancelled_unasked", told=_silent_if(ReportKind.CANCELLED, Reason.UNSOLICITED))
venue("market.once", take=_sends_again)
venue("market.as_sent", take=_sends(lambda order: replace(order, side=3 - order.side)))
venue("market.after_written", take=_sends_at_once)
FAULTS["market.hearing"] = Faulty(GoodVenue, tap(sending=_deaf_hearing))
venue("market.silence", take=_makes_up, told=_told(lambda self, r: None if r and r.kind == 1 else r))
venue("market.drop", told=_silent_if(ReportKind.CANCELLED, Reason.UNSOLICITED))
for _what in ("orders", "fills"):
    more(f"tells or sends its {_what} again after a drop", "market.drop", on_timer=_again_after_a_drop(_what))
more(
    "a price that is off",
    "market.as_sent",
    take=_sends(lambda order: replace(order, price_ticks=order.price_ticks + 7)),
)
more(
    "a quantity that is off", "market.as_sent", take=_sends(lambda order: replace(order, qty_lots=order.qty_lots * 10))
)
more("another listing", "market.as_sent", take=_sends(lambda order: replace(order, listing_id=order.listing_id + 1)))
venue("market.throttle", told=_silent_if(ReportKind.REJECTED, Reason.MESSAGE_RATE))
venue("market.foreign", told=_foreign_told)

# -- reconcile ---------------------------------------------------------------------------------------------------------


def _answers(change: Callable[[Any, Any, list[Any]], Any]) -> Callable[..., Any]:
    return lambda self, question: change(self, question, GoodVenue.on_reconcile(self, question))


def _resends(self: Any, question: Any) -> Any:
    for order_id, _ in question.orders:
        if order_id in self.market.orders:
            self.ctx.effect(self.market.new, Order(order_id))
    return GoodVenue.on_reconcile(self, question)


def _leaves_foreign(self: Any, question: Any) -> Any:
    before = {number: held["leaves_lots"] for number, held in self.market.orders.items()}
    said = GoodVenue.on_reconcile(self, question)
    for number, lots in before.items():
        self.market.orders[number]["leaves_lots"] = lots
    return [*said[:-1], replace(said[-1], foreign=0)]


venue("reconcile.confirmed", on_reconcile=_answers(lambda s, q, out: [*out[:-1], replace(out[-1], confirmed=0)]))
venue("reconcile.nothing", on_reconcile=_answers(lambda s, q, out: out if q.orders else None))
venue("reconcile.gone", on_reconcile=_answers(lambda s, q, out: out[-1:]))
venue("reconcile.killed", on_reconcile=_resends)
venue(
    "reconcile.filled_meanwhile",
    on_reconcile=_answers(lambda s, q, out: [r for r in out if getattr(r, "kind", 0) != 2]),
)
venue("reconcile.foreign", on_reconcile=_leaves_foreign)

# -- offer -------------------------------------------------------------------------------------------------------------


def offer(case_id: str, **members: Any) -> None:
    FAULTS[case_id] = Faulty(type("Faulty", (GoodVenue,), {**members, "__module__": __name__}), manifest=GOOD_MANIFEST)


def misstated(case_id: str, *, embedded: bool = False, **stated: Any) -> None:
    """A venue whose manifest states what it is not."""
    changed = replace(GOOD_MANIFEST, embedded=embedded, venue=replace(GOOD_MANIFEST.venue, **stated))
    FAULTS[case_id] = Faulty(GoodVenue, manifest=changed)


def _hasty(self: Any, order: Order) -> Any:
    full = len(self.ctx.state["sent"]) >= 20
    return self.report(order, ReportKind.REJECTED, Reason.MESSAGE_RATE) if full else GoodVenue.take(self, order)


misstated("offer.kinds_taken", order_kinds=("limit", "ioc", "fok", "market"))
offer("offer.kinds_refused", refusal=_passes(lambda order: order.kind == OrderKind.MARKET, Reason.NOT_OFFERED))
misstated("offer.amend", amend="native")
offer("offer.throttle", take=_hasty)
misstated("offer.disconnect", cancel_on_disconnect="none")
misstated("offer.embedded", embedded=True)

# -- traders -----------------------------------------------------------------------------------------------------------


def _intents(case_id: str, **fields: Any) -> None:
    def intent(self: Any, *args: Any, **more: Any) -> OrderIntent:
        return replace(GoodTrader.intent(self, *args, **more), **fields)

    of_class(case_id, GoodTrader, intent=intent)


def _anew(self: Any) -> Any:
    self.ctx.state["intents"] = 0
    return GoodTrader.on_resume(self)


def _too_late(self: Any, session: Any) -> Any:
    GoodTrader.on_session_state(self, session)
    return self.buy(session.listing_id, 5_000, 1) if session.status == SessionStatus.CLOSED else None


def _strange_cancel(self: Any, timer: Any) -> Any:
    return [*GoodTrader.on_timer(self, timer), self.cancel(17)]


def _stubborn(self: Any, order: Order) -> Any:
    return self.buy(order.listing_id, order.price_ticks, 1) if order.state == 3 else None


_intents("trader.identity", strategy_id=99)
_intents("trader.rising_ids", intent_id=5)
of_class("trader.ids_go_on", GoodTrader, on_resume=_anew)
_intents("trader.known_listings", listing_id=999_999)
of_class("trader.closed", GoodTrader, on_session_state=_too_late)
_intents("trader.sane", qty_lots=0)
of_class("trader.own_orders", GoodTrader, on_timer=_strange_cancel)
of_class("trader.refused", GoodTrader, on_order=_stubborn)

# -- checks ------------------------------------------------------------------------------------------------------------


def check(case_id: str, **hooks: Any) -> None:
    FAULTS[case_id] = Faulty(GoodCheck, tap(**hooks))


def _note_check(t: Tap, lane: Any, batch: Message) -> Message:
    if batch.check:
        t.s.held.append(batch.step)
    return batch


def verdicts(change: Callable[[CheckVerdict], CheckVerdict | None]) -> dict[str, Any]:
    """Return hooks that change each verdict; None: it is not said."""

    def answer(t: Tap, batch: Message) -> None:
        if batch.answers in t.s.held:
            said = [change(each) for each in records_of(batch, CheckVerdict)]
            batch.frames = b"".join(records_frame([each], 0, 0) for each in said if each is not None)

    return {"sending": _note_check, "received": each_answer(answer)}


def _passes_all(test: Callable[[Any, Order], bool]) -> Callable[..., CheckVerdict]:
    def check_order(self: Any, order: Order) -> CheckVerdict:
        return self.passed(order) if test(self, order) else GoodCheck.check_order(self, order)

    return check_order


def _mends(t: Tap, lane: Any, batch: Message) -> Message:
    """Take a question that is no question for one about some sound order."""
    if batch.check and (records_in(batch) != 1 or not records_of(batch, Order)):
        good = Order((1 << 32) + 5, 1, 1, 1, 1, 2, 5_000, 1)
        batch.frames = records_frame([good], 2_000_000, batch.now_ns)
    return batch


def _slow(t: Tap, batch: Message) -> None:
    if batch.answers in t.s.held[3:5]:
        time.sleep(0.11)  # the fault itself


def _odd_side(t: Tap, lane: Any, batch: Message) -> Message:
    if batch.check and any(order.side == 250 for order in records_of(batch, Order)):
        t.s.held.append(batch.step)
    return batch


def _mute(t: Tap, batch: Message) -> None:
    if batch.answers in t.s.held:
        batch.frames = b""


def _unasked(self: Any, quote: Quote) -> Any:
    GoodCheck.on_quote(self, quote)
    return self.passed(Order(77, quote.listing_id, side=int(Side.BUY)))


check("check.verdict", **verdicts(lambda v: None))
check("check.order_id", **verdicts(lambda v: replace(v, order_id=v.order_id + 1)))
of_class("check.reason", GoodCheck, refused=lambda self, order, reason, *more: GoodCheck.refused(self, order, 0))
of_class("check.unknown_listing", GoodCheck, check_order=_passes_all(lambda s, o: s.ctx.listing(o.listing_id) is None))
check("check.no_order", sending=_mends)
check("check.cut_order", sending=_mends)
check("check.deadline", sending=_note_check, received=each_answer(_slow))
check("check.odd_order", sending=_odd_side, received=each_answer(_mute))
of_class("check.between", GoodCheck, on_quote=_unasked)

# -- feeds -------------------------------------------------------------------------------------------------------------


def feed(case_id: str, **hooks: Any) -> None:
    FAULTS[case_id] = Faulty(GoodFeed, tap(**hooks))


def feed_of(case_id: str, change: Callable[[Any, Observation], Observation]) -> None:
    def events(self: Any) -> Any:
        for at_ns, each in GoodFeed.events(self):
            yield at_ns, change(self, each)

    of_class(case_id, GoodFeed, events=events)


def _backwards(t: Tap, batch: Message) -> None:
    if len(batch.due_ns) > 1:
        due = list(batch.due_ns)[::-1]
        del batch.due_ns[:]
        batch.due_ns.extend(due)


def _greedy(t: Tap, lane: Any, batch: Message) -> Message:
    if batch.take:
        batch.take = 256
    return batch


def _unsure(t: Tap, batch: Message) -> None:
    if batch.taken_all:
        t.s.held.append(1)
        batch.taken_all = len(t.s.held) == 1


feed("feed.due", received=each_answer(lambda t, b: b.due_ns.__delitem__(slice(None))))
feed("feed.order", received=each_answer(_backwards))
feed("feed.take", sending=_greedy)
feed("feed.end", received=each_answer(_unsure))
feed_of("feed.same_again", lambda self, each: replace(each, value=float(next(_counter))))
feed_of("feed.not_before_known", lambda self, each: replace(each, known_at_ns=each.known_at_ns + 1))
feed_of("feed.names", lambda self, each: replace(each, series_id=each.series_id + 77))

# -- data --------------------------------------------------------------------------------------------------------------


def _model(case_id: str, change: Callable[[Any, list[Any]], list[Any]]) -> None:
    of_class(
        case_id, GoodModel,
        on_observation=lambda self, seen: change(self, GoodModel.on_observation(self, seen) or []),
    )  # fmt: skip


def _frame_with(out: list[Any], change: Callable[[Any], Any]) -> list[Any]:
    from penstock_sdk.schema import Frame

    return [Frame.of([change(each) for each in out[0].records()]), *out[1:]] if out else out


def _net_wrong(self: Any, report: ExecutionReport) -> Any:
    said = GoodPortfolio.on_execution_report(self, report)
    return said and replace(said, net_lots=said.net_lots + 1)


_model("data.no_look_ahead", lambda s, out: _frame_with(out, lambda f: replace(f, data_cut_ns=s.ctx.now_ns + 1)))
_model("data.quantiles", lambda s, out: _frame_with(out, lambda f: replace(f, value=-f.quantile_bp)))
_model("data.signals", lambda s, out: [*out, Signal(0, 1, 1.0, 0.5)] if out else out)
of_class("data.positions", GoodPortfolio, on_execution_report=_net_wrong)
of_class(
    "data.definitions", GoodRefData,
    on_start=lambda self: [
        replace(each, contract_id=each.contract_id + 100) if hasattr(each, "contract_id") else each
        for each in GoodRefData.on_start(self)
    ],
)  # fmt: skip
of_class("data.said_again", GoodRefData, on_resume=lambda self: None)

# -- flood and latency -------------------------------------------------------------------------------------------------


def _note_bulk(t: Tap, lane: Any, batch: Message) -> Message:
    if batch.step and records_in(batch) == 1_024:
        t.s.held.append(batch.step)
    return batch


def _loses_bulk(t: Tap, lane: Any, batch: Message) -> list[Message]:
    return [] if batch.answers and batch.answers in t.s.held[40:41] else [batch]


def _deaf(t: Tap, _request: Message, forward: Callable[[], Message]) -> Message:
    return _raise(PeerTimeout("Describe: no answer")) if len(t.s.held) > 16 else forward()


def _note_light(t: Tap, lane: Any, batch: Message) -> Message:
    if batch.hearing and records_in(batch) < 100:
        t.s.held.append(batch.step)
    return batch


def _hiccup(t: Tap, batch: Message) -> None:
    if batch.answers in t.s.held[50:53]:
        time.sleep(0.11)  # the fault itself


trader("flood.answered", sending=_note_bulk, received=_loses_bulk)
trader("flood.calls", sending=_note_bulk, call=on_call("Describe", _deaf))
trader("latency.steps", sending=_note_light, received=each_answer(_hiccup))
