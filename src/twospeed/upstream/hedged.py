"""Drives a race in which two attempts may be under way at once; decides nothing, just as `attempt` does.

Tasks: one per command that waits (limits, connection, answer), at most two at a time, owned and awaited by `run`. A
cancelled attempt is closed before its task is ended, so that its provider hears of it at once.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from twospeed.errors import Fault, Kind
from twospeed.policy.hedge import HedgedRace
from twospeed.policy.race import TICK, Cancel, Command, Event, Lose, Pause, Win
from twospeed.upstream.client import Try


class Leg(Protocol):
    """One attempt of the race. `hedge`: begun beside another one; `current`: once it has a row in the record."""

    hedge: bool
    current: Try | None

    async def obey(self, command: Command) -> Event:
        """Do what a command says, and return what came of it."""

    def drop(self, kind: Kind) -> None:
        """Close it and settle it, whatever it has come to."""


class Hedged:
    """One hedged race being run.

    Args:
        leg: Makes the next attempt.
        clock: Instants in seconds, on the event loop's clock.

    `hedge`: the attempt that was begun beside another one, if any was.
    """

    def __init__(self, race: HedgedRace, leg: Callable[[], Leg], clock: Callable[[], float]) -> None:
        self._race = race
        self._leg = leg
        self._clock = clock
        self._legs: dict[int, Leg] = {}
        self._tasks: dict[int, asyncio.Task[Event]] = {}
        self._cancelled: list[asyncio.Task[Event]] = []
        self.hedge: Leg | None = None

    async def run(self) -> Try:
        """Return the attempt whose answer goes to the client. Raises: Fault."""
        race = self._race
        commands: Sequence[Command] = (race.start(self._clock()),)
        try:
            while True:
                for command in commands:
                    if isinstance(command, Win):
                        won = self._won(command)
                        await self._gone()  # a client that leaves now leaves the winner to be ended below
                        return won
                    self._obey(command)
                event = await self._next()
                now = self._clock()
                # A loop's timers are coarser than its clock: the Tick that was waited for is never early.
                commands = race.on(event, max(now, race.deadline) if event is TICK else now)
        except BaseException as error:
            for number in [*self._legs]:
                self._end(number, error.kind if isinstance(error, Fault) else Kind.CLIENT_GONE)
            raise
        finally:
            await self._gone()

    async def _gone(self) -> None:
        """Wait until those that were cancelled have ended."""
        cancelled, self._cancelled = self._cancelled, []
        if cancelled:
            await asyncio.gather(*cancelled, return_exceptions=True)

    def _won(self, command: Win) -> Try:
        winner = self._legs[command.attempt].current
        assert winner is not None
        return winner

    def _obey(self, command: Command) -> None:
        if isinstance(command, Lose):
            raise command.fault
        if isinstance(command, Cancel):
            self._end(command.attempt, command.kind)
        elif not isinstance(command, Pause):
            number = command.attempt
            if number not in self._legs:
                self._legs[number] = self._leg()
            self._tasks[number] = asyncio.create_task(self._legs[number].obey(command))

    async def _next(self) -> Event:
        """Wait until an attempt has something to say, or until the race wants to hear that nobody has."""
        timeout = max(0.0, self._race.deadline - self._clock())
        if not self._tasks:
            await asyncio.sleep(timeout)
            return TICK
        done, _ = await asyncio.wait(self._tasks.values(), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        number = next((number for number, task in self._tasks.items() if task in done), None)
        if number is None:
            return TICK
        event = self._tasks.pop(number).result()
        if self._legs[number].hedge:
            self.hedge = self._legs[number]
        return event

    def _end(self, number: int, kind: Kind) -> None:
        leg, task = self._legs.pop(number), self._tasks.pop(number, None)
        if leg.hedge:
            self.hedge = leg
        if task is not None:
            task.cancel()
            self._cancelled.append(task)
        leg.drop(kind)
