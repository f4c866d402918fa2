"""Listener settings: where requests are taken and how much of a client's time and memory one may cost (R17, R27)."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from twospeed.types import Settings
from twospeed.units import Count, Fraction, PositiveCount, PositiveDuration, Size

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+")
_LOOPBACK = re.compile(r"127\.\d{1,3}\.\d{1,3}\.\d{1,3}")


def _origin(origin: str) -> str:
    if origin != "*" and not _ORIGIN.fullmatch(origin):
        raise ValueError("an origin is scheme://host[:port], without a path, or * for every one")
    return origin


class Tls(Settings):
    """`listen.tls`: serve HTTPS. Paths to PEM files, read anew at each reload; `client_ca` takes a restart."""

    cert: str
    """The certificate, with its chain."""
    key: str | None = None
    """Its private key, without a password; left out: in the same file."""
    client_ca: str | None = None
    """Certificates of authorities: only clients with a certificate of theirs are spoken to."""


class Listen(Settings):
    """`listen:` in the config file.

    With the defaults one client may hold a connection for 10 s before its request head is complete, send 32 MB of
    body within 30 s, and leave an answer unread for 15 s.

    >>> Listen(port=0, body_limit="1MB").body_limit
    1000000
    """

    host: str = "127.0.0.1"
    """Address or name to listen on; 0.0.0.0 or :: for every interface."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """TCP port; 0 lets the system choose. Ports from 32768 on may collide with outgoing connections."""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that share the port, about one per core; they also share limits, breakers and sessions. Linux only
    beyond 1; `twospeed serve --workers` wins."""
    head_limit: Size = 16_384
    """Largest request head in bytes, request line and headers together; beyond it 431."""
    max_headers: PositiveCount = 100
    """Most header lines in one request; beyond it 431."""
    url_limit: Size = 8_192
    """Longest request target in bytes, query included; beyond it 414."""
    body_limit: Size = 32_000_000
    """Largest request body in bytes; beyond it 413, before the body is read where its length is announced."""
    head_timeout: PositiveDuration = 10.0
    """Seconds for a whole request head, from its first byte, or from the start of a new connection; beyond it 408."""
    body_timeout: PositiveDuration = 30.0
    """Seconds for a whole request body, from the end of the head; beyond it 408."""
    keep_alive: PositiveDuration = 75.0
    """Seconds a connection may wait for its next request before it is closed."""
    max_connections: PositiveCount = 10_000
    """Connections open at once; one more is answered 503 with Retry-After and closed."""
    max_in_flight: PositiveCount = 8_000
    """Model requests under way at once in each process; beyond them 503 with Retry-After. Health checks do not count."""
    fast_share: Fraction = 0.2
    """Share of `max_in_flight` that deep requests leave to the fast tier."""
    max_waiting: Count = 100
    """Requests of each tier that may wait for room; only where requests end fast enough that it comes in time."""
    max_wait: PositiveDuration = 0.5
    """How long such a request may wait, and never longer than a tenth of the time it has left."""
    stall_timeout: PositiveDuration = 15.0
    """Seconds a client may take nothing of an answer that waits for it before it is dropped."""
    drain: PositiveDuration = 120.0
    """Seconds that requests in flight may take to finish after SIGTERM; then each is ended with an error."""
    tls: Tls | None = None
    """Serve HTTPS; left out: plain HTTP. Whether there is TLS at all takes a restart."""
    cors: list[Annotated[str, AfterValidator(_origin)]] = []
    """Origins of web pages that may use this server from a browser, as https://chat.example.com, or `*`."""


class AdminKey(Settings):
    """One entry of `admin.keys`."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.@-]{1,64}$")]
    """Stands in the audit ledger for whoever uses the key."""
    key: SecretStr
    """env:NAME, file:PATH or sha256:HEX."""


class Admin(Settings):
    """`admin:` in the config file: the listener for metrics, the status page and everything that changes the server."""

    host: str = "127.0.0.1"
    """Address or name to listen on; anything beyond this machine needs `key`."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8081
    """TCP port; 0 lets the system choose."""
    key: SecretStr | None = None
    """env:NAME, file:PATH or sha256:HEX; in the audit ledger it is called admin. Without any key this machine may read, and
    nobody may write."""
    keys: list[AdminKey] = []
    """Keys of several people or machines, each by a name of its own."""


def loopback(host: str) -> bool:
    """Say whether only this machine can connect to an address.

    >>> [loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "", "127.evil.example")]
    [True, True, True, False, False, False]
    """
    return host in ("localhost", "::1") or bool(_LOOPBACK.fullmatch(host))
