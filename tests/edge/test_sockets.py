"""Listening sockets."""

import asyncio

import pytest

from twospeed.edge.sockets import listening


async def test_it_listens_at_once():
    """A client can connect before anyone serves."""
    with listening("localhost", 0) as sock:
        assert sock.getsockname()[0] in ("127.0.0.1", "::1")
        _, writer = await asyncio.open_connection(*sock.getsockname()[:2])
        writer.close()


def test_a_taken_port_is_an_error():
    """Two servers cannot have one address, and nothing is left behind."""
    with listening("127.0.0.1", 0) as sock, pytest.raises(OSError, match="in use"):
        listening(*sock.getsockname())
