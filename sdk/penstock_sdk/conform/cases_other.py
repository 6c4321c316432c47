"""Models, portfolios, reference data: what each of them says must be true of the day that it was told."""

from __future__ import annotations

import itertools

from penstock_sdk.conform.cases import case, fail, skip
from penstock_sdk.conform.host import Rig
from penstock_sdk.conform.kit import Kit
from penstock_sdk.events import (
    CalendarDefinition,
    ContractDefinition,
    ExecutionReport,
    Forecast,
    IdKind,
    LevelFlag,
    Order,
    OrderState,
    Position,
    ReferenceTable,
    ReportKind,
    Side,
    Signal,
    ZoneDefinition,
)
from penstock_sdk.schema import ABSENT

__all__: list[str] = []

STRATEGY_ID = 12


def _forecasts(kit: Kit) -> tuple[Rig, list[tuple[int, Forecast]]]:
    rig = kit.started()
    kit.afternoon(rig)
    rig.quiet()
    said = [(each.now_ns, each.record) for each in rig.said if isinstance(each.record, Forecast)]
    if not said:
        skip("it says no forecasts in the kit's afternoon")
    return rig, said


@case(
    "data.no_look_ahead",
    "A forecast is made of what was known, and no later.",
    wanted="data_cut_ns at or before the time at hand",
    way_out="set data_cut_ns to the latest known_at_ns that went into it",
    kinds=("model",),
)
def _no_look_ahead(kit: Kit) -> None:
    for now_ns, each in _forecasts(kit)[1]:
        if each.data_cut_ns != ABSENT and each.data_cut_ns > now_ns:
            fail(f"a data cut {each.data_cut_ns - now_ns} ns ahead")


@case(
    "data.quantiles",
    "Quantiles of one forecast rise, and its ends are marked.",
    wanted="FIRST on the first, LAST on the last, values that rise with quantile_bp",
    way_out="sort a forecast's quantiles, and mark its first and last record",
    kinds=("model",),
)
def _quantiles(kit: Kit) -> None:
    whole: list[Forecast] = []
    for _, each in _forecasts(kit)[1]:
        if each.place & LevelFlag.FIRST:
            if whole:
                fail("a forecast that begins before the one before it has ended")
        elif not whole:
            fail("a forecast that does not begin with FIRST")
        whole.append(each)
        if each.place & LevelFlag.LAST:
            ordered = sorted((one for one in whole if one.quantile_bp), key=lambda one: one.quantile_bp)
            if any(a.value > b.value for a, b in itertools.pairwise(ordered)):
                fail(f"values {[one.value for one in ordered]}")
            whole = []
    if whole:
        fail("a forecast that does not end with LAST")


@case(
    "data.signals",
    "A signal names a listing that exists, and a confidence of 0 … 1.",
    wanted="a known listing and a confidence within bounds",
    way_out="take listing ids from definitions",
    kinds=("model",),
)
def _signals(kit: Kit) -> None:
    rig = kit.started()
    kit.afternoon(rig)
    signals = rig.of(Signal)
    if not signals:
        skip("it says no signals in the kit's afternoon")
    for each in signals:
        if each.listing_id not in rig.world.listings or not 0 <= each.confidence <= 1:
            fail(f"listing {each.listing_id}, confidence {each.confidence}")


def _dealt(rig: Rig) -> list[tuple[int, int, int]]:
    """Tell a portfolio of four fills; return (listing, side, lots) of each."""
    listing_id = sorted(rig.world.listings)[0]
    deals = [(listing_id, int(Side.BUY), 10), (listing_id, int(Side.SELL), 4), (listing_id, int(Side.SELL), 9)]
    deals.append((sorted(rig.world.listings)[1], int(Side.BUY), 3))
    for number, (listing, side, lots) in enumerate(deals, 1):
        order_id = (1 << 32) + number
        order = Order(
            order_id, listing, 1, side, 1, int(OrderState.ROUTED), 5_000, lots, 0, number, venue_id=77,
            strategy_id=STRATEGY_ID, book_id=5,
        )  # fmt: skip
        fill = ExecutionReport(
            order_id, listing, int(ReportKind.FILL), side, 2, 1, 5_000, lots, 0, number, number, STRATEGY_ID
        )
        rig.step(order)
        rig.step(fill)
        rig.now_ns += 1_000_000_000
    return deals


@case(
    "data.positions",
    "A position is what was bought less what was sold.",
    wanted="net_lots = bought_lots − sold_lots, and the sum of the fills told",
    way_out="add every fill once, with its sign",
    kinds=("portfolio",),
)
def _positions(kit: Kit) -> None:
    rig = kit.started()
    deals = _dealt(rig)
    rig.advance(rig.now_ns + 120_000_000_000)
    last = {(each.listing_id, each.strategy_id): each for each in rig.of(Position)}
    if not last:
        skip("it says no positions")
    for (listing_id, _), each in last.items():
        wanted = sum(lots if side == Side.BUY else -lots for at, side, lots in deals if at == listing_id)
        if each.net_lots != each.bought_lots - each.sold_lots or each.net_lots != wanted:
            fail(f"net {each.net_lots}, bought {each.bought_lots}, sold {each.sold_lots}; the fills make {wanted}")


@case(
    "data.definitions",
    "What it defines has an id that the host gave, and hangs together.",
    wanted="ids of the names, contracts that end after they begin, in zones that are known",
    way_out="ask for ids by name, and define zones before their contracts",
    kinds=("refdata",),
)
def _definitions(kit: Kit) -> None:
    rig = kit.started()
    zones, contracts = rig.of(ZoneDefinition), rig.of(ContractDefinition)
    if not zones and not contracts:
        skip("it defines neither zones nor contracts")
    known = set(rig.world.zones)
    for zone in zones:
        if rig.world.ids.get((int(IdKind.ZONE), zone.code)) != zone.zone_id:
            fail(f"zone {zone.code} with id {zone.zone_id}, which the host did not give it")
    for each in contracts:
        if rig.world.ids.get((int(IdKind.CONTRACT), each.name)) != each.contract_id:
            fail(f"contract {each.name} with id {each.contract_id}, which the host did not give it")
        if each.delivery_end_ns <= each.delivery_start_ns or each.zone_id not in known:
            fail(f"contract {each.name} in zone {each.zone_id}, {each.delivery_start_ns} … {each.delivery_end_ns}")


@case(
    "data.said_again",
    "Reference data is said again at every start.",
    wanted="the same definitions, tables and calendars after a resumed start",
    way_out="say everything in Start, also when `resumed` is set",
    kinds=("refdata",),
    capability="snapshot",
)
def _said_again(kit: Kit) -> None:
    kinds = (ReferenceTable, CalendarDefinition)
    rig = kit.started()
    first = [repr(each) for cls in kinds for each in rig.of(cls)]
    taken = rig.snapshot()
    if not first:
        skip("it says no tables and no calendars")
    again = kit.restored(taken.state, taken.last_seq, like=rig, beside=True)
    again.start(resumed=True)
    second = [repr(each) for cls in kinds for each in again.of(cls)]
    if first != second:
        fail(f"{len(second)} tables and calendars after a restart, {len(first)} before it")
