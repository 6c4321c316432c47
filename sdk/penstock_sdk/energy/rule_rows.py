"""What a row of reference data holds: one struct per table, so that a wrong column, type or word is refused.

Every row has a first and a last delivery day on which it holds, both included: a cap of "1 July 2024 to 30 June 2025"
is written as it is published. Rows of one key (`KEY`) never hold on the same day.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import ClassVar, Literal, TypeAlias

import msgspec

from penstock_sdk.energy.alias_patterns import pattern_faults
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.identifiers import check_eic
from penstock_sdk.energy.localtime import zone as time_zone
from penstock_sdk.energy.money import currency
from penstock_sdk.energy.row_checks import GRID_UNITS, PRICED_BY, off_form, price_unit_faults, refused

__all__ = [
    "ROW_TYPES",
    "AliasRow",
    "FeeRow",
    "LimitRow",
    "MarketZone",
    "ProductRow",
    "Row",
    "ShapeRow",
    "ZoneRow",
]

Commodity: TypeAlias = Literal["power", "gas", "carbon"]
ZoneKind: TypeAlias = Literal["bidding_zone", "hub", "registry", "region"]

_ZONE_CODE = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
_SHAPE_CODE = re.compile(r"[A-Z][A-Z0-9_-]*")
_SHAPE_HOURS = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]:[0-5][0-9]|2[0-3]:[0-5][0-9]|24:00)")
_SESSION_TIME = re.compile(r"(D(-[0-9]{1,2})? ([01][0-9]|2[0-3]):[0-5][0-9]|-[0-9]{1,5})?")
_SESSION_HOURS = re.compile(r"((D-1 )?([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9])?")
_FINEST_MINUTES = 5
DAY_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _matched(pattern: re.Pattern[str], text: str, what: str, wanted: str) -> None:
    """Raise unless *text* is of that form."""
    if not pattern.fullmatch(text):
        raise EnergyError(f"{what} is {text!r}; wanted {wanted}")


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A fact that holds from one delivery day to another.

    Attributes:
        valid_from: the first delivery day on which it holds; by default it always did.
        valid_to: the last one, included; by default it goes on.
    """

    KEY: ClassVar[tuple[str, ...]] = ()

    valid_from: date = date.min
    valid_to: date = date.max

    def __post_init__(self) -> None:
        """Refuse validity the wrong way round, and what the table itself does not allow; every fault on its line."""
        faults = list(self.faults())
        if faults:
            raise EnergyError("\n".join(faults))

    def faults(self) -> Iterator[str]:
        """Yield every fault of the row, one line each."""
        if self.valid_from > self.valid_to:
            yield f"valid_from {self.valid_from} is after valid_to {self.valid_to}; both days are included"
        yield from refused(self.check)
        yield from self.column_faults()

    def check(self) -> None:
        """Raise EnergyError unless the values fit together."""

    def column_faults(self) -> Iterator[str]:
        """Yield what is wrong with single columns."""
        yield from ()

    @property
    def key(self) -> tuple[str, ...]:
        """What the row is about: its values of `KEY`."""
        return tuple(getattr(self, column) for column in self.KEY)

    def apart(self) -> tuple[Row, ...]:
        """Return the row as rows of one key each: a shape of several zones is one of each."""
        return (self,)

    def holds_on(self, day: date) -> bool:
        """Return whether the row holds on that delivery day."""
        return self.valid_from <= day <= self.valid_to


