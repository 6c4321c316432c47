"""Operators' commands: refused when they make no sense, else done one after another, each answered after its effect."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from penstock_kernel.control.facts import Facts, Served, phase_of
from penstock_kernel.control.peers import Peer, Peers
from penstock_kernel.control.protocol import CommandAnswer, CommandRequest, Refusal
from penstock_kernel.control.state import Cause
from penstock_kernel.kernel import Kernel
from penstock_kernel.vitals import Phase
from penstock_sdk.core.desk import OpenOrder
from penstock_sdk.core.limit_rows import limit_rows
from penstock_sdk.core.wiring import Slot
from penstock_sdk.events import IdKind, LimitKind, OperatorCommand, OrderState

__all__ = ["COMMANDS", "Commands"]

COMMANDS = (
    "kill", "unkill", "pause", "resume", "cancel_all", "limits", "quarantine", "release", "ack", "stop", "apply",
)  # fmt: skip
EARLY = ("kill", "pause", "cancel_all", "stop")
"""What stops may be told while the kernel recovers: it is the first thing that it does once it is live."""
TARGETED = ("pause", "resume", "cancel_all", "quarantine", "release")
CANCELLING = ("kill", "pause", "cancel_all", "quarantine")
AGAIN = ("kill", "cancel_all", "stop")
"""What cancels those once more whose cancel is not answered yet."""
CANCEL_FIRST = "cancel"
"""Argument of `stop`: take no new order, and cancel every open one."""
WAITING_MAX = 1_000
ANSWERS_KEPT = 256
TEXT_MAX = 500
NAME_MAX = 200

Reply = Callable[[CommandAnswer | Refusal], object]


class _Met(NamedTuple):
    """What a command meets."""

    cancels: int
    """Sent so far."""
    lost_cancels: int
    """That the desk will count for orders at venues which hear nothing."""
    open_orders: int
    """Of its target."""
    stood: str
    """That what it wants is so already, or empty."""


class _Job:
    """A command on its way: who waits for its answer."""

    def __init__(self, request: CommandRequest, command: OperatorCommand) -> None:
        self.request = request
        self.command = command
        self.waiting: list[Reply] = []
        self.answer: CommandAnswer | Refusal | None = None

    def settle(self, answer: CommandAnswer | Refusal) -> None:
        """Answer all who wait, and whoever asks later."""
        self.answer = answer
        for reply in self.waiting:
            reply(answer)
        self.waiting.clear()


class Commands:
    """Takes commands for a run.

    One is done before the next is begun, so that each answer tells of its own effects alone.
    """

    def __init__(self, run: Served, facts: Facts, peers: Peers) -> None:
        self._run = run
        self._facts = facts
        self._peers = peers
        self._waiting: deque[_Job] = deque()
        self._running: _Job | None = None
        self._known: dict[str, _Job] = {}
        """By the caller's own id, the oldest first."""

    @property
    def _kernel(self) -> Kernel:
        return self._run.kernel

    def take(self, request: CommandRequest, peer: Peer, reply: Reply) -> None:
        """Take a command; *reply* is called with its answer, now or later."""
        known = self._known.get(request.request) if request.request else None
        if known is not None:
            self._again(known, request, reply)
            return
        answer = self._misshapen(request) or self._done_before(request)
        if answer is not None:
            reply(answer)
            return
        command = OperatorCommand(
            command=request.command, who=self._peers.name(peer), why=request.reason.strip(), target=request.target,
            argument=request.argument, peer=self._peers.identity(peer), request=request.request,
        )  # fmt: skip
        job = _Job(request, command)
        early = self._early(request)
        if isinstance(early, Refusal):
            reply(early)
            return
        if not early and request.command == "apply" and (faults := self._run.applying.faults(request.argument)):
            reply(Refusal(code="refused", text="; ".join(faults), faults=faults))
            return
        if not early and (refused := self._nonsense(request) or self._refused_by_plugin(command)):
            reply(refused if isinstance(refused, Refusal) else Refusal(code="refused", text=refused))
            return
        if request.request:
            self._remember(job)
        if not early and request.command == "apply":
            job.waiting.append(reply)
            self._run.applying.prepare(request.argument, lambda faults: self._prepared(job, faults))
            return
        self._waiting.append(job)
        if early and not request.wait:
            reply(CommandAnswer(outcome="queued", text=early))
        else:
            job.waiting.append(reply)
        self.next()

    def _prepared(self, job: _Job, faults: list[str]) -> None:
        """Go on with an `apply` whose plugins have come up beside what runs, or have not: then nothing has changed."""
        if faults:
            self._known.pop(job.request.request, None)  # it was not done, so the same may be tried again
            job.settle(Refusal(code="refused", text="; ".join(faults), faults=faults))
            return
        self._waiting.append(job)
        self.next()

    def _again(self, known: _Job, request: CommandRequest, reply: Reply) -> None:
        """Answer a request that came before: the same, once there is one."""
        same = known.request
        if (same.command, same.target, same.argument) != (request.command, request.target, request.argument):
            reply(_another(request, same.command, same.target))
        elif known.answer is not None:
            reply(known.answer)
        elif len(known.waiting) < WAITING_MAX:
            known.waiting.append(reply)
        else:
            reply(Refusal(code="busy", text=f"{WAITING_MAX} callers wait for this request already; ask later"))

    def _misshapen(self, request: CommandRequest) -> Refusal | None:
        """Return what is wrong with a request by itself."""
        text = ""
        if request.command not in self._words() and self._run.live:
            known = ", ".join(self._words())
            text = f"command {request.command[:NAME_MAX]!r} is not known; there are {known}"
        elif not request.reason.strip():
            text = f"{request.command} met no reason, wanted some words on why; give --reason"
        elif len(request.reason) > TEXT_MAX or not request.reason.isprintable():
            text = f"reason of {len(request.reason)} characters, wanted at most {TEXT_MAX} on one line"
        elif request.command == "stop" and request.argument not in ("", CANCEL_FIRST):
            text = f"stop met {request.argument[:NAME_MAX]!r}, wanted nothing or {CANCEL_FIRST!r}"
        elif len(request.target) > NAME_MAX or len(request.request) > NAME_MAX:
            text = f"target or request id of more than {NAME_MAX} characters"
        elif len(self._waiting) >= WAITING_MAX:
            return Refusal(code="busy", text=f"{WAITING_MAX} commands wait already; try again")
        return Refusal(code="refused", text=text) if text else None

    def _done_before(self, request: CommandRequest) -> CommandAnswer | Refusal | None:
        """Return the answer to a request that the journal knows from before a restart."""
        asked = self._kernel.ledger.requests.get(request.request) if request.request else None
        if asked is None:
            return None
        if not asked.same(request.command, request.target, request.argument):
            return _another(request, asked.command, asked.target)
        in_force = self._run.deployment.digest
        if asked.change_seq == 0:
            text = f"not done: the kernel was restarted after it took the command at seq {asked.seq}; apply it again"
            return Refusal(code="refused", text=text)
        if asked.change_seq > 0 and asked.deployment != in_force:
            met = f"changed to {asked.deployment[:12]}" if asked.deployment else "undone"
            runs = f"the kernel runs {in_force[:12]} now"
            text = f"{met} at seq {asked.change_seq}, and {runs}; see `penstock apply --plan`"
            return Refusal(code="refused", text=text)
        text = f"done before the kernel was restarted, at seq {asked.seq}"
        return CommandAnswer(outcome="done", text=text, seq=asked.seq, last_seq=asked.seq)

    def _remember(self, job: _Job) -> None:
        self._known[job.request.request] = job
        for request, held in list(self._known.items()):
            if len(self._known) <= ANSWERS_KEPT:
                break
            if held.answer is not None:
                del self._known[request]

    # -- what makes no sense ----------------------------------------------------------------------------------------

    def _early(self, request: CommandRequest) -> Refusal | str:
        """Return what to say while the kernel is not live, a refusal where it must be; nothing when it is."""
        phase, done, wanted = phase_of(self._kernel)
        if self._kernel.ended or phase in (Phase.ENDED, Phase.FAILED):
            return Refusal(code="refused", text=f"the run is over: {self._kernel.stopping or phase.name.lower()}")
        if self._run.live:
            return ""
        where = f"{phase.name.lower()}, {100 * done // wanted} %" if wanted else phase.name.lower()
        if request.command not in EARLY:
            text = f"{request.command} is not taken while the kernel is {where}; try again, or give --wait"
            return Refusal(code="recovering", text=text)
        names = [spec.name for spec in self._run.deployment.plugins]
        if request.target and request.target not in names:
            return Refusal(code="refused", text=_unknown(request, names))
        return f"queued: {where}; it is the first that is done then"

    def _nonsense(self, request: CommandRequest) -> str:
        """Return why a command cannot be done as things stand, with what there is; or nothing."""
        kernel, name, target = self._kernel, request.command, request.target
        traders = [slot.name for slot in kernel.desk.traders.values()]
        if target and name not in TARGETED and name != "ack":
            return f"{name} met target {target}, wanted none: it is for everything"
        if name in ("pause", "resume", "cancel_all") and target and target not in traders:
            return _unknown(request, traders)
        if name == "quarantine" and target not in kernel.slots:
            return _unknown(request, kernel.slots)
        if name == "release" and target not in kernel.quarantined:
            held = ", ".join(kernel.quarantined) or "none is"
            return f"release met {target or 'no name'}, wanted a quarantined plugin; there are: {held}"
        if name == "limits":
            return "; ".join(limit_rows(request.argument, traders)[1])
        if name == "ack" and not kernel.alerts.find(request.argument or request.target):
            some = ", ".join(f"{alert.code}:{alert.subject}" for alert in kernel.alerts.open[:10]) or "none"
            met = request.argument or request.target or "nothing"
            return f"ack met {met}, wanted CODE, CODE:SUBJECT or the id of an open alert, or all; open are {some}"
        return ""

    def _words(self) -> list[str]:
        """Return every command's word, those of plugins included."""
        return [*COMMANDS, *self._kernel.plugin_commands]

    def doer(self, word: str) -> Slot | Refusal:
        """Return the plugin that does the command *word*, or why none does it now."""
        kernel = self._kernel
        slot = kernel.plugin_commands.get(word)
        if slot is None:
            text = f"no plugin here does {word[:NAME_MAX]!r}; there are {', '.join(kernel.plugin_commands) or 'none'}"
            return Refusal(code="refused" if self._run.live else "recovering", text=text)
        if kernel.doer_of(word) is None:
            return Refusal(code="refused", text=f"plugin {slot.name}, which does {word}, is quarantined; release it")
        return slot

    def _refused_by_plugin(self, command: OperatorCommand) -> Refusal | None:
        """Return what the plugin that does a command says against it as things stand."""
        if command.command in COMMANDS:
            return None
        doer = self.doer(command.command)
        if isinstance(doer, Refusal):
            return doer
        faults = list(doer.plugin.check_command(command))
        return Refusal(code="refused", text="; ".join(faults), faults=faults) if faults else None

    # -- doing -----------------------------------------------------------------------------------------------------

    def next(self) -> None:
        """Begin the next command, when none is under way."""
        if self._running is not None or not self._waiting:
            return
        job = self._running = self._waiting.popleft()
        # While a kernel recovers, what stands now is not what the command will meet.
        met = self._met(job.command) if self._run.live else None
        self._run.command(job.command, lambda first, last: self._done(job, met, first, last))

    def _done(self, job: _Job, met: _Met | None, first_seq: int, last_seq: int) -> None:
        before = None if first_seq else self._done_before(job.request)
        answer = before or self._told(job, met, first_seq, last_seq)
        self._running = None
        job.settle(answer)
        self.next()

    def _met(self, command: OperatorCommand) -> _Met:
        """Return what a command meets as things stand."""
        held, again = self._open(command), command.command in AGAIN
        deaf = self._deaf()
        # A venue that is quarantined by this very command is sent no cancel.
        lost = [h for h in held if h.order.venue_id in deaf and (again or h.state != OrderState.PENDING_CANCEL)]
        lost_cancels = len(lost) if _cancels(command) else 0
        return _Met(self._kernel.desk.cancels, lost_cancels, len(held), self._stood(command))

    def _open(self, command: OperatorCommand) -> list[OpenOrder]:
        """Return the open orders of the target."""
        held = self._kernel.desk.open.values()
        if not command.target:
            return list(held)
        owner = self._kernel.slots.get(command.target)
        number = -1 if owner is None else owner.plugin_id
        return [h for h in held if number in (h.order.strategy_id, h.order.venue_id)]

    def _deaf(self) -> dict[int, str]:
        """Return the venues with open orders that hear no cancel: why, by their id."""
        kernel = self._kernel
        hears = {slot.plugin_id for slot in kernel.cascade.slots if slot.is_venue}
        why = {}
        for number in {held.order.venue_id for held in kernel.desk.open.values()} - hears:
            name = kernel.name_of(IdKind.PLUGIN, number)
            known = name in kernel.slots
            why[number] = (
                "it is quarantined" if name in kernel.quarantined
                else "its process was lost and is being started again" if name in kernel.away
                else "it is not in the deployment" if not known
                else "its process is being started again" if kernel.slots[name].plugin.elsewhere
                else "it starts with the next session"
            )  # fmt: skip
        return why

    def _stood(self, command: OperatorCommand) -> str:
        """Return `already on since …` where a command finds what it wants."""
        ledger, target = self._kernel.ledger, command.target
        if command.command == "stop":
            return f"already under way: {self._kernel.stopping}" if self._kernel.stopping else ""
        if command.command == "quarantine" and target in self._kernel.quarantined:
            change = ledger.quarantines.get(target)
            return _since(None if change is None else Cause(change.seq, change.at_ns, change.who, change.why))
        if command.command == "kill" and (killed := self._facts.killed()) is not None:
            return _since(killed.since)
        if command.command == "pause":
            stop = next((stop for stop in self._facts.pauses() if stop.name == target), None)
            return "" if stop is None else _since(stop.since)
        return ""

    def _told(self, job: _Job, met: _Met | None, first_seq: int, last_seq: int) -> CommandAnswer | Refusal:
        """Return the answer to a command that has been done."""
        kernel, command = self._kernel, job.command
        if command.command not in COMMANDS:
            return self._told_by_plugin(command, first_seq, last_seq)
        if command.command == "apply":
            applied = self._run.applying.last
            if applied.faults:
                return Refusal(code="refused", text="; ".join(applied.faults), faults=list(applied.faults))
            return CommandAnswer(outcome="done", text=applied.text, seq=first_seq, last_seq=last_seq)
        text = _WORDS[command.command].format(target=command.target or "every strategy")
        released = kernel.slots.get(command.target) if command.command == "release" else None
        if released is not None and released.plugin.elsewhere:
            text = f"released {command.target}; its process is started again now, without a new session"
        if command.command == "limits":
            rows, _ = limit_rows(command.argument, [slot.name for slot in kernel.desk.traders.values()])
            values = kernel.limits.values
            ids = {slot.name: slot.plugin_id for slot in kernel.slots.values()} | {"": 0}
            if not rows or any(values.get((kind, ids[owner], 0)) != value for owner, kind, value in rows):
                return Refusal(code="refused", text="limits changed meanwhile, none was set; see `penstock alerts`")
            text = f"{len(rows)} limits set: " + ", ".join(_row(*row) for row in rows)
        cancels = None if met is None else kernel.desk.cancels - met.cancels - met.lost_cancels
        if met is not None and met.stood:
            text += f", {met.stood}: done again"
        if met is not None and _cancels(command):
            text += f"; {cancels} cancels sent, {met.open_orders} orders open before"
        left, more = self._left(command)
        doubt = sum(held.state == OrderState.IN_DOUBT for held in kernel.desk.open.values())
        text += more + (f"; {doubt} orders are in doubt" if doubt else "")
        if kernel.journal is not None and kernel.journal.error is not None:
            text += f"; the journal could not keep it: {kernel.journal.error}"
        return CommandAnswer(
            outcome="done", text=text, seq=first_seq, last_seq=last_seq, cancels=cancels,
            open_before=None if met is None else met.open_orders, left=left,
        )  # fmt: skip

    def _told_by_plugin(self, command: OperatorCommand, first_seq: int, last_seq: int) -> CommandAnswer | Refusal:
        """Return what a plugin says of a command that it has done."""
        doer = self.doer(command.command)
        if isinstance(doer, Refusal):
            return doer
        outcome = doer.plugin.command_outcome(command)
        if outcome.faults:  # what it stood on has changed since it was checked
            return Refusal(code="refused", text="; ".join(outcome.faults), faults=list(outcome.faults))
        return CommandAnswer(outcome="done", text=outcome.text, seq=first_seq, last_seq=last_seq)

    def _left(self, command: OperatorCommand) -> tuple[dict[str, int], str]:
        """Return the orders by venue that a command leaves where nobody cancels them, and what to say of them.

        Of a cancelling command those at venues that hear nothing; of `stop` all that are open.
        """
        kernel, deaf, outside = self._kernel, self._deaf(), self._kernel.desk.outside
        if command.command not in (*CANCELLING, "stop"):
            return {}, ""
        left, text, rests = {}, "", False
        for number, count in sorted(Counter(held.order.venue_id for held in self._open(command)).items()):
            name = kernel.name_of(IdKind.PLUGIN, number)
            if number in deaf:
                text += f"; {count} orders at {name} cannot be cancelled from here: {deaf[number]}"
            elif command.command == "stop":
                text += f"; {count} orders open at {name}"
                rests |= number in outside
            else:
                continue
            left[name] = count
        if rests and _cancels(command):
            text += "; the drain waits some seconds for the answers to their cancels"
        elif rests:
            text += "; what no strategy cancels as it stops stays there: `penstock stop --cancel` cancels first"
        return left, text

    @property
    def under_way(self) -> int:
        """Commands that are not done yet."""
        return len(self._waiting) + (self._running is not None)

    def over(self, text: str) -> None:
        """Tell all who wait that the run ended before their command was done."""
        jobs = [*([self._running] if self._running else []), *self._waiting]
        self._running = None
        self._waiting.clear()
        for job in jobs:
            job.settle(Refusal(code="failed", text=text))


