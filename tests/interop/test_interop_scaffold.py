"""A new venue and a new strategy in Go and in Node conform at once, built as their own instructions say."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from penstock_sdk.cli.main import main
from penstock_sdk.scaffold.writing import FAR_KINDS, write_plugin

pytestmark = pytest.mark.interop

ROOT = Path(__file__).resolve().parents[2]
NODE_MODULES = ROOT / ".cache" / "node" / "node_modules"


def build_go(folder: Path) -> None:
    """Build it with the script that came with it."""
    if shutil.which("go") is None or not Path("/usr/share/gocode/src/github.com/hashicorp/go-plugin").is_dir():
        pytest.skip("no Go with go-plugin; run tools/interop.sh")
    environment = {**os.environ, "GOFLAGS": "", "GOCACHE": str(ROOT / ".cache" / "go-build")}
    built = subprocess.run(["./build.sh"], cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stderr[:4_000]


def install_node(folder: Path) -> None:
    """Put beside it what `npm install` fetches."""
    if shutil.which("node") is None or not NODE_MODULES.is_dir():
        pytest.skip("no Node with its packages; run tools/interop.sh")
    shutil.copytree(NODE_MODULES, folder / "node_modules", ignore=shutil.ignore_patterns("@types", "*.map", ".bin"))
    shutil.copytree(folder / "penstock", folder / "node_modules" / "penstock-plugin")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", FAR_KINDS)
@pytest.mark.parametrize(("language", "prepare"), [("go", build_go), ("node", install_node)], ids=["go", "node"])
def test_a_new_plugin_in_another_language_conforms(
    kind: str, language: str, prepare, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    made = write_plugin(f"new_{kind}", kind, language, tmp_path)
    prepare(made.folder)
    assert main(["plugin", "check", str(made.folder)], []) == 0
    assert main(["conform", str(made.folder), "--quiet"], []) == 0, capsys.readouterr().out
    assert "0 failed" in capsys.readouterr().out
