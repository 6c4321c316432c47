"""What cocotb's tests came to, read from the file that it leaves, and told to whoever watches a run."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

__all__ = ["CLOCK_NS", "REPORT", "Result", "failures_text", "read_results", "tell"]

CLOCK_NS = 10
"""The period of every bench's clock, so that a simulated time is a number of cycles."""

REPORT = "BENCH_REPORT"
"""The environment's name of a file to which `tell` appends what happens, one JSON object a line."""


class Result(NamedTuple):
    """One cocotb test: what it came to, what it simulated, and what it says if it failed or why it was skipped."""

    name: str
    outcome: str
    """``passed``, ``failed`` or ``skipped``."""
    sim_ns: float
    wall_s: float
    message: str = ""
    where: str = ""
    """``file:line`` of the assertion."""

    @property
    def cycles(self) -> int:
        """Clock cycles simulated."""
        return round(self.sim_ns / CLOCK_NS)


def read_results(xml: Path, log: Path) -> list[Result]:
    """Return the results in *xml*, in their order; without the file there are none, the simulator did not end well."""
    if not xml.is_file():
        return []
    said = log.read_text(errors="replace") if log.is_file() else ""
    return [_result(case, said) for case in ElementTree.parse(xml).getroot().iter("testcase")]


def _result(case: ElementTree.Element, log: str) -> Result:
    name = case.get("name", "")
    values = {each.get("name"): each.get("value") or "" for each in case.iter("property")}
    sim_ns, wall_s = float(values.get("sim_time_duration") or 0), float(case.get("time", 0))
    for tag in ("failure", "error"):
        if (bad := case.find(tag)) is not None:
            message, where = _failure(name, log)
            place = where or f"{values.get('file', '?')}:{values.get('line', '?')}"
            return Result(name, "failed", sim_ns, wall_s, message or bad.get("message") or "", place)
    if case.find("skipped") is None:
        return Result(name, "passed", sim_ns, wall_s)
    # The file never says why; the log does, unless a decorator skipped the test.
    told = re.search(rf"skipping \S+\.{re.escape(name)}: (.*)$", _plain(log), re.MULTILINE)
    return Result(name, "skipped", sim_ns, wall_s, told[1] if told else "its decorator says so")


def _failure(name: str, log: str) -> tuple[str, str]:
    """Return what the log tells of a failed test: the error with its values, and the innermost line of a bench."""
    # A test's own lines start with a time; its traceback is indented, up to the next line that starts with one.
    told = re.search(rf"\.{re.escape(name)} failed.*?\n((?:(?!\s*\d+\.\d+ns )\s+.*\n|\s*\n)+)", _plain(log))
    if told is None:
        return "", ""
    lines = [line.strip() for line in told[1].splitlines()]
    places = re.findall(r'File "([^"]+/sims/[^"]+|[^"]*test_[^"]+)", line (\d+)', told[1])
    last_code = max((i for i, line in enumerate(lines) if line.startswith("File ")), default=-2) + 2
    message = "\n".join(line for line in lines[last_code:] if line and set(line) - set("^~ "))
    return message, ":".join(places[-1]) if places else ""


def _plain(text: str) -> str:
    """Return *text* without the terminal's colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def failures_text(results: Sequence[Result]) -> str:
    """Return a paragraph per failed test: its name, its assertion, and where that stands."""
    return "\n".join(
        f"{each.name}\n    {each.where}\n" + "".join(f"    {line}\n" for line in each.message.splitlines()[:40])
        for each in results
        if each.outcome == "failed"
    )


def tell(**event: Any) -> None:
    """Append *event* to the report that the environment names; without one, nothing."""
    path = os.environ.get(REPORT)
    if not path:
        return
    with Path(path).open("a") as report:
        fcntl.flock(report, fcntl.LOCK_EX)
        report.write(json.dumps(event, default=str) + "\n")
