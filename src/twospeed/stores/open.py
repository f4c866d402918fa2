"""Opens the store that the configuration names: Redis, the mapped file of a host's workers, or this process alone.

What is opened here outlives every configuration snapshot. redis-py is slow to load, so only those who name it load it.
"""

from collections.abc import Awaitable, Callable

import msgspec

from twospeed.policy.affinity import Affinity
from twospeed.policy.breaker import Breaker, Health
from twospeed.policy.estimate import Estimates
from twospeed.policy.limit import Limits
from twospeed.stores import RedisStore
from twospeed.stores.memory import Clock, MemoryAffinity, MemoryHealth, MemoryLimits
from twospeed.stores.shared import Host, SharedAffinity, SharedHealth, SharedLimits

AFFINITY_TTL = 3_600.0  # seconds a session is remembered after it was last served
AFFINITY_SESSIONS = 100_000


async def _nothing() -> None:
    return


def _always() -> bool:
    return True


def _never() -> int:
    return 0


class Memory(msgspec.Struct):
    """The stores of one process. `name`: redis, shared or memory; `well`: whether it answers now.

    `alone`: how many admissions were decided without it.
    `estimates`: what requests will use; each process learns that for itself.
    `start` comes back within a second, whether the store is there or not; `close` sends what is left.
    """

    limits: Limits
    health: Health
    affinity: Affinity
    name: str = "memory"
    well: Callable[[], bool] = _always
    alone: Callable[[], int] = _never
    start: Callable[[], Awaitable[None]] = _nothing
    close: Callable[[], Awaitable[None]] = _nothing
    estimates: Estimates = msgspec.field(default_factory=Estimates)


def open_memory(
    redis: tuple[RedisStore, str] | None, host: Host | None, breaker: Breaker, clock: Clock, roll: Callable[[], float]
) -> Memory:
    """Open what a process remembers by; to be started in its event loop.

    Args:
        redis: Settings and address with its reference replaced, None when nothing is shared beyond this host.
        host: Whose worker this process is, None when it serves alone.
        clock: Seconds, the same for all workers of a host.
        roll: Chance, in [0, 1).
    """
    if redis is not None:
        return _through_redis(*redis, host, breaker, clock, roll)
    if host is None:
        return Memory(MemoryLimits(clock), MemoryHealth(breaker, clock, roll), _affinity(None, clock))
    return Memory(
        SharedLimits(host.tables.pools, host.worker, clock),
        SharedHealth(host.tables.backends, host.worker, breaker, clock, roll),
        _affinity(host, clock),
        name="shared",
    )


def _through_redis(
    settings: RedisStore, url: str, host: Host | None, breaker: Breaker, clock: Clock, roll: Callable[[], float]
) -> Memory:
    from twospeed.stores.redis import connect

    stores = connect(settings, url, breaker, clock, roll, _affinity(host, clock), host)

    def well() -> bool:
        return stores.replica.state == "ok"

    def alone() -> int:
        return stores.limits.alone

    return Memory(stores.limits, stores.health, stores.affinity, "redis", well, alone, stores.start, stores.close)


def _affinity(host: Host | None, clock: Clock) -> Affinity:
    if host is None:
        return MemoryAffinity(clock, AFFINITY_TTL, AFFINITY_SESSIONS)
    return SharedAffinity(host.tables.sessions, host.tables.backends, clock, AFFINITY_TTL)
