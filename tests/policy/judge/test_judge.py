"""One step, judged."""

import json

import pytest
from tests.policy.judge.traffic import calls, rollout, until

from twospeed.policy.judge import Judge, Observation, Outcome

SHORT = {"bake": {"min": "30m", "max": "3h", "min_sessions": 20}}


@pytest.mark.parametrize("slower", [1.0, 1.1])
def test_a_good_candidate_passes(slower):
    """As fast, or slower within the tolerance."""
    verdict = until(Judge(rollout(**SHORT), 0.3), calls(10_000, slower=slower, spread=0.3))
    assert verdict.outcome is Outcome.PASS
    assert "within what the guards accept" in verdict.reason


@pytest.mark.parametrize("slower", [2.5, 4.0])
def test_a_slow_candidate_fails_before_any_bake_is_over(slower):
    """Bake time bounds the pass, never the failure."""
    verdict = until(Judge(rollout(**SHORT), 0.3), calls(4_000, slower=slower))
    assert verdict.outcome is Outcome.FAIL
    assert verdict.at < 1_800


def test_a_failure_is_for_good():
    """A candidate that recovers after it failed has failed."""
    judge = Judge(rollout(**SHORT), 0.3)
    until(judge, calls(4_000, slower=4.0))
    for seen in calls(4_000, seed=2):
        judge.observe(seen)
    assert judge.verdict(8_000.0).outcome is Outcome.FAIL


def test_errors_are_found():
    """Eight percent of failures where there are none."""
    stream = calls(4_000, more=lambda rng, candidate, ts: {"ok": not candidate or rng.random() > 0.08})
    verdict = until(Judge(rollout(**SHORT), 0.3), stream)
    assert verdict.outcome is Outcome.FAIL
    assert verdict.reason.startswith("error_rate: ")


def test_a_failed_signal_is_no_failed_guard():
    """It asks for a pause."""
    settings = {**SHORT, "signal": [{"metric": "refusal_rate"}]}
    stream = calls(4_000, more=lambda rng, candidate, ts: {"refusal": candidate and rng.random() < 0.2})
    verdict = until(Judge(rollout(**settings), 0.3), stream)
    assert verdict.outcome is Outcome.SIGNAL
    assert verdict.reason.startswith("refusal_rate: ")


def test_an_incident_of_both_versions_is_a_hold():
    """When the stable version fails too, nobody is rolled back."""
    stream = calls(3_000, more=lambda rng, candidate, ts: {"ok": ts < 1_500 or rng.random() < 0.5})
    verdict = until(Judge(rollout(**SHORT), 0.3), stream)
    assert verdict.outcome is Outcome.HOLD
    assert "stable requests failed" in verdict.reason


def test_a_wrong_split_is_no_comparison():
    """Twice as many sessions as the share says."""
    verdict = until(Judge(rollout(**SHORT), 0.15), calls(9_000))
    assert verdict.outcome is Outcome.MISMATCH
    assert "not 15.0%" in verdict.reason


@pytest.mark.parametrize(("share", "reason"), [(0.0, "no candidate requests"), (1.0, "no stable requests")])
def test_one_version_alone_cannot_be_judged(share, reason):
    """Without traffic on both sides there is no verdict, and the reason is said."""
    verdict = until(Judge(rollout(**SHORT), 0.3), calls(2_500, share=share))
    assert verdict.outcome is Outcome.CANNOT_MEASURE
    assert reason in verdict.reason


def test_a_guard_that_cannot_be_measured_holds_the_step():
    """Latencies that nobody reports do not pass as good ones."""
    stream = calls(2_500, more=lambda rng, candidate, ts: {"latency_ms": None})
    verdict = until(Judge(rollout(**SHORT), 0.3), stream)
    assert (verdict.outcome, verdict.reason) == (Outcome.CANNOT_MEASURE, "cannot measure latency_p99")


def test_too_little_traffic_is_inconclusive():
    """Three hours at a trickle are no evidence of anything."""
    settings = {"bake": {"min": "30m", "max": "3h", "min_sessions": 2}}
    verdict = until(Judge(rollout(**settings), 0.3), calls(700, rate=0.06, spread=0.8))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "power" in verdict.reason


def test_nothing_seen_is_baking():
    """A judge that has heard nothing says so."""
    verdict = Judge(rollout()).verdict(0.0)
    assert (verdict.outcome, verdict.reason) == (Outcome.BAKING, "no candidate requests")


def test_two_replicas_see_what_one_would():
    """Half of the sessions each, added up, are as good as all of them."""
    halves = [Judge(rollout(**SHORT), 0.3) for _ in range(2)]
    for seen in calls(3_000, slower=2.0):
        halves[int(str(seen.session)[-1]) % 2].observe(seen)
    first = halves[0]
    first.merge(halves[1])
    verdict = first.verdict(3_000.0)
    assert sum(verdict.calls) == 3_000
    assert verdict.outcome is Outcome.FAIL


def test_it_goes_on_after_a_kill():
    """Written as JSON and read again it comes to the same verdict, from what was seen before and after."""
    stream = list(calls(1_500, slower=2.5))
    judge = Judge(rollout(**SHORT), 0.3)
    for seen in stream[:310]:
        judge.observe(seen)
    again = Judge.from_plain(rollout(**SHORT), json.loads(json.dumps(judge.to_plain())))
    first, second = until(judge, stream[310:]), until(again, stream[310:])
    assert first.outcome is second.outcome is Outcome.FAIL
    assert abs(first.at - second.at) <= 60


def test_only_time_session_and_arm_are_needed():
    """Whatever else is missing, nothing breaks."""
    judge = Judge(rollout(**SHORT), 0.3)
    for number in range(3_000):
        judge.observe(Observation(float(number), number // 20, "candidate" if number // 20 % 3 == 0 else "stable"))
    assert judge.verdict(3_000.0).outcome is Outcome.CANNOT_MEASURE
