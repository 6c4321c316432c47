"""axil_split hands each request to its page once and brings back the page's answer, whatever time each side takes."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly

from sims.axil import OKAY, SLVERR, Answer, AxilMaster
from sims.axis import Pause, one_in_three, two_in_three
from sims.bench import reset, start_clock
from sims.simulators import bench_seed, refuses, run_bench

PAGE_BYTES = 4096


class Pages:
    """The slaves behind the module: each answers by rule, and keeps what it was asked."""

    def __init__(self, dut: Any, pages: int, pause: Pause | None) -> None:
        self.dut, self.pages, self.pause = dut, pages, pause
        self.written: list[tuple[int, int, int, int]] = []
        """page, address, data, strobe."""
        self.read: list[tuple[int, int]] = []
        for name in ("awready", "wready", "bvalid", "bresp", "arready", "rvalid", "rresp", "rdata"):
            self.signal(name).value = 0
        cocotb.start_soon(self._run())

    def signal(self, name: str) -> Any:
        """Return a port of the module towards the pages."""
        return getattr(self.dut, f"m_axil_{name}")

    @staticmethod
    def resp(page: int, address: int) -> int:
        """Return what *page* answers at *address*."""
        return SLVERR if (address >> 2) % 5 == page else OKAY

    @staticmethod
    def data(page: int, address: int) -> int:
        """Return what *page* holds at *address*."""
        return (page << 24 | address << 4 | 5) & 0xFFFF_FFFF

    def page_of(self, name: str) -> int | None:
        """Return the page that is offered a request on a channel; two at once are an error."""
        valid = int(self.signal(name).value)
        assert valid & (valid - 1) == 0, f"{name} is {valid:b}"
        return valid.bit_length() - 1 if valid else None

    def paused(self) -> bool:
        """Return whether a page takes its time now."""
        return self.pause is not None and self.pause()

    async def _run(self) -> None:
        every, aw, w, ar = (1 << self.pages) - 1, None, None, None
        answers_write = answers_read = False
        while True:
            await FallingEdge(self.dut.clk)
            awready, wready, arready = (held is None and not self.paused() for held in (aw, w, ar))
            for name, ready in (("awready", awready), ("wready", wready), ("arready", arready)):
                self.signal(name).value = every if ready else 0
            if aw is not None and w is not None:
                answers_write |= not self.paused()
                self.signal("bresp").value = self.resp(*aw) << 2 * aw[0]
            if ar is not None:
                answers_read |= not self.paused()
                self.signal("rresp").value = self.resp(*ar) << 2 * ar[0]
                self.signal("rdata").value = self.data(*ar) << 32 * ar[0]
            self.signal("bvalid").value = 1 << aw[0] if aw and answers_write else 0
            self.signal("rvalid").value = 1 << ar[0] if ar and answers_read else 0
            await ReadOnly()
            if self.dut.rst.value == 1:
                aw = w = ar = None
                answers_write = answers_read = False
                continue
            if aw and w and answers_write and int(self.signal("bready").value) >> aw[0] & 1:
                assert aw[0] == w[0]
                self.written.append((*aw, *w[1:]))
                aw, w, answers_write = None, None, False
            if answers_read and ar and int(self.signal("rready").value) >> ar[0] & 1:
                self.read.append(ar)
                ar, answers_read = None, False
            if awready and (page := self.page_of("awvalid")) is not None:
                aw = (page, int(self.signal("awaddr").value))
            if wready and (page := self.page_of("wvalid")) is not None:
                w = (page, int(self.signal("wdata").value), int(self.signal("wstrb").value))
            if arready and (page := self.page_of("arvalid")) is not None:
                ar = (page, int(self.signal("araddr").value))


class Bench:
    """A clock, a master before the module and pages behind it."""

    def __init__(self, dut: Any, idle: Pause | None, backpressure: Pause | None, pause: Pause | None) -> None:
        self.dut = dut
        parameters = json.loads(os.environ["BENCH_PARAMETERS"])
        self.pages, self.span = parameters["PAGES"], 1 << parameters["ADDR_W"]
        self.rng = random.Random(bench_seed(self.pages))
        start_clock(dut)
        self.master = AxilMaster(dut, "s_axil", idle, backpressure)
        self.slaves = Pages(dut, self.pages, pause)

    @classmethod
    async def start(cls, dut: Any, *pauses: Pause | None) -> Bench:
        """Return a bench whose module has been reset."""
        bench = cls(dut, *pauses)
        await bench.reset()
        return bench

    async def reset(self) -> None:
        """Hold reset for four cycles, so that the pages see it too."""
        await reset(self.dut, 4)

    def wanted(self, address: int) -> tuple[int, int]:
        """Return data and response of a read of *address*."""
        page, offset = divmod(address, PAGE_BYTES)
        if page >= self.pages:
            return 0, SLVERR
        return Pages.data(page, offset), Pages.resp(page, offset)


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(
    (("idle", "backpressure", "pause"), [
        (None, None, None), (one_in_three, two_in_three, None), (None, one_in_three, two_in_three),
        (two_in_three, None, one_in_three),
    ])
)  # fmt: skip
async def every_request_reaches_its_page_once(dut: Any, idle: Any, backpressure: Any, pause: Any) -> None:
    bench = await Bench.start(dut, idle and idle(1), backpressure and backpressure(2), pause and pause(3))
    edges = [page * PAGE_BYTES + step for page in range(bench.pages + 1) for step in (-4, 0, 1) if page or step >= 0]
    addresses = [a for a in [*edges, bench.span - 4] if 0 <= a < bench.span]
    addresses += [bench.rng.randrange(bench.span) for _ in range(60)]
    written, read = [], []
    for address in addresses:
        value, strb, lag = bench.rng.getrandbits(32), bench.rng.randrange(16), bench.rng.randint(-3, 3)
        reading = cocotb.start_soon(bench.master.read(address))
        answer = await bench.master.write(address, value, strb, lag)
        data, resp = bench.wanted(address)
        assert answer.resp == resp, hex(address)
        answer = await reading
        assert (answer.data, answer.resp) == (data if resp == OKAY or address < bench.pages * PAGE_BYTES else 0, resp)
        page, offset = divmod(address, PAGE_BYTES)
        if page < bench.pages:
            written.append((page, offset, value, strb))
            read.append((page, offset))
    assert bench.slaves.written == written
    assert bench.slaves.read == read


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_reset_at_any_cycle_drops_what_is_under_way(dut: Any) -> None:
    bench = await Bench.start(dut, None, None, None)
    for cycles in range(10):
        under_way = [
            cocotb.start_soon(bench.master.write(4, 1, lag=cycles % 3 - 1)), cocotb.start_soon(bench.master.read(8)),
        ]  # fmt: skip
        await ClockCycles(dut.clk, cycles + 1)
        await bench.reset()
        for task in under_way:
            await task
        answer: Answer = await bench.master.read(12)
        assert (answer.data, answer.resp) == bench.wanted(12)
        assert (await bench.master.write(12, 3)).resp == bench.wanted(12)[1]


PARAMETERS = [{"PAGES": 3, "ADDR_W": 16}, {"PAGES": 1, "ADDR_W": 13}, {"PAGES": 8, "ADDR_W": 15}]


@pytest.mark.parametrize("parameters", PARAMETERS)
@pytest.mark.parametrize("simulator", ["icarus"])
def test_requests_reach_their_pages(simulator: str, parameters: dict[str, int], tmp_path: Path) -> None:
    env = {"BENCH_PARAMETERS": json.dumps(parameters)}
    run_bench("axil_split", __name__, tmp_path, simulator=simulator, parameters=parameters, env=env)


@pytest.mark.long
@pytest.mark.parametrize("parameters", PARAMETERS)
def test_requests_reach_their_pages_on_verilator(parameters: dict[str, int], tmp_path: Path) -> None:
    test_requests_reach_their_pages("verilator", parameters, tmp_path)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [("PAGES=17", "PAGES=17 does not fit ADDR_W=16"), ("ADDR_W=33", "ADDR_W=33, wanted 13 .. 32")],
)
def test_an_illegal_parameter_stops_the_simulation(parameter: str, message: str, tmp_path: Path) -> None:
    refuses("axil_split", parameter, message, tmp_path)
