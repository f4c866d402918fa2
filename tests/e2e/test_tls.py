"""TLS on the listener: the whole server, and clients that never finish their handshake."""

import asyncio
import contextlib
import ssl
from dataclasses import replace

import aiohttp
import pytest
from tests.certificates import make_certificates
from tests.serving import TWO_FAST, Serving, serving


@pytest.fixture
def folder(tmp_path):
    """Certificates for localhost."""
    make_certificates(tmp_path)
    return tmp_path


def secured(folder, more: str = "", tls: str = "") -> str:
    """The usual configuration, over TLS."""
    return TWO_FAST.replace("{port: 0}", f"{{port: 0, tls: {{cert: {folder}/server.pem{tls}}}{more}}}")


async def post(server: Serving, context: ssl.SSLContext) -> bytes:
    """Ask over TLS; the request leaves together with the end of the handshake."""
    port = server.server.http.address[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    body = b'{"model": "fast", "messages": [{"role": "user", "content": "hi"}]}'
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    )
    writer.write(body)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer


async def test_https(folder):
    """Requests are answered as over plain HTTP, and nothing is left."""
    trusting = ssl.create_default_context(cafile=folder / "authority.pem")
    async with serving(secured(folder)) as server:
        assert (await post(server, trusting)).startswith(b"HTTP/1.1 200")
        url = server.url.replace("http://127.0.0.1", "https://localhost") + "/v1/chat/completions"
        body = {"model": "fast", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        async with server.http.post(url, json=body, ssl=trusting) as answer:
            assert (await answer.read()).endswith(b"data: [DONE]\n\n")
        assert server.server.http.handshakes == 0


async def test_a_client_without_tls_is_hung_up_on(folder):
    """Plain HTTP where TLS is spoken gets no answer and keeps no connection."""
    async with serving(secured(folder)) as server:
        with pytest.raises(aiohttp.ClientError):
            await server.chat()
        async with asyncio.timeout(10):
            while server.server.http.handshakes:
                await asyncio.sleep(0)
        assert server.server.http.connections == 0


async def test_handshakes_count_and_end(folder):
    """Who never finishes takes the place of a connection, no longer than a head may take; then others are served."""
    trusting = ssl.create_default_context(cafile=folder / "authority.pem")
    async with serving(secured(folder, ", max_connections: 2, head_timeout: 300ms")) as server:
        port = server.server.http.address[1]
        slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        async with asyncio.timeout(10):
            while server.server.http.handshakes < 2:
                await asyncio.sleep(0)
            assert (await post(server, trusting)).startswith(b"HTTP/1.1 503")
            for reader, writer in slow:
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
                writer.close()
            while server.server.http.handshakes:
                await asyncio.sleep(0)
        assert (await post(server, trusting)).startswith(b"HTTP/1.1 200")


async def test_clients_without_a_certificate_are_refused_where_one_is_asked_for(folder):
    """Whoever has one of the named authority is served."""
    trusting = ssl.create_default_context(cafile=folder / "authority.pem")
    async with serving(secured(folder, tls=f", client_ca: {folder}/authority.pem")) as server:
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            assert await post(server, trusting) != b""
        trusting.load_cert_chain(folder / "server.pem")
        assert (await post(server, trusting)).startswith(b"HTTP/1.1 200")


async def test_a_reload_shows_the_new_certificate(folder):
    """Renewed files are shown to clients that come after the reload."""
    trusting = ssl.create_default_context(cafile=folder / "authority.pem")
    async with serving(secured(folder)) as server:
        before = (folder / "server.pem").read_text()
        renewed = before[: before.index("-----BEGIN CERTIFICATE")] + (folder / "authority.pem").read_text()
        (folder / "server.pem").write_text(renewed)
        assert (await post(server, trusting)).startswith(b"HTTP/1.1 200")
        server.server.adopt(replace(server.server.api.runtime.loaded))
        with pytest.raises(ssl.SSLCertVerificationError):
            await post(server, trusting)
