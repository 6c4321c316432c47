"""Why an order was sent or refused: the chain from the first input to the last fill, each check with value and limit.

What happened is read from the journal. What a check that passed had met is in no record: the run is played back to
that order, and each check is asked (`penstock_sdk.plugin.Check.explain_order`) right before it answers again. Where
the run cannot be played back, the journal's verdicts stand alone, and the explanation says why.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from penstock_kernel.boot import StartError
from penstock_kernel.deployment import DeploymentError
from penstock_kernel.inspect.asked import InspectError, order_id_of, order_name
from penstock_kernel.inspect.event_words import enum_name, fields_of, record_name, say
from penstock_kernel.inspect.journal_view import Entry, JournalView
from penstock_kernel.inspect.market_words import MarketWords, utc_text
from penstock_kernel.inspect.meanwhile import about_order
from penstock_kernel.inspect.order_story import OrderStory, find_order
from penstock_kernel.inspect.rerun import Rerun
from penstock_kernel.inspect.way_out import way_out
from penstock_kernel.own_records import learn_own_records
from penstock_kernel.replay import Difference, ReplayError
from penstock_kernel.runs import RunInfo
from penstock_kernel.snapshots import SnapshotError
from penstock_kernel.sources import SourceError
from penstock_sdk.core.faults import error_text
from penstock_sdk.core.wiring import Slot
from penstock_sdk.events import (
    CheckResult,
    CheckVerdict,
    ClockKind,
    ExecutionReport,
    IdKind,
    Order,
    OrderKind,
    Reason,
    ReportKind,
    Side,
)
from penstock_sdk.explained import Explained
from penstock_sdk.golden.orders import TERMINAL
from penstock_sdk.schema import ABSENT

__all__ = ["Cancel", "Check", "Explanation", "Fills", "Rule", "Step", "explain_order"]

_CANNOT_REPLAY = (
    DeploymentError, Difference, ReplayError, SnapshotError, SourceError, StartError, InspectError, OSError,
)  # fmt: skip


class Step(msgspec.Struct, frozen=True):
    """One event of the chain."""

    seq: int
    at_ns: int
    at_utc: str
    at_local: str
    since_root_ns: int
    """The run's time since the input that began the order."""
    latency_ns: int | None
    """In wall time: from the sender's stamp to ours, where the event bears both."""
    record: str
    by: str
    cause_seq: int | None
    text: str
    fields: dict[str, Any]
    venue_ns: int | None = None
    """Of a venue's report: when it happened there, where that is another time than the run's …"""
    venue_text: str = ""
    """… and in words."""


class Rule(msgspec.Struct, frozen=True):
    """One rule of a check, in the units of its record and in words."""

    rule: str
    reason: str
    passed: bool
    met: int | None
    limit: int | None
    unit: str
    bound: str
    met_text: str
    limit_text: str
    note: str


class Check(msgspec.Struct, frozen=True):
    """One check's verdict on the order."""

    check: str
    seq: int
    result: str
    reason: str
    met: int | None
    limit: int | None
    rules: list[Rule]
    note: str = ""
    """Why there are no rules."""


class Cancel(msgspec.Struct, frozen=True):
    """One cancel that was sent, and what it goes back to."""

    seq: int
    why: str
    chain: list[Step]


class Fills(msgspec.Struct, frozen=True):
    """What was dealt; prices in currency per MWh, a positive cost is a loss against the mid."""

    count: int
    qty_mw: float | None
    energy_mwh: float | None
    average_price: float | None
    mid_at_decision: float | None
    mid_at_arrival: float | None
    cost_to_decision: float | None
    cost_to_arrival: float | None


class Explanation(msgspec.Struct, frozen=True):
    """All that is known of one order."""

    run: str
    run_state: str
    order_id: int
    order: str
    """``epoch:counter``."""
    strategy: str
    book: str
    algo: str
    """What decided, with its major version."""
    trader: str
    account: str
    venue: str
    listing: str
    contract: str
    delivery_local: str
    delivery_utc: str
    currency: str
    side: str
    kind: str
    qty_mw: float | None
    price: float | None
    terms: str
    """What was asked for, in words."""
    state: str
    open: bool
    """True when it had not ended where the journal ends."""
    reason: str
    way_out: str
    began: list[Step]
    """From the input at the root to the intent."""
    checks: list[Check]
    sent: list[Step]
    """The order, what the venue said of it, and cancels, in order."""
    meanwhile: list[Step]
    """Restarts, and what its venue was asked and said, while it was open."""
    cancels: list[Cancel]
    fills: Fills
    caused: list[Step]
    """Positions, profit and loss, and alerts that followed from it."""
    others: dict[str, int]
    """Further events that its events made, by type."""
    notes: list[str]


