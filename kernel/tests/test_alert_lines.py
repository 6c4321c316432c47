"""From the book to the sink: whatever byte a crash cuts at, every change is told, once in the file, with one key."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_kernel.alerts.alert_log import ALERTS_FILE, AlertLog
from penstock_kernel.alerts.delivery import POLL_S, Cursor, Delivery, write_cursors
from penstock_kernel.alerts.lines import AlertLine, LineFile, end_of_lines, read_lines
from penstock_kernel.alerts.sinks import SinkError
from penstock_kernel.alerts.tables import LogTable
from penstock_kernel.clock import SimClock
from penstock_kernel.kernel import Kernel
from penstock_sdk.events import Alert, OperatorCommand, Severity
from penstock_sdk.schema import Event
from penstock_sdk.wire.frame import Origin


def line(
    seq: int, severity: str = "error", code: str = "disk.low", kind: str = "opened", met: str = "met"
) -> AlertLine:
    return AlertLine(
        key=f"desk/1.{seq}.{seq}", kind=kind, instance="desk", epoch=1, seq=seq, id=seq, at_ns=seq, code=code,
        severity=severity, subject="s", met=met, wanted="wanted", way_out="way out",
    )  # fmt: skip


class Keeping:
    """A sink that keeps what it is given, and fails when it is told to."""

    def __init__(self) -> None:
        self.lines: list[AlertLine] = []
        self.failures: list[SinkError] = []

    def deliver(self, line: AlertLine) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.lines.append(line)


# -- the file --------------------------------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=30), min_size=1, max_size=6), st.data())
def test_a_file_cut_at_any_byte_is_taken_up_at_its_last_whole_line(texts: list[str], data: st.DataObject):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        lines = [line(number + 1, met=text) for number, text in enumerate(texts)]
        file = LineFile(path)
        for one in lines:
            file.append([one])
        file.close()
        whole = path.read_bytes()
        cut = data.draw(st.integers(0, len(whole)))
        path.write_bytes(whole[:cut])
        again = LineFile(path)
        again.append([one for one in lines if one.position > again.last])
        again.close()
        assert path.read_bytes() == whole
        assert read_lines(path, 0, (0, 0, 0)) == (lines, len(whole))
        assert end_of_lines(path) == (len(whole), lines[-1].position)


def test_a_line_that_is_no_line_is_passed_over(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(msgspec.json.encode(line(1)) + b"\n{]\n\xff\n" + msgspec.json.encode(line(2)) + b"\n")
    found, offset = read_lines(path, 0, (0, 0, 0))
    assert [one.seq for one in found] == [1, 2]
    assert offset == path.stat().st_size
    assert LineFile(path).last == (1, 2, 2)


def test_a_line_longer_than_a_read_is_read(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    file = LineFile(path)
    file.append([line(1, met="x" * 3_000_000), line(2)])
    found, offset = read_lines(path, 0, (0, 0, 0))
    assert [one.seq for one in found] == [1, 2]
    assert read_lines(path, offset, (1, 2, 2)) == ([], offset)
    assert LineFile(path).last == (1, 2, 2)


def test_an_append_that_finds_no_room_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.jsonl"
    file = LineFile(path)
    file.append([line(1)])
    before = path.read_bytes()
    real, calls = __import__("os").write, []

    def full(fd: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return int(real(fd, data[:10]))

    monkeypatch.setattr("penstock_kernel.alerts.lines.os.write", full)
    with pytest.raises(OSError, match="No space"):
        file.append([line(2)])
    assert path.read_bytes() == before
    assert file.last == (1, 1, 1)


@pytest.mark.parametrize("offset", [3, 10**6])
def test_an_offset_that_is_no_end_of_a_line_means_the_beginning(tmp_path: Path, offset: int):
    append(tmp_path, line(1), line(2), line(3))
    found, end = read_lines(tmp_path / "a.jsonl", offset, (0, 0, 0))
    assert [one.seq for one in found] == [1, 2, 3]
    assert end == (tmp_path / "a.jsonl").stat().st_size


# -- the kernel's side -----------------------------------------------------------------------------------------------


def kernel() -> Kernel:
    made = Kernel(SimClock(0))
    made._wire(made._own)
    return made


events = st.one_of(
    st.builds(
        Alert, code=st.sampled_from(["disk.low", "acme.jump"]), severity=st.sampled_from(list(Severity)[1:]),
        subject=st.sampled_from("ab"), met=st.text(max_size=5), cleared=st.booleans(),
    ),
    st.just(OperatorCommand(command="ack", who="ann", why="known", argument="all")),
)  # fmt: skip


def drive(kernel: Kernel, said: list[Event], log: AlertLog | None, turns: set[int], at: int = 0) -> None:
    for number, event in enumerate(said, at):
        kernel.input(event, Origin.KERNEL, at_ns=number)
        if log is not None and number in turns:
            log.turn()


@given(st.lists(events, max_size=20), st.data())
def test_a_restart_at_any_point_appends_what_is_missing_and_nothing_twice(said: list[Event], data: st.DataObject):
    snapped = data.draw(st.integers(0, len(said)), label="snapshot")
    crashed = data.draw(st.integers(snapped, len(said)), label="crash")
    turns = data.draw(st.sets(st.integers(0, 20)), label="turns")
    with tempfile.TemporaryDirectory() as name:
        straight, cut = Path(name) / "straight", Path(name) / "cut"
        straight.mkdir()
        cut.mkdir()
        whole = kernel()
        log = AlertLog(whole, straight, "desk")
        drive(whole, said, log, set())
        log.close()

        first = kernel()
        log = AlertLog(first, cut, "desk")
        drive(first, said[:snapped], log, turns)
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(first.snapshot()), strict=False)
        path = cut / ALERTS_FILE
        kept = path.stat().st_size if path.exists() else 0
        drive(first, said[snapped:crashed], log, turns, snapped)
        if path.exists():  # of what was told since the snapshot the crash may have cut any part
            length = data.draw(st.integers(kept, path.stat().st_size), label="cut")
            path.write_bytes(path.read_bytes()[:length])

        second = kernel()
        second.restore(state)
        second.live = False
        log = AlertLog(second, cut, "desk")
        drive(second, said[snapped:crashed], log, turns, snapped)
        second.live = True
        drive(second, said[crashed:], log, turns, crashed)
        log.close()
        told = path.read_bytes() if path.exists() else b""
        wanted = (straight / ALERTS_FILE).read_bytes() if (straight / ALERTS_FILE).exists() else b""
        assert told == wanted
        assert second.alerts.snapshot() == whole.alerts.snapshot()


def test_what_is_told_has_been_written_to_the_journal_before(tmp_path: Path):
    made = kernel()
    order: list[str] = []
    made.write = lambda: order.append("journal")  # type: ignore[method-assign]
    log = AlertLog(made, tmp_path, "desk")
    log._file.append = lambda lines: order.append("told")  # type: ignore[method-assign]
    drive(made, [Alert(code="disk.low", severity=Severity.ERROR, subject="s", met="m")], log, {0})
    assert order == ["journal", "told"]


def test_nothing_is_told_while_a_journal_is_played_back(tmp_path: Path):
    made = kernel()
    made.live = False
    log = AlertLog(made, tmp_path, "desk")
    drive(made, [Alert(code="disk.low", severity=Severity.ERROR, subject="s", met="m")], log, {0})
    assert not (tmp_path / ALERTS_FILE).exists()
    made.live = True
    log.turn()
    assert end_of_lines(tmp_path / ALERTS_FILE)[1] == (0, 1, 1)


def test_a_full_disk_keeps_what_is_to_be_told_and_says_so_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made, logged, now = kernel(), [], [0.0]
    made.write_log = lambda severity, name, text, fields: logged.append(text)  # type: ignore[method-assign]
    monkeypatch.setattr("penstock_kernel.alerts.alert_log.time.monotonic", lambda: now[0])
    log = AlertLog(made, tmp_path, "desk")
    append, full = log._file.append, [True]

    def maybe(lines: list[AlertLine]) -> None:
        if full[0]:
            raise OSError(28, "No space left on device")
        append(lines)

    log._file.append = maybe  # type: ignore[method-assign]
    drive(made, [Alert(code="disk.low", severity=Severity.ERROR, subject=s, met="m") for s in "ab"], log, {0, 1})
    now[0] += 2
    log.turn()
    assert len(logged) == 1
    full[0] = False
    log.turn()  # not yet: it asks once a second
    assert not (tmp_path / ALERTS_FILE).exists()
    now[0] += 2
    log.turn()
    found, _ = read_lines(tmp_path / ALERTS_FILE, 0, (0, 0, 0))
    assert [one.subject for one in found] == ["a", "b"]
    assert found[0].key == "desk/0.1.1"


# -- the sink's side -------------------------------------------------------------------------------------------------


def delivery(folder: Path, sink: Keeping, **table: object) -> Delivery:
    made = LogTable(kind="log", name="log", **table)  # type: ignore[arg-type]
    return Delivery(made, sink, folder / "log.cursor", {"a": folder / "a.jsonl"}, instance="desk")


def run_dry(made: Delivery, now_s: float = 0.0) -> float:
    while not made.caught_up():
        now_s += made.step(now_s)
    return now_s


def append(folder: Path, *lines: AlertLine) -> None:
    file = LineFile(folder / "a.jsonl")
    file.append([one for one in lines if one.position > file.last])
    file.close()


crashes = st.tuples(
    st.sampled_from(["write", "fail", "steps", "restart", "cut file", "cut cursor"]), st.integers(0, 400)
)


@given(st.lists(crashes, max_size=30))
def test_after_crashes_at_any_byte_every_line_is_delivered_and_no_key_is_given_to_two(steps: list[tuple[str, int]]):
    with tempfile.TemporaryDirectory() as name:
        folder, sink, lines = Path(name), Keeping(), [line(number, met="x" * number) for number in range(1, 8)]
        path, cursor, written, now_s = folder / "a.jsonl", folder / "log.cursor", 0, 0.0
        made = delivery(folder, sink)
        for what, number in steps:
            if what == "write":
                written = min(written + number % 4, len(lines))
                append(folder, *lines[:written])
            elif what == "fail":
                sink.failures.append(SinkError("no", retry_after_s=number / 10))
            elif what == "steps":
                for _ in range(number % 8):
                    now_s += made.step(now_s)
            else:
                if what == "cut file" and path.exists():
                    path.write_bytes(path.read_bytes()[:number])
                if what == "cut cursor" and cursor.exists():
                    cursor.write_bytes(cursor.read_bytes()[:number])
                append(folder, *lines[:written])
                made = delivery(folder, sink)
        append(folder, *lines)
        run_dry(made, now_s)
        assert {one.key for one in sink.lines} == {one.key for one in lines}
        assert all(one in lines for one in sink.lines)


def test_without_a_crash_each_line_is_delivered_once_in_order(tmp_path: Path):
    append(tmp_path, *(line(number) for number in range(1, 50)))
    sink = Keeping()
    run_dry(delivery(tmp_path, sink))
    append(tmp_path, *(line(number) for number in range(50, 60)))
    again = delivery(tmp_path, sink)
    assert again._sources[0].cursor.offset > 0
    run_dry(again)
    assert again._sources[0].cursor.offset == (tmp_path / "a.jsonl").stat().st_size
    assert [one.seq for one in sink.lines] == list(range(1, 60))


def test_a_file_that_was_put_back_is_read_over_without_telling_it_again(tmp_path: Path):
    append(tmp_path, line(1), line(2))
    write_cursors(tmp_path / "log.cursor", {"a": Cursor(offset=10**6, position=(1, 2, 2))})
    sink = Keeping()
    made = delivery(tmp_path, sink)
    run_dry(made)
    assert made.step(0.0) == POLL_S
    append(tmp_path, line(3))
    run_dry(made)
    assert [one.seq for one in sink.lines] == [3]


def test_a_sink_gets_what_it_wants_and_nothing_else(tmp_path: Path):
    append(
        tmp_path, line(1, "warning"), line(2, "critical", "kernel.crashed"), line(3, kind="acked"),
        msgspec.structs.replace(line(4), not_for="log"), line(5),
    )  # fmt: skip
    sink = Keeping()
    run_dry(delivery(tmp_path, sink, min_severity="error", codes=("disk.*",), changes=("opened",)))
    assert [one.seq for one in sink.lines] == [5]


def test_a_failure_is_tried_again_after_one_two_four_seconds_up_to_a_minute(tmp_path: Path):
    append(tmp_path, line(1), line(2))
    sink = Keeping()
    sink.failures = [SinkError("no")] * 9
    made, waits, now_s = delivery(tmp_path, sink), [], 0.0
    failing_at: list[int] = []
    made._on_failing = lambda name, error: failing_at.append(made.state.failed_attempts)
    while not made.caught_up():
        wait_s = made.step(now_s)
        now_s += wait_s
        waits.append(wait_s)
    assert [wait_s for wait_s in waits if wait_s >= 1] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert [one.seq for one in sink.lines] == [1, 2]
    assert made.state.failed_attempts == 9
    assert failing_at == [3, 9]  # it begins to fail, and works again


def test_a_retry_waits_as_long_as_it_is_asked_to(tmp_path: Path):
    append(tmp_path, line(1))
    sink = Keeping()
    sink.failures = [SinkError("busy", retry_after_s=17.0)]
    made = delivery(tmp_path, sink)
    assert made.step(100.0) == 17.0
    assert made.step(116.0) == 1.0
    assert sink.lines == []
    made.step(117.0)
    assert len(sink.lines) == 1


def test_a_refused_line_does_not_hold_the_next(tmp_path: Path):
    append(tmp_path, line(1), line(2))
    sink, said = Keeping(), []
    sink.failures = [SinkError("not for me", permanent=True)]
    made = delivery(tmp_path, sink)
    made._on_failing = lambda name, error: said.append((name, error))
    run_dry(made)
    assert [one.seq for one in sink.lines] == [2]
    assert (made.state.given_up, made.state.failing) == (1, False)
    assert said == [("log", "not for me"), ("log", "")]


def test_a_line_that_is_tried_for_too_long_is_counted_as_not_delivered(tmp_path: Path):
    append(tmp_path, line(1), line(2))
    sink = Keeping()
    sink.failures = [SinkError("down")] * 4
    made = delivery(tmp_path, sink, give_up_s=7.0)
    run_dry(made)
    assert [one.seq for one in sink.lines] == [2]
    assert made.state.given_up == 1


def test_more_than_a_minutes_lines_are_told_as_one_and_critical_ones_keep_a_quarter(tmp_path: Path):
    append(tmp_path, *(line(number) for number in range(1, 38)), line(38, "critical", "kernel.crashed"))
    sink = Keeping()
    made = delivery(tmp_path, sink, per_minute_max=8)
    now_s = run_dry(made)
    assert [one.seq for one in sink.lines] == [1, 2, 3, 4, 5, 6, 38]
    assert made.state.suppressed == 31
    made.step(now_s + 5)  # not enough yet for one that is not critical
    assert len(sink.lines) == 7
    made = delivery(tmp_path, sink, per_minute_max=8)  # a restart does not forget what is still to be counted
    made.step(now_s)
    digest = sink.lines[-1]
    assert (digest.kind, digest.count, digest.met) == ("suppressed", 31, "31 more suppressed: 31 disk.low")
    assert digest.severity == "error"
    assert made.step(now_s) > 0
    assert len(sink.lines) == 8
