"""A run's summary as a few tables on a terminal."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.table import Table

from penstock_kernel.summary_model import Slippage, StrategyLine, Summary

__all__ = ["print_summary"]

_WIDE: Final = 96
_CASH_LINES: Final = 8


def print_summary(summary: Summary, console: Console) -> None:
    """Print a run's numbers as a few tables, readable at 100 columns."""
    info = summary.run
    console.print(
        f"[bold]run {info.id}[/]  {info.state}"
        + (f" ({info.reason})" if info.reason else "")
        + f"  {info.deployment}  seed {info.seed}\n"
        + f"[bold]events[/]  {sum(summary.events.values()):,} in {info.wall_s:.1f} s, {summary.events_per_s:,.0f}/s"
    )
    _print_market(summary, console)
    # A file or a pipe takes lines of any length; a narrow terminal gets the slippage in ticks alone.
    width = console.width if console.is_terminal else max(console.width, _WIDE)
    console.print(_orders_table(summary, wide=width >= _WIDE), width=width)
    console.print(_pnl_table(summary), width=width)
    if summary.attribution:
        console.print(_attribution_table(summary), width=width)
    if summary.cash:
        console.print(_cash_table(summary), width=width)
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
        negative = f", {prices.negative_share:.1%} below zero" if prices.negative_share else ""
        console.print(
            f"[bold]market[/]  {prices.trades:,} trades, {prices.traded_mwh:,.0f} MWh, "
            f"{_number(prices.min)} … {_number(prices.max)} {unit}, average {_number(prices.average)}{negative}"
        )
    if latency.count:
        console.print(
            f"[bold]tick to order[/]  p50 {latency.p50_ns / 1e3:,.1f} µs   p99 {latency.p99_ns / 1e3:,.1f} µs   "
            f"({latency.count:,} measured, from the quote frame to each order of it)"
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


def _orders_table(summary: Summary, *, wide: bool) -> Table:
    unit = f"ticks and {summary.currency}/MWh" if wide else "ticks"
    table = _new_table(f"\norders and fills   slippage in {unit}, + is a cost")
    _columns(
        table,
        "orders",
        "refused",
        "fills",
        "fill rate",
        "MWh",
        *(("vs decision", "vs arrival") if wide else ("decision", "arrival")),
    )
    lines = [*summary.strategies, StrategyLine("all", summary.orders, summary.decision, summary.arrival)]
    for line in lines if len(lines) != 2 else lines[:1]:
        orders = line.orders
        table.add_row(
            line.strategy, f"{orders.asked:,}", f"{orders.refused + orders.rejected:,}", f"{orders.fills:,}",
            f"{orders.fill_rate:.1%}", f"{orders.filled_mwh:,.1f}",
            _slip(line.decision, wide), _slip(line.arrival, wide),
            style="bold" if line.strategy == "all" else "",
        )  # fmt: skip
    return table


def _slip(slippage: Slippage, wide: bool) -> str:
    if slippage.ticks is None or slippage.price is None:
        return "-"
    return f"{slippage.ticks:+,.2f}" + (f"  {slippage.price:+,.3f}" if wide else "")


def _pnl_table(summary: Summary) -> Table:
    totals = summary.pnl_totals
    several = len(totals) > 1
    table = _new_table("\nprofit and loss" if several else f"\nprofit and loss, {summary.currency}")
    table.add_column("product", no_wrap=True)
    if several:
        table.add_column("")
    _columns(table, "realised", "unrealised", "fees", "total", "net MWh", "largest MW")
    held = {(line.strategy, line.product): line for line in summary.positions}
    for line in summary.pnl:
        position = held.get((line.strategy, line.product))
        table.add_row(
            "" if line.product else line.strategy, line.product or "all", *([line.currency] if several else []),
            _money(line.realised), _money(line.unrealised), _money(line.fees), _money(line.total),
            _number(position.net_mwh, 1) if position else "", _number(position.largest_mw, 1) if position else "",
            style="" if line.product else "bold",
        )  # fmt: skip
    whole = [line for line in summary.pnl if not line.product]
    for currency, total in totals.items() if len(whole) > 1 else ():
        own = [line for line in whole if (line.currency or summary.currency) == currency]
        sums = [sum(getattr(line, name) for line in own) for name in ("realised", "unrealised", "fees")]
        named = [currency] if several else []
        table.add_row("all", "", *named, *map(_money, sums), _money(total), "", "", style="bold")
    for currency, converted in summary.converted.items():
        table.add_row("all", f"in {currency}", *([""] * (3 + several)), _money(converted), "", "", style="bold")
    return table


def _attribution_table(summary: Summary) -> Table:
    table = _new_table("\nwhere it came from   the market's move, delay, execution; - is a cost")
    _columns(table, "", "market", "delay", "execution", "fees", "total")
    for line in summary.attribution:
        table.add_row(
            line.strategy, line.currency, _money(line.market), _money(line.delay), _money(line.execution),
            _money(-line.fees), _money(line.market + line.delay + line.execution - line.fees),
        )  # fmt: skip
    return table


def _cash_table(summary: Summary) -> Table:
    kinds = list(dict.fromkeys(kind for line in summary.cash for kind in line.kinds))
    table = Table(
        title="\ncash due   + is received", title_justify="left", title_style="bold", header_style="dim", box=None,
        pad_edge=False,
    )  # fmt: skip
    table.add_column("value day", no_wrap=True)
    _columns(table, "", *kinds, "total")
    for line in summary.cash[-_CASH_LINES:]:
        amounts = [_money(line.kinds[kind]) if kind in line.kinds else "" for kind in kinds]
        table.add_row(line.value_day, line.currency, *amounts, _money(line.total))
    if len(summary.cash) > _CASH_LINES:
        table.caption = f"the last {_CASH_LINES} of {len(summary.cash)}; all: penstock cashflows"
    return table
