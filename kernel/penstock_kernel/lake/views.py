"""The views for people, over the tables of a run: names, listings, orders, fills, refusals, prices, P&L.

`VIEWS` says of each what a row is. They are plain SQL over one table per record type, so the same definitions stand in
``run.duckdb`` and, while a run is live, over its Parquet partitions. Prices are in currency per MWh, quantities in MW,
``at_utc`` and ``delivery_start_utc`` are times in UTC. ``delivery_start`` is the zone's local time without its offset:
two hours of a day in October share it, so group by ``delivery_start_utc`` or ``contract``.
"""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise
from typing import Final

import duckdb
import pyarrow as pa

from penstock_sdk.energy import local_to_ns, ns_to_local
from penstock_sdk.energy.units import MWH_PER_UNIT
from penstock_sdk.explained import REASON_UNITS

__all__ = ["VIEWS", "add_delivery_days", "add_delivery_times", "add_views", "insert"]

_NAME = "(SELECT name FROM names WHERE kind = '{kind}' AND id = {id})"
# Whole seconds, so the same type as delivery_start: DuckDB's plain TIMESTAMP.
_START_UTC = "make_timestamp({}.delivery_start_ns // 1000) AS delivery_start_utc"
_THERM_MWH = MWH_PER_UNIT["therm"]
# What one lot is paid by: MWh, therms, tonnes; and the MWh that it is, NULL for what is no energy.
_MWH = f"""CASE split_part(coalesce(c.price_unit, '/MWh'), '/', 2) {
    " ".join(f"WHEN '{unit}' THEN {float(mwh)!r}" for unit, mwh in MWH_PER_UNIT.items())
} END"""
_HOURS = """coalesce(list_sum([part[2] - part[1] FOR part IN from_json(nullif(c.spans, '[]'), '[["BIGINT"]]')]),
                        c.delivery_end_ns - c.delivery_start_ns) / 3.6e12"""
_AMOUNT_MWH = f"""CASE unit WHEN 'kW' THEN sum(amount) / 1e3 * any_value(hours)
               WHEN 'therm/d' THEN sum(amount) * {float(_THERM_MWH)!r}
               WHEN 'mMMBtu/d' THEN sum(amount) * {float(_THERM_MWH / 100)!r} WHEN 'kWh/d' THEN sum(amount) / 1e3 END"""
_UNIT = f"""CASE WHEN r.met IS NOT NULL OR r.bound IS NOT NULL THEN CASE r.reason {
    " ".join(f"WHEN '{reason.name}' THEN '{unit}'" for reason, unit in REASON_UNITS.items())
} ELSE 'count' END END AS unit"""

