"""What a checked plugins.toml amounts to: run settings, plugin instances in order, topic rules, limits, a digest."""

import fnmatch
import hashlib
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from penstock_kernel.deployment_files import Source
from penstock_kernel.deployment_tables import (
    BreakerTable,
    DeploymentFile,
    Durability,
    JournalSettings,
    Lane,
    RunMode,
    RunSettings,
    TlsTable,
    run_settings,
)
from penstock_kernel.problems import DeploymentError, Problem
from penstock_kernel.strictest import LimitValue
from penstock_kernel.telemetry.settings import TelemetryTable
from penstock_kernel.toml_text import toml_text
from penstock_kernel.warden.settings import HealthTable, WatchdogTable
from penstock_sdk.manifest import PluginManifest, RestartPolicy
from penstock_sdk.typed import KeyPath, check_typed, format_path

__all__ = [
    "DEFAULT_DURABILITY",
    "DEFAULT_LIMIT_RECORDS",
    "Deployment",
    "PluginSpec",
    "TopicRule",
    "deployment_digest",
]

DEFAULT_DURABILITY: Durability = "written"
DEFAULT_LIMIT_RECORDS = 65_536

# These say where a run happens, not what happens in it: the digest leaves them out.
_PLACE_KEYS = {("run", "runs_dir"), ("run", "files_from"), ("journal", "segment_mb")}
_PROCESS_PLACE_KEYS = ("path", "python", "address", "tls", "secrets", "answer_s", "start_s")
_PLACE_TABLES = {"watchdog", "health", "alerts", "telemetry"}


class TopicRule(Struct, frozen=True):
    """One `[topics."pattern"]` table: an fnmatch pattern on topic names; None leaves the word to a wider pattern."""

    pattern: str
    durability: Durability | None = None
    limit: int | None = None

    @property
    def specificity(self) -> tuple[bool, int]:
        """Return the rank of the pattern: a name without wildcards first, then the most plain characters."""
        plain = re.sub(r"\[[^\]]*\]|[*?]", "", self.pattern)
        return (plain == self.pattern, len(plain))


class PluginSpec(Struct, frozen=True):
    """One enabled `[plugins.NAME]` table with the manifest of what it uses.

    *config* keeps references such as `${TOKEN}` unresolved, so a spec can be journaled; `build_config` resolves them.
    *book*, *trader* and *account* go on every order; each is the instance's name where the table names none.
    *lines* holds (file, line) by key below the table: `{"use": ("plugins.toml", 7), "config.levels[0]": …}`; "" is the
    table itself.
    """

    name: str
    manifest: PluginManifest
    run: RunMode
    config: dict[str, Any]
    seed: int | None
    limits: dict[str, LimitValue]
    book: str
    trader: str
    account: str
    lines: dict[str, tuple[str, int]]
    lane: Lane | None = None
    address: str | None = None
    tls: TlsTable | None = None
    python: str | None = None
    """The interpreter of the plugin's own environment; None: the kernel's."""
    sha256: str | None = None
    secrets: dict[str, str] = {}
    """Where each secret is found, by its name: `env:VARIABLE` or `file:/path`."""
    answer_s: float = 10.0
    """How long it may take to answer, in real time, before it counts as failed."""
    start_s: float = 60.0
    answer_ms: int | None = None
    """Of a check: how long an order waits for its verdict in wall time; None: what its kind says."""
    restart: RestartPolicy | None = None
    """In place of the manifest's."""
    breaker: BreakerTable | None = None


