"""Which limits rule after a restart: of the journaled and the configured value, the stricter one."""

import math
from collections.abc import Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

__all__ = ["LimitDifference", "LimitValue", "Strictness", "strictest", "strictness"]

LimitValue: TypeAlias = bool | int | float
Strictness: TypeAlias = Literal["smaller", "larger", "true"]


class LimitDifference(Struct, frozen=True):
    """A limit whose saved and configured values differ; None is "not set". An alert names both."""

    name: str
    saved: LimitValue | None
    configured: LimitValue | None
    ruling: LimitValue

    def __str__(self) -> str:
        saved, configured, ruling = (
            "not set" if value is None else str(value).lower() for value in (self.saved, self.configured, self.ruling)
        )
        return f"limit {self.name}: journal has {saved}, plugins.toml has {configured}; {ruling} rules, the stricter"


def strictness(name: str, value: LimitValue) -> Strictness:
    """Return which side of a limit is the stricter one, by its name and type.

    True is stricter for switches (`kill`, `paused`). Numbers are maxima, so the smaller is stricter, except where
    `min` is the name's first or last word (`price_ticks_min`; in `orders_per_min` it is the minute).
    """
    if isinstance(value, bool):
        return "true"
    words = name.rpartition(".")[2].split("_")
    is_floor = words[0] == "min" or (words[-1] == "min" and words[-2:-1] != ["per"])
    return "larger" if is_floor else "smaller"


def strictest(
    saved: Mapping[str, LimitValue],
    configured: Mapping[str, LimitValue],
    directions: Mapping[str, Strictness] | None = None,
) -> tuple[dict[str, LimitValue], list[LimitDifference]]:
    """Return the limits that rule, by name, and every difference that an alert must name.

    A limit that only the journal has still rules, and is a difference unless it is a switch that is off. One that only
    the configuration has rules without being one: it takes nothing back. *directions* overrides `strictness` by name.

    Raises:
        ValueError: the two values cannot be compared (a switch against a number, or NaN).
    """
    ruling: dict[str, LimitValue] = {}
    differences = []
    for name in sorted({*saved, *configured}):
        old, new = saved.get(name), configured.get(name)
        direction = (directions or {}).get(name)
        value = _stricter(name, old, new, direction)
        ruling[name] = value
        if old is not None and old != new and not (new is None and old is False):
            differences.append(LimitDifference(name, old, new, value))
    return ruling, differences


def _stricter(
    name: str, saved: LimitValue | None, configured: LimitValue | None, direction: Strictness | None
) -> LimitValue:
    values = [value for value in (saved, configured) if value is not None]
    assert values, name
    mixed = len({isinstance(value, bool) for value in values}) > 1
    if mixed or any(math.isnan(value) for value in values):
        text = f"limit {name}: journal has {saved}, plugins.toml has {configured}"
        raise ValueError(f"{text}, which cannot be compared; write a {type(saved).__name__} in plugins.toml")
    direction = direction or strictness(name, values[0])
    return min(values) if direction == "smaller" else max(values)
