"""Each example in sdk/examples does what its text says, in numbers worked out by hand, and stays small."""

from __future__ import annotations

import ast
import importlib
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pluggy
import pytest

from penstock_sdk import hooks
from penstock_sdk.core.wiring import handlers_of
from penstock_sdk.discovery import read_path
from penstock_sdk.energy import hours
from penstock_sdk.events import (
    Alert,
    CheckResult,
    ContractDefinition,
    ExecutionReport,
    Forecast,
    IdKind,
    IntentAction,
    LevelFlag,
    ListingDefinition,
    Observation,
    Order,
    OrderIntent,
    OrderKind,
    OrderState,
    Position,
    Quote,
    Reason,
    ReportKind,
    Side,
    TaskResult,
    Trade,
)
from penstock_sdk.manifest import KINDS, PluginManifest
from penstock_sdk.schema import Frame, schema_by_id
from penstock_sdk.testing import SimKernel
from sdk.examples.counting_operations import CountingOperations, CountingOperationsConfig
from sdk.examples.csv_feed import CsvFeed, CsvFeedConfig
from sdk.examples.embargo_compliance import EmbargoCompliance, EmbargoComplianceConfig
from sdk.examples.fill_all_venue import FillAllVenue
from sdk.examples.forecast_strategy import ForecastStrategy
from sdk.examples.gate_risk import GateRisk
from sdk.examples.hello_strategy import HelloStrategy
from sdk.examples.history_strategy import HistoryStrategy
from sdk.examples.net_portfolio import NetPortfolio
from sdk.examples.own_record import JumpModel, JumpWatch, PriceJump
from sdk.examples.quantile_model import QuantileModel, QuantileModelConfig
from sdk.examples.run_hook import RunHook
from sdk.examples.slice_execution import SliceExecution, SliceExecutionConfig
from sdk.examples.turnover_offload import I64, TurnoverOffload, array_turnover
from sdk.examples.zone_refdata import ZoneRefData, ZoneRefDataConfig

EXAMPLES = Path(__file__).parents[1] / "examples"
MODULES = sorted(EXAMPLES.glob("*.py"))
MANIFESTS = read_path(EXAMPLES, dict.fromkeys(KINDS, (1,)))
SECOND_NS = 1_000_000_000
HOUR_NS = 3_600 * SECOND_NS
FIRST_HOUR_NS = hours("DE-LU", date(2026, 3, 10))[0].start_ns


def market(*embargoed: str) -> SimKernel:
    """Return a kernel with a venue, checks and the 24 hours of a day to come, their listings numbered from 1."""
    kernel = SimKernel(seed=1)
    kernel.add(FillAllVenue, "venue")
    kernel.add(GateRisk, "gate")
    kernel.add(EmbargoCompliance, "embargo", EmbargoComplianceConfig(zones=embargoed))
    kernel.add(ZoneRefData, "hours")
    return kernel


def offer(ask_ticks: int, listing_id: int = 1) -> Quote:
    return Quote(listing_id, ask_ticks=ask_ticks, ask_lots=5)


def fill(listing_id: int, side: Side, lots: int) -> ExecutionReport:
    return ExecutionReport(1, listing_id, ReportKind.FILL, side, last_ticks=100, last_lots=lots)


# Venue and reference data.


def test_the_venue_fills_every_order_whole_at_its_own_price():
    kernel = market()
    kernel.add(HelloStrategy, "hello")
    kernel.start()
    kernel.feed(offer(-100))
    reports = [(r.kind, r.side, r.last_ticks, r.last_lots, r.trade_id) for r in kernel.of(ExecutionReport)]
    assert reports == [(ReportKind.FILL, Side.BUY, -100, 1, 1)]
    assert kernel.of(Trade) == [Trade(1, Side.BUY, price_ticks=-100, qty_lots=1, trade_id=1)]
    assert not kernel.desk.open


