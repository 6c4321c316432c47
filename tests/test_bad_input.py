"""Bad input ends in one clear error that names the way out, or in a fault that others outlive; nothing is lost."""

from __future__ import annotations

import itertools
import re
import shutil
import signal
import textwrap
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loop_runs import (
    DEADLINE_S,
    Entry,
    deployment,
    entries,
    holds_the_lock,
    journal_bytes,
    only_run,
    records,
    resume_child,
    run_child,
    wait_for,
    witness,
)

from penstock_kernel.cli.main import main
from penstock_kernel.replay import replay
from penstock_kernel.run import Run, RunOptions
from penstock_kernel.runs import RunInfo
from penstock_sdk.events import (
    Alert,
    ClockKind,
    ClockStep,
    IntentAction,
    Limit,
    LimitKind,
    OperatorCommand,
    Order,
    OrderState,
    PluginFault,
    PluginState,
    PluginStatus,
    Quote,
    Reason,
    RunEnd,
)
from penstock_sdk.wire.segment import scan, verify
from penstock_sdk.wire.segment_layout import SEGMENT_BYTES

ALONE = RunOptions(lake=False)
MODULES = itertools.count()
TICKER = "count = 120"
Capture = pytest.CaptureFixture[str]


def bad_plugin(folder: Path, code: str, kind: str = "strategy", contract: str = "") -> str:
    """Write a plugin of one class, `Bad`, and return the table that adds it to a deployment."""
    module = f"bad_plugin_{next(MODULES)}"
    home = folder / module
    home.mkdir()
    base = {"strategy": "Strategy", "feed": "Feed", "operations": "Operations", "risk": "RiskCheck"}[kind]
    body = textwrap.indent(textwrap.dedent(code), "    ")
    (home / f"{module}.py").write_text(
        f"from penstock_sdk.events import *\nfrom penstock_sdk.plugin import *\n\nclass Bad({base}):\n{body}\n"
    )
    (home / "plugin.toml").write_text(
        f'[[plugin]]\nid = "bad"\nversion = "0.1.0"\nkind = "{kind}"\ncontract = "{contract or kind + "/1..1"}"\n'
        f'class = "{module}:Bad"\n'
    )
    return f'\n[plugins.bad]\nuse = "bad"\npath = "{home}"\n'


def run(path: Path) -> int:
    """Run a deployment by the command line."""
    return main(["run", str(path), "--quiet", "--no-report"])


def whole(run_dir: Path) -> list[Entry]:
    """Return a run's records, once its journal was found whole, sealed, and the same when replayed."""
    assert verify(run_dir / "journal").sealed
    assert replay(run_dir).digest == scan(run_dir / "journal").digest
    return entries(run_dir)


def of(journal: list[Entry], kind: type) -> list[Any]:
    """Return the records of one type."""
    return [entry.record for entry in journal if type(entry.record) is kind]


