"""Looks after plugins out of process: what is lost is started again, what is lost too often stays out.

```
RUNNING ⇄ DEGRADED        no sign of life for three seconds, or a circuit breaker that is open
   ↓ lost: exit, closed connection, breach, silence
FAILED → RETRYING → STARTING → CONFIGURED → RUNNING     after 0.25 s, 0.5 s … 30 s, each a little less at random
   └→ QUARANTINED         too many losses within the window; until an operator releases it
```
Each arrow is a journaled `PluginState`. In wall time every step that waits is taken up again at the kernel's next turn;
under the simulated clock, where the run waits for its plugins anyway, a restart happens at once.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Generator
from functools import partial
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Any

from penstock_kernel.hosts.breaker import Breakers, BreakerSettings
from penstock_kernel.hosts.commands import HostError
from penstock_kernel.hosts.returning import drive, returning
from penstock_sdk.core.faults import RecordedFault, error_text
from penstock_sdk.events import Alert, PluginStatus, Severity
from penstock_sdk.manifest import RestartPolicy
from penstock_sdk.process.peer import PeerError, PeerGone
from penstock_sdk.wire.frame import Origin

if TYPE_CHECKING:
    from penstock_kernel.hosts import Hosts
    from penstock_kernel.hosts.link import Link
    from penstock_kernel.hosts.process_host import ProcessHost

__all__ = ["SILENT_S", "Crashes", "Supervisor", "settings_of"]

SILENT_S = 3.0
"""Three signs of life missed: the plugin is degraded."""
_RUNS = (PluginStatus.RUNNING, PluginStatus.DEGRADED)
_NS = 1_000_000_000
_SAMPLE_NS = 100_000_000
"""How often it is looked whether what is to be told finds credit."""
_GOOD_MAX = 1_000
"""Batches that a breaker remembers at most."""


def settings_of(host: ProcessHost) -> BreakerSettings:
    """Return when a plugin's circuit breakers open, as its deployment says."""
    table = host.spec.breaker
    if table is None:
        return BreakerSettings()
    return BreakerSettings(
        window_ns=round(table.window_s * _NS), answers_min=table.answers_min, failures_share=table.failures_share,
        open_ns=round(table.open_s * _NS), open_ns_max=round(max(table.open_s, table.open_s_max) * _NS),
    )  # fmt: skip


class Crashes:
    """When a plugin that was lost is started again, and when it is no longer. Pure but for its own random numbers."""

    def __init__(self, policy: RestartPolicy, seed: int) -> None:
        self.policy = policy
        self._random = Random(seed)
        self._at_s: deque[float] = deque()
        self._wait_s = 0.0

    def after(self, at_s: float, lived_s: float) -> float | None:
        """Return how many seconds to wait before it is started again, or None: it has been lost too often.

        The wait doubles from loss to loss, and begins anew for one that had lived for the policy's window; up to half
        of it is taken off at random, so that what was lost together does not come back together.
        """
        policy = self.policy
        self._at_s.append(at_s)
        while self._at_s[0] <= at_s - policy.window_s:
            self._at_s.popleft()
        if len(self._at_s) >= max(policy.max_crashes, 1):
            return None
        again = self._wait_s and lived_s < policy.window_s
        self._wait_s = min(2 * self._wait_s if again else policy.backoff_s, policy.backoff_s_max)
        return self._wait_s * (1.0 - 0.5 * self._random.random())

    def forget(self) -> None:
        """Begin anew: an operator has released it."""
        self._at_s.clear()
        self._wait_s = 0.0


class _Care:
    """What is known of one plugin."""

    def __init__(self, host: ProcessHost, seed: int) -> None:
        self.host = host
        self.crashes = Crashes(host.spec.restart or host.spec.manifest.restart, seed)
        self.breakers = Breakers(settings_of(host))
        self.since_s = monotonic()
        """When it last came up."""
        self.due_s: float | None = None
        """When it is to be started again; None: it is not waiting for that."""
        self.coming: Generator[None, None, None] | None = None
        """The steps of its start."""
        self.degraded = ""
        self.missed = 0
        self.verdicts = 0
        self.acked = self.faults = self.sample_ns = 0
        self.last_why = ""

    @property
    def name(self) -> str:
        """The plugin instance's name."""
        return self.host.name