def test_the_venue_lists_what_is_announced_with_the_money_of_a_tick():
    kernel = market()
    kernel.start()
    first = kernel.of(ListingDefinition)[0]
    assert len(kernel.of(ListingDefinition)) == 24
    assert (first.name, first.interval_count) == ("venue DE-LU H 2026-03-10 00", 4)
    assert first.cash_micro_per_lot_tick == 1_000  # 0.01 EUR/MWh on 0.1 MW over an hour is 0.001 EUR
    assert FIRST_HOUR_NS - first.gate_closure_ns == 300 * SECOND_NS


def test_the_venue_rejects_an_order_without_a_price():
    venue = market().slots["venue"].plugin
    report = venue.on_order(Order(7, 1, IntentAction.NEW, Side.BUY, OrderKind.MARKET, qty_lots=1))
    assert (report.kind, report.reason, report.last_lots) == (ReportKind.REJECTED, Reason.NO_LIQUIDITY, 0)


@pytest.mark.parametrize(("day", "count"), [("2026-03-10", 24), ("2026-03-29", 23), ("2026-10-25", 25)])
def test_reference_data_announces_the_hours_of_the_day(day: str, count: int):
    kernel = SimKernel()
    kernel.add(ZoneRefData, "hours", ZoneRefDataConfig(delivery_day=day))
    kernel.start()
    contracts = kernel.of(ContractDefinition)
    assert len(contracts) == count
    assert contracts[0].name == f"DE-LU H {day} 00"
    assert {contract.delivery_end_ns - contract.delivery_start_ns for contract in contracts} == {HOUR_NS}


# Feed and models.


def prices(folder: Path, *lines: str) -> CsvFeedConfig:
    """Return the config of a feed that reads these lines."""
    file = folder / "prices.csv"
    file.write_text("at_utc,price_eur_mwh\n" + "".join(f"{line}\n" for line in lines))
    return CsvFeedConfig(path=str(file))


def test_the_feed_says_each_price_at_its_time(tmp_path: Path):
    kernel = SimKernel()
    kernel.add(CsvFeed, "feed", prices(tmp_path, "1970-01-01T00:00,62.5", "1970-01-01T01:00,-4.25"))
    kernel.start()
    kernel.run_until(HOUR_NS - 1)
    assert [seen.value for seen in kernel.of(Observation)] == [62.5]
    kernel.run_until(HOUR_NS)
    assert [(seen.known_at_ns, seen.value) for seen in kernel.of(Observation)] == [(0, 62.5), (HOUR_NS, -4.25)]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("1970-01-01T00:59,1", "at_utc met 1970-01-01T00:59, wanted later than above; sort by time$"),
        ("1970-01-01T01:00,1", "at_utc met 1970-01-01T01:00, wanted later than above; sort by time$"),
        ("1970-01-01T02:00,nan", "price_eur_mwh met nan, wanted a number; leave the line out$"),
    ],
)
def test_the_feed_refuses_a_bad_line_by_its_number_and_keeps_what_came_before(tmp_path: Path, line: str, error: str):
    kernel = SimKernel()
    kernel.add(CsvFeed, "feed", prices(tmp_path, "1970-01-01T01:00,62.5", line))
    kernel.start()
    with pytest.raises(ValueError, match=rf"prices\.csv:3: {error}"):
        kernel.run_until(3 * HOUR_NS)
    assert [seen.value for seen in kernel.of(Observation)] == [62.5]


def test_the_feed_reads_the_file_beside_it_when_no_path_is_given():
    kernel = SimKernel()
    kernel.add(CsvFeed, "feed")
    kernel.start()
    kernel.run_until(FIRST_HOUR_NS)
    assert [seen.value for seen in kernel.of(Observation)] == [62.5, 58.0, -4.25, 41.0]


