"""What all replicas remember together, in Redis: limits exactly, breakers and sessions within a second.

Redis may be down, slow, full or read-only at any time, also at the start: then each process keeps to its share of the
limits, and nothing waits (R22).
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol

import msgspec

from twospeed.policy.affinity import Affinity
from twospeed.policy.breaker import Breaker, Health, Signal
from twospeed.policy.limit import LEASE
from twospeed.stores import RedisStore
from twospeed.stores.memory import Changed, Clock, MemoryHealth
from twospeed.stores.redis.affinity import RedisAffinity
from twospeed.stores.redis.limits import NONE, RedisLimits
from twospeed.stores.redis.replica import Replica
from twospeed.stores.shared import Host, SharedHealth

FRESH = 10.0  # seconds for which news of breakers are believed


class Hearing(Health, Protocol):
    """`Health` that believes others."""

    def heard(self, backend: str, signal: Signal) -> None:
        """Take note of what another replica saw: HEARD_OPEN or HEARD_CLOSED."""


class RedisStores(msgspec.Struct):
    """The three stores and what they share. `replica.state` is "ok" or "degraded"."""

    replica: Replica
    limits: RedisLimits
    health: Hearing
    affinity: RedisAffinity

    async def start(self) -> None:
        """Connect; comes back within a second, whether Redis is there or not."""
        await self.replica.start(self.limits.rejoin, self._hear)

    async def close(self) -> None:
        """Send what is left and disconnect."""
        await self.replica.close()

    def _hear(self, what: str, about: str, age: float) -> None:
        if what == "session":
            self.affinity.heard(about)
        elif what == "pin":
            self.affinity.heard_pin(about, age)
        elif age < FRESH and what in (Signal.HEARD_OPEN, Signal.HEARD_CLOSED):
            self.health.heard(about, Signal(what))


def connect(
    settings: RedisStore,
    url: str,
    breaker: Breaker,
    clock: Clock,
    roll: Callable[[], float],
    affinity: Affinity,
    host: Host | None = None,
    lease: float = LEASE,
    instant: Callable[[], int | str] = lambda: NONE,
) -> RedisStores:
    """Make the stores of one process; `start` them in its event loop.

    Breakers are known to all workers of a host at once, to other hosts with the next beat.

    Args:
        url: `settings.url` with its reference resolved.
        affinity: What this process, or this host, remembers of sessions.
        host: Whose worker this process is, None when it serves alone.
        instant: Microseconds instead of the time of Redis, for tests.

    Raises: ValueError, on `start`, when the URL is none that redis-py understands.
    """
    if host is None:
        replica = Replica(settings, url)
    else:
        replica = Replica(settings, url, host.workers, host.name, listens=host.worker == 0)
    return RedisStores(
        replica,
        RedisLimits(replica, clock, lease, instant),
        _health(host, breaker, clock, roll, partial(_tell, replica)),
        RedisAffinity(affinity, replica.say),
    )


def _health(host: Host | None, breaker: Breaker, clock: Clock, roll: Callable[[], float], changed: Changed) -> Hearing:
    if host is None:
        return MemoryHealth(breaker, clock, roll, changed)
    return SharedHealth(host.tables.backends, host.worker, breaker, clock, roll, changed)


def _tell(replica: Replica, backend: str, signal: Signal) -> None:
    replica.say(signal.value, backend)


__all__ = ["RedisStores", "connect"]
