"""Rollouts in a terminal."""

from twospeed.cli.screen import drilled, happened, line, standing

ROLLOUT = {
    "id": "deep",
    "phase": "baking",
    "step": 1,
    "steps": [0.05, 0.25],
    "share": 0.25,
    "attempt": 2,
    "version": 7,
    "at": 0.0,
    "actor": "judge",
    "reason": "passed",
    "evidence": "ab" * 32,
    "target": {"alias": "coder", "stable": "sim/old", "candidate": "sim/new"},
    "progress": {
        "outcome": "baking",
        "reason": "baking for 1 of 5 minutes",
        "calls": [90, 31],
        "sessions": [20, 7],
        "readings": [{"metric": "error_rate", "estimate": 0.012345, "worst": None}],
    },
}


def test_a_step_under_way_says_what_it_waits_for():
    """What the judge says, and from how much."""
    assert line(ROLLOUT) == (
        "deep: baking, 25% of sessions (step 2 of 2); 90 stable and 31 candidate requests; baking for 1 of 5 minutes"
    )


def test_more_is_said_of_one():
    """Target, latest move, figures."""
    text = standing(ROLLOUT)
    assert "sim/new for coder, now sim/old; attempt 2" in text
    assert "metric error_rate, estimate 0.01235" in text
    assert "version 7, evidence abababababab" in text


def test_a_move_is_one_line():
    """From where to where, by whom and why."""
    event = {"at": 0.0, "event": "fail", "before": "baking", "after": "rolling_back", "share": 0.0, "actor": "judge"}
    assert happened({**event, "reason": "slow"}).endswith(" fail: baking -> rolling_back by judge: slow")


def test_an_old_or_failed_drill_is_to_be_repeated():
    """A good recent one is not."""
    assert drilled({"at": 0.0, "outcome": "passed"}, 100 * 86_400.0).endswith("run twospeed drill rollback")
    assert (
        drilled({"at": 0.0, "outcome": "failed"}, 30.0)
        == "last rollback drill: failed, 30s ago; run twospeed drill rollback"
    )
