"""Stream out: the winner's bytes to the client, and an honest end."""

import json

import pytest

from tests import fakes
from tests.fakes import DONE, STOP, TEXT, Clock, Reply, Transport, plain, streaming
from twospeed.dialects.openai_chat import DIALECT
from twospeed.errors import Fault, Kind
from twospeed.relay import relay
from twospeed.types import Attempt
from twospeed.upstream.client import Try

CLOCK = Clock()
HEADERS = ((b"content-type", b"text/event-stream"),)


async def relayed(exchange, reply: Reply, stream: bool = True, deadline: float = 160.0):
    """Bring an attempt to its commit point and relay it; returns its record."""
    candidate, record = fakes.candidate("a"), fakes.record()
    attempt = Try(
        fakes.job(DIALECT, stream=stream),
        candidate,
        fakes.link(Transport(exchange)),
        Attempt(candidate.backend, 0.0),
        None,
    )
    await attempt.connect(deadline, CLOCK)
    await attempt.begin(deadline, CLOCK)
    await relay(attempt, HEADERS, reply, record, deadline, CLOCK)
    return record


async def test_stream_passes_byte_for_byte():
    """What the provider sent is what the client gets."""
    reply = Reply()
    record = await relayed(streaming(TEXT, TEXT + STOP, DONE), reply)
    assert reply.body == TEXT + TEXT + STOP + DONE
    assert reply.finished
    assert record.bytes_out == len(reply.body)


async def test_half_an_event_waits_for_its_other_half():
    """Clients never see a cut event, whatever happens next."""
    reply = Reply()
    with pytest.raises(Fault):
        await relayed(streaming(TEXT, TEXT[:20], Fault(Kind.TRUNCATED)), reply)
    assert reply.body.startswith(TEXT + b"data: {")
    assert reply.body.count(b"data:") == 2


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        ((Fault(Kind.TRUNCATED),), Kind.TRUNCATED),
        ((b"",), Kind.TRUNCATED),
        ((TimeoutError(),), Kind.IDLE_TIMEOUT),
        ((b"data: {oops\n\n",), Kind.BAD_ANSWER),
        ((b'data: {"error":{"message":"x"}}\n\n',), Kind.ERROR_EVENT),
    ],
)
async def test_broken_stream_ends_with_one_error_event(steps, kind: Kind):
    """The body ends well-formed: one error event, no [DONE]; the fault goes on to the record."""
    reply = Reply()
    with pytest.raises(Fault) as caught:
        await relayed(streaming(TEXT, *steps), reply)
    assert caught.value.kind is kind
    last = reply.body.removeprefix(TEXT)
    assert last.count(b"data:") == 1
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == kind.value
    assert reply.finished


async def test_total_deadline_is_named():
    """A stream cut by the request's own deadline says so."""
    reply = Reply()
    with pytest.raises(Fault) as caught:
        await relayed(streaming(TEXT, TimeoutError()), reply, deadline=100.0)
    assert caught.value.kind is Kind.TOTAL_TIMEOUT


async def test_stalled_client_is_cut():
    """A client that does not read is dropped; no error event is written into a full pipe."""
    reply = Reply(stalls_after=1)
    with pytest.raises(Fault):
        await relayed(streaming(TEXT, TEXT, STOP), reply)
    assert reply.aborted
    assert not reply.finished


async def test_done_is_supplied_and_the_rest_dropped():
    """A finish reason without [DONE] gets one; what follows the end is not shown."""
    reply = Reply()
    await relayed(streaming(TEXT + STOP, b""), reply)
    assert reply.body.endswith(DONE)
    other = Reply()
    await relayed(streaming(TEXT + STOP + DONE + TEXT, b""), other)
    assert other.body == TEXT + STOP + DONE


async def test_a_client_that_lags_is_waited_for():
    """While the client does not keep up nothing is read of the provider; then it goes on where it was."""

    class Slow(Reply):
        """Takes one piece at a time. `order`: what happened."""

        def __init__(self) -> None:
            super().__init__()
            self.order: list[object] = []

        def put(self, data: bytes) -> bool:
            self.order.append(data)
            super().put(data)
            return False

        async def drained(self) -> None:
            self.order.append(True)

    reply = Slow()
    await relayed(streaming(TEXT, TEXT, TEXT + STOP, DONE), reply)
    assert reply.order == [TEXT, True, TEXT, True, TEXT + STOP, True, DONE, True]
    assert reply.finished


async def test_plain_answer_is_one_piece():
    """An unstreamed body passes untouched."""
    body = b'{"choices":[{"message":{},"finish_reason":"stop"}], "odd": 1.0e5}'
    reply = Reply()
    await relayed(plain(body, b""), reply, stream=False)
    assert reply.body == body
