"""Every alert code of Penstock's own: what it means, how much it matters, what to do.

A code is stable: scripts, filters and people's habits hang on it. docs/alerts.md shows this table, and a test holds the
two together; another finds every alert that the code raises and wants it here.

A *lasting* alert tells of a state: whoever raised it says with ``cleared=True`` when it is over, and acknowledging it
only says that somebody knows. A *momentary* one tells of something that happened: acknowledging it closes it.

A plugin may raise codes of its own, as ``acme.something``; they need not stand here, and count as momentary. One in a
process of its own may not raise, or clear, what is the kernel's to say (`is_kernels`).
"""

from __future__ import annotations

import re
import sys

import msgspec

from penstock_sdk.events.enums import Severity

__all__ = ["CODES", "CODE_PATTERN", "AlertCode", "is_kernels", "is_lasting", "known_code", "table"]

CODE_PATTERN = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
"""What a code looks like: where it comes from, then what it is."""


class AlertCode(msgspec.Struct, frozen=True):
    """One code, declared."""

    code: str
    severity: Severity
    """That it is raised with, unless the one who raises it knows better."""
    meaning: str
    """One sentence: what has happened."""
    action: str
    """One sentence: what a person does about it."""
    lasting: bool = False


_INFO, _WARNING, _ERROR, _CRITICAL = Severity.INFO, Severity.WARNING, Severity.ERROR, Severity.CRITICAL

