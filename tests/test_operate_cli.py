"""An operator at the command line of a running instance: every command, every exit code, crashes and restarts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from day_runs import DEADLINE_S, deployment, read_entries, wait_for
from textual.pilot import Pilot
from textual.widgets import DataTable, Static

from penstock_kernel.cli.main import main
from penstock_kernel.cli.top import Top
from penstock_kernel.control.client import Control, ControlCallError, NoAnswer, NotRunning, find_instance, vital_signs
from penstock_kernel.control.protocol import StateAnswer, StatusRequest
from penstock_kernel.vitals import Phase, Vitals
from penstock_sdk.events import OperatorCommand

BUSY = {
    "exchange": "orders_per_day = 3_000_000\nstep_s = 0.1",
    "mm_de": "requote_s_min = 0.2\nhalf_spread_ticks = 1\nunrest_weight = 0.0",
}
OK, REFUSED, NOT_RUNNING, NO_ANSWER = 0, 2, 3, 4


class Desk:
    """An instance, its kernel in a process of its own, and an operator."""

    def __init__(self, folder: Path, name: str = "desk-de") -> None:
        self.name = name
        self.folder = folder
        self.runs_dir = folder / "runs"
        self.dir = self.runs_dir / name
        now = datetime.now(ZoneInfo("Europe/Berlin"))
        self.day = (now + timedelta(days=now.hour >= 18)).date().isoformat()
        self.deployment = deployment(folder, BUSY)
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Start the kernel; it may not be there yet."""
        command = [sys.executable, "-m", "penstock_kernel.cli.main", "run", "--instance", self.name]
        command += [str(self.deployment), "--clock", "wall", "--day", self.day, "--runs-dir", str(self.runs_dir)]
        command += ["--no-watchdog", "--quiet", "--no-report"]
        with (self.folder / f"{self.name}.txt").open("ab") as out:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def start(self) -> None:
        """Start the kernel and wait until it trades."""
        self.begin()
        wait_for(lambda: self.ended() or self.ready(), "an instance that is ready")
        assert not self.ended(), (self.folder / f"{self.name}.txt").read_text()

    def ended(self) -> bool:
        """Return whether the process is gone."""
        return self.process is None or self.process.poll() is not None

    def ready(self) -> bool:
        """Return whether it answers that it trades."""
        try:
            return bool(self.state()["phase"] == "ready")
        except (ControlCallError, FileNotFoundError):
            return False

    def where(self) -> list[str]:
        """Return the options that name the instance."""
        return ["--instance", self.name, "--runs-dir", str(self.runs_dir)]

    def state(self) -> dict[str, Any]:
        """Return where the kernel says it stands, as `status --json` prints it."""
        with Control(self.dir) as control:
            answer = control.ask(StatusRequest())
        assert isinstance(answer, StateAnswer)
        return dict(msgspec.to_builtins(answer.state))

    def crash(self) -> None:
        """End it as a power loss of the process would."""
        assert self.process is not None
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(DEADLINE_S)

    def commands(self) -> list[OperatorCommand]:
        """Return the operator's commands that are in the journal."""
        return [entry.record for entry in read_entries(self.dir) if type(entry.record) is OperatorCommand]


