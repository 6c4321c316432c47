"""What a journal holds of one order: its events, what began it, what it caused, who wanted it cancelled."""

from __future__ import annotations

import msgspec

from penstock_kernel.inspect.asked import InspectError, order_name
from penstock_kernel.inspect.causes import cancel_reason, stop_reason
from penstock_kernel.inspect.journal_view import Entry, JournalView, entries_of
from penstock_kernel.inspect.market_words import MarketWords
from penstock_kernel.inspect.meanwhile import meanwhile
from penstock_sdk.events import (
    Alert,
    BookOrderDelta,
    CheckVerdict,
    ExecutionReport,
    IntentAction,
    Order,
    OrderIntent,
    OrderState,
    Pnl,
    Position,
    ReportKind,
)
from penstock_sdk.golden.orders import TABLE, TERMINAL, OrderEvent
from penstock_sdk.schema import layout_of
from penstock_sdk.wire.segment import FrameView

__all__ = ["CancelRequest", "OrderStory", "find_order"]

_ITS_OWN = (Order, CheckVerdict, ExecutionReport)
_CAUSED = (Position, Pnl, Alert)
_NAMED_MAX = 3
_EVENTS = {
    ReportKind.ACCEPTED: OrderEvent.ACCEPTED,
    ReportKind.CANCELLED: OrderEvent.CANCELLED,
    ReportKind.EXPIRED: OrderEvent.EXPIRED,
    ReportKind.REJECTED: OrderEvent.REJECTED,
    ReportKind.AMENDED: OrderEvent.AMENDED,
}


class CancelRequest(msgspec.Struct, frozen=True):
    """One cancel that was sent, and what it goes back to."""

    seq: int
    chain: list[Entry]
    """From the input at the root to what made the kernel cancel."""
    why: str
    """Who or what wanted it, as ``kill switch, command kill by uid 1000: SIGUSR1``."""


class OrderStory:
    """All that a journal holds of one order, in the order of its numbers.

    Attributes:
        first: the order as it was routed or refused. events: orders, verdicts and reports that bear its id.
        chain: from the input at the root to the intent, each the cause of the next.
        caused: positions, P&L and alerts that followed from its events.
        others: how many events of other types its events made, by type.
        cancels: each cancel of it that was sent.
        meanwhile: restarts, and what its venue was asked and said, from its first event to its last.
    """

    def __init__(self, view: JournalView, words: MarketWords, order_id: int, events: list[Entry]) -> None:
        self.order_id = order_id
        self.events = events
        self.first = next(entry for entry in events if isinstance(entry.record, Order))
        self._view, self._words = view, words
        self.chain = [_about(frame, self.first.record.listing_id) for frame in view.chain(self.first.cause_seq)]
        self.caused: list[Entry] = []
        self.others: dict[str, int] = {}
        self._follow()
        self.cancels = [
            self._cancel(entry)
            for entry in events
            if isinstance(entry.record, Order) and entry.record.action == IntentAction.CANCEL
        ]
        # Of an order that is open, all that came after it.
        last_seq = view.last_seq if self.state() not in TERMINAL else events[-1].seq
        told = {entry.seq for entry in self.caused}
        self.meanwhile = [
            entry
            for entry in meanwhile(view, words, self.first.record, self.first.seq, last_seq)
            if entry.seq not in told
        ]

    @property
    def intent(self) -> Entry | None:
        """What asked for the order, or None where intents are not kept."""
        return self.chain[-1] if self.chain and isinstance(self.chain[-1].record, OrderIntent) else None

    @property
    def root(self) -> Entry:
        """The input that began it; the order itself where what came before is not kept."""
        return self.chain[0] if self.chain else self.first

    def _follow(self) -> None:
        """Gather what the order's events made: not what that moved in turn, which is other orders' story."""
        own = {entry.seq for entry in self.events}
        through = set(own)
        for root_seq in sorted({entry.root_seq for entry in self.events}):
            for frame in self._view.cascade(root_seq):
                if frame.cause_seq not in through:
                    continue
                for entry in entries_of(frame):
                    if isinstance(entry.record, _CAUSED):
                        through.add(entry.seq)
                        self.caused.append(entry)
                    elif entry.seq not in own and frame.cause_seq in own:
                        name = type(entry.record).__name__
                        self.others[name] = self.others.get(name, 0) + 1

    def _cancel(self, entry: Entry) -> CancelRequest:
        listing_id = self.first.record.listing_id
        chain = [_about(frame, listing_id) for frame in self._view.chain(entry.cause_seq)]
        if not chain:
            return CancelRequest(entry.seq, chain, "its cause is not kept")
        again = any(isinstance(e.record, Order) and e.record.action == IntentAction.CANCEL and e.seq < entry.seq
                    for e in self.events)  # fmt: skip
        why = cancel_reason(self._view, self._words, chain, self.first.record.strategy_id, again=again)
        return CancelRequest(entry.seq, chain, why)

    def stop_reason(self, entry: Entry) -> str:
        """Return why the plugin drains whose state an event is; empty of any other event."""
        return stop_reason(self._view, entry)

    def state(self) -> OrderState:
        """Return where the order stands after its last event."""
        state, filled_lots = OrderState.UNKNOWN, 0
        for entry in self.events:
            record = entry.record
            if isinstance(record, Order):
                state = OrderState(record.state)
            elif isinstance(record, ExecutionReport):
                filled_lots += record.last_lots if record.kind == ReportKind.FILL else 0
                event = self._order_event(record, filled_lots)
                state = TABLE[state].get(event, state) if event is not None else state
        return state

    def _order_event(self, report: ExecutionReport, filled_lots: int) -> OrderEvent | None:
        if report.kind == ReportKind.FILL:
            whole = filled_lots >= self.first.record.qty_lots
            return OrderEvent.FILLED if whole else OrderEvent.PARTLY_FILLED
        if report.kind == ReportKind.CANCEL_REJECTED:
            return OrderEvent.CANCEL_REJECTED_PARTLY if filled_lots else OrderEvent.CANCEL_REJECTED
        return _EVENTS.get(ReportKind(report.kind)) if report.kind in ReportKind._value2member_map_ else None

    def fills(self) -> list[Entry]:
        """Return the reports that dealt some of it."""
        return [e for e in self.events if isinstance(e.record, ExecutionReport) and e.record.kind == ReportKind.FILL]


