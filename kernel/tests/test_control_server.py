"""Every command over the socket: refused by name or done once and told after its effect; no caller can hold a kernel.

A simulated run, its server and the callers share one thread here: `Served.pump` gives each its turn.
"""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from penstock_kernel.control import server as server_module
from penstock_kernel.control.client import Control, NoAnswer
from penstock_kernel.control.peers import Peer, peer_of
from penstock_kernel.control.protocol import (
    ANSWER_BYTES_MAX,
    AlertsAnswer,
    AlertsRequest,
    Answer,
    CommandAnswer,
    CommandRequest,
    Frames,
    LimitsAnswer,
    LimitsRequest,
    Refusal,
    Request,
    StateAnswer,
    StatusRequest,
    TopRequest,
    decode_answer,
    frame,
    socket_address,
    socket_path,
)
from penstock_kernel.control.server import CLIENTS_MAX, ControlError, ControlServer
from penstock_kernel.control.state import State
from penstock_kernel.hosts import Hosts
from penstock_kernel.run import Run, RunOptions
from penstock_kernel.vitals import Phase
from penstock_sdk.core.limit_rows import SETTABLE
from penstock_sdk.events import Alert, LimitKind, OperatorCommand, Order, Severity
from penstock_sdk.process.spawn import launch
from penstock_sdk.schema import schema_by_id
from penstock_sdk.wire.frame import Origin
from penstock_sdk.wire.segment import read_frames

DEADLINE_S = 20.0
DAY = """
[run]
delivery_day = "2026-03-10"
end = "2026-03-09T17:00"

[limits]
qty_max_lots = 100

[plugins.exchange]
use = "exchange"
config = {{ orders_per_day = 20_000 }}

[plugins.prices]
use = "synthetic_prices"

[plugins.risk]
use = "risk_limits"

[plugins.mm_de]
use = "market_maker"
limits = {{ position_max_lots = 300 }}

[plugins.reversion_de]
use = "mean_reversion"

[plugins.portfolio]
use = "portfolio"
"""
MINUTE_NS = 60_000_000_000


class Caller:
    """A caller that never waits."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.sock = socket.socket(socket.AF_UNIX)
        with socket_address(served.server.path) as address:
            self.sock.connect(address)
        self.sock.setblocking(False)
        self.frames = Frames(ANSWER_BYTES_MAX)
        self.answers: list[Answer] = []
        self.gone = False

    def read(self) -> None:
        """Take what has come."""
        try:
            while data := self.sock.recv(1 << 20):
                self.answers += map(decode_answer, self.frames.feed(data))
            self.gone = True
        except BlockingIOError:
            pass
        except OSError:
            self.gone = True

    def ask(self, request: Request) -> Answer:
        """Return the answer to a request."""
        self.sock.sendall(frame(request))
        self.served.until(lambda: self.read() or self.answers)
        return self.answers.pop(0)


class Served:
    """A run that stands still in the middle of its day, and its server."""

    def __init__(self, folder: Path, **options: Any) -> None:
        deployment = folder / "plugins.toml"
        deployment.write_text(DAY.format())
        self.run = Run.start(deployment, RunOptions(runs_dir=str(folder / "runs"), lake=False))
        if self.run.services is not None:
            self.run.services.control.close()  # the one here may be told who calls
        self.server = ControlServer(self.run, **options)
        self.run._go_live()
        self.kernel = self.run.kernel
        self.kernel.vitals.phase(Phase.READY)
        self.callers: list[Caller] = []

    def trade(self, minutes: int = 45) -> None:
        """Let some of the day pass."""
        self.kernel.run_simulated(self.kernel.moment.now_ns + minutes * MINUTE_NS)

    def pump(self) -> None:
        """Give the server a turn, and the kernel what came of it."""
        self.kernel.turn()
        if not self.kernel.stopping:
            self.kernel.run_simulated(self.kernel.moment.now_ns)

    def until(self, condition: Callable[[], Any]) -> None:
        """Pump until something is so."""
        until_s = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < until_s, "waited in vain"
            self.pump()

    def caller(self) -> Caller:
        """Return a new caller."""
        self.callers.append(Caller(self))
        return self.callers[-1]

    def ask(self, request: Request) -> Any:
        """Return the answer to one request of a new caller."""
        caller = self.caller()
        answer = caller.ask(request)
        caller.sock.close()
        return answer

    def command(self, command: str, target: str = "", reason: str = "a test", **more: Any) -> Any:
        """Return what came of a command."""
        return self.ask(CommandRequest(command=command, target=target, reason=reason, **more))

    def state(self) -> State:
        """Return the kernel's state."""
        answer = self.ask(StatusRequest())
        assert isinstance(answer, StateAnswer)
        return answer.state

    def journaled(self, of: type) -> list[Any]:
        """Return the records of a type that are in the journal."""
        self.kernel.write()
        wanted = of.layout.id  # type: ignore[attr-defined]
        return [
            schema_by_id(item.schema_id).unpack(bytes(item.body))
            for item in read_frames(self.run.dir / "journal")
            if item.schema_id == wanted and item.count == 1
        ]

    def close(self) -> None:
        """Let go of everything."""
        for caller in self.callers:
            caller.sock.close()
        self.server.close()
        self.run.abort()


