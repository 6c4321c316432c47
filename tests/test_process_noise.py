"""What a plugin prints before its start-up line is passed over, and an alert names it, once."""

from __future__ import annotations

import sys
from pathlib import Path

from penstock_kernel.replay import event_of
from penstock_kernel.run import Run, RunOptions
from penstock_sdk.events import Alert, Severity
from penstock_sdk.wire.segment import read_frames

TOYS = Path(__file__).parent / "support" / "process_toys"
ROOT = Path(__file__).resolve().parents[1]
OWN = ", ".join(f'"read:{folder}"' for folder in dict.fromkeys((sys.prefix, sys.base_prefix, str(ROOT))))
NOISY = """
import sys
from penstock_sdk.plugin import Operations
from penstock_sdk.process import serve_grpc

class Noisy(Operations):
    pass

print("loading the \\x1b[31mlicence", "of a vendor", flush=True)
print("loaded", flush=True)
sys.exit(serve_grpc.main(Noisy, "noisy", "1.0.0"))
"""
MANIFEST = """
[[plugin]]
id = "noisy"
version = "1.0.0"
kind = "operations"
contract = "operations/1..1"
command = ["{python}", "noisy.py"]
permissions = [{read}]
"""
DAY = """
[run]
clock = "sim"
zone = "DE-LU"
delivery_day = "2026-03-10"
start = "2026-03-09T14:45:00"
end = "2026-03-09T14:45:01"
[plugins.market]
use = "toy_market"
path = "{toys}"
[plugins.noisy]
use = "noisy"
run = "process"
path = "{folder}"
"""


def test_noise_before_the_start_up_line_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(NOISY)
    (tmp_path / "plugin.toml").write_text(MANIFEST.format(python=sys.executable, read=OWN))
    (tmp_path / "plugins.toml").write_text(DAY.format(toys=TOYS, folder=tmp_path))
    under_way = Run.start(tmp_path / "plugins.toml", RunOptions(lake=False, runs_dir=str(tmp_path / "runs")))
    try:
        under_way.go()
    finally:
        under_way.close()
    events = [event_of(frame) for frame in read_frames(under_way.dir / "journal")]
    told = [event for event in events if isinstance(event, Alert) and event.code == "plugin.noise"]
    assert [(alert.subject, alert.severity) for alert in told] == [("noisy", Severity.WARNING)]
    words = "loading the \N{REPLACEMENT CHARACTER}[31mlicence of a vendor"
    assert told[0].met == f"before its start-up line it printed '{words}'"
