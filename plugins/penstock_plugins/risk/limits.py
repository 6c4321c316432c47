"""Risk limits: the check that every order passes before it leaves, around the golden risk gate.

Each strategy has a gate of its own: `penstock_sdk.golden.risk_gate`, compiled. What binds it is the strictest of the
plugin's config, the `Limit` events for all strategies (strategy 0) and those for this one; a limit may name a listing.
An order counts as working in every delivery interval it touches from the moment it passes here until the venue, or a
check that is asked after this one, says that it has ended. A fill moves it to the net position.

A trade that Penstock did not send counts in the net position of the strategy that it names. One that names none is the
desk's own and counts in no strategy's limit. Listings that take no orders (`reference_only`) are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from penstock_plugins.risk.limits_words import explained, gate_rule
from penstock_sdk.compiled import compile_golden
from penstock_sdk.context import Context
from penstock_sdk.events import (
    AuctionResult,
    CheckVerdict,
    ExecutionReport,
    ExternalTrade,
    IntentAction,
    Limit,
    LimitKind,
    ListingDefinition,
    Order,
    OrderState,
    Quote,
    Reason,
    ReportKind,
    Severity,
)
from penstock_sdk.explained import Explained
from penstock_sdk.golden import risk_gate as golden
from penstock_sdk.golden.mids import keep_mid, keep_mids
from penstock_sdk.golden.risk_gate_explained import explain
from penstock_sdk.grid_room import GridRoom
from penstock_sdk.plugin import Outcome, RiskCheck
from penstock_sdk.schema import ABSENT, Frame
from penstock_sdk.slots import check_state, over_ns

__all__ = ["RiskLimits", "RiskLimitsConfig"]

_FILL, _NEW, _REFUSED = int(ReportKind.FILL), int(IntentAction.NEW), int(OrderState.REFUSED)
_ENDINGS = frozenset(map(int, (ReportKind.CANCELLED, ReportKind.EXPIRED, ReportKind.REJECTED)))
_NOTIONAL, _POSITION, _UNKNOWN = int(Reason.NOTIONAL), int(Reason.POSITION), int(Reason.UNKNOWN_LISTING)
_STATE_VERSION = 3
_MINUTE_NS = 60_000_000_000
_LINKS_PER_INTERVAL = 4
"""Listings that deliver in an interval, on average at most: a quarter-hour, its hour, and some more."""

Maximum = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
"""A limit; 0 stops all trading."""
Room = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
"""How many there is memory for, 128 bytes each and strategy."""


class RiskLimitsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What binds every strategy where no stricter limit is announced."""

    qty_max_lots: Maximum = 200
    """Of one order, in lots."""
    position_max_lots: Maximum = 1_000
    """Net position and working orders of one side in a delivery interval, in lots."""
    notional_max_micro: Maximum = 100_000_000_000
    """Of one order, price × energy, in 10⁻⁶ of the currency."""
    collar_ticks: Maximum = 20_000
    """How far a price may be from the last mid, in ticks."""
    orders_per_second_max: Maximum = 1_000
    """New orders of one strategy; as many at once, and one more each time their share of a second has passed."""
    reference_age_s_max: Annotated[float, msgspec.Meta(gt=0, le=10**6)] = 900.0
    """No orders where the last mid is older, in seconds."""
    reference_required: bool = True
    """Refuse where no mid has been seen; else the collar is not checked until there is one."""
    listings_max: Room = 512
    """Listings that the gates have room for, of those that are not delivered yet."""
    intervals_max: Room = 2_048
    """Delivery intervals that the gates have room for, of the same."""


class _Listing(NamedTuple):
    """What the gates need to know of a listing."""

    slots: list[int]
    """The gates' numbers of its delivery intervals."""
    minutes: int
    lot_kw: int
    floor_ticks: int
    cap_ticks: int
    cash_micro_per_lot_tick: int
    contract_id: int
    opens_ns: int
    gate_closure_ns: int


@cache
def _compiled() -> SimpleNamespace:
    """Return the compiled gate, every function called once so that no order waits for the compiler."""
    gate = compile_golden(golden)
    table, verdicts = golden.new_gate(1, 1, 1, 15), golden.new_verdicts(1)
    gate.check_order(table, 0, 1, 1, 1, 1, 1, verdicts)
    for function in (gate.reserve, gate.fill, gate.release):
        function(table, 0, 1, 1)
    gate.mark_reference(table, 0, 1, 1)
    return gate


