"""``penstock top``: a live view of a running kernel in the terminal, over the control socket.

A thread reads states and hands them to the screen. When the kernel does not answer the screen says what is so, keeps
the last state in view, and calls again: a kernel that restarts is there again without a key.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, Input, Label, Sparkline, Static
from textual.worker import get_current_worker

from penstock_kernel.cli.state_text import book_rows, clock_text, duration, headline, plugin_rows, stop_lines
from penstock_kernel.cli.state_text import strategy_rows as rows_of_strategies
from penstock_kernel.control.client import Control, ControlCallError, command, new_request_id
from penstock_kernel.control.protocol import CommandAnswer, CommandRequest, Refusal
from penstock_kernel.control.state import OpenAlert, State

__all__ = ["Ask", "Top"]

RETRY_S = 0.5
RATES_KEPT = 120
WIDE_COLUMNS = 120

_COLORS = {"critical": "bold red", "error": "red", "warning": "yellow", "info": "cyan"}


class Ask(ModalScreen[str | None]):
    """Asks for the reason of a command; returns it, or None when it is not to be given."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "leave it")]
    CSS = """
    Ask { align: center middle; }
    Ask > Vertical { width: 64; max-width: 95%; height: auto; border: thick $error; padding: 0 1; }
    Ask > Vertical { background: $surface; }
    """

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """Show the question and a line to write the reason on."""
        with Vertical():
            yield Label(self._question, markup=False)
            yield Input(placeholder="why; it is journaled. Enter does it, Escape leaves it")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Give the reason back; an empty one is none."""
        if event.value.strip():
            self.dismiss(event.value.strip())

    def action_leave(self) -> None:
        """Give nothing."""
        self.dismiss(None)


class Top(App[None]):
    """The view.

    Args:
        run_dir: the folder of the run.
        timeout_s: after so long without a state the kernel is said not to answer.
    """

    TITLE = "penstock top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #head { height: auto; padding: 0 1; }
    #rates { height: 1; padding: 0 1; }
    .pair { layout: horizontal; height: 1fr; }
    DataTable { width: 1fr; height: 1fr; border-top: solid $primary; border-title-color: $text; scrollbar-size: 1 1; }
    .narrow .pair { layout: vertical; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "pause/resume"),
        Binding("k", "kill", "KILL/unkill"),
        Binding("a", "ack", "acknowledge"),
        Binding("tab", "focus_next", "next table", show=False),
        Binding("q", "quit", "quit"),
    ]

    def __init__(self, run_dir: Path, timeout_s: float = 5.0) -> None:
        super().__init__()
        self._run_dir = run_dir
        self._timeout_s = timeout_s
        self._rates: deque[float] = deque([0.0] * RATES_KEPT, maxlen=RATES_KEPT)
        self._said = ""
        self.state: State | None = None
        self.silent = ""
        """What is so when no state comes, or empty."""

    # -- screen ----------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Lay the tables out."""
        yield Static(id="head", markup=False)
        yield Sparkline(list(self._rates), id="rates")
        with Container(classes="pair"):
            yield _table("strategies", "strategies", ["strategy", "status", "open", "net MWh", "P&L"])
            yield _table("books", "books by gate closure", ["book", "closes in", "bid", "ask", "last"])
        with Container(classes="pair"):
            yield _table("alerts", "alerts", ["#", "severity", "what", "n", "met"])
            yield _table("plugins", "plugins", ["plugin", "status", "faults", "mean", "slowest"])
        yield Footer()

    def on_mount(self) -> None:
        """Begin to read."""
        self._fit(self.size.width)
        self.query_one("#strategies", DataTable).focus()
        self.read_states()

    def on_resize(self) -> None:
        """Put the tables under each other where there is no room beside."""
        self._fit(self.size.width)

    def _fit(self, columns: int) -> None:
        self.set_class(columns < WIDE_COLUMNS, "narrow")

    @work(thread=True, exclusive=True)
    def read_states(self) -> None:
        """Hand every state to the screen; call again whenever no more come."""
        worker = get_current_worker()
        while not worker.is_cancelled:
            try:
                with Control(self._run_dir, timeout_s=self._timeout_s) as control:
                    for state in control.states():
                        if worker.is_cancelled:
                            return
                        self.call_from_thread(self.show, state)
            except ControlCallError as error:
                if not worker.is_cancelled:
                    self.call_from_thread(self.show_silence, str(error))
            time.sleep(RETRY_S)

    def show(self, state: State) -> None:
        """Draw a state."""
        self.state, self.silent = state, ""
        self._rates.append(state.events_per_s)
        self.query_one("#rates", Sparkline).data = list(self._rates)
        self._head()
        plugins = [[row[at] for at in (0, 2, 3, 5, 6)] for row in plugin_rows(state.plugins)]
        alerts = [_alert_row(alert) for alert in reversed(state.alerts) if not alert.acked_by]
        _fill(self.query_one("#strategies", DataTable), rows_of_strategies(state.strategies), "<<>>>")
        _fill(self.query_one("#books", DataTable), book_rows(state), "<>>>>")
        _fill(self.query_one("#plugins", DataTable), plugins, "<<>><")
        _fill(self.query_one("#alerts", DataTable), alerts, "><<><")

    def show_silence(self, text: str) -> None:
        """Say why no state comes; what came last stays in view."""
        self.silent = text
        self._head()

    def _head(self) -> None:
        head = Text(no_wrap=True, overflow="ellipsis")
        if self.silent:
            head.append(f"{self.silent}\n", "bold white on red")
        state = self.state
        if state is None:
            head.append("" if self.silent else f"calling {self._run_dir.name} …")
        else:
            head.append(headline(state), "bold red" if state.killed else "bold")
            head.append(f"  up {duration(state.up_s)}  pid {state.pid}\n")
            head.append(f"{clock_text(state.now_ns, state.timezone)}  {state.events_per_s:,.0f} events/s\n")
            doubts = f"{state.in_doubt_count} in doubt, " if state.in_doubt_count else ""
            head.append(
                f"seq {state.seq:,}  orders {state.orders:,} sent, {state.open_orders:,} open, {doubts}"
                f"{state.refused:,} refused, {state.fills:,} fills"
            )
            for line in stop_lines(state):
                head.append(f"\n{line}", "yellow")
        if self._said:
            head.append(f"\n{self._said}", "green")
        self.query_one("#head", Static).update(head)

    # -- keys ------------------------------------------------------------------------------------------------------

    def action_pause(self) -> None:
        """Pause the strategy under the cursor, or let it go on."""
        at = self.query_one("#strategies", DataTable).cursor_row
        if self.state is None or not 0 <= at < len(self.state.strategies):
            return
        row = self.state.strategies[at]
        name = "resume" if row.paused else "pause"
        self._give(f"{name} {row.name}: why?", CommandRequest(command=name, target=row.name, reason=""))

    def action_kill(self) -> None:
        """Switch the kill switch on, or off."""
        if self.state is not None and self.state.killed is not None:
            self._give("switch the kill switch OFF: why?", CommandRequest(command="unkill", reason=""))
        else:
            question = "KILL: no new order, every open one cancelled. Why?"
            self._give(question, CommandRequest(command="kill", reason=""))

    def action_ack(self) -> None:
        """Acknowledge the alert under the cursor."""
        table = self.query_one("#alerts", DataTable)
        if not table.row_count:
            return
        number, _severity, what, *_ = table.get_row_at(table.cursor_row)
        request = CommandRequest(command="ack", argument=str(number), reason="")
        self._give(f"acknowledge {what}: why?", request)

    def _give(self, question: str, request: CommandRequest) -> None:
        def answered(reason: str | None) -> None:
            if reason:
                self.send(request, reason)

        self.push_screen(Ask(question), answered)

    @work(thread=True)
    def send(self, request: CommandRequest, reason: str) -> None:
        """Give a command; what comes of it stands in the head."""
        from msgspec.structs import replace

        try:
            answer = command(
                self._run_dir, replace(request, reason=reason, request=new_request_id()), timeout_s=self._timeout_s
            )
            text = answer.text if isinstance(answer, (CommandAnswer, Refusal)) else "no answer that is known"
        except ControlCallError as error:
            text = str(error)
        self.call_from_thread(self.say, text)

    def say(self, text: str) -> None:
        """Show what came of a command."""
        self._said = text
        self._head()


def _alert_row(alert: OpenAlert) -> list[str | Text]:
    severity = Text(alert.severity, _COLORS.get(alert.severity, ""))
    return [str(alert.id), severity, f"{alert.code}:{alert.subject}", str(alert.count), alert.met]


def _table(name: str, title: str, columns: list[str]) -> DataTable[str | Text]:
    table: DataTable[str | Text] = DataTable(id=name, cursor_type="row", zebra_stripes=True)
    table.border_title = title
    table.add_columns(*columns)
    return table


def _fill(table: DataTable[str | Text], rows: Sequence[Sequence[str | Text]], aligns: str) -> None:
    """Put *rows* into a table, ``>`` to the right; the cursor stays where it is."""
    at, scroll = table.cursor_row, table.scroll_y
    table.clear()
    for row in rows:
        table.add_row(
            *(
                Text(str(cell), justify="right") if align == ">" else cell
                for cell, align in zip(row, aligns, strict=True)
            )
        )
    if rows:
        table.move_cursor(row=min(at, len(rows) - 1), scroll=False)
        table.scroll_to(y=scroll, animate=False)


def _right(cell: str | Text) -> Text:
    return Text(str(cell), justify="right")
