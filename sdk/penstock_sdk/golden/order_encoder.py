"""An order encoder on integers: a verdict in, the bytes of at most one message out, the same in software and hardware.

    >>> encoder, message = new_encoder(1), new_message()
    >>> set_listing(encoder, 0, 7, b"DE1234  ")
    >>> set_order_base(encoder, 0x12AB)
    >>> encode(encoder, GATE_CHECK, 0, 0, BUY, -500, 30, 9, 1, message)
    160
    >>> use_format(encoder, FORMAT_OUCH)
    >>> message[: encode(encoder, GATE_CHECK, 0, 0, BUY, -500, 30, 9, 2, message)].tobytes()[:30]
    b'\\x001O000000000012ACB\\x00\\x00\\x00\\x1eDE1234  '
    >>> encode(encoder, GATE_CHECK, 6, 0, BUY, -500, 30, 9, 3, message)  # refused by its collar: no message
    0

FORMAT_FRAME is the SDK's frame of one `Order`: new, routed, limit or immediate-or-cancel, its origin EXTERNAL and its
clock HARDWARE, both times those of the verdict; cause, correlation, decision and arrival price are absent. The frame's
seq counts the messages from 0. FORMAT_OUCH is an enter order in the shape of OUCH 4.2, its length in front; the token
is the order id in 14 hex digits, the price a signed 32-bit number, as power may cost less than nothing.

A verdict is dropped, and counted by the first that applies, when it is on no check; refused; passed while the kill
switch is on; of a slot without a listing; or when a value does not fit: the side is neither, the order id not in 1 …
2**63 - 1, and of OUCH the id not below 2**56, the price no i32, or the lots no u32.

Cost: O(bytes of the message).
"""

# The layout is part of this module's interface, and nearly all of it is used here.
# ruff: noqa: F403, F405
from typing import Final

from penstock_sdk.events import Order
from penstock_sdk.events.enums import ClockKind, IntentAction, OrderKind, OrderState, Side
from penstock_sdk.golden.order_encoder_layout import *
from penstock_sdk.golden.order_encoder_layout import Bytes, Table
from penstock_sdk.golden.tick_layout import GATE_CHECK
from penstock_sdk.schema import ABSENT, layout_of
from penstock_sdk.wire.frame import HEADER_BYTES, Origin

BUY: Final = int(Side.BUY)
SELL: Final = int(Side.SELL)

_LAYOUT = layout_of(Order)
_ORDER_ID: Final = _LAYOUT.id
_ORDER_VERSION: Final = _LAYOUT.version
_ORDER_BYTES: Final = _LAYOUT.size
_NEW: Final = int(IntentAction.NEW)
_LIMIT: Final = int(OrderKind.LIMIT)
_IOC: Final = int(OrderKind.IOC)
_ROUTED: Final = int(OrderState.ROUTED)
_HARDWARE: Final = int(ClockKind.HARDWARE)
_EXTERNAL: Final = int(Origin.EXTERNAL)

assert HEADER_BYTES + _ORDER_BYTES == FRAME_BYTES


def _little(out: Bytes, at: int, width: int, value: int) -> int:
    """Write *width* bytes, the lowest first; return the place after them."""
    for byte in range(width):
        out[at + byte] = (value >> (8 * byte)) & 255
    return at + width


def _big(out: Bytes, at: int, width: int, value: int) -> int:
    """Write *width* bytes, the highest first; return the place after them."""
    for byte in range(width):
        out[at + byte] = (value >> (8 * (width - 1 - byte))) & 255
    return at + width


def _token(out: Bytes, at: int, order_id: int) -> int:
    """Write the 14 hex digits of an order id; return the place after them."""
    for place in range(14):
        digit = (order_id >> (4 * (13 - place))) & 15
        out[at + place] = 48 + digit if digit < 10 else 55 + digit
    return at + 14


