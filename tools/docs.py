"""Build the documentation into site/: the Markdown pages and the API reference, readable without a network.

Pages are README.md, ARCHITECTURE.md and docs/**/*.md; the reference is made from the docstrings of the four packages.
Run as `make docs`.
"""

from __future__ import annotations

import html
import re
import shutil
import sys
import warnings
from pathlib import Path

import markdown2
import pdoc

__all__ = ["build"]

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = [
    "sdk/penstock_sdk", "kernel/penstock", "kernel/penstock_kernel", "plugins/penstock_plugins", "hw/penstock_hw",
]  # fmt: skip
# pdoc's warnings that cost no page: a name imported for type checkers alone is shown as it is written, and a module
# that its package's `__all__` holds is met twice.
HARMLESS = ("Error parsing type annotation", "The module specification")
EXTRAS = ["fenced-code-blocks", "tables", "header-ids", "strike", "cuddled-lists"]

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem 2rem; color: #222 }}
nav {{ border-bottom: 1px solid #ccc; padding-bottom: .5rem }} nav a {{ margin-right: 1rem }}
pre {{ background: #f5f5f5; padding: .7rem; overflow-x: auto }} code {{ background: #f5f5f5 }}
table {{ border-collapse: collapse }} td, th {{ border: 1px solid #ccc; padding: .2rem .5rem; text-align: left }}
img {{ max-width: 100% }}
</style></head><body><nav>{nav}</nav>
{body}
</body></html>
"""


def find_pages(root: Path) -> dict[Path, Path]:
    """Return each Markdown page's place in the site by its place in *root*; README.md becomes index.html."""
    pages = [Path(name) for name in ("README.md", "ARCHITECTURE.md") if (root / name).is_file()]
    pages += sorted(page.relative_to(root) for page in (root / "docs").rglob("*.md"))
    return {page: Path("index.html") if page == Path("README.md") else page.with_suffix(".html") for page in pages}


def render_page(title: str, text: str, place: Path, nav: dict[str, str]) -> str:
    """Return the HTML of Markdown *text* at *place* in the site; *nav* holds places in the site by their names."""
    up = "../" * (len(place.parts) - 1)
    links = "".join(f'<a href="{up}{target}">{html.escape(name)}</a>' for name, target in nav.items())
    body = str(markdown2.markdown(text, extras=EXTRAS))
    # A link to a page's source becomes a link to the page, which for README.md is the index.
    body = re.sub(r'href="(?!\w+:)([^"#]*)README\.md', r'href="\1index.html', body)
    body = re.sub(r'href="(?!\w+:)([^"#]+)\.md(["#])', r'href="\1.html\2', body)
    return PAGE.format(title=html.escape(title), nav=links, body=body)


def build(root: Path, site: Path) -> list[Path]:
    """Build the site anew into *site*, which is emptied first, and return the places of its pages.

    Raises:
        RuntimeError: a module could not be imported.
    """
    shutil.rmtree(site, ignore_errors=True)
    if (root / "docs").is_dir():  # pictures and whatever else the pages show; their sources stay behind
        shutil.copytree(root / "docs", site / "docs", ignore=shutil.ignore_patterns("*.md"))
    places = find_pages(root)
    texts = {page: (root / page).read_text(encoding="utf-8") for page in places}
    titles = {page: (re.search(r"^# (.+)$", text, re.MULTILINE) or [page.stem] * 2)[1] for page, text in texts.items()}
    nav = {titles[page]: place.as_posix() for page, place in places.items()} | {"API": "api/index.html"}
    if Path("README.md") not in places:
        places[Path("README.md")], titles[Path("README.md")] = Path("index.html"), "Penstock"
        texts[Path("README.md")] = "# Penstock\n\nThe pages and the API reference are linked above."
    for page, place in places.items():
        (site / place).parent.mkdir(parents=True, exist_ok=True)
        (site / place).write_text(render_page(titles[page], texts[page], place, nav), encoding="utf-8")
    build_reference(find_modules(root), site / "api")
    return list(places.values())


def find_modules(root: Path) -> list[str]:
    """Return the names of all public modules of the four packages; also those outside `__all__`."""
    names = []
    for package in PACKAGES:
        for source in sorted((root / package).rglob("*.py")):
            parts = source.relative_to((root / package).parent).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            if not any(part.startswith("_") for part in parts):
                names.append(".".join(parts))
    return names


def build_reference(modules: list[str], folder: Path) -> None:
    """Write the API reference of *modules* into *folder*; see `build` for errors."""
    pdoc.render.configure(docformat="google", show_source=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        pdoc.pdoc(*modules, output_directory=folder)
    messages = [str(warning.message) for warning in caught]
    if problems := [message for message in messages if not message.startswith(HARMLESS)]:
        raise RuntimeError("the API reference lacks modules:\n" + "\n".join(problems))


if __name__ == "__main__":
    try:
        pages = build(ROOT, ROOT / "site")
    except RuntimeError as error:
        sys.exit(f"docs: {error}")
    print(f"docs: {len(pages)} pages and the API reference in site/index.html")
