"""Trades that a screen or a broker tells of: found among the listings, put on their grid, known again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from penstock_sdk.context import Context
from penstock_sdk.energy.deal_capture import FUTURE_NS
from penstock_sdk.energy.money import price_currency
from penstock_sdk.energy.outside_cells import instant_text
from penstock_sdk.energy.outside_trades import TradeTerms, alias_of, check_trade, on_grid, trade_number, trades_of
from penstock_sdk.energy.row_files import CellError, Fault, Sheet
from penstock_sdk.events import ExternalTrade, IdKind, ListingDefinition, Side, TradeSource
from penstock_sdk.schema import ABSENT, Event

__all__ = ["OutsideTrades"]

_SOURCES = {"screen": TradeSource.SCREEN, "broker": TradeSource.BROKER}
_DAY_NS = 86_400_000_000_000


class OutsideTrades:
    """Which trades have been told, and how a new one is told."""

    def __init__(self, ctx: Context, kept_days: int) -> None:
        self._ctx = ctx
        self._kept_ns = kept_days * _DAY_NS
        self.known: dict[str, tuple[int, str]] = {}
        """(when it was taken, digest of its terms) by source and reference."""
        self.strategies: dict[str, int] = {}
        """Plugin id by name, of all that run or ran."""
        self._names: dict[str, list[ListingDefinition]] = {}
        self._names_seq = -1

    def fault(self, terms: TradeTerms) -> CellError | None:
        """Return what stands against a trade; None where it can be told, or has been with the same terms."""
        known = self.known.get(terms.key)
        if known is not None and known[1] != _digest(terms):
            return CellError(
                "reference", terms.reference, f"{terms.source} {terms.reference} was another trade",
                "a reference of its own; a trade that was wrong is taken back by one the other way",
            )  # fmt: skip
        return None

    def is_known(self, terms: TradeTerms) -> bool:
        """Return whether this very trade has been taken."""
        return terms.key in self.known

    def event(self, terms: TradeTerms) -> ExternalTrade:
        """Return a trade as the event it is. Interns names: for handlers.

        Raises:
            CellError: as `resolved`.
        """
        ctx = self._ctx
        listing, price_ticks, qty_lots = self.resolved(terms)
        return ExternalTrade(
            listing.listing_id, side=int(Side.BUY if terms.side == "buy" else Side.SELL),
            source=int(_SOURCES[terms.source]), price_ticks=price_ticks, qty_lots=qty_lots,
            trade_id=trade_number(terms.source, terms.reference),
            strategy_id=self.strategies.get(terms.strategy, 0), book_id=ctx.intern(IdKind.BOOK, terms.book),
            trader_id=ctx.intern(IdKind.TRADER, terms.trader) if terms.trader else 0,
            counterparty_id=ctx.intern(IdKind.COUNTERPARTY, terms.counterparty) if terms.counterparty else 0,
            traded_ns=terms.traded_ns, source_ns=terms.traded_ns,
        )  # fmt: skip

    def resolved(self, terms: TradeTerms) -> tuple[ListingDefinition, int, int]:
        """Return (listing, price in ticks, quantity in lots); changes nothing.

        Raises:
            CellError: no listing or several of that name, off its grid or beyond its limits, dealt when it was not
                traded any more, an unknown strategy.
        """
        if terms.strategy and terms.strategy not in self.strategies:
            known = ", ".join(self.strategies) or "none"
            raise CellError("strategy", terms.strategy, "no plugin is called so", f"one of {known}, or nothing")
        listing = self._listing(terms)
        contract = self._ctx.contract(listing.contract_id)
        assert contract is not None
        _, minors = price_currency(contract.price_unit.partition("/")[0])
        price_ticks, qty_lots = on_grid(
            terms, qty_unit=contract.qty_unit, lot_kw=listing.lot_kw, tick_micro=listing.tick_micro, minors=minors,
            limits=(listing.price_min_ticks, listing.price_max_ticks),
        )  # fmt: skip
        last_ns = None if contract.last_trading_ns == ABSENT else contract.last_trading_ns
        check_trade(terms, delivery_end_ns=contract.delivery_end_ns, last_trading_ns=last_ns)
        return listing, price_ticks, qty_lots

    def _listing(self, terms: TradeTerms) -> ListingDefinition:
        ctx = self._ctx
        found = self._named(terms.contract)
        if terms.venue:
            found = [each for each in found if ctx.name_of(IdKind.PLUGIN, each.venue_id) == terms.venue]
            if not found and (name := alias_of(terms, ctx.reference)):
                found = self._named(name)
        if len(found) == 1:
            return found[0]
        where = f" at {terms.venue}" if terms.venue else ""
        if not found:
            raise CellError(
                "contract", terms.contract, f"no listing or contract{where} is called so now",
                "a name as `penstock contract` has it, announced by a venue or the refdata plugin",
            )  # fmt: skip
        names = ", ".join(f"{each.name} at {ctx.name_of(IdKind.PLUGIN, each.venue_id)}" for each in found)
        raise CellError(
            "contract", terms.contract, f"it is listed {len(found)} times: {names}", "one of them, by venue"
        )

    def _named(self, name: str) -> list[ListingDefinition]:
        """Return the listings that are called so, or whose contract is; by a table of all, made once an event."""
        ctx = self._ctx
        if self._names_seq != ctx.seq:
            self._names_seq, self._names = ctx.seq, {}
            for listing in ctx.listings():
                for each in {listing.name, _contract_name(ctx, listing)}:
                    self._names.setdefault(each, []).append(listing)
        return self._names.get(name, [])

    def checked(
        self, sheet: Sheet, *, live: bool = False
    ) -> tuple[list[tuple[int, TradeTerms]], list[tuple[int, TradeTerms]], list[Fault]]:
        """Return (to be told now, to be told at their time, faults) of a sheet; changes nothing."""
        made, faults = trades_of(sheet)
        now: list[tuple[int, TradeTerms]] = []
        later: list[tuple[int, TradeTerms]] = []
        for row, terms in made:
            error = self.fault(terms)
            if error is None and not self.is_known(terms):
                if terms.traded_ns > self._ctx.now_ns + (FUTURE_NS if live else 0):
                    later.append((row, terms))
                    if live:
                        wanted = f"a time up to {instant_text(self._ctx.now_ns)}"
                        error = CellError("traded", terms.traded, "it is in the future", wanted)
                else:
                    now.append((row, terms))
                    error = self._unresolved(terms)
            if error is not None:
                faults.append(Fault.of(sheet.source, row, error))
        return now, later, faults

    def _unresolved(self, terms: TradeTerms) -> CellError | None:
        try:
            self.resolved(terms)
        except CellError as error:
            return error
        return None

    def told(self, rows: Sequence[tuple[int, TradeTerms]]) -> list[Event]:
        """Return the trades as events, in order of time."""
        out: list[Event] = []
        for _, terms in sorted(rows, key=lambda pair: (pair[1].traded_ns, pair[0])):
            self.take(terms)
            out.append(self.event(terms))
        return out

    def take(self, terms: TradeTerms) -> None:
        """Know a trade from now on; forget what was taken long ago."""
        now_ns = self._ctx.now_ns
        self.known[terms.key] = (now_ns, _digest(terms))
        while (oldest := next(iter(self.known))) != terms.key and self.known[oldest][0] < now_ns - self._kept_ns:
            del self.known[oldest]

    def snapshot(self) -> dict[str, Any]:
        """Return what is known as msgpack carries it."""
        return {"known": [[key, *held] for key, held in self.known.items()], "strategies": dict(self.strategies)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned."""
        self.known = {key: (at_ns, digest) for key, at_ns, digest in state["known"]}
        self.strategies = dict(state["strategies"])


def _contract_name(ctx: Context, listing: ListingDefinition) -> str:
    contract = ctx.contract(listing.contract_id)
    return "" if contract is None else contract.name


def _digest(terms: TradeTerms) -> str:
    return hashlib.sha256(msgspec.msgpack.encode(terms)).hexdigest()[:16]
