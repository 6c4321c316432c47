"""What a bridge is told by the kernel that starts it, and how it ends."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from penstock_sdk.process.spawn import Confinement
from penstock_sdk.wire.messages import PROTOCOL_MAJORS

__all__ = [
    "ENV_PLAN", "LAST_WORDS", "NOISE", "BridgeExit", "BridgePlan", "PlanTls", "bridge_argv", "bridge_environment",
]  # fmt: skip

ENV_PLAN = "PENSTOCK_BRIDGE"
"""The plan, as JSON; in the environment because it may hold secrets of the plugin."""
LAST_WORDS = "penstock-bridge: "
"""Begins the last line that a bridge writes on stderr; why it ended follows."""
NOISE = "penstock-noise: "
"""Begins a line on stderr with what a plugin printed before its start-up line. A plugin's own lines begin otherwise."""


class BridgeExit(IntEnum):
    """Exit status of a bridge."""

    STOPPED = 0
    """The plugin was told to stop, and has."""
    PLAN = 2
    """The plan, the socket or the token will not do."""
    NOT_STARTED = 3
    """The plugin did not come up; the first call was refused with the reason."""
    GONE = 4
    """The plugin's process or stream ended, or it could not be reached again."""
    BREACH = 5
    """The plugin, or the kernel, sent what no message may be."""
    KERNEL_GONE = 6
    """The kernel closed a connection without a Stop."""


class PlanTls(msgspec.Struct, frozen=True):
    """Paths of PEM files for a plugin on another machine."""

    ca: str
    cert: str
    key: str


class BridgePlan(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which plugin, and how to reach it: *argv* of one to start, or *address* of one that runs."""

    argv: tuple[str, ...] = ()
    cwd: str = ""
    env: dict[str, str] = {}
    """The plugin's environment, beside PATH, language and time zone."""
    confinement: Confinement | None = None
    auto_tls: bool = False
    """Certificates made for this start, for plugins in which AutoMTLS is on."""
    address: str = ""
    """HOST:PORT of a plugin that runs elsewhere."""
    tls: PlanTls | None = None
    token: str = ""
    """What a plugin at an address wants with every call, if it does."""
    majors: tuple[int, ...] = PROTOCOL_MAJORS
    """Of penstock.plugin, that the plugin is offered."""
    start_s: float = 10.0
    """Seconds until the plugin must serve. The bridge says HELLO after that at the latest."""
    reconnect_s: float = 30.0
    """Seconds that a bridge tries to reach a plugin at an address again, where that can go on."""


def bridge_argv(python: str) -> list[str]:
    """Return the command of a bridge, run by an interpreter in which the kernel is installed."""
    return [python, "-m", "penstock_kernel.bridge"]


def bridge_environment(plan: BridgePlan) -> dict[str, str]:
    """Return what to add to a bridge's environment, beside the socket's path and the token."""
    return {ENV_PLAN: msgspec.json.encode(plan).decode()}
