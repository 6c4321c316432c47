"""What must hold whatever breaks: one small class for each promise.

An invariant looks at every event as it is numbered (`on_event`, before the account takes it), at the kernel between
inputs (`on_input`), when a start has succeeded (`on_start`), when a session or a life of the process has ended
(`on_end_of_session`), and when all is over (`on_end`). It returns what is wrong, in words, or nothing.
"""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING, ClassVar

import msgspec

from penstock_kernel.alerts.alert_log import ALERTS_FILE
from penstock_kernel.chaos.account import Account, Entry, loosening
from penstock_kernel.kernel import COMMIT_FRAMES, Kernel
from penstock_kernel.strictest import strictness
from penstock_sdk.core.alert_book import CHANGES_MAX, OPEN_MAX
from penstock_sdk.events import (
    CheckResult,
    CheckVerdict,
    ExecutionReport,
    IntentAction,
    Limit,
    LimitKind,
    Order,
    OrderState,
    Position,
    ReportKind,
)
from penstock_sdk.schema import ABSENT

if TYPE_CHECKING:
    from penstock_kernel.chaos.world import World

__all__ = ["INVARIANTS", "Invariant", "leaves"]

_HANDLES_SPARE = 8


def leaves(entry: Entry) -> bool:
    """Return whether an event is a new order on its way to a venue."""
    order = entry.record
    return type(order) is Order and order.action == IntentAction.NEW and order.state == OrderState.ROUTED


class Invariant:
    """One promise. ``name`` is what reports call it, the docstring what it promises."""

    name: ClassVar[str] = ""

    def __init__(self, world: World) -> None:
        self.world = world

    @property
    def account(self) -> Account:
        """What the journal says so far."""
        return self.world.account

    def on_event(self, entry: Entry) -> str:
        """Look at an event before the account takes it."""
        return ""

    def on_input(self, kernel: Kernel) -> str:
        """Look at the kernel when an input and all that follows from it have been handled."""
        return ""

    def on_start(self, kernel: Kernel) -> str:
        """Look at a kernel that has just started."""
        return ""

    def on_end_of_session(self, kernel: Kernel) -> str:
        """Look at a kernel whose session is over, in order or because its journal failed."""
        return ""

    def on_end(self) -> str:
        """Look at what is left when the last session is over."""
        return ""


class Numbering(Invariant):
    """Numbers are contiguous: no event is missing, none has another's number."""

    name = "numbering"

    def on_event(self, entry: Entry) -> str:
        """Hold a number against the one before."""
        wanted = self.account.last_seq + 1
        return "" if entry.seq == wanted else f"event {entry.seq} follows {wanted - 1}"


class Causes(Invariant):
    """A cause comes before its effect."""

    name = "causes"

    def on_event(self, entry: Entry) -> str:
        """Hold an event's number against its cause's."""
        if entry.cause_seq == ABSENT or 0 < entry.cause_seq < entry.seq:
            return ""
        return f"event {entry.seq} names {entry.cause_seq} as its cause"


class Time(Invariant):
    """The run's time never goes back."""

    name = "time"

    def on_event(self, entry: Entry) -> str:
        """Hold a stamp against the one before."""
        back_ns = self.account.last_ns - entry.at_ns
        return f"{back_ns} ns back, from {self.account.last_ns} to {entry.at_ns}" if back_ns > 0 else ""


class Checked(Invariant):
    """No order leaves which the checks have not let pass, each of them."""

    name = "checked"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._passed: dict[int, int] = {}

    def on_event(self, entry: Entry) -> str:
        """Count the verdicts on an order, and hold an order that leaves against them."""
        record = entry.record
        if type(record) is CheckVerdict:
            count = self._passed.get(record.order_id, 0)
            self._passed[record.order_id] = count + 1 if record.result == CheckResult.PASSED and count >= 0 else -1
        elif leaves(entry):
            passed, wanted = self._passed.pop(record.order_id, 0), self.world.checks
            if passed < wanted:
                met = "one refused it" if passed < 0 else f"{passed} let it pass"
                return f"order {record.order_id} left, and of {wanted} checks {met}"
        return ""


class Stopped(Invariant):
    """No new order leaves while killed, paused, or while its venue has not said where our orders stand."""

    name = "stopped"

    def on_event(self, entry: Entry) -> str:
        """Hold an order that leaves against what is stopped."""
        why = self.account.stopped_for(entry.record, entry.cause_seq) if leaves(entry) else ""
        since = self.account.stops.get(why)
        return f"order {entry.record.order_id} left, {why} since event {since}" if why else ""


