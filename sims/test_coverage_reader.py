"""Verilator's counts are added up to lines, branches and toggles, and what is not reached must be explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from sims.coverage import Explained, judge, main, modules_of, read_explained, read_points, table

SOURCE = """\
module block;
    initial $fatal(1, "never");
    always_ff @(posedge clk) begin
        if (take) a <= b;
        else if (drop) a <= 0;
        c <= a;
    end
endmodule
"""


def counted(file: Path, line: int, kind: str, what: str, lines: str, count: int, instance: str = "top") -> str:
    keys = {"f": file, "l": line, "n": 9, "t": kind, "page": f"v_{kind}/block", "o": what, "S": lines, "h": instance}
    return "C '" + "".join(f"\x01{key}\x02{value}" for key, value in keys.items()) + f"' {count}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the counts of two simulations; the second reaches line 4."""
    source = tmp_path / "block.sv"
    source.write_text(SOURCE)
    for name, taken in (("one", 0), ("two", 3)):
        (tmp_path / f"{name}.dat").write_text(
            "# SystemC::Coverage-3\n"
            + counted(source, 2, "line", "block", "2", 0)
            + counted(source, 3, "line", "block", "3,6", 40)
            + counted(source, 4, "branch", "if", "4", taken)
            + counted(source, 4, "branch", "else", "", 40 - taken)
            + counted(source, 5, "branch", "if", "5", 0)
            + counted(source, 3, "toggle", "a:0->1", "", 1, "top.one")
            + counted(source, 3, "toggle", "a:0->1", "", 0, "top.two")
            + counted(source, 3, "toggle", "a:1->0", "", 0)
        )
    return tmp_path


def test_simulations_and_instances_are_added_up(folder: Path) -> None:
    block = modules_of(read_points(sorted(folder.glob("*.dat"))))["block"]
    assert block.lines == {2: False, 3: True, 4: True, 5: False, 6: True}
    assert list(block.branches.values()) == [True, True, False]
    assert block.toggles == {"a:0->1": True, "a:1->0": False}
    assert block.unreached() == [(5, "else if (drop) a <= 0;")]  # $fatal ends what would count it
    alone = modules_of(read_points([folder / "one.dat"]))["block"]
    assert [number for number, _ in alone.unreached()] == [4, 5]
    assert table({"block": block})[1].split() == ["block", "4/5", "80.0", "%", "2/3", "66.7", "%", "1/2", "50.0", "%"]


def test_a_line_that_is_not_reached_is_explained_or_a_fault(folder: Path) -> None:
    modules = modules_of(read_points(folder.glob("*.dat")))
    few, missed = judge(modules, [])
    assert few == "block: 80.0 % of lines, wanted 95 %; extend its bench"
    assert "block.sv:5: not reached: else if (drop) a <= 0;" in missed
    explained = Explained("block", "else if (drop) a <=  0;", "drop is tied low")
    assert judge(modules, [explained]) == [few]
    assert judge(modules, [], chosen=["other"]) == ["other: not covered at all, no bench ran it on Verilator"]


@pytest.mark.parametrize("line", ["if (take) a <= b;", "a line that is gone"])
def test_an_entry_that_explains_nothing_is_a_fault(line: str, folder: Path) -> None:
    faults = judge(modules_of(read_points(folder.glob("*.dat"))), [Explained("block", line, "why")])
    assert f"rtl/coverage.toml explains a line of block that is reached or gone: {line}; remove it" in faults


def test_an_entry_without_a_reason_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "coverage.toml"
    assert read_explained(path) == []
    path.write_text('[[explained]]\nmodule = "block"\nline = "a <= b;"\nreason = " "\n')
    with pytest.raises(ValueError, match=r"wanted module, line and reason, none empty"):
        read_explained(path)


def test_what_is_no_count_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.dat"
    path.write_text("# SystemC::Coverage-3\nD something\n")
    with pytest.raises(ValueError, match=r"bad\.dat:2: met 'D something', wanted a point"):
        read_points([path])


def test_the_program_prints_the_table_and_ends_with_what_it_found(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(folder)]) == 1
    assert "coverage of 2 simulations" in capsys.readouterr().out
    assert main([str(folder / "nowhere")]) == 2
