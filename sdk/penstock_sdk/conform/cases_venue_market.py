"""Venues with a driver of their market, and what they know after a crash."""

from __future__ import annotations

import time

from penstock_sdk.conform.cases import case, fail, skip
from penstock_sdk.conform.cases_venue import VENUE, check_life
from penstock_sdk.conform.floor import ENDINGS, Floor, name_of
from penstock_sdk.conform.kit import Kit
from penstock_sdk.events import ExecutionReport, Reason, Reconciled, ReportKind, Side
from penstock_sdk.process.envelope import Lane

__all__: list[str] = []


@case(
    "market.fill",
    "A fill is reported with its price, its quantity and what is left.",
    wanted="FILL of all lots, leaves_lots 0, a price no worse than the order's",
    way_out="translate the market's trade message; leaves_lots is what still works",
    kinds=VENUE,
    verbs=("fill",),
)
def _fill(kit: Kit) -> None:
    floor = Floor.open(kit)
    order = floor.rest()
    floor.do("fill", order)
    if floor.await_report(order.order_id, ReportKind.FILL) is None:
        fail("no fill")
    fills = [each for each in floor.reports(order.order_id) if each.kind == ReportKind.FILL]
    if sum(each.last_lots for each in fills) != order.qty_lots or fills[-1].leaves_lots:
        fail(f"{[each.last_lots for each in fills]} lots, leaves {fills[-1].leaves_lots}")
    if fills[0].last_ticks > order.price_ticks:
        fail(f"bought at {fills[0].last_ticks} ticks with a limit of {order.price_ticks}")
    check_life(floor)


@case(
    "market.part_fill",
    "Part fills are reported one by one, each with a trade of its own.",
    wanted="FILL of 3 lots that leaves 7, then of 7 that leaves 0, under two trade ids",
    way_out="report each trade once, with what is left after it",
    kinds=VENUE,
    verbs=("part_fill", "fill"),
)
def _part_fill(kit: Kit) -> None:
    floor = Floor.open(kit)
    order = floor.rest()
    floor.do("part_fill", order, lots=3)
    first = floor.await_report(order.order_id, ReportKind.FILL)
    if first is None or first.last_lots != 3 or first.leaves_lots != order.qty_lots - 3:
        fail(f"{first!r}")
    floor.do("fill", order, lots=order.qty_lots - 3)
    floor.rig.await_said(lambda: len([r for r in floor.reports(order.order_id) if r.kind == ReportKind.FILL]) > 1)
    fills = [each for each in floor.reports(order.order_id) if each.kind == ReportKind.FILL]
    if [each.leaves_lots for each in fills] != [order.qty_lots - 3, 0]:
        fail(f"leaves {[each.leaves_lots for each in fills]}")
    if fills[0].trade_id == fills[1].trade_id:
        fail(f"trade {fills[0].trade_id} twice")


@case(
    "market.part_fill_cancel",
    "What is left of a partly filled order can be cancelled.",
    wanted="FILL, then CANCELLED",
    way_out="cancel by the order's id, whatever is filled of it",
    kinds=VENUE,
    verbs=("part_fill",),
)
def _part_fill_cancel(kit: Kit) -> None:
    floor = Floor.open(kit)
    order = floor.rest()
    floor.do("part_fill", order, lots=3)
    floor.await_report(order.order_id, ReportKind.FILL)
    floor.cancel(order)
    floor.await_report(order.order_id, ReportKind.CANCELLED)
    met = [name_of(each) for each in floor.reports(order.order_id)]
    if met[-2:] != ["FILL", "CANCELLED"]:
        fail(f"{met}")
    check_life(floor)


@case(
    "market.reject",
    "What the market refuses is reported with a reason.",
    wanted="REJECTED with a Reason",
    way_out="translate the market's codes into Reason; the nearest will do, NONE will not",
    kinds=VENUE,
    verbs=("reject",),
)
def _reject(kit: Kit) -> None:
    from penstock_sdk.conform.floor import _fields, _terms

    floor = Floor.open(kit)
    order = floor.order()
    terms = _terms(floor.do("reject", order).get("order", {}))
    order = type(order)(**{**_fields(order), **terms})
    floor.send(order)
    told = floor.await_report(order.order_id, *ENDINGS, ReportKind.FILL)
    if told is None or told.kind != ReportKind.REJECTED or told.reason == Reason.NONE:
        fail(f"{name_of(told) if told else 'nothing'}, reason {told.reason if told else 0}")


