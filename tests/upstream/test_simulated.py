"""The simulated provider in process, as the attempt driver meets it."""

import asyncio
import json
from typing import Any

import pytest

from twospeed.errors import Fault, Kind
from twospeed.types import Exchange, Transport
from twospeed.upstream.simulated import HEADER, SimulatedTransport, Simulation

CHAT = "/chat/completions"
FAST = {
    "first_token": {"median": "1ms", "spread": 0},
    "tokens_per_second": 1e9,
    "output_tokens": {"median": 20, "spread": 0},
}
SOON = 0.05  # seconds; what hangs is waited for this long


def transport(**settings: Any) -> SimulatedTransport:
    return SimulatedTransport("sim", Simulation.model_validate({**FAST, **settings}))


def later(seconds: float = 10.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def send(exchange: Exchange, orders: str = "", deadline: float = 10.0, **fields: Any) -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Why?"}], "stream": True, **fields})
    headers = [(HEADER, orders.encode())] if orders else []
    await exchange.send(CHAT, headers, body.encode(), later(deadline))


async def rest(exchange: Exchange, deadline: float = 10.0) -> bytes:
    parts = []
    while data := await exchange.read(later(deadline)):
        parts.append(data)
    return b"".join(parts)


async def test_a_whole_stream():
    """A stream is read to its proper end, and then nothing is left open."""
    sim = transport()
    provider: Transport = sim
    exchange = await provider.connect(later())
    await send(exchange)
    assert (exchange.status, exchange.reused, exchange.answered) == (200, False, True)
    assert dict(exchange.headers)[b"content-type"].startswith(b"text/event-stream")
    assert (await rest(exchange)).endswith(b"data: [DONE]\n\n")
    assert await exchange.read(later()) == b""
    assert sim.open_exchanges == 1
    exchange.close()
    exchange.close()
    assert (sim.open_exchanges, sim.served, sim.cancelled) == (0, 1, 0)


async def test_an_unstreamed_answer():
    """Without streaming the body has the announced length."""
    exchange = await transport().connect(later())
    await send(exchange, stream=False)
    body = await rest(exchange)
    assert dict(exchange.headers)[b"content-length"] == b"%d" % len(body)
    assert json.loads(body)["object"] == "chat.completion"


async def test_what_is_due_together_is_read_together():
    """A fast answer takes a handful of reads, not one per event; a slow one comes event by event."""
    fast = await transport(output_tokens={"median": 500, "spread": 0}).connect(later())
    await send(fast)
    reads = 0
    while await fast.read(later()):
        reads += 1
    assert reads < 10
    slow = await transport(tokens_per_second=4, jitter=0, output_tokens={"median": 5, "spread": 0}).connect(later())
    await send(slow)
    assert [(await slow.read(later())).count(b'"content"') for _ in range(3)] == [1, 1, 1]


async def test_others_run_while_a_flood_is_read():
    """However fast an answer is, reading it lets other tasks run."""
    exchange = await transport().connect(later())
    await send(exchange, "tokens:5000")
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await rest(exchange)
    counting.cancel()
    assert turns > 5


HEAD_FAULTS = [("refuse", Kind.CONNECT_FAILED), ("reset:0", Kind.RESET)]
BODY_FAULTS = [("reset:2", Kind.TRUNCATED), ("truncate:2", Kind.TRUNCATED), ("bad_chunk:2", Kind.PROTOCOL_ERROR)]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("orders", "kind"), HEAD_FAULTS)
async def test_faults_before_the_head(orders: str, kind: Kind, stream: bool):
    """What fails before a head fails in send."""
    sim = transport()
    exchange = await sim.connect(later())
    with pytest.raises(Fault) as caught:
        await send(exchange, orders, stream=stream)
    assert caught.value.kind is kind
    exchange.close()
    assert sim.open_exchanges == 0


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("orders", "kind"), BODY_FAULTS)
async def test_faults_in_the_body(orders: str, kind: Kind, stream: bool):
    """What came before the fault is read first."""
    exchange = await transport().connect(later())
    await send(exchange, orders, stream=stream)
    assert exchange.status == 200
    assert await exchange.read(later())
    with pytest.raises(Fault) as caught:
        await rest(exchange)
    assert caught.value.kind is kind


