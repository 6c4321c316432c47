"""The practice venue keeps its word: ids once, reports without a gap, orders that outlive who sent them, gates."""

from __future__ import annotations

from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from penstock_plugins.venues.paper_books import MarketConfig
from penstock_plugins.venues.paper_market import REPORTS_KEPT, Connection, PaperMarket
from penstock_plugins.venues.paper_protocol import (
    VERSION,
    Ask,
    Beat,
    CancelAll,
    Cancelled,
    Hello,
    Listed,
    ProtocolError,
    Refused,
    Resend,
    Told,
    Welcome,
    frame_of,
    items_of,
    whole_bytes,
)
from penstock_plugins.venues.paper_server import PaperServer
from penstock_sdk.energy import announced_ns, delivery_day
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
    Trade,
)

DAY = date(2026, 3, 10)
START_NS = announced_ns("DE-LU", DAY)
HOUR_NS = 3_600_000_000_000
SECOND_NS = 1_000_000_000
QUIET = MarketConfig(day=DAY.isoformat(), products=("H",), requotes_per_s=0, takers_per_s=0, order_capacity=64)


class Client:
    """Somebody at the market."""

    def __init__(self, market: PaperMarket, account: str = "desk", **hello: Any) -> None:
        self.market = market
        self.connection: Connection = market.connect()
        self.say(Hello(VERSION, account, **hello))

    def say(self, item: Any) -> None:
        self.market.receive(self.connection, item, self.market.now_ns)

    def heard(self, *types: type) -> list[Any]:
        """Return what has been said since, of these types."""
        items = [(number, item) for number, item, _ in items_of(self.connection.out)]
        self.connection.out.clear()
        self.numbers = [number for number, _ in items if number]
        return [item for _, item in items if not types or isinstance(item, types)]

    def order(self, order_id: int, side: int, price_ticks: int, lots: int = 5, **more: Any) -> None:
        self.say(
            Order(
                order_id, 1, int(IntentAction.NEW), side, more.pop("kind", OrderKind.LIMIT), price_ticks=price_ticks,
                qty_lots=lots, **more,
            )
        )  # fmt: skip

    def cancel(self, order_id: int) -> None:
        self.say(Order(order_id, 1, int(IntentAction.CANCEL)))

    def reports(self) -> list[tuple[int, str, int, int]]:
        """Return (order, kind, lots, lots left) of the reports since."""
        return [(r.order_id, ReportKind(r.kind).name, r.last_lots, r.leaves_lots) for r in self.heard(ExecutionReport)]

    def leave(self) -> None:
        self.market.disconnect(self.connection, self.market.now_ns)


@pytest.fixture
def market() -> PaperMarket:
    return PaperMarket(QUIET, START_NS)


def test_two_accounts_deal_and_both_are_told(market: PaperMarket) -> None:
    maker, taker = Client(market), Client(market, "other")
    maker.order(1, Side.BUY, 6_000, 5)
    taker.order(1, Side.SELL, 5_990, 8)
    assert maker.reports() == [(1, "ACCEPTED", 0, 5), (1, "FILL", 5, 0)]
    fills = [report for report in taker.heard(ExecutionReport) if report.kind == ReportKind.FILL]
    assert [(f.last_ticks, f.last_lots, f.leaves_lots, f.liquidity) for f in fills] == [(6_000, 5, 3, Liquidity.TAKER)]
    assert (market.net_lots("desk"), market.net_lots("other")) == ({1: 5}, {1: -5})


def test_the_same_order_again_changes_nothing(market: PaperMarket) -> None:
    client = Client(market)
    for _ in range(3):
        client.order(1, Side.BUY, 6_000)
    assert client.reports() == [(1, "ACCEPTED", 0, 5)]
    client.cancel(1)
    client.order(1, Side.BUY, 6_000)
    client.cancel(1)
    assert client.reports() == [(1, "CANCELLED", 0, 0), (1, "CANCEL_REJECTED", 0, 0)]


def test_an_id_that_was_asked_about_before_it_came_is_never_taken(market: PaperMarket) -> None:
    client = Client(market)
    client.say(Ask(1, [7]))
    (told,) = client.heard(Told)
    assert told.orders[0].state == OrderState.UNKNOWN
    client.order(7, Side.BUY, 6_000)
    assert client.reports() == []
    client.say(Ask(2, [7]))
    (told,) = client.heard(Told)
    assert (told.orders[0].state, told.foreign) == (OrderState.UNKNOWN, [])


