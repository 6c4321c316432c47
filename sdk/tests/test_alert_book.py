"""The alert book: each code and subject is open at most once, nothing is miscounted, and a restart changes nothing."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.context import Moment
from penstock_sdk.core.alert_book import CHANGES_MAX, REPEAT_NS, AlertBook
from penstock_sdk.events import Alert, OperatorCommand, RunHeader, Severity
from penstock_sdk.testing.sim import SimKernel

MOMENTARY, LASTING = "acme.jump", "disk.low"


class Desk:
    """A book that is driven as the core drives it: every event has the next number."""

    def __init__(self, open_max: int = 10_000) -> None:
        self.moment = Moment()
        self.book = AlertBook(self.moment, open_max)
        self.open_max = open_max
        self.moment.seq = self.moment.now_ns = 0

    def hear(self, event: Alert | OperatorCommand, after_ns: int = 1_000_000_000) -> Alert | None:
        self.moment.seq += 1
        self.moment.now_ns += after_ns
        book = self.book
        said = book.on_alert(event) if isinstance(event, Alert) else book.on_operator_command(event)
        book.check()
        return said

    def restart(self) -> None:
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(self.book.snapshot()))
        again = AlertBook(self.moment, self.open_max)
        again.restore(state)
        again.check()
        assert again.snapshot() == self.book.snapshot()
        self.book = again

    def kinds(self) -> list[str]:
        return [change.kind for change in self.book.changes]


def alert(
    code: str = LASTING, severity: Severity = Severity.WARNING, subject: str = "s", cleared: bool = False
) -> Alert:
    return Alert(code=code, severity=severity, subject=subject, met="met", wanted="w", way_out="o", cleared=cleared)


def ack(words: str, target: str = "") -> OperatorCommand:
    return OperatorCommand(command="ack", who="ann", why="known", argument=words, target=target)


def test_the_same_alert_twice_is_one_that_counts_two():
    desk = Desk()
    desk.hear(alert())
    desk.hear(alert())
    (held,) = desk.book.open
    assert (held.id, held.count, held.first_seq, held.last_seq) == (1, 2, 1, 2)
    assert desk.kinds() == ["opened"]


def test_another_subject_is_another_alert():
    desk = Desk()
    desk.hear(alert(subject="a"))
    desk.hear(alert(subject="b"))
    assert [(held.id, held.subject) for held in desk.book.open] == [(1, "a"), (2, "b")]


def test_a_lasting_alert_that_is_acknowledged_stays_so_until_it_is_cleared():
    desk = Desk()
    desk.hear(alert())
    desk.hear(ack(LASTING))
    desk.hear(alert())
    (held,) = desk.book.open
    assert (held.count, held.acked_by, held.acked_reason, held.acked_seq) == (2, "ann", "known", 2)
    desk.hear(alert(cleared=True))
    assert desk.book.open == []
    desk.hear(alert())
    assert desk.book.open[0].acked_seq == 0
    assert desk.book.open[0].id == 2
    assert desk.kinds() == ["opened", "acked", "cleared", "opened"]


def test_a_higher_severity_undoes_an_acknowledgement_and_a_lower_one_does_not():
    desk = Desk()
    desk.hear(alert())
    desk.hear(ack("all"))
    desk.hear(alert(severity=Severity.INFO))
    assert desk.book.open[0].acked_seq == 2
    assert desk.book.open[0].severity == Severity.WARNING
    desk.hear(alert(severity=Severity.ERROR))
    assert desk.book.open[0].acked_seq == 0
    assert desk.kinds() == ["opened", "acked", "escalated"]


def test_a_momentary_alert_is_closed_by_its_acknowledgement():
    desk = Desk()
    desk.hear(alert(MOMENTARY))
    desk.hear(ack(f"{MOMENTARY}:s"))
    assert desk.book.open == []
    desk.hear(alert(MOMENTARY))
    assert desk.book.open[0].id == 2


def test_repeats_are_told_at_powers_of_ten_and_after_an_hour():
    desk = Desk()
    for _ in range(100):
        desk.hear(alert(), after_ns=1)
    assert [change.count for change in desk.book.changes] == [1, 10, 100]
    desk.hear(alert(), after_ns=REPEAT_NS - 2)
    assert len(desk.book.changes) == 3
    desk.hear(alert(), after_ns=2)
    assert (desk.book.changes[-1].kind, desk.book.changes[-1].count) == ("repeated", 102)
    desk.hear(ack("all"))
    desk.hear(alert(), after_ns=2 * REPEAT_NS)
    assert desk.kinds()[-1] == "acked"


@pytest.mark.parametrize("words", ["2", f"{LASTING}:b", "all", LASTING])
def test_an_alert_is_found_by_id_by_code_by_code_and_subject_and_among_all(words: str):
    desk = Desk()
    desk.hear(alert(MOMENTARY, subject="a"))
    desk.hear(alert(LASTING, subject="b"))
    assert 2 in [held.id for held in desk.book.find(words)]
    assert (1 in [held.id for held in desk.book.find(words)]) == (words == "all")


def test_a_subject_may_hold_a_colon_and_the_target_may_name_the_alert():
    desk = Desk()
    desk.hear(alert(MOMENTARY, subject="a:b"))
    desk.hear(ack("", target=f"{MOMENTARY}:a:b"))
    assert desk.book.open == []


def test_an_acknowledgement_of_nothing_says_what_is_open():
    desk = Desk()
    desk.hear(alert())
    said = desk.hear(ack("disk.lwo"))
    assert said is not None
    assert (said.code, said.way_out) == ("command.unknown", "open are disk.low:s")
    assert desk.hear(ack("all")) is None


def test_a_released_plugin_is_quarantined_no_more():
    desk = Desk()
    desk.hear(alert("plugin.quarantined", subject="mm"))
    desk.hear(OperatorCommand(command="release", who="ann", why="mended", target="other"))
    assert len(desk.book.open) == 1
    desk.hear(OperatorCommand(command="release", who="ann", why="mended", target="mm"))
    assert desk.book.open == []
    assert (desk.book.changes[-1].kind, desk.book.changes[-1].by) == ("cleared", "ann")


def test_a_full_book_lets_the_acknowledged_go_first_then_the_least_severe_then_the_oldest():
    desk = Desk(open_max=3)
    desk.hear(alert(subject="error", severity=Severity.ERROR))
    desk.hear(alert(subject="acked", severity=Severity.CRITICAL))
    desk.hear(alert(subject="info", severity=Severity.INFO))
    desk.hear(ack(f"{LASTING}:acked"))
    said = desk.hear(alert(subject="new"))
    assert said is not None
    assert (said.code, said.met) == ("alerts.full", "1 alerts dropped")
    assert [held.subject for held in desk.book.open] == ["error", "info", "new"]
    assert desk.hear(alert(subject="newer")) is None
    assert [held.subject for held in desk.book.open] == ["error", "new", "newer"]
    desk.hear(alert(subject="nothing", severity=Severity.INFO))
    assert [held.subject for held in desk.book.open] == ["error", "new", "newer"]
    desk.hear(alert(subject="newest"))
    assert [held.subject for held in desk.book.open] == ["error", "newer", "newest"]
    assert desk.book.dropped == 4
    assert desk.kinds().count("dropped") == 3


def test_changes_that_nobody_takes_are_bounded_and_counted():
    desk = Desk()
    for number in range(CHANGES_MAX // 2 + 5):
        desk.book.on_alert(alert(subject=str(number % 2)))
        desk.book.on_alert(alert(subject=str(number % 2), cleared=True))
    assert len(desk.book.changes) == CHANGES_MAX
    assert desk.book.untold == 10


steps = st.lists(
    st.one_of(
        st.builds(
            alert, st.sampled_from([MOMENTARY, LASTING]), st.sampled_from(list(Severity)[1:]), st.sampled_from("ab"),
            st.booleans(),
        ),
        st.builds(ack, st.sampled_from(["all", MOMENTARY, f"{LASTING}:a", "1", "2", "none"])),
        st.just(None),
    ),
    max_size=40,
)  # fmt: skip


@given(steps)
def test_each_key_is_open_at_most_once_and_counted_right_since_it_was_opened(
    events: list[Alert | OperatorCommand | None],
):
    desk = Desk()
    counts: Counter[tuple[str, str]] = Counter()
    highest: dict[tuple[str, str], Severity] = {}
    for event in events:
        if event is None:
            desk.restart()
            continue
        closed = {held.key for held in desk.book.find(event.argument)} if isinstance(event, OperatorCommand) else set()
        desk.hear(event)
        for key in [key for key in closed if key[0] == MOMENTARY]:
            del counts[key], highest[key]
        if isinstance(event, Alert):
            key = (event.code, event.subject)
            if event.cleared:
                counts.pop(key, None)
                highest.pop(key, None)
            else:
                counts[key] += 1
                highest[key] = max(highest.get(key, Severity.UNKNOWN), event.severity)
        assert {held.key: held.count for held in desk.book.open} == dict(counts)
        assert {held.key: held.severity for held in desk.book.open} == highest


@given(steps, st.integers(0, 40))
def test_a_restart_at_any_point_gives_the_same_book_and_the_same_changes(
    events: list[Alert | OperatorCommand | None], cut: int
):
    straight, cut_once = Desk(open_max=2), Desk(open_max=2)
    for at, event in enumerate(event for event in events if event is not None):
        straight.hear(event)
        if at == cut:
            cut_once.restart()
        cut_once.hear(event)
    assert cut_once.book.snapshot() == straight.book.snapshot()
    positions = [change.position for change in straight.book.changes]
    assert positions == sorted(set(positions))


@given(steps)
def test_what_is_told_is_enough_to_know_what_is_open(events: list[Alert | OperatorCommand | None]):
    desk = Desk(open_max=2)
    for event in events:
        if event is not None:
            desk.hear(event)
    known: dict[int, Severity] = {}
    for change in desk.book.changes:
        lasting = change.code == LASTING
        if change.kind in ("cleared", "dropped") or (change.kind == "acked" and not lasting):
            assert known.pop(change.id) == change.severity
        elif change.kind == "opened":
            assert change.id not in known
            known[change.id] = change.severity
        else:
            assert change.id in known
            known[change.id] = change.severity
    assert known == {held.id: held.severity for held in desk.book.open}


def test_the_core_keeps_the_book_over_a_snapshot_and_a_session():
    kernel = SimKernel()
    kernel.start()
    kernel.feed(RunHeader(epoch=3, seed=0, clock_kind="sim", started_ns=0, deployment="", versions={}), at_ns=1)
    kernel.feed(alert(), at_ns=2)
    again, next_session = SimKernel(), SimKernel()
    again.restore(kernel.snapshot())
    next_session.carry(kernel.snapshot())
    for book in (again.alerts, next_session.alerts):
        assert book.open == kernel.alerts.open
        assert [(change.epoch, change.seq) for change in book.changes] == [(3, kernel.cascade.seq)]


def test_a_state_of_a_version_without_alerts_is_an_empty_book():
    kernel = SimKernel()
    kernel.start()
    state = kernel.snapshot()
    del state["alerts"]
    again = SimKernel()
    again.restore(state)
    assert again.alerts.open == []
    again.alerts.check()
