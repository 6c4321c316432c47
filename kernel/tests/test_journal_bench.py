"""The store's benchmark runs, reports every row, and its digest is that of the records it was given."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

from penstock_kernel.bench.store import bench_store
from penstock_sdk.wire.segment_layout import pack_frame


def test_the_store_bench_gives_every_row_and_the_digest_of_its_records(tmp_path: Path) -> None:
    report = bench_store(tmp_path, records=60, record_bytes=24, groups=(1, 7), syncs=2, rounds=2, seed=4)
    assert json.loads(json.dumps(report)) == report
    assert [(row["name"], row["group"], row["records"]) for row in report["rows"]] == [
        ("dict dispatch", None, 60),
        ("append", None, 60),
        ("written", 1, 6),
        ("synced", 1, 2),
        ("written", 7, 60),
        ("synced", 7, 14),
        ("scan", None, 60),
        ("verify", None, 60),
        ("read", None, 60),
        ("start-up", None, 60),
        ("start-up again", None, 60),
        ("find", None, 60),
    ]
    assert all(row["records_per_s"] > 0 and len(row["wall_s"]) == 2 for row in report["rows"])
    rng = random.Random(4)
    frames = [pack_frame(1 + i % 5, rng.randbytes(24), seq=i, at_ns=1_000 * i, stride=24) for i in range(60)]
    assert report["digest"] == hashlib.sha256(b"".join(frames)).hexdigest()
    assert list(tmp_path.iterdir()) == []
