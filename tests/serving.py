"""A whole server in the test's own loop: configuration text in, address and records out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from textwrap import dedent

import aiohttp

from twospeed.config import read
from twospeed.edge.serve import Server
from twospeed.types import Record

TWO_FAST = dedent("""
    listen: {port: 0}
    providers:
      one: {kind: simulated, models: {m: {}}, simulate: &quick {first_token: {median: 1ms}, tokens_per_second: 100000}}
      two: {kind: simulated, models: {m: {}}, simulate: *quick}
      slow: {kind: simulated, models: {m: {}}, simulate: *quick}
    models: {pair: [one/m, two/m], lone: one/m, "gpt-*": auto}
    tiers:
      fast: {models: [one/m, two/m], timeouts: {connect: 200ms, first_token: 200ms, idle: 300ms, total: 10s}}
      deep: {models: [slow/m], timeouts: {connect: 200ms, first_token: 200ms, idle: 300ms, total: 10s}}
""")


class Serving:
    """A running server. `records`: what finished requests left, oldest first."""

    def __init__(self, server: Server, http: aiohttp.ClientSession) -> None:
        self.server = server
        self.http = http
        self.records: list[Record] = []
        host, port = server.http.address
        self.url = f"http://{host}:{port}"

    def transport(self, provider: str):
        """How a provider is reached, with its counters."""
        return self.server.api.runtime.transports[provider]

    async def chat(self, content: str = "hi", **body: object) -> aiohttp.ClientResponse:
        """Ask for a completion; keyword `headers` are request headers, all else goes into the body."""
        headers = body.pop("headers", {})
        whole = {"model": "auto", "messages": [{"role": "user", "content": content}], **body}
        return await self.http.post(f"{self.url}/v1/chat/completions", json=whole, headers=headers)


@asynccontextmanager
async def serving(text: str = TWO_FAST, env: dict[str, str] | None = None) -> AsyncIterator[Serving]:
    """Serve this configuration on a free port until the block ends; nothing may be left in flight then."""
    loaded = read(text.encode(), "test.yaml", env or {})
    server = Server(lambda: read(text.encode(), "test.yaml", env or {}), loaded, "off")
    await server.start()
    async with aiohttp.ClientSession() as http:
        running = Serving(server, http)
        server.sinks.append(running.records.append)
        try:
            yield running
        finally:
            await http.close()
            await server.drain()
            await server.close()
