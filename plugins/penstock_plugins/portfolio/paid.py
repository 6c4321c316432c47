"""What was paid for deliveries, in place of the last marks: imbalance by book and interval, swaps by month.

A holding's value at delivery is its last mark until money says otherwise. Once a `CashFlow` of an interval's imbalance
is heard, the share of that interval in the value of what its book held there counts no more, the money does; of a swap
likewise, month by month. Shares are whole 10⁻⁶ that add up to the value, taken out once; later versions are differences
and add up by themselves. Cash flows may come before a holding is settled or after, in any order.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from penstock_plugins.portfolio.shapes import Shape, Shapes
from penstock_sdk.golden import positions as golden
from penstock_sdk.schema import ABSENT

if TYPE_CHECKING:
    from penstock_plugins.portfolio.closings import Closings
    from penstock_plugins.portfolio.ledger import Holding

__all__ = ["Owner", "Paid"]

I64 = npt.NDArray[np.int64]
Owner = tuple[int, int, int]
"""(book, strategy, currency)."""
Place = tuple[int, int]
"""(book, zone)."""


class _Swap:
    """What has been paid of an account's swap."""

    __slots__ = ("flows_micro", "months", "settled_micro", "taken_micro", "told_micro", "value_micro", "weight")

    def __init__(self) -> None:
        self.flows_micro = 0
        """Of the holding that is there now."""
        self.months: set[int] = set()
        """Starts of those that money was heard of."""
        self.weight = 0
        """Of these months."""
        self.value_micro = 0
        """At which the holding was settled …"""
        self.taken_micro = 0
        """… and how much of that money has replaced …"""
        self.settled_micro = 0
        """… by then, …"""
        self.told_micro = 0
        """… and its flows, which are in the figures that were told last."""


