"""Mean reversion: takes what strays from a smoothed mean, and gives it back at the mean or before the gate closes.

A listing is a candidate when its price is some ticks better than its mean; only then is the recent past asked how far
the mid usually strays (root mean square distance from the mean, `ctx.history`). Orders are immediate-or-cancel at the
price shown, one at a time per listing.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from math import isqrt
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from penstock_plugins.strategies.smoothing import FINE, last_rows, smooth
from penstock_sdk.context import Context
from penstock_sdk.events import (
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
    ReportKind,
    SessionState,
    SessionStatus,
    Side,
)
from penstock_sdk.plugin import Outcome, Strategy
from penstock_sdk.schema import ABSENT, Frame
from penstock_sdk.slots import Deliveries, ListingSlots, check_state, over_ns

__all__ = ["MeanReversion", "MeanReversionConfig"]

_FILL, _BUY, _SELL, _IOC = int(ReportKind.FILL), int(Side.BUY), int(Side.SELL), int(OrderKind.IOC)
_ENDINGS = frozenset(map(int, (ReportKind.CANCELLED, ReportKind.EXPIRED, ReportKind.REJECTED)))
_HALTS = (int(LimitKind.KILL), int(LimitKind.PAUSE))

# One column of the table per line; columns run along the slots of listings.
_MEAN, _SAMPLED_NS, _FIRST_NS, _NET_LOTS, _IN_FLIGHT, _NEXT_NS = range(6)
_OPENS_NS, _LAST_ENTRY_NS, _GATE_NS, _OPEN, _VENUE, _USUAL_NS, _USUAL_HALF, _COLUMNS = range(6, 14)
_LONG_AGO = -(2**61)
_STATE_VERSION = 2
_HISTORY_NS = 1_800_000_000_000

Count = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=10**6)]


class MeanReversionConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What counts as straying, and how much to trade on it."""

    listings: tuple[str, ...] = ("*",)
    """Names of listings to trade, with * and ? as wildcards."""
    size_lots: Count = 10
    """Of each order, in lots."""
    position_limit_lots: Count = 30
    """The largest net position in a listing, in lots."""
    mean_s: Amount = 600.0
    """Time constant of the smoothed mean, in seconds."""
    entry_sigmas: Amount = 1.5
    """Entry when the mid strays this many times as far as usual."""
    edge_ticks_min: Count = 120
    """Entry only at a price that is at least this much better than the mean, in ticks."""
    spread_ticks_max: Count = 200
    """No entry where bid and ask lie further apart, in ticks."""
    window_s: Annotated[float, msgspec.Meta(gt=0, le=_HISTORY_NS / 1e9)] = 900.0
    """The past that says what is usual, in seconds; half an hour at most."""
    samples_min: Count = 12
    """No entry on fewer quotes in that window."""
    warm_up_s: Amount = 600.0
    """No entry before a listing has been quoted this long, in seconds."""
    cooldown_s: Amount = 60.0
    """The least time between two orders in a listing, in seconds."""
    sample_s: Amount = 10.0
    """Quotes that come one by one are looked at this often, in seconds; frames always."""
    flat_before_gate_s: Amount = 900.0
    """From this long before gate closure positions are closed and none is opened, in seconds."""

    def __post_init__(self) -> None:
        """Raise ValueError for an order that the position limit never lets out."""
        if self.size_lots > self.position_limit_lots:
            raise ValueError(
                f"size_lots met {self.size_lots}, wanted position_limit_lots = {self.position_limit_lots} or less; "
                "make orders smaller or the limit larger"
            )


