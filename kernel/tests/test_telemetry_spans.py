"""Spans from the journal: one per order and command with what belongs to it, the same however the journal is read."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from kernel.tests.toy_market import END_NS, TOYS, ToyStrategy, kernel_in, start
from penstock_kernel.lake.tail import Tail
from penstock_kernel.runs import RunInfo
from penstock_kernel.telemetry.exporter import PLACE_NAME, Exporter, SpanFollower, settings_of, wants_exporter
from penstock_kernel.telemetry.ids import trace_id
from penstock_kernel.telemetry.runlog import RunLog, entries
from penstock_kernel.telemetry.settings import TelemetryTable
from penstock_kernel.telemetry.spans import Span, SpanMaker, is_sampled
from penstock_sdk.events import (
    CheckVerdict,
    ExecutionReport,
    IntentAction,
    OperatorCommand,
    Order,
    OrderState,
    Quote,
    ReportKind,
)
from penstock_sdk.plugin import Outcome
from penstock_sdk.schema import schema_by_id
from penstock_sdk.wire.segment import read_frames

KILL_NS = 2_000


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of the toy market that is killed on the way and let go again."""
    folder = tmp_path_factory.mktemp("spans") / "desk-de"
    kernel = start(kernel_in(folder))
    for at_ns, command in ((KILL_NS, "kill"), (KILL_NS + 100, "unkill")):
        kernel.command_at(at_ns, OperatorCommand(command=command, who="ann", why="to see", source_ns=at_ns - 7))
    kernel.run_simulated(END_NS)
    kernel.drain("end")
    kernel.close()
    RunInfo(id="desk-de", status="complete").save(folder)
    return folder


def spans_of(folder: Path, share: float = 1.0, *, restart_every: int = 0, open_max: int = 1_000) -> list[Span]:
    maker, found = SpanMaker("desk-de", share, open_max=open_max), []
    for number, batch in enumerate(Tail(folder / "journal").poll()):
        found += maker.add(batch)
        if restart_every and number % restart_every == 0:
            maker = SpanMaker("desk-de", share, maker.state(), open_max)
    return found + maker.finish()


def events_of(folder: Path, cls: type) -> list[tuple[int, object]]:
    out = []
    for frame in read_frames(folder / "journal"):
        if schema_by_id(frame.schema_id).cls is cls:
            out += [(frame.correlation_seq, event) for event in [cls.layout.unpack(frame.body)]]
    return out


def kinds(spans: list[Span]) -> Counter[str]:
    return Counter(span.name.split(" ")[0] for span in spans)


def test_every_order_check_and_fill_of_the_journal_has_its_span(run_dir: Path):
    found = kinds(spans_of(run_dir))
    orders = [order for _, order in events_of(run_dir, Order)]
    sent = [o for o in orders if o.state == OrderState.ROUTED and o.action == IntentAction.NEW]
    refused = [o for o in orders if o.state == OrderState.REFUSED]
    fills = [r for _, r in events_of(run_dir, ExecutionReport) if r.kind == ReportKind.FILL]
    assert len(sent) > 20 and refused and fills
    assert found["order"] == len(sent) + len(refused)
    assert found["check"] == len(events_of(run_dir, CheckVerdict))
    assert found["fill"] == len(fills)
    assert found["venue"] == len(sent)
    assert found["command"] == 2


def test_each_span_stands_in_the_trace_of_its_input_under_a_parent_that_exists(run_dir: Path):
    spans = spans_of(run_dir)
    ids = {span.span_id: span for span in spans}
    assert len(ids) == len(spans)
    for span in spans:
        if span.parent_id:
            parent = ids[span.parent_id]
            assert parent.trace_id == span.trace_id
            assert parent.start_ns <= span.start_ns <= span.end_ns <= max(parent.end_ns, span.end_ns)
        else:
            assert span.name.split(" ")[0] in ("input", "command")
    roots = {f"{trace_id('desk-de', root):032x}" for root, _ in events_of(run_dir, Order)}
    assert {span.trace_id for span in spans if span.name.startswith("order")} <= roots


def test_an_order_tells_what_was_asked_and_how_it_ended(run_dir: Path):
    orders = {s.attributes["order_id"]: s for s in spans_of(run_dir) if s.name.startswith("order")}
    for _, order in events_of(run_dir, Order):
        span = orders[order.order_id]
        if order.action == IntentAction.NEW:
            assert span.attributes["qty_lots"] == order.qty_lots
            assert span.attributes["strategy"] in ("one", "two")
            assert span.attributes["listing"] in ("T1", "T2")
    ends = Counter(span.attributes["ended"] for span in orders.values())
    assert {"filled", "expired", "cancelled", "refused"} <= set(ends)
    for span in orders.values():
        assert span.ok == (span.attributes["ended"] != "refused")
        if span.attributes["ended"] == "filled":
            assert span.attributes["filled_lots"] == span.attributes["qty_lots"]
        if span.attributes["ended"] == "expired":
            assert span.end_ns > span.start_ns


