"""One stream of batches between the kernel's connection and a gRPC stream; it can go on where a stream broke.

Nothing is held but what is being passed on, and, for a plugin at an address, what the plugin has not acknowledged: that
is bounded by the credit that it grants.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.message import DecodeError

from penstock_kernel.bridge.kernel_end import Connection
from penstock_sdk.process.envelope import Kind, Lane
from penstock_sdk.process.grpc_link import GrpcLink
from penstock_sdk.process.peer import PeerError, PeerGone
from penstock_sdk.wire.messages import Batch, Message

__all__ = ["Pump"]


class Pump:
    """One stream.

    Args:
        connection: the kernel's.
        keep: hold what the plugin has not acknowledged, so that `open` can be called again.
        on_kernel_end: told why the kernel's side ended.
        on_stream_end: told that the gRPC stream ended, the error if it was one, and which opening it was.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        keep: bool,
        on_kernel_end: Callable[[PeerError], None],
        on_stream_end: Callable[[Exception | None, int], None],
    ) -> None:
        self.connection = connection
        self.opened = 0
        """How often `open` was called."""
        self._keep = keep
        self._on_kernel_end, self._on_stream_end = on_kernel_end, on_stream_end
        self._reading = threading.Lock()
        self._holding = threading.Lock()
        self._held: deque[tuple[int, bytes]] = deque()
        """(number, bytes) of what was read and is not known to be handled, in order."""
        self._handed_over: deque[bytes] = deque()
        """Read by the thread of a stream that had broken meanwhile; at most one."""
        self._latest = Batch()
        """The most that the kernel has acknowledged and granted."""

    @property
    def lane(self) -> Lane:
        """Return which stream it is."""
        return self.connection.lane

    def open(self, link: GrpcLink) -> None:
        """Open the stream and begin to pass on; again, after it broke, first what may have been lost."""
        self.opened += 1
        call = link.stream(self.lane, self._to_plugin(self.opened))
        threading.Thread(
            target=self._to_kernel, args=(call, self.opened), name=f"bridge-{self.lane.name.lower()}", daemon=True
        ).start()

    def _to_plugin(self, opening: int) -> Iterator[bytes]:
        """Yield what the kernel sends; run by gRPC in a thread of the stream's own."""
        if opening > 1:
            with self._holding:
                again = [self._latest.SerializeToString(), *(data for _, data in self._held)]
            yield from again
        while (data := self._next(opening)) is not None:
            yield data

    def _next(self, opening: int) -> bytes | None:
        """Return the kernel's next batch; None at its end, or when the stream has been opened anew."""
        with self._reading:  # the thread of a broken stream may still wait for the kernel, and then hands over
            if opening != self.opened:
                return None
            if self._handed_over:
                return self._handed_over.popleft()
            data = self._read()
            if data is not None and opening != self.opened:
                self._handed_over.append(data)
                return None
            return data

    def _read(self) -> bytes | None:
        """Return the kernel's next batch, noted where that is wanted; None at its end."""
        try:
            message = self.connection.read()
            if message.kind != Kind.BATCH:
                raise PeerError(f"kernel's {self.lane.name} met a message of kind {message.kind}, wanted batches alone")
            if self._keep:
                batch = Batch.FromString(message.body)
                with self._holding:
                    self._note(batch, message.body)
        except PeerError as error:
            self._on_kernel_end(error)
            return None
        except DecodeError as error:
            self._on_kernel_end(PeerError(f"kernel's {self.lane.name} met a message that is no batch: {error}"))
            return None
        return message.body

    def _note(self, batch: Message, data: bytes) -> None:
        latest = self._latest
        latest.acked = max(latest.acked, batch.acked)
        latest.credit_events = max(latest.credit_events, batch.credit_events)
        latest.credit_bytes = max(latest.credit_bytes, batch.credit_bytes)
        if batch.number:
            self._held.append((batch.number, data))

    def _to_kernel(self, call: Any, opening: int) -> None:
        """Pass on what the plugin sends, as fast as the kernel takes it."""
        fault: Exception | None = None
        write = self.connection.write
        try:
            for data in call:
                if self._keep:
                    acked = Batch.FromString(data).acked
                    with self._holding:
                        while self._held and self._held[0][0] <= acked:
                            self._held.popleft()
                write(Kind.BATCH, data)
        except PeerGone as error:
            call.cancel()
            self._on_kernel_end(error)
            return
        except Exception as error:  # grpc.RpcError, and whatever else may end a stream
            fault = error
        self._on_stream_end(fault, opening)
