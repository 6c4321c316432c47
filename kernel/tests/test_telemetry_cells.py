"""The cells file: what is read is what was written, of one moment, within bounds, whoever writes meanwhile."""

from __future__ import annotations

import struct
import threading
from pathlib import Path

import numpy as np
import pytest

from penstock_kernel.telemetry import cells
from penstock_kernel.telemetry.cells import CellsError, CellsReader, CellsWriter, Values
from penstock_kernel.telemetry.histogram import Histogram

EVENTS, PENDING = ("penstock_events_total", ()), ("penstock_journal_pending_frames", ())
STAGE = ("penstock_latency_seconds", ("handling",))


def read(path: Path) -> dict[tuple[str, tuple[str, ...]], int]:
    reader = CellsReader(path)
    try:
        return {(one.metric.name, one.labels): one.value for one in reader.read()}
    finally:
        reader.close()


def test_what_is_read_is_what_was_written_last_also_of_series_that_come_later(tmp_path: Path):
    writer = CellsWriter(tmp_path / "cells")
    writer.write({EVENTS: 1}, {})
    assert read(tmp_path / "cells") == {EVENTS: 1}
    odd = ("penstock_plugin_faults_total", ('a "plugin"\\ of ünicode',))
    writer.write({EVENTS: 2, odd: -(2**63), PENDING: 2**63 - 1}, {})
    assert read(tmp_path / "cells") == {EVENTS: 2, odd: -(2**63), PENDING: 2**63 - 1}
    writer.close()
    assert read(tmp_path / "cells")[EVENTS] == 2  # the file stays


def test_a_histogram_is_read_with_its_counts_and_its_sum(tmp_path: Path):
    histogram = Histogram()
    for value in (3, 3, 1_000_000):
        histogram.record(value)
    writer = CellsWriter(tmp_path / "cells")
    writer.write({EVENTS: 1}, {STAGE: histogram})
    reader = CellsReader(tmp_path / "cells")
    (one,) = [one for one in reader.read() if one.metric.name == STAGE[0]]
    assert one.value == 1_000_006 and one.counts is not None
    assert one.counts.tolist() == histogram.counts.tolist()
    histogram.record(5)  # what was read does not change under the reader
    writer.write({}, {STAGE: histogram})
    assert one.counts[5] == 0


def test_a_reader_sees_one_moment_while_a_writer_never_rests(tmp_path: Path):
    writer = CellsWriter(tmp_path / "cells")
    writer.write({EVENTS: 0, PENDING: 0}, {})
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            writer.write({EVENTS: number, PENDING: number}, {})

    thread = threading.Thread(target=write)
    thread.start()
    try:
        pairs = [read(tmp_path / "cells") for _ in range(200)]
    finally:
        stop.set()
        thread.join()
    assert all(pair[EVENTS] == pair[PENDING] for pair in pairs)
    assert len({pair[EVENTS] for pair in pairs}) > 1


def test_a_kernel_that_died_while_it_wrote_is_told(tmp_path: Path):
    path = tmp_path / "cells"
    CellsWriter(path).write({EVENTS: 1}, {})
    with path.open("r+b") as file:
        file.seek(16)
        file.write(struct.pack("<q", 7))  # the lock, odd
    pauses: list[float] = []
    with pytest.raises(CellsError, match=r"^.*cells was being written 1000 times; its kernel died in the middle$"):
        CellsReader(path, pause=pauses.append).read()
    assert len(pauses) == 1_000 and max(pauses) <= 0.001


def test_the_next_kernel_writes_another_file_and_readers_can_tell(tmp_path: Path):
    path = tmp_path / "cells"
    CellsWriter(path).write({EVENTS: 1}, {})
    old = CellsReader(path)
    assert not old.replaced
    CellsWriter(path).write({EVENTS: 2}, {})
    assert old.replaced
    assert [one.value for one in old.read()] == [1]
    assert read(path) == {EVENTS: 2}
    path.unlink()
    assert old.replaced


def test_series_without_room_are_counted_and_the_others_stand(tmp_path: Path):
    writer = CellsWriter(tmp_path / "cells")
    many: Values = {("penstock_plugin_faults_total", (f"p{n}",)): n for n in range(cells.CELLS)}
    writer.write({EVENTS: 5} | many, {})
    found = read(tmp_path / "cells")
    assert found[EVENTS] == 5
    assert writer.dropped == len(many) + 1 - len(found) > 0
    assert all(many[key] == value for key, value in found.items() if key != EVENTS)
    writer.write({EVENTS: 6} | many, {("penstock_latency_seconds", ("late",)): Histogram()})
    assert read(tmp_path / "cells")[EVENTS] == 6
    assert writer.dropped == len(many) + 2 - len(found)


def test_metrics_of_another_version_are_left_out(tmp_path: Path):
    CellsWriter(tmp_path / "cells").write({EVENTS: 5, ("penstock_of_tomorrow", ("x",)): 1}, {})
    assert read(tmp_path / "cells") == {EVENTS: 5}


def test_a_file_that_is_no_cells_file_is_refused(tmp_path: Path):
    path = tmp_path / "cells"
    path.write_bytes(b"x" * 100)
    with pytest.raises(CellsError, match=r"^.*cells has not \d+ bytes; it was written by another version$"):
        CellsReader(path)
    path.write_bytes(bytes(cells.SIZE))
    with pytest.raises(CellsError, match=r"^.*cells begins with 0x0, wanted 0x.*; it is of another version$"):
        CellsReader(path)


def test_the_file_takes_its_room_at_once(tmp_path: Path):
    CellsWriter(tmp_path / "cells")
    stat = (tmp_path / "cells").stat()
    assert stat.st_blocks * 512 >= stat.st_size == cells.SIZE
    assert np.frombuffer((tmp_path / "cells").read_bytes()[:8], np.int64)[0] == cells.MAGIC
