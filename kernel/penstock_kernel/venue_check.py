"""What strategies need, held against what the enabled venues offer; and whether a run would trade with real money.

Manifests say both (`[plugin.venue]`, `needs`), so nothing is imported, and a deployment that cannot work is refused
before its first order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penstock_kernel.deployment_model import Deployment, PluginSpec
from penstock_kernel.problems import Problem
from penstock_sdk.manifest import AMEND_RULES, TRADER_KINDS, Needs, VenueOffer
from penstock_sdk.typed import format_path

__all__ = ["offers", "real_money_problems", "venue_problems"]

_ON_DISCONNECT = ("none", "emulated", "native")


def offers(deployment: Deployment) -> dict[str, VenueOffer | None]:
    """Return what each enabled venue offers, by instance; None for one whose manifest does not say."""
    return {spec.name: spec.manifest.venue for spec in deployment.plugins if spec.manifest.kind == "venue"}


def venue_problems(deployment: Deployment) -> list[Problem]:
    """Return an error for each need that no enabled venue meets.

    Where a venue does not say what it offers, or a plugin could not be read, an unmet need is a warning: that one may
    meet it.
    """
    offered = offers(deployment)
    found: list[Problem] = []
    if not offered:
        return found  # that nothing can trade is told anyway
    silent = [name for name, offer in offered.items() if offer is None]
    said = {name: offer for name, offer in offered.items() if offer is not None}
    for spec in deployment.plugins:
        if spec.manifest.kind in TRADER_KINDS and spec.manifest.needs is not None:
            found += _unmet(deployment, spec, spec.manifest.needs, said, silent)
    return found


def real_money_problems(deployment: Deployment) -> list[Problem]:
    """Return a warning for each venue where a fill binds somebody to pay: as loud in real time as can be.

    It goes by the clock that a run has in the end, which the command line may choose.
    """
    found = []
    for spec in deployment.plugins:
        if spec.manifest.venue is None or not spec.manifest.venue.real_money:
            continue
        if deployment.run.clock == "wall":
            text = "REAL MONEY: orders of this run go to a market where a fill binds us to pay"
            way_out = "enabled = false, or another venue, unless that is what you want"
        else:
            text = "is a market of real money, but the run's clock is simulated: orders would be real, the time is not"
            way_out = 'use = "exchange" for a simulated run'
        found.append(_problem(deployment, spec, text, way_out, "warning"))
    return found


def _unmet(
    deployment: Deployment,
    spec: PluginSpec,
    needs: Needs,
    offered: Mapping[str, VenueOffer],
    silent: Sequence[str],
) -> list[Problem]:
    found = []
    for wanted, met in _wants(needs, offered):
        if met is None:
            continue
        text = f"{spec.manifest.id} needs {wanted}, and no enabled venue offers it"
        stated = ", ".join(f"plugins.{name} {what}" for name, what in met.items())
        if silent or not deployment.whole:
            doubt = f"{', '.join(f'plugins.{name}' for name in silent) or 'a plugin that could not be read'} may"
            way_out = f"{doubt}: its manifest does not say" if silent else doubt
            found.append(_problem(deployment, spec, f"{text}{f', met {stated}' if stated else ''}", way_out, "warning"))
        else:
            way_out = "enable a venue that does, or leave this plugin out"
            found.append(_problem(deployment, spec, f"{text}, met {stated}", way_out))
    return found


def _wants(needs: Needs, offered: Mapping[str, VenueOffer]) -> list[tuple[str, dict[str, str] | None]]:
    """Return each need in words, with None where a venue meets it, else what each venue has instead."""
    wants: list[tuple[str, dict[str, str] | None]] = []

    def hold(wanted: str, meets: Mapping[str, bool], has: Mapping[str, str]) -> None:
        wants.append((wanted, None if any(meets.values()) else dict(has)))

    for kind in needs.order_kinds:
        has = {name: f"takes {', '.join(offer.order_kinds)}" for name, offer in offered.items()}
        hold(f"orders of kind {kind}", {name: kind in offer.order_kinds for name, offer in offered.items()}, has)
    for condition in needs.conditions:
        has = {name: f"takes {', '.join(offer.conditions) or 'none'}" for name, offer in offered.items()}
        meets = {name: condition in offer.conditions for name, offer in offered.items()}
        hold(f"the condition {condition}", meets, has)
    for key, ranks in (("amend", AMEND_RULES), ("cancel_on_disconnect", _ON_DISCONNECT)):
        least = ranks.index(getattr(needs, key))
        if least:
            has = {name: f'has "{getattr(offer, key)}"' for name, offer in offered.items()}
            meets = {name: ranks.index(getattr(offer, key)) >= least for name, offer in offered.items()}
            hold(f'{key} = "{ranks[least]}"', meets, has)
    if needs.orders_per_s:
        has = {name: f"takes {offer.throttle_per_s or 0:g}" for name, offer in offered.items()}
        meets = {
            name: offer.throttle_per_s is None or offer.throttle_per_s >= needs.orders_per_s
            for name, offer in offered.items()
        }
        hold(f"{needs.orders_per_s:g} orders a second", meets, has)
    return wants


def _problem(deployment: Deployment, spec: PluginSpec, message: str, way_out: str, severity: str = "error") -> Problem:
    path = ("plugins", spec.name, "use")
    return Problem(
        *deployment.place(path), format_path(path), message, way_out, "warning" if severity == "warning" else "error"
    )
