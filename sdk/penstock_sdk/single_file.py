"""A plugin that is one Python file: its manifest stands in a block of comments, and is read without importing it.

    # /// penstock
    # id = "echo"
    # version = "0.1.0"
    # kind = "strategy"
    # contract = "strategy/1..1"
    # class = "Echo"
    # ///

Between the two marks stand the keys of one `[[plugin]]` table; a file with several plugins begins each with
`# [[plugin]]`. A class without a module is one of this file.
"""

from __future__ import annotations

import re

__all__ = ["BLOCK_BEGIN", "BLOCK_END", "SingleFileError", "own_classes", "single_file_manifest"]

BLOCK_BEGIN = "# /// penstock"
BLOCK_END = "# ///"
_TABLE = re.compile(r"\s*\[\[\s*plugin\s*\]\]")
_CLASS = re.compile(r"""^(\s*class\s*=\s*)(["'])([A-Za-z_][\w.]*)\2""", re.MULTILINE)


class SingleFileError(ValueError):
    """A block that does not end, or stands twice; the text has the line."""


def single_file_manifest(source: str) -> str | None:
    """Return the manifest that a .py file carries, as TOML with every line at its place in the file; None without one.

    Raises:
        SingleFileError: a block has no end, holds a line that is no comment, or there are two.
    """
    lines = source.splitlines()
    begins = [number for number, line in enumerate(lines) if line.rstrip() == BLOCK_BEGIN]
    if not begins:
        return None
    begin = begins[0]
    if len(begins) > 1:
        raise SingleFileError(f"line {begins[1] + 1}: a second {BLOCK_BEGIN} block, the first is at line {begin + 1}")
    inside: list[str] = []
    for number, line in enumerate(lines[begin + 1 :], begin + 2):
        if line.rstrip() == BLOCK_END:
            break
        if line.rstrip() != "#" and not line.startswith("# "):
            raise SingleFileError(f'line {number}: expected "# " and a line of TOML, or {BLOCK_END} at the end')
        inside.append(line[2:])
    else:
        raise SingleFileError(f"line {begin + 1}: the block has no end; write {BLOCK_END} after its last line")
    written = [line for line in inside if line.strip() and not line.lstrip().startswith("#")]
    head = "" if written and _TABLE.match(written[0]) else "[[plugin]]"
    return "\n".join([*[""] * begin, head, *inside]) + "\n"


def own_classes(manifest: str, module: str) -> str:
    """Return the manifest with `class = "Name"` made `class = "MODULE:Name"`."""
    return _CLASS.sub(lambda match: f"{match[1]}{match[2]}{module}:{match[3]}{match[2]}", manifest)
