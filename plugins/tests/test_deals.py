"""Deals count once two people have seen them, within the limits of their counterparty, and can be taken back."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_plugins.deals.deals import Deals, DealsConfig
from penstock_sdk.energy.localtime import local_to_ns
from penstock_sdk.energy.row_files import to_csv
from penstock_sdk.events import (
    Alert,
    ContractDefinition,
    CounterpartyDefinition,
    Deal,
    ExternalTrade,
    IdKind,
    ListingDefinition,
    PluginFault,
    Side,
    TaskResult,
    TradeSource,
    ZoneDefinition,
)
from penstock_sdk.testing import SimKernel

LEI = "529900T8BM49AURSDO55"
PARTNERS = f"name,lei,limits,active\nNordwind AG,{LEI},EUR=1000000,yes\nOld Co,,EUR=5,no\nSmall Co,,EUR=0 GBP=5,yes\n"
DEAL = {
    "deal_id": "D-1", "counterparty": "Nordwind AG", "book": "power-de", "trader": "anna", "side": "buy",
    "kind": "forward", "zone": "DE-LU", "delivery": "M 2026-04", "quantity": "5", "unit": "MW", "price": "86.7",
    "price_unit": "EUR/MWh", "traded": "2026-02-20T10:15:00Z",
}  # fmt: skip
APRIL_EUR = 5 * 720 * 86.7
HOUR_NS = 3_600_000_000_000


def at(text: str) -> int:
    """Return a UTC time in ns."""
    return local_to_ns(datetime.fromisoformat(text), "Etc/UTC")


class Desk:
    """A kernel with the plugin, and the people who call it."""

    def __init__(self, folder: Path, now: str = "2026-03-02T08:00", **config: Any) -> None:
        self.folder = folder
        (folder / "partners.csv").write_text(PARTNERS)
        self.kernel = SimKernel(start_ns=at(now))
        settings = DealsConfig(counterparties="partners.csv", **config)
        self.plugin = self.kernel.add(Deals, "deals", settings, folder=folder)

    def start(self) -> Desk:
        self.kernel.start()
        return self

    def say(self, who: str, do: str, **more: Any) -> list[str]:
        """Give a command as the kernel's end of the socket does: checked first, heard only without a fault."""
        from penstock_sdk.events import OperatorCommand

        argument = json.dumps({"do": do, **more})
        command = OperatorCommand(command="deal", who=who, why="test", argument=argument)
        faults = list(self.plugin.check_command(command))
        if not faults:
            self.kernel.command("deal", who=who, why="test", argument=argument)
        return faults

    def capture(self, who: str = "anna", **changes: str) -> list[str]:
        cells = {name: text for name, text in {**DEAL, **changes}.items() if text}
        return self.say(who, "capture", rows=[[1, cells]])

    def told(self) -> list[tuple[str, str]]:
        """Return (deal, status) of every change."""
        return [(deal.deal_id, deal.status) for deal in self.kernel.of(Deal)]

    def trades(self) -> list[ExternalTrade]:
        return self.kernel.of(ExternalTrade)

    def alerts(self, code: str) -> list[Alert]:
        return [alert for alert in self.kernel.of(Alert) if alert.code == code]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path).start()


def file_of(*rows: dict[str, str]) -> str:
    return to_csv([{**DEAL, **row} for row in rows])


# -- four eyes ---------------------------------------------------------------------------------------------------------


