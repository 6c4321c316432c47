"""The whole chain from a market message to an order message, of the golden models of its blocks.

    >>> from penstock_sdk.events import Quote
    >>> from penstock_sdk.golden import feed_decoder, order_encoder, risk_gate, trigger
    >>> from penstock_sdk.golden.tick_layout import RULE_ASK_AT_MOST
    >>> from penstock_sdk.schema import layout_of
    >>> from penstock_sdk.wire.frame import encoder
    >>> chain = new_chain(slots=2, intervals=4)
    >>> feed_decoder.map_listing(chain.decoder, 7_001, 1)
    True
    >>> trigger.set_lane(chain.trigger, 1, 0, kind=RULE_ASK_AT_MOST, rule=3, threshold_ticks=-20, order_slot=1,
    ...                  side=1, price_ticks=-20, lots=2)
    >>> trigger.arm(chain.trigger, 3)
    >>> trigger.set_intent_base(chain.trigger, 500)
    >>> risk_gate.define_listing(chain.gate, 1, [0], qty_max_lots=5, collar_ticks=10, notional_max=10_000,
    ...                          ref_age_max_ns=10**9, minutes=60, kw_per_lot=100)
    >>> risk_gate.set_position_limit(chain.gate, 0, 500, 500)
    >>> risk_gate.set_rate(chain.gate, 10, 1_000)
    >>> order_encoder.set_listing(chain.encoder, 1, 7_001)
    >>> order_encoder.set_order_base(chain.encoder, 900)
    >>> quote = encoder(layout_of(Quote))
    >>> on_frame(chain, quote(Quote(7_001, 1, 0, 0, -24, 5, -19, 5), 1, 10, 0, 0, 1, 0))  # bid -24, ask -19
    []
    >>> [order] = on_frame(chain, quote(Quote(7_001, 1, 0, 0, -25, 5, -20, 5), 2, 20, 0, 0, 1, 0))
    >>> len(order), int.from_bytes(order[48:56], "little")
    (160, 900)

A frame's updates go through one after another: the book's best prices; their mid, rounded down, as the gate's
reference, where the book is known and has both sides (one that is not known has none); the rules; the gate; the
encoder. So a top's own mid is what its order is held against. Each block counts what it refuses, in its own table.

A frame that falls has perhaps taken prices with it, so it disarms every rule, unless `set_lost_disarms` says otherwise.
What became of an order, the gate learns by `command`.

Cost: O(records), some 20 µs each.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from penstock_sdk.events import Reason
from penstock_sdk.golden import book_top, feed_decoder, order_encoder, risk_gate, trigger
from penstock_sdk.golden.feed_decoder import ONE_STREAM, PACKED
from penstock_sdk.golden.feed_decoder_layout import COUNT_LOST
from penstock_sdk.golden.tick_layout import (
    GATE_CHECK,
    GATE_FILL,
    GATE_RELEASE,
    GATE_RESERVE,
    RULE_NONE,
    RULE_PAIR_ASK_BID,
    RULE_PAIR_BID_ASK,
    TOP_ASK,
    TOP_AT_NS,
    TOP_BID,
    TOP_KNOWN,
    TOP_SLOT,
)
from penstock_sdk.schema import ABSENT

__all__ = ["Chain", "command", "new_chain", "on_frame", "roll_slot", "set_kill", "set_lost_disarms"]


class Chain(NamedTuple):
    """The tables of every block, and room for what goes between them."""

    decoder: feed_decoder.Table
    book: book_top.Book
    trigger: trigger.Table
    gate: risk_gate.Table
    encoder: order_encoder.Table
    updates: feed_decoder.Table
    tops: feed_decoder.Table
    orders: trigger.Table
    verdicts: risk_gate.Table
    message: order_encoder.Bytes
    switches: feed_decoder.Table


def new_chain(
    *,
    slots: int = 256,
    intervals: int = 1024,
    links: int = 2048,
    map_bits: int = 10,
    records_max: int = 16,
    levels: int = 4,
    book_orders: int = 4096,
    lanes: int = 2,
    rules: int = 64,
    price_bits: int = 32,
    book_lots_bits: int = 32,
    lots_bits: int = 24,
    kw_bits: int = 32,
    seen_sets: int = 256,
    seen_ways: int = 4,
) -> Chain:
    """Return a chain in which nothing is mapped, known, armed, allowed or listed; the defaults are the hardware's.

    Args:
        slots: listings that it has room for.
        intervals: delivery intervals of the gate.
        links: cells for the intervals of all listings together.
        book_orders: open orders of the market that the books have room for.
        seen_sets, seen_ways: of remembered intent ids; a power of two, and at most 15.

    Raises:
        ValueError: a size is out of range.
    """
    gate = risk_gate.new_gate(slots, intervals, links, 15 * seen_sets)
    risk_gate.set_widths(gate, price_bits=price_bits, qty_bits=lots_bits, kw_bits=kw_bits, ways=seen_ways)
    return Chain(
        feed_decoder.new_decoder(
            slots=slots, map_bits=map_bits, records_max=records_max, price_bits=price_bits, lots_bits=book_lots_bits
        ),
        book_top.new_book(slots, levels, book_orders, lots_max=(1 << book_lots_bits) - 1),
        trigger.new_trigger(slots, lanes, rules, price_bits),
        gate,
        order_encoder.new_encoder(slots),
        feed_decoder.new_updates(records_max),
        book_top.new_tops(1),
        trigger.new_orders(1),
        risk_gate.new_verdicts(1),
        order_encoder.new_message(),
        np.ones(1, np.int64),
    )


def set_lost_disarms(chain: Chain, on: bool) -> None:
    """Set whether a frame that falls disarms every rule; in a new chain it does."""
    chain.switches[0] = on


def set_kill(chain: Chain, on: bool, *, paused: bool = False) -> None:
    """Set the chain's kill switch, which the gate and the encoder see, and its pause, which the gate sees."""
    risk_gate.set_switches(chain.gate, kill=on, paused=paused)
    order_encoder.set_kill(chain.encoder, on)


