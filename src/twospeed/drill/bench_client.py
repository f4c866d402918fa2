"""One request of a load test: sent, read to its end, judged as its dialect would. Never retried."""

import time
from collections.abc import Sequence

import msgspec

from twospeed.dialects import Dialect
from twospeed.drill.bench_tally import Outcome
from twospeed.errors import Fault, Kind
from twospeed.policy.headers import Pair, find
from twospeed.types import Exchange, Request, Transport

ERROR_BODY_LIMIT = 65_536  # bytes of an error answer that are read
TIMEOUT = "timeout"
clock = time.monotonic  # also the clock of deadlines


class _Said(msgspec.Struct):
    """The `error` of an error answer."""

    code: str | int | None = None
    type: str | None = None


class _Refused(msgspec.Struct):
    error: _Said | str


_decode = msgspec.json.Decoder(_Refused)


class Client:
    """Sends requests to one endpoint.

    Args:
        path: Put behind the address of the transport.
        timeout: Seconds that a request may take, counted from the instant it was due.
    """

    def __init__(
        self, transport: Transport, dialect: Dialect, path: str, headers: Sequence[Pair], timeout: float
    ) -> None:
        self._transport = transport
        self._dialect = dialect
        self._path = path
        self._headers = [(b"content-type", b"application/json"), *headers]
        self._timeout = timeout

    async def ask(self, request: Request, due: float, session: str = "") -> Outcome:
        """Send one request and say what became of it.

        Args:
            due: When it should have been sent.
            session: Its session, "" to leave that to what the body shows.
        """
        headers = [*self._headers, (b"x-twospeed-session", session.encode())] if session else self._headers
        outcome = Outcome(request.stream)
        exchange: Exchange | None = None
        deadline = due + self._timeout
        try:
            exchange = await self._transport.connect(deadline)
            await exchange.send(self._path, headers, request.body, deadline)
            self._look_at(exchange, outcome)
            await self._read(exchange, request, outcome, due, deadline)
        except TimeoutError:
            outcome.error = TIMEOUT
        except Fault as fault:
            outcome.error = outcome.error or fault.kind.value
            outcome.truncated = request.stream and fault.kind is Kind.TRUNCATED
        finally:
            if exchange is not None:
                exchange.close()
        outcome.total = clock() - due
        return outcome

    def _look_at(self, exchange: Exchange, outcome: Outcome) -> None:
        outcome.tier = find(exchange.headers, b"x-twospeed-tier").decode("latin-1")
        outcome.backend = find(exchange.headers, b"x-twospeed-backend").decode("latin-1")

    async def _read(self, exchange: Exchange, request: Request, outcome: Outcome, due: float, deadline: float) -> None:
        if exchange.status != 200:
            outcome.error = f"{exchange.status} {_code(await _whole(exchange, deadline, ERROR_BODY_LIMIT))}".strip()
        elif request.stream:
            await self._stream(exchange, request, outcome, due, deadline)
        else:
            self._dialect.answer(await _whole(exchange, deadline))

    async def _stream(
        self, exchange: Exchange, request: Request, outcome: Outcome, due: float, deadline: float
    ) -> None:
        """Read a stream. Raises: Fault TRUNCATED when it ends without its terminal event."""
        reader, last = self._dialect.reader(request), 0.0
        while data := await exchange.read(deadline):
            now = clock()
            events = data.count(b"\n\n")
            reader.feed(data)
            if outcome.first_token is None and reader.committed:
                outcome.first_token = now - due
            if events:
                if outcome.events:
                    outcome.gaps.add(now - last)
                if events > 1:
                    outcome.gaps.add(0.0, events - 1)
                outcome.events += events
                last = now
        if not reader.ended:
            raise Fault(Kind.TRUNCATED)


async def _whole(exchange: Exchange, deadline: float, most: int | None = None) -> bytes:
    parts, size = [], 0
    while (data := await exchange.read(deadline)) and (most is None or size < most):
        parts.append(data)
        size += len(data)
    return b"".join(parts)


def _code(body: bytes) -> str:
    """Return what an error answer calls itself, "" when it does not say."""
    try:
        said = _decode.decode(body).error
    except msgspec.MsgspecError:
        return ""
    return said[:40] if isinstance(said, str) else str(said.code or said.type or "")[:40]
