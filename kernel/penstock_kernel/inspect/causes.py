"""Why an order was cancelled, and why a session stopped: what no record's cause tells, looked up around it."""

from __future__ import annotations

from penstock_kernel.inspect.asked import InspectError
from penstock_kernel.inspect.journal_view import Entry, JournalView, entries_of
from penstock_kernel.inspect.market_words import MarketWords
from penstock_kernel.inspect.rerun import session_header
from penstock_sdk.events import (
    IntentAction,
    Limit,
    LimitKind,
    OperatorCommand,
    OrderIntent,
    PluginState,
    PluginStatus,
    RunEnd,
    RunHeader,
    SessionReady,
)
from penstock_sdk.schema import ABSENT, layout_of

__all__ = ["cancel_reason", "stop_reason"]

_STOPPING = (PluginStatus.DRAINING, PluginStatus.STOPPED)


def cancel_reason(view: JournalView, words: MarketWords, chain: list[Entry], strategy_id: int, *, again: bool) -> str:
    """Return who or what wanted an order cancelled, as ``kill switch, command kill by uid 1000: prices look wrong``.

    Args:
        chain: from the input at the root to what made the kernel cancel.
        strategy_id: whose order it is.
        again: True when a cancel of it was sent before this one.
    """
    last = chain[-1]
    record = last.record
    by = next((e.record for e in reversed(chain) if isinstance(e.record, OperatorCommand)), None)
    command = "" if by is None else f", {_command(by)}"
    if isinstance(record, OrderIntent):
        what = "all its orders" if record.action == IntentAction.CANCEL_ALL else "it"
        stopped = stop_reason(view, chain[0])
        why = f" as the session stopped, {stopped}" if stopped else command
        return f"strategy {words.plugin(record.strategy_id)} wanted {what} cancelled{why}"
    if isinstance(record, Limit):
        what = {LimitKind.KILL: "kill switch", LimitKind.PAUSE: "pause"}.get(LimitKind(record.kind), "limit")
        return what + (command or f", set by plugin {words.plugin(last.producer)}")
    if isinstance(record, OperatorCommand):
        return _command(record)
    if isinstance(record, RunHeader) or (isinstance(record, SessionReady) and again):
        return "restart: the cancel of before the crash may not have left"
    if isinstance(record, SessionReady):
        return f"restart: {_stopped_at(view, words, last.seq, strategy_id)}"
    return _quarantine(view, last) or f"the kernel, at event {last.seq} ({type(record).__name__})"


def stop_reason(view: JournalView, entry: Entry) -> str:
    """Return why a plugin drains: the operator's stop before it, else what its session's end says; "" of another event.

    The state has no cause in the journal: a command is obeyed once its own cascade is over.
    """
    if not isinstance(entry.record, PluginState) or entry.record.status not in _STOPPING or entry.cause_seq != ABSENT:
        return ""
    try:
        began_seq = session_header(view, entry.seq)[0].seq
    except InspectError:
        began_seq = 0
    found = ""
    for frame in view.of(layout_of(OperatorCommand).id, layout_of(RunEnd).id, layout_of(RunHeader).id):
        record = next(entries_of(frame)).record
        if frame.seq > entry.seq:
            if isinstance(record, RunEnd):
                return found or record.reason
            if isinstance(record, RunHeader) and record.carried_seq:
                break
        elif frame.seq > began_seq and isinstance(record, OperatorCommand) and record.command == "stop":
            found = f"{_command(record)} (seq {frame.seq:,})"
    return found or "why is not kept: the journal ends before its session does"


def _command(command: OperatorCommand) -> str:
    return f"command {command.command} by {command.who}: {command.why}"


def _stopped_at(view: JournalView, words: MarketWords, seq: int, strategy_id: int) -> str:
    """Return which switch keeps a strategy from trading when a session begins."""
    on: dict[int, bool] = {}
    killed = False
    for frame in view.of(layout_of(Limit).id):
        if frame.seq > seq:
            break
        for entry in entries_of(frame):
            if entry.record.kind == LimitKind.KILL:
                killed = bool(entry.record.value)
            elif entry.record.kind == LimitKind.PAUSE:
                on[entry.record.strategy_id] = bool(entry.record.value)
    if killed:
        return "the kill switch is on"
    name = words.plugin(strategy_id)
    if on.get(0) or on.get(strategy_id):
        return f"{'everything' if on.get(0) else name} is paused"
    return f"{name} does not trade in this session"


def _quarantine(view: JournalView, cause: Entry) -> str:
    """Return which plugin was quarantined at an event, or nothing."""
    for frame in view.cascade(cause.root_seq):
        if frame.cause_seq != cause.seq or frame.schema_id != layout_of(PluginState).id:
            continue
        for entry in entries_of(frame):
            if entry.record.status == PluginStatus.QUARANTINED:
                return f"quarantine of {entry.record.name}: {entry.record.reason}"
    return ""