def sent_orders(journal: list[Entry]) -> list[Order]:
    """Return the new orders that were routed."""
    return [o for o in of(journal, Order) if o.state == OrderState.ROUTED and o.action == IntentAction.NEW]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Order]:
    """Return the orders of the small market when nothing is wrong with it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run(deployment(folder, ticker=TICKER)) == 0
    return sent_orders(entries(only_run(folder)))


def same_trade(journal: list[Entry], undisturbed: list[Order]) -> bool:
    """Return whether the others traded as if the bad plugin were not there."""
    terms = [(o.order_id, o.side, o.price_ticks, o.qty_lots) for o in sent_orders(journal)]
    return terms == [(o.order_id, o.side, o.price_ticks, o.qty_lots) for o in undisturbed]


# -- before the start --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "typed", "said"),
    [
        ("[plugins.churner.config]\n", "[plugins.churner.config]\nevry = 2\n", "did you mean every?"),
        ('use = "loop_churner"', 'use = "loop_churnr"', "did you mean loop_churner?"),
        ('clock = "sim"', 'clok = "sim"', "did you mean clock?"),
        ('clock = "sim"', 'clock = "sun"', "sun"),
        ("[limits]", "[limit]", "did you mean limits?"),
    ],
)
def test_a_typo_is_told_with_its_line(tmp_path: Path, capsys: Capture, written: str, typed: str, said: str) -> None:
    path = deployment(tmp_path, ticker=TICKER)
    text = path.read_text().replace(written, typed, 1)
    path.write_text(text)
    fault = typed.strip().splitlines()[-1]
    line = 1 + text.splitlines().index(fault)
    assert main(["check", str(path)]) == 2
    told = capsys.readouterr().out
    assert f"plugins.toml:{line}: " in told
    assert said in told
    assert run(path) == 2
    assert f"plugins.toml:{line}: " in capsys.readouterr().err


def test_a_missing_plugin_is_named_with_those_there_are(tmp_path: Path, capsys: Capture) -> None:
    path = deployment(tmp_path, more='\n[plugins.x]\nuse = "exchang"\n')
    assert run(path) == 2
    told = capsys.readouterr().err
    assert 'unknown plugin id "exchang"; did you mean exchange? known: ' in told
    assert not (tmp_path / "runs").exists()
    path = deployment(tmp_path, more='\n[plugins.x]\nuse = "bad"\npath = "nowhere"\n')
    assert run(path) == 2
    assert "nowhere/plugin.toml: no such file" in capsys.readouterr().err


def test_a_plugin_of_another_contract_version_names_both(tmp_path: Path, capsys: Capture) -> None:
    path = deployment(tmp_path, more=bad_plugin(tmp_path, "pass", contract="strategy/2..3"))
    assert run(path) == 2
    told = capsys.readouterr().err
    assert "bad speaks strategy/2..3, this version serves strategy/1..1" in told
    assert "plugin.toml:5: plugin[0].contract" in told


# -- at the start ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def __init__(self, ctx, config=None):\n    raise ValueError('no money')", "ValueError: no money"),
        ("def on_start(self):\n    raise ValueError('no market')", "raised in on_start: ValueError: no market"),
        ("def on_qoute(self, quote):\n    pass", "on_qoute names no record; did you mean on_quote?"),
        ("def on_quote(self):\n    pass", "met 0 arguments, wanted one"),
        ("def on_start(self):\n    return [self.ctx.listing]", "wanted None, a record, a Frame or a list of them"),
    ],
)
def test_a_plugin_that_fails_at_the_start_ends_the_start(tmp_path: Path, capsys: Capture, code: str, said: str) -> None:
    path = deployment(tmp_path, more=bad_plugin(tmp_path, code))
    assert run(path) == 2
    told = capsys.readouterr().err
    assert "bad" in told
    assert said in told
    run_dir = only_run(tmp_path)
    info = RunInfo.load(run_dir)
    assert (info.status, said in info.reason) == ("failed", True)
    assert verify(run_dir / "journal").sealed
    if "on_start" in code:
        journal = whole(run_dir)
        (fault,) = of(journal, PluginFault)
        assert fault.name == "bad"
        assert of(journal, PluginState)[-1].status == PluginStatus.FAILED


# -- while it runs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "handler", "error"),
    [
        ("def on_quote(self, quote):\n    raise ValueError('never again')", "on_quote", "ValueError: never again"),
        ("def on_quote(self, quote):\n    raise SystemExit(3)", "on_quote", "SystemExit: 3"),
        ("def on_quotes(self, quotes):\n    return quotes.array['none']", "on_quotes", "no field of name none"),
        (
            "def on_start(self):\n    self.ctx.set_timer(self.ctx.now_ns + 10**6)\n"
            "def on_timer(self, timer):\n    self.ctx.set_timer(self.ctx.now_ns + 10**6)\n    raise KeyError('t')",
            "on_timer", "KeyError: 't'",
        ),
        ("def on_quote(self, quote):\n    return 'sell'", "returned", "met str 'sell', wanted None, a record"),
        ("def on_quote(self, quote):\n    return [None, 7]", "returned", "wanted None, a record"),
        ("def on_quote(self, quote):\n    return self.buy(1, 'cheap', 3)", "returned", "cheap"),
        ("def on_quote(self, quote):\n    return Signal(2**40)", "returned", "listing_id"),
        ("def on_quote(self, quote):\n    return self.buy(quote.listing_id, 2**70, 3)", "returned", "price_ticks"),
    ],
)  # fmt: skip
def test_a_plugin_that_fails_while_it_runs_is_quarantined_and_the_others_go_on(
    tmp_path: Path, undisturbed: list[Order], code: str, handler: str, error: str
) -> None:
    assert run(deployment(tmp_path, ticker=TICKER, more=bad_plugin(tmp_path, code))) == 0
    journal = whole(only_run(tmp_path))
    faults = of(journal, PluginFault)
    assert len(faults) == 10
    assert {fault.name for fault in faults} == {"bad"}
    assert all(fault.handler == handler and error in fault.error for fault in faults)
    states = [state.status for state in of(journal, PluginState) if state.name == "bad"]
    assert states[-1] == PluginStatus.QUARANTINED
    assert [alert.subject for alert in of(journal, Alert) if alert.code == "plugin.quarantined"] == ["bad"]
    assert same_trade(journal, undisturbed)


def test_intents_that_make_no_sense_are_refused_by_name(tmp_path: Path, undisturbed: list[Order]) -> None:
    code = """
    def on_quote(self, quote):
        return [self.buy(quote.listing_id, quote.bid_ticks, -5), self.buy(999, quote.bid_ticks, 1)]
    """
    assert run(deployment(tmp_path, ticker=TICKER, more=bad_plugin(tmp_path, code))) == 0
    journal = whole(only_run(tmp_path))
    refused = [o.reason for o in of(journal, Order) if o.state == OrderState.REFUSED and o.reason != Reason.QTY_MAX]
    assert set(refused) == {Reason.MALFORMED, Reason.UNKNOWN_LISTING}
    assert len(refused) == 240


@pytest.mark.parametrize(
    "code",
    [
        "def on_quote(self, quote):\n    return quote",
        "def on_quote(self, quote):\n    return [quote, quote]",
        "def on_quote(self, quote):\n    return Signal(1)\ndef on_signal(self, signal):\n    return [signal] * 50",
    ],
)
def test_a_flood_is_cut_and_the_others_go_on(tmp_path: Path, undisturbed: list[Order], code: str) -> None:
    path = deployment(
        tmp_path, ticker=TICKER, run="max_events_per_input = 500", more=bad_plugin(tmp_path, code, kind="operations")
    )
    assert run(path) == 0
    journal = whole(only_run(tmp_path))
    (state,) = [state for state in of(journal, PluginState) if state.status == PluginStatus.QUARANTINED]
    assert state.name == "bad"
    assert "cascade of more than 500 events" in state.reason
    assert len(journal) < 3_000
    assert len(sent_orders(journal)) >= len(undisturbed) - 1


def test_a_check_that_dies_refuses_orders_and_lets_cancels_pass(tmp_path: Path) -> None:
    code = """
    def check_order(self, order):
        if order.order_id & 0xFF > 20:
            raise RuntimeError("out of order")
        return self.passed(order)
    """
    busy = "every = 1\nopen_max = 3"
    bad = bad_plugin(tmp_path, code, kind="risk")
    assert run(deployment(tmp_path, ticker=TICKER, strategy=busy, more=bad)) == 0
    journal = whole(only_run(tmp_path))
    orders = [entry for entry in journal if type(entry.record) is Order and entry.record.reason != Reason.QTY_MAX]
    failed = next(entry.seq for entry in orders if entry.record.reason == Reason.CHECK_FAILED)
    after = [entry.record for entry in orders if entry.seq >= failed]
    news = [order for order in after if order.action == IntentAction.NEW]
    # Refused while the check raises, and no less once it is quarantined for that.
    assert {order.state for order in news} == {OrderState.REFUSED}
    assert {order.reason for order in news} == {Reason.CHECK_FAILED, Reason.NO_CHECK}
    cancels = [order for order in after if order.action == IntentAction.CANCEL]
    assert cancels
    assert {order.state for order in cancels} == {OrderState.PENDING_CANCEL}


# -- what feeds give ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ("at, good; at - 1, good", "lies before the last"),
        ("at, good; at, 'a quote'", "'a quote'"),
        ("at, good; at, Quote('one')", "Quote.listing_id"),
        ("at, good; at, Quote(1, bid_ticks=2**63)", "Quote.bid_ticks"),
        ("at, good; float('nan'), good", "float"),
        ("at, good; good", "'Signal' object is not subscriptable"),
        ("at, good; 1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_feed_that_fails_ends_with_an_alert_and_what_it_gave_stands(
    tmp_path: Path, undisturbed: list[Order], items: str, said: str
) -> None:
    gives = "".join(f"    yield {item}\n" for item in items.split("; "))
    code = (
        "def events(self):\n    at = self.ctx.now_ns + 50_000_000\n"
        f"    good = Signal(1, value=0.5)\n{gives}    yield at + 10**9, good\n"
    )
    assert run(deployment(tmp_path, ticker=TICKER, more=bad_plugin(tmp_path, code, kind="feed"))) == 0
    journal = whole(only_run(tmp_path))
    told = [a.met for a in of(journal, Alert) if a.code == "feed.failed"] + [f.error for f in of(journal, PluginFault)]
    assert len(told) == 1
    assert said in told[0]
    assert sum(type(entry.record).__name__ == "Signal" for entry in journal) == 1
    assert same_trade(journal, undisturbed)


AEMO = """
[run]
zone = "NSW1"
delivery_day = "2025-01-22"
start = "2025-01-22T00:00:00"
end = "2025-01-22T00:30:00"
runs_dir = "{folder}/runs"
[plugins.exchange]
use = "exchange"
config = {{ background = false }}
[plugins.prices]
use = "aemo"
config = {{ region = "NSW1", path = "{folder}/prices.parquet", history_hours = 0 }}
"""


def price_table() -> pa.Table:
    """Return three days of made-up dispatch prices, as the real table is laid out."""
    stamps = [datetime(2025, 1, 20, 0, 5) + place * timedelta(minutes=5) for place in range(3 * 288)]
    return pa.table(
        {
            "settlementdate": pa.array(stamps, pa.timestamp("us")),
            "regionid": pa.array(["NSW1"] * len(stamps)).dictionary_encode(),
            "intervention": pa.array([0] * len(stamps), pa.int8()),
            "rrp": pa.array(np.round(60 + 20 * np.sin(np.arange(len(stamps))), 2), pa.float64()),
        }
    )


def with_column(table: pa.Table, name: str, change: Callable[[list[Any]], None]) -> pa.Table:
    """Return the table with values of one column changed."""
    values = table[name].to_pylist()
    change(values)
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values, table.schema.field(name).type))


def gap_over_the_day() -> pa.Table:
    """Return a table that begins before the day and goes on after it, and holds nothing of it."""
    table = price_table()
    column = table["settlementdate"].to_pylist()
    later = [stamp + timedelta(days=10 if place >= 200 else 0) for place, stamp in enumerate(column)]
    return table.set_column(0, "settlementdate", pa.array(later, pa.timestamp("us")))


def swapped(values: list[Any]) -> None:
    """Exchange two neighbours."""
    values[500], values[501] = values[501], values[500]


FILES: dict[str, tuple[Callable[[], pa.Table | bytes], str]] = {
    "cut": (lambda: b"", ""),  # made below: it needs the bytes of the whole
    "out of order": (lambda: with_column(price_table(), "settlementdate", swapped), "wanted each interval once"),
    "with NaN": (lambda: with_column(price_table(), "rrp", lambda v: v.__setitem__(700, float("nan"))), "nan"),
    "of a wrong schema": (lambda: price_table().drop_columns(["rrp"]), "rrp"),
    "of other prices": (lambda: price_table().filter(pa.array([False] * 864)), "NSW1"),
    "that ends before the day": (lambda: price_table().slice(0, 700), "which the file covers"),
    "with a gap over the whole day": (gap_over_the_day, "intervals are missing, stamped 2025/01/21 15:05:00"),
    "no parquet": (lambda: b"settlementdate,rrp\n2025-01-22,7\n" * 50, "prices.parquet"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_data_file_that_is_bad_ends_the_start_with_the_place(tmp_path: Path, capsys: Capture, name: str) -> None:
    make, said = FILES[name]
    file = tmp_path / "prices.parquet"
    made = make()
    if name == "cut":
        pq.write_table(price_table(), file)
        made, said = file.read_bytes()[: file.stat().st_size // 2], "prices.parquet"
    if isinstance(made, bytes):
        file.write_bytes(made)
    else:
        pq.write_table(made, file)
    path = tmp_path / "plugins.toml"
    path.write_text(AEMO.format(folder=tmp_path))
    assert run(path) == 2
    told = capsys.readouterr().err
    assert re.search("feed prices cannot begin: (Capture|Gap)Error: ", told)
    assert said in told
    run_dir = only_run(tmp_path)
    assert RunInfo.load(run_dir).status == "failed"
    whole(run_dir)


def test_the_same_file_whole_is_traded_on(tmp_path: Path) -> None:
    pq.write_table(price_table(), tmp_path / "prices.parquet")
    path = tmp_path / "plugins.toml"
    path.write_text(AEMO.format(folder=tmp_path))
    assert run(path) == 0
    whole(only_run(tmp_path))


# -- time --------------------------------------------------------------------------------------------------------------


class SteppingClock:
    """A wall clock that passes by being asked, and steps back five seconds once."""

    kind = ClockKind.WALL

    def __init__(self, start_ns: int) -> None:
        self.now = start_ns
        self.asked = 0

    def now_ns(self) -> int:
        """Return the time; a millisecond later each time."""
        self.asked += 1
        self.now += 1_000_000 if self.asked != 150 else -5_000_000_000
        return self.now

    def wait_until(self, due_ns: int) -> None:
        """Return at once."""


def test_a_clock_that_steps_back_is_told_and_time_stands_still(tmp_path: Path) -> None:
    path = deployment(tmp_path, clock="wall", ticker="count = 200")
    going = Run.start(path, RunOptions(lake=False, for_s=1.5))
    assert going.kernel.journal is not None
    clock = SteppingClock(going.kernel.moment.now_ns)
    going.kernel.clock = clock  # type: ignore[assignment]
    going.kernel.run_wall(going.end_ns)
    going.kernel.drain("end")
    going.close()
    journal = whole(going.dir)
    (step,) = of(journal, ClockStep)
    assert step.from_ns - step.to_ns == pytest.approx(5_000_000_000, rel=0.01)
    assert all(a.at_ns <= b.at_ns for a, b in itertools.pairwise(journal))
    assert len(of(journal, Quote)) == 200


# -- restarts ----------------------------------------------------------------------------------------------------------


def test_a_second_start_on_a_live_run_names_the_process(tmp_path: Path, capsys: Capture) -> None:
    child = run_child(tmp_path, deployment(tmp_path, clock="wall"))
    try:
        wait_for(lambda: any((tmp_path / "runs").glob("*/journal/lock")), "the run")
        run_dir = only_run(tmp_path)
        wait_for(lambda: holds_the_lock(run_dir, child.pid), "the lock")
        before = (run_dir / "run.json").read_bytes()
        assert main(["run", "--quiet", "--no-report", "--resume", str(run_dir)]) == 2
        assert f"the journal is in use by process {child.pid}; end that process" in capsys.readouterr().err
        assert (run_dir / "run.json").read_bytes() == before
        wait_for(lambda: journal_bytes(run_dir) > 20_000, "the run to go on")
        child.signal(signal.SIGTERM)
        assert child.wait() == 0, child.text()
    finally:
        child.kill()
    assert of(whole(run_dir), RunEnd)


def crashed(
    tmp_path: Path, limits: str = "qty_max_lots = 50", keep: float = 0.6, command: OperatorCommand | None = None
) -> tuple[Path, Path]:
    """Run the small market, and cut its journal as if its process had been killed; return deployment and run.

    A command is given after 40 % of the time.
    """
    path = deployment(tmp_path, ticker="count = 300", limits=limits)
    going = Run.start(path, ALONE)
    if command is not None:
        going.kernel.command_at(going.kernel.moment.now_ns + 120 * 2_000_000, command)
    going.go()
    going.close()
    cut_off(going.dir, keep)
    return path, going.dir


def cut_off(run_dir: Path, keep: float) -> None:
    """Keep so much of a run's journal, and nothing of its end."""
    segment = run_dir / "journal" / "000000000001.pj"
    segment.write_bytes(segment.read_bytes()[: round(segment.stat().st_size * keep)])
    info = RunInfo.load(run_dir)
    info.status = "running"
    info.save(run_dir)


