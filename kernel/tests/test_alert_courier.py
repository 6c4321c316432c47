"""The courier: a dead sink delays no other and is told of, and neither kill -9 nor a full disk loses an alert."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock_kernel.alerts.courier import Courier, CourierRunning
from penstock_kernel.alerts.lines import AlertLine, LineFile
from penstock_kernel.alerts.sinks import Sink, SinkError
from penstock_kernel.alerts.tables import LogTable, sinks_of
from penstock_kernel.deployment import load_deployment, read_deployment
from penstock_sdk.events import Alert, Severity

pytestmark = pytest.mark.timeout(60)


class Keeping:
    """A sink that keeps what it is given; it may be held, or told to fail."""

    def __init__(self, held: threading.Event | None = None, error: str = "") -> None:
        self.lines: list[AlertLine] = []
        self.held, self.error = held, error

    def deliver(self, line: AlertLine) -> None:
        if self.held is not None:
            self.held.wait(30)
        if self.error:
            raise SinkError(self.error, retry_after_s=0.0)
        self.lines.append(line)

    @property
    def told(self) -> list[tuple[str, str, str]]:
        return [(line.kind, line.code, line.subject) for line in self.lines]


def append(run: Path, *seqs: int) -> None:
    file = LineFile(run / "alerts.jsonl")
    file.append(
        [
            AlertLine(
                key=f"desk/1.{seq}.{seq}", kind="opened", instance="desk", epoch=1, seq=seq, id=seq, at_ns=seq,
                code="disk.low", severity="error", subject=str(seq), met="met",
            )
            for seq in seqs
        ]
    )  # fmt: skip
    file.close()


def until(true: Callable[[], bool], timeout_s: float = 20.0) -> None:
    until_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < until_s, "it did not come about"
        time.sleep(0.005)


Start = Callable[..., Courier]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Courier] = []

    def begin(**sinks: Sink) -> Courier:
        tables = [LogTable(kind="log", name=name) for name in sinks]
        courier = Courier(tmp_path, tables, instance="desk", sinks=sinks, log=lambda text: None)
        started.append(courier)
        courier.start()
        return courier

    yield begin
    for courier in started:
        courier.close()


def test_a_sink_that_hangs_delays_no_other(tmp_path: Path, start: Start):
    held = threading.Event()
    slow, quick = Keeping(held), Keeping()
    courier = start(slow=slow, quick=quick)
    append(tmp_path, *range(1, 21))
    until(lambda: len(quick.lines) == 20)
    assert slow.lines == []
    assert not courier.flush(0.05)
    held.set()
    assert courier.flush(20)
    assert [line.seq for line in slow.lines] == [line.seq for line in quick.lines] == list(range(1, 21))


def test_a_sink_that_fails_is_told_on_the_others_and_again_when_it_works(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("penstock_kernel.alerts.delivery.RETRY_S", 0.0)
    dead, other = Keeping(error="no route"), Keeping()
    courier = start(dead=dead, other=other)
    append(tmp_path, 1)
    until(lambda: ("opened", "alerts.sink_failed", "dead") in other.told)
    assert courier.states()[0].failing
    assert other.lines[-1].met == "no route"
    dead.error = ""
    until(lambda: ("cleared", "alerts.sink_failed", "dead") in other.told)
    assert courier.flush(20)
    assert dead.told == [("opened", "disk.low", "1")]  # nothing about itself
    assert other.told.count(("opened", "alerts.sink_failed", "dead")) == 1


def test_two_dead_sinks_come_to_rest(tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("penstock_kernel.alerts.delivery.RETRY_S", 0.0)
    courier = start(a=Keeping(error="a is down"), b=Keeping(error="b is down"))
    append(tmp_path, 1)
    until(lambda: all(state.failed_attempts > 20 for state in courier.states()))
    told = [json.loads(text) for text in (tmp_path / "alerts" / "own.jsonl").read_text().splitlines()]
    assert sorted(line["subject"] for line in told) == ["a", "b"]


def test_what_is_raised_here_is_delivered_and_outlives_the_process(tmp_path: Path, start: Start):
    first = Keeping(error="down")
    courier = start(sink=first)
    courier.raise_(Alert(code="kernel.crashed", severity=Severity.CRITICAL, subject="desk", met="signal 9"))
    courier.close()
    second = Keeping()
    assert start(sink=second).flush(20)
    (line,) = second.lines
    assert (line.code, line.severity, line.kind) == ("kernel.crashed", "critical", "opened")
    assert re.fullmatch(r"desk/own/\d+\.1", line.key)


def test_on_a_full_disk_what_is_raised_is_delivered_from_memory(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
):
    sink = Keeping()
    courier = start(sink=sink)

    def full(lines: list[AlertLine]) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(courier._own, "append", full)
    for subject in "ab":
        courier.raise_(Alert(code="disk.low", severity=Severity.ERROR, subject=subject, met="0 bytes"))
    until(lambda: len(sink.lines) == 2)
    assert sink.told == [("opened", "disk.low", "a"), ("opened", "disk.low", "b")]
    assert len({line.key for line in sink.lines}) == 2


def test_a_sink_that_comes_later_begins_with_what_comes_next(tmp_path: Path, start: Start):
    append(tmp_path, 1, 2)
    first = Keeping()
    courier = start(first=first)
    assert courier.flush(20)
    courier.close()
    again, later = Keeping(), Keeping()
    courier = start(first=again, later=later)
    append(tmp_path, 3)
    until(lambda: len(later.lines) == 1)
    assert courier.flush(20)
    assert [line.seq for line in first.lines + again.lines] == [1, 2, 3]
    assert [line.seq for line in later.lines] == [3]


def test_a_second_courier_names_the_first(tmp_path: Path, start: Start):
    courier = start(sink=Keeping())
    with pytest.raises(CourierRunning, match=f"delivered by process {os.getpid()}; end it first"):
        start(sink=Keeping())
    courier.close()
    start(sink=Keeping())


def test_a_sink_with_a_bug_is_a_sink_that_fails(tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("penstock_kernel.alerts.delivery.RETRY_S", 0.0)

    class Broken:
        def deliver(self, line: AlertLine) -> None:
            raise KeyError("oops")

    other = Keeping()
    courier = start(broken=Broken(), other=other)
    append(tmp_path, 1)
    until(lambda: ("opened", "alerts.sink_failed", "broken") in other.told)
    assert courier.states()[0].last_error == "KeyError: 'oops'"


# -- as a process ----------------------------------------------------------------------------------------------------

RUN = """
[[alerts.sinks]]
kind = "file"
path = "{out}"

