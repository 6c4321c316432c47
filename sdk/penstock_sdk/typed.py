"""Checks plain data (from TOML) against msgspec types and finds every fault, not only the first.

msgspec stops at the first error and names a dictionary's value `[...]`; an operator wants all faults at once, each
under its own key. So the tree is walked beside its type, msgspec judges the leaves, and each fault keeps its path.
"""

import difflib
import enum
import re
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

import msgspec
from msgspec import Struct

__all__ = [
    "Finding",
    "KeyPath",
    "check_typed",
    "closest",
    "format_key",
    "format_path",
    "quoted",
    "shown_value",
    "unknown_key",
]

KeyPath: TypeAlias = tuple[str | int, ...]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_MSGSPEC_ERROR = re.compile(r"(?P<what>.*?)(?: - at `(?:key in )?\$(?P<path>.*)`)?", re.DOTALL)
_PATH_STEP = re.compile(r"\.(?P<name>\w+)|\[(?P<index>\d+)\]")
_SHOWN_CHARS_MAX = 60
_REFERENCE = re.compile(r"\$\{[^}]*\}")
_WORDS = {"`str`": "string", "`object`": "table", "`object | null`": "table", "`array`": "array"}
_ARRAYS = (list, tuple, set, frozenset, Sequence, Collection)


class Finding(Struct, frozen=True):
    """One fault in a piece of data: where it is, what was wanted and met, and the way out."""

    path: KeyPath
    message: str
    way_out: str = ""


_Redact: TypeAlias = Callable[[str], str]


def check_typed(
    value: object,
    type_: Any,
    *,
    shown: object = None,
    redact: Callable[[str], str] = str,
) -> list[Finding]:
    """Return every fault of *value* against *type_* (a msgspec Struct or anything `msgspec.convert` takes).

    Args:
        value: what a TOML file or a dictionary holds; never changed.
        type_: the wanted type. Keys that a Struct does not declare are faults whether or not it forbids them.
        shown: the same tree with the text to show, where a reference such as `${NAME}` stands for a secret.
        redact: makes text written by the type's own checks (`__post_init__`) fit to show.

    A string that misses its `Meta(pattern=…)` is answered with the `examples` of that Meta, where it has some.
    Cost: about two conversions of the whole tree; meant for configuration, not for events.
    """
    return _walk(value, value if shown is None else shown, type_, (), redact)


def closest(name: str, known: Collection[str]) -> str | None:
    """Return the one of *known* that *name* was probably meant to be, or None."""
    folded = {key.lower().replace("-", "_"): key for key in sorted(known, reverse=True)}
    match = difflib.get_close_matches(name.lower().replace("-", "_"), list(folded), n=1, cutoff=0.6)
    return folded[match[0]] if match else None


def unknown_key(path: KeyPath, known: Collection[str], used: Collection[str] = ()) -> Finding:
    """Return the finding for a key that nothing reads, with the key it was probably meant to be; not one *used*."""
    match = closest(str(path[-1]), set(known) - set(used))
    if match is not None:
        return Finding(path, "unknown key", f"did you mean {match}?")
    return Finding(path, "unknown key", f"known here: {', '.join(sorted(known))}" if known else "no key is known here")


def format_key(key: str) -> str:
    """Return *key* as TOML writes it: bare where that is allowed, else in quotes."""
    return key if _BARE_KEY.fullmatch(key) else quoted(key)


def quoted(text: str) -> str:
    """Return *text* as a TOML string on one line; what is not printable is escaped."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    if not plain.isprintable():
        plain = "".join(char if char.isprintable() else _escape(ord(char)) for char in plain)
    return f'"{plain}"'


def _escape(code: int) -> str:
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def format_path(path: KeyPath) -> str:
    """Return a dotted path such as `plugins.mm_de.config.levels[2].qty_mw`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + format_key(step)
    return text


