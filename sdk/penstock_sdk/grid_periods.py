"""What is held over a period that is coarser than the grid: its sum, energy, extremes and mean, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from penstock_sdk.energy.delivery import DeliveryPeriod
from penstock_sdk.golden.delivery_cells import INT64_MAX
from penstock_sdk.grid_slots import GridSlots

__all__ = ["PeriodPosition", "over_period"]

I64 = npt.NDArray[np.int64]


class PeriodPosition(NamedTuple):
    """What is held over a period, exactly."""

    period: DeliveryPeriod
    amount_sum: int
    """Sum over its intervals, in the grid unit: therms, where that is therm/d."""
    energy: Fraction
    """In what prices are per: MWh, therm, MMBtu, t."""
    energy_wh: Fraction | None
    """None where the grid is not in kW and nobody said how many Wh one of *energy* is."""
    least: int
    """The lowest interval, in the grid unit."""
    most: int
    mean: Fraction
    """Over time, in the grid unit."""


def over_period(
    slots: GridSlots,
    period: DeliveryPeriod,
    ranges: Sequence[tuple[int, int]],
    amounts: I64,
    wh_per_unit: Fraction | None,
) -> PeriodPosition:
    """Return what is held over a period.

    Args:
        ranges: [first, end) slots of each of its stretches.
        amounts: what each of these slots holds, in the grid unit.
        wh_per_unit: Wh in one of what prices are per; None: not known.
    """
    total, first = _exact_sum(amounts), ranges[0][0]
    if slots.varies:
        minutes = [slots.minutes(slot) for span in ranges for slot in range(*span)]
        weighted = sum(amount * its for amount, its in zip(amounts.tolist(), minutes, strict=True))
        energy = weighted * slots.energy_per_unit(first) / slots.minutes(first)
        mean = Fraction(weighted, sum(minutes))
    else:
        energy, mean = total * slots.energy_per_unit(first), Fraction(total, len(amounts))
    return PeriodPosition(
        period, total, energy, None if wh_per_unit is None else energy * wh_per_unit,
        int(amounts.min()), int(amounts.max()), mean,
    )  # fmt: skip


def _exact_sum(amounts: I64) -> int:
    """Return the sum of amounts of any size."""
    largest = max(int(amounts.max()), -int(amounts.min()))
    return int(amounts.sum()) if largest * len(amounts) <= INT64_MAX else sum(amounts.tolist())
