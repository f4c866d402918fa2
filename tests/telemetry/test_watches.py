"""What is looked up when a snapshot is made."""

import asyncio

from twospeed.errors import Kind
from twospeed.policy.breaker import Breaker
from twospeed.policy.limit import Ask, Level, Limit
from twospeed.policy.shadow import Books
from twospeed.stores.memory import MemoryHealth, MemoryLimits
from twospeed.telemetry.instruments import BREAKER_STATE, CPU, LIMIT, LIMIT_LEFT, LIMIT_USED, MEMORY, STARTED
from twospeed.telemetry.watches import (
    MOST_BACKENDS,
    MOST_KINDS,
    MOST_LEVELS,
    MOST_SHADOWS,
    breakers,
    limits,
    process,
    shadows,
)
from twospeed.types import Backend


class Levels:
    """Limits that are as full as they are told to be."""

    def __init__(self, *levels: Level) -> None:
        self.levels = list(levels)

    def usage(self) -> list[Level]:
        """Return them."""
        return self.levels


def test_a_limit_tells_its_size_what_is_used_and_what_is_left():
    """After one request of ten per minute nine are left."""
    store = MemoryLimits(lambda: 1.0)
    asyncio.run(store.take(Ask("p/m", Limit(rpm=10), 5, 5)))
    told = {(reading.instrument, reading.labels): reading.value for reading in limits(store)}
    labels = ("p/m", "rpm")
    assert told == {(LIMIT, labels): 10, (LIMIT_USED, labels): 1, (LIMIT_LEFT, labels): 9}


def test_of_too_many_limits_the_fullest_are_told():
    """Nothing below zero is left, and the number of series is bounded."""
    full = Level("full", "tpm", 10, 12)
    crowd = [Level(f"p{number}", "rpm", 10, 1) for number in range(500)]
    readings = list(limits(Levels(*crowd, full)))
    assert len(readings) == 3 * MOST_LEVELS
    assert [reading.value for reading in readings if reading.labels[0] == "full"] == [10, 12, 0]


def test_every_breaker_is_told_also_of_backends_never_tried():
    """One state of each backend is 1, the others 0."""
    health = MemoryHealth(Breaker(consecutive=1), lambda: 1.0, lambda: 0.5)
    broken, fresh = Backend("p", "a", "r", "p/a@r"), Backend("p", "b", "r", "p/b@r")
    health.failed(broken.name, Kind.RESET)
    told = {reading.labels: reading.value for reading in breakers(health, {b.name: b for b in (broken, fresh)})}
    assert [told["p", "a", "r", state] for state in ("closed", "open", "half_open")] == [0, 1, 0]
    assert [told["p", "b", "r", state] for state in ("closed", "open", "half_open")] == [1, 0, 0]


def test_breakers_of_a_crowd_are_counted_together():
    """Backends beyond the bound are told as a number for each state."""
    health = MemoryHealth(Breaker(), lambda: 1.0, lambda: 0.5)
    backends = {f"p/m{n}@r": Backend("p", f"m{n}", "r", f"p/m{n}@r") for n in range(MOST_BACKENDS + 7)}
    readings = list(breakers(health, backends))
    assert (BREAKER_STATE, ("other", "other", "other", "closed"), 7) in readings
    assert len(readings) == 3 * MOST_BACKENDS + 1


def test_a_process_tells_of_itself():
    """Since when it runs, and what it has taken so far."""
    told = {reading.instrument: reading.value for reading in process(lambda: 1_700_000_000.0)()}
    assert told[STARTED] == 1_700_000_000.0
    assert told[CPU] > 0
    assert told[MEMORY] > 1_000_000


def test_copies_are_told_once_there_were_any():
    """Nothing while no rollout wants copies; then sent, dropped, compared, differences, faults and what is held."""
    books = Books()
    assert list(shadows(books)) == []
    books.sent["r"], books.compared["r"], books.dropped["busy"] = 3, 2, 1
    books.differed["r", "tool"] = books.faults["r", "reset"] = 1
    books.tokens["input"], books.held = 9, 7
    told = {(reading.instrument.name, *reading.labels): reading.value for reading in shadows(books)}
    assert told == {
        ("twospeed.shadow.sent", "r"): 3,
        ("twospeed.shadow.compared", "r"): 2,
        ("twospeed.shadow.dropped", "busy"): 1,
        ("twospeed.shadow.tokens", "input"): 9,
        ("twospeed.shadow.in_flight",): 0,
        ("twospeed.shadow.held",): 7,
        ("twospeed.shadow.differed", "r", "tool"): 1,
        ("twospeed.shadow.faults", "r", "reset"): 1,
    }


def test_of_many_rollouts_the_busiest_are_told_apart():
    """The series stay bounded, however many rollouts there were and however they failed."""
    books = Books()
    for number in range(10):
        books.sent[f"r{number}"] = books.compared[f"r{number}"] = number + 1
        for kind in Kind:
            books.faults[f"r{number}", kind.value] = 1
    told = [reading for reading in shadows(books) if reading.instrument.name == "twospeed.shadow.sent"]
    assert {reading.labels[0] for reading in told} == {"r9", "r8", "r7", "other"}
    assert sum(reading.value for reading in told) == books.sent.total()
    assert len(list(shadows(books))) <= 2 * (MOST_SHADOWS + 1) + MOST_SHADOWS * MOST_KINDS + 2
