"""``penstock deal …`` and ``penstock trades …``: deals and trades that were made elsewhere, taken into an instance.

Rows are sent as they are written; the instance validates them with its own reference data, limits and listings, and
takes all of them or none. ``check`` does as much of that as can be done without an instance.
"""

from __future__ import annotations

import argparse
import os
import pwd
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console

from penstock_kernel.cli.operate import (
    DONE,
    REFUSED,
    ask_kernel,
    command_options,
    common_options,
    failed,
    guarded,
    send_command,
    show,
)

if TYPE_CHECKING:
    from penstock_sdk.energy.row_files import Sheet

__all__ = ["add_commands"]

_ARGUMENT_BYTES_MAX = 200_000
"""A request ends at 256 KiB, and JSON in JSON has its quotes escaped."""

_EXAMPLE = """\
example:
  penstock deal capture --deal-id EX-1 --counterparty "Nordwind AG" --book power-de --side buy --kind forward \\
      --zone DE-LU --delivery "M 2026-03" --quantity 5 --unit MW --price 86.70 --price-unit EUR/MWh \\
      --traded "2026-02-20 10:15 Europe/Berlin"
  penstock deal confirm EX-1              somebody else, by the system's word
  penstock deal list

A file has the same names as columns (CSV) or fields (JSON): `penstock deal check FILE` says what is wrong with it.
"""
_TRADES_EXAMPLE = """\
example:
  penstock trades import trades.csv --instance desk-de
with trades.csv:
  reference,source,contract,side,quantity,unit,price,traded,book,trader
  T-1,screen,DE-LU H 2026-03-10 09,sell,2.5,MW,-1.50,2026-03-09T16:01:02+01:00,power-de,anna
"""


_COLUMN_HELP = {
    "deal_id": "the parties' own number; never used twice",
    "counterparty": "with whom: a name of the counterparties' file",
    "book": "the trading book that owns the position",
    "trader": "who agreed it (default: who captures)",
    "side": "ours: buy or sell",
    "kind": "forward (delivered) or swap (cash, follows --index)",
    "zone": "where, as DE-LU or TTF",
    "delivery": "a period, as 'M 2026-03' or 'D 2026-03-10 PEAK'; not with --shape",
    "quantity": "above 0, in --unit; not with --shape",
    "unit": "of the quantity or the shape: MW, kW; MWh (a total), MWh/d; therm/d, MMBtu, t",
    "shape": "START/END=QUANTITY; …, in place of delivery and quantity, as 2026-03-10T08:00/2026-03-10T20:00=10",
    "price": "a decimal, as 86.70",
    "price_unit": "as EUR/MWh, GBp/therm, USD/MMBtu, EUR/t",
    "currency": "as EUR (default: the price unit's)",
    "traded": "when it was agreed, as '2026-02-20 10:15 Europe/Berlin' or 2026-02-20T09:15:00Z",
    "index": "a swap's floating price, as price.DE-LU.da",
    "settlement": "physical or cash (default: as the kind has it)",
    "payment": "monthly (default)",
}


class _Add(Protocol):
    def __call__(
        self, name: str, command: Callable[[argparse.Namespace, Console], int], summary: str, description: str = ""
    ) -> argparse.ArgumentParser: ...


