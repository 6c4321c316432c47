"""Loads a golden risk gate into the device: rows become register writes, or are refused by name where they do not fit.

    driver = RiskGate.connect(bus, base)
    driver.load(gate)                      # all of it: listings, limits, exposures, rate, references, switches
    set_position_limit(gate, 7, long_max_kw=0, short_max_kw=0)
    driver.load_limits(gate, 7)

The functions `listing_row`, `limit_row`, `exposure_row`, `rate_row` and `reference_row` give the fields of one write by
the names of the registers, without a device. What is loaded answers as the gate does after `set_widths(gate, ...)` with
the widths that `Device` names: `prepare` does that.

What a device holds from before, such as from a host that has ended, does not outlive `load`: every listing is taken out
first, and the intervals that the gate lacks are emptied.

Cost: some twenty register writes a listing, eight an interval; a connection's first load adds three for each listing
that the device has room for, and eight for each interval that the gate lacks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from penstock_hw.device import DeviceError, RegisterBus
from penstock_hw.drivers.base import Registers
from penstock_hw.registers.generated.risk_gate import BLOCK
from penstock_sdk.golden import risk_gate as golden
from penstock_sdk.golden.risk_gate import (
    ABSENT,
    BUY,
    HEAD_INTERVAL_BASE,
    HEAD_INTERVALS,
    HEAD_KILL,
    HEAD_LISTINGS,
    HEAD_PAUSED,
    HEAD_RATE_BURST,
    HEAD_RATE_EMPTY_NS,
    HEAD_RATE_NS,
    INT64_MAX,
    INTERVAL_LONG_MAX,
    INTERVAL_NET,
    INTERVAL_SHORT_MAX,
    INTERVAL_WORKING,
    LISTING_ROW,
    SELL,
    UNKNOWN,
    UNLIMITED,
    Table,
)

__all__ = [
    "Device",
    "DoesNotFitError",
    "RiskGate",
    "exposure_row",
    "limit_row",
    "listing_row",
    "prepare",
    "rate_row",
    "reference_row",
]

_REASONS = 48


class DoesNotFitError(DeviceError):
    """A limit or a listing that does not fit this device, or switches a check off; nothing of it was written."""


@dataclass(frozen=True)
class Device:
    """The sizes of one device; the defaults are those of rtl/risk_gate/risk_gate.sv."""

    slots: int = 256
    intervals: int = 1024
    links: int = 2048
    """Second and further intervals of all listings."""
    price_bits: int = 32
    qty_bits: int = 24
    notional_bits: int = 56
    kw_bits: int = 32
    kw_per_lot_bits: int = 16
    seen_sets: int = 256
    seen_ways: int = 4

    @property
    def kw_max(self) -> int:
        """The first number of kW that the device does not hold."""
        return (1 << (self.kw_bits - 1)) - 1


def prepare(gate: Table, device: Device) -> None:
    """Let *gate* answer as the device does."""
    golden.set_widths(
        gate, price_bits=device.price_bits, qty_bits=device.qty_bits, kw_bits=device.kw_bits, ways=device.seen_ways
    )


def listing_row(gate: Table, listing: int, device: Device, link: int) -> dict[str, int]:
    """Return the fields that make a listing what it is in *gate*, its reference price apart.

    Args:
        link: where its second interval will stand among the device's links.

    Raises:
        DoesNotFitError: a field does not fit, or is 0 where that switches a check off; an interval stands twice.
    """
    name = f"listing {listing}"
    _fit(f"{name} slot", listing, device.slots - 1)
    row = [int(cell) for cell in gate[LISTING_ROW + listing]]
    if row[golden.LISTING_STATE] == UNKNOWN:
        return {"index": listing, "state": UNKNOWN}
    intervals = golden.intervals_of(gate, listing)
    _one_or_more(f"{name} interval_count", len(intervals))
    if len(set(intervals)) != len(intervals):
        raise DoesNotFitError(f"{name} intervals are {intervals}; wanted each once: the device judges them one by one")
    _fit(f"{name} interval_count", len(intervals), device.links - 1)
    _fit(f"{name} link", link + max(len(intervals) - 1, 1) - 1, device.links - 1)
    for interval in intervals:
        _fit(f"{name} interval", interval, device.intervals - 1)
    lots_max, minutes = row[golden.LISTING_QTY_MAX], row[golden.LISTING_MINUTES]
    _one_or_more(f"{name} minutes", minutes)
    _one_or_more(f"{name} qty_min_lots", row[golden.LISTING_QTY_MIN])
    _one_or_more(f"{name} kw_per_lot", row[golden.LISTING_KW_PER_LOT])
    _fit(f"{name} qty_min_lots", row[golden.LISTING_QTY_MIN], (1 << device.qty_bits) - 1)
    _fit(f"{name} kw_per_lot", row[golden.LISTING_KW_PER_LOT], (1 << device.kw_per_lot_bits) - 1)
    # More lots than the width holds are refused for it before this limit is asked.
    lots_max = min(lots_max, (1 << device.qty_bits) - 1)
    # The device has no product with the minutes, so it could not say that this one overflows.
    _fit(f"{name} notional of the largest order", (lots_max << (device.price_bits - 1)) * minutes, INT64_MAX)
    collar, age_max_ns = row[golden.LISTING_COLLAR], row[golden.LISTING_REF_AGE_MAX]
    notional_max = row[golden.LISTING_NOTIONAL_MAX]
    wide = collar >= 1 << device.price_bits  # wider than any two prices lie apart
    return {
        "index": listing,
        "state": row[golden.LISTING_STATE],
        "qty_min_lots": row[golden.LISTING_QTY_MIN],
        "qty_max_lots": lots_max,
        "collar_ticks": 0 if wide else collar,
        "collar_unlimited": int(wide),
        **_bound(name, "floor", row[golden.LISTING_FLOOR], device),
        **_bound(name, "cap", row[golden.LISTING_CAP], device),
        "has_notional": int(notional_max > 0),
        "notional_max_per_minute": min(notional_max // minutes, (1 << device.notional_bits) - 1),
        "kw_per_lot": row[golden.LISTING_KW_PER_LOT],
        "ref_required": row[golden.LISTING_REF_REQUIRED],
        "ref_age_unlimited": int(age_max_ns == UNLIMITED),
        "ref_age_max_ns": age_max_ns,
        "first_interval": intervals[0],
        "link": link,
        "interval_count": len(intervals),
    }


def limit_row(gate: Table, interval: int, device: Device) -> dict[str, int]:
    """Return the fields that set an interval's limits.

    Raises:
        DoesNotFitError: the device has no such interval.
    """
    _fit("interval", interval, device.intervals - 1)
    row = gate[int(gate[0, HEAD_INTERVAL_BASE]) + interval]
    # An exposure of kw_max is refused for its width, so no greater limit can be told from this one.
    return {
        "index": interval,
        "long_max_kw": min(int(row[INTERVAL_LONG_MAX]), device.kw_max),
        "short_max_kw": min(int(row[INTERVAL_SHORT_MAX]), device.kw_max),
    }


def exposure_row(gate: Table, interval: int, device: Device) -> dict[str, int]:
    """Return the fields that set an interval's net position and working orders.

    Raises:
        DoesNotFitError: one of them is beyond the device's width.
    """
    _fit("interval", interval, device.intervals - 1)
    row = gate[int(gate[0, HEAD_INTERVAL_BASE]) + interval]
    found = {
        "net_kw": int(row[INTERVAL_NET]),
        "buy_working_kw": int(row[INTERVAL_WORKING + BUY]),
        "sell_working_kw": int(row[INTERVAL_WORKING + SELL]),
    }
    for name, value in found.items():
        _fit(f"interval {interval} {name}", abs(value), device.kw_max - 1)
    return {"index": interval, **found}


def rate_row(gate: Table) -> dict[str, int]:
    """Return the fields that set the message rate.

    Raises:
        DoesNotFitError: a message would take no time, so that any number passed.
    """
    burst, per_message = int(gate[0, HEAD_RATE_BURST]), int(gate[0, HEAD_RATE_NS])
    _one_or_more("rate ns_per_message", per_message)
    return {
        "ns_per_message": per_message,
        "window_ns": min(max(burst - 1, 0) * per_message, INT64_MAX),
        "none": int(burst == 0),
        "unlimited": int(burst == UNLIMITED),
    }


def reference_row(gate: Table, listing: int, device: Device) -> dict[str, int]:
    """Return the fields that set a listing's reference price.

    Raises:
        DoesNotFitError: the price does not fit.
    """
    row = gate[LISTING_ROW + listing]
    price = int(row[golden.LISTING_REF])
    if price == ABSENT:
        return {"index": listing, "has_price": 0}
    half = 1 << (device.price_bits - 1)
    _fit(f"listing {listing} reference price", price, half - 1, -half)
    return {"index": listing, "has_price": 1, "price_ticks": price, "at_ns": int(row[golden.LISTING_REF_AT])}


class RiskGate:
    """One gate of a device. The host's golden gate is the source; the device follows it row by row."""

    def __init__(self, registers: Registers, *, empty: bool = False) -> None:
        """Take the gate behind *registers*.

        Args:
            empty: the device has just been reset, so that its tables hold nothing; else they may hold anything.
        """
        self.registers = registers
        self.device = Device(**{field.name: registers.read(field.name) for field in fields(Device)})
        self._loaded: dict[int, tuple[int, list[int]]] = {}  # listing: first link, intervals
        # Listings whose row in the device may be other than loaded, and intervals that may be other than empty.
        self._unsure = set() if empty else set(range(self.device.slots))
        self._used = set() if empty else set(range(self.device.intervals))

    @classmethod
    def connect(cls, bus: RegisterBus, base: int = 0, *, empty: bool = False) -> RiskGate:
        """Return the gate at *base*; *empty* says that it has just been reset.

        Raises:
            DeviceError: another block, version or layout is there.
        """
        return cls(Registers.connect(bus, BLOCK, base), empty=empty)

    def load(self, gate: Table) -> None:
        """Make the device answer as *gate* does, ids remembered apart: a device remembers what it has passed itself.

        The kill switch is on until all is there. Raises DoesNotFitError, with the kill switch left on.
        """
        prepare(gate, self.device)
        self.registers.write("kill", 1)
        # What the device holds of before points at links and intervals that will be others'.
        self._take_out(self._unsure | self._loaded.keys())
        intervals = int(gate[0, HEAD_INTERVALS])
        for interval in range(intervals):
            self.load_limits(gate, interval)
            self.load_exposure(gate, interval)
        for interval in sorted(self._used - set(range(intervals))):
            self._empty(interval)
        for listing in range(int(gate[0, HEAD_LISTINGS])):
            self.load_listing(gate, listing)
        self.load_rate(gate)
        self._put("rate", "empty_write", {"empty_ns": int(gate[0, HEAD_RATE_EMPTY_NS])})
        self.load_switches(gate)

    def load_listing(self, gate: Table, listing: int) -> None:
        """Make a listing what it is in *gate*; its links come first, then its row by one write.

        One that is new to this driver, or delivers elsewhere than before, gets the gate's reference price too; else the
        device keeps its own. Load a listing once after it was dropped, before its number is defined anew: what then
        delivers in the same intervals would be taken for the old one, and keep its reference price.

        Raises:
            DoesNotFitError: it does not fit, or the links are used up; nothing was written.
        """
        row = listing_row(gate, listing, self.device, 0)
        if row["state"] == UNKNOWN:
            self._take_out([listing])
            return
        intervals = golden.intervals_of(gate, listing)
        first, linked = self._loaded.get(listing, (0, []))
        if linked != intervals:
            first = self._free_links(listing, len(intervals) - 1)
            reference = reference_row(gate, listing, self.device)
            # Another listing of that number, or links this driver did not write: no order may find half of them.
            self._take_out(self._unsure | ({listing} & self._loaded.keys()))
            self._used.update(intervals)
            for nth, interval in enumerate(intervals[1:]):
                self._put("link", "write", {"index": first + nth, "interval": interval})
            self._put("reference", "write", reference)
        self._loaded.pop(listing, None)
        self._unsure.add(listing)  # until it is written
        self._put("listing", "write", row | {"link": first})
        self._unsure.remove(listing)
        self._loaded[listing] = (first, intervals)

    def load_limits(self, gate: Table, interval: int) -> None:
        """Set an interval's limits; its exposures stay."""
        row = limit_row(gate, interval, self.device)
        self._used.add(interval)
        self._put("interval", "limit_write", row)

    def load_exposure(self, gate: Table, interval: int) -> None:
        """Set an interval's net position and working orders; its limits stay. Raises DoesNotFitError."""
        row = exposure_row(gate, interval, self.device)
        self._used.add(interval)
        self._put("interval", "exposure_write", row)

    def load_rate(self, gate: Table) -> None:
        """Set the message rate; what has been taken stays. Raises DoesNotFitError."""
        self._put("rate", "write", rate_row(gate))

    def load_reference(self, gate: Table, listing: int) -> None:
        """Set a listing's reference price. Raises DoesNotFitError."""
        self._put("reference", "write", reference_row(gate, listing, self.device))

    def load_switches(self, gate: Table) -> None:
        """Set the kill switch and the pause of all trading."""
        self.registers.write("paused", int(gate[0, HEAD_PAUSED] != 0))
        self.registers.write("kill", int(gate[0, HEAD_KILL] != 0))

    def exposure(self, interval: int) -> dict[str, int]:
        """Return what the device holds of an interval: long_max_kw, short_max_kw, net_kw, buy_ and sell_working_kw."""
        self._put("interval", "read", {"index": interval})
        names = ("long_max_kw", "short_max_kw", "net_kw", "buy_working_kw", "sell_working_kw")
        return {name: self.registers.read(f"interval_stored_{name}") for name in names}

    def counts(self) -> dict[int, int]:
        """Return how often each reason was given, by its code; 0 counts the orders that passed."""
        found = {}
        for reason in range(_REASONS):
            self.registers.write("count_index", reason)
            if count := self.registers.read("count"):
                found[reason] = count
        return found

    def _put(self, table: str, pulse: str, row: Mapping[str, int]) -> None:
        for name, value in row.items():
            self.registers.write(f"{table}_{name}", value)
        self.registers.pulse(table, pulse)

    def _take_out(self, listings: Iterable[int]) -> None:
        """Let the device know nothing of *listings*."""
        for listing in sorted(listings):
            self._loaded.pop(listing, None)
            self._unsure.add(listing)  # until it is written
            self._put("listing", "write", {"index": listing, "state": UNKNOWN})
            self._unsure.remove(listing)

    def _empty(self, interval: int) -> None:
        """Take an interval's limits and exposures away."""
        self._put("interval", "limit_write", {"index": interval, "long_max_kw": 0, "short_max_kw": 0})
        nothing = {"index": interval, "net_kw": 0, "buy_working_kw": 0, "sell_working_kw": 0}
        self._put("interval", "exposure_write", nothing)
        self._used.remove(interval)

    def _free_links(self, listing: int, count: int) -> int:
        """Return the first place of *count* links that no other listing uses."""
        if count == 0:
            return 0
        start = 0
        for first, intervals in sorted(place for other, place in self._loaded.items() if other != listing):
            if start + count <= first:
                break
            start = max(start, first + len(intervals) - 1)
        _fit(f"listing {listing} links", start + count - 1, self.device.links - 1)
        return start


def _bound(name: str, which: str, price: int, device: Device) -> dict[str, int]:
    """Return the fields of a floor or a cap; one that no price of the device's width can reach is none."""
    half = 1 << (device.price_bits - 1)
    if price == ABSENT or (price <= -half if which == "floor" else price >= half - 1):
        return {f"has_{which}": 0}
    _fit(f"{name} {which}_ticks", price, half - 1, -half)
    return {f"has_{which}": 1, f"{which}_ticks": price}


def _one_or_more(name: str, value: int) -> None:
    """Refuse what a table edited past the golden gate's own functions may hold, and the registers would take."""
    if value < 1:
        raise DoesNotFitError(f"{name} is {value}; wanted 1 or more: 0 switches a check off")


def _fit(name: str, value: int, high: int, low: int = 0) -> None:
    if not low <= value <= high:
        raise DoesNotFitError(f"{name} is {value}; this device holds {low} .. {high}")
