"""What a plugin says of itself before any of its code is imported: the `[[plugin]]` tables of a `plugin.toml`.

`discovery` finds the files; this module says what stands in them and refuses what does not fit, every fault at once.
What no single key can tell is in `manifest_checks`; the JSON Schema for editors is made by `manifest_schema`.
"""

import json
import platform
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, TypeAlias, get_args

import msgspec
from msgspec import Meta, Struct

from penstock_sdk.typed import Finding, KeyPath, check_typed, format_path

__all__ = [
    "AMEND_RULES",
    "CONDITIONS",
    "KINDS",
    "MANIFEST_NAME",
    "ORDER_KINDS",
    "PLATFORMS",
    "TRADER_KINDS",
    "ContractRange",
    "ManifestError",
    "ManifestFile",
    "ManifestProblem",
    "ManifestSource",
    "Needs",
    "PluginEntry",
    "PluginManifest",
    "Resources",
    "RestartPolicy",
    "VenueOffer",
    "config_schema_text",
    "contract_major",
    "parse_contract",
    "parse_manifest",
    "stays_inside",
    "this_platform",
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
TRADER_KINDS: tuple[str, ...] = ("strategy", "execution")

_OrderKind: TypeAlias = Literal["limit", "ioc", "fok", "market"]
_Condition: TypeAlias = Literal["post_only", "iceberg", "all_or_none", "good_till_time", "linked", "stop"]
_Amend: TypeAlias = Literal["none", "cancel_replace", "native"]
_OnDisconnect: TypeAlias = Literal["none", "emulated", "native"]
_Platform: TypeAlias = Literal["linux-x86_64", "linux-aarch64", "darwin-x86_64", "darwin-aarch64"]
ORDER_KINDS: tuple[str, ...] = get_args(_OrderKind)
"""How an order is executed, as `OrderKind` has it, in lower case."""
CONDITIONS: tuple[str, ...] = get_args(_Condition)
AMEND_RULES: tuple[str, ...] = get_args(_Amend)
"""From the least to the most; so are the rules of cancel_on_disconnect: none, emulated, native."""
PLATFORMS: tuple[str, ...] = get_args(_Platform)

_Text = Annotated[str, Meta(min_length=1)]
_Topic = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.*?\[\]-]+$", examples=["market.quote", "market.*"])]
_Capability = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", examples=["orders.write"])]
_Permission = Annotated[
    str,
    Meta(
        pattern=r"^(read:(/.+|deployment)|write:(/.+|data)|(tcp|listen):[0-9]{1,5}|secret:[A-Za-z_][A-Za-z0-9_]*)$",
        examples=["read:/folder", "read:deployment", "write:/folder", "write:data", "tcp:443", "listen:8080",
                  "secret:NAME"],
    ),
]  # fmt: skip
_Words = tuple[_Text, ...]
_CONTRACT = re.compile(r"(?P<kind>[a-z]+)/(?P<low>[0-9]{1,6})(\.\.(?P<high>[0-9]{1,6}))?")
_DOTTED = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"
_ClassPath = Annotated[str, Meta(pattern=f"^({_DOTTED}:{_DOTTED})?$", examples=["your_package.module:YourClass"])]


class RestartPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """How a failed plugin comes back, and when it no longer does.

    A restart waits *backoff_s*, doubled at each further crash up to *backoff_s_max*; *max_crashes* within *window_s*
    puts the plugin into quarantine. Zero crashes allowed means quarantine at the first.
    """

    max_crashes: Annotated[int, Meta(ge=0, le=1_000_000, description="crashes in the window that it survives")] = 5
    window_s: Annotated[float, Meta(gt=0, description="length of the window, in seconds")] = 60.0
    backoff_s: Annotated[float, Meta(ge=0, description="wait before the first restart, in seconds, then doubled")] = (
        0.25
    )
    backoff_s_max: Annotated[float, Meta(ge=0, description="longest wait, in seconds")] = 30.0


class Resources(Struct, frozen=True, forbid_unknown_fields=True):
    """The most that a plugin's process may take of the machine; 0 is no limit, but one of processes."""

    memory_mb: Annotated[int, Meta(ge=0, le=1 << 24, description="writable memory, in MiB")] = 0
    cpu_s: Annotated[int, Meta(ge=0, le=1 << 31, description="processor time of a whole life, in seconds")] = 0
    open_files: Annotated[int, Meta(ge=0, le=1 << 20, description="open files and sockets")] = 0
    processes: Annotated[int, Meta(ge=0, le=1 << 20, description="processes, threads not counted; 0 means one")] = 0
    disk_mb: Annotated[
        int, Meta(ge=0, le=1 << 24, description="what its data folder and its caches may hold, in MiB")
    ] = 0


