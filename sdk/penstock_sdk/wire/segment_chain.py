"""The running digest of a journal: SHA-256 over all logical frames, begun anew at fixed numbers.

The numbers of records fall into stretches of 65,536 (``seq >> 16``). Where a logical frame's number lies in another
stretch than that of the logical frame before it, the hash is begun anew with the digest so far as its first 32 bytes:

    digest = SHA-256(frames of the first stretch)
    digest = SHA-256(digest + frames of the next stretch), and so on

Every frame is covered as before, yet the chain can be taken up at such a place from 32 bytes, without a byte of what
came before. The places follow from the numbers alone: not from commits, segments, crashes or restarts of the process.
A run of less than one stretch has the plain SHA-256. Segments of format 1 know no stretches: their hash goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

__all__ = ["STRETCH_BITS", "Chain", "Restart", "sha256_of_frames"]

STRETCH_BITS: Final = 16
"""Numbers of one stretch have the same ``seq >> STRETCH_BITS``."""

_Bytes: TypeAlias = "bytes | memoryview"


class Restart(NamedTuple):
    """A place where the chain was begun anew: the number of the first frame after it, and the digest up to there."""

    seq: int
    seed: bytes


class Chain:
    """The running digest.

    Attributes:
        restart: the newest place where it was begun anew, None before the first.
        restarts: False while frames of a segment of format 1 are added.
    """

    __slots__ = ("_from_seq", "_hasher", "_stretch", "restart", "restarts")

    def __init__(self, restart: Restart | None = None) -> None:
        """Begin with nothing; or at *restart*, whose batch is to be added next: frames before it are passed over."""
        self._hasher = hashlib.sha256(restart.seed if restart is not None else b"")
        self._from_seq = restart.seq if restart is not None else None
        self._stretch: int | None = None
        self.restart = restart
        self.restarts = True

    def digest(self) -> bytes:
        """Return the 32 bytes of the digest so far."""
        return self._hasher.digest()

    def add_whole(self, frames: _Bytes, last_seq: int) -> bool:
        """Add logical frames that lie together, the last of which has the number *last_seq*.

        Returns False where a stretch begins among them: nothing was added then, `add_each` does it.

        Cost: 0.2 µs, and some 0.6 ns a byte.
        """
        stretch = last_seq >> STRETCH_BITS
        if stretch != self._stretch:
            if self.restarts:
                return False
            self._stretch = stretch
        self._hasher.update(frames)
        return True

    def add_each(self, frames: Iterable[_Bytes]) -> bool:
        """Add logical frames one by one; return whether the chain was begun anew among them.

        Cost: 0.5 µs a frame.
        """
        restarted = False
        for frame in frames:
            seq = int.from_bytes(frame[8:16], "little", signed=True)
            if self._from_seq is not None:
                if seq < self._from_seq:
                    continue
                self._from_seq, self._stretch = None, seq >> STRETCH_BITS
            elif seq >> STRETCH_BITS != self._stretch:
                if self.restarts and self._stretch is not None:
                    self.restart = Restart(seq, self._hasher.digest())
                    self._hasher = hashlib.sha256(self.restart.seed)
                    restarted = True
                self._stretch = seq >> STRETCH_BITS
            self._hasher.update(frame)
        return restarted


def sha256_of_frames(frames: Iterable[_Bytes]) -> str:
    """Return the digest, in hex, of a journal that holds these logical frames in this order."""
    chain = Chain()
    chain.add_each(frames)
    return chain.digest().hex()
