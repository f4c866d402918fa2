"""Breakers in a mapped file keep the promises of every store, across processes."""

import pytest
from tests.stores.contract import BACKEND, BREAKER, Clock, HealthContract, fail
from tests.stores.shared.conftest import Spawn

from twospeed.errors import Kind
from twospeed.policy.breaker import Health, Signal, Status
from twospeed.stores.shared import SharedHealth, Tables, forget


class TestSharedHealth(HealthContract):
    """Breakers of one worker."""

    @pytest.fixture
    def health(self, tables: Tables, clock: Clock) -> SharedHealth:
        """A store that has seen nothing."""
        return SharedHealth(tables.backends, 0, BREAKER, clock, lambda: 0.5)


@pytest.fixture
def workers(tables: Tables, clock: Clock) -> list[SharedHealth]:
    """Two workers on one file."""
    return [SharedHealth(tables.backends, number, BREAKER, clock, lambda: 0.5) for number in (0, 1)]


def test_workers_share_one_breaker(workers: list[Health], clock: Clock):
    """Failures of all workers add up, all stay away, and one of them probes for all."""
    for number in range(5):
        assert workers[0].usable(BACKEND)
        workers[number % 2].failed(BACKEND, Kind.RESET)
    assert [worker.usable(BACKEND) for worker in workers] == [False, False]
    clock.advance(5.0)
    assert [worker.probe(BACKEND) for worker in workers] == [True, False]
    workers[0].succeeded(BACKEND, 0.3)
    assert workers[1].usable(BACKEND)
    assert workers[1].first_token(BACKEND) == pytest.approx(0.3)


def test_success_of_one_worker_breaks_the_row_of_another(workers: list[Health]):
    """Five failures with a success of another worker between them are not a row."""
    for _ in range(4):
        workers[0].failed(BACKEND, Kind.RESET)
    workers[1].succeeded(BACKEND, None)
    workers[0].failed(BACKEND, Kind.RESET)
    assert workers[0].usable(BACKEND)


def test_successes_kept_back_count_in_the_end(workers: list[Health], clock: Clock):
    """A worker's own successes are counted before its failures are judged."""
    for _ in range(4):
        for _ in range(16):
            workers[0].succeeded(BACKEND, None)
        for _ in range(4):
            workers[0].failed(BACKEND, Kind.RESET)
        workers[0].succeeded(BACKEND, None)
        clock.advance(0.2)
    assert workers[1].usable(BACKEND)


def test_probe_of_a_dead_worker_is_free_at_once(workers: list[Health], tables: Tables, clock: Clock):
    """When a worker dies while it probes, the next request may probe."""
    fail(workers[0])
    clock.advance(5.0)
    assert workers[0].probe(BACKEND)
    forget(tables, 1, clock())
    assert not workers[1].probe(BACKEND)
    forget(tables, 0, clock())
    assert workers[1].probe(BACKEND)


FAILING = """
health = SharedHealth(tables.backends, 1, Breaker(), time.monotonic, lambda: 0.5)
for _ in range(5):
    health.failed("acme/spark@eu", Kind.RESET)
"""


def test_another_process_opens_it(tables: Tables, spawn: Spawn):
    """A breaker opened in one process is open in all."""
    health = SharedHealth(tables.backends, 0, BREAKER, lambda: 0.0, lambda: 0.5)
    health.succeeded(BACKEND, None)
    assert spawn(FAILING).wait() == 0
    assert not health.usable(BACKEND)
    assert health.states() == {BACKEND: Status.OPEN}


def test_only_what_this_worker_saw_is_news(tables: Tables, clock: Clock):
    """An opening and a closing are told once, by the worker that caused them; what was heard is not told on."""
    told: list[tuple[int, str]] = []
    one, other = (
        SharedHealth(
            tables.backends, number, BREAKER, clock, lambda: 0.5, lambda _, signal, n=number: told.append((n, signal))
        )
        for number in (0, 1)
    )
    fail(one)
    other.failed(BACKEND, Kind.RESET)
    clock.advance(5.0)
    assert other.probe(BACKEND)
    other.succeeded(BACKEND, None)
    assert told == [(0, Signal.HEARD_OPEN), (1, Signal.HEARD_CLOSED)]
    one.heard("acme/far@us", Signal.HEARD_OPEN)
    assert not other.usable("acme/far@us")
    one.heard("acme/far@us", Signal.HEARD_CLOSED)
    assert other.usable("acme/far@us")
    assert len(told) == 2
