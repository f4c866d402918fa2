"""The way out to one client: back-pressure, stalled clients, hanging up."""

import asyncio

import pytest

from twospeed.edge.line import NEVER, Line
from twospeed.errors import Fault, Kind


class Pipe(asyncio.Transport):
    """A transport that holds `held` bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.held = 0
        self.aborted = self.ended = self.closing = False

    def get_write_buffer_size(self) -> int:
        return self.held

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.limits = (low, high)

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture
async def pipe() -> Pipe:
    return Pipe()


@pytest.fixture
async def line(pipe) -> Line:
    return Line(pipe, asyncio.get_running_loop(), stall_timeout=10.0)


async def test_a_writer_waits_while_the_client_does_not_read(line, pipe):
    """Between pause and resume a writer waits, otherwise not."""
    await line.drained()
    pipe.held = 300_000
    line.pause()
    writing = asyncio.ensure_future(line.drained())
    await asyncio.sleep(0)
    assert not writing.done()
    pipe.held = 0
    line.resume()
    await writing
    assert line.stall_deadline == NEVER
    assert pipe.limits == (65_536, 262_144)


async def test_a_client_that_takes_nothing_is_stalled(line, pipe):
    """After the stall timeout the waiting writer is told, and so is every later one."""
    pipe.held = 300_000
    line.pause()
    writing = asyncio.ensure_future(line.drained())
    await asyncio.sleep(0)
    deadline = line.stall_deadline
    assert not line.check(deadline - 0.001)
    assert line.check(deadline)
    for waiting in (writing, line.drained()):
        with pytest.raises(Fault) as caught:
            await waiting
        assert caught.value.kind is Kind.CLIENT_STALLED
    assert line.stall_deadline == NEVER


async def test_a_client_that_takes_little_is_waited_for(line, pipe):
    """Each byte taken starts the clock anew."""
    pipe.held = 300_000
    line.pause()
    deadline = line.stall_deadline
    pipe.held = 299_999
    assert not line.check(deadline + 5)
    assert not line.check(deadline + 14)
    assert line.check(deadline + 15)


async def test_a_writer_is_told_that_the_client_left(line, pipe):
    """A lost connection ends the wait with its own fault."""
    line.lost = True
    with pytest.raises(Fault) as caught:
        await line.drained()
    assert caught.value.kind is Kind.CLIENT_GONE


async def test_a_cancelled_writer_leaves_no_trace(line, pipe):
    """The next writer waits as if there had been none before."""
    pipe.held = 300_000
    line.pause()
    for _ in range(2):
        writing = asyncio.ensure_future(line.drained())
        await asyncio.sleep(0)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    line.resume()
    await line.drained()


async def test_what_is_left_at_the_end_is_watched_too(line, pipe):
    """A closing connection whose last bytes are not taken has a deadline; one with nothing left has none."""
    line.watch()
    assert line.stall_deadline == NEVER
    pipe.held, pipe.closing = 10, True
    line.watch()
    line.resume()
    assert line.stall_deadline < NEVER
    assert line.check(line.stall_deadline)


async def test_output_ends_once(line, pipe):
    """FIN is sent where there is still a connection."""
    line.end_output()
    assert pipe.ended
    pipe.ended, pipe.closing = False, True
    line.end_output()
    line.abort(reset=True)
    assert not pipe.ended
    assert pipe.aborted
