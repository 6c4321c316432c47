"""The append-only truth of a run: frames in batches, each with a commit frame that vouches for it.

    journal = Journal.create(run / "journal", run=epoch)
    append = journal.append                 # a list's append: bind it, call it for every frame
    append(frame)
    journal.commit()                        # written: survives kill -9
    journal.sync()                          # synced: survives power loss

*Written* is one ``writev`` of the batch and its commit frame. *Synced* is an fdatasync after it, blocking (`sync`) or
by a helper thread (`sync_nowait`) that does nothing else. Any error of either is fatal: see `JournalFatal`. The bytes
are told in `penstock_sdk.wire.segment_layout`; `penstock_sdk.wire.segment` reads them.

One thread owns a journal. Memory: what is pending, as the frames' own bytes objects, and at commit one joined copy.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Final, NoReturn, Self

from penstock_kernel.checkpoints import Checkpoint, write_checkpoint
from penstock_kernel.journal_files import (
    FileLayer,
    JournalFatal,
    JournalFull,
    JournalLock,
    JournalLocked,
    create_segment,
    sync_directory,
    write_all,
)
from penstock_kernel.recovery import Recovery, recover, recover_locked
from penstock_sdk.wire.frame import DIAGNOSTIC, HEADER
from penstock_sdk.wire.segment_chain import Chain
from penstock_sdk.wire.segment_layout import (
    SEGMENT_BYTES,
    JournalError,
    SegmentHeader,
    commit_bytes,
    pack_commit,
    segment_path,
)

__all__ = [
    "Journal",
    "JournalError",
    "JournalFatal",
    "JournalFull",
    "JournalLocked",
    "Recovery",
    "recover",
    "run_identity",
]

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ROLL_WAIT_BYTES: Final = 1 << 20


def run_identity(run_id: str) -> int:
    """Return the 64-bit identity that marks the segments of the run with this name."""
    return int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:8], "little")


class Journal:
    """The writer. Make one with `create` or `open_for_append`.

    Attributes:
        append: takes one whole frame (bytes, padded to 8); logical and diagnostic alike.
        pending: the list behind it, always the same object; frames in it are neither written nor synced.
        written_seq, synced_seq: highest number written and synced, -1 before the first.
        failed: the journal is closed for good; every call but `close`, `abort` and `abandon` raises.
        unwritten_frames, unwritten_bytes: what could not be written since it failed.
        recovery: what `open_for_append` found; None after `create`.

    A diagnostic frame's number must not be above the highest number given out.
    """

    def __init__(
        self,
        directory: Path,
        lock: JournalLock,
        fd: int,
        state: Recovery | None,
        *,
        run: int,
        segment_bytes: int,
        pending_limit_bytes: int,
        sync_every_bytes: int,
        files: FileLayer,
    ) -> None:
        self.directory, self.run, self.recovery = directory, run, state
        self.pending: list[bytes] = []
        self.append: Callable[[bytes], None] = self.pending.append
        self.written_seq = self.synced_seq = state.last_seq if state else -1
        self.unwritten_frames = self.unwritten_bytes = 0
        self._files, self._lock, self._fd = files, lock, fd
        self._index = state.index if state else 1
        self._offset = self._synced_offset = state.size_bytes if state else SEGMENT_BYTES
        self._chain = state.chain if state else Chain()
        self._digest = self._chain.digest()
        # Where the chain was last begun anew: the batch, and what may be said of it once that batch is synced.
        self._restart_at = state.restart_at if state else None
        known = state.checkpoint if state else None
        self._checkpointed_seq = known.restart_seq if known else -1
        self._at_ns = 0
        self._segment_bytes, self._pending_limit_bytes = segment_bytes, pending_limit_bytes
        self._sync_every_bytes = sync_every_bytes
        self._counted = self._counted_bytes = 0
        self._error: JournalFatal | None = None
        self._closed = self._ended_well = False
        # Held around every fdatasync: of two at a time on one file only one is told of an error.
        self._syncing = threading.Lock()
        self._wanted = (self._offset, self.written_seq)
        self._requests: SimpleQueue[bool] = SimpleQueue()
        self._helper: threading.Thread | None = None

    @classmethod
    def create(
        cls,
        directory: str | Path,
        *,
        run: int,
        segment_bytes: int = 256 << 20,
        pending_limit_bytes: int = 1 << 20,
        sync_every_bytes: int = 32 << 20,
        files: FileLayer = os,
    ) -> Self:
        """Begin a journal in *directory*, which is made when missing.

        Args:
            run: 64-bit identity of the run (see `run_identity`).
            segment_bytes: a new segment is begun before one grows beyond this.
            pending_limit_bytes: `maybe_commit` commits at this much.
            sync_every_bytes: `commit` asks the helper for a sync whenever this much is unsynced; 0 never.

        Raises:
            JournalError: there is a journal already.
            JournalLocked: another process has it open.
            JournalFatal: the disk does not take it.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        lock = JournalLock(directory)
        try:
            if next(directory.glob("*.pj"), None) is not None:
                raise JournalError(f"{directory}: a journal is here already; open it for append, or start another run")
            fd = create_segment(files, directory, SegmentHeader(1, run, Chain().digest(), 0))
            sync_directory(files, directory.parent)
        except OSError as error:
            lock.release()
            what = f"cannot begin the journal ({error})"
            raise JournalFatal(segment_path(directory, 1), error.errno or 0, what, -1, -1) from error
        except BaseException:
            lock.release()
            raise
        return cls(
            directory, lock, fd, None, run=run, segment_bytes=segment_bytes,
            pending_limit_bytes=pending_limit_bytes, sync_every_bytes=sync_every_bytes, files=files,
        )  # fmt: skip

    @classmethod
    def open_for_append(
        cls,
        directory: str | Path,
        *,
        segment_bytes: int = 256 << 20,
        pending_limit_bytes: int = 1 << 20,
        sync_every_bytes: int = 32 << 20,
        files: FileLayer = os,
    ) -> Self:
        """Take the lock, recover (`recovery` tells what was found) and go on where the journal ends.

        The journal may then be read with `read_frames` to rebuild state before the first append.

        Raises:
            JournalLocked, JournalCorrupt, JournalFatal, JournalError: as `recover`.
        """
        directory = Path(directory)
        lock = JournalLock(directory)
        try:
            state = recover_locked(directory, files)
            fd = files.open(str(state.segment), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except BaseException:
            lock.release()
            raise
        journal = cls(
            directory, lock, fd, state, run=state.run, segment_bytes=segment_bytes,
            pending_limit_bytes=pending_limit_bytes, sync_every_bytes=sync_every_bytes, files=files,
        )  # fmt: skip
        try:
            journal.checkpoint()  # all that was found is synced and checked: another restart need not read it again
        except OSError:
            pass  # it is a matter of speed
        except BaseException:
            journal.abort()
            raise
        return journal

    @property
    def failed(self) -> bool:
        """True once anything could not be written or synced."""
        return self._error is not None and not self._ended_well

    @property
    def error(self) -> JournalFatal | None:
        """What closed the journal for good, or None."""
        return self._error if self.failed else None

    @property
    def digest(self) -> str:
        """Digest of all logical frames written so far, hex: see `penstock_sdk.wire.segment_chain`."""
        return self._digest.hex()

    @property
    def segment(self) -> Path:
        """The file being written."""
        return segment_path(self.directory, self._index)

    @property
    def position(self) -> tuple[int, int]:
        """(index of the segment, bytes written in it)."""
        return self._index, self._offset

    def commit(self) -> int:
        """Write what is pending with one commit frame; return the last written number.

        Raises:
            JournalFull: no room; `abandon` from now on what is appended, and go on with what must not wait for it.
            JournalFatal: any other error, now or before.
            ValueError: a frame is not padded to 8, or numbers do not go up; nothing has been written.

        Cost: one system call, 5 µs, and about 0.25 µs a frame of 100 bytes.
        """
        if self._error is not None:
            self._refuse()
        frames = self.pending
        if not frames:
            return self.written_seq
        data = b"".join(frames)
        first_seq, last_seq, logical = self._check(frames, data)
        if self._offset + len(data) + commit_bytes(len(frames)) > self._segment_bytes and self._offset > SEGMENT_BYTES:
            self._roll()
        self._follow(frames if logical is None else logical, data if logical is None else None)
        self._write(frames, data, first_seq, last_seq)
        frames.clear()
        self._counted = self._counted_bytes = 0
        # Towards a segment's end syncs come closer, so that little is left for the roll to wait for.
        room_bytes = max(self._segment_bytes - self._offset, _ROLL_WAIT_BYTES)
        if self._sync_every_bytes and self._offset - self._wanted[0] >= min(self._sync_every_bytes, room_bytes):
            self._ask_helper()
        return last_seq

    def maybe_commit(self) -> bool:
        """Commit when the pending frames pass the limit in bytes; return whether it did.

        Cost: 0.2 µs and 20 ns for each frame appended since the last call.
        """
        frames = self.pending
        count = len(frames)
        if count == self._counted and self._error is None:
            return False
        self._counted_bytes += sum(map(len, frames[self._counted :]))
        self._counted = count
        if self._counted_bytes < self._pending_limit_bytes and self._error is None:
            return False
        self.commit()
        return True

    def sync(self) -> int:
        """Commit, wait until all of it is synced, and return the last synced number.

        Raises:
            JournalFatal: as `commit`, or fdatasync failed.
        """
        self.commit()
        self._check_size()
        with self._syncing:
            if self._error is None and self._synced_offset < self._offset:
                self._fdatasync(self._offset, self.written_seq)
        if self._error is not None:
            self._refuse()
        return self.synced_seq

    def sync_nowait(self) -> int:
        """Commit, have the helper thread sync it, and return the last written number; `synced_seq` tells when.

        Requests made while one is under way are served together.

        Raises:
            JournalFatal: as `commit`, or an earlier fdatasync failed.
        """
        written = self.commit()
        self._ask_helper()
        return written

    def wait_synced(self, seq: int) -> None:
        """Return once record *seq* is synced.

        Raises:
            ValueError: it is not even written.
            JournalFatal: as `sync`.
        """
        if self._error is not None:
            self._refuse()
        if seq > self.written_seq:
            raise ValueError(f"seq {seq} is not written yet, the last is {self.written_seq}; commit it first")
        if self.synced_seq < seq:
            self.sync()

    def checkpoint(self) -> Path | None:
        """Commit, sync, and write down where a recovery may begin to read; return the file.

        None when there is nothing to gain: the run is shorter than 65,536 records, or nothing changed that much since.

        Raises:
            JournalFatal: as `sync`.
            OSError: the file cannot be written. Nothing relies on it: the journal goes on.

        Cost: that of `sync`, and two syncs of a small file and a folder.
        """
        self.sync()
        restart, at = self._chain.restart, self._restart_at
        if restart is None or at is None or restart.seq == self._checkpointed_seq:
            return None
        found = Checkpoint(
            run=self.run, segment=at[0], offset=at[1], restart_seq=restart.seq, seed=restart.seed.hex(),
            synced_seq=self.synced_seq, synced_segment=self._index, synced_offset=self._synced_offset,
        )  # fmt: skip
        path = write_checkpoint(self.directory, found, self._files)
        self._checkpointed_seq = restart.seq
        return path

    def abandon(self) -> int:
        """After a failure: drop what is pending, count it as unwritten, and return how many frames that are in all.

        The kernel calls it where it would have committed, so that cancels go out and memory stays bounded.
        """
        if self._error is None:
            raise ValueError("the journal works; commit what is pending")
        self.unwritten_frames += len(self.pending)
        self.unwritten_bytes += sum(map(len, self.pending))
        self.pending.clear()
        return self.unwritten_frames

    def close(self) -> None:
        """Commit, sync, write the seal (a commit of no frames, which says that all before it is synced), let go.

        After a failure it only lets go. Again is harmless.

        Raises:
            JournalFatal: the last commit or sync failed; the files are let go all the same.
        """
        if self._closed:
            return
        try:
            if self._error is None:
                self.sync()
                self._write([], b"", self.written_seq + 1, self.written_seq)
                self.sync()
                with suppress(OSError):  # the journal is whole without
                    self.checkpoint()
        finally:
            self._let_go()

    def abort(self) -> None:
        """Let go of the files as a crash would: what is pending is dropped, nothing is synced, there is no seal."""
        if not self._closed:
            self._let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self, frames: list[bytes], data: bytes) -> tuple[int, int, list[bytes] | None]:
        """Return the batch's first and last number, and its logical frames where some are not."""
        if len(data) & 7:
            raise ValueError(f"{len(data)} pending bytes; every frame must be padded to a multiple of 8")
        logical: list[bytes] | None = None
        last_seq = self.written_seq
        # Looking at every frame costs 17 ns of the 250 and leaves the kernel one plain append.
        if diagnostics := [frame for frame in frames if frame[7] >= DIAGNOSTIC]:
            logical = [frame for frame in frames if frame[7] < DIAGNOSTIC]
            last_seq = max(last_seq, *map(_last_seq, diagnostics))
        numbered = frames if logical is None else logical
        first_seq = self.written_seq + 1
        if numbered:
            first_seq = int.from_bytes(numbered[0][8:16], "little", signed=True)
            last_seq = max(last_seq, _last_seq(numbered[-1]))
            if first_seq <= self.written_seq or last_seq - first_seq + 1 < len(numbered):
                raise ValueError(
                    f"records {first_seq} to {last_seq} in {len(numbered)} frames after record {self.written_seq}; "
                    "numbers must go up"
                )
        self._at_ns = int.from_bytes(frames[-1][16:24], "little", signed=True)
        return first_seq, last_seq, logical

    def _follow(self, logical: list[bytes], data: bytes | None) -> None:
        """Add logical frames to the digest; *data* is all of them in one piece."""
        if not logical:
            return
        last_seq = int.from_bytes(logical[-1][8:16], "little", signed=True)
        if not self._chain.add_whole(data or b"".join(logical), last_seq) and self._chain.add_each(logical):
            self._restart_at = (self._index, self._offset)

    def _write(self, frames: list[bytes], data: bytes, first_seq: int, last_seq: int) -> None:
        digest = self._chain.digest()
        commit = pack_commit(
            frames, offset=self._offset + len(data), batch_bytes=len(data), at_ns=self._at_ns,
            synced_offset=self._synced_offset, first_seq=first_seq, last_seq=last_seq, sha256=digest,
        )  # fmt: skip
        try:
            write_all(self._files, self._fd, data, commit)
        except OSError as error:
            self._fail(error, len(data) + len(commit))
        self._offset += len(data) + len(commit)
        self.written_seq, self._digest = last_seq, digest

    def _fail(self, error: OSError, wanted_bytes: int) -> NoReturn:
        """Close the journal for good because of a failed write, and raise."""
        number = error.errno or 0
        if number in _NO_ROOM:
            try:
                self._files.ftruncate(self._fd, self._offset)
                cut = "the torn part is cut off again"
            except OSError as again:
                cut = f"the torn part stays ({again})"
            try:
                room = self._files.fstatvfs(self._fd)
                free_bytes = room.f_bavail * room.f_frsize
            except OSError:
                free_bytes = -1
            self._error = JournalFull(
                self.segment, number, self.written_seq, self.synced_seq, wanted_bytes, free_bytes, cut
            )
        else:
            what = f"writing {wanted_bytes} bytes at offset {self._offset}"
            self._error = JournalFatal(self.segment, number, what, self.written_seq, self.synced_seq)
        self._refuse(error)

    def _refuse(self, cause: BaseException | None = None) -> NoReturn:
        assert self._error is not None
        self.append = self._refuse_frame
        self.abandon()
        raise self._error from cause

    def _refuse_frame(self, frame: bytes) -> NoReturn:
        self.pending.append(frame)
        self._refuse()

    def _check_size(self) -> None:
        """Notice a write that was reported but not done, or somebody else's."""
        size = self._files.fstat(self._fd).st_size
        if size != self._offset and self._error is None:
            what = f"the file has {size} bytes, {self._offset} were written"
            self._error = JournalFatal(self.segment, 0, what, self.written_seq, self.synced_seq)

    def _fdatasync(self, offset: int, seq: int) -> None:
        """Sync and note how far, or note the error; the caller holds `_syncing`."""
        try:
            self._files.fdatasync(self._fd)
        except OSError as error:
            self._error = JournalFatal(self.segment, error.errno or 0, "fdatasync", self.written_seq, self.synced_seq)
        else:
            self._synced_offset, self.synced_seq = offset, seq

    def _ask_helper(self) -> None:
        self._wanted = (self._offset, self.written_seq)
        if self._wanted[0] == self._synced_offset:
            return
        self._check_size()
        if self._error is not None:
            self._refuse()
        if self._helper is None:
            self._helper = threading.Thread(target=self._help, name="journal-fdatasync", daemon=True)
            self._helper.start()
        if self._requests.empty():
            self._requests.put(True)

    def _help(self) -> None:
        while self._requests.get():
            with self._syncing:
                # Read under the lock: a roll puts another file's figures here, and has synced what was asked.
                offset, seq = self._wanted
                if self._error is None and self._synced_offset < offset:
                    self._fdatasync(offset, seq)

    def _roll(self) -> None:
        """Sync the segment and begin the next; blocks for the sync, of some 1 MiB where `sync_every_bytes` is set."""
        self._check_size()
        with self._syncing:
            if self._error is None and self._synced_offset < self._offset:
                self._fdatasync(self._offset, self.written_seq)
            if self._error is None:
                header = SegmentHeader(self._index + 1, self.run, self._digest, self._offset)
                try:
                    fd = create_segment(self._files, self.directory, header)
                except OSError as error:
                    self._fail(error, SEGMENT_BYTES)
                self._files.close(self._fd)
                self._fd, self._index = fd, self._index + 1
                self._chain.restarts = True  # also where the segment before was of format 1
                self._offset = self._synced_offset = SEGMENT_BYTES
                self._wanted = (self._offset, self.written_seq)
        if self._error is not None:
            self._refuse()

    def _let_go(self) -> None:
        self._closed = True
        if self._helper is not None:
            self._requests.put(False)
            self._helper.join()
        self._files.close(self._fd)
        self._lock.release()
        if self._error is None:
            self._ended_well = True
            self.append = self._refuse_frame
            self._error = JournalFatal(self.segment, 0, "the journal was closed", self.written_seq, self.synced_seq)


def _last_seq(frame: bytes) -> int:
    fields = HEADER.unpack_from(frame)
    return int(fields[4]) + int(fields[8]) - 1
