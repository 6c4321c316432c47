"""Who set each switch and limit, quarantined a plugin, stopped the run: since when, and why. For those who ask.

Nothing of the run follows from it. It hears rare events only, and a restart keeps it, so that every stop names its
cause on the second day too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from penstock_sdk.context import Moment
from penstock_sdk.core.desk import loosens
from penstock_sdk.events import (
    ConnectionState,
    ConnectionStatus,
    DeploymentChange,
    Limit,
    OperatorCommand,
    PluginState,
    PluginStatus,
    RunEnd,
)

__all__ = ["Change", "Ledger", "Request"]

REQUESTS_KEPT = 256
"""Operators' requests that are known again; each is some two hundred bytes."""


class Change(msgspec.Struct, frozen=True, array_like=True):
    """Something took a value: at which event and time, by whom, why."""

    value: int
    seq: int
    at_ns: int
    who: str
    why: str


class Request(msgspec.Struct, frozen=True, array_like=True):
    """A command that a caller gave an id of its own: where it stands in the journal, and what it was."""

    seq: int
    command: str = ""
    """Empty in a snapshot of a version that kept nothing but the number."""
    target: str = ""
    argument_digest: str = ""
    """Of its argument, which may be long; empty for none."""
    change_seq: int = -1
    """Of an ``apply``: where the change stands that it made, 0 while there is none; -1: not known, or no apply."""
    deployment: str = ""
    """Digest of what it changed to; empty where that was undone, or is not known."""

    @classmethod
    def of(cls, seq: int, command: str, target: str, argument: str) -> Request:
        """Return what is kept of a command."""
        digest = hashlib.sha256(argument.encode(errors="replace")).hexdigest()[:32] if argument else ""
        return cls(seq, command, target, digest, 0 if command == "apply" else -1)

    def same(self, command: str, target: str, argument: str) -> bool:
        """Return whether a command is the one that this id was given to, as far as that is known."""
        other = Request.of(self.seq, command, target, argument)
        met = (self.command, self.target, self.argument_digest)
        return not self.command or met == (other.command, other.target, other.argument_digest)


class Ledger:
    """The last change of each switch, limit, quarantine and link.

    Attributes:
        limits: by (kind, strategy, listing), as `core.limits.values`.
        quarantines: by the plugin's name; a released plugin is taken out.
        links: `ConnectionStatus` of venues and feeds, by plugin id.
        requests: the commands that callers named, by the caller's id, the oldest first.
        stopped: why the last session ended; None while none has.
    """

    def __init__(self, moment: Moment, name_of: Callable[[int], str]) -> None:
        self._moment = moment
        self._name_of = name_of
        self._command: tuple[int, str, str] = (-1, "", "")
        self._applies = ""
        """Request of the last ``apply``: a change of the deployment is what came of it."""
        self.limits: dict[tuple[int, int, int], Change] = {}
        self.quarantines: dict[str, Change] = {}
        self.links: dict[int, Change] = {}
        self.requests: dict[str, Request] = {}
        self.stopped: Change | None = None

    def _change(self, value: int, why: str = "") -> Change:
        moment = self._moment
        seq, who, reason = self._command
        if moment.producer:
            who, reason = f"plugin {self._name_of(moment.producer)}", why
        elif seq != moment.correlation_seq:
            who, reason = "kernel", why
        return Change(value, moment.seq, moment.now_ns, who, reason)

    def on_operator_command(self, command: OperatorCommand) -> None:
        """Keep who commands, for what follows from it; and that this request was done."""
        self._command = (self._moment.seq, command.who, command.why)
        if command.request:
            asked = Request.of(self._moment.seq, command.command, command.target, command.argument)
            self.requests[command.request] = asked
            while len(self.requests) > REQUESTS_KEPT:
                del self.requests[next(iter(self.requests))]
        if command.command == "apply":
            self._applies = command.request
        if command.command == "release":
            self.quarantines.pop(command.target, None)

    def on_deployment_change(self, change: DeploymentChange) -> None:
        """Keep what came of an ``apply``: a change, or one that was undone."""
        asked = self.requests.get(self._applies)
        if asked is not None:
            digest = "" if change.rolled_back else change.digest
            self.requests[self._applies] = msgspec.structs.replace(
                asked, change_seq=self._moment.seq, deployment=digest
            )

    def on_limit(self, limit: Limit) -> None:
        """Keep who changed it; said again with the same value it stands since it was said first."""
        if loosens(limit, self._moment):
            return
        key = (limit.kind, limit.strategy_id, limit.listing_id)
        held = self.limits.get(key)
        if held is None or held.value != limit.value:
            self.limits[key] = self._change(limit.value, "as deployed" if not self._moment.producer else "")

    def on_plugin_state(self, state: PluginState) -> None:
        """Keep since when a plugin is quarantined, and by what."""
        if state.status == PluginStatus.QUARANTINED:
            change = self._change(1)
            change = msgspec.structs.replace(change, why=state.reason.removeprefix(f"by {change.who}: "))
            self.quarantines.setdefault(state.name, change)  # each session says it again

    def on_connection_state(self, state: ConnectionState) -> None:
        """Keep where a link stands, and since when."""
        held = self.links.get(state.plugin_id)
        if held is None or held.value != state.status:
            known = state.status in ConnectionStatus._value2member_map_
            name = ConnectionStatus(state.status).name.lower() if known else str(state.status)
            self.links[state.plugin_id] = self._change(int(state.status), name)

    def on_run_end(self, end: RunEnd) -> None:
        """Keep why the session ended."""
        self.stopped = Change(1, self._moment.seq, self._moment.now_ns, "", end.reason)

    def snapshot(self) -> Any:
        """Return it as msgpack carries it."""
        plain = msgspec.to_builtins
        return {
            "command": list(self._command),
            "limits": [[list(key), plain(change)] for key, change in self.limits.items()],
            "quarantines": [[name, plain(change)] for name, change in self.quarantines.items()],
            "links": [[plugin_id, plain(change)] for plugin_id, change in self.links.items()],
            "applies": self._applies,
            "requests": [[request, *plain(asked)] for request, asked in self.requests.items()],
            "stopped": None if self.stopped is None else plain(self.stopped),
        }

    def restore(self, state: Any) -> None:
        """Take back what `snapshot` returned; nothing is known of a run from before 0.2.0."""
        if not state:
            return
        seq, who, why = state["command"]
        self._command = (seq, who, why)
        self.limits = {(kind, who, what): Change(*change) for (kind, who, what), change in state["limits"]}
        self.quarantines = {name: Change(*change) for name, change in state["quarantines"]}
        self.links = {plugin_id: Change(*change) for plugin_id, change in state["links"]}
        self.requests = {request: Request(*asked) for request, *asked in state["requests"]}
        self._applies = state.get("applies", "")
        self.stopped = None if state["stopped"] is None else Change(*state["stopped"])
