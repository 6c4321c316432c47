"""A feed that plays a capture file: frames as they were recorded, at the times they were recorded.

With ``[topics."market.*"] durability = "reference"`` the journal keeps file, offset and digest in place of the data,
and a replay reads the same file again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from penstock_sdk.plugin import Feed, Outcome
from penstock_sdk.schema import Event, Frame, schema_by_id
from penstock_sdk.wire.capture import CaptureReader

__all__ = ["Capture", "CaptureConfig"]


class CaptureConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which file, and when it is played."""

    path: str = ""
    """The capture file."""
    shift_ns: int = 0
    """Added to every time in the file, so that an old capture plays on another day."""


class Capture(Feed):
    """Frames of a capture file, in its order."""

    Config = CaptureConfig
    config: CaptureConfig

    def on_start(self) -> Outcome:
        """Open the file, so that one that is missing or no capture stops the run before it begins."""
        if not self.config.path:
            raise ValueError('capture met no path; set [plugins.NAME.config] path = "…"')
        CaptureReader(self.config.path)
        return None

    def events(self) -> Iterator[tuple[int, Event]]:
        """Yield the frames; each knows where it stands in the file.

        Raises:
            CaptureError: the file is cut or changed; names file and offset.
        """
        file = str(Path(self.config.path).resolve())
        offset = HEAD_BYTES
        for view in CaptureReader(file).frames():
            layout = schema_by_id(view.schema_id)
            at_ns = view.at_ns + self.config.shift_ns
            if layout.packed:
                frame = Frame.from_body(layout, bytes(view.body), view.stride)
                frame.kept_at = (file, offset)
                yield at_ns, frame
            else:
                yield at_ns, layout.unpack(bytes(view.body))
            offset += len(view.raw)


HEAD_BYTES = 64
"""Where the first frame begins."""