VIEWS: Final[dict[str, tuple[str, str]]] = {
    "names": (
        "every interned id: kind, id, name",
        "SELECT DISTINCT ON (kind, id) kind, id, name FROM interneds ORDER BY kind, id, seq",
    ),
    "listings": (
        "a contract at a venue, with its grid and its local delivery time",
        f"""
        SELECT l.listing_id, l.name AS listing, c.contract_id, c.name AS contract, c.product, z.code AS zone,
               v.name AS venue, u.name AS currency, d.delivery_start, d.delivery_end, c.delivery_start_ns,
               c.delivery_end_ns, l.opens_ns, l.gate_closure_ns, l.tick_micro, l.lot_kw, l.price_min_ticks,
               l.price_max_ticks, l.cash_micro_per_lot_tick, l.interval_start_ns, l.interval_ns, l.interval_count,
               z.timezone, {_START_UTC.format("c")}, c.commodity, c.settlement, c.payment, c.price_unit, c.qty_unit,
               coalesce(l.reference_only, false) AS reference_only, {_HOURS} AS delivered_hours,
               l.cash_micro_per_lot_tick / l.tick_micro AS units_per_lot, units_per_lot * {_MWH} AS mwh_per_lot
        FROM (SELECT DISTINCT ON (listing_id) * FROM listing_definitions ORDER BY listing_id, seq DESC) l
        LEFT JOIN (SELECT DISTINCT ON (contract_id) * FROM contract_definitions ORDER BY contract_id, seq DESC) c
               USING (contract_id)
        LEFT JOIN (SELECT DISTINCT ON (zone_id) * FROM zone_definitions ORDER BY zone_id, seq DESC) z USING (zone_id)
        LEFT JOIN delivery_times d USING (contract_id)
        LEFT JOIN names v ON v.kind = 'PLUGIN' AND v.id = l.venue_id
        LEFT JOIN names u ON u.kind = 'CURRENCY' AND u.id = c.currency_id
        """,
    ),
    "delivery_amounts": (
        "what one lot of a listing adds to each interval of the position grid: in the grid's own unit, in MWh and MW",
        """
        WITH part AS (SELECT l.listing_id, z.code AS zone, coalesce(z.grid_unit, 'kW') AS unit, l.interval_ns,
                             unnest(coalesce(from_json(nullif(l.segments, '[]'), '[["BIGINT"]]'),
                                    [[l.interval_start_ns, l.interval_count, l.lot_kw]])) AS segment
                      FROM (SELECT DISTINCT ON (listing_id) * FROM listing_definitions ORDER BY listing_id, seq DESC) l
                      JOIN (SELECT DISTINCT ON (contract_id) contract_id, zone_id FROM contract_definitions
                            ORDER BY contract_id, seq DESC) c USING (contract_id)
                      JOIN (SELECT DISTINCT ON (zone_id) * FROM zone_definitions ORDER BY zone_id, seq DESC) z
                           USING (zone_id)
                      WHERE coalesce(z.interval_minutes, 15) < 1440),
        step AS (SELECT listing_id, zone, unit, segment[1] + i * interval_ns AS start_ns,
                        segment[1] + (i + 1) * interval_ns AS end_ns, segment[3] AS amount
                 FROM part, unnest(range(segment[2])) AS t(i)
                 UNION ALL SELECT * FROM delivery_days)
        SELECT listing_id, zone, start_ns, end_ns, amount, unit, (end_ns - start_ns) / 3.6e12 AS hours,
               CASE unit WHEN 'kW' THEN amount / 1e3 * hours """
        f"""WHEN 'therm/d' THEN amount * {float(_THERM_MWH)!r}
               WHEN 'mMMBtu/d' THEN amount * {float(_THERM_MWH / 100)!r} WHEN 'kWh/d' THEN amount / 1e3 END AS mwh,
               mwh / hours AS mw
        FROM step
        """,
    ),
    "orders_latest": (
        "one row per order of ours: what was asked, where it stands, what was filled at which average price",
        f"""
        WITH sent AS (SELECT DISTINCT ON (order_id) * FROM orders WHERE action = 'NEW' ORDER BY order_id, seq),
        stood AS (SELECT order_id, arg_max(state, seq) AS state, arg_max(reason, seq) AS reason, max(seq) AS seq
                  FROM orders GROUP BY order_id),
        told AS (SELECT order_id, sum(last_lots) FILTER (kind = 'FILL') AS filled_lots,
                        sum(last_lots * last_ticks) FILTER (kind = 'FILL') AS paid,
                        arg_max(CASE kind WHEN 'ACCEPTED' THEN 'WORKING' WHEN 'AMENDED' THEN 'WORKING'
                                WHEN 'FILL' THEN CASE WHEN leaves_lots > 0 THEN 'PARTLY_FILLED' ELSE 'FILLED' END
                                ELSE kind END, seq) FILTER (kind <> 'CANCEL_REJECTED') AS state,
                        arg_max(reason, seq) FILTER (kind <> 'CANCEL_REJECTED') AS reason,
                        max(seq) FILTER (kind <> 'CANCEL_REJECTED') AS seq, max(at_ns) AS at_ns
                 FROM execution_reports WHERE order_id <> 0 GROUP BY order_id)
        SELECT o.order_id, make_timestamp_ns(o.at_ns) AS at_utc, s.name AS strategy, l.listing, l.product,
               l.delivery_start, o.side, o.kind, CASE WHEN t.seq > n.seq THEN t.state ELSE n.state END AS state,
               CASE WHEN t.seq > n.seq THEN t.reason ELSE n.reason END AS reason,
               o.price_ticks * l.tick_micro / 1e6 AS price, o.qty_lots * l.lot_kw / 1e3 AS qty_mw,
               coalesce(t.filled_lots, 0) * l.lot_kw / 1e3 AS filled_mw,
               t.paid / t.filled_lots * l.tick_micro / 1e6 AS average_price, o.qty_lots,
               coalesce(t.filled_lots, 0)::BIGINT AS filled_lots, o.price_ticks, o.strategy_id, o.listing_id, o.seq,
               o.at_ns, t.at_ns AS last_report_ns, l.contract, {_START_UTC.format("l")}
        FROM sent o JOIN stood n USING (order_id) LEFT JOIN told t USING (order_id)
        LEFT JOIN listings l USING (listing_id)
        LEFT JOIN names s ON s.kind = 'PLUGIN' AND s.id = o.strategy_id
        """,
    ),
    "fills": (
        "one row per fill of ours; slippage against the mid at decision and at arrival, positive = cost",
        f"""
        WITH sent AS (SELECT DISTINCT ON (order_id) order_id, decision_half_ticks, arrival_half_ticks, at_ns AS sent_ns,
                             kind, price_ticks
                      FROM orders WHERE action = 'NEW' AND state <> 'PENDING_CHECK' ORDER BY order_id, seq),
        f AS (SELECT r.*, o.sent_ns, o.kind AS order_kind, l.*,
                     CASE r.side WHEN 'BUY' THEN 1 ELSE -1 END AS sign,
                     sign * (r.last_ticks - o.decision_half_ticks / 2) AS slippage_decision_ticks,
                     sign * (r.last_ticks - o.arrival_half_ticks / 2) AS slippage_arrival_ticks
              FROM execution_reports r LEFT JOIN sent o USING (order_id) LEFT JOIN listings l USING (listing_id)
              WHERE r.kind = 'FILL')
        SELECT f.seq, make_timestamp_ns(at_ns) AS at_utc, s.name AS strategy, listing, product, delivery_start, side,
               last_ticks * tick_micro / 1e6 AS price, last_lots * lot_kw / 1e3 AS qty_mw,
               slippage_decision_ticks, slippage_arrival_ticks,
               slippage_decision_ticks * tick_micro / 1e6 AS slippage_decision,
               slippage_arrival_ticks * tick_micro / 1e6 AS slippage_arrival,
               liquidity, order_kind, currency, venue, order_id, trade_id, last_ticks, last_lots, strategy_id,
               listing_id, at_ns, sent_ns, contract, {_START_UTC.format("f")}, last_lots * mwh_per_lot AS mwh, zone
        FROM f LEFT JOIN names s ON s.kind = 'PLUGIN' AND s.id = f.strategy_id
        """,
    ),
    "refusals": (
        "one row per order that a check of ours refused or a venue rejected; met and limit are in unit",
        f"""
        WITH verdict AS (SELECT DISTINCT ON (order_id) order_id, check_id, met, "limit" AS bound
                         FROM check_verdicts WHERE result = 'REFUSED' ORDER BY order_id, seq),
        refused AS (SELECT o.seq, o.at_ns, 'check' AS stage, o.reason, o.order_id, o.strategy_id, o.listing_id, o.side,
                           o.price_ticks, o.qty_lots, v.check_id AS by_id, v.met, v.bound
                    FROM orders o LEFT JOIN verdict v USING (order_id) WHERE o.state = 'REFUSED'
                    UNION ALL
                    SELECT r.seq, r.at_ns, 'venue', r.reason, r.order_id, r.strategy_id, r.listing_id, r.side,
                           NULL, NULL, r.producer, NULL, NULL
                    FROM execution_reports r WHERE r.kind = 'REJECTED')
        SELECT r.seq, make_timestamp_ns(r.at_ns) AS at_utc, r.stage, r.reason, b.name AS refused_by, s.name AS strategy,
               l.listing, r.side, r.price_ticks * l.tick_micro / 1e6 AS price, r.qty_lots * l.lot_kw / 1e3 AS qty_mw,
               r.met, r.bound AS "limit", r.order_id, r.strategy_id, r.listing_id, r.at_ns,
               {_UNIT}, l.contract, {_START_UTC.format("l")}
        FROM refused r LEFT JOIN listings l USING (listing_id)
        LEFT JOIN names s ON s.kind = 'PLUGIN' AND s.id = r.strategy_id
        LEFT JOIN names b ON b.kind = 'PLUGIN' AND b.id = r.by_id
        """,
    ),
    "pnl_latest": (
        "the last P&L of each strategy in each listing (listing_id 0: the strategy's own total); total is after fees",
        f"""
        SELECT s.name AS strategy, l.listing, l.product, l.delivery_start, coalesce(l.currency, u.name) AS currency,
               p.realised_micro / 1e6 AS realised, p.unrealised_micro / 1e6 AS unrealised, p.fees_micro / 1e6 AS fees,
               (p.realised_micro + p.unrealised_micro - p.fees_micro) / 1e6 AS total, p.mark_ticks * l.tick_micro / 1e6
               AS mark, p.strategy_id, p.book_id, p.listing_id, p.at_ns, p.seq, l.contract, {_START_UTC.format("l")},
               p.mark_age_ns / 1e9 AS mark_age_s, b.name AS book, l.zone, p.realised_micro, p.unrealised_micro,
               p.fees_micro
        FROM (SELECT DISTINCT ON (strategy_id, book_id, listing_id, currency_id) * FROM pnls WHERE flags & 1 = 0
              ORDER BY strategy_id, book_id, listing_id, currency_id, seq DESC) p
        LEFT JOIN listings l USING (listing_id)
        LEFT JOIN names s ON s.kind = 'PLUGIN' AND s.id = p.strategy_id
        LEFT JOIN names b ON b.kind = 'BOOK' AND b.id = p.book_id
        LEFT JOIN names u ON u.kind = 'CURRENCY' AND u.id = p.currency_id
        """,
    ),
    "pnl_beyond_marks": (
        "what an account made beyond the last rows of its listings: imbalance paid, less the marks that it replaces",
        """
        SELECT strategy, book, currency, strategy_id, book_id,
               (sum(realised_micro) FILTER (listing_id = 0) - coalesce(sum(realised_micro) FILTER (listing_id <> 0), 0)
               )::BIGINT AS realised_micro,
               (sum(unrealised_micro) FILTER (listing_id = 0)
                - coalesce(sum(unrealised_micro) FILTER (listing_id <> 0), 0))::BIGINT AS unrealised_micro,
               (sum(fees_micro) FILTER (listing_id = 0) - coalesce(sum(fees_micro) FILTER (listing_id <> 0), 0)
               )::BIGINT AS fees_micro
        FROM pnl_latest GROUP BY strategy, book, currency, strategy_id, book_id
        HAVING count(*) FILTER (listing_id = 0) > 0 AND (realised_micro <> 0 OR unrealised_micro <> 0
               OR fees_micro <> 0)
        """,
    ),
    "pnl_converted_latest": (
        "everything that was made, as one figure in one currency, where exchange rates were there and fresh",
        """
        SELECT u.name AS currency, p.realised_micro / 1e6 AS realised, p.unrealised_micro / 1e6 AS unrealised,
               p.fees_micro / 1e6 AS fees, (p.realised_micro + p.unrealised_micro - p.fees_micro) / 1e6 AS total,
               p.at_ns, p.seq
        FROM (SELECT DISTINCT ON (currency_id) * FROM pnls WHERE flags & 1 = 1 ORDER BY currency_id, seq DESC) p
        LEFT JOIN names u ON u.kind = 'CURRENCY' AND u.id = p.currency_id
        """,
    ),
    "pnl_attribution_latest": (
        "where each strategy's profit in each listing comes from; market + delay + execution - fees is its total",
        f"""
        SELECT s.name AS strategy, l.listing, l.product, l.delivery_start, coalesce(l.currency, u.name) AS currency,
               p.market_micro / 1e6 AS market, p.delay_micro / 1e6 AS delay, p.execution_micro / 1e6 AS execution,
               p.fees_micro / 1e6 AS fees,
               (p.market_micro + p.delay_micro + p.execution_micro - p.fees_micro) / 1e6 AS total, p.unpriced_fills,
               p.strategy_id, p.book_id, p.listing_id, p.at_ns, p.seq, l.contract, {_START_UTC.format("l")},
               b.name AS book, l.zone
        FROM (SELECT DISTINCT ON (strategy_id, book_id, listing_id, currency_id) * FROM pnl_attributions
              ORDER BY strategy_id, book_id, listing_id, currency_id, seq DESC) p
        LEFT JOIN listings l USING (listing_id)
        LEFT JOIN names s ON s.kind = 'PLUGIN' AND s.id = p.strategy_id
        LEFT JOIN names b ON b.kind = 'BOOK' AND b.id = p.book_id
        LEFT JOIN names u ON u.kind = 'CURRENCY' AND u.id = p.currency_id
        """,
    ),
    "positions_latest": (
        "the last position of each strategy in each listing",
        f"""
        SELECT s.name AS strategy, l.listing, l.product, l.delivery_start, p.net_lots * l.lot_kw / 1e3 AS net_mw,
               p.bought_lots * l.lot_kw / 1e3 AS bought_mw, p.sold_lots * l.lot_kw / 1e3 AS sold_mw,
               p.cash_micro / 1e6 AS cash, p.strategy_id, p.book_id, p.listing_id, p.net_lots, p.at_ns, p.seq,
               l.contract, {_START_UTC.format("l")}, p.net_lots * l.mwh_per_lot AS net_mwh, l.currency, l.qty_unit,
               l.settlement, b.name AS book, l.zone
        FROM (SELECT DISTINCT ON (strategy_id, book_id, listing_id) * FROM positions
              ORDER BY strategy_id, book_id, listing_id, seq DESC) p
        LEFT JOIN listings l USING (listing_id)
        LEFT JOIN names s ON s.kind = 'PLUGIN' AND s.id = p.strategy_id
        LEFT JOIN names b ON b.kind = 'BOOK' AND b.id = p.book_id
        """,
    ),
    "external_trades_latest": (
        "trades of ours that no order here made: from a screen, a broker, a bilateral deal",
        f"""
        SELECT t.seq, make_timestamp_ns(t.at_ns) AS at_utc, make_timestamp_ns(t.traded_ns) AS traded_utc, t.source,
               s.name AS strategy, b.name AS book, c.name AS counterparty, l.listing, l.product, l.delivery_start,
               t.side, t.price_ticks * l.tick_micro / 1e6 AS price, t.qty_lots * l.lot_kw / 1e3 AS qty, l.qty_unit,
               l.price_unit, t.trade_id, t.listing_id, t.at_ns, l.contract, {_START_UTC.format("l")}
        FROM external_trades t LEFT JOIN listings l USING (listing_id)
        LEFT JOIN names s ON s.kind = 'PLUGIN' AND s.id = t.strategy_id
        LEFT JOIN names b ON b.kind = 'BOOK' AND b.id = t.book_id
        LEFT JOIN names c ON c.kind = 'COUNTERPARTY' AND c.id = t.counterparty_id
        """,
    ),
    "positions_by_interval": (
        "what each book and strategy holds in each interval of the position grid, assets among them; long is positive",
        f"""
        WITH told AS (SELECT s.zone_id, s.book_id, s.source_id, s.start_ns + i * step AS start_ns,
                             least(s.start_ns + (i + 1) * step, s.end_ns) AS end_ns, arg_max(s.amount, s.seq) AS amount
                      FROM (SELECT d.*, CASE WHEN z.interval_minutes < 1440 THEN z.interval_minutes * 60000000000
                                             ELSE d.end_ns - d.start_ns END AS step
                            FROM delivery_schedules d
                            JOIN (SELECT DISTINCT ON (zone_id) * FROM zone_definitions ORDER BY zone_id, seq DESC) z
                                 USING (zone_id)) s,
                           unnest(range((s.end_ns - s.start_ns + s.step - 1) // s.step)) AS t(i)
                      GROUP BY ALL),
        held AS (SELECT strategy, book, a.zone, coalesce(settlement, 'physical') AS settlement, a.start_ns, a.end_ns,
                        a.unit, a.hours, p.net_lots * a.amount AS amount
                 FROM positions_latest p JOIN delivery_amounts a USING (listing_id)
                 UNION ALL
                 SELECT n.name, b.name, z.code, 'physical', t.start_ns, t.end_ns, coalesce(z.grid_unit, 'kW'),
                        (t.end_ns - t.start_ns) / 3.6e12, t.amount
                 FROM told t JOIN (SELECT DISTINCT ON (zone_id) * FROM zone_definitions ORDER BY zone_id, seq DESC) z
                      USING (zone_id)
                 LEFT JOIN names b ON b.kind = 'BOOK' AND b.id = t.book_id
                 LEFT JOIN names n ON n.kind = 'SOURCE' AND n.id = t.source_id)
        SELECT strategy, book, zone, settlement, start_ns, end_ns, make_timestamp(start_ns // 1000) AS start_utc, unit,
               sum(amount)::BIGINT AS amount, {_AMOUNT_MWH} AS mwh, mwh / any_value(hours) AS mw
        FROM held GROUP BY strategy, book, zone, settlement, start_ns, end_ns, unit
        """,
    ),
    "cash_flows_latest": (
        "money due, a row per cash flow with names and value day; received is positive, a later version a difference",
        """
        SELECT f.seq, make_timestamp_ns(f.at_ns) AS at_utc, DATE '0001-01-01' + (f.value_day::INTEGER - 1) AS value_day,
               lower(f.kind) AS kind, u.name AS currency, f.amount_micro / 1e6 AS amount, f.energy_wh / 1e6 AS mwh,
               coalesce(p.name, 'clearing house') AS counterparty, b.name AS book, s.name AS strategy, l.listing,
               z.code AS zone, f.version, make_timestamp_ns(f.traded_ns) AS traded_utc,
               make_timestamp_ns(f.delivery_start_ns) AS delivery_start_utc,
               make_timestamp_ns(f.delivery_end_ns) AS delivery_end_utc, f.amount_micro, f.energy_wh, f.book_id,
               f.strategy_id, f.listing_id, f.zone_id, f.counterparty_id, f.currency_id, f.delivery_start_ns,
               f.delivery_end_ns, f.traded_ns, f.value_day AS value_day_number, z.timezone, f.at_ns
        FROM cash_flows f LEFT JOIN listings l USING (listing_id)
        LEFT JOIN (SELECT DISTINCT ON (zone_id) * FROM zone_definitions ORDER BY zone_id, seq DESC) z
               ON z.zone_id = f.zone_id
        LEFT JOIN names s ON s.kind = 'PLUGIN' AND s.id = f.strategy_id
        LEFT JOIN names b ON b.kind = 'BOOK' AND b.id = f.book_id
        LEFT JOIN names u ON u.kind = 'CURRENCY' AND u.id = f.currency_id
        LEFT JOIN names p ON p.kind = 'COUNTERPARTY' AND p.id = f.counterparty_id
        """,
    ),
    "cash_due": (
        "what is paid on each value day by or to whom, one row per currency; currencies are never netted",
        """
        SELECT value_day, currency, counterparty, sum(amount_micro)::BIGINT AS amount_micro,
               sum(amount_micro) / 1e6 AS amount, count(*) AS flows
        FROM cash_flows_latest GROUP BY ALL ORDER BY ALL
        """,
    ),
    "invoice_lines_latest": (
        "the lines of each invoice as it was last drawn up; amount_minor is in the currency's minor unit",
        """
        SELECT * EXCLUDE (newest) FROM (
            SELECT i.*, max(version) OVER (PARTITION BY invoice) AS newest FROM invoice_lines i)
        WHERE version = newest ORDER BY invoice, line
        """,
    ),
    "prices": (
        "every price seen: trades of the market by listing, and observed price series",
        f"""
        SELECT t.seq, make_timestamp_ns(t.at_ns) AS at_utc, 'trade' AS source, l.listing AS name, l.product,
               l.delivery_start, t.price_ticks * l.tick_micro / 1e6 AS price, t.qty_lots * l.lot_kw / 1e3 AS qty_mw,
               t.at_ns, t.listing_id, l.contract, {_START_UTC.format("l")}, t.qty_lots * l.mwh_per_lot AS mwh
        FROM trades t LEFT JOIN listings l USING (listing_id)
        UNION ALL
        SELECT o.seq, make_timestamp_ns(o.at_ns), 'observation', s.name, NULL, NULL, o.value, NULL, o.at_ns, NULL,
               NULL, NULL, NULL
        FROM observations o
        LEFT JOIN names s ON s.kind = 'SERIES' AND s.id = o.series_id
        JOIN names u ON u.kind = 'UNIT' AND u.id = o.unit_id AND u.name LIKE '%/MWh'
        """,
    ),
}


