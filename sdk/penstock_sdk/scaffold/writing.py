"""Writes a new plugin's folder: names are checked, and nothing that is there is ever written over."""

from __future__ import annotations

import importlib
import keyword
import re
import shutil
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from msgspec import Struct

from penstock_sdk.discovery import read_path
from penstock_sdk.manifest import KINDS, PluginManifest, config_schema_text
from penstock_sdk.manifest_schema import SCHEMA_NAME, packaged_schema
from penstock_sdk.scaffold.manifests import manifest_toml
from penstock_sdk.typed import closest

__all__ = ["FAR_KINDS", "Made", "ScaffoldError", "write_plugin"]

FAR_KINDS = ("venue", "strategy")
"""The kinds for which there are templates in Go and Node."""
NAME_CHARS_MAX = 48
_DRIVER = " --driver 'python driver.py'"
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class ScaffoldError(ValueError):
    """A plugin cannot be made so; the text says the way out."""


class Made(Struct, frozen=True):
    """What was written: the folder, its files from there on, and what to do next, a command each."""

    folder: Path
    files: tuple[str, ...]
    next_steps: tuple[str, ...]


def write_plugin(name: str, kind: str, language: str = "python", parent: str | Path = "") -> Made:
    """Write the folder *parent*/*name* with a plugin that works; return what was written.

    Raises:
        ScaffoldError: the name or the kind will not do, or the folder is there already.
        OSError: it cannot be written.
    """
    _check_name(name, language)
    if kind not in KINDS:
        near = closest(kind, KINDS)
        raise ScaffoldError(f"kind met {kind}, " + (f"did you mean {near}?" if near else f"wanted {', '.join(KINDS)}"))
    if language != "python" and kind not in FAR_KINDS:
        raise ScaffoldError(
            f"{language} has templates of kind {' and '.join(FAR_KINDS)}, met {kind}; write it in python"
        )
    folder = Path(parent) / name
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise ScaffoldError(f"{folder} is there already, and nothing is written over; choose another name") from None
    try:
        write = {"python": _python, "go": _go, "node": _node}[language]
        steps = write(folder, name, kind)
        _common(folder, name, kind, language)
    except BaseException:
        shutil.rmtree(folder)  # it was made above, and is nobody's yet
        raise
    written = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    shown = [each for each in written if each.count("/") < 1]
    return Made(folder, tuple(shown), (f"cd {folder}", *steps))


def _check_name(name: str, language: str) -> None:
    """Raise ScaffoldError for a name that is no id, or that something else has."""
    if not _NAME.fullmatch(name):
        raise ScaffoldError(f"name met {name!r}, wanted small letters, digits and _, as my_venue")
    if len(name) > NAME_CHARS_MAX:
        raise ScaffoldError(f"name met {len(name)} characters, wanted at most {NAME_CHARS_MAX}")
    if language == "python":
        if keyword.iskeyword(name) or name in sys.stdlib_module_names:
            raise ScaffoldError(f"name met {name}, which Python has for itself; choose another")
        if find_spec(name) is not None:
            raise ScaffoldError(f"name met {name}, and a module of that name is installed; choose another")


def class_name(name: str) -> str:
    """Return the name of the class: my_venue becomes MyVenue."""
    return "".join(part.capitalize() for part in name.split("_"))


def _named(text: str, name: str) -> str:
    """Return a template's text with the plugin's names in it."""
    return text.replace("template_id", name).replace("Template", class_name(name))


def _template(*path: str) -> str:
    return files("penstock_sdk.scaffold").joinpath(*path).read_text("utf-8")


def _common(folder: Path, name: str, kind: str, language: str) -> None:
    like = None if language == "python" else _example(language, kind)
    (folder / "plugin.toml").write_text(manifest_toml(name, kind, language, class_name(name), like), "utf-8")
    (folder / SCHEMA_NAME).write_text(packaged_schema(), "utf-8")
    (folder / "LICENSE").write_text(_named(_template("common", "LICENSE.txt"), name), "utf-8")
    (folder / "README.md").write_text(_readme(name, kind, language), "utf-8")


def _readme(name: str, kind: str, language: str) -> str:
    code = {"python": f"{name}.py", "go": "main.go", "node": "plugin.js"}[language]
    article = "an" if kind[0] in "aeiou" else "a"
    driver = _DRIVER if (kind, language) == ("venue", "python") else ""
    return (
        f"# {name}\n\n"
        f"{article.capitalize()} {kind} for Penstock: `{code}`; `plugin.toml` says what it is and may do.\n"
        f"- Try it: `penstock plugin check .`, then `penstock conform . --kind {kind}{driver}`.\n"
        f'- Use it: `[plugins.{name}]` with `use = "{name}"`, `path = "…/{name}"`, `run = "process"` in plugins.toml.\n'
        "- Ship it: `penstock plugin pack .`; put your licence into LICENSE first.\n"
    )


