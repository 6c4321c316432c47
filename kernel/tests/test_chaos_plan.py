"""A fault plan is read whole or refused with every fault's line; messages, clock and disk do what it says."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_kernel.chaos.clock import SteppedClock
from penstock_kernel.chaos.disk import SECTOR_BYTES, ChaosDisk, io_error, no_room
from penstock_kernel.chaos.messages import troubled
from penstock_kernel.chaos.plan import Fault, Kind, load_plan
from penstock_kernel.cli.main import main
from penstock_kernel.journal import Journal
from penstock_kernel.problems import DeploymentError
from penstock_sdk.events import Quote
from penstock_sdk.schema import Event
from penstock_sdk.wire.segment import scan

DEPLOYMENT = """[run]
delivery_day = "2026-03-10"
[plugins.exchange]
use = "exchange"
[plugins.prices]
use = "synthetic_prices"
[plugins.risk]
use = "risk_limits"
"""
MESSAGE_KINDS: tuple[Kind, ...] = ("drop", "delay", "reorder", "duplicate")


def refused(folder: Path, text: str, deployment: str = DEPLOYMENT) -> list[str]:
    """Return what is wrong with a plan, as line and text."""
    (folder / "plugins.toml").write_text(deployment)
    path = folder / "plan.toml"
    path.write_text(f'deployment = "plugins.toml"\n{text}')
    with pytest.raises(DeploymentError) as met:
        load_plan(path)
    return [f"{problem.line}: {problem.path}: {problem.message}" for problem in met.value.problems]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('[[fault]]\nkind = "drip"\n', '3: fault[0].kind: expected one of "drop"'),
        ('[[fault]]\nkind = "kill"\nprobability = 0.5\n', "4: fault[0].probability: a kill takes no probability"),
        ('[[fault]]\nkind = "clock_step"\nby_s = 1\n', "2: fault[0]: only the wall clock steps"),
        ('[[fault]]\nkind = "kill"\nfrom_s = 9\nto_s = 9\n', "5: fault[0].to_s: met 9, wanted more than from_s, 9"),
        ('[[fault]]\nkind = "kill"\nfrom_s = 7200\n', "4: fault[0].from_s: met 7200.0, wanted less than length_s"),
        ('[[fault]]\nkind = "drop"\nplugin = "exchange"\n', "4: fault[0].plugin: exchange is a market inside"),
        (
            '[[fault]]\nkind = "drop"\nplugin = "ris*"\n',
            '4: fault[0].plugin: "ris*" matches no feed and no venue outside',
        ),
        (
            '[[fault]]\nkind = "raise"\nplugin = "x"\nhandler = "on_quote"\n',
            '4: fault[0].plugin: "x" matches no plugin',
        ),
        (
            '[[fault]]\nkind = "raise"\nplugin = "risk"\nhandler = "on_tea"\n',
            '5: fault[0].handler: no "on_tea" in risk',
        ),
        ('[[command]]\nat_s = 1\ncommand = "stop"\n', '4: command[0].command: met "stop", wanted one of kill'),
        (
            '[[command]]\nat_s = 1\ncommand = "pause"\ntarget = "ghost"\n',
            '5: command[0].target: met "ghost", wanted the name of a plugin that trades',
        ),
        (
            '[[command]]\nat_s = 1\ncommand = "pause"\ntarget = "risk"\n',
            '5: command[0].target: met "risk", wanted the name of a plugin that trades',
        ),
        (
            '[[command]]\nat_s = 1\ncommand = "quarantine"\n',
            '2: command[0].target: met "", wanted the name of a plugin',
        ),
        ('[[command]]\nat_s = 3600\ncommand = "kill"\n', "3: command[0].at_s: met 3600.0, wanted less than length_s"),
        ('[[outside]]\nplugin = "risk"\nuse = "os:path"\n', '3: outside[0].plugin: met "risk", wanted a venue'),
        ('[[outside]]\nplugin = "exchange"\nuse = "os:pith"\n', "4: outside[0].use: cannot be loaded"),
    ],
)
def test_a_fault_of_a_plan_is_named_with_its_line(tmp_path: Path, text: str, wanted: str) -> None:
    first, *more = refused(tmp_path, text)
    assert first.startswith(wanted)
    assert not more


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    found = refused(
        tmp_path,
        'lenght_s = 4\n[[fault]]\nkind = "kill"\ncount = 0\n[[fault]]\nkind = "clock_step"\nnth = 2\n'
        '[[fault]]\nkind = "drop"\nplugin = "ghost"\n[[command]]\nat_s = 1\ncommand = "stop"\n',
    )
    assert [line.split(": ")[:2] for line in found] == [
        ["2", "lenght_s"], ["5", "fault[0].count"], ["6", "fault[1]"], ["6", "fault[1]"], ["8", "fault[1].nth"],
        ["11", "fault[2].plugin"], ["14", "command[0].command"],
    ]  # fmt: skip


def test_faults_of_the_deployment_stand_beside_those_of_the_plan(tmp_path: Path) -> None:
    found = refused(tmp_path, '[[fault]]\nkind = "kill"\nnth = 2\n', DEPLOYMENT + 'path = "nowhere"\n')
    assert found[0].startswith("4: fault[0].nth: a kill takes no nth")
    assert any("nowhere" in line for line in found[1:])


def test_a_length_that_is_wrong_is_not_held_against_the_times(tmp_path: Path) -> None:
    (found,) = refused(tmp_path, 'length_s = -1\n[[fault]]\nkind = "kill"\nfrom_s = 7200\n')
    assert found.startswith("2: length_s: ")


@pytest.mark.parametrize(("name", "why"), [("none.toml", "No such file or directory"), ("", "Is a directory")])
def test_a_plan_that_cannot_be_read_is_named_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, why: str
) -> None:
    assert main(["chaos", str(tmp_path / name)]) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path / name}: cannot be read: {why}" in said
    assert "Errno" not in said


def test_a_deployment_that_trades_today_is_refused(tmp_path: Path) -> None:
    (found,) = refused(tmp_path, "", DEPLOYMENT.replace('delivery_day = "2026-03-10"', ""))
    assert found.startswith("1: deployment: plugins.toml trades today")


# -- messages ----------------------------------------------------------------------------------------------------------


def quotes(times: list[int]) -> Iterator[tuple[int, Event]]:
    for number, at_ns in enumerate(sorted(times)):
        yield at_ns, Quote(number + 1)


def ids(events: Iterator[tuple[int, Event]]) -> list[int]:
    return [event.listing_id for _, event in events if isinstance(event, Quote)]


@given(
    st.lists(st.integers(0, 50), max_size=60),
    st.lists(st.sampled_from(MESSAGE_KINDS), max_size=4),
    st.floats(0.05, 1.0),
    st.integers(0, 9),
)
def test_times_never_go_back_and_only_drops_lose_and_only_duplicates_add(
    times: list[int], kinds: list[Kind], probability: float, seed: int
) -> None:
    faults = [(at, Fault(kind, probability=probability, delay_ms_max=1e-5)) for at, kind in enumerate(kinds)]
    found = list(troubled(quotes(times), faults, str(seed), 0, lambda at, number: None))
    stamps = [at_ns for at_ns, _ in found]
    assert stamps == sorted(stamps)
    assert found == list(troubled(quotes(times), faults, str(seed), 0, lambda at, number: None))
    sent, came = list(range(1, len(times) + 1)), ids(iter(found))
    if "drop" not in kinds:
        assert set(came) == set(sent)
    if "duplicate" not in kinds:
        assert len(came) == len(set(came))
    if not kinds:
        assert came == sent


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [("drop", []), ("duplicate", [1, 1, 2, 2, 3, 3]), ("delay", [1, 2, 3]), ("reorder", [1, 2, 3])],
)
def test_what_befalls_every_message(kind: Kind, wanted: list[int]) -> None:
    struck: list[int] = []
    fault = Fault(kind, probability=1.0, delay_ms_max=1e-6)
    came = ids(troubled(quotes([1, 2, 3]), [(7, fault)], "1", 0, lambda at, number: struck.append(at)))
    assert sorted(came) == wanted
    assert struck == [7, 7, 7]


def test_a_message_is_overtaken_by_no_more_than_the_span() -> None:
    fault = Fault("reorder", probability=0.3, span=2)
    came = ids(troubled(quotes(list(range(200))), [(0, fault)], "5", 0, lambda at, number: None))
    assert came != sorted(came)
    for place, number in enumerate(came):
        assert sum(other > number for other in came[:place]) <= 2


def test_a_fault_keeps_to_its_window_its_topic_and_its_count() -> None:
    def left(**more: float | str | int) -> list[int]:
        fault = Fault("drop", probability=1.0, **more)  # type: ignore[arg-type]
        times = [second * 1_000_000_000 for second in range(5)]
        return ids(troubled(quotes(times), [(0, fault)], "1", 0, lambda at, number: None))

    assert left(from_s=1.0, to_s=3.0) == [1, 4, 5]
    assert left(topic="data.*") == [1, 2, 3, 4, 5]
    assert left(count=2) == [3, 4, 5]


# -- the clock ---------------------------------------------------------------------------------------------------------


def test_time_passes_when_it_is_waited_for_and_the_clock_shows_it_shifted() -> None:
    clock = SteppedClock(1_000_000, [(2_000_000, -500_000), (4_000_000, 300_000)])
    clock.wait_until(1_500_000)
    assert (clock.now_ns(), clock.true_ns) == (1_500_000, 1_500_000)
    clock.wait_until(3_000_000)
    assert (clock.now_ns(), clock.true_ns) == (1_500_000, 2_000_000)
    clock.wait_until(2_500_000)
    assert (clock.now_ns(), clock.true_ns) == (2_500_000, 3_000_000)
    clock.pass_ns(5_000_000)
    assert (clock.true_ns, clock.offset_ns) == (4_000_000, -200_000)


def test_a_wait_goes_on_to_what_happens_next() -> None:
    clock = SteppedClock(0, next_ns=lambda: 9_000_000)
    clock.wait_until(1_000_000)
    assert clock.now_ns() == 9_000_000
    clock.wait_until(0)
    assert clock.now_ns() == 9_001_000


# -- the disk ----------------------------------------------------------------------------------------------------------


def journal_on(disk: ChaosDisk, folder: Path) -> Journal:
    return Journal.create(folder / "journal", run=1, files=disk, sync_every_bytes=0)


def test_what_a_sync_vouched_for_outlives_the_power_and_the_rest_may_not(
    tmp_path: Path,
) -> None:
    lost = 0
    for seed in range(20):
        disk, path = ChaosDisk(), tmp_path / f"{seed}.pj"
        fd = disk.open(str(path), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        disk.writev(fd, [b"\x11" * 700])
        disk.fdatasync(fd)
        disk.writev(fd, [b"\x22" * 3 * SECTOR_BYTES])
        disk.close(fd)
        gone = disk.lose_power(tmp_path, random.Random(seed))
        data = path.read_bytes()
        assert data[:700] == b"\x11" * 700
        assert set(data[700:]) <= {0, 0x22}
        assert gone == 3 * SECTOR_BYTES - data[700:].count(b"\x22")
        lost += gone
        path.unlink()
    assert lost > 0


def test_a_torn_write_leaves_its_beginning(tmp_path: Path) -> None:
    class Gone(BaseException):
        pass

    def gone() -> None:
        raise Gone

    disk = ChaosDisk()
    disk.before_write, disk.after_tear = lambda data: 10, gone
    path = tmp_path / "1.pj"
    fd = disk.open(str(path), os.O_WRONLY | os.O_CREAT)
    with pytest.raises(Gone):
        disk.writev(fd, [b"12345678", b"9abcdef"])
    disk.close(fd)
    assert path.read_bytes() == b"123456789a"


@pytest.mark.parametrize(("error", "number"), [(no_room(), errno.ENOSPC), (io_error(), errno.EIO)])
def test_a_journal_on_a_disk_that_fails_says_which_way(tmp_path: Path, error: OSError, number: int) -> None:
    disk = ChaosDisk()
    journal = journal_on(disk, tmp_path)

    def fail(_data: bytes) -> None:
        raise error

    disk.before_write = fail
    with pytest.raises(Exception, match=errno.errorcode[number]):
        journal.close()
    assert scan(tmp_path / "journal").last_seq == -1
