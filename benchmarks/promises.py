"""Promises that one server keeps by itself, each measured against real sockets: leaving, falling back, breaking, draining,
reloading, attacks and memory. `semantics.py` runs them; each returns figures.
"""

import asyncio
import contextlib
import json
import random
import signal
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

from asking import PATHS, Asked, Asker, Heard, asked, judged
from staging import Figure, Server, Stage, fallen_silent, free_port, percentile, resident

CHANCE = random.Random(3)
APIS = tuple(PATHS)
STALL = 1.0  # timeouts.idle in seconds
CONFIG = """
listen: {{port: 0, drain: {drain}}}
admin: {{port: 0}}
reload: {{watch: false, last_good: false}}
providers:
  one: {{kind: openai, base_url: "{one}", dialects: [chat, completions, responses, messages], forward_headers: [x-twospeed-simulate], models: {{told: {{}}}}}}
  two: {{kind: openai, base_url: "{two}", dialects: [chat, completions, responses, messages], forward_headers: [x-twospeed-simulate], models: {{told: {{}}}}}}
models: {{"*": fast}}
tiers:
  fast: {{models: [one/told, two/told], timeouts: {{first_token: 1s, idle: 1s, total: 20s}}}}
  deep: {{models: [two/told, one/told]}}
{more}
"""
COUNTED = """
listen: {{port: 0}}
admin: {{port: 0}}
reload: {{watch: false, last_good: false}}
providers:
  one: {{kind: openai, base_url: "{url}", forward_headers: [x-bench], models: {{m: {{}}}}, limits: {{m: {{tpm: 1G, concurrency: 1000}}}}}}
models: {{"*": fast}}
tiers: {{fast: {{models: [one/m], timeouts: {{first_token: 30s}}}}, deep: {{models: [one/m]}}}}
"""
PATIENT = "breaker: {consecutive: 1000000, minimum: 1000000}\n"  # no breaker: every attempt is made


async def told(stage: Stage, more: str = "", drain: str = "2m") -> tuple[Server, list[str]]:
    """Start a server in front of two telling providers without faults of their own."""
    one, two = await stage.tellers("0%")
    return await stage.server(CONFIG.format(one=one, two=two, drain=drain, more=more)), [one, two]


async def asked_for(asker: Asker, one: Asked, orders: str = "") -> tuple[str, float, Heard | None]:
    """Ask; return what came of it and how long it took."""
    began = time.monotonic()
    try:
        heard = await asker.ask(one, orders=orders)
    except (OSError, asyncio.IncompleteReadError, TimeoutError):
        return "unanswered", time.monotonic() - began, None
    return judged(one, heard), time.monotonic() - began, heard


async def cancel() -> list[Figure]:
    """Clients leave while nothing has come yet, in the middle of a stream, and in the middle of a quiet one (R15)."""
    waits: list[float] = []
    async with Stage() as stage:
        server = await stage.server(COUNTED.format(url=await stage.provider()))
        for number in range(1, 121):
            order = ("{},0,30", "{},0,30", "{},0,30,quiet")[number % 3].format(number)
            body = json.dumps({"model": "m", "stream": number % 3 > 0, "messages": [{"role": "user", "content": "x"}]})
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-bench: {order}\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write((head + body).encode())
            await asyncio.sleep(0.1)
            left = time.monotonic()
            writer.transport.abort() if number % 2 else writer.close()
            while not (here := [one for one in stage.arrivals() if one.tokens == number]) or here[0].ended == float(
                "inf"
            ):
                await asyncio.sleep(0.01)
                if time.monotonic() > left + 5:
                    break
            waits.append((here[0].ended - left) * 1000 if here else float("inf"))
        back = await _slots_back(stage, server)
    missed = sum(wait > 5000 for wait in waits)
    p50, p99 = percentile(waits, 0.5), percentile(waits, 0.99)
    said = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {max(waits):.1f} ms, {missed} of {len(waits)} missed"
    return [
        Figure("Cancel reaches upstream", "p50 <= 5 ms, max 500 ms, none missed", said, p50 <= 5 and max(waits) <= 500),
        Figure("Dropped streams", "100% of the reservations back within 1 s", f"100 of 100 after {back * 1000:.0f} ms", back <= 1),
    ]  # fmt: skip


