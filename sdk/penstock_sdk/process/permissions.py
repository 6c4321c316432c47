"""What a manifest's permissions come to on this machine: paths, ports and secrets of one plugin's process."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from penstock_sdk.manifest import Resources
from penstock_sdk.process.spawn import Confinement

__all__ = ["PermissionsError", "confinement_for", "named_secrets", "plugin_environment"]

_MIB = 1 << 20
_SECRET_BYTES_MAX = 64 << 10

# What nearly every program reads: its libraries, time zones, certificates, how names are looked up, what machine it is.
_SYSTEM = (
    "/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/ssl", "/etc/pki", "/etc/ca-certificates",
    "/etc/resolv.conf", "/run/systemd/resolve", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf",
    "/etc/services", "/etc/protocols", "/etc/localtime", "/etc/timezone", "/etc/mime.types", "/proc/self",
    "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/vm", "/sys/devices/system/cpu", "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
)  # fmt: skip

_LOCKS = "/dev/shm"
"""Where processes that work together, as those of `ctx.submit`, have their locks."""


class PermissionsError(ValueError):
    """A permission or a secret of a plugin cannot be given; the text has a line for each, and no secret."""


def confinement_for(
    permissions: Iterable[str],
    resources: Resources,
    *,
    plugin_folder: str | Path,
    data_folder: str | Path,
    socket_folder: str | Path | None = None,
    interpreter: str | Path | None = None,
    deployment_folder: str | Path | None = None,
) -> Confinement:
    """Return what a plugin's process may do.

    Args:
        permissions: the manifest's, as `read:/path`, `write:/path`, `tcp:443`, `listen:9000`, `read:deployment`.
        resources: the manifest's; `processes` 0 means 1: none beside its own. With more they share locks in /dev/shm.
        plugin_folder: where the plugin's own files are; it reads them.
        data_folder: of this instance of it; it reads and writes there.
        socket_folder: where it makes the socket that it serves; None when it serves none. It may delete what is there,
            so each plugin gets a folder of its own.
        interpreter: the Python that runs it, whose environment it reads; None for other commands.
        deployment_folder: of `read:deployment`.

    Raises:
        PermissionsError: a permission that is not known, or a port beyond 65535; names each.
    """
    read = [*_SYSTEM, str(plugin_folder)]
    write = [str(data_folder)]
    if interpreter is not None:
        read += _environment_folders(Path(interpreter))
    if socket_folder is not None:
        write.append(str(socket_folder))
    if resources.processes > 1:
        write.append(_LOCKS)
    ports: dict[str, list[int]] = {"tcp": [], "listen": []}
    faults = []
    for permission in permissions:
        verb, _, what = permission.partition(":")
        if verb in ports and what.isdigit() and 0 < int(what) < 1 << 16:
            ports[verb].append(int(what))
        elif permission == "read:deployment" and deployment_folder is not None:
            read.append(str(deployment_folder))
        elif verb in ("read", "write") and what.startswith("/"):
            (read if verb == "read" else write).append(os.path.normpath(what))
        elif verb != "secret" and permission not in ("write:data", "read:deployment"):
            faults.append(f'permission "{permission}" is none; write read:/path, write:/path, tcp:PORT or listen:PORT')
    if faults:
        raise PermissionsError("\n".join(faults))
    return Confinement(
        read=tuple(dict.fromkeys(read)),
        write=tuple(dict.fromkeys(write)),
        connect_ports=tuple(ports["tcp"]),
        bind_ports=tuple(ports["listen"]),
        memory_bytes=resources.memory_mb * _MIB,
        cpu_s=resources.cpu_s,
        open_files=resources.open_files,
        processes=resources.processes or 1,
        disk_bytes=resources.disk_mb * _MIB,
        disk_folders=(str(data_folder),) if resources.disk_mb else (),
    )


def plugin_environment(data_folder: str | Path) -> dict[str, str]:
    """Return the variables that keep what a program writes by itself, as caches, inside its data folder."""
    folder = str(data_folder)
    return {"HOME": folder, "TMPDIR": folder, "XDG_CACHE_HOME": f"{folder}/.cache", "PYTHONDONTWRITEBYTECODE": "1"}


def named_secrets(permissions: Iterable[str], table: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that holds the secrets which a plugin declared: `PENSTOCK_SECRET_NAME` to its value.

    Args:
        permissions: the manifest's; `secret:NAME` declares one.
        table: references by name as plugins.toml has them: "env:VARIABLE" of ours, or "file:/path"; a file's last line
            end does not count.

    Raises:
        PermissionsError: a declared secret without reference, a reference that leads nowhere or to nothing, or one
            that the plugin did not declare; a line for each, by name.
    """
    declared = [name for verb, _, name in (text.partition(":") for text in permissions) if verb == "secret"]
    values, faults = {}, []
    for name in declared:
        try:
            if name not in table:
                raise PermissionsError('has no reference; write "env:VARIABLE" or "file:/path" for it')
            values[f"PENSTOCK_SECRET_{name}"] = _resolve(table[name])
        except PermissionsError as error:
            faults.append(f"secret {name} {error}")
    for name in table:
        if name not in declared:
            known = ", ".join(declared) or "none"
            faults.append(f"secret {name} is not declared by the plugin, which declares {known}; remove it")
    if faults:
        raise PermissionsError("\n".join(faults))
    return values


def _resolve(reference: str) -> str:
    """Return what a reference leads to. Its text is shown in errors only when it is a reference, not a value."""
    verb, _, where = reference.partition(":")
    if verb == "env" and where:
        value = os.environ.get(where)
        if value is None:
            raise PermissionsError(f"is env:{where}, and that variable is not set")
    elif verb == "file" and where.startswith("/"):
        try:
            with open(where, "rb") as file:
                value = file.read(_SECRET_BYTES_MAX + 1).decode()
        except (OSError, UnicodeDecodeError) as error:
            cause = error.strerror if isinstance(error, OSError) and error.strerror else "not text in UTF-8"
            raise PermissionsError(f"is file:{where}: {cause.lower()}") from None
        if len(value) > _SECRET_BYTES_MAX:
            raise PermissionsError(f"is file:{where}, which holds more than {_SECRET_BYTES_MAX:,} bytes")
        value = value.removesuffix("\n").removesuffix("\r")
    else:
        raise PermissionsError('is neither "env:VARIABLE" nor "file:/path"; a secret itself stands in no deployment')
    if not value or "\0" in value:
        raise PermissionsError(f"is {verb}:{where}, which is {'empty' if not value else 'not text'}")
    return value


def _environment_folders(interpreter: Path) -> Sequence[str]:
    """Return the folders that a Python reads: its environment, its installation, and what `.pth` files add."""
    prefixes = [interpreter.absolute().parent.parent, interpreter.resolve().parent.parent]
    if interpreter.absolute() == Path(sys.executable).absolute():
        prefixes += [Path(sys.prefix), Path(sys.base_prefix)]
    folders = [prefix for prefix in dict.fromkeys(prefixes) if prefix != Path("/")]
    added: list[Path] = []
    pending = list(folders[0].glob("lib/python*/site-packages"))
    for site in pending:  # one may add another, which has its own
        for file in site.glob("*.pth"):
            lines = file.read_text("utf-8", "replace").splitlines()
            for line in (line.strip() for line in lines):
                path = (site / line).resolve()
                if line and not line.startswith(("#", "import ", "import\t")) and path.is_dir() and path not in added:
                    added.append(path)
                    pending.append(path)
    return [str(folder) for folder in (*folders, *added) if folder != Path("/")]
