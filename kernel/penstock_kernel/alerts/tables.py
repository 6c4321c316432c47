"""The `[[alerts.sinks]]` tables of plugins.toml: one type per kind of sink, checked before anything runs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from penstock_kernel.deployment_files import resolve_references
from penstock_sdk.typed import Finding, check_typed, closest, shown_value

__all__ = [
    "SINK_TABLES",
    "AlertsTable",
    "CommandTable",
    "FileTable",
    "LogTable",
    "SinkTable",
    "SmtpTable",
    "WebhookTable",
    "alert_findings",
    "sinks_of",
]

_Text: TypeAlias = Annotated[str, Meta(min_length=1)]
_Name: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", examples=["on-call"])]
_Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=3600)]
_Change: TypeAlias = Literal["opened", "escalated", "repeated", "acked", "cleared", "dropped"]
_ALL_CHANGES: tuple[_Change, ...] = ("opened", "escalated", "repeated", "acked", "cleared", "dropped")


class AlertsTable(Struct):
    """The `[alerts]` table as written; `alert_findings` checks each sink by its kind."""

    sinks: list[dict[str, Any]] = []


class SinkTable(Struct, frozen=True, kw_only=True):
    """What every sink has."""

    kind: str
    name: _Name | None = None
    """The kind, where none is given. A sink that is renamed is a new one: it begins with what comes next."""
    min_severity: Literal["info", "warning", "error", "critical"] = "warning"
    codes: tuple[_Text, ...] = ("*",)
    """Patterns of codes that it wants, as ``disk.*``."""
    changes: tuple[_Change, ...] = _ALL_CHANGES
    per_minute_max: Annotated[int, Meta(ge=0, le=100_000)] = 30
    """More are counted, and told in one line; 0 is no limit."""
    timeout_s: _Seconds = 10.0
    """For one attempt."""
    give_up_s: Annotated[float, Meta(gt=0)] = 86_400.0
    """How long one line is tried before it is counted as not delivered."""


class LogTable(SinkTable, frozen=True, kw_only=True):
    """A line on standard error, with a priority where the journal of the system reads it."""

    kind: Literal["log"]
    per_minute_max: Annotated[int, Meta(ge=0, le=100_000)] = 0


class FileTable(SinkTable, frozen=True, kw_only=True):
    """JSON lines in a file, rotated by size. A relative path is from the folder that Penstock is started in."""

    kind: Literal["file"]
    path: _Text
    max_mb: Annotated[float, Meta(gt=0, le=10_240)] = 16.0
    keep: Annotated[int, Meta(ge=1, le=1000)] = 5
    """Old files beside it: ``path.1`` is the newest."""
    per_minute_max: Annotated[int, Meta(ge=0, le=100_000)] = 0


class CommandTable(SinkTable, frozen=True, kw_only=True):
    """A program that gets the line as JSON on its standard input; exit status 0 is delivered. No shell."""

    kind: Literal["command"]
    argv: Annotated[tuple[_Text, ...], Meta(min_length=1)]
    """``{code}``, ``{severity}``, ``{subject}``, ``{kind}``, ``{instance}`` and ``{key}`` are filled in."""


class SmtpTable(SinkTable, frozen=True, kw_only=True):
    """Mail."""

    kind: Literal["smtp"]
    host: _Text
    port: Annotated[int, Meta(ge=1, le=65_535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: str = ""
    sender: _Text
    to: Annotated[tuple[_Text, ...], Meta(min_length=1)]
    ca_file: str = ""
    """Certificates to trust instead of the system's."""

    def __post_init__(self) -> None:
        if self.user and self.security == "none":
            raise ValueError('security met "none" with a user, wanted starttls or tls: a password is not sent in clear')


