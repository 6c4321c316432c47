"""A market on paper, to test settlement in: zones, contracts and listings are said, trades and prices are fed."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any

from penstock_plugins.settlement.service import Settlement, SettlementConfig
from penstock_sdk.energy.localtime import local_to_ns
from penstock_sdk.events import (
    CashFlow,
    CashKind,
    ContractDefinition,
    ExternalTrade,
    IdKind,
    InvoiceLine,
    ListingDefinition,
    Mark,
    Observation,
    Side,
    TradeSource,
    ZoneDefinition,
)
from penstock_sdk.schema import ABSENT
from penstock_sdk.testing import SimKernel

QUARTER_NS = 900_000_000_000
HOUR_NS = 4 * QUARTER_NS
ZONES = {"DE-LU": ("Europe/Berlin", "EUR"), "GB": ("Europe/London", "GBP")}


def berlin(text: str) -> int:
    """Return ns UTC of a local time in Berlin."""
    return local_to_ns(datetime.fromisoformat(text), "Europe/Berlin")


class Paper:
    """A kernel with settlement alone, two zones, one in EUR and one in GBP; a lot is 1 MW, a tick 0.01."""

    def __init__(self, start: str = "2026-03-09 12:00", **config: Any) -> None:
        self.kernel = SimKernel(seed=1, start_ns=berlin(start))
        self.plugin = self.kernel.add(Settlement, "settlement", SettlementConfig(**config))
        self.trades = 0

    def open(self) -> Paper:
        """Start, and announce the zones."""
        self.kernel.start()
        for code, (timezone, currency) in ZONES.items():
            zone_id = self.id(IdKind.ZONE, code)
            self.kernel.feed(ZoneDefinition(zone_id=zone_id, code=code, timezone=timezone, currency=currency))
        return self

    def id(self, kind: IdKind, name: str) -> int:
        """Return a name's id."""
        return self.kernel.intern_input(kind, name)

    def lists(
        self, name: str, start: str, end: str, *, zone: str = "DE-LU", payment: str = "spot", physical: bool = True,
        lot_kw: int = 1_000, cascades_into: tuple[str, ...] = (),
    ) -> int:  # fmt: skip
        """Announce a contract over the quarter-hours of a stretch (local time of Berlin); return its listing."""
        start_ns, end_ns = berlin(start), berlin(end)
        quarters = (end_ns - start_ns) // QUARTER_NS
        ids = [self.id(kind, name) for kind in (IdKind.CONTRACT, IdKind.LISTING)]
        currency_id = self.id(IdKind.CURRENCY, ZONES[zone][1])
        self.kernel.feed(
            ContractDefinition(
                contract_id=ids[0], name=name, zone_id=self.id(IdKind.ZONE, zone), product="X",
                delivery_start_ns=start_ns, delivery_end_ns=end_ns, currency_id=currency_id, payment=payment,
                settlement="physical" if physical else "cash", cascades_into=list(cascades_into),
            )
        )  # fmt: skip
        self.kernel.feed(
            ListingDefinition(
                listing_id=ids[1], contract_id=ids[0], venue_id=1, name=name, tick_micro=10_000, lot_kw=lot_kw,
                price_min_ticks=-10**6, price_max_ticks=10**6, opens_ns=0, gate_closure_ns=start_ns,
                cash_micro_per_lot_tick=10_000 * lot_kw * quarters // 4_000, interval_start_ns=start_ns,
                interval_ns=QUARTER_NS, interval_count=quarters, reference_only=True,
            )
        )  # fmt: skip
        return ids[1]

    def trade(
        self, listing_id: int, lots: int, ticks: int, *, at: str = "", book: str = "power", party: str = "",
        source: TradeSource = TradeSource.SCREEN, number: int | None = None,
    ) -> None:  # fmt: skip
        """Feed a trade of ours; sold lots are negative."""
        self.trades += 1
        self.kernel.feed(
            ExternalTrade(
                listing_id, Side.BUY if lots > 0 else Side.SELL, source=source, price_ticks=ticks, qty_lots=abs(lots),
                trade_id=self.trades if number is None else number, book_id=self.id(IdKind.BOOK, book),
                counterparty_id=self.id(IdKind.COUNTERPARTY, party) if party else 0,
                traded_ns=berlin(at) if at else ABSENT,
            )
        )  # fmt: skip

    def observe(
        self, series: str, value: float, start_ns: int, end_ns: int, *, version: int = 0, unit: str = "EUR/MWh"
    ) -> None:
        """Feed a value of a series."""
        self.kernel.feed(
            Observation(
                self.id(IdKind.SERIES, series), self.id(IdKind.UNIT, unit), version=version, valid_from_ns=start_ns,
                valid_to_ns=end_ns, value=value,
            )
        )  # fmt: skip

    def imbalance(self, value: float, start: str, quarters: int = 1, *, version: int = 0, zone: str = "DE-LU") -> None:
        """Feed an imbalance price for some quarter-hours."""
        start_ns = berlin(start)
        self.observe(
            f"imbalance.price.{zone}", value, start_ns, start_ns + quarters * QUARTER_NS, version=version,
            unit=f"{ZONES[zone][1]}/MWh",
        )  # fmt: skip

    def mark(self, listing_id: int, ticks: int, kind: int = 2) -> None:
        """Feed a mark; kind 2 is a settlement price."""
        self.kernel.feed(Mark(listing_id, kind, mark_ticks=ticks, observed_ns=self.kernel.moment.now_ns))

    def until(self, text: str) -> None:
        """Let time pass."""
        self.kernel.run_until(berlin(text))

    def flows(self, kind: CashKind | None = None) -> list[CashFlow]:
        """Return the cash flows told so far, of one kind or all; those that wait are told first."""
        self.kernel.run_until(self.kernel.moment.now_ns + QUARTER_NS)
        return [flow for flow in self.kernel.of(CashFlow) if kind is None or flow.kind == kind]

    def sums(self) -> dict[tuple[CashKind, str], int]:
        """Return the sum of each kind and currency, 10⁻⁶."""
        total: dict[tuple[CashKind, str], int] = defaultdict(int)
        for flow in self.flows():
            total[CashKind(flow.kind), self.kernel.name_of(IdKind.CURRENCY, flow.currency_id)] += flow.amount_micro
        return dict(total)

    def invoices(self) -> list[tuple[str, int, bool, list[tuple[str, int]]]]:
        """Return (name, version, final, [(kind, minor units)]) of each time an invoice was drawn up."""
        found: dict[tuple[str, int, bool], list[tuple[str, int]]] = {}
        for line in self.kernel.of(InvoiceLine):
            found.setdefault((line.invoice, line.version, line.final), []).append((line.kind, line.amount_minor))
        return [(*key, lines) for key, lines in found.items()]
