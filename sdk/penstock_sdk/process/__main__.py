"""Runs one plugin in this process for the host that started it: ``python -m penstock_sdk.process TARGET``.

TARGET is ``package.module:Class``, ``FILE.py``, ``FILE.py:Class``, or a folder with a plugin.toml. A kernel's socket in
the environment is served by the framed socket, go-plugin's cookie by gRPC. For hosts on other machines:
``TARGET --listen HOST:PORT --tls-cert FILE --tls-key FILE --tls-ca FILE``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

__all__ = ["main"]

_USAGE = (
    "a plugin's process is started by its host: name the plugin in plugins.toml, or try it with\n"
    "    penstock conform {target}"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the plugin that the one argument names; return the exit status: 2 for a wrong start, 3 for a broken host.

    What a plugin prints while it is imported goes to stderr, and over the socket all that it prints later, too: stdout
    is its host's.
    """
    args = list(sys.argv[1:] if arguments is None else arguments)
    if "--listen" in args:
        from penstock_sdk.process.serve_grpc import listen_command

        return listen_command(args)
    if len(args) != 1 or args[0].startswith("-"):
        print("usage: python -m penstock_sdk.process TARGET", file=sys.stderr)
        print(_USAGE.format(target="TARGET"), file=sys.stderr)
        return 2
    from penstock_sdk.process.envelope import ENV_SOCKET

    by_socket = ENV_SOCKET in os.environ
    if not by_socket:
        from penstock_sdk.process.handshake import has_cookie

        if not has_cookie(os.environ):
            print(_USAGE.format(target=args[0]), file=sys.stderr)
            return 2
    kept = _give_up_stdout()
    if not by_socket:
        from penstock_sdk.process import serve_grpc  # before the plugin: whoever imports grpc first says which TLS

    from penstock_sdk.discovery import PluginImportError
    from penstock_sdk.process.target import load_target

    try:
        cls, plugin_id, version = load_target(args[0])
    except PluginImportError as error:
        print(error, file=sys.stderr, flush=True)
        return 2
    if by_socket:
        from penstock_sdk.process import serve_socket

        os.close(kept)
        return serve_socket.main(cls, plugin_id, version)
    sys.stdout.flush()
    os.dup2(kept, 1)  # for the start-up line; what a plugin prints after it is a host's to pass over
    os.close(kept)
    return serve_grpc.main(cls, plugin_id, version)


def _give_up_stdout() -> int:
    """Send everything that is printed from here on, by whatever code, to stderr; return what stdout was."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    return kept


if __name__ == "__main__":
    sys.exit(main())
