"""Streams: numbers, acknowledgement and credit, in both directions."""

from __future__ import annotations

import time
from typing import Any

from penstock_sdk.conform.cases import case, fail, skip
from penstock_sdk.conform.host import Rig
from penstock_sdk.conform.kit import Kit
from penstock_sdk.events import Quote, Timer
from penstock_sdk.process.envelope import Lane
from penstock_sdk.process.peer import PeerError, PeerTimeout
from penstock_sdk.schema import layout_of, layouts
from penstock_sdk.wire.messages import Batch, Message

__all__: list[str] = []

_CREDIT_MAX = 262_144


def _ended(rig: Rig, unless: int = 0) -> bool:
    """Return whether the stream ends, or breaks, in time; False at once when the step *unless* is answered."""
    until = time.monotonic() + rig.patience.answer_s
    while time.monotonic() < until:
        try:
            rig.pump(0.05)
        except PeerError:
            return True
        if unless and unless in rig.answers:
            return False
    return False


def _batch(rig: Rig, step: int, ahead: int) -> Message:
    frames, _ = rig.pack(rig.world.moment(0, rig.now_ns))
    return Batch(number=rig.sides[Lane.EVENTS].sent + ahead, step=step, frames=frames, now_ns=rig.now_ns)


def _refused_number(kit: Kit, numbers: tuple[int, ...]) -> None:
    """Send batches so far ahead of what is due, and see that the first is refused and not handled."""
    rig = kit.started()
    steps = [9_000 + ahead for ahead in numbers]
    try:
        for step, ahead in zip(steps, numbers, strict=True):
            batch = _batch(rig, step, ahead)
            rig.send_as_is(batch, len(rig.pack(rig.world.moment(0, rig.now_ns))[0]) // 48)
    except PeerError:
        return
    if not _ended(rig, steps[0]):
        fail(f"batch {numbers[0]} ahead was " + ("answered" if steps[0] in rig.answers else "passed over in silence"))
    if any(step in rig.answers for step in steps):
        fail("the stream ended, but a batch after the gap was answered")


@case(
    "stream.answered_once",
    "Each step is answered exactly once, and in order.",
    wanted="one batch with `answers` of each step's value, in the order of the steps",
    way_out="after handling a batch with `step` above 0, send one batch with `answers` = `step`, also when there is "
    "nothing to say",
)
def _answered_once(kit: Kit) -> None:
    rig = kit.started()
    kit.afternoon(rig, moments=6)
    rig.quiet()
    for step in range(1, rig.steps + 1):
        if len(rig.answers.get(step, ())) != 1:
            fail(f"step {step} was answered {len(rig.answers.get(step, ()))} times")
    if list(rig.answers) != sorted(rig.answers):
        fail(f"steps were answered in the order {list(rig.answers)[:10]} …")


@case(
    "stream.empty_batch",
    "A step without events is answered, without a fault.",
    wanted="an answer without frames that nothing caused",
    way_out="let a batch without frames pass through your loop like any other",
)
def _empty(kit: Kit) -> None:
    answer = kit.started().step_frames(b"", 0)
    if answer.faults:
        fail(f"faults {answer.faults}")


@case(
    "stream.resent",
    "A batch that comes twice is handled once.",
    wanted="one answer, and the next step answered",
    way_out="keep the number of the last batch that you handled, and pass over what is not above it",
)
def _resent(kit: Kit) -> None:
    rig = kit.started()
    frames, count = rig.pack(kit.moment(rig, 0))
    rig.steps += 1
    batch = Batch(frames=frames, step=rig.steps, now_ns=rig.now_ns)
    rig.send(batch, count)
    rig.await_answer(rig.steps)
    said, again = len(rig.said), Batch()
    again.CopyFrom(batch)
    rig.sides[Lane.EVENTS].stream.send(again)
    rig.quiet()
    if len(rig.answers[rig.steps]) > 1 or len(rig.said) > said:
        fail(f"batch {batch.number} was handled again: {len(rig.said) - said} records more")
    rig.step()


@case(
    "stream.old_number",
    "A batch with a number from long before is passed over, and the stream goes on.",
    wanted="no answer to it, and the next step answered",
    way_out="pass over every number that is not above the last one handled",
)
def _old_number(kit: Kit) -> None:
    rig = kit.started()
    for _ in range(3):
        rig.step()
    rig.sides[Lane.EVENTS].stream.send(Batch(number=1, step=9_000, now_ns=rig.now_ns))
    rig.step()
    if 9_000 in rig.answers:
        fail("batch 1 was handled again, with another step in it")


@case(
    "stream.gap",
    "A number that skips one is an error of the stream, and is not handled.",
    wanted="the stream to end with an error, and no answer",
    way_out="compare each number with the last one plus one, and end the stream where it is higher",
)
def _gap(kit: Kit) -> None:
    _refused_number(kit, (2,))


@case(
    "stream.reordered",
    "Of two batches in the wrong order the later one is not handled first.",
    wanted="the stream to end with an error",
    way_out="never handle a batch before the one that precedes it by number",
)
def _reordered(kit: Kit) -> None:
    _refused_number(kit, (2, 1))


@case(
    "stream.number_zero",
    "A batch of number 0 only acknowledges and grants: it is neither handled nor counted.",
    wanted="no answer to it, and the next step answered",
    way_out="look at `number` before anything else in a batch but `acked` and the credits",
)
def _number_zero(kit: Kit) -> None:
    rig = kit.started()
    handled = rig.sides[Lane.EVENTS]
    rig.step()
    rig.grant()
    rig.grant()
    rig.quiet()
    if handled.acked > handled.sent:
        fail(f"acknowledged {handled.acked}, {handled.sent} were sent: it counts batches of number 0")
    try:
        rig.step()
    except PeerTimeout as error:
        fail(f"after two of them {error}")
    except PeerError as error:
        fail(f"after two of them the stream ended: {error}")


@case(
    "stream.acknowledged",
    "What was handled is acknowledged, also when there is nothing to say.",
    wanted="`acked` to reach the last number",
    way_out="put the last number handled into `acked` of every batch, and send one of number 0 when idle",
)
def _acknowledged(kit: Kit) -> None:
    rig = kit.started()
    for _ in range(5):
        rig.step()
    side = rig.sides[Lane.EVENTS]
    until = time.monotonic() + kit.patience.answer_s
    while side.acked < side.sent and time.monotonic() < until:
        rig.pump(0.05)
    if side.acked != side.sent:
        fail(f"acknowledged {side.acked} of {side.sent}")


@case(
    "stream.grants",
    "It grants credit on both streams before anything is sent to it.",
    wanted="credit_events and credit_bytes above 0 on Events and on Orders",
    way_out="send a batch of number 0 with both credits as soon as a stream is opened",
)
def _grants(kit: Kit) -> None:
    rig = kit.configured()
    until = time.monotonic() + kit.patience.answer_s
    while time.monotonic() < until and not all(s.may_records and s.may_bytes for s in rig.sides.values()):
        rig.pump(0.05)
    for lane, side in rig.sides.items():
        if not side.may_records or not side.may_bytes:
            fail(f"{side.may_records} records and {side.may_bytes} bytes on {Lane(lane).name}")


def _bulk(rig: Rig, records: int) -> tuple[bytes, int]:
    """Return frames of market data with so many records: of a schema that it hears where there is one."""
    from penstock_sdk.conform.frames import raw_frame

    heard = [each for each in layouts() if each.id in rig.hears and each.id < 20 and each.packed]
    layout = heard[0] if heard else layout_of(Quote)
    # Each about something else, so that nothing piles up in a plugin that keeps a history of each.
    whole = b"".join((100_000 + at).to_bytes(4, "little") + bytes(layout.size - 4) for at in range(4_096))
    frames = []
    for begin in range(0, records, 4_096):
        count = min(4_096, records - begin)
        frames.append(
            raw_frame(
                layout.id,
                whole[: layout.size * count],
                count=count,
                stride=layout.size,
                seq=rig._next_seq(count),
                at_ns=rig.now_ns,
            )
        )
    return b"".join(frames), records


@case(
    "stream.renews",
    "Credit is renewed as batches are handled, so that a host can go on for ever.",
    wanted="room for twice as much as was granted at first",
    way_out="raise both credits by what you have handled, at the latest when half of them is used",
)
def _renews(kit: Kit) -> None:
    rig = kit.started()
    side = rig.sides[Lane.EVENTS]
    first = side.may_records
    if first > _CREDIT_MAX:
        skip(f"it grants {first} records at first, more than the kit sends")
    frames, count = _bulk(rig, min(4_096, first))
    sent = 0
    while sent <= 2 * first:
        try:
            rig.step_frames(frames, count, hearing=True)
        except PeerTimeout as error:
            fail(f"after {sent} records {error}")
        sent += count


@case(
    "stream.host_over_credit",
    "A host that sends more than was granted is refused.",
    wanted="the stream to end with an error, and no answer",
    way_out="count the records and bytes that came against what you granted",
)
def _host_over_credit(kit: Kit) -> None:
    rig = kit.started()
    side = rig.sides[Lane.EVENTS]
    room = side.may_records - side.sent_records
    if room > _CREDIT_MAX:
        skip(f"it grants {room} records, more than the kit sends at once")
    frames, count = _bulk(rig, side.may_records + 1)
    batch = Batch(number=side.sent + 1, step=9_000, frames=frames, now_ns=rig.now_ns, hearing=True)
    try:
        rig.send_as_is(batch, count)
    except PeerError:
        return
    if not _ended(rig, 9_000):
        fail(f"{count} records with room for {room} were {'handled' if 9_000 in rig.answers else 'passed over'}")


def _held(kit: Kit) -> tuple[Rig, list[int]]:
    """Return a plugin that has something to say and no credit, with the step that it does not answer for that."""
    rig = kit.configured(credit=(0, 0))
    said = rig.start(echo=False).records
    for record in said:
        rig.world.hear(record)
    opening: list[Any] = [*said, *rig.world.opening(rig.now_ns)]
    for at in range(48):
        rig.now_ns += 30_000_000_000
        due = sorted((each for each in rig.timers.values() if each.due_ns <= rig.now_ns), key=lambda each: each.due_ns)
        fired = [Timer(rig.instance["plugin_id"], each.timer_id, each.due_ns, each.tag, 1) for each in due]
        for each in due:
            del rig.timers[each.timer_id]
        rig.steps += 1
        frames, count = rig.pack([*opening, *fired, *kit.moment(rig, at)])
        opening = []
        rig.send(Batch(frames=frames, step=rig.steps, now_ns=rig.now_ns), count)
        until = time.monotonic() + kit.patience.quiet_s
        while rig.steps not in rig.answers and time.monotonic() < until:
            rig.pump(0.02)
        over = [each for each in rig.breaches if "were granted" in each]
        if over:
            fail(over[0])
        if rig.steps not in rig.answers:
            return rig, [rig.steps]
    return skip("it says nothing of the kit's afternoon, so there is nothing to hold back")


def _let_go(rig: Rig) -> None:
    rig.credit = (65_536, 16 << 20)
    rig.grant(Lane.EVENTS)
    rig.grant(Lane.ORDERS)


@case(
    "stream.over_credit",
    "It sends no more than the host has granted.",
    wanted="silence while there is no credit, and the answer once there is",
    way_out="count what you send against `credit_events` and `credit_bytes`, and wait where they are used up",
)
def _over_credit(kit: Kit) -> None:
    rig, steps = _held(kit)
    _let_go(rig)
    try:
        rig.await_answer(steps[0])
    except PeerTimeout as error:
        fail(f"with credit again {error}")


@case(
    "stream.slow_host",
    "What a slow host did not take yet is neither lost nor reordered.",
    wanted="every step answered in order once there is credit again",
    way_out="keep what you have to say in a queue until there is credit for it",
)
def _slow_host(kit: Kit) -> None:
    rig, steps = _held(kit)
    for at in range(5):
        rig.steps += 1
        frames, count = rig.pack(kit.moment(rig, 48 + at))
        rig.send(Batch(frames=frames, step=rig.steps, now_ns=rig.now_ns), count)
        steps.append(rig.steps)
    _let_go(rig)
    for step in steps:
        try:
            rig.await_answer(step)
        except PeerTimeout as error:
            fail(str(error))
    met = [step for step in rig.answers if step in steps]
    if met != steps:
        fail(f"answers to steps {met}, told {steps}")


@case(
    "stream.numbers",
    "Its own batches are numbered from 1 without a gap, acknowledge only what was sent, and keep to their credit.",
    wanted="numbers 1, 2, 3 … on each stream",
    way_out="number the batches of each stream by themselves; acknowledgements alone bear number 0",
)
def _numbers(kit: Kit) -> None:
    rig = kit.started()
    kit.afternoon(rig)
    rig.quiet()
    if rig.breaches:
        fail(rig.breaches[0])


@case(
    "stream.asks",
    "Names that it wants ids for are names, of kinds that exist.",
    wanted="an IdKind of 1 to 15 and a text",
    way_out="fill in `kind` and `name` of each ask",
)
def _asks(kit: Kit) -> None:
    rig = kit.started()
    kit.afternoon(rig, moments=4)
    asks: list[Any] = [ask for _, batch in rig.batches for ask in batch.asks]
    if not asks:
        skip("it asks for no names")
    for ask in asks:
        if not 1 <= ask.kind <= 15 or not ask.name:
            fail(f"kind {ask.kind}, name {ask.name!r}")


@case(
    "flood.answered",
    "A flood of 49,152 records is taken, and everything is answered.",
    wanted="an answer to each of 48 steps of 1,024 records",
    way_out="take whole frames where your language is slow, and grant no more than you can hold",
)
def _flood(kit: Kit) -> None:
    rig = kit.started()
    frames, count = _bulk(rig, 1_024)
    for _ in range(48):
        rig.steps += 1
        rig.send(Batch(frames=frames, step=rig.steps, now_ns=rig.now_ns, hearing=True), count)
    rig.await_answer(rig.steps)
    missing = [step for step in range(1, rig.steps + 1) if step not in rig.answers]
    if missing:
        fail(f"{len(missing)} steps without an answer")


@case(
    "flood.calls",
    "While it is flooded, calls are answered.",
    wanted="an answer to Describe with 32 batches of 1,024 records waiting",
    way_out="serve calls from another thread than batches, or between two of them",
)
def _flood_calls(kit: Kit) -> None:
    rig = kit.started()
    frames, count = _bulk(rig, 1_024)
    for _ in range(32):
        rig.steps += 1
        rig.send(Batch(frames=frames, step=rig.steps, now_ns=rig.now_ns, hearing=True), count)
    try:
        rig.describe()
    except PeerError as error:
        fail(str(error))
    rig.await_answer(rig.steps)
