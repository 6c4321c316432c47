"""Each sink against a local server of its kind: what arrives, what is refused or tried again, and the deadlines."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import http.server
import io
import json
import os
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import Message
from email.policy import default
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

from penstock_kernel.alerts.courier import make_sink, try_sinks
from penstock_kernel.alerts.lines import AlertLine
from penstock_kernel.alerts.sinks import CommandSink, FileSink, LogSink, SinkError, log_text, person_text
from penstock_kernel.alerts.sinks_net import SmtpSink, WebhookSink
from penstock_kernel.alerts.tables import CommandTable, FileTable, LogTable, SmtpTable, WebhookTable

LINE = AlertLine(
    key="desk-de/2.41.7", kind="opened", instance="desk-de", epoch=2, seq=41, id=7, at_ns=1_773_129_600_000_000_000,
    code="disk.low", severity="error", subject="/var/runs", met="9 GB, 2 days\nat this rate", wanted="14 days",
    way_out="make room",
)  # fmt: skip

pytestmark = pytest.mark.timeout(60)


# -- log -------------------------------------------------------------------------------------------------------------


def test_the_log_has_one_line_of_keys_and_values_whatever_the_text_holds(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    out = io.StringIO()
    LogSink(out.write).deliver(msgspec.structs.replace(LINE, subject='a "b"\x1b[31m\n<0>fake', wanted=""))
    assert out.getvalue() == (
        r'alert=opened severity=error code=disk.low instance=desk-de subject="a \"b\" [31m <0>fake" '
        r'met="9 GB, 2 days at this rate" way_out="make room" key=desk-de/2.41.7' + "\n"
    )


def test_the_log_gives_the_systems_journal_a_priority(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    out = io.StringIO()
    LogSink(out.write).deliver(LINE)
    LogSink(out.write).deliver(msgspec.structs.replace(LINE, severity="critical"))
    assert [text[:3] for text in out.getvalue().splitlines()] == ["<3>", "<2>"]


def test_a_person_reads_what_was_met_and_the_way_out():
    assert person_text(LINE) == (
        "ERROR disk.low at desk-de /var/runs: 9 GB, 2 days at this rate; wanted: 14 days; way out: make room"
    )
    acked = msgspec.structs.replace(LINE, kind="acked", by="ann", reason="on it", count=3)
    assert person_text(acked) == "ERROR disk.low acked by ann at desk-de /var/runs: on it (3 times)"


# -- file ------------------------------------------------------------------------------------------------------------


def test_a_file_grows_to_its_limit_and_then_begins_anew(tmp_path: Path):
    size = len(msgspec.json.encode(LINE)) + 1
    path = tmp_path / "alerts.jsonl"
    sink = FileSink(FileTable(kind="file", path=str(path), max_mb=2.5 * size / 1_000_000, keep=2))
    for number in range(9):
        sink.deliver(msgspec.structs.replace(LINE, seq=number))
    kept = {
        name: [json.loads(text)["seq"] for text in (tmp_path / name).read_text().splitlines()]
        for name in sorted(os.listdir(tmp_path))
    }
    assert kept == {"alerts.jsonl": [8], "alerts.jsonl.1": [6, 7], "alerts.jsonl.2": [4, 5]}


def test_a_torn_line_of_a_file_is_ended_before_the_next(tmp_path: Path):
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b'{"key":"de')
    FileSink(FileTable(kind="file", path=str(path))).deliver(LINE)
    torn, whole = path.read_bytes().splitlines()
    assert torn == b'{"key":"de'
    assert msgspec.json.decode(whole, type=AlertLine) == LINE


def test_a_file_that_cannot_be_written_is_told_by_name(tmp_path: Path):
    sink = FileSink(FileTable(kind="file", path=str(tmp_path / "none" / "a.jsonl")))
    with pytest.raises(SinkError, match=r"^/.*/none/a.jsonl: No such file or directory$"):
        sink.deliver(LINE)


def test_a_full_disk_is_told_by_the_file_sink():
    with pytest.raises(SinkError, match="No space left on device"):
        FileSink(FileTable(kind="file", path="/dev/full")).deliver(LINE)


# -- command ---------------------------------------------------------------------------------------------------------


def command(tmp_path: Path, program: str, *words: str, timeout_s: float = 20.0) -> CommandSink:
    script = tmp_path / "program.py"
    script.write_text(program)
    return CommandSink(
        CommandTable(kind="command", argv=(sys.executable, "-S", str(script), *words), timeout_s=timeout_s)
    )


def test_a_command_gets_its_words_filled_in_and_the_alert_on_its_input(tmp_path: Path):
    out = tmp_path / "out"
    program = "import sys, json\njson.dump([sys.argv[2:], json.load(sys.stdin)], open(sys.argv[1], 'w'))"
    sink = command(tmp_path, program, str(out), "{code}={severity}", "; {subject}", "$HOME `id`")
    sink.deliver(msgspec.structs.replace(LINE, subject="a\0b\nc; rm"))
    words, told = json.loads(out.read_text())
    assert words == ["disk.low=error", "; a b c; rm", "$HOME `id`"]
    assert (told["key"], told["met"]) == (LINE.key, LINE.met)


@pytest.mark.parametrize(("status", "permanent"), [(1, False), (65, True)])
def test_a_command_that_fails_says_how(tmp_path: Path, status: int, permanent: bool):
    sink = command(
        tmp_path, f"import sys\nsys.stdin.read()\nprint('no such pager', file=sys.stderr)\nsys.exit({status})"
    )
    with pytest.raises(SinkError, match=f"exited with {status}: no such pager$") as met:
        sink.deliver(LINE)
    assert met.value.permanent is permanent


def test_a_command_that_does_not_end_is_ended_with_all_that_it_started(tmp_path: Path):
    pids = tmp_path / "pids"
    program = (
        "import os, sys, time\nchild = os.fork()\n"
        "if child:\n    open(sys.argv[1], 'w').write(f'{os.getpid()} {child}')\ntime.sleep(600)"
    )
    with pytest.raises(SinkError, match="took more than 1 s"):
        command(tmp_path, program, str(pids), timeout_s=1).deliver(LINE)
    until_s = time.monotonic() + 10
    while any(_lives(int(pid)) for pid in pids.read_text().split()):
        assert time.monotonic() < until_s
        time.sleep(0.01)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_command_that_does_not_read_its_input_is_delivered(tmp_path: Path):
    command(tmp_path, "pass").deliver(msgspec.structs.replace(LINE, met="x" * 1_000_000))


def test_a_program_that_is_not_there_is_told_by_name():
    with pytest.raises(SinkError, match="^/no/such: No such file"):
        CommandSink(CommandTable(kind="command", argv=("/no/such",))).deliver(LINE)


# -- mail ------------------------------------------------------------------------------------------------------------


class MailServer:
    """A real SMTP server on a port of its own; keeps the envelopes it took."""

    def __init__(self, **options: Any) -> None:
        self.envelopes: list[Envelope] = []
        self.answers: list[str] = []
        self._options, self._implicit = options, options.pop("implicit", None)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(10)

    async def _serve(self) -> int:
        self._server = await self._loop.create_server(
            lambda: SMTP(self, hostname="mail.test", loop=self._loop, **self._options),
            "127.0.0.1", 0, ssl=self._implicit,
        )  # fmt: skip
        return int(self._server.sockets[0].getsockname()[1])

    async def handle_DATA(self, server: SMTP, session: object, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        if self.answers:
            return self.answers.pop(0)
        self.envelopes.append(envelope)
        return "250 taken"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's
        self, server: SMTP, session: object, envelope: Envelope, address: str, options: object
    ) -> str:
        if address.startswith("nobody"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    def mails(self) -> list[Message]:
        return [message_from_bytes(bytes(e.content or b""), policy=default) for e in self.envelopes]  # type: ignore[arg-type]

    def close(self) -> None:
        async def stop() -> None:
            self._server.close()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def mail_server() -> Iterator[Callable[..., MailServer]]:
    servers: list[MailServer] = []

    def start(**options: Any) -> MailServer:
        servers.append(MailServer(**options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def mail_sink(server: MailServer, **more: Any) -> SmtpSink:
    table = {"security": "none", "sender": "Desk <desk@example.org>", "to": ("a@example.org", "b@example.org"), **more}
    return SmtpSink(SmtpTable(kind="smtp", host="localhost", port=server.port, timeout_s=10, **table))


def test_a_mail_says_code_and_instance_in_its_subject_and_the_rest_line_by_line(
    mail_server: Callable[..., MailServer],
):
    server = mail_server()
    mail_sink(server).deliver(LINE)
    mail_sink(server).deliver(LINE)
    first, second = server.mails()
    assert first["Subject"] == "[desk-de] error disk.low opened: /var/runs"
    assert first["X-Penstock-Key"] == "desk-de/2.41.7"
    assert first["Message-ID"] == second["Message-ID"]
    assert server.envelopes[0].rcpt_tos == ["a@example.org", "b@example.org"]
    text = first.get_payload()
    assert "met:      9 GB, 2 days at this rate\nwanted:   14 days\nway out:  make room\n" in str(text).replace(
        "\r", ""
    )
    assert "at:       2026-03-10 08:00:00 UTC" in str(text)


def test_a_subject_adds_no_header_to_a_mail(mail_server: Callable[..., MailServer]):
    server = mail_server()
    mail_sink(server).deliver(msgspec.structs.replace(LINE, subject="x\r\nBcc: all@example.org", instance="d\nX: y"))
    (mail,) = server.mails()
    assert mail["Bcc"] is None
    assert mail["X"] is None
    assert "Bcc: all@example.org" in mail["Subject"]


def _login(server: SMTP, session: object, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"penstock", b"right")
    return AuthResult(success=good, handled=False)


def test_a_mail_goes_over_starttls_with_a_password(
    mail_server: Callable[..., MailServer], tls: ssl.SSLContext, ca_file: str
):
    server = mail_server(tls_context=tls, require_starttls=True, authenticator=_login, auth_required=True)
    account = {"security": "starttls", "ca_file": ca_file, "user": "penstock"}
    mail_sink(server, password="right", **account).deliver(LINE)
    assert len(server.envelopes) == 1
    with pytest.raises(SinkError, match="^user penstock was refused: 535") as met:
        mail_sink(server, password="wrong", **account).deliver(LINE)
    assert not met.value.permanent
    assert "wrong" not in str(met.value)
    with pytest.raises(SinkError, match="530"):
        mail_sink(server).deliver(LINE)
    assert len(server.envelopes) == 1


def test_a_mail_goes_over_tls_from_the_start(mail_server: Callable[..., MailServer], tls: ssl.SSLContext, ca_file: str):
    server = mail_server(implicit=tls)
    mail_sink(server, security="tls", ca_file=ca_file).deliver(LINE)
    assert len(server.envelopes) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_nobody_vouches_for_is_not_taken(
    mail_server: Callable[..., MailServer], tls: ssl.SSLContext, security: str
):
    server = mail_server(**({"implicit": tls} if security == "tls" else {"tls_context": tls}))
    with pytest.raises(SinkError, match="CERTIFICATE_VERIFY_FAILED"):
        mail_sink(server, security=security).deliver(LINE)
    assert server.envelopes == []


def test_a_server_without_starttls_gets_no_mail_that_wants_it(mail_server: Callable[..., MailServer]):
    server = mail_server()
    with pytest.raises(SinkError, match="STARTTLS"):
        mail_sink(server, security="starttls").deliver(LINE)
    assert server.envelopes == []


@pytest.mark.parametrize(("answer", "permanent"), [("451 later", False), ("554 never", True)])
def test_a_mail_that_is_refused_says_whether_for_good(
    mail_server: Callable[..., MailServer], answer: str, permanent: bool
):
    server = mail_server()
    server.answers.append(answer)
    with pytest.raises(SinkError, match=f"^mail was refused: {answer}") as met:
        mail_sink(server).deliver(LINE)
    assert met.value.permanent is permanent
    mail_sink(server).deliver(LINE)
    assert len(server.envelopes) == 1


def test_a_mail_without_any_recipient_left_is_refused_for_good(mail_server: Callable[..., MailServer]):
    server = mail_server()
    mail_sink(server, to=("nobody@example.org", "a@example.org")).deliver(LINE)
    assert server.envelopes[0].rcpt_tos == ["a@example.org"]
    with pytest.raises(SinkError, match="nobody@example.org: 550 no such mailbox") as met:
        mail_sink(server, to=("nobody@example.org",)).deliver(LINE)
    assert met.value.permanent


def test_a_mail_server_that_is_down_or_silent_is_told_within_the_deadline(silent_port: int):
    table = SmtpTable(
        kind="smtp", host="127.0.0.1", port=silent_port, security="none", sender="a@b", to=("a@b",), timeout_s=0.3
    )
    began_s = time.monotonic()
    with pytest.raises(SinkError, match="^127.0.0.1:"):
        SmtpSink(table).deliver(LINE)
    assert time.monotonic() - began_s < 5


# -- webhook ---------------------------------------------------------------------------------------------------------


class Hook:
    """A web server that keeps what is posted and answers what it is told to."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.posts.append((self.path, dict(self.headers), body))
                status, headers = hook.answers.pop(0) if hook.answers else (204, {})
                self.send_response(status, "said")
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        self.port = self.server.server_port

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(10)


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    yield server
    server.close()