def test_a_torn_journal_is_mended_and_the_torn_bytes_are_kept(tmp_path: Path) -> None:
    _, run_dir = crashed(tmp_path)
    torn = scan(run_dir / "journal").torn_bytes
    assert torn
    assert main(["run", "--quiet", "--no-report", "--resume", str(run_dir)]) == 0
    (kept,) = (run_dir / "journal").glob("torn-*.bin")
    assert kept.stat().st_size == torn
    assert f"{torn} bytes were torn off its end; they are in {kept}" in (run_dir / "log.jsonl").read_text()
    whole(run_dir)


def test_a_run_cut_before_its_first_batch_says_that_nothing_had_begun(tmp_path: Path, capsys: Capture) -> None:
    _, run_dir = crashed(tmp_path)
    segment = run_dir / "journal" / "000000000001.pj"
    segment.write_bytes(segment.read_bytes()[: SEGMENT_BYTES + 700])
    assert main(["run", "--quiet", "--no-report", "--resume", str(run_dir)]) == 2
    assert "the run was cut before it had begun; start another" in capsys.readouterr().err


def test_a_journal_with_a_flipped_bit_is_not_resumed_and_not_touched(tmp_path: Path, capsys: Capture) -> None:
    _, run_dir = crashed(tmp_path, keep=1.0)
    segment = run_dir / "journal" / "000000000001.pj"
    data = bytearray(segment.read_bytes())
    data[SEGMENT_BYTES + 9_000] ^= 4
    segment.write_bytes(data)
    assert main(["run", "--quiet", "--no-report", "--resume", str(run_dir)]) == 2
    told = capsys.readouterr().err
    assert "000000000001.pj: offset " in told
    assert "restore this file from a copy" in told
    assert segment.read_bytes() == data


