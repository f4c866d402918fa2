"""One connection to one Redis: calls made in the same turn of the event loop share one write, answers come in order.

redis-py dials (addresses, TLS, passwords, Sentinel, Cluster); from then on this protocol owns the socket and hiredis
reads it, at a fraction of what redis-py's own path costs. Every call is bounded by `timeout`. After FAILURES in a row
the connection is dropped, and callers do without Redis until `run` has made a new one that can write again (R22).

Task: `run`, one per link, created and awaited by `Replica`; it dials, beats, and dials again.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

import hiredis
import msgspec
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisClusterException, RedisError

from twospeed.stores.redis.script import Form, Script, Word, packed

FAILURES = 3  # in a row
BEAT = 0.5  # seconds between two signs of life
DIAL = 1.0  # seconds to connect and prove fit
FIRST_RETRY, LAST_RETRY = 0.25, 3.0  # seconds; the last, with DIAL, keeps the return within 5 s
DRIFT = 1_000  # microseconds two clocks may drift apart between two beats
STEADY = 10.0  # seconds up after which trouble counts as new
GRACE = 0.002  # seconds: an answer that already lies in the socket is read before it is called late

Dial = Callable[[], Awaitable[AbstractConnection]]

_KINDS = (
    "READONLY",
    "OOM",
    "MISCONF",
    "LOADING",
    "NOAUTH",
    "WRONGPASS",
    "NOPERM",
    "MOVED",
    "ASK",
    "CLUSTERDOWN",
    "BUSY",
)
_NOTHING = object()
_log = logging.getLogger("twospeed.stores.redis")


class Trouble(Exception):
    """Redis did not answer in time, or answered with an error. The text is one safe word or two."""


_UNFIT = (Trouble, RedisError, RedisClusterException, OSError, EOFError, TimeoutError)


class Counts(msgspec.Struct):
    """What has happened on a link since it was made. `downs`: times it went from up to down."""

    calls: int = 0
    timeouts: int = 0
    errors: int = 0
    downs: int = 0


class _Call(msgspec.Struct):
    answer: "asyncio.Future[object] | None" = None
    late: Callable[[object], None] | None = None
    lost: Callable[[], None] | None = None
    whole: tuple[Word, ...] = ()  # a script's call for a Redis that does not know it, where there is no form
    form: Form | None = None
    line: str = ""
    deadline: float = 0.0
    expired: bool = False


class Link(asyncio.Protocol):
    """A connection that comes back by itself.

    Args:
        dial: Makes a connection with redis-py.
        beat: Run on each new connection before it counts as up, then every BEAT; raises Trouble when unfit.
        timeout: Seconds that a call may take.
        name: For logs.
        well, without: What the log says of the time with it and without it.

    `up`: calls may be made. `known`: done when the first attempt to connect has come out, either way. `heard_time`
    is called by `beat` with the time of Redis, in microseconds.
    """

    def __init__(
        self,
        dial: Dial,
        beat: Callable[["Link"], Awaitable[None]],
        timeout: float,
        name: str,
        well: str = "limits are shared again",
        without: str = "each process keeps to its share of the limits",
    ) -> None:
        self.up = False
        self.counts = Counts()
        self._dial = dial
        self._beat = beat
        self._timeout = timeout
        self._name = name
        self._well, self._without = well, without
        self._loop = asyncio.get_running_loop()
        self._connection: AbstractConnection | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._out: list[bytes] = []
        self._calls: deque[_Call] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._failures = 0
        self._ahead = 0  # clock of Redis minus that of the event loop, microseconds
        self._was_up = False
        self._broken: asyncio.Future[str] = self._loop.create_future()
        self.known: asyncio.Future[None] = self._loop.create_future()

    def ask(self, script: Script, keys: tuple[str, ...], words: tuple[Word, ...]) -> "asyncio.Future[object]":
        """Run a script and return its answer to be awaited. Raises: Trouble, also from the future."""
        answer: asyncio.Future[object] = self._loop.create_future()
        call = _Call(answer, whole=("EVAL", script.source, len(keys), *keys, *words))
        self._send(call, packed(("EVALSHA", script.digest, *call.whole[2:])))
        return answer

    def call(
        self,
        form: Form,
        line: str,
        late: Callable[[object], None] | None = None,
        lost: Callable[[], None] | None = None,
    ) -> "asyncio.Future[object]":
        """Run a script that is asked again and again, and return its answer to be awaited.

        Args:
            late: Told of an answer that came after its caller had given up.
            lost: Told that none will come to a caller that had given up: nobody knows whether Redis has heard of it.

        Raises: Trouble, also from the future.
        """
        answer: asyncio.Future[object] = self._loop.create_future()
        self._send(_Call(answer, late, lost, (), form, line), form.packed(line))
        return answer

    def tell(
        self,
        form: Form,
        line: str,
        heard: Callable[[object], None] | None = None,
        lost: Callable[[], None] | None = None,
    ) -> None:
        """Run a script whose answer nobody waits for: `heard` is told of it, `lost` that none will come.

        Raises: Trouble, when there is no connection.
        """
        self._send(_Call(None, heard, lost, (), form, line), form.packed(line))

    def command(self, *words: Word) -> "asyncio.Future[object]":
        """Run a plain command. Raises: Trouble, also from the future."""
        answer: asyncio.Future[object] = self._loop.create_future()
        self._send(_Call(answer), packed(words))
        return answer

    def latest(self) -> int:
        """Return the instant of Redis, in microseconds, after which a call made now is waited for no more.

        A Redis that hung may come to it later; scripts that change something may leave it then.
        """
        return round((self._loop.time() + self._timeout) * 1_000_000) + self._ahead

    def heard_time(self, redis_us: int) -> None:
        """Compare clocks. Answers under way make Redis look late, never early, so the largest difference is the best."""
        self._ahead = max(self._ahead - DRIFT, redis_us - round(self._loop.time() * 1_000_000))

    def notify(self, *words: Word) -> None:
        """Run a plain command whose answer nobody waits for. Raises: Trouble, when there is no connection."""
        self._send(_Call(), packed(words))

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        wait = FIRST_RETRY
        try:
            while True:
                began = self._loop.time()
                await self._live()
                if self._loop.time() - began > STEADY:
                    wait = FIRST_RETRY
                await asyncio.sleep(wait)
                wait = min(wait * 2, LAST_RETRY)
        finally:
            self._break("closed")

    async def _live(self) -> None:
        """Have one connection, from dialling to its end."""
        self._broken = self._loop.create_future()
        try:
            async with asyncio.timeout(DIAL):
                await self._connect()
                await self._beat(self)
        except _UNFIT as error:
            self._break(_reason(error))
        else:
            self._turn(True, "")
        while not self._broken.done():
            await asyncio.wait([self._broken], timeout=BEAT)
            if not self._broken.done():
                try:
                    await self._beat(self)
                except Trouble:
                    continue  # counted where it was answered, and enough of them break the link
        self._turn(False, self._broken.result())

    async def _connect(self) -> None:
        connection = await self._dial()
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            connection._close()  # type: ignore[no-untyped-call]
            raise
        writer = connection._writer
        if writer is None:
            raise Trouble("no connection")
        # Ours from here on: redis-py must not close it, and the writer closes it when it is collected.
        connection._writer = connection._reader = None
        self._writer = writer
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._failures = 0
        self._ahead = 0
        writer.transport.set_protocol(self)

    def _send(self, call: _Call, data: bytes) -> None:
        if self._writer is None:
            raise Trouble("no connection")
        call.deadline = self._loop.time() + self._timeout
        self.counts.calls += 1
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)
        self._calls.append(call)
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout, self._look)

    def _flush(self) -> None:
        if self._writer is not None and self._out:
            self._writer.transport.write(b"".join(self._out))
        self._out.clear()

    def data_received(self, data: bytes) -> None:
        """Hand out the answers."""
        self._reader.feed(data)
        while self._writer is not None:
            try:
                reply = self._reader.gets()
            except hiredis.ProtocolError:
                self._break("protocol error")
                return
            if reply is _NOTHING:
                return
            if not self._calls:
                self._break("protocol error")
                return
            self._answered(self._calls.popleft(), reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what was under way."""
        self._break("connection lost")

    def _answered(self, call: _Call, reply: object) -> None:
        if isinstance(reply, hiredis.ReplyError):
            self._refused(call, str(reply))
            return
        if not call.expired:
            self._failures = 0
        if call.answer is not None and not call.answer.done():
            call.answer.set_result(reply)
        elif call.late is not None:
            call.late(reply)

    def _refused(self, call: _Call, text: str) -> None:
        whole = call.form.whole(call.line) if call.form else call.whole
        if text.startswith("NOSCRIPT") and whole:
            self._send(call, packed(whole))
            return
        kind = next((kind for kind in _KINDS if kind in text), "error")
        self.counts.errors += 1
        if call.answer is not None and not call.answer.done():
            call.answer.set_exception(Trouble(kind))
        if not call.expired:
            self._failed(kind)

    def _look(self) -> None:
        """Look for calls that have waited too long; judge a moment later, when the socket has been read once more."""
        late = any(not call.expired and call.deadline <= self._loop.time() for call in self._calls)
        if late:
            self._timer = self._loop.call_later(GRACE, self._judge)
        else:
            self._watch()

    def _judge(self) -> None:
        now = self._loop.time()
        for call in list(self._calls):
            if not call.expired and call.deadline <= now - GRACE and self._writer is not None:
                self._expire(call)
        self._watch()

    def _watch(self) -> None:
        """Set the timer for the call that may be late next."""
        following = next((call for call in self._calls if not call.expired), None)
        self._timer = self._loop.call_at(following.deadline, self._look) if following else None

    def _expire(self, call: _Call) -> None:
        call.expired = True
        self.counts.timeouts += 1
        if call.answer is not None and not call.answer.done():
            call.answer.set_exception(Trouble("timeout"))
        self._failed("timeout")

    def _failed(self, reason: str) -> None:
        self._failures += 1
        if self._failures >= FAILURES:
            self._break(reason)

    def _break(self, reason: str) -> None:
        """Drop the connection; everyone who waits learns of it now."""
        if not self._broken.done():
            self._broken.set_result(reason)
        self.up = False
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.transport.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        calls, self._calls = self._calls, deque()
        self._out.clear()
        for call in calls:
            if call.answer is not None and not call.answer.done():
                call.answer.set_exception(Trouble(reason))
            elif call.lost is not None:
                call.lost()

    def _turn(self, up: bool, reason: str) -> None:
        """Note how the link stands, and log it if that is news."""
        first, was_up = not self.known.done(), self._was_up
        self._was_up = self.up = up
        if first:
            self.known.set_result(None)
        if up and not first and not was_up:
            _log.info("redis %s: ok, %s", self._name, self._well)
        if not up and (first or was_up):
            self.counts.downs += 1
            _log.warning("redis %s: degraded (%s), %s", self._name, reason, self._without)


def _reason(error: BaseException) -> str:
    if isinstance(error, Trouble):
        return str(error)
    return (
        "timeout" if isinstance(error, TimeoutError) else type(error.__cause__ or error.__context__ or error).__name__
    )