def explain_order(
    run_dir: Path, order: str, *, replay: bool = True, say_progress: Callable[[str], None] = lambda line: None
) -> Explanation:
    """Return why an order was sent or refused, and what became of it.

    Args:
        run_dir: of a finished, running or crashed run; nothing in it is changed.
        order: an id as queries print it, or ``epoch:counter``.
        replay: False leaves the rules of the checks out, and takes no longer than reading the journal.
        say_progress: takes lines while the run is played back.

    Raises:
        InspectError: no such order of ours; the message names the nearest.
        JournalError: there is no journal, or its very beginning is damaged. Damage further on ends what is read.

    Cost: reading the journal, some 1 s for 2 million events; and the play-back from the snapshot before the order.
    """
    order_id = order_id_of(order)
    info = RunInfo.load(run_dir)
    learn_own_records(run_dir)
    view = JournalView.read(run_dir / "journal", up_to_damage=True)
    words = MarketWords(view)
    notes = [] if view.torn is None else [f"the journal ends at seq {view.last_seq:,}, torn after it: {view.torn}"]
    if view.damage is not None:
        notes.append(f"{view.damage}; what comes after event {view.last_seq:,} is left out")
    try:
        story = find_order(view, words, order_id)
    except InspectError as error:
        if view.damage is None:
            raise
        raise InspectError(f"{error}; {notes[-1]}") from None
    if info.state == "running":
        notes.append(f"the run goes on: this is what was written up to seq {view.last_seq:,}")
    rules: dict[str, list[Explained]] = {}
    if not replay:
        notes.append("not played back: the checks' verdicts as journaled")
    elif any(isinstance(entry.record, CheckVerdict) for entry in story.events):
        rules, why_not = _asked_again(run_dir, view, story, say_progress)
        notes += [why_not] if why_not else []
    return _Writer(words, story, rules).explanation(run_dir.name, info.state, notes)


def _asked_again(
    run_dir: Path, view: JournalView, story: OrderStory, say_progress: Callable[[str], None]
) -> tuple[dict[str, list[Explained]], str]:
    """Return what each check says of its rules when the run is played back, and why it could not be."""
    found: dict[str, list[Explained]] = {}
    failed: list[str] = []

    def listen(slot: Slot) -> None:
        if slot.kind not in ("risk", "compliance"):
            return
        plugin, answer = slot.plugin, slot.plugin.check_order

        def check_order(order: Order) -> CheckVerdict:
            if order.order_id == story.order_id:
                try:
                    found[slot.name] = plugin.explain_order(order)
                except Exception as error:  # a plugin may raise anything
                    failed.append(f"check {slot.name} cannot explain itself: {error_text(error)}")
            verdict: CheckVerdict = answer(order)
            return verdict

        plugin.check_order = check_order

    try:
        rerun = Rerun(run_dir, view, story.first.seq, on_attach=listen, say=say_progress)
        with rerun.ready():
            rerun.play()
    except Exception as error:  # whatever keeps the run from being played back, its journal still tells
        known = isinstance(error, _CANNOT_REPLAY)
        text = " ".join((str(error) if known else error_text(error)).split())
        return {}, f"the run cannot be played back to this order, so the checks' verdicts stand as journaled: {text}"
    return found, "; ".join(failed)


