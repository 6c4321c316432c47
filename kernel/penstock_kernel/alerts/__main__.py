"""``python -m penstock_kernel.alerts RUN_DIR [--once | --test]``: deliver a run's alerts, from a process of its own.

Exit status: 0; 1 when something could not be delivered; 2 for what cannot be used.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from penstock_kernel.alerts.courier import Courier, CourierRunning, try_sinks
from penstock_kernel.alerts.tables import SinkTable, sinks_of
from penstock_kernel.deployment import DeploymentError, format_problems, load_deployment

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the courier until it is told to stop, or until all is delivered; return the exit status."""
    parser = argparse.ArgumentParser(prog="penstock_kernel.alerts", description="Deliver a run's alerts to its sinks.")
    parser.add_argument("run_dir", type=Path, help="the run's folder")
    parser.add_argument("--deployment", type=Path, help="take the sinks from here instead of the run's deployment")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--once", action="store_true", help="deliver what there is, for a minute at most, and end")
    how.add_argument("--test", action="store_true", help="send a test alert to every sink, and say what came of it")
    options = parser.parse_args(arguments)
    try:
        deployment = load_deployment(options.deployment or options.run_dir / "deployment.toml")
        sinks = sinks_of(deployment.tree)
    except DeploymentError as error:
        print(format_problems(error.problems, sys.stderr.isatty()), file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:
        print(f"alerts: {error}", file=sys.stderr)
        return 2
    if options.test:
        return _test(sinks, options.run_dir.name)
    try:
        return _deliver(options.run_dir, sinks, once=options.once)
    except (CourierRunning, OSError) as error:
        print(f"alerts: {error}", file=sys.stderr)
        return 2


def _test(sinks: tuple[SinkTable, ...], instance: str) -> int:
    trials = try_sinks(sinks, instance)
    for trial in trials:
        print(f"{trial.name}: {'delivered' if trial.ok else 'failed: ' + trial.text} ({trial.took_s:.2f} s)")
    return 0 if all(trial.ok for trial in trials) else 1


def _deliver(run_dir: Path, sinks: tuple[SinkTable, ...], *, once: bool) -> int:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    courier = Courier(run_dir, sinks, instance=run_dir.name)
    try:
        courier.start()
        if not once:
            stop.wait()
        whole = courier.flush(60.0 if once else 1.0)
    finally:
        courier.close()
    lost = [state for state in courier.states() if state.given_up]
    return 0 if whole and not lost else 1


if __name__ == "__main__":
    sys.exit(main())