def test_the_model_says_low_middle_and_high_of_the_last_values():
    kernel = SimKernel()
    kernel.add(QuantileModel, "model", QuantileModelConfig(window=5, horizon_h=1))
    kernel.start()
    index, other = (kernel.intern_input(IdKind.SERIES, name) for name in ("price.index", "load"))
    for at_ns, value in enumerate((1_000.0, 50.0, 20.0, 40.0, 10.0)):  # one value short: the load is no price
        kernel.feed(Observation(index if at_ns else other, known_at_ns=at_ns, value=value))
    assert kernel.of(Forecast) == []
    kernel.feed(Observation(index, known_at_ns=7, value=30.0))
    said = kernel.of(Forecast)
    assert [forecast.quantile_bp for forecast in said] == [1_000, 5_000, 9_000]
    assert [forecast.value for forecast in said] == pytest.approx([14.0, 30.0, 46.0])  # 0.4 of a step from either end
    assert [forecast.place for forecast in said] == [LevelFlag.FIRST, LevelFlag.NONE, LevelFlag.LAST]
    assert {(forecast.valid_from_ns, forecast.valid_to_ns) for forecast in said} == {(7, 7 + HOUR_NS)}


def test_the_model_tells_of_work_that_failed():
    kernel = SimKernel()
    model = kernel.add(QuantileModel, "model")
    kernel.start()
    kernel.feed(TaskResult(plugin_id=model.ctx.plugin_id, task_id=1, ok=False, error="MemoryError"))
    assert [(alert.code, alert.subject, alert.met) for alert in kernel.of(Alert)] == [
        ("model.failed", "model", "MemoryError")
    ]


def test_a_record_of_ones_own_is_said_by_one_plugin_and_heard_by_another():
    kernel = SimKernel()
    kernel.add(JumpModel, "jumps")
    kernel.add(JumpWatch, "watch")
    kernel.start()
    series = kernel.intern_input(IdKind.SERIES, "price.index")
    for value in (10.0, 60.0, 11.0, -39.0):  # by 50, by 49, by 50
        kernel.feed(Observation(series, known_at_ns=9, value=value))
    assert kernel.of(PriceJump) == [PriceJump(series, 50.0, source_ns=9), PriceJump(series, -50.0, source_ns=9)]
    assert [(alert.subject, alert.met) for alert in kernel.of(Alert)] == [
        ("price.index", "+50.00 in one step"),
        ("price.index", "-50.00 in one step"),
    ]


# Those who trade.


def test_the_history_strategy_buys_well_below_the_mean_offer_once():
    kernel = market()
    kernel.add(HistoryStrategy, "history")
    kernel.start()
    kernel.feed(Quote(1))  # an empty side is no offer
    for ask_ticks in (1_000, 1_000, 1_000, 400):  # the mean is 850 with the last, which lies 450 below it
        kernel.feed(offer(ask_ticks))
    assert kernel.of(OrderIntent) == []
    kernel.feed(offer(50))  # the mean is 690, 640 above
    kernel.feed(offer(0))
    assert [(i.side, i.price_ticks, i.qty_lots) for i in kernel.of(OrderIntent)] == [(Side.BUY, 50, 1)]


def test_the_history_strategy_forgets_what_is_older_than_its_window():
    kernel = market()
    kernel.add(HistoryStrategy, "history")
    kernel.start()
    for _ in range(3):
        kernel.feed(offer(1_000), at_ns=0)
    kernel.feed(offer(0), at_ns=900 * SECOND_NS)
    assert kernel.of(OrderIntent) == []


def test_the_forecast_strategy_buys_below_the_low_quantile_where_the_forecast_holds():
    kernel = market()
    kernel.add(ForecastStrategy, "forecast")
    kernel.start()
    series = kernel.intern_input(IdKind.SERIES, "price.index")
    kernel.feed(offer(-9_000))  # nothing is forecast yet
    window = {"valid_from_ns": FIRST_HOUR_NS, "valid_to_ns": FIRST_HOUR_NS + HOUR_NS}
    kernel.feed(
        Frame.of([Forecast(series, quantile_bp=bp, value=value, **window) for bp, value in ((1_000, 40), (9_000, 80))])
    )
    kernel.feed(offer(4_000))  # 40.00 is not below
    kernel.feed(offer(0, listing_id=2))  # delivers an hour later
    kernel.feed(offer(3_999))
    kernel.feed(offer(3_999))
    assert [(i.listing_id, i.price_ticks, i.qty_lots) for i in kernel.of(OrderIntent)] == [(1, 3_999, 1)]


