"""Bilateral deals and trades from outside: captured by one, confirmed by another, and then counted like any trade.

Files are read by a task, whose result is journaled: a replay needs none of them. Commands come over the control socket
with whom the operating system says they came from. One bad row refuses all rows of its file or command.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec

from penstock_plugins.deals.asks import Ask, ask_of
from penstock_plugins.deals.deal_events import announced, counterparty_event, deal_event, deal_trade
from penstock_plugins.deals.deal_files import COUNTERPARTIES, DEALS, TRADES, config_faults, read_files, too_long
from penstock_plugins.deals.outside import OutsideTrades
from penstock_sdk.context import Context
from penstock_sdk.energy.counterparties import counterparties_of
from penstock_sdk.energy.deal_book import CANCELLED, CAPTURED, CONFIRMED, REJECTED, DealBook, DealRecord
from penstock_sdk.energy.deal_capture import Batch, Capture
from penstock_sdk.energy.deals import DealTerms, deal_cells, deal_text, laid_out
from penstock_sdk.energy.outside_trades import TradeTerms
from penstock_sdk.energy.row_files import Fault, Sheet, SheetRow, read_sheet
from penstock_sdk.energy.rules import Reference
from penstock_sdk.events import Alert, OperatorCommand, PluginState, Severity, TaskResult, Timer
from penstock_sdk.plugin import CommandOutcome, Operations, Outcome
from penstock_sdk.schema import Event
from penstock_sdk.slots import check_state

__all__ = ["Deals", "DealsConfig"]

_STATE_VERSION = 1
_HOUR_NS = 3_600_000_000_000
_LATER_TAG = 0
_TOLD_MAX = 20
_ENDED = {"reject": REJECTED, "cancel": CANCELLED}


class DealsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which files, relative to the deployment; and for how long a deal may wait for its second pair of eyes."""

    files: tuple[str, ...] = ()
    """CSV or JSON files of deals, read at each start: a deal that is known already is not captured again."""
    counterparties: str = ""
    """CSV or JSON file of counterparties and their limits; without one no deal can be made."""
    trades_files: tuple[str, ...] = ()
    """CSV or JSON files of trades by screen or broker; each is told at its own time, one of the past at once."""
    unconfirmed_hours: Annotated[float, msgspec.Meta(gt=0, le=8760)] = 24.0
    """A deal that is captured for longer raises an alert until it is confirmed, rejected or cancelled."""
    references_days: Annotated[int, msgspec.Meta(ge=1, le=3660)] = 400
    """For so long a trade's reference is known again."""


def _wanted(config: DealsConfig) -> list[tuple[str, str]]:
    """Return (role, name) of each file, in the order in which they are taken."""
    wanted = [(COUNTERPARTIES, config.counterparties)] if config.counterparties else []
    return wanted + [(DEALS, name) for name in config.files] + [(TRADES, name) for name in config.trades_files]


class _Judged(NamedTuple):
    """What a command comes to: with a fault nothing of it is done."""

    faults: list[str]
    ask: Ask
    batch: Batch = Batch("")
    trades: Sequence[tuple[int, TradeTerms]] = ()