def test_a_deal_counts_once_somebody_else_has_confirmed_it(desk: Desk):
    assert desk.capture("anna") == []
    assert desk.told() == [("D-1", "captured")]
    assert desk.trades() == desk.kernel.of(ContractDefinition) == []
    assert desk.say("ben", "confirm", id="D-1") == []
    assert desk.told() == [("D-1", "captured"), ("D-1", "confirmed")]
    (trade,) = desk.trades()
    (listing,) = desk.kernel.of(ListingDefinition)
    (contract,) = desk.kernel.of(ContractDefinition)
    kernel = desk.kernel
    assert (trade.listing_id, trade.side, trade.source) == (listing.listing_id, Side.BUY, TradeSource.OTC)
    assert (trade.price_ticks, trade.qty_lots, trade.trade_id) == (8_670, 1, 1)
    assert trade.traded_ns == at("2026-02-20T10:15")
    assert kernel.name_of(IdKind.BOOK, trade.book_id) == "power-de"
    assert kernel.name_of(IdKind.TRADER, trade.trader_id) == "anna"
    assert kernel.name_of(IdKind.COUNTERPARTY, trade.counterparty_id) == "Nordwind AG"
    assert (contract.settlement, contract.payment, contract.product) == ("physical", "monthly", "OTC")
    assert (listing.reference_only, listing.lot_kw, listing.contract_id) == (True, 5_000, contract.contract_id)
    assert listing.cash_micro_per_lot_tick * trade.price_ticks == round(APRIL_EUR * 1e6)
    assert kernel.of(Deal)[-1].listing_id == listing.listing_id
    assert [zone.code for zone in kernel.of(ZoneDefinition)] == ["DE-LU"]


def test_who_captured_cannot_confirm_and_both_names_are_told(desk: Desk):
    desk.capture("Anna")
    (fault,) = desk.say("anna", "confirm", id="D-1")
    assert fault == (
        "deal D-1 was captured by Anna, and anna would confirm it; wanted two people: somebody else confirms it"
    )
    assert desk.trades() == []


def test_who_captures_is_whom_the_system_says(desk: Desk):
    (fault,) = desk.capture("anna", captured_by="ben")
    assert fault == (
        "command:1: captured_by met 'ben': the system says that it comes from anna; wanted anna, or nothing"
    )
    (fault,) = desk.capture("anna", captured_by="anna", confirmed_by="ben")
    assert "confirmed_by met 'ben': confirming is a command of its own" in fault
    assert desk.told() == []


def test_a_rejected_deal_never_counts_and_its_id_is_used_up(desk: Desk):
    desk.capture("anna")
    assert desk.say("ben", "reject", id="D-1") == []
    assert desk.kernel.of(Deal)[-1].why == "test"
    assert "deal D-1 is rejected; to confirm it" in desk.say("ben", "confirm", id="D-1")[0]
    assert "deal D-1 is rejected already" in desk.capture("anna")[0]
    assert desk.trades() == []


def test_a_cancelled_deal_is_taken_back_by_a_trade_the_other_way_at_its_price(desk: Desk):
    desk.capture("anna", side="sell", price="-4.5")
    desk.say("ben", "confirm", id="D-1")
    assert desk.say("ben", "cancel", id="D-1") == []
    made, back = desk.trades()
    assert (made.side, made.source) == (Side.SELL, TradeSource.OTC)
    assert (back.side, back.source) == (Side.BUY, TradeSource.CORRECTION)
    for same in ("listing_id", "price_ticks", "qty_lots", "trade_id", "book_id", "counterparty_id", "traded_ns"):
        assert getattr(made, same) == getattr(back, same)
    assert made.price_ticks < 0
    assert "is cancelled" in desk.say("ben", "cancel", id="D-1")[0]


def test_a_captured_deal_is_cancelled_without_a_trade(desk: Desk):
    desk.capture("anna")
    assert desk.say("anna", "cancel", id="D-1") == []
    assert desk.told()[-1] == ("D-1", "cancelled")
    assert desk.trades() == []


def test_an_unknown_deal_is_refused_with_those_there_are(desk: Desk):
    assert desk.say("ben", "confirm", id="D-9") == ["deal 'D-9' is not known; no deal is: capture one first"]
    desk.capture("anna")
    assert desk.say("ben", "confirm", id="D-9") == ["deal 'D-9' is not known; wanted one of D-1"]


def test_an_unconfirmed_deal_raises_an_alert_once_it_is_old_and_clears_it_when_it_is_not(tmp_path: Path):
    desk = Desk(tmp_path, unconfirmed_hours=2.0).start()
    desk.capture("anna")
    desk.capture("anna", deal_id="D-2")
    desk.say("ben", "confirm", id="D-2")
    begun_ns = desk.kernel.moment.now_ns
    desk.kernel.run_until(begun_ns + 2 * HOUR_NS - 1)
    assert desk.alerts("deal.unconfirmed") == []
    desk.kernel.run_until(begun_ns + 2 * HOUR_NS)
    assert [(alert.subject, alert.cleared) for alert in desk.alerts("deal.unconfirmed")] == [("D-1", False)]
    desk.say("ben", "confirm", id="D-1")
    assert [alert.cleared for alert in desk.alerts("deal.unconfirmed")] == [False, True]