def test_orders_outlive_their_connection_and_reports_are_sent_again_from_any_number(market: PaperMarket) -> None:
    client = Client(market)
    client.order(1, Side.BUY, 6_000, 5)
    client.order(2, Side.BUY, 5_900, 5)
    client.heard()
    client.leave()
    market.trade(1, Side.SELL, 6_000, 2)
    again = Client(market, server=market.name, since=2)
    heard = again.heard(Welcome, ExecutionReport)
    assert heard[0] == Welcome(market.name, 3, True)
    assert [(r.order_id, r.last_lots, r.leaves_lots) for r in heard[1:]] == [(1, 2, 3)]
    again.say(Resend(0))
    again.heard()
    assert again.numbers == [1, 2, 3]
    again.say(Ask(1, [1]))
    (told,) = again.heard(Told)
    assert (told.last_no, told.orders[0].filled_lots, told.foreign) == (3, 2, [(2, 1)])
    assert [lots for _, _, lots, _ in told.orders[0].trades] == [2]


def test_a_cancel_that_comes_too_late_is_rejected(market: PaperMarket) -> None:
    client = Client(market)
    client.order(1, Side.BUY, 6_000, 2)
    market.trade(1, Side.SELL, 6_000, 2)
    client.cancel(1)
    assert [kind for _, kind, _, _ in client.reports()] == ["ACCEPTED", "FILL", "CANCEL_REJECTED"]


def test_all_reports_from_the_first_can_be_sent_again(market: PaperMarket) -> None:
    client = Client(market)
    client.order(1, Side.BUY, 6_000)
    again = Client(market, server=market.name, since=0)
    assert again.heard(Welcome) == [Welcome(market.name, 1, True)]
    assert again.numbers == [1]


@pytest.mark.parametrize(("server", "since"), [("another", 1), ("paper-1", 9), ("paper-1", None)])
def test_what_cannot_be_sent_again_is_not_promised(market: PaperMarket, server: str, since: int | None) -> None:
    client = Client(market)
    client.order(1, Side.BUY, 6_000)
    again = Client(market, server=server, since=since)
    heard = again.heard(Welcome, ExecutionReport)
    assert heard == [Welcome(market.name, 1, False)]
    assert REPORTS_KEPT >= 10_000


def test_who_wanted_so_has_all_cancelled_when_the_connection_ends(market: PaperMarket) -> None:
    stays, goes = Client(market, "stays"), Client(market, "goes", cancel_on_disconnect=True)
    for client in (stays, goes):
        client.order(1, Side.BUY, 6_000)
        client.leave()
    assert [len(market.accounts[name].open_orders()) for name in ("stays", "goes")] == [1, 0]


def test_cancel_all_cancels_the_accounts_orders_and_says_how_many(market: PaperMarket) -> None:
    client, other = Client(market), Client(market, "other")
    for order_id in (1, 2, 3):
        client.order(order_id, Side.BUY, 6_000)
        other.order(order_id, Side.BUY, 6_000)
    helper = Client(market, reports=False)
    helper.heard()
    helper.say(CancelAll())
    assert helper.heard() == [Cancelled(3)]
    helper.say(CancelAll())
    assert helper.heard() == [Cancelled(0)]
    assert len(market.accounts["other"].open_orders()) == 3
    assert [kind for _, kind, _, _ in client.reports()] == ["ACCEPTED"] * 3 + ["CANCELLED"] * 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"price_ticks": 10_000_000}, Reason.PRICE_BOUNDS),
        ({"lots": 0}, Reason.MALFORMED),
        ({"kind": OrderKind.FOK}, Reason.NO_LIQUIDITY),
    ],
)
def test_a_bad_order_is_rejected_with_its_reason(market: PaperMarket, change: dict[str, Any], reason: Reason) -> None:
    client = Client(market)
    client.heard()
    client.order(1, Side.BUY, **({"price_ticks": 6_000} | change))
    (report,) = client.heard(ExecutionReport)
    assert (report.kind, report.reason) == (ReportKind.REJECTED, reason)


def test_what_an_immediate_order_does_not_deal_is_cancelled(market: PaperMarket) -> None:
    maker, client = Client(market, "other"), Client(market)
    maker.order(1, Side.SELL, 6_000, 2)
    client.order(1, Side.BUY, 6_000, 5, kind=OrderKind.IOC)
    assert client.reports() == [(1, "ACCEPTED", 0, 5), (1, "FILL", 2, 3), (1, "CANCELLED", 0, 0)]


def test_at_the_gate_orders_expire_and_nothing_more_is_taken(market: PaperMarket) -> None:
    client = Client(market)
    client.order(1, Side.BUY, 6_000)
    gate_ns = next(one.gate_closure_ns for one in client.heard(Listed) if one.number == 1)
    market.step(gate_ns - 1)
    assert client.heard(ExecutionReport, SessionState) == []
    market.step(gate_ns)
    report, session = client.heard(ExecutionReport, SessionState)
    assert (report.kind, report.reason) == (ReportKind.EXPIRED, Reason.GATE_CLOSED)
    assert (session.listing_id, session.status) == (1, SessionStatus.CLOSED)
    client.order(2, Side.BUY, 6_000)
    assert client.reports() == [(2, "REJECTED", 0, 0)]


