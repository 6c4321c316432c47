"""Fees, charged fill by fill exactly as the portfolio charges them: both read one table by one rule.

What a fee per MWh comes to is kept in 1/60,000 of 10⁻⁶ of the currency; a cash flow is what the whole ones have grown
by, so that the sum over fills is the fee in the portfolio's figures.
"""

from __future__ import annotations

from typing import Any

from penstock_sdk.context import Context
from penstock_sdk.energy.rules import Reference
from penstock_sdk.events import IdKind, TradeSource
from penstock_sdk.golden.positions_layout import FEE_PARTS
from penstock_sdk.instruments import Instrument, instrument
from penstock_sdk.tariffs import Tariff, next_day_ns, outside_fallback, tariff, trading_day

__all__ = ["Fees"]

Account = tuple[int, int, int]
"""(book, strategy, listing)."""


class Fees:
    """What is charged on trades. Cost: a dictionary look-up a fill, the table once a day and listing."""

    def __init__(self, ctx: Context, micro_per_mwh: int) -> None:
        self._ctx, self._fallback = ctx, micro_per_mwh
        self._parts: dict[Account, int] = {}
        """What was rounded off."""
        self._tariffs: dict[int, tuple[int, Tariff]] = {}
        """(until when, tariff) of today by listing."""
        self._reference: Reference | None = None

    def charge(self, account: Account, lots: int, at_ns: int, source: int = 0, party_id: int = 0) -> int:
        """Return what a trade of some lots costs, 10⁻⁶ of the currency; a rebate is negative.

        Args:
            account: whose trade in which listing.
            lots: above 0.
            at_ns: when it was made.
            source: a `TradeSource`, 0 of Penstock's own: bilateral trades are charged by the table alone, corrections
                give back what the trade cost that they take back.
            party_id: the counterparty, 0 a clearing house.
        """
        if at_ns == self._ctx.now_ns and not source:
            fees = self._today(account[2])
        else:
            fallback = outside_fallback(source, party_id, self._fallback)
            fees = self._rate(self._listed(account[2]), at_ns, fallback)
            fees = fees.given_back() if source == TradeSource.CORRECTION else fees
        whole, rest = divmod(self._parts.get(account, 0) + lots * fees.parts_per_lot, FEE_PARTS)
        self._parts[account] = rest
        return whole + fees.micro_per_trade

    def _today(self, listing_id: int) -> Tariff:
        if self._ctx.reference is not self._reference:
            self._reference = self._ctx.reference
            self._tariffs.clear()
        until_ns, found = self._tariffs.get(listing_id, (0, Tariff()))
        if self._ctx.now_ns >= until_ns:
            listed = self._listed(listing_id)
            found = self._rate(listed, self._ctx.now_ns, self._fallback)
            self._tariffs[listing_id] = (next_day_ns(self._ctx.now_ns, listed.timezone), found)
        return found

    def _rate(self, listed: Instrument, at_ns: int, fallback: int) -> Tariff:
        rules, name_of = self._ctx.reference.rules, self._ctx.name_of
        if not rules.rows("fees"):
            return Tariff(fallback * listed.fee_parts_per_lot if listed.venue_id else 0)
        return tariff(
            rules, listed, name_of(IdKind.PLUGIN, listed.venue_id), name_of(IdKind.CURRENCY, listed.currency_id),
            trading_day(at_ns, listed.timezone), fallback_micro_per_mwh=fallback,
        )  # fmt: skip

    def _listed(self, listing_id: int) -> Instrument:
        listing = self._ctx.listing(listing_id)
        assert listing is not None, "only what is traded is charged"
        contract = self._ctx.contract(listing.contract_id)
        return instrument(listing, contract, None if contract is None else self._ctx.zone(contract.zone_id))

    def let_go(self, listing_id: int) -> None:
        """Forget a listing that is over."""
        self._tariffs.pop(listing_id, None)
        self._parts = {account: rest for account, rest in self._parts.items() if account[2] != listing_id}

    def snapshot(self) -> list[list[int]]:
        """Return what was rounded off, as msgpack carries it."""
        return [[*account, rest] for account, rest in self._parts.items()]

    def restore(self, state: Any) -> None:
        """Take back what `snapshot` returned."""
        self._parts = {(book, strategy, listing): rest for book, strategy, listing, rest in state}
        self._tariffs, self._reference = {}, None
