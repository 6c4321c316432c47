"""The venue's side of a test: a program of the vendor's that moves a fake or test market as the kit asks.

It reads one JSON object a line on standard input and answers each with one on standard output:

    {"verb": "hello", "version": 1}          {"ok": true, "verbs": ["fill", "orders", …]}
    {"verb": "fill", "order_id": 7, "lots": 3}   {"ok": true}

`docs/conformance.md` says what each verb does. A verb that is not in the answer to ``hello`` is never asked.
"""

from __future__ import annotations

import json
import selectors
import subprocess
import time
from collections.abc import Sequence
from typing import Any, Protocol

__all__ = ["VERBS", "DriverError", "ProcessDriver", "VenueDriver"]

VERBS: dict[str, str] = {
    "reset": "forget every order and every earlier verb; the next orders are taken and rest",
    "accept": "say which order will rest: its answer's `order` holds fields that the kit puts into the order it sends",
    "reject": "refuse the next order; `order` in the answer may hold fields that make the market refuse it by itself",
    "part_fill": "fill `lots` of the order `order_id`, which has more",
    "fill": "fill all that is left of the order `order_id`",
    "cancel": "cancel the order `order_id` at the market, unasked",
    "foreign_order": "put an order into our account that the plugin never sent; `order_id` in the answer is its number",
    "drop": "break the connection; `cancels` in the answer says whether the market cancels what rests",
    "silence": "go on taking orders, and say nothing of them",
    "resume": "end drop, silence and throttle; what was not said is said now where the market's protocol does so",
    "throttle": "take at most `per_s` messages a second, in the market's own way",
    "orders": "tell what the market holds: `orders`, a list of {order_id, leaves_lots, sent, side, price_ticks, "
    "qty_lots, listing}; `sent` counts how often it came, of ended ones too; `side` is buy or sell, `listing` the name "
    "that the kit uses, and both and the numbers are as the order came",
}
"""What the kit may ask, by verb."""


class DriverError(Exception):
    """The driver did not do what was asked."""


class VenueDriver(Protocol):
    """Moves the market behind a venue."""

    verbs: frozenset[str]
    config: dict[str, Any]
    """What the plugin's config is to hold to find this market, as its address; --config goes before it."""

    def do(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """Return the answer to a verb. Raises DriverError."""

    def close(self) -> None:
        """End it. Again is harmless."""


class ProcessDriver:
    """A driver that is a command; see the module for what is said.

    Raises:
        DriverError: it does not start, or does not say hello.
    """

    def __init__(self, argv: Sequence[str], *, answer_s: float = 10.0) -> None:
        self._answer_s = answer_s
        try:
            self._child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        except OSError as error:
            raise DriverError(f"driver {argv[0]} does not start: {(error.strerror or '').lower()}") from error
        self._rest = b""
        try:
            hello = self.do("hello", version=1)
            self.verbs = frozenset(hello.get("verbs", ()))
            self.config: dict[str, Any] = dict(hello.get("config", {}))
        except BaseException:
            self.close()
            raise

    def do(self, verb: str, **arguments: Any) -> dict[str, Any]:
        """Return the answer to a verb."""
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps({"verb": verb, **arguments}).encode() + b"\n")
        except OSError as error:
            raise DriverError(f"driver ended before {verb}{self._status()}") from error
        line = self._line(verb)
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise DriverError(f"driver answered {verb} with {line[:100]!r}, wanted a JSON object a line") from error
        if not isinstance(answer, dict) or not answer.get("ok"):
            raise DriverError(f"driver refused {verb}: {answer}")
        return answer

    def _status(self) -> str:
        """Return how it ended, for people; what it wrote to standard error stands above already."""
        try:
            return f", with status {self._child.wait(2.0)}; its standard error says why"
        except subprocess.TimeoutExpired:
            return ""

    def _line(self, verb: str) -> bytes:
        assert self._child.stdout is not None
        until = time.monotonic() + self._answer_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.stdout, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if not selector.select(max(until - time.monotonic(), 0)):
                    raise DriverError(f"driver did not answer {verb} within {self._answer_s:g} s")
                more = self._child.stdout.read(65_536)
                if not more:
                    raise DriverError(f"driver ended before it answered {verb}{self._status()}")
                self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def close(self) -> None:
        """End the program: its standard input ends, then it is killed."""
        child = self._child
        if child.stdin is not None:
            child.stdin.close()
        try:
            child.wait(2.0)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()
