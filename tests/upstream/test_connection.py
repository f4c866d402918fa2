"""One connection, its deadlines and its back-pressure, on a transport that only remembers what it was told."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.wire import ok

from twospeed.errors import Fault, Kind
from twospeed.upstream.connection import JOIN_LIMIT, UNREAD_LIMIT, Connection

BOTH_LOOPS = True
FAR = 3_600.0


class Line(asyncio.Transport):
    """A transport without a network. `said`: what it was told to do, in order."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection
        self.said: list[str] = []
        self.written: list[bytes] = []
        self.unsent = 0
        connection.connection_made(self)

    def write(self, data) -> None:
        self.written.append(bytes(data))

    def writelines(self, list_of_data) -> None:
        self.written.extend(list_of_data)

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def pause_reading(self) -> None:
        self.said.append("pause")

    def resume_reading(self) -> None:
        self.said.append("resume")

    def abort(self) -> None:
        self.said.append("abort")
        asyncio.get_running_loop().call_soon(self.connection.connection_lost, None)


@pytest.fixture(autouse=True)
async def loop_errors() -> AsyncIterator[None]:
    """No callback may fail unheard."""
    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context))
    yield
    await asyncio.sleep(0)
    assert errors == []


def asked() -> tuple[Connection, Line]:
    connection = Connection()
    line = Line(connection)
    connection.ask("POST", b"head", b"body")
    return connection, line


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_request_is_one_write():
    """Head and body leave together; a large body is not copied for that."""
    connection, line = asked()
    assert line.written == [b"headbody"]
    connection.ask("POST", b"head", b"b" * (JOIN_LIMIT + 1))
    assert line.written[1:] == [b"head", b"b" * (JOIN_LIMIT + 1)]


async def test_deadline_passes_and_the_connection_is_gone():
    """A wait ends at its deadline, and what comes later reaches nobody."""
    connection, line = asked()
    with pytest.raises(TimeoutError):
        await connection.news(now() + 0.005)
    assert (connection.closed, line.said) == (True, ["abort"])


async def test_deadline_in_the_past_passes_at_once():
    """A wait whose time is over does not begin."""
    connection, _ = asked()
    with pytest.raises(TimeoutError):
        await connection.news(now() - 1.0)


@pytest.mark.parametrize("earlier", [(0.01,), (FAR,), (0.01, FAR), (FAR, 0.01, FAR)])
async def test_each_wait_has_its_own_deadline(earlier):
    """One timer serves all waits: an earlier deadline ends no later wait, a later one delays no earlier wait."""
    connection, _ = asked()
    started = now()
    for letter, deadline in zip((b"H", b"T", b"T"), earlier, strict=False):
        asyncio.get_running_loop().call_soon(connection.data_received, letter)
        await connection.news(started + deadline)
    with pytest.raises(TimeoutError):
        await connection.news(started + 0.03)
    assert now() >= started + 0.03


async def test_reading_stops_while_nobody_takes():
    """A reader that lags stops the provider instead of filling our memory (R16)."""
    connection, line = asked()
    connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\n")
    connection.data_received(b"x" * UNREAD_LIMIT)
    connection.data_received(b"x")
    assert line.said == ["pause"]
    assert len(connection.take()) == UNREAD_LIMIT + 1
    assert line.said == ["pause", "resume"]
    connection.data_received(b"x")
    assert line.said == ["pause", "resume"]


