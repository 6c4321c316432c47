"""One event as one sentence, in the market's terms."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

from penstock_kernel.inspect.asked import order_name
from penstock_kernel.inspect.journal_view import Entry
from penstock_kernel.inspect.market_words import MarketWords, utc_text
from penstock_sdk.events import (
    Alert,
    AuctionResult,
    CheckResult,
    CheckVerdict,
    ExecutionReport,
    IdKind,
    IntentAction,
    Limit,
    LimitKind,
    Liquidity,
    Observation,
    OperatorCommand,
    Order,
    OrderIntent,
    OrderKind,
    OrderState,
    PluginFault,
    PluginState,
    Pnl,
    Position,
    Quote,
    Reason,
    Reconcile,
    Reconciled,
    ReportKind,
    RunEnd,
    RunHeader,
    SessionReady,
    Side,
    Signal,
    TaskResult,
    Timer,
    Trade,
)
from penstock_sdk.schema import ABSENT, Control, Record

__all__ = ["enum_name", "fields_of", "record_name", "say"]

_UNSHOWN = ("clock", "source_ns", "recv_ns", "flags")


def enum_name(kind: type[IntEnum], value: int) -> str:
    """Return a value's name; ``#17`` when the enum does not know it."""
    return kind(value).name if value in kind._value2member_map_ else f"#{value}"


def record_name(record: Any) -> str:
    """Return what type of record it is, as the documentation calls it."""
    return type(record).__name__ if isinstance(record, (Record, Control)) else "unknown record"


def fields_of(record: Any) -> dict[str, Any]:
    """Return a record's fields: enums by name, what is absent as None; of an unknown record its bytes in hex."""
    if not isinstance(record, (Record, Control)):
        return {"body": bytes(record).hex()}
    described: dict[str, Any] = record.layout.describe(record)
    return {
        key: value.name if isinstance(value, IntEnum) else None if value == ABSENT and type(value) is int else value
        for key, value in described.items()
    }


def say(entry: Entry, words: MarketWords) -> str:
    """Return one sentence on an event: who, what, how much."""
    speak = _SENTENCES.get(type(entry.record), _any)
    return speak(entry.record, words, words.plugin(entry.producer))


def _any(record: Any, _words: MarketWords, who: str) -> str:
    shown = [f"{key} {value}" for key, value in fields_of(record).items() if value is not None and key not in _UNSHOWN]
    return f"{who}: {record_name(record)} {', '.join(shown)}"[:240]


def _quote(quote: Quote, words: MarketWords, who: str) -> str:
    def side(ticks: int, lots: int) -> str:
        if ticks == ABSENT:
            return "none"
        return f"{words.qty(lots, quote.listing_id)} at {words.price(ticks, quote.listing_id)}"

    bid, ask = side(quote.bid_ticks, quote.bid_lots), side(quote.ask_ticks, quote.ask_lots)
    return f"{who}: quote of {words.listing(quote.listing_id)}, bid {bid}, ask {ask}"


def _auction(result: AuctionResult, words: MarketWords, who: str) -> str:
    contract = words.name(IdKind.CONTRACT, result.contract_id)
    return f"{who}: auction of {contract} clears at {words.price(result.price_ticks, result.listing_id)}"


def _trade(trade: Trade, words: MarketWords, who: str) -> str:
    aggressor = f", aggressor {enum_name(Side, trade.aggressor)}" if trade.aggressor else ""
    return (
        f"{who}: trade of {words.qty(trade.qty_lots, trade.listing_id)} {words.listing(trade.listing_id)} "
        f"at {words.price(trade.price_ticks, trade.listing_id)}{aggressor}"
    )


def _timer(timer: Timer, words: MarketWords, _who: str) -> str:
    return f"timer of {words.plugin(timer.plugin_id)} fires, tag {timer.tag}, due {utc_text(timer.due_ns)}"


def _observation(seen: Observation, words: MarketWords, who: str) -> str:
    series, unit = words.name(IdKind.SERIES, seen.series_id), words.name(IdKind.UNIT, seen.unit_id)
    return f"{who}: {series} is {seen.value:g} {unit}, valid from {utc_text(seen.valid_from_ns)}"


def _signal(signal: Signal, words: MarketWords, who: str) -> str:
    name = words.name(IdKind.SIGNAL, signal.signal_id) if signal.signal_id else "signal"
    return f"{who}: {name} on {words.listing(signal.listing_id)} is {signal.value:g}, confidence {signal.confidence:g}"


def _intent(intent: OrderIntent, words: MarketWords, who: str) -> str:
    if intent.action == IntentAction.NEW:
        return f"{who} wants to {_terms(intent, words)}"
    if intent.action == IntentAction.CANCEL:
        return f"{who} wants order {order_name(intent.order_id)} cancelled"
    if intent.action == IntentAction.CANCEL_ALL:
        return f"{who} wants all its orders in {words.listing(intent.listing_id)} cancelled"
    return f"{who} asks for {enum_name(IntentAction, intent.action)} of order {intent.order_id}"


def _terms(order: Order | OrderIntent, words: MarketWords) -> str:
    verb = {Side.BUY: "buy", Side.SELL: "sell"}.get(Side(order.side) if order.side in (1, 2) else Side.UNKNOWN, "trade")
    price = (
        "at any price" if order.kind == OrderKind.MARKET else f"at {words.price(order.price_ticks, order.listing_id)}"
    )
    kind = enum_name(OrderKind, order.kind)
    return f"{verb} {words.qty(order.qty_lots, order.listing_id)} {words.listing(order.listing_id)} {price}, {kind}"


