"""A client that leaves, in every phase: the provider's request ends, everything is given back, nothing is left."""

import asyncio
import json

import pytest
from tests.serving import Serving, serving

LIMITED = """
listen: {port: 0}
providers:
  one:
    kind: simulated
    models: {m: {}}
    simulate: {first_token: {median: 1ms}, tokens_per_second: 200, output_tokens: {median: 4000}}
    limits: {"*": {tpm: 1M, concurrency: 4}}
models: {lone: one/m}
tiers: {fast: {models: [one/m]}, deep: {models: [one/m]}}
"""


async def leave(server: Serving, body: dict[str, object], fault: str, read: bool, half: bool) -> None:
    """Ask over a raw socket and go: before anything came, or after the first bytes; whole or half closed."""
    host, port = server.server.http.address
    reader, writer = await asyncio.open_connection(host, port)
    whole = json.dumps({"model": "lone", "messages": [{"role": "user", "content": "hi"}], **body}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-twospeed-simulate: {fault}\r\n"
    writer.write(f"{head}content-length: {len(whole)}\r\n\r\n".encode() + whole)
    async with asyncio.timeout(10):
        if read:
            assert await reader.read(1)
        while not server.transport("one").open_exchanges:
            await asyncio.sleep(0)
        if half:
            writer.write_eof()
        else:
            writer.transport.abort()
        while not server.records:
            await asyncio.sleep(0)
    writer.close()


@pytest.mark.parametrize("half", [False, True], ids=["reset", "half-closed"])
@pytest.mark.parametrize(
    ("fault", "stream", "read"),
    [
        ("hang", True, False),
        ("hang", False, False),
        ("none", True, True),
        ("stall:2", True, True),
        ("none", False, False),
    ],
    ids=["waiting", "waiting-unstreamed", "streaming", "quiet", "unstreamed"],
)
async def test_leaving_ends_the_providers_request(fault: str, stream: bool, read: bool, half: bool):
    """The exchange is closed, the slot is free, the record says who left, and no task is left behind."""
    async with serving(LIMITED) as server:
        before = asyncio.all_tasks()
        await leave(server, {"stream": stream}, fault if fault != "none" else "", read, half)
        await asyncio.sleep(0)
        assert server.transport("one").open_exchanges == 0
        levels = {level.dimension: level.used for level in server.server.api.runtime.memory.limits.usage()}
        assert levels["concurrency"] == 0
        assert server.records[0].fault == "client_gone"
        assert server.records[0].attempts[0].kind == "client_gone"
        async with asyncio.timeout(10):
            while server.server.http.connections or server.server.http.in_flight:
                await asyncio.sleep(0)
        assert asyncio.all_tasks() <= before


async def test_what_was_used_stays_counted():
    """Tokens that reached a client before it left are counted; the rest of the reservation is given back."""
    async with serving(LIMITED) as server:
        await leave(server, {"stream": True, "max_tokens": 1000}, "", read=True, half=False)
        levels = {level.dimension: level.used for level in server.server.api.runtime.memory.limits.usage()}
        usage = server.records[0].usage
        assert usage is not None
        assert usage.estimated
        assert levels["tpm"] == usage.input_tokens + usage.output_tokens < 1000


async def test_a_stream_cut_by_the_drain_deadline_ends_honestly():
    """What still streams when the server must stop gets its one error event and a well-formed end."""
    async with serving(LIMITED.replace("port: 0", "port: 0, drain: 1ms")) as server:
        body = {"model": "lone", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        async with server.http.post(f"{server.url}/v1/chat/completions", json=body) as answer:
            await answer.content.readany()
            await server.server.drain()
            rest = await answer.content.read()
    assert b'"code":"draining"' in rest
    assert b"[DONE]" not in rest
    assert server.records[0].fault == "draining"