class JournalFirst(Invariant):
    """No new order leaves once the journal has failed."""

    name = "journal-failed"

    def on_event(self, entry: Entry) -> str:
        """Look whether the journal still works when an order leaves."""
        journal = self.world.journal
        if journal is None or not journal.failed or not leaves(entry):
            return ""
        return f"order {entry.record.order_id} left, and the journal takes nothing since event {journal.written_seq}"


class Effects(Invariant):
    """What leaves the process leaves after what caused it is written; of a journal that failed, cancels alone."""

    name = "effects"

    def on_input(self, kernel: Kernel) -> str:
        """Tell of the effects that the world saw happen too early."""
        return self.world.early.pop(0) if self.world.early else ""


class Ids(Invariant):
    """No order id is given twice, over all restarts."""

    name = "ids"

    def on_event(self, entry: Entry) -> str:
        """Look whether an order's id is known."""
        order = entry.record
        given = type(order) is Order and order.action == IntentAction.NEW
        if given and order.state in (OrderState.ROUTED, OrderState.REFUSED) and order.order_id in self.account.ids:
            return f"order id {order.order_id} is given again"
        return ""


class Orders(Invariant):
    """Every order's states are legal, what is not is told by an alert, and the desk knows what the journal says."""

    name = "orders"

    def on_input(self, kernel: Kernel) -> str:
        """Hold the desk's open orders against the account's."""
        account = self.account
        if account.illegal:
            seq, what = next(iter(account.illegal.items()))
            return f"event {seq} is {what}, and no alert tells of it"
        if not account.changed:
            return ""
        account.changed = False
        theirs = {i: (held.state, held.filled_lots) for i, held in kernel.desk.open.items()}
        ours = {i: (held.state, held.filled_lots) for i, held in account.open.items()}
        if theirs == ours:
            return ""
        wrong = next(i for i in {**ours, **theirs} if ours.get(i) != theirs.get(i))
        return f"order {wrong} is {_shown(theirs.get(wrong))} at the desk and {_shown(ours.get(wrong))} in the journal"


def _shown(state: tuple[OrderState, int] | None) -> str:
    return "not open" if state is None else f"{state[0].name} with {state[1]} lots filled"


class Quantities(Invariant):
    """No order is filled beyond its quantity."""

    name = "quantities"

    def on_event(self, entry: Entry) -> str:
        """Hold a fill against what was left."""
        report = entry.record
        if type(report) is not ExecutionReport or report.kind != ReportKind.FILL:
            return ""
        held = self.account.open.get(report.order_id)
        if held is None or held.filled_lots + report.last_lots <= held.order.qty_lots:
            return ""
        filled_lots = held.filled_lots + report.last_lots
        return f"order {report.order_id} of {held.order.qty_lots} lots has {filled_lots} filled"


class Positions(Invariant):
    """A position is the sum of its fills."""

    name = "positions"

    def on_event(self, entry: Entry) -> str:
        """Hold a position that a fill caused against the fills up to it."""
        record = entry.record
        if type(record) is not Position or entry.cause_seq not in self.account.net_after:
            return ""
        (strategy_id, listing_id), net_lots = self.account.net_after[entry.cause_seq]
        if (record.strategy_id, record.listing_id, record.net_lots) == (strategy_id, listing_id, net_lots):
            return ""
        if self.world.portfolio_faulty:
            return ""  # it did not hear every fill
        return (
            f"strategy {record.strategy_id} is told to hold {record.net_lots} lots of listing {record.listing_id}, "
            f"its fills come to {net_lots}"
        )


class Switches(Invariant):
    """Kill switch, pauses and quarantines are after a restart what they were."""

    name = "switches"

    def on_start(self, kernel: Kernel) -> str:
        """Hold the desk's switches against the account's."""
        stops = self.account.stops
        paused = {int(name.split()[1]) for name in stops if name.startswith("paused")}
        if kernel.desk.killed != ("killed" in stops):
            return f"the kill switch is {_on(kernel.desk.killed)}, the journal has it {_on('killed' in stops)}"
        if kernel.desk.paused != paused:
            return f"paused are {sorted(kernel.desk.paused)}, the journal has {sorted(paused)}"
        if set(kernel.quarantined) != self.account.quarantined:
            return f"quarantined are {sorted(kernel.quarantined)}, the journal has {sorted(self.account.quarantined)}"
        return ""


def _on(value: bool) -> str:
    return "on" if value else "off"