class _Writer:
    """Puts a story into an `Explanation`."""

    def __init__(self, words: MarketWords, story: OrderStory, rules: dict[str, list[Explained]]) -> None:
        self._words, self._story, self._rules = words, story, rules
        self._order: Order = story.first.record
        self._listing_id = self._order.listing_id

    def explanation(self, run: str, run_state: str, notes: list[str]) -> Explanation:
        """Return all that is known of the order."""
        words, story, order, listing_id = self._words, self._story, self._order, self._listing_id
        listing, contract, state = words.listings.get(listing_id), words.contract(listing_id), story.state()
        local, utc = words.delivery(listing_id)
        price = words.price(order.price_ticks, listing_id)
        reason = self._reason()
        return Explanation(
            run=run, run_state=run_state, order_id=story.order_id, order=order_name(story.order_id),
            strategy=words.plugin(order.strategy_id), book=words.name(IdKind.BOOK, order.book_id),
            algo=f"{words.name(IdKind.ALGO, order.algo_id)} {order.algo_version}",
            trader=words.name(IdKind.TRADER, order.trader_id), account=words.name(IdKind.ACCOUNT, order.account_id),
            venue=words.plugin(order.venue_id or (listing.venue_id if listing is not None else 0)),
            listing=words.listing(listing_id), contract=contract.name if contract is not None else "unknown",
            delivery_local=local, delivery_utc=utc, currency=words.currency(listing_id),
            side=enum_name(Side, order.side), kind=enum_name(OrderKind, order.kind),
            qty_mw=words.qty_number(order.qty_lots, listing_id),
            price=words.price_number(order.price_ticks, listing_id),
            terms=f"{enum_name(Side, order.side)} {words.qty(order.qty_lots, listing_id)} at {price}, "
            f"{enum_name(OrderKind, order.kind)}",
            state=state.name, open=state not in TERMINAL, reason=enum_name(Reason, reason), way_out=way_out(reason),
            began=[self._step(entry) for entry in story.chain], checks=self._checks(),
            sent=[self._step(entry) for entry in story.events if not isinstance(entry.record, CheckVerdict)],
            meanwhile=[self._step(entry) for entry in story.meanwhile],
            cancels=[Cancel(c.seq, c.why, [self._step(entry) for entry in c.chain]) for c in story.cancels],
            fills=self._fills(), caused=[self._step(entry) for entry in story.caused], others=story.others, notes=notes,
        )  # fmt: skip

    def _reason(self) -> int:
        """Return why it was refused, rejected or ended: what its last event that gives a reason says."""
        given = [
            int(entry.record.reason)
            for entry in self._story.events
            if isinstance(entry.record, (Order, ExecutionReport))
        ]
        return next((reason for reason in reversed(given) if reason), int(Reason.NONE))

    def _step(self, entry: Entry) -> Step:
        record = entry.record
        stamps = [getattr(record, name, ABSENT) for name in ("source_ns", "recv_ns")]
        venue_ns, venue_text = self._at_venue(entry)
        text = say(entry, self._words) + about_order(entry, self._words, self._order)
        if stopped := self._story.stop_reason(entry):
            text += f": {stopped}"
        wall = getattr(record, "clock", 0) in (ClockKind.WALL, ClockKind.HARDWARE) and ABSENT not in stamps
        return Step(
            seq=entry.seq, at_ns=entry.at_ns, at_utc=utc_text(entry.at_ns),
            at_local=self._words.local(entry.at_ns, self._listing_id),
            since_root_ns=entry.at_ns - self._story.root.at_ns, latency_ns=stamps[1] - stamps[0] if wall else None,
            record=record_name(record), by=self._words.plugin(entry.producer),
            cause_seq=None if entry.cause_seq == ABSENT else entry.cause_seq, text=text,
            fields=fields_of(record), venue_ns=venue_ns, venue_text=venue_text,
        )  # fmt: skip

    def _at_venue(self, entry: Entry) -> tuple[int | None, str]:
        """Return when a report's venue says that it happened, where we were told at another time."""
        report = entry.record
        if not isinstance(report, ExecutionReport) or report.source_ns in (ABSENT, entry.at_ns):
            return None, ""
        what = "filled" if report.kind == ReportKind.FILL else enum_name(ReportKind, report.kind).lower()
        there, here = (self._words.local(at_ns, self._listing_id) for at_ns in (report.source_ns, entry.at_ns))
        return report.source_ns, f"{what.replace('_', ' ')} at the venue at {there}, told at {here}"

    def _checks(self) -> list[Check]:
        return [self._check(entry) for entry in self._story.events if isinstance(entry.record, CheckVerdict)]

    def _check(self, entry: Entry) -> Check:
        verdict: CheckVerdict = entry.record
        name = self._words.plugin(verdict.check_id)
        rules = self._rules.get(name)
        note = (
            "" if rules else "this check tells its verdict alone" if rules is not None else "its verdict as journaled"
        )
        return Check(
            check=name, seq=entry.seq, result=enum_name(CheckResult, verdict.result),
            reason=enum_name(Reason, verdict.reason), met=None if verdict.met == ABSENT else verdict.met,
            limit=None if verdict.limit == ABSENT else verdict.limit,
            rules=[self._rule(rule) for rule in rules or []], note=note,
        )  # fmt: skip

    def _rule(self, rule: Explained) -> Rule:
        words, listing_id = self._words, self._listing_id
        return Rule(
            rule=rule.rule, reason=enum_name(Reason, rule.reason), passed=rule.passed,
            met=None if rule.met == ABSENT else rule.met, limit=None if rule.limit == ABSENT else rule.limit,
            unit=rule.unit, bound=rule.bound, met_text=words.amount(rule.met, rule.unit, listing_id),
            limit_text=words.amount(rule.limit, rule.unit, listing_id), note=rule.note,
        )  # fmt: skip

    def _fills(self) -> Fills:
        words, order, listing_id = self._words, self._order, self._listing_id
        reports = [entry.record for entry in self._story.fills()]
        lots = sum(report.last_lots for report in reports)
        listing, hours = words.listings.get(listing_id), words.hours(listing_id)
        qty_mw = words.qty_number(lots, listing_id)
        average = None
        if lots and listing is not None:
            average = sum(r.last_lots * r.last_ticks for r in reports) * listing.tick_micro / lots / 1e6
        decision = words.half_price_number(order.decision_half_ticks, listing_id)
        arrival = words.half_price_number(order.arrival_half_ticks, listing_id)
        sign = 1 if order.side == Side.BUY else -1

        def cost(mid: float | None) -> float | None:
            return None if mid is None or average is None else sign * (average - mid)

        return Fills(
            count=len(reports), qty_mw=qty_mw,
            energy_mwh=None if qty_mw is None or hours is None else qty_mw * float(hours), average_price=average,
            mid_at_decision=decision, mid_at_arrival=arrival, cost_to_decision=cost(decision),
            cost_to_arrival=cost(arrival),
        )  # fmt: skip
