"""The loop takes what is due in one order, a feed that fails is told and ends alone, captures are kept by reference."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.tests.toy_market import START_NS, kernel_in, recorded, start
from penstock_kernel.kernel import Kernel
from penstock_kernel.sources import SourceError
from penstock_sdk.events import (
    Alert,
    CaptureRef,
    Mark,
    OperatorCommand,
    PluginState,
    PluginStatus,
    Quote,
    RunEnd,
    Timer,
    Trade,
)
from penstock_sdk.plugin import Feed, Operations, Plugin
from penstock_sdk.schema import Event, Frame, schema_by_id
from penstock_sdk.wire.segment import read_frames, verify


def feed_of(*items: Any) -> type[Feed]:
    """Return a feed that gives these items, calling those that can be called."""

    class Gives(Feed):
        def events(self) -> Iterator[tuple[int, Event]]:
            for item in items:
                yield item() if callable(item) else item

    return Gives


class Notes(Operations):
    """Sets timers at the start; notes what it hears."""

    dues: tuple[int, ...] = ()

    def __init__(self, ctx: Any, config: Any = None) -> None:
        super().__init__(ctx, config)
        self.heard: list[tuple[int, str]] = []

    def on_start(self) -> None:
        for number, due_ns in enumerate(self.dues):
            self.ctx.set_timer(due_ns, number)

    def note(self, what: str) -> None:
        self.heard.append((self.ctx.now_ns, what))

    def on_quote(self, quote: Quote) -> None:
        self.note(f"quote {quote.listing_id}")

    def on_trade(self, trade: Trade) -> None:
        self.note(f"trade {trade.trade_id}")

    def on_timer(self, timer: Timer) -> None:
        self.note(f"timer {timer.tag}")

    def on_operator_command(self, command: OperatorCommand) -> None:
        self.note(f"command {command.why}")


def notes(*dues: int) -> type[Notes]:
    return type("NotesOf", (Notes,), {"dues": dues})


def run(folder: Path, plugins: dict[str, type[Plugin]], until_ns: int = 2_000, **options: Any) -> Kernel:
    kernel = start(kernel_in(folder, **options), plugins)
    kernel.run_simulated(until_ns)
    kernel.close()
    return kernel


def told(folder: Path) -> list[Any]:
    return [schema_by_id(f.schema_id).unpack(f.body) for f in read_frames(folder / "journal")]


def test_at_equal_time_commands_come_before_timers_before_sources_in_deployment_order(tmp_path: Path) -> None:
    plugins: dict[str, type[Plugin]] = {
        "late": feed_of((1_100, Quote(1)), (1_100, Quote(2))),
        "notes": notes(1_100, 1_050, 1_100),
        "later": feed_of((1_100, Quote(3))),
    }
    kernel = start(kernel_in(tmp_path), plugins)
    for why in ("b", "c"):
        kernel.command_at(1_100, OperatorCommand(command="cancel_all", who="x", why=why))
    kernel.command_at(1_050, OperatorCommand(command="cancel_all", who="x", why="a"))
    kernel.run_simulated(2_000)
    kernel.close()
    assert kernel.slots["notes"].plugin.heard == [
        (1_050, "command a"), (1_050, "timer 1"), (1_100, "command b"), (1_100, "command c"), (1_100, "timer 0"),
        (1_100, "timer 2"), (1_100, "quote 1"), (1_100, "quote 2"), (1_100, "quote 3"),
    ]  # fmt: skip


@given(st.lists(st.lists(st.integers(0, 4), max_size=5), min_size=1, max_size=3), st.lists(st.integers(0, 4)))
@settings(max_examples=40)
def test_inputs_are_sorted_by_time_then_kind_then_place(
    tmp_path_factory: Any, feeds: list[list[int]], dues: list[int]
) -> None:
    plugins: dict[str, type[Plugin]] = {"notes": notes(*(1_100 + due for due in dues))}
    wanted = [(1_100 + due, 0, 0, number, f"timer {number}") for number, due in enumerate(dues)]
    for place, gaps in enumerate(feeds):
        times = sorted(1_100 + gap for gap in gaps)
        plugins[f"feed{place}"] = feed_of(*((at_ns, Trade(1, trade_id=place)) for at_ns in times))
        wanted += [(at_ns, 1, place, number, f"trade {place}") for number, at_ns in enumerate(times)]
    kernel = run(tmp_path_factory.mktemp("order", numbered=True), plugins)
    assert kernel.slots["notes"].plugin.heard == [(at_ns, what) for at_ns, *_, what in sorted(wanted)]


def test_commands_scheduled_while_others_fall_due_keep_their_order(tmp_path: Path) -> None:
    kernel = start(kernel_in(tmp_path), {"notes": Notes})
    for at_ns, why in ((1_100, "a"), (1_500, "b")):
        kernel.command_at(at_ns, OperatorCommand(command="cancel_all", who="x", why=why))
    kernel.run_simulated(1_200)
    kernel.command_at(1_500, OperatorCommand(command="cancel_all", who="x", why="c"))
    kernel.run_simulated(2_000)
    kernel.close()
    assert [what for _, what in kernel.slots["notes"].plugin.heard] == ["command a", "command b", "command c"]


def test_nothing_beyond_the_end_is_taken_and_time_ends_there(tmp_path: Path) -> None:
    kernel = run(tmp_path, {"feed": feed_of((1_999, Quote(1)), (2_000, Quote(2)), (2_001, Quote(3))), "notes": Notes})
    assert [what for _, what in kernel.slots["notes"].plugin.heard] == ["quote 1", "quote 2"]
    assert kernel.moment.now_ns == 2_000


def test_stop_ends_the_run_where_it_stands(tmp_path: Path) -> None:
    kernel = start(kernel_in(tmp_path), {"feed": feed_of((1_100, Quote(1)), (1_200, Quote(2))), "notes": Notes})
    kernel.command_at(1_150, OperatorCommand(command="stop", who="me", why="lunch"))
    kernel.run_simulated(2_000)
    kernel.drain(kernel.stopping)
    kernel.close()
    assert kernel.moment.now_ns == 1_150
    assert told(tmp_path)[-1] == RunEnd(reason="stopped by me: lunch")
    drained = [s.name for s in told(tmp_path) if isinstance(s, PluginState) and s.status == PluginStatus.DRAINING]
    assert drained == ["notes", "feed"]


def boom() -> Any:
    raise OSError("disk on fire")


BROKEN = {
    "out of order": ((1_099, Quote(9)), "SourceError: feed broken, item 3: its time 1099 lies before the last, 1100"),
    "raising": (boom, "OSError: disk on fire"),
    "no pair": (5, "TypeError: "),
    "no event": ((1_200, "quote"), "SourceError: feed broken, item 3: met (1200, 'quote'), wanted (at_ns, event)"),
    "a time that is no integer": ((1_200.5, Quote(9)), "TypeError: "),
    "an event that does not fit": ((1_200, Quote(-1)), "SchemaError: Quote.listing_id met -1"),
    "a time of 65 bits": ((2**63, Quote(9)), "SourceError: feed broken, item 3: met (9223372036854775808, "),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_feed_that_fails_gives_what_it_had_and_is_told_while_the_run_goes_on(case: str, tmp_path: Path) -> None:
    item, text = BROKEN[case]
    plugins: dict[str, type[Plugin]] = {
        "broken": feed_of((1_100, Quote(1)), (1_100, Quote(2)), item, (1_300, Quote(9))),
        "sound": feed_of((1_150, Quote(3)), (1_400, Quote(4))),
        "notes": Notes,
    }
    kernel = run(tmp_path, plugins)
    assert [what for _, what in kernel.slots["notes"].plugin.heard] == ["quote 1", "quote 2", "quote 3", "quote 4"]
    (alert,) = [event for event in told(tmp_path) if isinstance(event, Alert)]
    assert (alert.code, alert.subject) == ("feed.failed", "broken")
    assert alert.met.startswith(text)


@pytest.mark.parametrize("item", [boom, 5])
def test_a_feed_that_fails_before_its_first_event_does_not_begin(item: Any, tmp_path: Path) -> None:
    kernel = kernel_in(tmp_path)
    with pytest.raises(SourceError, match="^feed feed cannot begin: "):
        start(kernel, {"feed": feed_of(item)})
    kernel.close()


def test_a_quarantined_feed_is_read_no_more(tmp_path: Path) -> None:
    plugins: dict[str, type[Plugin]] = {"feed": feed_of((1_100, Quote(1)), (1_200, Quote(2))), "notes": Notes}
    kernel = start(kernel_in(tmp_path), plugins)
    kernel.command_at(1_150, OperatorCommand(command="quarantine", who="x", why="y", target="feed"))
    kernel.run_simulated(2_000)
    kernel.close()
    assert kernel.slots["notes"].plugin.heard == [(1_100, "quote 1"), (1_150, "command y")]


def test_a_failing_effect_is_told_and_its_journal_is_written_before(tmp_path: Path) -> None:
    seen: list[int] = []

    class Sends(Notes):
        def on_quote(self, quote: Quote) -> None:
            self.ctx.effect(lambda: seen.append(len(recorded(tmp_path))))
            self.ctx.effect(boom)

    run(tmp_path, {"feed": feed_of((1_100, Quote(1))), "sends": Sends})
    events = told(tmp_path)
    at = next(number for number, event in enumerate(events) if isinstance(event, Quote))
    assert seen == [at + 1]
    alert = events[at + 1]
    assert (alert.code, alert.subject, alert.met) == ("effect.failed", "boom", "OSError: disk on fire")


class Captured(Feed):
    """Frames that stand in a capture file, and a single that does not."""

    def events(self) -> Iterator[tuple[int, Event]]:
        for number in range(3):
            frame = Frame.of([Quote(number + 1, bid_ticks=i) for i in range(4)])
            frame.kept_at = ("day.cap", 1_000 * number)
            yield 1_100 + number, frame
        yield 1_200, Quote(9)
        yield 1_201, Frame.of([Quote(8), Quote(8)])


def by_reference(folder: Path, topic: str = "market.quote") -> Kernel:
    return run(
        folder, {"cap": Captured, "notes": Notes}, durability_for=lambda t: "reference" if t == topic else "written"
    )


def test_frames_of_a_capture_are_journaled_by_reference(tmp_path: Path) -> None:
    kernel = by_reference(tmp_path)
    references = [event for event in told(tmp_path) if isinstance(event, CaptureRef)]
    assert [(r.capture, r.offset, r.count, r.schema_id) for r in references] == [
        ("day.cap", 1_000 * number, 4, Quote.layout.id) for number in range(3)
    ]
    body = Frame.of([Quote(2, bid_ticks=i) for i in range(4)]).array.tobytes()
    assert references[1].digest == hashlib.sha256(body).digest()
    kept = [frame for frame in read_frames(tmp_path / "journal") if frame.schema_id == Quote.layout.id]
    assert [frame.count for frame in kept] == [1, 2]
    frames = list(read_frames(tmp_path / "journal"))
    assert [f.seq + f.count for f in frames][:-1] == [f.seq for f in frames][1:]
    assert len(kernel.slots["notes"].plugin.heard) == 15


def test_the_digest_covers_what_is_kept_by_reference(tmp_path: Path) -> None:
    class Other(Captured):
        def events(self) -> Iterator[tuple[int, Event]]:
            for at_ns, event in super().events():
                if at_ns == 1_101 and isinstance(event, Frame):
                    changed = Frame.of([Quote(2, bid_ticks=i + (i == 3)) for i in range(4)])
                    changed.kept_at = event.kept_at
                    yield at_ns, changed
                else:
                    yield at_ns, event

    def reference(topic: str) -> str:
        return "reference" if topic == "market.quote" else "written"

    digests = []
    for name, feed in (("a", Captured), ("b", Captured), ("c", Other)):
        run(tmp_path / name, {"cap": feed}, durability_for=reference)
        digests.append(verify(tmp_path / name / "journal").digest)
    assert digests[0] == digests[1] != digests[2]


def test_a_topic_that_is_not_kept_by_reference_is_kept_whole(tmp_path: Path) -> None:
    by_reference(tmp_path, topic="market.trade")
    assert not [event for event in told(tmp_path) if isinstance(event, CaptureRef)]


def test_what_is_not_recorded_is_heard_all_the_same(tmp_path: Path) -> None:
    plugins: dict[str, type[Plugin]] = {"feed": feed_of((1_100, Quote(1)), (1_101, Mark(1))), "notes": Notes}
    kernel = run(tmp_path, plugins, durability_for=lambda t: "none" if t == "market.quote" else "written")
    assert kernel.slots["notes"].plugin.heard == [(1_100, "quote 1")]
    assert Quote.layout.id not in {frame.schema_id for frame in read_frames(tmp_path / "journal")}
    assert kernel.cascade.seq == len(recorded(tmp_path)) + 1
    assert kernel.moment.now_ns >= START_NS
