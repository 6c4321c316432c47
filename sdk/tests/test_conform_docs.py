"""The page about the conformance kit tells every case and every verb as the kit has them."""

from __future__ import annotations

import os
from pathlib import Path

from penstock_sdk.conform.document import HEADING, with_tables

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


def test_the_page_has_the_tables_of_today():
    text = PAGE.read_text("utf-8")
    assert text.count(HEADING) == 1
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(with_tables(text), encoding="utf-8")
    assert PAGE.read_text("utf-8") == with_tables(text), "run this test with UPDATE_GOLDEN=1"
