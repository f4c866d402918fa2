"""What tests of the engine share: both event loops, transports that must not leak, and a trusted server."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from itertools import count
from typing import Any

import pytest
import uvloop
from tests.certificates import make_certificates
from tests.wire import PATIENCE

from twospeed.upstream.http import HttpTransport

_LOOPS: Mapping[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, Any]:
    """Run a module that says BOTH_LOOPS on the loop of production and on the standard one."""
    both = getattr(item.getparent(pytest.Module).obj, "BOTH_LOOPS", False)
    return _LOOPS if both else {"asyncio": asyncio.new_event_loop}


@pytest.fixture
async def engine() -> AsyncIterator[Callable[..., HttpTransport]]:
    """Make transports; afterwards each must come down to no connection, and no task may be left."""
    made: list[HttpTransport] = []

    def make(base_url: str, *, connections: int = 10, keep_alive: float = 60.0, **more: Any) -> HttpTransport:
        made.append(HttpTransport(base_url, connections=connections, keep_alive=keep_alive, **more))
        return made[-1]

    yield make
    for transport in made:
        await transport.close()
        await until(lambda transport=transport: transport.open_connections == 0)  # type: ignore[misc]
    await until(lambda: len(asyncio.all_tasks()) == 1)


async def until(true: Callable[[], bool]) -> None:
    """Let the loop run until something is true."""
    async with asyncio.timeout(PATIENCE):
        for _ in count():
            if true():
                return
            await asyncio.sleep(0.001)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A client's context that trusts the authority, and the context of a server named localhost."""
    authority, server = make_certificates(tmp_path_factory.mktemp("certificates"))
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(server)
    return ssl.create_default_context(cafile=authority), serving


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    """An address that never answers: its listener's backlog is full."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()


@pytest.fixture
def refused() -> tuple[str, int]:
    """An address where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()
