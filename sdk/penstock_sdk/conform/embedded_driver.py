"""The example of a driver: for a venue whose market is inside of it, as the embedded exchange.

Nobody else can reach such a market, so what the other side does is sent through the venue itself: the answer's `send`
holds orders that the kit sends in another strategy's name, and `order` holds what the kit is to put into its own.

    penstock conform plugins:exchange --driver "python -m penstock_sdk.conform.embedded_driver"
"""

from __future__ import annotations

import json
import sys
from typing import Any

__all__ = ["answer", "main"]

VERBS = ("reset", "reject", "part_fill", "fill")
LOTS_NOBODY_TAKES = 10**12


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to one request of the kit."""
    verb = request.get("verb")
    if verb == "hello":
        return {"ok": True, "verbs": list(VERBS)}
    if verb == "reset":
        return {"ok": True}  # each case has a market of its own
    if verb == "reject":
        return {"ok": True, "order": {"qty_lots": LOTS_NOBODY_TAKES}}
    if verb in ("part_fill", "fill"):
        other = "sell" if request["side"] == "buy" else "buy"
        lots = request.get("lots", request["qty_lots"])
        return {"ok": True, "send": [{"side": other, "price_ticks": request["price_ticks"], "qty_lots": lots}]}
    return {"ok": False, "error": f"verb {verb!r} met, wanted one of {', '.join(VERBS)}"}


def main() -> None:
    """Answer requests, a line each, until standard input ends."""
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
