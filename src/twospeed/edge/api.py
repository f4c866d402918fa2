"""The data listener's endpoints: path -> dialect, key -> caller, then the proxy tells the story.

Who may call and where a path leads is settled when the head is there, before the body is read (R27). A request keeps
the snapshot it began with, whatever is reloaded meanwhile (R25).
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from twospeed.deciding import Call as Inbound
from twospeed.dialects import Dialect, Refusal
from twospeed.edge import models, unpack
from twospeed.edge.http import Call, Head, Reply
from twospeed.errors import Fault, Kind
from twospeed.policy.access import Caller
from twospeed.policy.choose import unknown_model
from twospeed.policy.cors import preflight, stranger, welcome
from twospeed.runtime import Runtime

Step = Callable[[Call, Reply], Awaitable[None] | None]
JSON = (b"content-type", b"application/json")
_GREETINGS = ("/", "/api/hello")  # what Claude Code asks first, without a key
_VERSIONS = ("", "/v1")
_ASKING = "asking"  # what is found out about the head of a request to a model: dialect and caller, and in which era
_NOBODY: tuple[Any, Any, Any] = (None, None, None)


class Api:
    """The `App` behind the data listener. `runtime` may be swapped between requests."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._era = object()  # a new one with each runtime
        self.draining = False
        self._posts: dict[str, Dialect] = {}
        self._default: Dialect = runtime.dialects["openai_chat"]
        for dialect in runtime.dialects.values():
            for path in dialect.paths:
                self._posts.update({version + path: dialect for version in _VERSIONS})

    @property
    def runtime(self) -> Runtime:
        """The snapshot that requests begin with now."""
        return self._runtime

    @runtime.setter
    def runtime(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._era = object()

    def admit(self, head: Head) -> None:
        """Settle path, method and caller; leaves the step to run in `head.context`. Raises: Fault."""
        headers, runtime = head.headers, self._runtime
        era, dialect, caller = headers.found.get(_ASKING, _NOBODY) if headers.found else _NOBODY
        if era is not self._era:  # not asked before, or before the last reload
            dialect = self._posts.get(head.path)
            if head.method != "POST" or dialect is None or _wants_websocket(head):
                head.context = self._other(head, known=dialect is not None)
                return
            caller = self._caller(head)
            headers.keep(_ASKING, (self._era, dialect, caller))
        if runtime.seats.full:
            raise Fault(Kind.OVERLOADED, "the server has as many requests under way as it takes; try again")
        if b"content-encoding" in headers:
            unpack.check(headers[b"content-encoding"])
        head.context = partial(self._ask, dialect, caller, runtime)

    def serve(self, call: Call, reply: Reply) -> Awaitable[None] | None:
        """Run what `admit` settled."""
        step: Step = call.head.context
        if b"origin" in call.head.headers:
            reply.extra = welcome(self.runtime.origins, call.head.headers)
        return step(call, reply)

    def refuse(self, head: Head | None, fault: Fault) -> Refusal:
        """Say a fault in the dialect of the path, or as OpenAI does where there is none."""
        dialect = self._posts.get(head.path, self._default) if head else self._default
        request_id = self.runtime.new_id()
        refusal = dialect.refuse(fault, request_id)
        extra: tuple[tuple[bytes, bytes], ...] = ((b"x-request-id", request_id.encode()),)
        if fault.kind is Kind.METHOD_NOT_ALLOWED:
            extra += ((b"allow", b"POST" if head and head.path in self._posts else b"GET"),)
        if fault.kind is Kind.UPGRADE_REFUSED:
            extra += ((b"upgrade", b"HTTP/1.1"), (b"connection", b"upgrade"))  # RFC 9110, 7.8: it is named there
        if head and b"origin" in head.headers:
            extra += welcome(self.runtime.origins, head.headers)
        return Refusal(refusal.status, (*refusal.headers, *extra), refusal.body)

    def _other(self, head: Head, known: bool) -> Step:
        """Everything but asking a model."""
        path = head.path
        if path in ("/healthz", "/readyz"):
            self._only(head, "GET", "HEAD")
            return self._ready if path == "/readyz" else self._alive
        if path in _GREETINGS and head.method == "HEAD":
            return self._greet
        if head.method == "OPTIONS" and welcome(self.runtime.origins, head.headers):
            return self._preflight
        caller = self._caller(head)
        if _wants_websocket(head):
            raise Fault(Kind.UPGRADE_REFUSED, "this server speaks plain HTTP here; send the request as POST")
        if known:
            self._only(head, "POST")
        listed = path.removeprefix("/v1")
        if listed == "/models" or listed.startswith("/models/"):
            self._only(head, "GET", "HEAD")
            return partial(self._models, caller, listed.removeprefix("/models").removeprefix("/"))
        raise Fault(Kind.NOT_FOUND, f"there is no {head.method} {path[:200]} here")

    def _caller(self, head: Head) -> Caller:
        caller = self.runtime.callers.identify(head.headers)
        if caller is None:
            raise Fault(Kind.UNAUTHORIZED, "the API key is missing or not known here")
        if not self.runtime.loaded.callers and stranger(self.runtime.origins, head.headers):
            raise Fault(
                Kind.UNAUTHORIZED, "web pages may not ask this server: set keys, or list their origin in listen.cors"
            )
        return caller

    def _only(self, head: Head, *methods: str) -> None:
        if head.method not in methods:
            raise Fault(Kind.METHOD_NOT_ALLOWED, f"{head.path[:200]} answers {' and '.join(methods)} only")

    def _ask(self, dialect: Dialect, caller: Caller, runtime: Runtime, call: Call, reply: Reply) -> Awaitable[None]:
        head = call.head
        body = call.body
        if b"content-encoding" in head.headers:
            body = unpack.unpacked(body, head.headers[b"content-encoding"], runtime.loaded.config.listen.body_limit)
        inbound = Inbound(dialect, head.path, caller, head.headers, body, call.received_at, head.query)
        call.body = b""  # the proxy's alone from here on
        return runtime.proxy.handle(inbound, reply)

    def _alive(self, call: Call, reply: Reply) -> None:
        reply.send(200, (JSON,), b'{"status":"alive"}')

    def _preflight(self, call: Call, reply: Reply) -> None:
        reply.send(204, preflight(call.head.headers), b"")

    def _greet(self, call: Call, reply: Reply) -> None:
        reply.send(200, (), b"")

    def _ready(self, call: Call, reply: Reply) -> None:
        memory = self.runtime.memory
        if self.draining:
            reply.send(503, (JSON, (b"retry-after", b"1")), b'{"status":"draining"}')
        elif memory.well():
            reply.send(200, (JSON,), b'{"status":"ready"}')
        else:  # each process keeps to its share of the limits meanwhile: no reason to send requests elsewhere (R22)
            reply.send(200, (JSON,), b'{"status":"ready","degraded":["%s"]}' % memory.name.encode())

    def _models(self, caller: Caller, name: str, call: Call, reply: Reply) -> None:
        catalogue, headers = self.runtime.proxy.catalogue, call.head.headers
        body = models.one(name, catalogue, caller, headers) if name else models.listing(catalogue, caller, headers)
        if body is not None:
            reply.send(200, (JSON, (b"x-request-id", self.runtime.new_id().encode())), body)
            return
        refusal = self.refuse(call.head, unknown_model(name))
        reply.send(refusal.status, refusal.headers, refusal.body)


def _wants_websocket(head: Head) -> bool:
    """Say whether the client would leave HTTP for WebSocket; other offers, such as h2c, are passed over."""
    return head.headers.get(b"upgrade", b"").lower() == b"websocket"
