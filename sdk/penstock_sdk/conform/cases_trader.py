"""Strategies and execution algorithms: intents that are their own, sane, and about what is tradable."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from penstock_sdk.conform.cases import TRADERS, case, fail, skip
from penstock_sdk.conform.host import Rig
from penstock_sdk.conform.kit import Kit
from penstock_sdk.conform.world import OTHER_VENUE
from penstock_sdk.events import (
    ExecutionReport,
    IntentAction,
    Order,
    OrderIntent,
    OrderKind,
    OrderState,
    Reason,
    ReportKind,
    Side,
)
from penstock_sdk.schema import ABSENT

__all__ = ["Desk"]

_NONE = "it says no intents in the kit's afternoon; give a config with --config that makes it trade there"


class Desk:
    """What becomes of intents: orders that are routed, taken or filled, as the kernel and a venue would tell.

    Args:
        refuse: say REFUSED of every new order.
    """

    def __init__(self, *, refuse: bool = False) -> None:
        self.refuse = refuse
        self.orders: dict[int, Order] = {}
        self.next_id = 1 << 32
        self.trades = 0

    def __call__(self, rig: Rig, record: Any) -> Sequence[Any]:
        """Return what follows from a record that a trader said."""
        if not isinstance(record, OrderIntent):
            return ()
        if record.action == IntentAction.NEW:
            return self._new(rig, record)
        if record.action == IntentAction.CANCEL and record.order_id in self.orders:
            return [self._report(self.orders.pop(record.order_id), ReportKind.CANCELLED)]
        if record.action == IntentAction.CANCEL_ALL:
            ended, self.orders = list(self.orders.values()), {}
            return [self._report(order, ReportKind.CANCELLED) for order in ended]
        return ()

    def _new(self, rig: Rig, intent: OrderIntent) -> Sequence[Any]:
        self.next_id += 1
        state = OrderState.REFUSED if self.refuse else OrderState.ROUTED
        order = Order(
            self.next_id, intent.listing_id, int(IntentAction.NEW), intent.side, intent.kind, int(state),
            intent.price_ticks, intent.qty_lots, 0, intent.intent_id, intent.decision_half_ticks, ABSENT,
            OTHER_VENUE, int(Reason.PAUSED if self.refuse else Reason.NONE), 1, 0, rig.instance["plugin_id"],
            intent.book_id, intent.algo_id, intent.algo_version, intent.trader_id, intent.account_id, rig.now_ns,
        )  # fmt: skip
        if self.refuse:
            return [order]
        if intent.kind in (OrderKind.IOC, OrderKind.FOK, OrderKind.MARKET):
            return [order, self._fill(order)]
        self.orders[order.order_id] = order
        return [order, self._report(order, ReportKind.ACCEPTED)]

    def _fill(self, order: Order) -> ExecutionReport:
        self.trades += 1
        price_ticks = order.price_ticks if order.price_ticks != ABSENT else 5_000
        return ExecutionReport(
            order.order_id, order.listing_id, int(ReportKind.FILL), order.side, 2, 1, price_ticks, order.qty_lots, 0,
            self.trades, order.order_id, order.strategy_id,
        )  # fmt: skip

    @staticmethod
    def _report(order: Order, kind: ReportKind) -> ExecutionReport:
        leaves = order.qty_lots if kind == ReportKind.ACCEPTED else 0
        return ExecutionReport(
            order.order_id, order.listing_id, int(kind), order.side, 0, 1, ABSENT, 0, leaves, ABSENT, order.order_id,
            order.strategy_id,
        )  # fmt: skip


def _traded(kit: Kit, *, refuse: bool = False) -> tuple[Rig, list[OrderIntent]]:
    """Return a trader after an afternoon, and what it wished for."""
    rig = kit.configured()
    rig.on_said = Desk(refuse=refuse)
    rig.start()
    rig.step(*rig.world.opening(rig.now_ns))
    kit.afternoon(rig)
    intents = rig.of(OrderIntent)
    if not intents:
        skip(_NONE)
    return rig, intents


def _new(intents: Sequence[OrderIntent]) -> list[OrderIntent]:
    return [each for each in intents if each.action == IntentAction.NEW]


@case(
    "trader.identity",
    "Its intents bear its own strategy and book.",
    wanted="strategy_id and book_id of the Instance in ConfigureRequest",
    way_out="copy the ids of the Instance into every intent",
    kinds=TRADERS,
)
def _identity(kit: Kit) -> None:
    rig, intents = _traded(kit)
    own = rig.instance
    for each in intents:
        if (each.strategy_id, each.book_id) != (own["plugin_id"], own["book_id"]):
            fail(f"strategy {each.strategy_id}, book {each.book_id}; it is {own['plugin_id']} and {own['book_id']}")


@case(
    "trader.rising_ids",
    "Its new orders have intent ids that rise and are never used again.",
    wanted="each intent_id above the one before",
    way_out="count intents in the state that snapshots keep",
    kinds=TRADERS,
)
def _rising(kit: Kit) -> None:
    _, intents = _traded(kit)
    ids = [each.intent_id for each in _new(intents)]
    for before, after in itertools.pairwise(ids):
        if after <= before:
            fail(f"intent {after} after {before}")
    if ids and ids[0] < 0:
        fail(f"intent {ids[0]}")


@case(
    "trader.ids_go_on",
    "After a restart intent ids go on where they were.",
    wanted="intent ids above all that were used before the snapshot",
    way_out="keep the counter in the state",
    kinds=TRADERS,
    capability="snapshot",
)
def _ids_go_on(kit: Kit) -> None:
    rig, intents = _traded(kit)
    used = max((each.intent_id for each in _new(intents)), default=0)
    taken = rig.snapshot()
    again = kit.restored(taken.state, taken.last_seq, like=rig, beside=True)
    again.on_said = rig.on_said
    again.start(resumed=True)
    again.step(*again.world.opening(again.now_ns))
    kit.afternoon(again, first=24)
    fresh = [each.intent_id for each in _new(again.of(OrderIntent))]
    if not fresh:
        skip("it says no new intents after the restart")
    if min(fresh) <= used:
        fail(f"intent {min(fresh)} after a restart, {used} was used before it")


@case(
    "trader.known_listings",
    "It wants to trade only what was listed.",
    wanted="listing ids that a ListingDefinition announced",
    way_out="take listing ids from definitions and market data, and make none up",
    kinds=TRADERS,
)
def _known(kit: Kit) -> None:
    rig, intents = _traded(kit)
    for each in _new(intents):
        if each.listing_id not in rig.world.listings:
            fail(f"listing {each.listing_id}")


@case(
    "trader.closed",
    "Once a listing has closed it wants no new order there.",
    wanted="no new order after SessionState CLOSED and the end of the gate",
    way_out="hear SessionState, or hold the time against `gate_closure_ns`",
    kinds=TRADERS,
)
def _closed(kit: Kit) -> None:
    rig, _ = _traded(kit)
    rig.now_ns = max(each.gate_closure_ns for each in rig.world.listings.values()) + 1
    before = len(rig.of(OrderIntent))
    rig.step(*rig.world.closing(rig.now_ns))
    wakes = [timer for timer in rig.timers.values() if timer.due_ns > rig.now_ns]
    if wakes:
        rig.advance(rig.now_ns + 120_000_000_000)
    fresh = _new(rig.of(OrderIntent)[before:])
    if fresh:
        fail(f"a new order in listing {fresh[0].listing_id}")


@case(
    "trader.sane",
    "Its new orders have a side, a kind, a quantity above zero and a price within the listing's bounds.",
    wanted="BUY or SELL, a known kind, 1 lot or more, price_min_ticks … price_max_ticks",
    way_out="look at the listing's definition before you make an intent",
    kinds=TRADERS,
)
def _sane(kit: Kit) -> None:
    rig, intents = _traded(kit)
    for each in _new(intents):
        listing = rig.world.listings.get(each.listing_id)
        if each.side not in (Side.BUY, Side.SELL) or not 1 <= each.kind <= 4 or each.qty_lots < 1:
            fail(f"side {each.side}, kind {each.kind}, {each.qty_lots} lots")
        if each.kind == OrderKind.MARKET or listing is None:
            continue
        if not listing.price_min_ticks <= each.price_ticks <= listing.price_max_ticks:
            fail(f"a price of {each.price_ticks} ticks")


@case(
    "trader.own_orders",
    "It cancels only orders of its own.",
    wanted="order ids that it was told of",
    way_out="take order ids from Order and ExecutionReport",
    kinds=TRADERS,
)
def _own_orders(kit: Kit) -> None:
    rig, intents = _traded(kit)
    desk = rig.on_said
    assert isinstance(desk, Desk)
    for each in intents:
        if each.action == IntentAction.CANCEL and not (1 << 32) < each.order_id <= desk.next_id:
            fail(f"a cancel of order {each.order_id}, which is not its own")


@case(
    "trader.refused",
    "An order that is refused is not wished for again and again.",
    wanted="fewer than 200 new orders in an afternoon in which all are refused",
    way_out="wait, or give up, after a refusal",
    kinds=TRADERS,
)
def _refused(kit: Kit) -> None:
    _, intents = _traded(kit, refuse=True)
    if len(_new(intents)) >= 200:
        fail(f"{len(_new(intents))} new orders")
