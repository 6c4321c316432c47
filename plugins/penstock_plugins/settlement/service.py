"""Settlement: every fill, deal, mark, meter value and imbalance price becomes money due, on its day, exact.

A physical trade is paid as its contract says: spot by the clearing house's next days, bilateral deals monthly. A future
pays its daily gain or loss at each settlement mark. A swap pays a month's difference to its index once every interval
of the month has a price. What a book holds at delivery and nobody metered is bought or sold at the imbalance price; a
later version of a price or a meter value pays the difference. Currencies are never netted: each row and each invoice
has one.

Cash flows are told in frames, some minutes' worth at once; `InvoiceLine`s at the end of a month, when its prices are
final, and as a draft when the run stops.
"""

from __future__ import annotations

from typing import Any

from penstock_plugins.settlement.balancing import Balancing
from penstock_plugins.settlement.billing import Billing
from penstock_plugins.settlement.books import OrderBooks
from penstock_plugins.settlement.config import SettlementConfig
from penstock_plugins.settlement.days import ValueDays
from penstock_plugins.settlement.fees import Fees
from penstock_plugins.settlement.finals import Finals
from penstock_plugins.settlement.flows import Flows
from penstock_plugins.settlement.futures import Futures
from penstock_plugins.settlement.houses import Houses
from penstock_plugins.settlement.open_values import OpenValue
from penstock_plugins.settlement.posting import Holder, Posting
from penstock_plugins.settlement.series import Series, SeriesKind, SeriesNames
from penstock_plugins.settlement.swaps import Swaps
from penstock_plugins.settlement.terms import Terms, terms_of
from penstock_sdk.context import Context
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.localtime import ns_to_local
from penstock_sdk.energy.settlement import (
    CUTOFF_ZONE,
    month_end_ns,
)
from penstock_sdk.events import (
    Cascade,
    CashKind,
    Deal,
    DeliverySchedule,
    ExecutionReport,
    ExternalTrade,
    IdKind,
    ListingDefinition,
    Observation,
    Order,
    ReportKind,
    Severity,
    Side,
    Timer,
    TradeSource,
    ZoneDefinition,
)
from penstock_sdk.externals import Externals
from penstock_sdk.golden.settlement import CONFLICT, NEWS
from penstock_sdk.grid_slots import GridSlots
from penstock_sdk.plugin import Outcome, Portfolio
from penstock_sdk.schema import ABSENT, Event, Frame
from penstock_sdk.slots import check_state

__all__ = ["Settlement", "SettlementConfig"]

_FILL, _BUY = int(ReportKind.FILL), int(Side.BUY)
_SETTLEMENT_MARK = 2
_STATE_VERSION = 2
_FLUSH = 1
_DAY_NS = 86_400_000_000_000
_MONEY_MAX = 2**62


