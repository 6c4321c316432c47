"""Proves that the lake holds what the journal does, absent as NULL, enums by name, and that the views add up."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_kernel.lake import VIEWS, LakeError, print_table, query, rebuild
from penstock_kernel.lake.decode import Decoder
from penstock_sdk.events import OperatorCommand, Quote, Side, TaskResult, Trade
from penstock_sdk.schema import ABSENT, I64, U32, Frame, Record, layout_of, layouts, record
from penstock_sdk.wire.frame import encode_frame, encoder
from penstock_sdk.wire.segment import JournalCorrupt, read_frames
from penstock_sdk.wire.segment_layout import pack_frame


def decode(frames: list[bytes]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of frames that lie one after another, by table."""
    starts = np.cumsum([0, *map(len, frames)])[:-1].tolist()
    found = Decoder().decode(memoryview(b"".join(frames)), starts)
    return {table: rows.to_pylist() for table, rows in found}


def rows_of(run: Any, sql: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = query(run.run_dir, sql).to_pylist()
    return rows


int64 = st.integers(-(2**63), 2**63 - 1)


@given(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2), int64, int64), min_size=1, max_size=20),
    st.lists(st.integers(1, 6), min_size=1, max_size=8),
)
def test_rows_are_the_records_however_they_are_framed(values: list[tuple[int, int, int, int]], cuts: list[int]) -> None:
    trades = [Trade(a, b, price_ticks=c, qty_lots=d) for a, b, c, d in values]
    frames, seq, at = [], 1, 0
    while at < len(trades):
        size = cuts[len(frames) % len(cuts)]
        part = trades[at : at + size]
        frames.append(encode_frame(Frame.of(part), seq, 5, ABSENT, seq, 1, 3))
        seq, at = seq + len(part), at + len(part)
    rows = decode(frames)["trades"]
    assert [row["seq"] for row in rows] == list(range(1, len(trades) + 1))
    for row, trade in zip(rows, trades, strict=True):
        described = layout_of(Trade).describe(trade)
        assert {name: row[name] for name in described} == described
        assert (row["cause_seq"], row["origin"], row["producer"], row["at_ns"]) == (None, "EXTERNAL", 3, 5)


def test_an_enum_value_that_is_not_known_keeps_its_number() -> None:
    rows = decode([encoder(layout_of(Trade))(Trade(1, aggressor), 1, 0, 0, 0, 1, 0) for aggressor in (1, 77)])
    assert [row["aggressor"] for row in rows["trades"]] == ["BUY", "#77"]


def test_a_shorter_record_of_an_older_writer_reads_null_behind_its_end() -> None:
    body = layout_of(Quote).pack(Quote(9, bid_ticks=-5))[:16]
    (row,) = decode([pack_frame(layout_of(Quote).id, body, seq=1, at_ns=0, stride=16)])["quotes"]
    assert (row["listing_id"], row["bid_ticks"], row["bid_lots"], row["recv_ns"]) == (9, -5, None, None)


def test_fields_that_were_appended_later_are_passed_over() -> None:
    bodies = b"".join(layout_of(Trade).pack(Trade(i, price_ticks=i)) + b"\xff" * 8 for i in (3, 4))
    stride = layout_of(Trade).size + 8
    rows = decode([pack_frame(layout_of(Trade).id, bodies, seq=1, at_ns=0, count=2, stride=stride)])["trades"]
    assert [(row["listing_id"], row["price_ticks"]) for row in rows] == [(3, 3), (4, 4)]


def test_a_record_type_that_is_not_known_keeps_its_bytes() -> None:
    rows = decode([pack_frame(40_123, b"abcdefgh", seq=4, at_ns=0, stride=8)])
    assert rows["record_40123"][0]["body"] == b"abcdefgh"


def test_a_field_named_as_one_of_the_header_gets_an_underscore() -> None:
    @record(id=40_124, topic="test.clash")
    class Clash(Record, frozen=True, gc=False):
        seq: I64
        producer: U32 = 0

    (row,) = decode([encoder(layout_of(Clash))(Clash(7, 8), 1, 0, 0, 0, 1, 2)])["clashs"]
    assert (row["seq"], row["seq_"], row["producer"], row["producer_"]) == (1, 7, 2, 8)


def test_control_records_become_columns_and_what_is_nested_becomes_json() -> None:
    events = [
        OperatorCommand(command="kill", who="ann", why="flood"),
        TaskResult(plugin_id=3, task_id=1, ok=True, value={"a": [1, 2]}),
        TaskResult(plugin_id=3, task_id=2, ok=False, error="no"),
    ]
    rows = decode([encoder(layout_of(type(e)))(e, i, 0, 0, 0, 1, 0) for i, e in enumerate(events)])
    assert (rows["operator_commands"][0]["command"], rows["operator_commands"][0]["target"]) == ("kill", "")
    assert [row["value"] for row in rows["task_results"]] == ['{"a":[1,2]}', None]


def test_every_table_counts_what_the_journal_does(made: Any) -> None:
    wanted: Counter[str] = Counter()
    names = {layout.id: layout.plural for layout in layouts()}
    for frame in read_frames(made.run_dir / "journal"):
        wanted[names[frame.schema_id]] += frame.count
    assert sum(wanted.values()) == made.events
    for table, count in wanted.items():
        assert rows_of(made, f'SELECT count(*) AS n, count(DISTINCT seq) AS d FROM "{table}"') == [
            {"n": count, "d": count}
        ]