async def test_many_small_pieces_count_for_what_they_cost():
    """Single bytes in chunks of their own fill memory sooner than their number says."""
    connection, line = asked()
    connection.data_received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    connection.data_received(b"1\r\nx\r\n" * (UNREAD_LIMIT // 64))
    assert line.said == ["pause"]


def streaming(idle: float = FAR, deadline: float = FAR) -> tuple[Connection, list[bytes], asyncio.Future[bool]]:
    """A connection that hands on the parts of a body until one says `stop`; the parts; what is awaited."""
    connection, _ = asked()
    connection.data_received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    parts: list[bytes] = []

    def sink(data: bytes) -> bool:
        parts.append(data)
        if data == b"bad":
            raise Fault(Kind.BAD_ANSWER)
        if data == b"bug":
            raise ZeroDivisionError
        return data != b"stop"

    return connection, parts, connection.pour(sink, idle, now() + deadline)


async def test_bytes_are_handed_on_at_once():
    """Who wants all bytes has them before the loop turns, and is woken only when that is over."""
    connection, parts, over = streaming()
    for said in (b"3\r\none\r\n", b"3\r\ntw", b"o\r\n1\r\n!\r\n", b"4\r\nstop\r\n"):
        assert not over.done()
        connection.data_received(said)
    assert parts == [b"one", b"tw", b"o!", b"stop"]
    assert await over
    connection.data_received(b"3\r\nmor\r\n")
    assert (len(parts), connection.take()) == (4, b"mor")


@pytest.mark.parametrize("last", [b"4\r\nlast\r\n0\r\n\r\n", b"4\r\nlast\r\nno chunk\r\n"])
async def test_the_end_comes_after_the_last_bytes(last):
    """The end of a body, good or bad, is told once all of it was handed on."""
    connection, parts, over = streaming()
    connection.data_received(last)
    assert not await over
    assert parts == [b"last"]
    assert connection.response.over
    await asyncio.sleep(0)


async def test_a_lost_connection_is_told():
    """A provider that hangs up within a body ends the handing on."""
    connection, parts, over = streaming()
    connection.data_received(b"2\r\nhi\r\n")
    connection.eof_received()
    assert not await over
    assert (parts, connection.response.failure) == ([b"hi"], (Kind.TRUNCATED, "connection closed within the body"))
    await asyncio.sleep(0)


async def test_a_fault_of_the_taker_reaches_who_waits():
    """What is wrong with the bytes is told to the request, not to the loop; a bug to both."""
    connection, _, over = streaming()
    connection.data_received(b"3\r\nbad\r\n")
    with pytest.raises(Fault):
        await over
    connection, _, over = streaming()
    with pytest.raises(ZeroDivisionError):
        connection.data_received(b"3\r\nbug\r\n")
    with pytest.raises(ZeroDivisionError):
        await over


@pytest.mark.parametrize("end", [b"", b"0\r\n\r\n", b"no chunk\r\n"])
async def test_a_fault_of_the_taker_counts_more_than_the_end(end):
    """Bytes that are wrong and the end of the body in one read: who waits hears of the fault, once."""
    connection, _, over = streaming()
    connection.data_received(b"3\r\nbad\r\n" + end)
    connection.eof_received()
    with pytest.raises(Fault) as caught:
        await over
    assert caught.value.kind is Kind.BAD_ANSWER


async def test_a_taker_may_give_the_connection_up():
    """What it does to the connection ends the handing on; nothing is told twice."""
    connection, _ = asked()
    connection.data_received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")

    def sink(data: bytes) -> bool:
        connection.abort()
        return data == b""

    over = connection.pour(sink, FAR, now() + FAR)
    connection.data_received(b"2\r\nhi\r\n")
    assert not await over
    assert connection.closed


async def test_nobody_gets_the_bytes_of_another_request():
    """A taker of before hears nothing of what is asked next over the same connection."""
    connection, parts, over = streaming()
    connection.data_received(b"3\r\nbad\r\n0\r\n\r\n")
    with pytest.raises(Fault):
        await over
    connection.rest(FAR)
    connection.ask("POST", b"head", b"body")
    news = connection.news(now() + FAR)
    connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nother")
    await news
    assert (parts, connection.take()) == ([b"bad"], b"other")


async def test_bytes_put_the_deadline_off():
    """A stream may last as long as it says something, up to its own deadline."""
    connection, parts, over = streaming(idle=0.02)
    started = now()
    for _ in range(8):
        await asyncio.sleep(0.005)
        connection.data_received(b"2\r\nhi\r\n")
    with pytest.raises(TimeoutError):
        await over
    assert now() - started >= 0.05
    connection, parts, over = streaming(idle=0.5, deadline=0.01)
    connection.data_received(b"2\r\nhi\r\n")
    with pytest.raises(TimeoutError):
        await over
    assert parts == [b"hi"]
    await asyncio.sleep(0)


async def test_bytes_nobody_asked_for_close_the_connection():
    """An idle connection that speaks is dropped: the next request would get the wrong answer."""
    connection = Connection()
    line = Line(connection)
    connection.rest(FAR)
    connection.data_received(ok())
    assert (connection.closed, line.said) == (True, ["abort"])
    with pytest.raises(Fault) as caught:
        connection.ask("POST", b"head", b"body")
    assert (caught.value.kind, line.written) == (Kind.RESET, [])


async def test_connection_is_done_only_when_nothing_is_left_of_the_request():
    """Another request may go out once the answer is whole, taken, and our own request left completely."""
    connection, line = asked()
    assert not connection.done()
    connection.data_received(ok(b"hi"))
    assert not connection.done()
    connection.take()
    assert connection.done()
    line.unsent = 1
    assert not connection.done()


async def test_idle_connection_closes_itself():
    """A connection that rests too long goes away without anybody looking after it."""
    connection, _ = asked()
    gone = asyncio.Event()
    connection.adopt(lambda lost: gone.set())
    connection.data_received(ok(b""))
    connection.rest(0.005)
    async with asyncio.timeout(10):
        await gone.wait()
    assert (connection.served, connection.closed) == (1, True)


async def test_loss_before_adoption_is_told_too():
    """A connection may break before anybody owns it; its place is free again all the same."""
    connection = Connection()
    Line(connection)
    connection.connection_lost(ConnectionResetError(104, "Connection reset by peer"))
    told: list[Connection] = []
    connection.adopt(told.append)
    assert told == [connection]


async def test_connection_made_after_it_was_given_up_is_closed():
    """A dial that was cancelled in its last moment leaves no connection behind."""
    connection = Connection()
    connection.abort()
    assert Line(connection).said == ["abort"]
    await asyncio.sleep(0)
