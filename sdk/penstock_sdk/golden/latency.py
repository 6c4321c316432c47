"""How many clocks each order took, as the hardware's latency meter counts them: a histogram of one-clock bins and more.

    >>> meter = new_meter(bins=8)
    >>> for stamp, cycle in [(10, 14), (20, 24), (0xFFFF_FFFE, 3), (50, 90)]:
    ...     measure(meter, stamp, cycle, count_max=15)
    >>> meter[METER_HEAD :].tolist()
    [0, 0, 0, 0, 2, 1, 0, 0]
    >>> meter[[METER_OVERFLOW, METER_COUNT, METER_MIN, METER_MAX, METER_LAST, METER_SUM]].tolist()
    [1, 4, 4, 40, 40, 53]

``meter`` is one row of int64: the columns ``METER_*``, then the bins. A latency of ``bins`` clocks or more counts as
overflow. Stamps are 32 bits of a counter that wraps, so the longest latency told apart is 2³² - 1 clocks.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "CYCLE_MASK",
    "METER_COUNT",
    "METER_HEAD",
    "METER_LAST",
    "METER_MAX",
    "METER_MIN",
    "METER_OVERFLOW",
    "METER_SUM",
    "measure",
    "new_meter",
]

Meter: TypeAlias = npt.NDArray[np.int64]

CYCLE_MASK: Final = 0xFFFF_FFFF
"""Bits of the cycle counter; also the least latency before there is one."""
_SUM_MAX: Final = 2**63 - 1

METER_OVERFLOW: Final = 0
METER_COUNT: Final = 1
METER_MIN: Final = 2
METER_MAX: Final = 3
METER_LAST: Final = 4
METER_SUM: Final = 5
METER_HEAD: Final = 6  # the bins begin here


def new_meter(bins: int) -> Meter:
    """Return a meter that has seen nothing; putting it in place of another clears that one.

    Raises:
        ValueError: *bins* is not a power of two, or below 2.
    """
    if bins < 2 or bins & (bins - 1):
        raise ValueError(f"bins is {bins}; wanted a power of two, 2 or more")
    meter = np.zeros(METER_HEAD + bins, np.int64)
    meter[METER_MIN] = CYCLE_MASK
    return meter


def measure(meter: Meter, stamp: int, cycle: int, count_max: int) -> None:
    """Count one order that began at *stamp* and left at *cycle*, both readings of the 32-bit cycle counter.

    Args:
        count_max: where counters stop; the sum stops at the end of int64, which no run reaches.
    """
    clocks = (cycle - stamp) & CYCLE_MASK
    bin_at = METER_HEAD + clocks if clocks < len(meter) - METER_HEAD else METER_OVERFLOW
    meter[bin_at] = min(meter[bin_at] + 1, count_max)
    meter[METER_COUNT] = min(meter[METER_COUNT] + 1, count_max)
    meter[METER_MIN] = min(meter[METER_MIN], clocks)
    meter[METER_MAX] = max(meter[METER_MAX], clocks)
    meter[METER_LAST] = clocks
    meter[METER_SUM] += min(clocks, _SUM_MAX - meter[METER_SUM])


KERNELS = (measure,)
"""What is compiled."""
