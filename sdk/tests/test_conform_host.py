"""The kit's host tells a plugin's own records again as they came, though it cannot read them."""

from __future__ import annotations

from typing import Any

from penstock_sdk.conform.frames import OwnBody, raw_frame, read_frames
from penstock_sdk.conform.host import Patience, Rig
from penstock_sdk.conform.world import World
from penstock_sdk.wire.frame import HEADER_BYTES

OWN_ID = 60_123


def test_a_frame_of_an_own_schema_is_told_again_byte_for_byte() -> None:
    peer: Any = None  # nothing is sent
    rig = Rig(peer, World(venue=True), Patience(), opened=False)
    frame = raw_frame(OWN_ID, b"abcdefghijklmnop", count=2, stride=8, version=3)
    ((header, body),) = read_frames(frame)
    assert isinstance(body, OwnBody)
    assert rig.pack([body]) == (b"", 0)  # it does not hear it
    rig.hears = {OWN_ID}
    again, count = rig.pack([body])
    ((told, told_body),) = read_frames(again)
    assert header is not None
    assert told is not None
    assert (count, again[HEADER_BYTES:], told_body) == (2, frame[HEADER_BYTES:], body)
    assert (told.schema_id, told.version, told.count, told.stride) == (OWN_ID, 3, 2, 8)
