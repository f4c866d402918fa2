"""Slow clients against a running server (R27): how long they last, and what others notice meanwhile.

    .venv/bin/python benchmarks/slow_clients.py [--clients 500] [--deadline 3]

A third trickles a head, a third a body, the others, 20 at most, never read a long answer. The server is a `twospeed serve` of its own with
deadlines of `--deadline` seconds. Held: every slow connection is gone within the deadline + 3 s, and a request that is asked
twice a second meanwhile is answered within 1 s. Ends with exit code 1 when that is missed.
"""

import argparse
import asyncio
import re
import sys
import tempfile
import time
from pathlib import Path

CONFIG = """
listen: {{port: 0, head_timeout: {deadline}s, body_timeout: {deadline}s, stall_timeout: {deadline}s}}
admin: {{port: 0}}
reload: {{watch: false, last_good: false}}
providers:
  one:
    kind: simulated
    models: {{m: {{}}}}
    simulate: {{first_token: {{median: 1ms}}, tokens_per_second: 1000000, output_tokens: {{median: 16}}}}
  long:
    kind: simulated
    models: {{m: {{}}}}
    simulate: {{first_token: {{median: 1ms}}, tokens_per_second: 3000, output_tokens: {{median: 60000}}}}
models: {{short: one/m, long: long/m}}
tiers: {{fast: {{models: [one/m]}}, deep: {{models: [long/m]}}}}
"""
TRICKLE = 0.3  # seconds between two bytes
UNREAD = 20  # streams at most, because the simulated provider makes them in the same process


def request(model: str, stream: bool) -> bytes:
    """Return a whole request."""
    body = b'{"model":"%b","stream":%b,"messages":[{"role":"user","content":"hi"}]}' % (
        model.encode(),
        b"true" if stream else b"false",
    )
    return b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


async def trickling(port: int, first: bytes) -> float:
    """Send a byte now and then; return how long the server put up with it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    writer.write(first)
    reading = asyncio.create_task(reader.read())  # awaited below
    while not reading.done():
        await asyncio.wait([reading], timeout=TRICKLE)
        writer.write(b"x")
    await asyncio.gather(reading, return_exceptions=True)
    writer.transport.abort()
    return time.monotonic() - began


async def not_reading(port: int) -> float:
    """Ask for a long stream and read nothing; return how long the server put up with it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_024)
    writer.write(request("long", stream=True))
    began = time.monotonic()
    while not writer.transport.is_closing():
        await asyncio.sleep(TRICKLE)
        try:
            writer.write(b"x")  # fails once the server has hung up
            await writer.drain()
        except ConnectionError:
            break
    writer.transport.abort()
    del reader
    return time.monotonic() - began


async def healthy(port: int, stop: asyncio.Event) -> list[float]:
    """Ask twice a second; return how long each answer took."""
    times = []
    while not stop.is_set():
        began = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request("short", stream=False))
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        times.append(time.monotonic() - began)
        writer.transport.abort()
        await asyncio.sleep(0.5)
    return times


async def run(clients: int, deadline: float) -> int:
    """Run them all and say what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "slow.yaml"
        config.write_text(CONFIG.format(deadline=deadline))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "twospeed", "serve", "--config", str(config), "--log", "off"),
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        port = 0
        while not port and (line := (await process.stderr.readline()).decode()):
            if found := re.search(r"serves http://127\.0\.0\.1:(\d+)", line):
                port = int(found[1])
        stop = asyncio.Event()
        asking = asyncio.create_task(healthy(port, stop))  # awaited below
        body = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 99999\r\n\r\n"
        ways = {
            "slow heads": [trickling(port, b"POST /v1") for _ in range(clients // 3)],
            "slow bodies": [trickling(port, body) for _ in range(clients // 3)],
            "unread answers": [not_reading(port) for _ in range(min(clients // 3, UNREAD))],
        }
        lasted = await asyncio.gather(*(asyncio.gather(*way) for way in ways.values()))
        stop.set()
        times = await asking
        process.terminate()
        code = await process.wait()
    good = code == 0 and max(times) < 1.0
    for name, seconds in zip(ways, lasted, strict=True):
        good = good and max(seconds) <= deadline + 3
        print(f"{len(seconds)} {name}: gone after {min(seconds):.1f} to {max(seconds):.1f} s, deadline {deadline:g} s")
    print(f"others meanwhile: {len(times)} requests, {max(times) * 1000:.0f} ms at most; exit code {code}")
    return 0 if good else 1


def main() -> int:
    """Read the options and run."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--clients", type=int, default=500)
    options.add_argument("--deadline", type=float, default=3.0)
    given = options.parse_args()
    return asyncio.run(run(given.clients, given.deadline))


if __name__ == "__main__":
    sys.exit(main())
