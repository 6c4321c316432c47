"""What befell the run while an order was open: restarts, what its venue was asked and said, the venue's alerts."""

from __future__ import annotations

from penstock_kernel.inspect.journal_view import Entry, JournalView, entries_of
from penstock_kernel.inspect.market_words import MarketWords
from penstock_sdk.events import Alert, Order, Reconcile, Reconciled, RunEnd, RunHeader, SessionReady
from penstock_sdk.schema import layout_of

__all__ = ["about_order", "meanwhile"]

_OF_THE_RUN = (RunHeader, SessionReady, RunEnd)
_ALL = (*_OF_THE_RUN, Reconcile, Reconciled, Alert)


def meanwhile(view: JournalView, words: MarketWords, order: Order, first_seq: int, last_seq: int) -> list[Entry]:
    """Return what happened to the run and to an order's venue between two events, in order.

    Args:
        order: as it was sent. first_seq, last_seq: of its first and its last event.
    """
    venue_id = order.venue_id
    subjects = (words.plugin(venue_id), str(venue_id))

    def concerns(record: object) -> bool:
        if isinstance(record, (Reconcile, Reconciled)):
            return record.venue_id == venue_id
        if isinstance(record, Alert):
            return record.code.startswith("venue.") and record.subject in subjects
        return isinstance(record, _OF_THE_RUN)

    return [
        entry
        for frame in view.of(*(layout_of(cls).id for cls in _ALL))
        if first_seq < frame.seq <= last_seq
        for entry in entries_of(frame)
        if concerns(entry.record)
    ]


def about_order(entry: Entry, words: MarketWords, order: Order) -> str:
    """Return what a question to the venue says of one order, for the end of its sentence."""
    if not isinstance(entry.record, Reconcile):
        return ""
    filled_lots = dict(entry.record.orders).get(order.order_id)
    if filled_lots is None:
        return "; this one is not among them"
    return f"; this one with {words.qty(filled_lots, order.listing_id)} filled"
