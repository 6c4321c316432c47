"""The caller's end of the control socket: find a running kernel, ask it, and say what is so when it does not answer."""

from __future__ import annotations

import os
import pwd
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from penstock_kernel.control.protocol import (
    ANSWER_BYTES_MAX,
    Answer,
    CommandRequest,
    Frames,
    ProtocolError,
    Refusal,
    Request,
    StateAnswer,
    TopRequest,
    decode_answer,
    frame,
    socket_address,
    socket_path,
)
from penstock_kernel.control.restarting import restarting, warden_pid
from penstock_kernel.control.state import State
from penstock_kernel.runs import RunError, RunInfo
from penstock_kernel.vitals import Phase, VitalsView

__all__ = ["Control", "ControlCallError", "NoAnswer", "NotRunning", "find_instance", "new_request_id", "vital_signs"]

RETRY_S = 0.1


class ControlCallError(RuntimeError):
    """A call that came to nothing; the message says what is so."""


class NotRunning(ControlCallError):  # noqa: N818 - a state, not a fault
    """No kernel runs there."""


class NoAnswer(ControlCallError):  # noqa: N818 - a state, not a fault
    """A kernel runs there and has not answered in time, or a watchdog that is about to start one."""


def new_request_id() -> str:
    """Return an id for one command: sent again after a lost answer, the command is done once."""
    return uuid.uuid4().hex


# -- finding -----------------------------------------------------------------------------------------------------------


def find_instance(runs_dir: Path, name: str | None = None) -> Path:
    """Return the folder of an instance, or of a run by itself: the one called *name*, or the only one that runs.

    Raises:
        ControlCallError: none is called so, or several run; lists those there are.
        NotRunning: none runs.
    """
    held = {path.parent.parent for path in runs_dir.glob("*/control/warden.lock")}
    known = sorted(held | {path.parent for path in runs_dir.glob("*/vitals")})
    if name is not None:
        for folder in (runs_dir / name, Path(name)):
            if (folder / "vitals").is_file() or (folder / "run.json").is_file():
                if (folder / "vitals").is_file() and not os.access(folder / "vitals", os.R_OK):
                    raise _not_yours(folder)
                return folder
            if warden_pid(folder) is not None:
                return folder
        begins = [folder for folder in known if folder.name.startswith(name)]
        if len(begins) == 1:
            return begins[0]
        there = ", ".join(folder.name for folder in (begins or known)[-8:]) or "none"
        raise ControlCallError(f"instance {name} is not one in {runs_dir}; there are: {there}")
    for folder in known:
        if (folder / "vitals").exists() and not os.access(folder / "vitals", os.R_OK):
            raise _not_yours(folder)
    running = [folder for folder in known if _runs(folder)]
    if len(running) == 1:
        return running[0]
    if running:
        names = ", ".join(folder.name for folder in running)
        raise ControlCallError(f"{len(running)} instances run in {runs_dir}: {names}; name one with --instance")
    instances = [folder for folder in known if _is_instance(folder)] or known
    if len(instances) == 1:
        raise NotRunning(f"{instances[0].name} is not running{_last_words(instances[0])}")
    last = ", ".join(folder.name for folder in known[-8:])
    there = f"; known there: {last}" if last else ""
    raise NotRunning(f"no instance runs in {runs_dir}{there}; start one with `penstock run --instance NAME`")


def _is_instance(folder: Path) -> bool:
    try:
        return bool(RunInfo.load(folder).instance)
    except RunError:
        return False


def _not_yours(folder: Path) -> ControlCallError:
    owner, caller = (folder / "vitals").stat().st_uid, os.geteuid()
    return ControlCallError(
        f"instance {folder.name} is of user {_user(owner)}, and you are {_user(caller)}; give the command as its owner"
    )


