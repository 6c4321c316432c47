"""``penstock run --instance NAME`` without ``--no-watchdog``: from the command line to a watchdog that runs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from penstock_kernel.deployment import load_deployment
from penstock_kernel.notify import Notifier
from penstock_kernel.warden.health import HealthServer
from penstock_kernel.warden.process import BAD_INPUT, Warden
from penstock_kernel.warden.settings import split_address

__all__ = ["kernel_command", "supervise"]


def supervise(argv: Sequence[str]) -> int:
    """Run the watchdog of an instance as the arguments of ``penstock`` say; return the exit status.

    Args:
        argv: ``["run", "--instance", "desk-de", "plugins.toml", …]``; the kernel's process is given the same.

    Raises:
        DeploymentError: the deployment has faults; nothing has been started.
    """
    from penstock_kernel.cli.main import _parser

    options = _parser().parse_args(list(argv))
    path = options.deployment
    runs_dir = options.runs_dir or (load_deployment(path).run.runs_dir if path is not None else "runs")
    run_dir = Path(runs_dir) / options.instance
    source = path if path is not None else run_dir / "source.toml"
    if not source.exists():
        print(
            f"penstock run: instance {options.instance} is not in {runs_dir}; give its plugins.toml to begin it",
            file=sys.stderr,
        )
        return BAD_INPUT
    deployment = load_deployment(source)
    warden = Warden(options.instance, run_dir, kernel_command(argv), deployment.watchdog, Notifier())
    with ExitStack() as leave:
        listen = getattr(options, "health", None) or deployment.health.listen
        if listen:
            try:
                server = HealthServer(split_address(listen), lambda: warden.condition, lambda: _metrics(run_dir))
            except (OSError, ValueError) as error:
                print(f"penstock run: cannot listen on {listen}: {error}", file=sys.stderr)
                return BAD_INPUT
            leave.callback(server.close)
            print(f"watchdog {options.instance}: health on port {server.port}", file=sys.stderr, flush=True)
        return warden.run()


def kernel_command(argv: Sequence[str]) -> list[str]:
    """Return the command line of the kernel's process."""
    return [sys.executable, "-m", "penstock_kernel.cli.main", *argv, "--no-watchdog"]


def _metrics(run_dir: Path) -> bytes | None:
    """Return what an exporter says of the run, or None where there is none."""
    try:
        render = importlib.import_module("penstock_kernel.telemetry").render
    except (ImportError, AttributeError):
        return None
    return bytes(render(run_dir))
