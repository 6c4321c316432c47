"""Whatever call of a plugin holds the kernel, its process names it, also when no Python runs; then it tells it."""

from __future__ import annotations

import importlib.abc
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numba
import numba.extending
import pytest

from kernel.tests import toy_market
from kernel.tests.toy_market import START_NS, ToyFeed, ToyRisk, ToyStrategy, ToyVenue, kernel_in, start
from penstock_kernel.clock import WallClock
from penstock_kernel.hosts.link import Link
from penstock_kernel.hosts.reactor import Reactor
from penstock_kernel.kernel import Kernel
from penstock_kernel.warden.held import JOURNAL, Held, Roster, read_held, read_roster
from penstock_kernel.warden.in_kernel import InKernel, install
from penstock_kernel.warden.stacks import name_dumped
from penstock_sdk.events import Alert, CheckVerdict, OperatorCommand, Order, Quote
from penstock_sdk.plugin import Feed, Operations, Outcome, Plugin, Strategy
from penstock_sdk.process.envelope import Kind, Lane, pack
from penstock_sdk.schema import Event, Frame
from penstock_sdk.wire.messages import Batch


def ask() -> None:
    """Be the watchdog that asks, at the very line that a plugin is at."""
    os.kill(os.getpid(), signal.SIGUSR2)


class InHandler(ToyStrategy):
    def on_quotes(self, frame: Frame) -> Outcome:
        deeper(self)
        return None


def deeper(plugin: Plugin) -> None:
    """Ask two frames further in, in a function that is no method."""
    _ = plugin
    ask()


class InLambda(Strategy):
    def __init__(self, ctx: Any, config: Any = None) -> None:
        super().__init__(ctx, config)
        self.on_quote = lambda quote: ask()  # type: ignore[method-assign]

    def on_quote(self, quote: Quote) -> Outcome:
        raise AssertionError("the instance has its own")


class InCheck(ToyRisk):
    def check_order(self, order: Order) -> CheckVerdict:
        ask()
        return super().check_order(order)


class InPoll(Feed):
    def poll(self) -> Sequence[Event]:
        ask()
        return ()


class InEvents(ToyFeed):
    def events(self) -> Iterator[tuple[int, Event]]:
        for at, item in enumerate(super().events()):
            if at == 3:
                ask()
            yield item


class InStart(Operations):
    def on_start(self) -> None:
        ask()


class InCompile(Operations):
    def on_start(self) -> None:
        compile_it: Any = numba.njit
        compile_it(lambda: asks_when_compiled())()


def asks_when_compiled() -> int:
    """Be replaced by what numba compiles."""
    raise AssertionError


@numba.extending.overload(asks_when_compiled)
def _compiled() -> Any:
    ask()
    return lambda: 1


class InImport(Operations):
    def on_start(self) -> None:
        sys.modules.pop("colorsys", None)
        sys.meta_path.insert(0, AskingFinder())
        try:
            import colorsys  # noqa: F401
        finally:
            sys.meta_path.pop(0)


class AskingFinder(importlib.abc.MetaPathFinder):
    def find_spec(self, *_: object) -> None:
        ask()


class InStop(Operations):
    def on_stop(self) -> None:
        ask()


class InSnapshot(Operations):
    def snapshot(self) -> Any:
        ask()
        return {}


class Session:
    """A part of a plugin that does the sending."""

    def send(self) -> None:
        ask()


class InEffect(Operations):
    def __init__(self, ctx: Any, config: Any = None) -> None:
        super().__init__(ctx, config)
        self.session = Session()
        self.sent = False

    def on_quotes(self, frame: Frame) -> Outcome:
        if not self.sent:
            self.sent = True
            self.ctx.effect(self.session.send)
        return None


class InInit(Operations):
    def __init__(self, ctx: Any, config: Any = None) -> None:
        super().__init__(ctx, config)
        ask()


class TestRun:
    """As much of a run as the watchdog's side wants."""

    __test__ = False

    def __init__(self, folder: Path, **options: Any) -> None:
        self.dir = folder
        self.kernel: Kernel = kernel_in(folder, **options)
        self.observers: list[Any] = []
        self.live = True
        self.commands: list[OperatorCommand] = []
        self.kernel.turns = (lambda: [observe() for observe in self.observers],)

    def command(self, command: OperatorCommand) -> None:
        self.commands.append(command)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[TestRun]:
    run = TestRun(tmp_path / "run")
    side = install(run)
    assert side is not None
    yield run
    side.close()
    run.kernel.close()


