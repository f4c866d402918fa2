"""What an operator is told when the admin listener cannot be talked to."""

import asyncio

import pytest
from tests.edge.controlled import controlled
from tests.serving import serving

from twospeed.cli.admin import Admin, Failed


async def failing(url, path="/admin/rollouts", key="", method="GET"):
    """What is said of a server."""
    with pytest.raises(Failed) as raised:
        await asyncio.to_thread(
            Admin(url, key).send if method == "POST" else Admin(url, key).get,
            *((method, path) if method == "POST" else (path,)),
        )
    return str(raised.value)


async def test_no_server_is_said_with_its_address():
    """And where the address is found."""
    said = await failing("http://127.0.0.1:9")
    assert said.startswith("http://127.0.0.1:9: no server answers there (connection refused)")
    assert "--url" in said


@pytest.mark.parametrize("key", ["", "wrong"])
async def test_a_wrong_key_is_said(tmp_path, key):
    """With what to set."""
    async with controlled(tmp_path) as served:
        said = await failing(served.url, "/admin/rollouts/deep/start", key, "POST")
    assert ("a key is needed" if not key else "the key is wrong") in said
    assert "TWOSPEED_ADMIN_KEY" in said


async def test_another_server_is_told_apart():
    """Something answers there, and it is none of ours."""

    async def other(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
        writer.close()

    server = await asyncio.start_server(other, "127.0.0.1", 0)
    async with server:
        said = await failing(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert "this is no admin listener of twospeed" in said


async def test_the_listener_for_models_is_told_apart():
    """Its refusals are written as clients of models expect them; the address is what has to be changed."""
    async with serving() as server:
        assert "--url" in await failing(server.url, "/admin/rollouts")


async def test_an_unknown_path_says_that_it_may_be_the_wrong_listener(tmp_path):
    """An older server, or the listener for models."""
    async with controlled(tmp_path) as served:
        assert "--url" in await failing(served.url, "/admin/nothing")


@pytest.mark.parametrize("url", ["localhost:8081", "http://", "http://[::1", "http://host:port", "http://host:0"])
def test_an_address_has_a_scheme(url):
    """And a host, and a port that is one; said before anything is sent."""
    with pytest.raises(Failed, match="expected http://HOST:PORT"):
        Admin(url)
