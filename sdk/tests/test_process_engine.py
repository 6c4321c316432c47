"""Proves that a plugin says out of process what it says in the kernel: same events, faults, names, timers, draws."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_sdk import schema
from penstock_sdk.core.state_bytes import unpack_state
from penstock_sdk.events import (
    CheckVerdict,
    IdKind,
    Interned,
    ListingDefinition,
    Order,
    Quote,
    Severity,
    Signal,
    Timer,
    Trade,
    ZoneDefinition,
)
from penstock_sdk.plugin import Operations, Outcome
from penstock_sdk.process.describing import KNOWN
from penstock_sdk.process.engine import Engine, EngineError
from penstock_sdk.process.envelope import Lane
from penstock_sdk.process.flow import FlowError
from penstock_sdk.schema import I64, Frame, Record, record
from penstock_sdk.testing import SimKernel
from penstock_sdk.testing.toys import toy_listing
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES
from penstock_sdk.wire.messages import (
    Batch,
    ConfigureRequest,
    DescribeRequest,
    DrainRequest,
    Instance,
    Message,
    RestoreRequest,
    SnapshotRequest,
    StartRequest,
)
from sdk.tests.core_toys import Obedient, PassAll
from sdk.tests.process_toys import Busy, BusyConfig, Even, Far, Recorded, Sender, packed, unpacked

SETTINGS = settings(max_examples=40, deadline=None)

Steps = list[tuple[str, int, int, int]]
steps: st.SearchStrategy[Steps] = st.lists(
    st.tuples(
        st.sampled_from(["quote", "quotes", "trade", "trades"]), st.integers(0, 15), st.integers(-5, 200),
        st.integers(0, 60),
    ),
    max_size=25,
)  # fmt: skip


def run(cls: type[Any], script: Steps, every: int) -> SimKernel:
    """Return a kernel that has run one plugin over a script."""
    kernel = SimKernel(seed=5, faults_max=10_000)
    venue = kernel.add(Obedient, "venue")
    kernel.add(PassAll, "risk")
    identity = kernel.identity("busy", "Busy", 1, "busy", "busy")
    kernel.attach(cls, "busy", BusyConfig(every=every), identity=identity)
    kernel.add_listing("H1", venue.ctx.plugin_id)
    kernel.start()
    for what, number, ticks, later_ns in script:
        at_ns = kernel.moment.now_ns + later_ns
        quote = Quote(number, bid_ticks=ticks)
        trade = Trade(number, qty_lots=number)
        if what == "quote":
            kernel.feed(quote, at_ns)
        elif what == "quotes":
            kernel.feed(Frame.of([quote, Quote(number + 1, bid_ticks=ticks)]), at_ns)
        elif what == "trade":
            kernel.feed(trade, at_ns)
        else:
            kernel.feed(Frame.of([trade, trade]), at_ns)
    kernel.stop()
    return kernel


def told(kernel: SimKernel) -> list[Any]:
    return [event for _, _, event in kernel.events]


@SETTINGS
@given(script=steps, every=st.integers(1, 3))
def test_a_plugin_says_the_same_in_the_kernel_and_behind_an_engine(script: Steps, every: int) -> None:
    near, far = run(Busy, script, every), run(Far, script, every)
    assert told(far) == told(near)
    assert near.frames == far.frames


@SETTINGS
@given(script=steps, cuts=st.sets(st.integers(0, 30), max_size=4))
def test_a_plugin_that_is_moved_to_another_process_goes_on_as_if_it_had_not_been(script: Steps, cuts: set[int]) -> None:
    class Moving(Far):
        @staticmethod
        def kept(far: Far) -> Engine:
            if far.steps not in cuts:
                return far.engine
            held = far.engine.call("Snapshot", SnapshotRequest())
            assert not held.error
            engine = far.made()
            restored = engine.call("Restore", RestoreRequest(state=held.state, last_seq=held.last_seq))
            assert not restored.error
            reply = engine.call("Start", StartRequest(resumed=True, now_ns=far.ctx.now_ns))
            assert not reply.said.frames and not reply.said.faults
            return engine

    near, far = run(Busy, script, 2), run(Moving, script, 2)
    assert near.frames == far.frames


heard = st.lists(
    st.one_of(
        st.builds(Quote, st.sampled_from([2, 3, 4, 7]), bid_ticks=st.integers(0, 200)),
        st.builds(Trade, st.integers(1, 3), qty_lots=st.sampled_from([1, 13])),
        st.builds(Timer, st.just(7), st.integers(1, 5)),
    ),
    max_size=20,
)


@SETTINGS
@given(events=heard, cut=st.integers(0, 20))
def test_a_state_and_the_past_that_came_after_it_make_the_same_plugin(events: list[Any], cut: int) -> None:
    batches = [packed(event, seq, seq * 10) for seq, event in enumerate(events, 1)]
    names = Names()
    lasting = started(Busy, port=names)
    held = lasting.call("Snapshot", SnapshotRequest())
    for seq, frames in enumerate(batches, 1):
        lasting.batch(Lane.EVENTS, Batch(frames=frames))
        if seq == cut:
            held = lasting.call("Snapshot", SnapshotRequest())
    later = configured(Busy, port=names)
    assert not later.call("Restore", RestoreRequest(state=held.state, last_seq=held.last_seq)).error
    later.batch(Lane.EVENTS, Batch(frames=b"".join(batches[held.last_seq :]), hearing=True))
    states = [engine.call("Snapshot", SnapshotRequest()) for engine in (lasting, later)]
    assert states[0].last_seq == states[1].last_seq == len(batches)
    assert unpack_state(states[0].state) == unpack_state(states[1].state)


def configured(cls: type[Any], config: str = "", port: Any = None, **instance: Any) -> Engine:
    engine = Engine(cls, id="it", version="1.2", port=port)
    who = {"name": "it", "plugin_id": 7, **instance}
    reply = engine.call("Configure", ConfigureRequest(config_json=config, instance=Instance(**who)))
    assert not reply.faults, reply.faults
    return engine


def started(cls: type[Any], config: str = "", port: Any = None, **instance: Any) -> Engine:
    engine = configured(cls, config, port, **instance)
    engine.call("Start", StartRequest())
    return engine


class Names:
    """Gives ids to whoever asks."""

    def __init__(self) -> None:
        self.given: list[str] = []

    def ask(self, batch: Message) -> Message:
        self.given += [each.name for each in batch.asks]
        names = [Interned(kind=IdKind.SERIES, id=self.given.index(n.name) + 1, name=n.name) for n in batch.asks]
        return Batch(frames=b"".join(map(packed, names)))


def test_describe_says_what_the_class_hears_and_takes() -> None:
    reply = Engine(Busy, id="busy", version="1.2").call("Describe", DescribeRequest(majors=[1, 2]))
    assert (reply.id, reply.version, reply.kind) == ("busy", "1.2", "strategy")
    assert {heard.name for heard in reply.hears} == {"Quote", "Trade", "Order", "ExecutionReport", "Timer"}
    assert "every" in json.loads(reply.config_schema)["$defs"]["BusyConfig"]["properties"]
    assert list(reply.capabilities) == ["snapshot", "throughout"]
    assert list(Engine(Recorded).call("Describe", DescribeRequest()).capabilities) == ["poll", "snapshot", "throughout"]
    with pytest.raises(EngineError, match=r"speaks majors 7 of penstock.plugin, this plugin 1; install another"):
        Engine(Busy).call("Describe", DescribeRequest(majors=[7], host_version="9.9"))


def test_a_handler_that_no_record_calls_is_told_when_the_plugin_is_described() -> None:
    class Wrong(Operations):
        def on_quotte(self, quote: Quote) -> Outcome:
            return None

    with pytest.raises(EngineError, match=r"on_quotte names no record; did you mean on_quote\?"):
        Engine(Wrong).call("Describe", DescribeRequest())


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        ("[1]", "config met list, wanted an object"),
        ("{", "config is no JSON"),
        ('{"every": "x"}', 'every: expected int, met "x"'),
        ('{"evry": 1}', "evry: unknown key; did you mean every?"),
    ],
)
def test_every_fault_of_a_config_is_told_by_its_key(config: str, fault: str) -> None:
    reply = Engine(Busy).call("Configure", ConfigureRequest(config_json=config, validate_only=True))
    assert len(reply.faults) == 1 and reply.faults[0].startswith(fault), reply.faults
    both = Engine(Busy).call("Configure", ConfigureRequest(config_json='{"every": "x", "evry": 1}'))
    assert len(both.faults) == 2
    assert Engine(Sender).call("Configure", ConfigureRequest(config_json='{"a": 1}')).faults == [
        "a: met, wanted nothing: the plugin takes no config; remove it"
    ]


def test_calls_out_of_turn_are_refused() -> None:
    engine = Engine(Busy)
    with pytest.raises(EngineError, match=r"^Start met a plugin that is new, wanted configured$"):
        engine.call("Start", StartRequest())
    engine = started(Sender)
    with pytest.raises(EngineError, match=r"^Configure met a plugin that is started"):
        engine.call("Configure", ConfigureRequest())
    with pytest.raises(EngineError, match=r"^frames met a plugin that is new, wanted one that is configured$"):
        Engine(Sender).batch(Lane.EVENTS, Batch(frames=packed(Quote(1))))
    with pytest.raises(EngineError, match=r"^call Sing met, wanted one of Describe, "):
        engine.call("Sing", StartRequest())


def test_the_last_event_is_the_last_record_of_a_frame() -> None:
    engine = started(Sender)
    engine.batch(Lane.EVENTS, Batch(frames=packed(Frame.of([Quote(1)] * 3), 10)))
    assert engine.last_seq == 12


def test_only_timers_that_are_set_are_forgotten() -> None:
    class Forgetful(Operations):
        def on_quote(self, quote: Quote) -> Outcome:
            self.ctx.cancel_timer(quote.listing_id)
            self.ctx.set_timer(50, tag=quote.listing_id)
            return None

    engine = started(Forgetful)
    ((_, said),) = engine.batch(Lane.EVENTS, Batch(frames=packed(Quote(9)) + packed(Quote(1))))
    assert [timer.timer_id for timer in said.timers] == [1, 2] and list(said.timers_forgotten) == [1]


def test_free_events_are_answered_on_the_lane_of_their_topic() -> None:
    engine = started(Busy, port=Names())
    quotes = packed(Quote(1, bid_ticks=5), 10, 100) + packed(Quote(7), 11, 101)
    said = dict(engine.batch(Lane.EVENTS, Batch(frames=quotes)))
    assert set(said) == {Lane.EVENTS, Lane.ORDERS}
    assert [type(event).__name__ for event in unpacked(said[Lane.ORDERS].frames)] == ["OrderIntent"]
    assert [event.code for event in unpacked(said[Lane.EVENTS].frames)] == ["test.met"]
    header = HEADER.unpack_from(said[Lane.ORDERS].frames)
    assert (header[5], header[6], header[10]) == (100, 10, 7)  # at_ns, cause_seq, producer
    assert engine.batch(Lane.EVENTS, Batch(frames=packed(Signal(1)))) == []


def test_what_is_heard_of_the_past_is_neither_said_nor_sent_but_known() -> None:
    Sender.left.clear()
    engine = configured(Sender)
    past = Batch(frames=packed(Quote(1), 5), hearing=True, written_seq=9)
    assert engine.batch(Lane.EVENTS, past) == [] and Sender.left == []
    assert engine.last_seq == 5

    busy = configured(Busy, port=Names())
    past = b"".join(packed(Quote(2, bid_ticks=90), seq, 10) for seq in (1, 2))
    assert busy.batch(Lane.EVENTS, Batch(frames=past, hearing=True)) == []
    busy.batch(Lane.EVENTS, Batch(frames=packed(Timer(7, 1, 100, 1), 3, 100), hearing=True))
    reply = busy.call("Start", StartRequest(resumed=True, now_ns=200, seq=4))
    assert [(timer.timer_id, timer.due_ns, timer.tag) for timer in reply.timers] == [(2, 100, 2)]


def test_what_is_known_at_the_start_is_known_and_not_heard() -> None:
    class Listening(Operations):
        def on_listing_definition(self, listing: ListingDefinition) -> Outcome:
            return Signal(listing.listing_id)

        def on_start(self) -> Outcome:
            return [Signal(100 + listing.listing_id) for listing in self.ctx.listings()]

    zone = ZoneDefinition(zone_id=1, code="DE", timezone="Europe/Berlin", currency="EUR")
    first, second = (toy_listing(number, zone, 0, 60)[0] for number in (1, 2))
    engine = configured(Listening)
    name = Interned(kind=IdKind.SERIES, id=3, name="wind")
    known = packed(zone) + packed(name) + packed(first)
    said = engine.call("Start", StartRequest(known=known, seq=9)).said
    assert unpacked(said.frames) == [Signal(101)]
    assert engine.plugin is not None and engine.plugin.ctx.intern(IdKind.SERIES, "wind") == 3
    ((_, heard),) = engine.batch(Lane.EVENTS, Batch(frames=packed(second, 10)))
    assert unpacked(heard.frames) == [Signal(2)] and len(engine.plugin.ctx.listings()) == 2


def test_effects_happen_once_they_are_written_and_in_order() -> None:
    Sender.left.clear()
    engine = started(Sender)
    ((lane, said),) = engine.batch(Lane.ORDERS, Batch(frames=packed(Quote(1), 10) + packed(Quote(2), 11)))
    assert (lane, said.effects_waiting, Sender.left) == (Lane.ORDERS, 2, [])
    assert engine.poll() == []  # it is said once
    assert engine.batch(Lane.EVENTS, Batch(written_seq=10)) == []
    assert Sender.left == [1]
    assert engine.batch(Lane.EVENTS, Batch(frames=packed(Quote(3), 12), written_seq=12)) == []
    assert Sender.left == [1, 2, 3]
    ((_, said),) = engine.batch(Lane.EVENTS, Batch(frames=packed(Quote(13), 13), written_seq=13))
    (fault,) = said.faults
    assert fault.handler == "effect Sender._send" and fault.error == "OSError: the line is dead"


def test_a_check_answers_with_its_verdict_or_a_fault() -> None:
    engine = started(Even)

    def asked(lots: int) -> Message:
        order = Order(order_id=4, listing_id=1, qty_lots=lots)
        ((lane, said),) = engine.batch(Lane.ORDERS, Batch(frames=packed(order, 3, 30), check=True))
        assert lane == Lane.ORDERS
        return said

    assert [verdict.result for lots in (2, 3) for verdict in unpacked(asked(lots).frames)] == [1, 2]
    assert unpacked(asked(2).frames)[0] == CheckVerdict(4, 1, 0, 0, 7, listing_id=1)
    assert asked(9).faults[0].error.startswith("ArithmeticError: nine (process_toys.py:")
    text = "TypeError: check_order returned 'perhaps', wanted a CheckVerdict on order 4, passed or refused"
    assert asked(7).faults[0].error.startswith(text) and not asked(7).frames
    with pytest.raises(EngineError, match=r"^check met a plugin of kind operations, wanted risk or compliance$"):
        started(Sender).batch(Lane.EVENTS, Batch(check=True, frames=packed(Order(1))))


def test_a_feed_gives_ahead_what_it_is_asked_for_and_says_when_it_has_no_more() -> None:
    engine = started(Recorded, simulated=True)
    ((lane, said),) = engine.batch(Lane.EVENTS, Batch(take=3, step=1))
    assert (lane, said.answers, list(said.due_ns), said.taken_all) == (Lane.EVENTS, 1, [0, 10, 20], False)
    assert [trade.listing_id for trade in unpacked(said.frames)] == [1, 2, 3]
    ((_, said),) = engine.batch(Lane.EVENTS, Batch(take=3, step=2))
    assert list(said.due_ns) == [30, 40, 1_000, 1_000]  # one for each record, also in frames
    ((_, said),) = engine.batch(Lane.EVENTS, Batch(take=3, step=3))
    assert (said.answers, said.taken_all, said.frames) == (3, True, b"")


def test_a_feed_whose_time_goes_back_gives_what_came_before_and_a_fault() -> None:
    engine = started(Recorded, '{"trades": 1, "back": true}')
    ((_, said),) = engine.batch(Lane.EVENTS, Batch(take=100))
    assert list(said.due_ns) == [0, 1_000, 1_000] and said.taken_all
    (fault,) = said.faults
    assert (fault.handler, fault.after_frames) == ("events", 2)
    assert (
        fault.error == "ValueError: feed it, item 3: its time 999 lies before the last, 1000; sort the source by time"
    )


def test_what_is_polled_comes_from_outside_and_only_in_free_time() -> None:
    engine = started(Recorded)
    assert engine.polls and engine.poll() == []
    ((lane, said),) = engine.poll()
    assert lane == Lane.EVENTS and said.from_outside and unpacked(said.frames) == [Quote(2)]
    (fault,) = said.faults
    assert (fault.handler, fault.error) == ("poll", "TypeError: met 'noise', wanted a record or a Frame")
    assert not started(Recorded, simulated=True).polls


def test_odd_frames_are_passed_over_with_a_fault_and_the_rest_is_heard() -> None:
    engine = started(Busy, port=Names())
    known = packed(Quote(7), 10)
    odd = bytearray(known)
    odd[4:6] = (60_000).to_bytes(2, "little")
    short = bytearray(known)
    short[44:46] = (Quote.layout.size - 8).to_bytes(2, "little")
    frames = bytes(odd + short) + known
    ((_, said),) = engine.batch(Lane.EVENTS, Batch(frames=frames))
    assert [fault.handler for fault in said.faults] == ["frames", "frames"]
    assert said.faults[0].error.startswith("schema id 60000 met, which nothing here declares")
    assert len(unpacked(said.frames)) == 1
    ((_, said),) = engine.batch(Lane.EVENTS, Batch(frames=bytes(odd) + known))
    assert not said.faults  # a newer host may know more: it is said once
    with pytest.raises(FlowError, match="frames end with 3 bytes"):
        engine.batch(Lane.EVENTS, Batch(frames=known + b"abc"))


def test_records_of_a_newer_host_are_heard_without_what_was_appended() -> None:
    engine = started(Busy, port=Names())
    size = Quote.layout.size
    body = b"".join(Quote.layout.pack(Quote(1, bid_ticks=ticks)) + bytes(16) for ticks in (4, 5))
    for count in (1, 2):
        longer = (
            HEADER.pack((size + 16) * count, 1, 2, 1, 1, 0, 0, 1, count, size + 16, 0) + body[: (size + 16) * count]
        )
        said = dict(engine.batch(Lane.EVENTS, Batch(frames=longer)))
        assert [intent.price_ticks for intent in unpacked(said[Lane.ORDERS].frames)] == [4, 5][:count]


def test_records_of_an_older_host_have_defaults_for_what_it_does_not_know() -> None:
    for events, stride in (([Quote(1, bid_ticks=4)], 16), ([Quote(1, bid_ticks=4), Quote(1, bid_ticks=5)], 24)):
        engine = started(Busy, port=Names())
        body = b"".join(Quote.layout.pack(event)[:stride] for event in events)
        shorter = HEADER.pack(len(body), 1, 1, 1, 1, 0, 0, 1, len(events), stride, 0) + body
        said = dict(engine.batch(Lane.EVENTS, Batch(frames=shorter)))
        assert [intent.price_ticks for intent in unpacked(said[Lane.ORDERS].frames)] == [4, 5][: len(events)]


def test_a_record_of_the_plugins_own_is_heard_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_BY_ID", dict(schema._BY_ID))  # other tests do not know the record

    @record(id=47_311, topic="test.pair")
    class ProcessPair(Record, frozen=True, gc=False):
        first: I64
        second: I64

    class Swapping(Operations):
        def on_process_pair(self, pair: ProcessPair) -> Outcome:
            return ProcessPair(pair.second, pair.first)

    engine = started(Swapping)
    assert [heard.schema_id for heard in engine.call("Describe", DescribeRequest()).hears] == [47_311]
    ((lane, said),) = engine.batch(Lane.EVENTS, Batch(frames=packed(ProcessPair(1, 2))))
    assert lane == Lane.EVENTS and unpacked(said.frames) == [ProcessPair(2, 1)]
    lacking = HEADER.pack(8, 47_311, 1, 1, 1, 0, 0, 1, 1, 8, 0) + bytes(8)
    ((_, said),) = engine.batch(Lane.EVENTS, Batch(frames=lacking))
    assert "met a stride of 8 bytes, which lacks fields that it cannot be without" in said.faults[0].error


def test_an_answer_that_is_too_large_for_a_step_is_a_fault() -> None:
    class Flood(Operations):
        def on_quote(self, quote: Quote) -> Outcome:
            return [quote] * 40_000

    engine = started(Flood, simulated=True)
    ((_, said),) = engine.batch(Lane.EVENTS, Batch(frames=packed(Quote(1)), step=1))
    assert said.answers == 1 and not said.frames
    assert said.faults[0].error.startswith("met 40000 records in ")
    free = started(Flood).batch(Lane.EVENTS, Batch(frames=packed(Quote(1))))
    assert sum(batch.frames.count(packed(Quote(1))[:4]) > 0 for _, batch in free) == len(free) > 1
    assert sum(len(batch.frames) for _, batch in free) == 40_000 * (HEADER_BYTES + Quote.layout.size)


def test_the_effects_of_a_drained_plugin_happen() -> None:
    class Last(Sender):
        def on_stop(self) -> Outcome:
            self.ctx.effect(self._send, 99)
            return Signal(1)

    Sender.left.clear()
    engine = started(Last)
    reply = engine.call("Drain", DrainRequest(now_ns=5, seq=8))
    assert len(unpacked(reply.said.frames)) == 1 and reply.said.effects_waiting == 1
    assert engine.poll() == [] and not engine.polls
    engine.batch(Lane.EVENTS, Batch(written_seq=9))
    assert Sender.left == [99]


def test_a_state_of_another_class_is_refused_and_nothing_of_it_is_kept() -> None:
    held = started(Busy, port=Names()).call("Snapshot", SnapshotRequest())
    engine = configured(Sender)
    reply = engine.call("Restore", RestoreRequest(state=held.state))
    assert "met the state of sdk.tests.process_toys:Busy, wanted that of sdk.tests.process_toys:Sender" in reply.error
    assert "cannot be read" in engine.call("Restore", RestoreRequest(state=b"\xff\xff")).error
    assert not engine.call("Start", StartRequest()).said.faults


def test_a_state_that_cannot_be_kept_is_said() -> None:
    class Odd(Operations):
        def snapshot(self) -> Any:
            return object()

    assert "plugin it has no state that can be kept" in started(Odd).call("Snapshot", SnapshotRequest()).error


def test_what_others_say_before_its_start_is_handled_with_the_names_that_are_known() -> None:
    class Early(Sender):
        def on_quote(self, quote: Quote) -> Outcome:
            self.ctx.set_timer(99, tag=1)
            name = self.ctx.name_of(IdKind.LISTING, quote.listing_id)
            return self.ctx.alert("early", Severity.INFO, met=name)

    engine = configured(Early)
    known = Batch(frames=packed(Interned(kind=IdKind.LISTING, id=1, name="L1"), 1), answers=KNOWN, step=1)
    ((_, nothing),) = engine.batch(Lane.EVENTS, known)
    assert (nothing.answers, nothing.frames) == (1, b"")
    ((_, said),) = engine.batch(Lane.EVENTS, Batch(frames=packed(Quote(1), 2), step=2))
    (alert,) = unpacked(said.frames)
    assert alert.met == "L1" and [timer.timer_id for timer in said.timers] == [1]
    assert [timer.timer_id for timer in engine.call("Start", StartRequest(seq=3)).timers] == [1]
