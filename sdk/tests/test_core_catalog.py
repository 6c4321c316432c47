"""Ids count from 1 for each kind, are never reused, and are told as events before anyone can meet them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.core.catalog import Catalog
from penstock_sdk.events import (
    Alert,
    ContractDefinition,
    IdKind,
    Interned,
    ListingDefinition,
    PluginFault,
    Quote,
    Severity,
    Trade,
    ZoneDefinition,
)
from penstock_sdk.plugin import Outcome
from penstock_sdk.testing import SimKernel
from penstock_sdk.wire.frame import Origin
from sdk.tests.core_toys import OnQuote, headers, quote, told

KIND_NAMES = st.tuples(st.sampled_from(list(IdKind)), st.text(min_size=1, max_size=3))


@given(st.lists(KIND_NAMES, max_size=30))
def test_ids_count_from_one_by_kind_and_names_come_back(asked: list[tuple[IdKind, str]]) -> None:
    catalog = Catalog()
    model: dict[tuple[IdKind, str], int] = {}
    for kind, name in asked:
        new = (kind, name) not in model
        number, event = catalog.intern(kind, name)
        wanted = model.setdefault((kind, name), 1 + sum(k == kind for k, _ in model))
        assert number == wanted
        assert event == (Interned(kind=kind, id=number, name=name) if new else None)
        assert catalog.name_of(kind, number) == name
    again = Catalog()
    again.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(catalog.snapshot())))
    assert again.snapshot() == catalog.snapshot()
    for (kind, name), number in model.items():
        assert again.intern(kind, name) == (number, None)


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(ValueError, match="^intern\\(BOOK\\) met an empty name, wanted text"):
        Catalog().intern(IdKind.BOOK, "")


@pytest.mark.parametrize("number", [0, -1, 7])
def test_an_unknown_id_is_shown_by_its_number(number: int) -> None:
    assert Catalog().name_of(IdKind.BOOK, number) == f"book#{number}"


def test_definitions_come_back_by_id_and_survive_a_restart() -> None:
    catalog = Catalog()
    zone = ZoneDefinition(zone_id=1, code="X", timezone="Etc/UTC", currency="EUR")
    contract = ContractDefinition(
        contract_id=4, name="QH1", zone_id=1, product="QH", delivery_start_ns=0, delivery_end_ns=9, currency_id=1
    )
    fields: dict[str, Any] = dict.fromkeys(ListingDefinition.__struct_fields__, 1)
    fields |= {"segments": [(0, 1, 100)], "reference_only": True}
    listings = [ListingDefinition(**{**fields, "listing_id": i, "name": f"L{i}"}) for i in (7, 3)]
    catalog.on_zone_definition(zone)
    catalog.on_contract_definition(contract)
    for listing in listings:
        catalog.on_listing_definition(listing)
    again = Catalog()
    again.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(catalog.snapshot())))
    for each in (catalog, again):
        assert each.definition(IdKind.ZONE, 1) == zone
        assert each.definition(IdKind.CONTRACT, 4) == contract
        assert each.definitions(IdKind.LISTING) == [listings[1], listings[0]]
        assert each.definition(IdKind.LISTING, 8) is None


def test_a_listing_without_a_delivery_is_told_once_and_refused() -> None:
    kernel = SimKernel()
    kernel.start()
    listing_id = kernel.add_listing("QH1", 1)
    whole = kernel.of(ListingDefinition)[-1]
    bare = msgspec.structs.replace(whole, interval_count=0, segments=[])
    assert not kernel.of(Alert)
    for listing in (bare, bare, msgspec.structs.replace(bare, reference_only=True), whole):
        kernel.feed(listing)
    (alert,) = [alert for alert in kernel.of(Alert) if alert.code == "listing.no_delivery"]
    assert (alert.severity, alert.subject.partition(" ")[0]) == (Severity.WARNING, "QH1")
    assert "NO_DELIVERY" in alert.met and "announce it again with its intervals" in alert.way_out
    kernel.feed(bare)
    again = Catalog()
    again.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(kernel.catalog.snapshot())))
    assert list(again.no_delivery) == list(kernel.catalog.no_delivery) == [listing_id]
    assert again.on_listing_definition(bare) is None, "told in the session before"


def test_a_new_name_is_an_event_of_the_cascade_and_an_old_one_is_none() -> None:
    class Interns(OnQuote):
        def on_quote(self, quote: Quote) -> Outcome:
            self.ctx.intern(IdKind.SERIES, "load")
            return Trade(self.ctx.intern(IdKind.SERIES, "price"))

    kernel = SimKernel()
    kernel.add(Interns, "interns")
    kernel.start()
    since = len(kernel.frames)
    kernel.feed(quote())
    kernel.feed(quote())
    assert told(kernel, since) == ["Quote", "Interned", "Interned", "Trade", "Quote", "Trade"]
    assert {h.origin for h in headers(kernel)[since + 1 : since + 4]} == {Origin.DERIVED}
    assert [t.listing_id for t in kernel.of(Trade)] == [2, 2]


def test_an_empty_name_in_a_handler_is_a_fault() -> None:
    class Interns(OnQuote):
        def on_quote(self, quote: Quote) -> Outcome:
            return Trade(self.ctx.intern(IdKind.SERIES, ""))

    kernel = SimKernel()
    kernel.add(Interns, "interns")
    kernel.start()
    kernel.feed(quote())
    assert len(kernel.of(PluginFault)) == 1
    assert not kernel.of(Trade)
