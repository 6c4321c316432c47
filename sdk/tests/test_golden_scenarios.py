"""Plays the text scenarios of the matching engine and the risk gate; UPDATE_SCENARIOS=1 writes what they say today.

A scenario is a list of commands, each followed by a line of dashes and what came of it. Read a rewritten one as a diff.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from penstock_sdk.events.enums import Reason
from penstock_sdk.golden import matching as m
from penstock_sdk.golden import risk_gate as g

FOLDER = Path(__file__).parent / "scenarios"
SIDES = {"buy": m.BUY, "sell": m.SELL}
SIDE_NAMES = {side: name for name, side in SIDES.items()}
KINDS = {"limit": m.LIMIT, "ioc": m.IOC, "fok": m.FOK, "market": m.MARKET}
CAUSES = {m.CAUSE_REQUEST: "asked", m.CAUSE_OWNER: "mass cancel", m.CAUSE_CLOSED: "gate", m.CAUSE_SELF_TRADE: "own"}
SWITCHES = {"kill": (True, False), "pause": (False, True), "resume": (False, False)}


class MatchingPlayer:
    """Two books; prices as ``@ -5``, orders as ``#1``, owners as ``by 7``."""

    def __init__(self) -> None:
        self.state, self.out = m.new_engine(2, 64, 64), m.new_out(64)

    def do(self, line: str) -> list[str]:
        words = line.replace("#", "").replace("@ ", "").replace("by ", "").replace(":", "").split()
        verb, numbers = words[0], [int(word) for word in words[1:] if word.lstrip("-").isdigit()]
        if verb == "depth":
            return self.depth(numbers[0])
        if verb in SIDES:
            # buy limit #1 by 7: 10 @ -5 in 0
            order_id, owner, qty, *price, book = numbers
            kind = KINDS[words[1]]
            price_ticks = price[0] if price else m.ABSENT
            status = m.submit(self.state, self.out, book, order_id, owner, SIDES[verb], kind, price_ticks, qty)
        else:
            calls: dict[str, Callable[..., int]] = {
                "open": m.open_book,
                "close": m.close_book,
                "cancel": m.cancel,
                "amend": m.amend,
                "cancel-owner": m.cancel_owner,
            }
            if verb == "amend":
                numbers = [numbers[0], numbers[2], numbers[1]]
            status = calls[verb](self.state, self.out, *numbers)
        m.check(self.state)
        return [m.STATUS_NAMES[status], *self.outcome()]

    def outcome(self) -> Iterator[str]:
        for row in m.fills(self.out).tolist():
            _, maker, maker_owner, taker, taker_owner, book, side, price, qty, maker_left, taker_left = row[:11]
            yield (
                f"  fill in {book}: #{taker} by {taker_owner} {'buys' if side == m.BUY else 'sells'} {qty} @ {price}, "
                f"#{maker} by {maker_owner} was there; left {taker_left} and {maker_left}"
            )
        for _, order_id, owner, book, side, price, qty, cause, *_ in m.cancels(self.out).tolist():
            yield f"  out of {book}: #{order_id} by {owner}, {SIDE_NAMES[side]} {qty} @ {price} ({CAUSES[cause]})"
        for _, book, side, price, qty, count, *_ in m.level_changes(self.out).tolist():
            yield f"  level in {book}: {SIDE_NAMES[side]} {qty} @ {price} from {count}"
        for _, book, bid, bid_qty, ask, ask_qty, *_ in m.tops(self.out).tolist():
            yield f"  top of {book}: {shown(bid, bid_qty)} | {shown(ask, ask_qty)}"

    def depth(self, book: int) -> list[str]:
        lines = []
        for side in (m.SELL, m.BUY):
            table = np.zeros((64, 3), np.int64)
            found = table[: m.levels_of(self.state, book, side, 64, table)].tolist()
            rows = [f"  {SIDE_NAMES[side]} {qty} @ {price} from {count}" for price, qty, count in found]
            lines += rows[::-1] if side == m.SELL else rows
        return lines or ["  empty"]


def shown(price: int, qty: int) -> str:
    return "none" if price == m.ABSENT else f"{qty} @ {price}"


