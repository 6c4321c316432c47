"""The messages of `plugin.proto` as classes, made from the descriptor set at import: any protobuf runtime will do.

Generated Python would demand a runtime at least as new as its generator, and environments of plugins differ.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = [
    "FAMILY",
    "METHODS",
    "PACKAGE",
    "PROTOCOL_MAJORS",
    "Batch",
    "ConfigureReply",
    "ConfigureRequest",
    "DescribeReply",
    "DescribeRequest",
    "DrainReply",
    "DrainRequest",
    "Fault",
    "HealthCheckRequest",
    "HealthCheckResponse",
    "Hears",
    "Instance",
    "LogLine",
    "Message",
    "Name",
    "RestoreReply",
    "RestoreRequest",
    "SnapshotReply",
    "SnapshotRequest",
    "StartReply",
    "StartRequest",
    "StopReply",
    "StopRequest",
    "TimerSet",
    "descriptor_set",
    "package_of",
]

Message: TypeAlias = Any
"""A protobuf message; its classes exist at run time only."""

FAMILY = "penstock.plugin"
PACKAGE = f"{FAMILY}.v1"
PROTOCOL_MAJORS = (1,)
"""Majors of the package that hosts and plugins of this SDK speak: the current one, and the one before once there is."""


def package_of(major: int) -> str:
    """Return the package whose service a plugin of a major serves; messages on the wire do not say theirs."""
    return f"{FAMILY}.v{major}"


def descriptor_set() -> bytes:
    """Return the compiled .proto files, for vendors whose tools take a descriptor set."""
    return (Path(__file__).parent / "plugin.binpb").read_bytes()


_POOL = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(descriptor_set()).file:
    _POOL.Add(_file)


def _message(name: str, package: str = PACKAGE) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{package}.{name}"))


Batch = _message("Batch")
Fault = _message("Fault")
Name = _message("Name")
TimerSet = _message("TimerSet")
LogLine = _message("LogLine")
Hears = _message("Hears")
Instance = _message("Instance")
DescribeRequest = _message("DescribeRequest")
DescribeReply = _message("DescribeReply")
ConfigureRequest = _message("ConfigureRequest")
ConfigureReply = _message("ConfigureReply")
StartRequest = _message("StartRequest")
StartReply = _message("StartReply")
DrainRequest = _message("DrainRequest")
DrainReply = _message("DrainReply")
StopRequest = _message("StopRequest")
StopReply = _message("StopReply")
SnapshotRequest = _message("SnapshotRequest")
SnapshotReply = _message("SnapshotReply")
RestoreRequest = _message("RestoreRequest")
RestoreReply = _message("RestoreReply")
HealthCheckRequest = _message("HealthCheckRequest", "grpc.health.v1")
HealthCheckResponse = _message("HealthCheckResponse", "grpc.health.v1")

METHODS: dict[str, tuple[Any, Any]] = {
    "Describe": (DescribeRequest, DescribeReply),
    "Configure": (ConfigureRequest, ConfigureReply),
    "Start": (StartRequest, StartReply),
    "Drain": (DrainRequest, DrainReply),
    "Stop": (StopRequest, StopReply),
    "Snapshot": (SnapshotRequest, SnapshotReply),
    "Restore": (RestoreRequest, RestoreReply),
}
"""Request and reply of each call, by its name; on the framed socket a call is its place in this order, from 1."""
