"""``penstock sim list``: the modules, a line each."""

from __future__ import annotations

import argparse
import json
import shutil
import sys

from penstock_hw.sim_cli.tree import Module, Tree, find_tree

__all__ = ["add_list"]


def add_list(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``penstock sim list``."""
    parser = subcommands.add_parser(
        "list", help="the modules, with benches, proofs and parameters",
        description="List the modules of rtl/: a line each with the bench, how many proofs, what it is for; "
        "with names, all that is known of these.",
    )  # fmt: skip
    parser.add_argument("module", nargs="*", help="tell all of these")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=_list)


def _list(options: argparse.Namespace) -> int:
    tree = find_tree()
    chosen = [tree.module(name) for name in options.module] or list(tree.modules.values())
    if options.json:
        print(json.dumps([_as_json(tree, each) for each in chosen], indent=2))
    elif options.module:
        print("\n\n".join(_whole(tree, each) for each in chosen))
    else:
        print("\n".join(_lines(tree, chosen)))
    return 0


def _as_json(tree: Tree, module: Module) -> dict[str, object]:
    return {
        "module": module.name,
        "file": str(module.path.relative_to(tree.root)),
        "purpose": module.purpose,
        "parameters": module.parameters,
        "bench": str(module.bench.relative_to(tree.root)) if module.bench else None,
        "proofs": list(module.proofs),
    }


def _lines(tree: Tree, modules: list[Module]) -> list[str]:
    rows = [("MODULE", "BENCH", "PROOFS", "PARAMETERS", "PURPOSE")]
    for each in modules:
        names = list(each.parameters)
        shown = " ".join(names[:3]) + (f" +{len(names) - 3}" if len(names) > 3 else "")
        rows.append((each.name, "yes" if each.bench else "-", str(len(each.proofs) or "-"), shown or "-", each.purpose))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    lines = ["  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[4]]) for row in rows]
    return [line if not width or len(line) <= width else line[: width - 1] + "…" for line in lines]


def _whole(tree: Tree, module: Module) -> str:
    lines = [f"{module.name}: {module.purpose}", f"  file        {module.path.relative_to(tree.root)}"]
    lines.append(f"  bench       {module.bench.relative_to(tree.root) if module.bench else '-'}")
    lines.append(f"  proofs      {', '.join(module.proofs) or '-'}")
    lines += [f"  parameter   {name} = {value}" for name, value in module.parameters.items()]
    return "\n".join(lines)