async def _slots_back(stage: Stage, server: Server) -> float:
    """Open 100 streams, drop them all at once, and return the seconds until none of them holds anything."""
    body = json.dumps({"model": "m", "stream": True, "max_tokens": 1000, "messages": []})
    body = body.replace("[]", '[{"role": "user", "content": "x"}]')
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-bench: 1,0,30\r\ncontent-length: {len(body)}\r\n\r\n"
    writers = []
    for _ in range(100):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write((head + body).encode())
        writers.append(writer)

    async def held() -> int:
        async with stage.http.get(f"{server.admin}/admin/status") as answer:
            return next(row["used"] for row in (await answer.json())["limits"] if row["dimension"] == "concurrency")

    while await held() < 100:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.02)
    began = time.monotonic()
    for writer in writers:
        writer.transport.abort()
    while await held() and time.monotonic() < began + 10:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.01)
    return time.monotonic() - began


async def fallback() -> list[Figure]:
    """The first provider fails before the first content; how much later is the answer than from a good one? (R1, R2)"""
    kinds = (
        "reset:0",
        "http_500",
        "http_503",
        "empty",
        "wrong_type",
        "html",
        "malformed:0",
        "error_event:0",
        "truncate:0",
    )
    good: list[float] = []
    bad: list[float] = []
    late: list[float] = []
    wrong = 0
    async with Stage() as stage:
        server, (_, two) = await told(stage, PATIENT)
        text = CONFIG.format(one=f"http://127.0.0.1:{free_port()}/v1", two=two, drain="2m", more=PATIENT)
        refusing = Asker((await stage.server(text)).port)
        asker = Asker(server.port)
        for number in range(360):
            one = asked(APIS[number % 4], number % 8 < 4, number, CHANCE, words=3)
            orders = f"{kinds[number % len(kinds)]}@one"
            for times, which, order in ((good, asker, ""), (bad, asker, orders), (bad, refusing, "")):
                outcome, took, _ = await asked_for(which, one, order)
                times.append(took * 1000)
                wrong += outcome != "whole"
        hanging = [asked_for(asker, asked("chat", True, n, CHANCE, words=3), "hang@one") for n in range(20)]
        for outcome, took, _ in await asyncio.gather(*hanging):
            late.append(took)
            wrong += outcome != "whole"
    added = percentile(bad, 0.99) - percentile(good, 0.5)
    good_p99 = percentile(good, 0.99) - percentile(good, 0.5)
    said = f"p50 {percentile(bad, 0.5) - percentile(good, 0.5):.1f} ms, p99 {added:.1f} ms (without a fault: {good_p99:.1f} ms) of {len(bad)}, {wrong} not whole"
    return [
        Figure("Fallback on refuse, reset, 5xx, bad answer", "added <= 100 ms p99", said, added <= 100 and not wrong),
        Figure("Fallback on timeout", "<= timeout + 0.5 s", f"max timeout + {max(late) - 1:.2f} s of {len(late)}", max(late) <= 1.5),
    ]  # fmt: skip


async def outage(seconds: float = 20.0, rate: float = 50.0) -> list[Figure]:
    """Both providers answer 500 to everything (R5)."""
    async with Stage() as stage:
        server, providers = await told(stage)
        asker = Asker(server.port)
        began, asking = time.monotonic(), []
        while (now := time.monotonic()) < began + seconds:
            while len(asking) < (now - began) * rate:
                one = asked("chat", len(asking) % 2 == 0, len(asking), CHANCE)
                asking.append(asyncio.create_task(asked_for(asker, one, "http_500")))
            await asyncio.sleep(0.005)
        outcomes = Counter(outcome for outcome, _, _ in await asyncio.gather(*asking))
        attempts = sum([await reached(base) for base in providers])
    per = attempts / len(asking)
    said = f"{per:.2f}: {attempts} attempts for {len(asking)} requests, {dict(outcomes)}"
    return [
        Figure(
            "Total outage amplification",
            "<= 1.25 attempts per request",
            said,
            per <= 1.25 and {*outcomes} == {"refused"},
        )
    ]


async def reached(base: str, what: str = "requests") -> int:
    """Ask a telling provider how many requests have reached it, or are there."""
    address = base.removesuffix("/v1") + "/stats"
    with await asyncio.to_thread(urllib.request.urlopen, address) as answer:
        return int(json.load(answer)[what])


