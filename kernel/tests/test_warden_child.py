"""A kernel's process is ended with all that it started, and no other; alerts wait for the next kernel."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_kernel.deployment import check
from penstock_kernel.warden.asking import Asker
from penstock_kernel.warden.child import Child, Orphan, ProcessId, process_state, reap_strangers
from penstock_kernel.warden.held import (
    Instance,
    NextStart,
    Roster,
    keep_next_start,
    read_next_start,
    venues_outside,
    write_json,
)
from penstock_kernel.warden.outside import OutsideCancels
from penstock_kernel.warden.own_alerts import AGAIN_NS, UNTOLD_NS, OwnAlerts
from penstock_kernel.warden.spool import WAITING_MAX, put_alert, take_alerts
from penstock_sdk.events import Alert, Severity

DEADLINE_S = 20.0


def wait_for(condition: Callable[[], Any]) -> Any:
    until = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < until
        time.sleep(0.002)
    return value


def child(folder: Path, code: str, **env: str) -> Child:
    return Child([sys.executable, "-c", code], folder, {**os.environ, **env})


def test_what_a_kernel_started_goes_with_it(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open('pid', 'w').write(f'{p.pid}\\n')\n"
        "time.sleep(600)"
    )
    one = child(tmp_path, f"import os; os.chdir({str(tmp_path)!r})\n{code}")
    pid = int(wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n") and (
        (tmp_path / "pid").read_text()
    )))  # fmt: skip
    assert not one.ended()
    assert one.state() in "RS"
    one.send(signal.SIGKILL)
    assert one.reap() == -signal.SIGKILL
    assert one.words() == "signal SIGKILL, without a word"
    wait_for(lambda: ProcessId.of(pid) is None)
    one.send(signal.SIGTERM)  # nobody is hit
    assert one.reap() == -signal.SIGKILL


def test_its_last_words_are_kept_and_the_supervisors_socket_is_not_its(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = (
        "import os, sys\n"
        "print('one\\n\\ntwo', os.environ.get('NOTIFY_SOCKET'), os.environ['PENSTOCK_WARDEN_PID'], file=sys.stderr)\n"
        "sys.exit(70)"
    )
    one = child(tmp_path, code, NOTIFY_SOCKET="/run/x")
    wait_for(one.ended)
    assert one.reap() == 70
    assert one.words() == f"exit status 70, its last words: one | two None {os.getpid()}"
    assert f"two None {os.getpid()}" in capfd.readouterr().err


def test_a_long_story_on_standard_error_does_not_grow_for_ever(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = (
        "import os, sys, time\n"
        "for _ in range(1500): print('x' * 999, file=sys.stderr)\n"
        "while os.fstat(2).st_size: time.sleep(0.01)\n"
        "open('left', 'w').write('x')\n"
        "while os.path.exists('left'): time.sleep(0.01)\n"
        "print('the end', file=sys.stderr)"
    )
    one = child(tmp_path, f"import os; os.chdir({str(tmp_path)!r})\n{code}")
    wait_for(lambda: (one.pump(), (tmp_path / "left").exists())[1])
    assert os.fstat(one._stderr).st_size == 0
    (tmp_path / "left").unlink()
    wait_for(one.ended)
    one.reap()
    assert capfd.readouterr().err == ("x" * 999 + "\n") * 1500 + "the end\n"


def test_an_orphan_is_found_and_ended_and_no_other_of_its_number(tmp_path: Path) -> None:
    (tmp_path / "control").mkdir()
    assert Orphan.find(tmp_path) is None
    # A grandchild, as the kernel of a watchdog that died is: nobody here can reap it.
    code = (
        "import subprocess, sys, time\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'],\n"
        "                     process_group=0, stdout=-3, stderr=-3)\n"
        "print(p.pid, flush=True)"
    )
    started = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    pid = int(started.stdout)
    orphan = ProcessId.of(pid)
    assert orphan is not None
    write_json(tmp_path / "control" / "kernel.json", msgspec.structs.replace(orphan, start_ticks=1))
    assert Orphan.find(tmp_path) is None  # another process has its number now
    assert orphan.lives()
    write_json(tmp_path / "control" / "kernel.json", orphan)
    found = Orphan.find(tmp_path)
    assert found is not None
    assert (found.pid, found.state() in "RS", found.lives()) == (pid, True, True)
    found.end()
    assert not orphan.lives()
    found.send(signal.SIGTERM)  # nobody is hit
    found.close()
    assert Orphan.find(tmp_path) is None


def test_a_process_that_does_not_say_that_it_can_be_asked_is_not(tmp_path: Path) -> None:
    """SIGUSR2 ends a process that does not expect it, as one that is just starting."""
    one = child(tmp_path, "input(); import time; time.sleep(600)")
    asker = Asker(one, tmp_path / "control")
    write_json(tmp_path / "control" / "plugins.json", Roster(pid=one.pid + 1))
    assert asker.roster() is None
    assert asker.ask(1, 0.01) is None
    one.send(signal.SIGKILL)
    assert one.reap() in (-signal.SIGKILL, 1)  # 1: its input ended first


def alert(number: int) -> Alert:
    return Alert(
        code="kernel.crashed", severity=Severity.CRITICAL, subject=f"desk {number}", met="x", cleared=number > 2
    )


@given(st.lists(st.sampled_from(["put", "take"]), max_size=20))
def test_alerts_come_out_in_order_and_once(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    folder = tmp_path_factory.mktemp("spool")
    waiting: list[Alert] = []
    for number, step in enumerate(steps):
        if step == "put":
            assert put_alert(folder, alert(number))
            waiting.append(alert(number))
        else:
            assert take_alerts(folder) == waiting
            waiting = []
    assert take_alerts(folder) == waiting


def test_what_nobody_takes_is_bounded_and_what_cannot_be_read_is_dropped(tmp_path: Path) -> None:
    put_alert(tmp_path, alert(1))
    for number in range(2, WAITING_MAX + 1):
        (tmp_path / "told" / f"{number:012}.json").write_bytes(b"{")
    assert not put_alert(tmp_path, alert(2))
    assert take_alerts(tmp_path) == [alert(1)]
    assert list((tmp_path / "told").glob("*.json")) == []


def test_a_venue_that_does_not_answer_in_time_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without a deployment fails at once; a process that never answers is ended at its deadline."""
    (failed,) = OutsideCancels(tmp_path, ["epex"], DEADLINE_S).wait()
    assert failed.venue == "epex"
    assert failed.orders == 0
    assert "deployment.toml" in failed.error
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 600\n")
    silent.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(silent))
    (late,) = OutsideCancels(tmp_path, ["epex"], 0.05).wait()
    assert late.error == "no answer in 0.05 s"


