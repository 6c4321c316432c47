"""Two rules of the market: no price far beyond what the other side asks, and no trade with oneself.

A price that crosses the best opposite one by too much is a slip of the hand, or worse. An order that could meet a
resting order of our own would print a trade without a change of ownership, which market-abuse rules forbid.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from penstock_sdk.context import Context
from penstock_sdk.events import (
    CheckVerdict,
    ExecutionReport,
    IntentAction,
    ListingDefinition,
    Order,
    OrderKind,
    OrderState,
    Quote,
    Reason,
    ReportKind,
    Side,
)
from penstock_sdk.explained import Explained
from penstock_sdk.plugin import ComplianceCheck, Outcome
from penstock_sdk.schema import ABSENT, Frame
from penstock_sdk.slots import Deliveries, ListingSlots, check_state, over_ns

__all__ = ["FatFinger", "FatFingerConfig"]

_BUY, _LIMIT, _MARKET = int(Side.BUY), int(OrderKind.LIMIT), int(OrderKind.MARKET)
_NEW, _ROUTED, _PENDING_CANCEL = int(IntentAction.NEW), int(OrderState.ROUTED), int(OrderState.PENDING_CANCEL)
_FILL = int(ReportKind.FILL)
_STATE_VERSION = 2
_ENDINGS = frozenset(map(int, (ReportKind.CANCELLED, ReportKind.EXPIRED, ReportKind.REJECTED)))
_OWNER: dict[str, Callable[[Order], int]] = {
    "house": lambda order: 0,
    "account": lambda order: order.account_id,
    "book": lambda order: order.book_id,
    "strategy": lambda order: order.strategy_id,
}


class FatFingerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far is too far, and who is oneself."""

    cross_eur_mwh_max: Annotated[float, msgspec.Meta(gt=0, le=1_000_000)] = 50.0
    """How far a price may lie beyond the best opposite one, in currency per MWh."""
    cross_ticks_max: Annotated[int, msgspec.Meta(ge=0, le=10**12)] = 0
    """The same in ticks; 0 is no limit of its own, otherwise the stricter of the two holds."""
    self_trade: Literal["house", "account", "book", "strategy"] = "house"
    """Orders that share this never meet: all of ours, or those of one account, book or strategy."""


