"""Tables of marks, rates, observations and schedules are told at their times; one fault refuses them all, named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock_plugins.feeds.session_times import FeedError
from penstock_plugins.feeds.table_files import TableFiles, TableFilesConfig
from penstock_plugins.venues.exchange import Exchange, ExchangeConfig
from penstock_sdk.events import Alert, DeliverySchedule, FxRate, IdKind, Interned, Mark, Observation
from penstock_sdk.schema import Event
from penstock_sdk.testing import SimKernel

DAY = "2026-10-25"
NOON_NS = 1_792_843_200_000_000_000  # 2026-10-24 12:00 UTC, before everything opens


def told(folder: Path, **files: str) -> list[tuple[int, Event]]:
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    kernel = SimKernel(seed=1, start_ns=NOON_NS)
    kernel.add(Exchange, "exchange", ExchangeConfig(delivery_day=DAY, background=False))
    feed: Any = kernel.add(TableFiles, "tables", TableFilesConfig(files=tuple(f"{name}.csv" for name in files)))
    feed.ctx.folder = folder
    kernel.start()
    known = len(kernel.of(Interned))
    events = list(feed.events())
    assert len(kernel.of(Interned)) == known  # a play-back, which does not read the files, has every name
    return events


def test_each_kind_of_row_becomes_its_record_in_order_of_time(tmp_path: Path) -> None:
    events = told(
        tmp_path,
        later="at,contract,price,kind\n2026-10-25T10:00:00Z,DE-LU QH 2026-10-25 02:15B,-12.34,settlement\n",
        mixed="at,base,quote,rate,source\n2026-10-24T14:15:00Z,EUR,GBP,0.86455,ECB\n",
        meter="at,series,unit,from,to,value,version\n"
        "2026-10-25T01:20:00Z,meter.b,MWh,2026-10-25T01:00:00Z,2026-10-25T01:15:00Z,-0.125,2\n",
        asset="at,zone,source,from,to,mw,book\n"
        "2026-10-24T13:00:00+02:00,DE-LU,wind,2026-10-24T22:00:00Z,2026-10-25T23:00:00Z,7.25,b\n",
    )
    assert [type(event) for _, event in events] == [DeliverySchedule, FxRate, Observation, Mark]
    assert [at_ns for at_ns, _ in events] == sorted(at_ns for at_ns, _ in events)
    schedule, rate, observed, mark = (event for _, event in events)
    assert isinstance(schedule, DeliverySchedule) and isinstance(rate, FxRate)
    assert (schedule.amount, schedule.end_ns - schedule.start_ns) == (7250, 25 * 3_600 * 10**9)
    assert rate.rate_nano == 864_550_000
    assert isinstance(observed, Observation) and (observed.value, observed.version) == (-0.125, 2)
    assert isinstance(mark, Mark) and (mark.mark_ticks, mark.kind) == (-1234, 2)


def test_a_json_table_says_the_same_as_a_csv(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('[{"at":"2026-10-24T14:00:00Z","base":"EUR","quote":"GBP","rate":0.1}]')
    kernel = SimKernel(start_ns=NOON_NS)
    feed: Any = kernel.add(TableFiles, "tables", TableFilesConfig(files=("t.json",)))
    feed.ctx.folder = tmp_path
    kernel.start()
    ((_, rate),) = feed.events()
    assert rate.rate_nano == 100_000_000
    assert kernel.name_of(IdKind.SOURCE, rate.source_id) == "table"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("at,base,quote,rate\n2026-10-24T14:15:00,EUR,GBP,1", "at met '2026-10-24T14:15:00': it is no instant"),
        ("at,base,quote,rate\n2026-10-24T14:15:00Z,EUR,GBX,1", "quote met 'GBX': it is a minor unit; wanted GBP"),
        ("at,base,quote,rate\n2026-10-24T14:15:00Z,EUR,GBP,0", "rate met '0': it is not above 0"),
        ("at,base,quote,rate\n2026-10-24T14:15:00Z,EUR,GBP,1e-12", "rate met '1e-12': it is no multiple of 10⁻⁹"),
        ("at,base,rate\n2026-10-24T14:15:00Z,EUR,1", "its columns at, base, rate are of no kind of table"),
        ("at,contract,price,kid\n2026-10-24T14:15:00Z,X,1,mid", "kid met 'mid': there is no such column"),
        ("at,contract,price,kind\n2026-10-24T14:15:00Z,X,1,fair", "kind met 'fair': there is no such mark"),
        (
            "at,zone,source,from,to,mw\n2026-10-24T14:15:00Z,DE-LU,w,2026-10-25T00:00:00Z,2026-10-25T00:00:00Z,1",
            "to met '2026-10-25T00:00:00Z': it is not after from",
        ),
        (
            "at,zone,source,from,to,mw\n2026-10-24T14:15:00Z,DE-LU,w,2026-10-25T00:00:00Z,2026-10-25T01:00:00Z,0.0001",
            "mw met '0.0001': it is no multiple of 0.001",
        ),
    ],
)
def test_a_fault_is_named_and_nothing_is_told(row: str, says: str, tmp_path: Path) -> None:
    good = "at,base,quote,rate\n2026-10-24T14:15:00Z,EUR,GBP,0.86\n"
    with pytest.raises(FeedError, match="so nothing of these files is used") as met:
        told(tmp_path, good=good, bad=row)
    assert "bad.csv:2: " in str(met.value)
    assert says in str(met.value)


def test_what_is_not_listed_and_what_is_off_the_grid_is_an_alert_and_the_rest_is_told(tmp_path: Path) -> None:
    events = told(
        tmp_path,
        marks="at,contract,price\n2026-10-25T10:00:00Z,DE-LU Y 2031,50\n"
        "2026-10-25T10:00:00Z,DE-LU H 2026-10-25 02B,50.001\n2026-10-25T10:00:00Z,DE-LU H 2026-10-25 02B,50.01\n",
    )
    kinds = [type(event) for _, event in events]
    assert kinds == [Alert, Alert, Mark]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    kernel = SimKernel(start_ns=NOON_NS)
    feed: Any = kernel.add(TableFiles, "tables", TableFilesConfig(files=("nowhere.csv",)))
    feed.ctx.folder = tmp_path
    with pytest.raises(FeedError, match=r"nowhere.csv: cannot be read"):
        feed.on_start()
