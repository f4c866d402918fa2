"""Leases of requests under way, and shares of a limit."""

from hypothesis import given
from hypothesis import strategies as st

from twospeed.policy.limit import Leases, Limit, share


def test_leases_of_the_dead_lapse_and_those_of_the_living_do_not():
    """A slot whose owner died is free after 5 minutes; a long stream that shows life keeps its own."""
    leases = Leases(300.0)
    leases.begin("dead", 0.0)
    leases.begin("alive", 0.0)
    assert leases.touch("alive", 200.0)
    assert leases.busy(299.0, 0) == 2
    assert leases.busy(300.0, 0) == 1
    assert not leases.end("dead")
    assert leases.end("alive")
    assert leases.busy(301.0, 0) == 0


@given(st.integers(1, 10_000), st.integers(1, 50))
def test_shares_never_sum_to_more_than_the_limit_nor_close_it(rpm: int, replicas: int):
    """Replicas that cannot ask each other divide the limit, and each keeps at least one request."""
    part = share(Limit(rpm=rpm), replicas).rpm
    assert part is not None
    assert part == 1 or part * replicas <= rpm
