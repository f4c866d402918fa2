"""One worker's place: the process that has it now, what it says, and the next one when it has died.

Tasks: `run`, one per berth, which the supervisor owns; within it the one that listens to the process, awaited there.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from twospeed.edge.channel import FAREWELL, METRICS, READY, SEEN, STATUS, Channel, Frame
from twospeed.telemetry.snapshot import Snapshot, counted, merge

FIRST_WAIT, LAST_WAIT = 0.1, 5.0  # seconds before a process that died young is replaced
GROWN = 10.0  # seconds after which a death counts as the first
MOST_OPEN = 8  # questions without an answer, beyond which a process is not asked again how it goes
HUNG = 30.0  # seconds without an answer after which a process is killed

Command = Callable[[int, int], Sequence[str]]
log = logging.getLogger("twospeed")
_seen = msgspec.msgpack.Decoder(list[bytes])
_snapshot = msgspec.msgpack.Decoder(Snapshot)


class Berth:
    """One worker's place.

    `ready`: set once a process has begun to serve. `ended`: its exit code where it ended before that, or last.
    `restarts`: processes beyond the first. `seen`: told what the process saw of rollouts.

    Args:
        number: Of the worker, from 0.
        command: Returns the command line, by the number and the descriptor of the worker's end of the channel.
        vacated: Called with the number when a process has died, before the next one has it.
    """

    def __init__(self, number: int, command: Command, vacated: Callable[[int], None]) -> None:
        self.number = number
        self.ready = asyncio.Event()
        self.ended: int | None = None
        self.restarts = 0
        self.seen: Callable[[Sequence[bytes]], None] = lambda _: None
        self._command = command
        self._vacated = vacated
        self._process: asyncio.subprocess.Process | None = None
        self._channel: Channel | None = None
        self._stopping = asyncio.Event()
        self._past: Snapshot = {}
        self._last: Snapshot = {}
        self._heard_at = 0.0

    @property
    def pid(self) -> int | None:
        """Of the process, None while there is none."""
        return self._process.pid if self._process else None

    async def run(self) -> None:
        """Keep a process in place until `stop`; ends early when the very first one ends before it serves."""
        wait = FIRST_WAIT
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            began = loop.time()
            self.ended = await self._live()
            self._vacated(self.number)
            if self._stopping.is_set() or not (self.ready.is_set() or self.restarts):
                return
            wait = FIRST_WAIT if loop.time() - began > GROWN else min(wait * 2, LAST_WAIT)
            log.error("worker %d %s; another starts in %.1f s", self.number, _ending(self.ended), wait)
            self.ready.clear()
            self.restarts += 1
            await self._pause(wait)

    def stop(self) -> None:
        """Let the process drain, and start no other."""
        self._stopping.set()
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once."""
        self._signal(signal.SIGKILL)

    async def ask(self, word: str, body: bytes, timeout: float) -> bytes | None:
        """Ask the process, also one that has yet to begin; None when it does not answer in time or there is none."""
        if self._channel is None:
            return None
        answer = await self._channel.ask(word, body, timeout)
        if answer is not None:
            self._heard_at = asyncio.get_running_loop().time()
        return answer

    async def status(self, timeout: float) -> dict[str, Any] | None:
        """Ask how it goes."""
        answer = await self._inquire(STATUS, timeout)
        return None if answer is None else msgspec.msgpack.decode(answer)

    async def count(self, timeout: float) -> None:
        """Ask for the counts of now; without an answer, those of before stand."""
        answer = await self._inquire(METRICS, timeout)
        if answer is not None:
            self._last = _snapshot.decode(answer)

    def counts(self) -> list[Snapshot]:
        """Return what the process has counted, as far as known, and what those before it had."""
        return [self._past, self._last]

    def watch(self) -> None:
        """Kill a process that has answered nothing for too long: who connects to it would wait for ever."""
        silent = asyncio.get_running_loop().time() - self._heard_at
        if self.ready.is_set() and not self._stopping.is_set() and silent > HUNG:
            log.error("worker %d has not answered for %.0f s and is killed", self.number, silent)
            self.kill()

    async def _inquire(self, word: str, timeout: float) -> bytes | None:
        listens = self.ready.is_set() and self._channel is not None and self._channel.unanswered < MOST_OPEN
        return await self.ask(word, b"", timeout) if listens else None

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _live(self) -> int:
        """Start a process and return its exit code."""
        ours, theirs = socket.socketpair()
        channel = self._channel = await Channel.over(ours)  # before the process, so that it misses nothing
        with theirs:
            process = self._process = await asyncio.create_subprocess_exec(
                *self._command(self.number, theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
            )
        listening = asyncio.create_task(channel.run(self._hear))
        if self._stopping.is_set():  # asked for while it was being started
            self._signal(signal.SIGTERM)
        try:
            code = await process.wait()
            await listening  # to its last word
            return code
        finally:
            listening.cancel()
            channel.abort()
            self._process = self._channel = None
            self._past, self._last = merge([self._past, counted(self._last)]), {}

    async def _hear(self, frame: Frame) -> None:
        if frame.word == READY:
            self._heard_at = asyncio.get_running_loop().time()
            self.ready.set()
            if self.restarts:
                log.info("worker %d serves again (pid %s)", self.number, self.pid)
        elif frame.word == SEEN:
            self.seen(_seen.decode(frame.body))
        elif frame.word == FAREWELL:
            self._last = _snapshot.decode(frame.body)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            try:
                self._process.send_signal(number)
            except ProcessLookupError:
                return  # it ended by itself


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    return f"was killed by {signal.Signals(-code).name}"
