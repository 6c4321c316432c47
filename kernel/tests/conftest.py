"""Small runs on disk for the tests of the kernel's read side; see make_run.py."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock_kernel.lake import rebuild

_spec = importlib.util.spec_from_file_location("penstock_make_run", Path(__file__).with_name("make_run.py"))
assert _spec is not None and _spec.loader is not None
_made_runs = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _made_runs
_spec.loader.exec_module(_made_runs)


@pytest.fixture
def make_run() -> Callable[..., Any]:
    """Return `make_run.make_run`: writes a run into a folder, returns what it holds."""
    return _made_runs.make_run


@pytest.fixture
def journal_writer() -> Iterator[Callable[..., Any]]:
    """Return `make_run.JournalWriter`: writes batches of events as a kernel would; closed when the test ends."""
    made: list[Any] = []

    def new_writer(*arguments: Any, **options: Any) -> Any:
        made.append(_made_runs.JournalWriter(*arguments, **options))
        return made[-1]

    yield new_writer
    for writer in made:
        writer.close()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a complete run with its lake, shared by the tests that only read it."""
    run = _made_runs.make_run(tmp_path_factory.mktemp("runs") / "20260310-134000-a1b2", steps=500)
    rebuild(run.run_dir)
    return run
