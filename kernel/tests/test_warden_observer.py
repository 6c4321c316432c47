"""What holds a kernel decides what becomes of it: a plugin's call ends it, a disk or a debugger does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock_kernel.vitals import Phase, Vitals
from penstock_kernel.warden import observer as module
from penstock_kernel.warden.held import JOURNAL, Held
from penstock_kernel.warden.observer import Observer
from penstock_kernel.warden.settings import WatchdogTable
from penstock_sdk.events import Alert

MS = 1_000_000


class FakeChild:
    """A process that does what a test says."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.started_ns = 0
        self.letter = "R"

    def state(self) -> str:
        return self.letter


class FakeAsker:
    """Gives the answer of a test, and may let the kernel move meanwhile."""

    def __init__(self, *_: object) -> None:
        self.held: Held | None = None
        self.asked = 0
        self.meanwhile: Any = lambda: None

    def ask(self, _input_seq: int, _limit_s: float) -> Held | None:
        self.asked += 1
        self.meanwhile()
        return self.held

    def roster(self) -> None:
        return None


class Scene:
    """A kernel that stands at input 7 from the start, and who looks at it."""

    def __init__(self, folder: Path) -> None:
        self.vitals = Vitals(folder / "vitals")
        self.vitals.phase(Phase.READY)
        self.vitals.cells[Vitals.INPUT] = 7
        self.child = FakeChild(self.vitals.cells[1])
        self.alerts: list[Alert] = []
        self.lines: list[str] = []
        self.observer = Observer(self.child, folder, WatchdogTable(), self.alerts.append, self.lines.append)  # type: ignore[arg-type]
        self.asker: FakeAsker = self.observer._asker  # type: ignore[assignment]
        self.at_ms = 0

    def until(self, at_ms: int, every_ms: int = 10) -> bool:
        """Look every so often until then; return whether it was to be ended."""
        while self.at_ms < at_ms:
            self.at_ms += every_ms
            if self.observer.look(self.at_ms * MS):
                return True
        return False

    def why(self) -> tuple[str, str]:
        """Return why it is not live and not ready, as of now."""
        known, now_ns = self.observer.condition("desk", 0), self.at_ms * MS
        return known.why_not_live(now_ns), known.why_not_ready(now_ns)

    def close(self) -> None:
        self.observer.close()
        self.vitals.close()


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(module, "Asker", FakeAsker)
    scene = Scene(tmp_path)
    yield scene
    scene.close()


MM = Held(7, ("mm_de",), "on_quote", "mm.py:3")


def test_a_plugin_that_holds_it_ends_it_at_the_second_limit(scene: Scene) -> None:
    scene.asker.held = MM
    assert not scene.until(2_000)
    assert scene.lines == ["held for 100 ms by mm_de.on_quote (mm.py:3)"]
    assert scene.observer.condition("desk", 0).holder == "mm_de.on_quote (mm.py:3)"
    assert scene.observer.condition("desk", 0).why_not_live(scene.at_ms * MS) == ""
    assert scene.until(2_010)
    assert scene.observer.condition("desk", 0).why_not_live(scene.at_ms * MS).startswith("held for 2000 ms by mm_de")
    assert (scene.observer.held, scene.observer.held_ms) == (MM, 2_000)
    assert scene.asker.asked == 2
    assert not scene.observer.in_hand


def test_nobody_is_blamed_when_the_kernel_moves_while_it_is_asked(scene: Scene) -> None:
    scene.asker.held = MM

    def move() -> None:
        scene.vitals.cells[Vitals.INPUT] += 1

    scene.asker.meanwhile = move
    assert not scene.until(10_000)
    assert scene.lines == []
    assert scene.observer.held is None


def test_a_journal_that_waits_is_told_once_and_left_alone(scene: Scene) -> None:
    scene.asker.held = Held(7, (JOURNAL,), "write", "journal.py:9")
    assert not scene.until(9_000)
    assert [alert.code for alert in scene.alerts] == ["journal.slow"]
    # Every two seconds it is asked again: something else may hold the kernel by then.
    assert scene.asker.asked == 5
    scene.asker.held = MM
    assert scene.until(11_000)


def test_a_disk_that_never_answers_is_told_too(scene: Scene) -> None:
    scene.child.letter = "D"
    assert not scene.until(9_000)
    assert [alert.code for alert in scene.alerts] == ["journal.slow"]
    assert scene.asker.asked == 0


def test_what_waits_for_its_disk_is_live_and_not_ready(scene: Scene) -> None:
    scene.child.letter = "D"
    scene.until(100)
    assert scene.why() == ("", "")
    scene.until(150)
    live, ready = scene.why()
    assert live == ""
    assert ready.startswith("waits for its disk, for 1")
    scene.child.letter = "S"  # the call has returned, and the next one follows: it has not moved yet
    scene.until(160)
    assert scene.why()[1].startswith("waits for its disk")
    scene.vitals.cells[Vitals.INPUT] += 1
    scene.until(170)
    assert scene.why() == ("", "")


