"""Faults of a deployment, each with file, line, key path, what was met and wanted, and the way out."""

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

__all__ = ["DeploymentError", "HostError", "Problem", "format_problems", "sorted_problems"]

_RED, _YELLOW, _DIM, _BOLD, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[1m", "\x1b[0m"


class Problem(Struct, frozen=True):
    """One fault at *file*:*line* (1-based; 0 where no line can be named); a warning does not stop a start."""

    file: str
    line: int
    path: str
    message: str
    way_out: str = ""
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return "".join(_parts(self))


class HostError(Exception):
    """A plugin's process cannot be started, or is not what its manifest says; the text names the way out."""


class DeploymentError(Exception):
    """A deployment cannot run; *problems* holds every fault found, the text has one per line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def sorted_problems(problems: Iterable[Problem], first_file: str = "") -> list[Problem]:
    """Return each problem once, by file and line, those of *first_file* first; equal lines keep their order."""
    return sorted(dict.fromkeys(problems), key=lambda p: (p.file != first_file, p.file, p.line))


def format_problems(problems: Sequence[Problem], color: bool) -> str:
    """Return the text for a terminal: one problem per line and a count at the end; "" when there is none."""
    if not problems:
        return ""
    lines = []
    for problem in problems:
        place, mark, path, message, way_out = _parts(problem)
        if color:
            tint = _RED if problem.severity == "error" else _YELLOW
            place, mark = f"{_DIM}{place}{_PLAIN}", f"{tint}{mark}{_PLAIN}" if mark else ""
            path, message = f"{_BOLD}{path}{_PLAIN}" if path else "", f"{tint}{message}{_PLAIN}"
        lines.append(place + mark + path + message + way_out)
    errors = sum(problem.severity == "error" for problem in problems)
    counts = [(errors, "error"), (len(problems) - errors, "warning")]
    lines.append(", ".join(f"{count} {noun}{'s' if count > 1 else ''}" for count, noun in counts if count))
    return "\n".join(lines)


def _parts(problem: Problem) -> tuple[str, str, str, str, str]:
    """Return place, severity mark, path, message and way out, each with its own separator, on one line."""
    line = f"{problem.line}: " if problem.line else " "
    return (
        f"{problem.file}:{line}" if problem.file else "",
        "warning: " if problem.severity == "warning" else "",
        f"{problem.path}: " if problem.path else "",
        _one_line(problem.message),
        f"; {_one_line(problem.way_out)}" if problem.way_out else "",
    )


def _one_line(text: str) -> str:
    # A message may quote an exception; its newlines and escapes must not reach the terminal as such.
    return "".join(char if char.isprintable() else " " for char in text)