def _verdict(verdict: CheckVerdict, words: MarketWords, _who: str) -> str:
    check = words.plugin(verdict.check_id)
    if verdict.result == CheckResult.PASSED:
        return f"{check} lets order {order_name(verdict.order_id)} pass"
    figures = "" if verdict.met == ABSENT else f", met {verdict.met:,}"
    figures += "" if verdict.limit == ABSENT else f", limit {verdict.limit:,}"
    return f"{check} refuses order {order_name(verdict.order_id)}: {enum_name(Reason, verdict.reason)}{figures}"


def _order(order: Order, words: MarketWords, _who: str) -> str:
    name, venue = order_name(order.order_id), words.plugin(order.venue_id)
    if order.action == IntentAction.CANCEL:
        return f"cancel of order {name} goes to {venue}"
    if order.state == OrderState.REFUSED:
        return f"order {name} is refused: {enum_name(Reason, order.reason)}"
    if order.state == OrderState.IN_DOUBT:
        return f"order {name} is in doubt; {venue} is asked where it stands"
    return f"order {name} goes to {venue}: {_terms(order, words)}"


def _report(report: ExecutionReport, words: MarketWords, who: str) -> str:
    name, listing_id = order_name(report.order_id), report.listing_id
    reason = f", {enum_name(Reason, report.reason)}" if report.reason else ""
    if report.kind == ReportKind.FILL:
        liquidity = f", {enum_name(Liquidity, report.liquidity).lower()}" if report.liquidity else ""
        return (
            f"{who} fills {words.qty(report.last_lots, listing_id)} of order {name} "
            f"at {words.price(report.last_ticks, listing_id)}{liquidity}; "
            f"{words.qty(report.leaves_lots, listing_id)} left{reason}"
        )
    said = enum_name(ReportKind, report.kind).lower().replace("_", " ")
    return f"{who}: order {name} {said}{reason}"


def _position(position: Position, words: MarketWords, _who: str) -> str:
    listing_id = position.listing_id
    return (
        f"position of {words.plugin(position.strategy_id)} in {words.listing(listing_id)} is "
        f"{words.qty(position.net_lots, listing_id)} net, cash {words.money(position.cash_micro, listing_id)}"
    )


def _pnl(pnl: Pnl, words: MarketWords, _who: str) -> str:
    def money(micro: int) -> str:
        return words.money(micro, pnl.listing_id, pnl.currency_id)

    return (
        f"profit and loss of {words.plugin(pnl.strategy_id)} in {words.listing(pnl.listing_id)}: realised "
        f"{money(pnl.realised_micro)}, unrealised {money(pnl.unrealised_micro)}, fees {money(pnl.fees_micro)}"
    )


def _limit(limit: Limit, words: MarketWords, who: str) -> str:
    of = words.plugin(limit.strategy_id) if limit.strategy_id else "every strategy"
    where = f" in {words.listing(limit.listing_id)}" if limit.listing_id else ""
    before = "" if limit.previous == ABSENT else f", was {limit.previous:,}"
    return f"{who}: limit {enum_name(LimitKind, limit.kind)} of {of}{where} is {limit.value:,}{before}"


def _command(command: OperatorCommand, _words: MarketWords, _who: str) -> str:
    target = f" {command.target}" if command.target else ""
    argument = f" {command.argument}" if command.argument else ""
    peer = f" ({command.peer})" if getattr(command, "peer", "") else ""
    return f"command {command.command}{target}{argument} by {command.who}{peer}: {command.why}"


def _state(state: PluginState, _words: MarketWords, _who: str) -> str:
    reason = f": {state.reason}" if state.reason else ""
    return f"plugin {state.name} is {state.status.name}{reason}"


def _header(header: RunHeader, _words: MarketWords, _who: str) -> str:
    said = "run header" if header.epoch <= 1 else f"restart {header.cause or 'without a cause told'}"
    return f"{said}, epoch {header.epoch}, seed {header.seed}, {header.clock_kind} clock"


def _alert(alert: Alert, _words: MarketWords, _who: str) -> str:
    return f"alert {alert.code} on {alert.subject}{' is over' if alert.cleared else ''}: {alert.met}"


def _reconcile(asked: Reconcile, words: MarketWords, _who: str) -> str:
    return f"{words.plugin(asked.venue_id)} is asked where our {len(asked.orders)} open orders stand"


def _reconciled(told: Reconciled, words: MarketWords, _who: str) -> str:
    return (
        f"{words.plugin(told.venue_id)} has told where our orders stand: {told.confirmed} as we believed, "
        f"{told.corrected} ended or filled meanwhile, {told.foreign} that we do not know"
    )


_SENTENCES: dict[type, Callable[[Any, MarketWords, str], str]] = {
    Quote: _quote,
    AuctionResult: _auction,
    Trade: _trade,
    Timer: _timer,
    Observation: _observation,
    Signal: _signal,
    OrderIntent: _intent,
    CheckVerdict: _verdict,
    Order: _order,
    ExecutionReport: _report,
    Position: _position,
    Pnl: _pnl,
    Limit: _limit,
    OperatorCommand: _command,
    PluginState: _state,
    RunHeader: _header,
    Alert: _alert,
    Reconcile: _reconcile,
    Reconciled: _reconciled,
    SessionReady: lambda ready, words, who: f"every plugin has started, epoch {ready.epoch}",
    PluginFault: lambda fault, words, who: f"{fault.name} raised in {fault.handler}: {fault.error}",
    TaskResult: lambda result, words, who: (
        f"work {result.task_id} of {words.plugin(result.plugin_id)} {'is done' if result.ok else 'failed'}"
    ),
    RunEnd: lambda end, words, who: f"the run ends: {end.reason}",
}
