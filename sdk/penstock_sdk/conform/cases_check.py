"""Risk and compliance checks: a verdict for each order, in time, and never yes by mistake."""

from __future__ import annotations

import time
from typing import Any

from penstock_sdk.conform.cases import CHECKS, case, fail, skip
from penstock_sdk.conform.frames import records_frame
from penstock_sdk.conform.host import Answer, Rig
from penstock_sdk.conform.kit import Kit
from penstock_sdk.conform.world import OTHER_VENUE
from penstock_sdk.events import CheckResult, CheckVerdict, Order, OrderState, Quote, Reason, Side

__all__: list[str] = []

STRATEGY_ID = 12


def _order(rig: Rig, number: int = 1, **more: Any) -> Order:
    """Return a small order at the market's price."""
    listing_id = more.pop("listing_id", sorted(rig.world.listings)[0])
    known = {
        "side": int(Side.BUY), "kind": 1, "state": int(OrderState.PENDING_CHECK), "price_ticks": 5_000, "qty_lots": 1,
        "venue_id": OTHER_VENUE, "strategy_id": STRATEGY_ID, "book_id": 5, "account_id": 9, "intent_id": number,
    }  # fmt: skip
    return Order((1 << 32) + number, listing_id, 1, **{**known, **more})


def _ask(rig: Rig, *orders: Order) -> Answer:
    frames = b"".join(records_frame([order], rig._next_seq(), rig.now_ns) for order in orders)
    return rig.step_frames(frames, len(orders), check=True)


def _verdicts(answer: Answer) -> list[CheckVerdict]:
    return [each for each in answer.records if isinstance(each, CheckVerdict)]


def _ready(kit: Kit) -> Rig:
    rig = kit.started()
    kit.afternoon(rig, moments=2)
    return rig


def _asked(kit: Kit, count: int = 8) -> tuple[Rig, list[tuple[Order, Answer]]]:
    """Return orders, quiet and odd, and what became of each."""
    rig = _ready(kit)
    asked = []
    for number in range(1, count + 1):
        order = _order(rig, number, price_ticks=5_000 + 10 * number, qty_lots=10 ** (number % 7 * 2 or 1))
        asked.append((order, _ask(rig, order)))
        rig.now_ns += 1_000_000_000
    return rig, asked


@case(
    "check.verdict",
    "Each question has exactly one verdict, PASSED or REFUSED, or a fault.",
    wanted="one CheckVerdict or a fault in the answer to a batch with `check`",
    way_out="answer every batch with `check` with one CheckVerdict",
    kinds=CHECKS,
)
def _verdict(kit: Kit) -> None:
    _, asked = _asked(kit)
    for order, answer in asked:
        verdicts = _verdicts(answer)
        if len(verdicts) != 1 and not (not verdicts and answer.faults):
            fail(f"{len(verdicts)} verdicts on order {order.order_id}")
        if verdicts and verdicts[0].result not in (CheckResult.PASSED, CheckResult.REFUSED):
            fail(f"result {verdicts[0].result}")


@case(
    "check.order_id",
    "A verdict names the order that was asked about, and the check itself.",
    wanted="order_id of the order, check_id of the plugin",
    way_out="copy order_id, listing_id and strategy_id of the order; check_id is plugin_id of the Instance",
    kinds=CHECKS,
)
def _order_id(kit: Kit) -> None:
    rig, asked = _asked(kit)
    for order, answer in asked:
        for verdict in _verdicts(answer):
            if verdict.order_id != order.order_id or verdict.check_id != rig.instance["plugin_id"]:
                fail(f"order {verdict.order_id}, check {verdict.check_id}; asked about {order.order_id}")


@case(
    "check.reason",
    "A refusal has a reason, and an order that passes has none.",
    wanted="a Reason other than NONE with REFUSED",
    way_out="put the Reason that fits into every refusal",
    kinds=CHECKS,
)
def _reason(kit: Kit) -> None:
    rig, asked = _asked(kit)
    refused = [v for _, answer in asked for v in _verdicts(answer)]
    refused += _verdicts(_ask(rig, _order(rig, 90, listing_id=999_999)))
    refused = [v for v in refused if v.result == CheckResult.REFUSED]
    if not refused:
        skip("it refuses none of the kit's orders")
    if any(v.reason == Reason.NONE for v in refused):
        fail("REFUSED with reason NONE")