@pytest.fixture
def new_served(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    made: list[Served] = []

    def new(**options: Any) -> Served:
        made.append(Served(tmp_path, **options))
        return made[-1]

    yield new
    for served in made:
        served.close()


@pytest.fixture
def served(new_served: Callable[..., Served]) -> Served:
    return new_served()


# -- commands ----------------------------------------------------------------------------------------------------------


def test_a_kill_is_answered_when_every_cancel_has_left(served: Served):
    served.trade()
    open_before = len(served.kernel.desk.open)
    assert open_before > 10
    answer = served.command("kill", reason="prices look wrong")
    assert (answer.outcome, answer.cancels, answer.open_before) == ("done", open_before, open_before)
    assert answer.text == f"kill switch on; {open_before} cancels sent, {open_before} orders open before"
    assert served.kernel.desk.killed
    assert not served.kernel.desk.open
    (command,) = served.journaled(OperatorCommand)
    assert (command.command, command.why) == ("kill", "prices look wrong")
    assert command.peer.startswith(f"uid={os.getuid()} gid={os.getgid()} pid={os.getpid()} user={command.who}")
    assert answer.last_seq <= served.kernel.journal.written_seq  # type: ignore[union-attr]
    state = served.state()
    assert state.killed is not None and state.killed.since is not None
    assert (state.killed.since.who, state.killed.since.why) == (command.who, "prices look wrong")
    assert state.killed.since.seq == answer.seq + 1


def test_a_kill_when_killed_is_done_again_and_says_since_when(served: Served):
    first = served.command("kill", reason="one")
    second = served.command("kill", reason="two")
    assert second.text.startswith(f"kill switch on, already so since seq {first.seq + 1} by ")
    assert "(one): done again" in second.text
    assert served.command("unkill").text == "kill switch off"
    assert not served.kernel.desk.killed
    assert [c.why for c in served.journaled(OperatorCommand)] == ["one", "two", "a test"]


def test_a_pause_stops_one_strategy_and_cancels_its_orders(served: Served):
    served.trade()
    answer = served.command("pause", "mm_de")
    assert answer.cancels == answer.open_before > 0
    assert [(stop.name, stop.since is not None) for stop in served.state().pauses] == [("mm_de", True)]
    sent = served.kernel.desk.orders
    served.trade(5)
    strategies = {row.name: row for row in served.state().strategies}
    assert strategies["mm_de"].paused and not strategies["mm_de"].open_orders
    assert not strategies["reversion_de"].paused
    served.command("resume", "mm_de")
    served.trade(5)
    assert served.kernel.desk.orders > sent
    assert served.state().pauses == []


def test_cancel_all_leaves_the_strategies_trading(served: Served):
    served.trade()
    before = set(served.kernel.desk.open)
    answer = served.command("cancel_all")
    assert answer.cancels == answer.open_before == len(before) > 0
    assert before.isdisjoint(served.kernel.desk.open)
    served.trade(10)
    assert served.kernel.desk.open


def test_a_quarantine_is_told_with_its_cause_until_the_release(served: Served):
    served.trade()
    answer = served.command("quarantine", "mm_de", reason="quotes nonsense")
    assert answer.cancels == answer.open_before > 0
    (held,) = served.state().quarantines
    assert held.name == "mm_de" and "quotes nonsense" in held.reason
    assert held.since is not None and held.since.seq > answer.seq
    assert "already so since seq" in served.command("quarantine", "mm_de").text
    assert served.command("release", "mm_de").outcome == "done"
    assert served.state().quarantines == []


def test_a_stop_ends_the_run_and_says_who_and_why(served: Served):
    answer = served.command("stop", reason="maintenance")
    assert answer.text == "stopping: every plugin drains, then the run is complete"
    assert served.kernel.stopping.endswith(": maintenance")


def test_a_stop_says_how_many_orders_it_leaves_at_which_venue(served: Served):
    served.trade()
    held = len(served.kernel.desk.open)
    assert held > 10
    answer = served.command("stop")
    stopping = "stopping: every plugin drains, then the run is complete"
    assert (answer.text, answer.left) == (f"{stopping}; {held} orders open at exchange", {"exchange": held})


def test_a_stop_with_orders_outside_names_the_way_to_cancel_them(served: Served):
    served.trade()
    held, desk = len(served.kernel.desk.open), served.kernel.desk
    desk.outside = {served.kernel.slots["exchange"].plugin_id}
    answer = served.command("stop")
    assert answer.text.endswith(
        f"; {held} orders open at exchange; what no strategy cancels as it stops stays there: "
        "`penstock stop --cancel` cancels first"
    )


def test_a_stop_can_cancel_first(served: Served):
    served.trade()
    held = len(served.kernel.desk.open)
    answer = served.command("stop", argument="cancel", reason="maintenance", request="r-1")
    assert (answer.cancels, answer.open_before, answer.left) == (held, held, {})
    stopping = "stopping: every plugin drains, then the run is complete"
    assert answer.text == f"{stopping}; {held} cancels sent, {held} orders open before"
    (command,) = served.journaled(OperatorCommand)
    assert (command.command, command.argument, command.request) == ("stop", "cancel", "r-1")
    # No strategy has quoted anew on the answers to its cancels.
    assert not served.kernel.desk.open and served.kernel.stopping
    assert served.command("stop", argument="cancel", request="r-1") == answer


@pytest.mark.parametrize(("command", "target"), [("kill", ""), ("cancel_all", ""), ("pause", "mm_de")])
def test_orders_at_a_quarantined_venue_are_told_as_out_of_reach(served: Served, command: str, target: str):
    served.trade()
    quarantined = served.command("quarantine", "exchange", reason="it answers nonsense")
    assert quarantined.cancels == 0
    held = served.kernel.desk.open.values()
    mine = served.kernel.slots["mm_de"].plugin_id
    count = sum(not target or h.order.strategy_id == mine for h in held)
    assert count > 5
    answer = served.command(command, target)
    assert (answer.cancels, answer.open_before, answer.left) == (0, count, {"exchange": count})
    why = f"; {count} orders at exchange cannot be cancelled from here: it is quarantined"
    assert why in answer.text and f"; 0 cancels sent, {count} orders open before" in answer.text
    again = served.command(command, target)
    assert (again.cancels, again.left) == (0, {"exchange": count}) and why in again.text
    served.command("release", "exchange")
    assert "cannot be cancelled from here: it starts with the next session" in served.command("kill").text


def test_an_alert_is_acknowledged_by_code_subject_or_id(served: Served):
    for subject in ("one", "two", "three"):
        alert = Alert(code="disk.low", severity=Severity.WARNING, subject=subject, met="1 day", wanted="7", way_out="x")
        served.kernel.input(alert, Origin.KERNEL)
    answer = served.ask(AlertsRequest())
    assert isinstance(answer, AlertsAnswer)
    ids = {alert.subject: alert.id for alert in answer.alerts}
    assert served.command("ack", argument="disk.low:one").outcome == "done"
    assert served.command("ack", argument=str(ids["two"])).outcome == "done"
    by = {alert.subject: alert.acked_by for alert in served.ask(AlertsRequest()).alerts}
    assert bool(by.get("one", "closed")) and bool(by.get("two", "closed")) and not by["three"]
    refused = served.command("ack", argument="disk.full")
    assert isinstance(refused, Refusal) and "open are " in refused.text and "disk.low:three" in refused.text


def test_limits_are_set_together_by_one_command(served: Served):
    rows = '[["mm_de","position_max_lots",120],["","qty_max_lots",60]]'
    answer = served.command("limits", argument=rows, reason="storm")
    assert answer.text == "2 limits set: mm_de.position_max_lots=120, qty_max_lots=60"
    shown = served.ask(LimitsRequest())
    assert isinstance(shown, LimitsAnswer)
    found = {(row.owner, row.name): row for row in shown.rows}
    mine = found["mm_de", "position_max_lots"]
    assert (mine.value, mine.configured, mine.means) == (120, 300, "12.0 MW")
    assert mine.since is not None and mine.since.why == "storm"
    assert found["", "qty_max_lots"].value == 60
    assert set(shown.owners) == {"mm_de", "reversion_de"}


def test_one_bad_limit_refuses_all_of_them(served: Served):
    before, seq = dict(served.kernel.limits.values), served.kernel.cascade.seq
    answer = served.command("limits", argument='[["","qty_max_lots",60],["gone","qty_max_lots",1],["","kill",1]]')
    assert isinstance(answer, Refusal)
    assert "row 2: gone.qty_max_lots: no strategy is called gone" in answer.text
    assert "row 3: kill: it is a switch" in answer.text
    assert (dict(served.kernel.limits.values), served.kernel.cascade.seq) == (before, seq)


def test_the_desk_itself_takes_no_bad_row(served: Served):
    before = dict(served.kernel.limits.values)
    argument = '[["","qty_max_lots",60],["gone","qty_max_lots",1]]'
    served.kernel.input(OperatorCommand(command="limits", who="x", why="y", argument=argument), Origin.OPERATOR)
    assert dict(served.kernel.limits.values) == before
    assert [alert.code for alert in served.journaled(Alert)][-1] == "command.bad_limit"


@pytest.mark.parametrize(
    ("command", "target", "argument", "text"),
    [
        ("pause", "nobody", "", "pause met nobody, which is not here; there are mm_de, reversion_de"),
        ("pause", "risk", "", "pause met risk, which is not here; there are mm_de, reversion_de"),
        ("cancel_all", "nobody", "", "there are mm_de, reversion_de"),
        ("quarantine", "", "", "quarantine met no name, which is not here; there are exchange, prices, risk"),
        ("release", "mm_de", "", "release met mm_de, wanted a quarantined plugin; there are: none is"),
        ("kill", "mm_de", "", "kill met target mm_de, wanted none: it is for everything"),
        ("ack", "", "nothing.here", "ack met nothing.here, wanted CODE, CODE:SUBJECT or the id of an open alert"),
        ("limits", "", "[]", "wanted a list of 1 to 1000 rows"),
        ("stop", "", "now", "stop met 'now', wanted nothing or 'cancel'"),
        ("explode", "", "", "command 'explode' is not known; there are kill, unkill"),
    ],
)
def test_a_command_for_what_is_not_there_is_refused_and_not_journaled(
    served: Served, command: str, target: str, argument: str, text: str
):
    seq = served.kernel.cascade.seq
    answer = served.command(command, target, argument=argument)
    assert isinstance(answer, Refusal) and answer.code == "refused"
    assert text in answer.text
    assert served.kernel.cascade.seq == seq


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501, "two\nlines"])
def test_a_command_without_a_reason_in_words_is_refused(served: Served, reason: str):
    answer = served.command("kill", reason=reason)
    assert isinstance(answer, Refusal) and "reason" in answer.text
    assert not served.kernel.desk.killed


