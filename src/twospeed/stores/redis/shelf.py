"""Rollouts kept for all hosts in Redis: moves in one step each, a lease with a token, and what was seen in a bounded stream.

    move.lua   compare the version, refuse an older token, keep, tell        lead.lua   the lease
    pub/sub    wakes every host at once; a look every quarter of a second stands behind it (in `control`)

It has a connection of its own, so that what is large here never delays a limit. When Redis does not answer, everything here
raises Away and everybody serves on as they did.

Tasks: the link's, and the one that listens for moves; created by `start`, ended by `close`.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any, cast

import hiredis
import msgspec
from redis.exceptions import RedisClusterException, RedisError

from twospeed.policy.held import Away, Deposed, Held, Missed, Move
from twospeed.stores import RedisStore
from twospeed.stores.redis.dial import dialler
from twospeed.stores.redis.link import DIAL, Link, Trouble
from twospeed.stores.redis.script import Script, Word

LEASE_MS = 3_000
START = 1.0  # seconds that starting waits for Redis at most
TIMEOUT = 1.5  # seconds a call may take: nobody who is served waits for it
MOVES, AT_ONCE = 1_000, 200  # moves kept, and read in one go
BATCHES, EACH = 1_000, 100  # batches of sightings kept, sightings in one
TAKEN = 20  # batches read in one go
QUIET = 10.0  # seconds after which a host that says nothing serves nothing
RETRY = 1.0  # seconds
_NOTHING = object()
_FAILED = (Trouble, RedisError, RedisClusterException, OSError, EOFError, TimeoutError)
_move, _held = msgspec.msgpack.Decoder(Move), msgspec.msgpack.Decoder(Held)


def _script(name: str) -> Script:
    return Script(files(__package__).joinpath(name).read_text())


_LEAD, _MOVE, _KEEP = _script("lead.lua"), _script("move.lua"), _script("keep.lua")


class RedisShelf:
    """`Shelf` of all hosts.

    Args:
        url: `settings.url` with its reference resolved.
        wall: Seconds since the epoch.
    """

    def __init__(self, settings: RedisStore, url: str, wall: Callable[[], float] = time.time) -> None:
        self.name = os.urandom(6).hex()
        self._settings = settings
        self._url = url
        self._wall = wall
        self._link: Link | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._last = "0-0"  # move
        self._versions: dict[str, int] = {}
        self._reported = 0  # sightings, since the start
        self._expected: dict[str, int] = {}  # sightings of each host so far

    @property
    def used(self) -> bool:
        """Nobody knows without asking."""
        return False

    async def start(self, wake: Callable[[], None]) -> None:
        """Connect; comes back when that has worked or failed, after START at the latest."""
        dial = dialler(self._settings, self._url, self._key("held"))
        self._link = Link(dial, _beat, TIMEOUT, "rollouts", "rollouts move again", "rollouts stay as they are")
        self._tasks = [asyncio.create_task(work) for work in (self._link.run(), self._listen(wake))]
        await asyncio.wait([self._link.known], timeout=START)

    async def close(self) -> None:
        """Resign, so that another host leads at once, and disconnect."""
        try:
            if self._link is not None and self._link.up:
                if await self._command("GET", self._key("leader")) == self.name.encode():
                    await self._command("DEL", self._key("leader"))
                await self._command("HDEL", self._key("served"), self.name)
        except Away:
            return  # the lease ends by itself
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def read(self) -> Mapping[str, Held]:
        """Return all rollouts; what is kept of their moves is followed from its beginning."""
        found: Any = await self._command("HGETALL", self._key("held"))
        held = {found[at].decode(): _held.decode(found[at + 1]) for at in range(0, len(found), 2)}
        self._last = "0-0"
        self._versions = {name: one.version for name, one in held.items()}
        return held

    async def follow(self) -> Sequence[Move]:
        """Return the moves since the last look. Raises: Missed, Away."""
        found: Any = await self._command("XRANGE", self._key("moves"), f"({self._last}", "+", "COUNT", AT_ONCE)
        moves = [_move.decode(fields[1]) for _, fields in found]
        for move in moves:
            version = move.held.version
            if version > self._versions.get(move.rollout, 0) + 1:
                raise Missed
            self._versions[move.rollout] = max(version, self._versions.get(move.rollout, 0))
        if found:
            self._last = found[-1][0].decode()
        return moves

    async def put(self, move: Move) -> bool:
        """Keep a move. Raises: Deposed, Away."""
        keys = ("versions", "held", "moves", "fence")
        words = (move.rollout, move.held.version, _packed(move.held), _packed(move), move.token, MOVES, self._channel)
        answer = await self._ask(_MOVE, keys, words)
        if answer == -1:
            raise Deposed
        return answer == 1

    async def lead(self) -> int:
        """Take or renew the lease."""
        return int(cast(int, await self._ask(_LEAD, ("leader", "fence"), (self.name, LEASE_MS))))

    async def report(self, sightings: Sequence[bytes]) -> None:
        """Hand sightings to the leader; the oldest make room."""
        for at in range(0, len(sightings), EACH):
            batch = sightings[at : at + EACH]
            before, self._reported = self._reported, self._reported + len(batch)
            fields: tuple[Word, ...] = ("host", self.name, "before", before, "seen", _packed(batch))
            await self._command("XADD", self._key("seen"), "MAXLEN", "~", BATCHES, "*", *fields)

    async def collect(self, after: str) -> tuple[str, Sequence[bytes], int]:
        """Return what was seen after a place."""
        start = f"({after}" if after else "-"
        found: Any = await self._command("XRANGE", self._key("seen"), start, "+", "COUNT", TAKEN)
        seen: list[bytes] = []
        lost = 0
        for entry, fields in found:
            host, before, batch = fields[1].decode(), int(fields[3]), msgspec.msgpack.decode(fields[5])
            lost += max(0, before - self._expected.get(host, before))
            self._expected[host] = before + len(batch)
            seen += batch
            after = entry.decode()
        return after, seen, lost

    async def keep(self, rollout: str, evidence: bytes, progress: bytes, token: int) -> None:
        """Keep what the leader knows. Raises: Deposed, Away."""
        if await self._ask(_KEEP, ("memories", "progress", "fence"), (token, rollout, evidence, progress)) == -1:
            raise Deposed

    async def kept(self, rollout: str) -> bytes:
        """Return the judge's memory."""
        return cast("bytes | None", await self._command("HGET", self._key("memories"), rollout)) or b""

    async def progress(self) -> Mapping[str, bytes]:
        """Return what the judge says of each rollout."""
        found: Any = await self._command("HGETALL", self._key("progress"))
        return {found[at].decode(): found[at + 1] for at in range(0, len(found), 2)}

    async def serve(self, versions: Mapping[str, int]) -> None:
        """Say what this host serves by."""
        await self._command("HSET", self._key("served"), self.name, _packed((self._wall(), dict(versions))))

    async def served(self) -> Sequence[Mapping[str, int]]:
        """Return what each host that was heard of lately serves by."""
        found: Any = await self._command("HVALS", self._key("served"))
        said = [msgspec.msgpack.decode(value) for value in found]
        return [versions for at, versions in said if at > self._wall() - QUIET]

    @property
    def _channel(self) -> str:
        return self._key("told")

    def _key(self, rest: str) -> str:
        """Name a key; all of them lie on one node of a Cluster."""
        return f"{self._settings.prefix}:{{rollouts}}:{rest}"

    async def _command(self, *words: Word) -> object:
        return await self._reached(lambda link: link.command(*words))

    async def _ask(self, script: Script, keys: Sequence[str], words: tuple[Word, ...]) -> object:
        return await self._reached(lambda link: link.ask(script, tuple(self._key(key) for key in keys), words))

    async def _reached(self, call: Callable[[Link], Awaitable[object]]) -> object:
        if self._link is None or not self._link.up:
            raise Away("no connection")
        try:
            return await call(self._link)
        except Trouble as trouble:
            raise Away(str(trouble)) from None

    async def _listen(self, wake: Callable[[], None]) -> None:
        """Be woken by moves, over a connection that is made again whenever it ends."""
        while True:
            try:
                await self._hear(wake)
            except _FAILED:
                wake()  # whatever was said meanwhile is found by looking
            await asyncio.sleep(RETRY)

    async def _hear(self, wake: Callable[[], None]) -> None:
        dial = dialler(self._settings, self._url, self._key("held"))
        async with asyncio.timeout(DIAL):
            connection = await dial()
            await connection.connect()  # type: ignore[no-untyped-call]
        reader, writer = connection._reader, connection._writer
        connection._writer = connection._reader = None  # ours from here on
        if reader is None or writer is None:
            return
        try:
            writer.write(hiredis.pack_command(("SUBSCRIBE", self._channel)))  # type: ignore[arg-type]
            heard = hiredis.Reader(notEnoughData=_NOTHING)
            while data := await reader.read(65_536):
                heard.feed(data)
                while heard.gets() is not _NOTHING:
                    wake()
        finally:
            writer.transport.abort()


async def _beat(link: Link) -> None:
    await link.command("PING")


def _packed(value: object) -> bytes:
    return msgspec.msgpack.encode(value)
