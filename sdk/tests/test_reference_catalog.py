"""`ctx.reference` is the built-in rules overlaid by all that was announced; what does not fit is refused whole."""

from __future__ import annotations

from datetime import date, time, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_sdk.core.catalog import Catalog
from penstock_sdk.core.reference_book import LINE_KEY, ReferenceBook, reference_from, table_event, table_from
from penstock_sdk.energy.exact import EnergyError
from penstock_sdk.energy.rules import Table, builtin_rules
from penstock_sdk.events import Alert, CalendarDefinition, PluginFault, ReferenceTable, SessionReady
from penstock_sdk.plugin import Outcome, RefData, Strategy
from penstock_sdk.testing import SimKernel

MARKET = "TEST-MARKET"


def limits(first: str, last: str, price_max: str = "4000", source: str = "caps.toml", line: int = 3) -> ReferenceTable:
    row = {"market": MARKET, "price_min": "-500", "price_max": price_max, "valid_from": first, "valid_to": last}
    return ReferenceTable(name="limits", source=source, digest="", rows=[{**row, LINE_KEY: line}])


def calendar(name: str = "TEST", closed: list[str] | None = None, **more: Any) -> CalendarDefinition:
    return CalendarDefinition(
        name=name, source="a test", first="2026-01-01", last="2026-12-31", closed=closed or ["2026-12-25"], **more
    )


class Says(RefData):
    """Says a list of events at its start, and others when it resumes."""

    said: tuple[Any, ...] = ()

    def on_start(self) -> Outcome:
        return list(self.said)


class Looks(Strategy):
    """Keeps what reference data was in force when it started."""

    def on_start(self) -> Outcome:
        self.met = self.ctx.reference
        return None


def started(*events: Any) -> tuple[SimKernel, Looks]:
    kernel = SimKernel()
    kernel.add(type("SaysThese", (Says,), {"said": events}), "refdata")
    looks = kernel.add(Looks, "looks")
    kernel.start()
    return kernel, looks


def test_without_any_announcement_it_is_the_built_in_rules_and_no_calendar():
    kernel, looks = started()
    assert looks.met.rules is builtin_rules()
    assert list(looks.met.calendars) == []
    with pytest.raises(EnergyError, match="^calendar 'TARGET' is not loaded"):
        looks.met.calendars["TARGET"]
    assert kernel.of(PluginFault) == []


def test_a_plugin_that_starts_later_meets_what_was_announced_before():
    _, looks = started(limits("2026-01-01", "2026-12-31"), calendar(early={"2026-12-24": "12:30"}))
    row = looks.met.rules.row("limits", market=MARKET, on=date(2026, 3, 1))
    assert (row.price_min, row.price_max) == (-500, 4000)
    assert not looks.met.calendars["TEST"].is_open(date(2026, 12, 25))
    assert looks.met.calendars["TEST"].early == {date(2026, 12, 24): time(12, 30)}


def test_it_is_the_same_object_until_something_new_is_announced():
    kernel, looks = started(limits("2026-01-01", "2026-12-31"))
    first = looks.ctx.reference
    assert looks.ctx.reference is first
    kernel.feed(calendar())
    assert looks.ctx.reference is not first
    assert looks.ctx.reference.rules == first.rules


def test_a_table_of_the_same_name_and_source_takes_the_earlier_ones_place():
    kernel, looks = started(limits("2026-01-01", "2026-12-31", "4000"))
    kernel.feed(limits("2026-01-01", "2026-12-31", "5000"))
    assert looks.ctx.reference.rules.row("limits", market=MARKET, on=date(2026, 3, 1)).price_max == 5000
    kernel.feed(ReferenceTable(name="limits", source="caps.toml", digest="", rows=[]))
    assert looks.ctx.reference.rules == builtin_rules()


def test_an_overlay_takes_the_built_in_place_on_its_days_alone():
    zone = builtin_rules().zone("FR")
    row = {**msgspec.to_builtins(zone), "gate_lead_minutes": 30, "valid_from": "2030-01-01", "valid_to": "2030-12-31"}
    _, looks = started(ReferenceTable(name="zones", source="zones.toml", digest="", rows=[row]))
    found = [looks.met.rules.zone("FR", date(year, 6, 1)).gate_lead_minutes for year in (2029, 2030, 2031)]
    assert found == [zone.gate_lead_minutes, 30, zone.gate_lead_minutes]


