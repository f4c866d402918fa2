"""Rollouts of one host: looks after them again and again, and leads them while it holds the lease.

    shelf -> moves -> publish (who serves), audit, log                 every host
    sightings -> shelf -> benches -> decisions -> moves -> shelf        the leader

One per host: in the serving process, or in the supervisor of several. When the shelf does not answer, everything stays as
it is and nothing is decided.

Tasks: `run`, owned by whoever made it, and in it each look by itself; judging is done in a thread that it awaits.
"""

import asyncio
import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from twospeed.control.following import Following, Publish
from twospeed.control.leading import Leading
from twospeed.control.people import People
from twospeed.policy.audit import Audit
from twospeed.policy.held import Away, Deposed, Held, Progress, Shelf, begun, current, settled
from twospeed.policy.rollout import Rollout

AT_ONCE, ROOM = 1_000, 20_000  # sightings sent in one go, and kept while the shelf does not answer
TICK = 0.25  # seconds between two looks when nothing wakes
AWAKE_WITHIN = 5.0  # seconds for the shelf to be read when a drill is the first to need it
log = logging.getLogger("twospeed.rollouts")


class Rollouts:
    """The rollouts of one host.

    `people`: takes what people ask for.

    Args:
        shelf: Where they are kept.
        audit: Told of every move, by every host.
        publish: Awaited with all that are live whenever one moved; back when every worker serves by it.
        wall: Seconds since the epoch.
    """

    def __init__(self, shelf: Shelf, audit: Audit, publish: Publish, wall: Callable[[], float]) -> None:
        self._shelf = shelf
        self._following = Following(shelf, audit, publish, wall)
        self._leading = Leading(shelf, wall)
        self.people = People(shelf, self._following, self, wall)
        self._progress: dict[str, Progress] = {}
        self._sightings: list[bytes] = []
        self._news = asyncio.Event()
        self._started = False  # the shelf has been opened
        self._wanted = False  # though the config file names no rollout
        self._away = self._bug = ""

    @property
    def held(self) -> Mapping[str, Held]:
        """Those of the config file and those under way, by id."""
        return self._following.held

    @property
    def flags(self) -> tuple[Mapping[str, Any], int]:
        """The flags set by hand, and their version."""
        return self._following.flags

    @property
    def leading(self) -> bool:
        """Say whether this host decides."""
        return self._leading.token > 0 and not self._away

    @property
    def away(self) -> str:
        """Say why the shelf does not answer, "" while it does."""
        return self._away

    def progress(self, name: str) -> Progress | None:
        """Return what the judge says of a rollout, here or on the host that leads; None when it has said nothing yet."""
        said, held = self._progress.get(name), self._following.all.get(name)
        return said if said is not None and held is not None and current(said, held) else None

    def configure(self, rollouts: Sequence[Rollout]) -> None:
        """Take over what the config file says, at the start and after a reload."""
        self._following.configured = {rollout.id: rollout for rollout in rollouts}
        self._leading.configured = self._following.configured
        for rollout in rollouts:
            held = self._following.all.get(rollout.id)
            if held is not None and begun(held) and settled(held).target != rollout.target:
                log.warning("rollout %s is under way: its target stays as it was until it has ended", rollout.id)
        self._news.set()

    def report(self, sightings: Sequence[bytes]) -> None:
        """Take what a serving process saw; sent with the next look."""
        self._sightings.extend(sightings)
        del self._sightings[:-ROOM]  # of what cannot be sent the oldest is given up

    async def start(self) -> None:
        """Learn how they stand, before anything is served; comes back whether the shelf answers or not."""
        self._wanted = self._wanted or self._shelf.used
        if (self._following.configured or self._wanted) and not self._started:
            self._started = True
            await self._shelf.start(self._news.set)
            await self._turn()

    def look(self) -> None:
        """Look again at once."""
        self._news.set()

    def wake(self) -> None:
        """Follow the store although the config file names no rollout."""
        self._wanted = True
        self._news.set()

    async def awake(self) -> None:
        """Without rollouts in the config file nothing runs until the first drill."""
        self.wake()
        try:
            async with asyncio.timeout(AWAKE_WITHIN):
                while not self._following.reading:  # noqa: ASYNC110 - once in the life of a server
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise Away("it has not been read yet") from None

    async def run(self) -> None:
        """Follow and lead until cancelled."""
        while not (self._following.configured or self._wanted):
            self._news.clear()
            await self._news.wait()
        await self.start()
        try:
            while True:
                await self._watched()
                await self._pause()
        finally:
            await self._shelf.close()

    async def _watched(self) -> None:
        """Look once; a bug ends that look, not the watch over all rollouts."""
        turn = asyncio.create_task(self._turn())
        try:
            await asyncio.wait([turn])
        finally:
            turn.cancel()
            await asyncio.wait([turn])
        bug = turn.exception()
        if bug is not None and repr(bug) != self._bug:
            self._bug = repr(bug)
            where = "".join(traceback.format_tb(bug.__traceback__))
            log.error("bug: %s while looking after rollouts\n%s", self._bug, where)

    async def _turn(self) -> None:
        """Look once."""
        try:
            await self._send()
            await self._following.follow()
            if await self._lead():
                await self._following.follow()
            await self._following.remind()
        except Away as away:
            if not self._away:
                log.warning("rollouts stay as they are: the store does not answer (%s)", away)
            self._away = str(away)
        else:
            if self._away:
                log.warning("rollouts go on: the store answers")
            self._away = ""

    async def _pause(self) -> None:
        if self._leading.behind:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(TICK):
                await self._news.wait()
        except TimeoutError:
            return
        finally:
            self._news.clear()

    async def _send(self) -> None:
        while self._sightings:
            some = self._sightings[:AT_ONCE]
            await self._shelf.report(some)
            del self._sightings[: len(some)]

    async def _lead(self) -> bool:
        """Decide, while nobody else does; True when anything was moved."""
        try:
            if await self._leading.turn(self._following.held):
                return True
        except Deposed:
            self._leading.token = 0
            log.warning("rollouts: another host leads now")
        said = await self._shelf.progress()
        self._progress = {name: msgspec.msgpack.decode(plain, type=Progress) for name, plain in said.items()}
        return False