def answer(run: TestRun) -> Held:
    held = read_held(run.dir / "control" / "stall.json")
    assert held is not None
    return held


TOYS: dict[str, type[Plugin]] = {"feed": ToyFeed, "venue": ToyVenue, "risk": ToyRisk, "one": ToyStrategy}


@pytest.mark.parametrize(
    ("cls", "slot", "handler"),
    [
        (InHandler, "one", "on_quotes"),
        (InLambda, "two", "on_quote"),
        (InCheck, "risk", "check_order"),
        (InEvents, "feed", "events"),
        (InStart, "two", "on_start"),
        (InEffect, "two", "effect Session.send"),
    ],
)
def test_the_call_that_runs_is_named(run: TestRun, cls: type[Plugin], slot: str, handler: str) -> None:
    start(run.kernel, {**TOYS, slot: cls})
    run.kernel.run_simulated(START_NS + 800)
    held = answer(run)
    assert (held.plugins, held.handler) == ((slot,), handler)
    file, _, line = held.where.rpartition(":")
    assert file == __file__
    assert "SIGUSR2" in Path(file).read_text().splitlines()[int(line) - 1]


@pytest.mark.parametrize(("cls", "compiling"), [(InStart, False), (InCompile, True), (InImport, True)])
def test_a_start_that_imports_or_compiles_says_so(run: TestRun, cls: type[Plugin], compiling: bool) -> None:
    start(run.kernel, {**TOYS, "two": cls})
    held = answer(run)
    assert (held.name, held.compiling) == ("two.on_start", compiling)
    run.kernel.turn()
    roster = read_roster(run.dir / "control" / "plugins.json")
    assert roster is not None
    # The dump, for when the compiler lets no Python run, says the same.
    dumped = name_dumped((run.dir / "control" / "stack.txt").read_text(), roster, 7)
    assert dumped is not None
    assert (dumped.name, dumped.compiling) == ("two.on_start", compiling)


def test_polls_stops_and_snapshots_are_named_too(run: TestRun) -> None:
    kernel = start(run.kernel, {**TOYS, "polls": InPoll, "stops": InStop, "keeps": InSnapshot})
    kernel._poll(kernel.moment.now_ns)
    assert answer(run).name == "polls.poll"
    assert answer(run).input_seq == 0
    kernel.take_snapshot()
    assert answer(run).name == "keeps.snapshot"
    kernel.drain("enough")
    assert answer(run).name == "stops.on_stop"


def test_between_inputs_nobody_is_named(run: TestRun) -> None:
    start(run.kernel, TOYS)
    ask()
    held = answer(run)
    assert held.plugins == ()
    assert held.handler.startswith("kernel ")


def test_a_constructor_is_named_by_its_module(run: TestRun) -> None:
    start(run.kernel, {**TOYS, "two": InInit, "three": InInit})
    # Not attached yet while it is built: the second is seen beside the first.
    assert answer(run).plugins == ("two",)
    assert answer(run).handler.endswith("__init__") or answer(run).handler == "ask"


def test_a_write_that_holds_is_the_journals_fault(run: TestRun, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = start(run.kernel, TOYS)
    kernel.run_simulated(START_NS + 300)
    writev = os.writev

    def slow(fd: int, parts: Any) -> int:
        ask()
        return writev(fd, parts)

    monkeypatch.setattr(os, "writev", slow)
    kernel.write()
    assert answer(run).plugins == (JOURNAL,)


def test_a_plugin_out_of_process_is_named_while_its_batch_is_handled(run: TestRun) -> None:
    start(run.kernel, {**TOYS, "one": InHandler})
    reactor = Reactor()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)

    def hear(_lane: Lane, _batch: Any) -> None:
        ask()

    link = Link("one", reactor, hear, lambda text, breach: None)
    try:
        link.adopt(Lane.EVENTS, ours, "a")
        theirs.sendall(pack(Kind.BATCH, Batch(number=1).SerializeToString()))
        reactor.turn(5.0)
        held = answer(run)
        assert held.plugins == ("one",)
        assert held.name.startswith("one.what its process says")
    finally:
        link.close()
        theirs.close()
        reactor.close()


