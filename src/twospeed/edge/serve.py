"""A serving process: starts the listener, keeps it going, reloads on SIGHUP, drains on SIGTERM (R24, R25)."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Callable

from twospeed.config import Loaded
from twospeed.edge.api import Api
from twospeed.edge.http import HttpServer
from twospeed.problems import ConfigError
from twospeed.runtime import Runtime, remember
from twospeed.telemetry.lines import RequestLog, json_line, text_line
from twospeed.types import Sink

FLUSH_AFTER = 0.25  # seconds between two writes of the request log
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
        self._lines = request_log(log_format)
        self.sinks: list[Sink] = [self._lines] if self._lines else []
        self._memory = remember(loaded.config.breaker)
        self.api = Api(Runtime(loaded, self._memory, self.sinks))
        self.http = HttpServer(self.api, loaded.config.listen)
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Listen. Raises: OSError when the address cannot be had."""
        await self.http.start()

    async def run(self, started: Callable[[tuple[str, int]], None]) -> None:
        """Serve until SIGTERM or SIGINT, then drain; `started` hears the address once it answers."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        await self.start()
        gc.collect()
        gc.freeze()  # what was built once is never garbage; later collections need not look at it
        started(self.http.address)
        flushing = asyncio.create_task(self._flush())  # ends with this function, which awaits it
        try:
            await self._stopping.wait()
            await self.drain()
        finally:
            flushing.cancel()
            await asyncio.gather(flushing, return_exceptions=True)
            if self._lines:
                self._lines.flush()

    def reload(self) -> None:
        """Swap in a new snapshot; an invalid file changes nothing and is reported."""
        try:
            loaded = self._load()
        except ConfigError as error:
            log.error("the configuration was not reloaded, the one before stays in force:\n%s", error)
            return
        old, self.api.runtime = self.api.runtime, Runtime(loaded, self._memory, self.sinks)
        asyncio.get_running_loop().create_task(old.close())
        log.warning("configuration reloaded")

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

    async def _flush(self) -> None:
        while self._lines:
            await asyncio.sleep(FLUSH_AFTER)
            self._lines.flush()


def request_log(form: str) -> RequestLog | None:
    """Build the request log on standard error, None when it is off."""
    if form == "off":
        return None
    return RequestLog(json_line if form == "json" else text_line, sys.stderr.write)
