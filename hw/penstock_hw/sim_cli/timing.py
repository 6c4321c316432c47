"""``penstock sim timing``: clocks, MHz, ns, area and critical path, of the present RTL and of a revision's."""

from __future__ import annotations

import argparse
import subprocess
import sys

from penstock_hw.sim_cli.tree import find_tree

__all__ = ["add_timing"]

_DESCRIPTION = """Synthesise, place and route the tops of rtl/budgets.toml, and show clocks, fmax after routing, latency
in ns (clocks ÷ fmax), area and the critical path. The figures are an estimate by open tools. What was measured before
is kept, by the digest of sources, parameters and tools."""
_EXAMPLES = """examples:
  penstock sim timing risk_gate                         on the ECP5, whose tools are Python wheels
  penstock sim timing risk_gate --device xc7 --seeds 5  on the xc7z020; rtl/timing/README.md has its tools
  penstock sim timing --compare main~3                  what changed since
  penstock sim timing risk_gate --device all --write    the figures into rtl/budgets.toml
  penstock sim timing --device all --tighten            the limits there 5 % beside its figures, measuring nothing"""


def add_timing(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``penstock sim timing``."""
    parser = subcommands.add_parser(
        "timing", help="clocks, MHz, ns, area, critical path", description=_DESCRIPTION, epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("tops", nargs="*", metavar="TOP", help="of rtl/budgets.toml (all)")
    parser.add_argument("--device", choices=["ecp5", "xc7", "all"], default="ecp5", help="(ecp5)")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="placements, by seeds 1 to N (3)")
    parser.add_argument("--write", action="store_true", help="put the figures into rtl/budgets.toml")
    parser.add_argument("--check", action="store_true", help="fail where a limit of rtl/budgets.toml is not kept")
    parser.add_argument("--compare", metavar="REV", help="measure the RTL of a git revision beside the present one")
    parser.add_argument(
        "--tighten", nargs="?", type=float, const=5.0, metavar="PERCENT",
        help="measure nothing; put the limits of rtl/budgets.toml so many percent beside its figures (5)",
    )  # fmt: skip
    parser.set_defaults(command=_timing)


def _timing(options: argparse.Namespace) -> int:
    tree = find_tree()
    words = [*options.tops, "--device", options.device, "--seeds", str(options.seeds)]
    words += [f"--{flag}" for flag in ("write", "check") if getattr(options, flag)]
    words += ["--compare", options.compare] if options.compare else []
    words += ["--tighten", str(options.tighten)] if options.tighten is not None else []
    return subprocess.run([sys.executable, str(tree.root / "tools" / "figures.py"), *words], cwd=tree.root).returncode
