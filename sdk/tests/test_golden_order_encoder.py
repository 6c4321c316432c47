"""Its bytes are those of the SDK's encoder and of a second reading of OUCH; what does not fit is dropped, counted."""

from __future__ import annotations

import doctest
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.compiled import NO_JIT_ENV, compile_golden
from penstock_sdk.events import Order
from penstock_sdk.events.enums import ClockKind, IntentAction, OrderKind, OrderState
from penstock_sdk.golden import order_encoder as golden
from penstock_sdk.golden.tick_layout import GATE_CHECK, GATE_FILL
from penstock_sdk.schema import ABSENT, layout_of
from penstock_sdk.wire.frame import Origin, encoder

I32, I64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63) + 1, 2**63 - 1)
U32, POSITIVE = st.integers(0, 2**32 - 1), st.integers(1, 2**56 - 1)
NAMES = ["venue_id", "strategy_id", "book_id", "algo_id", "algo_version", "trader_id", "account_id"]
ORDER = (GATE_CHECK, 0, 0, golden.BUY, -500, 30, 1_000, 77)
"""A passed verdict: kind, reason, slot, side, price, lots, time, intent id."""


def new(base: int = 1, slots: int = 2) -> golden.Table:
    table = golden.new_encoder(slots)
    golden.set_order_base(table, base)
    golden.set_listing(table, 0, 4_711, b"DEH14   ")
    golden.set_ids(table, firm=b"PNST", customer=b"R", time_in_force=99_998)
    return table


def send(table: golden.Table, *verdict: int) -> bytes:
    out = golden.new_message()
    return out[: golden.encode(table, *verdict, out)].tobytes()


def test_the_docstring_runs() -> None:
    assert doctest.testmod(golden).failed == 0


@given(
    base=st.integers(1, 2**62), listing_id=U32, side=st.sampled_from([golden.BUY, golden.SELL]), price=I64,
    lots=st.integers(0, 2**62), at_ns=st.integers(0, 2**62), intent_id=st.integers(1, 2**63 - 1), ioc=st.booleans(),
    producer=st.integers(0, 65_535), ids=st.tuples(*[U32] * len(NAMES)),
)  # fmt: skip
def test_a_frame_is_byte_for_byte_the_sdks(
    base: int, listing_id: int, side: int, price: int, lots: int, at_ns: int, intent_id: int, ioc: bool, producer: int,
    ids: tuple[int, ...],
) -> None:  # fmt: skip
    table, numbers = golden.new_encoder(1), dict(zip(NAMES, ids, strict=True))
    golden.set_order_base(table, base)
    golden.set_listing(table, 0, listing_id)
    golden.set_ids(table, ioc=ioc, producer=producer, **numbers)
    for seq in range(2):
        order = Order(
            base + seq, listing_id=listing_id, action=IntentAction.NEW, side=side,
            kind=OrderKind.IOC if ioc else OrderKind.LIMIT, state=OrderState.ROUTED, price_ticks=price, qty_lots=lots,
            intent_id=intent_id, clock=ClockKind.HARDWARE, source_ns=at_ns, recv_ns=at_ns, **numbers,
        )  # fmt: skip
        wanted = encoder(layout_of(Order))(order, seq, at_ns, ABSENT, ABSENT, Origin.EXTERNAL, producer)
        assert send(table, GATE_CHECK, 0, 0, side, price, lots, at_ns, intent_id) == wanted


def test_an_enter_order_has_ouchs_fields() -> None:
    table = new(base=0xBEE)
    golden.use_format(table, golden.FORMAT_OUCH)
    assert send(table, *ORDER) == (
        b"\x00\x31O00000000000BEEB" + bytes([0, 0, 0, 30]) + b"DEH14   " + (-500).to_bytes(4, "big", signed=True)
        + (99_998).to_bytes(4, "big") + b"PNST" + b"YPN" + bytes(4) + b"NR"
    )  # fmt: skip


@given(base=POSITIVE, side=st.sampled_from([1, 2]), price=I32, lots=U32, force=U32)
def test_an_enter_order_is_read_back_by_struct(base: int, side: int, price: int, lots: int, force: int) -> None:
    table = new(base)
    golden.set_ids(table, firm=b"ABCD", display=b"A", customer=b"C", time_in_force=force)
    golden.use_format(table, golden.FORMAT_OUCH)
    message = send(table, GATE_CHECK, 0, 0, side, price, lots, 5, 6)
    length, kind, token, way, shares, symbol, met, *rest = struct.unpack(">Hc14scI8siI4scccIcc", message)
    assert (length, kind, int(token, 16), way) == (49, b"O", base, b"B" if side == 1 else b"S")
    assert (shares, symbol, met) == (lots, b"DEH14   ", price)
    assert rest == [force, b"ABCD", b"A", b"P", b"N", 0, b"N", b"C"]


