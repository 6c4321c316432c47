"""Calling hooks: every implementation is heard, and one that raises costs the others nothing."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

import pluggy

from penstock_sdk import hooks as specs

__all__ = ["HookError", "call_hook", "hook_manager"]


class HookError(Exception):
    """An implementation that fits no hook."""


def hook_manager(plugins: list[tuple[str, Any]] | None = None) -> pluggy.PluginManager:
    """Return a manager with the installed implementations, and those of *plugins*, given as (name, object).

    Raises:
        HookError: an implementation fits no hook; names plugin and hook.
    """
    manager = pluggy.PluginManager(specs.PROJECT)
    manager.add_hookspecs(specs)
    for entry in entry_points(group="penstock.hooks"):
        _register(manager, entry.load(), entry.name)
    for name, plugin in plugins or []:
        _register(manager, plugin, name)
    return manager


def _register(manager: pluggy.PluginManager, plugin: Any, name: str) -> None:
    try:
        manager.register(plugin, name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise HookError(f"plugin {name}: {error}; see penstock_sdk.hooks for the hooks there are") from error


def call_hook(
    manager: pluggy.PluginManager, name: str, failed: Callable[[str, Exception], object], **arguments: Any
) -> list[Any]:
    """Return what each implementation of a hook returns, None left out; *failed* hears of those that raise."""
    results: list[Any] = []
    for implementation in reversed(getattr(manager.hook, name).get_hookimpls()):
        wanted = {key: arguments[key] for key in implementation.argnames}
        try:
            result = implementation.function(**wanted)
        except Exception as error:
            failed(f"{implementation.plugin_name}.{name}", error)
            continue
        if result is not None:
            results.append(result)
    return results
