"""An instance: a run with a name that goes on with its own journal, whatever ended it the last time.

``runs/desk-de`` is a run's folder like any other; `sessions` tells how its journal is taken up.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from penstock_kernel.boot import StartError, boot, boot_session, run_times, versions_of
from penstock_kernel.clock import Clock, SimClock, WallClock
from penstock_kernel.deployment import Deployment, DeploymentError, load_deployment
from penstock_kernel.journal import Journal, JournalLocked, run_identity
from penstock_kernel.kernel import Kernel
from penstock_kernel.market_check import check_deployment
from penstock_kernel.run import Run, RunOptions, changed, make_kernel, open_log
from penstock_kernel.runs import RunError, RunInfo
from penstock_kernel.sessions import (
    OtherCode,
    can_carry,
    hear,
    keep_deployment,
    save_begin,
    set_aside_beyond,
    take_up,
)
from penstock_kernel.start_times import StartTimes
from penstock_kernel.vitals import Phase, Vitals
from penstock_sdk.events import Alert, ClockKind, OperatorCommand, RunHeader, SessionReady, Severity
from penstock_sdk.wire.frame import Origin

__all__ = ["FOREVER_NS", "Instance", "Starting"]

FOREVER_NS = 2**62
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Starting(msgspec.Struct, frozen=True, kw_only=True):
    """Why an instance starts, as whoever starts it knows.

    Attributes:
        cause: in words; empty when the journal alone tells.
        quarantine: names of plugins to keep out, as the watchdog found them holding the kernel.
        again: a kernel that ran was lost and its watchdog starts the next: with the deployment that was in force, also
            where an operator had changed it since, and whatever became of the file.
    """

    cause: str = ""
    again: bool = False
    quarantine: tuple[str, ...] = ()


class Instance(Run):
    """A run that goes on with its own journal. `open` begins or continues it; `go` and `close` are a run's."""

    journal: Journal
    _beyond_seq = 0
    """The last event that snapshots know and the journal has lost."""
    _epoch_floor = 0
    """The last epoch that they know: its order ids have been given."""
    times: StartTimes

    @classmethod
    def open(cls, name: str, path: Path | None, options: RunOptions, starting: Starting | None = None) -> Instance:
        """Begin the instance *name*, or go on with it.

        Args:
            name: its folder under the runs; letters, digits, ``-`` and ``_``.
            path: its deployment; None goes on with the one it had.

        Raises:
            RunError: the name cannot be used, or there is neither a journal nor a deployment.
            DeploymentError: the deployment has faults; nothing has been touched.
            JournalLocked: it runs already; names the process.
            JournalCorrupt: its journal is damaged before its tail.
            StartError: a plugin cannot be built or started.
        """
        if not _NAME.fullmatch(name) or name == "latest":
            raise RunError(f"instance met the name {name!r}, wanted letters, digits, - and _, as desk-de")
        starting, times = starting or Starting(), StartTimes()
        times.mark("begun")
        run_dir = Path(options.runs_dir or _runs_dir_of(path)) / name
        source = path if path is not None else run_dir / "source.toml"
        if starting.again and (run_dir / "source.toml").exists():
            source = run_dir / "source.toml"
        if path is None and not source.exists():
            raise RunError(f"instance {name} is not in {run_dir.parent}; give its plugins.toml to begin it")
        begun = next((run_dir / "journal").glob("*.pj"), None) is not None
        deployment, problems = check_deployment(source, begun=begun)
        if any(problem.severity == "error" for problem in problems):
            raise DeploymentError(problems)
        deployment = changed(msgspec.structs.replace(deployment, warnings=tuple(problems)), options)
        run_dir.mkdir(parents=True, exist_ok=True)
        times.mark("deployment")
        try:
            return cls._open(run_dir, deployment, options, starting, times)
        except JournalLocked as error:
            raise JournalLocked(error.file, error.pid, f"instance {name} is run already") from None

    @classmethod
    def _open(
        cls, run_dir: Path, deployment: Deployment, options: RunOptions, starting: Starting, times: StartTimes
    ) -> Instance:
        journal = cls.open_journal(run_dir, deployment.journal.segment_mb << 20)
        times.mark("journal")
        # Under the lock from here on: who has the journal has the folder.
        try:
            (run_dir / "source.toml").write_text(deployment.as_run_toml())
            last_seq = journal.recovery.last_seq if journal.recovery is not None else -1
            if last_seq < 0:
                return cls._begin(run_dir, deployment, options, starting, journal, times)
            return cls._continue(run_dir, deployment, options, starting, journal, times)
        except BaseException:
            journal.abort()
            raise

    # What a rehearsal (`penstock_kernel.chaos`) puts others in the place of.
    wall_clock: ClassVar[Callable[[], Clock]] = WallClock

    @classmethod
    def open_journal(cls, run_dir: Path, segment_bytes: int, **how: Any) -> Journal:
        """Return the instance's journal, locked; begun when there is none. *how* is for `Journal`."""
        if next((run_dir / "journal").glob("*.pj"), None) is not None:
            return Journal.open_for_append(run_dir / "journal", segment_bytes=segment_bytes, **how)
        run = run_identity(run_dir.name)
        return Journal.create(run_dir / "journal", run=run, segment_bytes=segment_bytes, **how)

    # -- the first session -----------------------------------------------------------------------------------------

    @classmethod
    def _begin(
        cls,
        run_dir: Path,
        deployment: Deployment,
        options: RunOptions,
        starting: Starting,
        journal: Journal,
        times: StartTimes,
    ) -> Instance:
        now_ns = cls.wall_clock().now_ns()
        deployment, start_ns, end_ns = run_times(deployment, now_ns)
        wall = deployment.run.clock == "wall"
        clock: Clock = cls.wall_clock() if wall else SimClock(start_ns)
        info = _info(run_dir, deployment, 1, now_ns)
        info.first_at_ns, info.last_at_ns = start_ns, _end_ns(end_ns, start_ns, options)
        info.save(run_dir)
        keep_deployment(run_dir, deployment)
        run = cls._new(run_dir, deployment, info, clock, journal, times)
        run.kernel.moment.now_ns = start_ns
        run._phase(Phase.STARTING)
        run.start_beside(options.lake)
        cause = starting.cause or "its first start"
        header = _header(deployment, info, 1, start_ns, cause)
        kept_out = {name: _quarantine_reason(starting) for name in starting.quarantine}
        try:
            boot(run.kernel, deployment, msgspec.structs.replace(header, quarantined=kept_out))
        except BaseException as error:
            run.give_up(error)
            raise
        run._tell_start(cause)
        run._begin_hooks()
        return run

    # -- a later one -----------------------------------------------------------------------------------------------

    @classmethod
    def _continue(
        cls, run_dir: Path, deployment: Deployment, options: RunOptions, starting: Starting, journal: Journal,
        times: StartTimes,
    ) -> Instance:  # fmt: skip
        info = _info(run_dir, deployment, 0, time.time_ns())
        wall = deployment.run.clock == "wall"
        clock: Clock = cls.wall_clock() if wall else SimClock(0)
        run = cls._new(run_dir, deployment, info, clock, journal, times)
        try:
            run._go_on(deployment, options, starting)
        except BaseException as error:
            run.give_up(error)
            raise
        return run

    def give_up(self, error: BaseException) -> None:
        """Let go of what has begun: a start that failed is told by the run's folder, a crash leaves it as it is."""
        if isinstance(error, StartError):
            self.take_over(self.kernel)
            self.kernel.journal = self.journal
            self.close(failed=str(error))
        else:
            self.abort()

    def abort(self) -> None:
        """Let go of everything as a crash would."""
        self.kernel.journal = self.journal
        super().abort()

    def _go_on(self, deployment: Deployment, options: RunOptions, starting: Starting) -> None:
        """Take up the journal: as it was, or with another session."""
        journal = self.journal
        assert journal.recovery is not None
        last_seq = journal.recovery.last_seq
        self._phase(Phase.RECOVERING, 0, last_seq)
        self._beyond_seq, self._epoch_floor = set_aside_beyond(self.dir, last_seq)
        clock, vitals, log = self.kernel.clock, self.kernel.vitals, self._log

        def with_journal(of: Deployment) -> Kernel:
            return self.watch_recovery(make_kernel(of, self.dir, clock, journal, log, vitals), last_seq)

        def bare(of: Deployment) -> Kernel:
            return self.watch_recovery(make_kernel(of, self.dir, clock, None, log, vitals), last_seq)

        heard: dict[str, str] = {}
        upgraded = ""
        try:
            taken = take_up(self.dir, last_seq, with_journal, self.times.mark)
        except OtherCode as other:
            upgraded = other.what
            if starting.again:
                deployment, lost = self._was_in_force(deployment, other.header.deployment)
                upgraded = f"{upgraded}; {lost}" if lost else upgraded
            state, heard, _ = hear(self.dir, deployment, last_seq, bare)
        else:
            self.take_over(taken.kernel)
            now_ns = clock.now_ns() if clock.kind == ClockKind.WALL else taken.kernel.moment.now_ns
            if starting.again:
                deployment = taken.deployment.with_run(delivery_day=deployment.run.delivery_day)
            resolved, _, end_ns = run_times(deployment, now_ns)
            same = _same(resolved, deployment, taken.deployment)
            if same and not taken.kernel.session_ended:
                self.deployment = taken.deployment
                self._in_place(taken.left_over, options, starting, end_ns)
                return
            for data in taken.left_over:
                journal.append(data)
            journal.commit()
            state = taken.kernel.snapshot()
            taken.kernel.tasks.close()
            if not same:
                upgraded = f"its deployment changed from {taken.deployment.digest} to {resolved.digest}"
                if lost := can_carry(resolved, state, bare):
                    upgraded = f"{upgraded}; {lost}, so all heard the journal from its beginning"
                    state, heard, _ = hear(self.dir, deployment, last_seq, bare)
        self._next_session(deployment, state, heard, upgraded, options, starting)

    def _was_in_force(self, written: Deployment, begun: str) -> tuple[Deployment, str]:
        """Return the deployment that was in force, its day as *written*; *written* and why where it cannot be had."""
        try:
            kept = load_deployment(self.dir / "deployment.toml")
        except (DeploymentError, OSError) as error:
            what = f"{self.dir / 'deployment.toml'}, which was in force, cannot be read: {error}"
            return written, f"{what}; the session began with {begun}, this one with {written.digest}"
        return kept.with_run(delivery_day=written.run.delivery_day), ""

    def _in_place(self, left_over: list[bytes], options: RunOptions, starting: Starting, end_ns: int) -> None:
        """Go on where the journal ends, in the session that was cut."""
        kernel, clock = self.kernel, self.kernel.clock
        begin_ns = kernel.header.started_ns if kernel.header is not None else kernel.moment.now_ns
        epoch = max(kernel.desk.epoch, self._epoch_floor) + 1
        self.info.epoch, self.info.versions = epoch, dict(kernel.versions)
        self.info.first_at_ns = begin_ns
        self.info.last_at_ns = _end_ns(end_ns, kernel.moment.now_ns, options)
        self._continues(options)
        kernel.go_live(left_over)
        now_ns = max(kernel.moment.now_ns, clock.now_ns())
        header = _header(self.deployment, self.info, epoch, now_ns, starting.cause or _after(kernel.vitals))
        kernel.input(header, Origin.KERNEL, at_ns=now_ns)
        self._quarantine(starting)
        kernel.input(SessionReady(epoch=epoch), Origin.KERNEL)
        self._started()

    def _next_session(
        self,
        deployment: Deployment,
        state: dict[str, Any],
        heard: dict[str, str],
        upgraded: str,
        options: RunOptions,
        starting: Starting,
    ) -> None:
        """Begin another session of what the earlier one left."""
        old, journal = self.kernel, self.journal
        clock = old.clock
        if isinstance(clock, SimClock):
            clock.wait_until(state["now_ns"])
        start_ns = max(clock.now_ns(), state["now_ns"])
        deployment, _, end_ns = run_times(deployment, start_ns)
        quarantine = {name: _quarantine_reason(starting) for name in starting.quarantine}
        state = {**state, "quarantined": {**quarantine, **state.get("quarantined", {})}}
        epoch = max(state["desk"]["next"] >> 40, self._epoch_floor) + 1
        versions = versions_of(deployment)
        self.deployment = deployment
        self.info.epoch, self.info.versions = epoch, versions
        self.info.first_at_ns, self.info.last_at_ns = start_ns, _end_ns(end_ns, start_ns, options)
        self._phase(Phase.STARTING)
        keep_deployment(self.dir, deployment)
        journal.sync()  # the state is of what the journal holds, whatever happens next
        save_begin(self.dir, state["seq"], state, versions)
        self.take_over(make_kernel(deployment, self.dir, clock, journal, self._log, old.vitals))
        self._continues(options)
        cause = starting.cause or ("after a stop" if state.get("ended") else _after(old.vitals))
        header = _header(deployment, self.info, epoch, start_ns, cause, state["seq"])
        boot_session(self.kernel, deployment, header, state)
        self._tell_upgrade(upgraded, heard)
        self._started()

    def _continues(self, options: RunOptions) -> None:
        self.info.save(self.dir)
        self.start_beside(options.lake)

    def _quarantine(self, starting: Starting) -> None:
        for name in starting.quarantine:
            why = _quarantine_reason(starting)
            self.kernel.input(
                OperatorCommand(command="quarantine", who="watchdog", why=why, target=name), Origin.KERNEL
            )

    def _tell_upgrade(self, upgraded: str, heard: dict[str, str]) -> None:
        kernel = self.kernel
        if upgraded:
            kernel.input(
                Alert(
                    code="session.upgraded", severity=Severity.INFO, subject=self.info.id, met=upgraded,
                    wanted="the code and deployment of the session before",
                    way_out="nothing, when this was meant; the session before can be replayed with its own versions",
                ),
                Origin.KERNEL,
            )  # fmt: skip
        for name, error in heard.items():
            kernel.input(
                Alert(
                    code="plugin.state_doubtful", severity=Severity.ERROR, subject=name,
                    met=f"raised while it heard the journal: {error}", wanted="a plugin that hears what was recorded",
                    way_out="check its positions and limits before it trades on; mend the plugin",
                ),
                Origin.KERNEL,
            )  # fmt: skip

    def _started(self) -> None:
        """Write down how the start went, and what the journal lost."""
        kernel, journal = self.kernel, self.kernel.journal
        assert journal is not None and journal.recovery is not None
        self.end_ns = self.info.last_at_ns
        self._tell_start(kernel.header.cause if kernel.header else "")
        self._tell_recovery()
        if journal.recovery.torn_file is not None:
            text = f"{journal.recovery.torn_bytes} torn bytes were cut off; they are in {journal.recovery.torn_file}"
            kernel.write_log(Severity.WARNING, "journal", text, {})
        self._begin_hooks()

    def _tell_start(self, cause: str) -> None:
        """Write a line of the log: which session this is, what it took to come here, step by step."""
        self.times.mark("started")
        fields = {**self.times.fields(), "orders": self.kernel.desk.orders}
        self.kernel.write_log(Severity.INFO, "instance", f"session {self.info.epoch}: {cause}", fields)

    def _tell_recovery(self) -> None:
        """Tell of records that a checkpoint or a snapshot knew to be synced and the journal no longer has."""
        recovery = self.journal.recovery
        missing_seq = max(recovery.missing_seq if recovery is not None else -1, self._beyond_seq)
        if recovery is None or missing_seq <= recovery.last_seq:
            return
        self.kernel.input(
            Alert(
                code="journal.lost", severity=Severity.CRITICAL, subject=str(self.journal.directory),
                met=f"it ends at event {recovery.last_seq}; {missing_seq} had been synced",
                wanted="every event that was ever synced",
                way_out="look for the segments that are gone, and at the disk; compare positions with the venues",
            ),
            Origin.KERNEL,
        )  # fmt: skip

    @classmethod
    def _new(
        cls, run_dir: Path, deployment: Deployment, info: RunInfo, clock: Clock, journal: Journal, times: StartTimes
    ) -> Instance:
        log = open_log(deployment, run_dir)
        kernel = make_kernel(deployment, run_dir, clock, journal, log, Vitals(run_dir / "vitals"))
        run = cls(deployment, run_dir, info, kernel, log)
        run.journal, run.times = journal, times
        run.serve()
        return run

    def go(self) -> None:
        """Run until stopped; then keep the state, so that the next start begins with it."""
        super().go()
        if self.kernel.journal is not None and not self.kernel.journal.failed and not len(self.kernel.tasks):
            self.kernel.take_snapshot()


