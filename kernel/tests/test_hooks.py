"""Hooks are checked when they are registered, and one that raises costs the others nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock_kernel.hooks import HookError, call_hook, hook_manager
from penstock_sdk import hooks
from penstock_sdk.hooks import hookimpl


class Good:
    """Hears the end of a run."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    @hookimpl
    def penstock_run_ended(self, status: str) -> None:
        """Take only the argument that is wanted."""
        self.heard.append(status)


class Raising:
    """Raises at the end of a run."""

    @hookimpl
    def penstock_run_ended(self, run_dir: Path) -> None:
        """Fail."""
        raise OSError(f"{run_dir} is gone")


class Misspelt:
    """Names a hook that is none."""

    @hookimpl
    def penstock_run_endet(self, run_dir: Path) -> None:
        """Never be called."""


def test_every_implementation_is_heard_when_one_raises() -> None:
    first, last = Good(), Good()
    manager = hook_manager([("first", first), ("bad", Raising()), ("last", last)])
    failed: list[str] = []
    arguments = {"run_dir": Path("runs/x"), "status": "complete"}
    call_hook(manager, "penstock_run_ended", lambda who, error: failed.append(f"{who}: {error}"), **arguments)
    assert (first.heard, last.heard) == (["complete"], ["complete"])
    assert failed == ["bad.penstock_run_ended: runs/x is gone"]


def test_an_implementation_that_fits_no_hook_is_refused_by_name() -> None:
    with pytest.raises(HookError, match=r"^plugin misspelt: unknown hook 'penstock_run_endet'"):
        hook_manager([("misspelt", Misspelt())])


def test_every_hook_has_a_docstring() -> None:
    names = [name for name in hooks.__all__ if name.startswith("penstock_")]
    assert len(names) == 3
    assert all(getattr(hooks, name).__doc__ for name in names)