# -- twice, early, together --------------------------------------------------------------------------------------------


def test_a_request_that_comes_twice_is_done_once_and_answered_the_same(served: Served):
    served.trade()
    first = served.command("cancel_all", request="r-1")
    served.trade(10)
    held = len(served.kernel.desk.open)
    assert held
    assert served.command("cancel_all", request="r-1") == first
    assert len(served.kernel.desk.open) == held
    other = served.command("kill", request="r-1")
    assert isinstance(other, Refusal) and "give each command an id of its own" in other.text
    assert len(served.journaled(OperatorCommand)) == 1


def test_a_request_done_before_a_restart_is_known_again(served: Served):
    served.command("pause", "mm_de", request="r-1")
    state = served.kernel.snapshot()
    served.server.commands._known.clear()  # what a new process begins with
    served.kernel.ledger.restore(state["ledger"])
    answer = served.command("pause", "mm_de", request="r-1")
    assert isinstance(answer, CommandAnswer)
    assert answer.text.startswith("done before the kernel was restarted, at seq ")
    assert len(served.journaled(OperatorCommand)) == 1
    for command, target in (("pause", "reversion_de"), ("resume", "mm_de"), ("kill", "")):
        other = served.command(command, target, request="r-1")
        assert isinstance(other, Refusal) and other.code == "refused"
        assert other.text == "request r-1 was pause mm_de; give each command an id of its own"
    assert not served.kernel.desk.killed and len(served.kernel.desk.paused) == 1
    assert len(served.journaled(OperatorCommand)) == 1


