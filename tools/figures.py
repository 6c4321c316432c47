"""Measure the tops of rtl/budgets.toml and show clocks, fmax, latency, area and the critical path of each.

    python tools/figures.py [TOP ...] [--device ecp5|xc7|all] [--seeds N] [--write] [--compare REV] [--check]
    python tools/figures.py [TOP ...] [--device ecp5|xc7|all] --tighten [PERCENT]

``penstock sim timing`` is this. ``--compare REV`` measures the RTL of a revision of git beside the present one, with
the present tools; ``--write`` puts what came out into rtl/budgets.toml; ``--check`` fails where a limit is not kept.
``--tighten`` measures nothing: it puts each limit so many percent beside the figures that the file has.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from sims.budgets import (  # noqa: E402 - a script finds sims beside tools
    BUDGETS,
    Budget,
    Figures,
    breaches,
    load_budgets,
    tight_limits,
    write_figures,
    write_limits,
)
from tools.timing import CACHE, DEVICES, TimingError, measure, turn  # noqa: E402

__all__ = ["TIGHT_PERCENT", "compare", "copy_of_tree", "main", "measure_in", "table", "tighten", "write_page"]

PAGE = ROOT / "docs" / "hardware" / "timing.md"
TIGHT_PERCENT = 5.0
"""What an edit elsewhere may move without being asked: the seed alone moves fmax more, and figures name all of them."""
_BEGIN, _END = "## Figures\n", "\nA block RAM is "  # what stands before and after the table
_TOOLS = ("sims/simulators.py", "sims/builds.py", "sims/results.py", "tools/__init__.py", "tools/timing.py",
          "tools/xc7.sh", "tools/lib.sh")  # fmt: skip


@contextmanager
def copy_of_tree(revision: str | None = None) -> Iterator[Path]:
    """Yield a folder with rtl/ (of a *revision* of git, else the present one) and the present tools that measure it.

    Raises:
        TimingError: git knows no such revision, or it has no rtl/.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-rtl-") as name:
        folder = Path(name)
        if revision is None:
            shutil.copytree(ROOT / "rtl", folder / "rtl")
        else:
            done = subprocess.run(
                ["git", "-C", ROOT, "archive", "--format=tar", revision, "rtl"], capture_output=True, timeout=60
            )
            if done.returncode:
                raise TimingError(f"git has no rtl/ of {revision!r}: {done.stderr.decode().strip()}")
            with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
                archive.extractall(folder, filter="data")
        for tool in _TOOLS:
            (folder / tool).parent.mkdir(exist_ok=True)
            shutil.copy2(ROOT / tool, folder / tool)
        yield folder


def measure_in(tree: Path, of: Budget, device: str, seeds: int) -> Figures:
    """Return what the module comes to as *tree* has it.

    Raises:
        TimingError: it has none such, or a tool failed.
    """
    sets = [f"{name}={value}" for name, value in of.parameters.items()]
    done = subprocess.run(
        [sys.executable, tree / "tools/timing.py", of.top, "--device", device, "--seeds", str(seeds), "--figures",
         *(["--parameters", *sets] if sets else [])],
        capture_output=True, text=True, cwd=tree, env=os.environ | {"PENSTOCK_TIMING_CACHE": str(CACHE)},
    )  # fmt: skip
    if done.returncode:
        raise TimingError(done.stderr.strip())
    return Figures(**json.loads(done.stdout))


def _row(name: str, of: Budget, device: str, got: Figures) -> list[str]:
    return [
        name, device, str(of.clocks), f"{got.mhz_worst:.0f} / {got.mhz_median:.0f} / {got.mhz_best:.0f}",
        f"{of.ns(got.mhz_best):.1f} – {of.ns(got.mhz_worst):.1f}",
        f"{of.limits[device].ns_max:g}" if device in of.limits else "", str(got.luts), str(got.ffs), f"{got.brams:g}",
        str(got.dsps),
    ]  # fmt: skip


