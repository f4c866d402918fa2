"""Clients that say how long they wait."""

import pytest

from twospeed.policy.patience import LEAST, idle, total


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"30", 30.0),
        (b"0.5", 0.5),
        (b"0", LEAST),
        (b"900", 60.0),
        (b"soon", 60.0),
        (b"-1", 60.0),
        (b"nan", 60.0),
        (b"", 60.0),
    ],
)
def test_a_client_lowers_and_never_raises(value: bytes, seconds: float):
    """Seconds below ours count; more, or nonsense, changes nothing."""
    assert total({b"x-stainless-timeout": value}, 60.0) == seconds


def test_the_shortest_wish_counts():
    """Several headers: the soonest of all."""
    assert total({b"x-request-timeout": b"20", b"x-stainless-timeout": b"10"}, 60.0) == 10.0
    assert idle({b"x-stainless-read-timeout": b"5", b"x-stainless-timeout": b"1"}, 15.0) == 5.0
