"""A total in one currency: only where every exchange rate that it needs is there and fresh, else no figure."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from penstock_sdk.context import Context
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.fx import FxTable
from penstock_sdk.events import Alert, FxRate, IdKind, Pnl, Severity
from penstock_sdk.schema import ABSENT, Event

__all__ = ["CONVERTED", "OneCurrency"]

CONVERTED = 1
"""Bit of `Pnl.flags`: a total over all accounts, converted into one currency. It adds to no other row."""
_FIELDS = ("realised_micro", "unrealised_micro", "fees_micro")


class OneCurrency:
    """Adds up totals of several currencies.

    Args:
        ctx: for names, the time and alerts.
        currency: ISO code of the one.
        max_age_ns: how old a rate may be.
    """

    def __init__(self, ctx: Context, currency: str, max_age_ns: int) -> None:
        self._ctx = ctx
        self._currency = currency
        self._max_age_ns = max_age_ns
        self._currency_id = 0
        self._rates = FxTable()
        self._fault = ""
        """Why there was no figure when last told; empty where there was one."""
        self._told: Pnl | None = None

    def start(self) -> None:
        """Learn the currency's id, once ids may be asked for."""
        self._currency_id = self._ctx.intern(IdKind.CURRENCY, self._currency)

    def on_fx_rate(self, rate: FxRate) -> Alert | None:
        """Take up a rate; one that makes no sense is told."""
        base, quote = (self._ctx.name_of(IdKind.CURRENCY, each) for each in (rate.base_id, rate.quote_id))
        try:
            self._rates.add(base, quote, rate.rate_nano, rate.as_of_ns, rate.version)
        except EnergyError as error:
            return self._ctx.alert(
                "portfolio.fx_refused", Severity.ERROR, str(error), "a rate above 0 between two currencies",
                "it is not used; mend the feed", subject=f"{base}/{quote}",
            )  # fmt: skip
        return None

    def tell(self, totals: Iterable[Any]) -> list[Event]:
        """Return the sum of rows of Pnl in one currency, where it changed; or once, why there is none."""
        had_fault, self._fault = bool(self._fault), ""
        total = self._total(totals)
        self._rates.let_go(self._ctx.now_ns)
        if total is None:
            self._told = None
            return [] if had_fault else [self._no_total(self._fault)]
        changed, self._told = total != self._told, total
        return [*([self._no_total("", cleared=True)] if had_fault else []), *([total] if changed else [])]

    def _total(self, totals: Iterable[Any]) -> Pnl | None:
        """Return the sum, each figure rounded once, half to even; None where there is none, and `_fault`."""
        sums = dict.fromkeys(_FIELDS, Fraction(0))
        for row in totals:
            name = self._ctx.name_of(IdKind.CURRENCY, int(row["currency_id"]))
            try:
                rate = self._rates.rate(name, self._currency, self._ctx.now_ns, self._max_age_ns)
            except EnergyError as error:
                self._fault = str(error)
                return None
            for field in _FIELDS:
                if int(row[field]) == ABSENT:
                    self._fault = f"{field} of strategy {row['strategy_id']} in {name} is not known"
                    return None
                sums[field] += int(row[field]) * rate
        made = {field: round(total) for field, total in sums.items()}
        return Pnl(0, currency_id=self._currency_id, flags=CONVERTED, **made)

    def _no_total(self, met: str, *, cleared: bool = False) -> Alert:
        return Alert(
            code="portfolio.no_total", severity=Severity.ERROR, subject=self._currency, met=met, cleared=cleared,
            wanted=f"a fresh rate of every currency to {self._currency}",
            way_out="feed the rate that is named; until then there is no total in one currency",
        )  # fmt: skip

    def snapshot(self) -> list[Any]:
        """Return it as msgpack carries it."""
        told = None if self._told is None else Pnl.layout.pack(self._told)
        return [self._rates.snapshot(), self._fault, self._currency_id, told]

    def restore(self, state: list[Any]) -> None:
        """Take back what `snapshot` returned."""
        rates, self._fault, self._currency_id, told = state
        self._rates = FxTable.restore(rates)
        self._told = None if told is None else Pnl.layout.unpack(told)