@case(
    "check.unknown_listing",
    "An order in a listing that nobody defined does not pass.",
    wanted="REFUSED, or a fault",
    way_out="refuse with UNKNOWN_LISTING what you cannot look up",
    kinds=CHECKS,
)
def _unknown_listing(kit: Kit) -> None:
    rig = _ready(kit)
    if any(v.result == CheckResult.PASSED for v in _verdicts(_ask(rig, _order(rig, listing_id=999_999)))):
        fail("PASSED")


@case(
    "check.no_order",
    "A question without an order, or with two, is a fault and passes nothing.",
    wanted="a fault, or the end of the stream; no verdict PASSED",
    way_out="look for exactly one Order in a batch with `check`",
    kinds=CHECKS,
)
def _no_order(kit: Kit) -> None:
    from penstock_sdk.process.peer import PeerError

    for count in (0, 2):
        rig = _ready(kit)
        try:
            answer = _ask(rig, *(_order(rig, number) for number in range(count)))
        except PeerError:
            continue
        if any(v.result == CheckResult.PASSED for v in _verdicts(answer)):
            fail(f"PASSED for {count} orders in one question")


@case(
    "check.cut_order",
    "An order that is cut short does not pass.",
    wanted="a fault, or the end of the stream; no verdict PASSED",
    way_out="compare the record's length with the schema's before you read it",
    kinds=CHECKS,
)
def _cut_order(kit: Kit) -> None:
    from penstock_sdk.conform.frames import raw_frame
    from penstock_sdk.process.peer import PeerError

    rig = _ready(kit)
    body = Order.layout.pack(_order(rig))[:-16]
    frame = raw_frame(Order.layout.id, body, stride=len(body), seq=rig._next_seq(), at_ns=rig.now_ns)
    try:
        answer = rig.step_frames(frame, 1, check=True)
    except PeerError:
        return
    if any(v.result == CheckResult.PASSED for v in _verdicts(answer)):
        fail("PASSED")


@case(
    "check.deadline",
    "A verdict comes within a tenth of a second.",
    wanted="each of 8 verdicts within 100 ms",
    way_out="decide from what you hold in memory; nothing slow belongs into check_order",
    kinds=CHECKS,
)
def _deadline(kit: Kit) -> None:
    rig = _ready(kit)
    _ask(rig, _order(rig, 1))
    took = []
    for number in range(2, 10):
        began = time.perf_counter()
        _ask(rig, _order(rig, number))
        took.append(time.perf_counter() - began)
    if sorted(took)[-2] > 0.1:
        fail(f"{sorted(took)[-2] * 1e3:.0f} ms")


@case(
    "check.odd_order",
    "An order of unknown side, kind or quantity ends neither the process nor the stream.",
    wanted="a verdict or a fault for each",
    way_out="refuse with MALFORMED what makes no sense",
    kinds=CHECKS,
)
def _odd(kit: Kit) -> None:
    rig = _ready(kit)
    odd: list[dict[str, Any]] = [
        {"side": 0}, {"side": 250}, {"kind": 250}, {"qty_lots": 0}, {"qty_lots": -5}, {"qty_lots": 2**63 - 1},
        {"price_ticks": -(2**63)}, {"price_ticks": 2**63 - 1},
    ]  # fmt: skip
    for number, fields in enumerate(odd, 100):
        answer = _ask(rig, _order(rig, number, **fields))
        if not _verdicts(answer) and not answer.faults:
            fail(f"no verdict on an order with {fields}")


@case(
    "check.between",
    "Market data between two questions is heard, and no verdict comes without a question.",
    wanted="verdicts in answers to `check` alone",
    way_out="say verdicts only when you are asked",
    kinds=CHECKS,
)
def _between(kit: Kit) -> None:
    rig = _ready(kit)
    kit.afternoon(rig, moments=8)
    if rig.of(CheckVerdict):
        fail(f"a verdict on order {rig.of(CheckVerdict)[0].order_id} that nobody asked for")
    rig.step(*(q for q in rig.world.moment(9, rig.now_ns) if isinstance(q, Quote)))
    answer = _ask(rig, _order(rig))
    if not _verdicts(answer) and not answer.faults:
        fail("no verdict after market data")
