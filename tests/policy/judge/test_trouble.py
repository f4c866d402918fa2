"""The stable version in a bad way."""

import json

from twospeed.policy.judge.trouble import Quiet, Trouble


def watched(*blocks):
    """What is said of each block, one a minute; each (errors of 50, log latency)."""
    trouble = Trouble()
    return trouble, [trouble.sees(Quiet(60.0 * place, 50.0, *block)) for place, block in enumerate(blocks)]


QUIET = (0.0, 8.0)


def test_errors_of_the_stable_version_are_trouble():
    """A fifth of stable requests failing is an incident, and its end is noticed."""
    trouble, said = watched(*[QUIET] * 6, (10.0, 8.0), (10.0, 8.0), QUIET)
    assert said == [False] * 6 + [True, True, False]
    assert trouble.since is None


def test_a_slow_stable_version_is_trouble():
    """Four times the usual latency is an incident, though nothing fails."""
    trouble, said = watched(*[QUIET] * 6, (0.0, 9.4))
    assert said[-1]
    assert trouble.kind == "stable latency is 4.1 times the usual"
    assert not trouble.failing


def test_a_few_errors_or_a_slow_hour_are_not():
    """Chance and the time of day are no incident."""
    _, said = watched(*[QUIET] * 6, (2.0, 8.0), (0.0, 8.5), (3.0, 8.3))
    assert not any(said)


def test_nothing_is_unusual_before_anything_is_usual():
    """The first blocks cannot be compared with anything."""
    _, said = watched((30.0, 11.0), (30.0, 11.0))
    assert said == [False, False]


def test_trouble_that_lasts_is_the_new_normal():
    """After two hours there is nothing to wait for."""
    _, said = watched(*[QUIET] * 6, *[(10.0, 8.0)] * 130)
    assert said[100]
    assert not said[-1]


def test_it_survives_as_plain_text():
    """Written as JSON and read again it remembers what is usual."""
    trouble, _ = watched(*[QUIET] * 6)
    again = Trouble.from_plain(json.loads(json.dumps(trouble.to_plain())))
    assert again.sees(Quiet(400.0, 50.0, 20.0, 8.0))
