"""A run's data, for people: contract names, local delivery times, currency per MWh, MW and MWh.

    import penstock

    with penstock.open_run("latest") as run:
        fills = run.fills(strategy="mm_de").pandas()

`open_run` opens a run that is finished, failed, crashed or running, a running one up to the last event it has written.
Every answer (`Rows`) is an Arrow table; `pandas` and `polars` frames are made of it when asked for
(``pip install penstock-kernel[data]``).
"""

from __future__ import annotations

from penstock.rows import DataError, Rows
from penstock.run_data import RunData, open_run

__all__ = ["DataError", "Rows", "RunData", "open_run"]
