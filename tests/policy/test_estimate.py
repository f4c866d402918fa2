"""Learned sizes of requests and answers."""

from hypothesis import given
from hypothesis import strategies as st

from twospeed.policy.estimate import OUTPUT_TOKENS, Estimates


def test_unknown_backends_get_careful_defaults():
    """Four bytes a token, and a thousand tokens of answer unless the client wants fewer."""
    assert Estimates().expected("a", 40_000, None) == (10_000, OUTPUT_TOKENS)
    assert Estimates().expected("a", 40_000, 50) == (10_000, 50)


def test_answers_ten_times_smaller_than_allowed_reserve_little():
    """After some answers of 100 tokens, max_tokens of 1,000 reserves about a hundred."""
    estimates = Estimates()
    for _ in range(40):
        estimates.observe("a", 4_000, 1_000, 100)
    assert 100 <= estimates.expected("a", 4_000, 1_000)[1] <= 125
    assert estimates.expected("b", 4_000, 1_000)[1] == 1_000


def test_bytes_per_token_follow_the_traffic():
    """Dense code at three bytes a token is soon counted as such."""
    estimates = Estimates()
    for _ in range(200):
        estimates.observe("a", 3_000, 1_000, 10)
    assert abs(estimates.expected("a", 30_000, 1)[0] - 10_000) < 100


def test_the_tail_counts():
    """One long answer in ten is what the reservation is made for."""
    estimates = Estimates()
    for number in range(200):
        estimates.observe("a", 1, 1, 4_000 if number % 10 == 0 else 50)
    assert estimates.expected("a", 1, None)[1] >= 4_000


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**12)), max_size=80))
def test_never_negative_never_absurd(answers: list[tuple[int, int, int]]):
    """Whatever providers report, a reservation is a sane number."""
    estimates = Estimates()
    for answer in answers:
        estimates.observe("a", *answer)
    read, written = estimates.expected("a", 1_000, None)
    assert 0 <= read <= 1_000
    assert 0 < written <= 1_100_000
