"""Tells a supervisor how the service is, by the sd_notify protocol: one datagram of lines to ``$NOTIFY_SOCKET``.

Without that variable nothing is sent. No library is needed, and none is used.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

__all__ = ["Notifier"]


class Notifier:
    """Sends states to the supervisor; repeats none that it took.

    Args:
        env: where NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are looked up.
    """

    def __init__(self, env: Mapping[str, str] = os.environ) -> None:
        self._socket: socket.socket | None = None
        self._last: dict[str, str] = {}
        self.watchdog_ns = _watchdog_ns(env)
        """How often the supervisor wants to hear at least; 0 when it does not."""
        address = env.get("NOTIFY_SOCKET", "")
        if address.startswith(("/", "@")):
            # "@" stands for the zero byte of a name that is in no file system.
            self._address = "\0" + address[1:] if address[0] == "@" else address
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    @property
    def wanted(self) -> bool:
        """True when a supervisor listens."""
        return self._socket is not None

    def ready(self) -> None:
        """Say that the service is up."""
        self._say_once(READY="1")

    def status(self, text: str) -> None:
        """Say in one line what it does."""
        self._say_once(STATUS=text.replace("\n", " "))

    def stopping(self) -> None:
        """Say that it is on its way out."""
        self._say_once(STOPPING="1")

    def alive(self) -> None:
        """Feed the supervisor's own watchdog."""
        self._say(WATCHDOG="1")

    def extend(self, wait_us: int) -> None:
        """Ask for so much more time to start or to stop."""
        self._say(EXTEND_TIMEOUT_USEC=str(wait_us))

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _say_once(self, **values: str) -> None:
        if any(self._last.get(key) != value for key, value in values.items()) and self._say(**values):
            self._last.update(values)

    def _say(self, **values: str) -> bool:
        """Send; a supervisor that is busy, or gone, is no reason to wait or to fail."""
        if self._socket is None:
            return False
        text = "\n".join(f"{key}={value}" for key, value in values.items())
        with suppress(OSError):
            self._socket.sendto(text.encode(), self._address)
            return True
        return False


def _watchdog_ns(env: Mapping[str, str]) -> int:
    pid, usec = env.get("WATCHDOG_PID", ""), env.get("WATCHDOG_USEC", "")
    if pid.isdigit() and int(pid) != os.getpid():
        return 0
    return int(usec) * 1_000 if usec.isdigit() else 0
