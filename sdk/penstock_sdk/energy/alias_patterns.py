"""Patterns of venues' names: which parts there are, and which a name cannot be read without."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["MONTH_LETTERS", "PART", "PARTS", "pattern_faults"]

MONTH_LETTERS = "FGHJKMNQUVXZ"
"""What futures markets write for January to December."""

PARTS = {
    "letter": f"[{MONTH_LETTERS}]",
    "yy": "[0-9]{2}",
    "yyyy": "[0-9]{4}",
    "last_letter": f"[{MONTH_LETTERS}]",
    "last_yy": "[0-9]{2}",
    "ymd": "[0-9]{8}",
    "date": "[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "n": "[0-9]{1,3}",
    "nn": "[0-9]{2,3}",
    "again": "X?",
    "half": "[AB]?",
}
"""The parts of a pattern, in braces, and how they read: letter and year of the first month and of the last one; the
delivery day; the number of an interval by the clock, from 1, plain or with two digits; X after the second of two
intervals that the clock shows alike, or A and B after both."""

PART = re.compile(r"\{([^{}]*)\}")
"""A part in a pattern."""

_YEAR, _DAY, _NUMBER = ("yy", "yyyy"), ("ymd", "date"), ("n", "nn")
_MONTHS, _INTERVALS = (("letter",), _YEAR), (_DAY, _NUMBER)
_NEEDED: dict[str, tuple[tuple[str, ...], ...]] = {
    "M": _MONTHS, "Q": _MONTHS, "S": _MONTHS, "EUA": _MONTHS, "Y": (_YEAR,), "GY": (_YEAR,),
    "D": (_DAY,), "WE": (_DAY,), "BOM": (_DAY,), "EUA-D": (_DAY,),
    **dict.fromkeys(("H", "HH", "QH", "5M"), _INTERVALS),
}  # fmt: skip
"""Of each product, the parts of which a pattern wants one each."""

_MONTH_PARTS = ("letter", *_YEAR, "last_letter", "last_yy")
_INTERVAL_PARTS = (*_DAY, *_NUMBER, "again", "half")
_HAS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("M", "Q", "S", "EUA", "Y", "GY"), _MONTH_PARTS),
    **dict.fromkeys(("D", "WE", "BOM", "EUA-D"), _DAY),
    **dict.fromkeys(("H", "HH", "QH", "5M"), _INTERVAL_PARTS),
}
"""Of each product, the parts that its names have."""


def pattern_faults(product: str, pattern: str) -> Iterator[str]:
    """Yield why names of a product written by a pattern could not be read back."""
    parts = PART.findall(pattern)
    unknown = [part for part in parts if part not in PARTS]
    if unknown or "{" in PART.sub("", pattern) or "}" in PART.sub("", pattern):
        met = f"a part {unknown[0]!r}" if unknown else "a brace without its other one"
        yield f"alias pattern {pattern!r} has {met}; known parts are {', '.join(f'{{{part}}}' for part in PARTS)}"
        return
    if len(set(parts)) < len(parts):
        yield f"alias pattern {pattern!r} has a part twice; write each once"
    if product not in _NEEDED:
        yield f"product is {product!r}, of which no alias can be read; wanted one of {', '.join(_NEEDED)}"
        return
    for choice in _NEEDED[product]:
        if not set(choice) & set(parts):
            wanted = " or ".join(f"{{{part}}}" for part in choice)
            yield f"alias pattern {pattern!r} of product {product} lacks {wanted}: no name could be read by it"
    for part in parts:
        if part not in _HAS[product]:
            wanted = ", ".join(f"{{{each}}}" for each in _HAS[product])
            yield f"alias pattern {pattern!r} has {{{part}}}, but names of product {product} have {wanted}"