def test_a_request_done_before_a_restart_is_not_done_again_when_it_comes_during_the_recovery(served: Served):
    first = served.command("pause", "mm_de", request="r-1")
    served.command("resume", "mm_de")
    ledger = served.kernel.snapshot()["ledger"]
    served.server.commands._known.clear()  # what a new process begins with
    served.kernel.ledger.requests.clear()
    served.run.live = False
    waiting = served.caller()
    again = CommandRequest(command="pause", target="mm_de", reason="a test", request="r-1", wait=True)
    waiting.sock.sendall(frame(again))
    served.until(lambda: served.server.commands.under_way)
    served.kernel.ledger.restore(ledger)
    served.run._go_live()
    served.until(lambda: waiting.read() or waiting.answers)
    (done,) = waiting.answers
    assert isinstance(done, CommandAnswer)
    assert done.text == f"done before the kernel was restarted, at seq {first.seq}"
    assert not served.kernel.desk.paused
    assert [c.command for c in served.journaled(OperatorCommand)] == ["pause", "resume"]


def test_limits_with_a_used_id_and_other_values_are_refused(served: Served):
    served.command("limits", argument='[["","qty_max_lots",60]]', request="r-1")
    for known in (True, False):
        if not known:
            served.server.commands._known.clear()  # what a new process begins with
        other = served.command("limits", argument='[["","qty_max_lots",70]]', request="r-1")
        assert isinstance(other, Refusal)
        assert other.text == "request r-1 was limits with another argument; give each command an id of its own"
    assert served.kernel.limits.values[LimitKind.QTY_MAX_LOTS, 0, 0] == 60


