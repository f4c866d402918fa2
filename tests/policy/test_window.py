"""Sliding windows: never more than the limit in any minute, and hardly less under load."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twospeed.policy.limit import Ask, Limit, Permit, Refusal
from twospeed.policy.window import CELLS, Meter, levels


def ask(limit: Limit, read: int = 0, written: int = 0) -> Ask:
    return Ask("p/m", limit, read, written)


def meter() -> Meter:
    return Meter([0] * CELLS)


def busiest_minute(events: Iterable[tuple[float, int]]) -> int:
    """Return the most that any window of 60 s holds; `events`: (instant, amount) in order."""
    events = list(events)
    return max((sum(n for at, n in events if start <= at < start + 60.0) for start, _ in events), default=0)


ARRIVALS = st.lists(st.tuples(st.floats(0, 20), st.integers(0, 60), st.integers(0, 60)), max_size=80)


@given(ARRIVALS, st.integers(1, 12), st.integers(1, 200))
def test_no_minute_holds_more_than_the_limit(arrivals: list[tuple[float, int, int]], rpm: int, tpm: int):
    """Whatever the arrival pattern, the provider never sees more than the limit in any 60 s."""
    window, now, admitted = meter(), 0.0, []
    for wait, read, written in arrivals:
        now += wait
        if window.take(ask(Limit(rpm=rpm, tpm=tpm), read, written), 0, now) is None:
            admitted.append((now, 1, read + written))
    assert busiest_minute((at, one) for at, one, _ in admitted) <= rpm
    oversized = max((tokens for *_, tokens in admitted), default=0)
    assert busiest_minute((at, tokens) for at, _, tokens in admitted) <= max(tpm, oversized)


@pytest.mark.parametrize("rpm", [1, 60, 600])
def test_saturation_uses_the_limit(rpm: int):
    """Under constant pressure at least 95% of the limit gets through."""
    window, limit = meter(), Limit(rpm=rpm)
    admitted = sum(window.take(ask(limit), 0, 1000.0 + tick * 0.05) is None for tick in range(20 * 60 * 20))
    assert admitted >= 0.95 * 20 * rpm


def test_burst_after_quiet_is_served_at_once():
    """After a quiet minute the whole limit may be used in one instant."""
    window = meter()
    assert [window.take(ask(Limit(rpm=100)), 0, 500.0) for _ in range(100)] == [None] * 100
    assert window.take(ask(Limit(rpm=100)), 0, 500.0) is not None


@pytest.mark.parametrize(
    ("limit", "dimension"),
    [(Limit(rpm=1), "rpm"), (Limit(tpm=10), "tpm"), (Limit(itpm=6), "itpm"), (Limit(otpm=4), "otpm")],
)
def test_refusal_names_the_dimension(limit: Limit, dimension: str):
    """The refusal says what ran out and when it comes back."""
    window = meter()
    assert window.take(ask(limit, 6, 4), 0, 10.0) is None
    refusal = window.take(ask(limit, 6, 4), 0, 20.0)
    assert refusal == Refusal(dimension, pytest.approx(50.5, abs=1e-4))


def test_all_dimensions_or_none():
    """A request refused for its tokens does not use up the requests."""
    window, limit = meter(), Limit(rpm=2, tpm=10)
    window.take(ask(limit, 10), 0, 0.0)
    assert window.take(ask(limit, 1), 0, 1.0) == Refusal("tpm", pytest.approx(59.5, abs=1e-4))
    assert window.used("rpm", 1.0) == 1


@given(ARRIVALS, st.integers(1, 6), st.integers(1, 100), st.integers(1, 60), st.integers(1, 60))
def test_retry_after_is_true(arrivals: list[tuple[float, int, int]], rpm: int, tpm: int, read: int, written: int):
    """If nothing else comes, the request fits after retry_after, and not before."""
    window, now, limit = meter(), 100.0, Limit(rpm=rpm, tpm=tpm, otpm=tpm)
    for wait, more_in, more_out in arrivals:
        now += wait / 4
        window.take(ask(limit, more_in, more_out), 0, now)
    late = ask(limit, read, written)
    refusal = window.take(late, 0, now)
    if refusal is not None:
        assert window.take(late, 0, now + refusal.retry_after - 0.001) is not None
        assert window.take(late, 0, now + refusal.retry_after) is None


def test_request_larger_than_the_limit_waits_for_an_empty_window():
    """A request of 150k tokens under 100k per minute runs when nothing else did for a minute, then fills one."""
    window, limit = meter(), Limit(tpm=100_000)
    huge = ask(limit, 150_000)
    assert window.take(ask(limit, 1), 0, 0.0) is None
    assert window.take(huge, 0, 30.0) == Refusal("tpm", pytest.approx(30.5, abs=1e-4))
    assert window.take(huge, 0, 60.5) is None
    assert window.take(ask(limit, 1), 0, 90.0) is not None


def test_a_request_without_output_ignores_the_output_limit():
    """Embeddings are not held back by output tokens they do not use."""
    window, limit = meter(), Limit(otpm=10)
    window.take(ask(limit, 0, 10), 0, 0.0)
    assert window.take(ask(limit, 100, 0), 0, 0.0) is None


def test_settling_gives_back_what_was_not_used():
    """Tokens reserved and not used may be used by others at once."""
    window, limit = meter(), Limit(tpm=1000)
    first = ask(limit, 100, 900)
    window.take(first, 0, 5.0)
    window.settle(Permit("1", first, 5.0), 100, 50, 6.0)
    assert window.used("tpm", 6.0) == 150


def test_refund_leaves_no_trace():
    """A request the provider refused counts for nothing."""
    window, limit = meter(), Limit(rpm=1, tpm=1000)
    first = ask(limit, 100, 900)
    window.take(first, 0, 5.0)
    window.refund(Permit("1", first, 5.0), 7.0)
    assert (window.used("rpm", 7.0), window.used("tpm", 7.0)) == (0, 0)


@given(st.lists(st.tuples(st.floats(0, 90), st.integers(0, 100), st.integers(-5, 300)), max_size=40))
def test_reservations_never_go_negative(steps: list[tuple[float, int, int]]):
    """However late and however wrong the usage is, no window ever holds less than nothing."""
    window, limit, now = meter(), Limit(rpm=1000, tpm=10_000), 0.0
    open_permits: list[Permit] = []
    for wait, estimate, used in steps:
        now += wait
        wanted = ask(limit, estimate, estimate)
        if window.take(wanted, 0, now) is None:
            open_permits.append(Permit("", wanted, now))
        if used % 3 == 0 and open_permits:
            window.settle(open_permits.pop(0), used, used, now)
        elif used % 3 == 1 and open_permits:
            window.refund(open_permits.pop(), now)
        assert min(window.used(name, now) for name in ("rpm", "tpm", "itpm", "otpm")) >= 0
    assert window.used("tpm", now + 60.5) == 0


def test_late_usage_changes_nothing():
    """Usage reported after the admission left the window does not touch the present one."""
    window, limit = meter(), Limit(tpm=1000)
    first = ask(limit, 100, 900)
    window.take(first, 0, 0.0)
    window.settle(Permit("1", first, 0.0), 100, 5000, 60.5)
    assert window.used("tpm", 60.5) == 0


def test_nonsense_usage_is_bounded():
    """A provider that reports absurd usage cannot break the sums."""
    window, limit = meter(), Limit(tpm=1000)
    first = ask(limit, 1, 1)
    window.take(first, 0, 0.0)
    window.settle(Permit("1", first, 0.0), 10**30, -(10**30), 0.0)
    assert 0 < window.used("tpm", 0.0) < 2**62


def test_provider_headers_correct_downwards_at_once():
    """When the provider says fewer are left than we thought, that holds at once and until its reset."""
    window, limit = meter(), Limit(rpm=100)
    window.take(ask(limit), 0, 50.0)
    window.learn(limit, "rpm", remaining=0, reset_after=10.0, now=50.0)
    assert window.take(ask(limit), 0, 59.9) == Refusal("rpm", pytest.approx(0.1, abs=1e-4))
    assert window.take(ask(limit), 0, 60.0) is None


@given(st.integers(0, 200), st.floats(0, 100), st.sampled_from(["rpm", "tpm", "itpm", "otpm"]))
def test_provider_headers_never_correct_upwards(remaining: int, reset_after: float, dimension: str):
    """A provider that says more is left than we thought changes nothing."""
    window, limit = meter(), Limit(rpm=100, tpm=100, itpm=100, otpm=100)
    window.take(ask(limit, 7, 8), 0, 50.0)
    before = window.used(dimension, 50.0)
    window.learn(limit, dimension, remaining, reset_after, 50.0)
    assert window.used(dimension, 50.0) == max(before, 100 - remaining)
    assert window.used(dimension, 111.0) == 0


def test_cooldown_lasts_exactly_as_long_as_asked():
    """A 429 with Retry-After: 7 silences the pool for 7 s, then it is free."""
    window = meter()
    window.cool(7.0, 100.0)
    assert window.take(ask(Limit()), 0, 106.0) == Refusal("cooldown", pytest.approx(1.0))
    assert window.take(ask(Limit()), 0, 107.0) is None


def test_cooldown_is_extended_never_shortened_and_capped():
    """A second 429 may lengthen the silence; none lasts over 5 minutes."""
    window = meter()
    window.cool(10.0, 0.0)
    window.cool(2.0, 1.0)
    assert window.take(ask(Limit()), 0, 9.0) is not None
    window.cool(86_400.0, 9.0)
    assert window.take(ask(Limit()), 0, 308.0) == Refusal("cooldown", pytest.approx(1.0))
    assert window.take(ask(Limit()), 0, 309.0) is None


def test_concurrency_is_what_is_under_way():
    """As many requests as configured may be under way at once."""
    window, limit = meter(), Limit(concurrency=2)
    assert window.take(ask(limit), 1, 0.0) is None
    assert window.take(ask(limit), 2, 0.0) == Refusal("concurrency", 1.0)


def test_a_clock_that_steps_back_stands_still():
    """When the clock steps back, nothing is lost and nothing is admitted twice."""
    window, limit = meter(), Limit(rpm=1)
    assert window.take(ask(limit), 0, 100.0) is None
    assert window.take(ask(limit), 0, 41.0) is not None


def test_a_clock_that_jumps_back_closes_nothing_for_good():
    """When the clock jumps back by an hour, the pool is not closed for an hour."""
    window, limit = meter(), Limit(rpm=1)
    window.take(ask(limit), 0, 5000.0)
    assert window.take(ask(limit), 0, 1400.0) is None
    assert window.take(ask(limit), 0, 1401.0) is not None


@settings(max_examples=30)
@given(ARRIVALS, st.integers(0, CELLS - 1))
def test_repair_restores_the_sums(arrivals: list[tuple[float, int, int]], at: int):
    """Sums left wrong by a writer that died half way are made true from the buckets."""
    cells, now, limit = [0] * CELLS, 0.0, Limit(rpm=10_000)
    window = Meter(cells)
    for wait, read, written in arrivals:
        now += wait
        window.take(ask(limit, read, written), 0, now)
    whole = cells[:]
    cells[1], cells[2], cells[3] = at, -at, 0
    window.repair()
    assert cells == whole


@given(ARRIVALS, st.floats(0, 70))
def test_charges_carry_a_window_over(arrivals: list[tuple[float, int, int]], later: float):
    """What one window holds can be charged to another, and leaves it at the same time."""
    window, other, now, limit = meter(), meter(), 0.0, Limit(rpm=10_000)
    for wait, read, written in arrivals:
        now += wait
        window.take(ask(limit, read, written), 0, now)
    for charge in window.charges(now):
        other.charge(*charge, now)
    for name in ("rpm", "itpm", "otpm"):
        assert other.used(name, now + later) == window.used(name, now + later)


def test_levels_lists_limited_dimensions_only():
    """Metrics show how full each configured limit is."""
    window, limit = meter(), Limit(rpm=10, concurrency=3)
    window.take(ask(limit), 0, 0.0)
    assert levels("p/m", limit, window, 2, 0.0) == [("p/m", "rpm", 10, 1), ("p/m", "concurrency", 3, 2)]
