"""A kernel's state as lines for people: what `penstock status` prints, and `penstock top` draws."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from penstock_kernel.control.state import Cause, LimitRow, OpenAlert, PluginRow, State, StrategyRow
from penstock_sdk.energy import zone

__all__ = [
    "alert_lines",
    "book_rows",
    "clock_text",
    "duration",
    "headline",
    "limit_lines",
    "money",
    "plugin_rows",
    "state_lines",
    "stop_lines",
    "strategy_rows",
    "table",
]

ALERTS_SHOWN = 10
_UNITS = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: str = "") -> list[str]:
    """Return lines of aligned columns.

    Args:
        right: a character per column: ``>`` aligns it to the right.
    """
    rows = [head, *rows]
    widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
    aligns = right.ljust(len(head), "<")
    return [
        "  ".join(f"{cell:{align}{width}}" for cell, align, width in zip(row, aligns, widths, strict=True)).rstrip()
        for row in rows
    ]


def duration(seconds: float) -> str:
    """Return a length of time in two units: ``3 d 4 h``, ``4.2 s``."""
    for unit_s, name, below_s, below in _UNITS:
        if seconds >= unit_s:
            return f"{int(seconds // unit_s)} {name} {int(seconds % unit_s // below_s)} {below}"
    return f"{seconds:.1f} s"


def clock_text(now_ns: int, timezone: str) -> str:
    """Return local time with its zone, and UTC."""
    local = datetime.fromtimestamp(now_ns / 1e9, zone(timezone))
    utc = datetime.fromtimestamp(now_ns / 1e9, UTC)
    return f"{local:%Y-%m-%d %H:%M:%S %Z} ({utc:%H:%M:%S} UTC)"


def money(pnl: dict[str, float] | None) -> str:
    """Return amounts with their currencies; a dash where nobody keeps them."""
    if pnl is None:
        return "–"
    return " ".join(f"{amount:,.2f} {currency}" for currency, amount in sorted(pnl.items())) or "0.00"


def _since(cause: Cause | None, timezone: str) -> str:
    if cause is None:
        return "since when is not known"
    local = datetime.fromtimestamp(cause.at_ns / 1e9, zone(timezone))
    why = f": {cause.why}" if cause.why else ""
    return f"since {local:%Y-%m-%d %H:%M:%S} (seq {cause.seq}) by {cause.who}{why}"


def headline(state: State) -> str:
    """Return instance and phase, with how far a recovery is."""
    progress = f" {100 * state.done // state.wanted} %" if state.wanted else ""
    waits = [venue.name for venue in state.venues if venue.reconciling]
    more = f" with {', '.join(waits)}" if waits else ""
    return f"{state.instance}  {state.phase}{progress}{more}{'  KILLED' if state.killed else ''}"


def stop_lines(state: State) -> list[str]:
    """Return what keeps orders from leaving, each with its cause."""
    lines = []
    if state.killed is not None:
        lines.append(f"KILLED       {_since(state.killed.since, state.timezone)}")
    for stop in state.pauses:
        lines.append(f"paused       {stop.name or 'every strategy'} {_since(stop.since, state.timezone)}")
    for held in state.quarantines:
        lines.append(f"quarantined  {held.name} {_since(held.since, state.timezone)}")
    if state.stopping:
        lines.append(f"stopping     {state.stopping}")
    if state.journal_error:
        lines.append(f"journal      {state.journal_error}")
    return lines


def strategy_rows(strategies: Iterable[StrategyRow]) -> list[list[str]]:
    """Return a row per strategy: name, status, open orders, energy held, profit and loss."""
    return [
        [
            row.name, f"{row.status}, paused" if row.paused else row.status, f"{row.open_orders:,}",
            "–" if row.net_mwh is None else f"{row.net_mwh:,.2f}", money(row.pnl),
        ]
        for row in strategies
    ]  # fmt: skip


def plugin_rows(plugins: Iterable[PluginRow]) -> list[list[str]]:
    """Return a row per plugin: name, kind, status, faults, mean time of a handler, the slowest."""
    return [
        [
            row.name, row.kind, row.status, str(row.faults), f"{row.calls:,}" if row.calls else "–",
            f"{row.busy_ns / row.calls / 1e3:.1f} µs" if row.calls else "–",
            f"{row.slowest_ns / 1e6:.2f} ms {row.slowest}" if row.calls else "–",
        ]
        for row in plugins
    ]  # fmt: skip


def book_rows(state: State) -> list[list[str]]:
    """Return a row per book: listing, time to gate closure, bid, ask, last."""

    def price(value: float | None) -> str:
        return "–" if value is None else f"{value:,.2f}"

    return [
        [
            _short(book.name), duration(max(0, book.gate_closure_ns - state.now_ns) / 1e9), price(book.bid),
            price(book.ask), price(book.last),
        ]
        for book in state.books
    ]  # fmt: skip


def _short(name: str) -> str:
    """Return a listing's name without venue, zone and year: ``QH 03-10 18:30``."""
    words = name.split(" ")[2:]
    return " ".join(word[5:] if word.count("-") == 2 else word for word in words) or name