class RiskLimits(RiskCheck):
    """Holds new orders against gate, switches, form, size, collar, bounds, notional, position, rate, age of price."""

    Config = RiskLimitsConfig
    config: RiskLimitsConfig

    def __init__(self, ctx: Context, config: RiskLimitsConfig | None = None) -> None:
        super().__init__(ctx, config)
        self._gates: dict[int, golden.Table] = {}
        """By strategy."""
        self._limits: dict[tuple[int, int, int], int] = {}
        """Announced limits by (kind, strategy, listing)."""
        self._listings: dict[int, _Listing] = {}
        cfg = self.config
        self._room = GridRoom(cfg.listings_max, cfg.intervals_max, _LINKS_PER_INTERVAL * cfg.intervals_max)
        """The gates' number of each listing, its slot, and of each delivery interval."""
        self._external: dict[int, set[tuple[int, int]]] = {}
        """(source, number) of the trades from outside that were counted, by listing: one told twice is one."""
        self._working: dict[int, tuple[golden.Table, int, int, int, int]] = {}
        """By order: gate, strategy, slot, side, lots that still work."""
        self._mid: npt.NDArray[np.int64] = np.full((2, cfg.listings_max + 1), ABSENT, np.int64)
        """(last mid in ticks or when it was seen, slot)."""
        self._auctions: dict[int, int] = {}
        """Clearing prices in ticks, by contract."""
        self._verdicts = golden.new_verdicts(1)
        compiled = _compiled()
        self._check: Callable[..., int] = compiled.check_order
        self._fill: Callable[..., int] = compiled.fill
        self._reserve: Callable[..., int] = compiled.reserve
        self._release: Callable[..., int] = compiled.release
        self._mark: Callable[..., int] = compiled.mark_reference

    # What binds.

    def on_start(self) -> Outcome:
        """Learn what is already listed."""
        alerts = [self.on_listing_definition(listing) for listing in self.ctx.listings()]
        return [alert for alert in alerts if alert is not None]  # type: ignore[misc]

    def on_resume(self) -> Outcome:
        """Learn what was listed meanwhile, forget what was delivered."""
        self._forget()
        return self.on_start()

    def on_listing_definition(self, listing: ListingDefinition) -> Outcome:
        """Let orders in a listing pass within the limits; where the gates are full, say so, and they stay refused.

        What has been delivered by now is forgotten, and makes room.
        """
        self._forget()
        if listing.reference_only or listing.listing_id in self._listings or over_ns(listing) <= self.ctx.now_ns:
            return None
        cfg, zone_id = self.config, self._zone_of(listing)
        intervals_used = self._room.used(listing, zone_id)
        slots = self._room.take(listing, zone_id)
        if slots is None:
            return self.ctx.alert(
                "risk.gate_full", Severity.ERROR,
                f"listing {listing.name}, number {listing.listing_id}, with {intervals_used} delivery intervals in all",
                f"at most {cfg.listings_max} listings and {cfg.intervals_max} delivery intervals",
                "its orders are refused; raise listings_max and intervals_max",
            )  # fmt: skip
        self._listings[listing.listing_id] = _Listing(
            slots, max(1, listing.interval_ns * listing.interval_count // _MINUTE_NS), listing.lot_kw,
            listing.price_min_ticks, listing.price_max_ticks, max(1, listing.cash_micro_per_lot_tick),
            listing.contract_id, listing.opens_ns, listing.gate_closure_ns,
        )  # fmt: skip
        for strategy_id, gate in self._gates.items():
            self._define(gate, strategy_id, listing.listing_id)
        if listing.contract_id in self._auctions:
            self._refer_to_auction(listing.listing_id)
        return None

    def _zone_of(self, listing: ListingDefinition) -> int:
        """Return where a listing delivers; 0 where its contract was not told."""
        contract = self.ctx.contract(listing.contract_id)
        return 0 if contract is None else contract.zone_id

    def _forget(self) -> None:
        """Let go of listings that have been delivered. Cost: one comparison while there is none."""
        over = self._room.over(self.ctx.now_ns)
        for listing_id, _, _ in over:
            slot = self._room.slots.slot_of[listing_id]
            # Nothing of it should work any more; what no venue ever ended must not stay behind in another's interval.
            for order_id in [order_id for order_id, held in self._working.items() if held[2] == slot]:
                gate, _, _, side, lots = self._working.pop(order_id)
                self._release(gate, slot, side, lots)
            del self._listings[listing_id]
            self._external.pop(listing_id, None)
            freed = self._room.drop(listing_id)
            for gate in self._gates.values():
                golden.drop_listing(gate, slot)
                golden.exposures(gate)[freed, : golden.INTERVAL_SHORT_MAX + 1] = golden.UNLIMITED
            self._mid[:, slot] = ABSENT
        if over:
            gone = {listing_id for listing_id, _, _ in over}
            self._limits = {key: value for key, value in self._limits.items() if key[2] not in gone}
            self._auctions = {
                contract_id: ticks
                for contract_id, ticks in self._auctions.items()
                if (contract := self.ctx.contract(contract_id)) is not None
                and contract.delivery_end_ns > self.ctx.now_ns
            }

    def on_limit(self, limit: Limit) -> Outcome:
        """Let a limit hold from now on, whatever it was before."""
        self._limits[(limit.kind, limit.strategy_id, limit.listing_id)] = limit.value
        for strategy_id in [limit.strategy_id] if limit.strategy_id else list(self._gates):
            if strategy_id in self._gates:
                self._bind(self._gates[strategy_id], strategy_id)
        return None

    def _gate(self, strategy_id: int) -> golden.Table:
        """Return a strategy's gate, a new one at its first order."""
        gate = self._gates.get(strategy_id)
        if gate is None:
            gate = self._gates[strategy_id] = self._new_gate(strategy_id)
        return gate

    def _new_gate(self, strategy_id: int) -> golden.Table:
        cfg = self.config
        # The order desk refuses intents that come twice, so few ids need to be remembered here.
        gate = golden.new_gate(cfg.listings_max + 1, cfg.intervals_max, _LINKS_PER_INTERVAL * cfg.intervals_max, 15)
        self._bind(gate, strategy_id)
        return gate

    def _strictest(self, kind: int, strategy_id: int, listing_id: int, default: int) -> int:
        keys = ((kind, s, i) for s in {0, strategy_id} for i in {0, listing_id})
        return max(0, min(default, *(self._limits.get(key, default) for key in keys)))

    def _bind(self, gate: golden.Table, strategy_id: int) -> None:
        """Put all limits of a strategy into its gate."""
        on = {
            k: any(self._limits.get((k, s, 0), 0) for s in (0, strategy_id)) for k in (LimitKind.KILL, LimitKind.PAUSE)
        }
        golden.set_switches(gate, kill=on[LimitKind.KILL], paused=on[LimitKind.PAUSE])
        default = self.config.orders_per_second_max
        rate = self._strictest(LimitKind.ORDERS_PER_SECOND_MAX, strategy_id, 0, default)
        golden.set_rate(gate, rate, max(1, 1_000_000_000 // max(rate, 1)))
        # An interval's limit is the strictest of the listings that deliver in it.
        golden.exposures(gate)[:, : golden.INTERVAL_SHORT_MAX + 1] = golden.UNLIMITED
        for listing_id in self._listings:
            self._define(gate, strategy_id, listing_id)

    def _define(self, gate: golden.Table, strategy_id: int, listing_id: int) -> None:
        """Put the limits of one listing into a strategy's gate."""
        cfg, listing = self.config, self._listings[listing_id]

        def strictest(kind: LimitKind, default: int) -> int:
            return self._strictest(kind, strategy_id, listing_id, default)

        notional_micro = strictest(LimitKind.NOTIONAL_MAX_MICRO, cfg.notional_max_micro)
        golden.define_listing(
            gate,
            self._room.slots.slot_of[listing_id],
            listing.slots,
            qty_max_lots=strictest(LimitKind.QTY_MAX_LOTS, cfg.qty_max_lots),
            collar_ticks=strictest(LimitKind.COLLAR_TICKS, cfg.collar_ticks),
            notional_max=notional_micro * listing.minutes // listing.cash_micro_per_lot_tick,
            ref_age_max_ns=round(cfg.reference_age_s_max * 1e9),
            minutes=listing.minutes,
            kw_per_lot=listing.lot_kw,
            floor_ticks=listing.floor_ticks,
            cap_ticks=listing.cap_ticks,
            ref_required=cfg.reference_required,
        )
        own_kw = strictest(LimitKind.POSITION_MAX_LOTS, cfg.position_max_lots) * listing.lot_kw
        exposures = golden.exposures(gate)
        for slot in listing.slots:
            bound_kw = min(own_kw, exposures.item(slot, golden.INTERVAL_LONG_MAX))
            golden.set_position_limit(gate, slot, bound_kw, bound_kw)

    # What the market says.

    def on_auction_result(self, result: AuctionResult) -> Outcome:
        """Hold collars against an auction's price until there is a mid; it is as old as the trading that follows it."""
        if result.price_ticks != ABSENT:
            self._auctions[result.contract_id] = result.price_ticks
            for listing_id, listing in self._listings.items():
                if listing.contract_id == result.contract_id:
                    self._refer_to_auction(listing_id)
        return None

    def _refer_to_auction(self, listing_id: int) -> None:
        listing, slot = self._listings[listing_id], self._room.slots.slot_of[listing_id]
        if self._mid[1, slot] == ABSENT:
            self._mid[:, slot] = self._auctions[listing.contract_id], max(self.ctx.now_ns, listing.opens_ns)

    def on_quotes(self, frame: Frame) -> Outcome:
        """Keep the mids, against which collars are held; a side that is empty leaves the mid as old as it is."""
        keep_mids(self._mid, frame.array, self.ctx.now_ns, self._room.slots)
        return None

    def on_quote(self, quote: Quote) -> Outcome:
        """Keep the mid of one listing."""
        keep_mid(self._mid, quote, self.ctx.now_ns, self._room.slots)
        return None

    # The check, and what becomes of what it let pass.

    def check_order(self, order: Order) -> CheckVerdict:
        """Return the verdict; met and limit are in lots, ticks, 10⁻⁶ of the currency, or ns, as the reason has it.

        After its gate closure an order is refused here, with the time it came too late.

        Cost: about 2 µs.
        """
        listing_id, strategy_id, now_ns = order.listing_id, order.strategy_id, self.ctx.now_ns
        held = self._listings.get(listing_id)
        if held is not None and now_ns >= held.gate_closure_ns:
            return self.refused(order, Reason.GATE_CLOSED, held.gate_closure_ns - now_ns, 0)
        gate = self._gates.get(strategy_id)
        if gate is None:
            gate = self._gate(strategy_id)
        slot = self._room.slots.slot_of.get(listing_id, 0)  # the gates know nothing of slot 0
        if slot:
            seen_ns = self._mid.item(1, slot)
            if seen_ns != ABSENT:
                self._mark(gate, slot, self._mid.item(0, slot), seen_ns)
        side = int(order.side)  # compiled code takes an IntEnum too, but looks up its type for 30 µs each time
        reason = self._check(
            gate, slot, side, order.price_ticks, order.qty_lots, now_ns, order.intent_id, self._verdicts
        )
        if reason == 0:
            self._working[order.order_id] = (gate, strategy_id, slot, side, order.qty_lots)
            return self.passed(order)
        met, limit = self._verdicts.item(0, golden.VERDICT_MET), self._verdicts.item(0, golden.VERDICT_LIMIT)
        if reason == _POSITION:
            lot_kw = self._listings[listing_id].lot_kw
            met, limit = (v // lot_kw if v >= 0 else -(-v // lot_kw) for v in (met, limit))
        elif reason == _NOTIONAL:
            listing = self._listings[listing_id]
            met, limit = (v * listing.cash_micro_per_lot_tick // listing.minutes for v in (met, limit))
        elif reason == _UNKNOWN:
            met = listing_id
        return self.refused(order, reason, met, limit)

    def explain_order(self, order: Order) -> list[Explained]:
        """Return every rule of the gate as it stands for *order*, in the units of its verdicts."""
        held = self._gates.get(order.strategy_id)
        gate = self._new_gate(order.strategy_id) if held is None else held.copy()
        listing = self._listings.get(order.listing_id)
        slot = self._room.slots.slot_of.get(order.listing_id, 0)
        if listing is not None and self._mid.item(1, slot) != ABSENT:
            golden.mark_reference(gate, slot, *self._mid[:, slot].tolist())
        rules = explain(
            gate, slot, int(order.side), order.price_ticks, order.qty_lots, self.ctx.now_ns, order.intent_id
        )
        if listing is None:
            return [explained(rule) for rule in rules]
        terms = self.ctx.listing(order.listing_id)
        step_ns = terms.interval_ns if terms is not None else 0
        begins_ns = {number: start * step_ns for (_, start), number in self._room.intervals.items()}
        return [
            gate_rule(listing.gate_closure_ns - self.ctx.now_ns),
            *(explained(rule, listing, begins_ns.get(rule.interval, ABSENT)) for rule in rules),
        ]

    def on_order(self, order: Order) -> Outcome:
        """Let go of an order that passed here and was refused by a later check."""
        if order.state == _REFUSED and order.order_id in self._working:
            gate, _, slot, side, lots = self._working.pop(order.order_id)
            self._release(gate, slot, side, lots)
        return None

    def on_execution_report(self, report: ExecutionReport) -> Outcome:
        """Move fills to the position, and let go of orders that have ended."""
        kind = report.kind
        held = self._working.get(report.order_id)
        if kind == _FILL:
            if held is None:
                # Not ours to have let pass (found after a restart, say); the position is real all the same.
                self._deal(report.strategy_id, report.listing_id, int(report.side), report.last_lots)
                return None
            gate, strategy_id, slot, side, lots = held
            self._fill(gate, slot, side, report.last_lots)
            if lots > report.last_lots:
                self._working[report.order_id] = (gate, strategy_id, slot, side, lots - report.last_lots)
            else:
                del self._working[report.order_id]
        elif kind in _ENDINGS and held is not None:
            gate, _, slot, side, lots = self._working.pop(report.order_id)
            self._release(gate, slot, side, lots)
        return None

    def on_external_trade(self, trade: ExternalTrade) -> Outcome:
        """Count a trade that Penstock did not send in the position of its strategy; once, however often it is told."""
        if not trade.strategy_id or trade.listing_id not in self._listings:
            return None
        if trade.trade_id != ABSENT:
            known = self._external.setdefault(trade.listing_id, set())
            if (trade.source, trade.trade_id) in known:
                return None
            known.add((trade.source, trade.trade_id))
        self._deal(trade.strategy_id, trade.listing_id, int(trade.side), trade.qty_lots)
        return None

    def _deal(self, strategy_id: int, listing_id: int, side: int, lots: int) -> None:
        """Move lots that no order here reserved to the net position; what others reserved stays theirs."""
        if listing_id in self._listings:
            gate, slot = self._gate(strategy_id), self._room.slots.slot_of[listing_id]
            self._reserve(gate, slot, side, lots)
            self._fill(gate, slot, side, lots)

    def exposure_lots(self, strategy_id: int, listing_id: int) -> list[tuple[int, int, int]]:
        """Return (net, working to buy, working to sell) of each delivery interval of a listing, in lots."""
        listing = self._listings[listing_id]
        columns = (golden.INTERVAL_NET, golden.INTERVAL_WORKING + golden.BUY, golden.INTERVAL_WORKING + golden.SELL)
        rows = golden.exposures(self._gate(strategy_id))[listing.slots][:, columns] // listing.lot_kw
        return [(net, buy, sell) for net, buy, sell in rows.tolist()]

    def snapshot(self) -> dict[str, Any]:
        """Return gates, limits, working orders and mids."""
        return {
            "version": _STATE_VERSION,
            "gates": [[strategy_id, gate.copy()] for strategy_id, gate in self._gates.items()],
            "limits": [[*key, value] for key, value in self._limits.items()],
            "listings": [[listing_id, *listing] for listing_id, listing in self._listings.items()],
            "room": self._room.snapshot(),
            "working": [[order_id, *held[1:]] for order_id, held in self._working.items()],
            "mid": self._mid.copy(),
            "auctions": [[contract_id, price_ticks] for contract_id, price_ticks in self._auctions.items()],
            "external": [[listing_id, sorted(map(list, known))] for listing_id, known in self._external.items()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned.

        Raises:
            ValueError: it is of another version.
        """
        check_state(state, _STATE_VERSION, self.ctx.name)
        self._gates = {strategy_id: np.array(gate, np.int64) for strategy_id, gate in state["gates"]}
        self._limits = {
            (kind, strategy_id, listing_id): value for kind, strategy_id, listing_id, value in state["limits"]
        }
        self._listings = {listing_id: _Listing(list(slots), *rest) for listing_id, slots, *rest in state["listings"]}
        self._room.restore(state["room"])
        self._working = {
            order_id: (self._gates[strategy_id], strategy_id, slot, side, lots)
            for order_id, strategy_id, slot, side, lots in state["working"]
        }
        self._mid = np.array(state["mid"], np.int64)
        self._auctions = dict(state["auctions"])
        self._external = {
            listing_id: {(source, number) for source, number in known} for listing_id, known in state["external"]
        }
