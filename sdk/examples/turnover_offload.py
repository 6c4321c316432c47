"""An offload plugin: a hot function on a device, which joins only if it agrees with the golden model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from penstock_sdk.events import Severity
from penstock_sdk.plugin import Offload, Outcome
from penstock_sdk.schema import Frame

__all__ = ["TurnoverOffload", "golden_turnover"]

I64 = npt.NDArray[np.int64]
VECTORS = ((0, 7), (-500, 10), (999_900, 10_000))
"""(price_ticks, qty_lots): nothing, a negative price, and more than 32 bits hold."""


def golden_turnover(price_ticks: int, qty_lots: int) -> int:
    """Return what one trade turns over, in ticks × lots: the reference that every device answers to."""
    return abs(price_ticks) * qty_lots


def array_turnover(price_ticks: I64, qty_lots: I64) -> I64:
    """Return the same for many trades at once; here the device is the processor's vector unit."""
    turnover: I64 = np.abs(price_ticks) * qty_lots
    return turnover


class TurnoverOffload(Offload):
    """Adds up the market's turnover in the cell `turnover`, on the device if that may be trusted."""

    deterministic = False  # a device is a fact of this machine, so what is said of it is recorded and not recomputed
    device: Callable[[I64, I64], I64] = staticmethod(array_turnover)
    joined = False  # not kept in ctx.state: a restart may find another device

    def on_start(self) -> Outcome:
        """Run the golden vectors. A device that differs in one of them stays out, and the reference does the work."""
        met = self.device(*np.array(VECTORS, np.int64).T).tolist()
        for vector, value in zip(VECTORS, met, strict=True):
            if value != (wanted := golden_turnover(*vector)):
                said = f"{value} for {vector}"
                return self.ctx.alert("offload.differs", Severity.ERROR, said, str(wanted), "mend the device")
        self.joined = True
        return None

    def on_trades(self, frame: Frame) -> None:
        """Add a frame of trades; a single one comes as a frame of one."""
        price_ticks, qty_lots = frame.array["price_ticks"], frame.array["qty_lots"]
        if self.joined:
            added = int(self.device(price_ticks, qty_lots).sum())
        else:
            added = sum(map(golden_turnover, price_ticks.tolist(), qty_lots.tolist()))
        self.ctx.cell("turnover").n += added
