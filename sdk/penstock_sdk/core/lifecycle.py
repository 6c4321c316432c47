"""The life of a plugin as one table; every change is an event.

```
discovered → resolved → starting → configured → running ⇄ degraded → draining → stopped
                            ↓           ↓           ↓        ↓
                          failed      failed    quarantined (or failed)
```
RETRYING is for plugins in a process of their own: failed → retrying → starting → configured → running, in the same
session; one that is quarantined meanwhile stays out.
"""

from __future__ import annotations

from penstock_sdk.events import PluginState, PluginStatus

__all__ = ["TABLE", "IllegalStatus", "Lifecycle"]

_P = PluginStatus

TABLE: dict[PluginStatus, tuple[PluginStatus, ...]] = {
    _P.UNKNOWN: (_P.DISCOVERED,),
    _P.DISCOVERED: (_P.RESOLVED,),
    _P.RESOLVED: (_P.STARTING,),
    _P.STARTING: (_P.CONFIGURED, _P.FAILED, _P.QUARANTINED),
    _P.CONFIGURED: (_P.RUNNING, _P.FAILED, _P.QUARANTINED),
    _P.RUNNING: (_P.DEGRADED, _P.DRAINING, _P.FAILED, _P.QUARANTINED),
    _P.DEGRADED: (_P.RUNNING, _P.DRAINING, _P.FAILED, _P.QUARANTINED),
    _P.DRAINING: (_P.STOPPED, _P.FAILED, _P.QUARANTINED),
    _P.STOPPED: (_P.STARTING,),
    _P.FAILED: (_P.RETRYING, _P.QUARANTINED),
    _P.RETRYING: (_P.STARTING, _P.QUARANTINED),
    _P.QUARANTINED: (_P.STARTING,),
}
"""From a status, where a plugin may go."""


class IllegalStatus(ValueError):  # noqa: N818 - named as the field says it
    """A change of status that the table does not have; a bug of the kernel's."""


class Lifecycle:
    """Where each plugin stands, by id. Hears PluginState, so that a replay and a restart know it too."""

    def __init__(self) -> None:
        self.status: dict[int, PluginStatus] = {}

    def change(self, plugin_id: int, name: str, status: PluginStatus, reason: str = "") -> PluginState:
        """Return the event of a change.

        Raises:
            IllegalStatus: the table does not have it; names both.
        """
        before = self.status.get(plugin_id, PluginStatus.UNKNOWN)
        if status not in TABLE[before]:
            wanted = ", ".join(s.name for s in TABLE[before])
            raise IllegalStatus(f"plugin {name} in {before.name} met {status.name}, wanted {wanted}")
        self.status[plugin_id] = status
        return PluginState(plugin_id=plugin_id, name=name, status=status, previous=before, reason=reason)

    def on_plugin_state(self, state: PluginState) -> None:
        """Keep what was said."""
        self.status[state.plugin_id] = state.status