class VenueOffer(Struct, frozen=True, forbid_unknown_fields=True):
    """What a venue can do with an order; `penstock check` holds the needs of strategies against it."""

    order_kinds: Annotated[tuple[_OrderKind, ...], Meta(min_length=1, description="kinds of orders that it takes")]
    real_money: Annotated[bool, Meta(description="whether a fill there binds anybody to pay")]
    conditions: Annotated[tuple[_Condition, ...], Meta(description="conditions of orders that it takes")] = ()
    amend: Annotated[
        _Amend,
        Meta(description="how an order is changed: not at all, by a cancel and a new order, or in its place"),
    ] = "none"
    throttle_per_s: Annotated[
        float | None, Meta(description="orders and cancels that it takes in a second; left out: as many as come")
    ] = None
    cancel_on_disconnect: Annotated[
        _OnDisconnect,
        Meta(description="who cancels when the connection breaks: nobody, the adapter at its return, or the market"),
    ] = "none"


class Needs(Struct, frozen=True, forbid_unknown_fields=True):
    """What a strategy cannot do without: each must be offered by a venue of the deployment."""

    order_kinds: Annotated[tuple[_OrderKind, ...], Meta(description="kinds of orders that it sends")] = ()
    conditions: Annotated[tuple[_Condition, ...], Meta(description="conditions that its orders carry")] = ()
    amend: Annotated[_Amend, Meta(description="the least that will do: any way to amend, or native")] = "none"
    cancel_on_disconnect: Annotated[_OnDisconnect, Meta(description="the least that will do: any way, or native")] = (
        "none"
    )
    orders_per_s: Annotated[float, Meta(ge=0, description="orders and cancels that it sends in a second")] = 0.0


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


class PluginEntry(Struct, frozen=True, kw_only=True):
    """The keys of one `[[plugin]]` table."""

    id: Annotated[
        str,
        Meta(pattern=r"^[a-z][a-z0-9_]*$", examples=["market_maker"], description="the name that `use` gives"),
    ]
    version: Annotated[_Text, Meta(description="the plugin's version; its first number is told with every order")]
    kind: Annotated[PluginKind, Meta(description="what it is; the base class of this kind is its contract")]
    contract: Annotated[
        _Text, Meta(description="majors of the contract that it speaks, as kind/min..max", examples=["venue/1..1"])
    ]
    class_path: Annotated[_ClassPath, Meta(description="the class, as package.module:Class; this or `command`")] = (
        msgspec.field(name="class", default="")
    )
    command: Annotated[
        _Words | dict[str, _Words],
        Meta(description="what is run, word by word, or that by platform; a path with / is found beside the manifest"),
    ] = ()
    description: Annotated[str, Meta(description="one line for people")] = ""
    topics_in: Annotated[tuple[_Topic, ...], Meta(description="topics that it hears, as patterns")] = ()
    topics_out: Annotated[tuple[_Topic, ...], Meta(description="topics that it may say, as patterns")] = ()
    config_schema: (
        Annotated[_Text, Meta(description="file with the JSON Schema of its config, beside the manifest")] | None
    ) = None
    capabilities: Annotated[
        tuple[_Capability, ...], Meta(description="what it is trusted with: `orders.write` lets it send orders")
    ] = ()
    permissions: Annotated[
        tuple[_Permission, ...], Meta(description="what a process of it may reach; all else is closed to it")
    ] = ()
    resources: Annotated[Resources, Meta(description="the most that its process may take")] = Resources()
    restart: Annotated[RestartPolicy, Meta(description="how it comes back after a failure")] = RestartPolicy()
    deterministic: Annotated[
        bool, Meta(description="false: what it says is recorded and played back, not asked again")
    ] = True
    exclusive: Annotated[
        bool, Meta(description="true: a new version starts only after the old one has ended (a port, a login)")
    ] = False
    embedded: Annotated[bool, Meta(description="venues: the market place itself is in the plugin")] = False
    venue: Annotated[VenueOffer, Meta(description="venues: what it can do with an order")] | None = None
    needs: Annotated[Needs, Meta(description="strategies and execution: what they cannot do without")] | None = None


