"""The registers that the risk gate's driver writes make a gate that answers as the one it was given, or it refuses."""

from __future__ import annotations

import random

import pytest

from penstock_hw.drivers.risk_gate import Device, DoesNotFitError, RiskGate, listing_row
from penstock_hw.registers.generated.risk_gate import BLOCK
from penstock_hw.registers.model import Kind
from penstock_sdk.golden import risk_gate as g


class Tables:
    """Register words, and what each pulse makes of them: the rows that the hardware would hold."""

    def __init__(self, **parameters: int) -> None:
        self.parameters = BLOCK.parameters | parameters
        self.words: dict[int, int] = {}
        self.rows: dict[tuple[str, int], dict[str, int]] = {}
        self.writes: list[tuple[str, str]] = []

    def read(self, address: int) -> int:
        header = (BLOCK.id, BLOCK.version, BLOCK.layout_hash, 0)
        if address < 16:
            return header[address // 4]
        for register in BLOCK.registers:
            if register.offset <= address < register.offset + register.width // 8:
                constant = register.fields[0].constant
                if constant:
                    return self.parameters[constant]
        return self.words.get(address, 0)

    def write(self, address: int, value: int) -> None:
        self.words[address] = value
        for register in BLOCK.registers:
            for field in register.fields:
                if register.offset == address and field.kind is Kind.PULSE and value & field.mask:
                    self.pulse(register.name, field.name)

    def value(self, name: str) -> int:
        register = next(register for register in BLOCK.registers if register.name == name)
        word = self.words.get(register.offset, 0) | self.words.get(register.offset + 4, 0) << 32
        return register.fields[0].extract(word if register.width == 64 else word & 0xFFFF_FFFF)

    def pulse(self, table: str, pulse: str) -> None:
        self.writes.append((table, pulse))
        names = [
            register.name.removeprefix(f"{table}_")
            for register in BLOCK.registers
            if register.name.startswith(f"{table}_") and register.fields[0].kind is Kind.CONFIG
        ]
        row = {name: self.value(f"{table}_{name}") for name in names}
        self.rows[f"{table}.{pulse}", row.get("index", 0)] = row
        if pulse == "read":
            held = self.rows["interval.limit_write", row["index"]] | {
                name: value
                for name, value in self.rows["interval.exposure_write", row["index"]].items()
                if name in ("net_kw", "buy_working_kw", "sell_working_kw")
            }
            for register in BLOCK.registers:
                if register.name.startswith("interval_stored_"):
                    self.words[register.offset] = held[register.name.removeprefix("interval_stored_")] & 0xFFFF_FFFF

    def gate(self) -> g.Table:
        """Return a golden gate made from the rows alone."""
        device = Device()
        gate = g.new_gate(device.slots, device.intervals, 4_096, 15 * device.seen_sets)
        g.set_widths(gate, price_bits=32, qty_bits=24, kw_bits=32, ways=device.seen_ways)
        for (table, index), row in self.rows.items():
            if table == "listing.write" and row["state"]:
                self._listing(gate, index, row)
        for (table, index), row in self.rows.items():
            if table == "interval.limit_write":
                g.set_position_limit(gate, index, row["long_max_kw"], row["short_max_kw"])
            elif table == "interval.exposure_write":
                exposure = [row["net_kw"], row["buy_working_kw"], row["sell_working_kw"]]
                g.exposures(gate)[index, g.INTERVAL_NET :] = exposure
            elif table == "reference.write" and row["has_price"]:
                g.mark_reference(gate, index, row["price_ticks"], row["at_ns"])
        rate = self.rows["rate.write", 0]
        burst = (
            g.UNLIMITED if rate["unlimited"] else 0 if rate["none"] else rate["window_ns"] // rate["ns_per_message"] + 1
        )
        g.set_rate(gate, burst, rate["ns_per_message"])
        gate[0, g.HEAD_RATE_EMPTY_NS] = self.rows["rate.empty_write", 0]["empty_ns"]
        g.set_switches(gate, kill=bool(self.value("kill")), paused=bool(self.value("paused")))
        return gate

    def _listing(self, gate: g.Table, index: int, row: dict[str, int]) -> None:
        links = range(row["link"], row["link"] + row["interval_count"] - 1)
        g.define_listing(
            gate,
            index,
            [row["first_interval"], *(self.rows["link.write", link]["interval"] for link in links)],
            qty_min_lots=row["qty_min_lots"],
            qty_max_lots=row["qty_max_lots"],
            collar_ticks=g.UNLIMITED if row["collar_unlimited"] else row["collar_ticks"],
            floor_ticks=row["floor_ticks"] if row["has_floor"] else g.ABSENT,
            cap_ticks=row["cap_ticks"] if row["has_cap"] else g.ABSENT,
            notional_max=max(row["notional_max_per_minute"], 1) if row["has_notional"] else 0,
            minutes=1,
            kw_per_lot=row["kw_per_lot"],
            ref_age_max_ns=g.UNLIMITED if row["ref_age_unlimited"] else row["ref_age_max_ns"],
            ref_required=bool(row["ref_required"]),
            state=row["state"],
        )


LIMITS = {
    "qty_max_lots": 50, "collar_ticks": 500, "notional_max": 3_000_000, "ref_age_max_ns": 10**9, "minutes": 15,
    "kw_per_lot": 100,
}  # fmt: skip


def gate_of(rng: random.Random) -> g.Table:
    """Return a gate with limits, exposures and references of all kinds."""
    gate = g.new_gate(20, 40, 200)
    for listing in range(19):
        drawn = {
            "qty_max_lots": rng.choice([0, 50, 2**24, g.UNLIMITED]),
            "collar_ticks": rng.choice([0, 9, 2**32 - 1, 2**32, g.UNLIMITED]),
            "floor_ticks": rng.choice([g.ABSENT, -900, -(2**40)]),
            "cap_ticks": rng.choice([g.ABSENT, 900, 2**40]),
            "notional_max": rng.choice([0, 200_000, g.UNLIMITED]),
            "minutes": rng.choice([15, 60]),
            "kw_per_lot": rng.choice([100, 1_000]),
            "ref_age_max_ns": rng.choice([0, 500, g.UNLIMITED]),
            "ref_required": rng.random() < 0.3,
        }
        changed = {name: drawn[name] for name in drawn if rng.random() < 0.3}
        intervals = rng.sample(range(40), rng.choice([1, 1, 4, 8]))
        g.define_listing(gate, listing, intervals, **(LIMITS | changed))
        if rng.random() < 0.8:
            g.mark_reference(gate, listing, rng.randrange(-500, 500), 1_000)
    for interval in range(40):
        g.set_position_limit(gate, interval, rng.choice([0, 9_000, g.UNLIMITED]), rng.choice([9_000, g.UNLIMITED]))
    g.exposures(gate)[5, g.INTERVAL_NET :] = -700, 300, 200
    g.set_rate(gate, rng.choice([3, g.UNLIMITED]), 1_000)
    return gate


@pytest.mark.parametrize("seed", range(4))
def test_what_was_loaded_answers_as_the_gate_does(seed: int) -> None:
    rng = random.Random(seed)
    gate, tables = gate_of(rng), Tables()
    RiskGate.connect(tables).load(gate)
    loaded, reasons = tables.gate(), set()
    for intent_id in range(1, 300):
        order = (
            rng.randrange(20), rng.choice([g.BUY, g.SELL]),
            rng.choice([-900, -901, 0, 9, 900, 901, rng.randrange(-600, 600)]),
            rng.choice([0, 1, 20, 50, 51, 2**24]), 1_000 + 200 * intent_id, intent_id,
        )  # fmt: skip
        reason = g.check_order(gate, *order, g.new_verdicts(1))
        assert g.check_order(loaded, *order, g.new_verdicts(1)) == reason, order
        reasons.add(reason)
    assert len(reasons) >= 7


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"kw_per_lot": 2**16}, "listing 0 kw_per_lot is 65536; this device holds 0 .. 65535"),
        ({"qty_min_lots": 2**24}, "listing 0 qty_min_lots is 16777216"),
        ({"minutes": 2**20, "qty_max_lots": 2**24}, "listing 0 notional of the largest order is"),
        ({"floor_ticks": 2**31}, "listing 0 floor_ticks is 2147483648"),
        ({"cap_ticks": -(2**31) - 1}, "listing 0 cap_ticks is -2147483649"),
    ],
)
def test_a_listing_that_does_not_fit_is_refused_by_name_and_nothing_is_written(
    limits: dict[str, int], message: str
) -> None:
    gate, tables = g.new_gate(1, 1, 1), Tables()
    g.define_listing(gate, 0, [0], **(LIMITS | limits))
    driver = RiskGate.connect(tables)
    with pytest.raises(DoesNotFitError, match=f"^{message}"):
        driver.load_listing(gate, 0)
    assert not tables.writes


