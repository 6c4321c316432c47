"""Listings, and orders at the edges of their limits, for the benches of the risk gate."""

from __future__ import annotations

import random
from typing import Any

from penstock_hw.drivers.risk_gate import Device
from penstock_sdk.golden import risk_gate as g
from penstock_sdk.golden.tick_layout import GATE_CHECK, GATE_FILL, GATE_RELEASE, GATE_RESERVE
from sims.risk_gate.gate_twin import Order

__all__ = ["Traffic", "listing_limits"]


def listing_limits(rng: random.Random, device: Device) -> dict[str, Any]:
    """Return random keyword arguments of `define_listing`: narrow enough that orders meet every one."""
    half = 1 << (device.price_bits - 1)
    lots = 1 << device.qty_bits
    floor, cap = sorted(rng.randrange(-half, half) for _ in range(2))
    qty_max = rng.choice([0, 1, rng.randrange(lots), lots - 1, lots - 1, rng.randrange(min(lots, 60))])
    per_lot = rng.choice(
        [1, 1, rng.randrange(1, 1 << min(device.kw_per_lot_bits, 5)), (1 << device.kw_per_lot_bits) - 1]
    )
    minutes = rng.choice([1, 15, 60])
    return {
        "qty_min_lots": rng.choice([1, 1, 2, rng.randrange(1, min(lots, 9))]),
        "qty_max_lots": qty_max,
        "collar_ticks": rng.choice(
            [0, 1, g.UNLIMITED, rng.randrange(half), rng.randrange(2 * half), 2 * half - 1, 2 * half]
        ),
        "floor_ticks": rng.choice([g.ABSENT, floor, -half]),
        "cap_ticks": rng.choice([g.ABSENT, cap, half - 1]),
        "notional_max": rng.choice(
            [
                0,
                1,
                g.UNLIMITED,
                rng.randrange(half * lots * minutes),
                rng.randrange(half * 8) * minutes,
                half * lots * minutes,
            ]
        ),
        "minutes": minutes,
        "kw_per_lot": per_lot,
        "ref_age_max_ns": rng.choice([0, 1, g.UNLIMITED, rng.randrange(1, 5_000), 3_000, g.INT64_MAX - 1]),
        "ref_required": rng.random() < 0.5,
        "state": rng.choice([g.TRADING] * 6 + [g.PAUSED, g.UNKNOWN]),
    }


