"""``penstock run --instance NAME`` without ``--no-watchdog``: from the command line to a watchdog that runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from penstock_kernel.deployment import Deployment, load_deployment
from penstock_kernel.notify import Notifier
from penstock_kernel.warden.health import HealthServer
from penstock_kernel.warden.process import BAD_INPUT, CannotBegin, Deliver, Warden
from penstock_kernel.warden.settings import split_address

__all__ = ["kernel_command", "supervise"]

FLUSH_S = 3.0
"""So long the watchdog waits at its end for sinks that are behind; what is left, they take the next time."""


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
    warden = Warden(
        options.instance, run_dir, kernel_command(argv), deployment.watchdog, notifier=Notifier(),
        begin=lambda leave: _begin(warden, deployment, options.health or deployment.health.listen, leave),
    )  # fmt: skip
    return warden.run()


def kernel_command(argv: Sequence[str]) -> list[str]:
    """Return the command line of the kernel's process."""
    return [sys.executable, "-m", "penstock_kernel.cli.main", *argv, "--no-watchdog", "--quiet"]


def _begin(warden: Warden, deployment: Deployment, listen: str | None, leave: ExitStack) -> Deliver:
    """Open the instance to those who ask after it, and its sinks. With its lock: a second start must name the first.

    Raises:
        CannotBegin: nothing can listen at the address.
    """
    if listen:
        try:
            server = HealthServer(split_address(listen), lambda: warden.condition, lambda: _metrics(warden.run_dir))
        except (OSError, ValueError) as error:
            raise CannotBegin(f"cannot listen on {listen}: {error}; give another --health or [health] listen") from None
        leave.callback(server.close)
        print(f"watchdog {warden.instance}: health on port {server.port}", file=sys.stderr, flush=True)
    return _courier(warden.instance, warden.run_dir, deployment, leave)


def _courier(instance: str, run_dir: Path, deployment: Deployment, leave: ExitStack) -> Deliver:
    """Have the deployment's sinks hear of alerts, the kernel's and the watchdog's own; return what takes the latter."""
    from penstock_kernel.alerts.courier import Courier, CourierRunning
    from penstock_kernel.alerts.tables import sinks_of

    try:
        courier = Courier(run_dir, sinks_of(deployment.tree), instance=instance)
    except (CourierRunning, OSError, ValueError) as error:
        print(f"watchdog {instance}: alerts are not delivered from here: {error}", file=sys.stderr, flush=True)
        return lambda alert: None
    courier.start()
    leave.callback(courier.close)
    leave.callback(courier.flush, FLUSH_S)
    return courier.raise_


def _metrics(run_dir: Path) -> bytes:
    """Return what is exported of the run."""
    from penstock_kernel.telemetry import render

    return render(run_dir)
