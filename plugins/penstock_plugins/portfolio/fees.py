"""What the fills of each holding cost: set ahead, so that a fill need not look it up, and anew on each trading day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_plugins.portfolio.ledger import Holding, Ledger
from penstock_sdk.context import Context
from penstock_sdk.events import ExternalTrade, IdKind, Severity, TradeSource
from penstock_sdk.golden.positions import set_fees
from penstock_sdk.instruments import Instrument
from penstock_sdk.schema import ABSENT, Event
from penstock_sdk.tariffs import Tariff, next_day_ns, outside_fallback, tariff, trading_day

__all__ = ["Fees"]


class Fees:
    """Charges what the table of fees says, or else so much per MWh.

    Args:
        ctx: for the tables, the time and timers.
        instruments: by listing.
        fallback_micro_per_mwh: where no row holds, in 10⁻⁶ of the currency.
        timer_tag: of the timers at whose time `renew` is to be called.
    """

    def __init__(
        self,
        ctx: Context,
        instruments: Mapping[int, Instrument],
        ledger: Ledger,
        fallback_micro_per_mwh: int,
        *,
        timer_tag: int,
    ) -> None:
        self._ctx = ctx
        self._instruments = instruments
        self._ledger = ledger
        self._fallback = fallback_micro_per_mwh
        self._timer_tag = timer_tag
        self._has_table = False
        self._until_ns = ABSENT
        """The next local midnight that is waited for."""
        self._told: set[str] = set()

    def renew(self) -> None:
        """Charge what the table says now; and where it says anything, ask to be woken at the next local midnight."""
        self._has_table = bool(self._ctx.reference.rules.rows("fees"))
        for holding in self._ledger.holdings.values():
            self.charge_today(holding)
        if self._has_table:
            for timezone in sorted({listed.timezone for listed in self._instruments.values()}):
                self._wake(timezone)

    def learn(self, listed: Instrument) -> list[Event]:
        """Take in a listing; return an alert where a table charges it in another currency, once for each product."""
        if not self._has_table:
            return []
        self._wake(listed.timezone)
        others = self._tariff(listed, self._ctx.now_ns, 0).other_currencies
        about = f"{self._ctx.name_of(IdKind.PLUGIN, listed.venue_id)} {listed.product}"
        if not others or about in self._told:
            return []
        self._told.add(about)
        return [
            self._ctx.alert(
                "portfolio.fee_currency", Severity.ERROR, f"fees in {', '.join(others)} for {listed.name}",
                f"fees in {self._ctx.name_of(IdKind.CURRENCY, listed.currency_id)}, the currency it is traded in",
                "they are not charged; mend the table of fees", subject=about,
            )
        ]  # fmt: skip

    def charge_today(self, holding: Holding) -> None:
        """Let the next fills of a holding cost what trading costs today."""
        self._set(holding, self._tariff(holding.listing, self._ctx.now_ns, self._fallback))

    def charge_external(self, holding: Holding, trade: ExternalTrade) -> None:
        """Let the next fill cost what a trade from outside does, as on the day it was made; then `charge_today` again.

        A bilateral deal costs what a table says and nothing else; a correction gives the fee back.
        """
        at_ns = self._ctx.now_ns if trade.traded_ns == ABSENT else trade.traded_ns
        fallback = outside_fallback(trade.source, trade.counterparty_id, self._fallback)
        fees = self._tariff(holding.listing, at_ns, fallback)
        self._set(holding, fees.given_back() if trade.source == TradeSource.CORRECTION else fees)

    def _set(self, holding: Holding, fees: Tariff) -> None:
        set_fees(self._ledger.table, holding.row, fees.parts_per_lot, fees.micro_per_trade)

    def _tariff(self, listed: Instrument, at_ns: int, fallback: int) -> Tariff:
        if not self._has_table:
            return Tariff(fallback * listed.fee_parts_per_lot if listed.venue_id else 0)
        return tariff(
            self._ctx.reference.rules, listed, self._ctx.name_of(IdKind.PLUGIN, listed.venue_id),
            self._ctx.name_of(IdKind.CURRENCY, listed.currency_id), trading_day(at_ns, listed.timezone),
            fallback_micro_per_mwh=fallback,
        )  # fmt: skip

    def _wake(self, timezone: str) -> None:
        """Ask to be woken at a zone's next midnight, unless that is so earlier."""
        now_ns = self._ctx.now_ns
        next_ns = next_day_ns(now_ns, timezone)
        if self._until_ns <= now_ns or next_ns < self._until_ns:
            self._until_ns = next_ns
            self._ctx.set_timer(next_ns, tag=self._timer_tag)

    def snapshot(self) -> list[Any]:
        """Return it as msgpack carries it."""
        return [self._has_table, self._until_ns, sorted(self._told)]

    def restore(self, state: list[Any]) -> None:
        """Take back what `snapshot` returned."""
        self._has_table, self._until_ns, told = state
        self._told = set(told)
