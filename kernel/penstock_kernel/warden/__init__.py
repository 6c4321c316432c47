"""The watchdog process: starts the kernel as a child, watches it, names what holds it, ends and restarts it.

==============  ==========================================================================
``settings``    the tables of a deployment
``watch``       when a kernel is held, and when it hangs: pure
``restarts``    when to start it again, and when to give up: pure
``frames``      the handler that runs, read off the kernel thread's frames
``stacks``      the same, of the dump that is written when no Python runs
``in_kernel``   what the kernel's own process does for its watchdog
``held``        what both write down for each other; ``spool``: alerts on their way in
``child``       the kernel as a process: start, signals, state, end
``asking``      asks it what it does; ``observer``: looks at it
``outside``     venues cancel without the kernel, in processes of their own
``own_alerts``  its alerts, on their way; ``lock``: one watchdog for an instance
``told``        alerts and lines for people; ``health``: the same over HTTP
``process``     all of it together; ``command``: as `penstock run --instance` starts it
==============  ==========================================================================
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str]) -> int:
    """Run ``penstock run --instance …`` under the watchdog; return its exit status. *argv* begins with ``run``."""
    # Imported late: the deployment's tables import `settings` from here.
    from penstock_kernel.warden.command import supervise

    return supervise(argv)
