"""Handshake: what a plugin says it is, and to whom."""

from __future__ import annotations

from penstock_sdk.conform.cases import case, fail
from penstock_sdk.conform.kit import Kit
from penstock_sdk.schema import USER_IDS, SchemaError, schema_by_id
from penstock_sdk.wire.messages import PROTOCOL_MAJORS, DescribeRequest

__all__: list[str] = []


@case(
    "handshake.describe",
    "Describe is answered before anything else is asked, with id and version.",
    wanted="an id of a-z, 0-9 and _, and a version",
    way_out="fill in `id` and `version` of DescribeReply, as the manifest has them",
)
def _describe(kit: Kit) -> None:
    reply = kit.connected().describe()
    if not reply.id.isidentifier() or reply.id != reply.id.lower() or not reply.version:
        fail(f"id {reply.id!r}, version {reply.version!r}")


@case(
    "handshake.kind",
    "The plugin is of the kind that it is tested as.",
    wanted="the kind that was given with --kind",
    way_out="fill in `kind` of DescribeReply, or name the right kind",
)
def _kind(kit: Kit) -> None:
    reply = kit.connected().describe()
    if reply.kind != kit.kind:
        fail(f"kind {reply.kind!r}, tested as {kit.kind!r}")


@case(
    "handshake.contract",
    "It speaks a major of its kind's contract that hosts of today serve.",
    wanted="contract_min … contract_max around 1",
    way_out="fill in `contract_min` and `contract_max` of DescribeReply",
)
def _contract(kit: Kit) -> None:
    reply = kit.connected().describe()
    if not 1 <= reply.contract_min <= 1 <= reply.contract_max:
        fail(f"contract_min {reply.contract_min}, contract_max {reply.contract_max}")


@case(
    "handshake.describe_again",
    "Describe may be asked again, also of a running plugin, and says the same.",
    wanted="the same DescribeReply each time",
    way_out="answer Describe from constants; it must change nothing",
)
def _again(kit: Kit) -> None:
    rig = kit.connected()
    first = rig.describe()
    second = rig.describe()
    if first != second:
        fail("two different answers in a row")
    rig.configure(__import__("json").dumps(kit.config))
    rig.start()
    if rig.describe() != first:
        fail("another answer once it runs")


@case(
    "handshake.unknown_major",
    "A host that speaks only majors which the plugin does not know is refused in words.",
    wanted="an error of the call Describe that names the majors of both sides",
    way_out="compare `majors` of DescribeRequest with your own, and refuse where none is shared",
)
def _unknown_major(kit: Kit) -> None:
    rig = kit.connected()
    if not kit.call_refused(lambda: rig.describe(majors=[max(PROTOCOL_MAJORS) + 98])):
        fail("majors [99] were served")
    rig.describe()


@case(
    "handshake.newer_host",
    "A host that speaks a later major besides one that the plugin knows is served.",
    wanted="an answer to majors [99, 1]",
    way_out="look for one shared major, not for equality",
)
def _newer_host(kit: Kit) -> None:
    if why := kit.call_refused(lambda: kit.connected().describe(majors=[99, *PROTOCOL_MAJORS])):
        fail(f"majors [99, 1] were refused: {why}")


@case(
    "handshake.later_fields",
    "A request with fields of a later version is served; they are passed over.",
    wanted="an answer as if they were not there",
    way_out="read messages with a protobuf runtime, which keeps or drops fields that it does not know",
)
def _later_fields(kit: Kit) -> None:
    rig = kit.connected()
    plain = rig.describe()
    later = DescribeRequest.FromString(
        DescribeRequest(majors=PROTOCOL_MAJORS).SerializeToString() + b"\xfa\x3f\x05later"  # field 1023, text
    )
    met = rig.peer.call("Describe", later, kit.patience.answer_s)
    if met.id != plain.id:
        fail(f"another answer: {met.id!r}")


@case(
    "handshake.hears",
    "What it hears is listed once each, by ids and names that exist.",
    wanted="ids of Penstock's schemas with their names, or of its own (32,768 and above)",
    way_out="list what your handlers take in `hears`: id, highest version known, name",
)
def _hears(kit: Kit) -> None:
    reply = kit.connected().describe()
    ids = [each.schema_id for each in reply.hears]
    if len(ids) != len(set(ids)):
        fail(f"{sorted(i for i in set(ids) if ids.count(i) > 1)} more than once")
    for each in reply.hears:
        try:
            layout = schema_by_id(each.schema_id)
        except SchemaError:
            if each.schema_id not in USER_IDS:
                fail(f"schema {each.schema_id} {each.name!r}, which does not exist")
            continue
        if each.name and each.name != layout.name:
            fail(f"schema {each.schema_id} called {each.name!r}, it is {layout.name}")


@case(
    "handshake.incarnation",
    "Every start of the plugin has an incarnation of its own.",
    wanted="two different texts from two starts",
    way_out="fill in `incarnation` with something new at each start, as the process id and the time",
    process=True,
)
def _incarnation(kit: Kit) -> None:
    first = kit.connected().describe().incarnation
    second = kit.connected().describe().incarnation
    if not first or first == second:
        fail(f"{first!r}, then {second!r}")


@case(
    "handshake.healthy",
    "It says that it serves when it is asked for its health.",
    wanted="SERVING, before Configure and while it runs",
    way_out='serve grpc.health.v1 for the service "plugin"',
)
def _healthy(kit: Kit) -> None:
    if not kit.connected().peer.healthy(kit.patience.answer_s):
        fail("not healthy after the connection was made")
    if not kit.started().peer.healthy(kit.patience.answer_s):
        fail("not healthy while it runs")
