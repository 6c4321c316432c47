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

import msgspec
import numpy as np
import numpy.typing as npt
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

from penstock_plugins.strategies.interval_net import IntervalNet
from penstock_plugins.strategies.smoothing import FINE, bounds_fine, last_rows, smooth

__all__ = ["MarketMaker", "MarketMakerConfig"]

# Plain integers: comparing with a member of an IntEnum costs three times as much, and these stand in every handler.
_NEW, _ROUTED, _REFUSED = int(IntentAction.NEW), int(OrderState.ROUTED), int(OrderState.REFUSED)
_FILL, _CANCEL_REJECTED = int(ReportKind.FILL), int(ReportKind.CANCEL_REJECTED)
_ENDINGS = frozenset(map(int, (ReportKind.CANCELLED, ReportKind.EXPIRED, ReportKind.REJECTED)))
_CANCELLED = int(ReportKind.CANCELLED)
_BUY, _SELL, _LIMIT = int(Side.BUY), int(Side.SELL), int(OrderKind.LIMIT)
_HALTS = (int(LimitKind.KILL), int(LimitKind.PAUSE))
_EMPTY, _PENDING, _LIVE, _CANCELLING = range(4)

# One column of the table per line; columns run along listing ids.
_FAIR, _SAMPLED_NS, _ANCHOR, _SKEW, _QUOTED, _REQUOTED_NS, _DIRTY, _OPEN = range(8)
_OPENS_NS, _STOP_NS, _MIN_TICKS, _MAX_TICKS = range(8, 12)
_OWN_BID, _OWN_BID_LOTS, _OWN_ASK, _OWN_ASK_LOTS, _SEEN_HALF, _UNREST, _COLUMNS = range(12, 19)
_LONG_AGO = -(2**61)
"""Earlier than any time and below any price, and still safe to subtract."""


class MarketMakerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How wide, how much, how often."""

    listings: tuple[str, ...] = ("*",)
    """Names of listings to quote, with * and ? as wildcards."""
    half_spread_ticks: int = 70
    """From the fair value to each of our prices in a market at rest, in ticks."""
    unrest_weight: float = 3.0
    """How much of the unrest, the smoothed distance between mid and fair value, is added to the half spread."""
    unrest_s: float = 120.0
    """Time constant of the unrest, in seconds."""
    size_lots: int = 10
    """Of each order, in lots."""
    position_limit_lots: int = 40
    """The largest net position in a delivery interval, in lots; near it only orders that reduce it go out."""
    skew_ticks_per_lot: float = 2.0
    """How far a lot of net position per delivery interval moves both prices, in ticks."""
    requote_ticks: int = 4
    """New orders when the fair value has moved this far from the quoted one, in ticks."""
    requote_s_min: float = 5.0
    """The least time between two requotes of a listing, in seconds."""
    smoothing_s: float = 5.0
    """Time constant of the smoothed mid, in seconds."""
    trade_weight: float = 0.05
    """The share of the way to a trade's price that a trade moves the fair value, 0 … 1."""
    anchor_weight: float = 0.0
    """The share of the way to the auction's price by which the fair value is drawn, 0 … 1; it starts there anyway."""
    quiet_before_gate_s: float = 900.0
    """Orders are cancelled this long before gate closure, in seconds."""
    refusal_pause_s: float = 60.0
    """How long a side rests after a refusal, a rejection or a cancel we did not ask for, in seconds."""

    def __post_init__(self) -> None:
        """Raise ValueError for a value that makes no market."""
        for name in ("half_spread_ticks", "size_lots", "requote_ticks", "position_limit_lots"):
            value = getattr(self, name)
            if not 1 <= value <= 10**9:
                raise ValueError(f"{name} met {value}, wanted 1 … 10⁹; give it in whole ticks or lots")
        for name in (
            "requote_s_min", "smoothing_s", "quiet_before_gate_s", "refusal_pause_s", "skew_ticks_per_lot", "unrest_s",
            "unrest_weight",
        ):  # fmt: skip
            value = getattr(self, name)
            if not 0 <= value <= 10**6:
                raise ValueError(f"{name} met {value}, wanted 0 … 10⁶; give it as a plain number")
        for name in ("trade_weight", "anchor_weight"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} met {value}, wanted 0 … 1; it is a share")
        if self.size_lots > self.position_limit_lots:
            raise ValueError(
                f"size_lots met {self.size_lots}, wanted position_limit_lots = {self.position_limit_lots} or less; "
                "make orders smaller or the limit larger"
            )


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
        self.blocked_ns = _LONG_AGO


