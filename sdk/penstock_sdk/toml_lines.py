"""Says on which line each key of a TOML text stands, which tomllib does not tell.

The text must have been accepted by tomllib: this scanner only finds tokens, it checks nothing.
"""

import re
import tomllib
from bisect import bisect_right

from penstock_sdk.typed import KeyPath

__all__ = ["line_of", "toml_lines"]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SHORT_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')
# Up to two quotes may stand directly before the three that close a long string.
_LONG_STRING = re.compile(r'"""(?:[^\\]|\\.)*?"""(?:""?(?!"))?|\'\'\'.*?\'\'\'(?:\'\'?(?!\'))?', re.DOTALL)
_SCALAR = re.compile(r"[^,\]}#\n]*")


def toml_lines(text: str) -> dict[KeyPath, int]:
    """Return the 1-based line of every table, key and array element of *text*, by its path from the top.

    Arrays of tables count from 0: `("plugin", 1, "id")`. A table that is only implied (`a` of `[a.b]`) has the line
    that implies it first; a table with a header of its own has the header's. Cost: one pass, some 1 µs per token.
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


def line_of(lines: dict[KeyPath, int], path: KeyPath) -> int:
    """Return the line of *path*, or of the nearest table around it that stands in the text; 1 when there is none."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._table_counts: dict[KeyPath, int] = {}  # tables so far in each array of tables

    def document(self) -> None:
        table: KeyPath = ()
        self._skip_blank()
        while self.at < len(self.text):
            table = self._header() if self.text[self.at] == "[" else self._key_value(table)
            self._skip_blank()

    def _header(self) -> KeyPath:
        line, double = self._line(), self.text.startswith("[[", self.at)
        self.at += 2 if double else 1
        keys = self._keys()
        self._skip_blank()
        self.at += 2 if double else 1
        path: KeyPath = ()
        for key in keys[:-1]:
            path = self._last_table((*path, key))
            self.lines.setdefault(path, line)
        path = (*path, keys[-1])
        if double:
            self.lines.setdefault(path, line)
            self._table_counts[path] = self._table_counts.get(path, 0) + 1
            path = self._last_table(path)
        self.lines[path] = line
        return path

    def _last_table(self, path: KeyPath) -> KeyPath:
        """Return the path of the table that a header's key means: of an array of tables, the last."""
        count = self._table_counts.get(path)
        if count is None:
            return path
        return (*path, count - 1)

    def _key_value(self, table: KeyPath) -> KeyPath:
        """Scan `a.b = value` below *table* and return *table*."""
        line, path = self._line(), table
        for key in self._keys():
            path = (*path, key)
            self.lines.setdefault(path, line)
        self._skip_blank()
        self.at += 1  # the equals sign
        self._skip_blank()
        self._value(path)
        return table

    def _keys(self) -> list[str]:
        keys = [self._key()]
        while self.text.startswith(".", self.at):
            self.at += 1
            keys.append(self._key())
        return keys

    def _key(self) -> str:
        self._skip_blank()
        token = self._take(_SHORT_STRING) or self._take(_BARE_KEY)
        assert token, f"no key at line {self._line()}"
        self._skip_blank()
        if token[0] not in "\"'":
            return token
        key: str = tomllib.loads(f"key = {token}")["key"]
        return key

    def _value(self, path: KeyPath) -> None:
        char = self.text[self.at]
        if char == "[":
            self._array(path)
        elif char == "{":
            self._inline_table(path)
        elif char in "\"'":
            assert self._take(_LONG_STRING) or self._take(_SHORT_STRING), f"no string at line {self._line()}"
        else:
            self._take(_SCALAR)

    def _array(self, path: KeyPath) -> None:
        self._open()
        count = 0
        while self.text[self.at] != "]":
            self.lines[(*path, count)] = self._line()
            self._value((*path, count))
            self._next()
            count += 1
        self.at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._open()
        while self.text[self.at] != "}":
            self._key_value(path)
            self._next()
        self.at += 1

    def _open(self) -> None:
        self.at += 1
        self._skip_blank()

    def _next(self) -> None:
        self._skip_blank()
        if self.text[self.at] == ",":
            self._open()

    def _skip_blank(self) -> None:
        self._take(_BLANK)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match[0]

    def _line(self) -> int:
        return bisect_right(self._line_starts, self.at)
