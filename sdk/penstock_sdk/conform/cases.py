"""What a case of the conformance kit is, and the list of all of them.

A case is a function that drives a plugin through a `Kit` and returns when the plugin did what the case claims. Else it
raises `Failure` with what it met; what was wanted and the way out stand with the case, once, for report and document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NoReturn

import msgspec

if TYPE_CHECKING:
    from penstock_sdk.conform.kit import Kit

__all__ = [
    "ALL_KINDS", "CHECKS", "GROUPS", "TRADERS", "Case", "Failure", "Skip", "all_cases", "case", "cases_for", "fail",
    "skip",
]  # fmt: skip

TRADERS = ("strategy", "execution")
CHECKS = ("risk", "compliance")
ALL_KINDS = (
    "venue", "feed", "model", "strategy", "execution", "risk", "compliance", "portfolio", "offload", "operations",
    "refdata",
)  # fmt: skip


GROUPS = (
    "handshake", "config", "life", "stream", "schema", "time", "snapshot", "process", "venue", "trader", "check",
    "feed", "data", "reconcile", "offer", "market", "flood", "latency",
)  # fmt: skip
"""In the order in which they run."""


class Failure(Exception):  # noqa: N818 - an outcome, not an error of the kit
    """The plugin did not do what the case claims; the text is the value met."""


class Skip(Exception):  # noqa: N818 - an outcome
    """The case does not apply to the plugin as it is; the text says why. A skip is no pass."""

    def __init__(self, reason: str, *, missing: bool = False) -> None:
        super().__init__(reason)
        self.missing = missing
        """It is for want of something that the plugin, or who tests it, could offer: it keeps from gold."""


def fail(met: str) -> NoReturn:
    """End the case: this was met."""
    raise Failure(met)


def skip(reason: str, *, missing: bool = False) -> NoReturn:
    """End the case: it does not apply, for this reason; *missing*: which somebody could mend."""
    raise Skip(reason, missing=missing)


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One case."""

    id: str
    """Stable, as ``config.unknown_key``; what stands before the dot is its group."""
    claim: str
    """What a conforming plugin does, in one sentence."""
    wanted: str
    """What the case looks for, after "wanted"."""
    way_out: str
    """What to change in a plugin that fails it."""
    kinds: tuple[str, ...] = ALL_KINDS
    capability: str = ""
    """Only for plugins whose Describe names it."""
    verbs: tuple[str, ...] = ()
    """Verbs of the venue's driver that it needs."""
    process: bool = False
    """Needs a command: the kit starts and ends the process."""
    deterministic: bool = False
    """Only for plugins that say they are."""
    manifest: bool = False
    """Needs the plugin's manifest, with what a venue offers."""
    run: Callable[[Kit], None]

    @property
    def group(self) -> str:
        """Return the group."""
        return self.id.partition(".")[0]


_CASES: dict[str, Case] = {}


def case(
    id: str,
    claim: str,
    *,
    wanted: str,
    way_out: str,
    kinds: Iterable[str] = ALL_KINDS,
    capability: str = "",
    verbs: Iterable[str] = (),
    process: bool = False,
    deterministic: bool = False,
    manifest: bool = False,
) -> Callable[[Callable[[Kit], None]], Callable[[Kit], None]]:
    """Add the decorated function to the kit's cases."""

    def add(run: Callable[[Kit], None]) -> Callable[[Kit], None]:
        assert id not in _CASES, id
        _CASES[id] = Case(
            id=id, claim=claim, wanted=wanted, way_out=way_out, kinds=tuple(kinds), capability=capability,
            verbs=tuple(verbs), process=process, deterministic=deterministic, manifest=manifest, run=run,
        )  # fmt: skip
        return run

    return add


def all_cases() -> tuple[Case, ...]:
    """Return every case, in the order in which they run."""
    from penstock_sdk.conform import (  # noqa: F401 - importing them fills the list
        cases_check,
        cases_config,
        cases_feed,
        cases_handshake,
        cases_life,
        cases_offer,
        cases_other,
        cases_process,
        cases_schema,
        cases_snapshot,
        cases_stream,
        cases_time,
        cases_trader,
        cases_venue,
        cases_venue_market,
    )

    return tuple(sorted(_CASES.values(), key=lambda each: GROUPS.index(each.group)))


def cases_for(kind: str) -> tuple[Case, ...]:
    """Return the cases of a kind of plugin."""
    return tuple(each for each in all_cases() if kind in each.kinds)
