"""The report's page: headline, tiles, charts, tables and run facts, in one HTML file that asks for nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape

from penstock_kernel.report.charts import Panel
from penstock_kernel.report.data import ReportData, Row
from penstock_kernel.report.scale import number
from penstock_kernel.report.style import STYLE
from penstock_kernel.summary import Slippage, StrategyLine, Summary
from penstock_sdk.energy import ns_to_local

__all__ = ["render"]

_CASH_LINES = 40


def render(summary: Summary, data: ReportData, panels: list[Panel], deployment: str) -> str:
    """Return the page; *deployment* is the text of the deployment as run."""
    info = summary.run
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{escape(info.id)} · Penstock</title><style>{STYLE}</style></head><body><main>",
        _head(summary, data),
        _tiles(summary),
        '<div class="grid">',
        *map(_panel, panels),
        _card("P&amp;L by strategy and product", f"{_currencies(summary)}, after fees", _pnl_table(summary)),
        _attribution(summary),
        _cash(summary),
        _card("Orders by strategy", "slippage in ticks and per MWh, + is a cost", _orders_table(summary)),
        _alerts(data, summary),
        _card("Events", f"{sum(summary.events.values()):,} in the journal", _events_table(summary)),
        _facts(summary, deployment),
        "</div></main></body></html>\n",
    ]
    return "\n".join(part for part in parts if part)


def _head(summary: Summary, data: ReportData) -> str:
    info = summary.run
    first, last = ns_to_local(data.first_ns, data.timezone), ns_to_local(data.last_ns, data.timezone)
    days = f"{first:%a} {first.day} {first:%b %H:%M} – {last:%a} {last.day} {last:%b %Y %H:%M}"
    state = escape(info.state)
    return (
        f'<header><div><p class="brand">Penstock</p><h1 title="{escape(info.id)}">{escape(info.id)}</h1>'
        f"<p>{escape(data.zone)} · {days} ({escape(data.timezone)}) · {escape(info.deployment)} · "
        f"seed {info.seed}</p></div>"
        f'<span class="chip {state}">{state}{": " + escape(info.reason) if info.reason else ""}</span></header>'
    )


def _tile(label: str, value: str, note: str = "", paint: str = "") -> str:
    return f'<div class="tile"><p>{label}</p><strong class="{paint}">{value}</strong><span>{note}</span></div>'


def _signed(value: float, decimals: int = 0) -> str:
    text = number(value, 10.0**-decimals)
    return f"+{text}" if value > 0 and text.strip("0.,") else text


def _paint(value: float) -> str:
    return "neg-ink" if value < -0.5 else "pos-ink" if value > 0.5 else ""


def _tiles(summary: Summary) -> str:
    info, orders, prices, latency = summary.run, summary.orders, summary.prices, summary.tick_to_order
    currency, decision = escape(summary.currency), summary.decision
    found = []
    for name, total in summary.pnl_totals.items():
        of = [line for line in summary.pnl if not line.product and (line.currency or summary.currency) == name]
        note = f"{escape(name)}, after {number(sum(line.fees for line in of))} fees"
        found.append(_tile("P&amp;L", _signed(total, 0 if abs(total) >= 1000 else 2), note, _paint(total)))
    found += [
        _tile("Orders", f"{orders.asked:,}", f"{orders.refused + orders.rejected:,} refused"),
        _tile("Fills", f"{orders.fills:,}", f"{orders.fill_rate:.1%} of the quantity, {number(orders.filled_mwh)} MWh"),
    ]
    if decision.price is not None and decision.ticks is not None:
        note = f"{currency}/MWh, {_signed(decision.ticks, 2)} ticks"
        found.append(_tile("Slippage", _signed(decision.price, 3), note, _paint(-1 if decision.price > 0.0005 else 0)))
    if prices.average is not None and prices.min is not None and prices.max is not None:
        note = f"{number(prices.min)} … {number(prices.max)} {currency}/MWh"
        found.append(_tile("Average price", number(prices.average, 0.01), note))
        found.append(
            _tile("Below zero", f"{prices.negative_share or 0:.1%}", f"of {number(prices.traded_mwh)} MWh traded")
        )
    if latency.count:
        note = f"p99 {latency.p99_ns / 1e3:,.1f} µs"
        found.append(_tile("Tick to order", f"{latency.p50_ns / 1e3:,.1f} µs", f"p50; {note}"))
    events = sum(summary.events.values())
    found.append(
        _tile(
            "Events",
            f"{events / 1e6:.2f} M" if events >= 1e6 else f"{events:,}",
            f"{info.wall_s:,.1f} s, {summary.events_per_s:,.0f}/s",
        )
    )
    return f'<section class="tiles">{"".join(found)}</section>'


def _card(title: str, note: str, inner: str, css: str = "") -> str:
    return f'<section class="card {css}"><h2>{title}</h2><p class="note">{note}</p>{inner}</section>'


def _panel(panel: Panel) -> str:
    keys = "".join(f'<li><i class="{paint}"></i>{escape(label)}</li>' for paint, label in panel.legend)
    legend = f'<ul class="legend">{keys}</ul>' if keys else ""
    chart = f'<div class="chart">{panel.svg}</div>' if panel.svg else ""
    return _card(escape(panel.title), escape(panel.note), legend + chart, "wide" if panel.wide else "")


def _table(heads: Iterable[str], rows: Iterable[tuple[str, Iterable[str]]]) -> str:
    """Return a table; each row is (class, cells), and cells are HTML."""
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join(f'<tr class="{css}">{"".join(f"<td>{c}</td>" for c in cells)}</tr>' for css, cells in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _name(text: str) -> str:
    return f'<span class="name" title="{escape(text)}">{escape(text)}</span>'


def _money(value: float) -> str:
    return f'<span class="{_paint(value)}">{number(value)}</span>'


def _figure(value: float | None, step: float) -> str:
    return "" if value is None else number(value, step)


def _currencies(summary: Summary) -> str:
    return escape(", ".join(name for name in summary.pnl_totals if name))


def _pnl_table(summary: Summary) -> str:
    held = {(line.strategy, line.product): line for line in summary.positions}
    totals = summary.pnl_totals
    rows: list[tuple[str, list[str]]] = []
    for line in summary.pnl:
        position = held.get((line.strategy, line.product))
        cells = [
            "" if line.product else _name(line.strategy), escape(line.product) or "all",
            escape(line.currency or summary.currency), _money(line.realised), _money(line.unrealised),
            number(line.fees), _money(line.total),
            *(_figure(getattr(position, name, None), 0.1) for name in ("net_mwh", "largest_mw")),
        ]  # fmt: skip
        rows.append(("" if line.product else "sum", cells))
    if len({line.strategy for line in summary.pnl}) > 1:
        for currency, total in totals.items():
            whole = [p for p in summary.pnl if not p.product and (p.currency or summary.currency) == currency]
            sums = [sum(getattr(line, name) for line in whole) for name in ("realised", "unrealised", "fees")]
            figures = [_money(sums[0]), _money(sums[1]), number(sums[2]), _money(total)]
            rows.append(("sum total", ["all", "", escape(currency), *figures, "", ""]))
    heads = ["strategy", "product", "", "realised", "unrealised", "fees", "total", "net MWh", "max MW"]
    if len(totals) == 1:
        heads, rows = heads[:2] + heads[3:], [(css, cells[:2] + cells[3:]) for css, cells in rows]
    return _table(heads, rows)


def _attribution(summary: Summary) -> str:
    if not summary.attribution:
        return ""
    rows = [
        ("", [
            _name(line.strategy), escape(line.currency), _money(line.market), _money(line.delay),
            _money(line.execution), _money(-line.fees),
            _money(line.market + line.delay + line.execution - line.fees),
        ])
        for line in summary.attribution
    ]  # fmt: skip
    table = _table(("strategy", "", "market", "delay", "execution", "fees", "total"), rows)
    note = "market: the price's move since each decision; delay and execution against the mids, - is a cost"
    return _card("Where the P&amp;L came from", note, table)


def _cash(summary: Summary) -> str:
    if not summary.cash:
        return ""
    kinds = list(dict.fromkeys(kind for line in summary.cash for kind in line.kinds))
    rows = [
        ("", [
            escape(line.value_day), escape(line.currency),
            *(_money(line.kinds[kind]) if kind in line.kinds else "" for kind in kinds), _money(line.total),
        ])
        for line in summary.cash[-_CASH_LINES:]
    ]  # fmt: skip
    more = f"; the last {_CASH_LINES} of {len(summary.cash)}" if len(summary.cash) > _CASH_LINES else ""
    note = f"by value day and currency, + is received{more}"
    return _card("Cash due", note, _table(("value day", "", *map(escape, kinds), "total"), rows))


def _orders_table(summary: Summary) -> str:
    lines = [*summary.strategies, StrategyLine("all", summary.orders, summary.decision, summary.arrival)]
    rows = []
    for line in lines:
        o = line.orders
        cells = [_name(line.strategy), f"{o.asked:,}", f"{o.refused + o.rejected:,}",
                 f"{o.fills:,}", f"{o.fill_rate:.1%}", number(o.filled_mwh, 0.1), _slip(line.decision),
                 _slip(line.arrival)]  # fmt: skip
        rows.append(("sum total" if line is lines[-1] else "", cells))
    heads = ("strategy", "orders", "refused", "fills", "fill rate", "MWh", "vs decision", "vs arrival")
    return _table(heads, rows)


def _slip(slippage: Slippage) -> str:
    if slippage.ticks is None or slippage.price is None:
        return "–"
    return f"{_signed(slippage.ticks, 2)}<br><small>{_signed(slippage.price, 3)}</small>"


def _alerts(data: ReportData, summary: Summary) -> str:
    if not data.alerts:
        return ""
    total = sum(summary.alerts.values())
    rows = [(_severity(row), _alert_cells(row, data.timezone)) for row in data.alerts]
    more = f", the first {len(rows)}" if total > len(rows) else ""
    return _card(
        "Alerts", f"{total:,}{more}", _table(("time", "alert", "what was met, and the way out"), rows), "wide left"
    )


def _severity(row: Row) -> str:
    return "bad" if row["severity"] in {"ERROR", "CRITICAL"} else ""


def _alert_cells(row: Row, timezone: str) -> list[str]:
    local = ns_to_local(row["at_ns"], timezone)
    wanted = f"; wanted {escape(row['wanted'])}" if row["wanted"] else ""
    way_out = f"; {escape(row['way_out'])}" if row["way_out"] else ""
    who = f"{escape(row['severity'].lower())} {escape(row['code'])}"
    return [f"{local:%a %H:%M:%S}", who, f"{escape(row['subject'])}: {escape(row['met'])}{wanted}{way_out}"]


def _events_table(summary: Summary) -> str:
    total = max(sum(summary.events.values()), 1)
    rows = [("", [escape(name.replace("_", " ")), f"{n:,}", f"{n / total:.1%}"]) for name, n in summary.events.items()]
    return _table(("record", "events", "share"), rows)


def _facts(summary: Summary, deployment: str) -> str:
    info = summary.run
    started = datetime.fromtimestamp(info.started_ns / 1e9, UTC)
    counted = {
        name.replace("_", " "): f"{value:,}" if isinstance(value, int) else str(value)
        for name, value in info.extra.items()
    }
    facts = {
        "run": info.id, "started": f"{started:%Y-%m-%d %H:%M:%S} UTC", "clock": info.clock, "seed": str(info.seed),
        "epoch": str(info.epoch), "last event": f"{info.last_seq:,}",
        "orders in the market": f"{info.orders:,}" if info.orders else "",
        "journal sha256": info.digest, **counted,
    }  # fmt: skip
    versions = f"<details><summary>versions</summary>{_list(dict(sorted(info.versions.items())))}</details>"
    shown = (
        f"<details><summary>deployment as run</summary><pre>{escape(deployment)}</pre></details>" if deployment else ""
    )
    return _card("Run facts", "the same seed and versions give the same journal", _list(facts) + versions + shown)


def _list(facts: dict[str, str]) -> str:
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items() if value)
    return f"<dl>{items}</dl>"
