"""Small plugins that conform, one per kind, for the kit's own tests: each faulty one breaks one thing of these."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from penstock_sdk.events import (
    CalendarDefinition,
    CheckVerdict,
    ContractDefinition,
    ExecutionReport,
    Forecast,
    IdKind,
    IntentAction,
    LevelFlag,
    Liquidity,
    ListingDefinition,
    Observation,
    Order,
    OrderKind,
    OrderState,
    Position,
    Quote,
    Reason,
    Reconcile,
    Reconciled,
    ReportKind,
    SessionState,
    SessionStatus,
    Side,
    Signal,
    Timer,
    ZoneDefinition,
)
from penstock_sdk.manifest import ManifestSource, parse_manifest
from penstock_sdk.plugin import Feed, Model, Outcome, Portfolio, RefData, RiskCheck, Strategy, Venue
from penstock_sdk.schema import ABSENT, Event, Frame

__all__ = [
    "GOOD_MANIFEST", "GoodCheck", "GoodFeed", "GoodModel", "GoodPoller", "GoodPortfolio", "GoodRefData", "GoodTrader",
    "GoodVenue", "Market", "MarketDriver",
]  # fmt: skip

SECOND_NS = 1_000_000_000


class TraderConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much, and how it is called."""

    qty_lots: int = 2
    signal: str = "kit.signal"


class GoodTrader(Strategy):
    """Bids in each open listing; takes offers that are far down; cancels what has rested for two minutes."""

    Config = TraderConfig
    config: TraderConfig

    def on_start(self) -> Outcome:
        self.ctx.intern(IdKind.SIGNAL, self.config.signal)
        self.ctx.state.update(live={}, closed=[], quiet_ns=0, timer=0)
        return self._wake()

    def on_resume(self) -> Outcome:
        return self._wake()

    def _wake(self) -> None:
        if not self.ctx.state.get("timer"):
            self.ctx.state["timer"] = self.ctx.set_timer(self.ctx.now_ns + 120 * SECOND_NS, 1)

    def on_timer(self, timer: Timer) -> Outcome:
        live, self.ctx.state["live"], self.ctx.state["timer"] = self.ctx.state["live"], {}, 0
        self._wake()
        return [self.cancel(int(order_id), listing_id) for listing_id, order_id in live.items() if order_id]

    def on_session_state(self, session: SessionState) -> None:
        closed = self.ctx.state["closed"]
        if session.status != SessionStatus.OPEN and session.listing_id not in closed:
            closed.append(session.listing_id)

    def on_quote(self, quote: Quote) -> Outcome:
        state, listing = self.ctx.state, self.ctx.listing(quote.listing_id)
        if listing is None or self.ctx.now_ns < state["quiet_ns"] or self.ctx.now_ns >= listing.gate_closure_ns:
            return None
        if quote.listing_id in state["closed"] or quote.bid_ticks == ABSENT or quote.ask_ticks == ABSENT:
            return None
        in_bounds = listing.price_min_ticks <= quote.bid_ticks < quote.ask_ticks <= listing.price_max_ticks
        if not in_bounds or quote.tradability != 1:
            return None
        if quote.ask_ticks < 4_000:
            return self.buy(quote.listing_id, quote.ask_ticks, self.config.qty_lots, kind=OrderKind.IOC)
        if str(quote.listing_id) in state["live"]:
            return None
        state["live"][str(quote.listing_id)] = 0
        return self.buy(quote.listing_id, quote.bid_ticks, self.config.qty_lots)

    def on_order(self, order: Order) -> None:
        if order.state == OrderState.REFUSED:
            self.ctx.state["quiet_ns"] = self.ctx.now_ns + 300 * SECOND_NS
            self.ctx.state["live"].pop(str(order.listing_id), None)

    def on_execution_report(self, report: ExecutionReport) -> None:
        if report.kind == ReportKind.ACCEPTED:
            self.ctx.state["live"][str(report.listing_id)] = report.order_id