class MarketMaker(Strategy):
    """Quotes both sides of each covered listing. One order per side at most; no randomness."""

    Config = MarketMakerConfig
    config: MarketMakerConfig

    def __init__(self, ctx: Context, config: MarketMakerConfig | None = None) -> None:
        super().__init__(ctx, config)
        cfg = self.config
        self._half_fine = cfg.half_spread_ticks * FINE
        self._unrest_fine = round(cfg.unrest_weight * FINE)
        self._unrest_tau_ms = round(cfg.unrest_s * 1e3)
        self._requote_fine = cfg.requote_ticks * FINE
        self._requote_ns = round(cfg.requote_s_min * 1e9)
        self._tau_ms = round(cfg.smoothing_s * 1e3)
        self._trade_fine = round(cfg.trade_weight * FINE)
        self._anchor_fine = round(cfg.anchor_weight * FINE)
        self._skew_fine = round(cfg.skew_ticks_per_lot * FINE)
        self._quiet_ns = round(cfg.quiet_before_gate_s * 1e9)
        self._pause_ns = round(cfg.refusal_pause_s * 1e9)
        self._table: npt.NDArray[np.int64] = np.zeros((_COLUMNS, 0), np.int64)
        self._mark: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._sides: dict[int, tuple[_Quoted, _Quoted]] = {}
        self._contracts: dict[int, list[int]] = {}
        self._anchors: dict[int, int] = {}
        self._venues: dict[int, list[int]] = {}
        self._net = IntervalNet()
        self._halts: list[tuple[int, int]] = []
        """(kind, strategy or 0 for all) of each kill or pause in force."""
        self._grow(256)

    # What there is to quote.

    def on_start(self) -> Outcome:
        """Cover what is already listed."""
        for listing in self.ctx.listings():
            self.on_listing_definition(listing)
        return None

    def on_listing_definition(self, listing: ListingDefinition) -> Outcome:
        """Cover a listing whose name fits; others are never quoted."""
        listing_id = listing.listing_id
        if listing_id in self._sides or not any(fnmatchcase(listing.name, p) for p in self.config.listings):
            return None
        self._net.cover(listing)
        self._grow(listing_id + 1)
        stop_ns = listing.gate_closure_ns - self._quiet_ns
        column = self._table[:, listing_id]
        column[[_OPENS_NS, _STOP_NS, _OPEN]] = listing.opens_ns, stop_ns, 1
        column[[_MIN_TICKS, _MAX_TICKS]] = listing.price_min_ticks, listing.price_max_ticks
        size_lots = self.config.size_lots
        self._sides[listing_id] = (_Quoted(_BUY, size_lots), _Quoted(_SELL, size_lots))
        self._contracts.setdefault(listing.contract_id, []).append(listing_id)
        self._venues.setdefault(listing.venue_id, []).append(listing_id)
        self._anchor(listing_id, self._anchors.get(listing.contract_id, ABSENT))
        self.ctx.set_timer(stop_ns, listing_id)
        return None

    def _grow(self, width: int) -> None:
        """Make room for listing ids below *width*."""
        had = self._table.shape[1]
        if width <= had:
            return
        table = np.zeros((_COLUMNS, max(width, 2 * had)), np.int64)
        # Never quoted before, never sampled, not covered: stopped since ever.
        table[[_FAIR, _ANCHOR, _SEEN_HALF, _OWN_BID, _OWN_ASK]] = ABSENT
        table[[_SAMPLED_NS, _QUOTED, _REQUOTED_NS, _STOP_NS]] = _LONG_AGO
        table[:, :had] = self._table
        self._table, self._mark = table, np.zeros(table.shape[1], np.int64)

    def _anchor(self, listing_id: int, price_ticks: int) -> None:
        if price_ticks != ABSENT:
            self._table[_ANCHOR, listing_id] = price_ticks * FINE
            if self._table[_FAIR, listing_id] == ABSENT:
                self._table[_FAIR, listing_id] = price_ticks * FINE
                self._table[_SAMPLED_NS, listing_id] = self.ctx.now_ns

    # What the market says.

    def on_auction_result(self, result: AuctionResult) -> Outcome:
        """Take the clearing price as anchor, and as the first fair value where there is none."""
        if result.price_ticks != ABSENT:
            self._anchors[result.contract_id] = result.price_ticks
            for listing_id in self._contracts.get(result.contract_id, ()):
                self._anchor(listing_id, result.price_ticks)
        return None

    def on_trades(self, frame: Frame) -> Outcome:
        """Draw fair values towards the last trade of each listing; orders wait for the next quotes."""
        ids = frame.array["listing_id"].astype(np.int64)
        self._grow(int(ids.max()) + 1)
        row = self._table[_FAIR]
        fair = row[ids]
        pull = (frame.array["price_ticks"] * FINE - fair) * self._trade_fine // FINE
        row[ids] = np.where(fair == ABSENT, ABSENT, fair + pull)
        return None

    def on_trade(self, trade: Trade) -> Outcome:
        """As `on_trades`, for one."""
        listing_id = trade.listing_id
        if listing_id in self._sides:
            row = self._table[_FAIR]
            fair = row.item(listing_id)
            if fair != ABSENT:
                row[listing_id] = fair + (trade.price_ticks * FINE - fair) * self._trade_fine // FINE
        return None

    def on_session_state(self, session: SessionState) -> Outcome:
        """Stop where trading is not open; listing 0 is the whole venue."""
        ids = [session.listing_id] if session.listing_id else self._venues.get(session.venue_id, [])
        is_open = session.status == SessionStatus.OPEN
        out: list[OrderIntent] = []
        for listing_id in ids:
            if listing_id in self._sides:
                self._table[[_OPEN, _DIRTY], listing_id] = is_open, 1
                if not is_open:
                    self._withdraw(listing_id, out)
        return out

    def on_limit(self, limit: Limit) -> Outcome:
        """Rest while new orders would be refused anyway: killed, or paused; the kernel cancels what is open."""
        if limit.kind in _HALTS and limit.strategy_id in (0, self.ctx.plugin_id):
            halt = (limit.kind, limit.strategy_id)
            self._halts = [*(h for h in self._halts if h != halt), *([halt] if limit.value else [])]
            self._table[_DIRTY] = 1
        return None

    def on_quote(self, quote: Quote) -> Outcome:
        """As `on_quotes`, for one; passed over while the listing may not be requoted anyway.

        A venue tells every change of its best prices, ours among them: most need an answer of no more than this look.
        """
        listing_id = quote.listing_id
        if listing_id not in self._sides:
            return None
        if self.ctx.now_ns - self._table.item(_SAMPLED_NS, listing_id) < self._requote_ns:
            return None
        return self._screen(Frame.of([quote]).array)

    def on_quotes(self, frame: Frame) -> Outcome:
        """Smooth the fair values; return cancels and new orders for listings that have moved."""
        return self._screen(frame.array)

    def _screen(self, quotes: npt.NDArray[np.void]) -> list[OrderIntent] | None:
        """Update fair values from *quotes*, and requote what has moved."""
        try:
            ids, bid, bid_lots, ask, ask_lots = last_rows(quotes, self._mark)
        except IndexError:
            self._grow(int(quotes["listing_id"].max()) + 1)
            ids, bid, bid_lots, ask, ask_lots = last_rows(quotes, self._mark)
        now_ns, table = self.ctx.now_ns, self._table
        t = table.take(ids, axis=1)
        has_bid, has_ask = bid != ABSENT, ask != ABSENT
        others_bid = has_bid & ((bid != t[_OWN_BID]) | (bid_lots > t[_OWN_BID_LOTS]))
        others_ask = has_ask & ((ask != t[_OWN_ASK]) | (ask_lots > t[_OWN_ASK_LOTS]))
        low, high = bounds_fine(bid, others_bid, ask, others_ask)
        both = others_bid & others_ask
        known = both | (t[_FAIR] != ABSENT)
        # With others on one side only, the fair value is moved no further than they force it to.
        sample = np.where(both, (low + high) >> 1, np.minimum(np.maximum(t[_FAIR], low), high))
        elapsed_ns = now_ns - t[_SAMPLED_NS]
        fair = np.where(known, smooth(t[_FAIR], sample, elapsed_ns, self._tau_ms), ABSENT)
        astray = np.where(t[_FAIR] != ABSENT, np.abs(sample - t[_FAIR]), 0)
        table[_FAIR, ids] = fair
        table[_UNREST, ids] = smooth(t[_UNREST], astray, elapsed_ns, self._unrest_tau_ms)
        table[_SAMPLED_NS, ids] = now_ns
        table[_SEEN_HALF, ids] = np.where(has_bid & has_ask, bid + ask, ABSENT)

        centre = fair + t[_SKEW]
        if self._anchor_fine:
            centre += np.where(t[_ANCHOR] != ABSENT, (t[_ANCHOR] - fair) * self._anchor_fine // FINE, 0)
        moved = (np.abs(centre - t[_QUOTED]) >= self._requote_fine) | (t[_DIRTY] != 0)
        due = (now_ns - t[_REQUOTED_NS] >= self._requote_ns) & (now_ns < t[_STOP_NS]) & (now_ns >= t[_OPENS_NS])
        rows = np.flatnonzero(known & moved & due & (t[_OPEN] != 0))
        if not len(rows) or self._halts:
            return None
        return self._requote_rows(ids[rows], centre[rows], low[rows], high[rows])

    def _requote_rows(self, ids: Any, centre: Any, low: Any, high: Any) -> list[OrderIntent]:
        """Set new target prices, a tick clear of what others offer and within the listing's bounds, and act on them."""
        table = self._table
        table[_QUOTED, ids] = centre
        table[_REQUOTED_NS, ids] = self.ctx.now_ns
        table[_DIRTY, ids] = 0
        floor, cap = table[_MIN_TICKS, ids], table[_MAX_TICKS, ids]
        half = self._half_fine + table[_UNREST, ids] * self._unrest_fine // FINE
        bids = np.minimum((centre - half) // FINE, high // FINE - 1)
        asks = np.maximum(-((-centre - half) // FINE), low // FINE + 1)
        bids, asks = np.clip(bids, floor, cap - 1), np.clip(asks, floor + 1, cap)
        out: list[OrderIntent] = []
        for listing_id, bid_ticks, ask_ticks in zip(ids.tolist(), bids.tolist(), asks.tolist(), strict=True):
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
        now_ns, table = self.ctx.now_ns, self._table
        price_ticks, qty_lots = quoted.target_ticks, quoted.size_lots
        if qty_lots == 0 or self._halts or now_ns >= table.item(_STOP_NS, listing_id):
            return
        if not table.item(_OPEN, listing_id):
            return
        other = self._sides[listing_id][2 - quoted.side]
        meets = price_ticks >= other.price_ticks if quoted.side == _BUY else price_ticks <= other.price_ticks
        if now_ns < quoted.blocked_ns or (meets and other.state != _EMPTY):
            table[_DIRTY, listing_id] = 1
            return
        seen_half = table.item(_SEEN_HALF, listing_id)
        intent = self.intent(listing_id, quoted.side, price_ticks, qty_lots, kind=_LIMIT, decision_half_ticks=seen_half)
        quoted.state, quoted.intent_id, quoted.order_id = _PENDING, intent.intent_id, 0
        quoted.price_ticks, quoted.leaves_lots = price_ticks, qty_lots
        column = _OWN_BID if quoted.side == _BUY else _OWN_ASK
        table[column, listing_id] = price_ticks
        table[column + 1, listing_id] = qty_lots
        out.append(intent)

    def _free(self, listing_id: int, quoted: _Quoted, blocked: bool) -> None:
        """An order has ended."""
        quoted.state = _EMPTY
        self._table[_OWN_BID if quoted.side == _BUY else _OWN_ASK, listing_id] = ABSENT
        if blocked:
            quoted.blocked_ns = self.ctx.now_ns + self._pause_ns
        self._table[_DIRTY, listing_id] = 1

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
            if self.ctx.now_ns >= self._table.item(_STOP_NS, order.listing_id):
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
        quoted = self._sides[listing_id][report.side - 1]
        if kind == _FILL:
            self._book(listing_id, report.last_lots if report.side == _BUY else -report.last_lots)
        if quoted.state == _EMPTY or quoted.order_id != report.order_id:
            return None
        if kind == _FILL:
            quoted.leaves_lots = report.leaves_lots
            self._table[_OWN_BID_LOTS if quoted.side == _BUY else _OWN_ASK_LOTS, listing_id] = report.leaves_lots
            if report.leaves_lots == 0:
                self._free(listing_id, quoted, blocked=False)
        elif kind in _ENDINGS:
            asked = kind == _CANCELLED and quoted.state == _CANCELLING
            self._free(listing_id, quoted, blocked=not asked)
            if asked:
                out: list[OrderIntent] = []
                self._table[_DIRTY, listing_id] = 0
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
        limit_lots, size_lots = self.config.position_limit_lots, self.config.size_lots
        for touched_id in self._net.fill(listing_id, signed_lots):
            low, high, total = self._net.span(touched_id)
            self._table[_SKEW, touched_id] = -total * self._skew_fine // self._net.interval_count(touched_id)
            buy, sell = self._sides[touched_id]
            room = (max(0, min(size_lots, limit_lots - high)), max(0, min(size_lots, limit_lots + low)))
            if room != (buy.size_lots, sell.size_lots):
                buy.size_lots, sell.size_lots = room
                self._table[_DIRTY, touched_id] = 1

    # The end of a listing, and of the run.

    def on_timer(self, timer: Timer) -> Outcome:
        """Take a listing's orders out before its gate closes; the tag is the listing."""
        out: list[OrderIntent] = []
        if timer.tag in self._sides:
            self._withdraw(timer.tag, out)
        return out

    def on_stop(self) -> Outcome:
        """Leave no order behind."""
        return self.cancel_all()

    def snapshot(self) -> dict[str, Any]:
        """Return everything the next requote depends on."""
        sides = [
            [listing_id, *(getattr(quoted, name) for quoted in pair for name in _Quoted.__slots__)]
            for listing_id, pair in self._sides.items()
        ]
        return {
            "table": self._table.copy(),
            "sides": sides,
            "net": self._net.snapshot(),
            "halts": [list(halt) for halt in self._halts],
            "contracts": [[key, ids] for key, ids in self._contracts.items()],
            "venues": [[key, ids] for key, ids in self._venues.items()],
            "anchors": [[key, ticks] for key, ticks in self._anchors.items()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned."""
        self._table = np.array(state["table"], np.int64)
        self._mark = np.zeros(self._table.shape[1], np.int64)
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
