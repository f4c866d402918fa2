"""Limits in a mapped file keep the promises of every store, across processes."""

import time

import pytest
from tests.stores.contract import LEASE, Clock, LimitsContract, admitted, ask, refused
from tests.stores.shared.conftest import Spawn

from twospeed.policy.limit import Limit, Limits, Permit, Refusal
from twospeed.stores.shared import SharedLimits, Tables, forget


class TestSharedLimits(LimitsContract):
    """Limits of one worker."""

    @pytest.fixture
    def limits(self, tables: Tables, clock: Clock) -> SharedLimits:
        """A store that has seen nothing."""
        return SharedLimits(tables.pools, 0, clock, LEASE)


@pytest.fixture
def workers(tables: Tables, clock: Clock) -> list[SharedLimits]:
    """Two workers on one file."""
    return [SharedLimits(tables.pools, number, clock, LEASE) for number in (0, 1)]


async def test_workers_share_one_limit(workers: list[Limits]):
    """What one worker admits, the other cannot admit again."""
    limit = Limit(rpm=3, concurrency=3)
    permits = [await admitted(workers[number % 2], ask(limit)) for number in range(3)]
    assert (await refused(workers[0], ask(limit))).dimension == "rpm"
    assert len({permit.id for permit in permits}) == 3


async def test_workers_share_slots_and_silence(workers: list[Limits]):
    """A slot freed by one worker is free for the other; a 429 seen by one silences both."""
    limit = Limit(concurrency=1)
    permit = await admitted(workers[0], ask(limit))
    await refused(workers[1], ask(limit))
    workers[0].refund(permit)
    await admitted(workers[1], ask(limit))
    workers[0].cool("acme/spark", 5.0)
    assert (await refused(workers[1], ask(limit))).dimension == "cooldown"


async def test_usage_of_all_workers(workers: list[Limits]):
    """Each worker can report for all of them."""
    await admitted(workers[0], ask(Limit(rpm=9)))
    assert workers[1].usage() == [("acme/spark", "rpm", 9, 1)]


async def test_slots_of_a_dead_worker_come_back_at_once(workers: list[Limits], tables: Tables, clock: Clock):
    """When a worker dies, the supervisor gives its slots back."""
    limit = Limit(concurrency=2)
    await admitted(workers[0], ask(limit))
    await admitted(workers[1], ask(limit))
    await refused(workers[1], ask(limit))
    forget(tables, 0, clock())
    await admitted(workers[1], ask(limit))
    await refused(workers[1], ask(limit))


async def test_slots_of_a_silent_worker_lapse(workers: list[Limits], clock: Clock):
    """Without a supervisor the slots of a dead worker come back after the lease."""
    limit = Limit(concurrency=1)
    await admitted(workers[0], ask(limit))
    clock.advance(LEASE + 1)
    await admitted(workers[1], ask(limit))


HAMMER = """
limits, limit = SharedLimits(tables.pools, int({worker}), time.monotonic), Limit(rpm=500, tpm=10_000_000)
async def hammer():
    admitted = 0
    for _ in range(1500):
        answer = await limits.take(Ask("acme/spark", limit, 100, 900))
        if isinstance(answer, Permit):
            admitted += 1
            limits.settle(answer, 100, 100)
    return admitted
ready()
print(asyncio.run(hammer()), flush=True)
"""


def test_three_workers_at_once_admit_the_limit_exactly(tables: Tables, spawn: Spawn):
    """Three processes that hammer one pool admit 500 together under rpm 500, and count their tokens right."""
    started = [spawn(HAMMER.format(worker=number)) for number in range(3)]
    for worker in started:
        assert worker.stdout
        worker.stdout.readline()
    admitted_by = [int(worker.communicate("go\n")[0]) for worker in started]
    assert sum(admitted_by) == 500
    levels = SharedLimits(tables.pools, 3, time.monotonic).usage()
    assert levels == [("acme/spark", "rpm", 500, 500), ("acme/spark", "tpm", 10_000_000, 100_000)]


KILLED = """
limits, limit = SharedLimits(tables.pools, 1, time.monotonic), Limit(rpm=3)
asyncio.run(limits.take(Ask("acme/spark", limit, 0, 0)))
pool = limits._pools["acme/spark"]
limits._enter(pool)
pool.meter._cells[1] += 40  # half of an admission: the sum without its bucket
ready()
"""


async def test_a_worker_killed_half_way_corrupts_nothing(tables: Tables, spawn: Spawn):
    """A worker killed in the middle of counting leaves sums that the next one puts right."""
    worker = spawn(KILLED)
    assert worker.stdout
    worker.stdout.readline()
    worker.kill()
    worker.wait()
    limits = SharedLimits(tables.pools, 0, time.monotonic)
    answers = [await limits.take(ask(Limit(rpm=3))) for _ in range(3)]
    assert [type(answer) for answer in answers] == [Permit, Permit, Refusal]