@pytest.mark.parametrize(
    ("held", "why"),
    [
        (Held(7, (JOURNAL,), "write", "journal.py:9"), "waits for its disk"),
        (Held(7, ("mm_de",), "on_quote", "mm.py:3", debugged=True), "held by a debugger"),
    ],
)
def test_what_is_left_alone_stays_live_past_the_second_limit_and_is_not_ready(
    scene: Scene, held: Held, why: str
) -> None:
    scene.asker.held = held
    for at_ms in range(1_000, 9_000, 250):
        assert not scene.until(at_ms)
        assert scene.observer.in_hand
        live, ready = scene.why()
        assert (live, ready.split(",")[0]) == ("", why)


@pytest.mark.parametrize(("letter", "why"), [("T", "stopped by a signal"), ("t", "held by a debugger")])
def test_a_process_that_is_stopped_is_not_ready_whatever_its_vitals_say(scene: Scene, letter: str, why: str) -> None:
    scene.child.letter = letter
    assert not scene.until(9_000)
    live, ready = scene.why()
    assert (live, ready.split(",")[0]) == ("", why)
    assert scene.observer.in_hand


def test_a_ready_kernel_with_orders_at_a_venue_that_nobody_asks_is_not_ready(scene: Scene) -> None:
    scene.vitals.turn(
        now_ns=1, seq=1, synced_seq=1, epoch=1, killed=False, reconciling=1, orders=1, open_orders=1
    )  # fmt: skip
    scene.until(10)
    assert scene.why() == ("", "reconciling with 1 venue")


STARTING = Held(7, ("mm_de",), "on_start", "mm.py:3", compiling=True)


def test_a_plugin_that_compiles_at_its_start_has_five_minutes(scene: Scene) -> None:
    scene.vitals.phase(Phase.STARTING)
    scene.asker.held = STARTING
    assert not scene.until(299_000, 100)
    assert scene.lines[0].startswith("held for 60000 ms by mm_de.on_start (mm.py:3), importing or compiling")
    assert scene.why()[0] == ""
    assert scene.until(361_000, 100)
    assert scene.observer.held_ms == 360_000


def test_a_plugin_that_stands_still_at_its_start_or_compiles_while_it_trades_has_not(scene: Scene) -> None:
    scene.asker.held = STARTING
    assert scene.until(3_000)


def test_a_start_that_does_not_compile_ends_at_its_limit(scene: Scene) -> None:
    scene.vitals.phase(Phase.STARTING)
    scene.asker.held = Held(7, ("mm_de",), "on_start", "mm.py:3")
    assert scene.until(121_000, 100)
    assert scene.observer.held_ms == 120_000


@pytest.mark.parametrize("letter", ["T", "t"])
def test_a_process_that_is_stopped_is_left_alone_and_said_once(scene: Scene, letter: str) -> None:
    scene.child.letter = letter
    assert not scene.until(9_000)
    assert scene.alerts == []
    (line,) = scene.lines
    assert f"for 2000 ms; no event is handled, no cancel leaves; `kill -CONT {scene.child.pid}`" in line
    scene.child.letter = "R"
    scene.asker.held = MM
    assert not scene.until(9_050)
    assert scene.until(12_000)


def test_a_person_with_a_debugger_has_all_the_time(scene: Scene) -> None:
    scene.asker.held = Held(7, ("mm_de",), "on_quote", "mm.py:3", debugged=True)
    assert not scene.until(9_000)
    assert scene.alerts == []


def test_a_kernel_that_waits_for_work_is_left_alone_however_slow_the_machine(scene: Scene) -> None:
    scene.vitals.cells[Vitals.INPUT] = 0
    scene.asker.held = Held(0, (), "kernel WallClock.wait_until", "clock.py:9")
    assert not scene.until(9_000)
    assert scene.alerts == [] and scene.lines == []
    scene.asker.held = Held(0, ("feed",), "poll", "feed.py:9")
    assert scene.until(12_000)


def test_what_cannot_be_named_ends_it_all_the_same(scene: Scene) -> None:
    assert scene.until(3_000)
    assert scene.observer.held is None
    assert scene.lines[-1] == "held for 2000 ms by something that could not be named"


def test_a_kernel_before_its_first_word_has_the_limit_of_a_start(tmp_path: Path) -> None:
    alone = Observer(FakeChild(1), tmp_path, WatchdogTable(), print, print)  # type: ignore[arg-type]
    said = [alone.look(at * 100 * MS) for at in range(1, 1_202)]
    assert said.index(True) * 100 == 120_000
    assert alone.condition("desk", 0).why_not_ready(120_000 * MS).startswith("held for 1200")
