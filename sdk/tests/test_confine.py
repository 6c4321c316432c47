"""A confined process gets what it declared and nothing else, and nothing of it outlives it or its parent."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock_sdk.manifest import Resources
from penstock_sdk.process.call_filter import filter_program
from penstock_sdk.process.permissions import PermissionsError, confinement_for, named_secrets, plugin_environment
from penstock_sdk.process.spawn import Child, Confinement, clean_environment, descends_from, launch, probe

WAIT_S = 30
ENFORCED = pytest.mark.skipif(bool(probe()), reason="; ".join(probe()))

# Reads one expression per line, and says of each whether it was refused.
ATTEMPTS = """
import ctypes, json, mmap, os, resource, signal, socket, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
def connect(port, *protocol):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, *protocol) as s: s.connect(("127.0.0.1", port))
def listen(port):
    with socket.socket() as s: s.bind(("127.0.0.1", port))
def fast_open(port):
    with socket.socket() as s: s.sendto(b"x", 0x20000000, ("127.0.0.1", port))
def write(path):
    with open(path, "w") as file: file.write("x")
def read(path):
    with open(path) as file: file.read()
def fork():
    pid = os.fork()
    if pid == 0: os._exit(0)
    os.waitpid(pid, 0)
def thread():
    t = threading.Thread(target=int); t.start(); t.join()
def call(number, *args):
    if libc.syscall(number, *args) < 0: raise OSError(ctypes.get_errno(), "syscall")
said = []
for line in sys.stdin:
    try: eval(line); said.append("allowed")
    except (OSError, MemoryError, RuntimeError) as error: said.append(type(error).__name__)
print(json.dumps(said))
"""
PYTHON = [sys.executable, "-I", "-S", "-c"]
OWN = ("/usr", "/lib", "/lib64", sys.prefix, sys.base_prefix)


@pytest.fixture
def started() -> Iterator[list[Child]]:
    children: list[Child] = []
    yield children
    for child in children:
        child.kill()
        child.process.wait(WAIT_S)
        for stream in (child.process.stdin, child.process.stdout, child.process.stderr):
            if stream:
                stream.close()


def attempt(expressions: list[str], confinement: Confinement | None) -> dict[str, str]:
    """Return what became of each expression in a process so confined."""
    child = launch(
        [*PYTHON, ATTEMPTS], confinement=confinement, env={}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/"
    )
    try:
        said, _ = child.process.communicate("\n".join(expressions).encode(), WAIT_S)
    finally:
        child.kill()
    assert child.poll() == 0
    return dict(zip(expressions, json.loads(said), strict=True))


def gone(reading_end: int) -> bool:
    """Return whether every process that held the pipe's other end is gone, waiting for that."""
    done = threading.Event()

    def drain() -> None:
        while os.read(reading_end, 4096):
            pass
        done.set()

    threading.Thread(target=drain, daemon=True).start()
    return done.wait(WAIT_S)


