"""Overload: may a request be served now, is a short wait better than a refusal, and when should its client come back (R17)?

Two caps bound what is under way at once: one on all requests, one per tier. Deep requests may never fill the whole house, so
the fast tier always finds its share. A request that finds no room waits in line only where the pace at which its tier has
been making room of late says that its turn comes soon; everybody else is told at once. Counts are kept by `seats`.
"""

import msgspec

from twospeed.types import Tier

UNKNOWN = 5.0  # seconds to come back after, while nothing has shown how fast room is made
LONGEST = 30.0  # seconds; what is known about the pace says nothing about later
WAITING_SHARE = 0.1  # of the time a request has left, spent in line at most
_WEIGHT = 0.2  # of the newest gap in the pace


class Caps(msgspec.Struct, frozen=True):
    """How much may be under way. `total`: requests of both tiers; `fast`, `deep`: of one, never more than `total`.

    `line`: requests of one tier that may wait. `wait`: seconds each may do so.
    """

    total: int
    fast: int
    deep: int
    line: int = 0
    wait: float = 0.0


class Lane(msgspec.Struct):
    """What is under way in one tier. `pace`: seconds from one departure to the next, smoothed; None before the second.

    `left_at`: instant of the last departure.
    """

    under_way: int = 0
    waiting: int = 0
    pace: float | None = None
    left_at: float | None = None


class Wait(msgspec.Struct, frozen=True):
    """Stand in line until an instant."""

    until: float


class Refuse(msgspec.Struct, frozen=True):
    """Turn the client away; `retry_after` seconds from now there should be room."""

    retry_after: float


def caps(total: int, fast: int | None, deep: int | None, share: float, line: int, wait: float) -> Caps:
    """Return the caps of a configuration.

    Args:
        fast: Cap of the tier, None for as many as there are.
        share: Of the whole, 0..1, that deep requests leave free; they always get one place.

    >>> caps(100, None, None, 0.2, 10, 0.5)
    Caps(total=100, fast=100, deep=80, line=10, wait=0.5)
    """
    open_to_deep = max(1, int(total * (1.0 - share)))
    return Caps(total, min(fast or total, total), min(deep or total, open_to_deep), line, wait)


def fits(caps: Caps, tier: Tier, own: Lane, other: Lane) -> bool:
    """Say whether one more request of a tier may begin."""
    cap = caps.fast if tier == "fast" else caps.deep
    return own.under_way < cap and own.under_way + other.under_way < caps.total


def decide(caps: Caps, own: Lane, now: float, deadline: float) -> Wait | Refuse:
    """Say what becomes of a request that does not fit.

    Args:
        own: Its tier.
        deadline: Instant at which it has failed anyway.

    >>> decide(Caps(1, 1, 1, line=5, wait=0.5), Lane(1, pace=0.1, left_at=9.9), 10.0, 70.0)
    Wait(until=10.5)
    >>> decide(Caps(1, 1, 1, line=5, wait=0.5), Lane(1, pace=3.0, left_at=9.9), 10.0, 70.0)
    Refuse(retry_after=3.0)
    """
    turn = expected(own, now)
    patience = min(caps.wait, (deadline - now) * WAITING_SHARE)
    if turn is not None and own.waiting < caps.line and turn <= patience:
        return Wait(now + patience)
    return Refuse(UNKNOWN if turn is None else min(turn, LONGEST))


def expected(lane: Lane, now: float) -> float | None:
    """Return the seconds until a newcomer's turn, None while nobody can know.

    A tier that has made no room for longer than it used to is at most as fast as that silence.
    """
    if lane.pace is None or lane.left_at is None:
        return None
    return (lane.waiting + 1) * max(lane.pace, now - lane.left_at)


def departed(lane: Lane, now: float) -> None:
    """Note that a request has ended."""
    left_at, pace = lane.left_at, lane.pace
    if left_at is not None:
        gap = now - left_at
        lane.pace = gap if pace is None else pace + _WEIGHT * (gap - pace)
    lane.left_at = now