def insert(connection: duckdb.DuckDBPyConnection, sql: str, rows: pa.Table | pa.RecordBatch) -> None:
    """Run *sql*, which takes *rows* from ``incoming``: a locked connection finds no Python variables by name."""
    connection.register("incoming", rows)
    connection.execute(sql)
    connection.unregister("incoming")


def add_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the views in a database that has a table per record type, and the table of local delivery times."""
    add_delivery_times(connection)
    for name, (_, select) in VIEWS.items():
        connection.execute(f'CREATE VIEW "{name}" AS {select}')


def add_delivery_times(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of local times from the definitions there are, in place of those that stand.

    ``delivery_times`` has each contract's local start and end, ``delivery_days`` the days of what is delivered by the
    day: of 23, 24 or 25 hours. Local times come from the pinned tzdata, not from the machine's zone files.
    """
    _add_local_times(connection)
    add_delivery_days(connection)


def _add_local_times(connection: duckdb.DuckDBPyConnection) -> None:
    rows = connection.execute(
        "SELECT DISTINCT c.contract_id, c.delivery_start_ns, c.delivery_end_ns, z.timezone "
        "FROM contract_definitions c JOIN zone_definitions z USING (zone_id) ORDER BY c.contract_id"
    ).fetchall()
    times = pa.table(
        {
            "contract_id": pa.array([row[0] for row in rows], pa.int64()),
            "delivery_start": pa.array(
                [ns_to_local(r[1], r[3]).replace(tzinfo=None) for r in rows], pa.timestamp("us")
            ),
            "delivery_end": pa.array([ns_to_local(r[2], r[3]).replace(tzinfo=None) for r in rows], pa.timestamp("us")),
        }
    )
    assert times.num_rows == len(rows)
    insert(connection, "CREATE OR REPLACE TABLE delivery_times AS SELECT * FROM incoming", times)


