"""The alerts that are open: each code and subject once, until it is cleared or acknowledged.

A part of the core, fed by `Alert` and `OperatorCommand` alone: same events, same book, after any restart. What changes
is told as an `AlertChange`, numbered by the event that changed it; the kernel hands those on to the outside.

    opened       the first of its code and subject
    escalated    it came again with a higher severity; what was acknowledged no longer is
    repeated     it came again: told at the 10th, 100th … and when an hour has passed, not each time
    acked        somebody knows; a momentary alert is closed by it
    cleared      what a lasting alert told of is over
    dropped      the book is full, and this one mattered least
"""

from __future__ import annotations

from typing import Any

import msgspec

from penstock_sdk.alerts import is_lasting
from penstock_sdk.context import Moment
from penstock_sdk.events import Alert, OperatorCommand, RunHeader, Severity

__all__ = ["OPEN_MAX", "REPEAT_NS", "AlertBook", "AlertChange", "OpenAlert"]

OPEN_MAX = 10_000
CHANGES_MAX = 20_000
"""Changes kept for whoever tells them: twice a book that is acknowledged whole."""
REPEAT_NS = 3_600_000_000_000
_ACKED = 0
_RANKS = range(_ACKED, Severity.CRITICAL + 2)


class OpenAlert(msgspec.Struct, kw_only=True):
    """One alert that is open. Times are the run's, ns UTC; what was met is as of the last time."""

    id: int
    code: str
    subject: str
    severity: Severity
    """The highest so far."""
    met: str
    wanted: str
    way_out: str
    first_seq: int
    first_ns: int
    last_seq: int
    last_ns: int
    count: int = 1
    acked_by: str = ""
    acked_reason: str = ""
    acked_seq: int = 0
    """The number of the command, 0 when nobody has acknowledged it."""
    opened_by: int = 0
    """The plugin that raised it first; 0 is the kernel."""
    told_ns: int = 0
    """When a change of it was last told."""

    @property
    def key(self) -> tuple[str, str]:
        """What makes it one alert: code and subject."""
        return self.code, self.subject

    @property
    def rank(self) -> int:
        """How long it is kept in a full book: what is acknowledged goes first, then the least severe."""
        return _ACKED if self.acked_seq else self.severity + 1


class AlertChange(msgspec.Struct, frozen=True, kw_only=True):
    """What an event did to one alert, with the alert as it was then."""

    kind: str
    """opened, escalated, repeated, acked, cleared, dropped."""
    epoch: int
    seq: int
    at_ns: int
    id: int
    code: str
    subject: str
    severity: Severity
    met: str
    wanted: str
    way_out: str
    count: int
    first_ns: int
    by: str = ""
    """Who acknowledged it …"""
    reason: str = ""
    """… and why; of one that is cleared, how it came about."""

    @property
    def position(self) -> tuple[int, int, int]:
        """Where it stands among all changes: no two have the same, and later ones are larger."""
        return self.epoch, self.seq, self.id


