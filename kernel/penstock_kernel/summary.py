"""What a run came to, in numbers: orders, fills, slippage, P&L, refusals, prices; from its lake and ``run.json``."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from penstock_kernel.lake import connect, tables
from penstock_kernel.runs import RunInfo, RunPaths, write_atomically
from penstock_kernel.summary_model import (
    AttributionLine,
    CashLine,
    OrderCounts,
    PnlLine,
    PositionLine,
    Prices,
    Slippage,
    StrategyLine,
    Summary,
)
from penstock_kernel.summary_print import print_summary

__all__ = [
    "AttributionLine",
    "CashLine",
    "OrderCounts",
    "PnlLine",
    "PositionLine",
    "Prices",
    "Slippage",
    "StrategyLine",
    "Summary",
    "load_summary",
    "print_summary",
    "summarise",
]


def summarise(run_dir: Path, *, save: bool = True) -> Summary:
    """Return what a run came to; also written to ``summary.json`` unless *save* is False.

    Raises:
        LakeError: the run has no data yet.
        RunError: it has no ``run.json``.
    """
    info = RunInfo.load(run_dir)
    connection = connect(run_dir)
    try:
        summary = _summary(info, connection)
    finally:
        connection.close()
    if save:
        data = msgspec.json.format(msgspec.json.encode(summary), indent=2)
        write_atomically(RunPaths(run_dir).summary, data + b"\n")
    return summary


def load_summary(run_dir: Path) -> Summary | None:
    """Return what ``summary.json`` holds; None when there is none, or an older version wrote it."""
    try:
        return msgspec.json.decode(RunPaths(run_dir).summary.read_bytes(), type=Summary)
    except (OSError, msgspec.MsgspecError):
        return None


def _summary(info: RunInfo, connection: duckdb.DuckDBPyConnection) -> Summary:
    strategies = _strategies(connection)
    whole = strategies.pop("")
    counts = tables(connection)
    events = dict(sorted(counts.items(), key=lambda item: -item[1]))
    return Summary(
        run=info,
        currency=_one(connection, "SELECT mode(currency) AS currency FROM listings").get("currency") or "",
        orders=whole.orders,
        decision=whole.decision,
        arrival=whole.arrival,
        tick_to_order=info.tick_to_order,
        strategies=list(strategies.values()),
        pnl=_pnl(connection),
        positions=_positions(connection),
        refusals=_counts(connection, "SELECT reason, count(*) FROM refusals GROUP BY 1"),
        prices=_prices(connection),
        events=events,
        events_per_s=sum(counts.values()) / info.wall_s if info.wall_s else 0.0,
        alerts=_counts(connection, "SELECT lower(severity) || ' ' || code, count(*) FROM alerts GROUP BY 1"),
        faults=_counts(connection, "SELECT name, count(*) FROM plugin_faults GROUP BY 1"),
        attribution=_attribution(connection),
        cash=_cash(connection),
        converted={row["currency"]: row["total"] for row in _rows(connection, "SELECT * FROM pnl_converted_latest")},
        external_trades=_one(connection, "SELECT count(*) AS n FROM external_trades")["n"],
    )


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = connection.sql(sql).to_arrow_table().to_pylist()
    return rows


def _one(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    return _rows(connection, sql)[0]


def _counts(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, int]:
    rows = connection.execute(f"{sql} ORDER BY 2 DESC, 1").fetchall()
    return {str(name or "-"): int(count) for name, count in rows}


def _strategies(connection: duckdb.DuckDBPyConnection) -> dict[str, StrategyLine]:
    """Return the orders of each strategy, by name, and under "" of all of them."""
    orders = _rows(
        connection,
        """
        SELECT CASE GROUPING(strategy) WHEN 1 THEN '' ELSE coalesce(strategy, '-') END AS who, count(*) AS asked,
               count(*) FILTER (state = 'REFUSED') AS refused, count(*) FILTER (state <> 'REFUSED') AS sent,
               count(*) FILTER (state = 'REJECTED') AS rejected, count(*) FILTER (state = 'CANCELLED') AS cancelled,
               count(*) FILTER (state = 'EXPIRED') AS expired, count(*) FILTER (filled_lots > 0) AS touched,
               coalesce(sum(qty_lots) FILTER (state <> 'REFUSED'), 0)::BIGINT AS sent_lots,
               coalesce(sum(filled_lots), 0)::BIGINT AS filled_lots
        FROM orders_latest GROUP BY GROUPING SETS ((strategy), ()) ORDER BY who
        """,
    )
    fills = {
        row.pop("who"): row
        for row in _rows(
            connection,
            """
            SELECT CASE GROUPING(strategy) WHEN 1 THEN '' ELSE coalesce(strategy, '-') END AS who,
                   count(*) AS fills, coalesce(sum(mwh), 0) AS mwh,
                   sum(slippage_decision * mwh) AS decision_cost, sum(slippage_arrival * mwh) AS arrival_cost,
                   sum(mwh) FILTER (slippage_decision IS NOT NULL) AS decision_mwh,
                   sum(mwh) FILTER (slippage_arrival IS NOT NULL) AS arrival_mwh,
                   sum(slippage_decision_ticks * mwh) AS decision_ticks,
                   sum(slippage_arrival_ticks * mwh) AS arrival_ticks
            FROM fills GROUP BY GROUPING SETS ((strategy), ())
            """,
        )
    }
    lines = {"": StrategyLine("", OrderCounts(), Slippage(), Slippage())}
    for row in orders:
        who = row.pop("who")
        filled = fills.get(who, {})
        counts = OrderCounts(**row, fills=filled.get("fills", 0), filled_mwh=filled.get("mwh", 0.0))
        lines[who] = StrategyLine(who, counts, _slippage(filled, "decision"), _slippage(filled, "arrival"))
    return lines


def _slippage(row: dict[str, Any], mid: str) -> Slippage:
    mwh = row.get(f"{mid}_mwh")
    if not mwh:
        return Slippage()
    return Slippage(row[f"{mid}_ticks"] / mwh, row[f"{mid}_cost"] / mwh, row[f"{mid}_cost"])


# Trades from outside may be nobody's: then the book stands for who holds them. Where there are several zones a product
# says which, as "TTF M".
_WHO = "coalesce(strategy, 'book ' || book, '-')"
_PRODUCT = """coalesce(CASE WHEN (SELECT count(DISTINCT zone) FROM listings) > 1 THEN zone || ' ' END, '') || product"""
# A strategy's own totals (listing 0) where it was told of any; else what its listings add up to.
_OWN_TOTALS = "(listing_id = 0) = (strategy IN (SELECT strategy FROM {table} WHERE listing_id = 0))"


def _pnl(connection: duckdb.DuckDBPyConnection) -> list[PnlLine]:
    """Return each strategy's total per currency, then its products."""
    rows = _rows(
        connection,
        f"""
        WITH p AS (SELECT {_WHO} AS strategy, coalesce({_PRODUCT}, '') AS product,
                          coalesce(currency, '') AS currency, listing_id, realised, unrealised, fees, total
                   FROM pnl_latest)
        SELECT strategy, '' AS product, currency, sum(realised) AS realised, sum(unrealised) AS unrealised,
               sum(fees) AS fees, sum(total) AS total
        FROM p WHERE {_OWN_TOTALS.format(table="p")} GROUP BY ALL
        UNION ALL
        SELECT strategy, product, currency, sum(realised), sum(unrealised), sum(fees), sum(total) FROM p
        WHERE listing_id <> 0 AND product <> '' GROUP BY ALL
        UNION ALL
        SELECT {_WHO}, 'imbalance', coalesce(currency, ''), realised_micro / 1e6, unrealised_micro / 1e6,
               fees_micro / 1e6, (realised_micro + unrealised_micro - fees_micro) / 1e6
        FROM pnl_beyond_marks
        ORDER BY strategy, product = '' DESC, product, currency
        """,
    )
    return [PnlLine(**row) for row in rows]


