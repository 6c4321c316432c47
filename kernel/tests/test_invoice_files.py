"""Cash flows and invoices of finished and running runs: every row, exact, in tables and in CSV files."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from penstock_kernel.cli.invoice_files import CASH_FLOW_COLUMNS, INVOICE_COLUMNS
from penstock_kernel.cli.main import main
from penstock_kernel.lake import Reader, rebuild
from penstock_kernel.runs import RunInfo
from penstock_sdk.events import CashFlow, CashKind, IdKind, Interned, InvoiceLine, ZoneDefinition
from penstock_sdk.schema import Frame

ODD = 'Müller, "Energie"; Söhne\nGmbH'
START_NS = 1_773_097_200_000_000_000  # 2026-03-10 00:00 in Berlin
QUARTER_NS = 900_000_000_000


def flow(kind: CashKind, day: str, micro: int, *, party: int = 0, currency: int = 1, **more: Any) -> CashFlow:
    return CashFlow(
        1, zone_id=1, counterparty_id=party, currency_id=currency, kind=kind, amount_micro=micro,
        value_day=date.fromisoformat(day).toordinal(), energy_wh=250_000, **more,
    )  # fmt: skip


FLOWS = [
    flow(CashKind.TRADE, "2026-03-10", -12_345_678, delivery_start_ns=START_NS, delivery_end_ns=START_NS + QUARTER_NS,
         traded_ns=START_NS - 1),
    flow(CashKind.FEE, "2026-03-10", -4_999),
    flow(CashKind.TRADE, "2026-03-11", 2**53 + 1, party=1, currency=2, delivery_start_ns=START_NS),
    flow(CashKind.IMBALANCE, "2026-04-20", 0, party=1, delivery_start_ns=START_NS, version=3),
    flow(CashKind.IMBALANCE, "2026-04-20", -1, party=1, delivery_start_ns=START_NS, version=4),
]  # fmt: skip
LINES = [
    InvoiceLine(
        invoice=f"{party} 2026-03 EUR", line=line, counterparty=party, book="power", kind=kind, text="a, b",
        month="2026-03", currency="EUR", energy_wh=-1, exact_micro=exact, amount_minor=minor, version=version,
        final=final,
    )
    for party, line, kind, exact, minor, version, final in [
        ("ECC", 1, "trade", -12_345_678, -1_235, 1, False),
        ("ECC", 1, "trade", -99_990_000, -9_999, 2, True),
        ("ECC", 2, "fee", -5_000, 0, 2, True),
        (ODD, 1, "imbalance", 1, 0, 1, False),
    ]
]  # fmt: skip


@pytest.fixture(params=["running", "complete"])
def run(request: pytest.FixtureRequest, tmp_path: Path, journal_writer: Callable[..., Any]) -> Path:
    """Return the folder of a run that goes on, or of one that is closed."""
    run_dir = tmp_path / "runs" / "20260310-000000-aaaa"
    run_dir.mkdir(parents=True)
    journal = journal_writer(run_dir / "journal")
    names = [(IdKind.BOOK, 1, "power"), (IdKind.CURRENCY, 1, "EUR"), (IdKind.CURRENCY, 2, "JPY"),
             (IdKind.COUNTERPARTY, 1, ODD), (IdKind.ZONE, 1, "DE-LU")]  # fmt: skip
    for kind, number, name in names:
        journal.add(Interned(kind=kind, id=number, name=name), START_NS)
    journal.add(ZoneDefinition(zone_id=1, code="DE-LU", timezone="Europe/Berlin", currency="EUR"), START_NS)
    journal.add(Frame.of(FLOWS), START_NS)
    for line in LINES:
        journal.add(line, START_NS)
    journal.commit()
    RunInfo(id=run_dir.name, status=request.param, pid=os.getpid()).save(run_dir)
    if request.param == "complete":
        rebuild(run_dir)
    return run_dir


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main(list(arguments))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_cash_flow_is_a_row_and_exact(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cash.csv"
    assert told(capsys, "cashflows", str(run), "--csv", str(file)) == (0, f"{file}: 5 rows\n", "")
    rows = read(file)
    assert tuple(rows[0]) == CASH_FLOW_COLUMNS
    assert [row["amount"] for row in rows] == [
        "-12.345678", "-0.004999", "9007199254.740993", "0.000000", "-0.000001"
    ]  # fmt: skip
    assert [row["value_day"] for row in rows] == ["2026-03-10"] * 2 + ["2026-03-11"] + ["2026-04-20"] * 2
    assert [row["counterparty"] for row in rows] == ["clearing house"] * 2 + [ODD] * 3
    assert [row["version"] for row in rows] == ["0", "0", "0", "3", "4"]
    first = rows[0]
    assert (first["traded_utc"], first["delivery_start_utc"]) == (
        "2026-03-09T22:59:59.999999999Z", "2026-03-09T23:00:00Z",
    )  # fmt: skip
    assert (first["energy_mwh"], first["currency"], first["book"], first["zone"]) == (
        "0.250000", "EUR", "power", "DE-LU",
    )  # fmt: skip
    assert rows[1]["traded_utc"] == ""


def test_columns_stay_as_an_erp_knows_them() -> None:
    assert ",".join(CASH_FLOW_COLUMNS) == (
        "value_day,kind,amount,currency,counterparty,book,strategy,listing,zone,energy_mwh,version,traded_utc,"
        "delivery_start_utc,delivery_end_utc,seq"
    )
    assert ",".join(INVOICE_COLUMNS) == (
        "invoice,version,status,line,counterparty,month,book,kind,text,energy_mwh,exact_amount,amount,currency,"
        "zone,quantity,unit"
    )


def test_a_file_that_is_there_is_kept_unless_forced(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cash.csv"
    file.write_text("mine")
    status, out, err = told(capsys, "cashflows", str(run), "--csv", str(file))
    assert (status, out, file.read_text()) == (2, "", "mine")
    assert err == f"penstock cashflows: {file} is there already; give another name, or --force to write over it\n"
    assert told(capsys, "cashflows", str(run), "--csv", str(file), "--force")[0] == 0
    assert len(read(file)) == 5
    status, _, err = told(capsys, "invoices", str(run), "--csv", str(tmp_path / "no" / "file.csv"))
    assert status == 2 and "is no folder" in err


def test_the_newest_version_of_each_invoice_is_told(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "lines.csv"
    assert told(capsys, "invoices", str(run), "--csv", str(file))[0] == 0
    rows = read(file)
    assert tuple(rows[0]) == INVOICE_COLUMNS
    told_of = ("counterparty", "version", "status", "amount", "exact_amount")
    assert [tuple(row[name] for name in told_of) for row in rows] == [
        ("ECC", "2", "final", "-99.99", "-99.990000"), ("ECC", "2", "final", "0.00", "-0.005000"),
        (ODD, "1", "draft", "0.00", "0.000001"),
    ]  # fmt: skip
    _, out, _ = told(capsys, "invoices", str(run), "--final", "--csv", "-")
    assert [line.split(",")[3] for line in out.splitlines()[1:]] == ["1", "2"]
    for month, count in (("2026-03", 3), ("2026-04", 0)):
        _, out, _ = told(capsys, "invoices", str(run), "--month", month, "--csv", "-")
        assert len(list(csv.reader(out.splitlines(keepends=True)))) == 1 + count
    _, out, _ = told(capsys, "invoices", str(run))
    assert "final 2" in out and "-99.99" in out and "draft 1" in out
    status, _, err = told(capsys, "invoices", str(run), "--month", "March")
    assert (status, err) == (2, "penstock invoices: --month met 'March', wanted a month such as 2026-03\n")


def test_a_draft_is_drawn_up_from_the_cash_flows_there_are(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "draft.csv"
    assert told(capsys, "invoices", str(run), "--draft", "--csv", str(file))[0] == 0
    rows = read(file)
    assert [(row["invoice"], row["kind"], row["amount"]) for row in rows] == [
        ("ECC 2026-03 EUR", "trade", "-12.35"), ("ECC 2026-03 EUR", "fee", "0.00"),
        (f"{ODD} 2026-03 EUR", "imbalance", "0.00"), (f"{ODD} 2026-03 JPY", "trade", "9007199255"),
    ]  # fmt: skip
    assert {row["status"] for row in rows} == {"draft"}


def test_gas_of_the_first_before_six_is_drafted_with_the_month_before(
    tmp_path: Path, journal_writer: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "runs" / "20260501-000000-bbbb"
    run_dir.mkdir(parents=True)
    journal = journal_writer(run_dir / "journal")
    for kind, number, name in [(IdKind.BOOK, 1, "gas"), (IdKind.CURRENCY, 1, "EUR"), (IdKind.ZONE, 1, "TTF"),
                               (IdKind.COUNTERPARTY, 1, "Acme")]:  # fmt: skip
        journal.add(Interned(kind=kind, id=number, name=name), START_NS)
    zone = ZoneDefinition(
        zone_id=1, code="TTF", timezone="Europe/Amsterdam", currency="EUR", commodity="gas", day_starts_hour=6
    )
    journal.add(zone, START_NS)
    six_ns = 1_777_608_000_000_000_000  # 2026-05-01 06:00 in Amsterdam
    flows = [
        flow(CashKind.TRADE, "2026-05-20", micro, party=1, delivery_start_ns=six_ns + hours * 4 * QUARTER_NS)
        for hours, micro in ((-6, -1_000_000), (-1, -2_000_000), (0, -4_000_000))
    ]
    journal.add(Frame.of(flows), START_NS)
    journal.commit()
    RunInfo(id=run_dir.name, status="running", pid=os.getpid()).save(run_dir)
    file = tmp_path / "draft.csv"
    assert told(capsys, "invoices", str(run_dir), "--draft", "--csv", str(file))[0] == 0
    assert [(row["invoice"], row["amount"]) for row in read(file)] == [
        ("Acme 2026-04 EUR", "-3.00"), ("Acme 2026-05 EUR", "-4.00"),
    ]  # fmt: skip


def test_the_clearing_house_of_a_draft_is_the_deployments(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deployment = '[plugins.s]\nuse = "settlement"\n[plugins.s.config]\nclearing_house = "OMIClear"\n'
    (run / "deployment.toml").write_text(deployment)
    _, out, _ = told(capsys, "invoices", str(run), "--draft")
    assert "OMIClear 2026-03 EUR" in out and "ECC" not in out


@pytest.mark.parametrize("by", ["day", "counterparty", "kind"])
def test_sums_are_told_per_currency(run: Path, by: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = told(capsys, "cashflows", str(run), "--by", by)
    assert status == 0
    assert "9,007,199,255" in out and "-12.35" in out
    wanted = {
        "day": ("2026-03-11", "2026-04-20"),
        "counterparty": ("clearing house", "Müller"),
        "kind": ("fee", "trade"),
    }
    assert all(word in out for word in wanted[by])


def test_the_views_say_what_is_due(run: Path) -> None:
    with Reader(run) as reader:
        due = reader.query("SELECT * FROM cash_due").to_pylist()
        flows = reader.query("SELECT value_day, amount_micro FROM cash_flows_latest ORDER BY seq").to_pylist()
    assert [(str(row["value_day"]), row["currency"], row["amount_micro"], row["flows"]) for row in due] == [
        ("2026-03-10", "EUR", -12_350_677, 2), ("2026-03-11", "JPY", 2**53 + 1, 1), ("2026-04-20", "EUR", -1, 2),
    ]  # fmt: skip
    assert [row["value_day"].toordinal() for row in flows] == [flow.value_day for flow in FLOWS]
    assert sum(Decimal(row["amount_micro"]) for row in flows) == sum(flow.amount_micro for flow in FLOWS)


def test_a_run_without_settlement_says_so(
    tmp_path: Path, journal_writer: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "runs" / "20260310-000000-bbbb"
    run_dir.mkdir(parents=True)
    journal = journal_writer(run_dir / "journal")
    journal.add(Interned(kind=IdKind.BOOK, id=1, name="power"), START_NS)
    journal.commit()
    RunInfo(id=run_dir.name, status="running", pid=os.getpid()).save(run_dir)
    for command, says in (
        ("invoices", "no invoices: the plugin settlement"),
        ("cashflows", "no cash flows: the plugin"),
    ):
        status, out, _ = told(capsys, command, str(run_dir))
        assert status == 0 and out.startswith(says)
        assert told(capsys, command, str(run_dir), "--csv", "-")[1].count("\n") == 1  # the header
