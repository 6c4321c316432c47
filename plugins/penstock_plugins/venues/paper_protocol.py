"""The practice venue's protocol: frames of the SDK's wire format on a stream, records and notes.

A frame's header says how long its body is, so frames follow each other without anything between. Records are `Order`
(to the venue), `ExecutionReport`, `Quote` and `SessionState` (from it); the header's ``seq`` is the report's number in
its account, and ``listing_id`` is the venue's own number for a listing. Everything else is a note: a frame of schema 0
whose body is msgpack with a tag.

    client                          venue
    Hello(account, since)      →
                               ←    Welcome, Listed…, SessionState…, reports after *since*, Quote…
    Ask(orders)                →
                               ←    Told(orders, foreign)
    Order                      →
                               ←    ExecutionReport, Quote, Beat
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from penstock_sdk.events import ExecutionReport, Order, Quote, SessionState
from penstock_sdk.schema import ABSENT, Control, Record, control, layout_of
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES, Origin, padded

__all__ = [
    "VERSION",
    "Ask",
    "Beat",
    "CancelAll",
    "Cancelled",
    "Down",
    "Hello",
    "Item",
    "Listed",
    "Note",
    "OrderTold",
    "PaperSaid",
    "ProtocolError",
    "Refused",
    "Resend",
    "Told",
    "Unsent",
    "Up",
    "Welcome",
    "frame_of",
    "items_of",
    "whole_bytes",
]

VERSION = 1
BODY_BYTES_MAX = 1 << 22


class ProtocolError(ValueError):
    """What came is not this protocol; the connection is of no more use."""


class Note(msgspec.Struct, frozen=True, tag=True):
    """Base of what is no record."""


class Hello(Note, frozen=True, tag=True):
    """The client's first word. With *since*, the venue *server* is to send every report after that number again."""

    version: int
    account: str
    server: str = ""
    since: int | None = None
    reports: bool = True
    """False for one that only cancels: it hears neither reports nor quotes."""
    cancel_on_disconnect: bool = False


class Welcome(Note, frozen=True, tag=True):
    """The venue's answer."""

    server: str
    """Names this life of the venue: another one knows no order of the one before."""
    last_no: int
    """Number of the account's last report."""
    resends: bool
    """True when the reports asked for follow; else only a question tells what was missed."""


class Refused(Note, frozen=True, tag=True):
    """The venue will not go on; it hangs up."""

    text: str


class Listed(Note, frozen=True, tag=True):
    """A listing and what it delivers; *number* is what records call it."""

    number: int
    contract: str
    product: str
    zone: str
    timezone: str
    currency: str
    delivery_start_ns: int
    delivery_end_ns: int
    opens_ns: int
    gate_closure_ns: int
    tick_micro: int
    lot_kw: int
    price_min_ticks: int
    price_max_ticks: int
    cash_micro_per_lot_tick: int


class Ask(Note, frozen=True, tag=True):
    """Where do these orders stand? An id that the venue does not know it will never take from here on."""

    ask_id: int
    orders: list[int]


class OrderTold(msgspec.Struct, frozen=True):
    """Where one order stands."""

    order_id: int
    state: int
    """WORKING, PARTLY_FILLED, FILLED, CANCELLED, EXPIRED, REJECTED; UNKNOWN when it never came."""
    reason: int = 0
    filled_lots: int = 0
    trades: list[tuple[int, int, int, int]] = []
    """(trade id, ticks, lots, liquidity), oldest first."""
    listing: int = 0
    side: int = 0
    venue_ref: int = ABSENT


class Told(Note, frozen=True, tag=True):
    """The answer to `Ask`, as of report *last_no*."""

    ask_id: int
    last_no: int
    orders: list[OrderTold]
    foreign: list[tuple[int, int]]
    """(order id, listing) of open orders of the account that the question did not name."""


class Resend(Note, frozen=True, tag=True):
    """Send every report after *since* again."""

    since: int


class CancelAll(Note, frozen=True, tag=True):
    """Cancel every open order of the account."""


