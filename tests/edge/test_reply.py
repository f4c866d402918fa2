"""Answers as bytes: framing, one write where one is enough, nothing after the end."""

import asyncio

import pytest

from twospeed.edge.line import Line
from twospeed.edge.reply import header_lines, reply_to, status_line
from twospeed.edge.wire import Head
from twospeed.errors import Fault, Kind

TEXT = [(b"content-type", b"text/plain")]


class Sink(asyncio.Transport):
    """A transport that keeps what is written. `writes`: one entry per call."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.writes.append(bytes(data))

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


class Desk:
    """A reply and what it wrote."""

    def __init__(
        self, method: str = "GET", http10: bool = False, keep_alive: bool = True, closing: bool = False
    ) -> None:
        self.sink = Sink()
        self.line = Line(self.sink, asyncio.get_running_loop(), stall_timeout=1.0)
        self.line.closing = closing
        self.reply = reply_to(Head(method, "/", "", {}, http10=http10, keep_alive=keep_alive), self.line)

    @property
    def writes(self) -> list[bytes]:
        return self.sink.writes


async def test_a_whole_answer_is_one_write():
    """Head and body leave together, with their length."""
    desk = Desk()
    desk.reply.send(200, TEXT, b"hello")
    assert desk.writes == [b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello"]
    assert (desk.reply.status, desk.reply.bytes_out, desk.reply.started, desk.reply.done) == (200, 5, True, True)


@pytest.mark.parametrize(
    ("facts", "extra"),
    [
        ({"keep_alive": False}, b"connection: close\r\n"),
        ({"closing": True}, b"connection: close\r\n"),
        ({"http10": True, "keep_alive": False}, b"connection: close\r\n"),
        ({"http10": True}, b"connection: keep-alive\r\n"),
    ],
)
async def test_the_client_is_told_what_becomes_of_the_connection(facts, extra):
    """`close` when it ends, `keep-alive` for HTTP/1.0 clients that asked, nothing otherwise."""
    desk = Desk(**facts)
    desk.reply.send(404, [], b"")
    assert desk.writes == [b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n" + extra + b"\r\n"]


async def test_head_is_answered_without_a_body():
    """The answer to HEAD says how long the body would be, and has none."""
    desk = Desk("HEAD")
    desk.reply.send(200, [], b"hello")
    assert desk.writes == [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"]
    assert desk.reply.bytes_out == 0
    desk = Desk("HEAD")
    desk.reply.start(200, [])
    await desk.reply.write(b"hello")
    desk.reply.finish(b"!")
    assert b"".join(desk.writes) == b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("status", [204, 304])
async def test_some_statuses_have_no_body(status):
    """204 and 304 end with their head."""
    desk = Desk()
    desk.reply.send(status, [], b"")
    assert b"length" not in desk.writes[0]


async def test_a_stream_starts_with_its_first_data():
    """The head waits for the first chunk and leaves in the same write; last data and end are one write too."""
    desk = Desk()
    desk.reply.start(200, TEXT)
    assert desk.reply.started
    assert desk.writes == []
    await desk.reply.write(b"hello")
    await desk.reply.write(b"")
    await desk.reply.write(b"x" * 16)
    desk.reply.finish(b"bye")
    assert desk.writes == [
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"10\r\n" + b"x" * 16 + b"\r\n",
        b"3\r\nbye\r\n0\r\n\r\n",
    ]
    assert (desk.reply.bytes_out, desk.reply.done) == (24, True)


async def test_a_stream_says_whether_the_client_keeps_up():
    """Who puts too much for a client that does not read is told so, and can wait for it."""
    desk = Desk()
    desk.reply.start(200, [])
    assert desk.reply.put(b"hello")
    await desk.reply.drained()
    desk.line.pause()
    assert not desk.reply.put(b"more")
    waiting = asyncio.ensure_future(desk.reply.drained())
    await asyncio.sleep(0)
    assert not waiting.done()
    desk.line.resume()
    await waiting
    assert desk.reply.put(b"")
    assert len(desk.writes) == 2


@pytest.mark.parametrize("last", [b"", b"hi"])
async def test_a_stream_may_be_finished_at_once(last):
    """A stream without other data is still well-formed, in one write."""
    desk = Desk()
    desk.reply.start(200, [])
    desk.reply.finish(last)
    end = b"2\r\nhi\r\n0\r\n\r\n" if last else b"0\r\n\r\n"
    assert desk.writes == [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + end]


async def test_http10_streams_end_by_closing():
    """A client that knows no chunks gets bare data, and the end of the connection as the end."""
    desk = Desk(http10=True, keep_alive=True)
    desk.reply.start(200, [])
    await desk.reply.write(b"hello")
    desk.reply.finish(b"!")
    assert b"".join(desk.writes) == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello!"
    assert not desk.reply.keep_alive


async def test_one_request_has_one_answer():
    """A second answer, or data outside of one, is a mistake that shows."""
    desk = Desk()
    with pytest.raises(RuntimeError):
        await desk.reply.write(b"early")
    with pytest.raises(RuntimeError):
        desk.reply.finish()
    desk.reply.send(200, [], b"")
    for again in (lambda: desk.reply.send(200, [], b""), lambda: desk.reply.start(200, []), desk.reply.finish):
        with pytest.raises(RuntimeError):
            again()
    assert len(desk.writes) == 1


@pytest.mark.parametrize("pair", [(b"x", b"a\r\nb: c"), (b"x", b"a\nb"), (b"x", b"a\rb"), (b"x\n", b"a")])
async def test_headers_cannot_smuggle_lines(pair):
    """A line break in a header is refused before anything is written."""
    desk = Desk()
    with pytest.raises(ValueError, match="line break"):
        desk.reply.send(200, [pair], b"")
    assert desk.writes == []


async def test_nothing_reaches_a_client_that_is_gone():
    """Writing says that it left; ending the answer is harmless."""
    desk = Desk()
    desk.reply.start(200, [])
    desk.reply.gone = True
    with pytest.raises(Fault) as caught:
        await desk.reply.write(b"hello")
    assert caught.value.kind is Kind.CLIENT_GONE
    desk.reply.finish(b"bye")
    assert desk.writes == []
    desk = Desk()
    desk.reply.gone = True
    desk.reply.send(200, [], b"hello")
    assert desk.writes == []


async def test_an_aborted_answer_is_over():
    """Aborting hangs up once; what comes after it has no effect."""
    desk = Desk()
    desk.reply.start(200, [])
    await desk.reply.write(b"hello")
    desk.reply.abort()
    desk.reply.finish(b"bye")
    assert desk.sink.aborted
    assert len(desk.writes) == 1
    assert desk.reply.gone


async def test_bytes_may_be_spilt_as_they_are():
    """A simulated provider can write what no proper answer holds."""
    desk = Desk()
    desk.reply.start(200, [])
    desk.reply.spill(b"zz\r\n")
    assert desk.writes == [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"]


def test_lines_of_a_head():
    """Known statuses have their phrase, others none; headers keep their order."""
    assert status_line(529) == b"HTTP/1.1 529 \r\n"
    assert status_line(429) == b"HTTP/1.1 429 Too Many Requests\r\n"
    assert header_lines([(b"b", b"1"), (b"a", b"")]) == b"b: 1\r\na: \r\n"
