"""The tables ``[watchdog]`` and ``[health]`` of a deployment: how long a kernel may be held, who may ask after it."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Struct

from penstock_sdk.typed import Finding, shown_value

__all__ = ["HealthTable", "WatchdogTable", "split_address", "watchdog_findings"]

Milliseconds: TypeAlias = Annotated[int, Meta(ge=1, le=86_400_000)]


class WatchdogTable(Struct, frozen=True):
    """The ``[watchdog]`` table: what the watchdog process waits for before it acts."""

    handler_limit_ms: Milliseconds = 100
    """Longer on one input, and the handler that holds the kernel's thread is named."""
    hang_limit_ms: Milliseconds = 2_000
    """Longer, and venues cancel, the kernel is ended, and a new one starts with that plugin quarantined."""
    start_limit_ms: Milliseconds = 120_000
    """Longer without progress while the kernel recovers or starts its plugins, and it is ended; a drain likewise, but
    30 s at most."""
    cancel_limit_ms: Milliseconds = 5_000
    """So long may a venue take to cancel outside the kernel; the new kernel waits for it."""


class HealthTable(Struct, frozen=True):
    """The ``[health]`` table: where the watchdog answers over HTTP."""

    listen: str | None = None
    """``host:port``; port 0 takes a free one. None: nowhere."""


def split_address(text: str) -> tuple[str, int]:
    """Return host and port of ``host:port``; an IPv6 host stands in brackets.

    Raises:
        ValueError: it is none.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65_536):
        raise ValueError(f'expected an address like "127.0.0.1:9464", met {shown_value(text)}')
    return host, int(port)


def watchdog_findings(tree: dict[str, Any]) -> list[Finding]:
    """Return what is wrong with both tables beyond the types of their values."""
    findings = []
    table = tree.get("watchdog")
    if isinstance(table, dict):
        default = WatchdogTable()
        first = table.get("handler_limit_ms", default.handler_limit_ms)
        second = table.get("hang_limit_ms", default.hang_limit_ms)
        if isinstance(first, int) and isinstance(second, int) and first >= second:
            at = "hang_limit_ms" if "hang_limit_ms" in table else "handler_limit_ms"
            text = f"hang_limit_ms is {second}, wanted more than handler_limit_ms, which is {first}"
            findings.append(Finding(("watchdog", at), text, "raise hang_limit_ms or lower handler_limit_ms"))
    health = tree.get("health")
    listen = health.get("listen") if isinstance(health, dict) else None
    if isinstance(listen, str):
        try:
            split_address(listen)
        except ValueError as error:
            findings.append(Finding(("health", "listen"), str(error)))
    return findings