class RiskPlayer:
    """Eight listings, eight intervals; lots of 100 kW, quarters of 15 minutes."""

    def __init__(self) -> None:
        self.gate, self.verdicts = g.new_gate(8, 8, 32), g.new_verdicts(1)

    def do(self, line: str) -> list[str]:
        verb, *words = line.replace("#", "").replace("@ ", "").split()
        if verb in SIDES:
            # buy 10 @ -5 of 0 at 7 #1
            qty, price, listing, at_ns, intent_id = [int(word) for word in words if word not in ("of", "at")]
            reason = g.check_order(self.gate, listing, SIDES[verb], price, qty, at_ns, intent_id, self.verdicts)
            return [self.verdict(Reason(reason))]
        values = dict(word.split("=") for word in words if "=" in word)
        numbers = [int(word) for word in words if word.lstrip("-").isdigit()]
        if verb == "listing":
            intervals = [int(word) for word in values.pop("intervals").split(",")]
            limits = {"qty_max_lots": 50, "collar_ticks": 100, "notional_max": 10**9, "ref_age_max_ns": 10**9}
            limits |= {"minutes": 15 * len(intervals), "kw_per_lot": 100} | {k: int(v) for k, v in values.items()}
            g.define_listing(self.gate, numbers[0], intervals, **limits)  # type: ignore[arg-type]
        elif verb == "position":
            for interval in range(8):
                g.set_position_limit(self.gate, interval, int(values["long"]), int(values["short"]))
        elif verb == "rate":
            g.set_rate(self.gate, int(values["burst"]), int(values["ns"]))
        elif verb == "reference":
            g.mark_reference(self.gate, *numbers)
        elif verb in ("fill", "release", "reserve"):
            listing, side, qty = int(words[0]), SIDES[words[1]], int(words[2])
            reason = Reason(getattr(g, verb)(self.gate, listing, side, qty))
            return ["done" if reason == Reason.NONE else g.REASONS[reason], *self.exposure()]
        elif verb == "exposure":
            return self.exposure()
        elif verb == "counts":
            return [f"  {reason.name}: {count}" for reason, count in g.counts(self.gate).items()]
        else:
            kill, paused = SWITCHES[verb]
            g.set_switches(self.gate, kill=kill, paused=paused)
        return ["done"]

    def verdict(self, reason: Reason) -> str:
        row = self.verdicts[0].tolist()
        text = "passed" if reason == Reason.NONE else f"{reason.name}: {g.REASONS[reason]}"
        met = f", met {row[g.VERDICT_MET]}" if row[g.VERDICT_MET] != g.ABSENT else ""
        limit = f", limit {row[g.VERDICT_LIMIT]}" if row[g.VERDICT_LIMIT] != g.ABSENT else ""
        interval = f", interval {row[g.VERDICT_INTERVAL]}" if row[g.VERDICT_INTERVAL] >= 0 else ""
        return text + met + limit + interval

    def exposure(self) -> list[str]:
        return [
            f"  interval {interval}: net {net} kW, working {buys} to buy, {sells} to sell"
            for interval, (_, _, net, buys, sells) in enumerate(g.exposures(self.gate).tolist())
            if net or buys or sells
        ]


def replay(path: Path) -> str:
    """Return the scenario with what comes of it today."""
    player = MatchingPlayer() if path.name.startswith("matching") else RiskPlayer()
    lines: list[str] = []
    for block in path.read_text().strip("\n").split("\n\n"):
        commands = block.split("\n----")[0].splitlines()
        lines += commands
        if not all(line.startswith("#") for line in commands):
            lines.append("----")
            lines += [text for line in commands if not line.startswith("# ") for text in player.do(line)]
        lines.append("")
    return "\n".join(lines)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_scenario_says_what_it_said(path: Path) -> None:
    found = replay(path)
    if os.environ.get("UPDATE_SCENARIOS", "") not in ("", "0"):
        path.write_text(found)
    assert found == path.read_text()


def test_both_machines_have_scenarios() -> None:
    names = [path.name.split("_")[0] for path in FOLDER.glob("*.txt")]
    assert names.count("matching") >= 3
    assert names.count("risk") >= 3
