"""Plugins out of process: what a frame costs there and back, how fast they come up and come back, what a flood does.

All rates are by the wall clock, over both processes: a plugin's process and the kernel's share the machine's cores.
Echoes are of the link alone, packed, checked and decoded as a kernel does, without its journal. Frames that wait leave
together: "a message for each record" says what one costs that waits for nobody. A bare Unix socket between two
processes is measured in the same rounds; what is above it is ours.
"""

from __future__ import annotations

import hashlib
import os
import socket
import statistics
import subprocess
import sys
from time import perf_counter_ns
from typing import Any

import numpy as np

from penstock_kernel.bench.plugins_run import flood, starts
from penstock_kernel.bench.plugins_wire import TRANSPORTS, opened, quote_frame
from penstock_kernel.bench.rounds import machine

__all__ = ["FULL", "TINY", "bench_plugins"]

FULL: dict[str, Any] = {
    "rounds": 5, "frames": {1: 40_000, 128: 8_000, 1024: 3_000}, "pings": 3_000, "many": 50, "ticks": 2_000,
}  # fmt: skip
TINY: dict[str, Any] = {"rounds": 1, "frames": {1: 200, 128: 40, 1024: 20}, "pings": 20, "many": 2, "ticks": 40}
AIMS = {
    ("socket", 0): 100_000, ("grpc", 0): 5_000,
    ("socket", 1): 100_000, ("socket", 128): 1_000_000, ("socket", 1024): 3_000_000,
    ("grpc", 1): 5_000, ("grpc", 128): 500_000, ("grpc", 1024): 2_000_000,
}  # fmt: skip
"""Records a second that come back; 0 is for frames of one, each in a message of its own."""
PING_AIM_US = 60
_BARE = "import socket,sys\ns=socket.socket(fileno=int(sys.argv[1]))\nwhile d:=s.recv(4096): s.sendall(d)"


def bench_plugins(*, rounds: int, frames: dict[int, int], pings: int, many: int, ticks: int) -> dict[str, Any]:
    """Return records a second echoed, times there and back, start and restart, memory, and a flood's effect.

    The digest is over what was echoed: the frames that went out are the frames that came back.
    """
    rates: dict[tuple[str, int], list[float]] = {key: [] for key in AIMS}
    back_us: dict[str, list[float]] = {name: [] for name in ("bare socket", *TRANSPORTS)}
    digest = hashlib.sha256()
    for _ in range(rounds):
        for transport in TRANSPORTS:
            with opened(transport, simulated=False) as wire:
                single, count = quote_frame(1), max(1, frames[1] // 4)
                wire.messages(single, max(1, count // 10))
                rates[transport, 0].append(count / wire.messages(single, count))
                for records, count in frames.items():
                    frame = quote_frame(records)
                    wire.stream(frame, records, max(1, count // 10))
                    rates[transport, records].append(records * count / wire.stream(frame, records, count))
                    digest.update(f"{records}:{wire.sum_bid_ticks}".encode())
            with opened(transport, simulated=True) as wire:
                wire.ping_pong(quote_frame(1), max(1, pings // 10))
                back_us[transport] += [took / 1e3 for took in wire.ping_pong(quote_frame(1), pings)]
        back_us["bare socket"] += _bare_socket(len(quote_frame(1)), pings)
    rows: list[dict[str, Any]] = []
    for (transport, records), found in rates.items():
        what = f"frames of {records}" if records else "a message for each record"
        rate, best = round(statistics.median(found)), round(max(found))
        aim = AIMS[transport, records]
        rows.append({"name": f"echo, {transport}, {what}", "records_per_s": rate, "best": best, "aim": aim})
    for name, took in back_us.items():
        p50, p99 = np.percentile(took, [50, 99]).tolist()
        wanted = {"aim": PING_AIM_US} if name == "socket" else {}
        rows.append({"name": f"there and back, {name}", "p50_us": round(p50, 1), "p99_us": round(p99, 1), **wanted})
    rows += starts(many, rounds)
    rows += flood(ticks, rounds)
    return {"bench": "plugins", **machine(), "rounds": rounds, "rows": rows, "digest": digest.hexdigest()}


def _bare_socket(size: int, times: int) -> list[float]:
    """Return how long so many bytes take to another process and back, in µs: nothing is looked at."""
    ours, theirs = socket.socketpair()
    with ours:
        argv = [sys.executable, "-I", "-S", "-c", _BARE, str(theirs.fileno())]
        with theirs:
            child = subprocess.Popen(argv, pass_fds=[theirs.fileno()], env=dict(os.environ))
        data, took = bytes(size), []
        try:
            for number in range(times + times // 10):
                begun_ns = perf_counter_ns()
                ours.sendall(data)
                left = size
                while left:
                    left -= len(ours.recv(left))
                if number >= times // 10:
                    took.append((perf_counter_ns() - begun_ns) / 1e3)
        finally:
            ours.shutdown(socket.SHUT_RDWR)
            child.wait(10)
    return took
