"""Proves that the built-in plugins live through midnight: days roll, nothing outlives its gate, and memory stays flat.

A desk of all plugins trades several days at a hundredth of the usual flow, clock changes in the middle. `resume` starts
a later session as an instance does.
"""

from __future__ import annotations

import pickle
from collections import Counter
from datetime import date, timedelta
from functools import cache
from itertools import islice, pairwise
from typing import Any

import pytest

from penstock_plugins.compliance.fat_finger import FatFinger
from penstock_plugins.feeds.synthetic_prices import SyntheticPrices, SyntheticPricesConfig
from penstock_plugins.portfolio.positions import Positions, PositionsConfig
from penstock_plugins.risk.limits import RiskLimits
from penstock_plugins.strategies.market_maker import MarketMaker, MarketMakerConfig
from penstock_plugins.strategies.mean_reversion import MeanReversion, MeanReversionConfig
from penstock_plugins.venues.exchange import Exchange, ExchangeConfig
from penstock_sdk.energy import TradingDays, announced_ns, delivery_day
from penstock_sdk.events import (
    Alert,
    AuctionResult,
    BookPriceDelta,
    ExecutionReport,
    IdKind,
    ListingDefinition,
    Observation,
    Order,
    OrderState,
    PluginFault,
    Pnl,
    Position,
    Quote,
    Reason,
    ReportKind,
    SessionState,
    SessionStatus,
    Trade,
)
from penstock_sdk.schema import ABSENT
from penstock_sdk.testing import SimKernel

HOUR_NS = 3_600_000_000_000
ZONE = "DE-LU"


def add_all(kernel: SimKernel, first: str, days: int | str, *, desk: bool = True) -> None:
    flow = {"orders_per_day": 3_000, "step_s": 30.0}
    kernel.add(Exchange, "exchange", ExchangeConfig(delivery_day=first, days=days, **flow))  # type: ignore[arg-type]
    kernel.add(SyntheticPrices, "prices", SyntheticPricesConfig(delivery_day=first, days=days))  # type: ignore[arg-type]
    if desk:
        kernel.add(RiskLimits, "risk")
        kernel.add(FatFinger, "fat_finger")
        kernel.add(MarketMaker, "mm", MarketMakerConfig(requote_s_min=60.0))
        kernel.add(MeanReversion, "reversion", MeanReversionConfig(samples_min=3, edge_ticks_min=20))
        # Kept for a day, so that days later as much is forgotten as is added.
        kernel.add(Positions, "portfolio", PositionsConfig(late_days=1))


def begun(first: str, days: int | str, *, desk: bool = True) -> SimKernel:
    kernel = SimKernel(seed=3, start_ns=announced_ns(ZONE, date.fromisoformat(first)))
    add_all(kernel, first, days, desk=desk)
    kernel.start()
    return kernel


def resume(held: dict[str, Any], at_ns: int, first: str, days: int | str = "rolling") -> SimKernel:
    """Begin a later session of what an earlier one left, as an instance does."""
    kernel = SimKernel(seed=3)
    kernel.carry(pickle.loads(pickle.dumps(held)))
    kernel.moment.now_ns = at_ns
    add_all(kernel, first, days)
    kernel.wire()
    for slot in kernel.slots.values():
        assert kernel.carry_plugin(slot, held)
    for slot in list(kernel.slots.values()):
        kernel.start_plugin(slot, resumed=True)
    kernel._feeds = [(s, s.plugin.events(), []) for s in kernel.slots.values() if isinstance(s.plugin, SyntheticPrices)]
    return kernel


def end_ns(day: str, days_after: int = 0) -> int:
    return delivery_day(ZONE, date.fromisoformat(day) + timedelta(days=days_after)).end_ns


def listings(kernel: SimKernel) -> dict[int, ListingDefinition]:
    return {listing.listing_id: listing for listing in kernel.definitions(IdKind.LISTING)}


def per_day(kernel: SimKernel, product: str) -> dict[str, int]:
    names = [listing.name.split() for listing in listings(kernel).values()]
    return dict(Counter(name[3] for name in names if name[2] == product))


def nothing_went_wrong(kernel: SimKernel) -> None:
    assert kernel.of(PluginFault) == []
    assert kernel.of(Alert) == []


