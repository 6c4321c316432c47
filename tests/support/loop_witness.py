"""The witness: a venue of its own in another process, which writes down all it gets and says, and may kill the kernel.

    python loop_witness.py SOCKET LOG PLAN SEED

LOG gets one line of JSON per message: what was got (``got``) and said (``said``), in order, before anything follows
from it. PLAN, read at each hello, may hold ``{"after": 12, "when": "receipt" | "answer", "count": "messages" | "new" |
"cancel"}``: kill -9 at that message.
It knows nothing of the project's code, so it cannot share its mistakes.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import socket
import sys
from pathlib import Path
from typing import Any

ACCEPTED, FILL, CANCELLED, REJECTED, CANCEL_REJECTED = 1, 2, 3, 5, 7
IDLE_S = 0.02


class Witness:
    """Orders that rest, reports by number, and who is listening."""

    def __init__(self, log: Path, plan: Path, seed: int) -> None:
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.plan_file = plan
        self.random = random.Random(seed)
        self.orders: dict[int, dict[str, Any]] = {}
        self.reports: list[dict[str, Any]] = []
        self.held_back: list[dict[str, Any]] = []
        self.link: socket.socket | None = None
        self.plan: dict[str, Any] = {}
        self.pid = self.messages = self.after = 0

    def write(self, **line: Any) -> None:
        os.write(self.log, json.dumps(line).encode() + b"\n")

    # -- what comes in -------------------------------------------------------------------------------------------------

    def take(self, message: dict[str, Any]) -> None:
        self.write(got=message["do"], **{key: value for key, value in message.items() if key != "do"})
        if message["do"] == "hello":
            self.greet(message)
            return
        counts = self.plan.get("count") in ("messages", message["do"])
        self.messages += counts
        kill_at = self.plan["when"] if counts and self.messages == self.plan["after"] else ""
        if kill_at == "receipt":
            self.kill()
        if message["do"] != "ack":
            self.reply({"taken": message["seq"]})
        if message["do"] == "new":
            self.new(message)
        elif message["do"] == "cancel":
            self.cancel(message["id"])
        elif message["do"] == "ask":
            self.asked(message)
        if kill_at == "answer":
            self.kill()

    def greet(self, message: dict[str, Any]) -> None:
        self.pid, self.after, self.messages = message["pid"], message["after"], 0
        self.plan = json.loads(self.plan_file.read_text()) if self.plan_file.exists() else {}
        if self.plan.get("after") == 0:
            self.kill()
        for report in self.reports[self.after :]:
            self.reply(report)

    def kill(self) -> None:
        self.write(killed=self.pid)
        os.kill(self.pid, signal.SIGKILL)

    def new(self, message: dict[str, Any]) -> None:
        order = dict(message, left=message["qty"], over=False)
        self.orders[order["id"]] = order
        fate = self.random.random()
        if fate < 0.25:  # no answer until the next lull: a crash finds it unanswered
            self.held_back.append(order)
            return
        self.say(order, ACCEPTED)
        if fate < 0.5:
            self.fill(order, order["left"])
        elif fate < 0.7:
            self.fill(order, 1)
        self.something_happens()

    def cancel(self, order_id: int) -> None:
        order = self.orders.get(order_id)
        if order is None or order["over"]:
            self.say(order or {"id": order_id, "listing": 1, "side": 0, "ticks": 0, "left": 0}, CANCEL_REJECTED)
            return
        if order in self.held_back:
            self.held_back.remove(order)
        order["left"], order["over"] = 0, True
        self.say(order, CANCELLED)

    def asked(self, message: dict[str, Any]) -> None:
        """Say where an order stands; what was said after the crash has been said again already."""
        if any(report["id"] == message["id"] for report in self.reports[self.after :]):
            return
        order = self.orders.get(message["id"])
        if order is None:
            self.say(dict(message, left=0), REJECTED)
            return
        if order in self.held_back:
            self.held_back.remove(order)
        self.say(order, ACCEPTED)

    def something_happens(self) -> None:
        """Deal one lot of an order that rests; also while nobody listens."""
        resting = [o for o in self.orders.values() if not o["over"] and o not in self.held_back]
        if resting and self.random.random() < 0.3:
            self.fill(self.random.choice(resting), 1)

    def lull(self) -> None:
        held_back, self.held_back = self.held_back, []
        for order in held_back:
            self.say(order, ACCEPTED)

    # -- what goes out -------------------------------------------------------------------------------------------------

    def fill(self, order: dict[str, Any], lots: int) -> None:
        lots = min(lots, order["left"])
        if lots:
            order["left"] -= lots
            order["over"] = not order["left"]
            self.say(order, FILL, lots)

    def say(self, order: dict[str, Any], kind: int, lots: int = 0) -> None:
        report = {
            "n": len(self.reports) + 1, "id": order["id"], "listing": order["listing"], "kind": kind,
            "side": order["side"], "ticks": order["ticks"], "lots": lots, "leaves": order["left"],
        }  # fmt: skip
        self.reports.append(report)
        self.write(said=report)
        self.reply(report)

    def reply(self, message: dict[str, Any]) -> None:
        try:
            if self.link is not None:
                self.link.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self.link = None  # it died; the next hello says how far it got

    # -- the loop ------------------------------------------------------------------------------------------------------

    def serve(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            self.link = connection
            self.hear(connection)
            self.link = None
            for _ in range(3):
                self.something_happens()

    def hear(self, connection: socket.socket) -> None:
        rest = b""
        while True:
            if not select.select([connection], [], [], IDLE_S)[0]:
                self.lull()
                continue
            try:
                data = connection.recv(1 << 16)
            except OSError:
                return
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self.take(json.loads(line))


def main() -> None:
    """Serve one kernel at a time, for ever."""
    path, log, plan, seed = sys.argv[1:]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    Witness(Path(log), Path(plan), int(seed)).serve(listener)


if __name__ == "__main__":
    main()
