"""Time the request path in this process: `proxy.handle` with everything on, the provider played from memory, no sockets.

    .venv/bin/python benchmarks/hotpath.py [--only REGEX] [--profile]

It shows where a regression is before the noise of a whole benchmark hides it. Prints CPU microseconds per request: the
least and the median of several batches. With --profile also the functions that took the most time; those figures are
inflated by the profiler and only tell where to look.
"""

import argparse
import cProfile
import gc
import itertools
import pstats
import re
import statistics
import time
from collections.abc import Mapping, Sequence

import uvloop

from overhead import AUTO, PINNED, SIZES, marked
from programs import KEY, TWOSPEED, key_digest
from twospeed.config import read
from twospeed.proxy import Call
from twospeed.runtime import Runtime, remember
from twospeed.telemetry.lines import RequestLog, text_line
from twospeed.telemetry.metrics import Metrics
from twospeed.types import Record, Sink

SESSIONS = 100  # different requests, sent in turn
EVENTS = 64  # of each stream, in pieces of
TOGETHER = 4
BATCHES = 9
PATH = "/v1/chat/completions"
USAGE = b'"usage":{"prompt_tokens":512,"completion_tokens":256,"total_tokens":768}'
EVENT = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":%b,"finish_reason":%b}]}\n\n'
MIDDLE = EVENT % (b'{"content":" the next few words"}', b"null")
LAST = EVENT % (b"{}", b'"stop"') + b'data: {"choices":[],%b}\n\ndata: [DONE]\n\n' % USAGE
PLAIN = b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"%b"},"finish_reason":"stop"}],%b}'
ANSWERS = {  # by whether it is a stream: content type, and what each read gives
    False: (b"application/json", [PLAIN % (b"x" * 1_000, USAGE), b""]),
    True: (b"text/event-stream", [*[MIDDLE * TOGETHER] * (EVENTS // TOGETHER), LAST, b""]),
}
Pair = tuple[bytes, bytes]


class Played:
    """A transport and each of its exchanges: gives one answer for ever."""

    reused, answered, status = True, True, 200

    def __init__(self, stream: bool) -> None:
        kind, self._parts = ANSWERS[stream]
        self.headers: Sequence[Pair] = [(b"content-type", kind), (b"x-request-id", b"r")]
        self._left = iter(self._parts)

    async def connect(self, deadline: float, fresh: bool = False) -> "Played":
        """Be the exchange as well: requests come one after the other."""
        self._left = iter(self._parts)
        return self

    async def send(self, path: str, headers: Sequence[Pair], body: bytes, deadline: float) -> None:
        """Take a request."""

    async def read(self, deadline: float) -> bytes:
        """Give the next piece of the answer."""
        return next(self._left)

    def close(self) -> None:
        """End the exchange."""


class Nobody:
    """A reply that nobody reads."""

    started = gone = False

    def send(self, status: int, headers: Sequence[Pair], body: bytes) -> None:
        """Take a whole answer."""
        self.start(status, headers)

    def start(self, status: int, headers: Sequence[Pair]) -> None:
        """Begin a stream."""
        if status != 200:
            raise RuntimeError(f"answered {status}: the benchmark measures nothing")
        self.started = True

    def put(self, data: bytes) -> bool:
        """Take a piece."""
        return True

    async def drained(self) -> None:
        """Wait for nothing."""

    def finish(self, data: bytes = b"") -> None:
        """Take the last piece."""

    def abort(self) -> None:
        """Break off."""
        raise RuntimeError("broken off: the benchmark measures nothing")


def runtime(stream: bool) -> Runtime:
    """Build what serves, as `overhead.py` configures it, with the provider played."""
    text = TWOSPEED.format(port=0, admin=0, mock=1, log="text", keys=key_digest(), stores="")
    loaded = read(text.encode(), "hotpath.yaml", {"BENCH_PROVIDER_KEY": "k"})
    lines: list[str] = []
    kept: list[Record] = []

    def keep_sampled(record: Record) -> None:
        """Stand in for the exporter: keep what it would."""
        if record.trace is not None and record.trace.sampled:
            kept[:] = [record]

    sinks: list[Sink] = [RequestLog(text_line, lines.append), Metrics(operations=False), keep_sampled]
    built = Runtime(loaded, remember(loaded), sinks)
    for link in built.links.values():
        link.transport = Played(stream)
    return built


def headers() -> Mapping[bytes, bytes]:
    """Return what a usual client sends."""
    key = b"Bearer " + KEY.encode()
    return {
        b"host": b"127.0.0.1",
        b"content-type": b"application/json",
        b"authorization": key,
        b"user-agent": b"bench/1",
    }


async def serve(built: Runtime, bodies: Sequence[bytes], count: int) -> float:
    """Serve so many requests; return CPU microseconds of each."""
    dialect, sent = built.dialects["openai_chat"], headers()
    handle, asked = built.proxy.handle, itertools.cycle(bodies)
    began = time.process_time()
    for _ in range(count):
        caller = built.callers.identify(sent)
        assert caller is not None
        await handle(Call(dialect, PATH, caller, sent, next(asked), time.monotonic()), Nobody())
    return (time.process_time() - began) / count * 1e6


def bodies_of(size: str, model: str, stream: bool) -> list[bytes]:
    """Return requests of different sessions."""
    body = marked(SIZES[size], model, stream)
    return [body.replace(b"@session", b"%08d" % n).replace(b"@request", b"%08d" % n) for n in range(SESSIONS)]


def measure(size: str, model: str, stream: bool, count: int, profile: bool) -> None:
    """Print the figures of one kind of request."""
    built, bodies = runtime(stream), bodies_of(size, model, stream)

    async def batches() -> list[float]:
        await serve(built, bodies, min(count, 200))
        gc.collect()
        gc.freeze()
        return [await serve(built, bodies, count) for _ in range(BATCHES)]

    found = uvloop.run(batches())
    print(f"{name_of(size, model, stream):24} {min(found):8.1f} {statistics.median(found):8.1f}", flush=True)
    if profile:
        watch = cProfile.Profile()
        with watch:
            uvloop.run(serve(built, bodies, count))
        pstats.Stats(watch).strip_dirs().sort_stats("tottime").print_stats(28)


def name_of(size: str, model: str, stream: bool) -> str:
    """Name a kind of request, as --only knows it."""
    return f"{size} {model} {'stream' if stream else 'plain'}"


def main() -> None:
    """Measure every kind that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="REGEX", default="", help="kinds to measure, such as '2k fast plain'")
    parser.add_argument("--count", type=int, default=500, help="requests in a batch; default: 500")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    print(f"{'CPU us per request':24} {'least':>8} {'median':>8}")
    for size, model, stream in itertools.product(SIZES, (PINNED, AUTO), (False, True)):
        if re.search(options.only, name_of(size, model, stream)):
            measure(size, model, stream, options.count, options.profile)


if __name__ == "__main__":
    main()
