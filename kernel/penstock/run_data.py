"""`open_run`: a run's orders, fills, positions, P&L and prices, finished or running, as `penstock.rows.Rows`."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Final, Self

import pyarrow as pa

from penstock.questions import QUESTIONS
from penstock.rows import DataError, Rows
from penstock_kernel.lake import LakeError, Reader
from penstock_kernel.runs import RunError, RunInfo, find_run
from penstock_sdk.energy import EnergyError, zone
from penstock_sdk.wire.segment import JournalError

__all__ = ["RunData", "When", "open_run"]

When = dt.datetime | str | int
"""A moment: an aware datetime, ISO text with its offset (``2026-03-10T08:00+01:00``), or integer ns UTC."""

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_LAST: Final = "QUALIFY row_number() OVER (PARTITION BY p.strategy_id, p.book_id, p.listing_id ORDER BY p.seq DESC) = 1"
_LOCAL: Final = ("delivery_start_ns", "delivery_end_ns")
_POLL_S: Final = 0.5


def open_run(run: str = "latest", runs_dir: str | Path = "runs", *, timezone: str | None = None) -> RunData:
    """Open a run for reading: finished, failed, crashed or running, the last up to what it has written at this moment.

    Args:
        run: ``latest``, an id, the beginning of one, or a path to a run's folder.
        runs_dir: where runs are kept.
        timezone: of delivery times, as ``Europe/Berlin``. None: that of the run's zones; UTC when they differ.

    Raises:
        DataError: there is no such run, it has no data yet, or its files are damaged.

    Cost: some 0.1 s, and 3 µs for each event that no table on disk holds: of a running run those of the last seconds,
    of a run with ``--no-report`` all of them.
    """
    with _told():
        if timezone is not None:
            zone(timezone)
        return RunData(find_run(Path(runs_dir), str(run)), timezone)


class RunData:
    """One run, read as of one event: what it answers agrees, until `refresh` goes on to the newest event.

    Prices are in currency per MWh (``currency`` names it) and may be negative; quantities are in MW, energies in MWh,
    money in the currency. ``at_utc`` is when it happened in the run's own time. ``delivery_start`` and
    ``delivery_end`` are aware local times. ``seq`` numbers the run's events.

    Every question can be narrowed: ``since`` (included) and ``until`` (not included) are moments (`When`),
    ``strategy`` and ``contract`` are names.

    Not for two threads at once. Close it after use, or open it in ``with``.
    """

    def __init__(self, run_dir: Path, timezone: str | None = None) -> None:
        self.dir = run_dir
        self._wanted_timezone = self._timezone = timezone
        self._reader = Reader(run_dir)
        self._known: dict[str, set[str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the run's files."""
        self._reader.close()

    def __repr__(self) -> str:
        info = self.info
        return f"<run {info.id} of {info.deployment}, {info.state}, read up to event {self.last_seq:,}>"

    # -- the run itself --------------------------------------------------------------------------------------------

    @property
    def info(self) -> RunInfo:
        """Return what ``run.json`` says now: id, status, deployment, seed, versions, digest, times.

        Its ``state`` is running, complete, failed or crashed. Of a running or crashed run, whose file counts nothing
        yet, ``events`` and ``last_seq`` are those that the answers know of, and ``orders`` our own that were sent:
        the simulated traders' are counted at the close.

        Raises:
            DataError: it cannot be read.
        """
        info = self._info()
        if info.state in ("running", "crashed"):
            info.events = info.last_seq = self.last_seq
            (row,) = self._query(
                "SELECT count(DISTINCT order_id) AS sent FROM orders WHERE action = 'NEW' AND state = 'ROUTED'"
            ).to_pylist()
            info.orders = int(row["sent"])
        return info

    def _info(self) -> RunInfo:
        with _told():
            return RunInfo.load(self.dir)

    @property
    def last_seq(self) -> int:
        """Return the number of the last event that the answers know of."""
        return self._reader.last_seq

    @property
    def timezone(self) -> str:
        """Return the time zone of delivery times: as asked for, else that of the run's zones, UTC when they differ."""
        if self._timezone is None:
            rows = self._query("SELECT DISTINCT timezone FROM zone_definitions").to_pylist()
            self._timezone = str(rows[0]["timezone"]) if len(rows) == 1 else "UTC"
        return self._timezone

    def refresh(self) -> bool:
        """Go on to the newest event that the run has written; return whether there was one. False when it has ended.

        Cost: some 3 µs an event.
        """
        with _told():
            self._known.clear()
            self._timezone = self._wanted_timezone
            return self._reader.refresh()

    # -- questions -------------------------------------------------------------------------------------------------

    def listings(self, *, contract: str | None = None) -> Rows:
        """Return the contracts at their venues, by delivery.

        Columns: contract, listing, product, zone, timezone, venue, currency, delivery_start, delivery_end, duration_h
        (hours of delivery), opens_utc, gate_closure_utc, tick_per_mwh (price step), lot_mw (quantity step),
        price_min_per_mwh, price_max_per_mwh, listing_id.
        """
        return self._ask("listings", contract=contract)

    def orders(
        self,
        *,
        since: When | None = None,
        until: When | None = None,
        strategy: str | None = None,
        contract: str | None = None,
    ) -> Rows:
        """Return our orders, one row each, with where they stand.

        Columns: seq (its last change), at_utc (when it was sent), strategy, contract, product, zone, venue,
        delivery_start, delivery_end, side, kind, state, reason, price_per_mwh (its limit), qty_mw, filled_mw,
        average_price_per_mwh (of its fills), currency, last_report_utc, order_id.
        """
        return self._ask("orders", since, until, strategy=strategy, contract=contract)

    def fills(
        self,
        *,
        since: When | None = None,
        until: When | None = None,
        strategy: str | None = None,
        contract: str | None = None,
    ) -> Rows:
        """Return our fills. Slippage is against the mid at decision and at arrival; positive is a cost.

        Columns: seq, at_utc, strategy, contract, product, zone, venue, delivery_start, delivery_end, side,
        price_per_mwh, qty_mw, energy_mwh, slippage_decision_per_mwh, slippage_arrival_per_mwh, slippage_cost (money,
        against the mid at decision), currency, liquidity, order_kind, order_id, trade_id.
        """
        return self._ask("fills", since, until, strategy=strategy, contract=contract)

    def refusals(
        self,
        *,
        since: When | None = None,
        until: When | None = None,
        strategy: str | None = None,
        contract: str | None = None,
    ) -> Rows:
        """Return the orders that a check of ours refused or a venue rejected.

        Columns: seq, at_utc, strategy, contract, product, zone, venue, delivery_start, delivery_end, stage (check or
        venue), refused_by, reason, met, limit (the check's own integers: lots, ticks, 10⁻⁶ of the currency, ns),
        met_value, limit_value (the same two in unit), unit (MW, EUR/MWh, EUR, s, orders at once; None for a switch or
        an id), side, price_per_mwh, qty_mw, currency, order_id.
        """
        return self._ask("refusals", since, until, strategy=strategy, contract=contract)

    def positions(
        self,
        *,
        latest: bool = False,
        since: When | None = None,
        until: When | None = None,
        strategy: str | None = None,
        contract: str | None = None,
    ) -> Rows:
        """Return positions by strategy, book and contract: a row per change, or with *latest* the last of each alone.

        With *latest*, *until* gives what was held at that moment; *since* then leaves out what had not changed since.

        Columns: seq, at_utc, strategy, book, contract, product, zone, venue, delivery_start, delivery_end, net_mw
        (bought less sold; a long takes delivery), net_mwh, bought_mw, sold_mw, cash (received less paid), currency.
        """
        return self._ask("positions", since, until, latest=latest, strategy=strategy, contract=contract)

    def delivery_positions(self, *, strategy: str | None = None) -> Rows:
        """Return what each strategy holds now in each quarter-hour of delivery, over all contracts that touch it.

        Columns: strategy, zone, delivery_start, delivery_end, net_mw (positive takes delivery), net_mwh.
        """
        return self._ask("delivery_positions", strategy=strategy)

    def pnl(
        self,
        *,
        latest: bool = False,
        since: When | None = None,
        until: When | None = None,
        strategy: str | None = None,
        contract: str | None = None,
    ) -> Rows:
        """Return profit and loss: a row per change, or with *latest* the last of each strategy, book and contract.

        A row without contract is the strategy's own total over all contracts: its rows are the P&L curve.

        With *latest*, *until* gives what stood at that moment; *since* then leaves out what had not changed since.

        Columns: seq, at_utc, strategy, book, contract, product, zone, venue, delivery_start, delivery_end, realised,
        unrealised, fees, total (realised + unrealised − fees), mark_per_mwh (valued at), currency.
        """
        return self._ask("pnl", since, until, latest=latest, strategy=strategy, contract=contract)

    def prices(self, *, since: When | None = None, until: When | None = None, contract: str | None = None) -> Rows:
        """Return every price seen: the market's trades, and the observed price series.

        Columns: seq, at_utc, source (trade or observation), name (of the contract or series), contract, product, zone,
        venue, delivery_start, delivery_end (of an observation: what it is about), price_per_mwh, qty_mw, currency.
        """
        return self._ask("prices", since, until, contract=contract)

    def quotes(self, *, since: When | None = None, until: When | None = None, contract: str | None = None) -> Rows:
        """Return best bids and asks; an empty side has no price. A day has hundreds of thousands: narrow it.

        Columns: seq, at_utc, contract, product, zone, venue, delivery_start, delivery_end, bid_per_mwh, bid_mw,
        ask_per_mwh, ask_mw, currency, tradability.
        """
        return self._ask("quotes", since, until, contract=contract)

    def alerts(self, *, since: When | None = None, until: When | None = None) -> Rows:
        """Return what a person was to know.

        Columns: seq, at_utc, severity, code, subject, met, wanted, way_out, cleared (it is over).
        """
        return self._ask("alerts", since, until)

    def table(self, name: str, *, since_seq: int = -1) -> Rows:
        """Return the rows of one record type as they were recorded: ticks, lots, integer ns, ids.

        Args:
            name: the table, as ``order_intents``; `tables` has them.
            since_seq: only events after this number.

        Raises:
            DataError: there is no such table.
        """
        quoted = '"' + name.replace('"', '""') + '"'
        rows = self._query(f"SELECT * FROM {quoted} WHERE seq > {int(since_seq)} ORDER BY seq")
        return Rows(rows, self.last_seq)

    def tables(self) -> dict[str, int]:
        """Return the tables that hold rows, by name, and how many."""
        with _told():
            return self._reader.tables()

    def sql(self, text: str) -> Rows:
        """Return the answer to a question in DuckDB's SQL over the tables and views that ``penstock query`` has.

        Raises:
            DataError: the SQL cannot be run; the message lists tables and views.
        """
        table = self._query(text)
        for place, field in enumerate(table.schema):  # DuckDB's times have no zone; those of the views are UTC
            if field.name.endswith("_utc") and pa.types.is_timestamp(field.type) and field.type.tz is None:
                aware = table.column(place).cast(pa.timestamp(field.type.unit, tz="UTC"))
                table = table.set_column(place, field.name, aware)
        return Rows(table, self.last_seq)

    # -- following -------------------------------------------------------------------------------------------------

    def follow(
        self,
        name: str,
        since_seq: int = -1,
        *,
        poll_s: float = _POLL_S,
        wait: Callable[[float], object] = time.sleep,
    ) -> Iterator[Rows]:
        """Yield rows as the run writes them, each time those that are new, until the run has ended.

        The first are those there are after *since_seq*. To go on later, hand in the ``last_seq`` of the last answer.

        Args:
            name: a question (``fills``, ``pnl``, ``alerts`` …) or a table (`tables`). Of ``orders``, which shows where
                orders stand, an order comes again when it has changed.
            since_seq: rows with a greater ``seq``.
            poll_s: seconds between looks.
            wait: waits so many seconds.

        Raises:
            DataError: there is no such table, or its rows have no number.
        """
        question = QUESTIONS.get(name)
        if question is not None and "seq" not in self._columns(question.sql):
            text = f"{name} is no sequence of events, so it cannot be followed; call .{name}() after .refresh()"
            raise DataError(text)
        while True:
            ended = self._info().state != "running"  # asked before reading: then nothing is missed
            rows = self.table(name, since_seq=since_seq) if question is None else self._ask(name, since_seq=since_seq)
            if len(rows):
                yield rows
            since_seq = max(since_seq, rows.last_seq)
            if not ended:
                wait(poll_s)
            if not self.refresh() and ended:
                return

    # -- within ----------------------------------------------------------------------------------------------------

    def _ask(
        self,
        name: str,
        since: When | None = None,
        until: When | None = None,
        *,
        latest: bool = False,
        since_seq: int | None = None,
        **names: str | None,
    ) -> Rows:
        question = QUESTIONS[name]
        until_ns = _moment_ns(until)
        bounds = {"at_ns >=": _moment_ns(since), "at_ns <": until_ns, "seq >": since_seq}
        wheres = [f"{column} {value}" for column, value in bounds.items() if value is not None]
        for column, value in names.items():
            if value is not None:
                assert column in question.narrows
                self._check_known(column, value)
                quoted = value.replace("'", "''")
                wheres.append(f"{column} = '{quoted}'")
        where = f"WHERE {' AND '.join(wheres)}" if wheres else ""
        # What came later must not hide what stood then, so the end is drawn before the last of each is chosen.
        before = "" if until_ns is None else f"WHERE p.at_ns < {until_ns} "
        sql = question.sql.format(latest=f"{before}{_LAST}" if latest else "")
        table = self._query(f"SELECT * FROM ({sql}) {where} ORDER BY {question.order}")
        return Rows(self._with_times(table), self.last_seq)

    def _check_known(self, column: str, value: str) -> None:
        """Refuse a name that the run does not have: an empty answer would hide the slip."""
        if not self._known:
            rows = self._query("SELECT 'strategy' AS of, name FROM names WHERE kind = 'PLUGIN' UNION ALL "
                               "SELECT 'contract', contract FROM listings").to_pylist()  # fmt: skip
            self._known = {"strategy": set(), "contract": set()}
            for row in rows:
                self._known[row["of"]].add(str(row["name"]))
        known = self._known[column]
        if value not in known:
            close = get_close_matches(value, known, n=3) or sorted(known)[:8]
            raise DataError(f"{column} {value!r} is not in run {self.dir.name}; there are {', '.join(close) or 'none'}")

    def _query(self, sql: str) -> pa.Table:
        with _told():
            return self._reader.query(sql)

    def _columns(self, sql: str) -> list[str]:
        return list(self._query(f"SELECT * FROM ({sql.format(latest='')}) LIMIT 0").column_names)

    def _with_times(self, table: pa.Table) -> pa.Table:
        """Return a question's answer with its integer ns as times: nothing is copied, and no zone file is read."""
        for place, name in enumerate(table.column_names):
            if name.endswith("_ns"):
                local = name in _LOCAL
                kind = pa.timestamp("ns", tz=self.timezone if local else "UTC")
                plain = name.removesuffix("_ns")
                table = table.set_column(place, plain if local else f"{plain}_utc", table.column(place).cast(kind))
        return table


def _moment_ns(moment: When | None) -> int | None:
    """Return a moment as integer ns UTC.

    Raises:
        DataError: it is no moment, or says no zone.
    """
    if moment is None or isinstance(moment, int):
        return moment
    try:
        at = dt.datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        aware = at.tzinfo is not None
    except (ValueError, AttributeError):
        wanted = "an aware datetime, ISO text such as '2026-03-10T08:00+01:00', or integer ns UTC"
        raise DataError(f"{moment!r} is no moment; wanted {wanted}") from None
    if not aware:
        text = f"{at.isoformat()} says no zone, so it may be any of 24 hours; add one, as {at.isoformat()}+01:00"
        raise DataError(text)
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Make one kind of error of all that can be wrong with a run's files."""
    try:
        yield
    except (EnergyError, JournalError, LakeError, RunError) as error:
        raise DataError(str(error)) from error
