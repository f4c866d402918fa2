"""Who may begin, who waits, who is sent away."""

import pytest

from twospeed.policy.overload import LONGEST, UNKNOWN, Caps, Lane, Refuse, Wait, caps, decide, departed, expected, fits

HOUSE = caps(10, None, None, 0.2, 3, 0.5)


@pytest.mark.parametrize(
    ("fast", "deep", "tier", "room"),
    [
        (0, 0, "deep", True),
        (0, 8, "deep", False),  # its part is full although two places are free
        (0, 8, "fast", True),
        (2, 8, "fast", False),
        (9, 0, "fast", True),  # fast requests may take everything
        (9, 0, "deep", True),
        (10, 0, "deep", False),
    ],
)
def test_deep_requests_leave_the_fast_tier_its_share(fast: int, deep: int, tier: str, room: bool):
    """However many deep requests there are, a fast one finds a place."""
    lanes = {"fast": Lane(fast), "deep": Lane(deep)}
    other = "deep" if tier == "fast" else "fast"
    assert fits(HOUSE, tier, lanes[tier], lanes[other]) is room


def test_a_cap_of_a_tier_holds_below_the_cap_of_all():
    """Each tier may be bounded further; neither bound can exceed the whole."""
    house = caps(10, 3, 50, 0.0, 0, 0.0)
    assert house == Caps(total=10, fast=3, deep=10)
    assert not fits(house, "fast", Lane(3), Lane(0))


def test_deep_gets_a_place_even_of_one():
    """A share that rounds to nothing does not shut a tier out."""
    assert caps(1, None, None, 0.5, 0, 0.0).deep == 1


def test_nobody_waits_without_a_reason_to_expect_room():
    """Before anything has ended, waiting would be a guess: the client is told at once."""
    assert decide(HOUSE, Lane(8), now=1.0, deadline=100.0) == Refuse(UNKNOWN)


@pytest.mark.parametrize(
    ("lane", "deadline", "decision"),
    [
        (Lane(8, waiting=0, pace=0.2, left_at=9.9), 70.0, Wait(10.5)),
        (Lane(8, waiting=2, pace=0.2, left_at=9.9), 70.0, Refuse(pytest.approx(0.6))),  # the line is too slow
        (Lane(8, waiting=3, pace=0.01, left_at=9.9), 70.0, Refuse(pytest.approx(0.4))),  # the line is full
        (Lane(8, waiting=0, pace=0.2, left_at=9.9), 11.0, Refuse(pytest.approx(0.2))),  # no time to wait
        (Lane(8, waiting=0, pace=0.2, left_at=0.0), 70.0, Refuse(10.0)),  # nothing has ended for long
        (Lane(8, waiting=9, pace=20.0, left_at=9.9), 900.0, Refuse(LONGEST)),
    ],
)
def test_waiting_is_for_those_whose_turn_comes_soon(lane: Lane, deadline: float, decision: object):
    """A wait ends within the allowed time, by the pace that was seen, and costs a tenth of the time left at most."""
    assert decide(HOUSE, lane, now=10.0, deadline=deadline) == decision


def test_the_pace_follows_what_is_seen():
    """Two departures make a pace; later ones shift it."""
    lane = Lane(5)
    departed(lane, 1.0)
    assert expected(lane, 1.0) is None
    departed(lane, 2.0)
    assert expected(lane, 2.0) == 1.0
    departed(lane, 2.5)
    assert lane.pace == pytest.approx(0.9)
