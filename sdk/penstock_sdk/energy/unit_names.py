"""The units of energy markets: how each is written, and what it is in terms that pint knows.

Factors with their sources:
- therm: 29.3071 kWh, exactly: what ICE delivers for one (product pages of NBP futures, 910 and 20755783). An MMBtu is
  ten of them, 0.293071 MWh. The definitions by law and by physics agree with that to its six digits and differ after:
  ISO 31-4's British thermal unit (1,055.056 J: `Btu_ISO`, `therm_ISO`), the International Table's (1,055.05585262 J:
  `Btu_IT`, `therm_IT`); the American therm (105.4804 MJ: `therm_US`) differs in the fourth.
- toe: 10 Gcal of the International Table, 11.63 MWh, and tce 7 Gcal (IEA, unit converter).
- cubic metre: of whatever state the calorific value is given for; cubic foot: (0.3048 m)³.
- EUA: an allowance, one tonne of CO2 equivalent (Directive 2003/87/EC, Art. 3(a)). Tonnes of CO2 are emissions, no mass
  of fuel: between the two stands an emission factor.
- day: 24 hours, where no delivery period says otherwise.
Capacity units are written as REMITTable1_V3.xsd, quantityUnitType, has them. Its MMJ is left out: read by MMBtu's M it
is a megajoule, read by the MJ before it a million of those.
"""

from __future__ import annotations

from penstock_sdk.energy.money import known_currencies

__all__ = ["AMBIGUOUS", "DEFINITIONS", "SPELLINGS"]

# What pint lacks, in its own language. One dimension for each currency: an exchange rate is no constant.
DEFINITIONS = (
    "market_therm = 29.3071 * kilowatt_hour",
    "therm_table = 1e5 * Btu_it",
    "coal_tonne = 7e9 * international_calorie",
    "kgCO2 = [emissions]",
    *(f"{each.code} = [currency_{each.code}]" for each in known_currencies()),
)

_MULTIPLES = {"": "1", "k": "1e3", "M": "1e6", "G": "1e9", "T": "1e12"}


def _metric(short: str, unit: str, multiples: str) -> dict[str, str]:
    """Return the spellings of a unit with each of *multiples* ("kMGT") before it."""
    return {f"{each}{short}": f"{_MULTIPLES[each]} * {unit}" for each in ("", *multiples)}


# Every spelling, and what it means to pint. Case counts where two units differ by it (Mt, mt), else any case is read.
SPELLINGS = {
    **_metric("Wh", "watt_hour", "kMGT"),
    **_metric("W", "watt", "kMGT"),
    **_metric("J", "joule", "kMGT"),
    "PJ": "1e15 * joule",
    "100MJ": "1e8 * joule",
    "therm": "market_therm", "therms": "market_therm", "thm": "market_therm",
    "ktherm": "1e3 * market_therm", "Mtherm": "1e6 * market_therm",
    "Btu": "1e-5 * market_therm",
    "MMBtu": "10 * market_therm", "mmbtus": "10 * market_therm", "dth": "10 * market_therm",
    "Btu_ISO": "Btu", "MMBtu_ISO": "1e6 * Btu", "therm_ISO": "therm",
    "Btu_IT": "Btu_it", "MMBtu_IT": "1e6 * Btu_it", "therm_IT": "therm_table",
    "therm_US": "US_therm",
    "toe": "toe", "ktoe": "1e3 * toe", "Mtoe": "1e6 * toe", "tce": "coal_tonne",
    "cal_IT": "international_calorie", "Gcal_IT": "1e9 * international_calorie",
    "m3": "meter ** 3", "m³": "meter ** 3", "cm": "meter ** 3",
    "tcm": "1e3 * meter ** 3", "mcm": "1e6 * meter ** 3", "bcm": "1e9 * meter ** 3",
    "ft3": "foot ** 3", "cf": "foot ** 3", "Mcf": "1e3 * foot ** 3", "MMcf": "1e6 * foot ** 3",
    "Bcf": "1e9 * foot ** 3",
    "litre": "liter", "bbl": "oil_bbl",
    "kg": "kilogram", "t": "tonne", "tonne": "tonne", "tonnes": "tonne", "kt": "1e3 * tonne", "Mt": "1e6 * tonne",
    "lb": "pound", "short_ton": "2000 * pound",
    "kgCO2": "kgCO2", "tCO2": "1e3 * kgCO2", "tCO2e": "1e3 * kgCO2", "EUA": "1e3 * kgCO2", "UKA": "1e3 * kgCO2",
    "ktCO2": "1e6 * kgCO2", "MtCO2": "1e9 * kgCO2",
    "ns": "1e-9 * second", "s": "second", "min": "minute", "h": "hour", "hour": "hour", "hours": "hour",
    "d": "day", "day": "day", "days": "day",
    **{each.code: each.code for each in known_currencies()},
    **{f"k{each.code}": f"1e3 * {each.code}" for each in known_currencies()},
    **{f"M{each.code}": f"1e6 * {each.code}" for each in known_currencies()},
    "ct": "EUR / 100",
    "GBp": "GBP / 100", "GBX": "GBP / 100", "EUX": "EUR / 100", "USX": "USD / 100", "USc": "USD / 100",
}  # fmt: skip

# What two markets read differently, and what to write.
AMBIGUOUS = {
    "MMJ": "a million joules to some and a million megajoules to others; write 'MJ' or 'TJ'",
    "MBtu": "a thousand Btu in America and a million elsewhere; write 'MMBtu' or 'Btu'",
    "MT": "a tonne to some and a million tonnes to others; write 't' or 'Mt'",
    "mt": "a tonne to some and a million tonnes to others; write 't' or 'Mt'",
    "ton": "a tonne, a short ton or a long ton; write 't' or 'short_ton'",
    "cal": "one of several calories; write 'cal_IT' or 'J'",
    "MCM": "a thousand cubic metres to some and a million to others; write 'tcm' or 'mcm'",
    "Mcm": "a thousand cubic metres to some and a million to others; write 'tcm' or 'mcm'",
    "Nm3": "a cubic metre in a state of its own; write 'm3' with the calorific value of that state",
    "Sm3": "a cubic metre in a state of its own; write 'm3' with the calorific value of that state",
}
