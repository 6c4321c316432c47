"""What the report draws: a few queries to the run's lake, each into small arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt

from penstock_kernel.by_period import period_names
from penstock_kernel.lake import connect
from penstock_sdk.energy.localtime import NS_PER_MINUTE

__all__ = ["Bucketed", "ReportData", "load"]

F64 = npt.NDArray[np.float64]
Row = dict[str, Any]

_BUCKETS = 220
_BUCKET_MINUTES = (1, 2, 5, 10, 15, 30, 60, 120, 240)


class Bucketed(NamedTuple):
    """Values over time: the middle of each bucket (ns UTC) and one or more columns; NaN where nothing was."""

    at_ns: F64
    columns: dict[str, F64]


class ReportData(NamedTuple):
    """Everything the charts need."""

    timezone: str
    zone: str
    first_ns: int
    last_ns: int
    bucket_ns: int
    index_name: str
    observed: tuple[F64, F64]
    """(at_ns, price) of the observed series."""
    near: Bucketed
    """Traded price of the four nearest contracts: vwap, low, high."""
    profile: list[Row]
    """Per delivery interval of the finest product: start_ns, end_ns, label, average, low, high, mwh."""
    heat: list[Row]
    """Per trading bucket and delivery interval: row, start_ns, price."""
    heat_bucket_ns: int
    positions: list[Row]
    """Per strategy and interval of the traded zone's own days: start_ns, end_ns, net_mw."""
    months: list[Row]
    """Per zone and month of delivery: zone, start_ns, end_ns, label, mwh; where more than what trades here is held."""
    pnl: dict[str, Bucketed]
    """Per strategy: total."""
    activity: Bucketed
    """orders, fills, refused per bucket."""
    slippage: dict[str, F64]
    """Per strategy, one value in ticks for each fill, against the mid at decision."""
    alerts: list[Row]


def load(run_dir: Path) -> ReportData:
    """Return what the report of a run draws.

    Raises:
        LakeError: the run has no data yet.
    """
    connection = connect(run_dir)
    try:
        return _load(connection)
    finally:
        connection.close()


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[Row]:
    rows: list[Row] = connection.sql(sql).to_arrow_table().to_pylist()
    return rows


def _load(connection: duckdb.DuckDBPyConnection) -> ReportData:
    place = _rows(
        connection,
        "SELECT coalesce(mode(timezone), 'UTC') AS tz, string_agg(DISTINCT zone, ', ') AS zone FROM listings",
    )[0]
    first_ns, last_ns = _span(connection)
    bucket_ns = _bucket_ns(last_ns - first_ns, _BUCKETS)
    heat_ns = _bucket_ns(last_ns - first_ns, 40)
    index_name, observed = _index(connection)
    return ReportData(
        timezone=place["tz"],
        zone=place["zone"] or "",
        first_ns=first_ns,
        last_ns=last_ns,
        bucket_ns=bucket_ns,
        index_name=index_name,
        observed=observed,
        near=_near(connection, first_ns, last_ns, bucket_ns),
        profile=_profile(connection),
        heat=_heat(connection, first_ns, heat_ns),
        heat_bucket_ns=heat_ns,
        positions=_positions(connection),
        months=_months(connection),
        pnl=_pnl(connection, first_ns, last_ns, bucket_ns),
        activity=_activity(connection, first_ns, last_ns, bucket_ns),
        slippage=_slippage(connection),
        alerts=_rows(
            connection,
            "SELECT at_ns, severity, code, subject, met, wanted, way_out FROM alerts ORDER BY seq LIMIT 50",
        ),
    )


