"""The practice venue's adapter: a market outside the process, which lives on when the kernel does not.

In wall time the connection is read by `poll`, and what it said is an input, `PaperSaid`: the handlers make reports of
it, so that a play-back needs no connection. With ``address = "memory:NAME"`` the market is an object in this process
(`paper_link.MARKETS`); then timers fetch what it said, in any kind of time, and the adapter is recorded and not
recomputed.

Nothing is ever sent twice but a cancel. An order without an answer, over a break of the connection as over a crash, is
asked about; the venue never takes an id that it has once said it does not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from penstock_plugins.venues.paper_link import MARKETS, Link, TcpLink, converse
from penstock_plugins.venues.paper_orders import AdapterState, OurOrder
from penstock_plugins.venues.paper_protocol import (
    VERSION,
    Ask,
    Beat,
    CancelAll,
    Down,
    Hello,
    Item,
    Listed,
    PaperSaid,
    Refused,
    Resend,
    Told,
    Unsent,
    Up,
    Welcome,
    frame_of,
    items_of,
)
from penstock_sdk.energy.definitions import zone_definition
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.zones import market_zone
from penstock_sdk.events import (
    Alert,
    ConnectionState,
    ConnectionStatus,
    ContractDefinition,
    ExecutionReport,
    IdKind,
    IntentAction,
    ListingDefinition,
    Order,
    OrderState,
    Quote,
    Reason,
    Reconcile,
    Reconciled,
    ReportKind,
    RunHeader,
    SessionState,
    Severity,
    Timer,
    ZoneDefinition,
)
from penstock_sdk.plugin import Outcome, Venue
from penstock_sdk.schema import Event

__all__ = ["PaperConfig", "PaperVenue"]

_MS = 1_000_000
_MINUTE_NS = 60_000_000_000
_MEMORY = "memory:"
_OUTSIDE_TIMEOUT_S = 5.0

Milliseconds = Annotated[int, msgspec.Meta(ge=1, le=600_000)]


class PaperConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the practice venue is, and under which account we trade there."""

    address: str = "127.0.0.1:7171"
    """host:port, in wall time; or memory:NAME, a market in this process."""
    account: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "penstock"
    """Orders belong to it: no two instances may share one."""
    cancel_on_disconnect: bool = False
    """Have the venue cancel all when the connection breaks."""
    reconnect_ms_min: Milliseconds = 100
    reconnect_ms_max: Milliseconds = 5_000
    """Shortest and longest wait between two attempts to connect."""
    silence_ms: Milliseconds = 5_000
    """A venue that says nothing for so long is taken for gone; it says something every second."""
    answer_ms: Milliseconds = 2_000
    """An order unanswered for so long is asked about."""
    latency_ms: Milliseconds = 5
    """With memory: the way there and back …"""
    idle_ms: Milliseconds = 1_000
    """… and how often we look when nothing was sent."""


