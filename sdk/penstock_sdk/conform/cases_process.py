"""Process: how a plugin of a command starts and ends, seen from the operating system."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from contextlib import suppress

from penstock_sdk.conform.cases import case, fail
from penstock_sdk.conform.kit import Kit
from penstock_sdk.process.peer import PeerError

__all__: list[str] = []

COOKIE = ("PENSTOCK_PLUGIN", "")


def _environment(versions: str) -> dict[str, str]:
    from penstock_sdk.process import handshake

    env = {key: value for key, value in os.environ.items() if not key.startswith("PENSTOCK_")}
    env[handshake.COOKIE_KEY] = handshake.COOKIE_VALUE
    env["PLUGIN_PROTOCOL_VERSIONS"] = versions
    return env


def _first_line(kit: Kit, env: dict[str, str], *, ends: bool = False) -> tuple[str, int | None]:
    """Return the first line on stdout of the command in this environment, and its status where it ended by itself."""
    child = subprocess.Popen(
        kit.opener.command, env=env, cwd=getattr(kit.opener, "cwd", None), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    assert child.stdout is not None
    data = b""
    until = time.monotonic() + kit.patience.answer_s
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while b"\n" not in data and (left := until - time.monotonic()) > 0:
                if selector.select(left):
                    more = os.read(child.stdout.fileno(), 4_096)
                    data += more
                    if not more:
                        break
        if ends:
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(until - time.monotonic(), 0.01))
        status = child.poll()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
    return data.partition(b"\n")[0].decode("utf-8", "replace").strip(), status


@case(
    "process.handshake_line",
    "The first line on its standard output is go-plugin's handshake line, with gRPC.",
    wanted="1|VERSION|unix or tcp|ADDRESS|grpc",
    way_out="print the line first, and send everything else to standard error",
    process=True,
)
def _handshake_line(kit: Kit) -> None:
    line, _ = _first_line(kit, _environment("1"))
    parts = line.split("|")
    if len(parts) < 5 or parts[:2] != ["1", "1"] or parts[2] not in ("unix", "tcp") or parts[4] != "grpc":
        fail(f"{line[:200]!r}")


@case(
    "process.other_version",
    "To a host that offers only versions which it does not speak it never claims one of those.",
    wanted="no line with version 99",
    way_out="choose among PLUGIN_PROTOCOL_VERSIONS, and end with a word on standard error where none fits",
    process=True,
)
def _other_version(kit: Kit) -> None:
    line, _ = _first_line(kit, _environment("99"))
    if line.split("|")[1:2] == ["99"]:
        fail(f"{line[:200]!r}")


@case(
    "process.by_hand",
    "Started by hand, without a host's cookie, it says what it is and ends.",
    wanted="an exit status above 0, and no handshake line",
    way_out="look for the cookie in the environment before you do anything else",
    process=True,
)
def _by_hand(kit: Kit) -> None:
    env = {k: v for k, v in _environment("1").items() if "PLUGIN" not in k}
    line, status = _first_line(kit, env, ends=True)
    if status is None:
        fail("it waits for a host that will not come")
    if status == 0 or line.count("|") >= 4:
        fail(f"status {status}, line {line[:100]!r}")


@case(
    "process.kill",
    "Killed at any time, it starts again and is as new.",
    wanted="an answer to Describe after kill -9 in the middle of a run",
    way_out="leave no lock, socket or file behind that keeps the next start from working",
    process=True,
)
def _kill(kit: Kit) -> None:
    rig = kit.started()
    rig.peer.kill()  # type: ignore[attr-defined]
    try:
        kit.connected().describe()
    except PeerError as error:
        fail(str(error))


@case(
    "process.stop",
    "Stop ends the process by itself.",
    wanted="an end within 2 s of Stop, without a signal",
    way_out="answer Stop, then leave the main function",
    process=True,
)
def _stop(kit: Kit) -> None:
    rig = kit.started()
    process = rig.peer.process  # type: ignore[attr-defined]
    rig.drain()
    with suppress(PeerError):
        rig.stop()
    try:
        status = process.wait(2.0)
    except subprocess.TimeoutExpired:
        fail("the process runs on 2 s after Stop")
    if status < 0:
        fail(f"it ended by signal {-status}")


@case(
    "process.noise",
    "What it writes to standard output while it runs disturbs nothing.",
    wanted="an afternoon without a fault or a break",
    way_out="write to standard error; what goes to standard output after the handshake line is read and dropped",
    process=True,
)
def _noise(kit: Kit) -> None:
    rig = kit.started()
    kit.afternoon(rig, moments=6)
    if rig.faults:
        fail(f"faults {rig.faults[:3]}")
    if rig.peer.process.poll() is not None:  # type: ignore[attr-defined]
        fail("the process has ended")
