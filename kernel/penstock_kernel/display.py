"""The progress display: a process of its own that draws what the kernel tells it, and can never hold the kernel up.

The kernel sends `Progress` through a `DisplayClient`: one JSON line into a pipe, dropped when the pipe is full. The
process (``python -m penstock_kernel.display``) redraws the terminal some times a second; without a terminal it prints
one line every two seconds. It draws on standard error, so that standard output stays the run's own. Ctrl-C is for the
kernel: the display ends when its pipe does.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from penstock_kernel.interrupts import interrupts_held
from penstock_sdk.energy import EnergyError, ns_to_local

__all__ = ["BookTop", "DisplayClient", "Progress", "StrategyState", "draw", "plain_line"]

_REDRAW_S: Final = 0.2
_PLAIN_S: Final = 2.0
_LINE_BYTES_MAX: Final = 1 << 20


class BookTop(msgspec.Struct, frozen=True):
    """Best bid and ask of one listing, in currency per MWh; None where a side is empty."""

    listing: str
    bid: float | None = None
    ask: float | None = None
    last: float | None = None


class StrategyState(msgspec.Struct, frozen=True):
    """One strategy's net position (MWh) and P&L (currency)."""

    strategy: str
    net_mwh: float = 0.0
    pnl: float = 0.0


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run stands. Counts are totals so far; rates are per second of wall time, of late."""

    run_id: str
    state: str = "running"
    """running, paused, killed, draining, complete: whatever the kernel calls it."""
    now_ns: int
    """The run's time, ns UTC."""
    start_ns: int
    end_ns: int
    """The end of the simulated day, or 0 when there is none."""
    timezone: str = "UTC"
    currency: str = "EUR"
    events: int = 0
    events_per_s: float = 0.0
    orders: int = 0
    orders_per_s: float = 0.0
    fills: int = 0
    refusals: int = 0
    alerts: int = 0
    last_alert: str = ""
    index_price: float | None = None
    """The observed price, in currency per MWh."""
    books: list[BookTop] = []
    strategies: list[StrategyState] = []

    @property
    def share(self) -> float:
        """Return how much of the run's time has passed, 0 … 1."""
        span_ns = self.end_ns - self.start_ns
        return min(max((self.now_ns - self.start_ns) / span_ns, 0.0), 1.0) if span_ns > 0 else 0.0


