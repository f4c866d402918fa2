"""Clients that say how long they wait."""

from math import inf

import pytest

from twospeed.policy.patience import LEAST, patience


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"30", 30.0),
        (b"0.5", 0.5),
        (b"0", LEAST),
        (b"soon", inf),
        (b"-1", inf),
        (b"nan", inf),
        (b"", inf),
    ],
)
def test_seconds_are_read(value: bytes, seconds: float):
    """Seconds count; nonsense says nothing."""
    assert patience({b"x-stainless-timeout": value}).total == seconds


def test_the_shortest_wish_counts():
    """Several headers: the soonest of all."""
    assert patience({b"x-request-timeout": b"20", b"x-stainless-timeout": b"10"}).total == 10.0
    assert patience({b"x-stainless-read-timeout": b"5", b"x-stainless-timeout": b"1"}).idle == 5.0
