"""The file of an audit trail: lines of JSON in blocks, each block with a digest of itself and of all before it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from penstock_sdk.schema import ABSENT

__all__ = ["AuditError", "AuditTrail", "Line", "Tail", "append_block", "encode_lines", "find_tail", "verify_audit"]

_NO_BLOCK = "0" * 64
_BLOCK_START = b'{"what":"block"'
_encode, encode_lines = msgspec.json.Encoder().encode, msgspec.json.Encoder().encode_lines


class AuditError(ValueError):
    """An audit trail that has been changed, or was cut short; says where."""


class Line(msgspec.Struct, omit_defaults=True, gc=False):
    """One line; what has its default is not written."""

    seq: int
    at_ns: int
    what: str
    who: str
    order_id: int = 0
    listing_id: int = 0
    action: str = ""
    side: str = ""
    kind: str = ""
    state: str = ""
    price_ticks: int = ABSENT
    qty_lots: int = 0
    reason: str = ""
    leaves_lots: int = 0
    met: int | str = ABSENT
    limit: int = ABSENT
    text: str = ""


class _Block(msgspec.Struct, frozen=True):
    what: str
    lines: int
    last_seq: int
    before: str
    sha256: str


class AuditTrail(msgspec.Struct, frozen=True):
    """What `verify_audit` found in a sound file."""

    lines: int
    blocks: int
    last_seq: int
    ended: bool
    """True when the run said that this is all."""
    sha256: str
    """The last block's digest, which stands for the whole file."""


class Tail(msgspec.Struct, frozen=True):
    """Where a file ends."""

    last_seq: int
    sha256: str


def find_tail(path: Path) -> Tail:
    """Return where the file's last whole block ends, after cutting off what a crash left of an unfinished one."""
    if not path.exists():
        return Tail(0, _NO_BLOCK)
    tail, whole_bytes, at = Tail(0, _NO_BLOCK), 0, 0
    with path.open("r+b") as file:
        for line in file:
            at += len(line)
            if line.startswith(_BLOCK_START) and line.endswith(b"}\n"):
                block = msgspec.json.decode(line, type=_Block)
                tail, whole_bytes = Tail(block.last_seq, block.sha256), at
        file.truncate(whole_bytes)
    return tail


def append_block(path: Path, tail: Tail, body: bytes, lines: int, last_seq: int) -> Tail:
    """Append one block and return where the file ends then."""
    digest = _digest(tail.sha256, body)
    block = _encode(_Block("block", lines, last_seq, tail.sha256, digest))
    with path.open("ab") as file:
        file.write(body + block + b"\n")
    return Tail(last_seq, digest)


def _digest(before: str, body: bytes) -> str:
    return hashlib.sha256(before.encode() + body).hexdigest()


def verify_audit(path: Path) -> AuditTrail:
    """Return what a run's ``audit.jsonl`` holds, after holding every block against its digest.

    Raises:
        AuditError: a line was changed, added or removed, or the file ends within a block; names the lines.
        OSError: the file cannot be read.

    Cost: the file is read once; some 0.3 s for 100 MB.
    """
    before, body, first_at, at, lines, blocks, last_seq, last = _NO_BLOCK, bytearray(), 1, 0, 0, 0, 0, b""
    with path.open("rb") as file:
        for at, line in enumerate(file, 1):
            if not line.startswith(_BLOCK_START):
                body += line
                last = line
                continue
            where = f"{path.name} lines {first_at} … {at}"
            try:
                block = msgspec.json.decode(line, type=_Block)
            except msgspec.DecodeError as error:
                raise AuditError(f"{where}: the block line is damaged ({error}); compare with the journal") from error
            _check_block(where, block, before, bytes(body), at - first_at, last)
            before, first_at, last_seq = block.sha256, at + 1, block.last_seq
            lines, blocks = lines + block.lines, blocks + 1
            body.clear()
    if body:
        raise AuditError(
            f"{path.name} lines {first_at} … {at}: no block line follows them; a flush was cut short, start the run "
            "again to mend it, or lines were removed"
        )
    ended = last.find(b'"what":"end"') > 0
    return AuditTrail(lines, blocks, last_seq, ended, before)


def _check_block(where: str, block: _Block, before: str, body: bytes, lines: int, last: bytes) -> None:
    """Raise AuditError unless a block's line fits the lines before it."""
    digest = _digest(before, body)
    if block.before != before:
        raise AuditError(f"{where}: block follows {block.before[:12]}…, wanted {before[:12]}…; a block was removed")
    if block.sha256 != digest:
        raise AuditError(f"{where}: sha256 met {digest[:12]}…, wanted {block.sha256[:12]}…; lines were changed")
    if not lines or block.lines != lines or block.last_seq != msgspec.json.decode(last, type=Line).seq:
        raise AuditError(f"{where}: block of {block.lines} lines up to seq {block.last_seq} met others; it was changed")
