"""A record of one's own: a model declares a price jump and says it, an operations plugin hears it."""

from __future__ import annotations

import msgspec

from penstock_sdk.events import IdKind, Observation, Severity
from penstock_sdk.plugin import Model, Operations, Outcome
from penstock_sdk.schema import ABSENT, F64, I64, U32, Record, record

__all__ = ["JumpModel", "JumpModelConfig", "JumpWatch", "PriceJump"]


@record(id=41_000, topic="data.price_jump")  # ids 32,768 … 65,534 are for plugins; it is journaled like any other
class PriceJump(Record, frozen=True, gc=False):
    """A series has moved far in one step; heard by on_price_jump, and in frames by on_price_jumps."""

    series_id: U32
    change: F64 = 0.0
    """In the series' unit; falling is negative."""
    source_ns: I64 = ABSENT
    recv_ns: I64 = ABSENT


class JumpModelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far is far."""

    change_min: float = 50.0
    """In the series' unit."""


class JumpModel(Model):
    """Holds each value against the one before it."""

    Config = JumpModelConfig
    config: JumpModelConfig

    def on_observation(self, seen: Observation) -> Outcome:
        """Return a PriceJump when the series has moved far."""
        key = str(seen.series_id)
        change = seen.value - self.ctx.state.get(key, seen.value)
        self.ctx.state[key] = seen.value
        if abs(change) < self.config.change_min:
            return None
        return PriceJump(seen.series_id, change, source_ns=seen.known_at_ns)


class JumpWatch(Operations):
    """Tells people; another plugin's record is heard like ours, once its module is imported."""

    def on_price_jump(self, jump: PriceJump) -> Outcome:
        """Return an alert that names the series."""
        series = self.ctx.name_of(IdKind.SERIES, jump.series_id)
        return self.ctx.alert("price.jump", Severity.WARNING, f"{jump.change:+.2f} in one step", subject=series)
