"""The chain in a bench: the device, its host, and the golden chain, which are told the same."""

from __future__ import annotations

import os
import random
from typing import Any

import cocotb
from cocotb.task import bridge
from cocotb.triggers import FallingEdge, ReadOnly

from penstock_sdk.events import Quote
from penstock_sdk.golden import risk_gate, trigger
from penstock_sdk.golden.tick_layout import RULE_BID_AT_LEAST
from penstock_sdk.golden.tick_to_trade import new_chain, on_frame
from sims.axil import AxilBus, AxilMaster
from sims.axis import Pause, Sink
from sims.bench import reset, settle, start_clock
from sims.feed_decoder.feed_traffic import Sent, packed_frame
from sims.fields import FieldSource
from sims.simulators import bench_seed
from sims.tick_to_trade.host import Host
from sims.tick_to_trade.market import Market

__all__ = ["BINS", "DEFAULTS", "LANES", "LISTINGS", "PARAMETERS", "SLOTS", "Bench"]

DEFAULTS = {
    "SLOTS": 16, "MAP_W": 6, "RECORDS_MAX": 4, "LEVELS": 4, "ORDERS": 256, "RULES": 16, "LANES": 2, "INTERVALS": 16,
    "LINKS": 32, "SEEN_SETS": 16, "PRICE_W": 32, "BOOK_QTY_W": 32, "QTY_W": 24, "BINS": 64,
}  # fmt: skip
PARAMETERS = {name: int(os.environ.get(f"BENCH_{name}", value)) for name, value in DEFAULTS.items()}
SLOTS, BINS, LANES = PARAMETERS["SLOTS"], PARAMETERS["BINS"], PARAMETERS["LANES"]
LISTINGS = list(Host.listings)