@case(
    "market.cancelled_unasked",
    "What the market cancels by itself is reported.",
    wanted="CANCELLED with a Reason",
    way_out="report every end of an order, with UNSOLICITED where nobody asked for it",
    kinds=VENUE,
    verbs=("cancel",),
)
def _unasked(kit: Kit) -> None:
    floor = Floor.open(kit)
    order = floor.rest()
    floor.do("cancel", order)
    told = floor.await_report(order.order_id, *ENDINGS)
    if told is None or told.reason == Reason.NONE:
        fail(f"{name_of(told) if told else 'nothing'}, reason {told.reason if told else 0}")


@case(
    "market.once",
    "Each order reaches the market exactly once.",
    wanted="`sent` of 1 for an order that was told twice",
    way_out="keep the ids that you have sent, and send none again",
    kinds=VENUE,
    verbs=("orders",),
)
def _once(kit: Kit) -> None:
    floor = Floor.open(kit)
    order = floor.rest()
    floor.send(order, wait=False)
    floor.let_pass(5)
    held = floor.held().get(order.order_id, {})
    if held.get("sent") != 1:
        fail(f"sent {held.get('sent', 0)} times")


_AS_SENT = ("side", "price_ticks", "qty_lots", "listing")


@case(
    "market.as_sent",
    "An order reaches the market as it was sent.",
    wanted="side, price, quantity and listing of a buy and of a sell as in the Order",
    way_out="compare the message that you make with the Order, field by field",
    kinds=VENUE,
    verbs=("orders",),
)
def _as_sent(kit: Kit) -> None:
    floor = Floor.open(kit)
    for side, price_ticks in (("buy", floor.listing.price_min_ticks), ("sell", floor.listing.price_max_ticks)):
        if kit.driver is not None and "accept" in kit.driver.verbs:
            order = floor.order(side=int(Side.BUY if side == "buy" else Side.SELL))  # at a price that the driver chose
        else:
            order = floor.order(side=int(Side.BUY if side == "buy" else Side.SELL), price_ticks=price_ticks)
        reports = floor.send(order)
        if not reports or reports[0].kind not in (ReportKind.ACCEPTED, ReportKind.FILL):
            fail(f"{name_of(reports[0]) if reports else 'nothing'} on a {side} at {order.price_ticks} ticks")
        held = floor.held().get(order.order_id)
        if held is None:
            fail(f"the market does not know the {side}, order {order.order_id}")
        lacking = [name for name in _AS_SENT if name not in held]
        if lacking:
            skip(f"the driver's answer to orders has no {', '.join(lacking)}", missing=True)
        wanted = (side, order.price_ticks, order.qty_lots, floor.listing.name)
        met = tuple(held[name] for name in _AS_SENT)
        if met != wanted:
            at = next(i for i, pair in enumerate(zip(met, wanted, strict=True)) if pair[0] != pair[1])
            fail(f"{_AS_SENT[at]} {met[at]!r} at the market of a {side} with {wanted[at]!r}")


@case(
    "market.after_written",
    "An order leaves only after it is written.",
    wanted="nothing at the market before written_seq has reached the Order, and the order there afterwards",
    way_out="send from an effect (ctx.effect, AfterWritten, afterWritten), not from the handler",
    kinds=VENUE,
    verbs=("orders",),
)
def _after_written(kit: Kit) -> None:
    floor = Floor.open(kit)
    rig, order = floor.rig, floor.order()
    floor.sent[order.order_id] = order
    rig.hold_back()
    rig.step(order)
    rig.settle(Lane.ORDERS)
    floor.settle()
    if order.order_id in floor.held():
        fail(f"order {order.order_id} is at the market, and not written")
    rig.write()
    until = time.monotonic() + kit.patience.answer_s
    while order.order_id not in floor.held():
        floor.let_pass(1)
        if time.monotonic() > until:
            fail("it never came to the market, although it was written then")


