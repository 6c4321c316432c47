"""The rules and calendars of a deployment without a run: what its refdata plugins would announce at their start."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from penstock_kernel.deployment import Deployment, DeploymentError, PluginSpec, build_config, load_deployment
from penstock_kernel.problems import Problem
from penstock_sdk.core.reference_book import ReferenceBook, Said, table_from
from penstock_sdk.discovery import PluginImportError, load_class
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.rule_warnings import rule_warnings
from penstock_sdk.energy.rules import Reference, Table, builtin_rules
from penstock_sdk.events import ReferenceTable
from penstock_sdk.plugin import Plugin, RefData

__all__ = ["Collected", "collect_reference", "default_deployment_path", "load_reference", "plugin_problems"]

_PLACE = re.compile(r"(?P<file>[^:]+):(?P<line>\d+)(?: \(\w+\))?(?:: | and )")


class Collected(NamedTuple):
    """What the refdata plugins of a deployment bring, and what is wrong with it."""

    reference: Reference
    problems: list[Problem]


def default_deployment_path() -> Path:
    """Return the path of the deployment that comes with the package."""
    return Path(__file__).parent / "default" / "plugins.toml"


def load_reference(deployment_path: str | Path | None = None) -> Reference:
    """Return the rules and calendars that a run of a deployment begins with; None is the one that comes with Penstock.

    Imports the deployment's refdata plugins alone.

    Raises:
        DeploymentError: the deployment is faulty, or its reference data is; holds every fault.
    """
    deployment = load_deployment(deployment_path or default_deployment_path())
    reference, problems = collect_reference(deployment)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise DeploymentError(errors)
    return reference


def collect_reference(deployment: Deployment, env: Mapping[str, str] = os.environ) -> Collected:
    """Return what the refdata plugins of a deployment bring together, and every fault at its own file and line.

    What is faulty is left out of the reference; of several tables that do not go together the later.
    """
    book = ReferenceBook()
    problems: list[Problem] = []
    sound: list[tuple[PluginSpec, Any, Any]] = []
    tables: list[tuple[PluginSpec, Table]] = []
    for spec in deployment.plugins:
        if spec.manifest.kind != "refdata" or spec.run != "inprocess":
            continue  # out of process it is heard at its start
        try:
            cls: Any = load_class(spec.manifest)
            if not issubclass(cls, RefData):
                continue  # which `penstock check` tells of
            config = build_config(spec, cls.Config, env)
            for event in _asked(spec, cls.reference, config, deployment.files_folder):
                if isinstance(event, Said):
                    book.take(event)
                if isinstance(event, ReferenceTable):
                    tables.append((spec, table_from(event)))
            sound.append((spec, cls, config))
        except EnergyError as error:
            problems += [_problem(spec, deployment, line) for line in str(error).splitlines()]
        except PluginImportError as error:
            problems.append(Problem(*spec.lines.get("use", ("", 0)), f"plugins.{spec.name}.use", str(error)))
        except DeploymentError as error:
            problems += error.problems
    for spec, cls, config in sound:
        try:
            faults = _asked(spec, cls.faults, config, deployment.files_folder, book.reference)
        except EnergyError as error:
            faults = [str(error)]
        problems += [_problem(spec, deployment, fault) for fault in faults]
    calendars, names = sorted(book.reference.calendars), [spec.name for spec in deployment.plugins]
    for spec in {spec.name: spec for spec, _ in tables}.values():
        said = rule_warnings([table for of, table in tables if of is spec], builtin_rules(), calendars, names)
        problems += [msgspec.structs.replace(_problem(spec, deployment, text), severity="warning") for text in said]
    return Collected(book.reference, problems)


def plugin_problems(deployment: Deployment, reference: Reference, env: Mapping[str, str] = os.environ) -> list[Problem]:
    """Return what plugins other than those of reference data find wrong with their configs and the files they name.

    A plugin that cannot be imported, or whose config cannot be built, has faults of its own, and none here.
    """
    problems: list[Problem] = []
    for spec in deployment.plugins:
        if spec.manifest.kind == "refdata" or spec.run != "inprocess":
            continue
        try:
            cls: Any = load_class(spec.manifest)
            if not issubclass(cls, Plugin) or cls.faults.__func__ is Plugin.faults.__func__:  # type: ignore[attr-defined]
                continue
            config = build_config(spec, cls.Config, env)
            faults = _asked(spec, cls.faults, config, deployment.files_folder, reference)
        except EnergyError as error:
            faults = [str(error)]
        except (PluginImportError, DeploymentError):
            continue
        problems += [_problem(spec, deployment, fault) for fault in faults]
    return problems


def _asked(spec: PluginSpec, ask: Callable[..., Sequence[Any]], *arguments: Any) -> Sequence[Any]:
    """Return a plugin's answer; whatever it raises is an EnergyError."""
    try:
        return list(ask(*arguments))
    except EnergyError:
        raise
    except Exception as error:  # a plugin may raise anything
        raise EnergyError(f"{spec.manifest.class_path} raised {type(error).__name__}: {error}") from error


def _problem(spec: PluginSpec, deployment: Deployment, said: str) -> Problem:
    """Return a fault at the line of the rule file that it names first, or at the plugin's table."""
    match = _PLACE.match(said)
    path = f"plugins.{spec.name}"
    if match is None:
        file, line = spec.lines.get("config", spec.lines.get("", ("", 0)))
        return Problem(file, line, f"{path}.config", said)
    # Both rows of an overlap are named, so the text is left whole.
    text = said[match.end() :] if said[match.end() - 2] == ":" else said
    return Problem(str(deployment.files_folder / match["file"]), int(match["line"]), path, text)
