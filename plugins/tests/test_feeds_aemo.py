"""The feed of real prices: history first, then each interval at its end; a file that fails it is a named error."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock_plugins.feeds.aemo import Aemo, AemoConfig
from penstock_plugins.feeds.aemo_files import CaptureError, GapError
from penstock_plugins.feeds.session_times import FeedError
from penstock_plugins.venues.exchange import Exchange, ExchangeConfig
from penstock_sdk.events import IdKind, Observation, Trade
from penstock_sdk.schema import Event, Frame
from penstock_sdk.testing import SimKernel

DAY = "2025-01-22"
STEP_NS = 300_000_000_000


def price_file(
    folder: Path, first: datetime, intervals: int, region: str = "NSW1", *, without: range = range(0)
) -> Path:
    """Write a small table; the price of interval i is i − 100, so it begins negative."""
    kept = [i for i in range(intervals) if i not in without]
    ends = [first + timedelta(minutes=5 * (i + 1)) for i in kept]
    table = pa.table(
        {
            "settlementdate": pa.array(ends, pa.timestamp("us")),
            "regionid": [region] * len(kept),
            "intervention": pa.array([0] * len(kept), pa.int8()),
            "rrp": [float(i - 100) for i in kept],
        }
    )
    path = folder / "prices.parquet"
    pq.write_table(table, path)
    return path


def market(path: Path | str, seed: int = 1, *, background: bool = False, **config: Any) -> tuple[SimKernel, Aemo]:
    kernel = SimKernel(seed=seed)
    zone = config.get("zone") or "NSW1"
    kernel.add(Exchange, "exchange", ExchangeConfig(zone=zone, delivery_day=DAY, background=background))
    feed = kernel.add(Aemo, "aemo", AemoConfig(**({"path": str(path), "delivery_day": DAY} | config)))
    kernel.start()
    return kernel, feed


def test_history_is_told_at_the_opening_and_the_rest_as_it_happens(tmp_path: Path) -> None:
    path = price_file(tmp_path, datetime(2025, 1, 19), 4 * 288)
    kernel, feed = market(path)
    events: list[tuple[int, Event]] = list(feed.events())
    opens_ns = min(listing.opens_ns for listing in kernel.definitions(IdKind.LISTING))
    at_ns, frame = events[0]
    assert at_ns == opens_ns
    assert isinstance(frame, Frame)
    assert len(frame) == 40 * 12
    assert (np.diff(frame.array["known_at_ns"]) == STEP_NS).all()
    assert frame.array["known_at_ns"][-1] == opens_ns
    # 40 hours before 15:00 on the 21st is 23:00 on the 19th: interval 276 of the file, priced 176.
    assert frame.array["value"][0] == 176.0
    rest = [(at, event) for at, event in events[1:] if isinstance(event, Observation)]
    assert len(rest) == 33 * 12  # from 15:00 to the midnight after the next
    assert all(at == event.known_at_ns == event.valid_to_ns for at, event in rest)
    assert rest[0][0] == opens_ns + STEP_NS
    assert rest[-1][1].value == 4 * 288 - 1 - 100
    assert kernel.name_of(IdKind.UNIT, rest[0][1].unit_id) == "AUD/MWh"


def test_prices_of_other_days_can_be_replayed(tmp_path: Path) -> None:
    path = price_file(tmp_path, datetime(2025, 1, 9), 4 * 288)
    _, feed = market(path, days_back=10)
    events = list(feed.events())
    frame = events[0][1]
    assert isinstance(frame, Frame)
    assert frame.array["value"][0] == 176.0
    assert len(events) == 1 + 33 * 12


def test_without_history_the_feed_begins_after_the_opening(tmp_path: Path) -> None:
    path = price_file(tmp_path, datetime(2025, 1, 21), 2 * 288)
    _, feed = market(path, history_hours=0)
    events = list(feed.events())
    assert len(events) == 33 * 12
    assert isinstance(events[0][1], Observation)


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    path = price_file(tmp_path, datetime(2025, 1, 19), 4 * 288)
    _, feed = market(path)
    assert feed.capture_digest() == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    path.unlink()
    with pytest.raises(CaptureError, match=r"prices.parquet: cannot be read: No such file"):
        feed.capture_digest()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="^path is empty, wanted a file of dispatch prices; write path"):
        next(market("")[1].events())
    with pytest.raises(CaptureError, match=r"nothing.parquet: cannot be read"):
        next(market(tmp_path / "nothing.parquet")[1].events())
    short = price_file(tmp_path, datetime(2025, 1, 19), 3 * 288)
    with pytest.raises(CaptureError, match=r"prices.parquet"):
        next(market(short)[1].events())
    with pytest.raises(CaptureError, match="no rows of region 'QLD1'; it holds NSW1"):
        next(market(short, region="QLD1", zone="NSW1")[1].events())
    kernel, _ = market(short)
    elsewhere = kernel.add(Aemo, "aemo_qld", AemoConfig(path=str(short), region="QLD1", delivery_day=DAY))
    with pytest.raises(FeedError, match="^no listing of zone 'QLD1' delivers on 2025-01-22; listings stand for NSW1"):
        next(elsewhere.events())


# From 23:00 on the 19th (interval 276) to the midnight that ends the 22nd (interval 1152).
@pytest.mark.parametrize(
    ("without", "first_missing", "count"),
    [
        (range(200, 300), "2025/01/19 23:05:00", 24),  # over the start of the window
        (range(1100, 1200), "2025/01/22 19:45:00", 52),  # over its end
        (range(200, 1200), "2025/01/19 23:05:00", 876),  # over all of it
    ],
)
def test_a_file_with_a_gap_over_the_window_is_refused(
    without: range, first_missing: str, count: int, tmp_path: Path
) -> None:
    path = price_file(tmp_path, datetime(2025, 1, 19), 5 * 288, without=without)
    with pytest.raises(GapError, match=f"{count} intervals are missing, stamped {first_missing}, .*inside a whole run"):
        next(market(path)[1].events())


def test_a_file_that_is_not_there_is_told_with_the_way_to_set_it(tmp_path: Path) -> None:
    way = r"nothing.parquet: cannot be read: No such file.*set path in \[plugins.aemo.config\], .*PENSTOCK_SHARED$"
    _, feed = market(tmp_path / "nothing.parquet")
    with pytest.raises(CaptureError, match=way):
        next(feed.events())
    with pytest.raises(CaptureError, match=way):
        feed.capture_digest()


def test_a_real_day_trades_below_zero_and_up_to_the_spike(shared_dir: Path) -> None:
    (path,) = (shared_dir / "data/power_5min").glob("aemo_dispatchprice_5min_NSW1_*.parquet")
    kernel, _ = market(path, background=True, region="NSW1")
    kernel.run_until(max(listing.gate_closure_ns for listing in kernel.definitions(IdKind.LISTING)))
    values = [observation.value for observation in kernel.of(Observation)]
    assert (min(values), max(values)) == (-999.99406, 15_592.52869)
    prices = np.array([trade.price_ticks for trade in kernel.of(Trade)]) / 100
    assert prices.min() < -100.0
    assert 5_000.0 < prices.max() <= 17_500.0
    assert 70_000 < len(prices) < 200_000
