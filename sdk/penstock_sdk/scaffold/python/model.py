"""A model: turns data into forecasts. This one smooths a series, and says that it stays where it is."""

from __future__ import annotations

import msgspec

from penstock_sdk.events import Forecast, IdKind, Observation
from penstock_sdk.plugin import Model, Outcome

__all__ = ["Template", "TemplateConfig"]

HOUR_NS = 3_600_000_000_000


class TemplateConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to forecast, and how."""

    series: str = "price.index"
    weight: float = 0.2
    """Of the newest value, above 0 up to 1; the rest is the mean so far."""
    horizon_h: int = 24
    """How long a forecast holds, in hours."""

    def __post_init__(self) -> None:
        """Raise ValueError for what is no mean."""
        if not 0 < self.weight <= 1:
            raise ValueError(f"weight met {self.weight}, wanted above 0 up to 1")
        if self.horizon_h < 1:
            raise ValueError(f"horizon_h met {self.horizon_h}, wanted 1 or more")


class Template(Model):
    """A forecast after each value. Work that takes long goes through ``ctx.submit``, not in here."""

    Config = TemplateConfig
    config: TemplateConfig

    def on_observation(self, seen: Observation) -> Outcome:
        """Take a value into the mean, and return the forecast with the time of what went into it."""
        if seen.series_id != self.ctx.intern(IdKind.SERIES, self.config.series):
            return None
        mean = self.ctx.state.get("mean", seen.value)  # ctx.state is kept over restarts
        mean = self.ctx.state["mean"] = mean + self.config.weight * (seen.value - mean)
        return Forecast(
            seen.series_id, seen.unit_id, quantile_bp=0, valid_from_ns=seen.known_at_ns,
            valid_to_ns=seen.known_at_ns + self.config.horizon_h * HOUR_NS, data_cut_ns=seen.known_at_ns, value=mean,
        )  # fmt: skip
