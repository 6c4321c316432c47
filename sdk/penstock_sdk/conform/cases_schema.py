"""Records: what it says is what schemas say; what it hears may be odd, long, many, or of a later version."""

from __future__ import annotations

from typing import Any

from penstock_sdk.conform.cases import CHECKS, TRADERS, case, fail, skip
from penstock_sdk.conform.frames import raw_frame, records_frame
from penstock_sdk.conform.host import Rig
from penstock_sdk.conform.kit import Kit, first_difference, transcript
from penstock_sdk.events import (
    BookLevel,
    BookPriceDelta,
    CheckVerdict,
    ExecutionReport,
    Interned,
    ListingDefinition,
    Observation,
    OperatorCommand,
    OrderIntent,
    PluginState,
    Quote,
    Reconciled,
    RunEnd,
    RunHeader,
    SessionReady,
    Trade,
)
from penstock_sdk.process.peer import PeerError, PeerGone
from penstock_sdk.schema import ABSENT, Layout, layouts
from penstock_sdk.wire.messages import Batch

__all__: list[str] = []

_KERNELS_OWN = (OperatorCommand, RunHeader, PluginState, Interned, RunEnd, SessionReady)
_ONLY: dict[type[Any], tuple[str, ...]] = {
    ExecutionReport: ("venue",), Reconciled: ("venue",), CheckVerdict: CHECKS, OrderIntent: TRADERS,
}  # fmt: skip


def _packed(rig: Rig) -> list[Layout]:
    """Return the layouts of the packed records that it hears, of Penstock's own."""
    heard = [layout for layout in layouts() if layout.id in rig.hears and layout.id < 32_768]
    return [layout for layout in heard if layout.packed and not layout.topic.startswith(("control.", "order."))]


def _odd(kit: Kit, **values: Any) -> Rig:
    """Tell a running plugin quotes, trades, books and data with these values, each on its own; return it."""
    rig = kit.started()
    listings = sorted(rig.world.listings) or [1]
    for cls in (Quote, Trade, BookLevel, BookPriceDelta, Observation):
        names = set(cls.__struct_fields__)
        taken = {key: value for key, value in values.items() if key in names}
        if not taken:
            continue
        first = "listing_id" if "listing_id" in names else "series_id"
        about = listings[0] if first == "listing_id" else rig.world.series_id
        _step(rig, cls(**{first: about, **taken}))
    return rig


def _step(rig: Rig, *events: Any, frames: tuple[bytes, int] | None = None) -> list[str]:
    """Return the faults of a step that it must survive."""
    if frames is None and not any(map(rig.wants, events)):
        return []
    try:
        return rig.step_frames(*frames).faults if frames is not None else rig.step(*events).faults
    except PeerError as error:
        fail(f"no answer, but: {error}")


def _unharmed(rig: Rig, what: str) -> None:
    if rig.faults:
        fail(f"faults for {what}: {rig.faults[:3]}")


@case(
    "schema.said",
    "What it says are whole frames of known schemas, with the right stride and count.",
    wanted="frames that any reader of the schemas can read",
    way_out="use the generated writers; count × stride is the body's length, and a frame is padded to 8 bytes",
)
def _said(kit: Kit) -> None:
    rig = kit.started()
    kit.afternoon(rig)
    if rig.misfits:
        fail(rig.misfits[0])


@case(
    "schema.rights",
    "It says only what a plugin of its kind may say.",
    wanted="no commands, names or states of the kernel's; reports from venues, verdicts from checks, intents from "
    "strategies and execution alone",
    way_out="leave out what others say; the kernel drops it and raises an alert",
)
def _rights(kit: Kit) -> None:
    rig = kit.started()
    kit.afternoon(rig)
    for each in rig.said:
        cls = type(each.record)
        if cls in _KERNELS_OWN or kit.kind not in _ONLY.get(cls, (kit.kind,)):
            fail(f"{cls.__name__} from a plugin of kind {kit.kind}")


