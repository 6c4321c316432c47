"""From a kill over the control socket to the last cancel that left, while the kernel is idle and under full load."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from penstock_kernel.bench.load import SENT
from penstock_kernel.bench.operate_desk import BenchError, Desk
from penstock_kernel.control.client import Control
from penstock_kernel.control.protocol import CommandAnswer, CommandRequest
from penstock_kernel.vitals import VitalsView
from penstock_sdk.events import IntentAction

__all__ = ["LOADS", "command_rows"]

LOADS = {"little load": (1, 2_000), "full load": (64, 0)}
"""Quotes at a look of the kernel, and µs between looks: 500 a second, or as many as it takes, without rest."""
_DEPLOYMENT = """
[run]
clock = "wall"
delivery_day = "2099-01-02"
[plugins.venue]
use = "bench_load_venue"
path = "{here}"
[plugins.venue.config]
witness = "{witness}"
quotes_per_poll = {quotes}
pause_us = {pause_us}
[plugins.check]
use = "bench_load_check"
path = "{here}"
[plugins.quoter]
use = "bench_load_quoter"
path = "{here}"
[plugins.quoter.config]
orders = {orders}
"""


def command_rows(
    folder: Path, env: Mapping[str, str], orders: tuple[int, ...] = (100, 1_000), rounds: int = 200
) -> list[dict[str, Any]]:
    """Return per load and number of open orders: percentiles of the way to the first and last cancel, and back.

    Raises:
        BenchError: a kill cancelled none, or another number than the kernel says.
    """
    return [_measure(folder, env, load, count, rounds) for count in orders for load in LOADS]


def _measure(folder: Path, env: Mapping[str, str], load: str, orders: int, rounds: int) -> dict[str, Any]:
    name = f"{load.replace(' ', '-')}-{orders}"
    folder.mkdir(exist_ok=True)
    witness, deployment = folder / f"{name}.sent", folder / f"{name}.toml"
    deployment.write_text(
        _DEPLOYMENT.format(
            here=Path(__file__).parent, witness=witness, quotes=LOADS[load][0], pause_us=LOADS[load][1], orders=orders
        )
    )
    desk = Desk(folder, name, deployment, env)
    took_ns: dict[str, list[int]] = {"first cancel": [], "last cancel": [], "answer": []}
    cancels: list[int] = []
    with desk.kernel() as process:
        desk.wait_ready(process)
        begun_s, begun_seq = _filled(desk, process, orders)
        with Control(desk.dir, timeout_s=30.0) as control, witness.open("rb") as sent:
            for _ in range(rounds):
                cancels.append(_kill(control, sent, took_ns))
                _tell(control, "unkill")
                ended_s, ended_seq = _filled(desk, process, orders)
            _tell(control, "stop")
        if process.wait(60):
            raise BenchError(f"{name}: the kernel ended with {process.returncode}; it said: {desk.said()}")
    row: dict[str, Any] = {"name": f"kill, {load}, {orders:,} open orders", "rounds": rounds}
    row["cancels_p50"] = int(np.median(cancels))
    row["events_per_s"] = round((ended_seq - begun_seq) / (ended_s - begun_s))
    for what, values in took_ns.items():
        p50, p99 = np.percentile(np.array(values), [50, 99]).tolist()
        key = what.replace(" ", "_")
        row |= {f"{key}_p50_ms": round(p50 / 1e6, 3), f"{key}_p99_ms": round(p99 / 1e6, 3)}
    return row


def _filled(desk: Desk, process: subprocess.Popen[bytes], orders: int) -> tuple[float, int]:
    """Wait until most orders stand at the market; return when, and at which event."""
    asked_ns = time.monotonic_ns()

    def filled(view: VitalsView) -> bool:
        # Whether it is killed, and its orders, are as of its last tick: that must have come since.
        return view.turn_ns > asked_ns and view.open_orders >= 0.9 * orders

    view = desk.wait(process, "its orders", filled)
    at = time.monotonic(), view.seq
    view.close()
    return at


def _kill(control: Control, sent: Any, took_ns: dict[str, list[int]]) -> int:
    """Kill once; return how many cancels followed."""
    sent.read()
    begun_ns = time.monotonic_ns()
    answer = _tell(control, "kill")
    answer_ns = time.monotonic_ns()
    # Cancels of before may have left between the look into the file and the command; those of the kill come last.
    cancels_ns = [at_ns for action, at_ns in SENT.iter_unpack(sent.read()) if action == IntentAction.CANCEL]
    if not answer.cancels or len(cancels_ns) < answer.cancels:
        raise BenchError(f"a kill with {answer.open_before} open orders: {answer.text}; {len(cancels_ns)} cancels left")
    own_ns = cancels_ns[-answer.cancels :]
    for what, at_ns in (("first cancel", own_ns[0]), ("last cancel", own_ns[-1]), ("answer", answer_ns)):
        took_ns[what].append(at_ns - begun_ns)
    return answer.cancels


def _tell(control: Control, command: str) -> CommandAnswer:
    answer = control.ask(CommandRequest(command=command, reason="bench operate"))
    if not isinstance(answer, CommandAnswer):
        raise BenchError(f"{command}: {answer}")
    return answer