def test_rolling_days_come_and_go_with_their_orders() -> None:
    config = MarketConfig(products=("H",), requotes_per_s=0, takers_per_s=0, order_capacity=64)
    midnight_ns = delivery_day("DE-LU", DAY).start_ns
    market = PaperMarket(config, midnight_ns + 10 * HOUR_NS)
    client = Client(market)
    assert {one.contract[:18] for one in client.heard(Listed)} == {"DE-LU H 2026-03-10"}
    last = Order(1, 24, int(IntentAction.NEW), Side.BUY, OrderKind.LIMIT, price_ticks=1, qty_lots=1)
    client.say(last)
    market.step(announced_ns("DE-LU", date(2026, 3, 11)))
    listed = client.heard(Listed)
    assert [(one.number, one.contract[:18]) for one in listed[:1]] == [(25, "DE-LU H 2026-03-11")]
    for hour in range(15, 26):
        market.step(midnight_ns + hour * HOUR_NS)
    assert [kind for _, kind, _, _ in client.reports()] == ["EXPIRED"]
    assert len(market._books) == 1
    assert market.accounts["desk"].orders == {}


def test_the_markets_own_traders_quote_and_deal_alike_for_one_seed() -> None:
    config = MarketConfig(day=DAY.isoformat(), products=("H",), seed=7, requotes_per_s=20, takers_per_s=5)
    said = []
    for _ in range(2):
        market = PaperMarket(config, START_NS)
        client = Client(market)
        client.order(1, Side.BUY, 6_050, 3)
        for second in range(1, 20):
            market.step(START_NS + second * SECOND_NS)
        said.append(bytes(client.connection.out))
        heard = client.heard(Quote, Beat)
        assert sum(isinstance(item, Quote) for item in heard) > 50
        assert sum(isinstance(item, Beat) for item in heard) == 19
    assert said[0] == said[1]


@pytest.mark.parametrize("item", [Welcome("x", 0, False), Beat(1)])
def test_who_says_what_a_client_does_not_is_refused(market: PaperMarket, item: Any) -> None:
    client = Client(market)
    client.heard()
    client.say(item)
    (refused,) = client.heard()
    assert isinstance(refused, Refused)
    assert type(item).__name__ in refused.text
    assert client.connection.over


def test_hello_comes_first_and_in_our_version(market: PaperMarket) -> None:
    for first in (Ask(1, []), Hello(VERSION + 1, "desk"), Hello(VERSION, "")):
        connection = market.connect()
        market.receive(connection, first, START_NS)
        assert connection.over
        assert [type(item) for _, item, _ in items_of(connection.out)] == [Refused]


def test_frames_that_are_none_are_told() -> None:
    good = frame_of(Beat(3), 0)
    assert whole_bytes(good + good[:-1]) == len(good)
    with pytest.raises(ProtocolError, match=r"^47 bytes end within a frame"):
        list(items_of(good[:47]))
    with pytest.raises(ProtocolError, match=r"^a frame met a body of 4294967295 bytes"):
        whole_bytes(b"\xff" * 48)
    with pytest.raises(ProtocolError, match=r"^a note cannot be read"):
        list(items_of(good[:48] + b"\xc1" * (len(good) - 48)))
    with pytest.raises(ProtocolError, match=r"^a frame met schema 2 version 1"):
        list(items_of(frame_of(Trade(1))))


def test_a_venue_that_keeps_its_inputs_is_after_a_restart_what_it_was(tmp_path: Path) -> None:
    config = MarketConfig(day="2099-01-02", products=("H",), requotes_per_s=0, takers_per_s=0, order_capacity=64)
    file = tmp_path / "venue.bin"
    with closing(PaperServer(config, file)) as server:
        server._input(1, b"")
        server._input(1, frame_of(Hello(VERSION, "desk")))
        for order_id, side in ((1, Side.BUY), (2, Side.BUY), (3, Side.SELL)):
            order = Order(
                order_id, 1, int(IntentAction.NEW), side, OrderKind.LIMIT, price_ticks=6_000, qty_lots=order_id
            )
            server._input(1, frame_of(order))
        before, name = server.market.accounts["desk"], server.market.name
    assert before.last_no == 5  # the third order is of the same owner: it cancels the two that it meets
    with file.open("ab") as cut:
        cut.write(b"\x40\0\0\0cut by a crash")
    for _ in range(2):
        with closing(PaperServer(MarketConfig(), file)) as server:
            after = server.market.accounts["desk"]
        assert server.market.name == name
        assert (after.last_no, after.orders) == (before.last_no, before.orders)
        assert list(after.reports) == list(before.reports)