@case(
    "schema.unknown",
    "A frame of a schema that it does not know is passed over; what follows it is handled.",
    wanted="an answer to the step, and to the next",
    way_out="step over `body_bytes`, padded to 8, where you do not know `schema_id`",
)
def _unknown(kit: Kit) -> None:
    rig = kit.started()
    frames, count = rig.pack(kit.moment(rig, 0))
    odd = raw_frame(31_999, b"what is this?", at_ns=rig.now_ns) + raw_frame(31_998, bytes(32), count=2, stride=16)
    _step(rig, frames=(odd + frames, count + 3))
    _step(rig, *kit.moment(rig, 1))


@case(
    "schema.longer",
    "Fields that a later version appended are stepped over.",
    wanted="the same answers as to records without them",
    way_out="step by the header's `stride`, not by the length that you know",
    deterministic=True,
)
def _longer(kit: Kit) -> None:
    said = []
    for more in (b"", b"\xee" * 16):
        rig = kit.started()
        kit.afternoon(rig, tell=lambda *events, rig=rig, more=more: rig.step(*events, more=more))
        said.append(transcript(rig))
    kit.alike(first_difference(*said))


def _refused_frame(kit: Kit, frame_of: Any, what: str) -> None:
    rig = kit.started()
    layouts = _packed(rig)
    if not layouts:
        skip("it hears no packed records of the market or of data")
    frame = frame_of(layouts[0])
    said = len(rig.said)
    rig.steps += 1
    ended = ""
    try:
        rig.send(Batch(frames=frame, step=rig.steps, now_ns=rig.now_ns), 1)
        rig.await_answer(rig.steps)
    except PeerGone as error:
        ended = str(error)
    except PeerError as error:
        ended = str(error)
        if "answered within" in ended:
            fail(f"{what} was met with silence")
    if not ended and (len(rig.said) > said or not rig.faults):
        fail(f"{what} was handled without a word")
    if not rig.peer.healthy(kit.patience.answer_s):
        fail(f"{what} ended the process")


@case(
    "schema.shorter",
    "Records too short to be of any version are refused, and the process lives.",
    wanted="a fault, or the end of the stream with an error; health afterwards",
    way_out="compare `stride` with what you need at least before you read a record; an older host's may be shorter "
    "than yours by fields that were appended since",
)
def _shorter(kit: Kit) -> None:
    _refused_frame(
        kit,
        lambda layout: raw_frame(layout.id, b"\x01\x02", count=1, stride=2),
        "a stride of 2 bytes",
    )


@case(
    "schema.count",
    "A frame whose count does not fit its body is refused, and the process lives.",
    wanted="a fault, or the end of the stream with an error; health afterwards",
    way_out="compare count × stride with `body_bytes` before you read records",
)
def _count(kit: Kit) -> None:
    _refused_frame(
        kit,
        lambda layout: raw_frame(layout.id, bytes(layout.size), count=3, stride=layout.size),
        "a count of 3 with a body of 1",
    )


@case(
    "schema.many",
    "4,096 records in one frame are handled.",
    wanted="an answer without a fault",
    way_out="take frames of up to 4,096 records",
)
def _many(kit: Kit) -> None:
    rig = kit.started()
    quotes = [q for q in rig.world.moment(0, rig.now_ns) if isinstance(q, Quote)] or [Quote(1)]
    trades = [t for t in rig.world.moment(0, rig.now_ns) if isinstance(t, Trade)] or [Trade(1)]
    for records in ((quotes * 4_096)[:4_096], trades * 4_096):
        if rig.wants(records[0]):
            _step(rig, frames=(records_frame(records, rig._next_seq(4_096), rig.now_ns), 4_096))
    _unharmed(rig, "4,096 records")


@case(
    "schema.one_or_many",
    "Whether records come one by one or in one frame makes no difference to a plugin that is told nothing between.",
    wanted="the same state of the market known: no fault either way",
    way_out="handle each record of a frame as if it had come alone",
)
def _one_or_many(kit: Kit) -> None:
    for split in (True, False):
        rig = kit.started()
        for at in range(4):
            quotes = [q for q in rig.world.moment(at, rig.now_ns) if isinstance(q, Quote) and rig.wants(q)]
            if not quotes:
                skip("it hears no quotes")
            if split:
                for quote in quotes:
                    _step(rig, quote)
            else:
                _step(rig, frames=(records_frame(quotes, rig._next_seq(len(quotes)), rig.now_ns), len(quotes)))
        _unharmed(rig, "quotes one by one" if split else "a frame of quotes")