def test_overlapping_validity_is_refused_whole_and_both_lines_are_named():
    kept = limits("2026-01-01", "2026-06-30", line=3)
    other = msgspec.structs.replace(limits("2026-06-30", "2026-12-31"), source="more.toml")
    other.rows.append({**limits("2028-01-01", "2028-12-31", line=9).rows[0], "market": "ANOTHER"})
    kernel, looks = started(kept, other)
    with pytest.raises(EnergyError, match="on any day"):
        looks.ctx.reference.rules.row("limits", market="ANOTHER", on=date(2028, 3, 1))
    assert looks.ctx.reference == reference_from([kept])
    (fault,) = kernel.of(PluginFault)
    assert (fault.name, fault.handler, fault.faults) == ("refdata", "reference", 1)
    assert "caps.toml:3 (limits) and more.toml:3 (limits): both rows" in fault.error
    (alert,) = [alert for alert in kernel.of(Alert) if alert.code == "reference.refused"]
    assert alert.subject == "limits of more.toml"
    assert "2026-06-30" in alert.met


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (ReferenceTable(name="tides", source="a", digest="", rows=[]), "table 'tides' is not known"),
        (limits("2026-02-01", "2026-01-31"), "valid_from 2026-02-01 is after valid_to 2026-01-31"),
        (limits("yesterday", "2026-01-31"), "caps.toml:3 .limits.: "),
        (calendar(closed=["25.12.2026"]), "calendar TEST of a test: .*wanted dates as 2026-12-25"),
        (calendar(early={"2026-12-24": "noon"}), "calendar TEST of a test: .*times as 12:30"),
        (calendar(weekend="1234567"), "calendar 'TEST' has the weekend '1234567'"),
        (calendar(weekend="x"), "calendar 'TEST' has the weekend 'x'"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_value(event: Any, said: str):
    kernel, looks = started(calendar("KEPT"), event)
    assert list(looks.ctx.reference.calendars) == ["KEPT"]
    (fault,) = kernel.of(PluginFault)
    assert fault.error.startswith("EnergyError: ")
    with pytest.raises(EnergyError, match=said):
        reference_from([event])


def test_an_input_from_no_plugin_that_is_refused_raises_the_alert_alone():
    kernel, looks = started()
    kernel.feed(limits("2026-02-01", "2026-01-31"))
    assert kernel.of(PluginFault) == []
    assert [alert.code for alert in kernel.of(Alert)] == ["reference.refused"]
    assert looks.ctx.reference.rules is builtin_rules()


def test_it_survives_a_restart_and_a_catalog_of_before_is_read():
    catalog = Catalog()
    for event in (limits("2026-01-01", "2026-12-31"), calendar()):
        assert (catalog.on_reference_table if isinstance(event, ReferenceTable) else catalog.on_calendar_definition)(
            event  # type: ignore[arg-type]
        ) is None
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(catalog.snapshot()))
    again = Catalog()
    again.restore(state)
    assert again.reference.rules == catalog.reference.rules != builtin_rules()
    assert dict(again.reference.calendars) == dict(catalog.reference.calendars)
    assert again.snapshot() == catalog.snapshot()
    del state["reference"]
    again.restore(state)
    assert again.reference.rules is builtin_rules()


def test_what_an_upgrade_made_impossible_is_told_once_the_session_is_ready():
    catalog = Catalog()
    state = catalog.snapshot()
    bad = limits("2026-02-01", "2026-01-31")
    state["reference"] = [[event.layout.id, event.layout.pack(event)] for event in (bad, calendar())]
    catalog.restore(state)
    assert list(catalog.reference.calendars) == ["TEST"]
    ready = SessionReady(epoch=1)
    assert [alert.code for alert in catalog.on_session_ready(ready)] == ["reference.refused"]
    assert catalog.on_session_ready(ready) == []


def test_what_an_earlier_session_said_holds_until_the_next_has_started_and_gives_way_to_it():
    book = ReferenceBook()
    for event in (limits("2026-01-01", "2026-12-31"), calendar("OLD"), calendar("KEPT")):
        book.take(event)
    book.begin_session()
    assert sorted(book.reference.calendars) == ["KEPT", "OLD"]
    book.take(calendar("KEPT"))
    moved = limits("2026-06-01", "2027-12-31", "9", source="moved.toml")  # as if its rows had moved to another file
    book.take(moved)
    book.end_start()
    assert book.reference == reference_from([calendar("KEPT"), moved])
    with pytest.raises(EnergyError, match="caps.toml:3"):
        book.take(limits("2026-01-01", "2026-12-31"))


def test_what_nobody_says_again_is_forgotten_when_all_have_started():
    book = ReferenceBook()
    book.take(limits("2026-01-01", "2026-12-31"))
    book.begin_session()
    assert book.reference.rules != builtin_rules()
    book.end_start()
    assert book.reference.rules == builtin_rules()


def test_lines_travel_with_a_table():
    row = {"market": MARKET, "price_min": "-1", "price_max": "1"}
    table = Table("limits", "caps.toml", [row, {**row, "market": "B"}], [4, 9])
    event = msgspec.msgpack.decode(msgspec.msgpack.encode(table_event(table)), type=ReferenceTable)
    assert table_from(event) == table
    assert event.digest == table.digest


DAYS = st.integers(0, 40).map(lambda n: date(2026, 1, 1) + timedelta(days=n))
SPANS = st.lists(st.tuples(DAYS, DAYS).map(sorted), max_size=6)


@given(SPANS)
def test_what_is_taken_never_overlaps_and_what_is_refused_changes_nothing(spans: list[list[date]]):
    book = ReferenceBook()
    held: dict[date, int] = {}
    for number, (first, last) in enumerate(spans, 1):
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        event = limits(first.isoformat(), last.isoformat(), str(number), source=f"{number}.toml")
        before = book.reference
        if held.keys() & set(days):
            with pytest.raises(EnergyError, match=f"{number}.toml:3"):
                book.take(event)
            assert book.reference is before
            assert not book.has(event)
        else:
            book.take(event)
            held.update(dict.fromkeys(days, number))
            assert book.has(event)
    for day in [date(2026, 1, 1) + timedelta(days=n) for n in range(41)]:
        rows = book.reference.rules.rows("limits", on=day, market=MARKET)
        assert [int(row.price_max) for row in rows] == ([held[day]] if day in held else [])