class GoodCheck(RiskCheck):
    """Refuses what is large, far off, unknown, or makes no sense."""

    def on_quote(self, quote: Quote) -> None:
        self.ctx.state[str(quote.listing_id)] = quote.bid_ticks

    def check_order(self, order: Order) -> CheckVerdict:
        if self.ctx.listing(order.listing_id) is None:
            return self.refused(order, Reason.UNKNOWN_LISTING)
        if order.side not in (1, 2) or not 1 <= order.kind <= 4 or order.qty_lots < 1:
            return self.refused(order, Reason.MALFORMED)
        if order.qty_lots > 1_000:
            return self.refused(order, Reason.QTY_MAX, order.qty_lots, 1_000)
        return self.passed(order)


class GoodFeed(Feed):
    """Six hundred observations, one a minute."""

    def on_start(self) -> None:
        self._ids()

    def _ids(self) -> tuple[int, int]:
        return self.ctx.intern(IdKind.SERIES, "feed.series"), self.ctx.intern(IdKind.UNIT, "EUR/MWh")

    def events(self) -> Iterator[tuple[int, Event]]:
        series_id, unit_id = self._ids()
        for at in range(600):
            at_ns = 1_773_000_000_000_000_000 + at * 60 * SECOND_NS
            yield at_ns, Observation(series_id, unit_id, valid_from_ns=at_ns, known_at_ns=at_ns, value=at * 0.5)


class GoodModel(Model):
    """Three quantiles and a signal for each observation."""

    def on_observation(self, seen: Observation) -> Outcome:
        if not abs(seen.value) < 1e9:
            return None
        when = {"valid_from_ns": self.ctx.now_ns, "valid_to_ns": self.ctx.now_ns + 1, "data_cut_ns": seen.known_at_ns}
        rows = ((1_000, LevelFlag.FIRST, -5.0), (5_000, LevelFlag.NONE, 0.0), (9_000, LevelFlag.LAST, 5.0))
        out: list[Event] = [
            Frame.of(
                [
                    Forecast(seen.series_id, seen.unit_id, bp, 1, 1, at, value=seen.value + d, **when)
                    for bp, at, d in rows
                ]
            )
        ]
        out += [Signal(each.listing_id, 1, 1.0, 0.5) for each in self.ctx.listings()]
        return out


class GoodPortfolio(Portfolio):
    """Bought less sold, after each fill."""

    def on_execution_report(self, report: ExecutionReport) -> Outcome:
        if report.kind != ReportKind.FILL:
            return None
        held = self.ctx.state.setdefault(f"{report.listing_id} {report.strategy_id}", [0, 0])
        held[report.side - 1] += report.last_lots
        return Position(
            report.listing_id, report.strategy_id, net_lots=held[0] - held[1], bought_lots=held[0], sold_lots=held[1]
        )


class GoodRefData(RefData):
    """A zone, an hour of it, and a calendar, at every start."""

    def on_start(self) -> Outcome:
        intern = self.ctx.intern
        zone_id, currency_id = intern(IdKind.ZONE, "AT"), intern(IdKind.CURRENCY, "EUR")
        begins_ns = 1_773_140_400_000_000_000
        return [
            ZoneDefinition(zone_id=zone_id, code="AT", timezone="Europe/Vienna", currency="EUR"),
            ContractDefinition(
                contract_id=intern(IdKind.CONTRACT, "AT H12"), name="AT H12", zone_id=zone_id, product="H",
                delivery_start_ns=begins_ns, delivery_end_ns=begins_ns + 3_600 * SECOND_NS, currency_id=currency_id,
            ),
            CalendarDefinition(
                name="GOOD", source="test", first="2026-01-01", last="2026-12-31", closed=["2026-12-25"]
            ),
        ]  # fmt: skip

    on_resume = on_start


