"""The practice venue itself: accounts, orders and books behind any number of connections; no socket, no clock.

`receive` and `step` are told the time, and leave what is to be sent in each connection's ``out``. The same calls give
the same bytes. Orders belong to accounts, not to connections: who comes back finds them as they are.

**Invariant:** an order id is taken once. The same order again changes nothing, and an id that was asked about before it
came is never taken: whoever was told that an order never came can rely on it.
**Invariant:** an account's reports are numbered without a gap.
"""

# ruff: noqa: F403, F405 -- the columns of the engine's tables are this module's vocabulary

from __future__ import annotations

from collections import deque
from datetime import date

import msgspec
import numpy as np

from penstock_plugins.venues.paper_books import BACKGROUND_REF, DayBooks, MarketConfig
from penstock_plugins.venues.paper_protocol import (
    VERSION,
    Ask,
    Beat,
    CancelAll,
    Cancelled,
    Hello,
    Item,
    Listed,
    OrderTold,
    Refused,
    Resend,
    Told,
    Welcome,
    frame_of,
)
from penstock_sdk.energy import TradingDays, ns_to_local
from penstock_sdk.events import (
    ExecutionReport,
    IntentAction,
    Liquidity,
    Order,
    OrderKind,
    OrderState,
    Quote,
    Reason,
    ReportKind,
    SessionState,
    SessionStatus,
    Side,
    Tradability,
)
from penstock_sdk.golden import matching
from penstock_sdk.golden.matching_layout import *

__all__ = ["Account", "Connection", "Held", "PaperMarket"]

REPORTS_KEPT = 100_000
"""Reports of an account that can be sent again; who missed more has to ask."""
STEP_NS = 1_000_000_000
_STEPS_MAX = 5
_ENDED = (OrderState.FILLED, OrderState.CANCELLED, OrderState.EXPIRED, OrderState.REJECTED)


class Held(msgspec.Struct):
    """An order that came, or an id that was asked about and never came (state UNKNOWN)."""

    order_id: int
    ref: int = 0
    listing: int = 0
    side: int = 0
    qty_lots: int = 0
    price_ticks: int = ABSENT
    state: OrderState = OrderState.UNKNOWN
    reason: int = 0
    filled_lots: int = 0
    trades: list[tuple[int, int, int, int]] = msgspec.field(default_factory=list)

    def told(self) -> OrderTold:
        """Return where it stands."""
        return OrderTold(
            self.order_id,
            int(self.state),
            self.reason,
            self.filled_lots,
            self.trades,
            self.listing,
            self.side,
            self.ref,
        )


class Account(msgspec.Struct):
    """What is kept for whoever trades under one name."""

    name: str
    number: int
    orders: dict[int, Held] = {}
    last_no: int = 0
    reports: deque[tuple[int, bytes]] = msgspec.field(default_factory=lambda: deque(maxlen=REPORTS_KEPT))

    def open_orders(self) -> list[Held]:
        """Return the orders that are in a book."""
        return [held for held in self.orders.values() if held.state and held.state not in _ENDED]


class Connection(msgspec.Struct):
    """One who is connected. *out* is what is to be sent; *over* is set when there is no more to say."""

    out: bytearray = msgspec.field(default_factory=bytearray)
    account: Account | None = None
    reports: bool = False
    cancel_on_disconnect: bool = False
    over: bool = False

    def say(self, item: Item, number: int = 0) -> None:
        """Add to what is to be sent."""
        self.out += frame_of(item, number)


