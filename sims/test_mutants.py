"""Mutants change what a bench should see, a seed draws the same sample again, and what survives is told."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.support.tiny_rtl import tiny_checkout
from tools.mutants import all_mutants, main
from tools.mutation import OPERATORS, Mutant, mutants_of, sample

ROOT = Path(__file__).resolve().parent.parent
needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed")

EVERY = """\
module every #(parameter int WIDTH = 4 + 4) (input wire clk, rst, input wire logic signed [WIDTH-1:0] a, output reg b);
    initial if (WIDTH < 1) $fatal(1, "no");  // a < b
    wire logic [3:0] c = a[0] ? 4'd3 : 4'hf;
    wire logic [7:0] d = 8'(c) + 8'd1;
`ifdef FORMAL
    always @(posedge clk) assert (c < 3);
`endif
    always_ff @(posedge clk) begin
        if (a >= $signed({4'd0, c}) && !rst) b <= d[c];
        if (rst) b <= '0;
    end
endmodule
"""


@pytest.fixture
def every(tmp_path: Path) -> list[Mutant]:
    path = tmp_path / "block" / "every.sv"
    path.parent.mkdir()
    path.write_text(EVERY)
    return mutants_of(path)


def changed(mutant: Mutant) -> str:
    """Return the line that a mutant changes, as it is then."""
    return mutant.apply(mutant.path.read_bytes()).decode().splitlines()[mutant.line - 1].strip()


def test_every_operator_finds_its_places(every: list[Mutant]) -> None:
    assert {mutant.operator for mutant in every} == set(OPERATORS)
    lines = {changed(mutant) for mutant in every}
    for wanted in (
        "if (a > $signed({4'd0, c}) && !rst) b <= d[c];",
        "if (a >= $signed({4'd0, c}) || !rst) b <= d[c];",
        "if (a >= ({4'd0, c}) && !rst) b <= d[c];",
        "if (!(a >= $signed({4'd0, c}) && !rst)) b <= d[c];",
        "if (a >= $signed({4'd0, c}) && !rst) ;",
        "if (a >= $signed({4'd0, c}) && !rst) b <= d[(c) + 1];",
        "wire logic [3:0] c = a[0] ? (4'hf) : (4'd3);",
        "wire logic [3:0] c = a[0] ? 4'd4 : 4'hf;",
        "wire logic [3:0] c = a[0] ? 4'd3 : 4'd14;",
        "wire logic [7:0] d = 8'(c) - 8'd1;",
        "if (1'b0) b <= '0;",
    ):
        assert wanted in lines


def test_nothing_is_changed_where_no_bench_looks(every: list[Mutant]) -> None:
    # Line 1 has the port's sign alone; 2 checks a parameter and has a comment; 6 is for proofs.
    assert {(mutant.line, mutant.operator) for mutant in every if mutant.line in (1, 2, 6)} == {(1, "signed")}


def test_an_id_stays_when_other_lines_move(every: list[Mutant], tmp_path: Path) -> None:
    moved = tmp_path / "other" / "every.sv"
    moved.parent.mkdir()
    moved.write_text("// A line more, with an é.\n" + EVERY)
    later = mutants_of(moved)
    assert [mutant.id for mutant in later] == [mutant.id for mutant in every]
    assert [mutant.line for mutant in later] == [mutant.line + 1 for mutant in every]
    assert len({mutant.id for mutant in every}) == len(every)


def test_a_sample_is_its_seed_and_spread_over_blocks_and_operators() -> None:
    mutants = all_mutants(ROOT)
    first = sample(mutants, 60, 1)
    assert sample(mutants, 60, 1) == first
    assert sample(mutants, 60, 2) != first
    assert {mutant.operator for mutant in first} == set(OPERATORS)
    counts = Counter(mutant.block for mutant in first)
    assert set(counts) == {mutant.block for mutant in mutants}
    assert max(counts.values()) - min(counts.values()) <= 1


ENTRY = '[[equivalent]]\nid = "{}"\nmodule = "tiny"\nline = "…"\nchange = "…"\nreason = "the bench is blind"\n'


@needs_icarus
def test_a_killed_mutant_is_counted_and_a_surviving_one_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The bench does not look far enough to see whether the count stops.
    checkout = tiny_checkout(tmp_path / "tiny", cycles=4)
    by_change = {mutant.change: mutant.id for mutant in all_mutants(checkout)}
    killed, survived = by_change["+ to -"], by_change["< to <="]
    status = main(["--only", killed, "--only", survived, "--workers", "1"], checkout)
    out = capsys.readouterr().out
    assert status == 1
    assert f"killed     {killed} tiny:" in out
    assert "2 mutants: 1 killed, 0 timeout, 0 equivalent, 0 explained, 1 survived" in out
    assert f"SURVIVED {survived} rtl/tiny/tiny.sv:" in out


@needs_icarus
def test_a_survivor_with_a_reason_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkout = tiny_checkout(tmp_path / "tiny", cycles=4)
    survived = next(mutant.id for mutant in all_mutants(checkout) if mutant.change == "< to <=")
    (checkout / "rtl" / "equivalents.toml").write_text(ENTRY.format(survived))
    assert main(["--only", survived, "--workers", "1"], checkout) == 0
    assert "1 explained, 0 survived" in capsys.readouterr().out


def test_a_reason_for_a_line_that_is_gone_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkout = tiny_checkout(tmp_path / "tiny")
    (checkout / "rtl" / "equivalents.toml").write_text(ENTRY.format("00000000"))
    assert main(["--list"], checkout) == 2
    assert "ids of no mutant, their lines changed: 00000000" in capsys.readouterr().err
    (checkout / "rtl" / "equivalents.toml").write_text(ENTRY.format("00000000").replace("the bench is blind", ""))
    with pytest.raises(ValueError, match=r"wanted id, module, line, change and reason"):
        main(["--list"], checkout)


@needs_icarus
def test_a_bench_that_fails_by_itself_tells_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkout = tiny_checkout(tmp_path / "tiny", limit=6)
    assert main(["--count", "1", "--workers", "1"], checkout) == 2
    assert "test_tiny.py fails without any change" in capsys.readouterr().err


def test_unknown_names_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkout = tiny_checkout(tmp_path / "tiny")
    assert main(["--module", "tinny"], checkout) == 2
    assert "tinny is no module" in capsys.readouterr().err
    assert main(["--only", "zz"], checkout) == 2
    assert "no mutant has the id zz" in capsys.readouterr().err
    assert main(["--list", "--count", "3"], checkout) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
