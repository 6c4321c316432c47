"""Which rows of a file or a command can be captured together: against what is known, who says it, and the limits."""

from __future__ import annotations

import msgspec

from penstock_plugins.deals.deal_book import CAPTURED, DealBook, DealRecord, Owed, payments
from penstock_sdk.context import Context
from penstock_sdk.energy.deals import DealTerms, deals_of, laid_out
from penstock_sdk.energy.outside_cells import instant_text
from penstock_sdk.energy.row_files import CellError, Fault, Sheet

__all__ = ["FUTURE_NS", "Batch", "Capture"]

FUTURE_NS = 60_000_000_000
"""How far another clock may go ahead of ours."""


class Batch(msgspec.Struct):
    """Deals of one file or command that can be captured together."""

    source: str
    fresh: list[tuple[int, DealRecord]] = []
    confirming: list[tuple[int, DealRecord]] = []
    """Known deals that the file names the second person of."""
    later: list[tuple[int, DealTerms]] = []
    faults: list[Fault] = []
    owed: dict[tuple[str, str], Owed] = {}
    """By counterparty and currency, for what is confirmed with those of this batch."""


class Capture:
    """Checks rows of deals; changes nothing."""

    def __init__(self, ctx: Context, book: DealBook) -> None:
        self._ctx = ctx
        self._book = book

    def checked(self, sheet: Sheet, person: str | None) -> Batch:
        """Return what can be captured of a sheet; changes nothing.

        Args:
            person: who captures, by the operating system's word; None: the rows say it.
        """
        made, faults = deals_of(sheet, self._ctx.reference)
        batch = Batch(sheet.source, faults=faults)
        numbers = len(self._book.deals)
        for row, terms in made:
            try:
                self._sort_in(batch, row, terms, person, numbers + len(batch.fresh) + 1)
            except CellError as error:
                batch.faults.append(Fault.of(sheet.source, row, error))
        return batch

    def _sort_in(self, batch: Batch, row: int, terms: DealTerms, person: str | None, number: int) -> None:
        """Put one row where it belongs in its batch.

        Raises:
            CellError: it cannot be captured.
        """
        ctx = self._ctx
        known = self._book.deals.get(terms.deal_id)
        if known is not None:
            self._sort_known(batch, row, terms, known, person)
            return
        if person is not None:
            terms = _by_person(terms, person)
            if terms.traded_ns > ctx.now_ns + FUTURE_NS:
                wanted = f"a time up to {instant_text(ctx.now_ns)}"
                raise CellError("traded", terms.traded, "it is in the future", wanted)
        elif terms.traded_ns > ctx.now_ns:
            batch.later.append((row, terms))
            return
        deal = self._record(terms, number)
        if person is None and not terms.captured_by:
            raise CellError("captured_by", "", "a file says who captured each deal", "a person's name")
        self._allow(batch, deal)
        batch.fresh.append((row, deal))

    def _sort_known(self, batch: Batch, row: int, terms: DealTerms, known: DealRecord, person: str | None) -> None:
        same = known.terms.same_deal(terms)
        if person is not None or not same:
            rule = f"deal {terms.deal_id} is {known.status} already" + ("" if same else ", with other terms")
            raise CellError("deal_id", terms.deal_id, rule, "an id that was never used")
        if known.status != CAPTURED or not terms.confirmed_by:
            return
        if terms.confirmed_by.casefold() == known.captured_by.casefold():
            rule = f"{known.captured_by} has captured it as well"
            raise CellError("confirmed_by", terms.confirmed_by, rule, "somebody else")
        second = msgspec.structs.replace(known, confirmed_by=terms.confirmed_by)
        self._allow(batch, second)
        batch.confirming.append((row, second))

    def _record(self, terms: DealTerms, number: int) -> DealRecord:
        laid = laid_out(terms, self._ctx.reference)
        return DealRecord(
            number=number, terms=terms, status=CAPTURED, captured_by=terms.captured_by, captured_ns=self._ctx.now_ns,
            payments=payments(terms, laid, self._ctx.reference), price_ticks=laid.price.price_ticks,
        )  # fmt: skip

    def _allow(self, batch: Batch, deal: DealRecord) -> None:
        """Raise unless a deal's counterparty and its limit allow it, beside those of its batch that are confirmed."""
        now_ns, terms = self._ctx.now_ns, deal.terms
        key = (terms.counterparty, terms.currency)
        held = batch.owed.get(key) or self._book.owed(*key, now_ns)
        rule, wanted = self._book.counterparty_fault(deal, now_ns, held)
        if rule:
            raise CellError("counterparty", terms.counterparty, rule, wanted)
        more = deal.owed(now_ns) if deal.confirmed_by or terms.confirmed_by else (0, 0)
        batch.owed[key] = (held[0] + more[0], held[1] + more[1])


def _by_person(terms: DealTerms, person: str) -> DealTerms:
    """Return terms as captured over the socket: by whom the system says, and confirmed by nobody yet."""
    if terms.captured_by and terms.captured_by.casefold() != person.casefold():
        rule = f"the system says that it comes from {person}"
        raise CellError("captured_by", terms.captured_by, rule, f"{person}, or nothing")
    if terms.confirmed_by:
        raise CellError("confirmed_by", terms.confirmed_by, "confirming is a command of its own", "nothing")
    return msgspec.structs.replace(terms, captured_by=person)
