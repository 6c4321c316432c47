"""An installed, pinned plugin has the rights it declared; what it tries beyond them fails, and the rest trades on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock_kernel.replay import event_of
from penstock_kernel.run import Run, RunOptions
from penstock_sdk.events import ExecutionReport, PluginFault
from penstock_sdk.packages import Installation, install, pack
from penstock_sdk.process.spawn import probe
from penstock_sdk.schema import Frame
from penstock_sdk.wire.segment import read_frames

TOYS = Path(__file__).parent / "support" / "process_toys"

PROWLER = '''# /// penstock
# id = "prowler"
# version = "1.0.0"
# kind = "strategy"
# contract = "strategy/1..1"
# class = "Prowler"
# topics_in = ["market.quote"]
# permissions = ["read:{declared}", "secret:KEY"]
# ///
import json, os, socket, threading
from penstock_sdk.plugin import Strategy


class Prowler(Strategy):
    """Goes about, notes in its data folder what it could do, then reads what it may not."""

    def on_start(self):
        tries = {{
            "declared": lambda: open("{declared}").read(),
            "outside": lambda: open("{outside}").read(),
            "overwrite": lambda: open("{declared}", "a"),
            "internet": lambda: socket.socket(),
            "fork": lambda: os.fork() or os._exit(0),
            "thread": lambda: threading.Thread(target=int).start(),
        }}
        met = {{"secret": os.environ["PENSTOCK_SECRET_KEY"], "other": os.environ.get("OTHER_SECRET", "")}}
        for name, attempt in tries.items():
            try:
                attempt()
                met[name] = "done"
            except OSError as error:
                met[name] = error.strerror
        with open(os.path.join(os.environ["HOME"], "met.json"), "w") as file:
            json.dump(met, file)

    def on_quote(self, quote):
        open("{outside}")
'''

DAY = """
[run]
clock = "sim"
zone = "DE-LU"
delivery_day = "2026-03-10"
start = "2026-03-09T14:45:00"
end = "2026-03-09T14:45:02"
[plugins.market]
use = "toy_market"
path = "{toys}"
[plugins.check]
use = "toy_check"
path = "{toys}"
[plugins.buyer]
use = "toy_buyer"
path = "{toys}"
[plugins.prowler]
use = "prowler"
run = "process"
sha256 = "{pin}"
secrets = {{KEY = "file:{secret}"}}
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    monkeypatch.setenv("PENSTOCK_PLUGINS", str(tmp_path / "plugins"))
    monkeypatch.setenv("OTHER_SECRET", "of the kernel")
    for name in ("declared", "outside", "secret"):
        (tmp_path / name).write_text(name)
    source = PROWLER.format(declared=tmp_path / "declared", outside=tmp_path / "outside")
    (tmp_path / "prowler.py").write_text(source)
    (tmp_path / "LICENSE").write_text("Apache-2.0\n")
    done = install(Path(pack(tmp_path / "prowler.py", tmp_path).path))
    text = DAY.format(toys=TOYS, pin=done.sha256, secret=tmp_path / "secret")
    (tmp_path / "plugins.toml").write_text(text)
    return done


def run(folder: Path) -> Run:
    return Run.start(folder / "plugins.toml", RunOptions(lake=False, runs_dir=str(folder / "runs")))


@pytest.mark.skipif(bool(probe()), reason="; ".join(probe()))
@pytest.mark.parametrize("lane", ["socket", "grpc"])
def test_a_plugin_gets_what_it_declared_and_the_rest_trades_on(lane: str, installed: Installation, tmp_path: Path):
    with (tmp_path / "plugins.toml").open("a") as file:
        file.write(f'lane = "{lane}"\n')
    under_way = run(tmp_path)
    try:
        under_way.go()
    finally:
        under_way.close()
    (noted,) = tmp_path.glob("runs/**/met.json")
    assert json.loads(noted.read_text()) == {
        "secret": "secret",
        "other": "",
        "declared": "done",
        "outside": "Permission denied",
        "overwrite": "Permission denied",
        "internet": "Address family not supported by protocol",
        "fork": "Operation not permitted",
        "thread": "done",
    }
    heard = [event_of(frame) for frame in read_frames(under_way.dir / "journal")]
    events = [record for event in heard for record in (event.records() if isinstance(event, Frame) else (event,))]
    faults = [event for event in events if type(event) is PluginFault]
    assert faults and all(fault.name == "prowler" for fault in faults)
    assert f"PermissionError: [Errno 13] Permission denied: '{tmp_path}/outside'" in faults[0].error
    assert len([event for event in events if type(event) is ExecutionReport]) >= 15


def test_a_plugin_whose_files_are_not_those_of_its_pin_does_not_run(installed: Installation, tmp_path: Path):
    file = Path(installed.folder) / "prowler.py"
    file.chmod(0o644)
    file.write_text(file.read_text() + "# more\n")
    with pytest.raises(Exception, match=r"plugin prowler: .*prowler\.py was changed; install the package again"):
        run(tmp_path).go()
    assert list(tmp_path.glob("runs/**/met.json")) == []
