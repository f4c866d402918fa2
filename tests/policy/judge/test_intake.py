"""From observations to sums."""

import json

from tests.policy.judge.traffic import calls

from twospeed.policy.judge import Observation
from twospeed.policy.judge.intake import LEAP, Intake, Quantiles
from twospeed.policy.judge.sums import place

TAILS = {"latency": Quantiles(0.99, 1.25)}


def fed(stream, by_language=False):
    intake = Intake(3600.0, TAILS, by_language)
    for seen in stream:
        intake.observe(seen)
    intake.close()
    return intake


def total(intake, measure, candidate):
    """Calls and hits (or residuals) of one measure."""
    _, values = intake.sums.table(candidate)
    return values[:, place(measure)].sum(), values[:, place(measure) + 1].sum()


def test_every_call_is_counted_once():
    """Blocks lose nothing: each request is in the sums of its arm."""
    intake = fed(calls(2_000))
    assert sum(intake.calls) == 2_000
    for candidate in (False, True):
        assert total(intake, "error_rate", candidate)[0] == intake.calls[candidate]


def test_a_failed_request_has_no_duration():
    """A fast error does not make the candidate look fast."""
    intake = fed(calls(2_000, more=lambda rng, candidate, ts: {"ok": not candidate or rng.random() < 0.5}))
    requests, failed = total(intake, "error_rate", True)
    assert total(intake, "latency", True)[0] == requests - failed


def test_a_block_waits_for_enough_stable_calls_but_not_for_ever():
    """Under load a block closes within seconds; at a trickle it waits up to an hour."""
    busy, slow = Intake(3600.0, TAILS), Intake(3600.0, TAILS)
    closed = [number for number, seen in enumerate(calls(600, rate=20.0)) if busy.observe(seen)]
    assert len(closed) >= 1
    assert closed[0] <= 410
    closed = [number for number, seen in enumerate(calls(60, rate=0.01)) if slow.observe(seen)]
    assert closed[0] in range(15, 37)


def test_without_stable_calls_nothing_is_held_against_the_candidate():
    """Candidate calls that have nothing to be compared with are dropped and counted as such."""
    intake = fed(calls(1_000, share=1.0, more=lambda rng, candidate, ts: {"ok": rng.random() < 0.7}))
    assert total(intake, "error_rate", True) == (0.0, 0.0)
    assert intake.dropped > 0


def test_an_incident_is_not_held_against_anyone():
    """Failures while the stable version fails too are left out of the error rate."""

    def failing(rng, candidate, ts):
        return {"ok": not (1_500 < ts < 2_100) or rng.random() < 0.5}

    intake = fed(calls(3_000, more=failing))
    assert intake.troubled > 50
    requests, failed = total(intake, "error_rate", True)
    assert failed / requests < 0.05


def test_one_clock_that_runs_ahead_is_not_believed():
    """A single timestamp from next year does not end the hour; two that agree do."""
    intake = fed(calls(100))
    intake.observe(Observation(9e9, "odd", "stable"))
    intake.observe(Observation(101.0, "s", "stable"))
    assert intake.now == 101.0
    for late in (LEAP * 10, LEAP * 10 + 1):
        intake.observe(Observation(late, "s", "stable"))
    assert intake.now == LEAP * 10 + 1


def test_late_observations_are_taken():
    """A request that is reported two minutes late counts."""
    stream = list(calls(500))
    intake = fed([*stream[:100], *stream[200:], *stream[100:200]])
    assert sum(intake.calls) == 500
    assert intake.now == stream[-1].ts


def test_languages_are_kept_apart_only_where_asked_for():
    """A thousand languages do not make a thousand rows."""
    odd = list(calls(300, more=lambda rng, candidate, ts: {"language": f"l{rng.randrange(1000)}"}))
    assert list(fed(odd).sums.languages) == [""]
    assert len(fed(odd, by_language=True).sums.languages) <= 65


def test_it_survives_a_kill_between_any_two_observations():
    """Written as JSON in the middle of a block and read again, it ends where it would have."""
    stream = list(calls(730))
    before = Intake(3600.0, TAILS)
    for seen in stream[:377]:
        before.observe(seen)
    after = Intake(3600.0, TAILS)
    after.load(json.loads(json.dumps(before.to_plain())))
    for intake in (before, after):
        for seen in stream[377:]:
            intake.observe(seen)
    assert after.to_plain() == before.to_plain()
