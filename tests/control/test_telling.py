"""A move as a line of the ledger and of the log."""

from tests.control.driven import rollout

from twospeed.control.telling import entry, tell
from twospeed.policy.held import flagged, moved, opened
from twospeed.policy.rollout import Signal


def test_a_move_is_told_with_who_and_why(caplog):
    """In the log, and in the ledger under a key that is the same on every host."""
    move = moved(opened(rollout(), 1.0).held, Signal.START, "ann", "monday", 2.5)
    tell(move)
    assert caplog.messages == ["rollout r: draft -> preflight at 0% (ann: monday)"]
    line = entry(move)
    assert (line.kind, line.subject, line.event, line.before, line.after) == (
        "rollout",
        "r",
        "start",
        "draft",
        "preflight",
    )
    assert (line.actor, line.reason, line.key) == ("ann", "monday", "r:2:2.500000")


def test_a_flag_is_told_with_what_it_was(caplog):
    """Both settings stand in the ledger as JSON."""
    move = flagged(None, "calm", {"share": 0.2}, "ann", "slow", 3.0)
    tell(move)
    assert caplog.messages == ["flag calm: set (ann: slow)"]
    line = entry(move)
    assert (line.kind, line.subject, line.before, line.after) == ("flag", "calm", "", '{"share":0.2}')
