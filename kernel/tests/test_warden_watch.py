"""The watchdog's two pure parts: what moves is never held, what stands still is, and restarts end when they must."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_kernel.vitals import Phase
from penstock_kernel.warden.restarts import EX_SOFTWARE, Restarts, is_crash
from penstock_kernel.warden.settings import WatchdogTable
from penstock_kernel.warden.watch import LOOK_NS_MAX, Look, Verdict, Watch

MS = 1_000_000
LIMITS = WatchdogTable(handler_limit_ms=100, hang_limit_ms=2_000, start_limit_ms=30_000)


def look(at_ms: float, *, input_seq: int = 7, turn: int = 1, phase: Phase = Phase.READY, can_run: bool = True) -> Look:
    return Look(round(at_ms * MS), phase, input_seq, turn, 0, can_run)


def verdicts(watch: Watch, *looks: Look) -> list[Verdict]:
    return [watch.look(one) for one in looks]


def test_a_handler_is_named_at_the_first_limit_once_and_hangs_at_the_second() -> None:
    watch = Watch(LIMITS, 0)
    looks = [look(10 * at) for at in range(1, 400)]
    said = verdicts(watch, *looks)
    # The first look is where it is first seen: the standstill counts from there.
    assert said[9:11] == [Verdict.FINE, Verdict.HELD]
    assert said.count(Verdict.HELD) == 1
    assert said.index(Verdict.HUNG) == 200
    assert set(said[200:]) == {Verdict.HUNG}


def test_an_excuse_counts_the_second_limit_anew() -> None:
    watch = Watch(LIMITS, 0)
    for at in range(1, 202):
        said = watch.look(look(10 * at))
    assert said == Verdict.HUNG
    watch.excuse()
    assert set(verdicts(watch, *(look(10 * at) for at in range(202, 401)))) == {Verdict.FINE}
    assert watch.look(look(4_010)) == Verdict.HUNG


def test_a_standstill_between_inputs_is_one_too() -> None:
    watch = Watch(LIMITS, 0)
    said = verdicts(watch, *(look(10 * at, input_seq=0) for at in range(1, 203)))
    assert Verdict.HELD in said
    assert said[-1] == Verdict.HUNG


@given(st.lists(st.tuples(st.floats(0.1, 5_000), st.booleans()), min_size=1, max_size=200))
def test_time_in_which_the_watchdog_did_not_look_or_the_kernel_could_not_run_is_nobodys(
    gaps: list[tuple[float, bool]],
) -> None:
    watch = Watch(LIMITS, 0)
    at_ms, most_ns, last = 0.0, 0, Verdict.FINE
    watch.look(look(0))
    for gap_ms, can_run in gaps:
        at_ms += gap_ms
        last = watch.look(look(at_ms, can_run=can_run))
        most_ns += min(round(gap_ms * MS) + 1, LOOK_NS_MAX) if can_run else 0
        assert watch.held_ns <= most_ns
        assert last != Verdict.HUNG or watch.held_ns >= LIMITS.hang_limit_ms * MS
        assert can_run or last == Verdict.FINE


@given(st.lists(st.integers(1, 90), min_size=1, max_size=300))
def test_a_kernel_that_moves_within_the_first_limit_is_fine(gaps_ms: list[int]) -> None:
    watch = Watch(LIMITS, 0)
    at_ms = 0
    for number, gap_ms in enumerate(gaps_ms):
        at_ms += gap_ms
        assert watch.look(look(at_ms, input_seq=number)) == Verdict.FINE
    assert watch.moves == len(gaps_ms)


@pytest.mark.parametrize("phase", [Phase.NONE, Phase.RECOVERING, Phase.STARTING, Phase.DRAINING])
def test_a_start_and_a_drain_have_a_longer_limit(phase: Phase) -> None:
    watch = Watch(LIMITS, 0)
    said = verdicts(watch, *(look(100 * at, phase=phase) for at in range(1, 302)))
    assert said.index(Verdict.HELD) == 150
    assert said.index(Verdict.HUNG) == 300


def test_a_drain_has_thirty_seconds_however_long_a_start_may_take() -> None:
    slow = WatchdogTable(start_limit_ms=600_000)
    for phase, second_s in ((Phase.STARTING, 600), (Phase.DRAINING, 30), (Phase.ENDED, 600)):
        assert Watch(slow, 0).limits_ns(phase)[1] == second_s * 1_000 * MS
    assert WatchdogTable().start_limit_ms == 120_000


def test_progress_of_a_recovery_moves() -> None:
    watch = Watch(LIMITS, 0)
    for at in range(1, 900):
        one = look(100 * at, phase=Phase.RECOVERING)._replace(done=at // 200)
        assert watch.look(one) in (Verdict.FINE, Verdict.HELD)


def test_what_waits_for_a_disk_is_blocked_not_held() -> None:
    watch = Watch(LIMITS, 0)
    said = verdicts(watch, *(look(10 * at, can_run=False) for at in range(1, 400)))
    assert set(said) == {Verdict.FINE}
    assert watch.blocked_ns == 398 * 10 * MS
    watch.look(look(4_000, turn=2))
    assert watch.blocked_ns == 0


@pytest.mark.parametrize(("status", "crash"), [(0, False), (1, False), (2, False), (EX_SOFTWARE, True), (-9, True)])
def test_only_python_errors_and_signals_are_crashes(status: int, crash: bool) -> None:
    assert is_crash(status) == crash


def test_the_wait_doubles_and_five_within_a_minute_are_too_many() -> None:
    restarts = Restarts()
    plans = [restarts.after_crash(at_s * 10**9, 10**9) for at_s in (0, 15, 30, 45)]
    assert [plan.wait_ns / 1e9 for plan in plans] == [0.25, 0.5, 1.0, 2.0]
    assert all(plan.restart for plan in plans)
    assert restarts.count == 4
    last = restarts.after_crash(60 * 10**9, 10**9)
    assert (last.restart, last.why) == (False, "5 crashes within 60 s")


def test_crashes_further_apart_go_on_for_ever_and_wait_thirty_seconds_at_most() -> None:
    restarts = Restarts()
    waits = [restarts.after_crash(20 * 10**9 * at, 10**9).wait_ns for at in range(12)]
    assert max(waits) == waits[-1] == 30 * 10**9


def test_a_kernel_that_lived_a_minute_begins_the_waits_anew() -> None:
    restarts = Restarts()
    for at in range(3):
        restarts.after_crash(at, 10**9)
    assert restarts.after_crash(70 * 10**9, 65 * 10**9).wait_ns == 250_000_000


def test_two_hangs_that_nobody_is_named_for_stay_down_unless_ten_minutes_lie_between() -> None:
    restarts = Restarts()
    assert restarts.after_hang(0, 10**9, named=False) == (True, 0, "")
    assert restarts.after_hang(601 * 10**9, 10**9, named=False).restart
    assert restarts.after_hang(700 * 10**9, 10**9, named=True).restart
    last = restarts.after_hang(1_200 * 10**9, 10**9, named=False)
    assert not last.restart
    assert last.why.startswith("2 hangs within 10 minutes")
