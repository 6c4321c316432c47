"""Running seeds: one after the other, each in a folder of its own; and making a failing plan small."""

from __future__ import annotations

import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from penstock_kernel.boot import run_times
from penstock_kernel.chaos.compare import first_difference
from penstock_kernel.chaos.instance import instance_in
from penstock_kernel.chaos.plan import Plan
from penstock_kernel.chaos.world import Killed, Violated, Violation, World
from penstock_kernel.deployment import load_deployment
from penstock_kernel.inspect.event_words import fields_of, record_name
from penstock_kernel.instance import Instance
from penstock_kernel.journal import JournalError
from penstock_kernel.replay import replay
from penstock_kernel.run import RunOptions
from penstock_sdk.events import OperatorCommand, RunEnd
from penstock_sdk.schema import schema_by_id
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES, Header
from penstock_sdk.wire.segment import read_frames, scan

__all__ = ["Outcome", "minimise", "run_seed"]

INSTANCE = "chaos"
LIVES_MAX = 1_000
"""Starts of one seed; more, and it does not come back."""
_REST_NS = 120_000_000_000
_KILLS = ("kill", "torn_write")


class Outcome(msgspec.Struct, kw_only=True):
    """What came of a seed. ``promise`` is the first that did not hold, empty when all did."""

    seed: int
    digest: str = ""
    events: int = 0
    lives: int = 0
    sessions: int = 0
    orders: int = 0
    fills: int = 0
    happened: dict[int, int] = {}
    """How often each fault happened, by its place in the plan."""
    given: list[int] = []
    """The commands that were given, by their place in the plan, in the order of their times."""
    promise: str = ""
    seq: int = 0
    at_ns: int = 0
    text: str = ""
    context: list[str] = []
    left_out: list[str] = []

    @property
    def failure(self) -> tuple[str, int, str]:
        """What makes it the same failure again: promise, event, digest of the journal up to it."""
        return self.promise, self.seq, self.digest


def run_seed(plan: Plan, seed: int, folder: Path | None = None, leave_out: frozenset[str] = frozenset()) -> Outcome:
    """Run the plan once.

    Args:
        folder: where the instance's folder is left; None leaves nothing.
        leave_out: occurrences of faults that do not happen, as `Plan.parts` names them, and ``c0`` for commands.
    """
    with _folder(folder) as runs:
        return _Seed(plan, seed, runs, leave_out).run()


@contextmanager
def _folder(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="penstock-chaos-") as name:
        yield Path(name)


