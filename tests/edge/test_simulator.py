"""The simulated provider behind a real socket, as the HTTP client engine and plain sockets meet it."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from twospeed.edge.http import HttpServer
from twospeed.edge.simulator import Simulator
from twospeed.errors import Fault, Kind
from twospeed.policy.listen import Listen
from twospeed.upstream.http import HttpExchange, HttpTransport
from twospeed.upstream.simulated import HEADER, SimulatedTransport, Simulation

CHAT = "/v1/chat/completions"
SETTINGS = Simulation.model_validate(
    {
        "first_token": {"median": "1ms", "spread": 0},
        "tokens_per_second": 1e9,
        "output_tokens": {"median": 20, "spread": 0},
    }
)
SOON = 0.1  # seconds; what hangs is waited for this long


class Bench:
    """A simulator that listens, and a client for it."""

    def __init__(self) -> None:
        self.server = HttpServer(Simulator("sim", SETTINGS), Listen(port=0))

    async def start(self) -> None:
        await self.server.start()
        self.host, self.port = self.server.address
        self.client = HttpTransport(f"http://{self.host}:{self.port}", connections=10, keep_alive=5.0)

    async def close(self) -> None:
        await self.client.close()
        await self.server.close()

    async def ask(self, orders: str = "", deadline: float = 10.0, **fields: Any) -> HttpExchange:
        exchange = await self.client.connect(later())
        headers = [(HEADER, orders.encode()), (b"authorization", b"Bearer sk-secret")]
        await exchange.send(CHAT, headers, body(**fields), later(deadline))
        return exchange

    async def stats(self) -> dict[str, Any]:
        exchange = await self.client.connect(later())
        await exchange.send("/stats", [], b"", later(), method="GET")
        counted: dict[str, Any] = json.loads(await rest(exchange))
        exchange.close()
        return counted

    async def settled(self) -> dict[str, Any]:
        """Statistics once nothing is under way any more."""
        while True:
            counted = await self.stats()
            if not counted["in_flight"]:
                return counted


def later(seconds: float = 10.0) -> float:
    return asyncio.get_running_loop().time() + seconds


def body(**fields: Any) -> bytes:
    return json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": "Why?"}], "stream": True, **fields}
    ).encode()


async def rest(exchange: Any, deadline: float = 10.0) -> bytes:
    parts = []
    while data := await exchange.read(later(deadline)):
        parts.append(data)
    return b"".join(parts)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    running = Bench()
    await running.start()
    async with asyncio.timeout(20):
        yield running
    await running.close()


async def test_says_the_same_as_in_process(bench: Bench):
    """Over a socket the first request gets the very answer it would get in process."""
    inside = await SimulatedTransport("sim", SETTINGS).connect(later())
    await inside.send(CHAT, [], body(), later())
    outside = await bench.ask()
    assert (outside.status, dict(outside.headers)[b"content-type"]) == (200, b"text/event-stream; charset=utf-8")
    texts = [
        [json.loads(line[6:])["choices"] for line in data.split(b"\n") if line.startswith(b"data: {")]
        for data in [await rest(inside), await rest(outside)]
    ]
    assert texts[0] == texts[1]
    assert len(texts[0]) == 22


async def test_unstreamed_answers_have_a_length(bench: Bench):
    """An unstreamed answer comes with its length, and the connection serves on."""
    exchange = await bench.ask(stream=False)
    data = await rest(exchange)
    assert int(dict(exchange.headers)[b"content-length"]) == len(data)
    exchange.close()
    again = await bench.ask()
    assert again.reused


async def test_models_are_listed(bench: Bench):
    """GET /v1/models answers."""
    exchange = await bench.client.connect(later())
    await exchange.send("/v1/models", [], b"", later(), method="GET")
    assert json.loads(await rest(exchange))["data"][0]["id"] == "sim"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("orders", ["refuse", "reset:0"])
async def test_no_answer_at_all(bench: Bench, orders: str, stream: bool):
    """A connection that is refused or reset ends before any head."""
    with pytest.raises(Fault) as caught:
        await bench.ask(orders, stream=stream)
    assert caught.value.kind is Kind.RESET


BROKEN = [
    ("reset:2", Kind.TRUNCATED),
    ("truncate:2", Kind.TRUNCATED),
    ("truncate:0", Kind.TRUNCATED),
    ("bad_chunk:2", Kind.PROTOCOL_ERROR),
]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("orders", "kind"), BROKEN)
async def test_answers_that_break(bench: Bench, orders: str, kind: Kind, stream: bool):
    """Answers break on the wire as they do in process."""
    exchange = await bench.ask(orders, stream=stream)
    assert exchange.status == 200
    with pytest.raises(Fault) as caught:
        await rest(exchange)
    assert caught.value.kind is kind


async def test_events_before_a_break_arrive(bench: Bench):
    """What came before the break is there to be read."""
    exchange = await bench.ask("truncate:3")
    assert (await exchange.read(later())).count(b"data:") >= 1


@pytest.mark.parametrize(("orders", "head"), [("hang", False), ("stall:2", True), ("stall:0", True)])
async def test_silence(bench: Bench, orders: str, head: bool):
    """A provider that hangs gives no head; one that stalls gives its head at once and then goes quiet."""
    if not head:
        with pytest.raises(TimeoutError):
            await bench.ask(orders, deadline=SOON)
        return
    for stream in (True, False):
        exchange = await bench.ask(orders, stream=stream)
        assert exchange.status == 200
        with pytest.raises(TimeoutError):
            await rest(exchange, deadline=SOON)
        exchange.close()


@pytest.mark.parametrize(
    ("orders", "status", "content"),
    [
        ("http_429:7", 429, b"rate_limit_exceeded"),
        ("http_529", 529, b"server_error"),
        ("html", 502, b"<h1>"),
        ("wrong_type", 200, b"<h1>"),
        ("empty", 200, b""),
        ("unfinished:2", 200, b"data: "),
        ("error_event:0", 200, b'data: {"error"'),
        ("explode", 400, b"cannot read 'explode'"),
    ],
)
async def test_bad_answers_that_end_properly(bench: Bench, orders: str, status: int, content: bytes):
    """Error answers and spoilt ones are whole on the wire."""
    exchange = await bench.ask(orders)
    assert exchange.status == status
    assert content in await rest(exchange)
    if status == 429:
        assert dict(exchange.headers)[b"retry-after"] == b"7"


async def test_a_reset_is_a_reset(bench: Bench):
    """A reset reaches the client as RST, not as an orderly close."""
    reader, writer = await asyncio.open_connection(bench.host, bench.port)
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\n{HEADER.decode()}: reset:1\r\ncontent-length: {len(body())}\r\n\r\n"
    writer.write(head.encode() + body())
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_stats_tell_what_came(bench: Bench):
    """Tests and drills can see what reached the provider: requests, paths, clients that left, and which key, never its value."""
    await rest(await bench.ask())
    hanging = await bench.ask("stall:1")
    assert (await bench.stats())["in_flight"] == 1
    hanging.close()
    counted = await bench.settled()
    digest = hashlib.sha256(b"Bearer sk-secret").hexdigest()
    assert counted == {
        "requests": 2,
        "in_flight": 0,
        "cancelled": 1,
        "by_path": {CHAT: 2},
        "authorization": digest[:12],
    }


async def test_clients_that_leave_leave_nothing_behind(bench: Bench):
    """When clients leave in every phase, no request stays under way."""
    for orders in ("hang", "stall:2", "first:1h"):
        with pytest.raises(TimeoutError):
            await rest(await bench.ask(orders, deadline=SOON), deadline=SOON)
    counted = await bench.settled()
    assert counted["cancelled"] == 3


async def test_what_is_not_http_is_refused_like_a_provider_would(bench: Bench):
    """The engine's own refusals have a provider's error shape."""
    reader, writer = await asyncio.open_connection(bench.host, bench.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    answer = await reader.read(65_536)
    assert b" 400 " in answer.split(b"\r\n")[0]
    assert b'"error"' in answer
    writer.close()


async def test_paths_counted_apart_are_bounded(bench: Bench):
    """However many paths are asked for, the count stays small."""
    for number in range(110):
        exchange = await bench.client.connect(later())
        await exchange.send(f"/nowhere/{number}", [], b"", later(), method="GET")
        await rest(exchange)
        exchange.close()
    counted = await bench.stats()
    assert len(counted["by_path"]) == 101
    assert counted["by_path"]["other"] == 10
