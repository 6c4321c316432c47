"""``penstock status``, ``top``, ``alerts``, ``limits``, and the commands that stop a running kernel and let it go on.

They find the run's control socket, ask, print the answer. docs/operate.md tells what each does.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from rich.console import Console

if TYPE_CHECKING:
    from penstock_kernel.control.protocol import Answer, CommandAnswer, Request

__all__ = [
    "DONE",
    "NOT_RUNNING",
    "NO_ANSWER",
    "REFUSED",
    "Add",
    "add_commands",
    "ask_kernel",
    "command_options",
    "common_options",
    "failed",
    "guarded",
    "send_command",
    "show",
]

DONE, REFUSED, NOT_RUNNING, NO_ANSWER = 0, 2, 3, 4
"""Exit codes."""
FOLLOW_S = 1.0
WATCH_S = 0.05
TIMEOUT_S = 5.0
WAIT_S = 600.0

_STRATEGY = "a strategy; every one when left out"
_SUMMARIES = {
    "pause": ("let a strategy, or all, send no new order, and cancel its open ones", _STRATEGY),
    "resume": ("let a paused strategy, or all, send orders again", _STRATEGY),
    "cancel-all": ("cancel the open orders of a strategy, or of all", _STRATEGY),
    "kill": ("switch the kill switch on: no new order, every open one cancelled", None),
    "unkill": ("switch the kill switch off", None),
    "quarantine": ("let a plugin hear nothing more, and cancel its orders", "a plugin"),
    "release": ("let a quarantined plugin start again: at once out of process, else with the next session", "a plugin"),
    "stop": ("stop the run: every plugin drains", None),
}  # fmt: skip
_ONE_NEEDED = ("quarantine", "release")


class Add(Protocol):
    """Adds a command to the command line, and returns its parser."""

    def __call__(
        self, name: str, command: Callable[[argparse.Namespace, Console], int], summary: str, description: str = ""
    ) -> argparse.ArgumentParser:
        """Return the parser of the new command, for its options."""
        ...


def add_commands(add: Add) -> None:
    """Add the operator's commands to the command line."""
    status = add("status", guarded(_status), "say where a running kernel stands")
    top = add("top", guarded(_top), "watch a running kernel", "Watch a running kernel: p pause, k kill, a ack, q quit.")
    top.add_argument("--once", action="store_true", help="print one state and end")
    top.add_argument("--plain", action="store_true", help="as text, one state after another")
    alerts = add("alerts", guarded(_alerts), "list the open alerts, or acknowledge some")
    alerts.add_argument("--ack", metavar="ALERT", help="CODE, CODE:SUBJECT, an id, or all; wants --reason")
    alerts.add_argument("--all", action="store_true", help="those that are acknowledged, too")
    alerts.add_argument("--follow", action="store_true", help="go on, and print what comes")
    alerts.add_argument("--test", action="store_true", help="send a test alert to every sink, say what came of it")
    limits = add("limits", guarded(_limits), "show the limits in force, or set some")
    limits.add_argument("file", nargs="?", type=Path, help="TOML with [limits] and [plugins.NAME.limits]")
    limits.add_argument("--set", action="append", default=[], metavar="[STRATEGY.]LIMIT=VALUE", dest="words")
    for sub in (status, top, alerts, limits):
        common_options(sub)
    for sub in (alerts, limits):
        command_options(sub, reason_needed=False)
    for name, (summary, target) in _SUMMARIES.items():
        sub = add(name, guarded(_simple), summary, summary[0].upper() + summary[1:] + ".")
        if target is not None:
            sub.add_argument("target", nargs=None if name in _ONE_NEEDED else "?", default="", help=target)
        if name == "stop":
            sub.add_argument("--cancel", action="store_true", help="cancel every open order first")
        common_options(sub)
        command_options(sub, reason_needed=True)


def common_options(sub: argparse.ArgumentParser) -> None:
    """Add what every call of an instance takes."""
    sub.add_argument("--instance", metavar="NAME", help="default: the only one that runs")
    sub.add_argument("--runs-dir", type=Path, default=Path("runs"), help="where runs are kept (default: runs)")
    sub.add_argument("--json", action="store_true", help="print JSON")
    sub.add_argument("--timeout", type=float, default=None, metavar="S", help="seconds for an answer (default: 5)")


def command_options(sub: argparse.ArgumentParser, *, reason_needed: bool) -> None:
    """Add what every command to an instance takes."""
    sub.add_argument("--reason", required=reason_needed, help="why: it is journaled with who you are")
    sub.add_argument("--request", metavar="ID", help="an id of your own: given twice, it is done once")
    sub.add_argument("--wait", action="store_true", help="until it is done: also over a recovery; of stop, to the end")


