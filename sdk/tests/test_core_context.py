"""What a plugin is given: time, randomness of its own, counters, names, a log; the same in every run."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.events import Alert, IdKind, Quote, Severity, Timer
from penstock_sdk.plugin import Operations, Outcome
from penstock_sdk.testing import SimKernel
from sdk.tests.core_toys import Obedient, OnQuote, quote


def draws(run_seed: int, *names: str, **context: Any) -> dict[str, list[int]]:
    kernel = SimKernel(seed=run_seed)
    made = {name: kernel.add(Operations, name, **context) for name in names}
    return {name: plugin.ctx.random.integers(0, 2**40, 4).tolist() for name, plugin in made.items()}


@given(st.integers(0, 2**63))
def test_draws_follow_from_seed_and_name_alone(seed: int) -> None:
    alone = draws(seed, "a")
    together = draws(seed, "z", "a", "b")
    assert together["a"] == alone["a"]
    assert together["a"] != together["b"]
    assert draws(seed + 1, "a") != alone


def test_an_own_seed_replaces_the_name() -> None:
    assert draws(1, "a", seed=5)["a"] == draws(1, "b", seed=5)["b"] != draws(1, "a")["a"]


def test_time_is_the_stamp_of_the_input_and_never_decreases() -> None:
    seen: list[int] = []

    class Looks(OnQuote):
        def on_quote(self, quote: Quote) -> None:
            seen.append(self.ctx.now_ns)

        def on_timer(self, timer: Timer) -> None:
            seen.append(self.ctx.now_ns)

        def on_start(self) -> None:
            self.ctx.set_timer(15)

    kernel = SimKernel(start_ns=3)
    kernel.add(Looks, "looks")
    kernel.start()
    kernel.feed(quote())
    kernel.feed(quote(), at_ns=10)
    kernel.feed(quote(), at_ns=20)
    kernel.feed(quote(), at_ns=5)
    assert seen == [3, 10, 15, 20, 20]


def test_sequence_and_root_are_those_of_the_event_at_hand() -> None:
    seen: list[tuple[int, int]] = []

    class Looks(OnQuote):
        def on_quote(self, quote: Quote) -> Outcome:
            seen.append((self.ctx.seq, self.ctx.correlation_seq))
            return quote_2 if quote.listing_id == 1 else None

    quote_2 = quote(2)
    kernel = SimKernel()
    kernel.add(Looks, "looks")
    kernel.start()
    root = kernel.cascade.seq + 1
    kernel.feed(quote(1))
    assert seen == [(root, root), (root + 1, root)]


def test_a_cell_is_the_same_object_for_a_name() -> None:
    ctx = SimKernel().add(Operations, "a").ctx
    ctx.cell("orders").n += 2
    ctx.cell("orders").n += 1
    assert ctx.cells["orders"].n == 3


def test_log_lines_carry_severity_name_and_fields() -> None:
    kernel = SimKernel()
    log = kernel.add(Operations, "a").ctx.log
    log.info("begun", day="2026-03-10")
    log.warning("late", by_ms=7)
    log.error("lost")
    assert kernel.logged == ["INFO a: begun day=2026-03-10", "WARNING a: late by_ms=7", "ERROR a: lost"]


def test_an_alert_is_about_the_plugin_unless_it_names_another() -> None:
    ctx = SimKernel().add(Operations, "a").ctx
    assert ctx.alert("x.y", Severity.INFO, "met") == Alert(code="x.y", severity=Severity.INFO, subject="a", met="met")
    assert ctx.alert("x.y", Severity.INFO, "met", subject="b").subject == "b"


def test_definitions_are_found_by_id() -> None:
    kernel = SimKernel()
    venue = kernel.add(Obedient, "venue")
    kernel.start()
    ids = [kernel.add_listing(name, venue.ctx.plugin_id) for name in ("L1", "L2")]
    ctx = venue.ctx
    assert [listing.listing_id for listing in ctx.listings()] == ids
    first = ctx.listing(ids[0])
    assert first is not None
    assert first.name == "L1"
    contract = ctx.contract(first.contract_id)
    assert contract is not None
    zone = ctx.zone(contract.zone_id)
    assert zone is not None
    assert (contract.name, zone.code) == ("L1", "TEST")
    assert (ctx.listing(99), ctx.contract(99), ctx.zone(99)) == (None, None, None)
    assert ctx.name_of(IdKind.LISTING, ids[1]) == "L2"


def test_orders_carry_who_they_are_for() -> None:
    kernel = SimKernel()
    identity = kernel.add(Operations, "mm").ctx.identity
    named = [
        kernel.name_of(kind, number)
        for kind, number in (
            (IdKind.BOOK, identity.book_id), (IdKind.ALGO, identity.algo_id),
            (IdKind.TRADER, identity.trader_id), (IdKind.ACCOUNT, identity.account_id),
        )
    ]  # fmt: skip
    assert named == ["mm", "Operations", "mm", "mm"]


def test_random_generators_are_snapshot_and_go_on() -> None:
    kernel, again = SimKernel(seed=1), SimKernel(seed=1)
    a, b = kernel.add(Operations, "a"), again.add(Operations, "a")
    a.ctx.random.random(5)
    again.restore(kernel.snapshot())
    assert np.array_equal(a.ctx.random.random(5), b.ctx.random.random(5))