@pytest.mark.parametrize(
    ("column", "name"),
    [
        (g.LISTING_QTY_MIN, "qty_min_lots"),
        (g.LISTING_KW_PER_LOT, "kw_per_lot"),
        (g.LISTING_MINUTES, "minutes"),
        (g.LISTING_LINK_COUNT, "interval_count"),
    ],
)
def test_a_zero_that_switches_a_check_off_is_refused_though_the_table_holds_it(column: int, name: str) -> None:
    gate, tables = open_gate({0: [0]}), Tables()
    driver = RiskGate.connect(tables, empty=True)
    gate[g.LISTING_ROW, column] = 1  # the least that is taken
    driver.load_listing(gate, 0)
    tables.writes.clear()
    gate[g.LISTING_ROW, column] = 0  # what define_listing would not write
    with pytest.raises(DoesNotFitError, match=f"^listing 0 {name} is 0; wanted 1 or more"):
        driver.load_listing(gate, 0)
    assert not tables.writes


@pytest.mark.parametrize("burst", [0, 3, g.UNLIMITED])
def test_a_rate_of_messages_that_take_no_time_is_refused(burst: int) -> None:
    gate, tables = open_gate({0: [0]}), Tables()
    driver = RiskGate.connect(tables)
    g.set_rate(gate, burst, 1)
    driver.load_rate(gate)
    tables.writes.clear()
    gate[0, g.HEAD_RATE_NS] = 0
    with pytest.raises(DoesNotFitError, match="^rate ns_per_message is 0; wanted 1 or more"):
        driver.load_rate(gate)
    assert not tables.writes


