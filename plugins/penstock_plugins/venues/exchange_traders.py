"""The background traders' side of the exchange: what they know of prices, and the orders they send.

The fundamental price of a contract is its anchor (the day-ahead auction's price; else the index of the same time a day
or two before; else the last index) plus what the observed index is above its own expectation. A momentary deviation
counts for contracts that deliver soon, a lasting one for those of the next hours.
"""

# ruff: noqa: F403, F405 -- the columns of two tables are this module's vocabulary

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from penstock_plugins.venues import exchange_kernels
from penstock_plugins.venues.exchange_day import GRID_NS, DayPlan, ExchangeConfig
from penstock_plugins.venues.exchange_layout import *
from penstock_sdk.compiled import compile_golden
from penstock_sdk.events import AuctionResult, Observation
from penstock_sdk.golden.matching_layout import CMD_WIDTH

__all__ = ["Traders"]

I64 = npt.NDArray[np.int64]

_SLOTS_PER_DAY = 86_400_000_000_000 // GRID_NS
_ORDERS_PER_CALL_MAX = 1_024
_TREND_SHARE = 0.15  # of a new deviation that is taken for lasting


class Traders:
    """Everything the background traders know; all randomness is the generator's that is handed in."""

    def __init__(self, plan: DayPlan, config: ExchangeConfig) -> None:
        books = len(plan.listings)
        self._kernels = compile_golden(exchange_kernels)
        self._plan, self._terms, self._params = plan, plan.terms, plan.params
        self._book_of_contract = {contract.contract_id: book for book, contract in enumerate(plan.contracts)}
        self._ticks_per_unit = 1_000_000 / plan.tick_micro
        self._trend_limit_ticks = config.trend_limit * self._ticks_per_unit
        self.views = np.zeros((books, VIEW_WIDTH))
        self.views[:, (VIEW_AUCTION, VIEW_BELIEF, VIEW_SINCE_NS)] = np.nan
        self._quotes = np.zeros((books, 2 * config.makers * config.maker_levels), np.int64)
        self._next_id = np.full(1, BACKGROUND_ID, np.int64)
        self._hour_wander = np.zeros(plan.hours)
        self._observed = np.full(plan.grid_slots, np.nan)
        """The index in ticks, by five minutes from two days before delivery."""
        self._auction = np.full(plan.grid_slots, np.nan)
        """What the auction expects of it."""
        self._index = np.array([0.0, 0.0, config.price_start * self._ticks_per_unit])
        """Momentary deviation, lasting deviation, last value; ticks."""
        self._commands = np.zeros((2 * _ORDERS_PER_CALL_MAX, CMD_WIDTH), np.int64)
        self._anchor()

    def warm_up(self, market: I64) -> None:
        """Compile, or load, every function that is used, before the market opens."""
        views, normals = self.views.copy(), np.zeros(len(self._hour_wander) + 2 * len(self.views))
        self._kernels.refresh(self._terms, views, self._hour_wander.copy(), self._params, normals, 0, 0.0, 0.0)
        self._kernels.draw_orders(
            self._terms, views, market, self._quotes, self._params, self._next_id, np.zeros((0, DRAWS_PER_ORDER)),
            self._commands, 0,
        )  # fmt: skip

    def hear_auction(self, result: AuctionResult) -> None:
        """Take an auction's price as the contract's anchor, and as what to expect of the index."""
        book = self._book_of_contract.get(result.contract_id)
        if book is None:
            return
        self.views[book, VIEW_AUCTION] = result.price_ticks
        first, count = int(self._terms[book, TERM_SLOT]), int(self._terms[book, TERM_SLOTS])
        stretch = self._auction[first : first + count]
        # What a quarter-hour's price says of its own time is finer than what the hour's says.
        if count * GRID_NS <= 900_000_000_000:
            stretch[:] = result.price_ticks
        else:
            stretch[np.isnan(stretch)] = result.price_ticks
        self._anchor()

    def hear_index(self, observation: Observation) -> None:
        """Follow a finite value of the index."""
        value = observation.value * self._ticks_per_unit
        start_ns = self._plan.grid_start_ns
        slot = (observation.valid_from_ns - start_ns) // GRID_NS
        end = -((start_ns - observation.valid_to_ns) // GRID_NS)
        deviation, limit = value - self._expectation(slot, value), self._trend_limit_ticks
        self._index[1] += _TREND_SHARE * (min(max(deviation, -limit), limit) - self._index[1])
        self._index[0] = deviation - self._index[1]
        self._index[2] = value
        self._observed[max(slot, 0) : max(end, 0)] = value
        self._anchor()

    def draw(self, random: np.random.Generator, market: I64, now_ns: int) -> Iterator[tuple[int, I64]]:
        """Yield (orders, commands for the engine) of one step, in batches; do each before asking for the next."""
        normals = random.standard_normal(len(self._hour_wander) + 2 * len(self.views))
        shock, trend, _ = self._index.tolist()
        mean = self._kernels.refresh(
            self._terms, self.views, self._hour_wander, self._params, normals, now_ns, shock, trend
        )
        count = int(random.poisson(mean)) if mean > 0 else 0
        while count > 0:
            draws = random.random((min(count, _ORDERS_PER_CALL_MAX), DRAWS_PER_ORDER))
            rows = self._kernels.draw_orders(
                self._terms, self.views, market, self._quotes, self._params, self._next_id, draws, self._commands,
                now_ns,
            )  # fmt: skip
            yield len(draws), self._commands[:rows]
            count -= len(draws)

    def tables(self) -> list[npt.NDArray[Any]]:
        """Return all state, to copy from and to."""
        return [
            self.views, self._quotes, self._next_id, self._hour_wander, self._observed, self._auction, self._index,
        ]  # fmt: skip

    def _anchor(self) -> None:
        self._kernels.anchor(self._observed, self._terms, self.views, _SLOTS_PER_DAY, float(self._index[2]))

    def _expectation(self, slot: int, value: float) -> float:
        """Return the index to expect: by the auction, else as one or two days before, else as the auction a day on."""
        for table, place in (
            (self._auction, slot),
            (self._observed, slot - _SLOTS_PER_DAY),
            (self._observed, slot - 2 * _SLOTS_PER_DAY),
            (self._auction, slot + _SLOTS_PER_DAY),
        ):
            if 0 <= place < len(table) and not math.isnan(table[place]):
                return float(table[place])
        return value