class MarketZone(Row, frozen=True, kw_only=False):
    """Where something is delivered: a bidding zone, a region, a gas hub, a registry. A row of the table `zones`.

    Attributes:
        code: the market's short name, without spaces: "DE-LU", "TTF", "EU-ETS".
        eic: the ENTSO-E area code, 16 characters; empty where there is none.
        timezone: IANA name of the clock that delivery days and periods are named by.
        currency: ISO 4217 code of its prices.
        gate_lead_minutes: trading of a period in the zone ends this long before delivery starts.
        name: for people: "Germany and Luxembourg".
        kind: bidding_zone, region (of a market without bidding zones), hub or registry.
        commodity: power, gas or carbon.
        day_starts_hour: local hour at which a delivery day begins: 6 for European gas.
        interval_minutes: step of the position grid; 1,440 is a delivery day, however many hours it has.
        grid_unit: what an amount on that grid is in: kW, therm/d, mMMBtu/d (10⁻³ MMBtu/d), kWh/d, kg.
        slots_a_day: 24 where every day has that many hourly slots, clock change or not (the PSV); else 0.
    """

    KEY: ClassVar[tuple[str, ...]] = ("code",)

    code: str
    eic: str
    timezone: str
    currency: str
    gate_lead_minutes: int = 0
    name: str = ""
    kind: ZoneKind = "bidding_zone"
    commodity: Commodity = "power"
    day_starts_hour: int = 0
    interval_minutes: int = 15
    grid_unit: str = "kW"
    slots_a_day: Literal[0, 24] = 0

    def column_faults(self) -> Iterator[str]:
        """Tell of an unknown clock, a malformed code, currency or EIC, a grid that does not tile an hour or a day."""
        yield from off_form(_ZONE_CODE, self.code, "code", "letters, digits and '-' between them, such as DE-LU")
        yield from refused(lambda: time_zone(self.timezone))
        yield from refused(lambda: currency(self.currency))
        if self.eic:
            yield from refused(lambda: check_eic(self.eic))
        if not 0 <= self.day_starts_hour <= 23:
            yield f"day_starts_hour is {self.day_starts_hour}; wanted an hour from 0 to 23"
        if self.interval_minutes != 1440 and (self.interval_minutes < 1 or 60 % self.interval_minutes):
            yield f"interval_minutes is {self.interval_minutes}; wanted a part of an hour, or 1440, a day"
        if self.gate_lead_minutes < 0:
            yield f"gate_lead_minutes is {self.gate_lead_minutes}; wanted 0 or more"
        if self.grid_unit not in GRID_UNITS:
            yield f"grid_unit is {self.grid_unit!r}; wanted one of {', '.join(GRID_UNITS)}"


ZoneRow = MarketZone


