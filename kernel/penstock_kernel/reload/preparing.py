"""Processes of plugins to come, started beside those that run: one that cannot even start stops nobody.

Each is started, says what it is, and checks its config; it makes nothing with it yet. What was before goes on
meanwhile, so a plugin that may not run twice at a time says ``exclusive = true`` in its manifest and is started after
the other has ended, as one on another machine is.
"""

from __future__ import annotations

from collections.abc import Iterator

from penstock_kernel.deployment import Deployment, PluginSpec
from penstock_kernel.hosts import HostError, Hosts, ProcessHost

__all__ = ["Preparing"]


class Preparing:
    """Those *specs* of the changed *deployment*.

    `turn` goes on; when it returns True, `faults` says what is wrong, or all are ready.
    """

    def __init__(self, hosts: Hosts, deployment: Deployment, specs: list[PluginSpec]) -> None:
        self.faults: list[str] = []
        self._hosts = hosts
        hosts.drop_ready()
        self._coming: list[tuple[ProcessHost, Iterator[None]]] = []
        for spec in specs:
            host = hosts.ready[spec.name] = ProcessHost(spec, hosts, deployment)
            self._coming.append((host, host.prepare_nowait()))

    @staticmethod
    def wanted(specs: list[PluginSpec]) -> list[PluginSpec]:
        """Return those of *specs* that can be started beside what runs."""
        return [spec for spec in specs if spec.run == "process" and not spec.manifest.exclusive]

    def turn(self) -> bool:
        """Go as far as it goes without waiting; return whether that is the end of it."""
        for host, steps in list(self._coming):
            try:
                next(steps)
            except StopIteration:
                self._coming.remove((host, steps))
            except HostError as error:
                self._coming.remove((host, steps))
                self.faults.append(str(error))
        if self.faults:
            self.end()
        return not self._coming

    def wait(self) -> None:
        """Go on to the end."""
        while not self.turn():
            self._hosts.reactor.turn(0.05)

    def end(self) -> None:
        """End all that was started; again is harmless."""
        self._coming.clear()
        self._hosts.drop_ready()
