"""Rollback drills: what they are held with, and when they passed."""

import pytest
from tests.edge.controlled import ROLLOUT

from twospeed.policy.drilling import MARK, Finding, Seen, closed, judged, rollout, written
from twospeed.policy.rollout import DRILL, Gate, Rollout, Scope

A, B = "http://a/v1", "http://b/v1"
GATES = [Gate.model_validate({"drill_age": "90d"})]


def seen(at, arm="stable", server=A, ok=True):
    """One request, the decision being at 10."""
    return Seen(at, at + 0.1, server, arm, ok)


GOOD = [seen(9.0, "candidate"), seen(9.5), seen(10.2, "candidate"), seen(10.9), seen(11.5), seen(12.0)]


def test_a_drill_that_went_well():
    """Everybody was back within the second, and nothing broke."""
    finding = judged(GOOD, 10.0, [A])
    assert (finding.passed, round(finding.seconds, 3), finding.met, finding.after) == (True, 0.2, 2, 4)


@pytest.mark.parametrize(
    ("more", "servers", "why"),
    [
        ([seen(11.3, "candidate")], [A], "1 requests met the candidate later than 1s, the last after 1.30 s"),
        ([seen(9.2, ok=False)], [A], "1 of 7 requests failed"),
        ([], [A, B], "no session met the candidate at http://b/v1: nothing was shown"),
        ([seen(9.9, "candidate", B)], [A, B], "nobody was asked at http://b/v1 afterwards: nothing was shown"),
    ],
)
def test_a_drill_that_did_not(more, servers, why):
    """It says what was wrong; showing nothing is no pass."""
    finding = judged([*GOOD, *more], 10.0, servers)
    assert (finding.passed, finding.reason) == (False, why)


def test_a_drill_is_held_with_the_first_rollout():
    """Only requests that carry the mark take part, and the judge does not interfere."""
    drill = rollout({}, [ROLLOUT])
    assert (drill.id, drill.target, drill.steps) == (DRILL, ROLLOUT.target, [0.5])
    assert drill.scope == Scope(repos=[MARK])
    assert [criterion.metric for criterion in drill.guard] == ["error_rate"]


def test_a_drill_may_be_of_something_else():
    """By name, and with everybody."""
    asked = {"alias": "fast", "stable": "a/x", "candidate": "b/y", "share": 0.1, "everybody": True, "by": "regression"}
    drill = rollout(asked, [ROLLOUT])
    assert (drill.target.alias, drill.target.candidate, drill.steps, drill.scope) == ("fast", "b/y", [0.1], Scope())


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({}, "name what to drill with"),
        ({"alias": "c", "stable": "a/x", "candidate": "a/x"}, "^stable and candidate are the same version"),
        ({"alias": "c", "stable": "a/x", "candidate": "b/y", "share": "half"}, "^share: expected a share"),
        ({"alias": 5, "stable": "a/x", "candidate": "b/y"}, "^target.alias: "),
    ],
)
def test_a_drill_of_nothing_is_refused(asked, why):
    """In words."""
    with pytest.raises(ValueError, match=why):
        rollout(asked, [])


def test_no_file_has_a_rollout_of_the_drills_name():
    """It would be taken for a drill."""
    with pytest.raises(ValueError, match="kept for the program"):
        Rollout.model_validate({"id": "drill", "target": {"alias": "c", "stable": "a/x", "candidate": "b/y"}})


@pytest.mark.parametrize(
    ("last", "why"),
    [
        (None, "drill_age: there has been no rollback drill; run twospeed drill rollback"),
        ({"outcome": "failed", "age": 5.0}, "drill_age: the last rollback drill failed; run twospeed drill rollback"),
        (
            {"outcome": "passed", "age": 91 * 86_400.0},
            "drill_age: the last rollback drill is 91d old, 90d is allowed; run twospeed drill rollback",
        ),
        ({"outcome": "passed", "age": 89 * 86_400.0}, ""),
    ],
)
def test_an_old_drill_closes_the_gate(last, why):
    """So do a failed one and none at all."""
    assert closed(GATES, last) == why


def test_without_the_gate_nobody_asks():
    """A rollout that does not name it begins."""
    assert closed([], None) == ""


def test_the_report_is_for_people():
    """Outcome first."""
    finding = Finding(True, "fine", 0.123, 90, 40, 50, 0, 0)
    about = {
        "alias": "c",
        "stable": "a/x",
        "candidate": "b/y",
        "by": "abort",
        "share": 0.5,
        "servers": [A],
        "began": "today",
        "took": 3.2,
    }
    text = written(finding, about)
    assert text.splitlines()[2] == "outcome:         passed"
    assert "last met:        0.123 s after the decision; allowed: 1.0 s" in text
