"""What a plugin says of itself before any of its code is imported: the `[[plugin]]` tables of a `plugin.toml`.

`discovery` finds the files; this module says what stands in them and refuses what does not fit, every fault at once.
"""

import json
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, TypeAlias, get_args

import msgspec
from msgspec import Meta, Struct

from penstock_sdk.typed import Finding, KeyPath, check_typed, format_path

__all__ = [
    "KINDS",
    "MANIFEST_NAME",
    "ContractRange",
    "ManifestError",
    "ManifestProblem",
    "ManifestSource",
    "PluginManifest",
    "RestartPolicy",
    "config_schema_text",
    "contract_major",
    "parse_manifest",
    "stays_inside",
]

MANIFEST_NAME = "plugin.toml"

PluginKind: TypeAlias = Literal[
    "venue",
    "feed",
    "model",
    "strategy",
    "execution",
    "risk",
    "compliance",
    "portfolio",
    "offload",
    "operations",
    "refdata",
]
KINDS: tuple[str, ...] = get_args(PluginKind)

_Text = Annotated[str, Meta(min_length=1)]
_Topic = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.*?\[\]-]+$", examples=["market.quote", "market.*"])]
_Capability = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", examples=["orders.write"])]
_Permission = Annotated[
    str,
    Meta(
        pattern=r"^(read:/.+|write:/.+|tcp:[0-9]{1,5}|secret:[A-Za-z_][A-Za-z0-9_]*)$",
        examples=["read:/folder", "write:/folder", "tcp:443", "secret:NAME"],
    ),
]
_CONTRACT = re.compile(r"(?P<kind>[a-z]+)/(?P<low>[0-9]{1,6})(\.\.(?P<high>[0-9]{1,6}))?")
_DOTTED = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"
_ClassPath = Annotated[str, Meta(pattern=f"^{_DOTTED}:{_DOTTED}$", examples=["your_package.module:YourClass"])]


class RestartPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """How a failed plugin comes back, and when it no longer does.

    A restart waits *backoff_s*, doubled at each further crash up to *backoff_s_max*; *max_crashes* within *window_s*
    puts the plugin into quarantine. Zero crashes allowed means quarantine at the first.
    """

    max_crashes: Annotated[int, Meta(ge=0, le=1_000_000)] = 5
    window_s: Annotated[float, Meta(gt=0)] = 60.0
    backoff_s: Annotated[float, Meta(ge=0)] = 0.25
    backoff_s_max: Annotated[float, Meta(ge=0)] = 30.0


class ContractRange(Struct, frozen=True):
    """The majors of one kind's contract that a plugin speaks, both ends included."""

    kind: str
    major_min: int
    major_max: int

    def __str__(self) -> str:
        return f"{self.kind}/{self.major_min}..{self.major_max}"


class ManifestSource(Struct, frozen=True):
    """Where a manifest was read: the file, its folder, and the distribution it came with ("" for a path)."""

    file: str
    folder: str
    distribution: str = ""
    distribution_version: str = ""
    entry_at: int = 0

    def __str__(self) -> str:
        return f"{self.distribution} {self.distribution_version} ({self.file})" if self.distribution else self.file


class _Entry(Struct, frozen=True, kw_only=True):
    """The keys of one `[[plugin]]` table."""

    id: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*$", examples=["market_maker"])]
    version: _Text
    kind: PluginKind
    contract: _Text
    class_path: _ClassPath = msgspec.field(name="class")
    topics_in: tuple[_Topic, ...] = ()
    topics_out: tuple[_Topic, ...] = ()
    config_schema: _Text | None = None
    capabilities: tuple[_Capability, ...] = ()
    permissions: tuple[_Permission, ...] = ()
    restart: RestartPolicy = RestartPolicy()
    deterministic: bool = True
    description: str = ""


class PluginManifest(_Entry, frozen=True, kw_only=True):
    """One `[[plugin]]` table, checked: who the plugin is, what it speaks, hears, says and may do.

    `contract` is "kind/min..max" in majors; `class_path` (key `class`) is "package.module:Class"; topics are fnmatch
    patterns; `config_schema` is a path beside the manifest; permissions read `read:/path`, `write:/path`, `tcp:port` or
    `secret:NAME`. With `deterministic` false a replay feeds back what the plugin said instead of asking it again.
    """

    source: ManifestSource

    @property
    def contract_range(self) -> ContractRange:
        """Return the contract's kind and its majors."""
        parsed = _parse_contract(self.contract)
        assert parsed is not None, self.contract
        return parsed

    def config_schema_json(self) -> dict[str, Any] | None:
        """Return the packaged JSON Schema of the plugin's config, or None when it ships none."""
        if self.config_schema is None:
            return None
        schema: dict[str, Any] = json.loads((Path(self.source.folder) / self.config_schema).read_text("utf-8"))
        return schema


class ManifestProblem(Struct, frozen=True):
    """One fault of a manifest: where, what, and the way out; *id* is the plugin's, "" where it is not known."""

    file: str
    path: KeyPath
    message: str
    way_out: str = ""
    distribution: str = ""
    id: str = ""

    def __str__(self) -> str:
        parts = [self.distribution, self.file, format_path(self.path), self.message]
        return ": ".join(part for part in parts if part) + (f"; {self.way_out}" if self.way_out else "")


