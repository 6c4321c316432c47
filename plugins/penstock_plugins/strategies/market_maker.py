"""A market maker: quotes both sides of every open listing around a smoothed fair value, leaning against its position.

Fair value: the mid of what *others* bid and ask, exponentially smoothed, drawn towards trades and an auction's price. A
side on which only our own order stands says nothing new, so that the strategy never chases itself. When the fair value
has moved by the threshold and the listing has rested long enough, orders at other prices are cancelled; the new one
goes out when the venue has confirmed, so that a side never works twice and never meets the other one of ours.

A frame of quotes is screened in one pass over arrays; Python looks only at the listings that need new orders.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import numpy.typing as npt

from penstock_plugins.strategies.interval_net import IntervalNet
from penstock_plugins.strategies.market_maker_config import MarketMakerConfig
from penstock_plugins.strategies.quote_table import (
    DIRTY,
    LONG_AGO,
    OPEN,
    OWN_ASK,
    OWN_BID,
    SAMPLED_NS,
    SEEN_HALF,
    SKEW,
    STOP_NS,
    QuoteTable,
)
from penstock_plugins.strategies.smoothing import FINE
from penstock_sdk.context import Context
from penstock_sdk.events import (
    AuctionResult,
    ExecutionReport,
    IntentAction,
    Limit,
    LimitKind,
    ListingDefinition,
    Order,
    OrderIntent,
    OrderKind,
    OrderState,
    Quote,
    Reason,
    ReportKind,
    SessionState,
    SessionStatus,
    Side,
    Timer,
    Trade,
)
from penstock_sdk.plugin import Outcome, Strategy
from penstock_sdk.schema import ABSENT, Frame
from penstock_sdk.slots import Deliveries, check_state, over_ns

__all__ = ["MarketMaker", "MarketMakerConfig"]

# Plain integers: comparing with a member of an IntEnum costs three times as much, and these stand in every handler.
_NEW, _ROUTED, _REFUSED = int(IntentAction.NEW), int(OrderState.ROUTED), int(OrderState.REFUSED)
_FILL, _CANCEL_REJECTED = int(ReportKind.FILL), int(ReportKind.CANCEL_REJECTED)
_ENDINGS = frozenset(map(int, (ReportKind.CANCELLED, ReportKind.EXPIRED, ReportKind.REJECTED)))
_CANCELLED = int(ReportKind.CANCELLED)
_BUY, _SELL, _LIMIT = int(Side.BUY), int(Side.SELL), int(OrderKind.LIMIT)
_HALTS = (int(LimitKind.KILL), int(LimitKind.PAUSE))
_EMPTY, _PENDING, _LIVE, _CANCELLING = range(4)
_STATE_VERSION = 2


class _Quoted:
    """One side of a listing: what works there, and what should."""

    __slots__ = (
        "blocked_ns", "intent_id", "leaves_lots", "order_id", "price_ticks", "side", "size_lots", "state",
        "target_ticks",
    )  # fmt: skip

    def __init__(self, side: int, size_lots: int) -> None:
        self.side = side
        self.state = _EMPTY
        self.order_id = 0
        self.intent_id = 0
        self.price_ticks = 0
        self.leaves_lots = 0
        self.target_ticks = ABSENT
        self.size_lots = size_lots
        """What the position leaves room for; 0 when this side would take it beyond its limit."""
        self.blocked_ns = LONG_AGO


class MarketMaker(Strategy):
    """Quotes both sides of each covered listing. One order per side at most; no randomness."""

    Config = MarketMakerConfig
    config: MarketMakerConfig

    def __init__(self, ctx: Context, config: MarketMakerConfig | None = None) -> None:
        super().__init__(ctx, config)
        cfg = self.config
        self._quotes = QuoteTable(cfg)
        self._requote_ns = round(cfg.requote_s_min * 1e9)
        self._skew_fine = round(cfg.skew_ticks_per_lot * FINE)
        self._quiet_ns = round(cfg.quiet_before_gate_s * 1e9)
        self._pause_ns = round(cfg.refusal_pause_s * 1e9)
        self._sides: dict[int, tuple[_Quoted, _Quoted]] = {}
        self._contracts: dict[int, list[int]] = {}
        self._anchors: dict[int, int] = {}
        self._venues: dict[int, list[int]] = {}
        self._net = IntervalNet()
        self._halts: list[tuple[int, int]] = []
        """(kind, strategy or 0 for all) of each kill or pause in force."""
        self._deliveries = Deliveries()
        self._stopped = False

    # What there is to quote.

    def on_start(self) -> Outcome:
        """Cover what is already listed."""
        for listing in self.ctx.listings():
            self.on_listing_definition(listing)
        return None

    def on_resume(self) -> Outcome:
        """Quote again, as the config has it now; cover what was listed meanwhile, forget what was delivered."""
        self._stopped = False
        self._forget()
        for listing_id in self._sides:
            self._lean(listing_id)
        return self.on_start()

    def on_listing_definition(self, listing: ListingDefinition) -> Outcome:
        """Cover a listing whose name fits; others are never quoted. What has been delivered by now is forgotten."""
        listing_id = listing.listing_id
        self._forget()
        if listing_id in self._sides or not any(fnmatchcase(listing.name, p) for p in self.config.listings):
            return None
        if listing.reference_only or over_ns(listing) <= self.ctx.now_ns:
            return None
        contract = self.ctx.contract(listing.contract_id)
        self._net.cover(listing, contract.zone_id if contract else 0)
        self._deliveries.cover(listing)
        stop_ns = listing.gate_closure_ns - self._quiet_ns
        self._quotes.cover(listing, stop_ns)
        size_lots = self.config.size_lots
        self._sides[listing_id] = (_Quoted(_BUY, size_lots), _Quoted(_SELL, size_lots))
        self._contracts.setdefault(listing.contract_id, []).append(listing_id)
        self._venues.setdefault(listing.venue_id, []).append(listing_id)
        if listing.contract_id in self._anchors:
            self._quotes.anchor(listing_id, self._anchors[listing.contract_id], self.ctx.now_ns)
        self.ctx.set_timer(stop_ns, listing_id)
        return None

    def _forget(self) -> None:
        """Let go of all that is kept of delivered listings. Cost: one comparison while there is none."""
        now_ns, over = self.ctx.now_ns, self._deliveries.over(self.ctx.now_ns)
        for listing_id, contract_id, venue_id in over:
            self._quotes.uncover(listing_id)
            self._net.uncover(listing_id)
            del self._sides[listing_id]
            for table, key in ((self._contracts, contract_id), (self._venues, venue_id)):
                table[key].remove(listing_id)
                if not table[key]:
                    del table[key]
        if over:
            self._anchors = {
                contract_id: ticks
                for contract_id, ticks in self._anchors.items()
                if (contract := self.ctx.contract(contract_id)) is not None and contract.delivery_end_ns > now_ns
            }

    # What the market says.

    def on_auction_result(self, result: AuctionResult) -> Outcome:
        """Take the clearing price as anchor, and as the first fair value where there is none."""
        if result.price_ticks != ABSENT:
            self._anchors[result.contract_id] = result.price_ticks
            for listing_id in self._contracts.get(result.contract_id, ()):
                self._quotes.anchor(listing_id, result.price_ticks, self.ctx.now_ns)
        return None

    def on_trades(self, frame: Frame) -> Outcome:
        """Draw fair values towards the last trade of each listing; orders wait for the next quotes."""
        self._quotes.draw(frame.array["listing_id"], frame.array["price_ticks"])
        return None

    def on_trade(self, trade: Trade) -> Outcome:
        """As `on_trades`, for one."""
        slot = self._quotes.slots.slot_of.get(trade.listing_id)
        if slot is not None and trade.price_ticks != ABSENT:
            self._quotes.draw_one(slot, trade.price_ticks)
        return None

    def on_session_state(self, session: SessionState) -> Outcome:
        """Stop where trading is not open; listing 0 is the whole venue."""
        ids = [session.listing_id] if session.listing_id else self._venues.get(session.venue_id, [])
        is_open = session.status == SessionStatus.OPEN
        out: list[OrderIntent] = []
        for listing_id in ids:
            if listing_id in self._sides:
                self._quotes.cells[[OPEN, DIRTY], self._quotes.slots.slot_of[listing_id]] = is_open, 1
                if not is_open:
                    self._withdraw(listing_id, out)
        return out

    def on_limit(self, limit: Limit) -> Outcome:
        """Rest while new orders would be refused anyway: killed, or paused; the kernel cancels what is open."""
        if limit.kind in _HALTS and limit.strategy_id in (0, self.ctx.plugin_id):
            halt = (limit.kind, limit.strategy_id)
            self._halts = [*(h for h in self._halts if h != halt), *([halt] if limit.value else [])]
            self._quotes.cells[DIRTY] = 1
        return None

    def on_quote(self, quote: Quote) -> Outcome:
        """As `on_quotes`, for one; passed over while the listing may not be requoted anyway.

        A venue tells every change of its best prices, ours among them: most need an answer of no more than this look.
        """
        slot = self._quotes.slots.slot_of.get(quote.listing_id)
        if slot is None or self.ctx.now_ns - self._quotes.cells.item(SAMPLED_NS, slot) < self._requote_ns:
            return None
        return self._requote(Frame.of([quote]).array)

    def on_quotes(self, frame: Frame) -> Outcome:
        """Smooth the fair values; return cancels and new orders for listings that have moved."""
        return self._requote(frame.array)

    def _requote(self, quotes: npt.NDArray[np.void]) -> list[OrderIntent] | None:
        """Take in quotes, and act on the listings that they stir. Cost: `QuoteTable.screen`, and 4 µs a listing."""
        stirred = self._quotes.screen(quotes, self.ctx.now_ns)
        if stirred is None or self._halts or self._stopped:
            return None
        out: list[OrderIntent] = []
        for listing_id, bid_ticks, ask_ticks in self._quotes.targets(stirred, self.ctx.now_ns):
            buy, sell = self._sides[listing_id]
            buy.target_ticks, sell.target_ticks = bid_ticks, ask_ticks
            for quoted in (buy, sell):
                if quoted.state == _LIVE:
                    if quoted.price_ticks != quoted.target_ticks or quoted.leaves_lots > quoted.size_lots:
                        quoted.state = _CANCELLING
                        out.append(self.cancel(quoted.order_id, listing_id))
                elif quoted.state == _EMPTY:
                    self._place(listing_id, quoted, out)
        return out

    # What becomes of our orders.

    def _place(self, listing_id: int, quoted: _Quoted, out: list[OrderIntent]) -> None:
        """Ask for an order at the target, if its side may have one now; where it may not yet, the next quotes try."""
        now_ns, cells, slot = self.ctx.now_ns, self._quotes.cells, self._quotes.slots.slot_of[listing_id]
        price_ticks, qty_lots = quoted.target_ticks, quoted.size_lots
        if qty_lots == 0 or self._halts or now_ns >= cells.item(STOP_NS, slot):
            return
        if not cells.item(OPEN, slot) or self._stopped:
            return
        other = self._sides[listing_id][2 - quoted.side]
        meets = price_ticks >= other.price_ticks if quoted.side == _BUY else price_ticks <= other.price_ticks
        if now_ns < quoted.blocked_ns or (meets and other.state != _EMPTY):
            cells[DIRTY, slot] = 1
            return
        seen_half = cells.item(SEEN_HALF, slot)
        intent = self.intent(listing_id, quoted.side, price_ticks, qty_lots, kind=_LIMIT, decision_half_ticks=seen_half)
        quoted.state, quoted.intent_id, quoted.order_id = _PENDING, intent.intent_id, 0
        quoted.price_ticks, quoted.leaves_lots = price_ticks, qty_lots
        column = OWN_BID if quoted.side == _BUY else OWN_ASK
        cells[column, slot] = price_ticks
        cells[column + 1, slot] = qty_lots
        out.append(intent)

    def _free(self, listing_id: int, quoted: _Quoted, blocked: bool) -> None:
        """An order has ended."""
        slot = self._quotes.slots.slot_of[listing_id]
        quoted.state = _EMPTY
        self._quotes.cells[OWN_BID if quoted.side == _BUY else OWN_ASK, slot] = ABSENT
        if blocked:
            quoted.blocked_ns = self.ctx.now_ns + self._pause_ns
        self._quotes.cells[DIRTY, slot] = 1

    def _withdraw(self, listing_id: int, out: list[OrderIntent]) -> None:
        for quoted in self._sides[listing_id]:
            if quoted.state == _LIVE:
                quoted.state = _CANCELLING
                out.append(self.cancel(quoted.order_id, listing_id))

    def on_order(self, order: Order) -> Outcome:
        """Learn the number of an order on its way; rest after a refusal."""
        if order.action != _NEW or order.listing_id not in self._sides:
            return None
        quoted = self._sides[order.listing_id][order.side - 1]
        if quoted.state != _PENDING or quoted.intent_id != order.intent_id:
            return None
        if order.state == _ROUTED:
            quoted.order_id = order.order_id
            quoted.state = _LIVE
            slot = self._quotes.slots.slot_of[order.listing_id]
            if self.ctx.now_ns >= self._quotes.cells.item(STOP_NS, slot):
                quoted.state = _CANCELLING
                return self.cancel(order.order_id, order.listing_id)
        elif order.state == _REFUSED:
            self._free(order.listing_id, quoted, blocked=True)
        return None

    def on_execution_report(self, report: ExecutionReport) -> Outcome:
        """Book fills; send the new order of a side whose old one is confirmed cancelled."""
        listing_id, kind = report.listing_id, report.kind
        if listing_id not in self._sides:
            return None
        quoted, slot = self._sides[listing_id][report.side - 1], self._quotes.slots.slot_of[listing_id]
        if kind == _FILL:
            self._book(listing_id, report.last_lots if report.side == _BUY else -report.last_lots)
        if quoted.state == _EMPTY or quoted.order_id != report.order_id:
            return None
        if kind == _FILL:
            quoted.leaves_lots = report.leaves_lots
            self._quotes.cells[(OWN_BID if quoted.side == _BUY else OWN_ASK) + 1, slot] = report.leaves_lots
            if report.leaves_lots == 0:
                self._free(listing_id, quoted, blocked=False)
        elif kind in _ENDINGS:
            asked = kind == _CANCELLED and quoted.state == _CANCELLING
            self._free(listing_id, quoted, blocked=not asked)
            if asked:
                out: list[OrderIntent] = []
                self._quotes.cells[DIRTY, slot] = 0
                # The other side too: it may have been waiting for this one to go.
                for side in self._sides[listing_id]:
                    if side.state == _EMPTY:
                        self._place(listing_id, side, out)
                return out
        elif kind == _CANCEL_REJECTED and quoted.state == _CANCELLING:
            if report.reason == Reason.UNKNOWN_ORDER:
                self._free(listing_id, quoted, blocked=True)
            else:
                quoted.state = _LIVE
        return None

    def _book(self, listing_id: int, signed_lots: int) -> None:
        """Add a fill to the position, and lean every listing that delivers in the same intervals against it."""
        for touched_id in self._net.fill(listing_id, signed_lots):
            self._lean(touched_id)

    def _lean(self, listing_id: int) -> None:
        """Lean a listing's quotes against what is held where it delivers, within the position limit."""
        limit_lots, size_lots = self.config.position_limit_lots, self.config.size_lots
        low, high, total = self._net.span(listing_id)
        slot = self._quotes.slots.slot_of[listing_id]
        self._quotes.cells[SKEW, slot] = -total * self._skew_fine // self._net.interval_count(listing_id)
        buy, sell = self._sides[listing_id]
        room = (max(0, min(size_lots, limit_lots - high)), max(0, min(size_lots, limit_lots + low)))
        if room != (buy.size_lots, sell.size_lots):
            buy.size_lots, sell.size_lots = room
            self._quotes.cells[DIRTY, slot] = 1

    # The end of a listing, and of the run.

    def on_timer(self, timer: Timer) -> Outcome:
        """Take a listing's orders out before its gate closes; the tag is the listing."""
        out: list[OrderIntent] = []
        if timer.tag in self._sides:
            self._withdraw(timer.tag, out)
        return out

    def on_stop(self) -> Outcome:
        """Leave no order behind, and send none in the place of those that are cancelled now."""
        self._stopped = True
        return self.cancel_all()

    def snapshot(self) -> dict[str, Any]:
        """Return everything the next requote depends on."""
        sides = [
            [listing_id, *(getattr(quoted, name) for quoted in pair for name in _Quoted.__slots__)]
            for listing_id, pair in self._sides.items()
        ]
        return {
            "version": _STATE_VERSION,
            "quotes": self._quotes.snapshot(),
            "stopped": self._stopped,
            "deliveries": self._deliveries.snapshot(),
            "sides": sides,
            "net": self._net.snapshot(),
            "halts": [list(halt) for halt in self._halts],
            "contracts": [[key, ids] for key, ids in self._contracts.items()],
            "venues": [[key, ids] for key, ids in self._venues.items()],
            "anchors": [[key, ticks] for key, ticks in self._anchors.items()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned.

        Raises:
            ValueError: it is of another version.
        """
        check_state(state, _STATE_VERSION, self.ctx.name)
        self._quotes.restore(state["quotes"])
        self._stopped = state["stopped"]
        self._deliveries = Deliveries.restored(state["deliveries"])
        self._net.restore(state["net"])
        self._halts = [(kind, strategy_id) for kind, strategy_id in state["halts"]]
        self._contracts = {key: list(ids) for key, ids in state["contracts"]}
        self._venues = {key: list(ids) for key, ids in state["venues"]}
        self._anchors = dict(map(tuple, state["anchors"]))
        self._sides = {}
        for listing_id, *values in state["sides"]:
            pair = (_Quoted(_BUY, 0), _Quoted(_SELL, 0))
            for at, value in enumerate(values):
                setattr(pair[at // len(_Quoted.__slots__)], _Quoted.__slots__[at % len(_Quoted.__slots__)], value)
            self._sides[listing_id] = pair