@cache
def four_days() -> tuple[SimKernel, list[tuple[int, dict[str, int]]]]:
    """Return four days from the day before the clocks go forward, and sizes of every state, told each evening."""
    kernel, sizes = begun("2026-03-28", "rolling"), []
    for hour, at_ns in enumerate(range(kernel.moment.now_ns, end_ns("2026-03-31"), HOUR_NS)):
        kernel.run_until(at_ns)
        gates = listings(kernel)
        assert all(gates[held.order.listing_id].gate_closure_ns > at_ns for held in kernel.desk.open.values())
        if hour % 24 == 6:
            states = {name: len(pickle.dumps(slot.plugin.snapshot())) for name, slot in kernel.slots.items()}
            states["desk"] = len(pickle.dumps(kernel.desk.snapshot()["mids"]))
            states["history"] = len(pickle.dumps(kernel.history_kept.snapshot()))
            sizes.append((at_ns, states))
    kernel.run_until(end_ns("2026-03-31"))
    return kernel, sizes


def test_each_day_is_announced_in_its_turn_with_the_quarter_hours_it_has() -> None:
    kernel, _ = four_days()
    assert per_day(kernel, "QH") == {
        "2026-03-28": 96, "2026-03-29": 92, "2026-03-30": 96, "2026-03-31": 96, "2026-04-01": 96,
    }  # fmt: skip
    assert per_day(kernel, "H") == {
        "2026-03-28": 24, "2026-03-29": 23, "2026-03-30": 24, "2026-03-31": 24, "2026-04-01": 24,
    }  # fmt: skip
    nothing_went_wrong(kernel)
    first_seen = {}
    for _, at_ns, record in kernel.events:
        if isinstance(record, ListingDefinition):
            first_seen.setdefault(record.name.split()[3], at_ns)
    assert first_seen == {day: announced_ns(ZONE, date.fromisoformat(day)) for day in first_seen}
    auctions = Counter(record.listing_id for record in kernel.of(AuctionResult))
    assert set(auctions.values()) == {1}
    assert len(auctions) == len(listings(kernel))
    index_id = kernel.intern_input(IdKind.SERIES, "price.index")
    index = [record.valid_to_ns for record in kernel.of(Observation) if record.series_id == index_id]
    assert {after - before for before, after in pairwise(index)} == {HOUR_NS // 12}


def test_the_autumn_day_has_a_hundred_quarter_hours_and_both_second_hours() -> None:
    kernel = begun("2026-10-24", 3)
    kernel.run_until(end_ns("2026-10-27"))
    assert per_day(kernel, "QH") == {"2026-10-24": 96, "2026-10-25": 100, "2026-10-26": 96}
    traded = {listings(kernel)[trade.listing_id].name for trade in kernel.of(Trade)}
    assert {"exchange DE-LU QH 2026-10-25 02:15A", "exchange DE-LU QH 2026-10-25 02:15B"} <= traded
    assert kernel.slots["exchange"].plugin._markets == {}
    assert not kernel.desk.open
    assert kernel.timers.next_ns() is None
    nothing_went_wrong(kernel)


def test_no_order_outlives_its_gate_and_none_is_left_without_an_end() -> None:
    kernel, _ = four_days()
    gates, ended, routed = listings(kernel), Counter(), {}
    for _, at_ns, record in kernel.events:
        if isinstance(record, Order) and record.state == OrderState.ROUTED:
            routed[record.order_id] = record.listing_id
            assert at_ns < gates[record.listing_id].gate_closure_ns
        elif isinstance(record, ExecutionReport):
            over = record.kind in (ReportKind.CANCELLED, ReportKind.EXPIRED, ReportKind.REJECTED)
            ended[record.order_id] += over or (record.kind == ReportKind.FILL and not record.leaves_lots)
            if record.kind == ReportKind.FILL:
                assert at_ns < gates[record.listing_id].gate_closure_ns
    gone = [
        order_id for order_id, listing_id in routed.items() if gates[listing_id].gate_closure_ns <= end_ns("2026-03-31")
    ]
    assert len(gone) > 1_000
    assert [order_id for order_id in gone if ended[order_id] != 1] == []
    assert len({gates[listing_id].name.split()[3] for listing_id in routed.values()}) == 5


def test_state_does_not_grow_with_the_days() -> None:
    kernel, sizes = four_days()
    # From the second evening on two days trade at once; the clock change makes the days differ by a few listings.
    second, last = sizes[1][1], sizes[-1][1]
    assert len(sizes) == 5
    for name in second:
        assert last[name] <= 1.1 * second[name] + 3_000, (name, [states[name] for _, states in sizes])
    room = kernel.slots["risk"].plugin._room
    assert room.slots.width <= 2 * 125 + 1
    assert len(room.intervals) <= 2 * 100
    assert len(kernel.slots["mm"].plugin._sides) <= 2 * 125
    assert kernel.slots["mm"].plugin._quotes.cells.shape[1] == 256
    assert len(kernel.desk._half_ticks) <= 2 * 125
    assert len(kernel.slots["mm"].plugin._anchors) <= 2 * 125
    assert len(kernel.slots["exchange"].plugin._markets) <= 2


def test_a_new_listing_in_a_slot_that_was_used_before_begins_with_nothing() -> None:
    kernel = begun("2026-03-28", "rolling")
    announced = announced_ns(ZONE, date(2026, 3, 30))
    kernel.run_until(announced - 1)
    before = {name: dict(kernel.slots[name].plugin._slots.slot_of) for name in ("reversion", "fat_finger")}
    kernel.run_until(announced)
    new = [i for i, listing in listings(kernel).items() if "2026-03-30" in listing.name]
    assert len(new) == 120
    for name, table, blank in (("reversion", "_table", ABSENT), ("fat_finger", "_best", ABSENT)):
        plugin = kernel.slots[name].plugin
        slots = [plugin._slots.slot_of[i] for i in new]
        assert len(set(slots) & set(before[name].values())) > 100
        assert set(getattr(plugin, table)[0, slots].tolist()) == {blank}
    assert not kernel.slots["reversion"].plugin._table[3, slots].any()  # net lots
    maker = kernel.slots["mm"].plugin._quotes
    assert set(maker.cells[0, [maker.slots.slot_of[i] for i in new]].tolist()) == {ABSENT}  # fair value
    risk = kernel.slots["risk"].plugin
    slots = [risk._room.slots.slot_of[i] for i in new]
    assert set(risk._mid[:, slots].ravel().tolist()) == {ABSENT}
    portfolio = kernel.slots["portfolio"].plugin
    assert {portfolio._marks.mark(i) for i in new} == {(ABSENT, ABSENT)}
    assert not any(listing_id in new for _, _, listing_id in portfolio._holdings)


def test_the_same_seed_gives_the_same_days() -> None:
    digests = []
    for _ in range(2):
        kernel = begun("2026-03-28", "rolling")
        kernel.run_until(end_ns("2026-03-28", 0) + 10 * HOUR_NS)
        digests.append(kernel.digest())
    assert digests[0] == digests[1]


def flow_of(kernel: SimKernel, day: str) -> list[tuple[Any, ...]]:
    """Return a delivery day's market data without the ids that hang on what was listed before."""
    names, out = {i: listing.name for i, listing in listings(kernel).items()}, []
    for _, at_ns, record in kernel.events:
        if isinstance(record, Trade | BookPriceDelta | Quote) and names[record.listing_id].split()[3] == day:
            fields = [getattr(record, name) for name in record.__struct_fields__ if name != "listing_id"]
            out.append((at_ns, type(record).__name__, names[record.listing_id], *fields))
    return out


def test_a_days_background_flow_is_the_same_whichever_day_the_instance_began() -> None:
    early, late = begun("2026-03-28", "rolling", desk=False), begun("2026-03-29", 1_000, desk=False)
    for kernel in (early, late):
        kernel.run_until(end_ns("2026-03-29"))
    flow = flow_of(early, "2026-03-29")
    assert len(flow) > 5_000
    assert flow == flow_of(late, "2026-03-29")
    assert flow_of(early, "2026-03-28") != flow


def test_what_is_dealt_in_one_day_does_not_depend_on_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    def fills(kernel: SimKernel) -> list[tuple[Any, ...]]:
        kernel.run_until(end_ns("2026-03-28"))
        names = {i: listing.name for i, listing in listings(kernel).items()}
        return [
            (at_ns, names[r.listing_id], r.strategy_id, r.side, r.last_ticks, r.last_lots, r.trade_id)
            for _, at_ns, r in kernel.events
            if isinstance(r, ExecutionReport) and r.kind == ReportKind.FILL and "2026-03-28" in names[r.listing_id]
        ]

    both = begun("2026-03-28", "rolling")
    with_the_next = fills(both)
    alone_auctions = SyntheticPrices._auctions
    monkeypatch.setattr(TradingDays, "next", lambda self, after, now_ns: None)
    monkeypatch.setattr(SyntheticPrices, "_auctions", staticmethod(lambda *args: islice(alone_auctions(*args), 1)))
    alone = begun("2026-03-28", "rolling")
    assert fills(alone) == with_the_next
    assert len(with_the_next) > 100
    assert set(per_day(alone, "QH")) == {"2026-03-28"}
    assert len(per_day(both, "QH")) == 2

    def positions(kernel: SimKernel) -> dict[tuple[int, int], int]:
        held = {(p.strategy_id, p.listing_id): p.net_lots for p in kernel.of(Position)}
        return {key: net for key, net in held.items() if "2026-03-28" in listings(kernel)[key[1]].name}

    assert positions(alone) == positions(both)


def test_profit_of_days_gone_by_stays_in_the_totals() -> None:
    kernel, _ = four_days()
    terms, net, flow = listings(kernel), Counter[tuple[int, int]](), Counter[tuple[int, int]]()
    for report in kernel.of(ExecutionReport):
        if report.kind == ReportKind.FILL:
            signed = report.last_lots if report.side == 1 else -report.last_lots
            net[report.strategy_id, report.listing_id] += signed
            flow[report.strategy_id, report.listing_id] -= signed * report.last_ticks
    last = {(row.strategy_id, row.listing_id): row for row in kernel.of(Pnl)}
    # A total is the sum of the last that was told of each listing; those delivered are settled.
    for strategy_id in {key[0] for key in net}:
        rows = [row for (who, listing_id), row in last.items() if who == strategy_id and listing_id]
        for field in ("realised_micro", "unrealised_micro", "fees_micro"):
            met = getattr(last[strategy_id, 0], field)
            assert met == sum(getattr(row, field) for row in rows)
    now_ns = announced_ns(ZONE, date(2026, 4, 1))
    over = {key: row for key, row in last.items() if key[1] and terms[key[1]].interval_start_ns < now_ns - HOUR_NS}
    assert len(over) > 100
    assert sum(net[key] != 0 for key in over) > 10
    for key, row in over.items():
        # Realised is what was received, and what was left at the last mark.
        assert row.unrealised_micro == 0
        left = net[key] * row.mark_ticks if net[key] else 0
        assert row.realised_micro == (flow[key] + left) * terms[key[1]].cash_micro_per_lot_tick


# A later session of the same instance.


def stopped_at(at_ns: int) -> tuple[SimKernel, dict[str, Any]]:
    kernel = begun("2026-03-28", "rolling")
    kernel.run_until(at_ns)
    kernel.stop()
    return kernel, kernel.snapshot()


def test_an_instance_that_slept_for_days_reports_what_ended_and_trades_the_day_it_wakes_in() -> None:
    noon_ns = end_ns("2026-03-28") - 12 * HOUR_NS
    kernel, held = four_days_less(noon_ns)
    open_before = dict(kernel.desk.open)
    assert len(open_before) > 50
    later_ns = end_ns("2026-04-02") - 10 * HOUR_NS  # 14:00 of another day, before the next is announced
    again = resume(held, later_ns, "2026-03-28")
    # Every order of the day that is over has ended, by its gate; nothing else was told of the gap.
    assert again.desk.open == {}
    expired = {r.order_id for r in again.of(ExecutionReport) if r.reason == Reason.GATE_CLOSED}
    assert expired == set(open_before)
    assert {r.kind for r in again.of(ExecutionReport)} == {ReportKind.EXPIRED}
    assert again.of(Trade) == []
    assert {listing.name.split()[3] for listing in again.of(ListingDefinition)} == {"2026-04-02"}
    before = len(again.of(BookPriceDelta))
    again.run_until(later_ns + 45 * 60 * 10**9 - 1)
    assert "2026-04-03" not in per_day(again, "QH")
    again.run_until(later_ns + 4 * HOUR_NS)
    assert per_day(again, "QH") == {"2026-03-28": 96, "2026-04-02": 96, "2026-04-03": 96}
    # Background orders come at their usual rate: some 120 steps an hour, no burst.
    assert 200 < len(again.of(BookPriceDelta)) - before < 5_000
    assert any(order.state == OrderState.ROUTED for order in again.of(Order))
    assert len(again.slots["mm"].plugin._sides) <= 2 * 125
    assert {int(gate.gate_closure_ns > later_ns) for i, gate in listings(again).items() if i in routed_in(again)} == {1}
    index_id = again.intern_input(IdKind.SERIES, "price.index")
    assert [seen.valid_to_ns for seen in again.of(Observation) if seen.series_id == index_id] == list(
        range(later_ns, later_ns + 4 * HOUR_NS + 1, HOUR_NS // 12)
    )
    nothing_went_wrong(again)


def routed_in(kernel: SimKernel) -> set[int]:
    return {order.listing_id for order in kernel.of(Order) if order.state == OrderState.ROUTED}


def four_days_less(at_ns: int) -> tuple[SimKernel, dict[str, Any]]:
    """Return an instance that was cut, not stopped: its orders still rest."""
    kernel = begun("2026-03-28", "rolling")
    kernel.run_until(at_ns)
    return kernel, kernel.snapshot()


def test_a_short_stop_leaves_the_books_as_they_were_and_opens_what_fell_due() -> None:
    # Stopped at 14:40, up again at 16:10: hours opened at 15:00 and quarter-hours at 16:00, of a day not yet announced.
    stop_ns = announced_ns(ZONE, date(2026, 3, 29)) - 5 * 60 * 10**9
    kernel, held = stopped_at(stop_ns)
    start_ns = stop_ns + 90 * 60 * 10**9
    again = resume(held, start_ns, "2026-03-28")
    opened = {s.listing_id for s in again.of(SessionState) if s.status == SessionStatus.OPEN}
    open_now = {i for i, one in listings(again).items() if one.opens_ns <= start_ns < one.gate_closure_ns}
    again.run_until(start_ns)
    opened |= {s.listing_id for s in again.of(SessionState) if s.status == SessionStatus.OPEN}
    assert opened == open_now | {i for i, one in listings(again).items() if "2026-03-29" in one.name}
    market = again.slots["exchange"].plugin._markets[date(2026, 3, 28).toordinal()]
    was = kernel.slots["exchange"].plugin._markets[date(2026, 3, 28).toordinal()]
    late = [book for book, gate_ns in enumerate(was.gates_ns) if gate_ns > start_ns]
    for book in late:
        assert (
            market.books.snapshot_of(book, 50, 0).array.tobytes() == was.books.snapshot_of(book, 50, 0).array.tobytes()
        )
    again.run_until(end_ns("2026-03-29"))
    assert not any("2026-03-28" in listings(again)[held.order.listing_id].name for held in again.desk.open.values())
    routed = {order.strategy_id for order in again.of(Order) if order.state == OrderState.ROUTED}
    assert again.slots["mm"].plugin_id in routed
    nothing_went_wrong(again)


def test_a_carried_session_cut_at_once_and_carried_again_is_the_same() -> None:
    at_ns = end_ns("2026-03-28") - 5 * HOUR_NS
    _, held = four_days_less(at_ns)
    once = resume(held, at_ns + HOUR_NS, "2026-03-28")
    twice = resume(held, at_ns + HOUR_NS, "2026-03-28")
    for kernel in (once, twice):
        kernel.run_until(at_ns + 3 * HOUR_NS)
    assert once.digest() == twice.digest()


@pytest.mark.parametrize("name", ["exchange", "risk", "fat_finger", "mm", "reversion", "portfolio"])
def test_a_state_of_another_version_is_refused_by_name(name: str) -> None:
    kernel = begun("2026-03-28", "rolling")
    plugin = kernel.slots[name].plugin
    state = plugin.snapshot()
    wanted = state["version"]
    with pytest.raises(ValueError, match=f"^state of {name} met version 1, wanted {wanted}; let it hear the journal"):
        plugin.restore({key: value for key, value in state.items() if key != "version"})


def test_a_finished_row_of_days_announces_nothing_more_after_a_resume() -> None:
    kernel = begun("2026-03-28", 2)
    kernel.run_until(end_ns("2026-03-28"))
    again = resume(kernel.snapshot(), end_ns("2026-03-31"), "2026-03-28", 2)
    again.run_until(end_ns("2026-04-01"))
    assert set(per_day(again, "QH")) == {"2026-03-28", "2026-03-29"}
    assert not again.desk.open
    assert again.slots["exchange"].plugin._markets == {}


def test_a_day_by_itself_is_followed_by_the_day_that_a_later_session_names() -> None:
    kernel = begun("2026-03-28", 1)
    kernel.run_until(end_ns("2026-03-28"))
    at_ns = announced_ns(ZONE, date(2026, 3, 30))
    again = resume(kernel.snapshot(), at_ns, "2026-03-30", 1)
    again.run_until(at_ns + 3 * HOUR_NS)
    names = {listings(again)[trade.listing_id].name.split()[3] for trade in again.of(Trade)}
    assert names == {"2026-03-30"}
    nothing_went_wrong(again)