class PaperMarket:
    """A market that lives on when its clients do not. *name* is of this life of it."""

    def __init__(self, config: MarketConfig, now_ns: int, name: str = "paper-1") -> None:
        self.config, self.name, self.now_ns = config, name, now_ns
        self.accounts: dict[str, Account] = {}
        self.connections: list[Connection] = []
        self._random = np.random.default_rng(config.seed)
        rolling = config.day == "rolling"
        zone_day = TradingDays.of(config.zone, "2000-01-01" if rolling else config.day, "rolling" if rolling else 1)
        self._days = zone_day
        self._books: list[DayBooks] = []
        self._by_ref: dict[int, tuple[Account, Held]] = {}
        """Orders in a book, by the venue's number."""
        self._refs, self._trades, self._listings = 0, 0, 0
        self._background_ref = BACKGROUND_REF
        self._stepped_ns = now_ns
        self._announce()

    # -- connections -----------------------------------------------------------------------------------------------

    def connect(self) -> Connection:
        """Return a new connection; it says `Hello` first."""
        connection = Connection()
        self.connections.append(connection)
        return connection

    def disconnect(self, connection: Connection, now_ns: int) -> None:
        """Forget a connection; its account's orders rest, unless it wanted otherwise."""
        self.now_ns = max(self.now_ns, now_ns)
        if connection in self.connections:
            self.connections = [other for other in self.connections if other is not connection]
            if connection.cancel_on_disconnect and connection.account is not None:
                self._cancel_all(connection.account)

    def receive(self, connection: Connection, item: Item, now_ns: int) -> None:
        """Do what one note or record asks for."""
        self.now_ns = max(self.now_ns, now_ns)
        account = connection.account
        if connection.over:
            return
        if isinstance(item, Hello):
            self._hello(connection, item)
        elif account is None:
            self._refuse(connection, f"met {type(item).__name__} before Hello")
        elif isinstance(item, Order):
            self._order(account, item)
        elif isinstance(item, Ask):
            connection.say(self._told(account, item))
        elif isinstance(item, Resend):
            self._resend(connection, account, item.since)
        elif isinstance(item, CancelAll):
            connection.say(Cancelled(self._cancel_all(account)))
        else:
            self._refuse(connection, f"met {type(item).__name__}, which a client does not say")

    def _refuse(self, connection: Connection, text: str) -> None:
        connection.say(Refused(text))
        connection.over = True

    def _hello(self, connection: Connection, hello: Hello) -> None:
        if hello.version != VERSION or not hello.account:
            self._refuse(connection, f"met version {hello.version} and account {hello.account!r}, wanted {VERSION}")
            return
        account = self.accounts.get(hello.account)
        if account is None:
            account = self.accounts[hello.account] = Account(hello.account, len(self.accounts) + 1, {})
        connection.account, connection.reports = account, hello.reports
        connection.cancel_on_disconnect = hello.cancel_on_disconnect
        first = account.reports[0][0] if account.reports else account.last_no + 1
        since = hello.since if hello.server == self.name else None
        resends = since is not None and first - 1 <= since <= account.last_no
        connection.say(Welcome(self.name, account.last_no, resends))
        if not hello.reports:
            return
        for day in self._books:
            self._tell_day(connection, day)
        if resends and since is not None:
            self._resend(connection, account, since)

    def _tell_day(self, connection: Connection, day: DayBooks) -> None:
        for listed in day.listings:
            connection.say(listed)
        for book in range(len(day.listings)):
            connection.say(self._session(day, book))
        for book, top in day.tops.items():
            connection.say(self._quote(day, book, top))

    @staticmethod
    def _resend(connection: Connection, account: Account, since: int) -> None:
        for number, data in account.reports:
            if number > since:
                connection.out += data

    def _hearers(self, account: Account | None = None) -> list[Connection]:
        return [c for c in self.connections if c.reports and (account is None or c.account is account)]

    # -- orders ----------------------------------------------------------------------------------------------------

    def _order(self, account: Account, order: Order) -> None:
        held = account.orders.get(order.order_id)
        if order.action == IntentAction.NEW:
            if held is None:  # the same order again is done once
                self._new(account, order)
        elif order.action == IntentAction.CANCEL and held is not None and self._by_ref.get(held.ref):
            self._cancel(held)
        else:
            held = held or Held(order.order_id, listing=order.listing_id, side=order.side)
            self._report(account, held, ReportKind.CANCEL_REJECTED, Reason.UNKNOWN_ORDER)

    def _new(self, account: Account, order: Order) -> None:
        self._refs += 1
        held = Held(
            order.order_id, self._refs, order.listing_id, order.side, order.qty_lots, order.price_ticks,
            OrderState.WORKING,
        )  # fmt: skip
        account.orders[order.order_id] = held
        day = self._day_of(order.listing_id)
        if day is None:
            self._end(account, held, OrderState.REJECTED, Reason.UNKNOWN_LISTING)
            return
        book = order.listing_id - day.first
        listed = day.listings[book]
        if order.kind != OrderKind.MARKET and not (
            listed.price_min_ticks <= order.price_ticks <= listed.price_max_ticks
        ):
            self._end(account, held, OrderState.REJECTED, Reason.PRICE_BOUNDS)
            return
        owner = account.number << 32 | order.strategy_id
        status = day.submit(book, held.ref, owner, order.side, order.kind, order.price_ticks, order.qty_lots)
        if status >= REFUSED:
            self._end(account, held, OrderState.REJECTED, matching.REASON_OF_STATUS[status])
            return
        self._by_ref[held.ref] = (account, held)
        self._report(account, held, ReportKind.ACCEPTED, Reason.NONE)
        self._outcome(day, Reason.SELF_TRADE)
        if matching.results(day.out)[0][RESULT_CANCELLED]:
            self._end(account, held, OrderState.CANCELLED, Reason.NO_LIQUIDITY)

    def _cancel(self, held: Held) -> None:
        day = self._day_of(held.listing)
        assert day is not None, "what rests, rests in a book"
        matching.cancel(day.state, day.out, held.ref)
        self._outcome(day, Reason.NONE)

    def _cancel_all(self, account: Account) -> int:
        resting = account.open_orders()
        for held in resting:
            self._cancel(held)
        return len(resting)

    def _outcome(self, day: DayBooks, reason: Reason) -> None:
        """Report what the engine's last call did to orders that are somebody's; tell everybody of new best prices."""
        for row in matching.fills(day.out).tolist():
            self._trades += 1
            taker, maker = self._by_ref.get(row[FILL_TAKER_ID]), self._by_ref.get(row[FILL_MAKER_ID])
            for who, liquidity in ((taker, Liquidity.TAKER), (maker, Liquidity.MAKER)):
                if who is not None:
                    self._fill(*who, row[FILL_PRICE], row[FILL_QTY], liquidity)
        for row in matching.cancels(day.out).tolist():
            owner = self._by_ref.get(row[CANCEL_ORDER_ID])
            if owner is not None:
                closed = row[CANCEL_CAUSE] == CAUSE_CLOSED
                state = OrderState.EXPIRED if closed else OrderState.CANCELLED
                self._end(*owner, state, Reason.GATE_CLOSED if closed else reason)
        for book, top in day.top_changes():
            quote = frame_of(self._quote(day, book, top))
            for connection in self._hearers():
                connection.out += quote

    def _fill(self, account: Account, held: Held, price_ticks: int, lots: int, liquidity: Liquidity) -> None:
        held.filled_lots += lots
        held.trades.append((self._trades, price_ticks, lots, int(liquidity)))
        whole = held.filled_lots == held.qty_lots
        held.state = OrderState.FILLED if whole else OrderState.PARTLY_FILLED
        if whole:
            del self._by_ref[held.ref]
        self._report(account, held, ReportKind.FILL, Reason.NONE)

    def _end(self, account: Account, held: Held, state: OrderState, reason: Reason) -> None:
        self._by_ref.pop(held.ref, None)
        held.state, held.reason = state, int(reason)
        kind = {
            OrderState.REJECTED: ReportKind.REJECTED,
            OrderState.EXPIRED: ReportKind.EXPIRED,
            OrderState.CANCELLED: ReportKind.CANCELLED,
        }[state]
        self._report(account, held, kind, reason)

    def _report(self, account: Account, held: Held, kind: ReportKind, reason: Reason) -> None:
        """Number a report, keep it, and send it to all of the account who listen."""
        trade, price_ticks, lots, liquidity = held.trades[-1] if kind == ReportKind.FILL else (ABSENT, ABSENT, 0, 0)
        leaves = 0 if held.state in _ENDED else held.qty_lots - held.filled_lots
        report = ExecutionReport(
            held.order_id, held.listing, int(kind), held.side, liquidity, 0, price_ticks, lots, leaves, trade,
            held.ref, 0, int(reason), 0, self.now_ns,
        )  # fmt: skip
        account.last_no += 1
        data = frame_of(report, account.last_no)
        account.reports.append((account.last_no, data))
        for connection in self._hearers(account):
            connection.out += data

    def _told(self, account: Account, ask: Ask) -> Told:
        named = set(ask.orders)
        told = [account.orders.setdefault(order_id, Held(order_id)).told() for order_id in ask.orders]
        foreign = [(held.order_id, held.listing) for held in account.open_orders() if held.order_id not in named]
        return Told(ask.ask_id, account.last_no, told, foreign)

    # -- time ------------------------------------------------------------------------------------------------------

    def step(self, now_ns: int) -> None:
        """Let time come to *now_ns*: days are announced, gates close, and the market's own traders act once a second.

        Of a longer silence only the last few seconds are made up for.
        """
        self.now_ns = max(self.now_ns, now_ns)
        for day in self._books:
            for book in day.close_due(self.now_ns):
                while not day.close(book):
                    self._outcome(day, Reason.GATE_CLOSED)
                self._outcome(day, Reason.GATE_CLOSED)
                self._tell(day, book)
        self._announce()
        steps = (self.now_ns - self._stepped_ns) // STEP_NS
        if not steps:
            return
        self._stepped_ns += steps * STEP_NS
        for _ in range(min(steps, _STEPS_MAX)):
            self._background()
        for connection in self._hearers():
            assert connection.account is not None
            connection.say(Beat(connection.account.last_no))

    def _background(self) -> None:
        places = [(day, book) for day in self._books for book in sorted(day.open)]
        for rate, act in ((self.config.requotes_per_s, DayBooks.requote), (self.config.takers_per_s, DayBooks.take)):
            for _ in range(int(self._random.poisson(rate)) if places else 0):
                day, book = places[int(self._random.integers(len(places)))]
                self._background_ref += 2
                day.do(act(day, book, self._background_ref, self.config, self._random))
                self._outcome(day, Reason.NONE)

    def _announce(self) -> None:
        """Begin the days whose time has come, and let go of those that are over, with their orders."""
        for day in [day for day in self._books if self.config.day == "rolling" and day.last_gate_ns <= self.now_ns]:
            numbers = range(day.first, day.first + len(day.listings))
            for account in self.accounts.values():
                account.orders = {n: held for n, held in account.orders.items() if held.listing not in numbers}
            self._books.remove(day)
        for date_ in self._live_days():
            if all(day.day != date_ for day in self._books) and (not self._books or date_ > self._books[-1].day):
                day = DayBooks(self.config, date_, self._listings + 1, self.now_ns)
                if day.open:
                    self._listings += len(day.listings)
                    self._books.append(day)
                    for connection in self._hearers():
                        self._tell_day(connection, day)

    def _live_days(self) -> list[date]:
        if self.config.day != "rolling":
            return [] if self._books else [self._days.first]
        today = ns_to_local(self.now_ns, self._days.zone.timezone).date()
        return [day for day in self._days.live(self.now_ns) if day >= today]

    def _tell(self, day: DayBooks, book: int) -> None:
        for connection in self._hearers():
            connection.say(self._session(day, book))

    def _day_of(self, listing: int) -> DayBooks | None:
        return next((day for day in self._books if 0 <= listing - day.first < len(day.listings)), None)

    def _session(self, day: DayBooks, book: int) -> SessionState:
        status, reason = SessionStatus.OPEN, Reason.NONE
        if book not in day.open:
            status, reason = SessionStatus.CLOSED, Reason.GATE_CLOSED
        return SessionState(day.first + book, 0, int(status), 0, int(reason), self.now_ns, self.now_ns)

    def _quote(self, day: DayBooks, book: int, top: tuple[int, int, int, int]) -> Quote:
        bid, bid_lots, ask, ask_lots = top
        return Quote(
            day.first + book, int(Tradability.TRADABLE), 0, 0, bid, max(bid_lots, 0), ask, max(ask_lots, 0), self.now_ns
        )

    # -- for tests and rehearsals ----------------------------------------------------------------------------------

    def net_lots(self, account: str) -> dict[int, int]:
        """Return what an account has bought less sold, by listing number, of orders that are still kept."""
        net: dict[int, int] = {}
        for held in self.accounts[account].orders.values() if account in self.accounts else ():
            signed = held.filled_lots if held.side == Side.BUY else -held.filled_lots
            if signed:
                net[held.listing] = net.get(held.listing, 0) + signed
        return net

    def listed(self) -> list[Listed]:
        """Return what is traded now, by its gate."""
        open_now = [day.listings[book] for day in self._books for book in day.open]
        return sorted(open_now, key=lambda each: each.gate_closure_ns)

    def held(self, account: str, order_id: int) -> Held:
        """Return an order that rests.

        Raises:
            LookupError: there is none of this number in the account.
        """
        known = self.accounts.get(account)
        held = known.orders.get(order_id) if known is not None else None
        if held is None or held.ref not in self._by_ref:
            raise LookupError(f"order {order_id} of account {account} met, wanted one that rests")
        return held

    def withdraw(self, account: str, order_id: int) -> None:
        """Cancel an order that rests, as the market does of its own accord. Raises LookupError."""
        held = self.held(account, order_id)
        day = self._day_of(held.listing)
        assert day is not None, "what rests, rests in a book"
        matching.cancel(day.state, day.out, held.ref)
        self._outcome(day, Reason.UNSOLICITED)

    def trade(self, listing: int, side: int, price_ticks: int, lots: int) -> None:
        """Have somebody else deal at once with what rests at *price_ticks* or better: a rehearsal's own hand."""
        day = self._day_of(listing)
        assert day is not None, f"listing {listing} is not traded"
        self._background_ref += 2
        day.do([[OP_SUBMIT, listing - day.first, self._background_ref, ANONYMOUS, side, IOC, price_ticks, lots]])
        self._outcome(day, Reason.NONE)
