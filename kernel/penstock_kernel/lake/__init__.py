"""The read model of a run: its journal as tables, for SQL. Rebuilt from the journal at will; never the truth itself.

`rebuild` makes it from a journal that has ended, `follow` beside a running kernel, in a process of its own
(``python -m penstock_kernel.lake RUN_DIR --follow``). `query` asks it.
"""

from __future__ import annotations

from penstock_kernel.lake.follow import follow, rebuild
from penstock_kernel.lake.query import connect, print_table, query
from penstock_kernel.lake.reader import Reader, tables
from penstock_kernel.lake.views import VIEWS
from penstock_kernel.lake.writer import LakeError

__all__ = ["VIEWS", "LakeError", "Reader", "connect", "follow", "print_table", "query", "rebuild", "tables"]
