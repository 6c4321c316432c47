"""The charts of a run's report, each a panel: a title, what it says in a line, a legend, and an SVG."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from penstock_kernel.report.data import ReportData, Row
from penstock_kernel.report.scale import Scale, Tick, nice_ticks, number, robust_range, time_ticks
from penstock_kernel.report.svg import Pad
from penstock_kernel.summary import Summary
from penstock_sdk.energy import ns_to_local

__all__ = ["SERIES_MAX", "Panel", "panels", "series_paints"]

F64 = npt.NDArray[np.float64]
SERIES_MAX = 6
_WIDE, _HALF = 1180, 580
_HEAT_STEPS = 8


class Panel(NamedTuple):
    """One chart of the page; an empty svg says that there is nothing to draw."""

    title: str
    note: str
    svg: str
    wide: bool = False
    legend: tuple[tuple[str, str], ...] = ()
    """(paint, label)"""


def series_paints(names: list[str]) -> dict[str, str]:
    """Return the paint of each strategy, the same in every chart; the market's is s0, those beyond the fifth share."""
    return {name: f"s{min(i, SERIES_MAX - 1)}" for i, name in enumerate(sorted(set(names)), 1)}


def panels(data: ReportData, summary: Summary) -> list[Panel]:
    """Return every chart of the report, in reading order."""
    names = {*data.pnl, *data.slippage, *(row["strategy"] for row in data.positions)}
    paints = series_paints([*names, *(line.strategy for line in summary.strategies)])
    unit = f"{summary.currency}/MWh"
    return [
        _prices(data, unit),
        _pnl(data, paints, summary.currency),
        _positions(data, paints),
        *([_months(data)] if data.months else []),
        _profile(data, unit),
        _slippage(data, paints),
        _heat(data, unit),
        _activity(data),
        _refusals(summary),
    ]


def _time_axis(data: ReportData, count: int) -> tuple[tuple[float, float], list[Tick]]:
    span = (float(data.first_ns), float(data.last_ns))
    return span, time_ticks(*span, data.timezone, count)


def _prices(data: ReportData, unit: str) -> Panel:
    near, (index_ns, index) = data.near, data.observed
    columns = near.columns
    everything = np.concatenate([index, columns["low"], columns["high"]])
    if not np.isfinite(everything).any():
        return Panel("Prices", "nothing was traded or observed", "", wide=True)
    span, ticks = _time_axis(data, 16)
    low, high = robust_range(everything, zero=True, keep=0.98)
    pad = Pad(_WIDE, 300, span, (low, high))
    pad.shade_below(0.0, "below", "below zero")
    pad.grid(ticks)
    pad.band(near.at_ns, columns["low"], columns["high"], "s0 faint")
    if len(index) > 900:  # more points than pixels: one per bucket
        index_ns, index = _thinned(index_ns, index, data.bucket_ns)
    pad.line(index_ns, index, "ink thin", step=True)
    pad.line(near.at_ns, columns["vwap"], "s0")
    drawn = (index_ns, index) if len(index) else (near.at_ns, columns["vwap"])
    clipped = _mark_clipped(pad, *drawn)
    note = f"{unit}, over the run's time in {data.timezone}" + (
        "; spikes go off the axis, with their extreme" * bool(clipped)
    )
    legend = [("s0", "traded, four nearest contracts (average, 5–95 %)")]
    if len(index):
        legend.append(("ink", data.index_name))
    return Panel("Prices over the day", note, pad.render("Prices over the day"), True, tuple(legend))


def _mark_clipped(pad: Pad, at_ns: F64, values: F64) -> int:
    """Write the extreme beside each stretch of values that leaves the axis; return how many there are."""
    outside = np.where(np.isfinite(values), (values > pad.y.high) * 1 - (values < pad.y.low) * 1, 0)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], outside, [0]))))
    found = 0
    for start, end in pairwise(edges.tolist()):
        if outside[start]:
            value = float(values[start:end].max() if outside[start] > 0 else values[start:end].min())
            y = pad.top + 10 if outside[start] > 0 else pad.bottom - 5
            pad.text(pad.x(at_ns[end - 1]) + 5, y, number(value), "tick strong")
            found += 1
    return found