def test_a_refused_order_has_the_check_with_value_and_limit(run_dir: Path):
    spans = spans_of(run_dir)
    refused = {s.span_id for s in spans if s.attributes.get("ended") == "refused" and s.attributes["qty_lots"] > 4}
    checks = [s for s in spans if s.name == "check risk" and s.parent_id in refused and not s.ok]
    assert checks and all(c.attributes["reason"] == "qty_max" and c.attributes["limit"] == 4 for c in checks)
    assert all(c.attributes["met"] > 4 for c in checks)


def test_a_command_lasts_from_when_it_was_given_to_its_last_cancel(run_dir: Path):
    kill, unkill = [s for s in spans_of(run_dir) if s.name.startswith("command")]
    assert (kill.name, unkill.name) == ("command kill", "command unkill")
    assert kill.attributes["who"] == "ann" and kill.attributes["why"] == "to see"
    assert kill.start_ns == KILL_NS - 7 and kill.end_ns >= KILL_NS
    cancelled = [o for root, o in events_of(run_dir, Order) if root == kill.attributes["seq"]]
    assert kill.attributes.get("cancels", 0) == len(cancelled)


def test_what_a_later_input_adds_links_to_its_own_trace(run_dir: Path):
    spans = spans_of(run_dir)
    later = [s for s in spans if s.links]
    assert {s.name.split(" ")[0] for s in later} >= {"cancel"}
    assert all(trace != s.trace_id for s in later for trace, _ in s.links)
    roots = {f"{trace_id('desk-de', root):032x}" for root, _ in events_of(run_dir, Order)}
    assert {trace for s in later if s.name == "cancel" for trace, _ in s.links} <= roots


def test_a_restart_between_any_two_batches_changes_nothing(run_dir: Path):
    assert spans_of(run_dir, restart_every=1) == spans_of(run_dir)


def test_a_share_of_the_orders_has_spans_and_always_the_same(run_dir: Path):
    assert sum(is_sampled(n, 0.25) for n in range(40_000)) == pytest.approx(10_000, rel=0.05)
    assert all(is_sampled(n, 1.0) and not is_sampled(n, 0.0) for n in range(1, 1_000))
    some = [s for s in spans_of(run_dir, 0.5) if s.name.startswith("order")]
    whole = [s for s in spans_of(run_dir) if s.name.startswith("order")]
    assert 0 < len(some) < len(whole)
    assert {s.span_id for s in some} <= {s.span_id for s in whole}
    assert kinds(spans_of(run_dir, 0.0)) == Counter(command=2)


def test_of_too_many_open_orders_the_oldest_ends_unfinished(run_dir: Path):
    spans = spans_of(run_dir, open_max=1)
    ends = Counter(s.attributes["ended"] for s in spans if s.name.startswith("order"))
    assert ends["unfinished"]
    assert sum(ends.values()) == kinds(spans_of(run_dir))["order"]


def test_a_follower_offers_again_what_was_not_taken_and_goes_on_where_it_stopped(run_dir: Path):
    (run_dir / PLACE_NAME).unlink(missing_ok=True)
    taken: list[Span] = []
    refuse = [True, True, False]

    def send(spans: list[Span]) -> bool:
        if refuse and refuse.pop(0):
            return False
        taken.extend(msgspec.convert(msgspec.to_builtins(spans), list[Span]))
        return True

    follower = SpanFollower(run_dir, 1.0, send)
    assert not follower.poll(1)  # read, not taken
    assert not follower.poll(1)
    while follower.poll(1):
        if len(taken) > 100:
            break
    follower.close()
    follower = SpanFollower(run_dir, 1.0, send)
    while follower.poll():
        pass
    follower.finish()
    assert sorted(s.span_id for s in taken) == sorted(s.span_id for s in spans_of(run_dir))


def test_a_place_that_cannot_be_read_begins_anew(run_dir: Path):
    (run_dir / PLACE_NAME).write_bytes(b"torn")
    taken: list[Span] = []
    follower = SpanFollower(run_dir, 1.0, lambda spans: not taken.extend(spans))
    while follower.poll():
        pass
    follower.finish()
    assert kinds(taken) == kinds(spans_of(run_dir))
    (run_dir / PLACE_NAME).unlink()


