"""Where a kernel stands, read from its parts when somebody asks: nothing is kept for it, nothing heard.

The one exception are the tops of books: they are heard while somebody looks at `top`, and not before or after.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from penstock_kernel.control.state import (
    BookTop,
    Cause,
    LimitRow,
    OpenAlert,
    PluginRow,
    Quarantine,
    State,
    Stop,
    StrategyRow,
    VenueRow,
)
from penstock_kernel.deployment import Deployment
from penstock_kernel.kernel import Done, Kernel
from penstock_kernel.reload.applying import Applying
from penstock_kernel.runs import RunInfo
from penstock_kernel.vitals import Phase
from penstock_sdk.core.ledger import Change
from penstock_sdk.core.wiring import Slot
from penstock_sdk.energy import market_zone
from penstock_sdk.events import (
    ClockKind,
    ConnectionStatus,
    IdKind,
    LimitKind,
    ListingDefinition,
    OperatorCommand,
    OrderState,
    PluginStatus,
    Pnl,
    Position,
    Quote,
    Severity,
    Trade,
)
from penstock_sdk.plugin import Portfolio
from penstock_sdk.schema import ABSENT, Frame

__all__ = ["Facts", "Served", "Tops", "phase_of"]

BOOKS_SHOWN = 8
ORDERS_SHOWN = 20
ALERTS_SHOWN = 100
FAULTS_TOLD = 100
RATE_NS = 1_000_000_000
NS_PER_HOUR = 3.6e12


class Served(Protocol):
    """What a control server needs of a run; `Run` is one. Its kernel is another one once it is taken up."""

    deployment: Deployment
    dir: Path
    info: RunInfo
    kernel: Kernel
    end_ns: int
    live: bool
    observers: list[Callable[[], object]]
    applying: Applying

    def command(self, command: OperatorCommand, done: Done | None = None) -> None:
        """Take a command: at once, or as soon as the run is live."""


def phase_of(kernel: Kernel) -> tuple[Phase, int, int]:
    """Return (phase, done, wanted)."""
    phase, done, wanted = kernel.vitals.where
    if phase == Phase.NONE:  # a kernel whose maker says nothing of phases
        phase = Phase.READY if kernel.live else Phase.RECOVERING
    if kernel.ended:
        phase = Phase.ENDED
    elif kernel.stopping and phase in (Phase.READY, Phase.RECONCILING):
        phase = Phase.DRAINING
    elif phase in (Phase.READY, Phase.RECONCILING):
        phase = Phase.RECONCILING if kernel.silent_venues() else Phase.READY
    return phase, done, wanted


class Tops:
    """Hears tops of books and last prices; a part of the kernel while somebody looks at them."""

    def __init__(self) -> None:
        self.tops: dict[int, tuple[int, int]] = {}
        self.last: dict[int, int] = {}

    def on_quotes(self, frame: Frame) -> None:
        """Keep the tops."""
        array = frame.array
        sides = zip(array["bid_ticks"].tolist(), array["ask_ticks"].tolist(), strict=True)
        self.tops.update(zip(array["listing_id"].tolist(), sides, strict=True))

    def on_quote(self, quote: Quote) -> None:
        """Keep the top."""
        self.tops[quote.listing_id] = (quote.bid_ticks, quote.ask_ticks)

    def on_trades(self, frame: Frame) -> None:
        """Keep the last prices."""
        self.last.update(zip(frame.array["listing_id"].tolist(), frame.array["price_ticks"].tolist(), strict=True))

    def on_trade(self, trade: Trade) -> None:
        """Keep the last price."""
        self.last[trade.listing_id] = trade.price_ticks


class Facts:
    """Reads a run's kernel."""

    def __init__(self, run: Served) -> None:
        self._run = run
        zone = market_zone(run.deployment.run.zone)
        self._timezone, self._currency = zone.timezone, zone.currency
        self._begun_ns = time.monotonic_ns()
        self._before = (self._begun_ns, run.kernel.cascade.seq, run.kernel.desk.orders)
        self._rates = (0.0, 0.0)
        self._tops: Slot | None = None
        self._told: set[tuple[str, str]] = set()
        self._snapshots: tuple[int, int | None, float | None] = (0, None, None)

    @property
    def _kernel(self) -> Kernel:
        return self._run.kernel

    # -- what goes on beside the questions --------------------------------------------------------------------------

    def tick(self, now_ns: int) -> None:
        """Count rates, once a second."""
        then_ns, seq, orders = self._before
        if now_ns - then_ns < RATE_NS:
            return
        span_s = (now_ns - then_ns) / 1e9
        now = (now_ns, self._kernel.cascade.seq, self._kernel.desk.orders)
        # A restart may begin below what was counted before.
        self._rates = (max(0, now[1] - seq) / span_s, max(0, now[2] - orders) / span_s)
        self._before = now

    def look(self, wanted: bool) -> None:
        """Begin or cease to hear tops of books. Costs a wiring, some milliseconds, and then 0.3 µs a quote."""
        cascade = self._kernel.cascade
        if not wanted:
            if self._tops is not None:
                cascade.wire([slot for slot in cascade.slots if slot is not self._tops])
                self._tops = None
        elif self._kernel.live and (self._tops is None or self._tops not in cascade.slots):  # a rewiring forgets it
            # At the end: whatever it costs, plugins have heard the event before.
            self._tops = self._tops or Slot("top", 0, Tops(), "kernel")
            cascade.wire([*cascade.slots, self._tops])

    # -- the whole --------------------------------------------------------------------------------------------------

    def state(self, *, books: bool) -> State:
        """Return where everything stands. Cost: some 0.3 ms, and 5 µs for each listing that is held."""
        kernel, info, journal = self._kernel, self._run.info, self._kernel.journal
        desk, ledger, header = kernel.desk, kernel.ledger, kernel.header
        phase, done, wanted = phase_of(kernel)
        doubts = [order_id for order_id, held in desk.open.items() if held.state == OrderState.IN_DOUBT]
        snapshot_seq, snapshot_age_s = self._snapshot()
        days, free_bytes = self._disk()
        alerts, undelivered = self.alerts(), kernel.catalog.no_delivery
        wall = kernel.clock.kind == ClockKind.WALL
        machine_ns = time.time_ns()
        return State(
            instance=info.instance or self._run.dir.name,
            run_id=info.id, pid=os.getpid(), phase=phase.name.lower(), done=done, wanted=wanted,
            up_s=(time.monotonic_ns() - self._begun_ns) / 1e9, epoch=desk.epoch,
            cause=(header.cause if header else "") or "its start",
            stopping=kernel.stopping, last_stop=_cause(ledger.stopped), clock="wall" if wall else "simulated",
            timezone=self._timezone, currency=self._currency, now_ns=kernel.moment.now_ns, machine_ns=machine_ns,
            end_ns=self._run.end_ns,
            lag_ns=max(0, machine_ns - kernel.moment.now_ns) if wall and len(kernel.lanes) else 0,
            waiting=len(kernel.lanes), seq=kernel.cascade.seq,
            written_seq=journal.written_seq if journal else 0, synced_seq=journal.synced_seq if journal else 0,
            events_per_s=self._rates[0], orders_per_s=self._rates[1], orders=desk.orders, fills=desk.fills,
            refused=desk.refused, open_orders=len(desk.open), in_doubt=doubts[:ORDERS_SHOWN],
            in_doubt_count=len(doubts), killed=self.killed(), pauses=self.pauses(), quarantines=self._quarantines(),
            venues=self._venues(), strategies=self._strategies(), plugins=self._plugins(),
            lost=dict(sorted(kernel.lanes.lost.items())), disk_days=days, disk_free_bytes=free_bytes,
            snapshot_seq=snapshot_seq, snapshot_age_s=snapshot_age_s,
            journal_error=str(journal.error) if journal is not None and journal.error is not None else "",
            alerts=alerts[-ALERTS_SHOWN:], alerts_open=len(alerts), books=self._books() if books else [],
            no_delivery=[each.name for each in islice(undelivered.values(), ORDERS_SHOWN)],
            no_delivery_count=len(undelivered),
        )  # fmt: skip

    # -- its parts --------------------------------------------------------------------------------------------------

    def killed(self) -> Stop | None:
        """Return the kill switch, when it is on."""
        if not self._kernel.desk.killed:
            return None
        return Stop("", _cause(self._kernel.ledger.limits.get((LimitKind.KILL, 0, 0))))

    def pauses(self) -> list[Stop]:
        """Return who is paused; an empty name is everyone."""
        limits = self._kernel.ledger.limits
        return [
            Stop(self._name(strategy_id), _cause(limits.get((LimitKind.PAUSE, strategy_id, 0))))
            for strategy_id in sorted(self._kernel.desk.paused)
        ]

    def limits(self) -> list[LimitRow]:
        """Return the limits in force that have a number: those for everyone first."""
        kernel, deployment = self._kernel, self._run.deployment
        configured = {("", name): value for name, value in deployment.limits.items()}
        configured |= {(spec.name, name): value for spec in deployment.plugins for name, value in spec.limits.items()}
        rows = []
        for (kind, strategy_id, listing_id), value in sorted(kernel.limits.values.items(), key=lambda row: row[0][1]):
            if kind in (LimitKind.KILL, LimitKind.PAUSE) or listing_id:
                continue
            owner, name = self._name(strategy_id), LimitKind(kind).name.lower()
            given = configured.get((owner, name))
            since = _cause(kernel.ledger.limits.get((kind, strategy_id, listing_id)))
            rows.append(
                LimitRow(owner, name, value, self._means(kind, value), None if given is None else int(given), since)
            )
        return rows

    def alerts(self) -> list[OpenAlert]:
        """Return the open alerts, oldest first."""
        return [
            OpenAlert(
                alert.id, alert.code, alert.severity.name.lower(), alert.subject, alert.met, alert.wanted,
                alert.way_out, alert.count, alert.first_seq, alert.first_ns, alert.last_ns, alert.acked_by,
                alert.acked_reason,
            )
            for alert in self._kernel.alerts.open
        ]  # fmt: skip

    def _name(self, plugin_id: int) -> str:
        return self._kernel.name_of(IdKind.PLUGIN, plugin_id) if plugin_id else ""

    def _means(self, kind: int, value: int) -> str:
        """Return a limit in MW or money; nothing where listings differ in what a lot or a tick is."""
        listings: list[ListingDefinition] = self._kernel.definitions(IdKind.LISTING)
        if kind == LimitKind.NOTIONAL_MAX_MICRO:
            return f"{value / 1e6:,.0f} {self._currency}"
        if kind in (LimitKind.QTY_MAX_LOTS, LimitKind.POSITION_MAX_LOTS):
            lots_kw = {listing.lot_kw for listing in listings}
            return f"{value * lots_kw.pop() / 1000:,.1f} MW" if len(lots_kw) == 1 else ""
        if kind == LimitKind.COLLAR_TICKS:
            ticks_micro = {listing.tick_micro for listing in listings}
            return f"{value * ticks_micro.pop() / 1e6:,.2f} {self._currency}/MWh" if len(ticks_micro) == 1 else ""
        return ""

    def _quarantines(self) -> list[Quarantine]:
        ledger = self._kernel.ledger
        return [
            Quarantine(name, reason, _cause(ledger.quarantines.get(name)))
            for name, reason in self._kernel.quarantined.items()
        ]

    def _venues(self) -> list[VenueRow]:
        kernel = self._kernel
        open_orders = Counter(held.order.venue_id for held in kernel.desk.open.values())
        rows, silent = [], kernel.silent_venues()
        for slot in kernel.slots.values():
            if not slot.is_venue:
                continue
            link = kernel.ledger.links.get(slot.plugin_id)
            embedded = bool(getattr(slot.plugin, "embedded", False))
            name = _link_name(link.value) if link is not None else "inside" if embedded else "unknown"
            rows.append(
                VenueRow(
                    slot.name, embedded, name, _cause(link), slot.plugin_id in silent,
                    open_orders[slot.plugin_id],
                )
            )  # fmt: skip
        return rows

    def _strategies(self) -> list[StrategyRow]:
        kernel = self._kernel
        paused, open_orders = kernel.desk.paused, Counter(h.order.strategy_id for h in kernel.desk.open.values())
        told, energy, money = self._standing()
        rows = []
        for slot in kernel.slots.values():
            if not slot.may_order:
                continue
            number = slot.plugin_id
            rows.append(
                StrategyRow(
                    slot.name, self._status(number), 0 in paused or number in paused, open_orders[number],
                    energy.get(number, 0.0) if told else None,
                    money.get(number, {}) if told else None,
                )
            )  # fmt: skip
        return rows

    def _standing(self) -> tuple[bool, dict[int, float], dict[int, dict[str, float]]]:
        """Return what the portfolio plugins say: (any does, MWh by strategy, money by strategy and currency)."""
        kernel = self._kernel
        energy: dict[int, float] = {}
        money: dict[int, dict[str, float]] = {}
        told = False
        for slot in kernel.slots.values():
            if not isinstance(slot.plugin, Portfolio) or type(slot.plugin).standing is Portfolio.standing:
                continue
            try:
                records = list(slot.plugin.standing())
            except Exception as error:  # a plugin's fault must not keep its operator in the dark
                self._tell_once(slot.name, f"standing raised {type(error).__name__}: {error}")
                continue
            told = True
            for record in records:
                if isinstance(record, Position):
                    mwh = record.net_lots * _mwh_per_lot(kernel.definition(IdKind.LISTING, record.listing_id))
                    energy[record.strategy_id] = energy.get(record.strategy_id, 0.0) + mwh
                elif isinstance(record, Pnl) and not record.listing_id:
                    currency = kernel.name_of(IdKind.CURRENCY, record.currency_id)
                    held = money.setdefault(record.strategy_id, {})
                    total = record.realised_micro + record.unrealised_micro - record.fees_micro
                    held[currency] = held.get(currency, 0.0) + total / 1e6
        return told, energy, money

    def _tell_once(self, name: str, text: str) -> None:
        if (name, text) not in self._told and len(self._told) < FAULTS_TOLD:
            self._told.add((name, text))
            self._kernel.write_log(Severity.WARNING, name, text, {})

    def _status(self, plugin_id: int) -> str:
        return self._kernel.lifecycle.status.get(plugin_id, PluginStatus.UNKNOWN).name.lower()

    def _plugins(self) -> list[PluginRow]:
        kernel = self._kernel
        times: dict[str, list[Any]] = {}
        for row in kernel.stopwatch.rows():
            times.setdefault(row.plugin, []).append(row)
        rows = []
        for slot in kernel.slots.values():
            timed = times.get(slot.name, [])
            slowest = max(timed, key=lambda row: row.max_ns, default=None)
            rows.append(
                PluginRow(
                    slot.name, slot.kind, self._status(slot.plugin_id), slot.faults,
                    sum(row.calls for row in timed), sum(row.total_ns for row in timed),
                    slowest.max_ns if slowest is not None else 0, slowest.handler if slowest is not None else "",
                )
            )  # fmt: skip
        return rows

    def _snapshot(self) -> tuple[int | None, float | None]:
        """Return number and age of the newest snapshot; looked up at most once a second."""
        now_ns = time.monotonic_ns()
        due_ns, seq, written_s = self._snapshots
        if now_ns >= due_ns:
            seq, written_s = None, None
            for path in (self._run.dir / "snapshots").glob("*.snap"):
                if path.stem.isdigit() and (seq is None or int(path.stem) > seq):
                    seq, written_s = int(path.stem), path.stat().st_mtime
            self._snapshots = (now_ns + RATE_NS, seq, written_s)
        return seq, None if written_s is None else max(0.0, time.time() - written_s)

    def _disk(self) -> tuple[float | None, int | None]:
        """Return (days left, bytes free)."""
        forecast = getattr(self._run, "disk", None)
        try:
            status = os.statvfs(self._run.dir)
        except OSError:
            return None, None
        return getattr(forecast, "days_left", None), status.f_bavail * status.f_frsize

    def _books(self) -> list[BookTop]:
        """Return the listings whose gates close next."""
        kernel = self._kernel
        now_ns = kernel.moment.now_ns
        heard = self._tops.plugin if self._tops is not None else Tops()
        listings: list[ListingDefinition] = kernel.definitions(IdKind.LISTING)
        coming = [listing for listing in listings if listing.opens_ns <= now_ns < listing.gate_closure_ns]
        coming.sort(key=lambda listing: (listing.gate_closure_ns, listing.listing_id))
        rows = []
        for listing in coming[:BOOKS_SHOWN]:
            bid, ask = heard.tops.get(listing.listing_id, (ABSENT, ABSENT))
            prices = (_price(ticks, listing) for ticks in (bid, ask, heard.last.get(listing.listing_id, ABSENT)))
            rows.append(BookTop(listing.name, listing.gate_closure_ns, *prices))
        return rows


def _cause(change: Change | None) -> Cause | None:
    return None if change is None else Cause(change.seq, change.at_ns, change.who, change.why)


def _link_name(status: int) -> str:
    return ConnectionStatus(status).name.lower() if status in ConnectionStatus._value2member_map_ else str(status)


def _price(ticks: int, listing: ListingDefinition) -> float | None:
    return None if ticks == ABSENT else ticks * listing.tick_micro / 1e6


def _mwh_per_lot(listing: ListingDefinition | None) -> float:
    if listing is None:
        return 0.0
    return listing.lot_kw / 1000 * listing.interval_count * listing.interval_ns / NS_PER_HOUR
