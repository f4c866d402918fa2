"""Flags: who meets which, and what wins."""

import pytest
from pydantic import ValidationError

from twospeed.policy.flags import Asked, Flag, Flags, combined
from twospeed.types import Switches


def flag(name="f", turn=None, **more):
    """A flag as the config file says it."""
    return Flag.model_validate({"id": name, "set": turn or {"tier": "fast"}, **more})


def never():
    """Fail when something is looked for that no flag asks for."""
    raise AssertionError


def asked(caller="ann", client="claude-cli/2.0", session="s1", language=never, repo=never):
    """One request."""
    return Asked(caller, client, session, language, repo)


def test_no_flags_are_nothing():
    """A server without flags, or with all of them off, does not look anything up."""
    assert not Flags([])
    assert not Flags([flag(on=False)])


def test_a_flag_for_everybody_turns_its_switches():
    """What it does not set stays as configured."""
    switches = Flags([flag("calm", {"hedge": False, "shadow": "5%"})]).turned(asked())
    assert switches == Switches(hedge=False, shadow=0.05, flags=("calm",))


@pytest.mark.parametrize(
    ("scope", "fits"),
    [
        ({"keys": ["ann"]}, True),
        ({"keys": ["bob"]}, False),
        ({"clients": ["Claude-CLI/*"]}, True),
        ({"clients": ["*vscode*", "opencode/*"]}, False),
        ({"languages": ["go", "python"]}, True),
        ({"languages": ["go"]}, False),
        ({"repos": ["web"]}, True),
        ({"repos": ["core"]}, False),
        ({"keys": ["ann"], "repos": ["core"]}, False),
    ],
)
def test_a_scope_is_kept(scope, fits):
    """Everything that is written must hold; of each list one entry is enough."""
    found = Flags([flag(scope=scope)]).turned(asked(language=lambda: "python", repo=lambda: "web"))
    assert (found is not None) == fits


def test_a_share_is_sticky_and_nested():
    """A session stays in as the share grows, and about the share of all sessions is in."""
    sessions = [f"s{number}" for number in range(4_000)]

    def inside(share):
        flags = Flags([flag(share=share)])
        return {session for session in sessions if flags.turned(asked(session=session))}

    some, more = inside("5%"), inside("25%")
    assert some < more
    assert 130 < len(some) < 270
    assert inside("100%") == set(sessions)


def test_a_request_of_no_session_meets_only_flags_for_all():
    """There is nothing to keep it to one side."""
    assert Flags([flag(share="99%")]).turned(asked(session="")) is None
    assert Flags([flag()]).turned(asked(session=""))


def test_the_first_flag_that_fits_wins_each_switch():
    """Each switch by itself, so that two flags can work together."""
    flags = Flags([flag("a", {"tier": "deep"}), flag("b", {"tier": "fast", "hedge": True})])
    assert flags.turned(asked()) == Switches(tier="deep", hedge=True, flags=("a", "b"))


def test_flags_set_by_hand_come_first_and_replace_those_of_the_file():
    """The file says it again when the one set by hand is removed."""
    file, hand = [flag("a"), flag("b")], {"b": flag("b", {"tier": "deep"})}
    assert [(one.id, one.set.tier) for one in combined(file, hand)] == [("b", "deep"), ("a", "fast")]


def test_a_flag_that_sets_nothing_is_refused():
    """So is one with a switch that does not exist."""
    for wrong in ({}, {"tier": None}, {"speed": "fast"}):
        with pytest.raises(ValidationError):
            Flag.model_validate({"id": "x", "set": wrong})
