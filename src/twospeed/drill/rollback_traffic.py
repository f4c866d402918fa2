"""The requests of a rollback drill: a steady few to each server, each over a new connection, so that every worker gets some.

Tasks: one for each server, and one per request; `run` owns and awaits them all.
"""

import asyncio
import itertools
import time
from collections.abc import Sequence

import msgspec

from twospeed.errors import Fault
from twospeed.policy.drilling import Seen
from twospeed.policy.headers import Pair, find
from twospeed.types import Transport
from twospeed.upstream.http import HttpTransport

PATH = "/chat/completions"
SESSIONS = 30  # that met the candidate and ask again
RATE = 25.0  # requests a second to each server
JUDGED_RATE = 100.0  # the same where the judge is to find a fault: it looks every 600 requests, or every 20 s
TIMEOUT = 20.0  # seconds for one request
MOST = 200  # under way at each server; more wait for the next turn
ARM = b"x-twospeed-arm"
clock = time.monotonic


class Traffic:
    """What a drill asks for. `seen`: requests that have ended. `also`: headers of every request from now on.

    Args:
        servers: Base addresses, with their version.
        model: The name to ask for.
        headers: Of every request.
        salt: Makes the sessions unlike those of other drills.
        rate: Requests a second to each server.
    """

    def __init__(
        self, servers: Sequence[str], model: str, headers: Sequence[Pair], salt: str, rate: float = RATE
    ) -> None:
        self.servers = servers
        self.seen: list[Seen] = []
        self.also: tuple[Pair, ...] = ()
        self._headers = [(b"content-type", b"application/json"), *headers]
        self._salt = salt
        self._meeting: list[bytes] = []  # sessions that met the candidate, which is asked for again by them
        self._rate = rate
        self._bodies = [
            msgspec.json.encode(
                {
                    "model": model,
                    "stream": stream,
                    "max_tokens": 8,
                    "messages": [{"role": "user", "content": "Say ok."}],
                }
            )
            for stream in (False, True)
        ]
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Send until stopped, then let what is under way end."""
        await asyncio.gather(*(self._at(server) for server in self.servers))

    def stop(self) -> None:
        """Send nothing more."""
        self._stopped.set()

    def met(self, server: str) -> int:
        """Count requests that met the candidate at one server."""
        return sum(one.server == server and one.arm == "candidate" for one in self.seen)

    async def _at(self, server: str) -> None:
        transport = HttpTransport(server, connections=MOST, keep_alive=0.001)
        under_way: set[asyncio.Task[None]] = set()
        try:
            for number in itertools.count():
                if len(under_way) < MOST:
                    task = asyncio.create_task(self._ask(transport, server, number))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                if await self._pause():
                    break
            await asyncio.gather(*under_way, return_exceptions=True)
        finally:
            for task in under_way:
                task.cancel()
            await transport.close()

    async def _pause(self) -> bool:
        """Wait for the next turn; True at the end."""
        try:
            async with asyncio.timeout(1.0 / self._rate):
                await self._stopped.wait()
        except TimeoutError:
            return False
        return True

    def _session(self, number: int) -> bytes:
        """Return a new session, as long as it takes for a small share to be met, or one that has met the candidate, in turn."""
        if self._meeting and number // 2 % 2:
            return self._meeting[number // 4 % len(self._meeting)]
        return f"{self._salt}-{number}".encode()

    async def _ask(self, transport: Transport, server: str, number: int) -> None:
        session = self._session(number)
        headers = [*self._headers, *self.also, (b"x-twospeed-session", session)]
        began, arm, good = clock(), "", False
        try:
            exchange = await transport.connect(began + TIMEOUT, fresh=True)
            try:
                await exchange.send(PATH, headers, self._bodies[number % 2], began + TIMEOUT)
                arm = find(exchange.headers, ARM).decode("latin-1")
                if arm == "candidate" and session not in self._meeting and len(self._meeting) < SESSIONS:
                    self._meeting.append(session)
                last = b""
                while data := await exchange.read(began + TIMEOUT):
                    last = (last + data)[-64:]
                good = exchange.status == 200 and (not number % 2 or b"[DONE]" in last)
            finally:
                exchange.close()
        except (Fault, TimeoutError):
            good = False
        self.seen.append(Seen(began, clock(), server, arm, good))
