"""Mean reversion enters when a mid strays far against its own past, and leaves at the mean or before the gate."""

from __future__ import annotations

import msgspec
import pytest

from penstock_plugins.strategies.mean_reversion import MeanReversion, MeanReversionConfig
from penstock_sdk.events import ExecutionReport, IdKind, OrderIntent, OrderKind, OrderState, Quote, ReportKind, Side
from penstock_sdk.schema import ABSENT

BUY, SELL = int(Side.BUY), int(Side.SELL)
PLAIN = MeanReversionConfig(
    size_lots=4, position_limit_lots=6, mean_s=600, entry_sigmas=2.0, edge_ticks_min=30, spread_ticks_max=40,
    window_s=300, samples_min=5, warm_up_s=60, cooldown_s=10, flat_before_gate_s=600, sample_s=0,
)  # fmt: skip
CALM = [1000, 1010, 990, 1005, 995] * 4


def build(bench, config=PLAIN, listings=1):
    made = bench(listings=listings)
    made.add(MeanReversion, "mr", config)
    made.start()
    for step, mid in enumerate(CALM):
        made.quote(10 * step, *((i, mid - 10, 5, mid + 10, 5) for i in range(1, listings + 1)))
    assert made.kernel.of(OrderIntent) == []
    return made


def deal(made, lots):
    """Fill the order that is out, and let the venue cancel its rest."""
    order = made.orders(OrderState.ROUTED)[-1]
    made.fill(order, lots)
    if lots < order.qty_lots:
        report = ExecutionReport(
            order.order_id, order.listing_id, ReportKind.CANCELLED, order.side, strategy_id=order.strategy_id
        )
        made.kernel.feed(report, producer="venue")


def last(made):
    intent = made.kernel.of(OrderIntent)[-1]
    return (intent.side, intent.price_ticks, intent.qty_lots)


def test_buys_what_falls_far_below_its_mean_at_the_price_shown(bench):
    made = build(bench)
    made.quote(200, (1, 900, 5, 920, 5))
    assert last(made) == (BUY, 920, 4)
    intent = made.kernel.of(OrderIntent)[-1]
    assert (intent.kind, intent.decision_half_ticks) == (OrderKind.IOC, 1820)


def test_sells_what_rises_far_above_it(bench):
    made = build(bench)
    made.quote(200, (1, 1080, 5, 1100, 5))
    assert last(made) == (SELL, 1080, 4)


def test_a_listing_for_reference_is_never_traded(bench):
    made = bench(listings=1)
    made.add(MeanReversion, "mr", PLAIN)
    made.start()
    first = made.kernel.definitions(IdKind.LISTING)[0]
    made.kernel.feed(msgspec.structs.replace(first, listing_id=9, name="marked", reference_only=True))
    for step, mid in enumerate([*CALM, 910]):
        made.quote(10 * step, (9, mid - 10, 5, mid + 10, 5))
    assert made.kernel.of(OrderIntent) == []
    for step, mid in enumerate([*CALM, 910]):
        made.quote(300 + 10 * step, (1, mid - 10, 5, mid + 10, 5))
    assert [intent.listing_id for intent in made.kernel.of(OrderIntent)] == [1]


