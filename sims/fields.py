"""Both ends of a stream between blocks: ``PREFIX_tvalid``, ``PREFIX_tready`` and named fields such as ``PREFIX_slot``.

As in `sims.axis`, signals change at the falling edge and are read just before the rising one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly

from sims.axis import Pause

__all__ = ["FieldSink", "FieldSource", "Taken", "fields_of"]


class Taken(NamedTuple):
    """One transfer, and the cycle in which it was taken."""

    fields: dict[str, int]
    cycle: int


def fields_of(dut: Any, prefix: str) -> list[str]:
    """Return the names of the fields of a stream, without the handshake."""
    names = [name.removeprefix(f"{prefix}_") for name in dir(dut) if name.startswith(f"{prefix}_")]
    return sorted(name for name in names if name not in ("tvalid", "tready"))


class FieldSource:
    """Offers one beat after another; an offered beat holds until it is taken. A reset drops what is queued."""

    def __init__(self, dut: Any, prefix: str, fields: Iterable[str], pause: Pause | None = None) -> None:
        self.dut, self.prefix, self.pause = dut, prefix, pause
        self.queue: deque[Mapping[str, int]] = deque()
        self.taken: list[Taken] = []
        self._signals = {name: getattr(dut, f"{prefix}_{name}") for name in fields}
        getattr(dut, f"{prefix}_tvalid").value = 0
        cocotb.start_soon(self._run())

    def send(self, beats: Iterable[Mapping[str, int]]) -> None:
        """Queue *beats*, fields by name; a negative value is taken as two's complement, what is left out as 0."""
        self.queue.extend(beats)

    async def _run(self) -> None:
        dut, queue, offered, cycle = self.dut, self.queue, False, 0
        clk, rst = dut.clk, dut.rst  # found once, and tvalid written where it changes: this runs every clock
        tvalid = getattr(dut, f"{self.prefix}_tvalid")
        tready = getattr(dut, f"{self.prefix}_tready", None)  # a stream without it is always ready
        masks = {name: (1 << len(signal)) - 1 for name, signal in self._signals.items()}
        was_offered: bool | None = None
        while True:
            await FallingEdge(clk)
            cycle += 1
            if not offered:
                offered = bool(queue) and not (self.pause is not None and self.pause())
                if offered != was_offered:
                    tvalid.value = was_offered = offered
                if offered:
                    for name, signal in self._signals.items():
                        signal.value = queue[0].get(name, 0) & masks[name]
            await ReadOnly()
            if rst.value == 1:
                queue.clear()
                offered = False
            elif offered and (tready is None or tready.value == 1):
                self.taken.append(Taken(dict(queue.popleft()), cycle))
                offered = False


class FieldSink:
    """Takes beats, and asserts that an offered beat holds until it is taken and has no X in it.

    *signed* fields come as signed numbers.
    """

    def __init__(
        self, dut: Any, prefix: str, fields: Iterable[str], signed: Iterable[str] = (), pause: Pause | None = None
    ) -> None:
        self.dut, self.prefix, self.pause = dut, prefix, pause
        self.taken: list[Taken] = []
        self.cycle = 0
        self._signals = {name: getattr(dut, f"{prefix}_{name}") for name in fields}
        self._signed = frozenset(signed)
        getattr(dut, f"{prefix}_tready").value = 0
        cocotb.start_soon(self._run())

    def _read(self) -> dict[str, int]:
        return {
            name: signal.value.to_signed() if name in self._signed else int(signal.value)
            for name, signal in self._signals.items()
        }

    async def _run(self) -> None:
        dut = self.dut
        tvalid, tready = getattr(dut, f"{self.prefix}_tvalid"), getattr(dut, f"{self.prefix}_tready")
        clk, rst = dut.clk, dut.rst  # found once, and tready written where it changes: this runs every clock
        was_ready: bool | None = None
        held: dict[str, int] | None = None
        while True:
            await FallingEdge(clk)
            self.cycle += 1
            ready = not (self.pause is not None and self.pause())
            if ready != was_ready:
                tready.value = was_ready = ready
            await ReadOnly()
            if rst.value == 1:
                held = None
                continue
            valid = tvalid.value
            assert valid in (0, 1), f"tvalid is {valid} in cycle {self.cycle}"
            offered = self._read() if valid == 1 else None
            assert held is None or offered == held, f"cycle {self.cycle}: {held} was offered and became {offered}"
            if offered is not None and ready:
                self.taken.append(Taken(offered, self.cycle))
            held = None if ready else offered
