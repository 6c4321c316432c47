"""What the tests of plugins out of process share: the small far market, and what is read of its runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penstock_kernel.replay import event_of
from penstock_sdk.events import PluginState, PluginStatus
from penstock_sdk.wire.segment import read_frames

FAR = Path(__file__).parent / "far"
KINDS = {"venue": "venue", "feed": "feed", "risk": "risk", "strategy": "strategy", "book": "portfolio"}


def deployment(
    folder: Path, *, clock: str = "sim", far: tuple[str, ...] = tuple(KINDS), restart: str = "", **config: str
) -> Path:
    """Write a plugins.toml of the small market, whose *far* plugins run out of process; values are config lines."""
    tables = [
        f'[plugins.{name}]\nuse = "far_{kind}"\npath = "{FAR}"\n'
        + ('run = "process"\n' if name in far else "")
        + restart
        + f"[plugins.{name}.config]\n{config.get(name, '')}\n"
        for name, kind in KINDS.items()
    ]
    run = f'[run]\nclock = "{clock}"\ndelivery_day = "2099-01-02"\nstart = "2099-01-01T22:00:00Z"\n'
    end = 'end = "2099-01-01T22:05:00Z"\n' if clock == "sim" else ""
    path = folder / "plugins.toml"
    path.write_text(f'{run}{end}runs_dir = "{folder / "runs"}"\n' + "\n".join(tables))
    return path


def events(run_dir: Path) -> list[Any]:
    return [event_of(frame) for frame in read_frames(run_dir / "journal")]


def of(run_dir: Path, cls: type[Any]) -> list[Any]:
    return [event for event in events(run_dir) if type(event) is cls]


def states(run_dir: Path, name: str) -> list[PluginStatus]:
    return [PluginStatus(state.status) for state in of(run_dir, PluginState) if state.name == name]


def left_behind(folder: Path) -> list[str]:
    """Return the processes that work in a folder below *folder*: those of its runs' plugins."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            where = (process / "cwd").readlink()
            words = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if where.is_relative_to(folder) and words:
            found.append(f"{process.name}: {words!r}")
    return found


def pid_of(host: Any) -> int:
    """Return the process of a plugin itself, which a keeper may have started."""
    pid = host.child.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else int(pid)
