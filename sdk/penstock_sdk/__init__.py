"""The Penstock SDK: what a plugin author imports."""

from __future__ import annotations

__version__ = "0.5.0"
