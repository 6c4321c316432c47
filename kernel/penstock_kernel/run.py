"""One run from start to end: its folder, journal, lake and display, the kernel's loop, its close."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import duckdb
import msgspec
import numpy as np
import pluggy

from penstock_kernel.boot import StartError, boot, limit_values, run_times, versions_of
from penstock_kernel.clock import Clock, SimClock, WallClock
from penstock_kernel.deployment import Deployment, DeploymentError, load_deployment, strictest
from penstock_kernel.hooks import call_hook, hook_manager
from penstock_kernel.journal import Journal, JournalFatal, run_identity
from penstock_kernel.kernel import Kernel
from penstock_kernel.lake import LakeError, rebuild
from penstock_kernel.lake.writer import read_manifest
from penstock_kernel.market_check import check_deployment
from penstock_kernel.replay import catch_up
from penstock_kernel.runs import LatencyNs, RunError, RunInfo, RunPaths, new_run_dir
from penstock_kernel.snapshots import newest_snapshot
from penstock_sdk.events import Alert, Limit, LimitKind, OperatorCommand, RunHeader, Severity
from penstock_sdk.wire.frame import Origin

__all__ = ["Run", "RunOptions"]

_SWITCHES = (LimitKind.KILL, LimitKind.PAUSE)


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line may change of a deployment, and how much is shown."""

    seed: int | None = None
    clock: str | None = None
    runs_dir: str | None = None
    delivery_day: str | None = None
    lake: bool = True
    """Follow the journal with the lake process, so that the run can be queried while it is live."""
    for_s: float | None = None
    """In wall time: stop after so many seconds."""


