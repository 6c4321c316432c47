"""An instance goes on after a stop, a crash anywhere, with another deployment; a replay recomputes all of it."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock_kernel import snapshots
from penstock_kernel.instance import Instance, Starting
from penstock_kernel.journal import Journal, JournalLocked
from penstock_kernel.replay import ReplayError, event_of, replay
from penstock_kernel.run import RunOptions
from penstock_kernel.runs import RunError
from penstock_plugins.strategies.market_maker import MarketMaker
from penstock_sdk.events import (
    Alert,
    ExecutionReport,
    Limit,
    LimitKind,
    OperatorCommand,
    Order,
    OrderState,
    PluginStatus,
    Position,
    ReportKind,
    RunHeader,
    SessionReady,
    Side,
)
from penstock_sdk.wire.frame import Origin
from penstock_sdk.wire.segment import read_frames

SMALL = Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "small.toml"
MINUTE_NS = 60_000_000_000
QUARTER_PAST_THREE = 30 * 60
"""Seconds from the run's start to when orders rest."""


class Crash(BaseException):
    """The process is gone."""


def options(folder: Path, for_s: float = 1200) -> RunOptions:
    return RunOptions(runs_dir=str(folder), lake=False, for_s=for_s)


def opened(folder: Path, path: Path | None = None, for_s: float = 1200, **starting: Any) -> Instance:
    return Instance.open("desk", path, options(folder, for_s), Starting(**starting))


def session(folder: Path, path: Path | None = None, for_s: float = 1200) -> Instance:
    """Run a session to its end in order."""
    run = opened(folder, path, for_s)
    run.go()
    run.close()
    return run


def crashed(folder: Path, path: Path | None = None, after_s: float = 300) -> Instance:
    """Run a session that is cut."""
    run = opened(folder, path)
    run.kernel.run_simulated(run.kernel.moment.now_ns + round(after_s * 1e9))
    run.kernel.write()
    run.abort()
    return run


def events(folder: Path, *types: type, after: int = 0) -> Iterator[Any]:
    for frame in read_frames(folder / "desk" / "journal"):
        if frame.seq > after:
            event = event_of(frame)
            for one in event.records() if hasattr(event, "records") else (event,):
                if isinstance(one, types):
                    yield one


def net_of_fills(folder: Path) -> Counter[tuple[int, int]]:
    net: Counter[tuple[int, int]] = Counter()
    for report in events(folder, ExecutionReport):
        if report.kind == ReportKind.FILL:
            net[report.strategy_id, report.listing_id] += report.last_lots * (1 if report.side == Side.BUY else -1)
    return net


def net_as_told(folder: Path, after: int) -> dict[tuple[int, int], int]:
    return {(p.strategy_id, p.listing_id): p.net_lots for p in events(folder, Position, after=after)}


def variant(folder: Path, change: str, to: str) -> Path:
    text = SMALL.read_text()
    assert change in text
    path = folder / "changed.toml"
    path.write_text(text.replace(change, to))
    return path


def test_sessions_follow_each_other_in_one_journal_and_a_replay_recomputes_them_all(tmp_path: Path) -> None:
    session(tmp_path, SMALL, 2400)
    crashed(tmp_path)
    third = session(tmp_path)
    headers = list(events(tmp_path, RunHeader))
    assert [(h.epoch, h.carried_seq > 0, h.cause) for h in headers] == [
        (1, False, "its first start"), (2, True, "after a stop"), (3, False, "after a crash"),
    ]  # fmt: skip
    assert [ready.epoch for ready in events(tmp_path, SessionReady)] == [1, 2, 3]
    result = replay(tmp_path / "desk")
    assert (result.events, result.digest, result.skipped) == (third.kernel.cascade.seq, third.info.digest, ())