def add_delivery_days(connection: duckdb.DuckDBPyConnection, kind: str = "TABLE") -> None:
    """Make the table of days of delivery alone; as a TEMP TABLE over a file that is read only."""
    rows = connection.execute(
        "SELECT l.listing_id, z.code, z.grid_unit, z.timezone, z.day_starts_hour, l.interval_start_ns, "
        "l.interval_count, l.lot_kw, l.segments FROM listing_definitions l "
        "JOIN contract_definitions c USING (contract_id) JOIN zone_definitions z USING (zone_id) "
        "WHERE z.interval_minutes = 1440 GROUP BY ALL ORDER BY l.listing_id"
    ).fetchall()
    found: list[tuple[int, str, str, int, int, int]] = []
    for listing_id, zone, unit, timezone, hour, start_ns, count, lot, text in rows:
        for first_ns, days, amount in json.loads(text or "[]") or [(start_ns, count, lot)]:
            first = ns_to_local(first_ns, timezone).replace(tzinfo=None, hour=hour, minute=0, second=0)
            edges = [local_to_ns(first + timedelta(days=day), timezone, passing="A") for day in range(days + 1)]
            found += [(listing_id, zone, unit, *edge, amount) for edge in pairwise(edges)]
    integer, text = pa.int64(), pa.string()
    schema = pa.schema(
        [("listing_id", integer), ("zone", text), ("unit", text), ("start_ns", integer), ("end_ns", integer),
         ("amount", integer)]
    )  # fmt: skip
    days = pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in found], schema)
    insert(connection, f"CREATE OR REPLACE {kind} delivery_days AS SELECT * FROM incoming", days)
