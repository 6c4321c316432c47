"""What a run came to, in numbers: orders, fills, slippage, P&L, refusals, prices; from its lake and ``run.json``.

Money is in the run's currency, energy in MWh, prices in currency per MWh; slippage is positive when it cost.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import msgspec
from rich.console import Console
from rich.table import Table

from penstock_kernel.lake import connect, tables
from penstock_kernel.runs import LatencyNs, RunInfo, RunPaths, write_atomically

__all__ = [
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


class Slippage(msgspec.Struct, frozen=True):
    """Mean slippage against one mid, each fill weighted by its energy; positive is a cost. None without a mid."""

    ticks: float | None = None
    price: float | None = None
    """In currency per MWh."""
    cost: float | None = None
    """Over all fills, in the currency."""


class OrderCounts(msgspec.Struct, frozen=True):
    """Orders of ours. Refused ones never left; the fill rate is of those that did."""

    asked: int = 0
    refused: int = 0
    sent: int = 0
    rejected: int = 0
    cancelled: int = 0
    expired: int = 0
    touched: int = 0
    """Orders with at least one fill."""
    fills: int = 0
    filled_mwh: float = 0.0

    @property
    def fill_rate(self) -> float:
        """Return the share of sent orders that had a fill, 0 … 1."""
        return self.touched / self.sent if self.sent else 0.0


class StrategyLine(msgspec.Struct, frozen=True):
    """The orders of one strategy."""

    strategy: str
    orders: OrderCounts
    decision: Slippage
    arrival: Slippage


class PnlLine(msgspec.Struct, frozen=True):
    """Profit and loss of a strategy, or of one of its products; ``total`` is after fees."""

    strategy: str
    product: str
    """``QH``, ``H``; empty for the strategy's own total."""
    realised: float
    unrealised: float
    fees: float
    total: float


class PositionLine(msgspec.Struct, frozen=True):
    """What a strategy is left with; MW of listings with opposite signs do not cancel in ``gross_mwh``."""

    strategy: str
    product: str
    listings: int
    net_mwh: float
    gross_mwh: float
    largest_mw: float


class Prices(msgspec.Struct, frozen=True):
    """Prices of the market; None where nothing was traded or observed."""

    trades: int = 0
    traded_mwh: float = 0.0
    min: float | None = None
    max: float | None = None
    average: float | None = None
    """Each trade weighted by its energy."""
    negative_share: float | None = None
    """Share of the traded energy below zero, 0 … 1."""
    index: str = ""
    """The series observed most often."""
    index_min: float | None = None
    index_max: float | None = None
    index_negative_share: float | None = None
    """Share of its observations below zero, 0 … 1."""


class Summary(msgspec.Struct, frozen=True):
    """A run in numbers; also what ``summary.json`` holds."""

    run: RunInfo
    currency: str
    orders: OrderCounts
    decision: Slippage
    arrival: Slippage
    tick_to_order: LatencyNs
    strategies: list[StrategyLine]
    pnl: list[PnlLine]
    """Each strategy's total, then its products."""
    positions: list[PositionLine]
    refusals: dict[str, int]
    """Orders refused or rejected, by reason, most first."""
    prices: Prices
    events: dict[str, int]
    """Events by table, most first."""
    events_per_s: float
    """Per second of wall time."""
    alerts: dict[str, int]
    """Alerts by `severity code`, most first."""
    faults: dict[str, int]
    """Handler faults by plugin."""

    @property
    def pnl_total(self) -> float:
        """Return the total of all strategies, after fees."""
        return sum(line.total for line in self.pnl if not line.product)


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
               count(*) FILTER (state = 'EXPIRED') AS expired, count(*) FILTER (filled_lots > 0) AS touched
        FROM orders_latest GROUP BY GROUPING SETS ((strategy), ()) ORDER BY who
        """,
    )
    fills = {
        row.pop("who"): row
        for row in _rows(
            connection,
            """
            WITH f AS (SELECT f.*, f.qty_mw * (l.delivery_end_ns - l.delivery_start_ns) / 3.6e12 AS mwh
                       FROM fills f LEFT JOIN listings l USING (listing_id))
            SELECT CASE GROUPING(strategy) WHEN 1 THEN '' ELSE coalesce(strategy, '-') END AS who,
                   count(*) AS fills, coalesce(sum(mwh), 0) AS mwh,
                   sum(slippage_decision * mwh) AS decision_cost, sum(slippage_arrival * mwh) AS arrival_cost,
                   sum(mwh) FILTER (slippage_decision IS NOT NULL) AS decision_mwh,
                   sum(mwh) FILTER (slippage_arrival IS NOT NULL) AS arrival_mwh,
                   sum(slippage_decision_ticks * mwh) AS decision_ticks,
                   sum(slippage_arrival_ticks * mwh) AS arrival_ticks
            FROM f GROUP BY GROUPING SETS ((strategy), ())
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


def _pnl(connection: duckdb.DuckDBPyConnection) -> list[PnlLine]:
    """Return each strategy's total (its own, listing 0, when it was told; else the sum), then its products."""
    rows = _rows(
        connection,
        """
        WITH p AS (SELECT coalesce(strategy, '-') AS strategy, coalesce(product, '') AS product, listing_id, realised,
                          unrealised, fees, total FROM pnl_latest),
        own AS (SELECT DISTINCT strategy FROM p WHERE listing_id = 0)
        SELECT strategy, '' AS product, sum(realised) AS realised, sum(unrealised) AS unrealised, sum(fees) AS fees,
               sum(total) AS total
        FROM p WHERE (listing_id = 0) = (strategy IN (SELECT strategy FROM own)) GROUP BY 1
        UNION ALL
        SELECT strategy, product, sum(realised), sum(unrealised), sum(fees), sum(total) FROM p
        WHERE listing_id <> 0 AND product <> '' GROUP BY 1, 2
        ORDER BY strategy, product = '' DESC, product
        """,
    )
    return [PnlLine(**row) for row in rows]


