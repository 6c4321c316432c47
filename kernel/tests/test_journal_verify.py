"""`penstock verify` reads all and finds what a quick restart trusts; a snapshot leaves a checkpoint; segments roll."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kernel.tests.toy_market import END_NS, kernel_in, start
from penstock_kernel.checkpoints import Checkpoint, read_checkpoints, write_checkpoint
from penstock_kernel.cli.main import main
from penstock_kernel.deployment import load_deployment, read_deployment
from penstock_kernel.journal import Journal, recover
from penstock_kernel.runs import RunInfo
from penstock_kernel.verify import verify_journal
from penstock_sdk.wire.segment import read_frames
from penstock_sdk.wire.segment_layout import pack_frame, segment_path

STRETCH = 65_536
NUMBERS = [1, 2, 3, STRETCH, STRETCH + 1, 2 * STRETCH, 2 * STRETCH + 1]


def record(seq: int) -> bytes:
    return pack_frame(7, seq.to_bytes(16, "little"), seq=seq, at_ns=seq, stride=16)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Return a complete run of three stretches with two checkpoints, a record to a batch."""
    journal = Journal.create(tmp_path / "journal", run=3)
    for seq in NUMBERS:
        journal.append(record(seq))
        journal.checkpoint()
    journal.close()
    RunInfo(id="r", status="complete", digest=journal.digest).save(tmp_path)
    return tmp_path


def said(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = main(["verify", str(run_dir)])
    return status, capsys.readouterr().out


def test_a_whole_run_is_verified_with_its_checkpoints(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = verify_journal(run_dir)
    assert (found.scan.records, found.checkpoints, found.faults) == (len(NUMBERS), 2, ())
    status, out = said(run_dir, capsys)
    assert status == 0
    assert "7 events in 1 segments" in out
    assert "2 checkpoints agree" in out
    assert out.endswith(f"journal sha256:{RunInfo.load(run_dir).digest}\n")


def test_damage_that_a_restart_does_not_look_at_is_found(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    segment = segment_path(run_dir / "journal", 1)
    data = bytearray(segment.read_bytes())
    data[data.index(record(2)) + 50] ^= 1
    segment.write_bytes(data)
    assert recover(run_dir / "journal").last_seq == NUMBERS[-1]
    status, out = said(run_dir, capsys)
    assert (status, "seq 2: frame is damaged" in out) == (1, True)


def test_faults_that_are_no_corruption_are_all_said(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = run_dir / "journal"
    own = read_checkpoints(journal)[0][1]
    assert own is not None
    fields: dict[str, Any] = {name: getattr(own, name) for name in own.__struct_fields__}
    ahead = write_checkpoint(journal, Checkpoint(**{**fields, "synced_seq": 10**9}))
    wrong = write_checkpoint(journal, Checkpoint(**{**fields, "restart_seq": own.restart_seq + 1}))
    with segment_path(journal, 1).open("ab") as file:
        file.write(b"torn")
    info = RunInfo.load(run_dir)
    info.digest = "00"
    info.save(run_dir)
    status, out = said(run_dir, capsys)
    assert status == 1
    for text in (
        f"{wrong}: the checkpoint does not agree with the segments; remove it",
        f"{ahead}: records up to 1000000000 were synced, the segments end with {NUMBERS[-1]}",
        "4 bytes with 0 commits follow",
        "run.json says sha256:00",
    ):
        assert text in out
    info.status = "running"  # as after a crash: a torn tail is what a restart mends
    info.save(run_dir)
    ahead.unlink()
    wrong.unlink()
    assert said(run_dir, capsys)[0] == 0


def test_a_snapshot_leaves_a_checkpoint_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[int] = []
    monkeypatch.setattr(Journal, "checkpoint", lambda journal: called.append(journal.synced_seq))
    kernel = start(kernel_in(tmp_path))
    kernel.run_simulated(END_NS // 2)
    path = kernel.take_snapshot()
    assert path is not None
    assert called == [kernel.cascade.seq]
    kernel.close()


def test_little_is_left_to_sync_when_a_segment_rolls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sync_now(journal: Journal) -> None:
        journal._wanted = (journal._offset, journal.written_seq)
        journal._fdatasync(*journal._wanted)

    monkeypatch.setattr(Journal, "_ask_helper", sync_now)
    left: list[int] = []
    roll = Journal._roll

    def noted(journal: Journal) -> None:
        left.append(journal._offset - journal._synced_offset)
        roll(journal)

    monkeypatch.setattr(Journal, "_roll", noted)
    journal = Journal.create(tmp_path, run=1, segment_bytes=8 << 20, sync_every_bytes=3 << 20)
    body = bytes(100_000)
    for seq in range(260):
        journal.append(pack_frame(7, body, seq=seq, at_ns=seq))
        journal.commit()
    journal.close()
    assert len(left) == 3
    assert max(left) <= (1 << 20) + len(body) + 500
    assert [view.seq for view in read_frames(tmp_path)] == list(range(260))


def test_the_size_of_a_segment_is_the_deployments_and_no_part_of_what_is_run(tmp_path: Path) -> None:
    path = tmp_path / "plugins.toml"
    path.write_text('[plugins.exchange]\nuse = "exchange"\n')
    plain = load_deployment(path)
    assert plain.journal.segment_mb == 256
    path.write_text('[journal]\nsegment_mb = 8\n[plugins.exchange]\nuse = "exchange"\n')
    small = load_deployment(path)
    assert (small.journal.segment_mb, small.digest) == (8, plain.digest)
    (tmp_path / "again.toml").write_text(small.as_run_toml())
    assert load_deployment(tmp_path / "again.toml").journal.segment_mb == 8
    for wrong, says in [("0", "expected int >= 1, met 0"), ('"8"', "expected int"), ("5000", "expected int <= 4096")]:
        path.write_text(f'[journal]\nsegment_mb = {wrong}\n[plugins.exchange]\nuse = "exchange"\n')
        (problem,) = read_deployment(path)[1]
        assert (problem.line, problem.path) == (2, "journal.segment_mb")
        assert says in problem.message
