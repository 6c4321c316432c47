"""book_top gives the same best prices and the same counts as its model, whatever the traffic, pauses and resets."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from itertools import pairwise, product
from pathlib import Path
from typing import Any, NamedTuple, Self

import cocotb
import numpy as np
import pytest
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly

from penstock_sdk.golden import book_top as g
from sims.axis import Pause, one_in_three, two_in_three
from sims.bench import reset, start_clock
from sims.budgets import budget
from sims.fields import FieldSink, FieldSource
from sims.simulators import bench_seed, refuses, run_bench

UPDATE_FIELDS = [
    "kind", "slot", "side", "has_price", "price_ticks", "lots", "has_ask", "ask_ticks", "ask_lots", "order_ref",
    "new_ref", "at_ns", "stamp",
]  # fmt: skip
TOP_FIELDS = ["slot", "known", "has_bid", "bid_ticks", "bid_lots", "has_ask", "ask_ticks", "ask_lots", "at_ns", "stamp"]
SIGNED = ["bid_ticks", "ask_ticks"]
COUNTERS = {
    g.CAUSE_SKIPPED: "skipped",
    g.CAUSE_MALFORMED: "malformed",
    g.CAUSE_POISON: "poison",
    g.CAUSE_ORPHAN: "orphan",
    g.CAUSE_FULL: "full",
    g.CAUSE_INCONSISTENT: "inconsistent",
    g.CAUSE_RANGE: "range",
    g.CAUSE_EXHAUSTED: "exhausted",
}
FAST = {g.UPDATE_QUOTE, g.UPDATE_LEVEL, g.UPDATE_ADD, g.UPDATE_CLEAR, g.UPDATE_POISON}
ROLL = -1
"""Kind of an entry of the traffic that is no update: the host rolls the slot."""
BEGIN = -2
"""Likewise: the host has the slot begin with an empty book."""
PULSES = {ROLL: "cfg_slot_clear", BEGIN: "cfg_slot_begin"}

Update = dict[str, int]


def signed_64(value: int) -> int:
    """Return 64 bits as the int64 that has them."""
    return value - 2**64 if value >= 2**63 else value


def row_of(update: Update) -> list[int]:
    """Return an update as a row of the golden model."""
    get = update.get
    return [
        update["kind"], update["slot"], get("side", 0), get("price_ticks", 0) if get("has_price", 0) else g.ABSENT,
        get("lots", 0), get("ask_ticks", 0) if get("has_ask", 0) else g.ABSENT, get("ask_lots", 0),
        signed_64(get("order_ref", 0)), signed_64(get("new_ref", 0)), signed_64(get("at_ns", 0)),
    ]  # fmt: skip


def top_of(row: Any, stamp: int) -> dict[str, int]:
    """Return a row of best prices as the fields that the module shows; what says nothing is left out."""
    top = {"slot": int(row[g.TOP_SLOT]), "known": int(row[g.TOP_KNOWN]), "at_ns": int(row[g.TOP_AT_NS]) % 2**64}
    top["stamp"] = stamp
    for name, column in (("bid", g.TOP_BID), ("ask", g.TOP_ASK)):
        if top["known"]:
            top[f"has_{name}"] = int(row[column] != g.ABSENT)
            if top[f"has_{name}"]:
                top[f"{name}_ticks"], top[f"{name}_lots"] = int(row[column]), int(row[column + 1])
    return top


def told(fields: dict[str, int]) -> dict[str, int]:
    """Return the fields of an offered top without those that say nothing."""
    kept = dict(fields)
    for name in ("bid", "ask"):
        if not fields["known"]:
            kept.pop(f"has_{name}")
        if not fields["known"] or not fields[f"has_{name}"]:
            kept.pop(f"{name}_ticks")
            kept.pop(f"{name}_lots")
    return kept


class Traffic:
    """Makes updates as a market would, most of them right; what it holds open it finds again."""

    def __init__(self, rng: random.Random, slots: int, price_w: int, lots_w: int, wrong: float = 0.04) -> None:
        self.rng, self.slots, self.wrong = rng, slots, wrong
        self.price_w, self.lots_max = price_w, 2**lots_w - 1
        self.open: list[dict[int, list[int]]] = [{} for _ in range(slots)]  # ref: side, price, lots
        self.next_ref = rng.getrandbits(63)
        self.at_ns = 10**18
        self.middle = [rng.randint(-20, 20) for _ in range(slots)]

    def price(self, slot: int, side: int) -> int:
        """Return a price near the middle; now and then one at the end of the range."""
        if self.rng.random() < 0.01:
            return self.rng.choice([-(2 ** (self.price_w - 1)), 2 ** (self.price_w - 1) - 1])
        away = self.rng.randint(-1, 7)
        end = 2 ** (self.price_w - 1)
        price = self.middle[slot] - away if side == g.BUY else self.middle[slot] + away
        return max(-end, min(end - 1, price))

    def lots(self) -> int:
        return self.lots_max if self.rng.random() < 0.01 else self.rng.randint(1, min(9, self.lots_max))

    def stamped(self, update: Update) -> Update:
        self.at_ns += self.rng.randint(0, 5)
        return update | {"at_ns": self.at_ns, "stamp": self.rng.getrandbits(32)}

    def new_ref(self) -> int:
        self.next_ref += self.rng.choice([1, 1, 1, 2, 64])
        return self.next_ref % 2**64

    def clear(self, slot: int, kind: int) -> Update:
        self.open[slot] = {}
        return {"kind": kind, "slot": slot}

    def quote(self, slot: int) -> Update:
        rng, update = self.rng, self.clear(slot, g.UPDATE_QUOTE)
        if rng.random() < 0.9:
            update |= {"has_price": 1, "price_ticks": self.price(slot, g.BUY), "lots": rng.randint(0, 5)}
        if rng.random() < 0.9:
            update |= {"has_ask": 1, "ask_ticks": self.price(slot, g.SELL), "ask_lots": rng.randint(0, 5)}
        return update

    def any_update(self) -> Update:
        """Return the next update, or a roll. Slots have orders, levels, quotes, or a bit of each, by their number."""
        rng, slot = self.rng, self.rng.randrange(self.slots)
        draw = rng.random()
        if draw < self.wrong:
            return self.stamped(self.odd(slot))
        if draw < self.wrong + 0.01:
            return self.clear(slot, rng.choice([ROLL, BEGIN]))
        if draw < self.wrong + 0.05:
            return self.stamped(self.clear(slot, g.UPDATE_CLEAR))
        habit = slot % 4 if slot % 4 < 3 else rng.randrange(3)
        if habit == 0 or slot == self.slots - 1:
            return self.stamped(self.order(slot))
        return self.stamped(self.level(slot) if habit == 1 else self.quote(slot))

    def level(self, slot: int) -> Update:
        side = self.rng.choice([g.BUY, g.SELL])
        lots = 0 if self.rng.random() < 0.4 else self.lots()
        return {
            "kind": g.UPDATE_LEVEL, "slot": slot, "side": side, "has_price": 1, "price_ticks": self.price(slot, side),
            "lots": lots,
        }  # fmt: skip

    def order(self, slot: int) -> Update:
        rng, mine = self.rng, self.open[slot]
        kind = rng.choice(
            [g.UPDATE_ADD, g.UPDATE_ADD, g.UPDATE_REDUCE, g.UPDATE_DELETE, g.UPDATE_REPLACE, g.UPDATE_SET]
        )
        update: Update = {"kind": kind, "slot": slot}
        if kind == g.UPDATE_ADD or not mine or (kind == g.UPDATE_SET and rng.random() < 0.4):
            side, ref = rng.choice([g.BUY, g.SELL]), self.new_ref()
            lots, price = self.lots(), self.price(slot, side)
            mine[ref] = [side, price, lots]
            update["kind"] = kind if kind == g.UPDATE_SET else g.UPDATE_ADD
            return update | {"side": side, "has_price": 1, "price_ticks": price, "lots": lots, "order_ref": ref}
        ref = rng.choice(list(mine))
        update["order_ref"] = ref
        side, _, lots = mine[ref]
        if kind == g.UPDATE_DELETE:
            del mine[ref]
            return update
        if kind == g.UPDATE_REDUCE:
            taken = lots if rng.random() < 0.3 else rng.randint(1, lots)
            mine[ref][2] -= taken
            if not mine[ref][2]:
                del mine[ref]
            return update | {"lots": taken}
        if kind == g.UPDATE_SET:
            side = rng.choice([g.BUY, g.SELL])
        new_ref = ref if kind == g.UPDATE_SET or rng.random() < 0.05 else self.new_ref()
        del mine[ref]
        mine[new_ref] = [side, self.price(slot, side), self.lots()]
        update |= {"has_price": 1, "price_ticks": mine[new_ref][1], "lots": mine[new_ref][2]}
        return update | ({"side": side} if kind == g.UPDATE_SET else {"new_ref": new_ref})

    def odd(self, slot: int) -> Update:
        """Return an update that contradicts what came before, or makes no sense."""
        rng = self.rng
        update = {
            "kind": rng.choice([0, *range(1, 10), *range(3, 8), 10, 15]), "slot": slot, "side": rng.randrange(4),
            "has_price": rng.randrange(2), "price_ticks": self.price(slot, g.BUY),
            "lots": rng.choice([0, 1, self.lots_max]),
            "order_ref": rng.choice([0, self.next_ref, 2**64 - 1, *list(self.open[slot])[:3]]),
            "new_ref": rng.choice([self.next_ref, *list(self.open[slot])[:2]]),
        }  # fmt: skip
        if self.slots & (self.slots - 1) and rng.random() < 0.3:
            update["slot"] = self.slots + rng.randrange((1 << (self.slots - 1).bit_length()) - self.slots)
        return update


class Rolled(NamedTuple):
    """What the host did to a slot, and when it was done."""

    slot: int
    begins: bool
    offered: int
    taken: int


class Bench:
    """A clock, a source, a sink, the golden model, and a host that rolls and reads slots."""

    sink_type: type[FieldSink] = FieldSink

    def __init__(self, dut: Any, idle: Pause | None, backpressure: Pause | None) -> None:
        self.dut = dut
        self.slots, self.levels = int(dut.SLOTS.value), int(dut.LEVELS.value)
        self.rng = random.Random(bench_seed(1))
        start_clock(dut)
        dut.cfg_slot_clear.value = 0
        dut.cfg_slot_begin.value = 0
        dut.cfg_slot_read.value = 0
        self.source = FieldSource(dut, "s_update", UPDATE_FIELDS, idle)
        self.sink = self.sink_type(dut, "m_top", TOP_FIELDS, SIGNED, backpressure)
        self.offered = 0
        self.offers: list[int] = []
        """The cycle in which each top was first offered."""
        cocotb.start_soon(self._watch())

    @classmethod
    async def start(cls, dut: Any, idle: Pause | None = None, backpressure: Pause | None = None) -> Self:
        """Return a bench whose module has been reset."""
        bench = cls(dut, idle, backpressure)
        await bench.reset()
        return bench

    def new_book(self) -> g.Book:
        dut = self.dut
        return g.new_book(
            self.slots, self.levels, int(dut.ORDERS.value), int(dut.WAYS.value), 2 ** len(dut.s_update_lots) - 1,
            2 ** int(dut.GEN_W.value),
        )  # fmt: skip

    def traffic(self, wrong: float = 0.04) -> Traffic:
        dut = self.dut
        return Traffic(self.rng, self.slots, len(dut.s_update_price_ticks), len(dut.s_update_lots), wrong)

    async def reset(self, cycles: int = 2) -> None:
        """Hold reset, and begin anew with the model."""
        await reset(self.dut, cycles)
        self.book = self.new_book()
        self.source.taken.clear()
        self.sink.taken.clear()
        self.offered = 0
        self.offers.clear()

    async def _watch(self) -> None:
        """Count the tops that were offered, each once, before the cycle in which they are taken."""
        dut, waiting, cycle = self.dut, False, 0
        clk, rst, tvalid, tready = (
            dut.clk,
            dut.rst,
            dut.m_top_tvalid,
            dut.m_top_tready,
        )  # found once: every clock has it
        while True:
            await FallingEdge(clk)
            cycle += 1
            await ReadOnly()
            if rst.value == 1:
                waiting = False
                continue
            valid = tvalid.value == 1
            if valid and not waiting:
                self.offered += 1
                self.offers.append(cycle)
            waiting = valid and tready.value == 0

    async def host(self, pulse: str, slot: int) -> int:
        """Have a slot rolled or read; return how many tops had been offered when it was done."""
        dut = self.dut
        await FallingEdge(dut.clk)
        dut.cfg_slot_index.value = slot
        getattr(dut, pulse).value = 1
        await FallingEdge(dut.clk)
        getattr(dut, pulse).value = 0
        for _ in range(3_000):
            await FallingEdge(dut.clk)
            if dut.sts_hold.value == 0:
                return self.offered  # up to the cycle before, in which it was done
        raise AssertionError(f"sts_hold stays {dut.sts_hold.value}")

    async def roll(self, entry: Update, first: int) -> Rolled:
        """Have a slot rolled or begun; return it with the tops offered and the updates taken since the *first* ones."""
        offered = await self.host(PULSES[entry["kind"]], entry["slot"])
        return Rolled(entry["slot"], entry["kind"] == BEGIN, offered - first, len(self.source.taken) - first)

    def wanted(self, updates: list[Update], rolls: list[Rolled]) -> list[dict[str, int]]:
        """Return what the model makes of updates, and of rolls among them."""
        waiting: list[Rolled] = []
        wanted = []
        for at, update in enumerate([*updates, None]):
            while rolls and (update is None or rolls[0].offered <= at):
                done = rolls.pop(0)
                g.roll_slot(self.book, done.slot)
                waiting = [entry for entry in waiting if entry.slot != done.slot] + [done] * done.begins
            # Updates taken before the slot began find it unknown; a quote or a clear does not care.
            for entry in list(waiting):
                begins = update is None or update["kind"] in (g.UPDATE_QUOTE, g.UPDATE_CLEAR)
                if entry.taken <= at or (begins and (update is None or update["slot"] == entry.slot)):
                    g._begin(self.book, entry.slot)
                    waiting.remove(entry)
            if update is not None:
                top = g.new_tops(1)[0]
                g.apply_update(self.book, np.array(row_of(update), np.int64), top)
                wanted.append(top_of(top, update.get("stamp", 0)))
        return wanted

    async def check(self, traffic: Iterable[Update]) -> None:
        """Send updates and roll slots, and hold all that comes against the model."""
        updates: list[Update] = []
        rolls: list[Rolled] = []
        first = len(self.sink.taken)
        for entry in traffic:
            if entry["kind"] in PULSES:
                while len(self.source.queue) > self.rng.choice([0, 0, 1, 2, 5]):
                    await FallingEdge(self.dut.clk)
                rolls.append(await self.roll(entry, first))
            else:
                updates.append(entry)
                self.source.send([entry])
        await self.settle(first + len(updates))
        wanted = self.wanted(updates, rolls)
        came = [told(taken.fields) for taken in self.sink.taken[first:]]
        for at, (met, want) in enumerate(zip(came, wanted, strict=True)):
            assert met == want, f"update {at}, {updates[at]}: {met}, wanted {want}"
        await self.check_counts()

    async def settle(self, tops: int, quiet: int = 16) -> None:
        """Wait until so many tops have come, and that no more come for *quiet* clocks."""
        for _ in range(40 * (tops + 200)):
            if len(self.sink.taken) >= tops and not self.source.queue:
                break
            await FallingEdge(self.dut.clk)
        if quiet:
            await ClockCycles(self.dut.clk, quiet)
            await FallingEdge(self.dut.clk)
        assert len(self.sink.taken) == tops

    async def check_counts(self) -> None:
        dut, head = self.dut, self.book.head
        met = {name: int(getattr(dut, f"sts_{name}_count").value) for name in COUNTERS.values()}
        met |= {name: int(getattr(dut, f"sts_{name}").value) for name in ("update_count", "roll_count", "known_slots")}
        top = 2 ** len(dut.sts_update_count) - 1
        wanted = {name: min(int(head[g.HEAD_CAUSES + cause]), top) for cause, name in COUNTERS.items()}
        wanted |= {"update_count": min(int(head[g.HEAD_UPDATES]), top), "roll_count": min(int(head[g.HEAD_ROLLS]), top)}
        assert met == wanted | {"known_slots": int(head[g.HEAD_KNOWN])}

    async def check_slot(self, slot: int) -> None:
        """Read a slot and hold it against the model."""
        await self.host("cfg_slot_read", slot)
        top = g.new_tops(1)[0]
        g.read_top(self.book, slot, top)
        fields = dict.fromkeys(TOP_FIELDS, 0) | {"slot": slot}
        for name in TOP_FIELDS[1:8]:
            value = getattr(
                self.dut, f"sts_slot_{'' if name in TOP_FIELDS[3:5] + TOP_FIELDS[6:8] else 'state_'}{name}"
            ).value
            fields[name] = value.to_signed() if name in SIGNED else int(value)
        assert told(fields) == top_of(top, 0)


@cocotb.test(timeout_time=50, timeout_unit="ms")
@cocotb.parametrize(idle=[None, one_in_three], backpressure=[None, one_in_three, two_in_three])
async def random_traffic_matches_the_model(dut: Any, idle: Any, backpressure: Any) -> None:
    bench = await Bench.start(dut, idle and idle(1), backpressure and backpressure(2))
    traffic = bench.traffic()
    await bench.check([traffic.clear(slot, g.UPDATE_CLEAR) for slot in range(bench.slots)])
    for wrong in (0.0, 0.05):
        traffic.wrong = wrong
        await bench.check(traffic.any_update() for _ in range(int(os.environ["BENCH_UPDATES"]) // 2))
    for slot in range(min(bench.slots, 8)):
        await bench.check_slot(slot)


def clear(slot: int) -> Update:
    return {"kind": g.UPDATE_CLEAR, "slot": slot}


def level(slot: int, side: int, price: int, lots: int) -> Update:
    return {"kind": g.UPDATE_LEVEL, "slot": slot, "side": side, "has_price": 1, "price_ticks": price, "lots": lots}


def order(kind: int, slot: int, ref: int, side: int = 0, price: int = 0, lots: int = 0, new_ref: int = 0) -> Update:
    return {
        "kind": kind, "slot": slot, "side": side, "has_price": int(kind not in (g.UPDATE_REDUCE, g.UPDATE_DELETE)),
        "price_ticks": price, "lots": lots, "order_ref": ref, "new_ref": new_ref,
    }  # fmt: skip


def edge_traffic(levels: int, ways: int, sets: int, lots_max: int) -> list[Update]:
    """Return updates on both sides of every bound, each kind of mistake on a slot that was known."""
    add, reduce, delete = g.UPDATE_ADD, g.UPDATE_REDUCE, g.UPDATE_DELETE
    buy, sell, at, out = g.BUY, g.SELL, 0, []

    def orders(*entries: Update) -> None:
        out.extend([clear(at), *entries, level(at, buy, 1, 1)])

    for side, step in ((buy, -1), (sell, 1)):
        kept = [level(at, side, step * nth, 5) for nth in range(levels)]
        cut = level(at, side, step * levels, 5)
        for last in (cut, level(at, side, step * (levels - 1), 7), level(at, side, step * levels, 0)):
            out += [clear(at), *kept, last, *(entry | {"lots": 0} for entry in kept)]
        # Cut off by a better one; then what comes behind the rest is not kept, and what is taken away there not missed.
        better = level(at, side, -step, 5)
        out += [clear(at), *kept, better, kept[0] | {"lots": 0}, kept[-1] | {"lots": 6}, kept[-1] | {"lots": 0}]
        out += [level(at, side, step * 9, 0), better | {"lots": 0}, *(entry | {"lots": 0} for entry in kept)]
        out += [
            clear(at),
            order(add, at, 1, side, 0, lots_max),
            order(add, at, 2, side, step, lots_max),
            level(at, side, 0, 1),
        ]
        out += [
            clear(at),
            order(add, at, 1, side, 0, lots_max - 1),
            order(add, at, 2, side, 0, 1),
            order(delete, at, 1),
        ]
        for lots in (1, 2, 3):  # 2 + lots_max - 2 just fits
            orders(order(add, at, 1, side, 4, lots), order(add, at, 2, side, 4, lots_max - 2))
        for lots in (4, 5, 6):
            orders(order(add, at, 1, side, 4, 5), order(reduce, at, 1, lots=lots), order(delete, at, 1))
        # The level has fewer lots than the order: a level update took them.
        orders(order(add, at, 1, side, 4, 5), level(at, side, 4, 3), order(reduce, at, 1, lots=3), order(delete, at, 1))
        orders(order(add, at, 1, side, 4, 5), level(at, side, 4, 3), order(reduce, at, 1, lots=4))
        orders(order(add, at, 1, side, 4, 5), level(at, side, 4, 0), order(delete, at, 1))
        for new_ref in (1, 2, 3):
            orders(
                order(add, at, 1, side, 4, 5), order(add, at, 2, side, 4, 1),
                order(g.UPDATE_REPLACE, at, 1, price=4, lots=2, new_ref=new_ref), order(delete, at, new_ref),
            )  # fmt: skip
        for other in (buy, sell):
            orders(
                order(g.UPDATE_SET, at, 1, side, 4, 5), order(g.UPDATE_SET, at, 1, other, 3, 2), order(delete, at, 1)
            )
        orders(order(delete, at, 1))
        orders(order(g.UPDATE_REPLACE, at, 1, price=4, lots=2, new_ref=2))
        orders(order(add, at, 1, side, 4, 5), order(add, at, 1, side, 4, 5))
        orders(order(add, at, 1, side, 4, 5), order(delete, at, 1), order(delete, at, 1))
        orders(order(add, at, 1, side, 4, 5), {"kind": g.UPDATE_POISON, "slot": at}, order(delete, at, 1))
        orders(order(add, at, 1, side, 4, 5), clear(at), order(delete, at, 1))
        orders(order(add, at, 1, side, 4, 5), {"kind": g.UPDATE_QUOTE, "slot": at}, order(add, at, 1, side, 4, 6))
    # One set is filled to the last way, and by one more; what another slot forgot is free again.
    refs = [0x8000_0000_0000_0000 + nth * sets * (sets + 1) for nth in range(ways + 1)]
    fill = [order(add, at, ref, buy, 3, 1) for ref in refs]
    orders(*fill[:-1], order(delete, at, refs[0]), fill[-1], fill[0])
    orders(*fill[:-1], order(g.UPDATE_REPLACE, at, refs[1], price=2, lots=1, new_ref=refs[-1]))
    orders(*fill[:-1], order(g.UPDATE_SET, at, refs[1], sell, 2, 1))
    orders(*fill[:-1], order(g.UPDATE_SET, at, refs[-1], sell, 2, 1))
    orders(*fill[:-1], order(add, at, 1, buy, 3, 1), order(g.UPDATE_REPLACE, at, 1, price=2, lots=1, new_ref=refs[-1]))
    orders(*fill[:-1])
    out += [
        clear(1),
        *(entry | {"slot": 1} for entry in fill),
        clear(0),
        clear(1),
        *(entry | {"slot": 1} for entry in fill[:-1]),
    ]
    for changes in ({"side": 0}, {"side": 3}, {"has_price": 0}, {"lots": 0}, {"kind": 0}, {"kind": 10}, {"kind": 15}):
        for entry in (level(at, sell, 2, 1), fill[0], order(g.UPDATE_SET, at, refs[0], buy, 1, 1)):
            orders(entry | changes)
        orders(fill[0], order(g.UPDATE_REPLACE, at, refs[0], price=2, lots=1, new_ref=5) | changes)
    orders(fill[0], order(reduce, at, refs[0], lots=0))
    for bid in (0, 1):
        for ask in (0, 1):
            quote = {"has_price": bid, "price_ticks": 3, "lots": 2, "has_ask": ask, "ask_ticks": -3, "ask_lots": 4}
            out += [
                clear(at),
                {"kind": g.UPDATE_QUOTE, "slot": at} | quote,
                level(at, buy, 3, 0),
                level(at, sell, -3, 1),
            ]
            out += [{"kind": g.UPDATE_QUOTE, "slot": at} | quote | {"lots": 0}, order(add, at, 1, sell, -3, 1)]
    return out


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(backpressure=[None, two_in_three])
async def both_sides_of_every_bound_match_the_model(dut: Any, backpressure: Any) -> None:
    bench = await Bench.start(dut, None, backpressure and backpressure(3))
    ways = int(dut.WAYS.value)
    lots_max = 2 ** len(dut.s_update_lots) - 1
    await bench.check(edge_traffic(bench.levels, ways, int(dut.ORDERS.value) // ways, lots_max))
    counts = g.counts(bench.book)
    assert all(counts.values()), counts


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def prices_at_the_ends_of_their_range_are_sorted(dut: Any) -> None:
    bench = await Bench.start(dut)
    top = 2 ** (len(dut.s_update_price_ticks) - 1)
    prices = [-top, top - 1, -1, 0, 1 - top, top - 2, 1]
    await bench.check(
        [clear(0), *(level(0, side, price, 2) for side in (g.BUY, g.SELL) for price in prices)]
        + [level(0, side, price, 0) for side in (g.BUY, g.SELL) for price in reversed(prices)]
    )


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def tops_are_offered_as_soon_as_the_header_says(dut: Any) -> None:
    bench = await Bench.start(dut)
    add, delete = order(g.UPDATE_ADD, 0, 7, g.BUY, 3, 2), order(g.UPDATE_DELETE, 0, 7)
    replace = order(g.UPDATE_REPLACE, 0, 7, price=4, lots=1, new_ref=7)
    put = order(g.UPDATE_SET, 0, 8, g.BUY, 3, 2)
    quote, poison = {"kind": g.UPDATE_QUOTE, "slot": 0}, {"kind": g.UPDATE_POISON, "slot": 0}
    wanted = [
        (clear(0), 4), (add, 4), (replace, 8), (put, 6), (put, 8), (delete, 6),
        (order(g.UPDATE_REDUCE, 0, 8, lots=1), 6),
        (level(0, g.SELL, 1, 1), budget("book_top").clocks), (quote, 4), (poison, 4),
    ]  # fmt: skip
    for update, clocks in wanted:
        await bench.check([update])
        assert bench.offers[-1] - bench.source.taken[-1].cycle == clocks, update


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def every_kind_keeps_its_rate_with_nothing_lost(dut: Any) -> None:
    bench = await Bench.start(dut)
    many = int(dut.ORDERS.value) // int(dut.WAYS.value)
    adds = [order(g.UPDATE_ADD, 0, ref, g.BUY, ref % 2, 1) for ref in range(many)]
    replaces = [order(g.UPDATE_REPLACE, 0, ref, price=ref % 2, lots=3, new_ref=ref) for ref in range(many)]
    sets = [order(g.UPDATE_SET, 0, ref, g.SELL, ref % 2, 3) for ref in range(many)]
    reduces = [order(g.UPDATE_REDUCE, 0, ref, lots=1) for ref in range(many)]
    deletes = [order(g.UPDATE_DELETE, 0, ref) for ref in range(many)]
    levels = [level(1, g.BUY, at % 2, 1 + at) for at in range(8)]
    quotes = [{"kind": g.UPDATE_QUOTE, "slot": 1, "has_price": 1, "price_ticks": at, "lots": 1} for at in range(8)]
    await bench.check([clear(0), clear(1)])
    for updates, clocks in (
        (adds, 4), (replaces, 5), (sets, 5), (reduces, 4), (deletes, 3), (levels, 4), (quotes, 5),
    ):  # fmt: skip
        first = len(bench.source.taken)
        await bench.check(updates)
        cycles = [taken.cycle for taken in bench.source.taken[first:]]
        assert {after - before for before, after in pairwise(cycles)} == {clocks}
    assert g.counts(bench.book)[g.CAUSE_NONE] == 2 + 5 * many + 16


BY_TURNS = {
    "AA": 8, "AD": 9, "AX": 9, "AU": 11, "AS": 11, "DA": 9, "DD": 6, "DX": 7, "DU": 8, "DS": 8, "XA": 9, "XD": 7,
    "XX": 8, "XU": 9, "XS": 9, "UA": 11, "UD": 8, "UX": 9, "UU": 10, "US": 10, "SA": 11, "SD": 8, "SX": 9, "SU": 10,
    "SS": 10, "DDA": 12, "AAD": 13, "UUA": 16, "XXA": 13,
}  # fmt: skip
"""Clocks that kinds of `of_letter` take by turns, each once: the figures of docs/hardware/book_top.md."""


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def kinds_by_turns_take_as_many_clocks_as_documented(dut: Any) -> None:
    bench = await Bench.start(dut)
    met: dict[str, int] = {}
    for turn in BY_TURNS:
        refs = list(range(1 + 4 * turn.count("D")))
        begin = [order(g.UPDATE_ADD, 0, ref, g.BUY, ref % 2, 2 if ref else 20) for ref in refs]
        updates = [of_letter(letter, refs, len(begin) + at) for at, letter in enumerate(4 * turn)]
        await bench.check([clear(0), *begin])
        first = len(bench.source.taken)
        await bench.check(updates)
        second, third, fourth = (bench.source.taken[first + len(turn) * nth].cycle for nth in (1, 2, 3))
        assert third - second == fourth - third
        met[turn] = fourth - third
    assert met == BY_TURNS
    assert g.counts(bench.book)[g.CAUSE_NONE] == bench.book.head[g.HEAD_UPDATES]


def of_letter(letter: str, refs: list[int], new_ref: int) -> Update:
    """Return an add, delete, cancel, replace, or a set of an order that is there; *refs* are the open ones."""
    if letter == "A":
        refs.append(new_ref)
        return order(g.UPDATE_ADD, 0, new_ref, g.BUY, new_ref % 2, 2)
    if letter == "X":
        return order(g.UPDATE_REDUCE, 0, refs[0], lots=1)
    if letter == "S":
        return order(g.UPDATE_SET, 0, refs[0], g.BUY, new_ref % 2, 2)
    ref = refs.pop(0)
    if letter == "D":
        return order(g.UPDATE_DELETE, 0, ref)
    refs.append(new_ref)
    return order(g.UPDATE_REPLACE, 0, ref, price=new_ref % 2, lots=2, new_ref=new_ref)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def the_host_waits_for_no_taker(dut: Any) -> None:
    """With tops that nobody takes, rolls and reads are done within a few clocks of the pulse, or of a sweep's end."""
    ready = True
    soon = 9
    if int(dut.GEN_W.value) < 4:
        soon += int(dut.ORDERS.value) // int(dut.WAYS.value) + (1 << len(dut.s_update_slot)) + 6
    bench = await Bench.start(dut, None, lambda: not ready)
    traffic = bench.traffic(0.0)
    await bench.check([traffic.clear(slot, g.UPDATE_CLEAR) for slot in range(bench.slots)])
    for _ in range(12):
        ready = False
        updates = [entry for entry in (traffic.any_update() for _ in range(8)) if entry["kind"] not in PULSES]
        before = len(bench.sink.taken)
        bench.source.send(updates)
        rolls = []
        for slot in (0, bench.slots - 1, 1):
            await ClockCycles(dut.clk, bench.rng.randrange(12))
            kind = bench.rng.choice([ROLL, BEGIN])
            start = bench.sink.cycle
            rolls.append(await bench.roll({"kind": kind, "slot": slot}, before))
            assert bench.sink.cycle - start <= soon
            start = bench.sink.cycle
            await bench.host("cfg_slot_read", slot)
            assert bench.sink.cycle - start <= soon
            assert dut.sts_slot_state_known.value == (kind == BEGIN)
            if kind == BEGIN:
                assert (dut.sts_slot_state_has_bid.value, dut.sts_slot_state_has_ask.value) == (0, 0)
        ready = True
        await bench.settle(before + len(updates))
        wanted = bench.wanted(updates, rolls)
        assert [told(taken.fields) for taken in bench.sink.taken[before:]] == wanted
        await bench.check_counts()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def a_slot_begins_at_any_clock_of_updates_in_flight(dut: Any) -> None:
    """A begin at each clock after each kind, in the slot that has it, whether or not the top is taken; then orders."""
    ready = True
    bench = await Bench.start(dut, None, lambda: not ready)
    add, delete = order(g.UPDATE_ADD, 0, 8, g.SELL, 4, 2), order(g.UPDATE_DELETE, 0, 7)
    replace = order(g.UPDATE_REPLACE, 0, 7, price=4, lots=1, new_ref=8)
    put, quote = order(g.UPDATE_SET, 0, 7, g.BUY, 3, 2), {"kind": g.UPDATE_QUOTE, "slot": 0, "has_price": 1, "lots": 3}
    behind = [delete, order(g.UPDATE_DELETE, 0, 8), order(g.UPDATE_ADD, 0, 7, g.BUY, 1, 5), level(1, g.BUY, 1, 1)]
    begun = [clear(0), order(g.UPDATE_ADD, 0, 7, g.BUY, 3, 2)]
    pairs = [[add, delete], [delete, add], [delete, delete], [replace, quote], [put, delete], [delete, quote], [quote]]
    for flight in pairs:
        for clocks, waits in product(range(1, 13), (False, True)):
            ready = True
            before = len(bench.sink.taken)
            bench.source.send(begun)
            await bench.settle(before + len(begun), quiet=0)
            ready = not waits
            bench.source.send(flight)
            await ClockCycles(dut.clk, clocks)
            rolls = [await bench.roll({"kind": BEGIN, "slot": 0}, before)]
            updates = [*begun, *flight, *behind[2 if clocks % 3 else 0 :]]
            bench.source.send(updates[len(begun) + len(flight) :])
            ready = True
            await bench.settle(before + len(updates), quiet=0)  # one too many is one too many in the next round
            wanted = bench.wanted(updates, rolls)
            assert [told(taken.fields) for taken in bench.sink.taken[before:]] == wanted
            await bench.check_slot(0)
    await bench.settle(len(bench.sink.taken))
    await bench.check_counts()


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def a_reset_at_any_clock_forgets_everything(dut: Any) -> None:
    bench = await Bench.start(dut)
    for cycles in range(1, 16):
        traffic = bench.traffic()
        bench.source.send(traffic.clear(slot, g.UPDATE_CLEAR) for slot in range(bench.slots))
        bench.source.send(entry for entry in (traffic.any_update() for _ in range(30)) if entry["kind"] not in PULSES)
        while len(bench.source.taken) < bench.slots + 2:
            await FallingEdge(dut.clk)
        await ClockCycles(dut.clk, cycles)
        await bench.reset(1)
        await bench.check(
            [level(0, g.BUY, 1, 1), clear(0), order(g.UPDATE_ADD, 0, 1, g.BUY, 1, 1), level(1, g.BUY, 1, 1)]
        )
        assert [taken.fields["known"] for taken in bench.sink.taken] == [0, 1, 1, 0]
        await bench.reset(1)


