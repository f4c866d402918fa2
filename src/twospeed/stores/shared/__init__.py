"""What the workers of one host remember together, without a server: limits, breakers and sessions in one mapped file.

The supervisor calls `create` before it starts workers and `forget` when one has died; each worker calls `attach`.
The maths is that of the in-process store; only the integers lie elsewhere. What a killed worker had half written
is put right by the next (windows), never seen (breakers: two copies, the valid one is named last) or a lost cache hit
(sessions). Names for which a table has no row left are counted per worker.
"""

from typing import NamedTuple

from twospeed.stores.shared import affinity, health, limits
from twospeed.stores.shared.affinity import SharedAffinity
from twospeed.stores.shared.health import SharedHealth
from twospeed.stores.shared.limits import SharedLimits
from twospeed.stores.shared.rows import FIRST, Region, Table, allocate

POOLS = 4096
BACKENDS = 1024


class Tables(NamedTuple):
    """The mapped file, cut up for the three stores."""

    pools: Table
    backends: Table
    sessions: memoryview


class Host(NamedTuple):
    """One worker's place among those of its host.

    `name`: the same for all of them, and nobody else's. `worker`: its number, 0 to `workers` - 1.
    """

    name: str
    tables: Tables
    worker: int
    workers: int


def create(path: str, sessions: int) -> None:
    """Make the file, mode 0600, with room for that many sessions (rounded up to a multiple of 8).

    Untouched room takes no memory and no disk.

    Raises:
        FileExistsError: Something is there already.
    """
    tables = Table.cells(POOLS, limits.WIDTH) + Table.cells(BACKENDS, health.WIDTH)
    allocate(path, tables + affinity.width(sessions))


def attach(path: str) -> Tables:
    """Map the file; to be called in the worker itself, after it was started."""
    region = Region(path)
    backends = FIRST + Table.cells(POOLS, limits.WIDTH)
    sessions = backends + Table.cells(BACKENDS, health.WIDTH)
    return Tables(
        Table(region, FIRST, POOLS, limits.WIDTH),
        Table(region, backends, BACKENDS, health.WIDTH),
        region.cells[sessions:],
    )


def forget(tables: Tables, worker: int, now: float) -> None:
    """Give back what a dead worker held: concurrency slots and probes. Its reservations leave the window by themselves.

    Args:
        worker: Its number; to be called before the next worker takes it over.
    """
    limits.forget(tables.pools, worker)
    health.forget(tables.backends, worker, now)


__all__ = ["Host", "SharedAffinity", "SharedHealth", "SharedLimits", "Tables", "attach", "create", "forget"]
