"""A handler that hangs with live orders is named, venues cancel, the kernel starts again without it and reconciles."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

SUPPORT = Path(__file__).parent / "support"
sys.path.append(str(SUPPORT / "hang"))

from market import Market  # noqa: E402

from penstock_kernel.cli.main import main  # noqa: E402
from penstock_kernel.control.client import ControlCallError, find_instance  # noqa: E402
from penstock_kernel.vitals import Phase, VitalsView  # noqa: E402
from penstock_sdk.events import Alert, OperatorCommand, Order, PluginState, PluginStatus, RunEnd, RunHeader  # noqa: E402
from penstock_sdk.schema import schema_by_id  # noqa: E402
from penstock_sdk.wire.segment import read_frames  # noqa: E402

DEADLINE_S = 20.0


class Desk:
    """An instance under its watchdog, and the market it trades at."""

    def __init__(self, folder: Path, market: Market) -> None:
        self.folder = folder
        self.market = market
        self.run_dir = folder / "runs" / "desk"
        self.when = folder / "hang"
        self.venue = "hang_venue"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str, deployment: Path | None = None, **env: str) -> subprocess.Popen[bytes]:
        """Start the watchdog."""
        with (self.folder / "err.txt").open("ab") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "penstock_kernel.cli.main", "run", "--instance", "desk",
                 str(deployment or self.deployment()), "--runs-dir", str(self.folder / "runs"), "--no-report",
                 "--quiet", *more],
                stdout=err, stderr=err, env={**os.environ, **env},
            )  # fmt: skip
        return self.process

    def deployment(self, watchdog: str = "hang_limit_ms = 600\nstart_limit_ms = 8000", seed: int = 1) -> Path:
        """Write the deployment."""
        tables = "".join(
            f'[plugins.{name}]\nuse = "{use}"\npath = "{SUPPORT / "hang"}"\n[plugins.{name}.config]\n{config}\n'
            for name, use, config in (
                ("market", self.venue, f'socket = "{self.market.path}"'),
                ("check", "hang_check", ""),
                ("steady", "hang_quoter", "orders = 3"),
                ("stuck", "hang_stuck", f'when = "{self.when}"\norders = 2'),
            )
        )
        path = self.folder / "plugins.toml"
        head = f'[run]\nclock = "wall"\ndelivery_day = "2099-01-02"\nseed = {seed}\n[watchdog]\n{watchdog}\n'
        path.write_text(head + tables)
        return path

    def wait(self, what: str, condition: Callable[[], Any]) -> Any:
        """Return the condition's value once it is true."""
        until = time.monotonic() + DEADLINE_S
        while not (value := condition()):
            assert time.monotonic() < until, f"waited in vain for {what}; it said:\n{self.said()}"
            time.sleep(0.005)
        return value

    def said(self) -> str:
        """Return what watchdog and kernel have said on standard error."""
        return (self.folder / "err.txt").read_text()

    def kernel_pid(self, other_than: int = 0) -> int:
        """Return the process of a kernel that trades, or 0."""
        try:
            view = VitalsView(self.run_dir / "vitals")
        except (OSError, ValueError):
            return 0
        pid, phase = view.pid, view.phase
        view.close()
        return pid if phase == Phase.READY and pid != other_than and alive(pid) else 0

    def told(self, code: str) -> bool:
        """Return whether the kernel has journaled an alert."""
        path = self.run_dir / "alerts.jsonl"
        return path.exists() and code in path.read_text()

    def events(self, *types: type) -> list[Any]:
        """Return the journal's events of these types."""
        found = []
        for frame in read_frames(self.run_dir / "journal"):
            layout = schema_by_id(frame.schema_id)
            if layout.cls in types:
                found.append(layout.unpack(bytes(frame.body)))
        return found

    def stop(self) -> int:
        """Stop the watchdog by SIGTERM; return its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)


def alive(pid: int) -> bool:
    """Return whether a process lives and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@contextmanager
def a_desk(folder: Path) -> Iterator[Desk]:
    with Market(folder / "m.sock") as market:
        desk = Desk(folder, market)
        try:
            yield desk
        finally:
            if desk.process is not None and desk.process.poll() is None:
                desk.process.kill()
                desk.process.wait()
            pid = desk.kernel_pid()
            if pid:
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with a_desk(tmp_path) as desk:
        yield desk