def test_fills_carry_names_prices_and_signed_slippage(made: Any) -> None:
    fills = rows_of(made, "SELECT * FROM fills ORDER BY seq")
    assert len(fills) == len(made.fills) > 50
    for fill, (strategy, listing, side, ticks, lots, half) in zip(fills, made.fills, strict=True):
        assert fill["strategy"] == {2: "market_maker", 3: "mean_reversion"}[strategy]
        assert fill["listing_id"] == listing
        assert fill["price"] == pytest.approx(ticks / 100)
        assert fill["qty_mw"] == pytest.approx(lots / 10)
        paid_more = ticks - half / 2 if side == Side.BUY else half / 2 - ticks
        assert fill["slippage_decision_ticks"] == paid_more
        assert fill["slippage_decision"] == pytest.approx(paid_more / 100)
        later = -0.5 if side == Side.BUY else 0.5  # the mid at arrival was half a tick up
        assert fill["slippage_arrival_ticks"] == paid_more + later


def test_orders_latest_has_each_order_once_and_its_state(made: Any) -> None:
    orders = rows_of(made, "SELECT * FROM orders_latest")
    assert len(orders) == len({order["order_id"] for order in orders}) == made.orders
    assert sum(order["filled_lots"] for order in orders) == sum(fill[4] for fill in made.fills)
    states = Counter(order["state"] for order in orders)
    assert states["REFUSED"] == sum(made.refused.values())
    assert states["PARTLY_FILLED"] and states["WORKING"] and states["CANCELLED"]


def test_refusals_name_the_check_its_limit_and_the_reason(made: Any) -> None:
    rows = rows_of(made, "SELECT * FROM refusals")
    assert Counter(row["reason"] for row in rows) == made.refused
    assert {(row["refused_by"], row["met"], row["limit"]) for row in rows} == {("risk_limits", 120, 100)}


def test_pnl_latest_is_the_last_of_each_listing_after_fees(made: Any) -> None:
    rows = rows_of(made, "SELECT * FROM pnl_latest WHERE listing_id <> 0")
    found = {(row["strategy_id"], row["listing_id"]): round(row["total"] * 1e6) for row in rows}
    assert found == {key: realised + open_ - fees for key, (realised, open_, fees) in made.pnl.items()}


def test_listings_stand_at_their_local_delivery_time(made: Any) -> None:
    first, noon = rows_of(
        made, "SELECT listing, zone, venue, currency, delivery_start::VARCHAR AS start FROM listings "
        "WHERE listing LIKE '%QH%00:00@%' OR listing LIKE '%QH%12:45@%' ORDER BY delivery_start",
    )  # fmt: skip
    assert first["start"] == "2026-03-10 00:00:00"
    assert noon["start"] == "2026-03-10 12:45:00"
    assert (noon["zone"], noon["venue"], noon["currency"]) == ("DE-LU", "exchange", "EUR")


def test_prices_hold_trades_and_observed_series(made: Any) -> None:
    rows = rows_of(made, "SELECT source, name, count(*) AS n, min(price) AS least FROM prices GROUP BY ALL")
    trades = sum(row["n"] for row in rows if row["source"] == "trade")
    assert trades == len(made.trades)
    assert min(row["least"] for row in rows if row["source"] == "trade") == min(t[1] for t in made.trades) / 100
    assert [row["name"] for row in rows if row["source"] == "observation"] == ["price.DE-LU.index"]


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_answers_for_a_journal_without_its_records(view: str, tmp_path: Path, journal_writer: Any) -> None:
    writer = journal_writer(tmp_path / "journal")
    writer.add(Trade(1, price_ticks=3, qty_lots=1), 0)
    writer.close()
    rebuild(tmp_path)
    assert query(tmp_path, f"SELECT * FROM {view}").num_columns > 2


def test_a_rebuild_gives_the_same_tables_again(made: Any, make_run: Any, tmp_path: Path) -> None:
    run = make_run(tmp_path, steps=80)
    answers = []
    for _ in range(2):
        rebuild(run.run_dir)
        answers.append([query(run.run_dir, f"SELECT * FROM {view} ORDER BY ALL") for view in VIEWS])
    assert answers[0] == answers[1]


def test_a_damaged_journal_is_not_made_into_a_lake(make_run: Any, tmp_path: Path) -> None:
    run = make_run(tmp_path, steps=80)
    segment = tmp_path / "journal" / "000000000001.pj"
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 4
    segment.write_bytes(data)
    with pytest.raises(JournalCorrupt):
        rebuild(run.run_dir)
    assert not (tmp_path / "run.duckdb").exists()


def test_a_run_cannot_be_changed_by_a_query(made: Any) -> None:
    with pytest.raises(LakeError, match="read-only"):
        query(made.run_dir, "DROP TABLE trades")


def test_a_wrong_query_lists_the_tables_there_are(made: Any) -> None:
    with pytest.raises(LakeError, match=r"(?s)trads.*views: names, .*fills.*tables: .*trades \(500\)"):
        query(made.run_dir, "SELECT * FROM trads")


def test_results_print_as_table_json_and_csv(made: Any) -> None:
    result = pa.table({"name": ["a,b", None], "price": [1.5, -2.0], "body": [b"\x01", b""]})

    def printed(form: str) -> str:
        out = io.StringIO()
        print_table(result, form=form, out=out)
        return out.getvalue()

    assert json.loads(printed("json")) == [
        {"name": "a,b", "price": 1.5, "body": "01"}, {"name": None, "price": -2.0, "body": ""},
    ]  # fmt: skip
    assert printed("csv").splitlines() == ["name,price,body", '"a,b",1.5,01', ",-2.0,"]
    assert "a,b" in printed("table") and "2 rows" in printed("table")
