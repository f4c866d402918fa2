"""A stream becomes decisions."""

import pytest
from tests.policy.judge.traffic import calls, rollout

from twospeed.policy.judge import Observation
from twospeed.policy.judge.course import Action, Course

SHORT = {"steps": ["30%", "100%"], "bake": {"min": "30m", "max": "3h", "min_sessions": 20}}


def decided(stream, share=None, **settings):
    """The course and its decisions, until a rollback."""
    course = Course(rollout(**(SHORT | settings)), share)
    decisions = []
    for seen in stream:
        decision = course.observe(seen)
        decisions += [decision] if decision else []
        if decision and decision.decision is Action.ROLLBACK:
            return course, decisions
    last = course.finish()
    return course, decisions + ([last] if last else [])


def words(decisions):
    return [decision.decision.value for decision in decisions]


def test_a_good_stream_is_promoted_once():
    """One line, however long the stream."""
    course, decisions = decided(calls(9_000, spread=0.3))
    assert words(decisions) == ["promote"]
    assert course.healthy


def test_a_bad_stream_is_rolled_back():
    """The decision says after how many candidate requests."""
    course, decisions = decided(calls(4_000, slower=3.0))
    assert words(decisions) == ["rollback"]
    assert 5 < decisions[0].n_candidate < 600
    assert not course.healthy


def test_a_late_regression_is_found_after_the_promotion():
    """A step that has passed is watched further."""
    _, decisions = decided(calls(14_000, slower=3.0, begins=9_000.0, spread=0.3))
    assert words(decisions) == ["promote", "rollback"]
    assert 9_000 < decisions[1].ts < 11_000


def test_an_operator_may_want_a_pause_instead():
    """`on_fail: pause` leaves the rollback to people."""
    _, decisions = decided(calls(4_000, slower=3.0), on_fail={"action": "pause"})
    assert words(decisions)[0] == "pause"


def test_an_incident_is_said_once_and_passes():
    """A hold for the whole incident, not one a minute, and the promotion comes after it."""
    stream = calls(
        9_000, spread=0.3, more=lambda rng, candidate, ts: {"ok": not 600 < ts < 1_200 or rng.random() < 0.5}
    )
    _, decisions = decided(stream)
    assert words(decisions) == ["hold", "promote"]


def test_a_short_stream_ends_with_a_hold():
    """Ten minutes decide nothing, and the reason is said."""
    course, decisions = decided(calls(600))
    assert words(decisions) == ["hold"]
    assert "without a verdict" in decisions[0].reason
    assert not course.healthy


def test_an_empty_stream_decides_nothing():
    """Not even a hold."""
    assert decided([])[1] == []


def second_step(slower):
    """Half of the sessions, after two and a half hours in which a tenth met the candidate."""
    yield from calls(9_000, share=0.1, spread=0.3)
    for seen in calls(9_000, share=0.5, slower=slower, seed=2, spread=0.3):
        yield Observation(seen.ts + 9_000, seen.session, seen.arm, seen.latency_ms, seen.ttft_ms, True)


def test_the_next_step_is_noticed_and_judged_afresh():
    """A stream in which the share grows is promoted once per step."""
    course, decisions = decided(second_step(1.0), steps=["10%", "50%", "100%"])
    assert words(decisions) == ["promote", "promote"]
    assert course.healthy


def test_overload_at_a_larger_share_is_stopped_there():
    """A candidate that is fine at 10% may not be at 50%."""
    _, decisions = decided(second_step(3.0), steps=["10%", "50%", "100%"])
    assert words(decisions) == ["promote", "rollback"]
    assert decisions[1].ts > 9_000


def test_a_skewed_share_is_reported():
    """A third more sessions than the step sends."""
    _, decisions = decided(calls(24_000, share=0.4, spread=0.3), bake={"min": "30m", "max": "12h", "min_sessions": 20})
    assert words(decisions)[-1] == "pause"
    assert "sample ratio mismatch" in decisions[-1].reason


@pytest.mark.parametrize("share", [0.05, 0.7])
def test_a_share_of_no_step_is_judged_all_the_same(share):
    """A recorded canary of another share has no sample ratio to check, and its regression is found."""
    _, decisions = decided(calls(12_000, share=share, slower=4.0))
    assert words(decisions)[-1] == "rollback"


def test_a_share_that_is_said_is_checked():
    """--share 30% and a stream of 30% agree."""
    _, decisions = decided(calls(9_000, spread=0.3), share=0.3, steps=["5%", "100%"])
    assert words(decisions) == ["promote"]