@ENFORCED
def test_files_that_were_not_declared_are_refused_and_declared_ones_are_not(tmp_path: Path):
    for name in ("own", "data", "outside", "declared"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    os.symlink(tmp_path / "outside" / "file", tmp_path / "data" / "link")
    confinement = confinement_for(
        [f"read:{tmp_path}/declared"],
        Resources(),
        plugin_folder=tmp_path / "own",
        data_folder=tmp_path / "data",
        interpreter=sys.executable,
    )
    allowed = [f"read('{tmp_path}/{name}/file')" for name in ("own", "data", "declared")]
    allowed += [f"write('{tmp_path}/data/new')", f"os.rename('{tmp_path}/data/new', '{tmp_path}/data/newer')"]
    allowed += [
        "read('/dev/null')",
        "write('/dev/null')",
        "os.listdir('/usr')",
        "read('/proc/self/status')",
        "thread()",
    ]
    refused = [f"read('{tmp_path}/outside/file')", f"read('{tmp_path}/data/link')", f"os.listdir('{tmp_path}')"]
    refused += [f"write('{tmp_path}/{name}/new')" for name in ("own", "outside", "declared")]
    refused += [
        "read('/etc/passwd')",
        f"os.unlink('{tmp_path}/outside/file')",
        f"os.truncate('{tmp_path}/own/file', 0)",
    ]
    refused += [f"os.mknod('{tmp_path}/data/disk', 0o60600, os.makedev(8, 0))", "read('/proc/1/status')"]
    refused += [f"open('{tmp_path}/own/file', 'r+')", f"open('{tmp_path}/declared/file', 'r+')"]
    met = attempt(allowed + refused, confinement)
    assert met == dict.fromkeys(allowed, "allowed") | dict.fromkeys(refused, "PermissionError")


@ENFORCED
def test_ports_that_were_not_declared_are_refused_by_every_way_to_connect():
    with socket.create_server(("127.0.0.1", 0)) as open_, socket.create_server(("127.0.0.1", 0)) as closed:
        with socket.create_server(("127.0.0.1", 0)) as freed:
            listened = freed.getsockname()[1]
        ports = Confinement(
            read=OWN, connect_ports=(open_.getsockname()[1],), bind_ports=(listened,), processes=1
        )  # fmt: skip
        other = closed.getsockname()[1]
        allowed = [f"connect({ports.connect_ports[0]})", f"listen({listened})", "socket.socket(2, 2).close()"]
        allowed += ["socket.getaddrinfo('127.0.0.1', 1)", "socket.socket(1).close()"]
        refused = [f"connect({other})", f"listen({other})", f"fast_open({other})", f"connect({other}, 262)"]
        refused += ["socket.socket(17, 3)", "socket.socket(2, 1, 132)"]
        met = attempt(allowed + refused, ports)
    assert {line: met[line] for line in allowed} == dict.fromkeys(allowed, "allowed")
    assert "allowed" not in {met[line] for line in refused}, met


@ENFORCED
def test_without_a_port_there_is_no_internet_socket_at_all():
    met = attempt(["socket.socket()", "socket.socket(2, 2)", "socket.socket(10)", "socket.socket(1)"], Confinement(OWN))
    assert list(met.values()) == ["OSError", "OSError", "OSError", "allowed"]


@ENFORCED
def test_a_signal_an_abstract_socket_and_a_trace_do_not_reach_beyond_the_plugin():
    name = f"penstock-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0" + name)
        server.listen()
        refused = [f"os.kill({os.getpid()}, 0)", f"socket.socket(1).connect('\\0{name}')"]
        refused += [f"call(101, 16, {os.getpid()}, 0, 0)", "call(272, 0x10000000)", "call(425, 1, 0)"]
        met = attempt([*refused, "os.kill(os.getpid(), 0)"], Confinement(OWN, processes=1))
    assert list(met.values()) == ["PermissionError"] * 5 + ["allowed"]