def test_an_overrun_is_told_once_with_its_time_by_the_next_turn(tmp_path: Path) -> None:
    run = TestRun(tmp_path / "run")
    clock = [5_000_000_000]
    side = InKernel(run, clock_ns=lambda: clock[0])
    try:
        start(run.kernel, {**TOYS, "one": InHandler})
        run.kernel.vitals.cells[run.kernel.vitals.TURN] = 4_000_000_000
        heard: list[Alert] = []
        run.kernel.later = heard.append  # type: ignore[method-assign, assignment]
        run.kernel.run_simulated(START_NS + 60, turn_every=10**9)
        clock[0] = 4_130_000_000
        run.kernel.turn()
        run.kernel.turn()
        (alert,) = heard
        assert (alert.code, alert.subject) == ("handler.overrun", "one")
        assert alert.met.startswith("one.on_quotes (") and "held the kernel for 130 ms" in alert.met
    finally:
        side.close()
        run.kernel.close()


def test_a_machine_without_time_for_a_kernel_that_waits_is_no_overrun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = TestRun(tmp_path / "run")
    side = InKernel(run)
    try:
        start(run.kernel, TOYS)
        heard: list[Alert] = []
        run.kernel.later = heard.append  # type: ignore[method-assign, assignment]
        monkeypatch.setattr(time, "sleep", lambda _s: side._answer(signal.SIGUSR2, sys._getframe(1)))
        WallClock().wait_until(2**62)
        monkeypatch.undo()
        assert answer(run).name == "kernel WallClock.wait_until"
        run.kernel.turn()
        assert heard == []
        assert Held(0, (), "kernel WallClock.wait_until", "").idle
        assert not Held(0, ("polls",), "poll", "").idle
        assert not Held(3, (), "kernel WallClock.wait_until", "").idle
    finally:
        side.close()
        run.kernel.close()


def test_one_that_ends_is_not_ended_by_being_asked_again(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGUSR2, signal.SIG_DFL)
    try:
        run = TestRun(tmp_path / "run")
        side = InKernel(run)
        start(run.kernel, TOYS)
        side.announce()
        side.close()
        run.kernel.close()
        control = run.dir / "control"
        assert not (control / "plugins.json").exists()
        assert read_roster(control / "before.json") is not None
        ask()
        assert signal.getsignal(signal.SIGUSR2) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_a_kernel_whose_watchdog_is_gone_is_told_to_stop_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_WARDEN_PID", "41")
    run = TestRun(tmp_path / "run")
    clock, parent = [0], [41]
    side = InKernel(run, clock_ns=lambda: clock[0], parent=lambda: parent[0])
    try:
        for now_ns, above in ((10**9, 41), (2 * 10**9, 1), (3 * 10**9, 1)):
            clock[0], parent[0] = now_ns, above
            side.turn()
            assert len(run.commands) == int(above == 1)
        assert (run.commands[0].command, run.commands[0].why) == ("stop", "the watchdog process died")
    finally:
        side.close()
        run.kernel.close()


def test_the_roster_says_who_there_is_and_where(run: TestRun) -> None:
    start(run.kernel, TOYS)
    run.kernel.turn()
    roster = read_roster(run.dir / "control" / "plugins.json")
    assert roster is not None
    assert roster.pid == os.getpid()
    assert [plugin.name for plugin in roster.plugins] == list(TOYS)
    assert {plugin.files for plugin in roster.plugins} == {(toy_market.__file__,)}
    assert not any(plugin.cancels_outside for plugin in roster.plugins)


def test_a_dump_of_the_c_stack_names_every_instance_of_the_file(run: TestRun) -> None:
    """The dump that the signal leaves is the same that a compiled loop would leave."""
    start(run.kernel, {**TOYS, "one": InHandler, "two": InHandler})
    run.kernel.run_simulated(START_NS + 100)
    run.kernel.turn()
    roster = read_roster(run.dir / "control" / "plugins.json")
    assert roster is not None
    text = (run.dir / "control" / "stack.txt").read_text()
    held = name_dumped(text, roster, 7)
    assert held is not None
    assert held.plugins == ("one", "two")
    assert (held.handler, held.input_seq) == ("on_quotes", 7)


def test_a_dump_without_a_plugin_names_the_journal_or_nobody() -> None:
    frame = '  File "/x/penstock_kernel/{}", line {} in {}\n'
    roster = Roster(1)
    write = frame.format("journal.py", 9, "_writev") + frame.format("kernel.py", 8, "write")
    held = name_dumped(write, roster, 1)
    assert held is not None and held.plugins == (JOURNAL,)
    idle = name_dumped(frame.format("clock.py", 3, "wait_until"), roster, 0)
    assert idle is not None and (idle.plugins, idle.where) == ((), "/x/penstock_kernel/clock.py:3")
    assert name_dumped("Stack (most recent call first):\n", roster, 0) is None
