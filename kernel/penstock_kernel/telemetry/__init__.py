"""What a running kernel says of itself to other processes: metrics, spans, logs.

The kernel counts in plain integers and copies them to a file a few times a second; all else happens in processes that
read that file, the journal and the log. `render` is what ``/metrics`` answers.
"""

from __future__ import annotations

from penstock_kernel.telemetry.prometheus import CONTENT_TYPE, render

__all__ = ["CONTENT_TYPE", "render"]
