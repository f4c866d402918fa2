"""The retry budget."""

from hypothesis import given
from hypothesis import strategies as st

from twospeed.policy.budget import Budget, Spending


def test_quiet_systems_may_retry():
    """The floor is always there, whatever the share."""
    spending = Spending(Budget())
    assert [spending.again(100.0) for _ in range(4)] == [True, True, True, False]


def test_a_fifth_of_the_requests_may_be_repeats():
    """With a hundred requests in the window, twenty repeats fit and no more."""
    spending = Spending(Budget())
    for _ in range(100):
        spending.asked(100.0)
    assert sum(spending.again(101.0) for _ in range(50)) == 20


def test_what_left_the_window_counts_no_more():
    """After ten quiet seconds the budget is as new."""
    spending = Spending(Budget())
    assert all(spending.again(100.0) for _ in range(3))
    assert not spending.again(109.0)
    assert spending.again(111.0)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 3)), max_size=200))
def test_never_beyond_the_share(steps: list[tuple[bool, float]]):
    """In no window are there more repeats than the share of its requests or the floor, give or take one slice."""
    budget, now = Budget(), 1_000.0
    spending, requests, retries = Spending(budget), [], []
    for first, wait in steps:
        now += wait
        if first:
            spending.asked(now)
            requests.append(now)
        elif spending.again(now):
            retries.append(now)
            recent = sum(at > now - budget.window for at in requests)
            assert sum(at > now - budget.window * 0.9 for at in retries) <= max(budget.floor, budget.share * recent + 1)
