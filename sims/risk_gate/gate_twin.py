"""A bench of risk_gate and its golden twin: every edge is watched, and the twin does at it what the gate does.

An order is judged with the tables of the edge that takes it and the switches of the edge that decides. So what comes
while one is inside waits here until its verdict is offered; what the host writes counts from when sts_hold falls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly, with_timeout

from penstock_hw.drivers.risk_gate import (
    Device,
    limit_row,
    listing_row,
    prepare,
    rate_row,
    reference_row,
)
from penstock_sdk.golden import risk_gate as g
from penstock_sdk.golden.tick_layout import GATE_CHECK, GATE_FILL, GATE_RELEASE, GATE_RESERVE
from sims.axis import Pause
from sims.bench import reset, start_clock
from sims.fields import FieldSink

__all__ = ["Bench", "Order", "beat_of", "verdict_of"]

ORDER_FIELDS = ("kind", "slot", "side", "price_ticks", "lots", "fits", "at_ns", "intent_id", "tag")
ECHOED = ("kind", "slot", "side", "price_ticks", "lots", "at_ns", "intent_id", "tag")
SIGNED = ("price_ticks",)


class Order(NamedTuple):
    """One order or command, its numbers as the software has them: they may be wider than the device."""

    kind: int
    slot: int
    side: int
    price_ticks: int
    lots: int
    at_ns: int
    intent_id: int
    tag: int = 0


def beat_of(order: Order, device: Device) -> dict[str, int]:
    """Return what stands on s_order: numbers that do not fit are cut, and marked by fits = 0."""
    half = 1 << (device.price_bits - 1)
    fits = -half <= order.price_ticks < half or order.kind != GATE_CHECK
    fits = fits and order.lots < 1 << device.qty_bits
    return order._asdict() | {"fits": int(fits), "lots": max(order.lots, 0)}


def verdict_of(gate: g.Table, order: Order) -> int:
    """Judge an order by the golden gate, which changes; return the reason."""
    if order.kind == GATE_CHECK:
        numbers = (order.slot, order.side, order.price_ticks, order.lots, order.at_ns, order.intent_id)
        return int(g.check_order(gate, *numbers, g.new_verdicts(1)))
    command = {GATE_RESERVE: g.reserve, GATE_RELEASE: g.release, GATE_FILL: g.fill}[order.kind]
    return int(command(gate, order.slot, order.side, order.lots))


class Bench:
    """Clock, order source, verdict sink, host and references, with the golden gate that all is compared with."""

    sink_type: type[FieldSink] = FieldSink

    def __init__(self, dut: Any, device: Device, idle: Pause | None, backpressure: Pause | None) -> None:
        self.dut, self.device, self.idle = dut, device, idle
        self.queue: deque[Order] = deque()
        self.source: Iterator[Order] | None = None
        """Asked for the next order when the queue is empty."""
        self.wanted: list[tuple[Order, int]] = []
        self.latencies: list[tuple[Order, int, int]] = []
        """An order, its intervals, and the cycles from its transfer to the first edge that can take its verdict."""
        self.taken_at: list[int] = []
        self.cycle = 0
        self._inside: tuple[Order, int] | None = None
        self._waiting: list[Callable[[], None]] = []
        self._switches = (0, 0)
        self._compared = 0  # verdicts that were found right
        self._masks = {name: (1 << len(getattr(dut, f"m_verdict_{name}"))) - 1 for name in ECHOED}
        self._inputs = [getattr(dut, name) for name in dir(dut) if name.startswith("cfg_")] + [dut.s_ref_tvalid]
        self.lower_inputs()
        dut.s_order_tvalid.value = 0
        start_clock(dut)
        self.sink = self.sink_type(dut, "m_verdict", (*ECHOED, "reason"), SIGNED, backpressure)
        self._forget()
        cocotb.start_soon(self._run())

    @classmethod
    async def start(
        cls, dut: Any, device: Device, idle: Pause | None = None, backpressure: Pause | None = None
    ) -> Self:
        """Return a bench whose gate has been reset and is empty."""
        bench = cls(dut, device, idle, backpressure)
        await bench.reset()
        return bench

    def lower_inputs(self) -> None:
        """Have the host and the references say nothing."""
        for signal in self._inputs:
            signal.value = 0

    def _forget(self) -> None:
        self.gate = g.new_gate(
            self.device.slots, self.device.intervals, 4 * self.device.links, 15 * self.device.seen_sets
        )
        prepare(self.gate, self.device)
        self.forget_verdicts()
        self.queue.clear()
        self._inside = None
        self._waiting.clear()

    def forget_verdicts(self) -> None:
        """Let `wanted` and what was taken begin anew; nothing may be under way."""
        self.wanted.clear()
        self.sink.taken.clear()
        self._compared = 0

    async def reset(self, wait: bool = True) -> None:
        """Hold reset for two cycles, forget what was under way, and wait until the gate has emptied its tables."""
        self.queue.clear()
        await reset(self.dut)
        self._forget()
        if wait:
            await self.held()

    async def held(self) -> None:
        """Wait until sts_hold is low; it must fall soon, whatever the streams do."""
        clk, hold = self.dut.clk, self.dut.sts_hold
        await FallingEdge(clk)
        while hold.value != 0:  # waking at every clock instead would take most of a bench's time
            await with_timeout(FallingEdge(hold), 200, "us")
            await FallingEdge(clk)

    # ---- the host
    async def put(self, table: str, pulse: str, row: Mapping[str, int], then: Callable[[], None]) -> None:
        """Write a row; the twin does *then* at the moment from which the row counts."""
        await FallingEdge(self.dut.clk)
        for name, value in row.items():
            signal = getattr(self.dut, f"cfg_{table}_{name}")
            signal.value = value & ((1 << len(signal)) - 1)
        strobe = getattr(self.dut, f"cfg_{table}_{pulse}")
        strobe.value = 1
        await FallingEdge(self.dut.clk)
        strobe.value = 0
        assert self.dut.sts_hold.value == 1
        cycles = self.cycle
        await self.held()
        assert self.cycle - cycles < 60 + 8 * self.device.intervals, "sts_hold took too long"
        assert self._inside is None, "a row was written under an order"
        then()

    async def put_listing(self, listing: int, then: Callable[[], None]) -> None:
        """Change the golden gate by *then*, which defines a listing, and write the same row."""
        trial = self.gate.copy()
        self.gate, kept = trial, self.gate
        then()
        self.gate = kept
        intervals = g.intervals_of(trial, listing)
        link = int(trial[g.LISTING_ROW + listing, g.LISTING_LINK]) + 1 if len(intervals) > 1 else 0
        row = listing_row(trial, listing, self.device, link)
        for nth, interval in enumerate(intervals[1:]):
            await self.put("link", "write", {"index": link + nth, "interval": interval}, lambda: None)

        def change() -> None:
            then()
            if row["state"] == g.UNKNOWN:  # what is unknown has no reference
                self.gate[g.LISTING_ROW + listing, [g.LISTING_REF, g.LISTING_REF_AT]] = g.ABSENT, 0

        await self.put("listing", "write", row, change)

    async def put_limits(self, interval: int, long_max_kw: int, short_max_kw: int) -> None:
        """Set an interval's limits in both gates."""
        trial = self.gate.copy()
        g.set_position_limit(trial, interval, long_max_kw, short_max_kw)
        await self.put(
            "interval", "limit_write", limit_row(trial, interval, self.device),
            lambda: g.set_position_limit(self.gate, interval, long_max_kw, short_max_kw),
        )  # fmt: skip

    async def put_exposure(self, interval: int, net_kw: int, buy_kw: int, sell_kw: int) -> None:
        """Set what an interval holds in both gates, by any values of the registers: also such as the driver refuses."""
        # The most negative number has no opposite and is held as one more.
        values = (max(net_kw, -self.device.kw_max), buy_kw, sell_kw)
        row = {"index": interval, "net_kw": net_kw, "buy_working_kw": buy_kw, "sell_working_kw": sell_kw}

        def then() -> None:
            g.exposures(self.gate)[interval, g.INTERVAL_NET :] = values

        await self.put("interval", "exposure_write", row, then)

    async def put_rate(self, burst: int, ns_per_message: int) -> None:
        """Set the message rate in both gates."""
        trial = self.gate.copy()
        g.set_rate(trial, burst, ns_per_message)
        await self.put("rate", "write", rate_row(trial), lambda: g.set_rate(self.gate, burst, ns_per_message))

    async def put_reference(self, listing: int, price_ticks: int, at_ns: int) -> None:
        """Set a reference price by the host's port in both gates."""
        trial = self.gate.copy()
        trial[g.LISTING_ROW + listing, [g.LISTING_REF, g.LISTING_REF_AT]] = price_ticks, at_ns

        def then() -> None:
            self.gate[g.LISTING_ROW + listing, [g.LISTING_REF, g.LISTING_REF_AT]] = price_ticks, at_ns

        await self.put("reference", "write", reference_row(trial, listing, self.device), then)

    async def mark(self, listing: int, price_ticks: int, at_ns: int) -> None:
        """Offer a reference price for one edge."""
        await FallingEdge(self.dut.clk)
        self.dut.s_ref_tvalid.value = 1
        self.dut.s_ref_slot.value = listing
        self.dut.s_ref_has_price.value = int(price_ticks != g.ABSENT)
        self.dut.s_ref_price_ticks.value = price_ticks & ((1 << self.device.price_bits) - 1)
        self.dut.s_ref_at_ns.value = at_ns & (2**64 - 1)
        self._waiting.append(lambda: g.mark_reference(self.gate, listing, price_ticks, at_ns))
        await FallingEdge(self.dut.clk)
        self.dut.s_ref_tvalid.value = 0

    async def check_state(self) -> None:
        """Compare every interval, the rate and every count with the golden gate; nothing may be under way."""
        dut = self.dut
        for interval in range(self.device.intervals):
            await self.put("interval", "read", {"index": interval}, lambda: None)
            names = ("long_max_kw", "short_max_kw", "net_kw", "buy_working_kw", "sell_working_kw")
            met = [getattr(dut, f"sts_interval_stored_{name}").value for name in names]
            row = g.exposures(self.gate)[interval].tolist()
            wanted = [min(cell, self.device.kw_max) for cell in row[:2]] + row[2:]
            assert [value.to_signed() if i == 2 else int(value) for i, value in enumerate(met)] == wanted, interval
        assert int(dut.sts_rate_stored_empty_ns.value) == self.gate[0, g.HEAD_RATE_EMPTY_NS]
        most = 2 ** len(dut.sts_count) - 1
        wanted_counts = g.counts(self.gate)
        for reason in range(48):
            dut.cfg_count_index.value = reason
            await FallingEdge(dut.clk)
            assert int(dut.sts_count.value) == min(wanted_counts.get(reason, 0), most), reason

    async def settle(self) -> None:
        """Wait until all orders are judged and taken, and compare the verdicts."""
        clk, tvalid = self.dut.clk, self.dut.s_order_tvalid
        for _ in range(200_000):
            await FallingEdge(clk)
            sent = not self.queue and self.source is None and self._inside is None
            if sent and len(self.sink.taken) == len(self.wanted) and tvalid.value == 0:
                break
        self.compare()
        assert len(self.sink.taken) == len(self.wanted)

    def compare(self) -> None:
        """Compare every verdict that was taken since the last time, in order."""
        masks, since = self._masks, self._compared
        for (order, reason), taken in zip(self.wanted[since:], self.sink.taken[since:], strict=False):
            beat = beat_of(order, self.device)
            echoed = {name: beat[name] & mask for name, mask in masks.items()}
            met = {name: taken.fields[name] & mask for name, mask in masks.items()}
            assert (taken.fields["reason"], met) == (reason, echoed), f"{order}: wanted {reason}"
            self._compared += 1

    # ---- the clock
    async def _run(self) -> None:
        dut = self.dut
        offered: Order | None = None
        signals = {name: getattr(dut, f"s_order_{name}") for name in ORDER_FIELDS}
        masks = {name: (1 << len(signal)) - 1 for name, signal in signals.items()}
        # Found once: a bench that looks its signals up at every clock takes a third longer.
        clk, rst, hold, kill, paused = dut.clk, dut.rst, dut.sts_hold, dut.cfg_kill, dut.cfg_paused
        order_valid, order_ready, verdict_valid = dut.s_order_tvalid, dut.s_order_tready, dut.m_verdict_tvalid
        was_valid: bool | None = None
        while True:
            await FallingEdge(clk)
            self.cycle += 1
            if offered is None and not (self.idle is not None and self.idle()):
                if not self.queue and self.source is not None:
                    following = next(self.source, None)
                    if following is None:
                        self.source = None
                    else:
                        self.queue.append(following)
                if self.queue:
                    offered = self.queue.popleft()
                    for name, value in beat_of(offered, self.device).items():
                        signals[name].value = value & masks[name]
            if was_valid != (offered is not None):
                was_valid = offered is not None
                order_valid.value = was_valid
            await ReadOnly()
            if rst.value != 0:
                offered = None
                self._inside = None
                continue
            ready = order_ready.value
            assert ready in (0, 1) and hold.value in (0, 1)
            if self._inside is not None and verdict_valid.value == 1:
                self._answer(*self._inside)
            take = offered is not None and ready == 1
            if self._inside is None and not take:
                self._catch_up()
            if take:
                assert self._inside is None and offered is not None
                refs = self._waiting[:]
                self._waiting.clear()
                if dut.s_ref_tvalid.value == 1 and refs:  # not seen by the order that the same edge takes
                    self._waiting.append(refs.pop())
                for action in refs:
                    action()
                self._inside, offered = (offered, self.cycle), None
                self.taken_at.append(self.cycle)
            if self._inside is not None:
                self._switches = (int(kill.value), int(paused.value))

    def _answer(self, order: Order, since: int) -> None:
        """Judge the order inside by the golden gate, with the switches of the edge before, which decided."""
        self.gate[0, [g.HEAD_KILL, g.HEAD_PAUSED]] = self._switches
        count = 0
        if 0 <= order.slot < self.device.slots:
            count = int(self.gate[g.LISTING_ROW + order.slot, g.LISTING_LINK_COUNT])
        self.wanted.append((order, verdict_of(self.gate, order)))
        self.latencies.append((order, count, self.cycle - since))
        self._inside = None

    def _catch_up(self) -> None:
        for action in self._waiting:
            action()
        self._waiting.clear()
