"""A day of the default deployment ends complete, adds up when its journal is counted, and comes out the same again.

Everything is recomputed from the journal's records in plain Python, not through the lake or the golden models. Digests
are compared within one machine only: the day's prices are floats, whose last bit another processor may round otherwise.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from day_runs import SMALL, TIGHT, DayRun, Finished, deployment, only_run, penstock

from penstock_sdk.events import (
    Alert,
    CashFlow,
    CheckVerdict,
    ExecutionReport,
    IntentAction,
    Interned,
    Limit,
    LimitKind,
    ListingDefinition,
    Observation,
    Order,
    OrderIntent,
    OrderKind,
    OrderState,
    PluginFault,
    Pnl,
    Position,
    Reason,
    ReportKind,
    RunEnd,
    SessionState,
    SessionStatus,
    Side,
    Trade,
)
from penstock_sdk.wire.segment import verify

ENDED = (ReportKind.CANCELLED, ReportKind.EXPIRED, ReportKind.REJECTED)
QUARTER_NS = 900 * 10**9
SIGN = {Side.BUY: 1, Side.SELL: -1}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    """Return the folder of a small day under tight limits, run once, and how its process ended."""
    folder = tmp_path_factory.mktemp("day")
    return folder, penstock("run", deployment(folder, SMALL, TIGHT), "--quiet", cwd=folder, PYTHONHASHSEED="1")


@pytest.fixture(scope="module")
def day(finished: tuple[Path, Finished]) -> DayRun:
    folder, ended = finished
    assert ended.status == 0, ended.err
    return only_run(folder / "runs")


@pytest.fixture(scope="module")
def listings(day: DayRun) -> dict[int, ListingDefinition]:
    return {listing.listing_id: listing for listing in day.records(ListingDefinition)}


# The end.


def test_the_day_ends_complete_and_leaves_no_process(finished: tuple[Path, Finished], day: DayRun) -> None:
    _, ended = finished
    assert ended.out.splitlines()[-1] == f"journal sha256:{day.info['digest']}"
    assert ended.err == ""
    assert ended.left == []
    assert (day.info["status"], day.info["reason"]) == ("complete", "end of day")
    assert verify(day.dir / "journal", allow_gaps=False).digest == day.info["digest"]
    assert day.entries[-1].record == RunEnd(reason="end of day")
    assert day.info["events"] == len(day.entries) == day.entries[-1].seq
    assert day.records(PluginFault) == []
    assert day.records(Alert) == []
    for name in ("run.duckdb", "report.html", "summary.json", "deployment.toml", "run.json"):
        assert (day.dir / name).stat().st_size > 0


def test_a_replay_finds_no_difference(day: DayRun) -> None:
    replayed = penstock("replay", day.dir, "--verify", cwd=day.dir)
    assert replayed.status == 0, replayed.out + replayed.err
    assert f"{day.info['events']:,} events recomputed" in replayed.out
    assert replayed.out.splitlines()[-1] == f"journal sha256:{day.info['digest']}"


# The market.


def test_every_contract_opens_and_closes_at_its_gate(day: DayRun, listings: dict[int, ListingDefinition]) -> None:
    minutes = Counter((listing.interval_count * listing.interval_ns) // 60_000_000_000 for listing in listings.values())
    assert minutes == {15: 96, 60: 24}
    seen: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for entry in day.of(SessionState):
        seen[entry.record.listing_id].append((entry.record.status, entry.at_ns))
    for listing_id, listing in listings.items():
        states = seen[listing_id]
        assert [status for status, _ in states] == [SessionStatus.PRE_OPEN, SessionStatus.OPEN, SessionStatus.CLOSED]
        assert [at_ns for _, at_ns in states[1:]] == [listing.opens_ns, listing.gate_closure_ns]


def test_prices_fall_below_zero_and_spike(day: DayRun) -> None:
    series = next(named.id for named in day.records(Interned) if named.name == "price.index")
    index = [observation.value for observation in day.records(Observation) if observation.series_id == series]
    assert min(index) < 0 < 300 < max(index)
    trades = [trade.price_ticks for trade in day.records(Trade)]
    assert min(trades) < 0 < max(trades)
    assert day.summary["prices"]["min"] == pytest.approx(min(trades) / 100)
    assert day.summary["prices"]["index_max"] == max(index)


def test_nothing_is_traded_outside_the_opening_hours(day: DayRun, listings: dict[int, ListingDefinition]) -> None:
    dealt = day.of(Trade) + [e for e in day.of(ExecutionReport) if e.record.kind == ReportKind.FILL]
    sent = [e for e in day.of(Order) if e.record.action == IntentAction.NEW and e.record.state == OrderState.ROUTED]
    assert len(dealt) > 1_000 and len(sent) > 1_000
    for entry in dealt + sent:
        listing = listings[entry.record.listing_id]
        assert listing.opens_ns <= entry.at_ns < listing.gate_closure_ns


# Orders.


def test_every_fill_has_an_order_and_every_order_an_end(day: DayRun) -> None:
    orders: dict[int, Order] = {}
    leaves: dict[int, int] = {}
    ended: set[int] = set()
    fills = 0
    for entry in day.of(Order, ExecutionReport):
        record = entry.record
        if type(record) is Order:
            if record.action == IntentAction.NEW and record.state == OrderState.ROUTED:
                assert record.order_id not in orders
                orders[record.order_id], leaves[record.order_id] = record, record.qty_lots
            continue
        order = orders[record.order_id]
        assert (record.strategy_id, record.listing_id) == (order.strategy_id, order.listing_id)
        if record.kind == ReportKind.FILL:
            fills += 1
            assert record.order_id not in ended and record.side == order.side and record.last_lots > 0
            if order.kind != OrderKind.MARKET:
                assert SIGN[record.side] * record.last_ticks <= SIGN[record.side] * order.price_ticks
            leaves[record.order_id] -= record.last_lots
            assert record.leaves_lots == leaves[record.order_id] >= 0
        if record.kind in ENDED or (record.kind == ReportKind.FILL and not record.leaves_lots):
            assert record.order_id not in ended
            ended.add(record.order_id)
    assert fills > 500
    assert ended == orders.keys()


def test_the_summary_says_what_the_journal_says(day: DayRun) -> None:
    new = [o for o in day.records(Order) if o.action == IntentAction.NEW]
    sent = {o.order_id for o in new if o.state == OrderState.ROUTED}
    refused = [o for o in new if o.state == OrderState.REFUSED]
    reports = day.records(ExecutionReport)
    fills = [r for r in reports if r.kind == ReportKind.FILL]
    said = day.summary["orders"]
    assert said["sent"] == len(sent) == day.info["extra"]["orders_sent"]
    assert said["refused"] == len(refused) == day.info["extra"]["orders_refused"]
    assert said["asked"] == len(sent) + len(refused) == sum(i.action == 1 for i in day.records(OrderIntent))
    assert said["fills"] == len(fills) == day.info["extra"]["fills"]
    assert said["touched"] == len({r.order_id for r in fills})
    assert said["cancelled"] == sum(r.kind == ReportKind.CANCELLED for r in reports)
    assert day.summary["refusals"] == {Reason(k).name: n for k, n in Counter(o.reason for o in refused).items()}
    assert day.summary["prices"]["trades"] == len(day.records(Trade))
    assert sum(day.summary["events"].values()) == len(day.entries)
    # The market's orders are the background traders' and ours.
    assert 6_500 < day.info["orders"] - len(sent) < 9_500
    assert 0 < day.summary["tick_to_order"]["p50_ns"] <= day.summary["tick_to_order"]["p99_ns"]


def test_slippage_is_the_cost_against_the_mid_at_decision(day: DayRun, listings: dict[int, ListingDefinition]) -> None:
    orders = {o.order_id: o for o in day.records(Order) if o.state == OrderState.ROUTED}
    for name in ("decision", "arrival"):
        cost_ticks = cost = energy = 0.0
        for fill in day.records(ExecutionReport):
            half_ticks = getattr(orders[fill.order_id], f"{name}_half_ticks")
            if fill.kind != ReportKind.FILL or half_ticks == -(2**63):
                continue
            listing = listings[fill.listing_id]
            mwh = fill.last_lots * listing.lot_kw / 1000 * listing.interval_count / 4
            ticks = SIGN[fill.side] * (fill.last_ticks - half_ticks / 2)
            cost_ticks += ticks * mwh
            cost += ticks * listing.tick_micro / 1e6 * mwh
            energy += mwh
        said = day.summary[name]
        assert said["ticks"] == pytest.approx(cost_ticks / energy)
        assert said["price"] == pytest.approx(cost / energy)
        assert said["cost"] == pytest.approx(cost)


# Positions and money.


class Book:
    """What one strategy holds in one listing, counted from its fills."""

    def __init__(self) -> None:
        self.bought = self.sold = self.cash_micro = 0


def books(day: DayRun, listings: dict[int, ListingDefinition]) -> dict[tuple[int, int], Book]:
    held: dict[tuple[int, int], Book] = defaultdict(Book)
    for fill in day.records(ExecutionReport):
        if fill.kind == ReportKind.FILL:
            book = held[fill.strategy_id, fill.listing_id]
            if fill.side == Side.BUY:
                book.bought += fill.last_lots
            else:
                book.sold += fill.last_lots
            per_tick = listings[fill.listing_id].cash_micro_per_lot_tick
            book.cash_micro -= SIGN[fill.side] * fill.last_lots * fill.last_ticks * per_tick
    return held


def test_positions_are_the_sum_of_the_fills(day: DayRun, listings: dict[int, ListingDefinition]) -> None:
    last = {(p.strategy_id, p.listing_id): p for p in day.records(Position)}
    held = books(day, listings)
    assert last.keys() == held.keys()
    for key, book in held.items():
        said = last[key]
        assert (said.bought_lots, said.sold_lots, said.cash_micro) == (book.bought, book.sold, book.cash_micro)
        assert said.net_lots == book.bought - book.sold


def test_no_money_appears_or_disappears(day: DayRun, listings: dict[int, ListingDefinition]) -> None:
    last = {(p.strategy_id, p.listing_id): p for p in day.records(Pnl)}
    totals: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    for (strategy_id, listing_id), book in books(day, listings).items():
        said, listing = last[strategy_id, listing_id], listings[listing_id]
        value_micro = (book.bought - book.sold) * said.mark_ticks * listing.cash_micro_per_lot_tick
        assert said.realised_micro + said.unrealised_micro == book.cash_micro + value_micro
        # 0.10 EUR for each MWh that changed hands.
        watt_hours = (book.bought + book.sold) * listing.lot_kw * listing.interval_count * 250
        assert said.fees_micro == watt_hours // 10
        for at, amount in enumerate((said.realised_micro, said.unrealised_micro, said.fees_micro)):
            totals[strategy_id][at] += amount
    assert any(book.bought != book.sold for book in books(day, listings).values())
    for strategy_id, amounts in totals.items():
        said = last[strategy_id, 0]
        assert [said.realised_micro, said.unrealised_micro, said.fees_micro] == amounts
    made = sum(r + u - f for r, u, f in totals.values()) / 1e6
    lines = day.summary["pnl"]
    imbalance = sum(line["total"] for line in lines if line["product"] == "imbalance")
    whole = sum(line["total"] for line in lines if not line["product"])
    assert whole == pytest.approx(made + imbalance)
    assert whole == pytest.approx(sum(flow.amount_micro for flow in day.records(CashFlow)) / 1e6)  # all is paid for


class Exposure:
    """Net position and working orders of one strategy in each quarter-hour, in lots of 100 kW."""

    def __init__(self, limit_lots: int) -> None:
        self.limit_lots = limit_lots
        self.net: dict[int, int] = defaultdict(int)
        self.working: dict[int, dict[int, int]] = {Side.BUY: defaultdict(int), Side.SELL: defaultdict(int)}
        self.reached_lots = 0

    def would_reach(self, quarters: range, side: int, lots: int) -> int:
        return max(SIGN[side] * self.net[q] + self.working[side][q] + lots for q in quarters)

    def work(self, quarters: range, side: int, lots: int) -> None:
        for quarter in quarters:
            self.working[side][quarter] += lots
            assert self.working[side][quarter] >= 0
        self.check(quarters)

    def fill(self, quarters: range, side: int, lots: int) -> None:
        for quarter in quarters:
            self.working[side][quarter] -= lots
            self.net[quarter] += SIGN[side] * lots
        self.check(quarters)

    def check(self, quarters: range) -> None:
        reach = max(self.would_reach(quarters, side, 0) for side in (Side.BUY, Side.SELL))
        assert reach <= self.limit_lots
        self.reached_lots = max(self.reached_lots, reach)


def test_no_quarter_hour_is_ever_beyond_its_limit(day: DayRun, listings: dict[int, ListingDefinition]) -> None:
    """Walk the day: what was let pass kept within the limit, and each order refused for it would have broken it."""
    limits = {
        limit.strategy_id: limit.value
        for limit in day.records(Limit)
        if limit.kind == LimitKind.POSITION_MAX_LOTS and limit.strategy_id
    }
    assert sorted(limits.values()) == [15, 25]
    exposures = {strategy_id: Exposure(limit) for strategy_id, limit in limits.items()}
    spans = {
        i: range(first := listing.interval_start_ns // QUARTER_NS, first + listing.interval_count)
        for i, listing in listings.items()
    }
    # The check is asked when the intent is handled; the order that says how it went follows.
    fate = {e.cause_seq: e.record for e in day.of(Order) if e.record.action == IntentAction.NEW}
    working: dict[int, list[Any]] = {}
    refused = 0
    for entry in day.of(OrderIntent, Order, ExecutionReport):
        record = entry.record
        if type(record) is OrderIntent:
            order = fate.get(entry.seq)
            if order is None:
                continue
            exposure, span = exposures[order.strategy_id], spans[order.listing_id]
            if order.state == OrderState.REFUSED and order.reason == Reason.POSITION:
                refused += 1
                assert exposure.would_reach(span, order.side, order.qty_lots) > exposure.limit_lots
            elif order.state == OrderState.ROUTED or order.reason == Reason.SELF_TRADE:  # the check after it
                exposure.work(span, order.side, order.qty_lots)
                working[order.order_id] = [exposure, span, order.side, order.qty_lots]
        elif type(record) is Order:
            if record.state == OrderState.REFUSED and record.order_id in working:
                exposure, span, side, lots = working.pop(record.order_id)
                exposure.work(span, side, -lots)
        elif record.kind == ReportKind.FILL:
            exposure, span, side, _ = working[record.order_id]
            exposure.fill(span, side, record.last_lots)
            working[record.order_id][3] -= record.last_lots
        elif record.kind in ENDED:
            exposure, span, side, lots = working.pop(record.order_id)
            exposure.work(span, side, -lots)
    assert refused == sum(v.reason == Reason.POSITION for v in day.records(CheckVerdict)) > 100
    # The market maker goes to its limit, and the walk has seen it.
    assert max(exposure.reached_lots for exposure in exposures.values()) == 25


# The same again.


def test_the_day_is_the_same_in_another_process_with_a_display(day: DayRun, tmp_path: Path) -> None:
    again = penstock(
        "run", deployment(tmp_path, SMALL, TIGHT), "--plain", "--no-report", cwd=tmp_path, PYTHONHASHSEED="2"
    )
    assert again.status == 0, again.err
    assert again.left == []
    assert "100%" in again.err and "P&L" in again.err  # the display's lines
    assert again.out.splitlines()[-1] == f"journal sha256:{day.info['digest']}"


def test_another_seed_makes_another_day(day: DayRun, tmp_path: Path) -> None:
    path = deployment(tmp_path, SMALL, TIGHT)
    other = penstock("run", path, "--seed", "2", "--for", "20000", "--quiet", "--no-report", cwd=tmp_path)
    assert other.status == 0, other.err
    run = only_run(tmp_path / "runs")
    ours, theirs = day.records(Observation), run.records(Observation)
    assert len(theirs) > 40
    assert not any(a.value == b.value for a, b in zip(ours, theirs, strict=False))
    # It ends where it was told to: 20,000 s after 14:45.
    assert run.entries[-1].at_ns - run.entries[0].at_ns == 20_000 * 10**9


@pytest.mark.parametrize(("date", "quarters", "hours"), [("2026-03-29", 92, 23), ("2025-10-26", 100, 25)])
def test_days_on_which_clocks_change_have_fewer_or_more_hours(
    date: str, quarters: int, hours: int, tmp_path: Path
) -> None:
    few = {"exchange": "orders_per_day = 3_000\nstep_s = 120.0", "mm_de": "requote_s_min = 600.0"}
    path = deployment(tmp_path, few)
    ended = penstock("run", path, "--day", date, "--quiet", "--no-report", cwd=tmp_path)
    assert ended.status == 0, ended.err
    run = only_run(tmp_path / "runs")
    listings = run.records(ListingDefinition)
    assert Counter(listing.interval_count for listing in listings) == {1: quarters, 4: hours}
    starts = sorted(listing.interval_start_ns for listing in listings if listing.interval_count == 1)
    assert [b - a for a, b in pairwise(starts)] == [QUARTER_NS] * (quarters - 1)
    closed = {s.listing_id for s in run.records(SessionState) if s.status == SessionStatus.CLOSED}
    assert closed == {listing.listing_id for listing in listings}
    traded = {trade.listing_id for trade in run.records(Trade)}
    assert len(traded) == quarters + hours


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_full_day_has_a_hundred_thousand_orders_and_a_million_events(tmp_path: Path) -> None:
    ended = penstock("run", deployment(tmp_path, {}), "--quiet", cwd=tmp_path)
    assert ended.status == 0, ended.err
    run = only_run(tmp_path / "runs")
    print(f"\n{run.info['events']:,} events, {run.summary['orders']['sent']:,} orders in {run.info['wall_s']} s")
    assert run.info["events"] >= 1_000_000
    assert run.summary["orders"]["sent"] >= 100_000
