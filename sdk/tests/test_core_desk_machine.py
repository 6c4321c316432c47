"""Whatever is asked of the desk in whatever order: no order leaves unchecked or while stopped, every cancel does.

Two kernels are driven alike from the first restart on: one that goes on, one restored from a snapshot.
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
    Limit,
    LimitKind,
    Mark,
    Order,
    OrderIntent,
    OrderState,
    Quote,
    Reason,
    ReportKind,
    RunHeader,
    SessionReady,
)
from penstock_sdk.golden.orders import TERMINAL
from penstock_sdk.plugin import ComplianceCheck, Outcome, RiskCheck, Strategy, Venue
from penstock_sdk.schema import ABSENT, schema_by_id
from penstock_sdk.testing import SimKernel
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES

ANSWERS = ["pass", "refuse", "raise", "None", "text", "other order", "unknown result", "misfit"]


class Says(Venue):
    """Reports what the test put in its mouth, when a mark comes by."""

    def __init__(self, ctx: Any, config: Any = None) -> None:
        super().__init__(ctx, config)
        self.reports: list[ExecutionReport] = []
        self.heard: list[Order] = []

    def on_mark(self, mark: Mark) -> Outcome:
        reports, self.reports = self.reports, []
        return reports

    def on_order(self, order: Order) -> None:
        self.heard.append(order)


class Answers:
    """A check that answers as it is told."""

    mode = "pass"

    def check_order(self: Any, order: Order) -> Any:
        if self.mode == "raise":
            raise RuntimeError("down")
        verdict = self.passed(order)
        return {
            "pass": verdict,
            "refuse": self.refused(order, Reason.POSITION),
            "None": None,
            "text": "yes",
            "other order": msgspec.structs.replace(verdict, order_id=order.order_id + 1),
            "unknown result": msgspec.structs.replace(verdict, result=7),
            "misfit": msgspec.structs.replace(verdict, met=2**70),
        }[self.mode]


class Risk(Answers, RiskCheck):
    pass


class Rules(Answers, ComplianceCheck):
    pass


def build() -> SimKernel:
    kernel = SimKernel(faults_max=10**9)
    venue = kernel.add(Says, "venue")
    for cls, name in ((Strategy, "s1"), (Risk, "risk"), (Rules, "rules"), (Strategy, "s2")):
        kernel.add(cls, name)  # type: ignore[type-abstract]
    kernel.start()
    for name in ("L1", "L2"):
        kernel.add_listing(name, venue.ctx.plugin_id)
    return kernel


STRATEGY = st.sampled_from(["s1", "s2"])


class Desk(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.kernels = [build()]
        self.seen = [len(self.kernels[0].frames)]
        self.new: list[Any] = []
        self.killed = False
        self.paused: set[str] = set()
        self.modes = {"risk": "pass", "rules": "pass"}
        self.journal_failed = False
        self.ids: set[int] = set()
        self.filled: dict[int, int] = {}
        self.last_intent = {"s1": 0, "s2": 0}
        self.epoch = 1

    @property
    def open(self) -> dict[int, Any]:
        return self.kernels[0].desk.open

    def both(self, act: Any) -> None:
        """Do the same with every kernel; what comes of it must be the same bytes."""
        for kernel in self.kernels:
            act(kernel)
        fresh = [kernel.frames[seen:] for kernel, seen in zip(self.kernels, self.seen, strict=True)]
        assert all(frames == fresh[0] for frames in fresh)
        self.seen = [len(kernel.frames) for kernel in self.kernels]
        self.new = []
        for data in fresh[0]:
            size, schema_id = HEADER.unpack_from(data)[:2]
            self.new += [schema_by_id(schema_id).unpack(data[HEADER_BYTES : HEADER_BYTES + size])]

    def of(self, cls: type[Any]) -> list[Any]:
        return [event for event in self.new if type(event) is cls]

    def plugin_id(self, name: str) -> int:
        return self.kernels[0].slots[name].plugin_id

    def order_ids(self, data: st.DataObject) -> int:
        # Few ids and mostly open ones, so that several things befall the same order.
        known = [*self.open] * 4 + sorted(self.ids)[-4:] + [5, ABSENT]
        return data.draw(st.sampled_from(known), label="order_id")

    # -- what is done ----------------------------------------------------------------------------------------------

    @rule(
        who=STRATEGY,
        sender=st.sampled_from([""] * 8 + ["s1", "risk"]),
        listing_id=st.sampled_from([1, 2] * 4 + [3]),
        side=st.sampled_from([1, 2] * 4 + [0]),
        qty=st.sampled_from([10, 3, 1] * 3 + [0, -1]),
        step=st.sampled_from([1] * 6 + [0]),
    )
    def order(self, who: str, sender: str, listing_id: int, side: int, qty: int, step: int) -> None:
        number = self.last_intent[who] + step
        intent = OrderIntent(
            listing_id, IntentAction.NEW, side, 1, 0, 100, qty, number, strategy_id=self.plugin_id(who)
        )
        allowed = (
            (sender or who) == who
            and not (self.killed or self.journal_failed or {"", who} & self.paused)
            and listing_id in (1, 2)
            and side
            and qty > 0
            and step
        )
        self.both(lambda kernel: kernel.feed(intent, producer=sender or who))
        if allowed:
            self.last_intent[who] = number
        (order,) = self.of(Order)
        assert order.order_id not in self.ids
        assert (order.intent_id, order.strategy_id) == (number, self.plugin_id(who))
        verdicts = self.of(CheckVerdict)
        passes = allowed and set(self.modes.values()) == {"pass"}
        assert order.state == (OrderState.ROUTED if passes else OrderState.REFUSED)
        if passes:
            self.ids.add(order.order_id)
            self.filled[order.order_id] = 0
            assert [(v.check_id, v.result) for v in verdicts] == [
                (self.plugin_id(check), CheckResult.PASSED) for check in ("risk", "rules")
            ]
            assert all(v.order_id == order.order_id for v in verdicts)
        else:
            assert order.reason != Reason.NONE
            assert not verdicts or (verdicts[-1].result == CheckResult.REFUSED and allowed)

    @rule(who=STRATEGY, listing_id=st.sampled_from([1, 2]), side=st.sampled_from([1, 2]))
    def good_order(self, who: str, listing_id: int, side: int) -> None:
        self.order(who=who, sender="", listing_id=listing_id, side=side, qty=3, step=1)

    @rule(who=STRATEGY)
    def go_on_and_order(self, who: str) -> None:
        self.switch("unkill", "")
        for whom in ("", who):
            self.switch("resume", whom)
        self.good_order(who, 1, 1)

    @rule(data=st.data(), who=STRATEGY)
    def cancel(self, data: st.DataObject, who: str) -> None:
        order_id = self.order_ids(data)
        held = self.open.get(order_id)
        mine = held is not None and held.order.strategy_id == self.plugin_id(who)
        before = {number: h.state for number, h in self.open.items()}
        intent = OrderIntent(1, IntentAction.CANCEL, order_id=order_id, strategy_id=self.plugin_id(who))
        self.both(lambda kernel: kernel.feed(intent, producer=who))
        if mine:
            (order,) = self.of(Order)
            assert (order.order_id, order.action) == (order_id, IntentAction.CANCEL)
            assert order.state in (OrderState.PENDING_CANCEL, OrderState.IN_DOUBT)
        else:
            (report,) = self.of(ExecutionReport)
            assert (report.kind, report.strategy_id) == (ReportKind.CANCEL_REJECTED, self.plugin_id(who))
            assert {number: h.state for number, h in self.open.items()} == before

    @rule(who=STRATEGY, listing_id=st.sampled_from([0, 1, 2]), operator=st.booleans())
    def cancel_all(self, who: str, listing_id: int, operator: bool) -> None:
        owner = self.plugin_id(who)
        wanted = self.cancellable(owner, 0 if operator else listing_id, again=operator)
        if operator:
            self.both(lambda kernel: kernel.command("cancel_all", target=who))
        else:
            intent = OrderIntent(listing_id, IntentAction.CANCEL_ALL, strategy_id=owner)
            self.both(lambda kernel: kernel.feed(intent, producer=who))
        self.check_cancels(wanted)

    def cancellable(self, owner: int = 0, listing_id: int = 0, again: bool = False) -> list[int]:
        return [
            number
            for number, held in self.open.items()
            if held.order.strategy_id in (owner, owner or held.order.strategy_id)
            and held.order.listing_id in (listing_id, listing_id or held.order.listing_id)
            and (again or held.state != OrderState.PENDING_CANCEL)
        ]

    def check_cancels(self, wanted: list[int]) -> None:
        assert [order.order_id for order in self.of(Order)] == wanted
        assert {order.action for order in self.of(Order)} <= {IntentAction.CANCEL}

    @precondition(lambda self: self.open)
    @rule(data=st.data(), lots=st.sampled_from([1, 2, 0, 11, -2]))
    def fill(self, data: st.DataObject, lots: int) -> None:
        self.report(data, ReportKind.FILL, lots)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), first=st.sampled_from(["s1", "s2"]), then=st.sampled_from(["s1", "s2", "no", "accepted"]))
    def cancel_and(self, data: st.DataObject, first: str, then: str) -> None:
        self.cancel(data, first)
        if then in ("s1", "s2"):
            self.cancel(data, then)
        else:
            self.report(data, ReportKind.CANCEL_REJECTED if then == "no" else ReportKind.ACCEPTED, 0)

    @rule(data=st.data(), kind=st.integers(0, 8), lots=st.sampled_from([1, 2, 3, 11, 0, -2]))
    def report(self, data: st.DataObject, kind: int, lots: int) -> None:
        order_id = self.order_ids(data)
        held = self.open.get(order_id)
        state = held.state if held else OrderState.UNKNOWN
        report = ExecutionReport(order_id, 1, kind, last_lots=lots)
        for kernel in self.kernels:
            kernel.slots["venue"].plugin.reports = [report]
        self.both(lambda kernel: kernel.feed(Mark(1)))
        alerts = [alert.code for alert in self.of(Alert)]
        if held is None:
            assert alerts == ([] if kind == ReportKind.CANCEL_REJECTED else ["order.unknown_report"])
        elif kind == ReportKind.FILL and lots > 0:
            self.filled[order_id] += lots
            over = self.filled[order_id] > held.order.qty_lots
            assert alerts == (["order.illegal_transition"] if over else [])
            assert (order_id in self.open) == (self.filled[order_id] < held.order.qty_lots)
        elif kind == ReportKind.FILL or kind in (ReportKind.UNKNOWN, 8):
            assert alerts == ["order.illegal_transition"]
            assert order_id in self.open
        elif kind in (ReportKind.CANCELLED, ReportKind.EXPIRED):
            assert (alerts, order_id in self.open) == ([], False)
        elif kind == ReportKind.CANCEL_REJECTED:
            assert alerts == (["order.illegal_transition"] if state == OrderState.ROUTED else [])
            if state == OrderState.PENDING_CANCEL:
                filled = self.filled[order_id]
                assert held.state == (OrderState.PARTLY_FILLED if filled else OrderState.WORKING)
        for told in self.of(ExecutionReport):
            assert told.strategy_id == (held.order.strategy_id if held else 0)

    @rule(
        command=st.sampled_from(["unkill", "resume", "kill", "pause", "unkill", "resume"]),
        whom=st.sampled_from(["", "s1", "s2"]),
    )
    def switch(self, command: str, whom: str) -> None:
        wanted = self.cancellable(self.plugin_id(whom) if whom and command == "pause" else 0, again=command == "kill")
        self.both(lambda kernel: kernel.command(command, target=whom))
        if command in ("kill", "unkill"):
            self.killed = command == "kill"
        elif command == "pause":
            self.paused.add(whom)
        else:
            self.paused.discard(whom)
        self.check_cancels(wanted if command in ("kill", "pause") else [])

    @rule(kind=st.sampled_from([LimitKind.KILL, LimitKind.PAUSE]), sender=STRATEGY)
    def loosen(self, kind: LimitKind, sender: str) -> None:
        self.both(lambda kernel: kernel.feed(Limit(kind, value=0), producer=sender))
        assert [alert.code for alert in self.of(Alert)] == ["limit.not_allowed"]

    @rule(who=STRATEGY, check=st.sampled_from(["risk", "rules"]), mode=st.sampled_from(ANSWERS))
    def order_meets_a_check_that(self, who: str, check: str, mode: str) -> None:
        self.answer(check, mode)
        self.order(who=who, sender="", listing_id=1, side=1, qty=3, step=1)
        self.answer(check, "pass")

    def answer(self, check: str, mode: str) -> None:
        self.modes[check] = mode
        for kernel in self.kernels:
            kernel.slots[check].plugin.mode = mode

    @rule(who=STRATEGY, then=st.sampled_from(["order", "cancel_all"]))
    def the_journal_fails(self, who: str, then: str) -> None:
        self.set_journal_failed(True)
        if then == "order":
            self.order(who=who, sender="", listing_id=1, side=1, qty=3, step=1)
        else:
            self.cancel_all(who=who, listing_id=0, operator=False)
        self.set_journal_failed(False)  # no kernel does that; it lets the machine go on

    def set_journal_failed(self, failed: bool) -> None:
        self.journal_failed = failed
        for kernel in self.kernels:
            kernel.desk.journal_failed = failed

    @rule(bid=st.sampled_from([100, -50, ABSENT, 2**62]), listing_id=st.sampled_from([1, 2, 9]))
    def market(self, bid: int, listing_id: int) -> None:
        self.both(lambda kernel: kernel.feed(Quote(listing_id, bid_ticks=bid, ask_ticks=2**62 - 1)))

    @rule()
    def crash_of_the_connection(self) -> None:
        self.epoch += 1
        header = RunHeader(epoch=self.epoch, seed=0, clock_kind="wall", started_ns=0, deployment="", versions={})
        self.both(lambda kernel: kernel.feed(header))
        self.both(lambda kernel: kernel.feed(SessionReady(epoch=self.epoch)))
        for order in self.of(Order):
            assert order.state == OrderState.IN_DOUBT or order.action == IntentAction.CANCEL

    @rule()
    def restart(self) -> None:
        taken = self.kernels[0].snapshot()
        for plugin in taken["plugins"].values():
            plugin["random"] = None  # nobody draws here, and plain msgpack does not carry 128 bits
        state: Any = msgspec.msgpack.decode(msgspec.msgpack.encode(taken))
        fresh = build()
        fresh.restore(state)
        self.kernels = [self.kernels[0], fresh]
        self.seen = [len(kernel.frames) for kernel in self.kernels]

    # -- what always holds -----------------------------------------------------------------------------------------

    @invariant()
    def open_orders_are_alive_and_not_overfilled(self) -> None:
        for number, held in self.open.items():
            assert number in self.ids
            assert held.state not in TERMINAL
            assert held.filled_lots == self.filled[number] < held.order.qty_lots

    @invariant()
    def restored_desks_agree(self) -> None:
        assert len({str(kernel.desk.snapshot()) for kernel in self.kernels}) == 1


Desk.TestCase.settings = settings(max_examples=120, stateful_step_count=50)
TestDesk = Desk.TestCase
