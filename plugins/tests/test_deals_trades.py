"""Trades that a screen or a broker made are found among the listings, put on their grid, and counted once."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_plugins.deals.deals import Deals, DealsConfig
from penstock_sdk.energy import listing_terms, market_zone, parse_contract
from penstock_sdk.energy.calendars import Calendar, Calendars
from penstock_sdk.energy.definitions import definitions, zone_definition
from penstock_sdk.energy.outside_cells import instant_text
from penstock_sdk.energy.outside_trades import trade_cells, trade_number, trade_of, trades_of
from penstock_sdk.energy.row_files import read_csv, read_json, to_csv
from penstock_sdk.energy.rules import Reference, builtin_rules
from penstock_sdk.events import Alert, ExternalTrade, IdKind, OperatorCommand, Side, TradeSource
from penstock_sdk.plugin import Venue
from penstock_sdk.testing import SimKernel

NOW_NS = 1_772_438_400_000_000_000  # 2026-03-02 08:00 UTC
MINUTE_NS = 60_000_000_000
TRADE = {
    "reference": "T-1", "source": "screen", "contract": "QH-1", "side": "sell", "quantity": "2.5", "unit": "MW",
    "price": "-1.5", "traded": instant_text(NOW_NS - MINUTE_NS), "book": "power-de", "trader": "anna",
}  # fmt: skip


def _with_calendars() -> Reference:
    """Return the built-in rules with a calendar of British bank holidays that has none."""
    uk = Calendar("UK", date(2020, 1, 1), date(2035, 12, 31))
    return Reference(builtin_rules(), Calendars([uk]))


class Desk:
    """A kernel with two listings and the plugin."""

    def __init__(self, folder: Path | None = None, **config: tuple[str, ...]) -> None:
        self.kernel = SimKernel(start_ns=NOW_NS)
        self.plugin = self.kernel.add(Deals, "deals", DealsConfig(**config), folder=folder)
        self.kernel.add(Venue, "paper-a")
        self.kernel.add(Venue, "paper-b")
        venues = [self.kernel.intern_input(IdKind.PLUGIN, name) for name in ("paper-a", "paper-b")]
        self.listing_ids = [self.add(f"QH-{number}", venues[0]) for number in (1, 2)]
        self.kernel.start()

    def add(self, name: str, venue_id: int) -> int:
        """Announce a listing that is delivered in an hour."""
        return self.kernel.add_listing(name, venue_id, start_ns=NOW_NS + 60 * MINUTE_NS)

    def send(self, *rows: dict[str, str]) -> list[str]:
        """Import rows as the kernel's end of the socket does."""
        cells = [
            [at, {name: text for name, text in {**TRADE, **row}.items() if text}] for at, row in enumerate(rows, 2)
        ]
        argument = json.dumps({"file": "trades.csv", "rows": cells})
        faults = list(self.plugin.check_command(OperatorCommand(command="trades", who="x", why="x", argument=argument)))
        if not faults:
            self.kernel.command("trades", argument=argument)
        return faults

    def trades(self) -> list[ExternalTrade]:
        return self.kernel.of(ExternalTrade)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_trade_is_told_on_its_listings_grid(desk: Desk):
    assert desk.send({"strategy": "paper-a", "counterparty": "Nordwind AG"}) == []
    (trade,) = desk.trades()
    assert (trade.listing_id, trade.side, trade.source) == (desk.listing_ids[0], Side.SELL, TradeSource.SCREEN)
    assert (trade.price_ticks, trade.qty_lots) == (-150, 25)  # of 0.01 and 0.1 MW
    assert trade.traded_ns == NOW_NS - MINUTE_NS
    assert desk.kernel.name_of(IdKind.PLUGIN, trade.strategy_id) == "paper-a"
    assert desk.kernel.name_of(IdKind.BOOK, trade.book_id) == "power-de"
    assert desk.kernel.name_of(IdKind.COUNTERPARTY, trade.counterparty_id) == "Nordwind AG"


def test_lots_are_taken_as_they_are(desk: Desk):
    assert desk.send({"quantity": "7", "unit": "lots", "source": "broker"}) == []
    assert (desk.trades()[0].qty_lots, desk.trades()[0].source) == (7, TradeSource.BROKER)


def test_the_same_reference_is_one_trade_however_often_it_comes(desk: Desk):
    assert desk.send({}) == []
    assert desk.send({}, {"reference": "T-2"}) == []
    assert desk.send({"price": "-1.50"}) == []  # the same number, written otherwise
    assert [trade.trade_id for trade in desk.trades()] == [trade_number("screen", f"T-{n}") for n in (1, 2)]
    assert desk.plugin.command_outcome(OperatorCommand(command="trades", who="x", why="x")).text == (
        "0 trades taken, 1 were known already"
    )


