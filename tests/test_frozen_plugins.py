"""Plugins of earlier releases, frozen as their vendors left them, are served by today's host.

Each folder of tests/fixtures/frozen is a release: a plugin that uses nothing of this repository, and what it answered
on the day of that release (`dialogue.json`: for each turn of the script below its batch as bytes, and the records in
it). Nothing there is ever changed. A release adds a folder, with a plugin where the process contract has grown since
the last one that has one. A host serves the current major of penstock.plugin and the one before, so a plugin is left
out of the run only once its major is two behind, and then stays for those who look.

A first recording of a new folder: `RECORD_FROZEN=VERSION pytest tests/test_frozen_plugins.py`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock_sdk.events import IntentAction, Order, OrderKind, OrderState, Reconcile, Side
from penstock_sdk.manifest import MANIFEST_NAME, ManifestSource, parse_manifest
from penstock_sdk.process.grpc_peer import spawn_peer
from penstock_sdk.schema import ABSENT
from penstock_sdk.wire.messages import PROTOCOL_MAJORS, Batch, RestoreRequest, SnapshotRequest
from tests.interop.rig import PLUGIN_ID, START_NS, Rig, contract, records, zone

FROZEN = Path(__file__).parent / "fixtures" / "frozen"
MAJORS = {"0.4.0": 1}
"""Major of penstock.plugin that each release's plugin speaks."""
SERVED = sorted(version for version, major in MAJORS.items() if major in PROTOCOL_MAJORS)


def order(number: int, price_ticks: int, action: int = IntentAction.NEW) -> Order:
    names = {"strategy_id": 9, "venue_id": PLUGIN_ID}
    return Order(number, 1, action, Side.SELL, OrderKind.LIMIT, OrderState.ROUTED, price_ticks, 4, **names)


SCRIPT: tuple[tuple[Any, ...], ...] = (
    (zone(), contract(1)),
    (contract(2), contract(1)),
    (order(71, -1_250), order(72, ABSENT)),
    (order(71, 0, IntentAction.CANCEL),),
    (Reconcile(venue_id=PLUGIN_ID, epoch=3, orders=[]),),
    (),
)
"""What a venue of each release is told, a turn each; later releases say more by turns at the end."""


def plain(said: list[Any]) -> list[Any]:
    """Return records as JSON has them; fields that were appended later are at their defaults, and left out."""
    found = []
    for each in said:
        values = msgspec.structs.asdict(each)
        found.append([type(each).__name__, dict(msgspec.to_builtins(values))])
    return found


def command(version: str) -> list[str]:
    folder = FROZEN / version
    source = ManifestSource(file=str(folder / MANIFEST_NAME), folder=str(folder))
    (manifest,) = parse_manifest((folder / MANIFEST_NAME).read_text(encoding="utf-8"), source)
    assert isinstance(manifest.command, tuple)
    python, *words = manifest.command
    assert python == "python3"
    return [sys.executable, *(str(folder / word) for word in words)]


def known(said: list[Any], recorded: list[Any]) -> list[Any]:
    """Return what was said with the fields that the recording knows."""
    pairs = zip(said, recorded, strict=True)
    return [[name, {key: values[key] for key in kept}] for (name, values), (_, kept) in pairs]


def test_every_folder_is_a_release_and_says_which_major_it_speaks() -> None:
    assert sorted(path.parent.name for path in FROZEN.glob(f"*/{MANIFEST_NAME}")) == sorted(MAJORS)
    assert all((folder / "contract.json").is_file() for folder in FROZEN.iterdir())
    assert SERVED


@pytest.mark.parametrize("version", SERVED)
def test_todays_host_serves_the_plugin_of_an_earlier_release(version: str) -> None:
    kept = FROZEN / version / "dialogue.json"
    turns = []
    with spawn_peer(command(version), start_s=30) as peer:
        rig = Rig(peer)
        assert rig.begin() == [] and rig.described.version == version
        for events in SCRIPT:
            said = rig.step(*events)
            bare = Batch.FromString(rig.batches[-1].SerializeToString())
            turns.append({"batch": bare.SerializeToString().hex(), "records": plain(said)})
        assert rig.faults == []
        state = peer.call("Snapshot", SnapshotRequest())
    if os.environ.get("RECORD_FROZEN") == version:
        assert not kept.exists(), "what a release answered is recorded once"
        kept.write_text(json.dumps(turns, indent=1) + "\n", encoding="utf-8")
    recorded = json.loads(kept.read_text(encoding="utf-8"))
    for met, wanted in zip(turns, recorded, strict=False):
        assert known(met["records"], wanted["records"]) == wanted["records"]
    with spawn_peer(command(version), start_s=30) as peer:
        again = Rig(peer)
        again.seq, again.names = state.last_seq, dict(rig.names)
        restore = RestoreRequest(state=state.state, last_seq=state.last_seq)
        assert again.begin(resumed=True, restore=restore) == []
        assert again.step(contract(1)) == []  # it is listed since before the restart
        assert [each.trade_id for each in again.step(order(73, 5))] == [3]


@pytest.mark.parametrize("version", SERVED)
def test_what_an_earlier_release_sent_is_read_as_it_was_meant(version: str) -> None:
    recorded = json.loads((FROZEN / version / "dialogue.json").read_text(encoding="utf-8"))
    assert len(recorded) == len(SCRIPT) and any(turn["records"] for turn in recorded)
    for number, turn in enumerate(recorded, 1):
        batch = Batch.FromString(bytes.fromhex(turn["batch"]))
        assert batch.answers == number and not batch.faults
        assert known(plain(records(batch.frames)), turn["records"]) == turn["records"]
    rows = [row for turn in recorded for row in turn["records"]]
    assert {row["opens_ns"] for name, row in rows if name == "ListingDefinition"} == {START_NS}


def test_the_plugin_uses_nothing_of_ours() -> None:
    for version in MAJORS:
        source = (FROZEN / version / "venue.py").read_text(encoding="utf-8")
        assert "import penstock" not in source and "from penstock" not in source
