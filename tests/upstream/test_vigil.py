"""A request that lasts longer than the lease keeps its slot; one that has ended does not."""

from collections.abc import Callable

import pytest
from tests.fakes import Clock

from twospeed.policy.limit import LEASE, Ask, Limit, Permit, Refusal
from twospeed.stores.memory import MemoryLimits
from twospeed.upstream.vigil import EVERY, Vigil

ASK = Ask("p/m", Limit(concurrency=1), 0, 0)


class Timers:
    """Timers that go off when the test's clock gets there."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.due: list[tuple[float, Callable[[], None]]] = []

    def later(self, delay: float, call: Callable[[], None]) -> None:
        self.due.append((self.clock() + delay, call))

    def advance(self, seconds: float) -> None:
        until = self.clock() + seconds
        while due := sorted((timer for timer in self.due if timer[0] <= until), key=lambda timer: timer[0]):
            self.due.remove(due[0])
            self.clock.now = due[0][0]
            due[0][1]()
        self.clock.now = until


@pytest.fixture
def timers() -> Timers:
    """No timer is set."""
    return Timers(Clock())


async def test_a_long_request_keeps_its_slot(timers: Timers):
    """An hour later the one slot is still taken; when the request has ended, it is free."""
    limits = MemoryLimits(timers.clock)
    vigil = Vigil(limits, timers.later)
    permit = await limits.take(ASK)
    assert isinstance(permit, Permit)
    vigil.begin(permit)
    timers.advance(3_600.0)
    assert isinstance(await limits.take(ASK), Refusal)
    vigil.end(permit)
    limits.settle(permit, 0, 0)
    assert isinstance(await limits.take(ASK), Permit)


async def test_a_request_nobody_watches_loses_it(timers: Timers):
    """Without a sign of life the slot lapses with the lease."""
    limits = MemoryLimits(timers.clock)
    await limits.take(ASK)
    timers.advance(LEASE)
    assert isinstance(await limits.take(ASK), Permit)


async def test_one_timer_for_all_and_none_for_none(timers: Timers):
    """A thousand requests set one timer; when all have ended it is not set again."""
    vigil = Vigil(MemoryLimits(timers.clock), timers.later)
    permits = [Permit(str(number), ASK, 0.0) for number in range(1_000)]
    for permit in permits:
        vigil.begin(permit)
    assert len(timers.due) == 1
    timers.advance(EVERY)
    assert len(timers.due) == 1
    for permit in permits:
        vigil.end(permit)
    timers.advance(EVERY)
    assert timers.due == []
