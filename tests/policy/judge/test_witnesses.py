"""What a review is told of the candidate's requests."""

from twospeed.policy.held import Sighting
from twospeed.policy.judge.observation import Observation
from twospeed.policy.judge.witnesses import LOUDEST, SESSIONS, Witnesses


def seen(session, latency=100.0, ok=True, arm="candidate", trace=""):
    """One finished request."""
    return Sighting("r", 1, 0, Observation(0.0, session, arm, latency_ms=latency, ok=ok), trace=trace)


def test_those_that_speak_loudest_are_kept():
    """Failures first, then the slowest; requests of the stable version are no witnesses."""
    witnesses = Witnesses()
    for number in range(100):
        witnesses.observe(seen(f"s{number}", latency=float(number), ok=number != 3, trace=f"t{number}"))
        witnesses.observe(seen("other", 9_999.0, arm="stable"))
    told = witnesses.figures()
    assert [one["trace"] for one in told["witnesses"]] == ["t3", *(f"t{number}" for number in range(99, 80, -1))]
    assert len(told["witnesses"]) == LOUDEST
    assert told["met"] == [f"s{number}" for number in range(100)]


def test_both_are_bounded():
    """However many sessions there are."""
    witnesses = Witnesses()
    for number in range(1_000):
        witnesses.observe(seen(f"s{number}"))
    assert (len(witnesses.figures()["met"]), len(witnesses.figures()["witnesses"])) == (SESSIONS, LOUDEST)


def test_another_leader_goes_on_with_the_same():
    """They are part of the judge's memory."""
    witnesses, other = Witnesses(), Witnesses()
    witnesses.observe(seen("s", ok=False, trace="t"))
    other.load(witnesses.to_plain())
    assert other.figures() == witnesses.figures()
    assert Witnesses().figures() == {}