class Limits(Invariant):
    """No restart loosens a limit."""

    name = "limits"

    def on_start(self, kernel: Kernel) -> str:
        """Hold the limits in force against those before the restart."""
        for key, before in self.world.limits_before.items():
            now = kernel.limits.values.get(key)
            if now is None or _looser(key[0], before, now):
                return f"{LimitKind(key[0]).name} of strategy {key[1]} was {before}, after the restart it is {now}"
        return ""

    def on_event(self, entry: Entry) -> str:
        """No plugin switches the kill switch or a pause off."""
        limit = entry.record
        if type(limit) is not Limit or not loosening(entry):
            return ""
        key = limit.kind, limit.strategy_id, limit.listing_id
        kernel = self.world.kernel
        off = kernel is not None and kernel.live and kernel.limits.values.get(key) == 0
        if not off or not self.account.limits.get(key):
            return ""
        return f"plugin {entry.producer} switched {LimitKind(limit.kind).name} off"


def _looser(kind: int, before: int, now: int) -> bool:
    if kind in (LimitKind.KILL, LimitKind.PAUSE):
        return now < before
    smaller = strictness(LimitKind(kind).name.lower(), before) == "smaller"
    return now > before if smaller else now < before


class Cancels(Invariant):
    """A journal that fails has every open order cancelled, and the cancels leave."""

    name = "cancels"

    def on_end_of_session(self, kernel: Kernel) -> str:
        """Look for orders that were left alone, once the journal had failed."""
        if kernel.journal is None or not kernel.journal.failed or not kernel.started:
            return ""
        alone = [i for i in kernel.desk.open if i not in self.world.cancelled]
        if alone:
            return f"the journal failed, and {len(alone)} orders were not cancelled, the first {alone[0]}"
        if self.world.unsent_cancels:
            return f"the journal failed, and {self.world.unsent_cancels} cancels did not leave"
        return ""


class Kept(Invariant):
    """The files hold what was written, byte for byte: no kill takes from it, no power loss from what was synced."""

    name = "kept"

    def on_start(self, kernel: Kernel) -> str:
        """Tell what the world met when it read the files again."""
        return self.world.reread_fault


class Memory(Invariant):
    """Queues are bounded, and a restart leaves no file open."""

    name = "memory"

    def on_input(self, kernel: Kernel) -> str:
        """Look at what waits."""
        if self.world.unwritten >= COMMIT_FRAMES:
            return f"{self.world.unwritten} frames wait to be written after an input, fewer than {COMMIT_FRAMES} may"
        book = kernel.alerts
        if len(book.open) > OPEN_MAX or len(book.changes) > CHANGES_MAX:
            return f"{len(book.open)} alerts are open and {len(book.changes)} changes untold"
        return ""

    def on_start(self, kernel: Kernel) -> str:
        """Hold the number of open files against that of the first start."""
        gc.collect()  # what a process that is gone had open is let go with its objects
        now = len(os.listdir("/proc/self/fd"))
        first = self.world.handles_first = self.world.handles_first or now
        return f"{now} files are open, at the first start it was {first}" if now > first + _HANDLES_SPARE else ""


class AlertsOnce(Invariant):
    """Every change of an alert is told once, over all restarts."""

    name = "alerts"

    def on_end(self) -> str:
        """Count the lines of the alerts' file, and hold them against the journal."""
        path = self.world.run_dir / ALERTS_FILE
        lines = path.read_bytes().splitlines() if path.exists() else []
        seen: set[tuple[int, int, int]] = set()
        for line in lines:
            told = msgspec.json.decode(line)
            position = told["epoch"], told["seq"], told["id"]
            if position in seen:
                return f"alert {told['key']} is told twice"
            seen.add(position)
        untold = self.world.told - seen
        if untold and not self.world.power_lost:
            return f"the alert of event {min(untold)[1]} is not told"
        return ""


class SameMarket(Invariant):
    """With kills alone and the market inside, what happens is what happens without them."""

    name = "same-as-uncut"

    def on_end(self) -> str:
        """Compare with the run that nothing befell."""
        return self.world.compare_with_uncut()


class Replays(Invariant):
    """The journal plays back to itself."""

    name = "replays"

    def on_end(self) -> str:
        """Play it back."""
        return self.world.replay_fault()


class Truth(Invariant):
    """At rest, positions and open orders are those of the venue outside; each order arrived there at most once."""

    name = "truth"

    def on_end(self) -> str:
        """Compare with every market outside."""
        return self.world.compare_with_markets()


INVARIANTS: tuple[type[Invariant], ...] = (
    Numbering, Causes, Time, Checked, Stopped, JournalFirst, Effects, Ids, Orders, Quantities, Positions, Switches,
    Limits, Cancels, Kept, Memory, AlertsOnce, SameMarket, Replays, Truth,
)  # fmt: skip
"""In the order they are asked; the first that does not hold ends the seed."""
