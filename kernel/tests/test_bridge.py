"""The bridge passes a plugin's life on between the kernel and gRPC, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from kernel.tests.bridge_kernel import WAIT_S, FakeKernel, processes_with, wait_until
from penstock_kernel.bridge.plan import LAST_WORDS, NOISE, BridgeExit, BridgePlan, PlanTls
from penstock_sdk.events import Quote
from penstock_sdk.process.envelope import HEADER, MESSAGE_BYTES_MAX, Kind, Lane, pack
from penstock_sdk.process.flow import count_records
from penstock_sdk.process.spawn import Confinement
from penstock_sdk.schema import Frame
from penstock_sdk.wire.frame import encode_frame
from penstock_sdk.wire.messages import Batch, ConfigureRequest, DescribeRequest, Instance, StartRequest
from sdk.tests import grpc_toys as toys


def quotes(bid: int = 100, count: int = 1, seq: int = 1) -> bytes:
    each = Quote(1, bid_ticks=bid, bid_lots=5, ask_ticks=bid + 10, ask_lots=5)
    return encode_frame(Frame.of([each] * count), seq, 1_000, 0, 0, 0, 1)


def plan(*arguments: str, **fields: object) -> BridgePlan:
    return msgspec.convert({"argv": (*toys.ARGV, *arguments), "start_s": WAIT_S, **fields}, BridgePlan)


def begin(kernel: FakeKernel) -> None:
    kernel.welcome()
    kernel.call("Describe", DescribeRequest(majors=[1]))
    assert not kernel.call("Configure", ConfigureRequest(instance=Instance(name="echo", plugin_id=5))).faults
    kernel.call("Start", StartRequest(now_ns=1, seq=1))


def test_a_plugins_life_is_passed_on_both_ways():
    with FakeKernel(plan()) as kernel:
        begin(kernel)
        assert kernel.ping()
        for seq in range(1, 40):
            kernel.send(quotes(count=seq, seq=seq), step=seq)
        answered = [kernel.receive() for _ in range(39)]
        assert [batch.answers for batch in answered] == list(range(1, 40))
        assert [count_records(batch.frames) for batch in answered] == list(range(1, 40))
        kernel.send(quotes(), Lane.ORDERS)
        assert count_records(kernel.receive(Lane.EVENTS).frames) == 1
        assert kernel.flows[Lane.EVENTS].acked == 39
        assert kernel.call("Snapshot").last_seq == 77
        kernel.call("Drain")
        kernel.call("Stop")
        assert kernel.ended() == (BridgeExit.STOPPED, LAST_WORDS + "the plugin has stopped")


def test_a_refused_call_is_refused_with_the_plugins_words():
    with FakeKernel(plan()) as kernel:
        kernel.welcome()
        with pytest.raises(AssertionError, match="Start met a plugin that is new"):
            kernel.call("Start")
        assert kernel.call("Describe").id == "echo"


def test_the_plugins_log_comes_as_the_bridges():
    with FakeKernel(plan("noise")) as kernel:
        kernel.welcome()
        *lines, noise = kernel.said().splitlines()
        assert [msgspec.json.decode(line)["@message"] for line in lines] == ["warming up", "still warming up"]
        assert noise == f"{NOISE}warming up"


def test_a_plugin_that_does_not_come_up_is_told_by_a_refusal_and_the_last_line():
    with FakeKernel(plan("dies")) as kernel:
        kernel.welcome()
        why = "plugin closed its stdout without a start-up line; it said: cannot open the licence"
        with pytest.raises(AssertionError, match=why):
            kernel.call("Describe")
        status, last = kernel.ended()
        assert status == BridgeExit.NOT_STARTED
        assert last.startswith(LAST_WORDS + why)


def test_the_plugins_death_ends_the_bridge_with_how_it_died():
    with FakeKernel(plan()) as kernel:
        begin(kernel)
        kernel.send(quotes(666))
        status, last = kernel.ended()
        assert status == BridgeExit.GONE
        assert last.startswith(LAST_WORDS)
        assert "the plugin's process ended with status 66" in last


def test_a_stream_that_the_plugin_breaks_ends_the_bridge_with_why():
    with FakeKernel(plan()) as kernel:
        begin(kernel)
        kernel.write(Lane.EVENTS, Batch(number=7))
        assert kernel.ended() == (
            BridgeExit.BREACH,
            LAST_WORDS + "stream EVENTS: ABORTED: batch 7 met, wanted 1: what lies between has not come",
        )


@pytest.mark.parametrize(
    ("lane", "message", "told"),
    [
        (Lane.EVENTS, HEADER.pack(MESSAGE_BYTES_MAX + 1, Kind.BATCH, 0, 0, 0), "met a message of 67108865 bytes"),
        (Lane.ORDERS, pack(Kind.CALL, b""), "ORDERS met a message of kind 4, wanted batches alone"),
        (Lane.CONTROL, pack(Kind.CALL, b"", 99), "CONTROL met kind 4 with method 99"),
        (Lane.CONTROL, pack(Kind.BATCH, b""), "CONTROL met kind 3"),
    ],
)
def test_what_no_kernel_may_say_ends_the_bridge(lane: Lane, message: bytes, told: str):
    with FakeKernel(plan()) as kernel:
        kernel.welcome()
        kernel.socks[lane].sendall(message)
        status, last = kernel.ended()
        assert status == BridgeExit.BREACH
        assert told in last


@pytest.mark.parametrize("lane", [Lane.CONTROL, Lane.EVENTS])
def test_a_kernel_that_goes_leaves_no_plugin(lane: Lane):
    with FakeKernel(plan(env={"MARK_OF_TEST": f"gone-{os.getpid()}-{lane}"})) as kernel:
        begin(kernel)
        mark = f"MARK_OF_TEST=gone-{os.getpid()}-{lane}"
        assert processes_with(mark)
        kernel.socks[lane].shutdown(socket.SHUT_RDWR)
        status, last = kernel.ended()
        assert status == BridgeExit.KERNEL_GONE
        assert last == f"{LAST_WORDS}the kernel has closed {lane.name}"
        wait_until(lambda: not processes_with(mark), "the plugin lives on")


def test_a_bridge_that_is_killed_leaves_no_plugin():
    mark = f"killed-{os.getpid()}"
    with FakeKernel(plan(env={"MARK_OF_TEST": mark})) as kernel:
        begin(kernel)
        (bridge,) = [
            pid
            for pid in processes_with("PENSTOCK_BRIDGE=")
            if mark.encode() in Path(f"/proc/{pid}/environ").read_bytes()
            and b"penstock_kernel.bridge" in Path(f"/proc/{pid}/cmdline").read_bytes()
            and b"confine.py" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        assert processes_with(f"MARK_OF_TEST={mark}")
        os.kill(bridge, signal.SIGKILL)
        wait_until(lambda: not processes_with(f"MARK_OF_TEST={mark}"), "the plugin lives on")


def test_a_stopped_plugin_holds_the_kernel_up_and_memory_stays_bounded():
    mark = f"MARK_OF_TEST=stopped-{os.getpid()}"
    with FakeKernel(plan(env=dict([mark.split("=")]))) as kernel:
        begin(kernel)
        for pid in processes_with(mark):
            os.kill(pid, signal.SIGSTOP)
        # A kernel that sends on without credit: the bridge takes what the pipes hold, then no more.
        sock, sent = kernel.socks[Lane.EVENTS], 0
        sock.setblocking(False)
        message = pack(Kind.BATCH, Batch(number=1, frames=bytes(1 << 20)).SerializeToString())
        wrote = True
        while wrote and sent < 64 << 20:
            wrote = _written(sock, message)
            sent += len(message) if wrote else 0
        assert sent < 32 << 20
        for pid in processes_with(mark):
            os.kill(pid, signal.SIGCONT)


def _written(sock: socket.socket, message: bytes) -> bool:
    """Write a whole message; return False when nothing more was taken for a second."""
    import select

    at = 0
    while at < len(message):
        if not select.select([], [sock], [], 1.0)[1]:
            return False
        at += sock.send(message[at:])
    return True


def test_a_confined_plugin_comes_up_with_a_folder_of_its_own():
    root = Path(__file__).resolve().parents[2]
    confinement = Confinement(read=("/usr", "/lib", "/lib64", "/etc", "/root/.pyenv", str(root), "/proc", "/sys"))
    with FakeKernel(plan(confinement=msgspec.to_builtins(confinement))) as kernel:
        begin(kernel)
        kernel.send(quotes())
        assert count_records(kernel.receive().frames) == 1


def test_a_bridge_without_a_plan_says_who_starts_bridges():
    for broken in (BridgePlan(), BridgePlan(argv=("x",), address="y")):
        with FakeKernel(broken) as kernel:
            status, last = kernel.ended()
            assert status == BridgeExit.PLAN
            assert last.startswith(f"{LAST_WORDS}PENSTOCK_BRIDGE met both or none of argv and address, wanted one")


def test_an_address_that_nobody_serves_is_refused_after_trying():
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    with FakeKernel(BridgePlan(address=f"127.0.0.1:{port}", start_s=0.5)) as kernel:
        kernel.welcome()
        with pytest.raises(AssertionError, match="connection to the plugin is gone"):
            kernel.call("Describe")
        assert kernel.ended()[0] == BridgeExit.NOT_STARTED


def test_certificates_that_will_not_do_are_told():
    broken = BridgePlan(address="127.0.0.1:1", tls=PlanTls(ca="/none", cert="/none", key="/none"))
    with FakeKernel(broken) as kernel:
        kernel.welcome()
        with pytest.raises(AssertionError, match="tls ca /none cannot be read"):
            kernel.call("Describe")


def test_a_plan_survives_json():
    full = BridgePlan(argv=("a",), env={"K": "v"}, confinement=Confinement(read=("/x",), processes=1))
    assert msgspec.json.decode(msgspec.json.encode(full), type=BridgePlan) == full


def test_what_the_kernel_needs_of_the_bridge_imports_no_grpc():
    script = "import sys, penstock_kernel.bridge.plan; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=WAIT_S).returncode == 0