class WebhookTable(SinkTable, frozen=True, kw_only=True):
    """A POST of JSON; any 2xx is delivered."""

    kind: Literal["webhook"]
    url: _Text
    format: Literal["json", "text"] = "json"
    """The whole line; or ``{"text": …}``, which chat services take."""
    headers: dict[str, str] = {}
    secret: str = ""
    """Signs timestamp and body with HMAC-SHA256."""
    signature_header: _Text = "X-Penstock-Signature"
    ca_file: str = ""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("url met something else, wanted http://HOST/… or https://HOST/…")
        try:
            parts.port  # noqa: B018 - it is worked out, and checked, when it is asked for
        except ValueError:
            raise ValueError("url met a port that is none, wanted 1 to 65535") from None
        if re.search(r"[\x00-\x20\x7f]", self.url):
            raise ValueError("url met a blank, wanted it escaped as %20")
        for name, value in self.headers.items():
            if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or re.search(r"[^\t\x20-\x7e]", value):
                raise ValueError(f"headers met {name!r}, wanted a name and a value that HTTP can carry")


SINK_TABLES: Mapping[str, type[SinkTable]] = {
    "log": LogTable, "file": FileTable, "command": CommandTable, "smtp": SmtpTable, "webhook": WebhookTable,
}  # fmt: skip
_KNOWN = ", ".join(SINK_TABLES)


def alert_findings(
    tree: dict[str, Any], written: dict[str, Any], redact: Callable[[str], str] = lambda text: text
) -> list[Finding]:
    """Return every fault of the sinks of *tree*; values are shown as *written*, without what references stand for."""
    table = tree.get("alerts")
    sinks = table.get("sinks") if isinstance(table, dict) else None
    findings: list[Finding] = []
    names: dict[str, int] = {}
    for at, sink in enumerate(sinks if isinstance(sinks, list) else ()):
        if not isinstance(sink, dict):
            continue
        path, kind = ("alerts", "sinks", at), sink.get("kind")
        shown = written["alerts"]["sinks"][at]
        if not isinstance(kind, str) or kind not in SINK_TABLES:
            findings.append(_unknown_kind(path, shown.get("kind")))
            continue
        for finding in check_typed(sink, SINK_TABLES[kind], shown=shown, redact=redact):
            findings.append(msgspec.structs.replace(finding, path=(*path, *finding.path)))
        name = sink.get("name")
        if isinstance(name, str):
            if name in names:
                text = f"{shown_value(name)} is the name of sink {names[name] + 1} already"
                findings.append(Finding((*path, "name"), text, "give each its own"))
            names.setdefault(name, at)
    return findings


def _unknown_kind(path: tuple[str | int, ...], met: object) -> Finding:
    if met is None:
        return Finding(path, "missing kind", f"write kind = one of {_KNOWN}")
    near = closest(met, SINK_TABLES) if isinstance(met, str) else None
    way_out = f"did you mean {near}?" if near else f"known: {_KNOWN}"
    return Finding((*path, "kind"), f"unknown kind of sink {shown_value(met)}", way_out)


def sinks_of(tree: dict[str, Any], env: Mapping[str, str] = os.environ) -> tuple[SinkTable, ...]:
    """Return the sinks of a deployment's tree (`Deployment.tree`), each with its name, references resolved.

    They may hold secrets: they are not written anywhere. Without a sink in the deployment there is one: the log.

    Raises:
        ValueError: one does not fit; `penstock check` says more.
    """
    written = tree.get("alerts", {}).get("sinks") or [{"kind": "log"}]
    resolved = resolve_references(written, env)
    for path, message, way_out in resolved.faults:
        raise ValueError(f"alerts.sinks[{path[0]}]: {message}; {way_out}")
    sinks: list[SinkTable] = []
    taken = {sink.get("name") for sink in resolved.tree}
    for at, sink in enumerate(resolved.tree):
        kind = sink.get("kind")
        if kind not in SINK_TABLES:
            raise ValueError(f"alerts.sinks[{at}] has kind {kind!r}, wanted one of {_KNOWN}")
        try:
            made = msgspec.convert(sink, SINK_TABLES[kind])
        except msgspec.ValidationError as error:
            raise ValueError(resolved.redact(f"alerts.sinks[{at}]: {error}")) from None
        if made.name is None:
            made = msgspec.structs.replace(made, name=_free_name(kind, taken))
        taken.add(made.name)
        sinks.append(made)
    return tuple(sinks)


def _free_name(kind: str, taken: set[str | None]) -> str:
    """Return the kind, or with the first number that makes it nobody else's."""
    number = 1
    while (name := kind if number == 1 else f"{kind}-{number}") in taken:
        number += 1
    return name
