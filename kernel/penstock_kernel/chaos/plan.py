"""A fault plan: which deployment, for how long, what breaks. Read from TOML, every fault of it told with its line."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from penstock_kernel.deployment import Deployment, PluginSpec, load_deployment
from penstock_kernel.problems import DeploymentError, Problem, sorted_problems
from penstock_kernel.toml_lines import line_of, toml_lines
from penstock_sdk.core.core import COMMANDS
from penstock_sdk.discovery import load_class
from penstock_sdk.typed import Finding, KeyPath, check_typed, format_path, quoted

__all__ = [
    "KINDS",
    "MESSAGE_KINDS",
    "PHASES",
    "Command",
    "Fault",
    "Kind",
    "OutsideTable",
    "Phase",
    "Plan",
    "load_plan",
    "outside_class",
]

Kind: TypeAlias = Literal[
    "drop", "delay", "reorder", "duplicate", "kill", "torn_write", "eio", "full_disk", "clock_step", "raise"
]
Phase: TypeAlias = Literal["any", "start", "recovery", "reconcile", "drain", "snapshot", "carry"]
PHASES: tuple[Phase, ...] = ("any", "start", "recovery", "reconcile", "drain", "snapshot", "carry")
MESSAGE_KINDS = ("drop", "delay", "reorder", "duplicate")
KINDS: dict[str, tuple[str, ...]] = {
    "drop": ("plugin", "topic", "probability"),
    "delay": ("plugin", "topic", "probability", "delay_ms_max"),
    "reorder": ("plugin", "topic", "probability", "span"),
    "duplicate": ("plugin", "topic", "probability"),
    "kill": ("phase", "steps"),
    "torn_write": ("tear",),
    "eio": ("call", "nth"),
    "full_disk": ("room_bytes", "starts"),
    "clock_step": ("by_s",),
    "raise": ("plugin", "handler", "probability"),
}
"""For each kind of fault the keys that it takes beside ``kind``, ``count``, ``from_s`` and ``to_s``."""
_TABLES = (("fault",), ("command",), ("outside",))
_SHARED = ("kind", "count", "from_s", "to_s")
_TRADERS = ("strategy", "execution")
_TARGETS: dict[str, tuple[str, ...] | None] = {
    **dict.fromkeys(COMMANDS, _TRADERS), "quarantine": None, "release": None
}  # fmt: skip
"""For each command the kinds of plugin that it may name; of None it must name one, of any kind."""
_NEEDED = {"clock_step": ("by_s",), "raise": ("plugin", "handler")}

Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=1e8)]
Count: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000)]


class Fault(Struct, frozen=True):
    """One `[[fault]]` table. Times are simulated seconds after the run's start."""

    kind: Kind
    count: Count | None = None
    """How often at most; None is once for what has a moment, without bound for messages and ``raise``."""
    from_s: Seconds = 0.0
    to_s: Seconds | None = None
    plugin: str = "*"
    """Pattern of instance names."""
    topic: str = "*"
    """Pattern of topics, as ``market.*``."""
    probability: Annotated[float, Meta(gt=0, le=1)] = 0.01
    """For each message, or each call of the handler."""
    delay_ms_max: Annotated[float, Meta(gt=0, le=1e9)] = 1000.0
    span: Annotated[int, Meta(ge=1, le=1000)] = 3
    """A message is overtaken by so many at most."""
    phase: Phase = "any"
    steps: Annotated[int, Meta(ge=1, le=1_000_000)] = 20
    """In a phase the kill comes at one of its first so many steps: inputs, writes, syncs."""
    tear: Literal["cut", "sectors"] = "cut"
    call: Literal["write", "sync"] = "write"
    nth: Count = 1
    room_bytes: Annotated[int, Meta(ge=0, le=2**40)] = 4096
    """What the full disk still takes, at most."""
    starts: Annotated[int, Meta(ge=0, le=20)] = 1
    """So many starts find it still full."""
    by_s: Annotated[float, Meta(ge=-1e7, le=1e7)] = 0.0
    """What the wall clock steps by; below 0 it steps back."""
    handler: str = ""

    @property
    def has_moment(self) -> bool:
        """True for what happens at drawn moments, False for what may befall every message or call."""
        return self.kind not in (*MESSAGE_KINDS, "raise")


class Command(Struct, frozen=True):
    """One `[[command]]` table: an operator's command at a simulated time."""

    at_s: Seconds
    command: str
    target: str = ""
    argument: str = ""


class OutsideTable(Struct, frozen=True):
    """One `[[outside]]` table: what stands behind a venue outside."""

    plugin: str
    """The venue's instance."""
    use: Annotated[str, Meta(pattern=r"^[\w.]+:\w+$", examples=["package.module:Class"])]
    """The class, as `penstock_kernel.chaos.outside.Outside` says."""
    name: str = "chaos"
    account: str = "penstock"
    config: dict[str, Any] = {}