class PaperVenue(Venue):
    """Sends orders to a practice venue, and tells what comes back."""

    Config = PaperConfig
    config: PaperConfig

    def __init__(self, ctx: Any, config: Any = None) -> None:
        super().__init__(ctx, config)
        self._in_memory = self.config.address.startswith(_MEMORY)
        self.deterministic = not self._in_memory  # type: ignore[misc]  # what timers fetch cannot be recomputed
        self._state = AdapterState()
        self._link: Link | None = None
        self._own = bytearray()
        """What we have to say to ourselves: orders that could not be sent."""
        self._held: dict[int, Quote] = {}
        """Quotes of listings that have not been defined yet, by the venue's number."""

    # -- the session -----------------------------------------------------------------------------------------------

    def on_start(self) -> Outcome:
        """Return that the connection is being made."""
        return self._begin()

    def on_resume(self) -> Outcome:
        """Return that the connection is being made; where the orders stand is asked at `on_reconcile`."""
        return self._begin()

    def on_run_header(self, _header: RunHeader) -> Outcome:
        """Begin anew: another process goes on with the run, and has no connection."""
        if self._in_memory:
            # Recorded, not recomputed: what we remember may be of long ago, and reports since then have been taken.
            self._state.last_no = None
        return self._begin()

    def _begin(self) -> Outcome:
        state = self._state
        state.synced, state.question, state.resending, state.hello_ns = False, None, False, 0
        if self._in_memory:
            state.timer_ns = 0
            self._wake(self.ctx.now_ns)
        return self._connection(ConnectionStatus.CONNECTING)

    def on_stop(self) -> Outcome:
        """Hang up; what rests at the venue rests on."""
        self.ctx.effect(self._hang_up)
        return self._connection(ConnectionStatus.DOWN)

    def on_reconcile(self, question: Reconcile) -> Outcome:
        """Take the kernel's word for what is open and how much of it is filled; have the venue asked about all."""
        state = self._state
        known, state.orders = state.orders, {}
        for order_id, filled_lots in question.orders:
            held = state.orders[order_id] = known.get(order_id) or OurOrder(order_id)
            held.filled_lots, held.by_cancel = filled_lots, False
        state.question, state.changed = question.epoch, set()
        if state.synced or state.hello_ns:
            self._ask()  # an answer under way is of a question that did not name these orders
        return None

    # -- orders ----------------------------------------------------------------------------------------------------

    def on_order(self, order: Order) -> Outcome:
        """Send what is new, once it is written; cancel what is to go; remember what is in doubt."""
        state = self._state
        if order.action == IntentAction.NEW:
            if order.state == OrderState.IN_DOUBT:
                held = state.orders.setdefault(order.order_id, OurOrder.of(order, self.ctx.now_ns))
                held.in_doubt = True
                return None
            return self._new(order)
        if order.action != IntentAction.CANCEL:
            return ExecutionReport(
                order.order_id, order.listing_id, ReportKind.CANCEL_REJECTED, order.side, reason=Reason.NOT_ALLOWED
            )
        known = order.order_id in state.orders
        held = state.orders.setdefault(order.order_id, OurOrder.of(order, self.ctx.now_ns))
        held.by_cancel = held.by_cancel or not known
        held.cancel_wanted, held.sent_ns = True, self.ctx.now_ns
        if state.synced:
            self._send_cancel(held.order_id, self._number_of(held.listing_id))
        return None

    def _new(self, order: Order) -> Outcome:
        if order.order_id in self._state.orders:
            return None  # told twice, sent once
        ours, number = OurOrder.of(order, self.ctx.now_ns), self._number_of(order.listing_id)
        if not self._state.synced:
            return ours.report(ReportKind.REJECTED, Reason.RECONCILING)
        if not number:
            return ours.report(ReportKind.REJECTED, Reason.UNKNOWN_LISTING)
        self._state.orders[order.order_id] = ours
        there = msgspec.structs.replace(order, listing_id=number)
        self.ctx.effect(self._send, frame_of(there), self.ctx.now_ns, order.order_id)
        self._wake(self.ctx.now_ns + self.config.latency_ms * _MS)
        return None

    def _send_cancel(self, order_id: int, number: int) -> None:
        """Have a cancel sent; one that cannot be is sent when the venue has been asked."""
        cancel = Order(order_id, number, int(IntentAction.CANCEL))
        self.ctx.effect(self._send, frame_of(cancel), self.ctx.now_ns)
        self._wake(self.ctx.now_ns + self.config.latency_ms * _MS)

    def _number_of(self, listing_id: int) -> int:
        return next((number for number, known in self._state.listings.items() if known == listing_id), 0)

    def _ask(self) -> None:
        state = self._state
        state.ask_id += 1
        self._say(Ask(state.ask_id, list(state.orders)))

    def _say(self, note: Any) -> None:
        self.ctx.effect(self._send, frame_of(note), self.ctx.now_ns)
        self._wake(self.ctx.now_ns + self.config.latency_ms * _MS)

    # -- the connection: effects and poll, never in a play-back ------------------------------------------------------

    def _live(self) -> Link:
        if self._link is None:
            config = self.config
            if self._in_memory:
                self._link = MARKETS[config.address.removeprefix(_MEMORY)]()
            else:
                retry_s = (config.reconnect_ms_min / 1e3, config.reconnect_ms_max / 1e3)
                self._link = TcpLink(config.address, retry_s, config.silence_ms / 1e3)
        return self._link

    def _send(self, data: bytes, now_ns: int, new_order_id: int = 0) -> None:
        if not self._live().send(data, now_ns) and new_order_id:
            self._own += frame_of(Unsent(new_order_id))

    def _hang_up(self) -> None:
        if self._link is not None:
            self._link.close()
        self._link = None

    def poll(self) -> Sequence[Event]:
        """Return what the venue has said: quotes as they are, all else in its own bytes."""
        if self._in_memory:
            return ()
        data = bytes(self._own) + self._live().receive(self.ctx.now_ns)
        self._own.clear()
        if not data and not self._held:
            return ()
        kept, quotes = bytearray(), self._held
        for _, item, raw in items_of(data):
            if isinstance(item, Quote):
                quotes[item.listing_id] = item
            elif not isinstance(item, Beat) or self._concerns(item):
                kept += raw
        out: list[Event] = [PaperSaid(plugin_id=self.ctx.plugin_id, frames=bytes(kept))] if kept else []
        listings = self._state.listings
        out += [
            msgspec.structs.replace(quote, listing_id=listings[number])
            for number, quote in quotes.items()
            if number in listings
        ]
        self._held = {number: quote for number, quote in quotes.items() if number not in listings}
        return out

    def _concerns(self, beat: Beat) -> bool:
        """Return whether a sign of life is worth an input: reports are missing, or an answer is overdue."""
        return beat.last_no != self._state.last_no or self._overdue()

    def _overdue(self) -> bool:
        before_ns = self.ctx.now_ns - self.config.answer_ms * _MS
        held_here = self._state.orders.values()
        return any((not held.acked or held.cancel_wanted) and held.sent_ns < before_ns for held in held_here)

    # -- what was said -----------------------------------------------------------------------------------------------

    def on_paper_said(self, said: PaperSaid) -> Outcome:
        """Return what follows from what our venue has said."""
        return self._take(said.frames) if said.plugin_id == self.ctx.plugin_id else None

    def on_timer(self, timer: Timer) -> Outcome:
        """Fetch what a market in this process has said; look again when it is idle."""
        state = self._state
        if not self._in_memory or timer.timer_id != state.timer_id:
            return None
        state.timer_ns = 0
        data = bytes(self._own) + self._live().receive(self.ctx.now_ns)
        self._own.clear()
        out = self._take(data)
        if not state.synced and state.hello_ns and self.ctx.now_ns - state.hello_ns > self.config.answer_ms * _MS:
            self._hello()  # a market in this process may lose a word without breaking the connection
        self._wake(self.ctx.now_ns + self.config.idle_ms * _MS)
        return out

    def _wake(self, due_ns: int) -> None:
        """In memory, see that the next look comes no later than *due_ns*."""
        state = self._state
        if not self._in_memory or (state.timer_ns and state.timer_ns <= due_ns):
            return
        if state.timer_id:
            self.ctx.cancel_timer(state.timer_id)
        state.timer_ns, state.timer_id = due_ns, self.ctx.set_timer(due_ns)

    def _take(self, data: bytes) -> list[Event]:
        out: list[Event] = []
        for number, item, _ in items_of(data):
            out += self._one(number, item)
        return out

    def _one(self, number: int, item: Item) -> list[Event]:
        if isinstance(item, ExecutionReport):
            return self._report(number, item)
        if isinstance(item, (Quote, SessionState)):
            listing_id = self._state.listings.get(item.listing_id)
            if listing_id is None:
                return []
            if isinstance(item, Quote):
                return [msgspec.structs.replace(item, listing_id=listing_id)]
            return [msgspec.structs.replace(item, listing_id=listing_id, venue_id=self.ctx.plugin_id)]
        if isinstance(item, Told):
            return self._told(item)
        if isinstance(item, Beat):
            self._beat(item)
        elif isinstance(item, Listed):
            return self._listed(item)
        elif isinstance(item, Welcome):
            self._welcome(item)
        elif isinstance(item, Up):
            return self._up(item)
        elif isinstance(item, (Down, Refused)):
            return self._down(item)
        elif isinstance(item, Unsent):
            return self._unsent(item)
        return []

    def _report(self, number: int, report: ExecutionReport) -> list[Event]:
        """Take reports in their order: none twice, and after a gap none before what is missing."""
        state = self._state
        if state.last_no is None or number <= state.last_no:
            return []
        if number > state.last_no + 1:
            self._resend()
            return []
        state.last_no, state.resending = number, False
        ours = state.heard(report)
        if ours is not None and state.question is not None:
            state.changed.add(ours.order_id)
        return [] if ours is None else [ours]

    def _resend(self) -> None:
        state = self._state
        if not state.resending and state.last_no is not None:
            state.resending = True
            self._say(Resend(state.last_no))

    def _beat(self, beat: Beat) -> None:
        state = self._state
        state.resending = False  # an answer that was lost is asked for again
        if state.last_no is not None and beat.last_no > state.last_no:
            self._resend()
        if not state.synced or self._overdue():
            self._ask()

    def _up(self, up: Up) -> list[Event]:
        self._hello()
        return [self._connection(ConnectionStatus.CONNECTING, up.attempt)]

    def _hello(self) -> None:
        state, config = self._state, self.config
        state.hello_ns = self.ctx.now_ns
        self._say(
            Hello(
                VERSION, config.account, state.server, state.last_no, cancel_on_disconnect=config.cancel_on_disconnect
            )
        )

    def _down(self, said: Down | Refused) -> list[Event]:
        state = self._state
        state.synced, state.resending, state.hello_ns = False, False, 0
        why = said.why if isinstance(said, Down) else f"refused: {said.text}"
        events: list[Event] = [self._connection(ConnectionStatus.DOWN)]
        if not state.down:
            state.down = True
            events.append(
                self.ctx.alert(
                    "venue.disconnected", Severity.ERROR, f"{self.config.address}: {why}", "a connection",
                    "see the venue and the network; new orders are refused until it has told where the open ones stand",
                )
            )  # fmt: skip
        return events

    def _welcome(self, welcome: Welcome) -> None:
        """Learn which life of the venue this is; have it asked where everything stands."""
        state = self._state
        if welcome.server != state.server:
            state.server, state.listings = welcome.server, {}
        if not welcome.resends:
            state.last_no = welcome.last_no
        self._ask()

    def _listed(self, listed: Listed) -> list[Event]:
        """Return the definitions that nobody has heard yet; names are ids' keys, so ids outlive the venue."""
        ctx = self.ctx
        zone_id, currency_id = ctx.intern(IdKind.ZONE, listed.zone), ctx.intern(IdKind.CURRENCY, listed.currency)
        contract_id = ctx.intern(IdKind.CONTRACT, listed.contract)
        name = f"{ctx.name} {listed.contract}"
        listing_id = ctx.intern(IdKind.LISTING, name)
        self._state.listings[listed.number] = listing_id
        start_ns, end_ns = listed.delivery_start_ns, listed.delivery_end_ns
        zone = self._zone(listed, zone_id)
        step_ns = zone.interval_minutes * _MINUTE_NS
        known = ctx.listing(listing_id)
        told = ListingDefinition(
            listing_id=listing_id, contract_id=contract_id, venue_id=ctx.plugin_id, name=name,
            tick_micro=listed.tick_micro, lot_kw=listed.lot_kw, price_min_ticks=listed.price_min_ticks,
            price_max_ticks=listed.price_max_ticks, opens_ns=known.opens_ns if known else listed.opens_ns,
            gate_closure_ns=listed.gate_closure_ns, cash_micro_per_lot_tick=listed.cash_micro_per_lot_tick,
            interval_start_ns=start_ns, interval_ns=step_ns, interval_count=(end_ns - start_ns) // step_ns,
        )  # fmt: skip
        if told == known:
            return []
        contract = ContractDefinition(
            contract_id=contract_id, name=listed.contract, zone_id=zone_id, product=listed.product,
            delivery_start_ns=start_ns, delivery_end_ns=end_ns, currency_id=currency_id,
            price_unit=f"{listed.currency}/MWh",
        )  # fmt: skip
        out: list[Event] = [contract, told]
        if zone_id not in self._state.zones:
            self._state.zones.add(zone_id)
            out.insert(0, zone)
        return out

    def _zone(self, listed: Listed, zone_id: int) -> ZoneDefinition:
        """Return the zone by our rules, which have its grid; by the venue's word where they do not know it."""
        try:
            return zone_definition(market_zone(listed.zone, None, self.ctx.reference), self.ctx.intern)
        except EnergyError:
            return ZoneDefinition(
                zone_id=zone_id, code=listed.zone, timezone=listed.timezone, currency=listed.currency
            )  # fmt: skip

    def _told(self, told: Told) -> list[Event]:
        """Return the reports that were missed, and that the venue's word is complete."""
        state = self._state
        if told.ask_id != state.ask_id:
            return []  # an earlier question's: another is on its way
        out: list[Event] = []
        confirmed = 0
        lost = [t.order_id for t in told.orders if not t.state and self._was_there(t.order_id)]
        for order_told in told.orders:
            known = order_told.order_id in state.orders
            reports = state.told(order_told)
            out += reports
            if reports and state.question is not None:
                state.changed.add(order_told.order_id)
            confirmed += known and order_told.order_id not in state.changed
            held = state.orders.get(order_told.order_id)
            if held is not None and held.cancel_wanted:
                held.sent_ns = self.ctx.now_ns
                self._send_cancel(held.order_id, order_told.listing)
        # Of orders sent since the question nothing can be said yet; of the rest this is the last word.
        foreign = [(order_id, number) for order_id, number in told.foreign if order_id not in state.orders]
        for order_id, number in foreign:
            self._send_cancel(order_id, number)
        state.last_no = max(told.last_no, state.last_no or 0)
        return [*self._lost(lost), *out, *self._synced(confirmed, len(foreign))]

    def _was_there(self, order_id: int) -> bool:
        held = self._state.orders.get(order_id)
        return held is not None and held.acked and not held.in_doubt

    def _lost(self, lost: list[int]) -> list[Event]:
        if not lost:
            return []
        shown = ", ".join(map(str, lost[:3])) + (" …" if len(lost) > 3 else "")
        return [
            self.ctx.alert(
                "venue.orders_lost", Severity.ERROR, f"{len(lost)} orders that it had acknowledged are gone: {shown}",
                "orders that end by a fill, a cancel or a gate", "ask the venue what became of them; check positions",
            )
        ]  # fmt: skip

    def _synced(self, confirmed: int, foreign: int) -> list[Event]:
        """Return that the connection stands, and the answer to the kernel's question if there is one."""
        state = self._state
        out: list[Event] = []
        if not state.synced:
            state.synced = True
            out.append(self._connection(ConnectionStatus.UP))
        if state.down:
            state.down = False
            out.append(
                Alert(
                    code="venue.disconnected", severity=Severity.ERROR, subject=self.ctx.name,
                    met=f"{self.config.address} is connected", cleared=True,
                )
            )  # fmt: skip
        if state.question is not None:
            epoch, corrected = state.question, len(state.changed)
            state.question, state.changed = None, set()
            out.append(
                Reconciled(
                    venue_id=self.ctx.plugin_id, epoch=epoch, confirmed=confirmed, corrected=corrected, foreign=foreign
                )
            )
        elif foreign:
            out.append(
                self.ctx.alert(
                    "venue.foreign_orders", Severity.ERROR, f"{foreign} orders in our name that we do not know",
                    "orders of this instance alone", "they are being cancelled; ask who else trades on this account",
                )
            )  # fmt: skip
        return out

    def _unsent(self, unsent: Unsent) -> list[Event]:
        held = self._state.orders.get(unsent.order_id)
        if held is None or held.in_doubt or held.acked:
            return []  # an earlier process may have sent it: the question tells
        del self._state.orders[unsent.order_id]
        return [held.report(ReportKind.REJECTED, Reason.RECONCILING)]

    def _connection(self, status: ConnectionStatus, attempt: int = 0) -> ConnectionState:
        return ConnectionState(self.ctx.plugin_id, int(status), attempt=attempt)

    # -- state -----------------------------------------------------------------------------------------------------

    def snapshot(self) -> Any:
        """Return what the handlers remember."""
        return {"state": msgspec.msgpack.encode(self._state)}

    def restore(self, state: Any) -> None:
        """Take back what `snapshot` returned.

        Raises:
            ValueError: it is another version's.
        """
        self._state = msgspec.msgpack.decode(state["state"], type=AdapterState)

    @staticmethod
    def cancel_all_outside(config: PaperConfig) -> int:  # type: ignore[override]  # a callable, declared as a variable
        """Cancel every order of the account over a connection of its own; return how many. Waits five seconds at most.

        Raises:
            OSError: no connection, or no answer.
            ProtocolError: the venue refused.
        """
        hello = Hello(VERSION, config.account, reports=False)
        return converse(config.address, hello, CancelAll(), _OUTSIDE_TIMEOUT_S).orders
