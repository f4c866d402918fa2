"""Rollouts: settings, sticky shares, and the table of states."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from twospeed.policy.rollout import (
    STEP_PHASES,
    TRANSITIONS,
    Phase,
    Rollout,
    Signal,
    State,
    meets_candidate,
    opened,
    share_bucket,
    step,
)

TARGET = {"alias": "coder", "stable": "a/old", "candidate": "a/new"}
STEPS = (0.05, 0.25, 0.5, 1.0)


def rollout(**settings):
    return Rollout(id="r", target=TARGET, **settings)


def after(*signals, state=None):
    state = state or State("r", STEPS)
    for signal in signals:
        state = step(state, signal, state.step)
    return state


LIVE = after(Signal.START, Signal.READY)


def test_the_plain_course_leads_through_all_steps():
    """Gates, then 5, 25, 50 and 100%, then promoted."""
    state, shares = LIVE, []
    while state.phase is not Phase.PROMOTED:
        shares.append(state.share)
        state = step(state, Signal.ADVANCE, state.step)
    assert shares == list(STEPS)
    assert state.share == 1.0


def test_a_shadow_comes_before_the_first_step():
    """With a shadow gate no client meets the candidate before the copies are judged."""
    state = after(Signal.START, Signal.READY, state=opened(rollout(gates=[{"shadow": {}}])))
    assert (state.phase, state.share) == (Phase.SHADOW, 0.0)
    assert step(state, Signal.CONFIRMED).share == 0.05
    assert step(state, Signal.READY) == state


@pytest.mark.parametrize("reached", [(Signal.START,), (Signal.START, Signal.READY)])
def test_a_refused_gate_leads_back_to_draft(reached):
    """Nothing has happened yet, so nothing is rolled back; it may be started again."""
    state = after(*reached, Signal.REFUSED, state=State("r", STEPS, shadow=True))
    assert (state.phase, state.refused) == (Phase.DRAFT, True)
    assert step(state, Signal.START).refused is False


@pytest.mark.parametrize("phase", STEP_PHASES)
def test_a_failed_guard_rolls_back_whatever_the_step_waits_for(phase):
    """Neither a pause nor an incident keeps a bad version in."""
    assert step(State("r", STEPS, phase=phase, step=1), Signal.FAIL).phase is Phase.ROLLING_BACK


@pytest.mark.parametrize("phase", set(Phase) - {Phase.ROLLING_BACK, Phase.ROLLED_BACK})
def test_it_can_be_aborted_from_anywhere(phase):
    """Abort leads to rolled back from every state, and no candidate is served meanwhile."""
    state = after(Signal.ABORT, state=State("r", STEPS, phase=phase, step=1))
    assert (state.phase, state.share) == (Phase.ROLLING_BACK, 0.0)
    assert step(state, Signal.DONE).phase is Phase.ROLLED_BACK


def test_a_retry_is_a_new_attempt_of_the_same_sessions():
    """The second attempt begins at draft and keeps the salt, so that the same sessions come first."""
    state = after(Signal.FAIL, Signal.DONE, Signal.RETRY, state=LIVE)
    assert (state.phase, state.attempt, state.step, state.id) == (Phase.DRAFT, 2, -1, "r")


def test_a_pause_keeps_the_share():
    """Paused, inconclusive and held steps serve the candidate to the same sessions."""
    for signal in (Signal.PAUSE, Signal.UNDECIDED, Signal.TROUBLE):
        assert step(LIVE, signal).share == LIVE.share
    assert step(step(LIVE, Signal.TROUBLE), Signal.RECOVERED) == LIVE
    assert step(step(LIVE, Signal.PAUSE), Signal.RESUME) == LIVE


def test_promotion_by_hand_skips_what_is_left():
    """An operator may let everyone in at once."""
    assert step(LIVE, Signal.PROMOTE).share == 1.0


@given(st.lists(st.sampled_from(Signal)))
def test_signals_said_twice_change_nothing_more(signals):
    """Every signal may be repeated: a second worker, or a first one after a crash, says it of the same step."""
    state = after(*signals)
    for signal in Signal:
        once = step(state, signal, state.step)
        assert step(once, signal, state.step) == once


def test_a_verdict_of_an_earlier_step_is_too_late():
    """A pass counts for the step it is about, and must say which."""
    second = step(LIVE, Signal.ADVANCE, 0)
    assert second.step == 1
    assert step(second, Signal.ADVANCE, 0) == second
    assert step(second, Signal.ADVANCE) == second


def test_no_signal_is_without_effect():
    """Every signal and every phase stands in the table."""
    assert {signal for _, signal in TRANSITIONS} == set(Signal)
    assert {phase for phase, _ in TRANSITIONS} == set(Phase)


@given(st.text(max_size=40), st.sampled_from(STEPS), st.sampled_from(STEPS))
def test_a_session_that_is_in_stays_in(session, first, second):
    """As the share grows a session goes from stable to candidate at most once, and never back."""
    small, large = sorted((first, second))
    states = [State("r", (share,), phase=Phase.BAKING, step=0) for share in (small, large)]
    assert meets_candidate(states[0], session) <= meets_candidate(states[1], session)


def test_buckets_are_even_and_belong_to_the_rollout():
    """A share of 5% is 5% of sessions; another rollout begins with other sessions."""
    sessions = [f"session-{number}" for number in range(20_000)]
    chosen = {session for session in sessions if share_bucket("r", session) < 0.05}
    assert 900 < len(chosen) < 1100
    other = {session for session in sessions if share_bucket("q", session) < 0.05}
    assert len(chosen & other) < 100


def test_the_settings_of_the_reference_are_accepted():
    """The example of the documentation is a rollout."""
    settings = rollout(
        unit="session",
        scope={"keys": ["ide"], "repos": ["web"], "languages": ["python"]},
        gates=[{"shadow": {"fraction": "5%", "pairs": 200}}, {"drill_age": "90d"}],
        steps=["5%", "25%", "50%", "100%"],
        bake={"min": "1h", "max": "24h", "min_sessions": 40},
        guard=[{"metric": "latency_p99"}, {"metric": "tool_call_invalid_rate", "slack": "0.5pp", "by": "language"}],
        signal=[{"metric": "refusal_rate"}],
        false_rollback_rate="1%",
        on_fail={"action": "rollback"},
    )
    assert settings.shadow.pairs == 200
    assert settings.steps == list(STEPS)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"gates": ["prompt_compat"]}, "'prompt_compat' needs recorded prompts"),
        ({"gates": ["capacity"]}, "'capacity' needs the provider's real limits"),
        ({"gates": ["shadow"]}, "a gate is a block"),
        ({"gates": [{}]}, "give each gate one key"),
        ({"on_fail": {"incident": True}}, "'incident' needs a status page"),
        ({"on_fail": {"samples": 50}}, "'samples' needs recorded requests"),
        ({"steps": ["25%", "5%"]}, "larger than the one before"),
        ({"bake": {"min": "2h", "max": "1h"}}, "shorter than the shortest"),
        ({"guard": [{"metric": "latency"}, {"metric": "latency"}]}, "named twice in guard"),
        ({"target": {**TARGET, "candidate": "a/old"}}, "the same version"),
        ({"unit": "request"}, "session"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(settings, reason):
    """Nothing that is written is silently without effect."""
    with pytest.raises(ValueError, match=reason):
        Rollout(**{"id": "r", "target": TARGET, **settings})


def test_the_documented_states_are_those_of_the_table():
    """docs/rollouts.md lists every transition and no other."""
    text = (Path(__file__).parents[2] / "docs/rollouts.md").read_text()
    state = State("r", (0.05, 1.0), step=0)
    rows = {
        f"| {phase.value} | {signal.value} | {step(replace(state, phase=phase), signal, 0).phase.value} |"
        for phase, signal in TRANSITIONS
    }
    phases = "|".join(phase.value for phase in Phase)
    assert rows == set(re.findall(rf"^\| (?:{phases}) \| \w+ \| \w+ \|$", text, re.MULTILINE))