class DisplayClient:
    """The kernel's side: starts the display and tells it where the run stands, without ever waiting for it.

    Args:
        enabled: False makes every method do nothing.
        plain: lines instead of a drawing, also on a terminal.
    """

    def __init__(self, enabled: bool = True, plain: bool = False) -> None:
        self.dropped = 0
        """Updates that found the pipe full."""
        self._rest = b""
        self._process: subprocess.Popen[bytes] | None = None
        if enabled:
            command = [sys.executable, "-m", "penstock_kernel.display", *(["--plain"] if plain else [])]
            with interrupts_held():  # the display stays until the run has drained
                self._process = subprocess.Popen(command, stdin=subprocess.PIPE)
            os.set_blocking(self._fd(), False)

    def _fd(self) -> int:
        assert self._process is not None and self._process.stdin is not None
        return self._process.stdin.fileno()

    def send(self, progress: Progress) -> bool:
        """Tell the display; return False when it was dropped because the pipe is full or the display is gone."""
        if self._process is None:
            return False
        if self._rest:  # the tail of a line that went in only partly comes first
            self._rest = self._write(self._rest)
        if self._rest:
            self.dropped += 1
            return False
        line = msgspec.json.encode(progress) + b"\n"
        self._rest = self._write(line)
        if len(self._rest) == len(line):
            self._rest = b""
            self.dropped += 1
            return False
        return True

    def _write(self, data: bytes) -> bytes:
        """Write what the pipe takes; return what it did not."""
        try:
            return data[os.write(self._fd(), data) :]
        except BlockingIOError:
            return data
        except OSError:  # the display died; the run goes on without one
            self.close()
            return b""

    def close(self, wait_s: float = 2.0) -> None:
        """End the display and wait until its last picture stands, at most *wait_s* seconds."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            if self._rest:
                os.write(process.stdin.fileno(), self._rest)
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(wait_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def draw(progress: Progress) -> RenderableType:
    """Return the picture of one moment: progress, counts, then prices beside strategies."""
    bar = Table.grid(expand=True, padding=(0, 1))
    bar.add_column(no_wrap=True)
    bar.add_column(ratio=1)
    bar.add_column(no_wrap=True, justify="right")
    percent = f"{progress.share:4.0%}" if progress.end_ns > progress.start_ns else ""
    bar.add_row(Text(_clock(progress), style="bold"), ProgressBar(total=1.0, completed=progress.share), percent)
    parts: list[RenderableType] = [bar, _counts(progress)]
    if progress.books or progress.strategies:
        both = Table.grid(expand=True, padding=(0, 2))
        both.add_column(ratio=1)
        both.add_column(ratio=1)
        both.add_row(_books(progress), _strategies(progress))
        parts += [Text(), both]
    if progress.last_alert:
        parts += [Text(), Text(f"alert: {progress.last_alert}", style="yellow", no_wrap=True, overflow="ellipsis")]
    title = f"[bold]penstock[/] {progress.run_id}  {progress.state}"
    return Panel(Group(*parts), title=title, title_align="left", border_style="dim", padding=(0, 1))


def _clock(progress: Progress) -> str:
    try:
        local = ns_to_local(progress.now_ns, progress.timezone)
    except EnergyError:
        local = ns_to_local(progress.now_ns, "UTC")
    return f"{local:%a} {local.day} {local:%b %H:%M}"


def _counts(progress: Progress) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    for name, count, rate in (
        ("events", progress.events, progress.events_per_s),
        ("orders", progress.orders, progress.orders_per_s),
        ("fills", progress.fills, None),
        ("refusals", progress.refusals, None),
        ("alerts", progress.alerts, None),
    ):
        text.append(f"{name} ", style="dim").append(f"{count:,}")
        text.append(f" ({rate:,.0f}/s)   " if rate is not None else "   ", style="dim")
    return text


def _price(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"


def _books(progress: Progress) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    table.add_column(f"{progress.currency}/MWh", no_wrap=True, overflow="ellipsis", ratio=1)
    for name in ("bid", "ask", "last"):
        table.add_column(name, justify="right", no_wrap=True, min_width=8)
    if progress.index_price is not None:
        table.add_row("index", "", "", _coloured(progress.index_price, _price(progress.index_price)))
    for book in progress.books:
        table.add_row(Text(_tail(book.listing, 14)), _price(book.bid), _price(book.ask), _price(book.last))
    return table


def _tail(name: str, length: int) -> str:
    """Return the end of a listing's name, where its delivery stands, without the venue's."""
    name = name.partition("@")[0]
    return name if len(name) <= length else "…" + name[-length + 1 :]


def _strategies(progress: Progress) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    table.add_column("strategy", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("net MWh", justify="right", no_wrap=True, min_width=8)
    table.add_column(f"P&L {progress.currency}", justify="right", no_wrap=True, min_width=10)
    for line in progress.strategies:
        table.add_row(Text(line.strategy), f"{line.net_mwh:,.1f}", _coloured(line.pnl, f"{line.pnl:,.0f}"))
    if len(progress.strategies) > 1:
        total = sum(line.pnl for line in progress.strategies)
        table.add_row("all", "", _coloured(total, f"{total:,.0f}"), style="bold")
    return table


def _coloured(value: float, text: str) -> Text:
    return Text(text, style="red" if value < 0 else "green")


def plain_line(progress: Progress) -> str:
    """Return one line that says where the run stands."""
    pnl = sum(line.pnl for line in progress.strategies)
    index = "" if progress.index_price is None else f"  index {progress.index_price:,.2f}"
    percent = f"{progress.share:4.0%}  " if progress.end_ns > progress.start_ns else ""
    return (
        f"{_clock(progress)}  {percent}{progress.events:,} events ({progress.events_per_s:,.0f}/s)  "
        f"{progress.orders:,} orders  {progress.fills:,} fills  {progress.refusals:,} refused{index}  "
        f"P&L {pnl:,.0f} {progress.currency}  {progress.state}"
    )


def _follow(fd: int, show: Callable[[Progress], None], every_s: float) -> None:
    """Read lines from *fd* until its end; show the newest at most every *every_s* seconds, and the last one."""
    decode = msgspec.json.Decoder(Progress).decode
    held, newest = b"", b""
    shown_s = -every_s
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        while True:
            ready = selector.select(every_s)
            if ready:
                chunk = os.read(fd, 1 << 16)
                if not chunk:
                    break
                *lines, held = (held + chunk).split(b"\n")
                held = held[-_LINE_BYTES_MAX:]
                newest = lines[-1] if lines else newest
            if newest and time.monotonic() - shown_s >= every_s:
                _show(decode, newest, show)
                newest, shown_s = b"", time.monotonic()
    if newest:
        _show(decode, newest, show)


def _show(decode: Callable[[bytes], Progress], line: bytes, show: Callable[[Progress], None]) -> None:
    with contextlib.suppress(msgspec.MsgspecError):  # a damaged line costs one picture, never the display
        show(decode(line))


def main(arguments: list[str] | None = None) -> int:
    """Run the display over standard input; return its exit status."""
    parser = argparse.ArgumentParser(prog="penstock_kernel.display", description="Draw a run's progress from its pipe.")
    parser.add_argument("--plain", action="store_true", help="lines instead of a drawing")
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    fd = sys.stdin.fileno()
    if options.plain or not console.is_terminal:
        _follow(fd, lambda progress: print(plain_line(progress), file=sys.stderr, flush=True), _PLAIN_S)
        return 0
    with Live(console=console, auto_refresh=False, transient=False) as live:
        _follow(fd, lambda progress: live.update(draw(progress), refresh=True), _REDRAW_S)
    return 0


if __name__ == "__main__":
    sys.exit(main())
