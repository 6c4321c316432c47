"""The example in sdk/examples works as its text says, and a plugin's test takes five lines."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from penstock_sdk.events import ExecutionReport, OrderIntent, Quote, ReportKind, Side
from penstock_sdk.testing import SimKernel

HELLO = runpy.run_path(str(Path(__file__).parents[1] / "examples" / "hello_strategy.py"))
HelloStrategy, HelloConfig = HELLO["HelloStrategy"], HELLO["HelloConfig"]


def test_hello_buys_what_is_cheap_once_in_each_listing():
    kernel = SimKernel(seed=1)
    kernel.add(HelloStrategy, "hello", HelloConfig(cheap_ticks=-100, qty_lots=2))
    kernel.start()
    for ask_ticks in (-99, -100, -200):
        kernel.feed(Quote(1, ask_ticks=ask_ticks, ask_lots=5))
    assert [(i.side, i.price_ticks, i.qty_lots) for i in kernel.of(OrderIntent)] == [(Side.BUY, -100, 2)]


def test_hello_says_what_it_has_bought():
    kernel = SimKernel(seed=1)
    hello = kernel.add(HelloStrategy, "hello")
    kernel.start()
    report = ExecutionReport(1, 1, ReportKind.FILL, last_ticks=-5, last_lots=2, strategy_id=hello.ctx.plugin_id)
    kernel.feed(report)
    assert kernel.logged[-1] == "INFO hello: hello, position lots=2 price_ticks=-5"


def test_a_quantity_that_buys_nothing_is_refused():
    with pytest.raises(ValueError, match="^qty_lots met 0, wanted 1 or more; "):
        HelloConfig(qty_lots=0)