def hook_sink(server: Hook, path: str = "/in?x=1", **more: Any) -> WebhookSink:
    table = WebhookTable(kind="webhook", url=f"http://127.0.0.1:{server.port}{path}", timeout_s=10, **more)
    return WebhookSink(table, now_s=lambda: 1_773_129_600.0)


def test_a_webhook_posts_the_alert_with_its_key(hook: Hook):
    hook_sink(hook, headers={"Authorization": "Bearer t"}).deliver(LINE)
    ((path, headers, body),) = hook.posts
    assert path == "/in?x=1"
    assert headers["Idempotency-Key"] == "desk-de/2.41.7"
    assert headers["Authorization"] == "Bearer t"
    assert headers["Content-Type"] == "application/json"
    assert msgspec.json.decode(body, type=AlertLine) == LINE
    assert "X-Penstock-Signature" not in headers


def test_a_webhook_for_people_posts_a_text(hook: Hook):
    hook_sink(hook, format="text").deliver(LINE)
    assert json.loads(hook.posts[0][2]) == {"text": person_text(LINE)}


def test_a_webhook_signs_timestamp_and_body(hook: Hook):
    hook_sink(hook, secret="s3cret", signature_header="X-Sig").deliver(LINE)
    ((_, headers, body),) = hook.posts
    assert headers["X-Penstock-Timestamp"] == "1773129600"
    wanted = hmac.new(b"s3cret", b"1773129600." + body, hashlib.sha256).hexdigest()
    assert headers["X-Sig"] == f"sha256={wanted}"


