"""One copy and its candidate: what it answered, or what went wrong, in the same words as for requests."""

import asyncio

import pytest
from tests.fakes import DONE, SSE, STOP, TEXT, Clock, Exchange, Transport, candidate, job, link, plain, streaming

from twospeed.dialects.openai_chat import DIALECT
from twospeed.errors import Fault, Kind
from twospeed.mirror.tap import Kept
from twospeed.mirror.trial import Unheard, trial

ANSWER = b'{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1}}'


async def _tried(*exchanges: object, stream: bool = True):
    kept = Kept(1_000)
    tried = await trial(job(DIALECT, stream), candidate("c"), link(Transport(*exchanges)), "", kept, Clock())
    return tried, kept


async def test_a_stream_is_read_to_its_end():
    """Its pieces are heard, its end and its size are known."""
    exchange = streaming(TEXT, TEXT + STOP + DONE)
    tried, kept = await _tried(exchange)
    assert tried.fault is None
    assert tried.finish == "stop"
    assert tried.usage.estimated
    assert b"".join(kept.parts).endswith(DONE)
    assert exchange.closed
    assert tried.row.kind is None
    assert tried.row.first_token_at is not None


async def test_an_answer_in_one_piece_is_read():
    """Its tokens are those the provider counted."""
    tried, kept = await _tried(plain(ANSWER), stream=False)
    assert tried.fault is None
    assert (tried.usage.input_tokens, tried.usage.output_tokens) == (3, 1)
    assert kept.parts == [ANSWER]


@pytest.mark.parametrize(
    ("exchange", "kind"),
    [
        (Fault(Kind.CONNECT_FAILED), Kind.CONNECT_FAILED),
        (TimeoutError(), Kind.CONNECT_TIMEOUT),
        (streaming(TimeoutError()), Kind.FIRST_TOKEN_TIMEOUT),
        (streaming(TEXT, TimeoutError()), Kind.IDLE_TIMEOUT),
        (streaming(TEXT), Kind.TRUNCATED),
        (streaming(b"{}", status=500), Kind.PROVIDER_ERROR),
        (streaming(TEXT, headers=()), Kind.BAD_ANSWER),
        (streaming(TEXT + b"data: what\n\n"), Kind.BAD_ANSWER),
    ],
)
async def test_what_goes_wrong_has_its_kind(exchange, kind):
    """A fault is returned, not raised, and stands in the row."""
    tried, _ = await _tried(exchange)
    assert tried.fault is not None
    assert tried.fault.kind is kind
    assert tried.row.kind is kind


async def test_a_copy_that_was_never_sent_used_nothing():
    """Tokens are counted only where the candidate was asked."""
    assert (await _tried(Fault(Kind.CONNECT_FAILED)))[0].usage.input_tokens == 0
    assert (await _tried(streaming(b"{}", status=500)))[0].usage.input_tokens > 0


class Silent(Exchange):
    """Answers with a head and then nothing."""

    async def read(self, deadline: float) -> bytes:
        await asyncio.Event().wait()
        return b""


async def test_a_trial_that_is_cancelled_lets_go_of_its_connection():
    """Dropping a copy cuts it at once."""
    exchange = Silent(200, SSE, (), False)
    task = asyncio.create_task(_tried(exchange))
    async with asyncio.timeout(10):
        while not exchange.sent:
            await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert exchange.closed


def test_the_breaker_of_requests_hears_nothing():
    """Whatever a copy meets is passed over."""
    unheard = Unheard()
    unheard.succeeded("b", 1.0)
    unheard.failed("b", Kind.RESET)
    unheard.released("b")