def test_an_interval_that_stands_twice_in_a_listing_is_refused() -> None:
    gate, tables = open_gate({0: [4, 5]}), Tables()
    links = gate[int(gate[0, g.HEAD_LINK_BASE]) :].reshape(-1)
    links[int(gate[g.LISTING_ROW, g.LISTING_LINK]) + 1] = 4
    with pytest.raises(DoesNotFitError, match=r"^listing 0 intervals are \[4, 4\]; wanted each once"):
        RiskGate.connect(tables).load_listing(gate, 0)
    assert not tables.writes


def test_what_the_device_has_no_room_for_is_refused() -> None:
    gate = g.new_gate(300, 1_100, 5_000)
    for listing in (0, 1, 299):
        g.define_listing(gate, listing, [listing + 1], **LIMITS)
    g.define_listing(gate, 2, [1_099], **LIMITS)
    g.define_listing(gate, 3, range(900), **LIMITS)
    g.define_listing(gate, 4, range(900), **LIMITS)
    g.define_listing(gate, 5, range(900), **LIMITS)
    driver = RiskGate.connect(Tables())
    with pytest.raises(DoesNotFitError, match=r"^listing 299 slot is 299; this device holds 0 \.\. 255$"):
        driver.load_listing(gate, 299)
    with pytest.raises(DoesNotFitError, match="^listing 2 interval is 1099"):
        driver.load_listing(gate, 2)
    driver.load_listing(gate, 3)
    driver.load_listing(gate, 4)
    with pytest.raises(DoesNotFitError, match="^listing 5 links is 2696"):
        driver.load_listing(gate, 5)
    g.exposures(gate)[3, g.INTERVAL_NET] = 2**31 - 1
    with pytest.raises(DoesNotFitError, match=r"^interval 3 net_kw is 2147483647; .* 0 \.\. 2147483646$"):
        driver.load_exposure(gate, 3)
    g.mark_reference(gate, 0, 2**31, 5)
    with pytest.raises(DoesNotFitError, match="^listing 0 reference price is 2147483648"):
        driver.load_reference(gate, 0)


