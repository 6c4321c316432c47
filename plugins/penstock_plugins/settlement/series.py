"""Which series of observations are settlement's: imbalance prices, meters, the indices of swaps; and their units."""

from __future__ import annotations

from enum import Enum
from fractions import Fraction
from typing import Final, NamedTuple

from penstock_plugins.settlement.config import SettlementConfig
from penstock_sdk.context import Context
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.money import price_currency
from penstock_sdk.energy.settlement import divide_half_even, price_micro
from penstock_sdk.events import IdKind, Observation, ZoneDefinition
from penstock_sdk.grid_slots import GridSlots

__all__ = ["Series", "SeriesKind", "SeriesNames"]

_METER_UNITS: Final = {"MW": (1_000_000, True), "kW": (1_000, True), "MWh": (1_000_000, False), "kWh": (1_000, False)}
"""W or Wh in a unit, and whether it is power."""
_METER_MAX = 1e6


class SeriesKind(Enum):
    """What a series means to settlement."""

    PRICE = 1
    METER = 2
    INDEX = 3


class Series(NamedTuple):
    """A series that settlement hears."""

    kind: SeriesKind
    name: str
    slots: GridSlots
    book_id: int = 0


class SeriesNames:
    """What each series is, by its name; looked up once."""

    def __init__(self, ctx: Context, config: SettlementConfig) -> None:
        self._ctx, self._config = ctx, config
        self._known: dict[int, Series | None] = {}
        self._slots: dict[str, GridSlots] = {}
        self._indices: dict[int, int] = {}
        """The zone of each index that a swap follows, by series."""

    def on_zone(self, zone: ZoneDefinition) -> None:
        """Learn a zone's grid; series that named it before are looked up again."""
        try:
            self._slots[zone.code] = GridSlots.of(zone)
        except EnergyError:
            return
        self._known = {series: found for series, found in self._known.items() if found is not None}

    def of(self, series_id: int) -> Series | None:
        """Return what a series is; None where it is none of settlement's."""
        if series_id in self._known:
            return self._known[series_id]
        found, wait = self._look(series_id)
        if not wait:  # its zone may yet be announced
            self._known[series_id] = found
        return found

    def _look(self, series_id: int) -> tuple[Series | None, bool]:
        name, config = self._ctx.name_of(IdKind.SERIES, series_id), self._config
        if series_id in self._indices:
            slots = self._grid_of(self._indices[series_id])
            return (None, True) if slots is None else (Series(SeriesKind.INDEX, name, slots), False)
        before, _, after = config.index_series.partition("{zone}")
        prices, meters = config.imbalance_series + ".", config.meter_series + "."
        if name.startswith(prices):
            slots = self._grid(name.removeprefix(prices))
            return (None, True) if slots is None else (Series(SeriesKind.PRICE, name, slots), False)
        if name.startswith(meters):
            book, _, code = name.removeprefix(meters).rpartition(".")
            slots = self._grid(code) if book else None
            if slots is None:
                book, slots = name.removeprefix(meters), self._grid(config.zone)
            if slots is None:
                return None, True
            return Series(SeriesKind.METER, name, slots, self._ctx.intern(IdKind.BOOK, book)), False
        if after and name.startswith(before) and name.endswith(after):
            slots = self._grid(name[len(before) : -len(after)])
            return (None, False) if slots is None else (Series(SeriesKind.INDEX, name, slots), False)
        return None, False

    def _grid(self, code: str) -> GridSlots | None:
        """Return a zone's grid by its code; None where no such zone has been announced."""
        found = self._slots.get(code)
        if found is None and code:
            for listing in self._ctx.listings():
                contract = self._ctx.contract(listing.contract_id)
                zone = None if contract is None else self._ctx.zone(contract.zone_id)
                if zone is not None and zone.code == code:
                    found = self._slots[code] = GridSlots.of(zone)
                    break
        return found

    def _grid_of(self, zone_id: int) -> GridSlots | None:
        zone = self._ctx.zone(zone_id)
        return None if zone is None else GridSlots.of(zone)

    def index_id(self, slots: GridSlots) -> int:
        """Return the series that swaps of a zone follow where their deal names none."""
        return self.index_named(self._config.index_series.replace("{zone}", slots.code), slots)

    def index_named(self, name: str, slots: GridSlots) -> int:
        """Return the series of an index, and listen to it from now on."""
        series_id = self._ctx.intern(IdKind.SERIES, name)
        self._indices.setdefault(series_id, slots.zone_id)
        self._known.pop(series_id, None)
        return series_id

    def currency_id(self, slots: GridSlots) -> int:
        """Return the currency of a zone."""
        zone = self._ctx.zone(slots.zone_id)
        assert zone is not None, "a grid is made of a zone"
        return self._ctx.intern(IdKind.CURRENCY, zone.currency)

    def value(self, series: Series, observation: Observation) -> int:
        """Return a price as whole 10⁻⁶ of the zone's currency per unit of energy; of a meter, nothing.

        Raises:
            EnergyError: it is no finite number, or in another currency.
        """
        if series.kind is SeriesKind.METER:
            return 0
        unit = self._ctx.name_of(IdKind.UNIT, observation.unit_id) if observation.unit_id else ""
        micro = price_micro(observation.value)
        if not unit:
            return micro
        currency, per_major = price_currency(unit.partition("/")[0])
        zone = self._ctx.zone(series.slots.zone_id)
        if zone is not None and currency.code != zone.currency:
            raise EnergyError(f"a price in {unit}; wanted the zone's currency, {zone.currency}")
        if series.kind is SeriesKind.PRICE and unit.partition("/")[2] != "MWh":
            raise EnergyError(f"an imbalance price in {unit}; wanted {currency.code}/MWh")
        return divide_half_even(micro, per_major)

    def watt_minutes(self, series: Series, observation: Observation, slots: int, minutes: int) -> int:
        """Return a meter's offtake in one of the *slots* that its value is about, whole Wh times 60.

        Raises:
            EnergyError: no finite value, or an unknown unit.
        """
        unit = self._ctx.name_of(IdKind.UNIT, observation.unit_id)
        if unit not in _METER_UNITS:
            raise EnergyError(f"a meter value in {unit}; wanted {', '.join(_METER_UNITS)}")
        if not -_METER_MAX <= observation.value <= _METER_MAX:
            raise EnergyError(f"a meter value of {observation.value} {unit}; wanted one within {_METER_MAX:g}")
        scale, power = _METER_UNITS[unit]
        share = Fraction(minutes, 60) if power else Fraction(1, slots)
        return 60 * round(Fraction(observation.value) * scale * share)

    def snapshot(self) -> list[list[int]]:
        """Return the indices that swaps follow."""
        return [list(pair) for pair in self._indices.items()]

    def restore(self, state: list[tuple[int, int]]) -> None:
        """Take back what `snapshot` returned."""
        self._indices, self._known = dict(state), {}