def _thinned(at_ns: F64, values: F64, bucket_ns: int) -> tuple[F64, F64]:
    """Return the lowest and the highest value of each half bucket, so that no spike is lost."""
    bucket = at_ns // (bucket_ns // 2)
    edges = np.flatnonzero(np.concatenate(([True], np.diff(bucket) > 0)))
    both = np.column_stack((np.minimum.reduceat(values, edges), np.maximum.reduceat(values, edges)))
    return np.repeat(at_ns[edges], 2), both.reshape(-1)


def _pnl(data: ReportData, paints: dict[str, str], currency: str) -> Panel:
    if not data.pnl:
        return Panel("Cumulative P&L", "no P&L was told", "")
    span, ticks = _time_axis(data, 9)
    series = {name: bucketed.columns["total"] for name, bucketed in data.pnl.items()}
    at_ns = next(iter(data.pnl.values())).at_ns
    total = np.sum(list(series.values()), axis=0)
    drawn = [*series.values(), total]
    pad = Pad(_HALF, 260, span, robust_range(np.concatenate(drawn), zero=True, keep=1.0))
    pad.grid(ticks)
    for name, values in series.items():
        pad.line(at_ns, values, paints[name], step=True)
    legend = [(paints[name], name) for name in series]
    if len(series) > 1:
        pad.line(at_ns, total, "ink thin dash", step=True)
        legend.append(("ink", "all"))
    note = f"{currency}, realised and unrealised, after fees"
    return Panel("Cumulative P&L", note, pad.render("Cumulative P&L by strategy"), legend=tuple(legend))


def _delivery_axis(rows: list[Row], timezone: str, count: int) -> tuple[tuple[float, float], list[Tick]]:
    span = (float(min(row["start_ns"] for row in rows)), float(max(row["end_ns"] for row in rows)))
    return span, time_ticks(*span, timezone, count)


def _label(start_ns: float, timezone: str) -> str:
    local = ns_to_local(int(start_ns), timezone)
    return f"{local:%a} {local.day} {local:%b %H:%M}"


def _positions(data: ReportData, paints: dict[str, str]) -> Panel:
    title = "Position per delivery interval"
    if not data.positions:
        return Panel(title, "every strategy is flat", "")
    step = min(row["end_ns"] - row["start_ns"] for row in data.positions)
    stacks: dict[tuple[int, str], float] = {}
    for row in data.positions:  # an hour counts in each of its quarter-hours
        for start in range(row["start_ns"], row["end_ns"], step):
            stacks[start, row["strategy"]] = stacks.get((start, row["strategy"]), 0.0) + row["net_mw"]
    tops: dict[tuple[int, bool], float] = {}
    bars = []
    for (start, strategy), mw in sorted(stacks.items()):
        base = tops.get((start, mw > 0), 0.0)
        tops[start, mw > 0] = base + mw
        bars.append((start, strategy, base, base + mw, mw))
    span, ticks = _delivery_axis(data.positions, data.timezone, 9)
    low, high = min(0.0, *tops.values()), max(0.0, *tops.values())
    pad = Pad(_HALF, 260, span, (low * 1.08, high * 1.08))
    pad.grid(ticks)
    for start, strategy, base, top, mw in bars:
        tip = f"{strategy}: {number(mw, 0.1)} MW, delivery {_label(start, data.timezone)}"
        pad.bar(start, start + step, base, top, paints[strategy], tip)
    pad.rule(0.0)
    legend = tuple((paints[name], name) for name in dict.fromkeys(strategy for _, strategy, *_ in sorted(bars)))
    note = f"MW at the end, + takes delivery; local delivery time ({data.timezone})"
    return Panel(title, note, pad.render(title), legend=tuple(dict.fromkeys(legend)))


def _months(data: ReportData) -> Panel:
    """Draw what is held by month of delivery: futures, deals, spot and assets netted, a bar for each zone or hub."""
    title = "Position by month of delivery"
    zones = list(dict.fromkeys(row["zone"] for row in data.months))
    paints = series_paints(zones)
    span, ticks = _delivery_axis(data.months, data.timezone, 16)
    energies = [row["mwh"] for row in data.months]
    pad = Pad(_WIDE, 260, span, (min(0.0, *energies) * 1.08, max(0.0, *energies) * 1.08))
    pad.grid(ticks)
    for row in data.months:
        width = (row["end_ns"] - row["start_ns"]) / len(zones)
        left = row["start_ns"] + zones.index(row["zone"]) * width
        tip = f"{row['zone']} {row['label']}: {number(row['mwh'], 0.1)} MWh"
        pad.bar(left, left + width, 0.0, row["mwh"], paints[row["zone"]], tip)
    pad.rule(0.0)
    note = "MWh, + takes delivery; futures, deals, spot and assets netted"
    return Panel(title, note, pad.render(title), wide=True, legend=tuple((paints[zone], zone) for zone in zones))


