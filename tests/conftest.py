"""What the end-to-end tests share lies in `support`; it is put where they and their child processes can import it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent / "support"))