class Cancelled(Note, frozen=True, tag=True):
    """How many it were."""

    orders: int


class Beat(Note, frozen=True, tag=True):
    """A sign of life, and how far the reports have come."""

    last_no: int


class Up(Note, frozen=True, tag=True):
    """Said by our own end: the connection stands."""

    attempt: int


class Down(Note, frozen=True, tag=True):
    """Said by our own end: the connection is gone, or could not be made."""

    why: str
    attempt: int


class Unsent(Note, frozen=True, tag=True):
    """Said by our own end: this order has not left, for there was no connection."""

    order_id: int


@control(id=40_960, topic="order.paper_said")
class PaperSaid(Control, frozen=True, kw_only=True):
    """What a practice venue's connection said, in its own bytes: whole frames, without quotes."""

    plugin_id: int
    frames: bytes


Item: TypeAlias = Note | Record
_NOTES: Any = (
    Hello | Welcome | Refused | Listed | Ask | Told | Resend | CancelAll | Cancelled | Beat | Up | Down | Unsent
)
_encode_note = msgspec.msgpack.Encoder().encode
_decode_note = msgspec.msgpack.Decoder(_NOTES).decode
_RECORDS = {layout_of(cls).id: layout_of(cls) for cls in (Order, ExecutionReport, Quote, SessionState)}


def frame_of(item: Any, number: int = 0) -> bytes:
    """Return a note or a record as a frame; *number* is a report's."""
    if isinstance(item, Note):
        body, schema_id, version, stride = _encode_note(item), 0, VERSION, 0
    else:
        layout = item.layout
        body, schema_id, version, stride = layout.pack(item), layout.id, layout.version, layout.size
    head = HEADER.pack(
        len(body), schema_id, version, int(Origin.EXTERNAL), number, 0, ABSENT, ABSENT, 1, stride, 0
    )  # fmt: skip
    return head + body + bytes(-len(body) % 8)


def whole_bytes(data: bytes | bytearray) -> int:
    """Return how many bytes of *data*, from its beginning, are whole frames.

    Raises:
        ProtocolError: a frame claims to be longer than any may be.
    """
    at = 0
    while len(data) - at >= HEADER_BYTES:
        body_bytes = int.from_bytes(data[at : at + 4], "little")
        if body_bytes > BODY_BYTES_MAX:
            raise ProtocolError(f"a frame met a body of {body_bytes} bytes, wanted at most {BODY_BYTES_MAX}")
        end = at + HEADER_BYTES + padded(body_bytes)
        if end > len(data):
            break
        at = end
    return at


def items_of(data: bytes | bytearray) -> Iterator[tuple[int, Item, bytes]]:
    """Yield (report number, note or record, its bytes) of whole frames.

    Raises:
        ProtocolError: a frame is cut, or holds what this protocol does not know.
    """
    data, at = bytes(data), 0
    if whole_bytes(data) != len(data):
        raise ProtocolError(f"{len(data)} bytes end within a frame; wanted whole ones")
    while at < len(data):
        body_bytes, schema_id, version, _, number, *_ = HEADER.unpack_from(data, at)
        end = at + HEADER_BYTES + padded(body_bytes)
        body = data[at + HEADER_BYTES : at + HEADER_BYTES + body_bytes]
        yield number, _item(schema_id, version, body), data[at:end]
        at = end


def _item(schema_id: int, version: int, body: bytes) -> Item:
    if not schema_id:
        try:
            note: Item = _decode_note(body)
        except msgspec.MsgspecError as error:
            raise ProtocolError(f"a note cannot be read: {error}; is the other end of version {VERSION}?") from None
        return note
    layout = _RECORDS.get(schema_id)
    if layout is None or version != layout.version or len(body) != layout.size:
        raise ProtocolError(
            f"a frame met schema {schema_id} version {version} with {len(body)} bytes, wanted one of "
            f"{', '.join(each.name for each in _RECORDS.values())} as this version lays it out"
        )
    record: Item = layout.unpack(body)
    return record