# -- counterparties and limits -----------------------------------------------------------------------------------------


def test_counterparties_are_announced_with_their_limits(desk: Desk):
    first, second, third = desk.kernel.of(CounterpartyDefinition)
    assert (first.name, first.lei, first.limits, first.active) == ("Nordwind AG", LEI, {"EUR": 10**12}, True)
    assert (second.active, third.limits) == (False, {"EUR": 0, "GBP": 5_000_000})


@pytest.mark.parametrize(
    ("changes", "rule", "wanted"),
    [
        ({"counterparty": "Nobody"}, "it is not known", "one of Nordwind AG, Old Co, Small Co"),
        ({"counterparty": "Old Co"}, "Old Co is not active", "another counterparty"),
        ({"counterparty": "Small Co"}, "no limit in EUR, which is no trading", "a currency with a limit: GBP"),
        ({"price_unit": "CHF/MWh"}, "no limit in CHF", "a currency with a limit: EUR"),
        ({"quantity": "17"}, "1061208 EUR would be owed, above the limit of 1000000 EUR", "at most 1000000 EUR"),
        ({"quantity": "17", "price": "-86.7", "side": "sell"}, "1061208 EUR would be owed", "at most 1000000 EUR"),
        ({"traded": "2026-03-03T08:00:00Z"}, "it is in the future", "a time up to 2026-03-02T08:00:00Z"),
    ],
)
def test_what_a_counterparty_does_not_allow_is_refused_with_value_and_way_out(
    desk: Desk, changes: dict[str, str], rule: str, wanted: str
):
    (fault,) = desk.capture("anna", **changes)
    assert rule in fault
    assert wanted in fault
    assert desk.told() == []


def test_a_deal_may_reach_its_limit(desk: Desk):
    day = {"delivery": "D 2026-04-01", "price": "0"}
    assert desk.capture("anna", **{**day, "price": "1000000", "quantity": "1", "unit": "MWh"}) == []
    assert desk.capture("anna", **{**day, "deal_id": "D-2", "price": "1000000.24", "quantity": "1", "unit": "MWh"})


def test_confirmed_deals_use_the_limit_up_until_they_are_paid(desk: Desk):
    for deal_id in ("D-1", "D-2", "D-3"):
        assert desk.capture("anna", deal_id=deal_id) == []  # 312,120 EUR each
        assert desk.say("ben", "confirm", id=deal_id) == []
    (fault,) = desk.capture("anna", deal_id="D-4")
    assert "1248480 EUR would be owed, above the limit of 1000000 EUR" in fault
    assert "a deal of at most 63640 EUR" in fault
    assert desk.capture("anna", deal_id="D-5", side="sell") == []  # what they owe us is held apart from what we owe
    desk.kernel.run_until(at("2026-05-20T21:59"))  # the 20th of the month after, to its end in Berlin
    assert desk.capture("anna", deal_id="D-6", delivery="M 2026-06")
    desk.kernel.run_until(at("2026-05-20T22:00"))
    assert desk.capture("anna", deal_id="D-6", delivery="M 2026-06") == []


@pytest.mark.parametrize(
    ("changes", "months"),
    [
        ({"delivery": "Q 2026-Q2"}, {"2026-05-20": 720 * 5, "2026-06-22": 744 * 5, "2026-07-20": 720 * 5}),
        ({"delivery": "M 2026-10 PEAK"}, {"2026-11-20": 22 * 12 * 5}),
        (
            {"delivery": "", "quantity": "", "shape": "2026-04-30T23:00/2026-05-01T01:00=5"},
            {"2026-05-20": 5, "2026-06-22": 5},
        ),
        ({"zone": "TTF", "delivery": "B 2026-04-30 20:00-24:00"}, {"2026-05-20": 20}),
        (
            {"zone": "PSV", "delivery": "Q 2026-Q2", "unit": "MWh/d"},
            {"2026-05-20": 30 * 5, "2026-06-22": 31 * 5, "2026-07-20": 30 * 5},
        ),
    ],
)
def test_each_month_is_owed_until_the_20th_of_the_next_or_the_business_day_after(
    desk: Desk, changes: dict[str, str], months: dict[str, int]
):
    assert desk.capture("anna", price="10", **changes) == []
    (deal,) = desk.plugin.book.deals.values()
    ends = {at(f"{day}T22:00") if day < "2026-10-25" else at(f"{day}T23:00"): mwh for day, mwh in months.items()}
    assert deal.payments == [(until_ns, -mwh * 10_000_000) for until_ns, mwh in ends.items()]