def shown_value(value: object) -> str:
    """Return *value* on one line as TOML would write it, cut to some 60 characters, control characters escaped."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = quoted(value)
    elif isinstance(value, dict):
        text = "a table" if value else "an empty table"
    elif isinstance(value, list | tuple):
        text = f"an array of {len(value)}"
    else:
        text = str(value)
    return text if len(text) <= _SHOWN_CHARS_MAX else text[: _SHOWN_CHARS_MAX - 1] + "…"


def _walk(value: Any, shown: Any, type_: Any, path: KeyPath, redact: _Redact) -> list[Finding]:
    inner = _single(type_, value)
    origin = get_origin(inner)
    if isinstance(value, dict) and _is_struct(inner if origin is None else origin):
        findings = _walk_struct(value, shown, inner, path, redact)
    elif isinstance(value, dict) and origin in (dict, Mapping):
        item = get_args(inner)[1]
        findings = [f for key, child in value.items() for f in _walk(child, shown[key], item, (*path, key), redact)]
    elif isinstance(value, list) and origin in _ARRAYS:
        items = _item_types(inner, len(value))
        findings = [
            finding
            for at, (child, item) in enumerate(zip(value, items, strict=True))
            for finding in _walk(child, shown[at], item, (*path, at), redact)
        ]
    else:
        findings = []
    # The whole is judged only when its parts are sound: lengths, patterns and __post_init__ are left.
    return findings or _judge(value, shown, type_, path, redact)


def _is_struct(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, Struct)


def _walk_struct(value: dict[str, Any], shown: Any, type_: Any, path: KeyPath, redact: _Redact) -> list[Finding]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(type_)}
    settings = getattr(type_, "__struct_config__", None)
    if getattr(settings, "array_like", False):
        return []
    known = set(fields)
    if settings is not None and settings.tag is not None:
        known.add(settings.tag_field)
    findings = []
    for key, child in value.items():
        if key in fields:
            findings += _walk(child, shown[key], fields[key].type, (*path, key), redact)
        elif key not in known:
            findings.append(unknown_key((*path, key), known, value))
    missing = [field for name, field in fields.items() if field.required and name not in value]
    findings += [Finding((*path, f.encode_name), "missing", f"write {f.encode_name} = …") for f in missing]
    return findings


def _single(type_: Any, value: object) -> Any:
    """Return *type_* without annotations and without None where one arm is left; unions of several arms stay."""
    while get_origin(type_) is Annotated:
        type_ = get_args(type_)[0]
    if get_origin(type_) in (Union, types.UnionType) and value is not None:
        arms = [arm for arm in get_args(type_) if arm is not type(None)]
        if len(arms) == 1:
            return _single(arms[0], value)
    return type_


def _item_types(type_: Any, count: int) -> list[Any]:
    """Return the wanted type of each of *count* elements of an array type."""
    args = get_args(type_) or (Any,)
    if get_origin(type_) is tuple and not (len(args) == 2 and args[1] is Ellipsis):
        return [args[at] if at < len(args) else Any for at in range(count)]
    return [args[0]] * count


def _judge(value: Any, shown: Any, type_: Any, path: KeyPath, redact: _Redact) -> list[Finding]:
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        return [_explain(str(error), shown, type_, path, redact)]
    except Exception as error:
        # A plugin's own __post_init__, or a type that msgspec cannot take: the author's fault, told to the operator.
        text = f"its own check raised {type(error).__name__}: {redact(str(error))}"
        return [Finding(path, " ".join(text.split()), "mend the plugin's config type")]
    return []


def _explain(text: str, shown: Any, type_: Any, path: KeyPath, redact: _Redact) -> Finding:
    """Return msgspec's error in the operator's words, with the text that stands in the file."""
    match = _MSGSPEC_ERROR.fullmatch(text)
    assert match is not None, text
    what, steps = match["what"], list(_PATH_STEP.finditer(match["path"] or ""))
    exact = "".join(step[0] for step in steps) == (match["path"] or "")
    for step in steps:
        key = step["name"] if step["index"] is None else int(step["index"])
        try:
            shown = shown[key]
        except (KeyError, IndexError, TypeError):
            exact = False
            break
        path = (*path, key)
    met = f", met {shown_value(shown)}" if exact else ""
    inner = _single(type_, shown)
    choices = _choices(inner) if not steps else ()
    if choices and not what.startswith("Object "):
        names = [choice for choice in choices if isinstance(choice, str)]
        match_text = closest(shown, names) if isinstance(shown, str) else None
        wanted = ", ".join(shown_value(choice) for choice in choices)
        return Finding(path, f"expected one of {wanted}{met}", f"did you mean {match_text}?" if match_text else "")
    if what.startswith("Expected "):
        wanted = _plain(what.partition(", got ")[0].removeprefix("Expected "))
        if " matching regex " in wanted and not steps and (examples := _examples(type_)):
            wanted = f"string like {', '.join(map(shown_value, examples))}"
        return Finding(path, f"expected {wanted}{met}", _way_out(wanted, shown))
    if what.startswith(("Invalid enum value", "Invalid value")):
        return Finding(path, f"not one of the allowed values{met}")
    said = " ".join(redact(what).replace("`", "").split())
    name, _, rest = said.partition(" ")
    # A type's own check that begins with a field, as "size_lots met 3, wanted …", is told at that field.
    if not steps and _is_struct(inner) and name in inner.__struct_fields__:
        path, said = (*path, name), rest if rest.startswith("met ") else said
    return Finding(path, said[:1].lower() + said[1:] if said[1:2].islower() else said)


def _plain(wanted: str) -> str:
    """Return msgspec's name of a type in the words of this project: `str` is a string, `object` a table."""
    for name, word in _WORDS.items():
        wanted = wanted.replace(name, word)
    return wanted.replace("`", "").replace(" | null", "").replace("object | ", "table or ")


def _choices(type_: Any) -> tuple[Any, ...]:
    if get_origin(type_) is Literal:
        return get_args(type_)
    if isinstance(type_, type) and issubclass(type_, enum.Enum):
        return tuple(member.value for member in type_)
    return ()


def _examples(type_: Any) -> list[Any]:
    """Return the examples that the type's `Meta` gives; they tell an operator more than its pattern."""
    while get_origin(type_) in (Union, types.UnionType):
        type_ = next(arm for arm in get_args(type_) if arm is not type(None))
    notes = get_args(type_)[1:] if get_origin(type_) is Annotated else ()
    return [example for note in notes if isinstance(note, msgspec.Meta) for example in note.examples or ()]


def _way_out(wanted: str, met: object) -> str:
    kind = wanted.split()[0]
    if isinstance(met, str) and _REFERENCE.search(met) and kind != "string":
        return "a ${…} reference always gives a string; write the value itself"
    if isinstance(met, str) and kind in ("int", "float", "bool") and _reads_as(met, kind):
        return "write it without quotes"
    if kind == "string" and not isinstance(met, str | dict | list):
        return "put it in quotes"
    if kind == "int" and isinstance(met, float) and met.is_integer():
        return f"write {int(met)}"
    if kind == "array" and not isinstance(met, dict | list):
        return "put it in square brackets"
    return ""


def _reads_as(text: str, kind: str) -> bool:
    if kind == "bool":
        return text in ("true", "false")
    try:
        (int if kind == "int" else float)(text)
    except ValueError:
        return False
    return True
