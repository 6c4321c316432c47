"""Every switch, limit, quarantine and link names who set it, since when and why, before and after a restart."""

from __future__ import annotations

import msgspec
import pytest

from penstock_sdk.context import Moment
from penstock_sdk.core.ledger import REQUESTS_KEPT, Ledger, Request
from penstock_sdk.events import (
    ConnectionState,
    ConnectionStatus,
    DeploymentChange,
    Limit,
    LimitKind,
    OperatorCommand,
    PluginState,
    PluginStatus,
    RunEnd,
)

KILL = (LimitKind.KILL, 0, 0)


class Told:
    """A ledger, and events told to it as a core would."""

    def __init__(self) -> None:
        self.moment = Moment()
        self.ledger = Ledger(self.moment, lambda number: {7: "fat_finger"}.get(number, "?"))

    def tell(self, event: object, *, root: bool = True, producer: int = 0) -> int:
        """Let an event be heard, the first of its cascade or one that follows; return its number."""
        self.moment.seq += 1
        self.moment.now_ns = 1_000 * self.moment.seq
        self.moment.producer = producer
        if root:
            self.moment.correlation_seq = self.moment.seq
        names = {
            OperatorCommand: "on_operator_command", Limit: "on_limit", PluginState: "on_plugin_state",
            ConnectionState: "on_connection_state", RunEnd: "on_run_end",
            DeploymentChange: "on_deployment_change",
        }  # fmt: skip
        getattr(self.ledger, names[type(event)])(event)
        return self.moment.seq


@pytest.fixture
def told() -> Told:
    return Told()


def command(name: str, **more: str) -> OperatorCommand:
    return OperatorCommand(command=name, who="alice", why="prices look wrong", **more)


def quarantined(reason: str) -> PluginState:
    status, before = PluginStatus.QUARANTINED, PluginStatus.RUNNING
    return PluginState(plugin_id=3, name="mm_de", status=status, previous=before, reason=reason)


def test_a_switch_is_its_operators(told: Told):
    told.tell(command("kill"))
    seq = told.tell(Limit(LimitKind.KILL, value=1), root=False)
    change = told.ledger.limits[KILL]
    assert (change.value, change.seq, change.at_ns, change.who, change.why) == (
        1, seq, 1_000 * seq, "alice", "prices look wrong",
    )  # fmt: skip


def test_what_a_plugin_or_the_deployment_sets_is_not_the_last_operators(told: Told):
    told.tell(command("pause", target="mm_de"))
    told.tell(Limit(LimitKind.KILL, value=1), producer=7)
    told.tell(Limit(LimitKind.QTY_MAX_LOTS, value=50))
    assert told.ledger.limits[KILL].who == "plugin fat_finger"
    change = told.ledger.limits[LimitKind.QTY_MAX_LOTS, 0, 0]
    assert (change.who, change.why) == ("kernel", "as deployed")


def test_said_again_it_stands_since_it_was_said_first(told: Told):
    told.tell(command("kill"))
    first = told.tell(Limit(LimitKind.KILL, value=1), root=False)
    told.tell(Limit(LimitKind.KILL, value=1))
    assert told.ledger.limits[KILL].seq == first
    last = told.tell(Limit(LimitKind.KILL, value=0))
    assert told.ledger.limits[KILL].seq == last


def test_a_plugin_that_may_not_switch_off_changes_nothing(told: Told):
    first = told.tell(Limit(LimitKind.KILL, value=1))
    told.tell(Limit(LimitKind.KILL, value=0), producer=7)
    assert told.ledger.limits[KILL].seq == first


def test_a_quarantine_keeps_its_first_cause_until_it_is_released(told: Told):
    first = told.tell(quarantined("10 faults"))
    told.tell(quarantined("kept out"))
    assert (told.ledger.quarantines["mm_de"].seq, told.ledger.quarantines["mm_de"].why) == (first, "10 faults")
    told.tell(command("release", target="mm_de"))
    assert told.ledger.quarantines == {}


