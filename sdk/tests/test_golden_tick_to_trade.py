"""The golden chain makes of market frames the orders worked out by hand, and a roll forgets the old contract."""

from __future__ import annotations

import doctest

import pytest

from penstock_sdk.events import Order, Quote, Reason
from penstock_sdk.golden import feed_decoder, order_encoder, risk_gate, tick_to_trade, trigger
from penstock_sdk.golden.tick_layout import (
    GATE_CHECK,
    GATE_FILL,
    GATE_RELEASE,
    RULE_ASK_AT_MOST,
    RULE_PAIR_BID_ASK,
)
from penstock_sdk.golden.tick_to_trade import Chain, command, new_chain, on_frame, roll_slot, set_kill, set_lost_disarms
from penstock_sdk.schema import ABSENT, layout_of
from penstock_sdk.wire.frame import HEADER_BYTES, encoder

OLD, NEW, SLOT = 4_001, 4_002, 1
SEQ = [0]


def list_contract(chain: Chain, listing: int, interval: int) -> None:
    feed_decoder.map_listing(chain.decoder, listing, SLOT)
    risk_gate.define_listing(
        chain.gate, SLOT, [interval], qty_max_lots=5, collar_ticks=10, notional_max=10_000, ref_age_max_ns=10**9,
        minutes=60, kw_per_lot=100,
    )  # fmt: skip
    risk_gate.set_position_limit(chain.gate, interval, 500, 500)
    order_encoder.set_listing(chain.encoder, SLOT, listing)
    trigger.set_lane(
        chain.trigger, SLOT, 0, kind=RULE_ASK_AT_MOST, rule=0, threshold_ticks=-20, order_slot=SLOT, side=1,
        price_ticks=-20, lots=2,
    )  # fmt: skip
    trigger.arm(chain.trigger, 0)


@pytest.fixture
def chain() -> Chain:
    made = new_chain(slots=4, intervals=4)
    trigger.set_intent_base(made.trigger, 500)
    order_encoder.set_order_base(made.encoder, 900)
    risk_gate.set_rate(made.gate, 10, 1_000)
    list_contract(made, OLD, 0)
    return made


def quote(chain: Chain, ask_ticks: int, listing: int = OLD, bid_ticks: int = -24) -> list[bytes]:
    SEQ[0] += 1
    record = Quote(listing, bid_ticks=bid_ticks, bid_lots=1, ask_ticks=ask_ticks, ask_lots=1)
    return on_frame(chain, encoder(layout_of(Quote))(record, SEQ[0], 10**9 + SEQ[0], 0, 0, 1, 0))


def order_in(message: bytes) -> Order:
    return layout_of(Order).unpack(message[HEADER_BYTES:])


def test_the_docstring_is_true() -> None:
    assert doctest.testmod(tick_to_trade).failed == 0


def test_an_ask_at_the_threshold_makes_one_order_and_disarms_its_rule(chain: Chain) -> None:
    assert quote(chain, -19) == []
    [message] = quote(chain, -20)
    order = order_in(message)
    assert (order.order_id, order.intent_id, order.listing_id) == (900, 500, OLD)
    assert (order.side, order.price_ticks, order.qty_lots) == (1, -20, 2)
    assert quote(chain, -22) == []


def test_the_mid_of_the_same_top_is_what_its_order_is_held_against(chain: Chain) -> None:
    # Mid (-60 - 30) / 2 = -45: the order at -20 is 25 ticks away, and the collar is 10.
    assert quote(chain, -30, bid_ticks=-60) == []
    assert risk_gate.counts(chain.gate) == {Reason.PRICE_COLLAR: 1}


def test_killed_it_sends_nothing_and_counts_why(chain: Chain) -> None:
    set_kill(chain, True)
    assert quote(chain, -20) == []
    set_kill(chain, False, paused=True)
    trigger.arm(chain.trigger, 0)
    assert quote(chain, -20) == []
    assert risk_gate.counts(chain.gate) == {Reason.KILL_SWITCH: 1, Reason.PAUSED: 1}


