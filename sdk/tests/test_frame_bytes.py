"""The 48-byte frame header: every field at its stated offset, bodies padded to 8, diagnostic frames marked."""

from __future__ import annotations

import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

import penstock_sdk.wire.frame as module
from penstock_sdk.events import Alert, Quote, Severity, Trade
from penstock_sdk.schema import ABSENT, Frame, Layout, SchemaError, layout_of, layouts
from penstock_sdk.wire.frame import (
    DIAGNOSTIC,
    HEADER,
    HEADER_BYTES,
    Header,
    Origin,
    encode_frame,
    encoder,
    packer,
    padded,
)

WIDTHS = {"u8": 1, "u16": 2, "u32": 4, "i64": 8}
TABLE = re.findall(r"^(\d+) +([ui]\d+) +(\w+) ", module.__doc__ or "", re.MULTILINE)

i64 = st.integers(-(2**63), 2**63 - 1)
stamps = st.tuples(i64, i64, i64, i64, st.sampled_from(Origin).map(int), st.integers(0, 65_535))
"""seq, at_ns, cause_seq, correlation_seq, origin, producer"""


def by_table(data: bytes) -> dict[str, int]:
    """Return a header read by the table in the module's docstring alone."""
    return {
        name: int.from_bytes(data[int(at) : int(at) + WIDTHS[kind]], "little", signed=kind[0] == "i")
        for at, kind, name in TABLE
    }


def test_the_table_in_the_docs_covers_the_header() -> None:
    assert [name for _, _, name in TABLE] == list(Header.__struct_fields__)
    ends = [int(at) + WIDTHS[kind] for at, kind, _ in TABLE]
    assert [int(at) for at, _, _ in TABLE] == [0, *ends[:-1]]
    assert ends[-1] == HEADER_BYTES == 48


@given(stamps=stamps, bid_ticks=i64)
def test_a_record_s_header_says_what_the_table_says(stamps: tuple[int, ...], bid_ticks: int) -> None:
    layout = layout_of(Quote)
    frame = encoder(layout)(Quote(1, bid_ticks=bid_ticks), *stamps)
    seq, at_ns, cause_seq, correlation_seq, origin, producer = stamps
    wanted = {
        "body_bytes": 56, "schema_id": 1, "version": 1, "origin": origin, "seq": seq, "at_ns": at_ns,
        "cause_seq": cause_seq, "correlation_seq": correlation_seq, "count": 1, "stride": 56, "producer": producer,
    }  # fmt: skip
    assert by_table(frame) == wanted
    assert Header(*HEADER.unpack_from(frame)) == Header(**wanted)
    assert len(frame) == 48 + 56


@given(stamps=stamps, count=st.integers(1, 20))
def test_a_frame_s_header_counts_its_records(stamps: tuple[int, ...], count: int) -> None:
    frame = Frame.of([Trade(i) for i in range(count)])
    data = encode_frame(frame, *stamps)
    header = by_table(data)
    assert (header["count"], header["stride"], header["body_bytes"]) == (count, 48, 48 * count)
    assert (header["schema_id"], header["version"]) == (2, 1)
    assert [header[n] for n in ("seq", "at_ns", "cause_seq", "correlation_seq", "origin", "producer")] == list(stamps)
    assert len(data) == 48 + 48 * count


@given(subject=st.text(max_size=30), stamps=stamps)
def test_a_control_record_s_body_is_padded_with_zeros(subject: str, stamps: tuple[int, ...]) -> None:
    alert = Alert(code="a.b", severity=Severity.INFO, subject=subject, met="m")
    data = encoder(layout_of(Alert))(alert, *stamps)
    header = by_table(data)
    assert (header["count"], header["stride"], header["schema_id"]) == (1, 0, 104)
    body_end = HEADER_BYTES + header["body_bytes"]
    assert len(data) == HEADER_BYTES + padded(header["body_bytes"])
    assert data[body_end:] == bytes(len(data) - body_end)
    assert layout_of(Alert).unpack(data[HEADER_BYTES:body_end]) == alert


@given(length=st.integers(0, 2**40))
def test_padded_is_the_next_multiple_of_8(length: int) -> None:
    assert padded(length) % 8 == 0
    assert 0 <= padded(length) - length < 8


def diagnostic(cls: type, schema_id: int, *, yes: bool) -> Layout:
    return Layout(cls, schema_id, 1, "test.some", None, yes)


@pytest.mark.parametrize("origin", Origin)
def test_only_diagnostic_frames_carry_the_bit(origin: Origin) -> None:
    alert = Alert(code="a.b", severity=Severity.INFO, subject="s", met="m")
    for cls, event in ((Quote, Quote(1)), (Alert, alert)):
        for yes in (False, True):
            data = encoder(diagnostic(cls, 40_000, yes=yes))(event, 1, 2, 3, 4, origin, 6)
            assert by_table(data)["origin"] == origin | (0x80 if yes else 0)
    frame = Frame.of([Quote(1)])
    assert by_table(encode_frame(frame, 1, 2, 3, 4, origin, 6))["origin"] == origin
    frame.layout = diagnostic(Quote, 40_000, yes=True)
    assert by_table(encode_frame(frame, 1, 2, 3, 4, origin, 6))["origin"] == origin | DIAGNOSTIC


def test_no_origin_reaches_the_diagnostic_bit() -> None:
    assert DIAGNOSTIC == 0x80 and max(Origin) < DIAGNOSTIC


def test_absent_causes_are_the_smallest_int64() -> None:
    data = encoder(layout_of(Quote))(Quote(1), 1, 2, ABSENT, ABSENT, 1, 0)
    assert data[24:40] == bytes.fromhex("0000000000000080") * 2


@pytest.mark.parametrize("layout", [layout for layout in layouts() if layout.packed], ids=lambda layout: layout.name)
def test_the_packer_writes_what_the_encoder_writes(layout: Layout) -> None:
    values = tuple(1.5 if field.code == "d" else i + 1 for i, field in enumerate(layout.fields))
    head = (layout.size, layout.id, layout.version, 3, 10, 20, 9, 1, 1, layout.size, 7)
    wanted = encoder(layout)(layout.cls(*values), 10, 20, 9, 1, 3, 7)
    assert packer(layout)(*head, *values) == wanted


def test_a_stamp_that_does_not_fit_is_no_silent_wrap() -> None:
    frame = Frame.of([Quote(1)])
    with pytest.raises(struct.error):
        encode_frame(frame, 2**63, 0, 0, 0, 1, 0)
    with pytest.raises(SchemaError):
        encoder(layout_of(Quote))(Quote(1), 2**63, 0, 0, 0, 1, 0)
