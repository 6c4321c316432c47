"""Builds the example plugins of other languages once, as packages in folders of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from penstock_sdk.languages import folder

ROOT = Path(__file__).resolve().parent.parent.parent
NODE_MODULES = ROOT / ".cache" / "node" / "node_modules"
DEBIAN_GO = "/usr/share/gocode"


def go_environment(gopath: Path) -> dict[str, str]:
    """Return what `go` needs to build from Debian's packages and *gopath*, without a network."""
    return {
        **os.environ, "GO111MODULE": "off", "GOPATH": f"{gopath}:{DEBIAN_GO}", "GOFLAGS": "", "CGO_ENABLED": "0",
        "GOCACHE": str(ROOT / ".cache" / "go-build"),
    }  # fmt: skip


@pytest.fixture(scope="session")
def gopath(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GOPATH that holds the package penstock and the example plugins."""
    if shutil.which("go") is None or not Path(DEBIAN_GO, "src/github.com/hashicorp/go-plugin").is_dir():
        pytest.skip("no Go with go-plugin; run tools/interop.sh")
    source = tmp_path_factory.mktemp("gopath") / "src"
    shutil.copytree(folder("go") / "penstock", source / "penstock")
    shutil.copytree(folder("go") / "examples", source / "examples")
    return source.parent


def build_go(gopath: Path, package: str, program: Path) -> None:
    """Build a package of *gopath*."""
    command = ["go", "build", "-o", str(program), package]
    done = subprocess.run(command, env=go_environment(gopath), cwd=gopath, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[:4000]


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> dict[str, Path]:
    """Folders of the plugins by their id, each with its manifest and all that it runs with."""
    made = {}
    place = tmp_path_factory.mktemp("packages")
    for kind in ("venue", "strategy"):
        made[f"go_{kind}"] = place / f"go_{kind}"
        made[f"go_{kind}"].mkdir()
        shutil.copy(folder("go") / "examples" / kind / "plugin.toml", made[f"go_{kind}"])
        build_go(request.getfixturevalue("gopath"), f"examples/{kind}", made[f"go_{kind}"] / kind)
        made[f"node_{kind}"] = node_package(place / f"node_{kind}", folder("node") / "examples" / kind)
    ours = ROOT / "tests" / "interop" / "plugins"
    made["go_outside"] = place / "go_outside"
    made["go_outside"].mkdir()
    shutil.copy(ours / "outside_go" / "plugin.toml", made["go_outside"])
    shutil.copytree(ours / "outside_go", request.getfixturevalue("gopath") / "src" / "outside")
    build_go(request.getfixturevalue("gopath"), "outside", made["go_outside"] / "outside")
    made["node_outside"] = node_package(place / "node_outside", ours / "outside_node")
    return made


def node_package(place: Path, source: Path) -> Path:
    """Make a package of *source* with penstock-plugin and what it needs installed in it."""
    if shutil.which("node") is None or not NODE_MODULES.is_dir():
        pytest.skip("no Node with its packages; run tools/interop.sh")
    shutil.copytree(source, place)
    unused = shutil.ignore_patterns("@types", "undici-types", "*.map", "*.ts", ".bin")
    shutil.copytree(NODE_MODULES, place / "node_modules", ignore=unused)
    shutil.copytree(
        folder("node"), place / "node_modules" / "penstock-plugin", ignore=shutil.ignore_patterns("examples")
    )
    return place


def command_of(package: Path) -> list[str]:
    """Return how the manifest in a package's folder says that it is run, with full paths."""
    import tomllib

    command = tomllib.loads((package / "plugin.toml").read_text(encoding="utf-8"))["plugin"][0]["command"]
    return [str(package / word) if word.startswith("./") else word for word in command]
