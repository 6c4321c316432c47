"""A delivery period: what is delivered when, as instants in UTC with the local name its market uses."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import msgspec

from penstock_sdk.energy.exact import EnergyError, Exact, exact
from penstock_sdk.energy.localtime import NS_PER_HOUR, NS_PER_MINUTE, age_words, utc_words

__all__ = ["DeliveryPeriod", "covering", "energy_mwh"]


class DeliveryPeriod(msgspec.Struct, frozen=True, order=True):
    """What is delivered when: one or more stretches of time, half open. Periods sort by start, then by end.

    Attributes:
        start_ns: first instant of delivery, ns UTC.
        end_ns: first instant after it, ns UTC; a whole number of minutes later.
        name: the local name, product first: "QH 2025-10-26 02:15B".
        timezone: IANA name of the clock that gave the name.
        parts: (start_ns, end_ns) of each stretch, in order and apart, where there are several (peak hours); else empty.
    """

    start_ns: int
    end_ns: int
    name: str
    timezone: str
    parts: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        """Refuse an empty, reversed or ragged period."""
        length_ns = self.end_ns - self.start_ns
        if length_ns <= 0 or length_ns % NS_PER_MINUTE:
            raise EnergyError(
                f"period {self.name!r} from {utc_words(self.start_ns)} to {utc_words(self.end_ns)} lasts "
                f"{age_words(length_ns)}; wanted whole minutes, at least one"
            )
        if self.parts:
            self._check_parts()

    def _check_parts(self) -> None:
        edges = [edge for part in self.parts for edge in part]
        if (
            len(self.parts) < 2
            or (edges[0], edges[-1]) != (self.start_ns, self.end_ns)
            or any(before >= after or (after - before) % NS_PER_MINUTE for before, after in pairwise(edges))
        ):
            raise EnergyError(
                f"period {self.name!r} has the parts {self.parts}; wanted two or more of whole minutes, in order, "
                f"apart, from {self.start_ns} to {self.end_ns} ns"
            )

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """(start_ns, end_ns) of each stretch of delivery, in order."""
        return self.parts or ((self.start_ns, self.end_ns),)

    @property
    def minutes(self) -> int:
        """Minutes of delivery; what lies between parts does not count."""
        return sum(end_ns - start_ns for start_ns, end_ns in self.spans) // NS_PER_MINUTE

    @property
    def hours_rational(self) -> Fraction:
        """Hours of delivery, exact: 1/4 for a quarter-hour."""
        return Fraction(sum(end_ns - start_ns for start_ns, end_ns in self.spans), NS_PER_HOUR)


def covering(periods: Sequence[DeliveryPeriod], t_ns: int) -> DeliveryPeriod | None:
    """Return the one of *periods* that holds the instant *t_ns* (start included, end not), or None.

    Args:
        periods: in time order, not overlapping, as `intervals` gives them.
        t_ns: ns UTC.

    Cost: O(log n).
    """
    at = bisect_right(periods, t_ns, key=lambda period: period.start_ns) - 1
    return periods[at] if at >= 0 and t_ns < periods[at].end_ns else None


def energy_mwh(qty_mw: Exact, period: DeliveryPeriod) -> Fraction:
    """Return the energy of *qty_mw* held over *period*, in MWh, exactly; the sign is that of the quantity.

    Raises:
        EnergyError: *qty_mw* is a float or no number.
    """
    return exact(qty_mw, "qty_mw") * period.hours_rational
