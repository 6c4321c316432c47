"""Axes: where a value stands on the paper, and which values get a tick."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from penstock_sdk.energy import ns_to_local
from penstock_sdk.energy.localtime import NS_PER_HOUR, NS_PER_MINUTE

__all__ = ["Scale", "Tick", "nice_ticks", "number", "robust_range", "time_ticks"]

F64 = npt.NDArray[np.float64]
_STEPS_H = (1, 2, 3, 4, 6, 12, 24, 48, 96)


class Tick(NamedTuple):
    """One tick: its value, its label, and whether it is a stronger one (zero, midnight)."""

    value: float
    label: str
    strong: bool = False


class Scale:
    """A straight axis: values from *low* to *high* stand from *start* to *end* (px)."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        if high <= low:
            low, high = low - 1.0, low + 1.0
        self.low, self.high, self.start, self.end = low, high, start, end
        self._slope = (end - start) / (high - low)

    def __call__(self, value: float) -> float:
        """Return where *value* stands, px to a tenth."""
        return round(self.start + (value - self.low) * self._slope, 1)

    def many(self, values: F64) -> F64:
        """Return where each value stands, px to a tenth."""
        return np.round(self.start + (values - self.low) * self._slope, 1)


def number(value: float, step: float = 1.0) -> str:
    """Return *value* with thousands parted and as many decimals as *step* needs; a true minus sign."""
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
    text = f"{value:,.{min(decimals, 6)}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def nice_ticks(low: float, high: float, count: int = 5) -> list[Tick]:
    """Return about *count* ticks at 1, 2 or 5 times a power of ten inside [low, high]; zero is a strong one."""
    raw = (high - low) / max(count, 1)
    if not raw > 0 or not math.isfinite(raw):
        return [Tick(low, number(low, 0.01))]
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [Tick(i * step, number(i * step, step), i == 0) for i in range(first, last + 1)]


def time_ticks(low_ns: float, high_ns: float, timezone: str, count: int = 10) -> list[Tick]:
    """Return ticks at whole local hours; midnights are strong and carry the day."""
    hours = (high_ns - low_ns) / NS_PER_HOUR
    if hours < 3:
        return _minute_ticks(low_ns, high_ns, timezone, count)
    step = next((s for s in _STEPS_H if hours / s <= count), _STEPS_H[-1])
    ticks = []
    first_ns = -(-int(low_ns) // NS_PER_HOUR) * NS_PER_HOUR
    for at_ns in range(first_ns, int(high_ns) + 1, NS_PER_HOUR):
        local = ns_to_local(at_ns, timezone)
        if local.minute or local.hour % min(step, 24) or (step > 24 and local.toordinal() % (step // 24)):
            continue
        midnight = local.hour == 0
        ticks.append(Tick(at_ns, f"{local:%a} {local.day} {local:%b}" if midnight else f"{local:%H:%M}", midnight))
    return ticks


def _minute_ticks(low_ns: float, high_ns: float, timezone: str, count: int) -> list[Tick]:
    minutes = max((high_ns - low_ns) / NS_PER_MINUTE, 1e-9)
    step = next((s for s in (1, 2, 5, 10, 15, 30) if minutes / s <= count), 30) * NS_PER_MINUTE
    first_ns = -(-int(low_ns) // step) * step
    ticks = []
    for at_ns in range(first_ns, int(high_ns) + 1, step):
        # Rounded to the second: a label shows the minute that was meant.
        local = ns_to_local(at_ns, timezone) + timedelta(microseconds=500)
        ticks.append(Tick(at_ns, f"{local:%H:%M}"))
    return ticks


def robust_range(values: F64, *, zero: bool = False, keep: float = 0.99) -> tuple[float, float]:
    """Return a range for an axis: the whole of *values*, or their bulk where a few would squash the rest.

    The bulk lies between the quantiles 1 - *keep* and *keep*; what is farther from it than its span is drawn clipped.
    """
    values = values[np.isfinite(values)]
    if not len(values):
        return (0.0, 1.0)
    low, high = (float(v) for v in np.quantile(values, [1 - keep, keep]))
    least, most = float(values.min()), float(values.max())
    span = max(high - low, 1e-9)
    low = least if low - least <= span else low - 0.3 * span
    high = most if most - high <= span else high + 0.3 * span
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    pad = 0.06 * max(high - low, 1e-9)
    return (low - (pad if low < 0 or not zero else 0.0), high + (pad if high > 0 or not zero else 0.0))
