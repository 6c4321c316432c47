"""How a plugin's process is started: its command, environment and rights, out of plugins.toml and its manifest."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from penstock_kernel.deployment import Deployment, PluginSpec
from penstock_kernel.problems import HostError
from penstock_sdk.manifest import ManifestError
from penstock_sdk.packages import PackageError, interpreter_of
from penstock_sdk.process.envelope import ENV_SOCKET, ENV_TOKEN
from penstock_sdk.process.permissions import PermissionsError, confinement_for, named_secrets, plugin_environment
from penstock_sdk.process.spawn import Confinement

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Command", "HostError", "cache_folder", "command_for"]


class Command(msgspec.Struct, frozen=True):
    """What is run, with what environment, where, and with what rights (None: those of the bridge, which confines)."""

    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    confinement: Confinement | None


def cache_folder(spec: PluginSpec, env: Mapping[str, str] = os.environ) -> Path:
    """Return the folder where compiled code of just this plugin and version is kept from run to run."""
    base = Path(env.get("PENSTOCK_CACHE") or env.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "penstock" / "plugins" / f"{spec.manifest.id}-{spec.manifest.version}"


def command_for(spec: PluginSpec, deployment: Deployment, socket_path: str, token: str, data_folder: Path) -> Command:
    """Return how the process of *spec* is started, so that it connects to the socket with the token.

    Raises:
        HostError: a permission, a secret or a command that cannot be had.
    """
    manifest = spec.manifest
    caches = cache_folder(spec)
    for folder in (data_folder, caches):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    ours = {ENV_SOCKET: socket_path, ENV_TOKEN: token}
    if spec.run == "remote":
        return _bridge(spec, deployment, ours)
    try:
        python = spec.python or interpreter_of(manifest.source.folder) or sys.executable
        words = manifest.command_for()
        confinement = confinement_for(
            manifest.permissions, manifest.resources, plugin_folder=manifest.source.folder, data_folder=data_folder,
            interpreter=None if words else python, deployment_folder=deployment.files_folder,
        )  # fmt: skip
        own = plugin_environment(data_folder) | named_secrets(manifest.permissions, spec.secrets)
    except (PermissionsError, ManifestError, PackageError) as error:
        raise HostError(f"plugin {spec.name}: {error}") from error
    # Compiled code is kept where this plugin alone writes: another's could be run in its place.
    confinement = msgspec.structs.replace(
        confinement,
        write=(*confinement.write, str(caches)),
        disk_folders=(*confinement.disk_folders, str(caches)) if confinement.disk_bytes else (),
    )
    own |= {"NUMBA_CACHE_DIR": str(caches / "numba")}
    own |= {name: os.environ[name] for name in ("PENSTOCK_NO_JIT",) if name in os.environ}
    if not words:
        words = (python, "-m", "penstock_sdk.process", _target(spec))
    if spec.lane == "socket" or (spec.lane is None and not manifest.command):
        return Command(words, own | ours, str(data_folder), confinement)
    first = words[0] if "/" in words[0] else shutil.which(words[0])
    if first is None or not os.access(first, os.X_OK):
        raise HostError(f"plugin {spec.name}: command {words[0]} is not there or cannot be run; wanted an executable")
    cwd = manifest.source.folder if manifest.command else str(data_folder)
    return _bridge(spec, deployment, ours, (first, *words[1:]), own, cwd, confinement)


def _target(spec: PluginSpec) -> str:
    manifest, source = spec.manifest, spec.manifest.source
    if source.file.endswith(".py"):  # a single file, which carries its manifest
        return f"{Path(source.folder) / Path(source.file).name}:{manifest.class_path.partition(':')[2]}"
    return manifest.class_path if source.distribution else f"{source.folder}:{manifest.id}"


def _bridge(
    spec: PluginSpec, deployment: Deployment, ours: dict[str, str], words: tuple[str, ...] = (),
    own: dict[str, str] | None = None, cwd: str = "", confinement: Confinement | None = None,
) -> Command:  # fmt: skip
    from penstock_kernel.bridge.plan import BridgePlan, PlanTls, bridge_argv, bridge_environment

    tls = None
    if spec.tls is not None:
        folder = deployment.files_folder
        tls = PlanTls(*(str(folder / file) for file in (spec.tls.ca, spec.tls.cert, spec.tls.key)))
    plan = BridgePlan(
        argv=words, cwd=cwd, env=own or {}, confinement=confinement, address=spec.address or "", tls=tls,
        start_s=max(1.0, spec.start_s - 2.0),
    )  # fmt: skip
    env = ours | bridge_environment(plan)
    if "PYTHONPATH" in os.environ:
        env["PYTHONPATH"] = os.environ["PYTHONPATH"]
    return Command(tuple(bridge_argv(sys.executable)), env, os.getcwd(), None)