def _profile(data: ReportData, unit: str) -> Panel:
    title = "Traded price by delivery"
    if not data.profile:
        return Panel(title, "nothing was traded", "")
    rows = data.profile
    span, ticks = _delivery_axis(rows, data.timezone, 9)
    edges = np.array([[row["low"], row["high"], row["average"]] for row in rows])
    pad = Pad(_HALF, 260, span, robust_range(edges.reshape(-1), zero=True))
    pad.shade_below(0.0, "below", "below zero")
    pad.grid(ticks)
    for row in rows:
        tip = (
            f"{row['label']}: average {number(row['average'], 0.01)}, 10–90 % {number(row['low'], 0.01)} … "
            f"{number(row['high'], 0.01)} {unit}, {number(row['mwh'])} MWh"
        )
        pad.bar(row["start_ns"], row["end_ns"], row["low"], row["high"], "s0 faint", tip, gap=0.0)
        y = pad.y(row["average"])
        left, right = pad.x(row["start_ns"]), pad.x(row["end_ns"])
        pad.rect(left, y - 1, right - left, 2, "neg" if row["average"] < 0 else "s0")
    note = f"{unit}; average and 10–90 % of all trades in each interval"
    return Panel(title, note, pad.render(title), legend=(("s0", "average"), ("neg", "average below zero")))


