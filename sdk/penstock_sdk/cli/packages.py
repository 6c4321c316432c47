"""``penstock plugin pack | install | list | verify``: plugins as one file, and the ones that are installed."""

from __future__ import annotations

import argparse
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock_sdk.packages import Installed, PackageList

__all__ = ["add_plugin_commands"]

_SAY_EVERY_S = 0.5


def add_plugin_commands(sub: argparse._SubParsersAction[Any]) -> None:
    """Add the four words to ``penstock plugin``."""
    pack = _word(
        sub, "pack", _pack, "make one archive of a plugin",
        "Pack a plugin's folder, or a single .py file, into one archive: the same bytes for the same input. It wants a "
        "manifest and a licence, and takes a conformance report along.",
    )  # fmt: skip
    pack.add_argument("source", type=Path, metavar="FOLDER|FILE.py", help="folder with plugin.toml, or the .py file")
    pack.add_argument("-o", "--output", type=Path, metavar="FILE", help="archive (default: ID-VERSION.penstock.zip)")
    pack.add_argument("--licence", type=Path, metavar="FILE", help="its text (default: LICENSE in the folder)")
    pack.add_argument("--report", type=Path, metavar="FILE", help="of penstock conform --json")
    pack.add_argument("--exclude", action="append", default=[], metavar="PATTERN", help="names that stay out")
    install = _word(
        sub, "install", _install, "install an archive",
        "Check an archive byte by byte and put it into the folder of plugins; make the Python environment that its "
        "wheels or requirements.txt ask for.",
    )  # fmt: skip
    install.add_argument("archive", type=Path, metavar="ARCHIVE")
    install.add_argument("--sha256", default="", metavar="HEX", help="refuse any other archive")
    install.add_argument("--no-environment", action="store_true", help="make no Python environment")
    listed = _word(sub, "list", _list, "list the installed packages", "List them: id, version, kind, tier, where, use.")
    listed.add_argument(
        "--deployment", type=Path, action="append", metavar="FILE",
        help="whose use is told (default: plugins.toml, where there is one)",
    )  # fmt: skip
    verify = _word(
        sub, "verify", _verify, "check an archive or an installed package",
        "Read every byte of an archive, or of an installed package by id or folder, and say whether it is what was "
        "packed. Exit status: 0 it is, 1 it is not.",
    )  # fmt: skip
    verify.add_argument("target", metavar="ARCHIVE|ID|FOLDER")
    verify.add_argument("--sha256", default="", metavar="HEX", help="what the archive's must be")
    for parser in (install, listed, verify):
        parser.add_argument(
            "--folder", type=Path, help="of plugins (default: PENSTOCK_PLUGINS, or ~/.local/share/penstock/plugins)"
        )


def _word(
    sub: argparse._SubParsersAction[Any], name: str, run: Callable[[argparse.Namespace], dict[str, Any]], summary: str,
    description: str,
) -> argparse.ArgumentParser:  # fmt: skip
    parser: argparse.ArgumentParser = sub.add_parser(name, help=summary, description=description)
    parser.set_defaults(command=_told(run))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _told(run: Callable[[argparse.Namespace], dict[str, Any]]) -> Callable[[argparse.Namespace], int]:
    """Return the command that prints what *run* found, as lines or as JSON, and returns its status."""

    def command(options: argparse.Namespace) -> int:
        import msgspec

        from penstock_sdk.cli.main import CliError
        from penstock_sdk.packages import PackageError

        try:
            facts = run(options)
        except PackageError as error:
            raise CliError(str(error)) from error
        lines, status = facts.pop("lines"), facts.pop("status", 0)
        if options.json:
            lines = [msgspec.json.format(msgspec.json.encode(facts), indent=2).decode()]
        for line in lines:
            print(line)
        return int(status)

    return command


class _Progress:
    """Tells long work on stderr: nothing within the first half second, then a line at most twice a second."""

    def __init__(self) -> None:
        self._told_s = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        if (now_s := time.monotonic()) - self._told_s >= _SAY_EVERY_S:
            self._told_s = now_s
            print(f"{what}, {100 * done // max(total, 1)} %", file=sys.stderr, flush=True)


def _pack(options: argparse.Namespace) -> dict[str, Any]:
    from penstock_sdk.packages import pack

    made = pack(
        options.source, options.output, licence=options.licence, report=options.report, exclude=options.exclude,
        progress=_Progress(),
    )  # fmt: skip
    lines = [
        f"{made.path}: {_named(made.listed)}, {len(made.listed.files):,} files, {made.bytes:,} bytes",
        f'sha256 = "{made.sha256}"',
    ]
    if not made.listed.tier:
        lines.append("no conformance report with a tier; make one by `penstock conform`, and pack with --report FILE")
    return {"path": made.path, "sha256": made.sha256, "bytes": made.bytes, **_facts(made.listed), "lines": lines}