@pytest.mark.parametrize(
    ("status", "retry_after", "permanent", "wait_s"),
    [
        (500, "", False, None),
        (503, "120", False, 120.0),
        (429, "Tue, 10 Mar 2026 08:00:30 GMT", False, 30.0),
        (429, "Tue, 10 Mar 2026 07:00:00 GMT", False, 0.0),
        (503, "soon", False, None),
        (503, "9999999", False, 3600.0),
        (400, "", True, None),
        (401, "", False, None),
        (302, "", False, None),
    ],
)
def test_an_answer_says_whether_and_when_to_try_again(
    hook: Hook, status: int, retry_after: str, permanent: bool, wait_s: float | None
):
    hook.answers.append((status, {"Retry-After": retry_after, "Location": "/elsewhere"} if retry_after else {}))
    with pytest.raises(SinkError, match=f"^127.0.0.1 answered {status}") as met:
        hook_sink(hook).deliver(LINE)
    assert (met.value.permanent, met.value.retry_after_s) == (permanent, wait_s)
    assert len(hook.posts) == 1
    hook_sink(hook).deliver(LINE)
    assert len(hook.posts) == 2


def test_a_webhook_over_tls_trusts_who_it_is_told_to(tls: ssl.SSLContext, ca_file: str):
    server = Hook(tls)
    try:
        url = f"https://localhost:{server.port}/"
        WebhookSink(WebhookTable(kind="webhook", url=url, ca_file=ca_file)).deliver(LINE)
        with pytest.raises(SinkError, match="CERTIFICATE_VERIFY_FAILED"):
            WebhookSink(WebhookTable(kind="webhook", url=url)).deliver(LINE)
        assert len(server.posts) == 1
    finally:
        server.close()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Return a port where connections are taken and nothing is said."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def dripping_port() -> Iterator[int]:
    """Return a port that answers with a header line every 50 ms, and never ends."""
    import socket

    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            other, _ = server.accept()
            with other:
                try:
                    other.sendall(b"HTTP/1.1 200 OK\r\n")
                    while not stop.wait(0.05):
                        other.sendall(b"X-More: 1\r\n")
                except OSError:
                    pass

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        stop.set()
        thread.join(10)