def _heat(data: ReportData, unit: str) -> Panel:
    title = "When each delivery was traded, and at what price"
    if not data.heat:
        return Panel(title, "nothing was traded", "", wide=True)
    rows = data.heat
    count = max(row["row"] for row in rows) + 1
    span, ticks = _delivery_axis(rows, data.timezone, 18)
    pad = Pad(_WIDE, 24 + 9 * count + 26, span, (0, 1), left=76)
    down = Scale(0, count, pad.top, pad.bottom)
    start_ns = data.first_ns // data.heat_bucket_ns * data.heat_bucket_ns
    top = time_ticks(start_ns, start_ns + count * data.heat_bucket_ns, data.timezone, max(3, count // 4))
    pad.grid(ticks, y_ticks=[])
    for tick in top:
        y = down((tick.value - start_ns) / data.heat_bucket_ns)
        if y > pad.bottom - 9:  # there the axis below has its own
            continue
        pad.text(
            pad.left - 7, y + 3.5, tick.label,
            "tick strong" if tick.strong else "tick", anchor="end",
        )  # fmt: skip
    prices = np.array([row["price"] for row in rows])
    low = float(np.quantile(prices, 0.02))
    high = max(float(np.quantile(prices, 0.98)), 1e-9)
    for row in rows:
        price = row["price"]
        share = price / high if price >= 0 else price / min(low, -high / 4)
        paint = f"h{'p' if price >= 0 else 'n'}{min(int(abs(share) * _HEAT_STEPS), _HEAT_STEPS - 1)}"
        y1, y2 = down(row["row"]), down(row["row"] + 1)
        x1, x2 = pad.x(row["start_ns"]), pad.x(row["end_ns"])
        tip = f"delivery {_label(row['start_ns'], data.timezone)}: {number(price, 0.01)} {unit}"
        pad.rect(x1, y1, x2 - x1 + 0.2, y2 - y1 - 0.6, paint, tip)
    legend: tuple[tuple[str, str], ...] = (("hp1", "near zero"), ("hp7", f"{number(high)} and above"))
    if prices.min() < 0:
        legend = (("hn7", f"{number(min(low, -high / 4))} and below"), *legend)
    note = f"average price, {unit}; across: local delivery time, down: time of trading"
    return Panel(title, note, pad.render(title), True, legend)


def _activity(data: ReportData) -> Panel:
    title = "Orders and fills"
    columns = data.activity.columns
    if not np.isfinite(columns["orders"]).any():
        return Panel(title, "no order was given", "")
    span, ticks = _time_axis(data, 9)
    most = float(np.nanmax(np.maximum(columns["orders"], np.nan_to_num(columns["fills"]))))
    pad = Pad(_HALF, 260, span, (0, most * 1.06))
    pad.grid(ticks)
    half = data.bucket_ns / 2
    minutes = data.bucket_ns // 60_000_000_000
    for at, orders, fills, refused in zip(
        data.activity.at_ns.tolist(), *(c.tolist() for c in columns.values()), strict=True
    ):
        if orders != orders and fills != fills:  # neither: NaN differs from itself
            continue
        asked, filled, said_no = (0 if v != v else int(v) for v in (orders, fills, refused))
        when = f"{_label(at - half, data.timezone)}, {minutes} min"
        tip = f"{when}: {asked:,} orders, {filled:,} fills, {said_no:,} refused"
        pad.bar(at - half, at + half, 0, asked, "s0 faint", tip, gap=0.6)
        pad.bar(at - half, at + half, 0, filled, "s0", tip, gap=0.6)
        if said_no:
            pad.bar(at - half, at + half, asked - said_no, asked, "neg", tip, gap=0.6)
    note = f"ours, per {minutes} minutes"
    legend = (("s0 faint", "orders"), ("s0", "fills"), ("neg", "refused"))
    return Panel(title, note, pad.render(title), legend=legend)


def _slippage(data: ReportData, paints: dict[str, str]) -> Panel:
    title = "Slippage of fills"
    values = np.concatenate([*data.slippage.values(), np.empty(0)])
    if not len(values):
        return Panel(title, "no fill had a mid to compare with", "")
    low, high = (float(v) for v in np.quantile(values, [0.01, 0.99]))
    # Mids stand on half ticks: a bar narrower than a tick would leave every other one empty.
    width = max(1.0, float(round((high - low) / 36)))
    spare = max(0, 10 - int((high - low) / width)) // 2  # a few empty bars beside a narrow spread
    first = (np.floor(low / width) - spare) * width
    edges = first + width * np.arange(int(np.ceil((high - first) / width)) + 2 + spare)
    stacked = np.zeros(len(edges) - 1)
    counts = {}
    for name, ticks in data.slippage.items():
        counts[name] = np.histogram(np.clip(ticks, edges[0], edges[-1]), edges)[0].astype(float)
        stacked += counts[name]
    pad = Pad(_HALF, 260, (float(edges[0]), float(edges[-1])), (0, float(stacked.max()) * 1.06))
    pad.grid(nice_ticks(float(edges[0]), float(edges[-1]), 9))
    base = np.zeros(len(edges) - 1)
    for name, count in counts.items():
        for (left, right), under, here in zip(pairwise(edges.tolist()), base.tolist(), count.tolist(), strict=True):
            tip = f"{name}: {here:,.0f} fills at {number(left, width)} … {number(right, width)} ticks"
            pad.bar(left, right, under, under + here, paints[name], tip)
        base += count
    mean = float(values.mean())
    if edges[0] <= mean <= edges[-1]:
        pad.mark_x(mean, "ink-line dash")
    note = f"ticks against the mid at decision, + is a cost; mean {number(mean, 0.01)}, the outer 1 % in the end bars"
    return Panel(title, note, pad.render(title), legend=tuple((paints[name], name) for name in counts))


def _refusals(summary: Summary) -> Panel:
    title = "Refusals by reason"
    found = list(summary.refusals.items())[:8]
    if not found:
        return Panel(title, "no order was refused", "")
    most = found[0][1]
    height = 30 * len(found) + 16
    pad = Pad(_HALF, max(height, 120), (0, most * 1.18), (0, 1), left=150, bottom=6)
    for row, (reason, count) in enumerate(found):
        y = pad.top + 30 * row
        pad.text(pad.left - 9, y + 15, reason.lower().replace("_", " "), "tick label", anchor="end")
        pad.rect(pad.left, y + 2, max(pad.x(count) - pad.left, 1.5), 18, "neg", f"{reason}: {count:,}")
        pad.text(pad.x(count) + 6, y + 15, f"{count:,}", "tick strong")
    total = sum(summary.refusals.values())
    share = total / max(summary.orders.asked, 1)
    return Panel(title, f"{total:,} of {summary.orders.asked:,} orders, {share:.1%}", pad.render(title))
