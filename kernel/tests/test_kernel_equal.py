"""The simulated kernel of the SDK and the real one give the same bytes for the same plugins, seeds and inputs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from kernel.tests.toy_market import END_NS, START_NS, attach, kernel_in, recorded, start
from penstock_sdk.events import ExecutionReport, Order, PluginFault, Reason, Signal, TaskResult
from penstock_sdk.testing import SimKernel
from penstock_sdk.wire.segment import verify


def simulated(seed: int) -> SimKernel:
    kernel = SimKernel(seed=seed, start_ns=START_NS, faults_max=100)
    attach(kernel)
    kernel.start()
    kernel.run_until(END_NS)
    return kernel


@pytest.mark.parametrize("seed", [3, 4])
def test_both_kernels_record_the_same_bytes(seed: int, tmp_path: Path) -> None:
    real = start(kernel_in(tmp_path, run_seed=seed))
    real.run_simulated(END_NS)
    real.close()
    toy = simulated(seed)
    assert recorded(tmp_path) == toy.frames
    assert verify(tmp_path / "journal").digest == toy.digest()


def test_the_toys_use_all_that_a_plugin_may() -> None:
    kernel = simulated(3)
    assert {order.reason for order in kernel.of(Order)} >= {Reason.NONE, Reason.QTY_MAX}
    assert {report.kind for report in kernel.of(ExecutionReport)} >= {1, 2, 3, 4, 7}
    assert kernel.of(TaskResult)
    assert kernel.of(PluginFault)
    assert any(signal.confidence for signal in kernel.of(Signal))


def test_another_seed_gives_another_digest() -> None:
    assert simulated(3).digest() != simulated(4).digest()
    assert simulated(3).digest() == simulated(3).digest()
    logical = [frame for frame in simulated(3).frames if not frame[7] & 0x80]
    assert simulated(3).digest() == hashlib.sha256(b"".join(logical)).hexdigest()
