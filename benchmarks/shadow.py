"""Whether a client can tell that its requests are copied: latencies with and without a shadow, in turn, on one server.

    [chrt -r 5] python benchmarks/shadow.py [--blocks 60] [--seconds 2] [--rate 30] [--fraction 1.0] [--candidate good|hangs|fails|babbles]

Three processes: a provider that streams over HTTP, a server between, and this one, which asks at random times (Poisson). Blocks
of a few seconds with copies of the given fraction of requests and without come in pairs, in random order. Within pairs the
labels are exchangeable if copies change nothing, so that the tests below hold whatever else the machine does:

- equal distributions: Kolmogorov-Smirnov distance of all latencies, against 2,000 exchanges of labels within pairs;
- how much could have been missed: 95% intervals of the differences of p50 and p99, from resampled pairs.
"""

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
EVENTS, GAP, FIRST = 30, 0.01, 0.05  # of an answer; seconds
SETTLE = 0.6  # seconds at the beginning of a block that are not counted: copies of the block before end in them
EXCHANGES = 2_000
CONFIG = """
listen: {{port: 0}}
providers:
  old: {{kind: openai, base_url: "http://127.0.0.1:{provider}/old/v1", models: {{m: {{}}}}, proxy: none}}
  new: {{kind: openai, base_url: "http://127.0.0.1:{provider}/{candidate}/v1", models: {{m: {{}}}}, proxy: none}}
models: {{coder: old/m}}
tiers: {{fast: {{models: [old/m]}}, deep: {{models: [old/m]}}}}
rollouts:
  - id: r
    target: {{alias: coder, stable: old/m, candidate: new/m}}
    gates: [{{shadow: {{fraction: 100%, pairs: 1000000}}}}]
    guard: [{{metric: latency, tolerance: 9, target: 99}}]
shadow: {{concurrency: 1000, rpm: 1000000, tokens_per_day: 1000000000, memory: 1GB}}
"""


class Seen(NamedTuple):
    """One request: its block, whether copies were made then, seconds to the first content and to the end."""

    block: int
    copied: bool
    first: float
    whole: float


async def provider() -> None:
    """Stream answers of random pace; what the path says goes wrong."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await reader.readexactly(size)
                kind = head.split(b"/")[1].decode()
                await _play(kind, writer)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _play(kind: str, writer: asyncio.StreamWriter) -> None:
    if kind == "fails":
        writer.write(b"HTTP/1.1 500 Oops\r\ncontent-length: 2\r\n\r\n{}")
        return
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    if kind == "hangs":
        await asyncio.sleep(30)
    if kind == "babbles":
        for _ in range(100):
            _chunk(writer, b"x" * 1_000_000)
            await writer.drain()
    await asyncio.sleep(FIRST * random.lognormvariate(0, 0.3))
    for number in range(EVENTS):
        delta = {"choices": [{"index": 0, "delta": {"content": f"word{number} "}, "finish_reason": None}]}
        _chunk(writer, b"data: " + json.dumps(delta).encode() + b"\n\n")
        await asyncio.sleep(GAP * random.lognormvariate(0, 0.3))
    _chunk(writer, b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')
    writer.write(b"0\r\n\r\n")


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))


async def serve(provider_port: int, candidate: str) -> None:
    """Serve, and copy the share of requests that each line of the standard input says; answers with the counts."""
    from twospeed.config import read
    from twospeed.edge.serve import Server
    from twospeed.policy.rollout import Signal

    text = CONFIG.format(provider=provider_port, candidate=candidate).encode()
    with tempfile.TemporaryDirectory() as folder:
        loaded = read(text, "shadow.yaml", {"TWOSPEED_STATE_DIR": folder})
        server = Server(lambda: loaded, loaded, "off")
        await server.start()
        serving = asyncio.create_task(server.serve())
        await server.rollouts.people.act("r", Signal.START, "benchmark", "to be measured")
        print(server.http.address[1], flush=True)
        loop = asyncio.get_running_loop()
        books = server.api.runtime.mirror.books
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            books.shares = {"r": float(line)}
            told = {"sent": books.sent.total(), "compared": books.compared.total(), "dropped": dict(books.dropped)}
            print(json.dumps(told), flush=True)
        server.stop()
        await serving


async def ask(port: int, body: bytes) -> tuple[float, float]:
    """Return seconds to the first content and to the end of one answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.perf_counter()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n"
    writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
    first, got = 0.0, b""
    while data := await reader.read(65_536):
        got += data
        if not first and b"word0" in got:
            first = time.perf_counter() - began
    whole = time.perf_counter() - began
    writer.close()
    if b"[DONE]" not in got or b'"error"' in got:
        raise RuntimeError(f"an answer is not whole: {got[-200:]!r}")
    return first, whole


