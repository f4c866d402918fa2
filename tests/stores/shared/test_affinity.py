"""Sessions in a mapped file keep the promises of every store, across workers."""

import pytest
from tests.stores.contract import BACKEND, TTL, AffinityContract, Clock

from twospeed.stores.shared import SharedAffinity, Tables


class TestSharedAffinity(AffinityContract):
    """Sessions of one worker."""

    @pytest.fixture
    def affinity(self, tables: Tables, clock: Clock) -> SharedAffinity:
        """A store that has seen nothing."""
        return SharedAffinity(tables.sessions, tables.backends, clock, TTL)


def test_workers_share_sessions(tables: Tables, clock: Clock):
    """A session served by one worker is known to the others."""
    first, second = (SharedAffinity(tables.sessions, tables.backends, clock, TTL) for _ in range(2))
    first.put("s", BACKEND)
    assert second.get("s") == BACKEND
    second.put("s", "a/m@eu")
    assert first.get("s") == "a/m@eu"