class Deployment(Struct, frozen=True):
    """A checked deployment. *tree* is the merged files as written, without includes, references unresolved.

    One that is read from faulty files holds what could be read of it; *whole* is then False where a file or an enabled
    plugin table could not be.
    """

    run: RunSettings
    plugins: tuple[PluginSpec, ...]
    topics: tuple[TopicRule, ...]
    limits: dict[str, LimitValue]
    sources: tuple[Source, ...]
    warnings: tuple[Problem, ...]
    tree: dict[str, Any]
    digest: str
    folder: str
    whole: bool = True
    disabled: tuple[tuple[str, str], ...] = ()
    """Name and kind of each instance that is switched off and whose plugin is known."""
    journal: JournalSettings = JournalSettings()
    watchdog: WatchdogTable = WatchdogTable()
    health: HealthTable = HealthTable()
    telemetry: TelemetryTable = TelemetryTable()
    lines: dict[str, tuple[str, int]] = {}
    """(file, line) by key path: `{"run.zone": ("plugins.toml", 2)}`."""

    def plugin(self, name: str) -> PluginSpec:
        """Return the enabled instance *name*; KeyError when there is none."""
        for spec in self.plugins:
            if spec.name == name:
                return spec
        raise KeyError(f"no enabled plugin {name}; the deployment has {', '.join(spec.name for spec in self.plugins)}")

    def seed_for(self, name: str) -> int:
        """Return the seed of instance *name*: its own, else one derived from the run's seed and the name."""
        own = self.plugin(name).seed
        if own is not None:
            return own
        derived = hashlib.sha256(f"{self.run.seed}/{name}".encode()).digest()
        return int.from_bytes(derived[:8], "little") >> 1

    def place(self, path: KeyPath) -> tuple[str, int]:
        """Return file and line of a key, or of the nearest table around it; the first file's top when there is none."""
        while path and format_path(path) not in self.lines:
            path = path[:-1]
        return self.lines.get(format_path(path), (self.sources[0].file if self.sources else "", 1))

    def durability_for(self, topic: str) -> Durability:
        """Return how *topic* is journaled: by the most specific pattern that says so, of equals the later."""
        for rule in self._rules(topic):
            if rule.durability is not None:
                return rule.durability
        return DEFAULT_DURABILITY

    def limit_for(self, topic: str) -> int:
        """Return the lane limit of *topic* in records: by the most specific pattern that says so."""
        return next((rule.limit for rule in self._rules(topic) if rule.limit is not None), DEFAULT_LIMIT_RECORDS)

    @property
    def files_folder(self) -> Path:
        """Where files that a plugin's config names are found from: `files_from`, by default the deployment's folder."""
        return Path(self.folder) / self.run.files_from

    def as_run_toml(self) -> str:
        """Return one file that starts the same run again: includes merged, paths absolute, no secret resolved.

        Header comments name the files it was made from, with their SHA-256.
        """
        tree = deepcopy(self.tree)
        for table in tree.get("plugins", {}).values():
            path = table.get("path")
            if path is not None and not path.startswith("${"):
                table["path"] = str((Path(self.folder) / path).resolve())
        tree.setdefault("run", {})["files_from"] = str(self.files_folder.resolve())
        made_from = "".join(f"# made from {_comment(source.file)} sha256:{source.sha256}\n" for source in self.sources)
        return f"{made_from}\n{toml_text(tree)}"

    def with_run(self, **changes: Any) -> "Deployment":
        """Return the deployment with some run settings changed, as by `--seed 7`; saved text and digest follow.

        Raises:
            DeploymentError: a value does not fit, or is no run setting.
        """
        findings = check_typed({"run": changes}, DeploymentFile)
        now = {key: value for key, value in msgspec.structs.asdict(self.run).items() if value is not None}
        table = {"run": {**now, **changes}}
        run, more = run_settings(table, table, {finding.path for finding in findings})
        if findings or more:
            raise DeploymentError([Problem("", 0, format_path(f.path), f.message, f.way_out) for f in findings + more])
        tree = {**self.tree, "run": {**self.tree.get("run", {}), **changes}}
        return msgspec.structs.replace(self, run=run, tree=tree, digest=deployment_digest(tree, self.plugins))

    def _rules(self, topic: str) -> list[TopicRule]:
        """Return the rules that match *topic*, the one that wins first."""
        matching = [rule for rule in reversed(self.topics) if fnmatch.fnmatchcase(topic, rule.pattern)]
        return sorted(matching, key=lambda rule: rule.specificity, reverse=True)


def deployment_digest(tree: dict[str, Any], specs: tuple[PluginSpec, ...]) -> str:
    """Return the SHA-256 in hex of what a run does: settings and plugin versions, but not the folders they lie in."""
    tree = deepcopy(tree)
    for table, key in _PLACE_KEYS:
        tree.get(table, {}).pop(key, None)
    for table in ("run", "journal"):
        if not tree.get(table, True):
            del tree[table]
    for table in _PLACE_TABLES:
        tree.pop(table, None)
    for table in tree.get("plugins", {}).values():
        for key in _PROCESS_PLACE_KEYS:
            table.pop(key, None)
    versions = {spec.name: f"{spec.manifest.id} {spec.manifest.version}" for spec in specs}
    return hashlib.sha256(toml_text({"settings": tree, "versions": versions}).encode()).hexdigest()


def _comment(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
