"""What a run tells the display: read from the kernel's own cells a few times a second, between inputs."""

from __future__ import annotations

import time
from typing import Any

from penstock_kernel.display import BookTop, DisplayClient, Progress, StrategyState
from penstock_kernel.run import Run
from penstock_sdk.core.wiring import Slot
from penstock_sdk.energy import market_zone
from penstock_sdk.events import Alert, ClockKind, IdKind, ListingDefinition, Observation, Pnl, Position, Quote, Trade
from penstock_sdk.schema import ABSENT, Frame

__all__ = ["RunProgress"]

PERIOD_S = 0.2
BOOKS_SHOWN = 6


class _Watch:
    """Hears what the display shows; keeps the last of each. A part of the kernel, not of the run's results."""

    def __init__(self) -> None:
        self.tops: dict[int, tuple[int, int]] = {}
        self.last: dict[int, int] = {}
        self.index: float | None = None
        self.net_lots: dict[int, dict[int, int]] = {}
        self.pnl_micro: dict[int, int] = {}
        self.alerts = 0
        self.last_alert = ""

    def on_quotes(self, frame: Frame) -> None:
        """Keep the tops."""
        array = frame.array
        self.tops.update(
            zip(
                array["listing_id"].tolist(),
                zip(array["bid_ticks"].tolist(), array["ask_ticks"].tolist(), strict=True),
                strict=True,
            )
        )

    def on_quote(self, quote: Quote) -> None:
        """Keep the top."""
        self.tops[quote.listing_id] = (quote.bid_ticks, quote.ask_ticks)

    def on_trades(self, frame: Frame) -> None:
        """Keep the last prices."""
        self.last.update(zip(frame.array["listing_id"].tolist(), frame.array["price_ticks"].tolist(), strict=True))

    def on_trade(self, trade: Trade) -> None:
        """Keep the last price."""
        self.last[trade.listing_id] = trade.price_ticks

    def on_observation(self, observation: Observation) -> None:
        """Keep the last observed price."""
        self.index = observation.value

    def on_position(self, position: Position) -> None:
        """Keep the position."""
        self.net_lots.setdefault(position.strategy_id, {})[position.listing_id] = position.net_lots

    def on_pnl(self, pnl: Pnl) -> None:
        """Keep a strategy's total."""
        if not pnl.listing_id:
            self.pnl_micro[pnl.strategy_id] = pnl.realised_micro + pnl.unrealised_micro - pnl.fees_micro

    def on_alert(self, alert: Alert) -> None:
        """Count alerts; keep the last."""
        self.alerts += 1
        self.last_alert = f"{alert.code} {alert.subject}: {alert.met}"


class RunProgress:
    """Sends a run's progress to the display process."""

    def __init__(self, run: Run, *, plain: bool) -> None:
        self._run = run
        self._kernel = run.kernel
        self._watch = _Watch()
        # At the end of the list: whatever it costs, plugins have heard the event before.
        slot = Slot("display", 0, self._watch, "kernel")
        self._kernel.cascade.wire([*self._kernel.cascade.slots, slot])
        self._client = DisplayClient(enabled=True, plain=plain)
        self._zone = market_zone(run.deployment.run.zone)
        self._listings: list[ListingDefinition] = sorted(
            self._kernel.definitions(IdKind.LISTING), key=lambda listing: (listing.gate_closure_ns, listing.listing_id)
        )
        self._start_ns = run.info.first_at_ns
        self._due_s = 0.0
        self._before = (time.perf_counter(), self._kernel.cascade.seq, self._kernel.desk.orders)
        self._rates = (0.0, 0.0)
        # A market in real time steps every few seconds: a shorter window would show nothing, then a burst.
        self._rate_s = 10.0 if run.kernel.clock.kind == ClockKind.WALL else 1.0
        self._kernel.turns = (*self._kernel.turns, self.turn)

    def turn(self) -> None:
        """Tell the display, when it is time to."""
        now_s = time.perf_counter()
        if now_s >= self._due_s:
            self._due_s = now_s + PERIOD_S
            self._client.send(self._progress(now_s))

    def close(self) -> None:
        """Show the last state, and end the display."""
        self._client.send(self._progress(time.perf_counter()))
        self._client.close()
        self._kernel.turns = tuple(turn for turn in self._kernel.turns if turn != self.turn)

    def _progress(self, now_s: float) -> Progress:
        kernel, watch = self._kernel, self._watch
        seq, orders = kernel.cascade.seq, kernel.desk.orders
        before_s, before_seq, before_orders = self._before
        if now_s - before_s >= self._rate_s or not self._rates[0]:
            span_s = max(now_s - before_s, 1e-3)
            self._rates = ((seq - before_seq) / span_s, (orders - before_orders) / span_s)
            self._before = (now_s, seq, orders)
        state = "killed" if kernel.desk.killed else "draining" if kernel.stopping else "running"
        return Progress(
            run_id=self._run.info.id, state=state, now_ns=kernel.moment.now_ns, start_ns=self._start_ns,
            end_ns=self._run.end_ns, timezone=self._zone.timezone, currency=self._zone.currency, events=seq,
            events_per_s=self._rates[0], orders=orders, orders_per_s=self._rates[1], fills=kernel.desk.fills,
            refusals=kernel.desk.refused, alerts=watch.alerts, last_alert=watch.last_alert, index_price=watch.index,
            books=self._books(), strategies=self._strategies(),
        )  # fmt: skip

    def _books(self) -> list[BookTop]:
        """Return the listings whose gates close next."""
        now_ns, tops = self._kernel.moment.now_ns, self._watch.tops
        coming = [listing for listing in self._listings if listing.gate_closure_ns > now_ns][:BOOKS_SHOWN]
        out = []
        for listing in coming:
            bid, ask = tops.get(listing.listing_id, (ABSENT, ABSENT))
            last = self._watch.last.get(listing.listing_id, ABSENT)
            out.append(BookTop(_short(listing.name), _price(bid, listing), _price(ask, listing), _price(last, listing)))
        return out

    def _strategies(self) -> list[StrategyState]:
        by_id: dict[int, Any] = {listing.listing_id: listing for listing in self._listings}
        out = []
        for slot in self._kernel.desk.traders.values():
            held = self._watch.net_lots.get(slot.plugin_id, {})
            net_mwh = sum(
                lots * by_id[i].lot_kw / 1000 * by_id[i].interval_count * by_id[i].interval_ns / 3.6e12
                for i, lots in held.items()
                if i in by_id
            )
            pnl = self._watch.pnl_micro.get(slot.plugin_id, 0) / 1e6
            out.append(StrategyState(slot.name, net_mwh, pnl))
        return out


def _price(ticks: int, listing: ListingDefinition) -> float | None:
    return None if ticks == ABSENT else ticks * listing.tick_micro / 1e6


def _short(name: str) -> str:
    """Return a listing's name as a display of one venue, zone and day needs it: product and local time."""
    return " ".join(part for part in name.split(" ")[2:] if part.count("-") != 2) or name