def test_two_commands_that_come_together_each_tell_their_own_effect(served: Served):
    served.trade()
    held = len(served.kernel.desk.open)
    caller = served.caller()
    for command in ("cancel_all", "kill"):
        caller.sock.sendall(frame(CommandRequest(command=command, reason="together")))
    served.until(lambda: caller.read() or len(caller.answers) == 2)
    cancelled, killed = caller.answers
    assert isinstance(cancelled, CommandAnswer) and isinstance(killed, CommandAnswer)
    assert cancelled.cancels == cancelled.open_before == held
    assert killed.cancels == killed.open_before < held  # what was sent anew in between
    assert killed.seq > cancelled.last_seq


def test_while_the_kernel_recovers_stops_are_queued_and_the_rest_is_refused(served: Served):
    served.trade()
    served.run.live = False
    queued = served.command("kill", reason="early")
    assert (queued.outcome, queued.seq) == ("queued", 0)
    refused = served.command("resume", "mm_de")
    assert isinstance(refused, Refusal) and refused.code == "recovering"
    unknown = served.command("pause", "nobody")
    assert isinstance(unknown, Refusal) and unknown.code == "refused"
    waiting = served.caller()
    waiting.sock.sendall(frame(CommandRequest(command="pause", target="mm_de", reason="early", wait=True)))
    for _ in range(3):
        served.server._poll_due_ns = 0
        served.kernel.turn()
        waiting.read()
    assert waiting.answers == []
    assert not served.kernel.desk.killed
    assert served.ask(StatusRequest()).state.killed is None
    served.run._go_live()
    served.until(lambda: waiting.read() or waiting.answers)
    (done,) = waiting.answers
    assert isinstance(done, CommandAnswer) and done.outcome == "done" and done.text.startswith("paused mm_de")
    assert [(c.command, c.why) for c in served.journaled(OperatorCommand)] == [("kill", "early"), ("pause", "early")]


