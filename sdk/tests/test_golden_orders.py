"""Proves the order's state machine: every pair of state and event, legal or not, and the ways through it."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.golden import orders
from penstock_sdk.golden.orders import IllegalTransition, OrderEvent, OrderState, transition

S, E = OrderState, OrderEvent
PAIRS = list(itertools.product(OrderState, OrderEvent))


def table_of_docstring() -> dict[tuple[OrderState, OrderEvent], OrderState]:
    """Read the table back from the module's text, which was written by hand."""
    assert orders.__doc__ is not None
    found: dict[tuple[OrderState, OrderEvent], OrderState] = {}
    rows: list[tuple[str, str]] = []
    for line in orders.__doc__.split("====\n")[2].splitlines():
        if line.startswith("==="):
            break
        states, text = line[:22].strip(), line[22:].strip()
        if states and not (rows and rows[-1][0].endswith(",")):
            rows.append((states, text))
        else:
            rows[-1] = (f"{rows[-1][0]} {states}".strip(), f"{rows[-1][1]} {text}")
    for states, text in rows:
        for name in states.split(", "):
            waiting: list[str] = []
            for part in re.split(r",\s*", text.split(":")[0]):
                event, _, after = part.partition(" → ")
                waiting.append(event)
                if after:
                    for each in waiting:
                        found[S[name], E[each]] = S[name] if after == "itself" else S[after]
                    waiting = []
    return found


DOCUMENTED = table_of_docstring()


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_every_pair_does_what_the_docstring_says(state: OrderState, event: OrderEvent) -> None:
    if (state, event) in DOCUMENTED:
        assert transition(state, event, 17) is DOCUMENTED[state, event]
    else:
        with pytest.raises(IllegalTransition, match=f"^order 17 .* from {state.name} to [A-Z_]+ on {event.name};"):
            transition(state, event, 17)


def test_the_docstring_has_as_many_transitions_as_the_table() -> None:
    assert len(DOCUMENTED) == sum(len(row) for row in orders.TABLE.values()) > 50
    assert orders.TABLE.keys() == set(OrderState)


def test_the_error_names_order_both_states_event_and_the_way_out() -> None:
    with pytest.raises(IllegalTransition) as error:
        transition(S.PENDING_CHECK, E.FILLED, 42)
    assert str(error.value) == (
        "order 42 cannot go from PENDING_CHECK to FILLED on FILLED; "
        "legal in PENDING_CHECK: PASSED, REFUSED, CANCEL_REQUESTED"
    )
    assert (error.value.order_id, error.value.state, error.value.event) == (42, S.PENDING_CHECK, E.FILLED)


def test_nothing_leaves_a_refused_order() -> None:
    with pytest.raises(IllegalTransition, match="from REFUSED to ROUTED on PASSED; legal in REFUSED: nothing$"):
        transition(S.REFUSED, E.PASSED)


@given(st.lists(st.sampled_from(OrderEvent), max_size=30))
def test_a_terminal_state_is_never_left_and_an_open_one_is_not_terminal(events: list[OrderEvent]) -> None:
    state = S.NEW
    for event in events:
        try:
            after = transition(state, event)
        except IllegalTransition:
            continue
        assert not orders.is_terminal(state) or after is state
        assert not (orders.is_terminal(after) and orders.is_open(after))
        state = after


def test_a_cancel_is_legal_wherever_an_order_may_be_at_the_venue() -> None:
    for state in OrderState:
        if orders.is_open(state):
            assert transition(state, E.CANCEL_REQUESTED) in (S.PENDING_CANCEL, S.IN_DOUBT)
            assert transition(state, E.LOST) is S.IN_DOUBT
            assert transition(state, E.FILLED) is S.FILLED
    assert {s for s in OrderState if orders.is_open(s)} == {
        S.ROUTED, S.WORKING, S.PARTLY_FILLED, S.PENDING_CANCEL, S.IN_DOUBT
    }  # fmt: skip
    assert {s for s in OrderState if orders.is_terminal(s)} == {
        S.REFUSED, S.FILLED, S.CANCELLED, S.EXPIRED, S.REJECTED
    }  # fmt: skip


def test_an_order_in_doubt_can_end_in_every_way_and_never_be_refused() -> None:
    ends = {transition(S.IN_DOUBT, event) for event in orders.legal_events(S.IN_DOUBT)}
    assert ends & orders.TERMINAL == orders.TERMINAL - {S.REFUSED}


def test_the_numbers_say_what_the_table_says() -> None:
    numbers = orders.transition_table()
    assert numbers.shape == (len(OrderState), len(OrderEvent))
    for state, event in PAIRS:
        assert numbers[state, event] == DOCUMENTED.get((state, event), 0)
