"""order_encoder sends the bytes that its golden model and the SDK encode, and begins nothing after the kill switch."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly

from penstock_sdk.golden import order_encoder as golden
from penstock_sdk.golden.tick_layout import GATE_CHECK, GATE_FILL
from sims.axis import Pause, one_in_three, two_in_three
from sims.bench import reset, settle, start_clock
from sims.budgets import budget
from sims.fields import FieldSink, FieldSource
from sims.simulators import bench_seed, refuses, run_bench

VERDICT_FIELDS = ["kind", "reason", "slot", "side", "price_ticks", "lots", "at_ns", "intent_id", "tag"]
COUNTS = {
    "other": golden.HEAD_OTHER, "refused": golden.HEAD_REFUSED, "killed": golden.HEAD_KILLED,
    "unlisted": golden.HEAD_UNLISTED, "range": golden.HEAD_RANGE,
}  # fmt: skip
NUMBERS = [
    "venue_id", "strategy_id", "book_id", "algo_id", "algo_version", "trader_id", "account_id", "ouch_time_in_force",
]  # fmt: skip
BASE = 0xABCDEF


class Bench:
    """A clock, a source of verdicts, a sink of beats, and the golden model that is told of every verdict taken."""

    def __init__(self, dut: Any, idle: Pause | None, backpressure: Pause | None) -> None:
        self.dut = dut
        self.slots, self.price_w, self.qty_w = (int(getattr(dut, name).value) for name in ("SLOTS", "PRICE_W", "QTY_W"))
        self.rng = random.Random(bench_seed(7))
        self.restart()
        for name in dir(dut):
            if name.startswith("cfg_"):
                getattr(dut, name).value = 0
        start_clock(dut)
        self.source = FieldSource(dut, "s_verdict", VERDICT_FIELDS, idle)
        self.sink = FieldSink(dut, "m_axis", ["tdata", "tkeep", "tlast"], pause=backpressure)
        cocotb.start_soon(self._watch())

    def restart(self) -> None:
        """Forget what was, as the module does with a reset."""
        self.encoder, self.messages = golden.new_encoder(self.slots), list[bytes]()
        self.tags: list[int] = []
        self.begun: list[tuple[int, int]] = []  # tag, cycle
        self._listing: tuple[int, int, bytes, bool] | None = None

    @classmethod
    async def start(cls, dut: Any, idle: Pause | None = None, backpressure: Pause | None = None) -> Bench:
        """Return a bench whose module is reset and knows listings in all slots but the last, ids, and a base."""
        bench = cls(dut, idle, backpressure)
        await bench.reset()
        return bench

    async def reset(self) -> None:
        """Hold reset for two cycles, wait until the table is empty, and configure."""
        dut = self.dut
        await reset(dut)
        self.restart()
        self.sink.taken.clear()
        self.source.taken.clear()
        while True:
            await FallingEdge(dut.clk)
            if dut.sts_hold.value == 0:
                break
        for slot in range(min(8, self.slots - 1)):
            await self.list_slot(slot)
        await self.set_base(BASE)
        self.draw_ids()
        await FallingEdge(dut.clk)

    async def list_slot(self, slot: int, valid: int = 1) -> None:
        """Write a random listing; call at a falling edge, returns at the next."""
        dut = self.dut
        dut.cfg_listing_index.value, dut.cfg_listing_valid.value = slot, valid
        dut.cfg_listing_id.value, dut.cfg_listing_symbol.value = self.rng.getrandbits(32), self.rng.getrandbits(64)
        dut.cfg_listing_write.value = 1
        await FallingEdge(dut.clk)
        dut.cfg_listing_write.value = 0

    async def set_base(self, base: int) -> None:
        """Set the id of the first order while no verdict is under way."""
        self.dut.cfg_order_base.value = base
        golden.set_order_base(self.encoder, base)
        await ClockCycles(self.dut.clk, 5)
        await FallingEdge(self.dut.clk)

    def draw_ids(self) -> None:
        """Give all registers other values; the watch reads them with each verdict."""
        dut, rng = self.dut, self.rng
        for name in [*NUMBERS, "order_kind", "producer", "ouch_firm", "ouch_display", "ouch_customer"]:
            signal = getattr(dut, f"cfg_{name}")
            signal.value = rng.getrandbits(len(signal))

    def verdict(self, **fixed: int) -> dict[str, int]:
        """Return a verdict, four of five a passed check that any message can hold."""
        rng = self.rng
        ends = [-(1 << 31) - 1, -(1 << 31), -1, 0, 1, (1 << 31) - 1, 1 << 31]
        end, most = 1 << (self.price_w - 1), (1 << self.qty_w) - 1
        verdict = {
            "kind": GATE_CHECK, "reason": 0, "slot": rng.randrange(min(8, self.slots)), "side": rng.choice([1, 2]),
            "price_ticks": rng.choice([rng.randrange(-end, end), *(p for p in ends if -end <= p < end)]),
            "lots": rng.choice([rng.getrandbits(self.qty_w), 0, most, min(1 << 32, most)]),
            "at_ns": rng.getrandbits(63), "intent_id": rng.getrandbits(63), "tag": rng.getrandbits(64),
        }  # fmt: skip
        if rng.random() < 0.2:
            field, value = rng.choice([("kind", rng.randrange(1, 4)), ("reason", rng.choice([1, 2, 128, 255])),
                                       ("side", rng.choice([0, 3]))])  # fmt: skip
            verdict[field] = value
        return verdict | fixed

    async def settle(self) -> None:
        """Wait until all is sent and no beat has come for a while."""
        await settle(self.dut, self.source.queue, self.sink.taken)

    def received(self) -> list[bytes]:
        """Return the messages that came; each beat but the last is full, and what is kept comes first."""
        messages, body = [], b""
        for beat in (taken.fields for taken in self.sink.taken):
            kept = beat["tkeep"].bit_count()
            assert beat["tkeep"] == (1 << kept) - 1 and (kept == 8 or beat["tlast"])
            data = beat["tdata"].to_bytes(8, "little")
            assert not any(data[kept:])
            body += data[:kept]
            if beat["tlast"]:
                messages.append(body)
                body = b""
        assert not body, f"{len(body)} bytes came without tlast"
        return messages

    async def check(self) -> None:
        """Compare messages and counters with the model's."""
        await self.settle()
        await FallingEdge(self.dut.clk)
        assert self.received() == self.messages
        assert [tag for tag, _ in self.begun] == self.tags
        head = self.encoder[0]
        for name, column in COUNTS.items():
            counter = getattr(self.dut, f"sts_{name}_count")
            assert int(counter.value) == min(int(head[column]), 2 ** len(counter) - 1), name
        assert int(self.dut.sts_sent_count.value) == int(head[golden.HEAD_SENT]) == len(self.messages)

    async def _watch(self) -> None:
        dut, cycle = self.dut, 0
        while True:
            await FallingEdge(dut.clk)
            cycle += 1
            await ReadOnly()
            if dut.rst.value != 0:
                continue
            if int(dut.sts_first_beat.value):
                self.begun.append((int(dut.sts_first_tag.value), cycle))
            if dut.s_verdict_tvalid.value == 1 and dut.s_verdict_tready.value == 1:
                self._encode()
            if self._listing is not None:  # written a clock after it was heard, and read before that
                slot, listing_id, symbol, valid = self._listing
                golden.set_listing(self.encoder, slot, listing_id, symbol, valid=valid)
            self._listing = None
            heard = dut.cfg_listing_write.value == 1 and dut.sts_hold.value == 0
            if heard and int(dut.cfg_listing_index.value) < self.slots:
                symbol = int(dut.cfg_listing_symbol.value).to_bytes(8, "little")
                self._listing = (
                    int(dut.cfg_listing_index.value), int(dut.cfg_listing_id.value), symbol,
                    bool(int(dut.cfg_listing_valid.value)),
                )  # fmt: skip

    def _encode(self) -> None:
        dut, out = self.dut, golden.new_message()
        value = {name: int(getattr(dut, f"s_verdict_{name}").value) for name in VERDICT_FIELDS}
        ids = {name.removeprefix("ouch_"): int(getattr(dut, f"cfg_{name}").value) for name in NUMBERS}
        texts = {name: int(getattr(dut, f"cfg_ouch_{name}").value) for name in ("firm", "display", "customer")}
        golden.set_ids(
            self.encoder, **ids, ioc=bool(int(dut.cfg_order_kind.value)), producer=int(dut.cfg_producer.value),
            firm=texts["firm"].to_bytes(4, "little"), display=bytes([texts["display"]]),
            customer=bytes([texts["customer"]]),
        )  # fmt: skip
        golden.use_format(self.encoder, int(dut.cfg_format_ouch.value))
        golden.set_kill(self.encoder, bool(int(dut.cfg_kill.value)))
        length = golden.encode(
            self.encoder, value["kind"], value["reason"], value["slot"], value["side"],
            dut.s_verdict_price_ticks.value.to_signed(), value["lots"], value["at_ns"], value["intent_id"], out,
        )  # fmt: skip
        if length:
            self.messages.append(out[:length].tobytes())
            self.tags.append(value["tag"])


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(idle=[None, one_in_three], backpressure=[None, two_in_three])
async def random_verdicts_match_the_model(dut: Any, idle: Any, backpressure: Any) -> None:
    bench = await Bench.start(dut, idle and idle(1), backpressure and backpressure(2))
    bench.source.send(bench.verdict() for _ in range(int(os.environ["BENCH_VERDICTS"])))
    rng = bench.rng
    while bench.source.queue:  # all that can change changes meanwhile
        what = rng.randrange(30)
        if what == 0:
            dut.cfg_format_ouch.value = rng.randrange(2)
        elif what == 1:
            dut.cfg_kill.value = rng.random() < 0.2
        elif what == 2:
            bench.draw_ids()
        elif what == 3:
            await bench.list_slot(rng.randrange(min(8, 1 << len(dut.cfg_listing_index))), rng.random() < 0.8)
            continue
        await FallingEdge(dut.clk)
    await bench.check()
    assert len({len(message) for message in bench.messages}) == 2, "wanted messages of both formats"


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(ouch=[0, 1])
async def both_sides_of_every_range_match_the_model(dut: Any, ouch: int) -> None:
    bench = await Bench.start(dut)
    dut.cfg_format_ouch.value = ouch
    await FallingEdge(dut.clk)
    good = {"kind": GATE_CHECK, "reason": 0, "slot": 0, "side": 1, "price_ticks": -1, "lots": 1}
    end, most = 1 << (bench.price_w - 1), (1 << bench.qty_w) - 1
    prices = {
        -end,
        -end + 1,
        end - 1,
        *(p for p in (-(1 << 31) - 1, -(1 << 31), (1 << 31) - 1, 1 << 31) if -end <= p < end),
    }
    bench.source.send(bench.verdict(**(good | {"price_ticks": price})) for price in sorted(prices))
    lots = {0, most, *(q for q in ((1 << 32) - 1, 1 << 32) if q <= most)}
    bench.source.send(bench.verdict(**(good | {"lots": count})) for count in sorted(lots))
    bench.source.send(bench.verdict(**(good | {"side": side})) for side in range(4))
    bench.source.send(bench.verdict(**(good | {"reason": 1 << bit})) for bit in range(8))
    bench.source.send(bench.verdict(**(good | {"kind": kind})) for kind in range(4))
    bench.source.send(bench.verdict(**(good | {"slot": slot})) for slot in (0, 1, bench.slots - 1))
    await bench.settle()
    for base in (0, 1, (1 << 56) - 1, 1 << 56, (1 << 63) - 1):
        # The bench counts from the base on, so that the next order gets this id, and the one after it the next.
        await bench.set_base(base - len(bench.messages) if base > len(bench.messages) else base)
        bench.source.send(bench.verdict(**good) for _ in range(3))
        await bench.settle()
        await FallingEdge(dut.clk)
    dut.cfg_order_base.value = 1 << 63
    await ClockCycles(dut.clk, 5)
    golden.set_order_base(bench.encoder, 0)  # a negative base is as good as none
    bench.source.send([bench.verdict(**good)])
    await bench.check()
    assert bench.encoder[0, golden.HEAD_RANGE] > 3


