"""Where Redis is: one server, the master that Sentinels name, or the node of a Cluster that holds a key."""

from typing import Any, cast

from redis.asyncio import ConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio.connection import AbstractConnection

from twospeed.stores import RedisStore
from twospeed.stores.redis.link import DIAL, Dial

_OPTIONS: dict[str, Any] = {"protocol": 2, "socket_timeout": DIAL, "socket_connect_timeout": DIAL}


def dialler(settings: RedisStore, url: str, key: str) -> Dial:
    """Return what makes connections to the server that holds `key`.

    Args:
        url: With references resolved.

    Raises: ValueError, when the URL is none that redis-py understands.
    """
    pool: ConnectionPool = ConnectionPool.from_url(url, **_OPTIONS, driver_info=None, client_name="twospeed")
    if not settings.cluster:
        _tried(pool)

    async def direct() -> AbstractConnection:
        return cast(AbstractConnection, pool.make_connection())  # type: ignore[no-untyped-call]

    async def through_sentinels() -> AbstractConnection:
        host, port = await _master(settings)
        return pool.connection_class(**{**pool.connection_kwargs, "host": host, "port": port})

    async def in_cluster() -> AbstractConnection:
        return await _node(url, key)

    if settings.cluster:
        return in_cluster
    return through_sentinels if settings.sentinels else direct


def _tried(pool: ConnectionPool) -> None:
    """Make a connection without connecting, to learn of options that do not exist."""
    try:
        pool.make_connection()  # type: ignore[no-untyped-call]
    except TypeError as error:
        raise ValueError(str(error).rpartition("__init__() ")[2]) from None


async def _master(settings: RedisStore) -> tuple[str, int]:
    """Ask anew for each connection, so that a failover is followed."""
    sentinel = Sentinel([])  # type: ignore[no-untyped-call]
    sentinel.sentinels = [Redis.from_url(f"redis://{address}", **_OPTIONS) for address in settings.sentinels]
    try:
        host, port = await sentinel.discover_master(settings.service)
    finally:
        await sentinel.aclose()
    return host, port


async def _node(url: str, key: str) -> AbstractConnection:
    async with RedisCluster.from_url(url, **_OPTIONS) as cluster:
        node = cluster.get_node_from_key(key)
        if node is None:
            raise OSError("no node holds the key")
        return node.connection_class(**node.connection_kwargs)
