"""rtl/tick_pkg.sv and penstock_sdk.golden.tick_layout give the same codes the same values."""

from __future__ import annotations

import re

from penstock_sdk.golden import tick_layout
from sims.simulators import RTL


def test_the_package_and_the_golden_models_have_the_same_codes() -> None:
    text = (RTL / "tick_pkg.sv").read_text()
    codes = {name: int(value) for name, value in re.findall(r"localparam logic \[\d+:0\] (\w+)\s*= \d+'d(\d+);", text)}
    assert len(codes) == 20
    assert codes == {name: getattr(tick_layout, name) for name in codes}
