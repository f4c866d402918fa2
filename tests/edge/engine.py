"""A listener with a scripted app, and clients that speak to it byte by byte.

    async with listening(Stage(serve)) as server:
        client = await Client.to(server)
        await client.send(request(b"hello"))
        assert (await client.answer()).body == b"hello"

Leaving the block closes the server and checks that no connection and no task stays behind.
"""

import asyncio
import select
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from twospeed.dialects import Refusal
from twospeed.edge.http import Call, Head, HttpServer, Reply
from twospeed.errors import Fault
from twospeed.policy.listen import Listen

PATIENCE = 10  # seconds until a test that hangs is told so
TEXT = ((b"content-type", b"text/plain"),)

Serve = Callable[[Call, Reply], Awaitable[None]]


async def echo(call: Call, reply: Reply) -> None:
    """Answer with the request's body."""
    reply.send(200, TEXT, call.body)


class Stage:
    """An app that does what the test says. `heads`, `calls`, `faults`: what it was asked, in order."""

    def __init__(self, serve: Serve = echo, admit: Callable[[Head], Refusal | None] = lambda head: None) -> None:
        self._serve = serve
        self._admit = admit
        self.heads: list[Head] = []
        self.calls: list[Call] = []
        self.faults: list[Fault] = []

    def admit(self, head: Head) -> Refusal | None:
        self.heads.append(head)
        return self._admit(head)

    def refuse(self, head: Head | None, fault: Fault) -> Refusal:
        self.faults.append(fault)
        return refusal(fault)

    async def serve(self, call: Call, reply: Reply) -> None:
        self.calls.append(call)
        await self._serve(call, reply)

    @property
    def kinds(self) -> list[str]:
        """The faults it rendered."""
        return [str(fault.kind) for fault in self.faults]


class Slow:
    """Serves once it is allowed to. `started`, `ended`, `cancelled`: requests; `gone`: of those cancelled."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.started = self.ended = self.cancelled = self.gone = 0

    async def __call__(self, call: Call, reply: Reply) -> None:
        self.started += 1
        try:
            await self.answer(call, reply)
        except asyncio.CancelledError:
            self.cancelled += 1
            self.gone += reply.gone
            raise
        finally:
            self.ended += 1

    async def answer(self, call: Call, reply: Reply) -> None:
        await self.may.wait()
        reply.send(200, TEXT, call.body)


class Streaming(Slow):
    """Streams two chunks around the wait."""

    async def answer(self, call: Call, reply: Reply) -> None:
        reply.start(200, TEXT)
        await reply.write(b"first")
        await self.may.wait()
        await reply.write(b"second")
        reply.finish()


def refusal(fault: Fault) -> Refusal:
    """A fault as this app says it."""
    return Refusal(fault.meaning.status, TEXT, fault.kind.encode())


@asynccontextmanager
async def listening(app: Stage, **settings: object) -> AsyncIterator[HttpServer]:
    """Run a server with these listener settings."""
    server = HttpServer(app, Listen.model_validate({"port": 0, **settings}))
    await server.start()
    try:
        yield server
    finally:
        async with asyncio.timeout(PATIENCE):
            await server.close()
    assert server.connections == server.in_flight == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


def request(body: bytes = b"", *headers: bytes, line: bytes = b"POST /v1 HTTP/1.1") -> bytes:
    """A whole request."""
    lines = b"".join(header + b"\r\n" for header in headers)
    length = b"content-length: %d\r\n" % len(body) if body else b""
    return line + b"\r\nhost: test\r\n" + lines + length + b"\r\n" + body


class Answer(NamedTuple):
    """One answer as it came. `whole`: its body ended as announced."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    whole: bool = True


class Client:
    """A client that sends and reads exactly what it is told."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._rest = b""

    @classmethod
    async def to(cls, server: HttpServer, receive_buffer: int = 0) -> "Client":
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(sock, server.address)
        return cls(sock)

    async def send(self, data: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._loop.sock_sendall(self._sock, data)

    async def more(self) -> bytes:
        """The next bytes, b"" at the end of the stream."""
        async with asyncio.timeout(PATIENCE):
            return await self._loop.sock_recv(self._sock, 65_536)

    async def until(self, mark: bytes) -> bytes:
        """What comes up to `mark`, which is included."""
        while mark not in self._rest:
            data = await self.more()
            assert data, f"closed before {mark!r}, after {self._rest!r}"
            self._rest += data
        end = self._rest.index(mark) + len(mark)
        got, self._rest = self._rest[:end], self._rest[end:]
        return got

    async def rest(self) -> bytes:
        """Everything up to the end of the stream."""
        while data := await self.more():
            self._rest += data
        got, self._rest = self._rest, b""
        return got

    async def answer(self, to_head: bool = False) -> Answer:
        """Read one answer; `to_head`: it answers a HEAD request."""
        status_line, *lines = (await self.until(b"\r\n\r\n")).removesuffix(b"\r\n\r\n").split(b"\r\n")
        assert status_line.startswith(b"HTTP/1.1 ")
        headers = {name: value for name, _, value in (line.partition(b": ") for line in lines)}
        assert len(headers) == len(lines)
        status = int(status_line.split(b" ")[1])
        if to_head or status in (100, 204, 304):
            return Answer(status, headers, b"")
        if b"content-length" in headers:
            return Answer(status, headers, await self._exactly(int(headers[b"content-length"])))
        if b"transfer-encoding" in headers:
            return Answer(status, headers, *await self._chunks())
        return Answer(status, headers, await self.rest())

    async def _exactly(self, length: int) -> bytes:
        while len(self._rest) < length:
            data = await self.more()
            assert data, "closed within the body"
            self._rest += data
        got, self._rest = self._rest[:length], self._rest[length:]
        return got

    async def _chunks(self) -> tuple[bytes, bool]:
        body = b""
        try:
            while size := int((await self.until(b"\r\n")), 16):
                body += await self._exactly(size)
                assert await self.until(b"\r\n") == b"\r\n"
            assert await self.until(b"\r\n") == b"\r\n"
        except (AssertionError, ConnectionError):
            return body, False
        return body, True

    async def closed(self) -> bool:
        """Wait until the server hangs up; says whether it did so without another byte."""
        try:
            return await self.rest() == b""
        except ConnectionError:
            return True
        finally:
            self.close()

    def pending(self) -> bool:
        """Whether something has come, or the end."""
        return bool(select.select([self._sock], [], [], 0)[0])

    def end(self) -> None:
        """Close the sending side only, as `nc` does (FIN)."""
        self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Hang up."""
        self._sock.close()

    def reset(self) -> None:
        """Hang up the rude way (RST)."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that the server does on its own."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.001)
