"""The conformance kit's driver for the practice venue: the example for a market outside of the plugin.

The driver is the market: it serves the practice venue's protocol, and moves what it holds as the kit asks. The adapter
under test connects to it as to any other; it lives on when that is killed.

    penstock conform plugins/penstock_plugins:paper --driver "python -m penstock_plugins.venues.paper_driver"

The answer to ``hello`` tells the plugin's config where the market is. Nobody else trades there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter, deque
from typing import Any

from penstock_plugins.venues.paper_books import MarketConfig
from penstock_plugins.venues.paper_link import address_of
from penstock_plugins.venues.paper_market import Connection, PaperMarket
from penstock_plugins.venues.paper_protocol import VERSION, Hello, Item, ProtocolError, items_of, whole_bytes
from penstock_sdk.events import IntentAction, Order, OrderKind, OrderState, Side

__all__ = ["PaperDriver", "main"]

PRICE_NOBODY_TAKES_TICKS = 10**9
FOREIGN_LOTS = 5
_FOREIGN = 990_000_000
_STEP_S = 0.05
_REST_STATES = (OrderState.WORKING, OrderState.PARTLY_FILLED)


class _Client:
    """One connection of the adapter's."""

    def __init__(self, connection: Connection, writer: asyncio.StreamWriter) -> None:
        self.connection, self.writer = connection, writer