class Run:
    """A run that has begun. `start` or `resume` makes one, `go` runs it to its end, `close` leaves it complete."""

    def __init__(self, deployment: Deployment, run_dir: Path, info: RunInfo, kernel: Kernel, log: TextIO) -> None:
        self.deployment = deployment
        self.dir = run_dir
        self.info = info
        self.kernel = kernel
        self.end_ns = info.last_at_ns
        self._log = log
        self._hooks: pluggy.PluginManager | None = None
        self._lake: subprocess.Popen[bytes] | None = None
        self._leave = ExitStack()
        # From here on, also while a journal is played back: by default the signal would end the process.
        self._leave.enter_context(_signals(kernel, {signal.SIGUSR1: "kill"}))
        self._begun_s = time.perf_counter()

    # -- beginning -------------------------------------------------------------------------------------------------

    @classmethod
    def start(cls, path: Path, options: RunOptions) -> Run:
        """Begin a new run of the deployment at *path*.

        Raises:
            DeploymentError: the deployment has faults.
            StartError: a plugin cannot be built or started; the run's folder says why.
        """
        deployment, problems = check_deployment(path)
        if any(problem.severity == "error" for problem in problems):
            raise DeploymentError(problems)
        deployment = _changed(msgspec.structs.replace(deployment, warnings=tuple(problems)), options)
        now_ns = time.time_ns()
        deployment, start_ns, end_ns = run_times(deployment, now_ns)
        if options.for_s is not None:
            end_ns = min(end_ns, start_ns + round(options.for_s * 1e9))
        run_dir = new_run_dir(Path(deployment.run.runs_dir), started_ns=now_ns, identity=deployment.digest)
        (run_dir / "deployment.toml").write_text(deployment.as_run_toml())
        info = RunInfo(
            id=run_dir.name, deployment=path.name, seed=deployment.run.seed, clock=deployment.run.clock,
            pid=os.getpid(), started_ns=now_ns, first_at_ns=start_ns, last_at_ns=end_ns,
            versions=versions_of(deployment),
        )  # fmt: skip
        info.save(run_dir)
        journal = Journal.create(run_dir / "journal", run=run_identity(run_dir.name))
        clock = WallClock() if deployment.run.clock == "wall" else SimClock(start_ns)
        run = cls._make(deployment, run_dir, info, clock, journal)
        run.kernel.moment.now_ns = start_ns
        header = RunHeader(
            epoch=1, seed=deployment.run.seed, clock_kind=deployment.run.clock, started_ns=start_ns,
            deployment=deployment.digest, versions=info.versions,
        )  # fmt: skip
        try:
            if options.lake:
                run.follow()
            boot(run.kernel, deployment, header)
        except BaseException as error:
            run.close(failed=str(error) if isinstance(error, StartError) else f"{type(error).__name__} at its start")
            raise
        run._begin_hooks()
        return run

    @classmethod
    def resume(cls, run_dir: Path, options: RunOptions, deployment_path: Path | None = None) -> Run:
        """Go on with a run that was cut: recover its journal, rebuild its state, continue where it ended.

        Args:
            deployment_path: a plugins.toml whose limits are held against the journaled ones; the stricter rule.

        Raises:
            DeploymentError: the deployment has faults.
            JournalLocked: the run is still going; names the process.
            JournalCorrupt: the journal is damaged before its tail.
            RunError: it is no run.
        """
        info = RunInfo.load(run_dir)
        if info.status == "complete":
            raise RunError(f"run {info.id} is complete, so nothing is left to resume; start another")
        deployment = load_deployment(run_dir / "deployment.toml")
        configured = load_deployment(deployment_path) if deployment_path is not None else None
        journal = Journal.open_for_append(run_dir / "journal")
        clock = WallClock() if deployment.run.clock == "wall" else SimClock(info.first_at_ns)
        if info.status != "running":  # a run that failed left when it did so, not when it was to end
            info.last_at_ns = run_times(deployment, info.started_ns)[2]
        if options.for_s is not None and deployment.run.clock == "wall":
            info.last_at_ns = min(info.last_at_ns, clock.now_ns() + round(options.for_s * 1e9))
        info.pid, info.status, info.reason = os.getpid(), "running", ""
        run = cls._make(deployment, run_dir, info, clock, journal)
        try:
            assert journal.recovery is not None
            snapshot = newest_snapshot(run_dir / "snapshots", journal.recovery.last_seq, run.kernel.versions)
            left_over = catch_up(run.kernel, deployment, run_dir / "journal", snapshot)
        except BaseException:
            run.abort()
            raise
        info.save(run_dir)
        if options.lake:
            run.follow()
        run.kernel.go_live(left_over)
        if isinstance(clock, WallClock) or run.kernel.desk.outside:
            # Counted in the journal: run.json may be older than the last start.
            info.epoch = run.kernel.desk.epoch + 1
            header = RunHeader(
                epoch=info.epoch, seed=deployment.run.seed, clock_kind=deployment.run.clock, started_ns=clock.now_ns(),
                deployment=deployment.digest, versions=info.versions,
            )  # fmt: skip
            run.kernel.input(header, Origin.KERNEL, at_ns=clock.now_ns())
            info.save(run_dir)
        if configured is not None:
            run.apply_limits(configured)
        if journal.recovery.torn_file is not None:
            text = (
                f"{journal.recovery.torn_bytes} bytes were torn off its end; they are in {journal.recovery.torn_file}"
            )
            run.kernel.write_log(Severity.WARNING, "journal", text, {})
        run._begin_hooks()
        return run

    @classmethod
    def _make(cls, deployment: Deployment, run_dir: Path, info: RunInfo, clock: Clock, journal: Journal) -> Run:
        log = (run_dir / "log.txt").open("a", buffering=1)
        kernel = Kernel(
            clock,
            journal=journal,
            durability_for=deployment.durability_for,
            limit_for=deployment.limit_for,
            run_dir=run_dir,
            run_seed=deployment.run.seed,
            versions=versions_of(deployment),
            snapshot_every_events=deployment.run.snapshot_every_events,
            log=log.write,
            events_per_input_max=deployment.run.max_events_per_input,
            faults_max=deployment.run.max_faults,
        )
        return cls(deployment, run_dir, info, kernel, log)

    def apply_limits(self, configured: Deployment) -> None:
        """Hold a deployment's limits against the journaled ones: the stricter rule, and an alert names both."""
        kernel = self.kernel
        owners = {0: "", **{slot.plugin_id: slot.name for slot in kernel.slots.values()}}
        # A switch is stricter when on, a number when smaller.
        saved = {
            _limit_name(kind, owners.get(owner, "")): bool(value) if kind in _SWITCHES else value
            for (kind, owner, listing), value in kernel.limits.values.items()
            if not listing
        }
        tables = {"": configured.limits} | {spec.name: spec.limits for spec in configured.plugins}
        wanted = {
            _limit_name(kind, owner): bool(value) if kind in _SWITCHES else value
            for owner, table in tables.items()
            if owner in owners.values()
            for kind, value in limit_values(table)
        }
        ruling, differences = strictest(saved, wanted)
        for difference in differences:
            alert = Alert(
                code="limit.differs", severity=Severity.WARNING, subject=difference.name, met=str(difference),
                wanted="one value in the journal and in plugins.toml", way_out="set the limit by an operator's command",
            )  # fmt: skip
            kernel.input(alert, Origin.KERNEL)
        for name, value in ruling.items():
            if saved.get(name) != value:
                owner_name, _, kind_name = name.rpartition(".")
                owner = next(number for number, known in owners.items() if known == owner_name)
                kernel.input(Limit(LimitKind[kind_name.upper()], strategy_id=owner, value=int(value)), Origin.KERNEL)

    def follow(self) -> None:
        """Start the lake process beside the kernel."""
        command = [sys.executable, "-m", "penstock_kernel.lake", str(self.dir), "--follow"]
        with (self.dir / "lake.log").open("ab") as log:
            self._lake = subprocess.Popen(command, stdout=log, stderr=log)

    def _begin_hooks(self) -> None:
        """Let installed hooks, and plugins that implement one, hear of the start."""
        self._hooks = hook_manager([(slot.name, slot.plugin) for slot in self.kernel.slots.values()])
        self._call_hook("penstock_run_starting", run_dir=self.dir, deployment=self.deployment.digest)

    def _call_hook(self, name: str, **arguments: Any) -> None:
        if self._hooks is not None:
            call_hook(self._hooks, name, self._hook_failed, **arguments)

    def _hook_failed(self, who: str, error: Exception) -> None:
        print(f"penstock: hook {who} raised {type(error).__name__}: {error}", file=sys.stderr)

    # -- running ---------------------------------------------------------------------------------------------------

    def go(self) -> None:
        """Run to the end: of the day, or by signal or command. Then every plugin has drained."""
        kernel = self.kernel
        if kernel.ended:
            return
        with _signals(kernel, {signal.SIGINT: "stop", signal.SIGTERM: "stop"}):
            if isinstance(kernel.clock, WallClock):
                kernel.run_wall(self.end_ns)
            else:
                kernel.run_simulated(self.end_ns)
            kernel.drain(kernel.stopping or self._reason())

    def _reason(self) -> str:
        """Return what ends the run when nobody stops it. It follows from what is kept: a resumed run says the same."""
        if self.end_ns < run_times(self.deployment, self.info.started_ns)[2]:
            return "end of --for"
        return "end of [run] end" if self.deployment.run.end is not None else "end of day"

    def abort(self) -> None:
        """Let go of everything as a crash would; the run can be resumed."""
        assert self.kernel.journal is not None
        self.kernel.tasks.close()
        self.kernel.journal.abort()
        self._log.close()
        self._leave.close()

    def close(self, failed: str = "") -> RunInfo:
        """Let go of the journal, let the lake finish, and write what the run was. A full disk makes it a failed run."""
        kernel = self.kernel
        journal = kernel.journal
        assert journal is not None
        with suppress(Exception):
            kernel.write()
        if journal.error is not None:
            failed = failed or f"{journal.error}; {journal.unwritten_frames} frames could not be written"
        try:
            kernel.close()
        except JournalFatal as error:
            failed = failed or str(error)
        info = self.info
        info.status = "failed" if failed else "complete"
        info.reason = failed or kernel.stopping or self._reason()
        info.ended_ns = time.time_ns()
        info.wall_s = round(time.perf_counter() - self._begun_s, 3)
        info.last_seq = info.events = kernel.cascade.seq
        info.last_at_ns = kernel.moment.now_ns
        info.digest = journal.digest
        info.orders = kernel.desk.orders + sum(
            cell.n
            for slot in kernel.slots.values()
            if slot.is_venue and slot.ctx is not None
            for name, cell in slot.ctx.cells.items()
            if name == "background_orders"
        )
        info.tick_to_order = _latency(np.frombuffer(kernel.watch.samples_ns, np.int64))
        info.extra = {
            "orders_sent": kernel.desk.orders, "orders_refused": kernel.desk.refused, "fills": kernel.desk.fills,
            "journal_bytes": sum(path.stat().st_size for path in (self.dir / "journal").glob("*.pj")),
            **{f"lost.{name}": count for name, count in sorted(kernel.lanes.lost.items())},
        }  # fmt: skip
        self._leave.close()
        try:
            info.save(self.dir)
            self._log.close()
            self._finish_lake()
        except (LakeError, duckdb.Error) as error:  # the journal is whole, and a lake can be made again from it
            print(f"penstock: no tables: {error}; `penstock report {info.id}` makes them anew", file=sys.stderr)
        except OSError as error:
            info.status = "failed"
            info.reason = f"{failed or 'the run came to its end'}; its folder cannot be written: {error}"
        self._call_hook("penstock_run_ended", run_dir=self.dir, status=info.status)
        return info

    def _finish_lake(self) -> None:
        """Wait for the lake process, which ends with the run; build the lake here when it failed.

        A SIGTERM to every process of the run has it close early: what was drained after it would be missing.
        """
        if self._lake is None:
            return
        status = self._lake.wait()
        self._lake = None
        paths = RunPaths(self.dir)
        if status or not paths.database.exists() or read_manifest(paths.lake).last_seq < self.info.last_seq:
            rebuild(self.dir)