@pytest.mark.parametrize(
    "change",
    [
        {"entry_sigmas": 20.0},
        {"edge_ticks_min": 200},
        {"spread_ticks_max": 19},
        {"samples_min": 100},
        {"warm_up_s": 300},
        {"flat_before_gate_s": 3450},
        {"listings": ("X*",)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_condition_alone_keeps_it_out(bench, change):
    made = build(bench, msgspec.structs.replace(PLAIN, **change))
    made.quote(200, (1, 900, 5, 920, 5))
    assert made.kernel.of(OrderIntent) == []


def test_leaves_when_the_mid_is_back_at_the_mean(bench):
    made = build(bench)
    made.quote(200, (1, 900, 5, 920, 5))
    deal(made, 3)
    made.quote(220, (1, 960, 5, 980, 5))
    made.quote(230, (1, 1000, 5, 1020, 5))
    assert last(made) == (SELL, 1000, 3)


def test_adds_up_to_its_limit_and_no_further(bench):
    made = build(bench)
    made.quote(200, (1, 900, 5, 920, 5))
    deal(made, 4)
    made.quote(220, (1, 880, 5, 900, 5))
    assert last(made) == (BUY, 900, 2)
    deal(made, 2)
    made.quote(240, (1, 800, 5, 820, 5))
    assert len(made.kernel.of(OrderIntent)) == 2


def test_one_order_at_a_time_and_none_within_the_cooldown(bench):
    made = build(bench)
    made.quote(200, (1, 900, 5, 920, 5))
    made.quote(300, (1, 860, 5, 880, 5))
    assert len(made.kernel.of(OrderIntent)) == 1
    deal(made, 1)
    made.quote(301, (1, 840, 5, 860, 5))
    assert last(made) == (BUY, 860, 4)
    deal(made, 1)
    made.quote(305, (1, 820, 5, 840, 5))
    assert len(made.kernel.of(OrderIntent)) == 2


def test_is_flat_before_the_gate_closes_at_any_price_shown(bench):
    made = build(bench)
    made.quote(200, (1, 900, 5, 920, 5))
    deal(made, 4)
    made.quote(2999, (1, 900, 5, 920, 5))
    sent = len(made.kernel.of(OrderIntent))
    made.quote(3001, (1, 700, 5, 1500, 5))
    assert last(made) == (SELL, 700, 4)
    assert len(made.kernel.of(OrderIntent)) == sent + 1
    deal(made, 4)
    made.quote(3100, (1, 100, 5, 120, 5))
    assert len(made.kernel.of(OrderIntent)) == sent + 1


def test_an_empty_side_and_a_stale_price_are_no_mid(bench):
    made = build(bench)
    made.quote(200, (1, 900, 5, ABSENT, 0))
    made.kernel.feed(Quote(1, 3, 0, 0, 900, 5, 920, 5), at_ns=230 * 10**9)
    assert made.kernel.of(OrderIntent) == []


def test_a_pause_keeps_it_out_and_its_end_lets_it_in(bench):
    made = build(bench)
    made.kernel.command("pause", target="mr")
    made.quote(200, (1, 900, 5, 920, 5))
    assert made.kernel.of(OrderIntent) == []
    made.kernel.command("resume", target="mr")
    made.quote(220, (1, 900, 5, 920, 5))
    assert last(made) == (BUY, 920, 4)


def test_a_restored_strategy_continues_as_if_nothing_had_happened(bench):
    straight, resumed = build(bench, listings=2), build(bench, listings=2)
    for made in (straight, resumed):
        made.quote(200, (1, 900, 5, 920, 5), (2, 990, 5, 1010, 5))
        deal(made, 3)
    again = bench(listings=0)
    again.add(MeanReversion, "mr", PLAIN)
    again.kernel.start()
    again.kernel.restore(resumed.kernel.snapshot())
    for made in (straight, again):
        made.quote(220, (1, 860, 5, 880, 5), (2, 1090, 5, 1110, 5))
        made.quote(240, (1, 1000, 5, 1020, 5), (2, 990, 5, 1010, 5))
    before = len(resumed.kernel.of(OrderIntent))
    assert again.kernel.of(OrderIntent) == straight.kernel.of(OrderIntent)[before:]
    assert len(again.kernel.of(OrderIntent)) >= 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"size_lots": 0}, "^Expected `int` >= 1 - at `[$].size_lots`"),
        ({"window_s": 7200.0}, "^Expected `float` <= 1800.0 - at `[$].window_s`"),
        ({"entry_sigmas": -1.0}, "^Expected `float` >= 0.0 - at `[$].entry_sigmas`"),
    ],
)
def test_a_config_that_makes_no_strategy_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        msgspec.convert(wrong, MeanReversionConfig)
