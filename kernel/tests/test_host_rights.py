"""What a plugin out of process may say: its manifest's topics, of its kind, in its own name, and no limit loosened."""

from __future__ import annotations

from typing import Any

import pytest

from penstock_kernel.hosts.rights import Rights
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

ME, BOOK = 7, 3


def rights(
    kind: str, *topics_out: str, writes: bool = True, limits: dict[tuple[int, int, int], int] | None = None
) -> Rights:
    manifest = PluginManifest(
        id="toy", version="1", kind=kind, contract=f"{kind}/1..1", class_path="a:B", topics_out=topics_out,
        capabilities=("orders.write",) if writes else (), source=ManifestSource("plugin.toml", "."),
    )  # fmt: skip
    return Rights(manifest, ME, BOOK, (limits or {}).get)


def listing(venue_id: int) -> ListingDefinition:
    return ListingDefinition(
        listing_id=1, contract_id=1, venue_id=venue_id, name="x", tick_micro=1, lot_kw=1, price_min_ticks=0,
        price_max_ticks=1, opens_ns=0, gate_closure_ns=0, cash_micro_per_lot_tick=1, interval_start_ns=0,
        interval_ns=1, interval_count=1,
    )  # fmt: skip


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
    "one bad intent in a frame": (
        rights("strategy", "*"),
        Frame.of([INTENT, OrderIntent(1, IntentAction.NEW, strategy_id=ME, book_id=9)]), "for book 9",
    ),
}  # fmt: skip

ALLOWED: dict[str, tuple[Rights, Any]] = {
    "its topic": (rights("model", "market.*"), Quote(1)),
    "an alert": (rights("model", "control.alert"), Alert(code="a.b", severity=Severity.INFO, subject="s", met="m")),
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
