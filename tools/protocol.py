"""Compile the messages between plugins and hosts to `plugin.binpb`, a descriptor set that any protobuf runtime reads.

python tools/protocol.py           write it
python tools/protocol.py --check   fail where it is not what the .proto files say
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

WIRE = Path(__file__).parent.parent / "sdk" / "penstock_sdk" / "wire"
SET = WIRE / "plugin.binpb"


def compiled(wire: Path = WIRE) -> bytes:
    """Return the descriptor set of a folder's .proto files."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set.binpb"
        files = [path.name for path in sorted(wire.glob("*.proto"))]
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{wire}", f"--descriptor_set_out={out}", *files]
        subprocess.run(command, check=True)
        return out.read_bytes()


def main() -> int:
    """Write the set, or say whether it is current."""
    now = compiled()
    if "--check" not in sys.argv[1:]:
        SET.write_bytes(now)
        return 0
    if SET.read_bytes() == now:
        return 0
    print(f"{SET} is not what the .proto files say; run python tools/protocol.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
