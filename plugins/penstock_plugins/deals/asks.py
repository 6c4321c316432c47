"""The argument of a command: what is to be done with which deal, or which rows."""

from __future__ import annotations

import msgspec

from penstock_sdk.energy.row_files import Sheet, SheetRow
from penstock_sdk.events import OperatorCommand

__all__ = ["CHANGES", "Ask", "ask_of"]

CHANGES = ("confirm", "reject", "cancel")
"""What may be done with a deal that is captured."""
ROWS_MAX = 200
"""A command holds the kernel while it is checked, some tenths of a millisecond a row."""


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The argument of a command."""

    do: str = ""
    id: str = ""
    file: str = "command"
    rows: list[tuple[int, dict[str, str]]] = []

    @property
    def sheet(self) -> Sheet:
        """Its rows."""
        return Sheet(self.file, [SheetRow(number, cells) for number, cells in self.rows], [])


def ask_of(command: OperatorCommand) -> tuple[Ask, str]:
    """Return a command's argument, and what is wrong with it."""
    try:
        ask = msgspec.json.decode(command.argument, type=Ask)
    except msgspec.MsgspecError as error:
        return Ask(), f"{command.command} met an argument that cannot be read: {error}; give it with `penstock`"
    known = ("capture", *CHANGES)
    if command.command == "deal" and ask.do not in known:
        return ask, f"deal met {ask.do!r}, wanted one of {', '.join(known)}"
    wants_rows = command.command == "trades" or ask.do == "capture"
    if wants_rows and not 0 < len(ask.rows) <= ROWS_MAX:
        return ask, f"{command.command} met {len(ask.rows)} rows, wanted 1 to {ROWS_MAX} at a time"
    return ask, ""
