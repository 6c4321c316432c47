"""A feed: brings in events from outside. This one says the prices of a CSV file, each at its own time."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from penstock_sdk.energy import local_to_ns
from penstock_sdk.events import IdKind, Observation
from penstock_sdk.plugin import Feed, Outcome
from penstock_sdk.schema import ABSENT, Event

__all__ = ["Template", "TemplateConfig"]


class TemplateConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to read, and what to call it."""

    path: str = ""
    """A file with the columns ``at_utc`` (2026-03-09T14:00) and ``price_eur_mwh``, the earliest line first; none: the
    prices.csv beside this module."""
    series: str = "price.template_id"
    """The name of the series."""


class Template(Feed):
    """Observations as they become known. A live source returns them from `poll` instead, without waiting."""

    Config = TemplateConfig
    config: TemplateConfig

    def on_start(self) -> Outcome:
        """Give names their ids here: a play-back does not read the file, and would miss one that is new there."""
        self._ids()
        return None

    def events(self) -> Iterator[tuple[int, Event]]:
        """Yield (at_ns, event) in order of time; raise ValueError at a line that cannot be used."""
        path = Path(self.config.path) if self.config.path else Path(__file__).with_name("prices.csv")
        last_ns = ABSENT
        with path.open(newline="", encoding="utf-8") as file:
            for number, row in enumerate(csv.DictReader(file), 2):
                at_ns = local_to_ns(datetime.fromisoformat(row["at_utc"]), "Etc/UTC")
                value = float(row["price_eur_mwh"])
                if at_ns <= last_ns or not math.isfinite(value):
                    wanted = "a later time than above, and a number"
                    raise ValueError(f"{path}:{number}: met {row['at_utc']}, {value}, wanted {wanted}")
                last_ns = at_ns
                yield at_ns, Observation(*self._ids(), valid_from_ns=at_ns, known_at_ns=at_ns, value=value)

    def _ids(self) -> tuple[int, int]:
        """Return the ids of series and unit."""
        return self.ctx.intern(IdKind.SERIES, self.config.series), self.ctx.intern(IdKind.UNIT, "EUR/MWh")
