"""Identification codes with check characters: legal entities (LEI) and energy parties and areas (EIC).

For what the SDK itself checks, without a dependency. The refdata plugin has python-stdnum work the characters out, and
a test holds both together. Source: ISO 17442 with ISO 7064 MOD 97-10 for the LEI; ENTSO-E's EIC reference manual.

>>> check_lei("529900T8BM49AURSDO55")
'529900T8BM49AURSDO55'
>>> check_eic("10YFR-RTE------C")
'10YFR-RTE------C'
"""

from __future__ import annotations

import re

from penstock_sdk.energy.exact import EnergyError

__all__ = ["check_eic", "check_lei", "eic_check_character", "lei_check_digits"]

_LEI = re.compile(r"[0-9A-Z]{18}[0-9]{2}")
_EIC = re.compile(r"[0-9]{2}[A-Z][0-9A-Z-]{12}[0-9A-Z]")
_EIC_VALUES = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-"


def lei_check_digits(first_18: str) -> str:
    """Return the two check digits that belong to the first 18 characters of an LEI."""
    number = int("".join(str(int(char, 36)) for char in first_18 + "00"))
    return f"{98 - number % 97:02d}"


def eic_check_character(first_15: str) -> str:
    """Return the check character that belongs to the first 15 characters of an EIC; "-" where none is allowed."""
    total = sum((16 - place) * _EIC_VALUES.index(char) for place, char in enumerate(first_15))
    return _EIC_VALUES[36 - (total - 1) % 37]


def check_lei(lei: str) -> str:
    """Return *lei* when it is well formed and its check digits fit.

    Raises:
        EnergyError: 20 characters of another form, or other check digits than theirs; the message has what would fit.
    """
    if not _LEI.fullmatch(lei):
        raise EnergyError(
            f"LEI {lei!r} is malformed; wanted 18 capitals and digits and 2 check digits, as 529900T8BM49AURSDO55"
        )
    wanted = lei_check_digits(lei[:18])
    if lei[18:] != wanted:
        raise EnergyError(f"LEI {lei!r} ends in {lei[18:]!r}; to its first 18 characters belong {wanted!r}")
    return lei


def check_eic(eic: str) -> str:
    """Return *eic* when it is well formed and its check character fits.

    Raises:
        EnergyError: 16 characters of another form, or another check character; the message has what would fit.
    """
    if not _EIC.fullmatch(eic):
        raise EnergyError(f"EIC {eic!r} is malformed; wanted 16 characters such as 10YFR-RTE------C")
    wanted = eic_check_character(eic[:15])
    if wanted == "-":
        raise EnergyError(f"EIC {eic!r} cannot be one: its check character would be '-', which is never given")
    if eic[15] != wanted:
        raise EnergyError(f"EIC {eic!r} ends in {eic[15]!r}; to its first 15 characters belongs {wanted!r}")
    return eic