def on_frame(chain: Chain, frame: bytes, itch: int = PACKED, interleaved: int = ONE_STREAM) -> list[bytes]:
    """Return the order messages that one frame causes, in order.

    Args:
        frame: a whole number of beats of 8 bytes, at least one.
        itch: the frame's format, PACKED or ITCH of `feed_decoder`.
        interleaved: INTERLEAVED when beats of another stream stand in it.
    """
    lost = int(chain.decoder[1, COUNT_LOST])
    count = feed_decoder.decode_frame(chain.decoder, np.frombuffer(frame, "<i8"), itch, interleaved, chain.updates)
    if chain.switches[0] and chain.decoder[1, COUNT_LOST] > lost:
        trigger.disarm_all(chain.trigger)
    messages = []
    for update in chain.updates[:count]:
        book_top.apply_update(chain.book, update, chain.tops[0])
        _keep_mid(chain)
        if trigger.on_top(chain.trigger, chain.tops, 0, chain.orders, 0) and (message := _send(chain)):
            messages.append(message)
    return messages


def _keep_mid(chain: Chain) -> None:
    top = chain.tops[0]
    if not top[TOP_KNOWN]:
        risk_gate.mark_reference(chain.gate, int(top[TOP_SLOT]), ABSENT, int(top[TOP_AT_NS]))
    elif top[TOP_BID] != ABSENT and top[TOP_ASK] != ABSENT:
        mid = (int(top[TOP_BID]) + int(top[TOP_ASK])) >> 1
        risk_gate.mark_reference(chain.gate, int(top[TOP_SLOT]), mid, int(top[TOP_AT_NS]))


def _send(chain: Chain) -> bytes:
    """Return the message of the order that was triggered; empty where the gate or the encoder drops it."""
    slot, side, price_ticks, lots, at_ns, intent_id = chain.orders[0, : risk_gate.ORDER_WIDTH].tolist()
    reason = risk_gate.check_order(chain.gate, slot, side, price_ticks, lots, at_ns, intent_id, chain.verdicts)
    length = order_encoder.encode(
        chain.encoder, GATE_CHECK, reason, slot, side, price_ticks, lots, at_ns, intent_id, chain.message
    )
    return chain.message[:length].tobytes()


def command(chain: Chain, kind: int, slot: int, side: int, lots: int) -> int:
    """Tell the gate what became of an order that is not the chain's to know; return 0 or the gate's reason.

    Args:
        kind: GATE_RESERVE, GATE_RELEASE or GATE_FILL; any other is malformed.
        slot, side, lots: of the order, or of the part of it that was cancelled or dealt.
    """
    change = {GATE_RESERVE: risk_gate.reserve, GATE_RELEASE: risk_gate.release, GATE_FILL: risk_gate.fill}.get(kind)
    if change is None:
        return int(Reason.MALFORMED)
    reason = int(change(chain.gate, slot, side, lots))
    order_encoder.encode(chain.encoder, kind, reason, slot, side, 0, lots, 0, 0, chain.message)
    return reason


def _lanes_about(table: trigger.Table, slot: int) -> list[tuple[int, int]]:
    """Return (slot, lane) of every rule that trades *slot* or compares with it."""
    slots, lanes = int(table[0, trigger.HEAD_SLOTS]), int(table[0, trigger.HEAD_LANES])
    rows = table[trigger.KEPT_ROW + slots :][: slots * lanes]
    pair = np.isin(rows[:, trigger.LANE_KIND], (RULE_PAIR_BID_ASK, RULE_PAIR_ASK_BID))
    about = (rows[:, trigger.LANE_ORDER_SLOT] == slot) | (pair & (rows[:, trigger.LANE_OTHER] == slot))
    about &= rows[:, trigger.LANE_KIND] != RULE_NONE
    return [divmod(int(row), lanes) for row in np.flatnonzero(about)]


def roll_slot(chain: Chain, slot: int, old_listing: int) -> None:
    """Take a slot from a listing, in the order in which a host does it: nothing of the old one can trade in the new.

    Unmap it, so that its messages find no slot; clear its rules, and those of other slots that read it or trade it;
    roll its book; drop its limits and its listing.

    Raises:
        ValueError: the gate has no limits for the slot, or a rule or the encoder no such slot.
    """
    feed_decoder.map_listing(chain.decoder, old_listing, -1)
    trigger.clear_slot(chain.trigger, slot)
    for other, lane in _lanes_about(chain.trigger, slot):
        trigger.clear_lane(chain.trigger, other, lane)
    book_top.roll_slot(chain.book, slot)
    risk_gate.drop_listing(chain.gate, slot)
    order_encoder.set_listing(chain.encoder, slot, 0, valid=False)
