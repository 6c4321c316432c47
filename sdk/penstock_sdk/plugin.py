"""The plugin contract: a base class per kind of plugin.

A plugin is a class with handlers. ``on_quote(quote)`` hears quotes one by one, ``on_quotes(frame)`` in batches; any
record of `penstock_sdk.events`, or one declared by a plugin, has such a pair of names; a plugin with both hears single
events by the first and frames by the second. A handler returns None, one event, or a list of events. It runs on the
kernel thread, to completion; slow work goes through ``ctx.submit``.

    class Echo(Strategy):
        def on_trade(self, trade: Trade) -> Outcome:
            return self.buy(trade.listing_id, trade.price_ticks, trade.qty_lots)

A name that starts with ``on_`` and belongs to no record is refused when the plugin is loaded, with the nearest name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from penstock_sdk.context import Context
from penstock_sdk.energy.rules import Reference
from penstock_sdk.events import (
    CheckResult,
    CheckVerdict,
    IntentAction,
    OperatorCommand,
    Order,
    OrderIntent,
    OrderKind,
    Reason,
    Side,
)
from penstock_sdk.explained import Explained
from penstock_sdk.schema import ABSENT, Control, Event, Frame, Record

__all__ = [
    "KINDS",
    "Check",
    "CommandOutcome",
    "ComplianceCheck",
    "Execution",
    "Feed",
    "Model",
    "NoConfig",
    "Offload",
    "Operations",
    "Outcome",
    "Plugin",
    "Portfolio",
    "RefData",
    "RiskCheck",
    "Strategy",
    "Venue",
]

Outcome = Record | Control | Frame | Sequence[Event] | None
"""What a handler returns: nothing, one event, or several in order."""

# Plain numbers for what every order comes past: to look a member up in its enum takes 80 ns.
_PASSED, _REFUSED, _NO_REASON = int(CheckResult.PASSED), int(CheckResult.REFUSED), int(Reason.NONE)
_CANCEL = int(IntentAction.CANCEL)


class NoConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The config of a plugin that takes none."""


class CommandOutcome(msgspec.Struct, frozen=True):
    """What came of an operator's command: some words, or everything that was wrong with it."""

    text: str = ""
    faults: tuple[str, ...] = ()


class Plugin:
    """Base of every kind. Build nothing slow in ``__init__``; the market is met from ``on_start`` on."""

    kind: ClassVar[str] = ""
    Config: ClassVar[type[msgspec.Struct]] = NoConfig
    """The type of ``[plugins.NAME.config]``; its defaults must make a plugin that runs."""
    deterministic: ClassVar[bool] = True
    """False when the same events may not give the same answers: what it returns is recorded, not recomputed."""
    history_of: ClassVar[tuple[type[Record], ...]] = ()
    """Records that ``ctx.history`` is asked for …"""
    history_ns: ClassVar[int] = 0
    """… and how far back."""
    elsewhere: ClassVar[bool] = False
    """True of an object that speaks for a plugin in a process of its own, which may be lost while the run goes on."""
    commands: ClassVar[tuple[str, ...]] = ()
    """Words of operators' commands that this plugin does in ``on_operator_command``; no other plugin has them."""

    def __init__(self, ctx: Context, config: Any = None) -> None:
        self.ctx = ctx
        self.config = config if config is not None else type(self).Config()

    @classmethod
    def faults(cls, config: Any, folder: Path, reference: Reference) -> Sequence[str]:
        """Return why a plugin of this config cannot be started, without a run; for `penstock check` and every start.

        Args:
            config: an instance of ``Config``.
            folder: the deployment's; what the config names is found from there.
            reference: rules and calendars of the whole deployment.

        Returns:
            One fault each, as `FILE:LINE: …` where it has a place.
        """
        return ()

    def on_start(self) -> Outcome:
        """Return what the plugin says first; interned ids and timers may be asked for from here on."""
        return None

    def on_resume(self) -> Outcome:
        """Return what the plugin says first in a later session of its instance, with its state restored.

        Called in place of ``on_start``, after a stop, an upgrade, or a crash whose run could not be taken up as it was.
        Time may have jumped forward by days. Timers set before are kept, those that are overdue fire at once.
        """
        return None

    def on_stop(self) -> Outcome:
        """Return what the plugin says last: it is draining, and hears nothing more."""
        return None

    def resync(self, listing_id: int) -> None:
        """Be told that book deltas of a listing found no room: `poll` is to give its book as BookLevels again.

        Until then the book is stale, which every plugin has heard as a Quote with ``tradability`` STALE.
        """

    def check_command(self, command: OperatorCommand) -> Sequence[str]:
        """Return all that is wrong with a command of ``commands`` as things stand, before it is journaled; or nothing.

        A command that is refused here is not heard. Called between inputs: it must change nothing.
        """
        return ()

    def command_outcome(self, command: OperatorCommand) -> CommandOutcome:
        """Return what came of the command of ``commands`` that was heard last, for who gave it. It changes nothing."""
        return CommandOutcome(f"{command.command} done")

    def asked(self, word: str, argument: str) -> Any:
        """Return what an operator asks to see of a word of ``commands``, as JSON carries it. It changes nothing.

        Raises:
            ValueError: the argument makes no sense; says what would.
        """
        raise ValueError(f"{word} met {argument!r}, wanted nothing: there is nothing to show")

    def snapshot(self) -> Any:
        """Return the state beyond ``ctx.state`` that a restart needs: what msgpack carries, and numpy arrays."""
        return None

    def restore(self, state: Any) -> None:
        """Take back what `snapshot` returned; ``on_start`` is not called again.

        Raises:
            ValueError: it cannot be read, as that of another version; the kernel then lets the plugin hear the journal.
        """