CODES: tuple[AlertCode, ...] = (
    AlertCode("alerts.full", _ERROR, "More alerts are open than the book holds; the least of them were dropped.",
              "Acknowledge what is known, and find out which code floods."),
    AlertCode("alerts.sink_failed", _ERROR, "Alerts cannot be delivered to one of the sinks.",
              "Mend what the alert names; what waits is delivered then.", lasting=True),
    AlertCode("alerts.suppressed", _INFO, "More alerts came than a sink takes in a minute; this one counts them.",
              "See `penstock alerts` for what is open."),
    AlertCode("alerts.test", _INFO, "An operator asked for a test of the sinks.", "Nothing."),
    AlertCode("check.unexpected_verdict", _WARNING, "A check answered on an order that does not wait for its answer.",
              "Where its answers come too late, raise the check's answer_ms in plugins.toml; else mend the check."),
    AlertCode("command.bad_limit", _WARNING, "A command was to set a limit that does not exist, or to no number.",
              "Give it again as NAME=VALUE."),
    AlertCode("command.unknown", _WARNING, "A command was given that nobody knows, or for what is not there.",
              "See the names that the alert lists."),
    AlertCode("command.unknown_target", _WARNING, "A command was given for a plugin that does not trade.",
              "Name a plugin of the deployment."),
    AlertCode("control.denied", _WARNING, "Somebody who is not the run's owner called its control socket.",
              "Find out who that is; the folder of the run should be its owner's alone."),
    AlertCode("deal.file_refused", _ERROR, "A file of deals, counterparties or trades has faults; none was taken.",
              "Mend the rows that the alert names, try with `penstock deal check`, and start again."),
    AlertCode("deal.refused", _WARNING, "A command on deals or trades did not hold any more when it was done.",
              "See `penstock deal list`, and give it again."),
    AlertCode("deal.unconfirmed", _WARNING, "A deal waits too long for its second pair of eyes; it counts nowhere yet.",
              "Let somebody else confirm or reject it.", lasting=True),
    AlertCode("deployment.rolled_back", _ERROR, "A changed deployment could not be applied; all is as it was before.",
              "Mend what the alert names, and apply it again."),
    AlertCode("disk.low", _ERROR, "The disk that holds the journal will soon be full.",
              "Make room, or move old runs away; a full disk ends the run.", lasting=True),
    AlertCode("effect.failed", _ERROR, "What a plugin was to send to the outside failed.",
              "See the plugin's log, and look at the venue whether it left."),
    AlertCode("exchange.index_value", _WARNING, "The embedded exchange met an index value that is no price.",
              "Look at the feed."),
    AlertCode("exchange.no_fundamental", _WARNING, "The embedded exchange opened without a price to deal around.",
              "Add a price feed of its zone and day."),
    AlertCode("feed.failed", _ERROR, "A feed raised an error and gives nothing more.",
              "Mend its source and start again; its values are stale."),
    AlertCode("handler.overrun", _WARNING, "A plugin's handler held the kernel longer than it may.",
              "Mend the handler that is named: work that takes long belongs in ctx.submit."),
    AlertCode("journal.failed", _CRITICAL, "The run failed, as on a full disk: the instance is down.",
              "Make room or mend the disk, see at the venues what is open, then start the instance again."),
    AlertCode("journal.lost", _CRITICAL, "The journal ends before an event that it once had on the disk.",
              "Look for the segments that are gone; compare the positions with the venues."),
    AlertCode("journal.slow", _WARNING, "Writing or syncing the journal held the kernel longer than it may.",
              "Look at the disk and who else uses it."),
    AlertCode("kernel.crashed", _CRITICAL, "The kernel's process ended without being told to.",
              "Read the cause and the log; the watchdog starts it again."),
    AlertCode("limit.differs", _WARNING, "A limit in plugins.toml is not the one in force; the stricter rules.",
              "Set the limit by an operator's command, or mend the file."),
    AlertCode("limit.not_allowed", _ERROR, "A plugin was to switch a kill switch or a pause off; it was not.",
              "Mend the plugin; only an operator's command does that."),
    AlertCode("listing.no_delivery", _WARNING, "A venue shows a contract without saying what it delivers and when.",
              "Orders in it are refused; to trade it, let its venue say the delivery intervals."),
    AlertCode("order.foreign_cancel", _WARNING, "A plugin was to cancel another's order; it was not.",
              "Mend the plugin, or cancel by command."),
    AlertCode("order.illegal_transition", _ERROR, "A venue reported what an order's state does not allow.",
              "Reconcile the order with its venue."),
    AlertCode("order.unknown_report", _ERROR, "A venue reported on an order that we do not know.",
              "Reconcile with the venue: a fill that is not ours is a position that is not ours."),
    AlertCode("orders.left_open", _WARNING, "A run ended while orders of ours were open at a venue outside.",
              "See at the venue what is open; the next start asks it before it trades."),
    AlertCode("plugin.breach", _ERROR, "A plugin in a process of its own sent what the plugin contract does not allow.",
              "Tell its vendor what the alert names; `penstock conform` finds such faults."),
    AlertCode("plugin.crashed", _ERROR, "The process of a plugin ended, went silent or broke the contract.",
              "It is started again by itself; read its exit status and its last words in the alert.", lasting=True),
    AlertCode("plugin.degraded", _WARNING, "A plugin in a process of its own does not answer as it should.",
              "Look at its log and its load; it runs on, and takes no orders meanwhile.", lasting=True),
    AlertCode("plugin.drain_late", _WARNING, "A plugin did not say its last in time when it was stopped.",
              "See its log; what it had to say last is lost."),
    AlertCode("plugin.noise", _WARNING, "A plugin printed something on its stdout before its start-up line.",
              "Have it print to stderr: its stdout is for the start-up line, and what stands there is passed over."),
    AlertCode("plugin.not_allowed", _ERROR, "A plugin said what its manifest or its kind forbids; it was dropped.",
              "Declare it in the manifest if it is meant to; after ten of these the plugin is ended."),
    AlertCode("plugin.quarantined", _ERROR,
              "A plugin had too many faults, held the kernel or was kept out; it hears nothing more.",
              "Mend it and release it; its orders are cancelled.", lasting=True),
    AlertCode("plugin.slow", _WARNING, "A plugin takes less than it is told: data for it is conflated or dropped.",
              "See what keeps it busy, or let it hear less.", lasting=True),
    AlertCode("plugin.state_doubtful", _ERROR, "A plugin raised an error while it heard the journal at a restart.",
              "Check its positions and limits before it trades on, and mend it."),
    AlertCode("plugin.state_lost", _ERROR, "A plugin could not take up the state that its earlier session left.",
              "Compare its positions and parameters with what they were before it trades on."),
    AlertCode("plugin.stranger", _WARNING, "A connection to the plugins' socket was refused.",
              "Find out what it is: the socket's folder is its owner's alone."),
    AlertCode("plugin.unprotected", _WARNING, "This machine cannot hold plugins to all that their manifests say.",
              "Run plugins that you do not trust on a machine that can."),
    AlertCode("portfolio.cascade_refused", _ERROR,
              "A contract has ended, and what it cascades into does not make it up.",
              "Mend the definitions of the parts, or move the position by external trades."),
    AlertCode("portfolio.fee_currency", _ERROR, "A table charges fees in another currency than a contract has.",
              "Mend the table of fees; until then they are not charged."),
    AlertCode("portfolio.fill_refused", _CRITICAL, "A fill could not be valued: the position is not the venue's.",
              "Reconcile the position by hand."),
    AlertCode("portfolio.full", _ERROR, "The portfolio has no room for another listing.", "Raise listings_max."),
    AlertCode("portfolio.fx_refused", _ERROR, "An exchange rate makes no sense, and is not used.", "Mend the feed."),
    AlertCode("portfolio.no_cascade_parts", _ERROR,
              "A contract has ended, and what it cascades into is not listed: its position stays.",
              "Announce the listings, as reference-only ones; the position moves by itself then."),
    AlertCode("portfolio.no_total", _ERROR,
              "There is no total in the report's currency, for want of a fresh exchange rate.",
              "Feed the rate that is named.", lasting=True),
    AlertCode("portfolio.off_grid", _ERROR, "A listing or schedule does not fit its zone's grid of delivery intervals.",
              "Mend the definition; its money is kept, its energy is not on the position grid."),
    AlertCode("portfolio.trade_twice", _WARNING, "A trade from outside came twice; it counts once.",
              "Nothing, where it was one trade; a second one needs a number of its own."),
    AlertCode("portfolio.trade_unknown_listing", _ERROR, "A trade from outside is in a listing that nobody announced.",
              "Announce the listing; the trade counts then."),
    AlertCode("reference.refused", _ERROR, "Reference data does not go together with the rest; none of it holds.",
              "Mend the rows that the alert names where they come from, and start again."),
    AlertCode("risk.gate_full", _ERROR, "The risk gate has no room for another listing; its orders are refused.",
              "Raise listings_max and intervals_max."),
    AlertCode("session.upgraded", _INFO, "An instance goes on with other versions or another deployment.",
              "Nothing, if that was meant."),
    AlertCode("settlement.bad_value", _ERROR, "A price, a meter value or a version of one does not count.",
              "Let its source send a later version that does."),
    AlertCode("settlement.mark_missing", _ERROR,
              "A cash-settled future is over, and neither a settlement mark nor all of its index is known.",
              "Let the source send the mark, or the prices of the index; its last gain or loss is paid then.",
              lasting=True),
    AlertCode("settlement.not_invoiced", _ERROR, "An invoice could not be drawn up.", "Invoice it by hand."),
    AlertCode("settlement.price_missing", _ERROR, "A month should be final, and some of its prices never came.",
              "Let the source send them; the month's invoices stay drafts until then."),
    AlertCode("settlement.trade_refused", _CRITICAL, "A trade could not be settled.", "Settle it by hand."),
    AlertCode("snapshot.not_taken", _WARNING, "The run's state could not be kept.",
              "Mend the plugin that is named; until then a restart reads the whole journal."),
    AlertCode("table.row_unusable", _ERROR, "A row of a table names what is not listed, or a price off its grid.",
              "Announce the contract before the row's time, or mend the row."),
    AlertCode("telemetry.export_failed", _WARNING, "Metrics or spans cannot be delivered.",
              "Look at the collector; trading does not depend on it.", lasting=True),
    AlertCode("venue.disconnected", _ERROR, "The connection to a venue is gone: new orders for it are refused.",
              "Look at the venue and the network; it is tried again by itself.", lasting=True),
    AlertCode("venue.foreign_orders", _ERROR, "A venue knew orders in our name that the journal does not know.",
              "Find out who else trades on this account, and check the positions."),
    AlertCode("venue.not_reconciled", _ERROR, "A venue has not said where our orders stand: none is sent to it.",
              "Look at the venue's connection; ask it by telephone where the orders stand.", lasting=True),
    AlertCode("venue.orders_lost", _ERROR, "A venue no longer knows orders it had acknowledged: they have ended.",
              "Ask the venue what became of them, and check the positions."),
    AlertCode("watchdog.gave_up", _CRITICAL, "The kernel ended or hung too often, and the instance stays down.",
              "See at the venues what is open, read the alerts before this one, then start the instance again."),
    AlertCode("watchdog.not_cancelled", _CRITICAL, "A venue did not cancel outside the kernel when it was to.",
              "See at the venue what is open."),
    AlertCode("watchdog.restarted", _CRITICAL,
              "The kernel hung and was ended; the next starts with a plugin quarantined.",
              "Check the venue's orders and positions, mend the plugin that is named, then release it."),
    AlertCode("watchdog.unnamed", _CRITICAL, "The kernel hung, and the handler that held it could not be named.",
              "Read the stack in the log; a second time within ten minutes it stays down."),
)  # fmt: skip

