"""`penstock apply` in the kernel's process: the command is checked, planned, done between inputs, and answered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from penstock_kernel.deployment import Deployment, DeploymentError
from penstock_kernel.kernel import Kernel
from penstock_kernel.market_check import check_deployment
from penstock_kernel.reload.change import carry_out, keep, why_not
from penstock_kernel.reload.plan import Plan, plan_change, to_apply
from penstock_sdk.events import DeploymentChange, OperatorCommand
from penstock_sdk.wire.frame import Origin

if TYPE_CHECKING:
    from penstock_kernel.reload.preparing import Preparing
    from penstock_kernel.runs import RunInfo

__all__ = ["Applied", "ApplyArgument", "Applying", "change_of", "written_deployment"]


class ApplyArgument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The command's argument, as JSON: which file, and the digest of what was shown to who gave the command."""

    path: str
    digest: str


class Applied(msgspec.Struct, frozen=True):
    """What came of the last one."""

    text: str
    faults: tuple[str, ...] = ()


class _Changed(Protocol):
    """What is changed: a run."""

    deployment: Deployment
    dir: Path
    info: RunInfo
    kernel: Kernel


def written_deployment(path: Path) -> Deployment:
    """Return the deployment of a file, fully checked for a run that has begun.

    Raises:
        DeploymentError: it has faults; holds every one.
    """
    deployment, problems = check_deployment(path, begun=True)
    if any(problem.severity == "error" for problem in problems):
        raise DeploymentError(problems)
    return deployment


def change_of(plan: Plan, who: str, why: str) -> DeploymentChange:
    """Return the event that a plan is begun with."""
    return DeploymentChange(
        digest=plan.digest_after, who=who, why=why, added=plan.names("added"), changed=plan.names("changed"),
        removed=plan.names("removed"),
    )  # fmt: skip


class Applying:
    """Applies changed deployments to a run, one at a time."""

    def __init__(self, run: _Changed) -> None:
        self._run = run
        self._preparing: Preparing | None = None
        self.last = Applied("nothing was applied")

    def faults(self, argument: str) -> list[str]:
        """Return all that is against an `apply` as things stand; nothing is changed."""
        try:
            self._planned(argument)
        except DeploymentError as error:
            return [str(problem) for problem in error.problems if problem.severity == "error"]
        except (ValueError, OSError) as error:
            return [str(error)]
        return []

    def prepare(self, argument: str, then: Callable[[list[str]], object]) -> None:
        """Start what is to come beside what runs; *then* is called with all that is against it, once that is known.

        In wall time the run goes on meanwhile; where nothing is to be started *then* is called at once. At most
        ``start_s`` until each has connected, and as long for its config.
        """
        if self._preparing is not None:
            then(["another apply is under way: its plugins are started now; try again when it is done"])
            return
        try:
            preparing = self._started(*self._planned(argument))
        except DeploymentError as error:
            then([str(problem) for problem in error.problems])
            return
        except (ValueError, OSError) as error:
            then([str(error)])
            return
        hosts = self._run.kernel.hosts
        if preparing is None or hosts is None:
            then([])
        elif hosts.stepped:
            preparing.wait()
            then(preparing.faults)
        else:
            self._preparing, turns = preparing, hosts.turns

            def go_on(_now_ns: int) -> None:
                if preparing.turn():
                    turns.remove(go_on)
                    self._preparing = None
                    then(preparing.faults)

            turns.append(go_on)

    def _started(self, after: Deployment, plan: Plan) -> Preparing | None:
        """Return those of a change that come up beside what runs; None where there are none, or they are ready."""
        names = (*plan.names("added"), *plan.names("changed"))
        if all(spec.run != "process" for spec in after.plugins if spec.name in names):
            return None
        # Imported here: a kernel without plugins out of process need not have it.
        from penstock_kernel.hosts import hosts_of
        from penstock_kernel.reload.preparing import Preparing

        wanted = Preparing.wanted([spec for spec in after.plugins if spec.name in names])
        hosts = hosts_of(self._run.kernel, self._run.deployment)
        ready = hosts.ready
        if all((host := ready.get(spec.name)) and host.prepared and host.spec == spec for spec in wanted):
            return None
        return Preparing(hosts, after, wanted)

    def _planned(self, argument: str) -> tuple[Deployment, Plan]:
        """Return the deployment to change to, and the plan.

        Raises:
            DeploymentError, ValueError, OSError: it cannot be applied.
        """
        try:
            wanted = msgspec.json.decode(argument, type=ApplyArgument)
        except msgspec.MsgspecError as error:
            raise ValueError(f"apply met {argument[:80]!r}, wanted JSON of path and digest: {error}") from None
        written = written_deployment(Path(wanted.path))
        plan = plan_change(self._run.deployment, written)
        if plan.digest_after != wanted.digest:
            raise ValueError(f"{wanted.path} has changed since its plan was shown; look at it again")
        if plan.empty:
            raise ValueError(f"{wanted.path} changes nothing that runs")
        if text := why_not(self._run.kernel, change_of(plan, "", "")):
            raise ValueError(text)
        return to_apply(self._run.deployment, written), plan

    def on_command(self, command: OperatorCommand) -> None:
        """Do what an `apply` that has just been journaled says."""
        if command.command != "apply":
            return
        try:
            after, plan = self._planned(command.argument)
        except DeploymentError as error:
            self.last = Applied("", tuple(str(problem) for problem in error.problems))
            return
        except (ValueError, OSError) as error:
            self.last = Applied("", (str(error),))
            return
        run, kernel = self._run, self._run.kernel
        if (preparing := self._started(after, plan)) is not None:
            preparing.wait()
            if preparing.faults:
                self.last = Applied("", tuple(preparing.faults))
                return
        before = run.deployment
        keep(run.dir, before)
        keep(run.dir, after)
        change = change_of(plan, command.who, command.why)
        kernel.input(change, Origin.KERNEL)
        failed = carry_out(kernel, before, after, change)
        if kernel.hosts is not None:
            kernel.hosts.drop_ready()
        if failed:
            self.last = Applied("", (f"undone, and all is as it was: {failed}",))
            return
        run.deployment = after
        (run.dir / "deployment.toml").write_text(after.as_run_toml())
        self.last = Applied(_told(plan))


def _told(plan: Plan) -> str:
    parts = [f"{len(names)} {what}: {', '.join(names)}" for what in ("added", "changed", "removed")
             if (names := plan.names(what))]  # fmt: skip
    if plan.limits:
        parts.append(f"{len(plan.limits)} limits")
    return "applied; " + "; ".join(parts or ["another order of plugins"])
