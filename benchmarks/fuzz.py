"""Mutated requests against a running server (R29): no status of 500 or above, no hang, bounded memory.

    .venv/bin/python benchmarks/fuzz.py [--requests 50000] [--seed 1] [--together 48]

Four of five are good heads with a mutated body, taken from the golden requests of every dialect; the others are mutated from
the first byte on and go over a connection each. The server is a `twospeed serve` of its own with a simulated provider. Ends
with exit code 1 when a figure is missed; what was sent then lies in `.build/fuzz-*.bin`.
"""

import argparse
import asyncio
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "tests/golden"
PATHS = {
    "openai_chat": "/v1/chat/completions",
    "openai_completions": "/v1/completions",
    "openai_responses": "/v1/responses",
    "openai_embeddings": "/v1/embeddings",
    "anthropic_messages": "/v1/messages",
    "anthropic_count_tokens": "/v1/messages/count_tokens",
}
CONFIG = """
listen: {port: 0, head_timeout: 400ms, body_timeout: 400ms, body_limit: 1MB}
admin: {port: 0}
reload: {watch: false, last_good: false}
providers:
  one:
    kind: simulated
    models: {m: {}}
    simulate: {first_token: {median: 1ms}, tokens_per_second: 100000, output_tokens: {median: 8}}
models: {"*": auto}
tiers: {fast: {models: [one/m]}, deep: {models: [one/m]}}
"""
PIECES = (
    *(b"\0", b"\xff", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"\r\n", b"\n"),
    *(b"null", b"true", b"NaN", b"Infinity", b"-0", b"1e999", b"1" * 5_000, b"-1", b"0.1", b'""', b"[]", b"{}", b"[" * 300),
    *(b'{"a":' * 200, b'"model":"auto",', b'"stream":true,', b'"messages":1,', b'"stream":"yes",', b'"max_tokens":-5,'),
    *(b'"tools":[{}],', b'"input":[1],', b'"content":{"x":[]}', b'"role":5,', b'"type":"image_url",', b"\xef\xbb\xbf"),
)  # fmt: skip
HEAD_PIECES = (
    *(b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n", b"host: b\r\n"),
    *(b"expect: 100-continue\r\n", b"connection: upgrade\r\nupgrade: websocket\r\n", b"x" * 20_000, b"GET / HTTP/1.1\r\n\r\n"),
    *(b"content-encoding: gzip\r\n", b"origin: null\r\n", b"idempotency-key: \xff\r\n", b"traceparent: 00-0-0-0\r\n", b"0\r\n\r\n"),
    *(b"x-twospeed-tier: warp\r\n", b"x-request-timeout: -1\r\n", b"authorization: Bearer \xc3\xbc\r\n", b"PRI * HTTP/2.0\r\n\r\n"),
)  # fmt: skip
PATIENCE = 15.0  # seconds without an answer or an end that count as a hang
WARM = 3_000  # requests before memory is measured


@dataclass
class Tally:
    """What came back."""

    statuses: Counter[str] = field(default_factory=Counter)
    bad: list[tuple[str, bytes]] = field(default_factory=list)
    done: int = 0

    def note(self, status: str, sent: bytes) -> None:
        """Count one request."""
        self.done += 1
        self.statuses[status] += 1
        if status.startswith("5") or status == "hang":
            self.bad.append((status, sent))


def seeds() -> list[tuple[str, bytes]]:
    """Return the golden request bodies, each with its path."""
    found = []
    for dialect, path in PATHS.items():
        for file in sorted((GOLDEN / dialect).glob("request*.json")):
            found.append((path, file.read_bytes()[:40_000]))
    return found


def mutated(data: bytes, pieces: tuple[bytes, ...], other: bytes, chance: random.Random) -> bytes:
    """Change a few places: bytes flipped, cut, doubled, pieces put in, a part of another request put in."""
    text = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        at, kind = chance.randrange(len(text) + 1), chance.randrange(6)
        if kind == 0 and at < len(text):
            text[at] = chance.randrange(256)
        elif kind == 1:
            del text[at : at + chance.choice((1, 2, 10, 1_000))]
        elif kind == 2:
            text[at:at] = text[at : at + chance.choice((1, 5, 200))]
        elif kind == 3 and other:
            start = chance.randrange(len(other))
            text[at:at] = other[start : start + chance.choice((3, 30, 300))]
        elif kind == 4:
            del text[at:]
        else:
            text[at:at] = chance.choice(pieces)
    return bytes(text)


def head(path: str, body: bytes) -> bytes:
    """Return a good head."""
    return b"POST %b HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (
        path.encode(),
        len(body),
    )