class Venue(Plugin):
    """A market place: defines listings, takes orders, reports on them.

    One outside the process sends by ``ctx.effect(send, order)``, never in the handler: an effect happens once the order
    is written, so that no order is at the market which the journal does not know. What the market answers comes back
    by `poll`.
    """

    kind = "venue"
    embedded: ClassVar[bool] = False
    """True when the market place itself is in this plugin: a restart restores it and leaves nothing in doubt."""
    cancel_all_outside: ClassVar[Callable[[Any], int] | None] = None
    """A static method that takes the config, cancels every order of ours at the market over a connection of its own,
    and returns how many. The watchdog calls it in a process of its own when the kernel hangs; None: no such way."""

    def on_order(self, order: Order) -> Outcome:
        """Do what ``order.action`` says (NEW, CANCEL, CANCEL_ALL); only orders routed to this venue come here.

        A NEW in state IN_DOUBT was routed before a crash: ask the market where it stands, never send it again.
        """
        raise TypeError(f"{type(self).__name__} is a venue without on_order(order); define it")

    def poll(self) -> Sequence[Event]:
        """Return what the market has said, without waiting; called on every turn of a wall-clock run."""
        return ()


class Feed(Plugin):
    """A source of events from outside: a file, a socket, a generator."""

    kind = "feed"

    def events(self) -> Iterator[tuple[int, Event]]:
        """Yield ``(at_ns, event)`` in order of time; called once, after ``on_start``. Deterministic for one config.

        Names get their ids in ``on_start``: a play-back does not call this, and would miss one that is new here.
        """
        return iter(())

    def poll(self) -> Sequence[Event]:
        """Return what has come in, without waiting; called on every turn of a wall-clock run."""
        return ()


class Model(Plugin):
    """Turns market and data into forecasts and signals."""

    kind = "model"


class Trader(Plugin):
    """What strategies and execution algorithms share: making intents that carry who they are for."""

    def intent(
        self,
        listing_id: int,
        side: int,
        price_ticks: int,
        qty_lots: int,
        *,
        kind: int = OrderKind.LIMIT,
        decision_half_ticks: int = ABSENT,
    ) -> OrderIntent:
        """Return the wish for a new order; ``intent_id`` comes back in every answer to it."""
        number = self.ctx.state.get("intents", 0) + 1
        self.ctx.state["intents"] = number
        # Plain ints: a member of an enum costs compiled code a hundred times more to take.
        who = self.ctx.identity
        return OrderIntent(
            listing_id, 1, int(side), int(kind), 0, price_ticks, qty_lots, number, ABSENT, decision_half_ticks,
            self.ctx.plugin_id, who.book_id, who.algo_id, who.algo_version, who.trader_id, who.account_id,
        )  # fmt: skip

    def buy(self, listing_id: int, price_ticks: int, qty_lots: int, **more: Any) -> OrderIntent:
        """Return the wish to buy."""
        return self.intent(listing_id, Side.BUY, price_ticks, qty_lots, **more)

    def sell(self, listing_id: int, price_ticks: int, qty_lots: int, **more: Any) -> OrderIntent:
        """Return the wish to sell."""
        return self.intent(listing_id, Side.SELL, price_ticks, qty_lots, **more)

    def cancel(self, order_id: int, listing_id: int = 0) -> OrderIntent:
        """Return the wish to cancel an order. No check holds a cancel back."""
        return OrderIntent(
            listing_id, _CANCEL, order_id=order_id, strategy_id=self.ctx.plugin_id,
            book_id=self.ctx.identity.book_id,
        )  # fmt: skip

    def cancel_all(self, listing_id: int = 0) -> OrderIntent:
        """Return the wish to cancel every open order of this plugin, in one listing or (0) in all."""
        return OrderIntent(
            listing_id, IntentAction.CANCEL_ALL, strategy_id=self.ctx.plugin_id, book_id=self.ctx.identity.book_id
        )