SLICES = SliceExecutionConfig(
    listing="venue DE-LU H 2026-03-10 01", qty_lots=10, limit_ticks=-250, slices=3, every_s=60
)


def test_the_execution_algorithm_slices_its_order_over_timers():
    kernel = market()
    kernel.add(SliceExecution, "slices", SLICES)
    kernel.start()
    kernel.run_until(HOUR_NS)
    sent = [(at_ns // SECOND_NS, i.listing_id, i.qty_lots) for _, at_ns, i in kernel.events if type(i) is OrderIntent]
    assert sent == [(0, 2, 4), (60, 2, 3), (120, 2, 3)]
    assert sum(report.last_lots for report in kernel.of(ExecutionReport)) == 10


def test_what_a_slice_did_not_get_is_spread_over_those_that_follow():
    kernel = market("DE-LU")
    kernel.add(SliceExecution, "slices", SLICES)
    kernel.start()
    kernel.run_until(HOUR_NS)
    assert [intent.qty_lots for intent in kernel.of(OrderIntent)] == [4, 5, 10]


# Checks, portfolio, operations, offload, hook.


def test_the_risk_check_refuses_what_comes_too_late():
    kernel = SimKernel()
    gate = kernel.add(GateRisk, "gate")
    listing_id = kernel.add_listing("QH 01:00", venue_id=0, gate_closure_ns=HOUR_NS)
    kernel.run_until(HOUR_NS - 300 * SECOND_NS)
    assert gate.check_order(Order(1, listing_id)).result == CheckResult.PASSED
    kernel.run_until(HOUR_NS - 300 * SECOND_NS + 1)
    late = gate.check_order(Order(2, listing_id))
    assert (late.result, late.reason, late.met, late.limit) == (
        CheckResult.REFUSED, Reason.GATE_CLOSED, 299_999_999_999, 300_000_000_000,
    )  # fmt: skip


@pytest.mark.parametrize(("embargoed", "state"), [("FR", OrderState.ROUTED), ("DE-LU", OrderState.REFUSED)])
def test_the_compliance_check_refuses_an_embargoed_zone(embargoed: str, state: OrderState):
    kernel = market(embargoed)
    kernel.add(HelloStrategy, "hello")
    kernel.start()
    kernel.feed(offer(-100))
    (order,) = kernel.of(Order)
    assert (order.state, order.reason) == (state, Reason.NONE if embargoed == "FR" else Reason.MARKET_ABUSE)


def test_the_portfolio_nets_what_is_bought_and_sold_in_a_listing():
    kernel = SimKernel()
    kernel.add(NetPortfolio, "net")
    noon, later = (kernel.add_listing(name, venue_id=0) for name in ("noon", "later"))
    kernel.start()
    for report in (fill(noon, Side.BUY, 10), fill(later, Side.SELL, 3), fill(noon, Side.SELL, 4)):
        kernel.feed(report)
    kernel.feed(ExecutionReport(1, noon, ReportKind.CANCELLED, Side.BUY))
    positions = [(p.listing_id, p.net_lots, p.bought_lots, p.sold_lots) for p in kernel.of(Position)]
    assert positions == [(noon, 10, 10, 0), (later, -3, 0, 3), (noon, 6, 10, 4)]
    assert kernel.logged[-1] == "INFO net: net listing=noon mw=0.6"


def test_the_operations_plugin_counts_and_alerts_once_a_row():
    kernel = market("DE-LU")
    kernel.add(HelloStrategy, "hello")
    counting = kernel.add(CountingOperations, "counting", CountingOperationsConfig(refusals_max=3))
    kernel.start()
    for listing_id in range(1, 6):
        kernel.feed(offer(-100, listing_id))
    assert (counting.ctx.cell("refused").n, counting.ctx.cell("routed").n) == (5, 0)
    (alert,) = kernel.of(Alert)
    assert (alert.subject, alert.met) == ("hello", "3 refusals in a row, the last for MARKET_ABUSE")
    kernel.feed(Order(1, state=OrderState.ROUTED))
    for number in range(3):
        kernel.feed(Order(number, state=OrderState.REFUSED))
    assert (counting.ctx.cell("refused").n, counting.ctx.cell("routed").n) == (8, 1)
    assert len(kernel.of(Alert)) == 2


class NarrowOffload(TurnoverOffload):
    """A device of 32 bits, which the third golden vector does not fit."""

    @staticmethod
    def device(price_ticks: I64, qty_lots: I64) -> I64:
        return array_turnover(price_ticks.astype(np.int32), qty_lots.astype(np.int32))


@pytest.mark.parametrize(
    ("offload", "met"), [(TurnoverOffload, []), (NarrowOffload, ["1409065408 for (999900, 10000)"])]
)
def test_a_device_joins_only_if_it_agrees_and_the_sum_is_right_without_it(
    offload: type[TurnoverOffload], met: list[str]
):
    kernel = SimKernel()
    turnover = kernel.add(offload, "turnover")
    kernel.start()
    assert turnover.joined is (not met)
    assert [alert.met for alert in kernel.of(Alert)] == met  # 9,999,000,000 less twice 2³²
    kernel.feed(Trade(1, price_ticks=-500, qty_lots=10))
    kernel.feed(Frame.of([Trade(1, price_ticks=20, qty_lots=3), Trade(1, price_ticks=400_000, qty_lots=10_000)]))
    assert turnover.ctx.cell("turnover").n == 5_000 + 60 + 4_000_000_000


def test_the_hook_hears_the_end_of_a_run(tmp_path: Path):
    kernel = SimKernel()
    hook = kernel.add(RunHook, "hook")
    kernel.start()
    for report in (fill(1, Side.BUY, 2), fill(1, Side.SELL, 1)):
        kernel.feed(report)
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    manager.register(hook)
    manager.hook.penstock_run_ended(run_dir=tmp_path, status="complete")
    assert (tmp_path / "ended.txt").read_text() == "complete, 2 fills\n"


# All of them.


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_an_example_is_short_and_imports_nothing_of_ours_but_the_sdk(module: Path):
    text = module.read_text(encoding="utf-8")
    imported = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            imported |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).split(".")[0])
    assert len(text.splitlines()) <= 90  # the venue: there are many ways in which an order must be refused
    assert imported - set(sys.stdlib_module_names) <= {"penstock_sdk", "msgspec", "numpy"}


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest.id)
def test_an_entry_of_the_manifest_says_what_its_class_is_and_hears(manifest: PluginManifest):
    module, _, name = manifest.class_path.partition(":")
    cls = getattr(importlib.import_module(f"sdk.examples.{module}"), name)
    plugin = SimKernel().add(cls, "plugin")
    heard = {schema_by_id(schema_id).topic for schema_id, _ in handlers_of(plugin, cls.kind)}
    assert (cls.kind, cls.deterministic) == (manifest.kind, manifest.deterministic)
    assert heard == set(manifest.topics_in)
    assert manifest.capabilities == (("orders.write",) if cls.kind in ("strategy", "execution") else ())


def test_every_example_and_every_kind_stands_in_the_manifest():
    assert {manifest.class_path.partition(":")[0] for manifest in MANIFESTS} == {path.stem for path in MODULES}
    assert {manifest.kind for manifest in MANIFESTS} == set(KINDS)