@contextlib.asynccontextmanager
async def program(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """Run this file in another role; hands out the process and the port it names."""
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(sys.executable, __file__, *arguments, stdin=pipe, stdout=pipe)
    assert child.stdout is not None
    try:
        yield child, int(await child.stdout.readline())
    finally:
        child.terminate()
        await child.wait()


async def measure(options: argparse.Namespace) -> tuple[list[Seen], dict[str, object]]:
    """Ask through all blocks; return what was seen, and what became of copies."""
    seen: list[Seen] = []
    chance = random.Random(options.seed)
    body = json.dumps({"model": "coder", "stream": True, "messages": [{"role": "user", "content": "x" * 2_000}]})
    async with (
        program("--provide") as (_, provider_port),
        program("--serve", str(provider_port), "--candidate", options.candidate) as (server, port),
    ):
        assert server.stdin is not None
        assert server.stdout is not None
        told: dict[str, object] = {}
        for block in range(options.blocks):
            if block % 2 == 0:
                first_copied = chance.random() < 0.5
            copied = first_copied == (block % 2 == 0)
            server.stdin.write(f"{options.fraction if copied else 0.0}\n".encode())
            told = json.loads(await server.stdout.readline())
            seen += await _block(block, copied, port, body.encode(), options, chance)
        server.stdin.write(b"0\n")
        told = json.loads(await server.stdout.readline())
        return seen, told


async def _block(
    block: int, copied: bool, port: int, body: bytes, options: argparse.Namespace, chance: random.Random
) -> list[Seen]:
    async def one(at: float) -> Seen | None:
        first, whole = await ask(port, body)
        return Seen(block, copied, first, whole) if at >= SETTLE else None

    began = time.perf_counter()
    waiting = []
    while (at := time.perf_counter() - began) < options.seconds + SETTLE:
        waiting.append(asyncio.create_task(one(at)))
        await asyncio.sleep(chance.expovariate(options.rate))
    return [found for found in await asyncio.gather(*waiting) if found is not None]


def report(seen: Sequence[Seen], options: argparse.Namespace) -> list[str]:
    """Return one row for each duration."""
    rng = np.random.default_rng(options.seed)
    rows = []
    for name in ("first", "whole"):
        pairs = []
        for block in range(0, options.blocks, 2):
            both = [one for one in seen if one.block in (block, block + 1)]
            split = [
                np.array([getattr(one, name) * 1e3 for one in both if one.copied is copied]) for copied in (False, True)
            ]
            if all(part.size for part in split):
                pairs.append(split)
        distance = _distance(pairs, np.zeros(len(pairs), bool))
        flips = rng.random((EXCHANGES, len(pairs))) < 0.5
        beyond = sum(_distance(pairs, flip) >= distance for flip in flips)
        off, on = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
        text = f"{name:5}  n {off.size} / {on.size}"
        for quantile in (0.5, 0.99):
            low, high = _interval(pairs, quantile, rng)
            values = [np.quantile(part, quantile) for part in (off, on)]
            text += f"  p{quantile * 100:g} {values[0]:.1f} / {values[1]:.1f} ms ({low:+.2f} to {high:+.2f})"
        rows.append(f"{text}  KS {distance:.4f}, p {(beyond + 1) / (EXCHANGES + 1):.3f}")
    return rows


def _distance(pairs: Sequence[Sequence[Floats]], flips: NDArray[np.bool_]) -> float:
    """Return the largest distance between both distributions, labels exchanged where `flips` says so."""
    off = np.sort(np.concatenate([pair[int(flip)] for pair, flip in zip(pairs, flips, strict=True)]))
    on = np.sort(np.concatenate([pair[1 - int(flip)] for pair, flip in zip(pairs, flips, strict=True)]))
    places = np.concatenate([off, on])
    below = [np.searchsorted(part, places, side="right") / part.size for part in (off, on)]
    return float(np.abs(below[0] - below[1]).max())


def _interval(pairs: Sequence[Sequence[Floats]], quantile: float, rng: np.random.Generator) -> tuple[float, float]:
    """Return the 95% interval of on minus off in one quantile, from resampled pairs."""
    found = []
    for _ in range(500):
        drawn = [pairs[place] for place in rng.integers(0, len(pairs), len(pairs))]
        off, on = (np.quantile(np.concatenate([pair[side] for pair in drawn]), quantile) for side in (0, 1))
        found.append(on - off)
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--blocks", type=int, default=60)
    arguments.add_argument("--seconds", type=float, default=2.0)
    arguments.add_argument("--rate", type=float, default=30.0)
    arguments.add_argument("--fraction", type=float, default=1.0)
    arguments.add_argument("--candidate", choices=("good", "hangs", "fails", "babbles"), default="good")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--provide", action="store_true", help=argparse.SUPPRESS)
    arguments.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.provide:
        asyncio.run(provider())
    elif options.serve:
        asyncio.run(serve(options.serve, options.candidate))
    else:
        seen, told = asyncio.run(measure(options))
        print(f"candidate {options.candidate}, {options.fraction:.0%} copied, off / on (95% interval of on - off)")
        print("\n".join(report(seen, options)))
        print(f"copies: {json.dumps(told)}")


if __name__ == "__main__":
    main()