@case(
    "schema.unknown_enum",
    "A value that an enumeration does not have yet is no reason to fail.",
    wanted="an answer without a fault",
    way_out="treat values that you do not know like 0, unknown",
)
def _unknown_enum(kit: Kit) -> None:
    _unharmed(
        _odd(
            kit, tradability=200, aggressor=201, side=202, action=203, clock=204, place=3, price_ticks=5_000, value=1.0
        ),
        "unknown values of enumerations",
    )


@case(
    "schema.absent",
    "Prices that are not there are no reason to fail.",
    wanted="an answer without a fault to −2⁶³ in every price",
    way_out="compare prices with ABSENT (−2⁶³) before you calculate with them",
)
def _absent(kit: Kit) -> None:
    _unharmed(
        _odd(kit, bid_ticks=ABSENT, ask_ticks=ABSENT, price_ticks=ABSENT, value=0.0, known_at_ns=ABSENT),
        "absent prices",
    )


@case(
    "schema.negative",
    "Prices below zero are prices.",
    wanted="an answer without a fault",
    way_out="do not take a price below zero for a mistake: power has them",
)
def _negative(kit: Kit) -> None:
    rig = _odd(
        kit, bid_ticks=-50_000, bid_lots=10, ask_ticks=-49_000, ask_lots=10, price_ticks=-49_500, qty_lots=5,
        side=1, action=1, tradability=1, value=-500.0,
    )  # fmt: skip
    _unharmed(rig, "negative prices")


@case(
    "schema.extremes",
    "The largest and smallest numbers of a field end neither the process nor the stream.",
    wanted="an answer, with a fault or without",
    way_out="check what overflows, and use integers of 64 bits",
)
def _extremes(kit: Kit) -> None:
    for ticks in (2**63 - 1, -(2**63) + 1):
        _odd(
            kit, bid_ticks=ticks, bid_lots=2**63 - 1, ask_ticks=ticks, ask_lots=2**63 - 1, price_ticks=ticks,
            qty_lots=2**63 - 1, value=1e308,
        )  # fmt: skip


@case(
    "schema.no_number",
    "A value that is no number ends neither the process nor the stream.",
    wanted="an answer to NaN and infinity in an Observation",
    way_out="test values with isfinite before you calculate with them",
)
def _no_number(kit: Kit) -> None:
    rig = kit.started()
    if Observation.layout.id not in rig.hears:
        skip("it hears no observations")
    for value in (float("nan"), float("inf"), float("-inf")):
        _step(rig, Observation(rig.world.series_id, rig.world.unit_id, known_at_ns=rig.now_ns, value=value))


@case(
    "schema.unknown_listing",
    "Market data of a listing that nobody defined is no reason to fail.",
    wanted="an answer without a fault",
    way_out="look a listing up before you use it, and pass over what is not known",
)
def _unknown_listing(kit: Kit) -> None:
    rig = kit.started()
    _step(rig, Quote(999_999, 1, 1, 0, 100, 1, 200, 1, rig.now_ns), Trade(999_999, 1, 1, 0, 150, 1, 1, rig.now_ns))
    _unharmed(rig, "an unknown listing")


@case(
    "schema.listing_again",
    "A definition that is told again is taken as the same.",
    wanted="an answer without a fault",
    way_out="key definitions by their id",
)
def _listing_again(kit: Kit) -> None:
    rig = kit.started()
    again: list[Any] = [*rig.world.zones.values(), *rig.world.contracts.values(), *rig.world.listings.values()]
    if kit.kind == "venue":
        again = [each for each in again if isinstance(each, ListingDefinition)] or again[:1]
    _step(rig, *again)
    _unharmed(rig, "definitions told again")
