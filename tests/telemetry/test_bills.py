"""Money and tokens, summed by what was paid for and by who asked."""

import pytest
from tests.telemetry.records import attempt, record

from twospeed.telemetry.bills import ROOM, Bills
from twospeed.telemetry.instruments import COST, KEY_COST, KEY_TOKENS, UNPRICED
from twospeed.types import Backend, Price, Usage

PRICED = Backend("far", "heavy", "us", "far/heavy@us", price=Price(3.0, 15.0, 0.3, 3.75))
UNKNOWN = Backend("near", "spark", "eu", "near/spark@eu")
USED = Usage(100_000, 1_000, cached_tokens=90_000)


def sums(bills: Bills, name: str) -> dict[tuple[str, ...], float]:
    return {point.labels: point.value for of, point in bills.points() if of == name}


def test_every_attempt_that_used_tokens_is_paid():
    """A fallback after a timeout costs twice; what was never answered costs nothing."""
    bills = Bills()
    estimated = Usage(10_000, 0, estimated=True)
    tries = [attempt(PRICED, usage=estimated), attempt(PRICED), attempt(PRICED, usage=USED)]
    bills.add(record(attempts=tries, tier="deep", arm="candidate"))
    place = ("deep", "far", "heavy", "us", "candidate")
    assert sums(bills, COST.name) == {
        (*place, "reported"): pytest.approx(0.072),
        (*place, "estimated"): pytest.approx(0.03),
    }


def test_keys_are_summed():
    """Each key has its own sums, over both tiers."""
    bills = Bills()
    for tier in ("fast", "deep"):
        bills.add(record(attempts=[attempt(PRICED, usage=USED)], tier=tier, caller="ann"))
    assert sums(bills, KEY_COST.name).keys() == {("ann", "fast", "reported"), ("ann", "deep", "reported")}
    assert sums(bills, KEY_TOKENS.name) == {
        ("ann", "input"): 200_000,
        ("ann", "output"): 2_000,
        ("ann", "cached"): 180_000,
    }


def test_tokens_written_to_a_cache_are_told_apart():
    """They cost more than others, reasoning does not: it is among the output."""
    bills = Bills()
    bills.add(record(attempts=[attempt(PRICED, usage=Usage(10, 5, 0, 3, False, 7))]))
    assert sums(bills, KEY_TOKENS.name) == {("ann", "input"): 10, ("ann", "output"): 5, ("ann", "cache_write"): 7}


def test_no_price_is_not_free():
    """What nobody wrote a price for is counted, and is in no sum of money."""
    bills = Bills()
    bills.add(record(attempts=[attempt(UNKNOWN, usage=USED)]))
    assert sums(bills, COST.name) == {}
    assert sums(bills, UNPRICED.name) == {("fast", "near", "spark", "eu", "none"): 1}


def test_the_number_of_series_is_bounded():
    """However many keys and models there are, no more come out than there is room for."""
    bills = Bills()
    for number in range(500):
        backend = Backend("p", f"m{number}", "r", f"p/m{number}@r", price=PRICED.price)
        tries = [attempt(backend, usage=usage) for usage in (USED, Usage(1, 1, 1, 0, True, 1))]
        bills.add(record(attempts=tries, caller=f"key{number}", arm="stable" if number % 2 else "candidate"))
    assert len(list(bills.points())) <= ROOM
    assert sums(bills, KEY_TOKENS.name)["other", "input"] > 0
