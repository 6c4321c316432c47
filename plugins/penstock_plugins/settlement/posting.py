"""Cash flows of each kind: what a trade, a mark, a month or an interval makes due, and when."""

from __future__ import annotations

from penstock_plugins.settlement.balancing import SlotDue
from penstock_plugins.settlement.config import SettlementConfig
from penstock_plugins.settlement.days import ValueDays
from penstock_plugins.settlement.flows import Flows
from penstock_plugins.settlement.houses import Houses
from penstock_plugins.settlement.series import SeriesNames
from penstock_plugins.settlement.swaps import SwapDue
from penstock_plugins.settlement.terms import Terms, month_parts
from penstock_sdk.context import Context
from penstock_sdk.energy.money import allocate
from penstock_sdk.events import CashKind, IdKind
from penstock_sdk.grid_slots import GridSlots

__all__ = ["Holder", "Posting"]

Holder = tuple[int, int, int]
"""(book, strategy, counterparty)."""


class Posting:
    """Adds cash flows with their value days."""

    def __init__(
        self, ctx: Context, config: SettlementConfig, flows: Flows, days: ValueDays, names: SeriesNames,
        houses: Houses,
    ) -> None:  # fmt: skip
        self._ctx, self._config, self._flows, self._days, self._names = ctx, config, flows, days, names
        self._houses = houses

    def trade(self, terms: Terms, holder: Holder, lots: int, amount_micro: int, traded_ns: int) -> None:
        """Add what a physical trade costs: at once where it is cleared, month by month where it is invoiced."""
        book_id, strategy_id, party_id = holder
        energy_wh, add = terms.wh(lots), self._flows.add
        if terms.payment == "spot":
            add(
                CashKind.TRADE, amount_micro, energy_wh, book_id=book_id, strategy_id=strategy_id,
                listing_id=terms.listing_id, zone_id=terms.zone_id, counterparty_id=party_id or self._houses.of(terms),
                currency_id=terms.currency_id, value_day=self._days.of_trade(traded_ns), slots=terms.slots,
                start_ns=terms.start_ns, end_ns=terms.end_ns, traded_ns=traded_ns,
            )  # fmt: skip
        else:
            parts = month_parts(terms)
            weights = [part.weight for part in parts]
            amounts, energies = allocate(amount_micro, weights), allocate(energy_wh, weights)
            for part, amount, energy in zip(parts, amounts, energies, strict=True):
                add(
                    CashKind.TRADE, amount, energy, book_id=book_id, strategy_id=strategy_id,
                    listing_id=terms.listing_id, zone_id=terms.zone_id,
                    counterparty_id=party_id or self._houses.of(terms), currency_id=terms.currency_id,
                    value_day=self._days.of_month(part.start_ns, terms.slots),
                    slots=terms.slots, start_ns=part.start_ns, end_ns=part.end_ns, traded_ns=traded_ns,
                )  # fmt: skip

    def fee(self, terms: Terms, holder: Holder, lots: int, fee_micro: int, traded_ns: int) -> None:
        """Add the fee on some lots."""
        book_id, strategy_id, party_id = holder
        self._flows.add(
            CashKind.FEE, -fee_micro, terms.wh(lots), book_id=book_id, strategy_id=strategy_id,
            listing_id=terms.listing_id, zone_id=terms.zone_id, counterparty_id=party_id or self._houses.of(terms),
            currency_id=terms.currency_id, value_day=self._days.of_trade(traded_ns), slots=terms.slots,
            start_ns=terms.start_ns, end_ns=terms.end_ns, traded_ns=traded_ns,
        )  # fmt: skip

    def variation(self, terms: Terms, holder: Holder, gain: int, at_ns: int) -> None:
        """Add what a future has gained by a settlement mark."""
        book_id, strategy_id, party_id = holder
        self._flows.add(
            CashKind.VARIATION, gain, 0, book_id=book_id, strategy_id=strategy_id, listing_id=terms.listing_id,
            zone_id=terms.zone_id, counterparty_id=party_id or self._houses.of(terms), currency_id=terms.currency_id,
            value_day=self._days.after(at_ns), slots=terms.slots, start_ns=terms.start_ns,
            end_ns=terms.end_ns, traded_ns=at_ns,
        )  # fmt: skip

    def swap(self, due: SwapDue) -> None:
        """Add what a month of a swap brings."""
        terms, part, (book_id, strategy_id, party_id) = due.terms, due.part, due.holder
        self._flows.add(
            CashKind.SWAP, due.amount_micro, due.energy_wh, book_id=book_id, strategy_id=strategy_id,
            listing_id=terms.listing_id, zone_id=terms.zone_id, counterparty_id=party_id or self._houses.of(terms),
            currency_id=terms.currency_id, value_day=self._days.of_month(part.start_ns, terms.slots),
            slots=terms.slots, version=due.version, start_ns=part.start_ns, end_ns=part.end_ns,
        )  # fmt: skip

    def imbalance(self, slots: GridSlots, found: SlotDue) -> None:
        """Add what an interval's deviation brings a book."""
        due, party = found.due, f"{self._config.balancing_party} {slots.code}"
        self._flows.add(
            CashKind.IMBALANCE, due.amount_micro, due.energy_wh, book_id=found.book_id, zone_id=found.zone_id,
            counterparty_id=self._ctx.intern(IdKind.COUNTERPARTY, party), currency_id=self._names.currency_id(slots),
            value_day=self._days.of_month(found.start_ns, slots), slots=slots,
            version=due.version, start_ns=found.start_ns, end_ns=found.end_ns,
        )  # fmt: skip
