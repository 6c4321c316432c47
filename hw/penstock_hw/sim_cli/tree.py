"""The checkout that holds the current folder: its modules, what their files say of them, their benches and proofs."""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from penstock_sdk.cli.main import CliError

__all__ = ["Module", "Tree", "find_tree"]

_PACKAGE = "_pkg"
_SHARED = re.compile(r'run_bench\(\s*f"(\w*)\{\w+\}(\w*)"')
"""A bench for several modules puts the name of each together: ``run_bench(f"{block}_regs", …)``."""


@dataclass(frozen=True)
class Module:
    """One module of rtl/: what its file says of it, and what tests it."""

    name: str
    path: Path
    purpose: str
    """The first sentence of the file's head comment."""
    parameters: dict[str, str] = field(default_factory=dict)
    """Default by name, as written."""
    bench: Path | None = None
    """None: it is tested by the benches of the modules that it is a part of."""
    proofs: tuple[str, ...] = ()
    bench_part: str = ""
    """Of a bench for several modules, the part that is this one's, as pytest's ``-k`` takes it."""


@dataclass(frozen=True)
class Tree:
    """A checkout: its folder, and its modules by name."""

    root: Path
    modules: dict[str, Module]

    def module(self, name: str) -> Module:
        """Return the module *name*.

        Raises:
            CliError: there is none; the nearest names are told.
        """
        if name in self.modules:
            return self.modules[name]
        near = difflib.get_close_matches(name, self.modules, n=3, cutoff=0.4)
        way_out = f"nearest: {', '.join(near)}" if near else "`penstock sim list` has them all"
        raise CliError(f"{name} is no module of {self.root / 'rtl'}; {way_out}")


def find_tree(start: Path | None = None) -> Tree:
    """Return the checkout that holds *start*, the current folder by default.

    Raises:
        CliError: no folder from there upward has rtl/ and sims/.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "rtl").is_dir() and (folder / "sims" / "simulators.py").is_file():
            return Tree(folder, _modules(folder))
    raise CliError(f"met no rtl/ with sims/ in {start} or above, wanted a checkout of penstock; change into one")


def _modules(root: Path) -> dict[str, Module]:
    files = sorted((root / "sims").rglob("test_*.py"))
    benches = {path.stem.removeprefix("test_"): path for path in files}
    shared = [(path, *ends) for path in files for ends in _SHARED.findall(path.read_text(encoding="utf-8"))]
    proofs = _proofs(root / "rtl" / "proofs.toml")
    found = {}
    for path in sorted((root / "rtl").rglob("*.sv")):
        # What stands in rtl/formal/ checks the others; it is no module that anyone builds.
        if path.stem.endswith(_PACKAGE) or path.parent.name == "formal":
            continue
        text = path.read_text(encoding="utf-8")
        bench, part = benches.get(path.stem), ""
        for file, begin, end in shared:
            if bench is None and path.stem.startswith(begin) and path.stem.endswith(end):
                bench, part = file, path.stem.removeprefix(begin).removesuffix(end)
        found[path.stem] = Module(
            path.stem, path, _purpose(text), _parameters(text), bench, tuple(proofs.get(path.stem, ())), part
        )
    return found


def _purpose(text: str) -> str:
    """Return the first sentence below the licence line."""
    head = []
    for line in text.splitlines():
        if not line.startswith("//"):
            break
        head.append(line.removeprefix("//").strip())
    said = " ".join(line for line in head if not line.startswith("SPDX"))
    return re.split(r"(?<=\.)\s", said, maxsplit=1)[0]


def _parameters(text: str) -> dict[str, str]:
    """Return the parameters of the module's head, each with its default."""
    head = re.search(r"^module\s+\w+(?:\s+import [^;]*;)?\s*#\s*\((.*?)\n\s*\)\s*\(", text, re.DOTALL | re.MULTILINE)
    if head is None:
        return {}
    plain = re.sub(r"//.*", "", head[1])
    return {
        name: " ".join(value.split()).removesuffix(",").strip()
        for name, value in re.findall(r"parameter\b[^=]*?\b(\w+)\s*=\s*(.*?)(?=,\s*parameter\b|\Z)", plain, re.DOTALL)
    }


def _proofs(path: Path) -> dict[str, list[str]]:
    """Return the names of the proofs of each module."""
    if not path.is_file():
        return {}
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8")).get("proof", [])
    except tomllib.TOMLDecodeError as error:
        raise CliError(f"{path}: {error}") from None
    found: dict[str, list[str]] = {}
    for table in tables:
        found.setdefault(table["module"], []).append(table["name"])
    return found
