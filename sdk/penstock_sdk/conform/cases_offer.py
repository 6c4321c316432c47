"""What a venue's manifest states in `[plugin.venue]`, held against what the venue does."""

from __future__ import annotations

from penstock_sdk.conform.cases import case, fail
from penstock_sdk.conform.cases_venue import VENUE
from penstock_sdk.conform.floor import ENDINGS, Floor, name_of
from penstock_sdk.conform.kit import Kit
from penstock_sdk.events import ExecutionReport, IntentAction, Order, OrderKind, Reason, ReportKind
from penstock_sdk.manifest import ORDER_KINDS, VenueOffer
from penstock_sdk.schema import ABSENT

__all__: list[str] = []

_BURST_MAX = 100
_UNBOUNDED_BURST = 50
_RATE = (Reason.MESSAGE_RATE, Reason.VENUE_CAPACITY)


def _offer(kit: Kit) -> VenueOffer:
    assert kit.manifest is not None
    assert kit.manifest.venue is not None
    return kit.manifest.venue


def _of_kind(floor: Floor, name: str) -> ExecutionReport:
    """Return the first report on an order of a kind; ends the case where there is none."""
    kind = OrderKind[name.upper()]
    order = floor.order(kind=int(kind), **({"price_ticks": ABSENT} if kind == OrderKind.MARKET else {}))
    floor.send(order)
    first = floor.await_report(order.order_id, *ENDINGS, ReportKind.ACCEPTED, ReportKind.FILL)
    if first is None:
        fail(f"no report on an order of kind {name}")
    return first


@case(
    "offer.kinds_taken",
    "Orders of the kinds that its manifest states are taken.",
    wanted="ACCEPTED, a fill, or an end for want of liquidity, of each of venue.order_kinds",
    way_out="take the kind out of venue.order_kinds, or pass it on to the market",
    kinds=VENUE,
    manifest=True,
)
def _kinds_taken(kit: Kit) -> None:
    floor = Floor.open(kit)
    for name in _offer(kit).order_kinds:
        first = _of_kind(floor, name)
        if first.kind == ReportKind.REJECTED and (name == "limit" or first.reason != Reason.NO_LIQUIDITY):
            fail(f"REJECTED, reason {first.reason}, on an order of kind {name}, which the manifest states")


@case(
    "offer.kinds_refused",
    "Orders of kinds that its manifest does not state are rejected with a reason.",
    wanted="REJECTED with a Reason of each kind that is not in venue.order_kinds",
    way_out="state the kind in venue.order_kinds, or reject it with NOT_OFFERED",
    kinds=VENUE,
    manifest=True,
)
def _kinds_refused(kit: Kit) -> None:
    floor, stated = Floor.open(kit), _offer(kit).order_kinds
    for name in (each for each in ORDER_KINDS if each not in stated):
        first = _of_kind(floor, name)
        if first.kind != ReportKind.REJECTED or first.reason == Reason.NONE:
            fail(f"{name_of(first)}, reason {first.reason}, on an order of kind {name}, which the manifest leaves out")


@case(
    "offer.amend",
    "An order is amended where the manifest states a way to, and only there.",
    wanted="AMENDED where venue.amend is native or cancel_replace, CANCEL_REJECTED where it is none",
    way_out='correct venue.amend; "none" answers an AMEND with CANCEL_REJECTED and NOT_ALLOWED',
    kinds=VENUE,
    manifest=True,
)
def _amend(kit: Kit) -> None:
    floor, stated = Floor.open(kit), _offer(kit).amend
    order = floor.rest()
    fields = {name: getattr(order, name) for name in Order.__struct_fields__}
    fields.update(action=int(IntentAction.AMEND), qty_lots=order.qty_lots - 1)
    floor.send(Order(**fields))
    told = floor.await_report(order.order_id, ReportKind.AMENDED, ReportKind.CANCEL_REJECTED)
    wanted = ReportKind.CANCEL_REJECTED if stated == "none" else ReportKind.AMENDED
    if told is None or told.kind != wanted:
        fail(f'{name_of(told) if told else "nothing"} with venue.amend "{stated}"')


@case(
    "offer.throttle",
    "As many orders as its manifest states are taken in a second.",
    wanted=f"none of venue.throttle_per_s orders at once (at most {_BURST_MAX}; {_UNBOUNDED_BURST} where it states no "
    "limit) rejected for their rate",
    way_out="state in venue.throttle_per_s what the market takes, or queue what comes faster",
    kinds=VENUE,
    manifest=True,
)
def _throttle(kit: Kit) -> None:
    floor, stated = Floor.open(kit), _offer(kit).throttle_per_s
    count = _UNBOUNDED_BURST if stated is None else max(min(int(stated), _BURST_MAX), 1)
    orders = [floor.order() for _ in range(count)]
    floor.sent.update({each.order_id: each for each in orders})
    floor.rig.step(*orders)
    numbers = set(floor.sent)
    floor.rig.await_said(lambda: numbers <= {each.order_id for each in floor.rig.of(ExecutionReport)})
    told = floor.rig.of(ExecutionReport)
    refused = [each for each in told if each.kind == ReportKind.REJECTED and each.reason in _RATE]
    if refused:
        limit = "no limit" if stated is None else f"{stated:g} a second"
        fail(f"{len(refused)} of {count} orders rejected, reason {refused[0].reason}, with {limit} stated")
    if lost := numbers - {each.order_id for each in told}:
        fail(f"nothing of {len(lost)} of {count} orders")


@case(
    "offer.disconnect",
    "When the connection breaks, that one cancels whom its manifest states, or nobody.",
    wanted="native: the market cancels; emulated: the market does not, and the adapter does at its return; none: the "
    "order rests on",
    way_out="correct venue.cancel_on_disconnect, or give a --config that asks the market for what it states",
    kinds=VENUE,
    verbs=("drop", "resume"),
    manifest=True,
)
def _disconnect(kit: Kit) -> None:
    floor, stated = Floor.open(kit), _offer(kit).cancel_on_disconnect
    order = floor.rest()
    natively = bool(floor.do("drop").get("cancels"))
    floor.do("resume")
    if natively != (stated == "native"):
        fail(f'the market {"cancels" if natively else "does not cancel"}, the manifest states "{stated}"')
    if stated == "native":
        return  # that it is reported, market.drop tells
    if stated == "none":
        floor.let_pass(20)
        ended = next((each for each in floor.reports(order.order_id) if each.kind in ENDINGS), None)
    else:
        ended = floor.await_report(order.order_id, *ENDINGS)
    if (ended is None) != (stated == "none"):
        fail(f'{name_of(ended) if ended else "no end of the order"}, the manifest states "{stated}"')


@case(
    "offer.embedded",
    "Whether the market place is in the plugin is said alike by manifest and Describe.",
    wanted="`embedded` of Describe as in the manifest",
    way_out="set `embedded` in both where the market ends with the plugin, else in neither",
    kinds=VENUE,
    manifest=True,
)
def _embedded(kit: Kit) -> None:
    rig = kit.described()
    assert rig.described is not None
    assert kit.manifest is not None
    if bool(rig.described.embedded) != kit.manifest.embedded:
        fail(f"embedded {bool(rig.described.embedded)} of Describe, {kit.manifest.embedded} of the manifest")