class Bench:
    """The device, its host, and the golden chain that is told the same."""

    def __init__(self, dut: Any, idle: Pause | None, backpressure: Pause | None, host: type[Host] = Host) -> None:
        self.dut, self.make_host = dut, host
        self.rng = random.Random(bench_seed(1))
        self.market = Market(self.rng, LISTINGS, PARAMETERS["RECORDS_MAX"])
        start_clock(dut)
        self.source = FieldSource(dut, "s_axis", ("tdata", "tlast", "tid"), idle)
        self.sink = Sink(dut, "m_axis", backpressure)
        self.bus = AxilBus(AxilMaster(dut))
        self.offers: list[int] = []
        """Cycle in which each message was first offered."""
        cocotb.start_soon(self._watch())
        self.fresh()

    def fresh(self) -> None:
        """Begin with an empty chain, as after a reset."""
        p = PARAMETERS
        self.chain = new_chain(
            slots=SLOTS, intervals=p["INTERVALS"], links=p["LINKS"], map_bits=p["MAP_W"], records_max=p["RECORDS_MAX"],
            levels=p["LEVELS"], book_orders=p["ORDERS"], lanes=LANES, rules=p["RULES"], price_bits=p["PRICE_W"],
            book_lots_bits=p["BOOK_QTY_W"], lots_bits=p["QTY_W"], seen_sets=p["SEEN_SETS"],
        )  # fmt: skip
        slots = {listing: at for at, listing in enumerate(self.make_host.listings)}
        self.host = self.make_host(self.bus, self.chain, slots, LANES, self.rng)
        self.host.plan(p["RULES"])
        self.wanted: list[bytes] = []
        self.sent: list[Sent] = []
        self.caused: list[int] = []
        """For each wanted message, the number of the frame that caused it."""
        self.source.taken.clear()
        self.sink.beats.clear()
        self.offers.clear()

    @classmethod
    async def start(
        cls, dut: Any, idle: Pause | None = None, backpressure: Pause | None = None, host: type[Host] = Host
    ) -> Bench:
        """Return a bench whose device has been reset and loaded."""
        bench = cls(dut, idle, backpressure, host)
        await bench.reset()
        await bridge(bench.host.load)()
        return bench

    async def reset(self) -> None:
        """Hold reset for two cycles."""
        await reset(self.dut)

    async def _watch(self) -> None:
        dut, begins, cycle = self.dut, True, 0
        while True:
            await FallingEdge(dut.clk)
            cycle += 1
            await ReadOnly()
            if dut.rst.value == 1:
                begins = True
            elif dut.m_axis_tvalid.value == 1:
                if begins:
                    self.offers.append(cycle)
                begins = dut.m_axis_tlast.value == 1 and dut.m_axis_tready.value == 1

    def rule_that_fires(self, slot: int) -> None:
        """Give a slot rules that any bid fulfils and nothing refuses, and arm them; runs beside the simulation."""
        self.host.rows = {}
        for lane in range(LANES):
            self.set_rule(slot, lane, price_mode=1)

    def set_rule(self, slot: int = 1, lane: int = 0, **changes: int) -> None:
        """Give a slot one armed rule that any bid fulfils; *changes* of its row. Runs beside the simulation."""
        row = {"kind": RULE_BID_AT_LEAST, "rule": lane, "threshold_ticks": -9, "order_slot": slot, "side": 1,
               "price_ticks": 0, "lots": 2, "price_mode": 0, "other_slot": 0} | changes  # fmt: skip
        self.host.rows[slot, lane] = row
        trigger.set_lane(self.chain.trigger, slot, lane, **row)
        self.host.load_lane(slot, lane)
        trigger.arm(self.chain.trigger, row["rule"])
        self.host.page["trigger"].write("rule_index", row["rule"])
        self.host.page["trigger"].pulse("arm")

    def free(self, slot: int = 1) -> None:
        """Let neither the rate nor the position stop an order of a slot. Runs beside the simulation."""
        gate = self.chain.gate
        risk_gate.set_rate(gate, 1_000, 1)
        self.host.gate.load_rate(gate)
        for interval in risk_gate.intervals_of(gate, slot):
            risk_gate.set_position_limit(gate, interval, 10**6, 10**6)
            self.host.gate.load_limits(gate, interval)

    def forget_exposures(self) -> None:
        """Let nothing be held and nothing work, in a chain at rest. Runs beside the simulation."""
        shown = risk_gate.exposures(self.chain.gate)
        for interval in range(len(shown)):
            if shown[interval, risk_gate.INTERVAL_NET :].any():
                shown[interval, risk_gate.INTERVAL_NET :] = 0
                self.host.gate.load_exposure(self.chain.gate, interval)

    def trade_on(self, slot: int = 1) -> None:
        """Have each lane of every slot fire an order of one slot that nothing refuses. Runs beside the simulation."""
        self.free(slot)
        for rule, (its, lane) in enumerate(list(self.host.rows)):
            self.set_rule(its, lane, rule=rule, order_slot=slot)

    async def round_of_orders(self) -> None:
        """Arm all rules and send as many quotes, of all listings in turn: the golden chain sends an order for each."""
        await bridge(self.host.arm)()
        before, rules = len(self.wanted), len(self.host.rows)
        self.send([self.quote(listing, later_ns=1_000) for listing in LISTINGS * (rules // len(LISTINGS))])
        assert len(self.wanted) == before + rules >= before + 5

    def quote(self, listing: int = 2, bid: int = -1, ask: int = 1, later_ns: int = 10**6, **changes: int) -> Sent:
        """Return a frame of one quote, *later_ns* after the one before."""
        self.market.seq += 1
        self.market.at_ns += later_ns
        quote = Quote(listing, changes.get("tradability", 1), 0, 0, bid, 3, ask, 3)
        return packed_frame([quote], self.market.seq, self.market.at_ns)

    def offer(self, sent: Sent) -> None:
        """Queue the beats of a frame; the golden chain does not have it yet."""
        words = [int.from_bytes(sent.frame[at : at + 8], "little") for at in range(0, len(sent.frame), 8)]
        self.source.send(
            {"tdata": word, "tlast": at == len(words) - 1, "tid": int(at in sent.strange)}
            for at, word in enumerate(words)
        )

    def send(self, frames: list[Sent]) -> None:
        """Queue *frames* and let the golden chain have them."""
        for sent in frames:
            self.offer(sent)
            mixed = 0 < len(sent.strange) < len(sent.frame) // 8
            messages = on_frame(self.chain, sent.frame, int(self.host.itch), int(mixed))
            self.wanted += messages
            self.caused += [len(self.sent)] * len(messages)
            self.sent.append(sent)

    async def settle(self) -> None:
        """Wait until all is sent and nothing has come for a while."""
        await settle(self.dut, self.source.queue, self.sink.beats)

    def messages(self) -> list[bytes]:
        """Return what was sent, each cut to its length: what the golden chain writes ends where the bytes end."""
        met = [frame for frame, _ in self.sink.frames()]
        return [frame[: len(wanted)] for frame, wanted in zip(met, self.wanted, strict=False)] + met[len(self.wanted) :]

    async def exchange(self, frames: list[Sent]) -> None:
        """Send *frames*; every message so far is the golden chain's."""
        self.send(frames)
        await self.settle()
        met = self.messages()
        assert len(met) == len(self.wanted)
        for at, (message, wanted) in enumerate(zip(met, self.wanted, strict=True)):
            assert message == wanted, f"message {at}"

    def clocks(self) -> list[int]:
        """Return the clocks of each message from the last beat of its frame to its first offer."""
        ends = [taken.cycle for taken in self.source.taken if taken.fields["tlast"]]
        return [offer - ends[frame] for offer, frame in zip(self.offers, self.caused, strict=True)]
