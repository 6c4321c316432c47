"""A wrapper around a peer that changes one thing of what passes: how a plugin in another language might be wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from penstock_sdk.process.envelope import Lane
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES, Header, padded
from penstock_sdk.wire.messages import Fault, Message

__all__ = ["Tap", "add_frame", "fault", "heads", "records_in", "tap"]


def heads(frames: bytes) -> Iterator[tuple[Header, bytes]]:
    """Yield header and body of each frame."""
    at = 0
    while at + HEADER_BYTES <= len(frames):
        header = Header(*HEADER.unpack_from(frames, at))
        yield header, frames[at + HEADER_BYTES : at + HEADER_BYTES + header.body_bytes]
        at += HEADER_BYTES + padded(header.body_bytes)


def records_in(batch: Message) -> int:
    return sum(header.count for header, _ in heads(batch.frames))


def add_frame(batch: Message, frame: bytes) -> None:
    batch.frames = batch.frames + frame


def fault(batch: Message) -> None:
    batch.faults.append(Fault(handler="on_fault", error="ValueError: broken on purpose"))


class _Stream:
    def __init__(self, owner: Tap, lane: Lane, stream: Any) -> None:
        self._owner, self._lane, self._stream = owner, lane, stream
        self._ready: deque[Message] = deque()
        self._number = 0
        self._old: dict[int, int] = {0: 0}
        """The plugin's number of each batch, by the one that it was passed on with."""

    def send(self, batch: Message) -> None:
        copy = type(batch)()
        copy.CopyFrom(batch)
        copy.acked = max((old for new, old in self._old.items() if new <= copy.acked), default=0)
        if copy.answers:
            copy.answers = self._old[copy.answers]
        changed = self._owner.sending(self._lane, copy)
        if changed is not None:
            self._stream.send(changed)

    def receive(self, timeout_s: float) -> Message | None:
        if not self._ready:
            batch = self._stream.receive(timeout_s)
            if batch is None:
                return None
            for each in self._owner.received(self._lane, batch):
                old = each.number
                if old:
                    self._number += self._owner.skips(self._number)
                    each.number = self._number
                    self._old[each.number] = old
                self._ready.append(each)
        return self._ready.popleft() if self._ready else None

    def close(self) -> None:
        self._stream.close()


class Tap:
    """The wrapper; `s` is for what a fault remembers of this plugin."""

    def __init__(
        self,
        peer: Any,
        call: Callable[..., Message] | None = None,
        sending: Callable[[Tap, Lane, Message], Message | None] | None = None,
        received: Callable[[Tap, Lane, Message], list[Message]] | None = None,
        healthy: Callable[[Tap], bool] | None = None,
        skips: Callable[[int], int] | None = None,
    ) -> None:
        self.peer = peer
        self.s = SimpleNamespace(count=0, called=[], held=[])
        self._call, self._sending, self._received, self._healthy = call, sending, received, healthy
        self.skips = skips or (lambda number: 1)
        self._streams: dict[Lane, _Stream] = {}

    @property
    def while_waiting(self) -> Any:
        return self.peer.while_waiting

    @while_waiting.setter
    def while_waiting(self, value: Any) -> None:
        self.peer.while_waiting = value

    def call(self, method: str, request: Message, timeout_s: float = 2.0) -> Message:
        self.s.called.append(method)
        return self.forward(method, request) if self._call is None else self._call(self, method, request)

    def forward(self, method: str, request: Message) -> Message:
        return self.peer.call(method, request, 2.0)

    def sending(self, lane: Lane, batch: Message) -> Message | None:
        return batch if self._sending is None else self._sending(self, lane, batch)

    def received(self, lane: Lane, batch: Message) -> list[Message]:
        return [batch] if self._received is None else self._received(self, lane, batch)

    def events(self) -> _Stream:
        return self._streams.setdefault(Lane.EVENTS, _Stream(self, Lane.EVENTS, self.peer.events()))

    def orders(self) -> _Stream:
        return self._streams.setdefault(Lane.ORDERS, _Stream(self, Lane.ORDERS, self.peer.orders()))

    def healthy(self, timeout_s: float = 2.0) -> bool:
        return self.peer.healthy(timeout_s) and (self._healthy is None or self._healthy(self))

    def close(self, grace_s: float = 2.0) -> None:
        self.peer.close(grace_s)


def tap(**hooks: Any) -> Callable[[Any], Tap]:
    """Return what wraps a peer so."""
    return lambda peer: Tap(peer, **hooks)
