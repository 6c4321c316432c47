"""When invoices are drawn up: at the end of a month, when its prices are final, after later changes, at a stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from penstock_plugins.settlement.config import SettlementConfig
from penstock_plugins.settlement.flows import Flows
from penstock_plugins.settlement.open_values import OpenValue
from penstock_sdk.context import Context
from penstock_sdk.energy.calendars import Calendar
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.localtime import day_start_ns
from penstock_sdk.energy.settlement import CUTOFF_ZONE, month_end_ns, month_final_day
from penstock_sdk.events import CashKind, IdKind, Severity
from penstock_sdk.invoices import InvoiceSum, draw_up
from penstock_sdk.schema import Event

__all__ = ["Billing"]

_DAY_NS = 86_400_000_000_000
_STILL_OPEN = (CashKind.SWAP, CashKind.IMBALANCE)
"""Kinds whose prices may come, or change, after their month."""
OnCalendar = Callable[[Callable[[Calendar], Any]], Any]
_Bill = tuple[str, int, int]
"""(month, counterparty, currency)."""


class Billing:
    """Draws up invoices from the sums of cash flows; counts how often each was."""

    def __init__(self, ctx: Context, config: SettlementConfig, flows: Flows) -> None:
        self._ctx, self._config, self._flows = ctx, config, flows
        self._drawn: dict[_Bill, tuple[int, bool, list[list[int]]]] = {}
        """(version, final, [book, kind, zone, amount, energy] of each line) as last drawn up."""
        self._due: dict[str, int] = {}
        """When a month is drawn up next."""

    def plan(self, on_calendar: OnCalendar) -> None:
        """Set a timer for each month that has changed and has none yet."""
        for month in sorted(self._flows.changed - self._due.keys()):
            self._plan(month, on_calendar)

    def _plan(self, month: str, on_calendar: OnCalendar) -> None:
        now_ns, final_ns = self._ctx.now_ns, self._final_ns(month, on_calendar)
        due_ns = self._end_ns(month)
        if due_ns <= now_ns:
            due_ns = final_ns if now_ns < final_ns else (now_ns // _DAY_NS + 1) * _DAY_NS
        self._due[month] = due_ns
        self._ctx.set_timer(due_ns, int(month.replace("-", "")))

    def _end_ns(self, month: str) -> int:
        """Return when a month is over in all zones that it has something in: of gas at 06:00."""
        ends = [month_end_ns(month, CUTOFF_ZONE)]
        for zone_id in {key[5] for key in self._flows.sums if key[0] == month}:
            if (zone := self._ctx.zone(zone_id)) is not None:
                ends.append(month_end_ns(month, zone.timezone, zone.day_starts_hour))
        return max(ends)

    def _final_ns(self, month: str, on_calendar: OnCalendar) -> int:
        days = self._config.final_after_days
        last = on_calendar(lambda calendar: month_final_day(month, calendar, days))
        return day_start_ns(last, CUTOFF_ZONE) + _DAY_NS

    def due(self, tag: int, open_values: Callable[[str], list[OpenValue]], on_calendar: OnCalendar) -> list[Event]:
        """Return the lines of a month whose timer has fired, and plan when it is drawn up again."""
        month = f"{tag // 100:04}-{tag % 100:02}"
        self._due.pop(month, None)
        if self._ctx.now_ns < self._end_ns(month):  # a zone has come in that is not through with it yet
            self._plan(month, on_calendar)
            return []
        final = self._ctx.now_ns >= self._final_ns(month, on_calendar)
        missing = open_values(month)
        out: list[Event] = [self._missing(month, value) for value in _by_series(missing) if final]
        out += self._lines(month, final=final, missing=missing)
        if any(bill[0] == month and not drawn[1] for bill, drawn in self._drawn.items()):
            self._plan(month, on_calendar)
        return out

    def _missing(self, month: str, value: OpenValue) -> Event:
        return self._ctx.alert(
            "settlement.price_missing", Severity.ERROR, value.words(month),
            f"every value of the series {value.series} by the day on which a month is final",
            "the invoices that need it stay drafts; let the source send it", subject=f"{month} {value.series}",
        )  # fmt: skip

    def drafts(self) -> list[Event]:
        """Return the lines of every month that has changed since it was drawn up; none of them final."""
        return [line for month in sorted(self._flows.changed) for line in self._lines(month)]

    def _lines(self, month: str, *, final: bool = False, missing: Iterable[OpenValue] | None = None) -> Iterator[Event]:
        """Yield the lines of each invoice that differs from the one last drawn up.

        Args:
            month: "2026-03".
            final: whether its prices cannot change any more.
            missing: which of them are still open; None where the month is not over.
        """
        self._flows.changed.discard(month)
        bills: dict[_Bill, list[list[int]]] = {}
        for (of, party, currency, book, kind, zone), (amount, energy) in self._flows.sums.items():
            if of == month:
                bills.setdefault((month, party, currency), []).append([book, kind, zone, amount, energy])
        for bill, rows in bills.items():
            rows.sort()
            closed = missing is not None and (final or not any(row[1] in _STILL_OPEN for row in rows))
            closed = closed and not any(value.holds_back(bill[1], bill[2], rows) for value in missing or ())
            version, was_closed, before = self._drawn.get(bill, (0, False, []))
            if rows == before and (was_closed or not closed):
                continue
            self._drawn[bill] = (version + 1, closed, rows)
            try:
                yield from draw_up(self._sums(bill, rows), version=version + 1, final=closed)
            except EnergyError as error:
                yield self._ctx.alert(
                    "settlement.not_invoiced", Severity.ERROR, str(error), "a currency whose minor unit is known",
                    "invoice it by hand", subject=f"{month} {self._party(bill[1])}",
                )  # fmt: skip

    def _sums(self, bill: _Bill, rows: list[list[int]]) -> list[InvoiceSum]:
        month, party_id, currency_id = bill
        party, currency = self._party(party_id), self._ctx.name_of(IdKind.CURRENCY, currency_id)
        return [
            InvoiceSum(
                party, month, currency, self._ctx.name_of(IdKind.BOOK, book) if book else "", CashKind(kind),
                *self._place(zone_id), amount, energy,
            )
            for book, kind, zone_id, amount, energy in rows
        ]  # fmt: skip

    def _place(self, zone_id: int) -> tuple[str, str]:
        """Return a zone's code, and what is delivered there: MWh, or t of carbon."""
        zone = self._ctx.zone(zone_id)
        return (zone.code, "t" if zone.commodity == "carbon" else "MWh") if zone is not None else ("", "MWh")

    def _party(self, party_id: int) -> str:
        return self._ctx.name_of(IdKind.COUNTERPARTY, party_id) if party_id else self._config.clearing_house

    def let_go(self, before: str) -> None:
        """Forget months before *before*: their invoices are final."""
        self._flows.let_go(before)
        self._drawn = {bill: drawn for bill, drawn in self._drawn.items() if bill[0] >= before}

    def snapshot(self) -> dict[str, Any]:
        """Return it as msgpack carries it."""
        return {
            "drawn": [[*bill, version, final, rows] for bill, (version, final, rows) in self._drawn.items()],
            "due": [list(pair) for pair in self._due.items()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned."""
        self._drawn = {
            (month, party, currency): (version, final, [list(row) for row in rows])
            for month, party, currency, version, final, rows in state["drawn"]
        }
        self._due = dict(state["due"])


def _by_series(values: Iterable[OpenValue]) -> list[OpenValue]:
    """Return one value for each series that prices are missing of; of a future its own alert tells."""
    latest_first = sorted(values, key=lambda value: -value.first_ns)
    found = {(value.kind, value.series): value for value in latest_first if value.kind in _STILL_OPEN}
    return [found[key] for key in sorted(found)]