async def midstream() -> list[Figure]:
    """Streams that break after their first content, over every API (R11, R12)."""
    kinds = ("reset", "truncate", "unfinished", "malformed", "bad_chunk", "error_event", "stall")
    async with Stage() as stage:
        server, _ = await told(stage, PATIENT)
        asker = Asker(server.port)
        found: list[tuple[str, str, float]] = []
        for number in range(16):
            asking = [
                asked_for(asker, asked(APIS[number % 4], True, number, CHANCE, words=60), f"{kind}:9@one")
                for kind in kinds
            ]
            answers = await asyncio.gather(*asking)
            found += [(kind, what, took) for kind, (what, took, _) in zip(kinds, answers, strict=True)]
    cuts = [took for kind, _, took in found if kind != "stall"]
    stalls = [took - STALL for kind, _, took in found if kind == "stall"]
    outcomes = Counter(what for _, what, _ in found)
    said = f"{outcomes['told']} of {len(found)} told, {outcomes['silent']} silent, {outcomes['wrong']} mixed; at most {max(cuts):.2f} s after the request, stalls idle + {max(stalls):.2f} s"
    met = outcomes["told"] == len(found) and max(cuts) <= 2 and max(stalls) <= 1
    return [Figure("Mid-stream fault", "error event <= 2 s, stall <= idle + 1 s; all cuts told, none mixed", said, met)]


async def drain() -> list[Figure]:
    """SIGTERM with streams in flight, and with one that never ends (R24)."""
    async with Stage() as stage:
        server, _ = await told(stage, drain="30s")
        asker = Asker(server.port)
        streams = [asked_for(asker, asked(APIS[n % 4], True, n, CHANCE, words=60), "speed:25") for n in range(40)]
        running = asyncio.gather(*streams)
        await asyncio.sleep(0.7)
        server.process.send_signal(signal.SIGTERM)
        outcomes = Counter(what for what, _, _ in await running)
        code = await server.process.wait()
        stuck, _ = await told(stage, drain="2s")
        hanging = asyncio.create_task(asked_for(Asker(stuck.port), asked("chat", True, 1, CHANCE, words=60), "speed:8"))
        await asyncio.sleep(1.5)
        began = time.monotonic()
        stuck.process.send_signal(signal.SIGTERM)
        outcome, _, _ = await hanging
        cut = time.monotonic() - began
        second = await stuck.process.wait()
    said = f"{outcomes['whole']} of {len(streams)} whole, exit {code}; a stuck one {outcome} at deadline + {cut - 2:.2f} s, exit {second}"
    met = outcomes["whole"] == len(streams) and code == second == 0 and outcome == "told" and cut <= 4
    return [Figure("Drain", "all streams whole, exit 0; a stuck one cut <= deadline + 2 s", said, met)]


async def reload(reloads: int = 10, rate: float = 100.0) -> list[Figure]:
    """The configuration changes ten times under load (R25)."""
    async with Stage() as stage:
        server, _ = await told(stage)
        asker = Asker(server.port)
        began, asking, done = time.monotonic(), [], 0
        while (now := time.monotonic()) < began + reloads + 1:
            while len(asking) < (now - began) * rate:
                one = asked(APIS[len(asking) % 4], len(asking) % 8 < 4, len(asking), CHANCE)
                asking.append(asyncio.create_task(asked_for(asker, one)))
            if done < reloads and now > began + done + 0.5:
                done += 1
                text = server.file.read_text()
                server.file.write_text(text.replace("first_token: 1s", f"first_token: {done}001ms"))
                server.process.send_signal(signal.SIGHUP)
            await asyncio.sleep(0.005)
        outcomes = Counter(what for what, _, _ in await asyncio.gather(*asking))
        async with stage.http.get(f"{server.admin}/admin/status") as answer:
            counts = (await answer.json())["reloads"]
    said = f"{len(asking) - outcomes['whole']} of {len(asking)} failed across {counts['ok']} reloads"
    return [
        Figure(
            "Reload", "0 failed across 10 reloads", said, outcomes["whole"] == len(asking) and counts["ok"] == reloads
        )
    ]


INNER = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 86\r\n\r\n"
INNER += b'{"model":"auto","messages":[{"role":"user","content":"smuggled say smuggled 3"}]}     '
POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"


