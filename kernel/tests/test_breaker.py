"""A circuit breaker opens on failures, stays open for its time, and closes on good answers alone."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from penstock_kernel.hosts.breaker import Breaker, Breakers, BreakerSettings, Circuit

SETTINGS = BreakerSettings(window_ns=100, answers_max=8, answers_min=4, open_ns=10, open_ns_max=40, trials=2)


def test_it_opens_when_half_of_the_answers_failed_and_not_before_there_are_enough() -> None:
    breaker = Breaker(SETTINGS)
    for at_ns in range(3):
        breaker.failed(at_ns, "late")
    assert breaker.circuit == Circuit.CLOSED
    breaker.succeeded(3)
    assert breaker.circuit == Circuit.CLOSED  # a good answer never opens it
    breaker.failed(4, "late")
    assert breaker.circuit == Circuit.OPEN
    assert breaker.why.startswith("4 of 5 answers within 1e-07 s failed, the last: late")


def test_failures_that_are_long_past_do_not_count() -> None:
    breaker = Breaker(SETTINGS)
    for at_ns in (0, 50, 100, 150, 200, 250):
        breaker.failed(at_ns, "late")
    assert breaker.circuit == Circuit.CLOSED


def test_a_failed_trial_doubles_the_time_and_good_ones_close_it() -> None:
    breaker = Breaker(SETTINGS)
    for _ in range(4):
        breaker.failed(0, "late")
    waits = []
    now_ns = 0
    for _ in range(4):
        begun_ns = now_ns
        while not breaker.allows(now_ns):
            now_ns += 1
        waits.append(now_ns - begun_ns)
        breaker.failed(now_ns, "late again")
    assert waits == [10, 20, 40, 40]
    assert breaker.allows(now_ns + 40)
    breaker.succeeded(now_ns)
    assert breaker.circuit == Circuit.HALF_OPEN
    breaker.succeeded(now_ns)
    assert (breaker.circuit, breaker.why) == (Circuit.CLOSED, "")


def test_of_a_plugin_each_ability_has_its_own() -> None:
    breakers = Breakers(SETTINGS)
    for _ in range(4):
        breakers["check"].failed(0, "no answer")
        breakers["events"].succeeded(0)
    assert breakers.open_now(0).startswith("check: 4 of 4")
    assert breakers.open_now(10) == ""
    breakers.reset()
    assert breakers["check"].circuit == Circuit.CLOSED


class Machine(RuleBasedStateMachine):
    """A model that keeps every answer and recounts."""

    @initialize()
    def start(self) -> None:
        self.breaker = Breaker(SETTINGS)
        self.now_ns = 0
        self.answers: list[tuple[int, bool]] = []
        self.open_until_ns, self.open_ns, self.good = 0, 10, 0
        self.circuit = Circuit.CLOSED

    @rule(ns=st.sampled_from([0, 1, 5, 10, 30, 99, 100]))
    def time_passes(self, ns: int) -> None:
        self.now_ns += ns

    @rule()
    def ask(self) -> None:
        if self.circuit == Circuit.OPEN and self.now_ns >= self.open_until_ns:
            self.circuit, self.good = Circuit.HALF_OPEN, 0
        assert self.breaker.allows(self.now_ns) == (self.circuit != Circuit.OPEN)

    @rule(good=st.booleans())
    def answer(self, good: bool) -> None:
        if good:
            self.breaker.succeeded(self.now_ns)
        else:
            self.breaker.failed(self.now_ns, "no")
        if self.circuit == Circuit.HALF_OPEN:
            self.good += good
            if not good:
                self.open_ns = min(2 * self.open_ns, 40)
                self.open()
            elif self.good == 2:
                self.circuit, self.open_ns = Circuit.CLOSED, 10
        elif self.circuit == Circuit.CLOSED:
            self.answers.append((self.now_ns, good))
            recent = [good for at_ns, good in self.answers[-8:] if at_ns > self.now_ns - 100]
            if not good and len(recent) >= 4 and recent.count(False) * 2 >= len(recent):
                self.open()

    def open(self) -> None:
        self.circuit, self.open_until_ns = Circuit.OPEN, self.now_ns + self.open_ns
        self.answers = []

    @rule()
    def fail_often(self) -> None:
        for _ in range(4):
            self.answer(False)

    @invariant()
    def agrees(self) -> None:
        assert self.breaker.circuit == self.circuit
        self.breaker.check()


Machine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestBreaker = Machine.TestCase