class PaperDriver:
    """The market, who is connected to it, and what the kit has asked for.

    Args:
        account: whose orders are asked for; the config of the plugin names it.
        cancels: the plugin's config asks the market to cancel when the connection breaks.
    """

    VERBS = ("reset", "reject", "part_fill", "fill", "cancel", "foreign_order", "drop", "silence", "resume",
             "throttle", "orders")  # fmt: skip

    def __init__(self, account: str, *, cancels: bool) -> None:
        self._account, self._cancels = account, cancels
        self._clients: list[_Client] = []
        self._serving: set[asyncio.Task[Any] | None] = set()
        self.address = ""
        self._lives = 0
        self.reset()

    # -- the market's side -----------------------------------------------------------------------------------------

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end; while the market is down it is closed at once."""
        if self._down:
            writer.close()
            return
        self._serving.add(task := asyncio.current_task())
        client = _Client(self._market.connect(), writer)
        self._clients.append(client)
        data = bytearray()
        try:
            while more := await reader.read(1 << 16):
                data += more
                whole = whole_bytes(data)
                self._waiting.extend((client, item) for _, item, _ in items_of(data[:whole]))
                del data[:whole]
                self.step()
        except (ConnectionError, ProtocolError) as error:
            print(f"paper driver: {error}", file=sys.stderr)
        self._lose(client)
        self._serving.discard(task)

    async def end(self) -> None:
        """Hang up on everybody."""
        for client in list(self._clients):
            self._lose(client)
        await asyncio.gather(*(task for task in self._serving if task is not None), return_exceptions=True)

    def step(self) -> None:
        """Let time come to now: take what the throttle lets through, and say what there is to say."""
        now_ns = time.time_ns()
        while self._waiting and self._may_take(now_ns):
            client, item = self._waiting.popleft()
            if client in self._clients:
                self._take(client, item, now_ns)
        self._market.step(now_ns)
        if self._silent:
            return
        for client in self._clients:
            client.writer.write(bytes(client.connection.out))
            client.connection.out.clear()

    def _may_take(self, now_ns: int) -> bool:
        """Return whether one message more may be taken within this second."""
        if self._per_s is None:
            return True
        while self._taken_ns and self._taken_ns[0] <= now_ns - 1_000_000_000:
            self._taken_ns.popleft()
        if len(self._taken_ns) >= self._per_s:
            return False
        self._taken_ns.append(now_ns)
        return True

    def _take(self, client: _Client, item: Item, now_ns: int) -> None:
        if isinstance(item, Order) and item.action == IntentAction.NEW:
            self._sent[item.order_id] += 1
        self._market.receive(client.connection, item, now_ns)

    def _lose(self, client: _Client) -> None:
        if client in self._clients:
            self._clients.remove(client)
            self._market.disconnect(client.connection, time.time_ns())
        client.writer.close()

    # -- the kit's side --------------------------------------------------------------------------------------------

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to one request of the kit."""
        verb = request.get("verb")
        if verb == "hello":
            config = {"address": self.address, "account": self._account, "cancel_on_disconnect": self._cancels}
            return {"ok": True, "verbs": list(self.VERBS), "config": config}
        if verb not in self.VERBS:
            return {"ok": False, "error": f"verb {verb!r} met, wanted one of {', '.join(self.VERBS)}"}
        try:
            done = getattr(self, verb)(**{key: value for key, value in request.items() if key != "verb"})
        except (LookupError, ValueError) as error:
            return {"ok": False, "error": str(error)}
        self.step()
        return {"ok": True, **(done or {})}

    def reset(self, **_: Any) -> None:
        """Begin a market that knows nothing, with nobody connected."""
        for client in list(self._clients):
            self._lose(client)
        self._lives += 1
        config = MarketConfig(products=("H",), requotes_per_s=0.0, takers_per_s=0.0)
        self._market = PaperMarket(config, time.time_ns(), f"driven-{self._lives}-{time.time_ns()}")
        self._waiting: deque[tuple[_Client, Item]] = deque()
        self._taken_ns: deque[int] = deque()
        self._sent: Counter[int] = Counter()
        self._silent, self._down = False, False
        self._per_s: int | None = None

    def reject(self, **_: Any) -> dict[str, Any]:
        """Say what the market refuses by itself."""
        return {"order": {"price_ticks": PRICE_NOBODY_TAKES_TICKS}}

    def part_fill(self, order_id: int, lots: int, **_: Any) -> None:
        """Have somebody deal with *lots* of an order."""
        held = self._market.held(self._account, order_id)
        other = Side.SELL if held.side == Side.BUY else Side.BUY
        self._market.trade(held.listing, int(other), held.price_ticks, lots)

    def fill(self, order_id: int, **_: Any) -> None:
        """Have somebody deal with all that is left of an order."""
        held = self._market.held(self._account, order_id)
        self.part_fill(order_id, held.qty_lots - held.filled_lots)

    def cancel(self, order_id: int, **_: Any) -> None:
        """Cancel an order, unasked."""
        self._market.withdraw(self._account, order_id)

    def foreign_order(self, **_: Any) -> dict[str, Any]:
        """Put an order into the account over a connection of our own."""
        now_ns, market = time.time_ns(), self._market
        number = _FOREIGN + len(self._sent) + 1
        listed = market.listed()[-1]
        ours = market.connect()
        market.receive(ours, Hello(VERSION, self._account, reports=False), now_ns)
        order = Order(
            number, listed.number, int(IntentAction.NEW), int(Side.BUY), int(OrderKind.LIMIT),
            price_ticks=listed.price_min_ticks, qty_lots=FOREIGN_LOTS,
        )  # fmt: skip
        market.receive(ours, order, now_ns)
        market.disconnect(ours, now_ns)
        self._sent[number] += 1
        return {"order_id": number}

    def drop(self, **_: Any) -> dict[str, Any]:
        """Hang up, and take no connection until `resume`."""
        self._down = True
        cancels = any(client.connection.cancel_on_disconnect for client in self._clients)
        for client in list(self._clients):
            self._lose(client)
        return {"cancels": cancels}

    def silence(self, **_: Any) -> None:
        """Say nothing until `resume`."""
        self._silent = True

    def throttle(self, per_s: int, **_: Any) -> None:
        """Take at most so many messages a second; the rest waits in the connection."""
        self._per_s = per_s

    def resume(self, **_: Any) -> None:
        """End drop, silence and throttle."""
        self._silent, self._down, self._per_s = False, False, None

    def orders(self, listing: str = "", **_: Any) -> dict[str, Any]:
        """Tell every order of the account, of those that have ended too; *listing*: what the kit calls one of ours."""
        contracts = {each.number: each.contract for each in self._market.listed()}

        def name(number: int) -> str:
            contract = contracts.get(number, str(number))
            return listing if listing.endswith(f" {contract}") else contract

        account = self._market.accounts.get(self._account)
        held = [] if account is None else [each for each in account.orders.values() if each.state]
        return {
            "orders": [
                {
                    "order_id": each.order_id, "sent": self._sent[each.order_id],
                    "side": "buy" if each.side == Side.BUY else "sell", "price_ticks": each.price_ticks,
                    "qty_lots": each.qty_lots, "listing": name(each.listing),
                    "leaves_lots": each.qty_lots - each.filled_lots if each.state in _REST_STATES else 0,
                }
                for each in held
            ]
        }  # fmt: skip


async def _run(driver: PaperDriver, host: str, port: int) -> None:
    """Serve adapters and the kit until standard input ends."""
    server = await asyncio.start_server(driver.serve, host, port)
    bound = server.sockets[0].getsockname()
    driver.address = f"{bound[0]}:{bound[1]}"
    requests = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)

    async def tick() -> None:
        while True:
            driver.step()
            await asyncio.sleep(_STEP_S)

    ticking = asyncio.create_task(tick())
    while line := await requests.readline():
        print(json.dumps(driver.answer(json.loads(line))), flush=True)
    ticking.cancel()
    server.close()
    await driver.end()


def main(arguments: list[str] | None = None) -> int:
    """Run the driver; return the exit status."""
    parser = argparse.ArgumentParser(prog="paper_driver", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="port 0, as usual, takes a free one"
    )
    parser.add_argument("--account", default="conform", help="whose orders the market tells (%(default)s)")
    parser.add_argument(
        "--rests", action="store_true", help="orders rest on when the connection breaks; else the market cancels them"
    )
    told = parser.parse_args(arguments)
    asyncio.run(_run(PaperDriver(told.account, cancels=not told.rests), *address_of(told.listen)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
