"""Commands of plugins over the socket: checked, then journaled with who the caller is, and told by their plugin."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kernel.tests.test_control_server import Served
from penstock_kernel.control.peers import Peer
from penstock_kernel.control.protocol import CommandAnswer, QueryAnswer, QueryRequest, Refusal
from penstock_kernel.control.server import ControlServer
from penstock_kernel.run import Run, RunOptions
from penstock_kernel.vitals import Phase
from penstock_sdk.events import Alert, Deal, ExternalTrade, OperatorCommand
from penstock_sdk.wire.frame import Origin

PEOPLE = {"anna": 61_001, "ben": 61_002}
DAY = """
[run]
delivery_day = "2026-03-10"
end = "2026-03-09T17:00"

[plugins.exchange]
use = "exchange"
config = { orders_per_day = 1_000 }

[plugins.prices]
use = "synthetic_prices"

[plugins.risk]
use = "risk_limits"

[plugins.deals]
use = "deals"
config = { counterparties = "partners.csv" }
"""
DEAL = {
    "deal_id": "D-1", "counterparty": "Nordwind AG", "book": "power-de", "trader": "anna", "side": "buy",
    "kind": "forward", "zone": "DE-LU", "delivery": "D 2026-03-29", "quantity": "5", "unit": "MW", "price": "86.7",
    "price_unit": "EUR/MWh", "traded": "2026-02-20T10:15:00Z",
}  # fmt: skip


class Desk(Served):
    """A run with deals, and two people who call it."""

    def __init__(self, folder: Path, deployment: str = DAY) -> None:
        (folder / "partners.csv").write_text("name,limits\nNordwind AG,EUR=1000000\n")
        path = folder / "plugins.toml"
        path.write_text(deployment)
        self.who = "anna"
        self.run = Run.start(path, RunOptions(runs_dir=str(folder / "runs"), lake=False))
        if self.run.services is not None:
            self.run.services.control.close()
        self.server = ControlServer(self.run, credentials=lambda sock: Peer(os.getpid(), PEOPLE[self.who], 100))
        self.server._peers._names = {uid: name for name, uid in PEOPLE.items()}
        self.run._go_live()
        self.kernel = self.run.kernel
        self.kernel.vitals.phase(Phase.READY)
        self.callers = []
        self.trade(1)  # the counterparties are read by then

    def deal(self, who: str, do: str, deal_id: str = "D-1", **more: Any) -> Any:
        """Return what came of a command on a deal."""
        self.who = who
        argument: dict[str, Any] = {"do": do, "id": deal_id}
        if do == "capture":
            argument = {"do": do, "file": "deals.csv", "rows": [[2, {**DEAL, "deal_id": deal_id}]]}
        return self.command("deal", argument=msgspec.json.encode(argument).decode(), **more)


@pytest.fixture
def new_desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def new(**options: Any) -> Desk:
        made.append(Desk(tmp_path, **options))
        return made[-1]

    yield new
    for desk in made:
        desk.close()


@pytest.fixture
def desk(new_desk: Callable[..., Desk]) -> Desk:
    return new_desk()


def test_a_deal_is_captured_by_one_caller_and_confirmed_by_another(desk: Desk):
    captured = desk.deal("anna", "capture", reason="agreed by telephone")
    assert isinstance(captured, CommandAnswer)
    assert captured.text == "captured D-1; somebody else than anna confirms"
    same = desk.deal("anna", "confirm")
    assert isinstance(same, Refusal) and same.code == "refused"
    assert "was captured by anna, and anna would confirm it" in same.text
    confirmed = desk.deal("ben", "confirm")
    assert confirmed.text.startswith("confirmed D-1: listing ")
    commands = desk.journaled(OperatorCommand)
    assert [(command.who, command.why) for command in commands] == [("anna", "agreed by telephone"), ("ben", "a test")]
    assert commands[1].peer == f"uid=61002 gid=100 pid={os.getpid()} user=ben"
    deals = desk.journaled(Deal)
    assert [deal.status for deal in deals] == ["captured", "confirmed"]
    assert deals[1].who == f"ben (uid=61002 gid=100 pid={os.getpid()} user=ben)"
    (trade,) = desk.journaled(ExternalTrade)
    assert trade.listing_id == deals[1].listing_id
    assert captured.seq < confirmed.seq < confirmed.last_seq <= desk.kernel.journal.written_seq  # type: ignore[union-attr]


def test_a_refused_command_is_not_journaled_and_every_fault_is_told_apart(desk: Desk):
    seq = desk.kernel.cascade.seq
    rows = [[2, {**DEAL, "price": "x", "side": "y"}], [3, {**DEAL, "quantity": "0"}]]
    argument = msgspec.json.encode({"do": "capture", "file": "deals.csv", "rows": rows}).decode()
    answer = desk.command("deal", argument=argument)
    assert isinstance(answer, Refusal)
    assert len(answer.faults) == 4  # the id stands twice, too
    assert all(fault in answer.text for fault in answer.faults)
    assert desk.kernel.cascade.seq == seq


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("", "an argument that cannot be read"),
        ("{}", "deal met '', wanted one of capture, confirm, reject, cancel"),
        ('{"do":"capture"}', "deal met 0 rows, wanted 1 to 200 at a time"),
        ('{"do":"confirm","id":"D-9"}', "deal 'D-9' is not known"),
        ('{"do":"confirm","idd":"D-9"}', "unknown field `idd`"),
    ],
)
def test_an_argument_that_makes_no_sense_is_refused(desk: Desk, argument: str, text: str):
    answer = desk.command("deal", argument=argument)
    assert isinstance(answer, Refusal) and text in answer.text


def test_a_command_is_done_once_and_answered_the_same(desk: Desk):
    first = desk.deal("anna", "capture", request="r-1")
    assert desk.deal("anna", "capture", request="r-1") == first
    other = desk.deal("ben", "confirm", request="r-1")
    assert isinstance(other, Refusal) and "request r-1 was deal" in other.text
    assert len(desk.journaled(Deal)) == 1


def test_what_does_not_hold_any_more_when_it_is_done_is_refused_then(desk: Desk):
    desk.deal("anna", "capture")
    plugin = desk.kernel.slots["deals"].plugin
    check = plugin.check_command
    asked: list[int] = []

    def once_blind(command: OperatorCommand) -> Any:
        asked.append(1)
        if len(asked) > 1:
            return check(command)
        desk.kernel.input(
            OperatorCommand(command="deal", who="cleo", why="first", argument=command.argument), Origin.OPERATOR
        )
        return ()

    plugin.check_command = once_blind
    answer = desk.deal("ben", "reject")
    assert isinstance(answer, Refusal)
    assert "deal D-1 is rejected" in answer.text
    assert [alert.code for alert in desk.journaled(Alert)][-1] == "deal.refused"


def test_what_a_plugin_has_to_show_is_asked_for_by_its_word(desk: Desk):
    desk.deal("anna", "capture")
    shown = desk.ask(QueryRequest(word="deal"))
    assert isinstance(shown, QueryAnswer)
    assert [(deal["deal_id"], deal["status"], deal["captured_by"]) for deal in shown.value] == [
        ("D-1", "captured", "anna")
    ]
    assert "the id of a deal: D-1" in desk.ask(QueryRequest(word="deal", argument="D-9")).text
    assert "no plugin here does 'weather'; there are deal, trades" in desk.ask(QueryRequest(word="weather")).text


def test_a_quarantined_plugin_takes_no_command_and_says_so(desk: Desk):
    desk.command("quarantine", "deals")
    answer = desk.deal("anna", "capture")
    assert isinstance(answer, Refusal)
    assert answer.text == "plugin deals, which does deal, is quarantined; release it"


def test_without_the_plugin_its_words_are_not_known(new_desk: Callable[..., Desk]):
    desk = new_desk(deployment=DAY.partition("[plugins.deals]")[0])
    answer = desk.deal("anna", "capture")
    assert isinstance(answer, Refusal)
    assert "command 'deal' is not known; there are kill" in answer.text
    assert isinstance(desk.command("explode"), Refusal)


def test_a_plugin_may_not_have_anothers_word(desk: Desk):
    from penstock_plugins.deals.deals import Deals

    with pytest.raises(ValueError, match=r"^command deal of plugin more is deals's already; leave one of them out"):
        desk.kernel.attach(Deals, "more")