def test_positions_orders_and_ids_go_on_where_they_were(tmp_path: Path) -> None:
    first = session(tmp_path, SMALL, 2700)
    crashed(tmp_path)
    third = session(tmp_path)
    assert sum(1 for r in events(tmp_path, ExecutionReport) if r.kind == ReportKind.FILL) > 5
    told = net_as_told(tmp_path, first.kernel.cascade.seq)
    whole = net_of_fills(tmp_path)
    assert told
    assert {key: whole[key] for key in told} == told
    new = [order.order_id for order in events(tmp_path, Order) if order.action == 1]
    assert len(new) == len(set(new))
    assert {order_id >> 40 for order_id in new} == {1, 2, 3}
    assert third.kernel.desk.orders == sum(1 for o in events(tmp_path, Order) if o.state == OrderState.ROUTED)


def test_a_second_start_names_the_process(tmp_path: Path) -> None:
    run = opened(tmp_path, SMALL)
    with pytest.raises(JournalLocked, match=rf"instance desk is run already by process {run.info.pid}"):
        opened(tmp_path, SMALL)
    run.abort()


@pytest.mark.parametrize("name", ["", "latest", "../desk", "-desk", "desk de", "x" * 65])
def test_a_name_that_is_no_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match=r"wanted letters, digits"):
        Instance.open(name, SMALL, options(tmp_path))
    assert not list(tmp_path.iterdir())


def test_an_instance_that_never_was_wants_a_deployment(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"^instance desk is not in .*; give its plugins.toml to begin it"):
        opened(tmp_path)


@pytest.mark.parametrize("ends", ["in order", "in a crash"])
def test_kill_switch_pauses_and_limits_survive(tmp_path: Path, ends: str) -> None:
    run = opened(tmp_path, SMALL, QUARTER_PAST_THREE)
    who = {"who": "ann", "why": "drill"}
    run.kernel.run_simulated(run.end_ns)
    for command in (
        OperatorCommand(command="pause", target="mm_de", **who),
        OperatorCommand(command="limit", target="reversion_de", argument="position_max_lots=7", **who),
        OperatorCommand(command="kill", **who),
    ):
        run.kernel.input(command, Origin.OPERATOR)
    run.kernel.write()
    if ends == "in order":
        run.go()
        run.close()
    else:
        run.abort()
    again = opened(tmp_path)
    desk, slots = again.kernel.desk, again.kernel.slots
    assert desk.killed
    assert desk.paused == {slots["mm_de"].plugin_id}
    limits = again.kernel.limits.values
    assert limits[LimitKind.POSITION_MAX_LOTS, slots["reversion_de"].plugin_id, 0] == 7
    before = again.kernel.cascade.seq
    again.go()
    again.close()
    sent = [order for order in events(tmp_path, Order, after=before) if order.state == OrderState.ROUTED]
    assert not sent
    assert replay(tmp_path / "desk").events == again.kernel.cascade.seq


def test_of_two_limits_the_stricter_rules_after_a_start(tmp_path: Path) -> None:
    run = opened(tmp_path, SMALL)
    for target, value in (("mm_de", 40), ("mm_de", 400)):
        command = OperatorCommand(
            command="limit", target=target, argument=f"position_max_lots={value}", who="ann", why="drill"
        )
        run.kernel.input(command, Origin.OPERATOR)
    run.go()
    run.close()
    before = run.kernel.cascade.seq
    again = session(tmp_path)
    key = (LimitKind.POSITION_MAX_LOTS, again.kernel.slots["mm_de"].plugin_id, 0)
    assert again.kernel.limits.values[key] == 300
    (alert,) = [alert for alert in events(tmp_path, Alert, after=before) if alert.code == "limit.differs"]
    assert "400" in alert.met
    assert "300" in alert.met


