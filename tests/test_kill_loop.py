"""kill -9 at any moment: what the witness holds is in the journal, nothing is sent twice, and in doubt it is asked."""

from __future__ import annotations

import json
import random
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from loop_compare import violations
from loop_runs import (
    WitnessProcess,
    deployment,
    entries,
    holds_the_lock,
    journal_bytes,
    only_run,
    resume_child,
    run_child,
    wait_for,
    witness,
)

from penstock_kernel.journal import recover
from penstock_kernel.replay import replay
from penstock_sdk.events import ExecutionReport, Order, RunHeader, SessionReady
from penstock_sdk.wire.segment import verify

TICKER = "step_us = 1000"


def settings(folder: Path, venue: str = "loop_venue") -> Path:
    """Return the deployment of a venue outside, orders synced before they leave."""
    topics = '[topics."order.*"]\ndurability = "synced"'
    return deployment(
        folder, clock="wall", venue=venue, socket="w.sock", ticker=TICKER, topics=topics,
        run="snapshot_every_events = 700",
    )  # fmt: skip


def one_round(folder: Path, seen: WitnessProcess, rng: random.Random, first: bool) -> str:
    """Start or resume the run and have it killed at a moment that the seed chooses; return which."""
    moment = rng.choice(["receipt", "receipt", "answer", "hello", "bytes"] if first else MOMENTS)
    seen.spare()
    if moment in ("receipt", "answer"):
        seen.plan(rng.randint(1, 120), moment)
    elif moment == "hello":
        seen.plan(0, moment)
    before = 0 if first else journal_bytes(only_run(folder))
    child = run_child(folder, folder / "plugins.toml", cwd=folder) if first else resume_child(folder, cwd=folder)
    if moment == "recovery":  # as soon as it has the lock: it reads the journal, or cuts its tail
        wait_for(lambda: holds_the_lock(only_run(folder), child.pid) or child.process.poll() is not None, "the lock", 0)
        child.kill()
    elif moment == "bytes":
        more = rng.randint(1, 40_000)
        wait_for(
            lambda: journal_bytes(only_run(folder)) > before + more if any((folder / "runs").glob("*/")) else False,
            "the journal to grow",
        )
        child.kill()
    assert child.wait() == -signal.SIGKILL, child.text()
    return moment


MOMENTS = ["receipt", "receipt", "answer", "hello", "bytes", "recovery"]


def last_round(folder: Path, seen: WitnessProcess) -> None:
    """Resume once more, throw the kill switch, wait until both sides are at rest, and let the run end."""
    seen.spare()
    orders = sum(line.get("got") == "new" for line in seen.lines())
    child = resume_child(folder, cwd=folder)
    wait_for(lambda: sum(line.get("got") == "new" for line in seen.lines()) > orders + 5, "orders to flow again")
    child.signal(signal.SIGUSR1)
    wait_for(lambda: at_rest(seen.lines()), "the witness to come to rest")
    child.signal(signal.SIGINT)
    assert child.wait() == 0, child.text()
    assert "complete" in child.text()


def at_rest(log: list[dict[str, Any]]) -> bool:
    """Return whether nothing is open at the witness, and the last report has been acknowledged as written."""
    left: dict[int, int] = {}
    said = 0
    for line in log:
        if line.get("got") == "new":
            left[line["id"]] = 1
        elif "said" in line:
            said = line["said"]["n"]
            left[line["said"]["id"]] = line["said"]["leaves"]
    acked = max(
        (
            ExecutionReport.layout.unpack(bytes.fromhex(line["body"])).venue_ref
            for line in log
            if line.get("got") == "ack" and line["schema"] == ExecutionReport.layout.id
        ),
        default=0,
    )
    return acked == said and not any(left.values())


def kill_loop(folder: Path, rounds: int, seed: int) -> dict[str, int]:
    """Kill and resume one run so many times; compare after every round, and once it has come to rest."""
    rng = random.Random(seed)
    settings(folder)
    moments: dict[str, int] = {}
    with witness(folder, seed) as seen:
        for number in range(rounds):
            moment = one_round(folder, seen, rng, first=number == 0)
            moments[moment] = moments.get(moment, 0) + 1
            recover(only_run(folder) / "journal")
            wrong = violations(entries(only_run(folder)), seen.lines(), ended=False)
            assert not wrong, f"seed {seed}, round {number}, killed at {moment}: {wrong}"
        last_round(folder, seen)
        journal, log = entries(only_run(folder)), seen.lines()
    assert violations(journal, log, ended=True) == [], f"seed {seed}"
    assert verify(only_run(folder) / "journal").sealed
    assert replay(only_run(folder)).events == journal[-1].seq
    headers = [entry.record.epoch for entry in journal if type(entry.record) is RunHeader]
    assert headers == list(range(1, len(headers) + 1))
    return {
        "epochs": len(headers),
        "orders": sum(line.get("got") == "new" for line in log),
        "asked": sum(line.get("got") == "ask" for line in log),
        **moments,
    }


def test_ten_kills_lose_nothing_and_send_nothing_twice(tmp_path: Path) -> None:
    found = kill_loop(tmp_path, rounds=10, seed=3)
    # The loop did bite: there was trade, there were several lives, and orders that a crash had left in doubt.
    assert found["orders"] > 50
    assert found["epochs"] > 5
    assert found["asked"] > 0
    prove_that_it_can_fail(tmp_path)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [101, 102])
def test_fifty_kills_lose_nothing_and_send_nothing_twice(tmp_path: Path, seed: int) -> None:
    found = kill_loop(tmp_path, rounds=50, seed=seed)
    assert found["orders"] > 200
    assert found["asked"] > 20


def prove_that_it_can_fail(folder: Path) -> None:
    """A journal that lost its tail, an order sent twice, bytes that differ: each is named."""
    log = [json.loads(line) for line in (folder / "witness.jsonl").read_bytes().splitlines()]
    run_dir = only_run(folder)
    journal = entries(run_dir)
    twice = next(line for line in log if line.get("got") == "new")
    assert f"order {twice['id']} was sent 2 times" in violations(journal, [*log, twice], ended=True)
    other = dict(twice, body=twice["body"][:-2] + "77")
    assert any("holds other bytes" in wrong for wrong in violations(journal, [*log, other], ended=True))
    unasked = [line for line in log if line.get("got") != "ask"]
    last_header = max(entry.seq for entry in journal if type(entry.record) is SessionReady)
    if any(type(e.record) is Order and e.cause_seq == last_header for e in journal):
        assert any("were not asked" in wrong for wrong in violations(journal, unasked, ended=True))
    segment = max((run_dir / "journal").glob("*.pj"))
    torn = folder / "torn"
    shutil.copytree(run_dir, torn)
    (torn / "journal" / segment.name).write_bytes(segment.read_bytes()[: segment.stat().st_size * 2 // 3])
    recover(torn / "journal")
    wrong = violations(entries(torn), log, ended=False)
    assert any("the journal has no such record" in sentence for sentence in wrong)


def test_a_venue_that_sends_before_the_order_is_written_is_found_out(tmp_path: Path) -> None:
    settings(tmp_path, venue="loop_hasty_venue")
    with witness(tmp_path, seed=1) as seen:
        seen.plan(9, "receipt", "new")
        child = run_child(tmp_path, tmp_path / "plugins.toml", cwd=tmp_path)
        assert child.wait() == -signal.SIGKILL, child.text()
        recover(only_run(tmp_path) / "journal")
        wrong = violations(entries(only_run(tmp_path)), seen.lines(), ended=False)
    assert any("the journal has no such record" in sentence for sentence in wrong)
