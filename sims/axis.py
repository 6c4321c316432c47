"""Both ends of a 64-bit AXI4-Stream for benches: a source with idle gaps, a sink with back-pressure.

Signals change at the falling edge and are read just before the rising one, when they have settled. So a bench sees what
the registers will see, on Icarus and on Verilator alike (right after a rising edge the two show different values).
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly

__all__ = ["Beat", "Pause", "Sink", "Source", "one_in_three", "two_in_three"]

Pause = Callable[[], bool]
"""Called once a cycle; true holds the stream up."""


def one_in_three(seed: int) -> Pause:
    """Return a pause in about every third cycle."""
    draw = random.Random(seed).random
    return lambda: draw() < 1 / 3


def two_in_three(seed: int) -> Pause:
    """Return a pause in about two of three cycles."""
    draw = random.Random(seed).random
    return lambda: draw() < 2 / 3


class Beat(NamedTuple):
    """One transfer, and the cycle in which it was taken."""

    data: int
    last: bool
    user: bool
    cycle: int


class Source:
    """Sends beats on ``PREFIX_t…``; an offered beat holds until it is taken. A reset drops what is queued."""

    def __init__(self, dut: Any, prefix: str, pause: Pause | None) -> None:
        self.dut, self.prefix, self.pause = dut, prefix, pause
        self.queue: deque[tuple[int, bool]] = deque()
        self.taken: list[Beat] = []
        _signal(dut, prefix, "tvalid").value = 0
        cocotb.start_soon(self._run())

    def send(self, frames: Iterable[bytes]) -> None:
        """Queue *frames*, each a whole number of beats, its first byte in tdata[7:0]."""
        for frame in frames:
            beats = [int.from_bytes(frame[i : i + 8], "little") for i in range(0, len(frame), 8)]
            self.queue.extend((beat, i == len(beats) - 1) for i, beat in enumerate(beats))

    async def _run(self) -> None:
        clk, tdata, tvalid, tready, tlast, rst = (
            _signal(self.dut, self.prefix, name) for name in ("clk", "tdata", "tvalid", "tready", "tlast", "rst")
        )
        queue, offered, cycle = self.queue, False, 0
        while True:
            await FallingEdge(clk)
            cycle += 1
            if not offered:
                offered = bool(queue) and not (self.pause is not None and self.pause())
                tvalid.value = offered
                if offered:
                    tdata.value, tlast.value = queue[0]
            await ReadOnly()
            if rst.value == 1:
                queue.clear()
                offered = False
            elif offered and tready.value == 1:
                self.taken.append(Beat(*queue.popleft(), False, cycle))
                offered = False


class Sink:
    """Takes beats from ``PREFIX_t…``, and asserts that an offered beat holds until it is taken."""

    def __init__(self, dut: Any, prefix: str, pause: Pause | None) -> None:
        self.dut, self.prefix, self.pause = dut, prefix, pause
        self.beats: list[Beat] = []
        self.cycle = 0
        _signal(dut, prefix, "tready").value = 0
        cocotb.start_soon(self._run())

    def frames(self) -> list[tuple[bytes, bool]]:
        """Return every frame that came whole, and whether it is marked as broken; a rest without tlast is an error."""
        frames, body = [], b""
        for beat in self.beats:
            body += beat.data.to_bytes(8, "little")
            if beat.last:
                frames.append((body, beat.user))
                body = b""
        assert not body, f"{len(body)} bytes came without tlast"
        return frames

    async def _run(self) -> None:
        clk, tdata, tvalid, tready, tlast, rst = (
            _signal(self.dut, self.prefix, name) for name in ("clk", "tdata", "tvalid", "tready", "tlast", "rst")
        )
        tuser = getattr(self.dut, f"{self.prefix}_tuser", None)  # a stream without it has no broken frames
        held: tuple[int, bool, bool] | None = None
        while True:
            await FallingEdge(clk)
            self.cycle += 1
            ready = not (self.pause is not None and self.pause())
            tready.value = ready
            await ReadOnly()
            if rst.value == 1:
                held = None
                continue
            offered = None
            if tvalid.value == 1:  # an X is neither 0 nor 1: int() below refuses it
                user = tuser is not None and bool(int(tuser.value))
                offered = (int(tdata.value), bool(int(tlast.value)), user)
            else:
                assert tvalid.value == 0, f"tvalid is {tvalid.value} in cycle {self.cycle}"
            assert held is None or offered == held, f"cycle {self.cycle}: {held} was offered and became {offered}"
            if offered is not None and ready:
                self.beats.append(Beat(*offered, self.cycle))
            held = None if ready else offered


def _signal(dut: Any, prefix: str, name: str) -> Any:
    return getattr(dut, name if name in ("clk", "rst") else f"{prefix}_{name}")
