"""What is known of the rollouts on one host: follows the shelf, and lets everybody here serve by what has moved.

shelf -> moves -> publish (who serves), audit, log
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from twospeed.control.telling import entry, tell
from twospeed.policy.audit import Audit
from twospeed.policy.held import Held, Missed, Shelf, begun
from twospeed.policy.rollout import FLAGS, Rollout

SAY_EVERY = 2.0  # seconds between two signs that this host still serves by what it said
log = logging.getLogger("twospeed.rollouts")

Publish = Callable[[Mapping[str, Held]], Awaitable[None]]


class Following:
    """Follows one shelf. Its methods raise Away, when that does not answer.

    `all`: whatever is kept, by id. `configured`: the rollouts of the config file. `reading`: the shelf has been read.

    Args:
        audit: Told of every move, by every host.
        publish: Awaited with all that are live whenever one moved; back when every worker serves by it.
        wall: Seconds since the epoch.
    """

    def __init__(self, shelf: Shelf, audit: Audit, publish: Publish, wall: Callable[[], float]) -> None:
        self.all: dict[str, Held] = {}
        self.configured: Mapping[str, Rollout] = {}
        self.reading = False
        self._shelf = shelf
        self._audit = audit
        self._publish = publish
        self._wall = wall
        self._serving: Mapping[str, int] = {}
        self._said_at = 0.0

    @property
    def held(self) -> Mapping[str, Held]:
        """Every rollout of the config file, in its order, then those that are under way without being named there."""
        named = {name: self.all[name] for name in self.configured if name in self.all}
        return named | {name: held for name, held in self.all.items() if name not in named and begun(held)}

    @property
    def flags(self) -> tuple[Mapping[str, Any], int]:
        """Return the flags set by hand as plain data, by id, and their version, 0 when none ever was."""
        held = self.all.get(FLAGS)
        return (held.settings, held.version) if held else ({}, 0)

    async def follow(self) -> None:
        """Take over what has moved, wherever it was moved."""
        if not self.reading:
            self.all = dict(await self._shelf.read())
            self.reading = True
            await self._serve()
        try:
            moves = await self._shelf.follow()
        except Missed:
            log.warning("rollouts: more has moved than is kept; all are read anew")
            self.reading = False
            return await self.follow()
        fresh = [move for move in moves if move.held.version > self._version(move.rollout)]
        for move in fresh:
            self.all[move.rollout] = move.held
        if fresh:
            await self._serve()
        for move in moves:
            self._audit.enter(entry(move), move.evidence or None)  # also those of before: known ones count once
        for move in fresh:
            tell(move)
        return None

    def _version(self, name: str) -> int:
        return self.all[name].version if name in self.all else 0

    async def _serve(self) -> None:
        """Let everybody here serve by it, and say so."""
        live = {name: held for name, held in self.held.items() if held.live}
        if FLAGS in self.all:
            live[FLAGS] = self.all[FLAGS]
        await self._publish(live)
        self._serving = {name: held.version for name, held in live.items()}
        await self._say()

    async def remind(self) -> None:
        """Say now and then that this host still serves by what it said."""
        if self._wall() - self._said_at > SAY_EVERY:
            await self._say()

    async def _say(self) -> None:
        """Say what is served by here."""
        self._said_at = self._wall()
        await self._shelf.serve(self._serving)