def test_the_exporting_process_writes_a_runs_spans_to_a_file(run_dir: Path, tmp_path: Path):
    from penstock_kernel.telemetry.__main__ import main

    (run_dir / PLACE_NAME).unlink(missing_ok=True)
    (run_dir / "deployment.toml").write_text('[telemetry]\nspans = "file"\n')
    assert wants_exporter(settings_of(run_dir)) and not wants_exporter(TelemetryTable())
    assert main([str(run_dir)]) == 0
    lines = [json.loads(line) for line in (run_dir / "spans.jsonl").read_text().splitlines()]
    assert Counter(line["name"].split(" ")[0] for line in lines) == kinds(spans_of(run_dir))
    assert main([str(run_dir)]) == 0  # nothing is left to send
    assert len((run_dir / "spans.jsonl").read_text().splitlines()) == len(lines)


def written_spans(run_dir: Path) -> list[str]:
    return [json.loads(line)["span_id"] for line in (run_dir / "spans.jsonl").read_text().splitlines()]


def test_an_exporter_that_was_killed_writes_no_span_twice(run_dir: Path):
    for name in ("spans.jsonl", PLACE_NAME):
        (run_dir / name).unlink(missing_ok=True)
    first = Exporter(run_dir, TelemetryTable(spans="file"))
    assert first.poll() and not (run_dir / PLACE_NAME).exists()  # killed before it noted its place
    before = written_spans(run_dir)
    with (run_dir / "spans.jsonl").open("a") as file:
        file.write('{"name":"order 9","span_id":"torn')
    second = Exporter(run_dir, TelemetryTable(spans="file"))
    while second.poll():
        pass
    second.close(over=True)
    lines = (run_dir / "spans.jsonl").read_text().splitlines()
    found = [json.loads(line)["span_id"] for line in lines if not line.endswith("torn")]
    assert before and found[: len(before)] == before
    assert sorted(found) == sorted(span.span_id for span in spans_of(run_dir))
    (run_dir / PLACE_NAME).unlink()


def test_spans_that_a_full_disk_did_not_take_come_once_when_there_is_room(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("spans.jsonl", PLACE_NAME):
        (run_dir / name).unlink(missing_ok=True)
    exporter = Exporter(run_dir, TelemetryTable(spans="file"))
    write, left = os.write, [10]

    def some(fd: int, data: bytes) -> int:
        left[0] -= 1
        return write(fd, data if left[0] >= 0 else data[:5])

    monkeypatch.setattr("penstock_kernel.telemetry.runlog.os.write", some)
    assert not exporter.poll()
    monkeypatch.undo()
    while exporter.poll():
        pass
    exporter.close(over=True)
    lines = (run_dir / "spans.jsonl").read_text().splitlines()
    found = [json.loads(line)["span_id"] for line in lines if line.endswith("}")]
    assert len(lines) > len(found)
    assert sorted(found) == sorted(span.span_id for span in spans_of(run_dir))
    (run_dir / PLACE_NAME).unlink()


class Talkative(ToyStrategy):
    """Logs in the handlers that an order goes through."""

    def on_quote(self, quote: Quote) -> Outcome:
        self.ctx.log.info("quote", listing_id=quote.listing_id)
        return super().on_quote(quote)

    def on_order(self, order: Order) -> None:
        if order.action == IntentAction.NEW:
            self.ctx.log.info("order", order_id=order.order_id)
        super().on_order(order)

    def on_execution_report(self, report: ExecutionReport) -> Outcome:
        self.ctx.log.info("report", order_id=report.order_id, kind=int(report.kind))
        return None


def test_what_a_plugin_logs_while_it_handles_an_orders_cascade_is_in_the_orders_trace(tmp_path: Path):
    folder = tmp_path / "desk-de"
    folder.mkdir()
    log = RunLog(folder)
    kernel = start(kernel_in(folder, log=log.write, time_one_in=2), {**TOYS, "one": Talkative})
    kernel.run_simulated(END_NS)
    kernel.close()
    log.close()
    spans = spans_of(folder)
    orders = {s.attributes["order_id"]: s for s in spans if s.name.startswith("order")}
    traces = {s.attributes["order_id"]: [] for s in orders.values() if s.attributes["strategy"] == "one"}
    quotes = set()
    for entry in entries((folder / "log.jsonl").read_bytes().splitlines(), plugin="one"):
        if entry.text == "quote":
            quotes.add(entry.trace_id)
        elif entry.text == "order" or entry.fields["kind"] == ReportKind.ACCEPTED:
            traces[entry.fields["order_id"]].append((entry.text, entry.trace_id))
    sent = [order_id for order_id in traces if orders[order_id].attributes["ended"] != "refused"]
    assert len(sent) > 20
    for order_id in sent:
        trace = orders[order_id].trace_id
        assert {text for text, _ in traces[order_id]} == {"order", "report"}
        assert {found for _, found in traces[order_id]} == {trace} and trace in quotes


def test_an_export_of_what_is_no_run_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from penstock_kernel.telemetry.__main__ import main

    assert main([str(tmp_path)]) == 1
    assert "has no run.json, so it is no run" in capsys.readouterr().err