def _attribution(connection: duckdb.DuckDBPyConnection) -> list[AttributionLine]:
    rows = _rows(
        connection,
        f"""
        WITH a AS (SELECT * REPLACE ({_WHO} AS strategy, coalesce(currency, '') AS currency)
                   FROM pnl_attribution_latest)
        SELECT strategy, currency, sum(market) AS market, sum(delay) AS delay, sum(execution) AS execution,
               sum(fees) AS fees, sum(unpriced_fills)::BIGINT AS unpriced_fills
        FROM a WHERE {_OWN_TOTALS.format(table="a")} GROUP BY ALL ORDER BY ALL
        """,
    )
    return [AttributionLine(**row) for row in rows]


def _cash(connection: duckdb.DuckDBPyConnection) -> list[CashLine]:
    rows = _rows(
        connection,
        """
        SELECT f.value_day, coalesce(u.name, '') AS currency, lower(f.kind) AS kind, sum(f.amount_micro) / 1e6 AS amount
        FROM cash_flows f LEFT JOIN names u ON u.kind = 'CURRENCY' AND u.id = f.currency_id GROUP BY ALL ORDER BY ALL
        """,
    )
    lines: dict[tuple[int, str], dict[str, float]] = {}
    for row in rows:
        lines.setdefault((row["value_day"], row["currency"]), {})[row["kind"]] = float(row["amount"])
    return [
        CashLine(date.fromordinal(day).isoformat() if day else "", currency, kinds, sum(kinds.values()))
        for (day, currency), kinds in lines.items()
    ]


def _positions(connection: duckdb.DuckDBPyConnection) -> list[PositionLine]:
    rows = _rows(
        connection,
        f"""
        SELECT {_WHO} AS strategy, coalesce({_PRODUCT}, '') AS product,
               count(*) FILTER (net_mw <> 0) AS listings, sum(net_mwh) AS net_mwh, sum(abs(net_mwh)) AS gross_mwh,
               max(abs(net_mw)) FILTER (coalesce(qty_unit, 'MW') = 'MW') AS largest_mw
        FROM positions_latest GROUP BY 1, 2 ORDER BY 1, 2
        """,
    )
    return [PositionLine(**row) for row in rows]


def _prices(connection: duckdb.DuckDBPyConnection) -> Prices:
    traded = _one(
        connection,
        """
        WITH t AS (SELECT price, mwh FROM prices WHERE source = 'trade')
        SELECT count(*) AS trades, coalesce(sum(mwh), 0) AS traded_mwh, min(price) AS min, max(price) AS max,
               sum(price * mwh) / sum(mwh) AS average,
               coalesce(sum(mwh) FILTER (price < 0), 0) / sum(mwh) AS negative_share FROM t
        """,
    )
    seen = _rows(
        connection,
        """
        SELECT name AS index, min(price) AS index_min, max(price) AS index_max,
               avg(CASE WHEN price < 0 THEN 1.0 ELSE 0.0 END) AS index_negative_share
        FROM prices WHERE source = 'observation' AND name IS NOT NULL
        GROUP BY name ORDER BY count(*) DESC, name LIMIT 1
        """,
    )
    return Prices(**traded, **(seen[0] if seen else {}))
