"""The private folder that a supervisor and its workers have in common: the mapped tables, and the configuration in force.

A worker that starts late reads the text that the others serve by, whatever the file says meanwhile.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import NamedTuple

from twospeed.stores.open import AFFINITY_SESSIONS
from twospeed.stores.shared import Host, Tables, attach, create

MEMORY = Path("/dev/shm")
ROOM = 32 << 20  # bytes free that make memory the place of the folder: no disk ever sees the tables
_TABLES, _FIRST, _CONFIG, _HELD = "tables", "first", "config", "held"


class Crew(NamedTuple):
    """The folder as its users know it. Its name is unlike that of any other host's, as it is random."""

    folder: Path

    def tables(self) -> Tables:
        """Map the tables; each process for itself."""
        return attach(str(self.folder / _TABLES))

    def host(self, worker: int, workers: int) -> Host:
        """Return a worker's place; to be called in its own process."""
        return Host(self.folder.name, self.tables(), worker, workers)

    def publish(self, text: bytes) -> None:
        """Make a configuration the one in force for all who start from now on."""
        new = self.folder / f"{_CONFIG}.new"
        new.write_bytes(text)
        new.replace(self.folder / _CONFIG)

    def text(self) -> bytes:
        """Return the configuration in force."""
        return (self.folder / _CONFIG).read_bytes()

    def first(self) -> bytes:
        """Return the configuration that the supervisor was started with."""
        return (self.folder / _FIRST).read_bytes()

    def stand(self, held: bytes) -> None:
        """Make these states of rollouts the ones to serve by for all who start from now on."""
        new = self.folder / f"{_HELD}.new"
        new.write_bytes(held)
        new.replace(self.folder / _HELD)

    def held(self) -> bytes:
        """Return the states of rollouts to serve by, b"" for none."""
        try:
            return (self.folder / _HELD).read_bytes()
        except FileNotFoundError:
            return b""

    def scatter(self) -> None:
        """Remove the folder, for a supervisor that could not; what is mapped stays mapped."""
        rmtree(self.folder, ignore_errors=True)


@contextmanager
def gathered(text: bytes) -> Iterator[Crew]:
    """Make the folder, mode 0700, and remove it in the end. `text`: the configuration to begin with."""
    with TemporaryDirectory(prefix="twospeed-", dir=_place(), ignore_cleanup_errors=True) as folder:
        crew = Crew(Path(folder))
        create(str(crew.folder / _TABLES), AFFINITY_SESSIONS)
        (crew.folder / _FIRST).write_bytes(text)
        crew.publish(text)
        yield crew


def _place() -> Path | None:
    """Return where the folder goes; None is where temporary files usually go."""
    try:
        disk = os.statvfs(MEMORY)
    except OSError:
        return None
    roomy = disk.f_bavail * disk.f_frsize > ROOM
    return MEMORY if roomy and os.access(MEMORY, os.W_OK) else None
