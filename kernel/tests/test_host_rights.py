"""What a plugin out of process may say: its manifest's topics, of its kind, in its own name, and no limit loosened."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from penstock_kernel.hosts.rights import Rights
from penstock_sdk.alerts import CODES, is_kernels
from penstock_sdk.context import Identity
from penstock_sdk.events import (
    Alert,
    CheckVerdict,
    ConnectionState,
    ExecutionReport,
    IdKind,
    IntentAction,
    Interned,
    Limit,
    LimitKind,
    ListingDefinition,
    OperatorCommand,
    Order,
    OrderIntent,
    PluginState,
    PluginStatus,
    Quote,
    Reconciled,
    RunEnd,
    Severity,
    TaskResult,
    Timer,
)
from penstock_sdk.manifest import ManifestSource, PluginManifest
from penstock_sdk.schema import Frame

ME, BOOK, TRADER, ACCOUNT = 7, 3, 5, 6
OPENERS = {("a.mine", "s"): ME, ("a.anothers", "s"): 8, ("orders.kernels", "s"): 0}


def rights(
    kind: str, *topics_out: str, writes: bool = True, limits: dict[tuple[int, int, int], int] | None = None
) -> Rights:
    manifest = PluginManifest(
        id="toy", version="1", kind=kind, contract=f"{kind}/1..1", class_path="a:B", topics_out=topics_out,
        capabilities=("orders.write",) if writes else (), source=ManifestSource("plugin.toml", "."),
    )  # fmt: skip
    who = Identity(book_id=BOOK, trader_id=TRADER, account_id=ACCOUNT)
    return Rights(manifest, ME, who, (limits or {}).get, lambda code, subject: OPENERS.get((code, subject)))


def listing(venue_id: int) -> ListingDefinition:
    return ListingDefinition(
        listing_id=1, contract_id=1, venue_id=venue_id, name="x", tick_micro=1, lot_kw=1, price_min_ticks=0,
        price_max_ticks=1, opens_ns=0, gate_closure_ns=0, cash_micro_per_lot_tick=1, interval_start_ns=0,
        interval_ns=1, interval_count=1,
    )  # fmt: skip


def alert(code: str, *, cleared: bool = False) -> Alert:
    return Alert(code=code, severity=Severity.ERROR, subject="s", met="m", cleared=cleared)


INTENT = OrderIntent(1, IntentAction.NEW, strategy_id=ME, book_id=BOOK)

REFUSED: dict[str, tuple[Rights, Any, str]] = {
    "another topic": (rights("model", "data.*"), Quote(1), "on topic market.quote, wanted topics_out"),
    "no topic at all": (rights("model"), Quote(1), "said: nothing".replace("said", "manifest")),
    "the kernel's own": (rights("operations", "*"), RunEnd(reason="x"), "the kernel alone says that"),
    "a command": (rights("operations", "*"), OperatorCommand(command="kill", who="a", why="b"), "the kernel alone"),
    "a name": (rights("refdata", "*"), Interned(kind=IdKind.ZONE, id=1, name="x"), "the kernel alone"),
    "a state": (
        rights("model", "*"),
        PluginState(plugin_id=1, name="x", status=PluginStatus.FAILED, previous=PluginStatus.RUNNING),
        "the kernel alone",
    ),
    "an order": (rights("venue", "*"), Order(1, 1), "the kernel alone"),
    "a timer": (rights("model", "*"), Timer(ME), "the kernel alone"),
    "a report of a strategy's": (rights("strategy", "*"), ExecutionReport(1, 1, 1), "wanted it of venue"),
    "a verdict of a model's": (rights("model", "*"), CheckVerdict(1, 1, check_id=ME), "of risk or compliance only"),
    "a verdict in another's name": (rights("risk"), CheckVerdict(1, 1, check_id=8), "check_id 8, wanted its own, 7"),
    "an intent of a model's": (rights("model", "*"), INTENT, "of strategy or execution only"),
    "an intent without the capability": (rights("strategy", "*", writes=False), INTENT, 'capability "orders.write"'),
    "an intent for another strategy": (
        rights("strategy", "*"), OrderIntent(1, IntentAction.NEW, strategy_id=8, book_id=BOOK), "strategy_id 8",
    ),
    "an intent for another book": (
        rights("strategy", "*"), OrderIntent(1, IntentAction.NEW, strategy_id=ME, book_id=4), "for book 4",
    ),
    "the kill switch off": (rights("risk", "risk.*"), Limit(LimitKind.KILL, value=0), "wanted an operator"),
    "a looser limit": (
        rights("risk", "risk.*", limits={(LimitKind.QTY_MAX_LOTS, 0, 0): 10}),
        Limit(LimitKind.QTY_MAX_LOTS, value=11), "of 11, wanted none looser than 10",
    ),
    "a listing at another venue": (rights("venue", "*"), listing(8), "venue_id 8, wanted its own"),
    "another's reconciliation": (rights("venue", "*"), Reconciled(venue_id=8, epoch=1), "venue_id 8"),
    "another's connection": (rights("venue", "*"), ConnectionState(8), "plugin_id 8"),
    "another's work": (rights("model"), TaskResult(plugin_id=8, task_id=1, ok=True), "plugin_id 8"),
    "an intent in another trader's name": (
        rights("strategy", "*"), replace(INTENT, trader_id=4), "trader_id 4, wanted its own, 5",
    ),
    "an intent on another account": (rights("strategy", "*"), replace(INTENT, account_id=4), "account_id 4, wanted"),
    "another's account in a frame": (
        rights("strategy", "*"), Frame.of([INTENT] * 9 + [replace(INTENT, account_id=4)]), "account_id 4, wanted",
    ),
    "a cancel for another in a frame": (
        rights("strategy", "*"),
        Frame.of([INTENT, OrderIntent(1, IntentAction.CANCEL, order_id=5, strategy_id=8)]), "strategy_id 8",
    ),
    "a verdict in another's name in a frame": (
        rights("risk"), Frame.of([CheckVerdict(1, 1, check_id=ME), CheckVerdict(1, 1, check_id=8)]), "check_id 8",
    ),
    "an alert of the kernel's": (rights("model", "*"), alert("plugin.quarantined"), "a code of its own"),
    "a new alert of the kernel's words": (rights("model", "*"), alert("watchdog.gone"), "are the kernel's"),
    "an end of the kernel's alert": (rights("model", "*"), alert("journal.failed", cleared=True), "a code of its own"),
    "the kernel's among a plugin's words": (rights("venue", "*"), alert("venue.not_reconciled"), "a code of its own"),
    "an alert of a venue's": (rights("model", "*"), alert("venue.disconnected"), "of venue only"),
    "an end of another's alert": (rights("model", "*"), alert("a.anothers", cleared=True), "whoever raised it"),
    "an end of what the kernel opened": (rights("model", "*"), alert("orders.kernels", cleared=True), "whoever"),
    "one bad intent in a frame": (
        rights("strategy", "*"),
        Frame.of([INTENT, OrderIntent(1, IntentAction.NEW, strategy_id=ME, book_id=9)]), "for book 9",
    ),
}  # fmt: skip

ALLOWED: dict[str, tuple[Rights, Any]] = {
    "its topic": (rights("model", "market.*"), Quote(1)),
    "an alert": (rights("model", "control.alert"), Alert(code="a.b", severity=Severity.INFO, subject="s", met="m")),
    "a venue's alert": (rights("venue", "*"), alert("venue.disconnected")),
    "the end of its alert": (rights("model", "*"), alert("a.mine", cleared=True)),
    "the end of an alert that is not open": (rights("model", "*"), alert("a.other", cleared=True)),
    "its intents": (rights("strategy", "*"), Frame.of([INTENT, replace(INTENT, trader_id=TRADER, account_id=ACCOUNT)])),
    "a cancel without a book in a frame": (
        rights("strategy", "*"),
        Frame.of([INTENT, OrderIntent(1, IntentAction.CANCEL, order_id=5, strategy_id=ME)]),
    ),
    "its intent": (rights("strategy", "order.intent"), INTENT),
    "a cancel without a book": (
        rights("strategy", "order.intent"), OrderIntent(1, IntentAction.CANCEL, order_id=5, strategy_id=ME),
    ),
    "its verdict, on no topic": (rights("compliance"), CheckVerdict(1, 1, check_id=ME)),
    "its work's result": (rights("model"), TaskResult(plugin_id=ME, task_id=1, ok=True)),
    "the kill switch on": (rights("risk", "risk.*"), Limit(LimitKind.KILL, value=1)),
    "a tighter limit": (
        rights("risk", "risk.*", limits={(LimitKind.QTY_MAX_LOTS, 0, 0): 10}), Limit(LimitKind.QTY_MAX_LOTS, value=9),
    ),
    "the first limit of its kind": (rights("risk", "risk.*"), Limit(LimitKind.QTY_MAX_LOTS, value=9)),
    "its listing": (rights("venue", "refdata.*"), listing(ME)),
    "a report": (rights("venue", "order.report"), ExecutionReport(1, 1, 1)),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_may_not_be_said_is_refused_with_what_was_met_and_wanted(case: str) -> None:
    of, event, why = REFUSED[case]
    found = of.refusal(event)
    assert why in found
    assert found.startswith("met ")
    assert ", wanted " in found


@pytest.mark.parametrize("case", ALLOWED)
def test_what_may_be_said_passes(case: str) -> None:
    of, event = ALLOWED[case]
    assert of.refusal(event) == ""


def test_every_code_is_either_the_kernels_or_raised_by_a_plugin_of_ours() -> None:
    folder = Path(str(importlib.util.find_spec("penstock_plugins").submodule_search_locations[0]))  # type: ignore[union-attr, index]
    source = "".join(path.read_text() for path in folder.rglob("*.py"))
    raised = {known.code for known in CODES if f'"{known.code}"' in source}
    assert {"portfolio.full", "venue.disconnected"} <= raised
    assert [code for code in sorted(raised) if is_kernels(code)] == []
    assert {known.code for known in CODES if not is_kernels(known.code)} == raised