def _install(options: argparse.Namespace) -> dict[str, Any]:
    from penstock_sdk.packages import install

    done = install(
        options.archive, options.folder, sha256=options.sha256, environment=not options.no_environment,
        progress=_Progress(),
    )  # fmt: skip
    lines = [f"{'installed' if done.new else 'was installed already'}: {_named(done.listed)} in {done.folder}"]
    if environment := done.environment:
        lines.append(f"its Python, made by {environment.by}: {environment.interpreter}")
    lines += ["pin it in plugins.toml, in the table of each plugin that uses it:", f'sha256 = "{done.sha256}"']
    return {
        "folder": done.folder, "sha256": done.sha256, "new": done.new, "environment": done.environment,
        **_facts(done.listed), "lines": lines,
    }  # fmt: skip


def _list(options: argparse.Namespace) -> dict[str, Any]:
    from penstock_sdk.packages import installed_packages, plugins_folder

    packages, faults = installed_packages(options.folder)
    use = _use(options.deployment)
    rows = [_row(package, use) for package in packages]
    lines = [
        f"{row['id']:<24} {row['version']:<12} {row['kind']:<12} {row['tier'] or 'no tier':<8} "
        f"{row['sha256'][:12]}  {', '.join(row['used_by']) or '-'}\n    {row['folder']}"
        for row in rows
    ]
    if not rows:
        lines = [f"no packages are installed in {plugins_folder(options.folder)}"]
    for fault in faults:
        print(f"penstock plugin list: {fault}", file=sys.stderr)
    return {"packages": rows, "faults": faults, "lines": lines, "status": 1 if faults else 0}


def _verify(options: argparse.Namespace) -> dict[str, Any]:
    from penstock_sdk.packages import PackageError, check_archive, find_installed, verify_pin

    path = Path(options.target)
    wanted = options.sha256.removeprefix("sha256:").lower()
    found = None if path.is_file() else find_installed(options.target, options.folder)
    where = str(path) if found is None else found.folder
    try:
        if found is None:
            sha256, listed = check_archive(path, _Progress())
            if wanted and wanted != sha256:
                raise PackageError(f"{path}: its sha256 is {sha256}, wanted {wanted}")
        else:
            sha256 = wanted or found.sha256
            listed = verify_pin(found.folder, sha256, _Progress())
    except PackageError as error:
        return {"sound": False, "where": where, "faults": str(error).splitlines(), "lines": [str(error)], "status": 1}
    lines = [f"sound: {_named(listed)}, {len(listed.files):,} files, {where}", f'sha256 = "{sha256}"']
    return {"sound": True, "where": where, "sha256": sha256, **_facts(listed), "faults": [], "lines": lines}


def _facts(listed: PackageList) -> dict[str, Any]:
    return {
        "id": listed.id, "version": listed.version, "plugins": listed.plugins, "platforms": listed.platforms,
        "licence": listed.licence, "report": listed.report, "tier": listed.tier, "files": len(listed.files),
    }  # fmt: skip


def _named(listed: PackageList) -> str:
    kinds = ", ".join(dict.fromkeys(plugin.kind for plugin in listed.plugins))
    tier = f", {listed.tier} by its own report" if listed.tier else ""
    return f"{listed.id} {listed.version} ({kinds}; {', '.join(listed.platforms) or 'any platform'}{tier})"


def _row(package: Installed, use: list[tuple[str, str, str]]) -> dict[str, Any]:
    listed = package.listed
    ids = {plugin.id for plugin in listed.plugins}
    users = [name for name, plugin_id, pin in use if (pin == package.sha256 if pin else plugin_id in ids)]
    return {
        "id": listed.id, "version": listed.version, "tier": listed.tier, "folder": package.folder,
        "kind": ", ".join(dict.fromkeys(plugin.kind for plugin in listed.plugins)), "sha256": package.sha256,
        "plugins": listed.plugins, "used_by": users,
    }  # fmt: skip


def _use(deployments: list[Path] | None) -> list[tuple[str, str, str]]:
    """Return (FILE:name, plugin id, pin) of every plugin that deployments use; files they include are not followed."""
    from penstock_sdk.cli.main import CliError

    used = []
    for file in deployments or [path for path in (Path("plugins.toml"),) if path.is_file()]:
        try:
            tree = tomllib.loads(file.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise CliError(f"{file}: not TOML: {error}") from error
        tables = tree.get("plugins")
        for name, table in tables.items() if isinstance(tables, dict) else ():
            if isinstance(table, dict):
                plugin_id, pin = str(table.get("use", name)), str(table.get("sha256", ""))
                used.append((f"{file}:{name}", plugin_id, pin.removeprefix("sha256:").lower()))
    return used
