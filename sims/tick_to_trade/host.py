"""The host of a chain in a bench: it sets the golden chain and the device to the same, over the generated registers."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from penstock_hw.blocks import find_blocks, known_blocks
from penstock_hw.device import RegisterBus
from penstock_hw.drivers.base import Registers
from penstock_hw.drivers.risk_gate import RiskGate
from penstock_sdk.events import Reason
from penstock_sdk.golden import book_top_layout as book
from penstock_sdk.golden import feed_decoder, latency, order_encoder, risk_gate, trigger
from penstock_sdk.golden import tick_to_trade as golden
from penstock_sdk.golden.book_top import counts as book_counts
from penstock_sdk.golden.feed_decoder import COUNTERS
from penstock_sdk.golden.tick_layout import (
    RULE_ASK_AT_MOST,
    RULE_BID_AT_LEAST,
    RULE_NONE,
    RULE_PAIR_ASK_BID,
    RULE_PAIR_BID_ASK,
    RULE_SPREAD_AT_LEAST,
    RULE_SPREAD_AT_MOST,
)

__all__ = ["BASE_NS", "PAGES", "Host", "intervals_of"]

PAGES = ("tick_to_trade", "feed_decoder", "book_top", "trigger", "risk_gate", "order_encoder")
BASE_NS = 1_700_000_000_000_000_000
"""Midnight of the messages of ITCH shape."""
KINDS = (RULE_ASK_AT_MOST, RULE_BID_AT_LEAST, RULE_SPREAD_AT_LEAST, RULE_SPREAD_AT_MOST, RULE_PAIR_BID_ASK)

BOOK_COUNTERS = {
    book.CAUSE_SKIPPED: "skipped", book.CAUSE_MALFORMED: "malformed", book.CAUSE_POISON: "poison",
    book.CAUSE_ORPHAN: "orphan", book.CAUSE_FULL: "full", book.CAUSE_INCONSISTENT: "inconsistent",
    book.CAUSE_RANGE: "range", book.CAUSE_EXHAUSTED: "exhausted",
}  # fmt: skip
TRIGGER_COUNTERS = {
    trigger.HEAD_FIRED: "fired", trigger.HEAD_UNKNOWN: "unknown", trigger.HEAD_ABSENT: "absent",
    trigger.HEAD_NO_ID: "no_id", trigger.HEAD_PASSED_OVER: "passed_over",
}  # fmt: skip
ENCODER_COUNTERS = {
    order_encoder.HEAD_SENT: "sent", order_encoder.HEAD_OTHER: "other", order_encoder.HEAD_REFUSED: "refused",
    order_encoder.HEAD_KILLED: "killed", order_encoder.HEAD_UNLISTED: "unlisted", order_encoder.HEAD_RANGE: "range",
}  # fmt: skip
"""The registers that count what the golden blocks count in these columns."""


POLLS_MAX = 2_000
"""Reads of a register before a host gives up waiting, some 10 clocks each."""


def until(true: Callable[[], bool]) -> None:
    """Ask until *true* is."""
    for _ in range(POLLS_MAX):
        if true():
            return
    raise TimeoutError(f"not so after {POLLS_MAX} reads")


def intervals_of(at: int) -> list[int]:
    """Return where the *at*-th listing delivers: from the fifth on, where no other does."""
    return [8 + at] if at > 3 else [at % 4] if at % 2 else [at % 4, 4 + at % 3]


class Host:
    """Every method runs beside the simulation (`cocotb.task.bridge`), but `plan`, which only sets the golden chain."""

    listings: tuple[int, ...] = (1, 2, 3, 4, 5)
    """In slots 0 and on."""

    def __init__(
        self, bus: RegisterBus, chain: golden.Chain, slot_of: dict[int, int], lanes: int, rng: random.Random
    ) -> None:
        self.bus, self.chain, self.slot_of, self.lanes = bus, chain, dict(slot_of), lanes
        self.rng, self.intent_base = rng, 10_000
        self.rows: dict[tuple[int, int], dict[str, int]] = {}
        """Rules by (slot, lane)."""
        self.itch = False

    # ---- the golden chain ----

    def plan(self, rules: int) -> None:
        """Give the golden chain listings, limits and rules that random prices near 0 meet from both sides."""
        chain, self.rules = self.chain, rules
        # A frame that falls disarms rules that tops still on their way would fire: a test of its own has that.
        golden.set_lost_disarms(chain, False)
        trigger.set_intent_base(chain.trigger, self.intent_base)
        order_encoder.set_order_base(chain.encoder, 700)
        order_encoder.set_ids(chain.encoder, producer=9, venue_id=3, strategy_id=4, firm=b"PNST")
        risk_gate.set_rate(chain.gate, 3, 900_000)
        chain.decoder[0, feed_decoder.DECODER_BASE_NS] = BASE_NS
        for interval in range(16):
            risk_gate.set_position_limit(chain.gate, interval, 600, 500)
        for at, (listing, slot) in enumerate(self.slot_of.items()):
            self.plan_listing(listing, slot, at, rules)

    def plan_listing(self, listing: int, slot: int, at: int, rules: int) -> None:
        """Map, limit, list and rule one listing in the golden chain."""
        chain = self.chain
        assert feed_decoder.map_listing(chain.decoder, listing, slot)
        risk_gate.define_listing(
            chain.gate, slot, intervals_of(at), qty_max_lots=8, qty_min_lots=2,
            collar_ticks=6, notional_max=3_000, ref_age_max_ns=3_000_000, minutes=60, kw_per_lot=25, floor_ticks=-14,
            cap_ticks=14, ref_required=at % 3 > 0, state=risk_gate.PAUSED if listing == 5 else risk_gate.TRADING,
        )  # fmt: skip
        order_encoder.set_listing(chain.encoder, slot, listing, f"L{listing:<7}".encode()[:8])
        for lane in range(self.lanes):
            self.rows[slot, lane] = self._row(slot, (at * self.lanes + lane) % rules)
            trigger.set_lane(chain.trigger, slot, lane, **self.rows[slot, lane])

    def _row(self, slot: int, rule: int) -> dict[str, int]:
        """Return a rule that prices near 0 soon fulfil, with an order that this or that limit may refuse."""
        rng, slots = self.rng, list(self.slot_of.values())
        kind = rng.choice(KINDS)
        bounds = {RULE_ASK_AT_MOST: 5, RULE_BID_AT_LEAST: -5, RULE_SPREAD_AT_LEAST: 2, RULE_SPREAD_AT_MOST: 5}
        widest = (1 << (int(self.chain.trigger[0, trigger.HEAD_PRICE_BITS]) - 1)) - 1
        return {
            "kind": kind, "rule": rule, "threshold_ticks": bounds.get(kind, -6) + rng.randint(-1, 1),
            "order_slot": slot if rng.random() < 0.7 else rng.choice([*slots, max(slots) + 1]),
            "side": rng.choice([1, 2]), "price_ticks": rng.choice([-1, 0, 0, 1, 3, 8, -12, 15, widest]),
            "lots": rng.choice([2, 3, 4, 5, 8, 8, 1, 9]), "price_mode": rng.choice([0, 1, 1]),
            "other_slot": rng.choice([other for other in slots if other != slot]),
        }  # fmt: skip

    # ---- the device ----

    def connect(self) -> None:
        """Find the pages and take their registers."""
        pages = find_blocks(self.bus)
        assert list(pages) == list(PAGES) and list(pages.values()) == [0x1000 * at for at in range(len(PAGES))]
        blocks = {block.name: block for block in known_blocks()}
        self.page = {name: Registers.connect(self.bus, blocks[name], base) for name, base in pages.items()}
        self.gate = RiskGate(self.page["risk_gate"], empty=True)

    def load(self) -> None:
        """Give the device what the golden chain has."""
        self.connect()
        encoder = self.page["order_encoder"]
        for name, value in (
            ("order_base", 700), ("producer", 9), ("venue_id", 3), ("strategy_id", 4),
            ("ouch_firm", int.from_bytes(b"PNST", "little")), ("ouch_display", ord("Y")), ("ouch_customer", ord("N")),
        ):  # fmt: skip
            encoder.write(name, value)
        self.page["feed_decoder"].write("itch_base_ns", BASE_NS)
        self.page["trigger"].write("intent_base", self.intent_base)
        self.page["tick_to_trade"].write("lost_disarms", int(self.chain.switches[0]))
        for listing, slot in self.slot_of.items():
            self.load_listing(listing, slot)
        self.gate.load(self.chain.gate)
        encoder.write("kill", 0)

    def load_listing(self, listing: int, slot: int) -> None:
        """Set a slot's rules, its line of the encoder, and, last, its row in the map; limits are the gate's."""
        encoder = self.page["order_encoder"]
        for lane in range(self.lanes):
            self.load_lane(slot, lane)
        encoder.write("listing_index", slot)
        encoder.write("listing_valid", 1)
        encoder.write("listing_id", listing)
        encoder.write("listing_symbol", int.from_bytes(f"L{listing:<7}".encode()[:8], "little"))
        encoder.pulse("listing")
        self.map(listing, slot, 1)

    def load_one(self, slot: int) -> None:
        """After a reset, give the device as much as one slot needs to trade."""
        listing = next(listing for listing, its in self.slot_of.items() if its == slot)
        self.page["order_encoder"].write("order_base", 700)
        self.page["trigger"].write("intent_base", self.intent_base)
        self.load_listing(listing, slot)
        self.gate = RiskGate(self.page["risk_gate"], empty=True)
        self.gate.load_listing(self.chain.gate, slot)
        for interval in risk_gate.intervals_of(self.chain.gate, slot):
            self.gate.load_limits(self.chain.gate, interval)
        self.gate.load_rate(self.chain.gate)
        self.gate.load_switches(self.chain.gate)
        self.page["order_encoder"].write("kill", 0)

    def map(self, listing: int, slot: int, valid: int) -> None:
        """Write one row of the map."""
        decoder = self.page["feed_decoder"]
        for name, value in (("map_listing", listing), ("map_slot", slot), ("map_valid", valid)):
            decoder.write(name, value)
        decoder.pulse("map", "write")

    def replan(self) -> None:
        """Give every lane another rule, in both; the next orders get numbers of which three have been used."""
        for (slot, lane), row in self.rows.items():
            self.rows[slot, lane] = self._row(slot, row["rule"])
            trigger.set_lane(self.chain.trigger, slot, lane, **self.rows[slot, lane])
            self.load_lane(slot, lane)
        self.intent_base = max(self.intent_base - 3, 1)
        trigger.set_intent_base(self.chain.trigger, self.intent_base)
        self.page["trigger"].write("intent_base", self.intent_base)

    def load_lane(self, slot: int, lane: int) -> None:
        """Set one lane as it is planned."""
        rules = self.page["trigger"]
        rules.write("lane_index", slot)
        rules.write("lane_number", lane)
        for name, value in self.rows[slot, lane].items():
            short = {"other_slot": "other"}.get(name, name)
            rules.write(f"lane_{short}", value)
        rules.pulse("lane")

    def arm(self) -> None:
        """Arm every rule in both."""
        for row in self.rows.values():
            trigger.arm(self.chain.trigger, row["rule"])
            self.page["trigger"].write("rule_index", row["rule"])
            self.page["trigger"].pulse("arm")

    def use(self, itch: bool, ouch: bool) -> None:
        """Set the formats of input and output in both."""
        self.itch = itch
        self.page["feed_decoder"].write("format_itch", int(itch))
        order_encoder.use_format(self.chain.encoder, int(ouch))
        self.page["order_encoder"].write("format_ouch", int(ouch))

    def use_lost_disarms(self, on: bool) -> None:
        """Set in both whether a frame that falls disarms every rule."""
        golden.set_lost_disarms(self.chain, on)
        self.page["tick_to_trade"].write("lost_disarms", int(on))

    def command(self, kind: int, slot: int, side: int, lots: int) -> int:
        """Give the gate a command, wait for its answer and return it; the golden chain is not told."""
        self.begin_command(kind, slot, side, lots)
        top = self.page["tick_to_trade"]
        until(lambda: top.read("command_busy") == 0)
        return top.read("command_reason")

    def begin_command(self, kind: int, slot: int, side: int, lots: int) -> None:
        """Give the gate a command."""
        top = self.page["tick_to_trade"]
        for name, value in (("kind", kind), ("slot", slot), ("side", side), ("lots", lots)):
            top.write(f"command_{name}", value)
        top.pulse("command")

    def roll(self, old: int, new: int) -> None:
        """Give a slot to another listing in the documented order, while market data comes and orders go."""
        top, slot = self.page["tick_to_trade"], self.slot_of.pop(old)
        paused = top.read("pause")
        self.map(old, slot, 0)
        top.write("pause", 1)
        top.pulse("drain")
        until(lambda: top.read_fields("state")["drained"] == 1)
        self.empty_slot(old, slot)
        at = len(self.slot_of)
        self.slot_of[new] = slot
        self.plan_listing(new, slot, at, self.rules)
        for interval in intervals_of(at):  # where nothing else delivers
            risk_gate.set_position_limit(self.chain.gate, interval, 4_000, 3_000)
            self.gate.load_limits(self.chain.gate, interval)
            self.gate.load_exposure(self.chain.gate, interval)
        self.gate.load_listing(self.chain.gate, slot)
        self.load_listing(new, slot)
        top.write("pause", paused)

    def empty_slot(self, old: int, slot: int) -> None:
        """Clear all that a slot has: its rules and those of others about it, its book, limits and listing."""
        trigger_page, encoder = self.page["trigger"], self.page["order_encoder"]
        trigger_page.write("slot_index", slot)
        trigger_page.pulse("slot", "clear")
        pairs = (RULE_PAIR_BID_ASK, RULE_PAIR_ASK_BID)
        for (other, lane), row in list(self.rows.items()):
            if other == slot:
                del self.rows[other, lane]
            elif row["order_slot"] == slot or (row["kind"] in pairs and row["other_slot"] == slot):
                del self.rows[other, lane]
                for name, value in (("index", other), ("number", lane), ("kind", RULE_NONE)):
                    trigger_page.write(f"lane_{name}", value)
                trigger_page.pulse("lane")
        self.page["book_top"].write("slot_index", slot)
        self.page["book_top"].pulse("slot", "clear")
        golden.roll_slot(self.chain, slot, old)
        self.gate.load_listing(self.chain.gate, slot)  # what the golden gate dropped is unknown to the device
        encoder.write("listing_index", slot)
        encoder.write("listing_valid", 0)
        encoder.pulse("listing")

    def compare(self) -> None:
        """Read every counter of every block, and compare it with the golden chain's."""
        chain, page = self.chain, self.page
        for name, count in zip(COUNTERS, chain.decoder[1].tolist(), strict=False):
            assert page["feed_decoder"].read(f"{name}_count") == count, name
        causes = book_counts(chain.book)
        assert page["book_top"].read("update_count") == sum(causes.values())
        for cause, name in BOOK_COUNTERS.items():
            assert page["book_top"].read(f"{name}_count") == causes[cause], name
        for block, table, counters in (
            ("trigger", chain.trigger, TRIGGER_COUNTERS), ("order_encoder", chain.encoder, ENCODER_COUNTERS)
        ):  # fmt: skip
            for column, name in counters.items():
                assert page[block].read(f"{name}_count") == table[0, column], f"{block} {name}"
        assert page["trigger"].read("armed") == trigger.armed_bits(chain.trigger)
        assert self.gate.counts() == {int(k): n for k, n in risk_gate.counts(chain.gate).items()}
        assert page["tick_to_trade"].read("sent_count") == chain.encoder[0, order_encoder.HEAD_SENT]

    def untouched(self) -> set[str]:
        """Return the reasons and counters that the golden chain has not met."""
        chain, causes, met = self.chain, book_counts(self.chain.book), risk_gate.counts(self.chain.gate)
        shown = {f"decoder {name}": n for name, n in zip(COUNTERS, chain.decoder[1].tolist(), strict=False)}
        shown |= {f"book {name}": causes[cause] for cause, name in BOOK_COUNTERS.items()}
        shown |= {f"trigger {name}": chain.trigger[0, column] for column, name in TRIGGER_COUNTERS.items()}
        shown |= {f"encoder {name}": chain.encoder[0, column] for column, name in ENCODER_COUNTERS.items()}
        shown |= {f"gate {Reason(reason).name}": met.get(reason, 0) for reason in risk_gate.REASONS}
        return {name for name, count in shown.items() if not count}

    def latencies(self, bins: int) -> dict[str, Any]:
        """Return what the latency meter shows, by the golden meter's columns and bins."""
        top = self.page["tick_to_trade"]
        names = {
            latency.METER_OVERFLOW: "overflow_count", latency.METER_COUNT: "latency_count",
            latency.METER_MIN: "latency_min_clocks", latency.METER_MAX: "latency_max_clocks",
            latency.METER_LAST: "latency_last_clocks", latency.METER_SUM: "latency_sum_clocks",
        }  # fmt: skip
        shown = [top.read(names[column]) for column in range(latency.METER_HEAD)]
        for at in range(bins):
            top.write("bin_index", at)
            shown.append(top.read("bin_count"))
        return {"meter": shown, "took": top.read("exit_cycle") - top.read("entry_cycle")}
