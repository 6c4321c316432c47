"""Devices and their drivers: what a driver is written against is in `penstock_hw.device`."""

from penstock_hw.device import BEAT_BYTES, REGISTER_BYTES, DeviceError, LoopbackStream, MemoryBus, RegisterBus, Stream

__all__ = ["BEAT_BYTES", "REGISTER_BYTES", "DeviceError", "LoopbackStream", "MemoryBus", "RegisterBus", "Stream"]
