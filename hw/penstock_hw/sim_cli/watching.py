"""How far a bench is, from what its runner reports and its simulator logs; and what its tests came to at the end."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

__all__ = ["Outcome", "Watch"]

_CLOCK_NS = 10  # the benches' clock, by convention


@dataclass(frozen=True)
class Outcome:
    """What one test came to: a test of cocotb's in the simulator, or one of pytest's around it."""

    name: str
    parameters: str
    """Of the module, where the bench gave it any, and which run of several."""
    result: str
    sim_ns: float = 0.0
    wall_s: float = 0.0
    message: str = ""
    where: str = ""
    cocotb: bool = True

    @property
    def cycles(self) -> int:
        """Clock cycles simulated."""
        return round(self.sim_ns / _CLOCK_NS)


class Watch:
    """Reads what the runner of one bench leaves in its folder."""

    def __init__(self, module: str, simulator: str, folder: Path) -> None:
        self.module, self.simulator, self.folder = module, simulator, folder
        self._began = time.monotonic()
        self._told = ""
        self._shown = 0.0
        self._is_terminal = sys.stdout.isatty()

    def events(self) -> list[dict[str, Any]]:
        """Return what the runner has reported so far."""
        try:
            lines = (self.folder / "report.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def look(self) -> None:
        """Say how far it is: on a terminal in one line that changes, else a line per bench and every ten seconds."""
        text = self._progress()
        now = time.monotonic()
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{text[:width].ljust(width)}", end="", flush=True)
        elif text != self._told and (now - self._shown > 10 or text.split(":")[0] != self._told.split(":")[0]):
            print(text, flush=True)
            self._told, self._shown = text, now

    def clear(self) -> None:
        """Take the line that changes away."""
        if self._is_terminal:
            print("\r" + " " * (shutil.get_terminal_size().columns - 1) + "\r", end="", flush=True)

    def _progress(self) -> str:
        events = self.events()
        starts = [event for event in events if event["event"] == "start"]
        done = [each for event in events if event["event"] == "end" for each in event["results"]]
        passed = sum(each["outcome"] == "passed" for each in done)
        failed = sum(each["outcome"] == "failed" for each in done)
        cycles = sum(each["sim_ns"] for each in done) / _CLOCK_NS
        spent_s = sum(event["wall_s"] for event in events if event["event"] == "end")
        if not starts:
            return f"{self.module} on {self.simulator}, building: {time.monotonic() - self._began:.0f} s"
        about = f"{self.module} on {self.simulator}, bench {len(starts)}{_shown(starts[-1]['parameters'])}"
        if len(starts) > sum(event["event"] == "end" for event in events):
            log = Path(starts[-1]["log"])
            said = log.read_text(errors="replace") if log.is_file() else ""
            passed += len(re.findall(r" passed$", _plain(said), re.MULTILINE))
            failed += len(re.findall(r" failed(?:: .*)?$", _plain(said), re.MULTILINE))
            times = re.findall(r"^\s*([\d.]+)ns ", said, re.MULTILINE)
            cycles += float(times[-1]) / _CLOCK_NS if times else 0
            spent_s += time.time() - starts[-1]["at_s"]
        spent_s = max(spent_s, 0.1)
        return (
            f"{about}: {passed} tests passed, {failed} failed, {cycles:,.0f} cycles, {cycles / spent_s:,.0f} cycles/s"
        )

    def outcomes(self, text: str) -> list[Outcome]:
        """Return what every test came to whose name contains *text*."""
        ran_in_simulator: set[str] = set()
        found = []
        for event in self.events():
            if event["event"] == "start":
                ran_in_simulator.add(event["test"].partition(" ")[0].rpartition("::")[2])
            else:
                for each in event["results"]:
                    found.append(
                        Outcome(
                            each["name"], _shown(event["parameters"]).strip(), each["outcome"], each["sim_ns"],
                            each["wall_s"], each["message"], each["where"],
                        )
                    )  # fmt: skip
        some_failed = any(each.result == "failed" for each in found)
        for each in self._of_pytest():
            # What a simulator ran has told of itself, unless it died or never ran.
            if each.name in ran_in_simulator and (each.result != "failed" or some_failed):
                continue
            found.append(each)
        return [each for each in found if text in each.name or each.result == "failed"]

    def _of_pytest(self) -> list[Outcome]:
        path = self.folder / "junit.xml"
        if not path.is_file():
            return []
        found = []
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            result, message = "passed", ""
            for tag, means in (("failure", "failed"), ("error", "failed"), ("skipped", "skipped")):
                if (met := case.find(tag)) is not None:
                    # A failure's text is all of it; a skip's names a place inside the runner before the reason.
                    text = met.text if means == "failed" else ""
                    result, message = means, text or met.get("message") or ""
            where = f"{case.get('file', '')}:{int(case.get('line', 0)) + 1}" if case.get("file") else ""
            wall_s = float(case.get("time", 0))
            found.append(Outcome(case.get("name", ""), "", result, 0.0, wall_s, message, where, cocotb=False))
        return found

    def waves(self) -> list[str]:
        """Return the waveforms that were written."""
        starts = [event for event in self.events() if event["event"] == "start"]
        return [event["waves"] for event in starts if event["waves"] and Path(event["waves"]).is_file()]

    def table(self, outcomes: list[Outcome]) -> list[str]:
        """Return the table: a heading, then a line per test below its parameters; a skipped one has its reason."""
        width = max(len(each.name) + 2 * bool(each.parameters) for each in outcomes)
        lines = [f"{'TEST'.ljust(width)}  RESULT   SIMULATED ns      CYCLES   WALL s"]
        heading = ""
        for each in outcomes:
            if each.parameters != heading:
                heading = each.parameters
                lines.append(heading or "default parameters")
            numbers = f"{each.sim_ns:13,.0f}  {each.cycles:10,}" if each.cocotb else " " * 25
            came_to = each.message if each.result == "skipped" else f"{numbers}  {each.wall_s:7.2f}"
            lines.append(f"{('  ' * bool(heading) + each.name).ljust(width)}  {each.result:7}  {came_to}")
        return lines


def _shown(parameters: dict[str, int]) -> str:
    return "".join(f" {name}={value}" for name, value in parameters.items())


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
