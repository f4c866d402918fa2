"""A simulated provider behind a real socket: the answers of `upstream/simulated`, faults really on the wire.

`HttpServer(Simulator(name, Simulation(...)), Listen(...))` is what `twospeed simulate` runs. A refused connection is
closed without an answer, since whoever sends a header has connected already. GET /stats says what reached it.
"""

import asyncio
import hashlib
from collections import Counter

import msgspec

from twospeed.dialects import Refusal
from twospeed.edge.http import Call, Head, Reply
from twospeed.edge.reply import header_lines, status_line
from twospeed.errors import Fault, Kind
from twospeed.upstream.script.answer import NEVER, Ending
from twospeed.upstream.script.chat import error_body
from twospeed.upstream.simulated import SimulatedExchange, SimulatedTransport, Simulation

JSON = ((b"content-type", b"application/json"),)
STATS = "/stats"
GARBAGE = b"-1\r\nthis is no chunk\r\n"
LEAVING = 0.02  # seconds for what was written to leave before the connection is broken
PATHS = 100  # paths counted apart
CLIENTS_FAULT = (Kind.CLIENT_GONE, Kind.CLIENT_STALLED)


class Simulator:
    """The `App` that answers like a provider.

    Args:
        name: The provider's name, as orders in the request header x-twospeed-simulate address it.
        simulation: How it answers.
    """

    def __init__(self, name: str, simulation: Simulation) -> None:
        self._provider = SimulatedTransport(name, simulation)
        self._by_path: Counter[str] = Counter()
        self._credential = ""

    def admit(self, head: Head) -> Refusal | None:
        """Let every request pass: a simulated provider takes any key."""
        return None

    def refuse(self, head: Head | None, fault: Fault) -> Refusal:
        """Say a fault of the engine as a provider would."""
        status = fault.meaning.status
        return Refusal(status, JSON, error_body(status, fault.message))

    async def serve(self, call: Call, reply: Reply) -> None:
        """Answer one request, or break the connection as ordered."""
        if call.head.path == STATS:
            reply.send(200, JSON, msgspec.json.encode(self.stats()))
            return
        self._note(call.head)
        try:
            exchange = await self._provider.connect(NEVER)
        except Fault:
            reply.abort()
            return
        try:
            await self._answer(exchange, call, reply)
        finally:
            exchange.close()

    def stats(self) -> dict[str, object]:
        """Return what has reached this provider since it started.

        `cancelled`: requests whose client left before the end. `authorization`: the first 12 digits of the SHA-256 of
        the last Authorization or x-api-key header, "" when none came.
        """
        return {
            "requests": self._by_path.total(),
            "in_flight": self._provider.open_exchanges,
            "cancelled": self._provider.cancelled,
            "by_path": dict(self._by_path),
            "authorization": self._credential,
        }

    def _note(self, head: Head) -> None:
        known = head.path in self._by_path or len(self._by_path) < PATHS
        self._by_path[head.path if known else "other"] += 1
        credential = head.headers.get(b"authorization") or head.headers.get(b"x-api-key")
        if credential:
            self._credential = hashlib.sha256(credential).hexdigest()[:12]

    async def _answer(self, exchange: SimulatedExchange, call: Call, reply: Reply) -> None:
        try:
            await exchange.send(call.head.path, list(call.head.headers.items()), call.body, NEVER)
            if exchange.length is None or exchange.ending is Ending.GARBLED:
                await _stream(exchange, reply)
            else:
                await _whole(exchange, exchange.length, reply)
        except Fault as fault:
            if fault.kind in CLIENTS_FAULT:
                raise
            await _break(exchange, reply)


async def _stream(exchange: SimulatedExchange, reply: Reply) -> None:
    reply.start(exchange.status, _unframed(exchange))
    reply.spill(b"")  # the head leaves at once, however late the first event is
    while data := await exchange.read(NEVER):
        await reply.write(data)
    reply.finish()


async def _whole(exchange: SimulatedExchange, length: int, reply: Reply) -> None:
    """Send a body in one piece; one that will break goes out under the length it should have had."""
    if exchange.ending is not Ending.WHOLE:
        head = status_line(exchange.status) + header_lines(_unframed(exchange)) + b"content-length: %d\r\n\r\n" % length
        reply.spill(head + await exchange.read(NEVER))
    parts = []
    while data := await exchange.read(NEVER):
        parts.append(data)
    reply.send(exchange.status, _unframed(exchange), b"".join(parts))


async def _break(exchange: SimulatedExchange, reply: Reply) -> None:
    if exchange.ending is Ending.GARBLED:
        reply.spill(GARBAGE)
    await asyncio.sleep(LEAVING)
    reply.abort(reset=exchange.ending is Ending.RESET)


def _unframed(exchange: SimulatedExchange) -> list[tuple[bytes, bytes]]:
    return [header for header in exchange.headers if header[0] != b"content-length"]
