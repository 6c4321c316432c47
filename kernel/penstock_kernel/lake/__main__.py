"""``python -m penstock_kernel.lake RUN_DIR [--follow]``: make a run's lake, or follow a running one."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from penstock_kernel.lake.follow import follow, rebuild
from penstock_kernel.lake.writer import LakeError
from penstock_sdk.wire.segment import JournalError


def main(arguments: list[str] | None = None) -> int:
    """Run the lake process; return its exit status: 0, or 1 after one line on standard error."""
    parser = argparse.ArgumentParser(prog="penstock_kernel.lake", description="Make a run's lake from its journal.")
    parser.add_argument("run_dir", type=Path, help="the run's folder")
    parser.add_argument("--follow", action="store_true", help="follow a journal that grows, until the run ends")
    options = parser.parse_args(arguments)
    try:
        if options.follow:
            stop = threading.Event()
            # Ctrl-C in the terminal is for the kernel: it drains, and then tells us.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, lambda *_: stop.set())
            os.nice(5)  # when cores are few, the kernel goes first
            follow(options.run_dir, stop=stop, wait=stop.wait)
        else:
            rebuild(options.run_dir)
    except (LakeError, JournalError, OSError) as error:
        print(f"lake: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
