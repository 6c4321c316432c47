"""What a person asks for, as text: order ids, plugins; and the error that says what is wrong with the question."""

from __future__ import annotations

__all__ = ["InspectError", "order_id_of", "order_name"]

_COUNTER_BITS = 40


class InspectError(Exception):
    """A question that a run cannot answer; the message says what was met and the way out."""


def order_id_of(text: str) -> int:
    """Return the order id that *text* names: an integer as queries print it, or ``epoch:counter``.

    Raises:
        InspectError: it is neither.
    """
    epoch, colon, counter = text.strip().replace("_", "").partition(":")
    try:
        if not colon:
            return int(epoch)
        if int(epoch) >= 0 and 0 <= int(counter) < 1 << _COUNTER_BITS:
            return (int(epoch) << _COUNTER_BITS) | int(counter)
    except ValueError:
        pass
    raise InspectError(
        f"order {text!r} is no order id; wanted an integer as `penstock query` prints it, or epoch:counter"
    )


def order_name(order_id: int) -> str:
    """Return an order id as ``epoch:counter``."""
    return f"{order_id >> _COUNTER_BITS}:{order_id & ((1 << _COUNTER_BITS) - 1)}"
