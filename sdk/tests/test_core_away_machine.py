"""Plugins are lost and come back, checks answer late or not at all: no order leaves unchecked, nothing is forgotten.

Two kernels are driven alike from the first restart on: one that goes on, one restored from a snapshot. At the end a
third one is given the inputs alone, and comes to the same bytes.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from penstock_sdk.events import (
    Alert,
    CheckResult,
    CheckVerdict,
    ExecutionReport,
    IntentAction,
    Order,
    OrderIntent,
    OrderState,
    PluginState,
    PluginStatus,
    Quote,
    Reason,
    Reconcile,
    Reconciled,
    ReportKind,
    RunHeader,
    Timer,
    Tradability,
)
from penstock_sdk.golden.orders import TERMINAL
from penstock_sdk.plugin import ComplianceCheck, Feed, RiskCheck, Strategy, Venue
from penstock_sdk.schema import ABSENT, schema_by_id
from penstock_sdk.testing import SimKernel
from penstock_sdk.wire.frame import DIAGNOSTIC, HEADER, HEADER_BYTES, Header, Origin

ANSWER_NS = 200_000_000


class FarVenue(Venue):
    elsewhere = True

    def on_order(self, order: Order) -> None:
        return None

    def on_reconcile(self, reconcile: Reconcile) -> None:
        return None


class FarRisk(RiskCheck):
    elsewhere = answers_later = True

    def check_order(self, order: Order) -> Any:
        return None


class FarRules(ComplianceCheck):
    elsewhere = answers_later = True

    def check_order(self, order: Order) -> Any:
        return None


class NearRules(ComplianceCheck):
    """Refuses a price of 13, at once."""

    def check_order(self, order: Order) -> CheckVerdict:
        return self.refused(order, Reason.MARKET_ABUSE) if order.price_ticks == 13 else self.passed(order)


class FarFeed(Feed):
    elsewhere = True


class FarStrategy(Strategy):
    elsewhere = True


CHECKS = ("risk", "near", "rules")
LATE = ("risk", "rules")
FAR = ("venue", "risk", "rules", "feed", "s1")
HEADER_EVENT = RunHeader(epoch=1, seed=0, clock_kind="wall", started_ns=0, deployment="", versions={})


def build() -> SimKernel:
    kernel = SimKernel()
    kernel.add(FarVenue, "venue")
    for cls, name in (
        (FarStrategy, "s1"), (FarRisk, "risk"), (NearRules, "near"), (FarFeed, "feed"), (FarRules, "rules"),
        (Strategy, "s2"),
    ):  # fmt: skip
        kernel.add(cls, name)
    kernel.wire()
    return kernel


def started() -> SimKernel:
    kernel = build()
    kernel.feed(HEADER_EVENT)
    kernel.start()
    for name in ("L1", "L2"):
        kernel.add_listing(name, kernel.slots["venue"].plugin_id)
    return kernel


def played_back(recorded: list[bytes]) -> list[bytes]:
    """Return what a fresh kernel records that is given the inputs of a recording."""
    kernel = build()
    given = len(kernel.frames)
    assert kernel.frames == recorded[:given]
    for data in recorded[given:]:
        header = Header(*HEADER.unpack_from(data))
        if header.cause_seq != ABSENT or header.seq <= kernel.cascade.seq:
            continue
        event = schema_by_id(header.schema_id).unpack(data[HEADER_BYTES : HEADER_BYTES + header.body_bytes])
        kernel.moment.now_ns = header.at_ns
        slot = kernel.slot_by_id(header.producer)
        if isinstance(event, PluginState) and event.status == PluginStatus.RUNNING:
            again = event.name in kernel.away
            kernel.start_plugin(kernel.slots[event.name], resumed=again)
        elif isinstance(event, Timer):
            assert kernel.timers.next_ns() is not None
            kernel.cascade.run(kernel.timers.pop(), Origin.TIMER, slot)
        else:
            kernel.cascade.run(event, header.origin & ~DIAGNOSTIC, slot)
    return kernel.frames


class Away(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.kernels = [started()]
        self.seen = [len(self.kernels[0].frames)]
        self.new: list[Any] = []
        self.killed = False
        self.numbers = {"s1": 0, "s2": 0}
        self.passed: dict[int, list[int]] = {}
        self.asked_ns: dict[int, int] = {}
        self.cancelled_while_away: set[int] = set()
        self.fed: set[int] = set()
        self.now_ns = 0

    # -- looking ---------------------------------------------------------------------------------------------------

    @property
    def kernel(self) -> SimKernel:
        return self.kernels[0]

    @property
    def waiting(self) -> dict[int, Any]:
        return self.kernel.desk.late.waiting

    def id_of(self, name: str) -> int:
        return self.kernel.slots[name].plugin_id

    def both(self, act: Any) -> None:
        """Do the same with every kernel; what comes of it must be the same bytes, and lawful."""
        for kernel in self.kernels:
            act(kernel)
        fresh = [kernel.frames[seen:] for kernel, seen in zip(self.kernels, self.seen, strict=True)]
        assert all(frames == fresh[0] for frames in fresh)
        self.seen = [len(kernel.frames) for kernel in self.kernels]
        self.new = []
        for data in fresh[0]:
            size, schema_id = HEADER.unpack_from(data)[:2]
            self.new.append(schema_by_id(schema_id).unpack(data[HEADER_BYTES : HEADER_BYTES + size]))
        self.check_what_left()

    def of(self, cls: type[Any]) -> list[Any]:
        return [event for event in self.new if type(event) is cls]

    def check_what_left(self) -> None:
        """Each order that leaves has been passed by every check, in their order, and nothing stops it."""
        for event in self.new:
            if type(event) is CheckVerdict and event.result == CheckResult.PASSED:
                self.passed.setdefault(event.order_id, []).append(event.check_id)
            if type(event) is Order and event.action == IntentAction.NEW and event.state == OrderState.ROUTED:
                told = [check for check in self.passed[event.order_id] if check in map(self.id_of, CHECKS)]
                assert [c for i, c in enumerate(told) if c not in told[:i]] == [self.id_of(check) for check in CHECKS]
                assert not self.killed
                assert not {"venue", *CHECKS} & set(self.kernel.away)

    # -- orders ----------------------------------------------------------------------------------------------------

    @rule(who=st.sampled_from(["s1", "s2"]), listing_id=st.sampled_from([1, 2]), price=st.sampled_from([5, 5, 13]))
    def order(self, who: str, listing_id: int, price: int) -> None:
        self.numbers[who] += 1
        intent = OrderIntent(
            listing_id, IntentAction.NEW, 1, 1, 0, price, 3, self.numbers[who], strategy_id=self.id_of(who)
        )
        self.both(lambda kernel: kernel.feed(intent, producer=who))
        (order,) = self.of(Order)
        away = set(self.kernel.away)
        asked = not (self.killed or who in away or {"venue", *CHECKS} & away or self.kernel.desk.reconciling)
        assert order.state == (OrderState.PENDING_CHECK if asked else OrderState.REFUSED)
        assert order.venue_id == 0  # no venue hears of it
        assert (order.order_id in self.waiting) == asked
        if asked:
            self.asked_ns[order.order_id] = self.now_ns
        else:
            self.numbers[who] = self.kernel.desk._last_intent.get(self.id_of(who), 0)

    @precondition(lambda self: self.waiting)
    @rule(
        data=st.data(), by=st.sampled_from([*LATE * 3, "near", "s2"]), signed=st.sampled_from([*[""] * 8, *LATE]),
        result=st.sampled_from([CheckResult.PASSED] * 4 + [CheckResult.REFUSED, 7]),
    )  # fmt: skip
    def verdict(self, data: st.DataObject, by: str, signed: str, result: int) -> None:
        order_id = data.draw(st.sampled_from([*self.waiting, *self.waiting, 1, ABSENT]), label="order_id")
        held = self.waiting.get(order_id)
        good = held is not None and self.id_of(by) == held.check_id == self.id_of(signed or by)
        lost = by in self.kernel.away
        told = CheckVerdict(order_id, result, 0, Reason.POSITION, self.id_of(signed or by))
        if good and not lost:
            self.asked_ns[order_id] = self.now_ns
        self.both(lambda kernel: kernel.feed(told, producer=by))
        if not good:
            if result == CheckResult.PASSED:
                self.passed.get(order_id, [0]).pop()  # which counts nowhere
            assert [alert.code for alert in self.of(Alert)] == ["check.unexpected_verdict"]
            assert not self.of(Order)
            return
        assert held is not None
        still = order_id in self.waiting
        if result != CheckResult.PASSED:
            assert not still
            (order,) = self.of(Order)
            assert (order.state, order.venue_id) == (OrderState.REFUSED, 0)
            assert order.reason == (Reason.POSITION if result == CheckResult.REFUSED else Reason.CHECK_FAILED)
        elif still:
            assert (by, held.order.price_ticks) == ("risk", 5)
            assert self.waiting[order_id].check_id == self.id_of("rules")
        else:
            (order,) = self.of(Order)
            assert (order_id in self.kernel.desk.open) == (order.state == OrderState.ROUTED)

    @rule(who=st.sampled_from(["s1", "s2"]), data=st.data())
    def cancel(self, who: str, data: st.DataObject) -> None:
        known = [*self.waiting, *self.kernel.desk.open, 1]
        order_id = data.draw(st.sampled_from(known), label="order_id")
        held = self.waiting.get(order_id)
        here = self.kernel.desk.open.get(order_id)
        intent = OrderIntent(1, IntentAction.CANCEL, order_id=order_id, strategy_id=self.id_of(who))
        self.both(lambda kernel: kernel.feed(intent, producer=who))
        if held is not None and held.order.strategy_id == self.id_of(who):
            (order,) = self.of(Order)
            assert (order.state, order.venue_id) == (OrderState.CANCELLED, 0)
            assert order_id not in self.waiting
        elif here is not None and here.order.strategy_id == self.id_of(who) and "venue" in self.kernel.away:
            self.cancelled_while_away.add(order_id)

    @rule(ms=st.sampled_from([1, 60, 140, 201]))
    def time_passes(self, ms: int) -> None:
        late = {number for number in self.waiting if self.asked_ns[number] + ANSWER_NS <= self.now_ns + ms * 1_000_000}
        self.now_ns += ms * 1_000_000
        self.both(lambda kernel: kernel.run_until(self.now_ns))
        refused = {order.order_id: order.reason for order in self.of(Order)}
        assert refused == dict.fromkeys(late, Reason.CHECK_TIMEOUT)
        assert not late & set(self.waiting)

    @rule(command=st.sampled_from(["kill", "unkill", "unkill", "cancel_all"]))
    def operator(self, command: str) -> None:
        if self.kernel.away.keys() & {"venue"} and command in ("kill", "cancel_all"):
            self.cancelled_while_away |= set(self.kernel.desk.open)
        self.both(lambda kernel: kernel.command(command))
        self.killed = {"kill": True, "unkill": False}.get(command, self.killed)
        if command in ("kill", "cancel_all"):
            assert not self.waiting

    @precondition(lambda self: self.kernel.desk.open and "venue" not in self.kernel.away)
    @rule(data=st.data(), kind=st.sampled_from([ReportKind.ACCEPTED, ReportKind.CANCELLED, ReportKind.FILL]))
    def report(self, data: st.DataObject, kind: int) -> None:
        order_id = data.draw(st.sampled_from([*self.kernel.desk.open]), label="order_id")
        told = ExecutionReport(order_id, 1, kind, last_lots=3)
        self.both(lambda kernel: kernel.feed(told, producer="venue"))

    # -- losing and returning --------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(FAR))
    def lose(self, name: str) -> None:
        if name in self.kernel.away:
            return
        mine = [h.order.order_id for h in self.waiting.values() if h.check_id == self.id_of(name)]
        own = [h.order.order_id for h in self.waiting.values() if h.order.strategy_id == self.id_of(name)]
        self.both(lambda kernel: say(kernel, name, PluginStatus.FAILED, "exit status 9"))
        assert name in self.kernel.away
        assert not {*mine, *own} & set(self.waiting)
        stale = [quote.listing_id for quote in self.of(Quote)]
        assert {quote.tradability for quote in self.of(Quote)} <= {Tradability.STALE}
        assert stale == (sorted(self.fed) if name == "feed" else [])
        if name == "feed":
            self.fed.clear()
        if name == "venue":
            assert all(held.state == OrderState.IN_DOUBT for held in self.kernel.desk.open.values())
        if name == "s1":
            mine_open = [h for h in self.kernel.desk.open.values() if h.order.strategy_id == self.id_of(name)]
            assert all(h.state in (OrderState.PENDING_CANCEL, OrderState.IN_DOUBT) for h in mine_open)
            if "venue" in self.kernel.away:
                self.cancelled_while_away |= {h.order.order_id for h in mine_open}

    @precondition(lambda self: self.kernel.away)
    @rule(data=st.data(), often=st.integers(0, 2))
    def come_back(self, data: st.DataObject, often: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.kernel.away)), label="name")

        def tries(kernel: SimKernel) -> None:
            for _ in range(often):  # it does not come up
                say(kernel, name, PluginStatus.RETRYING)
                say(kernel, name, PluginStatus.STARTING)
                say(kernel, name, PluginStatus.FAILED, "no answer")
            say(kernel, name, PluginStatus.RETRYING)
            say(kernel, name, PluginStatus.STARTING)
            say(kernel, name, PluginStatus.CONFIGURED)
            assert name in kernel.away
            kernel.start_plugin(kernel.slots[name], resumed=True)

        self.both(tries)
        assert name not in self.kernel.away
        if name != "venue":
            assert not self.of(Reconcile)
            return
        (question,) = self.of(Reconcile)
        assert question.orders == [(h.order.order_id, h.filled_lots) for h in self.kernel.desk.open.values()]
        again = {order.order_id for order in self.of(Order)}
        assert self.cancelled_while_away & set(self.kernel.desk.open) <= again
        self.cancelled_while_away.clear()

    @precondition(lambda self: self.kernel.desk.reconciling and "venue" not in self.kernel.away)
    @rule()
    def reconciled(self) -> None:
        answer = Reconciled(venue_id=self.id_of("venue"), epoch=1)
        self.both(lambda kernel: kernel.feed(answer, producer="venue"))
        assert not self.kernel.desk.reconciling

    @precondition(lambda self: "feed" not in self.kernel.away)
    @rule(listing_id=st.sampled_from([1, 2]), stale=st.booleans())
    def feed(self, listing_id: int, stale: bool) -> None:
        quote = Quote(listing_id, Tradability.STALE if stale else Tradability.TRADABLE, bid_ticks=5, ask_ticks=7)
        self.both(lambda kernel: kernel.feed(quote, producer="feed"))
        if not stale:
            self.fed.add(listing_id)

    @rule()
    def restart(self) -> None:
        taken = self.kernel.snapshot()
        for plugin in taken["plugins"].values():
            plugin["random"] = None  # nobody draws here, and plain msgpack does not carry 128 bits
        state: Any = msgspec.msgpack.decode(msgspec.msgpack.encode(taken))
        fresh = build()
        fresh.restore(state)
        self.kernels = [self.kernel, fresh]
        self.seen = [len(kernel.frames) for kernel in self.kernels]

    # -- what always holds -----------------------------------------------------------------------------------------

    @invariant()
    def what_waits_has_a_timer_and_is_not_open(self) -> None:
        assert len(self.kernel.timers) == len(self.waiting)
        assert not set(self.waiting) & set(self.kernel.desk.open)
        assert all(held.state not in TERMINAL for held in self.kernel.desk.open.values())

    @invariant()
    def who_is_away_hears_nothing_and_the_order_stays(self) -> None:
        names = [slot.name for slot in self.kernel.cascade.slots if slot.plugin_id]
        assert names == [name for name in self.kernel.slots if name not in self.kernel.away]

    @invariant()
    def restored_kernels_agree(self) -> None:
        assert len({str(kernel.desk.snapshot()) for kernel in self.kernels}) == 1
        assert len({str(kernel.fed.snapshot()) for kernel in self.kernels}) == 1

    def teardown(self) -> None:
        """The inputs alone give the same bytes."""
        if hasattr(self, "kernels"):
            again = played_back(self.kernel.frames)
            for here, there in zip(self.kernel.frames, again, strict=True):
                assert here == there, f"recorded {shown(here)}, again {shown(there)}"


def shown(data: bytes) -> str:
    header = Header(*HEADER.unpack_from(data))
    event = schema_by_id(header.schema_id).unpack(data[HEADER_BYTES : HEADER_BYTES + header.body_bytes])
    return f"{header.seq} {header.origin} {header.cause_seq} {header.producer} {header.at_ns} {event}"


def say(kernel: SimKernel, name: str, status: PluginStatus, reason: str = "") -> None:
    kernel.say_status(kernel.slots[name].plugin_id, name, status, reason)


Away.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAway = Away.TestCase


def test_one_that_is_lost_can_be_kept_out_while_it_is_started_again() -> None:
    for said in ((), (PluginStatus.RETRYING,), (PluginStatus.RETRYING, PluginStatus.STARTING)):
        kernel = started()
        say(kernel, "s1", PluginStatus.FAILED, "gone")
        for status in said:
            say(kernel, "s1", status)
        kernel.command("quarantine", target="s1")
        assert kernel.quarantined["s1"] == "by test: test"
        assert [alert.code for alert in kernel.of(Alert)] == ["plugin.quarantined"]
        kernel.command("quarantine", target="s1")
        assert len(kernel.of(Alert)) == 1
        kernel.command("release", target="s1")
        say(kernel, "s1", PluginStatus.STARTING)
        say(kernel, "s1", PluginStatus.CONFIGURED)
        kernel.start_plugin(kernel.slots["s1"], resumed=True)
        assert "s1" in [slot.name for slot in kernel.cascade.slots]
        assert played_back(kernel.frames) == kernel.frames
