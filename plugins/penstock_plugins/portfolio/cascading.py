"""On its last trading day a year's position moves into months and quarters, a quarter's into months."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from penstock_plugins.portfolio.ledger import Holding, Ledger
from penstock_plugins.portfolio.marks import Marks
from penstock_sdk.context import Context
from penstock_sdk.delivery_grid import DeliveryGrid
from penstock_sdk.events import Alert, Cascade, Severity
from penstock_sdk.golden import positions as golden
from penstock_sdk.golden.cascade import cascade, one_price, part_lots, part_ticks
from penstock_sdk.instruments import Instrument
from penstock_sdk.schema import ABSENT, Event

__all__ = ["Cascading"]


class Cascading:
    """Moves positions when contracts end.

    Args:
        ctx: for alerts, timers and the time.
        instruments: by listing.
        open_holding: returns what an account (book, strategy) holds of a listing, made when it is new.
    """

    def __init__(
        self,
        ctx: Context,
        instruments: Mapping[int, Instrument],
        ledger: Ledger,
        marks: Marks,
        grid: DeliveryGrid,
        open_holding: Callable[[int, int, Instrument], Holding],
    ) -> None:
        self._ctx = ctx
        self._instruments = instruments
        self._ledger = ledger
        self._marks = marks
        self._grid = grid
        self._open = open_holding
        self._waiting: set[int] = set()
        """Listings that have ended and could not be cascaded: they are tried again when listings come."""

    def expect(self, listed: Instrument) -> None:
        """Ask to be woken when a listing ends."""
        if listed.parts:
            self._ctx.set_timer(listed.last_trading_ns, tag=listed.listing_id)

    def again(self) -> tuple[list[Event], list[Holding]]:
        """Move what could not be cascaded so far and now can; as `move`."""
        events: list[Event] = []
        changed: list[Holding] = []
        self._waiting &= self._instruments.keys()  # what has been delivered meanwhile cascades no more
        for listing_id in sorted(self._waiting):
            if self._marks.parts(listing_id) is not None:
                more, moved = self.move(listing_id)
                events, changed = events + more, changed + moved
        return events, changed

    def ended(self, listing_id: int) -> bool:
        """Return whether a listing has cascaded, or should have."""
        listed = self._instruments.get(listing_id)
        return listed is not None and bool(listed.parts) and listed.last_trading_ns <= self._ctx.now_ns

    def move(self, listing_id: int) -> tuple[list[Event], list[Holding]]:
        """Move every account's position in a listing into its parts.

        Returns:
            What to tell, a Cascade or alerts; and the holdings that changed, none where the position stays.
        """
        self._waiting.discard(listing_id)
        held = [h for h in self._ledger.of_listing(listing_id) if self._ledger.table[h.row, golden.POSITION_NET]]
        if not held:
            return [], []
        whole = self._instruments[listing_id]
        into = self._marks.parts(listing_id)
        if into is None:
            return [self._no_parts(whole)], []
        parts = [self._instruments[part] for part in into]
        lots = [part.lot for part in parts]
        try:
            times = part_lots(whole.lot, lots)
        except ValueError as error:
            return [self._stays(whole, str(error))], []
        ticks, _ = self._marks.mark(listing_id)
        assert ticks != ABSENT, "a position comes of a trade or of a cascade, and both leave a price"
        price = one_price(ticks, whole.lot, lots)
        events: list[Event] = [Cascade(listing_id=listing_id, into=into, price_ticks=price)]
        changed: list[Holding] = []
        for holding in held:
            moved = self._move_one(holding, parts, times, price)
            if not moved:
                account = holding.account
                who = f"book {account.book_id}, strategy {account.strategy_id}"
                events.append(self._stays(whole, f"{who}: lots or money of the parts that do not fit 64 bits"))
            changed += moved
        for part in parts:
            self._marks.passed_on(part.listing_id, part_ticks(price, whole.lot, part.lot), self._ctx.now_ns)
        return events, changed

    def _move_one(self, holding: Holding, parts: list[Instrument], times: list[int], price: int) -> list[Holding]:
        """Move one account's; return the holdings that changed, none where a figure would not fit."""
        book_id, strategy_id, whole = holding.account.book_id, holding.account.strategy_id, holding.listing
        targets = [self._open(book_id, strategy_id, part) for part in parts]
        table = self._ledger.table  # not before: opening a row may have made it longer
        net = int(table[holding.row, golden.POSITION_NET])
        rows = [target.row for target in targets]
        if cascade(table, holding.row, whole.lot, rows, [part.lot for part in parts], price) != golden.APPLIED:
            return []
        self._grid.fill(whole.listing_id, book_id, strategy_id, -net)
        for part, each in zip(parts, times, strict=True):
            self._grid.fill(part.listing_id, book_id, strategy_id, net * each)
        return [holding, *targets]

    def _no_parts(self, whole: Instrument) -> Alert:
        self._waiting.add(whole.listing_id)
        missing = [name for name in whole.parts if not self._marks.listed(name, whole.venue_id)]
        return self._ctx.alert(
            "portfolio.no_cascade_parts", Severity.ERROR,
            f"{whole.name} has ended, and at its venue there is no listing of {', '.join(missing)}",
            "a listing of each contract that it cascades into",
            "the position stays where it is; announce the listings, as reference-only ones, and it moves by itself",
            subject=whole.name,
        )  # fmt: skip

    def _stays(self, whole: Instrument, met: str) -> Alert:
        return self._ctx.alert(
            "portfolio.cascade_refused", Severity.ERROR, met,
            "parts that make up the whole, in lots and ticks that fit it",
            "the position stays where it is; mend the parts' definitions, or move it by external trades",
            subject=whole.name,
        )  # fmt: skip

    def snapshot(self) -> Any:
        """Return it as msgpack carries it."""
        return sorted(self._waiting)

    def restore(self, state: Any) -> None:
        """Take back what `snapshot` returned."""
        self._waiting = set(state)
