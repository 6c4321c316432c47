"""What vendors need for plugins in other languages: readers of every record, and libraries that serve a plugin.

    python -m penstock_sdk.languages go

prints the folder of a language, to be copied, linked or installed from.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["LANGUAGES", "folder"]

LANGUAGES = ("c", "go", "node")


def folder(language: str) -> Path:
    """Return the folder of a language's files: go/penstock is a Go package, node an npm package, c has a header.

    Raises:
        ValueError: there is none for this language.
    """
    if language not in LANGUAGES:
        raise ValueError(f"language met {language!r}, wanted one of {', '.join(LANGUAGES)}")
    return Path(__file__).parent / language
