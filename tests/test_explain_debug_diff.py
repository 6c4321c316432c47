"""Of real days: any order is explained from tick to fill, pdb opens at any event, two runs name where they part."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import msgspec
import pytest
from day_runs import ROOT, DayRun

from penstock_kernel.boot import versions_of
from penstock_kernel.cli.main import main
from penstock_kernel.inspect import InspectError, debug, diff_runs, explain_order, rerun
from penstock_kernel.inspect.explain import Explanation
from penstock_kernel.journal import Journal, run_identity
from penstock_kernel.run import Run, RunOptions
from penstock_kernel.runs import RunInfo
from penstock_sdk.events import (
    CheckVerdict,
    ExecutionReport,
    IntentAction,
    OperatorCommand,
    Order,
    OrderIntent,
    OrderState,
    PluginState,
    Position,
    Quote,
    Reason,
    ReportKind,
    RunHeader,
    Timer,
)
from penstock_sdk.schema import schema_by_id
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES, Origin
from penstock_sdk.wire.segment import read_frames

MINUTE_NS = 60_000_000_000
KILL_NS = 1773069900 * 1_000_000_000  # 16:25 local time
TIGHT = ("position_max_lots = 300", "position_max_lots = 18")


def run_day(folder: Path, *, seed: int = 1, command: str = "", change: tuple[str, str] = TIGHT) -> Path:
    """Run a small afternoon in this process, with a command at 16:25; return the run's folder."""
    path = folder / "small.toml"
    path.write_text(
        (ROOT / "tests/fixtures/small.toml")
        .read_text()
        .replace(*change)
        .replace("4000", "1500")
        .replace("6000", "20000")
    )
    run = Run.start(path, RunOptions(lake=False, seed=seed, runs_dir=str(folder / "runs")))
    if command:
        run.kernel.command_at(KILL_NS, OperatorCommand(command=command, who="uid 42", why="prices look wrong"))
    run.go()
    assert run.close().status == "complete"
    return run.dir


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> DayRun:
    """Return a day on which a strategy asked for too much, and the kill switch came at 16:25."""
    return DayRun(run_day(tmp_path_factory.mktemp("explain"), command="kill"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> DayRun:
    """Return the same day from another seed."""
    return DayRun(run_day(tmp_path_factory.mktemp("other"), seed=2, command="kill"))


def files_of(run_dir: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a run."""
    return {str(p.relative_to(run_dir)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(run_dir.rglob("*")) if p.is_file()}  # fmt: skip


def refused(day: DayRun) -> tuple[CheckVerdict, Order]:
    """Return a verdict by which an order's position was refused, and the order."""
    verdict = next(v for v in day.records(CheckVerdict) if v.reason == Reason.POSITION)
    return verdict, next(order for order in day.records(Order) if order.order_id == verdict.order_id)


def filled(day: DayRun) -> int:
    """Return the id of an order that was filled with both mids known, long after the snapshot."""
    reports = day.records(ExecutionReport)
    ids = [r.order_id for r in reports if r.kind == ReportKind.FILL and not r.leaves_lots]
    told = {o.order_id: o for o in day.records(Order) if o.state == OrderState.ROUTED}
    whole = [i for i in ids if told[i].decision_half_ticks > -(2**62) and told[i].arrival_half_ticks > -(2**62)]
    return int(whole[-1])


def asked(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run a command in this process; return its status and what it printed."""
    capsys.readouterr()
    status = main([str(argument) for argument in arguments])
    return status, *capsys.readouterr()


# -- explain -----------------------------------------------------------------------------------------------------------


def test_a_filled_order_is_told_from_its_first_input_to_its_position(day: DayRun) -> None:
    order_id = filled(day)
    before = files_of(day.dir)
    found = explain_order(day.dir, str(order_id))
    assert files_of(day.dir) == before
    assert (found.state, found.open, found.notes) == ("FILLED", False, [])
    # Each step of the chain is the cause of the next, from an input to the intent.
    seqs = [step.seq for step in found.began]
    assert found.began[0].cause_seq is None and found.began[-1].record == "OrderIntent"
    assert [step.cause_seq for step in found.began[1:]] == seqs[:-1]
    entries = {entry.seq: entry for entry in day.entries}
    assert all(type(entries[step.seq].record).__name__ == step.record for step in found.began + found.sent)
    # The report's fills and the position that each made.
    fills = [e for e in day.of(ExecutionReport) if e.record.order_id == order_id and e.record.kind == ReportKind.FILL]
    assert found.fills.count == len(fills)
    paid = sum(e.record.last_ticks * e.record.last_lots for e in fills) / sum(e.record.last_lots for e in fills)
    assert found.fills.average_price == pytest.approx(paid / 100)
    order = entries[found.sent[0].seq].record
    sign = 1 if order.side == 1 else -1
    assert found.fills.cost_to_arrival == pytest.approx(sign * (paid - order.arrival_half_ticks / 2) / 100)
    assert found.fills.qty_mw == pytest.approx(sum(e.record.last_lots for e in fills) / 10)
    caused = [e.seq for e in day.of(Position) if e.cause_seq in {f.seq for f in fills}]
    assert caused and set(caused) <= {step.seq for step in found.caused}


def test_each_check_tells_value_and_limit_of_each_rule_also_when_it_passed(day: DayRun) -> None:
    found = explain_order(day.dir, str(filled(day)))
    verdicts = [e for e in day.of(CheckVerdict) if e.record.order_id == found.order_id]
    assert [(check.check, check.seq) for check in found.checks] == [
        ("risk", verdicts[0].seq), ("fat_finger", verdicts[1].seq),
    ]  # fmt: skip
    rules = {(rule.rule, rule.bound): rule for check in found.checks for rule in check.rules}
    size = rules["order size", "at most"]
    assert (size.met_text, size.limit_text, size.passed) == (
        f"{found.qty_mw} MW",
        "20.0 MW" if found.strategy == "mm_de" else "0.3 MW",
        True,
    )
    position = rules[next(key for key in rules if key[0].startswith("position"))]
    assert position.limit_text in ("1.8 MW", "-1.8 MW", "100.0 MW", "-100.0 MW")
    assert rules["notional", "at most"].limit_text == "100,000.00 EUR"
    assert len(rules) > 12 and all(rule.passed for rule in rules.values())


def test_a_refused_order_names_check_value_limit_and_way_out(day: DayRun, capsys: pytest.CaptureFixture[str]) -> None:
    (verdict, order) = refused(day)
    found = explain_order(day.dir, str(order.order_id))
    assert (found.state, found.reason, found.strategy) == ("REFUSED", "POSITION", "mm_de")
    (check,) = found.checks
    assert (check.check, check.result, check.met, check.limit) == ("risk", "REFUSED", verdict.met, verdict.limit)
    (failed,) = [rule for rule in check.rules if not rule.passed]
    assert abs(verdict.limit) == 18
    assert (failed.reason, failed.met, failed.limit) == ("POSITION", verdict.met, verdict.limit)
    assert failed.limit_text == ("1.8 MW" if verdict.limit > 0 else "-1.8 MW")
    status, out, _ = asked(capsys, "explain", day.dir, f"{order.order_id >> 40}:{order.order_id & (1 << 40) - 1}")
    assert status == 0
    assert "REFUSED, POSITION; way out: reduce the position or cancel orders that work on this side" in out
    line = next(line for line in out.splitlines() if line.startswith("    REFUSED "))
    assert failed.met_text in line and f"{failed.bound} {failed.limit_text}" in line and "delivery interval" in line


def test_a_cancel_goes_back_to_the_command_that_killed(day: DayRun, capsys: pytest.CaptureFixture[str]) -> None:
    (command,) = day.of(OperatorCommand)
    killed = [
        e.record.order_id
        for e in day.of(Order)
        if e.record.action == IntentAction.CANCEL and e.cause_seq == command.seq + 1
    ]  # fmt: skip
    found = explain_order(day.dir, str(killed[0]))
    last = found.cancels[-1]
    assert last.why == "kill switch, command kill by uid 42: prices look wrong"
    assert [step.record for step in last.chain] == ["OperatorCommand", "Limit"]
    assert found.state == "CANCELLED"
    status, out, _ = asked(capsys, "explain", day.dir, killed[0])
    assert status == 0 and f"cancel at seq {last.seq:,}: kill switch, command kill by uid 42" in out


def test_a_cancel_as_the_run_is_stopped_goes_back_to_who_stopped_it(tmp_path: Path) -> None:
    day = DayRun(run_dir=run_day(tmp_path, command="stop"))
    last = [e for e in day.of(Order) if e.record.action == IntentAction.CANCEL][-1]
    (stop,) = day.of(OperatorCommand)
    assert last.seq > stop.seq
    found = explain_order(day.dir, str(last.record.order_id), replay=False)
    assert found.cancels[-1].why == (
        f"strategy mm_de wanted all its orders cancelled as the session stopped, command stop by uid 42: "
        f"prices look wrong (seq {stop.seq:,})"
    )


def test_a_cancel_that_the_strategy_wanted_says_so(day: DayRun) -> None:
    intents = {e.seq for e in day.of(OrderIntent) if e.record.action == IntentAction.CANCEL}
    entry = next(e for e in day.of(Order) if e.record.action == IntentAction.CANCEL and e.cause_seq in intents)
    found = explain_order(day.dir, str(entry.record.order_id))
    assert found.cancels[0].why == "strategy mm_de wanted it cancelled"
    assert found.cancels[0].chain[-1].record == "OrderIntent"


def test_the_text_speaks_the_market_s_language(day: DayRun, capsys: pytest.CaptureFixture[str]) -> None:
    order_id = filled(day)
    status, out, err = asked(capsys, "explain", day.dir, order_id)
    assert status == 0 and err == ""
    assert "EUR/MWh" in out and " MW " in out and "+0100 (2026-03-" in out and "UTC)" in out
    assert f"order 1:{order_id & (1 << 40) - 1} ({order_id})" in out
    assert "mid at decision" in out and "cost " in out
    assert "since the root" in out


def test_json_holds_what_the_text_says(day: DayRun, capsys: pytest.CaptureFixture[str]) -> None:
    order_id = filled(day)
    status, out, _ = asked(capsys, "explain", day.dir, order_id, "--json")
    assert status == 0
    assert msgspec.json.decode(out, type=Explanation) == explain_order(day.dir, str(order_id))


def test_an_order_that_is_not_there_names_the_nearest(day: DayRun, capsys: pytest.CaptureFixture[str]) -> None:
    last = max(order.order_id for order in day.records(Order))
    status, _, err = asked(capsys, "explain", day.dir, last + 1_000)
    assert status == 2
    assert f"nearest are {last - 2} (1:{(last - 2) & (1 << 40) - 1})" in err and "penstock query RUN" in err
    status, _, err = asked(capsys, "explain", day.dir, "1:one")
    assert status == 2 and "wanted an integer as `penstock query` prints it, or epoch:counter" in err
    status, _, err = asked(capsys, "explain", "none", last, "--runs-dir", day.dir.parent)
    assert status == 2 and "run 'none' is not in" in err


def copied(day: DayRun, folder: Path) -> Path:
    """Return a copy of a run to be changed."""
    return Path(shutil.copytree(day.dir, folder / day.dir.name))


def test_where_the_run_cannot_be_played_back_the_journal_tells_and_it_says_why(
    day: DayRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = copied(day, tmp_path)
    path = run_dir / "deployment.toml"
    path.write_text(path.read_text().replace("orders_per_day = 20000", "orders_per_day = 20001"))
    (verdict, order) = refused(day)
    found = explain_order(run_dir, str(order.order_id))
    assert [(check.met, check.limit, check.rules) for check in found.checks] == [(verdict.met, verdict.limit, [])]
    (note,) = found.notes
    assert "cannot be played back" in note and "put back the file" in note
    monkeypatch.setattr(rerun, "versions_of", lambda deployment: {**versions_of(deployment), "plugin risk_limits": "9"})
    (note,) = explain_order(run_dir, str(order.order_id)).notes
    assert "the session that begins at event 1 ran other versions than are installed: plugin risk_limits " in note
    assert " → 9; install those that it ran with" in note
    quick = explain_order(day.dir, str(order.order_id), replay=False)
    assert quick.checks[0].note == "its verdict as journaled"


def test_a_run_cut_by_a_crash_is_explained_as_far_as_it_is_written(day: DayRun, tmp_path: Path) -> None:
    run_dir = copied(day, tmp_path)
    info = RunInfo.load(run_dir)
    info.status, info.pid = "running", 0
    info.save(run_dir)
    segment = run_dir / "journal" / "000000000001.pj"
    segment.write_bytes(segment.read_bytes()[:-5_000])
    last_seq = max(entry.seq for entry in DayRun(run_dir).entries)
    open_then = [e.record.order_id for e in DayRun(run_dir).of(Order) if e.record.state == OrderState.ROUTED]
    found = explain_order(run_dir, str(open_then[0]))
    assert found.run_state == "crashed"
    assert f"the journal ends at seq {last_seq:,}, torn after it" in found.notes[0]
    assert found.checks[0].rules


# -- debug -------------------------------------------------------------------------------------------------------------


def test_pdb_stands_at_the_entry_of_the_handler_and_leaves_the_run_as_it_was(
    day: DayRun, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = next(e for e in reversed(day.of(Quote)) if e.at_ns < KILL_NS)
    before = files_of(day.dir)
    status, out, err = asked(
        capsys, "debug", day.dir, "--plugin", "portfolio", "--seq", entry.seq,
        "-c", "p self.ctx.name, self.ctx.seq", "-c", "p self.ctx.now_ns",
    )  # fmt: skip
    assert status == 0
    assert "positions.py" in out and "(Pdb) p self.ctx.name, self.ctx.seq" in out
    assert str(("portfolio", entry.seq)) in out and str(entry.at_ns) in out
    assert "came out as recorded; nothing was sent or written" in err
    assert files_of(day.dir) == before


def test_pdb_opens_where_a_check_is_asked_and_at_a_plugin_s_start(
    day: DayRun, capsys: pytest.CaptureFixture[str]
) -> None:
    intent = next(e for e in day.of(OrderIntent) if e.record.action == IntentAction.NEW)
    result = debug(day.dir, "risk", intent.seq, commands=["p order.intent_id, self.ctx.name"])
    assert (result.handler, result.quit, result.differs) == ("check_order", False, "")
    assert str((intent.record.intent_id, "risk")) in capsys.readouterr().out
    started = next(e for e in day.of(PluginState) if e.record.name == "mm_de" and e.record.status.name == "RUNNING")
    assert debug(day.dir, "mm_de", started.seq, commands=["p self"]).handler == "on_start"
    assert "MarketMaker object" in capsys.readouterr().out


def test_what_is_changed_in_the_debugger_is_told_and_stays_there(
    day: DayRun, capsys: pytest.CaptureFixture[str]
) -> None:
    intent = next(e for e in reversed(day.of(OrderIntent)) if e.record.action == IntentAction.NEW and e.at_ns < KILL_NS)
    before = files_of(day.dir)
    result = debug(day.dir, "risk", intent.seq, commands=["self.check_order = None", "return None"])
    assert result.differs == ""  # the bound handler goes on as it was
    changed = debug(day.dir, "risk", intent.seq, commands=["!self._check = lambda *a: 5"])
    assert "first difference at seq" in changed.differs and "QTY_MAX" in changed.differs
    assert debug(day.dir, "risk", intent.seq, commands=["quit"]).quit
    assert files_of(day.dir) == before
    capsys.readouterr()


def test_an_event_that_the_plugin_does_not_hear_names_the_next_that_it_does(
    day: DayRun, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = next(e for e in day.of(Timer) if e.at_ns < KILL_NS and e.seq > 2_000)
    status, _, err = asked(capsys, "debug", day.dir, "--plugin", "mm_de", "--seq", entry.seq)
    assert status == 2
    told = int(err.split("the next it hears is ")[1].split(",")[0])
    assert f"plugin mm_de does not hear event {entry.seq}" in err and told > entry.seq
    # It does hear that one, and nothing in between.
    result = debug(day.dir, "mm_de", told, commands=["p 1"])
    assert result.handler.startswith("on_")
    for name, number, said in (
        ("nobody", entry.seq, "plugin 'nobody' is not in the run; there are refdata, exchange, prices"),
        ("mm_de", 10**9, "which holds 1 to"),
    ):
        with pytest.raises(InspectError, match=said):
            debug(day.dir, name, number, commands=["p 1"])
    capsys.readouterr()


def test_events_before_and_after_the_snapshot_can_be_stopped_at(
    day: DayRun, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sorted((day.dir / "snapshots").glob("*.snap"))[-1]
    reports = [entry.seq for entry in day.of(ExecutionReport)]
    before = next(seq for seq in reversed(reports) if seq <= int(path.stem))
    after = next(seq for seq in reports if seq > int(path.stem))
    for seq in (before, after):
        result = debug(day.dir, "risk", seq, commands=["p self.ctx.seq"])
        assert (result.handler, result.differs) == ("on_execution_report", "")
        assert f"\n{seq}\n" in capsys.readouterr().out


# -- diff --------------------------------------------------------------------------------------------------------------


def test_a_run_and_its_copy_are_equal(day: DayRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twin = copied(day, tmp_path)
    found = diff_runs(day.dir, twin)
    assert (found.equal, found.headers, found.a.digest) == (True, [], day.info["digest"])
    assert found.equal_events == day.info["last_seq"] == found.a.events
    status, out, _ = asked(capsys, "diff", day.dir, twin)
    assert status == 0
    assert f"equal: {found.equal_events:,} events the same" in out and day.info["digest"] in out


def test_two_seeds_differ_in_their_headers_and_then_in_their_first_event(
    day: DayRun, other: DayRun, capsys: pytest.CaptureFixture[str]
) -> None:
    found = diff_runs(day.dir, other.dir)
    assert {"seed", "deployment"} <= {field.field for field in found.headers}
    mine, theirs = ({e.seq: (e.at_ns, e.cause_seq, e.record) for e in run.entries} for run in (day, other))
    wanted = next(seq for seq in sorted(mine) if mine[seq] != theirs[seq] and type(mine[seq][2]) is not RunHeader)
    assert found.seq == wanted
    assert found.equal_events == wanted - 2  # all before it but the header
    assert found.event_a is not None and found.event_a.record == type(mine[wanted][2]).__name__
    status, out, _ = asked(capsys, "diff", day.dir, other.dir, "--json")
    assert status == 1 and json.loads(out)["seq"] == wanted


def resealed(run_dir: Path, seq: int, keep: int | None = None, **changes: int) -> Path:
    """Write a run's journal anew with fields of one record changed, or cut after *keep*, and right checksums."""
    frames = [bytes(view.raw) for view in read_frames(run_dir / "journal") if keep is None or view.seq <= keep]
    shutil.rmtree(run_dir / "journal")
    with Journal.create(run_dir / "journal", run=run_identity(run_dir.name)) as journal:
        for raw in frames:
            header = HEADER.unpack_from(raw)
            if header[4] <= seq < header[4] + header[8]:
                layout = schema_by_id(header[1])
                records = list(layout.unpack_many(raw[HEADER_BYTES : HEADER_BYTES + header[0]]))
                records[seq - header[4]] = msgspec.structs.replace(records[seq - header[4]], **changes)
                body = b"".join(map(layout.pack, records))
                raw = raw[:HEADER_BYTES] + body + bytes(-len(body) % 8)
            journal.append(raw)
            if len(journal.pending) >= 7:  # commits fall elsewhere than in the run
                journal.commit()
    return run_dir


@pytest.mark.parametrize(("kind", "field", "place"), [
    (Order, "price_ticks", 0.3), (Quote, "bid_lots", 0.5), (ExecutionReport, "leaves_lots", 0.9), (Timer, "tag", 0.99),
])  # fmt: skip
def test_one_field_of_one_event_is_found_and_named_with_both_values(
    day: DayRun, tmp_path: Path, kind: type, field: str, place: float
) -> None:
    held = day.of(kind)
    entry = held[int(len(held) * place)]
    value = getattr(entry.record, field)
    changed = resealed(copied(day, tmp_path), entry.seq, **{field: value + 7})
    found = diff_runs(day.dir, changed)
    assert (found.seq, found.equal_events, found.headers) == (entry.seq, entry.seq - 1, [])
    assert [(f.field, f.a, f.b) for f in found.fields] == [(field, value, value + 7)]
    assert found.event_a is not None and len(found.event_a.chain) == (0 if entry.cause_seq < 0 else len(
        chain_of(day, entry.cause_seq)))  # fmt: skip


def chain_of(day: DayRun, seq: int) -> list[int]:
    """Return up to six numbers of the causes that lead to *seq*, itself among them."""
    causes = {entry.seq: entry.cause_seq for entry in day.entries}
    found = [seq]
    while causes[found[-1]] >= 0:
        found.append(causes[found[-1]])
    return found[:6]


def moved(run_dir: Path, seq: int = -1, origin: int = Origin.REPLY) -> int:
    """Write a run's journal as if its plugins had run in processes of their own, *seq* with another price.

    Return how many events plugins said.
    """
    frames = [bytearray(view.raw) for view in read_frames(run_dir / "journal")]
    shutil.rmtree(run_dir / "journal")
    said = 0
    with Journal.create(run_dir / "journal", run=run_identity(run_dir.name)) as journal:
        for raw in frames:
            header = HEADER.unpack_from(raw)
            if header[3] == Origin.DERIVED and header[10]:
                raw[7] = origin
                said += header[8]
            if header[4] == seq:
                layout = schema_by_id(header[1])
                order = layout.unpack(bytes(raw[HEADER_BYTES : HEADER_BYTES + header[0]]))
                raw[HEADER_BYTES : HEADER_BYTES + header[0]] = layout.pack(
                    msgspec.structs.replace(order, price_ticks=order.price_ticks + 7)
                )
            journal.append(bytes(raw))
    return said


def test_where_plugins_ran_is_no_difference_but_told(
    day: DayRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = copied(day, tmp_path)
    said = moved(twin)
    for one, other_one, ways in ((day.dir, twin, ("DERIVED", "REPLY")), (twin, day.dir, ("REPLY", "DERIVED"))):
        found = diff_runs(one, other_one)
        assert (found.equal, found.equal_events, found.fields) == (True, day.info["last_seq"], [])
        assert [(each.a, each.b, each.events) for each in found.origins] == [(*ways, said)] and said > 1_000
    status, out, _ = asked(capsys, "diff", day.dir, twin)
    assert status == 0 and f"{said:,} events came another way, DERIVED in A and REPLY in B" in out


def test_what_a_plugin_said_elsewhere_is_compared_field_by_field(day: DayRun, tmp_path: Path) -> None:
    intents = [entry for entry in day.of(OrderIntent) if entry.record.action == IntentAction.NEW]
    intent = intents[len(intents) // 2]
    twin = copied(day, tmp_path)
    moved(twin, intent.seq)
    found = diff_runs(day.dir, twin)
    price = intent.record.price_ticks
    assert [(f.field, f.a, f.b) for f in found.fields] == [("price_ticks", price, price + 7)]
    assert (found.equal, found.seq, found.equal_events) == (False, intent.seq, intent.seq - 1)
    assert 0 < found.origins[0].events < intent.seq


def test_another_origin_than_that_of_a_plugin_elsewhere_is_a_difference(day: DayRun, tmp_path: Path) -> None:
    twin = copied(day, tmp_path)
    moved(twin, origin=Origin.OPERATOR)
    found = diff_runs(day.dir, twin)
    assert not found.equal and [(f.field, f.a, f.b) for f in found.fields] == [("origin", "DERIVED", "OPERATOR")]


def test_commits_that_fall_elsewhere_make_no_difference(day: DayRun, tmp_path: Path) -> None:
    assert diff_runs(day.dir, resealed(copied(day, tmp_path), -1)).equal


def test_a_run_that_ends_earlier_is_a_prefix(day: DayRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ends = sorted({entry.seq for entry in day.entries})[3_000]
    short = resealed(copied(day, tmp_path), -1, keep=ends)
    kept = max(entry.seq for entry in DayRun(short).entries)
    found = diff_runs(day.dir, short)
    assert (found.equal, found.seq, found.equal_events, found.event_b) == (False, kept + 1, kept, None)
    status, out, _ = asked(capsys, "diff", short, day.dir)
    assert status == 1 and "A ends there and B goes on: A is a prefix of B" in out


def test_what_is_no_run_is_bad_input(day: DayRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(capsys, "diff", day.dir, tmp_path)[0] == 2


# -- plugins that hear record by record, checks that explain nothing ---------------------------------------------------

CHURNER = f"""
[plugins.churner]
use = "loop_churner"
path = "{ROOT / "tests/support"}"
config = {{ every = 40 }}

[plugins.loop_check]
use = "loop_check"
path = "{ROOT / "tests/support"}"
"""


@pytest.fixture(scope="module")
def churned(tmp_path_factory: pytest.TempPathFactory) -> DayRun:
    """Return a day with a strategy that hears quotes one by one, and a check that does not explain itself."""
    text = "[plugins.portfolio]"
    return DayRun(run_day(tmp_path_factory.mktemp("churn"), change=(text, CHURNER + text)))


def test_pdb_opens_at_one_record_of_a_frame(churned: DayRun, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [f for f in read_frames(churned.dir / "journal") if f.schema_id == Quote.layout.id and f.count > 2]
    assert frames
    records = list(Quote.layout.unpack_many(frames[0].body))
    for index in (1, frames[0].count - 1):
        result = debug(churned.dir, "churner", frames[0].seq + index, commands=["p quote.listing_id, quote.ask_ticks"])
        assert result.differs == ""
        assert f"\n{(records[index].listing_id, records[index].ask_ticks)}\n" in capsys.readouterr().out


def test_a_check_that_explains_nothing_tells_its_verdict(churned: DayRun) -> None:
    order = next(o for o in churned.records(Order) if o.state == OrderState.ROUTED)
    checks = {check.check: check for check in explain_order(churned.dir, str(order.order_id)).checks}
    assert (checks["loop_check"].result, checks["loop_check"].rules) == ("PASSED", [])
    assert checks["loop_check"].note == "this check tells its verdict alone"
    assert checks["risk"].rules


# -- an instance with two sessions -------------------------------------------------------------------------------------


def test_an_order_of_a_later_session_is_explained_and_debugged_from_what_the_session_began_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "tests/fixtures/small.toml").read_text()
    path = tmp_path / "small.toml"
    for end in ("16:00", "16:20"):  # another deployment for the second start
        path.write_text(text.replace("16:30", end))
        arguments = ["run", path, "--instance", "desk", "--runs-dir", tmp_path / "runs", "--no-watchdog"]
        assert asked(capsys, *arguments, "--quiet", "--no-report")[0] == 0
    day = DayRun(tmp_path / "runs" / "desk")
    (first, second) = day.of(RunHeader)
    assert second.record.carried_seq == second.seq - 1
    orders = [e for e in day.of(Order) if e.record.state == OrderState.ROUTED]
    found = {
        epoch: explain_order(
            day.dir, f"{epoch}:{next(e.record.order_id for e in orders if e.seq > header.seq) & 0xFFFF}"
        )
        for epoch, header in ((1, first), (2, second))
    }
    assert all(not told.notes and told.checks[0].rules for told in found.values())
    resumed = next(e for e in day.of(PluginState) if e.seq > second.seq and e.record.name == "mm_de"
                   and e.record.status.name == "RUNNING")  # fmt: skip
    assert debug(day.dir, "mm_de", resumed.seq, commands=["p 1"]).handler == "on_resume"
    capsys.readouterr()