def table(rows: Sequence[tuple[str, Budget, str, Figures]]) -> str:
    """Return a line for each module: clocks, fmax of the worst, median and best seed, latency in ns, area."""
    heading = ["TOP", "DEVICE", "CLOCKS", "MHz worst/median/best", "ns", "ns max", "LUT", "FF", "BRAM", "DSP"]
    cells = [heading, *(_row(*row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heading))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join(lines)


def write_page(budgets: Mapping[str, Budget], page: Path = PAGE) -> None:
    """Put what rtl/budgets.toml holds into the table of the page on timing."""
    lines = [
        "| Block or top | Clocks, from | Device | MHz, worst – best of seeds | ns | LUT | FF | BRAM |",
        "|" + "---|" * 8,
    ]
    for of in budgets.values():
        for device, got in of.figures.items():
            lines.append(
                f"| `{of.top}` | {of.clocks}, {of.last_needed_beat} | {DEVICES[device].partition(',')[0]} "
                f"| {got.mhz_worst:.0f} – {got.mhz_best:.0f} of {got.seeds} "
                f"| {of.ns(got.mhz_best):.1f} – {of.ns(got.mhz_worst):.1f} "
                f"| {got.luts:,} | {got.ffs:,} | {got.brams:g} |"
            )
    begin, _, rest = page.read_text().partition(_BEGIN)
    page.write_text(begin + _BEGIN + "\n".join(lines) + "\n" + _END + rest.partition(_END)[2])


def compare(revision: str, chosen: Sequence[Budget], devices: Sequence[str], seeds: int) -> str:
    """Return the table of *revision*'s RTL and the present one, and what changed.

    Raises:
        TimingError: git knows no such revision, or a tool failed.
    """
    lines = []
    with copy_of_tree(revision) as tree:
        past = load_budgets(tree / "rtl/budgets.toml") if (tree / "rtl/budgets.toml").is_file() else {}
        for of in chosen:
            for device in devices:
                with turn():
                    now = Figures(**measure(of.top, device, range(1, seeds + 1), of.parameters).figures())
                if of.top not in past or not list((tree / "rtl").rglob(f"{of.top}.sv")):
                    rows = [("now", of, device, now)]
                    change = f"{revision} has no figures of it"
                else:
                    # The clocks are the revision's, the parameters the present ones.
                    old = replace(past[of.top], parameters=of.parameters)
                    with turn():
                        then = measure_in(tree, old, device, seeds)
                    rows = [(revision[:12], old, device, then), ("now", of, device, now)]
                    change = _change(old, then, of, now)
                lines.append(f"{of.top}\n{table(rows)}\n{change}")
                lines += [f"critical path {name}: {got.critical_path}" for name, _, _, got in rows]
                lines.append("")
    return "\n".join(lines)


def _change(old: Budget, then: Figures, new: Budget, now: Figures) -> str:
    if then.rtl_hash == now.rtl_hash:
        return "the same RTL"
    ns_then, ns_now = old.ns(then.mhz_median), new.ns(now.mhz_median)
    return (
        f"{new.clocks - old.clocks:+d} clocks, {now.mhz_median - then.mhz_median:+.0f} MHz, {ns_now - ns_then:+.1f} ns "
        f"(median), {now.luts - then.luts:+d} LUT, {now.ffs - then.ffs:+d} FF, {now.brams - then.brams:+g} BRAM"
    )


def tighten(chosen: Sequence[Budget], devices: Sequence[str], percent: float, path: Path = BUDGETS) -> str:
    """Put the limits of rtl/budgets.toml *percent* beside its figures; return a line for each that was or was not."""
    new, lines = {}, []
    for of in chosen:
        for device in devices:
            said = "no figures, so its limits stay"
            if device in of.figures:
                limits = new[of.top, device] = tight_limits(of, device, percent)
                said = ", ".join(f"{name} {value:g}" for name, value in vars(limits).items())
            lines.append(f"{of.top} on {device}: {said}")
    write_limits(new, path)
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is asked for and print it; return 0 when that came out, and kept its limits under ``--check``."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("tops", nargs="*", metavar="TOP", help="of rtl/budgets.toml (all)")
    parser.add_argument("--device", choices=[*DEVICES, "all"], default="ecp5", help="(ecp5)")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="placements, by seeds 1 to N (3)")
    parser.add_argument("--write", action="store_true", help="put the figures into rtl/budgets.toml")
    parser.add_argument("--check", action="store_true", help="fail where a limit of rtl/budgets.toml is not kept")
    parser.add_argument("--compare", metavar="REV", help="measure the RTL of a git revision beside the present one")
    parser.add_argument(
        "--tighten", nargs="?", type=float, const=TIGHT_PERCENT, metavar="PERCENT",
        help=f"measure nothing; put the limits so many percent beside the written figures ({TIGHT_PERCENT:g})",
    )  # fmt: skip
    asked = parser.parse_args(argv)
    if asked.tighten is not None and asked.tighten < 0:
        parser.error(f"--tighten {asked.tighten:g}, wanted 0 or more")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends as well
    budgets = load_budgets()
    if unknown := [top for top in asked.tops if top not in budgets]:
        print(f"rtl/budgets.toml has no {', '.join(unknown)}; it has {', '.join(budgets)}", file=sys.stderr)
        return 2
    chosen = [budgets[top] for top in asked.tops or budgets]
    devices = list(DEVICES) if asked.device == "all" else [asked.device]
    try:
        if asked.tighten is not None:
            print(tighten(chosen, devices, asked.tighten))
            return 0
        if asked.compare:
            print(compare(asked.compare, chosen, devices, asked.seeds))
            return 0
        return _measure_all(chosen, devices, asked)
    except TimingError as error:
        print(error, file=sys.stderr)
        return 1


def _measure_all(chosen: Sequence[Budget], devices: Sequence[str], asked: argparse.Namespace) -> int:
    rows: list[tuple[str, Budget, str, Figures]] = []
    for of in chosen:
        for device in devices:
            if sys.stderr.isatty():
                print(f"\r\033[K{of.top} on {device} …", end="", file=sys.stderr, flush=True)
            with turn():
                got = Figures(**measure(of.top, device, range(1, asked.seeds + 1), of.parameters).figures())
            rows.append((of.top, of, device, got))
            if asked.write:  # at once, so that what was measured is not lost with what comes after
                write_figures({(of.top, device): got})
                write_page(load_budgets())
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    print(table(rows))
    print()
    for name, of, device, got in rows:
        print(f"{name} on {device}, from {of.last_needed_beat}: {got.critical_path}")
    found = [breach for _, of, device, got in rows if device in of.limits for breach in breaches(of, device, got)]
    print("\n".join(["", *found]) if found else "\nevery limit of rtl/budgets.toml is kept")
    return 1 if found and asked.check else 0


if __name__ == "__main__":
    sys.exit(main())
