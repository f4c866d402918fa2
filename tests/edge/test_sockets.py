"""Listening sockets."""

import asyncio
import socket

import pytest

from twospeed.edge.sockets import listening, reserved


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


async def test_a_reserved_port_is_for_those_who_share_it():
    """It takes no connection itself; who listens on it with SO_REUSEPORT does, and another server finds it taken."""
    with reserved("127.0.0.1", 0) as held, socket.socket() as worker:
        worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        worker.bind(held.getsockname())
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*held.getsockname())
        worker.listen()
        _, writer = await asyncio.open_connection(*held.getsockname())
        writer.close()
        with pytest.raises(OSError, match="in use"):
            reserved(*held.getsockname())