@pytest.mark.parametrize(
    ("place", "value", "column"),
    [
        (0, GATE_FILL, golden.HEAD_OTHER),
        (1, 6, golden.HEAD_REFUSED),
        (2, 1, golden.HEAD_UNLISTED),
        (2, 2, golden.HEAD_UNLISTED),
        (2, -1, golden.HEAD_UNLISTED),
        (3, 0, golden.HEAD_RANGE),
        (3, 3, golden.HEAD_RANGE),
    ],
)
def test_what_is_no_passed_order_of_a_listing_is_dropped_and_counted(place: int, value: int, column: int) -> None:
    table, verdict = new(), [*ORDER]
    verdict[place] = value
    assert send(table, *verdict) == b""
    assert table[0, golden.HEAD_SENT : golden.HEAD_RANGE + 1].sum() == table[0, column] == 1


def test_the_kill_switch_drops_what_passed() -> None:
    table = new()
    golden.set_kill(table, True)
    assert send(table, *ORDER) == b""
    assert table[0, golden.HEAD_KILLED] == 1
    golden.set_kill(table, False)
    assert len(send(table, *ORDER)) == golden.FRAME_BYTES


@pytest.mark.parametrize(
    ("place", "inside", "outside"),
    [(4, 2**31 - 1, 2**31), (4, -(2**31), -(2**31) - 1), (5, 2**32 - 1, 2**32)],
)
def test_ouch_holds_prices_of_32_bits_and_lots_of_32_and_a_frame_more(place: int, inside: int, outside: int) -> None:
    table, verdict = new(), [*ORDER]
    for value, format_code, sent in (
        (inside, golden.FORMAT_OUCH, golden.OUCH_BYTES),
        (outside, golden.FORMAT_OUCH, 0),
        (outside, golden.FORMAT_FRAME, golden.FRAME_BYTES),
    ):
        golden.use_format(table, format_code)
        verdict[place] = value
        assert len(send(table, *verdict)) == sent
    assert table[0, golden.HEAD_RANGE] == 1


@pytest.mark.parametrize(
    ("base", "frame", "ouch"),
    [(0, 0, 0), (1, 160, 51), (2**56 - 1, 160, 51), (2**56, 160, 0), (2**63 - 1, 160, 0)],
)
def test_an_order_has_an_id_from_1_that_its_message_can_hold(base: int, frame: int, ouch: int) -> None:
    for format_code, length in ((golden.FORMAT_FRAME, frame), (golden.FORMAT_OUCH, ouch)):
        table = new(base)
        golden.use_format(table, format_code)
        assert len(send(table, *ORDER)) == length
    last = new(2**63 - 1)
    assert [len(send(last, *ORDER)) for _ in range(2)] == [160, 0]


def test_settings_that_do_not_fit_are_refused() -> None:
    table = new()
    with pytest.raises(ValueError, match="^slot is 2; wanted 0 to 1$"):
        golden.set_listing(table, 2, 1)
    with pytest.raises(ValueError, match="^symbol is b'DE'; wanted 8 bytes, filled up with blanks$"):
        golden.set_listing(table, 0, 1, b"DE")
    with pytest.raises(ValueError, match="^firm, display, customer are b'P', b'Y', b'N'; wanted 4, 1 and 1 bytes$"):
        golden.set_ids(table, firm=b"P")
    with pytest.raises(ValueError, match="^producer is 65536; wanted 0 to 65535$"):
        golden.set_ids(table, producer=65_536)
    with pytest.raises(ValueError, match="^base is -1; wanted"):
        golden.set_order_base(table, -1)


@pytest.mark.parametrize("format_code", [golden.FORMAT_FRAME, golden.FORMAT_OUCH])
def test_compiled_equals_plain(format_code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NO_JIT_ENV, raising=False)
    fast, draw = compile_golden(golden), np.random.default_rng(format_code)
    pairs = [(module, new(2**55), golden.new_message()) for module in (golden, fast)]
    for _, table, _ in pairs:
        golden.use_format(table, format_code)
        golden.set_listing(table, 1, 2**32 - 1, b"\xff\x80 Z\x00\x01\xfe\x99")
    for _ in range(200):
        verdict = (
            int(draw.choice([0, 0, 0, 3])), int(draw.choice([0, 0, 0, 6])), int(draw.choice([0, 1, 1, 2, -1])),
            int(draw.choice([0, 1, 2, 2, 3])), int(draw.integers(-(2**31), 2**31 + 2**28)),
            int(draw.integers(0, 2**32 + 2**29)), int(draw.integers(0, 2**62)), int(draw.integers(1, 2**62)),
        )  # fmt: skip
        lengths = {module.encode(table, *verdict, out) for module, table, out in pairs}
        assert len(lengths) == 1
        assert np.array_equal(pairs[0][1], pairs[1][1])
        assert np.array_equal(pairs[0][2], pairs[1][2])
    assert pairs[0][1][0, golden.HEAD_SENT] > 20
