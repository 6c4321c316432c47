"""Runs of every earlier version are read, verified and tabled, and one that was cut goes on to its end."""

from __future__ import annotations

import hashlib
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock_kernel.boot import versions_of
from penstock_kernel.cli.main import main
from penstock_kernel.deployment import load_deployment
from penstock_kernel.instance import Instance
from penstock_kernel.journal import recover
from penstock_kernel.lake import connect, rebuild, tables
from penstock_kernel.replay import ReplayError, event_of, replay
from penstock_kernel.run import Run, RunOptions
from penstock_kernel.runs import RunInfo
from penstock_kernel.verify import verify_journal
from penstock_sdk.events import ExecutionReport, Order, Position, ReportKind, RunEnd, RunHeader, Side
from penstock_sdk.schema import Frame, layout_of, schema_by_id
from penstock_sdk.wire.segment import read_frames, verify
from penstock_sdk.wire.segment_file import SegmentFile

FIXTURES = Path(__file__).parents[2] / "tests" / "fixtures"
OLD = sorted(path.name.removeprefix("runs-").removesuffix(".tar.xz") for path in FIXTURES.glob("runs-*.tar.xz"))


@pytest.fixture(params=OLD)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a folder with the runs ``complete`` and ``crashed`` of one version."""
    with tarfile.open(FIXTURES / f"runs-{request.param}.tar.xz") as file:
        file.extractall(tmp_path, filter="data")
    return tmp_path


def raws(run_dir: Path) -> list[bytes]:
    return [bytes(frame.raw) for frame in read_frames(run_dir / "journal")]


def test_there_is_a_fixture_of_the_first_version() -> None:
    assert "0.1.0" in OLD


def test_old_journals_are_whole_and_have_the_digest_they_had(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    info = RunInfo.load(old / "complete")
    found = verify_journal(old / "complete")
    assert (found.scan.digest, found.scan.last_seq, found.faults) == (info.digest, info.last_seq, ())
    assert found.scan.sealed
    logical = [frame for frame in raws(old / "complete") if frame[7] < 128]
    assert (
        info.digest == hashlib.sha256(b"".join(logical)).hexdigest()
    )  # shorter than a stretch: the same in all formats
    assert not verify(old / "crashed" / "journal").sealed
    assert main(["verify", str(old / "complete")]) == 0
    assert capsys.readouterr().out.endswith(f"journal sha256:{info.digest}\n")


def test_old_records_are_read_as_they_were_written(old: Path) -> None:
    frames = list(read_frames(old / "complete" / "journal"))
    first, last = (schema_by_id(frame.schema_id).unpack(bytes(frame.body)) for frame in (frames[0], frames[-1]))
    assert isinstance(first, RunHeader)
    assert (first.clock_kind, first.seed, type(last)) == ("sim", 1, RunEnd)
    seq = frames[-1].seq // 2
    later = [frame.seq for frame in frames if frame.seq + frame.count > seq]
    assert [frame.seq for frame in read_frames(old / "complete" / "journal", from_seq=seq)][-len(later) :] == later


@pytest.mark.parametrize("name", ["complete", "crashed"])
def test_tables_are_made_from_old_journals(old: Path, name: str) -> None:
    run_dir = old / name
    rebuild(run_dir)
    with connect(run_dir) as connection:
        counts = tables(connection)
    orders = sum(frame.count for frame in read_frames(run_dir / "journal") if frame.schema_id == layout_of(Order).id)
    assert counts["orders"] == orders > 0


@pytest.mark.parametrize("name", ["complete", "crashed", "desk"])
def test_an_instance_goes_on_with_what_an_old_version_left(old: Path, name: str) -> None:
    run_dir = old / name
    if not run_dir.exists():  # 0.1.0 had no instances
        assert name == "desk"
        return
    before = raws(run_dir)
    same_code = RunInfo.load(run_dir).versions == versions_of(load_deployment(FIXTURES / "small.toml"))
    epoch = max(header.epoch for header in records(run_dir, RunHeader))
    version = SegmentFile(run_dir / "journal" / "000000000001.pj").header.version
    options = RunOptions(lake=False, runs_dir=str(old), for_s=900)
    run = Instance.open(name, FIXTURES / "small.toml", options)
    assert run.kernel.header is not None
    assert run.kernel.header.epoch == epoch + 1
    if not same_code:
        assert run.kernel.header.carried_seq == frame_seq(before[-1])
    fills = net_of_fills(run_dir)
    assert fills
    run.go()
    info = run.close()
    assert info.status == "complete"
    after = raws(run_dir)
    assert after[: len(before)] == before
    assert verify_journal(run_dir).faults == ()
    assert recover(run_dir / "journal").chain.digest().hex() == info.digest == verify(run_dir / "journal").digest
    # The segment that was begun keeps its format to its end.
    assert SegmentFile(run_dir / "journal" / "000000000001.pj").header.version == version
    told = {
        (p.strategy_id, p.listing_id): p.net_lots for p in records(run_dir, Position) if p.listing_id and p.strategy_id
    }
    whole = net_of_fills(run_dir)
    assert {key: whole[key] for key in told} == told
    result = replay(run_dir)
    if same_code:
        assert (result.skipped, result.events) == ((), len_of(after))
    else:
        assert result.skipped
        assert result.events == len_of(after) - frame_seq(before[-1])


def frame_seq(raw: bytes) -> int:
    return int.from_bytes(raw[8:16], "little")


def len_of(frames: list[bytes]) -> int:
    return frame_seq(frames[-1])


def records(run_dir: Path, wanted: type) -> Iterator[Any]:
    for frame in read_frames(run_dir / "journal"):
        if frame.schema_id == layout_of(wanted).id:
            event = event_of(frame)
            yield from event.records() if isinstance(event, Frame) else (event,)


def net_of_fills(run_dir: Path) -> Counter[tuple[int, int]]:
    net: Counter[tuple[int, int]] = Counter()
    for report in records(run_dir, ExecutionReport):
        if report.kind == ReportKind.FILL:
            net[report.strategy_id, report.listing_id] += report.last_lots * (1 if report.side == Side.BUY else -1)
    return net


def test_a_run_of_other_versions_is_resumed_as_an_instance_alone(old: Path) -> None:
    if RunInfo.load(old / "crashed").versions == versions_of(load_deployment(FIXTURES / "small.toml")):
        return  # it is of this version: tests of resuming have it
    with pytest.raises(ReplayError, match=r"or go on with it as an instance$"):
        Run.resume(old / "crashed", RunOptions(lake=False))
