"""Every alert that the code raises is declared, says what was wanted and the way out, and stands in docs/alerts.md."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from penstock_sdk.alerts import CODE_PATTERN, CODES, is_lasting, known_code, table
from penstock_sdk.events import Severity

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = [
    "sdk/penstock_sdk",
    "kernel/penstock_kernel",
    "kernel/penstock",
    "plugins/penstock_plugins",
    "hw/penstock_hw",
]
PAGE = ROOT / "docs" / "alerts.md"
CTX_ALERT = ("code", "severity", "met", "wanted", "way_out", "subject")


class Raised(NamedTuple):
    where: str
    fields: dict[str, ast.expr]

    def text(self, name: str) -> str | None:
        """Return a field that is plain text; None when it is missing or worked out."""
        value = self.fields.get(name)
        return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None

    @property
    def clears(self) -> bool:
        return "cleared" in self.fields

    @property
    def severity(self) -> Severity | None:
        value = self.fields.get("severity")
        return Severity[value.attr] if isinstance(value, ast.Attribute) and value.attr in Severity.__members__ else None


def raised_in(source: str, where: str) -> Iterator[Raised]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id == "Alert":
            names: tuple[str, ...] = ()
        elif isinstance(called, ast.Attribute) and called.attr == "alert":
            names = CTX_ALERT
        else:
            continue
        fields = dict(zip(names, node.args, strict=False)) | {kw.arg: kw.value for kw in node.keywords if kw.arg}
        if "code" in fields and not hands_on(fields["code"]):
            yield Raised(f"{where}:{node.lineno}", fields)


def hands_on(code: ast.expr) -> bool:
    """Return whether a call makes an alert again from the code of another, as in ``Alert(code=told.code, …)``."""
    name = code.attr if isinstance(code, ast.Attribute) else code.id if isinstance(code, ast.Name) else ""
    return name == "code"


def all_raised() -> list[Raised]:
    return [
        raised
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if "scaffold" not in path.parts  # codes of whoever takes a template up
        for raised in raised_in(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
    ]


def test_every_code_is_declared_as_plain_text():
    raised = all_raised()
    assert len(raised) > 15
    assert [(one.where, one.text("code")) for one in raised if known_code(one.text("code") or "") is None] == []


def test_every_alert_says_what_was_wanted_and_the_way_out():
    silent = [
        (one.where, name)
        for one in all_raised()
        if not one.clears
        for name in ("met", "wanted", "way_out")
        if name not in one.fields or one.text(name) == ""
    ]
    assert silent == []


def test_a_code_is_raised_with_its_declared_severity_at_least_once():
    by_code: dict[str, set[Severity]] = {}
    for one in all_raised():
        if one.severity is not None and not one.clears:
            by_code.setdefault(one.text("code") or "", set()).add(one.severity)
    assert by_code
    odd = {code: met for code, met in by_code.items() if (known := known_code(code)) and known.severity not in met}
    assert odd == {}


def test_an_undeclared_or_silent_alert_would_be_found():
    (plain,) = raised_in("Alert(code='x.y', severity=Severity.ERROR, subject='s', met='m', wanted='')", "f")
    assert (plain.text("code"), plain.text("wanted"), plain.severity) == ("x.y", "", Severity.ERROR)
    assert known_code("x.y") is None
    (by_context,) = raised_in("self.ctx.alert('x.y', Severity.INFO, 'm', 'w', way_out='o')", "f")
    assert [by_context.text(name) for name in ("code", "wanted", "way_out")] == ["x.y", "w", "o"]


def test_codes_are_in_order_once_each_and_well_formed():
    codes = [known.code for known in CODES]
    assert codes == sorted(set(codes))
    assert [code for code in codes if not CODE_PATTERN.fullmatch(code)] == []
    assert all(known.meaning.endswith(".") and known.action.endswith(".") for known in CODES)


def test_a_plugins_own_code_is_momentary():
    assert not is_lasting("acme.something")
    assert is_lasting("disk.low")


def test_the_page_shows_the_table():
    """`UPDATE_GOLDEN=1` writes it anew."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition("## Codes\n")
    old, heading, after = rest.partition("\n## ")
    wanted = f"\n{table()}"
    if os.environ.get("UPDATE_GOLDEN") and old != wanted:
        PAGE.write_text(f"{before}## Codes\n{wanted}{heading}{after}", encoding="utf-8")
        pytest.fail("docs/alerts.md was written anew; look at the difference")
    assert old == wanted