class FatFinger(ComplianceCheck):
    """Refuses far-off prices (MARKET_ABUSE) and orders that could meet our own (SELF_TRADE)."""

    Config = FatFingerConfig
    config: FatFingerConfig

    def __init__(self, ctx: Context, config: FatFingerConfig | None = None) -> None:
        super().__init__(ctx, config)
        self._owner = _OWNER[self.config.self_trade]
        self._best: npt.NDArray[np.int64] = np.full((2, 256), ABSENT, np.int64)
        """(bid or ask, slot): best prices in ticks."""
        self._slots = ListingSlots()
        self._deliveries = Deliveries()
        self._cross_ticks: dict[int, int] = {}
        self._resting: dict[int, dict[int, tuple[int, int, int]]] = {}
        """By listing, by order id: side, price in ticks, owner; what is being cancelled no longer counts."""

    def on_start(self) -> Outcome:
        """Learn what is already listed."""
        for listing in self.ctx.listings():
            self.on_listing_definition(listing)
        return None

    def on_resume(self) -> Outcome:
        """Learn what was listed meanwhile, forget what was delivered."""
        self._forget()
        return self.on_start()

    def on_listing_definition(self, listing: ListingDefinition) -> Outcome:
        """Put the limit into the listing's ticks; what has been delivered by now is forgotten."""
        self._forget()
        if listing.reference_only or over_ns(listing) <= self.ctx.now_ns:
            return None
        listing_id = listing.listing_id
        if listing_id not in self._slots:
            self._deliveries.cover(listing)
        slot, had = self._slots.take(listing_id), self._best.shape[1]
        if slot >= had:
            self._best = np.concatenate([self._best, np.full((2, had), ABSENT)], axis=1)
        ticks = round(self.config.cross_eur_mwh_max * 1e6) // listing.tick_micro
        self._cross_ticks[listing_id] = min(ticks, self.config.cross_ticks_max or ticks)
        return None

    def _forget(self) -> None:
        """Let go of listings that have been delivered. Cost: one comparison while there is none."""
        for listing_id, _, _ in self._deliveries.over(self.ctx.now_ns):
            self._best[:, self._slots.drop(listing_id)] = ABSENT
            del self._cross_ticks[listing_id]
            self._resting.pop(listing_id, None)

    def on_quotes(self, frame: Frame) -> Outcome:
        """Keep the best prices; those of listings without a slot go to column 0, which nobody reads."""
        slots = self._slots.of(frame.array["listing_id"])
        self._best[0, slots] = frame.array["bid_ticks"]
        self._best[1, slots] = frame.array["ask_ticks"]
        return None

    def on_quote(self, quote: Quote) -> Outcome:
        """Keep the best prices of one listing."""
        slot = self._slots.slot_of.get(quote.listing_id)
        if slot is not None:
            self._best[0, slot] = quote.bid_ticks
            self._best[1, slot] = quote.ask_ticks
        return None

    def check_order(self, order: Order) -> CheckVerdict:
        """Return the verdict; met and limit are prices in ticks."""
        listing_id, side, price_ticks = order.listing_id, order.side, order.price_ticks
        if listing_id not in self._cross_ticks:
            return self.refused(order, Reason.UNKNOWN_LISTING, listing_id)
        buys, at_any_price = side == _BUY, order.kind == _MARKET
        if not at_any_price:
            best_ticks = self._best.item(1 if buys else 0, self._slots.slot_of[listing_id])
            if best_ticks != ABSENT:
                cross_ticks = self._cross_ticks[listing_id]
                limit_ticks = best_ticks + cross_ticks if buys else best_ticks - cross_ticks
                if price_ticks > limit_ticks if buys else price_ticks < limit_ticks:
                    return self.refused(order, Reason.MARKET_ABUSE, price_ticks, limit_ticks)
        resting = self._resting.get(listing_id)
        if resting:
            owner = self._owner(order)
            for other_side, other_ticks, other_owner in resting.values():
                if other_side == side or other_owner != owner:
                    continue
                if at_any_price or (price_ticks >= other_ticks if buys else price_ticks <= other_ticks):
                    return self.refused(order, Reason.SELF_TRADE, price_ticks, other_ticks)
        return self.passed(order)

    def explain_order(self, order: Order) -> list[Explained]:
        """Return both rules as they stand: the farthest price allowed, and the order of ours that comes nearest."""
        listing_id, price_ticks = order.listing_id, order.price_ticks
        known = listing_id in self._cross_ticks
        rules = [Explained(rule="listing known", reason=Reason.UNKNOWN_LISTING, passed=known, bound="none")]
        if not known:
            return rules
        buys, at_any_price = order.side == _BUY, order.kind == _MARKET
        slot = self._slots.slot_of[listing_id]
        best_ticks = ABSENT if at_any_price else self._best.item(1 if buys else 0, slot)
        if best_ticks == ABSENT:
            note = "at any price" if at_any_price else "the opposite side is empty"
            far = Explained(
                rule="price beyond the best opposite one", reason=Reason.MARKET_ABUSE, passed=True, met=price_ticks,
                unit="ticks", bound="none", note=note,
            )  # fmt: skip
        else:
            cross_ticks = self._cross_ticks[listing_id]
            limit_ticks = best_ticks + cross_ticks if buys else best_ticks - cross_ticks
            far = Explained(
                rule="price beyond the best opposite one", reason=Reason.MARKET_ABUSE,
                passed=price_ticks <= limit_ticks if buys else price_ticks >= limit_ticks,
                met=price_ticks, limit=limit_ticks, unit="ticks", bound="at most" if buys else "at least",
            )  # fmt: skip
        return [*rules, far, self._explain_self_trade(order, buys, at_any_price)]

    def _explain_self_trade(self, order: Order, buys: bool, at_any_price: bool) -> Explained:
        owner, resting = self._owner(order), self._resting.get(order.listing_id, {})
        others = [(ticks, number) for number, (side, ticks, who) in resting.items() if side != order.side]
        others = [(ticks, number) for ticks, number in others if resting[number][2] == owner]
        if not others:
            return Explained(
                rule="trade with ourselves", reason=Reason.SELF_TRADE, passed=True, met=order.price_ticks,
                unit="ticks", bound="none", note=f"no order of the same {self.config.self_trade} on the other side",
            )  # fmt: skip
        met_by = [
            (ticks, number)
            for ticks, number in others
            if at_any_price or (order.price_ticks >= ticks if buys else order.price_ticks <= ticks)
        ]
        ticks, number = met_by[0] if met_by else (min(others) if buys else max(others))
        return Explained(
            rule="trade with ourselves", reason=Reason.SELF_TRADE, passed=not met_by, met=order.price_ticks,
            limit=ticks, unit="ticks", bound="below" if buys else "above", note=f"order {number} of ours rests there",
        )  # fmt: skip

    def on_order(self, order: Order) -> Outcome:
        """Follow which orders of ours rest, or are on their way to."""
        if order.action == _NEW:
            if order.state == _ROUTED and order.kind == _LIMIT:
                entry = (order.side, order.price_ticks, self._owner(order))
                self._resting.setdefault(order.listing_id, {})[order.order_id] = entry
        elif order.state == _PENDING_CANCEL and order.listing_id in self._resting:
            self._resting[order.listing_id].pop(order.order_id, None)
        return None

    def on_execution_report(self, report: ExecutionReport) -> Outcome:
        """Forget orders that have ended."""
        if report.kind in _ENDINGS or (report.kind == _FILL and report.leaves_lots == 0):
            resting = self._resting.get(report.listing_id)
            if resting is not None:
                resting.pop(report.order_id, None)
        return None

    def snapshot(self) -> dict[str, Any]:
        """Return best prices, limits and resting orders."""
        resting = [[i, n, *entry] for i, orders in self._resting.items() for n, entry in orders.items()]
        return {
            "version": _STATE_VERSION,
            "best": self._best.copy(),
            "slots": self._slots.snapshot(),
            "deliveries": self._deliveries.snapshot(),
            "cross": [[k, v] for k, v in self._cross_ticks.items()],
            "resting": resting,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned.

        Raises:
            ValueError: it is of another version.
        """
        check_state(state, _STATE_VERSION, self.ctx.name)
        self._best = np.array(state["best"], np.int64)
        self._slots = ListingSlots.restored(state["slots"])
        self._deliveries = Deliveries.restored(state["deliveries"])
        self._cross_ticks = dict(state["cross"])
        self._resting = {}
        for listing_id, order_id, side, price_ticks, owner in state["resting"]:
            self._resting.setdefault(listing_id, {})[order_id] = (side, price_ticks, owner)
