"""Apps that stumble: every request ends, the client can tell how, and the server lives on."""

import asyncio

import pytest
from tests.edge.engine import PATIENCE, TEXT, Client, Slow, Stage, echo, listening, request, until

from twospeed.edge.http import Call, Head, Reply
from twospeed.errors import Fault, Kind


async def test_a_bug_is_answered_and_told(caplog):
    """An exception in the app is a 500 for this client, one line for operators, and nothing for the others."""

    async def serve(call: Call, reply: Reply) -> None:
        if call.body == b"sk-secret":
            raise KeyError(call.body)
        await echo(call, reply)

    app = Stage(serve)
    async with listening(app) as server:
        client = await Client.to(server)
        await client.send(request(b"sk-secret"))
        answer = await client.answer()
        assert (answer.status, answer.body, answer.headers[b"connection"]) == (500, b"internal", b"close")
        assert await client.closed()
        other = await Client.to(server)
        await other.send(request(b"fine"))
        assert (await other.answer()).body == b"fine"
        other.close()
    assert len(caplog.records) == 1
    assert "sk-secret" not in caplog.text


async def test_a_bug_in_a_stream_cuts_it():
    """After the status is spent the client sees a stream without its end, not a clean one."""

    async def serve(call: Call, reply: Reply) -> None:
        reply.start(200, TEXT)
        await reply.write(b"first")
        raise KeyError("bug")

    async with listening(Stage(serve)) as server:
        client = await Client.to(server)
        await client.send(request())
        answer = await client.answer()
        assert (answer.body, answer.whole) == (b"first", False)
        client = await Client.to(server)
        await client.send(request(line=b"POST / HTTP/1.0"))
        with pytest.raises(ConnectionResetError):
            await client.rest()


@pytest.mark.parametrize(
    ("begin", "status"),
    [(lambda reply: None, 500), (lambda reply: reply.start(200, TEXT), None)],
    ids=["none", "begun"],
)
async def test_an_app_that_forgets_to_answer_is_noticed(begin, status):
    """No answer is a 500, half an answer a cut."""

    async def serve(call: Call, reply: Reply) -> None:
        begin(reply)

    async with listening(Stage(serve)) as server:
        client = await Client.to(server)
        await client.send(request())
        if status:
            assert (await client.answer()).status == status
        assert await client.closed()


async def test_a_fault_of_the_app_is_refused_in_its_own_words(caplog):
    """A Fault is no bug: it is rendered and nothing is logged, from admit and from serve."""

    def admit(head: Head) -> None:
        if head.path == "/admit":
            raise Fault(Kind.NOT_FOUND)

    async def serve(call: Call, reply: Reply) -> None:
        raise Fault(Kind.RATE_LIMITED)

    app = Stage(serve, admit)
    async with listening(app) as server:
        client = await Client.to(server)
        await client.send(request(line=b"GET /admit HTTP/1.1") + request())
        assert [(await client.answer()).status for _ in range(2)] == [404, 429]
    assert app.kinds == ["not_found", "rate_limited"]
    assert caplog.records == []


async def test_a_bug_in_admit_is_answered_and_told(caplog):
    """The server lives on, the log shows no contents."""

    def admit(head: Head) -> None:
        raise KeyError(head.headers[b"authorization"])

    async with listening(Stage(admit=admit)) as server:
        client = await Client.to(server)
        await client.send(request(b"", b"Authorization: Bearer sk-secret"))
        assert (await client.answer()).status == 500
        client.close()
    assert len(caplog.records) == 1
    assert "sk-secret" not in caplog.text


async def test_a_stray_cancellation_is_a_bug_like_others():
    """A task of the app's own that was cancelled does not look like a client that left."""

    async def serve(call: Call, reply: Reply) -> None:
        inner = asyncio.ensure_future(asyncio.sleep(PATIENCE))
        inner.cancel()
        await inner

    app = Stage(serve)
    async with listening(app) as server:
        client = await Client.to(server)
        await client.send(request())
        assert (await client.answer()).status == 500
        client.close()


async def test_an_app_may_cut_its_answer():
    """`abort` hangs up; the app goes on undisturbed and the connection is forgotten after it."""
    ended = asyncio.Event()

    async def serve(call: Call, reply: Reply) -> None:
        reply.start(200, TEXT)
        await reply.write(b"first")
        reply.abort()
        await asyncio.sleep(0.02)
        ended.set()

    async with listening(Stage(serve)) as server:
        client = await Client.to(server)
        await client.send(request())
        assert not (await client.answer()).whole
        await until(ended.is_set)
        await until(lambda: not server.connections)


async def test_clean_up_of_a_cancelled_request_is_not_disturbed():
    """A client that leaves cancels once; closing the server while the app cleans up waits for it."""
    leaving, cleaned = asyncio.Event(), asyncio.Event()

    class Tidy(Slow):
        async def answer(self, call: Call, reply: Reply) -> None:
            try:
                await super().answer(call, reply)
            finally:
                leaving.set()
                await asyncio.sleep(0.05)
                cleaned.set()

    serving = Tidy()
    async with listening(Stage(serving)) as server:
        client = await Client.to(server)
        await client.send(request(b"hello"))
        await until(lambda: serving.started)
        client.reset()
        await leaving.wait()
        await server.close()
        assert cleaned.is_set()


async def test_an_app_that_swallows_its_cancellation_does_no_harm():
    """What it does for a client that is gone has no effect, and its connection is forgotten."""
    serving = Slow()

    async def serve(call: Call, reply: Reply) -> None:
        try:
            await serving(call, reply)
        except asyncio.CancelledError:
            reply.send(200, TEXT, b"too late")

    async with listening(Stage(serve)) as server:
        client = await Client.to(server)
        await client.send(request(b"hello"))
        await until(lambda: serving.started)
        client.close()
        await until(lambda: not server.connections)
        assert server.in_flight == 0