_BY_CODE = {known.code: known for known in CODES}

_PLUGINS_WORDS = {"deal", "exchange", "orders", "portfolio", "risk", "settlement", "table", "venue"}
"""First words of codes that plugins raise, ours among them …"""
_KERNELS = {"orders.left_open", "venue.not_reconciled"}
"""… and the kernel's own codes that begin with one of these."""
_KERNELS_WORDS = {known.code.partition(".")[0] for known in CODES} - _PLUGINS_WORDS


def is_kernels(code: str) -> bool:
    """Return whether the kernel alone raises and clears a code: a plugin's own begins with another word."""
    return code in _KERNELS or code.partition(".")[0] in _KERNELS_WORDS


def known_code(code: str) -> AlertCode | None:
    """Return a code's declaration; None for a plugin's own."""
    return _BY_CODE.get(code)


def is_lasting(code: str) -> bool:
    """Return whether a code tells of a state, which ends when it is cleared; a plugin's own does not."""
    known = _BY_CODE.get(code)
    return known is not None and known.lasting


def table() -> str:
    """Return the table of docs/alerts.md."""
    rows = [
        f"| `{known.code}` | {known.severity.name.lower()} | {'clears' if known.lasting else ''} "
        f"| {known.meaning} | {known.action} |"
        for known in CODES
    ]
    head = "| Code | Severity | | What it means | What to do |\n|---|---|---|---|---|\n"
    return head + "".join(row.replace("|  |", "| |") + "\n" for row in rows)


if __name__ == "__main__":
    sys.stdout.write(table())