class AlertBook:
    """The state machine.

    Attributes:
        changes: what is still to be told, oldest first; whoever tells them takes them out.
        untold: changes that found no room there because nobody took any out.
        dropped: alerts that found no room in the book.
    """

    def __init__(self, moment: Moment, open_max: int = OPEN_MAX) -> None:
        self._moment = moment
        self._open_max = open_max
        self._open: dict[tuple[str, str], OpenAlert] = {}
        self._ranked: list[dict[tuple[str, str], None]] = [{} for _ in _RANKS]
        """Keys by rank, oldest first within each: all of `_open`, each once."""
        self._next_id = 1
        self._epoch = 0
        self.changes: list[AlertChange] = []
        self.untold = 0
        self.dropped = 0

    @property
    def open(self) -> list[OpenAlert]:
        """The open alerts, oldest first."""
        return sorted(self._open.values(), key=lambda alert: alert.id)

    @property
    def opened(self) -> int:
        """How many were opened so far, in all sessions."""
        return self._next_id - 1

    def find(self, words: str) -> list[OpenAlert]:
        """Return the open alerts that *words* names: an id, ``code``, ``code:subject``, or ``all``; oldest first."""
        if words == "all":
            return self.open
        code, colon, subject = words.partition(":")
        return [
            alert
            for alert in self.open
            if words == str(alert.id) or (alert.code == code and (not colon or alert.subject == subject))
        ]

    def opener(self, code: str, subject: str) -> int | None:
        """Return which plugin opened an alert, 0 for the kernel; None when no such alert is open."""
        held = self._open.get((code, subject))
        return None if held is None else held.opened_by

    # -- what it hears ---------------------------------------------------------------------------------------------

    def on_run_header(self, header: RunHeader) -> None:
        """Know the epoch that numbers are of."""
        self._epoch = header.epoch

    def on_alert(self, alert: Alert) -> Alert | None:
        """Open, count or close. Returns an alert of its own when the book overflows: at the 1st, 10th, 100th …"""
        held = self._open.get((alert.code, alert.subject))
        if alert.cleared:
            if held is not None:
                self._close(held)
                self._tell("cleared", held, reason=alert.met)
            return None
        if held is None:
            return self._begin(alert)
        self._again(held, alert)
        return None

    def on_operator_command(self, command: OperatorCommand) -> Alert | None:
        """Acknowledge what the argument (or the target) names; what is open is named when nothing fits.

        A plugin that is released is quarantined no more, which nothing else says.
        """
        if command.command == "release":
            held = self._open.get(("plugin.quarantined", command.target))
            if held is not None:
                self._close(held)
                self._tell("cleared", held, by=command.who, reason=command.why)
            return None
        if command.command != "ack":
            return None
        words = command.argument or command.target
        found = self.find(words)
        for alert in found:
            self._acknowledge(alert, command)
        if found or words == "all":
            return None
        some = ", ".join(f"{alert.code}:{alert.subject}" for alert in self.open[:10])
        return Alert(
            code="command.unknown", severity=Severity.WARNING, subject=words or command.command,
            met=f"command ack {words}".rstrip(), wanted="CODE, CODE:SUBJECT or the id of an open alert, or all",
            way_out=f"open are {some or 'none'}",
        )  # fmt: skip

    # -- changes ---------------------------------------------------------------------------------------------------

    def _begin(self, alert: Alert) -> Alert | None:
        seq, now_ns = self._moment.seq, self._moment.now_ns
        fresh = OpenAlert(
            id=self._next_id, code=alert.code, subject=alert.subject, severity=alert.severity, met=alert.met,
            wanted=alert.wanted, way_out=alert.way_out, first_seq=seq, first_ns=now_ns, last_seq=seq, last_ns=now_ns,
            opened_by=self._moment.producer,
        )  # fmt: skip
        overflow = None
        if len(self._open) >= self._open_max:
            overflow = self._overflow()
            rank = next(rank for rank, keys in enumerate(self._ranked) if keys)
            if rank > fresh.rank:  # all that is open matters more
                return overflow
            least = self._open[next(iter(self._ranked[rank]))]
            self._close(least)
            self._tell("dropped", least)
        self._next_id += 1
        self._open[fresh.key] = fresh
        self._ranked[fresh.rank][fresh.key] = None
        self._tell("opened", fresh)
        return overflow

    def _overflow(self) -> Alert | None:
        self.dropped += 1
        if not _is_power_of_ten(self.dropped):
            return None
        return Alert(
            code="alerts.full", severity=Severity.ERROR, subject="alert book", met=f"{self.dropped} alerts dropped",
            wanted=f"at most {self._open_max} open alerts",
            way_out="acknowledge what is known; the journal holds every alert",
        )  # fmt: skip

    def _again(self, held: OpenAlert, alert: Alert) -> None:
        held.count += 1
        held.last_seq, held.last_ns = self._moment.seq, self._moment.now_ns
        held.met, held.wanted, held.way_out = alert.met, alert.wanted, alert.way_out
        if alert.severity > held.severity:
            before = held.rank
            held.severity = alert.severity
            held.acked_by, held.acked_reason, held.acked_seq = "", "", 0
            self._rerank(held, before)
            self._tell("escalated", held)
        elif not held.acked_seq and (
            (held.count >= 10 and _is_power_of_ten(held.count)) or held.last_ns - held.told_ns >= REPEAT_NS
        ):
            self._tell("repeated", held)

    def _acknowledge(self, alert: OpenAlert, command: OperatorCommand) -> None:
        before = alert.rank
        alert.acked_by, alert.acked_reason, alert.acked_seq = command.who, command.why, self._moment.seq
        if is_lasting(alert.code):
            self._rerank(alert, before)
        else:
            self._forget(alert, before)
        self._tell("acked", alert, by=command.who, reason=command.why)

    def _close(self, alert: OpenAlert) -> None:
        self._forget(alert, alert.rank)

    def _forget(self, alert: OpenAlert, rank: int) -> None:
        del self._open[alert.key]
        del self._ranked[rank][alert.key]

    def _rerank(self, alert: OpenAlert, before: int) -> None:
        del self._ranked[before][alert.key]
        self._ranked[alert.rank][alert.key] = None

    def _tell(self, kind: str, alert: OpenAlert, *, by: str = "", reason: str = "") -> None:
        moment = self._moment
        alert.told_ns = moment.now_ns
        if len(self.changes) >= CHANGES_MAX:
            self.untold += 1
            return
        self.changes.append(
            AlertChange(
                kind=kind, epoch=self._epoch, seq=moment.seq, at_ns=moment.now_ns, id=alert.id, code=alert.code,
                subject=alert.subject, severity=alert.severity, met=alert.met, wanted=alert.wanted,
                way_out=alert.way_out, count=alert.count, first_ns=alert.first_ns, by=by, reason=reason,
            )
        )  # fmt: skip

    # -- state -----------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Assert what always holds."""
        ranked = [key for keys in self._ranked for key in keys]
        assert len(ranked) == len(set(ranked)) == len(self._open) <= self._open_max
        assert all(key in self._ranked[alert.rank] and key == alert.key for key, alert in self._open.items())
        assert len({alert.id for alert in self._open.values()}) == len(self._open)
        assert all(alert.id < self._next_id and alert.count >= 1 for alert in self._open.values())

    def snapshot(self) -> dict[str, Any]:
        """Return all of it; what is still to be told is part of it, so that a restart tells it."""
        ordered = [msgspec.to_builtins(self._open[key]) for keys in self._ranked for key in keys]
        return {
            "open": ordered,
            "next_id": self._next_id,
            "epoch": self._epoch,
            "changes": [msgspec.to_builtins(change) for change in self.changes],
            "untold": self.untold,
            "dropped": self.dropped,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned; an empty one is a book of a version that kept none."""
        held = [msgspec.convert(alert, OpenAlert) for alert in state.get("open", [])]
        self._open = {alert.key: alert for alert in held}
        self._ranked = [{alert.key: None for alert in held if alert.rank == rank} for rank in _RANKS]
        self._next_id, self._epoch = state.get("next_id", 1), state.get("epoch", 0)
        self.changes[:] = [msgspec.convert(change, AlertChange) for change in state.get("changes", [])]
        self.untold, self.dropped = state.get("untold", 0), state.get("dropped", 0)


def _is_power_of_ten(number: int) -> bool:
    return str(number).strip("0") == "1"
