"""Whose requests a rollout is about."""

from twospeed.policy.rollout import Scope
from twospeed.policy.scope import repo, speaks, within


def test_without_a_scope_everyone_is_in():
    """A list left out means all."""
    assert within(Scope(), "", "")
    assert speaks(Scope(), "cobol")


def test_every_list_that_is_there_must_name_the_request():
    """Key and repository both count; an unknown repository or language is in no list."""
    scope = Scope(keys=["ide"], repos=["web"], languages=["go"])
    assert within(scope, "ide", "web")
    assert not within(scope, "ide", "")
    assert not within(scope, "ci", "web")
    assert speaks(scope, "go")
    assert not speaks(scope, "")


def test_a_repository_is_what_the_header_says():
    """It is cut to a bounded length; bytes that are no text do no harm."""
    assert repo({}) == ""
    assert len(repo({b"x-twospeed-repo": b"x" * 1_000})) == 128
    assert repo({b"x-twospeed-repo": b"\xff"}) == "\ufffd"