def _runs_dir_of(path: Path | None) -> str:
    return load_deployment(path).run.runs_dir if path is not None else "runs"


def _info(run_dir: Path, deployment: Deployment, epoch: int, now_ns: int) -> RunInfo:
    return RunInfo(
        id=run_dir.name, instance=run_dir.name, deployment=Path(deployment.sources[0].file).name,
        seed=deployment.run.seed, clock=deployment.run.clock, epoch=epoch, pid=os.getpid(), started_ns=now_ns,
        versions=versions_of(deployment),
    )  # fmt: skip


def _header(
    deployment: Deployment, info: RunInfo, epoch: int, started_ns: int, cause: str, carried_seq: int = 0
) -> RunHeader:
    return RunHeader(
        epoch=epoch, seed=deployment.run.seed, clock_kind=deployment.run.clock, started_ns=started_ns,
        deployment=deployment.digest, versions=info.versions, instance=info.id, carried_seq=carried_seq, cause=cause,
    )  # fmt: skip


def _same(resolved: Deployment, written: Deployment, before: Deployment) -> bool:
    """Return whether a deployment is what the session before ran; rolling days go on whichever day it is."""
    if resolved.digest == before.digest:
        return True
    rolls = written.run.days != 1 and written.run.delivery_day == "today"
    return rolls and resolved.with_run(delivery_day=before.run.delivery_day).digest == before.digest


def _end_ns(end_ns: int, start_ns: int, options: RunOptions) -> int:
    """Return when the session ends: with the deployment's days, or so many seconds after its start."""
    return end_ns if options.for_s is None else min(end_ns, start_ns + round(options.for_s * 1e9))


def _after(vitals: Vitals) -> str:
    """Return after what a session begins that no stop has ended; why it failed stands where a full disk had room."""
    return f"after a failure: {vitals.failed_before}" if vitals.failed_before else "after a crash"


def _quarantine_reason(starting: Starting) -> str:
    return starting.cause or "asked for at its start"