def test_a_webhook_that_is_silent_or_drips_is_left_at_the_deadline(silent_port: int, dripping_port: int):
    for port in (silent_port, dripping_port):
        sink = WebhookSink(WebhookTable(kind="webhook", url=f"http://127.0.0.1:{port}/", timeout_s=0.4))
        began_s = time.monotonic()
        with pytest.raises(SinkError, match="^127.0.0.1: "):
            sink.deliver(LINE)
        assert 0.3 < time.monotonic() - began_s < 4


def test_an_address_where_nobody_listens_is_told(silent_port: int):
    with pytest.raises(SinkError, match="^127.0.0.1: ConnectionRefusedError"):
        WebhookSink(WebhookTable(kind="webhook", url="http://127.0.0.1:1/")).deliver(LINE)


# -- all of them -----------------------------------------------------------------------------------------------------


def test_a_test_alert_goes_to_every_sink_and_each_says_what_came_of_it(
    tmp_path: Path, hook: Hook, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    trials = try_sinks(
        [
            LogTable(kind="log", name="log", min_severity="critical"),
            WebhookTable(kind="webhook", name="hook", url=f"http://127.0.0.1:{hook.port}/"),
            FileTable(kind="file", name="file", path=str(tmp_path / "none" / "a")),
        ],
        "desk-de",
    )
    assert [(trial.name, trial.kind, trial.ok) for trial in trials] == [
        ("log", "log", True), ("hook", "webhook", True), ("file", "file", False),
    ]  # fmt: skip
    assert "No such file" in trials[2].text
    assert json.loads(hook.posts[0][2])["code"] == "alerts.test"
    assert capsys.readouterr().err.startswith("alert=test severity=info code=alerts.test")
    assert try_sinks([], "desk-de") == []


def test_every_kind_of_table_makes_its_sink():
    tables = [
        (LogTable(kind="log"), LogSink), (FileTable(kind="file", path="a"), FileSink),
        (CommandTable(kind="command", argv=("a",)), CommandSink),
        (SmtpTable(kind="smtp", host="a", sender="a", to=("a",)), SmtpSink),
        (WebhookTable(kind="webhook", url="http://a/"), WebhookSink),
    ]  # fmt: skip
    assert [type(make_sink(table)) for table, _ in tables] == [sink for _, sink in tables]
    assert log_text(LINE).startswith("alert=opened")
