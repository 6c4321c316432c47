"""What a device looks like to its driver: registers to read and write, and a stream of beats each way.

A driver is written against these two protocols alone. Whatever stands behind them, a model simulated in this process, a
bench, or a board, has the same addresses, widths and errors, so that a driver tested on one runs on the others.
`MemoryBus` and `LoopbackStream` are the simplest devices that keep the rules, for tests of drivers.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

__all__ = ["BEAT_BYTES", "REGISTER_BYTES", "DeviceError", "LoopbackStream", "MemoryBus", "RegisterBus", "Stream"]

REGISTER_BYTES = 4  # a register is 32 bits wide, as on AXI-Lite
BEAT_BYTES = 8  # a beat is 64 bits wide, and no record field of 64 bits or less straddles one


class DeviceError(Exception):
    """A device was asked for what it cannot do, or did not answer; the message says which, and the way out."""


@runtime_checkable
class RegisterBus(Protocol):
    """32-bit registers at byte addresses, one access at a time; an access is over when the call returns."""

    def read(self, address: int) -> int:
        """Return the register at *address*, unsigned, in 0 .. 2**32 - 1.

        Args:
            address: in bytes from the start of the device, a multiple of `REGISTER_BYTES`.

        Raises:
            DeviceError: *address* is unaligned or outside the device, or the device did not answer.
        """
        ...

    def write(self, address: int, value: int) -> None:
        """Set the register at *address*; all 32 bits are written at once.

        Args:
            address: in bytes from the start of the device, a multiple of `REGISTER_BYTES`.
            value: unsigned, in 0 .. 2**32 - 1; what does not fit is refused, never truncated.

        Raises:
            DeviceError: *address* or *value* is out of range, or the device did not answer.
        """
        ...


@runtime_checkable
class Stream(Protocol):
    """Beats of `BEAT_BYTES` bytes to a device and from it, in order, none lost; neither call waits."""

    def send(self, beats: bytes | bytearray | memoryview) -> int:
        """Return how many leading beats of *beats* the device took, in 0 .. n; the caller keeps and re-sends the rest.

        Args:
            beats: n whole beats, little-endian, in the order they enter the device. Read before the call returns.

        Raises:
            DeviceError: *beats* is no whole number of beats, or the device has failed.
        """
        ...

    def recv(self, max_beats: int) -> bytes:
        """Return the next beats from the device, at most *max_beats* of them; empty when none is ready.

        Args:
            max_beats: at least 1.

        Raises:
            DeviceError: *max_beats* is below 1, or the device has failed.
        """
        ...


class MemoryBus:
    """A `RegisterBus` of plain memory: a register holds what was last written, and 0 before."""

    def __init__(self, size_bytes: int = 4096) -> None:
        """Make *size_bytes* / 4 registers; *size_bytes* must be a positive multiple of `REGISTER_BYTES`."""
        if size_bytes <= 0 or size_bytes % REGISTER_BYTES:
            raise DeviceError(f"size_bytes is {size_bytes}; it wants a positive multiple of {REGISTER_BYTES}")
        self._registers = [0] * (size_bytes // REGISTER_BYTES)

    def read(self, address: int) -> int:
        """Return the register at *address*; see `RegisterBus.read`."""
        return self._registers[self._index(address)]

    def write(self, address: int, value: int) -> None:
        """Set the register at *address*; see `RegisterBus.write`."""
        index = self._index(address)
        if not 0 <= value < 1 << 32:
            raise DeviceError(f"value {value} for register {address:#x} does not fit in 32 unsigned bits")
        self._registers[index] = value

    def _index(self, address: int) -> int:
        size_bytes = len(self._registers) * REGISTER_BYTES
        if not 0 <= address < size_bytes or address % REGISTER_BYTES:
            raise DeviceError(
                f"address {address:#x} is no register; it wants a multiple of {REGISTER_BYTES} below {size_bytes:#x}"
            )
        return address // REGISTER_BYTES


class LoopbackStream:
    """A `Stream` that gives back what it was sent, and takes no more than it has room for."""

    def __init__(self, capacity_beats: int = 4096) -> None:
        """Make an empty stream that holds *capacity_beats* beats, at least 1."""
        if capacity_beats < 1:
            raise DeviceError(f"capacity_beats is {capacity_beats}; it wants 1 or more")
        self._capacity_bytes = capacity_beats * BEAT_BYTES
        self._held = bytearray()

    def send(self, beats: bytes | bytearray | memoryview) -> int:
        """Take what fits and return its number of beats; see `Stream.send`."""
        data = memoryview(beats).cast("B")
        if data.nbytes % BEAT_BYTES:
            raise DeviceError(f"beats holds {data.nbytes} bytes; it wants a multiple of {BEAT_BYTES}; pad it")
        taken_bytes = min(data.nbytes, self._capacity_bytes - len(self._held))
        self._held += data[:taken_bytes]
        return taken_bytes // BEAT_BYTES

    def recv(self, max_beats: int) -> bytes:
        """Return up to *max_beats* of what was sent, oldest first; see `Stream.recv`."""
        if max_beats < 1:
            raise DeviceError(f"max_beats is {max_beats}; it wants 1 or more")
        beats = bytes(self._held[: max_beats * BEAT_BYTES])
        del self._held[: len(beats)]
        return beats