GOOD = {"kind": GATE_CHECK, "reason": 0, "slot": 0, "side": 2, "price_ticks": -7, "lots": 3}


@cocotb.test(timeout_time=10, timeout_unit="ms")
@cocotb.parametrize(ouch=[0, 1])
async def after_the_kill_switch_no_message_begins_and_none_is_cut(dut: Any, ouch: int) -> None:
    stop = two_in_three(5)
    bench = await Bench.start(dut, None, lambda: stop())
    dut.cfg_format_ouch.value = ouch
    for clocks in range(24):
        await FallingEdge(dut.clk)
        dut.cfg_kill.value = 0
        bench.source.send(bench.verdict(**GOOD) for _ in range(3))
        await ClockCycles(dut.clk, clocks)
        await FallingEdge(dut.clk)
        dut.cfg_kill.value = 1
        await FallingEdge(dut.clk)
        begun = len(bench.begun)  # the clock after the kill may still show what began with its edge
        await ReadOnly()
        begun = max(begun, len(bench.begun))
        await bench.settle()
        assert len(bench.begun) <= begun + 1
        await FallingEdge(dut.clk)
    await bench.check()
    assert bench.encoder[0, golden.HEAD_KILLED] > 10 and len(bench.messages) > 10


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(ouch=[0, 1])
async def what_waits_while_the_kill_switch_is_on_does_not_leave_after_it(dut: Any, ouch: int) -> None:
    stuck = [True]
    bench = await Bench.start(dut, None, lambda: stuck[0])
    dut.cfg_format_ouch.value = ouch
    for killed_clocks in range(1, 6):
        stuck[0] = True
        await bench.reset()
        bench.source.send(bench.verdict(**GOOD) for _ in range(6))
        await ClockCycles(dut.clk, 12)
        assert (len(bench.source.taken), len(bench.begun)) == (1, 1)
        await FallingEdge(dut.clk)
        dut.cfg_kill.value = 1
        for _ in range(killed_clocks):
            await FallingEdge(dut.clk)
        dut.cfg_kill.value = 0
        await ClockCycles(dut.clk, 12)
        assert len(bench.source.taken) == 1 + killed_clocks
        assert int(dut.sts_killed_count.value) == killed_clocks
        stuck[0] = False
        await bench.check()
        assert len(bench.messages) == 6 - killed_clocks


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(ouch=[0, 1])
async def the_first_beat_is_offered_in_the_clock_that_is_budgeted_and_one_follows_every_clock(
    dut: Any, ouch: int
) -> None:
    bench = await Bench.start(dut)
    dut.cfg_format_ouch.value = ouch
    await FallingEdge(dut.clk)
    refused = bench.verdict(**GOOD) | {"reason": 5}
    bench.source.send([bench.verdict(**GOOD), bench.verdict(**GOOD), refused, refused, bench.verdict(**GOOD)])
    await bench.check()
    beats = 7 if ouch else 20
    first, second, _, _, last = (taken.cycle for taken in bench.source.taken)
    assert (second - first, last - first) == (beats, 2 * beats + 2)
    cycles = [taken.cycle for taken in bench.sink.taken]
    clocks = budget("order_encoder").clocks
    assert cycles == [start + clocks + beat for start in (first, second, last) for beat in range(beats)]
    assert [cycle for _, cycle in bench.begun] == cycles[::beats]


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_message_that_is_never_taken_stops_the_verdicts_and_loses_none(dut: Any) -> None:
    stuck = [True]
    bench = await Bench.start(dut, None, lambda: stuck[0])
    bench.source.send(bench.verdict(**GOOD) for _ in range(5))
    await ClockCycles(dut.clk, 200)
    assert len(bench.source.taken) == 1
    assert not bench.sink.taken
    stuck[0] = False
    await bench.check()
    assert len(bench.messages) == 5


