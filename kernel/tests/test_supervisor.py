"""A plugin's process is started again after longer and longer waits, and kept out when it is lost too often."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_kernel.deployment import DeploymentError, load_deployment
from penstock_kernel.hosts.breaker import Breakers, BreakerSettings, Circuit
from penstock_kernel.hosts.marker import HOLD_S, Marker
from penstock_kernel.hosts.proxy import make_proxy
from penstock_kernel.hosts.supervisor import Crashes, Supervisor, settings_of
from penstock_sdk.manifest import RestartPolicy
from penstock_sdk.process.envelope import Lane

POLICY = RestartPolicy()


def waits(policy: RestartPolicy, gap_s: float, count: int, lived_s: float = 0.0) -> list[float | None]:
    crashes, at_s, found = Crashes(policy, 7), 0.0, []
    for _ in range(count):
        found.append(crashes.after(at_s, lived_s))
        at_s += gap_s
    return found


def test_the_wait_doubles_up_to_its_longest_and_a_random_part_of_it_is_taken_off() -> None:
    policy = RestartPolicy(max_crashes=1_000)
    for number, wait_s in enumerate(waits(policy, 0.0, 12)):
        longest_s = min(0.25 * 2**number, 30.0)
        assert wait_s is not None and longest_s / 2 <= wait_s <= longest_s


def test_it_begins_anew_for_one_that_had_lived_for_a_window() -> None:
    policy = RestartPolicy(max_crashes=1_000)
    crashes = Crashes(policy, 7)
    for _ in range(5):
        crashes.after(0.0, 0.0)
    wait_s = crashes.after(60.0, 60.0)
    assert wait_s is not None and wait_s <= 0.25


def test_the_fifth_loss_within_a_minute_is_one_too_many_and_slow_ones_never_are() -> None:
    assert [wait is None for wait in waits(POLICY, 1.0, 5)] == [False] * 4 + [True]
    assert None not in waits(POLICY, 15.1, 50)
    assert waits(POLICY, 14.9, 5)[-1] is None


@pytest.mark.parametrize("max_crashes", [0, 1])
def test_without_a_second_life_the_first_loss_is_the_last(max_crashes: int) -> None:
    assert waits(RestartPolicy(max_crashes=max_crashes), 1.0, 1) == [None]


def test_what_is_released_may_be_lost_as_often_again() -> None:
    crashes = Crashes(POLICY, 7)
    assert [crashes.after(0.0, 0.0) is None for _ in range(5)][-1]
    crashes.forget()
    wait_s = crashes.after(0.0, 0.0)
    assert wait_s is not None and wait_s <= 0.25


@given(
    gaps_s=st.lists(st.floats(0.0, 100.0), min_size=1, max_size=30), max_crashes=st.integers(0, 6),
    window_s=st.floats(0.5, 80.0), seed=st.integers(0, 2**31),
)  # fmt: skip
def test_it_is_kept_out_exactly_when_a_window_holds_too_many(
    gaps_s: list[float], max_crashes: int, window_s: float, seed: int
) -> None:
    policy = RestartPolicy(max_crashes=max_crashes, window_s=window_s)
    crashes, again = Crashes(policy, seed), Crashes(policy, seed)
    at_s, seen = 0.0, []
    for gap_s in gaps_s:
        at_s += gap_s
        seen.append(at_s)
        wait_s = crashes.after(at_s, gap_s)
        recent = sum(each > at_s - window_s for each in seen)
        assert (wait_s is None) == (recent >= max(max_crashes, 1))
        assert wait_s is None or 0.0 <= wait_s <= policy.backoff_s_max
        assert wait_s == again.after(at_s, gap_s)  # the same seed, the same waits


class FakeLink:
    """A link whose calls the test answers."""

    def __init__(self) -> None:
        self.handled = False
        self.calls: list[Any] = []

    def settled(self) -> bool:
        return self.handled

    def begin_call(self, _method: str, _request: Any, _timeout_s: float) -> Any:
        self.calls.append(FakeCall())
        return self.calls[-1]


def fake_link() -> Any:
    return FakeLink()


class FakeCall:
    done = False
    error: Any = None
    reply: Any = None

    def answer(self, state: bytes, error: str = "") -> None:
        self.reply = type("Reply", (), {"state": state, "error": error})
        self.done = True


def test_a_state_is_of_the_number_up_to_which_was_told() -> None:
    marker, link = Marker(), fake_link()
    marker.begin(5, 0.0)
    assert not marker.holds  # nobody asked
    marker.want()
    marker.begin(7, 0.0)
    assert marker.holds
    assert marker.turn(link, 0.01) is None and not link.calls
    link.handled = True
    assert marker.turn(link, 0.02) is None
    marker.begin(9, 0.03)
    link.calls[0].answer(b"state")
    assert marker.turn(link, 0.04) == (b"state", 7)
    assert not marker.holds and not marker.wanted


@pytest.mark.parametrize("why", ["too slow", "spoiled", "refused"])
def test_what_is_to_be_told_does_not_wait_for_a_state_that_does_not_come(why: str) -> None:
    marker, link = Marker(), fake_link()
    link.handled = True
    marker.want()
    marker.begin(7, 0.0)
    assert marker.turn(link, 0.0) is None and marker.holds
    if why == "refused":
        link.calls[0].answer(b"", "no state")
    elif why == "spoiled":
        marker.spoil()
    assert marker.turn(link, HOLD_S) is None
    assert not marker.holds


def test_what_finds_no_credit_opens_the_breaker_of_its_lane() -> None:
    breakers, waiting = Breakers(BreakerSettings(answers_min=5)), [b"frame"]
    host: Any = SimpleNamespace(faults_told=0, last_fault="", holds=False)
    care: Any = SimpleNamespace(host=host, breakers=breakers, acked=0, faults=0, sample_ns=0)
    link: Any = SimpleNamespace(acked=0, outbox={Lane.EVENTS: waiting, Lane.ORDERS: []})
    supervisor = Supervisor.__new__(Supervisor)
    for at_ns in range(0, 400_000_000, 20_000_000):  # ten times a second is often enough
        supervisor._count_handled(care, link, at_ns)
    assert breakers.open_now(400_000_000) == ""
    supervisor._count_handled(care, link, 400_000_000)
    assert "it grants no credit, and 1 frames wait" in breakers.open_now(400_000_001)
    assert breakers.open_now(400_000_001).startswith("events: ")
    assert breakers["orders"].circuit == Circuit.CLOSED


def test_while_its_state_is_taken_nothing_is_held_against_it() -> None:
    breakers = Breakers()
    host: Any = SimpleNamespace(faults_told=0, last_fault="", holds=True)
    care: Any = SimpleNamespace(host=host, breakers=breakers, acked=0, faults=0, sample_ns=0)
    link: Any = SimpleNamespace(acked=0, outbox={Lane.EVENTS: [b"frame"]})
    supervisor = Supervisor.__new__(Supervisor)
    for at_ns in range(0, 3_000_000_000, 100_000_000):
        supervisor._count_handled(care, link, at_ns)
    assert breakers.open_now(3_000_000_000) == ""


def test_what_the_deployment_says_of_a_check_holds_for_it(tmp_path: Path) -> None:
    far = Path(__file__).resolve().parents[2] / "tests" / "support" / "far"
    path = tmp_path / "plugins.toml"
    more = "answer_ms = 700\nbreaker = { answers_min = 2, open_s = 40.0 }\n"
    path.write_text(f'[plugins.risk]\nuse = "far_risk"\npath = "{far}"\nrun = "process"\n{more}')
    spec = load_deployment(path).plugin("risk")
    host: Any = SimpleNamespace(stepped=False, spec=spec)
    assert make_proxy(spec, host).answer_ms == 700
    settings = settings_of(host)
    assert (settings.answers_min, settings.open_ns, settings.open_ns_max) == (2, 40_000_000_000, 40_000_000_000)
    path.write_text(path.read_text().replace('run = "process"\n', ""))
    with pytest.raises(DeploymentError) as raised:
        load_deployment(path)
    assert [p.message.partition(" is for")[0] for p in raised.value.problems if "is for" in p.message] == [
        "answer_ms", "breaker",
    ]  # fmt: skip
