"""`twospeed bench`: a load test against a live server, as many independent users would put it under load.

Open loop: requests come when they are due, whether or not the earlier ones were answered, and their time counts from
that instant; a server that stalls cannot hide it (no coordinated omission). One task per request, awaited by `run`; a
thread, awaited as well, keeps the time of arrivals.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any
from urllib.parse import urlsplit

import msgspec

from twospeed.dialects import Dialect, discover
from twospeed.drill.bench_arrivals import keep_time, poisson
from twospeed.drill.bench_bodies import conversation
from twospeed.drill.bench_client import Client, clock
from twospeed.drill.bench_tally import Tally
from twospeed.policy.headers import Pair
from twospeed.types import Request
from twospeed.upstream.http import HttpTransport

CONVERSATIONS = 48  # different bodies, evenly over the sizes
IDLE = 20.0  # seconds a connection is kept; servers keep them longer


class Load(msgspec.Struct, frozen=True):
    """What to send, and how.

    `url`: up to and including the version, for example http://127.0.0.1:8080/v1. `path`: of the endpoint behind it.
    `model`: "" leaves what a given body says. `rate`: requests a second. `duration`: seconds. `streams`: share of
    requests that ask for a stream. `concurrency`: requests under way at most; more wait, and their time counts.
    `timeout`: seconds for one request. `sizes`: bytes of the bodies to make; each is as likely as it is named often.
    `bodies`: to be sent instead. `sessions`: different ones, by name; 0 leaves them to what the bodies show.
    """

    url: str
    path: str
    model: str
    rate: float
    duration: float
    streams: float
    concurrency: int
    timeout: float
    sizes: tuple[int, ...]
    headers: tuple[Pair, ...] = ()
    bodies: tuple[dict[str, Any], ...] = ()
    seed: int = 1
    sessions: int = 0


class Bench:
    """One load test. `tally` may be looked at while it runs; `elapsed`: seconds since its start, or that it took.

    Raises: ValueError for an address or a path that is none; Fault BAD_REQUEST for a body the endpoint does not take.
    """

    def __init__(self, load: Load) -> None:
        self.load = load
        self.tally = Tally()
        self.elapsed = 0.0
        dialect = speaker(load.path)
        self._requests = list(requests(load, dialect))
        self._chance = Random(load.seed)
        self._transport = HttpTransport(load.url, connections=load.concurrency, keep_alive=IDLE)
        self._client = Client(self._transport, dialect, load.path, load.headers, load.timeout)
        self._over = threading.Event()  # there are no more arrivals
        self._stopped = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._start = 0.0

    async def run(self) -> None:
        """Send everything and wait until it is answered, or until stopped."""
        loop = asyncio.get_running_loop()
        self._start = clock()
        arrivals = poisson(self.load.rate, self.load.duration, Random(self.load.seed).random)
        try:
            async with asyncio.TaskGroup() as group:

                def arrive(due: float) -> None:
                    loop.call_soon_threadsafe(self._arrive, group, due)

                try:
                    await asyncio.to_thread(keep_time, arrivals, self._start, clock, self._over.wait, arrive)
                finally:
                    self._over.set()
        finally:
            await self._transport.close()
            self.elapsed = clock() - self._start

    async def watch(self, say: Callable[[float, Tally], object], every: float = 1.0) -> None:
        """Call `say` with the seconds since the start and the tally, again and again, until cancelled."""
        while True:
            await asyncio.sleep(every)
            say(clock() - self._start, self.tally)

    def stop(self) -> None:
        """Send no more and give up what is under way: it stays in `tally.pending`."""
        self._stopped = True
        self._over.set()
        for task in self._tasks:
            task.cancel()

    def _arrive(self, group: asyncio.TaskGroup, due: float) -> None:
        if self._stopped:
            return  # it was told before, and is heard only now
        self.tally.due += 1
        self.tally.late.add(clock() - due)
        plain, streamed = self._chance.choice(self._requests)
        request = streamed if self._chance.random() < self.load.streams else plain
        many = self.load.sessions
        session = f"bench-{self.load.seed}-{self._chance.randrange(many)}" if many else ""
        task = group.create_task(self._one(request, due, session))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _one(self, request: Request, due: float, session: str) -> None:
        self.tally.add(await self._client.ask(request, due, session))


def address(url: str) -> str:
    """Return a base URL with its version; one without a path gets /v1.

    >>> address("http://127.0.0.1:8080/"), address("https://example.com/api/v1")
    ('http://127.0.0.1:8080/v1', 'https://example.com/api/v1')
    """
    bare = url.rstrip("/")
    return bare if urlsplit(bare).path else bare + "/v1"


def speaker(path: str) -> Dialect:
    """Return the dialect that answers at a path, which is given without the version. Raises: ValueError."""
    by_path = {known: dialect for dialect in discover().values() for known in dialect.paths}
    if path not in by_path:
        raise ValueError(f"no endpoint {path}; known are {', '.join(sorted(by_path))}")
    return by_path[path]


def requests(load: Load, dialect: Dialect) -> Iterator[tuple[Request, Request]]:
    """Yield what to choose from: each body plain and streamed. Raises: Fault BAD_REQUEST."""
    for body in load.bodies or made(load.sizes, load.seed):
        named = {"model": load.model or body.get("model", "auto")}
        plain, streamed = (
            dialect.decode(msgspec.json.encode({**named, "stream": stream, **_rest(body)}), load.path)
            for stream in (False, True)
        )
        yield plain, streamed


def made(sizes: Sequence[int], seed: int) -> Iterator[dict[str, Any]]:
    """Yield conversations of these sizes."""
    for number in range(max(CONVERSATIONS, len(sizes))):
        yield conversation(sizes[number % len(sizes)], seed + number)


def given(text: str) -> list[dict[str, Any]]:
    """Read bodies: one JSON object, or one on each line. Raises: ValueError."""
    try:
        found = [json.loads(text)]
    except ValueError:
        found = [json.loads(line) for line in text.splitlines() if line.strip()]
    if not found or not all(isinstance(body, dict) for body in found):
        raise ValueError("a body is a JSON object; several stand on one line each")
    return found


def _rest(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in ("model", "stream")}
