"""Interleaved rounds: every variant once per round, so that a noisy machine disturbs all of them alike."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Rounds", "machine"]


class Rounds:
    """Measures variants in interleaved rounds by thread CPU; reports medians, and ratios within the same round."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._work: dict[str, tuple[int, Callable[[], None]]] = {}
        self._cpu_ns: dict[str, list[float]] = {}
        self._wall_ns: dict[str, list[float]] = {}

    def add(self, name: str, count: int, work: Callable[[], None]) -> None:
        """Add a variant whose one call handles *count* events."""
        self._work[name] = (count, work)
        self._cpu_ns[name] = []
        self._wall_ns[name] = []

    def run(self, rounds: int) -> None:
        """Warm each variant once, then run the rounds."""
        for _, work in self._work.values():
            work()
        for _ in range(rounds):
            for name, (count, work) in self._work.items():
                wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
                work()
                self._cpu_ns[name].append((time.thread_time_ns() - cpu) / count)
                self._wall_ns[name].append((time.perf_counter_ns() - wall) / count)

    def rows(self) -> list[dict[str, Any]]:
        """Return per variant: events, CPU and wall ns per event (medians), events per CPU second, ratio to the base."""
        base = self._cpu_ns[self.base]
        return [
            {
                "name": name,
                "events": self._work[name][0],
                "cpu_ns_per_event": round(statistics.median(cpu), 1),
                "cpu_ns_per_event_best": round(min(cpu), 1),
                "wall_ns_per_event": round(statistics.median(self._wall_ns[name]), 1),
                "events_per_cpu_s": round(1e9 / statistics.median(cpu)),
                f"ratio_to_{self.base}": round(statistics.median(c / b for c, b in zip(cpu, base, strict=True)), 2),
            }
            for name, cpu in self._cpu_ns.items()
        ]


def machine() -> dict[str, Any]:
    """Return what a figure was measured on; with the commit where this is a checkout and git is at hand."""
    facts = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    commit = _commit()
    return {**facts, "commit": commit} if commit else facts


def _commit() -> str:
    """Return the checkout's commit, with ``-dirty`` when it has been changed since; empty when that cannot be told."""

    env = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # a bench leaves the checkout's index alone

    def git(*arguments: str) -> str:
        told = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, env=env, capture_output=True, text=True, timeout=30,
            check=True,
        )  # fmt: skip
        return told.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # installed, it may lie in somebody else's checkout
        return git("describe", "--always", "--exclude=*", "--abbrev=12", "--dirty")
    except (OSError, subprocess.SubprocessError):
        return ""
