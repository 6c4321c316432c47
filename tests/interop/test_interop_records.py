"""Go and JavaScript read and write the committed bytes of every record, and what protoc makes for Go is current."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from penstock_sdk.languages import folder
from penstock_sdk.wire import messages
from tests.interop.conftest import ROOT, go_environment

pytestmark = pytest.mark.interop
GOLDEN = str(ROOT / "sdk" / "tests" / "golden" / "records.json")


def test_go_reads_and_writes_the_committed_bytes(gopath: Path) -> None:
    environment = go_environment(gopath) | {"PENSTOCK_GOLDEN": GOLDEN}
    for command in (["go", "vet", "penstock"], ["go", "test", "-count=1", "-v", "penstock"]):
        done = subprocess.run(command, env=environment, cwd=gopath, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "SKIP" not in done.stdout and done.stdout.count("--- PASS") >= 4


def test_go_is_formatted() -> None:
    done = subprocess.run(["gofmt", "-l", str(folder("go"))], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_node_reads_and_writes_the_committed_bytes() -> None:
    command = ["node", "--test", "--test-reporter=tap", str(folder("node") / "golden.test.js")]
    done = subprocess.run(
        command, env={**os.environ, "PENSTOCK_GOLDEN": GOLDEN}, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "\n# fail 0\n" in done.stdout and "\n# skipped 0\n" in done.stdout


def test_generated_go_messages_are_current(tmp_path: Path) -> None:
    if shutil.which("protoc-gen-go") is None:
        pytest.skip("no protoc-gen-go; run tools/interop.sh")
    wire = Path(messages.__file__).parent
    options = "plugins=grpc,import_path=pluginv1,paths=source_relative"
    subprocess.run(
        ["protoc", f"-I{wire}", f"--go_out={options}:{tmp_path}", str(wire / "plugin.proto")], check=True, timeout=60
    )
    kept = folder("go") / "penstock" / "pluginv1" / "plugin.pb.go"
    assert (tmp_path / "plugin.pb.go").read_text("utf-8") == kept.read_text("utf-8"), (
        f"write it with protoc --go_out={options}:sdk/penstock_sdk/languages/go/penstock/pluginv1"
    )