def test_a_recovery_says_how_far_it_is(served: Served):
    served.run.live = False
    served.kernel.vitals.phase(Phase.RECOVERING, 43, 100)
    state = served.ask(StatusRequest()).state
    assert (state.phase, state.done, state.wanted) == ("recovering", 43, 100)
    queued = served.command("stop", reason="early")
    assert queued.text == "queued: recovering, 43 %; it is the first that is done then"


def test_who_waits_when_the_run_ends_hears_why(served: Served):
    caller = served.caller()
    served.run.live = False
    caller.sock.sendall(frame(CommandRequest(command="kill", reason="late", wait=True)))
    served.until(lambda: served.server.commands.under_way)
    served.server.close()
    caller.read()
    (answer,) = caller.answers
    assert isinstance(answer, Refusal) and answer.text.startswith("the run ended before it was done")
    assert caller.gone


# -- callers -----------------------------------------------------------------------------------------------------------


def test_folder_and_socket_are_their_owners_alone(served: Served):
    path = socket_path(served.run.dir)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_folder_that_was_open_to_others_is_closed(tmp_path: Path, new_served: Callable[..., Served]):
    made: list[int] = []
    real = server_module._listen

    def loose(path: Path) -> Any:
        path.parent.mkdir(mode=0o777, parents=True)
        path.parent.chmod(0o777)
        found = real(path)
        made.append(stat.S_IMODE(path.parent.stat().st_mode))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server_module, "_listen", loose)
        new_served()
    assert made == [0o700]


def test_another_user_is_refused_by_name_logged_and_told_once(new_served: Callable[..., Served]):
    served = new_served(credentials=lambda sock: Peer(4242, 54_321, 54_321))
    for _ in range(3):
        caller = served.caller()
        served.until(lambda caller=caller: caller.read() or caller.gone)
        (answer,) = caller.answers
        assert isinstance(answer, Refusal) and answer.code == "denied"
        assert answer.text.startswith("uid 54321 may not command this run, only ")
    served.pump()
    denied = [alert for alert in served.journaled(Alert) if alert.code == "control.denied"]
    assert [(alert.subject, "pid 4242" in alert.met) for alert in denied] == [("uid 54321", True)]
    assert "refused uid 54321" in "".join(path.read_text() for path in served.run.dir.glob("log*"))
    assert served.journaled(OperatorCommand) == []


def test_a_plugins_process_may_not_command_the_run_that_started_it(served: Served, monkeypatch: pytest.MonkeyPatch):
    child = launch(["sleep", "60"], env={})
    try:
        known = {"venue": SimpleNamespace(child=child), "late": SimpleNamespace(child=None)}
        hosts = SimpleNamespace(hosts=known, plugin_of=lambda pid: Hosts.plugin_of(hosts, pid))
        monkeypatch.setattr(served.kernel, "hosts", hosts)
        refused = served.server._unwelcome(Peer(child.pid, os.getuid(), os.getgid()), 0)
        assert refused is not None and refused.code == "denied"
        assert refused.text.startswith(f"pid {child.pid} is of plugin venue, and a plugin may not command the run")
        assert served.server._unwelcome(Peer(os.getpid(), os.getuid(), os.getgid()), 0) is None
        monkeypatch.undo()
        served.pump()
        (denied,) = [alert for alert in served.journaled(Alert) if alert.code == "control.denied"]
        assert denied.subject == "venue"
        assert denied.met == f"a call of the control socket by pid {child.pid}, a process of plugin venue"
        assert denied.wanted == "calls by people: a plugin may not command the run"
    finally:
        monkeypatch.undo()
        child.kill()
        child.process.wait(30)


