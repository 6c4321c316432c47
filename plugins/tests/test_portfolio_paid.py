"""What is paid takes the place of the last marks: in the end profit is cash, per book and currency, to the micro."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock_plugins.portfolio.positions import Positions, PositionsConfig
from penstock_plugins.settlement.service import Settlement, SettlementConfig
from penstock_sdk.events import (
    Alert,
    CashFlow,
    DeliverySchedule,
    IdKind,
    PluginFault,
    Pnl,
    PnlAttribution,
    TradeSource,
)
from penstock_sdk.testing import SimKernel
from plugins.tests.settlement_market import HOUR_NS, QUARTER_NS, Paper, berlin

EUR = 1_000_000
BOOKS = ("power", "other")


class Desk(Paper):
    """A market on paper with a portfolio beside settlement."""

    def __init__(self, start: str = "2026-03-09 12:00", pnl_period_s: float = 900.0, **config: object) -> None:
        self.kernel = SimKernel(seed=1, start_ns=berlin(start))
        self.pnl_period_s = pnl_period_s
        self.config = config
        self._add()
        self.trades = 0

    def _add(self) -> None:
        self.folio = self.kernel.add(
            Positions, "portfolio", PositionsConfig(pnl_period_s=self.pnl_period_s, **self.config)
        )
        self.plugin = self.kernel.add(Settlement, "settlement", SettlementConfig(**self.config))

    def again(self) -> Desk:
        """Go on in another process."""
        state = self.kernel.snapshot()
        self.before = [*getattr(self, "before", []), *self.kernel.of(CashFlow)]
        self.kernel = SimKernel(seed=1, start_ns=self.kernel.moment.now_ns)
        self._add()
        self.kernel.start()
        self.kernel.restore(state)
        return self

    def plan(self, source: str, kilowatts: int, start_ns: int, end_ns: int, book: str = "power") -> None:
        """Let an asset deliver."""
        source_id = self.id(IdKind.SOURCE, source)
        self.kernel.feed(
            DeliverySchedule(
                self.id(IdKind.ZONE, "DE-LU"), self.id(IdKind.BOOK, book), source_id, start_ns=start_ns, end_ns=end_ns,
                amount=kilowatts,
            )
        )  # fmt: skip

    def profit(self) -> dict[tuple[int, int], tuple[int, int]]:
        """Return (realised less fees, unrealised) by book and currency, as it stands."""
        total: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0])
        for row in self.folio.standing():
            if isinstance(row, Pnl):
                total[row.book_id, row.currency_id][0] += row.realised_micro - row.fees_micro
                total[row.book_id, row.currency_id][1] += row.unrealised_micro
        return {key: (realised, open_micro) for key, (realised, open_micro) in total.items() if realised or open_micro}

    def cash(self) -> dict[tuple[int, int], tuple[int, int]]:
        """Return what is due by book and currency, of all kinds, and nothing open."""
        total: dict[tuple[int, int], int] = defaultdict(int)
        for flow in [*getattr(self, "before", []), *self.flows()]:
            total[flow.book_id, flow.currency_id] += flow.amount_micro
        return {key: (micro, 0) for key, micro in total.items() if micro}

    def sound(self) -> None:
        """Nothing was said, and each row of profit is what its parts add up to."""
        assert self.kernel.of(PluginFault) == [] and self.kernel.of(Alert) == []
        for row, part in zip(self.kernel.of(Pnl), self.kernel.of(PnlAttribution), strict=True):
            assert (row.listing_id, row.book_id, row.strategy_id) == (part.listing_id, part.book_id, part.strategy_id)
            assert (
                part.market_micro + part.delay_micro + part.execution_micro == row.realised_micro + row.unrealised_micro
            )


def following(day: str, days: int = 1) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


# (contract, lots, ticks, book): at which price, negative or zero, anything is dealt.
TRADES = st.lists(
    st.tuples(
        st.sampled_from(["H", "Q", "D", "FORWARD", "FUTURE"]), st.integers(-9, 9).filter(bool),
        st.integers(-900, 900), st.sampled_from(BOOKS),
    ),
    min_size=1, max_size=6,
)  # fmt: skip


@pytest.mark.parametrize(("day", "quarters"), [("2026-03-29", 92), ("2026-03-11", 96), ("2026-10-25", 100)])
@settings(max_examples=25, deadline=None)
@given(
    TRADES, st.lists(st.integers(-50_000, 50_000), min_size=6, max_size=6), st.integers(-900, 900),
    st.sampled_from([0, 3_000, -2_500]), st.booleans(), st.booleans(),
)  # fmt: skip
def test_a_day_delivered_and_paid_has_made_what_it_brought(
    day: str, quarters: int, trades: list[tuple[str, int, int, str]], cents: list[int], mark: int, asset_kw: int,
    metered: bool, restarts: bool,
) -> None:  # fmt: skip
    desk = Desk(f"{following(day, -2)} 12:00", pnl_period_s=3_600.0).open()
    start_ns, end_ns = berlin(f"{day} 00:00"), berlin(f"{following(day)} 00:00")
    whole = (f"{day} 00:00", f"{following(day)} 00:00")
    listings = {
        "H": desk.lists("H", f"{day} 05:00", f"{day} 06:00"),
        "Q": desk.lists("Q", f"{day} 05:15", f"{day} 05:30"),
        "D": desk.lists("D", *whole),
        "FORWARD": desk.lists("FORWARD", *whole, payment="monthly", lot_kw=700),
        "FUTURE": desk.lists("FUTURE", *whole, payment="variation"),
    }
    for name, lots, ticks, book in trades:
        desk.trade(listings[name], lots, ticks, book=book)
    for at, listing_id in enumerate(listings.values()):
        desk.mark(listing_id, mark + at)
    if asset_kw:
        desk.plan("asset.wind", asset_kw, start_ns, end_ns)
    versions = [0, 2, 1]
    for nth in range(quarters):
        at_ns = start_ns + nth * QUARTER_NS
        desk.kernel.run_until(at_ns + QUARTER_NS)
        for version in versions[: 1 + nth % 2]:
            value = (cents[(nth + version) % 6] + nth) / 100
            desk.observe("imbalance.price.DE-LU", value, at_ns, at_ns + QUARTER_NS, version=version)
        if metered and nth % 3 == 0:
            desk.observe("meter.power", cents[nth % 6] / 7_000, at_ns, at_ns + QUARTER_NS, unit="MWh", version=1)
        if restarts and nth == quarters // 2:
            desk.again()
    desk.trade(listings["Q"], 2, -77, book="other")  # told after delivery
    if metered:  # a meter value that is read again, and a price of a later version
        desk.observe("meter.power", 3.7, start_ns, end_ns, unit="MWh", version=7)
    desk.observe("imbalance.price.DE-LU", -123.45, start_ns, end_ns, version=5)
    desk.until(f"{following(day)} 06:00")
    assert desk.profit() == desk.cash()
    desk.sound()


def test_what_is_paid_of_a_forward_in_delivery_replaces_its_share_at_once() -> None:
    desk = Desk(fee_micro_per_mwh=0).open()
    deal = desk.lists("OTC", "2026-03-11 00:00", "2026-03-12 00:00", payment="monthly")
    desk.trade(deal, 4, 5_000, source=TradeSource.OTC)
    desk.mark(deal, 6_000)
    desk.until("2026-03-11 06:00")
    for nth in range(24):  # 1 MWh each
        desk.imbalance(-10.0, f"2026-03-11 {nth // 4:02}:{15 * (nth % 4):02}")
    desk.flows()
    (found,) = desk.profit().values()
    assert found == ((-10 - 60) * 24 * EUR, (60 - 50) * 96 * EUR)
    assert sum(found) == -50 * 96 * EUR + -10 * 24 * EUR + 60 * 72 * EUR  # paid, received, and what is to come
    desk.mark(deal, 7_000)
    assert sum(next(iter(desk.profit().values()))) == -50 * 96 * EUR + -10 * 24 * EUR + 70 * 72 * EUR
    desk.kernel.run_until(desk.kernel.moment.now_ns + QUARTER_NS)
    row, total = desk.kernel.of(Pnl)[-2:]
    assert (row.listing_id, row.realised_micro, row.unrealised_micro) == (deal, 0, 20 * 96 * EUR)
    assert (total.listing_id, total.realised_micro, total.unrealised_micro) == (0, -80 * 24 * EUR, 20 * 96 * EUR)
    desk.sound()


def test_books_and_currencies_are_apart_and_what_nobody_pays_keeps_its_mark() -> None:
    desk = Desk(fee_micro_per_mwh=0).open()
    german = desk.lists("DE", "2026-03-11 00:00", "2026-03-11 01:00")
    british = desk.lists("GB", "2026-03-11 01:00", "2026-03-11 02:00", zone="GB")
    for listing_id in (german, british):
        desk.trade(listing_id, 4, 5_000)
        desk.trade(listing_id, -4, 4_000, book="other")
        desk.mark(listing_id, 6_000)
    desk.until("2026-03-11 03:00")
    desk.imbalance(100.0, "2026-03-11 00:00", 4)
    desk.flows()
    power, other = (desk.id(IdKind.BOOK, name) for name in BOOKS)
    euro, pound = (desk.id(IdKind.CURRENCY, name) for name in ("EUR", "GBP"))
    assert desk.profit() == {
        (power, euro): (200 * EUR, 0), (other, euro): (-240 * EUR, 0),
        (power, pound): (40 * EUR, 0), (other, pound): (-80 * EUR, 0),
    }  # fmt: skip


def test_values_are_kept_as_long_as_later_versions_count_and_no_longer() -> None:
    desk = Desk(keep_days=2).open()
    hour = desk.lists("H", "2026-03-11 00:00", "2026-03-11 01:00")
    for nth in range(2, 9):
        desk.trade(desk.lists(f"H{nth}", f"2026-03-1{nth} 00:00", f"2026-03-1{nth} 01:00"), 4, 1_000)
    desk.trade(hour, 4, 1_000)
    desk.until("2026-03-11 02:00")
    desk.imbalance(5.0, "2026-03-11 00:00", 4)
    for nth in range(2, 9):
        desk.until(f"2026-03-1{nth} 02:00")
        desk.imbalance(float(nth), f"2026-03-1{nth} 00:00", 2)  # two quarter-hours never get a price
    desk.flows()
    state = desk.folio.snapshot()["ledger"]["paid"]
    assert [len(starts) for *_, starts in state["heard"]] == [2 * 2]
    assert [len(values) for *_, values in state["waiting"]] == [2 * 2]


# Swaps.


def index(desk: Desk, start_ns: int, hours: int, value: float, version: int = 0) -> None:
    desk.observe("price.DE-LU.da", value, start_ns, start_ns + hours * HOUR_NS, version=version)


def swap_row(desk: Desk, listing_id: int) -> tuple[int, int]:
    row = [row for row in desk.kernel.of(Pnl) if row.listing_id == listing_id][-1]
    return row.realised_micro, row.unrealised_micro


def test_a_swap_has_realised_what_its_months_brought() -> None:
    desk = Desk("2026-03-29 12:00", fee_micro_per_mwh=0).open()
    deal = desk.lists("SWAP", "2026-03-31 00:00", "2026-04-02 00:00", payment="monthly", physical=False)
    desk.trade(deal, 10, 9_525, source=TradeSource.OTC)
    desk.mark(deal, 9_600)
    desk.until("2026-03-30 15:00")
    index(desk, berlin("2026-03-31 00:00"), 24, -90.0)
    desk.until("2026-03-30 16:00")
    march = 240 * (-90_000_000 - 95_250_000)
    assert swap_row(desk, deal) == (march, 240 * 750_000)  # April as marked
    index(desk, berlin("2026-03-31 00:00"), 24, -80.0, version=1)
    desk.until("2026-03-31 15:00")
    index(desk, berlin("2026-04-01 00:00"), 24, 100.0)
    desk.until("2026-03-31 16:00")
    realised = 240 * (-80_000_000 - 95_250_000) + 240 * (100_000_000 - 95_250_000)
    assert swap_row(desk, deal) == (realised, 0)
    assert desk.profit() == desk.cash()
    desk.sound()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-9, 9).filter(bool), st.integers(-900, 900)), min_size=1, max_size=4),
    st.permutations([(part, version) for part in range(3) for version in range(2)]), st.booleans(),
    st.lists(st.integers(-90_000, 90_000), min_size=6, max_size=6), st.integers(0, 6), st.integers(0, 6),
    st.integers(0, 6),
)  # fmt: skip
def test_a_swap_is_cash_in_the_end_whatever_comes_first(
    trades: list[tuple[int, int]], sent: list[tuple[int, int]], marked: bool, cents: list[int], over_at: int,
    restart_at: int, correct_at: int,
) -> None:  # fmt: skip
    desk = Desk("2026-03-29 12:00", pnl_period_s=86_400.0).open()
    # Three months: the last day of one, a whole one, the first hours of the next.
    deal = desk.lists("SWAP", "2026-03-31 00:00", "2026-05-01 07:00", payment="monthly", physical=False, lot_kw=700)
    starts = [berlin(f"2026-{day} 00:00") for day in ("03-31", "04-01", "05-01")] + [berlin("2026-05-01 07:00")]
    for lots, ticks in trades:
        desk.trade(deal, lots, ticks, source=TradeSource.OTC)
    if marked:
        desk.mark(deal, -777)
    for at, (part, version) in enumerate([*sent, (-1, 0)]):
        if at == over_at:
            desk.until("2026-05-01 12:00")
        if at == restart_at:
            desk.again()
        if at == correct_at:
            desk.trade(deal, -trades[0][0], trades[0][1], source=TradeSource.CORRECTION)
        if part >= 0:
            hours = (starts[part + 1] - starts[part]) // HOUR_NS
            index(desk, starts[part], hours, cents[2 * part + version] / 100, version)
            desk.flows()
    desk.until("2026-05-01 14:00")
    assert desk.profit() == desk.cash()
    desk.sound()
