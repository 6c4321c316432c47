"""``python -m penstock_kernel.telemetry RUN_DIR``: export a run's metrics and spans, beside its kernel.

Without options it does what ``[telemetry]`` of the run's deployment says; ``--listen`` serves ``/metrics``, too.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec

from penstock_kernel.runs import RunError, RunInfo
from penstock_kernel.telemetry.exporter import Exporter, settings_of
from penstock_kernel.telemetry.prometheus import CONTENT_TYPE, render
from penstock_sdk.wire.segment import JournalError

_POLL_S = 0.2


def main(arguments: list[str] | None = None) -> int:
    """Export until the run has ended or a signal comes; return the exit status."""
    options = _parser().parse_args(arguments)
    stop = threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        os.nice(5)  # when cores are few, the kernel goes first
    try:
        RunInfo.load(options.run_dir)
        return _export(options, stop)
    except (JournalError, OSError, RunError, ValueError) as error:
        print(f"telemetry: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="penstock_kernel.telemetry", description="Export a run's metrics and spans.")
    parser.add_argument("run_dir", type=Path, help="the run's folder")
    parser.add_argument("--listen", metavar="HOST:PORT", help="serve /metrics there; port 0 takes a free one")
    parser.add_argument("--spans", choices=["off", "file", "otlp"], help="in place of the deployment's")
    parser.add_argument("--otlp", metavar="URL", help="base address of a collector, as http://127.0.0.1:4318")
    parser.add_argument("--with-parent", action="store_true", help="end when the process that started it does")
    parser.add_argument("--sample", type=float, metavar="SHARE", help="share of the orders that have spans")
    return parser


def _export(options: argparse.Namespace, stop: threading.Event) -> int:
    given = {"spans": options.spans, "otlp_endpoint": options.otlp, "orders_sampled": options.sample}
    given = {key: value for key, value in given.items() if value is not None}
    settings = msgspec.structs.replace(settings_of(options.run_dir), **given)
    if settings.spans == "otlp" and settings.otlp_endpoint is None:
        raise ValueError("spans go to otlp, and no collector is known; give --otlp http://127.0.0.1:4318")
    server = _serve(options.run_dir, options.listen) if options.listen else None
    exporter = Exporter(options.run_dir, settings)
    over = False
    parent = os.getppid()
    try:
        while not stop.is_set():
            if options.with_parent and os.getppid() != parent:
                break  # the next kernel starts another, which goes on from here
            over = RunInfo.load(options.run_dir).state in ("complete", "failed")  # before reading: nothing is missed
            if not exporter.poll():
                if over:
                    break
                stop.wait(_POLL_S)
    finally:
        exporter.close(over=over)
        if server is not None:
            server.shutdown()
            server.server_close()
    return 0


def _serve(run_dir: Path, listen: str) -> ThreadingHTTPServer:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.split("?")[0] != "/metrics":
                self.send_error(404, "there is /metrics")
                return
            body = render(run_dir)
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: who scrapes logs."""

    host, _, port = listen.rpartition(":")
    if not port.isdigit():
        raise ValueError(f"--listen met {listen}, wanted HOST:PORT, as 127.0.0.1:9464")
    server = ThreadingHTTPServer((host or "127.0.0.1", int(port)), Answer)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    print(f"metrics on http://{server.server_address[0]!s}:{server.server_address[1]}/metrics", flush=True)
    return server


if __name__ == "__main__":
    sys.exit(main())
