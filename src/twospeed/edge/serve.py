"""A serving process: starts the listener, keeps it going, reloads on SIGHUP, drains on SIGTERM (R24, R25)."""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from twospeed.config import Loaded
from twospeed.edge.api import Api
from twospeed.edge.desk import OneProcess
from twospeed.edge.http import HttpServer
from twospeed.edge.reporting import Reporting
from twospeed.edge.sockets import listening
from twospeed.problems import ConfigError
from twospeed.runtime import Runtime, remember

if TYPE_CHECKING:
    from twospeed.edge.admin import Admin

Address = tuple[str, int]
FLUSH_AFTER = 0.25  # seconds between two writes of the request log
GOODBYE = 5.0  # seconds for telemetry to leave when the server stops
log = logging.getLogger("twospeed")


class Server:
    """One serving process.

    Args:
        load: Reads the configuration anew. Raises: ConfigError.
        loaded: The configuration to begin with.
        log_format: text, json or off.
    """

    def __init__(self, load: Callable[[], Loaded], loaded: Loaded, log_format: str) -> None:
        self._load = load
        self.reporting = Reporting(loaded, log_format)
        self.sinks = self.reporting.sinks
        self._memory = remember(loaded.config.breaker)
        self.api = Api(Runtime(loaded, self._memory, self.sinks))
        self.http = HttpServer(self.api, loaded.config.listen)
        self.desk = OneProcess(self)
        self._admin: asyncio.Task[Admin] | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Listen. Raises: OSError when the address cannot be had."""
        await self.http.start()
        self.reporting.start()

    async def run(self, started: Callable[[Address, Address | None], None]) -> None:
        """Serve until SIGTERM or SIGINT, then drain.

        `started` hears the address once it answers, and that of the admin listener, None when it is off.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        await self.start()
        admin = self._open_admin()
        settle()
        started(self.http.address, admin)
        # Both end with this function, which awaits them.
        tasks = [asyncio.create_task(self._flush()), asyncio.create_task(self.reporting.run())]
        try:
            await self._stopping.wait()
            await self.drain()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.close()

    def open_admin(self) -> Address:
        """Open the admin listener and return its address; it answers once it is loaded. Raises: OSError."""
        settings = self.api.runtime.loaded.config.admin
        sock = listening(settings.host, settings.port)
        self._admin = asyncio.create_task(self._serve_admin(sock))  # awaited by `close`
        host, port = sock.getsockname()[:2]
        return host, port

    def reload(self) -> str:
        """Swap in a new snapshot; an invalid file changes nothing and is reported. Returns what is wrong with it."""
        try:
            loaded = self._load()
        except ConfigError as error:
            log.error("the configuration was not reloaded, the one before stays in force:\n%s", error)
            self.desk.reloads["refused"] += 1
            return str(error)
        old, self.api.runtime = self.api.runtime, Runtime(loaded, self._memory, self.sinks)
        asyncio.get_running_loop().create_task(old.close())
        self.reporting.reloaded(loaded)
        self.desk.reloads["ok"] += 1
        log.warning("configuration reloaded")
        return ""

    async def drain(self) -> None:
        """Stop accepting, let what runs finish, cut what is left at the deadline."""
        loop = asyncio.get_running_loop()
        self.api.draining = True
        self.http.stop_accepting()
        if self.http.in_flight:
            log.warning("draining: %d requests in flight", self.http.in_flight)
        await self.http.drained(loop.time() + self.api.runtime.loaded.config.listen.drain)
        await self.http.close()
        await self.api.runtime.close()

    async def close(self) -> None:
        """Close the admin listener and send what telemetry is left."""
        if self._admin is not None:
            admin = await self._admin
            await admin.close()
        await self.reporting.close(GOODBYE)

    def _open_admin(self) -> Address | None:
        """Open the admin listener; nobody asked for the usual port, so that one may be taken."""
        settings = self.api.runtime.loaded.config.admin
        try:
            return self.open_admin()
        except OSError as error:
            if "port" in settings.model_fields_set:
                raise
            log.warning("no admin listener: %s:%d: %s", settings.host, settings.port, error.strerror)
            return None

    async def _serve_admin(self, sock: socket.socket) -> "Admin":
        module = await asyncio.to_thread(import_module, "twospeed.edge.admin")
        admin: Admin = module.Admin(self.desk, lambda: self.api.runtime.loaded.admin_key)
        await admin.start(sock)
        settle()
        return admin

    async def _flush(self) -> None:
        while lines := self.reporting.lines:
            await asyncio.sleep(FLUSH_AFTER)
            lines.flush()


def settle() -> None:
    """Take what was built once out of sight of later collections: it is never garbage."""
    gc.collect()
    gc.freeze()
