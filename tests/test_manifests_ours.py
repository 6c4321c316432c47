"""Our own manifests are true: they hear what their classes do, and in a run say nothing but what they name."""

from __future__ import annotations

import collections
import importlib
from pathlib import Path
from typing import Any

import pytest
from day_runs import ROOT, SMALL, deployment, only_run, penstock

from penstock_kernel.deployment import load_deployment
from penstock_sdk.discovery import load_class, read_path
from penstock_sdk.events import IdKind, Interned
from penstock_sdk.manifest import KINDS, TRADER_KINDS, PluginManifest, config_schema_text
from penstock_sdk.manifest_class import class_findings, heard_topics, matches
from penstock_sdk.plugin import NoConfig
from penstock_sdk.schema import schema_by_id
from penstock_sdk.wire.frame import Origin
from penstock_sdk.wire.segment import read_frames

CONTRACTS = dict.fromkeys(KINDS, (1,))
OURS = read_path(ROOT / "plugins/penstock_plugins", CONTRACTS)
EXAMPLES = read_path(ROOT / "sdk/examples", CONTRACTS)


def class_of(manifest: PluginManifest) -> Any:
    """Return the class; an example's by the name under which all tests import it: its own record has one class."""
    if manifest not in EXAMPLES:
        return load_class(manifest)
    module, _, name = manifest.class_path.partition(":")
    return getattr(importlib.import_module(f"sdk.examples.{module}"), name)


@pytest.mark.parametrize("manifest", [*OURS, *EXAMPLES], ids=lambda manifest: manifest.id)
def test_a_manifest_says_what_its_class_does(manifest: PluginManifest) -> None:
    assert class_findings(manifest, class_of(manifest)) == [], "try: penstock plugin check FOLDER --load"


@pytest.mark.parametrize("manifest", OURS, ids=lambda manifest: manifest.id)
def test_a_config_has_its_schema_packaged(manifest: PluginManifest) -> None:
    config_type = load_class(manifest).Config  # type: ignore[attr-defined]
    assert config_type is not NoConfig
    assert manifest.config_schema is not None
    packaged = (Path(manifest.source.folder) / manifest.config_schema).read_text("utf-8")
    assert packaged == config_schema_text(config_type), "run: penstock plugin schema plugins/penstock_plugins"


@pytest.mark.parametrize("manifest", [*OURS, *EXAMPLES], ids=lambda manifest: manifest.id)
def test_a_venue_says_what_it_offers_and_who_trades_may(manifest: PluginManifest) -> None:
    assert (manifest.venue is not None) == (manifest.kind == "venue")
    assert ("orders.write" in manifest.capabilities) == (manifest.kind in TRADER_KINDS)
    assert manifest.venue is None or not manifest.venue.real_money


def test_a_class_that_hears_more_than_its_manifest_would_be_found() -> None:
    (exchange,) = [manifest for manifest in OURS if manifest.id == "exchange"]
    (maker,) = [manifest for manifest in OURS if manifest.id == "market_maker"]
    heard = heard_topics(load_class(exchange), "venue")
    assert "order.reconcile" in heard and not matches("order.reconcile", maker.topics_in)
    told = [(finding.path[-1], finding.message) for finding in class_findings(maker, load_class(exchange))]
    assert ("kind", '"strategy", but ' + maker.class_path + ' has "venue"') in told
    assert any(key == "topics_in" and "hears order.reconcile, which no pattern has" in text for key, text in told)


def test_what_is_said_in_a_run_is_what_manifests_name(tmp_path: Path) -> None:
    ended = penstock("run", deployment(tmp_path, SMALL), "--for", "18_000", "--quiet", "--no-report", cwd=tmp_path)
    assert ended.status == 0, ended.err
    manifests = {spec.name: spec.manifest for spec in load_deployment(tmp_path / "changed.toml").plugins}
    names: dict[int, str] = {}
    said = collections.defaultdict(set)
    for frame in read_frames(only_run(tmp_path / "runs").dir / "journal"):
        layout = schema_by_id(frame.schema_id)
        if layout.cls is Interned:
            record = layout.unpack(bytes(frame.body))
            if record.kind == IdKind.PLUGIN:
                names[record.id] = record.name
        elif frame.producer and frame.origin & 0x7F in (Origin.EXTERNAL, Origin.DERIVED, Origin.REPLY):
            said[names[frame.producer]].add(layout.topic)
    assert {"exchange", "prices", "mm_de", "portfolio", "refdata"} <= set(said)
    unnamed = [
        (name, topic)
        for name, topics in said.items()
        if name in manifests
        for topic in sorted(topics)
        if not matches(topic, manifests[name].topics_out)
    ]
    assert unnamed == []
    # What it says only of a resync, a restart, a lack of prices.
    seldom = {"market.book_level", "order.reconciled", "control.alert"}
    assert set(manifests["exchange"].topics_out) - said["exchange"] <= seldom