async def test_silence_lasts_until_the_deadline():
    """A provider that hangs or stalls is waited for exactly as long as the caller says."""
    hanging = await transport().connect(later())
    with pytest.raises(TimeoutError):
        await send(hanging, "hang", deadline=SOON)
    stalled = await transport().connect(later())
    await send(stalled, "stall:2")
    with pytest.raises(TimeoutError):
        await rest(stalled, deadline=SOON)


async def test_a_deadline_in_the_past_is_over_at_once():
    """Nobody waits for a deadline that has passed, and what is due can still be read."""
    exchange = await transport(first_token={"median": "10s", "spread": 0}).connect(later())
    await send(exchange)
    assert await exchange.read(later(-1)) != b""
    with pytest.raises(TimeoutError):
        await exchange.read(later(-1))


@pytest.mark.parametrize(
    ("orders", "status", "content_type", "body"),
    [
        ("http_429:2", 429, b"application/json", b"rate_limit_exceeded"),
        ("http_500", 500, b"application/json", b"server_error"),
        ("html", 502, b"text/html", b"<h1>"),
        ("wrong_type", 200, b"text/html", b"<h1>"),
        ("empty", 200, b"text/event-stream; charset=utf-8", b""),
        ("error_event:0", 200, b"text/event-stream; charset=utf-8", b'data: {"error"'),
        ("malformed:0", 200, b"text/event-stream; charset=utf-8", b"data: "),
    ],
)
async def test_bad_answers_that_end_properly(orders: str, status: int, content_type: bytes, body: bytes):
    """Error answers and spoilt ones are whole on the wire."""
    exchange = await transport().connect(later())
    await send(exchange, orders)
    assert (exchange.status, dict(exchange.headers)[b"content-type"]) == (status, content_type)
    assert body in await rest(exchange)


@pytest.mark.parametrize("orders", ["unfinished:3", "no_done"])
async def test_streams_that_end_properly_but_too_early(orders: str):
    """A stream without its last line ends like a good one."""
    exchange = await transport().connect(later())
    await send(exchange, orders)
    data = await rest(exchange)
    assert not data.endswith(b"[DONE]\n\n")
    assert (b'"finish_reason":"stop"' in data) is (orders == "no_done")


async def test_configured_refusals_refuse_the_connection():
    """A provider that refuses connections does so before anything is sent."""
    sim = transport(faults=[{"kind": "refuse"}])
    with pytest.raises(Fault) as caught:
        await sim.connect(later())
    assert caught.value.kind is Kind.CONNECT_FAILED
    assert (sim.open_exchanges, sim.served) == (0, 0)


async def test_closing_ends_a_wait():
    """An exchange that is closed while somebody reads lets go at once and counts as cancelled."""
    sim = transport(first_token={"median": "1h", "spread": 0})
    exchange = await sim.connect(later())
    await send(exchange)
    await exchange.read(later())
    reading = asyncio.create_task(exchange.read(later(3600)))
    await asyncio.sleep(0)
    exchange.close()
    with pytest.raises(Fault):
        await reading
    with pytest.raises(Fault):
        await exchange.read(later())
    assert (sim.open_exchanges, sim.cancelled) == (0, 1)


async def test_cancelling_leaves_nothing_behind():
    """A reader that is cancelled leaves no task and no open exchange once closed."""
    sim = transport(first_token={"median": "1h", "spread": 0})
    exchange = await sim.connect(later())
    waiting = asyncio.create_task(send(exchange, "hang"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    exchange.close()
    assert sim.open_exchanges == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_closed_transport_takes_nothing_new():
    """After close no exchange begins; one under way goes on to its end."""
    sim = transport()
    exchange = await sim.connect(later())
    await send(exchange)
    await sim.close()
    assert (await rest(exchange)).endswith(b"[DONE]\n\n")
    with pytest.raises(Fault) as caught:
        await sim.connect(later())
    assert caught.value.kind is Kind.DRAINING


async def test_reading_before_sending_is_refused():
    """There is nothing to read before a request was sent."""
    exchange = await transport().connect(later())
    with pytest.raises(Fault):
        await exchange.read(later())
