"""A total in one currency: only where every exchange rate that it needs is there and fresh, else no figure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.fx import FxTable
from penstock_sdk.events import FxRate, IdKind, Pnl
from penstock_sdk.schema import ABSENT

__all__ = ["CONVERTED", "OneCurrency"]

CONVERTED = 1
"""Bit of `Pnl.flags`: a total over all accounts, converted into one currency. It adds to no other row."""
_FIELDS = ("realised_micro", "unrealised_micro", "fees_micro")


class OneCurrency:
    """Adds up totals of several currencies.

    Args:
        currency: ISO code of the one.
        max_age_ns: how old a rate may be.
        name_of: what an interned id names.
    """

    def __init__(self, currency: str, max_age_ns: int, name_of: Callable[[IdKind, int], str]) -> None:
        self.currency = currency
        self._max_age_ns = max_age_ns
        self._name_of = name_of
        self._rates = FxTable()
        self.fault = ""
        """Why there is no figure; empty while there is one."""

    def on_fx_rate(self, rate: FxRate) -> None:
        """Take up a rate.

        Raises:
            EnergyError: it makes no sense.
        """
        base, quote = self._name_of(IdKind.CURRENCY, rate.base_id), self._name_of(IdKind.CURRENCY, rate.quote_id)
        self._rates.add(base, quote, rate.rate_nano, rate.as_of_ns, rate.version)

    def total(self, totals: Iterable[Any], currency_id: int, now_ns: int) -> Pnl | None:
        """Return the sum of rows of Pnl in one currency, each figure rounded once, half to even; None, and `fault`."""
        sums = dict.fromkeys(_FIELDS, Fraction(0))
        self.fault = ""
        try:
            for row in totals:
                name = self._name_of(IdKind.CURRENCY, int(row["currency_id"]))
                rate = self._rates.rate(name, self.currency, now_ns, self._max_age_ns)
                for field in _FIELDS:
                    if int(row[field]) == ABSENT:
                        self.fault = f"{field} of strategy {row['strategy_id']} in {name} is not known"
                        return None
                    sums[field] += int(row[field]) * rate
        except EnergyError as error:
            self.fault = str(error)
            return None
        self._rates.let_go(now_ns)
        made = {field: round(total) for field, total in sums.items()}
        return Pnl(0, currency_id=currency_id, flags=CONVERTED, **made)

    def snapshot(self) -> list[Any]:
        """Return it as msgpack carries it."""
        return [self._rates.snapshot(), self.fault]

    def restore(self, state: list[Any]) -> None:
        """Take back what `snapshot` returned."""
        rates, self.fault = state
        self._rates = FxTable.restore(rates)