def test_the_limit_is_asked_again_at_confirmation(desk: Desk):
    for deal_id in ("D-1", "D-2", "D-3", "D-4"):
        assert desk.capture("anna", deal_id=deal_id) == []
    assert [bool(desk.say("ben", "confirm", id=f"D-{number}")) for number in range(1, 5)] == [False] * 3 + [True]


def test_a_cancelled_deal_gives_its_limit_back(desk: Desk):
    desk.capture("anna", quantity="15")
    desk.say("ben", "confirm", id="D-1")
    assert desk.capture("anna", deal_id="D-2")
    desk.say("ben", "cancel", id="D-1")
    assert desk.capture("anna", deal_id="D-2") == []


def test_a_swap_counts_both_ways_as_its_floating_leg_may_go_either(desk: Desk):
    assert desk.capture("anna", kind="swap", index="EPEX DE-LU", quantity="10") == []
    assert desk.say("ben", "confirm", id="D-1") == []
    (contract,) = desk.kernel.of(ContractDefinition)
    assert contract.settlement == "cash"
    assert "above the limit" in desk.capture("anna", deal_id="D-2", side="buy", quantity="10")[0]
    assert "above the limit" in desk.capture("anna", deal_id="D-2", side="sell", quantity="10")[0]


# -- files -------------------------------------------------------------------------------------------------------------


def test_a_file_captures_and_confirms_what_names_two_people(tmp_path: Path):
    desk = Desk(tmp_path, files=("deals.csv",))
    (tmp_path / "deals.csv").write_text(
        file_of({"captured_by": "anna", "confirmed_by": "ben"}, {"deal_id": "D-2", "captured_by": "anna"})
    )
    desk.start()
    assert desk.told() == [("D-1", "captured"), ("D-2", "captured"), ("D-1", "confirmed")]
    assert [deal.who for deal in desk.kernel.of(Deal)] == [
        "anna (said by file deals.csv:2)", "anna (said by file deals.csv:3)", "ben (said by file deals.csv:2)",
    ]  # fmt: skip
    assert len(desk.trades()) == 1
    assert desk.say("anna", "confirm", id="D-2")  # who captured it in the file cannot confirm it by command
    assert desk.say("ben", "confirm", id="D-2") == []
    shown = {deal["deal_id"]: deal for deal in desk.plugin.asked("deal", "")}
    assert [shown[name]["told_by"] for name in ("D-1", "D-2")] == ["deals.csv:2", ""]
    assert (shown["D-2"]["energy"], shown["D-2"]["value"]) == ("3600 MWh", "312120 EUR")


def test_who_captures_is_the_trader_where_none_is_named(desk: Desk):
    assert desk.capture("anna", trader="") == []
    assert desk.say("ben", "confirm", id="D-1") == []
    assert desk.kernel.name_of(IdKind.TRADER, desk.trades()[0].trader_id) == "anna"


