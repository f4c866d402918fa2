"""This process as one of the replicas that share a Redis: its links, its signs of life, the news it gives and hears.

Every half second it beats: it proves that Redis can write, learns how many replicas there are, and notices when Redis
has forgotten something (it remembers an earlier beat than our last, after a restart with an old dump or none). News
(sessions that moved, breakers that opened) go through one bounded stream; each beat reads the latest of it.

Tasks: one `Link.run` per link, kept in `_tasks` and ended by `close`. One that a bug has ended is told and begun again, for
nobody would notice that this process counts alone.
"""

import asyncio
import logging
import os
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.resources import files
from typing import Any

from twospeed.stores import RedisStore
from twospeed.stores.redis.dial import dialler
from twospeed.stores.redis.link import Link, Trouble
from twospeed.stores.redis.script import Script

SILENT = 5_000_000  # microseconds after which a replica is taken for gone
START = 1.0  # seconds that starting waits for Redis at most
AGAIN = 3.0  # seconds until a link is begun again that a bug has ended
KEPT, READ, READ_FIRST = 10_000, 500, 2_000  # news: entries kept, read per beat, read at first
_log = logging.getLogger("twospeed.stores.redis")
_BEAT = Script(files(__package__).joinpath("beat.lua").read_text())

Rejoin = Callable[[Link, float], Awaitable[None]]
Hear = Callable[[str, str, float], None]


class Replica:
    """One process among all that share one Redis.

    Args:
        url: Where Redis is, references resolved.
        workers: Processes of this host, the least number of replicas there can be.
        host: What the workers of this host have in common; "" when this process shares with none.
        listens: Whether this process hears the news; one worker of a host does so for all.
    """

    def __init__(self, settings: RedisStore, url: str, workers: int = 1, host: str = "", listens: bool = True) -> None:
        own = os.urandom(6).hex()
        self.name = f"{host}.{own}" if host else own  # begins the ids of permits
        self._home = f"{host}." if host else own  # begins the names of all who share what this process remembers
        self._listens = listens
        self._settings = settings
        self._url = url
        self._workers = workers
        self._seen = 0
        self._links: dict[str, Link] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._beats: dict[Link, int] = {}  # the latest, microseconds of Redis
        self._lost: dict[Link, int] = {}  # since when Redis has forgotten, until it has been told
        self._rejoin: Rejoin | None = None
        self._hear: Hear | None = None
        self._heard = "-"

    @property
    def replicas(self) -> int:
        """How many processes share each limit: as configured, else as last seen."""
        configured = self._settings.replicas
        return configured * self._workers if configured else max(self._seen, self._workers)

    @property
    def state(self) -> str:
        """Either "ok", or "degraded" while any limit is counted in this process alone."""
        return "ok" if self._links and all(link.up for link in self._links.values()) else "degraded"

    def counters(self) -> dict[str, int]:
        """Return calls, timeouts, errors and downs of all links since the start."""
        counts = [link.counts for link in self._links.values()]
        return {name: sum(getattr(one, name) for one in counts) for name in ("calls", "timeouts", "errors", "downs")}

    async def start(self, rejoin: Rejoin, hear: Hear) -> None:
        """Connect; comes back when that has worked or failed, after START at the latest. Redis may be down.

        Args:
            rejoin: Awaited on each beat of a link, with how many seconds back Redis has forgotten what it was told.
            hear: Told the news of others: what, about whom, and how many seconds ago.
        """
        self._rejoin = rejoin
        self._hear = hear
        await asyncio.wait([self.link(self._settings.prefix).known], timeout=START)

    async def close(self) -> None:
        """Say good-bye, so that the others need not wait for the silence, and end."""
        link = self._links.get(self._settings.prefix)
        if link is not None and link.up:
            try:
                await link.command("ZREM", self.key(self._settings.prefix, "replicas"), self.name)
            except Trouble:
                link.up = False  # they will notice the silence
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def link(self, tag: str) -> Link:
        """Return the link to the server that holds the keys of a tag, and start it if it is new."""
        tag = tag if self._settings.cluster else self._settings.prefix
        link = self._links.get(tag)
        if link is None:
            dial = dialler(self._settings, self._url, self.key(tag, "replicas"))
            link = self._links[tag] = Link(dial, lambda link: self._beat(link, tag), self._settings.timeout, tag)
            self._keep(link)
        return link

    def _keep(self, link: Link) -> None:
        if not self._closed:
            task = asyncio.create_task(link.run())
            self._tasks.add(task)
            task.add_done_callback(partial(self._ended, link))

    def _ended(self, link: Link, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        bug = None if task.cancelled() else task.exception()
        if bug is not None:
            where = "".join(traceback.format_tb(bug.__traceback__))
            _log.error("bug: %s while speaking to redis\n%s", type(bug).__qualname__, where)
            task.get_loop().call_later(AGAIN, self._keep, link)

    def key(self, tag: str, rest: str) -> str:
        """Name a key; all keys of a tag lie on one node of a Cluster."""
        return f"{self._settings.prefix}:{{{tag}}}:{rest}"

    def say(self, what: str, about: str) -> None:
        """Tell the other replicas; while Redis is away they are not told."""
        link = self._links.get(self._settings.prefix)
        if link is not None and link.up:
            news = self.key(self._settings.prefix, "news")
            link.notify("XADD", news, "MAXLEN", "~", KEPT, "*", self.name, f"{what} {about}")

    async def _beat(self, link: Link, tag: str) -> None:
        replicas, news = self.key(tag, "replicas"), self.key(tag, "news")
        answer = await link.ask(_BEAT, (replicas, news), ("", self.name, SILENT))
        before, now, count = _understood(answer)
        link.heard_time(now)
        main = tag == self._settings.prefix
        if main:
            self._seen = count
        if before < self._beats.get(link, 0):
            self._lost[link] = min(before, self._lost.get(link, before))
        self._beats[link] = now
        if self._rejoin is not None:
            lost = self._lost.get(link)
            await self._rejoin(link, 0.0 if lost is None else (now - lost) / 1_000_000)
            self._lost.pop(link, None)
        if main and self._listens:
            await self._listen(link, news, now // 1000)

    async def _listen(self, link: Link, news: str, now_ms: int) -> None:
        """Hear what is new; when there is too much, only the latest."""
        most = READ if self._heard != "-" else READ_FIRST
        entries: Any = await link.command("XREVRANGE", news, "+", self._heard, "COUNT", most)
        for entry, (name, text) in reversed(entries):
            entry_id = entry.decode()
            if entry_id != self._heard and not name.startswith(self._home.encode()) and self._hear is not None:
                what, _, about = text.decode(errors="replace").partition(" ")
                self._hear(what, about, (now_ms - int(entry_id.partition("-")[0])) / 1000)
            self._heard = entry_id


def _understood(answer: Any) -> tuple[int, int, int]:
    try:
        before, now, count = answer
        return int(before or 0), int(now), int(count)
    except (TypeError, ValueError):
        raise Trouble("protocol error") from None
