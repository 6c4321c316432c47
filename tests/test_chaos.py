"""Chaos: deployments hold under their plans, a seeded bug that breaks a promise is caught, failures replay."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock_kernel.alerts.lines import LineFile
from penstock_kernel.chaos.campaign import Outcome, minimise, run_seed
from penstock_kernel.chaos.invariants import INVARIANTS
from penstock_kernel.chaos.plan import KINDS, PHASES, Plan, load_plan
from penstock_kernel.cli.main import main
from penstock_kernel.journal import Journal
from penstock_kernel.kernel import Kernel
from penstock_plugins.portfolio.positions import Positions
from penstock_plugins.venues.paper import PaperVenue
from penstock_sdk.core.core import Core
from penstock_sdk.core.desk import Desk
from penstock_sdk.events import ExecutionReport, LimitKind, OrderIntent, Reason, ReportKind, RunHeader
from penstock_sdk.wire.frame import HEADER

DEPLOYMENTS = Path(__file__).resolve().parents[1] / "deployments"
Patch = pytest.MonkeyPatch

CALM = f'deployment = "{DEPLOYMENTS / "chaos.toml"}"\nlength_s = 2400\n'
KILLED = CALM + '[[fault]]\nkind = "kill"\nfrom_s = 1500\n'
STOPPED = CALM + 'sessions = 2\n[[command]]\nat_s = 1000\ncommand = "kill"\n'
FULL = CALM + '[[fault]]\nkind = "full_disk"\nfrom_s = 1500\nto_s = 1600\n'
PAPER = f"""
deployment = "{DEPLOYMENTS / "chaos-paper.toml"}"
length_s = 60
[[outside]]
plugin = "paper"
use = "penstock_plugins.venues.paper_rehearsal:PaperRehearsal"
config = {{ day = "2026-03-10", products = ["H"], requotes_per_s = 3.0, takers_per_s = 1.0 }}
[[fault]]
kind = "kill"
from_s = 10
"""


def plan_of(folder: Path, text: str) -> Plan:
    path = folder / "plan.toml"
    path.write_text(text)
    return load_plan(path)


def outcome_of(folder: Path, text: str, seed: int = 1) -> Outcome:
    return run_seed(plan_of(folder, text), seed)


# -- the deployments hold ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["chaos-plan", "chaos-paper-plan"])
def test_every_promise_holds_and_every_kind_of_fault_happens(name: str) -> None:
    plan = load_plan(DEPLOYMENTS / f"{name}.toml")
    outcome = run_seed(plan if name == "chaos-plan" else msgspec.structs.replace(plan, length_s=460.0), 3)
    assert (outcome.promise, outcome.text) == ("", "")
    assert outcome.orders > 20
    assert outcome.lives > 5
    timed = {at for at, fault in enumerate(plan.fault) if fault.has_moment and fault.phase != "start"}
    assert timed <= set(outcome.happened)


def test_a_wall_clock_that_steps_runs_in_simulated_time(tmp_path: Path) -> None:
    text = (DEPLOYMENTS / "chaos.toml").read_text().replace("[run]", '[run]\nclock = "wall"')
    (tmp_path / "wall.toml").write_text(text)
    steps = "".join(f'[[fault]]\nkind = "clock_step"\nby_s = {by_s}\n' for by_s in (-40, 25))
    killed = '[[fault]]\nkind = "kill"\ncount = 2\n'
    outcome = outcome_of(tmp_path, f'deployment = "wall.toml"\nlength_s = 2000\n{steps}{killed}')
    assert (outcome.promise, outcome.text) == ("", "")
    assert outcome.happened == {0: 1, 1: 1, 2: 2}
    assert outcome.digest == outcome_of(tmp_path, f'deployment = "wall.toml"\nlength_s = 2000\n{steps}{killed}').digest


def test_an_adapter_that_remembers_reports_of_long_ago_counts_fills_twice(tmp_path: Path, monkeypatch: Patch) -> None:
    """Found by a plan: after a crash a recorded venue knows what its snapshot knew, and asked for all since then."""
    text = (
        (DEPLOYMENTS / "chaos-paper.toml")
        .read_text()
        .replace("snapshot_every_events = 4000", "snapshot_every_events = 900")
    )
    (tmp_path / "paper.toml").write_text(text)
    plan = PAPER.replace(str(DEPLOYMENTS / "chaos-paper.toml"), "paper.toml").replace("length_s = 60", "length_s = 200")
    plan = plan.replace("from_s = 10", "from_s = 150\ncount = 2")
    assert outcome_of(tmp_path, plan, seed=3).promise == ""
    monkeypatch.setattr(PaperVenue, "on_run_header", lambda self, header: self._begin())
    assert outcome_of(tmp_path, plan, seed=3).promise in ("orders", "positions", "quantities", "truth")


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["chaos-plan", "chaos-paper-plan"])
@pytest.mark.parametrize("seed", range(1, 31))
def test_many_seeds_hold(name: str, seed: int) -> None:
    outcome = run_seed(load_plan(DEPLOYMENTS / f"{name}.toml"), seed)
    assert (outcome.promise, outcome.text) == ("", "")


# -- every promise is caught when it is broken -------------------------------------------------------------------------

BUGS: dict[str, tuple[str, Callable[[Patch], object]]] = {}
"""For each promise a plan and a bug that breaks it."""


def bug(promise: str, plan: str) -> Callable[[Callable[[Patch], object]], Callable[[Patch], object]]:
    def keep(plant: Callable[[Patch], object]) -> Callable[[Patch], object]:
        BUGS[promise] = plan, plant
        return plant

    return keep


def after(patch: Patch, owner: Any, name: str, then: Callable[..., object]) -> None:
    """Have *then* called after a method, with what it was called with."""
    before = getattr(owner, name)

    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        found = before(self, *arguments, **named)
        then(self, *arguments, **named)
        return found

    patch.setattr(owner, name, call)


def rewritten(patch: Patch, change: Callable[[list[Any]], None]) -> None:
    """Have every frame's header changed on its way to the journal."""
    sink_for = Kernel._sink_for

    def changed(self: Kernel, schema_id: int) -> Any:
        sink = sink_for(self, schema_id)

        def take(data: bytes) -> None:
            fields = list(HEADER.unpack_from(data))
            change(fields)
            assert sink is not None
            sink(HEADER.pack(*fields) + data[HEADER.size :])

        return None if sink is None else take

    patch.setattr(Kernel, "_sink_for", changed)


