"""Words for what operators read when a connection fails."""

import asyncio
import socket
import ssl

import pytest

from twospeed.upstream.cause import cause


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (None, "connection closed"),
        (ConnectionResetError(), "connection closed"),
        (ConnectionResetError(104, "Connection reset by peer"), "connection reset by peer"),
        (TimeoutError(110, "Connect call failed ('10.0.0.1', 443)"), "connection timed out"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "name or service not known"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"), "TLS protocol error"),
        (asyncio.InvalidStateError("secret"), "InvalidStateError"),
    ],
)
def test_cause_in_words(error, words):
    """An operator reads what happened, not where in which library, and never an address."""
    assert cause(error) == words