def vectors() -> dict[str, bytes]:
    """Return requests that two servers might understand differently; each has another one hidden in it."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from tests.edge import test_body, test_wire

    heads, bodies = test_wire.MALFORMED, test_body.MALFORMED
    sent = {f"head, {name}": data + INNER for name, data in heads.items() if name != "nothing"}
    chunked = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    return sent | {f"body, {name}": chunked + data + INNER for name, data in bodies.items()}


async def smuggling() -> list[Figure]:
    """Ambiguous framing of every kind the parser's tests know (R26): refused, closed, and nothing reaches a provider."""
    sent = vectors()
    accepted: list[str] = []
    async with Stage() as stage:
        server, providers = await told(stage)
        for name, data in sent.items():
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(data)
            writer.write_eof()
            answer = b""
            with contextlib.suppress(OSError):
                answer = await fallen_silent(reader)
            writer.transport.abort()
            refused = not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501", b"HTTP/1.1 505"))
            if not refused or answer.count(b"HTTP/1.1 ") > 1:
                accepted.append(name)
        inside = sum([await reached(base) for base in providers])
    said = f"{len(accepted)} of {len(sent)} accepted, {inside} requests reached a provider" + "".join(
        f"; {name}" for name in accepted[:5]
    )
    return [Figure("Smuggling vectors", "none accepted", said, not accepted and not inside)]


async def memory() -> list[Figure]:
    """What a huge event, an unread stream and thousands of requests leave in memory (R13, R16)."""
    return [await _huge_event(), await _unread(), await _thousands()]


Write = Callable[[asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def _raw(write: Write) -> AsyncIterator[str]:
    """A provider that sends what it is told, whatever it is asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
            await write(writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    server.close()


def _event(text: bytes) -> bytes:
    return b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}]}\n\n' % text


LAST = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
ASK = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}'
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%b" % (len(ASK), ASK)


async def _huge_event() -> Figure:
    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(_event(b"x" * 8_000_000) + LAST)
        await writer.drain()

    async with Stage() as stage, _raw(write) as url:
        server = await stage.server(COUNTED.format(url=url))
        before = resident(server.process.pid)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 24)
        writer.write(HEAD)
        got = await fallen_silent(reader)
        writer.close()
        grown = resident(server.process.pid, "VmHWM") - before
    whole = len(got) > 8_000_000 and b"[DONE]" in got
    return Figure(
        "Memory: an event of 8 MB",
        "< 96 MB",
        f"{grown:.0f} MB at the peak, {'whole' if whole else 'NOT whole'}",
        whole and grown < 96,
    )


async def _unread() -> Figure:
    sent = 0

    async def write(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        event = _event(b"x" * 10_000)
        while sent < 400_000_000:
            writer.write(event)
            sent += len(event)
            await writer.drain()

    async with Stage() as stage, _raw(write) as url:
        server = await stage.server(COUNTED.format(url=url))
        before = resident(server.process.pid)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        writer.write(HEAD)
        await asyncio.sleep(6)
        grown = resident(server.process.pid, "VmHWM") - before
        writer.transport.abort()
        del reader
    return Figure(
        "Memory: an unread stream of 400 MB",
        "< 64 MB",
        f"{grown:.1f} MB, {sent / 1e6:.1f} MB of it sent",
        grown < 64 and sent < 64e6,
    )


async def _thousands(count: int = 4_000) -> Figure:
    async with Stage() as stage:
        server, providers = await told(stage)
        asker = Asker(server.port)

        async def some(numbers: Sequence[int]) -> None:
            for number in numbers:
                one = asked(APIS[number % 4], number % 3 > 0, number, CHANCE, words=20)
                with contextlib.suppress(TimeoutError, OSError, asyncio.IncompleteReadError):
                    await asker.ask(one, 0.03 if number % 4 == 0 else 20.0)

        await asyncio.gather(*(some(range(n, 400, 40)) for n in range(40)))
        before = resident(server.process.pid)
        await asyncio.gather(*(some(range(n, count, 40)) for n in range(40)))
        await asyncio.sleep(1.5)
        grown = resident(server.process.pid) - before
        still = sum([await reached(base, "in_flight") for base in providers])
    said = f"{grown:+.1f} MB after {count:,}, {still} open at the providers"
    return Figure(
        "Memory: thousands of requests, a quarter dropped", "< +25 MB, 0 open upstream", said, grown < 25 and not still
    )


CASES = {case.__name__: case for case in (cancel, fallback, outage, midstream, drain, reload, smuggling, memory)}