[plugins.exchange]
use = "exchange"
"""


def courier_process(run: Path, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "penstock_kernel.alerts", str(run), *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def delivered(out: Path) -> list[str]:
    found = []
    for text in out.read_text().splitlines() if out.exists() else ():
        try:
            found.append(json.loads(text)["key"])
        except json.JSONDecodeError:
            continue  # torn by the kill
    return found


def test_a_courier_that_is_killed_delivers_the_rest_when_it_is_started_again(tmp_path: Path):
    run, out = tmp_path / "desk", tmp_path / "out.jsonl"
    run.mkdir()
    (run / "deployment.toml").write_text(RUN.format(out=out))
    append(run, *range(1, 401))
    first = courier_process(run)
    until(lambda: len(delivered(out)) >= 5)
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=20)
    before = len(delivered(out))
    assert before < 400, "the kill came too late to prove anything"
    second = courier_process(run, "--once")
    _, said = second.communicate(timeout=40)
    assert second.returncode == 0, said
    keys = delivered(out)
    assert set(keys) == {f"desk/1.{seq}.{seq}" for seq in range(1, 401)}
    assert len(keys) <= 401  # the one that was on its way may have come twice


def test_a_courier_ends_on_a_signal_and_refuses_what_it_cannot_use(tmp_path: Path):
    run = tmp_path / "desk"
    run.mkdir()
    (run / "deployment.toml").write_text(RUN.format(out=tmp_path / "out"))
    process = courier_process(run)
    until(lambda: (run / "alerts" / "begun").exists())
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert process.returncode in (0, -signal.SIGTERM), said  # the signal may come before its handler is there
    (run / "deployment.toml").write_text('[[alerts.sinks]]\nkind = "fax"\n')
    process = courier_process(run, "--test")
    _, said = process.communicate(timeout=20)
    assert process.returncode == 2
    assert b'unknown kind of sink "fax"' in said


# -- the deployment --------------------------------------------------------------------------------------------------

FAULTY = """\
[[alerts.sinks]]
kind = "log"
min_severity = "loud"
[[alerts.sinks]]
kind = "webhok"
[[alerts.sinks]]
kind = "webhook"
url = "ftp://${HOST}/x"
[[alerts.sinks]]
kind = "webhook"
url = "http://h/"
timout_s = 3
[[alerts.sinks]]
kind = "smtp"
name = "mail"
host = "h"
sender = "a@b"
to = ["a@b"]
user = "u"
security = "none"
[[alerts.sinks]]
name = "mail"
kind = "smtp"
host = "h"
to = []
[[alerts.sinks]]
host = 1
"""


def test_every_fault_of_the_sinks_is_told_with_its_line_and_no_secret(tmp_path: Path):
    file = tmp_path / "plugins.toml"
    file.write_text(FAULTY)
    _, problems = read_deployment(file, {"HOST": "secret.example"})
    told = [(problem.line, problem.path, problem.way_out) for problem in problems if problem.severity == "error"]
    assert told == [
        (3, "alerts.sinks[0].min_severity", ""),
        (5, "alerts.sinks[1].kind", "did you mean webhook?"),
        (8, "alerts.sinks[2].url", ""),
        (12, "alerts.sinks[3].timout_s", "did you mean timeout_s?"),
        (20, "alerts.sinks[4].security", ""),
        (21, "alerts.sinks[5].sender", "write sender = …"),
        (22, "alerts.sinks[5].name", "give each its own"),
        (25, "alerts.sinks[5].to", ""),
        (26, "alerts.sinks[6]", "write kind = one of log, file, command, smtp, webhook"),
    ]
    assert "secret" not in str(problems)


def test_sinks_have_names_and_their_secrets_only_where_they_are_used(tmp_path: Path):
    file = tmp_path / "plugins.toml"
    file.write_text(
        '[[alerts.sinks]]\nkind = "webhook"\nurl = "https://h/${TOKEN}"\n'
        '[[alerts.sinks]]\nkind = "webhook"\nurl = "https://h/"\n'
        '[[alerts.sinks]]\nkind = "log"\nname = "webhook"\n'
    )
    env = {"TOKEN": "t0ken"}
    deployment = load_deployment(file, env)
    sinks = sinks_of(deployment.tree, env)
    assert [sink.name for sink in sinks] == ["webhook-2", "webhook-3", "webhook"]
    assert sinks[0].url == "https://h/t0ken"  # type: ignore[attr-defined]
    assert "t0ken" not in deployment.as_run_toml()
    with pytest.raises(ValueError, match=r"^alerts.sinks\[0\]: environment variable TOKEN is not set"):
        sinks_of(deployment.tree, {})


def test_without_a_sink_alerts_go_to_the_log():
    assert [(sink.name, sink.kind) for sink in sinks_of({})] == [("log", "log")]


def test_who_is_told_is_no_part_of_what_a_run_does(tmp_path: Path):
    plain, told = tmp_path / "plain.toml", tmp_path / "told.toml"
    plain.write_text('[plugins.exchange]\nuse = "exchange"\n')
    told.write_text('[[alerts.sinks]]\nkind = "log"\n[plugins.exchange]\nuse = "exchange"\n')
    assert load_deployment(plain).digest == load_deployment(told).digest
