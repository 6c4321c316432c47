"""A Python environment of its own for each installed plugin that brings wheels or requirements.

Made by uv where it is there, else by `venv` and pip. Two plugins that ask for the very same share one: an environment
is kept by the digest of what it was asked for. What a plugin pins changes neither the host's packages nor another's.
"""

import contextlib
import fcntl
import hashlib
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from penstock_sdk.packages.archive import LIST_NAME, PackageError, Progress, file_sha256

__all__ = ["Environment", "environment_of", "interpreter_of", "make_environment", "needs_environment"]

REQUIREMENTS_NAME = "requirements.txt"
WHEELS_FOLDER = "wheels"
_MADE = "penstock-made"
_HOST = "penstock_host.pth"
_INSTALL_S = 600


class Environment(Struct, frozen=True):
    """An environment: its folder, its Python, the tool that made it, and whether the host's packages follow its own."""

    folder: str
    interpreter: str
    by: str
    layered: bool


def needs_environment(package: Path) -> bool:
    """Return whether a package asks for an environment: it has wheels, or requirements.txt."""
    return bool(_wheels(package)) or (package / REQUIREMENTS_NAME).is_file()


def environment_of(package: str | Path, folder: str | Path) -> Environment | None:
    """Return the environment that was made for an installed package, None when it needs none.

    Args:
        package: its folder.
        folder: the folder of plugins.

    Raises:
        PackageError: it needs one, and there is none.
    """
    if not needs_environment(Path(package)):
        return None
    place = _place(Path(package), Path(folder))
    if not (place / _MADE).is_file():
        raise PackageError(f"{package} has no environment of its own yet; run `penstock plugin install` again")
    return _read(place)


def interpreter_of(package: str | Path) -> str:
    """Return the Python of an installed package's environment; "" when it needs none, or is no installed package.

    Args:
        package: its folder, below a folder of plugins.

    Raises:
        PackageError: it needs an environment, and there is none.
    """
    package = Path(package)
    if package.parent.name != "packages" or not (package / LIST_NAME).is_file():
        return ""
    found = environment_of(package, package.parent.parent)
    return found.interpreter if found is not None else ""


def make_environment(
    package: str | Path, folder: str | Path, *, uv: str | None = None, progress: Progress | None = None
) -> Environment:
    """Make a package's environment, or return the one that is there.

    Wheels in the package's `wheels` folder are installed; with wheels, requirements are looked up among them alone, so
    nothing is fetched. A package that asks for `penstock-sdk` gets an environment that is all its own; another's own
    packages come first, and the host's SDK and what that needs follow.

    Args:
        package: its folder.
        folder: the folder of plugins.
        uv: the uv to use, "" for none; None: the one in PATH, if any.
        progress: told of the steps.

    Raises:
        PackageError: a tool failed; says what it said.
    """
    package, folder = Path(package), Path(folder)
    place = _place(package, folder)
    place.parent.mkdir(parents=True, exist_ok=True)
    with _locked(place.with_suffix(".lock")):
        if (place / _MADE).is_file():
            return _read(place)
        shutil.rmtree(place, ignore_errors=True)  # one that broke off
        uv = (shutil.which("uv") or "") if uv is None else uv
        try:
            _make(package, place, uv, progress or (lambda *_: None))
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        return _read(place)


def _make(package: Path, place: Path, uv: str, progress: Progress) -> None:
    python = str(place / "bin" / "python")
    wheels, requirements = _wheels(package), package / REQUIREMENTS_NAME
    progress(f"environment made by {'uv' if uv else 'venv, for there is no uv'}", 0, 2)
    if uv:
        _run([uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(place)], package)
        pip = [uv, "pip", "install", "--quiet", "--python", python]
    else:
        _run([sys.executable, "-m", "venv", str(place)], package)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if layered := not _asks_for_sdk(package):
        host = _host_packages()  # the folder, after our own; and what stands in its own .pth files
        (_site_packages(place) / _HOST).write_text(f"{host}\nimport site; site.addsitedir({host!r})\n")
    progress("packages installed", 1, 2)
    # A layered environment finds the SDK and numpy at the host; its own wheels must not ask for them again.
    offline = ["--no-index", "--find-links", str(package / WHEELS_FOLDER)] if wheels else []
    if requirements.is_file():
        _run([*pip, *offline, "-r", str(requirements)], package)
    if wheels:
        _run([*pip, *offline, *(["--no-deps"] if layered else []), *map(str, wheels)], package)
    progress("environment is ready", 2, 2)
    (place / _MADE).write_text(f"{'uv' if uv else 'venv'}\n{int(layered)}\n")


def _read(place: Path) -> Environment:
    by, layered = (place / _MADE).read_text().split()
    return Environment(str(place), str(place / "bin" / "python"), by, layered == "1")


def _place(package: Path, folder: Path) -> Path:
    return folder.resolve() / "environments" / _digest(package)[:32]


def _digest(package: Path) -> str:
    """Return what tells one environment from another: its wheels, its requirements, the Python, the host if layered."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {sysconfig.get_platform()}".encode())
    files = [*_wheels(package), package / REQUIREMENTS_NAME]
    for path in files:
        digest.update(f"{path.name} {file_sha256(path) if path.is_file() else ''}\n".encode())
    if not _asks_for_sdk(package):
        digest.update(_host_packages().encode())
    return digest.hexdigest()


def _wheels(package: Path) -> list[Path]:
    return sorted((package / WHEELS_FOLDER).glob("*.whl"))


def _asks_for_sdk(package: Path) -> bool:
    requirements = package / REQUIREMENTS_NAME
    lines = requirements.read_text("utf-8", "replace").splitlines() if requirements.is_file() else []
    names = [line.strip() for line in lines] + [path.name for path in _wheels(package)]
    return any(name.replace("_", "-").lower().startswith("penstock-sdk") for name in names)


def _host_packages() -> str:
    """Return the folder of the packages that this SDK was installed with."""
    return sysconfig.get_paths()["purelib"]


def _site_packages(place: Path) -> Path:
    return next(iter(place.glob("lib/python*/site-packages")))


def _run(words: Sequence[str], package: Path) -> None:
    try:
        # In the package's folder a file of its could steer the tool; in ours, a stranger's.
        ran = subprocess.run(words, capture_output=True, text=True, timeout=_INSTALL_S, check=False, cwd="/")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PackageError(f"{package.name}: no environment: {error}; install uv, or mend what it says") from error
    if ran.returncode:
        said = (ran.stderr.strip() or ran.stdout.strip())[-2000:]
        tool = " ".join(Path(word).name if "/" in word else word for word in words[:3])
        raise PackageError(f"{package.name}: no environment, {tool} ended with {ran.returncode}: {said}")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock file, so that two installations do not make one environment at the same time."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
