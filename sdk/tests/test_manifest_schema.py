"""Proves that the packaged JSON Schema is that of the manifest's types, and takes what they take."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock_sdk.manifest import KINDS, ORDER_KINDS, PluginEntry
from penstock_sdk.manifest_schema import TABLES, key_table, manifest_schema, packaged_schema, schema_text, with_tables

PAGE = Path(__file__).parents[2] / "docs/manifest.md"
WAY = "run: python -m penstock_sdk.manifest_schema docs/manifest.md"


def test_the_packaged_schema_is_todays():
    assert packaged_schema() == schema_text(), WAY


def test_the_page_tells_of_every_key_as_the_types_have_it():
    text = PAGE.read_text("utf-8")
    assert with_tables(text) == text, WAY
    assert set(re.findall(r"<!-- keys of (\S+) -->", text)) == set(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_every_key_has_words_of_what_it_is_for(table: str):
    for row in key_table(table).splitlines()[2:]:
        assert all(cell.strip() for cell in row.strip("|").split("|")), row


def test_a_table_is_filled_between_its_marks_alone():
    page = "before\n<!-- keys of [plugin.restart] -->\nearlier words\n<!-- end -->\nafter\n"
    text = with_tables(page)
    assert text.startswith("before\n<!-- keys of [plugin.restart] -->\n| Key |") and text.endswith(
        "<!-- end -->\nafter\n"
    )
    assert "earlier words" not in text
    assert with_tables(text) == text


def plugin_keys() -> dict[str, Any]:
    keys: dict[str, Any] = manifest_schema()["$defs"]["Plugin"]["properties"]
    return keys


def test_the_schema_has_every_key_and_every_choice():
    keys = plugin_keys()
    assert set(keys) == {field.encode_name for field in msgspec.structs.fields(PluginEntry)}
    assert set(keys["kind"]["enum"]) == set(KINDS)
    assert set(manifest_schema()["$defs"]["VenueOffer"]["properties"]["order_kinds"]["items"]["enum"]) == set(
        ORDER_KINDS
    )
    assert manifest_schema()["$defs"]["Plugin"]["required"] == ["id", "version", "kind", "contract"]


def test_every_reference_in_the_schema_leads_somewhere():
    schema = manifest_schema()
    names = set(re.findall(r'"\$ref": "#/\$defs/(\w+)"', json.dumps(schema)))
    assert names == set(schema["$defs"])
