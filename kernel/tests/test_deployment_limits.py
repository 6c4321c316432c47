"""Proves that of a journaled and a configured limit the stricter one rules, and that every difference is named."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_kernel.strictest import LimitDifference, strictest, strictness


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("position_mw_max", 5, "smaller"),
        ("max_order_qty_mw", 5, "smaller"),
        ("collar_ticks", 5, "smaller"),
        ("price_ticks_min", -5, "larger"),
        ("min_price_ticks", -5, "larger"),
        ("orders_per_min", 60, "smaller"),
        ("mm_de.price_ticks_min", 5, "larger"),
        ("admin_orders", 5, "smaller"),
        ("kill", True, "true"),
    ],
)
def test_the_stricter_side_follows_from_name_and_type(name, value, wanted):
    assert strictness(name, value) == wanted


def test_the_stricter_value_rules_and_differences_name_both():
    saved = {"position_mw_max": 50, "price_ticks_min": -100, "kill": True, "same": 1, "extra_max": 4}
    configured = {"position_mw_max": 80, "price_ticks_min": -50, "kill": False, "same": 1, "new_max": 9}
    ruling, differences = strictest(saved, configured)
    assert ruling == {
        "extra_max": 4,
        "kill": True,
        "new_max": 9,
        "position_mw_max": 50,
        "price_ticks_min": -50,
        "same": 1,
    }
    assert differences == [
        LimitDifference("extra_max", 4, None, 4),
        LimitDifference("kill", True, False, True),
        LimitDifference("position_mw_max", 50, 80, 50),
        LimitDifference("price_ticks_min", -100, -50, -50),
    ]
    assert str(differences[2]) == ("limit position_mw_max: journal has 50, plugins.toml has 80; 50 rules, the stricter")


def test_a_kill_switch_that_is_on_survives_a_configuration_that_does_not_speak_of_it():
    assert strictest({"kill": True}, {}) == ({"kill": True}, [LimitDifference("kill", True, None, True)])
    assert strictest({"kill": False}, {}) == ({"kill": False}, [])
    assert strictest({}, {"kill": True}) == ({"kill": True}, [])


def test_a_direction_given_by_name_overrides_the_guess():
    assert strictest({"reserve_mw": 5}, {"reserve_mw": 9}, {"reserve_mw": "larger"})[0] == {"reserve_mw": 9}


@pytest.mark.parametrize(("saved", "configured"), [(True, 5), (5, False), (math.nan, 5), (5, math.nan)])
def test_values_that_cannot_be_compared_are_refused(saved, configured):
    with pytest.raises(ValueError, match=r"^limit position_mw_max: journal has .*which cannot be compared"):
        strictest({"position_mw_max": saved}, {"position_mw_max": configured})


names = st.sampled_from(["position_mw_max", "price_ticks_min", "rate_max"])
limits = st.dictionaries(names, st.integers(-9, 9)) | st.dictionaries(st.just("kill"), st.booleans())


def allows(rules, name, value):
    """Return whether a set of limits lets *value* pass: the meaning that strictness must keep."""
    limit = rules.get(name)
    if limit is None:
        return True
    if isinstance(limit, bool):
        return not limit
    return value >= limit if name.endswith("_min") else value <= limit


@given(limits, limits, st.integers(-10, 10))
def test_what_rules_lets_pass_exactly_what_both_let_pass(saved, configured, value):
    ruling, _ = strictest(saved, configured)
    for name in {*saved, *configured}:
        assert allows(ruling, name, value) == (allows(saved, name, value) and allows(configured, name, value))


@given(limits, limits)
def test_a_second_restart_changes_nothing(saved, configured):
    ruling, differences = strictest(saved, configured)
    again, _ = strictest(ruling, configured)
    assert again == ruling
    assert all(saved[d.name] != configured.get(d.name) for d in differences)