class ManifestError(Exception):
    """A manifest cannot be used; *problems* holds every fault found, one per line of the text."""

    def __init__(self, problems: Sequence[ManifestProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, problems)))


def parse_manifest(text: str, source: ManifestSource) -> list[PluginManifest]:
    """Return the `[[plugin]]` entries of *text*, in order; *source* says where it was read.

    Raises:
        ManifestError: not TOML, an unknown or missing key, a wrong type, an id twice; holds every fault.
    """
    try:
        tree = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ManifestError([_fault(source, Finding((), f"not TOML: {error}"))]) from error
    findings = check_typed(tree, _File)
    entries = tree.get("plugin")
    if not isinstance(entries, list):
        entries = []
    else:
        if not entries:
            findings.append(Finding(("plugin",), "no plugin is declared", "add a [[plugin]] table"))
        findings += _cross_checks(entries, Path(source.folder), {f.path for f in findings})
    if findings:
        ids = [entry.get("id") if isinstance(entry, dict) else None for entry in entries]
        raise ManifestError([_fault(source, finding, ids) for finding in findings])
    return [
        msgspec.convert(
            {**entry, "source": msgspec.structs.replace(source, entry_at=at)}, PluginManifest, from_attributes=True
        )
        for at, entry in enumerate(tree["plugin"])
    ]


def contract_major(manifest: PluginManifest, contracts: Mapping[str, Collection[int]]) -> int | None:
    """Return the highest contract major that both sides speak, or None."""
    wanted = manifest.contract_range
    return max((m for m in contracts.get(wanted.kind, ()) if wanted.major_min <= m <= wanted.major_max), default=None)


def config_schema_text(config_type: type[Struct]) -> str:
    """Return the JSON Schema of a config type as the text to package: stable key order, newline at the end."""
    return json.dumps(msgspec.json.schema(config_type), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


class _File(Struct, frozen=True):
    plugin: tuple[_Entry, ...]


def _fault(source: ManifestSource, finding: Finding, ids: Sequence[object] = ()) -> ManifestProblem:
    at = finding.path[1] if len(finding.path) > 1 and finding.path[0] == "plugin" else None
    plugin_id = ids[at] if isinstance(at, int) and at < len(ids) else None
    return ManifestProblem(
        source.file,
        finding.path,
        finding.message,
        finding.way_out,
        source.distribution,
        plugin_id if isinstance(plugin_id, str) else "",
    )


def _cross_checks(entries: list[Any], folder: Path, faulty: set[KeyPath]) -> list[Finding]:
    """Return the faults that no single type can see; keys already *faulty* are left alone."""
    findings = []
    first_at: dict[str, int] = {}
    for at, entry in enumerate(entries):
        if not isinstance(entry, dict):
            continue
        where = ("plugin", at)
        plugin_id, contract, kind, schema = (entry.get(key) for key in ("id", "contract", "kind", "config_schema"))
        if isinstance(plugin_id, str) and first_at.setdefault(plugin_id, at) != at:
            text = f'"{plugin_id}" is also the id of plugin[{first_at[plugin_id]}]'
            findings.append(Finding((*where, "id"), text, "rename one of them"))
        sound = not faulty & {(*where, "contract"), (*where, "kind")}
        if isinstance(contract, str) and isinstance(kind, str) and sound:
            findings += _check_contract(contract, kind, (*where, "contract"))
        if isinstance(schema, str) and (*where, "config_schema") not in faulty:
            findings += _check_schema(schema, folder, (*where, "config_schema"))
    return findings


def _check_contract(contract: str, kind: str, path: KeyPath) -> list[Finding]:
    parsed = _parse_contract(contract)
    if parsed is None or not 1 <= parsed.major_min <= parsed.major_max:
        return [Finding(path, f'expected kind/min..max, met "{contract}"', f'write "{kind}/1..1"')]
    if parsed.kind != kind:
        text = f'is of kind {parsed.kind}, but the plugin is of kind {kind}, met "{contract}"'
        return [Finding(path, text, f'write "{kind}/{parsed.major_min}..{parsed.major_max}"')]
    return []


def _parse_contract(contract: str) -> ContractRange | None:
    match = _CONTRACT.fullmatch(contract)
    if match is None:
        return None
    return ContractRange(match["kind"], int(match["low"]), int(match["high"] or match["low"]))


def _check_schema(schema: str, folder: Path, path: KeyPath) -> list[Finding]:
    if not stays_inside(schema):
        text = f'expected a path beside the manifest, met "{schema}"'
        return [Finding(path, text, "package the schema with the plugin")]
    try:
        tree = json.loads((folder / schema).read_text("utf-8"))
    except (OSError, ValueError) as error:
        cause = (error.strerror or str(error)).lower() if isinstance(error, OSError) else f"not JSON: {error}"
        return [Finding(path, f"{folder / schema}: {cause}", "generate it with config_schema_text")]
    return [] if isinstance(tree, dict) else [Finding(path, f"{folder / schema}: expected a JSON object")]


def stays_inside(resource: str) -> bool:
    """Return whether *resource* is a relative path that does not climb out of its folder."""
    path = PurePosixPath(resource)
    return resource != "" and not path.is_absolute() and ".." not in path.parts