def test_the_system_says_who_calls():
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_of(ours) == (os.getpid(), os.getuid(), os.getgid())


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\0", b"\0\0\0\x02{]", b"\xff" * 64])
def test_garbage_is_answered_by_name_and_others_are_served(served: Served, data: bytes):
    caller = served.caller()
    caller.sock.sendall(data)
    served.until(lambda: caller.read() or caller.answers or caller.gone)
    (answer,) = caller.answers
    assert isinstance(answer, Refusal) and answer.code == "bad_request"
    assert served.state().run_id == served.run.info.id


def test_half_a_message_is_waited_for_and_then_dropped(served: Served, monkeypatch: pytest.MonkeyPatch):
    whole = frame(StatusRequest())
    patient, stuck = served.caller(), served.caller()
    for at in range(len(whole)):
        patient.sock.sendall(whole[at : at + 1])
        served.pump()
    served.until(lambda: patient.read() or patient.answers)
    assert isinstance(patient.answers[0], StateAnswer)
    stuck.sock.sendall(whole[:-1])
    served.until(lambda: any(len(client.frames) for client in served.server._clients.values()))
    monkeypatch.setattr(server_module, "HALF_MESSAGE_NS_MAX", 0)
    served.server._sweep_due_ns = 0
    served.until(lambda: stuck.read() or stuck.gone)
    patient.read()
    assert not patient.gone


def send_many(caller: Caller, request: Request, count: int) -> None:
    """Send as many requests as the system takes, *count* at most."""
    caller.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    data = frame(request)
    try:
        for _ in range(count):
            caller.sock.send(data)
    except BlockingIOError:
        pass