def simulate(folder: Path, simulator: str, updates: int, seed: int = 1, **parameters: int) -> None:
    """Run the bench with these parameters of the module."""
    env = {"BENCH_UPDATES": str(updates), "BENCH_SEED": str(seed)}
    run_bench("book_top", __name__, folder, simulator=simulator, parameters=parameters, env=env)


ODD = {"SLOTS": 5, "LEVELS": 2, "ORDERS": 16, "WAYS": 2, "GEN_W": 2, "PRICE_W": 8, "BOOK_QTY_W": 6, "COUNT_W": 6}


@pytest.mark.parametrize("parameters", [{"ORDERS": 256, "SLOTS": 16}, ODD], ids=["wide", "odd"])
def test_tops_are_those_of_the_model_on_icarus(parameters: dict[str, int], tmp_path: Path) -> None:
    simulate(tmp_path, "icarus", updates=240, **parameters)


@pytest.mark.parametrize("parameters", [{"ORDERS": 256, "SLOTS": 16}], ids=["wide"])
def test_tops_are_those_of_the_model_on_verilator(parameters: dict[str, int], tmp_path: Path) -> None:
    simulate(tmp_path, "verilator", updates=600, **parameters)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize("parameters", [{}, ODD, {"LEVELS": 8, "SLOTS": 4, "GEN_W": 1, "ORDERS": 8}], ids=str)
def test_much_traffic_gives_the_tops_of_the_model(simulator: str, parameters: dict[str, int], tmp_path: Path) -> None:
    simulate(tmp_path, simulator, updates=6_000, seed=7, **parameters)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("LEVELS=1", "LEVELS=1, wanted 2 or more"),
        ("ORDERS=12", "ORDERS=12, wanted WAYS=4 times a power of 2"),
        ("ORDERS=10", "ORDERS=10, wanted WAYS=4 times a power of 2, twice WAYS or more"),
        ("SLOTS=0", "SLOTS=0, wanted 1 to 2"),
    ],
)
def test_an_illegal_parameter_stops_the_simulation(parameter: str, message: str, tmp_path: Path) -> None:
    refuses("book_top", parameter, message, tmp_path)