def test_the_same_reference_of_a_broker_is_another_trade(desk: Desk):
    assert desk.send({}) == desk.send({"source": "broker"}) == []
    assert len({trade.trade_id for trade in desk.trades()}) == 2


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"contract": "QH-9"}, "contract met 'QH-9': no listing or contract is called so now"),
        ({"contract": "QH-1", "venue": "paper-b"}, "no listing or contract at paper-b is called so now"),
        ({"price": "1.005"}, "price met '1.005': "),
        ({"quantity": "0.05"}, "quantity met '0.05': "),
        ({"quantity": "1.5", "unit": "lots"}, "it is no whole number of lots"),
        ({"unit": "therm/d"}, "unit met 'therm/d': the contract is in MW; wanted MW or lots"),
        ({"strategy": "nobody"}, "strategy met 'nobody': no plugin is called so"),
        ({"traded": instant_text(NOW_NS + 2 * MINUTE_NS)}, "it is in the future"),
        ({"side": "short"}, "side met 'short'"),
        ({"source": "otc"}, "source met 'otc'"),
        ({"quantity": "-1"}, "it is not above 0"),
        ({"book": ""}, "book met nothing: it is missing"),
        ({"unit": ""}, "unit met nothing: it is missing; wanted lots, or the contract's own unit, as MW"),
    ],
)
def test_one_bad_row_refuses_all(desk: Desk, change: dict[str, str], fault: str):
    (found,) = desk.send({}, {"reference": "T-2", **change})
    assert found.startswith("trades.csv:3: ")
    assert fault in found
    assert desk.trades() == []


def test_a_reference_that_was_another_trade_is_refused(desk: Desk):
    desk.send({})
    (fault,) = desk.send({"price": "-1.6"})
    assert "screen T-1 was another trade" in fault
    assert len(desk.trades()) == 1


def test_what_is_announced_later_is_found_then(desk: Desk):
    assert desk.send({"contract": "QH-3"})
    desk.add("QH-3", 1)
    assert desk.send({"contract": "QH-3"}) == []


def test_what_is_listed_twice_wants_a_venue(desk: Desk):
    desk.add("QH-3", desk.kernel.intern_input(IdKind.PLUGIN, "paper-a"))
    from penstock_sdk.events import ListingDefinition

    (first,) = [each for each in desk.kernel.of(ListingDefinition) if each.name == "QH-3"]
    import msgspec

    other_id = desk.kernel.intern_input(IdKind.LISTING, "QH-3 again")
    venue_b = desk.kernel.intern_input(IdKind.PLUGIN, "paper-b")
    desk.kernel.feed(msgspec.structs.replace(first, listing_id=other_id, venue_id=venue_b))
    (fault,) = desk.send({"contract": "QH-3"})
    assert "it is listed 2 times: QH-3 at paper-a, QH-3 at paper-b; wanted one of them, by venue" in fault
    assert desk.send({"contract": "QH-3", "venue": "paper-b"}) == []
    assert desk.trades()[0].listing_id == other_id


def test_a_venues_own_name_of_a_future_is_understood_with_its_tick_and_lot(desk: Desk):
    contract = parse_contract("TTF M 2027-01", _with_calendars())
    terms = listing_terms(contract)
    desk.kernel.feed(zone_definition(market_zone("TTF"), desk.kernel.intern_input))
    told = definitions(contract, terms, desk.kernel.intern_input, reference=_with_calendars())
    for event in told:
        desk.kernel.feed(event)
    row = {"contract": "TFM FMF0027", "venue": "ICE", "quantity": "5", "unit": "lots", "price": "31.245"}
    assert desk.send(row) == []
    (trade,) = desk.trades()
    assert trade.listing_id == told.listing.listing_id
    assert (trade.price_ticks, trade.qty_lots) == (6_249, 5)  # of 0.005
    (fault,) = desk.send({**row, "reference": "T-2", "venue": "EEX"})
    assert "contract met 'TFM FMF0027': no listing or contract at EEX is called so now" in fault
    (fault,) = desk.send({**row, "reference": "T-3", "price": "31.246"})
    assert "price met '31.246': " in fault


def _told(desk: Desk, name: str) -> None:
    """Announce a contract as the reference data plugin does."""
    contract = parse_contract(name, _with_calendars())
    desk.kernel.feed(zone_definition(market_zone(contract.zone), desk.kernel.intern_input))
    for event in definitions(contract, listing_terms(contract), desk.kernel.intern_input, reference=_with_calendars()):
        desk.kernel.feed(event)


def test_a_trade_after_the_last_trading_day_or_beyond_the_price_limits_is_refused(desk: Desk):
    _told(desk, "TTF M 2026-03")
    row = {"contract": "TTF M 2026-03", "quantity": "5", "price": "31"}
    (fault,) = desk.send({**row, "traded": "2026-03-01T12:00:00Z"})
    assert "traded met '2026-03-01T12:00:00Z': TTF M 2026-03 was traded until 2026-02-2" in fault
    assert "its last trading day; wanted a time up to 2026-02-2" in fault
    assert desk.send({**row, "traded": "2026-02-20T12:00:00Z"}) == []
    _told(desk, "DE-LU QH 2026-03-10 09:15")
    row = {"contract": "DE-LU QH 2026-03-10 09:15", "quantity": "1", "reference": "T-2"}
    (fault,) = desk.send({**row, "price": "99999"})
    assert "price met '99999': the limits of its market are -9999 and 9999; wanted -9999 to 9999" in fault
    assert desk.send({**row, "price": "9999"}) == []


