"""An offload plugin: a hot function on a device, which joins only if it agrees with the reference on this machine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from penstock_sdk.events import Severity
from penstock_sdk.plugin import Offload, Outcome
from penstock_sdk.schema import Frame

__all__ = ["Template", "on_device", "reference"]

I64 = npt.NDArray[np.int64]
VECTORS = ((0, 7), (-500, 10), (999_900, 10_000))
"""(price_ticks, qty_lots): nothing, a negative price, and more than 32 bits hold."""


def reference(price_ticks: int, qty_lots: int) -> int:
    """Return what one trade turns over, in ticks × lots: what every device must agree with."""
    return abs(price_ticks) * qty_lots


def on_device(price_ticks: I64, qty_lots: I64) -> I64:
    """Return the same for many trades at once. Call your device here; this is the processor's vector unit."""
    turnover: I64 = np.abs(price_ticks) * qty_lots
    return turnover


class Template(Offload):
    """Adds up the market's turnover in the cell ``turnover``, on the device if that may be trusted."""

    deterministic = False  # a device is a fact of this machine, so what is said of it is recorded and not recomputed
    joined = False

    def on_start(self) -> Outcome:
        """Try the device on what is known. One that differs stays out, and the reference does the work."""
        met = on_device(*np.array(VECTORS, np.int64).T).tolist()
        for vector, value in zip(VECTORS, met, strict=True):
            if value != (wanted := reference(*vector)):
                said = f"{value} for {vector}"
                return self.ctx.alert("offload.differs", Severity.ERROR, said, str(wanted), "mend the device")
        self.joined = True
        return None

    def on_resume(self) -> Outcome:
        """Try it again: a restart may find another device."""
        return self.on_start()

    def on_trades(self, frame: Frame) -> None:
        """Add a frame of trades; a single one comes as a frame of one. A frame is valid until this returns."""
        price_ticks, qty_lots = frame.array["price_ticks"], frame.array["qty_lots"]
        if self.joined:
            added = int(on_device(price_ticks, qty_lots).sum())
        else:
            added = sum(map(reference, price_ticks.tolist(), qty_lots.tolist()))
        self.ctx.cell("turnover").n += added
