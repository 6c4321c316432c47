"""The manifest's format for editors and pages: a JSON Schema of plugin.toml, and tables of its keys in Markdown.

Editors that read `#:schema FILE` in a TOML file's first line (Taplo, and what is built on it) complete and check the
keys by it. `python -m penstock_sdk.manifest_schema` writes `plugin.schema.json` anew, and the tables of a page where
its path is given.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from penstock_sdk import manifest

__all__ = ["SCHEMA_NAME", "key_table", "manifest_schema", "schema_text", "with_tables"]

SCHEMA_NAME = "plugin.schema.json"
TABLES: dict[str, type[Struct]] = {
    "[[plugin]]": manifest.PluginEntry,
    "[plugin.venue]": manifest.VenueOffer,
    "[plugin.needs]": manifest.Needs,
    "[plugin.resources]": manifest.Resources,
    "[plugin.restart]": manifest.RestartPolicy,
}
"""The tables of a plugin.toml and what declares their keys."""
_MARKS = re.compile(r"(<!-- keys of (?P<table>\[+[a-z.]+\]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def manifest_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a plugin.toml; what cross-checks find beyond it is not in it."""
    schema: dict[str, Any] = msgspec.json.schema(manifest.ManifestFile)
    entry = schema["$defs"].pop("PluginEntry")
    entry["oneOf"] = [{"required": ["class"]}, {"required": ["command"]}]
    entry["additionalProperties"] = False
    entry["properties"]["class"].pop("default")
    entry["properties"]["command"] |= {"minItems": 1, "minProperties": 1}
    entry["properties"]["command"].pop("default")
    entry["title"] = "Plugin"
    schema["$defs"]["Plugin"] = entry
    text = json.dumps(schema).replace("#/$defs/PluginEntry", "#/$defs/Plugin")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Penstock plugin.toml"}
    whole: dict[str, Any] = head | json.loads(text)
    return whole


def schema_text() -> str:
    """Return the schema as it is packaged: stable order, newline at the end."""
    return json.dumps(manifest_schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def packaged_schema() -> str:
    """Return the packaged `plugin.schema.json`."""
    return (files("penstock_sdk") / SCHEMA_NAME).read_text("utf-8")


def key_table(table: str) -> str:
    """Return the keys of one of `TABLES` as a Markdown table: key, what it holds, default, what it is for."""
    rows = ["| Key | Holds | Default | What it is for |", "|---|---|---|---|"]
    for field in msgspec.structs.fields(TABLES[table]):
        default = "required" if field.required else _default(field.default)
        if field.encode_name in ("class", "command"):
            default = "one of the two"
        rows.append(f"| `{field.encode_name}` | {_holds(field.type)} | {default} | {_description(field.type)} |")
    return "\n".join(rows) + "\n"


def with_tables(page: str) -> str:
    """Return a page with each `<!-- keys of [TABLE] -->` … `<!-- end -->` filled anew."""
    return _MARKS.sub(lambda found: found[1] + key_table(found["table"]) + found[3], page)


def _metas(type_: Any) -> list[Meta]:
    return [note for note in get_args(type_)[1:] if isinstance(note, Meta)] if get_origin(type_) is Annotated else []


def _description(type_: Any) -> str:
    for arm in (type_, *get_args(type_)):
        for meta in _metas(arm):
            if meta.description:
                return meta.description
    return ""


def _holds(type_: Any) -> str:
    """Return what values a key takes, in words."""
    examples = [example for meta in _metas(type_) for example in meta.examples or ()]
    bare = get_args(type_)[0] if get_origin(type_) is Annotated else type_
    if get_origin(bare) is Annotated:
        return _holds(bare)
    if get_origin(bare) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(bare))
    if get_origin(bare) is tuple:
        return f"array of {_holds(get_args(bare)[0])}"
    if get_origin(bare) is dict:
        return f"table of {_holds(get_args(bare)[1])}"
    if get_origin(bare) is Union or isinstance(bare, type(int | str)):
        return " or ".join(_holds(arm) for arm in get_args(bare) if arm is not type(None))
    if isinstance(bare, type) and issubclass(bare, Struct):
        return "table"
    words = {str: "text", int: "whole number", float: "number", bool: "true or false"}[bare]
    return f"{words} as {', '.join(f'`{example}`' for example in examples)}" if examples else words


def _default(value: Any) -> str:
    if isinstance(value, Struct):
        return "see below"
    if value is None or value in ((), ""):
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the packaged schema, and the tables of the pages given."""
    Path(str(files("penstock_sdk") / SCHEMA_NAME)).write_text(schema_text(), "utf-8")
    for name in sys.argv[1:] if arguments is None else arguments:
        page = Path(name)
        page.write_text(with_tables(page.read_text("utf-8")), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
