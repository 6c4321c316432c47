"""A model: says low, middle and high of a series' last values. The slow part runs off the kernel thread."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from penstock_sdk.events import Forecast, IdKind, LevelFlag, Observation, Severity, TaskResult
from penstock_sdk.plugin import Model, Outcome
from penstock_sdk.schema import Frame

__all__ = ["QuantileModel", "QuantileModelConfig"]

HOUR_NS = 3_600_000_000_000
QUANTILES_BP = (1_000, 5_000, 9_000)
PLACES = (LevelFlag.FIRST, LevelFlag.NONE, LevelFlag.LAST)


class QuantileModelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to forecast, from how much, for how long."""

    series: str = "price.index"
    window: int = 12
    """How many of the last values go into it; before there are so many nothing is said."""
    horizon_h: int = 48
    """It holds for so many hours from the last value on."""


def quantiles(known_at_ns: int, values: list[float]) -> list[Any]:
    """Return the data cut and the quantiles. Runs in a process of its own: all it knows comes as arguments."""
    return [known_at_ns, *np.quantile(values, [bp / 10_000 for bp in QUANTILES_BP]).tolist()]


class QuantileModel(Model):
    """A frame of three forecasts after each value."""

    Config = QuantileModelConfig
    config: QuantileModelConfig

    def on_observation(self, seen: Observation) -> None:
        """Keep the value, and have the quantiles worked out."""
        if seen.series_id != self.ctx.intern(IdKind.SERIES, self.config.series):
            return
        values = [*self.ctx.state.get("values", []), seen.value][-self.config.window :]
        self.ctx.state["values"], self.ctx.state["unit_id"] = values, seen.unit_id
        if len(values) == self.config.window:
            self.ctx.submit(quantiles, seen.known_at_ns, values)

    def on_task_result(self, result: TaskResult) -> Outcome:
        """Return the forecast, or an alert when working it out failed."""
        if not result.ok:
            return self.ctx.alert("model.failed", Severity.ERROR, result.error, wanted="quantiles")
        cut_ns, *values = result.value
        what = {"series_id": self.ctx.intern(IdKind.SERIES, self.config.series), "unit_id": self.ctx.state["unit_id"]}
        when = {"valid_from_ns": cut_ns, "valid_to_ns": cut_ns + self.config.horizon_h * HOUR_NS, "data_cut_ns": cut_ns}
        parts = zip(QUANTILES_BP, PLACES, values, strict=True)
        return Frame.of([Forecast(**what, **when, quantile_bp=bp, place=at, value=value) for bp, at, value in parts])