def _python(folder: Path, name: str, kind: str) -> tuple[str, ...]:
    (folder / f"{name}.py").write_text(_named(_template("python", f"{kind}.py"), name), "utf-8")
    (folder / f"test_{name}.py").write_text(_named(_template("python", f"{kind}_test.txt"), name), "utf-8")
    config_type: Any = getattr(importlib.import_module(f"penstock_sdk.scaffold.python.{kind}"), "TemplateConfig", None)
    if config_type is not None:
        (folder / "config.schema.json").write_text(_named(config_schema_text(config_type), name), "utf-8")
    if kind == "feed":
        (folder / "prices.csv").write_text(_template("python", "prices.csv"), "utf-8")
    if kind == "venue":
        (folder / "driver.py").write_text(_named(_template("python", "venue_driver.txt"), name), "utf-8")
    driver = _DRIVER if kind == "venue" else ""
    return "penstock plugin check . --load", f"penstock conform . --kind {kind}{driver}", "python -m pytest"


def _go(folder: Path, name: str, kind: str) -> tuple[str, ...]:
    go = files("penstock_sdk.languages").joinpath("go")
    shutil.copytree(str(go / "penstock"), folder / "go" / "src" / "penstock")
    text = (go / "examples" / kind / "main.go").read_text("utf-8")
    (folder / "main.go").write_text(_own(text, kind, "go", name), "utf-8")
    build = folder / "build.sh"
    build.write_text(
        "#!/bin/sh\n# Wants golang-go, golang-github-hashicorp-go-plugin-dev and golang-google-grpc-dev (Debian).\n"
        f'cd "$(dirname "$0")" && GO111MODULE=off GOPATH="$PWD/go:/usr/share/gocode" go build -o {name} .\n',
        "utf-8",
    )
    build.chmod(0o755)
    (folder / f"{name}_test.sh").write_text(_far_test(kind, "./build.sh && "), "utf-8")
    (folder / f"{name}_test.sh").chmod(0o755)
    return "./build.sh", "penstock plugin check .", f"penstock conform . --kind {kind}"


def _node(folder: Path, name: str, kind: str) -> tuple[str, ...]:
    node = files("penstock_sdk.languages").joinpath("node")
    shutil.copytree(str(node), folder / "penstock", ignore=shutil.ignore_patterns("examples", "node_modules"))
    source = next(path for path in Path(str(node / "examples" / kind)).glob("*.js"))
    (folder / "plugin.js").write_text(_own(source.read_text("utf-8"), kind, "node", name), "utf-8")
    (folder / "package.json").write_text(
        f'{{\n  "name": "{name.replace("_", "-")}",\n  "version": "0.1.0",\n  "private": true,\n'
        '  "main": "plugin.js",\n  "dependencies": { "penstock-plugin": "file:./penstock" }\n}\n',
        "utf-8",
    )
    (folder / f"{name}_test.sh").write_text(_far_test(kind, "npm install --silent && "), "utf-8")
    (folder / f"{name}_test.sh").chmod(0o755)
    return "npm install", "penstock plugin check .", f"penstock conform . --kind {kind}"


def _own(text: str, kind: str, language: str, name: str) -> str:
    """Return the code of an example as the new plugin's: its id, the first version, no licence line of ours."""
    text = re.sub(r"^// SPDX-License-Identifier:.*\n+", "", text)
    text = re.sub(r"""(["'])0\.\d+\.\d+\1""", r"\g<1>0.1.0\1", text)
    return re.sub(rf"""(["']){language}_{kind}\1""", rf"\g<1>{name}\1", text)


def _example(language: str, kind: str) -> PluginManifest:
    """Return the manifest of the SDK's own plugin of a kind in another language, which the template is."""
    (found,) = read_path(Path(str(files("penstock_sdk.languages").joinpath(language, "examples", kind))), {kind: (1,)})
    return found


def _far_test(kind: str, build: str) -> str:
    conform = f"penstock conform . --kind {kind} --quiet"
    return f'#!/bin/sh\n# The conformance kit is the test.\ncd "$(dirname "$0")" && {build}{conform}\n'