@bug("numbering", CALM)
def skip_a_number(patch: Patch) -> None:
    def skip(kernel: Kernel) -> None:
        kernel.cascade.seq += kernel.cascade.seq > 600

    after(patch, Kernel, "settle", skip)


@bug("causes", CALM)
def name_a_later_cause(patch: Patch) -> None:
    def change(fields: list[Any]) -> None:
        if fields[6] > 700:
            fields[6] = fields[4]

    rewritten(patch, change)


@bug("time", CALM)
def stamp_an_earlier_time(patch: Patch) -> None:
    def change(fields: list[Any]) -> None:
        fields[5] -= 10**12 * (fields[4] > 800)

    rewritten(patch, change)


@bug("checked", CALM)
def ask_the_first_check_only(patch: Patch) -> None:
    def forget(desk: Desk, _slots: Any) -> None:
        del desk.checks[1:]

    after(patch, Desk, "wire", forget)


@bug("stopped", CALM + '[[command]]\nat_s = 1200\ncommand = "kill"\n')
def trade_when_killed(patch: Patch) -> None:
    let_pass(patch, Reason.KILL_SWITCH)
    # Strategies and the risk check know the switch, too: only when all are deaf does an order leave.
    patch.setattr("penstock_plugins.strategies.market_maker._HALTS", ())
    patch.setattr("penstock_plugins.strategies.mean_reversion._HALTS", ())
    patch.setattr("penstock_sdk.golden.risk_gate.set_switches", lambda *_, **__: None)


@bug("journal-failed", FULL)
def trade_on_without_a_journal(patch: Patch) -> None:
    let_pass(patch, Reason.JOURNAL_FULL)
    patch.setattr(Kernel, "_journal_failed", lambda self, error: None)


def let_pass(patch: Patch, reason: int) -> None:
    """Have the desk not look at one of its reasons to refuse."""
    hard_reason = Desk._hard_reason
    patch.setattr(Desk, "_hard_reason", lambda self, intent: 0 if (r := hard_reason(self, intent)) == reason else r)


@bug("effects", CALM)
def send_before_it_is_written(patch: Patch) -> None:
    def settle(kernel: Kernel) -> None:
        if kernel.live:
            kernel._run_effects()
            kernel.write()

    patch.setattr(Kernel, "settle", settle)


