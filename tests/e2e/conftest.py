"""Tests of TLS run on uvloop, as the server does: asyncio's own loop forgets failed handshakes only when it collects garbage."""

import asyncio

import pytest
import uvloop


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item):
    """Say which event loop a test runs on."""
    return {"loop": uvloop.new_event_loop if item.path.name == "test_tls.py" else asyncio.new_event_loop}
