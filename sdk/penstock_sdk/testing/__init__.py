"""What plugin tests need: a simulated kernel, and a market to trade in."""

from __future__ import annotations

from penstock_sdk.testing.sim import SimKernel

__all__ = ["SimKernel"]
