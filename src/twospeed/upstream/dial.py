"""New connections: resolve, connect, secure. Each step with its own fault; the caller owns the deadline.

Names are resolved for each connection, so answers that change are followed. Several addresses are raced in the
manner of Happy Eyeballs (RFC 8305): families in turn, the next one after STAGGER seconds or at the first failure.
Only then are there tasks: `connect_first` awaits the winner and cancels the others, which close their own sockets. Steps
are apart so that a proxy's CONNECT can go between connecting and securing.
"""

import asyncio
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, zip_longest
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from twospeed.errors import Fault, Kind
from twospeed.upstream.cause import cause

STAGGER = 0.25  # seconds, RFC 8305 section 5
MOST_ADDRESSES = 8
RECEIVE_BUFFER = 262_144  # bytes asked of the kernel, which doubles it: what a stalled reader lets pile up there
KEEP_ALIVE_IDLE = 60  # seconds of silence until TCP probes whether the peer is still there

_PORTS = {"http": 80, "https": 443}
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")
_LONGEST_ANSWER = 16_384  # bytes of a proxy's answer to CONNECT
_Address = tuple[socket.AddressFamily, Any]  # and its sockaddr


class Via(msgspec.Struct, frozen=True):
    """A proxy of the house on the way. `authorization`: value of the field that lets us pass, b"" for none."""

    host: str
    port: int
    authorization: bytes = b""


class Endpoint(msgspec.Struct, frozen=True):
    """Where a provider listens, from its base_url. `tls` None means plain HTTP. `path` does not end in "/".

    `via`: who is asked to pass everything on. `origin`: put before each path then, "" where a tunnel is dug first.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None
    authority: bytes  # value of the Host field
    path: str
    via: Via | None = None
    origin: str = ""


def endpoint(base_url: str, tls: ssl.SSLContext | None = None, proxy: str = "") -> Endpoint:
    """Take a base_url apart.

    Args:
        proxy: http://[user:password@]host[:port] of the proxy that leads there, "" for none.

    Raises:
        ValueError: not http or https, no host, or with user, query or fragment; a proxy that is none.

    >>> at = endpoint("http://127.0.0.1:8000/v1/")
    >>> at.host, at.port, at.authority, at.path
    ('127.0.0.1', 8000, b'127.0.0.1:8000', '/v1')
    """
    url = urlsplit(base_url)
    if url.scheme not in _PORTS or not url.hostname or url.username is not None or url.query or url.fragment:
        raise ValueError("a base_url is http(s)://host[:port][/path]")
    try:
        host = url.hostname if ":" in url.hostname else url.hostname.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError("a base_url needs a valid host name") from None
    usual = _PORTS[url.scheme]
    port = url.port or usual
    name = f"[{host}]" if ":" in host else host
    authority = name if port == usual else f"{name}:{port}"
    context = (tls or default_tls()) if url.scheme == "https" else None
    via = through(proxy) if proxy else None
    origin = f"http://{authority}" if via and context is None else ""
    return Endpoint(host, port, context, authority.encode("ascii"), url.path.rstrip("/"), via, origin)


def through(proxy: str) -> Via:
    """Take the address of a proxy apart.

    Raises: ValueError, for anything but plain HTTP to a host. Does not quote it.

    >>> through("http://me:s%40@proxy:3128")
    Via(host='proxy', port=3128, authorization=b'Basic bWU6c0A=')
    """
    url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if url.scheme != "http" or not url.hostname or url.path not in ("", "/") or url.query or url.fragment:
        raise ValueError("a proxy is http://host:port, and nothing else is spoken with it")
    port = url.port or _PORTS["http"]
    if url.username is None:
        return Via(url.hostname, port)
    secret = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
    return Via(url.hostname, port, b"Basic " + b64encode(secret))


@lru_cache(maxsize=1)
def default_tls() -> ssl.SSLContext:
    """Return the context for providers without one of their own: the system's authorities, certificate and name checked."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def dial(to: Endpoint, protocol: asyncio.Protocol) -> None:
    """Connect `protocol` to an endpoint.

    A failure or cancellation may come after `connection_made`: the caller then aborts the transport itself.

    Raises:
        Fault: CONNECT_FAILED, TLS_FAILED.
    """
    plain = await connect_first(await _resolve(to.via or to))
    if to.via and to.tls:
        await _dig(plain, to, to.via)
    loop = asyncio.get_running_loop()
    name = to.host.rstrip(".") if to.tls else None
    try:
        await loop.create_connection(lambda: protocol, sock=plain, ssl=to.tls, server_hostname=name)
    except OSError as error:  # ssl.SSLError is one
        raise Fault(Kind.TLS_FAILED, detail=f"TLS handshake failed: {cause(error)}") from None


