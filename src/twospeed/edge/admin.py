"""The admin listener (R33): what goes on in the server, and the few things that change it, as JSON; `/metrics` as text.

    socket -> aiohttp -> may they? -> Desk (one process, or the supervisor of many) -> JSON

On loopback everyone may read, as long as they mean this machine (a Host that names another is a page in a browser that
was lured here). Writing, and anything at all beyond loopback, takes the admin key. Imported late: aiohttp is slow to
load, and model requests need not wait for it; the socket listens before, so nobody who comes early is refused.
"""

import asyncio
import hashlib
import hmac
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from typing import Any, Protocol

from aiohttp import web

from twospeed.config import Loaded
from twospeed.edge.delivery import Delivery
from twospeed.edge.events import Events
from twospeed.edge.flagging import Flagging
from twospeed.edge.routes import ACTOR, Routes
from twospeed.edge.routes import answered as _json
from twospeed.edge.takeovers import Takeovers
from twospeed.policy.catalogue import Catalogue

BODY_LIMIT = 65_536  # bytes; nothing that is sent here is longer
IDLE = 30.0  # seconds a connection may take for its next request
MOST_CONNECTIONS = 256
GOODBYE = 1.0  # seconds for answers under way when the listener closes

log = logging.getLogger("twospeed.admin")
_SAFE = {
    "cache-control": "no-store",
    "server": "twospeed",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}
_READS = ("GET", "HEAD")


class Desk(Protocol):
    """Who answers: one serving process, or whoever speaks for several."""

    delivery: Delivery

    async def metrics(self, accept: str) -> tuple[str, bytes]:
        """Return content type and body for a scraper that sent this Accept header."""

    async def status(self) -> dict[str, Any]:
        """Say what goes on."""

    async def config(self) -> dict[str, Any]:
        """Show the configuration in force, without secrets."""

    async def reload(self) -> str:
        """Read the configuration anew; return what is wrong with it, "" when it is in force."""

    def waiting(self) -> list[str]:
        """Name the keys in force that only a restart brings into force."""

    def loaded(self) -> Loaded:
        """Return the configuration in force."""

    def catalogue(self) -> Catalogue:
        """Return the names in force."""

    async def pin(self, session: str, to: str, seconds: float) -> bool:
        """Send a session to a tier or backend for so long, 0 to end that; False when nobody could be told."""


class Admin:
    """Serves one desk on one socket.

    Args:
        keys: Gives the SHA-256 digests of the admin keys in force, by name.
    """

    def __init__(self, desk: Desk, keys: Callable[[], Mapping[str, bytes]]) -> None:
        self._desk = desk
        self._keys = keys
        self._loopback = False
        self._events = Events(desk.delivery.ledger)
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None

    async def start(self, sock: socket.socket) -> None:
        """Serve a listening socket, which belongs to the listener from here on."""
        self._loopback = ip_address(sock.getsockname()[0]).is_loopback
        app = web.Application(middlewares=[self._guard], client_max_size=BODY_LIMIT)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/admin/status", self._status)
        app.router.add_get("/admin/config", self._config)
        app.router.add_post("/admin/reload", self._reload)
        Routes(self._desk.delivery, self._events).join(app.router)
        Flagging(self._desk.delivery.rollouts, self._desk.loaded).join(app.router)
        Takeovers(self._desk, self._desk.delivery.ledger).join(app.router)
        app.on_response_prepare.append(_safe)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=GOODBYE)
        await runner.setup()
        self._runner, serving = runner, runner.server
        assert serving is not None
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(serving, loop=loop), sock=sock)

    async def close(self) -> None:
        """Stop listening and end what is under way."""
        if self._server is not None:
            self._server.close()
        await self._events.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            self._admit(request)
            answer = await handler(request)
        except web.HTTPException as refusal:
            answer = _refusal(refusal.status, (refusal.text or "").removeprefix(f"{refusal.status}: "))
            if "Allow" in refusal.headers:
                answer.headers["Allow"] = refusal.headers["Allow"]
        return answer

    def _admit(self, request: web.Request) -> None:
        """Let a request in or raise what it is told."""
        if (request.content_length or 0) > BODY_LIMIT:
            raise web.HTTPRequestEntityTooLarge(BODY_LIMIT, request.content_length or 0, text="the body is too large")
        keys = self._keys()
        for name, key in keys.items():
            if any(_is(key, given) for given in _given(request)):
                request[ACTOR] = name
                return
        if not keys and not (self._loopback and request.method in _READS):
            raise web.HTTPForbidden(text="this takes an admin key, and none is configured: set admin.key")
        if not self._loopback or request.method not in _READS:
            raise web.HTTPUnauthorized(text="this takes the admin key, as a bearer token or as x-admin-key")
        if not _means_this_machine(request.host):
            raise web.HTTPForbidden(text="without the admin key the Host must be this machine: 127.0.0.1 or localhost")

    async def _metrics(self, request: web.Request) -> web.Response:
        content_type, body = await self._desk.metrics(",".join(request.headers.getall("accept", [])))
        return web.Response(body=body, headers={"content-type": content_type})

    async def _status(self, request: web.Request) -> web.Response:
        return _json(await self._desk.status())

    async def _config(self, request: web.Request) -> web.Response:
        return _json(await self._desk.config())

    async def _reload(self, request: web.Request) -> web.Response:
        wrong = await self._desk.reload()
        if wrong:
            return _refusal(422, wrong, kind="invalid_config")
        return _json({"reloaded": True, "needs_restart": self._desk.waiting()})


class _Connection(web.RequestHandler):
    """One connection. Differs from aiohttp's in that a malformed request is quoted nowhere: it may hold a key (R34)."""

    __slots__ = ()

    def __init__(self, manager: web.Server, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(manager, loop=loop, access_log=None, keepalive_timeout=IDLE, auto_decompress=False)  # type: ignore[arg-type]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._manager is not None and len(self._manager.connections) > MOST_CONNECTIONS:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what aiohttp could not read, or where one of ours failed; of the latter only the type is logged."""
        if status >= 500:
            log.error("bug: %s while serving %s", type(exc).__name__, request.method)
        answer = _refusal(status, "internal error" if status >= 500 else "the request is not valid HTTP/1.1")
        answer.headers.update(_SAFE)
        answer.force_close()
        return answer


def _given(request: web.Request) -> list[str]:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    keys = [token.strip()] if scheme.lower() == "bearer" else []
    return [*keys, *request.headers.getall("x-admin-key", [])]


def _is(digest: bytes, given: str) -> bool:
    # As it came over the wire: aiohttp reads headers as UTF-8 and keeps what is none as surrogates.
    sent = given.encode("utf-8", "surrogateescape")
    return hmac.compare_digest(hashlib.sha256(sent).digest(), digest)


def _means_this_machine(host: str) -> bool:
    """Say whether a Host header names this machine as only its own users would.

    >>> [_means_this_machine(host) for host in ("localhost:8081", "127.0.0.1", "[::1]:8081", "evil.example", "")]
    [True, True, True, False, False]
    """
    name = host[1:].partition("]")[0] if host.startswith("[") else host.rpartition(":")[0] or host
    if name.lower() == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


async def _safe(request: web.Request, answer: web.StreamResponse) -> None:
    answer.headers.update(_SAFE)


def _refusal(status: int, message: str, kind: str = "") -> web.Response:
    types = {401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}
    types |= {500: "internal", 503: "unavailable"}
    answer = _json({"error": {"type": kind or types.get(status, "bad_request"), "message": message}}, status)
    if status == 401:
        answer.headers["www-authenticate"] = "Bearer"
    return answer
