"""A gate told the widths of a device refuses for overflow what the device cannot hold, at the edge of each width."""

from __future__ import annotations

import numpy as np
import pytest

from penstock_sdk.golden import risk_gate as g


def open_gate(**widths: int) -> g.Table:
    """Return a gate with one listing of two intervals, 10 kW a lot, in which all that fits passes."""
    gate = g.new_gate(1, 2, 2, remembered_ids=15)
    g.define_listing(
        gate, 0, [0, 1], qty_max_lots=g.UNLIMITED, collar_ticks=g.UNLIMITED, notional_max=g.UNLIMITED,
        ref_age_max_ns=g.UNLIMITED, minutes=1, kw_per_lot=10, ref_required=False,
    )  # fmt: skip
    for interval in range(2):
        g.set_position_limit(gate, interval, g.UNLIMITED, g.UNLIMITED)
    g.set_rate(gate, g.UNLIMITED, 1)
    g.set_widths(gate, **widths)
    return gate


def check(gate: g.Table, price_ticks: int = 1, qty_lots: int = 1, intent_id: int = 1, side: int = g.BUY) -> int:
    return int(g.check_order(gate, 0, side, price_ticks, qty_lots, 0, intent_id, g.new_verdicts(1)))


@pytest.mark.parametrize(("price_ticks", "fits"), [(127, True), (128, False), (-128, True), (-129, False)])
def test_a_price_beyond_its_width_overflows(price_ticks: int, fits: bool) -> None:
    assert check(open_gate(price_bits=8), price_ticks=price_ticks) == (g.OK if fits else g.REASON_OVERFLOW)


@pytest.mark.parametrize(("qty_lots", "reason"), [(63, g.OK), (64, g.REASON_OVERFLOW), (-1, g.REASON_QTY_MIN)])
def test_lots_beyond_their_width_overflow(qty_lots: int, reason: int) -> None:
    assert check(open_gate(qty_bits=6), qty_lots=qty_lots) == reason


def test_the_form_comes_before_the_widths_and_the_widths_before_the_limits() -> None:
    gate = open_gate(price_bits=8)
    assert check(gate, price_ticks=128, side=0) == g.REASON_MALFORMED
    g.define_listing(
        gate, 0, [0, 1], qty_max_lots=0, collar_ticks=0, notional_max=0, ref_age_max_ns=0, minutes=1, kw_per_lot=10
    )
    assert check(gate, price_ticks=128) == g.REASON_OVERFLOW
    assert check(gate, price_ticks=127) == g.REASON_QTY_MAX


def test_kilowatts_overflow_one_below_the_largest_number_of_their_width() -> None:
    """Nine bits hold 255: 25 lots are 250 kW and pass, 26 are 260 and do not; 254 would, 255 would not."""
    assert check(open_gate(kw_bits=9), qty_lots=25) == g.OK
    assert check(open_gate(kw_bits=9), qty_lots=26) == g.REASON_OVERFLOW
    gate = open_gate(kw_bits=9)
    g.exposures(gate)[1, g.INTERVAL_WORKING + g.BUY] = 244
    assert check(gate) == g.OK
    g.exposures(gate)[1, g.INTERVAL_WORKING + g.BUY] = 245
    assert check(gate, intent_id=2) == g.REASON_OVERFLOW


def test_commands_overflow_at_the_same_number() -> None:
    gate = open_gate(kw_bits=9, qty_bits=6)
    g.exposures(gate)[1, [g.INTERVAL_NET, g.INTERVAL_WORKING + g.BUY]] = -244, 245
    before = gate.copy()
    assert g.reserve(gate, 0, g.BUY, 1) == g.REASON_OVERFLOW
    assert g.reserve(gate, 0, g.BUY, 64) == g.REASON_OVERFLOW
    assert g.fill(gate, 0, g.SELL, 2) == g.REASON_OVERFLOW
    assert np.array_equal(gate, before)
    assert g.fill(gate, 0, g.SELL, 1) == g.REASON_NOT_RESERVED  # entered: -254 fits


def test_a_reference_beyond_the_width_is_not_taken() -> None:
    gate = open_gate(price_bits=8)
    assert g.mark_reference(gate, 0, 127, 5) == g.OK
    assert g.mark_reference(gate, 0, 128, 6) == g.REASON_OVERFLOW
    assert g.mark_reference(gate, 0, g.ABSENT, 7) == g.OK
    assert gate[g.LISTING_ROW, [g.LISTING_REF, g.LISTING_REF_AT]].tolist() == [g.ABSENT, 7]


def test_a_set_forgets_its_oldest_id_after_as_many_as_it_has_ways() -> None:
    gate = open_gate(ways=2)
    assert [check(gate, intent_id=i) for i in (1, 2, 1, 3, 2, 1)] == [
        g.OK, g.OK, g.REASON_DUPLICATE, g.OK, g.REASON_DUPLICATE, g.OK
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [("price_bits", 1), ("qty_bits", 64), ("kw_bits", -1), ("ways", 16)])
def test_a_width_out_of_range_is_named(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"^{name} is {value}; wanted"):
        open_gate(**{name: value})