@case(
    "market.hearing",
    "What is only heard does not reach the market.",
    wanted="no order at the market",
    way_out="let no effect happen while `hearing` is set",
    kinds=VENUE,
    verbs=("orders",),
)
def _hearing(kit: Kit) -> None:
    floor = Floor.open(kit)
    rig, order = floor.rig, floor.order()
    if not rig.simulated:
        skip("it runs in real time, where the past is heard before the start")
    rig.step(order, hearing=True)
    rig.step()
    if order.order_id in floor.held():
        fail(f"order {order.order_id} is at the market")


@case(
    "market.silence",
    "While the market is silent it makes nothing up, and afterwards it tells what came of an order.",
    wanted="no ACCEPTED in the silence, and one after it",
    way_out="report what the market says, not what you sent",
    kinds=VENUE,
    verbs=("silence", "resume"),
)
def _silence(kit: Kit) -> None:
    floor = Floor.open(kit)
    floor.do("silence")
    order = floor.order()
    floor.send(order, wait=False)
    floor.let_pass(1)
    if floor.reports(order.order_id):
        fail(f"{name_of(floor.reports(order.order_id)[0])} while the market was silent")
    floor.do("resume")
    if floor.await_report(order.order_id, ReportKind.ACCEPTED, ReportKind.FILL, ReportKind.REJECTED) is None:
        fail("nothing after the silence")


@case(
    "market.drop",
    "After the connection broke it tells what became of what rested, each thing once, and takes orders again.",
    wanted="CANCELLED where the market cancels on disconnect, else the order as it was; each fill told once, each order"
    " sent once; then a new order taken",
    way_out="connect again, ask the market where your orders stand, and report what has changed since your last report",
    kinds=VENUE,
    verbs=("drop", "resume"),
)
def _drop(kit: Kit) -> None:
    floor = Floor.open(kit)
    order = floor.rest()
    assert kit.driver is not None
    filled = 3 if "part_fill" in kit.driver.verbs else 0
    if filled:
        floor.do("part_fill", order, lots=filled)
        if floor.await_report(order.order_id, ReportKind.FILL) is None:
            fail("no fill")
    cancels = bool(floor.do("drop").get("cancels"))
    floor.do("resume")
    if cancels and floor.await_report(order.order_id, *ENDINGS) is None:
        fail("the market has cancelled the order, nothing was reported")
    _takes_again(floor)
    floor.settle()
    offer = kit.manifest.venue if kit.manifest is not None else None
    emulated = offer is not None and offer.cancel_on_disconnect == "emulated"
    if not cancels and not emulated and any(each.kind in ENDINGS for each in floor.reports(order.order_id)):
        fail(f"{name_of(floor.reports(order.order_id)[-1])} although the order rests")
    fills = [each for each in floor.reports(order.order_id) if each.kind == ReportKind.FILL]
    if sum(each.last_lots for each in fills) != filled or len({each.trade_id for each in fills}) != len(fills):
        fail(f"fills {[(each.trade_id, each.last_lots) for each in fills]} (trade, lots), {filled} lots were dealt")
    check_life(floor)
    if "orders" in kit.driver.verbs:
        for number, held in floor.held().items():
            if number in floor.sent and held.get("sent") != 1:
                fail(f"order {number} sent {held.get('sent', 0)} times")


def _takes_again(floor: Floor) -> None:
    """Fail where no order is taken any more."""
    for _ in range(20):
        reports = floor.send(floor.order())
        if reports and reports[-1].kind != ReportKind.REJECTED:
            return
        floor.let_pass(1)
    fail("it takes no orders any more")


