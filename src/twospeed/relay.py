"""Stream out: the winning attempt's bytes to the client, whole events only, and an honest end whatever happens.

After the commit point the status is spent: a failure becomes the dialect's one in-stream error event (R11), never a
clean end and never another model's text. The client's pace sets the provider's: while it does not keep up nothing is read.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from twospeed.errors import Fault, Kind
from twospeed.policy.headers import Pair
from twospeed.types import Record
from twospeed.upstream.client import Try

LAST_BYTES = 0.25  # seconds to wait for a provider's end of body after its [DONE], so that the connection is kept


class Reply(Protocol):
    """Where the answer goes; the listener's engine implements it."""

    @property
    def started(self) -> bool:
        """The head is fixed."""

    @property
    def status(self) -> int:
        """0 until started."""

    @property
    def gone(self) -> bool:
        """The client left or does not read."""

    @property
    def done(self) -> bool:
        """The answer is complete."""

    def send(self, status: int, headers: Sequence[Pair], body: bytes) -> None:
        """Answer in one piece."""

    def start(self, status: int, headers: Sequence[Pair]) -> None:
        """Begin a stream; the head goes out with the first bytes."""

    def put(self, data: bytes) -> bool:
        """Pass bytes on; say whether the client keeps up. Else nothing more is to be put before `drained`."""

    async def drained(self) -> None:
        """Wait while the client does not keep up. Raises: Fault CLIENT_STALLED."""

    def finish(self, data: bytes = b"") -> None:
        """Pass the last bytes on and end the stream."""

    def beat(self, data: bytes) -> None:
        """Pass a keep-alive on if the client reads."""

    def abort(self) -> None:
        """Cut the connection."""


class Resume(Protocol):
    """Goes on with a broken stream."""

    attempt: Try  # the one that serves now

    @property
    def events(self) -> int: ...

    async def __call__(self, fault: Fault) -> Try | None:
        """Return the attempt that goes on, None where the stream ends with this fault."""


async def relay(
    attempt: Try,
    headers: Sequence[Pair],
    reply: Reply,
    record: Record,
    deadline: float,
    clock: Callable[[], float],
    resume: Resume | None = None,
) -> None:
    """Deliver an answer that has reached its commit point.

    Args:
        headers: All response headers for the client.
        deadline: Instant at which the whole request has failed.
        resume: May go on with a stream that breaks; None: nobody does.

    Raises: Fault, after the client has been told of it in the stream.
    """
    record.status = attempt.status
    if attempt.reader is None:
        body = attempt.held[0]
        record.bytes_out = len(body)
        reply.send(attempt.status, headers, body)
        return
    if not reply.started:  # else the head went out early, with a keep-alive
        reply.start(attempt.status, headers)
    try:
        await _stream(attempt, reply, record, deadline, clock)
    except Fault as fault:
        if resume is None:
            interrupt(attempt, reply, record, fault)
            raise
        await _resumed(resume, fault, reply, record, deadline, clock)
    finally:
        record.events_out = attempt.reader.output_events if resume is None else resume.events


async def _resumed(
    resume: Resume, fault: Fault, reply: Reply, record: Record, deadline: float, clock: Callable[[], float]
) -> None:
    """Stream on from attempt to attempt. Raises: the last Fault, after the client has been told of it."""
    attempt = await resume(fault)
    while attempt is not None:
        try:
            await _stream(attempt, reply, record, deadline, clock)
            return
        except Fault as again:
            fault = again
            attempt = await resume(fault)
    interrupt(resume.attempt, reply, record, fault)
    raise fault


async def _stream(attempt: Try, reply: Reply, record: Record, deadline: float, clock: Callable[[], float]) -> None:
    reader, idle = attempt.reader, attempt.candidate.timeouts.idle
    assert reader is not None

    def take(data: bytes) -> bool:
        """Pass a read on; False when there is nothing more to pass on or the client has to be waited for."""
        block = reader.feed(data)
        record.bytes_out += len(block)
        return reply.put(block) and not reader.ended

    held = b"".join(attempt.held)
    record.bytes_out += len(held)
    reply.put(held)
    await reply.drained()
    if attempt.broken:
        raise attempt.broken
    try:
        while not reader.ended and not await attempt.pour(take, idle, deadline, clock):
            await reply.drained()
    except TimeoutError:
        kind = Kind.TOTAL_TIMEOUT if clock() >= deadline else Kind.IDLE_TIMEOUT
        raise Fault(kind, "the model stopped sending") from None
    last = b"" if reader.ended else reader.end()
    record.bytes_out += len(last)
    reply.finish(last)
    await _drain(attempt, clock)


async def _drain(attempt: Try, clock: Callable[[], float]) -> None:
    """Read a finished provider's last bytes, so that its connection can serve again; give up soon."""
    until = clock() + LAST_BYTES
    try:
        while await attempt.read(until):
            pass
    except (TimeoutError, Fault):
        return  # the answer is whole; only the connection is lost


def interrupt(attempt: Try, reply: Reply, record: Record, fault: Fault) -> None:
    """End a stream already begun with the one event that says why (R11); a client that does not read is cut."""
    if fault.kind is Kind.CLIENT_STALLED:
        reply.abort()
        return
    reader = attempt.reader
    assert reader is not None
    last = reader.good + reader.interrupt(fault, record.id)
    record.bytes_out += len(last)
    reply.finish(last)
