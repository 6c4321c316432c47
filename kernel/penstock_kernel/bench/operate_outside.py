"""From kill -9 to trading again while orders rest at a venue outside: the practice venue, a process on this machine.

One instance is killed again and again: a copy of it would not know the orders that another one left at the venue.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from penstock_kernel.bench.load import SENT
from penstock_kernel.bench.operate_desk import DEADLINE_S, LOOK_S, BenchError, Desk, Start, process_begun_ns
from penstock_kernel.bench.outside_load import Mark

__all__ = ["OutsideDesk", "outside_desks", "outside_round"]

VENUE_MODULE: Final = "penstock_plugins.venues.paper_server"
"""Started as a process, never imported: the kernel knows no plugin."""
DAY: Final = "2099-01-02"
EVENTS_PER_ORDER: Final = 10
"""About so many events come of an order that is placed and cancelled."""
_STEPS: Final = {"reconciled": Mark.RECONCILED, "acknowledged": Mark.ACKNOWLEDGED}
_DEPLOYMENT = """
[run]
clock = "wall"
delivery_day = "{day}"
snapshot_every_events = {snapshot_every}
[plugins.paper]
use = "paper"
[plugins.paper.config]
address = "{address}"
account = "{name}"
[plugins.risk]
use = "risk_limits"
[plugins.risk.config]
reference_required = false
position_max_lots = 1_000_000
orders_per_second_max = 1_000_000
[plugins.fat_finger]
use = "fat_finger"
[plugins.quoter]
use = "bench_resting_quoter"
path = "{here}"
[plugins.quoter.config]
witness = "{witness}"
orders = {orders}
history_orders = {history_orders}
[plugins.portfolio]
use = "portfolio"
"""


class OutsideDesk:
    """An instance with *orders* resting at the venue at *address*; `make_history`, then kill it as often as wanted.

    Args:
        folder: its runs lie there.
        env: of its processes.
        history: events that it has before it is killed the first time, about.
        snapshot_every: events between its snapshots.
    """

    def __init__(
        self, folder: Path, env: Mapping[str, str], address: str, orders: int, history: int, snapshot_every: int
    ) -> None:
        self.orders, name = orders, f"outside{orders}"
        self._witness, deployment = folder / f"{name}.marks", folder / f"{name}.toml"
        deployment.write_text(
            _DEPLOYMENT.format(
                day=DAY, snapshot_every=snapshot_every, address=address, name=name, here=Path(__file__).parent,
                witness=self._witness, orders=orders, history_orders=max(history // EVENTS_PER_ORDER, orders),
            )
        )  # fmt: skip
        self.desk = Desk(folder, name, deployment, env)
        self.events = 0
        """At the first kill."""
        self._read = 0

    def make_history(self) -> None:
        """Trade until the orders rest, then die.

        Raises:
            BenchError: it does not come so far in two minutes.
        """
        with self.desk.kernel() as process:
            self.desk.wait_ready(process)
            self._wait(process, Mark.RESTING)
            view = self.desk.wait(process, "its orders", lambda view: view.open_orders == self.orders)
            self.events = view.seq
            view.close()
            self._kill(process)

    def started(self) -> tuple[int, Start]:
        """Start it without its watchdog; return (since when, its start). It is killed once all orders rest again."""
        begun_ns = time.monotonic_ns()
        with self.desk.kernel() as process:
            at_ns = self._wait(process, Mark.RESTING)
            start = self._start(begun_ns, at_ns)
            self._kill(process)
        return begun_ns, start

    def killed(self) -> tuple[int, Start]:
        """Kill its kernel under the watchdog; return (since when, the start of the next one), which is killed, too."""
        with self.desk.kernel(watched=True) as process:
            self._wait(process, Mark.RESTING)
            old, _ = self.desk.wait_ready(process)
            begun_ns = time.monotonic_ns()
            os.kill(old, signal.SIGKILL)
            at_ns = self._wait(process, Mark.RESTING)
            pid, _ = self.desk.wait_ready(process, old)
            start = self._start(process_begun_ns(pid), at_ns)
            self._kill(process)  # first, so that it starts no other
            os.kill(pid, signal.SIGKILL)
        _wait_gone(pid)
        return begun_ns, start

    def stop(self) -> None:
        """Start it a last time and stop it in order, so that nothing of it is left running."""
        with self.desk.kernel() as process:
            self._wait(process, Mark.RESTING)
            process.send_signal(signal.SIGTERM)
            if process.wait(DEADLINE_S):
                raise BenchError(f"{self.desk.name} ended with {process.returncode}; it said: {self.desk.said()}")

    def _start(self, begun_ns: int, at_ns: Mapping[Mark, int]) -> Start:
        told = self.desk.told()
        seen_ns = {step: at_ns[mark] for step, mark in _STEPS.items()}
        return Start({"spawned": begun_ns, **told["at_ns"], **seen_ns}, told["cpu_ns"], int(told["orders"]))

    def _wait(self, process: subprocess.Popen[bytes], last: Mark) -> dict[Mark, int]:
        """Return when the strategy has come to each mark since the last call, once it has come to *last*."""
        until_s = time.monotonic() + DEADLINE_S
        found: dict[Mark, int] = {}
        while last not in found:
            ended = process.poll() is not None or time.monotonic() > until_s
            data = b""
            with suppress(FileNotFoundError), self._witness.open("rb") as file:
                file.seek(self._read)
                data = file.read()
            data = data[: len(data) // SENT.size * SENT.size]
            self._read += len(data)
            found.update((Mark(mark), at_ns) for mark, at_ns in SENT.iter_unpack(data))
            if not data and ended:
                met = ", ".join(mark.name.lower() for mark in found) or "nothing"
                raise BenchError(
                    f"{self.desk.name}: met {met}, wanted {last.name.lower()}; it said: {self.desk.said()}"
                )
            if last not in found:
                time.sleep(LOOK_S)
        return found

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait(DEADLINE_S)


@contextmanager
def outside_desks(
    folder: Path, env: Mapping[str, str], orders: tuple[int, ...], history: int, snapshot_every: int
) -> Iterator[list[OutsideDesk]]:
    """Yield an instance per number of resting orders, with its history; in the end all processes are stopped.

    Raises:
        BenchError: the practice venue is not installed, or does not start.
    """
    with _venue(folder, env) as address:
        desks = [OutsideDesk(folder, env, address, count, history, snapshot_every) for count in orders]
        for desk in desks:
            desk.make_history()
        yield desks
        for desk in desks:
            desk.stop()


@contextmanager
def _venue(folder: Path, env: Mapping[str, str]) -> Iterator[str]:
    """Run the practice venue without traders of its own; yield its address."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", VENUE_MODULE, "--listen", "127.0.0.1:0", "--day", DAY]
    err_path = folder / "venue.err"
    with err_path.open("wb") as err:
        venue = subprocess.Popen(
            [*command, "--requotes", "0", "--takers", "0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=err, env=dict(env),
        )  # fmt: skip
    try:
        assert venue.stdout is not None
        can_read, _, _ = select.select([venue.stdout], [], [], DEADLINE_S)
        line = venue.stdout.readline().decode() if can_read else ""
        found = re.search(r"listening on (\S+)", line)
        if found is None:
            raise BenchError(
                f"practice venue: met {line.strip() or err_path.read_text()[-500:].strip() or 'silence'!r}, wanted the "
                f"address of python -m {VENUE_MODULE}; install penstock-plugins beside the kernel"
            )
        yield found[1]
    finally:
        venue.terminate()
        try:
            venue.wait(10)
        except subprocess.TimeoutExpired:
            venue.kill()
            venue.wait()
        if venue.stdout is not None:
            venue.stdout.close()


def _wait_gone(pid: int) -> None:
    """Wait until a killed process that is not our child has let go of everything."""
    until_s = time.monotonic() + DEADLINE_S
    stat = Path(f"/proc/{pid}/stat")
    while True:
        try:
            state = stat.read_text().rpartition(")")[2].split()[0]
        except (OSError, IndexError):
            return
        if state in "ZX":
            return
        if time.monotonic() > until_s:
            raise BenchError(f"process {pid} still runs, long after it was killed")
        time.sleep(LOOK_S)


def outside_round(desks: list[OutsideDesk], found: dict[str, list[tuple[int, Start]]]) -> None:
    """Kill and start each instance in both ways once."""
    for desk in desks:
        where = f"{desk.orders:,} orders at a venue outside"
        found.setdefault(f"after kill -9, {where}", []).append(desk.started())
        found.setdefault(f"kill -9 under the watchdog, {where}", []).append(desk.killed())
