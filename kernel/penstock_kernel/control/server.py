"""The kernel's end of the control socket: served between inputs, on the kernel's own thread.

A turn costs a look at the clock, and once a millisecond a question to the system whether anybody called. Whatever a
caller does, it costs the kernel a bounded time per turn and bounded memory: callers that send nonsense, read nothing or
say half a sentence are dropped.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from penstock_kernel.control.commands import Commands
from penstock_kernel.control.facts import Facts, Served, phase_of
from penstock_kernel.control.peers import Peer, Peers, peer_of
from penstock_kernel.control.protocol import (
    ANSWER_BYTES_MAX,
    REQUEST_BYTES_MAX,
    AlertsAnswer,
    AlertsRequest,
    Answer,
    CommandAnswer,
    CommandRequest,
    Frames,
    LimitsAnswer,
    LimitsRequest,
    ProtocolError,
    QueryAnswer,
    QueryRequest,
    Refusal,
    Request,
    StateAnswer,
    TopRequest,
    decode_request,
    frame,
    socket_address,
    socket_path,
)
from penstock_kernel.kernel import Kernel
from penstock_sdk.events import Alert, Severity

__all__ = ["ControlError", "ControlServer"]

POLL_NS = 1_000_000
"""The system is asked this often whether somebody called …"""
TURN_NS_MAX = 2_000_000
"""… and no longer than this at a time is spent on callers."""
SWEEP_NS = 1_000_000_000
HALF_MESSAGE_NS_MAX = 5_000_000_000
IDLE_NS_MAX = 60_000_000_000
CLIENTS_MAX = 256
RECV_BYTES = 64 << 10
PERIOD_MS_MIN = 100
STATE_AGE_NS_MAX = 100_000_000
"""A state this young is given to the next who asks."""
DENIED_TOLD_NS = 60_000_000_000
_WAY_OUT = "find out who that is; the folder of the run should be its owner's alone"


class ControlError(RuntimeError):
    """The socket cannot be set up; says why and what to do."""


class _Client:
    """One caller."""

    __slots__ = (
        "active_ns", "asked", "closing", "due_ns", "frames", "out", "peer", "period_ns", "sock", "waiting", "writing",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, peer: Peer, now_ns: int) -> None:
        self.sock = sock
        self.peer = peer
        self.frames = Frames(REQUEST_BYTES_MAX)
        self.out = bytearray()
        self.asked: list[bytes] = []
        """Whole messages that are not looked at yet."""
        self.active_ns = now_ns
        self.period_ns = 0
        """Above 0 the caller looks at `top`."""
        self.due_ns = 0
        self.waiting = 0
        """Commands of its that are not done yet."""
        self.writing = False
        self.closing = False


class ControlServer:
    """Serves a run's control socket between inputs, as one of its observers; `close` it before the journal is let go.

    Args:
        run: made once its journal is locked, which is what keeps two servers from one folder.
        credentials: whom a connection comes from; tests give their own.

    Raises:
        ControlError: the folder is another user's, or the socket cannot be bound.
    """

    def __init__(self, run: Served, *, credentials: Callable[[socket.socket], Peer] = peer_of) -> None:
        self._run = run
        self._credentials = credentials
        self._peers = Peers()
        self.path = socket_path(run.dir)
        self._listener, self._inode = _listen(self.path)
        self._epoll = select.epoll()
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        self._clients: dict[int, _Client] = {}
        self._busy: set[int] = set()
        """File numbers of callers whose messages wait for the next turn."""
        self._poll_due_ns = self._sweep_due_ns = self._stream_due_ns = 0
        self._streams = 0
        """Callers who look at `top`."""
        self._denied_told_ns: dict[str, int] = {}
        self._state: tuple[int, bool, bytes] = (0, False, b"")
        self.faults: Counter[str] = Counter()
        """What went wrong in serving, by kind: it is logged at its first time."""
        self.facts = Facts(run)
        self.commands = Commands(run, self.facts, self._peers)
        run.observers.append(self.turn)

    @property
    def _kernel(self) -> Kernel:
        return self._run.kernel

    # -- turns -----------------------------------------------------------------------------------------------------

    def turn(self) -> None:
        """Serve whoever called. Cost: 0.1 µs, once a millisecond 1 µs; more when somebody asks."""
        now_ns = time.monotonic_ns()
        if now_ns < self._poll_due_ns:
            return
        self._poll_due_ns = now_ns + POLL_NS
        events = self._epoll.poll(0, 64)
        streaming = self._streams and now_ns >= self._stream_due_ns
        if events or self._busy or streaming or now_ns >= self._sweep_due_ns:
            try:
                self._serve(events, now_ns)
            except Exception as error:  # whatever is wrong here, the run must not end of it
                self._fault("serve", error)

    def _serve(self, events: list[tuple[int, int]], now_ns: int) -> None:
        until_ns = now_ns + TURN_NS_MAX
        listener = self._listener.fileno()
        for number, mask in events:
            if number == listener:
                self._accept(now_ns)
                continue
            client = self._clients.get(number)
            if client is None:
                continue
            if mask & select.EPOLLOUT:
                self._flush(client)
            if mask & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                self._read(client, now_ns)  # who asked and hung up is heard all the same
        for number in list(self._busy):
            client = self._clients.get(number)
            while client is not None and client.asked and not client.closing and time.monotonic_ns() < until_ns:
                self._ask(client, client.asked.pop(0), now_ns)
            if client is None or not client.asked:
                self._busy.discard(number)
        if self._streams and now_ns >= self._stream_due_ns:
            self._stream(now_ns, until_ns)
        if now_ns >= self._sweep_due_ns:
            self._sweep_due_ns = now_ns + SWEEP_NS
            self._sweep(now_ns)

    def _sweep(self, now_ns: int) -> None:
        """Count rates; drop who is slow, silent or half-way through a message for too long."""
        self.facts.tick(now_ns)
        for client in list(self._clients.values()):
            quiet_ns = now_ns - client.active_ns
            stuck = bool(len(client.frames)) or bool(client.out)
            idle = not client.period_ns and not client.waiting
            if (stuck and quiet_ns > HALF_MESSAGE_NS_MAX) or (idle and quiet_ns > IDLE_NS_MAX):
                self._drop(client)

    # -- callers ---------------------------------------------------------------------------------------------------

    def _accept(self, now_ns: int) -> None:
        for _ in range(32):
            try:
                sock, _address = self._listener.accept()
            except OSError:  # nobody more, or who called has gone; or no file number is left: they try again
                return
            sock.setblocking(False)
            try:
                peer = self._credentials(sock)
            except OSError:
                sock.close()
                continue
            client = _Client(sock, peer, now_ns)
            refusal = self._unwelcome(peer, now_ns)
            if refusal is not None:
                with suppress(OSError):
                    sock.send(frame(refusal))
                sock.close()
                continue
            self._clients[sock.fileno()] = client
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _unwelcome(self, peer: Peer, now_ns: int) -> Refusal | None:
        """Return why a caller is not served; that a user may not call is logged, and told once a minute."""
        if not self._peers.allowed(peer):
            text = self._peers.refusal(peer)
            self._deny(peer, text, now_ns)
            return Refusal(code="denied", text=text)
        if name := self._plugin_of(peer.pid):
            text = f"pid {peer.pid} is of plugin {name}, and a plugin may not command the run; call from outside of it"
            self._deny(peer, text, now_ns, name)
            return Refusal(code="denied", text=text)
        if len(self._clients) >= CLIENTS_MAX:
            return Refusal(code="busy", text=f"{CLIENTS_MAX} callers are connected already; hang some up")
        return None

    def _plugin_of(self, pid: int) -> str:
        """Return the plugin that a caller is a process of, "" for none: Landlock refuses no socket by its path."""
        hosts = self._kernel.hosts
        return "" if hosts is None else str(hosts.plugin_of(pid))

    def _deny(self, peer: Peer, text: str, now_ns: int, plugin: str = "") -> None:
        who = f"plugin {plugin}" if plugin else f"uid {peer.uid}"
        told_ns = self._denied_told_ns.get(who)
        if (told_ns is not None and now_ns - told_ns < DENIED_TOLD_NS) or len(self._denied_told_ns) > CLIENTS_MAX:
            return
        self._denied_told_ns[who] = now_ns
        kernel = self._kernel
        kernel.write_log(Severity.WARNING, "control", f"refused uid {peer.uid}, pid {peer.pid}: {text}", {})
        by = f"pid {peer.pid}, a process of plugin {plugin}" if plugin else f"uid {peer.uid}, pid {peer.pid}"
        wanted = "calls by people: a plugin may not command the run" if plugin else "calls by the owner or root"
        way_out = f"ask the vendor of {plugin} what it does there; quarantine it" if plugin else _WAY_OUT
        if self._run.live and not kernel.ended:
            kernel.later(
                Alert(
                    code="control.denied", severity=Severity.WARNING, subject=plugin or who,
                    met=f"a call of the control socket by {by}", wanted=wanted, way_out=way_out,
                )
            )  # fmt: skip

    def _read(self, client: _Client, now_ns: int) -> None:
        if client.asked or client.out:  # first what it asked before: what it sends meanwhile waits in the system
            return
        try:
            data = client.sock.recv(RECV_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(client)
            return
        client.active_ns = now_ns
        try:
            client.asked += client.frames.feed(data)
        except ProtocolError as error:
            self._say(client, Refusal(code="bad_request", text=str(error)))
            client.closing = True
            self._flush(client)
        else:
            if client.asked:
                self._busy.add(client.sock.fileno())

    def _ask(self, client: _Client, body: bytes, now_ns: int) -> None:
        """Answer one message."""
        try:
            request = decode_request(body)
        except ProtocolError as error:
            self._say(client, Refusal(code="bad_request", text=str(error)))
            return
        try:
            self._answer(client, request, now_ns)
        except Exception as error:
            self._fault(type(request).__name__, error)
            text = f"the kernel cannot answer: {type(error).__name__}: {error}; it goes on, see its log"
            self._say(client, Refusal(code="failed", text=text))

    def _answer(self, client: _Client, request: Request, now_ns: int) -> None:
        if isinstance(request, CommandRequest):
            client.waiting += 1
            self.commands.take(request, client.peer, lambda answer: self._reply(client, answer))
        elif isinstance(request, AlertsRequest):
            self._say(client, AlertsAnswer(self.facts.alerts()))
        elif isinstance(request, LimitsRequest):
            owners = [slot.name for slot in self._kernel.desk.traders.values()]
            self._say(client, LimitsAnswer(self.facts.limits(), owners))
        elif isinstance(request, QueryRequest):
            self._say(client, self._shown(request))
        elif isinstance(request, TopRequest):
            self._streams += not client.period_ns
            client.period_ns = max(request.period_ms, PERIOD_MS_MIN) * 1_000_000
            client.due_ns = self._stream_due_ns = now_ns
        else:
            self._send(client, self._state_bytes(now_ns, books=False))

    def _shown(self, request: QueryRequest) -> Answer:
        """Return what a plugin has to show."""
        doer = self.commands.doer(request.word)
        if isinstance(doer, Refusal):
            return doer
        try:
            return QueryAnswer(doer.plugin.asked(request.word, request.argument))
        except ValueError as error:
            return Refusal(code="refused", text=str(error))

    def _reply(self, client: _Client, answer: CommandAnswer | Refusal) -> None:
        client.waiting -= 1
        self._say(client, answer)

    def _stream(self, now_ns: int, until_ns: int) -> None:
        """Send a state to each who looks at `top` and has read the one before."""
        self.facts.look(True)
        self._stream_due_ns = now_ns + PERIOD_MS_MIN * 1_000_000 // 2
        for client in list(self._clients.values()):
            if client.period_ns and now_ns >= client.due_ns:
                client.due_ns = now_ns + client.period_ns
                if not client.out:
                    client.active_ns = now_ns
                    self._send(client, self._state_bytes(now_ns, books=True))
                if time.monotonic_ns() > until_ns:
                    self._stream_due_ns = now_ns
                    return

    def _state_bytes(self, now_ns: int, *, books: bool) -> bytes:
        made_ns, with_books, data = self._state
        if not data or now_ns - made_ns > STATE_AGE_NS_MAX or with_books != books:
            data = frame(StateAnswer(self.facts.state(books=books)))
            self._state = (now_ns, books, data)
        return data

    # -- bytes out -------------------------------------------------------------------------------------------------

    def _say(self, client: _Client, answer: Answer) -> None:
        if not isinstance(answer, Refusal):
            self._state = (0, False, b"")  # what was so before a command may not be so now
        self._send(client, frame(answer))

    def _send(self, client: _Client, data: bytes) -> None:
        if client.sock.fileno() < 0:  # it hung up before its answer
            return
        if len(client.out) + len(data) > ANSWER_BYTES_MAX:  # it asks and asks, and reads nothing
            self._drop(client)
            return
        client.out += data
        self._flush(client)

    def _flush(self, client: _Client) -> None:
        """Send what the system takes now; the rest when it takes more."""
        try:
            while client.out:
                sent = client.sock.send(client.out)
                del client.out[:sent]
                client.active_ns = time.monotonic_ns()
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)
            return
        if client.closing and not client.out:
            self._drop(client)
            return
        if bool(client.out) != client.writing:
            client.writing = bool(client.out)
            self._epoll.modify(client.sock.fileno(), select.EPOLLIN | (select.EPOLLOUT if client.writing else 0))

    def _drop(self, client: _Client) -> None:
        number = client.sock.fileno()
        if number < 0:
            return
        self._epoll.unregister(number)
        client.sock.close()
        self._clients.pop(number, None)
        client.asked.clear()
        self._busy.discard(number)
        if client.period_ns:
            self._streams -= 1
            client.period_ns = 0
            if not self._streams:
                self.facts.look(False)

    def _fault(self, where: str, error: Exception) -> None:
        self.faults[f"{where}: {type(error).__name__}"] += 1
        if self.faults[f"{where}: {type(error).__name__}"] == 1:
            self._kernel.write_log(Severity.ERROR, "control", f"{where}: {type(error).__name__}: {error}", {})

    # -- end -------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Hang up and take the socket away; who still waits for an answer hears why. Again is harmless."""
        if self._epoll.closed:
            return
        self._run.observers.remove(self.turn)
        phase, _, _ = phase_of(self._kernel)
        self.commands.over(f"the run ended before it was done: {self._kernel.stopping or phase.name.lower()}")
        for client in list(self._clients.values()):
            self._drop(client)
        self._epoll.close()
        self._listener.close()
        with suppress(OSError):
            if self.path.stat().st_ino == self._inode:  # another kernel may have taken the place
                self.path.unlink()


def _listen(path: Path) -> tuple[socket.socket, int]:
    """Return a listening socket at *path*, in the place of a dead kernel's, and its inode."""
    folder = path.parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid not in (os.geteuid(), 0):
            raise ControlError(f"{folder} is uid {folder.stat().st_uid}'s, wanted uid {os.geteuid()}'s; remove it")
        folder.chmod(0o700)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            with socket_address(fresh) as address:
                listener.bind(address)
            fresh.chmod(0o600)
            listener.listen(CLIENTS_MAX)
            inode = fresh.stat().st_ino
            fresh.replace(path)  # callers see the dead kernel's socket or this one, never a gap
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise ControlError(f"control socket {path}: {error.strerror}; give a --runs-dir that takes one") from error
    return listener, inode
