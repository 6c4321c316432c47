"""One stream of batches between a plugin and its host: numbers, acknowledgement and credit, of both directions.

Pure bookkeeping, the same on either side and over any transport. What holds: every batch is handled once and in order,
whatever is sent twice; nobody is sent more than it granted; what was sent can be kept until it has been handled.

    flow = Flow()
    first = flow.owed()                       # grants credit; without it the other side may send nothing
    wire.send(flow.send(batch, records))      # numbered; raises where the other side has no room
    if flow.take(received):                   # False for what was handled before, and for mere acknowledgements
        ...
        flow.done()
"""

from __future__ import annotations

import struct
from collections import deque

from penstock_sdk.process.envelope import CREDIT_BYTES, CREDIT_EVENTS
from penstock_sdk.process.peer import PeerError
from penstock_sdk.wire.frame import HEADER_BYTES
from penstock_sdk.wire.messages import Batch, Message

__all__ = ["ACK_BATCHES", "Flow", "FlowError", "count_records", "split_off"]

ACK_BATCHES = 256
"""So many batches handled are acknowledged, however little is in them."""

_SIZE = struct.Struct("<I36xI").unpack_from
"""body_bytes and count of a frame's header."""


class FlowError(PeerError):
    """A batch breaks the stream's rules: a gap in the numbers, more than was granted, a broken frame."""


def count_records(frames: bytes | memoryview) -> int:
    """Return how many records are in packed frames, by their headers.

    Raises:
        FlowError: the last frame is cut, or lacks its padding.

    Cost: 0.3 µs a frame.
    """
    at, end, records = 0, len(frames), 0
    while at < end:
        if end - at < HEADER_BYTES:
            raise FlowError(f"frames end with {end - at} bytes, wanted a whole header of {HEADER_BYTES}")
        body_bytes, count = _SIZE(frames, at)
        at += HEADER_BYTES + (body_bytes + 7 & ~7)
        records += count
    if at > end:
        raise FlowError(f"frames end {at - end} bytes short of the last frame's {body_bytes}, padded to 8")
    return records


def split_off(batch: Message, records: int, size: int) -> Message | None:
    """Take the first frames off *batch* that are at most so many records and bytes, with the faults that stand there.

    Returns them as a batch, or None where not even one frame has room, or where the batch is one answer and stays so.
    """
    if batch.answers or batch.due_ns or batch.taken_all:
        return None
    frames, at, end, count, taken = batch.frames, 0, 0, 0, 0
    while at < len(frames):
        body_bytes, more = _SIZE(frames, at)
        at += HEADER_BYTES + (body_bytes + 7 & ~7)
        count += more
        if count > records or at > size:
            break
        end, taken = at, taken + 1
    if not taken:
        return None
    first = Batch(frames=frames[:end], from_outside=batch.from_outside)
    faults = list(batch.faults)
    first.faults.extend(fault for fault in faults if fault.after_frames < taken)
    batch.frames = frames[end:]
    del batch.faults[:]
    for fault in faults:
        if fault.after_frames >= taken:
            fault.after_frames -= taken
            batch.faults.append(fault)
    return first


