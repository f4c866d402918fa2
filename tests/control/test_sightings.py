"""What a process has seen, until it is handed on."""

import msgspec
from tests.policy.test_sighting import record

from twospeed.control.sightings import EACH, Sightings
from twospeed.policy.held import Sighting


def decoded(batch):
    return [msgspec.msgpack.decode(one, type=Sighting) for one in batch]


def test_only_requests_of_an_arm_are_kept():
    """All others cost one look."""
    sightings = Sightings()
    for arm in ("candidate", "", "stable", "shadow"):
        sightings(record(arm))
    assert [one.seen.arm for one in decoded(sightings.take())] == ["candidate", "stable"]
    assert sightings.take() == []
    assert sightings.counts == {("r", "candidate", "ok"): 1, ("r", "stable", "failed"): 1}


def test_of_too_much_the_oldest_is_dropped_and_said():
    """The leader learns how much it was not told, once."""
    sightings = Sightings(room=2)
    for _ in range(5):
        sightings(record())
    assert [one.lost for one in decoded(sightings.take())] == [3, 0]
    sightings(record())
    assert [one.lost for one in decoded(sightings.take())] == [0]


def test_what_is_much_comes_in_pieces():
    """No piece takes long."""
    sightings = Sightings()
    for _ in range(EACH + 1):
        sightings(record())
    assert [len(sightings.take()) for _ in range(3)] == [EACH, 1, 0]


def test_pairs_travel_with_them():
    """As they were packed, for the attempt they are about."""
    sightings = Sightings()
    sightings.paired("r", 2, -1, b"pair")
    assert decoded(sightings.take()) == [Sighting("r", 2, -1, pair=b"pair")]