async def _dig(plain: socket.socket, to: Endpoint, via: Via) -> None:
    """Have a proxy connect us through to the provider; closes the socket when it does not."""
    name = f"[{to.host}]" if ":" in to.host else to.host
    pass_ = b"proxy-authorization: %b\r\n" % via.authorization if via.authorization else b""
    ask = b"CONNECT %(at)b HTTP/1.1\r\nhost: %(at)b\r\n%(pass)b\r\n" % {
        b"at": f"{name}:{to.port}".encode("ascii"),
        b"pass": pass_,
    }
    try:
        answer = await _answer(plain, ask)
        status = _STATUS.match(answer)
        if status is None or not answer.endswith(b"\r\n\r\n"):
            raise Fault(Kind.CONNECT_FAILED, detail="the proxy's answer to CONNECT is not HTTP")
        if not status[1].startswith(b"2"):
            raise Fault(Kind.CONNECT_FAILED, detail=f"the proxy answered {status[1].decode()} to CONNECT")
    except BaseException:  # cancelled as well
        plain.close()
        raise


async def _answer(plain: socket.socket, ask: bytes) -> bytes:
    """Return the head of the answer; the provider says nothing before we do, so nothing can follow it."""
    loop = asyncio.get_running_loop()
    answer = b""
    try:
        await loop.sock_sendall(plain, ask)
        while b"\r\n\r\n" not in answer and len(answer) < _LONGEST_ANSWER:
            data = await loop.sock_recv(plain, _LONGEST_ANSWER)
            if not data:
                break
            answer += data
    except OSError as error:
        raise Fault(Kind.CONNECT_FAILED, detail=f"the proxy hung up: {cause(error)}") from None
    return answer


async def _resolve(to: Endpoint | Via) -> list[_Address]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(to.host, to.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise Fault(Kind.CONNECT_FAILED, detail=f"name resolution failed: {cause(error)}") from None
    return interleave([(family, address) for family, _, _, _, address in found])[:MOST_ADDRESSES]


def interleave(addresses: Sequence[_Address]) -> list[_Address]:
    """Order addresses so that families take turns, the resolver's first choice first."""
    if not addresses:
        return []
    preferred = [address for address in addresses if address[0] == addresses[0][0]]
    others = [address for address in addresses if address[0] != addresses[0][0]]
    return [address for address in chain.from_iterable(zip_longest(preferred, others)) if address is not None]


async def connect_first(addresses: Sequence[_Address]) -> socket.socket:
    """Connect to whichever of the addresses answers first, the first one given the lead. Raises: Fault CONNECT_FAILED."""
    if len(addresses) == 1:
        try:
            return await _connect(addresses[0])
        except OSError as error:
            raise _connect_failed(error) from None
    tasks: list[asyncio.Task[socket.socket]] = []
    winner = None
    try:
        while winner is None and (len(tasks) < len(addresses) or not all(task.done() for task in tasks)):
            if len(tasks) < len(addresses):
                tasks.append(asyncio.create_task(_connect(addresses[len(tasks)])))
            running = [task for task in tasks if not task.done()]
            timeout = STAGGER if len(tasks) < len(addresses) else None
            await asyncio.wait(running, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            winner = next((task for task in tasks if task.done() and task.exception() is None), None)
    finally:
        for task in tasks:
            if task is not winner:
                task.cancel()
                task.add_done_callback(_close_loser)
    if winner is None:
        raise _connect_failed(tasks[0].exception() if tasks else None)
    return winner.result()


def _close_loser(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


def _connect_failed(error: BaseException | None) -> Fault:
    why = cause(error) if error else "the name has no address"
    return Fault(Kind.CONNECT_FAILED, detail=f"connect failed: {why}")


async def _connect(address: _Address) -> socket.socket:
    family, where = address
    plain = socket.socket(family, socket.SOCK_STREAM)
    try:
        plain.setblocking(False)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_ALIVE_IDLE)
        await asyncio.get_running_loop().sock_connect(plain, where)
    except BaseException:
        plain.close()
        raise
    return plain