def _changed(deployment: Deployment, options: RunOptions) -> Deployment:
    changes: dict[str, Any] = {
        "seed": options.seed, "clock": options.clock, "runs_dir": options.runs_dir,
        "delivery_day": options.delivery_day,
    }  # fmt: skip
    if options.clock == "wall" and options.delivery_day is None:
        changes["delivery_day"] = "today"
    changes = {key: value for key, value in changes.items() if value is not None}
    return deployment.with_run(**changes) if changes else deployment


def _limit_name(kind: int, owner: str) -> str:
    name = LimitKind(kind).name.lower()
    return f"{owner}.{name}" if owner else name


def _latency(samples_ns: np.ndarray[Any, np.dtype[np.int64]]) -> LatencyNs:
    if not len(samples_ns):
        return LatencyNs()
    p50, p99, p999 = np.percentile(samples_ns, [50, 99, 99.9]).astype(int).tolist()
    return LatencyNs(len(samples_ns), p50, p99, p999, int(samples_ns.max()))


@contextmanager
def _signals(kernel: Kernel, commands: dict[signal.Signals, str]) -> Iterator[None]:
    """Make a command of each signal, an input like any: Ctrl-C and SIGTERM stop the run, SIGUSR1 is the kill switch."""

    def command(number: int, _frame: object) -> None:
        name = signal.Signals(number).name
        kernel.command(OperatorCommand(command=commands[signal.Signals(number)], who=f"uid {os.getuid()}", why=name))

    try:
        before = {number: signal.signal(number, command) for number in commands}
    except ValueError:  # not the main thread: a test, or an embedding program that has its own
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