def test_a_trade_when_delivery_was_over_is_refused(desk: Desk):
    desk.kernel.run_until(NOW_NS + 100 * MINUTE_NS)
    (fault,) = desk.send({"traded": instant_text(NOW_NS + 75 * MINUTE_NS)})
    assert "delivery of QH-1 was over by 2026-03-02T09:15:00Z; wanted a time before 2026-03-02T09:15:00Z" in fault
    assert desk.send({"traded": instant_text(NOW_NS + 74 * MINUTE_NS)}) == []


def test_british_gas_is_priced_in_pence(desk: Desk):
    contract = parse_contract("NBP M 2027-01", _with_calendars())
    desk.kernel.feed(zone_definition(market_zone("NBP"), desk.kernel.intern_input))
    for event in definitions(contract, listing_terms(contract), desk.kernel.intern_input, reference=_with_calendars()):
        desk.kernel.feed(event)
    row = {"contract": "NBP M 2027-01", "quantity": "2000", "unit": "therm/d", "price": "75.26"}
    assert desk.send(row) == []
    assert (desk.trades()[0].price_ticks, desk.trades()[0].qty_lots) == (7_526, 2)


def test_trades_of_files_are_told_in_order_of_time_each_at_its_own(tmp_path: Path):
    rows = [
        {**TRADE, "reference": f"T-{minutes}", "traded": instant_text(NOW_NS + minutes * MINUTE_NS)}
        for minutes in (7, -3, 5, -9, 5)
    ]
    rows[4]["reference"] = "T-5b"
    rows.insert(1, {**TRADE, "reference": "T-2", "traded": instant_text(NOW_NS - 2 * MINUTE_NS)})
    (tmp_path / "one.csv").write_text(to_csv(rows[:4]))
    (tmp_path / "two.json").write_text(json.dumps(rows[4:]))
    desk = Desk(tmp_path, trades_files=("one.csv", "two.json"))
    seen = [(at, trade.traded_ns) for _, at, trade in desk.kernel.events if type(trade) is ExternalTrade]
    assert seen == [(NOW_NS, NOW_NS - minutes * MINUTE_NS) for minutes in (3, 2, 9)]
    state = desk.plugin.snapshot()
    desk.plugin.restore(json.loads(json.dumps(state)))  # what waits outlasts a restart
    desk.kernel.run_until(NOW_NS + 10 * MINUTE_NS)
    seen = [(at, trade.traded_ns) for _, at, trade in desk.kernel.events if type(trade) is ExternalTrade][3:]
    assert seen == [(NOW_NS + minutes * MINUTE_NS,) * 2 for minutes in (5, 5, 7)]
    assert desk.send(rows[0], rows[1]) == []
    assert len(desk.trades()) == 6


def test_a_trade_of_a_file_whose_contract_is_not_there_in_time_is_told(tmp_path: Path):
    later = {**TRADE, "contract": "QH-9", "traded": instant_text(NOW_NS + MINUTE_NS)}
    (tmp_path / "trades.csv").write_text(to_csv([later]))
    desk = Desk(tmp_path, trades_files=("trades.csv",))
    assert [alert.code for alert in desk.kernel.of(Alert)] == []
    desk.kernel.run_until(NOW_NS + MINUTE_NS)
    (alert,) = desk.kernel.of(Alert)
    assert (alert.code, alert.subject) == ("deal.file_refused", "trades.csv")
    assert "trades.csv:2: contract met 'QH-9'" in alert.met
    assert desk.trades() == []


@given(
    reference=st.text("abcT-019", min_size=1, max_size=12).filter(lambda text: text[0] != "-"),
    price=st.decimals(-500, 4_000, places=2), lots=st.integers(1, 10**6), side=st.sampled_from(["buy", "sell"]),
)  # fmt: skip
def test_valid_trades_come_back_from_csv_and_json(reference: str, price: object, lots: int, side: str):
    terms, faults = trade_of(
        {**TRADE, "reference": reference, "price": f"{price:f}", "quantity": str(lots), "side": side}
    )
    assert terms is not None, faults
    held = trade_cells(terms)
    assert trades_of(read_csv("x.csv", to_csv([held]))) == ([(2, terms)], [])
    assert trades_of(read_json("x.json", json.dumps([held]))) == ([(1, terms)], [])


@given(st.text("0123456789aT-", min_size=1, max_size=25))
def test_a_trades_number_is_its_reference_where_that_is_one(reference: str):
    number = trade_number("screen", reference)
    assert 0 <= number < 2**63
    plain = reference.isdigit() and (reference == "0" or reference[0] != "0") and int(reference) < 2**62
    assert (number == int(reference)) if plain else (number >= 2**62)
