"""What is not known, or not counted yet, is a dash and never a nought."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from penstock_kernel.cli.show import print_runs
from penstock_kernel.cli.state_text import plugin_rows
from penstock_kernel.control.state import PluginRow
from penstock_kernel.runs import RunInfo


def test_a_plugin_that_was_never_sampled_has_no_calls_to_tell() -> None:
    sampled = PluginRow("risk", "risk", "running", 0, calls=1_234, busy_ns=1_234_000, slowest_ns=2_500_000, slowest="f")
    never, often = plugin_rows([PluginRow("prices", "feed", "running", 0), sampled])
    assert never[4:] == ["–", "–", "–"]
    assert often[4:] == ["1,234", "1.0 µs", "2.50 ms f"]


def test_runs_that_are_not_closed_have_no_counts(tmp_path: Path) -> None:
    for name, status in (("one", "running"), ("two", "complete")):
        (tmp_path / name).mkdir()
        RunInfo(id=name, status=status, seed=7, events=12_345, digest="abcdef").save(tmp_path / name)  # pid 0: crashed
    console = Console(width=200, record=True)
    assert print_runs(tmp_path, console) == 0
    _, crashed, complete = (line.split() for line in console.export_text().splitlines()[:3])
    assert crashed[0] == "one" and "crashed" in crashed and crashed[-4:] == ["–"] * 4
    assert complete[0] == "two" and complete[-4:] == ["12,345", "0", "0.0", "abcdef"]