class Settlement(Portfolio):
    """Turns trades, prices and meter values into cash flows and invoices. Cost: about 5 µs a fill."""

    Config = SettlementConfig
    config: SettlementConfig

    def __init__(self, ctx: Context, config: SettlementConfig | None = None) -> None:
        super().__init__(ctx, config)
        self._period_ns = round(self.config.tell_period_s * 1e9)
        self._books = OrderBooks()
        self._terms: dict[int, Terms] = {}
        self._fees = Fees(ctx, self.config.fee_micro_per_mwh)
        self._externals = Externals()
        self._flows, self._futures, self._swaps, self._balancing = Flows(), Futures(), Swaps(), Balancing()
        self._billing = Billing(ctx, self.config, self._flows)
        self._names = SeriesNames(ctx, self.config)
        self._days = ValueDays(ctx, self.config.calendar)
        self._houses = Houses(ctx, self.config.clearing_house)
        self._post = Posting(ctx, self.config, self._flows, self._days, self._names, self._houses)
        self._finals = Finals(ctx, self._futures, self._swaps, self._names)
        self._bad: set[str] = set()
        """Series of which a bad value was told."""
        self._flushing = False
        self._swept = 0
        self._says: list[Event] = []

    # Trades.

    def on_order(self, order: Order) -> Outcome:
        """Learn for which book an order is."""
        self._books.order(order)
        return None

    def on_execution_report(self, report: ExecutionReport) -> Outcome:
        """Take in a fill of ours."""
        book_id = self._books.report(report)
        if report.kind != _FILL:
            return None
        self._trade(
            report.listing_id, report.last_lots if report.side == _BUY else -report.last_lots, report.last_ticks,
            self.ctx.now_ns, (book_id, report.strategy_id, 0),
        )  # fmt: skip
        return self._said()

    def on_external_trade(self, trade: ExternalTrade) -> Outcome:
        """Take in a trade of ours that Penstock did not send; the same one twice is one."""
        terms = self._terms.get(trade.listing_id) or self._learn(trade.listing_id)
        if terms is None:
            if not self._externals.wait(trade):
                self._refuse(f"a trade of {trade.qty_lots} lots in listing {trade.listing_id}, which is not announced")
        elif not self._externals.counted(trade):
            self._externals.count(trade, terms.end_ns + self.config.keep_days * _DAY_NS)
            self._trade(
                trade.listing_id, trade.qty_lots if trade.side == _BUY else -trade.qty_lots, trade.price_ticks,
                self.ctx.now_ns if trade.traded_ns == ABSENT else trade.traded_ns,
                (trade.book_id, trade.strategy_id, trade.counterparty_id), trade.source,
            )  # fmt: skip
        return self._said()

    def on_zone_definition(self, zone: ZoneDefinition) -> Outcome:
        """Learn a zone, which series may name."""
        self._names.on_zone(zone)
        return None

    def on_listing_definition(self, listing: ListingDefinition) -> Outcome:
        """Take in the trades that waited for a listing."""
        says = [self.on_external_trade(trade) for trade in self._externals.arrived(listing.listing_id)]
        return [event for said in says if isinstance(said, list) for event in said] or None

    def _trade(self, listing_id: int, lots: int, ticks: int, traded_ns: int, holder: Holder, source: int = 0) -> None:
        terms = self._terms.get(listing_id) or self._learn(listing_id)
        if terms is None or abs(lots * ticks * terms.micro_per_lot_tick) >= _MONEY_MAX:
            self._refuse(f"a trade of {lots} lots at {ticks} ticks in listing {listing_id}")
            return
        if terms.payment == "variation":
            self._futures.trade(terms, holder, lots, ticks)
            if terms.physical and terms.start_ns <= self.ctx.now_ns:
                self._begin_delivery(terms)
            elif not terms.physical and terms.end_ns <= self.ctx.now_ns:
                self._settle_last(terms)
        elif not terms.physical:
            self._swaps.trade(terms, holder, lots, ticks)
            self._swap_dues()
        else:
            self._post.trade(terms, holder, lots, -lots * ticks * terms.micro_per_lot_tick, traded_ns)
            self._deliver(terms, holder[0], lots)
        fee = self._fees.charge((holder[0], holder[1], listing_id), abs(lots), traded_ns, source, holder[2])
        if fee:
            energy_lots = -abs(lots) if source == TradeSource.CORRECTION else abs(lots)
            self._post.fee(terms, holder, energy_lots, fee, traded_ns)

    def _refuse(self, met: str) -> None:
        self._says.append(
            self.ctx.alert(
                "settlement.trade_refused", Severity.CRITICAL, met, "a known listing, and money within 64 bits",
                "it is not settled here; settle it by hand",
            )
        )  # fmt: skip

    def _learn(self, listing_id: int) -> Terms | None:
        terms = terms_of(self.ctx, listing_id)
        if terms is not None:
            self._terms[listing_id] = terms
            if not terms.physical and terms.payment != "variation" and not self._swaps.follows(listing_id):
                self._swaps.follow(terms, self._names.index_id(terms.slots))
            due_ns = terms.start_ns if terms.physical else terms.end_ns
            if terms.payment == "variation" and due_ns > self.ctx.now_ns:
                self.ctx.set_timer(due_ns, -listing_id)
        return terms

    def _deliver(self, terms: Terms, book_id: int, lots: int) -> None:
        """Let a book hold more or less at delivery; what was settled there already is settled anew."""
        self._balancing.trade(terms, book_id, lots)
        for slot in self._balancing.priced_slots(terms):
            self._slot_dues(terms.slots, slot)

    # Futures.

    def on_marks(self, frame: Frame) -> Outcome:
        """Pay the day's gain or loss of futures at their settlement marks."""
        for row in frame.array[frame.array["kind"] == _SETTLEMENT_MARK]:
            listing_id, ticks = int(row["listing_id"]), int(row["mark_ticks"])
            observed_ns = int(row["observed_ns"])
            terms = self._terms.get(listing_id)
            if terms is not None and terms.payment == "variation" and ticks != ABSENT:
                at_ns = self.ctx.now_ns if observed_ns == ABSENT else observed_ns
                for holder, gain in self._futures.settle(terms, ticks):
                    self._post.variation(terms, holder, gain, at_ns)
                self._says += self._finals.on_mark(terms)
        return self._said()

    def on_cascade(self, cascade: Cascade) -> Outcome:
        """Settle a future for the last time; its parts go on from the same price."""
        parent = self._terms.get(cascade.listing_id)
        if parent is None or parent.payment != "variation":
            return None
        parts = [self._terms.get(listing) or self._learn(listing) for listing in cascade.into]
        known = [part for part in parts if part is not None]
        if len(known) != len(parts):
            self._refuse(f"a cascade of {parent.name} into listings {cascade.into}")
            return self._said()
        for holder, gain in self._futures.cascade(self.ctx, parent, known, cascade.price_ticks):
            self._post.variation(parent, holder, gain, self.ctx.now_ns)
        if not parent.physical and parent.end_ns <= self.ctx.now_ns:
            self._settle_last(parent)
        return self._said()

    def _settle_last(self, terms: Terms) -> None:
        """Settle a cash future whose delivery is over, as far as what it settles against is known."""
        gains, says = self._finals.settle(terms)
        for holder, gain in gains:
            self._post.variation(terms, holder, gain, self.ctx.now_ns)
        self._says += says

    def _begin_delivery(self, terms: Terms) -> None:
        """Let a physical future be delivered: it is paid at its last settlement price, month by month."""
        for holder, lots, amount_micro, gain in self._futures.deliver(terms):
            if gain:
                self._post.variation(terms, holder, gain, self.ctx.now_ns)
            monthly = terms._replace(payment="monthly")
            self._post.trade(monthly, holder, lots, amount_micro, self.ctx.now_ns)
            self._deliver(terms, holder[0], lots)

    # Swaps.

    def on_deal(self, deal: Deal) -> Outcome:
        """Learn which index a confirmed deal settles against."""
        index = deal.terms.get("index")
        if deal.status != "confirmed" or not deal.listing_id or not index:
            return None
        terms = self._terms.get(deal.listing_id) or self._learn(deal.listing_id)
        if terms is not None and not terms.physical and terms.payment != "variation":
            self._swaps.follow(terms, self._names.index_named(str(index), terms.slots))
        return self._said()

    def _swap_dues(self) -> None:
        for due in self._swaps.due():
            self._post.swap(due)

    # Prices, meters, schedules.

    def on_observation(self, observation: Observation) -> Outcome:
        """Take in an imbalance price, a meter value or a swap's index; other series are none of ours."""
        series = self._names.of(observation.series_id)
        if series is None:
            return None
        try:
            first, end = self._stretch(series.slots, observation.valid_from_ns, observation.valid_to_ns)
            conflicts = self._take(series, observation, first, end)
        except EnergyError as error:
            self._bad_value(series.name, str(error))
            return self._said()
        if conflicts:
            self._bad_value(
                series.name, f"version {observation.version} again, with {observation.value} in place of what it said"
            )
        return self._said()

    def _bad_value(self, subject: str, met: str) -> None:
        """Say of a series, once, that a value of it does not count: a source that errs, errs often."""
        if subject in self._bad:
            return
        self._bad.add(subject)
        self._says.append(
            self.ctx.alert(
                "settlement.bad_value", Severity.ERROR, met, "a finite value on the zone's intervals, with a version",
                "it does not count; let the source send a later version", subject=subject,
            )
        )  # fmt: skip

    def _stretch(self, slots: GridSlots, from_ns: int, to_ns: int) -> tuple[int, int]:
        if from_ns == ABSENT or to_ns == ABSENT:
            raise EnergyError("a value without valid_from and valid_to; wanted both")
        if from_ns < self.ctx.now_ns - self.config.keep_days * _DAY_NS:
            raise EnergyError(f"a value of more than {self.config.keep_days} days ago, when all was final")
        return slots.slot(from_ns), slots.slot(to_ns)

    def _take(self, series: Series, observation: Observation, first: int, end: int) -> int:
        """Take a value in for the slots it is about; return for how many its version had another value."""
        version, conflicts = observation.version, 0
        value = self._names.value(series, observation)
        for slot in range(first, end):
            if series.kind is SeriesKind.INDEX:
                found = self._swaps.price(observation.series_id, series.slots.start_ns(slot), version, value)
            elif series.kind is SeriesKind.PRICE:
                found = self._balancing.price(series.slots, slot, version, value)
            else:
                watt_minutes = self._names.watt_minutes(series, observation, end - first, series.slots.minutes(slot))
                found = self._balancing.meter(series.slots, slot, series.book_id, version, watt_minutes)
            if found == NEWS and series.kind is not SeriesKind.INDEX:
                self._slot_dues(series.slots, slot)
            conflicts += found == CONFLICT
        if series.kind is SeriesKind.INDEX:
            self._swap_dues()
            for terms in self._finals.over():
                self._settle_last(terms)
        return conflicts

    def on_delivery_schedule(self, schedule: DeliverySchedule) -> Outcome:
        """Take in what an asset is to deliver: it stands for the meter until there is one."""
        zone = self.ctx.zone(schedule.zone_id)
        if zone is None or zone.grid_unit != "kW":
            return None
        slots = GridSlots.of(zone)
        for slot in range(slots.floor(schedule.start_ns), slots.floor(schedule.end_ns)):
            cell = (schedule.zone_id, schedule.book_id, slots.start_ns(slot))
            self._balancing.plan(cell, schedule.source_id, schedule.amount)
            self._slot_dues(slots, slot)
        return self._said()

    def _slot_dues(self, slots: GridSlots, slot: int) -> None:
        for found in self._balancing.settle(slots, slot):
            self._post.imbalance(slots, found)

    # Telling.

    def _told(self) -> None:
        """Ask to be woken at the next whole period, if there is something to tell."""
        if not self._flushing and self._flows.rows:
            self._flushing = True
            self.ctx.set_timer((self.ctx.now_ns // self._period_ns + 1) * self._period_ns, _FLUSH)

    def _said(self) -> Outcome:
        """Return the alerts that there are; what else there is to say is told with the period."""
        self._told()
        if not self._says:
            return None
        says, self._says = self._says, []
        return says

    def on_timer(self, timer: Timer) -> Outcome:
        """Tell cash flows, draw up the invoices of a month that is over, or let a future be delivered."""
        if timer.tag < 0:
            terms = self._terms.get(-timer.tag)
            if terms is not None and terms.physical:
                self._begin_delivery(terms)
            elif terms is not None:
                self._settle_last(terms)
            return self._said()
        if timer.tag == _FLUSH:
            self._flushing = False
            self._let_go()
            says: list[Event] = [*self._flows.frames()]
        else:
            says = [*self._flows.frames(), *self._billing.due(timer.tag, self._open_values, self._days.on_calendar)]
        self._billing.plan(self._days.on_calendar)
        return says

    def on_stop(self) -> Outcome:
        """Tell what is still to be told, and draw up a draft of every month that has changed."""
        return [*self._flows.frames(), *self._billing.drafts()]

    def _open_values(self, month: str) -> list[OpenValue]:
        """Return the prices that a month still lacks, by what they are for."""
        missing = [
            value._replace(party_id=value.party_id or self._houses.of(self._terms[value.listing_id]))
            for value in self._finals.open_values(month)
        ]
        for swap in self._swaps.open_months(month):
            terms, series = swap.terms, self.ctx.name_of(IdKind.SERIES, swap.series_id)
            missing.append(
                OpenValue(
                    CashKind.SWAP, terms.slots.code, series, swap.missing, swap.first_ns, zone_id=terms.zone_id,
                    party_id=swap.party_id or self._houses.of(terms), currency_id=terms.currency_id,
                )
            )  # fmt: skip
        for zone_id in self._balancing.zones():
            zone = self.ctx.zone(zone_id)
            if zone is not None:
                place = zone.timezone, zone.day_starts_hour
                first_ns, end_ns = month_end_ns(_month_before(month), *place), month_end_ns(month, *place)
                if starts := self._balancing.unpriced(zone_id, first_ns, end_ns):
                    series = f"{self.config.imbalance_series}.{zone.code}"
                    missing.append(
                        OpenValue(CashKind.IMBALANCE, zone.code, series, len(starts), starts[0], zone_id=zone_id)
                    )
        return missing

    def _let_go(self) -> None:
        """Once a day, forget what no later version may change any more."""
        today = self.ctx.now_ns // _DAY_NS
        if today == self._swept:
            return
        self._swept = today
        before_ns = self.ctx.now_ns - self.config.keep_days * _DAY_NS
        self._balancing.let_go(before_ns)
        unmarked = (
            terms.start_ns for listing, terms in self._terms.items()
            if terms.payment == "variation" and not terms.physical and self._futures.unmarked(listing)
        )  # fmt: skip
        self._swaps.let_go(before_ns, min(unmarked, default=before_ns))
        gone = [listing for listing, terms in self._terms.items() if terms.end_ns <= before_ns]
        for listing in gone:
            del self._terms[listing]
            self._futures.let_go(listing)
            self._finals.let_go(listing)
            self._houses.let_go(listing)
            self._fees.let_go(listing)
        self._externals.forget(self.ctx.now_ns)
        self._billing.let_go(f"{ns_to_local(before_ns, CUTOFF_ZONE):%Y-%m}")

    # A restart.

    def snapshot(self) -> dict[str, Any]:
        """Return what was traded, what was told, and what is still to be told."""
        return {
            "version": _STATE_VERSION,
            "books": self._books.snapshot(),
            "terms": list(self._terms),
            "fees": self._fees.snapshot(),
            "externals": self._externals.snapshot(),
            "names": self._names.snapshot(),
            "flows": self._flows.snapshot(),
            "futures": self._futures.snapshot(),
            "swaps": self._swaps.snapshot(),
            "finals": self._finals.snapshot(),
            "bad": sorted(self._bad),
            "balancing": self._balancing.snapshot(),
            "billing": self._billing.snapshot(),
            "flushing": self._flushing,
            "swept": self._swept,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `snapshot` returned.

        Raises:
            ValueError: it is of another version.
        """
        check_state(state, _STATE_VERSION, self.ctx.name)
        self._books.restore(state["books"])
        self._terms = {}
        for listing in state["terms"]:
            terms = terms_of(self.ctx, listing)
            assert terms is not None, f"listing {listing} was known when the state was kept"
            self._terms[listing] = terms
        self._fees.restore(state["fees"])
        self._externals.restore(state["externals"])
        self._names.restore(state["names"])
        self._flows.restore(state["flows"])
        self._futures.restore(state["futures"])
        self._swaps.restore(state["swaps"], self._terms)
        self._finals.restore(state["finals"], self._terms)
        self._bad = set(state["bad"])
        self._balancing.restore(state["balancing"], self._terms)
        self._billing.restore(state["billing"])
        self._flushing, self._swept = state["flushing"], state["swept"]


def _month_before(month: str) -> str:
    year, number = int(month[:4]), int(month[5:])
    return f"{year - (number == 1):04}-{(number - 2) % 12 + 1:02}"
