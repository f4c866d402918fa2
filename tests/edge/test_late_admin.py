"""The admin listener answers those who came before it was loaded."""

import logging

import aiohttp
import pytest
from tests.edge.test_admin import Written

from twospeed.edge.late_admin import LateAdmin
from twospeed.edge.sockets import listening
from twospeed.policy.listen import Admin as Settings


async def test_it_answers_once_it_is_loaded():
    """A scraper that comes at once waits and is served."""
    admin = LateAdmin(Written(), dict)
    host, port = admin.open(Settings(port=0))
    async with aiohttp.ClientSession() as http, http.get(f"http://{host}:{port}/metrics") as answer:
        assert answer.status == 200
    await admin.close()


async def test_the_usual_port_may_be_taken(caplog):
    """Nobody asked for it, so the server starts without; one that was asked for must be had."""
    with listening("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        admin = LateAdmin(Written(), dict)
        unasked = Settings.model_construct(_fields_set=set(), host="127.0.0.1", port=port, key=None)
        with caplog.at_level(logging.WARNING):
            assert admin.open_if_free(unasked) is None
        assert f"no admin listener: 127.0.0.1:{port}" in caplog.text
        with pytest.raises(OSError, match="in use"):
            admin.open_if_free(Settings(port=port))
    await admin.close()