class Flow:
    """Both directions of one stream, as one of its ends sees them.

    Args:
        credit_events, credit_bytes: how far the other side may be ahead of what we have handled.
        keep: hold what was sent in `unacked` until the other side has handled it.
    """

    def __init__(
        self, *, credit_events: int = CREDIT_EVENTS, credit_bytes: int = CREDIT_BYTES, keep: bool = False
    ) -> None:
        self.credit_events = credit_events
        self.credit_bytes = credit_bytes
        self.unacked: list[Message] = []
        """What was sent and not acknowledged, oldest first; empty unless it is kept."""
        self.acked = 0
        """The other side has handled all of ours up to this number."""
        self.sent = 0
        """Number of the last batch that was sent."""
        self.taken = 0
        """Number of the last batch that was taken; `handled` is at most this."""
        self.handled = 0
        """Number of the last batch that was handled."""
        self._keep = keep
        self._sent_records = self._sent_bytes = 0
        self._may_records = self._may_bytes = 0
        """What the other side has granted in all."""
        self._got_records = self._got_bytes = 0
        self._handled_records = self._handled_bytes = 0
        self._granted_records = self._granted_bytes = 0
        """What we have granted in all, as last told."""
        self.told = -1
        """Acknowledged up to here, as last told; -1 before anything was."""
        self._in_hand: deque[tuple[int, int, int]] = deque()
        """(number, records, bytes) of what was taken and is not handled."""
        self._done: set[int] = set()
        """Numbers of those in hand that were handled before their turn."""

    def room(self) -> tuple[int, int]:
        """Return how many records and bytes of frames may be sent now."""
        return self._may_records - self._sent_records, self._may_bytes - self._sent_bytes

    def send(self, batch: Message, records: int) -> Message:
        """Number *batch*, let it acknowledge and grant what is new, and return it; it counts as sent.

        Args:
            records: how many are in its frames.

        Raises:
            FlowError: the other side has not granted that much; nothing has changed.
        """
        size = len(batch.frames)
        free_records, free_bytes = self._may_records - self._sent_records, self._may_bytes - self._sent_bytes
        if size and (records > free_records or size > free_bytes):
            raise FlowError(
                f"batch of {records} records in {size} bytes met room for {free_records} in {free_bytes}; wait for "
                f"the other side's credit"
            )
        self.sent += 1
        batch.number = self.sent
        self._sent_records += records
        self._sent_bytes += size
        self._tell(batch)
        if self._keep:
            self.unacked.append(batch)
        return batch

    def take(self, batch: Message) -> bool:
        """Note what a received batch acknowledges and grants; return whether it is to be handled now, once.

        What is taken is told by `done` when it has been handled.

        Raises:
            FlowError: a number is missing, the frames are broken or more than we granted, or it acknowledges what was
                never sent. The stream is then of no use.
        """
        self._hear(batch)
        number, frames = batch.number, batch.frames
        if number <= self.taken:
            if number == 0 and frames:
                raise FlowError("batch 0 holds frames; wanted a number, or an acknowledgement without frames")
            return False
        if number != self.taken + 1:
            raise FlowError(f"batch {number} met, wanted {self.taken + 1}: what lies between has not come")
        size = len(frames)
        records = count_records(frames) if size else 0
        if self._got_records + records > self._granted_records or self._got_bytes + size > self._granted_bytes:
            raise FlowError(
                f"batch {number} met {records} records in {size} bytes, wanted at most "
                f"{self._granted_records - self._got_records} in {self._granted_bytes - self._got_bytes}: no more "
                f"credit was granted"
            )
        self.taken = number
        self._got_records += records
        self._got_bytes += size
        self._in_hand.append((number, records, size))
        return True

    def done(self, number: int = 0) -> None:
        """Note that a batch that was taken has been handled: it will be acknowledged, its credit renewed.

        Args:
            number: which one; 0 is the oldest. One that was handled before its turn counts once those before it have.
        """
        in_hand = self._in_hand
        if number and number != in_hand[0][0]:
            self._done.add(number)
            return
        while True:
            self.handled, records, size = in_hand.popleft()
            self._handled_records += records
            self._handled_bytes += size
            if not in_hand or in_hand[0][0] not in self._done:
                return
            self._done.discard(in_hand[0][0])

    def owed(self, *, idle: bool = False) -> Message | None:
        """Return a batch without number that acknowledges and grants, when the other side should hear of it, or None.

        That is: at first, when half of the credit is used up, and after `ACK_BATCHES` batches.

        Args:
            idle: there is nothing else to do: tell whatever is new.
        """
        used_records = self._handled_records + self.credit_events - self._granted_records
        used_bytes = self._handled_bytes + self.credit_bytes - self._granted_bytes
        if not (
            self.told < 0
            or 2 * used_records >= self.credit_events > 0
            or 2 * used_bytes >= self.credit_bytes > 0
            or self.handled - self.told >= (1 if idle else ACK_BATCHES)
        ):
            return None
        batch = Batch()
        self._tell(batch)
        return batch

    def tell(self) -> Message:
        """Return a batch without number that says all again: after a reconnect nobody knows what was heard."""
        batch = Batch()
        self._tell(batch)
        return batch

    def _tell(self, batch: Message) -> None:
        self._granted_records = self._handled_records + self.credit_events
        self._granted_bytes = self._handled_bytes + self.credit_bytes
        self.told = self.handled
        batch.acked = self.handled
        batch.credit_events = self._granted_records
        batch.credit_bytes = self._granted_bytes

    def _hear(self, batch: Message) -> None:
        if batch.credit_events > self._may_records:
            self._may_records = batch.credit_events
        if batch.credit_bytes > self._may_bytes:
            self._may_bytes = batch.credit_bytes
        acked = batch.acked
        if acked <= self.acked:
            return
        if acked > self.sent:
            raise FlowError(f"batch acknowledges {acked}, wanted at most {self.sent}: no more was sent")
        self.acked = acked
        if self._keep:
            kept = self.unacked
            del kept[: next((i for i, each in enumerate(kept) if each.number > acked), len(kept))]
