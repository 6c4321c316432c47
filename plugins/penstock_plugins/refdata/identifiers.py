"""Codes that carry their own proof: EIC of areas and parties, LEI of companies.

The check characters are python-stdnum's to work out; it is imported when the first code is checked.

>>> check_eic("10YFR-RTE------C", types="Y")
'10YFR-RTE------C'
>>> check_lei("529900T8BM49AURSDO55")
'529900T8BM49AURSDO55'
"""

from __future__ import annotations

import re

from penstock_sdk.energy.exact import EnergyError

__all__ = ["EIC_TYPES", "check_eic", "check_lei"]

EIC_TYPES = {
    "A": "substation",
    "T": "tie line",
    "V": "location",
    "W": "resource object",
    "X": "party",
    "Y": "area",
    "Z": "measurement point",
}
"""What the third character of an EIC says."""

_EIC = re.compile(r"[0-9]{2}[A-Z][0-9A-Z-]{13}")
_LEI = re.compile(r"[0-9A-Z]{18}[0-9]{2}")


def check_eic(code: str, *, types: str = "ATVWXYZ") -> str:
    """Return *code* when it is an EIC of one of *types* (keys of `EIC_TYPES`).

    Raises:
        EnergyError: another form, a type that does not exist or is not wanted, or a wrong check character; the message
            has what would be accepted.

    Source: ENTSO-E's EIC reference manual: 2 digits of the issuing office, a letter of type, 12 characters, 1 to check.
    """
    from stdnum.eu import eic

    if not _EIC.fullmatch(code):
        raise EnergyError(
            f"EIC {code!r} is malformed; wanted 16 characters: two digits, a letter for the type, 12 of A-Z, 0-9 and "
            "-, and a check character, as 10YFR-RTE------C"
        )
    if code[2] not in types:
        met = EIC_TYPES.get(code[2], "no type there is")
        wanted = " or ".join(f"{letter} ({EIC_TYPES[letter]})" for letter in types)
        raise EnergyError(f"EIC {code!r} is of type {code[2]} ({met}); wanted {wanted}")
    right = str(eic.calc_check_digit(code[:15]))
    if right == "-":
        raise EnergyError(f"EIC {code!r} cannot be one: its check character would be '-', which is never given")
    if code[15] != right:
        raise EnergyError(f"EIC {code!r} ends in {code[15]!r}; to its first 15 characters belongs {right!r}")
    return code


def check_lei(code: str) -> str:
    """Return *code* when it is a well-formed LEI whose check digits fit.

    Raises:
        EnergyError: it is not; the message has what would be accepted.

    Source: ISO 17442; check digits by ISO 7064 MOD 97-10.
    """
    from stdnum.iso7064 import mod_97_10

    if not _LEI.fullmatch(code):
        raise EnergyError(
            f"LEI {code!r} is malformed; wanted 18 capitals and digits and 2 check digits, as 529900T8BM49AURSDO55"
        )
    right = mod_97_10.calc_check_digits(code[:18])
    if code[18:] != right:
        raise EnergyError(f"LEI {code!r} ends in {code[18:]!r}; to its first 18 characters belong {right!r}")
    return code
