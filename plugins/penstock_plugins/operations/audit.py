"""The audit trail: who wanted, allowed, refused, sent and got what, as lines of JSON in the run's folder.

``audit.jsonl`` holds one line per event, ``{"seq": …, "at_ns": …, "what": "order", "who": "mm", …}``; fields that say
nothing are left out, and a verdict that let an order pass is told by the order that follows it. Lines are written in
blocks, when there are enough of them or enough time has passed, and each block ends with a line of its own:

    {"what":"block","lines":2,"last_seq":17,"before":"…","sha256":"…"}

where ``sha256`` covers the digest before it and the bytes of the block's lines. One digest a block rather than a line:
hashing short lines one by one would cost more than all the rest. A line changed, added or removed breaks the chain, and
`verify_audit` names the block; a trail cut at its end misses its last line, ``"what":"end"``.

Lines are written by effects, which a replay does not run. What is not yet in the file stays buffered, goes into
snapshots, and is written by the first live flush after a restart, which looks up where the file ends: nothing is lost,
nothing stands twice. Where the file has lost lines that were once written (a power cut), a line ``"gap"`` says which.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Annotated, Any

import msgspec

from penstock_plugins.operations.audit_file import (
    AuditError,
    AuditTrail,
    Line,
    Tail,
    append_block,
    encode_lines,
    find_tail,
    verify_audit,
)
from penstock_sdk.context import Context
from penstock_sdk.events import (
    Alert,
    CheckResult,
    CheckVerdict,
    ExecutionReport,
    IdKind,
    IntentAction,
    Limit,
    LimitKind,
    OperatorCommand,
    Order,
    OrderIntent,
    OrderKind,
    OrderState,
    PluginFault,
    PluginState,
    PluginStatus,
    Reason,
    ReportKind,
    RunEnd,
    Severity,
    Side,
)
from penstock_sdk.plugin import Operations, Outcome
from penstock_sdk.schema import ABSENT

__all__ = ["Audit", "AuditConfig", "AuditError", "AuditTrail", "verify_audit"]

FILE_NAME = "audit.jsonl"


class AuditConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often lines go to the file."""

    block_lines: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 4096
    """Lines that make a block."""
    block_minutes_max: Annotated[float, msgspec.Meta(gt=0, le=1440)] = 15.0
    """A block is written after this long even if it is short, in minutes of the run's time."""


def _names(enum: Any) -> list[str]:
    """Return the lower-case names of an enum's values by value, "" for unknown ones."""
    names = [""] * (max(enum) + 1)
    for member in enum:
        names[member] = member.name.lower() if member else ""
    return names


_ACTION, _SIDE, _KIND, _STATE, _REPORT = map(_names, (IntentAction, Side, OrderKind, OrderState, ReportKind))
_REASON, _LIMIT, _STATUS, _SEVERITY = map(_names, (Reason, LimitKind, PluginStatus, Severity))
_PASSED, _FILL = int(CheckResult.PASSED), int(ReportKind.FILL)


