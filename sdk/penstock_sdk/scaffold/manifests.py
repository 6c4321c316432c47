"""The plugin.toml of a new plugin, by kind and language, with a comment wherever a person has to decide."""

from __future__ import annotations

from collections.abc import Sequence

from penstock_sdk.manifest import TRADER_KINDS, PluginManifest, this_platform
from penstock_sdk.manifest_schema import SCHEMA_NAME

__all__ = ["HEARS", "SAYS", "manifest_toml"]

HEARS: dict[str, tuple[str, ...]] = {
    "venue": ("refdata.contract", "order.order", "order.reconcile", "control.timer"),
    "feed": (),
    "model": ("data.observation",),
    "strategy": ("market.quote", "order.report"),
    "execution": ("refdata.listing", "order.report", "control.timer"),
    "risk": (),
    "compliance": (),
    "portfolio": ("order.report",),
    "offload": ("market.trade",),
    "operations": ("order.order",),
    "refdata": (),
}
"""Topics that each kind's template in Python has handlers for."""
SAYS: dict[str, tuple[str, ...]] = {
    "venue": ("refdata.listing", "market.session", "market.trade", "order.report", "order.reconciled"),
    "feed": ("data.observation",),
    "model": ("data.forecast",),
    "strategy": ("order.intent",),
    "execution": ("order.intent",),
    "risk": ("order.verdict",),
    "compliance": ("order.verdict",),
    "portfolio": ("position.position",),
    "offload": ("control.alert",),
    "operations": ("control.alert",),
    "refdata": ("refdata.zone", "refdata.contract"),
}
_NO_CONFIG = ("portfolio", "offload")
_VENUE = """
# What operators and strategies may count on; `penstock check` holds what strategies need against it.
[plugin.venue]
order_kinds = [{kinds}]
real_money = false  # true for a market where a fill binds somebody to pay
amend = "none"  # or "cancel_replace", "native"
cancel_on_disconnect = "none"  # or "emulated", "native"
# throttle_per_s = 50
"""


def manifest_toml(name: str, kind: str, language: str, class_name: str, like: PluginManifest | None = None) -> str:
    """Return the text of a plugin.toml that fits the template; a far one hears and says what *like* has."""
    hears, says = (HEARS[kind], SAYS[kind]) if like is None else (like.topics_in, like.topics_out)
    lines = [
        f"#:schema ./{SCHEMA_NAME}",
        f"# What {name} is, hears, says and may do; read without running any of it. Check it: penstock plugin check .",
        "",
        "[[plugin]]",
        f'id = "{name}"',
        'version = "0.1.0"',
        f'kind = "{kind}"',
        f'contract = "{kind}/1..1"',
        _code(name, language, class_name),
        f'description = "{_ABOUT[kind]}"  # in a line, for operators',
    ]
    if language == "python" and kind not in _NO_CONFIG:
        lines.append('config_schema = "config.schema.json"  # penstock plugin schema . writes it anew')
    if hears:
        lines.append(f"topics_in = [{_listed(hears)}]")
    lines.append(f"topics_out = [{_listed(says)}]  # all else is refused")
    if kind in TRADER_KINDS:
        lines.append('capabilities = ["orders.write"]')
    lines.append('permissions = []  # what a process of it may reach: "tcp:443", "read:/folder", "secret:NAME"')
    if kind == "offload":
        lines.append("deterministic = false  # what it says is recorded and played back, not asked again")
    if kind == "venue":
        lines.append("embedded = true  # the market is in the plugin; false, or nothing, for one outside")
        kinds = like.venue.order_kinds if like is not None and like.venue is not None else ("limit", "ioc")
        lines.append(_VENUE.format(kinds=_listed(kinds)).rstrip("\n"))
    if kind in TRADER_KINDS:
        lines.append('needs = { order_kinds = ["ioc"] }  # what a venue must offer for it to work')
    return "\n".join(lines) + "\n"


_ABOUT = {
    "venue": "A continuous market in every contract that is announced",
    "feed": "Prices from a CSV file",
    "model": "The smoothed mean of a series as its forecast",
    "strategy": "Trades what is cheap",
    "execution": "Buys in equal slices",
    "risk": "No new order shortly before the gate closes",
    "compliance": "No order in zones that are closed to us",
    "portfolio": "Bought less sold, in each listing",
    "offload": "Adds up turnover on a device that agrees with its reference",
    "operations": "An alert when too many orders in a row are refused",
    "refdata": "A bidding zone and the hours of a delivery day",
}


def _code(name: str, language: str, class_name: str) -> str:
    if language == "python":
        return f'class = "{name}:{class_name}"'
    if language == "go":
        # A binary runs where it was built for; a package then says so.
        return f'command = {{ {this_platform()} = ["./{name}"] }}  # a program for each platform that it is built for'
    return 'command = ["node", "plugin.js"]  # or a table of them by platform: { linux-x86_64 = […] }'


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)