def test_the_counterparty_is_told_beside_what_else_is_wrong(desk: Desk):
    found = desk.capture("anna", counterparty="Nobody", traded="2026-02-20 10:15", side="x", delivery="M 2026-13")
    assert [fault.partition(" met ")[0] for fault in found] == [
        "command:1: side", "command:1: traded", "command:1: delivery", "command:1: counterparty",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("second", "fault"),
    [
        ({"price": "x"}, "deals.csv:3: price met 'x'"),
        ({"counterparty": "Nobody"}, "deals.csv:3: counterparty met 'Nobody'"),
        ({"captured_by": "", "trader": "carl"}, "deals.csv:3: captured_by met nothing"),
        ({"deal_id": "D-1"}, "deals.csv:3: deal_id met 'D-1': row 2 has it already"),
        ({"quantity": "17", "confirmed_by": "ben"}, "above the limit"),
    ],
)
def test_one_bad_row_refuses_the_whole_file(tmp_path: Path, second: dict[str, str], fault: str):
    desk = Desk(tmp_path, files=("deals.csv",))
    good = {"captured_by": "anna", "confirmed_by": "ben"}
    (tmp_path / "deals.csv").write_text(file_of(good, {"deal_id": "D-2", "captured_by": "anna", **second}))
    desk.start()
    (alert,) = desk.alerts("deal.file_refused")
    assert alert.subject == "deals.csv"
    assert fault in alert.met
    assert desk.told() == []
    assert desk.trades() == []
    assert desk.kernel.of(PluginFault) == []


@pytest.mark.parametrize("bad", [None, b"\xff\xfe", b""])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, bad: bytes | None):
    desk = Desk(tmp_path, files=("deals.csv",))
    if bad is not None:
        (tmp_path / "deals.csv").write_bytes(bad)
    desk.start()
    assert [alert.subject for alert in desk.alerts("deal.file_refused")] == ["deals.csv"]
    assert desk.capture("anna") == []  # the rest goes on


def test_a_file_that_would_hold_the_kernel_is_refused(tmp_path: Path):
    desk = Desk(tmp_path, files=("deals.csv",))
    (tmp_path / "deals.csv").write_text(file_of(*({"deal_id": f"D-{number}"} for number in range(2_001))))
    desk.start()
    assert "deals.csv: it has 2001 rows; wanted at most 2000: split it" in desk.alerts("deal.file_refused")[0].met


def test_deals_of_one_file_use_the_limit_up_together(tmp_path: Path):
    desk = Desk(tmp_path, files=("deals.csv",))
    eyes = {"captured_by": "anna", "confirmed_by": "ben"}
    (tmp_path / "deals.csv").write_text(file_of(*({"deal_id": f"D-{number}", **eyes} for number in range(4))))
    desk.start()
    (alert,) = desk.alerts("deal.file_refused")
    assert "deals.csv:5: counterparty met 'Nordwind AG': 1248480 EUR would be owed" in alert.met
    assert desk.told() == []


def test_deals_of_one_file_that_wait_for_a_second_person_use_no_limit_up(tmp_path: Path):
    desk = Desk(tmp_path, files=("deals.csv",))
    (tmp_path / "deals.csv").write_text(file_of(*({"deal_id": f"D-{n}", "captured_by": "anna"} for n in range(4))))
    desk.start()
    assert len(desk.told()) == 4


def test_a_deal_of_a_file_that_is_traded_later_is_captured_then(tmp_path: Path):
    desk = Desk(tmp_path, files=("deals.json",))
    later = {**DEAL, "traded": "2026-03-02T10:00:00Z", "captured_by": "anna", "confirmed_by": "ben"}
    (tmp_path / "deals.json").write_text(json.dumps([later]))
    desk.start()
    desk.kernel.run_until(at("2026-03-02T09:59:59"))
    assert desk.told() == []
    desk.kernel.run_until(at("2026-03-02T10:00"))
    assert desk.told() == [("D-1", "captured"), ("D-1", "confirmed")]


def test_a_later_session_takes_what_is_new_in_the_file_and_confirms_what_waited(tmp_path: Path):
    desk = Desk(tmp_path, files=("deals.csv",))
    (tmp_path / "deals.csv").write_text(file_of({"captured_by": "anna"}))
    desk.start()
    state = desk.plugin.snapshot()
    again = Desk(tmp_path, files=("deals.csv",))
    (tmp_path / "deals.csv").write_text(
        file_of({"captured_by": "anna", "confirmed_by": "ben"}, {"deal_id": "D-2", "captured_by": "anna"})
    )
    again.plugin.restore(state)
    again.start()
    assert again.told() == [("D-2", "captured"), ("D-1", "confirmed")]
    assert again.kernel.of(CounterpartyDefinition) == []  # as they were told


