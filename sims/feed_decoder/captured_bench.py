"""A bench of the feed decoder for messages that a venue sent: they come from captures in a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cocotb

from penstock_sdk.golden import feed_decoder as golden
from sims.feed_decoder.decoder_bench import Bench
from sims.feed_decoder.feed_traffic import captured_messages, itch_message

__all__ = ["CAPTURES", "captured_messages_match_the_model"]

CAPTURES = "BENCH_CAPTURES"
"""The environment's name of the folder of real data that holds the captures."""


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def captured_messages_match_the_model(dut: Any) -> None:
    bench = await Bench.start(dut)
    messages = list(captured_messages(Path(os.environ[CAPTURES])))
    for message in messages:
        await bench.map(int.from_bytes(message[1:3], "big"), bench.rng.randrange(bench.slots))
    met = await bench.check([itch_message(message) for message in messages])
    fit = {golden.UPDATE_ADD, golden.UPDATE_REDUCE, golden.UPDATE_REPLACE} if bench.lots_bits >= 32 else set()
    assert {update["kind"] for update in met} >= {golden.UPDATE_DELETE, *fit}
