"""What a person can do about an order that was refused or rejected, by reason."""

from __future__ import annotations

from penstock_sdk.events import Reason

__all__ = ["way_out"]

_LIMIT = "send a smaller or nearer order, or raise the limit by an operator's `limit` command or in the deployment"

_WAYS: dict[int, str] = {
    Reason.KILL_SWITCH: "find out why it was switched on; an operator's `unkill` lets orders leave again",
    Reason.PAUSED: "an operator's `resume` lets the strategy send again",
    Reason.UNKNOWN_LISTING: "see that the venue announces the listing, and that the check has room (listings_max)",
    Reason.UNKNOWN_VENUE: "see why the venue of the listing is not running",
    Reason.QTY_MIN: "ask for more lots",
    Reason.QTY_MAX: _LIMIT,
    Reason.PRICE_COLLAR: _LIMIT,
    Reason.PRICE_BOUNDS: "price within the listing's floor and cap",
    Reason.NOTIONAL: _LIMIT,
    Reason.POSITION: "reduce the position or cancel orders that work on this side, or raise position_max_lots",
    Reason.MESSAGE_RATE: "send less often, or raise orders_per_second_max",
    Reason.STALE_MARKET: "see why the listing's quotes stopped; reference_age_s_max says how old a mid may be",
    Reason.DUPLICATE: "give each new order an intent_id of its own, larger than the last",
    Reason.OVERFLOW: "price and quantity do not fit 64 bits together; see how the strategy computes them",
    Reason.NO_REFERENCE: "wait for a mid, or set reference_required = false for the check",
    Reason.CHECK_FAILED: "see the check's fault just after the verdict; a check that raises refuses",
    Reason.NO_CHECK: "run a risk check, and see whether one of the run's checks was quarantined",
    Reason.UNKNOWN_ORDER: "the order had ended, or was never open",
    Reason.JOURNAL_FULL: "make room on the disk and start again; only cancels leave until then",
    Reason.NOT_ALLOWED: "only running strategies and execution algorithms send orders, each its own; none amends",
    Reason.GATE_CLOSED: "send before the listing's gate closure",
    Reason.NO_LIQUIDITY: "nothing to deal with at this price; a LIMIT order would rest",
    Reason.SELF_TRADE: "cancel our order on the other side first, or price away from it",
    Reason.VENUE_CAPACITY: "the venue has no room for more orders; cancel some",
    Reason.MALFORMED: "side 1 or 2, kind 1 to 4, a quantity above 0, and a price are wanted",
    Reason.UNSOLICITED: "the venue ended it unasked; ask the venue",
    Reason.MARKET_ABUSE: "price nearer to the best opposite one, or raise the check's cross_eur_mwh_max",
}


def way_out(reason: int) -> str:
    """Return what to do about a reason; empty for one without a way out."""
    named = Reason(reason).name if reason in Reason._value2member_map_ else ""
    if named == "RECONCILING":
        return "wait until the venue has said where the orders of the earlier session stand"
    return _WAYS.get(reason, "")
