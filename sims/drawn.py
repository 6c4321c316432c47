"""Examples that Hypothesis draws, all in one simulation: a failing one is made small without starting another.

    await each_example(dut, run, st.lists(STEPS), cycles=3_000)

Hypothesis calls the test in a thread; for each example the simulation goes on until *run* has returned. What goes wrong
in a task of its own, as in a sink that meets an X, must reach the example too: mix `Watched` into such a class.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import cocotb
from cocotb.task import bridge, resume
from cocotb.triggers import Event, FallingEdge, SimTimeoutError, with_timeout
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from sims.axis import Pause
from sims.simulators import bench_seed, run_bench

__all__ = ["PAUSES", "Watched", "each_example", "pause_of", "simulate"]

_EXAMPLES = "BENCH_EXAMPLES"  # the environment's name of their number

PAUSES: st.SearchStrategy[list[bool]] = st.just([]) | st.lists(st.booleans(), max_size=3)
"""How a stream is held up, for `pause_of`."""

T = TypeVar("T")


def pause_of(pattern: list[bool]) -> Pause | None:
    """Return a pause that follows *pattern* again and again, with one cycle between that is none."""
    steps = cycle([*pattern, False])
    return (lambda: next(steps)) if pattern else None


class _Example:
    """The example that runs now: what went wrong, and whether it has ended."""

    def __init__(self) -> None:
        self.faults: list[Exception] = []
        self.ended = Event()

    def fail(self, fault: Exception) -> None:
        self.faults.append(fault)
        self.ended.set()


_now: list[_Example] = []


if TYPE_CHECKING:

    class _Runs:
        async def _run(self) -> None: ...
else:
    _Runs = object


class Watched(_Runs):
    """Mixed into a class whose task is ``_run``: what that raises fails the example, and the task begins again."""

    async def _run(self) -> None:
        while True:
            try:
                await super()._run()
            except Exception as fault:
                if not _now:
                    raise
                _now[-1].fail(fault)


async def each_example(
    dut: Any, run: Callable[[T], Awaitable[None]], examples: st.SearchStrategy[T], cycles: int
) -> None:
    """Draw as many examples as `simulate` says from the bench's seed, and run each.

    *run* begins by resetting the module, for the example before may have been given up anywhere. An example that fails
    once must fail again: pauses are set after the reset, so that they begin at the same edge.

    Args:
        dut: the module; its clock runs.
        run: checks one example.
        examples: what they are drawn from.
        cycles: what an example may take at most.

    Raises:
        AssertionError: or whatever *run* or a `Watched` task raised; a note has the smallest example that was found.
    """

    async def guarded(example: T, now: _Example) -> None:
        try:
            await run(example)
        except Exception as fault:
            now.fail(fault)
        now.ended.set()

    async def bounded(example: T) -> None:
        await FallingEdge(dut.clk)  # the last one may have ended where nothing can be written
        now = _Example()
        _now[:] = [now]
        task = cocotb.start_soon(guarded(example, now))
        try:
            await with_timeout(now.ended.wait(), 10 * cycles, "ns")
        except SimTimeoutError:
            now.faults.append(AssertionError(f"not done after {cycles} cycles"))
        task.cancel()
        if now.faults:
            raise now.faults[0]

    @seed(bench_seed(7))
    @settings(
        max_examples=int(os.environ.get(_EXAMPLES, "30")), deadline=None, database=None, report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip
    @given(examples)
    def check(example: T) -> None:
        resume(bounded)(example)

    await bridge(check)()


def simulate(top: str, bench: str, folder: Path, simulator: str, parameters: Mapping[str, int], examples: int) -> None:
    """Run a bench of *top* with so many examples, or with as many as ``BENCH_EXAMPLES`` says.

    The bench is told the parameters as well: each as ``BENCH_`` and its name.
    """
    env = {f"BENCH_{name}": str(value) for name, value in parameters.items()}
    env[_EXAMPLES] = os.environ.get(_EXAMPLES) or str(examples)
    run_bench(top, bench, folder, simulator=simulator, parameters=dict(parameters), env=env)