def test_the_kill_switch_cancels_all_lets_nothing_new_out_and_holds_after_a_restart(tmp_path: Path) -> None:
    path = deployment(
        tmp_path, clock="wall", venue="loop_venue", socket="w.sock", ticker="step_us = 1000", strategy="open_max = 999"
    )

    def got(what: str) -> int:
        return sum(line.get("got") == what for line in seen.lines())

    def refusals() -> int:
        return sum(order.reason == Reason.KILL_SWITCH for order in records(run_dir, Order))

    with witness(tmp_path, seed=8) as seen:
        # The strategy cancels nothing, so the first cancels are the switch's: at the second of many, kill -9.
        seen.plan(2, "receipt", "cancel")
        child = run_child(tmp_path, path, cwd=tmp_path)
        wait_for(lambda: got("new") > 30, "trade")
        assert got("cancel") == 0
        child.signal(signal.SIGUSR1)
        assert child.wait() == -signal.SIGKILL, child.text()
        run_dir = only_run(tmp_path)
        sent = got("new")
        assert got("cancel") == 2
        assert still_open(seen.lines())
        # The switch holds after the restart, and the cancels that had not left leave now.
        seen.spare()
        child = resume_child(tmp_path, cwd=tmp_path)
        wait_for(lambda: not still_open(seen.lines()), "the last cancel")
        wait_for(lambda: refusals() > 20, "refusals")
        child.signal(signal.SIGINT)
        assert child.wait() == 0, child.text()
        assert got("new") == sent
    journal = whole(run_dir)
    killed = next(e.seq for e in journal if type(e.record) is Limit and e.record.kind == LimitKind.KILL)
    command = next(e for e in journal if type(e.record) is OperatorCommand and e.record.command == "kill")
    assert command.record.why == "SIGUSR1"
    assert command.record.who.startswith("uid ")
    after = [e.record for e in journal if e.seq > killed and type(e.record) is Order]
    assert not [o for o in after if o.state == OrderState.ROUTED]


