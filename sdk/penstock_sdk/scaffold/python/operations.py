"""An operations plugin: watches and reports. This one raises an alert when too many orders in a row are refused."""

from __future__ import annotations

import msgspec

from penstock_sdk.events import Order, OrderState, Reason, Severity
from penstock_sdk.plugin import Operations, Outcome

__all__ = ["Template", "TemplateConfig"]


class TemplateConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a person should look."""

    refusals_max: int = 5
    """So many refusals in a row are one too many."""

    def __post_init__(self) -> None:
        """Raise ValueError for a count that is none."""
        if self.refusals_max < 1:
            raise ValueError(f"refusals_max met {self.refusals_max}, wanted 1 or more")


class Template(Operations):
    """Counts orders in the cells ``routed`` and ``refused``. It hears what has happened, and is in nobody's way."""

    Config = TemplateConfig
    config: TemplateConfig

    def on_order(self, order: Order) -> Outcome:
        """Count an order by what became of it; other states (a cancel under way) do not count."""
        if order.state == OrderState.ROUTED:
            self.ctx.cell("routed").n += 1
            self.ctx.state["in_a_row"] = 0  # ctx.state is kept over restarts
        if order.state != OrderState.REFUSED:
            return None
        self.ctx.cell("refused").n += 1
        in_a_row = self.ctx.state["in_a_row"] = self.ctx.state.get("in_a_row", 0) + 1
        if in_a_row != self.config.refusals_max:
            return None
        met = f"{in_a_row} refusals in a row, the last for {Reason(order.reason).name}"
        wanted = f"fewer than {self.config.refusals_max}"
        return self.ctx.alert("orders.refused", Severity.WARNING, met, wanted, way_out="see the limits, or pause it")
