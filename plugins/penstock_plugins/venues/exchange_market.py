"""One delivery day at the exchange: its books, its background traders, and the randomness that is its own."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from penstock_plugins.venues.exchange_books import Books
from penstock_plugins.venues.exchange_day import ExchangeConfig, ExchangeError, plan_day
from penstock_plugins.venues.exchange_layout import TERM_GATE_NS, TERM_OPENS_NS
from penstock_plugins.venues.exchange_traders import Traders
from penstock_sdk.context import Context

__all__ = ["DayMarket", "market_number"]

_TRADES_PER_DAY = 10**9


def market_number(config: ExchangeConfig, day: date) -> int:
    """Return what a day is known by: 0 where it is the only one, else its ordinal."""
    return 0 if config.days == 1 else day.toordinal()


class DayMarket:
    """The market of one delivery day, closed and empty at first.

    Where it is the only one of the run it draws from the plugin's own generator, and counts trades from 1. Where there
    are several, both follow from the date, so that a day is the same whichever day the instance began. Then it knows
    nothing of prices before its announcement either. Of a day that was *told* before, the listings stay what they were.

    Raises:
        EnergyError, ExchangeError: the config makes no market on this day.
    """

    def __init__(self, ctx: Context, config: ExchangeConfig, day: date, *, told: bool = False) -> None:
        self.day, self.number = day, market_number(config, day)
        self.plan = plan_day(ctx, config, day, told=told)
        self.terms, self.listings = self.plan.terms, self.plan.listings
        self.opens_ns: list[int] = self.terms[:, TERM_OPENS_NS].tolist()
        self.gates_ns: list[int] = self.terms[:, TERM_GATE_NS].tolist()
        self.first_open_ns, self.last_gate_ns = min(self.opens_ns), max(self.gates_ns)
        self.random = ctx.random_for(self.number) if self.number else ctx.random
        first_trade_id = int(day.strftime("%Y%m%d")) * _TRADES_PER_DAY + 1 if self.number else 1
        self.books = Books(self.terms, config.order_capacity, first_trade_id)
        self.traders = Traders(self.plan, config)
        self.books.warm_up()
        self.traders.warm_up(self.books.market)

    def tables(self) -> list[npt.NDArray[Any]]:
        """Return all state but the generator's, to copy from and to."""
        return [*self.books.tables(), *self.traders.tables()]

    def snapshot(self) -> dict[str, Any]:
        """Return the day and its state."""
        state = self.random.bit_generator.state if self.number else None  # that of the context is kept by the kernel
        return {"day": self.day.isoformat(), "random": state, "tables": [table.copy() for table in self.tables()]}

    @classmethod
    def restored(cls, ctx: Context, config: ExchangeConfig, state: dict[str, Any]) -> DayMarket:
        """Return what `snapshot` was taken of; listings are those that were announced, ids follow from the config.

        Raises:
            ExchangeError: the state is that of another config.
        """
        market = cls(ctx, config, date.fromisoformat(state["day"]), told=True)
        if (state["random"] is None) != (market.number == 0):
            raise ExchangeError(
                f"snapshot of {state['day']} holds a market of one day or of several, this config makes the other; "
                "restore with the config of the run"
            )
        tables = market.tables()
        if len(tables) != len(state["tables"]):
            raise ExchangeError(f"snapshot holds {len(state['tables'])} tables, wanted {len(tables)}")
        for table, held in zip(tables, state["tables"], strict=True):
            if table.shape != np.shape(held):
                raise ExchangeError(
                    f"snapshot holds a table of shape {np.shape(held)}, this config makes {table.shape}; restore with "
                    "the config of the run"
                )
            table[...] = held
        if state["random"] is not None:
            market.random.bit_generator.state = state["random"]
        return market
