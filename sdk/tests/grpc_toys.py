"""A plugin for the tests of gRPC, run as a process: `grpc_toys.py [WAY [...]]` serves it, or misbehaves as named."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from penstock_sdk.events import IdKind
from penstock_sdk.plugin import Operations
from penstock_sdk.process import handshake

ARGV = [sys.executable, str(Path(__file__).resolve())]
LINE = "1|1|unix|/nowhere/s|grpc|"


class EchoConfig(msgspec.Struct, forbid_unknown_fields=True):
    note: str = ""


class Echo(Operations):
    """Says every quote that it hears again; asks for a name at a bid of 7 ticks; raises at 13."""

    config = EchoConfig

    def __init__(self, ctx: Any, config: Any = None) -> None:
        super().__init__(ctx, config)
        self.told = 0

    def on_start(self) -> None:
        if sys.argv[1:] == ["chatty"]:  # for ever, once it runs
            threading.Thread(target=talk, daemon=True).start()

    def on_quotes(self, frame: Any) -> Any:
        if len(frame) == 1 and frame.array["bid_ticks"][0] == 7:
            self.ctx.log.info(f"id {self.ctx.intern(IdKind.SOURCE, 'OTHER')}")
        if frame.array["bid_ticks"][0] == 13:
            raise ValueError("thirteen")
        if frame.array["bid_ticks"][0] == 666:
            os._exit(66)
        return frame


def talk() -> None:
    while True:
        print("x" * 1000, flush=True)


def misbehave(way: str, rest: list[str]) -> int:
    """Do in a started plugin's place what none should do."""
    if way == "chatty":
        return serve()
    if way == "noise":
        print("warming up\nstill warming up", flush=True)
        return serve()
    if way == "silent":
        print("no line comes", flush=True)
        time.sleep(60)
    if way == "dies":
        print("cannot open the licence", file=sys.stderr, flush=True)
        return 3
    if way == "says":
        print(*rest, flush=True)
        time.sleep(60)
    if way == "child":  # leaves a child behind that keeps the pipes open
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        Path(rest[0]).write_text(str(child.pid))
        return serve()
    return 9


def serve() -> int:
    from penstock_sdk.process import serve_grpc

    return serve_grpc.main(Echo, "echo", "1.2.3")


if __name__ == "__main__":
    assert handshake.has_cookie(os.environ), "started by a test"
    sys.exit(misbehave(sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else serve())
