"""A bench of the feed decoder for frames that somebody else has drawn: they come in a file, with the pauses between."""

from __future__ import annotations

import json
import os
from itertools import cycle
from pathlib import Path
from typing import Any

import cocotb

from sims.axis import Pause
from sims.feed_decoder.decoder_bench import Bench
from sims.feed_decoder.feed_traffic import Sent

__all__ = ["DRAWN", "drawn_frames_match_the_model", "pause_of"]

DRAWN = "BENCH_DRAWN"
"""The environment's name of the file, JSON: frames as [hex, is ITCH, strange beats], idle, backpressure."""


def pause_of(pattern: list[bool]) -> Pause | None:
    """Return a pause that follows *pattern* again and again, with one cycle between that is none."""
    steps = cycle([*pattern, False])
    return (lambda: next(steps)) if pattern else None


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def drawn_frames_match_the_model(dut: Any) -> None:
    drawn = json.loads(Path(os.environ[DRAWN]).read_text())
    bench = await Bench.start(dut, pause_of(drawn["idle"]), pause_of(drawn["backpressure"]))
    await bench.check([Sent(bytes.fromhex(frame), itch, tuple(strange)) for frame, itch, strange in drawn["frames"]])
