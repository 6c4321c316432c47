"""A market for the tests of the watchdog: orders rest in a dict, behind a Unix socket, in a thread of the test."""

from __future__ import annotations

import json
import socketserver
import threading
from pathlib import Path
from types import TracebackType
from typing import Any


class Market:
    """Takes lines of JSON: new, cancel, cancel_all, list."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.resting: set[int] = set()
        self.log: list[tuple[str, int]] = []
        """(what was asked, order or process)"""
        self.lock = threading.Lock()
        market = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                for line in self.rfile:
                    self.wfile.write(json.dumps(market.answer(json.loads(line))).encode() + b"\n")

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        self._server = Server(self.path, Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def answer(self, said: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to one line."""
        with self.lock:
            self.log.append((said["do"], said.get("id", said.get("who", 0))))
            if said["do"] == "list":
                return {"ids": sorted(self.resting)}
            if said["do"] == "cancel_all":
                cancelled = len(self.resting)
                self.resting.clear()
                return {"cancelled": cancelled}
            if said["do"] == "new":
                self.resting.add(said["id"])
                return {"is": "resting"}
            known = said["id"] in self.resting
            self.resting.discard(said["id"])
            return {"is": "cancelled" if known else "unknown"}

    def asked(self, what: str) -> int:
        """Return how often *what* was asked."""
        with self.lock:
            return sum(do == what for do, _ in self.log)

    def __enter__(self) -> Market:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
