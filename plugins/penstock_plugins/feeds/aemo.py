"""Real five-minute prices of an Australian region, from AEMO's files: each is told when its interval ends.

The file is read once, before the market opens; what lies before the first opening is told at that opening, in one
frame, as history. A replay needs the same file: `capture_digest` says which it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from penstock_plugins.feeds.aemo_files import INTERVAL_NS, CaptureError, read_dispatch_prices
from penstock_plugins.feeds.session_times import FeedError, day_listings
from penstock_sdk.events import IdKind, Observation
from penstock_sdk.plugin import Feed
from penstock_sdk.schema import ABSENT, FRAME_RECORDS_MAX, Event, Frame, layout_of

__all__ = ["Aemo", "AemoConfig"]

_HOUR_NS = 3_600_000_000_000
_HISTORY_HOURS_MAX = FRAME_RECORDS_MAX * INTERVAL_NS // _HOUR_NS


class AemoConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which file, which region and which day."""

    path: str = ""
    """A DISPATCHPRICE parquet table or a raw MMS zip; absolute, or from the folder that the run is started in."""
    region: str = "NSW1"
    """The region whose prices are read; also the venue's zone unless `zone` is given."""
    zone: str = ""
    """The venue's bidding zone, when it is not called like the region."""
    delivery_day: str = "2025-01-22"
    """Delivery date in market time (UTC+10)."""
    index_series: str = "price.index"
    """The series that observations carry; the venue follows the one of this name."""
    history_hours: Annotated[int, msgspec.Meta(ge=0, le=_HISTORY_HOURS_MAX)] = 40
    """How much of what was known at the first opening is told then; 40 h reach back over the day before."""
    days_back: Annotated[int, msgspec.Meta(ge=0)] = 0
    """How many days before the delivery day the prices were made: 0 replays the day itself."""


class Aemo(Feed):
    """Observations of dispatch prices, AUD/MWh."""

    Config = AemoConfig
    config: AemoConfig

    def on_start(self) -> None:
        """Give names their ids."""
        self._ids()

    def events(self) -> Iterator[tuple[int, Event]]:
        """Yield a frame of history at the first opening, then each Observation at the end of its interval.

        Raises:
            FeedError: no path is configured, or no listing of the zone and day stands.
            CaptureError: the file is missing, damaged, or does not cover the time from history to the end of delivery.
        """
        day = day_listings(self.ctx, self.config.zone or self.config.region, self.config.delivery_day)
        shift_ns = self.config.days_back * 24 * _HOUR_NS
        start_ns = day.opens_ns - self.config.history_hours * _HOUR_NS - shift_ns
        with self._open():  # a file that is not there is told with the config key that leads to it
            pass
        prices = read_dispatch_prices(self.config.path, self.config.region, start_ns, day.day_end_ns - shift_ns)
        observed = self._observations(prices, shift_ns)
        known = int(np.searchsorted(observed["known_at_ns"], day.opens_ns, side="right"))
        if known:
            yield day.opens_ns, Frame(Observation, observed[:known].copy())
        for observation in layout_of(Observation).unpack_many(observed[known:].tobytes()):
            yield observation.known_at_ns, observation

    def capture_digest(self) -> str:
        """Return "sha256:…" of the file's bytes: with path, offset and count it names every event that comes of it.

        Raises:
            CaptureError: the file cannot be read.
        """
        with self._open() as stream:
            return "sha256:" + hashlib.file_digest(stream, "sha256").hexdigest()

    def _ids(self) -> tuple[int, int, int]:
        """Return the ids of series, unit and source."""
        ctx = self.ctx
        return (
            ctx.intern(IdKind.SERIES, self.config.index_series),
            ctx.intern(IdKind.UNIT, "AUD/MWh"),
            ctx.intern(IdKind.SOURCE, ctx.name),
        )

    def _open(self) -> BufferedReader:
        """Return the configured file, opened to read."""
        if not self.config.path:
            raise FeedError(
                'path is empty, wanted a file of dispatch prices; write path = "…" in the feed\'s config, a '
                "DISPATCHPRICE parquet table or AEMO zip"
            )
        try:
            return Path(self.config.path).open("rb")
        except OSError as error:
            raise CaptureError(
                f"{self.config.path}: cannot be read: {error.strerror or error}; wanted a DISPATCHPRICE parquet table "
                f"or AEMO zip: set path in [plugins.{self.ctx.name}.config], or the environment variable that it is "
                "written with, such as PENSTOCK_SHARED"
            ) from error

    def _observations(self, prices: npt.NDArray[np.void], shift_ns: int) -> npt.NDArray[Any]:
        """Return the prices as Observation records, known when their interval ends."""
        observed = np.zeros(len(prices), layout_of(Observation).dtype)
        observed["series_id"], observed["unit_id"], observed["source_id"] = self._ids()
        observed["valid_from_ns"] = prices["interval_start_ns"] + shift_ns
        observed["valid_to_ns"] = prices["interval_end_ns"] + shift_ns
        observed["known_at_ns"] = observed["valid_to_ns"]
        observed["value"] = prices["price_micro"] / 1e6
        observed["source_ns"] = observed["valid_to_ns"]
        observed["recv_ns"] = ABSENT
        return observed