def _positions(connection: duckdb.DuckDBPyConnection) -> list[PositionLine]:
    rows = _rows(
        connection,
        """
        WITH p AS (SELECT coalesce(p.strategy, '-') AS strategy, coalesce(p.product, '') AS product, p.net_mw,
                          p.net_mw * (l.delivery_end_ns - l.delivery_start_ns) / 3.6e12 AS mwh
                   FROM positions_latest p JOIN listings l USING (listing_id))
        SELECT strategy, product, count(*) FILTER (net_mw <> 0) AS listings, sum(mwh) AS net_mwh,
               sum(abs(mwh)) AS gross_mwh, max(abs(net_mw)) AS largest_mw
        FROM p GROUP BY 1, 2 ORDER BY 1, 2
        """,
    )
    return [PositionLine(**row) for row in rows]


def _prices(connection: duckdb.DuckDBPyConnection) -> Prices:
    traded = _one(
        connection,
        """
        WITH t AS (SELECT p.price, p.qty_mw * (l.delivery_end_ns - l.delivery_start_ns) / 3.6e12 AS mwh
                   FROM prices p JOIN listings l USING (listing_id) WHERE p.source = 'trade')
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


def print_summary(summary: Summary, console: Console) -> None:
    """Print a run's numbers as a few tables, readable at 100 columns."""
    info = summary.run
    console.print(
        f"[bold]run {info.id}[/]  {info.deployment}  seed {info.seed}  {info.state}"
        + (f" ({info.reason})" if info.reason else "")
        + f"  {sum(summary.events.values()):,} events in {info.wall_s:.1f} s, {summary.events_per_s:,.0f}/s"
    )
    _print_market(summary, console)
    console.print(_orders_table(summary))
    console.print(_pnl_table(summary))
    if summary.refusals:
        console.print("[bold]refusals[/]  " + _joined(summary.refusals))
    if summary.alerts:
        console.print("[bold yellow]alerts[/]  " + _joined(summary.alerts))
    if summary.faults:
        console.print("[bold red]plugin faults[/]  " + _joined(summary.faults))


def _joined(counts: dict[str, int]) -> str:
    return "   ".join(f"{name.lower()} {count:,}" for name, count in counts.items())


def _print_market(summary: Summary, console: Console) -> None:
    prices, latency, unit = summary.prices, summary.tick_to_order, f"{summary.currency}/MWh"
    if prices.trades:
        negative = "" if not prices.negative_share else f", {prices.negative_share:.1%} of it below zero"
        console.print(
            f"[bold]market[/]  {prices.trades:,} trades, {prices.traded_mwh:,.0f} MWh at "
            f"{_number(prices.min)} … {_number(prices.max)}, average {_number(prices.average)} {unit}{negative}"
        )
    if latency.count:
        console.print(
            f"[bold]tick to order[/]  p50 {latency.p50_ns / 1e3:,.1f} µs   p99 {latency.p99_ns / 1e3:,.1f} µs   "
            f"({latency.count:,} measured)"
        )


def _number(value: float | None, decimals: int = 2) -> str:
    return "-" if value is None else f"{value:,.{decimals}f}"


def _money(value: float) -> str:
    return f"[red]{value:,.0f}[/]" if value <= -0.5 else f"{abs(value) if abs(value) < 0.5 else value:,.0f}"


def _columns(table: Table, *names: str) -> None:
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)


def _new_table(title: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False)
    table.add_column("strategy", overflow="ellipsis", no_wrap=True, min_width=12, max_width=24)
    return table


def _orders_table(summary: Summary) -> Table:
    table = _new_table(f"\norders and fills   slippage in ticks and {summary.currency}/MWh, + is a cost")
    _columns(table, "orders", "refused", "fills", "fill rate", "MWh", "vs decision", "vs arrival")
    lines = [*summary.strategies, StrategyLine("all", summary.orders, summary.decision, summary.arrival)]
    for line in lines if len(lines) != 2 else lines[:1]:
        orders = line.orders
        table.add_row(
            line.strategy, f"{orders.asked:,}", f"{orders.refused + orders.rejected:,}", f"{orders.fills:,}",
            f"{orders.fill_rate:.1%}", f"{orders.filled_mwh:,.1f}", _slip(line.decision), _slip(line.arrival),
            style="bold" if line.strategy == "all" else "",
        )  # fmt: skip
    return table


def _slip(slippage: Slippage) -> str:
    if slippage.ticks is None or slippage.price is None:
        return "-"
    return f"{slippage.ticks:+,.2f}  {slippage.price:+,.3f}"


def _pnl_table(summary: Summary) -> Table:
    table = _new_table(f"\nprofit and loss, {summary.currency}")
    table.add_column("product", no_wrap=True)
    _columns(table, "realised", "unrealised", "fees", "total", "net MWh", "largest MW")
    held = {(line.strategy, line.product): line for line in summary.positions}
    for line in summary.pnl:
        position = held.get((line.strategy, line.product))
        table.add_row(
            "" if line.product else line.strategy, line.product or "all", _money(line.realised),
            _money(line.unrealised), _money(line.fees), _money(line.total),
            _number(position.net_mwh, 1) if position else "", _number(position.largest_mw, 1) if position else "",
            style="" if line.product else "bold",
        )  # fmt: skip
    sums = [sum(getattr(p, name) for p in summary.pnl if not p.product) for name in ("realised", "unrealised", "fees")]
    if len(summary.strategies) > 1:
        table.add_row("all", "", *map(_money, sums), _money(summary.pnl_total), "", "", style="bold")
    return table
