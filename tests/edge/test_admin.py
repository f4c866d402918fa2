"""The admin listener over real sockets: who may read, who may write, and that nobody learns a secret (R33)."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.edge.controlled import idle
from tests.openmetrics import parse

from twospeed.edge.admin import BODY_LIMIT, Admin
from twospeed.edge.delivery import Delivery
from twospeed.edge.sockets import listening
from twospeed.stores.ledger import Scribe
from twospeed.telemetry.exposition import OPEN_METRICS, render
from twospeed.telemetry.instruments import WORKERS
from twospeed.telemetry.snapshot import Point

KEY = "s3cret-ädmin"
RIGHT = {"authorization": f"Bearer {KEY}"}
WRONG = {"authorization": "Bearer wrong", "x-admin-key": "wrong too"}


class Written:
    """A desk that remembers what it was asked."""

    def __init__(self) -> None:
        self.reloads = 0
        self.delivery = Delivery(idle(), Scribe(Path("/nowhere/ledger.db")))
        self.wrong = ""

    async def metrics(self, accept: str) -> tuple[str, bytes]:
        return render({WORKERS.name: [Point((), 1)]}, accept)

    async def status(self) -> dict[str, Any]:
        return {"state": "serving"}

    async def config(self) -> dict[str, Any]:
        raise ValueError(KEY)

    async def reload(self) -> str:
        self.reloads += 1
        return self.wrong

    def loaded(self) -> Any:
        raise ValueError(KEY)

    def waiting(self) -> list[str]:
        return ["listen.port"]


class Served:
    """An admin listener and a client for it."""

    def __init__(self, desk: Written, http: aiohttp.ClientSession, port: int) -> None:
        self.desk = desk
        self.port = port
        self._http = http

    async def ask(self, path: str, method: str = "GET", **options: Any) -> aiohttp.ClientResponse:
        """Send a request and read its answer whole."""
        answer = await self._http.request(method, f"http://127.0.0.1:{self.port}{path}", **options)
        await answer.read()
        return answer

    async def raw(self, data: bytes) -> bytes:
        """Send bytes as they are and return all that comes back."""
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(data)
            answer = await reader.read()
            writer.close()
        return answer


@asynccontextmanager
async def admin(key: str | None = None, host: str = "127.0.0.1") -> AsyncIterator[Served]:
    """Serve a desk on a free port."""
    desk = Written()
    keys = {"ann": hashlib.sha256(key.encode()).digest()} if key else {}
    listener = Admin(desk, lambda: keys)
    sock = listening(host, 0)
    port = sock.getsockname()[1]
    await listener.start(sock)
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as http:
            yield Served(desk, http, port)
    finally:
        await listener.close()


@pytest.mark.parametrize("key", [None, KEY])
async def test_this_machine_may_read_without_a_key(key):
    """On loopback metrics and status are open, whether a key is configured or not."""
    async with admin(key) as served:
        for path in ("/metrics", "/admin/status"):
            assert (await served.ask(path)).status == 200
            assert (await served.ask(path, "HEAD")).status == 200


async def test_nobody_writes_without_the_key():
    """Without one configured nobody does; with one only who has it."""
    async with admin() as served:
        assert (await served.ask("/admin/reload", "POST")).status == 403
        assert (await served.ask("/admin/reload", "POST", headers=RIGHT)).status == 403
    async with admin(KEY) as served:
        for headers in ({}, WRONG, {"authorization": f"Basic {KEY}"}, {"authorization": "Bearer "}):
            answer = await served.ask("/admin/reload", "POST", headers=headers)
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert served.desk.reloads == 0
        for headers in (RIGHT, {"x-admin-key": KEY}, {"authorization": f"bearer {KEY}"}):
            assert (await served.ask("/admin/reload", "POST", headers=headers)).status == 200
        assert served.desk.reloads == 3


async def test_beyond_this_machine_everything_takes_the_key():
    """A listener that others can reach tells nothing without the key, and nothing at all when there is none."""
    async with admin(KEY, host="0.0.0.0") as served:
        for path in ("/metrics", "/admin/status", "/admin/config", "/nope"):
            assert (await served.ask(path)).status == 401
        assert (await served.ask("/metrics", headers=RIGHT)).status == 200
    async with admin(None, host="0.0.0.0") as served:
        assert (await served.ask("/metrics")).status == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8081", "127.0.0.1.evil.example", "8.8.8.8", "[::2]:1"])
async def test_a_page_in_a_browser_cannot_be_lured_here(host):
    """A Host that names another machine is a rebound name: it reads nothing, unless it brings the key."""
    async with admin(KEY) as served:
        refused = await served.ask("/admin/status", headers={"host": host})
        assert refused.status == 403
        assert "Host" in (await refused.json())["error"]["message"]
        assert (await served.ask("/admin/status", headers={"host": host} | RIGHT)).status == 200


@pytest.mark.parametrize("host", ["localhost:1", "LOCALHOST", "127.0.0.1", "127.1.2.3:9", "[::1]:8081"])
async def test_every_name_of_this_machine_is_good(host):
    """Whoever calls this machine by one of its own names may read."""
    async with admin() as served:
        assert (await served.ask("/admin/status", headers={"host": host})).status == 200


async def test_a_scraper_gets_the_format_it_asks_for():
    """Plain text by default, OpenMetrics where it is preferred."""
    async with admin() as served:
        plain = await served.ask("/metrics")
        assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert parse(await plain.text(), open_metrics=False)
        modern = await served.ask("/metrics", headers={"accept": "application/openmetrics-text"})
        assert modern.headers["content-type"] == OPEN_METRICS
        assert parse(await modern.text(), open_metrics=True)


async def test_every_error_is_json():
    """Unknown paths, wrong methods, refusals and requests that are none: a type and a message."""
    async with admin(KEY) as served:
        answers = [
            (404, await served.ask("/nope")),
            (405, await served.ask("/admin/status", "POST", headers=RIGHT)),
            (405, await served.ask("/admin/reload")),
            (413, await served.ask("/admin/reload", "POST", headers=RIGHT, data=b"x" * (BODY_LIMIT + 1))),
        ]
        for status, answer in answers:
            assert answer.status == status
            error = (await answer.json())["error"]
            assert error["type"]
            assert error["message"]
            assert answer.headers["cache-control"] == "no-store"
        assert answers[1][1].headers["allow"] == "GET,HEAD"


async def test_a_reload_names_what_takes_a_restart():
    """Nobody should believe that a port has changed."""
    async with admin(KEY) as served:
        answer = await served.ask("/admin/reload", "POST", headers=RIGHT)
        assert await answer.json() == {"reloaded": True, "needs_restart": ["listen.port"]}


async def test_a_configuration_that_was_refused_is_told():
    """A reload that failed says why."""
    async with admin(KEY) as served:
        served.desk.wrong = "f.yaml:1:1: is empty"
        answer = await served.ask("/admin/reload", "POST", headers=RIGHT)
        assert answer.status == 422
        assert (await answer.json())["error"] == {"type": "invalid_config", "message": "f.yaml:1:1: is empty"}


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nhost: a\r\nauthorization Bearer %b\r\n\r\n",
        b"GET /admin/status?%b HTTP/9\r\n\r\n",
        b"%b\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 20_000 + b"%b\r\n\r\n",
    ],
)
async def test_what_cannot_be_read_is_quoted_nowhere(head, caplog):
    """A malformed request may hold a key: neither the answer nor the log repeats it."""
    async with admin(KEY) as served:
        answer = await served.raw(head % b"sk-S3CRET")
        assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
        body = answer.partition(b"\r\n\r\n")[2]
        assert json.loads(body)["error"]["message"] == "the request is not valid HTTP/1.1"
        assert b"S3CRET" not in answer
        assert "S3CRET" not in caplog.text


async def test_a_bug_tells_only_its_type(caplog):
    """What went wrong inside is our affair, and its message may hold anything."""
    async with admin() as served:
        answer = await served.ask("/admin/config")
        assert answer.status == 500
        assert (await answer.json())["error"]["message"] == "internal error"
        assert "ValueError" in caplog.text
        assert KEY not in caplog.text + await answer.text()


async def test_who_comes_before_it_is_loaded_waits():
    """The socket listens first: an early client is answered, not refused."""
    sock = listening("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*sock.getsockname())
    writer.write(b"GET /admin/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
    listener = Admin(Written(), dict)
    await listener.start(sock)
    async with asyncio.timeout(10):
        assert b'"serving"' in await reader.read()
    writer.close()
    await listener.close()
