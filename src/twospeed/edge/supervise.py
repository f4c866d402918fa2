"""Several serving processes on one port: started, watched, replaced, reloaded and stopped together.

    the port     held here, listened on by each worker (SO_REUSEPORT); the kernel spreads connections
    a folder     the mapped limits, breakers and sessions, and the configuration in force (`crew`)
    a channel    to each worker: questions down, counts up; its end is how a worker learns that we are gone

Tasks: one per berth, the one that collects counts, the one that leads rollouts, and reloads on SIGHUP; `run` awaits them all.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from twospeed.config import Loaded
from twospeed.control.rollouts import Rollouts
from twospeed.edge.berth import Berth
from twospeed.edge.channel import COMMIT, FOLLOW, PREPARE
from twospeed.edge.crew import Crew, gathered
from twospeed.edge.flag_notes import note_flags
from twospeed.edge.fleet import Fleet
from twospeed.edge.heap import settle
from twospeed.edge.late_admin import Address, LateAdmin
from twospeed.edge.reloads import Reloads
from twospeed.edge.sockets import reserved
from twospeed.policy.held import Held
from twospeed.runtime import shelf
from twospeed.stores.ledger import Scribe
from twospeed.stores.shared import forget

GRACE = 5.0  # seconds beyond the drain deadline before a worker is killed
COLLECT_EVERY = 2.0  # seconds between two looks at the counts; what a killed worker counted since is lost
ANSWER_WITHIN = 5.0  # seconds for a worker to check a configuration
FOLLOW_WITHIN = 0.5  # seconds for a worker to say that it serves by new states of rollouts

Command = Callable[[Crew, int, int, int], Sequence[str]]
log = logging.getLogger("twospeed")


class Supervisor:
    """Runs `workers` serving processes.

    Args:
        load: Reads the configuration anew. Raises: ConfigError.
        loaded: The configuration to begin with.
        command: Returns a worker's command line, by crew, port, number and descriptor of its end of the channel.
    """

    def __init__(self, load: Callable[[], Loaded], loaded: Loaded, workers: int, command: Command) -> None:
        self.loaded = loaded
        self.reloads = Reloads(load, loaded)
        self.berths: list[Berth] = []
        self.draining = False
        self._workers = workers
        self._command = command
        self.ledger = Scribe(loaded.ledger)
        self.rollouts = Rollouts(shelf(loaded), self.ledger, self._armed, time.time)
        self._admin = LateAdmin(Fleet(self), lambda: self.loaded.admins)
        self._stopping = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, started: Callable[[Address, Address | None], None]) -> bool:
        """Serve until SIGTERM or SIGINT, then drain; `started` is as that of `Server.run`.

        Returns: Whether every worker ended as it should. Raises: OSError when the address cannot be had.
        """
        listen = self.loaded.config.listen
        with reserved(listen.host, listen.port) as sock, gathered(self.loaded.text) as crew:
            self._crew = crew
            host, port = sock.getsockname()[:2]
            self._obey()
            note_flags(self.ledger, None, self.loaded)
            self.rollouts.configure(self.loaded.config.rollouts)
            await self.rollouts.start()
            leading = asyncio.create_task(self.rollouts.run())
            serving = self._staff(port)
            good = await self._all_ready(serving)
            if good and not self._stopping.is_set():
                admin = self._admin.open_if_free(self.loaded.config.admin)
                settle()
                started((host, port), admin)
                await self._until_stopped()
            try:
                return await self._drain(serving) and good
            finally:
                leading.cancel()
                await asyncio.gather(leading, return_exceptions=True)
                await self._admin.close()
                await self.ledger.close()

    def stop(self) -> None:
        """Let `run` come to its end."""
        self._stopping.set()

    async def reload(self) -> str:
        """Let all workers serve by a new configuration, or none; return what is wrong with it."""
        async with self._reloading:
            loaded = self.reloads.read()
            if isinstance(loaded, str):
                return loaded
            answers = await asyncio.gather(*(berth.ask(PREPARE, loaded.text, ANSWER_WITHIN) for berth in self.berths))
            wrong = [answer.decode() for answer in answers if answer]
            if wrong:
                self.reloads.refused(wrong[0])
                return wrong[0]
            self._crew.publish(loaded.text)  # for those who start from now on
            note_flags(self.ledger, self.loaded, loaded)
            self.loaded = loaded
            # Who has not answered yet, since it is just starting or hangs, finds both in its channel, in this order.
            await asyncio.gather(*(berth.ask(COMMIT, b"", ANSWER_WITHIN) for berth in self.berths))
            self.rollouts.configure(loaded.config.rollouts)
            self.reloads.done(loaded)
            return ""

    async def _armed(self, held: Mapping[str, Held]) -> None:
        """Let all workers serve by these states of rollouts, those that start from now on too."""
        body = msgspec.msgpack.encode(held)
        self._crew.stand(body)
        asked = (berth.ask(FOLLOW, body, FOLLOW_WITHIN if berth.ready.is_set() else 0.0) for berth in self.berths)
        await asyncio.gather(*asked)

    def _obey(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._own(self.reload()))

    def _own(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _staff(self, port: int) -> "set[asyncio.Task[None]]":
        tables = self._crew.tables()

        def vacated(number: int) -> None:
            forget(tables, number, time.monotonic())

        def command(number: int, descriptor: int) -> Sequence[str]:
            return self._command(self._crew, port, number, descriptor)

        self.berths = [Berth(number, command, vacated) for number in range(self._workers)]
        for berth in self.berths:
            berth.seen = self.rollouts.report
        return {asyncio.create_task(berth.run()) for berth in self.berths}

    async def _all_ready(self, serving: "set[asyncio.Task[None]]") -> bool:
        """Wait until every worker serves; False when one ended instead."""
        ready = asyncio.gather(*(berth.ready.wait() for berth in self.berths))
        stopped = asyncio.create_task(self._stopping.wait())
        waited: list[asyncio.Future[Any]] = [ready, stopped]
        await asyncio.wait([*waited, *serving], return_when=asyncio.FIRST_COMPLETED)
        good = not any(task.done() for task in serving)
        for waiting in waited:
            waiting.cancel()
        await asyncio.gather(*waited, return_exceptions=True)
        if not good:
            log.error("a worker ended before it served: not started")
        return good

    async def _until_stopped(self) -> None:
        watching, stopped = asyncio.create_task(self._watch()), asyncio.create_task(self._stopping.wait())
        await asyncio.wait((watching, stopped), return_when=asyncio.FIRST_COMPLETED)
        watching.cancel()
        stopped.cancel()
        with suppress(asyncio.CancelledError):
            await watching

    async def _watch(self) -> None:
        """Collect counts and look after the silent."""
        while True:
            await asyncio.gather(*(berth.count(COLLECT_EVERY) for berth in self.berths))
            for berth in self.berths:
                berth.watch()
            await asyncio.sleep(COLLECT_EVERY)

    async def _drain(self, serving: "set[asyncio.Task[None]]") -> bool:
        """Let all workers drain; kill those that have not after the deadline. Returns whether there were none."""
        self.draining = True
        for berth in self.berths:
            berth.stop()
        _, late = await asyncio.wait(serving, timeout=self.loaded.config.listen.drain + GRACE)
        for berth in self.berths:
            if berth.pid is not None:
                log.error("worker %d did not drain in time and is killed", berth.number)
                berth.kill()
        await asyncio.gather(*serving, *self._tasks, return_exceptions=True)
        return not late and all(berth.ended in (0, -signal.SIGTERM) for berth in self.berths)
