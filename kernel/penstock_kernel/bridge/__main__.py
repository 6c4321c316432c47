"""Run as `python -m penstock_kernel.bridge` by the kernel, with a plan, a socket and a token in the environment."""

from __future__ import annotations

import os
import sys

import msgspec

from penstock_kernel.bridge.plan import ENV_PLAN, LAST_WORDS, BridgeExit, BridgePlan
from penstock_sdk.process.envelope import ENV_SOCKET, ENV_TOKEN


def main() -> int:
    """Return the exit status of a bridge."""
    given = {name: os.environ.pop(name, "") for name in (ENV_PLAN, ENV_SOCKET, ENV_TOKEN)}  # not for children
    try:
        plan = msgspec.json.decode(given[ENV_PLAN], type=BridgePlan)
        if bool(plan.argv) == bool(plan.address):
            raise msgspec.ValidationError("met both or none of argv and address, wanted one")
        if not given[ENV_SOCKET]:
            raise msgspec.ValidationError(f"{ENV_SOCKET} is not set")
    except msgspec.DecodeError as error:
        print(f"{LAST_WORDS}{ENV_PLAN} {error}; it is the kernel that starts a bridge", file=sys.stderr)
        return int(BridgeExit.PLAN)
    from penstock_kernel.bridge.bridge import run

    return run(plan, given[ENV_SOCKET], given[ENV_TOKEN])


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # Threads that wait for the kernel or the plugin are daemons, but gRPC's would be joined at exit.
    os._exit(status)