def still_open(log: list[dict[str, Any]]) -> bool:
    """Return whether the witness has an order that is not over."""
    left = {line["id"]: line["qty"] for line in log if line.get("got") == "new"}
    for line in log:
        if "said" in line and line["said"]["id"] in left:
            left[line["said"]["id"]] = line["said"]["leaves"]
    return any(left.values())


@pytest.mark.parametrize(
    ("saved", "configured", "rules"),
    [(50, "qty_max_lots = 500", 50), (50, "qty_max_lots = 2", 2), (50, "", 50), (50, "qty_max_lots = 50", 50)],
    ids=["loosened", "tightened", "gone", "the same"],
)
def test_of_two_limits_the_stricter_rules_after_a_restart_and_an_alert_names_both(
    tmp_path: Path, saved: int, configured: str, rules: int
) -> None:
    _, run_dir = crashed(tmp_path, limits=f"qty_max_lots = {saved}")
    cut_seq = scan(run_dir / "journal").last_seq
    changed = tmp_path / "changed"
    changed.mkdir()
    path = deployment(changed, ticker="count = 300", limits=configured)
    assert main(["run", str(path), "--quiet", "--no-report", "--resume", str(run_dir)]) == 0
    journal = whole(run_dir)
    said = [alert for alert in of(journal, Alert) if alert.code == "limit.differs"]
    if configured == f"qty_max_lots = {saved}":
        assert said == []
    else:
        has = configured.rpartition(" ")[2] or "not set"
        (alert,) = said
        assert f"journal has {saved}, plugins.toml has {has}; {rules} rules, the stricter" in alert.met
    after = [e.record for e in journal if e.seq > cut_seq]
    orders = [o for o in after if type(o) is Order and o.action == IntentAction.NEW and o.state == OrderState.ROUTED]
    assert orders
    assert max(order.qty_lots for order in orders) <= rules
    assert any(type(o) is Order and o.reason == Reason.QTY_MAX for o in after)