class _PlanFile(Struct, frozen=True):
    """A plan as written."""

    deployment: str
    length_s: Annotated[float, Meta(gt=0, le=1e8)] = 3600.0
    seeds: Annotated[int, Meta(ge=1, le=100_000)] = 20
    sessions: Annotated[int, Meta(ge=1, le=100)] = 1
    """So many sessions follow each other: all but the last are stopped in order."""
    fault: tuple[Fault, ...] = ()
    command: tuple[Command, ...] = ()
    outside: tuple[OutsideTable, ...] = ()


class Plan(_PlanFile, frozen=True):
    """A checked plan. ``path`` is the deployment's file, ``file`` the plan's own."""

    path: str = ""
    file: str = ""

    def parts(self) -> list[str]:
        """Return every occurrence that can be left out, as ``fault.occurrence``: ``1.0`` is the first of fault 1."""
        return [
            f"{at}.{number}"
            for at, fault in enumerate(self.fault)
            for number in range((fault.count or 1) if fault.has_moment else 1)
        ]


def load_plan(path: Path) -> Plan:
    """Return the plan in *path*, its deployment checked against it.

    Raises:
        DeploymentError: the plan, or its deployment, has faults, or there is no such file; every one is named with
            its line.
    """
    try:
        text = path.read_text()
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DeploymentError([Problem(path.name, 0, "", f"not TOML: {error}")]) from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise DeploymentError([Problem(str(path), 0, "", f"cannot be read: {why}", "name the plan's file")]) from None
    findings = check_typed(tree, _PlanFile)
    whole, places = _without(tree, findings)
    for at, table in zip(places.get("fault", ()), whole.get("fault", ()), strict=True):
        findings += _misplaced(at, table)
    if "deployment" not in whole:
        raise _error(path, text, findings)
    written = msgspec.convert(whole, _PlanFile)
    source = (path.parent / written.deployment).resolve()
    plan = Plan(**{**msgspec.structs.asdict(written), "path": str(source), "file": str(path)})
    problems: tuple[Problem, ...] = ()
    if not source.exists():
        findings.append(Finding(("deployment",), f"no file {source}", "name it as seen from the plan"))
    else:
        try:
            deployment = load_deployment(source)
        except DeploymentError as error:
            problems = error.problems
        else:
            findings += [_placed(finding, places) for finding in _against(plan, deployment)]
    if findings or problems:
        raise _error(path, text, findings, problems)
    return plan


def _without(tree: dict[str, Any], findings: list[Finding]) -> tuple[dict[str, Any], dict[str, list[int]]]:
    """Return what of a plan is well typed, so that the rest of it can be checked, too; and where its tables stood."""
    bad = {finding.path[:2] if finding.path[:1] in _TABLES else finding.path[:1] for finding in findings}
    whole = {key: value for key, value in tree.items() if (key,) not in bad}
    if ("length_s",) in bad:
        whole["length_s"] = 1e8  # no time of the plan is held against a length that nobody wrote
    places: dict[str, list[int]] = {}
    for (name,) in _TABLES:
        if name in whole and isinstance(whole[name], list):
            places[name] = [at for at in range(len(whole[name])) if (name, at) not in bad]
            whole[name] = [whole[name][at] for at in places[name]]
    return whole, places


def _placed(finding: Finding, places: dict[str, list[int]]) -> Finding:
    """Return a finding with the place that its table has in the plan as written."""
    name, *rest = finding.path
    if not rest or name not in places:
        return finding
    return Finding((name, places[str(name)][int(rest[0])], *rest[1:]), finding.message, finding.way_out)


def _error(path: Path, text: str, findings: list[Finding], problems: tuple[Problem, ...] = ()) -> DeploymentError:
    """Return every fault of a plan, and those of its deployment."""
    lines = toml_lines(text)
    own = [Problem(str(path), line_of(lines, f.path), format_path(f.path), f.message, f.way_out) for f in findings]
    return DeploymentError(sorted_problems([*own, *problems], str(path)))


def _misplaced(at: int, table: dict[str, Any]) -> list[Finding]:
    """Return what a fault's kind does not take, and what it lacks."""
    kind = table["kind"]
    known = (*_SHARED, *KINDS[kind])
    found = [
        Finding(("fault", at, key), f"a {kind} takes no {key}", f"it takes {', '.join(known)}")
        for key in table
        if key not in known
    ]
    found += [
        Finding(("fault", at), f"a {kind} without {key}", f"write {key} = …")
        for key in _NEEDED.get(kind, ())
        if key not in table
    ]
    if "to_s" in table and table["to_s"] <= table.get("from_s", 0):
        met = f"met {table['to_s']}, wanted more than from_s, {table.get('from_s', 0)}"
        found.append(Finding(("fault", at, "to_s"), met))
    return found


