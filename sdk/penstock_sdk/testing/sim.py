"""A simulated kernel: the real kernel's core, with a list for a journal and a clock that is told the time.

kernel = SimKernel(seed=1)
hello = kernel.add(HelloStrategy, "hello", HelloStrategy.Config(qty_lots=2))
kernel.start()
kernel.feed(Quote(1, bid_ticks=-250, bid_lots=5), at_ns=1_000)
assert kernel.of(OrderIntent) == [...]
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from penstock_sdk.core.cascade import EVENTS_PER_INPUT_MAX, FAULTS_MAX
from penstock_sdk.core.core import Core
from penstock_sdk.core.faults import task_result
from penstock_sdk.core.received import received
from penstock_sdk.core.wiring import Slot
from penstock_sdk.events import (
    ClockKind,
    ContractDefinition,
    IdKind,
    ListingDefinition,
    OperatorCommand,
    Severity,
    TaskResult,
    ZoneDefinition,
)
from penstock_sdk.plugin import Feed, Plugin
from penstock_sdk.schema import Event, layout_of, schema_by_id
from penstock_sdk.wire.frame import DIAGNOSTIC, HEADER, HEADER_BYTES, Origin
from penstock_sdk.wire.segment_chain import sha256_of_frames

__all__ = ["SimKernel"]

T = TypeVar("T")
P = TypeVar("P", bound=Plugin)
QUARTER_HOUR_NS = 900_000_000_000


class SimKernel(Core):
    """Runs plugins in a test. Submitted work runs at once; effects happen after the cascade; frames are poisoned.

    Same plugins, configs, seeds and inputs give the same digest as the real kernel's journal over the same events.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        start_ns: int = 0,
        events_per_input_max: int = EVENTS_PER_INPUT_MAX,
        faults_max: int = FAULTS_MAX,
    ) -> None:
        self.frames: list[bytes] = []
        """Every frame, as the journal would hold it."""
        super().__init__(
            sink_for=lambda schema_id: self.frames.append,
            run_seed=seed,
            events_per_input_max=events_per_input_max,
            faults_max=faults_max,
        )
        self.moment.now_ns = start_ns
        self.cascade.after_frame = self.poison
        self.logged: list[str] = []
        self._effects: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self._results: list[TaskResult] = []
        self._feeds: list[tuple[Slot, Iterator[tuple[int, Event]], list[tuple[int, Event]]]] = []

    # -- building --------------------------------------------------------------------------------------------------

    def add(self, cls: type[P], name: str, config: Any = None, **context: Any) -> P:
        """Attach a plugin and return it. Orders carry its name as book, trader and account."""
        algo = getattr(cls, "__name__", name)  # what is no class is refused by attach
        slot = self.attach(cls, name, config, identity=self.identity(name, algo, 1, name, name), **context)
        plugin: P = slot.plugin
        return plugin

    def add_listing(
        self,
        name: str,
        venue_id: int,
        *,
        start_ns: int = 0,
        quarter_hours: int = 1,
        tick_micro: int = 10_000,
        lot_kw: int = 100,
        gate_closure_ns: int = 2**62,
    ) -> int:
        """Announce a listing that delivers for some quarter-hours from *start_ns*; return its id.

        Before `start` only the kernel hears of it (``ctx.listing`` knows it), afterwards every plugin does.
        """
        zone_id = self.intern_input(IdKind.ZONE, "TEST")
        currency_id = self.intern_input(IdKind.CURRENCY, "EUR")
        contract_id = self.intern_input(IdKind.CONTRACT, name)
        listing_id = self.intern_input(IdKind.LISTING, name)
        end_ns = start_ns + quarter_hours * QUARTER_HOUR_NS
        product = "H" if quarter_hours == 4 else "QH"
        self.feed(ZoneDefinition(zone_id=zone_id, code="TEST", timezone="Etc/UTC", currency="EUR"))
        self.feed(
            ContractDefinition(
                contract_id=contract_id, name=name, zone_id=zone_id, product=product, delivery_start_ns=start_ns,
                delivery_end_ns=end_ns, currency_id=currency_id,
            )
        )  # fmt: skip
        self.feed(
            ListingDefinition(
                listing_id=listing_id, contract_id=contract_id, venue_id=venue_id, name=name, tick_micro=tick_micro,
                lot_kw=lot_kw, price_min_ticks=-999_900, price_max_ticks=999_900, opens_ns=0,
                gate_closure_ns=gate_closure_ns,
                cash_micro_per_lot_tick=tick_micro * lot_kw * quarter_hours // 4_000,
                interval_start_ns=start_ns, interval_ns=QUARTER_HOUR_NS, interval_count=quarter_hours,
            )
        )  # fmt: skip
        return listing_id

    def start(self) -> None:
        """Wire the plugins and start them in the order they were added."""
        self.wire()
        for slot in list(self.slots.values()):
            self.start_plugin(slot)
            self._run_effects()
        self._feeds = [(s, s.plugin.events(), []) for s in self.slots.values() if isinstance(s.plugin, Feed)]
        self._settle()

    # -- running ---------------------------------------------------------------------------------------------------

    def feed(self, event: Event, at_ns: int | None = None, producer: str = "") -> None:
        """Handle one input at *at_ns* (now, when omitted), after the timers and feeds that are due before it."""
        if at_ns is not None:
            self.run_until(at_ns)
        slot = self.slots[producer] if producer else self.cascade.kernel_slot
        self.cascade.run(event, Origin.EXTERNAL, slot)
        self._settle()

    def command(
        self, command: str, *, who: str = "test", why: str = "test", target: str = "", argument: str = ""
    ) -> None:
        """Handle an operator's command."""
        event = OperatorCommand(command=command, who=who, why=why, target=target, argument=argument)
        self.cascade.run(event, Origin.OPERATOR, self.cascade.kernel_slot)
        self._settle()

    def run_until(self, until_ns: int) -> None:
        """Fire timers and read feeds up to and including *until_ns*; then it is *until_ns*."""
        while True:
            timer_ns = self.timers.next_ns()
            source = self._next_source()
            if timer_ns is not None and timer_ns <= until_ns and (source is None or timer_ns <= source[0]):
                self.moment.now_ns = max(self.moment.now_ns, timer_ns)
                self.cascade.run(self.timers.pop(), Origin.TIMER, self.cascade.kernel_slot)
            elif source is not None and source[0] <= until_ns:
                at_ns, slot, event = source[0], source[1], source[2].pop()[1]
                self.moment.now_ns = max(self.moment.now_ns, at_ns)
                self.cascade.run(received(event, at_ns, ClockKind.SIMULATED), Origin.EXTERNAL, slot)
            else:
                break
            self._settle()
        self.moment.now_ns = max(self.moment.now_ns, until_ns)

    def _next_source(self) -> tuple[int, Slot, list[tuple[int, Event]]] | None:
        best: tuple[int, Slot, list[tuple[int, Event]]] | None = None
        for slot, iterator, ahead in self._feeds:
            if slot not in self.cascade.slots:
                continue  # quarantined
            if not ahead:
                item = next(iterator, None)
                if item is None:
                    continue
                ahead.append(item)
            if best is None or ahead[0][0] < best[0]:
                best = (ahead[0][0], slot, ahead)
        return best

    def stop(self) -> None:
        """Stop the plugins in reverse order."""
        for slot in reversed(self.slots.values()):
            if slot in self.cascade.slots:
                self.stop_plugin(slot)
                self._run_effects()

    def _settle(self) -> None:
        """Let effects happen, and hand submitted work's results back, before time goes on."""
        self._run_effects()
        while self._results:
            results, self._results = self._results, []
            for result in results:
                self.cascade.run(result, Origin.REPLY, self.cascade.kernel_slot)
                self._run_effects()

    def _run_effects(self) -> None:
        effects, self._effects = self._effects, []
        for fn, args in effects:
            fn(*args)

    def submit(self, plugin_id: int, fn: Callable[..., Any], args: tuple[Any, ...]) -> int:
        """Run the work now; its result is the next input."""
        task_id = super().submit(plugin_id, fn, args)
        self._results.append(task_result(plugin_id, task_id, lambda: _as_elsewhere(fn, args)))
        return task_id

    def effect(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> None:
        """Keep the effect until the cascade is over."""
        self._effects.append((fn, args))

    def write_log(self, severity: Severity, name: str, text: str, fields: dict[str, Any]) -> None:
        """Keep the line in ``logged``."""
        more = " ".join(f"{key}={value}" for key, value in fields.items())
        self.logged.append(f"{severity.name} {name}: {text} {more}".rstrip())

    # -- looking ---------------------------------------------------------------------------------------------------

    @property
    def events(self) -> list[tuple[int, int, Any]]:
        """Return every record so far as (seq, at_ns, record), frames expanded."""
        out: list[tuple[int, int, Any]] = []
        for data in self.frames:
            body_bytes, schema_id, _, _, seq, at_ns, *_ = HEADER.unpack_from(data)
            layout = schema_by_id(schema_id)
            body = data[HEADER_BYTES : HEADER_BYTES + body_bytes]
            if layout.packed:
                out.extend((seq + i, at_ns, record) for i, record in enumerate(layout.unpack_many(body)))
            else:
                out.append((seq, at_ns, layout.unpack(body)))
        return out

    def of(self, cls: type[T]) -> list[T]:
        """Return every record of one type so far, in order."""
        wanted = layout_of(cls).id
        out: list[T] = []
        for data in self.frames:
            body_bytes, schema_id = HEADER.unpack_from(data)[:2]
            if schema_id == wanted:
                body = data[HEADER_BYTES : HEADER_BYTES + body_bytes]
                layout = layout_of(cls)
                out.extend(layout.unpack_many(body) if layout.packed else [layout.unpack(body)])
        return out

    def digest(self) -> str:
        """Return the digest of every logical frame so far, in hex: that of a journal with the same frames."""
        return sha256_of_frames(data for data in self.frames if not data[7] & DIAGNOSTIC)


def _as_elsewhere(fn: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Call as another process would, which a run gives the work to: on copies, and only what pickles."""
    fn_there, args_there = pickle.loads(pickle.dumps((fn, args)))
    return fn_there(*args_there)
