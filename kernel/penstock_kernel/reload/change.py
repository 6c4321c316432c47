"""Changing the plugins of a running kernel, or of one that plays such a change back: the same steps, the same events.

```
DeploymentChange → orders of those that go are cancelled → they drain, last started first → their states are kept
→ the new are built, given what their instance left, started in order
```
When one of the new cannot be built, take up its state or start, all that was done is undone: what was started stops,
and what was before starts again of the state it left. Called between inputs. Every step is an input of the kernel's
own, so a replay that makes the same change comes to the same bytes.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from penstock_kernel.boot import CarryError, StartError, attach_plugin, ruling_limits
from penstock_kernel.deployment import Deployment
from penstock_kernel.kernel import Kernel
from penstock_kernel.sources import SourceError
from penstock_sdk.core.core import plugin_state
from penstock_sdk.core.faults import error_text
from penstock_sdk.core.wiring import Slot, WiringError
from penstock_sdk.events import Alert, DeploymentChange, OperatorCommand, PluginStatus, Severity
from penstock_sdk.wire.frame import Origin

__all__ = ["carry_out", "keep", "why_not"]

_RUNS = (PluginStatus.RUNNING, PluginStatus.DEGRADED)


def keep(run_dir: Path, deployment: Deployment) -> None:
    """Keep a deployment beside the journal under its digest, before the journal names it."""
    folder = run_dir / "deployments"
    folder.mkdir(exist_ok=True)
    (folder / f"{deployment.digest}.toml").write_text(deployment.as_run_toml())


def why_not(kernel: Kernel, change: DeploymentChange) -> str:
    """Return why a change cannot be made as things stand, with the way out; or nothing."""
    if not kernel.started or kernel.stopping:
        return f"the run is {'stopping' if kernel.stopping else 'starting'}; apply it when it runs"
    if len(kernel.tasks):
        return f"{len(kernel.tasks)} tasks of plugins are under way; try again when they are done"
    for name in change.removed:
        slot = kernel.slots.get(name)
        open_there = [held for held in kernel.desk.open.values() if slot and held.order.venue_id == slot.plugin_id]
        if open_there:
            return (
                f"{len(open_there)} orders of ours are open at {name}, which is to be removed; "
                f"`penstock cancel-all` first, and apply when they have ended"
            )
    return ""


def carry_out(kernel: Kernel, before: Deployment, after: Deployment, change: DeploymentChange) -> str:
    """Change the plugins of *kernel* from *before* to *after*; *change* has been said. Return why it was undone, or "".

    Cost: what its plugins take to stop and to start; the kernel takes no other input meanwhile.
    """
    step = _Step(kernel, change)
    step.let_go(change)
    try:
        step.start(after, [*change.added, *change.changed])
    except (StartError, WiringError, SourceError) as error:
        why = kernel.undone.why if kernel.undone is not None else error_text(error)
        step.undo(before, why)
        return why
    kernel.deployment = after
    return ""


class _Step:
    """One change under way, with what is needed to undo it."""

    def __init__(self, kernel: Kernel, change: DeploymentChange) -> None:
        self.kernel = kernel
        self.change = change
        self.held: dict[str, dict[str, Any]] = {}
        """What those left that were let go, by name."""
        self.silent = {slot.name for slot in kernel.slots.values() if slot not in kernel.cascade.slots}
        """Those that heard nothing before, as quarantined ones; they go on hearing nothing."""
        self.begun: list[str] = []

    def let_go(self, change: DeploymentChange) -> None:
        """Stop those that go or change, and keep their states."""
        kernel = self.kernel
        going = {*change.removed, *change.changed}
        for name in change.removed:
            if (slot := kernel.slots[name]).may_order:
                command = OperatorCommand(command="cancel_all", who=change.who, why=change.why, target=name)
                kernel.input(command, Origin.KERNEL)
        for slot in [slot for slot in reversed(kernel.slots.values()) if slot.name in going]:
            self._stop(slot)
        kernel.timers.drop({slot.plugin_id for slot in kernel.slots.values()} | self._changed_ids())

    def _changed_ids(self) -> set[int]:
        return {state["plugin_id"] for name, state in self.held.items() if name in self.change.changed}

    def _stop(self, slot: Slot) -> None:
        kernel = self.kernel
        if kernel.lifecycle.status.get(slot.plugin_id) in _RUNS and slot in kernel.cascade.slots:
            kernel.stop_plugin(slot)
            kernel.settle()
        with suppress(Exception):  # one that cannot say what it knows starts without
            self.held[slot.name] = {**plugin_state(slot), "plugin_id": slot.plugin_id}
        kernel.let_go(slot)

    def start(self, deployment: Deployment, names: list[str]) -> None:
        """Build and start instances of *deployment*, in its order, each of what its instance left.

        Raises:
            StartError, WiringError, SourceError: one of them cannot be had, built, carried or started.
        """
        kernel = self.kernel
        made = []
        for spec in deployment.plugins:
            if spec.name in names:
                self._may_start(spec.name)
                made.append(attach_plugin(kernel, spec, deployment))
                self.begun.append(spec.name)
                self.silent.discard(spec.name)
                if kernel.away.pop(spec.name, None) is not None:  # it was lost; this is its return
                    kernel.returning.add(spec.name)
        kernel.in_order([spec.name for spec in deployment.plugins], self.silent)
        resumed = {slot.name for slot in made if self._carry(slot)}
        kernel.timers.drop({s.plugin_id for s in kernel.slots.values() if s not in made or s.name in resumed})
        self._say_limits(deployment)
        for slot in made:
            kernel.start_plugin(slot, resumed=slot.name in resumed)
            kernel.settle()
            if slot.faults and slot in kernel.cascade.slots:
                raise StartError(f"plugin {slot.name} raised at its start: {kernel.cascade.last_fault}")
            if slot not in kernel.cascade.slots:
                raise StartError(f"plugin {slot.name} was quarantined at its start: {kernel.cascade.last_fault}")
            if lost := kernel.lost_at_start(slot):
                raise StartError(f"plugin {slot.name} was lost at its start: {lost}")
            kernel.join(slot)

    def _may_start(self, name: str) -> None:
        """A plugin that has failed is tried again before it starts."""
        kernel = self.kernel
        plugin_id = next((number for number, known in kernel.names_of_plugins() if known == name), 0)
        if kernel.lifecycle.status.get(plugin_id) == PluginStatus.FAILED:
            kernel.say_status(plugin_id, name, PluginStatus.RETRYING)

    def _carry(self, slot: Slot) -> bool:
        if slot.name not in self.held:
            return False
        try:
            return self.kernel.carry_plugin(slot, {"plugins": self.held})
        except ValueError as error:
            raise CarryError(str(error)) from error

    def _say_limits(self, deployment: Deployment) -> None:
        kernel = self.kernel
        ruling, alerts = ruling_limits(kernel, deployment)
        for alert in alerts:
            kernel.input(alert, Origin.KERNEL)
        for limit in ruling:
            if kernel.limits.values.get((limit.kind, limit.strategy_id, limit.listing_id)) != limit.value:
                kernel.input(limit, Origin.KERNEL)

    def undo(self, before: Deployment, why: str) -> None:
        """Stop what was begun, and start again what was before, of the state that it left."""
        kernel, change = self.kernel, self.change
        held = dict(self.held)
        kernel.input(
            DeploymentChange(
                digest=before.digest, who=change.who, why=why, added=change.removed, changed=change.changed,
                removed=change.added, rolled_back=True,
            ),
            Origin.KERNEL,
        )  # fmt: skip
        for slot in [slot for slot in reversed(kernel.slots.values()) if slot.name in self.begun]:
            self._fail(slot, why)
        for name in [*change.added, *change.changed]:  # one whose constructor raised has no slot
            self._close_half_begun(name, why)
        self.held, self.begun = held, []
        try:
            self.start(before, [*change.removed, *change.changed])
        except (StartError, WiringError, SourceError) as error:
            # What ran a moment ago does not start: nothing may trade as if it did.
            self._give_up(error_text(error))
        names = ", ".join([*change.added, *change.changed])
        kernel.input(
            Alert(
                code="deployment.rolled_back", severity=Severity.ERROR, subject=names, met=why,
                wanted="plugins that start", way_out="mend what the text names, and apply it again",
            ),
            Origin.KERNEL,
        )  # fmt: skip

    def _fail(self, slot: Slot, why: str) -> None:
        kernel = self.kernel
        if kernel.lifecycle.status.get(slot.plugin_id) in (*_RUNS, PluginStatus.CONFIGURED, PluginStatus.STARTING):
            kernel.say_status(slot.plugin_id, slot.name, PluginStatus.FAILED, why)
        kernel.let_go(slot)

    def _close_half_begun(self, name: str, why: str) -> None:
        kernel = self.kernel
        for plugin_id, known in kernel.names_of_plugins():
            if known == name and kernel.lifecycle.status.get(plugin_id) == PluginStatus.STARTING:
                kernel.say_status(plugin_id, name, PluginStatus.FAILED, why)

    def _give_up(self, why: str) -> None:
        kernel = self.kernel
        kernel.stopping = kernel.stopping or f"a change was undone, and what ran before does not start: {why}"
        kernel.input(OperatorCommand(command="kill", who="kernel", why=kernel.stopping), Origin.KERNEL)
