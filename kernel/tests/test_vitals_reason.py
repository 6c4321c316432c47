"""A kernel's reason for its end stands in its vitals, where no disk is needed, until another has journaled it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from penstock_kernel.vitals import Phase, Vitals, VitalsView


def ended(path: Path, reason: str, *phases: Phase) -> str:
    """Live through *phases* at *path* and end with *reason*; return what was known of the kernel before."""
    vitals = Vitals(path)
    for phase in phases[:-1]:
        vitals.phase(phase)
    vitals.tell(reason)
    vitals.phase(phases[-1])
    before = vitals.failed_before
    vitals.close()
    return before


def test_a_failure_is_known_to_those_that_come_after_until_one_trades(tmp_path: Path) -> None:
    path = tmp_path / "vitals"
    assert ended(path, "disk full: \u20ac" + "x" * 2000, Phase.READY, Phase.FAILED) == ""
    view = VitalsView(path)
    assert (view.phase, view.reason[:13], len(view.reason.encode())) == (Phase.FAILED, "disk full: \u20acx", 1023)
    first = view.reason
    view.close()
    # One that does not come so far as to journal it leaves it to the next.
    assert ended(path, "", Phase.STARTING) == first
    assert ended(path, "stopped", Phase.STARTING, Phase.READY, Phase.ENDED) == first
    view = VitalsView(path)
    assert view.reason == "stopped"
    view.close()
    assert ended(path, "", Phase.READY) == ""


def test_a_start_that_fails_again_tells_its_own_reason(tmp_path: Path) -> None:
    path = tmp_path / "vitals"
    ended(path, "one", Phase.FAILED)
    assert ended(path, "two", Phase.FAILED) == "one"
    assert ended(path, "", Phase.STARTING) == "two"


def test_no_room_for_the_page_is_an_error_and_no_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        Vitals(tmp_path / "vitals")
