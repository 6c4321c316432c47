"""Writes plain data as TOML text that tomllib reads back equal, in the data's own order."""

from datetime import date, datetime, time
from typing import Any

from penstock_sdk.typed import format_key, quoted

__all__ = ["toml_text"]


def toml_text(tree: dict[str, Any]) -> str:
    """Return *tree* as TOML: plain keys first, then one `[table]` per dictionary; arrays and what is in them inline.

    Raises:
        TypeError: a value that TOML has no form for, None included.
    """
    lines: list[str] = []
    _table(tree, (), lines)
    return "\n".join(lines).lstrip("\n") + "\n" if lines else ""


def _table(tree: dict[str, Any], path: tuple[str, ...], lines: list[str]) -> None:
    plain = {key: value for key, value in tree.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in tree.items() if isinstance(value, dict)}
    if path and (plain or not tables):
        lines += ["", f"[{'.'.join(map(format_key, path))}]"]
    lines += [f"{format_key(key)} = {_value(value)}" for key, value in plain.items()]
    for key, value in tables.items():
        _table(value, (*path, key), lines)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{format_key(key)} = {_value(item)}' for key, item in value.items())} }}"
    raise TypeError(f"TOML has no form for {type(value).__name__}, met {value!r}; write a string or leave the key out")