Said = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Return an instance that trades; tests that end it start it again."""
    desk = Desk(tmp_path_factory.mktemp("desk"))
    desk.start()
    yield desk
    desk.crash()


@pytest.fixture
def said(desk: Desk, capfd: pytest.CaptureFixture[str]) -> Said:
    """Return a function that runs one command against the desk: (exit code, output, errors)."""
    if desk.ended():
        desk.start()

    def run(*words: str | Path, at: Desk | None = None) -> tuple[int, str, str]:
        capfd.readouterr()
        try:
            code = main([*map(str, words), *(at or desk).where()])
        except SystemExit as ended:
            code = int(ended.code or 0)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return run


def open_orders(desk: Desk) -> int:
    return int(desk.state()["open_orders"])


def wait_for_orders(desk: Desk) -> None:
    wait_for(lambda: open_orders(desk) > 5, "open orders", 0.2)


# -- what it says ------------------------------------------------------------------------------------------------------


def test_status_says_where_everything_stands(desk: Desk, said: Said) -> None:
    code, out, _ = said("status")
    assert code == OK
    for part in ("desk-de  ready", "session ", "events ", "orders ", "mm_de", "reversion_de", "exchange", "GB free"):
        assert part in out
    state = json.loads(said("status", "--json")[1])["state"]
    assert state["pid"] == desk.process.pid  # type: ignore[union-attr]
    assert state["clock"] == "wall" and state["lag_ns"] < 10_000_000_000


def test_top_can_print_one_state_with_books(said: Said) -> None:
    code, out, _ = said("top", "--once", "--plain")
    assert code == OK
    assert "closes in" in out and "QH " in out


def test_alerts_are_listed_and_those_that_are_acknowledged_only_with_all(desk: Desk, said: Said) -> None:
    wait_for_orders(desk)
    assert said("quarantine", "prices", "--reason", "a test")[0] == OK  # which is an alert
    code, out, _ = said("alerts")
    assert code == OK and "plugin.quarantined:prices" in out and ": a test, wanted" in out
    assert said("alerts", "--ack", "plugin.quarantined:prices", "--reason", "seen")[0] == OK
    assert "plugin.quarantined:prices" not in said("alerts")[1]
    shown = json.loads(said("alerts", "--all", "--json")[1])["alerts"]
    assert all(alert["acked_by"] for alert in shown if alert["subject"] == "prices")
    assert said("release", "prices", "--reason", "over")[0] == OK


def test_the_sinks_can_be_tried(said: Said) -> None:
    code, out, _ = said("alerts", "--test")
    assert code == OK and out.startswith("log: delivered (")


def test_the_only_instance_that_runs_need_not_be_named(desk: Desk, said: Said) -> None:
    assert main(["status", "--runs-dir", str(desk.runs_dir)]) == OK
    other = desk.runs_dir / "desk-fr"
    other.mkdir()
    vitals = Vitals(other / "vitals")
    vitals.phase(Phase.READY)
    try:
        with pytest.raises(Exception, match=r"^2 instances run in .*: desk-de, desk-fr; name one with --instance$"):
            find_instance(desk.runs_dir)
        assert main(["status", "--runs-dir", str(desk.runs_dir)]) == REFUSED
    finally:
        vitals.phase(Phase.ENDED)
        vitals.close()


def test_an_instance_that_is_not_there_is_refused_with_those_there_are(
    desk: Desk, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--instance", "desk-xx", "--runs-dir", str(desk.runs_dir)]) == REFUSED
    assert "there are: desk-de" in capfd.readouterr().err
    assert main(["status", "--runs-dir", str(desk.folder)]) == NOT_RUNNING
    assert "start one with `penstock run --instance NAME`" in capfd.readouterr().err


# -- what it does ------------------------------------------------------------------------------------------------------


def test_kill_cancels_everything_and_unkill_lets_it_trade_again(desk: Desk, said: Said) -> None:
    wait_for_orders(desk)
    code, out, _ = said("kill", "--reason", "prices look wrong")
    assert code == OK
    assert out.startswith("kill switch on; ") and "cancels sent" in out
    state = desk.state()
    assert state["open_orders"] == 0
    assert state["killed"]["since"]["why"] == "prices look wrong"
    code, out, _ = said("kill", "--reason", "again")
    assert code == OK and "already so since seq" in out and "(prices look wrong): done again" in out
    code, out, _ = said("unkill", "--reason", "they are right")
    assert (code, out.split(" (")[0]) == (OK, "kill switch off")
    wait_for_orders(desk)
    assert [c.why for c in desk.commands() if c.command == "kill"][-2:] == ["prices look wrong", "again"]
    assert all(c.peer.startswith(f"uid={os.getuid()} ") and f"pid={os.getpid()}" in c.peer for c in desk.commands())


def test_pause_and_resume_are_for_one_strategy(desk: Desk, said: Said) -> None:
    wait_for_orders(desk)
    code, out, _ = said("pause", "mm_de", "--reason", "its model is stale")
    assert code == OK and out.startswith("paused mm_de; ")
    rows = {row["name"]: row for row in desk.state()["strategies"]}
    assert rows["mm_de"]["paused"] and not rows["mm_de"]["open_orders"] and not rows["reversion_de"]["paused"]
    assert "paused       mm_de since" in said("status")[1]
    assert said("resume", "mm_de", "--reason", "new model")[0] == OK
    assert not any(row["paused"] for row in desk.state()["strategies"])


def test_cancel_all_cancels_and_json_says_how_many(desk: Desk, said: Said) -> None:
    wait_for_orders(desk)
    code, out, _ = said("cancel-all", "--reason", "tidy", "--json")
    answer = json.loads(out)
    assert code == OK
    assert answer["outcome"] == "done" and answer["cancels"] == answer["open_before"] > 0


def test_limits_are_shown_and_set_from_words_and_from_a_file(desk: Desk, said: Said, tmp_path: Path) -> None:
    code, out, _ = said("limits")
    assert code == OK and "every strategy  qty_max_lots" in out and "10.0 MW" in out
    code, out, _ = said("limits", "--set", "mm_de.position_max_lots=100", "--reason", "calm")
    assert (code, out.split(" (")[0]) == (OK, "1 limits set: mm_de.position_max_lots=100")
    file = tmp_path / "limits.toml"
    file.write_text("[limits]\nqty_max_lots = 40\n\n[plugins.mm_de.limits]\nposition_max_lots = 90\n")
    assert said("limits", file, "--reason", "storm")[0] == OK
    code, out, _ = said("limits", "--json")
    rows = {(row["owner"], row["name"]): row for row in json.loads(out)["rows"]}
    assert rows["", "qty_max_lots"]["value"] == 40
    assert rows["mm_de", "position_max_lots"]["since"]["why"] == "storm"


def test_a_limits_file_with_one_bad_row_is_refused_whole(desk: Desk, said: Said, tmp_path: Path) -> None:
    file = tmp_path / "limits.toml"
    file.write_text("[limits]\nqty_max_lots = 39\n[plugins.gone.limits]\nqty_max_lots = 1\n")
    before = len(desk.commands())
    code, _, err = said("limits", file, "--reason", "storm")
    assert code == REFUSED
    assert f"{file}:4: gone.qty_max_lots: no strategy is called gone" in err
    assert "no limit was set" in err
    rows = {(row["owner"], row["name"]): row["value"] for row in json.loads(said("limits", "--json")[1])["rows"]}
    assert rows["", "qty_max_lots"] != 39
    assert len(desk.commands()) == before


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["pause", "nobody"], "pause met nobody, which is not here; there are mm_de, reversion_de"),
        (["release", "mm_de"], "release met mm_de, wanted a quarantined plugin"),
        (["quarantine", "nothing"], "there are "),
        (["alerts", "--ack", "disk.full:nowhere"], "ack met disk.full:nowhere, wanted CODE, CODE:SUBJECT or the id"),
        (["limits", "--set", "mm_de.position=1"], "mm_de.position: no such limit; there are qty_max_lots"),
    ],
)
def test_a_command_for_what_does_not_exist_is_refused_and_not_journaled(
    desk: Desk, said: Said, words: list[str], text: str
) -> None:
    before = len(desk.commands())
    code, _, err = said(*words, "--reason", "a test")
    assert code == REFUSED
    assert text in err
    assert len(desk.commands()) == before


def test_a_command_without_a_reason_is_refused(desk: Desk, said: Said) -> None:
    assert said("kill")[0] == REFUSED
    assert said("kill", "--reason", " ")[0] == REFUSED
    assert said("limits", "--set", "qty_max_lots=1")[0] == REFUSED
    assert desk.state()["killed"] is None


def test_the_same_request_twice_is_done_once(desk: Desk, said: Said) -> None:
    first = said("pause", "reversion_de", "--reason", "r", "--request", "once-1")
    assert first[0] == OK
    assert said("resume", "reversion_de", "--reason", "r")[0] == OK
    assert said("pause", "reversion_de", "--reason", "r", "--request", "once-1") == first
    assert desk.state()["pauses"] == []


# -- when it does not answer -------------------------------------------------------------------------------------------


def test_a_stopped_process_is_told_from_a_dead_one(desk: Desk, said: Said) -> None:
    pid = desk.process.pid  # type: ignore[union-attr]
    os.kill(pid, signal.SIGSTOP)
    try:
        code, _, err = said("status", "--timeout", "0.5")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert code == NO_ANSWER
    assert f"kernel pid {pid} is stopped by a signal or a debugger" in err
    assert said("status")[0] == OK


def test_a_kernel_that_hangs_in_an_input_is_told_with_its_number(tmp_path: Path) -> None:
    vitals = Vitals(tmp_path / "vitals")  # of this very process, which is alive
    vitals.phase(Phase.READY)
    vitals.turn(now_ns=1, seq=122, synced_seq=1, epoch=1, killed=False, reconciling=0, orders=0, open_orders=0)
    vitals.cells[Vitals.INPUT] = 123
    signs = vital_signs(tmp_path)
    assert isinstance(signs, NoAnswer)
    assert str(signs).startswith(f"kernel pid {os.getpid()} has handled input 123 for ")
    vitals.cells[Vitals.INPUT] = 0
    vitals.phase(Phase.RECOVERING, 43, 100)
    assert "is recovering, 43 %" in str(vital_signs(tmp_path))
    vitals.close()


def test_the_number_of_a_dead_kernel_may_be_another_processes(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait(DEADLINE_S)
    vitals = Vitals(tmp_path / "vitals")
    vitals.phase(Phase.READY)
    vitals.cells[1] = child.pid
    assert isinstance(vital_signs(tmp_path), NotRunning)
    vitals.cells[1] = os.getpid()
    vitals.cells[15] = 1  # begun when the machine did: this process is younger
    assert isinstance(vital_signs(tmp_path), NotRunning)
    vitals.close()


def test_every_stop_survives_a_crash_and_names_its_cause(desk: Desk, said: Said) -> None:
    wait_for_orders(desk)
    assert said("pause", "mm_de", "--reason", "its model is stale")[0] == OK
    assert said("quarantine", "reversion_de", "--reason", "it quotes nonsense")[0] == OK
    assert said("kill", "--reason", "a storm", "--request", "storm-1")[0] == OK
    before = desk.state()
    desk.crash()
    code, _, err = said("status")
    assert code == NOT_RUNNING
    assert "desk-de is not running; it ended without a word" in err
    assert said("pause", "--reason", "x", "--timeout", "0.5")[0] == NOT_RUNNING
    desk.start()
    after = desk.state()
    assert after["epoch"] > before["epoch"] and after["cause"] == "after a crash"
    for name in ("killed", "pauses", "quarantines"):
        assert after[name] == before[name] and after[name]
    assert after["killed"]["since"]["why"] == "a storm"
    code, out, _ = said("kill", "--reason", "a storm", "--request", "storm-1")
    assert code == OK and "done before the kernel was restarted" in out
    code, _, err = said("pause", "mm_de", "--reason", "x", "--request", "storm-1")
    assert code == REFUSED and "request storm-1 was kill; give each command an id of its own" in err
    for words in (["unkill"], ["resume", "mm_de"], ["release", "reversion_de"]):
        assert said(*words, "--reason", "over")[0] == OK
    assert (desk.state()["killed"], desk.state()["pauses"], desk.state()["quarantines"]) == (None, [], [])


def test_a_command_given_while_it_starts_is_done_when_it_is_live(desk: Desk, said: Said) -> None:
    desk.crash()
    desk.begin()
    code, out, err = said("kill", "--reason", "not today", "--wait", "--timeout", "60")
    assert code == OK, err
    assert out.startswith("kill switch on")
    wait_for(desk.ready, "an instance that is ready")
    assert desk.state()["killed"]["since"]["why"] == "not today"
    assert said("unkill", "--reason", "over")[0] == OK


def test_stop_waits_for_the_end_and_the_next_session_knows_why_it_ended(
    desk: Desk, said: Said, capfd: pytest.CaptureFixture[str]
) -> None:
    wait_for_orders(desk)
    code, out, err = said("stop", "--cancel", "--reason", "maintenance", "--wait", "--timeout", "60")
    assert code == OK, err
    assert out.startswith("stopping: ") and "last stopped" in out and ": maintenance" in out
    assert " cancels sent, " in out and "orders open at" not in out
    assert desk.process is not None and desk.process.wait(DEADLINE_S) == 0
    assert said("status", "--json")[0] == NOT_RUNNING
    code = main(["status", "--runs-dir", str(desk.runs_dir)])  # the only instance there is need not be named
    err = capfd.readouterr().err
    assert code == NOT_RUNNING and "desk-de is not running; last stopped" in err and ": maintenance" in err
    desk.start()
    state = desk.state()
    assert state["cause"] == "after a stop"
    assert state["last_stop"]["why"].endswith(": maintenance")


# -- the live view -----------------------------------------------------------------------------------------------------


async def until(pilot: Pilot[None], condition: Callable[[], Any]) -> None:
    until_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < until_s, "waited in vain"
        await pilot.pause(0.05)


def text_of(app: Top, name: str) -> str:
    return str(app.query_one(name, Static).render())


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
def test_top_shows_the_state_and_its_keys_command(desk: Desk, said: Said, size: tuple[int, int]) -> None:
    async def watch() -> None:
        app = Top(desk.dir)
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: app.state is not None and app.state.books)
            assert "desk-de" in text_of(app, "#head")
            assert app.query_one("#strategies", DataTable).row_count == 2
            assert app.query_one("#books", DataTable).row_count > 2
            assert all(app.query_one(name).region.height > 2 for name in ("#strategies", "#books", "#plugins"))
            await pilot.press("k")
            await pilot.press("escape")
            await pilot.press("p", *"lunch", "enter")
            await until(pilot, lambda: app.state is not None and app.state.pauses)
            await until(pilot, lambda: "paused mm_de" in text_of(app, "#head"))
            await pilot.press("p", *"back", "enter")
            await until(pilot, lambda: app.state is not None and not app.state.pauses)

    asyncio.run(watch())
    assert [c.why for c in desk.commands()][-2:] == ["lunch", "back"]
    assert desk.state()["killed"] is None


def test_top_says_when_the_kernel_is_gone_and_finds_it_again(desk: Desk, said: Said) -> None:
    async def watch() -> None:
        app = Top(desk.dir, timeout_s=2.0)
        async with app.run_test(size=(100, 30)) as pilot:
            await until(pilot, lambda: app.state is not None)
            epoch = app.state.epoch  # type: ignore[union-attr]
            desk.crash()
            await until(pilot, lambda: app.silent)
            assert "is not running" in text_of(app, "#head") and "desk-de" in text_of(app, "#head")
            desk.begin()
            await until(pilot, lambda: not app.silent and app.state is not None and app.state.epoch > epoch)

    asyncio.run(watch())
