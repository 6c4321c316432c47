"""Prints the folder of a language: `python -m penstock_sdk.languages go`."""

import sys

from penstock_sdk.languages import LANGUAGES, folder

if __name__ == "__main__":
    try:
        print(folder(sys.argv[1] if len(sys.argv) == 2 else ""))
    except ValueError:
        sys.exit(f"usage: python -m penstock_sdk.languages {'|'.join(LANGUAGES)}")