@bug("ids", CALM + "sessions = 2\n")
def begin_ids_anew(patch: Patch) -> None:
    def on_run_header(desk: Desk, header: RunHeader) -> None:
        desk._next_order_id = (1 << 40) + 1

    patch.setattr(Desk, "on_run_header", on_run_header)


@bug("orders", CALM)
def keep_a_cancelled_order_open(patch: Patch) -> None:
    on_report = Desk.on_execution_report

    def deaf(desk: Desk, report: ExecutionReport) -> Any:
        return None if report.kind == ReportKind.CANCELLED else on_report(desk, report)

    patch.setattr(Desk, "on_execution_report", deaf)


@bug("quantities", CALM)
def fill_too_much(patch: Patch) -> None:
    admit = Desk.admit

    def more(desk: Desk, report: ExecutionReport, venue: Any) -> Any:
        found = admit(desk, report, venue)
        if getattr(found, "last_lots", 0):
            return msgspec.structs.replace(found, last_lots=report.last_lots + 10_000)
        return found

    patch.setattr(Desk, "admit", more)


@bug("positions", CALM)
def count_a_fill_twice(patch: Patch) -> None:
    on_report = Positions.on_execution_report

    def twice(book: Positions, report: ExecutionReport) -> Any:
        if report.kind == ReportKind.FILL:
            on_report(book, report)
        return on_report(book, report)

    patch.setattr(Positions, "on_execution_report", twice)


@bug("switches", STOPPED)
def forget_the_kill_switch(patch: Patch) -> None:
    after(patch, Desk, "restore", lambda desk, _state: setattr(desk, "killed", False))
    patch.setattr("penstock_kernel.boot.ruling_limits", lambda kernel, deployment: ([], []))


@bug("limits", CALM + "sessions = 2\n")
def loosen_a_limit(patch: Patch) -> None:
    def loosen(core: Core, _state: Any) -> None:
        for key in core.limits.values:
            core.limits.values[key] *= 2 if key[0] == LimitKind.QTY_MAX_LOTS else 1

    after(patch, Core, "_restore_shared", loosen)
    patch.setattr("penstock_kernel.boot.ruling_limits", lambda kernel, deployment: ([], []))


@bug("cancels", FULL)
def leave_orders_alone_on_a_full_disk(patch: Patch) -> None:
    def fail(kernel: Kernel, error: Any) -> None:
        kernel.stopping = str(error)
        kernel.drain = lambda reason: None  # type: ignore[method-assign]

    patch.setattr(Kernel, "_journal_failed", fail)


@bug("kept", KILLED)
def lose_what_was_written(patch: Patch) -> None:
    def cut(journal: Journal) -> None:
        path = journal.segment
        path.write_bytes(path.read_bytes()[:-4000])

    after(patch, Journal, "abort", cut)


@bug("memory", CALM)
def never_write(patch: Patch) -> None:
    patch.setattr(Kernel, "settle", lambda self: None)


@bug("alerts", CALM + '[[command]]\nat_s = 100\ncommand = "quarantine"\ntarget = "mm_de"\n')
def tell_twice(patch: Patch) -> None:
    append = LineFile.append
    patch.setattr(LineFile, "append", lambda self, lines: append(self, [*lines, *lines]))


@bug("same-as-uncut", KILLED)
def forget_the_feed_after_a_crash(patch: Patch) -> None:
    after(patch, Kernel, "go_live", lambda kernel, _left_over: kernel.sources.clear())


@bug("replays", CALM)
def act_on_what_is_not_recorded(patch: Patch) -> None:
    calls, new = [0], Desk._new

    def moody(desk: Desk, intent: OrderIntent) -> Any:
        calls[0] += 1
        return [] if calls[0] == 5 else new(desk, intent)

    patch.setattr(Desk, "_new", moody)


@bug("truth", PAPER)
def send_twice(patch: Patch) -> None:
    after(patch, PaperVenue, "_send", lambda venue, data, now_ns, order_id=0: venue._live().send(data, now_ns))


def test_every_promise_has_its_bug_and_its_row_and_every_fault_its_words() -> None:
    assert set(BUGS) == {cls.name for cls in INVARIANTS}
    page = (DEPLOYMENTS.parent / "docs" / "chaos.md").read_text()
    for name in (*BUGS, *KINDS, *PHASES[1:]):
        assert f"`{name}`" in page