def _user(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def _runs(folder: Path) -> bool:
    if warden_pid(folder) is not None:
        return True
    try:
        view = VitalsView(folder / "vitals")
    except (OSError, ValueError):
        return False
    try:
        return _alive(view) and view.phase not in (Phase.ENDED, Phase.FAILED)
    finally:
        view.close()


def _alive(view: VitalsView) -> bool:
    """Return whether the process that wrote the vitals is still there, and is no other with its number."""
    status = _process(view.pid)
    if status is None:
        return False
    state, started_s = status
    # Since the machine started, time asleep counted; what the kernel wrote leaves that out.
    asleep_s = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    return state not in "ZX" and started_s - asleep_s <= view.started_ns / 1e9 + 1.0


def _process(pid: int) -> tuple[str, float] | None:
    """Return (state, seconds from the machine's start to its own) of a process, or None when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[19]) / os.sysconf("SC_CLK_TCK")


def vital_signs(run_dir: Path) -> ControlCallError:
    """Return what can be seen of a kernel that does not answer: hung, stopped, starting, or gone and since when."""
    try:
        view = VitalsView(run_dir / "vitals")
    except (OSError, ValueError):
        held = restarting(run_dir)
        return NoAnswer(held) if held else NotRunning(f"{run_dir.name} is not running{_last_words(run_dir)}")
    try:
        if not _alive(view):
            if held := restarting(run_dir):
                return NoAnswer(held)
            return NotRunning(f"{run_dir.name} is not running{_last_words(run_dir)}")
        phase, pid, seq = view.phase, view.pid, view.input_seq
        quiet_s = max(0.0, (time.monotonic_ns() - view.turn_ns) / 1e9)
        status = _process(pid)
        if status is not None and status[0] in "Tt":
            return NoAnswer(f"kernel pid {pid} is stopped by a signal or a debugger; `kill -CONT {pid}` lets it go on")
        if seq:
            return NoAnswer(f"kernel pid {pid} has handled input {seq} for {quiet_s:.1f} s")
        if not view.turn_ns:
            return NoAnswer(f"kernel pid {pid} is starting; it takes no calls yet")
        done, wanted = view.progress
        where = phase.name.lower() + (f", {100 * done // wanted} %" if wanted else "")
        return NoAnswer(f"kernel pid {pid} is {where}; it last came round {quiet_s:.1f} s ago")
    finally:
        view.close()


def _last_words(run_dir: Path) -> str:
    """Return when and why a run ended, as its run.json has it; where that still says running, as its vitals do."""
    try:
        info = RunInfo.load(run_dir)
    except RunError:
        return "; it has never run"
    told = _vital_reason(run_dir)  # said last, also where the disk had no room for a run.json
    if told and (not info.ended_ns or told != info.reason):
        return f"; it ended with: {told}"
    if not info.ended_ns:
        return "; it ended without a word, as in a crash or a kill -9"
    when = datetime.fromtimestamp(info.ended_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"; last stopped {when}, {info.status}: {info.reason}"


def _vital_reason(run_dir: Path) -> str:
    """Return what a kernel that could not go on said last, or nothing."""
    try:
        view = VitalsView(run_dir / "vitals")
    except (OSError, ValueError):
        return ""
    try:
        return view.reason
    finally:
        view.close()


# -- calling -----------------------------------------------------------------------------------------------------------


class Control:
    """One connection to a kernel.

    Args:
        timeout_s: how long each answer may take.

    Raises:
        NotRunning: nobody listens there.
        NoAnswer: the kernel is there and does not take the call.
    """

    def __init__(self, run_dir: Path, *, timeout_s: float = 5.0) -> None:
        self._run_dir = run_dir
        self._timeout_s = timeout_s
        self._frames = Frames(ANSWER_BYTES_MAX)
        self._bodies: list[bytes] = []
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._sock.settimeout(timeout_s)
        try:
            with socket_address(socket_path(run_dir)) as address:
                self._sock.connect(address)
        except PermissionError as error:
            self._sock.close()
            text = f"{socket_path(run_dir)}: {error.strerror}; only the owner of the run and root may call"
            raise ControlCallError(text) from None
        except OSError:
            self._sock.close()
            raise vital_signs(run_dir) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._sock.close()

    def ask(self, request: Request) -> Answer:
        """Return the answer to one request.

        Raises:
            NoAnswer, NotRunning: there was none; says what the kernel does.
            ControlCallError: what came is no answer.
        """
        until_s = time.monotonic() + self._timeout_s
        with suppress(OSError):  # it may have hung up with a word on why, which is read below
            self._sock.settimeout(self._timeout_s)
            self._sock.sendall(frame(request))
        return self._receive(until_s)

    def states(self, period_ms: int = 500) -> Iterator[State]:
        """Yield the kernel's state again and again, books included.

        Raises:
            NoAnswer, NotRunning, ControlCallError: as `ask`, once no more come.
        """
        answer = self.ask(TopRequest(period_ms=period_ms))
        while True:
            if not isinstance(answer, StateAnswer):
                raise ControlCallError(answer.text if isinstance(answer, Refusal) else "the kernel sent no state")
            yield answer.state
            answer = self._receive(time.monotonic() + self._timeout_s)

    def _receive(self, until_s: float) -> Answer:
        while not self._bodies:
            try:
                self._sock.settimeout(max(0.001, until_s - time.monotonic()))
                data = self._sock.recv(1 << 20)
            except OSError:
                data = b""
            if not data:
                raise vital_signs(self._run_dir)
            try:
                self._bodies += self._frames.feed(data)
            except ProtocolError as error:
                raise ControlCallError(
                    f"{self._run_dir.name} answers what this penstock cannot read: {error}"
                ) from None
        try:
            return decode_answer(self._bodies.pop(0))
        except ProtocolError as error:
            raise ControlCallError(f"{self._run_dir.name} answers what this penstock cannot read: {error}") from None


def command(
    run_dir: Path, request: CommandRequest, *, timeout_s: float = 5.0, waits: Callable[[str], object] = lambda why: None
) -> Answer:
    """Return what came of a command; asks again, with the same request id, while no kernel answers yet.

    Args:
        waits: told once, in words, what it waits for.

    Raises:
        NotRunning: no kernel, and no watchdog that starts one; with ``request.wait``, not even when the time is up.
        NoAnswer: none has answered when the time is up.
        ControlCallError: as `Control.ask`.
    """
    until_s = time.monotonic() + timeout_s
    told = False
    while True:
        left_s = max(0.05, until_s - time.monotonic())
        try:
            with Control(run_dir, timeout_s=left_s) as control:
                answer = control.ask(request)
            again = request.wait and isinstance(answer, Refusal) and answer.code == "recovering"
            if not again or time.monotonic() + RETRY_S >= until_s:
                return answer
        except NotRunning:
            if not request.wait or time.monotonic() + RETRY_S >= until_s:
                raise
        except NoAnswer as error:
            if time.monotonic() + RETRY_S >= until_s:
                raise
            if not told:
                told = True
                waits(str(error))
        time.sleep(RETRY_S)