class PluginManifest(PluginEntry, frozen=True, kw_only=True):
    """One `[[plugin]]` table, checked: who the plugin is, what it speaks, hears, says and may do.

    `contract` is "kind/min..max" in majors; `class_path` (key `class`) is "package.module:Class", "" for a plugin that
    is a `command`; topics are fnmatch patterns; `config_schema` is a path beside the manifest. `permissions` read
    `read:/path`, `read:deployment`, `write:/path`, `write:data`, `tcp:PORT`, `listen:PORT` or `secret:NAME`. With
    `deterministic` false a replay feeds back what the plugin said instead of asking it again.
    """

    source: ManifestSource

    @property
    def contract_range(self) -> ContractRange:
        """Return the contract's kind and its majors."""
        parsed = parse_contract(self.contract)
        assert parsed is not None, self.contract
        return parsed

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the names of the secrets that the plugin is given."""
        return tuple(p.removeprefix("secret:") for p in self.permissions if p.startswith("secret:"))

    def command_for(self, platform_name: str = "") -> tuple[str, ...]:
        """Return the words to run on a platform (default: this one); () for a plugin that is a class.

        A first word with a "/" is made a path in the manifest's folder; another is looked up by whoever runs it. The
        command is to be run in the manifest's folder, so that paths among the other words are found.

        Raises:
            ManifestError: it has no command for that platform; names those it has.
        """
        wanted = platform_name or this_platform()
        words = self.command.get(wanted, ()) if isinstance(self.command, dict) else self.command
        if not words and self.command:
            path: KeyPath = ("plugin", self.source.entry_at, "command")
            text = f"{self.id} has no command for {wanted}, met {', '.join(self.command)}"
            way_out = "get a package of it that is built for this machine"
            raise ManifestError(
                [ManifestProblem(self.source.file, path, text, way_out, self.source.distribution, self.id)]
            )
        if words and "/" in words[0]:
            return (str(Path(self.source.folder) / words[0]), *words[1:])
        return tuple(words)

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
    findings = [_below_plugin(finding, source) for finding in check_typed(tree, ManifestFile)]
    entries = tree.get("plugin")
    if not isinstance(entries, list):
        entries = []
    else:
        if not entries:
            findings.append(Finding(("plugin",), "no plugin is declared", "add a [[plugin]] table"))
        from penstock_sdk.manifest_checks import cross_checks  # it needs the names above

        findings += cross_checks(entries, Path(source.folder), {f.path for f in findings})
    if findings:
        ids = [entry.get("id") if isinstance(entry, dict) else None for entry in entries]
        raise ManifestError([_fault(source, finding, ids) for finding in findings])
    return [
        msgspec.convert(
            {**entry, "source": msgspec.structs.replace(source, entry_at=at)}, PluginManifest, from_attributes=True
        )
        for at, entry in enumerate(tree["plugin"])
    ]


def _below_plugin(finding: Finding, source: ManifestSource) -> Finding:
    """Return the finding of a key that belongs into a `[[plugin]]` table, and stands beside it, with how it is said."""
    tables = ("venue", "needs", "resources", "restart")
    name = finding.path[0] if len(finding.path) == 1 else ""
    if name not in tables:
        return finding
    way_out = f"write [plugin.{name}] below the [[plugin]] that it belongs to"
    if source.file.endswith(".py"):
        way_out = f"write # [[plugin]] above the first key, and # [plugin.{name}] in place of # [{name}]"
    return Finding(finding.path, "stands outside of its plugin", way_out)


def contract_major(manifest: PluginManifest, contracts: Mapping[str, Collection[int]]) -> int | None:
    """Return the highest contract major that both sides speak, or None."""
    wanted = manifest.contract_range
    return max((m for m in contracts.get(wanted.kind, ()) if wanted.major_min <= m <= wanted.major_max), default=None)


def config_schema_text(config_type: type[Struct]) -> str:
    """Return the JSON Schema of a config type as the text to package: stable key order, newline at the end."""
    return json.dumps(msgspec.json.schema(config_type), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


class ManifestFile(Struct, frozen=True):
    """The whole of a plugin.toml."""

    plugin: Annotated[
        tuple[PluginEntry, ...], Meta(description="one table for each plugin of the folder or distribution")
    ]


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


def parse_contract(contract: str) -> ContractRange | None:
    """Return what "kind/min..max" says, or None when it is not written so."""
    match = _CONTRACT.fullmatch(contract)
    if match is None:
        return None
    return ContractRange(match["kind"], int(match["low"]), int(match["high"] or match["low"]))


def this_platform() -> str:
    """Return this machine's platform as manifests name it: `linux-x86_64`."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}-{ {'amd64': 'x86_64', 'arm64': 'aarch64'}.get(machine, machine) }"


def stays_inside(resource: str) -> bool:
    """Return whether *resource* is a relative path that does not climb out of its folder."""
    path = PurePosixPath(resource)
    return resource != "" and not path.is_absolute() and ".." not in path.parts
