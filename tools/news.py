"""Make CHANGELOG.md from the news fragments: one file in news/ per change that users see, one sentence, their words.

    python tools/news.py [--check | --release VERSION]

A fragment is called ``news/NAME.KIND.md``; KIND is new, changed or mended. ``--check`` writes nothing and exits with 1
when the changelog is not what the fragments say; ``--release`` gives the news a version and removes the fragments.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

__all__ = ["NewsError", "changelog", "main"]

ROOT = Path(__file__).resolve().parent.parent
KINDS = {"new": "New", "changed": "Changed", "mended": "Mended"}
TOP = "# Changelog\n\nMade by `python tools/news.py` from the fragments in `news/`; see docs/development.md.\n"
NEXT = "Next"


class NewsError(ValueError):
    """A fragment that is not one sentence of a known kind."""


def fragments(folder: Path) -> dict[str, list[str]]:
    """Return the sentences in *folder* by kind, in the order of their files' names.

    Raises:
        NewsError: a file's name has no kind, or its text is not one sentence; says which file.
    """
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for file in sorted(folder.glob("*.md")):
        kind = file.name.split(".")[-2]
        if kind not in KINDS:
            raise NewsError(f"news/{file.name} has the kind {kind}, wanted {', '.join(KINDS)}; call it NAME.KIND.md")
        sentence = " ".join(file.read_text(encoding="utf-8").split())
        if not sentence.endswith(".") or ". " in sentence:
            raise NewsError(f"news/{file.name} met {sentence[:60]!r}, wanted one sentence; write a file per change")
        found[kind].append(sentence)
    return found


def changelog(news: dict[str, list[str]], before: str, title: str = NEXT) -> str:
    """Return the changelog's text: the *news* under *title*, then the released part of *before*."""
    released = [part for part in before.split("\n## ")[1:] if not part.startswith(NEXT)]
    parts = [TOP]
    if any(news.values()):
        parts.append(f"\n## {title}\n")
        for kind, sentences in news.items():
            if sentences:
                parts.append(f"\n### {KINDS[kind]}\n" + "".join(f"- {sentence}\n" for sentence in sentences))
    return "".join(parts) + "".join("\n## " + part.rstrip("\n") + "\n" for part in released)


def main(arguments: list[str] | None = None) -> int:
    """Write the changelog, check it, or release it; return the exit status."""
    parser = argparse.ArgumentParser(description="Make CHANGELOG.md from news/.")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--release", metavar="VERSION")
    options = parser.parse_args(arguments)
    file = ROOT / "CHANGELOG.md"
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    try:
        text = changelog(fragments(ROOT / "news"), before, options.release or NEXT)
    except NewsError as error:
        print(error)
        return 1
    if options.check:
        if text != before:
            print("CHANGELOG.md is not what news/ says; run python tools/news.py")
        return int(text != before)
    file.write_text(text, encoding="utf-8")
    if options.release:
        for fragment in (ROOT / "news").glob("*.md"):
            fragment.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
