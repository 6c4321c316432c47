"""The questions that `penstock.run_data.RunData` asks: SQL over a run's views, and which columns are times.

A question about events has ``seq`` and ``at_ns``, and ``strategy`` and ``contract`` where it can be narrowed by them.
Columns ``*_ns`` leave as times: those of a delivery in local time, the others in UTC.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["QUESTIONS", "Question"]

_CONTRACT = "l.contract, l.product, l.zone, l.venue"
_DELIVERY = "l.delivery_start_ns, l.delivery_end_ns"
_HOURS = "l.delivered_hours"
_MW = "l.lot_kw / 1e3"
_PRICE = "l.tick_micro / 1e6"
_PEOPLES = f"""CASE r.unit WHEN 'lots' THEN {_MW} WHEN 'ticks' THEN {_PRICE} WHEN 'micro' THEN 1e-6
                  WHEN 'ns' THEN 1e-9 ELSE CASE r.reason WHEN 'MESSAGE_RATE' THEN 1 END END"""
_UNIT = """CASE r.unit WHEN 'lots' THEN 'MW' WHEN 'ticks' THEN l.currency || '/MWh' WHEN 'micro' THEN l.currency
               WHEN 'ns' THEN 's' ELSE CASE r.reason WHEN 'MESSAGE_RATE' THEN 'orders at once' END END AS unit"""
_STRATEGY = "LEFT JOIN names s ON s.kind = 'PLUGIN' AND s.id = {}.strategy_id"
_BOOK = "LEFT JOIN names b ON b.kind = 'BOOK' AND b.id = {}.book_id"
_LISTING = "LEFT JOIN listings l USING (listing_id)"


class Question(NamedTuple):
    """One question: its SQL, the columns that it may be narrowed by, and its order.

    ``{latest}`` in the SQL, where it is, takes the rows that were last of their strategy and listing, or all; what is
    to be looked at before the last is chosen stands there too.
    """

    sql: str
    narrows: tuple[str, ...] = ("strategy", "contract")
    order: str = "seq"


QUESTIONS: Final[dict[str, Question]] = {
    "listings": Question(
        f"""
        SELECT l.contract, l.listing, l.product, l.zone, l.timezone, l.venue, l.currency, {_DELIVERY},
               {_HOURS} AS duration_h, l.opens_ns, l.gate_closure_ns, {_PRICE} AS tick_per_mwh, {_MW} AS lot_mw,
               l.price_min_ticks * {_PRICE} AS price_min_per_mwh, l.price_max_ticks * {_PRICE} AS price_max_per_mwh,
               l.listing_id
        FROM listings l
        """,
        narrows=("contract",),
        order="delivery_start_ns, duration_h, listing_id",
    ),
    "orders": Question(
        f"""
        SELECT c.seq, o.at_ns, o.strategy, {_CONTRACT}, {_DELIVERY}, o.side, o.kind,
               o.state, o.reason, o.price AS price_per_mwh, o.qty_mw, o.filled_mw,
               o.average_price AS average_price_per_mwh, l.currency, o.last_report_ns, o.order_id
        FROM orders_latest o {_LISTING}
        JOIN (SELECT order_id, max(seq) AS seq
              FROM (SELECT order_id, seq FROM orders UNION ALL SELECT order_id, seq FROM execution_reports)
              GROUP BY order_id) c USING (order_id)
        """,
        order="order_id",
    ),
    "fills": Question(
        f"""
        SELECT f.seq, f.at_ns, f.strategy, {_CONTRACT}, {_DELIVERY}, f.side, f.price AS price_per_mwh, f.qty_mw,
               f.mwh AS energy_mwh, f.slippage_decision AS slippage_decision_per_mwh,
               f.slippage_arrival AS slippage_arrival_per_mwh,
               f.slippage_decision * f.last_lots * l.units_per_lot AS slippage_cost, l.currency, f.liquidity,
               f.order_kind, f.order_id, f.trade_id
        FROM fills f {_LISTING}
        """
    ),
    "refusals": Question(
        f"""
        SELECT r.seq, r.at_ns, r.strategy, {_CONTRACT}, {_DELIVERY}, r.stage, r.refused_by, r.reason, r.met,
               r."limit", r.met * {_PEOPLES} AS met_value, r."limit" * {_PEOPLES} AS limit_value, {_UNIT},
               r.side, r.price AS price_per_mwh, r.qty_mw, l.currency, r.order_id
        FROM refusals r {_LISTING}
        """
    ),
    "positions": Question(
        f"""
        SELECT p.seq, p.at_ns, s.name AS strategy, b.name AS book, {_CONTRACT}, {_DELIVERY},
               p.net_lots * {_MW} AS net_mw, p.net_lots * l.mwh_per_lot AS net_mwh,
               p.bought_lots * {_MW} AS bought_mw, p.sold_lots * {_MW} AS sold_mw,
               p.cash_micro / 1e6 AS cash, l.currency
        FROM positions p {_LISTING} {_STRATEGY.format("p")} {_BOOK.format("p")} {{latest}}
        """
    ),
    "delivery_positions": Question(
        """
        SELECT strategy, zone, start_ns AS delivery_start_ns, end_ns AS delivery_end_ns, sum(mw) AS net_mw,
               sum(mwh) AS net_mwh
        FROM positions_by_interval
        GROUP BY ALL
        """,
        narrows=("strategy",),
        order="strategy, delivery_start_ns, zone",
    ),
    "pnl": Question(
        f"""
        SELECT p.seq, p.at_ns, s.name AS strategy, b.name AS book, {_CONTRACT}, {_DELIVERY},
               p.realised_micro / 1e6 AS realised, p.unrealised_micro / 1e6 AS unrealised, p.fees_micro / 1e6 AS fees,
               (p.realised_micro + p.unrealised_micro - p.fees_micro) / 1e6 AS total,
               p.mark_ticks * {_PRICE} AS mark_per_mwh, coalesce(l.currency, u.name) AS currency
        FROM (SELECT * FROM pnls WHERE flags & 1 = 0) p {_LISTING} {_STRATEGY.format("p")} {_BOOK.format("p")}
        LEFT JOIN names u ON u.kind = 'CURRENCY' AND u.id = p.currency_id {{latest}}
        """
    ),
    "prices": Question(
        f"""
        SELECT t.seq, t.at_ns, 'trade' AS source, l.contract AS name, {_CONTRACT}, {_DELIVERY},
               t.price_ticks * {_PRICE} AS price_per_mwh, t.qty_lots * {_MW} AS qty_mw, l.currency
        FROM trades t {_LISTING}
        UNION ALL
        SELECT o.seq, o.at_ns, 'observation', s.name, NULL, NULL, NULL, NULL, o.valid_from_ns, o.valid_to_ns, o.value,
               NULL, split_part(u.name, '/', 1)
        FROM observations o LEFT JOIN names s ON s.kind = 'SERIES' AND s.id = o.series_id
        JOIN names u ON u.kind = 'UNIT' AND u.id = o.unit_id AND u.name LIKE '%/MWh'
        """,
        narrows=("contract",),
    ),
    "quotes": Question(
        f"""
        SELECT q.seq, q.at_ns, {_CONTRACT}, {_DELIVERY}, q.bid_ticks * {_PRICE} AS bid_per_mwh,
               q.bid_lots * {_MW} AS bid_mw, q.ask_ticks * {_PRICE} AS ask_per_mwh,
               q.ask_lots * {_MW} AS ask_mw, l.currency, q.tradability
        FROM quotes q {_LISTING}
        """,
        narrows=("contract",),
    ),
    "alerts": Question(
        # The empty row gives alerts of 0.1.0 the column that they lack.
        """
        SELECT seq, at_ns, severity, code, subject, met, wanted, way_out, coalesce(cleared, false) AS cleared
        FROM (SELECT * FROM alerts UNION ALL BY NAME SELECT NULL::BOOLEAN AS cleared WHERE false)
        """,
        narrows=(),
    ),
}
"""By the method's name. The docstring of each method names its columns and units; a test holds both together."""
