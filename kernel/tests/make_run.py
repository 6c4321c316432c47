"""A small run on disk, made without a kernel: a day of quarter-hours and hours, two strategies, some refusals.

Deterministic for a seed. The journal is written with the SDK's own encoders; what the tests compare with is counted
here while writing, from the events themselves.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from penstock_kernel.runs import LatencyNs, RunInfo
from penstock_sdk.energy import day_contracts, day_start_ns, listing_terms
from penstock_sdk.events import (
    Alert,
    CheckResult,
    CheckVerdict,
    ContractDefinition,
    ExecutionReport,
    IdKind,
    IntentAction,
    Interned,
    Liquidity,
    ListingDefinition,
    Observation,
    Order,
    OrderKind,
    OrderState,
    Pnl,
    Position,
    Quote,
    Reason,
    ReportKind,
    RunEnd,
    RunHeader,
    Severity,
    Side,
    Trade,
    ZoneDefinition,
)
from penstock_sdk.schema import ABSENT, Frame, layout_of
from penstock_sdk.wire.frame import Origin, encode_frame, encoder
from penstock_sdk.wire.segment_layout import SEGMENT_BYTES, SegmentHeader, pack_commit, segment_path

NS = 1_000_000_000
DAY = date(2026, 3, 10)
ZONE = "DE-LU"
TIMEZONE = "Europe/Berlin"
TICK_MICRO = 10_000
SEED_EPOCH = 1


class JournalWriter:
    """Writes batches of frames and their commits, as a kernel would, into numbered segments."""

    def __init__(self, journal_dir: Path, *, batch_frames: int = 64, segment_bytes_max: int = 1 << 62) -> None:
        journal_dir.mkdir(parents=True, exist_ok=True)
        self.dir = journal_dir
        self.seq = 1
        self.sha = hashlib.sha256()
        self.batch_frames = batch_frames
        self.segment_bytes_max = segment_bytes_max
        self._encoders: dict[type, Any] = {}
        self._frames: list[bytes] = []
        self._first = self.seq
        self._index = 0
        self._end = 0
        self._file: Any = None
        self._begin_segment()

    def _begin_segment(self) -> None:
        if self._file is not None:
            self._file.close()
        header = SegmentHeader(self._index + 1, 7, self.sha.digest(), self._end)
        self._index += 1
        self._file = segment_path(self.dir, self._index).open("wb", buffering=0)
        self._file.write(header.pack())
        self._end = SEGMENT_BYTES

    def add(
        self,
        event: Any,
        at_ns: int,
        *,
        cause: int = ABSENT,
        root: int = ABSENT,
        origin: int = Origin.DERIVED,
        by: int = 0,
    ) -> int:
        """Number *event* and keep it for the next commit; return its number."""
        seq = self.seq
        if isinstance(event, Frame):
            data = encode_frame(event, seq, at_ns, cause, root, origin, by)
            self.seq += len(event)
        else:
            encode = self._encoders.get(type(event))
            if encode is None:
                encode = self._encoders[type(event)] = encoder(layout_of(type(event)))
            data = encode(event, seq, at_ns, cause, root, origin, by)
            self.seq += 1
        self._frames.append(data)
        self._at_ns = at_ns
        if len(self._frames) >= self.batch_frames:
            self.commit()
        return seq

    def commit(self) -> None:
        """Write what was added, and the commit frame that vouches for it."""
        if not self._frames:
            return
        batch = b"".join(self._frames)
        self.sha.update(batch)
        commit = pack_commit(
            self._frames, offset=self._end + len(batch), batch_bytes=len(batch), at_ns=self._at_ns, synced_offset=0,
            first_seq=self._first, last_seq=self.seq - 1, sha256=self.sha.digest(),
        )  # fmt: skip
        self._file.write(batch + commit)
        self._end += len(batch) + len(commit)
        self._frames, self._first = [], self.seq
        if self._end >= self.segment_bytes_max:
            self._begin_segment()

    def write_uncommitted(self, data: bytes) -> None:
        """Write bytes that no commit vouches for: a torn tail."""
        self._file.write(data)

    def close(self) -> None:
        """Commit what is left."""
        self.commit()
        self._file.close()


@dataclass
class Made:
    """What was put into the run, counted while it was made."""

    run_dir: Path
    info: RunInfo
    events: int = 0
    trades: list[tuple[int, int, int]] = field(default_factory=list)  # listing, ticks, lots
    fills: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    # strategy, listing, side, ticks, lots, decision half-ticks
    orders: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    pnl: dict[tuple[int, int], tuple[int, int, int]] = field(default_factory=dict)  # (strategy, listing): micro amounts
    net_lots: dict[tuple[int, int], int] = field(default_factory=dict)


class _Maker:
    """Writes one day's events, step by step."""

    def __init__(self, run_dir: Path, seed: int, steps: int, writer: JournalWriter) -> None:
        self.rng = np.random.default_rng(seed)
        self.writer = writer
        self.steps = steps
        self.start_ns = day_start_ns(DAY, TIMEZONE) - 9 * 3600 * NS  # the session opens the afternoon before
        self.end_ns = day_start_ns(DAY, TIMEZONE) + 24 * 3600 * NS
        self.now_ns = self.start_ns
        self.made = Made(run_dir, RunInfo(id=run_dir.name))
        self.ids: dict[tuple[IdKind, str], int] = {}
        self.order_id = SEED_EPOCH << 40
        self.order_by_strategy: dict[tuple[int, int], list[int]] = {}

    def intern(self, kind: IdKind, name: str) -> int:
        if (kind, name) not in self.ids:
            self.ids[kind, name] = 1 + sum(1 for k, _ in self.ids if k is kind)
            self.add(Interned(kind=kind, id=self.ids[kind, name], name=name), origin=Origin.KERNEL)
        return self.ids[kind, name]

    def add(self, event: Any, **header: Any) -> int:
        return self.writer.add(event, self.now_ns, **header)

    def define(self) -> None:
        self.add(
            RunHeader(epoch=1, seed=1, clock_kind="simulated", started_ns=0, deployment="", versions={}),
            origin=Origin.KERNEL,
        )
        for name in ("exchange", "market_maker", "mean_reversion", "risk_limits", "portfolio"):
            self.intern(IdKind.PLUGIN, name)
        currency = self.intern(IdKind.CURRENCY, "EUR")
        self.series = self.intern(IdKind.SERIES, "price.DE-LU.index")
        self.unit = self.intern(IdKind.UNIT, "EUR/MWh")
        zone = self.intern(IdKind.ZONE, ZONE)
        self.add(ZoneDefinition(zone_id=zone, code=ZONE, timezone=TIMEZONE, currency="EUR"), by=1)
        terms = listing_terms(ZONE, DAY)
        self.contracts = day_contracts(ZONE, DAY)
        for contract in self.contracts:
            contract_id = self.intern(IdKind.CONTRACT, contract.name)
            listing_id = self.intern(IdKind.LISTING, f"{contract.name}@exchange")
            span = contract.delivery
            quarters = span.minutes // 15
            self.add(
                ContractDefinition(
                    contract_id=contract_id, name=contract.name, zone_id=zone, product=contract.product,
                    delivery_start_ns=span.start_ns, delivery_end_ns=span.end_ns, currency_id=currency,
                ), by=1,
            )  # fmt: skip
            self.add(
                ListingDefinition(
                    listing_id=listing_id, contract_id=contract_id, venue_id=1, name=f"{contract.name}@exchange",
                    tick_micro=terms.tick_micro, lot_kw=terms.lot_kw, price_min_ticks=terms.price_min_ticks,
                    price_max_ticks=terms.price_max_ticks, opens_ns=contract.opens_ns,
                    gate_closure_ns=contract.gate_closure_ns, cash_micro_per_lot_tick=250 * quarters,
                    interval_start_ns=span.start_ns, interval_ns=900 * NS, interval_count=quarters,
                ), by=1,
            )  # fmt: skip

    def price_eur(self, delivery_ns: int) -> float:
        """The day's shape: a solar trough below zero at noon, a peak at seven in the evening."""
        hour = (delivery_ns - day_start_ns(DAY, TIMEZONE)) / 3600e9
        return (
            62 - 85 * np.exp(-(((hour - 13) / 2.6) ** 2)) + 95 * np.exp(-(((hour - 19) / 1.5) ** 2)) + 6 * np.sin(hour)
        )

    def step(self, number: int) -> None:
        self.now_ns = self.start_ns + (self.end_ns - 3600 * NS - self.start_ns) * number // self.steps
        if number % 10 == 0:
            value = float(self.price_eur(max(self.now_ns, self.start_ns + 9 * 3600 * NS)) + self.rng.normal(0, 4))
            self.add(
                Observation(self.series, self.unit, valid_from_ns=self.now_ns, valid_to_ns=self.now_ns + 900 * NS,
                            known_at_ns=self.now_ns, value=value),
                origin=Origin.EXTERNAL,
            )  # fmt: skip
        open_now = [i for i, c in enumerate(self.contracts) if c.gate_closure_ns > self.now_ns]
        near = open_now[:12] + [i for i in open_now if self.contracts[i].product == "H"][:4]
        index = near[int(self.rng.integers(len(near)))]
        listing = index + 1
        mid = int(100 * (self.price_eur(self.contracts[index].delivery.start_ns) + self.rng.normal(0, 3)))
        root = self.add(
            Frame.of([Quote(listing, bid_ticks=mid - 12 - k, bid_lots=20, ask_ticks=mid + 13 + k, ask_lots=30)
                      for k in range(int(self.rng.integers(1, 5)))]),
            origin=Origin.EXTERNAL, by=1,
        )  # fmt: skip
        self.trade(listing, mid + int(self.rng.integers(-12, 13)), int(self.rng.integers(1, 40)), root)
        if self.rng.random() < 0.6:
            self.own_order(2 if self.rng.random() < 0.7 else 3, listing, 2 * mid + 1, root)

    def trade(self, listing: int, ticks: int, lots: int, root: int) -> None:
        self.made.trades.append((listing, ticks, lots))
        self.add(Trade(listing, Side.BUY, price_ticks=ticks, qty_lots=lots, trade_id=len(self.made.trades)), by=1,
                 cause=root, root=root)  # fmt: skip

    def own_order(self, strategy: int, listing: int, half: int, root: int) -> None:
        """One order: checked, perhaps refused, perhaps filled; what follows from a fill is told too."""
        self.order_id += 1
        made, rng = self.made, self.rng
        side = Side.BUY if rng.random() < 0.5 else Side.SELL
        lots, ticks = int(rng.integers(1, 30)), half // 2 + int(rng.normal(1, 6)) * (1 if side == Side.BUY else -1)
        base = Order(
            self.order_id, listing, IntentAction.NEW, side, OrderKind.LIMIT, OrderState.ROUTED, ticks, lots,
            decision_half_ticks=half, arrival_half_ticks=half + 1, venue_id=1, strategy_id=strategy,
        )  # fmt: skip
        made.orders += 1
        if rng.random() < 0.05:
            reason = Reason.PRICE_COLLAR if rng.random() < 0.7 else Reason.POSITION
            made.refused[reason.name] = made.refused.get(reason.name, 0) + 1
            self.add(CheckVerdict(self.order_id, CheckResult.REFUSED, 0, reason, 4, 120, 100, listing, strategy), by=4,
                     cause=root, root=root)  # fmt: skip
            self.add(_with(base, state=OrderState.REFUSED, reason=reason), cause=root, root=root)
            return
        self.add(CheckVerdict(self.order_id, CheckResult.PASSED, check_id=4, listing_id=listing, strategy_id=strategy),
                 by=4, cause=root, root=root)  # fmt: skip
        sent = self.add(base, cause=root, root=root)
        report = ExecutionReport(
            self.order_id, listing, ReportKind.ACCEPTED, side, leaves_lots=lots, strategy_id=strategy
        )
        self.add(report, by=1, cause=sent, root=root)
        if rng.random() < 0.4:
            self.fill(report, strategy, listing, side, ticks, max(1, lots // 2), half, sent, root)
        if rng.random() < 0.3:
            self.add(_with(report, kind=ReportKind.CANCELLED, leaves_lots=0), by=1, cause=sent, root=root)

    def fill(
        self, report: ExecutionReport, strategy: int, listing: int, side: Side, ticks: int, lots: int, half: int,
        sent: int, root: int,
    ) -> None:  # fmt: skip
        made = self.made
        made.fills.append((strategy, listing, side, ticks, lots, half))
        self.add(_with(report, kind=ReportKind.FILL, liquidity=Liquidity.MAKER, last_ticks=ticks, last_lots=lots,
                       leaves_lots=report.leaves_lots - lots, trade_id=len(made.trades)), by=1,
                 cause=sent, root=root)  # fmt: skip
        signed = lots if side == Side.BUY else -lots
        net = made.net_lots[strategy, listing] = made.net_lots.get((strategy, listing), 0) + signed
        self.add(
            Position(listing, strategy, currency_id=1, net_lots=net, bought_lots=max(signed, 0)),
            by=5,
            cause=sent,
            root=root,
        )
        realised, _, fees = made.pnl.get((strategy, listing), (0, 0, 0))
        drift = int(self.rng.normal(120_000 if strategy == 2 else -20_000, 900_000))
        now = made.pnl[strategy, listing] = (realised + drift, int(self.rng.normal(0, 400_000)), fees + 2_500 * lots)
        self.add(Pnl(listing, strategy, 0, 1, 0, 0, *now), by=5, cause=sent, root=root)
        total = [sum(v[i] for (s, _), v in made.pnl.items() if s == strategy) for i in range(3)]
        self.add(Pnl(0, strategy, 0, 1, 0, 0, *total), by=5, cause=sent, root=root)


def _with(record: Any, **changes: Any) -> Any:
    values = {name: getattr(record, name) for name in record.__struct_fields__}
    return type(record)(**{**values, **changes})


def make_run(run_dir: Path, *, seed: int = 1, steps: int = 600, end: bool = True, **journal: Any) -> Made:
    """Write a run of *steps* market moves into *run_dir* (made here); without *end* it is still running."""
    run_dir.mkdir(parents=True, exist_ok=True)
    writer = JournalWriter(run_dir / "journal", **journal)
    maker = _Maker(run_dir, seed, steps, writer)
    maker.define()
    for number in range(steps):
        maker.step(number)
    maker.add(
        Alert(code="limit.near", severity=Severity.WARNING, subject="market_maker", met="position 480",
              wanted="below 500", way_out="lower its size"),
        by=4,
    )  # fmt: skip
    if end:
        maker.add(RunEnd(reason="end of day"), origin=Origin.KERNEL)
    writer.close()
    made = maker.made
    made.events = writer.seq - 1
    made.info = RunInfo(
        id=run_dir.name, status="complete" if end else "running", deployment="plugins.toml", seed=seed,
        started_ns=1_773_150_000 * NS, ended_ns=1_773_150_021 * NS, first_at_ns=maker.start_ns, last_at_ns=maker.now_ns,
        wall_s=21.4, versions={"penstock": "0.1.0", "python": "3.11"}, last_seq=writer.seq - 1, events=made.events,
        orders=made.orders, digest=writer.sha.hexdigest(),
        tick_to_order=LatencyNs(made.orders, 14_200, 41_800, 90_000, 310_000),
    )  # fmt: skip
    made.info.save(run_dir)
    (run_dir / "deployment.toml").write_text(
        '[run]\nname = "default"\nseed = 1\n\n[plugins.market_maker]\nuse = "market_maker"\n'
    )
    return made