def guarded(command: Callable[[argparse.Namespace, Console], int]) -> Callable[[argparse.Namespace, Console], int]:
    """Return the command with what can go wrong in a call as its exit code."""

    def run(options: argparse.Namespace, console: Console) -> int:
        from penstock_kernel.control.client import ControlCallError, NoAnswer, NotRunning
        from penstock_kernel.control.limits_file import LimitsError

        try:
            return command(options, console)
        except NotRunning as error:
            code, text = NOT_RUNNING, str(error)
        except NoAnswer as error:
            code, text = NO_ANSWER, str(error)
        except (ControlCallError, LimitsError) as error:
            code, text = REFUSED, str(error)
        return failed(options, code, text)

    return run


def failed(options: argparse.Namespace, code: int, text: str, faults: Sequence[str] = ()) -> int:
    """Say why nothing came of it, each fault on a line of its own; return the exit code."""
    from msgspec import json

    if options.json:
        more = {"faults": list(faults)} if faults else {}
        sys.stdout.write(json.encode({"is": "error", "exit": code, "text": text, **more}).decode() + "\n")
    elif len(faults) > 1:
        sys.stderr.write("".join(f"penstock {options.name}: {fault}\n" for fault in faults))
        sys.stderr.write(f"penstock {options.name}: {len(faults)} faults, nothing was done\n")
    else:
        sys.stderr.write(f"penstock {options.name}: {text}\n")
    return code


# -- asking ------------------------------------------------------------------------------------------------------------


def run_dir_of(options: argparse.Namespace) -> Path:
    from penstock_kernel.control.client import find_instance

    return find_instance(options.runs_dir, options.instance)


def _timeout_s(options: argparse.Namespace) -> float:
    if options.timeout is not None:
        return max(0.05, float(options.timeout))
    return WAIT_S if getattr(options, "wait", False) else TIMEOUT_S


def ask_kernel(options: argparse.Namespace, request: Request) -> Answer:
    """Return the instance's answer to one request."""
    from penstock_kernel.control.client import Control

    with Control(run_dir_of(options), timeout_s=_timeout_s(options)) as control:
        return control.ask(request)


def show(options: argparse.Namespace, console: Console, answer: Answer, lines: Callable[[], list[str]]) -> int:
    """Print an answer, as JSON or as *lines*; return the exit code that goes with it."""
    from msgspec import json

    from penstock_kernel.control.protocol import Refusal

    if isinstance(answer, Refusal):
        code = NO_ANSWER if answer.code in ("busy", "failed") else REFUSED
        return failed(options, code, answer.text, answer.faults)
    if options.json:
        console.print(json.encode(answer).decode(), markup=False, soft_wrap=True)
    else:
        console.print("\n".join(lines()), markup=False, soft_wrap=True)
    return DONE


def _status(options: argparse.Namespace, console: Console) -> int:
    from penstock_kernel.cli.state_text import state_lines
    from penstock_kernel.control.protocol import StateAnswer, StatusRequest

    answer = ask_kernel(options, StatusRequest())
    return show(options, console, answer, lambda: state_lines(answer.state) if isinstance(answer, StateAnswer) else [])


def _top(options: argparse.Namespace, console: Console) -> int:
    from penstock_kernel.cli.state_text import state_lines
    from penstock_kernel.control.client import Control
    from penstock_kernel.control.protocol import StateAnswer

    run_dir = run_dir_of(options)
    if not (options.once or options.plain or options.json):
        from penstock_kernel.cli.top import Top

        Top(run_dir, timeout_s=_timeout_s(options)).run()
        return DONE
    with Control(run_dir, timeout_s=_timeout_s(options)) as control:
        states = control.states()
        state = next(states)
        if options.once:  # the first one comes before anything of the books was heard
            state = next(states)
        show(options, console, StateAnswer(state), lambda: state_lines(state))
        for state in () if options.once else states:
            show(options, console, StateAnswer(state), lambda state=state: ["", *state_lines(state)])  # type: ignore[misc]
    return DONE


def _alerts(options: argparse.Namespace, console: Console) -> int:
    from penstock_kernel.cli.state_text import alert_lines
    from penstock_kernel.control.client import Control
    from penstock_kernel.control.protocol import AlertsAnswer, AlertsRequest, StateAnswer, StatusRequest

    if options.ack:
        return send_command(options, console, "ack", argument=options.ack)
    if options.test:
        return _test_sinks(options, console)
    told: dict[int, tuple[int, str]] = {}
    with Control(run_dir_of(options), timeout_s=_timeout_s(options)) as control:
        where = control.ask(StatusRequest())
        timezone = where.state.timezone if isinstance(where, StateAnswer) else "UTC"
        while True:
            answer = control.ask(AlertsRequest())
            if not isinstance(answer, AlertsAnswer):
                return show(options, console, answer, list)
            fresh = [
                alert
                for alert in answer.alerts
                if (options.all or not alert.acked_by) and told.get(alert.id) != (alert.count, alert.acked_by)
            ]
            told |= {alert.id: (alert.count, alert.acked_by) for alert in fresh}
            if fresh or not options.follow:
                lines = alert_lines(fresh, timezone) or ["no alerts open"]
                show(options, console, AlertsAnswer(fresh), lambda lines=lines: lines)  # type: ignore[misc]
            if not options.follow:
                return DONE
            time.sleep(FOLLOW_S)


