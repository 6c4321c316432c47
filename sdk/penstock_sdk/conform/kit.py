"""What a case is given: the plugin as often as it wants it, fresh each time, at any point of its life."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from penstock_sdk.conform.cases import Failure, Skip
from penstock_sdk.conform.driver import VenueDriver
from penstock_sdk.conform.host import Answer, Patience, Rig
from penstock_sdk.conform.world import SECOND_NS, World
from penstock_sdk.process.peer import Peer, PeerError

if TYPE_CHECKING:
    from penstock_sdk.manifest import PluginManifest

__all__ = ["Kit", "Opener", "first_difference", "transcript"]

MOMENTS = 24
"""How many moments the afternoon has that plugins are told of."""


class Opener(Protocol):
    """Gives a fresh plugin, connected: a new process, a new connection, a new object."""

    command: tuple[str, ...]
    """What is started; empty where the kit starts no process."""

    def open(self) -> Peer:
        """Return it. Raises PeerError."""


class Kit:
    """The plugin under test, for one case.

    Args:
        opener: where plugins come from.
        kind: that they are to be of.
        config: of the plugin, as JSON has it.
        driver: of the venue side, or None.
        manifest: the plugin's, or None.
    """

    def __init__(
        self,
        opener: Opener,
        kind: str,
        *,
        config: dict[str, Any] | None = None,
        patience: Patience | None = None,
        driver: VenueDriver | None = None,
        manifest: PluginManifest | None = None,
    ) -> None:
        self.opener, self.kind, self.config = opener, kind, config or {}
        self.manifest = manifest
        self.patience = patience or Patience()
        self.driver = driver
        self._rigs: list[Rig] = []

    # -- plugins ---------------------------------------------------------------------------------------------------

    def connected(self, **options: Any) -> Rig:
        """Return a plugin that was asked nothing yet; *options* are the `Rig`'s, ``first_id``, ``mark``, ``beside``."""
        beside = options.pop("beside", False) and not getattr(self.opener, "lasting", False)
        if not beside:
            self.end()
        world = World(venue=self.kind == "venue", first_id=options.pop("first_id", 1), mark=options.pop("mark", ""))
        rig = Rig(self.opener.open(), world, self.patience, **options)
        self._rigs.append(rig)
        return rig

    def described(self, **options: Any) -> Rig:
        """Return a plugin that has said what it is."""
        rig = self.connected(**options)
        rig.describe()
        return rig

    def configured(self, **options: Any) -> Rig:
        """Return a plugin that has its config."""
        rig = self.described(**options)
        faults = rig.configure(json.dumps(self.config))
        if faults:
            raise Failure(f"its config is refused: {'; '.join(faults)}")
        return rig

    def started(self, **options: Any) -> Rig:
        """Return a running plugin, told that the market is open where the kit is the market."""
        rig = self.configured(**options)
        rig.start()
        rig.step(*rig.world.opening(rig.now_ns))
        rig.faults.clear()  # those of the start are life.start's
        return rig

    def restored(self, state: bytes, last_seq: int, *, like: Rig | None = None, **options: Any) -> Rig:
        """Return a plugin that went on from a state; names and time are those of *like*."""
        rig = self.configured(**options)
        if like is not None:
            rig.world, rig.now_ns, rig.seq = like.world, like.now_ns, like.seq
        error = rig.restore(state, last_seq)
        if error:
            raise Failure(f"it cannot take back its own state: {error}")
        return rig

    def end(self) -> None:
        """End every plugin of this case."""
        rigs, self._rigs = self._rigs, []
        for rig in rigs:
            with suppress(PeerError, OSError):
                rig.close()

    # -- what they are put through -----------------------------------------------------------------------------------

    def afternoon(
        self, rig: Rig, *, moments: int = MOMENTS, first: int = 0, tell: Callable[..., Answer] | None = None
    ) -> None:
        """Let a running plugin live through an afternoon: data every half minute, timers as they are due."""
        tell = tell or rig.step
        for at in range(first, first + moments):
            rig.advance(rig.now_ns + 30 * SECOND_NS)
            events = self.moment(rig, at)
            if events:
                tell(*events)

    def moment(self, rig: Rig, at: int) -> list[Any]:
        """Return what a plugin of this kind is told at a moment; a venue of its own listings only data."""
        events = rig.world.moment(at, rig.now_ns)
        if self.kind == "venue":
            events = [event for event in events if not hasattr(event, "listing_id")]
        return events

    def alike(self, difference: str) -> None:
        """Fail for a difference, unless the plugin differs from itself anyway: then life.two_runs tells."""
        if not difference:
            return
        said = []
        for _ in range(2):
            rig = self.started()
            self.afternoon(rig)
            said.append(transcript(rig))
        if first_difference(*said):
            raise Skip("two runs of the same events differ anyway, which life.two_runs tells")
        raise Failure(difference)

    def call_refused(self, act: Callable[[], Any]) -> str:
        """Return why *act* was refused; empty: it was not. A plugin that is gone has not refused."""
        from penstock_sdk.process.peer import PeerGone, PeerTimeout

        try:
            act()
        except (PeerGone, PeerTimeout) as error:
            raise Failure(f"no refusal but {type(error).__name__}: {error}") from None
        except PeerError as error:
            return str(error) or "refused without a word"
        return ""


def transcript(rig: Rig) -> list[str]:
    """Return all that a plugin said, a line each, without what may differ between two equal runs."""
    return [f"{each.now_ns} {each.record!r}" for each in rig.said]


def first_difference(ours: list[str], theirs: list[str]) -> str:
    """Return where two transcripts part, for people; empty: nowhere."""
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if one != other:
            return f"record {number}: {_short(one)} in one, {_short(other)} in the other"
    if len(ours) != len(theirs):
        longer = ours if len(ours) > len(theirs) else theirs
        more = _short(longer[min(len(ours), len(theirs))])
        return f"{len(ours)} records in one, {len(theirs)} in the other; the first more is {more}"
    return ""


def _short(line: str) -> str:
    return line if len(line) <= 200 else line[:200] + " …"
