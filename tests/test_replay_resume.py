"""A run that was cut goes on to the same digest; a replay verifies every byte, and names what differs."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from loop_runs import SUPPORT, deployment, entries, holds_the_lock, only_run, resume_child, run_child, wait_for

from penstock_kernel.cli.main import main
from penstock_kernel.journal import Journal, run_identity
from penstock_kernel.replay import Difference, ReplayError, replay
from penstock_kernel.run import Run, RunOptions
from penstock_kernel.runs import RunInfo
from penstock_sdk.events import ExecutionReport, Order, Quote
from penstock_sdk.schema import schema_by_id
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES
from penstock_sdk.wire.segment import JournalCorrupt, read_frames, scan
from penstock_sdk.wire.segment_layout import SEGMENT_BYTES

ALONE = RunOptions(lake=False)
SESSION = """
[run]
seed = 4
delivery_day = "2026-03-10"
start = "2026-03-09T15:55:00"
end = "2026-03-09T17:30:00"
runs_dir = "{runs}"
snapshot_every_events = {snapshot_every}
[plugins.exchange]
use = "exchange"
[plugins.prices]
use = "synthetic_prices"
[plugins.assassin]
use = "loop_assassin"
path = "{support}"
"""


def finished(path: Path) -> tuple[Path, RunInfo]:
    """Run a deployment to its end in this process; return the run's folder and facts."""
    run = Run.start(path, ALONE)
    run.go()
    return run.dir, run.close()


def go_on(run_dir: Path) -> RunInfo:
    """Resume a run and let it end."""
    run = Run.resume(run_dir, ALONE)
    run.go()
    return run.close()


def crashed(run_dir: Path) -> None:
    """Have run.json say what it says of a run whose process is gone."""
    info = RunInfo.load(run_dir)
    info.status = "running"
    info.save(run_dir)


def session(folder: Path, snapshot_every: int) -> Path:
    """Write the deployment of a short session at the embedded exchange."""
    path = folder / "plugins.toml"
    path.write_text(SESSION.format(runs=folder / "runs", snapshot_every=snapshot_every, support=SUPPORT))
    return path