def _test_sinks(options: argparse.Namespace, console: Console) -> int:
    """Send a test alert to each sink of the run's deployment, from here; the kernel need not run."""
    from msgspec import json

    from penstock_kernel.alerts.courier import try_sinks
    from penstock_kernel.alerts.tables import sinks_of
    from penstock_kernel.deployment import load_deployment

    run_dir = run_dir_of(options)
    trials = try_sinks(sinks_of(load_deployment(run_dir / "deployment.toml").tree), run_dir.name)
    rows = [{"sink": trial.name, "delivered": trial.ok, "text": trial.text} for trial in trials]
    if options.json:
        console.print(json.encode(rows).decode(), markup=False, soft_wrap=True)
        return DONE if all(trial.ok for trial in trials) else REFUSED
    for trial in trials:
        what = "delivered" if trial.ok else f"failed: {trial.text}"
        console.print(f"{trial.name}: {what} ({trial.took_s:.2f} s)", markup=False, soft_wrap=True)
    if not trials:
        console.print("no sinks: [[alerts.sinks]] of the deployment names them", markup=False)
    return DONE if all(trial.ok for trial in trials) else REFUSED


def _limits(options: argparse.Namespace, console: Console) -> int:
    from penstock_kernel.cli.state_text import limit_lines
    from penstock_kernel.control.client import Control
    from penstock_kernel.control.limits_file import as_argument, rows_of_file, rows_of_words
    from penstock_kernel.control.protocol import LimitsAnswer, LimitsRequest, StateAnswer, StatusRequest

    with Control(run_dir_of(options), timeout_s=_timeout_s(options)) as control:
        answer = control.ask(LimitsRequest())
        if not isinstance(answer, LimitsAnswer):
            return show(options, console, answer, list)
        if options.file is None and not options.words:
            where = control.ask(StatusRequest())
            timezone = where.state.timezone if isinstance(where, StateAnswer) else "UTC"
            return show(options, console, answer, lambda: limit_lines(answer.rows, timezone))
    rows = rows_of_file(options.file, answer.owners) if options.file is not None else []
    rows += rows_of_words(options.words, answer.owners)
    return send_command(options, console, "limits", argument=as_argument(rows))


# -- commanding --------------------------------------------------------------------------------------------------------


def _simple(options: argparse.Namespace, console: Console) -> int:
    target = getattr(options, "target", None) or ""
    options.instance = str(run_dir_of(options))  # the only one that runs may not run any more, a moment later
    argument = "cancel" if getattr(options, "cancel", False) else ""
    code = send_command(options, console, options.name.replace("-", "_"), target=target, argument=argument)
    if code == DONE and options.name == "stop" and options.wait:
        return _wait_for_the_end(options, console)
    return code


def send_command(
    options: argparse.Namespace, console: Console, command: str, *, target: str = "", argument: str = ""
) -> int:
    """Give the instance a command, print what came of it, return the exit code."""
    from penstock_kernel.control.client import ControlCallError, new_request_id
    from penstock_kernel.control.client import command as call
    from penstock_kernel.control.protocol import CommandAnswer, CommandRequest

    if not (options.reason or "").strip():
        return failed(options, REFUSED, f"{command} met no reason, wanted some words on why; give --reason")
    request = CommandRequest(
        command=command, target=target, argument=argument, reason=options.reason.strip(), wait=options.wait,
        request=options.request or new_request_id(),
    )  # fmt: skip
    run_dir = run_dir_of(options)
    try:
        answer = call(run_dir, request, timeout_s=_timeout_s(options), waits=lambda why: _waits(options, why))
    except ControlCallError as error:
        # It may have been done all the same: with this id, asking again does it once.
        text = f"{error}; to ask again for the same: --request {request.request}"
        raise type(error)(text) from None
    return show(options, console, answer, lambda: _told(answer) if isinstance(answer, CommandAnswer) else [])


def _waits(options: argparse.Namespace, why: str) -> None:
    """Say what a command waits for; its answer comes on standard output."""
    if not options.json:
        sys.stderr.write(f"penstock {options.name}: {why}; waiting up to {_timeout_s(options):g} s\n")


def _told(answer: CommandAnswer) -> list[str]:
    seq = f" (seq {answer.seq})" if answer.seq else ""
    return [f"{answer.text}{seq}"]


def _wait_for_the_end(options: argparse.Namespace, console: Console) -> int:
    """Return once the kernel's process is gone, with what it left; a drain may take its time."""
    from penstock_kernel.control.client import NotRunning, vital_signs

    until_s = time.monotonic() + _timeout_s(options)
    while not isinstance(signs := vital_signs(Path(options.instance)), NotRunning):
        if time.monotonic() >= until_s:
            return failed(options, NO_ANSWER, f"it has not ended in time: {signs}")
        time.sleep(WATCH_S)
    if not options.json:
        console.print(str(signs), markup=False, soft_wrap=True)
    return DONE
