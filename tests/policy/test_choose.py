"""Which tier: pinned, else classified."""

import pytest

from twospeed.errors import Fault
from twospeed.policy.choose import choose, pinned_tier
from twospeed.policy.plan import Route
from twospeed.types import Verdict


def test_header_pins():
    """x-twospeed-tier takes fast or deep, however written; without it nothing is pinned."""
    assert pinned_tier({b"x-twospeed-tier": b"FAST"}) == "fast"
    assert pinned_tier({}) is None


def test_wrong_header_is_refused():
    """Anything else is told to the client."""
    with pytest.raises(Fault):
        pinned_tier({b"x-twospeed-tier": b"medium"})


def test_a_route_with_a_tier_is_not_classified():
    """A pin costs no classification."""

    def never() -> Verdict:
        raise AssertionError

    assert choose(Route("deep", reason="tier"), never).tier == "deep"


def test_auto_is_classified():
    """A route without a tier is decided by the request."""
    assert choose(Route(None), lambda: Verdict("deep", ("score:high",), 0.9)).score == 0.9