class Deals(Operations):
    """Takes in deals and trades, and tells of them."""

    Config = DealsConfig
    config: DealsConfig
    commands = ("deal", "trades")

    def __init__(self, ctx: Context, config: DealsConfig | None = None) -> None:
        super().__init__(ctx, config)
        self.book = DealBook()
        self._capture = Capture(ctx, self.book)
        self.outside = OutsideTrades(ctx, self.config.references_days)
        self._later: list[tuple[int, str, str, int, dict[str, Any]]] = []
        """(when, deals or trades, file, row, terms) of what a file tells of the future, in order of time."""
        self._told_zones: set[int] = set()
        self._outcome = CommandOutcome()

    @classmethod
    def faults(cls, config: DealsConfig, folder: Path, reference: Reference) -> list[str]:
        """Return what is wrong with the files as they stand.

        How far limits are used is left to the run, which knows what is open.
        """
        return [str(fault) for fault in config_faults(folder, _wanted(config), reference)]

    # -- files -----------------------------------------------------------------------------------------------------

    def on_start(self) -> Outcome:
        """Have the files read."""
        if wanted := _wanted(self.config):
            self.ctx.submit(read_files, str(self.ctx.folder or Path()), wanted)
        return None

    def on_resume(self) -> Outcome:
        """Have the files read again: they may have grown."""
        return self.on_start()

    def on_task_result(self, result: TaskResult) -> Outcome:
        """Take in the files."""
        if not result.ok:
            return self._file_refused("files", [Fault("files", 0, "", "", result.error, "files that can be read")])
        take: dict[str, Callable[[Sheet], list[Event]]] = {
            COUNTERPARTIES: self._take_counterparties, DEALS: self._take_deals, TRADES: self._take_trades,
        }  # fmt: skip
        out: list[Event] = []
        for role, name, text, error in result.value:
            if error:
                out.append(self._file_refused(name, [Fault(name, 0, "", "", error, "a CSV or JSON file of " + role)]))
                continue
            sheet = read_sheet(name, text)
            if (fault := too_long(role, sheet)) is not None:
                out.append(self._file_refused(name, [fault]))
            else:
                out += take[role](sheet)
        return out

    def _file_refused(self, name: str, faults: Sequence[Fault]) -> Alert:
        for fault in faults:
            self.ctx.log.error(str(fault))
        told = "; ".join(map(str, faults[:_TOLD_MAX]))
        more = f"; and {len(faults) - _TOLD_MAX} more, see the log" if len(faults) > _TOLD_MAX else ""
        return self.ctx.alert(
            "deal.file_refused", Severity.ERROR, f"{told}{more}",
            "rows without a fault; of those that came with them none was taken",
            "mend the rows that are named, try with `penstock deal check`, start again", subject=name,
        )  # fmt: skip

    def _take_counterparties(self, sheet: Sheet) -> list[Event]:
        rows, faults = counterparties_of(sheet)
        if faults:
            return [self._file_refused(sheet.source, faults)]
        out: list[Event] = []
        for _, terms in rows:
            if self.book.counterparties.get(terms.name) != terms:
                self.book.counterparties[terms.name] = terms
                out.append(counterparty_event(self.ctx, terms))
        return out

    def _take_deals(self, sheet: Sheet) -> list[Event]:
        batch = self._capture.checked(sheet, None)
        if batch.faults:
            return [self._file_refused(sheet.source, batch.faults)]
        out: list[Event] = []
        for row, deal in batch.fresh:
            out += self._captured(deal, f"{deal.captured_by} (said by file {sheet.source}:{row})")
        for row, deal in [*batch.confirming, *(pair for pair in batch.fresh if pair[1].terms.confirmed_by)]:
            name = deal.terms.confirmed_by or deal.confirmed_by
            place = f"{sheet.source}:{row}"
            out += self._confirmed(deal, name, f"{name} (said by file {place})", place)
        for row, terms in batch.later:
            self._wait(terms.traded_ns, DEALS, sheet.source, row, msgspec.to_builtins(terms))
        return out

    def _take_trades(self, sheet: Sheet) -> list[Event]:
        now, later, faults = self.outside.checked(sheet)
        if faults:
            return [self._file_refused(sheet.source, faults)]
        for row, terms in later:
            self._wait(terms.traded_ns, TRADES, sheet.source, row, msgspec.to_builtins(terms))
        return self.outside.told(now)

    # -- what a file tells of the future -----------------------------------------------------------------------------

    def _wait(self, due_ns: int, role: str, source: str, row: int, terms: dict[str, Any]) -> None:
        if not any(held[1] == role and held[4] == terms for held in self._later):
            self._later.append((due_ns, role, source, row, terms))
            self._later.sort(key=lambda held: (held[0], held[1], held[3]))
            if self._later[0][0] == due_ns:
                self.ctx.set_timer(due_ns, _LATER_TAG)

    def on_timer(self, timer: Timer) -> Outcome:
        """Tell what is due now; or that a deal has waited too long for its second pair of eyes."""
        if timer.tag != _LATER_TAG:
            return self._unconfirmed(timer.tag)
        out: list[Event] = []
        while self._later and self._later[0][0] <= self.ctx.now_ns:
            _, role, source, row, terms = self._later.pop(0)
            cells = deal_cells(msgspec.convert(terms, DealTerms)) if role == DEALS else terms
            sheet = Sheet(source, [SheetRow(row, cells)], [])
            out += self._take_deals(sheet) if role == DEALS else self._take_trades(sheet)
        if self._later:
            self.ctx.set_timer(self._later[0][0], _LATER_TAG)
        return out

    # -- deals -----------------------------------------------------------------------------------------------------

    def _captured(self, deal: DealRecord, who: str) -> list[Event]:
        self.book.deals[deal.terms.deal_id] = deal
        self.ctx.set_timer(self.ctx.now_ns + round(self.config.unconfirmed_hours * _HOUR_NS), deal.number)
        return [deal_event(deal, who)]

    def _confirmed(self, deal: DealRecord, person: str, who: str, place: str = "") -> list[Event]:
        """Make a deal count: its contract, its listing, its trade. *place* is the row of a file that says so."""
        laid = laid_out(deal.terms, self.ctx.reference)
        out = announced(self.ctx, deal.terms, laid, self._told_zones)
        deal = self.book.deals[deal.terms.deal_id]
        deal.status, deal.confirmed_by, deal.told_by = CONFIRMED, person, place
        deal.listing_id = out[-1].listing_id  # type: ignore[union-attr]
        deal.price_ticks = laid.price.price_ticks
        return [*out, deal_event(deal, who), deal_trade(self.ctx, deal), *self._waits_no_more(deal)]

    def _ended(self, deal: DealRecord, status: str, who: str, why: str) -> list[Event]:
        """Reject or cancel a deal; a confirmed one is taken back by a trade the other way."""
        back = [deal_trade(self.ctx, deal, back=True)] if deal.status == CONFIRMED else []
        deal.status, deal.why = status, why
        return [deal_event(deal, who), *back, *self._waits_no_more(deal)]

    def _unconfirmed(self, number: int) -> Outcome:
        deal = next((each for each in self.book.deals.values() if each.number == number), None)
        if deal is None or deal.status != CAPTURED:
            return None
        return self.ctx.alert(
            "deal.unconfirmed", Severity.WARNING,
            f"captured by {deal.captured_by} {self.config.unconfirmed_hours:g} h ago; it counts in no position",
            "a second pair of eyes", "somebody else gives `penstock deal confirm` or `penstock deal reject`",
            subject=deal.terms.deal_id,
        )  # fmt: skip

    def _waits_no_more(self, deal: DealRecord) -> list[Event]:
        waited_ns = self.ctx.now_ns - deal.captured_ns
        if waited_ns < round(self.config.unconfirmed_hours * _HOUR_NS):
            return []
        return [
            Alert(
                code="deal.unconfirmed", severity=Severity.INFO, subject=deal.terms.deal_id, met=f"it is {deal.status}",
                wanted="a second pair of eyes", way_out="nothing is left to do", cleared=True,
            )
        ]  # fmt: skip

    # -- trades ----------------------------------------------------------------------------------------------------

    def on_plugin_state(self, state: PluginState) -> Outcome:
        """Know the instances that trades may be attributed to."""
        self.outside.strategies[state.name] = state.plugin_id
        return None

    # -- commands --------------------------------------------------------------------------------------------------

    def check_command(self, command: OperatorCommand) -> Sequence[str]:
        """Return all that is wrong with a command as things stand."""
        return self._judged(command).faults

    def _judged(self, command: OperatorCommand) -> _Judged:
        """Return what a command comes to as things stand; changes nothing."""
        ask, fault = ask_of(command)
        if fault:
            return _Judged([fault], ask)
        if command.command == "trades":
            trades, _, faults = self.outside.checked(ask.sheet, live=True)
            return _Judged([str(each) for each in faults], ask, trades=trades)
        if ask.do == "capture":
            batch = self._capture.checked(ask.sheet, command.who)
            return _Judged([str(each) for each in batch.faults], ask, batch)
        return _Judged(self._change_faults(ask.do, ask.id, command.who), ask)

    def _change_faults(self, do: str, deal_id: str, person: str) -> list[str]:
        """Return what stands against confirming, rejecting or cancelling a deal."""
        deal = self.book.deals.get(deal_id)
        if deal is None:
            some = ", ".join(list(self.book.deals)[-10:])
            wanted = f"wanted one of {some}" if some else "no deal is: capture one first"
            return [f"deal {deal_id!r} is not known; {wanted}"]
        allowed = {"confirm": (CAPTURED,), "reject": (CAPTURED,), "cancel": (CAPTURED, CONFIRMED)}[do]
        if deal.status not in allowed:
            return [f"deal {deal_id} is {deal.status}; to {do} it, wanted one that is {' or '.join(allowed)}"]
        if do != "confirm":
            return []
        if deal.captured_by.casefold() == person.casefold():
            return [
                f"deal {deal_id} was captured by {deal.captured_by}, and {person} would confirm it; "
                "wanted two people: somebody else confirms it"
            ]
        rule, wanted = self.book.counterparty_fault(deal, self.ctx.now_ns)
        return [f"deal {deal_id}: counterparty {deal.terms.counterparty}: {rule}; wanted {wanted}"] if rule else []

    def on_operator_command(self, command: OperatorCommand) -> Outcome:
        """Do a command that is this plugin's; what does not hold any more since it was checked is told, not done."""
        if command.command not in self.commands:
            return None
        faults, ask, batch, trades = self._judged(command)
        if faults:
            self._outcome = CommandOutcome(faults=tuple(faults))
            return self.ctx.alert(
                "deal.refused", Severity.WARNING, "; ".join(faults[:_TOLD_MAX]), "a command that holds when it is done",
                "see `penstock deal list`, and give it again", subject=f"{command.command} by {command.who}",
            )  # fmt: skip
        who = f"{command.who} ({command.peer})" if command.peer else command.who
        if command.command == "trades":
            known = len(ask.rows) - len(trades)
            text = f"{len(trades)} trades taken" + (f", {known} were known already" if known else "")
            self._outcome = CommandOutcome(text)
            return self.outside.told(trades)
        if ask.do == "capture":
            names = ", ".join(fresh.terms.deal_id for _, fresh in batch.fresh)
            self._outcome = CommandOutcome(f"captured {names}; somebody else than {command.who} confirms")
            return [event for _, fresh in batch.fresh for event in self._captured(fresh, who)]
        deal = self.book.deals[ask.id]
        if ask.do == "confirm":
            events = self._confirmed(deal, command.who, who)
            text = f"{deal_text(deal.terms)}; {deal.energy}, {deal.value}"
            self._outcome = CommandOutcome(f"confirmed {ask.id}: listing {deal.listing_id}; {text}")
            return events
        self._outcome = CommandOutcome(f"{_ENDED[ask.do]} {ask.id}")
        return self._ended(deal, _ENDED[ask.do], who, command.why)

    def command_outcome(self, command: OperatorCommand) -> CommandOutcome:
        """Return what came of the last command."""
        return self._outcome

    def asked(self, word: str, argument: str) -> Any:
        """Return every deal as it stands, or with an id that one."""
        if word != "deal" or (argument and argument not in self.book.deals):
            known = ", ".join(list(self.book.deals)[-10:]) or "none"
            raise ValueError(f"{word} met {argument!r}, wanted nothing or the id of a deal: {known}")
        deals = [self.book.deals[argument]] if argument else list(self.book.deals.values())
        return [
            {
                "deal_id": deal.terms.deal_id, "status": deal.status, "captured_by": deal.captured_by,
                "captured_ns": deal.captured_ns, "confirmed_by": deal.confirmed_by, "told_by": deal.told_by,
                "listing_id": deal.listing_id, "why": deal.why, "text": deal_text(deal.terms), "energy": deal.energy,
                "value": deal.value, "terms": msgspec.to_builtins(deal.terms),
            }
            for deal in deals
        ]  # fmt: skip

    # -- state -----------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Return deals, counterparties, known trades and what waits for its time."""
        return {
            "version": _STATE_VERSION, "book": self.book.snapshot(), "outside": self.outside.snapshot(),
            "later": [list(held) for held in self._later],
        }  # fmt: skip

    def restore(self, state: Any) -> None:
        """Take back what `snapshot` returned."""
        check_state(state, _STATE_VERSION, "deals")
        self.book.restore(state["book"])
        self.outside.restore(state["outside"])
        self._later = [(due, role, source, row, terms) for due, role, source, row, terms in state["later"]]
