"""Rollouts kept by one process for its host: in memory, and in a file beside, so that they outlive the process.

The file is replaced as a whole on every move, and no more than every few seconds for the judge's memory. Who keeps it
leads: nobody else has it.
"""

import fcntl
import logging
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from twospeed.policy.held import Held, Move

MOVES = 50  # kept in the file, besides the latest
SIGHTINGS = 20_000  # that wait for the judge; of more the oldest are dropped

log = logging.getLogger("twospeed.rollouts")


class _File(msgspec.Struct):
    held: dict[str, Held] = {}
    kept: dict[str, bytes] = {}
    moves: list[Move] = []  # the latest, for a ledger that has missed them


class FileShelf:
    """`Shelf` of one process.

    Args:
        path: Of the file, None for no file.
        room: Sightings that may wait.

    `trouble`: why the file could not be written, "" when it could.
    """

    def __init__(self, path: Path | None = None, room: int = SIGHTINGS) -> None:
        self.trouble = ""
        self._path = path
        self._all = _File()
        self._moves: list[Move] = []
        self._progress: dict[str, bytes] = {}
        self._waiting: deque[bytes] = deque(maxlen=room)
        self._reported = 0
        self._served: Mapping[str, int] = {}
        self._lock: int | None = None
        self._wake: Callable[[], None] = lambda: None

    @property
    def used(self) -> bool:
        """Say whether anything has been kept before: flags set by hand count without a rollout in the config file."""
        return self._path is not None and self._path.exists()

    async def start(self, wake: Callable[[], None]) -> None:
        """Read the file; one that cannot be understood is put aside, and rollouts begin as drafts."""
        self._wake = wake
        if self._path is None:
            return
        if not self._locked():
            log.warning("%s is kept by another process: rollouts of this one do not outlive it", self._path)
            self._path = None
            return
        try:
            self._all = msgspec.msgpack.decode(self._path.read_bytes(), type=_File)
        except (FileNotFoundError, NotADirectoryError):
            return
        except (OSError, msgspec.MsgspecError) as error:
            self._complain(f"{self._path} could not be read ({type(error).__name__}): rollouts begin as drafts")
            if not isinstance(error, OSError):
                self._put_aside(self._path)

    async def close(self) -> None:
        """Let another process have the file."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def read(self) -> Mapping[str, Held]:
        """Return all rollouts; what is kept of their moves is followed from its beginning."""
        self._moves = list(self._all.moves)
        return dict(self._all.held)

    async def follow(self) -> Sequence[Move]:
        """Return the moves since the last look."""
        moves, self._moves = self._moves, []
        return moves

    async def put(self, move: Move) -> bool:
        """Keep a move."""
        known = self._all.held.get(move.rollout)
        if move.held.version != (known.version if known else 0) + 1:
            return False
        self._all.held[move.rollout] = move.held
        self._moves.append(move)
        self._all.moves = [*self._all.moves[-MOVES:], move]
        self._write()
        self._wake()
        return True

    async def lead(self) -> int:
        """Nobody else does."""
        return 1

    async def report(self, sightings: Sequence[bytes]) -> None:
        """Take what was seen."""
        self._waiting.extend(sightings)
        self._reported += len(sightings)

    async def collect(self, after: str) -> tuple[str, Sequence[bytes], int]:
        """Return what has been seen since the last look; places do not outlive the process."""
        seen = list(self._waiting)
        lost = self._reported - len(seen)
        self._waiting.clear()
        self._reported = 0
        return "", seen, lost

    async def keep(self, rollout: str, evidence: bytes, progress: bytes, token: int) -> None:
        """Keep the judge's memory and what it says."""
        if progress:
            self._progress[rollout] = progress
        if evidence:
            self._all.kept[rollout] = evidence
            self._write()

    async def kept(self, rollout: str) -> bytes:
        """Return the judge's memory."""
        return self._all.kept.get(rollout, b"")

    async def progress(self) -> Mapping[str, bytes]:
        """Return what the judge says."""
        return self._progress

    async def serve(self, versions: Mapping[str, int]) -> None:
        """Note what is served by."""
        self._served = versions

    async def served(self) -> Sequence[Mapping[str, int]]:
        """Return what is served by here."""
        return [self._served]

    def _locked(self) -> bool:
        """Take the file for this process; a folder that cannot be written has nobody else's file either."""
        assert self._path is not None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self._complain(
                f"{self._path} could not be written ({error.strerror}): rollouts do not outlive this process"
            )
            return True
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _write(self) -> None:
        if self._path is None:
            return
        new = self._path.with_name(f"{self._path.name}.new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:
                file.write(msgspec.msgpack.encode(self._all))
            os.replace(new, self._path)
        except OSError as error:
            self._complain(
                f"{self._path} could not be written ({error.strerror}): rollouts do not outlive this process"
            )
        else:
            self.trouble = ""

    def _put_aside(self, path: Path) -> None:
        """Keep a file that nobody understands for somebody to look at."""
        try:
            os.replace(path, f"{path}.unreadable")
        except OSError as error:
            self._complain(f"{path} could not be put aside ({error.strerror})")

    def _complain(self, trouble: str) -> None:
        """Say once what is the matter."""
        if trouble != self.trouble:
            log.warning("%s", trouble)
        self.trouble = trouble