class Strategy(Trader):
    """Decides what to trade. Hears every market event, and of orders only its own."""

    kind = "strategy"


class Execution(Trader):
    """Works larger orders into the market. Hears every market event, and of orders only its own."""

    kind = "execution"


class Check(Plugin):
    """What risk and compliance checks share: one synchronous question, one answer."""

    answers_later: ClassVar[bool] = False
    """True of what speaks for a check in another process: in wall time `check_order` may return None, and the verdict
    comes in as an event of that check. The order waits for it …"""
    answer_ms: ClassVar[int] = 200
    """… so long; then it is refused."""

    def check_order(self, order: Order) -> CheckVerdict:
        """Return the verdict on a new order before it leaves. Raising, or returning anything else, refuses it."""
        raise TypeError(f"{type(self).__name__} is a check without check_order(order); define it")

    def explain_order(self, order: Order) -> list[Explained]:
        """Return each rule of the check as it stands for *order*, first asked first; empty: the verdict says it all.

        Never called in a run: a play-back asks right before `check_order`, for people. It must change nothing.
        """
        return []

    def passed(self, order: Order) -> CheckVerdict:
        """Return the verdict that lets *order* pass."""
        return CheckVerdict(
            order.order_id, _PASSED, 0, _NO_REASON, self.ctx.plugin_id, ABSENT, ABSENT,
            order.listing_id, order.strategy_id,
        )  # fmt: skip

    def refused(self, order: Order, reason: int, met: int = ABSENT, limit: int = ABSENT) -> CheckVerdict:
        """Return the verdict that refuses *order*, with the value met and the limit it was held against.

        Both are in the unit of their reason (`penstock_sdk.explained.REASON_UNITS`): lots, ticks, 10⁻⁶ of the currency
        or ns; those of another reason are mere counts.
        """
        return CheckVerdict(
            order.order_id, _REFUSED, 0, reason, self.ctx.plugin_id, met, limit,
            order.listing_id, order.strategy_id,
        )  # fmt: skip


class RiskCheck(Check):
    """Refuses orders that risk limits forbid."""

    kind = "risk"


class ComplianceCheck(Check):
    """Refuses orders that rules of the market forbid."""

    kind = "compliance"


class Portfolio(Plugin):
    """Keeps positions, profit and loss."""

    kind = "portfolio"

    def standing(self) -> Sequence[Record]:
        """Return a Position for each holding that is not flat, and a Pnl with listing 0 per strategy and currency.

        For those who look (`penstock status`), at any time between inputs: it must change nothing.
        """
        return ()


class Offload(Plugin):
    """Moves hot functions to a device; joins only if the device agrees with the golden model."""

    kind = "offload"


class Operations(Plugin):
    """Watches, records and reports."""

    kind = "operations"


class RefData(Plugin):
    """Brings reference data: calendars, contracts, identifiers.

    Tables and calendars hold for the session that they are said in: they are said again at every start.
    """

    kind = "refdata"

    @classmethod
    def reference(cls, config: Any, folder: Path) -> Sequence[Control]:
        """Return the tables and calendars that a plugin of this config brings, without a run.

        For `penstock check` and for commands that need rules: nothing but *config* and files are looked at.

        Args:
            config: an instance of ``Config``.
            folder: the deployment's; what the config names is found from there.

        Raises:
            EnergyError: they cannot be had; one fault a line, as `FILE:LINE: …` where it has a place.
        """
        return ()

    def on_start(self) -> Outcome:
        """Return what `reference` does."""
        return list(self.reference(self.config, self.ctx.folder or Path()))

    def on_resume(self) -> Outcome:
        """Return what `reference` does: files may have changed meanwhile, and what is not said again ends to hold."""
        return list(self.reference(self.config, self.ctx.folder or Path()))


KINDS: dict[str, type[Plugin]] = {
    cls.kind: cls
    for cls in (
        Venue, Feed, Model, Strategy, Execution, RiskCheck, ComplianceCheck, Portfolio, Offload, Operations, RefData,
    )
}  # fmt: skip
"""The base class of each kind, by its name in manifests."""