class Client:
    """One client after another, each on a connection of its own while that lasts."""

    def __init__(self, port: int, tally: Tally) -> None:
        self._port = port
        self._tally = tally
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, data: bytes, alone: bool) -> None:
        """Send a request, read its answer, note what it was."""
        if self._writer is None or alone:
            self.close()
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            async with asyncio.timeout(PATIENCE):
                status = await self._asked(data, alone)
        except TimeoutError:
            status = "hang"
        except (ConnectionError, asyncio.IncompleteReadError):
            status = "closed"
        self._tally.note(status, data)
        if alone or status in ("hang", "closed"):
            self.close()

    async def _asked(self, data: bytes, alone: bool) -> str:
        assert self._reader is not None
        assert self._writer is not None
        self._writer.write(data)
        await self._writer.drain()
        answer = await self._reader.readuntil(b"\r\n\r\n")
        if not alone:
            await self._body(answer)
            if b"connection: close" in answer.lower():
                self.close()
        return answer[9:12].decode("latin-1")

    async def _body(self, answer: bytes) -> None:
        assert self._reader is not None
        length = re.search(rb"content-length: (\d+)", answer)
        if length:
            await self._reader.readexactly(int(length[1]))
            return
        while (size := int((await self._reader.readline()) or b"0", 16)) > 0:
            await self._reader.readexactly(size + 2)
        await self._reader.readline()

    def close(self) -> None:
        """Hang up."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None


def resident(pid: int) -> float:
    """Return the resident memory of a process in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def started(folder: Path) -> tuple[asyncio.subprocess.Process, int]:
    """Start a server; return it with its port."""
    config = folder / "fuzz.yaml"
    config.write_text(CONFIG)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "twospeed", "serve", "--config", str(config), "--log", "off"),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    while line := (await process.stderr.readline()).decode():
        if found := re.search(r"serves http://127\.0\.0\.1:(\d+)", line):
            return process, int(found[1])
    raise SystemExit("the server did not start")


async def kept_reading(process: asyncio.subprocess.Process, said: list[str]) -> None:
    """Collect what the server says, so that it never waits for us."""
    assert process.stderr is not None
    while line := await process.stderr.readline():
        said.append(line.decode(errors="replace"))


async def run(requests: int, seed: int, together: int) -> int:
    """Send them all and say what came of it."""
    chance, bodies, tally, said = random.Random(seed), seeds(), Tally(), list[str]()
    with tempfile.TemporaryDirectory() as folder:
        process, port = await started(Path(folder))
        reading = asyncio.create_task(kept_reading(process, said))  # ends with the process, awaited below
        warm = 0.0

        async def client() -> None:
            nonlocal warm
            mine = Client(port, tally)
            while tally.done < requests:
                path, body = chance.choice(bodies)
                alone = chance.random() < 0.2
                if alone:
                    await mine.send(mutated(head(path, body[:2_000]) + body[:2_000], HEAD_PIECES, body, chance), alone)
                else:
                    changed = mutated(body, PIECES, chance.choice(bodies)[1], chance)
                    await mine.send(head(path, changed) + changed, alone)
                if tally.done == min(WARM, requests // 2):
                    warm = resident(process.pid)
            mine.close()

        began = time.monotonic()
        await asyncio.gather(*(client() for _ in range(together)))
        took = time.monotonic() - began
        grown = resident(process.pid) - warm
        alive = process.returncode is None
        process.terminate()
        code = await process.wait()
        await reading
    bugs = [line for line in said if "bug:" in line or "Traceback" in line]
    print(f"{tally.done} requests, {took:.0f} s, seed {seed}: {dict(sorted(tally.statuses.items()))}")
    print(
        f"5xx and hangs: {len(tally.bad)}; memory after the first {WARM}: {grown:+.1f} MB; exit code {code}; bugs logged: {len(bugs)}"
    )
    (HERE / ".build").mkdir(exist_ok=True)
    for number, (status, sent) in enumerate(tally.bad[:10]):
        (HERE / f".build/fuzz-{number}-{status}.bin").write_bytes(sent)
    sys.stdout.writelines(bugs[:5])
    return 0 if alive and code == 0 and not tally.bad and not bugs and grown < 50 else 1


def main() -> int:
    """Read the options and run."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--requests", type=int, default=50_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--together", type=int, default=48)
    given = options.parse_args()
    return asyncio.run(run(given.requests, given.seed, given.together))


if __name__ == "__main__":
    sys.exit(main())
