"""One request of a load test: good answers, every way of failing, and what is read off the way."""

import asyncio
import time

import pytest
from tests.fakes import DONE, SSE, STOP, TEXT, Exchange, Transport, plain, streaming

from twospeed.dialects.openai_chat import DIALECT
from twospeed.drill.bench_bodies import body
from twospeed.drill.bench_client import Client
from twospeed.drill.bench_tally import Outcome
from twospeed.errors import Fault, Kind

WHOLE = b'{"object":"chat.completion","choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}'
FROM = ((b"x-twospeed-tier", b"fast"), (b"x-twospeed-backend", b"one/m@r"))


async def asked(exchange: Exchange | Exception, stream: bool = False, due: float = 0.0) -> Outcome:
    """What becomes of one request that meets this."""
    client = Client(Transport(exchange), DIALECT, "/chat/completions", [(b"authorization", b"Bearer k")], 60.0)
    request = DIALECT.decode(body(1_000, 1, "auto", stream), "/v1/chat/completions")
    return await client.ask(request, due or time.monotonic())


async def test_a_whole_answer_is_good():
    """With where it came from; the key and the body went out."""
    exchange = plain(WHOLE, headers=FROM)
    outcome = await asked(exchange)
    assert (outcome.error, outcome.tier, outcome.backend) == ("", "fast", "one/m@r")
    (path, headers, sent) = exchange.sent[0]
    assert (path, headers[b"authorization"]) == ("/chat/completions", b"Bearer k")
    assert sent.startswith(b'{"model":"auto","stream":false')
    assert exchange.closed


async def test_a_stream_is_timed_event_by_event():
    """Those that came together have nothing between them; [DONE] counts as the event it is."""
    outcome = await asked(streaming(TEXT, TEXT + TEXT, STOP + DONE, headers=(*SSE, *FROM)), stream=True)
    assert (outcome.error, outcome.events, outcome.gaps.count) == ("", 5, 4)
    assert outcome.first_token is not None
    assert outcome.first_token <= outcome.total
    assert outcome.gaps.quantile(0.5) == 0.0


@pytest.mark.parametrize("steps", [[TEXT], [TEXT, STOP], [TEXT, Fault(Kind.TRUNCATED)]], ids=["text", "stop", "cut"])
async def test_a_stream_without_its_terminal_event_is_truncated(steps):
    """However politely the connection was closed; the first token had come."""
    outcome = await asked(streaming(*steps), stream=True)
    assert (outcome.error, outcome.truncated) == ("truncated", True)
    assert outcome.first_token is not None


@pytest.mark.parametrize(
    ("exchange", "stream", "error"),
    [
        (plain(b'{"error":{"code":"rate_limited","type":"x"}}', status=429), False, "429 rate_limited"),
        (plain(b'{"error":{"code":null,"type":"overloaded_error"}}', status=529), True, "529 overloaded_error"),
        (plain(b'{"error":"no"}', status=400), False, "400 no"),
        (plain(b"<html>", status=502), True, "502"),
        (plain(b"not json"), False, "bad_answer"),
        (streaming(TEXT, b'data: {"error":{"message":"m"}}\n\n'), True, "error_event"),
        (Fault(Kind.CONNECT_FAILED), False, "connect_failed"),
        (TimeoutError(), False, "timeout"),
        (plain(Fault(Kind.RESET)), False, "reset"),
    ],
)
async def test_failures_are_told_apart(exchange, stream, error):
    """By status and what the answer calls itself, or by what happened to the connection."""
    outcome = await asked(exchange, stream)
    assert (outcome.error, outcome.truncated) == (error, False)


async def test_time_counts_from_when_a_request_was_due():
    """Not from when it could be sent."""
    outcome = await asked(plain(WHOLE), due=time.monotonic() - 5.0)
    assert outcome.total >= 5.0


async def test_a_request_given_up_leaves_no_connection():
    """The exchange is closed on the way out."""

    class Silent(Exchange):
        async def read(self, deadline: float) -> bytes:
            await asyncio.Event().wait()
            return b""

    exchange = Silent(200, SSE, (), reused=False)
    task = asyncio.create_task(asked(exchange, stream=True))
    while not exchange.answered:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert exchange.closed
