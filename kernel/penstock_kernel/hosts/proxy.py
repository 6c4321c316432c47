"""What stands in the kernel for a plugin out of process: a class of its kind that hears what the manifest names.

The manifest's ``topics_in`` decide who hears what, in the run and in a play-back, which starts no process. What the
plugin does not want to hear, by its own word, is not sent to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from penstock_kernel.hosts.commands import HostError
from penstock_sdk.events import Interned, Order, TaskResult, Timer
from penstock_sdk.plugin import KINDS, Plugin
from penstock_sdk.schema import Event, Frame, Layout, Record, layouts

if TYPE_CHECKING:
    from penstock_kernel.deployment import PluginSpec
    from penstock_kernel.hosts.process_host import ProcessHost
    from penstock_sdk.context import Context

__all__ = ["Proxy", "make_proxy"]

AHEAD = 1024
"""Recorded events that a feed is asked for at once."""
_ALWAYS = (Interned, Timer, TaskResult)


class Proxy(Plugin):
    """The parts that proxies of every kind have; `make_proxy` adds the handlers."""

    deterministic = False
    elsewhere = True
    host: ProcessHost
    answers_later = False
    """A check in wall time: its verdict comes as an input, and the order waits for it."""

    def __init__(self, ctx: Context, config: Any = None) -> None:
        super().__init__(ctx, None)
        self.host.attached(ctx)
        kernel = self.host.hosts.kernel
        if kernel.live:
            self._begin()
            self.host.early = self.host.stepped and self.host.throughout
        elif kernel.undone is not None and kernel.is_undone_here():
            raise HostError(kernel.undone.why)  # as then: it did not come up
        elif why := kernel.failed_then(ctx.name):
            raise HostError(why)

    def _begin(self) -> None:
        """Have its process come up; in wall time a start goes on without one that does not, as when it is lost later.

        Raises:
            HostError: it does not come up under the simulated clock, or in the middle of a run.
        """
        host = self.host
        try:
            if why := host.hosts.unmet.pop(host.name, ""):
                raise HostError(why)
            host.begin()
        except HostError as error:
            if host.stepped or host.hosts.kernel.started:
                raise
            host.hosts.lost(host, str(error))

    def on_start(self) -> Any:
        """Let the plugin begin; return what it says first."""
        with self.host.hosts.cascade():
            return self.host.start(resumed=False)

    def on_resume(self) -> Any:
        """As `on_start`, with what it left."""
        with self.host.hosts.cascade():
            return self.host.start(resumed=True)

    def on_stop(self) -> Any:
        """Let the plugin say its last."""
        with self.host.hosts.cascade():
            return self.host.drain()

    def check_order(self, order: Order) -> Any:
        """Return the check's verdict, or None where it comes later."""
        with self.host.hosts.cascade():
            return self.host.ask_check(order)

    def events(self) -> Iterator[tuple[int, Event]]:
        """Yield a feed's recorded events; in wall time they come in by themselves."""
        taken_all = not self.host.stepped
        while not taken_all:
            found, taken_all = self.host.take_ahead(AHEAD)
            yield from found

    def snapshot(self) -> Any:
        """Return the plugin's state with the number of the last event in it, or None."""
        return self.host.snapshot()

    def restore(self, state: Any) -> None:
        """Keep what `snapshot` returned, for the process to come."""
        self.host.restore(state)


def make_proxy(spec: PluginSpec, host: ProcessHost) -> type[Plugin]:
    """Return a class that stands for the instance *spec*, whose process *host* looks after."""
    manifest = spec.manifest
    base = KINDS[manifest.kind]
    heard: dict[str, Any] = {}
    for layout in layouts():
        if not _hears(layout, manifest.topics_in) and not (manifest.kind == "venue" and layout.cls is Order):
            continue
        heard["on_" + layout.snake] = _teller(layout)
        if layout.packed:
            heard["on_" + layout.plural] = _teller(layout)
    name = f"Proxy of {manifest.id}"
    more: dict[str, Any] = {"host": host, "kind": manifest.kind, "__module__": __name__, "__qualname__": name}
    if manifest.kind == "venue":
        more["embedded"] = manifest.embedded
    more["answers_later"] = manifest.kind in ("risk", "compliance") and not host.stepped
    if spec.answer_ms is not None:
        more["answer_ms"] = spec.answer_ms
    names = {key for key in dir(base) if key.startswith("on_")} - {"on_start", "on_resume", "on_stop"} - set(heard)
    assert not names, f"handlers of {base.__name__} itself: {names}"
    cls: type[Plugin] = type(name, (Proxy, base), heard | more)
    return cls


def _hears(layout: Layout, topics_in: tuple[str, ...]) -> bool:
    # Names and reference data go to every plugin: its context must know them.
    if layout.cls in _ALWAYS or layout.topic.startswith("refdata."):
        return True
    return any(fnmatchcase(layout.topic, pattern) for pattern in topics_in)


def _teller(layout: Layout) -> Callable[[Any, Record | Frame], Any]:
    schema_id = layout.id

    def tell(self: Proxy, event: Any) -> Any:
        hosts = self.host.hosts
        hosts.inside += 1
        try:
            return self.host.tell(event, schema_id)
        finally:
            hosts.inside -= 1

    return tell
