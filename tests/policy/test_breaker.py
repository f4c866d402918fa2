"""Breaker: opens on trouble, probes once, comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from twospeed.policy.breaker import TRANSITIONS, Breaker, Signal, State, Status, calm_until, news, step

B = Breaker(jitter=0.0)


def after(*signals: Signal, state: State | None = None, now: float = 100.0) -> State:
    state = state or State()
    for signal in signals:
        state = step(B, state, signal, now, 0.5)
    return state


S, F, P, R, L = Signal.SUCCESS, Signal.FAILURE, Signal.PROBE, Signal.RELEASE, Signal.LAST_RESORT


def test_five_failures_in_a_row_open_it():
    """Five failures in a row and the backend is left alone for 5 s."""
    assert after(F, F, F, F).status is Status.CLOSED
    opened = after(F, F, F, F, F)
    assert (opened.status, opened.until) == (Status.OPEN, 105.0)


def test_a_success_breaks_the_row():
    """Failures with successes between them are not a row."""
    assert after(F, F, F, F, S, F, F, F, F).status is Status.CLOSED


def test_half_of_twenty_open_it():
    """Every second attempt failing opens it at the twentieth attempt, not before."""
    assert after(*(S, F) * 9, S).status is Status.CLOSED
    assert after(*(S, F) * 10).status is Status.OPEN


def test_less_than_half_does_not():
    """A third of failures is bad but not out."""
    assert after(*(S, F, S) * 30).status is Status.CLOSED


def test_the_window_forgets_after_ten_seconds():
    """Failures older than 10 s no longer count towards the share."""
    state = after(*(F, S) * 9)
    assert after(S, F, state=state, now=109.0).status is Status.OPEN
    assert after(S, F, state=state, now=110.0).status is Status.CLOSED


def test_slow_traffic_is_counted_over_the_whole_window():
    """Twenty attempts spread over 10 s are judged together."""
    state = State()
    for attempt in range(20):
        state = step(B, state, F if attempt % 2 else S, 100.0 + attempt * 0.5, 0.5)
    assert state.status is Status.OPEN


def test_probe_is_claimed_once_and_only_when_due():
    """After 5 s exactly one request goes through to find out."""
    opened = after(*(F,) * 5)
    assert step(B, opened, P, 104.9, 0.5) is opened
    probing = step(B, opened, P, 105.0, 0.5)
    assert probing.status is Status.HALF_OPEN
    assert step(B, probing, P, 106.0, 0.5) is probing


def test_probe_of_a_dead_owner_frees_itself():
    """A probe that never reports keeps others out for 30 s only."""
    probing = after(P, state=after(*(F,) * 5), now=105.0)
    assert step(B, probing, P, 134.9, 0.5) is probing
    assert step(B, probing, P, 135.0, 0.5) is not probing


def test_probe_decides():
    """A probe that succeeds closes it; one that fails opens it for longer; one without a verdict changes nothing."""
    probing = after(P, state=after(*(F,) * 5), now=105.0)
    assert after(S, state=probing, now=106.0).status is Status.CLOSED
    again = after(F, state=probing, now=106.0)
    assert (again.status, again.until) == (Status.OPEN, 116.0)
    released = after(R, state=probing, now=106.0)
    assert after(P, state=released, now=106.0).status is Status.HALF_OPEN


def test_each_opening_lasts_longer_up_to_five_minutes():
    """A backend that stays broken is probed less and less often, but at least every 5 minutes."""
    state, waits = after(*(F,) * 5), []
    for _ in range(70):
        waits.append(state.until - state.since)
        state = after(P, F, state=state, now=state.until)
    assert waits[:3] == [5.0, 10.0, 15.0]
    assert waits[-1] == 300.0


def test_new_trouble_long_after_the_old_starts_short_again():
    """A backend that worked well for a while is not punished for last week."""
    state = after(*(F,) * 5)
    for _ in range(3):
        state = after(P, F, state=state, now=state.until)
    closed = after(P, S, state=state, now=state.until)
    assert after(*(F,) * 5, state=closed, now=closed.since + 1.0).times == 5
    assert after(*(F,) * 5, state=closed, now=closed.since + 60.0).times == 1


def test_last_resort_once_a_second():
    """With everything broken each backend is still tried once a second."""
    opened = after(*(F,) * 5)
    assert step(B, opened, L, 100.5, 0.5) is opened
    tried = step(B, opened, L, 101.0, 0.5)
    assert tried is not opened
    assert step(B, tried, L, 101.9, 0.5) is tried
    assert step(B, tried, L, 102.0, 0.5) is not tried


def test_success_of_a_last_resort_closes_it():
    """When a last resort works, traffic comes back at once."""
    assert after(L, S, state=after(*(F,) * 5), now=101.0).status is Status.CLOSED


def test_results_of_the_past_do_not_count_while_open():
    """An answer that was under way when the breaker opened does not close it, a failure does not prolong it."""
    opened = after(*(F,) * 5)
    assert step(B, opened, S, 100.5, 0.5) is opened
    assert step(B, opened, F, 100.5, 0.5) is opened


def test_heard_of_another_replica():
    """A backend another replica found dead is left alone here too, and probed by the other first."""
    heard = after(Signal.HEARD_OPEN)
    assert (heard.status, heard.until) == (Status.OPEN, 106.0)
    again = after(Signal.HEARD_OPEN, state=heard, now=105.0)
    assert again.until > 111.0
    assert after(Signal.HEARD_CLOSED, state=again, now=110.0).status is Status.CLOSED


def test_own_successes_weigh_more_than_hearsay():
    """A replica with a broken network does not close a backend for those who reach it."""
    working = after(S, S, F)
    assert step(B, working, Signal.HEARD_OPEN, 100.0, 0.5) is working
    assert after(Signal.HEARD_OPEN, state=working, now=111.0).status is Status.OPEN


@given(st.floats(0, 1, exclude_max=True))
def test_jitter_spreads_the_probes(roll: float):
    """Replicas do not all probe at the same instant."""
    state = State()
    for _ in range(5):
        state = step(Breaker(), state, F, 0.0, roll)
    assert 4.5 <= state.until <= 5.5


@given(st.lists(st.tuples(st.sampled_from(Signal), st.floats(0, 40), st.floats(0, 1, exclude_max=True))))
def test_every_walk_stays_in_the_table(walk: list[tuple[Signal, float, float]]):
    """Whatever happens, a status only changes by a row of the table, and an open breaker can always be probed later."""
    state, now = State(), 0.0
    for signal, wait, roll in walk:
        now += wait
        after_it = step(B, state, signal, now, roll)
        if after_it is not state:
            assert (state.status, signal) in TRANSITIONS
        if after_it.status is Status.OPEN and state.status is Status.CLOSED:
            assert signal in (F, Signal.HEARD_OPEN)
        if after_it.status is Status.CLOSED and state.status is not Status.CLOSED:
            assert signal in (S, Signal.HEARD_CLOSED)
        state = after_it
    if state.status is not Status.CLOSED:
        assert step(B, state, P, state.until, 0.5).status is Status.HALF_OPEN


@given(st.lists(st.tuples(st.sampled_from(Signal), st.floats(0, 5)), max_size=40))
def test_a_calm_breaker_changes_by_a_success_in_one_number(walk: list[tuple[Signal, float]]):
    """Until a breaker is calm no more a success is one more good result, and nothing else."""
    state, now = State(), 100.0
    for signal, wait in walk:
        now += wait
        state = step(B, state, signal, now, 0.5)
        end = calm_until(B, state)
        if now < end:
            for at in (now, (now + end) / 2):
                assert step(B, state, S, at, 0.5) == replace(state, good=state.good + 1)
    assert calm_until(B, after(F)) == calm_until(B, after(F, F, F, F, F)) == 0.0


def test_settings_refuse_a_share_of_nothing():
    """A ratio of 0% would open on success and is refused."""
    with pytest.raises(ValueError):
        Breaker(ratio="0%")


def test_news_is_what_others_act_on():
    """That it opened, opened for longer, or closed; a probe, or one given back, is nobody else's business."""
    closed, open_, longer = State(), State(Status.OPEN, times=1), State(Status.OPEN, times=2)
    probing = State(Status.HALF_OPEN, times=1)
    assert news(closed, open_) is Signal.HEARD_OPEN
    assert news(probing, longer) is Signal.HEARD_OPEN
    assert news(probing, closed) is Signal.HEARD_CLOSED
    assert [news(closed, closed), news(open_, probing), news(probing, open_)] == [None, None, None]