@cocotb.test(timeout_time=10, timeout_unit="ms")
async def a_reset_at_any_clock_cuts_the_message_and_forgets_the_listings(dut: Any) -> None:
    bench = await Bench.start(dut)
    for clocks in range(1, 24, 2):
        bench.source.send(bench.verdict(**GOOD) for _ in range(3))
        await ClockCycles(dut.clk, clocks)
        await bench.reset()
        last = bench.slots - 1  # never listed
        bench.source.send([bench.verdict(**GOOD), bench.verdict(**GOOD) | {"slot": last, "kind": GATE_FILL},
                           bench.verdict(**GOOD) | {"slot": last}, bench.verdict(**GOOD)])  # fmt: skip
        await bench.check()
        assert len(bench.messages) == 2


def simulate(folder: Path, simulator: str, verdicts: int, seed: int = 1, **parameters: int) -> None:
    env = {"BENCH_VERDICTS": str(verdicts), "BENCH_SEED": str(seed)}
    run_bench("order_encoder", __name__, folder, simulator=simulator, parameters=parameters, env=env)


# Narrow with counters that reach their end; wider than OUCH holds; as it is built.
SMALL = {"SLOTS": 4, "PRICE_W": 6, "QTY_W": 4, "COUNT_W": 3}
WIDE = {"SLOTS": 5, "PRICE_W": 40, "QTY_W": 36}
WIDEST = {"SLOTS": 9, "PRICE_W": 64, "QTY_W": 63}
VARIANTS = [SMALL, WIDE, {}, WIDEST]


@pytest.mark.parametrize("parameters", [SMALL, WIDE, {}])
def test_messages_are_those_of_the_model_on_icarus(parameters: dict[str, int], tmp_path: Path) -> None:
    simulate(tmp_path, "icarus", 100, **parameters)


def test_messages_are_those_of_the_model_on_verilator(tmp_path: Path) -> None:
    simulate(tmp_path, "verilator", 100)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.parametrize("parameters", VARIANTS)
def test_many_messages_are_those_of_the_model(
    simulator: str, seed: int, parameters: dict[str, int], tmp_path: Path
) -> None:
    simulate(tmp_path, simulator, 1_000, seed, **parameters)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [("PRICE_W=65", "PRICE_W=65, wanted 2 to 64"), ("QTY_W=64", "QTY_W=64, wanted 1 to 63")],
)
def test_an_illegal_parameter_stops_the_simulation(parameter: str, message: str, tmp_path: Path) -> None:
    refuses("order_encoder", parameter, message, tmp_path)
