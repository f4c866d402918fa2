"""A server that plays scripts, so that a test shows the wire: bytes it sends, and when it reads, waits and hangs up.

    Wire([ASK, b"HTTP/1.1 200 OK\\r\\n", b"content-length: 2\\r\\n\\r\\nhi", CLOSE])

Each connection plays the next script, the last one for all that follow. A script that ends leaves the connection
open until the peer closes it.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Sequence
from enum import Enum, auto
from typing import Self

PATIENCE = 10  # seconds until a test that hangs is told so


class Step(Enum):
    """What a script does besides sending bytes."""

    ASK = auto()  # read one whole request
    HEAD = auto()  # read the head of a request and leave its body where it is
    CLOSE = auto()  # end of stream
    RESET = auto()  # hang up the rude way
    GONE = auto()  # wait until the peer has hung up


ASK, HEAD, CLOSE, RESET, GONE = Step
Script = Sequence[bytes | Step | asyncio.Event]


def ok(body: bytes = b"hi", *headers: bytes) -> bytes:
    """A whole answer with status 200."""
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n%b" % (lines, len(body), body)


class Wire:
    """The server: `async with Wire(script, ...) as wire`.

    `requests`: heads and bodies as they came. `accepted`: connections so far. `open`: connections now.
    """

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self._scripts = list(scripts)
        self._tls = tls
        self._host = host
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()
        self.requests: list[bytes] = []
        self.accepted = 0
        self.open = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, 0, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """A base_url."""
        return f"{'https' if self._tls else 'http'}://{self._host}:{self.port}/v1"

    async def until_open(self, count: int) -> None:
        """Wait until that many connections are open."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: self.open == count)

    async def until_asked(self, count: int) -> None:
        """Wait until that many requests have come."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: len(self.requests) >= count)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        script = self._scripts[min(self.accepted, len(self._scripts) - 1)]
        self.accepted += 1
        await self._count(1)
        try:
            for step in [*script, GONE]:
                await self._play(step, reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the peer left, or the test ended, before the script did
        finally:
            writer.transport.abort()
            self._tasks.discard(task)
            await self._count(-1)

    async def _play(
        self, step: bytes | Step | asyncio.Event, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if writer.is_closing():
            raise ConnectionResetError
        if isinstance(step, bytes):
            writer.write(step)
            await writer.drain()
            await asyncio.sleep(0.001)  # so that the next bytes come apart from these
        elif isinstance(step, asyncio.Event):
            await step.wait()
        elif step is ASK:
            self.requests.append(await _request(reader))
            await self._count(0)
        elif step is HEAD:
            await reader.readuntil(b"\r\n\r\n")
        elif step is CLOSE:
            writer.write_eof() if writer.can_write_eof() else writer.close()
        elif step is RESET:
            plain = writer.get_extra_info("socket")
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        elif step is GONE:
            while await reader.read(65_536):
                pass

    async def _count(self, change: int) -> None:
        self.open += change
        async with self._changed:
            self._changed.notify_all()


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return head + await reader.readexactly(length)
