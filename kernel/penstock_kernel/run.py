"""One run from start to end: its folder, journal, lake and display, the kernel's loop, its close."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import msgspec
import pluggy

from penstock_kernel.boot import StartError, boot, ruling_limits, run_times, versions_of
from penstock_kernel.clock import Clock, SimClock, WallClock
from penstock_kernel.deployment import Deployment, DeploymentError, load_deployment
from penstock_kernel.disk import DiskForecast
from penstock_kernel.hooks import call_hook, hook_manager
from penstock_kernel.interrupts import as_commands, interrupts_held
from penstock_kernel.journal import Journal, JournalFatal, run_identity
from penstock_kernel.kernel import Done, Kernel
from penstock_kernel.market_check import check_deployment
from penstock_kernel.reload.applying import Applying
from penstock_kernel.replay import catch_up, deployment_of
from penstock_kernel.runs import LatencyNs, RunError, RunInfo, RunPaths, new_run_dir
from penstock_kernel.services import Services
from penstock_kernel.snapshots import newest_snapshot
from penstock_kernel.telemetry.collect import Telemetry
from penstock_kernel.telemetry.histogram import Histogram
from penstock_kernel.telemetry.runlog import RunLog
from penstock_kernel.telemetry.settings import wants_exporter
from penstock_kernel.vitals import Phase, Vitals
from penstock_sdk.events import Alert, ClockKind, OperatorCommand, RunHeader, SessionReady, Severity
from penstock_sdk.wire.frame import Origin
from penstock_sdk.wire.segment import read_frames

__all__ = ["Run", "RunOptions", "changed", "make_kernel", "open_log"]

RECONCILE_LIMIT_NS = 10_000_000_000
"""How long a venue may take to say where our orders stand, before a person is told."""
_TICK_NS = 10_000_000


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

    def __init__(self, deployment: Deployment, run_dir: Path, info: RunInfo, kernel: Kernel, log: RunLog) -> None:
        self.deployment = deployment
        self.dir = run_dir
        self.info = info
        self.kernel = kernel
        self.end_ns = info.last_at_ns
        self._log = log
        self._told = Phase.STARTING
        self._tick_ns = self._asked_ns = 0
        self.observers: list[Callable[[], object]] = []
        """Called between inputs now and then, whichever kernel the run has: the control socket, exporters."""
        self.take_over(kernel)
        self.live = False
        """False while its journal is played back."""
        self._early: list[tuple[OperatorCommand, Done | None]] = []
        self.applying = Applying(self)
        """Takes changes of the deployment while the run goes on."""
        self.services: Services | None = None
        """Control socket, alerts' file, disk watch: in an instance, and in any run in wall time."""
        self._hooks: pluggy.PluginManager | None = None
        self._lake: subprocess.Popen[bytes] | None = None
        self._exporter: subprocess.Popen[bytes] | None = None
        self._leave = ExitStack()
        # From here on, also while a journal is played back: by default the signal would end the process.
        self._leave.enter_context(as_commands(self.command, {signal.SIGUSR1: "kill"}))
        self._leave.callback(self._publish().close)
        self._begun_s = time.perf_counter()

    def _publish(self) -> Telemetry:
        """Have the kernel's counters published, whichever kernel the run has."""
        every_ns = self.deployment.telemetry.publish_ms * 1_000_000
        telemetry = Telemetry(lambda: self.kernel, self.dir, every_ns)
        self.observers.append(telemetry.turn)
        return telemetry

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
        deployment = changed(msgspec.structs.replace(deployment, warnings=tuple(problems)), options)
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
        journal = Journal.create(
            run_dir / "journal", run=run_identity(run_dir.name), segment_bytes=deployment.journal.segment_mb << 20
        )
        clock = WallClock() if deployment.run.clock == "wall" else SimClock(start_ns)
        run = cls._make(deployment, run_dir, info, clock, journal)
        run.kernel.moment.now_ns = start_ns
        if deployment.run.clock == "wall":
            run.serve()
        header = RunHeader(
            epoch=1, seed=deployment.run.seed, clock_kind=deployment.run.clock, started_ns=start_ns,
            deployment=deployment.digest, versions=info.versions,
        )  # fmt: skip
        try:
            run.start_beside(options.lake)
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
        deployment = _begun_with(run_dir)
        configured = load_deployment(deployment_path) if deployment_path is not None else None
        journal = Journal.open_for_append(run_dir / "journal", segment_bytes=deployment.journal.segment_mb << 20)
        clock = WallClock() if deployment.run.clock == "wall" else SimClock(info.first_at_ns)
        if info.status != "running":  # a run that failed left when it did so, not when it was to end
            info.last_at_ns = run_times(deployment, info.started_ns)[2]
        if options.for_s is not None and deployment.run.clock == "wall":
            info.last_at_ns = min(info.last_at_ns, clock.now_ns() + round(options.for_s * 1e9))
        info.pid, info.status, info.reason = os.getpid(), "running", ""
        run = cls._make(deployment, run_dir, info, clock, journal)
        if deployment.run.clock == "wall":
            run.serve()
        try:
            assert journal.recovery is not None
            snapshot = newest_snapshot(run_dir / "snapshots", journal.recovery.last_seq, run.kernel.versions)
            left_over = catch_up(run.kernel, deployment, run_dir / "journal", snapshot)
        except BaseException:
            run.abort()
            raise
        info.save(run_dir)
        run.deployment = deployment = run.kernel.deployment or deployment
        run.start_beside(options.lake)
        run.kernel.go_live(left_over)
        if isinstance(clock, WallClock) or run.kernel.desk.outside:
            # Counted in the journal: run.json may be older than the last start.
            info.epoch = run.kernel.desk.epoch + 1
            header = RunHeader(
                epoch=info.epoch, seed=deployment.run.seed, clock_kind=deployment.run.clock, started_ns=clock.now_ns(),
                deployment=deployment.digest, versions=info.versions,
            )  # fmt: skip
            run.kernel.input(header, Origin.KERNEL, at_ns=clock.now_ns())
            run.kernel.input(SessionReady(epoch=info.epoch), Origin.KERNEL)
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
        log = open_log(deployment, run_dir)
        kernel = make_kernel(deployment, run_dir, clock, journal, log, Vitals(run_dir / "vitals"))
        return cls(deployment, run_dir, info, kernel, log)

    def command(self, command: OperatorCommand, done: Done | None = None) -> None:
        """Take an operator's command: at once, or as soon as the run is live. Safe to call from a signal handler."""
        if self.live:
            self.kernel.command(command, done)
        else:
            self._early.append((command, done))

    def _go_live(self) -> None:
        """Carry out what was commanded while the run was taken up."""
        self.live = True
        while self._early:
            self.kernel.command(*self._early.pop(0))

    def apply_limits(self, configured: Deployment) -> None:
        """Hold a deployment's limits against the journaled ones: the stricter rule, and an alert names both."""
        kernel = self.kernel
        ruling, alerts = ruling_limits(kernel, configured)
        for alert in alerts:
            kernel.input(alert, Origin.KERNEL)
        for limit in ruling:
            if kernel.limits.values.get((limit.kind, limit.strategy_id, limit.listing_id)) != limit.value:
                kernel.input(limit, Origin.KERNEL)

    def start_beside(self, lake: bool) -> None:
        """Start the processes that stand beside the kernel: the lake's, and the exporter where there is one to feed."""
        if lake:
            self._lake = self._start_process("lake", "penstock_kernel.lake", "--follow")
        if wants_exporter(self.deployment.telemetry):
            self._exporter = self._start_process("telemetry", "penstock_kernel.telemetry", "--with-parent")

    def _start_process(self, name: str, module: str, option: str) -> subprocess.Popen[bytes]:
        with (self.dir / f"{name}.log").open("ab") as log:
            command = [sys.executable, "-m", module, str(self.dir), option]
            with interrupts_held():
                return subprocess.Popen(command, stdout=log, stderr=log)

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
        self._go_live()
        with as_commands(self.command, {signal.SIGINT: "stop", signal.SIGTERM: "stop"}):
            self._asked_ns = time.monotonic_ns()
            self._phase(Phase.RECONCILING if kernel.silent_venues() else Phase.READY)
            if kernel.clock.kind == ClockKind.WALL:
                kernel.run_wall(self.end_ns)
            else:
                kernel.run_simulated(self.end_ns)
            self._phase(Phase.DRAINING)
            kernel.drain(kernel.stopping or self._reason())
            self._turn()

    def _phase(self, phase: Phase, done: int = 0, wanted: int = 0) -> None:
        self._told = phase
        self._asked_ns = time.monotonic_ns()
        self.kernel.vitals.phase(phase, done, wanted)

    def _turn(self) -> None:
        self._tick()
        for observe in self.observers:
            observe()

    def serve(self) -> None:
        """Open the run to its operator and its watchdog. Its journal must be locked."""
        self.services = Services(self)
        self._leave.callback(self.services.close)

    @property
    def disk(self) -> DiskForecast | None:
        """What is to be expected of the run's disk; None where nobody looks."""
        return self.services.disk if self.services is not None else None

    def take_over(self, kernel: Kernel) -> None:
        """Make *kernel* the run's for good."""
        self.kernel = kernel
        kernel.turns = (self._turn,)
        kernel.on_attached = self._attached
        kernel.on_command = lambda command: self.applying.on_command(command)

    def watch_recovery(self, kernel: Kernel, last_seq: int) -> Kernel:
        """Make *kernel* the run's while it plays the journal back, and tell how far it has come."""
        self.kernel = kernel

        def turn() -> None:
            self._phase(Phase.RECOVERING, kernel.cascade.seq, last_seq)
            for observe in self.observers:
                observe()

        kernel.turns = (turn,)
        kernel.on_attached = self._attached
        return kernel

    def _attached(self) -> None:
        if self.services is not None:
            self.services.attached()

    def _tick(self) -> None:
        """Write the kernel's signs of life, a hundred times a second; see that venues answer."""
        now_ns = time.monotonic_ns()
        if now_ns < self._tick_ns:
            return
        self._tick_ns = now_ns + _TICK_NS
        kernel, desk = self.kernel, self.kernel.desk
        silent = kernel.silent_venues()
        kernel.vitals.turn(
            now_ns=kernel.moment.now_ns, seq=kernel.cascade.seq,
            synced_seq=kernel.journal.synced_seq if kernel.journal is not None else 0, epoch=desk.epoch,
            killed=desk.killed, reconciling=len(silent), orders=desk.orders, open_orders=len(desk.open),
        )  # fmt: skip
        if self._told == Phase.READY and silent:
            self._phase(Phase.RECONCILING)
        elif self._told == Phase.RECONCILING and not silent:
            self._phase(Phase.READY)
        if self._told == Phase.RECONCILING and now_ns - self._asked_ns > RECONCILE_LIMIT_NS:
            self._asked_ns = now_ns
            self._venue_silent(silent)

    def _venue_silent(self, silent: set[int]) -> None:
        """Tell of the venues that have not answered; the alert is deduplicated, so it may be told again."""
        kernel = self.kernel
        for venue_id in sorted(silent):
            name = kernel.slot_by_id(venue_id).name
            met = f"no answer for {RECONCILE_LIMIT_NS // 1_000_000_000} s on where our orders stand"
            way_out = "see the venue's connection; quarantine it to trade elsewhere"
            if venue_id not in kernel.desk.reconciling:
                met = "orders of ours are open there, and it does not run: no cancel can reach it"
                elsewhere = kernel.slot_by_id(venue_id).plugin.elsewhere
                asks = "it is started again and asked" if elsewhere else "the next start asks it"
                way_out = f"cancel at the venue itself, then `penstock release` it: {asks}"
            kernel.later(
                Alert(
                    code="venue.not_reconciled", severity=Severity.ERROR, subject=name, met=met, way_out=way_out,
                    wanted="Reconciled from the venue; until then no new order goes there",
                )
            )  # fmt: skip

    def _reason(self) -> str:
        """Return what ends the run when nobody stops it. It follows from what is kept: a resumed run says the same."""
        if self.end_ns < run_times(self.deployment, self.info.started_ns)[2]:
            return "end of --for"
        return "end of [run] end" if self.deployment.run.end is not None else "end of day"

    def abort(self) -> None:
        """Let go of everything as a crash would; the run can be resumed."""
        assert self.kernel.journal is not None
        self.kernel.tasks.close()
        if self.kernel.hosts is not None:
            self.kernel.hosts.close()
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
        info.alerts, info.quarantined = kernel.alerts.opened, sorted(kernel.quarantined)
        info.tick_to_order = _latency(kernel.watch.tick_to_order)
        info.extra = {
            "orders_sent": kernel.desk.orders, "orders_refused": kernel.desk.refused, "fills": kernel.desk.fills,
            "journal_bytes": sum(path.stat().st_size for path in (self.dir / "journal").glob("*.pj")),
            **{f"lost.{name}": count for name, count in sorted(kernel.lanes.lost.items())},
        }  # fmt: skip
        kernel.vitals.tell(info.reason)
        self._phase(Phase.FAILED if failed else Phase.ENDED)
        self._leave.close()
        try:
            info.save(self.dir)
            self._log.close()
            self._finish_lake()
            if self._exporter is not None:
                self._exporter.wait()  # it ends with the run
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
        if self.info.instance:
            return  # its lake goes on with the next session, from where it ends
        # Imported here: a kernel that comes back needs neither DuckDB nor Arrow, and is there a tenth sooner.
        import duckdb

        from penstock_kernel.lake import LakeError, rebuild
        from penstock_kernel.lake.writer import read_manifest

        paths = RunPaths(self.dir)
        try:
            if status or not paths.database.exists() or read_manifest(paths.lake).last_seq < self.info.last_seq:
                rebuild(self.dir)
        except (LakeError, duckdb.Error) as error:  # the journal is whole, and a lake can be made again from it
            print(f"penstock: no tables: {error}; `penstock report {self.info.id}` makes them anew", file=sys.stderr)