class ProductRow(Row, frozen=True):
    """How contracts of a product are listed and traded on a market.

    Attributes:
        market: "SIDC", "EEX", "ICE-ENDEX" …; also the key of its price limits.
        product: first word of a contract's period: "QH", "H", "M", "Q" …, "DA" and "IDA1" for auctions.
        zones: codes of the zones where it is listed.
        commodity: power, gas or carbon.
        interval: what an auction sells: the product of its intervals, "QH" or "H"; else empty.
        from_hour: local hour from which an auction covers the day: 12 for the third intraday auction.
        shapes: shapes that are traded beside the base load: "PEAK".
        clock: IANA name of the clock of opens, gate and session; empty: the zone's.
        opens: "D-1 15:00", a day before the one of delivery and a time; or "-2970", minutes before delivery starts;
            empty: with `listed_ahead`.
        gate: "D-1 12:00" or "D 10:00" likewise, or with `last_trading` the time on that day; empty:
            `gate_lead_minutes` before delivery starts, or the end of the session.
        gate_lead_minutes: None: the zone's.
        session: local hours of trading on a business day, "08:00-18:00"; "D-1 18:00-17:00" begins on the evening
            before; empty: around the clock.
        tick_micro: price step in 10⁻⁶ of the currency per unit of `price_unit`.
        lot_kw: quantity step in thousandths of `qty_unit`.
        lots_min: the smallest order.
        lots_max: the largest; 0 where there is none.
        price_unit: "EUR/MWh"; the zone's currency takes the place of "{currency}".
        qty_unit: MW, therm/d, MMBtu, t.
        settlement: physical or cash.
        payment: spot, variation or monthly.
        calendar: whose business days count.
        last_trading: the rule of the last trading day, a word of `expiry.RULES` and a number: "before_delivery 2".
        listed_ahead: how many periods are listed at a time, the current one not counted; 0: none is listed by itself.
        cascade: products that take its place after its last trading day: ("M", "Q") is months for the first quarter and
            quarters for the rest, ("M",) months.
        adjusted: of WD and WE: holidays of the calendar are no working days, and are part of the weekend beside them.
        clearing_house: who stands behind its trades: "ECC"; empty: whoever the config of settlement names.
    """

    KEY: ClassVar[tuple[str, ...]] = ("market", "product")

    market: str
    product: str
    zones: tuple[str, ...] = ()
    commodity: Commodity = "power"
    interval: str = ""
    from_hour: int = 0
    shapes: tuple[str, ...] = ()
    clock: str = ""
    opens: str = ""
    gate: str = ""
    gate_lead_minutes: int | None = None
    session: str = ""
    tick_micro: int = 10_000
    lot_kw: int = 100
    lots_min: int = 1
    lots_max: int = 0
    price_unit: str = "{currency}/MWh"
    qty_unit: str = "MW"
    settlement: Literal["physical", "cash"] = "physical"
    payment: Literal["spot", "variation", "monthly"] = "spot"
    calendar: str = ""
    last_trading: str = ""
    listed_ahead: int = 0
    cascade: tuple[str, ...] = ()
    adjusted: bool = False
    clearing_house: str = ""

    def column_faults(self) -> Iterator[str]:
        """Tell of an unknown clock, a malformed time or unit, a tick, lot or number of lots that nothing trades on."""
        if not self.zones:
            yield "zones is empty; wanted the code of each zone where the product is listed"
        if self.clock:
            yield from refused(lambda: time_zone(self.clock))
        for column in ("opens", "gate"):
            text = getattr(self, column)
            yield from off_form(_SESSION_TIME, text, column, "a day and a time such as 'D-1 15:00', or '-60'")
        yield from off_form(_SESSION_HOURS, self.session, "session", "local hours such as '08:00-18:00'")
        begins, _, ends = self.session.removeprefix("D-1 ").partition("-")
        if self.session and begins >= ends and not self.session.startswith("D-1 "):
            yield f"session is {self.session!r}, which ends before it begins; wanted local hours of one day"
        if self.tick_micro <= 0 or self.lot_kw <= 0:
            yield f"tick_micro {self.tick_micro} and lot_kw {self.lot_kw} must both be positive"
        if self.lots_min < 1 or (self.lots_max and self.lots_max < self.lots_min):
            yield f"lots_min is {self.lots_min} and lots_max {self.lots_max}; wanted 1 or more, in order"
        if bool(self.last_trading) and not self.calendar:
            yield f"last_trading {self.last_trading!r} wants a calendar, such as 'UK'"
        if self.qty_unit not in PRICED_BY:
            yield f"qty_unit is {self.qty_unit!r}; wanted one of {', '.join(PRICED_BY)}"
        yield from price_unit_faults(self.price_unit, per=PRICED_BY.get(self.qty_unit, ""), template="{currency}")


class LimitRow(Row, frozen=True):
    """The lowest and highest price that a market takes.

    Attributes:
        market: "SDAC", "SIDC", "NEM" …
        price_min: in whole units of the price unit (EUR per MWh), decimals allowed.
        price_max: likewise.
        price_unit: what both are in.
    """

    KEY: ClassVar[tuple[str, ...]] = ("market",)

    market: str
    price_min: Decimal
    price_max: Decimal
    price_unit: str = "EUR/MWh"

    def check(self) -> None:
        """Refuse limits that are no numbers or the wrong way round."""
        if not (self.price_min.is_finite() and self.price_max.is_finite() and self.price_min < self.price_max):
            raise EnergyError(f"price_min {self.price_min} is not below price_max {self.price_max}")

    def column_faults(self) -> Iterator[str]:
        """Tell of a unit that no price is in."""
        yield from price_unit_faults(self.price_unit)


class AliasRow(Row, frozen=True):
    """What a venue or broker calls a product.

    Attributes:
        venue: whose name it is.
        product: the product, as in `ProductRow`.
        pattern: the name, with the parts of the delivery period in braces; `aliases.PARTS` says which there are.
        zones: codes of the zones where it is called so.
        shape: of contracts with that shape; empty: base load.
    """

    KEY: ClassVar[tuple[str, ...]] = ("venue", "product", "pattern")

    venue: str
    product: str
    pattern: str
    zones: tuple[str, ...] = ()
    shape: str = ""

    def column_faults(self) -> Iterator[str]:
        """Tell of a pattern by which no name can be read."""
        if not self.zones:
            yield "zones is empty; wanted the code of each zone where the product is called so"
        yield from pattern_faults(self.product, self.pattern)