def test_a_plugin_that_left_the_deployment_has_its_orders_cancelled(tmp_path: Path) -> None:
    run = crashed(tmp_path, SMALL, after_s=QUARTER_PAST_THREE)
    owner = run.kernel.slots["mm_de"].plugin_id
    open_before = {o for o, held in run.kernel.desk.open.items() if held.order.strategy_id == owner}
    assert open_before
    before = run.kernel.cascade.seq
    without = variant(tmp_path, '[plugins.mm_de]\nuse = "market_maker"\nlimits = { position_max_lots = 300 }', "")
    again = session(tmp_path, without)
    cancelled = {r.order_id for r in events(tmp_path, ExecutionReport, after=before) if r.kind == ReportKind.CANCELLED}
    assert open_before <= cancelled
    assert not again.kernel.desk.open
    upgraded = next(a for a in events(tmp_path, Alert, after=before) if a.code == "session.upgraded")
    assert upgraded.met.startswith("its deployment changed from ")
    assert replay(tmp_path / "desk").events == again.kernel.cascade.seq


def test_a_plugin_that_joins_starts_and_those_that_were_there_resume(tmp_path: Path) -> None:
    without = variant(tmp_path, '[plugins.reversion_de]\nuse = "mean_reversion"', "")
    session(tmp_path, without, QUARTER_PAST_THREE)
    again = session(tmp_path, SMALL)
    assert again.kernel.resumed == {
        "refdata", "exchange", "prices", "risk", "fat_finger", "mm_de", "portfolio", "settlement",
    }  # fmt: skip
    assert replay(tmp_path / "desk").events == again.kernel.cascade.seq


@pytest.mark.parametrize("ends", ["in order", "in a crash"])
def test_a_quarantined_plugin_stays_out_until_it_is_released(tmp_path: Path, ends: str) -> None:
    if ends == "in order":
        session(tmp_path, SMALL, QUARTER_PAST_THREE)
    else:
        crashed(tmp_path, SMALL, after_s=QUARTER_PAST_THREE)
    run = opened(tmp_path, cause="watchdog: mm_de.on_quote held the kernel 2.1 s", quarantine=("mm_de",))
    status = run.kernel.lifecycle.status
    plugin_id = run.kernel.slots["mm_de"].plugin_id
    assert status[plugin_id] == PluginStatus.QUARANTINED
    run.go()
    run.close()
    assert not [held for held in run.kernel.desk.open.values() if held.order.strategy_id == plugin_id]
    before = run.kernel.cascade.seq
    again = opened(tmp_path)
    again.kernel.write()
    assert again.kernel.lifecycle.status[plugin_id] == PluginStatus.QUARANTINED
    alert = next(a for a in events(tmp_path, Alert, after=before) if a.code == "plugin.quarantined")
    assert "held the kernel 2.1 s" in alert.met
    again.kernel.input(OperatorCommand(command="release", target="mm_de", who="ann", why="mended"), Origin.OPERATOR)
    again.go()
    again.close()
    last = session(tmp_path)
    assert last.kernel.lifecycle.status[plugin_id] == PluginStatus.STOPPED
    assert [o for o in events(tmp_path, Order, after=again.kernel.cascade.seq) if o.strategy_id == plugin_id]
    assert replay(tmp_path / "desk").events == last.kernel.cascade.seq


# -- a crash in every phase --------------------------------------------------------------------------------------------


