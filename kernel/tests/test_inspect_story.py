"""What a journal tells of an order without a play-back: refusals without a check, cancels by whom, orders not ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock_kernel.inspect import InspectError, diff_runs, explain_order
from penstock_kernel.inspect.asked import order_id_of, order_name
from penstock_kernel.inspect.journal_view import JournalView, entries_of
from penstock_kernel.inspect.lines import difference_lines, explanation_lines
from penstock_kernel.inspect.market_words import MarketWords, span_text, utc_text
from penstock_kernel.lake.tail import Tail
from penstock_kernel.runs import RunInfo
from penstock_sdk.events import (
    Alert,
    BookOrderDelta,
    ClockKind,
    ExecutionReport,
    IdKind,
    IntentAction,
    Interned,
    Limit,
    LimitKind,
    ListingDefinition,
    OperatorCommand,
    Order,
    OrderIntent,
    OrderKind,
    OrderState,
    PluginState,
    PluginStatus,
    Pnl,
    Position,
    Quote,
    Reason,
    Reconcile,
    Reconciled,
    ReportKind,
    RunEnd,
    RunHeader,
    SessionReady,
    Severity,
    Side,
)
from penstock_sdk.schema import ABSENT, Frame
from penstock_sdk.wire.frame import Origin
from penstock_sdk.wire.segment import JournalCorrupt, read_frames

FIRST = (1 << 40) + 1
NS = 1_000_000_000
HEADER = RunHeader(epoch=1, seed=7, clock_kind="wall", started_ns=0, deployment="d", versions={"a": "1", "b": "2"})


class Book:
    """A journal written by hand: a quote, and what a test lets follow from it."""

    def __init__(self, run_dir: Path, new_writer: Callable[..., Any], header: RunHeader = HEADER) -> None:
        run_dir.mkdir()
        RunInfo(id=run_dir.name, status="complete").save(run_dir)
        self.dir = run_dir
        self.writer = new_writer(run_dir / "journal")
        self.add(header, origin=Origin.KERNEL)
        for number, name in enumerate(("venue", "risk", "dip"), 1):
            self.add(Interned(kind=IdKind.PLUGIN, id=number, name=name), origin=Origin.KERNEL)
        self.root = 0

    def add(self, event: Any, at_s: int = 0, **header: Any) -> int:
        return int(self.writer.add(event, at_s * NS, **header))

    def quote(self, at_s: int, **stamps: int) -> int:
        """Begin a cascade."""
        self.root = self.writer.seq
        return self.add(
            Quote(1, bid_ticks=10, ask_ticks=20, **stamps), at_s, root=self.root, origin=Origin.EXTERNAL, by=1
        )

    def then(self, event: Any, cause: int, by: int = 0, at_s: int = 0) -> int:
        """Add what follows."""
        return self.add(event, at_s, cause=cause, root=self.root, by=by)

    def ask(self, cause: int, price_ticks: int = 15) -> int:
        intent = OrderIntent(1, 1, Side.BUY, OrderKind.LIMIT, price_ticks=price_ticks, qty_lots=2, strategy_id=3)
        return self.then(intent, cause, by=3)

    def order(self, cause: int, state: int, reason: int = 0, order_id: int = FIRST, action: int = 1) -> int:
        order = Order(
            order_id, 1, action, Side.BUY, OrderKind.LIMIT, state, 15, 2, venue_id=1, reason=reason, strategy_id=3
        )
        return self.then(order, cause)

    def report(self, cause: int, kind: int, **more: int) -> int:
        return self.then(ExecutionReport(FIRST, 1, kind, Side.BUY, strategy_id=3, **more), cause, by=1)

    def explained(self, order: str = str(FIRST)) -> Any:
        self.writer.commit()
        return explain_order(self.dir, order, replay=False)


@pytest.fixture
def book(tmp_path: Path, journal_writer: Callable[..., Any]) -> Book:
    return Book(tmp_path / "run", journal_writer)


def test_an_order_refused_before_any_check_tells_reason_and_way_out(book: Book) -> None:
    book.order(book.ask(book.quote(1)), OrderState.REFUSED, Reason.KILL_SWITCH)
    found = book.explained()
    assert (found.state, found.reason, found.checks, found.open) == ("REFUSED", "KILL_SWITCH", [], False)
    lines = explanation_lines(found)
    (standing,) = [line for line in lines if "REFUSED" in line and "way out" in line]
    assert standing.startswith("  REFUSED, KILL_SWITCH; way out: find out why") and "`unkill`" in standing
    assert "  none was asked: what stands above refused or sent it without them" in lines


def test_a_quarantine_is_named_as_what_cancelled(book: Book) -> None:
    quote = book.quote(1)
    book.order(book.ask(quote), OrderState.ROUTED)
    quote = book.quote(2)
    state = PluginState(
        plugin_id=3, name="dip", status=PluginStatus.QUARANTINED, previous=PluginStatus.RUNNING, reason="10 faults"
    )
    book.then(state, quote)
    book.order(quote, OrderState.PENDING_CANCEL, action=IntentAction.CANCEL)
    found = book.explained()
    assert [cancel.why for cancel in found.cancels] == ["quarantine of dip: 10 faults"]
    assert (found.state, found.open) == ("PENDING_CANCEL", True)


def test_a_restart_is_named_as_what_cancelled(book: Book) -> None:
    book.order(book.ask(book.quote(1)), OrderState.ROUTED)
    book.root = book.writer.seq
    header = book.add(HEADER, 2, root=book.root, origin=Origin.KERNEL)
    book.order(header, OrderState.PENDING_CANCEL, action=IntentAction.CANCEL)
    assert book.explained().cancels[0].why == "restart: the cancel of before the crash may not have left"


# -- what an operator, and the end of a session, cancels ---------------------------------------------------------------


def stopping(book: Book, ended: str = "") -> Any:
    """Let a session end by which a strategy cancels what it has open; return the explanation."""
    book.root = book.writer.seq
    draining = PluginState(plugin_id=3, name="dip", status=PluginStatus.DRAINING, previous=PluginStatus.RUNNING)
    drains = book.add(draining, 3, root=book.root, origin=Origin.KERNEL)
    intent = book.then(OrderIntent(1, action=IntentAction.CANCEL_ALL, strategy_id=3), drains, by=3, at_s=3)
    book.order(intent, OrderState.PENDING_CANCEL, action=IntentAction.CANCEL)
    if ended:
        book.add(RunEnd(reason=ended), 4, root=book.writer.seq, origin=Origin.KERNEL)
    return book.explained()


def command(book: Book, name: str, why: str, at_s: int = 2) -> int:
    book.root = book.writer.seq
    return book.add(OperatorCommand(command=name, who="uid 7", why=why), at_s, root=book.root, origin=Origin.OPERATOR)


def test_an_operator_s_stop_is_named_as_what_cancelled_and_as_what_drains(book: Book) -> None:
    book.order(book.ask(book.quote(1)), OrderState.ROUTED)
    command(book, "ack", "not this one")
    stop = command(book, "stop", "upgrade")
    (cancel,) = stopping(book, "stopped by uid 7: upgrade").cancels
    said = f"command stop by uid 7: upgrade (seq {stop})"
    assert cancel.why == f"strategy dip wanted all its orders cancelled as the session stopped, {said}"
    assert cancel.chain[0].text == f"plugin dip is DRAINING: {said}"


@pytest.mark.parametrize(("ended", "said"), [
    ("end of --for", "end of --for"),
    ("", "why is not kept: the journal ends before its session does"),
])  # fmt: skip
def test_a_session_that_came_to_its_end_says_which(book: Book, ended: str, said: str) -> None:
    command(book, "stop", "of the session before")
    book.add(RunEnd(reason="stopped"), 0, root=book.writer.seq, origin=Origin.KERNEL)
    header = msgspec.structs.replace(HEADER, epoch=2, carried_seq=book.writer.seq - 1, cause="after a stop")
    book.add(header, 0, root=book.writer.seq, origin=Origin.KERNEL)
    book.order(book.ask(book.quote(1)), OrderState.ROUTED)
    assert stopping(book, ended).cancels[0].why.endswith(f"as the session stopped, {said}")


def test_a_cancel_that_a_strategy_wants_on_a_command_names_the_command(book: Book) -> None:
    book.order(book.ask(book.quote(1)), OrderState.ROUTED)
    asked = command(book, "limit", "less")
    intent = book.then(OrderIntent(1, action=IntentAction.CANCEL, order_id=FIRST, strategy_id=3), asked, by=3)
    book.order(intent, OrderState.PENDING_CANCEL, action=IntentAction.CANCEL)
    assert book.explained().cancels[0].why == "strategy dip wanted it cancelled, command limit by uid 7: less"


@pytest.mark.parametrize(("limits", "said"), [
    ([(LimitKind.KILL, 0, 1)], "the kill switch is on"),
    ([(LimitKind.KILL, 0, 1), (LimitKind.KILL, 0, 0), (LimitKind.PAUSE, 3, 1)], "dip is paused"),
    ([(LimitKind.PAUSE, 2, 1)], "dip does not trade in this session"),
])  # fmt: skip
def test_a_cancel_at_a_restart_names_what_keeps_the_strategy_from_trading(
    book: Book, limits: list[tuple[int, int, int]], said: str
) -> None:
    book.order(book.ask(book.quote(1)), OrderState.ROUTED)
    for kind, strategy_id, value in limits:
        book.then(Limit(int(kind), value=value, strategy_id=strategy_id), book.root)
    book.root = book.writer.seq
    ready = book.add(SessionReady(epoch=2), 2, root=book.root, origin=Origin.KERNEL)
    book.order(ready, OrderState.PENDING_CANCEL, action=IntentAction.CANCEL)
    assert book.explained().cancels[0].why == f"restart: {said}"


# -- restarts, and what the venue said ---------------------------------------------------------------------------------


def test_restarts_and_the_venue_s_answers_stand_between_an_order_s_events(book: Book) -> None:
    def kernel(event: Any, at_s: int) -> int:
        return book.add(event, at_s, root=book.writer.seq, origin=Origin.KERNEL)

    def alert(code: str, subject: str, cleared: bool = False) -> Alert:
        return Alert(code=code, severity=Severity.ERROR, subject=subject, met="a cut", cleared=cleared)

    kernel(alert("venue.disconnected", "venue"), 0)  # before the order: not its story
    book.order(book.ask(book.quote(1)), OrderState.ROUTED)
    wanted = [
        kernel(alert("venue.disconnected", "venue"), 2),
        kernel(msgspec.structs.replace(HEADER, epoch=2, cause="after a crash"), 3),
        kernel(SessionReady(epoch=2), 3),
        kernel(Reconcile(venue_id=1, epoch=2, orders=[(FIRST, 1), (FIRST + 1, 0)]), 3),
    ]
    for of_others in (
        Reconcile(venue_id=2, epoch=2, orders=[]), alert("venue.disconnected", "risk"), alert("disk.full", "venue"),
    ):  # fmt: skip
        kernel(of_others, 3)
    wanted.append(kernel(alert("venue.disconnected", "venue", cleared=True), 4))
    fill = ExecutionReport(FIRST, 1, ReportKind.FILL, Side.BUY, last_ticks=15, last_lots=2, source_ns=2 * NS + 500)
    fill_seq = book.add(fill, 4, root=book.writer.seq, origin=Origin.EXTERNAL, by=1)
    kernel(Reconciled(venue_id=1, epoch=2, confirmed=1, corrected=1), 4)  # the order has ended
    found = book.explained()
    assert [step.seq for step in found.meanwhile] == wanted
    text = "\n".join(explanation_lines(found))
    assert "restart after a crash, epoch 2, seed 7" in text
    assert "venue is asked where our 2 open orders stand; this one with 1 lots filled" in text
    assert f"seq {wanted[-1]}  alert venue.disconnected on venue is over: a cut" in text
    assert text.index(f"seq {wanted[0]} ") < text.index(f"seq {wanted[-1]} ") < text.index(f"seq {fill_seq} ")
    at_venue = "filled at the venue at 1970-01-01 00:00:02.000000500 +0000, told at 1970-01-01 00:00:04.000 +0000"
    assert f"    {at_venue}\n" in text
    assert (found.sent[-1].venue_ns, found.sent[0].venue_text) == (2 * NS + 500, "")


def test_of_an_order_that_is_open_all_that_came_after_it_is_told(book: Book) -> None:
    book.order(book.ask(book.quote(1)), OrderState.ROUTED)
    last = book.add(Reconcile(venue_id=1, epoch=2, orders=[]), 3, root=book.writer.seq, origin=Origin.KERNEL)
    (step,) = book.explained().meanwhile
    assert (step.seq, step.text) == (
        last, "venue is asked where our 0 open orders stand; this one is not among them"
    )  # fmt: skip


# -- damage ------------------------------------------------------------------------------------------------------------


def damaged(book: Book) -> int:
    """Write an order that ended, then more, one frame of which is damaged; return its number."""
    book.report(book.order(book.ask(book.quote(1)), OrderState.ROUTED), ReportKind.CANCELLED)
    book.writer.segment_bytes_max = 0  # each batch from here on ends its file: no fault can be a torn tail
    book.writer.commit()
    seq = book.ask(book.quote(2))
    book.order(seq, OrderState.ROUTED, order_id=FIRST + 1)
    book.writer.commit()
    path = book.writer.dir / "000000000002.pj"
    raw = next(bytes(frame.raw) for frame in read_frames(book.writer.dir) if frame.seq == seq)
    path.write_bytes(path.read_bytes().replace(raw, raw[:-1] + b"\x01"))
    return seq


def test_what_stands_before_a_damaged_frame_is_explained_and_the_damage_told(book: Book) -> None:
    seq = damaged(book)
    found = book.explained()
    assert found.state == "CANCELLED"
    (note,) = [note for note in found.notes if "damaged" in note]
    assert f"seq {seq}: frame is damaged (crc expected" in note and f"what comes after event {seq - 2} is left" in note
    with pytest.raises(InspectError, match=rf"order {FIRST + 1} is not among .*seq {seq}: frame is damaged"):
        book.explained(str(FIRST + 1))


def test_a_damaged_frame_is_told_as_queries_tell_it(book: Book) -> None:
    damaged(book)
    with pytest.raises(JournalCorrupt) as queried:
        list(Tail(book.writer.dir).poll())
    assert str(JournalView.read(book.writer.dir, up_to_damage=True).damage) == str(queried.value)


def test_a_journal_of_which_nothing_can_be_read_is_refused(book: Book) -> None:
    book.order(book.ask(book.quote(1)), OrderState.ROUTED)
    book.writer.segment_bytes_max = 0
    book.writer.commit()
    path = book.writer.dir / "000000000001.pj"
    path.write_bytes(path.read_bytes()[:200] + b"?" + path.read_bytes()[201:])
    with pytest.raises(JournalCorrupt, match="frame is damaged"):
        book.explained()


@pytest.mark.parametrize(("reports", "state"), [
    ([(ReportKind.ACCEPTED, 0)], "WORKING"),
    ([(ReportKind.ACCEPTED, 0), (ReportKind.EXPIRED, 0)], "EXPIRED"),
    ([(ReportKind.FILL, 1)], "PARTLY_FILLED"),
    ([(ReportKind.FILL, 1), (ReportKind.FILL, 1)], "FILLED"),
    ([(ReportKind.FILL, 1), (ReportKind.CANCELLED, 0), (ReportKind.CANCEL_REJECTED, 0)], "CANCELLED"),
    ([(ReportKind.REJECTED, 0)], "REJECTED"),
])  # fmt: skip
def test_the_last_state_is_where_the_reports_lead(book: Book, reports: list[tuple[int, int]], state: str) -> None:
    order = book.order(book.ask(book.quote(1)), OrderState.ROUTED)
    for kind, lots in reports:
        book.report(order, kind, last_lots=lots, last_ticks=15)
    found = book.explained()
    assert found.state == state
    assert found.fills.count == sum(lots > 0 for _, lots in reports)


def test_times_are_told_from_the_root_and_from_the_source_s_stamp(book: Book) -> None:
    quote = book.quote(5, source_ns=4_999_999_000, recv_ns=5 * NS, clock=int(ClockKind.WALL))
    book.order(book.ask(quote), OrderState.ROUTED)
    book.root = book.writer.seq
    book.add(ExecutionReport(FIRST, 1, ReportKind.ACCEPTED), 7, root=book.root, origin=Origin.EXTERNAL, by=1)
    found = book.explained()
    assert [step.latency_ns for step in found.began] == [1_000, None]
    assert found.sent[-1].since_root_ns == 2 * NS
    assert "1 µs after its source's stamp" in "\n".join(explanation_lines(found))


def test_an_order_that_only_the_venue_knows_was_never_ours(book: Book) -> None:
    book.order(book.ask(book.quote(1)), OrderState.ROUTED)
    seq = book.add(ExecutionReport(99, 1, ReportKind.FILL), 2, root=book.writer.seq, origin=Origin.EXTERNAL, by=1)
    with pytest.raises(InspectError, match=rf"order 99 was never sent by this run: venue reports on it at seq {seq}"):
        book.explained("99")


def test_an_order_of_the_market_is_none_of_ours(book: Book) -> None:
    book.order(book.ask(book.quote(1)), OrderState.ROUTED)
    book.then(Frame.of([BookOrderDelta(1, order_ref=55), BookOrderDelta(1, order_ref=56)]), book.root, by=1)
    with pytest.raises(InspectError, match="order 56 is an order of the market's in listing#1"):
        book.explained("56")
    with pytest.raises(InspectError, match=rf"order 57 is not among the run's 1 orders; nearest are {FIRST} \(1:1\)"):
        book.explained("57")


def test_a_run_without_orders_says_so(book: Book) -> None:
    with pytest.raises(InspectError, match="it sent no order, and refused none"):
        book.explained("1:1")


@pytest.mark.parametrize("text", ["", "x", "1:", ":1", "1:x", "-1:2", f"1:{1 << 40}", "1.5"])
def test_what_is_no_order_id_is_told(text: str) -> None:
    with pytest.raises(InspectError, match="is no order id"):
        order_id_of(text)


def test_both_ways_to_name_an_order_are_one() -> None:
    assert order_id_of("3:17") == order_id_of(str((3 << 40) + 17)) == (3 << 40) + 17
    assert order_name(order_id_of("3:17")) == "3:17"
    assert order_id_of(" 1_000 ") == 1_000


def test_any_event_is_found_by_its_number_also_inside_frames(made: Any) -> None:
    view = JournalView.read(made.run_dir / "journal")
    assert (view.records, view.last_seq, view.torn) == (made.events, made.events, None)
    frame = next(frame for frame in view.of(Quote.layout.id) if frame.count > 2)
    for seq in (frame.seq, frame.seq + frame.count - 1):
        found = view.frame_at(seq)
        assert found is not None and found.seq == frame.seq
    assert [entry.seq for entry in entries_of(frame)] == list(range(frame.seq, frame.seq + frame.count))
    assert view.frame_at(0) is None and view.frame_at(made.events + 1) is None
    last = view.frame_at(made.events)
    assert last is not None
    assert view.records_before(frame.seq) == frame.seq - 1
    assert all(
        other.correlation_seq == ABSENT or other.seq >= other.correlation_seq for other in view.frames(frame.seq)
    )


def test_prices_and_delivery_are_told_as_the_market_does(made: Any) -> None:
    words = MarketWords(JournalView.read(made.run_dir / "journal"))
    assert words.price(6_427, 1) == "64.27 EUR/MWh" and words.price(-5, 1) == "-0.05 EUR/MWh"
    assert words.price(ABSENT, 1) == "no price" and words.price(7, 9_999) == "7 ticks"
    assert words.qty(15, 1) == "1.5 MW" and words.money(16_067_500, 1) == "16.07 EUR"
    assert words.delivery(1) == ("2026-03-10 00:00 +0100 to 00:15 +0100", "2026-03-09 23:00 to 23:15 UTC")
    assert words.local(1_773_068_585_000_000_001, 1) == "2026-03-09 16:03:05.000000001 +0100"
    assert words.amount(140 * NS, "ns", 1) == "140 s" and words.amount(ABSENT, "lots", 1) == ""
    assert [span_text(ns) for ns in (42, 1_500, -2_000_000)] == ["42 ns", "1.5 µs", "-2 ms"]
    assert utc_text(1_773_068_585_123_000_000) == "2026-03-09T15:03:05.123Z" and utc_text(ABSENT) == ""


def test_headers_that_differ_are_told_key_by_key_and_passed_over(
    tmp_path: Path, journal_writer: Callable[..., Any]
) -> None:
    other = RunHeader(
        epoch=1, seed=8, clock_kind="wall", started_ns=0, deployment="d", versions={"a": "1", "b": "three"}
    )
    books = [Book(tmp_path / name, journal_writer, header) for name, header in (("a", HEADER), ("b", other))]
    for book in books:
        book.quote(1)
        book.writer.commit()
    found = diff_runs(*(book.dir for book in books))
    assert (found.equal, found.equal_events) == (True, 4)
    assert [(f.field, f.a, f.b) for f in found.headers] == [("seed", 7, 8), ("versions.b", "2", "three")]
    assert "  versions.b               A '2'   B 'three'" in difference_lines(found)


def test_an_event_caused_by_another_differs_in_its_cause(tmp_path: Path, journal_writer: Callable[..., Any]) -> None:
    books = [Book(tmp_path / name, journal_writer) for name in "ab"]
    for book, cause_of in zip(books, (0, -1), strict=True):
        quote = book.quote(1)
        book.ask(quote + cause_of)
        book.writer.commit()
    found = diff_runs(*(book.dir for book in books))
    assert [(f.field, f.a, f.b) for f in found.fields] == [("cause_seq", found.seq - 1, found.seq - 2)]


def test_of_events_of_two_types_the_types_are_named(tmp_path: Path, journal_writer: Callable[..., Any]) -> None:
    books = [Book(tmp_path / name, journal_writer) for name in "ab"]
    books[0].ask(books[0].quote(1))
    books[1].order(books[1].quote(1), OrderState.ROUTED)
    for book in books:
        book.writer.commit()
    found = diff_runs(*(book.dir for book in books))
    assert ("record", "OrderIntent", "Order") in [(f.field, f.a, f.b) for f in found.fields]
    assert found.event_a is not None and found.event_a.text.startswith("dip wants to buy 2 lots listing#1 at 15 ticks")


def test_the_record_of_a_frame_that_differs_is_the_one_named(
    tmp_path: Path, journal_writer: Callable[..., Any]
) -> None:
    books = [Book(tmp_path / name, journal_writer) for name in "ab"]
    for book, ask_ticks in zip(books, (20, 21), strict=True):
        quotes = [Quote(1, ask_ticks=20), Quote(2, ask_ticks=20), Quote(3, ask_ticks=ask_ticks), Quote(4, ask_ticks=20)]
        book.add(Frame.of(quotes), 1, origin=Origin.EXTERNAL, by=1)
        book.writer.commit()
    found = diff_runs(*(book.dir for book in books))
    assert (found.seq, found.equal_events) == (7, 6)
    assert [(f.field, f.a, f.b) for f in found.fields] == [("ask_ticks", 20, 21)]


def test_reports_that_came_in_one_frame_are_the_order_s_too(book: Book) -> None:
    book.order(book.ask(book.quote(1)), OrderState.ROUTED)
    reports = [
        ExecutionReport(number, 1, ReportKind.FILL, Side.BUY, last_ticks=15, last_lots=2) for number in (7, FIRST)
    ]
    book.add(Frame.of(reports), 2, root=book.writer.seq, origin=Origin.EXTERNAL, by=1)
    found = book.explained()
    assert (found.state, found.fills.count) == ("FILLED", 1)


def test_what_a_fill_moved_is_followed_on_and_other_orders_are_only_counted(book: Book) -> None:
    order = book.order(book.ask(book.quote(1)), OrderState.ROUTED)
    fill = book.report(order, ReportKind.FILL, last_lots=2, last_ticks=15)
    position = book.then(Position(1, 3, net_lots=2), fill, by=2)
    pnl = book.then(Pnl(1, 3), position, by=2)
    again = book.ask(fill)
    book.order(again, OrderState.ROUTED, order_id=FIRST + 1)
    found = book.explained()
    assert [step.seq for step in found.caused] == [position, pnl]
    assert found.others == {"OrderIntent": 1}


@pytest.mark.parametrize(("side", "cost"), [(Side.BUY, 0.03), (Side.SELL, -0.03)])
def test_a_price_above_the_mid_costs_who_buys_and_earns_who_sells(
    tmp_path: Path, journal_writer: Callable[..., Any], made: Any, side: Side, cost: float
) -> None:
    book = Book(tmp_path / "run", journal_writer)
    for frame in JournalView.read(made.run_dir / "journal").of(ListingDefinition.layout.id):
        book.add(next(entries_of(frame)).record, origin=Origin.KERNEL)
    cause = book.ask(book.quote(1))
    order = Order(
        FIRST, 1, 1, side, OrderKind.LIMIT, OrderState.ROUTED, 15, 2, decision_half_ticks=24, arrival_half_ticks=26,
        venue_id=1, strategy_id=3,
    )  # fmt: skip
    book.report(book.then(order, cause), ReportKind.FILL, last_lots=2, last_ticks=15)
    fills = book.explained().fills
    assert (fills.average_price, fills.mid_at_decision, fills.qty_mw) == (0.15, 0.12, 0.2)
    assert (fills.cost_to_decision, fills.cost_to_arrival) == (pytest.approx(cost), pytest.approx(cost * 2 / 3))