def _frame(
    encoder: Table, slot: int, order_id: int, side: int, price: int, lots: int, at_ns: int, intent_id: int, out: Bytes
) -> int:
    ids, listing = encoder[ID_ROW], encoder[LISTED_ROW + slot]
    at = _little(out, 0, 4, _ORDER_BYTES)
    at = _little(out, at, 2, _ORDER_ID)
    at = _little(out, at, 1, _ORDER_VERSION)
    at = _little(out, at, 1, _EXTERNAL)
    at = _little(out, at, 8, encoder[0, HEAD_SENT])
    at = _little(out, at, 8, at_ns)
    at = _little(out, at, 8, ABSENT)
    at = _little(out, at, 8, ABSENT)
    at = _little(out, at, 4, 1)
    at = _little(out, at, 2, _ORDER_BYTES)
    at = _little(out, at, 2, ids[ID_PRODUCER])
    at = _little(out, at, 8, order_id)
    at = _little(out, at, 4, listing[LISTED_ID])
    at = _little(out, at, 1, _NEW)
    at = _little(out, at, 1, side)
    at = _little(out, at, 1, _IOC if ids[ID_IOC] != 0 else _LIMIT)
    at = _little(out, at, 1, _ROUTED)
    at = _little(out, at, 8, price)
    at = _little(out, at, 8, lots)
    at = _little(out, at, 8, 0)
    at = _little(out, at, 8, intent_id)
    at = _little(out, at, 8, ABSENT)
    at = _little(out, at, 8, ABSENT)
    at = _little(out, at, 4, ids[ID_VENUE])
    at = _little(out, at, 2, 0)
    at = _little(out, at, 1, _HARDWARE)
    at = _little(out, at, 1, 0)
    for column in range(ID_STRATEGY, ID_ACCOUNT + 1):
        at = _little(out, at, 4, ids[column])
    at = _little(out, at, 8, at_ns)
    return _little(out, at, 8, at_ns)


def _ouch(encoder: Table, slot: int, order_id: int, side: int, price: int, lots: int, out: Bytes) -> int:
    ids, listing = encoder[ID_ROW], encoder[LISTED_ROW + slot]
    at = _big(out, 0, 2, OUCH_BYTES - 2)
    at = _little(out, at, 1, 79)  # O
    at = _token(out, at, order_id)
    at = _little(out, at, 1, 66 if side == BUY else 83)  # B, S
    at = _big(out, at, 4, lots)
    at = _little(out, at, 8, listing[LISTED_SYMBOL])
    at = _big(out, at, 4, price)
    at = _big(out, at, 4, ids[ID_TIME_IN_FORCE])
    at = _little(out, at, 4, ids[ID_FIRM])
    at = _little(out, at, 1, ids[ID_DISPLAY])
    at = _little(out, at, 1, 80)  # P: capacity
    at = _little(out, at, 1, 78)  # N: no intermarket sweep
    at = _big(out, at, 4, 0)  # least quantity
    at = _little(out, at, 1, 78)  # N: no cross
    return _little(out, at, 1, ids[ID_CUSTOMER])


def _fits(encoder: Table, side: int, price: int, lots: int) -> bool:
    """Return whether the message can hold the order, its id included."""
    head = encoder[0]
    if side != BUY and side != SELL:
        return False
    if head[HEAD_ORDER_BASE] < 1 or head[HEAD_SENT] > INT64_MAX - head[HEAD_ORDER_BASE]:
        return False
    if head[HEAD_FORMAT] == FORMAT_FRAME:
        return True
    short = head[HEAD_ORDER_BASE] + head[HEAD_SENT] < 1 << 56
    return bool(short and -(1 << 31) <= price < 1 << 31 and 0 <= lots < 1 << 32)


def encode(
    encoder: Table,
    kind: int,
    reason: int,
    slot: int,
    side: int,
    price_ticks: int,
    lots: int,
    at_ns: int,
    intent_id: int,
    out: Bytes,
) -> int:
    """Write the message of one verdict to *out* and return its bytes; 0 for a verdict that is dropped.

    Args:
        kind: a ``GATE_*`` of `tick_layout`.
        reason: a `Reason`; 0 for what passed.
        slot: of the encoder's table of listings; one beyond it has no listing.
    """
    head = encoder[0]
    if kind != GATE_CHECK:
        head[HEAD_OTHER] += 1
        return 0
    if reason != 0:
        head[HEAD_REFUSED] += 1
        return 0
    if head[HEAD_KILL] != 0:
        head[HEAD_KILLED] += 1
        return 0
    if slot < 0 or slot >= head[HEAD_SLOTS] or encoder[LISTED_ROW + slot, LISTED_VALID] == 0:
        head[HEAD_UNLISTED] += 1
        return 0
    if not _fits(encoder, side, price_ticks, lots):
        head[HEAD_RANGE] += 1
        return 0
    order_id = head[HEAD_ORDER_BASE] + head[HEAD_SENT]
    if head[HEAD_FORMAT] == FORMAT_FRAME:
        length = _frame(encoder, slot, order_id, side, price_ticks, lots, at_ns, intent_id, out)
    else:
        length = _ouch(encoder, slot, order_id, side, price_ticks, lots, out)
    head[HEAD_SENT] += 1
    return length


KERNELS = (_little, _big, _token, _frame, _ouch, _fits, encode)
"""Callees before callers, as `penstock_sdk.compiled` wants them."""
