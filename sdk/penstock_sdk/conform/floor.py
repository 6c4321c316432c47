"""A venue under test with its market open: orders are sent, reports are awaited, the driver moves the other side."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from penstock_sdk.conform.cases import fail, skip
from penstock_sdk.conform.host import Rig
from penstock_sdk.conform.kit import Kit
from penstock_sdk.conform.world import HOUR_NS, SECOND_NS
from penstock_sdk.events import (
    ConnectionState,
    ConnectionStatus,
    ExecutionReport,
    IntentAction,
    ListingDefinition,
    Order,
    OrderKind,
    OrderState,
    Reconcile,
    Reconciled,
    ReportKind,
    SessionStatus,
    Side,
)
from penstock_sdk.process.peer import PeerError

__all__ = ["ENDINGS", "NOTHING_LISTED", "STRATEGY_ID", "Floor"]

STRATEGY_ID, OTHER_STRATEGY_ID = 12, 13
NOTHING_LISTED = "no ListingDefinition of its own after the start"
ENDINGS = (ReportKind.CANCELLED, ReportKind.EXPIRED, ReportKind.REJECTED)
_KINDS = {"limit": 1, "ioc": 2, "fok": 3, "market": 4}
_LOTS = 10


class Floor:
    """A running venue whose market takes orders.

    Args:
        first: number of the first order.
        rig: one that was started already.
    """

    def __init__(self, kit: Kit, rig: Rig, *, first: int = 1) -> None:
        self.kit, self.rig = kit, rig
        self.next_number = first
        self.listing = self._tradable()
        self.sent: dict[int, Order] = {}

    @classmethod
    def open(cls, kit: Kit, *, first: int = 1, **options: Any) -> Floor:
        """Return a fresh venue, open."""
        rig = kit.configured(simulated=True, **options)
        assert rig.described is not None
        if "poll" in rig.described.capabilities and not rig.described.embedded:
            rig = kit.configured(simulated=False, **options)
        rig.start()
        rig.step(*rig.world.opening(rig.now_ns))
        return cls(kit, rig, first=first)

    def again(self) -> Floor:
        """Return the venue after its process was killed and started anew, as a later session of the same world."""
        old, kit = self.rig, self.kit
        kill = getattr(old.peer, "kill", None)
        with suppress(PeerError, OSError):
            if kill is not None:
                kill()
            else:
                old.close()
        rig = kit.configured(simulated=old.simulated, beside=True)
        rig.world, rig.now_ns, rig.seq = old.world, old.now_ns, old.seq
        rig.world.sessions.clear()
        rig.world.tells_later = True
        rig.start()
        rig.step(*rig.world.opening(rig.now_ns))
        floor = Floor(kit, rig, first=self.next_number)
        floor.sent = dict(self.sent)
        return floor

    def _tradable(self) -> ListingDefinition:
        rig = self.rig
        if not rig.await_said(lambda: bool(self._own()), 60 * SECOND_NS):
            fail(NOTHING_LISTED)
        if rig.of(ConnectionState):
            rig.await_said(lambda: rig.of(ConnectionState)[-1].status == ConnectionStatus.UP)
        found = self._open_now()
        if found is None and rig.simulated:
            coming = [each for each in self._own() if each.gate_closure_ns > rig.now_ns]
            if coming:
                opens_ns = max(min(each.opens_ns for each in coming), rig.now_ns)
                rig.advance(opens_ns + SECOND_NS)
                found = self._open_now()
        if found is None:
            rig.await_said(lambda: self._open_now() is not None, HOUR_NS)
            found = self._open_now()
        if found is None:
            skip("no listing of its own is open at the kit's time; give a config with --config that has one")
        return found

    def _own(self) -> list[ListingDefinition]:
        own = self.rig.instance["plugin_id"]
        return [each for each in self.rig.of(ListingDefinition) if each.venue_id == own]

    def _open_now(self) -> ListingDefinition | None:
        rig = self.rig
        live = [
            each
            for each in self._own()
            if each.opens_ns <= rig.now_ns < each.gate_closure_ns
            and rig.world.sessions.get(each.listing_id, SessionStatus.OPEN) == SessionStatus.OPEN
        ]
        tradable = [each for each in live if each.interval_count and not each.reference_only]
        return max(tradable or live, key=lambda each: each.gate_closure_ns, default=None)

    # -- orders ----------------------------------------------------------------------------------------------------

    def order(self, **more: Any) -> Order:
        """Return an order that rests: a bid at the lowest price, or what the driver says would rest."""
        number, self.next_number = self.next_number, self.next_number + 1
        fields = {
            "listing_id": self.listing.listing_id, "action": int(IntentAction.NEW), "side": int(Side.BUY),
            "kind": int(OrderKind.LIMIT), "state": int(OrderState.ROUTED),
            "price_ticks": self.listing.price_min_ticks, "qty_lots": _LOTS, "intent_id": number,
            "venue_id": self.rig.instance["plugin_id"], "strategy_id": STRATEGY_ID, "book_id": 5, "account_id": 9,
            "source_ns": self.rig.now_ns,
        }  # fmt: skip
        driver = self.kit.driver
        if driver is not None and "accept" in driver.verbs:
            side = "sell" if more.get("side") == Side.SELL else "buy"
            fields.update(_terms(driver.do("accept", listing=self.listing.name, side=side).get("order", {})))
        return Order(**{"order_id": (7 << 32) + number, **fields, **more})

    def send(self, order: Order, *, wait: bool = True) -> list[ExecutionReport]:
        """Send an order, await that something is said of it, and return that."""
        if order.action == IntentAction.NEW:
            self.sent[order.order_id] = order
        before = len(self.rig.of(ExecutionReport))
        self.rig.step(order)
        if wait:
            self.rig.await_said(lambda: bool(self.reports(order.order_id, before)))
        return self.reports(order.order_id, before)

    def rest(self, **more: Any) -> Order:
        """Return an order that was sent and rests; ends the case where it does not."""
        order = self.order(**more)
        reports = self.send(order)
        if not reports:
            fail("no report on a new order")
        if any(each.kind == ReportKind.FILL for each in reports):
            skip("its market fills orders at once, so none rests")
        if reports[0].kind != ReportKind.ACCEPTED:
            fail(f"{name_of(reports[0])} on an order at {order.price_ticks} ticks")
        return order

    def cancel(self, order: Order) -> list[ExecutionReport]:
        """Send the cancel of an order; return what is said of it then."""
        return self.send(
            Order(
                order.order_id, order.listing_id, int(IntentAction.CANCEL), order.side, order.kind,
                int(OrderState.PENDING_CANCEL), order.price_ticks, order.qty_lots, venue_id=order.venue_id,
                strategy_id=order.strategy_id, book_id=order.book_id,
            )
        )  # fmt: skip

    def reports(self, order_id: int, since: int = 0) -> list[ExecutionReport]:
        """Return the reports on one order, of those after the first *since* of all."""
        return [each for each in self.rig.of(ExecutionReport)[since:] if each.order_id == order_id]

    def await_report(self, order_id: int, *kinds: ReportKind) -> ExecutionReport | None:
        """Return the first report of these kinds on an order, however long it takes within patience."""

        def found() -> list[ExecutionReport]:
            return [each for each in self.reports(order_id) if each.kind in kinds]

        self.rig.await_said(lambda: bool(found()))
        return next(iter(found()), None)

    def let_pass(self, seconds: int) -> None:
        """Let so much simulated time pass, or a quiet moment of real time."""
        if self.rig.simulated:
            self.rig.await_said(lambda: False, seconds * SECOND_NS)
        else:
            self.rig.quiet()
            self.rig.await_said(lambda: True)

    def settle(self) -> None:
        """Let come what has not yet: simulated time by 20 s, or up to a second of real time."""
        if self.rig.simulated:
            self.let_pass(20)
        else:
            self.rig.quiet(max(self.kit.patience.quiet_s, min(self.kit.patience.answer_s / 10, 1.0)))

    # -- the other side --------------------------------------------------------------------------------------------

    def do(self, verb: str, order: Order | None = None, **arguments: Any) -> dict[str, Any]:
        """Have the driver do something; what it says is to be sent in another's name is sent."""
        driver = self.kit.driver
        assert driver is not None
        about: dict[str, Any] = {"listing": self.listing.name}
        if order is not None:
            about = {
                **about, "order_id": order.order_id, "side": "buy" if order.side == Side.BUY else "sell",
                "price_ticks": order.price_ticks, "qty_lots": order.qty_lots,
            }  # fmt: skip
        answer = driver.do(verb, **{**about, **arguments})
        for terms in answer.get("send", ()):
            base = self.order(strategy_id=OTHER_STRATEGY_ID)
            self.rig.step(type(base)(**{**_fields(base), **_terms(terms)}))
        return answer

    def held(self) -> dict[int, dict[str, Any]]:
        """Return what the market holds, by order id."""
        return {int(each["order_id"]): each for each in self.do("orders")["orders"]}

    def reconcile(self, orders: list[tuple[int, int]], epoch: int = 8) -> Reconciled:
        """Ask where orders stand; return the answer to this question."""
        rig = self.rig

        def answers() -> list[Reconciled]:
            return [each for each in rig.of(Reconciled) if each.epoch == epoch]

        rig.step(Reconcile(venue_id=rig.instance["plugin_id"], epoch=epoch, orders=orders))
        rig.await_said(lambda: bool(answers()))
        found = answers()
        if not found:
            fail(f"no Reconciled of epoch {epoch}")
        return found[0]


def _fields(order: Order) -> dict[str, Any]:
    return {name: getattr(order, name) for name in Order.__struct_fields__}


def _terms(terms: dict[str, Any]) -> dict[str, Any]:
    """Return fields of an Order from a driver's words."""
    out: dict[str, Any] = {key: int(terms[key]) for key in ("price_ticks", "qty_lots") if key in terms}
    if "side" in terms:
        out["side"] = int(Side.BUY if terms["side"] == "buy" else Side.SELL)
    if "kind" in terms:
        out["kind"] = _KINDS[terms["kind"]]
    return out


def name_of(report: ExecutionReport) -> str:
    """Return a report's kind for people."""
    try:
        return ReportKind(report.kind).name
    except ValueError:
        return f"report kind {report.kind}"
