"""Writes the files: `python -m tools.readers [--check]`."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
