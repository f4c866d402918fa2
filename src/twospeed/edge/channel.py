"""Words between the supervisor and one worker, over a pair of sockets they have from the worker's birth.

A frame is four bytes of length, then msgpack: number, word, body. A question has a number and is answered under the same;
a notice has number 0. Either side learns from the end of the stream that the other is gone.

Whoever made a channel runs `run` until it returns, and closes it.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from struct import Struct

import msgspec

METRICS, STATUS, PREPARE, COMMIT, FOLLOW = "metrics", "status", "prepare", "commit", "follow"  # asked of a worker
PIN = "pin"  # asked of one: session, where to, seconds
READY, SEEN, FAREWELL = "ready", "seen", "farewell"  # what it says unasked; the last with its last counts
ANSWER = "answer"
LARGEST = 1 << 24  # bytes of one frame
_LENGTH = Struct(">I")


class Frame(msgspec.Struct, array_like=True):
    """One message."""

    number: int
    word: str
    body: bytes = b""


Handle = Callable[[Frame], Awaitable[bytes | None]]
_decoder = msgspec.msgpack.Decoder(Frame)


class Channel:
    """One end of it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._number = 0

    @classmethod
    async def over(cls, sock: socket.socket) -> "Channel":
        """Speak over a connected socket, which belongs to the channel from here on."""
        sock.setblocking(False)
        return cls(*await asyncio.open_unix_connection(sock=sock))

    @property
    def unanswered(self) -> int:
        """Questions without an answer, those nobody waits for any more included."""
        return len(self._asked)

    async def run(self, handle: Handle) -> None:
        """Read until the other side is gone. What `handle` returns for a question is its answer."""
        try:
            while frame := await self._next():
                if frame.word == ANSWER:
                    self._answered(frame)
                else:
                    answer = await handle(frame)
                    if frame.number:
                        self._send(Frame(frame.number, ANSWER, answer or b""))
        finally:
            for future in self._asked.values():
                future.cancel()

    def tell(self, word: str, body: bytes = b"") -> None:
        """Send a notice. Lost when the other side is gone."""
        self._send(Frame(0, word, body))

    async def ask(self, word: str, body: bytes, timeout: float) -> bytes | None:
        """Ask and return the answer, None when there is none within `timeout` seconds or the other side is gone."""
        if self._reader.at_eof() or self._writer.is_closing():
            return None
        self._number += 1
        answer = self._asked[self._number] = asyncio.get_running_loop().create_future()
        self._send(Frame(self._number, word, body))
        await asyncio.wait([answer], timeout=timeout)
        return answer.result() if answer.done() and not answer.cancelled() else None

    async def close(self) -> None:
        """Let what was said leave, then hang up. The other side must be reading, or gone."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return  # it hung up first

    def abort(self) -> None:
        """Hang up at once."""
        self._writer.transport.abort()

    async def _next(self) -> Frame | None:
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            if length > LARGEST:
                return None
            return _decoder.decode(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, OSError):
            return None

    def _answered(self, frame: Frame) -> None:
        answer = self._asked.pop(frame.number, None)
        if answer is not None and not answer.done():
            answer.set_result(frame.body)

    def _send(self, frame: Frame) -> None:
        if not self._writer.is_closing():
            data = msgspec.msgpack.encode(frame)
            self._writer.write(_LENGTH.pack(len(data)) + data)