def test_a_caller_that_asks_and_never_reads_is_dropped(served: Served, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(server_module, "ANSWER_BYTES_MAX", 300_000)
    caller = served.caller()
    send_many(caller, StatusRequest(), 2_000)
    served.until(lambda: served.server._clients)
    until_s = time.monotonic() + DEADLINE_S
    while served.server._clients:
        assert time.monotonic() < until_s
        served.server._poll_due_ns = 0
        served.kernel.turn()
        assert all(len(client.out) <= 300_000 for client in served.server._clients.values())
    caller.read()
    assert caller.gone and len(caller.answers) < 2_000
    assert served.state().run_id == served.run.info.id


def test_a_caller_that_reads_too_late_is_dropped(served: Served, monkeypatch: pytest.MonkeyPatch):
    caller = served.caller()
    send_many(caller, StatusRequest(), 300)
    served.until(lambda: any(client.out for client in served.server._clients.values()))
    monkeypatch.setattr(server_module, "HALF_MESSAGE_NS_MAX", 0)
    served.server._sweep_due_ns = 0
    served.until(lambda: not served.server._clients)


def test_what_is_asked_faster_than_it_is_answered_waits_in_the_system(served: Served, monkeypatch: pytest.MonkeyPatch):
    caller = served.caller()
    served.until(lambda: served.server._clients)
    (client,) = served.server._clients.values()
    monkeypatch.setattr(server_module, "TURN_NS_MAX", -1)  # no time to answer anybody
    send_many(caller, StatusRequest(), 10_000)
    for _ in range(20):
        served.server._poll_due_ns = 0
        served.server.turn()
    assert 0 < sum(map(len, client.asked)) <= server_module.RECV_BYTES


def test_two_hundred_callers_are_served_and_the_first_too_many_is_told(served: Served):
    callers = []
    for _ in range(200):
        callers.append(served.caller())
        callers[-1].sock.sendall(frame(StatusRequest()))
        served.pump()
    served.until(lambda: all(caller.read() or caller.answers for caller in callers))
    assert {type(caller.answers[0]) for caller in callers} == {StateAnswer}
    more = []
    for _ in range(CLIENTS_MAX - 200 + 1):
        more.append(served.caller())
        served.pump()
    last = more[-1]
    served.until(lambda: last.read() or last.answers)
    answer = last.answers[0]
    assert isinstance(answer, Refusal) and answer.code == "busy"
    for caller in callers:
        caller.sock.close()
    served.until(lambda: len(served.server._clients) <= CLIENTS_MAX - 200)
    assert served.state().run_id == served.run.info.id


def test_a_turn_spends_no_more_than_its_time_on_callers(served: Served, monkeypatch: pytest.MonkeyPatch):
    caller = served.caller()
    caller.sock.sendall(frame(LimitsRequest()) * 50)
    monkeypatch.setattr(server_module, "TURN_NS_MAX", -1)
    served.server._poll_due_ns = 0
    served.server.turn()  # accepts
    served.server._poll_due_ns = 0
    served.server.turn()  # reads; there is no time left to answer
    caller.read()
    assert caller.answers == []
    monkeypatch.undo()
    served.until(lambda: caller.read() or len(caller.answers) == 50)


# -- top, and what watching costs --------------------------------------------------------------------------------------


def test_top_hears_books_while_somebody_looks_and_not_before_or_after(served: Served):
    served.trade()
    assert served.state().books == []
    slots = len(served.kernel.cascade.slots)
    caller = served.caller()
    caller.sock.sendall(frame(TopRequest(period_ms=100)))
    served.until(lambda: caller.read() or caller.answers)
    served.trade(10)
    caller.answers.clear()
    served.until(lambda: caller.read() or caller.answers)
    answer = caller.answers[-1]
    assert isinstance(answer, StateAnswer)
    books = answer.state.books
    assert books and any(book.bid is not None or book.ask is not None for book in books)
    assert [book.gate_closure_ns for book in books] == sorted(book.gate_closure_ns for book in books)
    assert len(served.kernel.cascade.slots) == slots + 1
    caller.sock.close()
    served.until(lambda: len(served.kernel.cascade.slots) == slots)


def test_holdings_and_money_are_what_the_portfolio_says(served: Served):
    served.trade(90)
    assert served.kernel.desk.fills
    rows = {row.name: row for row in served.state().strategies}
    assert rows["mm_de"].net_mwh not in (None, 0.0)
    assert rows["mm_de"].pnl is not None and set(rows["mm_de"].pnl) == {"EUR"}


def test_a_run_that_is_watched_ends_as_one_that_is_not(tmp_path: Path):
    digests = []
    for watched in (False, True):
        folder = tmp_path / str(watched)
        folder.mkdir()
        served = Served(folder)
        caller = served.caller()
        if watched:
            caller.sock.sendall(frame(TopRequest(period_ms=100)))
        for _ in range(20):
            if watched:
                served.server._poll_due_ns = served.server._stream_due_ns = 0
                served.server.turn()
                assert isinstance(served.state(), State)
                caller.read()
            served.trade(3)
        served.kernel.write()
        assert bool(caller.answers) == watched
        digests.append(served.kernel.journal.digest)  # type: ignore[union-attr]
        served.close()
    assert digests[0] == digests[1]


def test_state_tells_of_plugins_venues_and_counts(served: Served):
    served.trade()
    state = served.state()
    assert state.phase == "ready" and state.pid == os.getpid()
    assert [row.name for row in state.plugins] == ["exchange", "prices", "risk", "mm_de", "reversion_de", "portfolio"]
    assert [(row.name, row.link, row.embedded) for row in state.venues] == [("exchange", "inside", True)]
    assert (state.orders, state.open_orders) == (served.kernel.desk.orders, len(served.kernel.desk.open))
    assert len(served.journaled(Order)) >= state.orders


# -- its place ---------------------------------------------------------------------------------------------------------


def test_a_dead_kernels_socket_is_replaced_and_ours_is_taken_away(served: Served):
    path = served.server.path
    served.server.close()
    assert not path.exists()
    with socket.socket(socket.AF_UNIX) as dead, socket_address(path) as address:
        dead.bind(address)
    assert path.is_socket()
    with pytest.raises(NoAnswer, match=r"^kernel pid \d+ "):  # this very process is there, and does not listen
        Control(served.run.dir, timeout_s=1.0)
    served.server = ControlServer(served.run)
    assert served.state().run_id == served.run.info.id


def test_a_place_that_cannot_be_had_is_an_error_with_the_way_out(served: Served):
    served.server.close()
    served.server.path.parent.rmdir()
    served.server.path.parent.write_text("in the way")
    with pytest.raises(ControlError, match=r"^control socket .*kernel.sock: .*; give a --runs-dir that takes one$"):
        ControlServer(served.run)


def test_every_limit_that_has_a_number_can_be_set():
    assert {kind for kind in LimitKind if kind} - set(SETTABLE.values()) == {LimitKind.KILL, LimitKind.PAUSE}
