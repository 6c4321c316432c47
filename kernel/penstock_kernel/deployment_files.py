"""Reads plugins.toml with its includes into one tree that remembers file and line of every key.

Rules of including: `include = ["common.toml"]` is relative to the file it stands in; what is included comes first and
the including file wins, of several included files the later. Tables merge key by key, everything else (arrays too) is
replaced whole; a table against a plain value is a problem. A file met twice is read once, where it is met first.

`${NAME}` in any string stands for an environment variable, `${NAME:-text}` for the variable or, where that is unset or
empty, for *text*; `$${` is a plain `${`. The tree keeps references as written, `resolve_references` copies it without.
"""

import hashlib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from msgspec import Meta, Struct

from penstock_kernel.problems import Problem
from penstock_kernel.toml_lines import line_of, toml_lines
from penstock_sdk.typed import KeyPath, check_typed, format_path

__all__ = ["MergedFiles", "Place", "References", "Source", "read_files", "resolve_references"]

FILES_MAX = 64
FILE_BYTES_MAX = 1 << 20

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<bad>\$\{[^}]*\}?)")
_SYNTAX_HINTS = {
    "Invalid value": "put text in quotes",
    "Cannot overwrite a value": "write each key once",
    "Cannot declare": "write each table once",
    "Expected newline or end of document": "write one key per line, text in quotes",
}
_ERROR_LINE = re.compile(r" ?\((?:at line (\d+), column (\d+)|at end of document)\)$")


class Source(Struct, frozen=True):
    """One file of a deployment as it was read: its text, and the SHA-256 of its bytes in hex."""

    file: str
    text: str
    sha256: str


class Place(NamedTuple):
    """Where a key stands; *line* is 1-based."""

    file: str
    line: int


class MergedFiles(Struct, frozen=True):
    """The tree of all files together, the place of every key in it, and the files in the order they were met."""

    tree: dict[str, Any]
    places: dict[KeyPath, Place]
    sources: tuple[Source, ...]
    file: str

    def place(self, path: KeyPath) -> Place:
        """Return the place of *path* or of the nearest table around it; the top of the main file when there is none."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(self.file, 1))


class References(Struct, frozen=True):
    """A tree with its references resolved, what went wrong by key, and the secrets that must not be shown."""

    tree: Any
    faults: tuple[tuple[KeyPath, str, str], ...]  # path, message, way out
    secrets: dict[str, str]  # secret text -> the reference that stands for it

    def redact(self, text: str) -> str:
        """Return *text* with every secret, plain or escaped as in a repr, replaced by its reference."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            for form in {secret, repr(secret)[1:-1]}:
                text = text.replace(form, self.secrets[secret])
        return text


class _Include(Struct, frozen=True):
    include: tuple[Annotated[str, Meta(min_length=1)], ...] = ()


def read_files(path: str | Path, env: Mapping[str, str]) -> tuple[MergedFiles, list[Problem]]:
    """Return the files of a deployment merged, and the problems met; what can be read is merged all the same."""
    reader = _Reader(str(path), env)
    reader.read(str(path), (), None)
    return MergedFiles(reader.tree, reader.places, tuple(reader.sources), str(path)), reader.problems