@pytest.mark.parametrize("promise", sorted(BUGS))
def test_a_bug_that_breaks_it_is_caught(promise: str, tmp_path: Path, monkeypatch: Patch) -> None:
    plan, plant = BUGS[promise]
    plant(monkeypatch)
    outcome = outcome_of(tmp_path, plan)
    assert (outcome.promise, bool(outcome.text)) == (promise, True), outcome.text
    if promise in ("cancels", "kept", "truth"):
        assert outcome_of(tmp_path, plan).failure == outcome.failure


def test_a_crash_with_a_python_error_is_a_broken_promise(tmp_path: Path, monkeypatch: Patch) -> None:
    def broken(_kernel: Kernel, _left_over: Any) -> None:
        raise ZeroDivisionError("seeded")

    monkeypatch.setattr(Kernel, "go_live", broken)
    outcome = outcome_of(tmp_path, KILLED)
    assert outcome.promise == "no-crash"
    assert outcome.text.startswith("ZeroDivisionError: seeded (test_chaos.py:")


# -- seeds, commands, shrinking ----------------------------------------------------------------------------------------


def test_a_seed_comes_to_the_same_digest_and_another_to_another(tmp_path: Path) -> None:
    text = FULL + '[[fault]]\nkind = "delay"\nplugin = "prices"\nprobability = 0.5\n'
    first, again, other = (outcome_of(tmp_path, text, seed) for seed in (1, 1, 2))
    assert first == again
    assert first.digest != other.digest


def test_minimise_leaves_only_what_the_failure_needs(tmp_path: Path, monkeypatch: Patch) -> None:
    BUGS["kept"][1](monkeypatch)
    text = (
        KILLED + 'count = 2\n[[fault]]\nkind = "drop"\nplugin = "prices"\n[[command]]\nat_s = 500\ncommand = "kill"\n'
    )
    plan = plan_of(tmp_path, text)
    failed = run_seed(plan, 1)
    assert failed.promise == "kept"
    smallest = minimise(plan, 1, failed)
    assert smallest.promise == "kept"
    assert len({*plan.parts(), "c0"} - set(smallest.left_out)) == 1
    assert run_seed(plan, 1, leave_out=frozenset(smallest.left_out)).failure == smallest.failure


def test_the_command_prints_how_to_see_a_failure_again(
    tmp_path: Path, monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(KILLED + '[[fault]]\nkind = "kill"\nphase = "carry"\n')
    BUGS["kept"][1](monkeypatch)
    assert main(["chaos", str(path), "--seeds", "1", "--minimise"]) == 1
    said = capsys.readouterr().out
    assert "kept did not hold at seq" in said
    again = next(line for line in said.splitlines() if "again: " in line).split("penstock ")[1].split()
    assert main(again) == 1
    told = capsys.readouterr().out
    assert next(line for line in told.splitlines() if "did not hold" in line) in said
    assert "kill         carry                    never happened" in told


def test_json_tells_every_seed_and_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(KILLED)
    assert main(["chaos", str(path), "--seed", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["faults"] == [{"fault": 0, "kind": "kill", "where": "any", "happened": 1}]
    assert [(seed["seed"], seed["promise"], seed["lives"]) for seed in found["seeds"]] == [(4, "", 2)]
    assert main(["chaos", str(path), "--without", "7.0"]) == 2


def test_commands_are_listed_with_how_often_they_were_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(
        CALM + '[[command]]\nat_s = 1800\ncommand = "pause"\ntarget = "mm_de"\n'
        '[[command]]\nat_s = 900\ncommand = "kill"\n'
    )
    assert main(["chaos", str(path), "--seed", "1", "--without", "c1"]) == 0
    said = capsys.readouterr().out.splitlines()
    at = said.index("commands")
    assert [line.split() for line in said[at + 1 : at + 3]] == [
        ["c0", "pause", "mm_de", "1", "at", "1800", "s"], ["c1", "kill", "never", "given", "at", "900", "s"],
    ]  # fmt: skip
    assert said[-1] == "1 seeds, 0 failed"
    assert main(["chaos", str(path), "--seed", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(row["command"], row["given"]) for row in found["commands"]] == [(0, 1), (1, 1)]
    assert found["seeds"][0]["given"] == [1, 0]


def test_a_seed_without_an_order_says_that_it_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(CALM.replace("2400", "60"))
    assert main(["chaos", str(path), "--seed", "3"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("; no order was sent, so this seed says nothing of orders")
    assert said[-1] == "1 seeds, 0 failed, 1 sent no order: 3"