def _against(plan: Plan, deployment: Deployment) -> list[Finding]:
    """Return what of the plan does not go with its deployment."""
    found: list[Finding] = []
    if deployment.run.delivery_day == "today":
        text = f"{plan.deployment} trades today, so that tomorrow the plan would run another day"
        found.append(Finding(("deployment",), text, "give [run] delivery_day a date"))
    for at, fault in enumerate(plan.fault):
        path: KeyPath = ("fault", at)
        if fault.kind == "clock_step" and deployment.run.clock != "wall":
            found.append(Finding(path, "only the wall clock steps", '[run] clock = "wall" in the deployment'))
        if fault.from_s >= plan.length_s:
            found.append(Finding((*path, "from_s"), f"met {fault.from_s}, wanted less than length_s, {plan.length_s}"))
        if fault.kind in MESSAGE_KINDS:
            found += _no_messages(fault, deployment, path)
        elif fault.kind == "raise":
            found += _no_handler(fault, deployment, path)
    venues = [spec.name for spec in deployment.plugins if spec.manifest.kind == "venue"]
    for at, table in enumerate(plan.outside):
        if table.plugin not in venues:
            text = f"met {quoted(table.plugin)}, wanted a venue of the deployment"
            found.append(Finding(("outside", at, "plugin"), text, f"venues are {', '.join(venues) or 'none'}"))
        try:
            outside_class(table.use)
        except (ImportError, AttributeError) as error:
            found.append(Finding(("outside", at, "use"), f"cannot be loaded: {error}"))
    for at, command in enumerate(plan.command):
        found += _no_command(command, plan, deployment, ("command", at))
    return found


def _no_command(command: Command, plan: Plan, deployment: Deployment, path: KeyPath) -> list[Finding]:
    """Return why a command cannot be given, or would reach nobody."""
    found: list[Finding] = []
    if command.at_s >= plan.length_s:
        found.append(Finding((*path, "at_s"), f"met {command.at_s}, wanted less than length_s, {plan.length_s}"))
    if command.command not in COMMANDS or command.command == "stop":
        known = ", ".join(name for name in COMMANDS if name != "stop")
        found.append(Finding((*path, "command"), f"met {quoted(command.command)}, wanted one of {known}"))
    elif command.command != "ack":  # its target is an alert's subject
        kinds = _TARGETS[command.command]
        names = [s.name for s in deployment.plugins if kinds is None or s.manifest.kind in kinds]
        wanted = "a plugin" if kinds is None else "a plugin that trades"
        if command.target not in names and (command.target or kinds is None):
            text = f"met {quoted(command.target)}, wanted the name of {wanted}"
            found.append(Finding((*path, "target"), text, f"there are {', '.join(names) or 'none'}"))
    return found


def outside_class(use: str) -> Any:
    """Return the class that ``package.module:Class`` names."""
    module, _, name = use.partition(":")
    return getattr(import_module(module), name)


def _is_embedded(spec: PluginSpec) -> bool:
    if spec.run != "inprocess":
        return spec.manifest.embedded
    return bool(load_class(spec.manifest).embedded)  # type: ignore[attr-defined]


def _no_messages(fault: Fault, deployment: Deployment, path: KeyPath) -> list[Finding]:
    """Return why a message fault can befall nothing: what is inside the process loses no messages."""
    matching = [spec for spec in deployment.plugins if fnmatchcase(spec.name, fault.plugin)]
    inside = [s.name for s in matching if s.manifest.kind == "venue" and _is_embedded(s)]
    if fault.plugin in inside:
        text = f"{fault.plugin} is a market inside the process, whose messages nothing can {fault.kind}"
        return [Finding((*path, "plugin"), text, "name a feed, or a venue outside")]
    if any(spec.manifest.kind in ("feed", "venue") and spec.name not in inside for spec in matching):
        return []
    outside = [s.name for s in deployment.plugins if s.manifest.kind == "feed"]
    text = f"{quoted(fault.plugin)} matches no feed and no venue outside"
    return [Finding((*path, "plugin"), text, f"feeds are {', '.join(outside) or 'none'}")]


def _no_handler(fault: Fault, deployment: Deployment, path: KeyPath) -> list[Finding]:
    matching = [spec for spec in deployment.plugins if fnmatchcase(spec.name, fault.plugin)]
    if not matching:
        names = ", ".join(spec.name for spec in deployment.plugins)
        return [Finding((*path, "plugin"), f"{quoted(fault.plugin)} matches no plugin", f"there are {names}")]
    if any(hasattr(load_class(spec.manifest), fault.handler) for spec in matching):
        return []
    return [Finding((*path, "handler"), f"no {quoted(fault.handler)} in {', '.join(s.name for s in matching)}")]
