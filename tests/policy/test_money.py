"""What a request cost."""

import pytest

from twospeed.policy.money import bill, cost, lost
from twospeed.types import Attempt, Backend, Price, Usage

SONNET = Price(3.0, 15.0, 0.3, 3.75, caches=True)
KNOWN = Backend("a", "m", "us", "a/m@us", price=SONNET)
UNKNOWN = Backend("b", "m", "us", "b/m@us")


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        (Usage(1_000_000, 0), 3.0),
        (Usage(1_000_000, 0, cached_tokens=1_000_000), 0.3),
        (Usage(1_000_000, 0, cache_write_tokens=1_000_000), 3.75),
        (Usage(0, 1_000_000, reasoning_tokens=900_000), 15.0),
        (Usage(10, 0, cached_tokens=20), 20 * 0.3e-6),
    ],
)
def test_each_kind_of_token_has_its_price(usage: Usage, dollars: float):
    """Cached input is cheaper, input written to a cache dearer, reasoning is output; odd figures make no refund."""
    assert cost(usage, SONNET) == pytest.approx(dollars)


def test_all_attempts_are_on_the_bill():
    """What a fallback left behind is paid too."""
    tries = [
        Attempt(KNOWN, 0.0, usage=Usage(1_000_000, 0, estimated=True)),
        Attempt(KNOWN, 1.0, usage=Usage(0, 100_000)),
    ]
    assert bill(tries) == pytest.approx(4.5)


def test_an_unknown_price_is_not_nothing():
    """A sum that lacks a price is unknown; where nothing was used there is no sum."""
    tries = [Attempt(KNOWN, 0.0, usage=Usage(1_000, 10)), Attempt(UNKNOWN, 0.0, usage=Usage(1_000, 10))]
    assert bill(tries) is None
    assert bill([Attempt(UNKNOWN, 0.0)]) is None
    assert bill([]) is None


def test_a_cache_that_costs_nothing_to_lose():
    """Where cached input is no cheaper, a switch loses no money."""
    assert lost(60_000, Price(1.0, 2.0, 1.0, 1.0)) == 0.0
