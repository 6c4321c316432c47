"""Signals to a run: commands while it goes, an end while it starts, and nothing to the processes beside it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, TypeVar

from penstock_sdk.events import OperatorCommand

__all__ = ["as_commands", "begun", "interrupts_held"]


class Commanded(Protocol):
    """What takes an operator's commands."""

    def command(self, command: OperatorCommand) -> None:
        """Take *command*; safe to call from a signal handler."""


T = TypeVar("T", bound=Commanded)


def begun(begin: Callable[[], T]) -> T:
    """Return the run that *begin* starts, and have Ctrl-C heeded whatever happens meanwhile.

    It raises KeyboardInterrupt, as ever. Where that met code that can tell nobody (a finaliser, a callback), the run
    began all the same: then it is told to stop as soon as it is live.
    """
    asked = False

    def interrupt(_number: int, _frame: object) -> None:
        nonlocal asked
        asked = True
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGINT, interrupt)
    except ValueError:  # not the main thread: a test, or an embedding program that has its own
        return begin()
    try:
        run = begin()
    finally:
        signal.signal(signal.SIGINT, before)
    if asked:
        run.command(_command_of(signal.SIGINT, "stop"))
    return run


@contextmanager
def as_commands(command: Callable[[OperatorCommand], object], commands: Mapping[signal.Signals, str]) -> Iterator[None]:
    """Make a command of each signal, an input like any."""

    def take(number: int, _frame: object) -> None:
        command(_command_of(number, commands[signal.Signals(number)]))

    try:
        before = {number: signal.signal(number, take) for number in commands}
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Have a process that is started meanwhile never hear of Ctrl-C in the terminal, from its first instruction on.

    It inherits that SIGINT is blocked. Here one that comes meanwhile is heard right after.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _command_of(number: int, command: str) -> OperatorCommand:
    return OperatorCommand(command=command, who=f"uid {os.getuid()}", why=signal.Signals(number).name)
