"""The practice venue as a process: `PaperMarket` behind a TCP socket, in wall time.

    python -m penstock_plugins.venues.paper_server --listen 127.0.0.1:7171

It prints one line, ``paper venue listening on HOST:PORT``, once it takes connections, and ends on SIGTERM or SIGINT.
With ``--state FILE`` every input is kept, and the next start takes them all again: the venue is then what it was.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from penstock_plugins.venues.paper_books import MarketConfig
from penstock_plugins.venues.paper_link import address_of
from penstock_plugins.venues.paper_market import Connection, PaperMarket
from penstock_plugins.venues.paper_protocol import ProtocolError, items_of, whole_bytes

__all__ = ["PaperServer", "main"]

STEP_S = 0.2
UNREAD_BYTES_MAX = 16 << 20
"""A client that leaves more than this unread is hung up on."""


class _Begun(msgspec.Struct, tag=True):
    """The first input that is kept: what the market is."""

    config: MarketConfig
    now_ns: int
    name: str


class _Came(msgspec.Struct, tag=True):
    """One input: bytes of a connection (none: it was made; None: it ended), or of connection 0 the time alone."""

    now_ns: int
    connection: int
    data: bytes | None


class PaperServer:
    """The market, its connections, and the file that its inputs are kept in."""

    def __init__(self, config: MarketConfig, state: Path | None = None) -> None:
        self._connections: dict[int, Connection] = {}
        self._writers: dict[int, asyncio.StreamWriter] = {}
        self._last_number = 0
        self._log: BinaryIO | None = None
        inputs = _kept(state) if state is not None else []
        if state is not None:
            self._log = state.open("ab", buffering=0)
        begun = inputs[0] if inputs else None
        if isinstance(begun, _Begun):
            self.market = PaperMarket(begun.config, begun.now_ns, begun.name)
            for came in inputs[1:]:
                assert isinstance(came, _Came)
                self._do(came)
                self._flush()  # nobody is connected any more: what was to be sent is dropped
            for number in list(self._connections):
                self._input(number, None)
            return
        now_ns = time.time_ns()
        self.market = PaperMarket(config, now_ns, f"paper-{now_ns}")
        self._keep(_Begun(config, now_ns, self.market.name))

    def close(self) -> None:
        """Let go of the file."""
        if self._log is not None:
            self._log.close()

    def _keep(self, item: _Begun | _Came) -> None:
        if self._log is not None:
            data = msgspec.msgpack.encode(item)
            self._log.write(len(data).to_bytes(4, "little") + data)

    def _input(self, number: int, data: bytes | None) -> None:
        """Keep one input, then do it, then send what is to be sent."""
        came = _Came(time.time_ns(), number, data)
        self._keep(came)
        self._do(came)
        self._flush()

    def _do(self, came: _Came) -> None:
        market, number = self.market, came.connection
        if not number:
            market.step(came.now_ns)
        elif came.data is None:
            connection = self._connections.pop(number, None)
            if connection is not None:
                market.disconnect(connection, came.now_ns)
        elif not came.data:
            self._connections[number] = market.connect()
            self._last_number = max(self._last_number, number)
        else:
            for _, item, _ in items_of(came.data):
                market.receive(self._connections[number], item, came.now_ns)

    def _flush(self) -> None:
        for number, connection in list(self._connections.items()):
            writer = self._writers.get(number)
            if connection.out and writer is not None:
                writer.write(bytes(connection.out))
            connection.out.clear()
            if writer is not None and (connection.over or writer.transport.get_write_buffer_size() > UNREAD_BYTES_MAX):
                writer.close()  # the reader's loop ends, and says so

    async def client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        number = self._last_number + 1
        self._writers[number] = writer
        self._input(number, b"")
        data = bytearray()
        with suppress(ConnectionError, ProtocolError):
            while more := await reader.read(1 << 16):
                data += more
                whole = whole_bytes(data)
                if whole:
                    list(items_of(data[:whole]))  # before it is kept: what cannot be read must not be
                    self._input(number, bytes(data[:whole]))
                    del data[:whole]
        self._writers.pop(number, None)
        self._input(number, None)
        with suppress(OSError):
            writer.close()

    async def serve(self, host: str, port: int) -> None:
        """Listen, say where, and serve until told to stop."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        server = await asyncio.start_server(self.client, host, port)
        bound = server.sockets[0].getsockname()
        print(f"paper venue listening on {bound[0]}:{bound[1]}", flush=True)
        while not stop.is_set():
            self._input(0, b"")
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), STEP_S)
        server.close()
        for writer in list(self._writers.values()):
            writer.close()


def _kept(path: Path) -> list[_Begun | _Came]:
    """Return the inputs that a file holds; one that a crash has cut is cut off."""
    if not path.exists():
        return []
    data, at = path.read_bytes(), 0
    found: list[_Begun | _Came] = []
    decoder = msgspec.msgpack.Decoder(_Begun | _Came)
    while at + 4 <= len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        if end > len(data):
            break
        found.append(decoder.decode(data[at + 4 : end]))
        at = end
    if at < len(data):
        with path.open("r+b") as file:
            file.truncate(at)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the venue; return the exit status."""
    parser = argparse.ArgumentParser(prog="penstock-paper-venue", description=(__doc__ or "").split("\n")[0])
    usual = MarketConfig()
    parser.add_argument("--listen", default="127.0.0.1:7171", metavar="HOST:PORT", help="port 0 takes a free one")
    parser.add_argument("--zone", default=usual.zone, help="bidding zone (%(default)s)")
    parser.add_argument("--day", default=usual.day, help="delivery day, or rolling (%(default)s)")
    parser.add_argument("--products", default="QH,H", help="of QH, H, HH and 5M (%(default)s)")
    parser.add_argument("--seed", type=int, default=usual.seed, help="of the market's own traders (%(default)s)")
    parser.add_argument("--requotes", type=float, default=usual.requotes_per_s, help="listings requoted per second")
    parser.add_argument("--takers", type=float, default=usual.takers_per_s, help="orders per second that deal at once")
    parser.add_argument("--state", type=Path, help="keep every input here, and go on with what it holds")
    told = parser.parse_args(arguments)
    try:
        host, port = address_of(told.listen)
        config = msgspec.convert(
            {
                "zone": told.zone, "day": told.day, "products": told.products.split(","), "seed": told.seed,
                "requotes_per_s": told.requotes, "takers_per_s": told.takers,
            },
            MarketConfig,
        )  # fmt: skip
        with closing(PaperServer(config, told.state)) as server:
            asyncio.run(server.serve(host, port))
    except (ValueError, OSError) as error:
        print(f"penstock-paper-venue: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
