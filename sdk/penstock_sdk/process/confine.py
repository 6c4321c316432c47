"""Takes rights away from this process and becomes a plugin: ``python -I -S confine.py JSON -- COMMAND [ARGUMENT ...]``.

A script of its own that imports the standard library alone, so that a plugin of any language starts behind it within
some 30 ms, and the kernel forks nothing (`spawn.launch` runs it). What the JSON asks for and the machine has is set, or
the command does not run: exit status 126, the cause on stderr. What this machine lacks, `spawn.probe` says beforehand.

The command takes this process over when it may make no processes (`"processes": 1`) and as many files as it likes;
there is nothing else to end or to count then. Else this process stays as its keeper: whatever the command leaves
behind, detached or not, ends with it or with us.
"""

import contextlib
import ctypes
import errno
import json
import os
import resource
import signal
import stat
import struct
import sys
import time
from collections.abc import Sequence
from typing import Any

REFUSED = 126
NOT_FOUND = 127

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 22, 24, 36, 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH, _RULE_PORT = 1, 2
_FILE_RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15}  # how many of the rights an ABI knows; later ones: 16
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK, _TRUNCATE, _IOCTL_DEV = 1 << 6, 1 << 11, 1 << 14, 1 << 15
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_BIND, _CONNECT = 1, 2
_WATCH_S = 0.5
_PARENT_S = 2.0
"""How often a keeper without limits to watch looks after its parent, beside the signal that tells it."""
_LAST_WORDS_S = 1
_FILE_BYTES_MIN = 4096
"""What the smallest file or folder counts: they use up a disk, too."""

_libc = ctypes.CDLL(None, use_errno=True)


class RefusedError(Exception):
    """A right could not be taken away, so the command must not run."""


def main(arguments: Sequence[str]) -> int:
    """Confine this process as the JSON says and run the command; return only when that cannot be done."""
    wanted: dict[str, Any] = json.loads(arguments[0])
    argv = list(arguments[2:])
    try:
        # A keeper sees by SIGCONT that its parent is gone: that wakes one that was stopped, too.
        _die_with_parent(wanted["parent"], signal.SIGCONT if wanted["keep"] else signal.SIGKILL)
        if wanted["keep"]:
            return _keep(argv, wanted)
        _become(argv, wanted)
    except RefusedError as error:
        print(f"penstock: {argv[0]} was not started: {error}", file=sys.stderr)
    return REFUSED


def _become(argv: list[str], wanted: dict[str, Any]) -> None:
    """Take the rights away and exec the command; the order matters: each step still may do what the next needs."""
    os.umask(0o077)
    _set_limits(wanted)
    if sys.platform == "linux":
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        if wanted["confined"]:
            _drop_capabilities()
            if wanted["abi"] > 0:
                _restrict(wanted, wanted["abi"])
            if wanted["filter"]:
                _filter_calls(bytes.fromhex(wanted["filter"]))
    try:
        os.execvpe(argv[0], argv, os.environ)
    except OSError as error:
        print(f"penstock: {argv[0]} was not started: {(error.strerror or str(error)).lower()}", file=sys.stderr)
        os._exit(NOT_FOUND if isinstance(error, FileNotFoundError) else REFUSED)


def _die_with_parent(parent: int, by: int) -> None:
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, by)
    if os.getppid() != parent:  # it ended before we asked
        os._exit(REFUSED)


def _set_limits(wanted: dict[str, Any]) -> None:
    """Set the resource limits that are not 0; never above what we may have ourselves."""
    _limit(resource.RLIMIT_CORE, 0, 0)  # a core dump holds secrets
    if memory_bytes := wanted["memory_bytes"]:
        # Not the address space: Go and Node reserve far more of it than they use.
        _limit(resource.RLIMIT_DATA, memory_bytes, memory_bytes)
    if cpu_s := wanted["cpu_s"]:
        _limit(resource.RLIMIT_CPU, cpu_s, cpu_s + 1)
    if open_files := wanted["open_files"]:
        _limit(resource.RLIMIT_NOFILE, open_files, open_files)
    if disk_bytes := wanted["disk_bytes"]:  # of one file; the keeper counts all of them
        _limit(resource.RLIMIT_FSIZE, disk_bytes, disk_bytes)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")  # when the machine runs out of memory, the plugin goes before the kernel


