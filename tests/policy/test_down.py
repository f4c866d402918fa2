"""When a tier is down, and when it only seems so."""

import pytest
from tests.fakes import plan

from twospeed.errors import Fault, Kind
from twospeed.policy.down import down, most
from twospeed.types import Attempt

DOWN = [Kind.RATE_LIMITED, Kind.BREAKER_OPEN, Kind.NO_BACKEND, Kind.CONNECT_FAILED, Kind.PROVIDER_ERROR]
NOT_DOWN = [Kind.BAD_REQUEST, Kind.PROVIDER_REFUSED, Kind.UPSTREAM_AUTH_ERROR, Kind.TOTAL_TIMEOUT, Kind.CLIENT_GONE]


def attempt(connected_at: float | None) -> Attempt:
    return Attempt(plan("a").candidates[0].backend, 0.0, connected_at)


@pytest.mark.parametrize("kind", DOWN)
def test_a_tier_is_down_when_all_refused_or_failed(kind: Kind):
    """Whatever might have gone to another backend, and found none, may get another answer."""
    assert down(Fault(kind), plan("a"), [attempt(1.0)])


@pytest.mark.parametrize("kind", NOT_DOWN)
def test_what_is_wrong_with_the_request_stays_its_own(kind: Kind):
    """A refusal that everybody would repeat, or a deadline that has passed, is told as it is."""
    assert not down(Fault(kind), plan("a"), [])


def test_a_request_with_state_is_not_sent_twice():
    """Once a provider may have seen it, nobody else does; before that anybody may."""
    stateful = plan("a", replayable=False)
    assert not down(Fault(Kind.RESET), stateful, [attempt(1.0)])
    assert down(Fault(Kind.CONNECT_FAILED), stateful, [attempt(None)])


def test_three_attempts_are_the_most_in_both_tiers_together():
    """Where the other tier may help, one of them is its own."""
    assert (most("refuse"), most("empty"), most("other_tier")) == (3, 3, 2)
