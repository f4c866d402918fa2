"""What is shown of a rollout."""

import pytest
from msgspec.structs import replace
from tests.edge.controlled import ROLLOUT

from twospeed.edge.delivery import LONGEST_REASON, exit_code, shown, tidy
from twospeed.policy.held import opened
from twospeed.policy.rollout import Phase

HELD = opened(ROLLOUT, 10.0).held


@pytest.mark.parametrize(
    ("phase", "code"),
    [
        (Phase.DRAFT, None),
        (Phase.BAKING, None),
        (Phase.HOLD, None),
        (Phase.PAUSED, None),
        (Phase.ROLLING_BACK, None),
        (Phase.PROMOTED, 0),
        (Phase.ROLLED_BACK, 3),
        (Phase.INCONCLUSIVE, 5),
    ],
)
def test_outcomes_have_exit_codes(phase, code):
    """What may still go on has none."""
    assert exit_code(replace(HELD, state=replace(HELD.state, phase=phase))) == code


def test_a_refused_draft_has_one_of_its_own():
    """A gate said no."""
    assert exit_code(replace(HELD, state=replace(HELD.state, refused=True))) == 4


def test_a_rollout_is_shown_with_what_it_is_about():
    """Target, steps and where it stands."""
    assert shown(HELD)["target"]["candidate"] == "sim/new"
    assert (shown(HELD)["steps"], shown(HELD)["step"]) == ([0.3, 1.0], -1)


def test_a_reason_is_one_short_line():
    """Nothing in it can forge a line of a log or steer a terminal."""
    assert tidy("a\x1b[31mb\r\nc") == "a [31mb c"
    assert len(tidy("x" * 9_999)) == LONGEST_REASON
