"""`penstock sim` finds modules and benches, says what each test came to, and how to repeat one that failed."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from penstock_hw.sim_cli import add_commands
from penstock_hw.sim_cli.tree import find_tree
from penstock_sdk.cli.main import CliError, main
from tests.support.tiny_rtl import tiny_checkout

ROOT = Path(__file__).resolve().parent.parent.parent
needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed")


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    checkout = tiny_checkout(tmp_path / "tiny")
    monkeypatch.chdir(checkout / "rtl")
    return checkout


def asked(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capfd.readouterr()
    try:
        status = main(["sim", *arguments], [add_commands])
    except SystemExit as stopped:
        status = int(stopped.code or 0)
    return status, *capfd.readouterr()


@pytest.mark.parametrize("command", [(), ("list",), ("run",)])
def test_each_command_helps(command: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> None:
    status, out, _ = asked(capfd, *command, "--help")
    assert status == 0
    assert out.startswith(" ".join(["usage: penstock sim", *command]))


def test_a_module_is_read_from_its_file(tiny: Path) -> None:
    module = find_tree().modules["tiny"]
    assert module.purpose == "Tiny counter: count the cycles in which `up` is high, and stop at LIMIT."
    assert module.parameters == {"LIMIT": "5", "WIDTH": "4"}
    assert module.bench == tiny / "sims/tiny/test_tiny.py"
    assert list(find_tree().modules) == ["tiny"]  # a package is no module


def test_every_module_of_the_checkout_has_its_purpose() -> None:
    tree = find_tree(ROOT / "rtl" / "frame_header")
    assert tree.root == ROOT
    assert tree.modules["frame_header"].parameters["DEPTH"] == "16"
    assert [module.name for module in tree.modules.values() if len(module.purpose) < 20] == []


def test_the_list_has_a_line_per_module_and_tells_all_of_one(tiny: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tiny / "rtl" / "proofs.toml").write_text('[[proof]]\nmodule = "tiny"\nname = "stops"\n')
    status, out, _ = asked(capfd, "list")
    assert status == 0
    assert re.fullmatch(r"tiny +yes +1 +LIMIT WIDTH +Tiny counter: .*", out.splitlines()[1])
    assert "parameter   LIMIT = 5" in asked(capfd, "list", "tiny")[1]
    (entry,) = json.loads(asked(capfd, "list", "--json")[1])
    assert entry["proofs"] == ["stops"] and entry["file"] == "rtl/tiny/tiny.sv"


def test_outside_of_a_checkout_the_way_out_is_told(tmp_path: Path) -> None:
    with pytest.raises(CliError, match=r"^met no rtl/ with sims/ in .* wanted a checkout of penstock"):
        find_tree(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "tinny"), "tinny is no module of .*; nearest: tiny"),
        (("run", "zzzzzz"), "zzzzzz is no module of .*; `penstock sim list` has them all"),
        (("run",), "met no module"),
        (("run", "tiny", "--all"), "or --all and a module"),
        (("run", "tiny", "--coverage", "--simulator", "icarus"), "--coverage is Verilator's"),
    ],
)
def test_what_it_cannot_do_is_told(
    arguments: tuple[str, ...], told: str, tiny: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    status, out, err = asked(capfd, *arguments)
    assert (status, out) == (2, "")
    assert re.search(told, err)


def test_a_module_without_a_bench_names_those_beside_it(tiny: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = (tiny / "rtl/tiny/tiny.sv").read_text()
    (tiny / "rtl/tiny/part.sv").write_text(text.replace("module tiny", "module part"))
    status, _, err = asked(capfd, "run", "part")
    assert status == 2
    assert "part has no bench of its own; benches beside it: tiny" in err


@needs_icarus
def test_a_run_ends_with_a_table_and_waves(tiny: Path, capfd: pytest.CaptureFixture[str]) -> None:
    status, out, err = asked(capfd, "run", "tiny", "--waves")
    assert (status, err) == (0, "")
    assert re.search(r"^it_counts +passed +\d+ +\d+ +\d+\.\d\d$", out, re.M)
    assert re.search(r"^tiny on icarus: 2 passed, 0 failed; \d+ cycles, \d+\.\d s$", out, re.M)
    (waves,) = re.findall(r"^waves  (.*)$", out, re.M)
    assert Path(waves).stat().st_size > 0 and Path(waves).name == "tiny.fst"


@needs_icarus
def test_a_failing_test_shows_the_assertion_its_place_and_how_to_repeat_it(
    tiny: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rtl = tiny / "rtl/tiny/tiny.sv"
    rtl.write_text(rtl.read_text().replace("count < WIDTH", "count <= WIDTH"))
    status, out, _ = asked(capfd, "run", "tiny", "--seed", "7")
    assert status == 1
    bench = tiny / "sims/tiny/test_tiny.py"
    line = 1 + next(i for i, text in enumerate(bench.read_text().splitlines()) if "min(cycle" in text)
    assert f"FAILED it_counts\n  at   {bench}:{line}\n" in out
    assert "seed 7, cycle 5" in out
    assert "again  penstock sim run tiny --simulator icarus --test it_counts --seed 7 --waves" in out
    assert "1 passed, 1 failed" in out
    # The other test alone, chosen by its name.
    status, out, _ = asked(capfd, "run", "tiny", "--test", "stays")
    assert status == 0
    assert "1 passed, 0 failed" in out


@needs_icarus
def test_what_the_simulator_cannot_read_is_told(tiny: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rtl = tiny / "rtl/tiny/tiny.sv"
    rtl.write_text(rtl.read_text().replace("endmodule", "endmodul"))
    status, out, _ = asked(capfd, "run", "tiny")
    assert status == 1
    assert "icarus cannot build tiny" in out and "syntax error" in out
    assert "nothing was simulated" not in out


def replaced(tiny: Path, old: str, new: str) -> None:
    """Change the bench of the tiny checkout."""
    bench = tiny / "sims/tiny/test_tiny.py"
    text = bench.read_text()
    assert text.count(old) >= 1
    bench.write_text(text.replace(old, new))


def test_without_its_simulator_a_module_has_not_passed(
    tiny: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced(tiny, "def test_tiny(", "def test_without_any_simulator():\n    pass\n\n\ndef test_tiny(")
    monkeypatch.setenv("PATH", str(tiny))
    status, out, _ = asked(capfd, "run", "tiny")
    assert status == 1
    assert re.search(r"^test_tiny +skipped  .*(iverilog|libpython3) is not installed; as root: ", out, re.M)
    assert re.search(r"^tiny on icarus: 1 passed, 0 failed, 1 skipped; 0 cycles", out, re.M)
    assert "tiny on icarus: nothing was simulated, so it has not passed" in out
    # What needs no simulator can be asked for alone.
    status, out, _ = asked(capfd, "run", "tiny", "--test", "without_any")
    assert status == 0
    assert "1 passed, 0 failed;" in out


@needs_icarus
def test_a_bench_that_skips_itself_has_not_passed_and_shows_why(tiny: Path, capfd: pytest.CaptureFixture[str]) -> None:
    replaced(tiny, "    await start(dut)\n", '    import pytest\n    pytest.skip("no fast clock")\n')
    status, out, _ = asked(capfd, "run", "tiny")
    assert status == 1
    assert re.search(r"^it_counts +skipped  no fast clock$", out, re.M)
    assert "tiny on icarus: nothing was simulated, so it has not passed" in out
    # Neither does pytest call it passed.
    (log,) = tiny.glob(".cache/sims/runs/*/pytest.log")
    assert "1 skipped" in log.read_text() and "passed" not in log.read_text()


@needs_icarus
def test_one_skipped_test_of_several_is_told_and_fails_nothing(tiny: Path, capfd: pytest.CaptureFixture[str]) -> None:
    replaced(tiny, 'timeout_unit="us")\nasync def it_counts', 'timeout_unit="us", skip=True)\nasync def it_counts')
    status, out, _ = asked(capfd, "run", "tiny")
    assert status == 0
    assert re.search(r"^it_counts +skipped  its decorator says so$", out, re.M)
    assert re.search(r"^tiny on icarus: 1 passed, 0 failed, 1 skipped; \d+ cycles", out, re.M)


def test_no_test_is_no_pass(tiny: Path, capfd: pytest.CaptureFixture[str]) -> None:
    replaced(tiny, "def test_tiny(", "def tiny(")
    status, out, _ = asked(capfd, "run", "tiny", "--test", "reset")
    assert status == 1
    assert "tiny on icarus: no test with 'reset' in its name\n" in out
    assert "nothing was simulated" in out
