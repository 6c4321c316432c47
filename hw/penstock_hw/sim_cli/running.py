"""``penstock sim run``: run benches, say how far they are, and end with what each test came to."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock_hw.sim_cli.tree import Module, Tree, find_tree
from penstock_hw.sim_cli.watching import Outcome, Watch
from penstock_sdk.cli.main import CliError

__all__ = ["add_run"]

_POLL_S = 0.2
_DESCRIPTION = """Run the benches of modules of rtl/ and end with a table of every test.

A bench is compiled once for a given source, parameters and flags; the next run starts at once. Exit status: 0 what
was asked for passed, 1 a test failed or nothing was simulated, 2 wrong usage."""
_EXAMPLES = """examples:
  penstock sim run frame_header                      its short tests, on Icarus
  penstock sim run frame_header --waves --test reset only tests with `reset` in their name, with waveforms
  penstock sim run frame_header --simulator both     on Icarus and on Verilator
  penstock sim run --all --coverage                  every bench on Verilator, with line and toggle coverage"""


def add_run(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``penstock sim run``."""
    parser = subcommands.add_parser(
        "run", help="run the benches of modules", description=_DESCRIPTION, epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("module", nargs="*", help="module of rtl/, as `penstock sim list` names it")
    parser.add_argument("--all", action="store_true", help="every module that has a bench")
    parser.add_argument("--simulator", choices=["icarus", "verilator", "both"], help="default icarus")
    parser.add_argument("--seed", type=int, metavar="N", help="of all that is random in the bench (default: its own)")
    parser.add_argument("--waves", action="store_true", help="record waveforms; the table says where they lie")
    parser.add_argument("--coverage", action="store_true", help="line and toggle coverage, on Verilator")
    parser.add_argument("--test", metavar="TEXT", help="only tests with TEXT in their name")
    parser.add_argument("--long", action="store_true", help="the long tests too")
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    tree = find_tree()
    modules = _chosen(tree, options)
    if options.coverage and options.simulator in ("icarus", "both"):
        raise CliError("--coverage is Verilator's; leave --simulator out, or give --simulator verilator")
    asked = "verilator" if options.coverage else options.simulator or "icarus"
    failed = False
    with _coverage_folder(tree, options) as coverage:
        for module in modules:
            for simulator in ("icarus", "verilator") if asked == "both" else (asked,):
                failed |= not _run_one(tree, module, simulator, options, coverage)
        if coverage is not None:
            named = [] if options.all else [module.name for module in modules]
            command = [sys.executable, "-m", "sims.coverage", str(coverage), *named]
            failed |= subprocess.run(command, cwd=tree.root, env=_python_path(tree)).returncode != 0
    return int(failed)


def _chosen(tree: Tree, options: argparse.Namespace) -> list[Module]:
    if options.all == bool(options.module):
        raise CliError("met no module, or --all and a module; wanted one of both (`penstock sim list` has the names)")
    if options.all:
        return [module for module in tree.modules.values() if module.bench is not None]
    modules = [tree.module(name) for name in options.module]
    for module in modules:
        if module.bench is None:
            near = [each for each in tree.modules.values() if each.bench and each.path.parent == module.path.parent]
            have = ", ".join(each.name for each in near)
            way_out = f"benches beside it: {have}" if have else f"add sims/…/test_{module.name}.py"
            raise CliError(f"{module.name} has no bench of its own; {way_out}")
    return modules


def _run_one(tree: Tree, module: Module, simulator: str, options: argparse.Namespace, coverage: Path | None) -> bool:
    """Run one module's bench on one simulator; print its table; return whether all passed."""
    assert module.bench is not None
    runs = tree.root / ".cache" / "sims" / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{module.name}-{simulator}-", dir=runs))
    _forget_old(runs, f"{module.name}-{simulator}-")
    env = _python_path(tree) | {"BENCH_SIMULATOR": simulator, "BENCH_REPORT": str(folder / "report.jsonl")}
    env["WAVES"] = "1" if options.waves else "0"
    if options.seed is not None:
        env["BENCH_SEED"] = str(options.seed)
    if options.test:
        env["COCOTB_TEST_FILTER"] = re.escape(options.test)
    if coverage is not None:
        env["BENCH_COVERAGE"] = str(coverage)
    began = time.monotonic()
    watch = Watch(module.name, simulator, folder)
    with (folder / "pytest.log").open("w") as log:
        process = subprocess.Popen(
            _pytest(module, simulator, folder, options), cwd=tree.root, env=env, stdout=log, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while process.poll() is None:
                watch.look()
                time.sleep(_POLL_S)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)  # so that pytest ends its simulator too
                process.wait()
    outcomes = watch.outcomes(options.test or "")
    _print_end(outcomes, watch, folder, time.monotonic() - began, options)
    if not _has_run(outcomes):
        print(f"{module.name} on {simulator}: nothing was simulated, so it has not passed\n", flush=True)
        return False
    if process.returncode and not any(each.result == "failed" for each in outcomes):
        print(_said(folder)[-2_000:] + "\n", flush=True)  # what fails a run of tests that all passed
    return process.returncode == 0


def _has_run(outcomes: list[Outcome]) -> bool:
    """Return whether these tell anything: a module whose simulations were all skipped has not passed."""
    is_simulated = any(each.cocotb and each.result != "skipped" for each in outcomes)
    return bool(outcomes) and (is_simulated or all(each.result != "skipped" for each in outcomes))


def _pytest(module: Module, simulator: str, folder: Path, options: argparse.Namespace) -> list[str]:
    command = [
        sys.executable, "-m", "pytest", str(module.bench), "-q", "-p", "no:cacheprovider",
        "--basetemp", str(folder / "work"), "--junitxml", str(folder / "junit.xml"), "-o", "junit_family=xunit1",
    ]  # fmt: skip
    chosen = [module.bench_part] if module.bench_part else []
    # What a bench gives Verilator is the same again in larger numbers; on Icarus it would double the wait.
    chosen += ["not on_verilator"] if simulator == "icarus" else []
    command += ["-k", " and ".join(chosen)] if chosen else []
    return [*command, "-m", "not interop"] if options.long else command


def _print_end(outcomes: list[Outcome], watch: Watch, folder: Path, wall_s: float, options: argparse.Namespace) -> None:
    """Print the table, what failed and how to repeat it, and where the waves lie."""
    watch.clear()
    if not outcomes:
        about = f" with {options.test!r} in its name" if options.test else ""
        print(f"{watch.module} on {watch.simulator}: no test{about}\n{_said(folder)}")
        return
    for line in watch.table(outcomes):
        print(line)
    failed = [each for each in outcomes if each.result == "failed"]
    for each in failed:
        print(f"\nFAILED {each.name}" + (f" ({each.parameters})" if each.parameters else ""))
        if each.where:
            print(f"  at   {each.where}")
        print("\n".join(f"       {line[:400]}" for line in each.message.splitlines()[:30]))
        if each.cocotb:
            print(f"  again  {_again(watch, each, options)}")
    if options.waves:
        for waves in watch.waves():
            print(f"waves  {waves}")
    passed = sum(each.result == "passed" for each in outcomes)
    skipped = sum(each.result == "skipped" for each in outcomes)
    cycles = sum(each.cycles for each in outcomes)
    print(
        f"{watch.module} on {watch.simulator}: {passed} passed, {len(failed)} failed"
        + (f", {skipped} skipped" if skipped else "")
        + f"; {cycles:,} cycles, {wall_s:.1f} s\n",
        flush=True,
    )


def _said(folder: Path) -> str:
    """Return what pytest printed."""
    return (folder / "pytest.log").read_text(errors="replace").strip()


def _again(watch: Watch, outcome: Outcome, options: argparse.Namespace) -> str:
    """Return the command that repeats one test with waves."""
    words = ["penstock", "sim", "run", watch.module, "--simulator", watch.simulator, "--test", outcome.name]
    words += ["--seed", str(options.seed)] if options.seed is not None else []
    words += ["--long"] if options.long else []
    return shlex.join([*words, "--waves"]) + ("" if options.seed is not None else "   # the bench's own seed")


def _python_path(tree: Tree) -> dict[str, str]:
    """Return the environment with the checkout first among what Python imports."""
    path = os.environ.get("PYTHONPATH")
    return dict(os.environ) | {"PYTHONPATH": os.pathsep.join([str(tree.root), *([path] if path else [])])}


@contextmanager
def _coverage_folder(tree: Tree, options: argparse.Namespace) -> Iterator[Path | None]:
    if not options.coverage:
        yield None
        return
    cache = tree.root / ".cache" / "sims"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="coverage-", dir=cache) as folder:
        yield Path(folder)


def _forget_old(runs: Path, prefix: str) -> None:
    """Keep the latest few runs of a module: their waves are large."""
    folders = sorted(runs.glob(f"{prefix}*"), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in folders[3:]:
        shutil.rmtree(folder, ignore_errors=True)