def test_a_listing_that_delivers_elsewhere_is_taken_out_before_its_links_change() -> None:
    gate, tables = g.new_gate(2, 8, 16), Tables()
    g.define_listing(gate, 0, [0, 1, 2], **LIMITS)
    driver = RiskGate.connect(tables)
    driver.load_listing(gate, 0)
    g.drop_listing(gate, 0)
    g.define_listing(gate, 0, [3, 4, 5], **LIMITS)
    tables.writes.clear()
    driver.load_listing(gate, 0)
    assert tables.writes == [
        ("listing", "write"), ("link", "write"), ("link", "write"), ("reference", "write"), ("listing", "write")
    ]  # fmt: skip


def refused(tables: Tables, listing: int) -> int:
    """Return why the device refuses an order of a listing, or 0."""
    return g.check_order(tables.gate(), listing, g.BUY, 0, 1, 2_000, 1, g.new_verdicts(1))


def open_gate(listings: dict[int, list[int]], intervals: int = 8) -> g.Table:
    """Return a gate with these listings and their intervals, in which small orders pass."""
    gate = g.new_gate(1 + max(listings), intervals, 64)
    for listing, delivers in listings.items():
        g.define_listing(gate, listing, delivers, **(LIMITS | {"ref_required": False}))
    for interval in range(intervals):
        g.set_position_limit(gate, interval, 9_000, 9_000)
    g.set_rate(gate, g.UNLIMITED, 1)
    return gate


def test_what_another_host_loaded_is_gone_after_a_load() -> None:
    tables = Tables()
    old = open_gate({0: [0, 1], 3: [2, 3], 9: [4, 5]})
    g.exposures(old)[6, g.INTERVAL_NET] = 500
    RiskGate.connect(tables).load(old)
    assert [refused(tables, listing) for listing in (0, 3, 9)] == [0, 0, 0]
    RiskGate.connect(tables).load(open_gate({0: [1, 2], 1: [3]}, intervals=4))
    assert [refused(tables, listing) for listing in (0, 1)] == [0, 0]
    # The links of 3 and 9 are others' now, and the new gate has no such listings.
    assert [refused(tables, listing) for listing in (3, 9)] == [g.REASON_LISTING, g.REASON_LISTING]
    assert not g.exposures(tables.gate())[4:].any()


def test_one_listing_loaded_into_a_device_of_another_host_takes_the_others_out() -> None:
    tables = Tables()
    RiskGate.connect(tables).load(open_gate({0: [0, 1], 3: [2, 3]}))
    gate = open_gate({1: [4, 5]})
    RiskGate.connect(tables).load_listing(gate, 1)  # its link is where the one of listing 0 was
    assert [refused(tables, listing) for listing in (0, 1, 3)] == [g.REASON_LISTING, 0, g.REASON_LISTING]


def test_a_second_load_takes_out_what_the_driver_itself_had_loaded() -> None:
    tables = Tables()
    driver = RiskGate.connect(tables, empty=True)
    driver.load(open_gate({0: [0, 1], 3: [2, 3]}))
    tables.writes.clear()
    driver.load(open_gate({1: [3, 4]}, intervals=5))
    assert [refused(tables, listing) for listing in (0, 1, 3)] == [g.REASON_LISTING, 0, g.REASON_LISTING]
    assert not g.exposures(tables.gate())[5:].any()
    # Two listings go, 0 and 1 are written; eight intervals were used, five of them are the gate's.
    assert tables.writes.count(("listing", "write")) == 4
    assert tables.writes.count(("interval", "limit_write")) == 8


def test_a_device_known_to_be_empty_gets_what_the_gate_has_and_no_more() -> None:
    tables = Tables()
    RiskGate.connect(tables, empty=True).load(open_gate({0: [0, 1]}))
    assert tables.writes.count(("listing", "write")) == 1
    assert tables.writes.count(("interval", "exposure_write")) == 8


