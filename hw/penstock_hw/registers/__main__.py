"""Generate what comes from rtl/regs/*.rdl, or check that it is current.

    python -m penstock_hw.registers [--check] [ROOT]

ROOT is the repository, the current folder when left out. With ``--check`` nothing is written, and the exit status is 1
when a file is missing, not current, or of a block that no longer is.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from penstock_hw.registers.constants import c_header, python
from penstock_hw.registers.markdown import page
from penstock_hw.registers.rdl import PROPERTIES, RdlError, read_block
from penstock_hw.registers.systemverilog import module

__all__ = ["generate", "main"]

_RDL = Path("rtl/regs")
_RTL = _RDL / "generated"
_PYTHON = Path("hw/penstock_hw/registers/generated")
_PAGE = Path("docs/registers.md")
COMMAND = "python -m penstock_hw.registers"


def generate(root: Path) -> dict[Path, str]:
    """Return the text of every made file by its path below *root*.

    Raises:
        RdlError: a block's SystemRDL is wrong, or two blocks have one id.
    """
    files: dict[Path, str] = {}
    sources = sorted(path for path in (root / _RDL).glob("*.rdl") if path.name != PROPERTIES)
    if not sources:
        raise RdlError(f"{root / _RDL}: holds no block; run {COMMAND} in the repository's root, or name it")
    blocks = [read_block(path) for path in sources]
    names: dict[int, str] = {}
    for path, block in zip(sources, blocks, strict=True):
        if block.id in names:
            raise RdlError(f"{path}: block_id is {block.id_text!r}, as that of {names[block.id]}; choose another")
        names[block.id] = block.name
        source = path.relative_to(root).as_posix()
        files[_RTL / f"{block.name}_regs.sv"] = module(block, source)
        files[_RTL / f"penstock_{block.name}.h"] = c_header(block, source)
        files[_PYTHON / f"{block.name}.py"] = python(block, source)
    files[_PYTHON / "__init__.py"] = f'"""One module a block, with its constants; made by `{COMMAND}`."""\n'
    files[_PAGE] = page(blocks)
    return files


def stale(root: Path, files: dict[Path, str]) -> list[Path]:
    """Return the files that would be written or removed, as paths below *root*."""
    changed = [path for path, text in files.items() if not _holds(root / path, text)]
    made = [*(root / _RTL).glob("*.sv"), *(root / _RTL).glob("*.h"), *(root / _PYTHON).glob("*.py")]
    return sorted(changed + [path.relative_to(root) for path in made if path.relative_to(root) not in files])


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def main(arguments: list[str] | None = None) -> int:
    """Write the files or check them; return the exit status."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Make registers from rtl/regs/*.rdl.")
    parser.add_argument("root", nargs="?", type=Path, default=Path(), metavar="ROOT")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a file is not current")
    options = parser.parse_args(arguments)
    try:
        files = generate(options.root)
    except RdlError as error:
        print(error, file=sys.stderr)
        return 2
    for path in stale(options.root, files):
        if options.check:
            print(f"{path}: is not what {_RDL}/*.rdl says; run {COMMAND}", file=sys.stderr)
        elif path in files:
            (options.root / path).parent.mkdir(parents=True, exist_ok=True)
            (options.root / path).write_text(files[path], encoding="utf-8")
            print(path)
        else:
            (options.root / path).unlink()
            print(f"{path} (removed)")
    return 1 if options.check and stale(options.root, files) else 0


if __name__ == "__main__":
    sys.exit(main())
