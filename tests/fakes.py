"""Doubles for what the story is handed: a transport that answers as told, a clock, limits and health that only note."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace as replace

from twospeed.errors import Fault, Kind
from twospeed.policy.limit import Ask, Level, Limit, Permit, Refusal
from twospeed.types import Backend, Candidate, Plan, Record, Timeouts
from twospeed.upstream.client import Job, Link

Step = bytes | Exception
SSE = ((b"content-type", b"text/event-stream"),)
TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


class Exchange:
    """Plays a script: what `send` meets, then what each `read` gives."""

    def __init__(
        self, status: int, headers: Sequence[tuple[bytes, bytes]], steps: Sequence[Step], reused: bool
    ) -> None:
        self.status, self.headers, self.reused, self.answered = status, headers, reused, False
        self.steps = list(steps)
        self.sent: list[tuple[str, dict[bytes, bytes], bytes]] = []
        self.closed = False

    async def send(self, path: str, headers: Sequence[tuple[bytes, bytes]], body: bytes, deadline: float) -> None:
        self.sent.append((path, dict(headers), body))
        if self.steps and isinstance(self.steps[0], Exception):
            raise self.steps.pop(0)
        self.answered = True

    async def read(self, deadline: float) -> bytes:
        step = self.steps.pop(0) if self.steps else b""
        if isinstance(step, Exception):
            raise step
        return step

    def close(self) -> None:
        self.closed = True


class Transport:
    """Hands out scripted exchanges, one per connect; an exception in the list is raised by that connect."""

    def __init__(self, *exchanges: Exchange | Exception) -> None:
        self.exchanges = list(exchanges)
        self.connects: list[bool] = []  # whether each asked for a fresh connection

    async def connect(self, deadline: float, fresh: bool = False) -> Exchange:
        self.connects.append(fresh)
        exchange = self.exchanges.pop(0)
        if isinstance(exchange, Exception):
            raise exchange
        return exchange

    async def close(self) -> None:
        self.exchanges = []


def streaming(*steps: Step, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = SSE, reused: bool = False):
    """A streamed answer."""
    return Exchange(status, headers, steps, reused)


def plain(*steps: Step, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = (), reused: bool = False):
    """An unstreamed answer."""
    return Exchange(status, headers, steps, reused)


@dataclass
class Clock:
    """Time that stands still until it is moved."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Notes:
    """Limits and health at once: admits unless told otherwise, and writes down what it heard."""

    refusals: dict[str, Refusal] = field(default_factory=dict)
    full: dict[str, list[Level]] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    last_resorts: set[str] = field(default_factory=set)
    heard: list[tuple[object, ...]] = field(default_factory=list)

    async def take(self, ask: Ask) -> Permit | Refusal:
        return self.refusals.get(ask.pool) or Permit("p", ask, 0.0)

    def settle(self, permit: Permit, input_tokens: int, output_tokens: int) -> None:
        self.heard.append(("settle", permit.ask.pool, input_tokens, output_tokens))

    def refund(self, permit: Permit) -> None:
        self.heard.append(("refund", permit.ask.pool))

    def cool(self, pool: str, seconds: float) -> None:
        self.heard.append(("cool", pool, seconds))

    def learn(self, pool: str, dimension: str, remaining: int, reset_after: float) -> None:
        self.heard.append(("learn", pool, dimension, remaining, reset_after))

    def levels(self, pool: str) -> list[Level]:
        return self.full.get(pool, [])

    def usable(self, backend: str) -> bool:
        return backend not in self.open

    def probe(self, backend: str) -> bool:
        return False

    def last_resort(self, backend: str) -> bool:
        return backend in self.last_resorts

    def wait(self, backend: str) -> float:
        return 4.5

    def succeeded(self, backend: str, first_token: float | None) -> None:
        self.heard.append(("succeeded", backend))

    def failed(self, backend: str, kind: Kind) -> None:
        self.heard.append(("failed", backend, kind))

    def released(self, backend: str) -> None:
        self.heard.append(("released", backend))

    def first_token(self, backend: str) -> float | None:
        return None


def candidate(name: str, probe: bool = False) -> Candidate:
    """A backend `name/m@r` with short deadlines."""
    return Candidate(Backend(name, "m", "r", f"{name}/m@r"), Timeouts(1.0, 2.0, 3.0, 60.0), probe)


def plan(*names: str, stream: bool = True, replayable: bool = True) -> Plan:
    """A plan over these providers, in this order."""
    return Plan("fast", tuple(candidate(name) for name in names), 160.0, stream, replayable)


def link(transport: Transport, pool: str = "p/m") -> Link:
    """A way to reach a backend, without limits."""
    return Link(transport, pool, Limit(), headers=((b"authorization", b"Bearer ours"),))


def record() -> Record:
    """An empty record."""
    return Record(id="r", started_at=100.0, started_wall=0.0, endpoint="/v1/chat/completions")


def job(dialect, stream: bool = True, headers: dict[bytes, bytes] | None = None, **more: object) -> Job:
    """A small chat request; `more` goes into its body."""
    import json

    body = {"model": "auto", "stream": stream, "messages": [{"role": "user", "content": "hi"}], **more}
    return Job(dialect, dialect.decode(json.dumps(body).encode(), "/v1/chat/completions"), headers or {})


class Reply:
    """Keeps what the client would have seen."""

    def __init__(self, stalls_after: int = 10**9, on_write: Callable[[], None] = lambda: None) -> None:
        self.started = self.gone = self.done = False
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.finished = self.aborted = False
        self._room = stalls_after
        self._on_write = on_write

    def send(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        self.start(status, headers)
        self.finish(body)

    def start(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.started, self.status, self.headers = True, status, dict(headers)

    def put(self, data: bytes) -> bool:
        self._room -= 1
        if self._room < 0:
            return False
        self.body += data
        self._on_write()
        return True

    async def drained(self) -> None:
        if self._room < 0:
            raise Fault(Kind.CLIENT_STALLED)

    def beat(self, data: bytes) -> None:
        self.body += data

    def finish(self, data: bytes = b"") -> None:
        self.body += data
        self.finished = self.done = True

    def abort(self) -> None:
        self.aborted = True
