"""New connections, to real listeners on loopback."""

import asyncio
import socket
import ssl

import pytest
from tests.upstream.conftest import until
from tests.wire import Wire

from twospeed.errors import Fault, Kind
from twospeed.upstream import dial as dialling
from twospeed.upstream.dial import Via, connect_first, default_tls, dial, endpoint, interleave, through

BOTH_LOOPS = True
FOUR, SIX = socket.AF_INET, socket.AF_INET6


@pytest.mark.parametrize(
    ("url", "host", "port", "authority", "path"),
    [
        ("http://api.example", "api.example", 80, b"api.example", ""),
        ("https://API.example/v1/", "api.example", 443, b"api.example", "/v1"),
        ("https://api.example:443/a/b", "api.example", 443, b"api.example", "/a/b"),
        ("http://api.example:443", "api.example", 443, b"api.example:443", ""),
        ("http://[::1]:8000/v1", "::1", 8000, b"[::1]:8000", "/v1"),
        ("https://bücher.example", "xn--bcher-kva.example", 443, b"xn--bcher-kva.example", ""),
    ],
)
def test_endpoint_of_a_base_url(url, host, port, authority, path):
    """An address is what one would type into a browser."""
    at = endpoint(url)
    assert (at.host, at.port, at.authority, at.path) == (host, port, authority, path)
    assert (at.tls is not None) is url.startswith("https")


@pytest.mark.parametrize(
    "url",
    [
        "api.example",
        "ftp://api.example",
        "http://",
        "http://u:p@a",
        "http://a?b",
        "http://a#b",
        "http://a:x",
        "http://a..b",
    ],
)
def test_endpoint_that_is_none_is_refused(url):
    """An address we cannot reach safely is refused when it is configured, not when it is used."""
    with pytest.raises(ValueError, match=r"base_url|[Pp]ort"):
        endpoint(url)


def test_tls_verifies_by_default():
    """Without a word in the configuration certificates and names are checked."""
    context = default_tls()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_families_take_turns():
    """If one family leads nowhere, the other is next."""
    six, four = [(SIX, "a"), (SIX, "b"), (SIX, "c")], [(FOUR, "x")]
    assert interleave([*six, *four]) == [(SIX, "a"), (FOUR, "x"), (SIX, "b"), (SIX, "c")]
    assert interleave(four) == four
    assert interleave([]) == []


async def test_next_address_after_a_refused_one(refused):
    """One dead address of several costs nothing."""
    async with Wire([]) as wire:
        made = await connect_first([(FOUR, refused), (FOUR, ("127.0.0.1", wire.port))])
        assert made.getpeername()[1] == wire.port
        made.close()


async def test_next_address_while_one_is_silent(silent, monkeypatch):
    """One silent address of several does not hold up the others, and is given up once they answer."""
    monkeypatch.setattr(dialling, "STAGGER", 0.01)
    async with Wire([]) as wire:
        made = await connect_first([(FOUR, silent), (FOUR, ("127.0.0.1", wire.port))])
        assert made.getpeername()[1] == wire.port
        made.close()
        await until(lambda: len(asyncio.all_tasks()) <= 2)  # this test and the server's connection


async def test_all_addresses_refused(refused):
    """Nobody at any address is a failed connect."""
    with pytest.raises(Fault) as caught:
        await connect_first([(FOUR, refused), (FOUR, refused)])
    assert (caught.value.kind, caught.value.detail) == (Kind.CONNECT_FAILED, "connect failed: connection refused")


async def test_cancelled_race_leaves_nothing(silent, monkeypatch):
    """Whoever stops waiting for several addresses leaves no attempt behind."""
    monkeypatch.setattr(dialling, "STAGGER", 0.005)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await connect_first([(FOUR, silent), (FOUR, silent)])
    await until(lambda: len(asyncio.all_tasks()) == 1)


async def test_refused_connection_is_a_fault(refused):
    """Nobody listens: a failed connect, in words, without an address in them."""
    with pytest.raises(Fault) as caught:
        await dial(endpoint(f"http://127.0.0.1:{refused[1]}"), asyncio.Protocol())
    assert (caught.value.kind, caught.value.detail) == (Kind.CONNECT_FAILED, "connect failed: connection refused")


async def test_unknown_name_is_a_fault():
    """A name that does not exist is a failed connect."""
    with pytest.raises(Fault) as caught:
        await dial(endpoint("http://twospeed.invalid"), asyncio.Protocol())
    assert caught.value.kind is Kind.CONNECT_FAILED
    assert caught.value.detail.startswith("name resolution failed")


@pytest.mark.parametrize(
    ("proxy", "via"),
    [
        ("http://proxy:3128", Via("proxy", 3128)),
        ("http://proxy/", Via("proxy", 80)),
        ("proxy:3128", Via("proxy", 3128)),
        ("http://[2001:db8::1]:3128", Via("2001:db8::1", 3128)),
        ("http://me@proxy", Via("proxy", 80, b"Basic bWU6")),
    ],
)
def test_address_of_a_proxy(proxy: str, via: Via):
    """As the environment has it, with or without the scheme."""
    assert through(proxy) == via


@pytest.mark.parametrize("proxy", ["https://proxy", "socks5://proxy", "http://", "http://proxy/path", "http://p?x"])
def test_what_is_no_proxy_is_refused_without_quoting_it(proxy: str):
    """The address may hold a password."""
    with pytest.raises(ValueError, match="a proxy is http://host:port") as told:
        through(proxy)
    assert proxy not in str(told.value) or proxy == "http://"
