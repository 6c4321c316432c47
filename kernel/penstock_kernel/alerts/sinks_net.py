"""Where alerts go beyond this machine: mail by SMTP, and a POST to a web address.

Both end within their deadline whatever the other side does: each operation on the socket has it, and a timer closes
the socket for one that answers a byte at a time.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from penstock_kernel.alerts.lines import AlertLine
from penstock_kernel.alerts.sinks import SinkError, one_line, person_text
from penstock_kernel.alerts.tables import SmtpTable, WebhookTable

__all__ = ["SmtpSink", "WebhookSink"]

_SUBJECT_CHARS_MAX = 160
_ANSWER_BYTES_MAX = 65_536
_RETRY_AFTER_S_MAX = 3600.0
_REFUSED = (400, 413, 414, 422)
"""Of this line, for good. All else may be mended: a key that ran out, an address that moved."""


@contextmanager
def _deadline(seconds: float, socket_of: Callable[[], socket.socket | None]) -> Iterator[None]:
    """Cut the connection when *seconds* are over, and say so whatever came of that: an answer may look whole.

    Raises:
        TimeoutError: they were over.
    """
    over = False

    def cut() -> None:
        nonlocal over
        over = True
        with suppress(OSError):
            found = socket_of()
            if found is not None:
                found.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if over:
            raise TimeoutError(f"no whole answer within {seconds:g} s")


def _tls(ca_file: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file or None)


class SmtpSink:
    """One mail a line. The Message-ID follows from the line's key, so a mailbox shows what came twice once."""

    def __init__(self, table: SmtpTable) -> None:
        self._table = table

    def deliver(self, line: AlertLine) -> None:
        """Send the mail; a connection for each, for alerts are rare."""
        table = self._table
        try:
            client = self._connected()
            try:
                with _deadline(table.timeout_s, lambda: client.sock):
                    self._send(client, line)
            finally:
                client.close()
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            texts = "; ".join(f"{who}: {code} {_text(said)}" for who, (code, said) in error.recipients.items())
            raise SinkError(f"every recipient was refused: {texts}", permanent=min(codes) >= 500) from None
        except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
            permanent = error.smtp_code >= 500
            raise SinkError(
                f"mail was refused: {error.smtp_code} {_text(error.smtp_error)}", permanent=permanent
            ) from None
        except smtplib.SMTPAuthenticationError as error:
            raise SinkError(f"user {table.user} was refused: {error.smtp_code} {_text(error.smtp_error)}") from None
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise SinkError(f"{table.host}:{table.port}: {type(error).__name__}: {error}") from None

    def _send(self, client: smtplib.SMTP, line: AlertLine) -> None:
        table = self._table
        if table.security == "starttls":
            client.starttls(context=_tls(table.ca_file))
        if table.user:
            client.login(table.user, table.password)
        client.send_message(self._mail(line), table.sender, list(table.to))
        with suppress(smtplib.SMTPException, OSError):  # it is delivered, however the parting goes
            client.quit()

    def _connected(self) -> smtplib.SMTP:
        table = self._table
        if table.security == "tls":
            return smtplib.SMTP_SSL(table.host, table.port, timeout=table.timeout_s, context=_tls(table.ca_file))
        return smtplib.SMTP(table.host, table.port, timeout=table.timeout_s)

    def _mail(self, line: AlertLine) -> EmailMessage:
        mail = EmailMessage()
        subject = one_line(f"[{line.instance}] {line.severity} {line.code} {line.kind}: {line.subject}")
        mail["Subject"] = subject[:_SUBJECT_CHARS_MAX]
        mail["From"] = self._table.sender
        mail["To"] = ", ".join(self._table.to)
        mail["Date"] = format_datetime(datetime.now(UTC))
        digest = hashlib.sha256(line.key.encode()).hexdigest()[:32]
        mail["Message-ID"] = f"<{digest}@{_domain(self._table.sender)}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Penstock-Key"] = one_line(line.key)
        mail.set_content(_mail_text(line))
        return mail


