"""Which rows of a file or a command can be captured together: against what is known, who says it, and the limits."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

import msgspec

from penstock_sdk.energy.counterparties import CounterpartyTerms
from penstock_sdk.energy.deal_book import CAPTURED, CONFIRMED, DealBook, DealRecord, Owed, record_of
from penstock_sdk.energy.deals import DealTerms, deals_of
from penstock_sdk.energy.outside_cells import instant_text
from penstock_sdk.energy.row_files import CellError, Fault, Sheet
from penstock_sdk.energy.rules import Reference

__all__ = ["FUTURE_NS", "Batch", "Capture", "Now", "file_faults"]

FUTURE_NS = 60_000_000_000
"""How far another clock may go ahead of ours."""


class Now(Protocol):
    """When it is, and what reference data holds: a plugin's context."""

    @property
    def now_ns(self) -> int:
        """The time, ns UTC."""

    @property
    def reference(self) -> Reference:
        """Rules and calendars."""


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

    def __init__(self, ctx: Now, book: DealBook) -> None:
        self._ctx = ctx
        self._book = book

    def checked(self, sheet: Sheet, person: str | None) -> Batch:
        """Return what can be captured of a sheet; changes nothing.

        Args:
            person: who captures, by the operating system's word; None: the rows say it.
        """
        made, faults = _sound(sheet, self._ctx.reference, person or "")
        sound = {row for row, _ in made}
        faults += [each for each in _unknown(sheet, self._book.counterparties) if each.row not in sound]
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
        deal = record_of(terms, number, ctx.now_ns, ctx.reference)
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


def _sound(sheet: Sheet, reference: Reference, person: str) -> tuple[list[tuple[int, DealTerms]], list[Fault]]:
    """Return the deals of every row without a fault, and every fault; what else is wrong with those is told with it."""
    made, faults = deals_of(sheet, reference, person)
    if faults:
        made = [deal for row in sheet.rows for deal in deals_of(Sheet(sheet.source, [row], []), reference, person)[0]]
    return made, faults


def _unknown(sheet: Sheet, known: Collection[str]) -> list[Fault]:
    """Return a fault for each row whose counterparty is not known."""
    wanted = f"one of {', '.join(known) or 'none: the config names no file of them'}"
    return [
        Fault.of(sheet.source, number, CellError("counterparty", name, "it is not known", wanted))
        for number, cells in sheet.rows
        if (name := " ".join(cells.get("counterparty", "").split())) and name not in known
    ]


def file_faults(
    sheet: Sheet, counterparties: Iterable[CounterpartyTerms] | None, reference: Reference, *, person: str = "",
    limits: bool = True,
) -> tuple[int, list[Fault]]:  # fmt: skip
    """Return how many deals a file has, and what is wrong with it beside its counterparties; without a run.

    Args:
        counterparties: all there are; None: nobody knows.
        person: who captures where a row does not say; empty: every row must.
        limits: each deal against its counterparty's limit, at the time of its trade, beside the deals of the file that
            are confirmed by then; what else a run holds is not known here. Without, a deal must only have one.
    """
    book = DealBook()
    book.counterparties = {terms.name: terms for terms in counterparties or ()}
    made, faults = _sound(sheet, reference, person)
    if counterparties is not None:
        faults += _unknown(sheet, book.counterparties)
    for row, terms in sorted(made, key=lambda pair: pair[1].traded_ns):
        if not terms.captured_by:
            error = CellError("captured_by", "", "a file says who captured each deal", "a person's name")
            faults.append(Fault.of(sheet.source, row, error))
        if terms.counterparty not in book.counterparties:
            continue
        deal = record_of(terms, row, terms.traded_ns, reference)
        if not limits:
            deal.payments = []
        rule, wanted = book.counterparty_fault(deal, terms.traded_ns)
        if rule:
            faults.append(Fault.of(sheet.source, row, CellError("counterparty", terms.counterparty, rule, wanted)))
        elif terms.confirmed_by:
            deal.status = CONFIRMED
            book.deals[terms.deal_id] = deal
    return len(made), sorted(faults, key=lambda fault: fault.row)


def _by_person(terms: DealTerms, person: str) -> DealTerms:
    """Return terms as captured over the socket: by whom the system says, and confirmed by nobody yet."""
    if terms.captured_by and terms.captured_by.casefold() != person.casefold():
        rule = f"the system says that it comes from {person}"
        raise CellError("captured_by", terms.captured_by, rule, f"{person}, or nothing")
    if terms.confirmed_by:
        raise CellError("confirmed_by", terms.confirmed_by, "confirming is a command of its own", "nothing")
    return msgspec.structs.replace(terms, captured_by=person)
