"""What every test of the repository shares: the real data, Hypothesis profiles, and the table of what was skipped.

`PENSTOCK_SHARED` names a folder of real data. Unset, the tests on it skip; set, a skip of any test fails the run, so
that a machine which promises the data cannot quietly test less.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["pytester"]

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("long", derandomize=True, deadline=None, print_blob=True, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Return the folder of real data that `PENSTOCK_SHARED` names; skip when it is unset, fail when it is no folder."""
    value = os.environ.get("PENSTOCK_SHARED")
    if not value:  # the data is not part of the project; where it is there, CI names it, and a skip is a failure
        pytest.skip("PENSTOCK_SHARED is not set")
    folder = Path(value)
    if not folder.is_dir():
        pytest.fail(f"PENSTOCK_SHARED is {value}, which is no folder; unset it or name one that holds the data")
    return folder


def _skipped(config: pytest.Config) -> Counter[tuple[str, str]]:
    """Return how often each (test without its parameters, reason) was skipped in this run."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    counts: Counter[tuple[str, str]] = Counter()
    for report in reporter.stats.get("skipped", []) if reporter else []:
        # A skip's longrepr is (file, line, "Skipped: reason"); anything else is shown as it is.
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        counts[report.nodeid.split("[")[0], reason.removeprefix("Skipped: ")] += 1
    return counts


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run that would have passed, or ran nothing, when the data is promised and something was skipped."""
    would_pass = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    if would_pass and os.environ.get("PENSTOCK_SHARED") and _skipped(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what was skipped and why, and whether that fails the run."""
    skipped = _skipped(config)
    if not skipped:
        terminalreporter.write_line("skipped: nothing")
        return
    terminalreporter.section("skipped, and why")
    width = max(len(name) for name, _ in skipped)
    for (name, reason), count in sorted(skipped.items()):
        terminalreporter.write_line(f"{count:4d}  {name:<{width}}  {reason}")
    if os.environ.get("PENSTOCK_SHARED"):
        terminalreporter.write_line(
            f"FAILED: {skipped.total()} skipped, but PENSTOCK_SHARED is set, so every test must run", red=True
        )