@pytest.mark.parametrize(("how", "handler"), [("python", "stuck.on_timer"), ("c", "stuck.on_timer")])
def test_an_endless_loop_with_live_orders(desk: Desk, how: str, handler: str) -> None:
    desk.start()
    first = desk.wait("a kernel that trades", desk.kernel_pid)
    desk.wait("live orders", lambda: len(desk.market.resting) == 5)
    desk.when.write_text(how)
    second = desk.wait("another kernel", lambda: desk.kernel_pid(first))
    assert not alive(first)
    # The venue cancelled outside, by a process that is neither kernel, before the second came.
    (canceller,) = [who for do, who in desk.market.log if do == "cancel_all"]
    assert canceller not in (first, second, desk.process and desk.process.pid)
    assert desk.market.resting == set()
    asked = [do for do, _ in desk.market.log]
    assert asked.index("cancel_all") < len(asked) - asked[::-1].index("list") - 1
    assert desk.stop() == 0
    headers = desk.events(RunHeader)
    assert handler in headers[-1].cause
    assert "hang_plugins.py:" in headers[-1].cause
    alerts = {alert.code: alert for alert in desk.events(Alert)}
    assert alerts["watchdog.restarted"].subject == "stuck"
    assert "market cancelled 5 orders" in alerts["watchdog.restarted"].met
    states = [(state.name, state.status) for state in desk.events(PluginState)]
    assert ("stuck", PluginStatus.QUARANTINED) in states
    assert ("steady", PluginStatus.QUARANTINED) not in states


def test_a_venue_that_only_the_kernel_speaks_to_is_cancelled_at_by_the_next_kernel(desk: Desk) -> None:
    desk.venue = "hang_plain_venue"
    desk.start()
    first = desk.wait("a kernel that trades", desk.kernel_pid)
    desk.wait("live orders", lambda: len(desk.market.resting) == 5)
    desk.when.write_text("sleep")
    desk.wait("another kernel", lambda: desk.kernel_pid(first))
    # Those of the plugin that hung are gone, the others' rest as they did.
    desk.wait("the cancels", lambda: len(desk.market.resting) == 3)
    assert desk.stop() == 0
    assert desk.market.asked("cancel_all") == 0
    asked = [do for do, _ in desk.market.log]
    assert [do for do in asked if do != "cancel"] == ["list", *["new"] * 5, "list"]
    assert asked[-1] == "list"  # cancelled first, then reconciled
    cancelled = {order_id for do, order_id in desk.market.log if do == "cancel"}
    owners = {order.order_id: order.strategy_id for order in desk.events(Order)}
    stuck = next(state.plugin_id for state in desk.events(PluginState) if state.name == "stuck")
    assert [owners[order_id] for order_id in cancelled] == [stuck, stuck]


def test_a_handler_that_is_only_slow_is_told_and_trades_on(desk: Desk) -> None:
    desk.start()
    first = desk.wait("a kernel that trades", desk.kernel_pid)
    desk.wait("live orders", lambda: len(desk.market.resting) == 5)
    desk.when.write_text("brief")
    desk.wait("the watchdog to name it", lambda: "held for" in desk.said())
    desk.wait("the alert", lambda: desk.told("handler.overrun"))
    assert desk.kernel_pid() == first
    assert len(desk.market.resting) == 5
    assert desk.stop() == 0
    (alert,) = [alert for alert in desk.events(Alert) if alert.code == "handler.overrun"]
    assert alert.subject == "stuck"
    held_ms = int(alert.met.split(" ms")[0].rpartition(" ")[2])
    assert 340 <= held_ms < 2_000
    assert desk.market.asked("cancel_all") == 0


def test_a_kernel_that_crashes_comes_back_and_says_why(desk: Desk) -> None:
    desk.start()
    first = desk.wait("a kernel that trades", desk.kernel_pid)
    desk.wait("live orders", lambda: len(desk.market.resting) == 5)
    desk.when.write_text("crash")
    desk.wait("another kernel", lambda: desk.kernel_pid(first))
    desk.wait("the alert", lambda: desk.told("kernel.crashed"))
    assert desk.stop() == 0
    assert "signal SIGSEGV" in desk.events(RunHeader)[-1].cause
    (alert,) = [alert for alert in desk.events(Alert) if alert.code == "kernel.crashed"]
    assert alert.subject == "desk"
    # It reconciled; nothing was cancelled, for nobody was to blame.
    assert desk.market.asked("cancel_all") == 0


