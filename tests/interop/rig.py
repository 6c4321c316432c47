"""A host for one plugin in another language, under a simulated clock: names, frames, timers, nothing of a kernel."""

from __future__ import annotations

import time
from typing import Any

from penstock_sdk.events import ContractDefinition, IdKind, Interned, Timer, ZoneDefinition
from penstock_sdk.process.flow import Flow, count_records
from penstock_sdk.process.grpc_peer import GrpcPeer
from penstock_sdk.schema import layout_of, schema_by_id
from penstock_sdk.wire.frame import HEADER, HEADER_BYTES, encoder, padded
from penstock_sdk.wire.messages import Batch, ConfigureRequest, DescribeRequest, Instance, Message, StartRequest

__all__ = ["PLUGIN_ID", "START_NS", "Rig", "contract", "frame", "records", "zone"]

PLUGIN_ID = 7
START_NS = 1_790_000_000_000_000_000
HOUR_NS = 3_600_000_000_000
ANSWER_S = 10.0


def frame(event: Any, seq: int, at_ns: int) -> bytes:
    """Return an event as the frame that a kernel would send."""
    return encoder(layout_of(type(event)))(event, seq, at_ns, seq, seq, 1, 0)


def records(frames: bytes) -> list[Any]:
    """Return the records of packed frames."""
    out: list[Any] = []
    at = 0
    while at < len(frames):
        body_bytes, schema_id, _, _, _, _, _, _, count, stride, _ = HEADER.unpack_from(frames, at)
        layout, body = schema_by_id(schema_id), frames[at + HEADER_BYTES : at + HEADER_BYTES + body_bytes]
        if stride:
            out += [layout.unpack(body[i * stride : (i + 1) * stride]) for i in range(count)]
        else:
            out.append(layout.unpack(body))
        at += HEADER_BYTES + padded(body_bytes)
    return out


def zone() -> ZoneDefinition:
    """Return a bidding zone."""
    return ZoneDefinition(zone_id=1, code="DE-LU", timezone="Europe/Berlin", currency="EUR")


def contract(number: int = 1) -> ContractDefinition:
    """Return an hour of power that is delivered some hours after the start."""
    start_ns = START_NS + (4 + number) * HOUR_NS
    return ContractDefinition(
        contract_id=number, name=f"PH{number}", zone_id=1, product="hour", delivery_start_ns=start_ns,
        delivery_end_ns=start_ns + HOUR_NS, currency_id=1,
    )  # fmt: skip


class Rig:
    """One started plugin."""

    def __init__(self, peer: GrpcPeer) -> None:
        self.peer = peer
        self.now_ns, self.seq, self.steps = START_NS, 100, 0
        self.names: dict[tuple[int, str], int] = {}
        self.timers: dict[int, Message] = {}
        self.stream = peer.events()
        self.orders = peer.orders()
        self.flow = Flow()
        self.faults: list[str] = []
        self.asked: list[str] = []
        self.batches: list[Message] = []
        self.stream.send(self.flow.owed())
        self.orders.send(Flow().owed())

    def begin(self, config: str = "{}", *, resumed: bool = False, restore: Message | None = None) -> list[Any]:
        """Describe, configure, start; return what the plugin says at its start."""
        self.described = self.peer.call("Describe", DescribeRequest(majors=[1], host_version="test"))
        instance = Instance(name="far", plugin_id=PLUGIN_ID, book_id=3, trader_id=4, run_seed=42, simulated=True)
        reply = self.peer.call("Configure", ConfigureRequest(config_json=config, instance=instance))
        assert not list(reply.faults), list(reply.faults)
        if restore is not None:
            assert not self.peer.call("Restore", restore).error
        reply = self.peer.call("Start", StartRequest(now_ns=self.now_ns, seq=self.seq, resumed=resumed))
        for timer in reply.timers:
            self.timers[timer.timer_id] = timer
        return self._note(reply.said)

    def step(self, *events: Any) -> list[Any]:
        """Tell events in one step; return what the plugin answers."""
        frames = b""
        for event in events:
            self.seq += 1
            frames += frame(event, self.seq, self.now_ns)
        return self.send(Batch(frames=frames, now_ns=self.now_ns))

    def send(self, batch: Message) -> list[Any]:
        """Send a batch as a step, answer what is asked, and return what comes of it."""
        self.steps += 1
        batch.step = self.steps
        deadline = time.monotonic() + ANSWER_S
        said, sent = None, False
        while said is None:
            if not sent and (not batch.frames or self.flow.room()[0] >= count_records(batch.frames)):
                self.stream.send(self.flow.send(batch, count_records(batch.frames)))
                sent = True
            met = self.stream.receive(0.2)
            if met is None:
                assert time.monotonic() < deadline, (
                    f"no answer to step {batch.step} within {ANSWER_S} s: {self.peer.stderr_lines}"
                )
                continue
            if not self.flow.take(met):
                continue
            self.flow.done()
            self.batches.append(met)
            if met.asks:
                self._answer(met)
            elif met.answers == batch.step:
                said = self._note(met)
        return said

    def advance_to(self, until_ns: int) -> list[Any]:
        """Let timers fire in order until a time; return what was said."""
        said: list[Any] = []
        while due := [timer for timer in self.timers.values() if timer.due_ns <= until_ns]:
            timer = min(due, key=lambda each: (each.due_ns, each.timer_id))
            del self.timers[timer.timer_id]
            self.now_ns = timer.due_ns
            said += self.step(Timer(PLUGIN_ID, timer.timer_id, timer.due_ns, timer.tag, 1))
        self.now_ns = until_ns
        return said

    def _answer(self, met: Message) -> None:
        frames = b""
        for name in met.asks:
            self.asked.append(name.name)
            given = self.names.setdefault((name.kind, name.name), 1 + sum(kind == name.kind for kind, _ in self.names))
            self.seq += 1
            told = Interned(kind=IdKind(name.kind), id=given, name=name.name)
            frames += frame(told, self.seq, self.now_ns)
        self.stream.send(self.flow.send(Batch(frames=frames, answers=met.number), len(met.asks)))

    def _note(self, said: Message) -> list[Any]:
        self.faults += [f"{fault.handler}: {fault.error}" for fault in said.faults]
        for timer in said.timers:
            self.timers[timer.timer_id] = timer
        for timer_id in said.timers_forgotten:
            self.timers.pop(timer_id, None)
        return records(said.frames)