def add_commands(add: _Add) -> None:
    """Add both commands to the command line."""
    from penstock_sdk.energy.deals import DEAL_COLUMNS

    deal = _parent(add, "deal", "capture, confirm, reject, cancel or list bilateral deals", _EXAMPLE)
    capture = _sub(deal, "capture", _capture, "take a deal, or a file of them: somebody else confirms")
    capture.add_argument("file", nargs="?", type=Path, help="CSV or JSON; in place of the options below")
    for column in DEAL_COLUMNS:
        if column not in ("captured_by", "confirmed_by"):
            text = _COLUMN_HELP[column]
            capture.add_argument("--" + column.replace("_", "-"), dest=f"cell_{column}", metavar="TEXT", help=text)
    for name, summary in (
        ("confirm", "confirm what somebody else captured: it counts from now on"),
        ("reject", "reject what is captured"),
        ("cancel", "cancel a deal; a confirmed one is taken back by a trade the other way"),
    ):
        change = _sub(deal, name, _change, summary)
        change.add_argument("id", help="the deal's id")
        _calling(change, reason_needed=name != "confirm")
    _calling(capture, reason_needed=False)
    listed = _sub(deal, "list", _list, "list the deals, where each stands and by whom")
    listed.add_argument("id", nargs="?", default="", help="one deal")
    common_options(listed)
    _add_check(
        _sub(deal, "check", _check_deals, "say what is wrong with a file of deals; wants no instance"), deals=True
    )
    trades = _parent(add, "trades", "import trades that a screen or a broker made", _TRADES_EXAMPLE)
    imported = _sub(
        trades, "import", _import, "take a file of trades, all of it or nothing; known references count once"
    )
    imported.add_argument("file", type=Path, help="CSV or JSON")
    _calling(imported, reason_needed=False)
    _add_check(
        _sub(trades, "check", _check_trades, "say what is wrong with a file of trades; wants no instance"), deals=False
    )


def _parent(add: _Add, name: str, summary: str, example: str) -> Any:
    parser = add(name, lambda options, console: DONE, summary, summary[0].upper() + summary[1:] + ".")
    parser.epilog, parser.formatter_class = example, argparse.RawDescriptionHelpFormatter
    return parser.add_subparsers(title="what", metavar="WHAT", required=True, dest="do")


def _sub(
    parent: Any, name: str, command: Callable[[argparse.Namespace, Console], int], summary: str
) -> argparse.ArgumentParser:
    sub: argparse.ArgumentParser = parent.add_parser(
        name, help=summary, description=summary[0].upper() + summary[1:] + "."
    )
    sub.set_defaults(command=guarded(command))
    return sub


def _calling(sub: argparse.ArgumentParser, *, reason_needed: bool) -> None:
    common_options(sub)
    command_options(sub, reason_needed=reason_needed)


def _add_check(sub: argparse.ArgumentParser, *, deals: bool) -> None:
    sub.add_argument("file", type=Path, help="CSV or JSON")
    sub.add_argument("--deployment", type=Path, metavar="FILE", help="whose reference data and counterparties hold")
    if deals:
        text = "check this file, and the deals against its names and limits"
        sub.add_argument("--counterparties", type=Path, metavar="FILE", help=text)
    sub.add_argument("--json", action="store_true", help="print JSON")


# -- commands ----------------------------------------------------------------------------------------------------------


def _capture(options: argparse.Namespace, console: Console) -> int:
    from penstock_sdk.energy.row_files import Sheet

    cells = {name[5:]: text for name, text in vars(options).items() if name.startswith("cell_") and text}
    if (options.file is None) == (not cells):
        return failed(options, REFUSED, "capture wants a file, or the terms as options; see penstock deal --help")
    sheet = _read(options.file) if options.file is not None else Sheet.of("command line", [cells])
    return _send(options, console, "deal", sheet, "capture", "captured")


def _import(options: argparse.Namespace, console: Console) -> int:
    return _send(options, console, "trades", _read(options.file), "", "imported")


def _change(options: argparse.Namespace, console: Console) -> int:
    from msgspec import json

    options.reason = options.reason or f"{options.do} {options.id}"
    argument = json.encode({"do": options.do, "id": options.id}).decode()
    return send_command(options, console, "deal", argument=argument)


def _send(options: argparse.Namespace, console: Console, word: str, sheet: Sheet, do: str, why: str) -> int:
    """Send a sheet's rows as one command."""
    from msgspec import json

    if sheet.faults:
        return failed(options, REFUSED, "; ".join(map(str, sheet.faults)), [str(fault) for fault in sheet.faults])
    argument = json.encode({"do": do, "file": sheet.source, "rows": [list(row) for row in sheet.rows]}).decode()
    if len(argument.encode()) > _ARGUMENT_BYTES_MAX:
        text = f"{sheet.source} has {len(sheet.rows)} rows, {len(argument):,} bytes as sent; wanted at most "
        return failed(options, REFUSED, f"{text}{_ARGUMENT_BYTES_MAX:,}: split it, or name it in the deployment")
    options.reason = options.reason or f"{why} from {sheet.source}"
    return send_command(options, console, word, argument=argument)


