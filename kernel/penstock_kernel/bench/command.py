"""``penstock bench``: the benches by name, as a table or as JSON."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

__all__ = ["BENCHES", "bench_command"]


def _bus(tiny: bool) -> dict[str, Any]:
    from penstock_kernel.bench.bus import bench_bus

    return bench_bus(events=2_048, rounds=1) if tiny else bench_bus()


def _order_path(tiny: bool) -> dict[str, Any]:
    from penstock_kernel.bench.order_path import bench_order_path

    return bench_order_path(orders=256, rounds=1) if tiny else bench_order_path()


def _positions(tiny: bool) -> dict[str, Any]:
    from penstock_kernel.bench.positions import TINY, bench_positions

    return bench_positions(**TINY) if tiny else bench_positions()


def _store(tiny: bool) -> dict[str, Any]:
    from penstock_kernel.bench.store import bench_store

    with tempfile.TemporaryDirectory() as folder:
        return bench_store(folder, records=2_000, rounds=1) if tiny else bench_store(folder)


def _rebuild(tiny: bool) -> dict[str, Any]:
    from penstock_kernel.bench.rebuild import bench_rebuild

    return bench_rebuild(hours=0.6) if tiny else bench_rebuild()


def _telemetry(tiny: bool) -> dict[str, Any]:
    from penstock_kernel.bench.telemetry import bench_telemetry

    return bench_telemetry(orders=128, rounds=1) if tiny else bench_telemetry()


def _operate(tiny: bool) -> dict[str, Any]:
    from penstock_kernel.bench.operate import TINY, bench_operate

    return bench_operate(**TINY) if tiny else bench_operate()


def _soak(tiny: bool) -> dict[str, Any]:
    from penstock_kernel.bench.soak import TINY, bench_soak

    return bench_soak(TINY) if tiny else bench_soak()


def _plugins(tiny: bool) -> dict[str, Any]:
    from penstock_kernel.bench.plugins import FULL, TINY, bench_plugins

    return bench_plugins(**(TINY if tiny else FULL))


BENCHES: dict[str, Callable[[bool], dict[str, Any]]] = {
    "bus": _bus,
    "order-path": _order_path,
    "plugins": _plugins,
    "positions": _positions,
    "store": _store,
    "rebuild": _rebuild,
    "telemetry": _telemetry,
    "operate": _operate,
    "soak": _soak,
}


def bench_command(name: str, size: str, as_json: bool, console: Console) -> int:
    """Run one bench, or all of them; print tables, or one JSON object a line."""
    for bench in BENCHES if name == "all" else (name,):
        result = BENCHES[bench](size == "tiny")
        if as_json:
            print(msgspec.json.encode(result).decode())
        else:
            _print(result, console)
    return 0


def _print(result: dict[str, Any], console: Console) -> None:
    rows = result.get("rows", [])
    table = Table(title=f"bench {result['bench']}", title_justify="left", box=None, pad_edge=False)
    names = list(dict.fromkeys(key for row in rows for key in row if not isinstance(row[key], (list, dict))))
    for name in names:
        table.add_column(name.replace("_", " "), justify="left" if name == "name" else "right")
    for row in rows:
        table.add_row(*("" if row.get(name) is None else _text(row[name]) for name in names))
    console.print(table)
    for name, words in result.get("measures", {}).items():
        console.print(f"{name}: {words}", markup=False)
    for key, value in result.items():
        if key not in ("rows", "bench", "hourly", "measures"):
            console.print(f"{key}: {value}", markup=False)


def _text(value: Any) -> str:
    return f"{value:,}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)