class MeanReversion(Strategy):
    """Buys below the mean, sells above it, one order at a time per listing; no randomness."""

    Config = MeanReversionConfig
    config: MeanReversionConfig
    history_of = (Quote,)
    history_ns = _HISTORY_NS

    def __init__(self, ctx: Context, config: MeanReversionConfig | None = None) -> None:
        super().__init__(ctx, config)
        cfg = self.config
        self._tau_ms = round(cfg.mean_s * 1e3)
        self._edge_fine = cfg.edge_ticks_min * FINE
        self._sigmas_milli = round(cfg.entry_sigmas * 1000)
        self._window_ns, self._warm_up_ns = round(cfg.window_s * 1e9), round(cfg.warm_up_s * 1e9)
        self._cooldown_ns, self._sample_ns = round(cfg.cooldown_s * 1e9), round(cfg.sample_s * 1e9)
        self._flat_ns = round(cfg.flat_before_gate_s * 1e9)
        self._table: npt.NDArray[np.int64] = _blank(256)
        """(column, slot). Slot 0, which all other listings share, is never traded."""
        self._mark: npt.NDArray[np.int64] = np.zeros(256, np.int64)
        self._slots = ListingSlots()
        self._deliveries = Deliveries()
        self._halts: list[tuple[int, int]] = []
        """(kind, strategy or 0 for all) of each kill or pause in force."""

    def on_start(self) -> Outcome:
        """Cover what is already listed."""
        for listing in self.ctx.listings():
            self.on_listing_definition(listing)
        return None

    def on_resume(self) -> Outcome:
        """Cover what was listed meanwhile, forget what was delivered; means start anew from the first quotes."""
        self._forget()
        live = list(self._slots.slot_of.values())
        self._table[_MEAN, live] = ABSENT
        self._table[[[_SAMPLED_NS], [_USUAL_NS]], live] = _LONG_AGO
        return self.on_start()

    def on_listing_definition(self, listing: ListingDefinition) -> Outcome:
        """Cover a listing whose name fits; others are never traded. What has been delivered by now is forgotten."""
        listing_id = listing.listing_id
        self._forget()
        if listing_id in self._slots or not any(fnmatchcase(listing.name, p) for p in self.config.listings):
            return None
        if listing.reference_only or over_ns(listing) <= self.ctx.now_ns:
            return None
        slot, had = self._slots.take(listing_id), self._table.shape[1]
        self._deliveries.cover(listing)
        if slot >= had:
            self._table = np.concatenate([self._table, _blank(had)], axis=1)
            self._mark = np.zeros(2 * had, np.int64)
        gate_ns = listing.gate_closure_ns
        self._table[[_OPENS_NS, _LAST_ENTRY_NS, _GATE_NS, _OPEN, _VENUE], slot] = (
            listing.opens_ns, gate_ns - self._flat_ns, gate_ns, 1, listing.venue_id,
        )  # fmt: skip
        return None

    def _forget(self) -> None:
        """Let go of listings that have been delivered. Cost: one comparison while there is none."""
        for listing_id, _, _ in self._deliveries.over(self.ctx.now_ns):
            self._table[:, self._slots.drop(listing_id)] = _blank(1)[:, 0]

    def on_session_state(self, session: SessionState) -> Outcome:
        """Rest where trading is not open; listing 0 is the whole venue."""
        is_open = session.status == SessionStatus.OPEN
        if session.listing_id == 0:
            self._table[_OPEN, self._table[_VENUE] == session.venue_id] = is_open
        elif session.listing_id in self._slots:
            self._table[_OPEN, self._slots.slot_of[session.listing_id]] = is_open
        return None

    def on_limit(self, limit: Limit) -> Outcome:
        """Rest while new orders would be refused anyway: killed, or paused; the kernel cancels what is open."""
        if limit.kind in _HALTS and limit.strategy_id in (0, self.ctx.plugin_id):
            halt = (limit.kind, limit.strategy_id)
            self._halts = [*(h for h in self._halts if h != halt), *([halt] if limit.value else [])]
        return None

    def on_quote(self, quote: Quote) -> Outcome:
        """As `on_quotes`, for one, every ``sample_s``."""
        slot = self._slots.slot_of.get(quote.listing_id)
        if slot is None or self.ctx.now_ns - self._table.item(_SAMPLED_NS, slot) < self._sample_ns:
            return None
        return self._screen(Frame.of([quote]).array)

    def on_quotes(self, frame: Frame) -> Outcome:
        """Smooth the means; return orders for listings that stray, or that have come back."""
        return self._screen(frame.array)

    def _screen(self, quotes: npt.NDArray[np.void]) -> list[OrderIntent] | None:
        """Update means from *quotes* and act on candidates. Cost: some 40 µs for 100 rows."""
        slots, bid, _, ask, _ = last_rows(quotes, self._slots.of(quotes["listing_id"]), self._mark)
        both = (bid != ABSENT) & (ask != ABSENT)
        if not both.all():
            slots, bid, ask = slots[both], bid[both], ask[both]
        now_ns, table = self.ctx.now_ns, self._table
        t = table.take(slots, axis=1)
        mid = (bid + ask) * (FINE // 2)
        mean = smooth(t[_MEAN], mid, now_ns - t[_SAMPLED_NS], self._tau_ms)
        table[_MEAN, slots] = mean
        table[_SAMPLED_NS, slots] = now_ns
        new = t[_MEAN] == ABSENT
        if new.any():
            table[_FIRST_NS, slots[new]] = now_ns
        stray, net = mid - mean, t[_NET_LOTS]
        ready = (t[_IN_FLIGHT] == 0) & (t[_OPEN] != 0) & (now_ns >= t[_NEXT_NS]) & (now_ns < t[_GATE_NS])
        late = now_ns >= t[_LAST_ENTRY_NS]
        # Back at the mean: a long position is not below it, a short one not above.
        leave = (net != 0) & (late | (np.sign(stray) * np.sign(net) >= 0))
        warm = ~new & ~late & (now_ns >= t[_OPENS_NS]) & (now_ns - t[_FIRST_NS] >= self._warm_up_ns)
        # What the price to pay is better than the mean, not the mid: the spread is no edge.
        edge = np.maximum(mean - ask * FINE, bid * FINE - mean)
        enter = warm & ~leave & (edge >= self._edge_fine) & (ask - bid <= self.config.spread_ticks_max)
        rows = np.flatnonzero(ready & (leave | enter))
        if not len(rows) or self._halts:
            return None
        columns = (slots, bid, ask, mean, stray, net, leave)
        out = [self._decide(*row) for row in zip(*(column[rows].tolist() for column in columns), strict=True)]
        return [intent for intent in out if intent is not None]

    def _decide(
        self, slot: int, bid: int, ask: int, mean: int, stray: int, net: int, leave: bool
    ) -> OrderIntent | None:
        """Return the order for one candidate, if past and limit allow one; mean and stray are in fine ticks."""
        if leave:
            return self._order(slot, net < 0, bid, ask, min(abs(net), self.config.position_limit_lots))
        buys = stray < 0
        room_lots = self.config.position_limit_lots - (net if buys else -net)
        qty_lots = min(self.config.size_lots, room_lots)
        usual_half = self._usual_half_ticks(slot, mean)
        if qty_lots <= 0 or usual_half == ABSENT or 1000 * (abs(stray) * 2 // FINE) < self._sigmas_milli * usual_half:
            return None
        return self._order(slot, buys, bid, ask, qty_lots)

    def _usual_half_ticks(self, slot: int, mean: int) -> int:
        """Return how far the mid usually is from its mean, in half ticks; ABSENT where the past is too short to say.

        Asking the past is the dear part: an answer holds for a fifth of the window.
        """
        now_ns, table = self.ctx.now_ns, self._table
        if now_ns - table.item(_USUAL_NS, slot) < self._window_ns // 5:
            return table.item(_USUAL_HALF, slot)
        past = self.ctx.history(self._slots.listing_at[slot], self._window_ns, Quote)
        past = past[(past["bid_ticks"] != ABSENT) & (past["ask_ticks"] != ABSENT)]
        usual_half = ABSENT
        if len(past) >= self.config.samples_min:
            # Python's own integers: squares of spikes could leave 64 bits.
            distances = (past["bid_ticks"] + past["ask_ticks"] - mean * 2 // FINE).tolist()
            usual_half = isqrt(sum(d * d for d in distances) // len(distances))
        table[[_USUAL_NS, _USUAL_HALF], slot] = now_ns, usual_half
        return usual_half

    def _order(self, slot: int, buys: bool, bid: int, ask: int, qty_lots: int) -> OrderIntent:
        listing_id = self._slots.listing_at[slot]
        self._table[_IN_FLIGHT, slot] = 1
        self._table[_NEXT_NS, slot] = self.ctx.now_ns + self._cooldown_ns
        side, price_ticks = (_BUY, ask) if buys else (_SELL, bid)
        return self.intent(listing_id, side, price_ticks, qty_lots, kind=_IOC, decision_half_ticks=bid + ask)

    def on_order(self, order: Order) -> Outcome:
        """A refused order is no longer in flight."""
        slot = self._slots.slot_of.get(order.listing_id)
        if slot is not None and order.action == IntentAction.NEW and order.state == OrderState.REFUSED:
            self._table[_IN_FLIGHT, slot] = 0
        return None

    def on_execution_report(self, report: ExecutionReport) -> Outcome:
        """Book fills; an order that has ended is no longer in flight."""
        slot, kind = self._slots.slot_of.get(report.listing_id), report.kind
        if slot is None:
            return None
        if kind == _FILL:
            signed_lots = report.last_lots if report.side == _BUY else -report.last_lots
            self._table[_NET_LOTS, slot] += signed_lots
        if kind in _ENDINGS or (kind == _FILL and report.leaves_lots == 0):
            self._table[_IN_FLIGHT, slot] = 0
        return None

    def snapshot(self) -> dict[str, Any]:
        """Return everything the next order depends on."""
        return {
            "version": _STATE_VERSION,
            "table": self._table.copy(),
            "slots": self._slots.snapshot(),
            "deliveries": self._deliveries.snapshot(),
            "halts": [list(halt) for halt in self._halts],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned.

        Raises:
            ValueError: it is of another version.
        """
        check_state(state, _STATE_VERSION, self.ctx.name)
        self._table = np.array(state["table"], np.int64)
        self._mark = np.zeros(self._table.shape[1], np.int64)
        self._slots = ListingSlots.restored(state["slots"])
        self._deliveries = Deliveries.restored(state["deliveries"])
        self._halts = [(kind, strategy_id) for kind, strategy_id in state["halts"]]


def _blank(width: int) -> npt.NDArray[np.int64]:
    """Return columns of listings that are not covered: the gate closed long ago."""
    table = np.zeros((_COLUMNS, width), np.int64)
    table[_MEAN] = ABSENT
    table[[_SAMPLED_NS, _NEXT_NS, _GATE_NS, _LAST_ENTRY_NS, _USUAL_NS]] = _LONG_AGO
    return table
