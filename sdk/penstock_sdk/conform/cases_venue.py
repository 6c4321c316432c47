"""Venues: what they list, how they take orders, and what they say of each."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from penstock_sdk.conform.cases import case, fail, skip
from penstock_sdk.conform.floor import ENDINGS, Floor, name_of
from penstock_sdk.conform.kit import Kit
from penstock_sdk.conform.world import HOUR_NS
from penstock_sdk.events import (
    AuctionResult,
    BookLevel,
    BookOrderDelta,
    BookPriceDelta,
    ExecutionReport,
    IdKind,
    IntentAction,
    ListingDefinition,
    Order,
    OrderKind,
    OrderState,
    Quote,
    Reason,
    ReportKind,
    SessionState,
    Trade,
)

__all__: list[str] = []

VENUE = ("venue",)
_MARKET = (Quote, Trade, BookLevel, BookOrderDelta, BookPriceDelta, AuctionResult, SessionState)


@case(
    "venue.lists",
    "It defines what is traded there, under ids that the host gave.",
    wanted="a ListingDefinition with the venue's own id, and the id that its name was given",
    way_out="ask for the id of each listing's name, and say its ListingDefinition",
    kinds=VENUE,
)
def _lists(kit: Kit) -> None:
    rig = Floor.open(kit).rig
    for each in rig.of(ListingDefinition):
        if each.venue_id != rig.instance["plugin_id"]:
            fail(f"listing {each.name} of venue {each.venue_id}")
        if rig.world.ids.get((int(IdKind.LISTING), each.name)) != each.listing_id:
            fail(f"listing {each.name} with id {each.listing_id}, which the host did not give it")


@case(
    "venue.sound",
    "A listing's numbers make sense.",
    wanted="tick and lot above 0, prices from low to high, opening before gate, a contract that is known; of delivery "
    "in MW (interval_count above 0, no segments): cash_micro_per_lot_tick = tick_micro × lot_kw ÷ 1000 × hours",
    way_out="compare the definition with the market's rule book",
    kinds=VENUE,
)
def _sound(kit: Kit) -> None:
    rig = Floor.open(kit).rig
    for each in rig.of(ListingDefinition):
        if each.tick_micro < 1 or each.lot_kw < 1 or each.price_min_ticks >= each.price_max_ticks:
            fail(f"listing {each.name}: tick {each.tick_micro}, lot {each.lot_kw}")
        if each.opens_ns >= each.gate_closure_ns:
            fail(f"listing {each.name}: opens {each.opens_ns}, gate {each.gate_closure_ns}")
        contract = rig.world.contracts.get(each.contract_id)
        if contract is None:
            fail(f"listing {each.name} of contract {each.contract_id}, which nobody defined")
        if each.interval_count < 0 or (each.interval_count and each.interval_ns < 1):
            fail(f"listing {each.name}: {each.interval_count} intervals of {each.interval_ns} ns")
        if each.interval_count and contract.qty_unit == "MW" and not each.segments:
            _money(each)


def _money(listing: ListingDefinition) -> None:
    """Fail where money per lot and tick is not tick × MW × hours; a fraction of 10⁻⁶ may be dropped or rounded."""
    delivery_ns = listing.interval_count * listing.interval_ns
    exact = Fraction(listing.tick_micro * listing.lot_kw * delivery_ns, 1_000 * HOUR_NS)
    if abs(listing.cash_micro_per_lot_tick - exact) >= 1:
        fail(
            f"listing {listing.name}: cash_micro_per_lot_tick {listing.cash_micro_per_lot_tick}; a tick of "
            f"{listing.tick_micro} on {listing.lot_kw} kW for {delivery_ns / HOUR_NS:g} h is {float(exact):.10g}"
        )


@case(
    "venue.defined_first",
    "It says nothing of a listing before it has defined it.",
    wanted="a ListingDefinition before the first quote, trade or session state of a listing",
    way_out="hold market data back until its listing is defined",
    kinds=VENUE,
)
def _defined_first(kit: Kit) -> None:
    floor = Floor.open(kit)
    floor.let_pass(30)
    defined: set[int] = {0}
    for each in floor.rig.said:
        if isinstance(each.record, ListingDefinition):
            defined.add(each.record.listing_id)
        elif isinstance(each.record, _MARKET) and each.record.listing_id not in defined:
            fail(f"{type(each.record).__name__} of listing {each.record.listing_id}")


@case(
    "venue.takes",
    "An order is answered, with its own id and listing.",
    wanted="ACCEPTED, or a fill at once",
    way_out="report on every order that comes, under its order_id",
    kinds=VENUE,
)
def _takes(kit: Kit) -> None:
    floor = Floor.open(kit)
    order = floor.order()
    reports = floor.send(order)
    if not reports:
        fail("no report on a new order")
    first = reports[0]
    if first.kind not in (ReportKind.ACCEPTED, ReportKind.FILL) or first.listing_id != order.listing_id:
        fail(f"{name_of(first)}, reason {first.reason}, in listing {first.listing_id}")


def _rejected(floor: Floor, what: str, order: Order) -> ExecutionReport:
    reports = floor.send(order)
    last = reports[-1] if reports else None
    if last is None:
        fail(f"no report on {what}")
    if last.kind != ReportKind.REJECTED or any(each.kind == ReportKind.FILL for each in reports):
        fail(f"{name_of(last)} on {what}")
    if last.reason == Reason.NONE:
        fail(f"REJECTED without a reason on {what}")
    return last


@case(
    "venue.rejects_size",
    "An order of no size, or of less, is rejected with a reason.",
    wanted="REJECTED with a Reason for 0 and −5 lots",
    way_out="check qty_lots before you send an order on",
    kinds=VENUE,
)
def _size(kit: Kit) -> None:
    floor = Floor.open(kit)
    for lots in (0, -5):
        _rejected(floor, f"an order of {lots} lots", floor.order(qty_lots=lots))


@case(
    "venue.rejects_price",
    "An order beyond the listing's price bounds is rejected with a reason.",
    wanted="REJECTED with a Reason one tick above price_max_ticks and one below price_min_ticks",
    way_out="check the price before you send an order on, or pass the market's reject on",
    kinds=VENUE,
)
def _price(kit: Kit) -> None:
    floor = Floor.open(kit)
    for ticks in (floor.listing.price_max_ticks + 1, floor.listing.price_min_ticks - 1):
        _rejected(floor, f"an order at {ticks} ticks", floor.order(price_ticks=ticks))


@case(
    "venue.rejects_listing",
    "An order in a listing that it does not have is rejected with a reason.",
    wanted="REJECTED with a Reason",
    way_out="look the listing up, and reject with UNKNOWN_LISTING",
    kinds=VENUE,
)
def _listing(kit: Kit) -> None:
    floor = Floor.open(kit)
    _rejected(floor, "an order in listing 999999", floor.order(listing_id=999_999))


@case(
    "venue.rejects_kind",
    "An order of a kind that it does not know is rejected with a reason.",
    wanted="REJECTED with a Reason for kind 250",
    way_out="reject with NOT_OFFERED every kind that you do not offer",
    kinds=VENUE,
)
def _order_kind(kit: Kit) -> None:
    floor = Floor.open(kit)
    _rejected(floor, "an order of kind 250", floor.order(kind=250))


@case(
    "venue.rejects_closed",
    "An order after the gate is rejected with a reason.",
    wanted="REJECTED with a Reason one second after gate_closure_ns",
    way_out="reject with GATE_CLOSED once the gate is over",
    kinds=VENUE,
)
def _closed(kit: Kit) -> None:
    floor = Floor.open(kit)
    if not floor.rig.simulated:
        skip("its market lives in real time, which the kit cannot move")
    own = [each for each in floor.rig.of(ListingDefinition) if each.gate_closure_ns > floor.rig.now_ns]
    floor.listing = min(own, key=lambda each: each.gate_closure_ns)
    order = floor.order(price_ticks=floor.listing.price_min_ticks)
    floor.rig.advance(floor.listing.gate_closure_ns + 1_000_000_000)
    _rejected(floor, "an order after the gate", order)


@case(
    "venue.cancel",
    "A resting order is cancelled when that is wanted.",
    wanted="CANCELLED, once",
    way_out="send the cancel to the market, and report what it says",
    kinds=VENUE,
)
def _cancel(kit: Kit) -> None:
    floor = Floor.open(kit)
    order = floor.rest()
    floor.cancel(order)
    if floor.await_report(order.order_id, ReportKind.CANCELLED) is None:
        fail(f"{[name_of(each) for each in floor.reports(order.order_id)]}")


@case(
    "venue.cancel_unknown",
    "The cancel of an order that it does not know is refused with a reason.",
    wanted="CANCEL_REJECTED with a Reason",
    way_out="answer with CANCEL_REJECTED and UNKNOWN_ORDER",
    kinds=VENUE,
)
def _cancel_unknown(kit: Kit) -> None:
    floor = Floor.open(kit)
    reports = floor.cancel(floor.order())
    if not reports or reports[0].kind != ReportKind.CANCEL_REJECTED or reports[0].reason == Reason.NONE:
        fail(f"{[(name_of(each), each.reason) for each in reports] or 'nothing'}")


@case(
    "venue.cancel_ended",
    "The cancel of an order that has ended is refused, and the order does not end again.",
    wanted="CANCEL_REJECTED",
    way_out="remember which orders have ended, or pass the market's answer on",
    kinds=VENUE,
)
def _cancel_ended(kit: Kit) -> None:
    floor = Floor.open(kit)
    order = floor.order()
    if any(each.kind == ReportKind.ACCEPTED for each in floor.send(order)) and not _filled(floor, order):
        floor.cancel(order)
        floor.await_report(order.order_id, *ENDINGS)
    reports = floor.cancel(order)
    if not reports or reports[0].kind != ReportKind.CANCEL_REJECTED:
        fail(f"{[name_of(each) for each in reports] or 'nothing'}")


def _filled(floor: Floor, order: Order) -> bool:
    dealt = sum(each.last_lots for each in floor.reports(order.order_id) if each.kind == ReportKind.FILL)
    return dealt >= order.qty_lots


def _at_once(kit: Kit, kind: OrderKind) -> tuple[Floor, Order, list[ExecutionReport]]:
    """Return what became of an order that must not rest."""
    floor = Floor.open(kit)
    order = floor.order(kind=int(kind))
    floor.send(order)
    floor.await_report(order.order_id, *ENDINGS, ReportKind.FILL)
    reports = floor.reports(order.order_id)
    if reports and reports[-1].kind == ReportKind.REJECTED:
        if reports[-1].reason == Reason.NONE:
            fail(f"REJECTED without a reason on an order of kind {kind.name}")
        skip(f"it does not take orders of kind {kind.name}, and says why")
    if not reports:
        fail(f"no report on an order of kind {kind.name}")
    return floor, order, reports


@case(
    "venue.ioc",
    "What an IOC order cannot deal at once is cancelled, or the kind is rejected with a reason.",
    wanted="an end right away: filled, or CANCELLED for the rest",
    way_out="pass the kind on to the market, or reject it with NOT_OFFERED",
    kinds=VENUE,
)
def _ioc(kit: Kit) -> None:
    floor, order, reports = _at_once(kit, OrderKind.IOC)
    if not _filled(floor, order) and reports[-1].kind != ReportKind.CANCELLED:
        fail(f"{[name_of(each) for each in reports]}: it rests")


@case(
    "venue.fok",
    "A FOK order is filled whole or not at all, or the kind is rejected with a reason.",
    wanted="all of it filled, or an end without a fill",
    way_out="pass the kind on to the market, or reject it with NOT_OFFERED",
    kinds=VENUE,
)
def _fok(kit: Kit) -> None:
    _floor, order, reports = _at_once(kit, OrderKind.FOK)
    dealt = sum(each.last_lots for each in reports if each.kind == ReportKind.FILL)
    if dealt not in (0, order.qty_lots) or (not dealt and reports[-1].kind != ReportKind.CANCELLED):
        fail(f"{dealt} of {order.qty_lots} lots, {[name_of(each) for each in reports]}")


@case(
    "venue.sent_twice",
    "An order id that comes a second time is not a second order.",
    wanted="no second ACCEPTED or fill for the same order_id",
    way_out="reject with DUPLICATE what you have seen, or pass it over",
    kinds=VENUE,
)
def _twice(kit: Kit) -> None:
    floor = Floor.open(kit)
    order = floor.order()
    floor.send(order)
    before = len(floor.reports(order.order_id))
    floor.send(order, wait=False)
    floor.let_pass(20)
    again = list(floor.reports(order.order_id)[before:])
    if any(each.kind in (ReportKind.ACCEPTED, ReportKind.FILL) for each in again):
        fail(f"{[name_of(each) for each in again]} the second time")


@case(
    "venue.in_doubt",
    "An order in doubt is a question, never a new order.",
    wanted="no ACCEPTED and no fill of an order that the market never had",
    way_out="do not send a NEW in state IN_DOUBT; ask the market where it stands",
    kinds=VENUE,
)
def _in_doubt(kit: Kit) -> None:
    floor = Floor.open(kit)
    order = floor.order(state=int(OrderState.IN_DOUBT))
    floor.send(order, wait=False)
    floor.let_pass(20)
    reports = floor.reports(order.order_id)
    if any(each.kind in (ReportKind.ACCEPTED, ReportKind.FILL) for each in reports):
        fail(f"{[name_of(each) for each in reports]}")


@case(
    "venue.heard_order",
    "An order that is only heard is not sent.",
    wanted="no report on it, and an answer CANCEL_REJECTED to its cancel",
    way_out="let no effect happen while `hearing` is set",
    kinds=VENUE,
)
def _heard(kit: Kit) -> None:
    floor = Floor.open(kit)
    rig, order = floor.rig, floor.order()
    if not rig.simulated:
        skip("it runs in real time, where the past is heard before the start")
    before = len(rig.of(ExecutionReport))
    rig.step(order, hearing=True)
    if floor.reports(order.order_id, before):
        fail(f"{name_of(floor.reports(order.order_id, before)[0])} on an order of the past")


@case(
    "venue.own_reports",
    "It reports only on orders that it was sent.",
    wanted="order ids that came with an Order",
    way_out="drop what the market says of orders that are not in your table, and tell of it in the log",
    kinds=VENUE,
)
def _own_reports(kit: Kit) -> None:
    floor = Floor.open(kit)
    order = floor.order()
    floor.send(order)
    floor.let_pass(60)
    for each in floor.rig.of(ExecutionReport):
        if each.order_id not in floor.sent:
            fail(f"{name_of(each)} on order {each.order_id}, which it was never sent")


def check_life(floor: Floor) -> None:
    """Fail where the reports on some order tell a life that no order has."""
    for order_id, order in floor.sent.items():
        left, ended = order.qty_lots, ""
        for each in floor.reports(order_id):
            if ended and each.kind != ReportKind.CANCEL_REJECTED:
                fail(f"{name_of(each)} after {ended} on order {order_id}")
            if each.kind == ReportKind.FILL:
                left -= each.last_lots
                if each.last_lots < 1 or left < 0 or each.leaves_lots != left:
                    fail(f"a fill of {each.last_lots} lots that leaves {each.leaves_lots}; {left} are left")
                ended = "the last fill" if not left else ""
            elif each.kind in ENDINGS:
                ended = name_of(each)


@case(
    "venue.one_life",
    "An order ends once, and its fills add up.",
    wanted="one end, nothing but CANCEL_REJECTED after it, leaves_lots as the fills leave it",
    way_out="pass each of the market's messages on once, in its order",
    kinds=VENUE,
)
def _one_life(kit: Kit) -> None:
    floor = Floor.open(kit)
    for at in range(3):
        order = floor.order()
        floor.send(order)
        if at < 2 and not _filled(floor, order):
            floor.cancel(order)
            floor.await_report(order.order_id, *ENDINGS)
    check_life(floor)


@case(
    "venue.amend",
    "An amendment is made, or refused with a reason; it is never passed over.",
    wanted="AMENDED, or CANCEL_REJECTED with a Reason",
    way_out="answer an AMEND that you do not offer with CANCEL_REJECTED and NOT_ALLOWED",
    kinds=VENUE,
)
def _amend(kit: Kit) -> None:
    floor = Floor.open(kit)
    order = floor.order()
    floor.send(order)
    known: dict[str, Any] = {name: getattr(order, name) for name in Order.__struct_fields__}
    before = len(floor.reports(order.order_id))
    floor.send(Order(**{**known, "action": int(IntentAction.AMEND), "qty_lots": order.qty_lots - 1}))
    told = floor.reports(order.order_id)[before:]
    if not told or told[0].kind not in (ReportKind.AMENDED, ReportKind.CANCEL_REJECTED):
        fail(f"{[name_of(each) for each in told] or 'nothing'}")
    if told[0].kind == ReportKind.CANCEL_REJECTED and told[0].reason == Reason.NONE:
        fail("CANCEL_REJECTED without a reason")


@case(
    "venue.many",
    "A hundred orders in one batch are all answered.",
    wanted="a report on each",
    way_out="hold no fixed number of open orders; reject with VENUE_CAPACITY where there must be one",
    kinds=VENUE,
)
def _many(kit: Kit) -> None:
    floor = Floor.open(kit)
    orders = [floor.order() for _ in range(100)]
    floor.sent.update({each.order_id: each for each in orders})
    floor.rig.step(*orders)
    waiting = {each.order_id for each in orders}
    floor.rig.await_said(lambda: waiting <= {each.order_id for each in floor.rig.of(ExecutionReport)})
    waiting -= {each.order_id for each in floor.rig.of(ExecutionReport)}
    if waiting:
        fail(f"no report on {len(waiting)} of 100 orders")