def resolve_references(tree: Any, env: Mapping[str, str], path: KeyPath = ()) -> References:
    """Return a copy of *tree* in which every reference is replaced; a faulty reference stays as it is written."""
    faults: list[tuple[KeyPath, str, str]] = []
    secrets: dict[str, str] = {}

    def replace(match: re.Match[str], where: KeyPath) -> str:
        name, default = match["name"], match["default"]
        if match["bad"] is not None:
            hint = "write ${NAME}, ${NAME:-default}, or $${ for a plain ${"
            faults.append((where, f"malformed reference {match['bad']}", hint))
        elif name is None:
            return "${"
        elif env.get(name) or (name in env and default is None):
            if env[name]:
                secrets[env[name]] = f"${{{name}}}"
            return env[name]
        elif default is not None:
            return default
        else:
            hint = f"set {name} in the environment or write ${{{name}:-default}}"
            faults.append((where, f"environment variable {name} is not set", hint))
        return match[0]

    def copy(value: Any, where: KeyPath) -> Any:
        if isinstance(value, dict):
            return {key: copy(item, (*where, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [copy(item, (*where, at)) for at, item in enumerate(value)]
        if isinstance(value, str):
            return _REFERENCE.sub(lambda match: replace(match, where), value)
        return value

    return References(copy(tree, path), tuple(faults), secrets)


class _Reader:
    def __init__(self, main_file: str, env: Mapping[str, str]) -> None:
        self.main_folder = os.path.dirname(main_file)
        self.env = env
        self.tree: dict[str, Any] = {}
        self.places: dict[KeyPath, Place] = {}
        self.sources: list[Source] = []
        self.problems: list[Problem] = []
        self._files_read: set[str] = set()

    def read(self, file: str, above: tuple[str, ...], at: Place | None) -> None:
        """Read *file* and all it includes; *above* are the files that led to it, *at* the line that named it."""
        real = os.path.realpath(file)
        if real in map(os.path.realpath, above):
            chain = " includes ".join((*above[list(map(os.path.realpath, above)).index(real) :], file))
            self._refuse(at, file, f"include cycle: {chain}", "remove one of these includes")
            return
        if real in self._files_read:
            return
        if len(self._files_read) >= FILES_MAX:
            self._refuse(at, file, f"more than {FILES_MAX} files", "include fewer files")
            return
        self._files_read.add(real)
        parsed = self._parse(file, at)
        if parsed is None:
            return
        tree, lines = parsed
        for named, line in self._includes(file, tree, lines):
            self.read(named, (*above, file), Place(file, line))
        tree.pop("include", None)
        self._rebase_paths(file, tree)
        places = {path: Place(file, line) for path, line in lines.items() if path[:1] != ("include",)}
        self._merge(self.tree, tree, (), places)

    def _refuse(self, at: Place | None, file: str, message: str, way_out: str) -> None:
        """Add the problem of a file that cannot be read, at the include that names it or at the file itself."""
        if at is None:
            self.problems.append(Problem(file, 0, "", message, way_out))
        else:
            self.problems.append(Problem(at.file, at.line, "include", f"{file}: {message}", way_out))

    def _parse(self, file: str, at: Place | None) -> tuple[dict[str, Any], dict[KeyPath, int]] | None:
        try:
            with open(file, "rb") as stream:
                data = stream.read(FILE_BYTES_MAX + 1)
        except OSError as error:
            self._refuse(at, file, (error.strerror or str(error)).lower(), "name a readable file")
            return None
        if len(data) > FILE_BYTES_MAX:
            self._refuse(at, file, f"more than {FILE_BYTES_MAX} bytes", "split it; a deployment is small")
            return None
        try:
            text = data.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            self.problems.append(
                Problem(file, line, "", f"byte 0x{data[error.start]:02x} is not UTF-8", "save it as UTF-8")
            )
            return None
        self.sources.append(Source(file, text, hashlib.sha256(data).hexdigest()))
        try:
            return tomllib.loads(text), toml_lines(text)
        except tomllib.TOMLDecodeError as error:
            self.problems.append(_syntax_problem(file, text, str(error)))
        except RecursionError:
            self.problems.append(Problem(file, 1, "", "arrays or tables nested too deep", "flatten them"))
        return None

    def _includes(self, file: str, tree: dict[str, Any], lines: dict[KeyPath, int]) -> list[tuple[str, int]]:
        """Return the files that *file* includes, relative names made whole, each with the line that names it."""
        if "include" not in tree:
            return []
        resolved = resolve_references(tree["include"], self.env, ("include",))
        findings = check_typed({"include": resolved.tree}, _Include, shown={"include": tree["include"]})
        faults = [*resolved.faults, *((f.path, f.message, f.way_out) for f in findings)]
        for path, message, way_out in faults:
            self.problems.append(Problem(file, line_of(lines, path), format_path(path), message, way_out))
        if faults:
            return []
        folder = os.path.dirname(file)
        return [(os.path.join(folder, name), line_of(lines, ("include", at))) for at, name in enumerate(resolved.tree)]

    def _rebase_paths(self, file: str, tree: dict[str, Any]) -> None:
        """Make plugin paths of an included file relative to the main file's folder, as all others are."""
        shift = os.path.relpath(os.path.dirname(file) or ".", self.main_folder or ".")
        plugins = tree.get("plugins")
        for table in plugins.values() if isinstance(plugins, dict) else ():
            path = table.get("path") if isinstance(table, dict) else None
            if shift != "." and isinstance(path, str) and not os.path.isabs(path) and not path.startswith("${"):
                table["path"] = os.path.join(shift, path)

    def _merge(self, into: dict[str, Any], tree: dict[str, Any], path: KeyPath, places: dict[KeyPath, Place]) -> None:
        for key, value in tree.items():
            here = (*path, key)
            old = into.get(key)
            if key in into and isinstance(old, dict) != isinstance(value, dict):
                kinds = [("a table" if isinstance(item, dict) else "a plain value") for item in (value, old)]
                was = self.places[here]
                text = f"is {kinds[0]} here and {kinds[1]} at {was.file}:{was.line}"
                self.problems.append(Problem(*places[here], format_path(here), text, "rename one of them"))
            elif key in into and isinstance(old, dict):
                self.places[here] = places[here]
                self._merge(old, value, here, places)
            else:
                for gone in _paths_in(old, here):
                    self.places.pop(gone, None)
                into[key] = value
                self.places |= {kept: places[kept] for kept in _paths_in(value, here)}


def _paths_in(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    """Yield *path* and the path of everything in *value*."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _paths_in(item, (*path, key))


def _syntax_problem(file: str, text: str, message: str) -> Problem:
    """Return tomllib's error with its line taken out of the sentence and put where lines belong."""
    match = _ERROR_LINE.search(message)
    last_line = text.rstrip("\n").count("\n") + 1
    line = int(match[1]) if match is not None and match[1] else last_line
    said = message[: match.start()] if match is not None else message
    column = f" at column {match[2]}" if match is not None and match[2] else " at the end of the file"
    way_out = next((hint for start, hint in _SYNTAX_HINTS.items() if said.startswith(start)), "")
    return Problem(file, line, "", f"not TOML: {said[:1].lower()}{said[1:]}{column}", way_out)