@ENFORCED
def test_the_rights_of_files_and_the_pace_of_others_are_not_a_plugins_to_change(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    path, us = f"'{tmp_path}/file'", os.getpid()
    refused = [f"os.chmod({path}, 0)", f"os.chown({path}, -1, -1)", f"os.setxattr({path}, 'user.x', b'')"]
    refused += [f"os.setpriority(os.PRIO_PROCESS, {us}, 19)", f"os.sched_setaffinity({us}, {{0}})"]
    refused += ["os.setpriority(os.PRIO_USER, 0, 19)", f"resource.prlimit({us}, resource.RLIMIT_NOFILE, (64, 64))"]
    # Also of ourselves by number: who is meant by a number cannot be seen.
    refused += ["os.setpriority(os.PRIO_PROCESS, os.getpid(), 5)", "os.sched_setaffinity(os.getpid(), {0, 1})"]
    refused += ["resource.prlimit(os.getpid(), resource.RLIMIT_NOFILE)"]
    allowed = ["os.setpriority(os.PRIO_PROCESS, 0, 5)", "os.sched_setaffinity(0, os.sched_getaffinity(0))"]
    allowed += ["resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))", f"os.fchmod(os.open({path}, 0), 0o600)"]
    met = attempt(refused + allowed, Confinement((*OWN, str(tmp_path)), processes=1))
    assert met == dict.fromkeys(refused, "PermissionError") | dict.fromkeys(allowed, "allowed")


@ENFORCED
def test_memory_beyond_the_limit_is_refused_however_it_is_asked_for():
    limit = 128 << 20
    lines = [f"bytearray({limit})", "mmap.mmap(-1, 1 << 28)", "os.memfd_create('x')", "bytearray(1 << 20)"]
    lines += ["mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE).close()"]
    met = attempt(lines, Confinement(OWN, memory_bytes=limit, processes=1))
    assert list(met.values()) == ["MemoryError", "PermissionError", "PermissionError", "allowed", "allowed"]


@ENFORCED
def test_a_plugin_of_one_process_forks_by_no_call_and_has_its_threads():
    met = attempt(["fork()", "os.posix_spawn('/bin/true', ['true'], {})", "thread()"], Confinement(OWN, processes=1))
    assert list(met.values()) == ["PermissionError", "PermissionError", "allowed"]
    met = attempt(["fork()", "os.posix_spawn('/bin/true', ['true'], {})"], Confinement(OWN, processes=8))
    assert list(met.values()) == ["allowed", "allowed"]


def test_the_limits_on_time_files_and_dumps_are_the_ones_asked_for():
    lines = [
        "1 // (resource.getrlimit(resource.RLIMIT_CPU) == (7, 8))",
        "1 // (resource.getrlimit(resource.RLIMIT_NOFILE) == (40, 40))",
        "1 // (resource.getrlimit(resource.RLIMIT_CORE) == (0, 0))",
    ]
    assert set(attempt(lines, Confinement(OWN, cpu_s=7, open_files=40)).values()) == {"allowed"}


def test_an_unconfined_process_may_do_what_we_may():
    lines = ["read('/etc/passwd')", "fork()", "socket.socket().close()"]
    assert set(attempt(lines, None).values()) == {"allowed"}
    assert launch_lost(Confinement(landlock=False)) == (
        "files, TCP ports and sockets are not limited: the deployment switched that off",
    )


def launch_lost(confinement: Confinement) -> tuple[str, ...]:
    child = launch(["true"], confinement=confinement, env={})
    assert child.process.wait(WAIT_S) == 0
    return child.lost


def test_what_the_machine_cannot_enforce_is_said(monkeypatch: pytest.MonkeyPatch):
    for abi, words in {0: "no Landlock", 3: "TCP ports", 4: "signals and abstract sockets"}.items():
        monkeypatch.setattr("penstock_sdk.process.spawn.landlock_abi", lambda abi=abi: abi)
        assert words in " ".join(probe())
    monkeypatch.setattr(sys, "platform", "darwin")
    assert probe() == ("plugins are not confined: darwin has neither Landlock nor a signal at the parent's death",)


def test_the_filter_has_numbers_for_the_machines_it_knows_alone():
    wide = dict.fromkeys(("processes", "shared_memory", "sockets", "network"), True)
    narrow = dict.fromkeys(wide, False)
    programs = {filter_program(machine, **flags) for machine in ("x86_64", "aarch64") for flags in (wide, narrow)}
    assert len(programs) == 4
    assert all(len(program) % 8 == 0 and len(program) < 8 * 4096 for program in programs)
    assert filter_program("riscv64", **wide) == b""


@pytest.mark.parametrize("program", ["no-such-command-of-anybody", "/etc/passwd"])
def test_a_command_that_cannot_start_says_so_and_ends(program: str, started: list[Child]):
    child = launch([program], env={}, stderr=subprocess.PIPE)
    started.append(child)
    assert child.process.stderr
    assert child.process.wait(WAIT_S) == (127 if "no-such" in program else 126)
    assert child.process.stderr.read().startswith(f"penstock: {program} was not started: ".encode())


def test_only_a_few_variables_of_ours_reach_the_plugin(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EXCHANGE_PASSWORD", "hidden")
    monkeypatch.setenv("TZ", "UTC")
    met = clean_environment({"PENSTOCK_SOCKET": "/s"})
    assert "EXCHANGE_PASSWORD" not in met
    assert (met["TZ"], met["PENSTOCK_SOCKET"]) == ("UTC", "/s")
    assert clean_environment({"TZ": "Europe/Berlin"})["TZ"] == "Europe/Berlin"
    (there,) = attempt(["1 // ('EXCHANGE_PASSWORD' not in os.environ and os.environ['TZ'] == 'UTC')"], None).values()
    assert there == "allowed"


# A plugin that leaves a detached grandchild behind; both hold the pipe whose number is the argument.
DETACHES = """
import os, signal, sys
if os.fork() == 0:
    os.setsid()
    if os.fork(): os._exit(0)
    [signal.signal(s, signal.SIG_IGN) for s in (signal.SIGTERM, signal.SIGHUP)]
    print("detached", os.getpid(), flush=True)
    while True: signal.pause()
{then}
"""


def detaching(then: str, writing_end: int, **more: Any) -> Child:
    return launch(
        [*PYTHON, DETACHES.format(then=then)], env={}, pass_fds=(writing_end,), stdout=subprocess.PIPE, **more
    )


@pytest.mark.skipif(sys.platform != "linux", reason="needs a subreaper")
def test_what_a_plugin_detaches_ends_with_it(started: list[Child]):
    reading_end, writing_end = os.pipe()
    child = detaching("sys.stdin.read(); os._exit(3)", writing_end, stdin=subprocess.PIPE)
    started.append(child)
    os.close(writing_end)
    assert child.process.stdout and child.process.stdin
    detached = int(child.process.stdout.readline().split()[1])
    assert child.owns(detached) and not child.owns(os.getpid())
    child.process.stdin.close()
    assert child.process.wait(WAIT_S) == 3
    assert gone(reading_end)
    assert not descends_from(detached, child.pid)
    os.close(reading_end)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a subreaper")
def test_a_kill_takes_what_was_detached_too(started: list[Child]):
    reading_end, writing_end = os.pipe()
    child = detaching("signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()", writing_end)
    started.append(child)
    os.close(writing_end)
    assert child.process.stdout
    assert child.process.stdout.readline().startswith(b"detached")
    assert child.poll() is None
    child.kill()
    assert child.process.wait(WAIT_S) == -signal.SIGKILL
    assert gone(reading_end)
    os.close(reading_end)


def test_a_plugin_that_is_asked_to_end_ends(started: list[Child]):
    for confinement in (None, Confinement(OWN, processes=1)):
        child = launch(
            [*PYTHON, "import signal; print(1, flush=True); signal.pause()"],
            confinement=confinement,
            env={},
            stdout=subprocess.PIPE,
        )
        started.append(child)
        assert child.process.stdout and child.process.stdout.readline()
        child.terminate()
        assert child.process.wait(WAIT_S) == -signal.SIGTERM


@pytest.mark.parametrize("confinement", [None, Confinement(OWN, processes=1)])
def test_a_plugin_outlives_the_thread_that_started_it(confinement: Confinement | None, started: list[Child]):
    lines = []

    def start() -> None:  # until the plugin has asked to hear of the end of what started it
        started.append(child := launch([*PYTHON, ECHOES], confinement=confinement, env={}, **PIPES))
        assert child.process.stdout
        lines.append(child.process.stdout.readline())

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    deadline_s = time.monotonic() + WAIT_S
    while Path(f"/proc/self/task/{thread.native_id}").exists():  # Python's join is a little before the system's end
        assert time.monotonic() < deadline_s
    (child,) = started
    assert lines == [b"ready\n"]
    said, _ = child.process.communicate(b"still here\n", WAIT_S)
    assert (said, child.poll()) == (b"still here\n", 0)


def test_a_command_of_ours_needs_no_keeper(started: list[Child]):
    child = launch([*PYTHON, ECHOES], env={}, keeper=False, **PIPES)
    started.append(child)
    assert child.process.stdout and child.process.stdout.readline() == b"ready\n"
    assert Path(f"/proc/{child.pid}/cmdline").read_bytes().split(b"\0")[4] == ECHOES.encode()
    child.kill()
    assert child.process.wait(WAIT_S) == -signal.SIGKILL


ECHOES = "print('ready', flush=True); print(input())"
PIPES: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}

HOST = """
import signal, sys, subprocess, threading
from penstock_sdk.process.spawn import Confinement, launch
confinement = Confinement(read={read!r}, processes={processes})
children = [launch([sys.executable, "-I", "-S", "-c", {plugin!r}], confinement=confinement, env={{}}, pass_fds=({fd},))]
signal.pause()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a signal at the parent's death")
@pytest.mark.parametrize("processes", [1, 8])
@pytest.mark.parametrize("stopped", [False, True])
def test_a_host_that_is_killed_leaves_nothing_behind(processes: int, stopped: bool):
    """Not even one that is stopped, as its keeper may be."""
    reading_end, writing_end = os.pipe()
    said, says = os.pipe()
    ready = f"import os, signal; os.write({says}, b'1'); signal.pause()"
    plugin = ready if processes == 1 else DETACHES.format(then="signal.pause()").replace(
        'print("detached", os.getpid(), flush=True)', f"os.write({says}, b'1')"
    )  # fmt: skip
    source = HOST.format(read=OWN, processes=processes, plugin=plugin, fd=f"{writing_end}, {says}")
    with subprocess.Popen([sys.executable, "-c", source], pass_fds=(writing_end, says)) as host:
        os.close(writing_end)
        os.close(says)
        assert os.read(said, 1) == b"1"
        if stopped:
            (child,) = Path(f"/proc/{host.pid}/task/{host.pid}/children").read_text().split()
            os.kill(int(child), signal.SIGSTOP)
        host.kill()
    assert gone(reading_end)
    assert gone(said)
    os.close(reading_end)
    os.close(said)


@ENFORCED
@pytest.mark.parametrize("greed", ["processes", "bytes"])
def test_a_plugin_of_several_processes_is_ended_when_they_take_too_much(greed: str, started: list[Child]):
    reading_end, writing_end = os.pipe()
    forks = "[os.fork() == 0 and (os.setsid(), signal.pause()) for _ in range(12)]"
    maps = "m = mmap.mmap(-1, 1 << 26); m[::4096] = bytes(1 << 14)"
    plugin = f"import mmap, os, signal; {forks if greed == 'processes' else maps}; signal.pause()"
    child = launch(
        [*PYTHON, plugin],
        confinement=Confinement(OWN, processes=4, memory_bytes=1 << 25),
        env={},
        pass_fds=(writing_end,),
        stderr=subprocess.PIPE,
    )
    started.append(child)
    os.close(writing_end)
    assert child.process.stderr
    assert child.process.wait(WAIT_S) == -signal.SIGKILL
    assert gone(reading_end)
    os.close(reading_end)
    assert f" {greed}, " in (said := child.process.stderr.read().decode()) and "are allowed" in said


@ENFORCED
def test_a_keeper_stays_for_nobody_who_does_not_read_its_last_words():
    reading_end, writing_end = os.pipe()
    os.set_blocking(writing_end, False)
    try:
        while os.write(writing_end, bytes(4096)):
            pass
    except BlockingIOError:
        os.set_blocking(writing_end, True)
    confinement = Confinement(OWN, processes=2)
    plugin = "import os, signal; [os.fork() for _ in range(3)]; signal.pause()"
    child = launch([*PYTHON, plugin], confinement=confinement, env={}, stderr=writing_end)
    try:
        assert child.process.wait(WAIT_S) < 0
    finally:
        child.process.kill()
        os.close(reading_end)
        os.close(writing_end)


@ENFORCED
@pytest.mark.parametrize("way", ["small", "deep", "deleted", "linked"])
def test_a_plugin_whose_files_take_too_much_is_ended_by_name(way: str, tmp_path: Path, started: list[Child]):
    limit = 1 << 20
    does = {
        "small": "for n in range(400): open(f'{n}', 'w').close()",
        "deep": "for n in range(400):\n os.mkdir('a' * 200); os.chdir('a' * 200)",
        "deleted": "kept = [open('x', 'wb', 0) for _ in range(9) if not (os.path.exists('x') and os.unlink('x'))]\n"
        "for file in kept: file.write(bytes(300_000))",
        "linked": "open('x', 'wb').write(bytes(600_000)); os.link('x', 'y'); os.symlink('/usr', 'z')",
    }[way]
    child = launch(
        [*PYTHON, f"import os, signal, time\n{does}\nprint('done', flush=True)\nsignal.pause()"],
        confinement=Confinement(
            OWN, write=(str(tmp_path),), processes=1, disk_bytes=limit, disk_folders=(str(tmp_path),)
        ),
        env={},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    started.append(child)
    assert child.process.stdout and child.process.stderr
    assert child.process.stdout.readline() in (b"done\n", b"")  # it may have been ended by then
    if way == "linked":  # a file of two names counts once, and what a link leads to is not its own
        with pytest.raises(subprocess.TimeoutExpired):
            child.process.wait(1.5)
        return
    assert child.process.wait(WAIT_S) == -signal.SIGKILL
    said = child.process.stderr.read().decode()
    assert "was ended: its f" in said and f"{limit:,}" in said and said.endswith("are allowed\n")


@ENFORCED
def test_no_file_grows_beyond_what_a_plugin_may_hold(tmp_path: Path):
    path = repr(str(tmp_path / "x"))
    fits, too_big = f"open({path}, 'wb').write(bytes(1 << 19))", f"open({path}, 'wb', 0).truncate(1 << 21)"
    limit = "1 // (resource.getrlimit(resource.RLIMIT_FSIZE) == (1 << 20, 1 << 20))"
    own = Confinement(OWN, write=(str(tmp_path),), processes=1, disk_bytes=1 << 20, disk_folders=(str(tmp_path),))
    met = attempt([limit, fits, too_big], own)
    assert met == {limit: "allowed", fits: "allowed", too_big: "OSError"}


def test_permissions_become_paths_and_ports(tmp_path: Path):
    permissions = ["read:/srv/curves/../prices", "write:/srv/out", "tcp:443", "listen:9000", "secret:KEY", "write:data"]
    made = confinement_for(
        [*permissions, "read:deployment"],
        Resources(memory_mb=512, cpu_s=60, open_files=256),
        plugin_folder="/opt/venue",
        data_folder=tmp_path,
        socket_folder="/run/p/venue",
        deployment_folder="/etc/penstock",
    )
    assert {"/srv/prices", "/opt/venue", "/etc/penstock"} <= set(made.read)
    assert made.write == (str(tmp_path), "/run/p/venue", "/srv/out")
    assert (made.connect_ports, made.bind_ports) == ((443,), (9000,))
    assert (made.memory_bytes, made.cpu_s, made.open_files, made.processes) == (512 << 20, 60, 256, 1)
    assert "/" not in made.read
    several = confinement_for([], Resources(processes=8), plugin_folder="/opt/venue", data_folder=tmp_path)
    assert several.write == (str(tmp_path), "/dev/shm")  # where their locks are
    assert plugin_environment(tmp_path)["HOME"] == str(tmp_path)


def test_a_permission_that_is_not_known_is_refused_by_name(tmp_path: Path):
    with pytest.raises(PermissionsError, match='^permission "tcp:70000" is none') as caught:
        confinement_for(["tcp:70000", "fly:1"], Resources(), plugin_folder=tmp_path, data_folder=tmp_path)
    assert 'permission "fly:1" is none' in str(caught.value)


def test_a_plugin_gets_the_secrets_that_it_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "key").write_text("from a file\n")
    monkeypatch.setenv("OURS", "from us")
    met = named_secrets(["secret:A", "tcp:1", "secret:B"], {"A": "env:OURS", "B": f"file:{tmp_path}/key"})
    assert met == {"PENSTOCK_SECRET_A": "from us", "PENSTOCK_SECRET_B": "from a file"}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "^secret A has no reference; write"),
        ({"A": "env:NOT_SET_ANYWHERE"}, "^secret A is env:NOT_SET_ANYWHERE, and that variable is not set$"),
        ({"A": "file:/no/such/file"}, "^secret A is file:/no/such/file: no such file or directory$"),
        ({"A": "file:/dev/null"}, "^secret A is file:/dev/null, which is empty$"),
        ({"A": "hunter2"}, '^secret A is neither "env:VARIABLE" nor'),
        ({"A": "env:PATH", "B": "env:PATH"}, "^secret B is not declared by the plugin, which declares A; remove it$"),
    ],
)
def test_a_secret_that_cannot_be_given_is_named_and_never_shown(table: dict[str, str], words: str):
    with pytest.raises(PermissionsError, match=words) as caught:
        named_secrets(["secret:A"], table)
    assert "hunter2" not in str(caught.value)


def test_a_confinement_can_be_kept_as_json():
    made = Confinement(OWN, ("/data",), (443,), (), 1, 2, 3, 4, False)
    assert msgspec.json.decode(msgspec.json.encode(made), type=Confinement) == made
