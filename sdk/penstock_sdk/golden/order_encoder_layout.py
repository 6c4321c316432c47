"""Tables of the order encoder's golden model, and the functions that set them; `order_encoder` offers all of it too.

The encoder is one int64 table of 16 columns: a head row of counters and switches (``HEAD_*``), a row of the ids that
every order carries (``ID_*``), and a row per slot for its listing (``LISTED_*``).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = [
    "FORMAT_FRAME", "FORMAT_OUCH", "FRAME_BYTES", "HEAD_FORMAT", "HEAD_KILL", "HEAD_KILLED", "HEAD_ORDER_BASE",
    "HEAD_OTHER", "HEAD_RANGE", "HEAD_REFUSED", "HEAD_SENT", "HEAD_SLOTS", "HEAD_UNLISTED", "ID_ACCOUNT", "ID_ALGO",
    "ID_ALGO_VERSION", "ID_BOOK", "ID_CUSTOMER", "ID_DISPLAY", "ID_FIRM", "ID_IOC", "ID_PRODUCER", "ID_ROW",
    "ID_STRATEGY", "ID_TIME_IN_FORCE", "ID_TRADER", "ID_VENUE", "INT64_MAX", "LISTED_ID", "LISTED_ROW",
    "LISTED_SYMBOL", "LISTED_VALID", "MESSAGE_BYTES_MAX", "OUCH_BYTES", "Bytes", "Table", "new_encoder", "new_message",
    "set_ids", "set_kill", "set_listing", "set_order_base", "use_format",
]  # fmt: skip

Table = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

INT64_MAX: Final = 2**63 - 1

FORMAT_FRAME: Final = 0
FORMAT_OUCH: Final = 1
FRAME_BYTES: Final = 160  # header and one Order record
OUCH_BYTES: Final = 51  # length and an enter order
MESSAGE_BYTES_MAX: Final = FRAME_BYTES

# the head row
HEAD_SLOTS: Final = 0
HEAD_FORMAT: Final = 1
HEAD_KILL: Final = 2  # 1: begin no message
HEAD_ORDER_BASE: Final = 3  # id of the first order; below 1 no order has an id
HEAD_SENT: Final = 4  # messages
HEAD_OTHER: Final = 5  # verdicts on no check
HEAD_REFUSED: Final = 6
HEAD_KILLED: Final = 7  # passed ones, while the switch was on
HEAD_UNLISTED: Final = 8  # … of a slot without a listing
HEAD_RANGE: Final = 9  # … with a value that the message cannot hold

# the row of ids
ID_ROW: Final = 1
ID_IOC: Final = 0  # 0 LIMIT, 1 IOC
ID_PRODUCER: Final = 1
ID_VENUE: Final = 2
ID_STRATEGY: Final = 3
ID_BOOK: Final = 4
ID_ALGO: Final = 5
ID_ALGO_VERSION: Final = 6
ID_TRADER: Final = 7
ID_ACCOUNT: Final = 8
ID_TIME_IN_FORCE: Final = 9
ID_FIRM: Final = 10  # 4 characters, the first one in the lowest byte
ID_DISPLAY: Final = 11  # a character
ID_CUSTOMER: Final = 12  # a character

LISTED_ROW: Final = 2  # + slot
LISTED_VALID: Final = 0
LISTED_ID: Final = 1
LISTED_SYMBOL: Final = 2  # 8 characters, the first one in the lowest byte; int64, so it may be negative


def new_encoder(slots: int) -> Table:
    """Return an encoder of SDK frames that lists nothing and has no base for order ids.

    Raises:
        ValueError: there is no slot.
    """
    _wanted("slots", slots, 1, 1 << 20)
    encoder = np.zeros((LISTED_ROW + slots, 16), np.int64)
    encoder[0, HEAD_SLOTS] = slots
    return encoder


def new_message() -> Bytes:
    """Return room for one message."""
    return np.zeros(MESSAGE_BYTES_MAX, np.uint8)


def use_format(encoder: Table, format_code: int) -> None:
    """Encode from now on as FORMAT_FRAME or FORMAT_OUCH.

    Raises:
        ValueError: it is neither.
    """
    _wanted("format_code", format_code, FORMAT_FRAME, FORMAT_OUCH)
    encoder[0, HEAD_FORMAT] = format_code


def set_kill(encoder: Table, on: bool) -> None:
    """Begin no message while *on*."""
    encoder[0, HEAD_KILL] = int(on)


def set_order_base(encoder: Table, base: int) -> None:
    """Number the orders from *base* plus the messages sent so far; 0 lets no order have an id.

    Raises:
        ValueError: it is negative or does not fit int64.
    """
    _wanted("base", base, 0, INT64_MAX)
    encoder[0, HEAD_ORDER_BASE] = base


def set_ids(
    encoder: Table,
    *,
    ioc: bool = False,
    producer: int = 0,
    venue_id: int = 0,
    strategy_id: int = 0,
    book_id: int = 0,
    algo_id: int = 0,
    algo_version: int = 0,
    trader_id: int = 0,
    account_id: int = 0,
    time_in_force: int = 0,
    firm: bytes = b"    ",
    display: bytes = b"Y",
    customer: bytes = b"N",
) -> None:
    """Set what every order carries; of the last four, which only OUCH knows, *time_in_force* is in its own units.

    Raises:
        ValueError: a number does not fit its field, or a text has another length.
    """
    numbers = (venue_id, strategy_id, book_id, algo_id, algo_version, trader_id, account_id, time_in_force)
    _wanted("producer", producer, 0, 2**16 - 1)
    for number in numbers:
        _wanted("an id", number, 0, 2**32 - 1)
    if (len(firm), len(display), len(customer)) != (4, 1, 1):
        raise ValueError(f"firm, display, customer are {firm!r}, {display!r}, {customer!r}; wanted 4, 1 and 1 bytes")
    encoder[ID_ROW, : ID_CUSTOMER + 1] = (
        int(ioc), producer, *numbers, int.from_bytes(firm, "little"), display[0], customer[0]
    )  # fmt: skip


def set_listing(encoder: Table, slot: int, listing_id: int, symbol: bytes = b"        ", *, valid: bool = True) -> None:
    """Set which listing a slot stands for; orders of a slot without a valid one are dropped.

    Raises:
        ValueError: there is no such slot, the id is no u32, or the symbol has not 8 bytes.
    """
    _wanted("slot", slot, 0, int(encoder[0, HEAD_SLOTS]) - 1)
    _wanted("listing_id", listing_id, 0, 2**32 - 1)
    if len(symbol) != 8:
        raise ValueError(f"symbol is {symbol!r}; wanted 8 bytes, filled up with blanks")
    encoder[LISTED_ROW + slot, : LISTED_SYMBOL + 1] = (
        int(valid), listing_id, int.from_bytes(symbol, "little", signed=True)
    )  # fmt: skip


def _wanted(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; wanted {low} to {high}")