def _span(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """Return the first and last time of anything that is drawn: the market, our orders and what came of them."""
    row = _rows(
        connection,
        "SELECT min(at_ns) AS first, max(at_ns) AS last FROM (SELECT at_ns FROM trades "
        "UNION ALL SELECT at_ns FROM quotes UNION ALL SELECT at_ns FROM orders "
        "UNION ALL SELECT at_ns FROM observations UNION ALL SELECT at_ns FROM execution_reports "
        "UNION ALL SELECT at_ns FROM pnls)",
    )[0]
    if row["first"] is None:
        return (0, NS_PER_MINUTE)
    return (int(row["first"]), max(int(row["last"]), int(row["first"]) + NS_PER_MINUTE))


def _bucket_ns(span_ns: int, count: int) -> int:
    minutes = span_ns / count / NS_PER_MINUTE
    width = next((m for m in _BUCKET_MINUTES if m >= minutes), _BUCKET_MINUTES[-1])
    return width * NS_PER_MINUTE


def _bucketed(rows: list[Row], names: tuple[str, ...], first_ns: int, last_ns: int, bucket_ns: int) -> Bucketed:
    """Return rows that carry ``bucket`` spread over the whole time axis."""
    start = first_ns // bucket_ns
    size = last_ns // bucket_ns - start + 1
    columns = {name: np.full(size, np.nan) for name in names}
    for row in rows:
        for name in names:
            if row[name] is not None:
                columns[name][int(row["bucket"]) - start] = row[name]
    return Bucketed(((start + np.arange(size)) * bucket_ns + bucket_ns / 2).astype(np.float64), columns)


def _index(connection: duckdb.DuckDBPyConnection) -> tuple[str, tuple[F64, F64]]:
    table = connection.sql(
        "WITH best AS (SELECT name FROM prices WHERE source = 'observation' AND name IS NOT NULL GROUP BY name "
        "ORDER BY count(*) DESC, name LIMIT 1) "
        "SELECT name, at_ns, price FROM prices JOIN best USING (name) WHERE source = 'observation' ORDER BY seq"
    ).to_arrow_table()
    if not len(table):
        return "", (np.empty(0), np.empty(0))
    at = table["at_ns"].to_numpy().astype(np.float64)
    return table["name"][0].as_py(), (at, table["price"].to_numpy())


def _near(connection: duckdb.DuckDBPyConnection, first_ns: int, last_ns: int, bucket_ns: int) -> Bucketed:
    rows = _rows(
        connection,
        f"""
        WITH t AS (SELECT p.at_ns // {bucket_ns} AS bucket, p.price, p.qty_mw,
                          dense_rank() OVER (PARTITION BY bucket ORDER BY l.delivery_start_ns) AS place
                   FROM prices p JOIN listings l USING (listing_id) WHERE source = 'trade')
        SELECT bucket, sum(price * qty_mw) / sum(qty_mw) AS vwap, quantile_cont(price, 0.05) AS low,
               quantile_cont(price, 0.95) AS high
        FROM t WHERE place <= 4 AND qty_mw > 0 GROUP BY bucket
        """,
    )
    return _bucketed(rows, ("vwap", "low", "high"), first_ns, last_ns, bucket_ns)


def _positions(connection: duckdb.DuckDBPyConnection) -> list[Row]:
    """Return what is held in the zones and over the days that are traded here."""
    return _rows(
        connection,
        """
        WITH traded AS (SELECT zone, min(delivery_start_ns) AS start_ns, max(delivery_end_ns) AS end_ns FROM listings
                        WHERE NOT reference_only GROUP BY zone)
        SELECT coalesce(p.strategy, 'book ' || p.book, '-') AS strategy, p.start_ns, p.end_ns, sum(p.mw) AS net_mw
        FROM positions_by_interval p JOIN traded t USING (zone)
        WHERE p.start_ns >= t.start_ns AND p.end_ns <= t.end_ns GROUP BY ALL HAVING sum(p.mw) <> 0 ORDER BY ALL
        """,
    )


def _months(connection: duckdb.DuckDBPyConnection) -> list[Row]:
    rows = connection.execute(
        """
        SELECT p.zone, p.start_ns, p.end_ns, sum(p.mwh), any_value(z.timezone), any_value(z.day_starts_hour)
        FROM positions_by_interval p
        JOIN (SELECT DISTINCT ON (code) * FROM zone_definitions ORDER BY code, seq DESC) z ON z.code = p.zone
        WHERE EXISTS (SELECT 1 FROM positions_latest JOIN listings USING (listing_id) WHERE reference_only)
        GROUP BY p.zone, p.start_ns, p.end_ns HAVING sum(p.mwh) IS NOT NULL ORDER BY p.zone, p.start_ns
        """
    ).fetchall()
    found: dict[tuple[str, str], Row] = {}
    for zone, start_ns, end_ns, mwh, timezone, hour in rows:
        month = period_names("month", timezone, hour or 0)(start_ns)
        held = found.setdefault((zone, month), {"zone": zone, "start_ns": start_ns, "label": month[2:], "mwh": 0.0})
        held["end_ns"], held["mwh"] = end_ns, held["mwh"] + mwh
    return list(found.values())


_FINEST = """
    WITH finest AS (SELECT min(delivery_end_ns - delivery_start_ns) AS length FROM listings
                    WHERE listing_id IN (SELECT listing_id FROM trades)),
    l AS (SELECT * FROM listings, finest WHERE delivery_end_ns - delivery_start_ns = finest.length)
"""


def _profile(connection: duckdb.DuckDBPyConnection) -> list[Row]:
    return _rows(
        connection,
        _FINEST + """
        SELECT l.delivery_start_ns AS start_ns, l.delivery_end_ns AS end_ns, any_value(l.contract) AS label,
               sum(p.price * p.qty_mw) / sum(p.qty_mw) AS average, quantile_cont(p.price, 0.1) AS low,
               quantile_cont(p.price, 0.9) AS high,
               sum(p.mwh) AS mwh
        FROM prices p JOIN l USING (listing_id) WHERE source = 'trade' AND qty_mw > 0
        GROUP BY l.delivery_start_ns, l.delivery_end_ns ORDER BY 1
        """,
    )  # fmt: skip


def _heat(connection: duckdb.DuckDBPyConnection, first_ns: int, bucket_ns: int) -> list[Row]:
    return _rows(
        connection,
        _FINEST + f"""
        SELECT p.at_ns // {bucket_ns} - {first_ns // bucket_ns} AS row, l.delivery_start_ns AS start_ns,
               l.delivery_end_ns AS end_ns, sum(p.price * p.qty_mw) / sum(p.qty_mw) AS price
        FROM prices p JOIN l USING (listing_id) WHERE source = 'trade' AND qty_mw > 0 GROUP BY ALL ORDER BY 1, 2
        """,
    )  # fmt: skip


def _pnl(connection: duckdb.DuckDBPyConnection, first_ns: int, last_ns: int, bucket_ns: int) -> dict[str, Bucketed]:
    """Return each strategy's total over time, in the main currency: as told (listing 0), else its listings' sum."""
    rows = _rows(
        connection,
        f"""
        WITH main AS (SELECT mode(currency_id) AS id FROM pnls),
        p AS (SELECT strategy_id, listing_id, seq, at_ns // {bucket_ns} AS bucket,
                          realised_micro + unrealised_micro - fees_micro AS total,
                          total - lag(total, 1, 0) OVER (PARTITION BY strategy_id, book_id, listing_id ORDER BY seq)
                          AS step FROM pnls, main WHERE currency_id = main.id AND flags & 1 = 0),
        own AS (SELECT DISTINCT strategy_id FROM p WHERE listing_id = 0),
        run AS (SELECT strategy_id, bucket, seq, sum(step) OVER (PARTITION BY strategy_id ORDER BY seq) / 1e6 AS total
                FROM p WHERE (listing_id = 0) = (strategy_id IN (SELECT strategy_id FROM own)))
        SELECT coalesce(n.name, 'no strategy') AS strategy, bucket, arg_max(total, seq) AS total
        FROM run LEFT JOIN names n ON n.kind = 'PLUGIN' AND n.id = strategy_id GROUP BY 1, 2 ORDER BY 1, 2
        """,
    )
    found = {}
    for strategy in dict.fromkeys(row["strategy"] for row in rows):
        own = [row for row in rows if row["strategy"] == strategy]
        series = _bucketed(own, ("total",), first_ns, last_ns, bucket_ns)
        total = series.columns["total"]
        filled = np.maximum.accumulate(np.where(np.isfinite(total), np.arange(len(total)), -1))
        held = np.where(filled >= 0, total[filled], 0.0)
        found[strategy] = Bucketed(series.at_ns, {"total": held})
    return found


def _activity(connection: duckdb.DuckDBPyConnection, first_ns: int, last_ns: int, bucket_ns: int) -> Bucketed:
    rows = _rows(
        connection,
        f"""
        SELECT bucket, sum(orders) AS orders, sum(fills) AS fills, sum(refused) AS refused FROM (
            SELECT at_ns // {bucket_ns} AS bucket, 1 AS orders, 0 AS fills, (state = 'REFUSED')::INT AS refused
            FROM orders_latest
            UNION ALL SELECT at_ns // {bucket_ns}, 0, 1, 0 FROM fills)
        GROUP BY bucket
        """,
    )
    return _bucketed(rows, ("orders", "fills", "refused"), first_ns, last_ns, bucket_ns)


def _slippage(connection: duckdb.DuckDBPyConnection) -> dict[str, F64]:
    table = connection.sql(
        "SELECT coalesce(strategy, '-') AS strategy, slippage_decision_ticks AS ticks FROM fills "
        "WHERE slippage_decision_ticks IS NOT NULL ORDER BY strategy, seq"
    ).to_arrow_table()
    names = np.array(table["strategy"].to_pylist(), object)
    ticks = table["ticks"].to_numpy()
    return {name: ticks[names == name] for name in dict.fromkeys(names.tolist())}