def alert_lines(alerts: Sequence[OpenAlert], timezone: str) -> list[str]:
    """Return an alert's lines: what it is, what was met and wanted, and the way out."""
    lines = []
    for alert in alerts:
        local = datetime.fromtimestamp(alert.last_ns / 1e9, zone(timezone))
        times = f"{alert.count}×, last " if alert.count > 1 else ""
        lines.append(f"{alert.id:>4}  {alert.severity:<8}  {alert.code}:{alert.subject}  {times}{local:%m-%d %H:%M:%S}")
        wanted = f", wanted {alert.wanted}" if alert.wanted else ""
        lines.append(f"      met {alert.met}{wanted}")
        if alert.way_out:
            lines.append(f"      {alert.way_out}")
        if alert.acked_by:
            lines.append(f"      acknowledged by {alert.acked_by}: {alert.acked_reason}")
    return lines


def limit_lines(rows: Sequence[LimitRow], timezone: str) -> list[str]:
    """Return the limits in force as a table."""
    cells = []
    for row in rows:
        configured = "–" if row.configured is None else f"{row.configured:,}"
        since = _since(row.since, timezone)
        cells.append([row.owner or "every strategy", row.name, f"{row.value:,}", row.means, configured, since])
    return table(["for", "limit", "value", "is", "deployed", "since"], cells, "<<>>>")


def state_lines(state: State) -> list[str]:
    """Return the whole state."""
    lag = f", {duration(state.lag_ns / 1e9)} behind with {state.waiting:,} inputs waiting" if state.lag_ns else ""
    doubts = f", {state.in_doubt_count} in doubt ({_some(state.in_doubt)})" if state.in_doubt_count else ""
    lines = [
        f"{headline(state)}  up {duration(state.up_s)}, pid {state.pid}",
        f"session      {state.epoch}: {state.cause}",
        f"time         {clock_text(state.now_ns, state.timezone)}, {state.clock}{lag}",
        f"events       {state.seq:,} numbered, {max(state.written_seq, 0):,} written, {max(state.synced_seq, 0):,} "
        f"synced; {state.events_per_s:,.0f} a second",
        f"orders       {state.orders:,} sent, {state.open_orders:,} open{doubts}, {state.refused:,} refused, "
        f"{state.fills:,} fills; {state.orders_per_s:,.1f} a second",
    ]
    if state.no_delivery_count:
        text = f"{state.no_delivery_count:,} shown without a delivery, orders refused"
        lines.append(f"listings     {text}: {_some(state.no_delivery)}")
    if state.last_stop is not None:
        lines.append(f"last stop    {_since(state.last_stop, state.timezone).replace(' by : ', ', ')}")
    lines += stop_lines(state)
    lines.append(f"disk         {_disk(state)}")
    if state.lost:
        lines.append("lost         " + ", ".join(f"{name} {count:,}" for name, count in state.lost.items()))
    venues = [
        [
            row.name, f"{row.link}, reconciling" if row.reconciling else row.link, f"{row.open_orders:,}",
            _since(row.since, state.timezone) if row.since is not None else "",
        ]
        for row in state.venues
    ]  # fmt: skip
    lines += ["", *table(["venue", "link", "open", ""], venues, "<<>")]
    head = ["strategy", "status", "open", "net MWh", "P&L"]
    lines += ["", *table(head, strategy_rows(state.strategies), "<<>>>")]
    head = ["plugin", "kind", "status", "faults", "calls", "mean", "slowest"]
    lines += ["", *table(head, plugin_rows(state.plugins), "<<<>>>")]
    if state.books:
        lines += ["", *table(["book", "closes in", "bid", "ask", "last"], book_rows(state), "<>>>>")]
    lines += ["", f"alerts open: {state.alerts_open}"]
    return lines + alert_lines(state.alerts[-ALERTS_SHOWN:], state.timezone)


def _disk(state: State) -> str:
    parts = []
    if state.disk_days is not None:
        parts.append(f"{state.disk_days:,.1f} days left")
    if state.disk_free_bytes is not None:
        parts.append(f"{state.disk_free_bytes / 1e9:,.1f} GB free")
    if state.snapshot_seq is not None and state.snapshot_age_s is not None:
        parts.append(f"snapshot at seq {state.snapshot_seq:,}, {duration(state.snapshot_age_s)} old")
    else:
        parts.append("no snapshot yet")
    return ", ".join(parts)


def _some(items: Sequence[int | str]) -> str:
    shown = ", ".join(map(str, items[:3]))
    return f"{shown}, …" if len(items) > 3 else shown
