"""Explanations and comparisons as lines for people."""

from __future__ import annotations

from penstock_kernel.inspect.diff import EventSide, FieldDifference, RunDifference, RunSide
from penstock_kernel.inspect.explain import Check, Explanation, Fills, Rule, Step
from penstock_kernel.inspect.market_words import span_text

__all__ = ["difference_lines", "explanation_lines"]


def explanation_lines(found: Explanation) -> list[str]:
    """Return an explanation as lines for people."""
    lines = [
        f"order {found.order} ({found.order_id}) of {found.strategy}: {found.terms}",
        f"  {found.contract} at {found.venue}; book {found.book}, algo {found.algo}, "
        f"trader {found.trader or 'none'}, account {found.account or 'none'}",
        f"  delivery {found.delivery_local} ({found.delivery_utc})",
        f"  {_standing(found)}",
    ]
    lines += [f"  note: {note}" for note in found.notes]
    lines += ["", "what began it"]
    lines += [line for step in found.began for line in _step_lines(step)] or ["  not kept in the journal"]
    lines += ["", "checks", *_check_lines(found.checks)]
    lines += ["", "what became of it"]
    became = sorted((*found.sent, *found.meanwhile), key=lambda step: step.seq)
    lines += [line for step in became for line in _step_lines(step)]
    for cancel in found.cancels:
        lines += ["", f"cancel at seq {cancel.seq:,}: {cancel.why}"]
        lines += [line for step in cancel.chain for line in _step_lines(step)]
    if found.fills.count:
        lines += ["", *_fill_lines(found.fills, found.currency)]
    if found.caused or found.others:
        lines += ["", "what it moved", *(line for step in found.caused for line in _step_lines(step))]
        others = ", ".join(f"{count} {name}" for name, count in sorted(found.others.items()))
        lines += [f"  and {others}"] if others else []
    return lines


def _standing(found: Explanation) -> str:
    reason = f", {found.reason}" if found.reason != "NONE" else ""
    way = f"; way out: {found.way_out}" if found.way_out and found.state in ("REFUSED", "REJECTED") else ""
    still = " (open where the journal ends)" if found.open else ""
    return f"{found.state}{reason}{still}{way}"


def _step_lines(step: Step) -> list[str]:
    since = f"+{span_text(step.since_root_ns)}" if step.since_root_ns >= 0 else span_text(step.since_root_ns)
    latency = "" if step.latency_ns is None else f", {span_text(step.latency_ns)} after its source's stamp"
    at_venue = [f"    {step.venue_text}"] if step.venue_text else []
    when = f"    {step.at_local} ({step.at_utc}), {since} since the root{latency}"
    return [f"  seq {step.seq:,}  {step.text}", *at_venue, when]


def _check_lines(checks: list[Check]) -> list[str]:
    lines: list[str] = []
    for check in checks:
        reason = "" if check.reason == "NONE" else f": {check.reason}"
        note = f" ({check.note})" if check.note else ""
        lines.append(f"  {check.check} {check.result}{reason}, seq {check.seq:,}{note}")
        if not check.rules and check.met is not None:
            lines.append(f"    met {check.met:,}" + ("" if check.limit is None else f", limit {check.limit:,}"))
        lines += [_rule_line(rule) for rule in check.rules]
    return lines or ["  none was asked: what stands above refused or sent it without them"]


def _rule_line(rule: Rule) -> str:
    met = rule.met_text if rule.met_text else "yes" if rule.passed else "no"
    limit = f" {rule.bound} {rule.limit_text}" if rule.limit_text and rule.bound != "none" else " no limit"
    if rule.bound == "none":
        limit = ""
    note = f"  ({rule.note})" if rule.note else ""
    return f"    {'passed ' if rule.passed else 'REFUSED'} {rule.rule:48} {met:>18}{limit}{note}"


def _fill_lines(fills: Fills, currency: str) -> list[str]:
    unit = f"{currency}/MWh"

    def against(what: str, mid: float | None, cost: float | None) -> str:
        if mid is None or cost is None:
            return f"  mid at {what} not known: a side of the book was empty, or the strategy did not say"
        return f"  mid at {what} {mid:,.3f} {unit}: cost {cost:+,.3f} {unit}"

    qty = "" if fills.qty_mw is None else f" of {fills.qty_mw:g} MW"
    energy = "" if fills.energy_mwh is None else f", {fills.energy_mwh:g} MWh"
    average = "" if fills.average_price is None else f" at {fills.average_price:,.3f} {unit} on average"
    return [
        f"{fills.count} fill{'s' if fills.count > 1 else ''}{qty}{average}{energy}",
        against("decision", fills.mid_at_decision, fills.cost_to_decision),
        against("arrival", fills.mid_at_arrival, fills.cost_to_arrival),
    ]


def difference_lines(found: RunDifference) -> list[str]:
    """Return a comparison as lines for people."""
    lines = [_side_line("A", found.a), _side_line("B", found.b)]
    if found.headers:
        lines += ["run headers differ", *(_field_line(field) for field in found.headers)]
    lines += [
        f"{each.events:,} events came another way, {each.a} in A and {each.b} in B: their plugins ran in the kernel in "
        "one run, in processes of their own in the other"
        for each in found.origins
    ]
    if found.equal:
        return [*lines, f"equal: {found.equal_events:,} events the same, and neither has more"]
    lines.append(f"the first {found.equal_events:,} events are the same")
    if found.event_a is None or found.event_b is None:
        return lines + _prefix_lines(found)
    lines.append(f"first difference at seq {found.seq:,}")
    lines += [_field_line(field) for field in found.fields]
    return lines + _event_lines("A", found.event_a) + _event_lines("B", found.event_b)


def _prefix_lines(found: RunDifference) -> list[str]:
    short, long, event = ("A", "B", found.event_b) if found.event_a is None else ("B", "A", found.event_a)
    assert event is not None
    return [f"{short} ends there and {long} goes on: {short} is a prefix of {long}", *_event_lines(long, event)]


def _side_line(name: str, side: RunSide) -> str:
    digest = f", sha256:{side.digest}" if side.digest else ""
    return f"{name} {side.run}, {side.state}, {side.events:,} events{digest}"


def _field_line(field: FieldDifference) -> str:
    return f"  {field.field:24} A {field.a!r}   B {field.b!r}"


def _event_lines(name: str, event: EventSide) -> list[str]:
    lines = [f"{name} has at {event.at_utc} seq {event.seq:,} {event.record}", f"  {event.text}"]
    if event.chain:
        lines += ["  which goes back to", *(f"    {cause}" for cause in event.chain)]
    return lines