def _about(frame: FrameView, listing_id: int) -> Entry:
    """Return the record of a frame that is about a listing, else its first."""
    entries = list(entries_of(frame))
    return next((entry for entry in entries if getattr(entry.record, "listing_id", 0) == listing_id), entries[0])


def find_order(view: JournalView, words: MarketWords, order_id: int) -> OrderStory:
    """Return what a journal holds of an order.

    Raises:
        InspectError: it holds no such order of ours; the message names what the number is, or the nearest orders.

    Cost: one look at every frame's type and first field, some 20 ns each.
    """
    ids = [layout_of(cls).id for cls in _ITS_OWN]
    events = [
        entry
        for frame in view.where_first_word(order_id, *ids)
        for entry in entries_of(frame)
        if entry.record.order_id == order_id
    ]
    if any(isinstance(entry.record, Order) for entry in events):
        return OrderStory(view, words, order_id, events)
    raise InspectError(_unknown(view, words, order_id, events))


def _unknown(view: JournalView, words: MarketWords, order_id: int, events: list[Entry]) -> str:
    way_out = 'list them with `penstock query RUN "select order_id, strategy, state from orders_latest"`'
    if events:
        entry = events[0]
        return (
            f"order {order_id} was never sent by this run: {words.plugin(entry.producer)} reports on it at "
            f"seq {entry.seq}, and the journal knows no such order; {way_out}"
        )
    for frame in view.of(layout_of(BookOrderDelta).id):
        for entry in entries_of(frame):
            if entry.record.order_ref == order_id:
                where = f"{words.listing(entry.record.listing_id)}, first seen at seq {entry.seq}"
                return f"order {order_id} is an order of the market's in {where}, and none of ours; {way_out}"
    known = sorted({entry.record.order_id for frame in view.of(layout_of(Order).id) for entry in entries_of(frame)})
    if not known:
        return f"order {order_id} is not in the run: it sent no order, and refused none"
    near = sorted(sorted(known, key=lambda known_id: abs(known_id - order_id))[:_NAMED_MAX])
    named = ", ".join(f"{known_id} ({order_name(known_id)})" for known_id in near)
    return f"order {order_id} is not among the run's {len(known):,} orders; nearest are {named}; {way_out}"
