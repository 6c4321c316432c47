"""Trace and span ids that follow from what is in the journal, so that logs and spans of one cause join."""

from __future__ import annotations

import hashlib

__all__ = ["span_id", "trace_id"]


def trace_id(instance: str, correlation_seq: int) -> int:
    """Return the 128-bit id of all that followed from an input; never 0."""
    return _number(f"{instance}|{correlation_seq}", 16)


def span_id(instance: str, what: str, number: int) -> int:
    """Return the 64-bit id of one span of an instance, as of ``("order", 17)``; never 0."""
    return _number(f"{instance}|{what}|{number}", 8)


def _number(text: str, size: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:size], "big") or 1
