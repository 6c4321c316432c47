"""What holds a kernel's thread, as the kernel tells its watchdog: small JSON files under ``control/``.

``plugins.json``  written when plugins are attached: who there is, and where their code stands
``before.json``   the same of the kernel before: what may have orders open while the next one starts
``next-start.json``  written by the watchdog: why the next kernel starts, and without whom
``stall.json``    written when asked: what runs now
``stack.txt``     the dump of `faulthandler`, which needs no Python to run
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec

__all__ = [
    "JOURNAL",
    "WARDEN_PID",
    "Held",
    "Instance",
    "NextStart",
    "Roster",
    "keep_next_start",
    "read_held",
    "read_next_start",
    "read_roster",
    "retire_roster",
    "venues_outside",
    "write_json",
]

WARDEN_PID = "PENSTOCK_WARDEN_PID"
"""Environment variable of a kernel process: its watchdog's process id; unset where there is none."""

JOURNAL = "journal"
"""Stands in a plugin's place when the kernel waits for its journal."""


class Held(msgspec.Struct, frozen=True):
    """What the kernel's thread was doing when it was asked."""

    input_seq: int
    """The input at hand; 0 when there is none."""
    plugins: tuple[str, ...]
    """The instance; several when they cannot be told apart; empty when it is no plugin; `JOURNAL`."""
    handler: str
    """As ``on_quote``, ``check_order``, ``poll``, ``effect Session.send``."""
    where: str
    """``file:line`` of the innermost line of the plugin, or of all."""
    asked: int = 0
    """Counts the answers of this process."""
    debugged: bool = False
    """A person holds it, by pdb."""
    compiling: bool = False
    """It imports a module, or numba compiles: slow on a slow machine, and over some time."""

    @property
    def idle(self) -> bool:
        """True when the kernel waited for something to do: the machine had no time for it, and nothing held it."""
        return not (self.plugins or self.input_seq) and self.handler.endswith(".wait_until")

    @property
    def name(self) -> str:
        """``mm_de.on_quote``; ``mm_a or mm_b on_quote`` when it cannot be told."""
        if not self.plugins:
            return self.handler
        return f"{' or '.join(self.plugins)}{'.' if len(self.plugins) == 1 else ' '}{self.handler}"

    def __str__(self) -> str:
        text = f"{self.name} ({self.where})" if self.where else self.name
        return f"{text}, importing or compiling" if self.compiling else text


class Instance(msgspec.Struct, frozen=True):
    """One plugin instance, as the watchdog needs it."""

    name: str
    kind: str
    cls: str
    files: tuple[str, ...]
    """Files of its class and of those it derives from, the SDK's left out."""
    methods: tuple[tuple[str, int, int], ...] = ()
    """(file, first line, last line) of each method in these."""
    cancels_outside: bool = False
    """A venue that can cancel without the kernel."""


class Roster(msgspec.Struct, frozen=True):
    """The instances of a kernel process."""

    pid: int
    plugins: tuple[Instance, ...] = ()


def read_held(path: Path) -> Held | None:
    """Return the last answer, or None when there is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Held)
    except (OSError, msgspec.MsgspecError):
        return None


def read_roster(path: Path) -> Roster | None:
    """Return who there is, or None when no kernel has said so."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Roster)
    except (OSError, msgspec.MsgspecError):
        return None


class NextStart(msgspec.Struct, frozen=True):
    """What the kernel after an end that should not have been is to know; kept until one trades that knows it."""

    cause: str = ""
    quarantine: tuple[str, ...] = ()


def read_next_start(folder: Path) -> NextStart:
    """Return what the next kernel of the control folder *folder* is to know; nothing when nothing is kept."""
    try:
        return msgspec.json.decode((folder / "next-start.json").read_bytes(), type=NextStart)
    except (OSError, msgspec.MsgspecError):
        return NextStart()


def keep_next_start(folder: Path, next_start: NextStart) -> None:
    """Keep it over the watchdog's own end as well; where the disk takes nothing, it is kept by the caller alone."""
    path = folder / "next-start.json"
    with suppress(OSError):
        if next_start == NextStart():
            path.unlink(missing_ok=True)
        else:
            write_json(path, next_start)


def retire_roster(folder: Path) -> None:
    """Put the roster of a kernel that is to be asked no more aside; an empty one tells nothing, and goes."""
    path = folder / "plugins.json"
    roster = read_roster(path)
    with suppress(OSError):
        if roster is not None and roster.plugins:
            path.replace(folder / "before.json")
        else:
            path.unlink(missing_ok=True)


def venues_outside(folder: Path) -> tuple[str, ...]:
    """Return who can cancel without the kernel: of the kernel that last knew its plugins, be it the one before."""
    for name in ("plugins.json", "before.json"):
        roster = read_roster(folder / name)
        if roster is not None and roster.plugins:
            return tuple(plugin.name for plugin in roster.plugins if plugin.cancels_outside)
    return ()


def write_json(path: Path, value: msgspec.Struct) -> None:
    """Replace *path*: readers see the old content or the new. Nothing is synced: it may be the disk that hangs."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_bytes(msgspec.json.encode(value))
    fresh.replace(path)
