"""A year becomes months and quarters, a quarter months: MWh, profit and exposure are as before, for every account."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock_plugins.portfolio.positions import Positions, PositionsConfig
from penstock_sdk.events import Alert, Cascade, Mark, PluginFault, Pnl, PnlAttribution, Position
from plugins.tests.portfolio_market import BUY, HOUR_NS, SELL, Futures

DAY_NS = 24 * HOUR_NS
# A small year: twelve months of so many hours each, from day 40 on. It ends on day 30, its first quarter too.
HOURS = [31, 28, 30, 30, 31, 30, 31, 31, 30, 32, 30, 31]
START_NS = 40 * DAY_NS
MONTHS = [f"DE-LU M{nth}" for nth in range(1, 13)]
QUARTERS = [f"DE-LU Q{nth}" for nth in range(1, 5)]
YEAR_ENDS_NS = 30 * DAY_NS


class Year(Futures):
    """A year, its quarters and its months, listed at once."""

    def __init__(self, made, *, leave_out=(), **odd):
        super().__init__(made)
        starts = [START_NS + sum(HOURS[:nth]) * HOUR_NS for nth in range(13)]
        self.id = {}
        into = (*MONTHS[:3], *QUARTERS[1:])
        wanted = [("DE-LU Y", starts[0], sum(HOURS), {"product": "Y", "into": into, "ends_ns": YEAR_ENDS_NS})]
        for nth, name in enumerate(QUARTERS):
            ends_ns = YEAR_ENDS_NS + nth * DAY_NS
            more = {"product": "Q", "into": tuple(MONTHS[3 * nth : 3 * nth + 3]), "ends_ns": ends_ns}
            wanted.append((name, starts[3 * nth], sum(HOURS[3 * nth : 3 * nth + 3]), more))
        wanted += [(name, starts[nth], HOURS[nth], {}) for nth, name in enumerate(MONTHS)]
        self.wanted = {name: (start_ns, hours, more | odd.get(name, {})) for name, start_ns, hours, more in wanted}
        for name in self.wanted:
            if name not in leave_out:
                self.list(name)

    def list(self, name):
        start_ns, hours, more = self.wanted[name]
        self.id[name] = self.add(name, start_ns, hours, **more)

    def net_kw(self, **whose):
        grid = self.bench.folio.grid
        return grid.net(self.zone_id, START_NS, START_NS + sum(HOURS) * HOUR_NS, **whose).tolist()

    def held(self, book=1):
        """Return {name: lots} of an account without a strategy."""
        names = {listing_id: name for name, listing_id in self.id.items()}
        return {
            names[p.listing_id]: p.net_lots for p in self.bench.folio.standing()
            if isinstance(p, Position) and p.book_id == book
        }  # fmt: skip


def build(bench, **config):
    made = bench(listings=0)
    made.folio = made.add(Positions, "portfolio", PositionsConfig(fee_micro_per_mwh=1_000, **config))
    return made.start()


def totals(made):
    """Return {(book, currency): (realised, unrealised, fees)} as they stand."""
    return {
        (p.book_id, p.currency_id): (p.realised_micro, p.unrealised_micro, p.fees_micro)
        for p in made.folio.standing()
        if isinstance(p, Pnl)
    }


def codes(made):
    return [alert.code for alert in made.kernel.of(Alert)]


def test_a_year_becomes_three_months_and_three_quarters_then_months(bench):
    made = build(bench)
    year = Year(made)
    year.trade(year.id["DE-LU Y"], BUY, 5_000, 7)
    year.trade(year.id["DE-LU Y"], SELL, -300, 2, book=2)
    made.kernel.feed(Mark(year.id["DE-LU Y"], 2, mark_ticks=4_800))
    energy, sums = year.net_kw(), totals(made)
    assert energy == [5_000] * (4 * sum(HOURS))
    made.kernel.run_until(YEAR_ENDS_NS - 1)
    assert year.held() == {"DE-LU Y": 7}
    made.kernel.run_until(YEAR_ENDS_NS)
    assert year.held() == dict.fromkeys((*MONTHS[:3], *QUARTERS[1:]), 7)
    assert year.held(2) == dict.fromkeys((*MONTHS[:3], *QUARTERS[1:]), -2)
    assert (year.net_kw(), totals(made)) == (energy, sums)
    (cascade,) = made.kernel.of(Cascade)
    assert (cascade.listing_id, cascade.price_ticks) == (year.id["DE-LU Y"], 4_800)
    assert cascade.into == [year.id[name] for name in (*MONTHS[:3], *QUARTERS[1:])]
    made.kernel.run_until(YEAR_ENDS_NS + 3 * DAY_NS)
    assert year.held() == dict.fromkeys(MONTHS, 7)
    assert (year.net_kw(), totals(made)) == (energy, sums)
    assert len(made.kernel.of(Cascade)) == 4
    assert codes(made) == []
    assert made.kernel.of(PluginFault) == []


TRADES = st.lists(
    st.tuples(
        st.sampled_from(["DE-LU Y", *QUARTERS, *MONTHS]), st.sampled_from([BUY, SELL]),
        st.one_of(st.integers(-900, 900), st.just(0)), st.integers(1, 9), st.integers(1, 2),
    ),
    max_size=14,
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TRADES, st.sampled_from([-777, 0, 1, 400]))
def test_whatever_was_held_energy_fees_and_profit_stay(bench, trades, price):
    made = build(bench)
    year = Year(made)
    for name, side, ticks, lots, book in trades:
        year.trade(year.id[name], side, ticks, lots, book=book)
    # One price for all, so that a part's own mark is what the whole was cascaded at.
    for listing_id in year.id.values():
        made.kernel.feed(Mark(listing_id, 2, mark_ticks=price))
    energy, sums = [year.net_kw(book_id=book) for book in (1, 2)], totals(made)
    made.kernel.run_until(YEAR_ENDS_NS + 3 * DAY_NS)
    assert [year.net_kw(book_id=book) for book in (1, 2)] == energy
    assert set(year.held()) | set(year.held(2)) <= set(MONTHS)
    after = totals(made)
    assert after.keys() == sums.keys()
    for key, (realised, unrealised, fees) in sums.items():
        assert sum(after[key][:2]) == realised + unrealised
        assert after[key][2] == fees
    parts, profits = made.kernel.of(PnlAttribution), made.kernel.of(Pnl)
    for part, row in zip(parts, profits, strict=True):
        assert part.market_micro + part.delay_micro + part.execution_micro == row.realised_micro + row.unrealised_micro


def test_parts_without_a_price_are_worth_what_the_whole_was(bench):
    made = build(bench)
    year = Year(made)
    year.trade(year.id["DE-LU Q1"], BUY, 5_000, 7)
    made.kernel.feed(Mark(year.id["DE-LU Q1"], 2, mark_ticks=4_000))
    made.kernel.run_until(YEAR_ENDS_NS)
    rows = [p for p in made.kernel.of(Pnl) if p.listing_id == year.id["DE-LU M1"]]
    assert (rows[-1].mark_ticks, rows[-1].mark_age_ns) == (4_000, YEAR_ENDS_NS)  # the mark is as old as it was
    made.kernel.feed(Mark(year.id["DE-LU M1"], 2, mark_ticks=1))
    made.kernel.stop()
    marks = {p.listing_id: p.mark_ticks for p in made.kernel.of(Pnl)}
    assert [marks[year.id[name]] for name in MONTHS[:3]] == [1, 4_000, 4_000]


def test_without_a_listing_for_each_part_the_position_stays_until_there_is(bench):
    made = build(bench)
    year = Year(made, leave_out=("DE-LU M2", "DE-LU Q3"))
    year.trade(year.id["DE-LU Y"], BUY, 5_000, 7)
    made.kernel.run_until(YEAR_ENDS_NS)
    (alert,) = made.kernel.of(Alert)
    assert alert.code == "portfolio.no_cascade_parts"
    assert "DE-LU M2, DE-LU Q3" in alert.met
    assert year.held() == {"DE-LU Y": 7}
    year.list("DE-LU M2")
    assert year.held() == {"DE-LU Y": 7}
    year.list("DE-LU Q3")
    assert year.held() == dict.fromkeys((*MONTHS[:3], *QUARTERS[1:]), 7)
    assert len(codes(made)) == 1


def test_parts_that_do_not_make_up_the_whole_leave_it_where_it_is(bench):
    made = build(bench)
    year = Year(made, **{"DE-LU M3": {"units": 29}})
    year.trade(year.id["DE-LU Q1"], BUY, 5_000, 7)
    made.kernel.run_until(YEAR_ENDS_NS)
    assert codes(made) == ["portfolio.cascade_refused"]
    assert year.held() == {"DE-LU Q1": 7}
    assert made.kernel.of(Cascade) == []


def test_a_trade_told_after_the_end_goes_on_into_the_parts(bench):
    made = build(bench)
    year = Year(made)
    made.kernel.run_until(YEAR_ENDS_NS + HOUR_NS)
    assert made.kernel.of(Cascade) == []
    year.trade(year.id["DE-LU Q1"], SELL, -50, 3)
    assert year.held() == dict.fromkeys(MONTHS[:3], -3)
    assert totals(made)[1, year.currency_id][:2] == (0, 0)


def test_parts_in_smaller_lots_and_coarser_ticks_hold_the_same_energy_and_money(bench):
    made = build(bench)
    # Lots of 0.1 MW in ticks of 0.04: 31 hours are 3.1 MWh a lot.
    year = Year(made, **{"DE-LU M1": {"lot_kw": 100, "tick_micro": 40_000, "cash_micro_per_lot_tick": 124_000}})
    year.trade(year.id["DE-LU Q1"], BUY, 5_003, 7)
    energy = year.net_kw()
    made.kernel.run_until(YEAR_ENDS_NS)
    assert codes(made) == []
    assert year.held() == {"DE-LU M1": 70, "DE-LU M2": 7, "DE-LU M3": 7}
    assert year.net_kw() == energy
    assert made.kernel.of(Cascade)[0].price_ticks == 5_004  # whole in ticks of 0.04
    # Bought at 50.03, worth 50.04: 7 MW over 89 hours.
    assert totals(made)[1, year.currency_id][:2] == (0, 7 * 89 * 10_000)


def test_a_restored_portfolio_cascades_when_the_contract_ends(bench):
    straight, resumed = build(bench), build(bench)
    years = []
    for made in (straight, resumed):
        year = Year(made, leave_out=("DE-LU M6",))
        year.trade(year.id["DE-LU Y"], BUY, 5_000, 7)
        year.trade(year.id["DE-LU Q2"], BUY, 5_000, 7)
        made.kernel.run_until(YEAR_ENDS_NS + DAY_NS)
        assert codes(made) == ["portfolio.no_cascade_parts"]
        years.append(year)
    again = build(bench)
    again.kernel.restore(resumed.kernel.snapshot())
    years[1].bench, years[1].kernel = again, again.kernel
    count = len(straight.kernel.of(Pnl))
    for year in years:
        year.list("DE-LU M6")
        year.kernel.run_until(YEAR_ENDS_NS + 3 * DAY_NS)
        year.kernel.stop()
    assert years[1].held() == years[0].held() == {name: 14 if name in MONTHS[3:6] else 7 for name in MONTHS}
    assert again.kernel.of(Pnl) == straight.kernel.of(Pnl)[count:]
    assert years[1].net_kw() == years[0].net_kw()


@pytest.mark.parametrize("ticks", [-500, 0])
def test_a_position_at_a_price_of_zero_or_below_cascades_like_any(bench, ticks):
    made = build(bench)
    year = Year(made)
    year.trade(year.id["DE-LU Q1"], SELL, ticks, 3)
    sums = totals(made)
    made.kernel.run_until(YEAR_ENDS_NS)
    assert made.kernel.of(Cascade)[0].price_ticks == ticks
    assert totals(made) == sums


def test_what_was_delivered_before_its_parts_came_is_settled_and_forgotten(bench):
    made = build(bench)
    year = Year(made, leave_out=("DE-LU M2",))
    year.trade(year.id["DE-LU Q1"], BUY, 5_000, 7)
    made.kernel.feed(Mark(year.id["DE-LU Q1"], 2, mark_ticks=5_100))
    made.kernel.run_until(START_NS + 90 * DAY_NS)
    assert codes(made) == ["portfolio.no_cascade_parts"]
    year.list("DE-LU M2")
    year.add("DE-LU NEXT", START_NS + 100 * DAY_NS, 1)
    assert year.held() == {}
    assert totals(made)[1, year.currency_id][:2] == (7 * 89 * 100 * 10_000, 0)
    assert made.kernel.of(PluginFault) == []
