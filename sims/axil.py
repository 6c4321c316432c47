"""An AXI4-Lite master for benches, and a `RegisterBus` over it, so that a driver runs in a bench as it runs on a board.

As in `sims.axis`, signals change at the falling edge and are read just before the rising one.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import cocotb
from cocotb.task import resume
from cocotb.triggers import Event, FallingEdge, ReadOnly

from penstock_hw.device import DeviceError
from sims.axis import Pause

__all__ = ["OKAY", "SLVERR", "Answer", "AxilBus", "AxilMaster"]

OKAY, SLVERR = 0b00, 0b10
_STRB_ALL = 0b1111


class Answer(NamedTuple):
    """What a request came to."""

    data: int
    """What was read; 0 of a write."""
    resp: int | None
    """`OKAY` or `SLVERR`; None when a reset came first."""
    cycle: int
    """In which it came."""


class _Request(NamedTuple):
    """Something to offer on one channel."""

    payload: tuple[int, ...]
    after_cycle: int


class _Sender:
    """Offers requests on AW, W or AR, each until it is taken."""

    def __init__(self, dut: Any, prefix: str, channel: str, names: tuple[str, ...], pause: Pause | None) -> None:
        self.valid, self.ready = (getattr(dut, f"{prefix}_{channel}{name}") for name in ("valid", "ready"))
        self.signals = [getattr(dut, f"{prefix}_{channel}{name}") for name in names]
        self.pause, self.offered = pause, False
        self.queue: deque[_Request] = deque()
        self.taken_cycles: list[int] = []
        self.valid.value = 0

    def offer(self, cycle: int) -> None:
        if self.offered:
            return
        held_up = self.pause is not None and self.pause()
        self.offered = bool(self.queue) and cycle > self.queue[0].after_cycle and not held_up
        self.valid.value = self.offered
        if self.offered:
            for signal, value in zip(self.signals, self.queue[0].payload, strict=True):
                signal.value = value

    def take(self, cycle: int) -> None:
        ready = int(self.ready.value)  # an X is refused here
        if self.offered and ready:
            self.queue.popleft()
            self.taken_cycles.append(cycle)
            self.offered = False

    def reset(self) -> None:
        self.queue.clear()
        self.offered = False


class _Taker:
    """Takes answers from B or R, and asserts that an offered one holds until it is taken and has no X in it."""

    def __init__(self, dut: Any, prefix: str, channel: str, names: tuple[str, ...], pause: Pause | None) -> None:
        self.valid, self.ready = (getattr(dut, f"{prefix}_{channel}{name}") for name in ("valid", "ready"))
        self.signals = [getattr(dut, f"{prefix}_{channel}{name}") for name in names]
        self.channel, self.pause = channel, pause
        self.held: tuple[int, ...] | None = None
        self.waiting: deque[tuple[Event, list[Answer]]] = deque()
        self.ready.value = 0

    def allow(self) -> None:
        self.is_ready = not (self.pause is not None and self.pause())
        self.ready.value = self.is_ready

    def take(self, cycle: int) -> None:
        offered = tuple(int(signal.value) for signal in self.signals) if int(self.valid.value) else None
        assert self.held is None or offered == self.held, (
            f"cycle {cycle}: {self.channel} offered {self.held} and changed it to {offered}"
        )
        self.held = None if self.is_ready else offered
        if offered is not None and self.is_ready:
            assert self.waiting, f"cycle {cycle}: {self.channel} answered {offered}, and nothing was asked"
            self._answer(Answer(sum(offered[1:]), offered[0], cycle))

    def reset(self, cycle: int) -> None:
        self.held = None
        while self.waiting:
            self._answer(Answer(0, None, cycle))

    def _answer(self, answer: Answer) -> None:
        event, answers = self.waiting.popleft()
        answers.append(answer)
        event.set()


class AxilMaster:
    """Reads and writes ``PREFIX_…``; requests may be begun before earlier ones are answered. A reset drops them all.

    Both return at the falling edge after the answer.

    *idle* holds up what is offered on AW, W and AR, each on its own; *backpressure* the taking of answers.
    """

    def __init__(
        self, dut: Any, prefix: str = "s_axil", idle: Pause | None = None, backpressure: Pause | None = None
    ) -> None:
        self.dut, self.cycle = dut, 0
        self.aw = _Sender(dut, prefix, "aw", ("addr",), idle)
        self.w = _Sender(dut, prefix, "w", ("data", "strb"), idle)
        self.ar = _Sender(dut, prefix, "ar", ("addr",), idle)
        self._b = _Taker(dut, prefix, "b", ("resp",), backpressure)
        self._r = _Taker(dut, prefix, "r", ("resp", "data"), backpressure)
        cocotb.start_soon(self._run())

    async def read(self, address: int) -> Answer:
        """Return what the slave answers; exactly one request is made."""
        self.ar.queue.append(_Request((address,), self.cycle))
        return await self._answer(self._r)

    async def write(self, address: int, value: int, strb: int = _STRB_ALL, lag: int = 0) -> Answer:
        """Return what the slave answers to one write.

        Args:
            address: in bytes.
            value: 32 bits.
            strb: which bytes are written.
            lag: cycles by which the data comes later than the address; negative, by which it comes earlier.
        """
        self.aw.queue.append(_Request((address,), self.cycle + max(0, -lag)))
        self.w.queue.append(_Request((value, strb), self.cycle + max(0, lag)))
        return await self._answer(self._b)

    async def _answer(self, taker: _Taker) -> Answer:
        event, answers = Event(), list[Answer]()
        taker.waiting.append((event, answers))
        await event.wait()
        await FallingEdge(self.dut.clk)  # where signals may change again
        return answers[0]

    async def _run(self) -> None:
        senders, takers = (self.aw, self.w, self.ar), (self._b, self._r)
        while True:
            await FallingEdge(self.dut.clk)
            self.cycle += 1
            for sender in senders:
                sender.offer(self.cycle)
            for taker in takers:
                taker.allow()
            await ReadOnly()
            if self.dut.rst.value == 1:
                for sender in senders:
                    sender.reset()
                for taker in takers:
                    taker.reset(self.cycle)
                continue
            for sender in senders:
                sender.take(self.cycle)
            for taker in takers:
                taker.take(self.cycle)


class AxilBus:
    """A `penstock_hw.RegisterBus` over a master, for a driver in its own thread: ``await bridge(function)(bus)``."""

    def __init__(self, master: AxilMaster, base: int = 0) -> None:
        self._master, self._base = master, base

    def read(self, address: int) -> int:
        """Return the register at *address*.

        Raises:
            DeviceError: the slave answered with an error.
        """
        answer: Answer = resume(self._master.read)(self._base + address)
        if answer.resp != OKAY:
            raise DeviceError(f"read of {address:#x} was answered with {answer.resp}, wanted OKAY; is it a register?")
        return answer.data

    def write(self, address: int, value: int) -> None:
        """Set the register at *address*.

        Raises:
            DeviceError: the slave answered with an error, or *value* does not fit in 32 bits.
        """
        if not 0 <= value < 1 << 32:
            raise DeviceError(f"value {value} for register {address:#x} does not fit in 32 unsigned bits")
        answer: Answer = resume(self._master.write)(self._base + address, value)
        if answer.resp != OKAY:
            raise DeviceError(
                f"write of {value:#x} to {address:#x} was answered with {answer.resp}, wanted OKAY; "
                "it is read only, or does not take this value"
            )