def test_a_link_stands_since_it_changed(told: Told):
    up, down = int(ConnectionStatus.UP), int(ConnectionStatus.DOWN)
    first = told.tell(ConnectionState(4, up), producer=4)
    told.tell(ConnectionState(4, up, attempt=2), producer=4)
    assert (told.ledger.links[4].value, told.ledger.links[4].seq) == (up, first)
    told.tell(ConnectionState(4, down), producer=4)
    assert (told.ledger.links[4].value, told.ledger.links[4].why) == (down, "down")


def test_requests_are_known_again_and_only_so_many(told: Told):
    numbers = {f"r{n}": told.tell(command("kill", request=f"r{n}")) for n in range(REQUESTS_KEPT + 5)}
    assert {name: asked.seq for name, asked in told.ledger.requests.items()} == dict(list(numbers.items())[5:])


def test_a_request_is_known_by_command_target_and_argument(told: Told):
    seq = told.tell(command("limits", request="r1", argument='[["mm_de","qty_max_lots",5]]'))
    told.tell(command("pause", request="r2", target="mm_de"))
    again = Told()
    again.ledger.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(told.ledger.snapshot())))
    for ledger in (told.ledger, again.ledger):
        limits, pause = ledger.requests["r1"], ledger.requests["r2"]
        assert limits.seq == seq
        assert limits.same("limits", "", '[["mm_de","qty_max_lots",5]]')
        assert not limits.same("limits", "", '[["mm_de","qty_max_lots",6]]')
        assert pause.same("pause", "mm_de", "")
        assert not pause.same("pause", "reversion_de", "") and not pause.same("resume", "mm_de", "")


def test_a_snapshot_that_kept_only_a_requests_number_is_taken_up(told: Told):
    told.tell(command("kill", request="r1"))
    state = told.ledger.snapshot()
    state["requests"] = [[name, seq] for name, seq, *_ in state["requests"]]
    told.ledger.restore(state)
    assert told.ledger.requests == {"r1": Request(1)}
    assert told.ledger.requests["r1"].same("kill", "", "") and told.ledger.requests["r1"].same("pause", "mm_de", "")


def test_a_restart_knows_all_of_it(told: Told):
    told.tell(command("kill", request="r1"))
    told.tell(Limit(LimitKind.KILL, value=1), root=False)
    told.tell(quarantined("10 faults"))
    told.tell(ConnectionState(4, int(ConnectionStatus.UP)), producer=4)
    told.tell(RunEnd(reason="stopped by alice: lunch"))
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(told.ledger.snapshot()))
    again = Told()
    again.ledger.restore(kept)
    for name in ("limits", "quarantines", "links", "requests", "stopped"):
        assert getattr(again.ledger, name) == getattr(told.ledger, name) != {}
    assert again.ledger.snapshot() == told.ledger.snapshot()
    assert again.ledger.stopped is not None and again.ledger.stopped.why == "stopped by alice: lunch"


def test_a_run_of_before_it_was_kept_begins_empty(told: Told):
    told.ledger.restore(None)
    assert (told.ledger.limits, told.ledger.stopped) == ({}, None)


def test_what_came_of_an_apply_is_known_after_a_restart(told: Told) -> None:
    told.tell(OperatorCommand(command="apply", who="me", why="to see", request="r1"))
    assert told.ledger.requests["r1"].change_seq == 0
    again = Told()
    again.moment = told.moment
    again.ledger = Ledger(told.moment, str)
    again.ledger.restore(told.ledger.snapshot())
    seq = again.tell(DeploymentChange(digest="d", who="me", why="to see"))
    assert (again.ledger.requests["r1"].change_seq, again.ledger.requests["r1"].deployment) == (seq, "d")
    again.tell(DeploymentChange(digest="d", who="me", why="failed", rolled_back=True))
    assert again.ledger.requests["r1"].deployment == ""
