"""A serving process: starts the listener, keeps it going, reloads on SIGHUP, drains on SIGTERM (R24, R25)."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from twospeed import certificates
from twospeed.config import Loaded
from twospeed.control.rollouts import Rollouts
from twospeed.edge.api import Api
from twospeed.edge.arming import Arming
from twospeed.edge.desk import OneProcess
from twospeed.edge.flag_notes import note_flags
from twospeed.edge.heap import settle, tidy
from twospeed.edge.http import HttpServer
from twospeed.edge.late_admin import Address, LateAdmin
from twospeed.edge.reloads import Reloads
from twospeed.edge.reporting import Reporting
from twospeed.policy.held import Held
from twospeed.problems import ConfigError, Problem
from twospeed.runtime import Runtime, remember, shelf
from twospeed.stores.ledger import Scribe
from twospeed.stores.shared import Host

FLUSH_AFTER = 0.25  # seconds between two writes of the request log
RETIRE_EVERY = 1.0  # seconds between two looks at a snapshot that was replaced
GOODBYE = 5.0  # seconds for telemetry to leave when the server stops
WORKERS_GOODBYE = 3.0  # the same for a worker, whose supervisor waits for all
log = logging.getLogger("twospeed")


class Server:
    """One serving process.

    Args:
        load: Reads the configuration anew. Raises: ConfigError.
        loaded: The configuration to begin with.
        log_format: text, json or off.
        host: Whose worker this is, None when it serves alone.
    """

    def __init__(self, load: Callable[[], Loaded], loaded: Loaded, log_format: str, host: Host | None = None) -> None:
        self._host = host
        self.reloads = Reloads(load, loaded)
        self.reporting = Reporting(loaded, log_format)
        self.sinks = self.reporting.sinks
        self._memory = remember(loaded, host)
        self.api = Api(Runtime(loaded, self._memory, self.sinks, asides=self.reporting.asides))
        if host is not None:
            self.api.runtime.mirror.books.purse.parts = host.workers
        self.http = HttpServer(self.api, loaded.config.listen)
        tls = loaded.config.listen.tls
        self._tls = certificates.server(tls, Path(loaded.path).parent) if tls else None
        self.ledger = Scribe(loaded.ledger)  # of a worker never written: its supervisor keeps the book
        self.arming = Arming()
        self.sinks.append(self.arming.sightings)
        self.reporting.metrics.watch(self.arming.readings)
        self.rollouts = Rollouts(
            shelf(loaded), self.ledger, self._armed, time.time
        )  # of a worker: idle, its supervisor's do
        self.desk = OneProcess(self)
        self._admin = LateAdmin(self.desk, lambda: self.api.runtime.loaded.admins)
        self._stopping = asyncio.Event()
        self._retiring: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Ask for the store, for a second at most, and listen.

        Raises: OSError when the address cannot be had, ConfigError when that of the store is none.
        """
        try:
            await self._memory.start()
        except ValueError as error:
            path = self.api.runtime.loaded.path
            raise ConfigError([Problem(path, 1, 1, ("stores", "redis", "url"), str(error))]) from None
        self.arming.arm(self.api.runtime)
        if self._host is None:
            note_flags(self.ledger, None, self.api.runtime.loaded)
            self.rollouts.configure(self.api.runtime.loaded.config.rollouts)
            await self.rollouts.start()
        await self.http.start(tls=self._tls, reuse_port=self._host is not None)
        self.reporting.start()

    async def run(self, started: Callable[[Address, Address | None], None]) -> None:
        """Serve until SIGTERM or SIGINT, then drain.

        `started` hears the address once it answers, and that of the admin listener, None when it is off.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        await self.start()
        admin = self._admin.open_if_free(self.api.runtime.loaded.config.admin)
        settle()
        started(self.http.address, admin)
        await self.serve()

    def stop(self) -> None:
        """Let `serve` come to its end."""
        self._stopping.set()

    async def serve(self) -> None:
        """Keep a started server going until it is stopped, then drain it and close everything."""
        # Both end with this function, which awaits them.
        tasks = [asyncio.create_task(work) for work in (self._flush(), self.reporting.run())]
        if self._host is None:
            tasks += [
                asyncio.create_task(work) for work in (self.rollouts.run(), self.arming.run(self.rollouts.report))
            ]
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
        return self._admin.open(self.api.runtime.loaded.config.admin)

    def reload(self) -> str:
        """Swap in a new snapshot; an invalid file changes nothing and is reported. Returns what is wrong with it."""
        loaded = self.reloads.read()
        if isinstance(loaded, str):
            return loaded
        self.adopt(loaded)
        self.reloads.done(loaded)
        return ""

    def adopt(self, loaded: Loaded) -> None:
        """Serve by this configuration from the next request on."""
        old = self.api.runtime
        new = Runtime(loaded, self._memory, self.sinks, old, self.reporting.asides)
        self.arming.arm(new)
        self.api.runtime = new
        old.mirror.drop()
        if self._host is None:
            note_flags(self.ledger, old.loaded, loaded)
        self.rollouts.configure(loaded.config.rollouts)
        self._retiring = asyncio.create_task(self._retire(self._retiring, old, new))
        self._retiring.add_done_callback(lambda _: tidy())
        self._memory.health.settings = loaded.config.breaker
        self._renew(loaded)
        self.reporting.reloaded(loaded)

    def follow(self, held: Mapping[str, Held]) -> None:
        """Serve by these states of rollouts from the next request on."""
        self.arming.follow(held, self.api.runtime)

    async def _armed(self, held: Mapping[str, Held]) -> None:
        self.follow(held)

    def _renew(self, loaded: Loaded) -> None:
        """Show clients that come from now on the certificate there is now."""
        tls = loaded.config.listen.tls
        if self._tls is not None and tls is not None:
            try:
                certificates.renew(self._tls, tls, Path(loaded.path).parent)
            except certificates.Unusable as error:  # was good when the file was checked, a moment ago
                log.error("listen.tls.%s: %s: the certificate before stays in use", error.key, error)

    async def drain(self) -> None:
        """Stop accepting, let what runs finish, cut what is left at the deadline."""
        loop = asyncio.get_running_loop()
        self.api.draining = True
        self.http.stop_accepting()
        self.api.runtime.mirror.drop()
        if self.http.in_flight:
            log.warning("draining: %d requests in flight", self.http.in_flight)
        await self.http.drained(loop.time() + self.api.runtime.loaded.config.listen.drain)
        await self.http.close()
        await self.api.runtime.close()
        if self._retiring is not None:
            self._retiring.cancel()
            await asyncio.gather(self._retiring, return_exceptions=True)

    async def close(self) -> None:
        """Close the admin listener, send what the store and telemetry have not been told yet."""
        await self._admin.close()
        await self.ledger.close()
        await self._memory.close()
        await self.reporting.close(GOODBYE if self._host is None else WORKERS_GOODBYE)

    async def _retire(self, earlier: "asyncio.Task[None] | None", old: Runtime, new: Runtime) -> None:
        """Close a snapshot once its last request has ended; snapshots go in the order they came, as they share parts."""
        try:
            if earlier is not None:
                await earlier
            await asyncio.sleep(old.loaded.config.listen.body_timeout)  # for requests whose body is still on its way
            while old.proxy.serving:  # noqa: ASYNC110 - an event would cost every request
                await asyncio.sleep(RETIRE_EVERY)
        finally:
            await old.close(new)

    async def _flush(self) -> None:
        while lines := self.reporting.lines:
            await asyncio.sleep(FLUSH_AFTER)
            lines.flush()