def _domain(address: str) -> str:
    found = address.rpartition("@")[2].strip(" >")
    return found if found.isascii() and found.replace("-", "").replace(".", "").isalnum() else "penstock.invalid"


def _mail_text(line: AlertLine) -> str:
    """Return the mail's text: one fact a line."""
    at = datetime.fromtimestamp(line.at_ns // 1_000_000_000, UTC).replace(tzinfo=None)
    facts = [
        ("alert", f"{line.code} ({line.severity}), {line.kind}"), ("instance", line.instance),
        ("subject", line.subject), ("met", line.met), ("wanted", line.wanted), ("way out", line.way_out),
        ("by", line.by), ("reason", line.reason), ("count", str(line.count)),
        ("at", f"{at} UTC"), ("number", f"event {line.seq}, alert {line.id}"), ("key", line.key),
    ]  # fmt: skip
    return "".join(f"{name + ':':<10}{one_line(value)}\n" for name, value in facts if value)


def _text(said: bytes | str) -> str:
    return said.decode(errors="replace") if isinstance(said, bytes) else said


class WebhookSink:
    """One POST a line. Redirects are not followed: an address that moved is mended in the deployment."""

    def __init__(self, table: WebhookTable, now_s: Callable[[], float] = time.time) -> None:
        self._table = table
        self._now_s = now_s
        self._parts = urlsplit(table.url)

    def deliver(self, line: AlertLine) -> None:
        """Post the line; 400, 413, 414 and 422 refuse it for good, all else but 2xx is tried again."""
        body = self._body(line)
        try:
            connection = self._connection()
            try:
                with _deadline(self._table.timeout_s, lambda: connection.sock):
                    path = self._parts.path or "/"
                    path += f"?{self._parts.query}" if self._parts.query else ""
                    connection.request("POST", path, body, self._headers(line, body))
                    answer = connection.getresponse()
                    said = answer.read(_ANSWER_BYTES_MAX)
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise SinkError(f"{self._parts.hostname}: {type(error).__name__}: {error}") from None
        if 200 <= answer.status < 300:
            return
        text = f"{self._parts.hostname} answered {answer.status}: {said.decode(errors='replace')}"
        wait_s = self._retry_after_s(answer.getheader("Retry-After"))
        raise SinkError(text, permanent=answer.status in _REFUSED, retry_after_s=wait_s)

    def _connection(self) -> http.client.HTTPConnection:
        host, port, timeout_s = self._parts.hostname or "", self._parts.port, self._table.timeout_s
        if self._parts.scheme == "https":
            context = _tls(self._table.ca_file)
            return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)
        return http.client.HTTPConnection(host, port, timeout=timeout_s)

    def _body(self, line: AlertLine) -> bytes:
        what: Any = {"text": person_text(line)} if self._table.format == "text" else line
        return msgspec.json.encode(what)

    def _headers(self, line: AlertLine, body: bytes) -> dict[str, str]:
        key = "".join(char if char.isascii() and char.isprintable() else "?" for char in line.key)
        headers = {"Content-Type": "application/json", "User-Agent": "penstock", "Idempotency-Key": key}
        if self._table.secret:
            stamp = str(int(self._now_s()))
            signed = hmac.new(self._table.secret.encode(), stamp.encode() + b"." + body, hashlib.sha256)
            headers["X-Penstock-Timestamp"] = stamp
            headers[self._table.signature_header] = f"sha256={signed.hexdigest()}"
        return {**headers, **self._table.headers}

    def _retry_after_s(self, value: str | None) -> float | None:
        """Return what a Retry-After header asks for, in seconds or as a date; at most an hour."""
        if not value:
            return None
        if value.strip().isdigit():
            return min(float(value), _RETRY_AFTER_S_MAX)
        try:
            wait_s = parsedate_to_datetime(value).timestamp() - self._now_s()
        except (ValueError, TypeError):
            return None
        return min(max(wait_s, 0.0), _RETRY_AFTER_S_MAX)
