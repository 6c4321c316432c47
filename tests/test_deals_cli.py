"""Deals and trades at the command line: checked without an instance, taken by one, counted after a crash, replayed."""

from __future__ import annotations

import json
import os
import pwd
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from day_runs import DEADLINE_S, penstock, read_entries, wait_for

from penstock_kernel.cli.main import main
from penstock_kernel.control.client import Control, ControlCallError
from penstock_kernel.control.protocol import QueryAnswer, QueryRequest, StateAnswer, StatusRequest
from penstock_kernel.replay import replay
from penstock_sdk.energy import parse_period
from penstock_sdk.energy.outside_cells import decimal_text
from penstock_sdk.energy.row_files import to_csv
from penstock_sdk.events import Deal, ExternalTrade, TradeSource

ME = pwd.getpwuid(os.geteuid()).pw_name
OK, REFUSED, NOT_RUNNING = 0, 2, 3
DELIVERY = f"Y {datetime.now(UTC).year + 2}"
HOURS = int(parse_period("DE-LU", DELIVERY).hours_rational)
DEAL = {
    "deal_id": "D-1", "counterparty": "Nordwind AG", "book": "power-de", "trader": "anna", "side": "buy",
    "kind": "forward", "zone": "DE-LU", "delivery": DELIVERY, "quantity": "1", "unit": "MW", "price": "-4.25",
    "price_unit": "EUR/MWh", "traded": "2026-02-20T10:15:00Z", "captured_by": "anna",
}  # fmt: skip
PARTNERS = "name,limits\nNordwind AG,EUR=1000000\n"
TOY = """
[run]
delivery_day = "today"
days = "rolling"

[plugins.exchange]
use = "exchange"
config = { orders_per_day = 200 }

[plugins.deals]
use = "deals"

[plugins.deals.config]
files = ["deals.csv"]
counterparties = "partners.csv"
"""