# -- cut and resumed ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("snapshot_every", [2_500, 10**9], ids=["snapshots", "from the beginning"])
def test_a_session_killed_again_and_again_ends_with_the_digest_of_one_that_was_not(
    tmp_path: Path, snapshot_every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_folder, cut_folder = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole_folder, cut_folder):
        folder.mkdir()
    monkeypatch.delenv("PENSTOCK_TEST_KILL_AT", raising=False)
    _, whole = finished(session(whole_folder, snapshot_every))
    rng = random.Random(snapshot_every)
    moments = sorted(rng.sample(range(300, whole.last_seq * 9 // 10), 3))
    path = session(cut_folder, snapshot_every)
    for at in moments:
        monkeypatch.setenv("PENSTOCK_TEST_KILL_AT", str(at))
        child = resume_child(cut_folder) if (cut_folder / "runs").exists() else run_child(cut_folder, path)
        assert child.wait() == -signal.SIGKILL, child.text()
        assert 0 < scan(only_run(cut_folder) / "journal").last_seq <= whole.last_seq
    # Once more while it recovers: cut its tail, rebuilt its state, or had just gone live.
    child = resume_child(cut_folder)
    wait_for(lambda: holds_the_lock(only_run(cut_folder), child.pid), "the lock", 0)
    assert child.kill() == -signal.SIGKILL, child.text()
    monkeypatch.delenv("PENSTOCK_TEST_KILL_AT")
    run_dir = only_run(cut_folder)
    assert bool(list(run_dir.glob("snapshots/*.snap"))) == (snapshot_every < 10**9)
    info = go_on(run_dir)
    assert (info.digest, info.last_seq, info.status) == (whole.digest, whole.last_seq, "complete")
    assert replay(run_dir).digest == whole.digest


@pytest.mark.parametrize("snapshot_every", [150, 10**9], ids=["snapshots", "from the beginning"])
def test_a_run_cut_at_any_batch_ends_with_the_same_digest(tmp_path: Path, snapshot_every: int) -> None:
    path = deployment(tmp_path, ticker="count = 250", run=f"snapshot_every_events = {snapshot_every}")
    run_dir, whole = finished(path)
    crashed(run_dir)
    data = (run_dir / "journal" / "000000000001.pj").read_bytes()
    rng = random.Random(7)
    last = len(data) - 2_500  # from here on the plugins are being stopped
    for number in range(24):
        cut = tmp_path / "cut" / run_dir.name
        shutil.copytree(run_dir, cut)
        (cut / "journal" / "000000000001.pj").write_bytes(
            data[: rng.randint(last if number % 2 else SEGMENT_BYTES + 5_000, len(data))]
        )
        info = go_on(cut)
        assert (info.digest, info.last_seq) == (whole.digest, whole.last_seq)
        assert replay(cut).digest == whole.digest
        shutil.rmtree(cut)


def test_a_complete_run_is_not_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir, whole = finished(deployment(tmp_path, ticker="count = 20"))
    assert main(["run", "--quiet", "--no-report", "--resume", str(run_dir)]) == 2
    assert f"{run_dir.name} is complete" in capsys.readouterr().err
    assert scan(run_dir / "journal").digest == whole.digest
    # Killed between its last event and its last word in run.json: it has nothing left to do, and says so there.
    crashed(run_dir)
    assert go_on(run_dir).status == "complete"
    assert scan(run_dir / "journal").digest == whole.digest


# -- replay ------------------------------------------------------------------------------------------------------------


def test_a_replay_from_the_journal_alone_verifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_dir, whole = finished(deployment(tmp_path, ticker="count = 120"))
    result = replay(run_dir)
    assert (result.events, result.digest) == (whole.last_seq, whole.digest)
    assert main(["replay", "--verify", "--runs-dir", str(tmp_path / "runs")]) == 0
    assert f"no difference\njournal sha256:{whole.digest}" in capsys.readouterr().out


def test_a_flipped_bit_is_named_and_nothing_is_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir, _ = finished(deployment(tmp_path, ticker="count = 120"))
    segment = run_dir / "journal" / "000000000001.pj"
    data = bytearray(segment.read_bytes())
    wanted = next(entry for entry in entries(run_dir) if type(entry.record) is Order)
    data[data.index(wanted.body) + 9] ^= 0x10
    segment.write_bytes(data)
    monkeypatch.setattr("penstock_kernel.replay.Player.boot", lambda _: pytest.fail("it was played"))
    with pytest.raises(JournalCorrupt, match=rf"000000000001\.pj: offset \d+, seq {wanted.seq}: frame is damaged"):
        replay(run_dir)
    assert main(["replay", str(run_dir)]) == 2
    assert f"seq {wanted.seq}" in capsys.readouterr().err


def reseal(run_dir: Path, change: Callable[[bytes], bytes]) -> None:
    """Write a run's journal anew, every frame through *change*, with right checksums and digests."""
    frames = [change(bytes(view.raw)) for view in read_frames(run_dir / "journal")]
    shutil.rmtree(run_dir / "journal")
    with Journal.create(run_dir / "journal", run=run_identity(run_dir.name)) as journal:
        for frame in frames:
            journal.append(frame)
            journal.maybe_commit()


def edited(seq: int, **changes: int) -> Callable[[bytes], bytes]:
    """Return what changes fields of the record *seq* and leaves all others."""

    def change(raw: bytes) -> bytes:
        header = HEADER.unpack_from(raw)
        if header[4] != seq:
            return raw
        layout = schema_by_id(header[1])
        record = msgspec.structs.replace(layout.unpack(raw[HEADER_BYTES : HEADER_BYTES + header[0]]), **changes)
        body = layout.pack(record)
        return raw[:HEADER_BYTES] + body + bytes(-len(body) % 8)

    return change


@pytest.mark.parametrize(("kind", "field"), [(Order, "price_ticks"), (ExecutionReport, "last_lots")])
def test_a_derived_record_that_was_edited_and_sealed_again_is_the_first_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: type, field: str
) -> None:
    run_dir, _ = finished(deployment(tmp_path, ticker="count = 120"))
    held = [entry for entry in entries(run_dir) if type(entry.record) is kind]
    entry = held[len(held) // 2]
    true_value = getattr(entry.record, field)
    reseal(run_dir, edited(entry.seq, **{field: true_value + 13}))
    with pytest.raises(Difference) as caught:
        replay(run_dir)
    found = caught.value
    assert found.seq == entry.seq
    assert f"{field}={true_value + 13}" in found.recorded
    assert f"{field}={true_value}," in found.recomputed
    assert main(["replay", str(run_dir)]) == 1
    assert f"first difference at seq {entry.seq}: recorded {kind.__name__}(" in capsys.readouterr().out


def test_an_input_that_was_edited_shows_in_what_follows_from_it(tmp_path: Path) -> None:
    run_dir, _ = finished(deployment(tmp_path, ticker="count = 120", strategy="every = 1"))
    quote = [entry for entry in entries(run_dir) if type(entry.record) is Quote][60]
    reseal(run_dir, edited(quote.seq, bid_ticks=quote.record.bid_ticks + 5, ask_ticks=quote.record.ask_ticks + 5))
    with pytest.raises(Difference) as caught:
        replay(run_dir)
    assert quote.seq < caught.value.seq < quote.seq + 10


def test_inputs_that_were_not_kept_cannot_be_replayed_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topics = '[topics."market.*"]\ndurability = "none"'
    run_dir, _ = finished(deployment(tmp_path, ticker="count = 60", topics=topics))
    assert not any(type(entry.record) is Quote for entry in entries(run_dir))
    with pytest.raises(ReplayError, match='topic market.quote has durability "none"'):
        replay(run_dir)
    assert main(["replay", str(run_dir)]) == 2
    assert 'run again with "written"' in capsys.readouterr().err


def test_derived_records_that_were_not_kept_are_recomputed_and_the_rest_verifies(tmp_path: Path) -> None:
    topics = '[topics."order.verdict"]\ndurability = "none"'
    run_dir, whole = finished(deployment(tmp_path, ticker="count = 60", topics=topics))
    assert scan(run_dir / "journal").gaps > 0
    assert replay(run_dir).events == whole.last_seq


def test_any_input_that_is_missing_is_named(tmp_path: Path) -> None:
    topics = '[topics."control.plugin_state"]\ndurability = "none"'
    run_dir, _ = finished(deployment(tmp_path, ticker="count = 60", topics=topics))
    with pytest.raises(ReplayError, match=r"inputs \d+ to \d+ are not in the journal"):
        replay(run_dir)


def test_a_deployment_changed_beside_the_journal_is_told_by_its_digest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir, _ = finished(deployment(tmp_path, ticker="count = 60"))
    path = run_dir / "deployment.toml"
    path.write_text(path.read_text().replace("count = 60", "count = 61"))
    with pytest.raises(ReplayError, match=r"digest [0-9a-f]{64}, the journal was begun with [0-9a-f]{64}"):
        replay(run_dir)
    crashed(run_dir)
    assert main(["run", "--quiet", "--no-report", "--resume", str(run_dir)]) == 2
    assert "put back the file" in capsys.readouterr().err