class Traffic:
    """An endless, seeded stream of orders that lie within, on and beyond the limits of a gate as it stands."""

    def __init__(self, rng: random.Random, device: Device, gate: Any) -> None:
        """*gate* is a function that returns the golden gate of the moment."""
        self.rng, self.device, self.gate = rng, device, gate
        self.now_ns = 10_000
        self.next_id = 1
        self.ids: list[int] = []

    def limits(self, **changes: Any) -> dict[str, Any]:
        """Return limits that most orders keep to, with some drawn at random."""
        rng, device = self.rng, self.device
        half, lots = 1 << (device.price_bits - 1), 1 << device.qty_bits
        wide = {
            "qty_min_lots": 1,
            "qty_max_lots": lots - 1,
            "collar_ticks": half // 2,
            "notional_max": half * lots,
            "minutes": 1,
            "kw_per_lot": 1,
            "ref_age_max_ns": 5_000,
            "ref_required": True,
        }
        drawn = listing_limits(rng, device)
        chosen = {name: drawn[name] for name in drawn if rng.random() < 0.3}
        return wide | chosen | changes

    def orders(self, count: int, commands: float = 0.15) -> Any:
        """Yield *count* orders, each made when it is asked for."""
        for _ in range(count):
            yield self.order(commands)

    def order(self, commands: float = 0.15) -> Order:
        """Return an order that mostly passes, with one or two of its numbers moved to an edge."""
        rng, gate = self.rng, self.gate()
        slots = self.device.slots
        slot = rng.randrange(slots) if rng.random() < 0.96 else rng.randrange(1 << (slots - 1).bit_length())
        row = [int(cell) for cell in gate[g.LISTING_ROW + min(slot, slots - 1)]]
        self.now_ns += rng.choice([0, 1, 10, 300, 1_000])
        side = rng.choice([g.BUY, g.SELL])
        price = row[g.LISTING_REF] if row[g.LISTING_REF] != g.ABSENT else 0
        lots = max(row[g.LISTING_QTY_MIN], 1)
        self.next_id += rng.choice([1, 1, 7, 1 << 20])
        at_ns, intent_id = self.now_ns, self.next_id
        if row[g.LISTING_REF] != g.ABSENT and rng.random() < 0.8:
            at_ns = max(at_ns, row[g.LISTING_REF_AT])
        for _ in range(rng.choice([0, 0, 1, 1, 2])):
            what = rng.randrange(6)
            if what == 0:
                side = rng.choice([0, 3, g.BUY, g.SELL])
            elif what == 1:
                price = self._price(row, lots)
            elif what == 2:
                lots = self._lots(row, gate, side, price)
            elif what == 3:
                at_ns = self._time(row, gate)
            elif what == 4:
                intent_id = self._id()
        kind = GATE_CHECK
        if rng.random() < commands:
            kind = rng.choice([GATE_RESERVE, GATE_RELEASE, GATE_FILL])
            lots = self._lots(row, gate, side, price) if rng.random() < 0.5 else lots
        else:
            self.ids = [*self.ids[-40:], intent_id]
        return Order(kind, slot, side, price, lots, at_ns, intent_id, rng.getrandbits(60))

    def _price(self, row: list[int], lots: int) -> int:
        rng, half = self.rng, 1 << (self.device.price_bits - 1)
        edges = [-half - 1, -half, half - 1, half, 0, rng.randrange(-half, half)]
        edges += [row[cell] for cell in (g.LISTING_FLOOR, g.LISTING_CAP) if row[cell] != g.ABSENT] * 2
        if row[g.LISTING_REF] != g.ABSENT and row[g.LISTING_COLLAR] < 1 << 62:
            edges += [row[g.LISTING_REF] + sign * row[g.LISTING_COLLAR] for sign in (-1, 1)] * 2
        if lots and row[g.LISTING_MINUTES] and row[g.LISTING_NOTIONAL_MAX] < 1 << 62:
            edges += [sign * (row[g.LISTING_NOTIONAL_MAX] // row[g.LISTING_MINUTES] // lots) for sign in (-1, 1)] * 2
        price = rng.choice(edges) + rng.choice([-1, 0, 0, 1])
        return max(min(price, 2**62), -(2**62))

    def _lots(self, row: list[int], gate: Any, side: int, price: int) -> int:
        rng, lots = self.rng, 1 << self.device.qty_bits
        edges = [0, 1, row[g.LISTING_QTY_MIN], row[g.LISTING_QTY_MAX], lots - 1, lots, rng.randrange(lots)]
        per_lot, minutes = row[g.LISTING_KW_PER_LOT], row[g.LISTING_MINUTES]
        if price and minutes and row[g.LISTING_NOTIONAL_MAX] < 1 << 62:
            edges += [row[g.LISTING_NOTIONAL_MAX] // minutes // abs(price)] * 2
        if per_lot and side in (g.BUY, g.SELL):
            exposures = g.exposures(gate)
            row_at = [int(cell) for cell in exposures[rng.randrange(len(exposures))]]
            sign = 1 if side == g.BUY else -1
            limit = row_at[g.INTERVAL_LONG_MAX if side == g.BUY else g.INTERVAL_SHORT_MAX]
            working, net = row_at[g.INTERVAL_WORKING + side], sign * row_at[g.INTERVAL_NET]
            most = self.device.kw_max
            kws = [limit - working - net, most - working, most - working - net, working, most - net, most]
            edges += [kw // per_lot for kw in kws] + [(limit - working - net) // per_lot] * 2
        return min(max(rng.choice(edges) + rng.choice([-1, 0, 0, 1]), 0), g.INT64_MAX)

    def _time(self, row: list[int], gate: Any) -> int:
        rng = self.rng
        window = min(max(int(gate[0, g.HEAD_RATE_BURST]) - 1, 0) * int(gate[0, g.HEAD_RATE_NS]), g.INT64_MAX)
        edges = [0, -1, g.INT64_MAX, g.INT64_MAX - int(gate[0, g.HEAD_RATE_NS]), self.now_ns]
        edges += [int(gate[0, g.HEAD_RATE_EMPTY_NS]) - window] * 3
        if row[g.LISTING_REF] != g.ABSENT:
            edges += [row[g.LISTING_REF_AT] + row[g.LISTING_REF_AGE_MAX]] * 3
        return max(min(rng.choice(edges) + rng.choice([-1, 0, 0, 1]), g.INT64_MAX), -(2**63))

    def _id(self) -> int:
        rng = self.rng
        known = self.ids or [1]
        return rng.choice(
            [0, -1, g.INT64_MAX, rng.choice(known), rng.choice(known), known[-1], known[-1] ^ (1 << 20) ^ 1]
        )