class FeeRow(Row, frozen=True):
    """What trading costs, in 10⁻⁶ of the currency.

    Attributes:
        market: market or venue.
        product: as in `ProductRow`; "*" for every one that has no row of its own.
        kind: "exchange", "clearing", "broker" …
        micro_per_mwh: per MWh delivered.
        micro_per_lot: per lot.
        micro_per_trade: per trade.
        currency: ISO 4217.
    """

    KEY: ClassVar[tuple[str, ...]] = ("market", "product", "kind")

    market: str
    product: str
    kind: str
    currency: str
    micro_per_mwh: int = 0
    micro_per_lot: int = 0
    micro_per_trade: int = 0

    def column_faults(self) -> Iterator[str]:
        """Tell of an unknown currency."""
        yield from refused(lambda: currency(self.currency))


class ShapeRow(Row, frozen=True):
    """Which local hours of which weekdays a shaped product delivers in.

    Attributes:
        code: the word at the end of a name: "PEAK".
        weekdays: of "Mon" … "Sun".
        hours: local stretches such as "08:00-20:00", in order and apart; "24:00" is the end of the day.
        except_of: code of the shape whose hours are left out of every day's: OFFPEAK is all that PEAK is not.
        zones: codes of the zones where it is so; "*" alone: wherever no row of that code names the zone.
    """

    KEY: ClassVar[tuple[str, ...]] = ("code", "zones")

    code: str
    weekdays: tuple[str, ...] = ()
    hours: tuple[str, ...] = ()
    except_of: str = ""
    zones: tuple[str, ...] = ("*",)

    @property
    def key(self) -> tuple[str, ...]:
        """Code and zones."""
        return self.code, " ".join(self.zones)

    def apart(self) -> tuple[Row, ...]:
        """Return one row for each of its zones, so that another table may change one zone alone."""
        return tuple(msgspec.structs.replace(self, zones=(code,)) for code in self.zones)

    def check(self) -> None:
        """Refuse a malformed code, an unknown weekday, hours that are malformed, reversed or overlap, no zone."""
        if not self.zones or ("*" in self.zones and len(self.zones) > 1):
            met = " ".join(self.zones) or "empty"
            raise EnergyError(f"zones is {met}; wanted codes of zones, or '*' alone for all")
        _matched(_SHAPE_CODE, self.code, "code", "capitals, digits, '-' and '_', beginning with a letter")
        if self.code == "BASE":
            raise EnergyError("code is 'BASE', which is every hour and cannot be given others")
        if bool(self.except_of) == bool(self.weekdays or self.hours):
            raise EnergyError(f"shape {self.code!r} wants weekdays and hours, or except_of alone")
        if not self.except_of and not (self.weekdays and self.hours):
            raise EnergyError(f"shape {self.code!r} has weekdays without hours, or hours without weekdays")
        for weekday in self.weekdays:
            if weekday not in DAY_NAMES:
                raise EnergyError(f"weekdays has {weekday!r}; wanted {', '.join(DAY_NAMES)}")
        edges: list[str] = []
        for stretch in self.hours:
            _matched(_SHAPE_HOURS, stretch, "hours", "stretches such as '08:00-20:00'")
            edges += stretch.split("-")
        odd = [edge for edge in edges if int(edge[3:]) % _FINEST_MINUTES]
        if odd:
            raise EnergyError(f"hours has {odd[0]!r}; wanted quarter-hours, or 5 minutes where the grid has those")
        if any(before >= after for before, after in pairwise(edges)):
            raise EnergyError(f"hours {', '.join(self.hours)} are not in order and apart")


ROW_TYPES: dict[str, type[Row]] = {
    "zones": MarketZone,
    "products": ProductRow,
    "limits": LimitRow,
    "aliases": AliasRow,
    "fees": FeeRow,
    "shapes": ShapeRow,
}
"""The struct of each table's rows."""
