"""A feed: reads prices from a CSV file, one observation a line, and refuses a file that is not in order of time."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from penstock_sdk.energy import local_to_ns
from penstock_sdk.events import IdKind, Observation
from penstock_sdk.plugin import Feed
from penstock_sdk.schema import ABSENT, Event

__all__ = ["CsvFeed", "CsvFeedConfig"]


class CsvFeedConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to read, and what to call it."""

    path: str = str(Path(__file__).with_name("prices.csv"))
    """A file with the columns ``at_utc`` (2026-03-09T14:00) and ``price_eur_mwh``; the earliest line first."""
    series: str = "price.csv"
    """The name of the series."""


class CsvFeed(Feed):
    """Observations as they become known: one at each line's own time."""

    Config = CsvFeedConfig
    config: CsvFeedConfig

    def on_start(self) -> None:
        """Give names their ids: a new id is an event, and only handlers cause events."""
        self._ids()

    def events(self) -> Iterator[tuple[int, Event]]:
        """Yield an Observation per line; raise ValueError at one that is out of order or no number."""
        last_ns = ABSENT
        with open(self.config.path, newline="", encoding="utf-8") as file:
            for number, row in enumerate(csv.DictReader(file), 2):
                at_ns = local_to_ns(datetime.fromisoformat(row["at_utc"]), "Etc/UTC")
                value = float(row["price_eur_mwh"])
                where = f"{self.config.path}:{number}"
                if at_ns <= last_ns:
                    raise ValueError(f"{where}: at_utc met {row['at_utc']}, wanted later than above; sort by time")
                if not math.isfinite(value):
                    raise ValueError(f"{where}: price_eur_mwh met {value}, wanted a number; leave the line out")
                last_ns = at_ns
                yield at_ns, Observation(*self._ids(), valid_from_ns=at_ns, known_at_ns=at_ns, value=value)

    def _ids(self) -> tuple[int, int]:
        """Return the ids of series and unit."""
        return self.ctx.intern(IdKind.SERIES, self.config.series), self.ctx.intern(IdKind.UNIT, "EUR/MWh")
