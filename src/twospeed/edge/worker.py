"""One of several serving processes: a Server that its supervisor talks to, and that stops when the supervisor is gone.

The supervisor is the one that people talk to: a worker leaves SIGINT and SIGHUP to it and has no admin listener.

Tasks: the one that listens to the supervisor, the one that tells it what was seen of rollouts; awaited by `run`.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Sequence

import msgspec

from twospeed.config import Loaded
from twospeed.edge.channel import COMMIT, FAREWELL, FOLLOW, METRICS, PIN, PREPARE, READY, SEEN, STATUS, Channel, Frame
from twospeed.edge.heap import settle
from twospeed.edge.serve import Server
from twospeed.policy.held import Held
from twospeed.problems import ConfigError

_held = msgspec.msgpack.Decoder(dict[str, Held])
_pin = msgspec.msgpack.Decoder(tuple[str, str, float])
log = logging.getLogger("twospeed")


class Worker:
    """One worker.

    Args:
        load: Makes a configuration of the text of its file. Raises: ConfigError.
        orphaned: Called when the supervisor is gone without having stopped this worker.
        held: States of rollouts to begin with.
    """

    def __init__(
        self, server: Server, load: Callable[[bytes], Loaded], orphaned: Callable[[], None], held: bytes = b""
    ) -> None:
        self._held = held
        self._server = server
        self._orphaned = orphaned
        self._load = load
        self._prepared: Loaded | None = None

    async def run(self, sock: socket.socket) -> None:
        """Serve until SIGTERM, or until the supervisor at the other end of `sock` is gone; then drain."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._server.stop)
        for number in (signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, lambda: None)
        channel = await Channel.over(sock)
        self._follow(self._held)
        await self._server.start()
        settle()
        channel.tell(READY)

        def report(seen: Sequence[bytes]) -> None:
            channel.tell(SEEN, msgspec.msgpack.encode(seen))

        tasks = [asyncio.create_task(work) for work in (self._listen(channel), self._server.arming.run(report))]
        try:
            await self._server.serve()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        channel.tell(FAREWELL, self._metrics())
        await channel.close()

    async def _listen(self, channel: Channel) -> None:
        await channel.run(self.answer)
        log.warning("the supervisor is gone")
        self._orphaned()
        self._server.stop()

    async def answer(self, frame: Frame) -> bytes | None:
        """Answer one question of the supervisor."""
        if frame.word == METRICS:
            return self._metrics()
        if frame.word == STATUS:
            return msgspec.msgpack.encode(await self._server.desk.status())
        if frame.word == PREPARE:
            return self._prepare(frame.body).encode()
        if frame.word == FOLLOW:
            self._follow(frame.body)
        if frame.word == PIN:
            await self._server.desk.pin(*_pin.decode(frame.body))
        if frame.word == COMMIT and self._prepared is not None:
            self._server.adopt(self._prepared)
            self._prepared = None
        return None

    def _follow(self, held: bytes) -> None:
        if held:
            self._server.follow(_held.decode(held))

    def _prepare(self, text: bytes) -> str:
        """Read a new configuration and keep it for `commit`; return what is wrong with it."""
        self._prepared = None
        try:
            self._prepared = self._load(text)
        except ConfigError as error:
            return str(error)
        return ""

    def _metrics(self) -> bytes:
        return msgspec.msgpack.encode(self._server.reporting.metrics.snapshot())
