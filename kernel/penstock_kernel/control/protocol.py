"""What goes over the control socket: messages, their frames, and where the socket lies.

A message is four bytes of length, big-endian, and so much JSON. A caller sends requests, the kernel answers each in the
order they came; after a `TopRequest` it sends states until the caller hangs up. A request says which version it speaks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec

from penstock_kernel.control.state import LimitRow, OpenAlert, State

__all__ = [
    "ANSWER_BYTES_MAX",
    "REQUEST_BYTES_MAX",
    "VERSION",
    "AlertsAnswer",
    "AlertsRequest",
    "Answer",
    "CommandAnswer",
    "CommandRequest",
    "Frames",
    "LimitsAnswer",
    "LimitsRequest",
    "ProtocolError",
    "QueryAnswer",
    "QueryRequest",
    "Refusal",
    "Request",
    "StateAnswer",
    "StatusRequest",
    "TopRequest",
    "decode_answer",
    "decode_request",
    "frame",
    "socket_address",
    "socket_path",
]

VERSION = 1
REQUEST_BYTES_MAX = 256 << 10
ANSWER_BYTES_MAX = 4 << 20
_LENGTH_BYTES = 4


class ProtocolError(ValueError):
    """Bytes that are no message of this version; the message says what was met and wanted."""


class _Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="is"):
    version: int = VERSION


class StatusRequest(_Request, tag="status", frozen=True, kw_only=True):
    """Where does everything stand?"""


class TopRequest(_Request, tag="top", frozen=True, kw_only=True):
    """The same, books included, again and again until the caller hangs up."""

    period_ms: int = 500


class AlertsRequest(_Request, tag="alerts", frozen=True, kw_only=True):
    """Which alerts are open?"""


class LimitsRequest(_Request, tag="limits", frozen=True, kw_only=True):
    """Which limits are in force?"""


class QueryRequest(_Request, tag="query", frozen=True, kw_only=True):
    """What has the plugin to show that does the command *word*?"""

    word: str
    argument: str = ""


class CommandRequest(_Request, tag="command", frozen=True, kw_only=True):
    """Do something."""

    command: str
    reason: str
    target: str = ""
    argument: str = ""
    request: str = ""
    """The caller's own id for it: sent twice, it is done once and answered twice."""
    wait: bool = False
    """While the kernel recovers: answer once it is done, not once it is taken."""


Request = StatusRequest | TopRequest | AlertsRequest | LimitsRequest | QueryRequest | CommandRequest


class StateAnswer(msgspec.Struct, tag="state", frozen=True, tag_field="is"):
    """Where everything stands."""

    state: State


class AlertsAnswer(msgspec.Struct, tag="alerts", frozen=True, tag_field="is"):
    """The open alerts."""

    alerts: list[OpenAlert]


class LimitsAnswer(msgspec.Struct, tag="limits", frozen=True, tag_field="is"):
    """The limits in force, and for whom there may be some."""

    rows: list[LimitRow]
    owners: list[str]


class QueryAnswer(msgspec.Struct, tag="shown", frozen=True, tag_field="is"):
    """What a plugin has to show."""

    value: Any


class CommandAnswer(msgspec.Struct, tag="done", frozen=True, kw_only=True, tag_field="is"):
    """What came of a command, once all of it is written and its effects have happened."""

    outcome: Literal["done", "queued"]
    """queued: the kernel is not live yet; the command is its first input then."""
    text: str
    seq: int = 0
    """The command's event number; 0 while it is queued."""
    last_seq: int = 0
    """Number of the last event that followed from it."""
    cancels: int | None = None
    """Cancels that it sent; None where they were not counted, as of a command that waited for a recovery."""
    open_before: int | None = None
    left: dict[str, int] = {}
    """Open orders by venue that it leaves: at venues that hear no cancel; of `stop`, at every venue."""


class Refusal(msgspec.Struct, tag="refused", frozen=True, kw_only=True, tag_field="is"):
    """Nothing was done, and nothing journaled."""

    code: Literal["bad_request", "refused", "denied", "busy", "recovering", "failed"]
    text: str
    faults: list[str] = []
    """Of a plugin's command: each thing that is wrong with it, by itself."""


Answer = StateAnswer | AlertsAnswer | LimitsAnswer | QueryAnswer | CommandAnswer | Refusal


class _Version(msgspec.Struct):
    version: int


_decode_version = msgspec.json.Decoder(_Version)
_decode_request = msgspec.json.Decoder(Request)
_decode_answer = msgspec.json.Decoder(Answer)
_encode = msgspec.json.Encoder()


def frame(message: Request | Answer) -> bytes:
    """Return a message's bytes, its length before them."""
    body = _encode.encode(message)
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


def decode_request(body: bytes) -> Request:
    """Return the request that *body* holds.

    Raises:
        ProtocolError: it is none, or of another version; says which is spoken here.
    """
    try:
        version = _decode_version.decode(body).version
        if version != VERSION:
            raise ProtocolError(f"request of version {version}, this kernel speaks {VERSION}; use the penstock it runs")
        request: Request = _decode_request.decode(body)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"request met {error}, wanted a message of version {VERSION}") from None
    return request


def decode_answer(body: bytes) -> Answer:
    """Return the answer that *body* holds.

    Raises:
        ProtocolError: it is none.
    """
    try:
        answer: Answer = _decode_answer.decode(body)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"answer met {error}, wanted a message of version {VERSION}") from None
    return answer


class Frames:
    """Cuts bytes as they come into message bodies; holds no more than one message."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._held = bytearray()

    def __len__(self) -> int:
        """Return the bytes of the message that is not whole yet."""
        return len(self._held)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the body of each message that is whole with *data*.

        Raises:
            ProtocolError: a length is 0 or above the maximum; nothing after it can be understood.
        """
        held = self._held
        held += data
        while len(held) >= _LENGTH_BYTES:
            length = int.from_bytes(held[:_LENGTH_BYTES], "big")
            if not 0 < length <= self._bytes_max:
                raise ProtocolError(f"message of {length} bytes, wanted 1 to {self._bytes_max}")
            end = _LENGTH_BYTES + length
            if len(held) < end:
                return
            body = bytes(held[_LENGTH_BYTES:end])
            del held[:end]
            yield body


def socket_path(run_dir: Path) -> Path:
    """Return where a run's control socket lies."""
    return run_dir / "control" / "kernel.sock"


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """Give an address of *path* for `bind` and `connect`: the system takes 107 bytes, and folders lie deeper.

    Raises:
        FileNotFoundError: its folder is not there.
    """
    folder_fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder_fd}/{path.name}"
    finally:
        os.close(folder_fd)
