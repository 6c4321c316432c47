"""Proves that the two test devices keep the rules of their protocols: nothing truncated, lost or out of order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_hw import BEAT_BYTES, DeviceError, LoopbackStream, MemoryBus, RegisterBus, Stream


def test_the_test_devices_satisfy_the_protocols() -> None:
    assert isinstance(MemoryBus(), RegisterBus)
    assert isinstance(LoopbackStream(), Stream)


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 2**32 - 1))))
def test_a_register_holds_what_was_last_written(writes: list[tuple[int, int]]) -> None:
    bus, model = MemoryBus(size_bytes=64), dict.fromkeys(range(16), 0)
    for index, value in writes:
        bus.write(4 * index, value)
        model[index] = value
    assert [bus.read(4 * index) for index in range(16)] == list(model.values())


@pytest.mark.parametrize("address", [-4, 2, 63, 64])
def test_an_address_that_is_no_register_is_refused_both_ways(address: int) -> None:
    bus = MemoryBus(size_bytes=64)
    with pytest.raises(DeviceError, match="^address .* is no register; it wants a multiple of 4 below 0x40$"):
        bus.read(address)
    with pytest.raises(DeviceError, match="^address .* is no register"):
        bus.write(address, 0)


@pytest.mark.parametrize("value", [-1, 2**32])
def test_a_value_that_does_not_fit_is_refused_and_the_register_kept(value: int) -> None:
    bus = MemoryBus()
    bus.write(8, 7)
    with pytest.raises(DeviceError, match="^value .* for register 0x8 does not fit in 32 unsigned bits$"):
        bus.write(8, value)
    assert bus.read(8) == 7


@given(st.integers(1, 5), st.lists(st.one_of(st.binary(max_size=4), st.integers(1, 3))))
def test_beats_come_back_whole_in_order_and_only_what_was_taken(capacity_beats: int, steps: list[bytes | int]) -> None:
    """A step is beats to send, each byte of it widened to one beat, or a number of beats to receive."""
    stream, waiting = LoopbackStream(capacity_beats), b""
    for step in steps:
        if isinstance(step, int):
            received = stream.recv(step)
            assert received == waiting[: step * BEAT_BYTES]
            waiting = waiting[len(received) :]
        else:
            beats = b"".join(bytes([byte]) * BEAT_BYTES for byte in step)
            taken = stream.send(beats)
            assert taken == min(len(step), capacity_beats - len(waiting) // BEAT_BYTES)
            waiting += beats[: taken * BEAT_BYTES]
    assert stream.recv(capacity_beats) == waiting
    assert stream.recv(1) == b""


def test_a_numpy_frame_is_sent_without_copying_it_first() -> None:
    frame, stream = np.arange(3, dtype="<u8"), LoopbackStream()
    assert stream.send(frame.data) == 3
    assert stream.recv(8) == frame.tobytes()


def test_half_a_beat_is_refused() -> None:
    with pytest.raises(DeviceError, match="^beats holds 12 bytes; it wants a multiple of 8"):
        LoopbackStream().send(bytes(12))


def test_a_device_of_no_size_and_a_receive_of_no_beats_are_refused() -> None:
    with pytest.raises(DeviceError, match="^size_bytes is 6;"):
        MemoryBus(size_bytes=6)
    with pytest.raises(DeviceError, match="^capacity_beats is 0;"):
        LoopbackStream(capacity_beats=0)
    with pytest.raises(DeviceError, match="^max_beats is 0;"):
        LoopbackStream().recv(0)