def _begun_with(run_dir: Path) -> Deployment:
    """Return the deployment that a run began with; `penstock apply` may have changed it meanwhile."""
    first = None
    with suppress(OSError, ValueError):  # what is wrong with the journal is told by who opens it for more
        first = next(read_frames(run_dir / "journal"), None)
    return load_deployment(run_dir / "deployment.toml") if first is None else deployment_of(run_dir, first)


def changed(deployment: Deployment, options: RunOptions) -> Deployment:
    """Return the deployment with what the command line says in place of its own."""
    changes: dict[str, Any] = {
        "seed": options.seed, "clock": options.clock, "runs_dir": options.runs_dir,
        "delivery_day": options.delivery_day,
    }  # fmt: skip
    if options.clock == "wall" and options.delivery_day is None:
        changes["delivery_day"] = "today"
    changes = {key: value for key, value in changes.items() if value is not None}
    return deployment.with_run(**changes) if changes else deployment


def make_kernel(
    deployment: Deployment, run_dir: Path, clock: Clock, journal: Journal | None, log: RunLog, vitals: Vitals
) -> Kernel:
    """Return the kernel of a deployment's run."""
    return Kernel(
        clock,
        journal=journal,
        durability_for=deployment.durability_for,
        limit_for=deployment.limit_for,
        run_dir=run_dir,
        run_seed=deployment.run.seed,
        versions=versions_of(deployment),
        snapshot_every_events=deployment.run.snapshot_every_events,
        log=log.write,
        vitals=vitals,
        time_one_in=deployment.telemetry.handlers_one_in,
        events_per_input_max=deployment.run.max_events_per_input,
        faults_max=deployment.run.max_faults,
    )


def open_log(deployment: Deployment, run_dir: Path) -> RunLog:
    """Return the run's log, open for what comes."""
    return RunLog(run_dir, deployment.telemetry.log_file_mb << 20, deployment.telemetry.log_files)


def _latency(histogram: Histogram) -> LatencyNs:
    return LatencyNs(histogram.count, *histogram.percentiles_ns(50, 99, 99.9, 100))