def _limit(which: int, soft: int, hard: int) -> None:
    _, ceiling = resource.getrlimit(which)
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    try:
        resource.setrlimit(which, (soft, hard))
    except (OSError, ValueError) as error:
        raise RefusedError(f"the limit {soft} could not be set: {error}") from error


def _drop_capabilities() -> None:
    """Give up what root may do beyond owning its files, for good."""
    for capability in range(64):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) < 0:
            break  # not root, or no such capability
    header = struct.pack("<Ii", 0x20080522, 0)
    if _libc.capset(header, bytes(24)) < 0:
        raise RefusedError(f"capabilities could not be dropped: {os.strerror(ctypes.get_errno())}")


def _restrict(wanted: dict[str, Any], abi: int) -> None:
    """Allow the files and TCP ports that are named, and no others, by Landlock."""
    every = (1 << _FILE_RIGHTS_BY_ABI.get(abi, 16)) - 1
    ports = _BIND | _CONNECT if abi >= 4 else 0
    scoped = 3 if abi >= 6 else 0  # abstract sockets and signals stay among the plugin's own processes
    attributes = struct.pack("<QQQ", every, ports, scoped)[: 8 if abi < 4 else 16 if abi < 6 else 24]
    ruleset = _syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    read = _EXECUTE | _READ_FILE | _READ_DIR
    for path in wanted["read"]:
        _allow_path(ruleset, path, read & every)
    for path in wanted["devices"]:
        _allow_path(ruleset, path, (_READ_FILE | _WRITE_FILE) & every)
    for path in wanted["write"]:
        _allow_path(ruleset, path, every & ~(_EXECUTE | _MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV))
    for right, named in ((_BIND, wanted["bind_ports"]), (_CONNECT, wanted["connect_ports"])):
        for port in named if ports else ():
            _syscall(_ADD_RULE, ruleset, _RULE_PORT, struct.pack("<QQ", right, port), 0)
    _syscall(_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _allow_path(ruleset: int, path: str, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no permission
    try:
        if not os.path.isdir(path):
            rights &= _OF_A_FILE
        _syscall(_ADD_RULE, ruleset, _RULE_PATH, struct.pack("<Qi", rights, opened), 0)
    finally:
        os.close(opened)


def _filter_calls(program: bytes) -> None:
    """Refuse the system calls that a seccomp program of 8-byte steps names; `call_filter` makes it."""
    code = ctypes.create_string_buffer(program, len(program))
    steps = struct.pack("@HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    if _libc.prctl(_PR_SET_SECCOMP, 2, steps, 0, 0) < 0:
        raise RefusedError(f"system calls could not be filtered: {os.strerror(ctypes.get_errno())}")


def _keep(argv: list[str], wanted: dict[str, Any]) -> int:
    """Run the command as a child; return its exit status when nothing of it is left.

    SIGUSR1 ends everything; so does the end of our parent, and a command that goes beyond its memory, processes or
    files.
    """
    signals = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD, signal.SIGCONT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    if sys.platform == "linux":
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    us = os.getpid()
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        try:
            _die_with_parent(us, signal.SIGKILL)
            _become(argv, wanted)
        except RefusedError as error:
            print(f"penstock: {argv[0]} was not started: {error}", file=sys.stderr)
        os._exit(REFUSED)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.closerange(3, 1 << 16)  # sockets and pipes are the command's alone: their other end sees when it closes them
    status, cause = _wait(child, wanted, signals)
    _end_all()
    if cause:
        signal.alarm(_LAST_WORDS_S)  # nobody may be reading, and we must not stay for that
        with contextlib.suppress(OSError):
            print(f"penstock: {wanted['name']} was ended: {cause}", file=sys.stderr, flush=True)
    if status < 0:
        if status != -signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-status})
        os.kill(us, -status)
    return status if status >= 0 else 128 - status


def _wait(child: int, wanted: dict[str, Any], signals: set[signal.Signals]) -> tuple[int, str]:
    """Return the child's exit status, negative for a signal, and which limit it went beyond; "" for none.

    The child may live on then: it must go, with all that it started.
    """
    memory_bytes, processes, disk_bytes = wanted["memory_bytes"], wanted["processes"], wanted["disk_bytes"]
    watch_s = _WATCH_S if memory_bytes or processes or disk_bytes else _PARENT_S
    look_at_disk_s = 0.0
    while True:
        # The parent may have ended before signals were blocked: then none comes.
        caught = signal.sigtimedwait(signals, watch_s) if os.getppid() == wanted["parent"] else None
        if os.getppid() != wanted["parent"] or (caught and caught.si_signo == signal.SIGUSR1):
            return -signal.SIGKILL, ""
        status = _reap(child)
        if status is not None:
            return status, ""
        cause = _excess(memory_bytes, processes) if memory_bytes or processes else ""
        if not cause and disk_bytes and (began_s := time.monotonic()) >= look_at_disk_s:
            cause = _excess_on_disk(disk_bytes, wanted["disk_folders"])
            ended_s = time.monotonic()
            look_at_disk_s = ended_s + 20 * (ended_s - began_s)  # many files: seldom, not all the time
        if cause:
            return -signal.SIGKILL, cause


def _reap(child: int) -> int | None:
    """Return the exit status of *child* when it has ended; collect every other that has."""
    status = None
    while True:
        try:
            pid, code = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == 0:
            return status
        if pid == child:
            status = os.waitstatus_to_exitcode(code)


def _excess(memory_bytes: int, processes: int) -> str:
    """Return which limit all the processes together are beyond, "" when none."""
    below = _descendants()
    if processes and len(below) > processes:
        return f"it had {len(below)} processes, {processes} are allowed"
    used = sum(map(_own_bytes, below)) if memory_bytes else 0
    return f"its processes held {used:,} bytes, {memory_bytes:,} are allowed" if used > memory_bytes > 0 else ""


def _excess_on_disk(disk_bytes: int, folders: Sequence[str]) -> str:
    """Return that the files in *folders*, and those of them that are deleted and still open, are too much; else ""."""
    used, fault = 0, ""
    counted: set[tuple[int, int]] = set()
    """Files of several names, or of none."""
    devices = set()
    pending = list(folders)
    while pending and used <= disk_bytes and not fault:
        folder = pending.pop()
        try:
            devices.add(os.lstat(folder).st_dev)
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    with contextlib.suppress(FileNotFoundError):
                        used += _blocks(entry.stat(follow_symlinks=False), counted)
                    if used > disk_bytes:
                        break
        except (FileNotFoundError, NotADirectoryError):
            continue  # gone meanwhile
        except OSError as error:  # nested beyond the length of a path, or closed to us: nothing may hide there
            why = errno.errorcode.get(error.errno or 0, str(error))
            fault = f"its folder {folder[-80:]!a} cannot be counted ({why}), and {disk_bytes:,} bytes are allowed"
    for pid in _descendants() if os.path.isdir("/proc/self/fd") and used <= disk_bytes and not fault else ():
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    found = os.stat(f"/proc/{pid}/fd/{name}")
                    if found.st_nlink == 0 and found.st_dev in devices and stat.S_ISREG(found.st_mode):
                        used += _blocks(found, counted)
    return f"its files hold {used:,} bytes or more, {disk_bytes:,} are allowed" if used > disk_bytes else fault


def _blocks(found: os.stat_result, counted: set[tuple[int, int]]) -> int:
    """Return what a file takes of its disk; 0 for one that was counted."""
    if found.st_nlink != 1 and not stat.S_ISDIR(found.st_mode):
        if (found.st_dev, found.st_ino) in counted:
            return 0
        counted.add((found.st_dev, found.st_ino))
    return max(_FILE_BYTES_MIN, found.st_blocks * 512)


def _own_bytes(pid: int) -> int:
    """Return the bytes of memory that are a process's own or shared without a file."""
    try:
        with open(f"/proc/{pid}/status") as file:
            rows = [line.split() for line in file if line.startswith(("RssAnon:", "RssShmem:"))]
    except OSError:
        return 0
    return sum(int(row[1]) for row in rows) * 1024


def _descendants() -> list[int]:
    """Return our children and theirs, parents first."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            parents.setdefault(parent, []).append(int(name))
    found = list(parents.get(os.getpid(), ()))
    for pid in found:
        found += parents.get(pid, ())
    return found


def _end_all() -> None:
    """Kill whatever descends from us until nothing is left; who loses its parent becomes our child."""
    if sys.platform != "linux":
        return
    while True:
        for step in (signal.SIGSTOP, signal.SIGKILL):  # who is stopped forks no more
            for pid in _descendants():
                with contextlib.suppress(OSError):
                    os.kill(pid, step)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.001)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) < 0:
        raise RefusedError(f"prctl {option} failed: {os.strerror(ctypes.get_errno())}")


def _syscall(number: int, *arguments: Any) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        raise RefusedError(f"Landlock failed: {os.strerror(ctypes.get_errno())}")
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