def test_a_limit_that_only_the_new_deployment_has_rules_from_then_on(tmp_path: Path) -> None:
    _, run_dir = crashed(tmp_path)
    changed = tmp_path / "changed"
    changed.mkdir()
    path = deployment(changed, ticker="count = 300", limits="qty_max_lots = 50\nposition_max_lots = 7")
    assert main(["run", str(path), "--quiet", "--no-report", "--resume", str(run_dir)]) == 0
    journal = whole(run_dir)
    assert Limit(LimitKind.POSITION_MAX_LOTS, value=7) in of(journal, Limit)
    assert not [alert for alert in of(journal, Alert) if alert.code == "limit.differs"]


@pytest.mark.parametrize("command", ["pause", "quarantine"])
def test_a_pause_and_a_quarantine_hold_after_a_restart(tmp_path: Path, command: str) -> None:
    given = OperatorCommand(command=command, who="operator", why="a test", target="churner")
    _, run_dir = crashed(tmp_path, keep=0.85, command=given)
    cut_seq = scan(run_dir / "journal").last_seq
    before = entries(run_dir)
    at_seq = next(entry.seq for entry in before if entry.record == given)
    assert at_seq < cut_seq
    shutil.rmtree(run_dir / "snapshots", ignore_errors=True)
    assert main(["run", "--quiet", "--no-report", "--resume", str(run_dir)]) == 0
    journal = whole(run_dir)
    assert len([e for e in journal if type(e.record) is Quote and e.seq > cut_seq]) > 10
    assert [e for e in sent_after(journal, 0) if e.seq < at_seq]
    assert not sent_after(journal, at_seq)
    paused = [e for e in journal if e.seq > cut_seq and type(e.record) is Order and e.record.reason == Reason.PAUSED]
    assert bool(paused) == (command == "pause")


def sent_after(journal: list[Entry], seq: int) -> list[Entry]:
    """Return the new orders that were routed after a number."""
    return [
        e for e in journal
        if e.seq > seq and type(e.record) is Order
        and e.record.state == OrderState.ROUTED and e.record.action == IntentAction.NEW
    ]  # fmt: skip


assert DEADLINE_S > 10
