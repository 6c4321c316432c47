"""``penstock conform``: does a plugin do what any host may rely on?"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock_sdk.cli.main import CliError

if TYPE_CHECKING:
    from penstock_sdk.cli.main import Add
    from penstock_sdk.conform.report import Report, Result

__all__ = ["add_commands", "conform"]

_DESCRIPTION = (
    "Tries a plugin from the outside, whatever it is written in. TARGET is a command after --, a folder with a "
    "plugin.toml (:ID after it where it holds several), module:Class or FILE.py, or the address of a plugin that runs, "
    "as host:port or unix:path. Exit status: 0 nothing failed, 1 a case failed, 2 it could not be tried."
)
_KINDS = (
    "venue", "feed", "model", "strategy", "execution", "risk", "compliance", "portfolio", "offload", "operations",
    "refdata",
)  # fmt: skip


def add_commands(add: Add) -> None:
    """Add ``conform``."""
    parser = add("conform", conform, "try whether a plugin does what any host may rely on", _DESCRIPTION)
    parser._mixed = True  # type: ignore[attr-defined]  # what follows -- is another command's, options and all
    parser.add_argument("target", nargs="*", metavar="TARGET", help="what to try; a command after --")
    parser.add_argument("--kind", choices=_KINDS, metavar="KIND", help="what it is: " + ", ".join(_KINDS))
    parser.add_argument("--config", metavar="FILE", help="the plugin's config, as TOML or JSON")
    parser.add_argument("--driver", metavar="COMMAND", help="of a venue: the program that moves its test market")
    parser.add_argument("--manifest", metavar="FILE", help="of a command or an address: its plugin.toml (:ID after it)")
    parser.add_argument("--process", action="store_true", help="start a Python plugin as a process for each case")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="these cases or groups alone")
    parser.add_argument("--skip", action="append", default=[], metavar="PATTERN", help="not these cases or groups")
    parser.add_argument("--list", action="store_true", help="say which cases there are for KIND, and end")
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON; - is standard output")
    parser.add_argument("--junit", metavar="FILE", help="write the report as JUnit XML")
    parser.add_argument("--quiet", action="store_true", help="tell only what failed, and the sum")
    parser.add_argument("--answer-s", type=float, default=10.0, metavar="S", help="wait so long for an answer (10)")
    parser.add_argument("--quiet-s", type=float, default=0.25, metavar="S", help="listen so long for silence (0.25)")
    for what in ("ca", "cert", "key"):
        parser.add_argument(f"--tls-{what}", metavar="FILE", help=f"of an address: {what} in PEM")


def conform(options: argparse.Namespace) -> int:
    """Run the kit; return 0 when nothing failed."""
    from penstock_sdk.conform.host import Patience
    from penstock_sdk.conform.runner import run_kit, select
    from penstock_sdk.conform.target import TargetError, manifest_at, opener_of
    from penstock_sdk.packages.pack import files_to_try
    from penstock_sdk.packages.reported import digest_of_files
    from penstock_sdk.process.peer import PeerError

    if options.list:
        for case in select(options.kind or "venue", options.only, options.skip):
            print(f"{case.id:28} {case.claim}")
        return 0
    try:
        opener = opener_of(options.target, tls=_tls(options))
        if options.manifest:
            opener.manifest = manifest_at(options.manifest)
    except TargetError as error:
        raise CliError(str(error)) from error
    digest = opener.digest()
    if options.process and not opener.command:
        opener = _in_process(options.target, opener)
    kind = options.kind or opener.kind or (opener.manifest.kind if opener.manifest is not None else "")
    if not kind:
        raise CliError(f"--kind is missing; wanted one of {', '.join(_KINDS)}")
    config = _config(options.config)
    files = files_to_try(opener.manifest) if opener.manifest is not None else {}
    driver = _driver(options.driver)
    to_error = options.json == "-"
    screen = _Screen(quiet=options.quiet, file=sys.stderr if to_error else sys.stdout)
    try:
        report = run_kit(
            opener, kind, target=shlex.join(options.target), config=config, driver=driver,
            patience=Patience(options.answer_s, options.quiet_s), only=options.only, skip=options.skip,
            on_result=screen.tell, digest=digest_of_files(files) or digest,
        )  # fmt: skip
    except PeerError as error:
        print(f"penstock conform: {shlex.join(options.target)}: {error}", file=sys.stderr)
        return 2
    finally:
        if driver is not None:
            driver.close()
    if not report.results:
        raise CliError("no case is left; see penstock conform --list --kind " + kind)
    report.files = files
    screen.sum_up(report)
    if options.json:
        _write(options.json, report.as_json())
    if options.junit:
        _write(options.junit, report.as_junit())
    return 1 if report.count("failed") else 0


class _Screen:
    """Tells results as they come: a line each, under a heading per group."""

    def __init__(self, *, quiet: bool, file: Any) -> None:
        self._quiet, self._file = quiet, file
        self._group = ""

    def tell(self, result: Result) -> None:
        """Tell one result."""
        if self._quiet and result.outcome != "failed":
            return
        if result.group != self._group:
            self._group = result.group
            self._say(f"\n{result.group}")
        mark = {"passed": "  pass", "failed": "  FAIL", "skipped": "  skip"}[result.outcome]
        took = f"{result.took_ms / 1e3:6.2f} s" if result.outcome != "skipped" else ""
        self._say(f"{mark}  {result.id:28} {took:9} {result.met if result.outcome == 'skipped' else ''}".rstrip())
        if result.outcome == "failed":
            for name, text in (
                ("claim", result.claim), ("met", result.met), ("wanted", result.wanted), ("way out", result.way_out),
            ):  # fmt: skip
                self._say(f"        {name + ':':9}{text}")

    def sum_up(self, report: Report) -> None:
        """Tell the sum and the tier."""
        plugin = report.plugin
        counts = ", ".join(f"{report.count(each)} {each}" for each in ("passed", "failed", "skipped"))
        self._say(f"\n{plugin['id']} {plugin['version']} ({plugin['kind']}, {plugin['made_with'] or 'made by hand'})")
        self._say(f"{counts}; a skip is no pass")
        if report.selected:
            self._say("tier: none, as not every case was run")
        else:
            self._say(f"tier: {report.tier or 'none'}")

    def _say(self, text: str) -> None:
        print(text, file=self._file, flush=True)


def _in_process(target: list[str], known: Any) -> Any:
    """Return what starts a Python plugin of ours as a process of its own."""
    from penstock_sdk.conform.target import ClassOpener, CommandOpener

    if not isinstance(known, ClassOpener):
        raise CliError(f"--process met {target[0]}, which runs already; wanted a Python plugin")
    opener = CommandOpener((sys.executable, "-m", "penstock_sdk.process", target[0]))
    opener.kind, opener.manifest = known.kind, known.manifest
    return opener


def _config(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    text = Path(path).read_text("utf-8")
    try:
        tree = json.loads(text) if path.endswith(".json") else tomllib.loads(text)
    except ValueError as error:
        raise CliError(f"{path}: {error}") from error
    if not isinstance(tree, dict):
        raise CliError(f"{path}: met {type(tree).__name__}, wanted a table of the plugin's config")
    return tree


def _driver(command: str | None) -> Any:
    if command is None:
        return None
    from penstock_sdk.conform.driver import DriverError, ProcessDriver

    try:
        return ProcessDriver(shlex.split(command))
    except DriverError as error:
        raise CliError(str(error)) from error


def _tls(options: argparse.Namespace) -> Any:
    if not options.tls_ca:
        return None
    from penstock_sdk.process.tls import TlsFiles

    return TlsFiles(ca=options.tls_ca, cert=options.tls_cert or "", key=options.tls_key or "")


def _write(path: str, text: str) -> None:
    if path == "-":
        sys.stdout.write(text)
    else:
        Path(path).write_text(text, encoding="utf-8")
