"""What has been paid for and what is still due: imbalance by interval with its versions, and a future's variation.

Pure state: no clock, no names. Money is whole 10⁻⁶ of a currency, received positive; energy is watt-minutes, so that a
kW over a minute and a Wh are whole. A later version of a price or a meter value pays the difference to what was paid
before, so over all versions the sum is what the last one says, in whatever order they came and however often.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final, NamedTuple

from penstock_sdk.energy.settlement import divide_half_even, imbalance_micro

__all__ = ["CONFLICT", "KNOWN", "NEWS", "Due", "Imbalance", "Variation", "Versions"]

NEWS: Final = 0
"""A version that was not known: it stands now."""
KNOWN: Final = 1
"""One that stands already, or one that a later one has replaced."""
CONFLICT: Final = 2
"""The version that stands, with another value: the first one counts."""

Cell = tuple[int, int, int]
"""(zone, book, start of the interval in ns UTC)."""


class Versions:
    """The latest version of one value per key."""

    def __init__(self) -> None:
        self._of: dict[Any, tuple[int, int]] = {}

    def put(self, key: Hashable, version: int, value: int) -> int:
        """Take a version in; return NEWS, KNOWN or CONFLICT."""
        stands = self._of.get(key)
        if stands is None or version > stands[0]:
            self._of[key] = (version, value)
            return NEWS
        return CONFLICT if version == stands[0] and value != stands[1] else KNOWN

    def get(self, key: Hashable) -> tuple[int, int] | None:
        """Return (version, value), None where there is none."""
        return self._of.get(key)

    def __len__(self) -> int:
        """Return how many keys have a value."""
        return len(self._of)

    def let_go(self, before_ns: int) -> None:
        """Forget keys whose last member, a start, is before *before_ns*."""
        self._of = {key: stands for key, stands in self._of.items() if key[-1] >= before_ns}

    def snapshot(self) -> list[list[Any]]:
        """Return it as msgpack carries it."""
        return [[list(key), version, value] for key, (version, value) in self._of.items()]

    def restore(self, state: list[list[Any]]) -> None:
        """Take back what `snapshot` returned."""
        self._of = {tuple(key): (version, value) for key, version, value in state}


class Due(NamedTuple):
    """What an interval's newest figures add to what was told before."""

    amount_micro: int
    """Received positive."""
    energy_wh: int
    """Bought from the balancing market, positive; sold to it, negative."""
    version: int
    """The highest of the versions that it stands on."""


class Imbalance:
    """Deviation times price, per zone, book and interval.

    deviation = metered - traded: metered offtake is positive and feed-in negative, purchases are positive. A book that
    bought and metered nothing has a surplus: it sells it at the imbalance price.
    """

    def __init__(self) -> None:
        self.prices = Versions()
        """10⁻⁶ of the currency per MWh by (zone, start)."""
        self.meters = Versions()
        """Watt-minutes of offtake by `Cell`."""
        self._told: dict[Cell, tuple[int, int]] = {}

    def settle(
        self, cell: Cell, traded_watt_minutes: int, planned_watt_minutes: int = 0, *, even_nothing: bool = False
    ) -> Due | None:
        """Return what is due now, None where nothing is, or where there is no price yet.

        Args:
            cell: where and when.
            traded_watt_minutes: net purchases; sales are negative.
            planned_watt_minutes: what own assets are to feed in, and negative what they are to take: it stands for the
                meter until there is one.
            even_nothing: tell that nothing is due, once, where nothing was told of the cell before.
        """
        price = self.prices.get((cell[0], cell[2]))
        if price is None:
            return None
        metered = self.meters.get(cell)
        offtake = -planned_watt_minutes if metered is None else metered[1]
        deviation = offtake - traded_watt_minutes
        amount, energy = imbalance_micro(deviation, price[1]), divide_half_even(deviation, 60)
        told_amount, told_energy = self._told.get(cell, (0, 0))
        if (amount, energy) == (told_amount, told_energy) and (cell in self._told or not even_nothing):
            return None
        self._told[cell] = (amount, energy)
        return Due(amount - told_amount, energy - told_energy, max(price[0], metered[0] if metered else 0))

    def paid_micro(self, cell: Cell) -> int:
        """Return the sum of what was due for an interval so far."""
        return self._told.get(cell, (0, 0))[0]

    def let_go(self, before_ns: int) -> None:
        """Forget intervals that began before *before_ns*: their figures are final."""
        self.prices.let_go(before_ns)
        self.meters.let_go(before_ns)
        self._told = {cell: told for cell, told in self._told.items() if cell[2] >= before_ns}

    def snapshot(self) -> dict[str, Any]:
        """Return it as msgpack carries it."""
        return {
            "prices": self.prices.snapshot(),
            "meters": self.meters.snapshot(),
            "told": [[*cell, *told] for cell, told in self._told.items()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned."""
        self.prices.restore(state["prices"])
        self.meters.restore(state["meters"])
        self._told = {(zone, book, start): (amount, energy) for zone, book, start, amount, energy in state["told"]}


class Variation:
    """One holding of a future: what it has gained or lost, and how much of that was paid.

    The sum of what `settle` returns is the holding's profit at the last mark, or at its end the final one.
    """

    __slots__ = ("cash_micro", "net_lots", "paid_micro")

    def __init__(self, net_lots: int = 0, cash_micro: int = 0, paid_micro: int = 0) -> None:
        self.net_lots = net_lots
        """Bought less sold."""
        self.cash_micro = cash_micro
        """What was bought and sold for, as if it had been paid: received less paid."""
        self.paid_micro = paid_micro

    def trade(self, signed_lots: int, price_micro_per_lot: int) -> None:
        """Add a trade; the price is the whole lot's, in 10⁻⁶ of the currency."""
        self.net_lots += signed_lots
        self.cash_micro -= signed_lots * price_micro_per_lot

    def settle(self, mark_micro_per_lot: int) -> int:
        """Return the gain since last settled, at a mark of the whole lot; a loss is negative."""
        gain = self.cash_micro + self.net_lots * mark_micro_per_lot - self.paid_micro
        self.paid_micro += gain
        return gain

    def close(self, mark_micro_per_lot: int) -> tuple[int, int]:
        """Settle for the last time; return (gain, lots) that go on elsewhere at that mark: the holding is empty."""
        gain, lots = self.settle(mark_micro_per_lot), self.net_lots
        self.net_lots, self.cash_micro, self.paid_micro = 0, 0, 0
        return gain, lots
