"""What a fault says, in words that are the same in every run; and how a recorded one is said again in a replay."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from penstock_sdk.core import timing
from penstock_sdk.events import CheckVerdict, TaskResult

__all__ = ["Raised", "RecordedFault", "Recording", "error_text", "fault_text", "shown", "task_result"]

TEXT_MAX = 1_000
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class RecordedFault(Exception):  # noqa: N818 - it tells of a fault, it is none
    """A fault of a plugin that a replay does not call: it is counted again, in the words that were recorded."""

    def __init__(self, handler: str, text: str) -> None:
        super().__init__(text)
        self.handler = handler
        self.text = text


class Raised(NamedTuple):
    """What stands in a handler's results for a record of a frame at which it raised."""

    handler: str
    error: Exception


class Recording(Protocol):
    """What a plugin said in the run that is played back; asked in the plugin's place."""

    def answer(self, seq: int) -> Any:
        """Return what the plugin returned for event *seq*.

        Raises:
            RecordedFault: it raised.
        """

    def verdict(self, order_id: int) -> CheckVerdict | None:
        """Return what the plugin answered on an order, or None when the record ends before.

        Raises:
            RecordedFault: it raised.
        """


def shown(value: Any) -> str:
    """Return 80 characters of a value's repr, without memory addresses; of its type, when it has none."""
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__} that cannot be shown"
    return _clean(text)[:80]


def error_text(error: BaseException) -> str:
    """Return type and text of an error as one line that msgpack carries, alike in every run."""
    try:
        said = str(error)
    except Exception:
        said = "its text cannot be had"
    return _clean(f"{type(error).__name__}: {said}")[:TEXT_MAX]


def fault_text(error: BaseException) -> str:
    """Return `error_text` and where it was raised, as ``(name.py:12)``; folders differ between machines."""
    if type(error) is RecordedFault:
        return error.text
    # A handler that is timed is called through one frame more: a fault must not tell of that.
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != timing.__file__]
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if len(frames) > 1 else ""
    return error_text(error) + where


def task_result(plugin_id: int, task_id: int, work: Callable[[], Any]) -> TaskResult:
    """Return what became of submitted work. Its value is as msgpack gives it back, now and in a replay: no tuples."""
    try:
        value = msgspec.msgpack.decode(msgspec.msgpack.encode(work()))
    except Exception as error:
        return TaskResult(plugin_id=plugin_id, task_id=task_id, ok=False, error=error_text(error))
    return TaskResult(plugin_id=plugin_id, task_id=task_id, ok=True, value=value)


def _clean(text: str) -> str:
    # Addresses differ from run to run; lone surrogates (of odd file names) are no UTF-8.
    return _ADDRESS.sub("", text).encode("utf-8", "backslashreplace").decode()