class Market:
    """A market outside of any plugin: it lives on when the adapter ends."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.reset()

    def reset(self) -> None:
        self.orders: dict[int, dict[str, Any]] = {}
        self.out: list[tuple[int, ReportKind, Reason, int]] = []
        """(order, kind, reason, lots of a fill) that was not fetched yet."""
        self.rejects, self.silent, self.connected, self.foreign = 0, False, True, 0
        self.room = 10**9

    def new(self, order: Order) -> None:
        held = self.orders.get(order.order_id)
        if held is not None:
            held["sent"] += 1
            return
        held = {
            "order_id": order.order_id, "leaves_lots": order.qty_lots, "sent": 1, "ours": True,
            "side": "buy" if order.side == Side.BUY else "sell", "price_ticks": order.price_ticks,
            "qty_lots": order.qty_lots, "listing": self.names.get(order.listing_id, ""),
        }  # fmt: skip
        self.orders[order.order_id] = held
        self.room -= 1
        reason = Reason.VENUE_CAPACITY if self.rejects else Reason.MESSAGE_RATE if self.room < 0 else Reason.NONE
        self.rejects = max(self.rejects - 1, 0)
        if reason:
            held["leaves_lots"] = 0
        self.out.append((order.order_id, ReportKind.REJECTED if reason else ReportKind.ACCEPTED, reason, 0))
        if not reason and order.kind in (OrderKind.IOC, OrderKind.FOK):
            self.end(order.order_id, Reason.NO_LIQUIDITY)

    def end(self, order_id: int, reason: Reason) -> None:
        self.orders[order_id]["leaves_lots"] = 0
        self.out.append((order_id, ReportKind.CANCELLED, reason, 0))

    def cancel(self, order_id: int) -> bool:
        if not self.orders.get(order_id, {}).get("leaves_lots"):
            return False
        self.end(order_id, Reason.NONE)
        return True

    def fetch(self) -> list[tuple[int, ReportKind, Reason, int]]:
        if self.silent or not self.connected:
            return []
        out = []
        while self.out:  # one by one: a venue that is polled is in another thread than its driver
            out.append(self.out.pop(0))
        return out


MARKET = Market()


class MarketDriver:
    """Moves the market, in this process."""

    verbs = frozenset(
        [
            "reset",
            "reject",
            "part_fill",
            "fill",
            "cancel",
            "foreign_order",
            "drop",
            "silence",
            "resume",
            "throttle",
            "orders",
        ]
    )

    def __init__(self, market: Market = MARKET) -> None:
        self.market = market
        self.config: dict[str, Any] = {}

    def do(self, verb: str, **arguments: Any) -> dict[str, Any]:
        return {"ok": True, **(getattr(self, "_" + verb)(**arguments) or {})}

    def close(self) -> None:
        """Nothing is held."""

    def _reset(self, **_: Any) -> None:
        self.market.reset()

    def _reject(self, **_: Any) -> None:
        self.market.rejects = 1

    def _part_fill(self, order_id: int, lots: int, **_: Any) -> None:
        self.market.orders[order_id]["leaves_lots"] -= lots
        self.market.out.append((order_id, ReportKind.FILL, Reason.NONE, lots))

    def _fill(self, order_id: int, **_: Any) -> None:
        self._part_fill(order_id, self.market.orders[order_id]["leaves_lots"])

    def _cancel(self, order_id: int, **_: Any) -> None:
        self.market.end(order_id, Reason.UNSOLICITED)

    def _foreign_order(self, **_: Any) -> dict[str, Any]:
        self.market.foreign += 1
        number = 990_000 + self.market.foreign
        self.market.orders[number] = {"order_id": number, "leaves_lots": 5, "sent": 1, "ours": False}
        self.market.out.append((number, ReportKind.ACCEPTED, Reason.NONE, 0))
        return {"order_id": number}

    def _drop(self, **_: Any) -> dict[str, Any]:
        self.market.connected = False
        for order_id, held in self.market.orders.items():
            if held["leaves_lots"]:
                self.market.end(order_id, Reason.UNSOLICITED)
        return {"cancels": True}

    def _silence(self, **_: Any) -> None:
        self.market.silent = True

    def _resume(self, **_: Any) -> None:
        self.market.silent, self.market.connected, self.market.room = False, True, 10**9

    def _throttle(self, per_s: int, **_: Any) -> None:
        self.market.room = per_s

    def _orders(self, **_: Any) -> dict[str, Any]:
        return {"orders": list(self.market.orders.values())}


class GoodVenue(Venue):
    """An adapter to `MARKET`: sends once, looks for answers by timers, asks after a restart."""

    deterministic = False
    market = MARKET

    def on_start(self) -> Outcome:
        self.ctx.state.update(sent={}, ended=[], listings=[], trades=0)
        self._look(15)
        return None

    def on_resume(self) -> Outcome:
        self._look(15)
        return None

    def _look(self, in_s: int) -> None:
        self.ctx.set_timer(self.ctx.now_ns + in_s * SECOND_NS, in_s)

    def on_contract_definition(self, contract: ContractDefinition) -> Outcome:
        name = f"{self.ctx.name} {contract.name}"
        listing_id, begins_ns = self.ctx.intern(IdKind.LISTING, name), contract.delivery_start_ns
        self.market.names[listing_id] = name
        return ListingDefinition(
            listing_id=listing_id, contract_id=contract.contract_id, venue_id=self.ctx.plugin_id, name=name,
            tick_micro=10_000, lot_kw=100, price_min_ticks=-999_900, price_max_ticks=999_900,
            opens_ns=self.ctx.now_ns, gate_closure_ns=begins_ns - 300 * SECOND_NS, cash_micro_per_lot_tick=1_000,
            interval_start_ns=begins_ns, interval_ns=900 * SECOND_NS, interval_count=4,
        )  # fmt: skip

    def on_listing_definition(self, listing: ListingDefinition) -> Outcome:
        return Quote(listing.listing_id, 1, 0, 0, 100, 1, 200, 1) if listing.venue_id == self.ctx.plugin_id else None

    def report(self, order: Order, kind: ReportKind, reason: Reason = Reason.NONE) -> ExecutionReport:
        return ExecutionReport(order.order_id, order.listing_id, int(kind), order.side, reason=int(reason))

    def refusal(self, order: Order) -> Reason:
        listing = self.ctx.listing(order.listing_id)
        if listing is None or listing.venue_id != self.ctx.plugin_id:
            return Reason.UNKNOWN_LISTING
        if self.ctx.now_ns >= listing.gate_closure_ns:
            return Reason.GATE_CLOSED
        if order.kind not in (OrderKind.LIMIT, OrderKind.IOC, OrderKind.FOK):
            return Reason.NOT_OFFERED
        if order.qty_lots < 1:
            return Reason.MALFORMED
        return Reason.NONE if abs(order.price_ticks) <= 999_900 else Reason.PRICE_BOUNDS

    def on_order(self, order: Order) -> Outcome:
        if order.action == IntentAction.CANCEL:
            return self.cancel_order(order)
        if order.action != IntentAction.NEW:
            return self.report(order, ReportKind.CANCEL_REJECTED, Reason.NOT_ALLOWED)
        if order.state == OrderState.IN_DOUBT:
            return None
        reason = self.refusal(order)
        if reason:
            return self.report(order, ReportKind.REJECTED, reason)
        return self.take(order)

    def take(self, order: Order) -> Outcome:
        sent = self.ctx.state["sent"]
        if str(order.order_id) in sent:
            return None
        sent[str(order.order_id)] = [order.listing_id, order.side, order.qty_lots]
        self.ctx.effect(self.market.new, order)
        self._look(1)
        return None

    def cancel_order(self, order: Order) -> Outcome:
        if str(order.order_id) not in self.ctx.state["sent"] or order.order_id in self.ctx.state["ended"]:
            return self.report(order, ReportKind.CANCEL_REJECTED, Reason.UNKNOWN_ORDER)
        self.ctx.effect(self.market.cancel, order.order_id)
        self._look(1)
        return None

    def on_timer(self, timer: Timer) -> Outcome:
        if timer.tag == 15:
            self._look(15)
        out = [report for each in self.market.fetch() if (report := self.told(*each)) is not None]
        return out or None

    def told(self, order_id: int, kind: ReportKind, reason: Reason, lots: int) -> ExecutionReport | None:
        known = self.ctx.state["sent"].get(str(order_id))
        if known is None:
            return None
        if kind in (ReportKind.CANCELLED, ReportKind.REJECTED):
            self.ctx.state["ended"].append(order_id)
            return ExecutionReport(order_id, known[0], int(kind), known[1], reason=int(reason))
        if kind == ReportKind.ACCEPTED:
            return ExecutionReport(order_id, known[0], int(kind), known[1], leaves_lots=known[2])
        known[2] -= lots
        self.ctx.state["trades"] += 1
        if not known[2]:
            self.ctx.state["ended"].append(order_id)
        return ExecutionReport(
            order_id, known[0], int(kind), known[1], int(Liquidity.MAKER), 0, -999_900, lots, known[2],
            self.ctx.state["trades"],
        )  # fmt: skip

    def on_reconcile(self, question: Reconcile) -> Outcome:
        out: list[Event] = []
        confirmed = corrected = foreign = 0
        named = {order_id for order_id, _ in question.orders}
        waiting = self.market.fetch()
        for order_id, _ in question.orders:
            held = self.market.orders.get(order_id)
            self.ctx.state["sent"].setdefault(str(order_id), [0, int(Side.BUY), held["leaves_lots"] if held else 0])
            if held is None:
                out.append(ExecutionReport(order_id, 0, int(ReportKind.CANCELLED), 0, reason=int(Reason.UNSOLICITED)))
                corrected += 1
                continue
            told = [each for each in waiting if each[0] == order_id]
            for each in told:
                if each[1] == ReportKind.FILL:
                    self.ctx.state["sent"][str(order_id)][2] += each[3]
                report = self.told(*each)
                out += [report] if report is not None else []
            changed = any(each[1] != ReportKind.ACCEPTED for each in told)
            confirmed += not changed
            corrected += changed
        for order_id, held in self.market.orders.items():
            if order_id not in named and held["leaves_lots"]:
                held["leaves_lots"] = 0
                foreign += 1
        out.append(
            Reconciled(
                venue_id=self.ctx.plugin_id, epoch=question.epoch, confirmed=confirmed, corrected=corrected,
                foreign=foreign,
            )
        )  # fmt: skip
        return out


class GoodPoller(GoodVenue):
    """The same, in real time: what the market says is taken in by `poll`."""

    def _look(self, in_s: int) -> None:
        """Wait for nothing: poll comes by itself."""

    def on_contract_definition(self, contract: ContractDefinition) -> Outcome:
        listing = GoodVenue.on_contract_definition(self, contract)
        assert isinstance(listing, ListingDefinition)
        hour_ns = 3_600 * SECOND_NS
        begins_ns = (time.time_ns() // hour_ns + 24) * hour_ns
        return msgspec.structs.replace(
            listing, opens_ns=begins_ns - 48 * hour_ns, gate_closure_ns=begins_ns - 300 * SECOND_NS,
            interval_start_ns=begins_ns,
        )  # fmt: skip

    def poll(self) -> Sequence[Event]:
        waiting = self.market.fetch()
        known = [each for each in waiting if str(each[0]) in self.ctx.state["sent"]]
        self.market.out += [each for each in waiting if each not in known]  # of earlier lives: until we are asked
        return [report for each in known if (report := self.told(*each)) is not None]


(GOOD_MANIFEST,) = parse_manifest(
    """
[[plugin]]
id = "good"
version = "1"
kind = "venue"
contract = "venue/1..1"
class = "sdk.tests.faulty.good:GoodVenue"
topics_in = ["order.order"]
topics_out = ["order.report"]

[plugin.venue]
order_kinds = ["limit", "ioc", "fok"]
real_money = false
cancel_on_disconnect = "native"
""",
    ManifestSource("plugin.toml", "."),
)
"""What `GoodVenue` at `MARKET` offers."""