_WORDS = {
    "kill": "kill switch on",
    "unkill": "kill switch off",
    "pause": "paused {target}",
    "resume": "resumed {target}",
    "cancel_all": "cancelled the orders of {target}",
    "limits": "limits set",
    "quarantine": "quarantined {target}",
    "release": "released {target}; it starts with the next session",
    "ack": "acknowledged",
    "stop": "stopping: every plugin drains, then the run is complete",
}


def _cancels(command: OperatorCommand) -> bool:
    return command.command in CANCELLING or (command.command == "stop" and command.argument == CANCEL_FIRST)


def _row(owner: str, kind: LimitKind, value: int) -> str:
    name = kind.name.lower()
    return f"{owner}.{name}={value}" if owner else f"{name}={value}"


def _since(cause: Cause | None) -> str:
    if cause is None:
        return "already so"
    why = f" ({cause.why})" if cause.why else ""
    return f"already so since seq {cause.seq} by {cause.who}{why}"


def _another(request: CommandRequest, command: str, target: str) -> Refusal:
    """Return the refusal of an id that was given to a command before, which was not this one."""
    was = " ".join([command, target]).strip()
    if (command, target) == (request.command, request.target):
        was += " with another argument"
    return Refusal(code="refused", text=f"request {request.request} was {was}; give each command an id of its own")


def _unknown(request: CommandRequest, names: Iterable[str]) -> str:
    known = ", ".join(names) or "none"
    return f"{request.command} met {request.target or 'no name'}, which is not here; there are {known}"
