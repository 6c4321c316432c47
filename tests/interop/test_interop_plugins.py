"""Example plugins in Go and JavaScript keep the wire's contract: life, names, steps, streams, state, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from penstock_sdk.events import (
    ExecutionReport,
    IdKind,
    IntentAction,
    Interned,
    ListingDefinition,
    Order,
    OrderIntent,
    OrderKind,
    OrderState,
    Quote,
    Reason,
    Reconcile,
    Reconciled,
    ReportKind,
    Side,
    Trade,
)
from penstock_sdk.process.grpc_peer import spawn_peer
from penstock_sdk.process.handshake import HandshakeError
from penstock_sdk.process.peer import PeerError
from penstock_sdk.wire.messages import (
    Batch,
    ConfigureRequest,
    DescribeRequest,
    DrainRequest,
    RestoreRequest,
    SnapshotRequest,
    StartRequest,
    StopRequest,
)
from tests.interop.conftest import command_of
from tests.interop.rig import PLUGIN_ID, START_NS, Rig, contract, frame, zone

pytestmark = pytest.mark.interop
LANGUAGES = ("go", "node")
SECOND_NS = 1_000_000_000


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def venue(packages: dict[str, Path], language: str) -> Iterator[Rig]:
    with spawn_peer(command_of(packages[f"{language}_venue"]), start_s=30) as peer:
        yield Rig(peer)


@pytest.fixture
def strategy(packages: dict[str, Path], language: str) -> Iterator[Rig]:
    with spawn_peer(command_of(packages[f"{language}_strategy"]), start_s=30) as peer:
        yield Rig(peer)


def order(number: int, price_ticks: int, **more: Any) -> Order:
    fields = {"side": Side.BUY, "kind": OrderKind.LIMIT, "action": IntentAction.NEW, "qty_lots": 3} | more
    return Order(number, 1, state=OrderState.ROUTED, price_ticks=price_ticks, venue_id=PLUGIN_ID, **fields)


def until_it_ends(rig: Rig) -> None:
    """Receive until the stream raises."""
    for _ in range(100):
        rig.stream.receive(0.1)


def kinds(said: list[Any]) -> list[Any]:
    return [(each.kind, each.order_id) if isinstance(each, ExecutionReport) else type(each) for each in said]


def test_a_venue_describes_itself_as_its_manifest_does(venue: Rig, language: str) -> None:
    assert venue.begin() == []
    met = venue.described
    assert (met.id, met.kind, met.contract_min, met.embedded) == (f"{language}_venue", "venue", 1, True)
    assert {each.name for each in met.hears} == {"Order", "ContractDefinition", "Timer", "Reconcile"}
    assert "spread_ticks" in met.config_schema and language in met.made_with and len(met.incarnation) == 32
    assert venue.peer.healthy()


def test_a_venue_lists_what_is_announced_under_an_id_that_it_asked_for(venue: Rig) -> None:
    venue.begin()
    venue.names[(4, "another")] = 1
    listing, quote = venue.step(zone(), contract())
    assert isinstance(listing, ListingDefinition) and isinstance(quote, Quote)
    assert (listing.listing_id, listing.contract_id, listing.venue_id, listing.name) == (2, 1, PLUGIN_ID, "far PH1")
    assert (quote.listing_id, quote.bid_ticks, quote.ask_ticks) == (2, 4_990, 5_010)
    assert venue.asked == ["far PH1"] and venue.faults == []
    # Another of the kind has a name of its own; the same contract again is no news.
    assert [type(each) for each in venue.step(contract(2))] == [ListingDefinition, Quote]
    assert venue.step(contract()) == [] and venue.asked == ["far PH1", "far PH2"]


def test_what_is_known_at_the_start_is_heard(venue: Rig) -> None:
    peer = venue.peer
    peer.call("Configure", ConfigureRequest(instance={"name": "far", "plugin_id": PLUGIN_ID, "simulated": True}))
    name = Interned(kind=IdKind.LISTING, id=9, name="far PH1")
    known = frame(name, 1, START_NS) + frame(contract(), 2, START_NS)
    reply = peer.call("Start", StartRequest(known=known, now_ns=START_NS, seq=5))
    listing, quote = venue._note(reply.said)
    assert (listing.listing_id, quote.listing_id, venue.asked) == (9, 9, [])
    assert len(venue.timers) == 1


def test_orders_are_accepted_filled_cancelled_rejected_and_expire(venue: Rig) -> None:
    venue.begin()
    venue.step(zone(), contract())
    taken = venue.step(order(1, 5_010), order(2, 4_000))
    assert kinds(taken) == [(ReportKind.ACCEPTED, 1), (ReportKind.FILL, 1), Trade, (ReportKind.ACCEPTED, 2)]
    assert (taken[1].last_ticks, taken[1].last_lots, taken[1].leaves_lots) == (5_010, 3, 0)
    assert venue.step(order(2, 4_000)) == []  # sent again: it stands, once
    assert kinds(venue.step(order(2, 4_000, action=IntentAction.CANCEL))) == [(ReportKind.CANCELLED, 2)]
    refused = venue.step(order(2, 4_000, action=IntentAction.CANCEL))[0]
    assert (refused.kind, refused.reason) == (ReportKind.CANCEL_REJECTED, Reason.UNKNOWN_ORDER)
    assert kinds(venue.step(order(3, 4_000, kind=OrderKind.IOC)))[-1] == (ReportKind.CANCELLED, 3)
    venue.step(order(4, 4_000))
    end = venue.advance_to(contract().delivery_start_ns)
    assert [each.order_id for each in end if getattr(each, "kind", 0) == ReportKind.EXPIRED] == [4]
    late = venue.step(order(5, 5_010))[0]
    assert (late.kind, late.reason, venue.faults) == (ReportKind.REJECTED, Reason.GATE_CLOSED, [])


def test_the_same_seed_gives_the_same_day(packages: dict[str, Path], language: str) -> None:
    days = []
    for _ in range(2):
        with spawn_peer(command_of(packages[f"{language}_venue"]), start_s=30) as peer:
            rig = Rig(peer)
            rig.begin()
            days.append(rig.step(zone(), contract(), contract(2)) + rig.advance_to(START_NS + 600 * SECOND_NS))
    assert days[0] == days[1]
    assert len({each.bid_ticks for each in days[0] if isinstance(each, Quote)}) > 10


def test_a_strategy_buys_low_in_the_name_of_its_instance(strategy: Rig) -> None:
    strategy.begin('{"band_ticks": 10, "lots": 2}')
    assert strategy.step(Quote(1, 1, bid_ticks=5_000, bid_lots=9, ask_ticks=5_010, ask_lots=9)) == []
    (intent,) = strategy.step(Quote(1, 1, bid_ticks=4_900, bid_lots=9, ask_ticks=4_910, ask_lots=9))
    assert isinstance(intent, OrderIntent)
    assert (intent.side, intent.kind, intent.price_ticks, intent.qty_lots) == (Side.BUY, OrderKind.IOC, 4_910, 2)
    assert (intent.strategy_id, intent.book_id, intent.trader_id, intent.intent_id) == (PLUGIN_ID, 3, 4, 1)
    assert intent.decision_half_ticks == 9_810
    # One order at a time; the next once it is over.
    low = Quote(1, 1, bid_ticks=4_800, bid_lots=9, ask_ticks=4_810, ask_lots=9)
    assert strategy.step(low) == []
    over = ExecutionReport(77, 1, ReportKind.FILL, Side.BUY, strategy_id=PLUGIN_ID)
    assert [each.intent_id for each in strategy.step(over, low)] == [2]
    assert strategy.step(Quote(1, 1)) == [] and strategy.faults == []


def test_a_config_that_will_not_do_is_refused_with_every_fault(venue: Rig) -> None:
    request = ConfigureRequest(validate_only=True, config_json='{"spread_ticks": 0, "every_s": -3}')
    met = list(venue.peer.call("Configure", request).faults)
    assert len(met) == 2 and all("wanted 1 or more" in fault for fault in met), met
    for config, text in (('{"spred": 1}', "spred: met"), ('{"every_s": "x"}', "every_s: met"), ("[1]", "config: met")):
        (fault,) = venue.peer.call("Configure", ConfigureRequest(validate_only=True, config_json=config)).faults
        assert text in fault and "wanted" in fault
    assert venue.begin('{"spread_ticks": 2}') == []  # nothing was made before


def test_a_state_is_taken_up_where_it_was_left(packages: dict[str, Path], language: str) -> None:
    command = command_of(packages[f"{language}_venue"])
    with spawn_peer(command, start_s=30) as peer:
        first = Rig(peer)
        first.begin()
        first.step(zone(), contract())
        first.step(order(1, 4_000), order(2, 3_000))
        first.advance_to(START_NS + 100 * SECOND_NS)
        kept = peer.call("Snapshot", SnapshotRequest())
        assert (kept.error, kept.last_seq) == ("", first.seq)
        wanted = first.step(order(1, 0, action=IntentAction.CANCEL)) + first.advance_to(START_NS + 400 * SECOND_NS)
    with spawn_peer(command, start_s=30) as peer:
        again = Rig(peer)
        again.names, again.now_ns, again.seq = dict(first.names), START_NS + 100 * SECOND_NS, kept.last_seq
        restore = RestoreRequest(state=kept.state, last_seq=kept.last_seq)
        assert again.begin(resumed=True, restore=restore) == []
        assert len(again.timers) == 1
        met = again.step(order(1, 0, action=IntentAction.CANCEL)) + again.advance_to(START_NS + 400 * SECOND_NS)
        assert met == wanted and again.asked == []
        assert "wanted" in peer.call("Snapshot", SnapshotRequest()).error or not again.faults
    with spawn_peer(command, start_s=30) as peer:
        bad = Rig(peer)
        peer.call("Configure", ConfigureRequest(instance={"name": "far", "simulated": True}))
        assert peer.call("Restore", RestoreRequest(state=b"\xc1junk", last_seq=1)).error
        assert bad.faults == []


def test_what_is_heard_of_the_past_is_known_and_answered_with_silence(venue: Rig) -> None:
    peer = venue.peer
    peer.call("Configure", ConfigureRequest(instance={"name": "far", "plugin_id": PLUGIN_ID, "simulated": True}))
    venue.names[(4, "far PH1")] = 1
    past = frame(contract(), 50, START_NS) + frame(order(1, 4_000), 51, START_NS)
    assert venue.send(Batch(frames=past, hearing=True, now_ns=START_NS)) == []
    peer.call("Start", StartRequest(now_ns=START_NS, seq=60, resumed=True))
    assert kinds(venue.step(order(1, 0, action=IntentAction.CANCEL))) == [(ReportKind.CANCELLED, 1)]


def test_a_handler_that_fails_is_a_fault_and_the_next_event_is_handled(venue: Rig) -> None:
    venue.begin()
    short = bytearray(frame(order(1, 5_000), 200, START_NS))
    short[44:46], short[0:4] = (16).to_bytes(2, "little"), (16).to_bytes(4, "little")
    assert venue.send(Batch(frames=bytes(short[:64]))) == []
    assert len(venue.faults) == 1 and "wanted" in venue.faults[0]
    assert [type(each) for each in venue.step(contract())] == [ListingDefinition, Quote]


def test_a_batch_that_comes_twice_is_handled_once_and_a_gap_ends_the_stream(venue: Rig) -> None:
    venue.begin()
    venue.step(zone(), contract())
    venue.step(order(1, 4_000))
    again = Batch(number=venue.flow.sent, step=venue.steps, frames=frame(order(9, 4_000), 300, START_NS))
    venue.stream.send(again)
    assert kinds(venue.step(order(2, 4_000))) == [(ReportKind.ACCEPTED, 2)]
    venue.stream.send(Batch(number=venue.flow.sent + 5, step=99))
    with pytest.raises(PeerError, match="wanted"):
        until_it_ends(venue)


def test_more_than_was_granted_ends_the_stream(venue: Rig) -> None:
    venue.begin()
    size = 17 << 20
    big = size.to_bytes(4, "little") + (60_000).to_bytes(2, "little") + bytes(34) + (1).to_bytes(4, "little") + bytes(4)
    venue.stream.send(Batch(number=1, frames=big + bytes(size)))
    with pytest.raises(PeerError, match="credit"):
        until_it_ends(venue)


def test_reconciliation_is_answered(venue: Rig) -> None:
    venue.begin()
    venue.step(zone(), contract())
    venue.step(order(1, 4_000))
    said = venue.step(Reconcile(venue_id=PLUGIN_ID, epoch=2, orders=[(1, 0), (8, 1)]))
    answer = said[-1]
    assert isinstance(answer, Reconciled)
    assert (answer.epoch, answer.confirmed, answer.corrected) == (2, 1, 1)
    assert kinds(said[:-1]) == [(ReportKind.CANCELLED, 8)]


def test_calls_out_of_turn_are_refused(venue: Rig) -> None:
    peer = venue.peer
    for method, request in (("Start", StartRequest()), ("Drain", DrainRequest()), ("Snapshot", SnapshotRequest())):
        with pytest.raises(PeerError, match="met a plugin that is new, wanted"):
            peer.call(method, request)
    with pytest.raises(PeerError, match=r"speaks majors .*2.* this plugin"):
        peer.call("Describe", DescribeRequest(majors=[2], host_version="9"))
    venue.begin()
    with pytest.raises(PeerError, match="met a plugin that is started, wanted configured"):
        peer.call("Start", StartRequest())
    peer.call("Drain", DrainRequest(deadline_ms=100, now_ns=START_NS, seq=1))
    assert venue.send(Batch(frames=frame(contract(), 900, START_NS))) == []


def test_whoever_lacks_the_token_is_refused(venue: Rig) -> None:
    target = venue.peer.link.target
    with grpc.insecure_channel(target, options=[("grpc.default_authority", "localhost")]) as channel:
        for metadata in ((), (("penstock-token", "guessed"),)):
            describe = channel.unary_unary("/penstock.plugin.v1.Plugin/Describe")
            with pytest.raises(grpc.RpcError) as met:
                describe(b"", timeout=5, metadata=metadata)
            assert met.value.code() == grpc.StatusCode.UNAUTHENTICATED and "penstock-token" in met.value.details()


def test_a_plugin_ends_when_it_is_told_to(packages: dict[str, Path], language: str) -> None:
    with spawn_peer(command_of(packages[f"{language}_strategy"]), start_s=30) as peer:
        Rig(peer).begin()
        peer.call("Stop", StopRequest())
        assert peer.process is not None and peer.process.wait(10) == 0


def test_started_by_hand_a_plugin_says_what_it_is(packages: dict[str, Path], language: str) -> None:
    import subprocess

    command = command_of(packages[f"{language}_venue"])
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env={"PATH": "/usr/bin:/usr/local/bin"})
    assert done.returncode == 1 and "plugin" in done.stderr and done.stdout == ""


def test_automatic_tls_of_go_plugin_is_refused_by_its_curve(packages: dict[str, Path]) -> None:
    with pytest.raises(HandshakeError, match="P-521"):
        spawn_peer(command_of(packages["go_venue"]), start_s=30, tls=True)


def test_node_serves_no_tls_and_says_so(packages: dict[str, Path]) -> None:
    with pytest.raises(HandshakeError, match="set tls = false"):
        spawn_peer(command_of(packages["node_venue"]), start_s=30, tls=True)
