"""What is known of one plugin out of process, whatever became of its process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from penstock_kernel.hosts.link import Link
from penstock_kernel.hosts.marker import Marker
from penstock_kernel.hosts.rights import Rights
from penstock_kernel.hosts.stderr import Stderr
from penstock_sdk.events import Interned, TaskResult
from penstock_sdk.process.describing import THROUGHOUT
from penstock_sdk.process.spawn import Child
from penstock_sdk.schema import Event, schema_by_id
from penstock_sdk.wire.messages import (
    Message,
)

if TYPE_CHECKING:
    from penstock_kernel.deployment import Deployment, PluginSpec
    from penstock_kernel.hosts import Hosts
    from penstock_kernel.hosts.process_host import ProcessHost
    from penstock_sdk.context import Context
    from penstock_sdk.core.wiring import Slot


__all__ = ["HostState"]


class HostState:
    """One instance of a plugin out of process.

    Attributes:
        held: the plugin's last snapshot, (state, number of the last event in it), or None.
        on_lost: called with the reason when it ended by itself, broke the contract or kept silent; it is down then.
    """

    def __init__(self, spec: PluginSpec, hosts: Hosts, deployment: Deployment | None = None) -> None:
        self.spec = spec
        self.name = spec.name
        self.hosts = hosts
        self.deployment = deployment or hosts.deployment
        """That which it is of: that of a change to come is not the run's yet."""
        self.link: Link | None = None
        self.child: Child | None = None
        self.described: Message | None = None
        self.incarnation = ""
        self.held: tuple[bytes, int] | None = None
        self.on_lost: Callable[[ProcessHost, str], object] = hosts.lost
        self.ctx: Context | None = None
        self.rights: Rights | None = None
        self.wanted: frozenset[int] | None = None
        """Schemas that it wants to hear; None: not known yet."""
        self.up = False
        """Configured, and neither ended nor lost since."""
        self.started = False
        self.faults_told = 0
        """Handlers that raised, in wall time, of all its processes; and how the last one did."""
        self.last_fault = ""
        self._state_asked_s = 0.0
        self.lost_why = ""
        """Why its last process was lost; empty again once another is started."""
        self._coming = False
        """Its process was started, and is not configured yet."""
        self.prepared = False
        """Described, and its config found right: it is there for what is to come, and was told nothing else."""
        """It handles what it is told; stepped also after Drain, as it would in the kernel."""
        self._met = False
        """Its process has connected and said what it is."""
        self.early = False
        """Stepped, and not started yet: it handles what others say before, as it would in the kernel."""
        self._knows = self._drained = self._carried = False
        """It was told what holds by now; it has said its last; an earlier one left something for it."""
        self.names_asked = 0
        self.faults: list[str] = []
        """What it found wrong with its config."""
        self.lost_records: dict[str, int] = {}
        self._token = ""
        self._stderr: Stderr | None = None
        self._kept: list[bytes] = []
        """Frames from before its start, of which it is told right before it."""
        self._kept_bytes = 0
        self._for_start: list[bytes] = []
        """Of those the orders for a venue, which it is told once it has started."""
        self._before: list[bytes] = []
        """Frames that its context needs and it does not hear, for the next batch."""
        self._answers: list[Message] = []
        self._tasks: dict[int, TaskResult | None] = {}
        self._said_at_start: list[Any] | None = None
        self._effects_waiting = self._written_told = 0
        self._pinged_s = 0.0
        self._slow = False
        self._logged, self._logged_s = 0, 0.0
        self._marker = Marker()
        self._given_ahead = self._pass_over = 0
        """Recorded events that a feed's processes gave so far, and how many of them a new one gives again."""
        self._ahead: deque[tuple[int, Event]] = deque()
        """A feed's recorded events that are not due yet, in wall time."""
        self._asked_ahead = self._taken_all = False

    @property
    def slot(self) -> Slot | None:
        """The plugin's slot in the kernel, once it is attached."""
        return self.hosts.kernel.slots.get(self.name)

    @property
    def _plugin_id(self) -> int:
        assert self.ctx is not None
        return self.ctx.plugin_id

    @property
    def holds(self) -> bool:
        """Whether it is told nothing for the moment, so that its state is of one number."""
        return self._marker.holds

    @property
    def answer_s(self) -> float:
        """How long it may take to answer, in real time."""
        return self.spec.answer_s

    def wants(self, schema_id: int) -> bool:
        """Return whether it is sent records of a schema: it hears them, or its context must know them."""
        if self.wanted is None or schema_id in self.wanted:
            return True
        layout = schema_by_id(schema_id)
        return layout.cls is Interned or layout.topic.startswith("refdata.")

    @property
    def throughout(self) -> bool:
        """Whether it takes events from Configure to Stop, not only between Start and Drain."""
        return self.described is not None and THROUGHOUT in self.described.capabilities

    @property
    def stepped(self) -> bool:
        """Whether time stands still for it."""
        return self.hosts.stepped

    def lose(self, text: str, *, breach: bool = False) -> None:
        """Give it up, with the reason: it is killed, and whoever looks after it is told."""
        if self.link is not None and not self.link.lost:
            self.link.lose(text, breach=breach)
