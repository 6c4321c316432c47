"""What has no price of its own is worth its zone's price curve: day by day, exact, at prices of any sign."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock_plugins.portfolio.positions import Positions, PositionsConfig
from penstock_sdk.events import Alert, Cascade, Mark, PluginFault, Pnl
from penstock_sdk.schema import ABSENT
from plugins.tests.portfolio_market import BUY, HOUR_NS, QUARTER_NS, Futures

DAY_NS = 24 * HOUR_NS
START_NS = 40 * DAY_NS
SECOND_NS = 10**9


def build(bench):
    made = bench(listings=0)
    made.folio = made.add(Positions, "portfolio", PositionsConfig(fee_micro_per_mwh=0))
    return made.start()


def marked(made, listing_id, ticks, seconds):
    made.kernel.feed(Mark(listing_id, 2, mark_ticks=ticks, observed_ns=seconds * SECOND_NS))


def worth(made, listing_id):
    """Return (mark in ticks, its age) as told last."""
    made.kernel.stop()
    row = [p for p in made.kernel.of(Pnl) if p.listing_id == listing_id][-1]
    assert made.kernel.of(PluginFault) == []
    return row.mark_ticks, row.mark_age_ns


# (first quarter-hour, how many, amount) of a shape within three days.
PIECES = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 30), st.integers(0, 9)), min_size=1, max_size=4)


def apart(pieces):
    """Return pieces one after another, each so many slots after the end of the one before, and some amount at last."""
    out, at = [], 0
    for gap, count, amount in pieces:
        out.append((at + gap, count, 1_000 * amount))
        at += gap + count
    return [*out, (at, 1, 1_000)]


def shaped(futures, name, pieces, tick_micro):
    segments = [(START_NS + first * QUARTER_NS, count, amount) for first, count, amount in pieces]
    quarters = pieces[-1][0] + pieces[-1][1]
    units = max(1, sum(count * amount for _, count, amount in pieces) // 4_000)
    return futures.add(name, START_NS, -(-quarters // 4), segments=segments, tick_micro=tick_micro, units=units)


def naive(target, target_tick, givers):
    """Return (ticks, oldest) quarter-hour by quarter-hour; None where one has no price."""
    days = {}
    for first, count, amount in target:
        for slot in range(first, first + count) if amount else ():
            at = datetime.fromtimestamp((START_NS + slot * QUARTER_NS) / SECOND_NS, ZoneInfo("Europe/Berlin"))
            days.setdefault(at.date(), {})[slot] = amount
    ranked = []
    for number, (pieces, tick_micro, ticks, seconds) in enumerate(givers):
        delivered = {first + nth for first, count, each in pieces for nth in range(count) if each}
        if ticks is not None:
            ranked.append(((len(delivered), -seconds, number), delivered, ticks * tick_micro, seconds))
    ranked.sort(key=lambda giver: giver[0])
    total, energy, used = Fraction(0), 0, []
    for slots in days.values():
        of = {}
        for giver in ranked:
            of = {slot: giver for slot in slots if slot in giver[1]} | of
            if len(of) == len(slots):
                if slots.keys() <= giver[1]:
                    of = dict.fromkeys(slots, giver)
                break
        if len(of) < len(slots):
            return None
        for slot, amount in slots.items():
            total, energy = total + amount * of[slot][2], energy + amount
            used.append(of[slot][3])
    return round(total / energy / target_tick), min(used)


GIVERS = st.lists(
    st.tuples(
        PIECES.map(apart), st.sampled_from([5_000, 10_000, 20_000]), st.one_of(st.none(), st.integers(-9_000, 9_000)),
        st.integers(1, 5),
    ),
    max_size=7,
)  # fmt: skip
WIDE = (apart([(0, 150, 1)]), 10_000, -250, 3)
"""Delivers wherever another one may."""


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PIECES.map(apart), st.sampled_from([1, 10_000, 50_000]), GIVERS, st.booleans())
def test_the_curve_is_what_each_interval_of_each_day_says(bench, target, tick_micro, givers, wide):
    made = build(bench)
    futures = Futures(made)
    givers = [*givers, WIDE] if wide else givers
    held = shaped(futures, "DE-LU DEAL", target, tick_micro)
    futures.trade(held, BUY, 77, 3)
    for number, (pieces, tick, ticks, seconds) in enumerate(givers):
        listing_id = shaped(futures, f"DE-LU G{number}", pieces, tick)
        if ticks is not None:
            marked(made, listing_id, ticks, seconds)
    made.kernel.run_until(10 * SECOND_NS)
    wanted = naive(target, tick_micro, givers)
    if wanted is None:
        assert worth(made, held) == (77, ABSENT)  # our last trade
    else:
        assert worth(made, held) == (wanted[0], (10 - wanted[1]) * SECOND_NS)


def test_a_deal_is_worth_what_the_listed_contract_is(bench):
    made = build(bench)
    futures = Futures(made)
    month = futures.add("DE-LU M", START_NS, 744)
    deal = futures.add("DE-LU M OTC", START_NS, 744, lot_kw=5_000, tick_micro=1_000)
    futures.trade(deal, BUY, 88_400, 1)
    marked(made, month, 9_244, 4)
    made.kernel.run_until(900 * SECOND_NS)
    row = next(p for p in made.kernel.of(Pnl) if p.listing_id == deal)
    assert (row.mark_ticks, row.mark_age_ns) == (92_440, 896 * SECOND_NS)
    assert row.unrealised_micro == 5 * 744 * (92_440_000 - 88_400_000)


def test_a_peak_is_worth_the_base_only_where_nothing_finer_has_a_price(bench):
    made = build(bench)
    futures = Futures(made)
    base = futures.add("DE-LU M", START_NS, 240)
    days = [(START_NS + nth * DAY_NS + 8 * HOUR_NS, 48, 1_000) for nth in range(10)]
    peak = futures.add("DE-LU M PEAK", START_NS, 240, units=120, segments=days)
    deal = futures.add("DE-LU PEAK OTC", START_NS, 240, units=120, segments=days)
    futures.trade(deal, BUY, 0, 1)
    marked(made, base, 5_000, 4)
    made.kernel.run_until(900 * SECOND_NS)
    marked(made, peak, 8_000, 3)
    made.kernel.run_until(1_800 * SECOND_NS)
    day = futures.add("DE-LU D", START_NS, 24)
    marked(made, day, -2_000, 1_800)
    made.kernel.run_until(2_700 * SECOND_NS)
    ticks = [p.mark_ticks for p in made.kernel.of(Pnl) if p.listing_id == deal]
    assert ticks == [5_000, 8_000, (9 * 8_000 - 2_000) // 10]


def test_a_base_deal_under_base_and_peak_is_worth_the_base_and_not_more(bench):
    made = build(bench)
    futures = Futures(made)
    start_ns = START_NS - HOUR_NS  # midnight in Berlin
    base = futures.add("DE-LU M", start_ns, 240)
    days = [(start_ns + nth * DAY_NS + 8 * HOUR_NS, 48, 1_000) for nth in range(10)]
    peak = futures.add("DE-LU M PEAK", start_ns, 240, units=120, segments=days)
    deal, week = futures.add("DE-LU M OTC", start_ns, 240), futures.add("DE-LU W OTC", start_ns + DAY_NS, 168)
    for held in (deal, week):
        futures.trade(held, BUY, 0, 1)
    marked(made, base, 9_195, 4)
    marked(made, peak, 12_529, 4)
    made.kernel.run_until(900 * SECOND_NS)
    day = futures.add("DE-LU D", start_ns + DAY_NS, 24)
    marked(made, day, -705, 900)
    assert worth(made, deal)[0] == (9 * 9_195 - 705) // 10
    assert {p.mark_ticks for p in made.kernel.of(Pnl) if p.listing_id in (deal, week)} == {
        9_195, (9 * 9_195 - 705) // 10, round(Fraction(6 * 9_195 - 705, 7)),
    }  # fmt: skip


def test_of_two_alike_the_newest_counts(bench):
    made = build(bench)
    futures = Futures(made)
    deal, one, two = (futures.add(f"DE-LU {name}", START_NS, 24) for name in ("OTC", "ONE", "TWO"))
    futures.trade(deal, BUY, 0, 1)
    for at, (listing_id, ticks) in enumerate([(one, 10), (two, -20), (one, 30)]):
        marked(made, listing_id, ticks, 900 * at)
        made.kernel.run_until((at + 1) * 900 * SECOND_NS)
    assert [p.mark_ticks for p in made.kernel.of(Pnl) if p.listing_id == deal] == [10, -20, 30]


@pytest.mark.parametrize("odd", ["zone", "currency", "price_unit"])
def test_prices_of_another_zone_currency_or_unit_are_none_of_it(bench, odd):
    made = build(bench)
    futures = Futures(made)
    other = futures
    if odd == "zone":
        other = Futures(made, zone="FR", timezone="Europe/Paris")
    deal = futures.add("DE-LU OTC", START_NS, 24)
    if odd == "currency":
        futures.currency_id += 1
    unit = "EUR/th" if odd == "price_unit" else "EUR/MWh"
    listed = other.add("LISTED", START_NS, 24, price_unit=unit)
    futures.trade(deal, BUY, 123, 1)
    marked(made, listed, 999, 1)
    assert worth(made, deal) == (123, ABSENT)


def test_a_listing_that_is_over_gives_no_price_any_more_and_a_new_one_does(bench):
    made = build(bench)
    futures = Futures(made)
    start_ns = START_NS - HOUR_NS  # midnight in Berlin
    deal = futures.add("DE-LU OTC", start_ns, 72)
    month = futures.add("DE-LU M", start_ns, 240)
    first = futures.add("DE-LU D1", start_ns, 24)
    futures.trade(deal, BUY, 0, 1)
    marked(made, month, 2_400, 1)
    marked(made, first, -600, 1)
    made.kernel.run_until(start_ns + DAY_NS)
    assert next(p.mark_ticks for p in made.kernel.of(Pnl) if p.listing_id == deal) == 1_400
    last = futures.add("DE-LU D3", start_ns + 2 * DAY_NS, 24)
    marked(made, last, 4_800, 1)
    hour = futures.add("DE-LU H", start_ns + DAY_NS, 1)  # an hour alone covers no day
    marked(made, hour, 9_999, 1)
    made.kernel.run_until(start_ns + DAY_NS + HOUR_NS)
    assert worth(made, deal)[0] == (2 * 2_400 + 4_800) // 3


def test_a_restored_portfolio_has_the_same_curve(bench):
    made = build(bench)
    futures = Futures(made)
    deal = futures.add("DE-LU OTC", START_NS, 24)
    month = futures.add("DE-LU M", START_NS, 48)
    futures.trade(deal, BUY, 0, 1)
    marked(made, month, -2_400, 1)
    again = build(bench)
    again.kernel.restore(made.kernel.snapshot())
    assert worth(again, deal)[0] == worth(made, deal)[0] == -2_400


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(-9_000, 9_000), st.lists(st.one_of(st.none(), st.integers(-900, 900)), min_size=4, max_size=4))
def test_a_cascade_does_not_change_the_value(bench, year_ticks, quarter_steps):
    # A year with a mark of its own and nothing else; or quarters with marks, neither the year nor the months.
    made = build(bench)
    futures = Futures(made)
    hours, months, quarters = 30, [f"DE-LU M{n}" for n in range(1, 13)], [f"DE-LU Q{n}" for n in range(1, 5)]
    year = futures.add(
        "DE-LU Y", START_NS, 12 * hours, product="Y", into=(*months[:3], *quarters[1:]), ends_ns=30 * DAY_NS
    )
    ids = {}
    for nth, name in enumerate(quarters):
        ids[name] = futures.add(
            name, START_NS + 3 * nth * hours * HOUR_NS, 3 * hours, product="Q",
            into=tuple(months[3 * nth : 3 * nth + 3]), ends_ns=(31 + nth) * DAY_NS,
        )  # fmt: skip
    for nth, name in enumerate(months):
        ids[name] = futures.add(name, START_NS + nth * hours * HOUR_NS, hours)
    futures.trade(year, BUY, 5_000, 7)
    if None in quarter_steps:
        marked(made, year, year_ticks, 1)
    else:  # their average is a whole tick: a year's mark is not finer
        for name, step in zip(quarters, quarter_steps, strict=True):
            marked(made, ids[name], 4 * step, 1)
        year_ticks = sum(quarter_steps)
    values = []
    for nth in range(6):
        made.kernel.run_until((29 + nth) * DAY_NS + HOUR_NS)
        values += [p.realised_micro + p.unrealised_micro for p in made.folio.standing() if isinstance(p, Pnl)]
    assert values == [7 * 360 * 10_000 * (year_ticks - 5_000)] * 6
    assert len(made.kernel.of(Cascade)) == 4
    assert made.kernel.of(Alert) == []