def crash_at(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, count: int) -> list[int]:
    """Have the *count*-th call of a function end the process before it does anything; return how many there were."""
    original = getattr(owner, name)
    calls: list[int] = []

    def call(*args: Any, **more: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            calls.append(1)
            if len(calls) == count:
                raise Crash
        return original(*args, **more)

    monkeypatch.setattr(owner, name, call)
    return calls


def start_and_stop(folder: Path, path: Path | None, for_s: float) -> bool:
    """Run a session that may crash anywhere; return whether it came to its end."""
    try:
        run = opened(folder, path, for_s)
    except Crash:
        return False
    try:
        run.go()
        run.close()
    except Crash:
        run.abort()
        return False
    return True


@pytest.mark.parametrize("path", [None, SMALL], ids=["a later session", "the first session"])
@pytest.mark.parametrize(
    ("owner", "name"),
    [(Journal, "commit"), (Journal, "sync"), (snapshots, "write_atomically")],
    ids=["at a write", "at a sync", "at a snapshot"],
)
def test_a_crash_in_any_phase_of_a_session_leaves_an_instance_that_goes_on(
    tmp_path: Path, path: Path | None, owner: Any, name: str
) -> None:
    if path is None:
        session(tmp_path, SMALL, QUARTER_PAST_THREE)
    crashes = 0
    for count in (*range(1, 9), 12, 20, 30, 60, 1000):
        with pytest.MonkeyPatch.context() as patch:
            calls = crash_at(patch, owner, name, count)
            whole = start_and_stop(tmp_path, SMALL, 90 if path is None else 600)
        crashes += not whole
        if len(calls) < count:
            break
    assert crashes >= 1
    last = session(tmp_path, SMALL, 120)
    result = replay(tmp_path / "desk")
    assert (result.events, result.digest) == (last.kernel.cascade.seq, last.info.digest)
    told = net_as_told(tmp_path, 0)
    whole_net = net_of_fills(tmp_path)
    assert {key: whole_net[key] for key in told} == told


def test_what_a_session_says_at_its_start_is_the_same_when_it_is_played_back(tmp_path: Path) -> None:
    session(tmp_path, SMALL, QUARTER_PAST_THREE)
    run = opened(tmp_path)
    digest = run.kernel.cascade.seq
    run.kernel.write()
    run.abort()
    again = opened(tmp_path)
    assert again.kernel.header is not None
    assert again.kernel.header.carried_seq == 0
    assert again.kernel.cascade.seq > digest
    again.abort()


def test_limits_are_said_once_in_a_session(tmp_path: Path) -> None:
    session(tmp_path, SMALL, 60)
    before = session(tmp_path, None, 60).kernel.cascade.seq
    session(tmp_path, None, 60)
    said = [(limit.kind, limit.strategy_id) for limit in events(tmp_path, Limit, after=before)]
    assert len(said) == len(set(said)) == 1


def test_a_state_that_a_plugin_cannot_read_is_heard_from_the_beginning(tmp_path: Path) -> None:
    session(tmp_path, SMALL, 2700)
    changed = variant(tmp_path, "orders_per_day = 6000", "orders_per_day = 6000, qty_max_lots = 77")
    again = session(tmp_path, changed)
    told = net_as_told(tmp_path, again.kernel.header.carried_seq if again.kernel.header else 0)
    whole = net_of_fills(tmp_path)
    assert {key: whole[key] for key in told} == told
    assert replay(tmp_path / "desk").events == again.kernel.cascade.seq


def test_run_json_tells_of_the_instance(tmp_path: Path) -> None:
    session(tmp_path, SMALL, 60)
    told = msgspec.json.decode((tmp_path / "desk" / "run.json").read_bytes())
    assert (told["id"], told["instance"], told["status"], told["epoch"]) == ("desk", "desk", "complete", 1)


def test_code_that_changed_without_its_version_is_heard_not_recomputed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = crashed(tmp_path, SMALL, after_s=2700)
    make = MarketMaker.intent

    def cheaper(self: Any, listing: int, side: int, price: int, *more: Any, **named: Any) -> Any:
        return make(self, listing, side, price - 1, *more, **named)

    monkeypatch.setattr(MarketMaker, "intent", cheaper)
    before = run.kernel.cascade.seq
    again = session(tmp_path)
    (alert,) = [alert for alert in events(tmp_path, Alert, after=before) if alert.code == "session.upgraded"]
    assert alert.met.startswith("what was recorded cannot be recomputed: first difference at seq ")
    told = net_as_told(tmp_path, before)
    whole = net_of_fills(tmp_path)
    assert {key: whole[key] for key in told} == told
    assert again.kernel.header is not None
    assert again.kernel.header.carried_seq >= before


@pytest.mark.parametrize("suffix", [".carry", ".snap"])
def test_a_damaged_snapshot_costs_time_alone(tmp_path: Path, suffix: str) -> None:
    session(tmp_path, SMALL, QUARTER_PAST_THREE)
    crashed(tmp_path)
    for path in (tmp_path / "desk" / "snapshots").glob(f"*{suffix}"):
        path.write_bytes(path.read_bytes()[:-7])
    session(tmp_path)
    told = net_as_told(tmp_path, 0)
    whole = net_of_fills(tmp_path)
    assert {key: whole[key] for key in told} == told
    new = [order.order_id for order in events(tmp_path, Order) if order.action == 1]
    assert len(new) == len(set(new))


def test_a_journal_put_back_from_a_copy_is_not_joined_to_snapshots_of_what_it_lost(tmp_path: Path) -> None:
    session(tmp_path, SMALL, QUARTER_PAST_THREE)
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "desk" / "journal", copy)
    lost = session(tmp_path)
    ids_lost = {order.order_id for order in events(tmp_path, Order) if order.action == 1}
    shutil.rmtree(tmp_path / "desk" / "journal")
    shutil.copytree(copy, tmp_path / "desk" / "journal")
    kept = sum(1 for _ in read_frames(tmp_path / "desk" / "journal"))
    run = crashed(tmp_path)
    last = session(tmp_path)
    alert = next(alert for alert in events(tmp_path, Alert) if alert.code == "journal.lost")
    assert alert.met.endswith(f"{lost.kernel.cascade.seq} had been synced")
    new = {order.order_id for order in events(tmp_path, Order) if order.action == 1 and order.order_id >> 40 > 1}
    assert new
    assert not new & ids_lost
    assert kept < run.kernel.cascade.seq < last.kernel.cascade.seq
    assert replay(tmp_path / "desk").events == last.kernel.cascade.seq


