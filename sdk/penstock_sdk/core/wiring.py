"""Who hears what: handlers found on plugins, compiled to one tuple of callables per record type.

Nothing is looked up per event beyond one dict access. Order is the deployment's order, the kernel's own parts first.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from penstock_sdk.context import Context
from penstock_sdk.core.faults import Raised, Recording
from penstock_sdk.events import Order, Reconcile, TaskResult, Timer
from penstock_sdk.schema import Frame, Layout, layouts
from penstock_sdk.wire.frame import Encode, Origin, encoder, packer

__all__ = ["FrameRoute", "Route", "Slot", "Target", "WiringError", "compile_routes", "handlers_of"]

_OWN_METHODS = {"on_resume", "on_start", "on_stop"}


class WiringError(TypeError):
    """A plugin has a handler that no record calls, or one of a wrong signature."""


class Slot:
    """One plugin instance in the kernel: who it is, and what it has cost so far."""

    __slots__ = ("ctx", "faults", "is_venue", "kind", "may_order", "name", "origin", "plugin", "plugin_id", "recording")

    def __init__(self, name: str, plugin_id: int, plugin: Any, kind: str, ctx: Context | None = None) -> None:
        self.name = name
        self.plugin_id = plugin_id
        self.plugin = plugin
        self.kind = kind
        self.ctx = ctx
        self.faults = 0
        self.is_venue = kind == "venue"
        self.may_order = kind in ("strategy", "execution")
        self.origin = int(Origin.DERIVED if getattr(plugin, "deterministic", True) else Origin.REPLY)
        """REPLY when what it returns is recorded, not recomputed."""
        self.recording: Recording | None = None
        """In a replay of a recorded plugin: what it said, asked in its place."""


class Target(NamedTuple):
    """One callable that hears a type of record."""

    call: Callable[[Any], Any]
    slot: Slot
    name: str


class Route(NamedTuple):
    """Where single events of one type go, and how they are packed."""

    targets: tuple[Target, ...]
    """Those who hear it whoever it is addressed to."""
    sink: Callable[[bytes], object] | None
    """Takes the bytes of every event; None where they are not kept."""
    pack: Callable[..., bytes] | None
    """Packs header and record in one call; None for control and diagnostic records."""
    encode: Encode
    size: int
    schema_id: int
    version: int
    address: Callable[[Any], int] | None
    """Returns the plugin id that an event is addressed to; None when all hear it."""
    by_id: dict[int, tuple[Target, ...]]
    """Those, and the addressee, in deployment order."""


class FrameRoute(NamedTuple):
    """Where frames of one type go."""

    targets: tuple[Target, ...]


class _FrameOfOne:
    """Turns an event into a frame of one, once for all who want frames."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._event: Any = None
        self._frame: Any = None

    def __call__(self, event: Any) -> Frame:
        if event is not self._event:
            self._frame = Frame.from_body(self._layout, self._layout.pack(event))
            self._event = event
        frame: Frame = self._frame
        return frame


def handlers_of(plugin: Any, kind: str) -> dict[tuple[int, bool], Callable[[Any], Any]]:
    """Return the plugin's handlers by (schema id, takes frames).

    Raises:
        WiringError: a method ``on_…`` names no record (the nearest name is given), or does not take one argument.
    """
    own = getattr(plugin, "handlers", None)
    if kind == "kernel" and own is not None:
        return dict(own())
    known: dict[str, tuple[int, bool]] = {}
    for layout in layouts():
        known["on_" + layout.snake] = (layout.id, False)
        if layout.packed:
            known["on_" + layout.plural] = (layout.id, True)
    found: dict[tuple[int, bool], Callable[[Any], Any]] = {}
    for name in sorted(n for n in dir(type(plugin)) if n.startswith("on_") and n not in _OWN_METHODS):
        where = f"{type(plugin).__module__}.{type(plugin).__name__}.{name}"
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise WiringError(f"{where} names no record{hint}")
        call = getattr(plugin, name)
        takes = [p for p in inspect.signature(call).parameters.values() if p.default is p.empty]
        if len(takes) != 1:
            raise WiringError(f"{where} met {len(takes)} arguments, wanted one: the event or the frame")
        found[known[name]] = call
    return found


def _address_field(layout: Layout, kind: str) -> str | None:
    """Return the field that says whether a plugin of *kind* hears a record, or None when it hears them all."""
    if layout.cls in (Timer, TaskResult) and kind != "kernel":
        return "plugin_id"
    names = layout.cls.__struct_fields__
    if kind in ("strategy", "execution") and "strategy_id" in names and layout.topic.split(".")[0] != "risk":
        return "strategy_id"
    if kind == "venue" and layout.cls in (Order, Reconcile):
        return "venue_id"
    return None


def compile_routes(slots: Iterable[Slot]) -> tuple[dict[type, Route], dict[int, FrameRoute]]:
    """Return the routes of single events by type, and of frames by schema id.

    Cost: O(plugins × records), at start and whenever a plugin joins or leaves.
    """
    tables = [(slot, handlers_of(slot.plugin, slot.kind)) for slot in slots]
    routes: dict[type, Route] = {}
    frames: dict[int, FrameRoute] = {}
    for layout in layouts():
        routes[layout.cls] = _route(layout, tables)
        if layout.packed:
            frames[layout.id] = _frame_route(layout, tables)
    return routes, frames