def test_an_operators_kill_waits_for_the_kernel_that_is_restarted(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    process = desk.start()
    first = desk.wait("a kernel that trades", desk.kernel_pid)
    desk.wait("live orders", lambda: len(desk.market.resting) == 5)
    os.kill(first, signal.SIGKILL)
    desk.wait("its end", lambda: not alive(first))
    where = ["--runs-dir", str(desk.folder / "runs"), "--timeout", str(DEADLINE_S)]
    assert main(["status", *where]) == 4
    assert f"desk is restarting (watchdog pid {process.pid})" in capsys.readouterr().err
    assert main(["kill", *where, "--reason", "it went away"]) == 0
    assert "waiting up to" in capsys.readouterr().err
    desk.wait("the cancels", lambda: not desk.market.resting)
    assert desk.stop() == 0
    commands = [(one.command, one.why) for one in desk.events(OperatorCommand)]
    assert commands == [("kill", "it went away"), ("stop", "SIGTERM")]


def test_too_many_crashes_stay_down_and_the_venues_cancel(desk: Desk) -> None:
    process = desk.start()
    desk.wait("live orders", lambda: len(desk.market.resting) == 5)
    pid = 0
    for _ in range(5):
        pid = desk.wait("a kernel that trades", lambda pid=pid: desk.kernel_pid(pid))
        os.kill(pid, signal.SIGKILL)
    assert process.wait(DEADLINE_S) == 1
    assert desk.market.resting == set()
    assert "watchdog.gave_up: 5 crashes within 60 s; it stays down; market cancelled 5 orders" in desk.said()
    # No kernel will journal it: the sinks had it from the watchdog itself, before it ended.
    assert "watchdog.gave_up" in (desk.run_dir / "alerts" / "own.jsonl").read_text()


def test_without_its_watchdog_the_kernel_stops_in_order(desk: Desk) -> None:
    process = desk.start()
    kernel = desk.wait("a kernel that trades", desk.kernel_pid)
    process.kill()
    process.wait()
    desk.wait("the kernel to end", lambda: not alive(kernel))
    (stop,) = desk.events(OperatorCommand)
    assert (stop.command, stop.who, stop.why) == ("stop", "kernel", "the watchdog process died")
    assert len(desk.events(RunEnd)) == 1
    desk.start()
    desk.wait("a kernel that trades", lambda: desk.kernel_pid(kernel))
    assert desk.stop() == 0


def test_a_restart_that_hangs_before_its_first_word_has_the_venues_cancel(desk: Desk) -> None:
    """The kernel that hangs is the first that its watchdog starts: it knows the venues all the same."""
    watchdog = "hang_limit_ms = 600\nstart_limit_ms = 1500"
    process = desk.start()
    first = desk.wait("a kernel that trades", desk.kernel_pid)
    desk.wait("live orders", lambda: len(desk.market.resting) == 5)
    process.send_signal(signal.SIGSTOP)  # both end at once, as when a machine does
    os.kill(first, signal.SIGKILL)
    process.kill()
    process.wait()
    desk.wait("the kernel to be gone", lambda: not alive(first))
    desk.when.write_text("resume")
    desk.start(deployment=desk.deployment(watchdog, seed=7))  # another deployment: plugins are resumed
    second = desk.wait("another kernel", lambda: desk.kernel_pid(first))
    assert desk.market.asked("cancel_all") == 1
    assert "watchdog.restarted: watchdog: stuck.on_resume (" in desk.said()
    assert "market cancelled 5 orders" in desk.said()
    assert alive(second)
    assert desk.stop() == 0


def test_a_stop_that_hangs_is_named_and_the_next_start_leaves_the_plugin_out(desk: Desk) -> None:
    desk.start(deployment=desk.deployment("hang_limit_ms = 600\nstart_limit_ms = 1500"))
    first = desk.wait("a kernel that trades", desk.kernel_pid)
    desk.wait("live orders", lambda: len(desk.market.resting) == 5)
    desk.when.write_text("stop")
    assert desk.stop() == 1
    said = desk.said()
    assert "watchdog.restarted: watchdog: stuck.on_stop (" in said
    assert "it was told to stop and stays down" in said
    assert "kernel.crashed" not in said
    assert desk.market.resting == set()
    desk.start()
    desk.wait("another kernel", lambda: desk.kernel_pid(first))
    desk.wait("that to be known", lambda: not (desk.run_dir / "control" / "next-start.json").exists())
    assert desk.stop() == 0
    assert "stuck.on_stop" in desk.events(RunHeader)[-1].cause
    states = [(state.name, state.status) for state in desk.events(PluginState)]
    assert ("stuck", PluginStatus.QUARANTINED) in states


def test_a_hang_whose_watchdog_is_killed_is_named_by_the_next_watchdog(desk: Desk) -> None:
    process = desk.start(deployment=desk.deployment("hang_limit_ms = 20000\nstart_limit_ms = 30000"))
    first = desk.wait("a kernel that trades", desk.kernel_pid)
    desk.wait("live orders", lambda: len(desk.market.resting) == 5)
    desk.when.write_text("python")
    desk.wait("the watchdog to name it", lambda: "held for" in desk.said())
    process.kill()
    process.wait()
    assert alive(first)
    desk.start()
    desk.wait("another kernel", lambda: desk.kernel_pid(first))
    assert desk.stop() == 0
    assert "held the kernel for" in desk.events(RunHeader)[-1].cause
    alerts = {alert.code: alert for alert in desk.events(Alert)}
    assert "market cancelled 5 orders" in alerts["watchdog.restarted"].met


def test_a_full_disk_is_told_by_the_watchdog_and_named_by_the_next_start(desk: Desk) -> None:
    """No file of the kernel's takes another byte: not its journal, run.json, alerts.jsonl, nor what it says."""
    process = desk.start()
    first = desk.wait("a kernel that trades", desk.kernel_pid)
    desk.wait("live orders", lambda: len(desk.market.resting) == 5)
    resource.prlimit(first, resource.RLIMIT_FSIZE, (16, 16))
    process.send_signal(signal.SIGUSR1)
    assert process.wait(DEADLINE_S) == 1
    assert desk.market.resting == set()
    (own,) = (json.loads(line) for line in (desk.run_dir / "alerts" / "own.jsonl").read_text().splitlines())
    assert (own["code"], own["severity"], own["subject"]) == ("journal.failed", "critical", "desk")
    assert "EFBIG" in own["met"] and own["met"].endswith("it stays down")
    with pytest.raises(ControlCallError, match="not running; it ended with: .*EFBIG"):
        find_instance(desk.run_dir.parent)
    desk.start()
    desk.wait("another kernel", lambda: desk.kernel_pid(first))
    assert desk.stop() == 0
    cause = desk.events(RunHeader)[-1].cause
    assert cause.startswith("after a failure: ") and "EFBIG" in cause
    assert "journal.failed" in [alert.code for alert in desk.events(Alert)]


def test_a_second_watchdog_names_the_first(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    first = desk.start("--health", listen)
    desk.wait("a kernel that trades", desk.kernel_pid)
    second = desk.start("--health", listen)
    assert second.wait(DEADLINE_S) == 2
    assert f"its watchdog is pid {first.pid}" in desk.said()
    desk.process = first
    assert desk.stop() == 0


def test_a_stopped_process_hangs_nothing(desk: Desk) -> None:
    """SIGSTOP is what a debugger, a suspended machine and a frozen container come to."""
    desk.start("--health", "127.0.0.1:0")
    kernel = desk.wait("a kernel that trades", desk.kernel_pid)
    port = int(desk.wait("the port", lambda: re.search(r"health on port (\d+)", desk.said())).group(1))
    desk.wait("readiness", lambda: status_of(port, "/readyz")[0] == 200)
    os.kill(kernel, signal.SIGSTOP)
    seen = VitalsView(desk.run_dir / "vitals")
    turn_ns = seen.turn_ns
    desk.wait("more than the second limit", lambda: time.monotonic_ns() - turn_ns > 1_500_000_000)
    status, body = status_of(port, "/readyz")
    assert (status, body["why"].split(",")[0]) == (503, "stopped by a signal")
    assert status_of(port, "/livez")[0] == 200
    assert desk.said().count(f"`kill -CONT {kernel}` lets it go on") == 1
    os.kill(kernel, signal.SIGCONT)
    desk.wait("a turn", lambda: seen.turn_ns != turn_ns)
    desk.wait("readiness", lambda: status_of(port, "/readyz")[0] == 200)
    seen.close()
    assert desk.kernel_pid() == kernel
    assert desk.stop() == 0
    assert not [alert for alert in desk.events(Alert) if alert.code.startswith("watchdog")]


def test_a_desk_with_orders_at_a_venue_that_is_kept_out_is_not_ready(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.start("--health", "127.0.0.1:0")
    desk.wait("a kernel that trades", desk.kernel_pid)
    port = int(desk.wait("the port", lambda: re.search(r"health on port (\d+)", desk.said())).group(1))
    desk.wait("live orders", lambda: len(desk.market.resting) == 5)
    desk.wait("readiness", lambda: status_of(port, "/readyz")[0] == 200)
    where = ["--runs-dir", str(desk.folder / "runs"), "--timeout", str(DEADLINE_S)]
    assert main(["quarantine", "market", *where, "--reason", "its session is odd"]) == 0
    desk.wait("its end", lambda: status_of(port, "/readyz")[1]["why"] == "reconciling with 1 venue")
    assert status_of(port, "/livez")[0] == 200
    capsys.readouterr()
    assert main(["status", *where]) == 0
    assert "desk  reconciling with market" in capsys.readouterr().out
    assert desk.stop() == 0


def test_signals_reach_the_kernel(desk: Desk) -> None:
    process = desk.start()
    desk.wait("a kernel that trades", desk.kernel_pid)
    desk.wait("live orders", lambda: len(desk.market.resting) == 5)
    process.send_signal(signal.SIGUSR1)
    desk.wait("the kill switch to cancel", lambda: not desk.market.resting)
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE_S) == 0
    assert [command.command for command in desk.events(OperatorCommand)] == ["kill", "stop"]


def test_supervisors_hear_how_it_is(desk: Desk) -> None:
    address = str(desk.folder / "notify.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(address)
        supervisor.setblocking(False)
        desk.start("--health", "127.0.0.1:0", NOTIFY_SOCKET=address, WATCHDOG_USEC="1000000")
        kernel = desk.wait("a kernel that trades", desk.kernel_pid)
        port = int(desk.wait("the port", lambda: re.search(r"health on port (\d+)", desk.said())).group(1))
        desk.wait("readiness", lambda: status_of(port, "/readyz")[0] == 200)
        status, body = status_of(port, "/livez")
        assert (status, body["kernel_pid"], body["phase"]) == (200, kernel, "ready")
        states = desk.wait("its readiness", lambda: heard(supervisor, "READY=1"))
        assert "WATCHDOG=1" in states
        desk.when.write_text("python")
        desk.wait("a hang", lambda: status_of(port, "/livez")[0] == 503)
        # A supervisor reads all the time; a socket that nobody reads takes ten messages.
        desk.wait("another kernel", lambda: (heard(supervisor, ""), desk.kernel_pid(kernel))[1])
        desk.wait("readiness", lambda: (heard(supervisor, ""), status_of(port, "/readyz")[0] == 200)[1])
        assert status_of(port, "/readyz")[1]["restarts"] == 1
        assert desk.stop() == 0
        assert heard(supervisor, "STOPPING=1").count("READY=1") == 1


def status_of(port: int, path: str) -> tuple[int, dict[str, Any]]:
    """Return the status and the body of an answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


_HEARD: dict[int, list[str]] = {}


def heard(supervisor: socket.socket, wanted: str) -> list[str]:
    """Return all that was heard so far, once *wanted* is among it; else nothing."""
    lines = _HEARD.setdefault(id(supervisor), [])
    with suppress(BlockingIOError):
        while True:
            lines += supervisor.recv(4096).decode().split("\n")
    return lines if wanted in lines else []