@case(
    "market.throttle",
    "Beyond the market's throttle orders are queued or rejected with a reason; none is lost.",
    wanted="a report on each of 20 orders at 5 a second",
    way_out="queue up to a bound, and reject with VENUE_CAPACITY or MESSAGE_RATE what goes beyond it",
    kinds=VENUE,
    verbs=("throttle", "resume"),
)
def _throttle(kit: Kit) -> None:
    floor = Floor.open(kit)
    floor.do("throttle", per_s=5)
    orders = [floor.order() for _ in range(20)]
    floor.sent.update({each.order_id: each for each in orders})
    floor.rig.step(*orders)
    numbers = {each.order_id for each in orders}
    floor.rig.await_said(lambda: numbers <= {each.order_id for each in floor.rig.of(ExecutionReport)})
    floor.do("resume")
    floor.rig.await_said(lambda: numbers <= {each.order_id for each in floor.rig.of(ExecutionReport)})
    lost = numbers - {each.order_id for each in floor.rig.of(ExecutionReport)}
    if lost:
        fail(f"nothing of {len(lost)} of 20 orders")
    for each in floor.rig.of(ExecutionReport):
        if each.kind == ReportKind.REJECTED and each.reason == Reason.NONE:
            fail("REJECTED without a reason")


@case(
    "market.foreign",
    "Orders in our account that it never sent are not reported as ours.",
    wanted="no report on them",
    way_out="report only on orders in your table",
    kinds=VENUE,
    verbs=("foreign_order",),
)
def _foreign(kit: Kit) -> None:
    floor = Floor.open(kit)
    floor.rest()
    number = int(floor.do("foreign_order").get("order_id", 0))
    before = len(floor.rig.of(ExecutionReport))
    floor.let_pass(20)
    for each in floor.rig.of(ExecutionReport)[before:]:
        if each.order_id == number or (not number and each.order_id not in floor.sent):
            fail(f"{name_of(each)} on order {each.order_id}")


# -- after a crash -----------------------------------------------------------------------------------------------------


def _outside(kit: Kit) -> Floor:
    floor = Floor.open(kit)
    assert floor.rig.described is not None
    if floor.rig.described.embedded:
        skip("the market is in the plugin and ends with it; the kernel restores it")
    return floor


@case(
    "reconcile.confirmed",
    "Asked about an order that rests as we believe, it says so.",
    wanted="Reconciled with the question's epoch, confirmed 1 and corrected 0",
    way_out="ask the market for its open orders, compare, and answer with Reconciled",
    kinds=VENUE,
    capability="reconcile",
)
def _confirmed(kit: Kit) -> None:
    floor = Floor.open(kit)
    order = floor.rest()
    answer = floor.reconcile([(order.order_id, 0)])
    if (answer.confirmed, answer.corrected) != (1, 0):
        fail(f"confirmed {answer.confirmed}, corrected {answer.corrected}")
    if answer.venue_id != floor.rig.instance["plugin_id"]:
        fail(f"venue {answer.venue_id}")


@case(
    "reconcile.nothing",
    "Asked with nothing open it answers as well.",
    wanted="Reconciled with the question's epoch, confirmed 0",
    way_out="answer every Reconcile, also one without orders",
    kinds=VENUE,
    capability="reconcile",
)
def _nothing(kit: Kit) -> None:
    answer = Floor.open(kit).reconcile([], epoch=9)
    if answer.confirmed or answer.corrected:
        fail(f"confirmed {answer.confirmed}, corrected {answer.corrected}")


@case(
    "reconcile.gone",
    "An order that the market does not have is ended by a report before Reconciled.",
    wanted="an ending report, then Reconciled with corrected 1",
    way_out="report CANCELLED or REJECTED of what the market does not know, then answer",
    kinds=VENUE,
    capability="reconcile",
)
def _gone(kit: Kit) -> None:
    floor = Floor.open(kit)
    order = floor.order()
    answer = floor.reconcile([(order.order_id, 0)])
    told = [each.record for each in floor.rig.said if isinstance(each.record, (ExecutionReport, Reconciled))]
    ended = [i for i, each in enumerate(told) if isinstance(each, ExecutionReport) and each.order_id == order.order_id]
    if not ended or getattr(told[ended[0]], "kind", 0) not in ENDINGS:
        fail("no ending report on an order that the market does not have")
    if ended[0] > told.index(answer) or answer.corrected != 1:
        fail(f"corrected {answer.corrected}, the report {'after' if ended[0] > told.index(answer) else 'before'} it")