class Paid:
    """Sums of what replaces the last marks, and what is still to be replaced.

    Args:
        shapes: what each listing delivers.
        holdings: those that are there now, by book, strategy and listing; the owner's, looked into.
        closed: those that may be there again, likewise.
    """

    def __init__(self, shapes: Shapes, holdings: Mapping[tuple[int, int, int], Holding], closed: Closings) -> None:
        self._shapes = shapes
        self._holdings = holdings
        self._closed = closed
        self.expected = False
        """Whether any cash flow has been heard: where nobody tells of money, values wait for none."""
        self.sums: dict[Owner, int] = {}
        """Money received less values replaced, of what is settled: part of the account's totals."""
        self._heard: dict[Place, list[int]] = {}
        """Starts of the intervals that money was heard of, ns UTC, in order."""
        self._waiting: dict[Place, dict[int, dict[int, int]]] = {}
        """Values of settled holdings that money may yet replace, by currency and start of the interval."""
        self._swaps: dict[tuple[int, int, int], _Swap] = {}
        """By book, strategy and listing."""

    # What is heard.

    def imbalance(self, place: Place, currency_id: int, start_ns: int, amount_micro: int) -> None:
        """Take in what an interval brought a book, or a later version's difference."""
        self._add((place[0], 0, currency_id), amount_micro)
        heard = self._heard.setdefault(place, [])
        at = bisect_left(heard, start_ns)
        if at < len(heard) and heard[at] == start_ns:
            return
        heard.insert(at, start_ns)
        for currency, values in self._waiting.get(place, {}).items():
            self._add((place[0], 0, currency), -values.pop(start_ns, 0))

    def swap(self, owner: Owner, listing_id: int, month: tuple[int, int], amount_micro: int) -> None:
        """Take in what a month of a swap brought an account, or a later version's difference.

        Args:
            month: [start, end) of its delivery, ns UTC.
        """
        key, shape = (*owner[:2], listing_id), self._shapes.of(listing_id)
        if shape is None:
            self._add(owner, amount_micro)
            return
        swap = self._swaps.setdefault(key, _Swap())
        if month[0] not in swap.months:
            swap.months.add(month[0])
            swap.weight += shape.weight(shape.slots.floor(month[0]), shape.slots.floor(month[1]))
            taken = swap.value_micro * swap.weight // shape.whole
            self._add(owner, swap.taken_micro - taken)
            swap.taken_micro = taken
        if key in self._holdings:
            swap.flows_micro += amount_micro
        else:
            self._add(owner, amount_micro)

    def _add(self, owner: Owner, micro: int) -> None:
        self.sums[owner] = self.sums.get(owner, 0) + micro

    # What that does to a holding that is there.

    def in_figures(self, held: Iterable[Holding], figures: I64) -> None:
        """Put what was paid of swaps into their figures: realised, and the rest of their value as it was."""
        if not self._swaps:
            return
        for at, holding in enumerate(held):
            swap = self._swaps.get((holding.book_id, holding.strategy_id, holding.listing_id))
            shape = None if swap is None else self._shapes.of(holding.listing_id)
            if swap is None or shape is None or not swap.months:
                continue
            one, whole = figures[at], shape.whole
            realised, unrealised = int(one[golden.FIGURE_REALISED]), int(one[golden.FIGURE_UNREALISED])
            realised = swap.flows_micro + _rest(realised, swap.weight, whole)
            if unrealised != ABSENT or swap.weight == whole:
                unrealised = 0 if swap.weight == whole else _rest(unrealised, swap.weight, whole)
                one[golden.FIGURE_MARKET] = (
                    realised + unrealised - int(one[golden.FIGURE_DELAY]) - int(one[golden.FIGURE_EXECUTION])
                )
            one[golden.FIGURE_REALISED], one[golden.FIGURE_UNREALISED] = realised, unrealised

    def replaced(self, held: Iterable[Holding], table: golden.Table, ticks: I64) -> Iterator[tuple[Owner, int]]:
        """Yield how much of the value of what is held was replaced already, and by whose money."""
        for at, holding in enumerate(held):
            heard = self._heard.get((holding.book_id, holding.listing.zone_id))
            if not heard:
                continue
            shape = self._shapes.of(holding.listing_id)
            if shape is None or not shape.balanced or shape.slots.start_ns(shape.first) > heard[-1]:
                continue
            value, start_ns = _value(table, holding.row, int(ticks[at])), shape.slots.start_ns
            if value:
                weight = sum(
                    amount * (bisect_left(heard, start_ns(end)) - bisect_left(heard, start_ns(first)))
                    for first, end, amount in shape.pieces
                )
                share = value * weight // sum(amount * (end - first) for first, end, amount in shape.pieces)
                yield (holding.book_id, 0, holding.currency_id), share

    def settle(self, holding: Holding, table: golden.Table, ticks: int) -> bool:
        """Take over a holding that is closed now, at the value that its last mark gives it.

        Returns:
            Whether money of imbalance takes the place of that value.
        """
        shape = self._shapes.of(holding.listing_id)
        value = _value(table, holding.row, ticks)
        if shape is None:
            return False
        if shape.swap:
            self._settle_swap(holding, shape, table, value)
        shared = shape.balanced and bool(value) and self.expected
        if shared:
            self._share(holding, shape, value, 1)
        return shared

    def reopen(self, holding: Holding, table: golden.Table, ticks: int, *, shared: bool) -> None:
        """Give back a holding that was settled at a mark and is there again, as if it had not been settled.

        Args:
            shared: what `settle` returned.
        """
        shape = self._shapes.of(holding.listing_id)
        if shape is not None and shared:
            self._share(holding, shape, _value(table, holding.row, ticks), -1)
        key = (holding.book_id, holding.strategy_id, holding.listing_id)
        swap = self._swaps.get(key)
        if swap is not None:
            self._add((*key[:2], holding.currency_id), swap.taken_micro - swap.settled_micro)
            swap.value_micro = swap.taken_micro = swap.settled_micro = 0
            swap.flows_micro, swap.told_micro = swap.flows_micro + swap.told_micro, 0

    def _share(self, holding: Holding, shape: Shape, value: int, sign: int) -> None:
        """Let money take the place of a value, interval by interval; or with sign -1 not any more."""
        place = (holding.book_id, holding.listing.zone_id)
        heard = set(self._heard.get(place, ()))
        values = self._waiting.setdefault(place, {}).setdefault(holding.currency_id, {})
        replaced = 0
        for start_ns, share in _shared(shape, value):
            if start_ns in heard:
                replaced += share
            else:
                values[start_ns] = values.get(start_ns, 0) + sign * share
        if replaced:
            self._add((holding.book_id, 0, holding.currency_id), -sign * replaced)

    def _settle_swap(self, holding: Holding, shape: Shape, table: golden.Table, value: int) -> None:
        swap = self._swaps.setdefault((holding.book_id, holding.strategy_id, holding.listing_id), _Swap())
        cash, cost = (int(table[holding.row, column]) for column in (golden.POSITION_CASH, golden.POSITION_COST))
        left = _rest(cash + cost, swap.weight, shape.whole) + _rest(value - cost, swap.weight, shape.whole)
        swap.value_micro += cash + value
        swap.taken_micro += cash + value - left
        swap.settled_micro += cash + value - left
        swap.told_micro += swap.flows_micro
        swap.flows_micro = 0

    # What is over.

    def let_go(self, before_ns: int) -> None:
        """Forget what was delivered before *before_ns*, but of intervals that something held now delivers in."""
        kept: dict[Place, int] = {}
        for holding in self._holdings.values():
            shape = self._shapes.of(holding.listing_id)
            if shape is not None and shape.balanced:
                place = (holding.book_id, holding.listing.zone_id)
                kept[place] = min(kept.get(place, before_ns), shape.slots.start_ns(shape.first))
        for place, heard in self._heard.items():
            del heard[: bisect_left(heard, kept.get(place, before_ns))]
        for currencies in self._waiting.values():
            for values in currencies.values():
                for start_ns in [start_ns for start_ns in values if start_ns < before_ns]:
                    del values[start_ns]
        for key in [key for key in self._swaps if key not in self._holdings and key not in self._closed]:
            shape = self._shapes.of(key[2])
            if shape is None or shape.slots.start_ns(shape.end) <= before_ns:
                del self._swaps[key]
                self._shapes.drop(key[2])

    def snapshot(self) -> dict[str, Any]:
        """Return it as msgpack carries it."""
        return {
            "expected": self.expected,
            "sums": [[*owner, micro] for owner, micro in self.sums.items()],
            "heard": [[*place, list(starts)] for place, starts in self._heard.items()],
            "waiting": [
                [*place, currency_id, [list(item) for item in values.items()]]
                for place, currencies in self._waiting.items()
                for currency_id, values in currencies.items()
            ],
            "swaps": [
                [
                    *key,
                    s.flows_micro,
                    sorted(s.months),
                    s.weight,
                    s.value_micro,
                    s.taken_micro,
                    s.settled_micro,
                    s.told_micro,
                ]
                for key, s in self._swaps.items()
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned."""
        self.expected = state["expected"]
        self.sums = {(book, strategy, currency): micro for book, strategy, currency, micro in state["sums"]}
        self._heard = {(book, zone): list(starts) for book, zone, starts in state["heard"]}
        self._waiting = {}
        for book, zone, currency, values in state["waiting"]:
            self._waiting.setdefault((book, zone), {})[currency] = dict(values)
        self._swaps = {}
        for book, strategy, listing, flows, months, weight, value, taken, settled, told in state["swaps"]:
            swap = self._swaps[book, strategy, listing] = _Swap()
            swap.flows_micro, swap.months, swap.weight = flows, set(months), weight
            swap.value_micro, swap.taken_micro = value, taken
            swap.settled_micro, swap.told_micro = settled, told


def _rest(micro: int, weight: int, whole: int) -> int:
    """Return what is left of an amount when the share of *weight* in *whole* is taken."""
    return micro - micro * weight // whole


def _value(table: golden.Table, row: int, ticks: int) -> int:
    """Return what the open lots are worth at a mark; without one, what they cost."""
    net, worth, cost = (
        int(table[row, column]) for column in (golden.POSITION_NET, golden.POSITION_WORTH, golden.POSITION_COST)
    )
    value = net * worth * ticks
    return cost if ticks == ABSENT or abs(value - cost) > golden.INT64_MAX else value


def _shared(shape: Shape, value: int) -> Iterator[tuple[int, int]]:
    """Yield (start of an interval in ns, its share of a value); each within 1 of its exact share, the sum exact."""
    whole = sum(amount * (end - first) for first, end, amount in shape.pieces)
    done = given = 0
    for first, end, amount in shape.pieces:
        for slot in range(first, end):
            done += amount
            upto = value * done // whole
            yield shape.slots.start_ns(slot), upto - given
            given = upto
