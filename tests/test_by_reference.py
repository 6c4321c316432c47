"""High-rate data journaled by reference: the journal keeps file, offset and digest; a replay reads the file again."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from penstock_kernel.replay import Difference, replay
from penstock_kernel.run import Run, RunOptions
from penstock_sdk.events import CaptureRef, Quote
from penstock_sdk.schema import ABSENT, Frame, schema_by_id
from penstock_sdk.wire.capture import CaptureWriter
from penstock_sdk.wire.frame import Origin, encode_frame
from penstock_sdk.wire.segment import read_frames

START_NS = 1_773_064_500_000_000_000
FRAMES, RECORDS = 20, 64


def write_capture(path: Path) -> None:
    """Twenty frames of quotes, a second apart, prices on both sides of zero."""
    quotes = np.zeros(FRAMES * RECORDS, Quote.layout.dtype)
    quotes["listing_id"] = 1
    quotes["bid_ticks"] = np.arange(len(quotes)) - 600
    quotes["ask_ticks"] = quotes["bid_ticks"] + 10
    with CaptureWriter(path) as capture:
        for number, part in enumerate(np.split(quotes, FRAMES)):
            at_ns = START_NS + number * 1_000_000_000
            frame = Frame(Quote, part.copy())
            capture.append(encode_frame(frame, 1 + number * RECORDS, at_ns, ABSENT, 1, Origin.EXTERNAL, 0))


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    capture = tmp_path / "quotes.capture"
    write_capture(capture)
    deployment = tmp_path / "plugins.toml"
    deployment.write_text(f"""
[run]
delivery_day = "2026-03-10"
runs_dir = "{tmp_path}/runs"
[topics."market.quote"]
durability = "reference"
[plugins.quotes]
use = "capture"
config = {{ path = "{capture}" }}
""")
    run = Run.start(deployment, RunOptions(lake=False))
    run.go()
    assert run.close().status == "complete"
    return run.dir


def test_the_journal_holds_references_of_the_right_records(run_dir: Path) -> None:
    frames = [frame for frame in read_frames(run_dir / "journal") if frame.schema_id == CaptureRef.layout.id]
    assert len(frames) == FRAMES
    assert not any(frame.schema_id == Quote.layout.id for frame in read_frames(run_dir / "journal"))
    assert sum(frame.count for frame in frames) == FRAMES * RECORDS
    references = [schema_by_id(frame.schema_id).unpack(bytes(frame.body)) for frame in frames]
    steps = {later.offset - earlier.offset for earlier, later in pairwise(references)}
    assert references[0].offset == 64
    assert steps == {48 + RECORDS * Quote.layout.size}


def test_a_replay_reads_the_capture_again(run_dir: Path) -> None:
    assert replay(run_dir).events > FRAMES * RECORDS


def test_a_changed_capture_is_found_out(run_dir: Path) -> None:
    capture = run_dir.parent.parent / "quotes.capture"
    data = bytearray(capture.read_bytes())
    data[64 + 48 + 8] ^= 1  # a bid of the first frame
    capture.write_bytes(data)
    with pytest.raises(Difference, match="CaptureRef"):
        replay(run_dir)


def test_a_capture_that_is_gone_is_named(run_dir: Path) -> None:
    (run_dir.parent.parent / "quotes.capture").unlink()
    with pytest.raises(Difference, match=r"recomputed PluginFault.*quotes\.capture"):
        replay(run_dir)
