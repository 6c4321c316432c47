"""Whether a changed module does the same as before, proven by Yosys where it can."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["proof_parameters", "prove_equivalent"]

TIMEOUT_S = 90.0


def proof_parameters(rtl: Path, module: str) -> dict[str, int]:
    """Return the small parameters that the proofs of *module* use; a proof by induction wants small memories."""
    path = rtl / "proofs.toml"
    tables = tomllib.loads(path.read_text(encoding="utf-8")).get("proof", []) if path.is_file() else []
    return next((dict(table.get("parameters", {})) for table in tables if table["module"] == module), {})


def prove_equivalent(
    yosys: str, module: str, before: Sequence[Path], after: Sequence[Path], parameters: Mapping[str, int]
) -> bool:
    """Return whether *after* is proven to do what *before* does, from any state that both can be in.

    Where both make the same netlist, that is all. Else registers of the same name are taken to hold the same; by
    induction over five clocks every output and every next state must be equal. False means not proven, which is not
    unequal.

    Args:
        yosys: the program.
        module: the top of both.
        before: its sources in the order of reading.
        after: the same, one of them changed.
        parameters: of the top.
    """
    netlists = [_netlist(yosys, module, sources, parameters) for sources in (before, after)]
    if netlists[0] and netlists[0] == netlists[1]:
        return True
    with tempfile.TemporaryDirectory() as folder:
        # Copied beside the script: Yosys from a wheel sees the folder that it runs in, and not every other.
        gold, gate = _copied(before, Path(folder), "gold"), _copied(after, Path(folder), "gate")
        (Path(folder) / "equal.ys").write_text(_script(module, gold, gate, parameters))
        try:
            done = subprocess.run(
                [yosys, "-Q", "-T", "-q", "-s", "equal.ys"], cwd=folder, capture_output=True, text=True,
                timeout=TIMEOUT_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 0


def _netlist(yosys: str, module: str, sources: Sequence[Path], parameters: Mapping[str, int]) -> str:
    """Return what Yosys makes of *sources*, without what only tells where it is from; empty when it makes nothing."""
    with tempfile.TemporaryDirectory() as folder:
        lines = _read(module, _copied(sources, Path(folder), "rtl"), parameters)
        # Of single gates, for a wider cell tells a sign that changes nothing where no operand is extended.
        lines += ["proc", "flatten", "opt_clean", "simplemap", "opt_clean", "write_rtlil netlist.il"]
        (Path(folder) / "netlist.ys").write_text("\n".join(lines))
        try:
            subprocess.run(
                [yosys, "-Q", "-T", "-q", "-s", "netlist.ys"], cwd=folder, capture_output=True, timeout=TIMEOUT_S
            )
        except subprocess.TimeoutExpired:
            return ""
        path = Path(folder) / "netlist.il"
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
    # A wire has a sign for who reads it; what computes has its own.
    text = re.sub(r"^\s*(attribute|#) .*\n", "", text, flags=re.MULTILINE)
    return re.sub(r"^(\s*wire .*)\bsigned ", r"\1", text, flags=re.MULTILINE)


def _read(module: str, sources: Sequence[str], parameters: Mapping[str, int]) -> list[str]:
    chosen = " ".join(f"-chparam {name} {value}" for name, value in parameters.items())
    return [f"read_verilog -sv {' '.join(sources)}", f"hierarchy -check -top {module} {chosen}"]


def _copied(sources: Sequence[Path], folder: Path, name: str) -> list[str]:
    """Copy *sources* into a folder of that name; return their places from *folder*."""
    (folder / name).mkdir()
    return [str(Path(shutil.copy(source, folder / name)).relative_to(folder)) for source in sources]


def _script(module: str, before: Sequence[str], after: Sequence[str], parameters: Mapping[str, int]) -> str:
    lines = []
    for name, sources in (("gold", before), ("gate", after)):
        lines += [
            "design -reset",
            *_read(module, sources, parameters),
            "prep -flatten",
            "async2sync",
            "memory_map",
            "opt -full",
            f"rename -top {name}",
            f"design -stash {name}",
        ]
    lines += ["design -reset", "design -copy-from gold -as gold gold", "design -copy-from gate -as gate gate"]
    lines += ["equiv_make gold gate equiv", "hierarchy -top equiv", "clean -purge"]
    lines += ["equiv_simple -undef", "equiv_induct -undef -seq 5", "equiv_status -assert"]
    return "\n".join(lines)