def test_a_stop_is_not_forgotten_by_a_crash_while_draining(tmp_path: Path) -> None:
    text = SMALL.read_text().replace("snapshot_every_events = 4000", "snapshot_every_events = 1")
    often = tmp_path / "often.toml"
    often.write_text(text)
    run = opened(tmp_path, often)
    run.kernel.run_simulated(run.kernel.moment.now_ns + 1_500_000_000_000)
    run.command(OperatorCommand(command="stop", who="ann", why="drill"))
    run._go_live()
    run.kernel.run_simulated(run.end_ns)
    assert run.kernel.stopping
    run.kernel.stop_plugin(run.kernel.slots["portfolio"])
    run.kernel.write()
    run.abort()
    again = opened(tmp_path)
    assert again.kernel.stopping == "stopped by ann: drill"
    again.go()
    assert again.close().reason == "stopped by ann: drill"


def test_a_plugin_is_kept_out_of_the_first_session_too(tmp_path: Path) -> None:
    run = opened(tmp_path, SMALL, QUARTER_PAST_THREE, cause="watchdog: mm_de.on_start held it", quarantine=("mm_de",))
    run.go()
    run.close()
    plugin_id = run.kernel.slots["mm_de"].plugin_id
    assert run.kernel.lifecycle.status[plugin_id] == PluginStatus.QUARANTINED
    assert not [order for order in events(tmp_path, Order) if order.strategy_id == plugin_id]
    assert next(events(tmp_path, RunHeader)).cause == "watchdog: mm_de.on_start held it"
    assert replay(tmp_path / "desk").events == run.kernel.cascade.seq


def test_a_replay_that_lacks_a_carried_state_says_so(tmp_path: Path) -> None:
    session(tmp_path, SMALL, 60)
    session(tmp_path, None, 60)
    (carried,) = (tmp_path / "desk" / "snapshots").glob("*.carry")
    carried.write_bytes(b"torn")
    with pytest.raises(ReplayError, match=r"^the state that session 2 began with cannot be read: "):
        replay(tmp_path / "desk")