@case(
    "reconcile.killed",
    "Killed in mid-order and started again, it finds the order at the market and does not send it again.",
    wanted="Reconciled with confirmed 1 after kill -9 and a new start; where the market has cancelled it meanwhile, "
    "an ending report and corrected 1",
    way_out="ask the market by the order's id; keep nothing that is needed for it in memory alone",
    kinds=VENUE,
    capability="reconcile",
)
def _killed(kit: Kit) -> None:
    floor = _outside(kit)
    order = floor.rest()
    floor = floor.again()
    answer = floor.reconcile([(order.order_id, 0)], epoch=11)
    held = floor.held().get(order.order_id, {}) if kit.driver is not None and "orders" in kit.driver.verbs else None
    if held is not None and held.get("sent") != 1:
        fail(f"sent {held.get('sent', 0)} times")
    if held is not None and not held["leaves_lots"]:  # the market cancels when a connection breaks
        if answer.corrected != 1 or not any(each.kind in ENDINGS for each in floor.reports(order.order_id)):
            fail(f"corrected {answer.corrected}, no ending report of an order that the market has cancelled")
    elif answer.confirmed != 1:
        fail(f"confirmed {answer.confirmed}, corrected {answer.corrected}")


def _cancelled_for_the_break(kit: Kit, floor: Floor, order_id: int) -> bool:
    """Return whether the market has cancelled an order of a plugin that is gone, as its manifest states."""
    offer = kit.manifest.venue if kit.manifest is not None else None
    native = offer is not None and offer.cancel_on_disconnect == "native"
    if not native or kit.driver is None or "orders" not in kit.driver.verbs:
        return False
    until = time.monotonic() + kit.patience.quiet_s
    while floor.held().get(order_id, {}).get("leaves_lots") and time.monotonic() < until:
        time.sleep(0.01)  # the market has to notice
    return not floor.held().get(order_id, {}).get("leaves_lots")


@case(
    "reconcile.filled_meanwhile",
    "What was filled while it was dead is reported before Reconciled.",
    wanted="FILL of 3 lots, then Reconciled",
    way_out="compare filled_lots of the question with the market's, and report the difference",
    kinds=VENUE,
    capability="reconcile",
    verbs=("part_fill",),
)
def _filled_meanwhile(kit: Kit) -> None:
    floor = _outside(kit)
    order = floor.rest()
    kill = getattr(floor.rig.peer, "kill", floor.rig.peer.close)
    kill()
    assert kit.driver is not None
    if _cancelled_for_the_break(kit, floor, order.order_id):
        skip("the market cancels when the connection breaks, so nothing is filled meanwhile")
    kit.driver.do(
        "part_fill", order_id=order.order_id, listing=floor.listing.name, lots=3, side="buy",
        price_ticks=order.price_ticks, qty_lots=order.qty_lots,
    )  # fmt: skip
    floor = floor.again()
    floor.reconcile([(order.order_id, 0)], epoch=12)
    fills = [each for each in floor.reports(order.order_id) if each.kind == ReportKind.FILL]
    if sum(each.last_lots for each in fills) != 3:
        fail(f"fills of {[each.last_lots for each in fills]} lots, 3 were dealt")


@case(
    "reconcile.foreign",
    "Orders in our name that nobody here sent are cancelled and counted.",
    wanted="Reconciled with foreign 1 or more, and the order gone from the market",
    way_out="cancel what the market holds for us and the question does not name",
    kinds=VENUE,
    capability="reconcile",
    verbs=("foreign_order", "orders"),
)
def _foreign_cancelled(kit: Kit) -> None:
    floor = _outside(kit)
    number = int(floor.do("foreign_order").get("order_id", 0))
    answer = floor.reconcile([], epoch=13)
    if answer.foreign < 1:
        fail(f"foreign {answer.foreign}")
    floor.rig.await_said(lambda: not floor.held().get(number, {}).get("leaves_lots"), 10_000_000_000)
    if floor.held().get(number, {}).get("leaves_lots"):
        fail("the order still rests at the market")