def _read(path: Path) -> Sheet:
    """Return a file's rows.

    Raises:
        ControlCallError: it cannot be read.
    """
    from penstock_kernel.control.client import ControlCallError
    from penstock_sdk.energy.row_files import read_sheet

    try:
        return read_sheet(str(path), path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ControlCallError(f"{path}: it is no UTF-8 at byte {error.start}; save it as UTF-8") from None
    except OSError as error:
        raise ControlCallError(f"{path}: it cannot be read: {error.strerror}") from None


def _list(options: argparse.Namespace, console: Console) -> int:
    from penstock_kernel.control.protocol import QueryAnswer, QueryRequest

    answer = ask_kernel(options, QueryRequest(word="deal", argument=options.id))
    return show(options, console, answer, lambda: _lines(answer.value) if isinstance(answer, QueryAnswer) else [])


def _lines(deals: list[dict[str, Any]]) -> list[str]:
    """Return a line for each deal."""
    lines = []
    for deal in deals:
        eyes = f"captured by {deal['captured_by']}"
        eyes += f", confirmed by {deal['confirmed_by']}" if deal["confirmed_by"] else ""
        eyes += f" (said by file {deal['told_by']})" if deal["told_by"] else ""
        why = f": {deal['why']}" if deal["why"] else ""
        worth = f"{deal['energy']}, {deal['value']}"
        lines.append(f"{deal['deal_id']}  {deal['status']}{why}  {deal['text']}; {worth}; {eyes}")
    return lines or ["no deals"]


# -- without an instance -----------------------------------------------------------------------------------------------


def _check_deals(options: argparse.Namespace, console: Console) -> int:
    from penstock_kernel.reference import load_reference
    from penstock_sdk.energy.counterparties import counterparties_of
    from penstock_sdk.energy.deal_capture import file_faults

    file = options.counterparties or _counterparties_of(options.deployment)
    rows, faults = counterparties_of(_read(file)) if file is not None else ([], [])
    known = [terms for _, terms in rows] if file is not None and not faults else None
    reference = load_reference(options.deployment)
    count, more = file_faults(_read(options.file), known, reference, person=_me())
    note = "" if file is not None else "; counterparties and limits were not asked, give --counterparties FILE"
    return _checked(options, console, "deals", count, [str(fault) for fault in faults + more], note)


def _counterparties_of(deployment: Path | None) -> Path | None:
    """Return the file of counterparties that a deployment's plugin `deals` names."""
    from penstock_kernel.deployment import load_deployment
    from penstock_sdk.discovery import load_class

    if deployment is None:
        return None
    held = load_deployment(deployment)
    for spec in held.plugins:
        name = spec.config.get("counterparties")
        if name and spec.run == "inprocess" and "deal" in getattr(load_class(spec.manifest), "commands", ()):
            return held.files_folder / str(name)
    return None


def _me() -> str:
    """Return the name of who calls."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"


def _check_trades(options: argparse.Namespace, console: Console) -> int:
    from penstock_kernel.reference import load_reference
    from penstock_sdk.energy.outside_trades import trade_file_faults

    count, unknown, faults = trade_file_faults(_read(options.file), load_reference(options.deployment))
    note = f"; {unknown} in contracts that the rules do not know were not held against a tick and lot"
    return _checked(options, console, "trades", count, [str(fault) for fault in faults], note if unknown else "")


def _checked(options: argparse.Namespace, console: Console, what: str, count: int, faults: list[str], note: str) -> int:
    from msgspec import json

    if faults:
        return failed(options, REFUSED, "; ".join(faults), faults)
    if options.json:
        sys.stdout.write(json.encode({"is": "checked", "file": str(options.file), what: count}).decode() + "\n")
    else:
        console.print(f"{options.file}: {count} {what}, no faults{note}", markup=False)
    return DONE
