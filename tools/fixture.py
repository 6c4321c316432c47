"""Make the fixture of this version: complete, crashed, and an instance cut in its second session.

They stand in tests/fixtures/runs-VERSION.tar.xz.

Run it once for each release, and commit what it leaves: every later version must read it.
"""

from __future__ import annotations

import shutil
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

from penstock_kernel.instance import Instance
from penstock_kernel.run import Run, RunOptions

FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "fixtures"
CRASH_AFTER_NS = 90 * 60 * 1_000_000_000
"""Of the run's own time: behind its first snapshot, with orders open."""


def main() -> int:
    """Write the archive; refuse to replace one, as what an earlier version wrote cannot be written again."""
    archive = FIXTURES / f"runs-{version('penstock-kernel')}.tar.xz"
    if archive.exists():
        print(f"{archive} is there; give the package its next version first", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in ("complete", "crashed"):
            run = Run.start(FIXTURES / "small.toml", RunOptions(runs_dir=str(folder / "runs"), lake=False))
            if name == "complete":
                run.go()
                run.close()
            else:
                run.kernel.run_simulated(run.info.first_at_ns + CRASH_AFTER_NS)
                run.kernel.write()
                run.abort()
            run.dir.rename(folder / name)
        _instance(folder)
        shutil.rmtree(folder / "runs")
        for unwanted in (*folder.glob("*/journal/lock"), *folder.glob("*/control"), *folder.glob("*/vitals")):
            shutil.rmtree(unwanted) if unwanted.is_dir() else unwanted.unlink()
        with tarfile.open(archive, "w:xz") as file:
            for path in sorted(folder.rglob("*")):
                file.add(path, path.relative_to(folder), recursive=False, filter=_plain)
    print(archive)
    return 0


def _instance(folder: Path) -> None:
    options = RunOptions(runs_dir=str(folder), lake=False, for_s=CRASH_AFTER_NS / 2e9)
    run = Instance.open("desk", FIXTURES / "small.toml", options)
    run.go()
    run.close()
    run = Instance.open("desk", None, options)
    run.kernel.run_simulated(run.kernel.moment.now_ns + CRASH_AFTER_NS // 2)
    run.kernel.write()
    run.abort()


def _plain(item: tarfile.TarInfo) -> tarfile.TarInfo:
    item.uid = item.gid = 0
    item.uname = item.gname = ""
    return item


if __name__ == "__main__":
    sys.exit(main())