class Supervisor:
    """The supervisor of a kernel's plugins out of process. Call `turn` between inputs; it never waits in wall time.

    Attributes:
        restarts: how often each plugin has been started again, by name.
    """

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._cares: dict[str, _Care] = {}
        self.restarts: dict[str, int] = {}

    @property
    def _kernel(self) -> Any:
        return self._hosts.kernel

    def _care(self, host: ProcessHost) -> _Care:
        care = self._cares.get(host.name)
        if care is None or care.host is not host:
            seed = zlib.crc32(host.name.encode()) ^ self._kernel.run_seed
            care = self._cares[host.name] = _Care(host, seed)
        return care

    def breakers(self, name: str) -> Breakers:
        """Return the circuit breakers of a plugin, for those who see its answers."""
        return self._care(self._hosts.hosts[name]).breakers

    # -- what happens ----------------------------------------------------------------------------------------------

    def lost(self, host: ProcessHost, why: str) -> None:
        """Take note that a plugin was lost; it is dealt with between inputs."""
        self._kernel.later(lambda: self._lost(host, why))

    def turn(self, _now_ns: int = 0) -> None:
        """Go on with whatever is due. Between inputs, in wall time."""
        kernel = self._kernel
        if not kernel.live or kernel.stopping:
            return
        now_s = monotonic()
        for host in list(self._hosts.hosts.values()):
            if self._hosts.hosts.get(host.name) is not host or host.slot is None:
                continue
            care = self._care(host)
            status = kernel.lifecycle.status.get(host.slot.plugin_id)
            if status in _RUNS:
                self._watch(care, now_s)
            elif status == PluginStatus.QUARANTINED:
                self._quarantined(care)
            elif care.coming is not None:
                kernel.later(partial(self._go_on, care))
            elif care.due_s is not None and now_s >= care.due_s:
                care.due_s = None
                kernel.later(partial(self._begin, care))

    def go_live(self) -> None:
        """Start the process of every plugin that runs in a kernel which has just played its journal back.

        In simulated time each goes on as if nothing had been. In wall time it is told that it goes on, and what it
        says to that are inputs to come. One that does not come up is lost, as in the middle of a run.
        """
        kernel, hosts = self._kernel, self._hosts
        mine = [host for host in hosts.hosts.values() if host.slot is not None]
        here = [host for host in mine if host.slot in kernel.cascade.slots]
        for host in here:
            host.spawn()  # they start beside each other
        for host in here:
            care, slot = self._care(host), host.slot
            assert slot is not None
            kernel.timers.forget(slot.plugin_id)
            try:
                drive(self._taken_up(host), hosts.reactor, 10 * (host.spec.start_s + host.spec.answer_s))
            except (HostError, PeerError, RecordedFault, OSError) as error:
                host.clear_away()
                self.lost(host, error_text(error).removeprefix("HostError: "))
            care.since_s = monotonic()
        for host in mine:
            if host not in here and self._status(self._care(host)) not in (None, PluginStatus.QUARANTINED):
                kernel.later(partial(self._was_away, self._care(host)))

    def _taken_up(self, host: ProcessHost) -> Generator[None, None, None]:
        hosts, slot = self._hosts, host.slot
        assert slot is not None
        yield from host.begin_nowait()
        reply = yield from returning(host, self._kernel, in_place=hosts.stepped)
        for event in host.take_start(reply) or ():
            hosts.offer(event, slot, Origin.REPLY)

    def _was_away(self, care: _Care) -> None:
        """Go on with bringing back a plugin that was away when the kernel ended."""
        status = self._status(care)
        if status in (PluginStatus.STARTING, PluginStatus.CONFIGURED):
            self._say(care, PluginStatus.FAILED, "the kernel ended while it was started")
        if self._status(care) == PluginStatus.FAILED:
            self._say(care, PluginStatus.RETRYING)
        if self._status(care) != PluginStatus.RETRYING:
            return
        care.last_why, care.due_s = "the kernel ended while it was away", monotonic()
        if self._hosts.stepped:
            self._restart_now(care)

    # -- losing ----------------------------------------------------------------------------------------------------

    def _lost(self, host: ProcessHost, why: str) -> None:
        kernel, slot = self._kernel, host.slot
        if not kernel.live or slot is None or self._hosts.hosts.get(host.name) is not host:
            return
        status = kernel.lifecycle.status.get(slot.plugin_id)
        care = self._care(host)
        if status not in _RUNS or host.up:
            return  # it is draining, stopped or out already; or it came back meanwhile
        host.clear_away()
        self._say(care, PluginStatus.FAILED, why)
        self._down(care, why)
        if self._hosts.stepped:
            self._restart_now(care)

    def _down(self, care: _Care, why: str) -> None:
        """Plan the next start of a plugin that has just failed, or keep it out."""
        now_s = monotonic()
        care.coming, care.degraded, care.last_why = None, "", why
        care.breakers.reset()
        wait_s = care.crashes.after(now_s, now_s - care.since_s)
        if wait_s is None:
            policy = care.crashes.policy
            self._alert("plugin.crashed", care, why, "a process that stays", "it is kept out: see plugin.quarantined")
            self._keep_out(care, f"lost {max(policy.max_crashes, 1)} times within {policy.window_s:g} s, last: {why}")
            return
        care.due_s = now_s + wait_s
        self._alert(
            "plugin.crashed", care, why, "a process that stays and answers",
            f"nothing now: it is started again in {wait_s:.2f} s; read its log, {care.name}, for the cause",
        )  # fmt: skip
        self._say(care, PluginStatus.RETRYING)

    def _keep_out(self, care: _Care, why: str) -> None:
        care.due_s = care.coming = None
        self._say(care, PluginStatus.QUARANTINED, why)
        self._alert(
            "plugin.quarantined", care, why, "a process that stays",
            f"mend it, then `penstock release {care.name}`: it is started again at once",
        )  # fmt: skip

    # -- coming back -----------------------------------------------------------------------------------------------

    def _begin(self, care: _Care) -> None:
        """Start the process again; the rest follows in `_go_on`."""
        if self._status(care) not in (PluginStatus.RETRYING, PluginStatus.QUARANTINED):
            return
        self._say(care, PluginStatus.STARTING)
        care.coming = self._steps(care)

    def _steps(self, care: _Care) -> Generator[None, None, None]:
        """Start, configure and bring it to where the run stands."""
        host = care.host
        host.clear_away()
        yield from host.begin_nowait()
        self._say(care, PluginStatus.CONFIGURED)
        reply = yield from returning(host, self._kernel)
        host.keep_start(reply)

    def _go_on(self, care: _Care) -> None:
        """Take the next steps of a start; at the end the plugin runs again."""
        if care.coming is None or self._status(care) not in (PluginStatus.STARTING, PluginStatus.CONFIGURED):
            return  # quarantined meanwhile
        try:
            next(care.coming)
        except StopIteration:
            care.coming = None
            self._is_back(care)
        except (HostError, PeerError, RecordedFault, OSError) as error:
            self._failed(care, error)

    def _is_back(self, care: _Care) -> None:
        host = care.host
        care.since_s, care.missed = monotonic(), self._missed(care)
        self.restarts[care.name] = self.restarts.get(care.name, 0) + 1
        self._kernel.start_plugin(host.slot, resumed=True)
        self._alert("plugin.crashed", care, f"it runs again after: {care.last_why}", cleared=True)

    def _failed(self, care: _Care, error: Exception) -> None:
        """A start that failed counts as a loss."""
        care.coming = None
        # A connection ends before anybody knows how its process did: that has been looked up meanwhile.
        why = care.host.lost_why if isinstance(error, PeerGone) else ""
        why = why or error_text(error).removeprefix("HostError: ")
        care.host.clear_away()
        if self._status(care) in (PluginStatus.STARTING, PluginStatus.CONFIGURED):
            self._say(care, PluginStatus.FAILED, why)
        self._down(care, why)

    def _restart_now(self, care: _Care) -> None:
        """Under the simulated clock: start it again at once, as often as its policy allows."""
        while care.due_s is not None:
            care.due_s = None
            self._begin(care)
            if care.coming is None:
                return
            try:
                spec = care.host.spec
                drive(care.coming, self._hosts.reactor, 10 * (spec.start_s + spec.answer_s))
            except (HostError, PeerError, RecordedFault, OSError) as error:
                self._failed(care, error)
            else:
                care.coming = None
                self._is_back(care)

    # -- watching --------------------------------------------------------------------------------------------------

    def _watch(self, care: _Care, now_s: float) -> None:
        """See whether a running plugin answers as it should; say when that changes."""
        link = care.host.link
        if link is None or not care.host.up:
            return
        if not self._hosts.stepped:  # there the run waits for it, and must not depend on how long that takes
            self._count_answers(care, int(now_s * _NS))
            self._count_handled(care, link, int(now_s * _NS))
        silent_s = now_s - link.heard_s
        why = care.breakers.open_now(int(now_s * _NS))
        if silent_s >= SILENT_S and not link.ponged:
            why = f"no sign of life for {SILENT_S:g} s"
        if bool(why) == bool(care.degraded):
            return
        care.degraded = why
        self._kernel.later(lambda: self._degrade(care, why))

    def _count_answers(self, care: _Care, now_ns: int) -> None:
        """Count a check's verdicts, and those that did not come in time."""
        desk, slot = self._kernel.desk, care.host.slot
        missed = self._missed(care)
        for _ in range(missed - care.missed):
            care.breakers["check"].failed(now_ns, "no verdict in time")
        care.missed = missed
        answered = desk.late.answered[slot.plugin_id] if slot is not None else 0
        for _ in range(answered - care.verdicts):
            care.breakers["check"].succeeded(now_ns)
        care.verdicts = answered

    def _count_handled(self, care: _Care, link: Link, now_ns: int) -> None:
        """Count batches that it handled, handlers that raised, and now and then whether what waits finds credit."""
        host = care.host
        acked, faults = link.acked, host.faults_told
        failed = faults - care.faults
        for _ in range(failed):
            care.breakers["handlers"].failed(now_ns, host.last_fault)
        for _ in range(min(acked - care.acked, _GOOD_MAX) - failed):
            care.breakers["handlers"].succeeded(now_ns)
        care.acked, care.faults = acked, faults
        if now_ns < care.sample_ns:
            return
        care.sample_ns = now_ns + _SAMPLE_NS
        for lane, outbox in link.outbox.items():
            breaker = care.breakers[lane.name.lower()]
            if len(outbox) and not host.holds:
                breaker.failed(now_ns, f"it grants no credit, and {len(outbox)} frames wait")
            else:
                breaker.succeeded(now_ns)

    def _missed(self, care: _Care) -> int:
        slot = care.host.slot
        return int(self._kernel.desk.late.missed[slot.plugin_id]) if slot is not None else 0

    def _degrade(self, care: _Care, why: str) -> None:
        status = self._status(care)
        if why and status == PluginStatus.RUNNING:
            self._say(care, PluginStatus.DEGRADED, why)
            self._alert(
                "plugin.degraded", care, why, "answers in time", "look at its log and its load; it may be started anew"
            )
        elif not why and status == PluginStatus.DEGRADED:
            self._say(care, PluginStatus.RUNNING)
            self._alert("plugin.degraded", care, "it answers again", cleared=True)

    def _quarantined(self, care: _Care) -> None:
        """End the process of a plugin that is kept out; start it again once it is released."""
        kernel, host = self._kernel, care.host
        if care.name in kernel.quarantined:
            care.due_s = care.coming = None
            if host.child is not None:
                host.clear_away()
        elif care.coming is None:
            care.crashes.forget()
            kernel.later(lambda: self._released(care))
        else:
            kernel.later(lambda: self._go_on(care))

    def _released(self, care: _Care) -> None:
        if self._status(care) != PluginStatus.QUARANTINED or care.name in self._kernel.quarantined:
            return
        care.last_why = "it was quarantined"
        care.due_s = monotonic()
        if self._hosts.stepped:
            self._restart_now(care)
        else:
            care.due_s = None
            self._begin(care)

    # -- saying ----------------------------------------------------------------------------------------------------

    def _status(self, care: _Care) -> PluginStatus | None:
        slot = care.host.slot
        status: PluginStatus | None = None if slot is None else self._kernel.lifecycle.status.get(slot.plugin_id)
        return status

    def _say(self, care: _Care, status: PluginStatus, why: str = "") -> None:
        slot = care.host.slot
        assert slot is not None
        self._kernel.say_status(slot.plugin_id, care.name, status, why[:1000])
        self._kernel.settle()

    def _alert(
        self, code: str, care: _Care, met: str, wanted: str = "", way_out: str = "", *, cleared: bool = False
    ) -> None:
        severity = Severity.WARNING if code == "plugin.degraded" else Severity.ERROR
        self._kernel.later(
            Alert(
                code=code, severity=Severity.INFO if cleared else severity, subject=care.name, met=met[:1000],
                wanted=wanted, way_out=way_out, cleared=cleared,
            )
        )  # fmt: skip