def _encoding(layout: Layout) -> tuple[Callable[..., bytes] | None, Encode, int, int, int]:
    pack = packer(layout) if layout.packed and not layout.diagnostic else None
    return pack, encoder(layout), layout.size, layout.id, layout.version


Tables = list[tuple[Slot, dict[tuple[int, bool], Callable[[Any], Any]]]]


def _route(layout: Layout, tables: Tables) -> Route:
    one = _FrameOfOne(layout)
    hearing: list[tuple[Target, str | None]] = []
    for slot, handlers in tables:
        if slot.recording is not None:
            if any((layout.id, takes_frame) in handlers for takes_frame in (False, True)):
                hearing.append((Target(_play_back(slot), slot, "recorded"), _address_field(layout, slot.kind)))
            continue
        single, batch = handlers.get((layout.id, False)), handlers.get((layout.id, True))
        address = _address_field(layout, slot.kind)
        if single is not None:
            hearing.append((Target(single, slot, f"on_{layout.snake}"), address))
        elif batch is not None:
            hearing.append((Target(_with_frame_of_one(batch, one), slot, f"on_{layout.plural}"), address))
    fields = {field for _, field in hearing if field}
    if layout.cls is Order and fields:
        return _order_route(layout, hearing)
    field = fields.pop() if fields else None
    everyone = tuple(target for target, address in hearing if address is None)
    by_id = {
        slot_id: tuple(t for t, address in hearing if address is None or t.slot.plugin_id == slot_id)
        for slot_id in {t.slot.plugin_id for t, address in hearing if address}
    }
    return Route(everyone, None, *_encoding(layout), attrgetter(field) if field else None, by_id)


def _order_route(layout: Layout, hearing: list[tuple[Target, str | None]]) -> Route:
    """Orders have two addressees: the venue that executes them and the strategy that owns them."""
    venues = {t.slot.plugin_id for t, address in hearing if address == "venue_id"} | {0}
    owners = {t.slot.plugin_id for t, address in hearing if address == "strategy_id"} | {0}

    def hears(target: Target, address: str | None, venue: int, owner: int) -> bool:
        return address is None or target.slot.plugin_id == (venue if address == "venue_id" else owner)

    by_id = {
        venue << 32 | owner: tuple(t for t, address in hearing if hears(t, address, venue, owner))
        for venue in venues
        for owner in owners
    }

    def address(order: Order) -> int:
        return (order.venue_id if order.venue_id in venues else 0) << 32 | (
            order.strategy_id if order.strategy_id in owners else 0
        )

    return Route(by_id[0], None, *_encoding(layout), address, by_id)


def _with_frame_of_one(call: Callable[[Any], Any], one: _FrameOfOne) -> Callable[[Any], Any]:
    return lambda event: call(one(event))


def _frame_route(layout: Layout, tables: Tables) -> FrameRoute:
    targets: list[Target] = []
    for slot, handlers in tables:
        if slot.recording is not None:
            if any((layout.id, takes_frame) in handlers for takes_frame in (False, True)):
                targets.append(Target(_play_back(slot), slot, "recorded"))
            continue
        field = _address_field(layout, slot.kind)
        single, batch = handlers.get((layout.id, False)), handlers.get((layout.id, True))
        if batch is None and single is None:
            continue
        name = f"on_{layout.plural if batch is not None else layout.snake}"
        call = batch if batch is not None else _one_by_one(single, name)  # type: ignore[arg-type]
        if field is not None:
            call = _own_records(call, field, slot.plugin_id)
        targets.append(Target(call, slot, name))
    return FrameRoute(tuple(targets))


def _one_by_one(call: Callable[[Any], Any], name: str) -> Callable[[Frame], Any]:
    """Call for every record; one at which it raises takes nothing from the others."""

    def each(frame: Frame) -> list[Any]:
        out: list[Any] = []
        for event in frame.records():
            try:
                result = call(event)
            except Exception as error:
                out.append(Raised(name, error))
                continue
            if result is None:
                continue
            if isinstance(result, (list, tuple)):
                out.extend(result)
            else:
                out.append(result)
        return out

    return each


def _own_records(call: Callable[[Frame], Any], field: str, plugin_id: int) -> Callable[[Frame], Any]:
    def own(frame: Frame) -> Any:
        mine = frame.array[field] == plugin_id
        if mine.all():
            return call(frame)
        if not mine.any():
            return None
        return call(Frame(frame.layout.cls, np.ascontiguousarray(frame.array[mine])))

    return own


def _play_back(slot: Slot) -> Callable[[Any], Any]:
    """Return what a recorded plugin returned for the event at hand, in place of calling it."""
    assert slot.recording is not None and slot.ctx is not None
    recording, ctx = slot.recording, slot.ctx
    return lambda _event: recording.answer(ctx.seq)
