"""An operations plugin: counts orders, and raises an alert when too many in a row are refused."""

from __future__ import annotations

import msgspec

from penstock_sdk.events import IdKind, Order, OrderState, Reason, Severity
from penstock_sdk.plugin import Operations, Outcome

__all__ = ["CountingOperations", "CountingOperationsConfig"]


class CountingOperationsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a person should look."""

    refusals_max: int = 5
    """So many refusals in a row are one too many."""


class CountingOperations(Operations):
    """Cells: routed, refused. Nothing of it is in anybody's way: it hears events that have happened."""

    Config = CountingOperationsConfig
    config: CountingOperationsConfig

    def on_order(self, order: Order) -> Outcome:
        """Count an order by what became of it; other states (a cancel under way) do not count."""
        if order.state == OrderState.ROUTED:
            self.ctx.cell("routed").n += 1
            self.ctx.state["in_a_row"] = 0
        if order.state != OrderState.REFUSED:
            return None
        self.ctx.cell("refused").n += 1
        in_a_row = self.ctx.state["in_a_row"] = self.ctx.state.get("in_a_row", 0) + 1
        if in_a_row != self.config.refusals_max:
            return None
        met = f"{in_a_row} refusals in a row, the last for {Reason(order.reason).name}"
        return self.ctx.alert(
            "orders.refused", Severity.WARNING, met,
            wanted=f"fewer than {self.config.refusals_max}", way_out="see the strategy's limits, or pause it",
            subject=self.ctx.name_of(IdKind.PLUGIN, order.strategy_id),
        )  # fmt: skip
