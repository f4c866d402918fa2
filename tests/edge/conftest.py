"""Tests of the listener run on uvloop, as the server does; those of the engine on asyncio's own loop as well."""

import asyncio

import pytest
import uvloop

BOTH = ("test_http.py", "test_connection.py", "test_serving.py")


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item):
    """Say which event loops a test runs on."""
    if item.path.name in BOTH:
        return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}
