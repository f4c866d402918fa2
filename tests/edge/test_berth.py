"""One worker's place, with small programs in it that speak as a worker does."""

import asyncio
import sys
from collections.abc import Callable

import pytest

from twospeed.edge import berth as module
from twospeed.edge.berth import Berth
from twospeed.telemetry.instruments import REQUESTS, WORKERS
from twospeed.telemetry.snapshot import merge

SPEAKS = """
import signal, socket, struct, sys
import msgspec
sock = socket.socket(fileno=int(sys.argv[1]))
def point(labels, value):
    return {"labels": labels, "value": value}
COUNTS = msgspec.msgpack.encode({
    "twospeed.requests": [point(["fast", "a", "m", "r", "200"], 3.0)], "twospeed.workers": [point([], 1.0)],
})
def say(*frame):
    data = msgspec.msgpack.encode(frame)
    sock.sendall(struct.pack(">I", len(data)) + data)
def hear():
    data = sock.recv(4, socket.MSG_WAITALL)
    return msgspec.msgpack.decode(sock.recv(*struct.unpack(">I", data), socket.MSG_WAITALL)) if data else sys.exit()
"""
GOOD = """
def leave(*_):
    say(0, "farewell", COUNTS)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
say(0, "ready", b"")
while True:
    number, word, body = hear()
    say(number, "answer", COUNTS if word == "metrics" else msgspec.msgpack.encode({"state": "serving"}))
"""
MUTE = "say(0, 'ready', b'')\nwhile True:\n    hear()\n"
FAILING = "sys.exit(3)\n"


class Watched:
    """A berth that is being run, and who has left it."""

    def __init__(self, script: str) -> None:
        self.left: list[int] = []
        self.berth = Berth(
            7, lambda _, channel: [sys.executable, "-c", SPEAKS + script, str(channel)], self.left.append
        )
        self.running = asyncio.create_task(self.berth.run())

    async def until(self, happened: Callable[[], object]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(20):
            while not happened():
                await asyncio.sleep(0.005)

    async def ready(self) -> None:
        """Wait until a process serves."""
        await self.until(self.berth.ready.is_set)

    def requests(self) -> float:
        """What all its processes have counted."""
        return sum(point.value for point in merge(self.berth.counts()).get(REQUESTS.name, []))


@pytest.fixture
async def watched():
    """Make berths; all are empty in the end."""
    every: list[Watched] = []

    def make(script: str) -> Watched:
        every.append(Watched(script))
        return every[-1]

    yield make
    for one in every:
        one.berth.stop()
        one.berth.kill()
        async with asyncio.timeout(20):
            await one.running


async def test_a_dead_worker_is_replaced_and_what_it_counted_stays(watched, monkeypatch):
    """Its slots are given back first; counters go on from where they were, gauges do not."""
    monkeypatch.setattr(module, "FIRST_WAIT", 0.0)
    one = watched(GOOD)
    await one.ready()
    await one.berth.count(10.0)
    assert one.requests() == 3
    first = one.berth.pid
    one.berth.kill()
    await one.until(lambda: one.berth.restarts == 1)
    assert one.left == [7]
    assert one.requests() == 3
    assert WORKERS.name not in merge(one.berth.counts())
    await one.ready()
    assert one.berth.pid != first
    await one.berth.count(10.0)
    assert one.requests() == 6


async def test_one_that_is_stopped_has_the_last_word(watched):
    """It ends with code 0, its last counts are kept, and nobody takes its place."""
    one = watched(GOOD)
    await one.ready()
    one.berth.stop()
    async with asyncio.timeout(20):
        await one.running
    assert (one.berth.ended, one.berth.restarts, one.berth.pid) == (0, 0, None)
    assert one.requests() == 3


async def test_one_that_never_began_is_not_tried_again(watched):
    """What fails at the start would fail again: the supervisor is to know."""
    one = watched(FAILING)
    async with asyncio.timeout(20):
        await one.running
    assert one.berth.ended == 3
    assert not one.berth.ready.is_set()


async def test_a_silent_worker_delays_nobody_and_is_killed_in_the_end(watched, monkeypatch, caplog):
    """Asked often enough without an answer, it is asked no more, and after a while it is replaced."""
    one = watched(MUTE)
    await one.ready()
    for _ in range(module.MOST_OPEN + 2):
        assert await one.berth.status(0.0) is None
    one.berth.watch()
    assert one.left == []
    monkeypatch.setattr(module, "HUNG", -1.0)
    one.berth.watch()
    await one.until(lambda: one.left == [7])
    assert "worker 7 has not answered" in caplog.text
    assert "worker 7 was killed by SIGKILL" in caplog.text


async def test_a_stop_ends_the_wait_for_the_next_process(watched, monkeypatch):
    """Stopping while a place is empty takes no time."""
    monkeypatch.setattr(module, "FIRST_WAIT", 1_000.0)
    monkeypatch.setattr(module, "LAST_WAIT", 1_000.0)
    one = watched(GOOD)
    await one.ready()
    one.berth.kill()
    await one.until(lambda: one.berth.restarts == 1)
    one.berth.stop()
    async with asyncio.timeout(20):
        await one.running