class _Seed:
    """One seed under way."""

    def __init__(self, plan: Plan, seed: int, runs: Path, leave_out: frozenset[str]) -> None:
        self.plan, self.seed, self.runs, self.leave_out = plan, seed, runs, leave_out
        deployment = load_deployment(plan.path)
        self.start_ns = run_times(deployment.with_run(clock="sim"), 0)[1]
        self.world = World(plan, seed, runs / INSTANCE, self.start_ns, leave_out)
        self.cls = instance_in(self.world)
        self.outcome = Outcome(seed=seed, left_out=sorted(leave_out))
        if {fault.kind for fault in plan.fault} <= {*_KILLS}:
            self.world.compare_with_uncut = self._compare_with_uncut
        if "raise" not in {fault.kind for fault in plan.fault}:
            self.world.replay_fault = self._replay_fault

    def run(self) -> Outcome:
        """Run it to its end, or to the first promise that does not hold."""
        world, outcome = self.world, self.outcome
        try:
            while outcome.sessions < self.plan.sessions:
                if world.lives > LIVES_MAX:
                    raise Violated(Violation("comes-back", 0, 0, f"{LIVES_MAX} starts came to nothing"))
                self._life()
            if world.markets:
                self._come_to_rest()
            world.over()
        except Violated as broken:
            self._broken(broken.violation)
        outcome.lives, outcome.happened = world.lives, dict(sorted(world.happened.items()))
        outcome.events = world.account.last_seq
        outcome.given = self._commands()[: world.account.commands]
        self._digest()
        return outcome

    def _digest(self) -> None:
        if any((self.runs / INSTANCE / "journal").glob("*.pj")):
            self.outcome.digest = scan(self.runs / INSTANCE / "journal").digest or ""

    def _broken(self, violation: Violation) -> None:
        outcome = self.outcome
        outcome.promise, outcome.seq, outcome.at_ns = violation.name, violation.seq, violation.at_ns
        outcome.text = violation.text
        outcome.context = [_words(raw) for raw in self.world.recent]

    def _life(self) -> None:
        """Start the instance and run it until it ends, however that is."""
        world, outcome = self.world, self.outcome
        outcome.sessions = self._ended()
        if outcome.sessions >= self.plan.sessions and not world.calm:
            return
        world.before_start()
        run: Instance | None = None
        try:
            run = self.cls.open(INSTANCE, Path(self.plan.path), self._options())
            world.started(run.kernel)
            run.end_ns = self.start_ns + world.length_ns * (outcome.sessions + 1) // self.plan.sessions
            if world.calm:
                run.end_ns = run.kernel.moment.now_ns + _REST_NS
                run.kernel.command(OperatorCommand(command="kill", who="chaos", why="come to rest"))
            else:
                self._schedule(run)
            run.go()
            world.session_over(run.kernel)
            journal = run.kernel.journal
            self._keep_figures(run)
            run.close()
            world.end_life(journal)
        except Killed:
            self._gone(run)
        except Violated:
            self._gone(run)
            raise
        except (JournalError, OSError) as error:
            if world.full_for < 0:
                self._crashed(run, error)
            self._gone(run)
        except Exception as error:
            self._crashed(run, error)

    def _come_to_rest(self) -> None:
        """Have one session more, in which nothing breaks and the kill switch is on: then both sides must agree."""
        self.world.calm = True
        self._life()

    def _ended(self) -> int:
        """Return how many sessions have ended in order, as the files say: a process may end after its last word."""
        folder = self.runs / INSTANCE / "journal"
        if not any(folder.glob("*.pj")):
            return 0
        return sum(frame.schema_id == RunEnd.layout.id for frame in read_frames(folder))

    def _gone(self, run: Instance | None) -> None:
        journal = self.world.journal
        if run is not None:
            self._keep_figures(run)
            run.abort()
        self.world.end_life(journal)

    def _crashed(self, run: Instance | None, error: Exception) -> None:
        """A Python error that no fault of the plan accounts for is a promise that does not hold."""
        last = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno}, {last.name})"
        account = self.world.account
        self._gone(run)
        raise Violated(Violation("no-crash", account.last_seq, account.last_ns, text)) from error

    def _keep_figures(self, run: Instance) -> None:
        self.outcome.orders, self.outcome.fills = run.kernel.desk.orders, run.kernel.desk.fills

    def _options(self) -> RunOptions:
        return RunOptions(seed=self.seed, runs_dir=str(self.runs), lake=False)

    def _commands(self) -> list[int]:
        """Return the commands to be given, by their place in the plan, in the order of their times."""
        places = [at for at in range(len(self.plan.command)) if f"c{at}" not in self.leave_out]
        return sorted(places, key=lambda at: self.plan.command[at].at_s)

    def _schedule(self, run: Instance) -> None:
        """Give the plan's commands that the journal has not taken yet."""
        for at in self._commands()[self.world.account.commands :]:
            command = self.plan.command[at]
            self.world.command_at(
                run.kernel,
                self.start_ns + round(command.at_s * 1e9),
                OperatorCommand(
                    command=command.command, who="chaos", why="the plan", target=command.target,
                    argument=command.argument,
                ),
            )  # fmt: skip

    # -- what is asked when all is over ----------------------------------------------------------------------------

    def _compare_with_uncut(self) -> str:
        """Compare with the same plan without its faults, where the market is inside."""
        if self.world.outside or not self.plan.fault or self.leave_out >= set(self.plan.parts()):
            return ""
        calm = self.runs / "uncut"
        plan = msgspec.structs.replace(self.plan, fault=())
        outcome = _Seed(plan, self.seed, calm, self.leave_out).run()
        if outcome.promise:
            return f"without faults, {outcome.promise} does not hold: {outcome.text}"
        return first_difference(self.runs / INSTANCE / "journal", calm / INSTANCE / "journal")

    def _replay_fault(self) -> str:
        try:
            replay(self.runs / INSTANCE)
        except Exception as error:  # whatever it meets, it does not play back
            return f"{type(error).__name__}: {error}"
        return ""


def minimise(plan: Plan, seed: int, failed: Outcome, say: Callable[[str], object] = lambda text: None) -> Outcome:
    """Return the same failure with as few faults and commands as it takes, left out one by one.

    The same failure is the same promise: its event moves with what is left out.
    """
    out: set[str] = set(failed.left_out)
    smallest = failed
    parts = [part for part in plan.parts() if part not in out] + [f"c{at}" for at in range(len(plan.command))]
    size = max(len(parts) // 2, 1)
    while parts:
        kept: list[str] = []
        for at in range(0, len(parts), size):
            group = parts[at : at + size]
            outcome = run_seed(plan, seed, leave_out=frozenset(out | set(group)))
            if outcome.promise == failed.promise:
                out |= set(group)
                smallest = outcome
                say(f"without {', '.join(group)} it still fails")
            else:
                kept += group
        if size == 1 and len(kept) == len(parts):
            break
        parts, size = kept, max(size // 2, 1)
    return smallest


def _words(raw: bytes) -> str:
    """Return a frame's first record on one line."""
    header = Header(*HEADER.unpack_from(raw))
    layout = schema_by_id(header.schema_id)
    size = header.stride if layout.packed and header.count > 1 else header.body_bytes
    record = layout.unpack(raw[HEADER_BYTES : HEADER_BYTES + size])
    shown = ", ".join(f"{key}={value}" for key, value in fields_of(record).items() if value not in (None, "", 0))
    more = f" and {header.count - 1} more" if header.count > 1 else ""
    return f"seq {header.seq} {record_name(record)} {shown}{more}"