class Audit(Operations):
    """Keeps the audit trail of a run that has a folder; without one it does nothing. Cost: about 0.6 µs a line."""

    Config = AuditConfig
    config: AuditConfig

    def __init__(self, ctx: Context, config: AuditConfig | None = None) -> None:
        super().__init__(ctx, config)
        self._path = None if ctx.run_dir is None else ctx.run_dir / FILE_NAME
        self._block_ns = round(self.config.block_minutes_max * 60e9)
        self._lines: list[Line | msgspec.Raw] = []
        self._seqs: list[int] = []
        """The sequence number of each buffered line, never falling."""
        self._ask_at_lines = self.config.block_lines
        self._asked_ns = 0
        self._flushed_seq = 0
        """Lines up to here have left the buffer for the file."""
        self._in_file: Tail | None = None
        """Where the file ends; None until this process has looked."""
        self._stopping = False
        self._who: dict[int, str] = {}

    # What is heard.

    def on_order_intent(self, i: OrderIntent) -> Outcome:
        """Note what a strategy wants."""
        if self._path is not None:
            self._add(
                Line(
                    self.ctx.seq, self.ctx.now_ns, "intent", self._who.get(i.strategy_id) or self._name(i.strategy_id),
                    0 if i.order_id == ABSENT else i.order_id, i.listing_id, _ACTION[i.action], _SIDE[i.side],
                    _KIND[i.kind], "", i.price_ticks, i.qty_lots,
                )
            )  # fmt: skip
        return None

    def on_check_verdict(self, v: CheckVerdict) -> Outcome:
        """Note a refusal, and what it stands on."""
        if v.result != _PASSED and self._path is not None:
            self._add(
                Line(
                    self.ctx.seq, self.ctx.now_ns, "verdict", self._name(v.check_id), v.order_id, v.listing_id,
                    reason=_REASON[v.reason], met=v.met, limit=v.limit,
                )
            )  # fmt: skip
        return None

    def on_order(self, o: Order) -> Outcome:
        """Note an order on its way, or its end before it left."""
        if self._path is not None:
            self._add(
                Line(
                    self.ctx.seq, self.ctx.now_ns, "order", self._who.get(o.strategy_id) or self._name(o.strategy_id),
                    o.order_id, o.listing_id, _ACTION[o.action], _SIDE[o.side], _KIND[o.kind], _STATE[o.state],
                    o.price_ticks, o.qty_lots, _REASON[o.reason],
                )
            )  # fmt: skip
        return None

    def on_execution_report(self, r: ExecutionReport) -> Outcome:
        """Note what the venue says."""
        if self._path is not None:
            self._add(
                Line(
                    self.ctx.seq, self.ctx.now_ns, "report", self._who.get(r.strategy_id) or self._name(r.strategy_id),
                    r.order_id, r.listing_id, "", _SIDE[r.side], _REPORT[r.kind], "", r.last_ticks, r.last_lots,
                    _REASON[r.reason], r.leaves_lots,
                )
            )  # fmt: skip
        return None

    def on_limit(self, limit: Limit) -> Outcome:
        """Note a limit's new value, and for whom it holds."""
        name = self._name(limit.strategy_id) if limit.strategy_id else "all"
        self._say("limit", name, kind=_LIMIT[limit.kind], limit=limit.value, listing_id=limit.listing_id)
        return None

    def on_operator_command(self, command: OperatorCommand) -> Outcome:
        """Note a command, who gave it and why."""
        text = " ".join(part for part in (command.target, command.argument, f"why: {command.why}") if part)
        self._say("command", command.who, action=command.command, text=text)
        return None

    def on_alert(self, alert: Alert) -> Outcome:
        """Note an alert."""
        text = "; ".join(part for part in (alert.met, alert.wanted, alert.way_out) if part)
        self._say("alert", alert.subject, kind=alert.code, state=_SEVERITY[alert.severity], text=text)
        return None

    def on_plugin_state(self, change: PluginState) -> Outcome:
        """Note a plugin's life."""
        self._say("plugin", change.name, state=_STATUS[change.status], text=change.reason)
        return None

    def on_plugin_fault(self, fault: PluginFault) -> Outcome:
        """Note a plugin's fault."""
        self._say("fault", fault.name, kind=fault.handler, text=fault.error)
        return None

    def on_stop(self) -> Outcome:
        """Have everything written; what is still heard while others stop is written at once."""
        self._stopping = True
        if self._path is not None:
            self.ctx.effect(self._flush, self.ctx.seq)
        return None

    def on_run_end(self, end: RunEnd) -> Outcome:
        """Say that this is all."""
        self._stopping = True
        self._say("end", self.ctx.name, text=end.reason)
        return None

    def _say(self, what: str, who: str, **more: Any) -> None:
        if self._path is not None:
            self._add(Line(self.ctx.seq, self.ctx.now_ns, what, who, **more))

    def _name(self, plugin_id: int) -> str:
        name = "kernel" if plugin_id == 0 else self.ctx.name_of(IdKind.PLUGIN, plugin_id)
        self._who[plugin_id] = name
        return name

    def _add(self, line: Line) -> None:
        """Buffer a line; have the buffer written when it is long or old enough."""
        self._seqs.append(line.seq)
        self._lines.append(line)
        old = line.at_ns - self._asked_ns >= self._block_ns
        if len(self._lines) >= self._ask_at_lines or old or self._stopping:
            self._asked_ns = line.at_ns
            # In a replay nothing is written, and the buffer is not asked about at every further line.
            self._ask_at_lines = len(self._lines) + self.config.block_lines
            self.ctx.effect(self._flush, line.seq)

    # What is written: effects, which happen in live runs alone.

    def _flush(self, upto_seq: int) -> None:
        """Append the buffered lines up to *upto_seq* that the file does not hold yet, as one block.

        Raises:
            OSError: the disk said no; the lines stay buffered for the next flush.
        """
        assert self._path is not None
        if self._in_file is None:
            self._in_file = find_tail(self._path)
            if self._in_file.last_seq < self._flushed_seq:
                self._note_gap(self._in_file.last_seq)
        count = bisect_right(self._seqs, upto_seq)
        lines = self._lines[bisect_right(self._seqs, self._in_file.last_seq, 0, count) : count]
        if lines:
            held, self._in_file = self._in_file, None  # a write that fails leaves the file's end unknown
            self._in_file = append_block(self._path, held, encode_lines(lines), len(lines), self._seqs[count - 1])
        self._flushed_seq = max(self._flushed_seq, self._seqs[count - 1] if count else 0)
        del self._lines[:count], self._seqs[:count]
        self._ask_at_lines = self.config.block_lines

    def _note_gap(self, last_seq: int) -> None:
        """Put a line first in the buffer that names the lines which were written once and are gone."""
        text = f"lines after seq {last_seq} and up to seq {self._flushed_seq} were lost; the journal holds their events"
        self._lines.insert(0, Line(self._flushed_seq, self.ctx.now_ns, "gap", self.ctx.name, text=text))
        self._seqs.insert(0, self._flushed_seq)
        self._flushed_seq = last_seq

    def snapshot(self) -> dict[str, Any]:
        """Return what is buffered."""
        return {
            "lines": encode_lines(self._lines), "seqs": list(self._seqs), "asked_ns": self._asked_ns,
            "flushed_seq": self._flushed_seq,
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned."""
        self._lines = [msgspec.Raw(line) for line in bytes(state["lines"]).splitlines()]
        self._seqs = list(state["seqs"])
        self._asked_ns, self._flushed_seq = state["asked_ns"], state["flushed_seq"]
        self._ask_at_lines = len(self._lines) + self.config.block_lines
