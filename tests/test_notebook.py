"""The notebook and the page on data run from top to bottom on a run, and tell what the run's own summary tells."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from penstock.questions import QUESTIONS
from penstock_kernel.cli.main import main

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
SMALL = """
include = ["{root}/plugins.toml"]

[plugins.exchange.config]
orders_per_day = 40_000
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a short run of the default deployment in ``runs/``."""
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "small.toml").write_text(SMALL.format(root=ROOT))
    arguments = ["run", str(folder / "small.toml"), "--for", "9000", "--quiet", "--runs-dir", str(folder / "runs")]
    assert main(arguments) == 0
    return folder


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_its_outputs(path: Path) -> None:
    assert outputs(nbformat.read(path, 4)) == []


def test_the_first_look_shows_what_the_run_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(folder / name.lower()))
    notebook = nbformat.read(ROOT / "docs" / "notebooks" / "first_look.ipynb", 4)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=100, kernel_name="python3", resources=resources).execute()
    told = outputs(notebook)
    assert [output.text for output in told if output.get("name") == "stderr"] == []
    assert sum("image/png" in output.get("data", {}) for output in told) == 4
    (run_dir,) = (folder / "runs").iterdir()
    summary = json.loads((run_dir / "summary.json").read_text())
    (line,) = [output.text for output in told if output.get("name") == "stdout"]
    found = re.fullmatch(r"read up to event ([\d,]+): (-?[\d.]+) EUR\n", line)
    assert found is not None, line
    assert int(found[1].replace(",", "")) == sum(summary["events"].values())
    assert float(found[2]) == pytest.approx(sum(row["total"] for row in summary["pnl"] if not row["product"]), abs=0.01)


def test_the_python_of_the_page_on_data_runs(folder: Path) -> None:
    scripts = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "data.md").read_text(), re.DOTALL | re.MULTILINE)
    assert len(scripts) == 2
    for script in scripts:
        ran = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        assert "rows, up to event" in ran.stdout


def test_the_page_on_data_names_every_question() -> None:
    page = (ROOT / "docs" / "data.md").read_text()
    assert set(QUESTIONS) | {"table", "sql"} == set(re.findall(r"^\| `(\w+)\(", page, re.MULTILINE))