class Desk:
    """An instance on a toy deployment, its kernel in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.runs_dir = folder, folder / "runs"
        self.dir = self.runs_dir / "desk"
        (folder / "plugins.toml").write_text(TOY)
        (folder / "partners.csv").write_text(PARTNERS)
        (folder / "deals.csv").write_text(to_csv([DEAL]))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "penstock_kernel.cli.main", "run", "--instance", "desk", "plugins.toml"]
        command += ["--clock", "wall", "--runs-dir", "runs", "--no-watchdog", "--quiet", "--no-report"]
        with (self.folder / "out.txt").open("ab") as out:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True
            )
        wait_for(lambda: self.process.poll() is not None or self.ready(), "deals read from the file")
        assert self.process.poll() is None, (self.folder / "out.txt").read_text()

    def ready(self) -> bool:
        """Return whether the instance is live and has read its files."""
        try:
            with Control(self.dir) as control:
                state, shown = control.ask(StatusRequest()), control.ask(QueryRequest(word="deal"))
        except (ControlCallError, FileNotFoundError):
            return False
        return (
            isinstance(state, StateAnswer) and state.state.phase == "ready"
            and isinstance(shown, QueryAnswer) and bool(shown.value)
        )  # fmt: skip

    def crash(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(DEADLINE_S)

    def journaled(self, of: type) -> list[Any]:
        return [entry.record for entry in read_entries(self.dir) if type(entry.record) is of]


Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    desk.start()
    yield desk
    desk.crash()


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Said:
    """Return a function that runs one command here: (exit code, output, errors)."""

    def run(*words: str | Path, at: Desk | None = None) -> tuple[int, str, str]:
        capfd.readouterr()
        where = ["--instance", "desk", "--runs-dir", str(at.runs_dir)] if at is not None else []
        code = main([*map(str, words), *where])
        out, err = capfd.readouterr()
        return code, out, err

    return run


def options(**cells: str) -> list[str]:
    """Return a deal as options of the command line."""
    held = {name: text for name, text in {**DEAL, **cells}.items() if name != "captured_by" and text}
    return [word for name, text in held.items() for word in (f"--{name.replace('_', '-')}", text)]


def test_a_desks_day_with_deals_and_trades(desk: Desk, said: Said):
    code, out, _ = said("deal", "list", at=desk)
    assert code == OK
    assert out == (
        f"D-1  captured  buy forward DE-LU {DELIVERY}, 1 MW at -4.25 EUR/MWh with Nordwind AG, book power-de; "
        f"{HOURS} MWh, {decimal_text(Decimal('-4.25') * HOURS)} EUR; captured by anna\n"
    )
    # What the file's anna has captured, who calls here confirms.
    code, out, _ = said("deal", "confirm", "D-1", at=desk)
    assert (code, out.startswith("confirmed D-1: listing ")) == (OK, True)
    assert f"; buy forward DE-LU {DELIVERY}, 1 MW at -4.25 EUR/MWh" in out and f"; {HOURS} MWh, -" in out
    _example_of_the_help(desk, said)
    # What who calls here has captured, nobody here confirms.
    code, out, _ = said("deal", "capture", *options(deal_id="D-2"), at=desk)
    assert (code, out.partition(" (seq")[0]) == (OK, f"captured D-2; somebody else than {ME} confirms")
    code, _, err = said("deal", "confirm", "D-2", at=desk)
    assert code == REFUSED
    assert f"deal D-2 was captured by {ME}, and {ME} would confirm it; wanted two people" in err
    code, out, _ = said("deal", "reject", "D-2", "--reason", "a typing error", at=desk)
    assert (code, out.partition(" (")[0]) == (OK, "rejected D-2")
    code, _, err = said("deal", "cancel", "D-9", "--reason", "x", at=desk)
    assert (code, "deal 'D-9' is not known; wanted one of D-1, EX-1, D-2" in err) == (REFUSED, True)
    code, _, err = said("deal", "capture", *options(deal_id="D-3", price="1,5", side="short"), at=desk)
    assert code == REFUSED
    assert [line.partition(" met ")[0] for line in err.splitlines()[:2]] == [
        "penstock deal: command line:1: side", "penstock deal: command line:1: price",
    ]  # fmt: skip
    assert err.splitlines()[2] == "penstock deal: 2 faults, nothing was done"
    _trades(desk, said)
    _after_a_crash(desk, said)


def _example_of_the_help(desk: Desk, said: Said) -> None:
    """What the help shows is done as it stands; who calls is the trader where none is named."""
    from penstock_kernel.cli.deals import _EXAMPLE

    lines = _EXAMPLE.replace("\\\n", " ").splitlines()
    (example,) = [line for line in lines if line.strip().startswith("penstock deal capture")]
    words = shlex.split(example)
    code, out, err = said(*words[1:], "--request", "help-1", at=desk)
    assert (code, out.partition(" (seq")[0]) == (OK, f"captured EX-1; somebody else than {ME} confirms"), err
    deal = json.loads(said("deal", "list", "EX-1", "--json", at=desk)[1])["value"][0]
    assert (deal["terms"]["trader"], deal["energy"], deal["value"]) == (ME, "3715 MWh", "322090.5 EUR")
    assert said("deal", "reject", "EX-1", "--reason", "an example", at=desk)[0] == OK
    code, _, err = said("deal", "capture", *options(deal_id="D-4", unit=""), at=desk)
    assert (code, "unit met nothing: quantity 1 without a unit says no amount; wanted one of kW, MW" in err) == (
        REFUSED, True,
    )  # fmt: skip


def _trades(desk: Desk, said: Said) -> None:
    """Import a file twice, then one with a fault."""
    day = (datetime.now(UTC) - timedelta(minutes=1)).isoformat(timespec="seconds")
    with Control(desk.dir) as control:
        shown = control.ask(QueryRequest(word="deal", argument="D-1"))
    assert isinstance(shown, QueryAnswer)
    row = {
        "reference": "4711", "source": "broker", "contract": "DE-LU OTC D-1", "side": "sell", "quantity": "1",
        "unit": "lots", "price": "100", "traded": day, "book": "power-de", "strategy": "exchange",
    }  # fmt: skip
    file = desk.folder / "trades.csv"
    file.write_text(to_csv([row]))
    unknown = "; 1 in contracts that the rules do not know were not held against a tick and lot"
    assert said("trades", "check", file)[:2] == (OK, f"{file}: 1 trades, no faults{unknown}\n")
    code, out, _ = said("trades", "import", file, at=desk)
    assert (code, out.partition(" (")[0]) == (OK, "1 trades taken")
    assert "0 trades taken, 1 were known already" in said("trades", "import", file, at=desk)[1]
    file.write_text(to_csv([{**row, "reference": "4712"}, {**row, "reference": "4713", "contract": "DE-LU QH 99"}]))
    code, out, _ = said("trades", "import", file, "--json", at=desk)
    answer = json.loads(out)
    assert (code, answer["is"], len(answer["faults"])) == (REFUSED, "error", 1)
    assert answer["faults"][0].startswith(f"{file}:3: contract met 'DE-LU QH 99'")


def _after_a_crash(desk: Desk, said: Said) -> None:
    """The deals stand as they stood, count once, and replay without any file."""
    before = said("deal", "list", "--json", at=desk)[1]
    desk.crash()
    assert said("deal", "list", at=desk)[0] == NOT_RUNNING
    desk.start()
    assert said("deal", "list", "--json", at=desk)[1] == before
    code, _, _ = said("deal", "cancel", "D-1", "--reason", "the other side withdrew", at=desk)
    assert code == OK
    assert said("stop", "--reason", "done", "--wait", at=desk)[0] == OK
    assert [(deal.deal_id, deal.status) for deal in desk.journaled(Deal)] == [
        ("D-1", "captured"), ("D-1", "confirmed"), ("EX-1", "captured"), ("EX-1", "rejected"),
        ("D-2", "captured"), ("D-2", "rejected"), ("D-1", "cancelled"),
    ]  # fmt: skip
    trades = desk.journaled(ExternalTrade)
    assert [trade.source for trade in trades] == [TradeSource.OTC, TradeSource.BROKER, TradeSource.CORRECTION]
    assert (trades[1].trade_id, trades[1].qty_lots) == (4711, 1)
    for name in ("deals.csv", "partners.csv"):
        (desk.folder / name).unlink()
    assert replay(desk.dir).events > 100


def test_a_file_is_checked_without_an_instance(tmp_path: Path, said: Said):
    deals, partners = tmp_path / "deals.json", tmp_path / "partners.csv"
    deals.write_text(json.dumps([DEAL, {**DEAL, "deal_id": "D-2"}]))
    partners.write_text(PARTNERS)
    assert said("deal", "check", deals, "--counterparties", partners) == (OK, f"{deals}: 2 deals, no faults\n", "")
    deals.write_text(json.dumps([DEAL, {**DEAL, "deal_id": "D-2", "counterparty": "Nobody"}]))
    code, _, err = said("deal", "check", deals, "--counterparties", partners)
    assert code == REFUSED
    assert err == (f"penstock deal: {deals}:2: counterparty met 'Nobody': it is not known; wanted one of Nordwind AG\n")
    deals.write_text(json.dumps([{**DEAL, "quantity": "0"}, {**DEAL, "deal_id": "D-2", "kind": "x"}]))
    code, out, _ = said("deal", "check", deals, "--json")
    assert (code, len(json.loads(out)["faults"])) == (REFUSED, 2)
    partners.write_text("name,lei\nNordwind AG,529900T8BM49AURSDO56\n")
    deals.write_text(json.dumps([DEAL]))
    assert "ends in '56'" in said("deal", "check", deals, "--counterparties", partners)[2]
    assert "counterparties and limits were not asked" in said("deal", "check", deals)[1]


def test_a_check_refuses_what_a_run_refuses(tmp_path: Path, said: Said):
    deals, partners = tmp_path / "deals.csv", tmp_path / "partners.csv"
    partners.write_text("name,limits,active\nNordwind AG,EUR=2500000,yes\nZero,EUR=0,yes\nGone,EUR=100,no\n")
    deals.write_text(
        to_csv(
            [
                {**DEAL, "price": "86.70", "quantity": "50"}, {**DEAL, "deal_id": "D-2", "counterparty": "Zero"},
                {**DEAL, "deal_id": "D-3", "counterparty": "Gone"}, {**DEAL, "deal_id": "D-4"},
            ]
        )
    )  # fmt: skip
    (tmp_path / "plugins.toml").write_text(TOY)
    for how in (("--counterparties", partners), ("--deployment", tmp_path / "plugins.toml")):
        code, _, err = said("deal", "check", deals, *how)
        assert code == REFUSED
        eur = decimal_text(Decimal("86.7") * 50 * HOURS)
        assert [line.partition("; wanted")[0].partition(": ")[2] for line in err.splitlines()[:3]] == [
            f"{deals}:2: counterparty met 'Nordwind AG': {eur} EUR would be owed, above the limit of "
            "2500000 EUR",
            f"{deals}:3: counterparty met 'Zero': Zero has no limit in EUR, which is no trading",
            f"{deals}:4: counterparty met 'Gone': Gone is not active",
        ]  # fmt: skip
        assert err.splitlines()[3:] == ["penstock deal: 3 faults, nothing was done"]
    deals.write_text(to_csv([{**DEAL, "quantity": "0"}, {**DEAL, "deal_id": "D-2", "counterparty": "Zero"}]))
    err = said("deal", "check", deals, "--counterparties", partners)[2]
    assert ("quantity met '0'" in err, "Zero has no limit" in err) == (True, True)
    deals.write_text(to_csv([{**DEAL, "counterparty": "Nobody", "traded": "2026-02-20 10:15"}]))
    code, _, err = said("deal", "check", deals, "--counterparties", partners)
    assert (code, "traded met" in err, "counterparty met 'Nobody'" in err) == (REFUSED, True, True)


def test_trades_are_checked_against_the_terms_of_their_contracts(tmp_path: Path, said: Said):
    file = tmp_path / "trades.csv"
    row = {
        "reference": "1", "source": "screen", "contract": "TTF M 2026-12", "side": "buy", "quantity": "5", "unit": "MW",
        "price": "31.245", "traded": "2026-11-02T10:00:00Z", "book": "gas",
    }  # fmt: skip
    wrong = [
        {"price": "31.246"}, {"quantity": "5.5"}, {"unit": "therm/d"}, {"traded": "2026-12-28T10:00:00Z"},
        {"contract": "DE-LU QH 2026-03-10 09:15", "price": "99999", "traded": "2026-03-09T10:00:00Z"},
    ]  # fmt: skip
    file.write_text(to_csv([{**row, **change, "reference": str(at)} for at, change in enumerate(wrong)]))
    code, _, err = said("trades", "check", file)
    assert code == REFUSED
    told = [line.partition(f"{file}:")[2].partition(" met ")[0] for line in err.splitlines()[:-1]]
    assert told == ["2: price", "3: quantity", "4: unit", "5: traded", "6: price"]
    assert "was traded until 2026-11-2" in err and "wanted -9999 to 9999" in err
    file.write_text(to_csv([row]))
    assert said("trades", "check", file)[:2] == (OK, f"{file}: 1 trades, no faults\n")


def test_a_deployment_with_a_faulty_file_is_neither_sound_nor_started(tmp_path: Path, said: Said):
    (tmp_path / "plugins.toml").write_text(
        TOY.replace('"today"\ndays = "rolling"', '"2026-03-10"\nend = "2026-03-09T16:00"')
        + 'trades_files = ["trades.csv"]\n'
    )
    (tmp_path / "partners.csv").write_text("name,lei,limits\nNordwind AG,529900T8BM49AURSDO56,EUR=1000000\n")
    (tmp_path / "deals.csv").write_text(to_csv([DEAL, {**DEAL, "deal_id": "D-2", "price_unit": "GBP/MWh"}]))
    partners = (tmp_path / "partners.csv").read_text()
    (tmp_path / "partners.csv").write_text(PARTNERS)
    assert "Nordwind AG has no limit in GBP" in said("check", tmp_path / "plugins.toml")[1]
    (tmp_path / "partners.csv").write_text(partners)
    (tmp_path / "deals.csv").write_text(to_csv([DEAL, {**DEAL, "deal_id": "D-2", "price": "x"}]))
    code, out, _ = said("check", tmp_path / "plugins.toml")
    assert code == REFUSED
    for place in ("partners.csv:2", "deals.csv:3", "trades.csv: it cannot be read"):
        assert place in out
    ended = penstock("run", "plugins.toml", "--quiet", "--no-report", cwd=tmp_path)
    assert ended.status == REFUSED
    assert "deals.csv:3" in ended.err
    assert not list((tmp_path / "runs").glob("*/journal"))


def test_what_was_captured_outlasts_a_kill_and_a_changed_file(tmp_path: Path):
    desk = Desk(tmp_path)
    (tmp_path / "deals.csv").write_text(to_csv([{**DEAL, "confirmed_by": "ben"}]))
    try:
        desk.start()
        desk.crash()  # long before a snapshot
        told = desk.journaled(Deal)
        (tmp_path / "deals.csv").write_text(to_csv([{**DEAL, "price": "9", "confirmed_by": "ben"}]))
        desk.start()
        with Control(desk.dir) as control:
            shown = control.ask(QueryRequest(word="deal"))
        assert isinstance(shown, QueryAnswer)
        assert [(deal["status"], deal["terms"]["price"]) for deal in shown.value] == [("confirmed", "-4.25")]
        desk.crash()
        (tmp_path / "deals.csv").write_text("half a file\n")  # somebody writes it: the instance comes back all the same
        desk.start()
    finally:
        desk.crash()
    assert desk.journaled(Deal) == told
    assert [deal.status for deal in told] == ["captured", "confirmed"]
    assert len(desk.journaled(ExternalTrade)) == 1


@pytest.mark.parametrize("text", [None, b"\xff"])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, said: Said, text: bytes | None):
    file = tmp_path / "deals.csv"
    if text is not None:
        file.write_bytes(text)
    code, _, err = said("deal", "check", file)
    assert (code, err.startswith(f"penstock deal: {file}: it ")) == (REFUSED, True)


def test_capture_wants_a_file_or_terms_and_not_both(tmp_path: Path, said: Said):
    wanted = "capture wants a file, or the terms as options"
    assert wanted in said("deal", "capture")[2]
    assert wanted in said("deal", "capture", tmp_path / "deals.csv", "--price", "1")[2]


def test_a_file_of_too_many_rows_is_not_sent(tmp_path: Path, said: Said):
    file = tmp_path / "deals.csv"
    file.write_text(to_csv([{**DEAL, "deal_id": f"D-{number}"} for number in range(1_000)]))
    code, _, err = said("deal", "capture", file)
    assert (code, "split it, or name it in the deployment" in err) == (REFUSED, True)


def test_the_help_shows_an_example(said: Said, capfd: pytest.CaptureFixture[str]):
    for word, example in (
        ("deal", "penstock deal capture --deal-id EX-1"),
        ("trades", "penstock trades import trades.csv"),
    ):
        with pytest.raises(SystemExit) as ended:
            main([word, "--help"])
        assert ended.value.code == 0
        assert example in capfd.readouterr().out


def test_a_simulated_day_counts_the_deals_of_its_files(tmp_path: Path):
    (tmp_path / "partners.csv").write_text(PARTNERS)
    (tmp_path / "deals.csv").write_text(
        to_csv([{**DEAL, "confirmed_by": "ben", "delivery": "M 2026-03", "traded": "2026-03-09T14:00:00Z"}])
    )
    trade = {
        "reference": "T-1", "source": "screen", "contract": "DE-LU OTC D-1", "side": "sell", "quantity": "1",
        "unit": "lots", "price": "7", "traded": "2026-03-09T14:30:00Z", "book": "power-de",
    }  # fmt: skip
    (tmp_path / "trades.json").write_text(json.dumps([trade]))
    toy = TOY.replace('"today"\ndays = "rolling"', '"2026-03-10"\nend = "2026-03-09T16:00"')
    (tmp_path / "plugins.toml").write_text(toy + 'trades_files = ["trades.json"]\n')
    ended = penstock("run", "plugins.toml", "--quiet", "--no-report", cwd=tmp_path)
    assert ended.status == OK, ended.err
    (run,) = [path.parent for path in (tmp_path / "runs").glob("*/run.json")]
    entries = [entry for entry in read_entries(run) if type(entry.record) is ExternalTrade]
    assert [(entry.record.source, entry.record.side) for entry in entries] == [
        (TradeSource.OTC, 1),
        (TradeSource.SCREEN, 2),
    ]
    assert entries[0].record.price_ticks == -425
    assert [entry.at_ns for entry in entries] == [entry.record.traded_ns for entry in entries]  # each at its own time
    for name in ("deals.csv", "partners.csv", "trades.json"):
        (tmp_path / name).unlink()
    assert replay(run).events > 100