def test_a_file_that_is_read_again_as_it_was_changes_nothing(tmp_path: Path):
    desk = Desk(tmp_path, files=("deals.csv",))
    (tmp_path / "deals.csv").write_text(
        file_of({"captured_by": "anna"}, {"deal_id": "D-2", "captured_by": "anna", "confirmed_by": "ben"})
    )
    desk.start()
    again = Desk(tmp_path, files=("deals.csv",))
    again.plugin.restore(desk.plugin.snapshot())
    again.start()
    assert again.told() == again.trades() == again.kernel.of(Alert) == []
    assert [deal.status for deal in again.plugin.book.deals.values()] == ["captured", "confirmed"]


def test_a_file_cannot_confirm_what_its_second_name_has_captured_by_command(tmp_path: Path):
    desk = Desk(tmp_path).start()
    desk.capture("ben")
    again = Desk(tmp_path, files=("deals.csv",))
    (tmp_path / "deals.csv").write_text(file_of({"captured_by": "anna", "confirmed_by": "Ben"}))
    again.plugin.restore(desk.plugin.snapshot())
    again.start()
    assert "confirmed_by met 'Ben': ben has captured it as well" in again.alerts("deal.file_refused")[0].met
    assert again.told() == []


def test_a_deal_that_a_file_tells_otherwise_than_before_is_refused(tmp_path: Path):
    desk = Desk(tmp_path, files=("deals.csv",))
    (tmp_path / "deals.csv").write_text(file_of({"captured_by": "anna"}))
    desk.start()
    state = desk.plugin.snapshot()
    again = Desk(tmp_path, files=("deals.csv",))
    (tmp_path / "deals.csv").write_text(file_of({"captured_by": "anna", "price": "87"}))
    again.plugin.restore(state)
    again.start()
    assert "deal D-1 is captured already, with other terms" in again.alerts("deal.file_refused")[0].met


def test_what_was_read_is_an_event_so_that_a_replay_needs_no_file(tmp_path: Path):
    desk = Desk(tmp_path, files=("deals.csv",))
    (tmp_path / "deals.csv").write_text(file_of({"captured_by": "anna", "confirmed_by": "ben"}))
    desk.start()
    (result,) = desk.kernel.of(TaskResult)
    (tmp_path / "deals.csv").unlink()
    replayed = Desk(tmp_path, files=("deals.csv",))
    replayed.kernel.submit = lambda plugin_id, fn, args: 1  # type: ignore[method-assign]
    replayed.start()
    replayed.kernel.feed(result)
    assert replayed.kernel.of(Deal) == desk.kernel.of(Deal)
    assert replayed.trades() == desk.trades()


# -- laws --------------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from(["anna", "ben"]), st.sampled_from(["capture", "confirm", "reject", "cancel"]),
                          st.integers(1, 3)), max_size=25))  # fmt: skip
def test_the_trades_are_those_of_deals_that_two_people_saw_and_nobody_took_back(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, int]]
):
    desk = Desk(tmp_path_factory.mktemp("law")).start()
    captured: dict[str, str] = {}
    for who, do, number in steps:
        deal_id = f"D-{number}"
        if do == "capture":
            if not desk.capture(who, deal_id=deal_id, quantity="1"):
                captured[deal_id] = who
        elif not desk.say(who, do, id=deal_id) and do == "confirm":
            assert captured[deal_id] != who
    net: dict[int, int] = {}
    for trade in desk.trades():
        net[trade.trade_id] = net.get(trade.trade_id, 0) + (1 if trade.side == Side.BUY else -1)
    last = dict(desk.told())
    book = desk.plugin.book
    for deal_id, record in book.deals.items():
        assert record.status == last[deal_id]
        assert net.get(record.number, 0) == (1 if record.status == "confirmed" else 0)
    to_us, by_us = book.owed("Nordwind AG", "EUR", desk.kernel.moment.now_ns)
    assert to_us == 0
    assert by_us == sum(net.values()) * round(APRIL_EUR / 5 * 1e6)
    state = desk.plugin.snapshot()
    desk.plugin.restore(json.loads(json.dumps(state)))
    assert desk.plugin.snapshot() == state