def test_a_relisted_slot_that_does_not_fit_stays_what_it_was() -> None:
    gate, tables = open_gate({0: [0, 1, 2]}), Tables()
    driver = RiskGate.connect(tables, empty=True)
    driver.load(gate)
    g.drop_listing(gate, 0)
    g.define_listing(gate, 0, [3, 4, 5], **LIMITS)
    before, held = list(tables.writes), dict(tables.rows)
    g.set_widths(gate)  # so that the gate takes a price that the device does not hold
    g.mark_reference(gate, 0, 2**31, 5)
    with pytest.raises(DoesNotFitError, match="^listing 0 reference price is 2147483648"):
        driver.load_listing(gate, 0)
    assert (tables.writes, tables.rows) == (before, held)
    g.mark_reference(gate, 0, 7, 5)
    driver.load_listing(gate, 0)
    assert [tables.rows["link.write", link]["interval"] for link in (0, 1)] == [4, 5]


def test_a_relisted_slot_forgets_the_reference_price_of_the_old_contract() -> None:
    gate, tables = open_gate({0: [0]}), Tables()
    g.mark_reference(gate, 0, 400, 1_000)
    driver = RiskGate.connect(tables, empty=True)
    driver.load(gate)
    assert tables.rows["reference.write", 0]["has_price"] == 1
    g.drop_listing(gate, 0)
    driver.load_listing(gate, 0)
    g.define_listing(gate, 0, [0], **LIMITS)
    driver.load_listing(gate, 0)
    assert tables.rows["reference.write", 0]["has_price"] == 0


class Broken(Tables):
    """A device whose bus fails at one pulse."""

    fails_at = ("", "")

    def pulse(self, table: str, pulse: str) -> None:
        if (table, pulse) == self.fails_at:
            raise OSError("the bus is gone")
        super().pulse(table, pulse)


@pytest.mark.parametrize("fails_at", [("link", "write"), ("reference", "write")])
def test_links_are_not_taken_for_written_where_the_bus_failed(fails_at: tuple[str, str]) -> None:
    gate, tables = open_gate({0: [0, 1]}), Broken()
    driver = RiskGate.connect(tables, empty=True)
    driver.load(gate)
    g.drop_listing(gate, 0)
    g.define_listing(gate, 0, [2, 3], **(LIMITS | {"ref_required": False}))
    tables.fails_at = fails_at
    with pytest.raises(OSError, match="gone"):
        driver.load_listing(gate, 0)
    assert refused(tables, 0) == g.REASON_LISTING
    tables.fails_at = ("", "")
    g.drop_listing(gate, 0)  # back to the old contract, whose link may be written over by now
    g.define_listing(gate, 0, [0, 1], **(LIMITS | {"ref_required": False}))
    driver.load_listing(gate, 0)
    for interval in (0, 1):
        g.set_position_limit(gate, interval, 9_000, 9_000)
        driver.load_limits(gate, interval)
    assert refused(tables, 0) == 0
    assert tables.rows["link.write", 0]["interval"] == 1


def test_limits_and_exposures_can_be_read_back() -> None:
    gate, tables = gate_of(random.Random(1)), Tables()
    driver = RiskGate.connect(tables)
    driver.load(gate)
    g.set_position_limit(gate, 5, 77, g.UNLIMITED)
    driver.load_limits(gate, 5)
    wanted = {
        "long_max_kw": 77, "short_max_kw": 2**31 - 1, "net_kw": -700, "buy_working_kw": 300, "sell_working_kw": 200
    }  # fmt: skip
    assert driver.exposure(5) == wanted


def test_the_minutes_are_divided_out_of_the_notional_limit() -> None:
    gate = g.new_gate(1, 1, 1)
    g.define_listing(gate, 0, [0], **(LIMITS | {"notional_max": 59, "minutes": 60}))
    row = listing_row(gate, 0, Device(), 0)
    assert (row["has_notional"], row["notional_max_per_minute"]) == (1, 0)  # a price of 0 may trade, no other
