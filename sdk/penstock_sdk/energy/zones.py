"""Bidding zones: where power is priced, with the clock, the currency and the gate closure that hold there."""

from __future__ import annotations

from difflib import get_close_matches

import msgspec

from penstock_sdk.energy.exact import EnergyError

__all__ = ["MarketZone", "known_zones", "market_zone"]


class MarketZone(msgspec.Struct, frozen=True):
    """A zone with one price per delivery period.

    Attributes:
        code: the market's short name, without spaces: "DE-LU".
        eic: the ENTSO-E area code, 16 characters; empty outside Europe.
        timezone: IANA name of the clock that delivery days and periods are named by.
        currency: ISO 4217 code of its prices.
        gate_lead_minutes: trading of a period in the zone ends this long before delivery starts.
    """

    code: str
    eic: str
    timezone: str
    currency: str
    gate_lead_minutes: int


# Gate closures are those of trading inside one zone (cross-border SIDC trading ends earlier, mostly 60 minutes before):
# - AT, BE, NL: 5 minutes; EPEX SPOT's and APX's continuous intraday product pages.
# - DE-LU, FR: 5 minutes; EPEX SPOT continuous intraday, as of 2025 (until 2017: 30 minutes).
# - GB: up to the start of delivery; Modo Energy's description of EPEX SPOT GB continuous, read in 2026. Half-hours are
#   named by the settlement day, local midnight to midnight; day-ahead blocks that start at 23:00 are another product.
# - NEM regions: no continuous market and so no gate; offers may be rebid until the dispatch run that uses them. Market
#   time is UTC+10 all year, summer time or not (AEMO, MMS data model); POSIX writes UTC+10 as Etc/GMT-10.
# EICs: ENTSO-E area codes.
_ZONES = {
    each.code: each
    for each in (
        MarketZone("AT", "10YAT-APG------L", "Europe/Vienna", "EUR", 5),
        MarketZone("BE", "10YBE----------2", "Europe/Brussels", "EUR", 5),
        MarketZone("DE-LU", "10Y1001A1001A82H", "Europe/Berlin", "EUR", 5),
        MarketZone("FR", "10YFR-RTE------C", "Europe/Paris", "EUR", 5),
        MarketZone("GB", "10YGB----------A", "Europe/London", "GBP", 0),
        MarketZone("NL", "10YNL----------L", "Europe/Amsterdam", "EUR", 5),
        MarketZone("NSW1", "", "Etc/GMT-10", "AUD", 0),
        MarketZone("QLD1", "", "Etc/GMT-10", "AUD", 0),
        MarketZone("SA1", "", "Etc/GMT-10", "AUD", 0),
        MarketZone("TAS1", "", "Etc/GMT-10", "AUD", 0),
        MarketZone("VIC1", "", "Etc/GMT-10", "AUD", 0),
    )
}


def known_zones() -> tuple[MarketZone, ...]:
    """Return every zone known by code, sorted by code."""
    return tuple(_ZONES[code] for code in sorted(_ZONES))


def market_zone(code: str | MarketZone) -> MarketZone:
    """Return the zone of that code; a zone comes back as it is, so functions can take either.

    Raises:
        EnergyError: no such code; the message names the closest one and all that are known.
    """
    if isinstance(code, MarketZone):
        return code
    found = _ZONES.get(code)
    if found is not None:
        return found
    # "de_lu" and "DELU" are the usual slips: compare as the known codes are written.
    close = get_close_matches(code.upper().replace("_", "-"), sorted(_ZONES), n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise EnergyError(f"bidding zone {code!r} is not known; {hint}known are {', '.join(sorted(_ZONES))}")
