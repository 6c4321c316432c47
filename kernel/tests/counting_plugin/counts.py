"""A plugin of tests: counts quotes in its state, trades nothing, fails where it is told to."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock_sdk.context import Context
from penstock_sdk.events import Quote, Timer
from penstock_sdk.plugin import Strategy

EVERY_NS = 30_000_000_000


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to fail (init, start, restore), and how much a quote counts."""

    fails: str = ""
    size: int = 1


class Counts(Strategy):
    """Counts."""

    Config = Config
    config: Config

    def __init__(self, ctx: Context, config: Any = None) -> None:
        super().__init__(ctx, config)
        self._fail("init")

    def _fail(self, where: str) -> None:
        if self.config.fails == where:
            raise ValueError("told to fail")

    def on_start(self) -> None:
        """Count time, too."""
        self._fail("start")
        self.ctx.set_timer(self.ctx.now_ns + EVERY_NS)

    def on_resume(self) -> None:
        """Go on; the timer of before is kept."""
        self._fail("start")

    def on_quote(self, quote: Quote) -> None:
        """Count it."""
        self.ctx.state["quotes"] = self.ctx.state.get("quotes", 0) + self.config.size

    def on_timer(self, timer: Timer) -> None:
        """Count it."""
        self.ctx.state["timers"] = self.ctx.state.get("timers", 0) + 1
        self.ctx.set_timer(timer.due_ns + EVERY_NS)

    def restore(self, state: Any) -> None:
        """Refuse, where told to."""
        self._fail("restore")