def test_its_words_need_no_disk_and_a_roster_that_cannot_be_asked_any_more_is_kept_for_its_venues(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    venue, other = (Instance(name, "venue", "m:V", (), (), name == "epex") for name in ("epex", "other"))
    control = tmp_path / "control"
    control.mkdir()
    assert venues_outside(control) == ()
    write_json(control / "plugins.json", Roster(1, (venue, other)))
    monkeypatch.setattr("penstock_kernel.warden.child.write_json", no_room)
    one = child(tmp_path, "import sys; sys.exit('no space left')")
    wait_for(one.ended)
    assert one.reap() == 1
    assert one.words() == "exit status 1, its last words: no space left"
    assert "no space left" in capfd.readouterr().err
    assert sorted(path.name for path in control.iterdir()) == ["before.json"]
    assert venues_outside(control) == ("epex",)
    write_json(control / "plugins.json", Roster(2, ()))  # a kernel that has not attached anything yet
    assert venues_outside(control) == ("epex",)
    write_json(control / "plugins.json", Roster(2, (other,)))
    assert venues_outside(control) == ()


def no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_what_the_next_start_is_to_know_is_kept_until_it_is_known(tmp_path: Path) -> None:
    assert read_next_start(tmp_path) == NextStart()
    keep_next_start(tmp_path, NextStart("it hung", ("mm",)))
    assert read_next_start(tmp_path) == NextStart("it hung", ("mm",))
    keep_next_start(tmp_path, NextStart())
    assert list(tmp_path.iterdir()) == []


def test_the_sinks_hear_once_of_what_comes_again_and_again_and_at_once_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_ns = [0]
    sinks: list[Alert] = []
    lines: list[str] = []
    own = OwnAlerts(tmp_path, lines.append, lambda: now_ns[0])
    own.deliver = sinks.append
    for _ in range(4):
        own.tell(alert(1))
        own.see_to(UNTOLD_NS)
        now_ns[0] += 2 * UNTOLD_NS
    own.see_to(UNTOLD_NS)
    assert (sinks, len(lines)) == ([alert(1)], 4)
    own.tell(alert(2))
    assert len(take_alerts(tmp_path)) == 5  # a kernel came that journals them, and tells the sinks
    own.see_to(0)
    assert sinks == [alert(1)]
    monkeypatch.setattr("penstock_kernel.warden.own_alerts.put_alert", no_room)
    own.tell(alert(2))
    assert sinks == [alert(1), alert(2)]
    now_ns[0] += AGAIN_NS
    own.tell(alert(2))
    assert sinks == [alert(1), alert(2), alert(2)]


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        (
            "[watchdog]\nhandler_limit_ms = 3000",
            "2: watchdog.handler_limit_ms: hang_limit_ms is 2000, wanted more than",
        ),
        ("[watchdog]\nhang_limit_ms = 0", "2: watchdog.hang_limit_ms: "),
        ("[watchdog]\nhang_limit = 5", "2: watchdog.hang_limit: unknown key; did you mean hang_limit_ms?"),
        ('[health]\nlisten = "9464"', '2: health.listen: expected an address like "127.0.0.1:9464", met "9464"'),
    ],
)
def test_both_tables_are_checked_with_their_lines(tmp_path: Path, tables: str, told: str) -> None:
    path = tmp_path / "plugins.toml"
    path.write_text(tables)
    assert any(f"{path}:{told}" in str(problem) for problem in check(path)), [str(problem) for problem in check(path)]


def test_process_one_reaps_strangers_and_leaves_its_kernel(tmp_path: Path) -> None:
    strangers = [os.posix_spawn("/bin/true", ["true"], {}) for _ in range(3)]
    one = child(tmp_path, "pass")
    wait_for(one.ended)
    wait_for(lambda: all(process_state(pid) is not None and process_state(pid)[0] == "Z" for pid in strangers))
    # The kernel is not reaped by it, whichever the system names first: then there is nothing to do but to come again.
    reap_strangers(one.pid)
    assert one.ended()
    assert one.reap() == 0
    reap_strangers(one.pid)
    assert [process_state(pid) for pid in strangers] == [None, None, None]
