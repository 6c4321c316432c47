"""Journal against witness: every way in which the two may disagree, as sentences. None of them may ever be true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from loop_runs import Entry

from penstock_sdk.events import (
    Alert,
    ExecutionReport,
    IntentAction,
    Order,
    OrderState,
    ReportKind,
    SessionReady,
    Severity,
    Side,
)
from penstock_sdk.wire.frame import Origin

_WAITS = {OrderState.ROUTED: "new", OrderState.PENDING_CANCEL: "cancel", OrderState.IN_DOUBT: "doubt"}
_FINAL = (ReportKind.CANCELLED, ReportKind.EXPIRED, ReportKind.REJECTED)


def violations(journal: list[Entry], log: list[dict[str, Any]], *, ended: bool) -> list[str]:
    """Return what is wrong between a recovered journal and the witness's log.

    Args:
        ended: the run has come to rest, so everything said must have arrived, and nothing may be open or in doubt.
    """
    out = list(_sent_or_acknowledged(journal, log))
    out += _sent_twice(log)
    out += _in_doubt(journal, log, ended)
    out += _alerts(journal)
    out += _reports(journal, log, ended)
    if ended:
        out += _open_at_the_end(journal)
    return out


def _sent_or_acknowledged(journal: list[Entry], log: list[dict[str, Any]]) -> Iterable[str]:
    """Whatever the witness got is in the journal, at its number, byte for byte."""
    held = {entry.seq: entry for entry in journal}
    for line in log:
        if line.get("got") not in ("new", "cancel", "ask", "ack"):
            continue
        entry = held.get(line["seq"])
        schema_id = line.get("schema", Order.layout.id)
        if entry is None:
            yield f"{line['got']} of seq {line['seq']} reached the witness, and the journal has no such record"
        elif (entry.schema_id, entry.body.hex()) != (schema_id, line["body"]):
            yield f"{line['got']} of seq {line['seq']} reached the witness, and the journal holds other bytes there"
        elif line["got"] == "new" and entry.record.state != OrderState.ROUTED:
            yield f"order {line['id']} was sent in state {entry.record.state}"


def _sent_twice(log: list[dict[str, Any]]) -> Iterable[str]:
    sent = Counter(line["id"] for line in log if line.get("got") == "new")
    for order_id, times in sent.items():
        if times > 1:
            yield f"order {order_id} was sent {times} times"


def _in_doubt(journal: list[Entry], log: list[dict[str, Any]], ended: bool) -> Iterable[str]:
    """At every restart exactly what had no answer is in doubt, and after the last crash its venue is asked."""
    asked = {line["seq"] for line in log if line.get("got") == "ask"}
    waiting: dict[int, str] = {}
    left: dict[int, int] = {}
    headers = [entry.seq for entry in journal if type(entry.record) is SessionReady]
    for entry in journal:
        record = entry.record
        if type(record) is SessionReady:
            doubted = {
                other.record.order_id: other.seq
                for other in journal
                if type(other.record) is Order and other.cause_seq == entry.seq
                if other.record.state == OrderState.IN_DOUBT and other.record.action == IntentAction.NEW
            }
            if set(doubted) != set(waiting):
                yield f"at seq {entry.seq} {sorted(waiting)} had no answer, {sorted(doubted)} were put in doubt"
            unasked = set(doubted.values()) - asked
            if ended and entry.seq == headers[-1] and unasked:
                yield f"of the orders in doubt at seq {entry.seq}, {sorted(unasked)} were not asked"
        elif type(record) is Order and record.state in _WAITS:
            waiting[record.order_id] = _WAITS[OrderState(record.state)]
            left.setdefault(record.order_id, record.qty_lots)
        elif type(record) is ExecutionReport and record.order_id in left:
            left[record.order_id] -= record.last_lots
            over = record.kind in _FINAL or not left[record.order_id]
            rejected = record.kind == ReportKind.CANCEL_REJECTED
            # A fill does not answer a cancel, a refused cancel does not say where an order in doubt stands.
            if over or waiting.get(record.order_id) != ("doubt" if rejected else "cancel"):
                waiting.pop(record.order_id, None)


def _alerts(journal: list[Entry]) -> Iterable[str]:
    for entry in journal:
        if type(entry.record) is Alert and entry.record.severity >= Severity.ERROR:
            yield f"alert {entry.record.code} at seq {entry.seq}: {entry.record.met}"


def _reports(journal: list[Entry], log: list[dict[str, Any]], ended: bool) -> Iterable[str]:
    """What was said came once and as said; positions of the two are equal."""
    said = {line["said"]["n"]: line["said"] for line in log if "said" in line}
    # The kernel itself answers a cancel of an order that is over; all others come from outside.
    came = [e.record for e in journal if type(e.record) is ExecutionReport and e.origin == Origin.EXTERNAL]
    for number, times in Counter(report.venue_ref for report in came).items():
        if times > 1:
            yield f"report {number} is in the journal {times} times"
    for report in came:
        told = said.get(report.venue_ref)
        if told is None:
            yield f"report {report.venue_ref} is in the journal and was never said"
        elif not report.strategy_id and report.kind != ReportKind.CANCEL_REJECTED:
            yield f"report {report.venue_ref} has no owner, so its strategy did not hear it"
        elif (told["id"], told["kind"], told["lots"], told["ticks"]) != (
            report.order_id, report.kind, report.last_lots, report.last_ticks,
        ):  # fmt: skip
            yield f"report {report.venue_ref} differs: said {told}, journaled {report}"
    if ended:
        ours = _position((r.side, r.last_lots) for r in came if r.kind == ReportKind.FILL)
        theirs = _position((r["side"], r["lots"]) for r in said.values() if r["kind"] == ReportKind.FILL)
        if ours != theirs:
            yield f"the journal's position is {ours} lots, the witness's {theirs}"
        if missing := sorted(set(said) - {report.venue_ref for report in came}):
            yield f"reports {missing[:5]} were said and are not in the journal"


def _position(fills: Iterable[tuple[int, int]]) -> int:
    return sum(lots if side == Side.BUY else -lots for side, lots in fills)


def _open_at_the_end(journal: list[Entry]) -> Iterable[str]:
    left: dict[int, int] = {}
    for entry in journal:
        record = entry.record
        if type(record) is Order and record.state == OrderState.ROUTED:
            left[record.order_id] = record.qty_lots
        elif type(record) is ExecutionReport and record.order_id in left:
            left[record.order_id] -= record.last_lots
            if record.kind in _FINAL or not left[record.order_id]:
                del left[record.order_id]
    for order_id in left:
        yield f"order {order_id} is open at the end"
