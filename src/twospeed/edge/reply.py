"""The answer to one request: whole in one write, or a stream of chunks with back-pressure.

Framing is made here and nowhere else: callers pass no Content-Length, Transfer-Encoding or Connection header, except a
Connection that only names another header.
A head that is started is held and leaves together with the first data.
"""

from collections.abc import Iterable
from http import HTTPStatus

from msgspec import Struct

from twospeed.edge.line import Line
from twospeed.edge.wire import Head
from twospeed.errors import Fault, Kind

_STATUS_LINES = {status.value: b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}
_ENDS = {False: b"connection: close\r\n\r\n", True: b"connection: keep-alive\r\n\r\n"}  # True only for HTTP/1.0
_BODILESS = frozenset((204, 304))


class Reply(Struct, eq=False):
    """Answers one request, exactly once: `send`, or `start`, `write`..., `finish`.

    `started`: a status line was written or is held. `status`: 0 until then. `bytes_out`: bytes of body handed to the
    connection, without framing. `extra`: headers that every answer to this request has. `done`: the answer is complete, or was aborted. `gone`: the client left or stalled
    before that; nothing more reaches it. `keep_alive`: the connection will serve another request.
    """

    _line: Line
    keep_alive: bool
    _http10: bool
    _bare: bool  # of an answer to HEAD, which has no body
    _held: bytes = b""
    extra: tuple[tuple[bytes, bytes], ...] = ()
    started: bool = False
    done: bool = False
    gone: bool = False
    status: int = 0
    bytes_out: int = 0

    def send(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        """Write the whole answer at once. To a client that is gone: nothing.

        Raises: RuntimeError for a second answer, ValueError for a header with a line break in it.
        """
        self._begin(status)
        framing = b"" if status in _BODILESS else b"content-length: %d\r\n" % len(body)
        if self._bare or not framing:
            body = b""
        data = self._head(status, headers, framing) + body
        self.bytes_out = len(body)
        self.done = True
        if not self.gone:
            self._line.transport.write(data)

    def start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Begin a stream. The head leaves with the first data. HTTP/1.0 gets the bare data, ended by closing.

        Raises: RuntimeError for a second answer, ValueError for a header with a line break in it.
        """
        self._begin(status)
        self.keep_alive = self.keep_alive and not self._http10
        framing = b"" if self._http10 else b"transfer-encoding: chunked\r\n"
        self._held = self._head(status, headers, framing)

    async def write(self, data: bytes) -> None:
        """Send one chunk and wait while the client does not keep up. Raises: as `put` and `drained`."""
        if not self.put(data):
            await self.drained()

    async def drained(self) -> None:
        """Wait while the client does not keep up.

        Raises: Fault CLIENT_STALLED when the client took nothing for `stall_timeout`, CLIENT_GONE when it left.
        """
        if self._line.paused:
            await self._line.drained()

    def put(self, data: bytes) -> bool:
        """Send one chunk; return whether the client keeps up. Empty data does nothing. Raises: Fault CLIENT_GONE."""
        if self.gone:
            raise Fault(Kind.CLIENT_GONE)
        if not self.started or self.done:
            raise RuntimeError("write outside of a started answer")
        line = self._line
        self.bytes_out += len(data)
        if data and not self._bare:
            chunk = data if self._http10 else b"%x\r\n%b\r\n" % (len(data), data)
            line.transport.write(self._release() + chunk if self._held else chunk)
        return not line.paused

    def beat(self, data: bytes) -> None:
        """Send one chunk now if a stream is under way and the client reads; else nothing. Never waits."""
        if self.started and not (self.done or self.gone or self._bare or self._line.paused):
            self.bytes_out += len(data)
            chunk = data if self._http10 else b"%x\r\n%b\r\n" % (len(data), data)
            self._line.transport.write(self._release() + chunk)

    def finish(self, data: bytes = b"") -> None:
        """End the stream, with last data if any, in one write. To a client that is gone: nothing.

        Raises: RuntimeError when no stream is under way.
        """
        if not self.started or (self.done and not self.gone):
            raise RuntimeError("finish outside of a started answer")
        if self.gone:
            return
        self.done = True
        self.bytes_out += len(data)
        self._line.transport.write(self._release() + self._ending(data))

    def abort(self, reset: bool = False) -> None:
        """Close the connection at once: the answer cannot end properly and the client must be able to tell.

        Args:
            reset: With RST even where the framing would tell.
        """
        if not self.done:
            self.done = self.gone = True
            self._line.abort(reset=reset or self._http10)

    def spill(self, data: bytes) -> None:
        """Write bytes as they are, behind a held head: for a simulated provider that answers wrongly on purpose."""
        if not self.gone:
            self._line.transport.write(self._release() + data)

    def _begin(self, status: int) -> None:
        if self.started:
            raise RuntimeError("a second answer to one request")
        self.started = True
        self.status = status
        if self._line.closing:
            self.keep_alive = False

    def _head(self, status: int, headers: Iterable[tuple[bytes, bytes]], framing: bytes) -> bytes:
        end = b"\r\n" if self.keep_alive and not self._http10 else _ENDS[self.keep_alive]
        if self.extra:
            headers = (*headers, *self.extra)
        return status_line(status) + header_lines(headers) + framing + end

    def _release(self) -> bytes:
        held, self._held = self._held, b""
        return held

    def _ending(self, data: bytes) -> bytes:
        if self._bare:
            return b""
        if self._http10:
            return data
        return b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else b"0\r\n\r\n"


def reply_to(head: Head, line: Line) -> Reply:
    """Return the reply to one request, not begun."""
    return Reply(line, head.keep_alive, head.http10, head.method == "HEAD")


def status_line(status: int) -> bytes:
    """Return the first line of a response, with its line end; a status without a phrase of its own has none."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def header_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return header lines, each with its line end.

    Raises: ValueError for a name or value with a line break in it.
    """
    lines = [*map(b": ".join, headers), b""]
    text = b"\r\n".join(lines)
    ends = len(lines) - 1
    if text.count(b"\n") != ends or text.count(b"\r") != ends:
        raise ValueError("line break in a response header")
    return text