def test_after_a_roll_the_old_contract_is_unmapped_and_the_new_one_starts_unknown(chain: Chain) -> None:
    quote(chain, -19)
    roll_slot(chain, SLOT, OLD)
    assert quote(chain, -20) == []
    list_contract(chain, NEW, 1)
    assert quote(chain, -25) == []  # the old listing has no slot any more
    [message] = quote(chain, -20, listing=NEW)
    assert order_in(message).listing_id == NEW
    assert risk_gate.counts(chain.gate) == {Reason.NONE: 1}


def test_a_frame_that_is_cut_makes_no_order(chain: Chain) -> None:
    record = Quote(OLD, bid_ticks=-24, bid_lots=1, ask_ticks=-20, ask_lots=1)
    frame = encoder(layout_of(Quote))(record, 10**6, 10**9, 0, 0, 1, 0)
    assert on_frame(chain, frame[:-8]) == []
    assert chain.decoder[1, feed_decoder.COUNT_TRUNCATED] == 1


def test_a_frame_that_falls_disarms_every_rule_unless_told_not_to(chain: Chain) -> None:
    cut = encoder(layout_of(Quote))(Quote(OLD), 10**6, 10**9, 0, 0, 1, 0)[:-8]
    set_lost_disarms(chain, False)
    on_frame(chain, cut)
    assert trigger.armed_bits(chain.trigger) == 1
    set_lost_disarms(chain, True)
    on_frame(chain, cut)
    assert trigger.armed_bits(chain.trigger) == 0
    assert quote(chain, -20) == []


def test_a_top_that_is_not_known_takes_the_reference_away(chain: Chain) -> None:
    assert quote(chain, -19) == []
    reference = chain.gate[risk_gate.LISTING_ROW + SLOT]
    assert reference[risk_gate.LISTING_REF] == -22  # (-24 - 19) / 2 rounded down
    SEQ[0] += 1
    halted = Quote(OLD, tradability=0, bid_ticks=-24, bid_lots=1, ask_ticks=-19, ask_lots=1)
    on_frame(chain, encoder(layout_of(Quote))(halted, SEQ[0], 10**9, 0, 0, 1, 0))
    assert reference[risk_gate.LISTING_REF] == ABSENT


def test_a_command_tells_the_gate_what_became_of_an_order(chain: Chain) -> None:
    quote(chain, -20)  # 2 lots work, 100 kW each
    assert command(chain, GATE_FILL, SLOT, 1, 1) == 0
    assert command(chain, GATE_RELEASE, SLOT, 1, 1) == 0
    assert command(chain, GATE_RELEASE, SLOT, 1, 1) == Reason.UNKNOWN_ORDER
    assert command(chain, GATE_CHECK, SLOT, 1, 1) == Reason.MALFORMED
    assert risk_gate.exposures(chain.gate)[0].tolist()[risk_gate.INTERVAL_NET :] == [100, 0, 0]


def test_a_roll_clears_the_rules_of_other_slots_about_it(chain: Chain) -> None:
    row = {"threshold_ticks": 0, "side": 1, "price_ticks": 0, "lots": 1}
    trigger.set_lane(chain.trigger, 0, 0, kind=RULE_ASK_AT_MOST, rule=1, order_slot=SLOT, **row)
    trigger.set_lane(chain.trigger, 2, 0, kind=RULE_PAIR_BID_ASK, rule=2, order_slot=2, other_slot=SLOT, **row)
    trigger.set_lane(chain.trigger, 3, 1, kind=RULE_ASK_AT_MOST, rule=3, order_slot=3, other_slot=SLOT, **row)
    roll_slot(chain, SLOT, OLD)
    lanes = chain.trigger[trigger.KEPT_ROW + 4 :].reshape(4, 2, -1)
    assert lanes[:, :, trigger.LANE_KIND].tolist() == [[0, 0], [0, 0], [0, 0], [0, RULE_ASK_AT_MOST]]
